/*
 * adaptive_stale: costaware's index, with a bound on staleness that moves with the situation.
 *
 * A fixed age at which a queue is stale is either never reached or, under backlog, reached by every
 * queue at once, and then the rule is first come, first served when that can be afforded least. So
 * the bound follows what a fair cycle takes now:
 *
 *     A_i = clip(A_min, A_max R_i, alpha C95(a,i) + beta R_i)
 *             / (1 + g_imbalance (imbalance_i - 1)) * (1 + g_burst max(0, IDC_a - 1))
 *     R_i = kappa (C(a,i) + d_a) + sum_j n_j b_j
 *
 * R_i is the time in which the device could pay for the switch to i and serve all that waits. A
 * queue more crowded than the mean goes stale sooner; while the resident model's arrivals come in
 * bursts (index of dispersion of its counts above 1) the others wait a little longer, since the
 * rest of the burst comes soon. The queue with the largest age_i / A_i above 1 gets the device, if
 * the visit has earned its switch (kappa (C + d) of service) or has no work; else the index
 * decides.
 */
#include <shunt/shunt.h>

enum {
    ALPHA,
    BETA,
    AGE_MIN,
    AGE_MAX_CYCLES,
    IMBALANCE_GAIN,
    BURST_GAIN,
    OVERHEAD_TARGET,
    HYSTERESIS,
    WEIGHT,
    UNKNOWN_SWITCH,
    UNKNOWN_WORK,
    PARAM_COUNT
};

#define LIVE_TUNE (SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE)

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_REAL(1, "alpha", LIVE_TUNE, 3.0, 0, 100, "ratio",
                       "Staleness bound per unit of the switch's 95th percentile. Higher: dear "
                       "models are gone to less often."),
    SHUNT_DECLARE_REAL(2, "beta", LIVE_TUNE, 1.0, 0, 100, "ratio",
                       "Staleness bound per unit of a fair cycle (what waits, and the switch paid "
                       "for)."),
    SHUNT_DECLARE_DURATION(3, "age_min", LIVE_TUNE, 10, 0, 3600,
                           "No queue is stale before this age."),
    SHUNT_DECLARE_REAL(4, "age_max_cycles", LIVE_TUNE, 4.0, 0.1, 100, "ratio",
                       "Largest staleness bound, in fair cycles."),
    SHUNT_DECLARE_REAL(5, "imbalance_gain", LIVE_TUNE, 0.5, 0, 10, "ratio",
                       "How much sooner a queue goes stale that is more crowded than the mean."),
    SHUNT_DECLARE_REAL(6, "burst_gain", LIVE_TUNE, 0.1, 0, 10, "ratio",
                       "How much longer others wait while the resident model's arrivals are "
                       "bursty."),
    SHUNT_DECLARE_REAL(7, "overhead_target", LIVE_TUNE | SHUNT_PARAM_LOG_SCALE, 0.10, 0.01, 0.5,
                       "ratio", "Share of device time that switching for staleness may take."),
    SHUNT_DECLARE_REAL(8, "hysteresis", LIVE_TUNE, 0.80, 0, 0.99, "ratio",
                       "Share by which another model's index must beat staying. Higher: fewer "
                       "visits end before their queue is empty or another is stale."),
    SHUNT_DECLARE_REAL(9, "weight",
                       SHUNT_PARAM_LIVE | SHUNT_PARAM_PER_MODEL | SHUNT_PARAM_LOG_SCALE, 1.0, 0.01,
                       100, "ratio", "Importance of one waiting request of this model."),
    SHUNT_DECLARE_DURATION(10, "unknown_switch", SHUNT_PARAM_LIVE, 10, 0, 3600,
                           "Cost assumed for a switch that has never been measured."),
    SHUNT_DECLARE_DURATION(11, "unknown_work", SHUNT_PARAM_LIVE, 1, 0.001, 3600,
                           "Device time assumed for a request of a model that has never been "
                           "served."),
};

/* Arrivals are counted in windows of this length; mean and variance forget with GAIN a window. */
#define BURST_WINDOW_NS   INT64_C(60000000000)
#define BURST_GAIN_EWMA   0.05
#define BURST_WINDOWS_MAX 200 /* empty windows that are caught up with after a silence */

struct burst {
    int64_t window_start_ns; /* 0: no arrival yet */
    double count, mean, var;
    uint32_t windows;
};

