/* Learned durations; see cost.h. Pure arithmetic, no memory but the cell's. */
#include "core/cost.h"

#include <assert.h>
#include <string.h>

static double not_a_number(void)
{
    return (double)__builtin_nanf("");
}

static uint32_t samples(const struct core_cost_cell *cell)
{
    return cell->count < CORE_COST_WINDOW ? (uint32_t)cell->count : (uint32_t)CORE_COST_WINDOW;
}

static void rank_add(struct core_cost_cell *cell, int64_t sample_ns)
{
    int64_t loser = sample_ns < cell->largest_ns ? sample_ns : cell->largest_ns;
    cell->largest_ns = sample_ns > cell->largest_ns ? sample_ns : cell->largest_ns;
    cell->second_ns = loser > cell->second_ns ? loser : cell->second_ns;
}

/* Finds the two largest of the latest samples again. */
static void rank_all(struct core_cost_cell *cell)
{
    uint32_t count = samples(cell);
    cell->largest_ns = 0;
    cell->second_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        rank_add(cell, cell->recent_ns[i]);
    }
}

void core_cost_add(struct core_cost_cell *cell, int64_t sample_ns)
{
    assert(sample_ns >= 0);
    int64_t *place = &cell->recent_ns[cell->count % CORE_COST_WINDOW];
    int64_t evicted_ns = cell->count < CORE_COST_WINDOW ? -1 : *place;
    *place = sample_ns;
    cell->count++;
    if (evicted_ns < cell->second_ns) {
        rank_add(cell, sample_ns);
    } else if (evicted_ns != sample_ns) {
        rank_all(cell);
    }
    /* The usual share is a constant: the same value without a division. */
    double share =
        cell->count < CORE_COST_EXACT ? 1.0 / (double)cell->count : 1.0 / CORE_COST_EXACT;
    double delta = (double)sample_ns - cell->mean_ns;
    /* With share = 1/n this is Welford's update of the population variance; with a constant share
     * it is the exponentially weighted one. */
    cell->mean_ns += share * delta;
    cell->var_ns2 = (1.0 - share) * (cell->var_ns2 + share * delta * delta);
}

/* The nearest rank among at most CORE_COST_WINDOW samples is the largest below 20 and the second
 * largest from there on. */
static int64_t percentile95_ns(const struct core_cost_cell *cell)
{
    static_assert(95u * CORE_COST_WINDOW / 100u >= CORE_COST_WINDOW - 2u, "a longer window sorts");
    uint32_t count = samples(cell);
    uint32_t rank = (95u * count + 99u) / 100u; /* 1-based */
    return rank == count ? cell->largest_ns : cell->second_ns;
}

void core_cost_read(const struct core_cost_cell *cell, struct core_cost *ret)
{
    ret->count = cell->count;
    ret->mean_ns = cell->count ? cell->mean_ns : not_a_number();
    ret->p95_ns = cell->count ? (double)percentile95_ns(cell) : not_a_number();
    if (cell->count < 2) {
        ret->var_ns2 = not_a_number();
    } else if (cell->count <= CORE_COST_EXACT) {
        ret->var_ns2 = cell->var_ns2 * (double)cell->count / (double)(cell->count - 1);
    } else {
        ret->var_ns2 = cell->var_ns2;
    }
}

void core_cost_load(struct core_cost_cell *cell, const struct core_cost *prior)
{
    memset(cell, 0, sizeof *cell);
    if (prior->count == 0 || !(prior->mean_ns >= 0)) {
        return;
    }
    double p95_ns = prior->p95_ns >= prior->mean_ns ? prior->p95_ns : prior->mean_ns;
    uint32_t count =
        prior->count < CORE_COST_WINDOW ? (uint32_t)prior->count : (uint32_t)CORE_COST_WINDOW;
    uint32_t rank = (95u * count + 99u) / 100u;
    for (uint32_t i = 0; i < count; i++) {
        cell->recent_ns[i] = (int64_t)(i + 1 >= rank ? p95_ns : prior->mean_ns);
    }
    cell->count = prior->count;
    rank_all(cell);
    cell->mean_ns = prior->mean_ns;
    cell->var_ns2 = prior->var_ns2 >= 0 ? prior->var_ns2 : 0;
    if (cell->count > 1 && cell->count <= CORE_COST_EXACT) {
        cell->var_ns2 *= (double)(cell->count - 1) / (double)cell->count;
    }
}

void core_cost_combine(const struct core_cost_cell *pair, const struct core_cost_cell *const *parts,
                       uint32_t part_count, struct core_cost *ret)
{
    if (pair && pair->count) {
        core_cost_read(pair, ret);
        return;
    }
    struct core_cost sum = {.mean_ns = 0, .var_ns2 = 0, .p95_ns = 0, .count = 0};
    for (uint32_t i = 0; i < part_count; i++) {
        struct core_cost part;
        core_cost_read(parts[i], &part);
        sum.mean_ns += part.mean_ns;
        sum.var_ns2 += part.var_ns2;
        sum.p95_ns += part.p95_ns;
    }
    *ret = sum;
}
