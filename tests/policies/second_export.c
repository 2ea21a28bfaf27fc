/* Exports more than its entry. */
#include <shunt/shunt.h>

SHUNT_EXPORT extern int shunt_second;
int shunt_second = 1;

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("second_export", "1.0.0", "MIT", "Refused.", 0, 0, .ops = &ops);
