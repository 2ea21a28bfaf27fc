/* Checks from outside: what the world believes, from inputs and actions alone, against what core
 * does. Names of invariants and rules are those of docs/GUARD.md. */
#include "swarm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static long long units(const struct world *world, int64_t ns)
{
    return (long long)(ns / world->plan.unit_ns);
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t batch_of(const struct world *world, uint32_t model)
{
    return world->plan.model[model].config.max_concurrency;
}

/* ------------------------------------------------------------------ requests */

static void leave_state(struct world *world, struct swarm_request *request)
{
    struct swarm_model *model = &world->model[request->model];
    if (request->state == REQUEST_QUEUED) {
        model->queued--;
        if (model->queued == 0) {
            model->emptied = true;
        }
    } else if (request->state == REQUEST_IN_FLIGHT) {
        model->in_flight--;
    }
}

static void end_request(struct world *world, struct swarm_request *request)
{
    leave_state(world, request);
    request->state = REQUEST_ENDED;
    world->model[request->model].ended++;
}

static void queue_request(struct world *world, struct swarm_request *request)
{
    leave_state(world, request);
    request->state = REQUEST_QUEUED;
    world->model[request->model].queued++;
}

static struct swarm_request *request_of(struct world *world, uint64_t cookie, uint64_t id)
{
    if (cookie >= world->request_count) {
        swarm_fail("an action has cookie %llu that was never given", (unsigned long long)cookie);
    }
    struct swarm_request *request = &world->request[cookie];
    if (request->id != id) {
        swarm_fail("an action about request %llu has another id", (unsigned long long)cookie);
    }
    return request;
}

static void check_wait_bound(struct world *world, const struct swarm_request *request)
{
    struct swarm_model *model = &world->model[request->model];
    if (world->now_ns - request->arrival_ns > model->wait_max_ns) {
        model->wait_max_ns = world->now_ns - request->arrival_ns;
    }
    if (!world->plan.strict || model->wait_unchecked || model->wait_bound_ns == 0 ||
        request->arrival_ns < model->reset_ns) {
        return;
    }
    int64_t wait = world->now_ns - request->arrival_ns;
    double ratio = (double)wait / (double)model->wait_bound_ns;
    world->wait_ratio_max = ratio > world->wait_ratio_max ? ratio : world->wait_ratio_max;
    if (wait > model->wait_bound_ns) {
        swarm_fail("I3: model %u: a wait of %lld against a bound of %lld units", request->model,
                   units(world, wait), units(world, model->wait_bound_ns));
    }
}

static void check_wait_parts(const struct world *world, const int64_t parts[CORE_WAIT_COUNT],
                             int64_t whole, const char *where)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < CORE_WAIT_COUNT; i++) {
        if (parts[i] < 0) {
            swarm_fail("%s: part %u of the wait is negative", where, i);
        }
        sum += parts[i];
    }
    if (sum != whole) {
        swarm_fail("%s: parts of the wait sum to %lld ns of %lld (unit %lld)", where,
                   (long long)sum, (long long)whole, (long long)world->plan.unit_ns);
    }
}

/* ------------------------------------------------------------------ actions */

static void check_accept(struct world *world, const struct core_act_accept *act)
{
    if (world->applying != CORE_IN_REQUEST || act->cookie != world->applying_request) {
        swarm_fail("ACCEPT of %llu that has not just arrived", (unsigned long long)act->cookie);
    }
    struct swarm_request *request = &world->request[act->cookie];
    struct swarm_model *model = &world->model[request->model];
    for (uint32_t r = 0; r < world->request_count; r++) {
        if (world->request[r].id == act->request && world->request[r].state != REQUEST_UNSENT) {
            swarm_fail("id of request %u is given again", r);
        }
    }
    if ((uint32_t)act->request >= core_request_capacity(world->core)) {
        swarm_fail("id of a request is beyond the capacity");
    }
    if (act->position != model->queued) {
        swarm_fail("ACCEPT at position %u behind %u", act->position, model->queued);
    }
    if (world->draining) {
        swarm_fail("ACCEPT while the operator drains");
    }
    world->answers++;
    request->id = act->request;
    request->order = world->input_count;
    queue_request(world, request);
    model->arrived++;
}

