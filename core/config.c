/*
 * Configuration: checks one, and moves the core to it. At a reload models are recognised by key and
 * instances by model and device; what they hold, queue and have learned comes along.
 */
#include "core/priv.h"

#define RATE_TAU_NS       (300.0 * 1e9)
#define RATE_SHORT_TAU_NS (5.0 * 1e9)

/* ------------------------------------------------------------------ checking */

static int bad(struct core_config_error *ret_error, const char *what, uint32_t model,
               uint32_t device)
{
    if (ret_error) {
        *ret_error = (struct core_config_error){.what = what, .model = model, .device = device};
    }
    return -EINVAL;
}

static int check_guard(const struct core_guard_config *guard, struct core_config_error *ret_error)
{
    if (guard->switch_limit_ns <= 0) {
        return bad(ret_error, "the limit of a switch must be above zero", CORE_NONE, CORE_NONE);
    }
    if (guard->answer_ns <= 0) {
        return bad(ret_error, "the answer deadline must be above zero", CORE_NONE, CORE_NONE);
    }
    if (guard->drain_mode != SHUNT_DRAIN_FINISH && guard->drain_mode != SHUNT_DRAIN_REQUEUE) {
        return bad(ret_error, "the drain mode must be finish or requeue", CORE_NONE, CORE_NONE);
    }
    if (guard->age_ns < 0 || guard->visit_cap_ns < 0 || guard->visit_cap_floor_ns < 0 ||
        guard->drain_ns < 0 || guard->min_residence_ns < 0) {
        return bad(ret_error, "a time of the guard is negative", CORE_NONE, CORE_NONE);
    }
    if (guard->switches_per_minute > CORE_RATE_MAX) {
        return bad(ret_error, "at most 128 switches per minute can be set", CORE_NONE, CORE_NONE);
    }
    if (!(guard->switch_share_max >= 0.0 && guard->switch_share_max <= 1.0)) {
        return bad(ret_error, "the share of switching must be from 0 to 1", CORE_NONE, CORE_NONE);
    }
    return 0;
}

static int check_instance(const struct core_config *config, uint32_t model, uint32_t index,
                          struct core_config_error *ret_error)
{
    const struct core_instance_config *in = &config->models[model].instances[index];
    if (in->device >= config->device_count) {
        return bad(ret_error, "a placement names a device that does not exist", model, in->device);
    }
    for (uint32_t i = 0; i < index; i++) {
        if (config->models[model].instances[i].device == in->device) {
            return bad(ret_error, "two placements on one device", model, in->device);
        }
    }
    if (in->tier >= SHUNT_TIER_COUNT) {
        return bad(ret_error, "the tier at start does not exist", model, in->device);
    }
    for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
        if (in->device_bytes[t] < 0 || in->host_bytes[t] < 0) {
            return bad(ret_error, "an amount of memory is negative", model, in->device);
        }
    }
    return 0;
}

static int check_model(const struct core_config *config, uint32_t model,
                       struct core_config_error *ret_error)
{
    const struct core_model_config *m = &config->models[model];
    if (m->key == 0) {
        return bad(ret_error, "a model has no key", model, CORE_NONE);
    }
    for (uint32_t i = 0; i < model; i++) {
        if (config->models[i].key == m->key) {
            return bad(ret_error, "two models have the same key", model, CORE_NONE);
        }
    }
    if (m->max_concurrency == 0 || m->queue_max == 0) {
        return bad(ret_error, "concurrency and queue must be at least 1", model, CORE_NONE);
    }
    if (m->max_wait_ns < 0 || m->service_limit_ns < 0 || m->idle_unload_ns < 0) {
        return bad(ret_error, "a time of the model is negative", model, CORE_NONE);
    }
    if (!(m->weight > 0.0)) {
        return bad(ret_error, "the weight must be above zero", model, CORE_NONE);
    }
    if (m->instance_count == 0) {
        return bad(ret_error, "a model needs a placement", model, CORE_NONE);
    }
    for (uint32_t i = 0; i < m->instance_count; i++) {
        int error = check_instance(config, model, i, ret_error);
        if (error) {
            return error;
        }
    }
    return 0;
}

