/*
 * The core's memory, its inputs and its settling: which table lies where, which file answers which
 * input, and in which order consequences are derived. It decides nothing itself.
 */
#include "core/priv.h"

#define CORE_MAGIC UINT64_C(0x31766572757473)

/* ------------------------------------------------------------------ memory */

bool core_limits_valid(const struct core_limits *limits)
{
    return limits->models_max >= 1 && limits->models_max <= CORE_MODELS_MAX &&
           limits->devices_max >= 1 && limits->devices_max <= CORE_DEVICES_MAX &&
           limits->instances_max >= 1 && limits->instances_max <= CORE_INSTANCES_MAX &&
           limits->slots_max >= 1 && limits->slots_max <= CORE_SLOTS_MAX &&
           limits->queued_max >= 1 && limits->queued_max <= (1u << 24) &&
           limits->in_flight_max >= 1 && limits->in_flight_max <= (1u << 24);
}

/* Most actions that one input can lead to: a queued request may end (END, NOTIFY) or be dispatched
 * (DISPATCH, NOTIFY), one in flight may end with four, every instance may change its state several
 * times, every device may run through its asks. */
static uint32_t actions_max(const struct core_limits *limits)
{
    return 3 * limits->queued_max + 6 * limits->in_flight_max + 48 * limits->instances_max +
           16 * limits->models_max + 64 * limits->devices_max * (limits->slots_max + 2) + 256;
}

/* Hands out `bytes` at `*at`; NULL while only counting. */
static void *take(unsigned char *base, size_t *at, size_t bytes)
{
    void *place = base ? base + *at : NULL;
    *at += (bytes + 63) & ~(size_t)63;
    return place;
}

size_t core_carve(struct core *core, const struct core_limits *limits)
{
    unsigned char *base = (unsigned char *)core;
    struct core none;
    struct core *to = core ? core : &none;
    size_t models = limits->models_max;
    size_t instances = limits->instances_max;
    size_t requests = (size_t)limits->queued_max + limits->in_flight_max;
    size_t at = 0;
    (void)take(base, &at, sizeof(struct core));
    to->models = take(base, &at, models * sizeof(struct core_model));
    to->model_counts = take(base, &at, models * sizeof(struct core_model_count));
    to->instances = take(base, &at, instances * sizeof(struct core_instance));
    to->devices = take(base, &at, limits->devices_max * sizeof(struct core_device));
    to->device_counts = take(base, &at, limits->devices_max * sizeof(struct core_device_count));
    to->slots = take(base, &at, limits->slots_max * sizeof(struct core_slot));
    to->requests = take(base, &at, requests * sizeof(struct core_request));
    to->heap = take(base, &at, requests * sizeof(uint32_t));
    to->costs = take(base, &at, models * sizeof(struct core_model_costs));
    to->pairs = take(base, &at, (models + 1) * models * sizeof(struct core_cost_cell));
    to->actions = take(base, &at, actions_max(limits) * sizeof(struct core_action));
    to->models_new = take(base, &at, models * sizeof(struct core_model));
    to->counts_new = take(base, &at, models * sizeof(struct core_model_count));
    to->instances_new = take(base, &at, instances * sizeof(struct core_instance));
    to->map_model = take(base, &at, models * sizeof(uint32_t));
    to->map_instance = take(base, &at, instances * sizeof(uint32_t));
    to->blob_memory =
        take(base, &at,
             core_blob_size(false, limits->models_max, limits->devices_max, limits->instances_max));
    to->cost_memory =
        take(base, &at,
             core_blob_size(true, limits->models_max, limits->devices_max, limits->instances_max));
    to->action_max = actions_max(limits);
    return at;
}

size_t core_size(const struct core_limits *limits)
{
    return core_limits_valid(limits) ? core_carve(NULL, limits) : 0;
}

