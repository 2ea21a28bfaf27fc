/*
 * The client's pool and exchanges. A connection serves one exchange at a time; an exchange has one
 * connection at a time, a second one only for its one retry. What a callback of the user may do to
 * an exchange (cancel it) is looked at again after every callback; nothing is freed before the
 * event that is being handled has returned.
 */
#include "net/client.h"

#include "net/address.h"
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define S_NS INT64_C(1000000000)

enum { READS_PER_TURN = 4, HEAD_MAX_BYTES = 64 * 1024, HOST_MAX_BYTES = 256 };

const struct client_options client_options_default = {
    .http = {.head_max_bytes = 64 * 1024,
             .target_max_bytes = 8 * 1024,
             .fields_max = 100,
             .chunk_ext_max_bytes = 1024,
             .trailer_max_bytes = 8 * 1024,
             .body_max_bytes = UINT64_MAX},
    .idle_max = 256,
    .idle_timeout_ns = 4 * S_NS,
};

const char *client_result_name(enum client_result result)
{
    static const char *const names[CLIENT_RESULTS] = {
        [CLIENT_OK] = "ok",
        [CLIENT_CONNECT_FAILED] = "connect_failed",
        [CLIENT_CONNECT_TIMEOUT] = "connect_timeout",
        [CLIENT_FIRST_BYTE_TIMEOUT] = "first_byte_timeout",
        [CLIENT_BETWEEN_BYTES_TIMEOUT] = "between_bytes_timeout",
        [CLIENT_TOTAL_TIMEOUT] = "total_timeout",
        [CLIENT_CLOSED] = "closed",
        [CLIENT_BAD_RESPONSE] = "bad_response",
    };
    return (unsigned)result < CLIENT_RESULTS ? names[result] : "unknown";
}

enum conn_state { CONN_CONNECTING, CONN_BUSY, CONN_POOLED, CONN_DEAD };

struct client_conn {
    struct stream stream; /* first: the stream's callbacks get the connection from it */
    struct client *client;
    struct client_exchange *exchange; /* NULL: pooled or dead */
    struct client_conn *next, *prev;  /* all connections of the client */
    struct client_conn *pool_next, *pool_prev;
    struct http_reader reader;
    struct loop_timer timer;
    struct loop_task task;
    uint8_t state;
    bool reused;
};

struct client_exchange {
    struct client *client;
    struct client_conn *conn; /* NULL: none yet, or it is over */
    const struct client_ops *ops;
    void *user;
    struct loop_task task; /* frees a cancelled one, or reports that there is no connection */
    struct client_exchange *next, *prev;
    uint64_t sent_bytes;
    uint64_t total_bytes; /* head and body */
    uint64_t received_bytes;
    int64_t connect_timeout_ns, first_byte_timeout_ns, between_bytes_timeout_ns;
    int64_t phase_due_ns, total_due_ns;
    const char *detail;
    struct span body[CLIENT_BODY_SPANS_MAX];
    unsigned body_len;
    bool head_only;
    bool headed; /* the answer's head was handed out */
    bool paused;
    bool retried;
    bool reused;
    bool over; /* done was called or it was cancelled */
    bool keep_alive;
    char error_text[96];
    size_t head_len;
    char head[]; /* the request's, kept for the retry */
};

struct client {
    struct loop *loop;
    struct client_options options;
    struct address address;
    char host[HOST_MAX_BYTES];
    struct client_stats stats;
    struct client_conn *conns;
    struct client_conn *pool_first, *pool_last; /* first: used last */
    struct client_exchange *exchanges;
    struct http_head head; /* of the answer being handed out */
};

static void exchange_fail(struct client_exchange *exchange, enum client_result result);
static int exchange_attach(struct client_exchange *exchange);
static void conn_proceed(struct client_conn *conn);

/* --- Connections --- */

static void pool_remove(struct client_conn *conn)
{
    struct client *client = conn->client;
    if (conn->pool_prev) {
        conn->pool_prev->pool_next = conn->pool_next;
    } else {
        client->pool_first = conn->pool_next;
    }
    if (conn->pool_next) {
        conn->pool_next->pool_prev = conn->pool_prev;
    } else {
        client->pool_last = conn->pool_prev;
    }
    conn->pool_next = conn->pool_prev = NULL;
    client->stats.idle--;
}

