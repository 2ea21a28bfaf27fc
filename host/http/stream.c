/*
 * From dispatch to the end of the answer: sends the request to the engine and passes the answer
 * through as it comes. A slow client never holds the engine: what it does not take is kept up to a
 * cap, and the engine is free as soon as it has said everything. Only above the cap is reading
 * paused, and above the cap of all clients together the longest stalled one is dropped.
 *
 * The answer is not parsed; its last bytes are searched for the engine's own token counts.
 */
#include "base/json_scan.h"
#include "host/http/request.h"
#include "host/http/usage.h"
#include "host/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLLECTED_BYTES_MAX = 16384, TAIL_KEPT_BYTES = 1024 };

_Static_assert(COLLECTED_BYTES_MAX + 16 < FRONT_HEAD_BYTES_MAX, "an event is made in scratch");

static void on_head(struct client_exchange *exchange, const struct http_head *head, void *user);
static void on_body(struct client_exchange *exchange, struct span data, void *user);
static void on_done(struct client_exchange *exchange, enum client_result result, void *user);

static const struct client_ops upstream_ops = {
    .response_head = on_head, .response_body = on_body, .done = on_done};

/* ------------------------------------------------------------------ the request */

/* The body with the model's name as the engine knows it. */
static bool rename_model(struct request *request, const char *name, struct client_request *upstream)
{
    struct span pieces[3];
    struct span body = span_of(request->body, request->body_len);
    size_t len = strlen(name);
    size_t size = 6 * len + 3;
    free(request->renamed);
    request->renamed = malloc(size);
    if (!request->renamed) {
        return false;
    }
    size_t used;
    if (request->form) {
        memcpy(request->renamed, name, len);
        used = len;
    } else {
        request->renamed[0] = '"';
        used = 1 + json_escape(span_of(name, len), request->renamed + 1, size - 2);
        request->renamed[used++] = '"';
    }
    pieces[0] = span_of(body.data, request->model_at);
    pieces[1] = span_of(request->renamed, used);
    pieces[2] = span_skip(body, request->model_at + request->model_len);
    upstream->body_len = 0;
    for (int i = 0; i < 3; i++) {
        if (pieces[i].len) {
            upstream->body[upstream->body_len++] = pieces[i];
        }
    }
    return true;
}

/* Header lines that tell the client about the way here. */
static void write_own_fields(struct request *request, const struct cell_dispatch *dispatch)
{
    struct relay *relay = request->relay;
    char name[CELL_REQUEST_TEXT_BYTES];
    int64_t wait_ns = 0;
    for (int i = 0; i < CORE_WAIT_COUNT; i++) {
        wait_ns += dispatch->wait_ns[i];
    }
    struct http_out out = http_out_of(relay->own, sizeof relay->own);
    request_name(request, name);
    http_out_field(&out, SPAN_LITERAL("x-shunt-request"), span_of_string(name));
    http_out_field_uint(&out, SPAN_LITERAL("x-shunt-queue-ms"), (uint64_t)(wait_ns / 1000000));
    http_out_field(&out, SPAN_LITERAL("x-shunt-policy"), span_of_string(dispatch->policy));
    if (dispatch->arm && dispatch->arm[0]) {
        http_out_field(&out, SPAN_LITERAL("x-shunt-arm"), span_of_string(dispatch->arm));
    }
    relay->own_len = out.failed ? 0 : out.len;
}

static void complete(struct request *request, const struct cell_completion *completion)
{
    cell_complete(request->cell, request->id, completion);
    if (completion->retry) {
        request_requeued(request);
    } else {
        request_over(request);
    }
}

/* The engine's side first, so that whatever the client's side does finds the request over. */
static void complete_with_error(struct request *request, const struct cell_completion *completion,
                                const struct openai_error *error)
{
    bool told = request->conn != NULL;
    complete(request, completion); /* frees it if the client is gone */
    if (told) {
        request_fail(request, error);
    }
}

