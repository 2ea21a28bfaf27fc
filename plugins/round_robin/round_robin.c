/*
 * round_robin: a visit lasts for `quantum` from its first dispatch while others wait, or until it
 * has nothing more to do; then the next model that waits gets the device, in cyclic order.
 *
 * Time slicing as operating systems do it, with the difference that a switch here takes seconds:
 * the quantum must be many times the dearest switch. Nobody waits for more than
 * (N-1)(quantum + D) + N C between visits.
 */
#include <shunt/shunt.h>

enum { QUANTUM, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_DURATION(
        1, "quantum", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE | SHUNT_PARAM_LOG_SCALE, 60, 0.01, 86400,
        "Length of a visit while others wait. Lower: shorter turns, a "
        "larger share of time spent switching."),
};

struct round_robin {
    int64_t quantum_ns;
};

static void param_set(void *self, const struct shunt_params *set)
{
    ((struct round_robin *)self)->quantum_ns = shunt_param_integer(set, QUANTUM, 0);
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, sizeof(struct round_robin));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct round_robin *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const int64_t *first = shunt_i64(ask->snapshot, SHUNT_COL_VISIT_FIRST_DISPATCH_NS);
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t next = shunt_pick(ask, &turn, SHUNT_PICK_CYCLIC);
    if (next == SHUNT_NONE || next == turn.model) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    int64_t end_ns = first && first[ask->device] ? first[ask->device] + it->quantum_ns : 0;
    if (shunt_turn_has_work(&turn) && (end_ns == 0 || ask->now_ns < end_ns) &&
        !(ask->why & SHUNT_WHY_VISIT_CAP) && !shunt_fits_beside(ask, next)) {
        decision->recheck_at_ns = end_ns;
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    return shunt_switch_to(decision, next,
                           shunt_turn_has_work(&turn) ? SHUNT_REASON_QUANTUM
                                                      : SHUNT_REASON_QUEUE_EMPTY);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("round_robin", "1.0.0", "MIT",
                    "Serve a model for a quantum of time, then the next one in turn.", 0, 0,
                    .ops = &ops, .params = params, .param_count = PARAM_COUNT);
