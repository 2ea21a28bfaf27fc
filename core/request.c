/*
 * Requests: one table, a queue per model, a list per instance, a heap of deadlines. A request is
 * in exactly one of: a queue, an instance's list, the free list. Every accepted request ends
 * exactly once, through end_client below (I1).
 */
#include "core/priv.h"

/* ------------------------------------------------------------------ ids and lists */

uint64_t core_request_id(const struct core *core, uint32_t index)
{
    return (uint64_t)core->requests[index].generation << 32 | index;
}

uint32_t core_request_find(const struct core *core, uint64_t id)
{
    uint32_t index = (uint32_t)(id & UINT32_MAX);
    if (index >= core->s.request_top || core->requests[index].state == CORE_REQUEST_FREE ||
        core->requests[index].generation != (uint32_t)(id >> 32)) {
        return CORE_NONE;
    }
    return index;
}

static uint32_t request_new(struct core *core)
{
    uint32_t index = core->s.request_free;
    if (index != CORE_NONE) {
        core->s.request_free = core->requests[index].next;
    } else {
        assert(core->s.request_top < core_request_capacity(core));
        index = core->s.request_top++;
        core->requests[index].generation = 0; /* core_init left the memory as it found it */
    }
    struct core_request *r = &core->requests[index];
    uint32_t generation = r->generation + 1;
    *r = (struct core_request){
        .generation = generation ? generation : 1,
        .next = CORE_NONE,
        .prev = CORE_NONE,
        .heap = CORE_NONE,
        .instance = CORE_NONE,
    };
    return index;
}

static void request_free(struct core *core, uint32_t index)
{
    struct core_request *r = &core->requests[index];
    assert(r->state != CORE_REQUEST_FREE && r->heap == CORE_NONE);
    r->state = CORE_REQUEST_FREE;
    r->next = core->s.request_free;
    core->s.request_free = index;
}

/* Links `index` behind `after`; CORE_NONE: at the head. */
static void list_insert(struct core *core, struct core_list *list, uint32_t index, uint32_t after)
{
    struct core_request *r = &core->requests[index];
    r->prev = after;
    r->next = after == CORE_NONE ? list->head : core->requests[after].next;
    if (r->prev == CORE_NONE) {
        list->head = index;
    } else {
        core->requests[r->prev].next = index;
    }
    if (r->next == CORE_NONE) {
        list->tail = index;
    } else {
        core->requests[r->next].prev = index;
    }
}

static void list_remove(struct core *core, struct core_list *list, uint32_t index)
{
    struct core_request *r = &core->requests[index];
    if (r->prev == CORE_NONE) {
        list->head = r->next;
    } else {
        core->requests[r->prev].next = r->next;
    }
    if (r->next == CORE_NONE) {
        list->tail = r->prev;
    } else {
        core->requests[r->next].prev = r->prev;
    }
    r->next = CORE_NONE;
    r->prev = CORE_NONE;
}

/* ------------------------------------------------------------------ deadlines */

static bool heap_before(const struct core *core, uint32_t a, uint32_t b)
{
    const struct core_request *x = &core->requests[a];
    const struct core_request *y = &core->requests[b];
    return x->deadline_ns != y->deadline_ns ? x->deadline_ns < y->deadline_ns : x->seq < y->seq;
}

static void heap_put(struct core *core, uint32_t place, uint32_t index)
{
    core->heap[place] = index;
    core->requests[index].heap = place;
}

/* Moves `index` from the hole at `place` to where it belongs. */
static void heap_sift(struct core *core, uint32_t place, uint32_t index)
{
    while (place > 0 && heap_before(core, index, core->heap[(place - 1) / 2])) {
        heap_put(core, place, core->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= core->s.heap_len) {
            break;
        }
        if (child + 1 < core->s.heap_len &&
            heap_before(core, core->heap[child + 1], core->heap[child])) {
            child++;
        }
        if (!heap_before(core, core->heap[child], index)) {
            break;
        }
        heap_put(core, place, core->heap[child]);
        place = child;
    }
    heap_put(core, place, index);
}

static void heap_add(struct core *core, uint32_t index)
{
    if (core->requests[index].deadline_ns > 0) {
        core->s.heap_len++;
        heap_sift(core, core->s.heap_len - 1, index);
    }
}

