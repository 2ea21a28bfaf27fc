/*
 * Screening after M. D. Morris (Technometrics 33, 1991): which parameters matter, from r walks
 * through the unit cube that change one coordinate at a time by DELTA, r (k + 1) points in all.
 * Pure; same seed, same walks.
 */
#ifndef SIM_TUNE_MORRIS_H
#define SIM_TUNE_MORRIS_H

#include <stdint.h>

enum { MORRIS_DIMENSIONS_MAX = 64, MORRIS_LEVELS = 4 };

/* Of the levels' step: half of them and back, so that every level is equally likely. */
#define MORRIS_DELTA (2.0 / 3)

/* What one parameter does to the value. */
struct morris_effect {
    double mean_abs; /* mu*: mean of |change of value / change of coordinate|; 0: nothing */
    double mean;     /* mu: its sign, where the effect is monotone */
    double sigma;    /* large against mu*: bent, or together with other parameters */
};

/* The point after STEP changes (0 to dimensions) of walk WALK. */
void morris_point(uint32_t dimensions, uint64_t seed, uint32_t walk, uint32_t step,
                  double *ret_point);

/* values[walk * (dimensions + 1) + step]; ret_effects[dimensions]. A change between values of which
 * one is not finite is left out. */
void morris_effects(uint32_t dimensions, uint64_t seed, uint32_t walks, const double *values,
                    struct morris_effect *ret_effects);

#endif
