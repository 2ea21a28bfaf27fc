/*
 * Figures for drivers and people: statistics, estimates, learned costs, the bounds. Nothing here
 * changes the core, but for learning.
 */
#include "core/priv.h"

static double nan_value(void)
{
    return __builtin_nan("");
}

/* ------------------------------------------------------------------ costs */

struct core_cost_cell *core_pair_cell(const struct core *core, uint32_t from, uint32_t to)
{
    size_t row = from == CORE_NONE ? core->limits.models_max : core->models[from].cost_row;
    return &core->pairs[row * core->limits.models_max + core->models[to].cost_row];
}

void core_learn_part(struct core *core, uint32_t model, uint32_t part, uint32_t tier,
                     int64_t sample_ns)
{
    struct core_model_costs *costs = &core->costs[core->models[model].cost_row];
    core_cost_add(core_cost_cell_of(costs, part, tier), sample_ns);
    costs->known |= core_cost_bit(part, tier);
    core_set_add(&core->snap_costs, model);
    core->s.costs_gen++;
    core_set_add(&core->snap_parts, model);
    core_set_add(&core->snap_models, model);
    core_guard_learned(core, model);
}

void core_learn_pair(struct core *core, uint32_t from, uint32_t to, int64_t sample_ns)
{
    core_cost_add(core_pair_cell(core, from, to), sample_ns);
    core_set_add(&core->snap_costs, to);
    core->s.costs_gen++;
    core_guard_touch_due(core);
}

double core_switch_estimate_ns(const struct core *core, uint32_t from, uint32_t instance)
{
    const struct core_instance *in = &core->instances[instance];
    const struct core_model_costs *to = &core->costs[core->models[in->model].cost_row];
    const struct core_cost_cell *pair = core_pair_cell(core, from, in->model);
    if (pair->count > 0) {
        return pair->mean_ns;
    }
    if (to->in[in->tier].count == 0) {
        return nan_value();
    }
    if (from == CORE_NONE) {
        return to->in[in->tier].mean_ns;
    }
    const struct core_instance *victim = &core->instances[core->models[from].instance_first];
    uint32_t tier = SHUNT_TIER_ASLEEP;
    while (tier > SHUNT_TIER_STOPPED && !(victim->tiers >> tier & 1)) {
        tier--;
    }
    const struct core_cost_cell *out = &core->costs[core->models[from].cost_row].out[tier];
    return out->count > 0 ? out->mean_ns + to->in[in->tier].mean_ns : nan_value();
}

void core_cost_part(const struct core *core, uint32_t model, uint32_t tier, uint32_t part,
                    struct core_cost *ret)
{
    const struct core_cost_cell none = {0};
    const struct core_cost_cell *cell = &none;
    if (model < core->s.model_count && (tier < SHUNT_TIER_COUNT || part == CORE_COST_DRAIN)) {
        const struct core_model_costs *costs = &core->costs[core->models[model].cost_row];
        if (part == CORE_COST_OUT) {
            cell = &costs->out[tier];
        } else if (part == CORE_COST_IN) {
            cell = &costs->in[tier];
        } else if (part == CORE_COST_DRAIN) {
            cell = &costs->drain;
        }
    }
    core_cost_read(cell, ret);
}

void core_cost_pair(const struct core *core, uint32_t from, uint32_t to, struct core_cost *ret)
{
    const struct core_cost_cell none = {0};
    bool valid = to < core->s.model_count && (from == CORE_NONE || from < core->s.model_count);
    core_cost_read(valid ? core_pair_cell(core, from, to) : &none, ret);
}

static void seed(struct core *core, struct core_cost_cell *cell, uint32_t model,
                 const struct core_cost *prior)
{
    core_cost_load(cell, prior);
    core_set_add(&core->snap_costs, model);
    core->s.costs_gen++;
    core_set_add(&core->snap_parts, model);
    core_guard_values_update(core);
    core_settle(core);
}

