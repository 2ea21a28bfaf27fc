/*
 * No valid bound is above what a policy reaches: the bounds on the mean wait over random scenarios
 * with statistical error allowed for, those of the offline problem on lists of requests exactly.
 */
#include "sim_fixture.h"

#include "base/random.h"
#include "sim/opt_scenario.h"

#include <math.h>

enum {
    SCENARIOS = 1000,
    POLICIES_EACH = 2,
    REQUESTS = 1500,
    LONGER = 8,     /* times as many where the first run is in doubt ... */
    LONGER_MAX = 2, /* ... so often */
    LISTS = 400,
    MODELS_MAX = 5,
};

static const char *const policies[] = {
    SIM_POLICIES "fifo.so",
    SIM_POLICIES "amortized.so",
    SIM_POLICIES "longest_queue.so",
    SIM_POLICIES "exhaustive.so",
    SIM_TESTERS "threshold.so",
    SIM_TESTERS "npolicy.so",
    SIM_TESTERS "roving_exhaustive.so",
    SIM_TESTERS "roving_gated.so",
    SIM_TESTERS "roving_klimited.so",
};

enum { POLICIES = sizeof policies / sizeof *policies };

/* ------------------------------------------------------------------ random scenarios */

struct draws {
    uint64_t key, next;
};

static uint64_t draw_below(struct draws *draws, uint64_t n)
{
    return random_u64(draws->key, 0, draws->next++) % n;
}

static double draw_between(struct draws *draws, double low, double high)
{
    return low + (high - low) * random_unit(random_u64(draws->key, 0, draws->next++));
}

/* Spread evenly over orders of magnitude. */
static double draw_scale(struct draws *draws, double low, double high)
{
    return exp(draw_between(draws, log(low), log(high)));
}

struct text {
    char data[8192];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->data + text->len, sizeof text->data - text->len, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof text->data - text->len);
    text->len += (size_t)len;
}

static void add_models(struct text *text, uint32_t models)
{
    add(text, "scenario: t\ndevices: [{name: gpu0, memory_gib: 80}]\nmodels:\n");
    for (uint32_t m = 0; m < models; m++) {
        add(text, "  - {name: m%u, memory_gib: 50, max_concurrency: 1, service: {kind: serial}}\n",
            m);
    }
    add(text, "limits: {queue_per_model: 100000, max_wait_s: none}\n");
}

static void add_matrix(struct text *text, struct draws *draws, uint32_t models, double low,
                       double high)
{
    add(text, "switch:\n  matrix_s: [");
    for (uint32_t from = 0; from < models; from++) {
        add(text, from ? ", [" : "[");
        for (uint32_t to = 0; to < models; to++) {
            add(text, "%s%.3f", to ? ", " : "", from == to ? 0.0 : draw_scale(draws, low, high));
        }
        add(text, "]");
    }
    add(text, "]\n");
}

static void add_per_model(struct text *text, struct draws *draws, uint32_t models)
{
    add(text, "switch:\n  per_model: {");
    for (uint32_t m = 0; m < models; m++) {
        add(text, "%sm%u: {sleep_s: %.3f, wake_s: %.3f, probe_s: %.3f}", m ? ", " : "", m,
            draw_scale(draws, .01, 5), draw_scale(draws, .05, 30),
            draw_below(draws, 2) ? .0 : draw_scale(draws, .01, 1));
    }
    add(text, "}\n");
}

static void add_service(struct text *text, struct draws *draws, double mean)
{
    switch (draw_below(draws, 5)) {
    case 0:
        add(text, "{dist: deterministic, mean: %.6f}", mean);
        return;
    case 1:
        add(text, "{dist: hyperexponential, p: [0.9, 0.1], mean: [%.6f, %.6f]}", mean / 2,
            5.5 * mean);
        return;
    case 2:
        add(text, "{dist: lognormal, mean: %.6f, sigma: 1}", mean);
        return;
    case 3:
        add(text, "{dist: gamma, mean: %.6f, cv: 0.5}", mean);
        return;
    default:
        add(text, "{dist: exponential, mean: %.6f}", mean);
    }
}

