/*
 * The clairvoyant optimum: golden instances, brute force over all interleavings of tiny ones, and
 * what must hold between optimum, simple rules and the rolling search.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/opt.h"

#include "opt_instances.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static struct opt_test t;
static struct opt_step steps[OPT_TEST_JOBS];
static const enum opt_objective objectives[] = {OPT_SUM, OPT_MAX, OPT_MAKESPAN, OPT_P95};

static struct opt *create(void)
{
    struct opt *opt = NULL;
    char err[200] = "";
    if (opt_create(&t.instance, &opt, err, sizeof err) != 0) {
        fail_msg("%s", err);
    }
    return opt;
}

/* The optimum, after checking that the schedule it gives is one and is worth it. */
static int64_t optimum(const struct opt *opt, enum opt_objective objective, bool anticipation)
{
    char err[200] = "";
    int64_t value = -1;
    if (opt_exact(opt, objective, anticipation, OPT_STATES_MAX, &value, steps, err, sizeof err)) {
        fail_msg("%s", err);
    }
    bool seen[OPT_TEST_JOBS] = {false};
    int64_t free_at = 0;
    size_t last[OPT_TEST_MODELS] = {0};
    uint32_t resident = t.instance.initial;
    for (size_t i = 0; i < t.instance.jobs_len; i++) {
        const struct opt_step *s = &steps[i];
        const struct opt_job *job = &t.jobs[s->job];
        assert_true(!seen[s->job] && s->from == resident && s->model == job->model);
        assert_true(s->job + 1 > last[s->model]);
        assert_true(s->switch_start >= free_at && s->start >= s->switch_start + s->switch_time);
        assert_true(s->start >= job->arrival && s->end == s->start + job->service);
        assert_true(anticipation || s->switch_start >= job->arrival);
        seen[s->job] = true;
        last[s->model] = s->job + 1;
        free_at = s->end;
        resident = s->model;
    }
    assert_int_equal(opt_value(opt, objective, steps), value);
    return value;
}

static void add_jobs(uint32_t model, size_t count, const int64_t (*jobs)[2])
{
    for (size_t i = 0; i < count; i++) {
        opt_test_job(&t, model, jobs[i][0], jobs[i][1]);
    }
}

static int64_t rule_value(const struct opt *opt, enum opt_objective objective, bool fifo)
{
    (fifo ? opt_fifo : opt_exhaustive)(opt, steps);
    return opt_value(opt, objective, steps);
}

static void test_g1(void **state)
{
    (void)state;
    opt_test_begin(&t, 2);
    add_jobs(0, 4, (const int64_t[][2]){{0, 2}, {3, 2}, {11, 2}, {14, 2}});
    add_jobs(1, 3, (const int64_t[][2]){{1, 3}, {2, 3}, {12, 3}});
    opt_test_cost(&t, 0, 1, 5);
    opt_test_cost(&t, 1, 0, 5);
    struct opt *opt = create();
    const int64_t best[] = {49, 13, 27}, fifo[] = {74, 21, 37}, exhaustive[] = {56, 18, 27};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(optimum(opt, objectives[i], true), best[i]);
        assert_int_equal(rule_value(opt, objectives[i], true), fifo[i]);
        assert_int_equal(rule_value(opt, objectives[i], false), exhaustive[i]);
    }
    opt_destroy(opt);
}

static void test_g2(void **state)
{
    (void)state;
    opt_test_begin(&t, 3);
    add_jobs(0, 5, (const int64_t[][2]){{0, 1}, {1, 1}, {9, 1}, {10, 1}, {20, 1}});
    add_jobs(1, 3, (const int64_t[][2]){{2, 4}, {15, 4}, {16, 4}});
    add_jobs(2, 3, (const int64_t[][2]){{3, 2}, {4, 2}, {22, 2}});
    const int64_t cost[3][3] = {{0, 6, 10}, {4, 0, 10}, {3, 5, 0}};
    for (uint32_t i = 0; i < 9; i++) {
        opt_test_cost(&t, i / 3, i % 3, cost[i / 3][i % 3]);
    }
    struct opt *opt = create();
    const int64_t best[] = {131, 28, 45}, blind[] = {140, 28}, fifo[] = {199, 38, 62},
                  exhaustive[] = {159, 28, 48};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(optimum(opt, objectives[i], true), best[i]);
        assert_int_equal(rule_value(opt, objectives[i], true), fifo[i]);
        assert_int_equal(rule_value(opt, objectives[i], false), exhaustive[i]);
        if (i < 2) {
            assert_int_equal(optimum(opt, objectives[i], false), blind[i]);
        }
    }
    opt_destroy(opt);
}

