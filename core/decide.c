/*
 * Asking and answering: when a policy is asked, what becomes of its answer, and what happens when
 * none comes. A decision is judged against the state at its arrival; what cannot be done is clamped
 * and counted, never an error for the policy's caller.
 */
#include "core/priv.h"

/* ------------------------------------------------------------------ records */

static void record_decision(struct core *core, uint32_t device, uint64_t ask_id, uint32_t slot,
                            const struct shunt_decision *decision, uint32_t why, uint32_t verdict,
                            uint32_t cause)
{
    core_emit_record(core, CORE_REC_DECISION)->u.decision = (struct core_rec_decision){
        .ask_id = ask_id,
        .slot = slot,
        .device = device,
        .action = decision->action,
        .model = decision->action == SHUNT_SWITCH ? decision->model : SHUNT_NONE,
        .reason = decision->reason,
        .why = why,
        .verdict = verdict,
        .cause = cause,
    };
}

/* ------------------------------------------------------------------ applying */

/* A longer quantum is none; the end of this one, an absolute time, still fits its type. */
#define QUANTUM_NS_MAX (CORE_NEVER / 4)

static int64_t clip_ns(int64_t value, int64_t low, int64_t high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

static void apply_quantum(struct core *core, uint32_t device, const struct shunt_decision *decision)
{
    uint32_t i = core->devices[device].visits_list;
    if (i == CORE_NONE) {
        return;
    }
    struct core_instance *in = &core->instances[i];
    in->quantum_requests = decision->quantum_requests;
    uint32_t promise = core_visit_promise(core, i);
    if (in->quantum_requests > 0 && in->quantum_requests < promise) {
        in->quantum_requests = promise;
    }
    in->quantum_ns = clip_ns(decision->quantum_ns, 0, QUANTUM_NS_MAX);
    bool used = in->quantum_requests > 0 && in->visit_served >= in->quantum_requests;
    used |= in->quantum_ns > 0 && in->visit_first_ns != CORE_NEVER &&
            core->s.now_ns - in->visit_first_ns >= in->quantum_ns;
    if (used != (in->quantum_used != 0)) { /* else nothing that is derived has changed */
        in->quantum_used = used;
        core_touch_instance(core, i);
    }
}

static void apply_stay(struct core *core, uint32_t device, const struct shunt_decision *decision)
{
    struct core_device *d = &core->devices[device];
    if (core_switch_undone(d) && !d->sw.held) {
        core_switch_drop(core, device);
    }
    apply_quantum(core, device, decision);
    d->linger_until_ns = 0;
    if (decision->action == SHUNT_LINGER && decision->linger_until_ns > core->s.now_ns) {
        d->linger_until_ns = decision->linger_until_ns;
    }
}

/* Target of a switch; CORE_NONE if it names none that can be had here. */
static uint32_t resolve(const struct core *core, uint32_t device,
                        const struct shunt_decision *decision)
{
    if (decision->model >= core->s.model_count) {
        return CORE_NONE;
    }
    uint32_t here = core_instance_on(core, decision->model, device);
    if (here == CORE_NONE || (decision->instance != SHUNT_NONE && decision->instance != here) ||
        !core_instance_usable(core, &core->instances[here])) {
        return CORE_NONE;
    }
    return here;
}

/* Takes the policy's victims over if all of them make sense. */
static bool name_victims(const struct core *core, uint32_t device,
                         const struct shunt_decision *decision, struct core_switch *plan)
{
    if (decision->victim_count > SHUNT_VICTIM_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < decision->victim_count; i++) {
        const struct shunt_victim *victim = &decision->victims[i];
        if (victim->instance >= core->s.instance_count || victim->instance == plan->target ||
            (victim->tier != SHUNT_NONE && victim->tier >= SHUNT_TIER_RESIDENT)) {
            return false;
        }
        const struct core_instance *in = &core->instances[victim->instance];
        if (in->device != device || in->pinned || !in->visiting) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (decision->victims[k].instance == victim->instance) {
                return false;
            }
        }
    }
    plan->named_count = decision->victim_count;
    memcpy(plan->named, decision->victims, decision->victim_count * sizeof(plan->named[0]));
    return true;
}

