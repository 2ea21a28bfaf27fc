/*
 * The guard: rules R1 to R7 that no policy can switch off (docs/GUARD.md has them with the proof).
 * R2 lives in visit.c, R6 in switch.c, R7 in request.c; here are the visit cap (R1), the forced
 * FIFOs (R3), what pins may do (R5), and the values in force.
 */
#include "core/priv.h"

#define VISIT_CAP_FLOOR_NS (120 * CORE_NS_PER_S)

void core_guard_count(struct core *core, uint32_t kind, uint32_t device, uint32_t model,
                      uint32_t count)
{
    core->device_counts[device].guard[kind] += count;
    core_emit_record(core, CORE_REC_GUARD)->u.guard = (struct core_rec_guard){
        .kind = kind,
        .device = device,
        .model = model,
        .slot = core->s.selected,
        .count = count,
    };
}

/* ------------------------------------------------------------------ values */

bool core_guard_all_fit(const struct core *core)
{
    for (uint32_t i = 0; i < core->s.model_count; i++) {
        const struct core_model *m = &core->models[i];
        bool fits = false;
        for (uint32_t k = 0; k < m->instance_count; k++) {
            fits |= core_instance_fits(core, m->instance_first + k);
        }
        if (!fits) {
            return false;
        }
    }
    return true;
}

void core_guard_fits_update(struct core *core)
{
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        core->instances[i].fits = core_instance_fits(core, i);
        core_touch_instance(core, i);
    }
}

/* Mean over the samples of several cells; -1 without any. */
struct mean {
    double sum_ns;
    double count;
};

static void mean_add(struct mean *mean, const struct core_cost_cell *cell)
{
    if (cell->count > 0) {
        mean->sum_ns += cell->mean_ns * (double)cell->count;
        mean->count += (double)cell->count;
    }
}

static int64_t mean_ns(const struct mean *mean, int64_t unknown_ns)
{
    return mean->count > 0 ? (int64_t)(mean->sum_ns / mean->count) : unknown_ns;
}

static int64_t visit_cap(const struct core *core, uint32_t device, int64_t drain_ns)
{
    const struct core_guard_config *guard = &core->s.guard;
    if (guard->visit_cap_ns > 0) {
        return guard->visit_cap_ns;
    }
    struct mean sum[CORE_COST_DRAIN + 1] = {{0}};
    for (uint32_t i = core->devices[device].instances; i != CORE_NONE;
         i = core->instances[i].next_on_device) {
        struct core_model_costs *costs =
            &core->costs[core->models[core->instances[i].model].cost_row];
        for (uint32_t known = costs->known; known != 0; known &= known - 1) {
            uint32_t bit = (uint32_t)__builtin_ctz(known);
            uint32_t part = bit / CORE_COST_PART_BITS;
            mean_add(&sum[part], core_cost_cell_of(costs, part, bit % CORE_COST_PART_BITS));
        }
    }
    int64_t switch_ns = sum[CORE_COST_IN].count > 0
                            ? mean_ns(&sum[CORE_COST_IN], 0) + mean_ns(&sum[CORE_COST_OUT], 0)
                            : guard->switch_limit_ns;
    int64_t known_drain_ns = drain_ns < CORE_NEVER ? drain_ns : 0;
    return core_auto_visit_cap_ns(switch_ns, mean_ns(&sum[CORE_COST_DRAIN], known_drain_ns),
                                  guard->visit_cap_floor_ns > 0 ? guard->visit_cap_floor_ns
                                                                : VISIT_CAP_FLOOR_NS);
}

static int64_t drain_limit(const struct core *core)
{
    int64_t limit = core->s.guard.drain_ns;
    if (limit > 0) {
        return limit;
    }
    for (uint32_t i = 0; i < core->s.model_count; i++) {
        int64_t service = core->models[i].service_limit_ns;
        if (service <= 0) {
            return CORE_NEVER;
        }
        limit = service > limit ? service : limit;
    }
    return limit;
}

void core_guard_values_update(struct core *core)
{
    const struct core_guard_config *guard = &core->s.guard;
    int64_t drain_ns = drain_limit(core);
    for (uint32_t d = 0; d < core->s.device_count; d++) {
        struct core_guard_values *v = &core->devices[d].guard;
        v->models = 0;
        for (uint32_t i = core->devices[d].instances; i != CORE_NONE;
             i = core->instances[i].next_on_device) {
            v->models += core->instances[i].fits;
            core_touch_model(core, core->instances[i].model);
            core_set_add(&core->snap_bounds, core->instances[i].model);
        }
        v->overtakes = guard->overtakes > 0 ? guard->overtakes : 4 * v->models;
        v->drain_ns = drain_ns;
        v->switch_limit_ns = guard->switch_limit_ns;
        v->answer_ns = guard->answer_ns;
        v->visit_cap_ns = visit_cap(core, d, drain_ns);
        v->age_ns = guard->age_ns > 0 ? guard->age_ns
                                      : core_auto_age_ns(v->models, guard->switch_limit_ns,
                                                         v->visit_cap_ns, drain_ns);
        core_touch_device(core, d);
    }
}

