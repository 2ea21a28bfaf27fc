/*
 * Victims: who has to leave a device so that the target of its switch fits. Choosing marks them
 * (victim_of, victim_tier) and moves nothing; switch.c drains them and takes them out.
 */
#include "core/priv.h"

void core_victims_unmark(struct core *core, uint32_t device)
{
    for (uint32_t i = core->devices[device].instances; i != CORE_NONE;
         i = core->instances[i].next_on_device) {
        if (core->instances[i].victim_of == device) {
            core->instances[i].victim_of = CORE_NONE;
        }
    }
}

/* Bytes that an instance would give up by going to `tier`. */
static int64_t gain(const struct core_instance *in, uint32_t tier)
{
    return in->device_held - in->device_bytes[tier];
}

int64_t core_victim_mark(struct core *core, uint32_t instance, uint32_t device, uint32_t tier)
{
    struct core_instance *in = &core->instances[instance];
    in->victim_of = device;
    in->victim_tier = tier;
    return gain(in, tier);
}

static bool serving(const struct core_instance *in)
{
    return in->state == SHUNT_INSTANCE_RESIDENT || in->state == SHUNT_INSTANCE_DRAINING;
}

static bool may_evict(const struct core *core, const struct core_switch *sw, uint32_t instance)
{
    const struct core_instance *in = &core->instances[instance];
    if (instance == sw->target || in->pinned || !serving(in) || in->step != CORE_STEP_NONE ||
        in->victim_of != CORE_NONE) {
        return false;
    }
    return sw->forced != SHUNT_CAUSE_FORCED_CAP || core_guard_past_cap(core, in);
}

/* The resident to move out next: if one alone is enough the one with the longest visit, else the
 * one that gives most; so the number of victims is the smallest that fits. */
static uint32_t next_victim(const struct core *core, uint32_t device, int64_t short_bytes)
{
    const struct core_device *d = &core->devices[device];
    uint32_t best = CORE_NONE;
    int64_t best_gain = 0;
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
        const struct core_instance *in = &core->instances[i];
        if (!may_evict(core, &d->sw, i)) {
            continue;
        }
        int64_t bytes = gain(in, core_tier_out(core, i, SHUNT_NONE));
        bytes = bytes < short_bytes ? bytes : short_bytes;
        if (bytes > best_gain || (bytes == best_gain && bytes > 0 &&
                                  in->visit_start_ns <= core->instances[best].visit_start_ns)) {
            best = i;
            best_gain = bytes;
        }
    }
    return best;
}

uint32_t core_victim_sleeper(const struct core *core, uint32_t device, uint32_t target, bool host)
{
    uint32_t best = CORE_NONE;
    for (uint32_t i = core->devices[device].instances; i != CORE_NONE;
         i = core->instances[i].next_on_device) {
        const struct core_instance *in = &core->instances[i];
        if (i == target || in->visiting || in->pinned || in->step != CORE_STEP_NONE ||
            in->victim_of != CORE_NONE || in->tier == SHUNT_TIER_STOPPED) {
            continue;
        }
        int64_t bytes = host ? in->host_held - in->host_bytes[SHUNT_TIER_STOPPED]
                             : gain(in, SHUNT_TIER_STOPPED);
        if (bytes > 0 &&
            (best == CORE_NONE || in->last_served_ns < core->instances[best].last_served_ns)) {
            best = i;
        }
    }
    return best;
}

/* Marks the victims that the policy named; bytes they give. */
static int64_t mark_named(struct core *core, uint32_t device)
{
    const struct core_switch *sw = &core->devices[device].sw;
    int64_t bytes = 0;
    for (uint32_t i = 0; i < sw->named_count; i++) {
        const struct core_instance *in = &core->instances[sw->named[i].instance];
        if (sw->named[i].instance != sw->target && !in->pinned && serving(in) &&
            in->device == device && in->step == CORE_STEP_NONE && in->victim_of == CORE_NONE) {
            bytes +=
                core_victim_mark(core, sw->named[i].instance, device,
                                 core_tier_out(core, sw->named[i].instance, sw->named[i].tier));
        }
    }
    return bytes;
}

bool core_victims_choose(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    struct core_switch *sw = &d->sw;
    core_victims_unmark(core, device);
    if (sw->target == CORE_NONE) {
        return mark_named(core, device) >= 0;
    }
    const struct core_instance *target = &core->instances[sw->target];
    int64_t missing = target->device_bytes[SHUNT_TIER_RESIDENT] - target->device_held -
                      core_device_free(core, device);
    /* What is resident but of no use goes first. */
    for (uint32_t i = d->instances; i != CORE_NONE && missing > 0;
         i = core->instances[i].next_on_device) {
        const struct core_instance *in = &core->instances[i];
        if (i != sw->target && in->tier == SHUNT_TIER_RESIDENT && !in->visiting &&
            in->step == CORE_STEP_NONE) {
            missing -= core_victim_mark(core, i, device, SHUNT_TIER_STOPPED);
        }
    }
    if (missing > 0 && sw->named_count > 0) {
        int64_t named = mark_named(core, device);
        if (named >= missing) {
            missing -= named;
        } else {
            sw->named_count = 0;
            return core_victims_choose(core, device);
        }
    }
    while (missing > 0) {
        uint32_t victim = next_victim(core, device, missing);
        if (victim == CORE_NONE) {
            break;
        }
        missing -= core_victim_mark(core, victim, device, core_tier_out(core, victim, SHUNT_NONE));
    }
    for (uint32_t i = d->instances; i != CORE_NONE && missing > 0;
         i = core->instances[i].next_on_device) {
        struct core_instance *in = &core->instances[i];
        if (in->victim_of == device) {
            missing -= in->device_bytes[in->victim_tier] - in->device_bytes[SHUNT_TIER_STOPPED];
            in->victim_tier = SHUNT_TIER_STOPPED;
        }
    }
    while (missing > 0) {
        uint32_t sleeper = core_victim_sleeper(core, device, sw->target, false);
        if (sleeper == CORE_NONE) {
            core_victims_unmark(core, device);
            return false;
        }
        missing -= core_victim_mark(core, sleeper, device, SHUNT_TIER_STOPPED);
    }
    return true;
}
