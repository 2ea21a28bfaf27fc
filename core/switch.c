/*
 * Switches: drain the victims, move them out, wait for memory, bring the target in, probe it. One
 * at a time on a device. Until the first out step begins a switch is undone and can be given up;
 * from then on only its limit C ends it early.
 */
#include "core/priv.h"

enum failure {
    FAIL_TARGET = 0, /* its load failed: quarantine, and its queue ends (R6) */
    FAIL_ROOM = 1,   /* a victim did not leave or memory did not come: its queue ends */
    FAIL_DEVICE = 2  /* the device left: its gap counts anew elsewhere */
};

/* ------------------------------------------------------------------ deciding */

void core_switch_drop(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    assert(core_switch_undone(d));
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        struct core_instance *in = &core->instances[i];
        if (in->victim_of == device) {
            in->victim_of = CORE_NONE;
            if (in->state == SHUNT_INSTANCE_DRAINING) {
                core_instance_event(core, i, CORE_EV_REOPEN);
            }
        }
    }
    memset(&d->sw, 0, sizeof(d->sw));
    d->sw.target = CORE_NONE;
    core_generation_bump(core, device);
    core_touch_around(core, device);
}

void core_switch_decide(struct core *core, uint32_t device, const struct core_switch *plan)
{
    struct core_device *d = &core->devices[device];
    assert(!core_switch_moving(d) && d->up);
    if (core_switch_undone(d)) {
        core_switch_drop(core, device);
    }
    d->sw = *plan;
    d->sw.phase = CORE_PHASE_PENDING;
    d->sw.id = core->s.next_switch++;
    d->sw.victim_first = CORE_NONE;
    d->linger_until_ns = 0;
    /* A policy may be gentler than the operator, not rougher: the wait bound counts on it. */
    if (d->sw.drain != SHUNT_DRAIN_FINISH) {
        d->sw.drain = core->s.guard.drain_mode;
    }
    core_generation_bump(core, device);
    core_touch_around(core, device);
}

bool core_switch_feasible(struct core *core, uint32_t device, uint32_t target)
{
    return core->devices[device].up && core->instances[target].fits;
}

int64_t core_switch_allowed_ns(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    int64_t now = core->s.now_ns;
    int64_t allowed = now;
    uint32_t cap = core->s.guard.switches_per_minute;
    if (cap > 0 && d->rate_count >= cap) {
        uint32_t oldest = (d->rate_next + CORE_RATE_MAX - cap) % CORE_RATE_MAX;
        int64_t free_at = d->rate_ns[oldest] + 60 * CORE_NS_PER_S;
        allowed = free_at > allowed ? free_at : allowed;
    }
    if (core->s.share_ppm > 0) {
        int64_t window = 600 * CORE_NS_PER_S;
        int64_t passed = now - d->share_at_ns < window ? now - d->share_at_ns : window;
        int64_t most = window / 1000000 * core->s.share_ppm;
        int64_t credit = d->share_credit_ns + passed / 1000000 * core->s.share_ppm;
        if (passed >= 1000000) {
            d->share_credit_ns = credit < most ? credit : most;
            d->share_at_ns = now - passed % 1000000;
        }
        if (d->share_credit_ns <= 0) {
            int64_t wait = (-d->share_credit_ns / core->s.share_ppm + 1) * 1000000;
            allowed = now + wait > allowed ? now + wait : allowed;
        }
    }
    return allowed;
}

/* ------------------------------------------------------------------ drain */

static void capped(struct core *core, uint32_t device, int64_t until_ns)
{
    struct core_switch *sw = &core->devices[device].sw;
    sw->not_before_ns = until_ns;
    if (!sw->capped) {
        sw->capped = 1;
        core_guard_count(core, CORE_GUARD_CAPPED, device,
                         sw->target == CORE_NONE ? CORE_NONE : core->instances[sw->target].model,
                         1);
    }
    core_touch_device(core, device);
}

/* Whether minimum residence or the caps on rate and share hold a voluntary switch back. */
static bool held_back(struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    int64_t until = core_switch_allowed_ns(core, device);
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
        const struct core_instance *in = &core->instances[i];
        if (in->victim_of == device && in->residence_until_ns > until) {
            until = in->residence_until_ns;
        }
    }
    if (until > core->s.now_ns) {
        capped(core, device, until);
        return true;
    }
    return false;
}