static void conn_die(struct client_conn *conn)
{
    struct client *client = conn->client;
    assert(conn->state != CONN_DEAD);
    if (conn->state == CONN_POOLED) {
        pool_remove(conn);
    }
    conn->state = CONN_DEAD;
    if (conn->exchange) {
        conn->exchange->conn = NULL;
        conn->exchange = NULL;
    }
    stream_close(&conn->stream);
    loop_timer_fini(&conn->timer);
    if (conn->prev) {
        conn->prev->next = conn->next;
    } else {
        client->conns = conn->next;
    }
    if (conn->next) {
        conn->next->prev = conn->prev;
    }
    client->stats.open--;
    loop_defer(client->loop, &conn->task);
}

static void conn_pool(struct client_conn *conn)
{
    struct client *client = conn->client;
    conn->state = CONN_POOLED;
    conn->reused = true;
    conn->pool_prev = NULL;
    conn->pool_next = client->pool_first;
    if (conn->pool_next) {
        conn->pool_next->pool_prev = conn;
    } else {
        client->pool_last = conn;
    }
    client->pool_first = conn;
    client->stats.idle++;
    loop_timer_set(&conn->timer, loop_now_ns(client->loop) + client->options.idle_timeout_ns);
    if (client->stats.idle > client->options.idle_max) {
        conn_die(client->pool_last);
    }
}

static void conn_set_timer(struct client_conn *conn)
{
    const struct client_exchange *exchange = conn->exchange;
    int64_t due = exchange->phase_due_ns < exchange->total_due_ns ? exchange->phase_due_ns
                                                                  : exchange->total_due_ns;
    if (due == INT64_MAX) {
        loop_timer_cancel(&conn->timer);
    } else {
        loop_timer_set(&conn->timer, due);
    }
}

/* A time `timeout_ns` from now; 0 means never. */
static int64_t due_in(struct client *client, int64_t timeout_ns)
{
    return timeout_ns ? loop_now_ns(client->loop) + timeout_ns : INT64_MAX;
}

/* The connection stands: the exchange begins on it. */
static void conn_begin(struct client_conn *conn)
{
    struct client_exchange *exchange = conn->exchange;
    conn->state = CONN_BUSY;
    http_reader_response(&conn->reader, &conn->client->options.http, exchange->head_only);
    exchange->phase_due_ns = due_in(conn->client, exchange->first_byte_timeout_ns);
}

static void conn_event(struct stream *stream)
{
    conn_proceed((struct client_conn *)(void *)stream);
}

static void conn_written(struct stream *stream)
{
    (void)stream; /* requests are written by exchange_write(), never through the stream's buffer */
}

static const struct stream_ops conn_stream_ops = {
    .event = conn_event,
    .written = conn_written,
    .written_later = conn_written,
};

static void conn_timeout(struct loop_timer *timer)
{
    struct client_conn *conn =
        (struct client_conn *)(void *)((char *)timer - offsetof(struct client_conn, timer));
    struct client_exchange *exchange = conn->exchange;
    if (!exchange) {
        conn_die(conn); /* idle for too long */
        return;
    }
    int64_t now_ns = loop_now_ns(conn->client->loop);
    if (exchange->total_due_ns <= now_ns) {
        exchange_fail(exchange, CLIENT_TOTAL_TIMEOUT);
    } else if (exchange->phase_due_ns <= now_ns) {
        exchange_fail(exchange, conn->state == CONN_CONNECTING ? CLIENT_CONNECT_TIMEOUT
                                : exchange->headed             ? CLIENT_BETWEEN_BYTES_TIMEOUT
                                                               : CLIENT_FIRST_BYTE_TIMEOUT);
    } else {
        conn_set_timer(conn);
    }
}

static void conn_task(struct loop_task *task)
{
    struct client_conn *conn =
        (struct client_conn *)(void *)((char *)task - offsetof(struct client_conn, task));
    if (conn->state == CONN_DEAD) {
        free(conn);
    } else {
        conn_proceed(conn);
    }
}

