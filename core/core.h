/*
 * The scheduling core: queues, residency, switches, guard, asking. A state machine that is fed
 * inputs and drained of outputs; the host and the simulator are two drivers of this code.
 *
 * It has no I/O, clock, thread, log or allocation of its own: memory is handed in at start, time is
 * handed in with every input, and it never calls its driver. The same inputs give the same outputs,
 * byte for byte, on every build.
 *
 * How to drive it. For each instant t at which something happened:
 *
 *     core_apply(core, &input);            one input; t_ns never goes back
 *     while (core_next(core, &action)) {   drain ALL actions before the next input
 *         ... do it; on CORE_ACT_NOTIFY call the slot's hook, on CORE_ACT_ASK call its decide and
 *             keep the answer ...
 *     }
 *     for each kept answer: core_apply(core, DECISION) and drain again
 *
 * and when nothing more is at hand at t, while core_wake_ns(core) <= t: core_apply(core, ADVANCE at
 * t) and drain. Only ADVANCE fires timers and dispatches requests; so a completion, the arrivals of
 * the same instant and the decision they lead to all come before the next dispatch. Feed
 * completions of an instant before its arrivals. Then sleep until core_wake_ns(core).
 *
 * A recorded sequence of inputs (decisions are inputs) fed again gives the same actions; a policy
 * is not needed for that.
 *
 * Ids: models, devices, instances and slots are dense indices fixed by core_configure. A request id
 * carries a generation: index in its low 32 bits (below core_request_capacity, for the driver's own
 * table), generation above; an id of an ended request is recognised and refused with -ESTALE.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <stdbool.h>

#include <shunt/policy.h>

struct core;

#define CORE_NONE     SHUNT_NONE
#define CORE_NS_PER_S INT64_C(1000000000)
#define CORE_NEVER    INT64_MAX
#define CORE_SPAN_MAX 1u /* devices a placement may span in this version */

/* ------------------------------------------------------------------ start */

/* Fixed at start; a configuration beyond them is refused with -E2BIG. */
struct core_limits {
    uint32_t models_max;    /* 1..256 */
    uint32_t devices_max;   /* 1..16 */
    uint32_t instances_max; /* placements of all models together, 1..1024 */
    uint32_t slots_max;     /* policy slots, 1..8 */
    uint32_t queued_max;    /* requests waiting in all queues together */
    uint32_t in_flight_max; /* requests dispatched and not ended, together */
};

/* Bytes of memory a core with these limits needs; 0 if a limit is out of range. */
size_t core_size(const struct core_limits *limits);

/*
 * Makes a core in `memory` (core_size(limits) bytes, aligned to 64, owned by the caller and used
 * until it is given up; there is nothing to free). The tables of requests and actions are not
 * touched before they are needed: pages of generous limits cost nothing while they are not. `seed`
 * keys every random number of the core. NULL if a limit is out of range or `size` too small.
 */
struct core *core_init(void *memory, size_t size, const struct core_limits *limits, uint64_t seed);

/* ------------------------------------------------------------------ configuration */

/* One placement of a model: a device that it may occupy. */
struct core_instance_config {
    uint32_t device;
    uint32_t tiers;                         /* bit t: may be put into SHUNT_TIER_t; RESIDENT and
                                               STOPPED are always set */
    uint32_t edges_in;                      /* bit t: has an in-step RESIDENT <- t */
    uint32_t edges_prefetch;                /* bit t: may be raised to t without device memory */
    int64_t device_bytes[SHUNT_TIER_COUNT]; /* held on the device in each tier */
    int64_t host_bytes[SHUNT_TIER_COUNT];   /* held in the host's memory in each tier */
    uint32_t tier;                          /* where it is at start */
    uint32_t pinned;                        /* 1: never a victim */
};

struct core_model_config {
    uint64_t key;             /* stable identity over reloads (hash of the name); unique, not 0 */
    uint32_t max_concurrency; /* requests in flight one instance takes, >= 1 */
    uint32_t queue_max;       /* waiting requests; more are rejected */
    int64_t max_wait_ns;      /* older ones expire; 0 = unlimited */
    int64_t service_limit_ns; /* B: longest time from dispatch to end; 0 = none (bounds: "none") */
    int64_t idle_unload_ns;   /* unload after so long without work; 0 = never */
    double weight;
    uint32_t reject_hopeless; /* 1: reject when the estimated wait exceeds max_wait_ns */
    uint32_t instance_count;  /* >= 1, at most one a device */
    const struct core_instance_config *instances;
};

