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

/* Those bits as a number inside (0, 1), ends excluded, so that its logarithm is finite. */
static inline double random_unit(uint64_t bits)
{
    return ((double)(bits >> 12) + 0.5) * 0x1p-52;
}

#endif
