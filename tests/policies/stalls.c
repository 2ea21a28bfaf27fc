/* Never answers: holds the thread that asked. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    volatile uint64_t turns = 0;
    (void)self;
    (void)ask;
    for (;;) {
        turns = turns + 1;
        if (turns == 0) {
            return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
        }
    }
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("stalls", "1.0.0", "MIT", "Never answer.", 0, 0, .ops = &ops);