static void enter(struct core *core, uint32_t device, uint32_t phase)
{
    struct core_switch *sw = &core->devices[device].sw;
    int64_t passed = core->s.now_ns - sw->phase_start_ns;
    switch ((enum core_phase)sw->phase) {
    case CORE_PHASE_OUT:
        sw->out_ns += passed;
        break;
    case CORE_PHASE_MEMORY:
        sw->memory_ns += passed;
        break;
    case CORE_PHASE_IN:
        sw->in_ns += passed;
        break;
    case CORE_PHASE_PROBE:
        sw->probe_ns += passed;
        break;
    case CORE_PHASE_NONE:
    case CORE_PHASE_PENDING:
    case CORE_PHASE_DRAIN:
    case CORE_PHASE_DRAINED:
        break;
    }
    sw->phase = phase;
    sw->phase_start_ns = core->s.now_ns;
    core_generation_bump(core, device);
    core_touch_around(core, device);
}

static void drained(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    d->sw.drain_ns = core->s.now_ns - d->sw.drain_start_ns;
    d->sw.limit_ns = core->s.now_ns + core->s.guard.switch_limit_ns;
    enter(core, device, CORE_PHASE_DRAINED);
    if (!d->sw.forced && !d->sw.held && d->sw.drain_ns > 0) {
        core_why(core, device, SHUNT_WHY_DRAIN_ENDED);
    }
}

void core_switch_drain_check(struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    if (d->sw.phase != CORE_PHASE_DRAIN) {
        return;
    }
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
        const struct core_instance *in = &core->instances[i];
        if (in->victim_of == device &&
            (in->in_flight > 0 || (in->running > 0 && in->running != SHUNT_NONE))) {
            return;
        }
    }
    drained(core, device);
}

static void begin_drain(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    struct core_switch *sw = &d->sw;
    int64_t limit = d->guard.drain_ns;
    sw->drain_start_ns = core->s.now_ns;
    sw->drain_deadline_ns =
        limit < CORE_NEVER - core->s.now_ns ? core->s.now_ns + limit : CORE_NEVER;
    enter(core, device, CORE_PHASE_DRAIN);
    uint32_t next;
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = next) {
        const struct core_instance *in = &core->instances[i];
        next = in->visit_next;
        if (in->victim_of == device) {
            assert(!in->promised);
            core_instance_event(core, i, CORE_EV_DRAIN);
            if (sw->drain == SHUNT_DRAIN_REQUEUE) {
                core_flight_requeue(core, i);
            }
        }
    }
    core_switch_drain_check(core, device);
}

/* ------------------------------------------------------------------ out, in, probe */

static struct shunt_switch_event event_of(const struct core *core, uint32_t device)
{
    const struct core_switch *sw = &core->devices[device].sw;
    return (struct shunt_switch_event){
        .size = sizeof(struct shunt_switch_event),
        .device = device,
        .switch_id = sw->id,
        .t_ns = core->s.now_ns,
        .from =
            sw->victim_first == CORE_NONE ? SHUNT_NONE : core->instances[sw->victim_first].model,
        .to = sw->target == CORE_NONE ? SHUNT_NONE : core->instances[sw->target].model,
        .instance = sw->target,
        .from_tier = sw->in_tier,
        .victim_count = sw->victim_count,
        .victim_tier = sw->victim_reached,
        .cause = sw->cause,
        .retries = sw->retries,
        .drain_ns = sw->drain_ns,
        .out_ns = sw->out_ns,
        .memory_ns = sw->memory_ns,
        .in_ns = sw->in_ns,
        .probe_ns = sw->probe_ns,
    };
}

static void ended(struct core *core, uint32_t device, bool ok)
{
    struct core_device *d = &core->devices[device];
    struct shunt_switch_event event = event_of(core, device);
    core_notify_switch(core, ok ? CORE_HOOK_SWITCH_DONE : CORE_HOOK_SWITCH_FAILED, &event);
    core_emit_record(core, CORE_REC_SWITCH)->u.change =
        (struct core_rec_switch){.event = event, .ok = ok, .slot = d->sw.slot};
    d->share_credit_ns -= event.out_ns + event.memory_ns + event.in_ns + event.probe_ns;
    if (d->sw.target != CORE_NONE) {
        struct core_model *m = &core->models[core->instances[d->sw.target].model];
        assert(m->loading > 0);
        m->loading--;
        core_touch_model(core, core->instances[d->sw.target].model);
    }
    core->device_counts[device].switches++;
    d->last_switch_ns = core->s.now_ns;
    memset(&d->sw, 0, sizeof(d->sw));
    d->sw.target = CORE_NONE;
    d->cap_asked = 0;
    d->cap_answered = 0;
    core_generation_bump(core, device);
    core_touch_around(core, device);
}

