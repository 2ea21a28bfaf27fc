/*
 * The guard from outside: random scenarios, each simulated with every policy that ships and with
 * every hostile one. Whatever the policy, no gap and no wait exceeds the bound that the core states
 * (tests/guard_watch.h measures them), and every request ends.
 *
 *     SHUNT_SEEDS=FIRST-LAST   other seeds than the usual ones
 *     SHUNT_GUARD_TABLE=1      prints the largest ratios by policy
 */
#include "sim_fixture.h"

#include "base/random.h"
#include "guard_watch.h"

#include <dirent.h>

#ifdef __SANITIZE_ADDRESS__
#define SEEDS 20
#else
#define SEEDS 200
#endif

enum { TEXT_MAX = 16384, POLICIES_MAX = 96 };

/* ------------------------------------------------------------------ policies */

struct entry {
    char name[48];
    const struct plugin *plugin; /* NULL: the built-in */
    struct params *params;
    struct guard_watch worst; /* over all its runs */
};

static struct entry entries[POLICIES_MAX];
static uint32_t entry_count;

static struct entry *add_entry(const char *folder, const char *file, const char *name)
{
    assert_true(entry_count < POLICIES_MAX);
    struct entry *entry = &entries[entry_count++];
    (void)snprintf(entry->name, sizeof entry->name, "%s", name);
    if (file) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s%s.so", folder, file);
        entry->plugin = sim_plugin(path);
    }
    return entry;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((const char *)a, (const char *)b);
}

/* Whatever is in the folder of policies, so that new ones are not forgotten. */
static void add_shipped(void)
{
    char names[POLICIES_MAX][48];
    uint32_t count = 0;
    DIR *folder = opendir(SIM_POLICIES);
    assert_non_null(folder);
    for (const struct dirent *at = readdir(folder); at; at = readdir(folder)) {
        size_t length = strlen(at->d_name);
        if (length > 3 && length < 48 && strcmp(at->d_name + length - 3, ".so") == 0) {
            assert_true(count < POLICIES_MAX);
            (void)snprintf(names[count++], sizeof names[0], "%.*s", (int)length - 3, at->d_name);
        }
    }
    (void)closedir(folder);
    assert_true(count >= 13);
    qsort(names, count, sizeof names[0], by_name);
    for (uint32_t i = 0; i < count; i++) {
        (void)add_entry(SIM_POLICIES, names[i], names[i]);
    }
}

static void add_hostile(const char *manner, bool noise)
{
    char name[48];
    (void)snprintf(name, sizeof name, "hostile %s%s", manner, noise ? " + noise" : "");
    struct entry *entry = add_entry(SIM_TESTERS, "hostile", name);
    const struct param_assignment set[] = {
        {"manner", NULL, manner}, {"noise", NULL, noise ? "true" : "false"}, {"target", NULL, "1"}};
    char err[256] = "";
    assert_int_equal(params_create(&entry->plugin->schema, NULL, 0, &entry->params), 0);
    if (params_apply(entry->params, set, 3, PARAM_ORIGIN_CONFIG, false, err, sizeof err) != 0) {
        fail_msg("%s", err);
    }
}

static void add_policies(void)
{
    static const char *const testers[] = {"always_stay", "always_switch", "random_switch",
                                          "garbage_answers", "decide_fails"};
    static const char *const manners[] = {"leave",   "linger",   "starve",   "pingpong",
                                          "quantum", "gated",    "revoke",   "empty",
                                          "victims", "prefetch", "retarget", "youngest"};
    (void)add_entry(NULL, NULL, "built-in");
    add_shipped();
    for (size_t i = 0; i < sizeof testers / sizeof testers[0]; i++) {
        (void)add_entry(SIM_TESTERS, testers[i], testers[i]);
    }
    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        add_hostile(manners[i], false);
        add_hostile(manners[i], true);
    }
}

/* ------------------------------------------------------------------ scenarios */

struct choice {
    uint64_t seed, k;
    char text[TEXT_MAX];
    size_t used;
    uint32_t models, devices;
    uint64_t least; /* max_concurrency of all models */
    double limit_s; /* C */
    bool fixed;     /* no automatic setting */
};

static uint64_t roll(struct choice *c, uint64_t n)
{
    return random_u64(c->seed, 177, c->k++) % n;
}

