/*
 * Engines whose requests slow one another down: continuous batching and processor sharing. (Where
 * each request takes its own time whatever else is served, there is nothing to model: the world
 * puts the end into its calendar.) One engine is one instance of a model.
 *
 * Nothing goes by in steps: the state is brought forward in closed form, in exact integers, to the
 * instant at which something changes, so that a run costs an event a change and is the same on
 * every build. Instants are whole nanoseconds; what ends between two is told at the later one.
 *
 * Requests are named by numbers of the caller, each at most once at a time in an engine.
 */
#ifndef SIM_ENGINE_H
#define SIM_ENGINE_H

#include "sim/scenario.h"

struct sim_engine;

struct sim_engine_job {
    uint32_t request;
    int64_t service_ns;    /* PS: its work */
    int64_t input_tokens;  /* BATCH: below 0 is taken as 0 */
    int64_t output_tokens; /* BATCH: below 1 is taken as 1 */
};

enum sim_engine_event { SIM_ENGINE_FIRST_TOKEN = 0, SIM_ENGINE_COMPLETE = 1 };

/* Whether requests of this kind of service slow one another down: only for these are engines. */
bool sim_engine_is_shared(const struct scenario_service *service);

/* -ENOMEM; -EINVAL for a service that is not shared or has a rate out of range. */
int sim_engine_create(const struct scenario_service *service, struct sim_engine **ret_engine);
void sim_engine_destroy(struct sim_engine *engine); /* accepts NULL */

/*
 * A request is dispatched at t_ns. Times never go back, and everything that ended before t_ns must
 * have been taken. BATCH: its prefill begins at the first boundary of a step at or after t_ns.
 * -ENOMEM: nothing has changed.
 */
int sim_engine_add(struct sim_engine *engine, const struct sim_engine_job *job, int64_t t_ns);

/*
 * A request leaves before its end and is not told of any more. PS: at once. BATCH: the running step
 * ends as if it were still there; it counts no more from the next.
 */
void sim_engine_remove(struct sim_engine *engine, uint32_t request, int64_t t_ns);

/* The process is gone, and everything in it. */
void sim_engine_clear(struct sim_engine *engine);

/* When the next first token or completion is due; INT64_MAX: nothing is in it. */
int64_t sim_engine_next_ns(const struct sim_engine *engine);

/* Takes one event that is due at t_ns, in order; false when there is none (any more). */
bool sim_engine_take(struct sim_engine *engine, int64_t t_ns, enum sim_engine_event *ret_event,
                     uint32_t *ret_request);

#endif
