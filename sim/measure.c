/*
 * Sums, integrals and sketches of a run. See measure.h.
 *
 * Everything that is added up while the run goes on is an integer; doubles are made at the end, in
 * a fixed order, so that figures do not depend on the build. An event costs what the model that it
 * is about costs: integrals of the others stand still until they are read.
 */
#include "sim/measure.h"

#include "base/histogram.h"
#include "core/fmath.h"
#include "sim/batch_means.h"
#include "sim/blocks.h"
#include "sim/bound.h"
#include "sim/wide.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLASSES = ARRIVALS_CLASSES,
    QUARTER_BINS = 256,           /* of consecutive measured arrivals */
    QUARTER_REQUESTS_MIN = 400,   /* below, quarters say nothing about growth */
    OVERLOAD_BACKLOG_MIN = 20,    /* fewer left over say nothing either */
    WARMUP_ARRIVALS_A_VISIT = 50, /* patience for visits where the number of arrivals is unknown */
    SPAN_HOURS = 2,               /* longer traces have their load weighted by request */
};

/* A distribution with the error of its mean. */
struct stat {
    struct batch_means means;
    struct histogram sketch;
};

struct model_figures {
    uint32_t queued, in_flight;
    int64_t at_ns; /* until when the integrals are made */
    wide queue_integral, flight_integral;
    wide wait_sum;                          /* of the times spent in its queue */
    int64_t switch_start_ns, switch_end_ns; /* of the last one to it that succeeded */
    uint64_t completed;                     /* measured */
    struct stat wait;
};

/* Kept from the first request on that is not of the first class; until then the figures of all
 * requests are that class's. */
struct class_figures {
    uint64_t completed;
    struct stat wait, ttft;
};

/* A switch under way on a device. */
struct device_figures {
    uint32_t target;
    int64_t start_ns;
};

/* Totals at the edge of a window. */
struct border {
    int64_t t_ns;
    int64_t state_ns[SHUNT_DEVICE_STATE_COUNT];
    wide batch_integral;
    wide work, tokens; /* completed */
    wide nonserving_work;
    int64_t nonserving_ns;
    wide *queue_integral, *flight_integral; /* by model */
};

struct measure {
    const struct scenario *scenario;
    struct core *core;
    uint64_t seed;
    uint32_t model_count, device_count;

    /* The measured window. */
    uint64_t warmup_arrivals, warmup_patience;
    bool measuring, ended;
    uint64_t first_number;
    struct border start, first, last;

    uint64_t offered, accepted, completed_measured;
    uint64_t outcomes[SHUNT_OUTCOME_REJECTED + 1];
    uint64_t arrivals_measured, backlog;
    uint64_t visits, switches, switches_measured, switches_failed;
    wide work, tokens; /* completed */
    bool any_tokens;

    /* The load. */
    int64_t first_arrival_ns, last_arrival_ns;
    wide work_offered;
    int64_t hour_ns, hour_end_ns; /* an hour of the trace's own clock */
    wide hour_work;
    double hour_squares; /* of seconds */

    /* Work that waits while nothing is served. */
    uint32_t in_flight;
    int64_t work_at_ns;
    wide queued_work;
    wide nonserving_work;
    int64_t nonserving_ns;

    /* Of measured requests, but for wait_all and warmup_wait. */
    struct batch_means wait, wait_all;
    struct histogram warmup_wait;
    struct stat to_switch, ttft, response;
    uint64_t quarter_count[QUARTER_BINS];
    wide quarter_sum[QUARTER_BINS];
    uint32_t quarter_shift;

    bool several_classes;
    struct class_figures classes[CLASSES];
    struct device_figures *devices;
    struct model_figures *models;
    struct blocks *blocks; /* NULL: not asked for */
};

/* ------------------------------------------------------------------ integrals */

/* Brings the integrals of one model up to t_ns. */
static void touch_model(struct model_figures *model, int64_t t_ns)
{
    int64_t passed_ns = t_ns - model->at_ns;
    assert(passed_ns >= 0);
    model->queue_integral += (wide)passed_ns * model->queued;
    model->flight_integral += (wide)passed_ns * model->in_flight;
    model->at_ns = t_ns;
}

