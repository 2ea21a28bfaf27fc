/*
 * horizon: every model rents the device, and the highest bidder gets it.
 *
 * Give a second of the device a price, in requests that wait meanwhile, and each model is a queue
 * of its own that decides when a visit is worth its rent. With s for the switch there and the
 * model's own drain, a visit at n waiting is one of a cycle of T = n / rate + s seconds in which
 * A = n (n-1) / (2 rate) + s n + rate E[s^2] / 2 request-seconds are waited. Waiting for one more
 * costs as much as it saves at the price
 *
 *     p(n) = (rate T^2 - A) / (s (1 - load))
 *
 * and a model that has been emptied just keeps the device for ever, rather than come back at the
 * best m, at the price
 *
 *     q = min over m of (m (m-1) / (2 rate) + s m + rate E[s^2] / 2) / ((1 - load) m / rate)
 *
 * So the device leaves an emptied model for one with p > keep q: p and q are in the same unit and
 * say what each loses without the device. These are the Whittle indices of a queue with set-up
 * times, derived here.
 *
 * In the long run prices stand still; in a backlog they fall until it is cleared, H seconds from
 * now, and then what a visit occupies counts too. The bid of a model, by which those that wait are
 * ranked, is the price x at which
 *
 *     n = sqrt(2 rate s (1 - load) x) + (s + n work) x / H
 *
 * which is p for a far H and n H / (s + n work), the rule of most requests a second, for a near
 * one. Where costs depend on where the device comes from, the best order of the highest bids is
 * searched and its first model taken. A visit is exhaustive: as long as requests queue it goes on.
 */
#include <shunt/shunt.h>

enum {
    KEEP,
    CLOSE,
    HORIZON,
    ORDER,
    DOUBT,
    MEMORY,
    WEIGHT,
    UNKNOWN_SWITCH,
    UNKNOWN_WORK,
    PARAM_COUNT
};

#define ORDER_MAX 6

#define LIVE_TUNE (SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE)

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_REAL(1, "keep", LIVE_TUNE, 2.0, 0, 20, "ratio",
                       "How many times more the device must be worth to another model before one "
                       "with nothing left to do gives it up. 0: at once. Higher: fewer switches "
                       "under light load."),
    SHUNT_DECLARE_REAL(2, "close", LIVE_TUNE, 4.0, 0, 100, "ratio",
                       "How many times more letting arrivals in must cost the others than turning "
                       "them away costs themselves, before a model with work in flight stops "
                       "admitting and drains. 0: as soon as its queue is empty. Higher: fewer "
                       "drains, longer visits."),
    SHUNT_DECLARE_REAL(
        3, "horizon", LIVE_TUNE | SHUNT_PARAM_LOG_SCALE, 0.15, 0.001, 1000, "ratio",
        "Time in which prices are thought to fall, in what clearing the backlog "
        "takes, for each model that waits. Lower: most requests a second first. Higher: fairer to "
        "models that are rarely asked for."),
    SHUNT_DECLARE_INT(4, "order", LIVE_TUNE, 5, 1, ORDER_MAX, "models",
                      "How many of the highest bidders are put in the best order. 1: the highest "
                      "is next, wherever the device comes from."),
    SHUNT_DECLARE_REAL(5, "doubt", LIVE_TUNE, 10, 0, 1000, "requests",
                       "Arrivals after which a model's rate is half believed when it says that "
                       "keeping the device is worth while."),
    SHUNT_DECLARE_REAL(6, "memory", LIVE_TUNE | SHUNT_PARAM_LOG_SCALE, 100, 2, 10000, "requests",
                       "Gaps between arrivals over which a model's rate is learned."),
    SHUNT_DECLARE_REAL(7, "weight",
                       SHUNT_PARAM_LIVE | SHUNT_PARAM_PER_MODEL | SHUNT_PARAM_LOG_SCALE, 1.0, 0.01,
                       100, "ratio", "Importance of one waiting request of this model."),
    SHUNT_DECLARE_DURATION(8, "unknown_switch", SHUNT_PARAM_LIVE, 10, 0, 3600,
                           "Cost assumed for a switch that has never been measured."),
    SHUNT_DECLARE_DURATION(9, "unknown_work", SHUNT_PARAM_LIVE, 1, 0.001, 3600,
                           "Device time assumed for a request while no model's is known; later "
                           "the mean of the known ones stands in."),
};

