/*
 * Keyed random numbers: a pure function of (seed, stream, key, index), so that a draw belongs to
 * what it decides (request 17, third switch of a pair) and never depends on the order of draws.
 * The mixing is that of SplitMix64's finaliser, applied once per word.
 */
#ifndef CORE_RNG_H
#define CORE_RNG_H

#include <stdint.h>

uint64_t core_random(uint64_t seed, uint64_t stream, uint64_t key, uint64_t index);

/* 53 bits of x as a double in [0, 1). */
double core_random_unit(uint64_t x);

/* One step of the mixer; also a hash of small integers. */
uint64_t core_mix64(uint64_t x);

#endif
