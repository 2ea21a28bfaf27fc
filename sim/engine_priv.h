/* What engine.c and the kinds of engines share. */
#ifndef SIM_ENGINE_PRIV_H
#define SIM_ENGINE_PRIV_H

#include "sim/engine.h"

#include <stddef.h>

__extension__ typedef __int128 sim_int128;
__extension__ typedef unsigned __int128 sim_uint128;

/* A request in an engine, ordered by when it ends. */
struct engine_member {
    sim_uint128 finish; /* PS: virtual work; BATCH: number of the decode step */
    uint64_t seq;       /* of dispatch */
    uint64_t joined;    /* BATCH: decode steps done when it joined */
    int64_t context;    /* BATCH: tokens then */
    uint32_t request;
    uint32_t reserved;
};

/* A heap, the first to finish on top. */
struct engine_heap {
    struct engine_member *members;
    size_t count, room;
};

/* Room for so many more. -ENOMEM. */
int engine_heap_reserve(struct engine_heap *heap, size_t more);
void engine_heap_push(struct engine_heap *heap, const struct engine_member *member);
/* Takes the member at `at`; 0 is the first. */
struct engine_member engine_heap_take(struct engine_heap *heap, size_t at);
/* Place of a request; heap->count if it is not there. */
size_t engine_heap_find(const struct engine_heap *heap, uint32_t request);

/* A request that waits for its prefill. */
struct batch_entry {
    uint64_t seq;
    int64_t input_tokens, output_tokens;
    uint32_t request;
};

/* Continuous batching. `boundary_ps` is the end of the last pass of the model, or of the running
 * one if nothing in the engine can change before that. */
struct batch {
    int64_t p0_ps, p1_ps, d0_ps, d1_ps, d2_ps;
    sim_int128 boundary_ps;
    uint64_t steps;      /* decode steps done at the boundary */
    sim_int128 contexts; /* tokens of all members at the boundary */
    struct engine_heap decoding;
    struct batch_entry *waiting; /* for prefill: a ring */
    size_t first, count, room;
    uint64_t seq;
};

/* Processor sharing. Work in units of 2^-32 ns. */
struct sharing {
    uint64_t rate;    /* units of work in a nanosecond */
    int64_t at_ns;    /* when `work` held */
    sim_uint128 work; /* that each member has been given since the engine was empty */
    struct engine_heap members;
    uint64_t seq;
};

struct sim_engine {
    enum scenario_service_kind kind;
    union {
        struct batch batch;
        struct sharing sharing;
    } u;
};

int batch_add(struct batch *batch, const struct sim_engine_job *job, int64_t t_ns);
void batch_remove(struct batch *batch, uint32_t request, int64_t t_ns);
void batch_clear(struct batch *batch);
int64_t batch_next_ns(const struct batch *batch);
bool batch_take(struct batch *batch, int64_t t_ns, enum sim_engine_event *ret_event,
                uint32_t *ret_request);

int sharing_add(struct sharing *sharing, const struct sim_engine_job *job, int64_t t_ns);
void sharing_remove(struct sharing *sharing, uint32_t request, int64_t t_ns);
void sharing_clear(struct sharing *sharing);
int64_t sharing_next_ns(const struct sharing *sharing);
bool sharing_take(struct sharing *sharing, int64_t t_ns, enum sim_engine_event *ret_event,
                  uint32_t *ret_request);

#endif