struct core *core_init(void *memory, size_t size, const struct core_limits *limits, uint64_t seed)
{
    size_t need = core_size(limits);
    if (need == 0 || size < need || !memory || (uintptr_t)memory % 64 != 0) {
        return NULL;
    }
    struct core *core = memory;
    /* The tables by request, action and pair, and the columns, are cleared where they come into
     * use, so that a core with room for millions occupies no more memory than it needs. */
    memset(core, 0, sizeof(*core));
    (void)core_carve(core, limits);
    memset(core->models, 0,
           (size_t)((unsigned char *)core->requests - (unsigned char *)core->models));
    core->limits = *limits;
    core->magic = CORE_MAGIC;
    core->s.seed = seed;
    core->s.selected = CORE_NONE;
    core->s.accepting = 1;
    core->s.request_free = CORE_NONE;
    core->s.next_ask = 1;
    core->s.next_switch = 1;
    core->s.next_visit = 1;
    core->s.next_seq = 1;
    for (uint32_t i = 0; i < limits->slots_max; i++) {
        for (uint32_t k = 0; k < CORE_TIMERS; k++) {
            core->slots[i].timer_ns[k] = CORE_NEVER;
        }
        core->slots[i].tick_at_ns = CORE_NEVER;
        core_listen(core, i, UINT32_MAX);
    }
    core->models_wake_ns = CORE_NEVER;
    core_slots_derive(core);
    core_snapshot_layout(core);
    return core;
}

/* ------------------------------------------------------------------ outputs */

/* By enum core_record_kind. */
static const uint8_t record_sizes[CORE_REC_KIND_COUNT] = {
    [CORE_REC_DECISION] = sizeof(struct core_rec_decision),
    [CORE_REC_SWITCH] = sizeof(struct core_rec_switch),
    [CORE_REC_GUARD] = sizeof(struct core_rec_guard),
    [CORE_REC_VISIT] = sizeof(struct core_rec_visit),
    [CORE_REC_REQUEST] = sizeof(struct core_rec_request),
    [CORE_REC_INSTANCE] = sizeof(struct core_rec_instance),
    [CORE_REC_SLOT] = sizeof(struct core_rec_slot),
};

/* By enum core_action_kind; records and notifications count their head only. */
static const uint8_t action_sizes[CORE_ACT_KIND_COUNT] = {
    [CORE_ACT_ACCEPT] = sizeof(struct core_act_accept),
    [CORE_ACT_REJECT] = sizeof(struct core_act_reject),
    [CORE_ACT_DISPATCH] = sizeof(struct core_act_dispatch),
    [CORE_ACT_END] = sizeof(struct core_act_end),
    [CORE_ACT_ABORT] = sizeof(struct core_act_abort),
    [CORE_ACT_STEP] = sizeof(struct core_act_step),
    [CORE_ACT_STEP_CANCEL] = sizeof(struct core_act_step),
    [CORE_ACT_ASK] = sizeof(struct core_act_ask),
    [CORE_ACT_NOTIFY] = offsetof(struct core_act_notify, event),
    [CORE_ACT_RECORD] = offsetof(struct core_act_record, u),
};

static size_t event_size(uint32_t hook)
{
    if (hook >= CORE_HOOK_ARRIVAL && hook <= CORE_HOOK_CANCEL) {
        return sizeof(struct shunt_request_event);
    }
    if (hook >= CORE_HOOK_SWITCH_START && hook <= CORE_HOOK_SWITCH_FAILED) {
        return sizeof(struct shunt_switch_event);
    }
    return sizeof(uint32_t);
}

size_t core_action_size(const struct core_action *action)
{
    assert(action->kind < CORE_ACT_KIND_COUNT);
    size_t size = offsetof(struct core_action, u) + action_sizes[action->kind];
    if (action->kind == CORE_ACT_RECORD) {
        assert(action->u.record.kind < CORE_REC_KIND_COUNT);
        size += record_sizes[action->u.record.kind];
    } else if (action->kind == CORE_ACT_NOTIFY) {
        size += event_size(action->u.notify.hook);
    }
    return size;
}

