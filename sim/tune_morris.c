/* Walks through the unit cube, and what they tell: see tune_morris.h. */
#include "sim/tune_morris.h"

#include "base/random.h"
#include "core/fmath.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { STREAM_ORDER = 11, STREAM_BASE = 12, STREAM_SIGN = 13 };

/* The coordinate that step `step` (from 1) of the walk changes: a random order of all. */
static void order_of(uint32_t dimensions, uint64_t seed, uint32_t walk,
                     uint32_t ret_order[MORRIS_DIMENSIONS_MAX])
{
    for (uint32_t i = 0; i < dimensions; i++) {
        uint64_t bits = random_u64(seed, STREAM_ORDER, (uint64_t)walk * MORRIS_DIMENSIONS_MAX + i);
        uint32_t to = (uint32_t)(bits % (i + 1));
        ret_order[i] = ret_order[to];
        ret_order[to] = i;
    }
}

/* The lower end, of two levels, of what the walk does along a coordinate; and whether it goes up.
 */
static double base_of(uint64_t seed, uint32_t walk, uint32_t d, double *ret_sign)
{
    uint64_t key = (uint64_t)walk * MORRIS_DIMENSIONS_MAX + d;
    *ret_sign = random_u64(seed, STREAM_SIGN, key) & 1 ? 1 : -1;
    return random_u64(seed, STREAM_BASE, key) & 1 ? 1.0 / (MORRIS_LEVELS - 1) : 0;
}

void morris_point(uint32_t dimensions, uint64_t seed, uint32_t walk, uint32_t step,
                  double *ret_point)
{
    uint32_t order[MORRIS_DIMENSIONS_MAX] = {0};
    assert(dimensions <= MORRIS_DIMENSIONS_MAX && step <= dimensions);
    order_of(dimensions, seed, walk, order);
    for (uint32_t i = 0; i < dimensions; i++) {
        double sign;
        double low = base_of(seed, walk, order[i], &sign);
        ret_point[order[i]] = (i < step) == (sign > 0) ? low + MORRIS_DELTA : low;
    }
}

void morris_effects(uint32_t dimensions, uint64_t seed, uint32_t walks, const double *values,
                    struct morris_effect *ret_effects)
{
    uint32_t order[MORRIS_DIMENSIONS_MAX] = {0}, count[MORRIS_DIMENSIONS_MAX] = {0};
    double squares[MORRIS_DIMENSIONS_MAX] = {0};
    assert(dimensions <= MORRIS_DIMENSIONS_MAX);
    memset(ret_effects, 0, dimensions * sizeof(*ret_effects));
    for (uint32_t walk = 0; walk < walks; walk++) {
        const double *value = values + (uint64_t)walk * (dimensions + 1);
        order_of(dimensions, seed, walk, order);
        for (uint32_t i = 0; i < dimensions; i++) {
            double sign;
            (void)base_of(seed, walk, order[i], &sign);
            if (!isfinite(value[i]) || !isfinite(value[i + 1])) {
                continue;
            }
            double effect = (value[i + 1] - value[i]) * sign / MORRIS_DELTA;
            struct morris_effect *e = &ret_effects[order[i]];
            e->mean_abs += effect < 0 ? -effect : effect;
            e->mean += effect;
            squares[order[i]] += effect * effect;
            count[order[i]]++;
        }
    }
    for (uint32_t d = 0; d < dimensions; d++) {
        struct morris_effect *e = &ret_effects[d];
        double n = count[d];
        if (n > 1) {
            double variance = (squares[d] - e->mean * e->mean / n) / (n - 1);
            e->sigma = variance > 0 ? core_sqrt(variance) : 0;
        }
        if (n > 0) {
            e->mean_abs /= n;
            e->mean /= n;
        }
    }
}