/* Likewise the work that waits while nothing is served. */
static void touch_work(struct measure *m, int64_t t_ns)
{
    if (m->in_flight == 0) {
        int64_t passed_ns = t_ns - m->work_at_ns;
        m->nonserving_work += m->queued_work * passed_ns;
        m->nonserving_ns += passed_ns;
    }
    m->work_at_ns = t_ns;
}

static struct model_figures *touch(struct measure *m, const struct sim_request *request,
                                   int64_t t_ns)
{
    assert(request->model < m->model_count);
    struct model_figures *model = &m->models[request->model];
    touch_model(model, t_ns);
    touch_work(m, t_ns);
    return model;
}

static void take_border(struct measure *m, int64_t t_ns, struct border *border)
{
    touch_work(m, t_ns);
    border->t_ns = t_ns;
    border->work = m->work;
    border->tokens = m->tokens;
    border->nonserving_work = m->nonserving_work;
    border->nonserving_ns = m->nonserving_ns;
    border->batch_integral = 0;
    memset(border->state_ns, 0, sizeof(border->state_ns));
    for (uint32_t i = 0; i < m->model_count; i++) {
        touch_model(&m->models[i], t_ns);
        border->queue_integral[i] = m->models[i].queue_integral;
        border->flight_integral[i] = m->models[i].flight_integral;
    }
    for (uint32_t i = 0; i < m->device_count; i++) {
        struct core_device_stats stats;
        core_device_stats(m->core, i, t_ns, &stats);
        border->batch_integral += stats.batch_integral_ns;
        for (uint32_t s = 0; s < SHUNT_DEVICE_STATE_COUNT; s++) {
            border->state_ns[s] += stats.state_ns[s];
        }
    }
}

/* ------------------------------------------------------------------ making */

static int border_init(struct border *border, uint32_t models)
{
    border->queue_integral = calloc(2 * (size_t)models, sizeof(*border->queue_integral));
    border->flight_integral = border->queue_integral ? border->queue_integral + models : NULL;
    return border->queue_integral ? 0 : -ENOMEM;
}

/* The stretch that all traces share; NaN where there is none, or they differ. */
static double stretch_of(const struct scenario *scenario)
{
    double stretch = (double)NAN;
    for (size_t i = 0; i < scenario->arrivals.sources_len; i++) {
        const struct arrivals_source *source = &scenario->arrivals.sources[i];
        if (source->kind != ARRIVALS_TRACE && source->kind != ARRIVALS_FITTED) {
            continue;
        }
        if (!isnan(stretch) && stretch != source->stretch) {
            return (double)NAN;
        }
        stretch = source->stretch;
    }
    return stretch;
}

/* An hour of the clock of the traces, on the clock of the run. */
static int64_t stretched_hour_ns(const struct scenario *scenario)
{
    double stretch = stretch_of(scenario);
    double hour = 3600e9 * (isnan(stretch) ? 1 : stretch);
    return hour < 1e9 ? CORE_NS_PER_S : hour > 1e17 ? (int64_t)1e17 : (int64_t)(hour + 0.5);
}