static double between(struct choice *c, double low, double high)
{
    return low + (high - low) * random_unit(random_u64(c->seed, 178, c->k++));
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

/* Devices of unequal memory; the first is the largest, so that every model fits somewhere. */
static void put_devices(struct choice *c)
{
    c->devices = 1 + (uint32_t)roll(c, 3);
    put(c, "devices: [{name: g0, memory_gib: 80}");
    for (uint32_t i = 1; i < c->devices; i++) {
        put(c, ", {name: g%u, memory_gib: %u}", i, (unsigned)(roll(c, 2) ? 80 : 30));
    }
    put(c, "]\n");
}

static const char *const kinds[] = {"serial", "batch", "ps"};

static void put_models(struct choice *c, const uint64_t *kind)
{
    bool exclusive = roll(c, 2) != 0;
    put(c, "models:\n");
    c->least = UINT64_MAX;
    for (uint32_t m = 0; m < c->models; m++) {
        uint64_t places = 1 + roll(c, 4);
        c->least = places < c->least ? places : c->least;
        put(c,
            "  - {name: m%u, memory_gib: {resident: %u, asleep: %.1f}, tiers: [asleep, stopped], "
            "max_concurrency: %u, service: {kind: %s",
            m, (unsigned)(exclusive ? 70 : 15 + roll(c, 30)), roll(c, 2) ? 0.0 : 0.5,
            (unsigned)places, kinds[kind[m]]);
        if (kind[m] == 1) {
            put(c, ", p0_s: 0.05, p1_s: 0.001, d0_s: 0.02, d1_s: %.4f", between(c, 0, 0.005));
        } else if (kind[m] == 2) {
            put(c, ", rate: %.2f", between(c, 0.5, 3));
        }
        put(c, "}}\n");
    }
}

static void put_switch(struct choice *c)
{
    bool matrix = roll(c, 2) != 0;
    double most_s = c->limit_s * between(c, 0.1, matrix ? 1.0 : 0.6);
    put(c, "switch: {");
    if (matrix) {
        put(c, "matrix_s: [");
        for (uint32_t i = 0; i < c->models; i++) {
            put(c, "%s[", i ? ", " : "");
            for (uint32_t k = 0; k < c->models; k++) {
                put(c, "%s%.3f", k ? ", " : "", i == k ? 0.0 : between(c, 0.1, most_s));
            }
            put(c, "]");
        }
        put(c, "]");
    } else {
        put(c, "per_model: {");
        for (uint32_t i = 0; i < c->models; i++) {
            put(c, "%sm%u: {sleep_s: %.2f, wake_s: %.2f, probe_s: %.2f}", i ? ", " : "", i,
                between(c, 0, most_s / 3), between(c, 0.1, most_s),
                roll(c, 2) ? 0.0 : c->limit_s / 10);
        }
        put(c, "}, tiers: {stopped: {out_s: %.2f, in_s: %.2f}}", between(c, 0, most_s / 3),
            between(c, most_s, 0.6 * c->limit_s));
    }
    static const char *const laws[] = {"deterministic", "exponential",
                                       "{dist: lognormal, sigma: 0.7}"};
    put(c, ", distribution: %s, fail_probability: %.2f", laws[roll(c, 3)],
        roll(c, 2) ? 0.0 : between(c, 0, 0.4));
    if (roll(c, 3) == 0) { /* most of these run into C */
        put(c, ", late: {probability: 0.2, factor: %.1f}", between(c, 2, 40));
    }
    put(c, "}\n");
}

static void put_guard(struct choice *c, double service_limit_s)
{
    put(c,
        "guard: {switch_timeout_s: %.2f, drain_mode: %s, answer_ms: %.0f, retries_max: %u, "
        "quarantine_s: %.1f",
        c->limit_s, roll(c, 2) ? "requeue" : "finish", between(c, 1, 2000), (unsigned)roll(c, 3),
        between(c, 0.1, 20));
    if (roll(c, 2)) { /* else D = B */
        put(c, ", drain_s: %.2f", between(c, 0.2, 1.0) * service_limit_s);
    }
    c->fixed = roll(c, 4) != 0;
    if (c->fixed) {
        put(c, ", overtakes: %u, age_s: %.1f, visit_cap_s: %.1f", (unsigned)(1 + roll(c, 6)),
            between(c, 1, 120), between(c, 0.5, 30));
    } else {
        put(c, ", visit_cap_floor_s: %.1f", between(c, 1, 60));
    }
    if (roll(c, 2)) {
        put(c, ", dispatches_min: %u", (unsigned)(1 + roll(c, c->least)));
    }
    if (roll(c, 4) == 0) {
        put(c, ", min_residence_s: %.1f, switches_per_minute: %u", between(c, 0, 60),
            (unsigned)(1 + roll(c, 10)));
    }
    put(c, "}\n");
}

static void put_limits(struct choice *c)
{
    double service_limit_s = between(c, 2, 30);
    put(c,
        "limits: {queue_per_model: %u, max_wait_s: %.1f, reject_hopeless: %s, "
        "service_limit_s: %.2f",
        (unsigned)(1 + roll(c, 12)), roll(c, 3) ? 0.0 : between(c, 50, 900),
        roll(c, 2) ? "true" : "false", service_limit_s);
    if (roll(c, 2)) {
        put(c, ", patience: {dist: exponential, mean: %.1f}", between(c, 2, 200));
    }
    put(c, "}\n");
    put_guard(c, service_limit_s);
    if (roll(c, 3) == 0) {
        put(c, "decision_latency_s: %.4f\n", between(c, 0.0005, 2));
    }
}

static void put_source(struct choice *c, uint32_t m, uint64_t kind)
{
    double mean_s = between(c, 0.2, 6);
    double rate = between(c, 0.05, 0.8) / mean_s;
    switch (roll(c, 4)) {
    case 0:
        put(c,
            "  - {kind: sessions, model: m%u, population: %u, think_s: {dist: exponential, "
            "mean: %.2f}",
            m, 1 + (unsigned)roll(c, 8), between(c, 1, 40));
        break;
    case 1:
        put(c,
            "  - {kind: onoff, model: m%u, states: [{rate_per_s: %.4f, mean_s: 20}, "
            "{rate_per_s: %.4f, mean_s: 40}]",
            m, 2 * rate, rate / 10);
        break;
    default:
        put(c, "  - {kind: poisson, model: m%u, rate_per_s: %.4f", m, rate);
        break;
    }
    if (kind == 1) {
        put(c,
            ", input_tokens: {dist: exponential, mean: 300}, output_tokens: {dist: "
            "exponential, mean: %.1f}}\n",
            mean_s * 30);
    } else {
        put(c, ", service_s: {dist: exponential, mean: %.3f}}\n", mean_s);
    }
}

static void put_faults(struct choice *c)
{
    uint32_t faults = roll(c, 3) ? 0 : 1 + (uint32_t)roll(c, 5);
    double at_s = 0;
    put(c, "faults: [");
    for (uint32_t i = 0; i < faults; i++) {
        at_s += between(c, 0, 80);
        if (roll(c, 3) == 0) {
            put(c, "%s{at_s: %.3f, kind: engine_lost, model: m%u}", i ? ", " : "", at_s,
                (unsigned)roll(c, c->models));
        } else {
            unsigned device = (unsigned)roll(c, c->devices);
            put(c, "%s{at_s: %.3f, kind: device_down, device: g%u}, ", i ? ", " : "", at_s, device);
            at_s += between(c, 0, 50);
            put(c, "{at_s: %.3f, kind: device_up, device: g%u}", at_s, device);
        }
    }
    put(c, "]\n");
}

static struct scenario *choose_scenario(struct choice *c, uint64_t seed)
{
    uint64_t kind[8];
    memset(c, 0, sizeof *c);
    c->seed = seed;
    c->models = 2 + (uint32_t)roll(c, 5);
    c->limit_s = between(c, 1, 20);
    put(c, "scenario: guard%llu\n", (unsigned long long)seed);
    put_devices(c);
    for (uint32_t m = 0; m < c->models; m++) {
        kind[m] = roll(c, 3);
    }
    put_models(c, kind);
    put_switch(c);
    put_limits(c);
    put_faults(c);
    put(c, "horizon_s: %.1f\narrivals:\n", between(c, 100, 400));
    for (uint32_t m = 0; m < c->models; m++) {
        put_source(c, m, kind[m]);
    }
    struct scenario *scenario = NULL;
    char err[SCENARIO_ERROR_MAX] = "";
    if (scenario_parse(c->text, c->used, "guard.yaml", NULL, &scenario, err, sizeof err) != 0) {
        (void)fputs(c->text, stderr);
        fail_msg("seed %llu: %s", (unsigned long long)seed, err);
    }
    return scenario;
}

/* ------------------------------------------------------------------ runs */

static void larger(double *to, double than)
{
    *to = than > *to ? than : *to;
}

/* One run under the watch; it has to end well and within its bounds. */
static void run_watched(const struct scenario *scenario, uint64_t seed, const struct entry *entry,
                        const char *text, struct guard_watch *watch)
{
    const struct sim_observer observer = guard_watch_observer(watch);
    const struct sim_options options = {
        .scenario = scenario,
        .policy = {.plugin = entry->plugin, .params = entry->params},
        .seed = seed,
        .observers = &observer,
        .observer_count = 1};
    struct sim *sim = NULL;
    char err[SIM_ERROR_MAX] = "";
    int rc = sim_create(&options, &sim, err, sizeof err);
    rc = rc ? rc : sim_run(sim, err, sizeof err);
    if (rc == 0) {
        guard_watch_settled(watch, sim);
    }
    sim_destroy(sim);
    if (rc != 0 || watch->excess[0]) {
        (void)fputs(text, stderr);
        fail_msg("seed %" PRIu64 ", %s: %s", seed, entry->name, rc ? err : watch->excess);
    }
}

static void run_policy(const struct choice *c, const struct scenario *scenario, struct entry *entry)
{
    static struct guard_watch watch;
    watch = (struct guard_watch){.fixed = c->fixed && scenario->fault_count == 0};
    run_watched(scenario, c->seed, entry, c->text, &watch);
    larger(&entry->worst.gap_ratio, watch.gap_ratio);
    larger(&entry->worst.wait_ratio, watch.wait_ratio);
    entry->worst.gaps += watch.gaps;
    entry->worst.waits += watch.waits;
    entry->worst.visits += watch.visits;
    entry->worst.forced += watch.forced;
}

static void print_table(void)
{
    (void)printf("| policy | gaps | largest gap / bound | waits | largest wait / bound | visits "
                 "forced |\n|---|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < entry_count; i++) {
        const struct guard_watch *w = &entries[i].worst;
        (void)printf("| %s | %" PRIu64 " | %.3f | %" PRIu64 " | %.3f | %.1f %% |\n",
                     entries[i].name, w->gaps, w->gap_ratio, w->waits, w->wait_ratio,
                     w->visits ? 100.0 * (double)w->forced / (double)w->visits : 0.0);
    }
}

static void test_every_policy_keeps_the_bounds(void **state)
{
    (void)state;
    static struct choice c;
    unsigned long long first = 1;
    unsigned long long last = SEEDS;
    const char *wanted = getenv("SHUNT_SEEDS");
    if (wanted) {
        assert_int_equal(sscanf(wanted, "%llu-%llu", &first, &last), 2);
    }
    add_policies();
    for (unsigned long long seed = first; seed <= last; seed++) {
        struct scenario *scenario = choose_scenario(&c, seed);
        for (uint32_t i = 0; i < entry_count; i++) {
            run_policy(&c, scenario, &entries[i]);
        }
        scenario_free(scenario);
    }
    struct guard_watch all = {0};
    for (uint32_t i = 0; i < entry_count; i++) {
        larger(&all.gap_ratio, entries[i].worst.gap_ratio);
        larger(&all.wait_ratio, entries[i].worst.wait_ratio);
        all.gaps += entries[i].worst.gaps;
        all.waits += entries[i].worst.waits;
        params_destroy(entries[i].params);
    }
    if (getenv("SHUNT_GUARD_TABLE")) {
        print_table();
    }
    print_message("%" PRIu64 " gaps, largest gap / bound %.3f; %" PRIu64
                  " waits, largest wait / bound %.3f\n",
                  all.gaps, all.gap_ratio, all.waits, all.wait_ratio);
    /* The scenarios press: a search that finds nothing near the bounds would show nothing. */
    assert_true(wanted || (all.gaps > 10000 && all.gap_ratio > 0.35));
    assert_true(wanted || (all.waits > 50000 && all.wait_ratio > 0.05));
}

/*
 * One request of model a is served for a minute, another waits, a place is free. The policy drains
 * a for b, then for c, for b... and would keep a closed all that time, if opening it for no time at
 * all between the two ended the gap.
 */
static void test_targets_that_change(void **state)
{
    (void)state;
    static const char text[] =
        "devices: [{name: g, memory_gib: 80}]\n"
        "models:\n"
        "  - {name: a, memory_gib: 70, max_concurrency: 2, service: {kind: serial}}\n"
        "  - {name: b, memory_gib: 70, max_concurrency: 2, service: {kind: serial}}\n"
        "  - {name: c, memory_gib: 70, max_concurrency: 2, service: {kind: serial}}\n"
        "switch: {matrix_s: [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}\n"
        "limits: {service_limit_s: 60, max_wait_s: none}\n"
        "guard: {switch_timeout_s: 1, visit_cap_s: 1, drain_s: 1, overtakes: 1, age_s: 0.5,\n"
        "        answer_ms: 100, dispatches_min: 1}\n"
        "initial: {g: a}\n"
        "arrivals: [{kind: list, jobs: [[0, a, 59], [1, a, 1], [2, a, 1]]}]\n";
    struct scenario *scenario = sim_scenario_of(text);
    entry_count = 0;
    add_hostile("retarget", false);
    struct guard_watch watch = {.fixed = true};
    run_watched(scenario, 1, &entries[0], text, &watch);
    assert_true(watch.gaps > 0);
    params_destroy(entries[0].params);
    scenario_free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_policy_keeps_the_bounds),
        cmocka_unit_test(test_targets_that_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