/* Whether a placement could be resident with only the pinned ones beside it. */
static bool placement_fits(const struct core_config *config, uint32_t model, uint32_t index)
{
    const struct core_instance_config *in = &config->models[model].instances[index];
    int64_t need = in->device_bytes[SHUNT_TIER_RESIDENT];
    for (uint32_t i = 0; i < config->model_count; i++) {
        const struct core_model_config *m = &config->models[i];
        for (uint32_t k = 0; k < m->instance_count; k++) {
            if (i != model && m->instances[k].device == in->device) {
                need += m->instances[k].device_bytes[m->instances[k].pinned ? SHUNT_TIER_RESIDENT
                                                                            : SHUNT_TIER_STOPPED];
            }
        }
    }
    return need <= config->devices[in->device].memory_bytes;
}

static int check_memory(const struct core_config *config, struct core_config_error *ret_error)
{
    int64_t host = 0;
    for (uint32_t d = 0; d < config->device_count; d++) {
        int64_t held = 0;
        for (uint32_t i = 0; i < config->model_count; i++) {
            for (uint32_t k = 0; k < config->models[i].instance_count; k++) {
                const struct core_instance_config *in = &config->models[i].instances[k];
                if (in->device == d) {
                    held += in->device_bytes[in->tier];
                    host += in->host_bytes[in->tier];
                }
            }
        }
        if (held > config->devices[d].memory_bytes) {
            return bad(ret_error, "what is resident at start exceeds the device's memory",
                       CORE_NONE, d);
        }
    }
    if (config->host_memory_bytes > 0 && host > config->host_memory_bytes) {
        return bad(ret_error, "what is held at start exceeds the host's memory", CORE_NONE,
                   CORE_NONE);
    }
    for (uint32_t i = 0; i < config->model_count; i++) {
        bool fits = false;
        for (uint32_t k = 0; k < config->models[i].instance_count; k++) {
            fits |= placement_fits(config, i, k);
        }
        if (!fits) {
            return bad(ret_error, "the model fits on none of its devices", i, CORE_NONE);
        }
    }
    return 0;
}

static int check(const struct core *core, const struct core_config *config,
                 struct core_config_error *ret_error)
{
    uint64_t instances = 0;
    if (config->model_count == 0 || config->device_count == 0) {
        return bad(ret_error, "there must be a model and a device", CORE_NONE, CORE_NONE);
    }
    for (uint32_t i = 0; i < config->model_count; i++) {
        instances += config->models[i].instance_count;
    }
    if (config->model_count > core->limits.models_max ||
        config->device_count > core->limits.devices_max || instances > core->limits.instances_max) {
        (void)bad(ret_error, "more models, devices or placements than the core was made for",
                  CORE_NONE, CORE_NONE);
        return -E2BIG;
    }
    for (uint32_t i = 0; i < config->device_count; i++) {
        if (config->devices[i].memory_bytes < 0 || config->devices[i].up > 1) {
            return bad(ret_error, "a device's memory or state is out of range", CORE_NONE, i);
        }
    }
    for (uint32_t i = 0; i < config->model_count; i++) {
        int error = check_model(config, i, ret_error);
        if (error) {
            return error;
        }
    }
    if (config->host_memory_bytes < 0 || config->failed_backoff_ns < 0) {
        return bad(ret_error, "a setting is negative", CORE_NONE, CORE_NONE);
    }
    int error = check_guard(&config->guard, ret_error);
    return error ? error : check_memory(config, ret_error);
}

/* ------------------------------------------------------------------ what stays */

/* Fills the maps from old to new indices. */
static void map_old(struct core *core, const struct core_config *config)
{
    for (uint32_t i = 0; i < core->s.model_count; i++) {
        core->map_model[i] = CORE_NONE;
    }
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        core->map_instance[i] = CORE_NONE;
    }
    uint32_t first = 0;
    for (uint32_t n = 0; n < config->model_count; n++) {
        const struct core_model_config *m = &config->models[n];
        for (uint32_t o = 0; o < core->s.model_count; o++) {
            if (core->models[o].key != m->key) {
                continue;
            }
            core->map_model[o] = n;
            for (uint32_t k = 0; k < m->instance_count; k++) {
                uint32_t old = core_instance_on(core, o, m->instances[k].device);
                if (old != CORE_NONE) {
                    core->map_instance[old] = first + k;
                }
            }
        }
        first += m->instance_count;
    }
}

