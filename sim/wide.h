/*
 * Sums of products of nanoseconds, exactly: 128-bit integers. A year of nanoseconds is 2^55, so a
 * product of a time and a count, or of two times, does not fit 64 bits.
 */
#ifndef SIM_WIDE_H
#define SIM_WIDE_H

#include <stdint.h>

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 uwide;

static inline double wide_seconds(wide ns)
{
    return (double)ns / 1e9;
}

static inline uint64_t wide_low(wide value)
{
    return (uint64_t)(uwide)value;
}

static inline uint64_t wide_high(wide value)
{
    return (uint64_t)((uwide)value >> 64);
}

#endif
