/*
 * my_policy: the longest queue is served, for at least `turn` seconds at a time.
 *
 * Say here what the rule is, what it is good for, and where it is weak. This one starves short
 * queues; only the host's guard saves them.
 */
#include <shunt/shunt.h>

enum { TURN, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_DURATION(1, "turn", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 20, 0, 3600,
                           "Shortest stay of a model while it has work. Higher: fewer switches, "
                           "longer waits for the others."),
};

struct my_policy {
    int64_t turn_ns;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct my_policy *it = self;
    it->turn_ns = shunt_param_integer(set, TURN, 0);
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, sizeof(struct my_policy));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct my_policy *it = self;
    const struct shunt_snapshot *snapshot = ask->snapshot;
    struct shunt_decision *decision = &answer->decisions[0];
    const uint32_t *queue = shunt_u32(snapshot, SHUNT_COL_QUEUE_LEN);
    const int64_t *first = shunt_i64(snapshot, SHUNT_COL_VISIT_FIRST_DISPATCH_NS);
    const uint32_t *here = shunt_u32(snapshot, SHUNT_COL_DEVICE_MODEL);
    if (!queue || !first || !here) {
        return shunt_stay(decision, SHUNT_REASON_NONE); /* a host without these columns */
    }

    uint32_t longest = SHUNT_NONE;
    for (uint32_t i = 0; i < shunt_model_count(snapshot); i++) {
        if (shunt_waits_for(snapshot, i, ask->device) &&
            (longest == SHUNT_NONE || queue[i] > queue[longest])) {
            longest = i;
        }
    }
    if (longest == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    uint32_t model = here[ask->device];
    int64_t turn_end_ns = first[ask->device] + it->turn_ns;
    if (model != SHUNT_NONE && queue[model] > 0 && ask->now_ns < turn_end_ns) {
        decision->recheck_at_ns = turn_end_ns;
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    return shunt_switch_to(decision, longest, SHUNT_REASON_LONGEST_QUEUE);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("my_policy", "0.1.0", "MIT", "Serve the longest queue, a turn at a time.", 0, 0,
                    .ops = &ops, .params = params, .param_count = PARAM_COUNT);
