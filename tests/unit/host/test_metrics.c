/*
 * The exposition, read back by an independent little parser that knows the rules of the format: a
 * family's HELP and TYPE come once and before its samples, histograms are cumulative, end in +Inf,
 * and _count equals it. And that docs/METRICS.md is what the table prints.
 */
#include "host/metrics.h"

#include "core/core.h"
#include "host/worker/cell.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ------------------------------------------------------------------ a cell with a real core */

struct cell {
    struct core *core;
    const struct cell_observer *observer;
};

static const char *const names[] = {"a\"\\\nb", "plain"};

const struct core *cell_core(const struct cell *cell)
{
    return cell->core;
}
int64_t cell_now_ns(const struct cell *cell)
{
    (void)cell;
    return 2 * CORE_NS_PER_S;
}
const char *cell_model_name(const struct cell *cell, uint32_t model)
{
    (void)cell;
    return names[model];
}
uint32_t cell_model_count(const struct cell *cell)
{
    (void)cell;
    return 2;
}
uint32_t cell_device_count(const struct cell *cell)
{
    (void)cell;
    return 1;
}
uint32_t cell_instance_count(const struct cell *cell)
{
    (void)cell;
    return 2;
}
const char *cell_device_name(const struct cell *cell, uint32_t device)
{
    (void)cell, (void)device;
    return "gpu0";
}
uint32_t cell_slot_selected(const struct cell *cell)
{
    (void)cell;
    return CORE_NONE;
}
void cell_slot_view(const struct cell *cell, uint32_t slot, struct cell_slot_view *ret)
{
    (void)cell, (void)slot;
    *ret = (struct cell_slot_view){.id = "fifo"};
}
void cell_stats(const struct cell *cell, struct cell_stats *ret)
{
    (void)cell;
    *ret = (struct cell_stats){.journal_records = 3};
}
void cell_observe(struct cell *cell, const struct cell_observer *observer)
{
    cell->observer = observer;
}

static void make_core(struct cell *cell)
{
    const struct core_limits limits = {.models_max = 4,
                                       .devices_max = 1,
                                       .instances_max = 4,
                                       .slots_max = 2,
                                       .queued_max = 16,
                                       .in_flight_max = 16};
    struct core_instance_config instances[2] = {0};
    struct core_model_config models[2] = {0};
    struct core_device_config device = {.memory_bytes = 100, .link = 0, .up = 1};
    for (uint32_t i = 0; i < 2; i++) {
        instances[i] = (struct core_instance_config){.tiers = 1u << SHUNT_TIER_RESIDENT |
                                                              1u << SHUNT_TIER_STOPPED,
                                                     .edges_in = 1u << SHUNT_TIER_STOPPED,
                                                     .device_bytes = {[SHUNT_TIER_RESIDENT] = 80}};
        models[i] = (struct core_model_config){.key = i + 1,
                                               .max_concurrency = 1,
                                               .queue_max = 8,
                                               .service_limit_ns = CORE_NS_PER_S,
                                               .weight = 1,
                                               .instance_count = 1,
                                               .instances = &instances[i]};
    }
    struct core_config config = {
        .model_count = 2,
        .device_count = 1,
        .models = models,
        .devices = &device,
        .failed_backoff_ns = CORE_NS_PER_S,
        .guard = {.enabled = 1,
                  .visit_cap_floor_ns = CORE_NS_PER_S,
                  .switch_limit_ns = CORE_NS_PER_S,
                  .answer_ns = CORE_NS_PER_S,
                  .drain_mode = SHUNT_DRAIN_FINISH},
    };
    struct core_config_error error = {0};
    size_t size = core_size(&limits);
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    assert_non_null(memory);
    cell->core = core_init(memory, size, &limits, 1);
    assert_non_null(cell->core);
    if (core_configure(cell->core, &config, CORE_NS_PER_S, &error)) {
        fail_msg("%s", error.what);
    }
}

/* ------------------------------------------------------------------ the parser */

enum { SAMPLES_MAX = 4096 };

struct sample {
    char name[96];
    char labels[700]; /* as written, without le */
    char le[300];
    double value;
};

struct exposition {
    struct sample samples[SAMPLES_MAX];
    size_t count;
};

static double number_of(const char *text)
{
    char *end;
    if (strcmp(text, "+Inf") == 0) {
        return HUGE_VAL;
    }
    double value = strtod(text, &end);
    assert_true(end != text && *end == '\0');
    return value;
}

/* Takes one label's value, checks its escapes; returns behind the closing quote. */
static const char *label_value(const char *at, char *out, size_t size)
{
    size_t n = 0;
    assert_int_equal(*at, '"');
    for (at++; *at != '"'; at++) {
        assert_true(*at != '\0');
        char c = *at;
        if (c == '\\') {
            at++;
            assert_true(*at == '\\' || *at == '"' || *at == 'n');
            c = *at == 'n' ? '\n' : *at;
        }
        assert_true(n + 1 < size);
        out[n++] = c;
    }
    out[n] = '\0';
    return at + 1;
}