int measure_create(const struct scenario *scenario, struct core *core, uint64_t seed,
                   uint64_t arrivals, struct measure **ret_measure)
{
    struct measure *m = calloc(1, sizeof(*m));
    if (!m) {
        return -ENOMEM;
    }
    m->scenario = scenario;
    m->core = core;
    m->seed = seed;
    m->model_count = scenario_models(scenario);
    m->device_count = scenario_devices(scenario);
    m->models = calloc(m->model_count + 1u, sizeof(*m->models));
    m->devices = calloc(m->device_count + 1u, sizeof(*m->devices));
    int rc = m->models && m->devices ? 0 : -ENOMEM;
    rc = rc ? rc : border_init(&m->start, m->model_count + 1);
    rc = rc ? rc : border_init(&m->first, m->model_count + 1);
    rc = rc ? rc : border_init(&m->last, m->model_count + 1);
    if (rc) {
        measure_destroy(m);
        return rc;
    }
    for (uint32_t i = 0; i < m->model_count; i++) {
        m->models[i].switch_end_ns = -1;
    }
    for (uint32_t i = 0; i < m->device_count; i++) {
        m->devices[i].target = CORE_NONE;
    }
    m->warmup_arrivals = (uint64_t)(scenario->warmup_fraction * (double)arrivals);
    m->warmup_patience = arrivals / 5;
    if (arrivals == 0) {
        m->warmup_patience = scenario->warmup_visits > UINT64_MAX / WARMUP_ARRIVALS_A_VISIT
                                 ? UINT64_MAX
                                 : scenario->warmup_visits * WARMUP_ARRIVALS_A_VISIT;
    }
    m->hour_ns = stretched_hour_ns(scenario);
    m->hour_end_ns = m->hour_ns;
    take_border(m, 0, &m->start);
    *ret_measure = m;
    return 0;
}

int measure_blocks(struct measure *m, uint32_t count, uint64_t arrivals)
{
    assert(!m->blocks && m->offered == 0);
    return blocks_create(count, arrivals, &m->blocks);
}

void measure_destroy(struct measure *m)
{
    if (m) {
        blocks_destroy(m->blocks);
        free(m->start.queue_integral);
        free(m->first.queue_integral);
        free(m->last.queue_integral);
        free(m->models);
        free(m->devices);
        free(m);
    }
}

/* ------------------------------------------------------------------ events */

static void close_hours(struct measure *m, int64_t t_ns)
{
    double seconds = wide_seconds(m->hour_work);
    m->hour_squares += seconds * seconds;
    m->hour_work = 0;
    m->hour_end_ns = (t_ns / m->hour_ns + 1) * m->hour_ns;
}

static void add_load(struct measure *m, int64_t work_ns, int64_t t_ns)
{
    if (t_ns >= m->hour_end_ns) {
        close_hours(m, t_ns);
    }
    m->hour_work += work_ns;
    m->work_offered += work_ns;
    m->first_arrival_ns = m->offered == 0 ? t_ns : m->first_arrival_ns;
    m->last_arrival_ns = t_ns;
}

static bool warm(const struct measure *m)
{
    return m->offered >= m->warmup_arrivals &&
           (m->visits >= m->scenario->warmup_visits || m->offered >= m->warmup_patience);
}

void measure_arrival(struct measure *m, struct sim_request *request, int64_t t_ns)
{
    assert(t_ns == request->arrival_ns && t_ns >= m->last_arrival_ns);
    if (!m->measuring && warm(m)) {
        m->measuring = true;
        m->first_number = m->offered;
        take_border(m, t_ns, &m->first);
    }
    add_load(m, request->work_ns, t_ns);
    request->measured = m->measuring;
    if (m->blocks) {
        blocks_arrival(m->blocks, request->number, request->measured, t_ns, m->work);
    }
    m->offered++;
    m->arrivals_measured += m->measuring;
}

static void enter_queue(struct measure *m, const struct sim_request *request,
                        struct model_figures *model)
{
    model->queued++;
    m->queued_work += request->work_ns;
}

static void leave_queue(struct measure *m, const struct sim_request *request,
                        struct model_figures *model, int64_t t_ns)
{
    assert(model->queued > 0);
    model->queued--;
    model->wait_sum += t_ns - request->arrival_ns;
    m->queued_work -= request->work_ns;
}

void measure_accepted(struct measure *m, const struct sim_request *request, int64_t t_ns)
{
    m->accepted++;
    enter_queue(m, request, touch(m, request, t_ns));
}

void measure_dispatched(struct measure *m, struct sim_request *request, int64_t t_ns)
{
    struct model_figures *model = touch(m, request, t_ns);
    leave_queue(m, request, model, t_ns);
    model->in_flight++;
    m->in_flight++;
    request->switch_start_ns = t_ns;
    if (model->switch_end_ns == t_ns) {
        bool before = model->switch_start_ns < request->arrival_ns;
        request->switch_start_ns = before ? request->arrival_ns : model->switch_start_ns;
    }
}

