/* Thread-local storage. */
#include <shunt/shunt.h>

static _Thread_local int calls;

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    calls++;
    (void)ask;
    return shunt_stay(&answer->decisions[0], (uint32_t)calls);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("thread_local_storage", "1.0.0", "MIT", "Refused.", 0, 0, .ops = &ops);
