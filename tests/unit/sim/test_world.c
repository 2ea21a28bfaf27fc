/*
 * Whole runs: waits worked out by hand, the golden instances of the offline problem under the
 * policies that they were computed for, determinism, and what the world does when things fail.
 */
#include "sim_fixture.h"

static void expect_near(double value, double expected, double tolerance)
{
    if (!(value >= expected - tolerance && value <= expected + tolerance)) {
        fail_msg("%.9g instead of %.9g", value, expected);
    }
}

#define TWO                                                                                        \
    "scenario: t\n"                                                                                \
    "devices: [{name: gpu0, memory_gib: 80}]\n"                                                    \
    "models:\n"                                                                                    \
    "  - {name: a, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"                 \
    "  - {name: b, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"                 \
    "warmup: {arrivals_fraction: 0, visits: 0}\n"
#define FIVE "switch: {matrix_s: [[0, 5], [5, 0]], from_empty_s: [1, 1], to_empty_s: [1, 1]}\n"
#define AT_A "initial: {gpu0: a}\n"

static struct sim_run_of run_of(const struct scenario *scenario, const char *policy)
{
    return (struct sim_run_of){
        .scenario = scenario, .policy = {.plugin = policy ? sim_plugin(policy) : NULL}, .seed = 1};
}

/* ------------------------------------------------------------------ golden instances */

struct golden {
    const char *policy;
    double sum_s, max_s, makespan_s;
    uint64_t switches;
};

static void expect_golden(const char *text, const struct golden *golden, size_t count)
{
    struct scenario *scenario = sim_scenario_of(text);
    for (size_t i = 0; i < count; i++) {
        struct sim_run_of run = run_of(scenario, golden[i].policy);
        sim_run_well(&run);
        double waits_s = run.result.wait_all.mean_s * (double)run.result.wait_all.count;
        expect_near(waits_s, golden[i].sum_s, 1e-6);
        expect_near(run.result.wait_all.max_s, golden[i].max_s, 1e-9);
        assert_true(run.end_ns == (int64_t)(golden[i].makespan_s * 1e9));
        assert_int_equal(run.digest.switches, golden[i].switches);
        result_fini(&run.result);
    }
    scenario_free(scenario);
}

static void test_golden_g1(void **state)
{
    (void)state;
    static const struct golden golden[] = {
        {NULL, 74, 21, 37, 4},
        {SIM_POLICIES "fifo.so", 74, 21, 37, 4},
        {SIM_POLICIES "oldest_first.so", 56, 18, 27, 2},
    };
    expect_golden(TWO FIVE AT_A
                  "arrivals: [{kind: list, jobs: [[0, a, 2], [3, a, 2], [11, a, 2], [14, a, 2], "
                  "[1, b, 3], [2, b, 3], [12, b, 3]]}]\n",
                  golden, sizeof golden / sizeof golden[0]);
}

static void test_golden_g2(void **state)
{
    (void)state;
    static const struct golden golden[] = {
        {NULL, 199, 38, 62, 6},
        {SIM_POLICIES "fifo.so", 199, 38, 62, 6},
        {SIM_POLICIES "oldest_first.so", 159, 28, 48, 4},
    };
    expect_golden("scenario: g2\n"
                  "devices: [{name: gpu0, memory_gib: 80}]\n"
                  "models:\n"
                  "  - {name: m0, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"
                  "  - {name: m1, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"
                  "  - {name: m2, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"
                  "switch: {matrix_s: [[0, 6, 10], [4, 0, 10], [3, 5, 0]], "
                  "from_empty_s: [1, 1, 1], to_empty_s: [1, 1, 1]}\n"
                  "initial: {gpu0: m0}\n"
                  "arrivals: [{kind: list, jobs: [[0, m0, 1], [1, m0, 1], [9, m0, 1], "
                  "[10, m0, 1], [20, m0, 1], [2, m1, 4], [15, m1, 4], [16, m1, 4], "
                  "[3, m2, 2], [4, m2, 2], [22, m2, 2]]}]\n",
                  golden, sizeof golden / sizeof golden[0]);
}