static void heap_remove(struct core *core, uint32_t index)
{
    uint32_t place = core->requests[index].heap;
    if (place == CORE_NONE) {
        return;
    }
    core->requests[index].heap = CORE_NONE;
    core->s.heap_len--;
    if (place < core->s.heap_len) {
        heap_sift(core, place, core->heap[core->s.heap_len]);
    }
}

int64_t core_request_wake_ns(const struct core *core)
{
    return core->s.heap_len > 0 ? core->requests[core->heap[0]].deadline_ns : CORE_NEVER;
}

/* ------------------------------------------------------------------ queues */

static double tokens_of(const struct core_request *r)
{
    return (double)r->prompt_tokens + (double)r->max_tokens;
}

/* A queue is in order of acceptance; what comes back finds its old place near the head. */
static void enqueue(struct core *core, uint32_t index)
{
    struct core_request *r = &core->requests[index];
    struct core_model *m = &core->models[r->model];
    uint32_t after = m->queue.tail;
    if (after != CORE_NONE && core->requests[after].seq > r->seq) {
        after = CORE_NONE;
        for (uint32_t i = m->queue.head; core->requests[i].seq < r->seq;
             i = core->requests[i].next) {
            after = i;
        }
    }
    list_insert(core, &m->queue, index, after);
    m->queue_len++;
    m->queued_tokens += tokens_of(r);
    core->s.queued++;
    r->state = CORE_REQUEST_QUEUED;
    r->instance = CORE_NONE;
    for (uint32_t i = 0; i < CORE_WAIT_COUNT; i++) {
        r->wait_ns[i] -= m->clock_ns[i];
    }
    r->wait_ns[m->part] -= core->s.now_ns - m->clock_at_ns;
    heap_add(core, index);
    core_touch_model(core, r->model);
}

/* Takes a request out of its queue; its wait is final until it comes back. */
static void dequeue(struct core *core, uint32_t index)
{
    struct core_request *r = &core->requests[index];
    struct core_model *m = &core->models[r->model];
    assert(r->state == CORE_REQUEST_QUEUED);
    list_remove(core, &m->queue, index);
    m->queue_len--;
    m->queued_tokens = m->queue_len ? m->queued_tokens - tokens_of(r) : 0.0;
    core->s.queued--;
    for (uint32_t i = 0; i < CORE_WAIT_COUNT; i++) {
        r->wait_ns[i] += m->clock_ns[i];
    }
    r->wait_ns[m->part] += core->s.now_ns - m->clock_at_ns;
    heap_remove(core, index);
    core_touch_model(core, r->model);
}

/* Puts a request into an instance's engine, by our count. */
static void engine_enter(struct core *core, uint32_t index, uint32_t instance)
{
    struct core_request *r = &core->requests[index];
    struct core_instance *in = &core->instances[instance];
    struct core_model *m = &core->models[r->model];
    r->state = CORE_REQUEST_FLIGHT;
    r->instance = instance;
    list_insert(core, &in->flight, index, in->flight.tail);
    if (in->in_flight++ == 0) {
        in->busy_since_ns = core->s.now_ns;
    }
    m->in_flight++;
    core->s.in_flight++;
    if (!m->busy) {
        m->busy = 1;
        m->busy_since_ns = core->s.now_ns;
    }
    core_account_batch(core, in->device, 1);
    core_touch_instance(core, instance);
}

static void engine_leave(struct core *core, uint32_t index)
{
    struct core_request *r = &core->requests[index];
    uint32_t instance = r->instance;
    struct core_instance *in = &core->instances[instance];
    struct core_model *m = &core->models[r->model];
    list_remove(core, &in->flight, index);
    if (--in->in_flight == 0) {
        in->visit_busy_ns += core->s.now_ns - in->busy_since_ns;
        in->busy_since_ns = CORE_NEVER;
    }
    m->in_flight--;
    core->s.in_flight--;
    in->last_served_ns = core->s.now_ns;
    m->last_served_ns = core->s.now_ns;
    m->work_since_ns = core->s.now_ns;
    if (m->in_flight == 0) {
        m->busy = 0;
        core->model_counts[r->model].busy_ns += core->s.now_ns - m->busy_since_ns;
    }
    core_account_batch(core, in->device, -1);
    core_touch_instance(core, instance);
}