const struct core_action *core_take(struct core *core, uint32_t *ret_count)
{
    assert(core->magic == CORE_MAGIC);
    const struct core_action *first = &core->actions[core->action_read];
    *ret_count = core->action_count - core->action_read;
    core->action_read = 0;
    core->action_count = 0;
    return first;
}

bool core_next(struct core *core, struct core_action *ret_action)
{
    assert(core->magic == CORE_MAGIC);
    if (core->action_read == core->action_count) {
        core->action_read = 0;
        core->action_count = 0;
        return false;
    }
    const struct core_action *action = &core->actions[core->action_read++];
    memset(ret_action, 0, sizeof(*ret_action));
    memcpy(ret_action, action, core_action_size(action));
    return true;
}

void core_listen(struct core *core, uint32_t slot, uint32_t hooks)
{
    assert(slot < CORE_SLOTS_MAX);
    for (uint32_t i = 0; i < CORE_HOOK_COUNT; i++) {
        core->listening[i] &= ~(1u << slot);
        core->listening[i] |= (hooks >> i & 1) << slot;
    }
}

/* ------------------------------------------------------------------ touching */

void core_touch_around(struct core *core, uint32_t device)
{
    core_touch_device(core, device);
    for (uint32_t i = core->devices[device].instances; i != CORE_NONE;
         i = core->instances[i].next_on_device) {
        const struct core_instance *in = &core->instances[i];
        const struct core_model *m = &core->models[in->model];
        if (m->queue_len > 0 || (m->idle_unload_ns > 0 && in->visiting)) {
            core_touch_model(core, in->model);
        }
    }
}

void core_why_model(struct core *core, uint32_t model, uint32_t why)
{
    const struct core_model *m = &core->models[model];
    for (uint32_t i = 0; i < m->instance_count; i++) {
        core_why(core, core->instances[m->instance_first + i].device, why);
    }
}

/* ------------------------------------------------------------------ settling */

static void gap_begin(struct core *core, uint32_t model)
{
    struct core_model *m = &core->models[model];
    bool goes_on = m->gap_kept_ns != CORE_NEVER && m->gap_kept_at_ns == core->s.now_ns;
    m->gap_since_ns = goes_on ? m->gap_kept_ns : core->s.now_ns;
    m->gap_kept_ns = CORE_NEVER;
    if (goes_on) {
        return;
    }
    for (uint32_t i = 0; i < m->instance_count; i++) {
        struct core_instance *in = &core->instances[m->instance_first + i];
        in->gap_visits = core->devices[in->device].visits;
    }
}

/* A forced model that is admitted again is owed what a visit's start would give it (R2). */
static void promise_again(struct core *core, const struct core_model *m)
{
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        struct core_instance *in = &core->instances[i];
        if (in->visiting && core_instance_admits(core, in)) {
            in->promised = 1;
            core->promise_devices |= 1u << in->device;
        }
    }
}

/* `room`: some place is free, so that what waits is dispatched before time goes on, unless
 * admission closes again before that. */
static void gap_end(struct core *core, uint32_t model, bool room)
{
    struct core_model *m = &core->models[model];
    int64_t gap = core->s.now_ns - m->gap_since_ns;
    if (gap > core->model_counts[model].gap_max_ns) {
        core->model_counts[model].gap_max_ns = gap;
    }
    if (m->queue_len > 0 && room) {
        m->gap_kept_ns = m->gap_since_ns;
        m->gap_kept_at_ns = core->s.now_ns;
        if (m->fifo_device != CORE_NONE) {
            promise_again(core, m);
        }
    }
    m->gap_since_ns = CORE_NEVER;
    core_guard_fifo_remove(core, model);
}

/* Counts a model among those that wait for its devices. R1's s is the start of the unbroken period
 * in which the count is above zero; a gap that goes on leaves it unbroken. */
