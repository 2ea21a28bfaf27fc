/*
 * A reverse proxy of the smallest kind on net/: what the host's data path costs without a queue, a
 * policy or a journal. For bench/proxy_vs_nginx; not installed.
 *
 *     http_proxy LISTEN UPSTREAM      for instance: http_proxy 127.0.0.1:8001 127.0.0.1:8000
 */
#include "net/client.h"
#include "net/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIELDS_MAX_BYTES = 16 * 1024, PENDING_MAX_BYTES = 1024 * 1024 };

struct proxy {
    struct loop *loop;
    struct server *server;
    struct client *client;
};

/* One request; freed by request_done. */
struct relay {
    struct proxy *proxy;
    struct server_conn *conn;
    struct client_exchange *exchange; /* NULL: not sent, or over */
    bool paused;
    char *body;
    size_t body_len, body_size;
    size_t method_len, target_len, fields_len;
    char text[]; /* method, target, fields */
};

static void send_upstream(struct relay *relay);

static void request_head(struct server_conn *conn, const struct http_head *head, void *ctx)
{
    static char fields[FIELDS_MAX_BYTES];
    struct http_out out = http_out_of(fields, sizeof fields);
    http_out_forward(&out, head, NULL, 0);
    size_t text_len = head->method_text.len + head->target.len + out.len;
    struct relay *relay = out.failed ? NULL : malloc(sizeof *relay + text_len);
    if (!relay) {
        (void)server_reply(conn, 500, (struct span){0}, NULL, (struct span){0});
        return;
    }
    *relay = (struct relay){
        .proxy = ctx,
        .conn = conn,
        .method_len = head->method_text.len,
        .target_len = head->target.len,
        .fields_len = out.len,
    };
    char *at = relay->text;
    memcpy(at, head->method_text.data, relay->method_len);
    memcpy(at + relay->method_len, head->target.data, relay->target_len);
    memcpy(at + relay->method_len + relay->target_len, fields, out.len);
    server_set_user(conn, relay);
}

static void request_body(struct server_conn *conn, struct span data, void *ctx)
{
    (void)ctx;
    struct relay *relay = server_user(conn);
    if (!relay) {
        return;
    }
    if (relay->body_size - relay->body_len < data.len) {
        size_t size = relay->body_size * 2 + data.len;
        char *grown = realloc(relay->body, size);
        if (!grown) {
            server_abort(conn);
            return;
        }
        relay->body = grown;
        relay->body_size = size;
    }
    memcpy(relay->body + relay->body_len, data.data, data.len);
    relay->body_len += data.len;
}

static void request_end(struct server_conn *conn, void *ctx)
{
    (void)ctx;
    struct relay *relay = server_user(conn);
    if (relay) {
        send_upstream(relay);
    }
}

static void drained(struct server_conn *conn, void *ctx)
{
    (void)ctx;
    struct relay *relay = server_user(conn);
    if (relay && relay->exchange && relay->paused) {
        relay->paused = false;
        client_resume(relay->exchange);
    }
}

static void request_done(struct server_conn *conn, enum server_outcome outcome, void *ctx)
{
    (void)outcome;
    (void)ctx;
    struct relay *relay = server_user(conn);
    if (relay) {
        if (relay->exchange) {
            client_cancel(relay->exchange);
        }
        free(relay->body);
        free(relay);
    }
}

static void response_head(struct client_exchange *exchange, const struct http_head *head,
                          void *user)
{
    (void)exchange;
    static char fields[FIELDS_MAX_BYTES];
    struct relay *relay = user;
    struct http_out out = http_out_of(fields, sizeof fields);
    http_out_forward(&out, head, NULL, 0);
    const struct server_response response = {
        .status = head->status,
        .fields = http_out_span(&out),
        .length = head->framing == HTTP_BODY_CHUNKED || head->framing == HTTP_BODY_CLOSE
                      ? -1
                      : (int64_t)head->content_length,
        .has_date = http_head_field(head, HTTP_FIELD_DATE) != NULL,
    };
    if (out.failed || server_respond(relay->conn, &response)) {
        server_abort(relay->conn);
    }
}

static void response_body(struct client_exchange *exchange, struct span data, void *user)
{
    struct relay *relay = user;
    if (server_write(relay->conn, data)) {
        return; /* request_done follows and cancels the exchange */
    }
    if (server_pending_bytes(relay->conn) > PENDING_MAX_BYTES) {
        relay->paused = true;
        client_pause(exchange);
    }
}

static void response_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    struct relay *relay = user;
    relay->exchange = NULL;
    if (result == CLIENT_OK) {
        (void)server_finish(relay->conn);
    } else if (!server_responded(relay->conn)) {
        (void)server_reply(relay->conn, 502, (struct span){0}, "text/plain",
                           span_of_string(client_detail(exchange)));
    } else {
        server_abort(relay->conn);
    }
}

static const struct client_ops client_ops = {
    .response_head = response_head,
    .response_body = response_body,
    .done = response_done,
};

static void send_upstream(struct relay *relay)
{
    const struct client_request request = {
        .method = span_of(relay->text, relay->method_len),
        .target = span_of(relay->text + relay->method_len, relay->target_len),
        .fields = span_of(relay->text + relay->method_len + relay->target_len, relay->fields_len),
        .body = {span_of(relay->body, relay->body_len)},
        .body_len = relay->body_len ? 1 : 0,
        .first_byte_timeout_ns = INT64_C(60000000000),
    };
    if (client_send(relay->proxy->client, &request, &client_ops, relay, &relay->exchange)) {
        (void)server_reply(relay->conn, 500, (struct span){0}, NULL, (struct span){0});
    }
}

static const struct server_ops server_ops = {
    .request_head = request_head,
    .request_body = request_body,
    .request_end = request_end,
    .drained = drained,
    .request_done = request_done,
};

static void stop(struct loop_signal *sig, int signum)
{
    (void)signum;
    loop_stop(sig->loop);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: http_proxy LISTEN UPSTREAM\n");
        return 2;
    }
    struct proxy proxy = {0};
    struct loop_signal term = {0};
    struct client_options client_options = client_options_default;
    client_options.origin = argv[2];
    client_options.idle_max = 2048;
    client_options.idle_timeout_ns = INT64_C(60000000000);
    int rc = loop_create(&proxy.loop);
    if (rc == 0) {
        rc = client_create(proxy.loop, &client_options, &proxy.client);
    }
    if (rc == 0) {
        rc = server_create(proxy.loop, &server_options_default, &server_ops, &proxy, &proxy.server);
    }
    if (rc == 0) {
        rc = server_listen(proxy.server, argv[1]);
    }
    if (rc == 0) {
        rc = loop_signal_init(&term, proxy.loop, SIGTERM, stop);
    }
    if (rc == 0) {
        rc = loop_run(proxy.loop);
        loop_signal_fini(&term);
    }
    if (rc) {
        (void)fprintf(stderr, "http_proxy: %s\n", strerrordesc_np(-rc));
    }
    server_destroy(proxy.server);
    client_destroy(proxy.client);
    loop_destroy(proxy.loop);
    return rc ? 1 : 0;
}