/* It could not even be sent. */
static void fail_unsent(struct request *request)
{
    struct openai_error error = {.status = 503,
                                 .code = "host_overloaded",
                                 .message = "The host could not connect to the engine.",
                                 .retry_after_ns = -1};
    struct cell_completion completion = {.outcome = SHUNT_OUTCOME_FAILED};
    complete_with_error(request, &completion, &error);
}

/* The earlier of the total time and the limit on one answer. */
static int64_t total_due(const struct request *request)
{
    const struct config *config = worker_config(request->front->worker);
    int index = config_find_model(config, cell_model_name(request->cell, request->submit.model));
    int64_t limit = index < 0 ? 0 : config->models[index].service_limit_ns;
    int64_t due = request->total_due_ns;
    if (limit > 0) {
        int64_t at = loop_now_ns(request->front->loop) + limit;
        due = at < due ? at : due;
    }
    return due == INT64_MAX ? 0 : due;
}

void stream_dispatch(struct request *request, const struct cell_dispatch *dispatch)
{
    const struct front_limits *limits = &request->front->limits;
    struct client *client = front_client(request->front, dispatch->origin);
    if (!request->relay) {
        request->relay = malloc(sizeof *request->relay);
    }
    if (!client || !request->relay) {
        fail_unsent(request);
        return;
    }
    request->relay->tail_len = request->relay->collected_len = 0;
    request->relay->collected = NULL;
    write_own_fields(request, dispatch);
    const char *at = request->head;
    struct client_request upstream = {
        .method = span_of(at, request->method_len),
        .target = span_of(at + request->method_len, request->target_len),
        .fields = span_of(at + request->method_len + request->target_len + request->type_len,
                          request->fields_len),
        .connect_timeout_ns = limits->connect_timeout_ns,
        .first_byte_timeout_ns = limits->first_byte_timeout_ns,
        .between_bytes_timeout_ns = limits->between_bytes_timeout_ns,
        .total_due_ns = total_due(request),
    };
    if (request->body_len) {
        upstream.body[upstream.body_len++] = span_of(request->body, request->body_len);
    }
    const char *name = dispatch->upstream_model;
    bool rename =
        !request->in_path &&
        (name ? strcmp(name, dispatch->model) != 0 || !request->canonical : !request->canonical);
    if ((rename && !rename_model(request, name ? name : dispatch->model, &upstream)) ||
        client_send(client, &upstream, &upstream_ops, request, &request->exchange)) {
        request->exchange = NULL;
        fail_unsent(request);
    }
}

/* ------------------------------------------------------------------ the answer */

static bool is_event_stream(const struct http_head *head)
{
    static const struct span type = {"text/event-stream", 17};
    const struct http_field *field = http_head_field(head, HTTP_FIELD_CONTENT_TYPE);
    return field && field->value.len >= type.len &&
           span_equal_nocase(span_of(field->value.data, type.len), type);
}

/* Begins the client's answer with the engine's head and our lines. */
static void pass_head(struct request *request, const struct http_head *head)
{
    static const struct span ours[] = {{"x-shunt-request", 15},
                                       {"x-shunt-queue-ms", 16},
                                       {"x-shunt-policy", 14},
                                       {"x-shunt-arm", 11}};
    struct front *front = request->front;
    const struct relay *relay = request->relay;
    struct http_out out = http_out_of(front->scratch, sizeof front->scratch);
    http_out_bytes(&out, span_of(relay->own, relay->own_len));
    http_out_forward(&out, head, ours, sizeof ours / sizeof ours[0]);
    if (out.failed) {
        out = http_out_of(front->scratch, sizeof front->scratch);
        http_out_bytes(&out, span_of(relay->own, relay->own_len));
    }
    struct server_response response = {
        .status = head->status,
        .fields = http_out_span(&out),
        .length = head->has_content_length          ? (int64_t)head->content_length
                  : head->framing == HTTP_BODY_NONE ? 0
                                                    : -1,
        .has_date = http_head_field(head, HTTP_FIELD_DATE) != NULL,
    };
    (void)server_respond(request->conn, &response);
}