/* Carries a "switch" out; the verdict on it. */
static uint32_t apply_switch(struct core *core, uint32_t device, uint32_t target,
                             const struct shunt_decision *decision, uint32_t slot, uint32_t cause,
                             uint32_t forced)
{
    struct core_device *d = &core->devices[device];
    const struct core_instance *in = &core->instances[target];
    uint32_t verdict = CORE_VERDICT_APPLIED;
    struct core_switch plan = {
        .target = target,
        .cause = cause,
        .forced = forced,
        .slot = slot,
        .gated = (decision->flags & SHUNT_DECISION_GATED) != 0,
        .quantum_requests = decision->quantum_requests,
        .quantum_ns = clip_ns(decision->quantum_ns, 0, QUANTUM_NS_MAX),
        .drain = decision->drain <= SHUNT_DRAIN_REQUEUE ? decision->drain : SHUNT_DRAIN_DEFAULT,
    };
    int64_t most = core->s.guard.enabled ? d->guard.visit_cap_ns : CORE_NEVER / 2;
    plan.residence_ns =
        clip_ns(decision->min_residence_ns, core->s.guard.min_residence_ns,
                most > core->s.guard.min_residence_ns ? most : core->s.guard.min_residence_ns);
    if (in->visiting && in->step != CORE_STEP_NONE) {
        return CORE_VERDICT_CLAMPED; /* a failed switch is still letting go of it */
    }
    if (in->visiting) {
        /* Resident already: nothing to move. If it waits, its visit starts at once. */
        if (core_switch_undone(d) && (!d->sw.held || in->state == SHUNT_INSTANCE_DRAINING)) {
            core_switch_drop(core, device);
        }
        if (!core_instance_admits(core, in)) {
            struct core_visit_plan visit = {
                .cause = cause,
                .gated = plan.gated,
                .quantum_requests = plan.quantum_requests,
                .quantum_ns = plan.quantum_ns,
                .residence_ns = plan.residence_ns,
            };
            core_visit_begin(core, target, &visit);
            core_why(core, device, SHUNT_WHY_SWITCH_DONE);
        }
        return verdict;
    }
    if (core_switch_undone(d) && d->sw.held) {
        return CORE_VERDICT_CLAMPED; /* the operator's comes first */
    }
    if (core_switch_undone(d) && d->sw.target == target) {
        return verdict;
    }
    if (!name_victims(core, device, decision, &plan) || decision->drain > SHUNT_DRAIN_REQUEUE) {
        verdict = CORE_VERDICT_CLAMPED;
    }
    core_switch_decide(core, device, &plan);
    if (!forced && core_switch_allowed_ns(core, device) > core->s.now_ns &&
        verdict == CORE_VERDICT_APPLIED) {
        verdict = CORE_VERDICT_CAPPED;
    }
    return verdict;
}

static void apply_secondary(struct core *core, uint32_t device,
                            const struct shunt_decision *decision)
{
    uint32_t count = decision->secondary_count;
    if (count > SHUNT_SECONDARY_MAX) {
        core_guard_count(core, CORE_GUARD_SECONDARY, device, CORE_NONE,
                         count - SHUNT_SECONDARY_MAX);
        count = SHUNT_SECONDARY_MAX;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!core_background_want(core, device, &decision->secondary[i])) {
            core_guard_count(core, CORE_GUARD_SECONDARY, device, decision->secondary[i].model, 1);
        }
    }
    if (count > 0) {
        core_background_progress(core);
    }
}

