/* Cannot be created. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static int create(const struct shunt_host *host, const struct shunt_params *params, void **ret_self)
{
    (void)host;
    (void)params;
    (void)ret_self;
    return -7;
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .create = create, .decide = decide};

SHUNT_POLICY_DEFINE("create_fails", "1.0.0", "MIT", "Fail to be created.", 0, 0, .ops = &ops);
