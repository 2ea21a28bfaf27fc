/* A good schedule of any length: optimal windows, one after the other, and simple rules. */
#include "sim/opt_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_STATES_MAX = 1 << 18 };

struct roller {
    const struct opt *opt;
    enum opt_objective objective;
    bool anticipation;
    size_t window;
    size_t first[OPT_MODELS_MAX]; /* next job of each model */
    size_t count[OPT_MODELS_MAX];
    bool *served;    /* [job] */
    size_t earliest; /* the first job that is not served */
    size_t *order;   /* of all jobs, as far as it is decided */
    size_t order_len;
    size_t *plan; /* of the window */
    int64_t time, longest;
    uint32_t resident;
};

/* The first WINDOW jobs that are not served, fewer if their states are too many. */
static size_t choose_window(struct roller *r, size_t window)
{
    const struct opt *opt = r->opt;
    size_t jobs = 0, states = opt->models;
    memset(r->count, 0, sizeof r->count);
    for (size_t i = r->earliest; i < opt->jobs_len && jobs < window; i++) {
        if (r->served[i]) {
            continue;
        }
        size_t *count = &r->count[opt->jobs[i].model];
        size_t more = states / (*count + 1) * (*count + 2);
        if (more > WINDOW_STATES_MAX && jobs > 0) {
            break;
        }
        states = more;
        ++*count;
        jobs++;
    }
    return jobs;
}

/* Follows the first JOBS of the plan. */
static void commit(struct roller *r, size_t jobs)
{
    for (size_t i = 0; i < jobs; i++) {
        const struct opt_job *job = &r->opt->jobs[r->plan[i]];
        int64_t cost = opt_cost(r->opt, r->resident, job->model);
        int64_t start = opt_start(r->anticipation, r->time, cost, job);
        int64_t wait = start - job->arrival;
        r->longest = wait > r->longest ? wait : r->longest;
        r->time = start + job->service;
        r->resident = job->model;
        r->first[job->model]++;
        r->served[r->plan[i]] = true;
        r->order[r->order_len++] = r->plan[i];
    }
    while (r->earliest < r->opt->jobs_len && r->served[r->earliest]) {
        r->earliest++;
    }
}

static int roll(struct roller *r)
{
    size_t window = r->window;
    while (r->order_len < r->opt->jobs_len) {
        size_t jobs = choose_window(r, window);
        struct opt_window w = {
            .first = r->first, .count = r->count, .time = r->time, .resident = r->resident};
        struct opt_search search = {.objective = r->objective,
                                    .anticipation = r->anticipation,
                                    .states_max = (size_t)WINDOW_STATES_MAX * 64,
                                    .cost = r->objective == OPT_MAX ? r->longest : 0};
        int64_t value;
        int rc = opt_search(r->opt, &w, &search, &value, r->plan);
        if (rc == -E2BIG && window > 1) {
            window = jobs / 2 > 0 ? jobs / 2 : 1; /* too many labels */
            continue;
        }
        if (rc) {
            return rc;
        }
        bool last = r->order_len + jobs == r->opt->jobs_len;
        commit(r, last ? jobs : (jobs + 1) / 2);
        window = r->window;
    }
    return 0;
}

/* The schedule of windows under one objective. */
static int roll_schedule(const struct opt *opt, enum opt_objective objective, bool anticipation,
                         size_t window, struct opt_step *ret_steps)
{
    window = window > 0 ? window : OPT_WINDOW_DEFAULT;
    struct roller *r = calloc(1, sizeof *r);
    if (!r) {
        return -ENOMEM;
    }
    *r = (struct roller){.opt = opt,
                         .objective = objective,
                         .anticipation = anticipation,
                         .window = window > OPT_WINDOW_MAX ? OPT_WINDOW_MAX : window,
                         .resident = opt->initial};
    r->served = calloc(opt->jobs_len + 1, sizeof *r->served);
    r->order = calloc(opt->jobs_len + 1, sizeof *r->order);
    r->plan = calloc(r->window + 1, sizeof *r->plan);
    int rc = r->served && r->order && r->plan ? roll(r) : -ENOMEM;
    if (rc == 0) {
        opt_follow(opt, anticipation, r->order, ret_steps);
    }
    free(r->served);
    free(r->order);
    free(r->plan);
    free(r);
    return rc;
}

/* Keeps STEPS if they are better than what is there. */
static void keep_best(const struct opt *opt, enum opt_objective objective,
                      const struct opt_step *steps, int64_t *value, struct opt_step *best)
{
    int64_t worth = opt_value(opt, objective, steps);
    if (worth < *value) {
        *value = worth;
        memcpy(best, steps, opt->jobs_len * sizeof *steps);
    }
}

int opt_best_known(const struct opt *opt, enum opt_objective objective, bool anticipation,
                   size_t window, int64_t *ret_value, struct opt_step *ret_steps)
{
    struct opt_step *steps = calloc(opt->jobs_len + 1, sizeof *steps);
    if (!steps) {
        return -ENOMEM;
    }
    opt_exhaustive(opt, ret_steps);
    int64_t value = opt_value(opt, objective, ret_steps);
    opt_fifo(opt, steps);
    keep_best(opt, objective, steps, &value, ret_steps);
    /* A percentile has no windows of its own: it lies between the sum and the max. */
    const enum opt_objective guides[] = {objective == OPT_P95 ? OPT_MAX : objective, OPT_SUM};
    int rc = 0;
    for (size_t i = 0; i < 2 && rc == 0 && (i == 0 || guides[0] != OPT_SUM); i++) {
        rc = roll_schedule(opt, guides[i], anticipation, window, steps);
        if (rc == 0) {
            keep_best(opt, objective, steps, &value, ret_steps);
        }
    }
    free(steps);
    if (rc == 0) {
        *ret_value = value;
    }
    return rc;
}
