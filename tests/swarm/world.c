/* The world: engines, clients, operators and faults as events in virtual time, and the loop that
 * feeds core in the order that its contract asks for. */
#include "swarm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which events of one instant are fed: completions, faults, arrivals, decisions. */
enum event_kind {
    EVENT_STEP_END,    /* a instance, b fate */
    EVENT_FIRST_TOKEN, /* a request */
    EVENT_COMPLETE,    /* a request */
    EVENT_ENGINE_LOST, /* a instance */
    EVENT_DEVICE,      /* a device, b up */
    EVENT_NEWS,
    EVENT_OPERATION,
    EVENT_CONFIGURE,
    EVENT_SLOT,
    EVENT_TIMER,
    EVENT_CANCEL,      /* a request */
    EVENT_CANCEL_HEAD, /* a model, or CORE_NONE for any */
    EVENT_POKE,
    EVENT_LIVE,     /* the liveness phase begins */
    EVENT_ARRIVAL,  /* a request */
    EVENT_DECISION, /* a place in the ring of answers */
};

enum step_fate { FATE_OK, FATE_FAIL, FATE_ESCALATE, FATE_CANCELLED };

#define INPUTS_MAX       300000u
#define AT_ONCE_MAX      20000u
#define ADVANCES_MAX     64u
#define CONFIGS_MAX      16u
#define SERVICE_FOR_EVER 40 /* units: a request without a limit */

/* ------------------------------------------------------------------ event heap */

static bool event_before(const struct swarm_event *a, const struct swarm_event *b)
{
    if (a->t_ns != b->t_ns) {
        return a->t_ns < b->t_ns;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind;
    }
    return a->seq < b->seq;
}

static void event_push(struct world *world, int64_t t_ns, uint32_t kind, uint32_t a, uint32_t b,
                       uint32_t epoch)
{
    if (world->event_count == world->event_max) {
        world->event_max = world->event_max ? world->event_max * 2 : 1024;
        world->event = realloc(world->event, world->event_max * sizeof(*world->event));
        if (!world->event) {
            abort();
        }
    }
    uint32_t i = world->event_count++;
    world->event[i] = (struct swarm_event){t_ns, world->event_seq++, kind, a, b, epoch};
    while (i > 0 && event_before(&world->event[i], &world->event[(i - 1) / 2])) {
        struct swarm_event swap = world->event[i];
        world->event[i] = world->event[(i - 1) / 2];
        world->event[(i - 1) / 2] = swap;
        i = (i - 1) / 2;
    }
}

static struct swarm_event event_pop(struct world *world)
{
    struct swarm_event top = world->event[0];
    world->event[0] = world->event[--world->event_count];
    uint32_t i = 0;
    for (;;) {
        uint32_t least = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2; child++) {
            if (child < world->event_count &&
                event_before(&world->event[child], &world->event[least])) {
                least = child;
            }
        }
        if (least == i) {
            return top;
        }
        struct swarm_event swap = world->event[i];
        world->event[i] = world->event[least];
        world->event[least] = swap;
        i = least;
    }
}

/* ------------------------------------------------------------------ actions */

static void on_dispatch(struct world *world, const struct core_act_dispatch *act)
{
    uint32_t r = (uint32_t)act->cookie;
    struct swarm_request *request = &world->request[r];
    const struct plan_model *model = &world->plan.model[request->model];
    int64_t unit = world->plan.unit_ns;
    int64_t service = model->service_max_ns;
    if (!dice_percent(&world->dice, world->plan.step_worst)) {
        service = unit * dice_range(&world->dice, 0, model->service_max_ns / unit);
        service = service < model->service_min_ns ? model->service_min_ns : service;
    }
    request->service_end_ns = world->now_ns + service;
    event_push(world, request->service_end_ns, EVENT_COMPLETE, r, 0, request->epoch);
    if (dice_percent(&world->dice, 50)) {
        event_push(world, world->now_ns + service / 2, EVENT_FIRST_TOKEN, r, 0, request->epoch);
    }
}

static void on_abort(struct world *world, uint32_t r)
{
    struct swarm_request *request = &world->request[r];
    int64_t t = world->now_ns;
    if (!world->plan.strict) {
        t += world->plan.unit_ns * dice_range(&world->dice, 0, 3);
        t = t < request->service_end_ns ? t : request->service_end_ns;
    }
    event_push(world, t, EVENT_COMPLETE, r, 1, request->epoch);
}

static void on_step(struct world *world, const struct core_act_step *act)
{
    uint32_t i = world->instance_of[act->instance];
    struct swarm_instance *instance = &world->instance[i];
    const struct plan *plan = &world->plan;
    struct dice *dice = &world->dice;
    int64_t t = world->now_ns + plan->unit_ns * dice_range(dice, 0, plan->step_max_units);
    if (act->step == CORE_STEP_IN && t == world->now_ns) {
        t += plan->unit_ns; /* else two models could change places for ever in one instant */
    }
    if (act->step == CORE_STEP_IN && dice_percent(dice, plan->step_worst) && act->deadline_ns > t &&
        act->deadline_ns != CORE_NEVER) {
        t = act->deadline_ns; /* the whole switch limit */
    }
    if (act->step == CORE_STEP_PROBE && plan->step_worst != 0) {
        t = world->now_ns;
    }
    uint32_t fate = FATE_OK;
    if (act->step == CORE_STEP_IN && (world->failing_loads >> world_instance_model(i) & 1u)) {
        fate = FATE_FAIL;
    } else if (!world->live_phase) {
        if (dice_percent(dice, plan->step_hang)) {
            return;
        }
        if (dice_percent(dice, plan->step_fail)) {
            fate = FATE_FAIL;
        } else if (act->step == CORE_STEP_OUT && dice_percent(dice, plan->step_escalate)) {
            fate = FATE_ESCALATE;
        }
    }
    event_push(world, t, EVENT_STEP_END, i, fate, instance->epoch);
}

