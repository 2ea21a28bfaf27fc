/* Leaves at every question for the next waiting model in index order: as many switches as the host
 * allows. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    const uint32_t *here = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_MODEL);
    uint32_t models = shunt_model_count(ask->snapshot);
    uint32_t resident = here && here[ask->device] < models ? here[ask->device] : 0;
    for (uint32_t i = 1; i <= models; i++) {
        uint32_t model = (resident + i) % models;
        if (shunt_waits_for(ask->snapshot, model, ask->device)) {
            return shunt_switch_to(&answer->decisions[0], model, SHUNT_REASON_CUSTOM);
        }
    }
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NOTHING_WAITS);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("always_switch", "1.0.0", "MIT", "Leave at every question.", 0, 0, .ops = &ops);
