/*
 * The metrics table and its exposition: see metrics.h. Series live in an open hash by metric and
 * label values; each keeps its labels already rendered. A scrape walks the table in its order and
 * writes one family after the other. It does not ask the operating system for anything.
 */
#include "host/metrics.h"

#include "core/core.h"
#include "host/words.h"
#include "host/worker/cell.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Upper limits of buckets in seconds; +Inf follows. Waits go from a warm engine to an hour behind
 * many switches; phases from an emulated sleep to a cold load; decide from 100 ns to its limit. */
static const double buckets_wait[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,    2,   5,
                                      10,    20,   30,    60,   120, 300,  600, 1200, 3600};
static const double buckets_phase[] = {0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1,  2,
                                       5,     10,    20,   30,   60,  120,  300, 600};
static const double buckets_decide[] = {1e-7, 2.5e-7, 5e-7, 1e-6, 2e-6, 5e-6, 1e-5,
                                        1e-4, 1e-3,   1e-2, 0.05, 0.1,  1};

#define BUCKETS_NONE   NULL, 0
#define BUCKETS_WAIT   buckets_wait, sizeof buckets_wait / sizeof buckets_wait[0]
#define BUCKETS_PHASE  buckets_phase, sizeof buckets_phase / sizeof buckets_phase[0]
#define BUCKETS_DECIDE buckets_decide, sizeof buckets_decide / sizeof buckets_decide[0]

struct family {
    const char *name;
    enum metrics_type type;
    const char *labels;
    const char *help;
    const double *limits;
    unsigned limit_count;
};

static const struct family families[METRIC_COUNT] = {
#define METRIC(id, name, type, labels, buckets, help)                                              \
    [METRIC_##id] = {name, type, labels, help, BUCKETS_##buckets},
#include "host/metrics.def"
};

struct series {
    struct series *next_in_slot;
    struct series *next; /* of its family, in order of creation */
    uint64_t hash;
    enum metrics_id id;
    double value;     /* of a histogram: the sum */
    uint64_t *counts; /* by bucket, not cumulative, the last one for +Inf; NULL for others */
    size_t labels_len;
    char labels[]; /* rendered: model="a",outcome="b" */
};

enum { SLOTS = 4096, COLLECTORS_MAX = 4, CELLS_MAX = 64 };

struct collector {
    void (*call)(struct metrics *metrics, void *ctx);
    void *ctx;
};

struct metrics {
    struct series *slots[SLOTS];
    struct series *first[METRIC_COUNT], *last[METRIC_COUNT];
    size_t series_count;
    uint64_t dropped;
    struct collector collectors[COLLECTORS_MAX];
    unsigned collector_count;
    struct cell *cells[CELLS_MAX];
    unsigned cell_count;
    struct cell_observer observer;
    char *text;
    size_t text_len, text_size;
    bool text_failed;
};

/* ------------------------------------------------------------------ series */

/* Appends one label value with the escapes of the format; returns the bytes written. */
static size_t escape_value(char *out, const char *value)
{
    size_t n = 0;
    size_t taken = 0;
    for (const char *c = value; *c && taken < METRICS_LABEL_BYTES_MAX; c++, taken++) {
        if (*c == '\\' || *c == '"') {
            out[n++] = '\\';
            out[n++] = *c;
        } else if (*c == '\n') {
            out[n++] = '\\';
            out[n++] = 'n';
        } else {
            out[n++] = *c;
        }
    }
    return n;
}

enum { LABELS_BYTES_MAX = METRICS_LABELS_MAX * (2 * METRICS_LABEL_BYTES_MAX + 64) };

static size_t render_labels(char *out, const char *names, const char *const *values)
{
    size_t n = 0;
    unsigned i = 0;
    while (*names) {
        size_t len = strcspn(names, ",");
        assert(i < METRICS_LABELS_MAX && len < 48);
        if (i) {
            out[n++] = ',';
        }
        memcpy(out + n, names, len);
        n += len;
        out[n++] = '=';
        out[n++] = '"';
        n += escape_value(out + n, values[i] ? values[i] : "");
        out[n++] = '"';
        names += len + (names[len] == ',');
        i++;
    }
    return n;
}

static uint64_t hash_of(enum metrics_id id, const char *text, size_t len)
{
    uint64_t hash = UINT64_C(1469598103934665603) ^ (uint64_t)id;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    }
    return hash ^ (hash >> 29);
}

