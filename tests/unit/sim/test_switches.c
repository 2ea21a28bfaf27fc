/* Times of steps: what each kind of cost gives a step, keys that do not depend on the order, laws
 * with the right means, the cache, failures. */
#include "sim_fixture.h"

#include "sim/switches.h"

#define MODELS                                                                                     \
    "scenario: t\n"                                                                                \
    "devices: [{name: gpu0, memory_gib: 80}]\n"                                                    \
    "models:\n"                                                                                    \
    "  - {name: a, memory_gib: {resident: 30, asleep: 1}, tiers: [asleep, stopped], "              \
    "max_concurrency: 1, service: {kind: serial}}\n"                                               \
    "  - {name: b, memory_gib: {resident: 30, asleep: 1}, tiers: [asleep, stopped], "              \
    "max_concurrency: 1, service: {kind: serial}}\n"                                               \
    "  - {name: c, memory_gib: {resident: 30, asleep: 1}, tiers: [asleep, stopped], "              \
    "max_concurrency: 1, service: {kind: serial}}\n"                                               \
    "arrivals: [{kind: list, jobs: [[0, a, 1]]}]\n"
#define MATRIX                                                                                     \
    "matrix_s: [[0, 1, 2], [4, 0, 8], [16, 32, 0]], from_empty_s: [64, 128, 256], "                \
    "to_empty_s: [3, 5, 7]"
#define EDGES                                                                                      \
    "per_model: {a: {sleep_s: 1, wake_s: 2, probe_s: 0.5}, b: {sleep_s: 3, wake_s: 4}, "           \
    "c: {sleep_s: 5, wake_s: 6}}, tiers: {stopped: {out_s: 10, in_s: 40}}"

struct bench {
    struct scenario *scenario;
    struct switches *switches;
};

static struct bench bench_of(const char *costs, uint64_t seed)
{
    char text[4096];
    struct bench bench;
    (void)snprintf(text, sizeof text, MODELS "switch: {%s}\n", costs);
    bench.scenario = sim_scenario_of(text);
    assert_int_equal(switches_create(bench.scenario, seed, &bench.switches), 0);
    return bench;
}

static void bench_fini(struct bench *bench)
{
    switches_destroy(bench->switches);
    scenario_free(bench->scenario);
}

static struct switches_outcome load(struct bench *bench, uint32_t model, const uint32_t *victims,
                                    uint32_t count)
{
    const struct switches_step step = {.step = CORE_STEP_IN,
                                       .model = model,
                                       .from_tier = SHUNT_TIER_ASLEEP,
                                       .to_tier = SHUNT_TIER_RESIDENT,
                                       .victims = victims,
                                       .victim_count = count};
    struct switches_outcome outcome;
    switches_begin(bench->switches, &step, &outcome);
    return outcome;
}

static int64_t load_from(struct bench *bench, uint32_t from, uint32_t model)
{
    return load(bench, model, &from, 1).duration_ns;
}

static int64_t move(struct bench *bench, uint32_t kind, uint32_t model, uint32_t from, uint32_t to,
                    bool for_nobody)
{
    const struct switches_step step = {
        .step = kind, .model = model, .from_tier = from, .to_tier = to, .for_nobody = for_nobody};
    struct switches_outcome outcome;
    switches_begin(bench->switches, &step, &outcome);
    assert_true(outcome.ok);
    return outcome.duration_ns;
}

static int64_t s_of(double s)
{
    return (int64_t)(s * 1e9);
}

static void test_matrix(void **state)
{
    (void)state;
    struct bench bench = bench_of(MATRIX, 1);
    static const uint32_t both[] = {0, 2};
    assert_int_equal(load_from(&bench, 1, 0), s_of(4));
    assert_int_equal(load_from(&bench, 0, 2), s_of(2));
    assert_int_equal(load(&bench, 1, both, 2).duration_ns, s_of(32)); /* the largest */
    assert_int_equal(load(&bench, 1, NULL, 0).duration_ns, s_of(128));
    assert_int_equal(move(&bench, CORE_STEP_OUT, 1, SHUNT_TIER_RESIDENT, SHUNT_TIER_ASLEEP, false),
                     0);
    assert_int_equal(move(&bench, CORE_STEP_OUT, 1, SHUNT_TIER_RESIDENT, SHUNT_TIER_ASLEEP, true),
                     s_of(5));
    assert_int_equal(
        move(&bench, CORE_STEP_PROBE, 1, SHUNT_TIER_RESIDENT, SHUNT_TIER_RESIDENT, false), 0);
    bench_fini(&bench);
}

