/*
 * The inside of a run, shared by its files: world.c (life, the loop), world_request.c (clients and
 * engines), world_step.c (switches and faults), world_policy.c (policies and operators).
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/layout.h"
#include "sim/calendar.h"
#include "sim/engine.h"
#include "sim/measure.h"
#include "sim/sim.h"
#include "sim/switches.h"

/* Events of one instant in the order in which they are fed. Arrivals and what is above are told
 * apart by the loop. */
enum world_rank {
    WORLD_STEP = 0,     /* a: instance, b: epoch of its step */
    WORLD_ENGINE = 1,   /* a: instance, b: epoch of its alarm */
    WORLD_COMPLETE = 2, /* a: place of the request, b: its turn */
    WORLD_ABORTED = 3,  /* likewise */
    WORLD_LIMIT = 4,    /* a: instance: the oldest in service may be at its limit */
    WORLD_FAULT = 5,    /* a: index */
    WORLD_CHANGE = 6,   /* a: index */
    WORLD_PATIENCE = 7, /* a: place of the request, b: its life */
    WORLD_ARRIVAL = 8,  /* not in the calendar */
    WORLD_DECISION = 9  /* a: place among the answers under way */
};

enum request_state {
    REQUEST_FREE = 0,
    REQUEST_OFFERED, /* the core has not answered yet */
    REQUEST_QUEUED,
    REQUEST_SERVED,
    REQUEST_ABORTED /* out of its engine; the core will be told at this instant */
};

struct request {
    struct sim_request pub;
    uint32_t life;  /* counts the requests that had this place */
    uint32_t turn;  /* counts dispatches and withdrawals here: makes events of earlier ones void */
    uint32_t state; /* enum request_state */
    uint32_t next;  /* of its instance in order of dispatch, or of the free list */
    uint32_t prev;
    bool ended;   /* for its client; its place in the engine is about to be free */
    bool limited; /* its service is longer than the limit */
};

struct instance {
    uint32_t model, device;
    uint32_t first, last;      /* requests in service, by dispatch */
    struct sim_engine *engine; /* NULL: requests take their own time */
    int64_t alarm_ns;          /* when the calendar looks at the engine; CORE_NEVER */
    uint32_t alarm;            /* epoch */
    bool limit_set;            /* a WORLD_LIMIT is in the calendar */

    bool stepping;
    bool step_ok, step_cancelled;
    uint32_t step_epoch;
    struct core_act_step step;
};

struct device {
    bool switching;    /* a step of a switch has begun, and it has not ended */
    uint32_t *victims; /* models that the switch under way has moved out; room for all */
    uint32_t victim_count;
    int64_t switched_ns; /* when the last switch ended, and how many did then */
    uint32_t switched;
};

/* An answer of a policy on its way to the core. */
struct answer {
    struct core_input input;
    uint32_t next; /* free list */
};

enum { WORLD_SLOTS = 2 };

struct sim {
    const struct scenario *scenario;
    struct sim_options options;
    struct layout *layout;
    struct core *core;
    struct core_input input; /* kept, because one is large and most of it is never used */
    void *core_memory;
    size_t core_bytes;
    struct drive *drive;
    struct drive_ops ops;
    struct measure *measure;
    struct switches *switches;
    struct calendar calendar;
    int64_t now_ns;
    int64_t wake_ns; /* when the core has something to do next */
    uint64_t events;
    uint32_t visits_first; /* begun by the configuration, before there were figures */

    struct arrivals *arrivals;
    uint64_t arrival_count; /* of the whole run; 0: not known beforehand */
    int64_t arrival_ns;     /* the next; CORE_NEVER: none known */
    bool arrivals_over;
    bool arrivals_closed;

    struct request *requests;
    uint32_t request_room;
    uint32_t request_free;
    uint32_t living;     /* places taken */
    uint32_t in_service; /* of these, in an engine */
    uint64_t offered;
    uint64_t outcomes[SHUNT_OUTCOME_REJECTED + 1];

    struct instance *instances;
    struct device *devices;
    struct answer *answers;
    uint32_t answer_room;
    uint32_t answer_free;

    uint32_t slot;               /* that decides; CORE_NONE: the built-in */
    const struct plugin *plugin; /* of it; NULL */
    uint32_t policies;           /* made so far */
    struct policy *lost;         /* failed in models_changed, to be destroyed */

    int64_t progress_ns;      /* when the last request came, was dispatched or ended */
    uint64_t progress_rounds; /* instants since then */
    uint64_t progress_told;   /* events when the caller was told last */

    int error; /* what ends the run, with its line */
    char text[SIM_ERROR_MAX];
};

/* ------------------------------------------------------------------ world.c */

/* Ends the run; the first error counts. */
void world_fail(struct sim *sim, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void world_push(struct sim *sim, int64_t t_ns, enum world_rank rank, uint32_t a, uint32_t b);
/* An input to be filled and fed before the next is asked for. */
static inline struct core_input *world_input(struct sim *sim, enum core_input_kind kind)
{
    sim->input.kind = kind;
    return &sim->input;
}
/* Feeds one input and what follows from it. */
int world_feed(struct sim *sim, struct core_input *input);
const char *world_policy_name(const struct sim *sim);
void world_observe(struct sim *sim, const struct core_action *action,
                   const struct sim_request *request);

/* ------------------------------------------------------------------ world_request.c */

/* Looks for the next arrival. */
void request_look(struct sim *sim);
void request_arrive(struct sim *sim);
/* Carries out ACCEPT, REJECT, DISPATCH, END, ABORT and records of requests. */
void request_action(struct sim *sim, const struct core_action *action);
void request_completes(struct sim *sim, uint32_t place, uint32_t turn);
void request_aborted(struct sim *sim, uint32_t place, uint32_t turn);
void request_patience(struct sim *sim, uint32_t place, uint32_t life);
void instance_alarm(struct sim *sim, uint32_t instance, uint32_t epoch);
void instance_limit(struct sim *sim, uint32_t instance);
/* Around an input that takes everything out of an engine: before it, giving the chain of what was
 * in there, and after it. */
uint32_t instance_empty(struct sim *sim, uint32_t instance);
void instance_emptied(struct sim *sim, uint32_t first);

/* ------------------------------------------------------------------ world_step.c */

void step_begin(struct sim *sim, const struct core_act_step *act);
void step_cancel(struct sim *sim, const struct core_act_step *act);
void step_ends(struct sim *sim, uint32_t instance, uint32_t epoch);
void switch_ended(struct sim *sim, const struct core_rec_switch *record);
void fault_happens(struct sim *sim, const struct scenario_fault *fault);

/* ------------------------------------------------------------------ world_policy.c */

/* Makes an instance, fills it into a free slot and lets it decide; the one before goes. The error
 * is also in sim->text. */
int policy_install(struct sim *sim, const struct sim_policy *policy, bool hand_over);
void policy_remove_all(struct sim *sim);
bool policy_ask(struct sim *sim, const struct core_act_ask *ask);
void policy_decision(struct sim *sim, uint32_t answer);
void change_happens(struct sim *sim, const struct sim_change *change);

#endif
