/* Bounded records of a run for its report: see series.h. */
#include "sim/series.h"

#include "base/histogram.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* About a millisecond: bins double from here, some 30 times for a run of a week. */
#define BIN_NS_FIRST (INT64_C(1) << 20)

/* A value over time: its integral in each bin of a row of cells. */
struct track {
    int64_t since_ns;
    double value;
    double *cells; /* SERIES_BINS, value x ns */
    double *peaks; /* SERIES_BINS; NULL: not kept */
};

struct segment {
    int64_t from_ns, to_ns;
    uint32_t instance;
    enum series_phase phase;
};

struct instance {
    uint32_t model, device;
    enum series_phase phase;
    int64_t since_ns;
    struct track resident, moving;
};

struct series {
    uint32_t model_count, device_count, instance_count;
    char **names; /* of models, then of devices */
    int64_t wait_cap_ns;
    int64_t bin_ns;
    int64_t last_ns; /* of the last input */
    bool configured;
    bool queues_changed; /* in a way that actions do not tell */
    struct track *queues;
    struct track *states; /* [device * SHUNT_DEVICE_STATE_COUNT + state] */
    uint32_t *state_now;  /* [device] */
    struct instance *instances;
    struct histogram *waits; /* [model], then all */
    double *cells;           /* of queues and states: one allocation */
    double *instance_cells;
    struct segment *segments; /* SERIES_SEGMENTS */
    uint32_t segment_count;
    int64_t segments_end_ns; /* CORE_NEVER while all have fitted */
};

/* ------------------------------------------------------------------ tracks */

static void track_spread(const struct series *s, struct track *t, int64_t to_ns)
{
    int64_t from_ns = t->since_ns;
    t->since_ns = to_ns;
    if (!(t->value > 0.0)) {
        return;
    }
    for (int64_t bin = from_ns / s->bin_ns; from_ns < to_ns; bin++) {
        assert(bin < SERIES_BINS);
        int64_t end_ns = (bin + 1) * s->bin_ns;
        end_ns = end_ns < to_ns ? end_ns : to_ns;
        t->cells[bin] += (double)(end_ns - from_ns) * t->value;
        if (t->peaks && t->peaks[bin] < t->value) {
            t->peaks[bin] = t->value;
        }
        from_ns = end_ns;
    }
}

static void track_halve(struct track *t)
{
    for (uint32_t i = 0; i < SERIES_BINS; i++) {
        bool merged = i < SERIES_BINS / 2;
        t->cells[i] = merged ? t->cells[2 * i] + t->cells[2 * i + 1] : 0.0;
        if (t->peaks) {
            double a = merged ? t->peaks[2 * i] : 0.0, b = merged ? t->peaks[2 * i + 1] : 0.0;
            t->peaks[i] = a > b ? a : b;
        }
    }
}

/* Makes the bins wide enough for t_ns. What is spread lazily afterwards meets the wide bins. */
static void reach(struct series *s, int64_t t_ns)
{
    while (t_ns > s->bin_ns * SERIES_BINS) {
        for (uint32_t m = 0; m < s->model_count; m++) {
            track_halve(&s->queues[m]);
        }
        for (uint32_t i = 0; i < s->device_count * SHUNT_DEVICE_STATE_COUNT; i++) {
            track_halve(&s->states[i]);
        }
        for (uint32_t i = 0; i < s->instance_count; i++) {
            track_halve(&s->instances[i].resident);
            track_halve(&s->instances[i].moving);
        }
        s->bin_ns *= 2;
    }
}

static void track_set(const struct series *s, struct track *t, int64_t t_ns, double value)
{
    if (t->value != value) {
        track_spread(s, t, t_ns);
        t->value = value;
    }
}

/* ------------------------------------------------------------------ what happens */

static enum series_phase phase_of(uint32_t state)
{
    switch (state) {
    case SHUNT_INSTANCE_RESIDENT:
        return SERIES_RESIDENT;
    case SHUNT_INSTANCE_DRAINING:
        return SERIES_DRAINING;
    case SHUNT_INSTANCE_WAKING:
        return SERIES_COMING;
    case SHUNT_INSTANCE_LEAVING:
        return SERIES_LEAVING;
    default:
        return SERIES_AWAY;
    }
}

static void append_segment(struct series *s, uint32_t index, int64_t t_ns)
{
    const struct instance *in = &s->instances[index];
    if (in->phase != SERIES_AWAY && in->since_ns < t_ns) {
        s->segments[s->segment_count++] = (struct segment){
            .from_ns = in->since_ns, .to_ns = t_ns, .instance = index, .phase = in->phase};
    }
}