static void check_reject(struct world *world, const struct core_act_reject *act)
{
    if (world->applying != CORE_IN_REQUEST || act->cookie != world->applying_request) {
        swarm_fail("REJECT of %llu that has not just arrived", (unsigned long long)act->cookie);
    }
    struct swarm_request *request = &world->request[act->cookie];
    if (act->reason == CORE_REJECT_QUEUE_FULL) {
        uint32_t all = 0;
        for (uint32_t m = 0; m < SWARM_MODELS_MAX; m++) {
            all += world->model[m].queued + world->model[m].in_flight;
        }
        uint32_t room = world->plan.model[request->model].config.queue_max;
        if (world->model[request->model].queued < room && all < world->plan.limits.queued_max) {
            swarm_fail("model %u: queue full at %u of %u", request->model,
                       world->model[request->model].queued, room);
        }
    }
    world->answers++;
    request->state = REQUEST_REJECTED;
}

static void check_dispatch(struct world *world, const struct core_act_dispatch *act)
{
    struct swarm_request *request = request_of(world, act->cookie, act->request);
    uint32_t m = request->model;
    if (world->applying != CORE_IN_ADVANCE) {
        swarm_fail("DISPATCH outside ADVANCE, input kind %u", world->applying);
    }
    if (request->state != REQUEST_QUEUED || request->held) {
        swarm_fail("I1: request %llu dispatched in state %u, held %d",
                   (unsigned long long)act->cookie, request->state, request->held);
    }
    for (uint32_t r = 0; r < world->request_count; r++) {
        const struct swarm_request *other = &world->request[r];
        if (other->state == REQUEST_QUEUED && other->model == m && other->order < request->order) {
            swarm_fail("R7: model %u: request %llu overtakes %u", m,
                       (unsigned long long)act->cookie, r);
        }
    }
    uint32_t i = world->instance_of[act->instance];
    struct swarm_instance *instance = &world->instance[i];
    if (act->model != world->index_of[m] || world_instance_model(i) != m) {
        swarm_fail("request of model %u dispatched to instance %u of model %u", m, act->instance,
                   world_instance_model(i));
    }
    if (instance->tier != SHUNT_TIER_RESIDENT || instance->stepping || instance->probing ||
        !world->device_up[world_instance_config(world, i)->device]) {
        swarm_fail("I6: dispatch to instance %u in tier %u, stepping %d, probing %d", act->instance,
                   instance->tier, instance->stepping, instance->probing);
    }
    if (instance->held >= batch_of(world, m)) {
        swarm_fail("instance %u holds %u requests of %u and gets one more", act->instance,
                   instance->held, batch_of(world, m));
    }
    check_wait_parts(world, act->wait_ns, world->now_ns - request->arrival_ns, "DISPATCH");
    if (act->arrival_ns != request->arrival_ns) {
        swarm_fail("DISPATCH with another arrival time");
    }
    if (request->epoch == 0) {
        check_wait_bound(world, request);
    }
    leave_state(world, request);
    request->state = REQUEST_IN_FLIGHT;
    request->instance = i;
    request->held = true;
    request->first_token = false;
    request->epoch++;
    instance->held++;
    world->model[m].in_flight++;
    world->model[m].dispatched = true;
    if (world->visit[i].due > 0) {
        world->visit[i].due--;
    }
}

