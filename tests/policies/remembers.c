/* Keeps a count in static memory, over the end of an instance: its answers do not repeat. */
#include <shunt/shunt.h>

static uint32_t asked;

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_CUSTOM + asked++);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("remembers", "1.0.0", "MIT", "Remember other lives.", 0, 0, .ops = &ops);
