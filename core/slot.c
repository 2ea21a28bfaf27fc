/*
 * Slots: which policy instances are fed, which one decides, and their timers.
 */
#include "core/priv.h"

void core_slots_derive(struct core *core)
{
    core->slots_filled = 0;
    core->slots_shadowed = 0;
    core->slots_wake_ns = CORE_NEVER;
    for (uint32_t i = 0; i < core->limits.slots_max; i++) {
        const struct core_slot *slot = &core->slots[i];
        core->slots_filled |= slot->filled << i;
        core->slots_shadowed |= slot->shadow << i;
        if (slot->filled) {
            int64_t wake = slot->tick_at_ns;
            for (uint32_t k = 0; k < CORE_TIMERS; k++) {
                wake = slot->timer_ns[k] < wake ? slot->timer_ns[k] : wake;
            }
            core->slots_wake_ns = wake < core->slots_wake_ns ? wake : core->slots_wake_ns;
        }
    }
}

static void slot_clear(struct core *core, uint32_t slot)
{
    struct core_slot *s = &core->slots[slot];
    memset(s, 0, sizeof(*s));
    for (uint32_t i = 0; i < CORE_TIMERS; i++) {
        s->timer_ns[i] = CORE_NEVER;
    }
    s->tick_at_ns = CORE_NEVER;
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        core->devices[i].shadow_id[slot] = 0;
    }
}

/* Hands the deciding over: what the former was asked is void. */
static void slot_select(struct core *core, uint32_t slot)
{
    if (slot == core->s.selected) {
        return;
    }
    core_emit_record(core, CORE_REC_SLOT)->u.slot =
        (struct core_rec_slot){.from = core->s.selected, .to = slot};
    core->s.selected = slot;
    if (slot != CORE_NONE) {
        core->slots[slot].shadow = 0;
    }
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        struct core_device *d = &core->devices[i];
        d->ask_id = 0;
        if (slot != CORE_NONE) {
            d->shadow_id[slot] = 0;
        }
        core_generation_bump(core, i);
        core_why(core, i, SHUNT_WHY_SELECTED);
    }
}

static void why_all(struct core *core, uint32_t why)
{
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        core_why(core, i, why);
    }
}

static void slot_empty(struct core *core, uint32_t slot, bool lost)
{
    if (core->s.selected == slot) {
        for (uint32_t i = 0; lost && i < core->s.device_count; i++) {
            if (core->devices[i].ask_id != 0) {
                core_guard_count(core, CORE_GUARD_FAULT, i, CORE_NONE, 1);
            }
        }
        slot_select(core, CORE_NONE);
    }
    slot_clear(core, slot);
}

static int change(struct core *core, const struct core_in_slot *in)
{
    bool none = in->slot == SHUNT_NONE && in->change == CORE_SLOT_SELECT;
    if (!none && (in->slot >= core->limits.slots_max ||
                  (in->change != CORE_SLOT_FILL && !core->slots[in->slot].filled))) {
        return -EINVAL;
    }
    switch ((enum core_slot_change)in->change) {
    case CORE_SLOT_FILL:
        slot_empty(core, in->slot, false);
        core->slots[in->slot].filled = 1;
        core->slots_filled |= 1u << in->slot;
        if (core->s.configured) {
            core_notify_plain(core, CORE_HOOK_LAYOUT, 1u << in->slot, 0);
            core_notify_plain(core, CORE_HOOK_RESYNC, 1u << in->slot, 0);
        }
        return 0;
    case CORE_SLOT_EMPTY:
    case CORE_SLOT_LOST:
        slot_empty(core, in->slot, in->change == CORE_SLOT_LOST);
        return 0;
    case CORE_SLOT_SELECT:
        slot_select(core, none ? CORE_NONE : in->slot);
        return 0;
    case CORE_SLOT_PARAMS:
        if (core->s.selected == in->slot) {
            why_all(core, SHUNT_WHY_PARAMS);
        }
        return 0;
    case CORE_SLOT_SHADOW:
        if (core->s.selected == in->slot) {
            return -EINVAL;
        }
        core->slots[in->slot].shadow = 1;
        return 0;
    }
    return -EINVAL;
}

int core_slot_change(struct core *core, const struct core_in_slot *in)
{
    int error = change(core, in);
    core_slots_derive(core);
    return error;
}

int core_slot_timer(struct core *core, const struct core_in_timer *in)
{
    if (in->slot >= core->limits.slots_max || !core->slots[in->slot].filled ||
        in->id > CORE_TIMER_TICK) {
        return -EINVAL;
    }
    struct core_slot *slot = &core->slots[in->slot];
    if (in->id < CORE_TIMERS) {
        slot->timer_ns[in->id] = in->at_ns;
        core_slots_derive(core);
        return 0;
    }
    bool off = in->at_ns <= 0 || in->at_ns >= CORE_NEVER - core->s.now_ns;
    slot->tick_ns = off ? 0 : in->at_ns;
    slot->tick_at_ns = off ? CORE_NEVER : core->s.now_ns + in->at_ns;
    core_slots_derive(core);
    return 0;
}

void core_slot_timers(struct core *core)
{
    int64_t now = core->s.now_ns;
    for (uint32_t i = 0; i < core->limits.slots_max; i++) {
        struct core_slot *slot = &core->slots[i];
        for (uint32_t k = 0; slot->filled && k < CORE_TIMERS; k++) {
            if (slot->timer_ns[k] <= now) {
                slot->timer_ns[k] = CORE_NEVER;
                core_notify_plain(core, CORE_HOOK_TIMER, 1u << i, k);
            }
        }
        if (slot->filled && slot->tick_at_ns <= now) {
            slot->tick_at_ns = now + slot->tick_ns - (now - slot->tick_at_ns) % slot->tick_ns;
            core_notify_plain(core, CORE_HOOK_TICK, 1u << i, 0);
            if (core->s.selected == i) {
                why_all(core, SHUNT_WHY_TICK);
            }
        }
    }
    core_slots_derive(core);
}
