/*
 * What an operator may ask for. Loads and unloads are switches that a policy cannot revoke; a pin
 * is refused where it would leave a model without a place (R5).
 */
#include "core/priv.h"

static bool busy(const struct core_device *d)
{
    return core_switch_moving(d) || d->sw.forced || d->sw.held || d->fifo_len > 0;
}

static int load_on(struct core *core, uint32_t instance)
{
    struct core_instance *in = &core->instances[instance];
    if (core_instance_admits(core, in)) {
        return 0;
    }
    if (!core->devices[in->device].up || !in->fits || busy(&core->devices[in->device]) ||
        in->step != CORE_STEP_NONE) {
        return -EBUSY;
    }
    if (in->quarantined_until_ns > 0) { /* an operator may try again at once */
        in->quarantined_until_ns = core->s.now_ns;
        core_quarantines_expire(core, in->model);
    }
    if (in->visiting) {
        struct core_visit_plan plan = {.cause = SHUNT_CAUSE_OPERATOR};
        if (core_switch_undone(&core->devices[in->device])) {
            core_switch_drop(core, in->device);
        }
        if (!core_instance_admits(core, in)) {
            core_visit_begin(core, instance, &plan);
        }
        return 0;
    }
    struct core_switch plan = {.target = instance,
                               .cause = SHUNT_CAUSE_OPERATOR,
                               .held = 1,
                               .slot = CORE_NONE,
                               .residence_ns = core->s.guard.min_residence_ns};
    core_switch_decide(core, in->device, &plan);
    return 0;
}

static int unload_from(struct core *core, uint32_t instance)
{
    const struct core_instance *in = &core->instances[instance];
    if (in->pinned || busy(&core->devices[in->device]) || in->step != CORE_STEP_NONE) {
        return -EBUSY;
    }
    if (in->visiting) {
        struct core_switch plan = {.target = CORE_NONE,
                                   .cause = SHUNT_CAUSE_OPERATOR,
                                   .held = 1,
                                   .slot = CORE_NONE,
                                   .named_count = 1};
        plan.named[0] = (struct shunt_victim){.instance = instance, .tier = SHUNT_TIER_STOPPED};
        core_switch_decide(core, in->device, &plan);
    } else if (in->tier != SHUNT_TIER_STOPPED) {
        struct shunt_secondary demote = {.kind = SHUNT_DEMOTE,
                                         .model = in->model,
                                         .instance = instance,
                                         .tier = SHUNT_TIER_STOPPED};
        if (!core_background_want(core, in->device, &demote)) {
            return -EBUSY;
        }
        core_background_progress(core);
    }
    return 0;
}

static int pin(struct core *core, uint32_t instance)
{
    struct core_instance *in = &core->instances[instance];
    struct core_device *d = &core->devices[in->device];
    if (in->pinned) {
        return 0;
    }
    if (in->victim_of != CORE_NONE && core_switch_moving(d)) {
        return -EBUSY;
    }
    in->pinned = 1;
    if (!core_guard_all_fit(core)) {
        in->pinned = 0;
        return -EPERM;
    }
    if (core_switch_undone(d)) {
        core_switch_drop(core, in->device); /* decided on other victims; asked again */
        core_why(core, in->device, SHUNT_WHY_LAYOUT);
    }
    return 0;
}

static void pins_changed(struct core *core)
{
    core_guard_fits_update(core);
    core_guard_values_update(core);
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        core_guard_rehome(core, i);
        core_generation_bump(core, i);
    }
}

/* Instance meant by an operation: the one named, else a resident one, else the first that fits. */
static uint32_t meant(const struct core *core, const struct core_in_operator *in)
{
    const struct core_model *m = &core->models[in->model];
    uint32_t best = m->instance_first;
    for (uint32_t i = m->instance_first + m->instance_count; i-- > m->instance_first;) {
        const struct core_instance *at = &core->instances[i];
        if (i == in->instance) {
            return i;
        }
        const struct core_instance *now = &core->instances[best];
        bool fits = core_instance_usable(core, at) && !busy(&core->devices[at->device]);
        bool now_fits = core_instance_usable(core, now) && !busy(&core->devices[now->device]);
        if (at->visiting || (!now->visiting && fits && (!now_fits || i < best))) {
            best = i;
        }
    }
    return best;
}

int core_operator(struct core *core, const struct core_in_operator *in)
{
    bool of_model = in->operation <= CORE_OP_UNPIN;
    if (in->operation > CORE_OP_STOP || (of_model && in->model >= core->s.model_count)) {
        return -EINVAL;
    }
    if (of_model && in->instance != SHUNT_NONE &&
        (in->instance >= core->s.instance_count ||
         core->instances[in->instance].model != in->model)) {
        return -EINVAL;
    }
    int error = 0;
    switch ((enum core_operation)in->operation) {
    case CORE_OP_LOAD:
        return load_on(core, meant(core, in));
    case CORE_OP_UNLOAD:
        return unload_from(core, meant(core, in));
    case CORE_OP_PIN:
        error = pin(core, meant(core, in));
        if (!error) {
            pins_changed(core);
        }
        return error;
    case CORE_OP_UNPIN:
        for (uint32_t i = 0; i < core->models[in->model].instance_count; i++) {
            uint32_t at = core->models[in->model].instance_first + i;
            if (in->instance == SHUNT_NONE || in->instance == at) {
                core->instances[at].pinned = 0;
            }
        }
        pins_changed(core);
        return 0;
    case CORE_OP_DRAIN:
        core->s.accepting = 0;
        return 0;
    case CORE_OP_RESUME:
        core->s.accepting = 1;
        return 0;
    case CORE_OP_STOP:
        for (uint32_t i = 0; i < core->s.model_count; i++) {
            core_queue_end(core, i, SHUNT_OUTCOME_FAILED);
        }
        return 0;
    }
    return -EINVAL;
}
