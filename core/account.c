/*
 * Accounts of time: each device is in exactly one state at every instant, and each model's wait
 * runs on exactly one clock, so that both add up to elapsed time to the nanosecond.
 */
#include "core/priv.h"

uint32_t core_account_state(const struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    bool queued = d->waiting > 0;
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
        const struct core_instance *in = &core->instances[i];
        if (in->in_flight > 0 && core_instance_admits(core, in)) {
            return SHUNT_DEVICE_SERVING;
        }
        queued |= core->models[in->model].queue_len > 0;
    }
    if (core_switch_moving(d) || d->orphans > 0) {
        return SHUNT_DEVICE_SWITCHING;
    }
    if (d->in_flight > 0) {
        return SHUNT_DEVICE_DRAINING;
    }
    return queued ? SHUNT_DEVICE_LINGERING : SHUNT_DEVICE_IDLE;
}

static void pass(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    struct core_device_count *count = &core->device_counts[device];
    int64_t passed = core->s.now_ns - d->state_at_ns;
    count->state_ns[d->state] += passed;
    count->batch_integral_ns += passed * (int64_t)d->in_flight;
    d->state_at_ns = core->s.now_ns;
}

void core_account_device(struct core *core, uint32_t device)
{
    pass(core, device);
    core->devices[device].state = core_account_state(core, device);
}

void core_account_batch(struct core *core, uint32_t device, int32_t change)
{
    pass(core, device);
    core->devices[device].in_flight += (uint32_t)change;
}

/* What keeps a model that waits. */
static uint32_t part_now(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    uint32_t part = CORE_WAIT_UNAVAILABLE;
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        const struct core_device *d = &core->devices[in->device];
        if (d->sw.phase != CORE_PHASE_NONE && d->sw.target == i) {
            return core_phase_wait(core, in->device);
        }
        if (core_instance_usable(core, in)) {
            bool guard = d->fifo_len > 0 ||
                         (d->sw.phase != CORE_PHASE_NONE && d->sw.cause >= SHUNT_CAUSE_FORCED_CAP &&
                          d->sw.cause <= SHUNT_CAUSE_FORCED_AGE);
            part = guard && part != CORE_WAIT_POLICY ? CORE_WAIT_GUARD : CORE_WAIT_POLICY;
        }
    }
    return part;
}

void core_account_part(struct core *core, uint32_t model)
{
    struct core_model *m = &core->models[model];
    m->clock_ns[m->part] += core->s.now_ns - m->clock_at_ns;
    m->clock_at_ns = core->s.now_ns;
    m->part = m->waiting ? part_now(core, model) : (uint32_t)CORE_WAIT_QUEUE;
}