/* The phase of `index` ends. When there is no room for more, those of all others end too, for the
 * record: it is complete until then. */
static void keep_segment(struct series *s, uint32_t index, int64_t t_ns)
{
    if (s->segments_end_ns != CORE_NEVER) {
        return;
    }
    if (s->segment_count + s->instance_count < SERIES_SEGMENTS) {
        append_segment(s, index, t_ns);
        return;
    }
    for (uint32_t i = 0; i < s->instance_count; i++) {
        append_segment(s, i, t_ns);
    }
    s->segments_end_ns = t_ns;
}

static void set_phase(struct series *s, uint32_t index, int64_t t_ns, enum series_phase phase)
{
    struct instance *in = &s->instances[index];
    if (in->phase == phase) {
        return;
    }
    keep_segment(s, index, t_ns);
    in->phase = phase;
    in->since_ns = t_ns;
    track_set(s, &in->resident, t_ns, phase == SERIES_RESIDENT || phase == SERIES_DRAINING);
    track_set(s, &in->moving, t_ns, phase == SERIES_COMING || phase == SERIES_LEAVING);
}

/* Instances are the core's; they are known once it is configured. */
static bool configure(struct series *s, const struct core *core)
{
    struct core_instance_view view;
    uint32_t count = 0;
    while (core_instance_view(core, count, &view) == 0) {
        count++;
    }
    s->instances = calloc(count ? count : 1, sizeof(*s->instances));
    s->instance_cells = calloc((size_t)(count ? count : 1) * 2 * SERIES_BINS, sizeof(double));
    if (!s->instances || !s->instance_cells) {
        return false;
    }
    s->instance_count = count;
    for (uint32_t i = 0; i < count; i++) {
        (void)core_instance_view(core, i, &view);
        double *cells = s->instance_cells + (size_t)i * 2 * SERIES_BINS;
        s->instances[i] = (struct instance){.model = view.model,
                                            .device = view.device,
                                            .phase = SERIES_AWAY,
                                            .resident.cells = cells,
                                            .moving.cells = cells + SERIES_BINS};
        set_phase(s, i, 0, phase_of(view.state));
    }
    return true;
}

/* Takes over how things stand since the last input, which was at last_ns; now it is t_ns. */
static void look(struct series *s, const struct core *core, int64_t t_ns)
{
    int64_t since_ns = s->last_ns;
    for (uint32_t d = 0; d < s->device_count; d++) {
        struct core_device_stats stats;
        core_device_stats(core, d, t_ns, &stats);
        if (stats.state != s->state_now[d]) {
            struct track *states = &s->states[d * SHUNT_DEVICE_STATE_COUNT];
            track_set(s, &states[s->state_now[d]], since_ns, 0.0);
            track_set(s, &states[stats.state], since_ns, 1.0);
            s->state_now[d] = stats.state;
        }
    }
    for (uint32_t m = 0; s->queues_changed && m < s->model_count; m++) {
        struct core_model_stats stats;
        core_model_stats(core, m, t_ns, &stats);
        track_set(s, &s->queues[m], since_ns, (double)stats.queued);
    }
    s->queues_changed = false;
    s->last_ns = t_ns;
}

static bool requeues(const struct core_input *input)
{
    return input->kind == CORE_IN_ENGINE_LOST || input->kind == CORE_IN_DEVICE ||
           (input->kind == CORE_IN_COMPLETE &&
            (input->u.complete.retry || input->u.complete.outcome != SHUNT_OUTCOME_COMPLETED));
}

void series_input(struct series *s, const struct core *core, const struct core_input *input,
                  int64_t t_ns)
{
    if (!s->configured) {
        s->configured = configure(s, core);
        if (!s->configured) {
            return;
        }
    }
    reach(s, t_ns);
    look(s, core, t_ns);
    s->queues_changed = input && requeues(input);
}

static void queue_add(struct series *s, uint32_t model, int64_t t_ns, double by)
{
    struct track *t = &s->queues[model];
    track_set(s, t, t_ns, t->value + by > 0.0 ? t->value + by : 0.0);
}

static void wait_add(struct series *s, uint32_t model, int64_t wait_ns)
{
    histogram_add(&s->waits[model], wait_ns);
    histogram_add(&s->waits[s->model_count], wait_ns);
}

/* What a request that was not served counts with. */
static int64_t capped(const struct series *s, int64_t wait_ns)
{
    return wait_ns > s->wait_cap_ns ? wait_ns : s->wait_cap_ns;
}

