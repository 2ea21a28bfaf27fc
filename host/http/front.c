/*
 * Routes of the front, what it answers itself, keys, and the pools of connections to engines. See
 * front.h; the path of a request that an engine answers goes on in request.c.
 */
#include "host/http/front.h"

#include "base/json_write.h"
#include "base/keys.h"
#include "host/http/front_priv.h"
#include "host/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

enum route {
    ROUTE_NONE,
    ROUTE_LIVEZ,
    ROUTE_READYZ,
    ROUTE_METRICS,
    ROUTE_MODELS,   /* the list */
    ROUTE_MODEL,    /* one of it */
    ROUTE_GENERATE, /* the four that only know POST */
    ROUTE_API,      /* any other /v1/ */
    ROUTE_UPSTREAM,
    ROUTE_STAR, /* OPTIONS * */
};

struct route_entry {
    struct span path;
    bool prefix;
    enum route route;
    const char *allow; /* methods, for 405 and OPTIONS; NULL: any */
};

/* The first that fits holds. */
static const struct route_entry routes[] = {
    {{"/v1/chat/completions", 20}, false, ROUTE_GENERATE, "POST, OPTIONS"},
    {{"/v1/completions", 15}, false, ROUTE_GENERATE, "POST, OPTIONS"},
    {{"/v1/embeddings", 14}, false, ROUTE_GENERATE, "POST, OPTIONS"},
    {{"/v1/responses", 13}, false, ROUTE_GENERATE, "POST, OPTIONS"},
    {{"/v1/models", 10}, false, ROUTE_MODELS, "GET, HEAD, OPTIONS"},
    {{"/v1/models/", 11}, true, ROUTE_MODEL, "GET, HEAD, OPTIONS"},
    {{"/v1/", 4}, true, ROUTE_API, "POST, PUT, PATCH, OPTIONS"},
    {{"/upstream/", 10}, true, ROUTE_UPSTREAM, NULL},
    {{"/livez", 6}, false, ROUTE_LIVEZ, "GET, HEAD, OPTIONS"},
    {{"/readyz", 7}, false, ROUTE_READYZ, "GET, HEAD, OPTIONS"},
    {{"/metrics", 8}, false, ROUTE_METRICS, "GET, HEAD, OPTIONS"},
    {{"*", 1}, false, ROUTE_STAR, "OPTIONS"},
};

static const struct route_entry *find_route(struct span path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct route_entry *entry = &routes[i];
        size_t len = entry->prefix && path.len > entry->path.len ? entry->path.len : path.len;
        if (span_equal(span_of(path.data, len), entry->path) &&
            (!entry->prefix || path.len > len)) {
            return entry;
        }
    }
    return NULL;
}

/* Whether the comma-separated list names the method. */
static bool allows(const char *list, struct span method)
{
    while (list && *list) {
        size_t len = strcspn(list, ",");
        if (span_equal(span_of(list, len), method)) {
            return true;
        }
        list += len;
        list += strspn(list, ", ");
    }
    return list == NULL;
}

/* ------------------------------------------------------------------ small answers */

void front_error(struct front *front, struct server_conn *conn, const struct openai_error *error)
{
    char buf[OPENAI_ERROR_BYTES_MAX];
    char lines[64];
    struct http_out out = http_out_of(lines, sizeof lines);
    front->refused++;
    if (error->retry_after_ns != 0) {
        http_out_field_uint(&out, SPAN_LITERAL("Retry-After"),
                            (uint64_t)openai_retry_after_s(error->retry_after_ns));
    }
    (void)server_reply(conn, error->status, http_out_span(&out), "application/json",
                       openai_error_body(error, buf));
}

static void reply_text(struct server_conn *conn, unsigned status, struct span text)
{
    (void)server_reply(conn, status, SPAN_LITERAL("Cache-Control: no-store\r\n"),
                       "text/plain; charset=utf-8", text);
}