struct core_device_config {
    int64_t memory_bytes; /* budget of all tiers together */
    uint32_t link;        /* host link it hangs on; prefetches on one link are one at a time */
    uint32_t up;          /* 1 */
};

/* The guard's settings; names as in docs/GUARD.md. Zero or CORE_NEVER as told. */
struct core_guard_config {
    uint32_t enabled;        /* 0: off (simulation only); bounds become "none" */
    uint32_t overtakes;      /* M; 0 = 4 N of the device */
    uint32_t dispatches_min; /* K; 0 = max_concurrency of the model */
    int64_t age_ns;          /* A; 0 = 2 N (C + T + D) of the device */
    int64_t visit_cap_ns; /* T; 0 = max(50 (C + d), 120 s), learned means, time-outs until then */
    int64_t visit_cap_floor_ns;   /* floor of the automatic T; 120 s unless times are scaled */
    int64_t drain_ns;             /* D; 0 = largest service_limit_ns */
    int64_t switch_limit_ns;      /* C: one whole switch after its drain, retries included; > 0 */
    int64_t answer_ns;            /* delta: deadline of an answer; > 0 */
    int64_t recheck_min_ns;       /* a decision's recheck_at_ns is not earlier than this after it */
    uint32_t drain_mode;          /* SHUNT_DRAIN_FINISH or SHUNT_DRAIN_REQUEUE */
    uint32_t switches_per_minute; /* cap for voluntary switches a device; 0 = none */
    double switch_share_max;      /* cap for the share of time voluntary switches take; 0 = none */
    int64_t min_residence_ns;     /* floor under every decision's min_residence_ns */
};

struct core_config {
    uint32_t model_count;
    uint32_t device_count;
    const struct core_model_config *models;
    const struct core_device_config *devices;
    int64_t host_memory_bytes; /* budget of host_bytes of all instances together; 0 = unlimited */
    int64_t failed_backoff_ns; /* first quarantine after a failed load; doubled up to 64 times it */
    uint32_t retries_max;      /* retries of a failed step inside one switch */
    uint32_t reserved;
    struct core_guard_config guard;
};

/* What core_configure found wrong. */
struct core_config_error {
    const char *what; /* static text */
    uint32_t model;   /* CORE_NONE if not about a model */
    uint32_t device;  /* CORE_NONE if not about a device */
};

/*
 * Sets or replaces the configuration. Pointers are read during the call only. At a reload models
 * keep their queues, costs and residency by `key`; requests of models that are gone end with
 * SHUNT_OUTCOME_FAILED; a model in a switch or with requests in flight cannot be removed (-EBUSY).
 * Every slot is told (layout) and asks follow. Returns 0; -E2BIG beyond the limits; -EINVAL with
 * *ret_error filled, nothing changed. Like an input: drain before and after; t_ns never goes back.
 */
int core_configure(struct core *core, const struct core_config *config, int64_t t_ns,
                   struct core_config_error *ret_error);

/* ------------------------------------------------------------------ inputs */

enum core_input_kind {
    CORE_IN_ADVANCE = 0, /* nothing more at this instant: fire timers, dispatch */
    CORE_IN_REQUEST = 1, /* a request arrived */
    CORE_IN_CANCEL = 2,  /* its client left, or the driver gives it up */
    CORE_IN_FIRST_TOKEN = 3,
    CORE_IN_COMPLETE = 4, /* a dispatched request left its engine */
    CORE_IN_STEP = 5,     /* a step of a switch or prefetch ended */
    CORE_IN_ENGINE = 6,   /* an engine's own figures, or its state when not in a step */
    CORE_IN_ENGINE_LOST = 7,
    CORE_IN_DEVICE = 8,   /* a device left or came back */
    CORE_IN_DECISION = 9, /* a slot's answer to an ask */
    CORE_IN_TIMER = 10,   /* a slot sets or cancels a timer or its tick */
    CORE_IN_SLOT = 11,    /* a slot is filled, emptied, selected, lost, or its parameters changed */
    CORE_IN_OPERATOR = 12,
    CORE_IN_KIND_COUNT = 13
};