struct adaptive_stale {
    const struct shunt_host *host;
    double alpha, beta, age_min_s, age_max_cycles, imbalance_gain, burst_gain, kappa, stay_factor;
    double unknown_switch_s, unknown_work_s;
    double *weight;      /* by model */
    struct burst *burst; /* by model */
    uint32_t models, models_room;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct adaptive_stale *it = self;
    it->alpha = shunt_param_real(set, ALPHA, 0);
    it->beta = shunt_param_real(set, BETA, 0);
    it->age_min_s = (double)shunt_param_integer(set, AGE_MIN, 0) * 1e-9;
    it->age_max_cycles = shunt_param_real(set, AGE_MAX_CYCLES, 0);
    it->imbalance_gain = shunt_param_real(set, IMBALANCE_GAIN, 0);
    it->burst_gain = shunt_param_real(set, BURST_GAIN, 0);
    it->kappa = 1.0 / shunt_param_real(set, OVERHEAD_TARGET, 0) - 1.0;
    it->stay_factor = 1.0 / (1.0 - shunt_param_real(set, HYSTERESIS, 0));
    it->unknown_switch_s = (double)shunt_param_integer(set, UNKNOWN_SWITCH, 0) * 1e-9;
    it->unknown_work_s = (double)shunt_param_integer(set, UNKNOWN_WORK, 0) * 1e-9;
    for (uint32_t i = 0; i < it->models; i++) {
        it->weight[i] = shunt_param_real(set, WEIGHT, i);
    }
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct adaptive_stale *it = host->alloc(host, sizeof *it);
    if (!it) {
        return -1;
    }
    it->host = host;
    param_set(it, set);
    *ret_self = it;
    return 0;
}

/* param_set brings the weights by the new indices; what was counted of bursts starts anew. */
static int models_changed(void *self, const struct shunt_snapshot *snapshot)
{
    struct adaptive_stale *it = self;
    it->models = shunt_model_count(snapshot);
    if (it->models > it->models_room) {
        it->weight = it->host->alloc(it->host, it->models * sizeof *it->weight);
        it->burst = it->host->alloc(it->host, it->models * sizeof *it->burst);
        it->models_room = it->weight && it->burst ? it->models : 0;
    }
    for (uint32_t i = 0; i < it->models && i < it->models_room; i++) {
        it->burst[i] = (struct burst){0, 0, 0, 0, 0};
    }
    return it->models > it->models_room ? -1 : 0;
}

/* Closes the windows that have ended by t_ns. */
static void burst_advance(struct burst *burst, int64_t t_ns)
{
    for (int caught_up = 0; t_ns - burst->window_start_ns >= BURST_WINDOW_NS; caught_up++) {
        if (caught_up == BURST_WINDOWS_MAX) {
            burst->window_start_ns = t_ns;
            return;
        }
        double delta = burst->count - burst->mean;
        double gain = burst->windows < 20 ? 1.0 / (burst->windows + 1) : BURST_GAIN_EWMA;
        burst->mean += gain * delta;
        burst->var = (1 - gain) * (burst->var + gain * delta * delta);
        burst->windows += burst->windows < 20;
        burst->count = 0;
        burst->window_start_ns += BURST_WINDOW_NS;
    }
}

static void on_arrival(void *self, const struct shunt_request_event *event)
{
    struct adaptive_stale *it = self;
    if (event->model >= it->models) {
        return;
    }
    struct burst *burst = &it->burst[event->model];
    if (burst->window_start_ns == 0) {
        burst->window_start_ns = event->t_ns;
    }
    burst_advance(burst, event->t_ns);
    burst->count += 1;
}

/* Variance over mean of the counts of `model`; 1, as for Poisson arrivals, until it is known. */
static double dispersion(const struct burst *burst)
{
    return burst->windows >= 5 && burst->mean > 0 ? burst->var / burst->mean : 1.0;
}

/* What waits, in seconds of device time: of all models, and how many of them have any. */
struct backlog {
    double total_s;
    uint32_t models;
};

static struct backlog find_backlog(const struct adaptive_stale *it, const struct shunt_ask *ask)
{
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    struct backlog backlog = {0, 0};
    for (uint32_t i = 0; queued && i < it->models; i++) {
        backlog.total_s += queued[i] * shunt_work_s(ask->snapshot, i, it->unknown_work_s);
        backlog.models += queued[i] > 0;
    }
    return backlog;
}

/* The switch from the visit's model to `model`, with the drain; 0 where it needs no victim. */
static double setup_s(const struct adaptive_stale *it, const struct shunt_ask *ask, uint32_t from,
                      uint32_t to, double return_share)
{
    return shunt_fits_beside(ask, to)
               ? 0
               : shunt_setup_s(ask->snapshot, ask->costs, from, to, it->unknown_switch_s,
                               it->unknown_work_s, return_share);
}