/* ------------------------------------------------------------------ by hand */

/* The wait sum, largest wait and end of a run under the built-in. */
static void expect_run(const char *text, double sum_s, double max_s, double end_s)
{
    struct scenario *scenario = sim_scenario_of(text);
    struct sim_run_of run = run_of(scenario, NULL);
    sim_run_well(&run);
    double waits_s = run.result.wait_all.mean_s * (double)run.result.wait_all.count;
    expect_near(waits_s, sum_s, 1e-6);
    expect_near(run.result.wait_all.max_s, max_s, 1e-9);
    expect_near((double)run.end_ns * 1e-9, end_s, 1e-9);
    result_fini(&run.result);
    scenario_free(scenario);
}

static void test_from_empty(void **state)
{
    (void)state;
    /* The device is empty: the first switch takes from_empty, the second the pair. */
    expect_run(TWO "switch: {matrix_s: [[0, 5], [7, 0]], from_empty_s: [1, 2], "
                   "to_empty_s: [1, 1]}\n"
                   "arrivals: [{kind: list, jobs: [[0, b, 3], [1, a, 4]]}]\n",
               2 + 11, 11, 16);
}

static void test_per_model_costs(void **state)
{
    (void)state;
    /* Out 1, in 2.5 + probe 0.5: b starts at 2 + 4. */
    expect_run(TWO AT_A "switch: {per_model: {a: {sleep_s: 1, wake_s: 9}, "
                        "b: {sleep_s: 2, wake_s: 2.5, probe_s: 0.5}}}\n"
                        "arrivals: [{kind: list, jobs: [[0, a, 2], [1, b, 3]]}]\n",
               5, 5, 9);
}

static void test_several_servers(void **state)
{
    (void)state;
    static const char head[] =
        "scenario: t\n"
        "devices: [{name: gpu0, memory_gib: 80}]\n"
        "models: [{name: a, memory_gib: 50, max_concurrency: %s, service: {kind: %s}}]\n"
        "switch: {matrix_s: [[0]], from_empty_s: [1], to_empty_s: [1]}\n" AT_A
        "arrivals: [{kind: list, jobs: [[0, a, 4], [1, a, 4], [2, a, 4]]}]\n";
    char text[1024];
    (void)snprintf(text, sizeof text, head, "2", "serial");
    expect_run(text, 2, 2, 8);
    (void)snprintf(text, sizeof text, head, "unlimited", "unlimited");
    expect_run(text, 0, 0, 6);
    /* 0-1 alone: 3 left; 1-2 two: 2.5, 3.5; then three until the first ends at 9.5; two: 1 and 1.5
     * left until 11.5; the last at 12. */
    (void)snprintf(text, sizeof text, head, "8", "ps");
    expect_run(text, 0, 0, 12);
}

/* The hand-worked case of test_engine_batch.c, through the core. */
static void test_batch(void **state)
{
    (void)state;
    struct scenario *scenario = sim_scenario_of(
        "scenario: t\n"
        "devices: [{name: gpu0, memory_gib: 80}]\n"
        "models: [{name: a, memory_gib: 50, max_concurrency: 8, service: {kind: batch, "
        "p0_s: 1.0e-5, p1_s: 1.0e-6, d0_s: 5.0e-6, d1_s: 2.0e-6, d2_s: 1.0e-6}}]\n"
        "switch: {matrix_s: [[0]], from_empty_s: [1], to_empty_s: [1]}\n" AT_A
        "warmup: {arrivals_fraction: 0, visits: 0}\n"
        "arrivals: [{kind: list, jobs: [[0, a, 1, 3, 4], [2.0e-5, a, 1, 2, 2]]}]\n");
    struct sim_run_of run = run_of(scenario, NULL);
    sim_run_well(&run);
    assert_int_equal(run.end_ns, 66000);
    expect_near(run.result.ttft.mean_s, (13e-6 + 16e-6) / 2, 1e-12);
    expect_near(run.result.response.max_s, 66e-6, 1e-12);
    result_fini(&run.result);
    scenario_free(scenario);
}

