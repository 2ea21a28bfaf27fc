/*
 * amortized: stay long enough that switching costs a chosen share of device time, then go to the
 * longest unvisited queue if it is worth a switch.
 *
 * A switch from a to j costs C(a,j), and a's work in flight takes d to drain. Before leaving a for
 * j the device gives a at least q = kappa * (C(a,j) + d) of service, kappa = 1 / overhead_target
 * - 1, unless a has nothing left to do. Under saturation switching and draining therefore take at
 * most 1 / (1 + kappa) = overhead_target of device time. d stands in the rule because an engine
 * that works on batches drains for longer than it switches; kappa * C alone makes such a system
 * unstable.
 *
 * "Service" is time with work of a in flight since its visit began, so that a device which
 * idled for an hour owes a new burst its full turn. After its turn a gives the device up as soon as
 * its queue is empty; a queue that is left half served is come back to at the price of another
 * switch, so while requests of a queue the next model needs a backlog of `backlog_turns` times q,
 * or must have been unvisited for `age_turns` times q. The next model is the one unvisited for the
 * longest time (times its weight): with equal weights nobody waits for more than
 * age_turns q + (N-1) (q + D) + N C, without any help from the host's guard.
 *
 * Weak where one request in a lone queue is urgent (it waits for the others' turns) and where
 * costs are still unknown: unknown_switch then stands in for them.
 */
#include <shunt/shunt.h>

enum {
    OVERHEAD_TARGET,
    WEIGHT,
    UNKNOWN_SWITCH,
    BACKLOG_TURNS,
    AGE_TURNS,
    UNKNOWN_WORK,
    PARAM_COUNT
};

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_REAL(1, "overhead_target",
                       SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE | SHUNT_PARAM_LOG_SCALE, 0.10, 0.01,
                       0.50, "ratio",
                       "Share of device time that switching may take under saturation. Lower: "
                       "longer visits, fewer switches, longer waits for the others."),
    SHUNT_DECLARE_REAL(2, "weight",
                       SHUNT_PARAM_LIVE | SHUNT_PARAM_PER_MODEL | SHUNT_PARAM_LOG_SCALE, 1.0, 0.1,
                       10, "ratio", "Importance of one waiting request of this model."),
    SHUNT_DECLARE_DURATION(3, "unknown_switch", SHUNT_PARAM_LIVE, 10, 0, 3600,
                           "Cost assumed for a switch that has never been measured."),
    SHUNT_DECLARE_REAL(4, "backlog_turns", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 3, 0, 1000, "turns",
                       "Work that must wait for the next model, in turns owed, before a queue that "
                       "has had its turn is left half served. 0: it is left at once."),
    SHUNT_DECLARE_REAL(5, "age_turns", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 40, 0, 10000, "turns",
                       "Time unvisited, in turns owed, after which the next model's backlog no "
                       "longer matters."),
    SHUNT_DECLARE_DURATION(6, "unknown_work", SHUNT_PARAM_LIVE, 1, 0.001, 3600,
                           "Device time assumed for a request of a model that has never been "
                           "served."),
};

struct amortized {
    const struct shunt_host *host;
    double kappa;
    double unknown_ns, unknown_work_s, backlog_turns, age_turns;
    double *weight; /* by model */
    uint32_t models, models_room;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct amortized *it = self;
    it->kappa = 1.0 / shunt_param_real(set, OVERHEAD_TARGET, 0) - 1.0;
    it->unknown_ns = (double)shunt_param_integer(set, UNKNOWN_SWITCH, 0);
    it->backlog_turns = shunt_param_real(set, BACKLOG_TURNS, 0);
    it->age_turns = shunt_param_real(set, AGE_TURNS, 0);
    it->unknown_work_s = (double)shunt_param_integer(set, UNKNOWN_WORK, 0) * 1e-9;
    for (uint32_t i = 0; i < it->models; i++) {
        it->weight[i] = shunt_param_real(set, WEIGHT, i);
    }
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct amortized *it = host->alloc(host, sizeof *it);
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
    struct amortized *it = self;
    it->models = shunt_model_count(snapshot);
    if (it->models > it->models_room) {
        it->weight = it->host->alloc(it->host, it->models * sizeof *it->weight);
        it->models_room = it->weight ? it->models : 0;
    }
    return it->models > it->models_room ? -1 : 0;
}