static void check_end(struct world *world, const struct core_act_end *act)
{
    struct swarm_request *request = request_of(world, act->cookie, act->request);
    if (request->state != REQUEST_QUEUED && request->state != REQUEST_IN_FLIGHT) {
        swarm_fail("I1: request %llu ends again (state %u, outcome %u)",
                   (unsigned long long)act->cookie, request->state, act->outcome);
    }
    if (request->state == REQUEST_IN_FLIGHT && !request->held && act->dispatched == 0) {
        queue_request(world, request); /* it went back when its engine was lost, and ends there */
        request->touched = false;
    }
    bool queued = request->state == REQUEST_QUEUED;
    if (queued != (act->dispatched == 0)) {
        swarm_fail("END of request %llu says dispatched %u", (unsigned long long)act->cookie,
                   act->dispatched);
    }
    if (queued && request->epoch == 0) {
        check_wait_parts(world, act->wait_ns, world->now_ns - request->arrival_ns, "END");
        check_wait_bound(world, request);
    }
    int64_t max_wait = world->plan.model[request->model].config.max_wait_ns;
    if (act->outcome == SHUNT_OUTCOME_EXPIRED && queued &&
        !(max_wait != 0 && world->now_ns >= request->arrival_ns + max_wait) &&
        !(request->deadline_ns != 0 && world->now_ns >= request->deadline_ns)) {
        swarm_fail("request %llu expires before its time", (unsigned long long)act->cookie);
    }
    if (act->outcome == SHUNT_OUTCOME_COMPLETED) {
        swarm_fail("END with outcome completed");
    }
    if (act->outcome == SHUNT_OUTCOME_CUT && world->plan.strict &&
        world->plan.guard.drain_ns == 0 && world->plan.model[0].config.service_limit_ns != 0) {
        swarm_fail("request %llu is cut although D is not below B",
                   (unsigned long long)act->cookie);
    }
    end_request(world, request);
}

static void check_abort(struct world *world, const struct core_act_abort *act)
{
    struct swarm_request *request = request_of(world, act->cookie, act->request);
    if (!request->held || request->aborted) {
        swarm_fail("ABORT of request %llu that no engine holds", (unsigned long long)act->cookie);
    }
    request->aborted = true;
    request->touched = true;
}

/* Nothing that its client still waits for may be in flight when weights leave the device. */
static void check_out(struct world *world, uint32_t i)
{
    for (uint32_t r = 0; r < world->request_count; r++) {
        const struct swarm_request *request = &world->request[r];
        if (request->held && request->instance == i && !request->aborted) {
            swarm_fail("instance %u moves out with request %u in flight",
                       world->instance_index_of[i], r);
        }
    }
}

static void check_step(struct world *world, const struct core_act_step *act)
{
    uint32_t i = world->instance_of[act->instance];
    struct swarm_instance *instance = &world->instance[i];
    const struct core_instance_config *config = world_instance_config(world, i);
    if (instance->stepping) {
        swarm_fail("a second step for instance %u", act->instance);
    }
    if (!world->device_up[config->device]) {
        swarm_fail("a step on device %u, which is away", config->device);
    }
    if (act->from_tier != instance->tier) {
        swarm_fail("a step of instance %u from tier %u, but it is in %u", act->instance,
                   act->from_tier, instance->tier);
    }
    if (act->to_tier >= SHUNT_TIER_COUNT || !(config->tiers >> act->to_tier & 1u)) {
        swarm_fail("a step of instance %u to tier %u, which it does not have", act->instance,
                   act->to_tier);
    }
    if (act->step == CORE_STEP_IN && !(config->edges_in >> act->from_tier & 1u) &&
        act->to_tier == SHUNT_TIER_RESIDENT) {
        swarm_fail("in-step of instance %u from tier %u, which has no such edge", act->instance,
                   act->from_tier);
    }
    if (world->plan.strict && !act->background &&
        act->deadline_ns > world->now_ns + world->plan.guard.switch_limit_ns) {
        swarm_fail("a step may last beyond the switch limit");
    }
    if (act->step == CORE_STEP_OUT && instance->tier == SHUNT_TIER_RESIDENT) {
        check_out(world, i);
    }
    instance->stepping = true;
    instance->background = act->background != 0;
    instance->switch_id = act->switch_id;
    instance->step = act->step;
    instance->attempt = act->attempt;
    instance->to_tier = act->to_tier;
    instance->epoch++;
    if (act->step == CORE_STEP_IN && !act->background) {
        world->switches++;
    }
}

static void check_step_cancel(struct world *world, const struct core_act_step *act)
{
    const struct swarm_instance *instance = &world->instance[world->instance_of[act->instance]];
    if (!instance->stepping || instance->switch_id != act->switch_id) {
        swarm_fail("STEP_CANCEL for instance %u without a step", act->instance);
    }
}

