/* Clients and engines of a run: requests from their arrival to their end. */
#include "sim/world.h"

#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { FIRST_PLACES = 1024, STREAM_PATIENCE = 0x70617400 };

/* ------------------------------------------------------------------ places */

/* A free place; CORE_NONE: the run has ended for want of memory. */
static uint32_t place_take(struct sim *sim)
{
    if (sim->request_free == CORE_NONE) {
        uint32_t room = sim->request_room > 0 ? 2 * sim->request_room : FIRST_PLACES;
        struct request *grown = realloc(sim->requests, room * sizeof *grown);
        if (!grown) {
            world_fail(sim, -ENOMEM, "out of memory");
            return CORE_NONE;
        }
        sim->requests = grown;
        for (uint32_t i = room; i-- > sim->request_room;) {
            grown[i] = (struct request){.next = sim->request_free};
            sim->request_free = i;
        }
        sim->request_room = room;
    }
    uint32_t place = sim->request_free;
    sim->request_free = sim->requests[place].next;
    sim->living++;
    return place;
}

static void place_release(struct sim *sim, uint32_t place)
{
    struct request *r = &sim->requests[place];
    r->state = REQUEST_FREE;
    r->life++;
    r->turn++;
    r->next = sim->request_free;
    sim->request_free = place;
    sim->living--;
}

static void progress(struct sim *sim)
{
    sim->progress_ns = sim->now_ns;
    sim->progress_rounds = 0;
}

/* ------------------------------------------------------------------ arrivals */

void request_look(struct sim *sim)
{
    int64_t t_ns = CORE_NEVER;
    int rc = arrivals_peek(sim->arrivals, &t_ns);
    if (rc == 0 && !sim->arrivals_over) {
        sim->arrivals_over = true;
        measure_last_arrival(sim->measure, sim->now_ns);
    }
    /* An error is told by arrivals_next(), with its text, when all before it has happened. */
    sim->arrival_ns = rc == 1 ? t_ns : rc == 0 || rc == -EAGAIN ? CORE_NEVER : sim->now_ns;
}

static bool suits(struct sim *sim, const struct arrival *arrival)
{
    bool batch = sim->scenario->models[arrival->model].service.kind == SCENARIO_BATCH;
    if (batch ? arrival->input_tokens >= 0 && arrival->output_tokens >= 0
              : arrival->service_ns >= 0) {
        return true;
    }
    world_fail(sim, -EINVAL,
               "%s: arrivals[%u]: request %llu for %s has no %s, which its service needs",
               sim->scenario->file, arrival->source, (unsigned long long)arrival->source_index,
               scenario_model_name(sim->scenario, arrival->model),
               batch ? "numbers of tokens" : "service time");
    return false;
}

static void place_fill(struct sim *sim, struct request *r, const struct arrival *arrival)
{
    r->pub = (struct sim_request){
        .number = arrival->index,
        .arrival_ns = sim->now_ns,
        .dispatch_ns = -1,
        .first_token_ns = -1,
        .work_ns = scenario_work_ns(sim->scenario, arrival),
        .service_ns = arrival->service_ns,
        .input_tokens = arrival->input_tokens,
        .output_tokens = arrival->output_tokens,
        .source_index = arrival->source_index,
        .source = arrival->source,
        .model = arrival->model,
        .service_class =
            arrival->service_class >= 0
                ? (uint32_t)arrival->service_class
                : (uint32_t)sim->scenario->config->models[arrival->model].service_class,
        .instance = CORE_NONE};
    r->state = REQUEST_OFFERED;
    r->ended = false;
    r->limited = false;
    r->next = CORE_NONE;
    r->prev = CORE_NONE;
}