void front_unknown_model(struct front *front, struct server_conn *conn, struct span name)
{
    const struct config *config = worker_config(front->worker);
    char message[OPENAI_ERROR_BYTES_MAX / 2];
    int shown = name.len > 128 ? 128 : (int)name.len;
    int n = snprintf(message, sizeof message,
                     "The model '%.*s' does not exist; known models:", shown, name.data);
    size_t used = n < 0 ? 0 : (size_t)n;
    for (uint32_t i = 0; i < config->model_count; i++) {
        const char *model = config->models[i].name;
        if (used + strlen(model) + 32 > sizeof message) {
            used += (size_t)snprintf(message + used, sizeof message - used, " and %u more",
                                     config->model_count - i);
            break;
        }
        used +=
            (size_t)snprintf(message + used, sizeof message - used, "%s %s", i ? "," : "", model);
    }
    (void)snprintf(message + used, sizeof message - used, ".");
    struct openai_error error = {.status = 404,
                                 .type = "invalid_request_error",
                                 .param = "model",
                                 .code = "model_not_found",
                                 .message = message};
    front_error(front, conn, &error);
}

static void list_models(struct front *front, struct server_conn *conn)
{
    const struct config *config = worker_config(front->worker);
    size_t size = 64;
    for (uint32_t i = 0; i < config->model_count; i++) {
        size_t name = strlen(config->models[i].name);
        size += 160 + 12 * name;
        for (uint32_t a = 0; a < config->models[i].aliases.count; a++) {
            size += 160 + 6 * (name + strlen(config->models[i].aliases.item[a]));
        }
    }
    char *text = malloc(size);
    struct span body = span_of("", 0);
    if (text) {
        struct json_write w;
        json_write_init(&w, text, size);
        json_write_object(&w);
        json_write_key(&w, "object");
        json_write_string(&w, "list");
        json_write_key(&w, "data");
        json_write_array(&w);
        for (uint32_t i = 0; i < config->model_count; i++) {
            const struct config_model *model = &config->models[i];
            openai_model(&w, model->name, model->name, front->created_s);
            for (uint32_t a = 0; a < model->aliases.count; a++) {
                openai_model(&w, model->aliases.item[a], model->name, front->created_s);
            }
        }
        json_write_array_end(&w);
        json_write_object_end(&w);
        bool fits = json_write_done(&w, &body);
        assert(fits);
        (void)fits;
    }
    (void)server_reply(conn, text ? 200 : 503, span_of("", 0), "application/json", body);
    free(text);
}

/* Decodes %XX; false if it is not well-formed or too long. */
static bool decode_percent(struct span text, char *out, size_t size, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '%') {
            unsigned value = 0;
            if (text.len - i < 3) {
                return false;
            }
            for (size_t k = i + 1; k <= i + 2; k++) {
                char h = text.data[k];
                unsigned digit = h >= '0' && h <= '9'   ? (unsigned)(h - '0')
                                 : h >= 'a' && h <= 'f' ? (unsigned)(h - 'a') + 10
                                 : h >= 'A' && h <= 'F' ? (unsigned)(h - 'A') + 10
                                                        : 16;
                if (digit == 16) {
                    return false;
                }
                value = value * 16 + digit;
            }
            i += 2;
            c = (unsigned char)value;
        }
        if (n == size || c == 0) {
            return false;
        }
        out[n++] = (char)c;
    }
    *ret_len = n;
    return true;
}

static void show_model(struct front *front, struct server_conn *conn, struct span path)
{
    char name[257];
    size_t len = 0;
    struct cell *cell;
    uint32_t model;
    struct span text = span_skip(path, 11);
    if (!decode_percent(text, name, sizeof name - 1, &len) ||
        worker_route(front->worker, span_of(name, len), &cell, &model)) {
        front_unknown_model(front, conn, text);
        return;
    }
    name[len] = '\0';
    char buf[4096];
    struct json_write w;
    struct span body = span_of("", 0);
    json_write_init(&w, buf, sizeof buf);
    openai_model(&w, name, cell_model_name(cell, model), front->created_s);
    (void)json_write_done(&w, &body);
    (void)server_reply(conn, 200, span_of("", 0), "application/json", body);
}