int core_cost_seed(struct core *core, uint32_t model, uint32_t tier, uint32_t part,
                   const struct core_cost *prior)
{
    if (model >= core->s.model_count || part > CORE_COST_DRAIN ||
        (tier >= SHUNT_TIER_COUNT && part != CORE_COST_DRAIN) ||
        (prior->count > 0 && !(prior->mean_ns >= 0.0))) {
        return -EINVAL;
    }
    struct core_model_costs *costs = &core->costs[core->models[model].cost_row];
    costs->known |= core_cost_bit(part, tier);
    core_snapshot_forget_parts(core, model);
    seed(core, core_cost_cell_of(costs, part, tier), model, prior);
    return 0;
}

int core_cost_seed_pair(struct core *core, uint32_t from, uint32_t to,
                        const struct core_cost *prior)
{
    if (to >= core->s.model_count || (from >= core->s.model_count && from != CORE_NONE) ||
        from == to || (prior->count > 0 && !(prior->mean_ns >= 0.0))) {
        return -EINVAL;
    }
    core_snapshot_forget_pair(core, from, to);
    seed(core, core_pair_cell(core, from, to), to, prior);
    return 0;
}

/* ------------------------------------------------------------------ waiting times */

/* Time until a model that no device admits is visited; NaN if unknown. */
static double visit_eta(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    const struct core_cost_cell *gap = &core->costs[m->cost_row].gap;
    double best = nan_value();
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        const struct core_device *d = &core->devices[in->device];
        if (!core_instance_usable(core, in)) {
            continue;
        }
        uint32_t from =
            d->visits_list == CORE_NONE ? CORE_NONE : core->instances[d->visits_list].model;
        from = from == model ? CORE_NONE : from;
        double cost = core_switch_estimate_ns(core, from, i);
        if (d->sw.phase != CORE_PHASE_NONE && d->sw.target == i) {
            return cost;
        }
        best = cost < best || best != best ? cost : best;
    }
    if (gap->count > 0) {
        double left = gap->mean_ns;
        if (m->waiting) {
            left -= (double)(core->s.now_ns - m->gap_since_ns);
        }
        best = left > best || best != best ? left : best;
        best = best > 0.0 ? best : 0.0;
    }
    return best;
}

int64_t core_eta_ns(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    const struct core_cost_cell *service = &core->costs[m->cost_row].service;
    uint32_t slots = 0;
    uint32_t room = 0;
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        if (core_instance_admits(core, in)) {
            slots += m->max_concurrency;
            room += m->max_concurrency > in->in_flight ? m->max_concurrency - in->in_flight : 0;
        }
    }
    if (slots > 0 && m->queue_len < room) {
        return 0;
    }
    double eta = slots > 0 ? 0.0 : visit_eta(core, model);
    uint32_t ahead = slots > 0 ? m->queue_len - room + 1 : m->queue_len;
    slots = slots > 0 ? slots : m->max_concurrency;
    if (ahead > 0 && service->count == 0) {
        return -1;
    }
    eta += ahead > 0 ? (double)ahead / (double)slots * service->mean_ns : 0.0;
    if (!(eta >= 0.0)) {
        return -1;
    }
    return eta < 9e18 ? (int64_t)eta : CORE_NEVER;
}

/* ------------------------------------------------------------------ stats */

