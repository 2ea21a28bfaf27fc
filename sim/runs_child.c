/*
 * One run in a process of its own: whatever a policy does to it, the parent only sees a pipe that
 * ends and a status.
 */
#include "sim/runs_priv.h"

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

/* *ret_text is malloc'ed. */
static int simulate(const struct runs_plan *plan, uint32_t run, int fd, char **ret_text, char *err,
                    size_t err_size)
{
    const struct runs_pair *pair = runs_plan_pair(plan, run);
    const struct sim_options options = {
        .scenario = pair->scenario,
        .policy = {.plugin = pair->policy->choice->plugin, .params = pair->params},
        .seed = runs_plan_seed(plan, run),
        .checked = plan->options->checked,
        .progress = progress,
        .progress_ctx = &fd};
    struct sim *sim;
    struct result result;
    int rc = sim_create(&options, &sim, err, err_size);
    if (rc) {
        return rc;
    }
    double start_s = now_s();
    rc = sim_run(sim, err, err_size);
    double wall_s = now_s() - start_s;
    rc = rc ? rc : sim_result(sim, &result);
    if (!rc) {
        json_t *json = to_json(plan, pair, &result, wall_s);
        *ret_text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        rc = *ret_text ? 0 : -ENOMEM;
        json_decref(json);
        result_fini(&result);
    }
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