/* ------------------------------------------------------------------ ends */

/* The one place where a request ends for its client. */
static void end_client(struct core *core, uint32_t index, uint32_t outcome)
{
    const struct core_request *r = &core->requests[index];
    assert(outcome < SHUNT_OUTCOME_REJECTED);
    core->model_counts[r->model].ended[outcome]++;
}

static void emit_end(struct core *core, uint32_t index, uint32_t outcome, bool dispatched)
{
    const struct core_request *r = &core->requests[index];
    struct core_act_end *act = &core_emit(core, CORE_ACT_END)->u.end;
    act->request = core_request_id(core, index);
    act->cookie = r->cookie;
    act->model = r->model;
    act->outcome = outcome;
    act->dispatched = dispatched;
    act->instance = dispatched ? r->instance : CORE_NONE;
    memcpy(act->wait_ns, r->wait_ns, sizeof(act->wait_ns));
}

static void emit_abort(struct core *core, uint32_t index)
{
    const struct core_request *r = &core->requests[index];
    core_emit(core, CORE_ACT_ABORT)->u.abort = (struct core_act_abort){
        .request = core_request_id(core, index), .cookie = r->cookie, .instance = r->instance};
}

static void record_request(struct core *core, uint32_t index, uint32_t outcome, uint32_t tokens)
{
    const struct core_request *r = &core->requests[index];
    struct core_rec_request *rec = &core_emit_record(core, CORE_REC_REQUEST)->u.request;
    rec->request = core_request_id(core, index);
    rec->cookie = r->cookie;
    rec->model = r->model;
    rec->instance = r->instance;
    rec->outcome = outcome;
    rec->output_tokens = tokens;
    rec->arrival_ns = r->arrival_ns;
    rec->dispatch_ns = r->dispatch_ns;
    rec->first_token_ns = r->first_token_ns;
    memcpy(rec->wait_ns, r->wait_ns, sizeof(rec->wait_ns));
}

void core_request_end_queued(struct core *core, uint32_t index, uint32_t outcome)
{
    uint32_t model = core->requests[index].model;
    dequeue(core, index);
    core->models[model].work_since_ns = core->s.now_ns;
    end_client(core, index, outcome);
    emit_end(core, index, outcome, false);
    core_notify_request(core, CORE_HOOK_CANCEL, index, outcome, 0);
    request_free(core, index);
    core_why_model(core, model, SHUNT_WHY_CANCEL);
}

void core_queue_end(struct core *core, uint32_t model, uint32_t outcome)
{
    while (core->models[model].queue_len > 0) {
        core_request_end_queued(core, core->models[model].queue.head, outcome);
    }
}

void core_request_end_flight(struct core *core, uint32_t index, uint32_t outcome, bool held)
{
    struct core_request *r = &core->requests[index];
    assert(r->state == CORE_REQUEST_FLIGHT);
    end_client(core, index, outcome);
    core_notify_request(core, CORE_HOOK_COMPLETE, index, outcome, 0);
    record_request(core, index, outcome, 0);
    emit_end(core, index, outcome, true);
    bool aborted = r->requeue != 0;
    r->state = CORE_REQUEST_HELD;
    r->requeue = 0;
    if (!held) {
        core_request_release(core, index);
    } else if (!aborted) {
        emit_abort(core, index);
    }
}

void core_request_release(struct core *core, uint32_t index)
{
    engine_leave(core, index);
    request_free(core, index);
}

static bool admitted_now(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        if (core_instance_admits(core, &core->instances[i])) {
            return true;
        }
    }
    return false;
}

void core_request_requeue(struct core *core, uint32_t index)
{
    struct core_request *r = &core->requests[index];
    assert(r->state == CORE_REQUEST_FLIGHT);
    bool drained = r->requeue != 0;
    engine_leave(core, index);
    r->requeue = 0;
    r->requeued++;
    r->wait_ns[CORE_WAIT_RETRY] += core->s.now_ns - r->dispatch_ns;
    core->model_counts[r->model].requeued++;
    enqueue(core, index);
    if (!drained && !admitted_now(core, r->model)) {
        core_why_model(core, r->model, SHUNT_WHY_ARRIVAL);
    }
}