static void test_decision_latency(void **state)
{
    (void)state;
    /* The switch to b begins a quarter of a second after it arrives, and back likewise; later than
     * the guard's deadline for answers the built-in would have answered. */
    struct scenario *scenario =
        sim_scenario_of(TWO FIVE AT_A "decision_latency_s: 0.25\n"
                                      "guard: {answer_ms: 1000}\n"
                                      "arrivals: [{kind: list, jobs: [[1, b, 2], [20, a, 1]]}]\n");
    struct sim_run_of run = run_of(scenario, SIM_POLICIES "fifo.so");
    sim_run_well(&run);
    expect_near(run.result.wait_all.mean_s, 5.25, 1e-9);
    assert_int_equal(run.end_ns, INT64_C(26250000000));
    result_fini(&run.result);
    scenario_free(scenario);
}

static void test_patience(void **state)
{
    (void)state;
    /* Two seconds of patience: the second and third leave while the first is served; one that is
     * being served stays. */
    struct scenario *scenario = sim_scenario_of(
        TWO FIVE AT_A "limits: {patience: {dist: deterministic, mean: 2}}\n"
                      "arrivals: [{kind: list, jobs: [[0, a, 4], [1, a, 4], [1.5, a, 4], "
                      "[3, a, 1]]}]\n");
    struct sim_run_of run = run_of(scenario, NULL);
    sim_run_well(&run);
    assert_int_equal(run.result.requests.completed, 2);
    assert_int_equal(run.result.requests.cancelled, 2);
    assert_int_equal(run.end_ns, INT64_C(5000000000));
    result_fini(&run.result);
    scenario_free(scenario);
}

static void test_service_limit(void **state)
{
    (void)state;
    /* The host ends what is served for longer, whatever the kind of engine. */
    static const char *const kinds[] = {"serial", "ps", "unlimited"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char text[1024];
        (void)snprintf(
            text, sizeof text,
            "scenario: t\n"
            "devices: [{name: gpu0, memory_gib: 80}]\n"
            "models: [{name: a, memory_gib: 50, max_concurrency: %s, service: {kind: %s}}]\n"
            "switch: {matrix_s: [[0]], from_empty_s: [1], to_empty_s: [1]}\n" AT_A
            "limits: {service_limit_s: 3}\n"
            "arrivals: [{kind: list, jobs: [[0, a, 2.5], [4, a, 7], [5, a, 0.5]]}]\n",
            strcmp(kinds[i], "unlimited") == 0 ? "unlimited" : "4", kinds[i]);
        struct scenario *scenario = sim_scenario_of(text);
        struct sim_run_of run = run_of(scenario, NULL);
        sim_run_well(&run);
        assert_int_equal(run.result.requests.completed, 2);
        assert_int_equal(run.result.requests.failed, 1);
        assert_int_equal(run.end_ns, INT64_C(7000000000));
        result_fini(&run.result);
        scenario_free(scenario);
    }
}

static void test_host_cache(void **state)
{
    (void)state;
    /* One model in the cache, the last that left: a hit on the way back, misses else. */
    expect_run("scenario: t\n"
               "devices: [{name: gpu0, memory_gib: 80}]\n"
               "models:\n"
               "  - {name: a, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"
               "  - {name: b, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"
               "  - {name: c, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n"
               "switch: {matrix_s: [[0, 1, 1], [1, 0, 1], [1, 1, 0]], from_empty_s: [1, 1, 1], "
               "to_empty_s: [1, 1, 1], host_cache: {models: 1, hit_s: 2, miss_s: 10}}\n" AT_A
               /* b misses (10), a hits (2), c misses, b misses: it left before a. */
               "arrivals: [{kind: list, jobs: [[0, b, 1], [20, a, 1], [40, c, 1], [60, b, 1]]}]\n",
               10 + 2 + 10 + 10, 10, 71);
}

