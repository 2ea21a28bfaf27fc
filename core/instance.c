/*
 * Instances: where a model's weights are, and what they hold on a device and in the host. Every
 * change of state goes through one table of states and events; an empty cell is a fault of ours.
 */
#include "core/priv.h"

/* ------------------------------------------------------------------ states */

enum {
    X = 0xff, /* cannot happen */
    AT = 0xfe /* at rest: the state of the instance's tier */
};

#define WAKING      SHUNT_INSTANCE_WAKING
#define RESIDENT    SHUNT_INSTANCE_RESIDENT
#define DRAINING    SHUNT_INSTANCE_DRAINING
#define LEAVING     SHUNT_INSTANCE_LEAVING
#define FAILED      SHUNT_INSTANCE_FAILED
#define QUARANTINED SHUNT_INSTANCE_QUARANTINED

/* Columns: IN_BEGIN PROBE_OK DRAIN REOPEN OUT_BEGIN REST FAIL LOST FOUND QUARANTINE RELEASE. */
static const uint8_t next_state[SHUNT_INSTANCE_STATE_COUNT][CORE_EV_COUNT] = {
    [SHUNT_INSTANCE_STOPPED] = {WAKING, X, X, X, LEAVING, X, X, FAILED, AT, QUARANTINED, X},
    [SHUNT_INSTANCE_STAGED] = {WAKING, X, X, X, LEAVING, X, X, FAILED, AT, QUARANTINED, X},
    [SHUNT_INSTANCE_DISCARDED] = {WAKING, X, X, X, LEAVING, X, X, FAILED, AT, QUARANTINED, X},
    [SHUNT_INSTANCE_SUSPENDED] = {WAKING, X, X, X, LEAVING, X, X, FAILED, AT, QUARANTINED, X},
    [SHUNT_INSTANCE_ASLEEP] = {WAKING, X, X, X, LEAVING, X, X, FAILED, AT, QUARANTINED, X},
    [RESIDENT] = {X, X, DRAINING, X, X, X, X, FAILED, AT, X, X},
    [WAKING] = {WAKING, RESIDENT, X, X, LEAVING, AT, FAILED, FAILED, X, X, X},
    [DRAINING] = {X, X, DRAINING, RESIDENT, LEAVING, X, X, FAILED, AT, X, X},
    [LEAVING] = {X, X, X, RESIDENT, LEAVING, AT, FAILED, FAILED, X, X, X},
    [FAILED] = {WAKING, X, X, X, LEAVING, AT, FAILED, FAILED, AT, QUARANTINED, X},
    [QUARANTINED] = {X, X, X, X, LEAVING, QUARANTINED, QUARANTINED, QUARANTINED, QUARANTINED,
                     QUARANTINED, AT},
};

#undef WAKING
#undef RESIDENT
#undef DRAINING
#undef LEAVING
#undef FAILED
#undef QUARANTINED

/* What is resident without a visit that serves it is not usable as it stands. */
static uint32_t state_at_rest(const struct core_instance *in, enum core_instance_event event)
{
    if (in->tier == SHUNT_TIER_RESIDENT && event != CORE_EV_FOUND) {
        return SHUNT_INSTANCE_FAILED;
    }
    return in->tier;
}

void core_instance_event(struct core *core, uint32_t instance, enum core_instance_event event)
{
    struct core_instance *in = &core->instances[instance];
    uint32_t next = next_state[in->state][event];
    assert(next != X);
    if (next == AT) {
        next = state_at_rest(in, event);
        if (in->quarantined_until_ns > 0) {
            next = SHUNT_INSTANCE_QUARANTINED;
        }
    }
    bool changed = next != in->state;
    in->state = next;
    core_touch_instance(core, instance);
    if (changed) {
        core_emit_record(core, CORE_REC_INSTANCE)->u.instance = (struct core_rec_instance){
            .instance = instance, .model = in->model, .state = in->state, .tier = in->tier};
    }
}

bool core_instance_fits(const struct core *core, uint32_t instance)
{
    const struct core_instance *in = &core->instances[instance];
    const struct core_device *d = &core->devices[in->device];
    int64_t need = in->device_bytes[SHUNT_TIER_RESIDENT];
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        const struct core_instance *other = &core->instances[i];
        if (i != instance) {
            need += other->pinned ? other->device_bytes[SHUNT_TIER_RESIDENT]
                                  : other->device_bytes[SHUNT_TIER_STOPPED];
        }
    }
    return need <= d->memory_bytes;
}