static void read_sample(struct exposition *x, const char *line)
{
    struct sample *s = &x->samples[x->count++];
    assert_true(x->count < SAMPLES_MAX);
    memset(s, 0, sizeof *s);
    size_t len = strcspn(line, "{ ");
    assert_true(len > 0 && len < sizeof s->name);
    memcpy(s->name, line, len);
    for (size_t i = 0; i < len; i++) {
        assert_true(isalpha((unsigned char)line[i]) || line[i] == '_' || line[i] == ':');
    }
    const char *at = line + len;
    if (*at == '{') {
        do {
            char key[64] = "";
            char value[300];
            at++;
            size_t key_len = strcspn(at, "=");
            assert_true(key_len > 0 && key_len < sizeof key);
            memcpy(key, at, key_len);
            at = label_value(at + key_len + 1, value, sizeof value);
            if (strcmp(key, "le") == 0) {
                (void)snprintf(s->le, sizeof s->le, "%s", value);
            } else {
                size_t used = strlen(s->labels);
                (void)snprintf(s->labels + used, sizeof s->labels - used, "%s=%s;", key, value);
            }
        } while (*at == ',');
        assert_int_equal(*at, '}');
        at++;
    }
    assert_int_equal(*at, ' ');
    s->value = number_of(at + 1);
}

static bool belongs(const char *sample, const char *family, const char *type)
{
    size_t len = strlen(family);
    if (strncmp(sample, family, len) != 0) {
        return false;
    }
    const char *rest = sample + len;
    return *rest == '\0' ? strcmp(type, "histogram") != 0
                         : strcmp(type, "histogram") == 0 &&
                               (strcmp(rest, "_bucket") == 0 || strcmp(rest, "_sum") == 0 ||
                                strcmp(rest, "_count") == 0);
}

static void parse(struct span text, struct exposition *x)
{
    char *copy = strndup(text.data, text.len);
    char family[96] = "";
    char type[16] = "";
    char seen[64][96];
    size_t seen_count = 0;
    x->count = 0;
    assert_non_null(copy);
    assert_true(text.len > 0 && text.data[text.len - 1] == '\n');
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line && rest; line = strsep(&rest, "\n")) {
        char name[96];
        char word[16];
        if (sscanf(line, "# HELP %95s %15s", name, word) == 2) {
            for (size_t i = 0; i < seen_count; i++) {
                assert_string_not_equal(seen[i], name);
            }
            (void)snprintf(seen[seen_count++], 96, "%s", name);
            (void)snprintf(family, sizeof family, "%s", name);
            type[0] = '\0';
        } else if (sscanf(line, "# TYPE %95s %15s", name, word) == 2) {
            assert_string_equal(name, family);
            (void)snprintf(type, sizeof type, "%s", word);
        } else {
            read_sample(x, line);
            assert_true(belongs(x->samples[x->count - 1].name, family, type));
        }
    }
    free(copy);
}

static const struct sample *find(const struct exposition *x, const char *name, const char *labels,
                                 const char *le)
{
    for (size_t i = 0; i < x->count; i++) {
        const struct sample *s = &x->samples[i];
        if (strcmp(s->name, name) == 0 && strcmp(s->labels, labels) == 0 &&
            strcmp(s->le, le) == 0) {
            return s;
        }
    }
    return NULL;
}

static void check_histograms(const struct exposition *x)
{
    for (size_t i = 0; i < x->count; i++) {
        const struct sample *s = &x->samples[i];
        size_t len = strlen(s->name);
        if (len < 7 || strcmp(s->name + len - 7, "_bucket") != 0) {
            continue;
        }
        const struct sample *next = &x->samples[i + 1];
        if (strcmp(s->le, "+Inf") != 0) {
            assert_string_equal(next->name, s->name);
            assert_string_equal(next->labels, s->labels);
            assert_true(number_of(next->le) > number_of(s->le));
            assert_true(next->value >= s->value);
        } else {
            char name[128];
            (void)snprintf(name, sizeof name, "%.*s_count", (int)len - 7, s->name);
            assert_non_null(find(x, name, s->labels, ""));
            assert_true(find(x, name, s->labels, "")->value == s->value);
            (void)snprintf(name, sizeof name, "%.*s_sum", (int)len - 7, s->name);
            assert_non_null(find(x, name, s->labels, ""));
        }
    }
}

/* ------------------------------------------------------------------ tests */

static struct exposition *scrape(struct metrics *metrics)
{
    struct exposition *x = calloc(1, sizeof *x);
    struct span text;
    assert_non_null(x);
    assert_int_equal(metrics_scrape(metrics, &text), 0);
    parse(text, x);
    check_histograms(x);
    return x;
}