/* ------------------------------------------------------------------ what goes wrong */

static void test_failed_loads(void **state)
{
    (void)state;
    /* Every load fails: the requests that wait for it end, none hangs. */
    struct scenario *scenario = sim_scenario_of(
        TWO AT_A "switch: {matrix_s: [[0, 5], [5, 0]], from_empty_s: [1, 1], to_empty_s: [1, 1], "
                 "fail_probability: 1}\n"
                 "arrivals: [{kind: list, jobs: [[0, b, 2], [1, b, 2], [2, a, 3]]}]\n");
    struct sim_run_of run = run_of(scenario, NULL);
    sim_run_well(&run);
    assert_int_equal(run.result.requests.failed + run.result.requests.rejected, 3);
    assert_true(run.digest.switches_failed >= 1);
    result_fini(&run.result);
    scenario_free(scenario);
}

static void test_engine_lost(void **state)
{
    (void)state;
    /* a dies at 2 with one in service, which is served again from the start after a load. */
    expect_run(TWO FIVE AT_A "faults: [{at_s: 2, kind: engine_lost, model: a}]\n"
                             "arrivals: [{kind: list, jobs: [[0, a, 4]]}]\n",
               3, 3, 7);
}

static void test_device_lost(void **state)
{
    (void)state;
    struct scenario *scenario = sim_scenario_of(
        TWO FIVE AT_A "faults: [{at_s: 2, kind: device_down, device: gpu0}, "
                      "{at_s: 9, kind: device_up, device: gpu0}]\n"
                      "arrivals: [{kind: list, jobs: [[0, a, 4], [1, b, 4], [10, a, 3]]}]\n");
    struct sim_run_of run = run_of(scenario, NULL);
    sim_run_well(&run);
    assert_int_equal(run.result.requests.completed, 1);
    assert_int_equal(run.result.requests.failed, 2);
    assert_int_equal(run.end_ns, INT64_C(14000000000));
    result_fini(&run.result);
    scenario_free(scenario);
}

/* ------------------------------------------------------------------ no end */

static void test_switches_without_time(void **state)
{
    (void)state;
    struct scenario *scenario = sim_scenario_of(
        TWO AT_A "switch: {matrix_s: [[0, 0], [0, 0]], from_empty_s: [0, 0], to_empty_s: [0, 0]}\n"
                 "guard: off\n"
                 "arrivals: [{kind: list, jobs: [[0, a, 1], [10, b, 1], [20, a, 1]]}]\n");
    struct sim_run_of run = run_of(scenario, SIM_TESTERS "roving_exhaustive.so");
    int rc = sim_run_it(&run);
    assert_int_equal(rc, -ELOOP);
    assert_non_null(strstr(run.err, "roving_exhaustive"));
    assert_non_null(strstr(run.err, "without time passing"));
    scenario_free(scenario);
}

static void test_starved(void **state)
{
    (void)state;
    struct scenario *scenario =
        sim_scenario_of(TWO FIVE AT_A "guard: off\n"
                                      "limits: {max_wait_s: 0}\n"
                                      "arrivals: [{kind: list, jobs: [[0, a, 1], [0, b, 1]]}]\n");
    struct sim_run_of run = run_of(scenario, SIM_TESTERS "always_stay.so");
    assert_int_equal(sim_run_it(&run), -ELOOP);
    assert_non_null(strstr(run.err, "always_stay leaves 1 requests of b"));
    scenario_free(scenario);
    /* With the guard it is served. */
    scenario =
        sim_scenario_of(TWO FIVE AT_A "guard: {visit_cap_s: 20}\n"
                                      "arrivals: [{kind: list, jobs: [[0, a, 1], [0, b, 1]]}]\n");
    run.scenario = scenario;
    sim_run_well(&run);
    assert_int_equal(run.result.requests.completed, 2);
    result_fini(&run.result);
    scenario_free(scenario);
}

