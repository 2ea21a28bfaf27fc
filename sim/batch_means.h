/*
 * The error of a mean over a stream of dependent values, in fixed memory: values are gathered into
 * batches of equal size, and once all places are taken neighbouring batches are merged, so that
 * 32 to 64 batches are kept however long the stream gets. Batches longer than the memory of the
 * stream are nearly independent; how nearly, their lag-1 correlation says. Sums are integers, so
 * the same values give the same answer on every build.
 */
#ifndef SIM_BATCH_MEANS_H
#define SIM_BATCH_MEANS_H

#include "sim/wide.h"

enum { BATCH_MEANS_SLOTS = 64, BATCH_MEANS_MIN = 30 };

/* A zeroed one is empty and ready. */
struct batch_means {
    wide open;      /* sum of the batch that is being filled */
    uint64_t fill;  /* values in it */
    uint32_t shift; /* a batch has 2^shift values */
    uint32_t full;  /* batches that are complete */
    wide sum[BATCH_MEANS_SLOTS];
};

/* What the batches say; NaN where too little is known. */
struct batch_means_figures {
    double mean; /* of all values */
    double se;   /* of the mean; NaN below BATCH_MEANS_MIN batches */
    double lag1; /* likewise; also NaN if all batches are equal */
    uint32_t batches;
};

/* A batch is full: for batch_means_add. */
void batch_means_close(struct batch_means *b);

static inline void batch_means_add(struct batch_means *b, int64_t value)
{
    b->open += value;
    if (++b->fill >> b->shift) {
        batch_means_close(b);
    }
}

static inline uint64_t batch_means_count(const struct batch_means *b)
{
    return ((uint64_t)b->full << b->shift) + b->fill;
}

/* Sum of all values. */
wide batch_means_total(const struct batch_means *b);
struct batch_means_figures batch_means_figures(const struct batch_means *b);

#endif
