/*
 * The figures of a run against values counted by hand: requests are told to the measure one by one,
 * beside a core that does nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/layout.h"
#include "base/random.h"
#include "sim/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define S(x) ((int64_t)((x)*1e9))

static const char text[] = "scenario: hand\n"
                           "devices: [{name: gpu0, memory_gib: 80}]\n"
                           "models:\n"
                           "  - {name: a, memory_gib: 60, service: {kind: serial}}\n"
                           "  - {name: b, memory_gib: 60, service: {kind: batch, d0_s: 0.01}}\n"
                           "switch: {matrix_s: [[0, 3], [3, 0]]}\n"
                           "arrivals: [{kind: list, jobs: [[0, a, 1]]}]\n"
                           "initial: {gpu0: a}\n"
                           "limits: {wait_cap_s: 100}\n"
                           "guard: off\n";

struct fixture {
    struct scenario *scenario;
    struct layout *layout;
    void *memory;
    struct core *core;
    struct measure *measure;
    uint64_t next;
    int64_t now_ns;
};

/* A core with the scenario's models that is never told anything: idle for ever. */
static void start_core(struct fixture *f)
{
    char err[SCENARIO_ERROR_MAX];
    struct core_limits limits;
    struct core_config_error error;
    struct core_action action;
    assert_int_equal(scenario_layout(f->scenario, &f->layout, err, sizeof(err)), 0);
    layout_limits(f->scenario->config, &limits);
    size_t size = core_size(&limits);
    f->memory = aligned_alloc(64, (size + 63) / 64 * 64);
    f->core = core_init(f->memory, size, &limits, 1);
    assert_non_null(f->core);
    assert_int_equal(core_configure(f->core, &f->layout->core, 0, &error), 0);
    while (core_next(f->core, &action)) {
    }
}

static void start(struct fixture *f, uint64_t arrivals, double fraction, uint64_t visits)
{
    char err[SCENARIO_ERROR_MAX];
    *f = (struct fixture){0};
    if (scenario_parse(text, sizeof(text) - 1, "hand.yaml", NULL, &f->scenario, err, sizeof(err))) {
        fail_msg("%s", err);
    }
    f->scenario->warmup_fraction = fraction;
    f->scenario->warmup_visits = visits;
    start_core(f);
    assert_int_equal(measure_create(f->scenario, f->core, 7, arrivals, &f->measure), 0);
}

static struct result finish(struct fixture *f, double at_s)
{
    struct result r;
    assert_int_equal(measure_finish(f->measure, S(at_s), 42, &r), 0);
    assert_int_equal(r.events, 42);
    assert_int_equal(r.seed, 7);
    return r;
}

static void stop(struct fixture *f, struct result *r)
{
    result_fini(r);
    measure_destroy(f->measure);
    layout_destroy(f->layout);
    scenario_free(f->scenario);
    free(f->memory);
}

static struct sim_request arrive(struct fixture *f, uint32_t model, double at_s, double work_s)
{
    struct sim_request r = {.number = f->next++,
                            .arrival_ns = S(at_s),
                            .dispatch_ns = -1,
                            .first_token_ns = -1,
                            .work_ns = S(work_s),
                            .service_ns = S(work_s),
                            .input_tokens = -1,
                            .output_tokens = -1,
                            .model = model};
    measure_arrival(f->measure, &r, S(at_s));
    return r;
}

static struct sim_request accept(struct fixture *f, uint32_t model, double at_s, double work_s)
{
    struct sim_request r = arrive(f, model, at_s, work_s);
    measure_accepted(f->measure, &r, S(at_s));
    return r;
}

static void dispatch(struct fixture *f, struct sim_request *r, double at_s)
{
    r->dispatch_ns = S(at_s);
    measure_dispatched(f->measure, r, S(at_s));
}

static void complete(struct fixture *f, struct sim_request *r, double at_s)
{
    measure_ended(f->measure, r, SHUNT_OUTCOME_COMPLETED, true, S(at_s));
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * fmax(1, fabs(expected)))) {
        fail_msg("%.17g is not %.17g", value, expected);
    }
}

/* ------------------------------------------------------------------ one run by hand */

/*
 *   r0 a arrives 0, served 0 to 2                     r3 a arrives 6, its client leaves at 7
 *   r1 b arrives 1, switch 2 to 5, served 5 to 8      r4 a arrives 8 and is rejected
 *   r2 b arrives 3, served 8 to 9
 */