struct core_in_request {
    uint64_t cookie; /* the driver's; comes back in every action about the request */
    uint32_t model;
    uint32_t service_class;
    int64_t deadline_ns; /* absolute; 0 = none */
    uint64_t tenant_hash;
    uint64_t session_hash;
    uint64_t prefix_hash;
    int32_t priority; /* -8..7 */
    uint32_t prompt_tokens;
    uint32_t max_tokens; /* 0 = unknown */
    uint32_t reserved;
};

struct core_in_cancel {
    uint64_t request;
    uint32_t outcome; /* SHUNT_OUTCOME_CANCELLED, _EXPIRED (a time-out of the driver) or _FAILED */
    uint32_t reserved;
};

struct core_in_complete {
    uint64_t request;
    uint32_t outcome; /* COMPLETED, FAILED, CANCELLED or CUT; ignored if it has ended before:
                         then this only frees its place in the engine */
    uint32_t output_tokens;
    uint32_t prompt_tokens; /* as the engine counted; 0 = unknown */
    uint32_t retry;         /* 1: never reached the engine: back to the head of its queue */
};

/* Steps. */
enum core_step { CORE_STEP_OUT = 0, CORE_STEP_IN = 1, CORE_STEP_PROBE = 2, CORE_STEP_COUNT = 3 };

struct core_in_step {
    uint64_t switch_id; /* of the CORE_ACT_STEP; another one for each attempt */
    uint32_t instance;
    uint32_t step;         /* enum core_step */
    uint32_t ok;           /* 0: failed */
    uint32_t tier;         /* tier the instance is in now (after an escalation a colder one) */
    int64_t device_bytes;  /* what it holds on the device now if measured; -1 = as configured */
    uint32_t memory_stuck; /* 1: the device's memory could not be freed: the device leaves */
    uint32_t retry;        /* failed: 1 = worth retrying within the switch limit */
};

struct core_in_engine {
    uint32_t instance;
    uint32_t tier; /* tier observed; SHUNT_NONE = no news. Ignored while a step is under way */
    int64_t device_bytes;  /* by tier `tier`; -1 = as configured */
    int64_t host_bytes;    /* -1 = as configured */
    uint32_t running;      /* SHUNT_NONE = unknown */
    uint32_t waiting;      /* SHUNT_NONE = unknown */
    int64_t kv_used_bytes; /* -1 = unknown */
    int64_t kv_total_bytes;
    double prefix_hit_ratio; /* NaN = unknown */
};

struct core_in_engine_lost {
    uint32_t instance;
    uint32_t tier;    /* tier left behind, mostly STOPPED */
    uint32_t requeue; /* 1: requests without a response byte go back to their queue's head */
    uint32_t reserved;
};

struct core_in_device {
    uint32_t device;
    uint32_t up;
};

struct core_in_decision {
    uint32_t slot;
    uint32_t status; /* 0: `decision` holds; 1: the policy failed (fault, crash, late): the built-in
                        decides */
    uint64_t ask_id;
    struct shunt_decision decision;
};

struct core_in_timer {
    uint32_t slot;
    uint32_t id;   /* 0..15; CORE_TIMER_TICK: at_ns is the period */
    int64_t at_ns; /* CORE_NEVER cancels */
};
#define CORE_TIMER_TICK 16u

/* What happens to a slot. */
enum core_slot_change {
    CORE_SLOT_FILL = 0,   /* an instance is in the slot from now on and is fed (notify) */
    CORE_SLOT_EMPTY = 1,  /* its instance is gone; if it was selected the built-in decides */
    CORE_SLOT_SELECT = 2, /* it decides from the next decision boundary; SHUNT_NONE: the built-in */
    CORE_SLOT_LOST = 3,   /* crashed or stuck: as EMPTY, and counted */
    CORE_SLOT_PARAMS = 4, /* its parameters changed: ask again */
    CORE_SLOT_SHADOW = 5  /* it is asked too (flag shadow), answers recorded, not applied */
};

