/*
 * One simulation run: a scenario, a seed, a policy. A discrete-event loop that drives the core
 * through base/drive.h in virtual time, exactly as the host does in real time; engines, switches,
 * clients and faults are the scenario's.
 *
 * Order at one instant: ends of switch steps, first tokens and completions, faults and changes,
 * arrivals, decisions; then dispatch; then by sequence. Random numbers are keyed by (seed, stream,
 * request or k-th switch of a pair), never by the order of drawing, so that runs that differ in
 * the policy share them. Same scenario, seed and policy: same bytes, on every build.
 *
 * No clock, file or thread: the caller times it. A policy that crashes takes the process with it;
 * sim/runs.h gives each run a process of its own.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/drive.h"
#include "sim/result.h"
#include "sim/scenario.h"

enum { SIM_ERROR_MAX = 512, SIM_IDLE_SWITCHES_MAX = 64 };

struct sim;

/* A request while it is in the system; what the core calls its cookie is its place in a table. */
struct sim_request {
    uint64_t number; /* of arrival, from 0, over all sources */
    uint64_t id;     /* the core's */
    int64_t arrival_ns;
    int64_t dispatch_ns;                 /* of the last dispatch; -1: not yet */
    int64_t first_token_ns;              /* -1: not yet, or the engine has no tokens */
    int64_t work_ns;                     /* scenario_work_ns */
    int64_t service_ns;                  /* drawn; -1 for token work */
    int64_t input_tokens, output_tokens; /* -1: unknown */
    uint64_t source_index;
    uint32_t source;
    uint32_t model;
    uint32_t service_class;
    uint32_t instance; /* of the last dispatch */
    bool measured;     /* arrived in the measured window; set by sim/measure.h */
    /* Set by sim/measure.h at the dispatch: when the switch began that ended with it, not before
     * the arrival; without one the dispatch itself. */
    int64_t switch_start_ns;
};

/* Watches a run: for reports, journals, tests. Every member is optional. */
struct sim_observer {
    void *ctx;
    /* Before an input is applied; once with NULL when the core has its configuration, before any
     * input (then sim_create has not returned yet). */
    void (*input)(void *ctx, struct sim *sim, const struct core_input *input);
    /* Every action of the core but ASK and NOTIFY; `request` for those about one, else NULL. */
    void (*action)(void *ctx, struct sim *sim, const struct core_action *action,
                   const struct sim_request *request);
    /* What a policy answered, as drive_ops.answered. */
    void (*answered)(void *ctx, struct sim *sim, const struct core_act_ask *ask, int status,
                     const struct shunt_answer *answer);
};

/* A policy with parameters, as a run takes it. */
struct sim_policy {
    const struct plugin *plugin; /* NULL: the core's built-in decides */
    const struct params *params; /* copied for each run; NULL: defaults */
};

/* Something done to the host while it runs. */
struct sim_change {
    int64_t at_ns;
    struct sim_policy policy; /* swapped in: filled, fed, selected at this instant */
    bool hand_over;           /* with the state of the one before, if both can */
    bool is_operator;         /* then `op` instead of a swap */
    struct core_in_operator op;
};

struct sim_options {
    const struct scenario *scenario; /* outlives the run */
    struct sim_policy policy;
    uint64_t seed;
    uint64_t arrivals; /* as sim_count_arrivals says for this seed; 0: not counted yet */
    uint32_t blocks;   /* figures of so many slices as well (sim/blocks.h); 0: none */
    const struct sim_change *changes; /* by time */
    uint32_t change_count;
    const struct sim_observer *observers;
    uint32_t observer_count;
    /* core_check after every input, an error if it finds anything; slow, for tests. */
    bool checked;
    /* Now and then, about every 2^16 events; `done` is a share. False stops the run: -ECANCELED. */
    bool (*progress)(void *ctx, double done);
    void *progress_ctx;
};

/* -EINVAL, -ENOMEM, -EIO (the policy's create or models_changed) with one line in `err`. */
int sim_create(const struct sim_options *options, struct sim **ret_sim, char *err, size_t err_size);

/*
 * How many requests will come, for runs that share it: at once where it is known, else by reading
 * the traces once. 0 if that depends on the run (sessions). The errors of a trace.
 */
int sim_count_arrivals(const struct scenario *scenario, uint64_t seed, uint64_t *ret_count,
                       char *err, size_t err_size);

/*
 * Runs to the end: no arrival is left and everything accepted has ended. -ELOOP: the policy
 * switched SIM_IDLE_SWITCHES_MAX times without time passing, or nothing can end any more; -EPROTO:
 * an invariant was broken (`checked`, or an identity that always holds); the errors of a trace; all
 * with one line in `err` naming the policy.
 */
int sim_run(struct sim *sim, char *err, size_t err_size);

/* The figures, after a run that returned 0; to be given to result_fini. -ENOMEM. */
int sim_result(struct sim *sim, struct result *ret_result);

void sim_destroy(struct sim *sim); /* accepts NULL */

/* For observers. */
int64_t sim_now_ns(const struct sim *sim);
struct core *sim_core(struct sim *sim);
struct drive *sim_drive(struct sim *sim);
const struct scenario *sim_scenario(const struct sim *sim);

#endif
