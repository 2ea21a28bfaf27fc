/*
 * Routes of the emulator and the reading of requests. The control calls exist only where a real
 * vLLM would have them: with VLLM_SERVER_DEV_MODE=1, sleep and wake also only with
 * --enable-sleep-mode; else they are 404.
 */
#include "tools/emulate_priv.h"

#include "base/trace.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- Reading --- */

static void copy_span(char *to, size_t size, struct span from)
{
    size_t len = from.len < size ? from.len : 0; /* what does not fit matches nothing */
    if (len > 0) {
        memcpy(to, from.data, len);
    }
    to[len] = '\0';
}

static int64_t header_number(const struct http_head *head, struct span name)
{
    int64_t value;
    const struct http_field *field = http_head_find(head, name);
    if (!field || decimal_parse(field->value.data, field->value.len, 0, &value) || value < 0) {
        return -1;
    }
    return value;
}

static void on_head(struct server_conn *conn, const struct http_head *head, void *ctx)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r) {
        server_abort(conn);
        return;
    }
    r->emulator = ctx;
    r->conn = conn;
    r->method = head->method;
    copy_span(r->path, sizeof r->path, head->path);
    copy_span(r->query, sizeof r->query, head->query);
    r->header_output_tokens = header_number(head, SPAN_LITERAL("x-emulate-output-tokens"));
    r->header_input_tokens = header_number(head, SPAN_LITERAL("x-emulate-input-tokens"));
    server_set_user(conn, r);
}

static void on_body(struct server_conn *conn, struct span data, void *ctx)
{
    (void)ctx;
    struct request *r = server_user(conn);
    if (text_add(&r->body, data)) {
        server_abort(conn);
    }
}

void request_free(struct request *r)
{
    free(r->body.data);
    free(r->answer.data);
    free(r);
}

static void on_done(struct server_conn *conn, enum server_outcome outcome, void *ctx)
{
    struct emulator *e = ctx;
    struct request *r = server_user(conn);
    if (!r) {
        return;
    }
    r->conn = NULL;
    bool generating =
        r->kind != REQUEST_CONTROL && (r->state == REQUEST_WAITING || r->state == REQUEST_RUNNING);
    if (r->kind == REQUEST_CONTROL && r->state == REQUEST_WAITING) {
        return; /* the engine goes on with it; control frees it */
    }
    if (generating) {
        e->aborted += outcome == SERVER_CLIENT_GONE;
        if (e->options.faults.ignore_abort) {
            return; /* its last token frees it */
        }
        engine_remove(e, r);
        engine_kick(e);
        control_kick(e);
    }
    request_free(r);
}

/* --- Queries --- */

/* The VALUE of NAME=VALUE in a query, from *at on; moves *at behind it. */
static bool query_next(const char **at, struct span name, struct span *ret_value)
{
    while (**at != '\0') {
        const char *begin = *at;
        size_t len = strcspn(begin, "&");
        *at = begin + len + (begin[len] == '&');
        if (len > name.len && begin[name.len] == '=' && memcmp(begin, name.data, name.len) == 0) {
            *ret_value = span_of(begin + name.len + 1, len - name.len - 1);
            return true;
        }
    }
    return false;
}

static const char *parse_tags(const char *query, unsigned *ret_tags)
{
    struct span value;
    unsigned tags = 0;
    while (query_next(&query, SPAN_LITERAL("tags"), &value)) {
        if (span_equal(value, SPAN_LITERAL("weights"))) {
            tags |= TAG_WEIGHTS;
        } else if (span_equal(value, SPAN_LITERAL("kv_cache"))) {
            tags |= TAG_KV;
        } else {
            return "tags: weights or kv_cache";
        }
    }
    *ret_tags = tags ? tags : TAG_ALL;
    return NULL;
}

static const char *parse_sleep(struct request *r)
{
    const char *query = r->query;
    struct span value;
    r->level = 1;
    if (query_next(&query, SPAN_LITERAL("level"), &value)) {
        if (value.len != 1 || value.data[0] < '0' || value.data[0] > '2') {
            return "level: 0, 1 or 2";
        }
        r->level = value.data[0] - '0';
    }
    query = r->query;
    if (query_next(&query, SPAN_LITERAL("mode"), &value)) {
        if (span_equal(value, SPAN_LITERAL("wait"))) {
            r->mode = SLEEP_WAIT;
        } else if (span_equal(value, SPAN_LITERAL("keep"))) {
            r->mode = SLEEP_KEEP;
        } else if (!span_equal(value, SPAN_LITERAL("abort"))) {
            return "mode: abort, wait or keep";
        }
    }
    return parse_tags(r->query, &r->tags);
}

