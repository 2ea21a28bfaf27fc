/*
 * The swarm: a discrete-event world around the scheduling core that tries to break it.
 *
 * A seed picks everything: models, devices, memory, guard settings, arrivals, faults, operators,
 * hostile policies and their latencies. The world knows only core's inputs and actions; what it
 * believes about queues, tiers and memory is its own bookkeeping (check.c), and every contradiction
 * with core is a failure. No clock, no thread: the same seed gives the same run.
 *
 * A run has a safety phase, in which everything may go wrong, and a liveness phase, in which faults
 * end and everything accepted must end too.
 */
#ifndef TESTS_SWARM_SWARM_H
#define TESTS_SWARM_SWARM_H

#include "core/core.h"

#define SWARM_MODELS_MAX    8u
#define SWARM_DEVICES_MAX   3u
#define SWARM_INSTANCES_MAX (SWARM_MODELS_MAX * SWARM_DEVICES_MAX)
#define SWARM_SLOTS_MAX     3u
#define SWARM_REQUESTS_MAX  400u
#define SWARM_ASKS_MAX      (SWARM_SLOTS_MAX * SWARM_DEVICES_MAX)

/* ------------------------------------------------------------------ chance */

/* Random choices: from a generator, or from a tape that a search mutates. */
struct dice {
    uint64_t state;
    const uint8_t *tape; /* NULL: the generator */
    uint32_t tape_size;
    uint32_t tape_at;
};

/* 0..n-1; n >= 1. */
uint32_t dice_roll(struct dice *dice, uint32_t n);
/* low..high, both included. */
int64_t dice_range(struct dice *dice, int64_t low, int64_t high);
/* True with the given probability. */
bool dice_percent(struct dice *dice, uint32_t percent);

/* ------------------------------------------------------------------ plan */

/* What a policy of the harness does with an ask; policies.c has them. */
enum hostile {
    HOSTILE_SANE,       /* first come, first served */
    HOSTILE_STAY,       /* always stays */
    HOSTILE_SWITCH,     /* always switches, to anything */
    HOSTILE_RANDOM,     /* well-formed random answers */
    HOSTILE_GARBAGE,    /* random bytes */
    HOSTILE_PINGPONG,   /* two models in turn */
    HOSTILE_STARVE,     /* anything but one model */
    HOSTILE_LEAVE,      /* leaves at each visit's start, to the next model */
    HOSTILE_LINGER,     /* lingers for ever */
    HOSTILE_EMPTY,      /* switches to empty, loaded, quarantined models */
    HOSTILE_VICTIMS,    /* impossible victims and tiers */
    HOSTILE_SECONDARY,  /* eight prefetches and demotions at a time */
    HOSTILE_QUANTUM,    /* quantum of one request, then stays closed */
    HOSTILE_GATED,      /* gated visits, then stays closed */
    HOSTILE_NO_OPINION, /* leaves it to the built-in */
    HOSTILE_FAULT,      /* fails */
    HOSTILE_SILENT,     /* never answers */
    HOSTILE_REVOKE,     /* switches, then stays before the drain has ended, and again */
    HOSTILE_COUNT
};

struct plan_model {
    struct core_model_config config; /* .instances is set when handed in */
    struct core_instance_config instance[SWARM_DEVICES_MAX];
    int64_t service_min_ns;
    int64_t service_max_ns;
    uint32_t arrivals;
};

struct plan_policy {
    uint32_t kind;      /* enum hostile */
    uint32_t late;      /* percent of answers that come late, between 0 and twice delta */
    uint32_t never;     /* percent of answers that never come */
    uint32_t gated;     /* percent of switches that gate */
    uint32_t requeue;   /* percent of switches that drain by requeue */
    uint32_t quantum;   /* percent of answers with a quantum */
    uint32_t residence; /* percent of switches with a minimum residence */
    uint32_t recheck;   /* percent of answers that ask again soon */
    uint32_t secondary; /* percent of answers with secondary actions */
    uint32_t target;    /* model that STARVE starves */
};

/* Everything that a seed decides before the run. Percentages are of the chances that come up. */
struct plan {
    uint64_t seed;
    int64_t unit_ns;    /* all times are multiples of it */
    int64_t horizon_ns; /* end of the safety phase */
    bool strict;        /* the theorem's conditions hold: bounds are checked */
    struct core_limits limits;
    struct core_guard_config guard;
    struct plan_model model[SWARM_MODELS_MAX];
    struct core_device_config device[SWARM_DEVICES_MAX];
    struct plan_policy policy[SWARM_SLOTS_MAX];
    int64_t host_memory_bytes;
    int64_t failed_backoff_ns;
    uint32_t retries_max;
    uint32_t model_count;
    uint32_t device_count;
    uint32_t slot_count;
    uint32_t present;        /* bit m: model m is configured at start */
    uint32_t step_fail;      /* percent of steps that fail */
    uint32_t step_hang;      /* percent that hang until cancelled */
    uint32_t step_escalate;  /* percent of out-steps that end colder */
    uint32_t step_stuck;     /* percent of failed out-steps that leave the memory stuck */
    uint32_t step_worst;     /* percent that take the whole time that they may */
    uint32_t step_max_units; /* other steps take 0 or 1 to so many units */
    uint32_t request_fail;   /* percent of requests that their engine fails */
    uint32_t deadline;       /* percent of requests that have one */
    uint32_t cancel;         /* percent of requests whose client leaves */
    uint32_t cancel_head;    /* cancellations aimed at the heads of queues */
    uint32_t engine_losses;
    uint32_t device_losses;
    uint32_t operations;
    uint32_t slot_changes;
    uint32_t reconfigurations;
    uint32_t timers;
    uint32_t news;  /* engines report figures unasked */
    uint32_t pokes; /* inputs with stale or impossible ids */
};