/* What is learned of one model's arrivals. */
struct flow {
    int64_t last_ns;
    double gap_s; /* mean of the latest gaps */
    double count; /* gaps behind it, at most the memory */
};

/* What a decision needs to know of one model. */
struct facts {
    double rate;   /* arrivals a second; 0: none seen yet */
    double work_s; /* device time of one request */
    double load;   /* rate work, below 1 */
};

struct horizon {
    const struct shunt_host *host;
    double keep, close, horizon, doubt, memory, unknown_switch_s, unknown_work_s;
    uint32_t order;
    double *weight;      /* by model */
    struct flow *flow;   /* by model */
    struct facts *facts; /* by model, of the present decision */
    double clear_s;      /* H of the present decision */
    uint32_t models, models_room;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct horizon *it = self;
    it->keep = shunt_param_real(set, KEEP, 0);
    it->close = shunt_param_real(set, CLOSE, 0);
    it->horizon = shunt_param_real(set, HORIZON, 0);
    it->order = (uint32_t)shunt_param_integer(set, ORDER, 0);
    it->doubt = shunt_param_real(set, DOUBT, 0);
    it->memory = shunt_param_real(set, MEMORY, 0);
    it->unknown_switch_s = (double)shunt_param_integer(set, UNKNOWN_SWITCH, 0) * 1e-9;
    it->unknown_work_s = (double)shunt_param_integer(set, UNKNOWN_WORK, 0) * 1e-9;
    for (uint32_t i = 0; i < it->models; i++) {
        it->weight[i] = shunt_param_real(set, WEIGHT, i);
    }
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct horizon *it = host->alloc(host, sizeof *it);
    if (!it) {
        return -1;
    }
    it->host = host;
    param_set(it, set);
    *ret_self = it;
    return 0;
}

/* ------------------------------------------------------------------ arrivals */

/* Begins anew from the rates that the host has learned. */
static void on_resync(void *self, const struct shunt_snapshot *snapshot)
{
    struct horizon *it = self;
    const double *rate = shunt_f64(snapshot, SHUNT_COL_ARRIVAL_RATE);
    const uint64_t *arrivals = shunt_u64(snapshot, SHUNT_COL_ARRIVALS);
    const int64_t *last = shunt_i64(snapshot, SHUNT_COL_LAST_ARRIVAL_NS);
    for (uint32_t i = 0; i < it->models; i++) {
        it->flow[i] = (struct flow){.last_ns = snapshot->now_ns};
        if (rate && arrivals && last && arrivals[i] > 0 && rate[i] > 0) {
            double count = (double)arrivals[i];
            it->flow[i] = (struct flow){.last_ns = last[i],
                                        .gap_s = 1 / rate[i],
                                        .count = count < it->memory ? count : it->memory};
        }
    }
}

/* param_set brings the weights by the new indices. */
static int models_changed(void *self, const struct shunt_snapshot *snapshot)
{
    struct horizon *it = self;
    it->models = shunt_model_count(snapshot);
    if (it->models > it->models_room) {
        it->weight = it->host->alloc(it->host, it->models * sizeof *it->weight);
        it->flow = it->host->alloc(it->host, it->models * sizeof *it->flow);
        it->facts = it->host->alloc(it->host, it->models * sizeof *it->facts);
        it->models_room = it->weight && it->flow && it->facts ? it->models : 0;
    }
    if (it->models > it->models_room) {
        it->models = 0;
        return -1;
    }
    on_resync(it, snapshot);
    return 0;
}

static void on_arrival(void *self, const struct shunt_request_event *event)
{
    struct horizon *it = self;
    if (event->model >= it->models) {
        return;
    }
    struct flow *flow = &it->flow[event->model];
    double gap_s = (double)(event->t_ns - flow->last_ns) * 1e-9;
    flow->count = flow->count + 1 < it->memory ? flow->count + 1 : it->memory;
    flow->gap_s += (gap_s - flow->gap_s) / flow->count;
    flow->last_ns = event->t_ns;
}