static struct result by_hand(struct fixture *f)
{
    start(f, 5, 0, 0);
    struct sim_request r0 = accept(f, 0, 0, 2);
    dispatch(f, &r0, 0);
    struct sim_request r1 = accept(f, 1, 1, 3);
    r1.output_tokens = 300;
    complete(f, &r0, 2);
    measure_switch_begins(f->measure, 0, 1, S(2));
    struct sim_request r2 = accept(f, 1, 3, 1);
    r2.service_class = ARRIVALS_CRITICAL;
    r2.output_tokens = 100;
    measure_switch_ended(f->measure, 0, true, S(5));
    measure_visit(f->measure, 1, S(5));
    dispatch(f, &r1, 5);
    r1.first_token_ns = S(5.5);
    measure_first_token(f->measure, &r1, S(5.5));
    struct sim_request r3 = accept(f, 0, 6, 4);
    measure_ended(f->measure, &r3, SHUNT_OUTCOME_CANCELLED, false, S(7));
    complete(f, &r1, 8);
    struct sim_request r4 = arrive(f, 0, 8, 2);
    measure_ended(f->measure, &r4, SHUNT_OUTCOME_REJECTED, false, S(8));
    measure_last_arrival(f->measure, S(8));
    dispatch(f, &r2, 8);
    r2.first_token_ns = S(8.25);
    measure_first_token(f->measure, &r2, S(8.25));
    complete(f, &r2, 9);
    return finish(f, 9);
}

static void test_requests(void **state)
{
    (void)state;
    struct fixture f;
    struct result r = by_hand(&f);
    assert_int_equal(r.requests.offered, 5);
    assert_int_equal(r.requests.completed, 3);
    assert_int_equal(r.requests.cancelled, 1);
    assert_int_equal(r.requests.rejected, 1);
    assert_int_equal(r.requests.backlog_at_last_arrival, 1);
    assert_int_equal(r.requests.warmup, 0);
    assert_int_equal(r.switches, 1);
    assert_near(r.switches_per_request, 0.2);
    assert_false(r.overloaded);
    stop(&f, &r);
}

static void test_times(void **state)
{
    (void)state;
    struct fixture f;
    struct result r = by_hand(&f);
    /* 0, 4, 5, and the cap for the two that were not served. */
    assert_near(r.wait.mean_s, 209.0 / 5);
    assert_near(r.wait.max_s, 100);
    assert_int_equal(r.wait.count, 5);
    /* r1 waited from 1 to 2 for the switch to begin; r2 was not the first of its visit. */
    assert_near(r.wait_to_switch_start.mean_s, 206.0 / 5);
    assert_near(r.response.mean_s, (2.0 + 7 + 6 + 200) / 5);
    /* Only b has tokens. */
    assert_int_equal(r.ttft.count, 2);
    assert_near(r.ttft.mean_s, (4.5 + 5.25) / 2);
    assert_near(r.models[0].wait.mean_s, 200.0 / 3);
    assert_near(r.models[1].wait.mean_s, 4.5);
    assert_int_equal(r.models[0].completed, 1);
    assert_int_equal(r.models[1].completed, 2);
    assert_int_equal(r.class_count, 2);
    assert_string_equal(r.classes[0].name, "standard");
    assert_string_equal(r.classes[1].name, "critical");
    assert_near(r.classes[1].wait.mean_s, 5);
    assert_near(r.classes[1].ttft.mean_s, 5.25);
    double x = 200.0 / 3, y = 4.5;
    assert_near(r.jain, (x + y) * (x + y) / (2 * (x * x + y * y)));
    stop(&f, &r);
}

static void test_integrals(void **state)
{
    (void)state;
    struct fixture f;
    struct result r = by_hand(&f);
    /* Measured from 0 to 8. */
    assert_near(r.time.span_s, 8);
    assert_near(r.models[0].queue_mean, 1.0 / 8);
    assert_near(r.models[0].in_service_mean, 2.0 / 8);
    assert_near(r.models[1].queue_mean, (4.0 + 5) / 8);
    assert_near(r.models[1].in_service_mean, 3.0 / 8);
    assert_near(r.time.work_per_s, 5.0 / 8);
    assert_near(r.time.tokens_per_s, 300.0 / 8);
    assert_near(r.time_all.tokens_per_s, 400.0 / 9);
    /* Nothing was served from 2 to 5: 3 s of work waited all the time, 1 s more from 3 on. */
    assert_near(r.work_at_nonserving_s, 11.0 / 3);
    /* The core knew of nothing. */
    assert_near(r.time.idle_frac, 1);
    assert_near(r.time.serving_frac, 0);
    assert_true(isnan(r.time.mean_batch));
    stop(&f, &r);
}

