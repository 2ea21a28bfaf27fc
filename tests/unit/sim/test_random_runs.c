/*
 * A seed chooses everything: devices, models, engines, costs, limits, guard, arrivals, faults,
 * swaps, the operator, the policy. Every run is checked after every input, ends, loses nothing,
 * keeps the guaranteed gaps, and is the same again.
 *
 *     SHUNT_SEEDS=FIRST-LAST   other seeds than the usual ones
 */
#include "sim_fixture.h"

#include "base/random.h"

#include <math.h>

enum { TEXT_MAX = 16384, CHANGES_MAX = 24, SEEDS = 150 };

struct choice {
    uint64_t seed, k;
    char text[TEXT_MAX];
    size_t used;
    uint32_t models, devices;
    bool guard_off, guard_set;
    struct sim_change changes[CHANGES_MAX];
    uint32_t change_count;
};

static uint64_t roll(struct choice *c, uint64_t n)
{
    return random_u64(c->seed, 77, c->k++) % n;
}

static double between(struct choice *c, double low, double high)
{
    return low + (high - low) * random_unit(random_u64(c->seed, 78, c->k++));
}

static void put(struct choice *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct choice *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(c->text + c->used, TEXT_MAX - c->used, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < TEXT_MAX - c->used);
    c->used += (size_t)n;
}

/* ------------------------------------------------------------------ scenario */

static const char *const kinds[] = {"serial", "batch", "ps", "unlimited"};

static void put_model(struct choice *c, uint32_t m, uint64_t kind)
{
    put(c, "  - {name: m%u, memory_gib: {resident: %.1f, asleep: %.1f}, tiers: [asleep, stopped], ",
        m, between(c, 10, 40), roll(c, 2) ? 0.0 : 0.5);
    if (kind == 3) {
        put(c, "max_concurrency: unlimited, ");
    } else {
        put(c, "max_concurrency: %u, ", 1 + (unsigned)roll(c, 6));
    }
    put(c, "service: {kind: %s", kinds[kind]);
    if (kind == 1) {
        put(c, ", p0_s: 0.05, p1_s: 0.001, d0_s: 0.02, d1_s: %.4f, d2_s: %.7f",
            between(c, 0, 0.005), between(c, 0, 0.00001));
    } else if (kind == 2) {
        put(c, ", rate: %.2f", between(c, 0.5, 3));
    }
    put(c, "}}\n");
}

static void put_times(struct choice *c, const char *key, uint32_t zero)
{
    put(c, "%s[", key);
    for (uint32_t i = 0; i < c->models; i++) {
        put(c, "%s%.3f", i ? ", " : "", i == zero ? 0.0 : between(c, 0.1, 12));
    }
    put(c, "]");
}

static void put_switch(struct choice *c)
{
    put(c, "switch: {");
    if (roll(c, 2)) {
        put(c, "matrix_s: [");
        for (uint32_t i = 0; i < c->models; i++) {
            put_times(c, i ? ", " : "", i);
        }
        put(c, "]");
        put_times(c, ", from_empty_s: ", c->models);
        put_times(c, ", to_empty_s: ", c->models);
    } else {
        put(c, "per_model: {");
        for (uint32_t i = 0; i < c->models; i++) {
            put(c, "%sm%u: {sleep_s: %.2f, wake_s: %.2f, probe_s: %.2f}", i ? ", " : "", i,
                between(c, 0, 3), between(c, 0.1, 9), roll(c, 2) ? 0.0 : between(c, 0, 1));
        }
        put(c, "}, tiers: {stopped: {out_s: %.2f, in_s: %.2f}}", between(c, 0, 4),
            between(c, 9, 30));
    }
    static const char *const laws[] = {"deterministic", "exponential",
                                       "{dist: lognormal, sigma: 0.7}"};
    put(c, ", distribution: %s", laws[roll(c, 3)]);
    if (roll(c, 4) == 0) {
        put(c, ", host_cache: {models: %u, hit_s: 1, miss_s: 15}", (unsigned)(1 + roll(c, 3)));
    }
    put(c, ", fail_probability: %.2f", roll(c, 2) ? 0.0 : between(c, 0, 0.3));
    if (roll(c, 3) == 0) {
        put(c, ", late: {probability: 0.1, factor: %.1f}", between(c, 1, 40));
    }
    put(c, "}\n");
}

