/*
 * The simulator against queueing theory, case by case: the scenarios theory-*.yaml beside this file
 * run with the policies of the table below, and their means are compared with what formulas.c
 * works out from the very scenario. Any of them can be run by hand as well:
 *
 *     shunt sim tests/golden/theory/theory-A2.yaml --policy build/tests/policies/roving_gated.so
 *
 * Of every run: at least 30 batch means, the means within four standard errors of theory and these
 * below a share of the mean (1 % but where the table says otherwise), neighbouring batches nearly
 * independent; device time that adds up, no request lost, Little's law in every queue, the share of
 * busy time that the load says.
 *
 *     test.golden.theory.cases [--quick | --long] [--print] [PATTERN]
 *
 * --quick takes a fiftieth of the requests, with standard errors up to ten times as large: still
 * four of them. --long takes ten times the requests where that is what 1 % needs. --print shows the
 * figures as a table (Markdown). PATTERN (with * and ?) chooses among the names, for instance
 * 'A2*'.
 */
#include "formulas.h"

#include "base/plugin.h"
#include "base/policy_ref.h"
#include "sim/sim.h"

#include <fnmatch.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SCENARIOS SHUNT_SOURCE_DIR "/tests/golden/theory/theory-"

enum {
    MODELS_MAX = THEORY_QUEUES_MAX,
    QUICK = 50,         /* the share of the requests that --quick takes */
    LONG = 10,          /* times the requests that --long takes where it matters */
    FINE_BATCHES = 256, /* see struct fine */
    IN_SERVICE_MAX = 16,
    CASES_MAX = 64,
};

/* Where the expectation of a case comes from. */
enum origin {
    SINGLE,      /* M/G/1 */
    VACATIONS,   /* model 1 has no arrivals: the way there is the vacation */
    NPOLICY,     /* likewise: the way back is the set-up; n = number */
    FIFO,        /* like models, one cost; the time to the start of switch and service */
    EXHAUSTIVE,  /* polling, by moments */
    GATED,       /* likewise */
    ONE_LIMITED, /* like models */
    PAIR,        /* threshold n = number on two queues */
    SIMULATED,   /* no theory: an independent simulator's value, good to 1 % */
    SHARING,     /* response of processor sharing */
    UNLIMITED,   /* response with as many servers as requests */
};