struct core_in_slot {
    uint32_t slot;
    uint32_t change; /* enum core_slot_change */
};

enum core_operation {
    CORE_OP_LOAD = 0,   /* bring a model in */
    CORE_OP_UNLOAD = 1, /* move it out, to its coldest tier */
    CORE_OP_PIN = 2,
    CORE_OP_UNPIN = 3,
    CORE_OP_DRAIN = 4,  /* accept no request any more, serve what is queued */
    CORE_OP_RESUME = 5, /* undoes DRAIN */
    CORE_OP_STOP = 6    /* end every queued request with FAILED */
};

struct core_in_operator {
    uint32_t operation; /* enum core_operation */
    uint32_t model;     /* LOAD, UNLOAD, PIN, UNPIN */
    uint32_t instance;  /* LOAD, UNLOAD, PIN: SHUNT_NONE = the core chooses */
    uint32_t reserved;
};

struct core_input {
    uint32_t kind; /* enum core_input_kind */
    uint32_t reserved;
    int64_t t_ns;
    union {
        struct core_in_request request;
        struct core_in_cancel cancel;
        uint64_t first_token; /* request */
        struct core_in_complete complete;
        struct core_in_step step;
        struct core_in_engine engine;
        struct core_in_engine_lost engine_lost;
        struct core_in_device device;
        struct core_in_decision decision;
        struct core_in_timer timer;
        struct core_in_slot slot;
        struct core_in_operator op;
    } u;
};

/*
 * What is not said above:
 *   CANCEL       ends the request at once, with an END. One in flight gets an ABORT too and holds
 *                its place until COMPLETE.
 *   ENGINE_LOST  every request in flight there leaves at once: back to its queue if `requeue` and
 *                no response byte was sent (twice at most), else END with FAILED, dispatched = 1,
 *                no ABORT. A later COMPLETE for one of them gets -ESTALE.
 *   DEVICE       down: as ENGINE_LOST with requeue for all its instances; steps there are over.
 *   STEP         of an OUT that failed and is not retried: `tier` says where the instance is.
 *                RESIDENT: it serves again and the switch has failed; colder: it counts as out.
 *   drain mode requeue: a request without a response byte gets an ABORT and no END; COMPLETE (not
 *                with COMPLETED) puts it back. A policy may ask for FINISH where REQUEUE is
 *                configured, not the other way round.
 *
 * Applies one input. All actions must have been drained before. Returns 0; a negative errno says
 * why an input that comes from outside was not applied (nothing changed then):
 *   -ESTALE  request, switch or ask has ended        -EINVAL  an index or value out of range
 *   -EPERM   OPERATOR: a pin that would leave a served model without a place (R5)
 *   -EBUSY   OPERATOR: not possible in the present state
 * An arrival never fails this way: it is answered with ACCEPT or REJECT.
 */
int core_apply(struct core *core, const struct core_input *input);

/* Earliest time at which ADVANCE has something to do; the present time while dispatches are
 * pending; CORE_NEVER if nothing is. */
int64_t core_wake_ns(const struct core *core);

/* ------------------------------------------------------------------ outputs */

enum core_action_kind {
    CORE_ACT_ACCEPT = 0,   /* request has an id now */
    CORE_ACT_REJECT = 1,   /* it was not accepted */
    CORE_ACT_DISPATCH = 2, /* send it to the instance's engine */
    CORE_ACT_END = 3,      /* it ended other than by COMPLETE: answer the client with an error */
    CORE_ACT_ABORT = 4,    /* close it upstream; report COMPLETE when its place is free */
    CORE_ACT_STEP = 5,     /* carry out a step; report STEP. One at a time an instance */
    CORE_ACT_STEP_CANCEL =
        6,               /* the switch ran into its limit: stop trying, clean up, report STEP */
    CORE_ACT_ASK = 7,    /* ask a slot */
    CORE_ACT_NOTIFY = 8, /* call a slot's hook */
    CORE_ACT_RECORD = 9, /* something for metrics, log and journal */
    CORE_ACT_KIND_COUNT = 10
};