static void check_snapshot(struct world *world)
{
    const struct shunt_snapshot *snapshot = core_snapshot(world->core);
    if (!snapshot || snapshot->magic != SHUNT_SNAPSHOT_MAGIC || snapshot->now_ns != world->now_ns ||
        shunt_model_count(snapshot) != world->model_index_count) {
        swarm_fail("the snapshot of an ask is not of now");
    }
    const uint32_t *queue = shunt_u32(snapshot, SHUNT_COL_QUEUE_LEN);
    const uint32_t *tier = shunt_u32(snapshot, SHUNT_COL_INSTANCE_TIER);
    if (!queue || !tier) {
        swarm_fail("the snapshot lacks columns");
    }
    for (uint32_t i = 0; i < world->model_index_count; i++) {
        if (queue[i] != world->model[world->model_of[i]].queued) {
            swarm_fail("the snapshot shows %u waiting for model %u, there are %u", queue[i],
                       world->model_of[i], world->model[world->model_of[i]].queued);
        }
    }
}

static void check_ask(struct world *world, const struct core_act_ask *act)
{
    if (act->slot >= world->plan.slot_count || act->device >= world->plan.device_count) {
        swarm_fail("ASK of slot %u about device %u", act->slot, act->device);
    }
    struct swarm_ask *ask = &world->ask[act->slot][act->device];
    if (!world->slot[act->slot].filled) {
        swarm_fail("ASK of slot %u, which is empty", act->slot);
    }
    if (ask->open && ask->deadline_ns > world->now_ns) {
        swarm_fail("a second ask of slot %u about device %u", act->slot, act->device);
    }
    if (++world->asks_at_once[act->slot][act->device] > 8) {
        swarm_fail("more than eight asks of slot %u about device %u at one instant", act->slot,
                   act->device);
    }
    if (act->deadline_ns < world->now_ns ||
        act->deadline_ns > world->now_ns + world->plan.guard.answer_ns) {
        swarm_fail("ASK with a deadline of its own");
    }
    *ask = (struct swarm_ask){
        .open = true,
        .id = act->id,
        .generation = act->generation,
        .deadline_ns = act->deadline_ns,
        .slot = act->slot,
        .device = act->device,
        .why = act->why,
    };
    world->asked = true;
}

static void check_notify(struct world *world, const struct core_act_notify *act)
{
    for (uint32_t s = 0; s < 32; s++) {
        if ((act->slots >> s & 1u) && (s >= world->plan.slot_count || !world->slot[s].filled)) {
            swarm_fail("hook %u of slot %u, which is empty", act->hook, s);
        }
    }
}

static void check_visit(struct world *world, const struct core_rec_visit *visit)
{
    uint32_t i = world->instance_of[visit->instance];
    uint32_t m = world_instance_model(i);
    uint32_t k = world->plan.guard.dispatches_min;
    k = k == 0 ? batch_of(world, m) : min_u32(k, batch_of(world, m));
    uint32_t free = batch_of(world, m) - min_u32(batch_of(world, m), world->instance[i].held);
    world->model[m].visited = true;
    world->visit[i] = (struct swarm_visit){
        .due = min_u32(k, min_u32(world->model[m].queued, free)),
        .order = world->input_count,
    };
}

static void check_record(struct world *world, const struct core_act_record *act)
{
    if (act->kind == CORE_REC_VISIT) {
        check_visit(world, &act->u.visit);
    } else if (act->kind == CORE_REC_REQUEST) {
        const struct core_rec_request *record = &act->u.request;
        check_wait_parts(world, record->wait_ns, record->dispatch_ns - record->arrival_ns,
                         "record of a request");
    }
}

void check_action(struct world *world, const struct core_action *action)
{
    if (action->t_ns != world->now_ns) {
        swarm_fail("action of kind %u has another time", action->kind);
    }
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
        check_accept(world, &action->u.accept);
        break;
    case CORE_ACT_REJECT:
        check_reject(world, &action->u.reject);
        break;
    case CORE_ACT_DISPATCH:
        check_dispatch(world, &action->u.dispatch);
        break;
    case CORE_ACT_END:
        check_end(world, &action->u.end);
        break;
    case CORE_ACT_ABORT:
        check_abort(world, &action->u.abort);
        break;
    case CORE_ACT_STEP:
        check_step(world, &action->u.step);
        break;
    case CORE_ACT_STEP_CANCEL:
        check_step_cancel(world, &action->u.step);
        break;
    case CORE_ACT_ASK:
        check_ask(world, &action->u.ask);
        break;
    case CORE_ACT_NOTIFY:
        check_notify(world, &action->u.notify);
        break;
    case CORE_ACT_RECORD:
        check_record(world, &action->u.record);
        break;
    case CORE_ACT_KIND_COUNT:
    default:
        swarm_fail("action of unknown kind %u", action->kind);
    }
}

