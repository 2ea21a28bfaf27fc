/* Engines by kind, and the heap of members that both kinds have. */
#include "sim/engine.h"

#include "sim/engine_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ------------------------------------------------------------------ heap of members */

static bool ends_before(const struct engine_member *a, const struct engine_member *b)
{
    return a->finish != b->finish ? a->finish < b->finish : a->seq < b->seq;
}

int engine_heap_reserve(struct engine_heap *heap, size_t more)
{
    size_t room = heap->room > 0 ? heap->room : 16;
    while (room < heap->count + more) {
        room *= 2;
    }
    if (room == heap->room) {
        return 0;
    }
    struct engine_member *grown = realloc(heap->members, room * sizeof *grown);
    if (!grown) {
        return -ENOMEM;
    }
    heap->members = grown;
    heap->room = room;
    return 0;
}

static void sift_up(struct engine_heap *heap, size_t at, const struct engine_member *member)
{
    struct engine_member *members = heap->members;
    while (at > 0 && ends_before(member, &members[(at - 1) / 2])) {
        members[at] = members[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    members[at] = *member;
}

void engine_heap_push(struct engine_heap *heap, const struct engine_member *member)
{
    assert(heap->count < heap->room);
    sift_up(heap, heap->count++, member);
}

struct engine_member engine_heap_take(struct engine_heap *heap, size_t at)
{
    assert(at < heap->count);
    struct engine_member *members = heap->members;
    const struct engine_member taken = members[at];
    const struct engine_member last = members[--heap->count];
    if (at == heap->count) {
        return taken;
    }
    for (size_t child = 2 * at + 1; child < heap->count; child = 2 * at + 1) {
        child += child + 1 < heap->count && ends_before(&members[child + 1], &members[child]);
        if (!ends_before(&members[child], &last)) {
            break;
        }
        members[at] = members[child];
        at = child;
    }
    sift_up(heap, at, &last);
    return taken;
}

size_t engine_heap_find(const struct engine_heap *heap, uint32_t request)
{
    size_t at = 0;
    while (at < heap->count && heap->members[at].request != request) {
        at++;
    }
    return at;
}

/* ------------------------------------------------------------------ by kind */

#define RATE_MAX 1048576.0

bool sim_engine_is_shared(const struct scenario_service *service)
{
    return service->kind == SCENARIO_BATCH || service->kind == SCENARIO_PS;
}

int sim_engine_create(const struct scenario_service *service, struct sim_engine **ret_engine)
{
    bool batch = service->kind == SCENARIO_BATCH;
    if (!sim_engine_is_shared(service) ||
        (!batch && !(service->rate * 4294967296.0 >= 1.0 && service->rate <= RATE_MAX))) {
        return -EINVAL;
    }
    struct sim_engine *engine = calloc(1, sizeof *engine);
    if (!engine) {
        return -ENOMEM;
    }
    engine->kind = service->kind;
    if (batch) {
        struct batch *b = &engine->u.batch;
        b->p0_ps = service->p0_ps;
        b->p1_ps = service->p1_ps;
        b->d0_ps = service->d0_ps;
        b->d1_ps = service->d1_ps;
        b->d2_ps = service->d2_ps;
    } else {
        engine->u.sharing.rate = (uint64_t)(service->rate * 4294967296.0 + 0.5);
    }
    *ret_engine = engine;
    return 0;
}

void sim_engine_destroy(struct sim_engine *engine)
{
    if (!engine) {
        return;
    }
    if (engine->kind == SCENARIO_BATCH) {
        free(engine->u.batch.decoding.members);
        free(engine->u.batch.waiting);
    } else {
        free(engine->u.sharing.members.members);
    }
    free(engine);
}

int sim_engine_add(struct sim_engine *engine, const struct sim_engine_job *job, int64_t t_ns)
{
    return engine->kind == SCENARIO_BATCH ? batch_add(&engine->u.batch, job, t_ns)
                                          : sharing_add(&engine->u.sharing, job, t_ns);
}

void sim_engine_remove(struct sim_engine *engine, uint32_t request, int64_t t_ns)
{
    if (engine->kind == SCENARIO_BATCH) {
        batch_remove(&engine->u.batch, request, t_ns);
    } else {
        sharing_remove(&engine->u.sharing, request, t_ns);
    }
}

void sim_engine_clear(struct sim_engine *engine)
{
    if (engine->kind == SCENARIO_BATCH) {
        batch_clear(&engine->u.batch);
    } else {
        sharing_clear(&engine->u.sharing);
    }
}

int64_t sim_engine_next_ns(const struct sim_engine *engine)
{
    return engine->kind == SCENARIO_BATCH ? batch_next_ns(&engine->u.batch)
                                          : sharing_next_ns(&engine->u.sharing);
}

bool sim_engine_take(struct sim_engine *engine, int64_t t_ns, enum sim_engine_event *ret_event,
                     uint32_t *ret_request)
{
    return engine->kind == SCENARIO_BATCH
               ? batch_take(&engine->u.batch, t_ns, ret_event, ret_request)
               : sharing_take(&engine->u.sharing, t_ns, ret_event, ret_request);
}
