/* Fails when told of the models: the host takes it out of its slot. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static int models_changed(void *self, const struct shunt_snapshot *snapshot)
{
    (void)self;
    (void)snapshot;
    return -1;
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .models_changed = models_changed, .decide = decide};

SHUNT_POLICY_DEFINE("layout_fails", "1.0.0", "MIT", "Fail when told of the models.", 0, 0,
                    .ops = &ops);
