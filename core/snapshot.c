/*
 * Keeps the column blobs up to date: what has changed since the last look is written again, row by
 * row, and nothing else.
 */
#include "core/priv.h"

void core_snapshot_layout(struct core *core)
{
    core_blob_init(&core->snapshot, core->blob_memory, false, core->s.model_count,
                   core->s.device_count, core->s.instance_count);
    core_blob_init(&core->cost_blob, core->cost_memory, true, core->s.model_count,
                   core->s.device_count, core->s.instance_count);
    for (uint32_t i = 0; i < core->s.model_count; i++) {
        core_set_add(&core->snap_models, i);
        core_set_add(&core->snap_bounds, i);
        core_set_add(&core->snap_parts, i);
        core_set_add(&core->snap_costs, i);
    }
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        core_set_add(&core->snap_instances, i);
    }
    core->snap_devices = (1u << core->s.device_count) - 1;
    core->snap_fixed = true;
}

#define U32(NAME) core_blob_u32(&core->snapshot, SHUNT_COL_##NAME)[i]
#define I64(NAME) core_blob_i64(&core->snapshot, SHUNT_COL_##NAME)[i]
#define U64(NAME) core_blob_u64(&core->snapshot, SHUNT_COL_##NAME)[i]
#define F64(NAME) core_blob_f64(&core->snapshot, SHUNT_COL_##NAME)[i]

/* ------------------------------------------------------------------ models */

static void model_learned(struct core *core, uint32_t i)
{
    const struct core_model_costs *costs = &core->costs[core->models[i].cost_row];
    const struct core_model_count *count = &core->model_counts[i];
    const double unknown = __builtin_nan("");
    F64(SERVICE_MEAN_NS) = costs->service.count > 0 ? costs->service.mean_ns : unknown;
    F64(SERVICE_VAR_NS2) = costs->service.count > 1 ? costs->service.var_ns2 : unknown;
    U64(SERVICE_COUNT) = costs->service.count;
    F64(WORK_MEAN_NS) = count->ended[SHUNT_OUTCOME_COMPLETED] > 0
                            ? (double)count->busy_ns / (double)count->ended[SHUNT_OUTCOME_COMPLETED]
                            : unknown;
    F64(DRAIN_MEAN_NS) = costs->drain.count > 0 ? costs->drain.mean_ns : unknown;
    F64(OUTPUT_TOKENS_MEAN) = costs->tokens.count > 0 ? costs->tokens.mean_ns : unknown;
}

static void model_queue(struct core *core, uint32_t i)
{
    const struct core_model *m = &core->models[i];
    const struct core_request *head = m->queue_len > 0 ? &core->requests[m->queue.head] : NULL;
    U32(QUEUE_LEN) = m->queue_len;
    I64(HEAD_ARRIVAL_NS) = head ? head->arrival_ns : CORE_NEVER;
    I64(HEAD_DEADLINE_NS) = head && head->deadline_ns > 0 ? head->deadline_ns : CORE_NEVER;
    U32(HEAD_CLASS) = head ? head->service_class : 0;
    F64(QUEUED_TOKENS) = m->queued_tokens;
    U32(IN_FLIGHT) = m->in_flight;
    U64(ARRIVALS) = core->model_counts[i].arrived;
    /* Estimates change with arrivals only. */
    if (m->rate.last_ns != I64(LAST_ARRIVAL_NS) || core->model_counts[i].arrived <= 1) {
        F64(ARRIVAL_RATE) = core_rate_per_s(&m->rate, m->last_arrival_ns);
        F64(ARRIVAL_RATE_SHORT) = core_rate_per_s(&m->rate_short, m->last_arrival_ns);
    }
    I64(LAST_ARRIVAL_NS) = m->last_arrival_ns;
    U32(WAITING) = m->waiting;
    I64(WAITING_SINCE_NS) = m->waiting ? m->gap_since_ns : 0;
    U32(FORCED_DEVICE) = m->fifo_device;
}