static bool admitted_somewhere(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    for (uint32_t i = 0; i < m->instance_count; i++) {
        if (core_instance_admits(core, &core->instances[m->instance_first + i])) {
            return true;
        }
    }
    return false;
}

/* Steps of a switch that has failed go on without it until they are reported. */
static void orphan_steps(struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        struct core_instance *in = &core->instances[i];
        if (in->victim_of == device || i == d->sw.target) {
            in->victim_of = CORE_NONE;
            if (in->step != CORE_STEP_NONE && !in->step_background && !in->step_orphan) {
                in->step_orphan = 1;
                in->step_told = 1;
                core->devices[device].orphans++;
                core_step_cancel(core, i);
            }
        }
    }
}

static void fail(struct core *core, uint32_t device, enum failure failure)
{
    struct core_device *d = &core->devices[device];
    uint32_t target = d->sw.target;
    enter(core, device, d->sw.phase);
    orphan_steps(core, device);
    ended(core, device, false);
    if (failure != FAIL_DEVICE && target != CORE_NONE) {
        uint32_t model = core->instances[target].model;
        d->visits++;
        core_guard_fifo_remove(core, model);
        if (failure == FAIL_TARGET) {
            core_quarantine(core, target);
        }
        if (!admitted_somewhere(core, model)) {
            core_queue_end(core, model, SHUNT_OUTCOME_FAILED);
        }
        core->qualify = true;
    }
    core_why(core, device, SHUNT_WHY_SWITCH_FAILED);
    core_switch_memory_freed(core);
    core_background_progress(core);
}

static void succeed(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    uint32_t target = d->sw.target;
    struct core_visit_plan plan = {
        .cause = d->sw.cause,
        .gated = d->sw.gated,
        .quantum_requests = d->sw.quantum_requests,
        .quantum_ns = d->sw.quantum_ns,
        .residence_ns = d->sw.residence_ns,
    };
    enter(core, device, d->sw.phase);
    ended(core, device, true);
    if (target != CORE_NONE) {
        core_visit_begin(core, target, &plan);
    }
    core_why(core, device, SHUNT_WHY_SWITCH_DONE);
    core_background_progress(core);
}

static bool out_pending(const struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        if (core->instances[i].victim_of == device) {
            return true;
        }
    }
    return false;
}

/* Every attempt has an id of its own, so that a late report of one is not taken for the next. */
static uint64_t attempt_id(struct core *core, const struct core_switch *sw, uint32_t attempt)
{
    return attempt == 0 ? sw->id : core->s.next_switch++;
}

static void out_step(struct core *core, uint32_t device, uint32_t instance, uint32_t attempt)
{
    struct core_instance *in = &core->instances[instance];
    const struct core_switch *sw = &core->devices[device].sw;
    in->victim_tier = core_tier_out(core, instance, in->victim_tier);
    if (in->tier <= in->victim_tier && !in->visiting) { /* it has left by itself meanwhile */
        in->victim_of = CORE_NONE;
        return;
    }
    core_step_begin(core, instance, CORE_STEP_OUT, in->victim_tier, attempt_id(core, sw, attempt),
                    attempt, sw->limit_ns, false);
}

/* Whether the target fits now; what more has to go is marked. */
static bool room_for(struct core *core, uint32_t device)
{
    struct core_switch *sw = &core->devices[device].sw;
    const struct core_instance *in = &core->instances[sw->target];
    int64_t device_missing =
        in->device_bytes[SHUNT_TIER_RESIDENT] - in->device_held - core_device_free(core, device);
    int64_t host_missing =
        in->host_bytes[SHUNT_TIER_RESIDENT] - in->host_held > core_host_free(core);
    if (device_missing <= 0 && !host_missing) {
        return true;
    }
    if (sw->retries <= core->s.retries_max) {
        uint32_t sleeper = core_victim_sleeper(core, device, sw->target, device_missing <= 0);
        if (sleeper != CORE_NONE) {
            (void)core_victim_mark(core, sleeper, device, SHUNT_TIER_STOPPED);
        }
    }
    return false;
}

