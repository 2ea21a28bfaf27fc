/* Built for ABI 2. */
#include <shunt/shunt.h>

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_NOTE_(
    "id=wrong_major\nversion=1.0.0\nlicence=MIT\nsummary=Refused.\nabi_major=2\nabi_minor=0\n"
    "abi_minor_min=0\nstate_schema=0\n");
SHUNT_EXPORT extern const struct shunt_plugin shunt_plugin_v1;
const struct shunt_plugin shunt_plugin_v1 = {.magic = SHUNT_PLUGIN_MAGIC,
                                             .size = sizeof(struct shunt_plugin),
                                             .abi_major = 2,
                                             .abi_minor = 0,
                                             .abi_minor_min = 0,
                                             .determinism = SHUNT_DETERMINISM_SDK_MATH,
                                             .id = "wrong_major",
                                             .version = "1.0.0",
                                             .licence = "MIT",
                                             .summary = "Refused.",
                                             .ops = &ops};
