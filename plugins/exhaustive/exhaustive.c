/*
 * exhaustive: a visit ends when its queue is empty and nothing is in flight; then the next model
 * that waits gets the device, in cyclic order. The textbook's polling server, but for one thing: it
 * does not rove over empty queues; with nobody waiting it stays where it is.
 *
 * It wastes no switch on a model that still has work, so it is stable whenever anything is. The
 * price is that a model whose queue never empties keeps the device until the host's guard acts.
 */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    struct shunt_decision *decision = &answer->decisions[0];
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t next = shunt_pick(ask, &turn, SHUNT_PICK_CYCLIC);
    if (next == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (shunt_turn_has_work(&turn) && !(ask->why & SHUNT_WHY_VISIT_CAP) &&
        !shunt_fits_beside(ask, next)) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    return shunt_switch_to(decision, next, SHUNT_REASON_QUEUE_EMPTY);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("exhaustive", "1.0.0", "MIT",
                    "Serve a model until its queue is empty, then the next one in turn.", 0, 0,
                    .ops = &ops);