static struct series *series_make(struct metrics *metrics, enum metrics_id id, uint64_t hash,
                                  const char *labels, size_t len)
{
    if (metrics->series_count >= METRICS_SERIES_MAX) {
        return NULL;
    }
    struct series *series = calloc(1, sizeof *series + len);
    if (!series) {
        return NULL;
    }
    const struct family *family = &families[id];
    if (family->type == METRICS_HISTOGRAM) {
        series->counts = calloc(family->limit_count + 1u, sizeof *series->counts);
        if (!series->counts) {
            free(series);
            return NULL;
        }
    }
    series->id = id;
    series->hash = hash;
    series->labels_len = len;
    memcpy(series->labels, labels, len);
    series->next_in_slot = metrics->slots[hash % SLOTS];
    metrics->slots[hash % SLOTS] = series;
    *(metrics->last[id] ? &metrics->last[id]->next : &metrics->first[id]) = series;
    metrics->last[id] = series;
    metrics->series_count++;
    return series;
}

/* The series of these values, made if need be; NULL if there is no room, which is counted. */
static struct series *series_of(struct metrics *metrics, enum metrics_id id,
                                const char *const *values)
{
    char labels[LABELS_BYTES_MAX];
    size_t len = render_labels(labels, families[id].labels, values);
    uint64_t hash = hash_of(id, labels, len);
    for (struct series *s = metrics->slots[hash % SLOTS]; s; s = s->next_in_slot) {
        if (s->hash == hash && s->id == id && s->labels_len == len &&
            memcmp(s->labels, labels, len) == 0) {
            return s;
        }
    }
    struct series *made = series_make(metrics, id, hash, labels, len);
    metrics->dropped += made == NULL;
    return made;
}

static void series_free(struct series *series)
{
    free(series->counts);
    free(series);
}

void metrics_add(struct metrics *metrics, enum metrics_id id, const char *const *values,
                 double amount)
{
    struct series *series = series_of(metrics, id, values);
    if (series) {
        series->value += amount;
    }
}

void metrics_set(struct metrics *metrics, enum metrics_id id, const char *const *values,
                 double value)
{
    struct series *series = series_of(metrics, id, values);
    if (series) {
        series->value = value;
    }
}

void metrics_observe(struct metrics *metrics, enum metrics_id id, const char *const *values,
                     double value)
{
    struct series *series = series_of(metrics, id, values);
    if (!series) {
        return;
    }
    const struct family *family = &families[id];
    assert(series->counts);
    unsigned bucket = 0;
    while (bucket < family->limit_count && value > family->limits[bucket]) {
        bucket++;
    }
    series->counts[bucket]++;
    series->value += value;
}

void metrics_clear(struct metrics *metrics, enum metrics_id id)
{
    assert(families[id].type == METRICS_GAUGE);
    struct series *series = metrics->first[id];
    while (series) {
        struct series *next = series->next;
        struct series **link = &metrics->slots[series->hash % SLOTS];
        while (*link != series) {
            link = &(*link)->next_in_slot;
        }
        *link = series->next_in_slot;
        series_free(series);
        metrics->series_count--;
        series = next;
    }
    metrics->first[id] = metrics->last[id] = NULL;
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static const char *model_name(const struct cell *cell, uint32_t model)
{
    return model < cell_model_count(cell) ? cell_model_name(cell, model) : "";
}

/* ------------------------------------------------------------------ what cells tell */

static void on_request(struct metrics *metrics, struct cell *cell, const struct core_rec_request *r)
{
    const char *values[] = {model_name(cell, r->model)};
    metrics_observe(metrics, METRIC_WAIT_SECONDS, values, seconds(r->dispatch_ns - r->arrival_ns));
    if (r->first_token_ns) {
        metrics_observe(metrics, METRIC_TTFT_SECONDS, values,
                        seconds(r->first_token_ns - r->arrival_ns));
    }
}

static void on_switch(struct metrics *metrics, struct cell *cell, const struct core_rec_switch *r)
{
    const struct shunt_switch_event *event = &r->event;
    const char *values[] = {model_name(cell, event->from), model_name(cell, event->to),
                            event->victim_count ? words_tier(event->victim_tier) : "",
                            r->ok ? "ok" : "failed", words_cause(event->cause)};
    metrics_add(metrics, METRIC_SWITCHES_TOTAL, values, 1);
    const struct {
        const char *phase;
        int64_t ns;
    } phases[] = {{"drain", event->drain_ns},
                  {"out", event->out_ns},
                  {"memory", event->memory_ns},
                  {"in", event->in_ns},
                  {"probe", event->probe_ns}};
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        const char *phase[] = {phases[i].phase};
        metrics_observe(metrics, METRIC_SWITCH_PHASE_SECONDS, phase, seconds(phases[i].ns));
    }
}

