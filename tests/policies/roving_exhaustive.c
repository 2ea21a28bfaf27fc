/* Cyclic polling, exhaustive: serves a model until its queue is empty, then goes to the next one,
 * empty queues included. For validation against the closed forms of polling theory. */
#include "roving.h"

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    uint32_t next = roving_next(ask);
    if (next == SHUNT_NONE) {
        return shunt_stay(&answer->decisions[0], SHUNT_REASON_WITHIN_QUANTUM);
    }
    return shunt_switch_to(&answer->decisions[0], next, SHUNT_REASON_QUEUE_EMPTY);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("roving_exhaustive", "1.0.0", "MIT",
                    "Cyclic over all queues, each served until it is empty.", 0, 0, .ops = &ops);