void measure_requeued(struct measure *m, const struct sim_request *request, int64_t t_ns)
{
    struct model_figures *model = touch(m, request, t_ns);
    assert(model->in_flight > 0 && m->in_flight > 0);
    model->in_flight--;
    m->in_flight--;
    /* The wait until the next dispatch counts from here: that dispatch adds what is taken off. */
    model->wait_sum -= t_ns - request->arrival_ns;
    enter_queue(m, request, model);
}

void measure_first_token(struct measure *m, const struct sim_request *request, int64_t t_ns)
{
    (void)m;
    assert(request->first_token_ns == t_ns);
}

static void stat_add(struct stat *stat, int64_t value_ns)
{
    batch_means_add(&stat->means, value_ns);
    histogram_add(&stat->sketch, value_ns);
}

static void add_to_quarter(struct measure *m, uint64_t index, int64_t wait_ns)
{
    while (index >> m->quarter_shift >= QUARTER_BINS) {
        for (uint32_t i = 0; i < QUARTER_BINS; i++) {
            bool in = i < QUARTER_BINS / 2;
            m->quarter_count[i] = in ? m->quarter_count[2 * i] + m->quarter_count[2 * i + 1] : 0;
            m->quarter_sum[i] = in ? m->quarter_sum[2 * i] + m->quarter_sum[2 * i + 1] : 0;
        }
        m->quarter_shift++;
    }
    m->quarter_count[index >> m->quarter_shift]++;
    m->quarter_sum[index >> m->quarter_shift] += wait_ns;
}

/* The times that an ended request enters the figures with. */
struct times {
    int64_t wait_ns, to_switch_ns, ttft_ns, response_ns; /* ttft: -1 none */
    bool completed;
};

static struct times times_of(const struct measure *m, const struct sim_request *request,
                             bool completed, int64_t t_ns)
{
    int64_t arrival_ns = request->arrival_ns, spent_ns = t_ns - arrival_ns;
    if (completed) {
        return (struct times){
            .wait_ns = request->dispatch_ns - arrival_ns,
            .to_switch_ns = request->switch_start_ns - arrival_ns,
            .ttft_ns = request->first_token_ns < 0 ? -1 : request->first_token_ns - arrival_ns,
            .response_ns = spent_ns,
            .completed = true};
    }
    /* Not served: as long as the cap, or as it really took to be refused. */
    int64_t cap_ns = m->scenario->wait_cap_ns > spent_ns ? m->scenario->wait_cap_ns : spent_ns;
    bool tokens = m->scenario->models[request->model].service.kind == SCENARIO_BATCH;
    return (struct times){.wait_ns = cap_ns,
                          .to_switch_ns = cap_ns,
                          .ttft_ns = tokens ? cap_ns : -1,
                          .response_ns = cap_ns};
}

/* The waits of all measured requests: the sketches of the models put together. */
static void merge_models(const struct measure *m, struct histogram *sketch)
{
    for (uint32_t i = 0; i < m->model_count; i++) {
        histogram_merge(sketch, &m->models[i].wait.sketch);
    }
}

/* What was counted so far is the first class's. */
static void fill_first_class(const struct measure *m, struct class_figures *class)
{
    class->completed = m->completed_measured;
    class->wait.means = m->wait;
    merge_models(m, &class->wait.sketch);
    class->ttft = m->ttft;
}

static void add_class(struct measure *m, const struct sim_request *request,
                      const struct times *times)
{
    uint32_t index = request->service_class < CLASSES ? request->service_class : 0;
    struct class_figures *class = &m->classes[index];
    stat_add(&class->wait, times->wait_ns);
    if (times->ttft_ns >= 0) {
        stat_add(&class->ttft, times->ttft_ns);
    }
    class->completed += times->completed;
}

