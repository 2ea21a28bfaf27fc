/*
 * The simplex search of Nelder and Mead inside the unit cube, turned inside out: it says which
 * points it wants to know, the caller values them however it likes (several searches together in
 * parallel processes) and tells. It only compares values, so any order will do, infinity included.
 * Pure; same values, same points.
 */
#ifndef SIM_TUNE_SIMPLEX_H
#define SIM_TUNE_SIMPLEX_H

#include <stdbool.h>
#include <stdint.h>

enum { SIMPLEX_DIMENSIONS_MAX = 64 };

struct simplex;

/* Begins at start[dimensions], whose value is known, with edges of length STEP (0 to 0.5) towards
 * where there is room. NULL: out of memory. */
struct simplex *simplex_create(uint32_t dimensions, const double *start, double value, double step);
void simplex_destroy(struct simplex *simplex); /* accepts NULL */

/* How many points it wants valued now: 0 once the simplex is smaller than SIZE in every direction.
 * At most `dimensions`. */
uint32_t simplex_wanted(const struct simplex *simplex, double size);
/* The i-th of them, dimensions coordinates within [0, 1]; valid until the next call that tells. */
const double *simplex_point(const struct simplex *simplex, uint32_t i);
/* Their values, in that order; smaller is better; never NaN. */
void simplex_tell(struct simplex *simplex, const double *values);

/* The best vertex and its value. */
const double *simplex_best(const struct simplex *simplex, double *ret_value);

#endif