static void model_places(struct core *core, uint32_t i)
{
    const struct core_model *m = &core->models[i];
    uint64_t resident = 0;
    int64_t until = CORE_NEVER;
    for (uint32_t k = m->instance_first; k < m->instance_first + m->instance_count; k++) {
        const struct core_instance *in = &core->instances[k];
        if (in->visiting) {
            resident |= UINT64_C(1) << in->device;
        }
        until = in->quarantined_until_ns < until ? in->quarantined_until_ns : until;
    }
    U64(RESIDENT_DEVICES) = resident;
    I64(QUARANTINED_UNTIL_NS) = until;
    U64(VISITS) = core->model_counts[i].visits;
    I64(LAST_VISIT_NS) = m->last_visit_ns;
    I64(LAST_SERVED_NS) = m->last_served_ns;
}

/* Bounds and parts of costs change with what is learned, not with every request. */
static void model_bounds(struct core *core, uint32_t i)
{
    struct core_bounds bounds;
    core_bounds_guaranteed(core, i, &bounds);
    I64(GAP_BOUND_NS) = bounds.gap_ns;
    I64(WAIT_BOUND_NS) = bounds.wait_ns;
}

static void model_parts(struct core *core, uint32_t i)
{
    const struct core_model_costs *costs = &core->costs[core->models[i].cost_row];
    for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
        struct core_cost cost;
        size_t at = (size_t)i * SHUNT_TIER_COUNT + t;
        /* A cell with as many samples as were written has not changed since. */
        if (costs->out[t].count != core_blob_u64(&core->snapshot, SHUNT_COL_OUT_COUNT)[at]) {
            core_cost_read(&costs->out[t], &cost);
            core_blob_f64(&core->snapshot, SHUNT_COL_OUT_MEAN_NS)[at] = cost.mean_ns;
            core_blob_f64(&core->snapshot, SHUNT_COL_OUT_P95_NS)[at] = cost.p95_ns;
            core_blob_u64(&core->snapshot, SHUNT_COL_OUT_COUNT)[at] = cost.count;
        }
        if (costs->in[t].count != core_blob_u64(&core->snapshot, SHUNT_COL_IN_COUNT)[at]) {
            core_cost_read(&costs->in[t], &cost);
            core_blob_f64(&core->snapshot, SHUNT_COL_IN_MEAN_NS)[at] = cost.mean_ns;
            core_blob_f64(&core->snapshot, SHUNT_COL_IN_P95_NS)[at] = cost.p95_ns;
            core_blob_u64(&core->snapshot, SHUNT_COL_IN_COUNT)[at] = cost.count;
        }
    }
}

void core_snapshot_forget_parts(struct core *core, uint32_t model)
{
    for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
        size_t at = (size_t)model * SHUNT_TIER_COUNT + t;
        core_blob_u64(&core->snapshot, SHUNT_COL_OUT_COUNT)[at] = UINT64_MAX;
        core_blob_u64(&core->snapshot, SHUNT_COL_IN_COUNT)[at] = UINT64_MAX;
    }
}

/* ------------------------------------------------------------------ devices */

static int64_t switch_eta(const struct core *core, const struct core_device *d)
{
    if (d->sw.phase == CORE_PHASE_NONE || d->sw.target == CORE_NONE) {
        return 0;
    }
    uint32_t from =
        d->sw.victim_first == CORE_NONE ? CORE_NONE : core->instances[d->sw.victim_first].model;
    double cost = core_switch_estimate_ns(core, from, d->sw.target);
    if (!(cost >= 0.0) || !core_switch_moving(d)) {
        return 0;
    }
    return d->sw.limit_ns - core->s.guard.switch_limit_ns + (int64_t)cost;
}

