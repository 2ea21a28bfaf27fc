/*
 * Random numbers of generators of load: core's keyed numbers (core/rng.h), so that two runs that
 * differ elsewhere still share theirs.
 */
#ifndef SHUNT_BASE_RANDOM_H
#define SHUNT_BASE_RANDOM_H

#include "core/rng.h"

/* 64 uniform bits for the INDEX-th use of STREAM under SEED. */
static inline uint64_t random_u64(uint64_t seed, uint64_t stream, uint64_t index)
{
    return core_random(seed, stream, index, 0);
}

#define RANDOM_GOLDEN UINT64_C(0x9e3779b97f4a7c15)

/* core_mix64, in line: a generator mixes several times for each request. */
static inline uint64_t random_mix(uint64_t x)
{
    x += RANDOM_GOLDEN;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* What all draws of a stream have in common: random_u64(seed, stream, i) is random_at(prefix, i).
 */
static inline uint64_t random_prefix(uint64_t seed, uint64_t stream)
{
    return random_mix(random_mix(seed) ^ stream);
}

static inline uint64_t random_at(uint64_t prefix, uint64_t index)
{
    return random_mix(random_mix(prefix ^ index));
}

/* Those bits as a number inside (0, 1), ends excluded, so that its logarithm is finite. */
static inline double random_unit(uint64_t bits)
{
    return ((double)(bits >> 12) + 0.5) * 0x1p-52;
}

#endif