/* --- Generation --- */

/* Adds all text below VALUE to the key; counts its bytes, and the tokens given as numbers. */
static void prompt_add(struct request *r, const json_t *value, uint64_t *bytes, int64_t *tokens)
{
    if (json_is_string(value)) {
        struct span text = span_of(json_string_value(value), json_string_length(value));
        r->key = emulate_key_add(r->key, text);
        *bytes += text.len;
    } else if (json_is_integer(value)) {
        int64_t token = json_integer_value(value);
        r->key = emulate_key_add(r->key, span_of((const char *)&token, sizeof token));
        ++*tokens;
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            prompt_add(r, json_array_get(value, i), bytes, tokens);
        }
    } else if (json_is_object(value)) {
        prompt_add(r, json_object_get(value, "content"), bytes, tokens);
        prompt_add(r, json_object_get(value, "text"), bytes, tokens);
    }
}

static const char *prompt_member(enum request_kind kind)
{
    return kind == REQUEST_CHAT ? "messages" : kind == REQUEST_COMPLETION ? "prompt" : "input";
}

/* The first of the members that is a number; 0 if none is. */
static int64_t output_limit(const json_t *body)
{
    static const char *const names[] = {"max_completion_tokens", "max_tokens", "max_output_tokens"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *value = json_object_get(body, names[i]);
        if (json_is_integer(value)) {
            return json_integer_value(value);
        }
    }
    return 0;
}

static const char *read_limits(struct request *r, const json_t *body)
{
    const struct emulate_options *o = &r->emulator->options;
    int64_t limit = output_limit(body);
    if (limit < 0 || limit > EMULATE_OUTPUT_MAX) {
        return "max_tokens is out of range";
    }
    int64_t wanted = r->header_output_tokens > 0 ? r->header_output_tokens
                     : limit > 0                 ? limit
                                                 : o->output_tokens;
    r->output_is_limit = limit > 0 && wanted >= limit;
    r->output_tokens = r->output_is_limit ? limit : wanted;
    if (r->input_tokens + r->output_tokens > o->model_len_max) {
        if (r->input_tokens >= o->model_len_max || limit > 0) {
            return "This model's maximum context length is exceeded by the prompt and max_tokens";
        }
        r->output_tokens = o->model_len_max - r->input_tokens;
        r->output_is_limit = true;
    }
    return NULL;
}

/* 0, or the status of the error in *ret_message. */
static unsigned read_body(struct request *r, const json_t *body, const char **ret_message)
{
    const struct emulate_options *o = &r->emulator->options;
    const char *model = json_string_value(json_object_get(body, "model"));
    const json_t *prompt = json_object_get(body, prompt_member(r->kind));
    for (size_t i = 0; model && i < o->models_len; i++) {
        if (strcmp(o->models[i], model) == 0) {
            r->model = o->models[i];
        }
    }
    if (model && !r->model) {
        *ret_message = "The model does not exist.";
        return 404;
    }
    r->model = r->model ? r->model : o->models[0];
    if (!prompt || json_is_null(prompt)) {
        *ret_message = "the prompt (messages, prompt or input) is missing";
        return 400;
    }
    if (json_integer_value(json_object_get(body, "n")) > 1) {
        *ret_message = "n > 1 is not emulated";
        return 400;
    }
    uint64_t bytes = 0;
    int64_t tokens = 0;
    r->key = EMULATE_KEY_INIT;
    prompt_add(r, prompt, &bytes, &tokens);
    tokens += (int64_t)((double)bytes / o->bytes_per_token);
    r->input_tokens = r->header_input_tokens >= 0 ? r->header_input_tokens : tokens;
    r->input_tokens = r->input_tokens < 1 ? 1 : r->input_tokens;
    r->stream = r->kind != REQUEST_EMBEDDING && json_is_true(json_object_get(body, "stream"));
    r->include_usage =
        json_is_true(json_object_get(json_object_get(body, "stream_options"), "include_usage"));
    const char *encoding = json_string_value(json_object_get(body, "encoding_format"));
    r->embedding_base64 = encoding && strcmp(encoding, "base64") == 0;
    *ret_message = r->kind == REQUEST_EMBEDDING ? NULL : read_limits(r, body);
    return *ret_message ? 400 : 0;
}

