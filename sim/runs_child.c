/*
 * One run in a process of its own: whatever a policy does to it, the parent only sees a pipe that
 * ends and a status.
 */
#include "sim/runs_priv.h"

#include "sim/journal_out.h"
#include "sim/series.h"
#include "sim/sim.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static bool write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t put = write(fd, at, size);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        at += put > 0 ? put : 0;
        size -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool tell(int fd, enum runs_frame_kind kind, int code, const void *bytes, size_t size)
{
    const struct runs_frame frame = {.kind = kind, .code = code, .size = size};
    return write_all(fd, &frame, sizeof(frame)) && write_all(fd, bytes, size);
}

static bool progress(void *ctx, double done)
{
    const int *fd = ctx;
    return tell(*fd, RUNS_FRAME_PROGRESS, 0, &done, sizeof(done));
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static json_t *to_json(const struct runs_plan *plan, const struct runs_pair *pair,
                       const struct result *result, double wall_s)
{
    const struct policy_choice *choice = pair->policy->choice;
    const struct result_context context = {.command = plan->options->command,
                                           .version = plan->options->version,
                                           .policy = choice->reference,
                                           .policy_name = choice->plugin->note.id,
                                           .policy_version = choice->plugin->note.version,
                                           .policy_hash = choice->plugin->hash,
                                           .policy_sha256 = pair->policy->sha256,
                                           .policy_params = pair->params_json,
                                           .traces = pair->traces,
                                           .wall_s = wall_s};
    return result_json(result, &context);
}

/* Who watches the run. */
struct watch {
    struct series *series;
    struct journal_out *journal;
    struct sim_observer observers[2];
    uint32_t count;
};

static int watch_begin(const struct runs_plan *plan, const struct scenario *scenario,
                       struct watch *watch, char *err, size_t err_size)
{
    *watch = (struct watch){0};
    int rc = plan->options->series ? series_of_scenario(scenario, &watch->series) : 0;
    if (watch->series) {
        watch->observers[watch->count++] = series_observer(watch->series);
    }
    if (!rc && plan->options->journal) {
        rc = journal_out_create(plan->options->journal, scenario, &watch->journal, err, err_size);
    }
    if (watch->journal) {
        watch->observers[watch->count++] = journal_out_observer(watch->journal);
    }
    return rc;
}

/* Ends what watched the run that ended, or that failed with `rc`; returns the first error. */
static int watch_end(struct watch *watch, struct sim *sim, json_t *json, int rc, char *err,
                     size_t err_size)
{
    int64_t t_ns = sim ? sim_now_ns(sim) : 0;
    if (!rc && watch->series) {
        json_t *series = series_json(watch->series, sim_core(sim), t_ns);
        rc = series && json_object_set_new(json, "series", series) == 0 ? 0 : -ENOMEM;
    }
    series_destroy(watch->series);
    char text[RUNS_ERROR_MAX];
    int closed = journal_out_close(watch->journal, t_ns, text, sizeof(text));
    if (!rc && closed) {
        (void)snprintf(err, err_size, "%s", text);
    }
    return rc ? rc : closed;
}

/* *ret_json is a new reference. */
static int run_watched(const struct runs_plan *plan, uint32_t run, struct sim *sim,
                       json_t **ret_json, char *err, size_t err_size)
{
    struct result result;
    double start_s = now_s();
    int rc = sim_run(sim, err, err_size);
    double wall_s = now_s() - start_s;
    rc = rc ? rc : sim_result(sim, &result);
    if (!rc) {
        *ret_json = to_json(plan, runs_plan_pair(plan, run), &result, wall_s);
        rc = *ret_json ? 0 : -ENOMEM;
        result_fini(&result);
    }
    return rc;
}

/* *ret_text is malloc'ed. */
static int simulate(const struct runs_plan *plan, uint32_t run, int fd, char **ret_text, char *err,
                    size_t err_size)
{
    const struct runs_pair *pair = runs_plan_pair(plan, run);
    struct watch watch;
    struct sim *sim = NULL;
    json_t *json = NULL;
    int rc = watch_begin(plan, pair->scenario, &watch, err, err_size);
    const struct sim_options options = {
        .scenario = pair->scenario,
        .policy = {.plugin = pair->policy->choice->plugin, .params = pair->params},
        .seed = runs_plan_seed(plan, run),
        .blocks = plan->options->blocks,
        .observers = watch.observers,
        .observer_count = watch.count,
        .checked = plan->options->checked,
        .progress = progress,
        .progress_ctx = &fd};
    rc = rc ? rc : sim_create(&options, &sim, err, err_size);
    rc = rc ? rc : run_watched(plan, run, sim, &json, err, err_size);
    rc = watch_end(&watch, sim, json, rc, err, err_size);
    if (!rc) {
        *ret_text = json_dumps(json, JSON_COMPACT);
        rc = *ret_text ? 0 : -ENOMEM;
    }
    json_decref(json);
    sim_destroy(sim);
    return rc;
}

_Noreturn void runs_child(const struct runs_plan *plan, uint32_t run, int fd)
{
    const struct rlimit no_core = {0, 0};
    char err[RUNS_ERROR_MAX] = "", *text = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    int rc = simulate(plan, run, fd, &text, err, sizeof(err));
    if (rc) {
        const char *why = err[0] ? err : strerror(-rc);
        (void)tell(fd, RUNS_FRAME_ERROR, rc, why, strlen(why));
    } else {
        (void)tell(fd, RUNS_FRAME_RESULT, 0, text, strlen(text));
    }
    _exit(0);
}
