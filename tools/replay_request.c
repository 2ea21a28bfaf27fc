/*
 * One request of a replay: its prompt, its answer read as a strict client would, and what became of
 * it. The prompt is unique to the request and the answer is checked against it where the engine is
 * the emulator (--check): no byte of one request may reach another.
 */
#include "tools/replay_priv.h"

#include "base/json_write.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 1024, FIELDS_MAX = 512 };

/* --- Sending --- */

/* Bytes of filler that bring the prompt to its number of tokens. */
static size_t filler_len(const struct replay *r, int64_t input_tokens, size_t have)
{
    double want = (double)(input_tokens > 0 ? input_tokens : 1) * r->options.bytes_per_token;
    double max = (double)r->options.prompt_bytes_max;
    want = (want < max ? want : max) - (double)have;
    return want > 0 ? (size_t)want : 0;
}

/* Fills the head of the JSON body; returns its length, 0 if it does not fit. */
static size_t make_head(struct replay *r, struct replay_request *q, const char *own)
{
    const struct replay_options *o = &r->options;
    struct json_write w;
    q->head = malloc(HEAD_MAX);
    if (!q->head) {
        return 0;
    }
    json_write_init(&w, q->head, HEAD_MAX);
    json_write_object(&w);
    json_write_key(&w, "model");
    json_write_string(&w, r->spec.models[q->arrival.model]);
    if (q->arrival.output_tokens > 0) {
        json_write_key(&w, "max_tokens");
        json_write_int(&w, q->arrival.output_tokens);
        json_write_key(&w, "ignore_eos");
        json_write_bool(&w, true);
    }
    json_write_key(&w, "stream");
    json_write_bool(&w, o->stream);
    if (w.failed) {
        return 0;
    }
    int n = snprintf(q->head + w.len, HEAD_MAX - w.len, "%s%s",
                     o->completions ? ",\"prompt\":\""
                                    : ",\"messages\":[{\"role\":\"user\",\"content\":\"",
                     own);
    return n > 0 && (size_t)n < HEAD_MAX - w.len ? w.len + (size_t)n : 0;
}

static size_t make_fields(const struct replay *r, const struct replay_request *q, char *to,
                          size_t size)
{
    struct http_out out = http_out_of(to, size);
    http_out_field(&out, SPAN_LITERAL("Content-Type"), SPAN_LITERAL("application/json"));
    if (r->options.stream) {
        http_out_field(&out, SPAN_LITERAL("Accept"), SPAN_LITERAL("text/event-stream"));
    }
    if (q->arrival.input_tokens > 0) {
        http_out_field_uint(&out, SPAN_LITERAL("x-emulate-input-tokens"),
                            (uint64_t)q->arrival.input_tokens);
    }
    if (r->options.api_key) {
        char value[400];
        int n = snprintf(value, sizeof value, "Bearer %s", r->options.api_key);
        http_out_field(&out, SPAN_LITERAL("Authorization"), span_of(value, n > 0 ? (size_t)n : 0));
    }
    return out.failed ? 0 : out.len;
}

static void unlink_request(struct replay *r, struct replay_request *q)
{
    *(q->prev ? &q->prev->next : &r->open) = q->next;
    if (q->next) {
        q->next->prev = q->prev;
    }
    r->in_flight--;
}

static void request_free(struct replay_request *q)
{
    free(q->head);
    free(q->line.data);
    free(q);
}

static const struct client_ops ops;