/* Goes on after the out steps: more outs, waiting for memory, or the in step. */
static void go_in(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    struct core_switch *sw = &d->sw;
    if (sw->target == CORE_NONE) {
        succeed(core, device);
        return;
    }
    struct core_instance *in = &core->instances[sw->target];
    if (in->step != CORE_STEP_NONE) { /* a prefetch that has been told to stop */
        enter(core, device, CORE_PHASE_MEMORY);
        return;
    }
    bool edge = in->tier == SHUNT_TIER_STOPPED ||
                (in->tier != SHUNT_TIER_RESIDENT && (in->edges_in >> in->tier & 1));
    if (!edge) {
        (void)core_victim_mark(core, sw->target, device, SHUNT_TIER_STOPPED);
        sw->out_cost_ns = -1;
    } else if (room_for(core, device)) {
        sw->in_tier = in->tier;
        core_background_yield(core, device);
        enter(core, device, CORE_PHASE_IN);
        core_step_begin(core, sw->target, CORE_STEP_IN, SHUNT_TIER_RESIDENT,
                        attempt_id(core, sw, sw->retries), sw->retries, sw->limit_ns, false);
        return;
    }
    enter(core, device, out_pending(core, device) ? CORE_PHASE_OUT : CORE_PHASE_MEMORY);
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        if (core->instances[i].victim_of == device) {
            out_step(core, device, i, 0);
        }
    }
}

static void begin_out(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    struct core_switch *sw = &d->sw;
    d->rate_ns[d->rate_next] = core->s.now_ns;
    d->rate_next = (d->rate_next + 1) % CORE_RATE_MAX;
    d->rate_count += d->rate_count < CORE_RATE_MAX;
    d->cap_asked = 0;
    d->cap_answered = 0;
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        const struct core_instance *in = &core->instances[i];
        if (in->victim_of == device && in->visiting) {
            if (sw->victim_first == CORE_NONE) {
                sw->victim_first = i;
            }
            sw->victim_count++;
        }
    }
    if (sw->target != CORE_NONE) {
        uint32_t model = core->instances[sw->target].model;
        core->models[model].loading++;
        core_guard_fifo_remove(core, model);
        core_touch_model(core, model);
        sw->in_tier = core->instances[sw->target].tier;
        if (core->instances[sw->target].step != CORE_STEP_NONE &&
            !core->instances[sw->target].step_told) {
            core->instances[sw->target].step_told = 1;
            core_step_cancel(core, sw->target);
        }
    }
    if (sw->victim_count == 1) {
        uint32_t from = core->instances[sw->victim_first].model;
        core_learn_part(core, from, CORE_COST_DRAIN, 0, sw->drain_ns);
    }
    struct shunt_switch_event event = event_of(core, device);
    core_notify_switch(core, CORE_HOOK_SWITCH_START, &event);
    enter(core, device, CORE_PHASE_OUT);
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        if (core->instances[i].victim_of == device) {
            out_step(core, device, i, 0);
        }
    }
    if (!out_pending(core, device)) {
        go_in(core, device);
    }
}

/* ------------------------------------------------------------------ progress */

/* PENDING: closes the victims as soon as nothing else is in the way. */
static void try_drain(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    struct core_switch *sw = &d->sw;
    bool free_of_caps = sw->forced || sw->held;
    if ((!free_of_caps && core->s.now_ns < sw->not_before_ns) || sw->blocked) {
        return;
    }
    if (sw->target != CORE_NONE) {
        const struct core_instance *in = &core->instances[sw->target];
        if (!core_instance_usable(core, in)) {
            core_switch_drop(core, device);
            core_why(core, device, SHUNT_WHY_SWITCH_FAILED);
            return;
        }
        /* A prefetch of the target itself may end; a forced switch does not wait for it. */
        if (in->step != CORE_STEP_NONE && (!in->step_background || !sw->forced)) {
            sw->blocked = 1;
        }
    }
    if (!sw->blocked && !core_victims_choose(core, device)) {
        sw->blocked = 1;
    }
    if (sw->blocked) {
        sw->blocked_at_ns = core->s.now_ns;
        core_touch_around(core, device);
        return;
    }
    if (!free_of_caps && held_back(core, device)) {
        core_victims_unmark(core, device);
        return;
    }
    begin_drain(core, device);
}

