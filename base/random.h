/*
 * Random numbers by key, never by draw order: the value is a pure function of (seed, stream,
 * index), so that two runs that differ elsewhere still share their numbers.
 */
#ifndef SHUNT_BASE_RANDOM_H
#define SHUNT_BASE_RANDOM_H

#include <stdint.h>

/* The finaliser of SplitMix64: a bijection that mixes all bits. */
static inline uint64_t random_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* 64 uniform bits for the INDEX-th use of STREAM under SEED. */
static inline uint64_t random_u64(uint64_t seed, uint64_t stream, uint64_t index)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t key = random_mix(seed + golden);
    key = random_mix((key ^ stream) + golden);
    return random_mix(key + (index + 1) * golden);
}

/* Those bits as a number inside (0, 1), ends excluded. */
static inline double random_unit(uint64_t bits)
{
    return ((double)(bits >> 12) + 0.5) * 0x1p-52;
}

#endif