/* Opens a connection for the exchange; -errno if that fails at once. */
static int conn_open(struct client_exchange *exchange)
{
    struct client *client = exchange->client;
    client->stats.connects++;
    int fd =
        socket(client->address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    const int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* fails on Unix sockets */
    bool connected =
        connect(fd, (const struct sockaddr *)&client->address.storage, client->address.len) == 0;
    if (!connected && errno != EINPROGRESS) {
        int rc = -errno; /* a full Unix backlog is EAGAIN */
        (void)close(fd);
        return rc;
    }
    struct client_conn *conn = calloc(1, sizeof *conn);
    if (!conn || stream_open(&conn->stream, client->loop, fd, &conn_stream_ops)) {
        free(conn);
        (void)close(fd);
        return -ENOMEM;
    }
    conn->client = client;
    conn->task.run = conn_task;
    loop_timer_init(&conn->timer, client->loop, conn_timeout);
    conn->next = client->conns;
    if (conn->next) {
        conn->next->prev = conn;
    }
    client->conns = conn;
    client->stats.open++;
    conn->exchange = exchange;
    exchange->conn = conn;
    exchange->phase_due_ns = due_in(client, exchange->connect_timeout_ns);
    conn->state = CONN_CONNECTING;
    conn->stream.writable = connected;
    return 0;
}

/* --- Exchanges --- */

static struct client_exchange *exchange_of(struct loop_task *task)
{
    return (struct client_exchange *)(void *)((char *)task -
                                              offsetof(struct client_exchange, task));
}

static void exchange_unlink(struct client_exchange *exchange)
{
    if (exchange->prev) {
        exchange->prev->next = exchange->next;
    } else {
        exchange->client->exchanges = exchange->next;
    }
    if (exchange->next) {
        exchange->next->prev = exchange->prev;
    }
}

static void exchange_free_task(struct loop_task *task)
{
    free(exchange_of(task));
}

/* Takes the exchange from the client and lets its memory go once the event in hand has returned. */
static void exchange_release(struct client_exchange *exchange)
{
    exchange->over = true;
    exchange_unlink(exchange);
    loop_defer_cancel(exchange->client->loop, &exchange->task);
    exchange->task.run = exchange_free_task;
    loop_defer(exchange->client->loop, &exchange->task);
}

/* Tells the user; the exchange has no connection any more. */
static void exchange_done(struct client_exchange *exchange, enum client_result result)
{
    assert(!exchange->over && !exchange->conn);
    exchange->client->stats.results[result]++;
    exchange_release(exchange);
    /* Last: done may destroy the client. */
    exchange->ops->done(exchange, result, exchange->user);
}

static void exchange_fail(struct client_exchange *exchange, enum client_result result)
{
    if (exchange->conn) {
        conn_die(exchange->conn);
    }
    exchange_done(exchange, result);
}

static void set_errno_detail(struct client_exchange *exchange, const char *what, int err)
{
    (void)snprintf(exchange->error_text, sizeof exchange->error_text, "%s: %s", what,
                   strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
    exchange->detail = exchange->error_text;
}

/* The connection broke: once more on a fresh one if nothing can have been acted upon, else the end.
 */
static void exchange_broken(struct client_exchange *exchange, int err)
{
    struct client_conn *conn = exchange->conn;
    bool connecting = conn->state == CONN_CONNECTING;
    if (err) {
        set_errno_detail(exchange, connecting ? "connect" : "read", err);
    } else {
        exchange->detail =
            exchange->received_bytes ? "closed inside an answer" : "closed without an answer";
    }
    bool again = conn->reused && exchange->received_bytes == 0 && !exchange->retried;
    conn_die(conn);
    if (again) {
        exchange->retried = true;
        exchange->reused = false;
        exchange->sent_bytes = 0;
        exchange->client->stats.retries++;
        int rc = exchange_attach(exchange);
        if (rc == 0) {
            return;
        }
        set_errno_detail(exchange, "connect", -rc);
        connecting = true;
    }
    exchange_done(exchange, connecting ? CLIENT_CONNECT_FAILED : CLIENT_CLOSED);
}

/* Collects what of head and body has not been sent. */
static unsigned exchange_iov(const struct client_exchange *exchange,
                             struct iovec iov[CLIENT_BODY_SPANS_MAX + 1])
{
    struct span pieces[CLIENT_BODY_SPANS_MAX + 1];
    pieces[0] = span_of(exchange->head, exchange->head_len);
    memcpy(pieces + 1, exchange->body, exchange->body_len * sizeof exchange->body[0]);
    uint64_t skip = exchange->sent_bytes;
    unsigned used = 0;
    for (unsigned i = 0; i <= exchange->body_len; i++) {
        if (skip >= pieces[i].len) {
            skip -= pieces[i].len;
            continue;
        }
        struct span rest = span_skip(pieces[i], (size_t)skip);
        skip = 0;
        iov[used++] = (struct iovec){.iov_base = (char *)(uintptr_t)rest.data, .iov_len = rest.len};
    }
    return used;
}

/* Sends what the kernel takes. A failure is left for reading to find: an answer may have come. */
static void exchange_write(struct client_exchange *exchange)
{
    struct stream *stream = &exchange->conn->stream;
    while (exchange->sent_bytes < exchange->total_bytes && stream->writable) {
        struct iovec iov[CLIENT_BODY_SPANS_MAX + 1];
        const struct msghdr message = {.msg_iov = iov, .msg_iovlen = exchange_iov(exchange, iov)};
        ssize_t put = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
        if (put > 0) {
            exchange->sent_bytes += (uint64_t)put;
        } else if (put < 0 && errno == EAGAIN) {
            stream->writable = false;
        } else if (put == 0 || errno != EINTR) {
            stream->writable = false;
            stream->broken = true;
            stream->readable = true;
        }
    }
}

/* The answer is complete: the connection goes to the pool if it may, then the user is told. */
static void exchange_complete(struct client_exchange *exchange, struct span rest)
{
    struct client_conn *conn = exchange->conn;
    bool reusable = exchange->keep_alive && exchange->sent_bytes == exchange->total_bytes &&
                    rest.len == 0 && !conn->stream.hung_up && !conn->stream.broken;
    (void)stream_keep(&conn->stream, (struct span){0}, true);
    conn->exchange = NULL;
    exchange->conn = NULL;
    if (reusable) {
        conn_pool(conn);
    } else {
        conn_die(conn);
    }
    exchange_done(exchange, CLIENT_OK);
}

/*
 * Feeds the codec. Returns false if the exchange is over or its connection is not its own any more;
 * otherwise *rest is what was not used.
 */
static bool feed(struct client_conn *conn, struct span *in)
{
    struct client *client = conn->client;
    struct client_exchange *exchange = conn->exchange;
    struct span body;
    while (!exchange->paused) {
        switch (http_reader_next(&conn->reader, in, &client->head, &body)) {
        case HTTP_MORE:
            conn->stream.stale = true;
            return true;
        case HTTP_INTERIM:
            break;
        case HTTP_HEADED:
            exchange->headed = true;
            exchange->keep_alive = client->head.keep_alive;
            exchange->ops->response_head(exchange, &client->head, exchange->user);
            break;
        case HTTP_BODY:
            if (exchange->ops->response_body) {
                exchange->ops->response_body(exchange, body, exchange->user);
            }
            break;
        case HTTP_END:
            exchange_complete(exchange, *in);
            return false;
        case HTTP_ERROR:
            exchange->detail = conn->reader.reason;
            exchange_fail(exchange, CLIENT_BAD_RESPONSE);
            return false;
        }
        if (exchange->over) {
            return false;
        }
    }
    conn->stream.stale = false;
    return true;
}

static void input_ended(struct client_conn *conn, int err)
{
    struct client_exchange *exchange = conn->exchange;
    if (err == 0 && exchange->headed && http_reader_close(&conn->reader) == HTTP_END) {
        exchange->keep_alive = false;
        exchange_complete(exchange, (struct span){0});
        return;
    }
    exchange_broken(exchange, err);
}

/* Bytes to read, or the end of an answer whose last byte was followed by a pause. */
static bool has_input(const struct client_conn *conn)
{
    return stream_pending(&conn->stream) || http_reader_ends(&conn->reader);
}

static void pump(struct client_conn *conn)
{
    struct client_exchange *exchange = conn->exchange;
    for (unsigned reads = 0; !exchange->paused && has_input(conn); reads++) {
        if (reads == READS_PER_TURN) {
            loop_defer(conn->client->loop, &conn->task);
            break;
        }
        bool held = conn->stream.held_len && !conn->stream.stale;
        size_t before = conn->stream.held_len;
        struct span in = {0};
        int rc = stream_pending(&conn->stream) ? stream_read(&conn->stream, &in) : -EAGAIN;
        if (rc == -EAGAIN && http_reader_ends(&conn->reader)) {
            rc = 1;
            held = true;
        }
        if (rc == -EAGAIN) {
            break;
        }
        if (rc <= 0) {
            input_ended(conn, -rc);
            return;
        }
        exchange->received_bytes += held ? 0 : in.len - before;
        if (!feed(conn, &in)) {
            return;
        }
        if (stream_keep(&conn->stream, in, conn->stream.stale)) {
            exchange_broken(exchange, ENOMEM);
            return;
        }
        exchange->phase_due_ns = !exchange->headed ? exchange->phase_due_ns
                                 : exchange->paused
                                     ? INT64_MAX
                                     : due_in(conn->client, exchange->between_bytes_timeout_ns);
    }
    conn_set_timer(conn);
}

/* A pooled connection must be silent: whatever comes makes it useless. */
static void pooled_event(struct client_conn *conn)
{
    if (conn->stream.hung_up || conn->stream.readable) {
        conn_die(conn);
    }
}

static void connecting_event(struct client_conn *conn)
{
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(conn->stream.fd, SOL_SOCKET, SO_ERROR, &err, &len)) {
        err = errno;
    }
    if (err) {
        exchange_broken(conn->exchange, err);
    } else if (conn->stream.writable) {
        conn_begin(conn);
    }
}

static void conn_proceed(struct client_conn *conn)
{
    if (conn->state == CONN_CONNECTING) {
        connecting_event(conn);
    }
    if (conn->state == CONN_POOLED) {
        pooled_event(conn);
    }
    if (conn->state == CONN_BUSY) {
        exchange_write(conn->exchange);
        pump(conn);
    }
}

/* Gives the exchange a connection, pooled or new, and starts on it. */
static int exchange_attach(struct client_exchange *exchange)
{
    struct client *client = exchange->client;
    struct client_conn *conn = exchange->retried ? NULL : client->pool_first;
    if (conn) {
        pool_remove(conn);
        conn->exchange = exchange;
        exchange->conn = conn;
        exchange->reused = true;
    } else {
        int rc = conn_open(exchange);
        if (rc) {
            return rc;
        }
        conn = exchange->conn;
    }
    if (conn->state == CONN_POOLED || conn->stream.writable) {
        conn_begin(conn);
        exchange_write(exchange);
        if (conn->stream.broken) {
            loop_defer(client->loop, &conn->task); /* reading finds out why, on the next turn */
        }
    }
    conn_set_timer(conn);
    return 0;
}

/* There was no connection to be had. */
static void exchange_report_task(struct loop_task *task)
{
    exchange_done(exchange_of(task), CLIENT_CONNECT_FAILED);
}

static void out_request(struct http_out *out, const struct client *client,
                        const struct client_request *request, uint64_t body_bytes)
{
    http_out_request_line(out, request->method, request->target);
    http_out_field(out, SPAN_LITERAL("Host"), span_of_string(client->host));
    http_out_bytes(out, request->fields);
    bool wants_length = !span_equal(request->method, SPAN_LITERAL("GET")) &&
                        !span_equal(request->method, SPAN_LITERAL("HEAD"));
    if (body_bytes || wants_length) {
        http_out_content_length(out, body_bytes);
    }
    http_out_end(out);
}

int client_send(struct client *client, const struct client_request *request,
                const struct client_ops *ops, void *user, struct client_exchange **ret_exchange)
{
    assert(request->body_len <= CLIENT_BODY_SPANS_MAX);
    size_t room = request->method.len + request->target.len + request->fields.len +
                  strlen(client->host) + 128;
    if (room > HEAD_MAX_BYTES) {
        return -EMSGSIZE;
    }
    struct client_exchange *exchange = malloc(sizeof *exchange + room);
    if (!exchange) {
        return -ENOMEM;
    }
    *exchange = (struct client_exchange){
        .client = client,
        .ops = ops,
        .user = user,
        .detail = "",
        .connect_timeout_ns = request->connect_timeout_ns,
        .first_byte_timeout_ns = request->first_byte_timeout_ns,
        .between_bytes_timeout_ns = request->between_bytes_timeout_ns,
        .phase_due_ns = INT64_MAX,
        .total_due_ns = request->total_due_ns ? request->total_due_ns : INT64_MAX,
        .body_len = request->body_len,
        .head_only = span_equal(request->method, SPAN_LITERAL("HEAD")),
    };
    uint64_t body_bytes = 0;
    for (unsigned i = 0; i < request->body_len; i++) {
        exchange->body[i] = request->body[i];
        body_bytes += request->body[i].len;
    }
    struct http_out out = http_out_of(exchange->head, room);
    out_request(&out, client, request, body_bytes);
    if (out.failed) {
        free(exchange);
        return -EINVAL;
    }
    exchange->head_len = out.len;
    exchange->total_bytes = out.len + body_bytes;
    exchange->next = client->exchanges;
    if (exchange->next) {
        exchange->next->prev = exchange;
    }
    client->exchanges = exchange;
    client->stats.requests++;
    int rc = exchange_attach(exchange);
    if (rc) {
        set_errno_detail(exchange, "connect", -rc);
        exchange->task.run = exchange_report_task;
        loop_defer(client->loop, &exchange->task);
    }
    *ret_exchange = exchange;
    return 0;
}

void client_cancel(struct client_exchange *exchange)
{
    assert(!exchange->over);
    exchange->client->stats.cancelled++;
    if (exchange->conn) {
        conn_die(exchange->conn);
    }
    exchange_release(exchange);
}

void client_pause(struct client_exchange *exchange)
{
    exchange->paused = true;
}

void client_resume(struct client_exchange *exchange)
{
    if (!exchange->paused) {
        return;
    }
    exchange->paused = false;
    if (exchange->conn) {
        if (exchange->headed) {
            exchange->phase_due_ns = due_in(exchange->client, exchange->between_bytes_timeout_ns);
            conn_set_timer(exchange->conn);
        }
        loop_defer(exchange->client->loop, &exchange->conn->task);
    }
}

const char *client_detail(const struct client_exchange *exchange)
{
    return exchange->detail;
}

bool client_reused(const struct client_exchange *exchange)
{
    return exchange->reused;
}

uint64_t client_received_bytes(const struct client_exchange *exchange)
{
    return exchange->received_bytes;
}

/* --- Life --- */

int client_create(struct loop *loop, const struct client_options *options,
                  struct client **ret_client)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client) {
        return -ENOMEM;
    }
    client->loop = loop;
    client->options = *options;
    int rc = address_parse(&client->address, options->origin, /* resolve= */ 1);
    if (rc == 0) {
        const char *host = options->host                               ? options->host
                           : strncmp(options->origin, "unix:", 5) == 0 ? "localhost"
                                                                       : options->origin;
        int n = snprintf(client->host, sizeof client->host, "%s", host);
        rc = n < 0 || (size_t)n >= sizeof client->host ? -EINVAL : 0;
    }
    if (rc) {
        free(client);
        return rc;
    }
    client->options.origin = NULL; /* the caller's text may go */
    client->options.host = NULL;
    *ret_client = client;
    return 0;
}

void client_close_idle(struct client *client)
{
    while (client->pool_first) {
        conn_die(client->pool_first);
    }
}

void client_destroy(struct client *client)
{
    if (!client) {
        return;
    }
    while (client->exchanges) {
        client_cancel(client->exchanges);
    }
    while (client->conns) {
        conn_die(client->conns);
    }
    free(client);
}

const struct client_stats *client_stats(const struct client *client)
{
    return &client->stats;
}