static void on_step_cancel(struct world *world, const struct core_act_step *act)
{
    uint32_t i = world->instance_of[act->instance];
    struct swarm_instance *instance = &world->instance[i];
    instance->epoch++; /* whatever was to come does not */
    int64_t t = world->now_ns;
    if (!world->plan.strict) {
        t += world->plan.unit_ns * dice_range(&world->dice, 0, 2);
    }
    event_push(world, t, EVENT_STEP_END, i, FATE_CANCELLED, instance->epoch);
}

static void on_ask(struct world *world, const struct core_act_ask *act)
{
    const struct plan_policy *policy = &world->plan.policy[act->slot];
    struct dice *dice = &world->policy_dice;
    if (policy->kind == HOSTILE_SILENT || dice_percent(dice, policy->never)) {
        return;
    }
    int64_t t = world->now_ns;
    if (dice_percent(dice, policy->late)) {
        int64_t delta = world->plan.guard.answer_ns;
        t += delta <= 2 ? dice_range(dice, 0, 2) : delta / 2 * dice_range(dice, 0, 4);
    }
    uint32_t at = world->answer_at++ % SWARM_ANSWERS_MAX;
    world->answer[at] = world->ask[act->slot][act->device];
    event_push(world, t, EVENT_DECISION, at, 0, 0);
}

static void on_action(struct world *world, const struct core_action *action)
{
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_DISPATCH:
        on_dispatch(world, &action->u.dispatch);
        break;
    case CORE_ACT_ABORT:
        on_abort(world, (uint32_t)action->u.abort.cookie);
        break;
    case CORE_ACT_STEP:
        on_step(world, &action->u.step);
        break;
    case CORE_ACT_STEP_CANCEL:
        on_step_cancel(world, &action->u.step);
        break;
    case CORE_ACT_ASK:
        on_ask(world, &action->u.ask);
        break;
    case CORE_ACT_ACCEPT:
    case CORE_ACT_REJECT:
    case CORE_ACT_END:
    case CORE_ACT_NOTIFY:
    case CORE_ACT_RECORD:
    case CORE_ACT_KIND_COUNT:
        break;
    }
}