static bool removable(const struct core *core, uint32_t instance)
{
    const struct core_instance *in = &core->instances[instance];
    const struct core_switch *sw = &core->devices[in->device].sw;
    return in->in_flight == 0 && in->step == CORE_STEP_NONE &&
           !(core_switch_moving(&core->devices[in->device]) && sw->target == instance);
}

static int check_removals(const struct core *core, struct core_config_error *ret_error)
{
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        if (core->map_instance[i] == CORE_NONE && !removable(core, i)) {
            (void)bad(ret_error, "a model that is to go is in a switch or has requests in flight",
                      core->instances[i].model, core->instances[i].device);
            return -EBUSY;
        }
    }
    return 0;
}

/* Takes leave of what goes, with the old tables still in place. */
static void remove_old(struct core *core)
{
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        if (core_switch_undone(&core->devices[i])) {
            core_switch_drop(core, i);
        }
    }
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        if (core->map_instance[i] == CORE_NONE) {
            if (core->instances[i].visiting) {
                core_visit_end(core, i);
            }
            core_instance_hold(core, i, 0, 0);
        }
    }
    for (uint32_t i = 0; i < core->s.model_count; i++) {
        if (core->map_model[i] == CORE_NONE) {
            core_queue_end(core, i, SHUNT_OUTCOME_FAILED);
            core_guard_fifo_remove(core, i);
            core_set_remove(&core->s.rows, core->models[i].cost_row);
        }
    }
}

/* ------------------------------------------------------------------ new tables */

void core_row_clear(struct core *core, uint32_t row)
{
    memset(&core->costs[row], 0, sizeof(core->costs[row]));
    for (uint32_t i = 0; i <= core->limits.models_max; i++) {
        memset(&core->pairs[(size_t)i * core->limits.models_max + row], 0, sizeof(core->pairs[0]));
    }
    memset(&core->pairs[(size_t)row * core->limits.models_max], 0,
           core->limits.models_max * sizeof(core->pairs[0]));
}

static uint32_t row_new(struct core *core)
{
    uint32_t row = 0;
    while (core_set_has(&core->s.rows, row)) {
        row++;
    }
    assert(row < core->limits.models_max);
    core_set_add(&core->s.rows, row);
    core_row_clear(core, row);
    return row;
}

static uint32_t old_of(const uint32_t *map, uint32_t count, uint32_t new_index)
{
    for (uint32_t i = 0; i < count; i++) {
        if (map[i] == new_index) {
            return i;
        }
    }
    return CORE_NONE;
}

static uint32_t mapped(const uint32_t *map, uint32_t index)
{
    return index == CORE_NONE ? CORE_NONE : map[index];
}

static void build_model(struct core *core, const struct core_model_config *config, uint32_t index,
                        uint32_t first)
{
    struct core_model *m = &core->models_new[index];
    uint32_t old = old_of(core->map_model, core->s.model_count, index);
    if (old != CORE_NONE) {
        *m = core->models[old];
        core->counts_new[index] = core->model_counts[old];
        m->fifo_next = mapped(core->map_model, m->fifo_next);
    } else {
        memset(m, 0, sizeof(*m));
        memset(&core->counts_new[index], 0, sizeof(core->counts_new[index]));
        m->queue = (struct core_list){CORE_NONE, CORE_NONE};
        m->cost_row = row_new(core);
        m->fifo_device = CORE_NONE;
        m->fifo_next = CORE_NONE;
        m->gap_since_ns = CORE_NEVER;
        m->gap_kept_ns = CORE_NEVER;
        m->clock_at_ns = core->s.now_ns;
        m->work_since_ns = core->s.now_ns;
        core_rate_init(&m->rate, RATE_TAU_NS);
        core_rate_init(&m->rate_short, RATE_SHORT_TAU_NS);
    }
    m->key = config->key;
    m->max_wait_ns = config->max_wait_ns;
    m->service_limit_ns = config->service_limit_ns;
    m->idle_unload_ns = config->idle_unload_ns;
    m->weight = config->weight;
    m->max_concurrency = config->max_concurrency;
    m->queue_max = config->queue_max;
    m->reject_hopeless = config->reject_hopeless;
    m->instance_first = first;
    m->instance_count = config->instance_count;
}