void core_model_stats(const struct core *core, uint32_t model, int64_t t_ns,
                      struct core_model_stats *ret_stats)
{
    assert(model < core->s.model_count);
    const struct core_model *m = &core->models[model];
    const struct core_model_count *count = &core->model_counts[model];
    *ret_stats = (struct core_model_stats){
        .arrived = count->arrived,
        .dispatched = count->dispatched,
        .requeued = count->requeued,
        .visits = count->visits,
        .output_tokens = count->output_tokens,
        .work_ns = count->busy_ns + (m->busy ? t_ns - m->busy_since_ns : 0),
        .gap_max_ns = count->gap_max_ns,
        .queued = m->queue_len,
        .in_flight = m->in_flight,
        .head_arrival_ns = m->queue_len > 0 ? core->requests[m->queue.head].arrival_ns : CORE_NEVER,
        .waiting = m->waiting,
        .eta_ns = core_eta_ns(core, model),
    };
    memcpy(ret_stats->rejected, count->rejected, sizeof(ret_stats->rejected));
    memcpy(ret_stats->ended, count->ended, sizeof(ret_stats->ended));
    for (uint32_t i = 0; i < CORE_REJECT_COUNT; i++) {
        ret_stats->ended[SHUNT_OUTCOME_REJECTED] += count->rejected[i];
    }
    if (m->waiting && t_ns - m->gap_since_ns > ret_stats->gap_max_ns) {
        ret_stats->gap_max_ns = t_ns - m->gap_since_ns;
    }
}

void core_device_stats(const struct core *core, uint32_t device, int64_t t_ns,
                       struct core_device_stats *ret_stats)
{
    assert(device < core->s.device_count);
    const struct core_device *d = &core->devices[device];
    const struct core_device_count *count = &core->device_counts[device];
    *ret_stats = (struct core_device_stats){
        .since_ns = count->since_ns,
        .batch_integral_ns =
            count->batch_integral_ns + (t_ns - d->state_at_ns) * (int64_t)d->in_flight,
        .switches = count->switches,
        .visits = d->visits,
        .visits_forced = count->visits_forced,
        .state = d->state,
        .up = d->up,
    };
    memcpy(ret_stats->state_ns, count->state_ns, sizeof(ret_stats->state_ns));
    ret_stats->state_ns[d->state] += t_ns - d->state_at_ns;
    memcpy(ret_stats->guard, count->guard, sizeof(ret_stats->guard));
}

int core_instance_view(const struct core *core, uint32_t instance, struct core_instance_view *ret)
{
    if (instance >= core->s.instance_count) {
        return -EINVAL;
    }
    const struct core_instance *in = &core->instances[instance];
    *ret = (struct core_instance_view){
        .model = in->model,
        .device = in->device,
        .state = in->state,
        .tier = in->tier,
        .in_flight = in->in_flight,
        .admitting = core_instance_admits(core, in),
        .pinned = in->pinned,
        .quarantined = in->quarantined_until_ns > 0,
        .quarantined_until_ns = in->quarantined_until_ns,
        .device_bytes = in->device_held,
        .host_bytes = in->host_held,
    };
    return 0;
}

int core_request_view(const struct core *core, uint64_t request, int64_t t_ns,
                      uint32_t *ret_position, int64_t ret_wait_ns[CORE_WAIT_COUNT])
{
    uint32_t index = core_request_find(core, request);
    if (index == CORE_NONE || core->requests[index].state == CORE_REQUEST_HELD) {
        return -ESTALE;
    }
    const struct core_request *r = &core->requests[index];
    const struct core_model *m = &core->models[r->model];
    bool queued = r->state == CORE_REQUEST_QUEUED;
    uint32_t position = 0;
    for (uint32_t i = m->queue.head; queued && i != index; i = core->requests[i].next) {
        position++;
    }
    *ret_position = queued ? position : CORE_NONE;
    for (uint32_t i = 0; i < CORE_WAIT_COUNT; i++) {
        ret_wait_ns[i] = r->wait_ns[i] + (queued ? core_account_clock(m, i, t_ns) : 0);
    }
    return 0;
}

/* ------------------------------------------------------------------ bounds */

void core_guard_values(const struct core *core, uint32_t device, struct core_guard_values *ret)
{
    assert(device < core->s.device_count);
    *ret = core->devices[device].guard;
}