static const struct test_case {
    const char *scenario, *policy;
    uint32_t thousands; /* of requests: as many as the error needs */
    enum origin from;
    double number;
    double golden;     /* all requests together: what the formula must give (or, SIMULATED, is) */
    double switches_s; /* a second, to 1 %; 0: not known */
    double se_max;     /* relative; 0: 1 % */
} cases[] = {
    {"V1-mm1", "fifo", 500, SINGLE, 0, 1.0, 0, 0},
    {"V1-md1", "fifo", 1500, SINGLE, 0, 2.0, 0, 0},
    {"V1-mh2", "fifo", 2400, SINGLE, 0, 4.875, 0, 0},
    {"V2-det", "roving_exhaustive", 200, VACATIONS, 0, 6.0, 0, 0},
    {"V2-exp", "roving_exhaustive", 400, VACATIONS, 0, 11.0, 0, 0},
    {"V3", "npolicy:n=1", 200, NPOLICY, 1, 37.70833, 0, 0},
    {"V3b", "npolicy:n=5", 200, NPOLICY, 5, 113.33333, 0, 0},
    {"V3c", "npolicy:n=3", 200, NPOLICY, 3, 85.0, 0, 0},
    {"V4-c20", "fifo", 300, FIFO, 0, 16.0, 0, 0},
    {"V4-c40", "fifo", 900, FIFO, 0, 100.0, 0, 0},
    {"V4b", "fifo", 400, FIFO, 0, 1.5, 0, 0},
    {"V4-c40", "roving_exhaustive", 200, EXHAUSTIVE, 0, 97.5, 0, 0},
    {"V4-c40", "roving_gated", 200, GATED, 0, 107.5, 0, 0},
    {"V4-c40", "threshold:n=1", 500, SIMULATED, 0, 61.4, 0.0128, 0},
    {"V5", "roving_exhaustive", 500, EXHAUSTIVE, 0, 2.375, 0, 0},
    {"V5", "roving_gated", 500, GATED, 0, 3.125, 0, 0},
    {"V5", "roving_klimited:k=1", 1800, ONE_LIMITED, 0, 12.5, 0, 0.02},
    {"V6", "roving_exhaustive", 400, EXHAUSTIVE, 0, 36.25, 0, 0},
    {"V6", "roving_gated", 400, GATED, 0, 43.75, 0, 0},
    {"V6", "roving_klimited:k=1", 1800, ONE_LIMITED, 0, 175.0, 0, 0.02},
    {"V6", "roving_klimited:k=2", 2000, SIMULATED, 0, 52.5, 0, 0},
    {"V6", "roving_klimited:k=4", 1200, SIMULATED, 0, 38.3, 0, 0},
    {"V6", "roving_klimited:k=8", 1000, SIMULATED, 0, 36.4, 0, 0},
    {"V6e", "roving_exhaustive", 400, EXHAUSTIVE, 0, 38.75, 0, 0},
    {"V6e", "roving_gated", 400, GATED, 0, 46.25, 0, 0},
    {"V6e", "roving_klimited:k=1", 1800, ONE_LIMITED, 0, 185.0, 0, 0.02},
    {"A1", "roving_exhaustive", 700, EXHAUSTIVE, 0, 5.97119, 0, 0},
    {"A1", "roving_gated", 700, GATED, 0, 9.67219, 0, 0},
    {"A2", "roving_exhaustive", 1100, EXHAUSTIVE, 0, 96.22335, 0, 0},
    {"A2", "roving_gated", 1200, GATED, 0, 145.97946, 0, 0},
    {"M1", "threshold:n=1:patience=300", 700, PAIR, 1, 2.25467, 0, 0},
    {"M1", "threshold:n=2:patience=300", 300, PAIR, 2, 3.07935, 0, 0},
    {"M1", "threshold:n=3:patience=300", 200, PAIR, 3, 4.06666, 0, 0},
    {"M2", "threshold:n=1:patience=300", 200, PAIR, 1, 4.20000, 0, 0},
    {"M2", "threshold:n=2:patience=300", 200, PAIR, 2, 4.57516, 0, 0},
    {"M2", "threshold:n=3:patience=300", 200, PAIR, 3, 5.42414, 0, 0},
    {"M3", "threshold:n=1", 300, PAIR, 1, 37.04765, 0, 0},
    {"M3", "threshold:n=2", 400, PAIR, 2, 36.37086, 0, 0},
    {"M3", "threshold:n=3", 500, PAIR, 3, 41.41007, 0, 0},
    {"M4", "threshold:n=1", 500, PAIR, 1, 23.07529, 0, 0},
    {"M4", "threshold:n=2", 500, PAIR, 2, 26.63531, 0, 0},
    {"M4", "threshold:n=3", 500, PAIR, 3, 32.75683, 0, 0},
    {"PS-exp", "fifo", 400, SHARING, 0, 20.0, 0, 0},
    {"PS-det", "fifo", 200, SHARING, 0, 20.0, 0, 0},
    {"U-exp", "fifo", 600, UNLIMITED, 0, 10.0, 0, 0},
    {"U-det", "fifo", 600, UNLIMITED, 0, 10.0, 0, 0},
};

static struct plugin_registry *registry;
static bool quick, long_run, print;
static char rows[CASES_MAX * MODELS_MAX][256]; /* what --print shows */
static uint32_t row_count;

/* ------------------------------------------------------------------ one run */

/*
 * Batch means as the simulator makes them, but of 256 to 511 batches: too small ones for errors,
 * but enough of them to tell a correlation of 0.2 from none. If even these are nearly independent,
 * so are the larger ones that the errors come from.
 */
struct fine {
    double sum[2 * FINE_BATCHES];
    double open;
    uint64_t size, fill;
    uint32_t full;
};

struct run {
    const struct test_case *of;
    struct scenario *scenario;
    struct result result;
    struct theory_polling model; /* the scenario as theory sees it */
    uint64_t skip;               /* requests that end before counting begins */
    struct fine fine;
    int64_t in_service_at_ns; /* time by number in service */
    uint32_t in_service;
    double in_service_ns[IN_SERVICE_MAX + 1];
    uint32_t failures;
};

static void fine_add(struct fine *f, double value)
{
    f->size = f->size ? f->size : 1;
    f->open += value;
    if (++f->fill < f->size) {
        return;
    }
    f->sum[f->full++] = f->open;
    f->open = 0;
    f->fill = 0;
    if (f->full == 2 * FINE_BATCHES) {
        for (uint32_t i = 0; i < FINE_BATCHES; i++) {
            f->sum[i] = f->sum[2 * i] + f->sum[2 * i + 1];
        }
        f->full = FINE_BATCHES;
        f->size *= 2;
    }
}

