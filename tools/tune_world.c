/*
 * What a search runs its candidates in: scenarios at several lengths, the policy and its space, a
 * process for each run by sim/runs.h, and figures out of the results. What the state file knows is
 * not run again.
 */
#include "base/fail.h"
#include "sim/sim.h"
#include "tools/tune_priv.h"
#include "tools/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_MAX = TUNE_TEXT_MAX + 64,
    BATCH_RUNS = 1024, /* whose results are in memory at a time */
    BAR_WIDTH = 30,
    HASH_HEX = 2 * SCENARIO_HASH_BYTES + 1
};

/* ------------------------------------------------------------------ scenarios */

static bool is_drawn(const struct scenario *s)
{
    bool drawn = s->switching.law != SCENARIO_COST_DETERMINISTIC ||
                 s->switching.fail_probability > 0 || s->switching.late_probability > 0 ||
                 s->patience_s.kind != DIST_NONE;
    for (size_t i = 0; i < s->arrivals.sources_len; i++) {
        const struct arrivals_source *source = &s->arrivals.sources[i];
        const struct dist *of_request[] = {&source->service_s, &source->input_tokens,
                                           &source->output_tokens};
        drawn = drawn || source->classes ||
                (source->kind != ARRIVALS_TRACE && source->kind != ARRIVALS_LIST &&
                 source->kind != ARRIVALS_CONSTANT);
        for (size_t k = 0; k < sizeof(of_request) / sizeof(of_request[0]); k++) {
            drawn = drawn ||
                    (of_request[k]->kind != DIST_NONE && of_request[k]->kind != DIST_DETERMINISTIC);
        }
    }
    return drawn;
}

/* The rows to tune on, of traces; a trace that is not cut cannot be tuned on and scored on. */
static int load(const char *path, struct scenario **ret_scenario, char *err, size_t err_size)
{
    struct scenario *scenario = NULL;
    bool traces = false;
    int rc = scenario_load(path, getenv("SHUNT_TRACES"), &scenario, err, err_size);
    for (size_t i = 0; !rc && i < scenario->arrivals.sources_len; i++) {
        traces = traces || scenario->arrivals.sources[i].kind == ARRIVALS_TRACE;
    }
    if (!rc && traces) {
        char why[ARRIVALS_ERROR_MAX];
        rc = arrivals_set_part(&scenario->arrivals, ARRIVALS_TUNE, why, sizeof(why));
        if (rc) {
            (void)fail(rc, err, err_size, "%s: %s", path, why);
        }
    }
    if (rc) {
        scenario_free(scenario);
        return rc;
    }
    *ret_scenario = scenario;
    return 0;
}

/* A copy that ends after a share of the arrivals. */
static int load_share(const struct tune_world *world, uint32_t index, double share,
                      struct scenario **ret_scenario, char *err, size_t err_size)
{
    struct scenario *scenario = NULL;
    uint64_t count = 0;
    int rc = load(world->command->files[index], &scenario, err, err_size);
    rc = rc ? rc
            : sim_count_arrivals(scenario, tune_world_seed(world, false), &count, err, err_size);
    if (rc) {
        scenario_free(scenario);
        return rc;
    }
    count = count > 0 ? count : scenario->requests_max;
    if (count > 0) {
        double some = (double)count * share;
        scenario->requests_max = (uint64_t)some + ((double)(uint64_t)some < some);
    } else {
        scenario->horizon_ns = (int64_t)((double)scenario->horizon_ns * share);
    }
    *ret_scenario = scenario;
    return 0;
}

/* The scenarios at a share of their arrivals; made once for each of two shares below 1. */
static int at_share(struct tune_world *world, double share, struct scenario *const **ret_scenarios,
                    char *err, size_t err_size)
{
    if (share >= 1) {
        *ret_scenarios = world->full;
        return 0;
    }
    for (uint32_t rung = 0; rung < TUNE_FULL; rung++) {
        bool made = world->share[rung] > 0;
        if (made && (world->share[rung] < share || world->share[rung] > share)) {
            continue;
        }
        for (uint32_t i = 0; !made && i < world->command->file_count; i++) {
            int rc = load_share(world, i, share, &world->part[rung][i], err, err_size);
            if (rc) {
                return rc;
            }
        }
        world->share[rung] = share;
        *ret_scenarios = world->part[rung];
        return 0;
    }
    return fail(-EINVAL, err, err_size, "more lengths than there are");
}