/* ------------------------------------------------------------------ inputs */

static void close_asks(struct world *world, uint32_t slot)
{
    for (uint32_t d = 0; d < SWARM_DEVICES_MAX; d++) {
        world->ask[slot][d].open = false;
    }
}

void check_input_begin(struct world *world, const struct core_input *input)
{
    world->answers = 0;
    if (input->kind != CORE_IN_ADVANCE && input->kind != CORE_IN_DECISION) {
        memset(world->asks_at_once, 0, sizeof(world->asks_at_once));
    }
    if (input->kind == CORE_IN_DECISION) {
        for (uint32_t s = 0; s < SWARM_SLOTS_MAX; s++) {
            for (uint32_t d = 0; d < SWARM_DEVICES_MAX; d++) {
                if (world->ask[s][d].id == input->u.decision.ask_id) {
                    world->ask[s][d].open = false;
                }
            }
        }
    }
    if (input->kind == CORE_IN_SLOT && input->u.slot.slot < world->plan.slot_count) {
        uint32_t slot = input->u.slot.slot;
        if (input->u.slot.change == CORE_SLOT_FILL) {
            world->slot[slot].filled = true;
            close_asks(world, slot);
        } else if (input->u.slot.change == CORE_SLOT_EMPTY ||
                   input->u.slot.change == CORE_SLOT_LOST) {
            world->slot[slot].filled = false;
            close_asks(world, slot);
        }
    }
    if (input->kind == CORE_IN_DEVICE ||
        (input->kind == CORE_IN_SLOT && input->u.slot.change == CORE_SLOT_SELECT) ||
        (input->kind == CORE_IN_STEP && input->u.step.memory_stuck)) {
        for (uint32_t s = 0; s < SWARM_SLOTS_MAX; s++) { /* what was asked before is void */
            close_asks(world, s);
        }
    }
}

/* A request that core may have moved: in flight, queued again, or ended. */
static void look(struct world *world, uint32_t r, bool may_end)
{
    struct swarm_request *request = &world->request[r];
    request->touched = false;
    if (request->state != REQUEST_IN_FLIGHT) {
        if (!request->held) {
            request->aborted = false;
        }
        return;
    }
    uint32_t position = 0;
    int64_t wait[CORE_WAIT_COUNT];
    int rc = core_request_view(world->core, request->id, world->now_ns, &position, wait);
    if (rc == -ESTALE) {
        if (!may_end) {
            swarm_fail("I1: request %u has vanished without END", r);
        }
        end_request(world, request);
        request->aborted = false;
        return;
    }
    if (rc != 0) {
        swarm_fail("core_request_view gives %d", rc);
    }
    if (position == CORE_NONE) {
        if (!request->held) {
            swarm_fail("request %u is in flight where no engine holds it", r);
        }
        return;
    }
    if (request->first_token) {
        swarm_fail("request %u is queued again after its first byte", r);
    }
    if (request->aborted && ++request->requeues > 2) {
        swarm_fail("request %u is queued again a third time", r);
    }
    if (!request->held) {
        request->aborted = false;
    }
    for (uint32_t k = 0; k < SWARM_DEVICES_MAX; k++) { /* R2 was kept, and undone at once */
        world->visit[world_instance(request->model, k)].due = 0;
    }
    queue_request(world, request);
}

