/* Policies that a host must survive, and a sane one. They see the whole world, which is more than
 * any real policy can, and they need not make sense. */
#include "swarm.h"

#include <string.h>

const char *hostile_name(uint32_t kind)
{
    static const char *const names[HOSTILE_COUNT] = {
        "sane",    "stay",  "switch",     "random", "garbage", "pingpong",
        "starve",  "leave", "linger",     "empty",  "victims", "secondary",
        "quantum", "gated", "no_opinion", "fault",  "silent",  "revoke",
    };
    return kind < HOSTILE_COUNT ? names[kind] : "?";
}

static void say_switch(struct shunt_decision *decision, uint32_t model)
{
    decision->action = SHUNT_SWITCH;
    decision->model = model;
}

/* Models by core's index: those that the world has configured. */
static uint32_t random_model(struct world *world)
{
    return dice_roll(&world->policy_dice, world->model_index_count);
}

static bool resident_on(const struct world *world, uint32_t model, uint32_t device)
{
    for (uint32_t k = 0; k < world->plan.model[model].config.instance_count; k++) {
        if (world->plan.model[model].instance[k].device == device) {
            const struct swarm_instance *at = &world->instance[world_instance(model, k)];
            return at->tier == SHUNT_TIER_RESIDENT && !at->stepping;
        }
    }
    return false;
}

/* First come, first served: stays while the resident queue lasts. */
static void decide_sane(struct world *world, const struct swarm_ask *ask,
                        struct shunt_decision *decision)
{
    uint32_t best = CORE_NONE;
    int64_t oldest = CORE_NEVER;
    for (uint32_t i = 0; i < world->request_count; i++) {
        const struct swarm_request *request = &world->request[i];
        if (request->state == REQUEST_QUEUED && request->arrival_ns < oldest) {
            oldest = request->arrival_ns;
            best = request->model;
        }
    }
    if (best != CORE_NONE && !resident_on(world, best, ask->device)) {
        say_switch(decision, world->index_of[best]);
    }
}

/* The next model by index after the one resident, whatever its queue. */
static void decide_leave(struct world *world, const struct swarm_ask *ask,
                         struct shunt_decision *decision)
{
    for (uint32_t i = 0; i < world->model_index_count; i++) {
        if (resident_on(world, world->model_of[i], ask->device)) {
            say_switch(decision, (i + 1) % world->model_index_count);
            return;
        }
    }
    say_switch(decision, random_model(world));
}

/* Whoever waits and is not there anyway, which leaves the guard no choice at a cap; but the target.
 */
static void decide_starve(struct world *world, const struct swarm_ask *ask, uint32_t target,
                          struct shunt_decision *decision)
{
    uint32_t start = random_model(world);
    for (uint32_t n = 0; n < world->model_index_count; n++) {
        uint32_t i = (start + n) % world->model_index_count;
        uint32_t model = world->model_of[i];
        if (model != target && world->model[model].queued != 0 &&
            !resident_on(world, model, ask->device)) {
            say_switch(decision, i);
            return;
        }
    }
}

static void decide_empty(struct world *world, struct shunt_decision *decision)
{
    uint32_t start = random_model(world);
    for (uint32_t n = 0; n < world->model_index_count; n++) {
        uint32_t i = (start + n) % world->model_index_count;
        if (world->model[world->model_of[i]].queued == 0) {
            say_switch(decision, i);
            return;
        }
    }
    say_switch(decision, start);
}

static void decide_random(struct world *world, struct shunt_decision *decision)
{
    struct dice *dice = &world->policy_dice;
    switch (dice_roll(dice, 5)) {
    case 0:
        break;
    case 1:
        decision->action = SHUNT_LINGER;
        decision->linger_until_ns = world->now_ns + world->plan.unit_ns * dice_range(dice, 0, 10);
        break;
    case 2:
        decision->action = SHUNT_NO_OPINION;
        break;
    default:
        say_switch(decision, random_model(world));
        break;
    }
}

static void add_victims(struct world *world, struct shunt_decision *decision)
{
    struct dice *dice = &world->policy_dice;
    decision->victim_count = dice_roll(dice, SHUNT_VICTIM_MAX + 2);
    for (uint32_t i = 0; i < SHUNT_VICTIM_MAX; i++) {
        decision->victims[i] = (struct shunt_victim){
            .instance = dice_roll(dice, world->instance_index_count + 2),
            .tier = dice_percent(dice, 30) ? SHUNT_NONE : dice_roll(dice, SHUNT_TIER_COUNT + 2),
        };
    }
}

static void add_secondary(struct world *world, struct shunt_decision *decision)
{
    struct dice *dice = &world->policy_dice;
    decision->secondary_count = dice_roll(dice, SHUNT_SECONDARY_MAX + 2);
    for (uint32_t i = 0; i < SHUNT_SECONDARY_MAX; i++) {
        decision->secondary[i] = (struct shunt_secondary){
            .kind = dice_roll(dice, 4),
            .model = dice_roll(dice, world->model_index_count + 1),
            .instance = dice_percent(dice, 60) ? SHUNT_NONE
                                               : dice_roll(dice, world->instance_index_count + 1),
            .tier = dice_roll(dice, SHUNT_TIER_COUNT + 1),
        };
    }
}

