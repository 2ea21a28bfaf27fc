/*
 * Exponentially weighted rate of a point process, updated at events only: with time constant tau
 * the estimate is the integral of past events weighted by exp(-age/tau)/tau, corrected for the time
 * since the first event so that it is not biased low at the start.
 */
#ifndef CORE_RATE_H
#define CORE_RATE_H

#include <stdint.h>

struct core_rate {
    double tau_ns;
    double sum;       /* weighted events after the first, as of last_ns */
    int64_t first_ns; /* first event */
    int64_t last_ns;  /* latest event */
    uint32_t started; /* 1 after the first event */
    uint32_t reserved;
};

void core_rate_init(struct core_rate *rate, double tau_ns);
/* Times never go back. */
void core_rate_event(struct core_rate *rate, int64_t t_ns);
/* Events per second as of t_ns (not before the latest event); 0 up to the first event. */
double core_rate_per_s(const struct core_rate *rate, int64_t t_ns);

#endif
