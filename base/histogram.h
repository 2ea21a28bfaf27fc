/*
 * Distribution of non-negative integers (nanoseconds, tokens, bytes) in fixed memory: buckets that
 * grow with the value, 64 to each power of two, so that any quantile is within 1 % (1/128) of a
 * value that was recorded. Integers throughout: the same values in any order, merged in any
 * grouping, give the same answers on every machine. No allocation.
 */
#ifndef SHUNT_BASE_HISTOGRAM_H
#define SHUNT_BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 6,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS,
};

/* About 29 KiB; a zeroed one is empty and ready. */
struct histogram {
    uint64_t count;
    int64_t min, max; /* exact; 0 while empty */
    double sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Counts VALUE once; a negative one counts as 0. */
void histogram_add(struct histogram *h, int64_t value);
/* Adds all of FROM to INTO. */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* 0 while empty. */
double histogram_mean(const struct histogram *h);
/*
 * The value at rank ceil(q * count) (at least 1), within 1/128 of it and inside [min, max],
 * the smallest and the largest exactly; q in [0, 1]. 0 while empty.
 */
int64_t histogram_quantile(const struct histogram *h, double q);
/* How many recorded values are at most VALUE, to the resolution of its bucket (counted whole). */
uint64_t histogram_count_to(const struct histogram *h, int64_t value);

#endif