static bool engine_refuses(const struct emulator *e)
{
    bool refuses = e->asleep || e->keeping;
    for (const struct request *r = e->controls.first; r; r = r->next) {
        refuses = refuses || r->control == CONTROL_SLEEP;
    }
    return refuses;
}

static void generate(struct emulator *e, struct request *r)
{
    static const char *const prefixes[] = {[REQUEST_CHAT] = "chatcmpl",
                                           [REQUEST_COMPLETION] = "cmpl",
                                           [REQUEST_RESPONSE] = "resp",
                                           [REQUEST_EMBEDDING] = "embd"};
    if (engine_refuses(e)) {
        e->refused_asleep++;
        answer_error(r, 503, "ServiceUnavailableError", "the engine is asleep");
        return;
    }
    if (e->options.faults.error_500 > 0) {
        e->options.faults.error_500--;
        answer_error(r, 500, "InternalServerError", "failed (fault on demand)");
        return;
    }
    json_error_t error;
    json_t *body = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, &error);
    const char *message = "the body is not a JSON object";
    unsigned status = json_is_object(body) ? read_body(r, body, &message) : 400;
    json_decref(body);
    if (status) {
        answer_error(r, status, status == 404 ? "NotFoundError" : "BadRequestError", message);
        return;
    }
    free(r->body.data); /* long prompts need not stay while the answer is made */
    r->body = (struct text){0};
    (void)snprintf(r->id, sizeof r->id, "%s-%016" PRIx64, prefixes[r->kind],
                   r->key ^ (e->next_id++ << 40));
    r->created_s = (int64_t)time(NULL);
    engine_submit(e, r);
}

/* --- Control --- */

static void control(struct emulator *e, struct request *r, enum control what)
{
    r->control = what;
    const char *wrong = what == CONTROL_SLEEP  ? parse_sleep(r)
                        : what == CONTROL_WAKE ? parse_tags(r->query, &r->tags)
                                               : NULL;
    if (wrong) {
        answer_error(r, 400, "BadRequestError", wrong);
        return;
    }
    if (what == CONTROL_WAKE && !e->asleep && !e->controls.first) {
        answer_empty(r, 200);
        return;
    }
    r->kind = REQUEST_CONTROL;
    control_submit(e, r);
}

static void collective_rpc(struct emulator *e, struct request *r)
{
    json_error_t error;
    json_t *body = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, &error);
    const char *method = json_string_value(json_object_get(body, "method"));
    bool reload = method && strcmp(method, "reload_weights") == 0;
    json_decref(body);
    if (!method) {
        answer_error(r, 400, "BadRequestError", "JSON with a member \"method\" is needed");
    } else if (reload) {
        control(e, r, CONTROL_RELOAD);
    } else {
        answer_json(r, 200, "{\"results\":[null]}");
    }
}

static void is_sleeping(struct emulator *e, struct request *r)
{
    answer_json(r, 200, e->asleep ? "{\"is_sleeping\":true}" : "{\"is_sleeping\":false}");
}

/* --- Routes --- */

enum route {
    ROUTE_HEALTH,
    ROUTE_MODELS,
    ROUTE_METRICS,
    ROUTE_VERSION,
    ROUTE_CHAT,
    ROUTE_COMPLETION,
    ROUTE_EMBEDDING,
    ROUTE_RESPONSE,
    ROUTE_SLEEP,
    ROUTE_WAKE,
    ROUTE_IS_SLEEPING,
    ROUTE_RPC,
    ROUTE_RESET_PREFIX,
    ROUTE_FAULTS,
    ROUTE_FAULTS_READ,
};

/* Where a route exists. */
enum needs { ALWAYS, DEV_MODE, SLEEP_MODE };