static double fine_lag1(const struct fine *f)
{
    double mean = 0, squares = 0, products = 0;
    for (uint32_t i = 0; i < f->full; i++) {
        mean += f->sum[i] / f->full;
    }
    for (uint32_t i = 0; i < f->full; i++) {
        squares += (f->sum[i] - mean) * (f->sum[i] - mean);
        products += i > 0 ? (f->sum[i] - mean) * (f->sum[i - 1] - mean) : 0;
    }
    return products / squares;
}

static bool by_response(const struct test_case *of)
{
    return of->from == SHARING || of->from == UNLIMITED;
}

static void observe(void *ctx, struct sim *sim, const struct core_action *action,
                    const struct sim_request *request)
{
    (void)sim;
    (void)request;
    struct run *run = ctx;
    bool ended = action->kind == CORE_ACT_RECORD && action->u.record.kind == CORE_REC_REQUEST;
    if (!ended && action->kind != CORE_ACT_DISPATCH) {
        return;
    }
    uint32_t place = run->in_service < IN_SERVICE_MAX ? run->in_service : IN_SERVICE_MAX;
    if (run->skip == 0) {
        run->in_service_ns[place] += (double)(action->t_ns - run->in_service_at_ns);
    }
    run->in_service_at_ns = action->t_ns;
    if (!ended) {
        run->in_service++;
        return;
    }
    run->in_service--;
    if (run->skip > 0) {
        run->skip--;
    } else {
        const struct core_rec_request *rec = &action->u.record.u.request;
        int64_t until_ns = by_response(run->of) ? action->t_ns : rec->dispatch_ns;
        fine_add(&run->fine, (double)(until_ns - rec->arrival_ns));
    }
}

/* What a switch takes: its mean, and below the mean of its square. */
static double cost_s(const struct scenario *scenario, uint32_t from, uint32_t to)
{
    return (double)scenario->switching.matrix_ns[from * scenario_models(scenario) + to] / 1e9;
}

static double cost2_s(const struct scenario *scenario, uint32_t from, uint32_t to)
{
    double mean = cost_s(scenario, from, to);
    return scenario->switching.law == SCENARIO_COST_EXPONENTIAL ? 2 * mean * mean : mean * mean;
}

/* What the run is about in the words of theory; models without arrivals have rate 0. */
static void translate(const struct scenario *scenario, struct theory_polling *polling)
{
    *polling = (struct theory_polling){.count = scenario_models(scenario)};
    assert_true(polling->count <= MODELS_MAX);
    for (size_t i = 0; i < scenario->arrivals.sources_len; i++) {
        const struct arrivals_source *source = &scenario->arrivals.sources[i];
        assert_int_equal(source->kind, ARRIVALS_POISSON);
        polling->queue[source->model] =
            (struct theory_queue){.rate = source->rate_per_s,
                                  .service = dist_mean(&source->service_s),
                                  .service2 = dist_second_moment(&source->service_s)};
    }
    for (uint32_t i = 0; i < polling->count; i++) {
        uint32_t next = (i + 1) % polling->count;
        polling->move[i] = cost_s(scenario, i, next);
        polling->move2[i] = cost2_s(scenario, i, next);
    }
}

static const struct plugin *load_policy(const struct policy_ref *ref, const char *const *models,
                                        uint32_t count, struct params **ret_params)
{
    char path[1024], err[PLUGIN_ERROR_BYTES] = "";
    const struct plugin *plugin = NULL;
    const char *folder =
        strcmp(ref->target, "fifo") == 0 ? "/lib/shunt/policies/" : "/tests/policies/";
    (void)snprintf(path, sizeof path, "%s%s%s.so", SHUNT_BUILD_DIR, folder, ref->target);
    if (plugin_load(registry, path, &plugin, err, sizeof err) != 0 ||
        params_create(&plugin->schema, models, count, ret_params) != 0 ||
        params_apply(*ret_params, ref->set, ref->set_count, PARAM_ORIGIN_CONFIG, false, err,
                     sizeof err) != 0) {
        fail_msg("%s: %s", path, err);
    }
    return plugin;
}