static void show_metrics(struct front *front, struct server_conn *conn)
{
    struct span text;
    if (!front->metrics || !front->limits.metrics) {
        reply_text(conn, 404, SPAN_LITERAL("metrics are off (setting admin.metrics)\n"));
    } else if (metrics_scrape(front->metrics, &text)) {
        reply_text(conn, 503, SPAN_LITERAL("out of memory\n"));
    } else {
        (void)server_reply(conn, 200, span_of("", 0), METRICS_CONTENT_TYPE, text);
    }
}

static void show_ready(struct front *front, struct server_conn *conn)
{
    switch (worker_phase(front->worker)) {
    case WORKER_STARTING:
        reply_text(conn, 503, SPAN_LITERAL("starting\n"));
        return;
    case WORKER_DRAINING:
        reply_text(conn, 503, SPAN_LITERAL("draining\n"));
        return;
    case WORKER_READY:
        break;
    }
    if (front->draining) {
        reply_text(conn, 503, SPAN_LITERAL("draining\n"));
    } else {
        reply_text(conn, 200, SPAN_LITERAL("ok\n"));
    }
}

/* ------------------------------------------------------------------ keys */

/* True if the request may go on; *ret_tenant identifies the holder of the key. */
static bool authorized(struct front *front, struct server_conn *conn, const struct http_head *head,
                       uint64_t *ret_tenant)
{
    static const struct span bearer = {"bearer ", 7};
    *ret_tenant = 0;
    if (!front->limits.keys_required) {
        return true;
    }
    const struct http_field *field = http_head_field(head, HTTP_FIELD_AUTHORIZATION);
    struct openai_error error = {.status = 401,
                                 .type = "invalid_request_error",
                                 .code = "invalid_api_key",
                                 .message = "No API key was given; send it as 'Authorization: "
                                            "Bearer KEY'."};
    if (field && field->value.len > bearer.len &&
        span_equal_nocase(span_of(field->value.data, bearer.len), bearer)) {
        const char *name = keys_find(front->keys, span_skip(field->value, bearer.len));
        if (name) {
            *ret_tenant = XXH3_64bits(name, strlen(name));
            return true;
        }
        error.message = "The API key is not known here.";
    }
    front_error(front, conn, &error);
    return false;
}

/* ------------------------------------------------------------------ requests for engines */

/* Splits "/upstream/MODEL/rest": MODEL is the shortest run of segments that names a model. */
static bool split_upstream(struct front *front, const struct http_head *head,
                           struct request_begin *begin)
{
    struct span rest = span_skip(head->target, 10);
    size_t path_len = head->path.len - 10;
    for (size_t end = 1; end <= path_len; end++) {
        char name[257];
        size_t len;
        if (end < path_len && rest.data[end] != '/') {
            continue;
        }
        if (!decode_percent(span_of(rest.data, end), name, sizeof name, &len)) {
            return false;
        }
        if (worker_route(front->worker, span_of(name, len), &begin->cell, &begin->model) == 0) {
            begin->target = span_skip(rest, end);
            if (end == path_len) {
                begin->target = SPAN_LITERAL("/");
            }
            return true;
        }
    }
    return false;
}

static void begin_request(struct front *front, struct server_conn *conn,
                          const struct http_head *head, enum route route)
{
    struct request_begin begin = {.conn = conn,
                                  .head = head,
                                  .kind = REQUEST_MODEL_IN_BODY,
                                  .target = head->target,
                                  .hide_authorization = front->limits.keys_required};
    if (!authorized(front, conn, head, &begin.tenant_hash)) {
        return;
    }
    if (front->draining || worker_phase(front->worker) == WORKER_DRAINING) {
        struct openai_error error = {.status = 503,
                                     .code = "draining",
                                     .message =
                                         "The host is about to end and takes no new request.",
                                     .retry_after_ns = -1};
        front_error(front, conn, &error);
        return;
    }
    if (route == ROUTE_UPSTREAM) {
        begin.kind = REQUEST_MODEL_IN_PATH;
        if (!split_upstream(front, head, &begin)) {
            struct span rest = span_skip(head->path, 10);
            const char *slash = rest.len ? memchr(rest.data, '/', rest.len) : NULL;
            rest.len = slash ? (size_t)(slash - rest.data) : rest.len;
            front_unknown_model(front, conn, rest);
            return;
        }
    }
    request_begin(front, &begin);
}

