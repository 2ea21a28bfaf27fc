/*
 * Values below 64 have a bucket each; above, a bucket is the power of two and the six bits that
 * follow it. The middle of a bucket differs from any value in it by at most 1/128 of the value.
 */
#include "base/histogram.h"

#include <assert.h>
#include <math.h>

enum { SUB = 1 << HISTOGRAM_SUB_BITS };

static unsigned bucket_of(uint64_t value)
{
    if (value < SUB) {
        return (unsigned)value;
    }
    unsigned power = 63U - (unsigned)__builtin_clzll(value);
    unsigned shift = power - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)((value >> shift) & (SUB - 1));
}

static int64_t bucket_middle(unsigned bucket)
{
    if (bucket < 2 * SUB) {
        return bucket;
    }
    unsigned shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t low = (uint64_t)((bucket & (SUB - 1)) + SUB) << shift;
    return (int64_t)(low + ((UINT64_C(1) << shift) - 1) / 2);
}

void histogram_add(struct histogram *h, int64_t value)
{
    value = value < 0 ? 0 : value;
    unsigned bucket = bucket_of((uint64_t)value);
    assert(bucket < HISTOGRAM_BUCKETS);
    h->min = h->count == 0 || value < h->min ? value : h->min;
    h->max = value > h->max ? value : h->max;
    h->count++;
    h->sum += (double)value;
    h->buckets[bucket]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (from->count == 0) {
        return;
    }
    into->min = into->count == 0 || from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

double histogram_mean(const struct histogram *h)
{
    return h->count ? h->sum / (double)h->count : 0;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
    assert(q >= 0 && q <= 1);
    if (h->count == 0) {
        return 0;
    }
    uint64_t rank = (uint64_t)ceil(q * (double)h->count);
    rank = rank < 1 ? 1 : rank > h->count ? h->count : rank;
    if (rank == h->count) {
        return h->max;
    }
    uint64_t seen = 0;
    unsigned bucket = 0;
    for (;; bucket++) {
        assert(bucket < HISTOGRAM_BUCKETS);
        seen += h->buckets[bucket];
        if (seen >= rank) {
            break;
        }
    }
    int64_t value = rank == 1 ? h->min : bucket_middle(bucket);
    return value < h->min ? h->min : value > h->max ? h->max : value;
}

uint64_t histogram_count_to(const struct histogram *h, int64_t value)
{
    uint64_t count = 0;
    unsigned last = value < 0 ? 0 : bucket_of((uint64_t)value);
    for (unsigned i = 0; value >= 0 && i <= last; i++) {
        count += h->buckets[i];
    }
    return count;
}