void core_guard_touch_due(struct core *core)
{
    int64_t now = core->s.now_ns;
    if (core->s.guard.visit_cap_ns > 0) {
        return;
    }
    for (uint32_t i = 0; core_models_wake_ns(core) <= now && i < core->s.model_count; i++) {
        if (core->models[i].wake_ns <= now) {
            core_touch_model(core, i);
        }
    }
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        if (core->devices[i].wake_ns <= now) {
            core_touch_device(core, i);
        }
    }
}

void core_guard_learned(struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    if (core->s.guard.visit_cap_ns > 0) {
        return; /* the only value that follows what is learned is the automatic one */
    }
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        uint32_t device = core->instances[i].device;
        const struct core_guard_values *v = &core->devices[device].guard;
        if (visit_cap(core, device, v->drain_ns) != v->visit_cap_ns) {
            core_guard_values_update(core);
            return;
        }
    }
    core_guard_touch_due(core);
}

/* ------------------------------------------------------------------ R1: the cap of a visit */

int64_t core_guard_visit_cap_ns(const struct core *core, const struct core_instance *in)
{
    const struct core_device *d = &core->devices[in->device];
    if (d->waiting_since_ns == CORE_NEVER || !core->s.guard.enabled) {
        return CORE_NEVER;
    }
    int64_t from =
        in->visit_start_ns > d->waiting_since_ns ? in->visit_start_ns : d->waiting_since_ns;
    return d->guard.visit_cap_ns < CORE_NEVER - from ? from + d->guard.visit_cap_ns : CORE_NEVER;
}

bool core_guard_past_cap(const struct core *core, const struct core_instance *in)
{
    return core_guard_visit_cap_ns(core, in) <= core->s.now_ns;
}

int64_t core_guard_cap_ns(const struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    if (d->waiting_since_ns == CORE_NEVER || !core->s.guard.enabled) {
        return CORE_NEVER;
    }
    if (d->visits_list == CORE_NONE) {
        return d->waiting_since_ns;
    }
    int64_t from = CORE_NEVER; /* the oldest visit reaches its cap first */
    for (uint32_t i = d->visits_list; i != CORE_NONE; i = core->instances[i].visit_next) {
        int64_t start = core->instances[i].visit_start_ns;
        from = start < from ? start : from;
    }
    from = from > d->waiting_since_ns ? from : d->waiting_since_ns;
    return d->guard.visit_cap_ns < CORE_NEVER - from ? from + d->guard.visit_cap_ns : CORE_NEVER;
}

bool core_guard_may_name(const struct core *core, uint32_t device, uint32_t instance)
{
    const struct core_instance *in = &core->instances[instance];
    return in->device == device && core_instance_usable(core, in) &&
           core->models[in->model].queue_len > 0 && !core_instance_admits(core, in) &&
           !(in->visiting && core_guard_past_cap(core, in));
}

/* Brings a model in, or starts its visit at once if it is resident and only closed. */
static void force(struct core *core, uint32_t device, uint32_t instance, uint32_t cause)
{
    const struct core_instance *in = &core->instances[instance];
    core_guard_count(core,
                     cause == SHUNT_CAUSE_FORCED_CAP        ? CORE_GUARD_FORCED_CAP
                     : cause == SHUNT_CAUSE_FORCED_OVERTAKE ? CORE_GUARD_FORCED_OVERTAKE
                                                            : CORE_GUARD_FORCED_AGE,
                     device, in->model, 1);
    if (in->state == SHUNT_INSTANCE_RESIDENT) {
        struct core_visit_plan plan = {.cause = cause,
                                       .residence_ns = core->s.guard.min_residence_ns};
        core_visit_begin(core, instance, &plan);
        core_why(core, device, SHUNT_WHY_SWITCH_DONE);
        return;
    }
    struct core_switch plan = {.target = instance,
                               .cause = cause,
                               .forced = cause,
                               .slot = CORE_NONE,
                               .residence_ns = core->s.guard.min_residence_ns};
    core_switch_decide(core, device, &plan);
}

