/*
 * What most policies look at first: who has the device now, and who of those that wait would be
 * next by one of the classical orders. All of it can be written with the columns alone; here it is
 * written once.
 */
#ifndef SHUNT_PICK_H
#define SHUNT_PICK_H

#include <shunt/policy.h>

/* The visit that lasts on the device of an ask. */
struct shunt_turn {
    uint32_t model;     /* SHUNT_NONE: the device is empty */
    uint32_t instance;  /* its placement there; SHUNT_NONE with model */
    uint32_t queued;    /* requests of it that wait */
    uint32_t in_flight; /* requests of it that are served there */
    uint32_t waits;     /* 1: it is resident but not admitted (quantum used, gate passed) */
    uint32_t target;    /* model that a decided switch brings in; SHUNT_NONE if none */
    uint64_t served;    /* dispatches of the visit */
};

static inline struct shunt_turn shunt_find_turn(const struct shunt_ask *ask)
{
    const struct shunt_snapshot *snapshot = ask->snapshot;
    const uint32_t *models = shunt_u32(snapshot, SHUNT_COL_DEVICE_MODEL);
    const uint32_t *targets = shunt_u32(snapshot, SHUNT_COL_DEVICE_TARGET);
    const uint32_t *queued = shunt_u32(snapshot, SHUNT_COL_QUEUE_LEN);
    const uint32_t *waiting = shunt_u32(snapshot, SHUNT_COL_WAITING);
    const uint32_t *in_flight = shunt_u32(snapshot, SHUNT_COL_INSTANCE_IN_FLIGHT);
    const uint64_t *served = shunt_u64(snapshot, SHUNT_COL_VISIT_SERVED);
    struct shunt_turn turn = {SHUNT_NONE, SHUNT_NONE, 0, 0, 0, SHUNT_NONE, 0};
    if (targets) {
        turn.target = targets[ask->device];
    }
    if (!models || models[ask->device] >= shunt_model_count(snapshot)) {
        return turn;
    }
    turn.instance = shunt_instance_on(snapshot, models[ask->device], ask->device);
    if (turn.instance == SHUNT_NONE) {
        return turn;
    }
    turn.model = models[ask->device];
    turn.queued = queued ? queued[turn.model] : 0;
    turn.waits = waiting ? waiting[turn.model] : 0;
    turn.in_flight = in_flight ? in_flight[turn.instance] : 0;
    turn.served = served ? served[ask->device] : 0;
    return turn;
}

/* 1 while the visit has something that it may still do: work in flight, or a queue that it admits.
 */
static inline int shunt_turn_has_work(const struct shunt_turn *turn)
{
    return turn->in_flight > 0 || (turn->queued > 0 && !turn->waits);
}

/* The orders of shunt_pick. */
enum {
    SHUNT_PICK_CYCLIC = 0,        /* the next index after the visit's model */
    SHUNT_PICK_OLDEST = 1,        /* the oldest head */
    SHUNT_PICK_LONGEST_QUEUE = 2, /* most requests waiting */
    SHUNT_PICK_UNVISITED = 3      /* its latest visit began the longest ago */
};

/*
 * The first of those that wait and that a switch on ask->device could serve, in the given order;
 * SHUNT_NONE if none does. Ties go to the longest unvisited, then to the lower index. A model that
 * is resident but not admitted waits too, so the answer may be turn->model: switching to it costs
 * nothing and begins a new visit.
 */
static inline uint32_t shunt_pick(const struct shunt_ask *ask, const struct shunt_turn *turn,
                                  uint32_t order)
{
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    const int64_t *visited = shunt_i64(ask->snapshot, SHUNT_COL_LAST_VISIT_NS);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    uint32_t models = visited && head && queued ? shunt_model_count(ask->snapshot) : 0;
    uint32_t first = turn->model < models ? turn->model + 1 : 0;
    uint32_t best = SHUNT_NONE;
    for (uint32_t step = 0; step < models; step++) {
        uint32_t i = order == SHUNT_PICK_CYCLIC ? (first + step) % models : step;
        if (!shunt_waits(&waiters, i)) {
            continue;
        }
        if (order == SHUNT_PICK_CYCLIC) {
            return i;
        }
        int better = best == SHUNT_NONE;
        int equal = 1;
        if (!better && order == SHUNT_PICK_OLDEST) {
            better = head[i] < head[best];
            equal = head[i] == head[best];
        } else if (!better && order == SHUNT_PICK_LONGEST_QUEUE) {
            better = queued[i] > queued[best];
            equal = queued[i] == queued[best];
        }
        if (better || (equal && best != SHUNT_NONE && visited[i] < visited[best])) {
            best = i;
        }
    }
    return best;
}

/*
 * 1 if bringing `model` in on ask->device needs no victim: it is resident there already, or the
 * free memory suffices. Such a switch takes nothing from anybody, so a policy that stays for
 * others' sake need not refuse it.
 */
static inline int shunt_fits_beside(const struct shunt_ask *ask, uint32_t model)
{
    const struct shunt_snapshot *snapshot = ask->snapshot;
    const int64_t *free_bytes = shunt_i64(snapshot, SHUNT_COL_DEVICE_FREE_BYTES);
    const int64_t *bytes = shunt_i64(snapshot, SHUNT_COL_DEVICE_BYTES);
    const uint32_t *tiers = shunt_u32(snapshot, SHUNT_COL_INSTANCE_TIER);
    uint32_t instance = shunt_instance_on(snapshot, model, ask->device);
    if (instance == SHUNT_NONE || !free_bytes || !bytes || !tiers) {
        return 0;
    }
    if (tiers[instance] == SHUNT_TIER_RESIDENT) {
        return 1;
    }
    const int64_t *row = bytes + (size_t)instance * SHUNT_TIER_COUNT;
    int64_t held = tiers[instance] < SHUNT_TIER_COUNT ? row[tiers[instance]] : 0;
    return row[SHUNT_TIER_RESIDENT] - (held > 0 ? held : 0) <= free_bytes[ask->device];
}

#endif