/* Why a request was rejected, with the HTTP status a front gives. */
enum core_reject {
    CORE_REJECT_QUEUE_FULL = 0,  /* 429: model's queue_max or queued_max */
    CORE_REJECT_HOPELESS = 1,    /* 429: estimated wait above max_wait_ns */
    CORE_REJECT_UNAVAILABLE = 2, /* 503: quarantined, no device, or draining */
    CORE_REJECT_COUNT = 3
};

struct core_act_accept {
    uint64_t request;
    uint64_t cookie;
    uint32_t model;
    uint32_t position; /* in its queue, 0 = head */
    int64_t eta_ns;    /* estimated wait from now; -1 = unknown */
};

struct core_act_reject {
    uint64_t cookie;
    uint32_t model;
    uint32_t reason;        /* enum core_reject */
    int64_t retry_after_ns; /* honest estimate; -1 = unknown */
};

/* Where a request's wait went; the parts sum to the wait exactly. */
enum core_wait {
    CORE_WAIT_QUEUE = 0,  /* behind its own queue: its model was admitting */
    CORE_WAIT_POLICY = 1, /* the policy stayed with another */
    CORE_WAIT_GUARD = 2,  /* the guard served another first */
    CORE_WAIT_DRAIN = 3,  /* a switch to its model waited for victims to drain */
    CORE_WAIT_OUT = 4,
    CORE_WAIT_MEMORY = 5, /* waiting for memory to be free */
    CORE_WAIT_RETRY = 6,  /* failed attempts and the pauses between */
    CORE_WAIT_IN = 7,
    CORE_WAIT_PROBE = 8,
    CORE_WAIT_UNAVAILABLE = 9, /* no instance could be had */
    CORE_WAIT_COUNT = 10
};

struct core_act_dispatch {
    uint64_t request;
    uint64_t cookie;
    uint32_t model;
    uint32_t instance;
    int64_t arrival_ns;
    int64_t wait_ns[CORE_WAIT_COUNT];
};

struct core_act_end {
    uint64_t request;
    uint64_t cookie;
    uint32_t model;
    uint32_t outcome;    /* SHUNT_OUTCOME_* */
    uint32_t dispatched; /* 1: it was in flight; an ABORT follows if its engine lives */
    uint32_t instance;   /* CORE_NONE if not dispatched */
    int64_t wait_ns[CORE_WAIT_COUNT];
};

struct core_act_abort {
    uint64_t request;
    uint64_t cookie;
    uint32_t instance;
    uint32_t reserved;
};

struct core_act_step {
    uint64_t switch_id; /* prefetches and demotions have ids too */
    uint32_t instance;
    uint32_t step; /* enum core_step */
    uint32_t from_tier;
    uint32_t to_tier;
    int64_t deadline_ns; /* absolute: the switch's limit */
    uint32_t attempt;    /* 0, 1, ... */
    uint32_t background; /* 1: prefetch or demotion, no request waits for it */
    uint32_t target;     /* instance that the switch brings in; CORE_NONE: none, or background */
    uint32_t reserved;
};

struct core_act_ask {
    uint32_t slot;
    uint32_t device;
    uint64_t id;
    uint64_t generation;
    int64_t deadline_ns; /* absolute; past it the built-in has answered */
    uint32_t why;        /* SHUNT_WHY_* */
    uint32_t shadow;
};

/* Which hook of a policy to call. */
enum core_hook {
    CORE_HOOK_LAYOUT = 0, /* models_changed(snapshot) */
    CORE_HOOK_RESYNC = 1, /* on_resync(snapshot) */
    CORE_HOOK_ARRIVAL = 2,
    CORE_HOOK_DISPATCH = 3,
    CORE_HOOK_COMPLETE = 4,
    CORE_HOOK_CANCEL = 5,
    CORE_HOOK_SWITCH_START = 6,
    CORE_HOOK_SWITCH_DONE = 7,
    CORE_HOOK_SWITCH_FAILED = 8,
    CORE_HOOK_TIMER = 9,
    CORE_HOOK_TICK = 10,
    CORE_HOOK_COUNT = 11
};