static void device_row(struct core *core, uint32_t i)
{
    const struct core_device *d = &core->devices[i];
    const struct core_instance *in =
        d->visits_list == CORE_NONE ? NULL : &core->instances[d->visits_list];
    int64_t residence = 0;
    for (uint32_t k = d->visits_list; k != CORE_NONE; k = core->instances[k].visit_next) {
        int64_t until = core->instances[k].residence_until_ns;
        residence = until > residence ? until : residence;
    }
    U32(DEVICE_STATE) = d->state;
    U32(DEVICE_MODEL) = in ? in->model : SHUNT_NONE;
    U32(DEVICE_TARGET) = d->sw.phase != CORE_PHASE_NONE && d->sw.target != CORE_NONE
                             ? core->instances[d->sw.target].model
                             : SHUNT_NONE;
    I64(DEVICE_SWITCH_ETA_NS) = switch_eta(core, d);
    I64(DEVICE_FREE_BYTES) = core_device_free(core, i);
    I64(VISIT_START_NS) = in ? in->visit_start_ns : 0;
    U64(VISIT_SERVED) = in ? in->visit_served : 0;
    I64(VISIT_FIRST_DISPATCH_NS) = in && in->visit_first_ns != CORE_NEVER ? in->visit_first_ns : 0;
    I64(VISIT_CAP_NS) = core_guard_cap_ns(core, i);
    I64(MIN_RESIDENCE_UNTIL_NS) = residence;
    U32(DEVICE_FORCED) = d->sw.forced || d->fifo_len > 0;
    U32(DEVICE_UP) = d->up;
    I64(DEVICE_LAST_SWITCH_NS) = d->last_switch_ns;
}

/* ------------------------------------------------------------------ instances */

static void instance_row(struct core *core, uint32_t i)
{
    const struct core_instance *in = &core->instances[i];
    U32(INSTANCE_STATE) = in->state;
    U32(INSTANCE_TIER) = in->tier;
    U32(INSTANCE_IN_FLIGHT) = in->in_flight;
    U32(INSTANCE_ADMITTING) = core_instance_admits(core, in);
    U32(INSTANCE_PINNED) = in->pinned;
    U32(ENGINE_RUNNING) = in->running;
    U32(ENGINE_WAITING) = in->waiting;
    I64(KV_USED_BYTES) = in->kv_used_bytes;
    I64(KV_TOTAL_BYTES) = in->kv_total_bytes;
    F64(PREFIX_HIT_RATIO) = in->prefix_hit_ratio;
    U32(HOST_CACHED) = in->tier == SHUNT_TIER_STAGED || in->tier == SHUNT_TIER_SUSPENDED ||
                       in->tier == SHUNT_TIER_ASLEEP;
    I64(INSTANCE_VISIT_START_NS) = in->visiting ? in->visit_start_ns : 0;
    I64(INSTANCE_BUSY_NS) = in->visit_busy_ns;
    I64(INSTANCE_BUSY_SINCE_NS) = in->busy_since_ns;
    U32(EVICTABLE) = in->state == SHUNT_INSTANCE_RESIDENT && in->visiting && !in->pinned;
}

/* ------------------------------------------------------------------ what is fixed */

static void fixed_model(struct core *core, uint32_t i)
{
    const struct core_model *m = &core->models[i];
    uint64_t placements = 0;
    for (uint32_t k = m->instance_first; k < m->instance_first + m->instance_count; k++) {
        placements |= UINT64_C(1) << core->instances[k].device;
    }
    U64(PLACEMENTS) = placements;
    U32(MAX_CONCURRENCY) = m->max_concurrency;
    F64(WEIGHT) = m->weight;
    I64(MAX_WAIT_NS) = m->max_wait_ns;
    core_snapshot_forget_parts(core, i);
}

static void fixed_instance(struct core *core, uint32_t i)
{
    const struct core_instance *in = &core->instances[i];
    U32(INSTANCE_MODEL) = in->model;
    U32(INSTANCE_DEVICE) = in->device;
    for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
        size_t at = (size_t)i * SHUNT_TIER_COUNT + t;
        bool has = in->tiers >> t & 1;
        core_blob_i64(&core->snapshot, SHUNT_COL_DEVICE_BYTES)[at] = has ? in->device_bytes[t] : -1;
        core_blob_i64(&core->snapshot, SHUNT_COL_HOST_BYTES)[at] = has ? in->host_bytes[t] : -1;
    }
}

