/*
 * Moves that no request waits for: prefetches and demotions that a policy asks for, and unloading
 * what has been idle. One prefetch at a time on a host link; a switch has the right of way.
 */
#include "core/priv.h"

static bool at_rest(const struct core_instance *in)
{
    return in->step == CORE_STEP_NONE && !in->visiting && in->victim_of == CORE_NONE &&
           in->tier < SHUNT_TIER_RESIDENT && in->quarantined_until_ns == 0;
}

static bool forced(const struct core_device *d)
{
    return d->fifo_len > 0 || d->sw.forced;
}

static bool possible(const struct core *core, uint32_t instance, uint32_t kind, uint32_t tier)
{
    const struct core_instance *in = &core->instances[instance];
    const struct core_device *d = &core->devices[in->device];
    if (!d->up || !at_rest(in) || tier >= SHUNT_TIER_RESIDENT || !(in->tiers >> tier & 1)) {
        return false;
    }
    if (kind == SHUNT_DEMOTE) {
        return tier < in->tier && in->host_bytes[tier] - in->host_held <= core_host_free(core);
    }
    return kind == SHUNT_PREFETCH && tier > in->tier && (in->edges_prefetch >> tier & 1) &&
           !forced(d) &&
           in->device_bytes[tier] - in->device_held <= core_device_free(core, in->device) &&
           in->host_bytes[tier] - in->host_held <= core_host_free(core);
}

bool core_background_want(struct core *core, uint32_t device,
                          const struct shunt_secondary *secondary)
{
    if (secondary->model >= core->s.model_count) {
        return false;
    }
    const struct core_model *m = &core->models[secondary->model];
    uint32_t instance = secondary->instance;
    if (instance == SHUNT_NONE) {
        instance = core_instance_on(core, secondary->model, device);
        instance = instance == CORE_NONE ? m->instance_first : instance;
    }
    if (instance < m->instance_first || instance >= m->instance_first + m->instance_count ||
        !possible(core, instance, secondary->kind, secondary->tier)) {
        return false;
    }
    core->instances[instance].want_tier = secondary->tier;
    core->instances[instance].want_kind = secondary->kind;
    core_set_add(&core->s.wants, instance);
    return true;
}

/* Whether a switch or another prefetch uses the link now. */
static bool link_busy(const struct core *core, uint32_t link)
{
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        if (core->devices[in->device].link == link && in->step != CORE_STEP_NONE &&
            (!in->step_background || in->step == CORE_STEP_IN)) {
            return true;
        }
    }
    return false;
}

void core_background_progress(struct core *core)
{
    for (uint32_t i = core_set_next(&core->s.wants, 0, core->s.instance_count); i != CORE_NONE;
         i = core_set_next(&core->s.wants, i + 1, core->s.instance_count)) {
        struct core_instance *in = &core->instances[i];
        bool prefetch = in->want_kind == SHUNT_PREFETCH;
        bool ok = in->want_tier != SHUNT_NONE && possible(core, i, in->want_kind, in->want_tier);
        if (ok && prefetch && link_busy(core, core->devices[in->device].link)) {
            continue;
        }
        uint32_t tier = in->want_tier;
        in->want_tier = SHUNT_NONE;
        core_set_remove(&core->s.wants, i);
        if (ok) {
            int64_t deadline = core->s.now_ns + core->s.guard.switch_limit_ns;
            core_step_begin(core, i, prefetch ? CORE_STEP_IN : CORE_STEP_OUT, tier,
                            core->s.next_switch++, 0, deadline, true);
        }
    }
}

static void stop(struct core *core, uint32_t instance)
{
    core->instances[instance].step_told = 1;
    core_step_cancel(core, instance);
    core_touch_instance(core, instance);
}

void core_background_timers(struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        if (in->step != CORE_STEP_NONE && in->step_background && !in->step_told &&
            in->step_deadline_ns <= core->s.now_ns) {
            stop(core, i);
        }
    }
}

void core_background_yield(struct core *core, uint32_t device)
{
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        if (in->step == CORE_STEP_IN && in->step_background && !in->step_told &&
            core->devices[in->device].link == core->devices[device].link) {
            stop(core, i);
        }
    }
}

void core_background_step_done(struct core *core, uint32_t instance)
{
    core_instance_event(core, instance, CORE_EV_REST);
}

/* ------------------------------------------------------------------ idle models */

static bool idle(const struct core_model *m)
{
    return m->idle_unload_ns > 0 && m->queue_len == 0 && m->in_flight == 0;
}

/* Not at the cap of a visit: there an unload gives way to whoever is brought in (R1). */
static bool may_unload(const struct core *core, uint32_t instance)
{
    const struct core_instance *in = &core->instances[instance];
    const struct core_device *d = &core->devices[in->device];
    return in->state == SHUNT_INSTANCE_RESIDENT && in->visiting && !in->pinned && !in->promised &&
           d->sw.phase == CORE_PHASE_NONE && d->up && !d->cap_asked;
}

void core_idle_unload(struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    if (!idle(m) || core->s.now_ns - m->work_since_ns < m->idle_unload_ns) {
        return;
    }
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        if (may_unload(core, i)) {
            struct core_switch plan = {.target = CORE_NONE,
                                       .cause = SHUNT_CAUSE_HOST,
                                       .held = 1,
                                       .slot = CORE_NONE,
                                       .named_count = 1};
            plan.named[0] = (struct shunt_victim){.instance = i, .tier = SHUNT_TIER_STOPPED};
            core_switch_decide(core, core->instances[i].device, &plan);
        }
    }
}

int64_t core_idle_wake_ns(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    if (!idle(m)) {
        return CORE_NEVER;
    }
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        if (may_unload(core, i)) {
            return m->work_since_ns + m->idle_unload_ns;
        }
    }
    return CORE_NEVER;
}