static void add_measured(struct measure *m, const struct sim_request *request,
                         struct model_figures *model, const struct times *times)
{
    if (request->service_class != 0 && !m->several_classes) {
        m->several_classes = true;
        fill_first_class(m, &m->classes[0]);
    }
    if (m->several_classes) {
        add_class(m, request, times);
    }
    stat_add(&model->wait, times->wait_ns);
    batch_means_add(&m->wait, times->wait_ns);
    stat_add(&m->to_switch, times->to_switch_ns);
    stat_add(&m->response, times->response_ns);
    if (times->ttft_ns >= 0) {
        stat_add(&m->ttft, times->ttft_ns);
    }
    add_to_quarter(m, request->number - m->first_number, times->wait_ns);
    if (m->blocks) {
        blocks_ended(m->blocks, request->number, times->wait_ns);
    }
    model->completed += times->completed;
    m->completed_measured += times->completed;
}

void measure_ended(struct measure *m, const struct sim_request *request, uint32_t outcome,
                   bool was_in_service, int64_t t_ns)
{
    assert(outcome <= SHUNT_OUTCOME_REJECTED);
    struct model_figures *model = touch(m, request, t_ns);
    if (was_in_service) {
        assert(model->in_flight > 0 && m->in_flight > 0);
        model->in_flight--;
        m->in_flight--;
    } else if (outcome != SHUNT_OUTCOME_REJECTED) {
        leave_queue(m, request, model, t_ns);
    }
    m->outcomes[outcome]++;
    bool completed = outcome == SHUNT_OUTCOME_COMPLETED;
    if (completed) {
        m->work += request->work_ns;
        if (request->output_tokens >= 0) {
            m->tokens += request->output_tokens;
            m->any_tokens = true;
        }
    }
    struct times times = times_of(m, request, completed, t_ns);
    batch_means_add(&m->wait_all, times.wait_ns);
    if (request->measured) {
        add_measured(m, request, model, &times);
    } else {
        histogram_add(&m->warmup_wait, times.wait_ns);
    }
}

void measure_switch_begins(struct measure *m, uint32_t device, uint32_t model, int64_t t_ns)
{
    assert(device < m->device_count);
    m->devices[device] = (struct device_figures){.target = model, .start_ns = t_ns};
    m->switches++;
    m->switches_measured += m->measuring && !m->ended;
}

void measure_switch_ended(struct measure *m, uint32_t device, bool ok, int64_t t_ns)
{
    assert(device < m->device_count);
    struct device_figures *d = &m->devices[device];
    if (!ok) {
        m->switches_failed++;
    } else if (d->target < m->model_count) {
        m->models[d->target].switch_start_ns = d->start_ns;
        m->models[d->target].switch_end_ns = t_ns;
    }
    d->target = CORE_NONE;
}

void measure_visit(struct measure *m, uint32_t model, int64_t t_ns)
{
    (void)model;
    (void)t_ns;
    m->visits++;
}

void measure_last_arrival(struct measure *m, int64_t t_ns)
{
    assert(!m->ended);
    if (!m->measuring) { /* an empty window, where it would have begun */
        take_border(m, t_ns, &m->first);
    }
    take_border(m, t_ns, &m->last);
    if (m->blocks) {
        blocks_last_arrival(m->blocks, t_ns, m->work);
    }
    m->ended = true;
    uint64_t gone = 0;
    for (uint32_t i = 0; i < SHUNT_OUTCOME_REJECTED; i++) {
        gone += m->outcomes[i];
    }
    m->backlog = m->accepted - gone;
}

/* ------------------------------------------------------------------ figures */

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : (double)NAN;
}

static struct result_stat figures(const struct batch_means *means, const struct histogram *sketch)
{
    struct batch_means_figures f = batch_means_figures(means);
    assert(sketch->count == batch_means_count(means));
    struct result_stat stat = {.count = sketch->count,
                               .mean_s = f.mean / 1e9,
                               .se_s = f.se / 1e9,
                               .batches = f.batches,
                               .lag1 = f.lag1,
                               .p50_s = (double)NAN,
                               .p95_s = (double)NAN,
                               .p99_s = (double)NAN,
                               .max_s = (double)NAN};
    if (stat.count > 0) {
        stat.p50_s = seconds(histogram_quantile(sketch, 0.50));
        stat.p95_s = seconds(histogram_quantile(sketch, 0.95));
        stat.p99_s = seconds(histogram_quantile(sketch, 0.99));
        stat.max_s = seconds(sketch->max);
    }
    return stat;
}

