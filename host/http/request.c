/* The life of a request up to its dispatch, and its end: see request.h. */
#include "host/http/request.h"

#include "base/json_scan.h"
#include "host/http/multipart.h"
#include "host/log.h"
#include "host/words.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { BODY_FIRST_BYTES = 4096 };

/* Fields of the client that the engine never sees: ours, and compression, which would hide the
 * engine's token counts. */
static const struct span hidden_fields[] = {
    {"x-shunt-deadline-ms", 19}, {"x-shunt-priority", 16}, {"x-shunt-session", 15},
    {"accept-encoding", 15},     {"authorization", 13}, /* last: only when the key is ours */
};
enum { HIDDEN_FIELDS = sizeof hidden_fields / sizeof hidden_fields[0] };

/* ------------------------------------------------------------------ end */

void request_unstall(struct request *request)
{
    if (!request->is_stalled) {
        return;
    }
    struct stall_list *list = &request->front->stalled;
    *(request->stalled_prev ? &request->stalled_prev->stalled_next : &list->first) =
        request->stalled_next;
    *(request->stalled_next ? &request->stalled_next->stalled_prev : &list->last) =
        request->stalled_prev;
    request->is_stalled = false;
}

static void drop_body(struct request *request)
{
    request->front->body_bytes -= request->body_len;
    free(request->body);
    free(request->renamed);
    request->body = NULL;
    request->renamed = NULL;
    request->body_len = request->body_size = 0;
}

static void free_if_gone(struct request *request)
{
    bool held = request->state != REQUEST_COLLECTING && request->state != REQUEST_OVER;
    if (request->conn || held) {
        return;
    }
    assert(!request->exchange && !request->is_stalled);
    loop_timer_fini(&request->timer);
    drop_body(request);
    if (request->relay) {
        free(request->relay->collected);
        free(request->relay);
    }
    free(request->head);
    free(request);
}

void request_over(struct request *request)
{
    request->state = REQUEST_OVER;
    loop_timer_cancel(&request->timer);
    drop_body(request); /* a slow client may read on for long; its body is not needed for that */
    free_if_gone(request);
}

void request_name(const struct request *request, char text[CELL_REQUEST_TEXT_BYTES])
{
    if (request->state == REQUEST_COLLECTING || request->state == REQUEST_OFFERED || !request->id) {
        text[0] = '\0';
        return;
    }
    cell_request_text(request->cell, request->id, text);
}

static void log_failure(const struct request *request, const struct openai_error *error)
{
    char name[CELL_REQUEST_TEXT_BYTES];
    request_name(request, name);
    LOG(error->status >= 500 ? LOG_WARNING : LOG_DEBUG, log_event("request_failed"),
        log_str("request_id", name),
        log_str("model",
                request->cell ? cell_model_name(request->cell, request->submit.model) : ""),
        log_int("status", error->status), log_str("code", error->code ? error->code : ""),
        log_str("reason", error->message));
}

static void fail_started(struct request *request, const struct openai_error *error)
{
    char buf[OPENAI_ERROR_BYTES_MAX];
    struct server_conn *conn = request->conn;
    if (!request->early && !request->sse) {
        server_abort(conn); /* the cut is the only way to say it */
        return;
    }
    const struct relay *relay = request->relay;
    if (request->passed && relay && relay->tail_len >= 2 &&
        memcmp(relay->tail + relay->tail_len - 2, "\n\n", 2) != 0) {
        (void)server_write(conn, SPAN_LITERAL("\n\n")); /* the engine stopped inside an event */
    }
    (void)server_write(conn, openai_error_event(error, buf));
    (void)server_finish(conn);
}

void request_fail(struct request *request, const struct openai_error *error)
{
    log_failure(request, error);
    struct server_conn *conn = request->conn;
    if (!conn) {
        return;
    }
    if (server_responded(conn)) {
        fail_started(request, error);
        return;
    }
    char name[CELL_REQUEST_TEXT_BYTES];
    char lines[256];
    char buf[OPENAI_ERROR_BYTES_MAX];
    struct http_out out = http_out_of(lines, sizeof lines);
    request_name(request, name);
    if (name[0]) {
        http_out_field(&out, SPAN_LITERAL("x-shunt-request"), span_of_string(name));
    }
    if (error->retry_after_ns != 0) {
        http_out_field_uint(&out, SPAN_LITERAL("Retry-After"),
                            (uint64_t)openai_retry_after_s(error->retry_after_ns));
    }
    assert(!out.failed);
    (void)server_reply(conn, error->status, http_out_span(&out), "application/json",
                       openai_error_body(error, buf));
}

