/* No decide function. */
#include <shunt/shunt.h>

static const struct shunt_policy_ops ops = {.size = sizeof ops};

SHUNT_POLICY_DEFINE("no_decide", "1.0.0", "MIT", "Refused.", 0, 0, .ops = &ops);
