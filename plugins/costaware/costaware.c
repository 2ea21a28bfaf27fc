/*
 * costaware: go where the most waiting is ended per second, the switch there and its way back
 * counted in.
 *
 * A switch from a to j takes s; an exhaustive visit then serves what waits, what came during the
 * switch and what comes during the visit: (n_j + lam_j s) / (1 - rho_j) requests in
 * (s + n_j b_j) / (1 - rho_j) seconds. Its reward rate, in weighted requests a second, is
 *
 *     gamma_j = (w_j / b_j) (n_j b_j + rho_j s) / (n_j b_j + s)
 *
 * and staying earns gamma_a = w_a / b_a while requests of a queue; of an engine that batches, while
 * the last are in flight, it earns only the arrivals that are let in, w_a lam_a. The device goes to
 * the largest gamma, if that beats staying by more than the hysteresis, which is large: a queue
 * that is left half served is come back to, at the price of a switch, and the longer by then. s is
 * directional: it is C(a,j), plus the drain of a, plus the share rho_a of the way back C(j,a),
 * since a busy model will want the device again. w_j = weight (1 + (age_j / patience)^2) makes an
 * old head count for more, so that no model is passed over for ever.
 *
 * b is device time per request as the host measures it, so that a model which serves in batches
 * counts with its batched rate. The index is that of Duenyas and Van Oyen for queues with switching
 * times, derived anew for directional costs.
 */
#include <shunt/shunt.h>

enum { HYSTERESIS, PATIENCE, RETURN_COST, WEIGHT, UNKNOWN_SWITCH, UNKNOWN_WORK, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_REAL(1, "hysteresis", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 0.80, 0, 0.99, "ratio",
                       "Share by which another model's index must beat staying. Higher: fewer "
                       "visits end before their queue is empty."),
    SHUNT_DECLARE_DURATION(
        2, "patience", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE | SHUNT_PARAM_LOG_SCALE, 450, 1, 86400,
        "Age of a head at which it counts double. Lower: fairer to lone "
        "requests, more switches under backlog."),
    SHUNT_DECLARE_REAL(3, "return_cost", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 1.0, 0, 2, "ratio",
                       "How much of the way back to a busy model a switch away from it is charged "
                       "with."),
    SHUNT_DECLARE_REAL(4, "weight",
                       SHUNT_PARAM_LIVE | SHUNT_PARAM_PER_MODEL | SHUNT_PARAM_LOG_SCALE, 1.0, 0.01,
                       100, "ratio", "Importance of one waiting request of this model."),
    SHUNT_DECLARE_DURATION(5, "unknown_switch", SHUNT_PARAM_LIVE, 10, 0, 3600,
                           "Cost assumed for a switch that has never been measured."),
    SHUNT_DECLARE_DURATION(6, "unknown_work", SHUNT_PARAM_LIVE, 1, 0.001, 3600,
                           "Device time assumed for a request of a model that has never been "
                           "served."),
};

struct costaware {
    const struct shunt_host *host;
    double stay_factor; /* 1 / (1 - hysteresis) */
    double patience_s, return_cost, unknown_switch_s, unknown_work_s;
    double *weight; /* by model */
    uint32_t models, models_room;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct costaware *it = self;
    it->stay_factor = 1.0 / (1.0 - shunt_param_real(set, HYSTERESIS, 0));
    it->patience_s = (double)shunt_param_integer(set, PATIENCE, 0) * 1e-9;
    it->return_cost = shunt_param_real(set, RETURN_COST, 0);
    it->unknown_switch_s = (double)shunt_param_integer(set, UNKNOWN_SWITCH, 0) * 1e-9;
    it->unknown_work_s = (double)shunt_param_integer(set, UNKNOWN_WORK, 0) * 1e-9;
    for (uint32_t i = 0; i < it->models; i++) {
        it->weight[i] = shunt_param_real(set, WEIGHT, i);
    }
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct costaware *it = host->alloc(host, sizeof *it);
    if (!it) {
        return -1;
    }
    it->host = host;
    param_set(it, set);
    *ret_self = it;
    return 0;
}