static void check_memory(struct world *world)
{
    int64_t device[SWARM_DEVICES_MAX] = {0};
    int64_t host = 0;
    for (uint32_t i = 0; i < SWARM_INSTANCES_MAX; i++) {
        if (world->instance_index_of[i] == CORE_NONE) {
            continue;
        }
        const struct swarm_instance *instance = &world->instance[i];
        const struct core_instance_config *config = world_instance_config(world, i);
        int64_t here = instance->device_bytes;
        int64_t there = instance->host_bytes;
        if (instance->stepping) {
            int64_t to = config->device_bytes[instance->to_tier];
            here = to > here ? to : here;
            to = config->host_bytes[instance->to_tier];
            there = to > there ? to : there;
        }
        device[config->device] += here;
        host += there;
    }
    for (uint32_t d = 0; d < world->plan.device_count; d++) {
        if (world->device_up[d] && device[d] > world->plan.device[d].memory_bytes) {
            swarm_fail("I4: device %u holds %lld of %lld bytes", d, (long long)device[d],
                       (long long)world->plan.device[d].memory_bytes);
        }
    }
    if (world->plan.host_memory_bytes != 0 && host > world->plan.host_memory_bytes) {
        swarm_fail("I4: the host holds %lld of %lld bytes", (long long)host,
                   (long long)world->plan.host_memory_bytes);
    }
}

void check_input_done(struct world *world, const struct core_input *input, int rc)
{
    uint32_t kind = input ? input->kind : CORE_IN_KIND_COUNT;
    uint32_t about = world->applying_request;
    if (kind == CORE_IN_REQUEST && world->answers != 1) {
        swarm_fail("I1: an arrival got %u answers", world->answers);
    }
    if (kind == CORE_IN_CANCEL && rc == 0 && about != CORE_NONE) {
        struct swarm_request *request = &world->request[about];
        if (request->held && !request->aborted) {
            swarm_fail("I7: request %u is cancelled but not aborted", about);
        }
        if (request->state != REQUEST_ENDED) {
            end_request(world, request);
        }
    }
    for (uint32_t r = 0; r < world->request_count; r++) {
        if (world->request[r].touched) {
            look(world, r, kind == CORE_IN_COMPLETE && r == about);
        }
    }
    if (world->asked) {
        check_snapshot(world);
        world->asked = false;
    }
    if (kind == CORE_IN_OPERATOR && rc == 0 && input->u.op.operation == CORE_OP_STOP) {
        for (uint32_t m = 0; m < SWARM_MODELS_MAX; m++) {
            if (world->model[m].queued != 0) {
                swarm_fail("STOP leaves %u requests of model %u", world->model[m].queued, m);
            }
        }
    }
    check_memory(world);
}

/* ------------------------------------------------------------------ instants */

void check_instant_begin(struct world *world)
{
    memset(world->asks_at_once, 0, sizeof(world->asks_at_once));
    memset(world->visit, 0, sizeof(world->visit));
    for (uint32_t m = 0; m < SWARM_MODELS_MAX; m++) {
        world->model[m].visited = false;
        world->model[m].dispatched = false;
        world->model[m].emptied = false;
    }
}

void check_reset(struct world *world, uint32_t models)
{
    for (uint32_t m = 0; m < SWARM_MODELS_MAX; m++) {
        if (models >> m & 1u) {
            struct swarm_model *model = &world->model[m];
            model->reset_ns = world->now_ns + 1; /* arrivals of this very instant too */
            model->wait_bound_ns = 0;
            model->wait_unchecked = false;
            model->waiting = false;
        }
    }
}

/* Whether a visit still owes a dispatch to a request that waited when it began. */
static bool owes(const struct world *world, uint32_t m, const struct swarm_visit *visit)
{
    for (uint32_t r = 0; visit->due != 0 && r < world->request_count; r++) {
        const struct swarm_request *request = &world->request[r];
        if (request->state == REQUEST_QUEUED && request->model == m &&
            request->order < visit->order) {
            return true;
        }
    }
    return false;
}

