/* Needs an extension that no host offers. */
#include <shunt/shunt.h>

static const char *const needed[] = {"org.example.telepathy/1"};

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("extension_missing", "1.0.0", "MIT", "Refused.", 0, 0, .ops = &ops,
                    .requires_extensions = needed, .requires_count = 1);
