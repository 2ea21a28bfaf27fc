/*
 * Lower bounds on the mean wait that hold whatever the policy does: what a result is compared with
 * where nobody knows the optimum. Pure arithmetic on rates and moments; docs/BOUNDS.md says what
 * each bound means, when it holds and how loose it is.
 *
 * The setting is the one of the theory: Poisson arrivals, one request at a time, not interrupted,
 * on one device that holds one model, and a policy that knows neither the future nor the sizes of
 * the requests. bound_of_scenario() says so where a scenario is outside of it, and gives no value.
 * Waits are from arrival to the start of the own service, switch included.
 */
#ifndef SIM_BOUND_H
#define SIM_BOUND_H

#include "sim/result.h"
#include "sim/scenario.h"

#include <stddef.h>

/* One model as the bounds see it. */
struct bound_model {
    double rate_per_s; /* of arrivals; 0: it does not matter */
    double weight;     /* above 0; 1: the bound is on the mean wait of all requests */
    double service_s;  /* mean, and mean square */
    double service_square_s2;
    double setup_s;         /* the least mean of a switch into it, over what may be there before */
    double setup_square_s2; /* likewise of its square; at least setup_s^2 */
};

/*
 * Each is a bound on sum(weight rate wait) / sum(weight rate) in s, for any number of models. The
 * models must be stable (bound_load() < 1) and one must have arrivals.
 */

/* Sum of rate x service. */
double bound_load(const struct bound_model *models, size_t count);
/* Without any switch: non-preemptive priority by weight / service, the c-mu rule (Cox and Smith
 * 1961). Good at high load and cheap switches. */
double bound_work(const struct bound_model *models, size_t count);
/*
 * With switches: occupancy of the device gets a price, so that each model decides alone between
 * staying for ever and waking when n wait, the best it can do (Heyman 1968); the best price is
 * searched. Any price gives a bound. Good at low load and dear switches.
 */
double bound_lagrange(const struct bound_model *models, size_t count);
/*
 * For static policies only (fixed visits, whatever the queues) of two or more models: the fluid
 * bound of lot scheduling with setup times. Policies that look at queues do violate it: 4 models,
 * 0.005/s each, services of 10 s and switches of 40 s: it says 95 s, going to the longest queue
 * gets 61.4 s.
 */
double bound_static(const struct bound_model *models, size_t count);

/* The three of a scenario, or why there is none. */
struct bound_set {
    struct result_bound work, lagrange, statically;
};

void bound_of_scenario(const struct scenario *scenario, struct bound_set *ret_bounds);

/*
 * Puts them into a result, after what the run itself showed: where requests were not served to
 * their end, the mean wait of the others has no bound.
 */
void bound_of_run(const struct scenario *scenario, struct result *result);

#endif
