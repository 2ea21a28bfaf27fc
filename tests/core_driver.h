/*
 * A driver of the core for tests, in virtual time: engines whose steps and answers take given
 * times, a policy that is a function, and a log of every action. Include it in a cmocka test.
 */
#ifndef TESTS_CORE_DRIVER_H
#define TESTS_CORE_DRIVER_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"

#define DRIVER_MODELS 16
#define DRIVER_EVENTS 4096
#define DRIVER_LOG    65536

struct driver;
/* Answers an ask; the decision is zeroed and has device, generation and instance set. */
typedef void driver_policy(struct driver *driver, const struct core_act_ask *ask,
                           struct shunt_decision *decision);

struct driver_event {
    int64_t at_ns;
    uint64_t seq;
    struct core_input input;
};

struct driver {
    struct core *core;
    void *memory;
    int64_t now_ns;
    struct core_limits limits;

    /* What the engines do; by model. A negative service time: never ends by itself. */
    int64_t out_ns[DRIVER_MODELS];
    int64_t in_ns[DRIVER_MODELS];
    int64_t probe_ns[DRIVER_MODELS];
    int64_t service_ns[DRIVER_MODELS];
    uint32_t in_fails[DRIVER_MODELS];  /* so many in-steps fail first */
    uint32_t in_retry;                 /* they are worth retrying */
    uint32_t out_fails[DRIVER_MODELS]; /* so many out-steps fail first, staying resident */
    bool hang[DRIVER_MODELS];          /* in-steps never report */

    driver_policy *policy; /* NULL: the built-in decides */
    void *policy_ctx;
    int64_t latency_ns; /* of the policy */

    struct driver_event events[DRIVER_EVENTS];
    uint32_t event_count;
    uint64_t event_seq;
    struct core_action log[DRIVER_LOG];
    uint32_t log_count;
    uint64_t next_cookie;
    bool unchecked; /* skip core_check after each input */
};

static inline void driver_at(struct driver *d, int64_t at_ns, const struct core_input *input)
{
    assert(d->event_count < DRIVER_EVENTS && at_ns >= d->now_ns);
    struct driver_event *event = &d->events[d->event_count++];
    event->at_ns = at_ns;
    event->seq = d->event_seq++;
    event->input = *input;
    event->input.t_ns = at_ns;
}

static inline void driver_drain(struct driver *d);

/* Applies an input now and carries out what follows. */
static inline int driver_apply(struct driver *d, const struct core_input *input)
{
    struct core_input copy = *input;
    copy.t_ns = d->now_ns;
    int error = core_apply(d->core, &copy);
    driver_drain(d);
    return error;
}

static inline void driver_step(struct driver *d, const struct core_act_step *step)
{
    struct core_instance_view view;
    int error = core_instance_view(d->core, step->instance, &view);
    assert(error == 0);
    uint32_t model = view.model;
    bool ok = true;
    int64_t took_ns = d->out_ns[model];
    struct core_input input = {.kind = CORE_IN_STEP};
    if (step->step == CORE_STEP_IN) {
        took_ns = d->in_ns[model];
        if (d->hang[model]) {
            return;
        }
        if (d->in_fails[model] > 0) {
            d->in_fails[model]--;
            ok = false;
        }
    } else if (step->step == CORE_STEP_PROBE) {
        took_ns = d->probe_ns[model];
    } else if (d->out_fails[model] > 0) {
        d->out_fails[model]--;
        ok = false;
    }
    input.u.step = (struct core_in_step){.switch_id = step->switch_id,
                                         .instance = step->instance,
                                         .step = step->step,
                                         .ok = ok,
                                         .tier = ok ? step->to_tier : step->from_tier,
                                         .device_bytes = -1,
                                         .retry = d->in_retry};
    driver_at(d, d->now_ns + took_ns, &input);
}

static inline void driver_ask(struct driver *d, const struct core_act_ask *ask)
{
    struct core_input input = {.kind = CORE_IN_DECISION};
    struct core_in_decision *in = &input.u.decision;
    in->slot = ask->slot;
    in->ask_id = ask->id;
    in->decision.size = sizeof(in->decision);
    in->decision.device = ask->device;
    in->decision.instance = SHUNT_NONE;
    in->decision.generation = ask->generation;
    assert(d->policy);
    d->policy(d, ask, &in->decision);
    driver_at(d, d->now_ns + d->latency_ns, &input);
}

