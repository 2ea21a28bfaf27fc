/* What the files opt*.c share. */
#ifndef SIM_OPT_PRIV_H
#define SIM_OPT_PRIV_H

#include "sim/opt.h"

struct opt {
    uint32_t models, initial;
    int64_t *direct; /* as given */
    int64_t *cost;   /* closed: the shortest way; [from * (models + 1) + to] */
    struct opt_job *jobs;
    size_t jobs_len;
    size_t *by_model;    /* jobs by number, grouped by model in order */
    size_t *model_first; /* [models + 1] into by_model */
    int64_t horizon;     /* every schedule without needless idling ends before it */
};

/* Some consecutive jobs of each model, from a given state of the device. */
struct opt_window {
    const size_t *first; /* [models]: the next job of each model, counted within the model */
    const size_t *count; /* [models]: how many of them */
    int64_t time;        /* at which the device is free */
    uint32_t resident;
};

struct opt_search {
    enum opt_objective objective;
    bool anticipation;
    size_t states_max;
    int64_t cost;      /* so far, OPT_MAX: waits below it do not matter */
    int64_t threshold; /* OPT_P95: waits above it count ... */
    int64_t over_max;  /* ... and at most so many may */
};

static inline int64_t opt_cost(const struct opt *opt, uint32_t from, uint32_t to)
{
    return opt->cost[(size_t)from * (opt->models + 1) + to];
}

/* Number of the k-th job of a model. */
static inline size_t opt_job_number(const struct opt *opt, uint32_t model, size_t k)
{
    return opt->by_model[opt->model_first[model] + k];
}

static inline size_t opt_model_jobs(const struct opt *opt, uint32_t model)
{
    return opt->model_first[model + 1] - opt->model_first[model];
}

/* The earliest start of a job on a device that is free at `time`, after a switch of `cost`. */
static inline int64_t opt_start(bool anticipation, int64_t time, int64_t cost,
                                const struct opt_job *job)
{
    if (anticipation) {
        return time + cost > job->arrival ? time + cost : job->arrival;
    }
    return (time > job->arrival ? time : job->arrival) + cost;
}

/* a + b, INT64_MAX if it does not fit; both at least 0. */
static inline int64_t opt_sum(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* The wait that 95 % of N do not exceed is the one at this place of the sorted waits. */
static inline size_t opt_p95_rank(size_t n)
{
    return (n * 95 + 99) / 100 - 1;
}

/* Sorts WAITS and gives the one at opt_p95_rank; 0 of none. */
int64_t opt_p95(int64_t *waits, size_t n);

/* The least time of a switch into a model from any other model, 0 if there is none. */
int64_t opt_least_switch(const struct opt *opt, uint32_t to);

/* The bound of every model alone; no schedule starts any job earlier. -ENOMEM. */
int opt_bound_alone(const struct opt *opt, enum opt_objective objective, int64_t *ret_bound);

/* A schedule, and where each job stands in it. */
struct opt_reference {
    const struct opt *opt;
    const struct opt_step *steps;
    size_t *place_of; /* [job] */
};

/* The Lagrangian bound on the sum of waits of the jobs from `begin` to before `end`. -ENOMEM. */
int opt_lagrange(const struct opt_reference *reference, const struct opt_lagrange_options *options,
                 size_t begin, size_t end, int64_t *ret_sum);

/*
 * Optimal order of a window's jobs; ret_order has room for all of them. -ENOENT: none keeps
 * over_max; -E2BIG: more than states_max states or labels (*ret_value is then that number);
 * -ENOMEM.
 */
int opt_search(const struct opt *opt, const struct opt_window *window,
               const struct opt_search *search, int64_t *ret_value, size_t *ret_order);

#endif