void plan_make(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan);

/* ------------------------------------------------------------------ world */

enum request_state {
    REQUEST_UNSENT = 0,
    REQUEST_QUEUED,
    REQUEST_IN_FLIGHT,
    REQUEST_ENDED, /* at the client; `held` says whether the engine still has it */
    REQUEST_REJECTED
};

struct swarm_request {
    uint64_t id;
    uint32_t state; /* enum request_state */
    uint32_t model; /* of the plan */
    uint32_t instance;
    uint64_t order;    /* of arrival */
    uint32_t epoch;    /* counts dispatches; makes events of earlier ones void */
    uint32_t requeues; /* times it went back by drain */
    bool held;         /* an engine holds a place for it */
    bool aborted;      /* ABORT came and its COMPLETE has not been fed */
    bool touched;      /* core may have moved it during this input: look */
    bool first_token;
    int64_t arrival_ns;
    int64_t deadline_ns;
    int64_t service_end_ns;
};

struct swarm_instance {
    uint32_t tier; /* truth */
    bool stepping;
    bool probing; /* brought in, probe not passed yet */
    bool background;
    uint64_t switch_id;
    uint32_t step;
    uint32_t attempt;
    uint32_t to_tier;
    uint32_t epoch; /* makes events of earlier steps void */
    uint32_t held;  /* places taken in the engine */
    uint32_t told;  /* running requests that the engine told of; its driver keeps that fresh */
    int64_t device_bytes;
    int64_t host_bytes;
};

struct swarm_model {
    uint32_t queued;
    uint32_t in_flight;
    uint64_t arrived;
    uint64_t ended;
    bool waiting;        /* a gap runs */
    bool unbounded;      /* no bound held at some time of this gap */
    bool wait_unchecked; /* something outside the wait theorem happened */
    int64_t gap_start_ns;
    int64_t gap_bound_ns;  /* largest bound in force during the gap */
    int64_t wait_bound_ns; /* largest since reset_ns; 0: none */
    int64_t reset_ns;      /* gaps and waits count anew from here */
    int64_t gap_max_ns;
    int64_t wait_max_ns;
    /* Since the present instant began: */
    bool visited;
    bool dispatched;
    bool emptied;
};

struct swarm_ask {
    bool open;
    uint64_t id;
    uint64_t generation;
    int64_t deadline_ns;
    uint32_t slot;
    uint32_t device;
    uint32_t why;
};

struct swarm_slot {
    bool filled;
    uint32_t turn; /* for policies that alternate */
};

/* A visit that began at this instant: R2 is checked when the instant ends. */
struct swarm_visit {
    uint32_t due;   /* dispatches due */
    uint64_t order; /* of the input that began it */
};

struct swarm_event {
    int64_t t_ns;
    uint64_t seq;
    uint32_t kind; /* world.c */
    uint32_t a;
    uint32_t b;
    uint32_t epoch;
};

/* A configuration as it was handed in, kept for the twin and the replay. */
struct swarm_config {
    struct core_config config;
    struct core_model_config model[SWARM_MODELS_MAX];
    struct core_instance_config instance[SWARM_MODELS_MAX][SWARM_DEVICES_MAX];
    struct core_device_config device[SWARM_DEVICES_MAX];
};

/* One input, or one configuration, as it was fed. */
struct swarm_record {
    int64_t t_ns;
    const struct swarm_config *config; /* NULL: `input` */
    struct core_input input;
};

#define SWARM_ANSWERS_MAX 256u