void core_flight_requeue(struct core *core, uint32_t instance)
{
    for (uint32_t i = core->instances[instance].flight.head; i != CORE_NONE;
         i = core->requests[i].next) {
        struct core_request *r = &core->requests[i];
        if (r->state == CORE_REQUEST_FLIGHT && r->first_token_ns == 0 && !r->requeue &&
            r->requeued < CORE_REQUEUES_MAX) {
            r->requeue = 1;
            emit_abort(core, i);
        }
    }
}

uint32_t core_flight_cut(struct core *core, uint32_t instance)
{
    uint32_t count = 0;
    for (uint32_t i = core->instances[instance].flight.head; i != CORE_NONE;
         i = core->requests[i].next) {
        if (core->requests[i].state == CORE_REQUEST_FLIGHT) {
            core_request_end_flight(core, i, SHUNT_OUTCOME_CUT, true);
            count++;
        }
    }
    return count;
}

/* ------------------------------------------------------------------ inputs */

static void reject(struct core *core, const struct core_in_request *in, uint32_t reason,
                   int64_t retry_after_ns)
{
    core->model_counts[in->model].rejected[reason]++;
    core_emit(core, CORE_ACT_REJECT)->u.reject =
        (struct core_act_reject){.cookie = in->cookie,
                                 .model = in->model,
                                 .reason = reason,
                                 .retry_after_ns = retry_after_ns};
}

/* Earliest time at which a model can be had again; -1 if that is not known. */
static int64_t available_in(const struct core *core, const struct core_model *m)
{
    int64_t best = -1;
    for (uint32_t i = 0; i < m->instance_count; i++) {
        const struct core_instance *in = &core->instances[m->instance_first + i];
        if (core->devices[in->device].up && in->quarantined_until_ns > 0) {
            int64_t left = in->quarantined_until_ns - core->s.now_ns;
            left = left > 0 ? left : 0;
            best = best < 0 || left < best ? left : best;
        }
    }
    return best;
}

static bool available(const struct core *core, const struct core_model *m)
{
    for (uint32_t i = 0; i < m->instance_count; i++) {
        if (core_instance_usable(core, &core->instances[m->instance_first + i])) {
            return true;
        }
    }
    return false;
}

int core_request_arrive(struct core *core, const struct core_in_request *in)
{
    if (in->model >= core->s.model_count || in->deadline_ns < 0) {
        return -EINVAL;
    }
    struct core_model *m = &core->models[in->model];
    core_quarantines_expire(core, in->model);
    int64_t eta = core_eta_ns(core, in->model);
    if (!core->s.accepting || !available(core, m)) {
        reject(core, in, CORE_REJECT_UNAVAILABLE, available_in(core, m));
        return 0;
    }
    if (m->queue_len >= m->queue_max || core->s.queued >= core->limits.queued_max) {
        reject(core, in, CORE_REJECT_QUEUE_FULL, eta);
        return 0;
    }
    /* An empty queue is never hopeless: else an estimate could shut a model out for ever. */
    if (m->reject_hopeless && m->max_wait_ns > 0 && m->queue_len > 0 && eta > m->max_wait_ns) {
        reject(core, in, CORE_REJECT_HOPELESS, eta - m->max_wait_ns);
        return 0;
    }
    uint32_t index = request_new(core);
    struct core_request *r = &core->requests[index];
    r->cookie = in->cookie;
    r->seq = core->s.next_seq++;
    r->model = in->model;
    r->service_class = in->service_class;
    r->deadline_ns = in->deadline_ns;
    r->tenant_hash = in->tenant_hash;
    r->session_hash = in->session_hash;
    r->prefix_hash = in->prefix_hash;
    r->priority = in->priority;
    r->prompt_tokens = in->prompt_tokens;
    r->max_tokens = in->max_tokens;
    r->arrival_ns = core->s.now_ns;
    core->model_counts[in->model].arrived++;
    core_rate_event(&m->rate, core->s.now_ns);
    core_rate_event(&m->rate_short, core->s.now_ns);
    m->last_arrival_ns = core->s.now_ns;
    m->work_since_ns = core->s.now_ns;

    core_emit(core, CORE_ACT_ACCEPT)->u.accept =
        (struct core_act_accept){.request = core_request_id(core, index),
                                 .cookie = in->cookie,
                                 .model = in->model,
                                 .position = m->queue_len,
                                 .eta_ns = eta};
    bool admitted = m->admitted;
    enqueue(core, index);
    core_notify_request(core, CORE_HOOK_ARRIVAL, index, 0, 0);
    if (!admitted) {
        core_why_model(core, in->model, SHUNT_WHY_ARRIVAL);
    }
    return 0;
}