static void build_instance(struct core *core, const struct core_instance_config *config,
                           uint32_t model, uint32_t index)
{
    struct core_instance *in = &core->instances_new[index];
    uint32_t old = old_of(core->map_instance, core->s.instance_count, index);
    if (old != CORE_NONE) {
        *in = core->instances[old];
        in->visit_next = mapped(core->map_instance, in->visit_next);
        in->visit_prev = mapped(core->map_instance, in->visit_prev);
        in->pinned |= config->pinned;
    } else {
        memset(in, 0, sizeof(*in));
        in->device = config->device;
        in->tier = config->tier;
        in->state = config->tier;
        in->pinned = config->pinned;
        in->step = CORE_STEP_NONE;
        in->victim_of = CORE_NONE;
        in->want_tier = SHUNT_NONE;
        in->flight = (struct core_list){CORE_NONE, CORE_NONE};
        in->visit_next = CORE_NONE;
        in->visit_prev = CORE_NONE;
        in->visit_first_ns = CORE_NEVER;
        in->busy_since_ns = CORE_NEVER;
        in->running = SHUNT_NONE;
        in->waiting = SHUNT_NONE;
        in->kv_used_bytes = -1;
        in->kv_total_bytes = -1;
        in->prefix_hit_ratio = __builtin_nan("");
    }
    in->model = model;
    in->tiers = config->tiers | 1u << SHUNT_TIER_RESIDENT | 1u << SHUNT_TIER_STOPPED;
    in->edges_in = config->edges_in | 1u << SHUNT_TIER_STOPPED;
    in->edges_prefetch = config->edges_prefetch;
    memcpy(in->device_bytes, config->device_bytes, sizeof(in->device_bytes));
    memcpy(in->host_bytes, config->host_bytes, sizeof(in->host_bytes));
}

static void build(struct core *core, const struct core_config *config)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < config->model_count; i++) {
        const struct core_model_config *m = &config->models[i];
        build_model(core, m, i, first);
        for (uint32_t k = 0; k < m->instance_count; k++) {
            build_instance(core, &m->instances[k], i, first + k);
        }
        first += m->instance_count;
    }
    memcpy(core->models, core->models_new, config->model_count * sizeof(core->models[0]));
    memcpy(core->model_counts, core->counts_new,
           config->model_count * sizeof(core->model_counts[0]));
    memcpy(core->instances, core->instances_new, first * sizeof(core->instances[0]));
    for (uint32_t i = 0; i < core->s.request_top; i++) {
        struct core_request *r = &core->requests[i];
        if (r->state != CORE_REQUEST_FREE) {
            r->model = core->map_model[r->model];
            r->instance = mapped(core->map_instance, r->instance);
        }
    }
    core->s.model_count = config->model_count;
    core->s.instance_count = first;
}

static void device_init(struct core *core, uint32_t device, const struct core_device_config *config)
{
    struct core_device *d = &core->devices[device];
    memset(d, 0, sizeof(*d));
    memset(&core->device_counts[device], 0, sizeof(core->device_counts[device]));
    d->up = config->up;
    d->visits_list = CORE_NONE;
    d->fifo_head = CORE_NONE;
    d->fifo_tail = CORE_NONE;
    d->waiting_since_ns = CORE_NEVER;
    d->waiting_kept_ns = CORE_NEVER;
    d->sw.target = CORE_NONE;
    d->state_at_ns = core->s.now_ns;
    d->share_at_ns = core->s.now_ns;
    d->share_credit_ns = 600 * CORE_NS_PER_S / 1000000 * core->s.share_ppm;
    core->device_counts[device].since_ns = core->s.now_ns;
}

static void build_devices(struct core *core, const struct core_config *config)
{
    for (uint32_t i = 0; i < config->device_count; i++) {
        struct core_device *d = &core->devices[i];
        if (i >= core->s.device_count) {
            device_init(core, i, &config->devices[i]);
        } else {
            d->visits_list = mapped(core->map_instance, d->visits_list);
            d->fifo_head = mapped(core->map_model, d->fifo_head);
            d->fifo_tail = mapped(core->map_model, d->fifo_tail);
            d->sw.target = mapped(core->map_instance, d->sw.target);
            d->sw.victim_first = mapped(core->map_instance, d->sw.victim_first);
        }
        d->memory_bytes = config->devices[i].memory_bytes;
        d->link = config->devices[i].link;
        d->instances = CORE_NONE;
        d->waiting = 0;
    }
    core->s.device_count = config->device_count;
    for (uint32_t i = core->s.instance_count; i-- > 0;) {
        struct core_instance *in = &core->instances[i];
        struct core_device *d = &core->devices[in->device];
        in->next_on_device = d->instances;
        d->instances = i;
        d->waiting += in->counted;
    }
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        if (core->devices[i].waiting == 0) {
            core->devices[i].waiting_since_ns = CORE_NEVER;
        }
    }
}