/* Refused before it reached a queue. */
static void refuse(struct request *request, unsigned status, const char *param, const char *code,
                   const char *message)
{
    struct openai_error error = {.status = status,
                                 .param = param,
                                 .code = code,
                                 .message = message,
                                 .retry_after_ns = status == 503 ? -1 : 0};
    request->front->refused++;
    request_fail(request, &error);
}

void request_done(struct request *request, enum server_outcome outcome)
{
    request->conn = NULL;
    request_unstall(request);
    loop_timer_cancel(&request->timer);
    request->front->shed += outcome == SERVER_WRITE_STALLED;
    bool held = request->state == REQUEST_QUEUED || request->state == REQUEST_RUNNING;
    if (!held || request->cancelled || request->ended) {
        free_if_gone(request);
        return;
    }
    LOG(LOG_DEBUG, log_event("client_left"),
        log_str("model", cell_model_name(request->cell, request->submit.model)),
        log_str("how", server_outcome_name(outcome)),
        log_bool("running", request->state == REQUEST_RUNNING));
    request->cancelled = true;
    bool waits = request->state == REQUEST_QUEUED;
    cell_cancel(request->cell, request->id, SHUNT_OUTCOME_CANCELLED);
    if (waits) {
        request_over(request);
    } /* else the cell calls abort, now or soon */
}

/* ------------------------------------------------------------------ head */

/* An integer field of ours; false if it is there and wrong. */
static bool read_field_int(const struct http_head *head, struct span name, int64_t min, int64_t max,
                           int64_t *ret_value)
{
    const struct http_field *field = http_head_find(head, name);
    if (!field) {
        return true;
    }
    struct json_scan_value value = {.type = JSON_SCAN_NUMBER, .raw = field->value};
    struct json_scan_value checked;
    struct json_scan_error err;
    if (json_scan_any(field->value, &checked, &err) || checked.type != JSON_SCAN_NUMBER) {
        return false;
    }
    return json_scan_int(&value, min, max, ret_value) == 0;
}

static bool read_attributes(struct request *request, const struct http_head *head)
{
    int64_t deadline_ms = 0;
    int64_t priority = 0;
    const int64_t year_ms = INT64_C(366) * 86400 * 1000;
    if (!read_field_int(head, hidden_fields[0], 1, year_ms, &deadline_ms)) {
        refuse(request, 400, "x-shunt-deadline-ms", "invalid_header",
               "The header x-shunt-deadline-ms must be a whole number of milliseconds, 1 or more.");
        return false;
    }
    if (!read_field_int(head, hidden_fields[1], -8, 7, &priority)) {
        refuse(request, 400, "x-shunt-priority", "invalid_header",
               "The header x-shunt-priority must be a whole number from -8 to 7.");
        return false;
    }
    request->submit.deadline_ns =
        deadline_ms ? request->arrival_ns + deadline_ms * INT64_C(1000000) : 0;
    request->submit.priority = (int32_t)priority;
    const struct http_field *session = http_head_find(head, hidden_fields[2]);
    if (session && session->value.len) {
        request->submit.session_hash = XXH3_64bits(session->value.data, session->value.len);
    }
    return true;
}

/* Keeps of the head what the engine is to see. */
static bool keep_head(struct request *request, const struct request_begin *begin)
{
    struct front *front = request->front;
    const struct http_head *head = begin->head;
    const struct http_field *type = http_head_field(head, HTTP_FIELD_CONTENT_TYPE);
    struct span type_text = type ? type->value : span_of("", 0);
    struct http_out out = http_out_of(front->scratch, sizeof front->scratch);
    http_out_bytes(&out, head->method_text);
    http_out_bytes(&out, begin->target);
    http_out_bytes(&out, type_text);
    size_t before = out.len;
    http_out_forward(&out, head, hidden_fields,
                     begin->hide_authorization ? HIDDEN_FIELDS : HIDDEN_FIELDS - 1);
    if (out.failed) {
        refuse(request, 431, NULL, "header_too_large", "The header is too large.");
        return false;
    }
    request->head = malloc(out.len + 1);
    if (!request->head) {
        refuse(request, 503, NULL, "out_of_memory", "The host is out of memory.");
        return false;
    }
    memcpy(request->head, out.data, out.len);
    request->method_len = (uint32_t)head->method_text.len;
    request->target_len = (uint32_t)begin->target.len;
    request->type_len = (uint32_t)type_text.len;
    request->fields_len = (uint32_t)(out.len - before);
    return true;
}

