/*
 * llmux_cost_aware: the rule that llmux 0.4 to 0.9 called cost_aware, for comparison, with its
 * defaults. For a request of another model than the one that has the device, in this order:
 *
 *   1. its oldest has waited for max_wait: switch
 *   2. nothing has the device: switch
 *   3. the device has been with its model for less than the switch is estimated to cost: ask again
 *      when it has ("serving window")
 *   4. at least factor x cost (in seconds) requests wait: switch
 *   5. ask again after the coalescing window; one such timer a model
 *
 * The estimate is an average with weight 0.3 for the newest switch, drain and all, cut at 60 s, and
 * 10 s until one was seen. The original decides when a request arrives or its timer runs out, and
 * then switches whatever has changed since; here the rule is evaluated anew. What is kept is what
 * makes the rule what it is: it looks at the model that asks, never at those that wait beside it,
 * and after the first max_wait every request is a reason to switch.
 */
#include <shunt/shunt.h>

enum { COALESCE, FACTOR, MAX_WAIT, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_DURATION(1, "coalesce", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 2, 0.001, 600,
                           "Time to wait for more requests before a switch is looked at again."),
    SHUNT_DECLARE_REAL(2, "factor", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 0.5, 0, 100, "requests/s",
                       "Requests that must wait for each second of the switch."),
    SHUNT_DECLARE_DURATION(3, "max_wait", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 15, 0, 86400,
                           "Wait after which a request is a reason to switch by itself."),
};

#define PRIOR_S    10.0
#define SAMPLE_MAX 60.0
#define NEWEST     0.3

struct llmux {
    const struct shunt_host *host;
    int64_t coalesce_ns, max_wait_ns;
    double factor;
    double *cost_s;      /* [(models + 1) * models]: from, to; from = models is the empty device */
    int64_t *pending_ns; /* by model: when its coalescing window ends; 0: none */
    uint32_t models, models_room;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct llmux *it = self;
    it->coalesce_ns = shunt_param_integer(set, COALESCE, 0);
    it->factor = shunt_param_real(set, FACTOR, 0);
    it->max_wait_ns = shunt_param_integer(set, MAX_WAIT, 0);
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct llmux *it = host->alloc(host, sizeof *it);
    if (!it) {
        return -1;
    }
    it->host = host;
    param_set(it, set);
    *ret_self = it;
    return 0;
}

static int models_changed(void *self, const struct shunt_snapshot *snapshot)
{
    struct llmux *it = self;
    it->models = shunt_model_count(snapshot);
    if (it->models > it->models_room) {
        it->cost_s =
            it->host->alloc(it->host, (size_t)(it->models + 1) * it->models * sizeof(double));
        it->pending_ns = it->host->alloc(it->host, it->models * sizeof(int64_t));
        it->models_room = it->cost_s && it->pending_ns ? it->models : 0;
    }
    if (it->models > it->models_room) {
        return -1;
    }
    for (uint32_t i = 0; i < (it->models + 1) * it->models; i++) {
        it->cost_s[i] = PRIOR_S;
    }
    for (uint32_t i = 0; i < it->models; i++) {
        it->pending_ns[i] = 0;
    }
    return 0;
}

static double *cost_of(const struct llmux *it, uint32_t from, uint32_t to)
{
    return &it->cost_s[(size_t)(from < it->models ? from : it->models) * it->models + to];
}

static void on_switch_done(void *self, const struct shunt_switch_event *event)
{
    struct llmux *it = self;
    if (event->to >= it->models) {
        return;
    }
    double took_s = (double)(event->drain_ns + event->out_ns + event->memory_ns + event->in_ns +
                             event->probe_ns) *
                    1e-9;
    double *cost = cost_of(it, event->from, event->to);
    took_s = took_s < SAMPLE_MAX ? took_s : SAMPLE_MAX;
    *cost = *cost == PRIOR_S ? took_s : NEWEST * took_s + (1 - NEWEST) * *cost;
    it->pending_ns[event->to] = 0;
}

/* Whether rules 1 to 4 want `model` now; else when to look again. */
static int wants(struct llmux *it, const struct shunt_ask *ask, const struct shunt_turn *turn,
                 uint32_t model, int64_t *ret_again_ns)
{
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const int64_t *since = shunt_i64(ask->snapshot, SHUNT_COL_VISIT_START_NS);
    if (!head || !queued || !since) {
        return 0;
    }
    int64_t stale_ns = head[model] + it->max_wait_ns;
    if (ask->now_ns >= stale_ns || turn->model == SHUNT_NONE) {
        return 1;
    }
    double cost_s = *cost_of(it, turn->model, model);
    int64_t window_ns = since[ask->device] + (int64_t)(cost_s * 1e9);
    *ret_again_ns = stale_ns;
    if (ask->now_ns < window_ns) {
        *ret_again_ns = window_ns < stale_ns ? window_ns : stale_ns;
        return 0;
    }
    double depth = it->factor * cost_s;
    if (queued[model] >= (depth > 1 ? depth : 1)) {
        return 1;
    }
    if (it->pending_ns[model] <= ask->now_ns) {
        it->pending_ns[model] = ask->now_ns + it->coalesce_ns;
    }
    if (it->pending_ns[model] < stale_ns) {
        *ret_again_ns = it->pending_ns[model];
    }
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    struct llmux *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t next = SHUNT_NONE;
    int64_t again_ns = INT64_MAX;
    if (turn.target < it->models && shunt_waits(&waiters, turn.target)) {
        return shunt_switch_to(decision, turn.target, SHUNT_REASON_HYSTERESIS);
    }
    for (uint32_t i = 0; head && i < it->models; i++) {
        int64_t at_ns = INT64_MAX;
        if (!shunt_waits(&waiters, i) || i == turn.model) {
            continue;
        }
        if (wants(it, ask, &turn, i, &at_ns)) {
            next = next == SHUNT_NONE || head[i] < head[next] ? i : next;
        } else {
            again_ns = at_ns < again_ns ? at_ns : again_ns;
        }
    }
    if (next != SHUNT_NONE) {
        return shunt_switch_to(decision, next, SHUNT_REASON_SCORE);
    }
    if (again_ns != INT64_MAX) {
        decision->recheck_at_ns = again_ns > ask->now_ns ? again_ns : ask->now_ns + 1;
    }
    return shunt_stay(decision, SHUNT_REASON_BATCH_UP);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .models_changed = models_changed,
    .on_switch_done = on_switch_done,
    .decide = decide,
    .param_set = param_set,
};

SHUNT_POLICY_DEFINE("llmux_cost_aware", "1.0.0", "MIT",
                    "The cost_aware rule of llmux 0.4 to 0.9, for comparison.", 0, 0, .ops = &ops,
                    .params = params, .param_count = PARAM_COUNT);