static void on_head(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    struct request *request = user;
    (void)exchange;
    request->failed_status = head->status >= 500;
    request->sse = is_event_stream(head);
    if (!request->conn) {
        return;
    }
    if (!request->early) {
        request->passed = true;
        pass_head(request, head);
    } else if (head->status == 200 && request->sse) {
        request->passed = true;
    } else {
        request->collecting = true; /* behind an early 200: shown as one event at the end */
    }
}

static void keep_tail(struct relay *relay, struct span data)
{
    if (data.len > TAIL_KEPT_BYTES) {
        data = span_skip(data, data.len - TAIL_KEPT_BYTES);
    }
    if (relay->tail_len + data.len > sizeof relay->tail) {
        memmove(relay->tail, relay->tail + relay->tail_len - TAIL_KEPT_BYTES, TAIL_KEPT_BYTES);
        relay->tail_len = TAIL_KEPT_BYTES;
    }
    memcpy(relay->tail + relay->tail_len, data.data, data.len);
    relay->tail_len += data.len;
}

static void collect(struct relay *relay, struct span data)
{
    size_t room = COLLECTED_BYTES_MAX - relay->collected_len;
    size_t len = data.len < room ? data.len : room;
    char *text = realloc(relay->collected, relay->collected_len + len + 1);
    if (text) {
        memcpy(text + relay->collected_len, data.data, len);
        relay->collected = text;
        relay->collected_len += len;
    }
}

static void stall(struct request *request)
{
    struct stall_list *list = &request->front->stalled;
    if (request->is_stalled) {
        return;
    }
    request->is_stalled = true;
    request->stalled_prev = list->last;
    request->stalled_next = NULL;
    *(list->last ? &list->last->stalled_next : &list->first) = request;
    list->last = request;
}

/* Drops the longest stalled clients until all answers together are below their cap. */
static void shed(struct front *front)
{
    while (front->stalled.first &&
           server_stats(front->server)->out_bytes > front->limits.responses_max_bytes) {
        struct request *victim = front->stalled.first;
        front->shed++;
        LOG(LOG_WARNING, log_event("slow_client_dropped"),
            log_str("model", cell_model_name(victim->cell, victim->submit.model)),
            log_int("buffered_bytes", (int64_t)server_pending_bytes(victim->conn)));
        request_unstall(victim);
        server_abort(victim->conn);
    }
}

static void on_body(struct client_exchange *exchange, struct span data, void *user)
{
    struct request *request = user;
    struct front *front = request->front;
    if (!request->first_byte) {
        request->first_byte = true;
        cell_first_token(request->cell, request->id);
    }
    keep_tail(request->relay, data);
    if (request->collecting) {
        collect(request->relay, data);
        return;
    }
    if (!request->conn || server_write(request->conn, data)) {
        return;
    }
    size_t pending = server_pending_bytes(request->conn);
    if (pending > server_options_default.out_low_bytes) {
        stall(request);
        if (pending > front->limits.response_buffer_bytes) {
            request->paused = true;
            client_pause(exchange);
        }
        shed(front);
    }
}

void stream_drained(struct request *request)
{
    if (request->paused && request->exchange) {
        request->paused = false;
        client_resume(request->exchange);
    }
}

/* ------------------------------------------------------------------ end */

/* An answer behind an early 200 that is no stream: one event that carries the engine's error. */
static void finish_collected(struct request *request)
{
    const struct relay *relay = request->relay;
    struct json_scan_value value;
    struct json_scan_error err;
    struct span text = span_of(relay->collected, relay->collected_len);
    static const struct span error_key = {"error", 5};
    bool shaped = text.len && json_scan(text, &error_key, 1, &value, &err) == 0 &&
                  value.type != JSON_SCAN_ABSENT;
    if (!shaped || memchr(text.data, '\n', text.len) || memchr(text.data, '\r', text.len)) {
        struct openai_error error = {
            .status = 502, .code = "engine_error", .message = "The engine answered with an error."};
        request_fail(request, &error);
        return;
    }
    struct http_out event = http_out_of(request->front->scratch, sizeof request->front->scratch);
    http_out_bytes(&event, SPAN_LITERAL("data: "));
    http_out_bytes(&event, text);
    http_out_bytes(&event, SPAN_LITERAL("\n\n"));
    (void)server_write(request->conn, http_out_span(&event));
    (void)server_finish(request->conn);
}

