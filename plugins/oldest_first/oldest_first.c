/*
 * oldest_first: a visit ends when its queue is empty, or when the oldest request of another model
 * has waited for `stale` and the visit's own have not waited as long; then the model with the
 * oldest waiting request gets the device.
 *
 * With stale at 0 this is first come, first served; without a limit (the default) it is exhaustive
 * service with a fair order of visits. In between lies a trap that is worth seeing: under backlog
 * every request is older than any fixed age, and the rule turns into first come, first served just
 * when switching is least affordable.
 */
#include <shunt/shunt.h>

enum { STALE, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_DURATION(1, "stale", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 86400, 0, 86400,
                           "Wait after which a request of another model ends the visit, if the "
                           "visit's own head is younger. A day, the default, is as good as never."),
};

struct oldest_first {
    int64_t stale_ns;
};

static void param_set(void *self, const struct shunt_params *set)
{
    ((struct oldest_first *)self)->stale_ns = shunt_param_integer(set, STALE, 0);
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, sizeof(struct oldest_first));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct oldest_first *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t next = shunt_pick(ask, &turn, SHUNT_PICK_OLDEST);
    if (next == SHUNT_NONE || !head) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (!shunt_turn_has_work(&turn) || ask->why & SHUNT_WHY_VISIT_CAP ||
        shunt_fits_beside(ask, next)) {
        return shunt_switch_to(decision, next, SHUNT_REASON_OLDEST);
    }
    int64_t stale_at_ns = head[next] + it->stale_ns;
    if (ask->now_ns >= stale_at_ns && head[next] < head[turn.model]) {
        return shunt_switch_to(decision, next, SHUNT_REASON_STALE);
    }
    if (stale_at_ns > ask->now_ns) {
        decision->recheck_at_ns = stale_at_ns;
    }
    return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("oldest_first", "1.0.0", "MIT",
                    "Serve a model until its queue is empty, then the one whose request is oldest.",
                    0, 0, .ops = &ops, .params = params, .param_count = PARAM_COUNT);