/* ------------------------------------------------------------------ feeding */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    for (; size != 0; size--, at++) {
        hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void drain(struct world *world)
{
    struct core_action action;
    struct core_action other;
    memset(&action, 0, sizeof(action));
    memset(&other, 0, sizeof(other));
    while (core_next(world->core, &action)) {
        world->action_count++;
        world->hash = hash_bytes(world->hash, &action, core_action_size(&action));
        if (world->verbose) {
            log_action(world, &action);
        }
        if (world->twin && (!core_next(world->twin, &other) || action.kind != other.kind ||
                            memcmp(&action, &other, core_action_size(&action)) != 0)) {
            swarm_fail("the core loaded from a save at input %lld acts differently: kind %u "
                       "against %u",
                       (long long)world->twin_at_input, action.kind, other.kind);
        }
        check_action(world, &action);
        on_action(world, &action);
    }
    if (world->twin && core_next(world->twin, &other)) {
        swarm_fail("the core loaded from a save at input %lld has one more action: kind %u",
                   (long long)world->twin_at_input, other.kind);
    }
}

static struct swarm_record *record_new(struct world *world)
{
    if (world->record_count == world->record_max) {
        world->record_max = world->record_max ? world->record_max * 2 : 1024;
        world->record = realloc(world->record, world->record_max * sizeof(*world->record));
        if (!world->record) {
            abort();
        }
    }
    return &world->record[world->record_count++];
}

/* Makes the twin from a save of the core. */
static void twin_start(struct world *world)
{
    size_t size = core_save_size(world->core);
    void *bytes = malloc(size);
    size_t written = bytes ? core_save(world->core, bytes, size) : 0;
    if (written == 0 || written > size) {
        swarm_fail("core_save wrote %zu bytes of %zu", written, size);
    }
    size_t memory_size = core_load_size(bytes, written);
    world->twin_memory = aligned_alloc(64, (memory_size + 63) / 64 * 64);
    if (!world->twin_memory) {
        abort();
    }
    memset(world->twin_memory, 0xa5, memory_size);
    world->twin = core_load(world->twin_memory, memory_size, bytes, written);
    if (!world->twin) {
        swarm_fail("core_load refuses what core_save wrote");
    }
    if (core_hash(world->twin) != core_hash(world->core)) {
        swarm_fail("hash differs after save and load");
    }
    free(bytes);
}

static void after_input(struct world *world)
{
    const char *broken = core_check(world->core);
    if (broken) {
        swarm_fail("core_check: %s", broken);
    }
    if (world->twin && (core_hash(world->core) != core_hash(world->twin) ||
                        core_wake_ns(world->core) != core_wake_ns(world->twin))) {
        swarm_fail("the core loaded from a save at input %lld differs in hash or wake",
                   (long long)world->twin_at_input);
    }
    world->input_count++;
    if (!world->twin && (int64_t)world->input_count == world->twin_at_input) {
        twin_start(world);
    }
    if (world->input_count > INPUTS_MAX) {
        swarm_fail("liveness: %u inputs and no end", INPUTS_MAX);
    }
}

static int feed(struct world *world, struct core_input *input, uint32_t request)
{
    input->t_ns = world->now_ns;
    struct swarm_record *record = record_new(world);
    *record = (struct swarm_record){.t_ns = world->now_ns, .input = *input};
    world->applying = input->kind;
    world->applying_request = request;
    check_input_begin(world, input);
    int rc = core_apply(world->core, input);
    if (world->twin && core_apply(world->twin, input) != rc) {
        swarm_fail("the core loaded from a save answers input kind %u differently", input->kind);
    }
    if (world->verbose) {
        log_input(world, input, rc);
    }
    drain(world);
    check_input_done(world, input, rc);
    after_input(world);
    return rc;
}

static struct core_input input_of(enum core_input_kind kind)
{
    struct core_input input;
    memset(&input, 0, sizeof(input));
    input.kind = kind;
    return input;
}

/* ------------------------------------------------------------------ configuration */

/* Fills `out` with the models of `present`, in an order that changes from time to time, and the
 * index maps that hold once core has taken it. */
static void config_make(struct world *world, struct swarm_config *out, uint32_t present,
                        uint32_t order[SWARM_MODELS_MAX])
{
    const struct plan *plan = &world->plan;
    memset(out, 0, sizeof(*out));
    uint32_t turn = world->record_count == 0 ? 0 : dice_roll(&world->dice, plan->model_count);
    uint32_t count = 0;
    for (uint32_t n = 0; n < plan->model_count; n++) {
        uint32_t m = (n + turn) % plan->model_count;
        if (!(present >> m & 1u)) {
            continue;
        }
        out->model[count] = plan->model[m].config;
        for (uint32_t k = 0; k < plan->model[m].config.instance_count; k++) {
            out->instance[count][k] = plan->model[m].instance[k];
            out->instance[count][k].tier = world->instance[world_instance(m, k)].tier;
        }
        order[count++] = m;
    }
    for (uint32_t d = 0; d < plan->device_count; d++) {
        out->device[d] = plan->device[d];
    }
    out->config = (struct core_config){
        .model_count = count,
        .device_count = plan->device_count,
        .host_memory_bytes = plan->host_memory_bytes,
        .failed_backoff_ns = plan->failed_backoff_ns,
        .retries_max = plan->retries_max,
        .guard = plan->guard,
    };
}

/* Sets the pointers, which do not survive a copy. */
static const struct core_config *config_link(struct swarm_config *config)
{
    for (uint32_t i = 0; i < config->config.model_count; i++) {
        config->model[i].instances = config->instance[i];
    }
    config->config.models = config->model;
    config->config.devices = config->device;
    return &config->config;
}

static void config_taken(struct world *world, uint32_t present,
                         const uint32_t order[SWARM_MODELS_MAX])
{
    world->model_index_count = 0;
    world->instance_index_count = 0;
    for (uint32_t m = 0; m < SWARM_MODELS_MAX; m++) {
        world->index_of[m] = CORE_NONE;
        for (uint32_t k = 0; k < SWARM_DEVICES_MAX; k++) {
            world->instance_index_of[world_instance(m, k)] = CORE_NONE;
            if (!(present >> m & 1u)) {
                struct swarm_instance *instance = &world->instance[world_instance(m, k)];
                uint32_t epoch = instance->epoch + 1;
                *instance = (struct swarm_instance){.epoch = epoch};
            }
        }
    }
    for (uint32_t i = 0; present >> i; i++) {
        if (!(present >> i & 1u)) {
            continue;
        }
        uint32_t m = order[world->model_index_count];
        world->model_of[world->model_index_count] = m;
        world->index_of[m] = world->model_index_count++;
        for (uint32_t k = 0; k < world->plan.model[m].config.instance_count; k++) {
            world->instance_index_of[world_instance(m, k)] = world->instance_index_count;
            world->instance_of[world->instance_index_count++] = world_instance(m, k);
        }
    }
    world->present = present;
}

static int configure(struct world *world, uint32_t present)
{
    uint32_t order[SWARM_MODELS_MAX];
    struct swarm_config *config = malloc(sizeof(*config));
    if (!config) {
        abort();
    }
    config_make(world, config, present, order);
    struct core_config_error error = {0};
    const struct core_config *linked = config_link(config);
    world->applying = CORE_IN_KIND_COUNT;
    world->applying_request = CORE_NONE;
    int rc = core_configure(world->core, linked, world->now_ns, &error);
    if (world->twin && core_configure(world->twin, linked, world->now_ns, &error) != rc) {
        swarm_fail("the core loaded from a save answers a configuration differently");
    }
    if (world->verbose) {
        printf("%12lld configure present %#x -> %d %s\n",
               (long long)(world->now_ns / world->plan.unit_ns), present, rc,
               rc == -EINVAL ? error.what : "");
    }
    struct swarm_record *record = record_new(world);
    *record = (struct swarm_record){.t_ns = world->now_ns, .config = config};
    if (rc == 0) {
        config_taken(world, present, order);
    } else if (world->record_count == 1) {
        swarm_fail("the first configuration is refused: %d %s", rc, error.what ? error.what : "");
    } else if (rc != -EBUSY && rc != -EINVAL) {
        swarm_fail("core_configure returned %d", rc);
    }
    drain(world);
    check_input_done(world, NULL, rc);
    after_input(world);
    if (rc == 0) {
        check_reset(world, present);
        memset(world->visit, 0, sizeof(world->visit)); /* batches and K may be others now */
    }
    return rc;
}

static void reconfigure(struct world *world)
{
    struct plan *plan = &world->plan;
    struct dice *dice = &world->dice;
    struct core_guard_config guard = plan->guard;
    struct plan_model models[SWARM_MODELS_MAX];
    memcpy(models, plan->model, sizeof(models));
    uint32_t present = world->present;
    if (dice_percent(dice, 60)) {
        present ^= 1u << dice_roll(dice, plan->model_count);
    }
    if (dice_percent(dice, 50)) {
        struct core_model_config *model = &plan->model[dice_roll(dice, plan->model_count)].config;
        model->max_concurrency = (uint32_t)dice_range(dice, 1, 8);
        model->queue_max = (uint32_t)dice_range(dice, 1, 50);
    }
    if (dice_percent(dice, 50) && plan->guard.enabled) {
        plan->guard.visit_cap_ns = plan->unit_ns * dice_range(dice, 0, 10);
        plan->guard.overtakes = dice_roll(dice, 4);
        plan->guard.age_ns = plan->unit_ns * dice_range(dice, 0, 30);
        plan->guard.dispatches_min = dice_roll(dice, 2);
    }
    if (present == 0 || configure(world, present) != 0) {
        plan->guard = guard;
        memcpy(plan->model, models, sizeof(models));
    }
}

/* ------------------------------------------------------------------ events */

static void requests_lost(struct world *world, uint32_t instance)
{
    for (uint32_t r = 0; r < world->request_count; r++) {
        struct swarm_request *request = &world->request[r];
        if (request->held && request->instance == instance) {
            request->touched = true;
            request->held = false;
            request->aborted = false;
        }
    }
    world->instance[instance].held = 0;
}

/* Everything on a device is gone. */
static void device_gone(struct world *world, uint32_t device)
{
    world->device_up[device] = false;
    for (uint32_t i = 0; i < SWARM_INSTANCES_MAX; i++) {
        if (world->instance_index_of[i] == CORE_NONE ||
            world_instance_config(world, i)->device != device) {
            continue;
        }
        struct swarm_instance *instance = &world->instance[i];
        uint32_t epoch = instance->epoch + 1;
        requests_lost(world, i);
        *instance = (struct swarm_instance){.epoch = epoch};
    }
}

static void step_report(struct world *world, uint32_t i, uint32_t fate, struct core_in_step *step)
{
    struct swarm_instance *instance = &world->instance[i];
    struct dice *dice = &world->dice;
    *step = (struct core_in_step){
        .switch_id = instance->switch_id,
        .instance = world->instance_index_of[i],
        .step = instance->step,
        .ok = fate == FATE_OK || fate == FATE_ESCALATE,
        .tier = instance->to_tier,
        .device_bytes = -1,
    };
    if (fate == FATE_ESCALATE) {
        step->tier = SHUNT_TIER_STOPPED;
        return;
    }
    if (fate == FATE_OK) {
        return;
    }
    step->retry = dice_roll(dice, 2);
    step->tier = SHUNT_TIER_STOPPED;
    if (instance->step != CORE_STEP_OUT) {
        bool back = instance->step == CORE_STEP_IN && dice_percent(dice, 60);
        step->tier = back ? instance->tier : (uint32_t)SHUNT_TIER_STOPPED;
    } else {
        bool resident = !instance->background && instance->tier == SHUNT_TIER_RESIDENT;
        step->memory_stuck = resident && dice_percent(dice, world->plan.step_stuck);
        bool again = fate != FATE_CANCELLED && instance->attempt < world->plan.retries_max;
        if (!world->plan.strict || (again && step->retry) || !resident) {
            step->tier = dice_percent(dice, 70) ? instance->tier : (uint32_t)SHUNT_TIER_STOPPED;
        }
    }
}

static void on_step_end(struct world *world, const struct swarm_event *event)
{
    struct swarm_instance *instance = &world->instance[event->a];
    if (event->epoch != instance->epoch || !instance->stepping) {
        return;
    }
    struct core_input input = input_of(CORE_IN_STEP);
    step_report(world, event->a, event->b, &input.u.step);
    const struct core_in_step *step = &input.u.step;
    instance->stepping = false;
    instance->epoch++;
    instance->tier = step->tier;
    bool up = step->ok && step->tier == SHUNT_TIER_RESIDENT;
    instance->probing = up && step->step == CORE_STEP_IN;
    instance->device_bytes = world_instance_config(world, event->a)->device_bytes[step->tier];
    instance->host_bytes = world_instance_config(world, event->a)->host_bytes[step->tier];
    uint32_t device = world_instance_config(world, event->a)->device;
    if (step->memory_stuck) {
        device_gone(world, device);
        check_reset(world, world->present);
    }
    feed(world, &input, CORE_NONE);
    if (!instance->stepping && dice_percent(&world->dice, 2)) { /* the same report once more */
        struct core_input again = input;
        if (feed(world, &again, CORE_NONE) != -ESTALE) {
            swarm_fail("a step reported twice is taken twice");
        }
    }
}

static void tell_running(struct world *world, uint32_t i, uint32_t tier, uint32_t running)
{
    struct core_input input = input_of(CORE_IN_ENGINE);
    input.u.engine = (struct core_in_engine){
        .instance = world->instance_index_of[i],
        .tier = tier,
        .device_bytes = -1,
        .host_bytes = -1,
        .running = running,
        .waiting = SHUNT_NONE,
        .kv_used_bytes = -1,
        .kv_total_bytes = 0,
        .prefix_hit_ratio = 0.5,
    };
    world->instance[i].told = running == SHUNT_NONE ? 0 : running;
    feed(world, &input, CORE_NONE);
}

static void on_complete(struct world *world, const struct swarm_event *event)
{
    struct swarm_request *request = &world->request[event->a];
    struct dice *dice = &world->dice;
    if (!request->held || request->epoch != event->epoch) {
        return;
    }
    struct core_input input = input_of(CORE_IN_COMPLETE);
    struct core_in_complete *complete = &input.u.complete;
    complete->request = request->id;
    complete->outcome = request->aborted ? SHUNT_OUTCOME_CANCELLED : SHUNT_OUTCOME_COMPLETED;
    complete->output_tokens = dice_roll(dice, 100);
    if (!request->aborted && !world->live_phase && dice_percent(dice, world->plan.request_fail)) {
        complete->outcome = SHUNT_OUTCOME_FAILED;
        if (!request->first_token && dice_percent(dice, 50)) {
            complete->retry = 1;
            world->model[request->model].wait_unchecked = true;
        }
    }
    request->held = false;
    request->touched = true;
    world->instance[request->instance].held--;
    bool live = request->state == REQUEST_IN_FLIGHT;
    feed(world, &input, event->a);
    if (world->instance[request->instance].told != 0) {
        tell_running(world, request->instance, SHUNT_NONE, world->instance[request->instance].held);
    }
    if (live && complete->outcome == SHUNT_OUTCOME_COMPLETED) {
        world->completed++;
    }
}

static void on_engine_lost(struct world *world, uint32_t i)
{
    struct swarm_instance *instance = &world->instance[i];
    if (world->instance_index_of[i] == CORE_NONE || instance->tier == SHUNT_TIER_STOPPED) {
        return;
    }
    if (instance->stepping) { /* the step sees it first */
        struct swarm_event end = {.a = i, .b = FATE_FAIL, .epoch = instance->epoch};
        on_step_end(world, &end);
        return;
    }
    struct core_input input = input_of(CORE_IN_ENGINE_LOST);
    input.u.engine_lost = (struct core_in_engine_lost){
        .instance = world->instance_index_of[i],
        .tier = SHUNT_TIER_STOPPED,
        .requeue = dice_roll(&world->dice, 2),
    };
    if (input.u.engine_lost.requeue) {
        world->model[world_instance_model(i)].wait_unchecked = true;
    }
    requests_lost(world, i);
    instance->tier = SHUNT_TIER_STOPPED;
    instance->probing = false;
    instance->device_bytes = 0;
    instance->host_bytes = 0;
    feed(world, &input, CORE_NONE);
}

static void on_device(struct world *world, uint32_t device, bool up)
{
    if (world->device_up[device] == up) {
        return;
    }
    if (up) {
        world->device_up[device] = true;
    } else {
        device_gone(world, device);
    }
    check_reset(world, world->present);
    struct core_input input = input_of(CORE_IN_DEVICE);
    input.u.device = (struct core_in_device){.device = device, .up = up};
    if (feed(world, &input, CORE_NONE) != 0) {
        swarm_fail("DEVICE %u up %d is refused", device, up);
    }
    check_reset(world, world->present);
    if (!up && !world->scripted) {
        event_push(world, world->now_ns + world->plan.unit_ns * dice_range(&world->dice, 0, 20),
                   EVENT_DEVICE, device, 1, 0);
    }
}

static void on_news(struct world *world)
{
    uint32_t index = dice_roll(&world->dice, world->instance_index_count);
    const struct swarm_instance *instance = &world->instance[world->instance_of[index]];
    uint32_t i = world->instance_of[index];
    if (world->device_up[world_instance_config(world, i)->device]) {
        /* One after the other: the order in which arguments are evaluated is the compiler's. */
        uint32_t running = dice_percent(&world->dice, 50) ? SHUNT_NONE : instance->held;
        uint32_t tier = dice_percent(&world->dice, 50) ? SHUNT_NONE : instance->tier;
        tell_running(world, i, tier, running);
    }
}

static void on_operation(struct world *world)
{
    struct dice *dice = &world->dice;
    struct core_input input = input_of(CORE_IN_OPERATOR);
    uint32_t model = dice_roll(dice, world->model_index_count);
    uint32_t m = world->model_of[model];
    uint32_t instance = SHUNT_NONE;
    if (dice_percent(dice, 30)) {
        uint32_t k = dice_roll(dice, world->plan.model[m].config.instance_count);
        instance = world->instance_index_of[world_instance(m, k)];
    }
    input.u.op = (struct core_in_operator){
        .operation = dice_percent(dice, 80) ? dice_roll(dice, 4) : dice_roll(dice, 7),
        .model = model,
        .instance = instance,
    };
    int rc = feed(world, &input, CORE_NONE);
    if (rc != 0 && rc != -EPERM && rc != -EBUSY && rc != -EINVAL) {
        swarm_fail("operation %u gives %d", input.u.op.operation, rc);
    }
    if (rc != 0) {
        return;
    }
    if (input.u.op.operation == CORE_OP_DRAIN || input.u.op.operation == CORE_OP_RESUME) {
        world->draining = input.u.op.operation == CORE_OP_DRAIN;
    }
    check_reset(world, world->present);
}

static void slot_change(struct world *world, uint32_t slot, uint32_t change)
{
    struct core_input input = input_of(CORE_IN_SLOT);
    input.u.slot = (struct core_in_slot){.slot = slot, .change = change};
    int rc = feed(world, &input, CORE_NONE);
    if (rc != 0 && rc != -EINVAL && rc != -EBUSY) {
        swarm_fail("slot %u change %u gives %d", slot, change, rc);
    }
}

static void on_slot(struct world *world)
{
    struct dice *dice = &world->dice;
    uint32_t slot = dice_roll(dice, world->plan.slot_count);
    uint32_t change = dice_roll(dice, 6);
    if (change == CORE_SLOT_SELECT && dice_percent(dice, 20)) {
        slot = SHUNT_NONE;
    }
    slot_change(world, slot, change);
}

static void on_timer(struct world *world)
{
    struct dice *dice = &world->dice;
    struct core_input input = input_of(CORE_IN_TIMER);
    uint32_t id = dice_roll(dice, CORE_TIMER_TICK + 1);
    int64_t span = world->plan.unit_ns * dice_range(dice, 1, 10);
    input.u.timer = (struct core_in_timer){
        .slot = dice_roll(dice, world->plan.slot_count),
        .id = id,
        .at_ns = dice_percent(dice, 20) ? CORE_NEVER
                                        : (id == CORE_TIMER_TICK ? span : world->now_ns + span),
    };
    feed(world, &input, CORE_NONE);
}

static void cancel(struct world *world, uint32_t r)
{
    struct swarm_request *request = &world->request[r];
    if (request->state != REQUEST_QUEUED && request->state != REQUEST_IN_FLIGHT) {
        return;
    }
    struct core_input input = input_of(CORE_IN_CANCEL);
    input.u.cancel.request = request->id;
    input.u.cancel.outcome = SHUNT_OUTCOME_CANCELLED;
    if (feed(world, &input, r) != 0) {
        swarm_fail("CANCEL of live request %u is refused", r);
    }
}

static void on_cancel_head(struct world *world, uint32_t m)
{
    for (uint32_t r = 0; r < world->request_count; r++) {
        if (world->request[r].model == m && world->request[r].state == REQUEST_QUEUED) {
            cancel(world, r);
            return;
        }
    }
}

static void expect(struct world *world, struct core_input *input, int wanted, const char *what)
{
    uint64_t before = core_hash(world->core);
    int rc = feed(world, input, CORE_NONE);
    if (rc != wanted) {
        swarm_fail("%s gives %d, not %d", what, rc, wanted);
    }
    if (core_hash(world->core) != before) {
        swarm_fail("%s is refused but changed something", what);
    }
}

/* Inputs that must be refused and change nothing. */
static void on_poke(struct world *world)
{
    /* The first one still moves time on, which the hash may see. */
    struct core_input input = input_of(CORE_IN_STEP);
    input.u.step.switch_id = UINT64_MAX;
    feed(world, &input, CORE_NONE);
    uint64_t ended = 0;
    for (uint32_t r = 0; r < world->request_count; r++) {
        if (world->request[r].state == REQUEST_ENDED && !world->request[r].held) {
            ended = world->request[r].id;
        }
    }
    if (ended != 0) {
        input = input_of(CORE_IN_CANCEL);
        input.u.cancel.request = ended;
        input.u.cancel.outcome = SHUNT_OUTCOME_CANCELLED;
        expect(world, &input, -ESTALE, "CANCEL of an ended request");
        input = input_of(CORE_IN_FIRST_TOKEN);
        input.u.first_token = ended;
        expect(world, &input, -ESTALE, "FIRST_TOKEN of an ended request");
        input = input_of(CORE_IN_COMPLETE);
        input.u.complete.request = ended;
        expect(world, &input, -ESTALE, "COMPLETE of an ended request");
    }
    input = input_of(CORE_IN_STEP);
    input.u.step.switch_id = UINT64_MAX;
    expect(world, &input, -ESTALE, "STEP of an unknown switch");
    input = input_of(CORE_IN_DECISION);
    input.u.decision.ask_id = UINT64_MAX;
    expect(world, &input, -ESTALE, "DECISION on an unknown ask");
    input = input_of(CORE_IN_ENGINE_LOST);
    input.u.engine_lost.instance = SWARM_INSTANCES_MAX;
    expect(world, &input, -EINVAL, "ENGINE_LOST out of range");
    input = input_of(CORE_IN_OPERATOR);
    input.u.op.model = CORE_NONE;
    expect(world, &input, -EINVAL, "LOAD of no model");
    input = input_of(CORE_IN_DEVICE);
    input.u.device.device = SWARM_DEVICES_MAX;
    expect(world, &input, -EINVAL, "DEVICE out of range");
}

static void on_arrival(struct world *world, uint32_t r)
{
    struct swarm_request *request = &world->request[r];
    if (world->index_of[request->model] == CORE_NONE) {
        return;
    }
    struct core_input input = input_of(CORE_IN_REQUEST);
    int64_t deadline = dice_percent(&world->dice, world->plan.deadline)
                           ? world->now_ns + world->plan.unit_ns * dice_range(&world->dice, 0, 30)
                           : 0;
    input.u.request = (struct core_in_request){
        .cookie = r,
        .model = world->index_of[request->model],
        .deadline_ns = deadline,
        .prompt_tokens = 10,
    };
    request->arrival_ns = world->now_ns;
    request->deadline_ns = deadline;
    if (feed(world, &input, r) != 0) {
        swarm_fail("an arrival is refused by its return value");
    }
    if (request->state == REQUEST_QUEUED && dice_percent(&world->dice, world->plan.cancel)) {
        int64_t patience = world->plan.unit_ns * dice_range(&world->dice, 0, 25);
        event_push(world, world->now_ns + patience, EVENT_CANCEL, r, 0, 0);
    }
}

static void on_decision(struct world *world, uint32_t at)
{
    const struct swarm_ask *ask = &world->answer[at];
    struct core_input input = input_of(CORE_IN_DECISION);
    hostile_decide(world, ask, &input.u.decision);
    int rc = feed(world, &input, CORE_NONE);
    if (rc != 0 && rc != -ESTALE) {
        swarm_fail("a decision gives %d", rc);
    }
    struct swarm_ask *now = &world->ask[ask->slot][ask->device];
    if (now->id == ask->id && now->open) {
        swarm_fail("answered ask %llu is still open", (unsigned long long)ask->id);
    }
}

/* Faults end; what was accepted must end too. */
static void on_live(struct world *world)
{
    world->live_phase = true;
    for (uint32_t d = 0; d < world->plan.device_count; d++) {
        on_device(world, d, true);
    }
    struct core_input input = input_of(CORE_IN_OPERATOR);
    input.u.op.operation = CORE_OP_RESUME;
    feed(world, &input, CORE_NONE);
    world->draining = false;
    for (uint32_t s = 0; s < world->plan.slot_count; s++) {
        input = input_of(CORE_IN_TIMER);
        input.u.timer = (struct core_in_timer){s, CORE_TIMER_TICK, CORE_NEVER};
        feed(world, &input, CORE_NONE); /* else ticks outnumber everything */
    }
    if (!world->plan.guard.enabled) {
        slot_change(world, SHUNT_NONE, CORE_SLOT_SELECT);
    }
}

static void handle(struct world *world, const struct swarm_event *event)
{
    bool late = world->live_phase;
    switch ((enum event_kind)event->kind) {
    case EVENT_STEP_END:
        on_step_end(world, event);
        break;
    case EVENT_FIRST_TOKEN: {
        struct swarm_request *request = &world->request[event->a];
        if (request->state == REQUEST_IN_FLIGHT && request->epoch == event->epoch &&
            request->held && !request->aborted) {
            struct core_input input = input_of(CORE_IN_FIRST_TOKEN);
            input.u.first_token = request->id;
            request->first_token = true;
            feed(world, &input, event->a);
        }
        break;
    }
    case EVENT_COMPLETE:
        on_complete(world, event);
        break;
    case EVENT_ENGINE_LOST:
        on_engine_lost(world, event->a);
        break;
    case EVENT_DEVICE:
        on_device(world, event->a, event->b != 0);
        break;
    case EVENT_NEWS:
        on_news(world);
        break;
    case EVENT_OPERATION:
        on_operation(world);
        break;
    case EVENT_CONFIGURE:
        reconfigure(world);
        break;
    case EVENT_SLOT:
        on_slot(world);
        break;
    case EVENT_TIMER:
        on_timer(world);
        break;
    case EVENT_CANCEL:
        cancel(world, event->a);
        break;
    case EVENT_CANCEL_HEAD:
        on_cancel_head(world, event->a);
        break;
    case EVENT_POKE:
        on_poke(world);
        break;
    case EVENT_LIVE:
        on_live(world);
        break;
    case EVENT_ARRIVAL:
        if (!late) {
            on_arrival(world, event->a);
        }
        break;
    case EVENT_DECISION:
        on_decision(world, event->a);
        break;
    }
}

/* ------------------------------------------------------------------ the run */

static void schedule_some(struct world *world, uint32_t kind, uint32_t count, uint32_t range)
{
    int64_t units = world->plan.horizon_ns / world->plan.unit_ns;
    for (uint32_t i = 0; i < count; i++) {
        int64_t t = world->plan.unit_ns * dice_range(&world->dice, 0, units - 1);
        event_push(world, t, kind, dice_roll(&world->dice, range), 0, 0);
    }
}

/* Arrivals come singly or in bursts; cold models get theirs late. */
static void schedule_arrivals(struct world *world)
{
    struct plan *plan = &world->plan;
    int64_t units = plan->horizon_ns / plan->unit_ns;
    for (uint32_t m = 0; m < plan->model_count; m++) {
        bool bursts = dice_percent(&world->dice, 40);
        int64_t at = dice_range(&world->dice, 0, units - 1);
        for (uint32_t i = 0; i < plan->model[m].arrivals; i++) {
            if (!bursts || dice_percent(&world->dice, 15)) {
                at = dice_range(&world->dice, 0, units - 1);
            }
            uint32_t r = world->request_count;
            if (r == SWARM_REQUESTS_MAX) {
                return;
            }
            world->request[r].model = m;
            world->request_count++;
            event_push(world, plan->unit_ns * at, EVENT_ARRIVAL, r, 0, 0);
        }
    }
}

static void schedule(struct world *world)
{
    const struct plan *plan = &world->plan;
    schedule_arrivals(world);
    for (uint32_t i = 0; i < plan->engine_losses; i++) {
        uint32_t m = dice_roll(&world->dice, plan->model_count);
        uint32_t k = dice_roll(&world->dice, plan->model[m].config.instance_count);
        int64_t units = plan->horizon_ns / plan->unit_ns;
        event_push(world, plan->unit_ns * dice_range(&world->dice, 0, units - 1), EVENT_ENGINE_LOST,
                   world_instance(m, k), 0, 0);
    }
    schedule_some(world, EVENT_DEVICE, plan->device_losses, plan->device_count);
    schedule_some(world, EVENT_NEWS, plan->news, 1);
    schedule_some(world, EVENT_OPERATION, plan->operations, 1);
    schedule_some(world, EVENT_CONFIGURE, plan->reconfigurations, 1);
    schedule_some(world, EVENT_SLOT, plan->slot_changes, 1);
    schedule_some(world, EVENT_TIMER, plan->timers, 1);
    schedule_some(world, EVENT_CANCEL_HEAD, plan->cancel_head, plan->model_count);
    schedule_some(world, EVENT_POKE, plan->pokes, 1);
    event_push(world, plan->horizon_ns, EVENT_LIVE, 0, 0, 0);
}

static void schedule_script(struct world *world, const struct script_line *script, uint32_t count)
{
    world->scripted = true;
    for (uint32_t i = 0; i < count; i++) {
        int64_t t = world->plan.unit_ns * script[i].at;
        switch (script[i].kind) {
        case SCRIPT_ARRIVE:
            if (world->request_count == SWARM_REQUESTS_MAX) {
                swarm_fail("the script has too many arrivals");
            }
            world->request[world->request_count].model = script[i].a;
            event_push(world, t, EVENT_ARRIVAL, world->request_count++, 0, 0);
            break;
        case SCRIPT_CANCEL_HEAD:
            event_push(world, t, EVENT_CANCEL_HEAD, script[i].a, 0, 0);
            break;
        case SCRIPT_DEVICE:
            event_push(world, t, EVENT_DEVICE, script[i].a, script[i].b, 0);
            break;
        case SCRIPT_ENGINE_LOST:
            event_push(world, t, EVENT_ENGINE_LOST, world_instance(script[i].a, script[i].b), 0, 0);
            break;
        }
    }
    event_push(world, world->plan.horizon_ns, EVENT_LIVE, 0, 0, 0);
}

/* True when nothing accepted is left. */
static bool all_ended(const struct world *world)
{
    for (uint32_t r = 0; r < world->request_count; r++) {
        const struct swarm_request *request = &world->request[r];
        if (request->state == REQUEST_QUEUED || request->state == REQUEST_IN_FLIGHT ||
            request->held) {
            return false;
        }
    }
    return true;
}

/* Everything of one instant: events first, then ADVANCE, until both are silent. */
static void run_instant(struct world *world)
{
    uint32_t at_once = 0;
    uint32_t advances = 0;
    check_instant_begin(world);
    for (;;) {
        if (++at_once > AT_ONCE_MAX) {
            swarm_fail("%u inputs at one instant", AT_ONCE_MAX);
        }
        if (world->event_count != 0 && world->event[0].t_ns == world->now_ns) {
            struct swarm_event event = event_pop(world);
            handle(world, &event);
            advances = 0;
        } else if (core_wake_ns(world->core) <= world->now_ns) {
            struct core_input input = input_of(CORE_IN_ADVANCE);
            if (feed(world, &input, CORE_NONE) != 0) {
                swarm_fail("ADVANCE is refused");
            }
            if (++advances > ADVANCES_MAX) {
                swarm_fail("wake does not move: %u ADVANCE at one instant", ADVANCES_MAX);
            }
        } else {
            break;
        }
    }
    check_settled(world);
}

static void run(struct world *world)
{
    int64_t limit = CORE_NEVER;
    for (;;) {
        int64_t t = core_wake_ns(world->core);
        if (world->event_count != 0 && world->event[0].t_ns < t) {
            t = world->event[0].t_ns;
        }
        if (world->live_phase && limit == CORE_NEVER) {
            /* Caps are per minute, whatever the unit. */
            limit = world->now_ns + world->plan.unit_ns * INT64_C(4000000) +
                    CORE_NS_PER_S * INT64_C(100000);
        }
        if (world->live_phase && all_ended(world)) {
            return;
        }
        if (t == CORE_NEVER || t > limit) {
            swarm_fail("liveness: requests are left and nothing happens any more (t %lld units)",
                       (long long)(world->now_ns / world->plan.unit_ns));
        }
        if (t < world->now_ns) {
            swarm_fail("core_wake_ns is %lld ns in the past", (long long)(world->now_ns - t));
        }
        world->now_ns = t;
        run_instant(world);
    }
}

static struct core *core_make(const struct plan *plan, void **ret_memory)
{
    size_t size = core_size(&plan->limits);
    *ret_memory = aligned_alloc(64, (size + 63) / 64 * 64);
    if (size == 0 || !*ret_memory) {
        swarm_fail("core_size gives %zu", size);
    }
    memset(*ret_memory, 0x5a, size);
    struct core *core = core_init(*ret_memory, size, &plan->limits, plan->seed);
    if (!core) {
        swarm_fail("core_init refuses");
    }
    return core;
}

/* The recorded inputs, decisions among them, give the same actions to a core without a world. */
static void replay(const struct world *world)
{
    void *memory;
    struct core *core = core_make(&world->plan, &memory);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < world->record_count; i++) {
        const struct swarm_record *record = &world->record[i];
        if (record->config) {
            struct core_config_error error;
            core_configure(core, &record->config->config, record->t_ns, &error);
        } else {
            core_apply(core, &record->input);
        }
        struct core_action action;
        memset(&action, 0, sizeof(action));
        while (core_next(core, &action)) {
            hash = hash_bytes(hash, &action, core_action_size(&action));
        }
    }
    if (hash != world->hash || core_hash(core) != core_hash(world->core)) {
        swarm_fail("the recorded inputs give other actions");
    }
    free(memory);
}