static void on_decision(struct metrics *metrics, const struct core_rec_decision *r)
{
    const char *values[] = {words_action(r->action), words_reason(r->reason)};
    metrics_add(metrics, METRIC_DECISIONS_TOTAL, values, 1);
    if (r->verdict == CORE_VERDICT_LATE || r->verdict == CORE_VERDICT_FAULT) {
        const char *kind[] = {r->verdict == CORE_VERDICT_LATE ? "late" : "fault"};
        metrics_add(metrics, METRIC_POLICY_FAULTS_TOTAL, kind, 1);
    }
}

static void on_record(void *ctx, struct cell *cell, const struct core_act_record *record,
                      int64_t t_ns)
{
    struct metrics *metrics = ctx;
    (void)t_ns;
    switch ((enum core_record_kind)record->kind) {
    case CORE_REC_REQUEST:
        on_request(metrics, cell, &record->u.request);
        break;
    case CORE_REC_SWITCH:
        on_switch(metrics, cell, &record->u.change);
        break;
    case CORE_REC_DECISION:
        on_decision(metrics, &record->u.decision);
        break;
    case CORE_REC_GUARD: {
        const char *kind[] = {words_guard(record->u.guard.kind)};
        metrics_add(metrics, METRIC_GUARD_TOTAL, kind, record->u.guard.count);
        break;
    }
    case CORE_REC_VISIT:
        if (record->u.visit.gap_ns > 0) {
            const char *model[] = {model_name(cell, record->u.visit.model)};
            metrics_observe(metrics, METRIC_VISIT_GAP_SECONDS, model,
                            seconds(record->u.visit.gap_ns));
        }
        break;
    case CORE_REC_INSTANCE: /* read at the scrape */
    case CORE_REC_SLOT:
    case CORE_REC_KIND_COUNT:
        break;
    }
}

static void on_decided(void *ctx, struct cell *cell, uint32_t slot, int64_t duration_ns, int status)
{
    struct cell_slot_view view;
    (void)status;
    cell_slot_view(cell, slot, &view);
    const char *policy[] = {view.id};
    metrics_observe(ctx, METRIC_POLICY_DECIDE_SECONDS, policy, seconds(duration_ns));
}

void metrics_watch(struct metrics *metrics, struct cell *cell)
{
    assert(metrics->cell_count < CELLS_MAX);
    metrics->cells[metrics->cell_count++] = cell;
    cell_observe(cell, &metrics->observer);
}

/* ------------------------------------------------------------------ what a scrape reads */

static void set_bound(struct metrics *metrics, enum metrics_id id, const char *model,
                      const char *kind, int64_t bound_ns)
{
    const char *values[] = {model, kind};
    metrics_set(metrics, id, values, bound_ns ? seconds(bound_ns) : HUGE_VAL);
}

static void collect_model(struct metrics *metrics, const struct cell *cell, uint32_t m)
{
    const struct core *core = cell_core(cell);
    const char *name = cell_model_name(cell, m);
    const char *model[] = {name};
    struct core_model_stats stats;
    core_model_stats(core, m, cell_now_ns(cell), &stats);
    for (uint32_t i = 0; i < SHUNT_OUTCOME_REJECTED; i++) {
        const char *values[] = {name, words_outcome(i)};
        metrics_set(metrics, METRIC_REQUESTS_TOTAL, values, (double)stats.ended[i]);
    }
    for (uint32_t i = 0; i < CORE_REJECT_COUNT; i++) {
        const char *values[] = {name, words_reject(i)};
        metrics_set(metrics, METRIC_REQUESTS_TOTAL, values, (double)stats.rejected[i]);
    }
    metrics_set(metrics, METRIC_QUEUE_DEPTH, model, stats.queued);
    metrics_set(metrics, METRIC_IN_FLIGHT, model, stats.in_flight);
    metrics_set(metrics, METRIC_OUTPUT_TOKENS_TOTAL, model, (double)stats.output_tokens);
    metrics_set(metrics, METRIC_WORK_SECONDS_TOTAL, model, seconds(stats.work_ns));
    struct core_bounds expected;
    struct core_bounds guaranteed;
    core_bounds_expected(core, m, &expected);
    core_bounds_guaranteed(core, m, &guaranteed);
    set_bound(metrics, METRIC_GAP_BOUND_SECONDS, name, "expected", expected.gap_ns);
    set_bound(metrics, METRIC_GAP_BOUND_SECONDS, name, "guaranteed", guaranteed.gap_ns);
    set_bound(metrics, METRIC_WAIT_BOUND_SECONDS, name, "expected", expected.wait_ns);
    set_bound(metrics, METRIC_WAIT_BOUND_SECONDS, name, "guaranteed", guaranteed.wait_ns);
}