struct core_act_notify {
    uint32_t slots; /* bit s: call the hook of slot s; in index order */
    uint32_t hook;  /* enum core_hook */
    union {
        struct shunt_request_event request; /* ARRIVAL..CANCEL */
        struct shunt_switch_event change;   /* SWITCH_* */
        uint32_t timer;                     /* TIMER: id */
    } event;
};

/* Interventions of the guard and of validation, counted by kind. */
enum core_guard_kind {
    CORE_GUARD_FORCED_CAP = 0,
    CORE_GUARD_FORCED_OVERTAKE = 1,
    CORE_GUARD_FORCED_AGE = 2,
    CORE_GUARD_DRAIN_CUT = 3,  /* requests cut at the drain limit */
    CORE_GUARD_CLAMPED = 4,    /* decision changed or refused: range, memory, capability */
    CORE_GUARD_STALE = 5,      /* decision of an older generation dropped */
    CORE_GUARD_LATE = 6,       /* answer deadline passed; the built-in answered */
    CORE_GUARD_CAPPED = 7,     /* voluntary switch delayed by rate, share or minimum residence */
    CORE_GUARD_ASK_LIMIT = 8,  /* eight asks without time passing */
    CORE_GUARD_FAULT = 9,      /* decide failed */
    CORE_GUARD_SECONDARY = 10, /* secondary action refused */
    CORE_GUARD_KIND_COUNT = 11
};

enum core_record_kind {
    CORE_REC_DECISION = 0, /* a decision was applied, changed or dropped */
    CORE_REC_SWITCH = 1,   /* a switch ended, with its phases */
    CORE_REC_GUARD = 2,    /* an intervention */
    CORE_REC_VISIT = 3,    /* a visit started */
    CORE_REC_REQUEST = 4,  /* a dispatched request ended, with times */
    CORE_REC_INSTANCE = 5, /* an instance changed its state */
    CORE_REC_SLOT = 6,     /* another slot decides now */
    CORE_REC_KIND_COUNT = 7
};

/* What became of a decision. */
enum core_verdict {
    CORE_VERDICT_APPLIED = 0,
    CORE_VERDICT_CLAMPED = 1, /* taken as "stay", or with limits cut */
    CORE_VERDICT_STALE = 2,
    CORE_VERDICT_LATE = 3,
    CORE_VERDICT_FAULT = 4,
    CORE_VERDICT_SHADOW = 5,
    CORE_VERDICT_CAPPED = 6,
    CORE_VERDICT_COUNT = 7
};

struct core_rec_decision {
    uint64_t ask_id;
    uint32_t slot; /* CORE_NONE: built-in or guard */
    uint32_t device;
    uint32_t action;
    uint32_t model;
    uint32_t reason;
    uint32_t why;
    uint32_t verdict; /* enum core_verdict */
    uint32_t cause;   /* SHUNT_CAUSE_* when action is SWITCH */
};

struct core_rec_switch {
    struct shunt_switch_event event;
    uint32_t ok;
    uint32_t slot; /* that decided it; CORE_NONE */
};

struct core_rec_guard {
    uint32_t kind; /* enum core_guard_kind */
    uint32_t device;
    uint32_t model;
    uint32_t slot;
    uint32_t count; /* requests, for DRAIN_CUT; else 1 */
    uint32_t reserved;
};

struct core_rec_visit {
    uint32_t device;
    uint32_t instance;
    uint32_t model;
    uint32_t cause;   /* SHUNT_CAUSE_* */
    int64_t gap_ns;   /* gap of the model that ends with this visit; 0 if it did not wait */
    int64_t bound_ns; /* guaranteed bound of that gap; 0 = none */
};

struct core_rec_request {
    uint64_t request;
    uint64_t cookie;
    uint32_t model;
    uint32_t instance;
    uint32_t outcome;
    uint32_t output_tokens;
    int64_t arrival_ns;
    int64_t dispatch_ns;
    int64_t first_token_ns;           /* 0 if none */
    int64_t wait_ns[CORE_WAIT_COUNT]; /* sums to dispatch_ns - arrival_ns */
};

struct core_rec_instance {
    uint32_t instance;
    uint32_t model;
    uint32_t state; /* SHUNT_INSTANCE_* */
    uint32_t tier;
};