/* The target of an undone switch has turned out to be resident: nothing to move. */
static void target_is_resident(struct core *core, uint32_t device)
{
    const struct core_switch *sw = &core->devices[device].sw;
    uint32_t target = sw->target;
    struct core_visit_plan plan = {
        .cause = sw->cause,
        .gated = sw->gated,
        .quantum_requests = sw->quantum_requests,
        .quantum_ns = sw->quantum_ns,
        .residence_ns = sw->residence_ns,
    };
    core_switch_drop(core, device);
    if (!core_instance_admits(core, &core->instances[target])) {
        core_visit_begin(core, target, &plan);
    }
    core_why(core, device, SHUNT_WHY_SWITCH_DONE);
}

void core_switch_progress(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    if (core_switch_undone(d) && d->sw.target != CORE_NONE &&
        core->instances[d->sw.target].state == SHUNT_INSTANCE_RESIDENT) {
        target_is_resident(core, device);
        return;
    }
    if (d->sw.phase == CORE_PHASE_PENDING) {
        try_drain(core, device);
        if (d->sw.phase == CORE_PHASE_DRAINED && d->sw.drain_ns > 0) {
            return;
        }
    }
    if (d->sw.phase == CORE_PHASE_DRAINED) {
        begin_out(core, device);
    }
}

void core_switch_memory_freed(struct core *core)
{
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        struct core_device *d = &core->devices[i];
        if (d->sw.phase == CORE_PHASE_PENDING && d->sw.blocked) {
            d->sw.blocked = 0;
            core_touch_around(core, i);
        } else if (d->sw.phase == CORE_PHASE_MEMORY && d->up) {
            go_in(core, i);
        }
    }
}

void core_switch_timers(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    int64_t now = core->s.now_ns;
    if (d->sw.phase == CORE_PHASE_PENDING && d->sw.blocked && d->sw.forced) {
        d->sw.blocked = 0; /* another resident may have reached its cap */
        core_touch_device(core, device);
    } else if (d->sw.phase == CORE_PHASE_DRAIN && now >= d->sw.drain_deadline_ns) {
        for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
            if (core->instances[i].victim_of == device) {
                uint32_t cut = core_flight_cut(core, i);
                if (cut > 0) {
                    core_guard_count(core, CORE_GUARD_DRAIN_CUT, device, core->instances[i].model,
                                     cut);
                }
            }
        }
        drained(core, device);
    } else if (core_switch_moving(d) && now >= d->sw.limit_ns) {
        bool load = d->sw.phase == CORE_PHASE_IN || d->sw.phase == CORE_PHASE_PROBE;
        fail(core, device, load ? FAIL_TARGET : FAIL_ROOM);
    }
}

/* Next cap of a resident that was not past it when room was looked for last. */
static int64_t next_cap_ns(const struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    int64_t wake = CORE_NEVER;
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
        int64_t cap = core_guard_visit_cap_ns(core, &core->instances[i]);
        if (cap > d->sw.blocked_at_ns && cap < wake) {
            wake = cap;
        }
    }
    return wake;
}

int64_t core_switch_wake_ns(const struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    switch ((enum core_phase)d->sw.phase) {
    case CORE_PHASE_NONE:
        return CORE_NEVER;
    case CORE_PHASE_PENDING:
        if (d->sw.blocked) {
            return d->sw.forced ? next_cap_ns(core, device) : CORE_NEVER;
        }
        return d->sw.forced || d->sw.held || d->sw.not_before_ns <= core->s.now_ns
                   ? core->s.now_ns
                   : d->sw.not_before_ns;
    case CORE_PHASE_DRAIN:
        return d->sw.drain_deadline_ns;
    case CORE_PHASE_DRAINED:
        return core->s.now_ns;
    case CORE_PHASE_OUT:
    case CORE_PHASE_MEMORY:
    case CORE_PHASE_IN:
    case CORE_PHASE_PROBE:
        return d->sw.limit_ns;
    }
    return CORE_NEVER;
}

