/*
 * k_limited: a visit serves at most `k` requests, then the next model that waits gets the device,
 * in cyclic order. With nobody else waiting the visit goes on, k requests at a time.
 *
 * The bound on a model's gap is plain, (N-1) visits of k requests and N switches, and so is the
 * price: the device is stable only if each model's arrivals in a cycle stay below k, so with dear
 * switches k has to be large.
 */
#include <shunt/shunt.h>

enum { K, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_INT(1, "k", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE | SHUNT_PARAM_LOG_SCALE, 32, 1,
                      100000, "requests",
                      "Requests of a visit while others wait. Lower: shorter turns, more switches, "
                      "and unstable at lower loads."),
};

struct k_limited {
    uint64_t k;
};

static void param_set(void *self, const struct shunt_params *set)
{
    ((struct k_limited *)self)->k = (uint64_t)shunt_param_integer(set, K, 0);
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, sizeof(struct k_limited));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct k_limited *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t next = shunt_pick(ask, &turn, SHUNT_PICK_CYCLIC);
    if (next == SHUNT_NONE || next == turn.model) {
        /* Nobody else: k more from here on. The limit of a stay counts from the visit's start. */
        decision->quantum_requests = turn.served + it->k;
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    decision->quantum_requests = it->k;
    if (shunt_turn_has_work(&turn) && turn.served < it->k && !(ask->why & SHUNT_WHY_VISIT_CAP) &&
        !shunt_fits_beside(ask, next)) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    return shunt_switch_to(decision, next, SHUNT_REASON_QUANTUM);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("k_limited", "1.0.0", "MIT",
                    "Serve at most k requests of a model, then the next one in turn.", 0, 0,
                    .ops = &ops, .params = params, .param_count = PARAM_COUNT);