static inline void driver_act(struct driver *d, const struct core_action *action)
{
    struct core_input input = {0};
    switch (action->kind) {
    case CORE_ACT_DISPATCH: {
        int64_t took_ns = d->service_ns[action->u.dispatch.model];
        if (took_ns >= 0) {
            input.kind = CORE_IN_COMPLETE;
            input.u.complete = (struct core_in_complete){.request = action->u.dispatch.request,
                                                         .outcome = SHUNT_OUTCOME_COMPLETED,
                                                         .output_tokens = 1};
            driver_at(d, d->now_ns + took_ns, &input);
        }
        break;
    }
    case CORE_ACT_ABORT:
        input.kind = CORE_IN_COMPLETE;
        input.u.complete = (struct core_in_complete){.request = action->u.abort.request,
                                                     .outcome = SHUNT_OUTCOME_CANCELLED};
        driver_at(d, d->now_ns, &input);
        break;
    case CORE_ACT_STEP:
        driver_step(d, &action->u.step);
        break;
    case CORE_ACT_STEP_CANCEL:
        input.kind = CORE_IN_STEP;
        input.u.step = (struct core_in_step){.switch_id = action->u.step.switch_id,
                                             .instance = action->u.step.instance,
                                             .step = action->u.step.step,
                                             .tier = SHUNT_TIER_STOPPED,
                                             .device_bytes = -1};
        driver_at(d, d->now_ns, &input);
        break;
    case CORE_ACT_ASK:
        driver_ask(d, &action->u.ask);
        break;
    default:
        break;
    }
}

static inline void driver_drain(struct driver *d)
{
    uint32_t first = d->log_count;
    struct core_action action;
    while (core_next(d->core, &action)) {
        assert(d->log_count < DRIVER_LOG);
        d->log[d->log_count++] = action;
    }
    const char *broken = d->unchecked ? NULL : core_check(d->core);
    if (broken) {
        fprintf(stderr, "at %lld ns: %s\n", (long long)d->now_ns, broken);
        abort();
    }
    uint32_t last = d->log_count;
    for (uint32_t i = first; i < last; i++) {
        driver_act(d, &d->log[i]);
    }
}

/* Order of events of one instant: completions, steps, arrivals and others, decisions. */
static inline int driver_rank(uint32_t kind)
{
    return kind == CORE_IN_COMPLETE   ? 0
           : kind == CORE_IN_STEP     ? 1
           : kind == CORE_IN_DECISION ? 3
                                      : 2;
}

static inline uint32_t driver_next(const struct driver *d)
{
    uint32_t best = CORE_NONE;
    for (uint32_t i = 0; i < d->event_count; i++) {
        if (best == CORE_NONE) {
            best = i;
            continue;
        }
        const struct driver_event *a = &d->events[i];
        const struct driver_event *b = &d->events[best];
        int rank_a = driver_rank(a->input.kind);
        int rank_b = driver_rank(b->input.kind);
        if (a->at_ns < b->at_ns ||
            (a->at_ns == b->at_ns && (rank_a < rank_b || (rank_a == rank_b && a->seq < b->seq)))) {
            best = i;
        }
    }
    return best;
}

/* Runs all that happens up to and including `until_ns`. */
static inline void driver_run(struct driver *d, int64_t until_ns)
{
    for (uint32_t turns = 0;; turns++) {
        assert(turns < 1000000);
        uint32_t next = driver_next(d);
        int64_t event_ns = next == CORE_NONE ? CORE_NEVER : d->events[next].at_ns;
        int64_t wake_ns = core_wake_ns(d->core);
        int64_t at_ns = event_ns < wake_ns ? event_ns : wake_ns;
        if (at_ns > until_ns) {
            break;
        }
        d->now_ns = at_ns > d->now_ns ? at_ns : d->now_ns;
        if (event_ns <= d->now_ns) {
            struct core_input input = d->events[next].input;
            d->events[next] = d->events[--d->event_count];
            (void)driver_apply(d, &input);
        } else {
            struct core_input advance = {.kind = CORE_IN_ADVANCE};
            (void)driver_apply(d, &advance);
        }
    }
    d->now_ns = until_ns;
}

static inline void driver_init(struct driver *d)
{
    memset(d, 0, sizeof(*d));
    d->limits = (struct core_limits){.models_max = DRIVER_MODELS,
                                     .devices_max = 4,
                                     .instances_max = 4 * DRIVER_MODELS,
                                     .slots_max = 4,
                                     .queued_max = 1000,
                                     .in_flight_max = 1000};
    size_t size = core_size(&d->limits);
    d->memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    d->core = core_init(d->memory, size, &d->limits, 1);
    assert(d->core);
    for (uint32_t i = 0; i < DRIVER_MODELS; i++) {
        d->out_ns[i] = 1 * CORE_NS_PER_S;
        d->in_ns[i] = 2 * CORE_NS_PER_S;
        d->service_ns[i] = 1 * CORE_NS_PER_S;
    }
}

static inline void driver_fini(struct driver *d)
{
    free(d->memory);
}

/* Puts a policy into slot 0 and selects it. */
static inline void driver_policy_set(struct driver *d, driver_policy *policy)
{
    struct core_input input = {.kind = CORE_IN_SLOT};
    d->policy = policy;
    input.u.slot = (struct core_in_slot){.slot = 0, .change = CORE_SLOT_FILL};
    (void)driver_apply(d, &input);
    input.u.slot.change = CORE_SLOT_SELECT;
    (void)driver_apply(d, &input);
}

