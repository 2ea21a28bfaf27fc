/*
 * amortized: stay long enough that switching costs a chosen share of device time, then go to the
 * longest unvisited queue.
 *
 * A switch from a to j costs C(a,j), and a's work in flight takes d to drain. Before leaving a for
 * j the device gives a at least q = kappa * (C(a,j) + d) of service, kappa = 1 / overhead_target
 * - 1, unless a has nothing left to do. Under saturation switching and draining therefore take at
 * most 1 / (1 + kappa) = overhead_target of device time. d stands in the rule because an engine
 * that works on batches drains for longer than it switches; kappa * C alone makes such a system
 * unstable.
 *
 * "Service" is time with work of a in flight, counted from its events, so that a device which
 * idled for an hour owes a new burst its full turn. The next model is the one unvisited for the
 * longest time (times its weight): with equal weights nobody waits for more than
 * (N-1) (kappa (C+d) + D) + N C, without any help from the host's guard.
 *
 * Weak where one request in a lone queue is urgent (it waits for the others' turns) and where
 * costs are still unknown: unknown_switch then stands in for them.
 */
#include <shunt/shunt.h>

enum { OVERHEAD_TARGET, WEIGHT, UNKNOWN_SWITCH, PARAM_COUNT };
enum { STATE_SCHEMA = 1 };

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
};

/* Service that an instance has given in its present visit. */
struct visit {
    int64_t start_ns;
    int64_t busy_ns; /* up to since_ns */
    int64_t since_ns;
    uint32_t in_flight;
    uint32_t reserved; /* no padding: the bytes are saved as state */
};

struct amortized {
    const struct shunt_host *host;
    double kappa;
    double unknown_ns;
    double *weight; /* by model */
    uint32_t models, models_room;
    struct visit *visit; /* by instance */
    uint32_t instances, instances_room;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct amortized *it = self;
    it->kappa = 1.0 / shunt_param_real(set, OVERHEAD_TARGET, 0) - 1.0;
    it->unknown_ns = (double)shunt_param_integer(set, UNKNOWN_SWITCH, 0);
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

/* Rebuilds the visits from the snapshot: what runs is taken to have run since its first dispatch.
 */
static void on_resync(void *self, const struct shunt_snapshot *snapshot)
{
    struct amortized *it = self;
    const uint32_t *model = shunt_u32(snapshot, SHUNT_COL_INSTANCE_MODEL);
    const uint32_t *device = shunt_u32(snapshot, SHUNT_COL_INSTANCE_DEVICE);
    const uint32_t *in_flight = shunt_u32(snapshot, SHUNT_COL_INSTANCE_IN_FLIGHT);
    const uint32_t *latest = shunt_u32(snapshot, SHUNT_COL_DEVICE_MODEL);
    const int64_t *start = shunt_i64(snapshot, SHUNT_COL_VISIT_START_NS);
    const int64_t *first = shunt_i64(snapshot, SHUNT_COL_VISIT_FIRST_DISPATCH_NS);
    for (uint32_t i = 0; i < it->instances; i++) {
        it->visit[i] = (struct visit){.since_ns = snapshot->now_ns};
        if (!model || !device || !in_flight || !latest || !start || !first) {
            continue;
        }
        it->visit[i].in_flight = in_flight[i];
        if (latest[device[i]] == model[i]) {
            it->visit[i].start_ns = start[device[i]];
            it->visit[i].busy_ns = first[device[i]] ? snapshot->now_ns - first[device[i]] : 0;
        }
    }
}

static int models_changed(void *self, const struct shunt_snapshot *snapshot)
{
    struct amortized *it = self;
    it->models = shunt_model_count(snapshot);
    it->instances = shunt_instance_count(snapshot);
    if (it->models > it->models_room) {
        it->weight = it->host->alloc(it->host, it->models * sizeof *it->weight);
        it->models_room = it->weight ? it->models : 0;
    }
    if (it->instances > it->instances_room) {
        it->visit = it->host->alloc(it->host, it->instances * sizeof *it->visit);
        it->instances_room = it->visit ? it->instances : 0;
    }
    if (it->models > it->models_room || it->instances > it->instances_room) {
        return -1;
    }
    on_resync(it, snapshot); /* param_set brings the weights by the new indices */
    return 0;
}

static void on_dispatch(void *self, const struct shunt_request_event *event)
{
    struct amortized *it = self;
    if (event->instance < it->instances && it->visit[event->instance].in_flight++ == 0) {
        it->visit[event->instance].since_ns = event->t_ns;
    }
}

static void on_complete(void *self, const struct shunt_request_event *event)
{
    struct amortized *it = self;
    if (event->instance < it->instances && it->visit[event->instance].in_flight > 0) {
        struct visit *visit = &it->visit[event->instance];
        if (--visit->in_flight == 0) {
            visit->busy_ns += event->t_ns - visit->since_ns;
        }
    }
}

/* Service given in the present visit, up to now; forgets an earlier visit. */
static int64_t served_ns(struct visit *visit, int64_t start_ns, int64_t now_ns)
{
    if (visit->start_ns != start_ns) {
        visit->start_ns = start_ns;
        visit->busy_ns = 0;
        visit->since_ns = visit->since_ns > start_ns ? visit->since_ns : start_ns;
    }
    return visit->busy_ns + (visit->in_flight > 0 ? now_ns - visit->since_ns : 0);
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

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    struct amortized *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const uint32_t *resident = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_MODEL);
    const uint32_t *target = shunt_u32(ask->snapshot, SHUNT_COL_DEVICE_TARGET);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const int64_t *start = shunt_i64(ask->snapshot, SHUNT_COL_VISIT_START_NS);
    uint32_t next = longest_unvisited(it, ask, answer->scores, answer->score_count);
    if (next == SHUNT_NONE || !resident || !queued || !start) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    if (target && target[ask->device] < it->models &&
        shunt_waits_for(ask->snapshot, target[ask->device], ask->device)) {
        return shunt_switch_to(decision, target[ask->device], SHUNT_REASON_HYSTERESIS);
    }
    uint32_t model = resident[ask->device];
    uint32_t instance = shunt_instance_on(ask->snapshot, model, ask->device);
    if (instance >= it->instances || model >= it->models) {
        return shunt_switch_to(decision, next, SHUNT_REASON_LONGEST_UNVISITED);
    }
    struct visit *visit = &it->visit[instance];
    double served = (double)served_ns(visit, start[ask->device], ask->now_ns);
    double owed = it->kappa * leaving_ns(it, ask, model, next);
    shunt_text(decision, "served ");
    shunt_text_number(decision, (int64_t)(served * 1e-6));
    shunt_text(decision, " of ");
    shunt_text_number(decision, (int64_t)(owed * 1e-6));
    shunt_text(decision, " ms");
    if (queued[model] == 0 && visit->in_flight == 0) {
        return shunt_switch_to(decision, next, SHUNT_REASON_QUEUE_EMPTY);
    }
    if (served >= owed || (ask->why & SHUNT_WHY_VISIT_CAP)) {
        return shunt_switch_to(decision, next, SHUNT_REASON_QUANTUM);
    }
    decision->recheck_at_ns = ask->now_ns + (int64_t)(owed - served) + 1;
    return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
}

