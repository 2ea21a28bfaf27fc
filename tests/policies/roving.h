/*
 * The walk that the roving_* policies share: in index order and round again, whether anybody waits
 * or not, as the server of a cyclic polling system does. They differ in when a visit closes, and
 * that is a property of the visit which the core keeps: its gate, its quantum.
 *
 * For devices whose models are all loadable; a model that cannot be had stops the walk.
 */
#ifndef TESTS_POLICIES_ROVING_H
#define TESTS_POLICIES_ROVING_H

#include <shunt/shunt.h>

/*
 * Where to go now, or SHUNT_NONE to stay. A visit is over when the queue is empty and the last
 * request served, or as soon as the model waits although it is here, because the gate or the
 * quantum has closed it: the device then leaves when what is in flight has ended.
 */
static inline uint32_t roving_next(const struct shunt_ask *ask)
{
    const uint32_t *resident = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_MODEL);
    const uint32_t *target = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_TARGET);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const uint32_t *in_flight = shunt_u32(ask->snapshot, SHUNT_COL_IN_FLIGHT);
    const uint32_t *waiting = shunt_u32(ask->snapshot, SHUNT_COL_WAITING);
    uint32_t models = shunt_model_count(ask->snapshot);
    if (!resident || !target || !queued || !in_flight || !waiting) {
        return SHUNT_NONE;
    }
    uint32_t here = resident[ask->device];
    if (target[ask->device] < models) {
        return target[ask->device]; /* decided before, and still draining */
    }
    if (here >= models) {
        return 0;
    }
    if (waiting[here] || (queued[here] == 0 && in_flight[here] == 0)) {
        return (here + 1) % models;
    }
    return SHUNT_NONE;
}

#endif
