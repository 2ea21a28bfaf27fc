/* Instances and schedules: checking, timing, worth, and the two simple rules. */
#include "sim/opt.h"

#include "base/fail.h"
#include "sim/opt_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    [OPT_SUM] = "sum", [OPT_MAX] = "max", [OPT_MAKESPAN] = "makespan", [OPT_P95] = "p95"};

const char *opt_objective_name(enum opt_objective objective)
{
    return (size_t)objective < sizeof names / sizeof *names ? names[objective] : NULL;
}

/* ------------------------------------------------------------------ instances */

static int check_instance(const struct opt_instance *in, char *err, size_t err_size)
{
    if (in->models == 0 || in->models > OPT_MODELS_MAX || in->jobs_len > OPT_JOBS_MAX) {
        return fail(-E2BIG, err, err_size, "%zu jobs of %u models: at most %d of %d", in->jobs_len,
                    in->models, OPT_JOBS_MAX, OPT_MODELS_MAX);
    }
    if (in->initial > in->models) {
        return fail(-EINVAL, err, err_size, "there is no model %u to begin with", in->initial);
    }
    size_t states = (size_t)in->models + 1;
    for (size_t i = 0; i < states * states; i++) {
        if (in->cost[i] < 0 || (i % (states + 1) == 0 && in->cost[i] != 0)) {
            return fail(-EINVAL, err, err_size,
                        "a switch takes a negative time, or one from a model to itself takes any");
        }
    }
    for (size_t i = 0; i < in->jobs_len; i++) {
        const struct opt_job *job = &in->jobs[i];
        if (job->model >= in->models || job->arrival < 0 || job->service < 0) {
            return fail(-EINVAL, err, err_size, "job %zu has an unknown model or a negative time",
                        i);
        }
        if (i > 0 && job->arrival < in->jobs[i - 1].arrival) {
            return fail(-EINVAL, err, err_size, "job %zu arrives before the one before it", i);
        }
    }
    return 0;
}

/* Shortest ways (Floyd and Warshall). */
static void close_costs(struct opt *opt)
{
    size_t n = (size_t)opt->models + 1;
    for (size_t via = 0; via < n; via++) {
        for (size_t from = 0; from < n; from++) {
            for (size_t to = 0; to < n; to++) {
                int64_t way = opt_sum(opt->cost[from * n + via], opt->cost[via * n + to]);
                if (way < opt->cost[from * n + to]) {
                    opt->cost[from * n + to] = way;
                }
            }
        }
    }
}

static void group_by_model(struct opt *opt)
{
    size_t next[OPT_MODELS_MAX] = {0};
    for (size_t i = 0; i < opt->jobs_len; i++) {
        opt->model_first[opt->jobs[i].model + 1]++;
    }
    for (uint32_t m = 0; m < opt->models; m++) {
        opt->model_first[m + 1] += opt->model_first[m];
        next[m] = opt->model_first[m];
    }
    for (size_t i = 0; i < opt->jobs_len; i++) {
        opt->by_model[next[opt->jobs[i].model]++] = i;
    }
}

/* The end of the slowest sensible schedule: everything after the last arrival, with a switch each.
 */
static int64_t find_horizon(const struct opt *opt)
{
    size_t n = (size_t)opt->models + 1;
    int64_t cost_max = 0, horizon = opt->jobs_len ? opt->jobs[opt->jobs_len - 1].arrival : 0;
    for (size_t i = 0; i < n * n; i++) {
        bool to_empty = i % n == opt->models; /* never part of a schedule */
        cost_max = !to_empty && opt->direct[i] > cost_max ? opt->direct[i] : cost_max;
    }
    for (size_t i = 0; i < opt->jobs_len; i++) {
        horizon = opt_sum(horizon, opt_sum(opt->jobs[i].service, cost_max));
    }
    return horizon;
}

int opt_create(const struct opt_instance *in, struct opt **ret_opt, char *err, size_t err_size)
{
    int rc = check_instance(in, err, err_size);
    if (rc) {
        return rc;
    }
    size_t states = (size_t)in->models + 1;
    struct opt *opt = calloc(1, sizeof *opt);
    if (!opt) {
        return fail(-ENOMEM, err, err_size, "out of memory");
    }
    opt->models = in->models;
    opt->initial = in->initial;
    opt->jobs_len = in->jobs_len;
    opt->cost = calloc(states * states, sizeof *opt->cost);
    opt->direct = calloc(states * states, sizeof *opt->direct);
    opt->jobs = calloc(in->jobs_len + 1, sizeof *opt->jobs);
    opt->by_model = calloc(in->jobs_len + 1, sizeof *opt->by_model);
    opt->model_first = calloc(states, sizeof *opt->model_first);
    if (!opt->cost || !opt->direct || !opt->jobs || !opt->by_model || !opt->model_first) {
        opt_destroy(opt);
        return fail(-ENOMEM, err, err_size, "out of memory");
    }
    memcpy(opt->cost, in->cost, states * states * sizeof *opt->cost);
    memcpy(opt->direct, in->cost, states * states * sizeof *opt->direct);
    if (in->jobs_len > 0) {
        memcpy(opt->jobs, in->jobs, in->jobs_len * sizeof *opt->jobs);
    }
    close_costs(opt);
    group_by_model(opt);
    opt->horizon = find_horizon(opt);
    if (opt->horizon > OPT_HORIZON_MAX) {
        opt_destroy(opt);
        return fail(-ERANGE, err, err_size, "times add up to more than %lld",
                    (long long)OPT_HORIZON_MAX);
    }
    *ret_opt = opt;
    return 0;
}

