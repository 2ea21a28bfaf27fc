/* Runs code when it is unloaded. */
#include <shunt/shunt.h>

static volatile int gone;

__attribute__((destructor)) static void mark(void)
{
    gone = 1;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("destructor", "1.0.0", "MIT", "Refused.", 0, 0, .ops = &ops);