static void test_exact(void **state)
{
    (void)state;
    struct fixture f;
    struct result r = by_hand(&f);
    assert_true(r.exact.holds);
    assert_int_equal(r.exact.wait_sum_low, S(10));
    assert_int_equal(r.exact.queue_integral_low, S(10));
    assert_int_equal(r.exact.elapsed_ns, S(9));
    assert_int_equal(r.exact.state_ns[SHUNT_DEVICE_IDLE], S(9));
    assert_near(r.load, 12.0 / 8);
    assert_near(r.switch_free_load, 12.0 / 8);
    assert_false(r.load_request_weighted);
    assert_true(isnan(r.stretch));
    stop(&f, &r);
}

/* Twice in the queue: its wait is until the last dispatch, the queue's only what was spent there.
 */
static void test_requeue(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, 0, 0);
    struct sim_request r = accept(&f, 0, 0, 1);
    dispatch(&f, &r, 1);
    measure_requeued(f.measure, &r, S(3));
    dispatch(&f, &r, 5);
    complete(&f, &r, 6);
    struct result result = finish(&f, 6);
    assert_near(result.wait.mean_s, 5);
    assert_int_equal(result.exact.wait_sum_low, S(3));
    assert_true(result.exact.holds);
    stop(&f, &result);
}

/* A switch that fails ends nobody's wait; the next one does. */
static void test_failed_switch(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2, 0, 0);
    struct sim_request before = accept(&f, 1, 0, 1);
    measure_switch_begins(f.measure, 0, 1, S(1));
    measure_switch_ended(f.measure, 0, false, S(4));
    measure_switch_begins(f.measure, 0, 1, S(6));
    struct sim_request during = accept(&f, 1, 7, 1);
    measure_last_arrival(f.measure, S(7));
    measure_switch_ended(f.measure, 0, true, S(9));
    dispatch(&f, &before, 9);
    dispatch(&f, &during, 9);
    complete(&f, &before, 10);
    complete(&f, &during, 10);
    struct result r = finish(&f, 10);
    assert_int_equal(before.switch_start_ns, S(6));
    assert_int_equal(during.switch_start_ns, S(7));
    assert_near(r.wait_to_switch_start.mean_s, 3);
    assert_near(r.wait.mean_s, (9.0 + 2) / 2);
    assert_int_equal(r.switches, 2);
    assert_int_equal(r.switches_failed, 1);
    stop(&f, &r);
}

/* ------------------------------------------------------------------ windows */

/* A request a second, each served at once for half a second; visit k starts at k x every. */
static struct result steady(struct fixture *f, uint64_t requests, uint64_t known, double fraction,
                            uint64_t visits, uint64_t every)
{
    start(f, known, fraction, visits);
    for (uint64_t i = 0; i < requests; i++) {
        double t = (double)i;
        if (every && i % every == 0) {
            measure_visit(f->measure, 0, S(t));
        }
        struct sim_request r = accept(f, 0, t, 0.5);
        if (i + 1 == requests) {
            measure_last_arrival(f->measure, S(t));
        }
        dispatch(f, &r, t);
        complete(f, &r, t + 0.5);
    }
    return finish(f, (double)requests);
}

static void test_warmup(void **state)
{
    (void)state;
    static const struct {
        uint64_t requests, known, visits, every, expected;
        double fraction;
    } cases[] = {
        {1000, 1000, 0, 0, 0, 0},      /* none asked for */
        {1000, 1000, 0, 0, 50, 0.05},  /* by share */
        {1000, 1000, 20, 5, 95, 0.05}, /* visit 20 starts at 19 x 5, later than 50 */
        {1000, 1000, 20, 1, 50, 0.05}, /* earlier than 50 */
        {1000, 1000, 20, 0, 200, 0},   /* never: a fifth */
        {5000, 0, 20, 0, 1000, 0.05},  /* nobody knows how many: 50 for a visit */
        {5, 1000, 20, 0, 5, 0.05},     /* ends before */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        struct result r = steady(&f, cases[i].requests, cases[i].known, cases[i].fraction,
                                 cases[i].visits, cases[i].every);
        assert_int_equal(r.requests.warmup, cases[i].expected);
        assert_int_equal(r.wait.count, cases[i].requests - cases[i].expected);
        assert_int_equal(r.wait_all.count, cases[i].requests);
        double span = (double)cases[i].requests - 1 - (double)cases[i].expected;
        assert_near(r.time.span_s, fmax(span, 0));
        assert_true(r.exact.holds);
        stop(&f, &r);
    }
}

