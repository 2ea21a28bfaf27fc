/*
 * What the files of the core share and nobody else may see: the tables and the verbs on them.
 *
 * All references between tables are indices, so that a table is saved as it stands. Inputs change
 * primary facts (queues, tiers, visits, switches) and touch the models and devices concerned;
 * core_settle then derives what follows from the facts (who waits, gaps, the guard's caps, device
 * states, asks) for what was touched, and only for that.
 */
#ifndef CORE_PRIV_H
#define CORE_PRIV_H

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/blob.h"
#include "core/bound.h"
#include "core/core.h"
#include "core/cost.h"
#include "core/rate.h"
#include "core/rng.h"

#define CORE_MODELS_MAX    256u
#define CORE_DEVICES_MAX   16u
#define CORE_INSTANCES_MAX 1024u
#define CORE_SLOTS_MAX     8u
#define CORE_TIMERS        16u
#define CORE_ASKS_MAX      8u   /* asks of a device without time or an outside event between */
#define CORE_RATE_MAX      128u /* largest cap on switches per minute */
#define CORE_REQUEUES_MAX  2u
#define CORE_BACKOFF_MAX   6u /* doublings of the quarantine */

/* ------------------------------------------------------------------ sets of indices */

struct core_set {
    uint64_t word[CORE_INSTANCES_MAX / 64];
};

static inline void core_set_add(struct core_set *set, uint32_t index)
{
    set->word[index / 64] |= UINT64_C(1) << (index % 64);
}