static void test_service_unknown(void **state)
{
    (void)state;
    struct scenario *scenario = sim_scenario_of(
        "scenario: t\n"
        "devices: [{name: gpu0, memory_gib: 80}]\n"
        "models: [{name: a, memory_gib: 50, max_concurrency: 4, service: {kind: batch, "
        "d0_s: 0.1}}]\n"
        "switch: {matrix_s: [[0]], from_empty_s: [1], to_empty_s: [1]}\n" AT_A
        "arrivals: [{kind: list, jobs: [[0, a, 1]]}]\n");
    struct sim_run_of run = run_of(scenario, NULL);
    assert_int_equal(sim_run_it(&run), -EINVAL);
    assert_non_null(strstr(run.err, "test.yaml"));
    assert_non_null(strstr(run.err, "tokens"));
    scenario_free(scenario);
}

static void test_policy_without_a_start(void **state)
{
    (void)state;
    struct scenario *scenario =
        sim_scenario_of(TWO FIVE AT_A "arrivals: [{kind: list, jobs: [[0, a, 1]]}]\n");
    struct sim_run_of run = run_of(scenario, SIM_TESTERS "create_fails.so");
    assert_int_equal(sim_run_it(&run), -EIO);
    assert_non_null(strstr(run.err, "create_fails"));
    run = run_of(scenario, SIM_TESTERS "layout_fails.so");
    assert_int_equal(sim_run_it(&run), -EIO);
    assert_non_null(strstr(run.err, "layout_fails"));
    scenario_free(scenario);
}

/* ------------------------------------------------------------------ many runs */

#define BUSY                                                                                       \
    "scenario: t\n"                                                                                \
    "devices: [{name: gpu0, memory_gib: 80}, {name: gpu1, memory_gib: 40}]\n"                      \
    "models:\n"                                                                                    \
    "  - {name: a, memory_gib: 35, max_concurrency: 1, service: {kind: serial}}\n"                 \
    "  - {name: b, memory_gib: 50, max_concurrency: 4, service: {kind: ps, rate: 1.5}}\n"          \
    "  - {name: c, memory_gib: 30, max_concurrency: 3, service: {kind: batch, p0_s: 0.1, "         \
    "p1_s: 0.001, d0_s: 0.02, d1_s: 0.001, d2_s: 1.0e-6}}\n"                                       \
    "  - {name: d, memory_gib: 20, max_concurrency: unlimited, service: {kind: unlimited}}\n"      \
    "switch: {per_model: {a: {sleep_s: 1, wake_s: 4}, b: {sleep_s: 2, wake_s: 3, probe_s: 0.5}, "  \
    "c: {sleep_s: 0, wake_s: 2}, d: {sleep_s: 1, wake_s: 6}}, distribution: exponential, "         \
    "fail_probability: 0.1, late: {probability: 0.05, factor: 10}}\n"                              \
    "limits: {patience: {dist: exponential, mean: 200}, max_wait_s: 400, queue_per_model: 40, "    \
    "service_limit_s: 60}\n"                                                                       \
    "guard: {drain_s: 5, drain_mode: requeue, switch_timeout_s: 40}\n"                             \
    "faults: [{at_s: 900, kind: engine_lost, model: a}, {at_s: 1200, kind: engine_lost, "          \
    "model: c}, {at_s: 1500, kind: device_down, device: gpu0}, {at_s: 1700, kind: device_up, "     \
    "device: gpu0}, {at_s: 2500, kind: engine_lost, model: b}]\n"                                  \
    "arrivals:\n"                                                                                  \
    "  - {kind: poisson, model: a, rate_per_s: 0.05, service_s: {dist: exponential, mean: 6}}\n"   \
    "  - {kind: poisson, model: b, rate_per_s: 0.05, service_s: {dist: exponential, mean: 9}}\n"   \
    "  - {kind: poisson, model: c, rate_per_s: 0.1, input_tokens: {dist: exponential, "            \
    "mean: 300}, output_tokens: {dist: exponential, mean: 200}}\n"                                 \
    "  - {kind: poisson, model: d, rate_per_s: 0.03, service_s: {dist: exponential, mean: 20}}\n"  \
    "horizon_s: 4000\n"