/* The longest unvisited model, in units of its weight, that a switch on the device could serve;
 * SHUNT_NONE if none waits. Equal ones: the older head, then the lower index. */
static uint32_t longest_unvisited(const struct amortized *it, const struct shunt_ask *ask,
                                  double *scores, uint32_t score_count)
{
    const int64_t *visited = shunt_i64(ask->snapshot, SHUNT_COL_LAST_VISIT_NS);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    uint32_t best = SHUNT_NONE;
    double best_score = 0;
    for (uint32_t i = 0; visited && head && i < it->models; i++) {
        if (!shunt_waits(&waiters, i)) {
            continue;
        }
        double score = it->weight[i] * (double)(ask->now_ns - visited[i]) * 1e-9;
        if (i < score_count) {
            scores[i] = score;
        }
        if (best == SHUNT_NONE || score > best_score ||
            (score == best_score && head[i] < head[best])) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

/* Time that leaving `from` for `to` takes from serving: the switch, and the drain where known. */
static double leaving_ns(const struct amortized *it, const struct shunt_ask *ask, uint32_t from,
                         uint32_t to)
{
    const double *drain = shunt_f64(ask->snapshot, SHUNT_COL_DRAIN_MEAN_NS);
    double cost = shunt_cost_ns(ask->costs, from, to, it->unknown_ns);
    return cost + (drain && drain[from] == drain[from] ? drain[from] : 0);
}

/* 1 if `next` may end the visit of a model that has had its turn of `owed_ns` but still queues. */
static int is_worth_a_switch(const struct amortized *it, const struct shunt_ask *ask, uint32_t next,
                             double owed_ns)
{
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const int64_t *visited = shunt_i64(ask->snapshot, SHUNT_COL_LAST_VISIT_NS);
    double work_ns = shunt_work_s(ask->snapshot, next, it->unknown_work_s) * 1e9;
    return (queued && queued[next] * work_ns >= it->backlog_turns * owed_ns) ||
           (visited && (double)(ask->now_ns - visited[next]) >= it->age_turns * owed_ns);
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    struct amortized *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const uint32_t *resident = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_MODEL);
    const uint32_t *target = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_TARGET);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const uint32_t *in_flight = shunt_u32(ask->snapshot, SHUNT_COL_INSTANCE_IN_FLIGHT);
    uint32_t next = longest_unvisited(it, ask, answer->scores, answer->score_count);
    if (next == SHUNT_NONE || !resident || !queued || !in_flight) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (target && target[ask->device] < it->models &&
        shunt_waits_for(ask->snapshot, target[ask->device], ask->device)) {
        return shunt_switch_to(decision, target[ask->device], SHUNT_REASON_HYSTERESIS);
    }
    uint32_t model = resident[ask->device];
    uint32_t instance = shunt_instance_on(ask->snapshot, model, ask->device);
    if (instance == SHUNT_NONE || model >= it->models) {
        return shunt_switch_to(decision, next, SHUNT_REASON_LONGEST_UNVISITED);
    }
    double served = (double)shunt_served_ns(ask->snapshot, instance);
    double owed = it->kappa * leaving_ns(it, ask, model, next);
    shunt_text(decision, "served ");
    shunt_text_number(decision, (int64_t)(served * 1e-6));
    shunt_text(decision, " of ");
    shunt_text_number(decision, (int64_t)(owed * 1e-6));
    shunt_text(decision, " ms");
    if (queued[model] == 0 && in_flight[instance] == 0) {
        return shunt_switch_to(decision, next, SHUNT_REASON_QUEUE_EMPTY);
    }
    if (ask->why & SHUNT_WHY_VISIT_CAP) {
        return shunt_switch_to(decision, next, SHUNT_REASON_QUANTUM);
    }
    if (served < owed) {
        decision->recheck_at_ns = ask->now_ns + (int64_t)(owed - served) + 1;
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    if (queued[model] == 0 || is_worth_a_switch(it, ask, next, owed)) {
        return shunt_switch_to(decision, next, SHUNT_REASON_QUANTUM);
    }
    return shunt_stay(decision, SHUNT_REASON_BATCH_UP);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .models_changed = models_changed,
    .decide = decide,
    .param_set = param_set,
};

SHUNT_POLICY_DEFINE("amortized", "1.0.0", "MIT",
                    "Stay long enough that switching costs a chosen share of device time, then go "
                    "to the longest unvisited queue.",
                    0, 0, .ops = &ops, .params = params, .param_count = PARAM_COUNT);
