/*
 * Makes the figures of a run: told by the world of every arrival, dispatch, end and switch, it
 * keeps the sums, integrals and sketches that a result is made of, in memory that does not grow
 * with the run. It never looks at the core but at the borders of its windows.
 *
 * Warm-up ends with the first arrival that is beyond warmup_fraction of all arrivals and sees
 * warmup_visits visits started, the later of both; the visits are waited for no longer than a fifth
 * of all arrivals, so that a policy that never switches is measured too.
 */
#ifndef SIM_MEASURE_H
#define SIM_MEASURE_H

#include "sim/result.h"
#include "sim/sim.h"

struct measure;

/* `arrivals`: how many there will be (for the warm-up); 0: unknown, then no warm-up by fraction,
 * and the visits are waited for during at most 50 arrivals each. The core is configured already. */
int measure_create(const struct scenario *scenario, struct core *core, uint64_t seed,
                   uint64_t arrivals, struct measure **ret_measure);
/* Before the first event: also figures of `count` slices (sim/blocks.h). -ENOMEM. */
int measure_blocks(struct measure *measure, uint32_t count, uint64_t arrivals);
void measure_destroy(struct measure *measure); /* accepts NULL */

/* Each at its instant, in the order in which they happen. */

/* A request arrives, before the core hears of it; sets request->measured. */
void measure_arrival(struct measure *measure, struct sim_request *request, int64_t t_ns);
/* The core took it; rejected requests get measure_end with SHUNT_OUTCOME_REJECTED instead. */
void measure_accepted(struct measure *measure, const struct sim_request *request, int64_t t_ns);
/* It is dispatched (again, after a requeue: then measure_requeued came before), with dispatch_ns
 * set; sets request->switch_start_ns. */
void measure_dispatched(struct measure *measure, struct sim_request *request, int64_t t_ns);
void measure_requeued(struct measure *measure, const struct sim_request *request, int64_t t_ns);
void measure_first_token(struct measure *measure, const struct sim_request *request, int64_t t_ns);
/* It has ended (SHUNT_OUTCOME_*), from the queue or from service. */
void measure_ended(struct measure *measure, const struct sim_request *request, uint32_t outcome,
                   bool was_in_service, int64_t t_ns);
/* The first step of a switch to `model` on `device` begins. It ends, if it is ok at the instant of
 * the visit that it leads to and before the dispatches of that instant. */
void measure_switch_begins(struct measure *measure, uint32_t device, uint32_t model, int64_t t_ns);
void measure_switch_ended(struct measure *measure, uint32_t device, bool ok, int64_t t_ns);
void measure_visit(struct measure *measure, uint32_t model, int64_t t_ns);
/* The last arrival has been given (at the time of that arrival). */
void measure_last_arrival(struct measure *measure, int64_t t_ns);

/* After everything has ended at t_ns. -ENOMEM. */
int measure_finish(struct measure *measure, int64_t t_ns, uint64_t events,
                   struct result *ret_result);

#endif