static void test_r1(void **state)
{
    (void)state;
    opt_test_r(&t, 1, 1);
    struct opt *opt = create();
    assert_int_equal(optimum(opt, OPT_SUM, true), 674);
    assert_int_equal(optimum(opt, OPT_MAX, true), 53);
    assert_int_equal(optimum(opt, OPT_MAKESPAN, true), 167);
    assert_int_equal(optimum(opt, OPT_SUM, false), 684);
    assert_int_equal(optimum(opt, OPT_MAX, false), 53);
    assert_int_equal(rule_value(opt, OPT_SUM, true), 3640);
    assert_int_equal(rule_value(opt, OPT_SUM, false), 1153);
    opt_destroy(opt);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The family of R: order of what knows more and less, and quantiles known from elsewhere. */
static void test_family_r(void **state)
{
    (void)state;
    static double exhaustive[200], ahead[200];
    for (uint64_t seed = 1; seed <= 200; seed++) {
        opt_test_r(&t, seed, 1);
        struct opt *opt = create();
        int64_t with = optimum(opt, OPT_SUM, true), without = optimum(opt, OPT_SUM, false), value;
        int64_t rule = rule_value(opt, OPT_SUM, false);
        assert_true(with <= without && without <= rule);
        assert_true(without <= rule_value(opt, OPT_SUM, true));
        assert_int_equal(opt_best_known(opt, OPT_SUM, true, 30, &value, steps), 0);
        assert_int_equal(value, with); /* the window holds them all */
        assert_int_equal(opt_best_known(opt, OPT_SUM, false, 10, &value, steps), 0);
        assert_true(value >= without && value <= rule);
        assert_int_equal(opt_value(opt, OPT_SUM, steps), value);
        exhaustive[seed - 1] = (double)rule / (double)without;
        ahead[seed - 1] = (double)without / (double)with;
        opt_destroy(opt);
    }
    qsort(exhaustive, 200, sizeof *exhaustive, compare_doubles);
    qsort(ahead, 200, sizeof *ahead, compare_doubles);
    const double expected[] = {1.07, 1.26, 1.54};
    for (size_t i = 0; i < 3; i++) {
        double quantile = exhaustive[i == 0 ? 20 : i == 1 ? 100 : 180];
        assert_true(fabs(quantile - expected[i]) <= (i < 2 ? .02 : .05));
    }
    assert_true(fabs(ahead[100] - 1.02) <= .01);
}

/* ------------------------------------------------------------------ brute force */

struct brute {
    const struct opt *opt;
    enum opt_objective objective;
    bool anticipation;
    size_t order[OPT_TEST_JOBS];
    bool used[OPT_TEST_JOBS];
    int64_t best;
};

static void brute_from(struct brute *b, size_t len)
{
    size_t n = t.instance.jobs_len;
    if (len == n) {
        opt_follow(b->opt, b->anticipation, b->order, steps);
        int64_t value = opt_value(b->opt, b->objective, steps);
        b->best = value < b->best ? value : b->best;
        return;
    }
    bool tried[OPT_TEST_MODELS] = {false};
    for (size_t i = 0; i < n; i++) {
        if (b->used[i] || tried[t.jobs[i].model]) {
            continue;
        }
        tried[t.jobs[i].model] = true;
        b->used[i] = true;
        b->order[len] = i;
        brute_from(b, len + 1);
        b->used[i] = false;
    }
}

static void test_brute_force(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        opt_test_small(&t, seed, 7);
        struct opt *opt = create();
        for (size_t i = 0; i < 8; i++) {
            struct brute b = {.opt = opt,
                              .objective = objectives[i / 2],
                              .anticipation = i % 2,
                              .best = INT64_MAX};
            brute_from(&b, 0);
            assert_int_equal(optimum(opt, b.objective, b.anticipation), b.best);
            int64_t value;
            assert_int_equal(opt_best_known(opt, b.objective, b.anticipation, 3, &value, steps), 0);
            assert_true(value >= b.best);
        }
        opt_destroy(opt);
    }
}

/* ------------------------------------------------------------------ refusals */

static void expect_refused(int rc, const char *text)
{
    struct opt *opt = NULL;
    char err[200] = "";
    assert_int_equal(opt_create(&t.instance, &opt, err, sizeof err), rc);
    assert_null(opt);
    if (!strstr(err, text)) {
        fail_msg("%s", err);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    opt_test_r(&t, 1, 1);
    t.jobs[3].model = 3;
    expect_refused(-EINVAL, "job 3");
    opt_test_r(&t, 1, 1);
    t.jobs[29].arrival = 0;
    expect_refused(-EINVAL, "job 29 arrives before");
    opt_test_r(&t, 1, 1);
    opt_test_cost(&t, 1, 1, 1);
    expect_refused(-EINVAL, "from a model to itself");
    opt_test_r(&t, 1, OPT_HORIZON_MAX / 100);
    expect_refused(-ERANGE, "add up");

    opt_test_r(&t, 1, 1);
    struct opt *opt = create();
    char err[200] = "";
    int64_t value = -1;
    assert_true(opt_states(opt) > 3000);
    assert_int_equal(opt_exact(opt, OPT_SUM, true, 1000, &value, steps, err, sizeof err), -E2BIG);
    assert_non_null(strstr(err, "30 jobs of 3 models are too many"));
    assert_int_equal(value, -1);
    opt_destroy(opt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_g1),          cmocka_unit_test(test_g2),
        cmocka_unit_test(test_r1),          cmocka_unit_test(test_family_r),
        cmocka_unit_test(test_brute_force), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