void core_guard_take(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    uint32_t best = CORE_NONE;
    for (uint32_t i = d->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
        const struct core_instance *in = &core->instances[i];
        const struct core_model *m = &core->models[in->model];
        if (m->waiting && core_instance_usable(core, in) && m->loading == 0 &&
            (best == CORE_NONE ||
             m->visit_seq < core->models[core->instances[best].model].visit_seq)) {
            best = i;
        }
    }
    if (best == CORE_NONE) {
        d->cap_answered = 1; /* all that wait are being brought in elsewhere */
        return;
    }
    core_touch_around(core, device); /* what is idle may be unloaded again */
    d->cap_asked = 0;
    d->cap_answered = 0;
    force(core, device, best, SHUNT_CAUSE_FORCED_CAP);
}

/* What forced an undone switch is gone: a policy's own switch is its own again. */
static void unforce(struct core *core, uint32_t device)
{
    struct core_switch *sw = &core->devices[device].sw;
    if (sw->cause >= SHUNT_CAUSE_FORCED_CAP && sw->cause <= SHUNT_CAUSE_FORCED_AGE) {
        core_switch_drop(core, device);
        core_why(core, device, SHUNT_WHY_CANCEL);
    } else {
        sw->forced = 0;
        core_generation_bump(core, device);
        core_touch_around(core, device);
    }
}

static void settle_cap(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    if (d->waiting_since_ns == CORE_NEVER || core_guard_cap_ns(core, device) > core->s.now_ns) {
        if (d->cap_asked) {
            core_touch_around(core, device); /* what is idle may be unloaded again */
        }
        d->cap_asked = 0;
        d->cap_answered = 0;
        return;
    }
    if (core_switch_undone(d) && d->sw.target == CORE_NONE) {
        core_switch_drop(core, device);
    }
    if (core_switch_undone(d)) {
        if (!d->sw.forced) {
            d->sw.forced = SHUNT_CAUSE_FORCED_CAP;
            d->sw.blocked = 0;
            core_generation_bump(core, device);
            core_touch_around(core, device);
        }
    } else if (!d->cap_asked) {
        d->cap_asked = 1;
        d->cap_answered = 0;
        d->cap_deadline_ns = core->s.now_ns + core->s.guard.answer_ns;
        core_generation_bump(core, device);
        core_why(core, device, SHUNT_WHY_VISIT_CAP);
    } else if (d->cap_answered || core->s.now_ns >= d->cap_deadline_ns) {
        core_guard_take(core, device);
    }
}

/* ------------------------------------------------------------------ R3: the forced FIFO */

/* The fitting live device with the fewest entries; the model's instance there, or CORE_NONE. */
static uint32_t emptiest(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    uint32_t best = CORE_NONE;
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        if (!core_instance_usable(core, in)) {
            continue;
        }
        if (best == CORE_NONE) {
            best = i;
            continue;
        }
        uint32_t device = core->instances[best].device;
        uint32_t len = core->devices[in->device].fifo_len;
        if (len < core->devices[device].fifo_len ||
            (len == core->devices[device].fifo_len && in->device < device)) {
            best = i;
        }
    }
    return best;
}

static bool may_enter(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    return core->s.guard.enabled && m->waiting && m->fifo_device == CORE_NONE && m->loading == 0;
}

static void fifo_add(struct core *core, uint32_t model, uint32_t device, uint32_t cause)
{
    struct core_model *m = &core->models[model];
    struct core_device *d = &core->devices[device];
    m->fifo_device = device;
    m->fifo_next = CORE_NONE;
    m->fifo_cause = cause;
    if (d->fifo_len == 0) {
        d->fifo_head = model;
        core_generation_bump(core, device);
    } else {
        core->models[d->fifo_tail].fifo_next = model;
    }
    d->fifo_tail = model;
    d->fifo_len++;
    core_touch_model(core, model);
    core_touch_around(core, device);
}

static void fifo_unlink(struct core *core, uint32_t model)
{
    struct core_model *m = &core->models[model];
    struct core_device *d = &core->devices[m->fifo_device];
    uint32_t before = CORE_NONE;
    for (uint32_t i = d->fifo_head; i != model; i = core->models[i].fifo_next) {
        before = i;
    }
    if (before == CORE_NONE) {
        d->fifo_head = m->fifo_next;
    } else {
        core->models[before].fifo_next = m->fifo_next;
    }
    if (d->fifo_tail == model) {
        d->fifo_tail = before;
    }
    d->fifo_len--;
    core_touch_around(core, m->fifo_device);
    m->fifo_device = CORE_NONE;
    m->fifo_next = CORE_NONE;
    core_touch_model(core, model);
}

