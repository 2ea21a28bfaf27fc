/*
 * llmux_time_slice: the rule that llmux 0.4 to 0.9 called time_slice, for comparison, with its
 * defaults.
 *
 *   On an arrival for another model: switch if that model's oldest request has waited for max_wait,
 *   or if nothing has the device; else do nothing.
 *   Every tick: if the model has had the device for min_active and has neither queue nor work in
 *   flight, switch to the model with the deepest queue.
 *
 * Its hole is kept: age is looked at only when a request arrives for the model in question. One
 * lone request behind a busy model waits until that model drains. The original breaks ties between
 * equally deep queues in the order of a hash table; here the lower index wins.
 */
#include <shunt/shunt.h>

enum { TICK, MAX_WAIT, MIN_ACTIVE, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_DURATION(1, "tick", 0, 0.5, 0.001, 60, "Time between two looks at the queues."),
    SHUNT_DECLARE_DURATION(2, "max_wait", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 15, 0, 86400,
                           "Wait of the oldest request at which the arrival of another switches."),
    SHUNT_DECLARE_DURATION(3, "min_active", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 5, 0, 600,
                           "Shortest time that a model has the device."),
};

struct time_slice {
    const struct shunt_host *host;
    int64_t tick_ns, max_wait_ns, min_active_ns;
    uint32_t arrived; /* model of the latest arrival since the last ask; SHUNT_NONE */
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct time_slice *it = self;
    it->tick_ns = shunt_param_integer(set, TICK, 0);
    it->max_wait_ns = shunt_param_integer(set, MAX_WAIT, 0);
    it->min_active_ns = shunt_param_integer(set, MIN_ACTIVE, 0);
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct time_slice *it = host->alloc(host, sizeof *it);
    if (!it) {
        return -1;
    }
    it->host = host;
    it->arrived = SHUNT_NONE;
    param_set(it, set);
    *ret_self = it;
    return 0;
}

static int models_changed(void *self, const struct shunt_snapshot *snapshot)
{
    struct time_slice *it = self;
    (void)snapshot;
    it->arrived = SHUNT_NONE;
    return it->host->tick_set(it->host, it->tick_ns) == 0 ? 0 : -1;
}

static void on_arrival(void *self, const struct shunt_request_event *event)
{
    ((struct time_slice *)self)->arrived = event->model;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    struct time_slice *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const int64_t *since = shunt_i64(ask->snapshot, SHUNT_COL_VISIT_START_NS);
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t arrived = it->arrived;
    it->arrived = SHUNT_NONE;
    if (!head || !queued || !since) {
        return shunt_stay(decision, SHUNT_REASON_NONE);
    }
    if (turn.target < shunt_model_count(ask->snapshot) && shunt_waits(&waiters, turn.target)) {
        return shunt_switch_to(decision, turn.target, SHUNT_REASON_HYSTERESIS);
    }
    if (arrived < shunt_model_count(ask->snapshot) && arrived != turn.model &&
        shunt_waits(&waiters, arrived) &&
        (turn.model == SHUNT_NONE || ask->now_ns - head[arrived] >= it->max_wait_ns)) {
        return shunt_switch_to(decision, arrived, SHUNT_REASON_STALE);
    }
    if (!(ask->why & SHUNT_WHY_TICK) || turn.queued > 0 || turn.in_flight > 0 ||
        (turn.model != SHUNT_NONE && ask->now_ns - since[ask->device] < it->min_active_ns)) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    uint32_t deepest = SHUNT_NONE;
    for (uint32_t i = 0; i < shunt_model_count(ask->snapshot); i++) {
        if (shunt_waits(&waiters, i) && (deepest == SHUNT_NONE || queued[i] > queued[deepest])) {
            deepest = i;
        }
    }
    if (deepest == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    return shunt_switch_to(decision, deepest, SHUNT_REASON_LONGEST_QUEUE);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .models_changed = models_changed,
    .on_arrival = on_arrival,
    .decide = decide,
    .param_set = param_set,
};

SHUNT_POLICY_DEFINE("llmux_time_slice", "1.0.0", "MIT",
                    "The time_slice rule of llmux 0.4 to 0.9, for comparison.", 0, 0, .ops = &ops,
                    .params = params, .param_count = PARAM_COUNT);