static void on_timer(struct loop_timer *timer);

void request_begin(struct front *front, const struct request_begin *begin)
{
    struct request *request = calloc(1, sizeof *request);
    if (!request) {
        struct openai_error error = {.status = 503,
                                     .code = "out_of_memory",
                                     .message = "The host is out of memory.",
                                     .retry_after_ns = -1};
        front_error(front, begin->conn, &error);
        return;
    }
    request->front = front;
    request->conn = begin->conn;
    request->state = REQUEST_COLLECTING;
    request->arrival_ns = loop_now_ns(front->loop);
    request->total_due_ns = INT64_MAX;
    request->in_path = begin->kind == REQUEST_MODEL_IN_PATH;
    request->cell = begin->cell;
    request->submit.model = begin->model;
    request->submit.tenant_hash = begin->tenant_hash;
    if (begin->head->framing == HTTP_BODY_LENGTH) {
        request->body_expected = (size_t)begin->head->content_length;
    }
    loop_timer_init(&request->timer, front->loop, on_timer);
    server_set_user(begin->conn, request);
    if (read_attributes(request, begin->head)) {
        (void)keep_head(request, begin);
    }
}

/* ------------------------------------------------------------------ body */

static bool grow_body(struct request *request, size_t needed)
{
    size_t size = request->body_size ? request->body_size : BODY_FIRST_BYTES;
    while (size < needed) {
        size *= 2;
    }
    if (request->body_expected >= needed && size > request->body_expected) {
        size = request->body_expected;
    }
    char *body = realloc(request->body, size);
    if (!body) {
        return false;
    }
    request->body = body;
    request->body_size = size;
    return true;
}

void request_body(struct request *request, struct span data)
{
    struct front *front = request->front;
    size_t needed = request->body_len + data.len;
    if (front->body_bytes + data.len > front->limits.bodies_max_bytes ||
        (needed > request->body_size && !grow_body(request, needed))) {
        refuse(request, 503, NULL, "bodies_full",
               "The host holds as many request bodies as it may; try again later.");
        return;
    }
    memcpy(request->body + request->body_len, data.data, data.len);
    request->body_len += data.len;
    front->body_bytes += data.len;
}

/* ------------------------------------------------------------------ model */

static const struct config_model *settings_of(const struct request *request)
{
    const struct config *config = worker_config(request->front->worker);
    int index = config_find_model(config, cell_model_name(request->cell, request->submit.model));
    return index < 0 ? NULL : &config->models[index];
}

static bool is_json(struct span type)
{
    static const struct span json = {"application/json", 16};
    if (type.len == 0) {
        return true;
    }
    const char *end = memchr(type.data, ';', type.len);
    struct span word = span_of(type.data, end ? (size_t)(end - type.data) : type.len);
    while (word.len && word.data[word.len - 1] == ' ') {
        word.len--;
    }
    return span_equal_nocase(word, json) ||
           (word.len > 5 &&
            span_equal_nocase(span_skip(word, word.len - 5), SPAN_LITERAL("+json")));
}

/* Finds the cell; answers 404 otherwise. */
static bool route(struct request *request, struct span name)
{
    struct front *front = request->front;
    if (worker_route(front->worker, name, &request->cell, &request->submit.model)) {
        request->cell = NULL;
        front_unknown_model(front, request->conn, name);
        return false;
    }
    request->canonical =
        span_equal(name, span_of_string(cell_model_name(request->cell, request->submit.model)));
    return true;
}

static bool read_json(struct request *request)
{
    struct json_request json;
    struct json_scan_error err;
    const char *field = NULL;
    char message[256];
    struct span body = span_of(request->body, request->body_len);
    int rc = body.len ? json_scan_request(body, &json, &err, &field) : -EINVAL;
    if (rc) {
        if (!body.len) {
            (void)snprintf(message, sizeof message, "The body is empty; it must be a JSON object.");
        } else if (field) {
            (void)snprintf(message, sizeof message, "'%s' %s.", field, err.reason);
        } else {
            (void)snprintf(message, sizeof message,
                           "The body is not a valid JSON object: %s at byte %zu.", err.reason,
                           err.offset_bytes);
        }
        refuse(request, 400, field, field ? "invalid_value" : "invalid_json", message);
        return false;
    }
    if (!route(request, json.model)) {
        return false;
    }
    request->model_at = json.model_value.offset_bytes;
    request->model_len = json.model_value.raw.len;
    request->stream = json.stream;
    uint64_t tokens = json.prompt_bytes / 4 + 1;
    request->submit.prompt_tokens = tokens > UINT32_MAX ? UINT32_MAX : (uint32_t)tokens;
    int64_t max = json.max_tokens * (json.n > 0 ? json.n : 1);
    request->submit.max_tokens = max > UINT32_MAX ? UINT32_MAX : (uint32_t)max;
    return true;
}