static void collect_device(struct metrics *metrics, const struct cell *cell, uint32_t d)
{
    const char *name = cell_device_name(cell, d);
    const char *device[] = {name};
    struct core_device_stats stats;
    core_device_stats(cell_core(cell), d, cell_now_ns(cell), &stats);
    for (uint32_t i = 0; i < SHUNT_DEVICE_STATE_COUNT; i++) {
        const char *values[] = {name, words_device_state(i)};
        metrics_set(metrics, METRIC_DEVICE_TIME_SECONDS_TOTAL, values, seconds(stats.state_ns[i]));
    }
    metrics_set(metrics, METRIC_VISITS_TOTAL, device, (double)stats.visits);
    metrics_set(metrics, METRIC_VISITS_FORCED_TOTAL, device, (double)stats.visits_forced);
}

static void collect_cell(struct metrics *metrics, const struct cell *cell)
{
    for (uint32_t m = 0; m < cell_model_count(cell); m++) {
        collect_model(metrics, cell, m);
    }
    for (uint32_t d = 0; d < cell_device_count(cell); d++) {
        collect_device(metrics, cell, d);
    }
    for (uint32_t i = 0; i < cell_instance_count(cell); i++) {
        struct core_instance_view view;
        if (core_instance_view(cell_core(cell), i, &view) == 0) {
            const char *values[] = {model_name(cell, view.model),
                                    cell_device_name(cell, view.device),
                                    words_instance_state(view.state)};
            metrics_set(metrics, METRIC_ENGINE_STATE, values, 1);
        }
    }
    uint32_t selected = cell_slot_selected(cell);
    struct cell_slot_view slot = {.id = "fifo", .version = "", .hash = "builtin"};
    if (selected != CORE_NONE) {
        cell_slot_view(cell, selected, &slot);
    }
    const char *policy[] = {slot.id, slot.version, slot.hash};
    metrics_set(metrics, METRIC_POLICY_INFO, policy, 1);
}

static void collect(struct metrics *metrics)
{
    static const enum metrics_id refilled[] = {METRIC_QUEUE_DEPTH,       METRIC_IN_FLIGHT,
                                               METRIC_GAP_BOUND_SECONDS, METRIC_WAIT_BOUND_SECONDS,
                                               METRIC_POLICY_INFO,       METRIC_ENGINE_STATE};
    for (size_t i = 0; i < sizeof refilled / sizeof refilled[0]; i++) {
        metrics_clear(metrics, refilled[i]);
    }
    struct cell_stats total = {0};
    for (unsigned i = 0; i < metrics->cell_count; i++) {
        struct cell_stats stats;
        collect_cell(metrics, metrics->cells[i]);
        cell_stats(metrics->cells[i], &stats);
        total.journal_records += stats.journal_records;
        total.journal_dropped += stats.journal_dropped;
    }
    metrics_set(metrics, METRIC_JOURNAL_RECORDS_TOTAL, NULL, (double)total.journal_records);
    metrics_set(metrics, METRIC_JOURNAL_DROPPED_TOTAL, NULL, (double)total.journal_dropped);
    metrics_set(metrics, METRIC_METRICS_DROPPED_TOTAL, NULL, (double)metrics->dropped);
    for (unsigned i = 0; i < metrics->collector_count; i++) {
        metrics->collectors[i].call(metrics, metrics->collectors[i].ctx);
    }
}

/* ------------------------------------------------------------------ exposition */

static void put_bytes(struct metrics *metrics, const char *data, size_t len)
{
    if (metrics->text_failed) {
        return;
    }
    if (metrics->text_size - metrics->text_len < len) {
        size_t size = metrics->text_size ? metrics->text_size : 16384;
        while (size - metrics->text_len < len) {
            size *= 2;
        }
        char *text = realloc(metrics->text, size);
        if (!text) {
            metrics->text_failed = true;
            return;
        }
        metrics->text = text;
        metrics->text_size = size;
    }
    memcpy(metrics->text + metrics->text_len, data, len);
    metrics->text_len += len;
}