static struct core_bound_input bound_input(const struct core *core, uint32_t model, uint32_t device)
{
    const struct core_model *m = &core->models[model];
    const struct core_guard_values *v = &core->devices[device].guard;
    uint32_t least = core->s.guard.dispatches_min;
    return (struct core_bound_input){
        .models = v->models,
        .overtakes = v->overtakes,
        .dispatches_min = least > 0 && least < m->max_concurrency ? least : m->max_concurrency,
        .queue_max = m->queue_max,
        .max_concurrency = m->max_concurrency * m->instance_count,
        .requeue = 1, /* a policy may choose this drain mode, whatever the operator's default */
        .age_ns = v->age_ns,
        .visit_cap_ns = v->visit_cap_ns,
        .drain_ns = v->drain_ns,
        .switch_limit_ns = v->switch_limit_ns,
        .answer_ns = v->answer_ns,
        .service_limit_ns = m->service_limit_ns,
    };
}

static int64_t p95_ns(const struct core_cost_cell *cell, int64_t at_least_ns)
{
    struct core_cost cost;
    core_cost_read(cell, &cost);
    return cost.count > 0 && cost.p95_ns > (double)at_least_ns ? (int64_t)cost.p95_ns : at_least_ns;
}

/* Replaces limits by what has been measured on the device; false if nothing has. */
static bool learned_input(const struct core *core, uint32_t model, uint32_t device,
                          struct core_bound_input *input)
{
    int64_t in_ns = -1;
    int64_t out_ns = 0;
    int64_t drain_ns = 0;
    for (uint32_t i = core->devices[device].instances; i != CORE_NONE;
         i = core->instances[i].next_on_device) {
        const struct core_model_costs *costs =
            &core->costs[core->models[core->instances[i].model].cost_row];
        for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
            in_ns = p95_ns(&costs->in[t], in_ns);
            out_ns = p95_ns(&costs->out[t], out_ns);
        }
        drain_ns = p95_ns(&costs->drain, drain_ns);
    }
    if (in_ns < 0) {
        return false;
    }
    input->switch_limit_ns = in_ns + out_ns;
    input->drain_ns = drain_ns;
    input->answer_ns = 0;
    input->service_limit_ns = p95_ns(&core->costs[core->models[model].cost_row].service, 0);
    return true;
}

static void bounds(const struct core *core, uint32_t model, bool expected, struct core_bounds *ret)
{
    const struct core_model *m = &core->models[model];
    *ret = (struct core_bounds){.reason = "no device that the model fits is up"};
    if (!core->s.guard.enabled) {
        ret->reason = "the guard is off";
        return;
    }
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        if (!core->devices[in->device].up || !in->fits) {
            continue;
        }
        struct core_bound_input input = bound_input(core, model, in->device);
        if (expected && !learned_input(core, model, in->device, &input)) {
            *ret = (struct core_bounds){.reason = "no switch has been measured yet"};
            return;
        }
        if (input.drain_ns == CORE_NEVER) {
            *ret = (struct core_bounds){
                .reason = "a drain has no limit: neither a drain limit nor service limits are set"};
            return;
        }
        int64_t gap = core_bound_gap_ns(&input);
        int64_t wait = core_bound_wait_ns(&input);
        ret->gap_ns = gap > ret->gap_ns ? gap : ret->gap_ns;
        ret->wait_ns = wait > ret->wait_ns ? wait : ret->wait_ns;
        ret->reason = wait > 0   ? NULL
                      : expected ? "no request of the model has been measured yet"
                                 : "the model has no service limit, so only the gap is bounded";
    }
}

void core_bounds_guaranteed(const struct core *core, uint32_t model, struct core_bounds *ret)
{
    assert(model < core->s.model_count);
    bounds(core, model, false, ret);
}

void core_bounds_expected(const struct core *core, uint32_t model, struct core_bounds *ret)
{
    assert(model < core->s.model_count);
    bounds(core, model, true, ret);
}