struct core_rec_slot {
    uint32_t from; /* CORE_NONE: built-in */
    uint32_t to;
};

struct core_act_record {
    uint32_t kind; /* enum core_record_kind */
    uint32_t reserved;
    union {
        struct core_rec_decision decision;
        struct core_rec_switch change;
        struct core_rec_guard guard;
        struct core_rec_visit visit;
        struct core_rec_request request;
        struct core_rec_instance instance;
        struct core_rec_slot slot;
    } u;
};

struct core_action {
    uint32_t kind; /* enum core_action_kind */
    uint32_t reserved;
    int64_t t_ns;
    union {
        struct core_act_accept accept;
        struct core_act_reject reject;
        struct core_act_dispatch dispatch;
        struct core_act_end end;
        struct core_act_abort abort;
        struct core_act_step step; /* STEP, STEP_CANCEL */
        struct core_act_ask ask;
        struct core_act_notify notify;
        struct core_act_record record;
    } u;
};

/* Next action, in order; false when all have been taken. The ring is sized so that one input can
 * never overflow it (asserted). */
bool core_next(struct core *core, struct core_action *ret_action);

/* All actions that core_next has not given yet, at once and without a copy: valid until the next
 * core_apply or core_configure. Bytes behind core_action_size are indeterminate (core_next clears
 * them). */
const struct core_action *core_take(struct core *core, uint32_t *ret_count);

/* Which hooks a slot is notified of, bit h for enum core_hook h; all at start. A driver's matter:
 * it is not saved and changes nothing but what is emitted. */
void core_listen(struct core *core, uint32_t slot, uint32_t hooks);

/* Bytes of an action that its kind gives a meaning, from its start: what to copy, hash or compare.
 */
size_t core_action_size(const struct core_action *action);

/* ------------------------------------------------------------------ queries */

/* The snapshot for an ask or a layout hook, kept up to date in place: valid, and constant, until
 * the next core_apply. */
const struct shunt_snapshot *core_snapshot(struct core *core);

/* The cost blob, with a generation of its own; NULL above 512 models. */
const struct shunt_snapshot *core_costs(struct core *core);

/* Requests the driver's table must hold: ids have an index below this. */
uint32_t core_request_capacity(const struct core *core);

uint32_t core_selected_slot(const struct core *core); /* CORE_NONE: the built-in */

/* Counters and times of one model. Monotonic since start, kept over reloads. */
struct core_model_stats {
    uint64_t arrived; /* accepted */
    uint64_t rejected[CORE_REJECT_COUNT];
    uint64_t ended[6]; /* by SHUNT_OUTCOME_* */
    uint64_t dispatched;
    uint64_t requeued;
    uint64_t visits;
    uint64_t output_tokens;
    int64_t work_ns;         /* device time attributed to its completed requests */
    int64_t gap_max_ns;      /* largest gap so far, the running one included when asked */
    uint32_t queued;         /* now */
    uint32_t in_flight;      /* now */
    int64_t head_arrival_ns; /* CORE_NEVER if none waits */
    uint32_t waiting;        /* 1: a gap is running */
    uint32_t reserved;
    int64_t eta_ns; /* estimated wait of an arrival now; -1 = unknown */
};

/* Times of one device; the five states sum to elapsed time to the nanosecond. */
struct core_device_stats {
    int64_t state_ns[SHUNT_DEVICE_STATE_COUNT];
    int64_t since_ns;          /* core_configure that brought it in */
    int64_t batch_integral_ns; /* integral of requests in flight over time: / serving time = mean
                                  batch */
    uint64_t switches;
    uint64_t visits;
    uint64_t visits_forced; /* named by the guard, not by the policy */
    uint64_t guard[CORE_GUARD_KIND_COUNT];
    uint32_t state; /* SHUNT_DEVICE_* now */
    uint32_t up;
};

/* All stats as of t_ns (not before the last input). */
void core_model_stats(const struct core *core, uint32_t model, int64_t t_ns,
                      struct core_model_stats *ret_stats);
void core_device_stats(const struct core *core, uint32_t device, int64_t t_ns,
                       struct core_device_stats *ret_stats);

