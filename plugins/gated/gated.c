/*
 * gated: a visit serves what was waiting when it began, and nothing that came later; then the next
 * model that waits gets the device, in cyclic order.
 *
 * Between exhaustive and first come, first served: a burst at the resident model cannot hold the
 * device for longer than the work that lay there at the start. Alone on the device, a model's visit
 * simply follows its visit, at no cost.
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
    /* next may be the visit's own model, with what came after the gate: that fits at once. */
    if (shunt_turn_has_work(&turn) && !(ask->why & SHUNT_WHY_VISIT_CAP) &&
        !shunt_fits_beside(ask, next)) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    decision->flags = SHUNT_DECISION_GATED;
    return shunt_switch_to(decision, next, SHUNT_REASON_QUANTUM);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("gated", "1.0.0", "MIT",
                    "Serve what waited when the visit began, then the next model in turn.", 0, 0,
                    .ops = &ops);
