/*
 * How long the steps of switches take in a run, and which of them fail: the scenario's costs, drawn
 * by key (the move, and its k-th time), with the host's cache of weights.
 *
 * With a matrix the whole time of a pair lies in the in-step; out-steps and probes take none, but
 * for a victim that goes for nobody. With costs of models a move between two tiers that are both
 * not resident (a prefetch, a demotion, room made by a sleeper) takes what the edges differ by.
 */
#ifndef SIM_SWITCHES_H
#define SIM_SWITCHES_H

#include "core/core.h"
#include "sim/scenario.h"

struct switches;

struct switches_step {
    uint32_t step; /* enum core_step */
    uint32_t model;
    uint32_t from_tier, to_tier;
    bool for_nobody;         /* OUT: no model comes in with this switch */
    const uint32_t *victims; /* IN: models that this switch has moved out */
    uint32_t victim_count;
};

struct switches_outcome {
    int64_t duration_ns;
    bool ok;
};

/* -ENOMEM. `scenario` must outlive it. */
int switches_create(const struct scenario *scenario, uint64_t seed, struct switches **ret_switches);
void switches_destroy(struct switches *switches); /* accepts NULL */

/* What becomes of a step that begins now. */
void switches_begin(struct switches *switches, const struct switches_step *step,
                    struct switches_outcome *ret_outcome);

/* A switch that has ended had moved out a resident model. (Not before: what comes in with a switch
 * is not pushed out of the cache by what goes.) */
void switches_moved_out(struct switches *switches, uint32_t model);

/* Tells the core the means and variances of all moves as if it had seen many. -EINVAL. */
int switches_seed_costs(const struct switches *switches, struct core *core);

#endif
