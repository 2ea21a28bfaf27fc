/* Fails at every question: the built-in answers. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    (void)answer;
    return -1;
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("decide_fails", "1.0.0", "MIT", "Fail at every question.", 0, 0, .ops = &ops);