static void wrong_method(struct front *front, struct server_conn *conn, const char *allow)
{
    char lines[96];
    char buf[OPENAI_ERROR_BYTES_MAX];
    char message[128];
    struct http_out out = http_out_of(lines, sizeof lines);
    http_out_field(&out, SPAN_LITERAL("Allow"), span_of_string(allow));
    (void)snprintf(message, sizeof message, "This path allows %s.", allow);
    struct openai_error error = {.status = 405, .code = "method_not_allowed", .message = message};
    front->refused++;
    (void)server_reply(conn, 405, http_out_span(&out), "application/json",
                       openai_error_body(&error, buf));
}

static void answer_options(struct server_conn *conn, const char *allow)
{
    char lines[96];
    struct http_out out = http_out_of(lines, sizeof lines);
    http_out_field(&out, SPAN_LITERAL("Allow"), span_of_string(allow));
    (void)server_reply(conn, 204, http_out_span(&out), NULL, span_of("", 0));
}

static void answer_self(struct front *front, struct server_conn *conn, const struct http_head *head,
                        enum route route)
{
    uint64_t tenant;
    if ((route == ROUTE_MODELS || route == ROUTE_MODEL) &&
        !authorized(front, conn, head, &tenant)) {
        return;
    }
    switch (route) {
    case ROUTE_LIVEZ:
        reply_text(conn, 200, SPAN_LITERAL("ok\n"));
        break;
    case ROUTE_READYZ:
        show_ready(front, conn);
        break;
    case ROUTE_METRICS:
        show_metrics(front, conn);
        break;
    case ROUTE_MODELS:
        list_models(front, conn);
        break;
    case ROUTE_MODEL:
        show_model(front, conn, head->path);
        break;
    case ROUTE_NONE:
    case ROUTE_GENERATE:
    case ROUTE_API:
    case ROUTE_UPSTREAM:
    case ROUTE_STAR:
        assert(!"not answered here");
        break;
    }
}

static void on_head(struct server_conn *conn, const struct http_head *head, void *ctx)
{
    struct front *front = ctx;
    front->open++;
    const struct route_entry *entry = find_route(head->path);
    if (!entry) {
        struct openai_error error = {.status = 404,
                                     .code = "unknown_path",
                                     .message = "There is nothing at this path; the API is below "
                                                "/v1/."};
        front_error(front, conn, &error);
    } else if (entry->allow && head->method == HTTP_OPTIONS) {
        answer_options(conn, entry->allow);
    } else if (!allows(entry->allow, head->method_text)) {
        wrong_method(front, conn, entry->allow);
    } else if (entry->route == ROUTE_GENERATE || entry->route == ROUTE_API ||
               entry->route == ROUTE_UPSTREAM) {
        begin_request(front, conn, head, entry->route);
    } else {
        answer_self(front, conn, head, entry->route);
    }
}

static void on_body(struct server_conn *conn, struct span data, void *ctx)
{
    struct request *request = server_user(conn);
    (void)ctx;
    if (request) {
        request_body(request, data);
    }
}

static void on_end(struct server_conn *conn, void *ctx)
{
    struct request *request = server_user(conn);
    (void)ctx;
    if (request) {
        request_end(request);
    }
}

static void on_drained(struct server_conn *conn, void *ctx)
{
    struct request *request = server_user(conn);
    (void)ctx;
    if (request) {
        request_drained(request);
    }
}

static void on_done(struct server_conn *conn, enum server_outcome outcome, void *ctx)
{
    struct front *front = ctx;
    struct request *request = server_user(conn);
    front->open--;
    if (request) {
        request_done(request, outcome);
    }
}

static size_t on_refusal(unsigned status, const char *reason, char *body, size_t size,
                         const char **ret_content_type, void *ctx)
{
    char buf[OPENAI_ERROR_BYTES_MAX];
    char message[256];
    (void)ctx;
    (void)snprintf(message, sizeof message, "The request was refused: %s.", reason);
    struct openai_error error = {.status = status,
                                 .code = status == 413   ? "body_too_large"
                                         : status == 431 ? "header_too_large"
                                                         : "invalid_http",
                                 .message = message};
    struct span text = openai_error_body(&error, buf);
    if (text.len > size) {
        return 0;
    }
    memcpy(body, text.data, text.len);
    *ret_content_type = "application/json";
    return text.len;
}

