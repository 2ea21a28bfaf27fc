/*
 * Learned costs: a running mean, variance and 95th percentile of a duration, in constant memory.
 *
 * Times of switches drift (a host cache fills, a driver is updated), so old samples lose weight:
 * mean and variance are exact over the first CORE_COST_EXACT samples and exponentially weighted
 * after; the percentile is the nearest rank among the latest CORE_COST_WINDOW samples. No sample at
 * all means "unknown", and unknown stays unknown: nothing here invents a prior.
 */
#ifndef CORE_COST_H
#define CORE_COST_H

#include "core/core.h"

#define CORE_COST_EXACT  16u /* samples averaged with equal weight before weights decay */
#define CORE_COST_WINDOW 32u /* latest samples kept for the percentile */

struct core_cost_cell {
    uint64_t count;
    double mean_ns;
    double var_ns2;                      /* population variance with the same weights as the mean */
    int64_t largest_ns;                  /* of recent_ns */
    int64_t second_ns;                   /* second largest of recent_ns; 0 below two */
    int64_t recent_ns[CORE_COST_WINDOW]; /* ring of the latest samples */
};

/* Adds a measured duration, >= 0. */
void core_cost_add(struct core_cost_cell *cell, int64_t sample_ns);

/* Reads the cell: mean and percentile NaN at count 0, variance NaN below 2. */
void core_cost_read(const struct core_cost_cell *cell, struct core_cost *ret);

/* Loads a prior as if `prior->count` samples had been seen; count 0 clears the cell. */
void core_cost_load(struct core_cost_cell *cell, const struct core_cost *prior);

/*
 * Expected time of a switch: the measured pair if it has a sample (pass NULL where a pair does not
 * apply, as with several victims), else the sum of the parts with count 0 for "estimated". A part
 * that is unknown makes the sum unknown (NaN). Variances add as of independent parts; percentiles
 * add as an upper estimate.
 */
void core_cost_combine(const struct core_cost_cell *pair, const struct core_cost_cell *const *parts,
                       uint32_t part_count, struct core_cost *ret);

#endif
