/*
 * Several objectives without weights: which of many points nothing is better than in all of them,
 * and how much of a box they cover. Smaller is better in every objective. Pure.
 */
#ifndef SIM_TUNE_FRONT_H
#define SIM_TUNE_FRONT_H

#include <stdbool.h>
#include <stdint.h>

enum { FRONT_OBJECTIVES_MAX = 8, FRONT_POINTS_MAX = 4096 };

struct front_point {
    double at[FRONT_OBJECTIVES_MAX];
};

/* ret_kept[i]: no other point is as good in all `objectives` and better in one; of equal points
 * the first. Returns how many. */
uint32_t front_filter(const struct front_point *points, uint32_t count, uint32_t objectives,
                      bool *ret_kept);

/* The share of the box from 0 to REFERENCE in every objective that is no better than some point:
 * 0 none of them is inside, 1 a point at the origin. Negative: out of memory. Exact; quick up to
 * some hundred points of a front. */
double front_hypervolume(const struct front_point *points, uint32_t count, uint32_t objectives,
                         double reference);

#endif