/* Arrivals a second; a silence of more than three mean gaps lowers it. */
static double rate_of(const struct flow *flow, int64_t now_ns)
{
    if (flow->count < 1) {
        return 0;
    }
    double silence_s = (double)(now_ns - flow->last_ns) * 1e-9;
    double gap_s = flow->gap_s > silence_s / 3 ? flow->gap_s : silence_s / 3;
    return 1 / (gap_s > 1e-6 ? gap_s : 1e-6);
}

/* ------------------------------------------------------------------ prices */

/* What a visit takes from all others: the switch and the visited model's own drain. */
struct trip {
    double mean_s, second_s2; /* first two moments */
};

static struct trip trip_of(const struct horizon *it, const struct shunt_ask *ask, uint32_t from,
                           uint32_t to)
{
    double mean_s = shunt_cost_ns(ask->costs, from, to, it->unknown_switch_s * 1e9) * 1e-9;
    double variance_s2 = 0;
    const struct shunt_column *column =
        ask->costs ? shunt_column_find(ask->costs, SHUNT_COL_COST_VAR_NS2) : NULL;
    if (column) {
        size_t row = from < it->models ? from : it->models;
        const double *variance =
            (const double *)(const void *)((const char *)(const void *)ask->costs + column->offset);
        double known_s2 = variance[row * column->stride + to] * 1e-18;
        variance_s2 = known_s2 > 0 ? known_s2 : 0;
    }
    const double *drain = shunt_f64(ask->snapshot, SHUNT_COL_DRAIN_MEAN_NS);
    mean_s += drain && drain[to] > 0 ? drain[to] * 1e-9 : 0;
    mean_s = mean_s > 1e-3 ? mean_s : 1e-3;
    return (struct trip){mean_s, mean_s * mean_s + variance_s2};
}

/* p: the price at which a visit to `n` waiting is just worth while, in the long run. */
static double long_run_price(const struct facts *f, struct trip trip, double n)
{
    if (!(f->rate > 0)) {
        return 0;
    }
    double cycle_s = n / f->rate + trip.mean_s;
    double waited = n * (n - 1) / (2 * f->rate) + trip.mean_s * n + f->rate * trip.second_s2 / 2;
    double price = (f->rate * cycle_s * cycle_s - waited) / (trip.mean_s * (1 - f->load));
    return price > 0 ? price : 0;
}

/* x: the same while prices fall to nothing in `clear_s`. */
static double bid(const struct horizon *it, const struct facts *f, struct trip trip, double n)
{
    double still = 2 * f->rate * trip.mean_s * (1 - f->load);
    double falling = (trip.mean_s + n * f->work_s) / it->clear_s;
    double root = (it->host->sqrt(still + 4 * n * falling) - it->host->sqrt(still)) / (2 * falling);
    return root * root;
}

/* q: the price at which an emptied model just keeps the device. */
static double keeping_price(const struct horizon *it, const struct facts *f, struct trip trip)
{
    if (!(f->rate > 0)) {
        return 0;
    }
    double n = (double)(int64_t)(f->rate * it->host->sqrt(trip.second_s2));
    double best = 0;
    for (n = n > 1 ? n : 1;; n += 1) { /* convex in n: the best is next to the real optimum */
        double waited =
            n * (n - 1) / (2 * f->rate) + trip.mean_s * n + f->rate * trip.second_s2 / 2;
        double price = waited / ((1 - f->load) * n / f->rate);
        if (best > 0 && price >= best) {
            return best;
        }
        best = price;
    }
}

/* ------------------------------------------------------------------ the decision */

/* Looks up what is known of every model, and in what time prices fall: the longer, the more models
 * are in each other's way. */