static bool read_form(struct request *request, struct span type)
{
    struct span name;
    struct span body = span_of(request->body, request->body_len);
    int rc = multipart_model(type, body, &name);
    if (rc == -ENOENT) {
        refuse(request, 415, "model", "no_model_field",
               "The form has no field 'model', so it cannot be routed.");
        return false;
    }
    if (rc == -EEXIST) {
        refuse(request, 400, "model", "invalid_value", "The form has the field 'model' twice.");
        return false;
    }
    if (rc) {
        refuse(request, 400, NULL, "invalid_form", "The body is not a well-formed form.");
        return false;
    }
    if (!route(request, name)) {
        return false;
    }
    request->form = true;
    request->model_at = (size_t)(name.data - request->body);
    request->model_len = name.len;
    return true;
}

/* ------------------------------------------------------------------ queue */

static void arm_timer(struct request *request)
{
    /* While it runs, the connection to the engine keeps the total time. */
    int64_t due = request->state == REQUEST_QUEUED ? request->total_due_ns : INT64_MAX;
    if (request->heartbeat_ns && !request->passed && request->heartbeat_due_ns < due) {
        due = request->heartbeat_due_ns;
    }
    if (due != INT64_MAX) {
        loop_timer_set(&request->timer, due);
    }
}

/* A sign of life for a stream that waits; the first one is the early 200. */
static void heartbeat(struct request *request)
{
    char line[128];
    int n = 0;
    uint32_t position;
    int64_t eta_ns;
    if (request->state == REQUEST_QUEUED &&
        cell_position(request->cell, request->id, &position, &eta_ns) == 0) {
        n = snprintf(line, sizeof line, ": shunt queued position=%" PRIu32, position + 1);
        if (eta_ns >= 0) {
            n += snprintf(line + n, sizeof line - (size_t)n, " eta_s=%" PRId64,
                          (eta_ns + CORE_NS_PER_S - 1) / CORE_NS_PER_S);
        }
    } else {
        n = snprintf(line, sizeof line, ": shunt dispatched");
    }
    n += snprintf(line + n, sizeof line - (size_t)n, "\n\n");
    if (!request->early) {
        char name[CELL_REQUEST_TEXT_BYTES];
        char lines[128];
        struct http_out out = http_out_of(lines, sizeof lines);
        request_name(request, name);
        http_out_field(&out, SPAN_LITERAL("Cache-Control"), SPAN_LITERAL("no-cache"));
        http_out_field(&out, SPAN_LITERAL("x-shunt-request"), span_of_string(name));
        struct server_response response = {.status = 200,
                                           .fields = http_out_span(&out),
                                           .content_type = "text/event-stream",
                                           .length = -1};
        request->early = true;
        (void)server_respond(request->conn, &response);
    }
    (void)server_write(request->conn, span_of(line, (size_t)n));
}

static void on_timer(struct loop_timer *timer)
{
    struct request *request =
        (struct request *)(void *)((char *)timer - offsetof(struct request, timer));
    int64_t now = loop_now_ns(request->front->loop);
    if (!request->conn || (request->state != REQUEST_QUEUED && request->state != REQUEST_RUNNING)) {
        return;
    }
    if (now >= request->total_due_ns && request->state == REQUEST_QUEUED) {
        struct openai_error error = {
            .status = 504,
            .code = "shunt_total_timeout",
            .message = "The request did not end within its total time while it was queued."};
        request->cancelled = true;
        cell_cancel(request->cell, request->id, SHUNT_OUTCOME_EXPIRED);
        request_fail(request, &error);
        request_over(request);
        return;
    }
    if (request->heartbeat_ns && !request->passed && now >= request->heartbeat_due_ns) {
        request->heartbeat_due_ns = now + request->heartbeat_ns;
        heartbeat(request);
    }
    arm_timer(request);
}

