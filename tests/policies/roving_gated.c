/* Cyclic polling, gated: serves what was there when the visit began, then goes to the next model,
 * empty queues included. For validation against the closed forms of polling theory. */
#include "roving.h"

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    uint32_t next = roving_next(ask);
    if (next == SHUNT_NONE) {
        return shunt_stay(&answer->decisions[0], SHUNT_REASON_WITHIN_QUANTUM);
    }
    answer->decisions[0].flags = SHUNT_DECISION_GATED;
    return shunt_switch_to(&answer->decisions[0], next, SHUNT_REASON_QUEUE_EMPTY);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("roving_gated", "1.0.0", "MIT",
                    "Cyclic over all queues, each served what waited when its visit began.", 0, 0,
                    .ops = &ops);
