/* Figures of slices of a run. See blocks.h. Integers until the end, as in measure.c. */
#include "sim/blocks.h"

#include "base/histogram.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct block {
    uint64_t arrivals, measured;
    int64_t from_ns, to_ns;
    wide work_from, work_to; /* completed at these instants */
    wide wait_sum;
    struct histogram waits;
};

struct blocks {
    uint64_t arrivals;
    uint32_t count;
    uint32_t open; /* the slice that arrives; `count` before the first arrival */
    struct block item[];
};

int blocks_create(uint32_t count, uint64_t arrivals, struct blocks **ret_blocks)
{
    assert(count >= 1 && count <= BLOCKS_MAX && arrivals >= count);
    struct blocks *blocks = calloc(1, sizeof(*blocks) + count * sizeof(blocks->item[0]));
    if (!blocks) {
        return -ENOMEM;
    }
    blocks->count = count;
    blocks->open = count;
    blocks->arrivals = arrivals;
    *ret_blocks = blocks;
    return 0;
}

void blocks_destroy(struct blocks *blocks)
{
    free(blocks);
}

/* More arrivals than were announced belong to the last slice. */
static uint32_t index_of(const struct blocks *blocks, uint64_t number)
{
    if (number >= blocks->arrivals) {
        return blocks->count - 1;
    }
    return (uint32_t)((uwide)number * blocks->count / blocks->arrivals);
}

static void close_open(struct blocks *blocks, int64_t t_ns, wide work_ns)
{
    if (blocks->open < blocks->count) {
        blocks->item[blocks->open].to_ns = t_ns;
        blocks->item[blocks->open].work_to = work_ns;
    }
}

void blocks_arrival(struct blocks *blocks, uint64_t number, bool measured, int64_t t_ns,
                    wide work_ns)
{
    uint32_t index = index_of(blocks, number);
    struct block *block = &blocks->item[index];
    if (index != blocks->open) {
        assert(blocks->open == blocks->count || index == blocks->open + 1);
        close_open(blocks, t_ns, work_ns);
        blocks->open = index;
        block->from_ns = t_ns;
        block->work_from = work_ns;
    }
    block->arrivals++;
    block->measured += measured;
}

void blocks_last_arrival(struct blocks *blocks, int64_t t_ns, wide work_ns)
{
    close_open(blocks, t_ns, work_ns);
}

void blocks_ended(struct blocks *blocks, uint64_t number, int64_t wait_ns)
{
    struct block *block = &blocks->item[index_of(blocks, number)];
    block->wait_sum += wait_ns;
    histogram_add(&block->waits, wait_ns);
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : (double)NAN;
}

int blocks_figures(const struct blocks *blocks, struct result_block **ret_blocks,
                   uint32_t *ret_count)
{
    struct result_block *figures = calloc(blocks->count, sizeof(*figures));
    if (!figures) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < blocks->count; i++) {
        const struct block *from = &blocks->item[i];
        uint64_t ended = from->waits.count;
        int64_t p99_ns = histogram_quantile(&from->waits, 0.99);
        figures[i] =
            (struct result_block){.arrivals = from->arrivals,
                                  .measured = from->measured,
                                  .from_s = (double)from->from_ns / 1e9,
                                  .wait_mean_s = ratio(wide_seconds(from->wait_sum), (double)ended),
                                  .wait_p99_s = ended > 0 ? (double)p99_ns / 1e9 : (double)NAN,
                                  .work_per_s = ratio((double)(from->work_to - from->work_from),
                                                      (double)(from->to_ns - from->from_ns))};
    }
    *ret_blocks = figures;
    *ret_count = blocks->count;
    return 0;
}
