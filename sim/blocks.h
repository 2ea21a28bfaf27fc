/*
 * A run cut into disjoint slices of equally many consecutive arrivals, whatever the policy: the
 * same slices for every run of a scenario and seed, so that policies can be compared slice by
 * slice. A slice holds the figures of its measured requests (sim/measure.h) to their end, whenever
 * that is, and the work that was completed while it arrived. Memory is BLOCKS_MAX sketches at most,
 * however long the run.
 */
#ifndef SIM_BLOCKS_H
#define SIM_BLOCKS_H

#include "sim/result.h"
#include "sim/wide.h"

#include <stdbool.h>
#include <stdint.h>

enum { BLOCKS_MAX = 256 };

struct blocks;

/* `count` from 1 to BLOCKS_MAX, `arrivals` (how many will come) at least as many. -ENOMEM. */
int blocks_create(uint32_t count, uint64_t arrivals, struct blocks **ret_blocks);
void blocks_destroy(struct blocks *blocks); /* accepts NULL */

/* Arrival `number` (from 0, in order) at t_ns; `work_ns`: completed so far, in all. */
void blocks_arrival(struct blocks *blocks, uint64_t number, bool measured, int64_t t_ns,
                    wide work_ns);
/* The last arrival was at t_ns: the last slice ends. */
void blocks_last_arrival(struct blocks *blocks, int64_t t_ns, wide work_ns);
/* A measured request that arrived as `number` has ended, with the wait that counts. */
void blocks_ended(struct blocks *blocks, uint64_t number, int64_t wait_ns);

/* Their figures; *ret_blocks is malloc'ed. -ENOMEM. */
int blocks_figures(const struct blocks *blocks, struct result_block **ret_blocks,
                   uint32_t *ret_count);

#endif