/* Runs the case to its end and fills run->result. */
static void execute(struct run *run)
{
    char path[1024], err[SCENARIO_ERROR_MAX] = "";
    (void)snprintf(path, sizeof path, "%s%s.yaml", SCENARIOS, run->of->scenario);
    if (scenario_load(path, NULL, &run->scenario, err, sizeof err) != 0) {
        fail_msg("%s", err);
    }
    run->scenario->requests_max = run->of->thousands * UINT64_C(1000);
    if (quick) {
        run->scenario->requests_max /= QUICK;
    } else if (long_run && run->of->se_max > 0) {
        run->scenario->requests_max *= LONG;
    }
    run->skip = run->scenario->requests_max / 10;
    translate(run->scenario, &run->model);

    struct policy_ref ref = {0};
    struct params *params = NULL;
    const char *models[MODELS_MAX];
    uint32_t count = scenario_models(run->scenario);
    for (uint32_t i = 0; i < count; i++) {
        models[i] = scenario_model_name(run->scenario, i);
    }
    assert_int_equal(policy_ref_parse(run->of->policy, &ref, err, sizeof err), 0);
    const struct sim_observer observer = {.ctx = run, .action = observe};
    const struct sim_options options = {
        .scenario = run->scenario,
        .policy = {.plugin = load_policy(&ref, models, count, &params), .params = params},
        .seed = 1,
        .observers = &observer,
        .observer_count = 1,
    };
    struct sim *sim = NULL;
    if (sim_create(&options, &sim, err, sizeof err) != 0 || sim_run(sim, err, sizeof err) != 0 ||
        sim_result(sim, &run->result) != 0) {
        fail_msg("%s", err);
    }
    sim_destroy(sim);
    params_destroy(params);
    policy_ref_fini(&ref);
}

/* ------------------------------------------------------------------ checks */

__attribute__((format(printf, 3, 4))) static void check(struct run *run, bool ok,
                                                        const char *format, ...)
{
    if (!ok) {
        va_list args;
        va_start(args, format);
        print_error("%s %s: ", run->of->scenario, run->of->policy);
        vprint_error(format, args);
        print_error("\n");
        va_end(args);
        run->failures++;
    }
}

static double se_max(const struct run *run)
{
    double most = run->of->se_max > 0 && !long_run ? run->of->se_max : 0.01;
    return most * (quick ? 10 : 1);
}

/* A mean against its expectation; what the table shows. */
static void compare(struct run *run, const char *what, const struct result_stat *stat,
                    double expected)
{
    double off = stat->mean_s - expected;
    double most = run->of->from == SIMULATED ? 0.01 * expected : 4 * stat->se_s;
    most = run->of->from == SIMULATED && quick ? most + 4 * stat->se_s : most;
    bool near = fabs(off) <= most;
    bool sure = stat->batches >= 30 && stat->se_s < se_max(run) * stat->mean_s;
    check(run, near, "%s: mean %.5f s, expected %.5f s, off by %.1f standard errors", what,
          stat->mean_s, expected, off / stat->se_s);
    check(run, sure, "%s: standard error %.2f %% of the mean, from %u batches", what,
          100 * stat->se_s / stat->mean_s, stat->batches);
    assert_true(row_count < sizeof rows / sizeof rows[0]);
    (void)snprintf(rows[row_count++], sizeof rows[0],
                   "| theory-%s | %s | %s | %.4f%s | %.4f | %.2f %% | %+.1f | %u | %llu | %s |",
                   run->of->scenario, run->of->policy, what, expected,
                   run->of->from == SIMULATED ? " (1 %)" : "", stat->mean_s,
                   100 * stat->se_s / stat->mean_s, stat->se_s > 0 ? off / stat->se_s : 0,
                   stat->batches, (unsigned long long)stat->count,
                   near && sure ? "pass" : "**FAIL**");
}

/* Allowance for a share of time or a count that comes from `requests` random ones. */
static double slack(const struct run *run)
{
    double rate = 0, load = theory_load(&run->model), work2 = 0;
    for (uint32_t i = 0; i < run->model.count; i++) {
        rate += run->model.queue[i].rate;
        work2 += run->model.queue[i].rate * run->model.queue[i].service2;
    }
    double span = (double)run->scenario->requests_max / rate;
    return 4 * sqrt(work2 / span) / load; /* four deviations of the work that arrived */
}