static void on_refused(struct server_conn *conn, unsigned status, const char *reason, void *ctx)
{
    struct front *front = ctx;
    char peer[64];
    front->refused++;
    (void)server_conn_peer(conn, peer, sizeof peer);
    LOG(LOG_INFO, log_event("http_refused"), log_str("peer", peer), log_int("status", status),
        log_str("reason", reason));
}

static const struct server_ops server_ops = {
    .request_head = on_head,
    .request_body = on_body,
    .request_end = on_end,
    .drained = on_drained,
    .request_done = on_done,
    .refused = on_refused,
    .refusal = on_refusal,
};

/* ------------------------------------------------------------------ pools */

/* Gives up the pools that nobody uses. */
static void drop_unused_origins(struct front *front)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < front->origin_count; i++) {
        struct front_origin *origin = front->origins[i];
        client_close_idle(origin->client);
        if (client_stats(origin->client)->open == 0) {
            client_destroy(origin->client);
            free(origin);
        } else {
            front->origins[kept++] = origin;
        }
    }
    front->origin_count = kept;
}

struct client *front_client(struct front *front, const char *name)
{
    for (unsigned i = 0; i < front->origin_count; i++) {
        if (strcmp(front->origins[i]->name, name) == 0) {
            return front->origins[i]->client;
        }
    }
    if (front->origin_count == FRONT_ORIGINS_MAX) {
        drop_unused_origins(front);
    }
    struct front_origin *origin = calloc(1, sizeof *origin);
    if (!origin || front->origin_count == FRONT_ORIGINS_MAX) {
        free(origin);
        return NULL;
    }
    (void)snprintf(origin->name, sizeof origin->name, "%s", name);
    struct client_options options = client_options_default;
    options.origin = origin->name;
    options.idle_timeout_ns = front->limits.upstream_idle_ns;
    int rc = client_create(front->loop, &options, &origin->client);
    if (rc) {
        LOG(LOG_ERROR, log_event("engine_address"), log_str("origin", name),
            log_str("reason", strerror(-rc)));
        free(origin);
        return NULL;
    }
    front->origins[front->origin_count++] = origin;
    return origin->client;
}

static void on_engine_down(void *ctx, struct cell *cell, const char *name)
{
    struct front *front = ctx;
    (void)cell;
    for (unsigned i = 0; i < front->origin_count; i++) {
        if (strcmp(front->origins[i]->name, name) == 0) {
            client_close_idle(front->origins[i]->client);
        }
    }
}

/* ------------------------------------------------------------------ life */

static struct front_limits limits_of(const struct config *config)
{
    const struct config_limits *l = &config->limits;
    bool keys = config->auth == CONFIG_AUTH_KEYS ||
                (config->auth == CONFIG_AUTH_AUTO && config->keys_file[0]);
    return (struct front_limits){
        .bodies_max_bytes = (uint64_t)l->bodies_max_bytes,
        .response_buffer_bytes = (uint64_t)l->response_buffer_bytes,
        .responses_max_bytes = (uint64_t)l->responses_max_bytes,
        .total_timeout_ns = l->total_timeout_ns,
        .first_byte_timeout_ns = l->first_byte_timeout_ns,
        .between_bytes_timeout_ns = l->between_bytes_timeout_ns,
        .connect_timeout_ns = l->connect_timeout_ns,
        .upstream_idle_ns = l->upstream_idle_ns,
        .metrics = config->admin.metrics,
        .keys_required = keys,
    };
}

