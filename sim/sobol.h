/*
 * Sobol points: a sequence in the unit cube that fills it more evenly than random points do, for
 * the first look of a search. Pure and exact: integers until the last step, same points everywhere.
 *
 * Direction numbers: dimensions 1 to 21 are S. Joe and F. Y. Kuo's set D(6) ("Constructing Sobol
 * sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30, 2008). Beyond, where
 * their table is long, the numbers are made: primitive polynomials in order of degree and value,
 * and initial numbers drawn by key until Sobol's property A holds (of the first 2^d points each of
 * the 2^d halves of the cube in all d dimensions gets exactly one), which theirs has too.
 */
#ifndef SIM_SOBOL_H
#define SIM_SOBOL_H

#include <stdint.h>

enum { SOBOL_DIMENSIONS_MAX = 64, SOBOL_BITS = 64 };

struct sobol {
    uint32_t dimensions;
    uint64_t shift[SOBOL_DIMENSIONS_MAX];
    uint64_t direction[SOBOL_DIMENSIONS_MAX][SOBOL_BITS];
};

/* 1 <= dimensions <= SOBOL_DIMENSIONS_MAX. SHIFT_SEED 0: the sequence itself, which begins at the
 * origin; others: each coordinate xor a number keyed by the seed, which keeps how even it is. */
void sobol_init(struct sobol *sobol, uint32_t dimensions, uint64_t shift_seed);

/* Point INDEX (from 0) into ret_point[dimensions], each in [0, 1). */
void sobol_point(const struct sobol *sobol, uint64_t index, double *ret_point);

#endif