static uint32_t tokens(int64_t count)
{
    return count <= 0 ? 0 : count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

/* What a client that says its session would be known by; 0: it says none. */
static uint64_t session_of(const struct sim *sim, const struct arrival *arrival)
{
    if (sim->scenario->arrivals.sources[arrival->source].kind != ARRIVALS_SESSIONS) {
        return 0;
    }
    uint64_t session = (uint64_t)arrival->source << 32 | ARRIVALS_SESSION(arrival->source_index);
    return core_mix64(session + 1) | 1;
}

/* Asks once more for the error that stands, so that only this has room for its text. */
static void arrivals_failed(struct sim *sim)
{
    struct arrival arrival;
    char text[ARRIVALS_ERROR_MAX] = "";
    int rc = arrivals_next(sim->arrivals, &arrival, text, sizeof text);
    assert(rc < 0);
    world_fail(sim, rc, "%s", text);
}

void request_arrive(struct sim *sim)
{
    struct arrival arrival;
    int rc = arrivals_next(sim->arrivals, &arrival, NULL, 0);
    if (rc < 0) {
        arrivals_failed(sim);
        return;
    }
    assert(rc == 1 && arrival.t_ns <= sim->now_ns);
    uint32_t place = suits(sim, &arrival) ? place_take(sim) : CORE_NONE;
    if (place == CORE_NONE) {
        return;
    }
    struct request *r = &sim->requests[place];
    place_fill(sim, r, &arrival);
    sim->offered++;
    progress(sim);
    measure_arrival(sim->measure, &r->pub, sim->now_ns);
    struct core_input *input = world_input(sim, CORE_IN_REQUEST);
    input->u.request = (struct core_in_request){.cookie = place,
                                                .model = arrival.model,
                                                .service_class = r->pub.service_class,
                                                .session_hash = session_of(sim, &arrival),
                                                .prompt_tokens = tokens(arrival.input_tokens)};
    (void)world_feed(sim, input);
    request_look(sim);
}

/* ------------------------------------------------------------------ ends */

/* It is over for its client. */
static void client_ends(struct sim *sim, struct request *r, uint32_t outcome, bool in_service)
{
    sim->outcomes[outcome]++;
    progress(sim);
    measure_ended(sim->measure, &r->pub, outcome, in_service, sim->now_ns);
    r->ended = true;
    if (sim->arrivals_closed) {
        arrivals_done(sim->arrivals, r->pub.source, r->pub.source_index, sim->now_ns);
        request_look(sim);
    }
}

/* The core has heard that it is out of its engine: it is over, or back in its queue. */
static void request_left(struct sim *sim, uint32_t place)
{
    struct request *r = &sim->requests[place];
    if (r->ended) {
        place_release(sim, place);
        return;
    }
    r->state = REQUEST_QUEUED;
    measure_requeued(sim->measure, &r->pub, sim->now_ns);
}

static void on_end(struct sim *sim, const struct core_act_end *act)
{
    uint32_t place = (uint32_t)act->cookie;
    struct request *r = &sim->requests[place];
    if (act->dispatched) {
        return; /* the record of it came before */
    }
    if (r->state == REQUEST_ABORTED) { /* went back to a queue that has ended with it */
        measure_requeued(sim->measure, &r->pub, sim->now_ns);
        client_ends(sim, r, act->outcome, false);
        return;
    }
    client_ends(sim, r, act->outcome, false);
    place_release(sim, place);
}

/* ------------------------------------------------------------------ in service */

static void link_last(struct sim *sim, struct instance *in, uint32_t place)
{
    struct request *r = &sim->requests[place];
    r->next = CORE_NONE;
    r->prev = in->last;
    if (in->last == CORE_NONE) {
        in->first = place;
    } else {
        sim->requests[in->last].next = place;
    }
    in->last = place;
    sim->in_service++;
}

static void unlink_from(struct sim *sim, struct instance *in, uint32_t place)
{
    const struct request *r = &sim->requests[place];
    if (r->prev == CORE_NONE) {
        in->first = r->next;
    } else {
        sim->requests[r->prev].next = r->next;
    }
    if (r->next == CORE_NONE) {
        in->last = r->prev;
    } else {
        sim->requests[r->next].prev = r->prev;
    }
    assert(sim->in_service > 0);
    sim->in_service--;
}

static int64_t later(int64_t t_ns, int64_t by_ns)
{
    return by_ns < CORE_NEVER - 1 - t_ns ? t_ns + by_ns : CORE_NEVER - 1;
}

static int64_t limit_ns(const struct sim *sim, uint32_t model)
{
    return sim->layout->core_models[model].service_limit_ns;
}

/* Has the calendar look at an engine no later than when something happens in it. */
static void alarm_set(struct sim *sim, uint32_t instance)
{
    struct instance *in = &sim->instances[instance];
    int64_t next_ns = sim_engine_next_ns(in->engine);
    if (next_ns < in->alarm_ns) {
        in->alarm_ns = next_ns;
        world_push(sim, next_ns, WORLD_ENGINE, instance, ++in->alarm);
    }
}

static void engine_begin(struct sim *sim, uint32_t place)
{
    struct request *r = &sim->requests[place];
    struct instance *in = &sim->instances[r->pub.instance];
    int64_t limit = limit_ns(sim, in->model);
    if (!in->engine) {
        r->limited = limit > 0 && r->pub.service_ns > limit;
        world_push(sim, later(sim->now_ns, r->limited ? limit : r->pub.service_ns), WORLD_COMPLETE,
                   place, r->turn);
        return;
    }
    const struct sim_engine_job job = {.request = place,
                                       .service_ns = r->pub.service_ns,
                                       .input_tokens = r->pub.input_tokens,
                                       .output_tokens = r->pub.output_tokens};
    if (sim_engine_add(in->engine, &job, sim->now_ns) != 0) {
        world_fail(sim, -ENOMEM, "out of memory");
        return;
    }
    alarm_set(sim, r->pub.instance);
    if (limit > 0 && !in->limit_set) {
        in->limit_set = true;
        world_push(sim, later(sim->now_ns, limit), WORLD_LIMIT, r->pub.instance, 0);
    }
}

static void on_dispatch(struct sim *sim, const struct core_act_dispatch *act)
{
    uint32_t place = (uint32_t)act->cookie;
    struct request *r = &sim->requests[place];
    assert(r->state == REQUEST_QUEUED);
    r->state = REQUEST_SERVED;
    r->turn++;
    r->pub.dispatch_ns = sim->now_ns;
    r->pub.first_token_ns = -1;
    r->pub.instance = act->instance;
    progress(sim);
    link_last(sim, &sim->instances[act->instance], place);
    measure_dispatched(sim->measure, &r->pub, sim->now_ns);
    engine_begin(sim, place);
}

static void on_abort(struct sim *sim, const struct core_act_abort *act)
{
    uint32_t place = (uint32_t)act->cookie;
    struct request *r = &sim->requests[place];
    struct instance *in = &sim->instances[act->instance];
    assert(r->state == REQUEST_SERVED);
    unlink_from(sim, in, place);
    if (in->engine) {
        sim_engine_remove(in->engine, place, sim->now_ns);
        alarm_set(sim, act->instance);
    }
    r->state = REQUEST_ABORTED;
    world_push(sim, sim->now_ns, WORLD_ABORTED, place, ++r->turn);
}

/* A request leaves its engine in the ordinary way, or by the limit of its service. */
static void complete(struct sim *sim, uint32_t place, uint32_t outcome)
{
    struct request *r = &sim->requests[place];
    bool completed = outcome == (uint32_t)SHUNT_OUTCOME_COMPLETED;
    unlink_from(sim, &sim->instances[r->pub.instance], place);
    r->state = REQUEST_ABORTED;
    r->turn++;
    struct core_input *input = world_input(sim, CORE_IN_COMPLETE);
    input->u.complete =
        (struct core_in_complete){.request = r->pub.id,
                                  .outcome = outcome,
                                  .output_tokens = completed ? tokens(r->pub.output_tokens) : 0,
                                  .prompt_tokens = tokens(r->pub.input_tokens)};
    (void)world_feed(sim, input);
    request_left(sim, place);
}

void request_completes(struct sim *sim, uint32_t place, uint32_t turn)
{
    const struct request *r = &sim->requests[place];
    if (r->turn == turn) {
        sim->events++;
        complete(sim, place, r->limited ? SHUNT_OUTCOME_FAILED : SHUNT_OUTCOME_COMPLETED);
    }
}

void request_aborted(struct sim *sim, uint32_t place, uint32_t turn)
{
    const struct request *r = &sim->requests[place];
    if (r->turn != turn) {
        return;
    }
    struct core_input *input = world_input(sim, CORE_IN_COMPLETE);
    input->u.complete =
        (struct core_in_complete){.request = r->pub.id, .outcome = SHUNT_OUTCOME_CANCELLED};
    (void)world_feed(sim, input); /* stale if its engine was lost meanwhile */
    request_left(sim, place);
}

static void first_token(struct sim *sim, uint32_t place)
{
    struct request *r = &sim->requests[place];
    r->pub.first_token_ns = sim->now_ns;
    measure_first_token(sim->measure, &r->pub, sim->now_ns);
    struct core_input *input = world_input(sim, CORE_IN_FIRST_TOKEN);
    input->u.first_token = r->pub.id;
    (void)world_feed(sim, input);
}

void instance_alarm(struct sim *sim, uint32_t instance, uint32_t epoch)
{
    struct instance *in = &sim->instances[instance];
    if (in->alarm != epoch) {
        return;
    }
    in->alarm_ns = CORE_NEVER;
    enum sim_engine_event event;
    uint32_t place;
    while (!sim->error && sim_engine_take(in->engine, sim->now_ns, &event, &place)) {
        sim->events++;
        if (event == SIM_ENGINE_FIRST_TOKEN) {
            first_token(sim, place);
        } else {
            complete(sim, place, SHUNT_OUTCOME_COMPLETED);
        }
    }
    alarm_set(sim, instance);
}

void instance_limit(struct sim *sim, uint32_t instance)
{
    struct instance *in = &sim->instances[instance];
    int64_t limit = limit_ns(sim, in->model);
    in->limit_set = false;
    while (in->first != CORE_NONE &&
           later(sim->requests[in->first].pub.dispatch_ns, limit) <= sim->now_ns) {
        sim->events++;
        sim_engine_remove(in->engine, in->first, sim->now_ns);
        complete(sim, in->first, SHUNT_OUTCOME_FAILED);
    }
    alarm_set(sim, instance);
    if (in->first != CORE_NONE) {
        in->limit_set = true;
        world_push(sim, later(sim->requests[in->first].pub.dispatch_ns, limit), WORLD_LIMIT,
                   instance, 0);
    }
}

uint32_t instance_empty(struct sim *sim, uint32_t instance)
{
    struct instance *in = &sim->instances[instance];
    uint32_t first = in->first;
    for (uint32_t i = first; i != CORE_NONE; i = sim->requests[i].next) {
        sim->requests[i].state = REQUEST_ABORTED;
        sim->requests[i].turn++;
        sim->in_service--;
    }
    in->first = CORE_NONE;
    in->last = CORE_NONE;
    if (in->engine) {
        sim_engine_clear(in->engine);
    }
    return first;
}

void instance_emptied(struct sim *sim, uint32_t first)
{
    uint32_t next;
    for (uint32_t i = first; i != CORE_NONE; i = next) {
        next = sim->requests[i].next;
        request_left(sim, i);
    }
}

/* ------------------------------------------------------------------ clients that leave */

static void on_accept(struct sim *sim, const struct core_act_accept *act)
{
    uint32_t place = (uint32_t)act->cookie;
    struct request *r = &sim->requests[place];
    const struct dist *patience = &sim->scenario->patience_s;
    r->pub.id = act->request;
    r->state = REQUEST_QUEUED;
    measure_accepted(sim->measure, &r->pub, sim->now_ns);
    if (patience->kind != DIST_NONE) {
        double ns = 1e9 * dist_sample(patience, sim->options.seed, STREAM_PATIENCE, r->pub.number);
        if (ns < 9e18) {
            world_push(sim, later(sim->now_ns, (int64_t)ns), WORLD_PATIENCE, place, r->life);
        }
    }
}

void request_patience(struct sim *sim, uint32_t place, uint32_t life)
{
    const struct request *r = &sim->requests[place];
    if (r->life != life || r->state != REQUEST_QUEUED) {
        return;
    }
    sim->events++;
    struct core_input *input = world_input(sim, CORE_IN_CANCEL);
    input->u.cancel =
        (struct core_in_cancel){.request = r->pub.id, .outcome = SHUNT_OUTCOME_CANCELLED};
    (void)world_feed(sim, input);
}

/* ------------------------------------------------------------------ actions */

static void on_reject(struct sim *sim, const struct core_act_reject *act)
{
    uint32_t place = (uint32_t)act->cookie;
    client_ends(sim, &sim->requests[place], SHUNT_OUTCOME_REJECTED, false);
    place_release(sim, place);
}

static uint64_t cookie_of(const struct core_action *action)
{
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
        return action->u.accept.cookie;
    case CORE_ACT_REJECT:
        return action->u.reject.cookie;
    case CORE_ACT_DISPATCH:
        return action->u.dispatch.cookie;
    case CORE_ACT_END:
        return action->u.end.cookie;
    case CORE_ACT_ABORT:
        return action->u.abort.cookie;
    case CORE_ACT_RECORD:
        return action->u.record.u.request.cookie;
    case CORE_ACT_STEP:
    case CORE_ACT_STEP_CANCEL:
    case CORE_ACT_ASK:
    case CORE_ACT_NOTIFY:
    case CORE_ACT_KIND_COUNT:
        break;
    }
    assert(!"an action about a request");
    return 0;
}

void request_action(struct sim *sim, const struct core_action *action)
{
    struct request *r = &sim->requests[cookie_of(action)];
    if (action->kind == (uint32_t)CORE_ACT_ACCEPT) {
        r->pub.id = action->u.accept.request;
    }
    world_observe(sim, action, &r->pub);
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
        on_accept(sim, &action->u.accept);
        break;
    case CORE_ACT_REJECT:
        on_reject(sim, &action->u.reject);
        break;
    case CORE_ACT_DISPATCH:
        on_dispatch(sim, &action->u.dispatch);
        break;
    case CORE_ACT_END:
        on_end(sim, &action->u.end);
        break;
    case CORE_ACT_ABORT:
        on_abort(sim, &action->u.abort);
        break;
    case CORE_ACT_RECORD:
        client_ends(sim, r, action->u.record.u.request.outcome, true);
        break;
    case CORE_ACT_STEP:
    case CORE_ACT_STEP_CANCEL:
    case CORE_ACT_ASK:
    case CORE_ACT_NOTIFY:
    case CORE_ACT_KIND_COUNT:
        break;
    }
}