static void see_end(struct series *s, const struct core_act_end *end, int64_t t_ns, bool measured)
{
    int64_t wait_ns = 0;
    queue_add(s, end->model, t_ns, -1.0);
    for (uint32_t i = 0; i < CORE_WAIT_COUNT; i++) {
        wait_ns += end->wait_ns[i];
    }
    if (measured) {
        wait_add(s, end->model, capped(s, wait_ns));
    }
}

static void see_record(struct series *s, const struct core_act_record *record, int64_t t_ns,
                       bool measured)
{
    if (record->kind == CORE_REC_INSTANCE) {
        const struct core_rec_instance *rec = &record->u.instance;
        if (rec->instance < s->instance_count) {
            set_phase(s, rec->instance, t_ns, phase_of(rec->state));
        }
    } else if (record->kind == CORE_REC_REQUEST && measured) {
        const struct core_rec_request *rec = &record->u.request;
        int64_t wait_ns = rec->dispatch_ns - rec->arrival_ns;
        wait_add(s, rec->model,
                 rec->outcome == SHUNT_OUTCOME_COMPLETED ? wait_ns : capped(s, wait_ns));
    }
}

void series_action(struct series *s, const struct core_action *action, bool measured)
{
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
        queue_add(s, action->u.accept.model, action->t_ns, 1.0);
        break;
    case CORE_ACT_DISPATCH:
        queue_add(s, action->u.dispatch.model, action->t_ns, -1.0);
        break;
    case CORE_ACT_REJECT:
        if (measured) {
            wait_add(s, action->u.reject.model, s->wait_cap_ns);
        }
        break;
    case CORE_ACT_END:
        if (!action->u.end.dispatched) {
            see_end(s, &action->u.end, action->t_ns, measured);
        }
        break;
    case CORE_ACT_RECORD:
        see_record(s, &action->u.record, action->t_ns, measured);
        break;
    case CORE_ACT_ABORT:
    case CORE_ACT_STEP:
    case CORE_ACT_STEP_CANCEL:
    case CORE_ACT_ASK:
    case CORE_ACT_NOTIFY:
    case CORE_ACT_KIND_COUNT:
        break;
    }
}

/* ------------------------------------------------------------------ the object */

static const char *const state_names[SHUNT_DEVICE_STATE_COUNT] = {
    [SHUNT_DEVICE_IDLE] = "idle",
    [SHUNT_DEVICE_SERVING] = "serving",
    [SHUNT_DEVICE_DRAINING] = "draining",
    [SHUNT_DEVICE_SWITCHING] = "switching",
    [SHUNT_DEVICE_LINGERING] = "lingering"};

/* Mantissas of 1 - q in each of five decades, in hundredths. */
static const unsigned tail_steps[] = {100, 90, 80, 70, 60, 50, 45, 40, 35, 30,
                                      25,  22, 20, 18, 16, 14, 13, 12, 11};
enum {
    TAIL_STEPS = sizeof(tail_steps) / sizeof(tail_steps[0]),
    TAIL_DECADES = 5,
    QUANTILES = TAIL_STEPS * TAIL_DECADES + 1
};

static double quantile_at(uint32_t i)
{
    double unit = 0.01;
    for (uint32_t decade = i / TAIL_STEPS; decade > 0; decade--) {
        unit /= 10.0;
    }
    return i + 1 == QUANTILES ? 1.0 : 1.0 - (double)tail_steps[i % TAIL_STEPS] * unit;
}

static double seconds(int64_t ns)
{
    return (double)ns / (double)CORE_NS_PER_S;
}

/* Nanoseconds of run in a bin; 0 behind its end. */
static double bin_length(const struct series *s, uint32_t bin, int64_t end_ns)
{
    int64_t left_ns = end_ns - (int64_t)bin * s->bin_ns;
    left_ns = left_ns < s->bin_ns ? left_ns : s->bin_ns;
    return left_ns > 0 ? (double)left_ns : 0.0;
}

static uint32_t bins_used(const struct series *s, int64_t end_ns)
{
    return (uint32_t)((end_ns + s->bin_ns - 1) / s->bin_ns);
}

static json_t *shares(const struct series *s, const struct track *t, int64_t end_ns)
{
    json_t *list = json_array();
    for (uint32_t bin = 0; list && bin < bins_used(s, end_ns); bin++) {
        double share = t->cells[bin] / bin_length(s, bin, end_ns);
        (void)json_array_append_new(list, json_integer((json_int_t)(share * 1000.0 + 0.5)));
    }
    return list;
}