int core_request_cancel(struct core *core, const struct core_in_cancel *in)
{
    uint32_t index = core_request_find(core, in->request);
    if (in->outcome != SHUNT_OUTCOME_CANCELLED && in->outcome != SHUNT_OUTCOME_EXPIRED &&
        in->outcome != SHUNT_OUTCOME_FAILED) {
        return -EINVAL;
    }
    if (index == CORE_NONE || core->requests[index].state == CORE_REQUEST_HELD) {
        return -ESTALE;
    }
    struct core_request *r = &core->requests[index];
    uint32_t model = r->model;
    if (r->state == CORE_REQUEST_FLIGHT) {
        core_request_end_flight(core, index, in->outcome, true);
        return 0;
    }
    core_request_end_queued(core, index, in->outcome);
    if (core->models[model].queue_len == 0 && core->models[model].admitted) {
        core_why_model(core, model, SHUNT_WHY_QUEUE_EMPTY);
    }
    return 0;
}

int core_request_first_token(struct core *core, uint64_t id)
{
    uint32_t index = core_request_find(core, id);
    if (index == CORE_NONE || core->requests[index].state != CORE_REQUEST_FLIGHT) {
        return -ESTALE;
    }
    struct core_request *r = &core->requests[index];
    if (r->first_token_ns == 0) {
        r->first_token_ns = core->s.now_ns;
    }
    return 0;
}

/* Why a device that has just lost a request is worth a question. */
static void completion_why(struct core *core, uint32_t model, uint32_t device)
{
    const struct core_device *d = &core->devices[device];
    uint32_t why = core->models[model].queue_len == 0 ? (uint32_t)SHUNT_WHY_QUEUE_EMPTY : 0u;
    uint32_t self = core->models[model].waiting ? 1u : 0u;
    if (d->waiting > self) {
        why |= SHUNT_WHY_COMPLETION;
    }
    if (why) {
        core_why(core, device, why);
    }
}

int core_request_complete(struct core *core, const struct core_in_complete *in)
{
    uint32_t index = core_request_find(core, in->request);
    if (in->outcome >= SHUNT_OUTCOME_REJECTED) {
        return -EINVAL;
    }
    if (index == CORE_NONE || core->requests[index].state == CORE_REQUEST_QUEUED) {
        return -ESTALE;
    }
    struct core_request *r = &core->requests[index];
    uint32_t model = r->model;
    uint32_t device = core->instances[r->instance].device;
    if (r->state == CORE_REQUEST_HELD) {
        core_request_release(core, index);
    } else if ((r->requeue || in->retry) && in->outcome != SHUNT_OUTCOME_COMPLETED &&
               r->first_token_ns == 0 && r->requeued < CORE_REQUEUES_MAX) {
        core_request_requeue(core, index);
    } else {
        struct core_model_costs *costs = &core->costs[core->models[model].cost_row];
        if (in->prompt_tokens > 0) {
            r->prompt_tokens = in->prompt_tokens;
        }
        if (in->outcome == SHUNT_OUTCOME_COMPLETED) {
            core_cost_add(&costs->service, core->s.now_ns - r->dispatch_ns);
            core_cost_add(&costs->tokens, in->output_tokens);
            core->model_counts[model].output_tokens += in->output_tokens;
        }
        end_client(core, index, in->outcome);
        core_notify_request(core, CORE_HOOK_COMPLETE, index, in->outcome, in->output_tokens);
        record_request(core, index, in->outcome, in->output_tokens);
        core_request_release(core, index);
    }
    completion_why(core, model, device);
    return 0;
}

