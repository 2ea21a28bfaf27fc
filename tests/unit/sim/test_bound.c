/*
 * The bounds as formulas: values computed apart from this program, those of classical queues, and
 * that they never exceed optima known from value iteration.
 */
#include "sim_fixture.h"

#include "sim/bound.h"

#include <math.h>

static void assert_near(double value, double expected, double error)
{
    if (!(fabs(value - expected) <= error)) {
        fail_msg("%.12g, expected %.12g", value, expected);
    }
}

/* Exponential services; setups exponential too, or constant. */
static struct bound_model model(double rate, double service, double setup, double setup_factor)
{
    return (struct bound_model){.rate_per_s = rate,
                                .weight = 1,
                                .service_s = service,
                                .service_square_s2 = 2 * service * service,
                                .setup_s = setup,
                                .setup_square_s2 = setup_factor * setup * setup};
}

static void test_golden_values(void **state)
{
    (void)state;
    const struct {
        struct bound_model models[4];
        size_t count;
        double lagrange, work, statically, reached;
    } cases[] = {
        {{model(.3, 1, .5, 2), model(.3, 1, .5, 2)}, 2, .839286, 1.5, .875, 2.25467},
        {{model(.25, 1, 2, 2), model(.25, 1, 2, 2)}, 2, 2.333333, 1.0, 3.0, 4.2},
        {{model(.05, 5, 30, 2), model(.01, 10, 30, 2)},
         2,
         27.941595,
         3.269231,
         32.016287,
         35.70549},
        {{model(.06, 5, 8, 2), model(.02, 10, 15, 2)}, 2, 10.861264, 6.25, 14.299295, 23.01593},
        {{model(.005, 10, 40, 1), model(.005, 10, 40, 1), model(.005, 10, 40, 1),
          model(.005, 10, 40, 1)},
         4,
         35.263158,
         2.5,
         95.0,
         61.4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double lagrange = bound_lagrange(cases[i].models, cases[i].count);
        double work = bound_work(cases[i].models, cases[i].count);
        assert_near(lagrange, cases[i].lagrange, 2e-6);
        assert_near(work, cases[i].work, 2e-6);
        assert_near(bound_static(cases[i].models, cases[i].count), cases[i].statically, 2e-6);
        assert_true(lagrange <= cases[i].reached && work <= cases[i].reached);
    }
}

/* One model never switches: every bound but the static one is its M/G/1 wait. */
static void test_one_model_is_mg1(void **state)
{
    (void)state;
    struct bound_model m[] = {model(.5, 1, 3, 1), model(0, 0, 100, 1)};
    /* the second has no arrivals and does not matter */
    for (size_t count = 1; count <= 2; count++) {
        assert_near(bound_work(m, count), 1.0, 1e-12);
        assert_near(bound_lagrange(m, count), 1.0, 1e-9);
    }
}

/* Without switches, and equal services, order does not matter: the pooled queue. */
static void test_work_of_equal_services_is_the_pooled_queue(void **state)
{
    (void)state;
    struct bound_model m[] = {model(.1, 2, 0, 1), model(.05, 2, 0, 1), model(.2, 2, 0, 1)};
    double load = .35 * 2;
    assert_near(bound_work(m, 3), .35 * 8 / (2 * (1 - load)), 1e-12);
    assert_near(bound_load(m, 3), load, 1e-15);
}

/* Weights shift the order: the heavier model first even if its services are longer. */
static void test_weights(void **state)
{
    (void)state;
    struct bound_model m[] = {model(.1, 1, 1, 1), model(.1, 2, 1, 1)};
    m[1].weight = 10;
    double residual = .1 * 2 / 2 + .1 * 8 / 2, first = residual / (1 - .2),
           second = residual / ((1 - .2) * (1 - .3));
    assert_near(bound_work(m, 2), (10 * first + second) / 11, 1e-12);
    double before = bound_lagrange(m, 2);
    for (size_t i = 0; i < 2; i++) {
        m[i].weight *= 7; /* only the ratio of the weights counts */
    }
    assert_near(bound_lagrange(m, 2), before, 1e-6);
}

/* Over setups from free to dear, where the best number to wake for goes from 1 to many. */
static void test_more_setup_never_lowers_the_bound(void **state)
{
    (void)state;
    double before = 0;
    for (int setup = 0; setup <= 400; setup += 10) {
        struct bound_model m[] = {model(.2, 2, setup, 1), model(.05, 4, setup, 1),
                                  model(.001, 20, setup, 1)};
        double bound = bound_lagrange(m, 3);
        assert_true(bound >= before - 1e-9);
        before = bound;
    }
    assert_true(before > 400);
}

static void test_second_moments(void **state)
{
    (void)state;
    static const struct dist_point values[] = {{0, 1}, {0, 2}, {0, 6}};
    static const struct dist_point curve[] = {{0, 0}, {.25, 2}, {1, 8}};
    const struct {
        struct dist dist;
        double square;
    } cases[] = {
        {{.kind = DIST_NONE}, 0},
        {{.kind = DIST_DETERMINISTIC, .mean = 3}, 9},
        {{.kind = DIST_EXPONENTIAL, .mean = 3}, 18},
        {{.kind = DIST_HYPEREXPONENTIAL, .branches = {{.9, .5}, {.1, 5.5}}, .branches_len = 2},
         6.5},
        {{.kind = DIST_LOGNORMAL, .mean = 2, .cv = 1.5}, 4 * 3.25},
        {{.kind = DIST_GAMMA, .mean = 2, .cv = .5}, 4 * 1.25},
        {{.kind = DIST_EMPIRICAL, .points = values, .points_len = 3, .equal = 1}, 41.0 / 3},
        {{.kind = DIST_EMPIRICAL, .points = curve, .points_len = 3},
         .25 * 4 / 3 + .75 * (64 - 4) / (2 * log(4))},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_near(dist_second_moment(&cases[i].dist), cases[i].square, 1e-9);
    }
    double sum = 0;
    const int draws = 200000;
    for (int i = 0; i < draws; i++) {
        double x = dist_sample(&cases[7].dist, 1, 2, (uint64_t)i);
        sum += x * x;
    }
    assert_near(sum / draws, cases[7].square, .01 * cases[7].square);
}

/* ------------------------------------------------------------------ of scenarios */

#define MODELS                                                                                     \
    "scenario: t\n"                                                                                \
    "devices: [{name: gpu0, memory_gib: 80}]\n"                                                    \
    "models:\n"                                                                                    \
    "  - {name: a, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"                 \
    "  - {name: b, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"
#define M4_SWITCH "switch: {matrix_s: [[0, 15], [8, 0]], distribution: exponential}\n"
#define M4_A                                                                                       \
    "  - {kind: poisson, model: a, rate_per_s: 0.06, service_s: {dist: exponential, mean: 5}}\n"
#define M4_B                                                                                       \
    "  - {kind: poisson, model: b, rate_per_s: 0.02, service_s: {dist: exponential, mean: 10}}\n"
#define M4 M4_SWITCH "requests: 10\narrivals:\n" M4_A M4_B

static struct bound_set bounds_of(const char *text)
{
    struct scenario *scenario = sim_scenario_of(text);
    struct bound_set bounds;
    bound_of_scenario(scenario, &bounds);
    scenario_free(scenario);
    return bounds;
}

static void test_scenario(void **state)
{
    (void)state;
    struct bound_set bounds = bounds_of(MODELS M4);
    assert_near(bounds.work.value_s, 6.25, 1e-6);
    assert_near(bounds.lagrange.value_s, 10.861264, 2e-6);
    assert_near(bounds.statically.value_s, 14.299295, 2e-6);
    /* Out and in are drawn apart: a smaller square than that of one draw, never a larger bound. */
    struct bound_set parts = bounds_of(
        MODELS "switch: {per_model: {a: {sleep_s: 5, wake_s: 5}, b: {sleep_s: 3, wake_s: 9, "
               "probe_s: 1}}, distribution: exponential}\nrequests: 10\narrivals:\n" M4_A M4_B);
    assert_near(parts.statically.value_s, 14.299295, 2e-6);
    assert_true(parts.lagrange.value_s < bounds.lagrange.value_s - .1);
    /* A tier that is quicker than the pair counts, even if no policy uses it. */
    struct bound_set quick = bounds_of(
        MODELS
        "switch: {matrix_s: [[0, 15], [8, 0]], tiers: {asleep: {in_s: 9}, stopped: {in_s: 1}}, "
        "distribution: exponential}\nrequests: 10\narrivals:\n" M4_A M4_B);
    struct bound_set least =
        bounds_of(MODELS "switch: {matrix_s: [[0, 1], [1, 0]], distribution: exponential}\n"
                         "requests: 10\narrivals:\n" M4_A M4_B);
    assert_near(quick.lagrange.value_s, least.lagrange.value_s, 1e-9);
    assert_near(quick.statically.value_s, least.statically.value_s, 1e-9);
    /* Two sources of a model are one stream. */
    struct bound_set split = bounds_of(
        MODELS M4_SWITCH
        "requests: 10\narrivals:\n" M4_A "  - {kind: poisson, model: b, rate_per_s: 0.01, "
        "service_s: {dist: exponential, mean: 10}}\n"
        "  - {kind: poisson, model: b, rate_per_s: 0.01, service_s: {dist: exponential, mean: "
        "10}}\n");
    assert_near(split.lagrange.value_s, bounds.lagrange.value_s, 1e-9);
    assert_near(split.work.value_s, bounds.work.value_s, 1e-9);
}

static void expect_none(const char *text, const char *reason)
{
    struct bound_set bounds = bounds_of(text);
    assert_true(isnan(bounds.work.value_s) && isnan(bounds.lagrange.value_s) &&
                isnan(bounds.statically.value_s));
    if (!strstr(bounds.work.reason, reason)) {
        fail_msg("\"%s\" instead of \"%s\"", bounds.work.reason, reason);
    }
}

static void test_conditions(void **state)
{
    (void)state;
    expect_none(MODELS M4_SWITCH "arrivals: [{kind: list, jobs: [[0, a, 1]]}]\n", "Poisson");
    expect_none(MODELS M4_SWITCH
                "requests: 10\narrivals:\n" M4_A
                "  - {kind: gamma, cv: 2, model: b, rate_per_s: 1, service_s: {dist: exponential, "
                "mean: 10}}\n",
                "Poisson");
    expect_none(MODELS "limits: {patience: {dist: exponential, mean: 5}}\n" M4, "patience");
    expect_none(MODELS "guard: {drain_mode: requeue}\n" M4, "requeue");
    expect_none(MODELS "faults: [{at_s: 5, kind: engine_lost, model: a}]\n" M4, "fail");
    expect_none(MODELS M4 M4_A M4_A M4_A, "load is 1 or more");
    expect_none(MODELS
                "  - {name: c, memory_gib: 30, max_concurrency: 1, service: {kind: serial}}\n"
                "switch: {matrix_s: [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}\n"
                "requests: 10\narrivals:\n" M4_A,
                "fit on the device together");
    expect_none(MODELS
                "  - {name: c, memory_gib: 50, max_concurrency: 2, service: {kind: serial}}\n"
                "switch: {matrix_s: [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}\n"
                "requests: 10\narrivals:\n" M4_A,
                "several requests");
    expect_none(MODELS "  - {name: c, memory_gib: 50, max_concurrency: 4, service: {kind: ps}}\n"
                       "switch: {matrix_s: [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}\n"
                       "requests: 10\narrivals:\n" M4_A,
                "not serial");
    struct bound_set one = bounds_of(MODELS M4_SWITCH "requests: 10\narrivals:\n" M4_A);
    assert_near(one.lagrange.value_s, .06 * 50 / (2 * (1 - .3)), 1e-9);
    assert_true(isnan(one.statically.value_s) && one.statically.reason != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_values),
        cmocka_unit_test(test_one_model_is_mg1),
        cmocka_unit_test(test_work_of_equal_services_is_the_pooled_queue),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_more_setup_never_lowers_the_bound),
        cmocka_unit_test(test_second_moments),
        cmocka_unit_test(test_scenario),
        cmocka_unit_test(test_conditions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