void request_requeued(struct request *request)
{
    request->state = REQUEST_QUEUED;
    if (request->conn) {
        arm_timer(request);
    }
}

static void on_accepted(void *cookie, uint64_t id, uint32_t position, int64_t eta_ns)
{
    struct request *request = cookie;
    (void)position;
    (void)eta_ns;
    request->id = id;
    request->state = REQUEST_QUEUED;
    if (!request->conn) {
        request->cancelled = true;
        cell_cancel(request->cell, id, SHUNT_OUTCOME_CANCELLED);
        request_over(request);
        return;
    }
    request->heartbeat_due_ns = request->arrival_ns + request->heartbeat_ns;
    arm_timer(request);
}

static void on_rejected(void *cookie, enum core_reject reason, int64_t retry_after_ns)
{
    static const struct {
        unsigned status;
        const char *code, *message;
    } texts[CORE_REJECT_COUNT] = {
        [CORE_REJECT_QUEUE_FULL] = {429, "queue_full", "The queue of this model is full."},
        [CORE_REJECT_HOPELESS] = {429, "wait_too_long",
                                  "The estimated wait for this model is longer than it may be."},
        [CORE_REJECT_UNAVAILABLE] = {503, "model_unavailable",
                                     "This model cannot be served at the moment."},
    };
    struct request *request = cookie;
    assert(reason < CORE_REJECT_COUNT);
    struct openai_error error = {.status = texts[reason].status,
                                 .code = texts[reason].code,
                                 .message = texts[reason].message,
                                 .retry_after_ns = retry_after_ns > 0 ? retry_after_ns : -1};
    request_fail(request, &error);
    request_over(request);
}

static void on_dispatch(void *cookie, const struct cell_dispatch *dispatch)
{
    struct request *request = cookie;
    assert(request->state == REQUEST_QUEUED && !request->exchange);
    request->state = REQUEST_RUNNING;
    if (!request->heartbeat_ns) {
        loop_timer_cancel(&request->timer);
    }
    stream_dispatch(request, dispatch);
}

static void on_ended(void *cookie, uint32_t outcome, bool dispatched,
                     const int64_t wait_ns[CORE_WAIT_COUNT])
{
    struct request *request = cookie;
    (void)wait_ns;
    request->ended = true;
    request->end_outcome = outcome;
    struct openai_error error = {.status = 503,
                                 .code = "engine_unavailable",
                                 .message = "The model's engine cannot serve the request.",
                                 .retry_after_ns = -1};
    if (outcome == SHUNT_OUTCOME_EXPIRED) {
        error = (struct openai_error){
            .status = 504,
            .code = "shunt_queue_timeout",
            .message = "The request waited as long as it may and was not started."};
    } else if (outcome == SHUNT_OUTCOME_CUT) {
        error.code = "shunt_drain_timeout";
        error.message = "The answer took longer than the drain limit and was cut, so that another "
                        "model can be served.";
    }
    request_fail(request, &error);
    if (!dispatched) {
        request_over(request);
    }
}

static void on_abort(void *cookie)
{
    stream_abort(cookie);
}

static const struct cell_request_ops cell_ops = {
    .accepted = on_accepted,
    .rejected = on_rejected,
    .dispatch = on_dispatch,
    .ended = on_ended,
    .abort = on_abort,
};

void request_end(struct request *request)
{
    struct span type =
        span_of(request->head + request->method_len + request->target_len, request->type_len);
    if (!request->in_path) {
        if (multipart_is(type)) {
            if (!read_form(request, type)) {
                return;
            }
        } else if (!is_json(type)) {
            refuse(request, 415, NULL, "unsupported_media_type",
                   "The body must be application/json, or multipart/form-data with a field "
                   "'model'.");
            return;
        } else if (!read_json(request)) {
            return;
        }
    }
    const struct config_model *settings = settings_of(request);
    if (settings) {
        request->submit.service_class = (uint32_t)settings->service_class;
        request->heartbeat_ns = request->stream ? settings->heartbeat_ns : 0;
    }
    int64_t total = request->front->limits.total_timeout_ns;
    request->arrival_ns = loop_now_ns(request->front->loop);
    if (total) {
        request->total_due_ns = request->arrival_ns + total;
    }
    request->state = REQUEST_OFFERED;
    cell_submit(request->cell, &request->submit, &cell_ops, request);
}

void request_drained(struct request *request)
{
    request_unstall(request);
    stream_drained(request);
}