uint64_t tune_world_seed(const struct tune_world *world, bool fresh)
{
    return TUNE_RUN_SEED + 2 * TUNE_SEEDS_MAX * world->command->seed +
           (fresh ? (uint64_t)TUNE_SEEDS_MAX : 0);
}

/* ------------------------------------------------------------------ running */

struct batch {
    struct tune_world *world;
    struct tune_job **jobs; /* those that are not known */
    uint32_t job_count;
    uint32_t *left; /* runs that a job waits for */
    int rc;         /* of the state file */
    char err[TUNE_ERROR_MAX];
};

static double figure(const json_t *result, const char *object, const char *key)
{
    const json_t *of = object ? json_object_get(result, object) : result;
    const json_t *value = json_object_get(of, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void take_figures(const json_t *result, struct tune_run *ret_run)
{
    const json_t *models = json_object_get(result, "models");
    const json_t *quarters = json_object_get(result, "wait_quarter_s");
    double visits = 0;
    for (size_t i = 0; i < json_array_size(models); i++) {
        visits += figure(json_array_get(models, i), NULL, "visits");
    }
    *ret_run =
        (struct tune_run){.value = {[TUNE_MEAN] = figure(result, "wait_s", "mean"),
                                    [TUNE_P99] = figure(result, "wait_s", "p99"),
                                    [TUNE_WORK] = figure(result, "time", "work_per_s"),
                                    [TUNE_JAIN] = figure(result, NULL, "jain"),
                                    [TUNE_SWITCH] = figure(result, "time", "switching_frac")},
                          .cycles = visits / (double)json_array_size(models)};
    for (size_t q = 0; q < TUNE_QUARTERS; q++) {
        const json_t *value = json_array_get(quarters, q);
        ret_run->quarter_s[q] = json_is_number(value) ? json_number_value(value) : 0;
    }
}

static void key_of(const struct tune_job *job, char key[KEY_MAX])
{
    (void)snprintf(key, KEY_MAX, "%.17g%s%s", job->share, job->fresh ? " fresh " : " ",
                   job->values);
}

/* Results come scenarios outermost, then candidates, then seeds. */
static void ended(void *ctx, uint32_t run, const json_t *result)
{
    struct batch *batch = ctx;
    uint32_t seeds = (uint32_t)batch->world->command->seeds;
    uint32_t scenario = run / (batch->job_count * seeds);
    uint32_t job = run / seeds % batch->job_count;
    take_figures(result, &batch->jobs[job]->runs[scenario * seeds + run % seeds]);
    if (--batch->left[job] == 0 && !batch->rc) {
        char key[KEY_MAX];
        key_of(batch->jobs[job], key);
        batch->rc = tune_state_add(&batch->world->state, key, batch->jobs[job]->runs,
                                   batch->world->command->file_count * seeds, batch->err,
                                   sizeof(batch->err));
    }
}

static void draw(struct tune_world *world, double spent)
{
    struct timespec now;
    double share = spent / world->command->budget;
    char cells[BAR_WIDTH + 1];
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    double passed_s = (double)(now.tv_sec - world->start.tv_sec) +
                      (double)(now.tv_nsec - world->start.tv_nsec) / 1e9;
    if (!world->bar || passed_s < world->drawn_s + 0.1) {
        return;
    }
    world->drawn_s = passed_s;
    for (int i = 0; i < BAR_WIDTH; i++) {
        cells[i] = i < (int)(share * BAR_WIDTH) ? '#' : '.';
    }
    cells[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "\r%s %5.1f of %.0f  %-11s %.0f s\x1b[K", cells, spent,
                  world->command->budget, world->phase, passed_s);
    world->bar_shown = true;
}

static void progress(void *ctx, double done, uint32_t total)
{
    struct batch *batch = ctx;
    draw(batch->world, batch->world->spent + batch->world->batch_cost * done / total);
}

void tune_world_phase(void *ctx, const char *name, double spent)
{
    struct tune_world *world = ctx;
    world->phase = name;
    world->spent = spent;
    draw(world, spent);
}

void tune_world_bar_end(struct tune_world *world)
{
    if (world->bar_shown) {
        (void)fprintf(stderr, "\r\x1b[K");
        (void)fflush(stderr);
    }
    world->bar_shown = false;
}

static int make_references(const struct batch *batch, struct policy_ref *refs, char *err,
                           size_t err_size)
{
    char *text = malloc(POLICY_REF_BYTES_MAX + 1);
    int rc = text ? 0 : fail(-ENOMEM, err, err_size, "out of memory");
    for (uint32_t i = 0; !rc && i < batch->job_count; i++) {
        int got = snprintf(text, POLICY_REF_BYTES_MAX + 1, "%s%s", batch->world->command->policy,
                           batch->jobs[i]->values);
        rc = got > POLICY_REF_BYTES_MAX
                 ? fail(-E2BIG, err, err_size, "the reference of a candidate is too long")
                 : policy_ref_parse(text, &refs[i], err, err_size);
    }
    free(text);
    return rc;
}

/* Jobs of one length that are not known, as many as results fit in memory. */
static int run_batch(struct batch *batch, char *err, size_t err_size)
{
    struct tune_world *world = batch->world;
    const struct tune_command *c = world->command;
    const struct tune_job *first = batch->jobs[0];
    struct scenario *const *scenarios = NULL;
    json_t *results = NULL;
    struct policy_refs refs = {.count = batch->job_count};
    int rc = at_share(world, first->share, &scenarios, err, err_size);
    refs.item = calloc(batch->job_count, sizeof(*refs.item));
    batch->left = calloc(batch->job_count, sizeof(*batch->left));
    if (!rc && (!refs.item || !batch->left)) {
        rc = fail(-ENOMEM, err, err_size, "out of memory");
    }
    rc = rc ? rc : make_references(batch, refs.item, err, err_size);
    for (uint32_t i = 0; !rc && i < batch->job_count; i++) {
        batch->left[i] = c->file_count * (uint32_t)c->seeds;
    }
    if (!rc) {
        const struct runs_options options = {.scenarios = (const struct scenario *const *)scenarios,
                                             .scenario_count = c->file_count,
                                             .policies = &refs,
                                             .policy_dir = c->policy_dir,
                                             .version = SHUNT_VERSION,
                                             .seed_first = tune_world_seed(world, first->fresh),
                                             .seed_count = (uint32_t)c->seeds,
                                             .jobs = (uint32_t)c->jobs,
                                             .timeout_ns = (int64_t)c->timeout_s * CORE_NS_PER_S,
                                             .ended = ended,
                                             .progress = progress,
                                             .ctx = batch};
        world->batch_cost = first->share * batch->job_count;
        rc = runs_execute(&options, &results, err, err_size);
        world->spent += world->batch_cost;
    }
    json_decref(results);
    for (uint32_t i = 0; refs.item && i < refs.count; i++) {
        policy_ref_fini(&refs.item[i]);
    }
    free(batch->left);
    free(refs.item);
    return !rc && batch->rc ? fail(batch->rc, err, err_size, "%s", batch->err) : rc;
}

int tune_world_evaluate(void *ctx, struct tune_job *jobs, uint32_t count, char *err,
                        size_t err_size)
{
    struct tune_world *world = ctx;
    uint32_t runs = world->command->file_count * (uint32_t)world->command->seeds;
    uint32_t most = BATCH_RUNS > runs ? BATCH_RUNS / runs : 1;
    struct batch batch = {.world = world, .jobs = calloc(count, sizeof(*batch.jobs))};
    int rc = batch.jobs ? 0 : fail(-ENOMEM, err, err_size, "out of memory");
    for (uint32_t i = 0; !rc && i < count; i++) {
        char key[KEY_MAX];
        key_of(&jobs[i], key);
        if (tune_state_find(&world->state, key, jobs[i].runs, runs)) {
            world->spent += jobs[i].share;
        } else {
            batch.jobs[batch.job_count++] = &jobs[i];
        }
        if (batch.job_count == most || (i + 1 == count && batch.job_count > 0)) {
            rc = run_batch(&batch, err, err_size);
            batch.job_count = 0;
        }
    }
    free(batch.jobs);
    return rc;
}

/* ------------------------------------------------------------------ the world */

static int load_policy(struct tune_world *world, char *err, size_t err_size)
{
    const struct tune_command *c = world->command;
    struct config_policy nothing;
    const struct policy_choice_config config = {.policy = &nothing};
    memset(&nothing, 0, sizeof(nothing));
    int rc = plugin_registry_create(NULL, &world->plugins);
    if (rc) {
        return fail(rc, err, err_size, "libsodium does not start");
    }
    rc = policy_choice_load(world->plugins, c->policy, c->policy_dir, "", &world->choice, err,
                            err_size);
    rc = rc ? rc
            : policy_choice_params(world->choice, &config, false, &world->params, err, err_size);
    if (rc) {
        return rc;
    }
    tune_space_init(&world->space, world->params);
    if (world->space.count == 0) {
        return fail(-EINVAL, err, err_size,
                    "policy %s has no parameter to tune that its reference leaves open", c->policy);
    }
    return 0;
}

static int add_value(void *ctx, const struct param_assignment *assignment)
{
    json_t *item = json_pack("[s, s?, s]", assignment->name, assignment->model, assignment->text);
    return json_array_append_new(ctx, item) ? -ENOMEM : 0;
}

/* What the figures of a state file depend on. */
static json_t *header(const struct tune_world *world)
{
    const struct tune_command *c = world->command;
    json_t *scenarios = json_array(), *values = json_array();
    (void)params_each(world->params, PARAM_ORIGIN_VALUES, add_value, values);
    for (uint32_t i = 0; i < c->file_count; i++) {
        char hex[HASH_HEX];
        for (uint32_t k = 0; k < SCENARIO_HASH_BYTES; k++) {
            (void)snprintf(hex + 2 * k, 3, "%02x", world->full[i]->hash[k]);
        }
        (void)json_array_append_new(
            scenarios, json_pack("{s:s, s:O}", "sha256", hex, "traces", world->traces[i]));
    }
    return json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:I, s:I}", "shunt_tune", 1, "version",
                     SHUNT_VERSION, "policy", c->policy, "policy_hash", world->choice->plugin->hash,
                     "values", values, "scenarios", scenarios, "seed", (json_int_t)c->seed, "seeds",
                     (json_int_t)c->seeds);
}