static const char *const busy_policies[] = {
    NULL,
    SIM_POLICIES "fifo.so",
    SIM_POLICIES "amortized.so",
    SIM_TESTERS "always_switch.so",
    SIM_TESTERS "random_switch.so",
    SIM_TESTERS "garbage_answers.so",
    SIM_TESTERS "decide_fails.so",
    SIM_TESTERS "always_stay.so",
};
enum { BUSY_POLICIES = sizeof busy_policies / sizeof busy_policies[0] };

/* Nothing is lost or counted twice whatever happens (sim_run and core_check look), the same seed
 * gives the same actions, and what is offered does not depend on the policy. */
static void test_the_same_again(void **state)
{
    (void)state;
    struct scenario *scenario = sim_scenario_of(BUSY);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        uint64_t arrivals_hash = 0;
        for (size_t i = 0; i < BUSY_POLICIES; i++) {
            struct sim_run_of run = run_of(scenario, busy_policies[i]);
            run.seed = seed;
            sim_run_well(&run);
            const struct sim_digest first = run.digest;
            const struct result_requests *requests = &run.result.requests;
            assert_true(requests->offered > 700);
            assert_int_equal(requests->offered, requests->completed + requests->rejected +
                                                    requests->cancelled + requests->expired +
                                                    requests->failed + requests->cut);
            result_fini(&run.result);
            if (i < 3) {
                run.unchecked = true;
                sim_run_well(&run);
                assert_int_equal(run.digest.actions, first.actions);
                assert_true(run.digest.hash == first.hash);
                result_fini(&run.result);
            }
            assert_true(i == 0 || arrivals_hash == first.arrivals_hash);
            arrivals_hash = first.arrivals_hash;
        }
    }
    scenario_free(scenario);
}

static void test_latency_changes_nothing_offered(void **state)
{
    (void)state;
    struct scenario *scenario = sim_scenario_of(BUSY "decision_latency_s: 0.05\n");
    for (size_t i = 0; i < BUSY_POLICIES; i++) {
        struct sim_run_of run = run_of(scenario, busy_policies[i]);
        sim_run_well(&run);
        result_fini(&run.result);
    }
    scenario_free(scenario);
}

/* ------------------------------------------------------------------ swaps and operators */

static void test_swaps(void **state)
{
    (void)state;
    struct scenario *scenario = sim_scenario_of(BUSY);
    struct sim_change changes[40];
    memset(changes, 0, sizeof changes);
    for (uint32_t i = 0; i < 40; i++) {
        const char *path = busy_policies[i % BUSY_POLICIES];
        changes[i].at_ns = (int64_t)(i / 2) * INT64_C(150000000000); /* two at a time */
        changes[i].policy.plugin = path ? sim_plugin(path) : NULL;
        changes[i].hand_over = i % 3 == 0;
    }
    changes[7].is_operator = true;
    changes[7].op =
        (struct core_in_operator){.operation = CORE_OP_LOAD, .model = 1, .instance = SHUNT_NONE};
    changes[13].is_operator = true;
    changes[13].op =
        (struct core_in_operator){.operation = CORE_OP_UNLOAD, .model = 0, .instance = SHUNT_NONE};
    struct sim_run_of run = run_of(scenario, busy_policies[1]);
    run.changes = changes;
    run.change_count = 40;
    sim_run_well(&run);
    struct sim_digest first = run.digest;
    result_fini(&run.result);
    sim_run_well(&run);
    assert_true(first.hash == run.digest.hash);
    result_fini(&run.result);
    scenario_free(scenario);
}