static void put_limits(struct choice *c)
{
    put(c, "limits: {queue_per_model: %u, max_wait_s: %.1f, service_limit_s: %.1f",
        (unsigned)(3 + roll(c, 100)), roll(c, 2) ? 0.0 : between(c, 50, 900),
        roll(c, 3) ? between(c, 30, 200) : 0.0);
    if (roll(c, 2)) {
        put(c, ", patience: {dist: exponential, mean: %.1f}", between(c, 20, 600));
    }
    put(c, "}\n");
    c->guard_off = roll(c, 6) == 0;
    if (c->guard_off) {
        put(c, "guard: off\n");
    } else if (roll(c, 3)) {
        put(c,
            "guard: {overtakes: %u, age_s: %.1f, visit_cap_s: %.1f, drain_s: %.2f, "
            "drain_mode: %s, switch_timeout_s: %.1f}\n",
            (unsigned)(1 + roll(c, 10)), between(c, 20, 500), between(c, 5, 200),
            between(c, 0.5, 60), roll(c, 2) ? "requeue" : "finish", between(c, 45, 120));
    }
    if (roll(c, 3) == 0) {
        put(c, "decision_latency_s: %.3f\n", between(c, 0.001, 0.1));
    }
    put(c, "costs: %s\n", roll(c, 2) ? "known" : "learned");
}

static void put_arrivals(struct choice *c, const uint64_t *kind)
{
    put(c, "horizon_s: %.1f\narrivals:\n", between(c, 300, 1500));
    bool any = false;
    for (uint32_t m = 0; m < c->models; m++) {
        if (roll(c, 8) == 0 && (any || m + 1 < c->models)) {
            continue; /* nobody asks for it */
        }
        any = true;
        double mean_s = between(c, 0.2, 10);
        bool sessions = roll(c, 5) == 0;
        if (sessions) {
            put(c,
                "  - {kind: sessions, model: m%u, population: %u, think_s: {dist: exponential, "
                "mean: %.2f}",
                m, 1 + (unsigned)roll(c, 8), between(c, 1, 60));
        } else {
            put(c, "  - {kind: poisson, model: m%u, rate_per_s: %.4f", m,
                between(c, 0.02, 0.5) / mean_s);
        }
        if (kind[m] == 1) {
            put(c,
                ", input_tokens: {dist: exponential, mean: 300}, output_tokens: {dist: "
                "exponential, mean: %.1f}}\n",
                mean_s * 30);
        } else {
            put(c, ", service_s: {dist: exponential, mean: %.3f}}\n", mean_s);
        }
    }
}

static void put_faults(struct choice *c)
{
    uint32_t faults = roll(c, 2) ? 0 : 1 + (uint32_t)roll(c, 5);
    double at_s = 0;
    put(c, "faults: [");
    for (uint32_t i = 0; i < faults; i++) {
        at_s += between(c, 0, 300);
        if (roll(c, 3)) {
            put(c, "%s{at_s: %.3f, kind: engine_lost, model: m%u}", i ? ", " : "", at_s,
                (unsigned)roll(c, c->models));
        } else {
            unsigned device = (unsigned)roll(c, c->devices);
            put(c, "%s{at_s: %.3f, kind: device_down, device: g%u}, ", i ? ", " : "", at_s, device);
            at_s += between(c, 0, 100);
            put(c, "{at_s: %.3f, kind: device_up, device: g%u}", at_s, device);
        }
    }
    put(c, "]\n");
}

static void choose_scenario(struct choice *c)
{
    uint64_t kind[8];
    c->models = 1 + (uint32_t)roll(c, 6);
    c->devices = 1 + (uint32_t)roll(c, 3);
    put(c, "scenario: seed%llu\ndevices: [", (unsigned long long)c->seed);
    for (uint32_t i = 0; i < c->devices; i++) {
        put(c, "%s{name: g%u, memory_gib: %.1f}", i ? ", " : "", i, between(c, 44, 90));
    }
    put(c, "]\nmodels:\n");
    for (uint32_t m = 0; m < c->models; m++) {
        kind[m] = roll(c, 4);
        put_model(c, m, kind[m]);
    }
    if (roll(c, 2)) {
        put(c, "initial: {g0: m0}\n");
    }
    put_switch(c);
    put_limits(c);
    put_faults(c);
    put_arrivals(c, kind);
}

/* ------------------------------------------------------------------ policies and changes */

