/*
 * The bound of a gap is not loose by much: a search over settings, schedules and hostile policies,
 * all through the simulator, finds a gap of at least 0.7 of it, and none above it.
 *
 *     SHUNT_TIGHTNESS=RUNS,SEED   a longer search, another seed
 *
 * A genome is a row of bytes; each byte becomes one setting or one part of a request. Hill-climbing
 * with restarts.
 */
#include "sim_fixture.h"

#include "base/random.h"
#include "guard_watch.h"

enum { RUNS = 4000, RESTART = 300, JOBS = 24, TEXT_MAX = 8192 };

enum gene {
    MODELS,
    LIMIT,   /* C */
    CAP,     /* T */
    DRAIN,   /* D */
    ANSWER,  /* delta */
    VISITS,  /* M */
    AGE,     /* A */
    SERVICE, /* B */
    PLACES,
    MANNER,
    NOISE,
    TARGET,
    DICE,
    LATENCY,
    JOB, /* time since the one before, model, service */
    GENES = JOB + 3 * JOBS
};

static const char *const manners[] = {"leave",   "linger",   "starve",   "pingpong",
                                      "quantum", "gated",    "revoke",   "empty",
                                      "victims", "prefetch", "retarget", "youngest"};

struct text {
    char bytes[TEXT_MAX];
    size_t used;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->bytes + text->used, TEXT_MAX - text->used, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < TEXT_MAX - text->used);
    text->used += (size_t)n;
}

/* low..high */
static unsigned of(const uint8_t *genes, enum gene gene, unsigned low, unsigned high)
{
    return low + genes[gene] % (high - low + 1);
}

static unsigned delta(const uint8_t *genes)
{
    return of(genes, ANSWER, 0, 2);
}

static void write_scenario(const uint8_t *genes, struct text *text)
{
    unsigned models = of(genes, MODELS, 2, 4);
    unsigned limit = of(genes, LIMIT, 1, 6);
    unsigned most = of(genes, SERVICE, 1, 8);
    text->used = 0;
    put(text, "devices: [{name: g, memory_gib: 80}]\nmodels:\n");
    for (unsigned m = 0; m < models; m++) {
        put(text, "  - {name: m%u, memory_gib: 70, max_concurrency: %u, service: {kind: serial}}\n",
            m, of(genes, PLACES, 1, 2));
    }
    put(text, "switch: {matrix_s: [");
    for (unsigned i = 0; i < models; i++) {
        put(text, "%s[", i ? ", " : "");
        for (unsigned k = 0; k < models; k++) {
            put(text, "%s%u", k ? ", " : "", i == k ? 0 : limit);
        }
        put(text, "]");
    }
    put(text,
        "]}\nlimits: {service_limit_s: %u, max_wait_s: none}\nguard: {switch_timeout_s: %u, "
        "visit_cap_s: %u, drain_s: %u, answer_ms: %u, overtakes: %u, age_s: %u, dispatches_min: 1, "
        "retries_max: 0}\n",
        most, limit, of(genes, CAP, 1, 6), of(genes, DRAIN, 1, 8),
        delta(genes) ? 1000 * delta(genes) : 1, of(genes, VISITS, 1, 3), of(genes, AGE, 1, 40));
    put(text, "decision_latency_s: %.2f\n",
        delta(genes) ? 0.5 * of(genes, LATENCY, 0, 2 * delta(genes)) : 0.0);
    put(text, "arrivals: [{kind: list, jobs: [");
    double at_s = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        const uint8_t *job = genes + JOB + 3 * i;
        at_s += 0.25 * (job[0] % 16);
        put(text, "%s[%.2f, m%u, %.2f]", i ? ", " : "", at_s, job[1] % models,
            0.25 * (1 + job[2] % (4 * most)));
    }
    put(text, "]}]\n");
}