/* ------------------------------------------------------------------ time */

void core_request_expire(struct core *core)
{
    int64_t now = core->s.now_ns;
    while (core->s.heap_len > 0 && core->requests[core->heap[0]].deadline_ns <= now) {
        core_request_end_queued(core, core->heap[0], SHUNT_OUTCOME_EXPIRED);
    }
}

void core_queues_expire(struct core *core)
{
    int64_t now = core->s.now_ns;
    for (uint32_t i = 0; i < core->s.model_count; i++) {
        const struct core_model *m = &core->models[i];
        while (m->max_wait_ns > 0 && m->queue_len > 0 &&
               core->requests[m->queue.head].arrival_ns <= now - m->max_wait_ns) {
            core_request_end_queued(core, m->queue.head, SHUNT_OUTCOME_EXPIRED);
        }
    }
}

/* ------------------------------------------------------------------ dispatch */

static bool has_room(const struct core *core, const struct core_instance *in)
{
    return core_instance_admits(core, in) &&
           in->in_flight < core->models[in->model].max_concurrency;
}

/* A queue has run empty: copies with nothing in flight will see no completion that tells them. */
static void tell_idle_copies(struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        if (in->visiting && in->in_flight == 0) {
            core_why(core, in->device, SHUNT_WHY_QUEUE_EMPTY);
        }
    }
}

static void dispatch(struct core *core, uint32_t index, uint32_t instance)
{
    struct core_request *r = &core->requests[index];
    struct core_instance *in = &core->instances[instance];
    assert(in->state == SHUNT_INSTANCE_RESIDENT); /* I6 */
    dequeue(core, index);
    r->dispatch_ns = core->s.now_ns;
    engine_enter(core, index, instance);
    core->model_counts[r->model].dispatched++;
    core->models[r->model].last_served_ns = core->s.now_ns;
    core->models[r->model].gap_kept_ns = CORE_NEVER;
    in->last_served_ns = core->s.now_ns;
    in->visit_served++;
    if (in->visit_first_ns == CORE_NEVER) {
        in->visit_first_ns = core->s.now_ns;
    }
    struct core_act_dispatch *act = &core_emit(core, CORE_ACT_DISPATCH)->u.dispatch;
    act->request = core_request_id(core, index);
    act->cookie = r->cookie;
    act->model = r->model;
    act->instance = instance;
    act->arrival_ns = r->arrival_ns;
    memcpy(act->wait_ns, r->wait_ns, sizeof(act->wait_ns));
    core_notify_request(core, CORE_HOOK_DISPATCH, index, 0, 0);
    core_visit_quantum_check(core, instance);
    if (core->models[r->model].queue_len == 0) {
        tell_idle_copies(core, r->model);
    }
}

uint32_t core_dispatch_instance(struct core *core, uint32_t instance, uint32_t max)
{
    const struct core_instance *in = &core->instances[instance];
    const struct core_model *m = &core->models[in->model];
    uint32_t count = 0;
    while (count < max && m->queue_len > 0 && has_room(core, in) &&
           core->s.in_flight < core->limits.in_flight_max) {
        dispatch(core, m->queue.head, instance);
        count++;
    }
    return count;
}

/* Least loaded of a model's instances that take a request; ties to the lowest index. */
static uint32_t least_loaded(const struct core *core, uint32_t model)
{
    const struct core_model *m = &core->models[model];
    uint32_t best = CORE_NONE;
    for (uint32_t i = m->instance_first; i < m->instance_first + m->instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        if (has_room(core, in) &&
            (best == CORE_NONE || in->in_flight < core->instances[best].in_flight)) {
            best = i;
        }
    }
    return best;
}

void core_dispatch_all(struct core *core)
{
    for (uint32_t model = core_set_next(&core->s.ready, 0, core->s.model_count); model != CORE_NONE;
         model = core_set_next(&core->s.ready, model + 1, core->s.model_count)) {
        uint32_t instance = least_loaded(core, model);
        while (core->models[model].queue_len > 0 && instance != CORE_NONE &&
               core_dispatch_instance(core, instance, 1) == 1) {
            instance = least_loaded(core, model);
        }
    }
}