/* ------------------------------------------------------------------ steps */

static bool may_retry(const struct core *core, const struct core_switch *sw)
{
    return sw->retries < core->s.retries_max && core->s.now_ns < sw->limit_ns;
}

static void out_ended(struct core *core, uint32_t instance, const struct core_in_step *in,
                      int64_t took_ns)
{
    struct core_instance *at = &core->instances[instance];
    uint32_t device = at->victim_of;
    struct core_switch *sw = &core->devices[device].sw;
    bool was_resident = at->step_from == SHUNT_TIER_RESIDENT;
    if (!in->ok && in->retry && may_retry(core, sw) && in->tier >= at->step_from) {
        sw->retries++;
        out_step(core, device, instance, at->step_attempt + 1);
        return;
    }
    if (!in->ok && was_resident && in->tier == SHUNT_TIER_RESIDENT) {
        at->victim_of = CORE_NONE;
        core_instance_event(core, instance, at->visiting ? CORE_EV_REOPEN : CORE_EV_FAIL);
        fail(core, device, FAIL_ROOM);
        return;
    }
    at->victim_of = CORE_NONE;
    if (at->visiting) {
        core_visit_end(core, instance);
    }
    core_instance_event(core, instance, CORE_EV_REST);
    if (in->ok && was_resident) {
        core_learn_part(core, at->model, CORE_COST_OUT, at->tier, took_ns);
    }
    if (instance == sw->victim_first) {
        sw->victim_reached = at->tier;
        if (sw->out_cost_ns >= 0) {
            sw->out_cost_ns = in->ok ? took_ns : -1;
        }
    }
    if (!in->ok) {
        sw->retries++;
    }
    core_switch_memory_freed(core);
    if (core->devices[device].sw.phase == CORE_PHASE_OUT && !out_pending(core, device)) {
        go_in(core, device);
    }
}

static void in_failed(struct core *core, uint32_t device, bool retry)
{
    struct core_switch *sw = &core->devices[device].sw;
    bool probed = sw->phase == CORE_PHASE_PROBE;
    core_instance_event(core, sw->target, CORE_EV_FAIL);
    if (!retry || !may_retry(core, sw)) {
        fail(core, device, FAIL_TARGET);
        return;
    }
    sw->retries++;
    if (probed && core->instances[sw->target].tier == SHUNT_TIER_RESIDENT) {
        core_instance_event(core, sw->target, CORE_EV_IN_BEGIN);
        core_step_begin(core, sw->target, CORE_STEP_PROBE, SHUNT_TIER_RESIDENT, sw->id, sw->retries,
                        sw->limit_ns, false);
    } else {
        go_in(core, device);
    }
}

static void probe_ok(struct core *core, uint32_t device, int64_t took_ns)
{
    struct core_switch *sw = &core->devices[device].sw;
    struct core_instance *in = &core->instances[sw->target];
    int64_t in_ns = in->in_ns + took_ns;
    core_learn_part(core, in->model, CORE_COST_IN, sw->in_tier, in_ns);
    /* A victim may have been removed by a reload since it left. */
    bool known = sw->victim_count == 0 || sw->victim_first != CORE_NONE;
    if (known && sw->victim_count <= 1 && sw->out_cost_ns >= 0) {
        uint32_t from = sw->victim_count == 0 ? CORE_NONE : core->instances[sw->victim_first].model;
        core_learn_pair(core, from, in->model, sw->out_cost_ns + in_ns);
    }
    in->failures = 0;
    core_instance_event(core, sw->target, CORE_EV_PROBE_OK);
    succeed(core, device);
}

static void target_ended(struct core *core, uint32_t instance, const struct core_in_step *in,
                         uint32_t step, int64_t took_ns)
{
    struct core_instance *at = &core->instances[instance];
    uint32_t device = at->device;
    struct core_switch *sw = &core->devices[device].sw;
    assert(sw->target == instance);
    if (!in->ok || at->tier != SHUNT_TIER_RESIDENT) {
        in_failed(core, device, in->retry != 0 && !in->ok);
    } else if (step == CORE_STEP_IN) {
        at->in_ns = took_ns;
        enter(core, device, CORE_PHASE_PROBE);
        core_step_begin(core, instance, CORE_STEP_PROBE, SHUNT_TIER_RESIDENT,
                        attempt_id(core, sw, sw->retries), sw->retries, sw->limit_ns, false);
    } else {
        probe_ok(core, device, took_ns);
    }
}