static void apply_decision(struct core *core, uint32_t device, uint64_t ask_id, uint32_t slot,
                           const struct shunt_decision *decision, uint32_t why, uint32_t cause)
{
    struct core_device *d = &core->devices[device];
    bool at_cap = d->cap_asked != 0;
    uint32_t target =
        decision->action == SHUNT_SWITCH ? resolve(core, device, decision) : CORE_NONE;
    uint32_t verdict = CORE_VERDICT_APPLIED;
    /* A floor, or a policy could ask to be asked again every nanosecond. */
    int64_t floor_ns = core->s.now_ns + core->s.guard.recheck_min_ns;
    int64_t recheck_ns = decision->recheck_at_ns;
    d->recheck_at_ns = recheck_ns <= core->s.now_ns ? 0
                       : recheck_ns < floor_ns      ? floor_ns
                                                    : recheck_ns;
    if (at_cap && (target == CORE_NONE || !core_guard_may_name(core, device, target))) {
        verdict = CORE_VERDICT_CLAMPED; /* R1: anything else is void now */
    } else if (decision->action == SHUNT_STAY || decision->action == SHUNT_LINGER) {
        apply_stay(core, device, decision);
    } else if (decision->action == SHUNT_SWITCH && target != CORE_NONE) {
        verdict = apply_switch(core, device, target, decision, slot, cause,
                               at_cap ? SHUNT_CAUSE_FORCED_CAP : 0);
    } else {
        verdict = CORE_VERDICT_CLAMPED;
    }
    record_decision(core, device, ask_id, slot, decision, why, verdict, cause);
    if (verdict == CORE_VERDICT_CLAMPED) {
        core_guard_count(core, CORE_GUARD_CLAMPED, device, decision->model, 1);
    }
    if (at_cap) {
        d->cap_asked = 0;
        if (verdict == CORE_VERDICT_CLAMPED && !d->sw.forced) {
            d->cap_asked = 1;
            core_guard_take(core, device);
        }
    }
    apply_secondary(core, device, decision);
    core_touch_device(core, device);
}

/* Lets the built-in decide, for a slot that has no opinion or for none. */
static void apply_builtin(struct core *core, uint32_t device, uint64_t ask_id, uint32_t slot,
                          int64_t recheck_at_ns, uint32_t why)
{
    struct shunt_decision decision;
    core_builtin_decide(core, device, &decision);
    decision.recheck_at_ns = recheck_at_ns;
    apply_decision(core, device, ask_id, slot, &decision, why, SHUNT_CAUSE_BUILTIN);
}

/* ------------------------------------------------------------------ asking */

static void emit_ask(struct core *core, uint32_t device, uint32_t slot, uint64_t id, bool shadow)
{
    const struct core_device *d = &core->devices[device];
    core_emit(core, CORE_ACT_ASK)->u.ask = (struct core_act_ask){
        .slot = slot,
        .device = device,
        .id = id,
        .generation = d->generation,
        .deadline_ns = d->ask_deadline_ns,
        .why = d->ask_why,
        .shadow = shadow,
    };
}

static void ask(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    int64_t limit = core->s.guard.answer_ns;
    d->ask_why = d->why;
    d->why = 0;
    d->ask_id = core->s.next_ask++;
    d->ask_generation = d->generation;
    d->ask_slot = core->s.selected;
    d->ask_deadline_ns = limit < CORE_NEVER - core->s.now_ns ? core->s.now_ns + limit : CORE_NEVER;
    if (d->cap_asked && !d->cap_answered && d->cap_deadline_ns < d->ask_deadline_ns) {
        d->ask_deadline_ns = d->cap_deadline_ns;
    }
    if (d->ask_deadline_ns < d->wake_ns) {
        d->wake_ns = d->ask_deadline_ns;
    }
    core->asked++;
    emit_ask(core, device, d->ask_slot, d->ask_id, false);
    for (uint32_t shadows = core->slots_shadowed; shadows != 0; shadows &= shadows - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(shadows);
        bool open = d->shadow_id[i] != 0 && d->shadow_until_ns[i] > core->s.now_ns;
        if (!open) {
            d->shadow_id[i] = core->s.next_ask++;
            d->shadow_until_ns[i] = d->ask_deadline_ns;
            emit_ask(core, device, i, d->shadow_id[i], true);
        }
    }
}

/* Eight answers without time passing: the device stays as it is. */
static void ask_limit(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    struct shunt_decision stay = {.action = SHUNT_STAY, .device = device};
    core_guard_count(core, CORE_GUARD_ASK_LIMIT, device, CORE_NONE, 1);
    record_decision(core, device, 0, CORE_NONE, &stay, d->why, CORE_VERDICT_APPLIED,
                    SHUNT_CAUSE_HOST);
    d->why = 0;
    if (d->cap_asked && !d->cap_answered) {
        core_guard_take(core, device);
    }
}

