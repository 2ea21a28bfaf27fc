/* Note and entry differ in the version. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_NOTE_(
    "id=note_differs\nversion=1.0.0\nlicence=MIT\nsummary=Refused.\nabi_major=1\nabi_minor=0\n"
    "abi_minor_min=0\nstate_schema=0\n");
SHUNT_EXPORT extern const struct shunt_plugin shunt_plugin_v1;
const struct shunt_plugin shunt_plugin_v1 = {.magic = SHUNT_PLUGIN_MAGIC,
                                             .size = sizeof(struct shunt_plugin),
                                             .abi_major = 1,
                                             .abi_minor = 0,
                                             .abi_minor_min = 0,
                                             .determinism = SHUNT_DETERMINISM_SDK_MATH,
                                             .id = "note_differs",
                                             .version = "1.0.1",
                                             .licence = "MIT",
                                             .summary = "Refused.",
                                             .ops = &ops};
