/* Keyed random numbers; see rng.h. Constants: the finaliser of SplitMix64 (Steele, Lea, Flood,
 * "Fast splittable pseudorandom number generators", 2014). */
#include "core/rng.h"

uint64_t core_mix64(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t core_random(uint64_t seed, uint64_t stream, uint64_t key, uint64_t index)
{
    return core_mix64(core_mix64(core_mix64(core_mix64(seed) ^ stream) ^ key) ^ index);
}

double core_random_unit(uint64_t x)
{
    return (double)(x >> 11) * 0x1p-53;
}
