/*
 * The admin socket: who may speak, reading a request, finding the verb, writing the answer. What
 * the verbs do is in admin_state.c, admin_operate.c, admin_policy.c and admin_explain.c.
 */
#include "host/admin/admin_priv.h"

#include "base/config.h"
#include "host/log.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct admin_verb verbs[] = {
    {"status", false, admin_status},
    {"models", false, admin_models},
    {"load", true, admin_load},
    {"unload", true, admin_unload},
    {"pin", true, admin_pin},
    {"unpin", true, admin_unpin},
    {"drain", true, admin_drain},
    {"reload", true, admin_reload},
    {"logs", false, admin_logs},
    {"explain", false, admin_explain},
    {"policy/list", false, admin_policy_list},
    {"policy/show", false, admin_policy_show},
    {"policy/swap", true, admin_policy_swap},
    {"policy/rollback", true, admin_policy_rollback},
    {"policy/confirm", true, admin_policy_confirm},
    {"policy/set", true, admin_policy_set},
    {"policy/explain", false, admin_policy_explain},
    {"policy/dump", false, admin_policy_dump},
};

/* ------------------------------------------------------------------ calls */

static void call_unlink(struct admin_call *call)
{
    struct admin *admin = call->admin;
    if (admin) {
        *(call->prev ? &call->prev->next : &admin->calls) = call->next;
        if (call->next) {
            call->next->prev = call->prev;
        }
        admin->call_count--;
        call->admin = NULL;
    }
}

static void call_free_if_over(struct admin_call *call)
{
    if (call->conn || call->pending) {
        return;
    }
    call_unlink(call);
    json_decref(call->args);
    free(call->body);
    free(call);
}

static void reply(struct admin_call *call, unsigned status, json_t *value)
{
    if (!call->conn) {
        json_decref(value);
        return;
    }
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    size_t len = text ? strlen(text) : 0;
    json_decref(value);
    if (!text) {
        (void)server_reply(call->conn, 500, span_of("", 0), "application/json",
                           SPAN_LITERAL("{\"error\":{\"message\":\"out of memory\"}}\n"));
    } else if (len > ADMIN_ANSWER_BYTES_MAX) {
        (void)server_reply(call->conn, 500, span_of("", 0), "application/json",
                           SPAN_LITERAL("{\"error\":{\"message\":\"the answer is too large\"}}\n"));
    } else {
        text[len] = '\n'; /* in place of the NUL: the answer is given by its length */
        (void)server_reply(call->conn, status, span_of("", 0), "application/json",
                           span_of(text, len + 1));
    }
    free(text);
}

void admin_answer(struct admin_call *call, json_t *value)
{
    reply(call, 200, value);
}

void admin_refuse(struct admin_call *call, unsigned status, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    LOG(LOG_INFO, log_event("admin_refused"), log_str("verb", call->verb ? call->verb->name : ""),
        log_str("reason", message));
    reply(call, status, json_pack("{s:{s:s%}}", "error", "message", message, strlen(message)));
}

unsigned admin_status_of(int result)
{
    switch (-result) {
    case ENOENT:
    case ESTALE:
        return 404;
    case EBUSY:
    case EPERM:
        return 409;
    case EINVAL:
    case E2BIG:
    case ENOTSUP:
        return 400;
    default:
        return 500;
    }
}

void admin_hold(struct admin_call *call)
{
    assert(!call->pending);
    call->pending = true;
}

void admin_done(void *ctx, int result, const char *message)
{
    struct admin_call *call = ctx;
    assert(call->pending);
    LOG(result ? LOG_WARNING : LOG_INFO, log_event(result ? "admin_failed" : "admin_done"),
        log_str("verb", call->verb->name), log_str("message", message));
    if (call->conn && result) {
        admin_refuse(call, admin_status_of(result), "%s", message);
    } else if (call->conn) {
        reply(call, 200, json_pack("{s:s}", "message", message));
    }
    call->pending = false;
    call_free_if_over(call);
}

bool admin_text(struct admin_call *call, const char *name, bool required, const char **ret_text)
{
    const json_t *value = json_object_get(call->args, name);
    *ret_text = NULL;
    if (!value && required) {
        admin_refuse(call, 400, "the argument \"%s\" is missing", name);
        return false;
    }
    if (value && !json_is_string(value)) {
        admin_refuse(call, 400, "the argument \"%s\" must be a text", name);
        return false;
    }
    *ret_text = value ? json_string_value(value) : NULL;
    return true;
}

struct cell *admin_cell(struct admin_call *call)
{
    const struct worker *worker = call->admin->worker;
    const char *name;
    if (!admin_text(call, "cell", false, &name)) {
        return NULL;
    }
    if (!name && worker_cell_count(worker) == 1) {
        return worker_cell(worker, 0);
    }
    for (uint32_t i = 0; name && i < worker_cell_count(worker); i++) {
        if (strcmp(cell_name(worker_cell(worker, i)), name) == 0) {
            return worker_cell(worker, i);
        }
    }
    if (name) {
        admin_refuse(call, 404, "there is no cell \"%s\"", name);
    } else {
        admin_refuse(call, 400, "there are several cells: name one (argument \"cell\")");
    }
    return NULL;
}

json_t *admin_seconds(int64_t ns)
{
    return json_real((double)ns / 1e9);
}

json_t *admin_text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

/* ------------------------------------------------------------------ server */

/* The kernel's word on who is at the other end. */
static bool peer_allowed(const struct server_conn *conn)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(server_conn_fd(conn), SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return false;
    }
    return peer.uid == 0 || peer.uid == geteuid();
}