/* A successor takes over the service given so far; what is in flight it has from on_resync. */
static int state_save(void *self, const struct shunt_ostream *stream)
{
    const struct amortized *it = self;
    return stream->write(stream, &it->instances, sizeof it->instances) ||
                   stream->write(stream, it->visit, it->instances * sizeof *it->visit)
               ? -1
               : 0;
}

static int state_load(void *self, const struct shunt_istream *stream)
{
    struct amortized *it = self;
    int64_t now_ns = it->host->now_ns(it->host);
    uint32_t count = 0;
    if (stream->schema != STATE_SCHEMA || shunt_read_all(stream, &count, sizeof count) ||
        count != it->instances) {
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct visit saved;
        if (shunt_read_all(stream, &saved, sizeof saved) || saved.start_ns < 0 ||
            saved.since_ns < 0 || saved.since_ns > now_ns || saved.busy_ns < 0 ||
            saved.busy_ns > now_ns) {
            return -1;
        }
        if (saved.start_ns == it->visit[i].start_ns && saved.in_flight == it->visit[i].in_flight) {
            it->visit[i] = saved;
        }
    }
    return 0;
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .models_changed = models_changed,
    .on_resync = on_resync,
    .on_dispatch = on_dispatch,
    .on_complete = on_complete,
    .decide = decide,
    .param_set = param_set,
    .state_save = state_save,
    .state_load = state_load,
};

SHUNT_POLICY_DEFINE("amortized", "1.0.0", "MIT",
                    "Stay long enough that switching costs a chosen share of device time, then go "
                    "to the longest unvisited queue.",
                    0, 1, .ops = &ops, .params = params, .param_count = PARAM_COUNT);