static void count_waiting(struct core *core, struct core_instance *in, bool counted)
{
    struct core_device *d = &core->devices[in->device];
    in->counted = counted;
    core_touch_device(core, in->device);
    if (!counted) {
        assert(d->waiting > 0);
        d->waiting--;
        if (d->waiting == 0) {
            d->waiting_kept_ns = d->waiting_since_ns;
            d->waiting_kept_at_ns = core->s.now_ns;
            d->waiting_since_ns = CORE_NEVER;
        }
    } else {
        if (d->waiting == 0) {
            bool goes_on = d->waiting_kept_ns != CORE_NEVER &&
                           d->waiting_kept_at_ns == core->s.now_ns &&
                           core->models[in->model].gap_since_ns < core->s.now_ns;
            d->waiting_since_ns = goes_on ? d->waiting_kept_ns : core->s.now_ns;
        }
        d->waiting++;
    }
}

static void waiting_set(struct core *core, uint32_t model, bool waiting, bool room)
{
    struct core_model *m = &core->models[model];
    m->waiting = waiting;
    if (waiting) {
        gap_begin(core, model);
    } else {
        gap_end(core, model, room);
    }
    for (uint32_t i = 0; i < m->instance_count; i++) {
        const struct core_instance *in = &core->instances[m->instance_first + i];
        core_touch_device(core, in->device);
        if (waiting && in->gated && in->state == SHUNT_INSTANCE_RESIDENT) {
            core_why(core, in->device, SHUNT_WHY_QUEUE_EMPTY); /* its gate has passed */
        }
    }
}

/* When a model has to be looked at again, whatever its instances say. */
static int64_t model_wake(struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    int64_t wake = CORE_NEVER;
    if (m->waiting) {
        wake = core_guard_age_at_ns(core, model);
        core->qualify |= wake <= core->s.now_ns;
    }
    if (m->queue_len > 0 && m->max_wait_ns > 0) {
        int64_t expiry = core->requests[m->queue.head].arrival_ns + m->max_wait_ns;
        wake = expiry < wake ? expiry : wake;
    }
    if (m->idle_unload_ns > 0) {
        int64_t idle = core_idle_wake_ns(core, model);
        wake = idle < wake ? idle : wake;
    }
    return wake;
}

static void settle_model(struct core *core, uint32_t model)
{
    struct core_model *m = &core->models[model];
    struct core_instance *first = &core->instances[m->instance_first];
    const struct core_instance *end = first + m->instance_count;
    int64_t wake = CORE_NEVER;
    bool admitted = false;
    bool room = false;
    for (struct core_instance *in = first; in < end; in++) {
        if (in->quarantined_until_ns > 0) {
            core_quarantine_expire(core, m->instance_first + (uint32_t)(in - first));
            if (in->quarantined_until_ns > 0 && in->quarantined_until_ns < wake) {
                wake = in->quarantined_until_ns;
            }
        }
        if (in->visiting) {
            core_touch_device(core, in->device); /* what waits in its queue decides its state */
            bool admits = core_instance_admits(core, in);
            admitted |= admits;
            room |= admits && in->in_flight < m->max_concurrency;
        }
        if (in->step_background && in->step != CORE_STEP_NONE && !in->step_told &&
            in->step_deadline_ns < wake) {
            wake = in->step_deadline_ns;
        }
    }
    m->admitted = admitted;
    bool waiting = m->queue_len > 0 && !admitted;
    if (waiting != (m->waiting != 0)) {
        waiting_set(core, model, waiting, room);
    }
    if (m->queue_len == 0) {
        m->gap_kept_ns = CORE_NEVER;
    }
    for (struct core_instance *in = first; in < end; in++) {
        bool counted = waiting && core_instance_usable(core, in);
        if (counted != (in->counted != 0)) {
            count_waiting(core, in, counted);
        }
    }
    if (m->queue_len > 0 && room) {
        core_set_add(&core->s.ready, model);
    } else {
        core_set_remove(&core->s.ready, model);
    }
    core_account_part(core, model);
    int64_t own = model_wake(core, model);
    wake = own < wake ? own : wake;
    if (wake <= core->models_wake_ns) {
        core->models_wake_ns = wake;
    } else if (m->wake_ns == core->models_wake_ns) {
        core->models_stale = true;
    }
    m->wake_ns = wake;
}