static void find_facts(struct horizon *it, const struct shunt_ask *ask, uint32_t here)
{
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    double rivals = 0, known = 0, known_s = 0, load = 0, clear_s = 1;
    for (uint32_t i = 0; i < it->models; i++) {
        it->facts[i].work_s = shunt_work_s(ask->snapshot, i, 0);
        known_s += it->facts[i].work_s;
        known += it->facts[i].work_s > 0;
    }
    for (uint32_t i = 0; i < it->models; i++) {
        struct facts *f = &it->facts[i];
        if (!(f->work_s > 0)) {
            f->work_s = known > 0 ? known_s / known : it->unknown_work_s;
        }
        f->rate = rate_of(&it->flow[i], ask->now_ns);
        f->load = f->rate * f->work_s < 0.95 ? f->rate * f->work_s : 0.95;
        load += f->load;
        if (i != here && queued && queued[i] > 0) {
            clear_s += trip_of(it, ask, here, i).mean_s + queued[i] * f->work_s;
            rivals += 1;
        }
    }
    it->clear_s = it->horizon * (rivals > 1 ? rivals : 1) * clear_s / (load < 0.8 ? 1 - load : 0.2);
}

/* The highest bidders, put in order. */
struct order {
    uint32_t count, models[ORDER_MAX];
    double way_s[ORDER_MAX + 1][ORDER_MAX]; /* from each, and in the last row from here */
    double visit_s[ORDER_MAX];
    double worth[ORDER_MAX]; /* lost by each second that the visit comes later */
    double least;            /* loss of the best order so far */
    uint32_t first;          /* where it begins */
};

/* Tries all ways to go on from `from` at `time_s`. */
static void try_orders(struct order *o, uint32_t from, uint32_t done, uint32_t first, double time_s,
                       double loss)
{
    if (loss >= o->least) {
        return;
    }
    if (done == (1U << o->count) - 1) {
        o->least = loss;
        o->first = first;
        return;
    }
    for (uint32_t i = 0; i < o->count; i++) {
        if (!(done >> i & 1)) {
            double start_s = time_s + o->way_s[from][i];
            try_orders(o, i, done | 1U << i, done ? first : i, start_s + o->visit_s[i],
                       loss + o->worth[i] * (start_s + o->visit_s[i] / 2));
        }
    }
}

/*
 * The model to visit next: the first of the best order of the highest bidders. A visit is worth its
 * bid times what it occupies, so with costs that do not depend on where the device comes from the
 * best order is that of the bids (Smith's rule).
 */
static uint32_t next_of(const struct horizon *it, const struct shunt_ask *ask, uint32_t here,
                        const double *bids, uint32_t highest)
{
    struct order o = {.least = 1e300};
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    for (uint32_t i = 0; i < it->models; i++) { /* insertion into the `order` highest */
        if (!(bids[i] > 0) || i == here) {
            continue;
        }
        uint32_t at = o.count < it->order ? o.count++ : o.count;
        for (; at > 0 && bids[o.models[at - 1]] < bids[i]; at--) {
            if (at < o.count) {
                o.models[at] = o.models[at - 1];
            }
        }
        if (at < o.count) {
            o.models[at] = i;
        }
    }
    if (o.count < 2) {
        return highest;
    }
    for (uint32_t i = 0; i < o.count; i++) {
        const struct facts *f = &it->facts[o.models[i]];
        for (uint32_t from = 0; from < o.count; from++) {
            o.way_s[from][i] = trip_of(it, ask, o.models[from], o.models[i]).mean_s;
        }
        double way_s = trip_of(it, ask, here, o.models[i]).mean_s;
        o.way_s[ORDER_MAX][i] = way_s;
        o.visit_s[i] = queued[o.models[i]] * f->work_s / (1 - f->load);
        o.worth[i] = bids[o.models[i]] * (way_s + o.visit_s[i]);
    }
    try_orders(&o, ORDER_MAX, 0, 0, 0, 0);
    return o.models[o.first];
}

/*
 * 1 if the emptied model `turn->model` should give the device up for `next`.
 *
 * With k requests in flight nobody is kept waiting by going on until they end, but for each arrival
 * that is let in meanwhile, which makes that later by m / (k + 1) where requests take m. Turned
 * away it would wait until the device is back: the time to bid as much, at least the way to `next`,
 * its visit and the way back.
 */
