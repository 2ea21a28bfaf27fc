/*
 * The figures of one play. What the requests came to is read from the client's own log, a line of
 * JSON each; what the device did is the difference of the host's counters before and after.
 */
#include "tools/demo_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A completed request. */
struct entry {
    uint32_t model;
    double arrival_s, wait_s, ttft_s;
};

struct reading {
    struct entry *entries;
    size_t len, size;
    double *sorted; /* scratch, as many */
};

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static int64_t tokens_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (int64_t)value : 0;
}

/* Index of the model of a line; DEMO_MODELS: none of ours. */
static uint32_t model_of(const json_t *line)
{
    const char *name = json_string_value(json_object_get(line, "model"));
    uint32_t i = 0;
    while (i < DEMO_MODELS && (!name || strcmp(name, demo_models[i].name) != 0)) {
        i++;
    }
    return i;
}

static int add_completed(struct demo *d, struct reading *r, struct demo_result *result,
                         uint32_t model, const json_t *line)
{
    const char *queue = json_string_value(json_object_get(line, "x-shunt-queue-ms"));
    int64_t in = tokens_of(line, "input_tokens"), out = tokens_of(line, "tokens");
    if (!queue) {
        return demo_fail(d, -EPROTO, "an answer came without x-shunt-queue-ms");
    }
    if (r->len == r->size) {
        size_t size = r->size ? 2 * r->size : 4096;
        struct entry *grown = reallocarray(r->entries, size, sizeof *grown);
        if (!grown) {
            return demo_fail(d, -ENOMEM, "out of memory");
        }
        r->entries = grown;
        r->size = size;
    }
    r->entries[r->len++] =
        (struct entry){.model = model,
                       .arrival_s = real_of(line, "t_s"),
                       .wait_s = strtod(queue, NULL) / 1e3 * d->options.time_scale,
                       .ttft_s = real_of(line, "ttft_s")};
    result->work_s += demo_work_s(&demo_models[model], in, out);
    result->tokens += (double)out;
    result->models[model].completed++;
    result->completed++;
    return 0;
}

static int read_line(struct demo *d, struct reading *r, struct demo_result *result,
                     const json_t *line)
{
    uint32_t model = model_of(line);
    if (model == DEMO_MODELS) {
        return demo_fail(d, -EPROTO, "the client's log has a line that is no request of the demo");
    }
    struct demo_model_result *m = &result->models[model];
    const char *error = json_string_value(json_object_get(line, "error"));
    json_int_t status = json_integer_value(json_object_get(line, "status"));
    double end_s = real_of(line, "t_end_s");
    result->span_s = end_s > result->span_s ? end_s : result->span_s;
    m->sent++;
    result->sent++;
    if (!error) {
        return add_completed(d, r, result, model, line);
    }
    bool refused = status == 429 || status == 504;
    m->refused += refused;
    m->failed += !refused;
    result->refused += refused;
    result->failed += !refused;
    result->cut += strstr(error, "shunt_drain_timeout") != NULL;
    return 0;
}

static int read_log(struct demo *d, FILE *file, const char *path, struct reading *r,
                    struct demo_result *result)
{
    char *text = NULL;
    size_t size = 0;
    int rc = 0;
    for (unsigned number = 1; rc == 0 && getline(&text, &size, file) > 0; number++) {
        json_error_t error;
        json_t *line = json_loads(text, 0, &error);
        rc = line ? read_line(d, r, result, line)
                  : demo_fail(d, -EPROTO, "%s:%u: %s", path, number, error.text);
        json_decref(line);
    }
    free(text);
    return rc;
}

/* --- Statistics ------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_dispatch(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    double s = x->arrival_s + x->wait_s, t = y->arrival_s + y->wait_s;
    return (s > t) - (s < t);
}

/* Of the first `len` values of r->sorted; a quantile is the value that so many do not exceed. */
static struct demo_times times_of(struct reading *r, size_t len)
{
    double sum = 0;
    if (len == 0) {
        return (struct demo_times){0};
    }
    qsort(r->sorted, len, sizeof *r->sorted, by_value);
    for (size_t i = 0; i < len; i++) {
        sum += r->sorted[i];
    }
    size_t p99 = (size_t)ceil(0.99 * (double)len), p50 = (size_t)ceil(0.5 * (double)len);
    return (struct demo_times){.mean = sum / (double)len,
                               .p50 = r->sorted[p50 - 1],
                               .p99 = r->sorted[p99 - 1],
                               .max = r->sorted[len - 1]};
}