uint32_t core_instance_on(const struct core *core, uint32_t model, uint32_t device)
{
    const struct core_model *m = &core->models[model];
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        if (core->instances[i].device == device) {
            return i;
        }
    }
    return CORE_NONE;
}

/* ------------------------------------------------------------------ memory */

int64_t core_device_free(const struct core *core, uint32_t device)
{
    return core->devices[device].memory_bytes - core->devices[device].held_bytes;
}

int64_t core_host_free(const struct core *core)
{
    return core->s.host_memory_bytes > 0 ? core->s.host_memory_bytes - core->s.host_held_bytes
                                         : CORE_NEVER;
}

void core_instance_hold(struct core *core, uint32_t instance, int64_t device_bytes,
                        int64_t host_bytes)
{
    struct core_instance *in = &core->instances[instance];
    struct core_device *d = &core->devices[in->device];
    assert(device_bytes >= 0 && host_bytes >= 0);
    d->held_bytes += device_bytes - in->device_held;
    core->s.host_held_bytes += host_bytes - in->host_held;
    in->device_held = device_bytes;
    in->host_held = host_bytes;
    if (d->held_bytes <= d->memory_bytes) {
        d->overcommitted = 0;
    }
    if (core_host_free(core) >= 0) {
        core->s.host_overcommitted = 0;
    }
    core_touch_instance(core, instance);
}

void core_instance_set_tier(struct core *core, uint32_t instance, uint32_t tier,
                            int64_t device_bytes, int64_t host_bytes, bool reported)
{
    struct core_instance *in = &core->instances[instance];
    assert(tier < SHUNT_TIER_COUNT);
    in->tier = tier;
    core_instance_hold(core, instance, device_bytes >= 0 ? device_bytes : in->device_bytes[tier],
                       host_bytes >= 0 ? host_bytes : in->host_bytes[tier]);
    core_set_add(&core->snap_costs, in->model);
    core->s.costs_gen++;
    struct core_device *d = &core->devices[in->device];
    if (reported && d->held_bytes > d->memory_bytes) {
        d->overcommitted = 1;
    }
    if (reported && core_host_free(core) < 0) {
        core->s.host_overcommitted = 1;
    }
}

uint32_t core_tier_out(const struct core *core, uint32_t instance, uint32_t wanted)
{
    const struct core_instance *in = &core->instances[instance];
    uint32_t tier = wanted < SHUNT_TIER_RESIDENT ? wanted : SHUNT_TIER_ASLEEP;
    for (; tier > SHUNT_TIER_STOPPED; tier--) {
        if ((in->tiers >> tier & 1) &&
            in->host_bytes[tier] - in->host_held <= core_host_free(core)) {
            return tier;
        }
    }
    return SHUNT_TIER_STOPPED;
}

/* ------------------------------------------------------------------ steps */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void core_step_begin(struct core *core, uint32_t instance, uint32_t step, uint32_t to_tier,
                     uint64_t id, uint32_t attempt, int64_t deadline_ns, bool background)
{
    struct core_instance *in = &core->instances[instance];
    assert(in->step == CORE_STEP_NONE);
    in->step = step;
    in->step_background = background;
    in->step_orphan = 0;
    in->step_told = 0;
    in->step_from = in->tier;
    in->step_to = to_tier;
    in->step_attempt = attempt;
    in->step_id = id;
    in->step_start_ns = core->s.now_ns;
    in->step_deadline_ns = deadline_ns;
    /* Both sides of a move count until it has ended (I4). */
    core_instance_hold(core, instance, larger(in->device_held, in->device_bytes[to_tier]),
                       larger(in->host_held, in->host_bytes[to_tier]));
    if (step != CORE_STEP_PROBE) {
        core_instance_event(core, instance,
                            step == CORE_STEP_OUT ? CORE_EV_OUT_BEGIN : CORE_EV_IN_BEGIN);
    }
    core_emit(core, CORE_ACT_STEP)->u.step = (struct core_act_step){
        .switch_id = id,
        .instance = instance,
        .step = step,
        .from_tier = in->tier,
        .to_tier = to_tier,
        .deadline_ns = deadline_ns,
        .attempt = attempt,
        .background = background,
        .target = background ? CORE_NONE : core->devices[in->device].sw.target,
    };
}