static void fill_time(const struct measure *m, const struct border *from, const struct border *to,
                      struct result_time *time)
{
    int64_t span_ns = to->t_ns - from->t_ns;
    double device_ns = (double)span_ns * m->device_count, state_ns[SHUNT_DEVICE_STATE_COUNT];
    for (uint32_t i = 0; i < SHUNT_DEVICE_STATE_COUNT; i++) {
        state_ns[i] = (double)(to->state_ns[i] - from->state_ns[i]);
    }
    time->span_s = seconds(span_ns);
    time->serving_frac = ratio(state_ns[SHUNT_DEVICE_SERVING], device_ns);
    time->draining_frac = ratio(state_ns[SHUNT_DEVICE_DRAINING], device_ns);
    time->switching_frac = ratio(state_ns[SHUNT_DEVICE_SWITCHING], device_ns);
    time->lingering_frac = ratio(state_ns[SHUNT_DEVICE_LINGERING], device_ns);
    time->idle_frac = ratio(state_ns[SHUNT_DEVICE_IDLE], device_ns);
    time->work_per_s = ratio((double)(to->work - from->work), (double)span_ns);
    time->tokens_per_s =
        m->any_tokens ? ratio((double)(to->tokens - from->tokens), seconds(span_ns)) : (double)NAN;
    time->mean_batch = ratio((double)(to->batch_integral - from->batch_integral),
                             state_ns[SHUNT_DEVICE_SERVING] + state_ns[SHUNT_DEVICE_DRAINING]);
}

static void fill_load(struct measure *m, struct result *r)
{
    int64_t span_ns = m->last_arrival_ns - m->first_arrival_ns;
    double trace_span_ns = (double)span_ns * (3600e9 / (double)m->hour_ns);
    double hour = wide_seconds(m->hour_work);
    double squares = m->hour_squares + hour * hour;
    r->stretch = stretch_of(m->scenario);
    r->switch_free_load = ratio((double)m->work_offered, (double)span_ns);
    r->load_request_weighted =
        m->scenario->load == SCENARIO_LOAD_REQUEST_WEIGHTED ||
        (m->scenario->load == SCENARIO_LOAD_AUTO && trace_span_ns > SPAN_HOURS * 3600e9);
    r->load = r->load_request_weighted
                  ? ratio(squares, seconds(m->hour_ns) * wide_seconds(m->work_offered))
                  : r->switch_free_load;
}

static void fill_guard(const struct measure *m, int64_t t_ns, struct result *r)
{
    uint64_t visits = 0, forced = 0;
    r->guarded = !m->scenario->guard_off;
    for (uint32_t d = 0; d < m->device_count; d++) {
        struct core_device_stats stats;
        core_device_stats(m->core, d, t_ns, &stats);
        visits += stats.visits;
        forced += stats.visits_forced;
        for (uint32_t k = 0; k < CORE_GUARD_KIND_COUNT; k++) {
            r->guard[k] += stats.guard[k];
        }
    }
    r->forced_share = visits > 0 ? (double)forced / (double)visits : 0;
    if (m->device_count > 0) {
        core_guard_values(m->core, 0, &r->guard_values);
    }
}

/* Keeps the largest of all models' bounds, or the reason of the first that has none. */
static void take_bound(struct result_bound *bound, int64_t bound_ns, const char *reason)
{
    if (bound->reason) {
        return;
    }
    if (bound_ns <= 0) {
        *bound = (struct result_bound){.value_s = (double)NAN,
                                       .reason = reason ? reason : "no bound holds"};
    } else if (isnan(bound->value_s) || seconds(bound_ns) > bound->value_s) {
        bound->value_s = seconds(bound_ns);
    }
}