/* Whether the model admits; and that an instance which says so is able to and does. */
static bool check_admission(struct world *world, uint32_t m)
{
    bool admits = false;
    const struct plan_model *plan = &world->plan.model[m];
    for (uint32_t k = 0; k < plan->config.instance_count; k++) {
        uint32_t i = world_instance(m, k);
        const struct swarm_instance *instance = &world->instance[i];
        struct core_instance_view view;
        if (core_instance_view(world->core, world->instance_index_of[i], &view) != 0) {
            swarm_fail("no view of instance %u", world->instance_index_of[i]);
        }
        bool up = world->device_up[plan->instance[k].device];
        if (!instance->stepping && up && view.tier != instance->tier) {
            swarm_fail("core sees instance %u in tier %u, it is in %u", world->instance_index_of[i],
                       view.tier, instance->tier);
        }
        if (!view.admitting) {
            if (owes(world, m, &world->visit[i]) && up && instance->tier == SHUNT_TIER_RESIDENT &&
                instance->held < batch_of(world, m) && world->plan.strict) {
                swarm_fail("R2: a visit to model %u ended with %u dispatches due", m,
                           world->visit[i].due);
            }
            continue;
        }
        admits = true;
        if (!up || instance->tier != SHUNT_TIER_RESIDENT || instance->stepping) {
            swarm_fail("I6: instance %u admits in tier %u", world->instance_index_of[i],
                       instance->tier);
        }
        uint32_t in_flight = 0;
        for (uint32_t n = 0; n < SWARM_INSTANCES_MAX; n++) {
            in_flight += world->instance[n].held;
        }
        if (world->model[m].queued != 0 && instance->held < batch_of(world, m) &&
            in_flight < world->plan.limits.in_flight_max) {
            swarm_fail("I13: instance %u of model %u admits, has room, and %u wait",
                       world->instance_index_of[i], m, world->model[m].queued);
        }
    }
    return admits;
}

static void check_gap_ended(struct world *world, uint32_t m)
{
    struct swarm_model *model = &world->model[m];
    if (world->now_ns - model->gap_start_ns > model->gap_max_ns) {
        model->gap_max_ns = world->now_ns - model->gap_start_ns;
    }
    if (model->unbounded || !world->plan.strict || model->gap_bound_ns == 0) {
        return;
    }
    int64_t gap = world->now_ns - model->gap_start_ns;
    double ratio = (double)gap / (double)model->gap_bound_ns;
    world->gap_ratio_max = ratio > world->gap_ratio_max ? ratio : world->gap_ratio_max;
    world->gaps_bounded++;
    if (gap > model->gap_bound_ns) {
        swarm_fail("I3: model %u: a gap of %lld against a bound of %lld units (since %lld)", m,
                   units(world, gap), units(world, model->gap_bound_ns),
                   units(world, model->gap_start_ns));
    }
}

/* The gap as theory has it: from when the model waits and nobody admits it, until a visit to it
 * starts, it is admitted, or its queue is empty. */
static void check_gap(struct world *world, uint32_t m, bool admits)
{
    struct swarm_model *model = &world->model[m];
    struct core_bounds bounds;
    core_bounds_guaranteed(world->core, world->index_of[m], &bounds);
    if ((bounds.gap_ns == 0) != (bounds.reason != NULL) && bounds.wait_ns != 0) {
        swarm_fail("a bound of %lld with reason %s", (long long)bounds.gap_ns,
                   bounds.reason ? bounds.reason : "none");
    }
    bool waits = model->queued != 0 && !admits;
    if (model->waiting) {
        check_gap_ended(world, m); /* also while it runs */
        if (!waits || model->visited || model->dispatched || model->emptied) {
            model->waiting = false;
        }
    }
    if (waits && !model->waiting) {
        model->waiting = true;
        model->gap_start_ns = world->now_ns;
        model->gap_bound_ns = 0;
        model->unbounded = false;
    }
    if (bounds.gap_ns == 0) {
        model->unbounded = true;
    } else if (bounds.gap_ns > model->gap_bound_ns) {
        model->gap_bound_ns = bounds.gap_ns;
    }
    if (bounds.wait_ns == 0) {
        model->wait_unchecked = true;
    } else if (bounds.wait_ns > model->wait_bound_ns) {
        model->wait_bound_ns = bounds.wait_ns;
    }
}

static void check_model_counts(struct world *world, uint32_t m)
{
    const struct swarm_model *model = &world->model[m];
    struct core_model_stats stats;
    core_model_stats(world->core, world->index_of[m], world->now_ns, &stats);
    uint32_t held = 0;
    for (uint32_t k = 0; k < SWARM_DEVICES_MAX; k++) {
        held += world->instance[world_instance(m, k)].held;
    }
    if (stats.queued != model->queued || stats.in_flight < model->in_flight ||
        stats.in_flight > model->in_flight + held) {
        swarm_fail("I2: model %u: core counts %u queued, %u in flight; there are %u, %u", m,
                   stats.queued, stats.in_flight, model->queued, model->in_flight);
    }
    if (model->arrived != model->ended + model->queued + model->in_flight) {
        swarm_fail("I2: model %u: own bookkeeping does not add up", m);
    }
}