static int send_now(struct replay *r, struct replay_request *q)
{
    char own[96], fields[FIELDS_MAX];
    int own_len = snprintf(own, sizeof own, "request %" PRIu64 " of run %" PRId64 ": ",
                           q->arrival.index, r->start_ns);
    assert(own_len > 0 && (size_t)own_len < sizeof own);
    size_t head_len = make_head(r, q, own), fields_len = make_fields(r, q, fields, sizeof fields);
    if (head_len == 0 || fields_len == 0) {
        return -EMSGSIZE;
    }
    struct span filler =
        span_of(r->filler, filler_len(r, q->arrival.input_tokens, (size_t)own_len));
    if (r->options.check) {
        q->key = emulate_key_add(EMULATE_KEY_INIT, span_of(own, (size_t)own_len));
        q->key = emulate_key_add(q->key, filler);
    }
    struct client_request request = {
        .method = SPAN_LITERAL("POST"),
        .target = r->options.completions ? SPAN_LITERAL("/v1/completions")
                                         : SPAN_LITERAL("/v1/chat/completions"),
        .fields = span_of(fields, fields_len),
        .body = {span_of(q->head, head_len), filler,
                 r->options.completions ? SPAN_LITERAL("\"}") : SPAN_LITERAL("\"}]}")},
        .body_len = 3,
        .total_due_ns = q->sent_ns + (int64_t)(r->options.timeout_s * 1e9),
    };
    return client_send(r->client, &request, &ops, q, &q->exchange);
}

int replay_send(struct replay *r, const struct arrival *arrival, int64_t due_ns)
{
    struct replay_request *q = calloc(1, sizeof *q);
    if (!q) {
        return -ENOMEM;
    }
    q->replay = r;
    q->arrival = *arrival;
    q->due_ns = due_ns;
    q->sent_ns = loop_now_ns(r->loop);
    int rc = send_now(r, q);
    if (rc) {
        request_free(q);
        return rc;
    }
    q->next = r->open;
    if (q->next) {
        q->next->prev = q;
    }
    r->open = q;
    r->in_flight++;
    r->sent++;
    r->models[arrival->model].sent++;
    histogram_add(&r->late, q->sent_ns - due_ns);
    return 0;
}

/* --- The answer --- */

__attribute__((format(printf, 2, 3))) static void set_error(struct replay_request *q,
                                                            const char *words, ...)
{
    if (q->error[0] == '\0') { /* the first cause counts */
        va_list args;
        va_start(args, words);
        (void)vsnprintf(q->error, sizeof q->error, words, args);
        va_end(args);
    }
}

/* Text of the answer against what the emulator must say, byte by byte. */
static void check_text(struct replay_request *q, const char *text, size_t len)
{
    if (!q->replay->options.check) {
        return;
    }
    for (size_t i = 0; i < len; i++, q->checked++) {
        char word[EMULATE_WORD_MAX];
        uint64_t at = q->checked;
        uint64_t index = at < 16 ? 0 : 1 + (at - 16) / 5;
        (void)emulate_word(q->key, index, word);
        if (word[index == 0 ? at : (at - 16) % 5] != text[i]) {
            q->wrong = true;
            return;
        }
    }
}

static void read_error(struct replay_request *q, const json_t *error)
{
    const json_t *code = json_object_get(error, "code");
    const char *type = json_string_value(json_object_get(error, "type"));
    if (json_is_string(code)) {
        set_error(q, "stream_%.40s", json_string_value(code));
    } else {
        set_error(q, "stream_%.40s", type ? type : "error");
    }
}

/* One object of a stream, or the whole answer. */
static void read_object(struct replay_request *q, const json_t *object, bool whole)
{
    const json_t *error = json_object_get(object, "error");
    if (json_is_object(error)) {
        read_error(q, error);
        return;
    }
    const json_t *choice = json_array_get(json_object_get(object, "choices"), 0);
    const json_t *inner = json_object_get(choice, whole ? "message" : "delta");
    const json_t *text = json_object_get(inner ? inner : choice, inner ? "content" : "text");
    if (json_string_length(text) > 0) {
        q->tokens++;
        check_text(q, json_string_value(text), json_string_length(text));
    }
    const json_t *usage = json_object_get(object, "usage");
    if (json_is_object(usage)) {
        q->usage_tokens = (uint64_t)json_integer_value(json_object_get(usage, "completion_tokens"));
    }
}

static void read_json(struct replay_request *q, const char *text, size_t len, bool whole)
{
    json_error_t error;
    json_t *object = json_loadb(text, len, 0, &error);
    if (json_is_object(object)) {
        read_object(q, object, whole);
    } else {
        set_error(q, "not_json");
    }
    json_decref(object);
}