static void decide_garbage(struct world *world, struct shunt_decision *decision)
{
    struct dice *dice = &world->policy_dice;
    unsigned char *bytes = (unsigned char *)decision;
    uint64_t generation = decision->generation;
    bool wild = dice_percent(dice, 50);
    for (size_t i = 0; i < sizeof(*decision); i++) {
        /* Bytes 0 and 255 meet more edges than any others. */
        bytes[i] = wild ? (unsigned char)dice_roll(dice, 256)
                        : (unsigned char)(dice_roll(dice, 4) == 0 ? 255 : dice_roll(dice, 3));
    }
    if (dice_percent(dice, 80)) { /* else dropped as stale before anything else is read */
        decision->generation = generation;
    }
    if (dice_percent(dice, 60)) {
        decision->action = dice_roll(dice, 4);
    }
    if (dice_percent(dice, 60)) {
        decision->model = random_model(world);
    }
}

static void decide_kind(struct world *world, const struct swarm_ask *ask,
                        const struct plan_policy *policy, struct shunt_decision *decision)
{
    struct swarm_slot *slot = &world->slot[ask->slot];
    slot->turn++;
    switch ((enum hostile)policy->kind) {
    case HOSTILE_SANE:
    case HOSTILE_COUNT:
        decide_sane(world, ask, decision);
        break;
    case HOSTILE_STAY:
    case HOSTILE_FAULT:
    case HOSTILE_SILENT:
        break;
    case HOSTILE_SWITCH:
        say_switch(decision, random_model(world));
        break;
    case HOSTILE_RANDOM:
        decide_random(world, decision);
        break;
    case HOSTILE_GARBAGE:
        decide_garbage(world, decision);
        break;
    case HOSTILE_PINGPONG:
        say_switch(decision, slot->turn % 2 % world->model_index_count);
        break;
    case HOSTILE_STARVE:
        decide_starve(world, ask, policy->target, decision);
        break;
    case HOSTILE_LEAVE:
        decide_leave(world, ask, decision);
        break;
    case HOSTILE_LINGER:
        decision->action = SHUNT_LINGER;
        decision->linger_until_ns = CORE_NEVER;
        break;
    case HOSTILE_EMPTY:
        decide_empty(world, decision);
        break;
    case HOSTILE_VICTIMS:
        say_switch(decision, random_model(world));
        add_victims(world, decision);
        break;
    case HOSTILE_SECONDARY:
        decide_random(world, decision);
        add_secondary(world, decision);
        break;
    case HOSTILE_QUANTUM:
        decision->quantum_requests = 1;
        break;
    case HOSTILE_GATED:
        if (slot->turn % 3 == 0) {
            say_switch(decision, random_model(world));
        }
        decision->flags = SHUNT_DECISION_GATED;
        break;
    case HOSTILE_NO_OPINION:
        decision->action = SHUNT_NO_OPINION;
        break;
    case HOSTILE_REVOKE:
        if (slot->turn % 2 == 0) {
            say_switch(decision, random_model(world));
        }
        break;
    }
}

void hostile_decide(struct world *world, const struct swarm_ask *ask,
                    struct core_in_decision *ret_decision)
{
    const struct plan_policy *policy = &world->plan.policy[ask->slot];
    struct dice *dice = &world->policy_dice;
    int64_t unit = world->plan.unit_ns;
    memset(ret_decision, 0, sizeof(*ret_decision));
    ret_decision->slot = ask->slot;
    ret_decision->ask_id = ask->id;
    ret_decision->status = policy->kind == HOSTILE_FAULT ? 1 : 0;
    struct shunt_decision *decision = &ret_decision->decision;
    decision->size = sizeof(*decision);
    decision->device = ask->device;
    decision->generation = ask->generation;
    decision->instance = SHUNT_NONE;
    decide_kind(world, ask, policy, decision);
    if (policy->kind == HOSTILE_GARBAGE) {
        return;
    }
    if (dice_percent(dice, policy->gated)) {
        decision->flags |= SHUNT_DECISION_GATED;
    }
    if (dice_percent(dice, policy->requeue)) {
        decision->drain = SHUNT_DRAIN_REQUEUE;
    }
    if (dice_percent(dice, policy->quantum)) {
        decision->quantum_requests = dice_roll(dice, 4);
        decision->quantum_ns = unit * dice_roll(dice, 4);
    }
    if (dice_percent(dice, policy->residence)) {
        decision->min_residence_ns = unit * dice_range(dice, 0, 40);
    }
    if (dice_percent(dice, policy->recheck)) {
        decision->recheck_at_ns = world->now_ns + unit * dice_range(dice, -1, 4);
    }
    if (dice_percent(dice, policy->secondary)) {
        add_secondary(world, decision);
    }
}