/* param_set brings the weights by the new indices. */
static int models_changed(void *self, const struct shunt_snapshot *snapshot)
{
    struct costaware *it = self;
    it->models = shunt_model_count(snapshot);
    if (it->models > it->models_room) {
        it->weight = it->host->alloc(it->host, it->models * sizeof *it->weight);
        it->models_room = it->weight ? it->models : 0;
    }
    return it->models > it->models_room ? -1 : 0;
}

/* Importance of the queue of `model`: its weight, growing with the age of its head. */
static double aged_weight(const struct costaware *it, const struct shunt_ask *ask, uint32_t model)
{
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    if (!head || head[model] == INT64_MAX) {
        return it->weight[model];
    }
    double age = (double)(ask->now_ns - head[model]) * 1e-9 / it->patience_s;
    return it->weight[model] * (1.0 + age * age);
}

/* The index of `model` when a switch of `setup_s` (0: it has the device) stands before it. */
static double reward_rate(const struct costaware *it, const struct shunt_ask *ask, uint32_t model,
                          uint32_t in_service, double setup_s)
{
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    double work_s = shunt_work_s(ask->snapshot, model, it->unknown_work_s);
    double backlog_s = (double)((queued ? queued[model] : 0) + in_service) * work_s;
    return shunt_reward_rate(aged_weight(it, ask, model), work_s, backlog_s,
                             shunt_rate_now(ask->snapshot, model) * work_s, setup_s);
}

static double setup_s(const struct costaware *it, const struct shunt_ask *ask, uint32_t from,
                      uint32_t to)
{
    return shunt_fits_beside(ask, to)
               ? 0
               : shunt_setup_s(ask->snapshot, ask->costs, from, to, it->unknown_switch_s,
                               it->unknown_work_s, it->return_cost);
}

/*
 * What staying earns. A queue that is emptied but for what is in flight in a batch loses only the
 * arrivals that leaving would turn away: what is in flight ends in either case.
 */
static double staying_rate(const struct costaware *it, const struct shunt_ask *ask,
                           const struct shunt_turn *turn)
{
    const uint32_t *slots = shunt_u32(ask->snapshot, SHUNT_COL_MAX_CONCURRENCY);
    double serving = reward_rate(it, ask, turn->model, turn->in_flight, 0);
    if (turn->queued > 0 || !slots || slots[turn->model] <= 1) {
        return serving;
    }
    double arriving = it->weight[turn->model] * shunt_rate_now(ask->snapshot, turn->model);
    return arriving < serving ? arriving : serving;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct costaware *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    struct shunt_turn turn = shunt_find_turn(ask);
    uint32_t best = SHUNT_NONE;
    double best_rate = 0;
    for (uint32_t i = 0; i < it->models && i < answer->score_count; i++) {
        if (!shunt_waits(&waiters, i) || i == turn.model) {
            continue;
        }
        answer->scores[i] = reward_rate(it, ask, i, 0, setup_s(it, ask, turn.model, i));
        if (best == SHUNT_NONE || answer->scores[i] > best_rate) {
            best = i;
            best_rate = answer->scores[i];
        }
    }
    if (best == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (!shunt_turn_has_work(&turn) || ask->why & SHUNT_WHY_VISIT_CAP ||
        shunt_fits_beside(ask, best)) {
        return shunt_switch_to(decision, best, SHUNT_REASON_SCORE);
    }
    /* A switch that has been decided is kept unless something is better by the hysteresis. */
    if (turn.target < it->models && turn.target < answer->score_count &&
        shunt_waits(&waiters, turn.target) &&
        answer->scores[turn.target] * it->stay_factor >= best_rate) {
        return shunt_switch_to(decision, turn.target, SHUNT_REASON_HYSTERESIS);
    }
    double stay_rate = staying_rate(it, ask, &turn);
    if (turn.model < answer->score_count) {
        answer->scores[turn.model] = stay_rate;
    }
    if (best_rate > stay_rate * it->stay_factor) {
        return shunt_switch_to(decision, best, SHUNT_REASON_SCORE);
    }
    return shunt_stay(decision, SHUNT_REASON_HYSTERESIS);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .models_changed = models_changed,
    .decide = decide,
    .param_set = param_set,
};

SHUNT_POLICY_DEFINE("costaware", "1.0.0", "MIT",
                    "Go where the most waiting is ended per second, the switch counted in.", 0, 0,
                    .ops = &ops, .params = params, .param_count = PARAM_COUNT);