static void fill_models(const struct measure *m, int64_t t_ns, struct result *r)
{
    static const struct result_bound none = {.value_s = (double)NAN};
    double span_ns = (double)(m->last.t_ns - m->first.t_ns);
    r->gap_bound = r->wait_bound = none;
    for (uint32_t i = 0; i < m->model_count; i++) {
        const struct model_figures *from = &m->models[i];
        struct result_model *to = &r->models[i];
        struct core_model_stats stats;
        struct core_bounds bounds;
        core_model_stats(m->core, i, t_ns, &stats);
        core_bounds_guaranteed(m->core, i, &bounds);
        *to = (struct result_model){
            .name = scenario_model_name(m->scenario, i),
            .completed = from->completed,
            .wait = figures(&from->wait.means, &from->wait.sketch),
            .queue_mean =
                ratio((double)(m->last.queue_integral[i] - m->first.queue_integral[i]), span_ns),
            .in_service_mean =
                ratio((double)(m->last.flight_integral[i] - m->first.flight_integral[i]), span_ns),
            .visits = stats.visits,
            .gap_max_s = seconds(stats.gap_max_ns),
            .gap_bound_s = bounds.gap_ns > 0 ? seconds(bounds.gap_ns) : (double)NAN};
        take_bound(&r->gap_bound, bounds.gap_ns, bounds.reason);
        take_bound(&r->wait_bound, bounds.wait_ns, bounds.reason);
    }
}

static void fill_classes(struct measure *m, struct result *r)
{
    if (!m->several_classes) {
        fill_first_class(m, &m->classes[0]);
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        const struct class_figures *class = &m->classes[i];
        if (class->wait.sketch.count > 0) {
            r->classes[r->class_count++] =
                (struct result_class){.name = arrivals_class_name(i),
                                      .completed = class->completed,
                                      .wait = figures(&class->wait.means, &class->wait.sketch),
                                      .ttft = figures(&class->ttft.means, &class->ttft.sketch)};
        }
    }
}

static void fill_waits(const struct measure *m, struct histogram *sketch, struct result *r)
{
    merge_models(m, sketch);
    r->wait = figures(&m->wait, sketch);
    histogram_merge(sketch, &m->warmup_wait);
    r->wait_all = figures(&m->wait_all, sketch);
    r->wait_to_switch_start = figures(&m->to_switch.means, &m->to_switch.sketch);
    r->ttft = figures(&m->ttft.means, &m->ttft.sketch);
    r->response = figures(&m->response.means, &m->response.sketch);
    r->wait_cap_s = seconds(m->scenario->wait_cap_ns);
}

static void fill_quarters(const struct measure *m, struct result *r)
{
    uint64_t count[4] = {0};
    wide sum[4] = {0};
    for (uint64_t i = 0; i < QUARTER_BINS; i++) {
        uint64_t middle = (i << m->quarter_shift) + ((UINT64_C(1) << m->quarter_shift) >> 1);
        uint64_t quarter = m->arrivals_measured > 0 ? middle * 4 / m->arrivals_measured : 0;
        quarter = quarter > 3 ? 3 : quarter;
        count[quarter] += m->quarter_count[i];
        sum[quarter] += m->quarter_sum[i];
    }
    for (uint32_t i = 0; i < 4; i++) {
        r->wait_quarter_s[i] = ratio(wide_seconds(sum[i]), (double)count[i]);
    }
    bool grows = m->arrivals_measured >= QUARTER_REQUESTS_MIN &&
                 r->wait_quarter_s[3] > 3 * r->wait_quarter_s[1];
    bool left = m->backlog > OVERLOAD_BACKLOG_MIN && m->backlog > m->offered / 20;
    r->overloaded = grows || left;
}

static void fill_fairness(const struct measure *m, struct result *r)
{
    double sum = 0, squares = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->model_count; i++) {
        if (r->models[i].wait.count > 0) {
            sum += r->models[i].wait.mean_s;
            squares += r->models[i].wait.mean_s * r->models[i].wait.mean_s;
            n++;
        }
    }
    r->jain = n == 0 ? (double)NAN : squares > 0 ? sum * sum / (n * squares) : 1;
    r->work_at_nonserving_s = (double)NAN;
    if (m->device_count == 1) {
        r->work_at_nonserving_s =
            ratio(wide_seconds(m->last.nonserving_work - m->first.nonserving_work),
                  (double)(m->last.nonserving_ns - m->first.nonserving_ns));
    }
}