static void read_line(struct replay_request *q, const char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\r') {
        len--;
    }
    if (len < 5 || memcmp(line, "data:", 5) != 0) {
        return; /* a comment, an event's name, an empty line */
    }
    line += 5;
    len -= 5;
    if (len > 0 && *line == ' ') {
        line++;
        len--;
    }
    if (len == 6 && memcmp(line, "[DONE]", 6) == 0) {
        q->done_mark = true;
        return;
    }
    if (q->first_ns == 0) {
        q->first_ns = loop_now_ns(q->replay->loop);
    }
    if (q->done_mark) {
        set_error(q, "data_after_done");
        return;
    }
    read_json(q, line, len, false);
}

static void read_stream(struct replay_request *q, struct span data)
{
    while (data.len > 0) {
        const char *newline = memchr(data.data, '\n', data.len);
        size_t len = newline ? (size_t)(newline - data.data) : data.len;
        if (!newline || q->line.len > 0) {
            if (q->line.len + len > REPLAY_LINE_MAX ||
                text_add(&q->line, span_of(data.data, len))) {
                set_error(q, "line_too_long");
                q->line.len = 0;
            }
        }
        if (newline && q->line.len > 0) {
            read_line(q, q->line.data, q->line.len);
            q->line.len = 0;
        } else if (newline) {
            read_line(q, data.data, len);
        }
        data = span_skip(data, len + (newline != NULL));
    }
}

static void on_head(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    (void)exchange;
    struct replay_request *q = user;
    const struct http_field *type = http_head_field(head, HTTP_FIELD_CONTENT_TYPE);
    static const char events[] = "text/event-stream";
    q->status = head->status;
    q->event_stream = type && type->value.len >= sizeof events - 1 &&
                      memcmp(type->value.data, events, sizeof events - 1) == 0;
    for (size_t i = 0; i < REPLAY_HEADERS; i++) {
        const struct http_field *field =
            http_head_find(head, span_of_string(replay_header_names[i]));
        if (field && field->value.len < sizeof q->headers[i]) {
            memcpy(q->headers[i], field->value.data, field->value.len);
        }
    }
}

static void on_body(struct client_exchange *exchange, struct span data, void *user)
{
    (void)exchange;
    struct replay_request *q = user;
    q->bytes += data.len;
    if (q->event_stream) {
        read_stream(q, data);
        return;
    }
    if (q->first_ns == 0) {
        q->first_ns = loop_now_ns(q->replay->loop);
    }
    if (q->line.len + data.len > REPLAY_BODY_MAX || text_add(&q->line, data)) {
        set_error(q, "body_too_long");
    }
}

/* What an answer that came whole is worth. */
static void judge(struct replay_request *q)
{
    const struct replay *r = q->replay;
    if (q->status != 200) {
        set_error(q, "http_%u", q->status);
        return;
    }
    if (q->event_stream) {
        if (!q->done_mark) {
            set_error(q, "stream_without_done");
        }
    } else {
        read_json(q, q->line.data ? q->line.data : "", q->line.len, true);
        q->tokens = q->usage_tokens;
    }
    if (r->options.check && q->error[0] == '\0') {
        /* Every token once: the key's 16 digits, then five bytes each. */
        uint64_t want = q->arrival.output_tokens > 0
                            ? 16 + 5 * (uint64_t)(q->arrival.output_tokens - 1)
                            : q->checked;
        q->wrong = q->wrong || q->checked != want;
    }
    if (q->wrong) {
        set_error(q, "wrong_content");
    }
}

static void on_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    (void)exchange;
    struct replay_request *q = user;
    struct replay *r = q->replay;
    if (result == CLIENT_OK) {
        judge(q);
    } else {
        set_error(q, "%s", client_result_name(result));
    }
    unlink_request(r, q);
    replay_record(r, q, loop_now_ns(r->loop));
    request_free(q);
    replay_request_over(r);
}

static const struct client_ops ops = {
    .response_head = on_head,
    .response_body = on_body,
    .done = on_done,
};

void replay_cancel_all(struct replay *r)
{
    while (r->open) {
        struct replay_request *q = r->open;
        client_cancel(q->exchange);
        unlink_request(r, q);
        r->unfinished++;
        request_free(q);
    }
}
