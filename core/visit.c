/*
 * Visits: the time a model stays resident. A visit has a quantum, a gate and a minimum residence;
 * its first dispatches are promised (R2) and come before any later decision takes effect.
 */
#include "core/priv.h"

void core_visit_begin(struct core *core, uint32_t instance, const struct core_visit_plan *plan)
{
    struct core_instance *in = &core->instances[instance];
    struct core_device *d = &core->devices[in->device];
    struct core_model *m = &core->models[in->model];
    assert(in->state == SHUNT_INSTANCE_RESIDENT && d->up);
    int64_t now = core->s.now_ns;
    struct core_rec_visit *rec = &core_emit_record(core, CORE_REC_VISIT)->u.visit;
    *rec = (struct core_rec_visit){
        .device = in->device, .instance = instance, .model = in->model, .cause = plan->cause};
    int64_t since_ns = m->waiting                 ? m->gap_since_ns
                       : m->gap_kept_at_ns == now ? m->gap_kept_ns
                                                  : CORE_NEVER;
    if (since_ns != CORE_NEVER) {
        struct core_bounds bounds;
        rec->gap_ns = now - since_ns;
        core_bounds_guaranteed(core, in->model, &bounds);
        rec->bound_ns = bounds.gap_ns;
        core_cost_add(&core->costs[m->cost_row].gap, rec->gap_ns);
        /* The gap ends here even if the visit admits nothing. */
        if (rec->gap_ns > core->model_counts[in->model].gap_max_ns) {
            core->model_counts[in->model].gap_max_ns = rec->gap_ns;
        }
        m->waiting = 0;
        m->gap_since_ns = CORE_NEVER;
        m->gap_kept_ns = CORE_NEVER;
        for (uint32_t i = 0; i < m->instance_count; i++) {
            core_touch_device(core, core->instances[m->instance_first + i].device);
        }
    }
    core_guard_fifo_remove(core, in->model);
    if (in->visiting) {
        core_visit_end(core, instance);
    }
    in->visiting = 1;
    in->visit_prev = CORE_NONE;
    in->visit_next = d->visits_list;
    if (in->visit_next != CORE_NONE) {
        core->instances[in->visit_next].visit_prev = instance;
    }
    d->visits_list = instance;
    in->visit_start_ns = now;
    in->visit_first_ns = CORE_NEVER;
    in->visit_busy_ns = 0;
    in->busy_since_ns = in->in_flight > 0 ? now : CORE_NEVER;
    in->visit_served = 0;
    in->quantum_used = 0;
    in->quantum_requests = plan->quantum_requests;
    in->quantum_ns = plan->quantum_ns;
    in->gated = plan->gated;
    in->gate_seq = core->s.next_seq;
    in->promised = 1;
    core->promise_devices |= 1u << in->device;
    in->residence_until_ns = now + plan->residence_ns;
    in->residence_told = plan->residence_ns <= 0;
    uint32_t promise = core_visit_promise(core, instance);
    if (in->quantum_requests > 0 && in->quantum_requests < promise) {
        in->quantum_requests = promise;
    }
    m->visit_seq = core->s.next_visit++;
    m->last_visit_ns = now;
    m->work_since_ns = now;
    core->model_counts[in->model].visits++;
    d->visits++;
    if (d->cap_asked) {
        core_touch_around(core, in->device); /* what is idle may be unloaded again */
    }
    d->cap_asked = 0;
    d->cap_answered = 0;
    d->linger_until_ns = 0;
    if (plan->cause >= SHUNT_CAUSE_FORCED_CAP && plan->cause <= SHUNT_CAUSE_FORCED_AGE) {
        core->device_counts[in->device].visits_forced++;
    }
    core_generation_bump(core, in->device);
    core_touch_instance(core, instance);
    core->qualify = true;
}

void core_visit_end(struct core *core, uint32_t instance)
{
    struct core_instance *in = &core->instances[instance];
    struct core_device *d = &core->devices[in->device];
    assert(in->visiting);
    if (in->visit_prev == CORE_NONE) {
        d->visits_list = in->visit_next;
    } else {
        core->instances[in->visit_prev].visit_next = in->visit_next;
    }
    if (in->visit_next != CORE_NONE) {
        core->instances[in->visit_next].visit_prev = in->visit_prev;
    }
    in->visiting = 0;
    in->visit_next = CORE_NONE;
    in->visit_prev = CORE_NONE;
    in->promised = 0;
    in->quantum_used = 0;
    in->gated = 0;
    core_touch_instance(core, instance);
    core_generation_bump(core, in->device);
}

uint32_t core_visit_promise(const struct core *core, uint32_t instance)
{
    uint32_t limit = core->models[core->instances[instance].model].max_concurrency;
    uint32_t least = core->s.guard.dispatches_min;
    return least > 0 && least < limit ? least : limit;
}

void core_visits_promised(struct core *core)
{
    for (uint32_t left = core->promise_devices; left != 0; left &= left - 1) {
        uint32_t i = core->devices[__builtin_ctz(left)].visits_list;
        while (i != CORE_NONE) {
            struct core_instance *in = &core->instances[i];
            if (in->promised) {
                in->promised = 0;
                core_touch_instance(core, i); /* it may be unloaded from now on */
                (void)core_dispatch_instance(core, i, core_visit_promise(core, i));
            }
            i = in->visit_next;
        }
    }
    core->promise_devices = 0;
}

/* Closes a visit whose quantum is used, and asks. */
void core_visit_quantum_check(struct core *core, uint32_t instance)
{
    struct core_instance *in = &core->instances[instance];
    if (in->quantum_used || !in->visiting) {
        return;
    }
    bool used = in->quantum_requests > 0 && in->visit_served >= in->quantum_requests;
    used |= in->quantum_ns > 0 && in->visit_first_ns != CORE_NEVER && !in->promised &&
            core->s.now_ns - in->visit_first_ns >= in->quantum_ns;
    if (used) {
        in->quantum_used = 1;
        core_touch_instance(core, instance);
        core_why(core, in->device, SHUNT_WHY_QUANTUM);
    }
}

void core_visit_timers(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
        struct core_instance *in = &core->instances[i];
        core_visit_quantum_check(core, i);
        if (!in->residence_told && in->residence_until_ns <= core->s.now_ns) {
            in->residence_told = 1;
            if (d->waiting > 0) {
                core_why(core, device, SHUNT_WHY_MIN_RESIDENCE);
            }
        }
    }
}

int64_t core_visit_wake_ns(const struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    int64_t wake = CORE_NEVER;
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
        const struct core_instance *in = &core->instances[i];
        if (in->promised) {
            return core->s.now_ns;
        }
        if (in->quantum_ns > 0 && !in->quantum_used && in->visit_first_ns != CORE_NEVER &&
            in->visit_first_ns + in->quantum_ns < wake) {
            wake = in->visit_first_ns + in->quantum_ns;
        }
        if (!in->residence_told && in->residence_until_ns < wake) {
            wake = in->residence_until_ns;
        }
    }
    return wake;
}