static void check_expiry(struct world *world)
{
    for (uint32_t r = 0; r < world->request_count; r++) {
        const struct swarm_request *request = &world->request[r];
        if (request->state != REQUEST_QUEUED) {
            continue;
        }
        int64_t max_wait = world->plan.model[request->model].config.max_wait_ns;
        if ((max_wait != 0 && world->now_ns >= request->arrival_ns + max_wait) ||
            (request->deadline_ns != 0 && world->now_ns >= request->deadline_ns)) {
            swarm_fail("request %u waits beyond its limit", r);
        }
    }
}

static void check_device(struct world *world, uint32_t d)
{
    struct core_device_stats stats;
    core_device_stats(world->core, d, world->now_ns, &stats);
    int64_t sum = 0;
    for (uint32_t s = 0; s < SHUNT_DEVICE_STATE_COUNT; s++) {
        if (stats.state_ns[s] < world->state_ns[d][s]) {
            swarm_fail("I14: device %u: time in state %u goes back", d, s);
        }
        world->state_ns[d][s] = stats.state_ns[s];
        sum += stats.state_ns[s];
    }
    if (sum != world->now_ns - stats.since_ns) {
        swarm_fail("I14: device %u: states sum to %lld ns of %lld", d, (long long)sum,
                   (long long)(world->now_ns - stats.since_ns));
    }
    if ((stats.up != 0) != world->device_up[d]) {
        swarm_fail("device %u: core says up %u", d, stats.up);
    }
    uint32_t held = 0;
    uint32_t live = 0;
    uint32_t waiting = 0;
    bool stepping = false;
    for (uint32_t i = 0; i < SWARM_INSTANCES_MAX; i++) {
        if (world->instance_index_of[i] != CORE_NONE &&
            world_instance_config(world, i)->device == d) {
            held += world->instance[i].held;
            stepping = stepping || (world->instance[i].stepping && !world->instance[i].background);
            waiting += world->model[world_instance_model(i)].queued;
        }
    }
    for (uint32_t r = 0; r < world->request_count; r++) {
        const struct swarm_request *request = &world->request[r];
        live += request->held && request->state == REQUEST_IN_FLIGHT &&
                world_instance_config(world, request->instance)->device == d;
    }
    bool busy = stats.state == SHUNT_DEVICE_SERVING || stats.state == SHUNT_DEVICE_DRAINING;
    bool quiet = stats.state == SHUNT_DEVICE_IDLE || stats.state == SHUNT_DEVICE_LINGERING;
    if (world->device_up[d] &&
        ((busy && held == 0) || (quiet && (live != 0 || stepping)) ||
         (stats.state == SHUNT_DEVICE_LINGERING && waiting == 0) ||
         (stats.state == SHUNT_DEVICE_IDLE && world->plan.device_count == 1 && waiting != 0))) {
        swarm_fail("I14: device %u in state %u with %u in flight (%u held), %u waiting, stepping "
                   "%d",
                   d, stats.state, live, held, waiting, stepping);
    }
}

void check_settled(struct world *world)
{
    check_expiry(world);
    for (uint32_t m = 0; m < world->plan.model_count; m++) {
        if (!(world->present >> m & 1u)) {
            continue;
        }
        bool admits = check_admission(world, m);
        check_gap(world, m, admits);
        check_model_counts(world, m);
    }
    for (uint32_t d = 0; d < world->plan.device_count; d++) {
        check_device(world, d);
    }
}

void check_drained(struct world *world)
{
    for (uint32_t r = 0; r < world->request_count; r++) {
        const struct swarm_request *request = &world->request[r];
        if (request->state == REQUEST_QUEUED || request->state == REQUEST_IN_FLIGHT) {
            swarm_fail("I1: request %u never ends", r);
        }
        uint32_t position;
        int64_t wait[CORE_WAIT_COUNT];
        if (request->state == REQUEST_ENDED && !request->held &&
            core_request_view(world->core, request->id, world->now_ns, &position, wait) !=
                -ESTALE) {
            swarm_fail("I8: core still has request %u, which has ended", r);
        }
    }
}