void core_step_cancel(struct core *core, uint32_t instance)
{
    const struct core_instance *in = &core->instances[instance];
    assert(in->step != CORE_STEP_NONE);
    core_emit(core, CORE_ACT_STEP_CANCEL)->u.step = (struct core_act_step){
        .switch_id = in->step_id,
        .instance = instance,
        .step = in->step,
        .from_tier = in->step_from,
        .to_tier = in->step_to,
        .deadline_ns = in->step_deadline_ns,
        .attempt = in->step_attempt,
        .background = in->step_background,
        .target = in->step_background || in->step_orphan ? CORE_NONE
                                                         : core->devices[in->device].sw.target,
    };
}

/* ------------------------------------------------------------------ quarantine */

void core_quarantine(struct core *core, uint32_t instance)
{
    struct core_instance *in = &core->instances[instance];
    if (core->s.failed_backoff_ns <= 0) {
        return;
    }
    uint32_t doublings = in->failures < CORE_BACKOFF_MAX ? in->failures : CORE_BACKOFF_MAX;
    in->failures++;
    in->quarantined_until_ns = core->s.now_ns + (core->s.failed_backoff_ns << doublings);
    core_touch_instance(core, instance);
    if (in->state == SHUNT_INSTANCE_FAILED || in->state < SHUNT_INSTANCE_RESIDENT) {
        core_instance_event(core, instance, CORE_EV_QUARANTINE);
    }
}

void core_quarantine_expire(struct core *core, uint32_t instance)
{
    struct core_instance *in = &core->instances[instance];
    if (in->quarantined_until_ns > 0 && in->quarantined_until_ns <= core->s.now_ns) {
        in->quarantined_until_ns = 0;
        core_touch_instance(core, instance);
        if (in->state == SHUNT_INSTANCE_QUARANTINED) {
            core_instance_event(core, instance, CORE_EV_RELEASE);
        }
        core_why(core, in->device, SHUNT_WHY_ENGINE_BACK);
    }
}

void core_quarantines_expire(struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        core_quarantine_expire(core, i);
    }
}

/* ------------------------------------------------------------------ engines */

static void visit_of_found(struct core *core, uint32_t instance)
{
    struct core_visit_plan plan = {.cause = SHUNT_CAUSE_HOST};
    core_visit_begin(core, instance, &plan);
}

int core_instance_engine(struct core *core, const struct core_in_engine *in)
{
    if (in->instance >= core->s.instance_count ||
        (in->tier != SHUNT_NONE && in->tier >= SHUNT_TIER_COUNT)) {
        return -EINVAL;
    }
    struct core_instance *at = &core->instances[in->instance];
    at->running = in->running;
    at->waiting = in->waiting;
    at->kv_used_bytes = in->kv_used_bytes;
    at->kv_total_bytes = in->kv_total_bytes;
    at->prefix_hit_ratio = in->prefix_hit_ratio;
    core_set_add(&core->snap_instances, in->instance);
    if (at->state == SHUNT_INSTANCE_DRAINING) {
        core_touch_device(core, at->device);
    }
    if (in->tier == SHUNT_NONE || at->step != CORE_STEP_NONE || !core->devices[at->device].up) {
        return 0;
    }
    bool moved = in->tier != at->tier;
    core_instance_set_tier(core, in->instance, in->tier, in->device_bytes, in->host_bytes, true);
    if (moved) {
        if (at->visiting) {
            core_visit_end(core, in->instance);
        }
        core_instance_event(core, in->instance, CORE_EV_FOUND);
        if (at->state == SHUNT_INSTANCE_RESIDENT) {
            visit_of_found(core, in->instance);
        }
        core_why(core, at->device, SHUNT_WHY_ENGINE_BACK);
        core_switch_memory_freed(core);
    }
    return 0;
}