static int status_of(int rc)
{
    return rc == -ENOMEM ? VERB_FAILED : VERB_USAGE;
}

int tune_world_init(struct tune_world *world, const struct tune_command *command, char *err,
                    size_t err_size)
{
    memset(world, 0, sizeof(*world));
    world->command = command;
    world->phase = "";
    world->bar = isatty(STDERR_FILENO);
    world->drawn_s = 0.4; /* nothing is drawn of what is over in half a second */
    (void)clock_gettime(CLOCK_MONOTONIC, &world->start);
    int rc = 0;
    for (uint32_t i = 0; !rc && i < command->file_count; i++) {
        rc = load(command->files[i], &world->full[i], err, err_size);
        rc = rc ? rc : runs_hash_traces(world->full[i], &world->traces[i], err, err_size);
        world->drawn = world->drawn || (!rc && is_drawn(world->full[i]));
    }
    rc = rc ? rc : load_policy(world, err, err_size);
    if (!rc && command->resume) {
        json_t *head = header(world);
        rc = head ? tune_state_open(&world->state, command->resume, head, err, err_size)
                  : fail(-ENOMEM, err, err_size, "out of memory");
        json_decref(head);
    }
    return rc ? status_of(rc) : VERB_DONE;
}

void tune_world_fini(struct tune_world *world)
{
    tune_state_close(&world->state);
    params_destroy(world->params);
    policy_choice_destroy(world->choice);
    plugin_registry_destroy(world->plugins);
    for (uint32_t i = 0; i < TUNE_SCENARIOS_MAX; i++) {
        json_decref(world->traces[i]);
        scenario_free(world->full[i]);
        for (uint32_t rung = 0; rung < TUNE_FULL; rung++) {
            scenario_free(world->part[rung][i]);
        }
    }
}