static struct server_options options_of(const struct config *config)
{
    const struct config_limits *l = &config->limits;
    struct server_options options = server_options_default;
    options.http.head_max_bytes = (uint32_t)l->header_max_bytes;
    options.http.target_max_bytes = (uint32_t)l->uri_max_bytes;
    options.http.fields_max =
        (uint32_t)(l->header_fields_max < HTTP_FIELDS_MAX ? l->header_fields_max : HTTP_FIELDS_MAX);
    options.http.body_max_bytes = (uint64_t)l->body_max_bytes;
    options.conns_max = (unsigned)l->connections_max;
    options.conns_per_ip_max = (unsigned)l->connections_per_ip_max;
    options.head_timeout_ns = l->header_timeout_ns;
    options.idle_timeout_ns = l->keepalive_ns > 1000000 ? l->keepalive_ns : 1000000;
    options.write_stall_ns = l->write_stall_ns;
    options.body_grace_ns = l->body_timeout_ns;
    options.abort_on_close = l->half_close_cancels;
    return options;
}

static void collect_metrics(struct metrics *metrics, void *ctx)
{
    const struct front *front = ctx;
    const struct server_stats *stats = server_stats(front->server);
    metrics_set(metrics, METRIC_HTTP_CONNECTIONS, NULL, (double)stats->conns);
    metrics_set(metrics, METRIC_HTTP_REQUESTS_TOTAL, NULL,
                (double)(stats->requests + stats->refused_requests));
    metrics_set(metrics, METRIC_HTTP_REFUSED_TOTAL, NULL, (double)front->refused);
    metrics_set(metrics, METRIC_HTTP_BODY_BYTES, NULL, (double)front->body_bytes);
    metrics_set(metrics, METRIC_HTTP_BUFFERED_BYTES, NULL, (double)stats->out_bytes);
    metrics_set(metrics, METRIC_HTTP_SHED_TOTAL, NULL, (double)front->shed);
    metrics_set(metrics, METRIC_WORKER_RESTARTS, NULL, worker_restarts(front->worker));
}

static int load_keys(const struct config *config, struct keys **ret_keys, char *err,
                     size_t err_size)
{
    *ret_keys = NULL;
    return limits_of(config).keys_required ? keys_load(config->keys_file, ret_keys, err, err_size)
                                           : 0;
}

int front_create(struct worker *worker, struct metrics *metrics, char *err, size_t err_size,
                 struct front **ret_front)
{
    const struct config *config = worker_config(worker);
    struct front *front = calloc(1, sizeof *front);
    if (!front) {
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    front->worker = worker;
    front->loop = worker_loop(worker);
    front->metrics = metrics;
    front->limits = limits_of(config);
    front->created_s = (int64_t)time(NULL);
    int rc = load_keys(config, &front->keys, err, err_size);
    if (rc == 0) {
        struct server_options options = options_of(config);
        rc = server_create(front->loop, &options, &server_ops, front, &front->server);
        if (rc) {
            (void)snprintf(err, err_size, "the HTTP server could not be made: %s", strerror(-rc));
        }
    }
    if (rc) {
        front_destroy(front);
        return rc;
    }
    front->observer = (struct cell_observer){.ctx = front, .engine_down = on_engine_down};
    for (uint32_t i = 0; i < worker_cell_count(worker); i++) {
        cell_observe(worker_cell(worker, i), &front->observer);
    }
    if (metrics) {
        metrics_collect(metrics, collect_metrics, front);
    }
    *ret_front = front;
    return 0;
}

void front_destroy(struct front *front)
{
    if (!front) {
        return;
    }
    server_destroy(front->server);
    for (unsigned i = 0; i < front->origin_count; i++) {
        client_destroy(front->origins[i]->client);
        free(front->origins[i]);
    }
    keys_free(front->keys);
    free(front);
}

int front_listen_fd(struct front *front, int fd)
{
    return server_listen_fd(front->server, fd);
}

int front_reload(struct front *front, char *err, size_t err_size)
{
    const struct config *config = worker_config(front->worker);
    struct keys *keys;
    int rc = load_keys(config, &keys, err, err_size);
    if (rc) {
        return rc;
    }
    keys_free(front->keys);
    front->keys = keys;
    front->limits = limits_of(config);
    return 0;
}

void front_drain(struct front *front)
{
    front->draining = true;
    server_drain(front->server);
}

uint64_t front_requests(const struct front *front)
{
    return front->open;
}

uint64_t front_connections(const struct front *front)
{
    return server_stats(front->server)->conns;
}
