/*
 * How well one device could have served a known list of jobs: the optimum for a clairvoyant where
 * it can be computed, else the best schedule found and a bound that no schedule beats.
 *
 * A device holds one model at a time. Jobs of one model are served in the order of their arrival,
 * one at a time, uninterrupted; models may be interleaved at will; a switch takes its matrix entry,
 * or the shortest way over other models if that is less. With anticipation a switch may begin
 * before the job that it is for has arrived; without, a schedule knows what will come but does not
 * switch for it. Wait is from arrival to start of service, switch included.
 *
 * Times are integers of any unit, 0 is the start; results are exact. Pure functions on memory: no
 * clock, file or thread.
 */
#ifndef SIM_OPT_H
#define SIM_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OPT_MODELS_MAX = 256,
    OPT_JOBS_MAX = 1000000,
    OPT_STATES_MAX = 1 << 25, /* of the exact search; a label is 24 bytes */
    OPT_WINDOW_DEFAULT = 60,
    OPT_WINDOW_MAX = 256,
};

/* No schedule may be longer, so that no sum over a window overflows; 104 days in ns. */
#define OPT_HORIZON_MAX (INT64_MAX / 1024)

enum opt_objective {
    OPT_SUM = 0,      /* of all waits */
    OPT_MAX = 1,      /* the longest wait */
    OPT_MAKESPAN = 2, /* end of the last service */
    OPT_P95 = 3,      /* the least x that 95 % of the waits do not exceed */
};

struct opt_job {
    int64_t arrival, service; /* at least 0 */
    uint32_t model;
};

struct opt_instance {
    uint32_t models;
    uint32_t initial; /* the model on the device; `models`: none */
    /* [from * (models + 1) + to]: time of a switch; row and column `models` are the empty device.
     * At least 0; the diagonal is 0. INT64_MAX to the empty device: that is not possible. */
    const int64_t *cost;
    const struct opt_job *jobs; /* by arrival; those of one model are served in this order */
    size_t jobs_len;
};

/* One service of a schedule, and the switch before it, if any. */
struct opt_step {
    size_t job;
    uint32_t from, model; /* on the device before and for it; equal: no switch */
    int64_t switch_start; /* the switch takes switch_time from here */
    int64_t switch_time;
    int64_t start, end; /* of the service */
};

struct opt;

const char *opt_objective_name(enum opt_objective objective); /* "sum"; NULL past the end */

/*
 * Takes a copy of an instance. -EINVAL (out of order, negative, an unknown model), -ERANGE (times
 * add up beyond what fits), -E2BIG, -ENOMEM, with one line in `err`.
 */
int opt_create(const struct opt_instance *instance, struct opt **ret_opt, char *err,
               size_t err_size);
void opt_destroy(struct opt *opt); /* accepts NULL */
/* Its jobs. */
const struct opt_job *opt_jobs(const struct opt *opt, size_t *ret_len);

/*
 * Times of the services in ORDER (jobs by number, each once, those of a model in their order),
 * each as early as it can be. `ret_steps` has jobs_len places, here and below.
 */
void opt_follow(const struct opt *opt, bool anticipation, const size_t *order,
                struct opt_step *ret_steps);
/* What a schedule is worth. INT64_MAX: it does not fit, or out of memory (OPT_P95). */
int64_t opt_value(const struct opt *opt, enum opt_objective objective,
                  const struct opt_step *steps);

/* Schedules of two simple rules that know nothing ahead and switch straight: by arrival; and
 * exhaustive, which stays with a model until its queue is empty and then goes to the one whose head
 * is oldest. */
void opt_fifo(const struct opt *opt, struct opt_step *ret_steps);
void opt_exhaustive(const struct opt *opt, struct opt_step *ret_steps);

/* (jobs + 1) of every model, multiplied, times models: the size of the exact search. */
double opt_states(const struct opt *opt);

/*
 * The optimum: a search over (next job of each model, model on the device) that keeps for each of
 * these the labels (time, cost) that none other beats. -E2BIG if that is more than `states_max`
 * (states, or labels), saying how large it is; -ERANGE; -ENOMEM.
 */
int opt_exact(const struct opt *opt, enum opt_objective objective, bool anticipation,
              size_t states_max, int64_t *ret_value, struct opt_step *ret_steps, char *err,
              size_t err_size);

/*
 * The best of several schedules: the two rules, and the optimum of the next `window` jobs (0: the
 * default), half of which is followed before looking again. The window is made smaller where many
 * models make the search too large. -ENOMEM.
 */
int opt_best_known(const struct opt *opt, enum opt_objective objective, bool anticipation,
                   size_t window, int64_t *ret_value, struct opt_step *ret_steps);

/* How the Lagrangian bound is computed; zeros: the defaults. */
struct opt_lagrange_options {
    size_t block_jobs; /* jobs that are solved together; 0: 200 */
    size_t slots;      /* of time in a block, at most; 0: 20000 */
    size_t rounds;     /* of the search for prices; 0: 100 */
};

/* Bounds that no schedule beats, with or without anticipation; INT64_MIN: none for the objective.
 */
struct opt_bounds {
    int64_t alone; /* every model as if it were the only one */
    /* No switches and services that can be interrupted: shortest remaining first for the sum,
     * earliest latest start for the max; for the makespan all work and one switch into each. */
    int64_t no_switch;
    /*
     * Of the sum: every slot of time has a price, each model buys the slots in which it is on the
     * device, alone and clairvoyant, for itself; what all models pay together in waits and prices,
     * less the price of one device, is no more than any schedule's sum. Services and switches are
     * rounded down to slots. The jobs are cut into blocks, each of which begins as it likes best.
     * Prices are searched by subgradient from a schedule.
     */
    int64_t lagrange;
    int64_t mixed; /* of the sum: the larger of the last two, between moments without work */
    int64_t best;  /* the largest */
};

/* All bounds; REFERENCE is a schedule (the better, the higher the Lagrangian bound). -ENOMEM. */
int opt_bound(const struct opt *opt, enum opt_objective objective,
              const struct opt_lagrange_options *options, const struct opt_step *reference,
              struct opt_bounds *ret_bounds);

#endif