static void check_time(struct run *run)
{
    const struct result_time *t = &run->result.time;
    double load = theory_load(&run->model);
    double sum =
        t->serving_frac + t->draining_frac + t->switching_frac + t->lingering_frac + t->idle_frac;
    double busy = t->serving_frac + t->draining_frac;
    double expected = run->of->from == UNLIMITED ? 1 - exp(-load) : load;
    check(run, run->result.exact.holds, "the exact identities do not hold");
    check(run,
          run->result.requests.completed == run->result.requests.offered &&
              run->result.requests.offered == run->scenario->requests_max,
          "%llu of %llu requests completed", (unsigned long long)run->result.requests.completed,
          (unsigned long long)run->result.requests.offered);
    check(run, fabs(sum - 1) < 1e-9, "shares of time add up to %.12f", sum);
    check(run, fabs(busy / expected - 1) < slack(run), "busy %.5f of the time, expected %.5f", busy,
          expected);
    for (uint32_t i = 0; i < run->result.model_count; i++) {
        const struct result_model *m = &run->result.models[i];
        double held = m->queue_mean * t->span_s;
        double waited = m->wait.count == 0 ? 0 : m->wait.mean_s * (double)m->wait.count;
        /* But for those who wait at the ends of the window. */
        double ends = m->wait.count == 0 ? 0 : 0.002 * waited + 5 * m->wait.max_s;
        check(run, fabs(held - waited) <= ends,
              "Little's law in queue %s: integral of its length %.6g, sum of its waits %.6g",
              m->name, held, waited);
    }
}

/*
 * Work decomposition (Boxma): with one law of service, whatever the order of service, the mean wait
 * is that of the queue without switches plus what the work found at an instant without service
 * takes, which the simulator measures.
 */
static void check_decomposition(struct run *run)
{
    struct theory_queue all = run->model.queue[0];
    for (uint32_t i = 1; i < run->model.count; i++) {
        const struct theory_queue *q = &run->model.queue[i];
        if (q->rate > 0 && (q->service != all.service || q->service2 != all.service2)) {
            return;
        }
        all.rate += q->rate;
    }
    double expected =
        theory_wait_single(all) + run->result.work_at_nonserving_s / theory_load(&run->model);
    check(run, fabs(run->result.wait.mean_s - expected) <= 4 * run->result.wait.se_s,
          "mean wait %.5f s, but %.5f s by the work at instants without service",
          run->result.wait.mean_s, expected);
}

/* The walk of a polling server: never idle, and as long a round as theory says. */
static void check_walk(struct run *run)
{
    const struct result_time *t = &run->result.time;
    double rest = t->idle_frac + t->lingering_frac;
    check(run, rest < 1e-12, "the server rested %.9f of the time", rest);
    for (uint32_t i = 0; i < run->result.model_count; i++) {
        double round =
            (double)run->result.exact.elapsed_ns / 1e9 / (double)run->result.models[i].visits;
        double expected = theory_cycle(&run->model);
        check(run, fabs(round / expected - 1) < 2 * slack(run),
              "a round takes %.4f s, expected %.4f s", round, expected);
    }
}

static bool alike(const struct run *run)
{
    const struct theory_polling *p = &run->model;
    for (uint32_t i = 1; i < p->count; i++) {
        if (p->queue[i].rate != p->queue[0].rate || p->queue[i].service != p->queue[0].service ||
            p->move[i] != p->move[0]) {
            return false;
        }
    }
    return p->count > 1;
}

/* Like models get like waits. */
static void check_alike(struct run *run)
{
    for (uint32_t i = 0; i < run->result.model_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const struct result_stat *a = &run->result.models[i].wait;
            const struct result_stat *b = &run->result.models[k].wait;
            double most = 4 * sqrt(a->se_s * a->se_s + b->se_s * b->se_s);
            check(run, fabs(a->mean_s - b->mean_s) <= most,
                  "models %u and %u are alike but wait %.4f and %.4f s", k, i, b->mean_s,
                  a->mean_s);
        }
    }
}

/* The law that no order of service escapes, with the simulated waits. */
static void check_law(struct run *run, enum theory_discipline discipline)
{
    double wait[MODELS_MAX], error[MODELS_MAX];
    for (uint32_t i = 0; i < run->model.count; i++) {
        wait[i] = run->result.models[i].wait.mean_s;
        error[i] = run->result.models[i].wait.se_s;
    }
    double sum = theory_law_sum(&run->model, discipline, wait);
    double law = theory_law(&run->model, discipline);
    check(run, fabs(sum - law) <= 4 * theory_law_sum(&run->model, discipline, error),
          "pseudo-conservation law: %.5f, expected %.5f", sum, law);
}

