/*
 * Who goes on from one length of run to the next. Pure.
 */
#ifndef SIM_TUNE_HALVING_H
#define SIM_TUNE_HALVING_H

#include <stdint.h>

/* A candidate at one length. `pairs` are values (smaller is better) of the same stretches of the
 * same arrivals for everybody, so that candidates are compared stretch by stretch. */
struct halving_entry {
    const double *score; /* one an objective; smaller is better; never NaN */
    const double *pairs;
};

/* P(at least `heads` of `tosses` of a fair coin): the one-sided sign test. */
double sign_test(uint32_t heads, uint32_t tosses);

/*
 * At most `most` of `count` entries: every objective sends its best in turn, ties to the earlier.
 * With one objective, of them those are dropped whose pairs are worse than the pairs of the first
 * one kept too often for chance (sign test, 5 %), the last first, until `least` are left. Writes
 * their numbers to ret_kept, the best of the first objective first, and into ret_sender[], unless
 * NULL, which objective sent each. Returns how many.
 */
uint32_t halving_keep(const struct halving_entry *entries, uint32_t count, uint32_t objectives,
                      uint32_t pairs, uint32_t least, uint32_t most, uint32_t *ret_kept,
                      uint32_t *ret_sender);

#endif
