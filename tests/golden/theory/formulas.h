/*
 * What queueing theory says about systems that the simulator can run: closed forms, moment
 * equations and the value iteration of a small decision process, coded from the formulas and not
 * from numbers. test_formulas.c holds them to independently computed values, test_cases.c the
 * simulator to them.
 *
 * Times in seconds. A wait is from arrival to the start of the request's own service, set-up or
 * switch included, unless a comment says otherwise. Poisson arrivals throughout.
 */
#ifndef THEORY_FORMULAS_H
#define THEORY_FORMULAS_H

#include <stdint.h>

enum { THEORY_QUEUES_MAX = 8 };

/* One class of requests: arrival rate, first two moments of service. */
struct theory_queue {
    double rate, service, service2;
};

static inline struct theory_queue theory_exponential(double rate, double service)
{
    return (struct theory_queue){rate, service, 2 * service * service};
}

static inline struct theory_queue theory_deterministic(double rate, double service)
{
    return (struct theory_queue){rate, service, service * service};
}

/* ------------------------------------------------------------------ one model */

/* M/G/1 (Pollaczek and Khinchine). */
double theory_wait_single(struct theory_queue queue);

/* The idle server takes vacations with these moments until somebody waits. */
double theory_wait_vacations(struct theory_queue queue, double vacation, double vacation2);

/* The server sleeps when nobody is there; the first arrival pays a set-up with these moments. */
double theory_wait_sleep(struct theory_queue queue, double setup, double setup2);

/* It wakes when n wait, then sets up. n = 1: theory_wait_sleep. */
double theory_wait_npolicy(struct theory_queue queue, double n, double setup, double setup2);

/* Mean time from one sleep to the next under the N-policy. */
double theory_cycle_npolicy(struct theory_queue queue, double n, double setup);

/* Mean response when all in service share one second of work a second. */
double theory_response_sharing(struct theory_queue queue);

/* ------------------------------------------------------------------ first come, first served */

/* N models, the same share of `queue` each, `cost` for every change of model: wait to the start of
 * switch and service together. To the start of service: theory_fifo_switch more. */
double theory_wait_fifo(uint32_t models, struct theory_queue queue, double cost);

/* Mean time that the switch before a request takes, which most requests need. */
double theory_fifo_switch(uint32_t models, double cost);

/* ------------------------------------------------------------------ cyclic polling */

enum theory_discipline { THEORY_EXHAUSTIVE, THEORY_GATED, THEORY_ONE_LIMITED };

/* The server walks 0, 1, ..., N-1, 0, ... over empty queues too. move[i], move2[i]: moments of its
 * way from queue i to the next one. */
struct theory_polling {
    uint32_t count;
    struct theory_queue queue[THEORY_QUEUES_MAX];
    double move[THEORY_QUEUES_MAX], move2[THEORY_QUEUES_MAX];
};

double theory_load(const struct theory_polling *polling);  /* sum of rate * service */
double theory_cycle(const struct theory_polling *polling); /* mean time of a round */

/*
 * Mean waits of exhaustive or gated service, by iterating the first two moments of the queue
 * lengths at the instants of polling to their fixed point (buffer-occupancy method). Not for
 * THEORY_ONE_LIMITED, which has no such solution.
 */
void theory_waits_polling(const struct theory_polling *polling, enum theory_discipline discipline,
                          double ret_wait[THEORY_QUEUES_MAX]);

/*
 * The pseudo-conservation law (Boxma and Groenendijk): a weighted sum of the mean waits that is
 * the same whatever the order. theory_law is its value, theory_law_sum the sum of given waits; the
 * same discipline in all queues.
 */
double theory_law(const struct theory_polling *polling, enum theory_discipline discipline);
double theory_law_sum(const struct theory_polling *polling, enum theory_discipline discipline,
                      const double wait[THEORY_QUEUES_MAX]);

/* The same mean wait for all of N like queues (Takagi). `variance` is that of one move. */
double theory_wait_symmetric(uint32_t models, struct theory_queue queue, double move,
                             double variance, enum theory_discipline discipline);

/* ------------------------------------------------------------------ two queues, controlled */

/*
 * Two queues, exponential service, exponential set-up into a queue, neither interrupted; the server
 * stays where it is until it is sent away.
 */
struct theory_pair {
    double rate[2], service[2], setup[2];
};

/* Mean waits: over all requests and by queue. */
struct theory_pair_waits {
    double all, queue[2];
};

/*
 * By relative value iteration of the uniformised chain, queues cut at 48. `threshold` n >= 1: an
 * empty queue, and no other, is left when n wait elsewhere. 0: the policy with the smallest mean
 * wait of all, of which only `all` is known; the others are NaN. -ENOMEM.
 */
int theory_pair_solve(const struct theory_pair *pair, uint32_t threshold,
                      struct theory_pair_waits *ret_waits);

#endif