/* Mean over all requests of waits by queue. */
static double over_all(const struct run *run, const double wait[MODELS_MAX])
{
    double rate = 0, sum = 0;
    for (uint32_t i = 0; i < run->model.count; i++) {
        rate += run->model.queue[i].rate;
        sum += run->model.queue[i].rate * wait[i];
    }
    return sum / rate;
}

/* The mean over all requests, and those of unlike queues one by one. */
static void compare_queues(struct run *run, const double wait[MODELS_MAX])
{
    static const char *const names[MODELS_MAX] = {"wait a", "wait b", "wait c", "wait d",
                                                  "wait e", "wait f", "wait g", "wait h"};
    compare(run, "wait", &run->result.wait, over_all(run, wait));
    for (uint32_t i = 0; i < run->model.count; i++) {
        compare(run, names[i], &run->result.models[i].wait, wait[i]);
    }
}

static void check_golden(struct run *run, double formula)
{
    check(run, fabs(formula / run->of->golden - 1) < 1e-6 + 0.5e-5 / run->of->golden,
          "the formula says %.7f, the table %.7f", formula, run->of->golden);
}

/* ------------------------------------------------------------------ kinds of cases */

static void check_polling(struct run *run, enum theory_discipline discipline)
{
    double wait[MODELS_MAX];
    if (discipline == THEORY_ONE_LIMITED) {
        double variance = run->model.move2[0] - run->model.move[0] * run->model.move[0];
        for (uint32_t i = 0; i < run->model.count; i++) {
            wait[i] = theory_wait_symmetric(run->model.count, run->model.queue[0],
                                            run->model.move[0], variance, discipline);
        }
    } else {
        theory_waits_polling(&run->model, discipline, wait);
    }
    check_golden(run, over_all(run, wait));
    compare_queues(run, wait);
    check_law(run, discipline);
    check_walk(run);
}

static void check_fifo(struct run *run)
{
    struct theory_queue queue = run->model.queue[0];
    uint32_t models = run->model.count;
    queue.rate *= models;
    double to_switch = theory_wait_fifo(models, queue, run->model.move[0]);
    double changes = 1 - 1.0 / models;
    double error = 4 * sqrt(changes * (1 - changes) / (double)run->scenario->requests_max);
    check_golden(run, to_switch);
    compare(run, "wait to switch start", &run->result.wait_to_switch_start, to_switch);
    compare(run, "wait", &run->result.wait,
            to_switch + theory_fifo_switch(models, run->model.move[0]));
    check(run, fabs(run->result.switches_per_request - changes) <= error,
          "%.5f switches a request, expected %.5f", run->result.switches_per_request, changes);
}

static void check_npolicy(struct run *run)
{
    double n = run->of->number, setup = cost_s(run->scenario, 1, 0);
    double wait = theory_wait_npolicy(run->model.queue[0], n, setup, cost2_s(run->scenario, 1, 0));
    double cycle = theory_cycle_npolicy(run->model.queue[0], n, setup);
    double seen = (double)run->result.exact.elapsed_ns / 1e9 / (double)run->result.models[0].visits;
    check_golden(run, wait);
    compare(run, "wait", &run->result.wait, wait);
    check(run, fabs(seen / cycle - 1) < 2 * slack(run), "sleeps every %.4f s, expected %.4f s",
          seen, cycle);
}

static void check_pair(struct run *run)
{
    struct theory_pair pair;
    struct theory_pair_waits waits;
    for (uint32_t q = 0; q < 2; q++) {
        pair.rate[q] = run->model.queue[q].rate;
        pair.service[q] = run->model.queue[q].service;
        pair.setup[q] = cost_s(run->scenario, 1 - q, q);
    }
    assert_int_equal(theory_pair_solve(&pair, (uint32_t)run->of->number, &waits), 0);
    check_golden(run, waits.all);
    compare_queues(run, (double[MODELS_MAX]){waits.queue[0], waits.queue[1]});
}

