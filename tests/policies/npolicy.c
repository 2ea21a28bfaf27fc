/*
 * The N-policy of a server that sleeps: serves model 0 until its queue is empty, then leaves for
 * model 1, to which nobody sends anything, and comes back when n requests wait. With n = 1 this is
 * a sleep mode. The costs of the two switches are the set-up and shut-down of that server.
 */
#include <shunt/shunt.h>

enum { N, PATIENCE, PARAM_COUNT };
enum { WORK = 0, REST = 1 }; /* models */

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_INT(1, "n", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 1, 1, 1000000, "requests",
                      "Requests that have to wait before the device wakes for them."),
    SHUNT_DECLARE_DURATION(2, "patience", SHUNT_PARAM_LIVE, 3600, 0, 1e8,
                           "Longest wait for company: so that the last requests of all, fewer "
                           "than n, are served too."),
};

static void param_set(void *self, const struct shunt_params *set)
{
    for (uint32_t i = 0; i < PARAM_COUNT; i++) {
        ((int64_t *)self)[i] = shunt_param_integer(set, i, 0);
    }
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, PARAM_COUNT * sizeof(int64_t));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const int64_t *value = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const uint32_t *resident = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_MODEL);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const uint32_t *in_flight = shunt_u32(ask->snapshot, SHUNT_COL_IN_FLIGHT);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    if (!resident || !queued || !in_flight || !head || shunt_model_count(ask->snapshot) != 2) {
        return shunt_stay(decision, SHUNT_REASON_NONE);
    }
    if (resident[ask->device] == WORK) {
        return queued[WORK] == 0 && in_flight[WORK] == 0
                   ? shunt_switch_to(decision, REST, SHUNT_REASON_QUEUE_EMPTY)
                   : shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    if (queued[WORK] == 0) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (queued[WORK] < value[N] && ask->now_ns - head[WORK] < value[PATIENCE]) {
        decision->recheck_at_ns = head[WORK] + value[PATIENCE];
        return shunt_stay(decision, SHUNT_REASON_BATCH_UP);
    }
    return shunt_switch_to(decision, WORK, SHUNT_REASON_LONGEST_QUEUE);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("npolicy", "1.0.0", "MIT",
                    "Rest at model 1 when nothing waits for model 0, return when n requests do.", 0,
                    0, .ops = &ops, .params = params, .param_count = PARAM_COUNT);
