/* Answers that no validation may let through: every field anything, sizes and pointers apart. */
#include <shunt/shunt.h>

struct garbage {
    const struct shunt_host *host;
    uint64_t draws;
};

static int create(const struct shunt_host *host, const struct shunt_params *params, void **ret_self)
{
    (void)params;
    struct garbage *self = host->alloc(host, sizeof *self);
    if (!self) {
        return -1;
    }
    self->host = host;
    *ret_self = self;
    return 0;
}

/* Mostly small numbers and the extremes, where mistakes live. */
static uint64_t any(struct garbage *self)
{
    uint64_t dice = self->host->random_u64(self->host, 0, self->draws++);
    switch (dice & 7) {
    case 0:
        return UINT64_MAX;
    case 1:
        return (uint64_t)INT64_MAX;
    case 2:
        return (uint64_t)INT64_MIN;
    case 3:
        return dice;
    default:
        return dice >> 8 & 15;
    }
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)ask;
    struct garbage *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    static const double numbers[] = {
        0, -1, 0.5, 2, 1e308, -1e308, (double)__builtin_nanf(""), (double)__builtin_inff()};
    decision->action = (uint32_t)any(it);
    decision->device = (uint32_t)any(it);
    decision->model = (uint32_t)any(it);
    decision->instance = (uint32_t)any(it);
    decision->drain = (uint32_t)any(it);
    decision->flags = (uint32_t)any(it);
    decision->reason = (uint32_t)any(it);
    decision->generation = any(it);
    decision->linger_until_ns = (int64_t)any(it);
    decision->recheck_at_ns = (int64_t)any(it);
    decision->quantum_requests = any(it);
    decision->quantum_ns = (int64_t)any(it);
    decision->min_residence_ns = (int64_t)any(it);
    decision->propensity = numbers[any(it) & 7];
    decision->victim_count = (uint32_t)any(it);
    decision->secondary_count = (uint32_t)any(it);
    for (uint32_t i = 0; i < SHUNT_VICTIM_MAX; i++) {
        decision->victims[i].instance = (uint32_t)any(it);
        decision->victims[i].tier = (uint32_t)any(it);
    }
    for (uint32_t i = 0; i < SHUNT_SECONDARY_MAX; i++) {
        decision->secondary[i].kind = (uint32_t)any(it);
        decision->secondary[i].model = (uint32_t)any(it);
        decision->secondary[i].instance = (uint32_t)any(it);
        decision->secondary[i].tier = (uint32_t)any(it);
    }
    for (uint32_t i = 0; i < SHUNT_TEXT_MAX; i++) {
        decision->text[i] = (char)(any(it) & 0x7f);
    }
    for (uint32_t i = 0; i < answer->score_count; i++) {
        answer->scores[i] = numbers[any(it) & 7];
    }
    return 0;
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .create = create, .decide = decide};

SHUNT_POLICY_DEFINE("garbage_answers", "1.0.0", "MIT", "Answers without sense.", 0, 0, .ops = &ops);