/* Field by field: a struct's padding must not reach a hash. */
static void take_guard(struct core_guard_config *to, const struct core_guard_config *from)
{
    memset(to, 0, sizeof(*to));
    to->enabled = from->enabled;
    to->overtakes = from->overtakes;
    to->dispatches_min = from->dispatches_min;
    to->age_ns = from->age_ns;
    to->visit_cap_ns = from->visit_cap_ns;
    to->visit_cap_floor_ns = from->visit_cap_floor_ns;
    to->drain_ns = from->drain_ns;
    to->switch_limit_ns = from->switch_limit_ns;
    to->answer_ns = from->answer_ns;
    to->drain_mode = from->drain_mode;
    to->switches_per_minute = from->switches_per_minute;
    to->switch_share_max = from->switch_share_max;
    to->min_residence_ns = from->min_residence_ns;
}

/* New instances hold what they hold in their tier; resident ones begin a visit. */
static void begin_new(struct core *core)
{
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        struct core_instance *in = &core->instances[i];
        bool fresh = old_of(core->map_instance, core->limits.instances_max, i) == CORE_NONE;
        if (fresh) {
            core_instance_set_tier(core, i, in->tier, -1, -1, true);
            if (in->tier == SHUNT_TIER_RESIDENT && core->devices[in->device].up) {
                struct core_visit_plan plan = {.cause = SHUNT_CAUSE_HOST};
                core_visit_begin(core, i, &plan);
            } else if (in->tier == SHUNT_TIER_RESIDENT) {
                core_instance_set_tier(core, i, SHUNT_TIER_STOPPED, -1, -1, true);
                core_instance_event(core, i, CORE_EV_FOUND);
            }
        }
    }
}

int core_configure(struct core *core, const struct core_config *config, int64_t t_ns,
                   struct core_config_error *ret_error)
{
    assert(core->action_read == core->action_count);
    assert(t_ns >= core->s.now_ns);
    int error = check(core, config, ret_error);
    if (error) {
        return error;
    }
    for (uint32_t i = config->device_count; i < core->s.device_count; i++) {
        if (core->devices[i].sw.phase != CORE_PHASE_NONE || core->devices[i].in_flight > 0) {
            (void)bad(ret_error, "a device that is to go is in use", CORE_NONE, i);
            return -EBUSY;
        }
    }
    map_old(core, config);
    error = check_removals(core, ret_error);
    if (error) {
        return error;
    }
    core->action_count = 0;
    core->action_read = 0;
    core->asked = 0;
    core->s.now_ns = t_ns;
    remove_old(core);
    core->s.host_memory_bytes = config->host_memory_bytes;
    core->s.failed_backoff_ns = config->failed_backoff_ns;
    core->s.retries_max = config->retries_max;
    take_guard(&core->s.guard, &config->guard);
    core->s.share_ppm = (int64_t)(config->guard.switch_share_max * 1e6);
    for (uint32_t i = core->s.instance_count; i < core->limits.instances_max; i++) {
        core->map_instance[i] = CORE_NONE;
    }
    build(core, config);
    build_devices(core, config);
    core->s.configured = 1;
    core->s.layout_gen++;
    memset(&core->s.ready, 0, sizeof(core->s.ready));
    memset(&core->s.wants, 0, sizeof(core->s.wants));
    memset(&core->touched_models, 0, sizeof(core->touched_models));
    core->touched_devices = 0;
    core->models_stale = true;
    core_snapshot_layout(core);
    core_guard_fits_update(core);
    core_guard_values_update(core);
    begin_new(core);
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        core_guard_rehome(core, i);
        core_generation_bump(core, i);
        core->devices[i].asks = 0;
        core_why(core, i, SHUNT_WHY_LAYOUT);
    }
    core_notify_plain(core, CORE_HOOK_LAYOUT, core->slots_filled, 0);
    core_settle(core);
    return 0;
}
