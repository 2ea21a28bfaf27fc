/*
 * The world that `shunt check` shows a policy: random but legal snapshots, events that fit them,
 * and a digest of what the policy answers. No core behind it: a checker must reach corners that a
 * run of the core would take days to reach. Same seed, same world.
 */
#ifndef TOOLS_CHECK_WORLD_H
#define TOOLS_CHECK_WORLD_H

#include "base/policy.h"
#include "core/blob.h"

struct check_world {
    uint32_t models, devices, instances;
    uint64_t seed, draws;
    int64_t now_ns;
    bool without_costs; /* no cost blob, as above 512 models */
    bool unknown;       /* every estimate is NaN */
    uint32_t hidden;    /* column id that is absent; UINT32_MAX: all; 0: none */
    struct core_blob snapshot, costs;
    uint64_t asks;
    uint64_t digest; /* of all answers so far */
};

/* -ENOMEM. */
int check_world_init(struct check_world *ret_world, uint64_t seed, uint32_t models,
                     uint32_t devices);
void check_world_fini(struct check_world *world);

/* Absolute number `index` of the world's columns, for hiding them one by one; 0 past the end. */
uint32_t check_world_column(uint32_t index);

/* Lets time pass and draws new content for the snapshot. */
void check_world_step(struct check_world *world);

/* Notifies the layout and, if the policy has it, a resync. Errors as policy_notify. */
int check_world_layout(struct check_world *world, struct policy *policy);

/* One random event that the snapshot could have led to. */
void check_world_event(struct check_world *world, struct policy *policy);

/*
 * Asks about every device and adds the answers to the digest. -EPROTO with the reason in `why` if
 * an answer is none that the host could apply; -EIO if decide failed.
 */
int check_world_ask(struct check_world *world, struct policy *policy, char *why, size_t why_size);

/* Layout, then `steps` times: step, some events, ask. */
int check_world_run(struct check_world *world, struct policy *policy, uint32_t steps, char *why,
                    size_t why_size);

#endif
