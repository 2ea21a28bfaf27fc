/*
 * What a replay leaves behind: a line of JSON for every request, a progress line on a terminal, and
 * the summary. Times are in seconds of the trace, whatever the time scale.
 */
#include "tools/replay_priv.h"

#include "base/json_write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const replay_header_names[REPLAY_HEADERS] = {"x-shunt-request", "x-shunt-queue-ms",
                                                         "x-shunt-policy", "x-shunt-arm"};

enum { HEADER_QUEUE_MS = 1 };

double replay_trace_s(const struct replay *r, int64_t ns)
{
    return (double)ns / 1e9 * r->options.time_scale;
}

/* 429 and 504 are a host's documented answers to too much load, not failures of it. */
static bool is_refusal(const struct replay_request *q)
{
    return q->status == 429 || q->status == 504;
}

static void count_error(struct replay *r, const struct replay_request *q)
{
    size_t i = 0;
    while (i < r->errors_len && strcmp(r->errors[i].name, q->error) != 0) {
        i++;
    }
    if (i == REPLAY_ERRORS_MAX) {
        i--; /* what is too various is counted with the last */
    } else if (i == r->errors_len) {
        memcpy(r->errors[i].name, q->error, sizeof q->error);
        r->errors[i].refusal = is_refusal(q);
        r->errors_len++;
    }
    r->errors[i].count++;
}

static void write_seconds(struct json_write *w, const struct replay *r, const char *key, int64_t ns)
{
    json_write_key(w, key);
    json_write_real(w, replay_trace_s(r, ns), 12);
}

static void log_line(struct replay *r, const struct replay_request *q, int64_t end_ns)
{
    char text[2048];
    struct json_write w;
    struct span line;
    const struct arrival *a = &q->arrival;
    json_write_init(&w, text, sizeof text - 1);
    json_write_object(&w);
    json_write_key(&w, "id");
    json_write_uint(&w, a->index);
    json_write_key(&w, "model");
    json_write_string(&w, r->spec.models[a->model]);
    json_write_key(&w, "t_s");
    json_write_real(&w, (double)a->t_ns / 1e9, 12);
    json_write_key(&w, "t_send_s");
    json_write_real(&w, replay_trace_s(r, q->sent_ns - r->start_ns), 12);
    json_write_key(&w, "input_tokens");
    json_write_int(&w, a->input_tokens);
    json_write_key(&w, "output_tokens");
    json_write_int(&w, a->output_tokens);
    json_write_key(&w, "status");
    json_write_uint(&w, q->status);
    json_write_key(&w, "ttft_s");
    if (q->first_ns) {
        json_write_real(&w, replay_trace_s(r, q->first_ns - q->due_ns), 9);
    } else {
        json_write_null(&w);
    }
    json_write_key(&w, "response_s");
    json_write_real(&w, replay_trace_s(r, end_ns - q->due_ns), 9);
    json_write_key(&w, "t_end_s");
    json_write_real(&w, replay_trace_s(r, end_ns - r->start_ns), 12);
    json_write_key(&w, "bytes");
    json_write_uint(&w, q->bytes);
    json_write_key(&w, "tokens");
    json_write_uint(&w, q->tokens);
    json_write_key(&w, "error");
    json_write_string(&w, q->error[0] ? q->error : NULL);
    json_write_key(&w, "content");
    json_write_string(&w, !r->options.check || q->status != 200 ? "unchecked"
                          : q->wrong                            ? "wrong"
                                                                : "ok");
    for (size_t i = 0; i < REPLAY_HEADERS; i++) {
        if (q->headers[i][0]) {
            json_write_key(&w, replay_header_names[i]);
            json_write_string(&w, q->headers[i]);
        }
    }
    json_write_object_end(&w);
    if (json_write_done(&w, &line)) {
        (void)fprintf(r->log, "%.*s\n", (int)line.len, line.data);
    }
}

void replay_record(struct replay *r, const struct replay_request *q, int64_t end_ns)
{
    struct replay_model *m = &r->models[q->arrival.model];
    r->ended++;
    m->bytes += q->bytes;
    m->tokens += q->tokens;
    r->wrong_content += q->wrong;
    if (q->error[0] == '\0') {
        m->completed++;
        histogram_add(&m->ttft, q->first_ns - q->due_ns);
        histogram_add(&m->end_to_end, end_ns - q->due_ns);
        int64_t wait_ns;
        const char *queue_ms = q->headers[HEADER_QUEUE_MS];
        if (queue_ms[0] && decimal_parse(queue_ms, strlen(queue_ms), 6, &wait_ns) == 0) {
            histogram_add(&m->wait, wait_ns);
        }
    } else {
        bool refusal = is_refusal(q);
        m->refused += refusal;
        m->failed += !refusal;
        r->refused += refusal;
        r->failed += !refusal;
        count_error(r, q);
    }
    if (r->log) {
        log_line(r, q, end_ns);
    }
}

void replay_progress(struct replay *r, bool last)
{
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    (void)fprintf(stderr,
                  "\r\033[K%.1f s  sent %" PRIu64 "  done %" PRIu64 "  in flight %" PRIu64
                  "  refused %" PRIu64 "  failed %" PRIu64 "%s",
                  replay_trace_s(r, loop_now_ns(r->loop) - r->start_ns), r->sent, r->ended,
                  r->in_flight, r->refused, r->failed, last ? "\n" : "");
}

/* --- Summary --- */

