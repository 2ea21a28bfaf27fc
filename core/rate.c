/* Weighted event rates; see rate.h. */
#include "core/rate.h"

#include "core/fmath.h"

#include <assert.h>

void core_rate_init(struct core_rate *rate, double tau_ns)
{
    assert(tau_ns > 0);
    *rate = (struct core_rate){.tau_ns = tau_ns};
}

void core_rate_event(struct core_rate *rate, int64_t t_ns)
{
    if (!rate->started) {
        rate->started = 1;
        rate->first_ns = t_ns;
        rate->last_ns = t_ns;
        return;
    }
    assert(t_ns >= rate->last_ns);
    if (t_ns > rate->last_ns) {
        rate->sum *= core_exp(-(double)(t_ns - rate->last_ns) / rate->tau_ns);
        rate->last_ns = t_ns;
    }
    rate->sum += 1.0;
}

double core_rate_per_s(const struct core_rate *rate, int64_t t_ns)
{
    if (!rate->started || t_ns <= rate->first_ns) {
        return 0;
    }
    /* The first event only starts the clock: the events after it are what a process of the
     * estimated rate would have brought in the weighted time since. */
    double sum = rate->sum;
    if (t_ns > rate->last_ns) {
        sum *= core_exp(-(double)(t_ns - rate->last_ns) / rate->tau_ns);
    }
    /* Below 2^-54 the second term is lost in rounding: the result is the same without it. */
    double age = (double)(t_ns - rate->first_ns) / rate->tau_ns;
    double weight_ns = age > 38.0 ? rate->tau_ns : rate->tau_ns * (1.0 - core_exp(-age));
    return weight_ns > 0 ? sum / weight_ns * 1e9 : 0;
}