/* Columns and rows that only a configuration changes. */
static void fixed(struct core *core)
{
    core->snap_fixed = false;
    for (uint32_t i = 0; i < core->s.model_count; i++) {
        fixed_model(core, i);
    }
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        fixed_instance(core, i);
    }
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        I64(DEVICE_TOTAL_BYTES) = core->devices[i].memory_bytes;
    }
}

#undef U32
#undef I64
#undef U64
#undef F64

const struct shunt_snapshot *core_snapshot(struct core *core)
{
    uint32_t i;
    if (core->snap_fixed) {
        fixed(core);
    }
    while ((i = core_set_next(&core->snap_models, 0, core->s.model_count)) != CORE_NONE) {
        core_set_remove(&core->snap_models, i);
        model_queue(core, i);
        model_places(core, i);
        model_learned(core, i);
    }
    while ((i = core_set_next(&core->snap_bounds, 0, core->s.model_count)) != CORE_NONE) {
        core_set_remove(&core->snap_bounds, i);
        model_bounds(core, i);
    }
    while ((i = core_set_next(&core->snap_parts, 0, core->s.model_count)) != CORE_NONE) {
        core_set_remove(&core->snap_parts, i);
        model_parts(core, i);
    }
    while ((i = core_set_next(&core->snap_instances, 0, core->s.instance_count)) != CORE_NONE) {
        core_set_remove(&core->snap_instances, i);
        instance_row(core, i);
    }
    while (core->snap_devices) {
        i = (uint32_t)__builtin_ctz(core->snap_devices);
        core->snap_devices &= core->snap_devices - 1;
        device_row(core, i);
    }
    core->snapshot.head->now_ns = core->s.now_ns;
    core->snapshot.head->generation = core->s.generation;
    core->snapshot.head->layout_gen = core->s.layout_gen;
    return core->snapshot.head;
}

/* ------------------------------------------------------------------ costs */

static void cost_entry(struct core *core, uint32_t from, uint32_t to)
{
    struct core_cost cost;
    const struct core_cost_cell *pair = core_pair_cell(core, from, to);
    size_t row = from == CORE_NONE ? core->s.model_count : from;
    size_t at = row * core->s.model_count + to;
    if (pair->count > 0 &&
        pair->count == core_blob_u64(&core->cost_blob, SHUNT_COL_COST_COUNT)[at]) {
        return; /* measured, and nothing was since: parts no longer matter */
    }
    core_cost_read(pair, &cost);
    if (cost.count == 0) {
        cost.mean_ns =
            from == to ? 0.0 : core_switch_estimate_ns(core, from, core->models[to].instance_first);
    }
    core_blob_f64(&core->cost_blob, SHUNT_COL_COST_MEAN_NS)[at] = cost.mean_ns;
    core_blob_f64(&core->cost_blob, SHUNT_COL_COST_VAR_NS2)[at] = cost.var_ns2;
    core_blob_f64(&core->cost_blob, SHUNT_COL_COST_P95_NS)[at] = cost.p95_ns;
    core_blob_u64(&core->cost_blob, SHUNT_COL_COST_COUNT)[at] = cost.count;
}

void core_snapshot_forget_pair(struct core *core, uint32_t from, uint32_t to)
{
    size_t row = from == CORE_NONE ? core->s.model_count : from;
    core_blob_u64(&core->cost_blob, SHUNT_COL_COST_COUNT)[row * core->s.model_count + to] =
        UINT64_MAX;
}

const struct shunt_snapshot *core_costs(struct core *core)
{
    uint32_t i;
    while ((i = core_set_next(&core->snap_costs, 0, core->s.model_count)) != CORE_NONE) {
        core_set_remove(&core->snap_costs, i);
        cost_entry(core, CORE_NONE, i);
        for (uint32_t k = 0; k < core->s.model_count; k++) {
            cost_entry(core, k, i);
            cost_entry(core, i, k);
        }
    }
    core->cost_blob.head->generation = core->s.costs_gen;
    core->cost_blob.head->layout_gen = core->s.layout_gen;
    core->cost_blob.head->now_ns = core->s.now_ns;
    return core->cost_blob.head;
}
