/*
 * llama_swap: the rule of llama-swap's only scheduler, for comparison.
 *
 * Requests of a model that is loaded are served at once, whoever else waits. A request of another
 * model waits until what it would evict has nothing in flight, then the waiting requests are walked
 * by priority of their model and arrival, and the first one's model is swapped in. Nothing looks at
 * costs or ages: a steady overlap of requests for the loaded model keeps all others out without
 * limit, and a gap of an instant between two of its requests is enough to lose it the device.
 */
#include <shunt/shunt.h>

enum { PRIORITY, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_INT(1, "priority", SHUNT_PARAM_LIVE | SHUNT_PARAM_PER_MODEL, 0, -1000, 1000, "",
                      "Models of a higher priority are swapped in before others."),
};

struct llama_swap {
    const struct shunt_host *host;
    int64_t *priority; /* by model */
    uint32_t models, models_room;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct llama_swap *it = self;
    for (uint32_t i = 0; i < it->models; i++) {
        it->priority[i] = shunt_param_integer(set, PRIORITY, i);
    }
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct llama_swap *it = host->alloc(host, sizeof *it);
    if (!it) {
        return -1;
    }
    it->host = host;
    param_set(it, set);
    *ret_self = it;
    return 0;
}

/* param_set brings the priorities by the new indices. */
static int models_changed(void *self, const struct shunt_snapshot *snapshot)
{
    struct llama_swap *it = self;
    it->models = shunt_model_count(snapshot);
    if (it->models > it->models_room) {
        it->priority = it->host->alloc(it->host, it->models * sizeof *it->priority);
        it->models_room = it->priority ? it->models : 0;
    }
    return it->models > it->models_room ? -1 : 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct llama_swap *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t first = SHUNT_NONE;
    for (uint32_t i = 0; head && i < it->models; i++) {
        if (!shunt_waits(&waiters, i) || i == turn.model) {
            continue;
        }
        if (first == SHUNT_NONE || it->priority[i] > it->priority[first] ||
            (it->priority[i] == it->priority[first] && head[i] < head[first])) {
            first = i;
        }
    }
    if (first == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (shunt_turn_has_work(&turn) && !shunt_fits_beside(ask, first)) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    return shunt_switch_to(decision, first, SHUNT_REASON_FIRST_COME);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .models_changed = models_changed,
    .decide = decide,
    .param_set = param_set,
};

SHUNT_POLICY_DEFINE("llama_swap", "1.0.0", "MIT",
                    "The rule of llama-swap's scheduler, for comparison.", 0, 0, .ops = &ops,
                    .params = params, .param_count = PARAM_COUNT);