static const struct admin_verb *find_verb(struct span path)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (path.len > 1 && span_equal(span_skip(path, 1), span_of_string(verbs[i].name))) {
            return &verbs[i];
        }
    }
    return NULL;
}

static void begin(struct admin *admin, struct server_conn *conn, const struct http_head *head)
{
    struct admin_call *call = calloc(1, sizeof *call);
    if (!call) {
        (void)server_reply(conn, 503, span_of("", 0), NULL, span_of("", 0));
        return;
    }
    call->admin = admin;
    call->conn = conn;
    call->next = admin->calls;
    if (call->next) {
        call->next->prev = call;
    }
    admin->calls = call;
    admin->call_count++;
    server_set_user(conn, call);
    call->verb = find_verb(head->path);
    const struct http_field *type = http_head_field(head, HTTP_FIELD_CONTENT_TYPE);
    if (!call->verb) {
        admin_refuse(call, 404, "there is no verb at this path");
    } else if (admin->call_count > ADMIN_CALLS_MAX) {
        admin_refuse(call, 503, "too many operations are under way");
    } else if (head->method != HTTP_POST && (call->verb->changes || head->method != HTTP_GET)) {
        admin_refuse(call, 405, "\"%s\" wants the method POST", call->verb->name);
    } else if (head->method == HTTP_POST &&
               !(type && span_equal_nocase(type->value, SPAN_LITERAL("application/json")))) {
        /* Also keeps pages in a browser from reaching a TCP listener. */
        admin_refuse(call, 415, "a POST must be application/json");
    }
}

static void on_head_unix(struct server_conn *conn, const struct http_head *head, void *ctx)
{
    if (!peer_allowed(conn)) {
        LOG(LOG_WARNING, log_event("admin_forbidden"));
        (void)server_reply(conn, 403, span_of("", 0), "application/json",
                           SPAN_LITERAL("{\"error\":{\"message\":\"only root and the user that the "
                                        "host runs as may do this\"}}\n"));
        return;
    }
    begin(ctx, conn, head);
}

static void on_head_tcp(struct server_conn *conn, const struct http_head *head, void *ctx)
{
    begin(ctx, conn, head);
}

static void on_body(struct server_conn *conn, struct span data, void *ctx)
{
    struct admin_call *call = server_user(conn);
    (void)ctx;
    if (!call) {
        return;
    }
    char *body = realloc(call->body, call->body_len + data.len + 1);
    if (!body) {
        admin_refuse(call, 503, "out of memory");
        return;
    }
    memcpy(body + call->body_len, data.data, data.len);
    call->body = body;
    call->body_len += data.len;
}

static void on_end(struct server_conn *conn, void *ctx)
{
    struct admin_call *call = server_user(conn);
    json_error_t error;
    (void)ctx;
    if (!call) {
        return;
    }
    call->args = call->body_len
                     ? json_loadb(call->body, call->body_len, JSON_REJECT_DUPLICATES, &error)
                     : json_object();
    if (!json_is_object(call->args)) {
        admin_refuse(call, 400, "the body must be a JSON object");
        return;
    }
    call->verb->run(call);
}

static void on_done(struct server_conn *conn, enum server_outcome outcome, void *ctx)
{
    struct admin_call *call = server_user(conn);
    (void)outcome;
    (void)ctx;
    if (call) {
        call->conn = NULL;
        call_free_if_over(call);
    }
}

static const struct server_ops unix_ops = {.request_head = on_head_unix,
                                           .request_body = on_body,
                                           .request_end = on_end,
                                           .request_done = on_done};
static const struct server_ops tcp_ops = {.request_head = on_head_tcp,
                                          .request_body = on_body,
                                          .request_end = on_end,
                                          .request_done = on_done};

/* ------------------------------------------------------------------ life */

static int open_server(struct admin *admin, const struct server_ops *ops, const char *address,
                       char *err, size_t err_size, struct server **ret_server)
{
    struct server_options options = server_options_default;
    options.http.body_max_bytes = ADMIN_BODY_BYTES_MAX;
    options.conns_max = 128;
    options.abort_on_close = false;
    struct server *server;
    int rc = server_create(worker_loop(admin->worker), &options, ops, admin, &server);
    if (rc == 0) {
        rc = server_listen(server, address);
        if (rc) {
            server_destroy(server);
        }
    }
    if (rc) {
        (void)snprintf(err, err_size, "admin interface at %s: %s", address, strerror(-rc));
        return rc;
    }
    *ret_server = server;
    return 0;
}

int admin_create(struct worker *worker, struct front *front, char *err, size_t err_size,
                 struct admin **ret_admin)
{
    const struct config *config = worker_config(worker);
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin) {
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    admin->worker = worker;
    admin->front = front;
    char address[128];
    (void)snprintf(address, sizeof address, "unix:%s", config->admin.socket);
    int rc = open_server(admin, &unix_ops, address, err, err_size, &admin->server);
    if (rc == 0 && config->admin.listen[0]) {
        rc = open_server(admin, &tcp_ops, config->admin.listen, err, err_size, &admin->tcp_server);
    }
    if (rc) {
        admin_destroy(admin);
        return rc;
    }
    *ret_admin = admin;
    return 0;
}

void admin_destroy(struct admin *admin)
{
    if (!admin) {
        return;
    }
    server_destroy(admin->server);
    server_destroy(admin->tcp_server);
    while (admin->calls) {
        call_unlink(admin->calls); /* its operation frees it */
    }
    free(admin);
}