/* The bounds of one model under the present configuration: docs/GUARD.md has the proof. */
struct core_bounds {
    int64_t gap_ns;     /* 0: no bound holds, `reason` says why */
    int64_t wait_ns;    /* 0: no bound holds */
    const char *reason; /* static text; NULL when both hold */
};

/* From time-outs and limits: holds whatever the policy does. */
void core_bounds_guaranteed(const struct core *core, uint32_t model, struct core_bounds *ret);
/* The same formula with learned 95th percentiles in place of the limits, for orientation. */
void core_bounds_expected(const struct core *core, uint32_t model, struct core_bounds *ret);

/* Guard settings in force on a device, automatic values resolved. */
struct core_guard_values {
    uint32_t models; /* N_g */
    uint32_t overtakes;
    int64_t age_ns;
    int64_t visit_cap_ns;
    int64_t drain_ns;
    int64_t switch_limit_ns;
    int64_t answer_ns;
};
void core_guard_values(const struct core *core, uint32_t device, struct core_guard_values *ret);

/* What the core has learned or been told about a move, in nanoseconds. */
struct core_cost {
    double mean_ns; /* NaN = unknown */
    double var_ns2; /* NaN below two samples */
    double p95_ns;  /* NaN = unknown */
    uint64_t count;
};
enum core_cost_part { CORE_COST_OUT = 0, CORE_COST_IN = 1, CORE_COST_DRAIN = 2 };
/* Part of `model` to or from `tier` (tier is ignored for DRAIN). */
void core_cost_part(const struct core *core, uint32_t model, uint32_t tier, uint32_t part,
                    struct core_cost *ret);
/* Measured pair; from = CORE_NONE: the empty device. */
void core_cost_pair(const struct core *core, uint32_t from, uint32_t to, struct core_cost *ret);
/* Seeds a part with a prior (persisted from an earlier run): as `count` samples of the given mean
 * and variance. */
int core_cost_seed(struct core *core, uint32_t model, uint32_t tier, uint32_t part,
                   const struct core_cost *prior);

/* The same for a measured pair; from = CORE_NONE: the empty device. */
int core_cost_seed_pair(struct core *core, uint32_t from, uint32_t to,
                        const struct core_cost *prior);

/* An instance for people and drivers. */
struct core_instance_view {
    uint32_t model;
    uint32_t device;
    uint32_t state; /* SHUNT_INSTANCE_* */
    uint32_t tier;
    uint32_t in_flight;
    uint32_t admitting;
    uint32_t pinned;
    uint32_t quarantined;
    int64_t quarantined_until_ns;
    int64_t device_bytes; /* held now */
    int64_t host_bytes;
};
int core_instance_view(const struct core *core, uint32_t instance, struct core_instance_view *ret);

/* Position of a queued request (0 = head) and its wait so far by part. -ESTALE if it has ended;
 * position is CORE_NONE when it is in flight. */
int core_request_view(const struct core *core, uint64_t request, int64_t t_ns,
                      uint32_t *ret_position, int64_t ret_wait_ns[CORE_WAIT_COUNT]);

/* Checks every invariant that can be seen from inside (DESIGN 13: I2, I4, I6, I8, I13, I14);
 * returns NULL, or static text naming the first broken one. For tests and `serve --check`. */
const char *core_check(const struct core *core);

/* ------------------------------------------------------------------ keyframes */

/* Bytes core_save writes now (versioned, pointer-free). Only between a drained input and the next.
 */
size_t core_save_size(const struct core *core);
/* Writes them; returns the bytes written, 0 if `size` is too small. */
size_t core_save(const struct core *core, void *bytes, size_t size);
/* Makes a core in `memory` from saved bytes; it behaves as the saved one from here on. NULL if the
 * bytes are of another version, damaged, or the memory is too small. */
struct core *core_load(void *memory, size_t size, const void *bytes, size_t bytes_size);
/* Bytes of memory core_load needs for these saved bytes; 0 if they are damaged. */
size_t core_load_size(const void *bytes, size_t bytes_size);

/* Hash of everything that decides the future (not of counters): equal histories, equal hashes. */
uint64_t core_hash(const struct core *core);

#endif
