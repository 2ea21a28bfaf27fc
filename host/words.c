/* Words for numbers: see words.h. The order of each table is that of its enumeration. */
#include "host/words.h"

#include "core/core.h"

#include <stddef.h>

static const char *word(const char *const *table, size_t count, uint32_t value)
{
    return value < count ? table[value] : "other";
}

#define WORD(table, value) word(table, sizeof(table) / sizeof((table)[0]), value)

const char *words_outcome(uint32_t value)
{
    static const char *const table[] = {"completed", "cancelled", "expired",
                                        "failed",    "cut",       "rejected"};
    return WORD(table, value);
}

const char *words_reject(uint32_t value)
{
    static const char *const table[] = {"queue_full", "hopeless", "unavailable"};
    _Static_assert(sizeof table / sizeof table[0] == CORE_REJECT_COUNT, "a word for each");
    return WORD(table, value);
}

const char *words_device_state(uint32_t value)
{
    static const char *const table[] = {"idle", "serving", "draining", "switching", "lingering"};
    _Static_assert(sizeof table / sizeof table[0] == SHUNT_DEVICE_STATE_COUNT, "a word for each");
    return WORD(table, value);
}

const char *words_instance_state(uint32_t value)
{
    static const char *const table[] = {"stopped", "staged",   "discarded",  "suspended",
                                        "asleep",  "resident", "waking",     "draining",
                                        "leaving", "failed",   "quarantined"};
    _Static_assert(sizeof table / sizeof table[0] == SHUNT_INSTANCE_STATE_COUNT, "a word for each");
    return WORD(table, value);
}

const char *words_tier(uint32_t value)
{
    static const char *const table[] = {"stopped",   "staged", "discarded",
                                        "suspended", "asleep", "resident"};
    _Static_assert(sizeof table / sizeof table[0] == SHUNT_TIER_COUNT, "a word for each");
    return WORD(table, value);
}

const char *words_cause(uint32_t value)
{
    static const char *const table[] = {
        "policy", "forced_cap", "forced_overtake", "forced_age", "operator", "builtin", "host"};
    return WORD(table, value);
}

const char *words_action(uint32_t value)
{
    static const char *const table[] = {"stay", "linger", "switch", "no_opinion"};
    return WORD(table, value);
}

const char *words_reason(uint32_t value)
{
    static const char *const table[] = {
        "none",           "nothing_waits", "first_come",        "queue_empty",   "quantum",
        "within_quantum", "oldest",        "longest_unvisited", "longest_queue", "score",
        "stale",          "hysteresis",    "batch_up",          "return_home",   "predicted"};
    if (value >= SHUNT_REASON_CUSTOM) {
        return "custom";
    }
    return WORD(table, value);
}

const char *words_guard(uint32_t value)
{
    static const char *const table[] = {"forced_cap", "forced_overtake", "forced_age", "drain_cut",
                                        "clamped",    "stale",           "late",       "capped",
                                        "ask_limit",  "fault",           "secondary"};
    _Static_assert(sizeof table / sizeof table[0] == CORE_GUARD_KIND_COUNT, "a word for each");
    return WORD(table, value);
}

const char *words_verdict(uint32_t value)
{
    static const char *const table[] = {"applied", "clamped", "stale", "late",
                                        "fault",   "shadow",  "capped"};
    _Static_assert(sizeof table / sizeof table[0] == CORE_VERDICT_COUNT, "a word for each");
    return WORD(table, value);
}

const char *words_wait(uint32_t value)
{
    static const char *const table[] = {"queue",  "policy", "guard", "drain", "out",
                                        "memory", "retry",  "in",    "probe", "unavailable"};
    _Static_assert(sizeof table / sizeof table[0] == CORE_WAIT_COUNT, "a word for each");
    return WORD(table, value);
}

const char *words_why(uint32_t value)
{
    static const char *const table[] = {
        "arrival",     "queue_empty", "completion",    "quantum",     "min_residence", "visit_cap",
        "drain_ended", "switch_done", "switch_failed", "engine_lost", "engine_back",   "recheck",
        "tick",        "params",      "layout",        "selected",    "cancel"};
    return WORD(table, value);
}