static const char *const policies[] = {
    NULL,
    SIM_POLICIES "fifo.so",
    SIM_POLICIES "amortized.so",
    SIM_POLICIES "costaware.so",
    SIM_POLICIES "adaptive_stale.so",
    SIM_POLICIES "exhaustive.so",
    SIM_POLICIES "gated.so",
    SIM_POLICIES "k_limited.so",
    SIM_POLICIES "longest_queue.so",
    SIM_POLICIES "round_robin.so",
    SIM_TESTERS "always_stay.so",
    SIM_TESTERS "always_switch.so",
    SIM_TESTERS "random_switch.so",
    SIM_TESTERS "garbage_answers.so",
    SIM_TESTERS "decide_fails.so",
    SIM_TESTERS "roving_exhaustive.so",
};

static struct sim_policy choose_policy(struct choice *c)
{
    const char *path = policies[roll(c, sizeof policies / sizeof policies[0])];
    return (struct sim_policy){.plugin = path ? sim_plugin(path) : NULL};
}

static void choose_changes(struct choice *c)
{
    c->change_count = roll(c, 2) ? 0 : (uint32_t)roll(c, CHANGES_MAX);
    int64_t at_ns = 0;
    for (uint32_t i = 0; i < c->change_count; i++) {
        struct sim_change *change = &c->changes[i];
        at_ns += (int64_t)roll(c, 100) * CORE_NS_PER_S;
        change->at_ns = at_ns;
        change->is_operator = roll(c, 3) == 0;
        change->hand_over = roll(c, 2) != 0;
        if (change->is_operator) {
            change->op = (struct core_in_operator){.operation = (uint32_t)roll(c, CORE_OP_STOP + 1),
                                                   .model = (uint32_t)roll(c, c->models),
                                                   .instance = SHUNT_NONE};
        } else {
            change->policy = choose_policy(c);
        }
    }
}

/* ------------------------------------------------------------------ runs */

/* Gaps keep the guaranteed bound where the conditions of its proof hold (no operator, no fault) and
 * where it is the same all the time (automatic settings follow what has been learned). */
static void check_gaps(const struct choice *c, const struct scenario *scenario,
                       const struct result *result)
{
    bool holds = c->guard_set && c->change_count == 0 && scenario->fault_count == 0;
    for (uint32_t m = 0; holds && m < c->models; m++) {
        const struct result_model *model = &result->models[m];
        if (!isnan(model->gap_bound_s) && model->gap_max_s > model->gap_bound_s) {
            (void)fputs(c->text, stderr);
            fail_msg("seed %llu: gap of %s %.3f s above its bound %.3f s",
                     (unsigned long long)c->seed, model->name, model->gap_max_s,
                     model->gap_bound_s);
        }
    }
}

static void run_seed(uint64_t seed, uint64_t *requests)
{
    static struct choice c;
    memset(&c, 0, sizeof c);
    c.seed = seed;
    choose_scenario(&c);
    struct scenario *scenario = NULL;
    char err[SCENARIO_ERROR_MAX] = "";
    if (scenario_parse(c.text, c.used, "seed.yaml", NULL, &scenario, err, sizeof err) != 0) {
        (void)fputs(c.text, stderr);
        fail_msg("seed %llu: %s", (unsigned long long)seed, err);
    }
    choose_changes(&c);
    struct sim_run_of run = {.scenario = scenario, .seed = seed, .policy = choose_policy(&c)};
    run.changes = c.changes;
    run.change_count = c.change_count;
    int rc = sim_run_it(&run);
    const struct sim_digest first = run.digest;
    if (rc != 0 && !(rc == -ELOOP && c.guard_off)) {
        (void)fputs(c.text, stderr);
        fail_msg("seed %llu: %d %s", (unsigned long long)seed, rc, run.err);
    }
    if (rc == 0) {
        *requests += run.result.requests.offered;
        check_gaps(&c, scenario, &run.result);
        result_fini(&run.result);
    }
    run.unchecked = true;
    if (sim_run_it(&run) != rc || run.digest.hash != first.hash) {
        (void)fputs(c.text, stderr);
        fail_msg("seed %llu: another run of it is another", (unsigned long long)seed);
    }
    if (rc == 0) {
        result_fini(&run.result);
    }
    scenario_free(scenario);
}

static void test_seeds(void **state)
{
    (void)state;
    unsigned long long first = 1;
    unsigned long long last = SEEDS;
    const char *wanted = getenv("SHUNT_SEEDS");
    if (wanted) {
        assert_int_equal(sscanf(wanted, "%llu-%llu", &first, &last), 2);
    }
    uint64_t requests = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        run_seed(seed, &requests);
    }
    assert_true(wanted || requests > 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