static int is_worth_leaving(const struct horizon *it, const struct shunt_ask *ask,
                            const struct shunt_turn *turn, uint32_t next, uint32_t queued)
{
    const struct facts *f = &it->facts[turn->model], *other = &it->facts[next];
    struct trip there = trip_of(it, ask, turn->model, next);
    struct trip back = trip_of(it, ask, next, turn->model);
    double price = it->weight[next] * long_run_price(other, there, queued);
    double weight = it->weight[turn->model];
    if (turn->in_flight == 0) {
        double count = it->flow[turn->model].count;
        double trust = count > 0 ? count / (count + it->doubt) : 0;
        return price > it->keep * trust * weight * keeping_price(it, f, back);
    }
    const double *service = shunt_f64(ask->snapshot, SHUNT_COL_SERVICE_MEAN_NS);
    double service_s =
        service && service[turn->model] > 0 ? service[turn->model] * 1e-9 : f->work_s;
    double away_s = there.mean_s + queued * other->work_s / (1 - other->load) + back.mean_s;
    if (f->rate > 0) {
        double long_run_s = it->host->sqrt(2 * price * back.mean_s * (1 - f->load) / f->rate);
        away_s = away_s > long_run_s ? away_s : long_run_s;
    }
    return price * service_s > it->close * weight * away_s * (turn->in_flight + 1);
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    struct horizon *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const uint32_t *slots = shunt_u32(ask->snapshot, SHUNT_COL_MAX_CONCURRENCY);
    struct shunt_turn turn = shunt_find_turn(ask);
    if (!queued || !slots || answer->score_count < it->models) {
        return shunt_stay(decision, SHUNT_REASON_NONE);
    }
    find_facts(it, ask, turn.model);
    uint32_t next = SHUNT_NONE;
    for (uint32_t i = 0; i < it->models; i++) {
        if (i == turn.model || !shunt_waits(&waiters, i)) {
            continue;
        }
        answer->scores[i] =
            it->weight[i] * bid(it, &it->facts[i], trip_of(it, ask, turn.model, i), queued[i]);
        if (next == SHUNT_NONE || answer->scores[i] > answer->scores[next]) {
            next = i;
        }
    }
    if (next == SHUNT_NONE) {
        return shunt_stay(decision, SHUNT_REASON_NOTHING_WAITS);
    }
    /* A decided switch is kept: bids move while the device drains. */
    if (turn.target < it->models && turn.target != turn.model &&
        shunt_waits(&waiters, turn.target)) {
        return shunt_switch_to(decision, turn.target, SHUNT_REASON_HYSTERESIS);
    }
    if (shunt_fits_beside(ask, next)) {
        return shunt_switch_to(decision, next, SHUNT_REASON_SCORE);
    }
    next = next_of(it, ask, turn.model, answer->scores, next);
    if (turn.model >= it->models || ask->why & SHUNT_WHY_VISIT_CAP) {
        return shunt_switch_to(decision, next, SHUNT_REASON_SCORE);
    }
    if ((turn.queued > 0 && !turn.waits) || (turn.in_flight > 0 && slots[turn.model] == 1)) {
        return shunt_stay(decision, SHUNT_REASON_WITHIN_QUANTUM);
    }
    if (is_worth_leaving(it, ask, &turn, next, queued[next])) {
        return shunt_switch_to(decision, next, SHUNT_REASON_SCORE);
    }
    if (turn.in_flight > 0) {
        return shunt_stay(decision, SHUNT_REASON_BATCH_UP);
    }
    /* Silence makes keeping the device worth less: ask again after a few gaps. */
    double rate = it->facts[turn.model].rate;
    double gap_s = rate > 1.0 / 60 ? 1 / rate : 60;
    return shunt_linger(decision, ask->now_ns + (int64_t)(gap_s * 1e9) + 1, SHUNT_REASON_BATCH_UP);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .models_changed = models_changed,
    .on_resync = on_resync,
    .on_arrival = on_arrival,
    .decide = decide,
    .param_set = param_set,
};

SHUNT_POLICY_DEFINE("horizon", "1.0.0", "MIT",
                    "Every model rents the device; the highest bidder gets it.", 0, 0, .ops = &ops,
                    .params = params, .param_count = PARAM_COUNT);