void core_guard_fifo_remove(struct core *core, uint32_t model)
{
    uint32_t device = core->models[model].fifo_device;
    if (device != CORE_NONE) {
        fifo_unlink(core, model);
        core->qualify = true;
    }
}

void core_guard_rehome(struct core *core, uint32_t device)
{
    uint32_t next;
    for (uint32_t i = core->devices[device].fifo_head; i != CORE_NONE; i = next) {
        next = core->models[i].fifo_next;
        uint32_t here = core_instance_on(core, i, device);
        if (!core_instance_usable(core, &core->instances[here])) {
            uint32_t cause = core->models[i].fifo_cause;
            fifo_unlink(core, i);
            uint32_t there = emptiest(core, i);
            if (there != CORE_NONE) {
                fifo_add(core, i, core->instances[there].device, cause);
            }
        }
    }
}

/* Age at which a gap makes its model forced: the least of its devices. */
static int64_t age_limit(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    int64_t limit = CORE_NEVER;
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        int64_t own = core->devices[in->device].guard.age_ns;
        if (core_instance_usable(core, in) && own < limit) {
            limit = own;
        }
    }
    return limit;
}

int64_t core_guard_age_at_ns(const struct core *core, uint32_t model)
{
    if (!may_enter(core, model)) {
        return CORE_NEVER;
    }
    int64_t since = core->models[model].gap_since_ns;
    int64_t limit = age_limit(core, model);
    return limit < CORE_NEVER - since ? since + limit : CORE_NEVER;
}

/* Device whose FIFO a model qualifies for now, by age or by overtaking visits; CORE_NONE. */
static uint32_t qualifies(const struct core *core, uint32_t model, uint32_t *ret_cause)
{
    uint32_t at = may_enter(core, model) ? emptiest(core, model) : CORE_NONE;
    if (at == CORE_NONE) {
        return CORE_NONE;
    }
    const struct core_instance *in = &core->instances[at];
    const struct core_device *d = &core->devices[in->device];
    if (core_guard_age_at_ns(core, model) <= core->s.now_ns) {
        *ret_cause = SHUNT_CAUSE_FORCED_AGE;
        return in->device;
    }
    *ret_cause = SHUNT_CAUSE_FORCED_OVERTAKE;
    return d->visits - in->gap_visits >= d->guard.overtakes ? in->device : CORE_NONE;
}

void core_guard_qualify(struct core *core)
{
    for (;;) { /* each model enters once */
        uint32_t best = CORE_NONE;
        uint32_t device = CORE_NONE;
        uint32_t cause = 0;
        for (uint32_t i = 0; i < core->s.model_count; i++) {
            const struct core_model *m = &core->models[i];
            uint32_t own_cause;
            uint32_t own = qualifies(core, i, &own_cause);
            const struct core_model *b = &core->models[best == CORE_NONE ? i : best];
            bool older = m->gap_since_ns < b->gap_since_ns ||
                         (m->gap_since_ns == b->gap_since_ns && m->visit_seq < b->visit_seq);
            if (own != CORE_NONE && (best == CORE_NONE || older)) {
                best = i;
                device = own;
                cause = own_cause;
            }
        }
        if (best == CORE_NONE) {
            return;
        }
        fifo_add(core, best, device, cause);
    }
}

/* Only the head's switch may begin: whatever is undone gives way to it. */
static void settle_fifo(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    uint32_t model = d->fifo_head;
    uint32_t instance = core_instance_on(core, model, device);
    uint32_t cause = core->models[model].fifo_cause;
    const struct core_instance *in = &core->instances[instance];
    if (in->state == SHUNT_INSTANCE_DRAINING) {
        core_switch_drop(core, device); /* reopens it, or leaves it closed for the next round */
        return;
    }
    if (core_switch_undone(d) && d->sw.target == instance) {
        if (d->sw.forced != cause) {
            d->sw.forced = cause;
            d->sw.blocked = 0;
            core_generation_bump(core, device);
            core_touch_around(core, device);
        }
        return;
    }
    force(core, device, instance, cause);
}

/* ------------------------------------------------------------------ both */

void core_guard_settle(struct core *core, uint32_t device)
{
    struct core_device *d = &core->devices[device];
    if (!core->s.guard.enabled || !d->up || core_switch_moving(d)) {
        return;
    }
    if (d->fifo_len > 0) {
        settle_fifo(core, device);
        return;
    }
    bool of_fifo =
        d->sw.forced == SHUNT_CAUSE_FORCED_OVERTAKE || d->sw.forced == SHUNT_CAUSE_FORCED_AGE;
    if (core_switch_undone(d) && d->sw.forced && (of_fifo || d->waiting == 0)) {
        unforce(core, device);
    }
    settle_cap(core, device);
}
