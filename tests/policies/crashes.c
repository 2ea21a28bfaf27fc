/* Writes through a null pointer when it is asked. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    volatile int *nowhere = self;
    (void)ask;
    *nowhere = 1;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("crashes", "1.0.0", "MIT", "Crash when asked.", 0, 0, .ops = &ops);