bool core_ask_due(struct core *core)
{
    bool changed = false;
    for (uint32_t i = 0; core->why_devices >> i != 0; i++) {
        struct core_device *d = &core->devices[i];
        if (d->why != 0 && d->ask_id != 0) {
            continue; /* the answer to the outstanding one comes first */
        }
        core->why_devices &= ~(1u << i);
        if (d->why == 0) {
            continue;
        }
        if (!d->up || core_switch_moving(d) || d->fifo_len > 0 || d->sw.forced) {
            d->why = 0; /* nothing to decide; the end of the switch asks again */
        } else if (d->asks >= CORE_ASKS_MAX) {
            ask_limit(core, i);
            changed = true;
        } else if (core->s.selected != CORE_NONE) {
            d->asks++;
            ask(core, i);
        } else {
            uint32_t why = d->why;
            d->asks++;
            d->why = 0;
            apply_builtin(core, i, 0, CORE_NONE, 0, why);
            changed = true;
        }
    }
    return changed;
}

void core_ask_timers(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    int64_t now = core->s.now_ns;
    if (d->ask_id != 0 && d->ask_deadline_ns <= now) {
        struct shunt_decision none = {.action = SHUNT_NO_OPINION, .device = device};
        uint64_t id = d->ask_id;
        d->ask_id = 0;
        core_guard_count(core, CORE_GUARD_LATE, device, CORE_NONE, 1);
        record_decision(core, device, id, d->ask_slot, &none, d->ask_why, CORE_VERDICT_LATE,
                        SHUNT_CAUSE_BUILTIN);
        if (d->cap_asked) {
            core_guard_take(core, device);
        } else if (!core_switch_moving(d) && !d->sw.forced && d->fifo_len == 0) {
            apply_builtin(core, device, id, CORE_NONE, 0, d->ask_why);
        }
    }
    if (d->linger_until_ns > 0 && d->linger_until_ns <= now) {
        d->linger_until_ns = 0;
        core_why(core, device, SHUNT_WHY_RECHECK);
    }
    if (d->recheck_at_ns > 0 && d->recheck_at_ns <= now) {
        d->recheck_at_ns = 0;
        core_why(core, device, SHUNT_WHY_RECHECK);
    }
}

int core_decision(struct core *core, const struct core_in_decision *in)
{
    if (in->slot >= core->limits.slots_max || in->ask_id == 0 || in->status > 1) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        struct core_device *d = &core->devices[i];
        if (d->shadow_id[in->slot] == in->ask_id) {
            d->shadow_id[in->slot] = 0;
            record_decision(core, i, in->ask_id, in->slot, &in->decision, d->ask_why,
                            in->status ? CORE_VERDICT_FAULT : CORE_VERDICT_SHADOW,
                            SHUNT_CAUSE_POLICY);
            return 0;
        }
        if (d->ask_id != in->ask_id || d->ask_slot != in->slot) {
            continue;
        }
        d->ask_id = 0;
        core_touch_device(core, i);
        if (d->ask_generation != d->generation ||
            (!in->status && in->decision.generation != d->generation)) {
            core_guard_count(core, CORE_GUARD_STALE, i, CORE_NONE, 1);
            record_decision(core, i, in->ask_id, in->slot, &in->decision, d->ask_why,
                            CORE_VERDICT_STALE, SHUNT_CAUSE_POLICY);
            core_why(core, i, d->ask_why);
        } else if (in->status) {
            core_guard_count(core, CORE_GUARD_FAULT, i, CORE_NONE, 1);
            record_decision(core, i, in->ask_id, in->slot, &in->decision, d->ask_why,
                            CORE_VERDICT_FAULT, SHUNT_CAUSE_BUILTIN);
            apply_builtin(core, i, in->ask_id, CORE_NONE, 0, d->ask_why);
        } else if (in->decision.action == SHUNT_NO_OPINION) {
            apply_builtin(core, i, in->ask_id, in->slot, in->decision.recheck_at_ns, d->ask_why);
        } else {
            apply_decision(core, i, in->ask_id, in->slot, &in->decision, d->ask_why,
                           SHUNT_CAUSE_POLICY);
        }
        return 0;
    }
    return -ESTALE;
}
