/*
 * longest_queue: a visit ends when its queue is empty and nothing is in flight; then the model with
 * most requests waiting gets the device, once at least `threshold` of them wait.
 *
 * Going where most wait spreads the cost of the switch over most requests, which is what makes it
 * good on average and unkind to models that are rarely asked for.
 */
#include <shunt/shunt.h>

enum { THRESHOLD, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_INT(1, "threshold", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 1, 1, 10000, "requests",
                      "Requests that must wait for a model before an idle device goes to it. "
                      "Higher: fewer switches under light load, longer waits there."),
};

struct longest_queue {
    int64_t threshold;
};

static void param_set(void *self, const struct shunt_params *set)
{
    ((struct longest_queue *)self)->threshold = shunt_param_integer(set, THRESHOLD, 0);
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, sizeof(struct longest_queue));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct longest_queue *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t next = shunt_pick(ask, &turn, SHUNT_PICK_LONGEST_QUEUE);
    for (uint32_t i = 0; queued && i < shunt_model_count(ask->snapshot) && i < answer->score_count;
         i++) {
        answer->scores[i] = queued[i];
    }
    if (next == SHUNT_NONE || !queued) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (ask->why & SHUNT_WHY_VISIT_CAP || shunt_fits_beside(ask, next)) {
        return shunt_switch_to(decision, next, SHUNT_REASON_LONGEST_QUEUE);
    }
    if (shunt_turn_has_work(&turn)) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    if (queued[next] < it->threshold) {
        return shunt_stay(decision, SHUNT_REASON_BATCH_UP);
    }
    return shunt_switch_to(decision, next, SHUNT_REASON_LONGEST_QUEUE);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("longest_queue", "1.0.0", "MIT",
                    "Serve a model until its queue is empty, then the one with most waiting.", 0, 0,
                    .ops = &ops, .params = params, .param_count = PARAM_COUNT);