/* Everything in flight leaves a dead engine at once. */
static void empty_flight(struct core *core, uint32_t instance, bool requeue)
{
    const struct core_instance *in = &core->instances[instance];
    while (in->flight.head != CORE_NONE) {
        uint32_t index = in->flight.head;
        const struct core_request *r = &core->requests[index];
        if (r->state == CORE_REQUEST_HELD) {
            core_request_release(core, index);
        } else if (requeue && r->first_token_ns == 0 && r->requeued < CORE_REQUEUES_MAX) {
            core_request_requeue(core, index);
        } else {
            core_request_end_flight(core, index, SHUNT_OUTCOME_FAILED, false);
        }
    }
}

static bool can_be_had(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        if (core_instance_usable(core, &core->instances[i])) {
            return true;
        }
    }
    return false;
}

static void lose(struct core *core, uint32_t instance, uint32_t tier, bool requeue)
{
    struct core_instance *in = &core->instances[instance];
    bool stepping = in->step != CORE_STEP_NONE;
    if (in->visiting) {
        core_visit_end(core, instance);
    }
    core_instance_set_tier(core, instance, tier, -1, -1, true);
    in->running = SHUNT_NONE;
    in->waiting = SHUNT_NONE;
    in->want_tier = SHUNT_NONE;
    empty_flight(core, instance, requeue);
    if (stepping) {
        core_switch_step_lost(core, instance);
    } else {
        core_instance_event(core, instance, CORE_EV_LOST);
    }
}

int core_instance_lost(struct core *core, const struct core_in_engine_lost *in)
{
    if (in->instance >= core->s.instance_count || in->tier >= SHUNT_TIER_RESIDENT) {
        return -EINVAL;
    }
    lose(core, in->instance, in->tier, in->requeue != 0);
    core_why(core, core->instances[in->instance].device, SHUNT_WHY_ENGINE_LOST);
    core_switch_memory_freed(core);
    return 0;
}

/* ------------------------------------------------------------------ devices */

static void leave(struct core *core, uint32_t device, bool requeue)
{
    struct core_device *d = &core->devices[device];
    assert(d->up);
    d->up = 0;
    core_generation_bump(core, device);
    if (core_switch_undone(d)) {
        core_switch_drop(core, device);
    }
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        lose(core, i, SHUNT_TIER_STOPPED, requeue && can_be_had(core, core->instances[i].model));
        if (core->instances[i].state == SHUNT_INSTANCE_FAILED) {
            core_instance_event(core, i, CORE_EV_FOUND);
        }
    }
    if (d->sw.phase != CORE_PHASE_NONE) {
        core_switch_abort(core, device);
    }
    core_guard_rehome(core, device);
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        uint32_t model = core->instances[i].model;
        if (!can_be_had(core, model)) {
            core_queue_end(core, model, SHUNT_OUTCOME_FAILED); /* R6 */
        }
        /* Gap and wait of the models that fit here count anew. */
        core->models[model].gap_kept_ns = CORE_NEVER;
        if (core->models[model].waiting) {
            core->models[model].gap_since_ns = core->s.now_ns;
            for (uint32_t k = 0; k < core->models[model].instance_count; k++) {
                struct core_instance *in = &core->instances[core->models[model].instance_first + k];
                in->gap_visits = core->devices[in->device].visits;
            }
        }
        core_touch_instance(core, i);
    }
    d->why = 0;
    d->ask_id = 0;
    d->cap_asked = 0;
    d->linger_until_ns = 0;
    d->recheck_at_ns = 0;
}

void core_device_leave(struct core *core, uint32_t device)
{
    if (core->devices[device].up) {
        leave(core, device, false);
        core_guard_values_update(core);
    }
}

int core_device_change(struct core *core, const struct core_in_device *in)
{
    if (in->device >= core->s.device_count || in->up > 1) {
        return -EINVAL;
    }
    struct core_device *d = &core->devices[in->device];
    if (in->up == d->up) {
        return 0;
    }
    if (!in->up) {
        leave(core, in->device, true);
    } else {
        d->up = 1;
        core_generation_bump(core, in->device);
        for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
            core_touch_instance(core, i);
        }
        core_why(core, in->device, SHUNT_WHY_ENGINE_BACK);
    }
    core_guard_values_update(core);
    return 0;
}