/* A swap in the middle of a switch and of a service takes nothing from either. */
static void test_swap_by_hand(void **state)
{
    (void)state;
    struct scenario *scenario =
        sim_scenario_of(TWO FIVE AT_A "arrivals: [{kind: list, jobs: [[0, a, 4], [1, b, 4]]}]\n");
    struct sim_change changes[2] = {
        {.at_ns = INT64_C(2000000000), .policy = {.plugin = sim_plugin(busy_policies[2])}},
        {.at_ns = INT64_C(6000000000), .policy = {.plugin = NULL}},
    };
    struct sim_run_of run = run_of(scenario, busy_policies[1]);
    run.changes = changes;
    run.change_count = 2;
    sim_run_well(&run);
    assert_int_equal(run.result.requests.completed, 2);
    assert_int_equal(run.end_ns, INT64_C(13000000000));
    result_fini(&run.result);
    scenario_free(scenario);
}

/* ------------------------------------------------------------------ sessions, progress */

static void test_sessions(void **state)
{
    (void)state;
    struct scenario *scenario =
        sim_scenario_of(TWO FIVE AT_A "arrivals: [{kind: sessions, model: b, population: 5, "
                                      "rounds: {dist: deterministic, mean: 20}, "
                                      "think_s: {dist: exponential, mean: 3}, "
                                      "service_s: {dist: exponential, mean: 1}}]\n");
    struct sim_run_of run = run_of(scenario, busy_policies[1]);
    sim_run_well(&run);
    assert_int_equal(run.result.requests.completed, 100);
    result_fini(&run.result);
    scenario_free(scenario);
}

static bool stop(void *ctx, double done)
{
    double *last = ctx;
    assert_true(done >= *last && done <= 1.0);
    *last = done;
    return done < 0.5;
}

static void test_stopped(void **state)
{
    (void)state;
    struct scenario *scenario =
        sim_scenario_of(TWO FIVE AT_A "arrivals: [{kind: poisson, model: a, rate_per_s: 0.5, "
                                      "service_s: {dist: exponential, mean: 1}}]\n"
                                      "requests: 200000\n");
    double last = 0;
    const struct sim_options options = {
        .scenario = scenario, .seed = 1, .progress = stop, .progress_ctx = &last};
    struct sim *sim = NULL;
    char err[SIM_ERROR_MAX] = "";
    assert_int_equal(sim_create(&options, &sim, err, sizeof err), 0);
    assert_int_equal(sim_run(sim, err, sizeof err), -ECANCELED);
    assert_true(last >= 0.5 && last < 0.7);
    sim_destroy(sim);
    scenario_free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_g1),
        cmocka_unit_test(test_golden_g2),
        cmocka_unit_test(test_from_empty),
        cmocka_unit_test(test_per_model_costs),
        cmocka_unit_test(test_several_servers),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_decision_latency),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_service_limit),
        cmocka_unit_test(test_host_cache),
        cmocka_unit_test(test_failed_loads),
        cmocka_unit_test(test_engine_lost),
        cmocka_unit_test(test_device_lost),
        cmocka_unit_test(test_switches_without_time),
        cmocka_unit_test(test_starved),
        cmocka_unit_test(test_service_unknown),
        cmocka_unit_test(test_policy_without_a_start),
        cmocka_unit_test(test_the_same_again),
        cmocka_unit_test(test_latency_changes_nothing_offered),
        cmocka_unit_test(test_swaps),
        cmocka_unit_test(test_swap_by_hand),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