static void random_scenario(struct text *text, uint64_t seed, uint64_t requests)
{
    struct draws draws = {.key = core_mix64(seed)};
    uint32_t models = 1 + (uint32_t)draw_below(&draws, MODELS_MAX);
    double load = draw_between(&draws, .1, .85), share[MODELS_MAX], sum = 0;
    text->len = 0;
    add_models(text, models);
    if (draw_below(&draws, 2)) {
        add_matrix(text, &draws, models, .05, 30);
    } else {
        add_per_model(text, &draws, models);
    }
    static const char *const laws[] = {"deterministic", "exponential",
                                       "{dist: lognormal, sigma: 0.5}"};
    add(text, "  distribution: %s\n", laws[draw_below(&draws, 3)]);
    add(text, "requests: %llu\narrivals:\n", (unsigned long long)requests);
    for (uint32_t m = 0; m < models; m++) {
        share[m] = draw_scale(&draws, .05, 1);
        sum += share[m];
    }
    for (uint32_t m = 0; m < models; m++) {
        double mean = draw_scale(&draws, .2, 20);
        add(text, "  - {kind: poisson, model: m%u, rate_per_s: %.9f, service_s: ", m,
            load * share[m] / sum / mean);
        add_service(text, &draws, mean);
        add(text, "}\n");
    }
}

/* ------------------------------------------------------------------ bounds on the mean */

/* How far the bound is above the mean, in standard errors of the mean; INFINITY if unknown. */
static double excess(const struct result *result, double bound)
{
    if (bound <= result->wait.mean_s) {
        return 0;
    }
    return result->wait.se_s > 0 ? (bound - result->wait.mean_s) / result->wait.se_s : INFINITY;
}

struct tally {
    uint64_t runs, held, in_doubt;
    double tightest; /* largest bound / mean */
};

static void check_scenario(uint64_t seed, const char *policy, struct tally *tally)
{
    uint64_t requests = REQUESTS;
    for (int longer = 0;; longer++, requests *= LONGER) {
        static struct text text;
        random_scenario(&text, seed, requests);
        struct scenario *scenario = sim_scenario_of(text.data);
        struct sim_run_of run = {.scenario = scenario,
                                 .policy = {.plugin = sim_plugin(policy)},
                                 .seed = seed + (uint64_t)longer,
                                 .unchecked = true};
        sim_run_well(&run);
        const struct result *r = &run.result;
        bool none = isnan(r->lb_work.value_s);
        if (none && r->requests.completed == r->requests.offered) {
            fail_msg("no bound: %s\n%s", r->lb_work.reason, text.data);
        }
        double bound = fmax(r->lb_work.value_s, r->lb_lagrange.value_s);
        double above = none ? 0 : excess(r, bound);
        tally->runs++;
        tally->held += !none;
        if (!none && r->wait.mean_s > 0) {
            tally->tightest = fmax(tally->tightest, bound / r->wait.mean_s);
        }
        if (above > 4 && longer == LONGER_MAX) {
            fail_msg("seed %d, %s: bound %g (work %g, lagrange %g) above mean %g +- %g\n%s",
                     (int)seed, policy, bound, r->lb_work.value_s, r->lb_lagrange.value_s,
                     r->wait.mean_s, r->wait.se_s, text.data);
        }
        result_fini(&run.result);
        scenario_free(scenario);
        if (above <= 4) {
            return;
        }
        tally->in_doubt++;
    }
}

/*
 * A run begins empty and its batches are correlated, so a short one may lie below a bound that is
 * exact, as that of a single model is: what is more than 4 standard errors below is run again,
 * longer, and has to come up.
 */
static void test_bounds_on_the_mean(void **state)
{
    (void)state;
    struct tally tally = {0};
    for (uint64_t seed = 1; seed <= SCENARIOS; seed++) {
        for (uint64_t k = 0; k < POLICIES_EACH; k++) {
            uint64_t policy = random_u64(seed, 1, 0) + k * (1 + random_u64(seed, 1, 1) % 4);
            check_scenario(seed, policies[policy % POLICIES], &tally);
        }
    }
    print_message("%llu runs, %llu with a bound, %llu in doubt at first\n",
                  (unsigned long long)tally.runs, (unsigned long long)tally.held,
                  (unsigned long long)tally.in_doubt);
    assert_true(tally.held >= tally.runs * 9 / 10);
    assert_true(tally.in_doubt <= tally.runs / 20);
}

