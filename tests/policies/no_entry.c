/* A note, but no entry. */
#include <shunt/shunt.h>

SHUNT_NOTE_("id=no_entry\nversion=1.0.0\nlicence=MIT\nsummary=Refused.\nabi_major=1\nabi_minor=0\n"
            "abi_minor_min=0\nstate_schema=0\n");
SHUNT_EXPORT extern const int shunt_plugin_v2;
const int shunt_plugin_v2 = 2;
