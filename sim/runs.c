/*
 * Starts runs as child processes, so many at a time, and collects them in order. See runs.h.
 */
#include "sim/runs_priv.h"

#include "base/fail.h"
#include "core/core.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, POLL_MS = 200 };

/* A run under way, and what its pipe has given so far. */
struct child {
    pid_t pid; /* 0: the place is free */
    int fd;
    uint32_t run;
    int64_t deadline_ns;
    bool late;
    double done;
    char *bytes; /* of the frame that is being read */
    size_t used, room;
};

struct pool {
    struct runs_plan plan;
    struct child *children;
    struct pollfd *polls;
    uint32_t jobs, running;
    uint32_t next, finished;
    json_t **results;
    uint32_t failed; /* the first run, in order, that failed; total: none */
    int code;
    char err[RUNS_ERROR_MAX];
};

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * CORE_NS_PER_S + now.tv_nsec;
}

static uint32_t cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
    return count < 1 ? 1 : count > RUNS_JOBS_MAX ? RUNS_JOBS_MAX : (uint32_t)count;
}

/* ------------------------------------------------------------------ failures */

static void stop(struct child *child)
{
    (void)kill(child->pid, SIGKILL);
}

static const char *policy_of(const struct pool *pool, uint32_t run)
{
    return runs_plan_pair(&pool->plan, run)->policy->choice->reference;
}

static void note_failure(struct pool *pool, uint32_t run, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Keeps the first failure in order, and ends what could not come before it. */
static void note_failure(struct pool *pool, uint32_t run, int code, const char *format, ...)
{
    if (run >= pool->failed) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(pool->err, sizeof(pool->err), format, args);
    va_end(args);
    pool->failed = run;
    pool->code = code;
    for (uint32_t i = 0; i < pool->jobs; i++) {
        if (pool->children[i].pid && pool->children[i].run > run) {
            stop(&pool->children[i]);
        }
    }
}

/* ------------------------------------------------------------------ children */

static void start(struct pool *pool, struct child *child)
{
    int ends[2];
    uint32_t run = pool->next++;
    if (pipe2(ends, O_CLOEXEC)) {
        note_failure(pool, run, -ENOMEM, "pipe: %s", strerror(errno));
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        runs_child(&pool->plan, run, ends[1]);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        note_failure(pool, run, -ENOMEM, "fork: %s", strerror(errno));
        return;
    }
    int64_t timeout_ns = pool->plan.options->timeout_ns;
    *child = (struct child){.pid = pid,
                            .fd = ends[0],
                            .run = run,
                            .deadline_ns = timeout_ns > 0 ? now_ns() + timeout_ns : INT64_MAX};
    pool->running++;
}

static void take_frame(struct pool *pool, struct child *child, const struct runs_frame *frame,
                       const char *bytes)
{
    switch ((enum runs_frame_kind)frame->kind) {
    case RUNS_FRAME_PROGRESS:
        if (frame->size == sizeof(double)) {
            memcpy(&child->done, bytes, sizeof(double));
        }
        break;
    case RUNS_FRAME_RESULT:
        json_decref(pool->results[child->run]);
        pool->results[child->run] = json_loadb(bytes, frame->size, 0, NULL);
        if (pool->results[child->run] && pool->plan.options->ended) {
            pool->plan.options->ended(pool->plan.options->ctx, child->run,
                                      pool->results[child->run]);
        }
        break;
    case RUNS_FRAME_ERROR:
        note_failure(pool, child->run, frame->code < 0 ? frame->code : -EPROTO, "%.*s",
                     (int)frame->size, bytes);
        break;
    }
}

/* Takes the frames that are whole; false where the child writes nonsense. */
static bool take_frames(struct pool *pool, struct child *child)
{
    size_t at = 0;
    struct runs_frame frame;
    while (child->used - at >= sizeof(frame)) {
        memcpy(&frame, child->bytes + at, sizeof(frame));
        if (frame.kind > RUNS_FRAME_ERROR || frame.size > RUNS_FRAME_BYTES_MAX) {
            return false;
        }
        if (child->used - at - sizeof(frame) < frame.size) {
            break;
        }
        take_frame(pool, child, &frame, child->bytes + at + sizeof(frame));
        at += sizeof(frame) + (size_t)frame.size;
    }
    if (at > 0) {
        memmove(child->bytes, child->bytes + at, child->used - at);
        child->used -= at;
    }
    return true;
}

/* Whether there may be more to come. */
static bool read_some(struct pool *pool, struct child *child)
{
    if (child->room - child->used < READ_BYTES) {
        size_t room = 2 * child->room + 2 * READ_BYTES;
        char *grown = realloc(child->bytes, room);
        if (!grown) {
            note_failure(pool, child->run, -ENOMEM, "out of memory");
            return false;
        }
        child->bytes = grown;
        child->room = room;
    }
    ssize_t got = read(child->fd, child->bytes + child->used, child->room - child->used);
    if (got < 0) {
        return errno == EINTR;
    }
    child->used += (size_t)got;
    return got > 0 && take_frames(pool, child);
}

static void say_signal(struct pool *pool, const struct child *child, int number)
{
    const char *name = sigabbrev_np(number);
    uint64_t seed = runs_plan_seed(&pool->plan, child->run);
    const char *policy = policy_of(pool, child->run);
    const char *scenario = runs_plan_pair(&pool->plan, child->run)->scenario->name;
    if (child->late) {
        note_failure(pool, child->run, -ETIME,
                     "policy %s: scenario %s with seed %" PRIu64 " took more than %" PRId64 " s",
                     policy, scenario, seed, pool->plan.options->timeout_ns / CORE_NS_PER_S);
    } else {
        note_failure(pool, child->run, -EFAULT,
                     "policy %s crashed with SIG%s in scenario %s with seed %" PRIu64, policy,
                     name ? name : "?", scenario, seed);
    }
}

static void reap(struct pool *pool, struct child *child)
{
    int status = 0;
    stop(child); /* it has closed its pipe; nothing but its status is wanted any more */
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    (void)close(child->fd);
    if (!pool->results[child->run] && child->run < pool->failed) {
        if (WIFSIGNALED(status)) {
            say_signal(pool, child, WTERMSIG(status));
        } else {
            note_failure(pool, child->run, -EFAULT,
                         "policy %s ended the process with status %d in seed %" PRIu64,
                         policy_of(pool, child->run), WEXITSTATUS(status),
                         runs_plan_seed(&pool->plan, child->run));
        }
    }
    free(child->bytes);
    *child = (struct child){0};
    pool->running--;
    pool->finished++;
}

/* ------------------------------------------------------------------ the pool */

static void tell_progress(const struct pool *pool)
{
    const struct runs_options *o = pool->plan.options;
    double done = pool->finished;
    for (uint32_t i = 0; i < pool->jobs; i++) {
        done += pool->children[i].pid ? pool->children[i].done : 0;
    }
    if (o->progress) {
        o->progress(o->ctx, done, pool->plan.total);
    }
}

static void end_late(struct pool *pool)
{
    int64_t now = now_ns();
    for (uint32_t i = 0; i < pool->jobs; i++) {
        struct child *child = &pool->children[i];
        if (child->pid && now >= child->deadline_ns && !child->late) {
            child->late = true;
            stop(child);
        }
    }
}

static void wait_for_some(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->jobs; i++) {
        bool used = pool->children[i].pid != 0;
        pool->polls[i] = (struct pollfd){.fd = used ? pool->children[i].fd : -1, .events = POLLIN};
    }
    int ready = poll(pool->polls, pool->jobs, POLL_MS);
    for (uint32_t i = 0; ready > 0 && i < pool->jobs; i++) {
        struct child *child = &pool->children[i];
        if (child->pid && pool->polls[i].revents && !read_some(pool, child)) {
            reap(pool, child);
        }
    }
    end_late(pool);
    tell_progress(pool);
}

