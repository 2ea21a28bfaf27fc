/* Never leaves a model: whatever is served beside it, the guard serves. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("always_stay", "1.0.0", "MIT", "Stay for ever.", 0, 0, .ops = &ops);