static void finish_ok(struct request *request)
{
    struct stream_usage usage;
    stream_usage(span_of(request->relay->tail, request->relay->tail_len), &usage);
    struct cell_completion completion = {
        .outcome = request->failed_status ? SHUNT_OUTCOME_FAILED : SHUNT_OUTCOME_COMPLETED,
        .output_tokens = usage.output_tokens,
        .prompt_tokens = usage.prompt_tokens,
    };
    /* The engine first: its place is free now, however slowly the client reads. */
    struct server_conn *conn = request->conn;
    if (!conn) {
        complete(request, &completion);
        return;
    }
    if (request->collecting) {
        complete(request, &completion); /* does not free it while the client is there */
        finish_collected(request);
        return;
    }
    complete(request, &completion);
    (void)server_finish(conn);
}

static void failure_of(enum client_result result, struct openai_error *ret)
{
    *ret = (struct openai_error){.status = 502, .code = "engine_error"};
    switch (result) {
    case CLIENT_CONNECT_FAILED:
    case CLIENT_CONNECT_TIMEOUT:
        ret->code = "engine_unreachable";
        ret->message = "The model's engine could not be reached.";
        break;
    case CLIENT_FIRST_BYTE_TIMEOUT:
        ret->status = 504;
        ret->code = "engine_first_byte_timeout";
        ret->message = "The model's engine did not begin its answer in time.";
        break;
    case CLIENT_BETWEEN_BYTES_TIMEOUT:
        ret->status = 504;
        ret->code = "engine_stalled";
        ret->message = "The model's engine stopped in the middle of its answer.";
        break;
    case CLIENT_TOTAL_TIMEOUT:
        ret->status = 504;
        ret->code = "shunt_total_timeout";
        ret->message = "The answer took longer than it may.";
        break;
    case CLIENT_CLOSED:
        ret->message = "The model's engine closed the connection before its answer was complete.";
        break;
    case CLIENT_BAD_RESPONSE:
        ret->message = "The model's engine sent an answer that is not valid HTTP.";
        break;
    case CLIENT_OK:
    case CLIENT_RESULTS:
        assert(!"not a failure");
        break;
    }
}

static void finish_failed(struct request *request, enum client_result result, const char *detail)
{
    bool unreached = result == CLIENT_CONNECT_FAILED || result == CLIENT_CONNECT_TIMEOUT;
    struct cell_completion completion = {
        .outcome = SHUNT_OUTCOME_FAILED,
        .engine_refused = unreached || (result == CLIENT_CLOSED && !request->first_byte)};
    LOG(LOG_WARNING, log_event("engine_failed_request"),
        log_str("model", cell_model_name(request->cell, request->submit.model)),
        log_str("how", client_result_name(result)), log_str("detail", detail));
    if (unreached && !request->tried && request->conn && !request->ended && !request->cancelled) {
        request->tried = true;
        completion.retry = true;
        complete(request, &completion);
        return;
    }
    struct openai_error error;
    failure_of(result, &error);
    complete_with_error(request, &completion, &error);
}

static void on_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    struct request *request = user;
    request->exchange = NULL;
    if (result == CLIENT_OK) {
        finish_ok(request);
    } else {
        finish_failed(request, result, client_detail(exchange));
    }
}

void stream_abort(struct request *request)
{
    assert(request->state == REQUEST_RUNNING);
    if (request->exchange) {
        client_cancel(request->exchange);
        request->exchange = NULL;
    }
    struct cell_completion completion = {.outcome = SHUNT_OUTCOME_FAILED};
    if (request->ended) {
        completion.outcome = request->end_outcome;
    } else if (request->cancelled || !request->conn) {
        completion.outcome = SHUNT_OUTCOME_CANCELLED;
    } else if (!request->passed) {
        completion.retry = true;
        request->first_byte = request->collecting = false;
    } else {
        struct openai_error error = {.status = 502,
                                     .code = "engine_lost",
                                     .message = "The model's engine was lost during its answer."};
        complete_with_error(request, &completion, &error);
        return;
    }
    complete(request, &completion);
}