static json_t *queue_json(const struct series *s, const struct track *t, int64_t end_ns)
{
    json_t *mean = json_array(), *max = json_array();
    for (uint32_t bin = 0; bin < bins_used(s, end_ns); bin++) {
        double value = t->cells[bin] / bin_length(s, bin, end_ns);
        value = (double)(int64_t)(value * 1000.0 + 0.5) / 1000.0;
        (void)json_array_append_new(mean, json_real(value));
        (void)json_array_append_new(max, json_integer((json_int_t)t->peaks[bin]));
    }
    return json_pack("{s:o, s:o}", "mean", mean, "max", max);
}

static json_t *wait_json(const struct histogram *h)
{
    if (h->count == 0) {
        return json_null();
    }
    json_t *list = json_array();
    for (uint32_t i = 0; i < QUANTILES; i++) {
        double value = seconds(histogram_quantile(h, quantile_at(i)));
        (void)json_array_append_new(list, json_real(value));
    }
    return json_pack("{s:I, s:o}", "count", (json_int_t)h->count, "s", list);
}

static json_t *segments_json(const struct series *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment *g = &s->segments[i];
        (void)json_array_append_new(list, json_pack("[I, I, f, f]", (json_int_t)g->instance,
                                                    (json_int_t)g->phase, seconds(g->from_ns),
                                                    seconds(g->to_ns)));
    }
    return list;
}

static void put_lists(const struct series *s, json_t *out, int64_t end_ns)
{
    json_t *models = json_array(), *devices = json_array(), *instances = json_array();
    json_t *states = json_array(), *queues = json_array(), *waits = json_array();
    json_t *resident = json_array(), *moving = json_array(), *levels = json_array();
    for (uint32_t m = 0; m < s->model_count; m++) {
        (void)json_array_append_new(models, json_string(s->names[m]));
        (void)json_array_append_new(queues, queue_json(s, &s->queues[m], end_ns));
        (void)json_array_append_new(waits, wait_json(&s->waits[m]));
    }
    for (uint32_t d = 0; d < s->device_count; d++) {
        json_t *object = json_object();
        for (uint32_t i = 0; i < SHUNT_DEVICE_STATE_COUNT; i++) {
            const struct track *t = &s->states[d * SHUNT_DEVICE_STATE_COUNT + i];
            (void)json_object_set_new(object, state_names[i], shares(s, t, end_ns));
        }
        (void)json_array_append_new(states, object);
        (void)json_array_append_new(devices, json_string(s->names[s->model_count + d]));
    }
    for (uint32_t i = 0; i < s->instance_count; i++) {
        const struct instance *in = &s->instances[i];
        (void)json_array_append_new(
            instances, json_pack("[I, I]", (json_int_t)in->model, (json_int_t)in->device));
        (void)json_array_append_new(resident, shares(s, &in->resident, end_ns));
        (void)json_array_append_new(moving, shares(s, &in->moving, end_ns));
    }
    for (uint32_t i = 0; i < QUANTILES; i++) {
        (void)json_array_append_new(levels, json_real(quantile_at(i)));
    }
    (void)json_object_set_new(out, "models", models);
    (void)json_object_set_new(out, "devices", devices);
    (void)json_object_set_new(out, "instances", instances);
    (void)json_object_set_new(out, "states", states);
    (void)json_object_set_new(out, "queue", queues);
    (void)json_object_set_new(out, "resident", resident);
    (void)json_object_set_new(out, "moving", moving);
    (void)json_object_set_new(out, "quantiles", levels);
    (void)json_object_set_new(out, "wait", waits);
    (void)json_object_set_new(out, "wait_all", wait_json(&s->waits[s->model_count]));
}

json_t *series_json(struct series *s, const struct core *core, int64_t t_ns)
{
    series_input(s, core, NULL, t_ns);
    if (!s->configured) {
        return NULL;
    }
    for (uint32_t m = 0; m < s->model_count; m++) {
        track_spread(s, &s->queues[m], t_ns);
    }
    for (uint32_t i = 0; i < s->device_count * SHUNT_DEVICE_STATE_COUNT; i++) {
        track_spread(s, &s->states[i], t_ns);
    }
    for (uint32_t i = 0; i < s->instance_count; i++) {
        if (s->segments_end_ns == CORE_NEVER) {
            append_segment(s, i, t_ns);
        }
        track_spread(s, &s->instances[i].resident, t_ns);
        track_spread(s, &s->instances[i].moving, t_ns);
    }
    int64_t exact_ns = s->segments_end_ns < t_ns ? s->segments_end_ns : t_ns;
    json_t *out =
        json_pack("{s:f, s:f, s:o, s:f}", "end_s", seconds(t_ns), "bin_s", seconds(s->bin_ns),
                  "segments", segments_json(s), "segments_end_s", seconds(exact_ns));
    if (out) {
        put_lists(s, out, t_ns);
    }
    return out;
}

