/* A parameter whose default is out of its range. */
#include <shunt/shunt.h>

static const struct shunt_param_info params[] = {
    SHUNT_DECLARE_INT(1, "limit", 0, 11, 0, 10, "", "Out of range."),
};

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("bad_parameters", "1.0.0", "MIT", "Refused.", 0, 0, .ops = &ops,
                    .params = params, .param_count = 1);