static struct params *write_policy(const struct plugin *plugin, const uint8_t *genes)
{
    char target[16];
    char dice[16];
    char err[256] = "";
    struct params *params = NULL;
    (void)snprintf(target, sizeof target, "%u", of(genes, TARGET, 0, 3));
    (void)snprintf(dice, sizeof dice, "%u", genes[DICE]);
    const struct param_assignment set[] = {
        {"manner", NULL, manners[genes[MANNER] % (sizeof manners / sizeof manners[0])]},
        {"noise", NULL, genes[NOISE] % 2 ? "true" : "false"},
        {"target", NULL, target},
        {"dice", NULL, dice}};
    assert_int_equal(params_create(&plugin->schema, NULL, 0, &params), 0);
    if (params_apply(params, set, 4, PARAM_ORIGIN_CONFIG, false, err, sizeof err) != 0) {
        fail_msg("%s", err);
    }
    return params;
}

/* Largest gap / bound of the run. */
static double value_of(const struct plugin *plugin, const uint8_t *genes, struct text *text)
{
    write_scenario(genes, text);
    struct scenario *scenario = sim_scenario_of(text->bytes);
    struct params *params = write_policy(plugin, genes);
    struct guard_watch watch = {.fixed = true};
    const struct sim_observer observer = guard_watch_observer(&watch);
    const struct sim_options options = {.scenario = scenario,
                                        .policy = {.plugin = plugin, .params = params},
                                        .seed = 1,
                                        .observers = &observer,
                                        .observer_count = 1};
    struct sim *sim = NULL;
    char err[SIM_ERROR_MAX] = "";
    int rc = sim_create(&options, &sim, err, sizeof err);
    rc = rc ? rc : sim_run(sim, err, sizeof err);
    if (rc == 0) {
        guard_watch_settled(&watch, sim);
    }
    sim_destroy(sim);
    params_destroy(params);
    scenario_free(scenario);
    if (rc != 0 || watch.excess[0]) {
        (void)fputs(text->bytes, stderr);
        fail_msg("%s", rc ? err : watch.excess);
    }
    return watch.gap_ratio;
}

static void test_search_comes_near(void **state)
{
    (void)state;
    static struct text text;
    unsigned long long runs = RUNS;
    unsigned long long seed = 1;
    const char *wanted = getenv("SHUNT_TIGHTNESS");
    if (wanted) {
        assert_int_equal(sscanf(wanted, "%llu,%llu", &runs, &seed), 2);
    }
    const struct plugin *plugin = sim_plugin(SIM_TESTERS "hostile.so");
    uint8_t now[GENES] = {0};
    uint8_t best[GENES] = {0};
    double now_value = -1;
    double best_value = -1;
    uint64_t k = 0;
    uint32_t stale = RESTART;
    for (unsigned long long run = 0; run < runs; run++) {
        uint8_t next[GENES];
        memcpy(next, now, sizeof next);
        bool restart = stale >= RESTART;
        uint64_t changes = restart ? GENES : 1 + random_u64(seed, 1, k++) % 6;
        for (uint64_t i = 0; i < changes; i++) {
            /* Settings and requests are changed about equally often. */
            uint64_t dice = random_u64(seed, 2, k++);
            uint64_t at = restart ? i : dice & 1 ? dice / 2 % JOB : JOB + dice / 2 % (3 * JOBS);
            next[at] = (uint8_t)(dice >> 56);
        }
        now_value = restart ? -1 : now_value;
        double value = value_of(plugin, next, &text);
        stale = restart || value > now_value ? 0 : stale + 1;
        if (value >= now_value) {
            memcpy(now, next, sizeof now);
            now_value = value;
        }
        if (value > best_value) {
            memcpy(best, next, sizeof best);
            best_value = value;
        }
    }
    write_scenario(best, &text);
    print_message("%llu runs, largest gap / bound %.3f: hostile %s\n%s", runs, best_value,
                  manners[best[MANNER] % (sizeof manners / sizeof manners[0])], text.bytes);
    assert_true(best_value >= 0.7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_search_comes_near)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