static void run_all(struct pool *pool)
{
    for (;;) {
        uint32_t end = pool->failed; /* nothing beyond a failure is started */
        for (uint32_t i = 0; i < pool->jobs && pool->next < end; i++) {
            if (!pool->children[i].pid) {
                start(pool, &pool->children[i]);
                end = pool->failed;
            }
        }
        if (pool->running == 0) {
            return;
        }
        wait_for_some(pool);
    }
}

static int collect(struct pool *pool, json_t **ret_results)
{
    json_t *all = json_array();
    for (uint32_t i = 0; all && i < pool->plan.total; i++) {
        if (json_array_append(all, pool->results[i])) {
            json_decref(all);
            all = NULL;
        }
    }
    *ret_results = all;
    return all ? 0 : -ENOMEM;
}

int runs_execute(const struct runs_options *options, json_t **ret_results, char *err,
                 size_t err_size)
{
    struct pool pool = {.code = 0};
    int rc = runs_plan_init(&pool.plan, options, err, err_size);
    if (rc) {
        return rc;
    }
    uint32_t jobs = options->jobs ? options->jobs : cores();
    pool.jobs = jobs < pool.plan.total ? jobs : pool.plan.total;
    pool.failed = pool.plan.total;
    pool.children = calloc(pool.jobs + 1u, sizeof(*pool.children));
    pool.polls = calloc(pool.jobs + 1u, sizeof(*pool.polls));
    pool.results = calloc(pool.plan.total + 1u, sizeof(json_t *));
    rc = -ENOMEM;
    if (pool.children && pool.polls && pool.results) {
        run_all(&pool);
        rc = pool.failed < pool.plan.total ? pool.code : collect(&pool, ret_results);
    }
    if (rc) {
        (void)fail(rc, err, err_size, "%s", pool.err[0] ? pool.err : strerror(-rc));
    }
    for (uint32_t i = 0; pool.results && i < pool.plan.total; i++) {
        json_decref(pool.results[i]);
    }
    free(pool.results);
    free(pool.polls);
    free(pool.children);
    runs_plan_fini(&pool.plan);
    return rc;
}