static inline void core_set_remove(struct core_set *set, uint32_t index)
{
    set->word[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

static inline bool core_set_has(const struct core_set *set, uint32_t index)
{
    return set->word[index / 64] >> (index % 64) & 1;
}

/* First member at or above `from` and below `count`; CORE_NONE if there is none. */
static inline uint32_t core_set_next(const struct core_set *set, uint32_t from, uint32_t count)
{
    uint32_t w = from / 64;
    if (from >= count) {
        return CORE_NONE;
    }
    uint64_t bits = set->word[w] & (UINT64_MAX << (from % 64));
    while (bits == 0) {
        w++;
        if (w * 64 >= count) {
            return CORE_NONE;
        }
        bits = set->word[w];
    }
    uint32_t index = w * 64 + (uint32_t)__builtin_ctzll(bits);
    return index < count ? index : CORE_NONE;
}

/* ------------------------------------------------------------------ requests */

enum core_request_state {
    CORE_REQUEST_FREE = 0,
    CORE_REQUEST_QUEUED = 1,
    CORE_REQUEST_FLIGHT = 2,
    CORE_REQUEST_HELD = 3 /* ended for its client; its place in the engine is not free yet */
};

struct core_request {
    uint64_t cookie;
    uint64_t seq; /* of its acceptance; order inside a model */
    uint64_t tenant_hash;
    uint64_t session_hash;
    uint64_t prefix_hash;
    int64_t arrival_ns;
    int64_t dispatch_ns;
    int64_t first_token_ns;           /* 0 if none */
    int64_t deadline_ns;              /* 0 if none */
    int64_t wait_ns[CORE_WAIT_COUNT]; /* queued: sums so far minus the model's clocks */
    uint32_t generation;
    uint32_t state;
    uint32_t model;
    uint32_t instance; /* CORE_NONE while queued */
    uint32_t next;     /* in its queue, its instance's list or the free list */
    uint32_t prev;
    uint32_t heap; /* place in the heap of deadlines; CORE_NONE */
    uint32_t service_class;
    int32_t priority;
    uint32_t prompt_tokens;
    uint32_t max_tokens;
    uint32_t requeued;
    uint32_t requeue; /* 1: aborted by a drain; back to its queue when its place is free */
    uint32_t reserved;
};

struct core_list {
    uint32_t head;
    uint32_t tail;
};

/* ------------------------------------------------------------------ models */

struct core_model {
    uint64_t key;
    int64_t max_wait_ns;
    int64_t service_limit_ns;
    int64_t idle_unload_ns;
    double weight;
    uint32_t max_concurrency;
    uint32_t queue_max;
    uint32_t reject_hopeless;
    uint32_t instance_first;
    uint32_t instance_count;
    uint32_t cost_row; /* stable over reloads */

    struct core_list queue;
    uint32_t queue_len;
    uint32_t in_flight; /* held places included */
    double queued_tokens;
    uint64_t visit_seq; /* order of its latest visit among all; 0 = never visited */
    int64_t last_visit_ns;
    int64_t last_served_ns;
    int64_t last_arrival_ns;
    int64_t work_since_ns; /* latest moment with work, for idle_unload_ns */

    uint32_t waiting;
    uint32_t admitted;    /* some instance admits it */
    uint32_t loading;     /* switches to it in their out or in step */
    uint32_t fifo_device; /* whose forced FIFO it is in; CORE_NONE */
    uint32_t fifo_next;   /* CORE_NONE at the tail */
    uint32_t fifo_cause;  /* SHUNT_CAUSE_FORCED_OVERTAKE, _AGE */
    int64_t gap_since_ns; /* CORE_NEVER if it does not wait */
    /* Start of the gap that a reopening with free places has ended at gap_kept_at_ns: it goes on if
     * admission closes again in that instant, before anything is dispatched. CORE_NEVER: none. */
    int64_t gap_kept_ns;
    int64_t gap_kept_at_ns;
    int64_t wake_ns;

    uint32_t part; /* enum core_wait that runs now */
    uint32_t busy; /* 1 while something is in flight */
    int64_t clock_at_ns;
    int64_t clock_ns[CORE_WAIT_COUNT];
    int64_t busy_since_ns;
    struct core_rate rate;
    struct core_rate rate_short;
};

/* Counters of a model: nothing is decided on them. */
struct core_model_count {
    uint64_t arrived;
    uint64_t rejected[CORE_REJECT_COUNT];
    uint64_t ended[6];
    uint64_t dispatched;
    uint64_t requeued;
    uint64_t visits;
    uint64_t output_tokens;
    int64_t busy_ns;
    int64_t gap_max_ns;
};

/* What has been learned about a model; by cost_row. */
struct core_model_costs {
    uint32_t known; /* bit of core_cost_bit: the cell may have samples */
    uint32_t reserved;
    struct core_cost_cell out[SHUNT_TIER_COUNT];
    struct core_cost_cell in[SHUNT_TIER_COUNT];
    struct core_cost_cell drain;
    struct core_cost_cell service;
    struct core_cost_cell gap;
    struct core_cost_cell tokens; /* output tokens, not times */
};

/* ------------------------------------------------------------------ instances */

#define CORE_STEP_NONE UINT32_MAX

struct core_instance {
    uint32_t model;
    uint32_t device;
    uint32_t tiers;
    uint32_t edges_in;
    uint32_t edges_prefetch;
    uint32_t pinned;
    int64_t device_bytes[SHUNT_TIER_COUNT];
    int64_t host_bytes[SHUNT_TIER_COUNT];

    uint32_t state; /* SHUNT_INSTANCE_* */
    uint32_t tier;
    int64_t device_held;
    int64_t host_held;
    uint32_t next_on_device;
    uint32_t failures;            /* loads that failed one after another */
    int64_t quarantined_until_ns; /* 0 if not */

    /* The step under way. */
    uint32_t step; /* enum core_step, CORE_STEP_NONE */
    uint32_t step_background;
    uint32_t step_orphan; /* 1: its switch has ended without it */
    uint32_t step_told;   /* 1: it has been told to stop */
    uint32_t step_from;
    uint32_t step_to;
    uint32_t step_attempt;
    uint32_t step_reserved;
    uint64_t step_id;
    int64_t step_start_ns;
    int64_t step_deadline_ns;
    int64_t in_ns; /* time of the in step that the probe under way completes */

    /* Part in a switch as one to be moved out. */
    uint32_t victim_of;   /* device whose switch moves it out; CORE_NONE */
    uint32_t victim_tier; /* where to */
    uint32_t want_tier;   /* background move not begun yet; SHUNT_NONE */
    uint32_t want_kind;   /* SHUNT_PREFETCH, SHUNT_DEMOTE */

    /* Requests in flight, held places included. */
    struct core_list flight;
    uint32_t in_flight;

    /* The visit. */
    uint32_t visiting;
    uint32_t visit_next; /* in the device's list of visits, latest first */
    uint32_t visit_prev;
    uint32_t promised; /* 1: R2's dispatches are due */
    int64_t visit_start_ns;
    int64_t visit_first_ns; /* first dispatch; CORE_NEVER */
    int64_t visit_busy_ns;  /* time with work in flight in the visit, up to busy_since_ns */
    int64_t busy_since_ns;  /* work in flight since then without a break; CORE_NEVER */
    uint64_t visit_served;
    uint64_t quantum_requests;
    int64_t quantum_ns;
    uint32_t quantum_used;
    uint32_t gated;
    uint64_t gate_seq;
    int64_t residence_until_ns;
    uint32_t residence_told;
    uint32_t fits;    /* resident beside the pinned ones: see core_instance_fits */
    uint32_t counted; /* among the device's waiting ones */
    uint32_t reserved;
    uint64_t gap_visits; /* visits of the device when the model's gap began */
    int64_t last_served_ns;

    /* The engine's own figures. */
    uint32_t running;
    uint32_t waiting;
    int64_t kv_used_bytes;
    int64_t kv_total_bytes;
    double prefix_hit_ratio;
};

/* ------------------------------------------------------------------ devices and switches */

enum core_phase {
    CORE_PHASE_NONE = 0,
    CORE_PHASE_PENDING = 1, /* decided; waits for residence, caps or memory; all go on admitting */
    CORE_PHASE_DRAIN = 2,   /* victims closed */
    CORE_PHASE_DRAINED = 3, /* the next ADVANCE begins the out steps */
    CORE_PHASE_OUT = 4,
    CORE_PHASE_MEMORY = 5,
    CORE_PHASE_IN = 6,
    CORE_PHASE_PROBE = 7
};

struct core_switch {
    uint32_t phase;
    uint32_t target; /* instance; CORE_NONE: an unload */
    uint64_t id;
    uint32_t cause;  /* SHUNT_CAUSE_* */
    uint32_t forced; /* 0, or a SHUNT_CAUSE_FORCED_*: why it can no longer be revoked */
    uint32_t held;   /* 1: of the operator, a stay does not revoke it */
    uint32_t slot;
    uint32_t drain; /* SHUNT_DRAIN_* */
    uint32_t victim_count;
    uint32_t victim_first; /* CORE_NONE */
    uint32_t named_count;  /* victims named by the policy */
    struct shunt_victim named[SHUNT_VICTIM_MAX];
    uint32_t blocked; /* 1: PENDING for memory */
    uint32_t capped;  /* 1: the delay by a cap has been counted */
    int64_t not_before_ns;
    int64_t blocked_at_ns; /* latest try that found no room */
    int64_t drain_start_ns;
    int64_t drain_deadline_ns;
    int64_t phase_start_ns;
    int64_t limit_ns;
    int64_t drain_ns;
    int64_t out_ns;
    int64_t memory_ns;
    int64_t in_ns;
    int64_t probe_ns;
    int64_t out_cost_ns; /* measured parts of the pair */
    uint32_t in_tier;    /* tier the target comes from */
    uint32_t victim_reached;
    uint32_t retries;
    uint32_t gated;
    uint64_t quantum_requests;
    int64_t quantum_ns;
    int64_t residence_ns;
};

struct core_device {
    int64_t memory_bytes;
    uint32_t link;
    uint32_t up;
    uint32_t instances;   /* first of the list */
    uint32_t visits_list; /* latest visit first */
    int64_t held_bytes;
    uint32_t overcommitted; /* an engine reported more than was planned */
    uint32_t in_flight;
    uint32_t orphans; /* steps of failed switches that have not been reported */
    uint32_t reserved;

    uint32_t waiting; /* models that wait and could be brought here */
    uint32_t fifo_head;
    uint32_t fifo_tail;
    uint32_t fifo_len;
    int64_t waiting_since_ns; /* R1's s; CORE_NEVER */
    int64_t waiting_kept_ns;  /* s before the last model ceased to wait, at waiting_kept_at_ns */
    int64_t waiting_kept_at_ns;
    uint64_t visits;
    int64_t last_switch_ns;

    uint64_t generation;
    uint64_t ask_id; /* outstanding; 0 = none */
    uint64_t ask_generation;
    int64_t ask_deadline_ns;
    uint32_t ask_slot;
    uint32_t ask_why;
    uint32_t why; /* reasons not asked about yet: the dirty bits */
    uint32_t asks;
    int64_t linger_until_ns;            /* 0 = none */
    int64_t recheck_at_ns;              /* 0 = none */
    uint64_t shadow_id[CORE_SLOTS_MAX]; /* outstanding; 0 = none */
    int64_t shadow_until_ns[CORE_SLOTS_MAX];

    uint32_t cap_asked;
    uint32_t cap_answered;
    int64_t cap_deadline_ns;
    struct core_switch sw;
    struct core_guard_values guard;
    int64_t wake_ns;

    int64_t rate_ns[CORE_RATE_MAX]; /* starts of the latest switches, a ring */
    uint32_t rate_next;
    uint32_t rate_count;
    int64_t share_credit_ns;
    int64_t share_at_ns;

    uint32_t state; /* SHUNT_DEVICE_* */
    uint32_t reserved2;
    int64_t state_at_ns;
};

struct core_device_count {
    int64_t state_ns[SHUNT_DEVICE_STATE_COUNT];
    int64_t since_ns;
    int64_t batch_integral_ns;
    uint64_t switches;
    uint64_t visits_forced;
    uint64_t guard[CORE_GUARD_KIND_COUNT];
};

struct core_slot {
    uint32_t filled;
    uint32_t shadow;
    int64_t timer_ns[CORE_TIMERS];
    int64_t tick_ns; /* period; 0 = none */
    int64_t tick_at_ns;
};

/* ------------------------------------------------------------------ the core */

/* Scalars; saved as they stand. */
struct core_state {
    uint64_t seed;
    int64_t now_ns;
    uint32_t configured;
    uint32_t model_count;
    uint32_t device_count;
    uint32_t instance_count;
    uint32_t selected; /* CORE_NONE: the built-in */
    uint32_t accepting;
    int64_t host_memory_bytes;
    int64_t host_held_bytes;
    int64_t failed_backoff_ns;
    uint32_t retries_max;
    uint32_t host_overcommitted;
    struct core_guard_config guard;
    int64_t share_ppm;

    uint64_t layout_gen;
    uint64_t generation;
    uint64_t costs_gen;
    uint64_t next_seq;
    uint64_t next_ask;
    uint64_t next_switch;
    uint64_t next_visit;

    uint32_t queued;
    uint32_t in_flight;
    uint32_t request_free; /* head of the free list */
    uint32_t request_top;  /* entries ever used */
    uint32_t heap_len;
    uint32_t reserved;

    struct core_set ready; /* models that may have something to dispatch */
    struct core_set wants; /* instances with a background move not begun */
    struct core_set rows;  /* cost rows in use */
};

struct core {
    uint64_t magic;
    struct core_limits limits;
    struct core_state s;

    struct core_model *models;
    struct core_model_count *model_counts;
    struct core_instance *instances;
    struct core_device *devices;
    struct core_device_count *device_counts;
    struct core_slot *slots;
    struct core_request *requests;
    uint32_t *heap;
    struct core_model_costs *costs; /* by cost_row */
    struct core_cost_cell *pairs;   /* [(from row, models_max = empty)][to row] */
    struct core_action *actions;
    struct core_model *models_new; /* room for a reload */
    struct core_model_count *counts_new;
    struct core_instance *instances_new;
    uint32_t *map_model; /* old index -> new */
    uint32_t *map_instance;
    unsigned char *blob_memory;
    unsigned char *cost_memory;

    uint32_t action_count;
    uint32_t action_read;
    uint32_t action_max;
    uint32_t asked; /* asks emitted by the input being applied */
    bool qualify;   /* a visit, a FIFO or an age has changed: look at R3 again */
    bool unsettled; /* something was touched since the last settle */

    /* Derived from the tables, so that nobody has to walk them. */
    uint32_t why_devices;     /* bit d: may have a reason to be asked about */
    uint32_t promise_devices; /* bit d: may have a visit whose dispatches are promised */
    bool models_stale;        /* the model that models_wake_ns came from wakes later now */
    int64_t models_wake_ns;   /* least wake_ns of all models */
    int64_t slots_wake_ns;    /* least time of a timer or tick of a filled slot */
    uint32_t slots_filled;    /* bit s */
    uint32_t slots_shadowed;  /* bit s */
    uint32_t listening[CORE_HOOK_COUNT]; /* bit s: the driver wants notifications for slot s */

    /* Touched since the last settle. */
    struct core_set touched_models;
    uint32_t touched_devices;
    /* Rows of the snapshot that are not up to date. */
    bool snap_fixed; /* what only a configuration changes */
    struct core_set snap_models;
    struct core_set snap_bounds;
    struct core_set snap_parts; /* parts of costs */
    struct core_set snap_instances;
    struct core_set snap_costs;
    uint32_t snap_devices;

    struct core_blob snapshot;
    struct core_blob cost_blob;
};

/* ------------------------------------------------------------------ core.c */

/* Touches a device and every model there that waits or may be unloaded: its phase has changed. */
void core_touch_around(struct core *core, uint32_t device);
/* A reason to ask about every device that a model fits. */
void core_why_model(struct core *core, uint32_t model, uint32_t why);
/* Derives everything that follows from what was touched; ends with the asks. */
void core_settle_touched(struct core *core);
/* Least wake_ns of all models. */
int64_t core_models_wake_ns(struct core *core);
/* Places the tables in `memory`; bytes used. With core NULL only counts. */
size_t core_carve(struct core *core, const struct core_limits *limits);
bool core_limits_valid(const struct core_limits *limits);

/* ------------------------------------------------------------------ request.c */

uint64_t core_request_id(const struct core *core, uint32_t index);
/* Index of a living request; CORE_NONE if it has ended. */
uint32_t core_request_find(const struct core *core, uint64_t id);
int core_request_arrive(struct core *core, const struct core_in_request *in);
int core_request_cancel(struct core *core, const struct core_in_cancel *in);
int core_request_first_token(struct core *core, uint64_t id);
int core_request_complete(struct core *core, const struct core_in_complete *in);
/* Ends a queued request. */
void core_request_end_queued(struct core *core, uint32_t index, uint32_t outcome);
/* Ends every queued request of a model. */
void core_queue_end(struct core *core, uint32_t model, uint32_t outcome);
/* Ends a request in flight for its client; its place stays taken until COMPLETE if `held`. */
void core_request_end_flight(struct core *core, uint32_t index, uint32_t outcome, bool held);
/* Takes a request in flight back to the head of its queue. */
void core_request_requeue(struct core *core, uint32_t index);
void core_request_release(struct core *core, uint32_t index);
/* A drain with requeue: aborts what has no response byte yet. */
void core_flight_requeue(struct core *core, uint32_t instance);
/* The drain limit: ends what is still in flight; the number ended. */
uint32_t core_flight_cut(struct core *core, uint32_t instance);
/* Ends what is past its deadline; what is past its model's max_wait. */
void core_request_expire(struct core *core);
void core_queues_expire(struct core *core);
/* Dispatches up to `max` requests to one instance; the number dispatched. */
uint32_t core_dispatch_instance(struct core *core, uint32_t instance, uint32_t max);
void core_dispatch_all(struct core *core);
int64_t core_request_wake_ns(const struct core *core);

/* ------------------------------------------------------------------ instance.c */

enum core_instance_event {
    CORE_EV_IN_BEGIN = 0,
    CORE_EV_PROBE_OK = 1,
    CORE_EV_DRAIN = 2,
    CORE_EV_REOPEN = 3,
    CORE_EV_OUT_BEGIN = 4,
    CORE_EV_REST = 5, /* a step ended in its tier */
    CORE_EV_FAIL = 6,
    CORE_EV_LOST = 7,
    CORE_EV_FOUND = 8, /* the engine reports its tier */
    CORE_EV_QUARANTINE = 9,
    CORE_EV_RELEASE = 10,
    CORE_EV_COUNT = 11
};

void core_instance_event(struct core *core, uint32_t instance, enum core_instance_event event);
/* Instance of a model on a device; CORE_NONE. */
uint32_t core_instance_on(const struct core *core, uint32_t model, uint32_t device);
void core_instance_hold(struct core *core, uint32_t instance, int64_t device_bytes,
                        int64_t host_bytes);
/* Sets tier and what is held there; bytes < 0: as configured. `reported`: by an engine. */
void core_instance_set_tier(struct core *core, uint32_t instance, uint32_t tier,
                            int64_t device_bytes, int64_t host_bytes, bool reported);
int64_t core_device_free(const struct core *core, uint32_t device);
int64_t core_host_free(const struct core *core);
/* Warmest tier at or below `wanted`, below RESIDENT, that the host has room for. */
uint32_t core_tier_out(const struct core *core, uint32_t instance, uint32_t wanted);
/* Whether a model could be resident on its device with nobody but the pinned beside it. */
bool core_instance_fits(const struct core *core, uint32_t instance);
/* Begins a step and emits it. */
void core_step_begin(struct core *core, uint32_t instance, uint32_t step, uint32_t to_tier,
                     uint64_t id, uint32_t attempt, int64_t deadline_ns, bool background);
void core_step_cancel(struct core *core, uint32_t instance);
int core_instance_engine(struct core *core, const struct core_in_engine *in);
int core_instance_lost(struct core *core, const struct core_in_engine_lost *in);
int core_device_change(struct core *core, const struct core_in_device *in);
void core_device_leave(struct core *core, uint32_t device);
void core_quarantine(struct core *core, uint32_t instance);
/* Ends the quarantine of an instance, of all of a model, if its time is up. */
void core_quarantine_expire(struct core *core, uint32_t instance);
void core_quarantines_expire(struct core *core, uint32_t model);

/* ------------------------------------------------------------------ visit.c */

struct core_visit_plan {
    uint32_t cause;
    uint32_t gated;
    uint64_t quantum_requests;
    int64_t quantum_ns;
    int64_t residence_ns;
};

/* Starts a visit on a resident instance: ends the model's gap and counts for R3. */
void core_visit_begin(struct core *core, uint32_t instance, const struct core_visit_plan *plan);
void core_visit_end(struct core *core, uint32_t instance);
/* Least number of requests a visit's start dispatches (R2's K). */
uint32_t core_visit_promise(const struct core *core, uint32_t instance);
/* R2: dispatches what the visits that have just begun were promised. */
void core_visits_promised(struct core *core);
/* Fires quantum and residence timers of a device. */
void core_visit_timers(struct core *core, uint32_t device);
int64_t core_visit_wake_ns(const struct core *core, uint32_t device);
void core_visit_quantum_check(struct core *core, uint32_t instance);

/* ------------------------------------------------------------------ switch.c */

/* Decides a switch; an undone one on the device gives way. */
void core_switch_decide(struct core *core, uint32_t device, const struct core_switch *plan);
/* Drops an undone switch; its victims reopen in the same visit. */
void core_switch_drop(struct core *core, uint32_t device);
/* Whether the target could be brought in now or later with the victims that are allowed. */
bool core_switch_feasible(struct core *core, uint32_t device, uint32_t target);
/* Takes an undone switch as far as it goes at this instant. Called in ADVANCE only. */
void core_switch_progress(struct core *core, uint32_t device);
/* Looks whether the drain of a device's switch has ended. */
void core_switch_drain_check(struct core *core, uint32_t device);
void core_switch_timers(struct core *core, uint32_t device);
int64_t core_switch_wake_ns(const struct core *core, uint32_t device);
int core_switch_step(struct core *core, const struct core_in_step *in);
/* An instance in a step was lost with its engine, tier and bytes are set already. */
void core_switch_step_lost(struct core *core, uint32_t instance);
void core_switch_abort(struct core *core, uint32_t device);
/* Goes on with switches that wait for memory (of a device, or of the host). */
void core_switch_memory_freed(struct core *core);
/* Earliest time the caps on rate and share allow a voluntary switch. */
int64_t core_switch_allowed_ns(struct core *core, uint32_t device);
uint32_t core_phase_wait(const struct core *core, uint32_t device);

/* ------------------------------------------------------------------ victims.c */

/* Chooses and marks what must go so that the target of a device's switch fits; false, and nothing
 * marked, if it does not fit for now. */
bool core_victims_choose(struct core *core, uint32_t device);
void core_victims_unmark(struct core *core, uint32_t device);
/* Marks one to be moved out to `tier`; bytes of device memory that this gives. */
int64_t core_victim_mark(struct core *core, uint32_t instance, uint32_t device, uint32_t tier);
/* A model at rest on the device that holds memory (of the device, or of the host) it could give
 * up, the longest unserved first; CORE_NONE. */
uint32_t core_victim_sleeper(const struct core *core, uint32_t device, uint32_t target, bool host);

/* ------------------------------------------------------------------ background.c */

/* Takes a prefetch or demotion on; false if it is not possible. */
bool core_background_want(struct core *core, uint32_t device,
                          const struct shunt_secondary *secondary);
/* Begins what can begin. */
void core_background_progress(struct core *core);
/* A switch is about to use the link of a device. */
void core_background_yield(struct core *core, uint32_t device);
void core_background_step_done(struct core *core, uint32_t instance);
/* Tells background steps of a model that have run into their deadline to stop. */
void core_background_timers(struct core *core, uint32_t model);
void core_idle_unload(struct core *core, uint32_t model);
int64_t core_idle_wake_ns(const struct core *core, uint32_t model);

/* ------------------------------------------------------------------ decide.c */

/* Emits the asks that are due; true if a decision of the built-in changed something. */
bool core_ask_due(struct core *core);
int core_decision(struct core *core, const struct core_in_decision *in);
void core_ask_timers(struct core *core, uint32_t device);

/* ------------------------------------------------------------------ slot.c, operator.c */

int core_slot_change(struct core *core, const struct core_in_slot *in);
int core_slot_timer(struct core *core, const struct core_in_timer *in);
void core_slot_timers(struct core *core);
/* Recomputes what is derived from the slots. */
void core_slots_derive(struct core *core);
int core_operator(struct core *core, const struct core_in_operator *in);

/* ------------------------------------------------------------------ builtin.c */

void core_builtin_decide(const struct core *core, uint32_t device, struct shunt_decision *ret);

/* ------------------------------------------------------------------ guard.c */

void core_guard_count(struct core *core, uint32_t kind, uint32_t device, uint32_t model,
                      uint32_t count);
/* When the guard ends the first visit of a device; CORE_NEVER while nobody waits. */
int64_t core_guard_cap_ns(const struct core *core, uint32_t device);
int64_t core_guard_visit_cap_ns(const struct core *core, const struct core_instance *in);
bool core_guard_past_cap(const struct core *core, const struct core_instance *in);
/* Applies R1 and R3 to a device. */
void core_guard_settle(struct core *core, uint32_t device);
/* The policy's answer at the cap named nothing usable: the host takes one (R1). */
void core_guard_take(struct core *core, uint32_t device);
/* R3: lets the models enter a FIFO that qualify now, the oldest gap first. */
void core_guard_qualify(struct core *core);
/* When a model's gap is old enough for that; CORE_NEVER. */
int64_t core_guard_age_at_ns(const struct core *core, uint32_t model);
void core_guard_fifo_remove(struct core *core, uint32_t model);
/* A device left or a pin took room: its entries go to the tails of others. */
void core_guard_rehome(struct core *core, uint32_t device);
void core_guard_values_update(struct core *core);
/* The same after a cost of one model was learned: does little unless a value changes. */
void core_guard_learned(struct core *core, uint32_t model);
/* What is due at this instant takes effect with what has just been learned, not after it. */
void core_guard_touch_due(struct core *core);
/* R5: whether every model fits somewhere, beside what is pinned. */
bool core_guard_all_fit(const struct core *core);
/* Recomputes which instances fit, after a pin or a configuration. */
void core_guard_fits_update(struct core *core);
/* A named target satisfies R1 at the cap of a device. */
bool core_guard_may_name(const struct core *core, uint32_t device, uint32_t instance);

/* ------------------------------------------------------------------ account.c */

void core_account_device(struct core *core, uint32_t device);
void core_account_batch(struct core *core, uint32_t device, int32_t change);
void core_account_part(struct core *core, uint32_t model);
uint32_t core_account_state(const struct core *core, uint32_t device);

/* ------------------------------------------------------------------ notify.c */

void core_notify_request(struct core *core, uint32_t hook, uint32_t request, uint32_t outcome,
                         uint32_t output_tokens);
void core_notify_switch(struct core *core, uint32_t hook, const struct shunt_switch_event *event);
void core_notify_plain(struct core *core, uint32_t hook, uint32_t slots, uint32_t timer);

/* ------------------------------------------------------------------ stats.c */

int64_t core_eta_ns(const struct core *core, uint32_t model);
struct core_cost_cell *core_pair_cell(const struct core *core, uint32_t from, uint32_t to);
/* Best estimate of bringing a model in where it is now; NaN if unknown. */
double core_switch_estimate_ns(const struct core *core, uint32_t from, uint32_t instance);
/* Learns a part of a model's costs (tier is ignored for CORE_COST_DRAIN), or a measured pair. */
void core_learn_part(struct core *core, uint32_t model, uint32_t part, uint32_t tier,
                     int64_t sample_ns);
void core_learn_pair(struct core *core, uint32_t from, uint32_t to, int64_t sample_ns);

/* ------------------------------------------------------------------ config.c, snapshot.c */

/* Forgets what was learned in a cost row. */
void core_row_clear(struct core *core, uint32_t row);

void core_snapshot_layout(struct core *core);
/* A model's parts of costs, or a pair, were replaced, not added to. */
void core_snapshot_forget_parts(struct core *core, uint32_t model);
void core_snapshot_forget_pair(struct core *core, uint32_t from, uint32_t to);

/* ------------------------------------------------------------------ in every path: inline */

static inline void core_touch_model(struct core *core, uint32_t model)
{
    assert(model < core->s.model_count);
    core->unsettled = true;
    core_set_add(&core->touched_models, model);
    core_set_add(&core->snap_models, model);
}

static inline void core_touch_device(struct core *core, uint32_t device)
{
    assert(device < core->s.device_count);
    core->unsettled = true;
    core->touched_devices |= 1u << device;
    core->snap_devices |= 1u << device;
}

static inline void core_touch_instance(struct core *core, uint32_t instance)
{
    assert(instance < core->s.instance_count);
    core_set_add(&core->snap_instances, instance);
    core_touch_model(core, core->instances[instance].model);
    core_touch_device(core, core->instances[instance].device);
}

static inline void core_generation_bump(struct core *core, uint32_t device)
{
    core->devices[device].generation = ++core->s.generation;
}

/* A reason to ask about a device. */
static inline void core_why(struct core *core, uint32_t device, uint32_t why)
{
    core->unsettled = true;
    core->devices[device].why |= why;
    core->why_devices |= 1u << device;
    core->touched_devices |= 1u << device;
}

/* The next entry of the ring. The caller assigns the member of its union that belongs to `kind`,
 * whole; nothing is cleared here. */
static inline struct core_action *core_emit(struct core *core, uint32_t kind)
{
    assert(core->action_count < core->action_max);
    struct core_action *action = &core->actions[core->action_count++];
    action->kind = kind;
    action->reserved = 0;
    action->t_ns = core->s.now_ns;
    return action;
}

static inline struct core_act_record *core_emit_record(struct core *core, uint32_t kind)
{
    struct core_act_record *record = &core_emit(core, CORE_ACT_RECORD)->u.record;
    record->kind = kind;
    record->reserved = 0;
    return record;
}

static inline struct core_cost_cell *core_cost_cell_of(struct core_model_costs *costs,
                                                       uint32_t part, uint32_t tier)
{
    return part == CORE_COST_OUT  ? &costs->out[tier]
           : part == CORE_COST_IN ? &costs->in[tier]
                                  : &costs->drain;
}

/* Bit of a part in core_model_costs.known. */
#define CORE_COST_PART_BITS 8u
static inline uint32_t core_cost_bit(uint32_t part, uint32_t tier)
{
    return 1u << (part * CORE_COST_PART_BITS + (part == CORE_COST_DRAIN ? 0u : tier));
}

static inline void core_settle(struct core *core)
{
    if (core->unsettled) {
        core_settle_touched(core);
    }
}

/* R2's dispatches of visits that have just begun. */
static inline void core_promises_keep(struct core *core)
{
    if (core->promise_devices) {
        core_visits_promised(core);
    }
}

/* Slots to notify about a hook. */
static inline uint32_t core_listeners(const struct core *core, uint32_t hook)
{
    return core->slots_filled & core->listening[hook];
}

/* Decided, and its out step has not begun. */
static inline bool core_switch_undone(const struct core_device *device)
{
    return device->sw.phase >= CORE_PHASE_PENDING && device->sw.phase <= CORE_PHASE_DRAINED;
}

/* In a step, or waiting for memory. */
static inline bool core_switch_moving(const struct core_device *device)
{
    return device->sw.phase >= CORE_PHASE_OUT;
}

/* Takes requests now: I6 and the visit's own limits. */
static inline bool core_instance_admits(const struct core *core, const struct core_instance *in)
{
    if (in->state != SHUNT_INSTANCE_RESIDENT || !in->visiting || in->quantum_used ||
        !core->devices[in->device].up) {
        return false;
    }
    const struct core_model *m = &core->models[in->model];
    return !in->gated || m->queue_len == 0 || core->requests[m->queue.head].seq < in->gate_seq;
}

/* Could be brought in some time: its device is up, it fits and it is not quarantined. */
static inline bool core_instance_usable(const struct core *core, const struct core_instance *in)
{
    return core->devices[in->device].up && in->quarantined_until_ns == 0 && in->fits;
}

/* Clock of a part at `t_ns`. */
static inline int64_t core_account_clock(const struct core_model *model, uint32_t part,
                                         int64_t t_ns)
{
    return model->clock_ns[part] + (model->part == part ? t_ns - model->clock_at_ns : 0);
}

#endif