static void put(struct metrics *metrics, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void put(struct metrics *metrics, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < sizeof line);
    put_bytes(metrics, line, (size_t)n);
}

static void put_value(struct metrics *metrics, double value)
{
    if (isnan(value)) {
        put(metrics, " NaN\n");
    } else if (isinf(value)) {
        put(metrics, value > 0 ? " +Inf\n" : " -Inf\n");
    } else {
        put(metrics, " %.15g\n", value);
    }
}

static void put_sample(struct metrics *metrics, const char *name, const char *suffix,
                       const struct series *series, const char *more, double value)
{
    put(metrics, "%s%s", name, suffix);
    if (series->labels_len || more[0]) {
        put_bytes(metrics, "{", 1);
        put_bytes(metrics, series->labels, series->labels_len);
        put(metrics, "%s%s}", series->labels_len && more[0] ? "," : "", more);
    }
    put_value(metrics, value);
}

static void put_histogram(struct metrics *metrics, const struct family *family,
                          const struct series *series)
{
    uint64_t total = 0;
    char limit[48];
    for (unsigned i = 0; i <= family->limit_count; i++) {
        total += series->counts[i];
        if (i < family->limit_count) {
            (void)snprintf(limit, sizeof limit, "le=\"%.6g\"", family->limits[i]);
        }
        put_sample(metrics, family->name, "_bucket", series,
                   i < family->limit_count ? limit : "le=\"+Inf\"", (double)total);
    }
    put_sample(metrics, family->name, "_sum", series, "", series->value);
    put_sample(metrics, family->name, "_count", series, "", (double)total);
}

int metrics_scrape(struct metrics *metrics, struct span *ret_text)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    collect(metrics);
    metrics->text_len = 0;
    metrics->text_failed = false;
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const struct family *family = &families[id];
        if (!metrics->first[id]) {
            continue;
        }
        put(metrics, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
            types[family->type]);
        for (const struct series *s = metrics->first[id]; s; s = s->next) {
            if (family->type == METRICS_HISTOGRAM) {
                put_histogram(metrics, family, s);
            } else {
                put_sample(metrics, family->name, "", s, "", s->value);
            }
        }
    }
    if (metrics->text_failed) {
        return -ENOMEM;
    }
    *ret_text = span_of(metrics->text, metrics->text_len);
    return 0;
}

void metrics_print_manual(FILE *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    (void)fputs(
        "# Metrics\n\n"
        "`GET /metrics` where clients connect (setting `admin.metrics`), in Prometheus' text\n"
        "format. Names are fixed. No key, user or request is ever a label. This page is made\n"
        "from `host/metrics.def`; a test fails when it is stale.\n\n"
        "| name | type | labels | meaning |\n|---|---|---|---|\n",
        out);
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const struct family *family = &families[id];
        (void)fprintf(out, "| `%s` | %s | %s | %s |\n", family->name, types[family->type],
                      family->labels[0] ? family->labels : "-", family->help);
    }
    (void)fputs("\nHistograms have these upper limits, in seconds, and +Inf:\n\n", out);
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const struct family *family = &families[id];
        if (family->type == METRICS_HISTOGRAM) {
            (void)fprintf(out, "- `%s`:", family->name);
            for (unsigned i = 0; i < family->limit_count; i++) {
                (void)fprintf(out, " %.6g", family->limits[i]);
            }
            (void)fputc('\n', out);
        }
    }
}

/* ------------------------------------------------------------------ life */

void metrics_collect(struct metrics *metrics, void (*call)(struct metrics *metrics, void *ctx),
                     void *ctx)
{
    assert(metrics->collector_count < COLLECTORS_MAX);
    metrics->collectors[metrics->collector_count++] = (struct collector){.call = call, .ctx = ctx};
}

int metrics_create(struct metrics **ret_metrics)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics) {
        return -ENOMEM;
    }
    metrics->observer =
        (struct cell_observer){.ctx = metrics, .record = on_record, .decided = on_decided};
    const char *version[] = {SHUNT_VERSION};
    metrics_set(metrics, METRIC_BUILD_INFO, version, 1);
    *ret_metrics = metrics;
    return 0;
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics) {
        return;
    }
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        struct series *series = metrics->first[id];
        while (series) {
            struct series *next = series->next;
            series_free(series);
            series = next;
        }
    }
    free(metrics->text);
    free(metrics);
}