int64_t core_models_wake_ns(struct core *core)
{
    if (core->models_stale) {
        int64_t wake = CORE_NEVER;
        for (uint32_t i = 0; i < core->s.model_count; i++) {
            wake = core->models[i].wake_ns < wake ? core->models[i].wake_ns : wake;
        }
        core->models_wake_ns = wake;
        core->models_stale = false;
    }
    return core->models_wake_ns;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t device_wake(const struct core *core, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    int64_t wake = core_visit_wake_ns(core, device);
    if (d->sw.phase != CORE_PHASE_NONE) {
        wake = earlier(wake, core_switch_wake_ns(core, device));
    }
    if (d->ask_id) {
        wake = earlier(wake, d->ask_deadline_ns);
    }
    wake = earlier(wake, d->linger_until_ns > 0 ? d->linger_until_ns : CORE_NEVER);
    wake = earlier(wake, d->recheck_at_ns > 0 ? d->recheck_at_ns : CORE_NEVER);
    if (d->waiting_since_ns != CORE_NEVER && core->s.guard.enabled && d->up &&
        !core_switch_moving(d) && !d->sw.forced) {
        if (!d->cap_asked) {
            wake = earlier(wake, core_guard_cap_ns(core, device));
        } else if (!d->cap_answered) {
            wake = earlier(wake, d->cap_deadline_ns);
        }
    }
    return wake;
}

static void settle_device(struct core *core, uint32_t device)
{
    if (core->devices[device].sw.phase == CORE_PHASE_DRAIN) {
        core_switch_drain_check(core, device);
    }
    core_guard_settle(core, device);
    core_account_device(core, device);
    core->devices[device].wake_ns = device_wake(core, device);
}

/* Settling ends: each model and instance changes a few times at most in one input. */
#define SETTLE_ROUNDS_MAX (16u * (CORE_MODELS_MAX + CORE_INSTANCES_MAX) + 64u * CORE_DEVICES_MAX)

void core_settle_touched(struct core *core)
{
    uint32_t rounds = 0;
    while (core->unsettled) {
        core->unsettled = false;
        uint32_t model;
        while ((model = core_set_next(&core->touched_models, 0, core->s.model_count)) !=
               CORE_NONE) {
            core_set_remove(&core->touched_models, model);
            settle_model(core, model);
        }
        if (core->qualify) {
            core->qualify = false;
            core_guard_qualify(core);
            core->unsettled = true;
        } else if (core->touched_devices != 0) {
            uint32_t device = (uint32_t)__builtin_ctz(core->touched_devices);
            core->touched_devices &= ~(1u << device);
            settle_device(core, device);
            core->unsettled = true;
            assert(rounds++ < SETTLE_ROUNDS_MAX);
        } else if (core->why_devices != 0) {
            core->unsettled |= core_ask_due(core);
        }
    }
    (void)core_models_wake_ns(core);
}

/* ------------------------------------------------------------------ time */

static void advance(struct core *core)
{
    uint32_t asked = core->asked;
    core_promises_keep(core);
    core_settle(core);
    int64_t now = core->s.now_ns;
    bool models_due = core_models_wake_ns(core) <= now;
    if (models_due) {
        for (uint32_t i = 0; i < core->s.model_count; i++) {
            if (core->models[i].wake_ns <= now) {
                core_touch_model(core, i);
                core_background_timers(core, i);
                core_idle_unload(core, i);
            }
        }
    }
    core_request_expire(core);
    if (models_due) {
        core_queues_expire(core);
    }
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        if (core->devices[i].wake_ns <= now) {
            core_touch_device(core, i);
            core_ask_timers(core, i);
            core_visit_timers(core, i);
            core_switch_timers(core, i);
        }
    }
    if (core->slots_wake_ns <= now) {
        core_slot_timers(core);
    }
    core_settle(core);
    /* A question that the passing of time has raised is put before anything else happens now. */
    if (core->asked == asked) {
        for (uint32_t i = 0; i < core->s.device_count; i++) {
            core_promises_keep(core); /* settling may have begun visits that others end now */
            core_switch_progress(core, i);
        }
        core_background_progress(core);
        core_settle(core);
        if (core->asked == asked) {
            core_promises_keep(core);
            core_dispatch_all(core);
            core_settle(core);
        }
    }
}