/* Beside a matrix, tiers say what a colder tier takes; the matrix holds for the first. */
static void test_matrix_and_tiers(void **state)
{
    (void)state;
    struct bench bench =
        bench_of(MATRIX ", tiers: {asleep: {in_s: 9}, stopped: {out_s: 10, in_s: 40}}", 1);
    const uint32_t resident = SHUNT_TIER_RESIDENT;
    assert_int_equal(load_from(&bench, 1, 0), s_of(4));
    assert_int_equal(move(&bench, CORE_STEP_IN, 0, SHUNT_TIER_STOPPED, resident, false), s_of(40));
    assert_int_equal(move(&bench, CORE_STEP_OUT, 0, resident, SHUNT_TIER_ASLEEP, false), 0);
    assert_int_equal(move(&bench, CORE_STEP_OUT, 0, resident, SHUNT_TIER_STOPPED, false), s_of(10));
    bench_fini(&bench);
}

static void test_edges(void **state)
{
    (void)state;
    struct bench bench = bench_of(EDGES, 1);
    const uint32_t resident = SHUNT_TIER_RESIDENT;
    const uint32_t asleep = SHUNT_TIER_ASLEEP;
    const uint32_t stopped = SHUNT_TIER_STOPPED;
    assert_int_equal(load_from(&bench, 1, 0), s_of(2));
    assert_int_equal(move(&bench, CORE_STEP_IN, 0, stopped, resident, false), s_of(40));
    assert_int_equal(move(&bench, CORE_STEP_OUT, 1, resident, asleep, false), s_of(3));
    assert_int_equal(move(&bench, CORE_STEP_OUT, 1, resident, asleep, true), s_of(3));
    assert_int_equal(move(&bench, CORE_STEP_OUT, 1, resident, stopped, false), s_of(10));
    assert_int_equal(move(&bench, CORE_STEP_PROBE, 0, resident, resident, false), s_of(0.5));
    /* Between tiers that are not resident: what the edges differ by, never less than nothing. */
    assert_int_equal(move(&bench, CORE_STEP_IN, 2, stopped, asleep, false), s_of(34));
    assert_int_equal(move(&bench, CORE_STEP_OUT, 2, asleep, stopped, false), s_of(5));
    bench_fini(&bench);
}

/* The k-th switch of a pair takes the same time whatever else was switched in between. */
static void test_keys(void **state)
{
    (void)state;
    enum { TIMES = 50 };
    struct bench one = bench_of(MATRIX ", distribution: exponential", 5);
    struct bench two = bench_of(MATRIX ", distribution: exponential", 5);
    struct bench other = bench_of(MATRIX ", distribution: exponential", 6);
    int64_t first[TIMES];
    uint32_t same = 0;
    for (uint32_t k = 0; k < TIMES; k++) {
        first[k] = load_from(&one, 0, 1);
    }
    for (uint32_t k = 0; k < TIMES; k++) {
        for (uint32_t i = 0; i < k % 4; i++) {
            (void)load_from(&two, i % 2 ? 2 : 0, i % 2 ? 0 : 2);
        }
        assert_int_equal(load_from(&two, 0, 1), first[k]);
        same += load_from(&other, 0, 1) == first[k];
    }
    assert_true(same < 3);
    bench_fini(&one);
    bench_fini(&two);
    bench_fini(&other);
}

static void expect_law(const char *law, double variance)
{
    enum { TIMES = 200000 };
    char costs[512];
    (void)snprintf(costs, sizeof costs, EDGES ", distribution: %s", law);
    struct bench bench = bench_of(costs, 3);
    double sum = 0;
    double squares = 0;
    for (uint32_t k = 0; k < TIMES; k++) {
        double s = (double)load_from(&bench, 1, 0) * 1e-9 / 2; /* its mean is 2 s */
        sum += s / TIMES;
        squares += s * s / TIMES;
    }
    assert_true(sum > 0.99 && sum < 1.01);
    double found = squares - sum * sum;
    assert_true(found > 0.93 * variance && found < 1.07 * variance);
    bench_fini(&bench);
}