/* model: DEMO_MODELS for all. */
static size_t gather(struct reading *r, uint32_t model, bool ttft)
{
    size_t len = 0;
    for (size_t i = 0; i < r->len; i++) {
        if (model == DEMO_MODELS || r->entries[i].model == model) {
            r->sorted[len++] = ttft ? r->entries[i].ttft_s : r->entries[i].wait_s;
        }
    }
    return len;
}

/*
 * The longest time that a model with waiting requests had no visit. Only one model fits, so a visit
 * is a run of dispatches of one model; the head of its queue is dispatched first and had waited
 * since it came, or since the model's last visit if it was there already.
 */
static void find_gaps(struct reading *r, struct demo_result *result)
{
    static const double never_s = -1e300;
    double last_s[DEMO_MODELS];
    uint32_t visited = DEMO_MODELS;
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        last_s[i] = never_s;
    }
    qsort(r->entries, r->len, sizeof *r->entries, by_dispatch);
    for (size_t i = 0; i < r->len; i++) {
        const struct entry *e = &r->entries[i];
        struct demo_model_result *m = &result->models[e->model];
        double at_s = e->arrival_s + e->wait_s;
        if (e->model != visited) {
            double gap_s = fmin(e->wait_s, at_s - last_s[e->model]);
            m->gap_max_s = gap_s > m->gap_max_s ? gap_s : m->gap_max_s;
            visited = e->model;
        }
        last_s[e->model] = at_s;
    }
}

int demo_result_read(struct demo *d, const char *path, uint64_t expected, struct demo_result *ret)
{
    struct reading r = {0};
    struct demo_result result = {0};
    FILE *file = fopen(path, "re");
    if (!file) {
        return demo_fail(d, -errno, "cannot read the client's log %s: %s", path, strerror(errno));
    }
    int rc = read_log(d, file, path, &r, &result);
    (void)fclose(file);
    r.sorted = calloc(r.len ? r.len : 1, sizeof *r.sorted);
    if (rc == 0 && !r.sorted) {
        rc = demo_fail(d, -ENOMEM, "out of memory");
    }
    if (rc == 0) {
        /* Whatever was not answered as documented is lost, a request without a line included. */
        result.lost = expected - result.completed - result.refused;
        for (uint32_t i = 0; i < DEMO_MODELS; i++) {
            result.models[i].wait = times_of(&r, gather(&r, i, false));
            result.models[i].ttft = times_of(&r, gather(&r, i, true));
        }
        result.wait = times_of(&r, gather(&r, DEMO_MODELS, false));
        find_gaps(&r, &result);
        *ret = result;
    }
    free(r.sorted);
    free(r.entries);
    return rc;
}

void demo_result_host(struct demo_result *result, const struct demo_status *before,
                      const struct demo_status *after)
{
    double sum = 0;
    for (size_t i = 0; i < DEMO_STATES; i++) {
        result->share[i] = after->time_s[i] - before->time_s[i];
        sum += result->share[i];
    }
    double busy_s = result->share[0] + result->share[1]; /* serving and draining */
    for (size_t i = 0; i < DEMO_STATES && sum > 0; i++) {
        result->share[i] /= sum;
    }
    result->batch_mean = busy_s > 0 ? (after->batch_s - before->batch_s) / busy_s : 0;
    result->switches = after->switches - before->switches;
    result->visits = after->visits - before->visits;
    result->forced = after->forced - before->forced;
    uint64_t cut = 0;
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        cut += after->models[i].cut - before->models[i].cut;
        result->models[i].gap_bound_s[0] = after->models[i].gap_bound_s[0];
        result->models[i].gap_bound_s[1] = after->models[i].gap_bound_s[1];
    }
    /* The client and the host count them independently: the larger number is printed. */
    result->cut = cut > result->cut ? cut : result->cut;
}
