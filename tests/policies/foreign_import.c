/* Calls what a policy may not call. */
#include <shunt/shunt.h>

#include <unistd.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], (uint32_t)getpid());
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("foreign_import", "1.0.0", "MIT", "Refused.", 0, 0, .ops = &ops);