/* With as many servers as requests the number in service is Poisson. */
static void check_unlimited(struct run *run)
{
    double mean = theory_load(&run->model), total = 0, distance = 0, p = exp(-mean);
    check_golden(run, run->model.queue[0].service);
    compare(run, "response", &run->result.response, run->model.queue[0].service);
    check(run, fabs(run->result.models[0].in_service_mean / mean - 1) < slack(run),
          "%.4f in service, expected %.4f", run->result.models[0].in_service_mean, mean);
    for (uint32_t i = 0; i <= IN_SERVICE_MAX; i++) {
        total += run->in_service_ns[i];
    }
    for (uint32_t i = 0; i < IN_SERVICE_MAX; i++) {
        distance += fabs(run->in_service_ns[i] / total - p) / 2;
        p *= mean / (i + 1);
    }
    check(run, distance < (quick ? 0.03 : 0.003),
          "the number in service is off a Poisson law by %.5f in total variation", distance);
}

static void check_all(struct run *run)
{
    switch (run->of->from) {
    case SINGLE:
        check_golden(run, theory_wait_single(run->model.queue[0]));
        compare(run, "wait", &run->result.wait, theory_wait_single(run->model.queue[0]));
        break;
    case VACATIONS: {
        double wait =
            theory_wait_vacations(run->model.queue[0], run->model.move[0], run->model.move2[0]);
        check_golden(run, wait);
        compare(run, "wait", &run->result.wait, wait);
        break;
    }
    case NPOLICY:
        check_npolicy(run);
        break;
    case FIFO:
        check_fifo(run);
        break;
    case EXHAUSTIVE:
        check_polling(run, THEORY_EXHAUSTIVE);
        break;
    case GATED:
        check_polling(run, THEORY_GATED);
        break;
    case ONE_LIMITED:
        check_polling(run, THEORY_ONE_LIMITED);
        break;
    case PAIR:
        check_pair(run);
        break;
    case SIMULATED:
        compare(run, "wait", &run->result.wait, run->of->golden);
        break;
    case SHARING:
        check_golden(run, theory_response_sharing(run->model.queue[0]));
        compare(run, "response", &run->result.response,
                theory_response_sharing(run->model.queue[0]));
        break;
    case UNLIMITED:
        check_unlimited(run);
        break;
    }
    if (run->of->switches_s > 0) {
        double seen = (double)run->result.switches / run->result.time.span_s;
        check(run, fabs(seen / run->of->switches_s - 1) < 0.01,
              "%.5f switches a second, expected %.5f", seen, run->of->switches_s);
    }
    if (alike(run)) {
        check_alike(run);
    }
    if (!by_response(run->of)) {
        check_decomposition(run);
    }
    check_time(run);
    double lag1 = fine_lag1(&run->fine);
    bool constant = run->result.response.max_s - run->result.response.p50_s < 1e-6;
    check(run, quick || constant || lag1 < 0.2, "correlation %.3f between neighbours of %u batches",
          lag1, run->fine.full);
}

static void test_case(void **state)
{
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    run->of = *state;
    execute(run);
    check_all(run);
    uint32_t failures = run->failures;
    result_fini(&run->result);
    scenario_free(run->scenario);
    free(run);
    assert_int_equal(failures, 0);
}

/* ------------------------------------------------------------------ the program */

static void print_rows(void)
{
    (void)printf(
        "| scenario | policy | mean of | expected, s | simulated, s | standard error | off, "
        "in errors | batches | requests | verdict |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < row_count; i++) {
        (void)printf("%s\n", rows[i]);
    }
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[CASES_MAX];
    static char names[CASES_MAX][80];
    const char *pattern = "*";
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            quick = true;
        } else if (strcmp(argv[i], "--long") == 0) {
            long_run = true;
        } else if (strcmp(argv[i], "--print") == 0) {
            print = true;
        } else if (argv[i][0] != '-') {
            pattern = argv[i];
        } else {
            print_error("no option %s; there are --quick, --long, --print\n", argv[i]);
            return 2;
        }
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(names[count], sizeof names[0], "theory-%s %s", cases[i].scenario,
                       cases[i].policy);
        if (fnmatch(pattern, names[count] + strlen("theory-"), 0) == 0) {
            tests[count] = (struct CMUnitTest){.name = names[count],
                                               .test_func = test_case,
                                               .initial_state = (void *)(uintptr_t)&cases[i]};
            count++;
        }
    }
    if (count == 0 || plugin_registry_create(NULL, &registry) != 0) {
        print_error("nothing to run: no case is called %s\n", pattern);
        return 1;
    }
    int failed = _cmocka_run_group_tests("theory", tests, count, NULL, NULL);
    plugin_registry_destroy(registry);
    if (print) {
        print_rows();
    }
    return failed != 0;
}