struct world {
    struct plan plan;
    struct dice dice;
    struct dice policy_dice;
    struct core *core;
    void *memory;
    struct core *twin; /* loaded from a save of core, fed the same from then on; NULL before */
    void *twin_memory;
    int64_t twin_at_input;
    int64_t now_ns;
    bool verbose;
    bool live_phase;
    bool scripted; /* a device that leaves comes back when the script says so */
    bool device_up[SWARM_DEVICES_MAX];
    uint32_t present; /* bit m: configured now */
    /* Index maps between core and plan, valid until the next configure. */
    uint32_t model_of[SWARM_MODELS_MAX];
    uint32_t index_of[SWARM_MODELS_MAX];
    uint32_t instance_of[SWARM_INSTANCES_MAX];       /* core -> world */
    uint32_t instance_index_of[SWARM_INSTANCES_MAX]; /* world (model * DEVICES_MAX + k) -> core */
    uint32_t model_index_count;
    uint32_t instance_index_count;
    struct swarm_model model[SWARM_MODELS_MAX];
    struct swarm_instance instance[SWARM_INSTANCES_MAX];
    struct swarm_slot slot[SWARM_SLOTS_MAX];
    struct swarm_ask ask[SWARM_SLOTS_MAX][SWARM_DEVICES_MAX];
    struct swarm_ask answer[SWARM_ANSWERS_MAX]; /* ring of asks whose answers are on their way */
    uint32_t answer_at;
    bool draining; /* the operator's DRAIN is on */
    bool asked;    /* an ASK came with this input: its snapshot is checked at the end */
    struct swarm_visit visit[SWARM_INSTANCES_MAX];
    uint32_t asks_at_once[SWARM_SLOTS_MAX][SWARM_DEVICES_MAX];
    int64_t state_ns[SWARM_DEVICES_MAX][SHUNT_DEVICE_STATE_COUNT];
    struct swarm_request request[SWARM_REQUESTS_MAX];
    uint32_t request_count;
    struct swarm_event *event; /* heap */
    uint32_t event_count;
    uint32_t event_max;
    uint64_t event_seq;
    struct swarm_record *record;
    uint32_t record_count;
    uint32_t record_max;
    uint32_t
        applying; /* kind of the input whose actions are drained; CORE_IN_KIND_COUNT: configure */
    uint32_t applying_request; /* CANCEL, COMPLETE, REQUEST: the request it is about; CORE_NONE */
    uint32_t answers;          /* ACCEPT or REJECT seen for REQUEST */
    uint64_t hash;
    uint64_t action_count;
    uint64_t input_count;
    double gap_ratio_max;
    double wait_ratio_max;
    uint64_t gaps_bounded;
    uint64_t switches;
    uint64_t completed;
    uint32_t failing_loads;
};

/* World instance of model m's k-th placement. */
static inline uint32_t world_instance(uint32_t model, uint32_t k)
{
    return model * SWARM_DEVICES_MAX + k;
}
static inline uint32_t world_instance_model(uint32_t instance)
{
    return instance / SWARM_DEVICES_MAX;
}
static inline struct core_instance_config *world_instance_config(struct world *world,
                                                                 uint32_t instance)
{
    return &world->plan.model[instance / SWARM_DEVICES_MAX].instance[instance % SWARM_DEVICES_MAX];
}

struct swarm_result {
    uint64_t hash;
    uint64_t completed; /* requests that ended well */
    int64_t gap_max_ns[SWARM_MODELS_MAX];
    int64_t gap_bound_ns[SWARM_MODELS_MAX]; /* at the end */
    int64_t wait_max_ns[SWARM_MODELS_MAX];  /* to the first dispatch, or the end in the queue */
    uint64_t inputs;
    uint64_t actions;
    uint64_t requests;
    uint64_t switches;
    uint64_t gaps_bounded;
    double gap_ratio_max;
    double wait_ratio_max;
};

/* Written-out events, for scenarios that are known beforehand. */
enum script_kind {
    SCRIPT_ARRIVE,      /* a model */
    SCRIPT_CANCEL_HEAD, /* a model */
    SCRIPT_DEVICE,      /* a device, b up */
    SCRIPT_ENGINE_LOST  /* a model, b placement */
};

struct script_line {
    int64_t at; /* units */
    enum script_kind kind;
    uint32_t a;
    uint32_t b;
};

struct swarm_options {
    const struct script_line *script; /* NULL: events from the plan */
    uint32_t script_count;
    uint32_t failing_loads; /* bit m: every load of model m fails */
    bool verbose;
    bool twin;           /* save and load at a random input, compare from then on */
    bool replay;         /* feed the recorded inputs to a fresh core */
    const uint8_t *tape; /* dice of world and policies; NULL: from the seed */
    uint32_t tape_size;
};

/* Runs a plan to its end. Does not return after a failure: swarm_fail. */
void swarm_run(const struct plan *plan, const struct swarm_options *options,
               struct swarm_result *ret_result);

/* Prints what is wrong with the seed that replays it, and ends the program. */
_Noreturn void swarm_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The seed that a failure names; also printed when core's own assertions fire. */
void swarm_set_seed(uint64_t seed, const char *how);

/* ------------------------------------------------------------------ policies */

void hostile_decide(struct world *world, const struct swarm_ask *ask,
                    struct core_in_decision *ret_decision);
const char *hostile_name(uint32_t kind);

/* ------------------------------------------------------------------ checks (own bookkeeping) */

void check_action(struct world *world, const struct core_action *action);
void check_input_begin(struct world *world, const struct core_input *input);
void check_input_done(struct world *world, const struct core_input *input, int rc);
/* All is quiet at now: gaps, states, memory, honesty of admission. */
void check_settled(struct world *world);
void check_instant_begin(struct world *world);
/* Gaps and waits of these models count anew (loss of a device, new settings). */
void check_reset(struct world *world, uint32_t models);
/* Everything must have ended. */
void check_drained(struct world *world);

/* ------------------------------------------------------------------ log */

void log_input(const struct world *world, const struct core_input *input, int rc);
void log_action(const struct world *world, const struct core_action *action);

#endif