/* A_i of the head comment, in seconds. */
static double stale_age_s(const struct adaptive_stale *it, const struct shunt_ask *ask,
                          const struct shunt_turn *turn, const struct backlog *backlog,
                          uint32_t model)
{
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const double *in_p95 = shunt_f64(ask->snapshot, SHUNT_COL_IN_P95_NS);
    const uint32_t *tiers = shunt_u32(ask->snapshot, SHUNT_COL_INSTANCE_TIER);
    uint32_t instance = shunt_instance_on(ask->snapshot, model, ask->device);
    double setup = setup_s(it, ask, turn->model, model, 0);
    double dear = setup;
    if (in_p95 && tiers && instance != SHUNT_NONE && tiers[instance] < SHUNT_TIER_COUNT) {
        double p95 = in_p95[model * SHUNT_TIER_COUNT + tiers[instance]] * 1e-9;
        dear = p95 > dear ? p95 : dear;
    }
    double cycle = it->kappa * setup + backlog->total_s;
    double age = it->alpha * dear + it->beta * cycle;
    age = age < it->age_max_cycles * cycle ? age : it->age_max_cycles * cycle;
    age = age > it->age_min_s ? age : it->age_min_s;
    double own =
        queued ? queued[model] * shunt_work_s(ask->snapshot, model, it->unknown_work_s) : 0;
    double mean = backlog->models ? backlog->total_s / backlog->models : 0;
    double crowding = 1 + it->imbalance_gain * (mean > 0 ? own / mean - 1 : 0);
    age /= crowding > 0.25 ? crowding : 0.25;
    if (turn->model < it->models) {
        double burst = dispersion(&it->burst[turn->model]) - 1;
        age *= 1 + it->burst_gain * (burst > 0 ? (burst < 20 ? burst : 20) : 0);
    }
    return age;
}

static double index_of(const struct adaptive_stale *it, const struct shunt_ask *ask, uint32_t model,
                       uint32_t in_service, double setup)
{
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    double work_s = shunt_work_s(ask->snapshot, model, it->unknown_work_s);
    return shunt_reward_rate(it->weight[model], work_s,
                             (double)((queued ? queued[model] : 0) + in_service) * work_s,
                             shunt_rate_now(ask->snapshot, model) * work_s, setup);
}

/*
 * What staying earns. A queue that is emptied but for what is in flight in a batch loses only the
 * arrivals that leaving would turn away: what is in flight ends in either case.
 */
static double staying_rate(const struct adaptive_stale *it, const struct shunt_ask *ask,
                           const struct shunt_turn *turn)
{
    const uint32_t *slots = shunt_u32(ask->snapshot, SHUNT_COL_MAX_CONCURRENCY);
    double serving = index_of(it, ask, turn->model, turn->in_flight, 0);
    if (turn->queued > 0 || !slots || slots[turn->model] <= 1) {
        return serving;
    }
    double arriving = it->weight[turn->model] * shunt_rate_now(ask->snapshot, turn->model);
    return arriving < serving ? arriving : serving;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const struct adaptive_stale *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    struct shunt_turn turn = shunt_find_turn(ask);
    struct backlog backlog = find_backlog(it, ask);
    uint32_t best = SHUNT_NONE, stale = SHUNT_NONE;
    double best_rate = 0, staleness = 1;
    for (uint32_t i = 0; head && i < it->models && i < answer->score_count; i++) {
        if (!shunt_waits(&waiters, i) || i == turn.model) {
            continue;
        }
        answer->scores[i] = index_of(it, ask, i, 0, setup_s(it, ask, turn.model, i, 1));
        if (best == SHUNT_NONE || answer->scores[i] > best_rate) {
            best = i;
            best_rate = answer->scores[i];
        }
        double age_s = (double)(ask->now_ns - head[i]) * 1e-9;
        double ratio = age_s / stale_age_s(it, ask, &turn, &backlog, i);
        if (ratio > staleness) {
            stale = i;
            staleness = ratio;
        }
    }
    if (best == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    /* A decided switch is kept: heads and indices move while the device drains. */
    if (turn.target < it->models && shunt_waits(&waiters, turn.target)) {
        return shunt_switch_to(decision, turn.target, SHUNT_REASON_HYSTERESIS);
    }
    int free_to_go = !shunt_turn_has_work(&turn) || (ask->why & SHUNT_WHY_VISIT_CAP) != 0;
    if (stale != SHUNT_NONE) {
        double owed_s = it->kappa * setup_s(it, ask, turn.model, stale, 0);
        double served_s = turn.instance != SHUNT_NONE
                              ? (double)shunt_served_ns(ask->snapshot, turn.instance) * 1e-9
                              : owed_s;
        if (free_to_go || served_s >= owed_s) {
            return shunt_switch_to(decision, stale, SHUNT_REASON_STALE);
        }
        decision->recheck_at_ns = ask->now_ns + (int64_t)((owed_s - served_s) * 1e9) + 1;
    }
    if (free_to_go || shunt_fits_beside(ask, best)) {
        return shunt_switch_to(decision, best, SHUNT_REASON_SCORE);
    }
    double stay_rate = staying_rate(it, ask, &turn);
    if (turn.model < answer->score_count) {
        answer->scores[turn.model] = stay_rate;
    }
    if (best_rate > stay_rate * it->stay_factor) {
        decision->recheck_at_ns = 0;
        return shunt_switch_to(decision, best, SHUNT_REASON_SCORE);
    }
    return shunt_stay(decision, SHUNT_REASON_HYSTERESIS);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .models_changed = models_changed,
    .on_arrival = on_arrival,
    .decide = decide,
    .param_set = param_set,
};

SHUNT_POLICY_DEFINE("adaptive_stale", "1.0.0", "MIT",
                    "The best index, unless a queue is staler than a fair cycle explains.", 0, 0,
                    .ops = &ops, .params = params, .param_count = PARAM_COUNT);