static void test_overload(void **state)
{
    (void)state;
    for (int grows = 0; grows <= 1; grows++) {
        struct fixture f;
        start(&f, 2000, 0, 0);
        for (uint64_t i = 0; i < 2000; i++) {
            struct sim_request r = accept(&f, 0, (double)i, 0.5);
            double wait = grows ? (double)i / 2000 : 0.5;
            dispatch(&f, &r, (double)i + wait);
            complete(&f, &r, (double)i + wait);
            f.now_ns = S((double)i + wait);
        }
        measure_last_arrival(f.measure, f.now_ns);
        struct result r = finish(&f, 2000);
        for (int q = 0; q < 4; q++) {
            double expected = grows ? (2.0 * q + 1) / 8 : 0.5;
            assert_true(fabs(r.wait_quarter_s[q] - expected) < 0.01);
        }
        /* .875 against .375 is not three times as much yet. */
        assert_false(r.overloaded);
        stop(&f, &r);
    }
}

/* All of them still wait at the last arrival. */
static void test_backlog(void **state)
{
    (void)state;
    struct fixture f;
    static struct sim_request all[100];
    start(&f, 100, 0, 0);
    for (int i = 0; i < 100; i++) {
        all[i] = accept(&f, 0, i, 0.5);
    }
    measure_last_arrival(f.measure, S(99));
    for (int i = 0; i < 100; i++) {
        dispatch(&f, &all[i], 100 + i);
        complete(&f, &all[i], 100.5 + i);
    }
    struct result r = finish(&f, 200);
    assert_int_equal(r.requests.backlog_at_last_arrival, 100);
    assert_true(r.overloaded);
    assert_near(r.wait.mean_s, 100);
    stop(&f, &r);
}

/* W = 1800, 900 and 0 s, 900 s in four hours: sum W^2 / (3600 sum W), by hour of the run. */
static void test_request_weighted_load(void **state)
{
    (void)state;
    static const double at_s[] = {10, 1000, 3700, 11000}, work_s[] = {900, 900, 900, 900};
    struct fixture f;
    start(&f, 4, 0, 0);
    for (int i = 0; i < 4; i++) {
        struct sim_request r = accept(&f, 0, at_s[i], work_s[i]);
        dispatch(&f, &r, at_s[i]);
        complete(&f, &r, at_s[i]);
    }
    measure_last_arrival(f.measure, S(11000));
    struct result r = finish(&f, 11000);
    assert_true(r.load_request_weighted); /* more than two hours */
    assert_near(r.load, (1800.0 * 1800 + 900 * 900 + 900 * 900) / (3600.0 * 3600));
    assert_near(r.switch_free_load, 3600.0 / 10990);
    stop(&f, &r);
}

/* ------------------------------------------------------------------ many */

/* Percentiles of a known law over requests of two models, and no mistake in the large sums. */
static void test_percentiles(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct fixture f;
    start(&f, MANY, 0, 0);
    double total = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        double t = 10.0 * (double)i, wait = 8 * random_unit(random_u64(3, 1, i));
        struct sim_request r = accept(&f, (uint32_t)(i & 1), t, 1);
        r.dispatch_ns = r.arrival_ns + (int64_t)(wait * 1e9);
        total += (double)(r.dispatch_ns - r.arrival_ns) / 1e9;
        measure_dispatched(f.measure, &r, r.dispatch_ns);
        measure_ended(f.measure, &r, SHUNT_OUTCOME_COMPLETED, true, r.dispatch_ns);
    }
    struct result r = finish(&f, 10.0 * MANY);
    assert_true(fabs(r.wait.mean_s - total / MANY) < 1e-9);
    assert_true(fabs(r.wait.p50_s - 4) < 0.1);
    assert_true(fabs(r.wait.p99_s - 7.92) < 0.1);
    assert_true(r.wait.se_s > 0 && r.wait.se_s < 0.02);
    assert_true(r.wait.batches >= 32 && r.wait.batches <= 64);
    assert_int_equal(r.models[0].wait.count, MANY / 2);
    assert_true(r.exact.holds);
    stop(&f, &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),    cmocka_unit_test(test_times),
        cmocka_unit_test(test_integrals),   cmocka_unit_test(test_exact),
        cmocka_unit_test(test_requeue),     cmocka_unit_test(test_failed_switch),
        cmocka_unit_test(test_warmup),      cmocka_unit_test(test_overload),
        cmocka_unit_test(test_backlog),     cmocka_unit_test(test_request_weighted_load),
        cmocka_unit_test(test_percentiles),
    };
    return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