/* ------------------------------------------------------------------ life */

static bool copy_names(struct series *s, const struct series_options *options)
{
    uint32_t count = s->model_count + s->device_count;
    s->names = calloc(count, sizeof(*s->names));
    for (uint32_t i = 0; s->names && i < count; i++) {
        s->names[i] = strdup(i < s->model_count ? options->model_names[i]
                                                : options->device_names[i - s->model_count]);
        if (!s->names[i]) {
            return false;
        }
    }
    return s->names != NULL;
}

int series_create(const struct series_options *options, struct series **ret_series)
{
    struct series *s = calloc(1, sizeof(*s));
    if (!s) {
        return -ENOMEM;
    }
    uint32_t models = s->model_count = options->model_count;
    uint32_t devices = s->device_count = options->device_count;
    uint32_t states = devices * SHUNT_DEVICE_STATE_COUNT;
    s->wait_cap_ns = options->wait_cap_ns;
    s->bin_ns = BIN_NS_FIRST;
    s->segments_end_ns = CORE_NEVER;
    s->queues = calloc(models, sizeof(*s->queues));
    s->states = calloc(states, sizeof(*s->states));
    s->state_now = calloc(devices, sizeof(*s->state_now));
    s->waits = calloc((size_t)models + 1, sizeof(*s->waits));
    s->segments = calloc(SERIES_SEGMENTS, sizeof(*s->segments));
    s->cells = calloc(((size_t)models * 2 + states) * SERIES_BINS, sizeof(*s->cells));
    if (!s->queues || !s->states || !s->state_now || !s->waits || !s->segments || !s->cells ||
        !copy_names(s, options)) {
        series_destroy(s);
        return -ENOMEM;
    }
    double *cells = s->cells;
    for (uint32_t m = 0; m < models; m++, cells += (size_t)2 * SERIES_BINS) {
        s->queues[m].cells = cells;
        s->queues[m].peaks = cells + SERIES_BINS;
    }
    for (uint32_t i = 0; i < states; i++, cells += SERIES_BINS) {
        s->states[i].cells = cells;
    }
    for (uint32_t d = 0; d < devices; d++) {
        s->state_now[d] = SHUNT_DEVICE_IDLE;
        s->states[d * SHUNT_DEVICE_STATE_COUNT + SHUNT_DEVICE_IDLE].value = 1.0;
    }
    *ret_series = s;
    return 0;
}

int series_of_scenario(const struct scenario *scenario, struct series **ret_series)
{
    struct series_options options = {.model_count = scenario_models(scenario),
                                     .device_count = scenario_devices(scenario),
                                     .wait_cap_ns = scenario->wait_cap_ns};
    const char **names = calloc((size_t)options.model_count + options.device_count, sizeof(*names));
    if (!names) {
        return -ENOMEM;
    }
    for (uint32_t m = 0; m < options.model_count; m++) {
        names[m] = scenario_model_name(scenario, m);
    }
    for (uint32_t d = 0; d < options.device_count; d++) {
        names[options.model_count + d] = scenario->config->devices[d].name;
    }
    options.model_names = names;
    options.device_names = names + options.model_count;
    int rc = series_create(&options, ret_series);
    free(names);
    return rc;
}

static void on_input(void *ctx, struct sim *sim, const struct core_input *input)
{
    series_input(ctx, sim_core(sim), input, sim_now_ns(sim));
}

static void on_action(void *ctx, struct sim *sim, const struct core_action *action,
                      const struct sim_request *request)
{
    (void)sim;
    series_action(ctx, action, request && request->measured);
}

struct sim_observer series_observer(struct series *series)
{
    return (struct sim_observer){.ctx = series, .input = on_input, .action = on_action};
}

void series_destroy(struct series *s)
{
    if (!s) {
        return;
    }
    for (uint32_t i = 0; s->names && i < s->model_count + s->device_count; i++) {
        free(s->names[i]);
    }
    free(s->names);
    free(s->queues);
    free(s->states);
    free(s->state_now);
    free(s->waits);
    free(s->segments);
    free(s->cells);
    free(s->instances);
    free(s->instance_cells);
    free(s);
}