/* A configuration of N models on one device, each taking all of it, able to sleep. */
struct driver_config {
    struct core_config config;
    struct core_model_config models[DRIVER_MODELS];
    struct core_instance_config instances[DRIVER_MODELS][4];
    struct core_device_config devices[4];
};

static inline void driver_config_init(struct driver_config *c, uint32_t models, uint32_t devices)
{
    memset(c, 0, sizeof(*c));
    for (uint32_t i = 0; i < models; i++) {
        c->models[i] = (struct core_model_config){.key = 100 + i,
                                                  .max_concurrency = 4,
                                                  .queue_max = 100,
                                                  .service_limit_ns = 10 * CORE_NS_PER_S,
                                                  .weight = 1.0,
                                                  .instance_count = devices,
                                                  .instances = c->instances[i]};
        for (uint32_t k = 0; k < devices; k++) {
            struct core_instance_config *in = &c->instances[i][k];
            in->device = k;
            in->tiers = 1u << SHUNT_TIER_ASLEEP;
            in->edges_in = 1u << SHUNT_TIER_ASLEEP;
            in->device_bytes[SHUNT_TIER_RESIDENT] = 80;
            in->device_bytes[SHUNT_TIER_ASLEEP] = 1;
            in->host_bytes[SHUNT_TIER_ASLEEP] = 80;
        }
    }
    for (uint32_t k = 0; k < devices; k++) {
        c->devices[k] = (struct core_device_config){.memory_bytes = 100, .up = 1};
    }
    c->config = (struct core_config){
        .model_count = models,
        .device_count = devices,
        .models = c->models,
        .devices = c->devices,
        .failed_backoff_ns = 30 * CORE_NS_PER_S,
        .guard = {.enabled = 1,
                  .switch_limit_ns = 20 * CORE_NS_PER_S,
                  .answer_ns = 1 * CORE_NS_PER_S,
                  .drain_mode = SHUNT_DRAIN_FINISH},
    };
}

static inline void driver_configure(struct driver *d, const struct driver_config *c)
{
    struct core_config_error why = {0};
    int error = core_configure(d->core, &c->config, d->now_ns, &why);
    if (error) {
        fprintf(stderr, "configuration refused: %s\n", why.what ? why.what : "?");
        abort();
    }
    driver_drain(d);
}

/* A request now; its cookie. */
static inline uint64_t driver_request(struct driver *d, uint32_t model)
{
    struct core_input input = {.kind = CORE_IN_REQUEST};
    input.u.request.model = model;
    input.u.request.cookie = ++d->next_cookie;
    (void)driver_apply(d, &input);
    return d->next_cookie;
}

/* A request at a later time. */
static inline void driver_request_at(struct driver *d, int64_t at_ns, uint32_t model)
{
    struct core_input input = {.kind = CORE_IN_REQUEST};
    input.u.request.model = model;
    input.u.request.cookie = ++d->next_cookie;
    driver_at(d, at_ns, &input);
}

/* First action of a kind about a cookie, from log position `from`; NULL if there is none. */
static inline const struct core_action *driver_find(const struct driver *d, uint32_t kind,
                                                    uint64_t cookie)
{
    for (uint32_t i = 0; i < d->log_count; i++) {
        const struct core_action *a = &d->log[i];
        if (a->kind != kind) {
            continue;
        }
        if ((kind == CORE_ACT_ACCEPT && a->u.accept.cookie == cookie) ||
            (kind == CORE_ACT_REJECT && a->u.reject.cookie == cookie) ||
            (kind == CORE_ACT_DISPATCH && a->u.dispatch.cookie == cookie) ||
            (kind == CORE_ACT_END && a->u.end.cookie == cookie) ||
            (kind == CORE_ACT_ABORT && a->u.abort.cookie == cookie)) {
            return a;
        }
    }
    return NULL;
}

static inline uint64_t driver_id(const struct driver *d, uint64_t cookie)
{
    const struct core_action *a = driver_find(d, CORE_ACT_ACCEPT, cookie);
    return a ? a->u.accept.request : 0;
}

/* When a request was dispatched; -1 if it was not. */
static inline int64_t driver_dispatched(const struct driver *d, uint64_t cookie)
{
    const struct core_action *a = driver_find(d, CORE_ACT_DISPATCH, cookie);
    return a ? a->t_ns : -1;
}

static inline uint32_t driver_count(const struct driver *d, uint32_t kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->log_count; i++) {
        count += d->log[i].kind == kind;
    }
    return count;
}

static inline uint32_t driver_guards(const struct driver *d, uint32_t kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->log_count; i++) {
        count += d->log[i].kind == CORE_ACT_RECORD && d->log[i].u.record.kind == CORE_REC_GUARD &&
                 d->log[i].u.record.u.guard.kind == kind;
    }
    return count;
}

#endif
