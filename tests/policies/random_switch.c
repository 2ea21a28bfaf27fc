/* Legal answers chosen at random, keyed by the question, so that runs repeat. */
#include <shunt/shunt.h>

static int create(const struct shunt_host *host, const struct shunt_params *params, void **ret_self)
{
    (void)params;
    const struct shunt_host **self = host->alloc(host, sizeof(const struct shunt_host *));
    if (!self) {
        return -1;
    }
    *self = host;
    *ret_self = self;
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct shunt_host *host = *(const struct shunt_host **)self;
    struct shunt_decision *decision = &answer->decisions[0];
    uint64_t dice = host->random_u64(host, ask->device, ask->id);
    uint32_t models = shunt_model_count(ask->snapshot);
    decision->quantum_requests = dice >> 8 & 7;
    decision->quantum_ns = (int64_t)(dice >> 16 & 3) * 1000000000;
    decision->min_residence_ns = (int64_t)(dice >> 20 & 3) * 1000000000;
    decision->drain = (uint32_t)(dice >> 24 & 1) + SHUNT_DRAIN_FINISH;
    decision->recheck_at_ns =
        dice >> 32 & 1 ? ask->now_ns + (int64_t)(dice >> 40 & 0xff) * 10000000 : 0;
    decision->flags = dice >> 33 & 1 ? SHUNT_DECISION_GATED : 0;
    decision->propensity = 0.25;
    switch (dice & 3) {
    case 0:
        return shunt_stay(decision, SHUNT_REASON_CUSTOM);
    case 1:
        return shunt_linger(decision, ask->now_ns + (int64_t)(dice >> 48) * 1000000,
                            SHUNT_REASON_CUSTOM);
    case 2:
        decision->action = SHUNT_NO_OPINION;
        return 0;
    default:
        return models == 0
                   ? shunt_stay(decision, SHUNT_REASON_NONE)
                   : shunt_switch_to(decision, (uint32_t)(dice >> 4) % models, SHUNT_REASON_CUSTOM);
    }
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .create = create, .decide = decide};

SHUNT_POLICY_DEFINE("random_switch", "1.0.0", "MIT", "Random legal answers.", 0, 0, .ops = &ops);