/* ------------------------------------------------------------------ lists */

static void random_list(struct text *text, uint64_t seed)
{
    struct draws draws = {.key = core_mix64(~seed)};
    uint32_t models = 1 + (uint32_t)draw_below(&draws, 3);
    uint64_t jobs = 1 + draw_below(&draws, 14), spread = 1 + draw_below(&draws, 20);
    text->len = 0;
    add_models(text, models);
    add_matrix(text, &draws, models, .5, 20);
    if (draw_below(&draws, 2)) {
        add(text, "initial: {gpu0: m%u}\n", (unsigned)draw_below(&draws, models));
    }
    add(text, "warmup: {arrivals_fraction: 0, visits: 0}\narrivals:\n  - {kind: list, jobs: [");
    for (uint64_t i = 0; i < jobs; i++) {
        add(text, "%s[%u, m%u, %.3f]", i ? ", " : "", (unsigned)draw_below(&draws, 4 * spread),
            (unsigned)draw_below(&draws, models), draw_scale(&draws, .5, 6));
    }
    add(text, "]}\n");
}

static void check_list(const struct scenario *scenario, const struct opt *opt, uint64_t seed)
{
    char err[200] = "";
    struct opt_step steps[16], fifo[16];
    int64_t sum = 0, longest = 0, makespan = 0;
    size_t jobs;
    const struct opt_job *job = opt_jobs(opt, &jobs);
    bool ties = false;
    assert_true(jobs <= 16);
    for (size_t i = 1; i < jobs; i++) {
        ties |= job[i].arrival == job[i - 1].arrival;
    }
    opt_fifo(opt, fifo);
    assert_int_equal(opt_exact(opt, OPT_SUM, true, OPT_STATES_MAX, &sum, steps, err, sizeof err),
                     0);
    assert_int_equal(
        opt_exact(opt, OPT_MAX, true, OPT_STATES_MAX, &longest, steps, err, sizeof err), 0);
    assert_int_equal(
        opt_exact(opt, OPT_MAKESPAN, true, OPT_STATES_MAX, &makespan, steps, err, sizeof err), 0);
    for (size_t p = 0; p < POLICIES; p++) {
        struct sim_run_of run = {
            .scenario = scenario, .policy = {.plugin = sim_plugin(policies[p])}, .seed = 1};
        sim_run_well(&run);
        const struct result *r = &run.result;
        assert_int_equal(r->requests.completed, jobs);
        int64_t waits = (int64_t)r->exact.wait_sum_low;
        if (waits < sum || r->wait_all.max_s < (double)longest / 1e9 - 1e-9 ||
            run.end_ns < makespan) {
            fail_msg("seed %d, %s: waits %lld below the optimum %lld, or the longest, or the end",
                     (int)seed, policies[p], (long long)waits, (long long)sum);
        }
        /* The two programs count the same thing: fifo by hand is fifo simulated, but for ties. */
        if (p == 0 && !ties && waits != opt_value(opt, OPT_SUM, fifo)) {
            fail_msg("seed %d: fifo has waits of %lld, by hand %lld", (int)seed, (long long)waits,
                     (long long)opt_value(opt, OPT_SUM, fifo));
        }
        result_fini(&run.result);
    }
}

static void test_optimum_of_lists(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= LISTS; seed++) {
        static struct text text;
        char err[200] = "";
        struct opt *opt = NULL;
        random_list(&text, seed);
        struct scenario *scenario = sim_scenario_of(text.data);
        if (opt_of_scenario(scenario, 1, &opt, err, sizeof err) != 0) {
            fail_msg("%s\n%s", err, text.data);
        }
        check_list(scenario, opt, seed);
        opt_destroy(opt);
        scenario_free(scenario);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimum_of_lists),
        cmocka_unit_test(test_bounds_on_the_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
