/*
 * Bounds of the offline problem against its optimum: never above it, whatever the grid; and close
 * enough to be worth printing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/opt.h"

#include "opt_instances.h"

#include <stdlib.h>

static struct opt_test t;
static struct opt_step steps[OPT_TEST_JOBS], reference[OPT_TEST_JOBS];
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

static int64_t optimum(const struct opt *opt, enum opt_objective objective)
{
    char err[200];
    int64_t value;
    assert_int_equal(
        opt_exact(opt, objective, true, OPT_STATES_MAX, &value, steps, err, sizeof err), 0);
    return value;
}

/* Any shape, any reference, coarse and fine grids, blocks of a few jobs. */
static void test_never_above_the_optimum(void **state)
{
    (void)state;
    const struct opt_lagrange_options options[] = {{.slots = 500, .rounds = 40},
                                                   {.slots = 7, .rounds = 40},
                                                   {.block_jobs = 3, .slots = 40, .rounds = 40}};
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        opt_test_small(&t, seed, 12);
        for (size_t i = 0; i < t.instance.jobs_len; i++) {
            t.jobs[i].arrival *= 97; /* off any grid, and prices are whole numbers */
            t.jobs[i].service *= 89;
        }
        for (size_t i = 0; i < (t.instance.models + 1) * (t.instance.models + 1); i++) {
            t.cost[i] = t.cost[i] == INT64_MAX ? INT64_MAX : t.cost[i] * 83;
        }
        struct opt *opt = create();
        for (size_t i = 0; i < 4; i++) {
            int64_t best = optimum(opt, objectives[i]);
            struct opt_bounds bounds;
            (seed % 2 ? opt_fifo : opt_exhaustive)(opt, reference);
            assert_int_equal(opt_bound(opt, objectives[i], &options[seed % 3], reference, &bounds),
                             0);
            assert_true(bounds.alone <= best && bounds.no_switch <= best);
            if (bounds.lagrange > best) {
                fail_msg("seed %d: bound %lld above optimum %lld", (int)seed,
                         (long long)bounds.lagrange, (long long)best);
            }
            assert_true(bounds.best >= bounds.alone && bounds.best >= bounds.no_switch &&
                        bounds.best >= bounds.lagrange && bounds.best <= best);
        }
        opt_destroy(opt);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_family_r(void **state)
{
    (void)state;
    enum { SEEDS = 100 };
    static double share[SEEDS];
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        opt_test_r(&t, seed, 1000);
        struct opt *opt = create();
        int64_t best = optimum(opt, OPT_SUM);
        struct opt_bounds bounds;
        memcpy(reference, steps, sizeof reference);
        assert_int_equal(opt_bound(opt, OPT_SUM, NULL, reference, &bounds), 0);
        assert_true(bounds.best <= best);
        share[seed - 1] = (double)bounds.best / (double)best;
        opt_destroy(opt);
    }
    qsort(share, SEEDS, sizeof *share, compare_doubles);
    print_message("share of the optimum: least %.3f, median %.3f, best %.3f\n", share[0],
                  share[SEEDS / 2], share[SEEDS - 1]);
    assert_true(share[SEEDS / 2] > 0.6);
}

/* One model: there is nothing to relax, the bounds are the optimum. */
static void test_one_model_is_exact(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        opt_test_r(&t, seed, 1);
        for (size_t i = 0; i < t.instance.jobs_len; i++) {
            t.jobs[i].model = 0;
        }
        struct opt *opt = create();
        for (size_t i = 0; i < 4; i++) {
            struct opt_bounds bounds;
            int64_t best = optimum(opt, objectives[i]);
            assert_int_equal(opt_bound(opt, objectives[i], NULL, steps, &bounds), 0);
            assert_int_equal(bounds.best, best);
            assert_int_equal(bounds.alone, best);
        }
        opt_destroy(opt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_above_the_optimum),
        cmocka_unit_test(test_family_r),
        cmocka_unit_test(test_one_model_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
