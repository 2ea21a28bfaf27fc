/* Cyclic polling, k-limited: serves at most k requests in a visit, then goes to the next model,
 * empty queues included. For validation against the closed forms of polling theory. */
#include "roving.h"

enum { K, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_INT(1, "k", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 1, 1, 1000000, "requests",
                      "Most requests that one visit serves."),
};

static void param_set(void *self, const struct shunt_params *set)
{
    *(int64_t *)self = shunt_param_integer(set, K, 0);
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, sizeof(int64_t));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const int64_t *k = self;
    struct shunt_decision *decision = &answer->decisions[0];
    uint32_t next = roving_next(ask);
    /* Of the visit that begins, or of the present one: a "stay" without it would lift it. */
    decision->quantum_requests = (uint64_t)*k;
    if (next == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    return shunt_switch_to(decision, next, SHUNT_REASON_QUANTUM);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("roving_klimited", "1.0.0", "MIT",
                    "Cyclic over all queues, each served at most k requests a visit.", 0, 0,
                    .ops = &ops, .params = params, .param_count = PARAM_COUNT);