/* Something that an ADVANCE would do at once. */
static bool due_now(const struct core *core)
{
    if (core->s.in_flight < core->limits.in_flight_max &&
        core_set_next(&core->s.ready, 0, core->s.model_count) != CORE_NONE) {
        return true;
    }
    return false;
}

int64_t core_wake_ns(const struct core *core)
{
    int64_t wake = core_request_wake_ns(core);
    if (due_now(core)) {
        return core->s.now_ns;
    }
    assert(!core->models_stale); /* every call that changes the core ends by looking */
    wake = earlier(wake, core->models_wake_ns);
    wake = earlier(wake, core->slots_wake_ns);
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        wake = earlier(wake, core->devices[i].wake_ns);
    }
    return wake > core->s.now_ns ? wake : core->s.now_ns;
}

/* ------------------------------------------------------------------ inputs */

static int apply(struct core *core, const struct core_input *input)
{
    switch (input->kind) {
    case CORE_IN_ADVANCE:
        advance(core);
        return 0;
    case CORE_IN_REQUEST:
        return core_request_arrive(core, &input->u.request);
    case CORE_IN_CANCEL:
        return core_request_cancel(core, &input->u.cancel);
    case CORE_IN_FIRST_TOKEN:
        return core_request_first_token(core, input->u.first_token);
    case CORE_IN_COMPLETE:
        return core_request_complete(core, &input->u.complete);
    case CORE_IN_STEP:
        return core_switch_step(core, &input->u.step);
    case CORE_IN_ENGINE:
        return core_instance_engine(core, &input->u.engine);
    case CORE_IN_ENGINE_LOST:
        return core_instance_lost(core, &input->u.engine_lost);
    case CORE_IN_DEVICE:
        return core_device_change(core, &input->u.device);
    case CORE_IN_DECISION:
        return core_decision(core, &input->u.decision);
    case CORE_IN_TIMER:
        return core_slot_timer(core, &input->u.timer);
    case CORE_IN_SLOT:
        return core_slot_change(core, &input->u.slot);
    case CORE_IN_OPERATOR:
        return core_operator(core, &input->u.op);
    default:
        return -EINVAL;
    }
}

/* Whether an input lets a device be asked afresh: everything but answers and timers does. */
static bool outside_event(const struct core_input *input)
{
    return input->kind != CORE_IN_ADVANCE && input->kind != CORE_IN_DECISION &&
           input->kind != CORE_IN_TIMER;
}

static void asks_reset(struct core *core)
{
    for (uint32_t i = 0; i < core->s.device_count; i++) {
        core->devices[i].asks = 0;
    }
}

int core_apply(struct core *core, const struct core_input *input)
{
    assert(core->magic == CORE_MAGIC);
    assert(core->action_read == core->action_count);
    assert(input->t_ns >= core->s.now_ns);
    core->action_count = 0;
    core->action_read = 0;
    core->asked = 0;
    if (!core->s.configured && input->kind != CORE_IN_ADVANCE && input->kind != CORE_IN_SLOT &&
        input->kind != CORE_IN_TIMER) {
        return -EINVAL;
    }
    int64_t before_ns = core->s.now_ns;
    core->s.now_ns = input->t_ns;
    if (input->kind == CORE_IN_ADVANCE && input->t_ns > before_ns) {
        asks_reset(core);
    }
    int error = apply(core, input);
    if (error) {
        core->s.now_ns = before_ns; /* nothing has happened */
        return error;
    }
    if (input->t_ns > before_ns || outside_event(input)) {
        asks_reset(core);
    }
    core_settle(core);
    return 0;
}

uint32_t core_request_capacity(const struct core *core)
{
    return core->limits.queued_max + core->limits.in_flight_max;
}

uint32_t core_selected_slot(const struct core *core)
{
    return core->s.selected;
}
