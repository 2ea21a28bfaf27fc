/*
 * The search for a policy's parameters: what is tried, at what length, what is kept, and what comes
 * out. Pure: whoever calls it simulates. Same options and figures, same study, bit by bit, however
 * many processes the figures were made in.
 *
 * The course: the values given, at full length; Morris screening and Sobol points at the smallest
 * length; successive halving (a quarter goes on, twice); a simplex search from the best three along
 * the parameters that matter; the best three, with what does not matter as the start has it, and
 * the start again on fresh random numbers, where there are any. A candidate's length is the share
 * of the arrivals it is run with: the unit of the budget is one candidate at full length on all
 * scenarios and seeds.
 */
#ifndef SIM_TUNE_H
#define SIM_TUNE_H

#include "sim/tune_morris.h"
#include "sim/tune_space.h"

#include <stdbool.h>
#include <stdint.h>

enum tune_objective {
    TUNE_MEAN = 0,   /* mean wait, s */
    TUNE_P99 = 1,    /* 99th percentile of the wait, s */
    TUNE_WORK = 2,   /* work per second; larger is better */
    TUNE_JAIN = 3,   /* fairness of the models' mean waits; larger is better */
    TUNE_SWITCH = 4, /* share of device time spent switching */
    TUNE_OBJECTIVES = 5
};

enum {
    TUNE_LIMITS_MAX = 8,
    TUNE_LENGTHS = 4, /* three rungs, the last of them full, and full with fresh seeds */
    TUNE_FULL = 2,
    TUNE_FRESH = 3,
    TUNE_FINALISTS_MAX = 3,
    TUNE_QUARTERS = 4,
    TUNE_BUDGET_MIN = 17,
    TUNE_BUDGET_MAX = 100000,
    TUNE_CYCLES_MIN = 20 /* of the models, in the shortest run */
};

/* "mean", "p99", "work", "jain", "switch"; NULL past the end. */
const char *tune_objective_name(enum tune_objective objective);
bool tune_is_maximised(enum tune_objective objective);

/* The figures of one run. A NaN makes the candidate the worst there is. */
struct tune_run {
    double value[TUNE_OBJECTIVES];
    double quarter_s[TUNE_QUARTERS]; /* mean waits by quarter of the arrivals */
    double cycles;                   /* visits / models */
};

/* A condition that the choice has to meet in every scenario. */
struct tune_limit {
    enum tune_objective objective; /* at most the value; at least, where larger is better */
    double value;                  /* in its own unit, or as a multiple of the start's figure */
    bool relative;
};

/* One candidate that is to be run. */
struct tune_job {
    const char *values;    /* as tune_space_text() gives them */
    double share;          /* of the arrivals; 1: all */
    bool fresh;            /* with the seeds for the final comparison */
    struct tune_run *runs; /* to be filled: [scenario * seeds + seed] */
};

struct tune_options {
    const struct tune_space *space; /* with at least one coordinate */
    uint32_t scenario_count, seed_count;
    enum tune_objective objective[TUNE_OBJECTIVES]; /* the first decides the choice */
    uint32_t objective_count;
    struct tune_limit limit[TUNE_LIMITS_MAX];
    uint32_t limit_count;
    double budget; /* TUNE_BUDGET_MIN to TUNE_BUDGET_MAX */
    uint64_t seed; /* of the points tried */
    bool drawn;    /* the scenarios draw random numbers: fresh seeds say something */
    /* Fills the runs of all jobs. An error, with a line in `err`, ends the search with it. */
    int (*evaluate)(void *ctx, struct tune_job *jobs, uint32_t count, char *err, size_t err_size);
    /* What begins now, and how much of the budget is spent. May be NULL. */
    void (*phase)(void *ctx, const char *name, double spent);
    void *ctx;
};

/* A point tried, and its evaluation at each length. */
struct tune_candidate {
    char *values;
    double *unit;                /* [space->count] */
    uint32_t eval[TUNE_LENGTHS]; /* into evals; UINT32_MAX: none */
};

struct tune_eval {
    uint32_t candidate;
    uint32_t length;
    double share;
    double spent;                  /* of the budget once this was known */
    double loss[TUNE_OBJECTIVES];  /* log of the geometric mean, over scenarios, of the ratios to
                                      the start's figures, upside down where larger is better:
                                      below 0 is better than the start; INFINITY: a figure is NaN */
    double excess;                 /* how far the limits are exceeded, as shares of them; 0: met */
    double value[TUNE_OBJECTIVES]; /* geometric means over scenarios of the means over seeds */
    struct tune_run *runs;
};

struct tune_study {
    struct tune_options options;
    struct tune_candidate *candidates; /* 0: the start */
    uint32_t candidate_count, candidate_room;
    struct tune_eval *evals;
    uint32_t eval_count, eval_room;
    double spent;
    double share[TUNE_LENGTHS];

    uint32_t walks; /* of the screening; 0: the budget was too small for one */
    struct morris_effect effect[PARAMS_MAX];
    bool matters[PARAMS_MAX];
    /* Of the candidates run at full length within 5 % of the best that meet the limits. */
    uint32_t good_count;
    double good_min[PARAMS_MAX], good_max[PARAMS_MAX];

    uint32_t rung_count[TUNE_LENGTHS]; /* candidates of the halving at each length */
    uint32_t
        finalist[TUNE_FINALISTS_MAX + 1]; /* candidates; the best first, the start among them */
    uint32_t finalist_count;
    uint32_t final_length; /* TUNE_FRESH or TUNE_FULL: what the choice was made on */
    uint32_t chosen;       /* the candidate */
    bool feasible;         /* it meets the limits */
    uint32_t pairs, pairs_better, pairs_worse; /* chosen against the start, stretch by stretch */

    /* Non-dominated among those run at full length that meet the limits: in the objectives named
     * if several are, else in all. */
    enum tune_objective front_objective[TUNE_OBJECTIVES];
    uint32_t front_objective_count;
    uint32_t *front; /* evals, the best of the first objective first */
    uint32_t front_count;
    double hypervolume;       /* share of the box from 0 to twice the start's figures */
    double hypervolume_start; /* of the start alone */
};

/* Errors of evaluate; -EINVAL: an objective has no figure at the start; -ENOMEM; each with a line
 * in `err`. For tune_study_fini. */
int tune_search(const struct tune_options *options, struct tune_study *ret_study, char *err,
                size_t err_size);
void tune_study_fini(struct tune_study *study);

/* The evaluation of a candidate at a length, or NULL. */
const struct tune_eval *tune_eval_of(const struct tune_study *study, uint32_t candidate,
                                     uint32_t length);
/* exp(loss): 1 is the start's figure, smaller is better. */
double tune_ratio(const struct tune_eval *eval, enum tune_objective objective);

#endif