static void fill_exact(const struct measure *m, const struct border *end, struct result *r)
{
    wide waits = 0, integral = 0, states = 0;
    bool holds = true;
    for (uint32_t i = 0; i < m->model_count; i++) {
        const struct model_figures *model = &m->models[i];
        waits += model->wait_sum;
        integral += model->queue_integral;
        holds = holds && model->wait_sum == model->queue_integral && model->queued == 0 &&
                model->in_flight == 0;
    }
    for (uint32_t s = 0; s < SHUNT_DEVICE_STATE_COUNT; s++) {
        r->exact.state_ns[s] = end->state_ns[s] - m->start.state_ns[s];
        states += r->exact.state_ns[s];
    }
    uint64_t ended = 0;
    for (uint32_t i = 0; i <= SHUNT_OUTCOME_REJECTED; i++) {
        ended += m->outcomes[i];
    }
    r->exact.wait_sum_low = wide_low(waits);
    r->exact.wait_sum_high = wide_high(waits);
    r->exact.queue_integral_low = wide_low(integral);
    r->exact.queue_integral_high = wide_high(integral);
    r->exact.elapsed_ns = end->t_ns - m->start.t_ns;
    r->exact.holds =
        holds && states == (wide)r->exact.elapsed_ns * m->device_count && ended == m->offered;
}

static void fill_requests(const struct measure *m, struct result *r)
{
    r->requests = (struct result_requests){.offered = m->offered,
                                           .completed = m->outcomes[SHUNT_OUTCOME_COMPLETED],
                                           .rejected = m->outcomes[SHUNT_OUTCOME_REJECTED],
                                           .cancelled = m->outcomes[SHUNT_OUTCOME_CANCELLED],
                                           .expired = m->outcomes[SHUNT_OUTCOME_EXPIRED],
                                           .failed = m->outcomes[SHUNT_OUTCOME_FAILED],
                                           .cut = m->outcomes[SHUNT_OUTCOME_CUT],
                                           .backlog_at_last_arrival = m->backlog,
                                           .warmup = m->offered - m->arrivals_measured};
    r->switches = m->switches_measured;
    r->switches_per_request = ratio((double)m->switches_measured, (double)m->arrivals_measured);
    r->switches_failed = m->switches_failed;
}

int measure_finish(struct measure *m, int64_t t_ns, uint64_t events, struct result *ret_result)
{
    struct result r = {.scenario = m->scenario, .seed = m->seed, .events = events};
    struct border end = {0};
    struct histogram *sketch = calloc(1, sizeof(*sketch));
    r.models = calloc(m->model_count + 1u, sizeof(*r.models));
    r.classes = calloc(CLASSES, sizeof(*r.classes));
    r.model_count = m->model_count;
    if (!sketch || !r.models || !r.classes || border_init(&end, m->model_count + 1)) {
        free(sketch);
        result_fini(&r);
        return -ENOMEM;
    }
    if (m->blocks && blocks_figures(m->blocks, &r.blocks, &r.block_count)) {
        free(end.queue_integral);
        free(sketch);
        result_fini(&r);
        return -ENOMEM;
    }
    if (!m->ended) {
        measure_last_arrival(m, t_ns);
    }
    take_border(m, t_ns, &end);
    fill_requests(m, &r);
    fill_load(m, &r);
    fill_guard(m, t_ns, &r);
    fill_time(m, &m->first, &m->last, &r.time);
    fill_time(m, &m->start, &end, &r.time_all);
    fill_models(m, t_ns, &r);
    fill_classes(m, &r);
    fill_waits(m, sketch, &r);
    fill_quarters(m, &r);
    fill_fairness(m, &r);
    fill_exact(m, &end, &r);
    bound_of_run(m->scenario, &r);
    free(end.queue_integral);
    free(sketch);
    *ret_result = r;
    return 0;
}