/* The step of a switch that has ended without it. */
static void orphan_ended(struct core *core, uint32_t instance)
{
    struct core_instance *at = &core->instances[instance];
    core_why(core, at->device, SHUNT_WHY_SWITCH_FAILED); /* it can be named again */
    if (at->visiting && at->tier == SHUNT_TIER_RESIDENT) {
        core_instance_event(core, instance, CORE_EV_REOPEN);
        return;
    }
    if (at->visiting) {
        core_visit_end(core, instance);
    }
    core_instance_event(core, instance, CORE_EV_REST);
}

int core_switch_step(struct core *core, const struct core_in_step *in)
{
    if (in->instance >= core->s.instance_count || in->tier >= SHUNT_TIER_COUNT ||
        in->step >= CORE_STEP_COUNT) {
        return -EINVAL;
    }
    struct core_instance *at = &core->instances[in->instance];
    if (at->step != in->step || at->step_id != in->switch_id) {
        return -ESTALE;
    }
    int64_t took_ns = core->s.now_ns - at->step_start_ns;
    uint32_t step = at->step;
    bool background = at->step_background != 0;
    bool orphan = at->step_orphan != 0;
    uint32_t device = at->device;
    at->step = CORE_STEP_NONE;
    at->step_background = 0;
    at->step_orphan = 0;
    core->devices[device].orphans -= orphan;
    at->running = SHUNT_NONE;
    core_instance_set_tier(core, in->instance, in->tier, in->device_bytes, -1, true);
    if (in->memory_stuck) {
        at->step = step; /* ended with its device */
        at->step_background = background;
        at->step_orphan = orphan;
        core->devices[device].orphans += orphan;
        core_device_leave(core, device);
    } else if (background) {
        core_background_step_done(core, in->instance);
    } else if (orphan) {
        orphan_ended(core, in->instance);
    } else if (at->victim_of == device) {
        out_ended(core, in->instance, in, took_ns);
    } else {
        target_ended(core, in->instance, in, step, took_ns);
    }
    core_switch_memory_freed(core);
    core_background_progress(core);
    return 0;
}

void core_switch_step_lost(struct core *core, uint32_t instance)
{
    struct core_instance *at = &core->instances[instance];
    struct core_device *d = &core->devices[at->device];
    bool free_standing = at->step_background || at->step_orphan || !d->up;
    uint32_t step = at->step;
    d->orphans -= at->step_orphan;
    at->step = CORE_STEP_NONE;
    at->step_background = 0;
    at->step_orphan = 0;
    if (free_standing) {
        at->victim_of = CORE_NONE;
        core_instance_event(core, instance, CORE_EV_FAIL);
    } else if (step == CORE_STEP_OUT) {
        at->victim_of = CORE_NONE;
        core_instance_event(core, instance, CORE_EV_LOST);
        if (d->sw.phase == CORE_PHASE_OUT && !out_pending(core, at->device)) {
            go_in(core, at->device);
        }
    } else {
        in_failed(core, at->device, true);
    }
}

void core_switch_abort(struct core *core, uint32_t device)
{
    fail(core, device, FAIL_DEVICE);
}

uint32_t core_phase_wait(const struct core *core, uint32_t device)
{
    const struct core_switch *sw = &core->devices[device].sw;
    switch ((enum core_phase)sw->phase) {
    case CORE_PHASE_NONE:
        return CORE_WAIT_POLICY;
    case CORE_PHASE_PENDING:
        if (sw->blocked) {
            return CORE_WAIT_MEMORY;
        }
        return CORE_WAIT_POLICY;
    case CORE_PHASE_DRAIN:
    case CORE_PHASE_DRAINED:
        return CORE_WAIT_DRAIN;
    case CORE_PHASE_OUT:
        return CORE_WAIT_OUT;
    case CORE_PHASE_MEMORY:
        return CORE_WAIT_MEMORY;
    case CORE_PHASE_IN:
        return sw->retries > 0 ? CORE_WAIT_RETRY : CORE_WAIT_IN;
    case CORE_PHASE_PROBE:
        return CORE_WAIT_PROBE;
    }
    return CORE_WAIT_POLICY;
}