static void exposition(void **state)
{
    (void)state;
    struct metrics *metrics;
    struct cell cell = {0};
    make_core(&cell);
    assert_int_equal(metrics_create(&metrics), 0);
    metrics_watch(metrics, &cell);
    struct core_act_record record = {
        .kind = CORE_REC_REQUEST,
        .u.request = {.model = 1,
                      .arrival_ns = 0,
                      .dispatch_ns = CORE_NS_PER_S / 4, /* on a limit: belongs below it */
                      .first_token_ns = 10000 * CORE_NS_PER_S}};
    cell.observer->record(cell.observer->ctx, &cell, &record, 0);
    record = (struct core_act_record){
        .kind = CORE_REC_SWITCH,
        .u.change = {.event = {.from = CORE_NONE, .to = 0, .in_ns = 1500000000}, .ok = 1}};
    cell.observer->record(cell.observer->ctx, &cell, &record, 0);
    record = (struct core_act_record){.kind = CORE_REC_DECISION,
                                      .u.decision = {.action = SHUNT_SWITCH,
                                                     .reason = SHUNT_REASON_CUSTOM + 5,
                                                     .verdict = CORE_VERDICT_LATE}};
    cell.observer->record(cell.observer->ctx, &cell, &record, 0);
    cell.observer->decided(cell.observer->ctx, &cell, 0, 400, 0);

    struct exposition *x = scrape(metrics);
    const struct sample *s = find(x, "shunt_wait_seconds_bucket", "model=plain;", "0.1");
    assert_true(s && s->value == 0);
    s = find(x, "shunt_wait_seconds_bucket", "model=plain;", "0.25");
    assert_true(s && s->value == 1);
    s = find(x, "shunt_wait_seconds_sum", "model=plain;", "");
    assert_true(s && s->value == 0.25);
    s = find(x, "shunt_ttft_seconds_bucket", "model=plain;", "3600");
    assert_true(s && s->value == 0);
    s = find(x, "shunt_ttft_seconds_bucket", "model=plain;", "+Inf");
    assert_true(s && s->value == 1);
    assert_non_null(
        find(x, "shunt_switches_total", "from=;to=a\"\\\nb;tier=;result=ok;cause=policy;", ""));
    assert_non_null(find(x, "shunt_decisions_total", "action=switch;reason=custom;", ""));
    assert_non_null(find(x, "shunt_policy_faults_total", "kind=late;", ""));
    assert_non_null(find(x, "shunt_policy_decide_seconds_sum", "policy=fifo;", ""));
    assert_non_null(find(x, "shunt_requests_total", "model=plain;outcome=completed;", ""));
    assert_non_null(find(x, "shunt_requests_total", "model=plain;outcome=hopeless;", ""));
    assert_non_null(find(x, "shunt_gap_bound_seconds", "model=plain;kind=guaranteed;", ""));
    assert_non_null(find(x, "shunt_engine_state", "model=plain;device=gpu0;state=stopped;", ""));
    assert_non_null(find(x, "shunt_policy_info", "policy=fifo;policy_version=;hash=builtin;", ""));
    s = find(x, "shunt_device_time_seconds_total", "device=gpu0;state=idle;", "");
    assert_true(s && s->value == 1);
    free(x);
    x = scrape(metrics); /* gauges are not doubled by a second scrape */
    free(x);
    metrics_destroy(metrics);
    free(cell.core);
}

static void series_are_bounded(void **state)
{
    (void)state;
    struct metrics *metrics;
    struct span text;
    char model[32];
    assert_int_equal(metrics_create(&metrics), 0);
    for (int i = 0; i < METRICS_SERIES_MAX + 10; i++) {
        (void)snprintf(model, sizeof model, "m%d", i);
        const char *values[] = {model};
        metrics_set(metrics, METRIC_QUEUE_DEPTH, values, 1);
    }
    assert_int_equal(metrics_scrape(metrics, &text), 0); /* refills gauges: there is room again */
    assert_non_null(memmem(text.data, text.len, "shunt_metrics_dropped_total ", 28));
    metrics_destroy(metrics);
}

static void manual_is_current(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    metrics_print_manual(out);
    assert_int_equal(fclose(out), 0);
    if (getenv("SHUNT_REGENERATE")) {
        FILE *file = fopen(SHUNT_SOURCE_DIR "/docs/METRICS.md", "w");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
    }
    FILE *file = fopen(SHUNT_SOURCE_DIR "/docs/METRICS.md", "r");
    assert_non_null(file);
    char *committed = calloc(1, size + 2);
    assert_non_null(committed);
    size_t n = fread(committed, 1, size + 1, file);
    (void)fclose(file);
    if (n != size || memcmp(committed, text, size) != 0) {
        fail_msg("docs/METRICS.md is stale; run this test with SHUNT_REGENERATE=1");
    }
    free(committed);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exposition),
        cmocka_unit_test(series_are_bounded),
        cmocka_unit_test(manual_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
