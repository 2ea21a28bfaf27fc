/* Batch means that double their batches. See batch_means.h. */
#include "sim/batch_means.h"

#include "core/fmath.h"

#include <math.h>

/* The places are all taken and another batch is complete: it becomes the first half of one of
 * twice the size. */
static void merge(struct batch_means *b)
{
    for (uint32_t i = 0; i < BATCH_MEANS_SLOTS / 2; i++) {
        b->sum[i] = b->sum[2 * i] + b->sum[2 * i + 1];
    }
    b->full = BATCH_MEANS_SLOTS / 2;
    b->shift++;
}

void batch_means_close(struct batch_means *b)
{
    if (b->full == BATCH_MEANS_SLOTS) {
        merge(b);
        return;
    }
    b->sum[b->full++] = b->open;
    b->open = 0;
    b->fill = 0;
}

wide batch_means_total(const struct batch_means *b)
{
    wide total = b->open;
    for (uint32_t i = 0; i < b->full; i++) {
        total += b->sum[i];
    }
    return total;
}

struct batch_means_figures batch_means_figures(const struct batch_means *b)
{
    struct batch_means_figures f = {
        .mean = (double)NAN, .se = (double)NAN, .lag1 = (double)NAN, .batches = b->full};
    uint64_t count = batch_means_count(b);
    if (count > 0) {
        f.mean = (double)batch_means_total(b) / (double)count;
    }
    if (b->full < BATCH_MEANS_MIN) {
        return f;
    }
    double size = (double)(UINT64_C(1) << b->shift), n = b->full;
    double mean = 0, squares = 0, products = 0, before = 0;
    for (uint32_t i = 0; i < b->full; i++) {
        mean += (double)b->sum[i] / size;
    }
    mean /= n;
    for (uint32_t i = 0; i < b->full; i++) {
        double off = (double)b->sum[i] / size - mean;
        squares += off * off;
        products += off * before;
        before = off;
    }
    f.se = core_sqrt(squares / (n * (n - 1)));
    f.lag1 = squares > 0 ? products / squares : (double)NAN;
    return f;
}