void opt_destroy(struct opt *opt)
{
    if (!opt) {
        return;
    }
    free(opt->cost);
    free(opt->direct);
    free(opt->jobs);
    free(opt->by_model);
    free(opt->model_first);
    free(opt);
}

const struct opt_job *opt_jobs(const struct opt *opt, size_t *ret_len)
{
    *ret_len = opt->jobs_len;
    return opt->jobs;
}

int64_t opt_least_switch(const struct opt *opt, uint32_t to)
{
    int64_t least = INT64_MAX;
    for (uint32_t from = 0; from < opt->models; from++) {
        if (from != to && opt_cost(opt, from, to) < least) {
            least = opt_cost(opt, from, to);
        }
    }
    return least == INT64_MAX ? 0 : least;
}

double opt_states(const struct opt *opt)
{
    double states = opt->models;
    for (uint32_t m = 0; m < opt->models; m++) {
        states *= (double)(opt_model_jobs(opt, m) + 1);
    }
    return states;
}

/* ------------------------------------------------------------------ schedules */

/* Fills a step for a job on a device that is free at *time with *resident on it, after a switch of
 * COST; moves them on. */
static void take_step(const struct opt *opt, bool anticipation, int64_t cost, size_t number,
                      int64_t *time, uint32_t *resident, struct opt_step *step)
{
    const struct opt_job *job = &opt->jobs[number];
    *step = (struct opt_step){.job = number, .from = *resident, .model = job->model};
    step->switch_time = cost;
    step->switch_start = anticipation || *time > job->arrival ? *time : job->arrival;
    step->start = opt_start(anticipation, *time, cost, job);
    step->end = step->start + job->service;
    *time = step->end;
    *resident = job->model;
}

void opt_follow(const struct opt *opt, bool anticipation, const size_t *order,
                struct opt_step *ret_steps)
{
    int64_t time = 0;
    uint32_t resident = opt->initial;
    for (size_t i = 0; i < opt->jobs_len; i++) {
        int64_t cost = opt_cost(opt, resident, opt->jobs[order[i]].model);
        take_step(opt, anticipation, cost, order[i], &time, &resident, &ret_steps[i]);
    }
}

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int64_t opt_p95(int64_t *waits, size_t n)
{
    if (n == 0) {
        return 0;
    }
    qsort(waits, n, sizeof *waits, compare_times);
    return waits[opt_p95_rank(n)];
}

int64_t opt_value(const struct opt *opt, enum opt_objective objective, const struct opt_step *steps)
{
    int64_t sum = 0, max = 0, makespan = 0;
    int64_t *waits = objective == OPT_P95 ? calloc(opt->jobs_len + 1, sizeof *waits) : NULL;
    for (size_t i = 0; i < opt->jobs_len; i++) {
        int64_t wait = steps[i].start - opt->jobs[steps[i].job].arrival;
        assert(wait >= 0);
        sum = opt_sum(sum, wait);
        max = wait > max ? wait : max;
        makespan = steps[i].end > makespan ? steps[i].end : makespan;
        if (waits) {
            waits[i] = wait;
        }
    }
    int64_t value = INT64_MAX;
    switch (objective) {
    case OPT_SUM:
        value = sum;
        break;
    case OPT_MAX:
        value = max;
        break;
    case OPT_MAKESPAN:
        value = makespan;
        break;
    case OPT_P95:
        value = waits ? opt_p95(waits, opt->jobs_len) : INT64_MAX;
        break;
    }
    free(waits);
    return value;
}

/* ------------------------------------------------------------------ rules */

static int64_t direct_cost(const struct opt *opt, uint32_t from, uint32_t to)
{
    return opt->direct[(size_t)from * (opt->models + 1) + to];
}

void opt_fifo(const struct opt *opt, struct opt_step *ret_steps)
{
    int64_t time = 0;
    uint32_t resident = opt->initial;
    for (size_t i = 0; i < opt->jobs_len; i++) {
        int64_t cost = direct_cost(opt, resident, opt->jobs[i].model);
        take_step(opt, false, cost, i, &time, &resident, &ret_steps[i]);
    }
}

/* The model to serve next: the resident one while its head has arrived, else the oldest head, which
 * is also the next to arrive if all are empty. */
static uint32_t exhaustive_next(const struct opt *opt, const size_t *next, int64_t time,
                                uint32_t resident)
{
    uint32_t best = opt->models;
    size_t best_job = SIZE_MAX;
    for (uint32_t m = 0; m < opt->models; m++) {
        if (next[m] == opt_model_jobs(opt, m)) {
            continue;
        }
        size_t job = opt_job_number(opt, m, next[m]);
        if (m == resident && opt->jobs[job].arrival <= time) {
            return m;
        }
        if (job < best_job) {
            best = m;
            best_job = job;
        }
    }
    return best;
}

void opt_exhaustive(const struct opt *opt, struct opt_step *ret_steps)
{
    size_t next[OPT_MODELS_MAX] = {0};
    int64_t time = 0;
    uint32_t resident = opt->initial;
    for (size_t i = 0; i < opt->jobs_len; i++) {
        uint32_t m = exhaustive_next(opt, next, time, resident);
        size_t job = opt_job_number(opt, m, next[m]++);
        take_step(opt, false, direct_cost(opt, resident, m), job, &time, &resident, &ret_steps[i]);
    }
}