static void world_free(struct world *world)
{
    for (uint32_t i = 0; i < world->record_count; i++) {
        free((void *)(uintptr_t)world->record[i].config);
    }
    free(world->record);
    free(world->event);
    free(world->memory);
    free(world->twin_memory);
    free(world);
}

void swarm_run(const struct plan *plan, const struct swarm_options *options,
               struct swarm_result *ret_result)
{
    struct world *world = calloc(1, sizeof(*world));
    if (!world) {
        abort();
    }
    world->plan = *plan;
    world->verbose = options->verbose;
    world->failing_loads = options->failing_loads;
    world->dice = (struct dice){plan->seed ^ 0x5851f42d, options->tape, options->tape_size, 0};
    world->policy_dice = (struct dice){plan->seed ^ 0x14057b7e, options->tape, options->tape_size,
                                       options->tape_size / 2};
    world->core = core_make(plan, &world->memory);
    world->twin_at_input = options->twin ? dice_range(&world->dice, 1, 400) : -1;
    for (uint32_t d = 0; d < plan->device_count; d++) {
        world->device_up[d] = true;
    }
    configure(world, plan->present);
    for (uint32_t s = 0; s < plan->slot_count; s++) {
        if (s == 0 || dice_percent(&world->dice, 70)) {
            slot_change(world, s, CORE_SLOT_FILL);
        }
    }
    slot_change(world, 0, CORE_SLOT_SELECT);
    if (plan->slot_count > 1 && dice_percent(&world->dice, 30)) {
        slot_change(world, 1, CORE_SLOT_SHADOW);
    }
    if (options->script) {
        schedule_script(world, options->script, options->script_count);
    } else {
        schedule(world);
    }
    run(world);
    check_drained(world);
    if (options->replay) {
        replay(world);
    }
    *ret_result = (struct swarm_result){
        .hash = world->hash,
        .inputs = world->input_count,
        .actions = world->action_count,
        .requests = world->request_count,
        .switches = world->switches,
        .gaps_bounded = world->gaps_bounded,
        .gap_ratio_max = world->gap_ratio_max,
        .wait_ratio_max = world->wait_ratio_max,
        .completed = world->completed,
    };
    for (uint32_t m = 0; m < plan->model_count; m++) {
        struct core_bounds bounds = {0};
        if (world->index_of[m] != CORE_NONE) {
            core_bounds_guaranteed(world->core, world->index_of[m], &bounds);
        }
        ret_result->gap_bound_ns[m] = bounds.gap_ns;
        ret_result->gap_max_ns[m] = world->model[m].gap_max_ns;
        ret_result->wait_max_ns[m] = world->model[m].wait_max_ns;
    }
    world_free(world);
}
