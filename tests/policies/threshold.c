/*
 * Patient and exhaustive: stays with a model until its queue is empty, and on after that until n
 * requests wait elsewhere; then goes to the longest queue, of equally long ones to that whose model
 * has not been visited for the longest time.
 *
 * With two models and n = 1 close to the optimum of Markov decision theory, which is what it is
 * validated against. Like models get like waits only because of how ties are broken.
 */
#include <shunt/shunt.h>

enum { N, PATIENCE, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_INT(1, "n", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 1, 1, 1000000, "requests",
                      "Requests that have to wait elsewhere before an empty queue is left."),
    SHUNT_DECLARE_DURATION(2, "patience", SHUNT_PARAM_LIVE, 3600, 0, 1e8,
                           "Longest wait for company: so that the last requests of all, fewer "
                           "than n, are served too."),
};

static void param_set(void *self, const struct shunt_params *set)
{
    for (uint32_t i = 0; i < PARAM_COUNT; i++) {
        ((int64_t *)self)[i] = shunt_param_integer(set, i, 0);
    }
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, PARAM_COUNT * sizeof(int64_t));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const int64_t *value = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const uint32_t *resident = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_MODEL);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const uint32_t *in_flight = shunt_u32(ask->snapshot, SHUNT_COL_IN_FLIGHT);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    const int64_t *visited = shunt_i64(ask->snapshot, SHUNT_COL_LAST_VISIT_NS);
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    uint32_t models = shunt_model_count(ask->snapshot);
    if (!resident || !queued || !in_flight || !head || !visited) {
        return shunt_stay(decision, SHUNT_REASON_NONE);
    }
    uint32_t here = resident[ask->device];
    if (here < models && (queued[here] > 0 || in_flight[here] > 0)) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    uint32_t longest = SHUNT_NONE;
    int64_t elsewhere = 0, oldest = INT64_MAX;
    for (uint32_t i = 0; i < models; i++) {
        if (i == here || !shunt_waits(&waiters, i)) {
            continue;
        }
        elsewhere += queued[i];
        oldest = head[i] < oldest ? head[i] : oldest;
        if (longest == SHUNT_NONE || queued[i] > queued[longest] ||
            (queued[i] == queued[longest] && visited[i] < visited[longest])) {
            longest = i;
        }
    }
    if (longest == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (elsewhere < value[N] && ask->now_ns - oldest < value[PATIENCE]) {
        decision->recheck_at_ns = oldest + value[PATIENCE];
        return shunt_stay(decision, SHUNT_REASON_BATCH_UP);
    }
    return shunt_switch_to(decision, longest, SHUNT_REASON_LONGEST_QUEUE);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("threshold", "1.0.0", "MIT",
                    "Leave an empty queue once n requests wait elsewhere, for the longest queue.",
                    0, 0, .ops = &ops, .params = params, .param_count = PARAM_COUNT);