static void json_times(struct json_write *w, const struct replay *r, const char *key,
                       const struct histogram *h)
{
    static const struct {
        const char *key;
        double q;
    } quantiles[] = {{"p50", .5}, {"p95", .95}, {"p99", .99}};
    json_write_key(w, key);
    if (h->count == 0) {
        json_write_null(w);
        return;
    }
    json_write_object(w);
    json_write_key(w, "mean");
    json_write_real(w, histogram_mean(h) / 1e9 * r->options.time_scale, 6);
    for (size_t i = 0; i < 3; i++) {
        write_seconds(w, r, quantiles[i].key, histogram_quantile(h, quantiles[i].q));
    }
    write_seconds(w, r, "max", h->max);
    json_write_object_end(w);
}

static void json_summary(struct replay *r)
{
    size_t size = 65536 + r->spec.models_len * 2048;
    char *text = malloc(size);
    struct json_write w;
    struct span out;
    if (!text) {
        return;
    }
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"sent", r->sent},
        {"completed", r->ended - r->refused - r->failed},
        {"refused", r->refused},
        {"failed", r->failed},
        {"unfinished", r->unfinished},
        {"wrong_content", r->wrong_content},
        {"dropped_rows", arrivals_dropped(r->arrivals)},
    };
    json_write_init(&w, text, size);
    json_write_object(&w);
    json_write_key(&w, "time_scale");
    json_write_real(&w, r->options.time_scale, 9);
    write_seconds(&w, r, "span_s", loop_now_ns(r->loop) - r->start_ns);
    json_write_key(&w, "interrupted");
    json_write_bool(&w, r->interrupted);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        json_write_key(&w, numbers[i].key);
        json_write_uint(&w, numbers[i].value);
    }
    json_write_key(&w, "late_p99_ms");
    json_write_real(&w, (double)histogram_quantile(&r->late, .99) / 1e6, 6);
    json_write_key(&w, "late_max_ms");
    json_write_real(&w, (double)r->late.max / 1e6, 6);
    json_write_key(&w, "errors");
    json_write_object(&w);
    for (size_t i = 0; i < r->errors_len; i++) {
        json_write_key(&w, r->errors[i].name);
        json_write_uint(&w, r->errors[i].count);
    }
    json_write_object_end(&w);
    json_write_key(&w, "models");
    json_write_array(&w);
    for (size_t i = 0; i < r->spec.models_len; i++) {
        const struct replay_model *m = &r->models[i];
        json_write_object(&w);
        json_write_key(&w, "name");
        json_write_string(&w, r->spec.models[i]);
        json_write_key(&w, "sent");
        json_write_uint(&w, m->sent);
        json_write_key(&w, "completed");
        json_write_uint(&w, m->completed);
        json_write_key(&w, "refused");
        json_write_uint(&w, m->refused);
        json_write_key(&w, "failed");
        json_write_uint(&w, m->failed);
        json_write_key(&w, "tokens");
        json_write_uint(&w, m->tokens);
        json_times(&w, r, "ttft_s", &m->ttft);
        json_times(&w, r, "wait_s", &m->wait);
        json_times(&w, r, "response_s", &m->end_to_end);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    if (json_write_done(&w, &out)) {
        printf("%.*s\n", (int)out.len, out.data);
    }
    free(text);
}

static void print_times(const struct replay *r, const char *name, const struct histogram *h)
{
    if (h->count == 0) {
        return;
    }
    printf("  %-22s mean %9.3f  p50 %9.3f  p95 %9.3f  p99 %9.3f  max %9.3f\n", name,
           histogram_mean(h) / 1e9 * r->options.time_scale,
           replay_trace_s(r, histogram_quantile(h, .5)),
           replay_trace_s(r, histogram_quantile(h, .95)),
           replay_trace_s(r, histogram_quantile(h, .99)), replay_trace_s(r, h->max));
}

static void print_summary(struct replay *r)
{
    printf("%s%" PRIu64 " sent, %" PRIu64 " completed, %" PRIu64 " refused, %" PRIu64
           " failed, %" PRIu64 " unfinished in %.1f s (seconds of the trace, time scale %g)\n",
           r->interrupted ? "interrupted: " : "", r->sent, r->ended - r->refused - r->failed,
           r->refused, r->failed, r->unfinished,
           replay_trace_s(r, loop_now_ns(r->loop) - r->start_ns), r->options.time_scale);
    for (size_t i = 0; i < r->spec.models_len; i++) {
        const struct replay_model *m = &r->models[i];
        printf("%s: %" PRIu64 " sent, %" PRIu64 " completed, %" PRIu64 " tokens\n",
               r->spec.models[i], m->sent, m->completed, m->tokens);
        print_times(r, "time to first token", &m->ttft);
        print_times(r, "wait (x-shunt-queue)", &m->wait);
        print_times(r, "end to end", &m->end_to_end);
    }
    for (size_t i = 0; i < r->errors_len; i++) {
        printf("%s %s: %" PRIu64 "\n",
               r->errors[i].refusal ? "refused:" : "failed:", r->errors[i].name,
               r->errors[i].count);
    }
    printf("sent late by %.2f ms at p99, %.2f ms at most (real time)\n",
           (double)histogram_quantile(&r->late, .99) / 1e6, (double)r->late.max / 1e6);
}

void replay_summary(struct replay *r)
{
    if (r->options.json) {
        json_summary(r);
    } else {
        print_summary(r);
    }
    (void)fflush(stdout);
}