static void test_laws(void **state)
{
    (void)state;
    expect_law("exponential", 1.0);
    expect_law("{dist: lognormal, sigma: 0.5}", 0.2840254167);
}

static void test_cache(void **state)
{
    (void)state;
    struct bench bench = bench_of(EDGES ", host_cache: {models: 2, hit_s: 1.5, miss_s: 20}", 1);
    assert_int_equal(load_from(&bench, 0, 1), s_of(20)); /* nothing has been moved out */
    switches_moved_out(bench.switches, 0);
    switches_moved_out(bench.switches, 1);
    assert_int_equal(load_from(&bench, 1, 0), s_of(1.5));
    assert_int_equal(load_from(&bench, 0, 1), s_of(1.5));
    assert_int_equal(load_from(&bench, 0, 2), s_of(20));
    switches_moved_out(bench.switches, 2); /* the last two: 2, 1 */
    assert_int_equal(load_from(&bench, 1, 0), s_of(20));
    switches_moved_out(bench.switches, 1); /* again: 1, 2 */
    assert_int_equal(load_from(&bench, 1, 2), s_of(1.5));
    switches_moved_out(bench.switches, 0);
    assert_int_equal(load_from(&bench, 1, 2), s_of(20));
    bench_fini(&bench);
}

static void test_failures_and_late_steps(void **state)
{
    (void)state;
    enum { TIMES = 20000 };
    struct bench bench =
        bench_of(EDGES ", fail_probability: 0.2, late: {probability: 0.1, factor: 7}", 9);
    uint32_t failed = 0;
    uint32_t late = 0;
    for (uint32_t k = 0; k < TIMES; k++) {
        struct switches_outcome outcome = load(&bench, 0, NULL, 0);
        failed += !outcome.ok;
        late += outcome.duration_ns == s_of(14);
        assert_true(outcome.duration_ns == s_of(14) || outcome.duration_ns == s_of(2));
    }
    assert_true(failed > TIMES * 0.19 && failed < TIMES * 0.21);
    assert_true(late > TIMES * 0.09 && late < TIMES * 0.11);
    bench_fini(&bench);
}

/* What is told beforehand is what would be learned. */
static void test_priors(void **state)
{
    (void)state;
    struct scenario *scenario = sim_scenario_of(MODELS "switch: {" MATRIX "}\ncosts: known\n");
    const struct sim_options options = {.scenario = scenario, .seed = 1};
    struct sim *sim = NULL;
    char err[SIM_ERROR_MAX] = "";
    assert_int_equal(sim_create(&options, &sim, err, sizeof err), 0);
    struct core_cost cost;
    core_cost_pair(sim_core(sim), 2, 1, &cost);
    assert_true(cost.count > 0 && cost.mean_ns == 32e9);
    core_cost_pair(sim_core(sim), CORE_NONE, 2, &cost);
    assert_true(cost.count > 0 && cost.mean_ns == 256e9);
    sim_destroy(sim);
    scenario_free(scenario);
    scenario = sim_scenario_of(MODELS "switch: {" EDGES "}\ncosts: known\n");
    const struct sim_options edges = {.scenario = scenario, .seed = 1};
    assert_int_equal(sim_create(&edges, &sim, err, sizeof err), 0);
    core_cost_part(sim_core(sim), 0, SHUNT_TIER_ASLEEP, CORE_COST_IN, &cost);
    assert_true(cost.count > 0 && cost.mean_ns == 2.5e9); /* with its probe */
    core_cost_part(sim_core(sim), 1, SHUNT_TIER_ASLEEP, CORE_COST_OUT, &cost);
    assert_true(cost.count > 0 && cost.mean_ns == 3e9);
    sim_destroy(sim);
    scenario_free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_matrix_and_tiers),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_laws),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_failures_and_late_steps),
        cmocka_unit_test(test_priors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