static const struct {
    const char *path;
    enum http_method method;
    enum route route;
    enum needs needs;
} routes[] = {
    {"/health", HTTP_GET, ROUTE_HEALTH, ALWAYS},
    {"/v1/models", HTTP_GET, ROUTE_MODELS, ALWAYS},
    {"/metrics", HTTP_GET, ROUTE_METRICS, ALWAYS},
    {"/version", HTTP_GET, ROUTE_VERSION, ALWAYS},
    {"/v1/chat/completions", HTTP_POST, ROUTE_CHAT, ALWAYS},
    {"/v1/completions", HTTP_POST, ROUTE_COMPLETION, ALWAYS},
    {"/v1/embeddings", HTTP_POST, ROUTE_EMBEDDING, ALWAYS},
    {"/v1/responses", HTTP_POST, ROUTE_RESPONSE, ALWAYS},
    {"/sleep", HTTP_POST, ROUTE_SLEEP, SLEEP_MODE},
    {"/wake_up", HTTP_POST, ROUTE_WAKE, SLEEP_MODE},
    {"/is_sleeping", HTTP_GET, ROUTE_IS_SLEEPING, SLEEP_MODE},
    {"/collective_rpc", HTTP_POST, ROUTE_RPC, DEV_MODE},
    {"/reset_prefix_cache", HTTP_POST, ROUTE_RESET_PREFIX, DEV_MODE},
    {"/emulate/faults", HTTP_POST, ROUTE_FAULTS, ALWAYS},
    {"/emulate/faults", HTTP_GET, ROUTE_FAULTS_READ, ALWAYS},
};

static void start_generation(struct emulator *e, struct request *r, enum request_kind kind)
{
    r->kind = kind;
    if (!faults_framing(e, r)) {
        generate(e, r);
    }
}

static void run_route(struct emulator *e, struct request *r, enum route route)
{
    switch (route) {
    case ROUTE_HEALTH:
        answer_empty(r, e->dead ? 503 : 200);
        return;
    case ROUTE_MODELS:
        answer_models(r);
        return;
    case ROUTE_METRICS:
        answer_metrics(r);
        return;
    case ROUTE_VERSION:
        answer_json(r, 200, "{\"version\":\"shunt-emulate\"}");
        return;
    case ROUTE_CHAT:
        start_generation(e, r, REQUEST_CHAT);
        return;
    case ROUTE_COMPLETION:
        start_generation(e, r, REQUEST_COMPLETION);
        return;
    case ROUTE_EMBEDDING:
        start_generation(e, r, REQUEST_EMBEDDING);
        return;
    case ROUTE_RESPONSE:
        start_generation(e, r, REQUEST_RESPONSE);
        return;
    case ROUTE_SLEEP:
        control(e, r, CONTROL_SLEEP);
        return;
    case ROUTE_WAKE:
        control(e, r, CONTROL_WAKE);
        return;
    case ROUTE_IS_SLEEPING:
        is_sleeping(e, r);
        return;
    case ROUTE_RPC:
        collective_rpc(e, r);
        return;
    case ROUTE_RESET_PREFIX:
        answer_empty(r, 200);
        return;
    case ROUTE_FAULTS:
    case ROUTE_FAULTS_READ:
        faults_request(e, r);
        return;
    }
    assert(false);
}

static void on_end(struct server_conn *conn, void *ctx)
{
    struct emulator *e = ctx;
    const struct emulate_options *o = &e->options;
    struct request *r = server_user(conn);
    bool known = false;
    bool faults_path = strcmp(r->path, "/emulate/faults") == 0;
    if (o->faults.hang_http && !faults_path) {
        return; /* until the client gives up */
    }
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        bool exists = routes[i].needs == ALWAYS ||
                      (o->dev_mode && (routes[i].needs == DEV_MODE || o->sleep_mode));
        if (!exists || strcmp(routes[i].path, r->path) != 0) {
            continue;
        }
        known = true;
        if (routes[i].method == r->method) {
            run_route(e, r, routes[i].route);
            return;
        }
    }
    answer_error(r, known ? 405 : 404, known ? "MethodNotAllowedError" : "NotFoundError",
                 known ? "Method Not Allowed" : "Not Found");
}

const struct server_ops emulate_ops = {
    .request_head = on_head,
    .request_body = on_body,
    .request_end = on_end,
    .request_done = on_done,
};
