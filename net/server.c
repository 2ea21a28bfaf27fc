/*
 * Server connections: reading, time-outs, closing. Listeners are in server_accept.c, answers in
 * server_respond.c.
 *
 * A connection moves IDLE -> OPEN -> IDLE ..., and from any state to LINGER (its last answer goes
 * out while input is dropped, so that a reset does not overtake it) or DEAD. All moves are made in
 * server_conn_proceed() and the functions it calls; callbacks of the user may change flags and call
 * server_abort(), after which the state is looked at again.
 */
#include "net/server_priv.h"

#include "net/address.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define MS_NS INT64_C(1000000)
#define S_NS  INT64_C(1000000000)

enum { READS_PER_TURN = 4, REFUSAL_MAX_BYTES = 1024 };

const struct server_options server_options_default = {
    .http = {.head_max_bytes = 64 * 1024,
             .target_max_bytes = 8 * 1024,
             .fields_max = 100,
             .chunk_ext_max_bytes = 1024,
             .trailer_max_bytes = 8 * 1024,
             .body_max_bytes = 32 * 1024 * 1024},
    .conns_max = 16384,
    .head_timeout_ns = 10 * S_NS,
    .idle_timeout_ns = 75 * S_NS,
    .write_stall_ns = 30 * S_NS,
    .linger_ns = 2 * S_NS,
    .body_rate_min_bytes_per_s = 1024,
    .body_grace_ns = 10 * S_NS,
    .out_low_bytes = 64 * 1024,
    .abort_on_close = true,
    .accept_backoff_ms = 100,
};

const char *server_outcome_name(enum server_outcome outcome)
{
    static const char *const names[SERVER_OUTCOMES] = {
        [SERVER_COMPLETE] = "complete",       [SERVER_CLIENT_GONE] = "client_gone",
        [SERVER_CLIENT_SLOW] = "client_slow", [SERVER_WRITE_STALLED] = "write_stalled",
        [SERVER_BAD_REQUEST] = "bad_request", [SERVER_ABORTED] = "aborted",
    };
    return (unsigned)outcome < SERVER_OUTCOMES ? names[outcome] : "unknown";
}

static void conn_set_timer(struct server_conn *conn)
{
    int64_t due = conn->in_due_ns < conn->out_due_ns ? conn->in_due_ns : conn->out_due_ns;
    if (due == INT64_MAX) {
        loop_timer_cancel(&conn->timer);
    } else {
        loop_timer_set(&conn->timer, due);
    }
}

/* --- Endings --- */

/* Closes the socket and leaves the struct to its task. */
static void conn_die(struct server_conn *conn)
{
    struct server *server = conn->server;
    assert(conn->state != SERVER_DEAD);
    conn->state = SERVER_DEAD;
    stream_close(&conn->stream);
    loop_timer_fini(&conn->timer);
    if (conn->prev) {
        conn->prev->next = conn->next;
    } else {
        server->conns = conn->next;
    }
    if (conn->next) {
        conn->next->prev = conn->prev;
    }
    server_ip_release(server, conn->ip);
    server->stats.conns--;
    loop_defer(server->loop, &conn->task);
}

/* The request is over; the user is told, and may not touch the connection any more. */
static void request_over(struct server_conn *conn, enum server_outcome outcome)
{
    struct server *server = conn->server;
    assert(conn->state == SERVER_OPEN);
    server->stats.outcomes[outcome]++;
    conn->state = SERVER_LINGER; /* while the user is told: whatever it calls now is refused */
    server->ops->request_done(conn, outcome, server->ctx);
    conn->user = NULL;
}

static void conn_end(struct server_conn *conn, enum server_outcome outcome)
{
    if (conn->state == SERVER_OPEN) {
        request_over(conn, outcome);
    }
    if (conn->state != SERVER_DEAD) {
        conn_die(conn);
    }
}

static void begin_linger(struct server_conn *conn)
{
    conn->state = SERVER_LINGER;
    conn->in_due_ns = loop_now_ns(conn->server->loop) + conn->server->options.linger_ns;
}

/* Writes an answer of the server's own, then lingers. Only where nothing was answered yet. */
static void send_refusal(struct server_conn *conn, unsigned status, const char *reason)
{
    struct server *server = conn->server;
    char body[REFUSAL_MAX_BYTES];
    const char *type = "text/plain";
    size_t len = 0;
    if (server->ops->refusal) {
        len = server->ops->refusal(status, reason, body, sizeof body, &type, server->ctx);
        assert(len <= sizeof body);
    } else {
        struct http_out text = http_out_of(body, sizeof body);
        http_out_bytes(&text, span_of_string(reason));
        http_out_bytes(&text, SPAN_LITERAL("\n"));
        len = text.len;
    }
    char head[512];
    struct http_out out = http_out_of(head, sizeof head);
    http_out_status_line(&out, status);
    http_out_field(&out, SPAN_LITERAL("Date"), loop_date(server->loop));
    http_out_field(&out, SPAN_LITERAL("Content-Type"), span_of_string(type));
    http_out_content_length(&out, len);
    http_out_field(&out, SPAN_LITERAL("Connection"), SPAN_LITERAL("close"));
    http_out_end(&out);
    assert(!out.failed);
    const struct iovec iov[2] = {{.iov_base = head, .iov_len = out.len},
                                 {.iov_base = body, .iov_len = len}};
    (void)stream_write(&conn->stream, iov, 2);
}

/* The codec or a time-out gives the connection up. */
static void conn_refuse(struct server_conn *conn, unsigned status, const char *reason,
                        enum server_outcome outcome)
{
    struct server *server = conn->server;
    bool answer = !conn->responded;
    if (conn->state == SERVER_OPEN) {
        request_over(conn, outcome);
    } else {
        server->stats.refused_requests++;
        if (server->ops->refused) {
            server->ops->refused(conn, status, reason, server->ctx);
        }
        answer = true;
    }
    if (conn->state == SERVER_DEAD) {
        return;
    }
    if (!answer) {
        conn_die(conn);
        return;
    }
    send_refusal(conn, status, reason);
    begin_linger(conn);
}

void server_abort(struct server_conn *conn)
{
    if (conn->state == SERVER_OPEN) {
        conn_end(conn, SERVER_ABORTED);
    }
}

/* --- Reading --- */

static void open_request(struct server_conn *conn, const struct http_head *head)
{
    struct server *server = conn->server;
    conn->state = SERVER_OPEN;
    conn->received = conn->paused = conn->responded = conn->finished = false;
    conn->chunked = conn->announced = conn->bodiless = conn->above_low = false;
    conn->head_only = head->method == HTTP_HEAD;
    conn->old = head->minor == 0;
    conn->keep_alive = head->keep_alive;
    conn->wants_continue = head->expect_continue;
    conn->head_begun = false;
    conn->window_bytes = 0;
    conn->in_due_ns = INT64_MAX;
    if (head->framing != HTTP_BODY_NONE && server->options.body_rate_min_bytes_per_s) {
        conn->in_due_ns = loop_now_ns(server->loop) + server->options.body_grace_ns;
    }
    server->stats.requests++;
    server->ops->request_head(conn, head, server->ctx);
}

/* A client that waits for permission gets it once somebody is ready for its body. */
static void send_continue(struct server_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (conn->state == SERVER_OPEN && conn->wants_continue && !conn->paused && !conn->responded) {
        conn->wants_continue = false;
        const struct iovec iov = {.iov_base = (char *)(uintptr_t)text, .iov_len = sizeof text - 1};
        (void)stream_write(&conn->stream, &iov, 1);
    }
}

static bool reading_request(const struct server_conn *conn)
{
    return conn->state == SERVER_IDLE ||
           (conn->state == SERVER_OPEN && !conn->received && !conn->paused && !conn->finished);
}

/* The last byte of the body was followed by a pause: its end is due without a further byte. */
static bool request_ends(const struct server_conn *conn)
{
    return conn->state == SERVER_OPEN && http_reader_ends(&conn->reader);
}

/* Feeds the codec; returns what was not used. */
static struct span feed(struct server_conn *conn, struct span in)
{
    struct server *server = conn->server;
    struct span body;
    while (reading_request(conn)) {
        switch (http_reader_next(&conn->reader, &in, &server->head, &body)) {
        case HTTP_MORE:
            conn->stream.stale = true;
            return in;
        case HTTP_HEADED:
            open_request(conn, &server->head);
            send_continue(conn);
            break;
        case HTTP_BODY:
            conn->window_bytes += body.len;
            server->ops->request_body(conn, body, server->ctx);
            break;
        case HTTP_END:
            conn->received = true;
            conn->in_due_ns = INT64_MAX;
            server->ops->request_end(conn, server->ctx);
            break;
        case HTTP_INTERIM:
        case HTTP_ERROR:
            conn_refuse(conn, conn->reader.status, conn->reader.reason, SERVER_BAD_REQUEST);
            return span_skip(in, in.len);
        }
    }
    conn->stream.stale = false;
    return in;
}

/* The client ended its direction while we were reading. */
static void input_ended(struct server_conn *conn)
{
    if (conn->state == SERVER_OPEN && !conn->received) {
        conn_end(conn, SERVER_CLIENT_GONE); /* the body was cut: nobody half-closes so */
    } else if (conn->state == SERVER_IDLE || conn->state == SERVER_LINGER) {
        if (conn->state == SERVER_LINGER && stream_waiting(&conn->stream)) {
            conn->in_due_ns = INT64_MAX; /* it may still read; the write stall limits it */
        } else {
            conn_die(conn);
        }
    }
}

/* Reads while the state wants input. */
static void pump(struct server_conn *conn)
{
    struct span in;
    for (unsigned reads = 0; conn->state == SERVER_LINGER || reading_request(conn); reads++) {
        if (reads == READS_PER_TURN) {
            server_conn_later(conn);
            return;
        }
        int rc = stream_pending(&conn->stream) ? stream_read(&conn->stream, &in) : -EAGAIN;
        if (rc == -EAGAIN && request_ends(conn)) {
            in = (struct span){0};
            rc = 1;
        }
        if (rc == -EAGAIN) {
            return;
        }
        if (rc == 0) {
            input_ended(conn);
            return;
        }
        if (rc < 0) {
            conn_end(conn, SERVER_CLIENT_GONE);
            return;
        }
        struct span rest = {0};
        if (conn->state != SERVER_LINGER) {
            rest = feed(conn, in);
        }
        if (conn->state != SERVER_DEAD && stream_keep(&conn->stream, rest, conn->stream.stale)) {
            conn_end(conn, SERVER_CLIENT_GONE);
            return;
        }
    }
}

/* While a request is open and nobody reads, an edge may be a pipelined byte, FIN or a reset. */
static void watch_for_close(struct server_conn *conn)
{
    struct stream *stream = &conn->stream;
    if (conn->state != SERVER_OPEN || reading_request(conn)) {
        return;
    }
    if (!stream->hung_up && stream->readable) {
        /* Looked at once: the flag stays, so that the byte is read when its turn comes. */
        int rc = stream_peek(stream);
        if (rc < 0) {
            conn_end(conn, SERVER_CLIENT_GONE);
            return;
        }
        stream->hung_up = rc == 0;
    }
    if (stream->hung_up) {
        /* A finished answer goes out all the same: if nobody is there, writing will tell. */
        if (conn->server->options.abort_on_close && !conn->finished) {
            conn_end(conn, SERVER_CLIENT_GONE);
        } else {
            conn->close_after = true;
        }
    }
}

/* --- Moving on --- */

static void output_settled(struct server_conn *conn)
{
    struct server *server = conn->server;
    size_t waiting = stream_waiting(&conn->stream);
    if (waiting == 0) {
        conn->out_due_ns = INT64_MAX;
    }
    if (waiting > server->options.out_low_bytes) {
        conn->above_low = true;
    } else if (conn->above_low) {
        conn->above_low = false;
        if (conn->state == SERVER_OPEN && !conn->finished && server->ops->drained) {
            server->ops->drained(conn, server->ctx);
        }
    }
}

/* The answer is with the kernel: next request, or the end. */
static void answer_settled(struct server_conn *conn)
{
    struct server *server = conn->server;
    bool whole = conn->received;
    request_over(conn, SERVER_COMPLETE);
    if (conn->state == SERVER_DEAD) {
        return;
    }
    if (whole && !conn->close_after && conn->keep_alive && !server->draining) {
        conn->state = SERVER_IDLE;
        conn->in_due_ns = loop_now_ns(server->loop) + server->options.idle_timeout_ns;
        return;
    }
    if (whole && !stream_pending(&conn->stream)) {
        conn_die(conn);
        return;
    }
    begin_linger(conn);
}

/* One step; true if another may follow. */
static bool step(struct server_conn *conn)
{
    output_settled(conn);
    if (conn->state == SERVER_OPEN && conn->finished && stream_waiting(&conn->stream) == 0) {
        answer_settled(conn);
        return conn->state != SERVER_DEAD;
    }
    if (conn->state == SERVER_LINGER && stream_waiting(&conn->stream) == 0 && !conn->shut) {
        conn->shut = true;
        (void)shutdown(conn->stream.fd, SHUT_WR);
    }
    if ((conn->state == SERVER_LINGER || reading_request(conn)) &&
        (stream_pending(&conn->stream) || request_ends(conn))) {
        uint8_t before = conn->state;
        pump(conn);
        return conn->state != SERVER_DEAD && conn->state != before;
    }
    return false;
}

static void set_idle_deadline(struct server_conn *conn)
{
    /* The head's time runs from its first byte, and is not prolonged by further ones. */
    if (conn->state == SERVER_IDLE && conn->reader.begun && !conn->head_begun) {
        conn->head_begun = true;
        conn->in_due_ns = loop_now_ns(conn->server->loop) + conn->server->options.head_timeout_ns;
    } else if (conn->state != SERVER_IDLE) {
        conn->head_begun = false;
    }
}

void server_conn_proceed(struct server_conn *conn)
{
    if (conn->state == SERVER_DEAD || conn->in_pump) {
        return;
    }
    conn->in_pump = true;
    if (conn->stream.broken) {
        conn_end(conn, SERVER_CLIENT_GONE);
    }
    while (conn->state != SERVER_DEAD && step(conn)) {
    }
    if (conn->state != SERVER_DEAD) {
        watch_for_close(conn);
    }
    conn->in_pump = false;
    if (conn->state == SERVER_DEAD) {
        return;
    }
    if (conn->stream.broken) {
        server_conn_later(conn);
    }
    set_idle_deadline(conn);
    if (conn->stream.out_bytes && conn->out_due_ns == INT64_MAX) {
        conn->out_due_ns = loop_now_ns(conn->server->loop) + conn->server->options.write_stall_ns;
    }
    conn_set_timer(conn);
}

void server_conn_later(struct server_conn *conn)
{
    loop_defer(conn->server->loop, &conn->task);
}

static struct server_conn *conn_of(struct stream *stream)
{
    return (struct server_conn *)(void *)stream;
}

static void conn_event(struct stream *stream)
{
    server_conn_proceed(conn_of(stream));
}

static void conn_written(struct stream *stream)
{
    struct server_conn *conn = conn_of(stream);
    if (stream->put_bytes != conn->put_seen) {
        conn->put_seen = stream->put_bytes;
        conn->out_due_ns = INT64_MAX; /* progress: the stall is measured afresh */
    }
    server_conn_proceed(conn);
}

static void conn_written_later(struct stream *stream)
{
    server_conn_later(conn_of(stream));
}

static const struct stream_ops conn_stream_ops = {
    .event = conn_event,
    .written = conn_written,
    .written_later = conn_written_later,
};

static void conn_task(struct loop_task *task)
{
    struct server_conn *conn =
        (struct server_conn *)(void *)((char *)task - offsetof(struct server_conn, task));
    if (conn->state == SERVER_DEAD) {
        free(conn);
    } else {
        server_conn_proceed(conn);
    }
}

/* The body's window is over: fast enough, or not wanted now, or too slow. */
static void body_window_over(struct server_conn *conn, int64_t now_ns)
{
    const struct server_options *options = &conn->server->options;
    uint64_t least =
        options->body_rate_min_bytes_per_s * (uint64_t)(options->body_grace_ns / MS_NS) / 1000;
    if (!conn->paused && !conn->finished && conn->window_bytes < least) {
        conn_refuse(conn, 408, "the request body came too slowly", SERVER_CLIENT_SLOW);
        return;
    }
    conn->window_bytes = 0;
    conn->in_due_ns = now_ns + options->body_grace_ns;
}

static void conn_timeout(struct loop_timer *timer)
{
    struct server_conn *conn =
        (struct server_conn *)(void *)((char *)timer - offsetof(struct server_conn, timer));
    int64_t now_ns = loop_now_ns(conn->server->loop);
    if (conn->out_due_ns <= now_ns) {
        conn_end(conn, SERVER_WRITE_STALLED);
        return;
    }
    if (conn->in_due_ns <= now_ns) {
        switch ((enum server_state)conn->state) {
        case SERVER_IDLE:
            if (http_reader_idle(&conn->reader)) {
                conn_die(conn);
            } else {
                conn_refuse(conn, 408, "the request head came too slowly", SERVER_CLIENT_SLOW);
            }
            break;
        case SERVER_OPEN:
            body_window_over(conn, now_ns);
            break;
        case SERVER_LINGER:
            conn_die(conn);
            break;
        case SERVER_DEAD:
            break;
        }
    }
    server_conn_proceed(conn);
}

/* --- Opening --- */

int server_adopt(struct server *server, int fd)
{
    static uint64_t last_id;
    if (server->stats.conns >= server->options.conns_max) {
        server->stats.refused_conns_max++;
        return -EMFILE;
    }
    struct server_ip *ip;
    int rc = server_ip_acquire(server, fd, &ip);
    if (rc) {
        server->stats.refused_per_ip += rc == -EMFILE;
        return rc;
    }
    struct server_conn *conn = calloc(1, sizeof *conn);
    if (!conn || evutil_make_socket_nonblocking(fd) ||
        stream_open(&conn->stream, server->loop, fd, &conn_stream_ops)) {
        free(conn);
        server_ip_release(server, ip);
        return -ENOMEM;
    }
    const int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* fails on Unix sockets */
    conn->stream.out_gauge = &server->stats.out_bytes;
    conn->server = server;
    conn->ip = ip;
    conn->id = ++last_id;
    conn->task.run = conn_task;
    http_reader_request(&conn->reader, &server->options.http);
    loop_timer_init(&conn->timer, server->loop, conn_timeout);
    conn->in_due_ns = loop_now_ns(server->loop) + server->options.idle_timeout_ns;
    conn->out_due_ns = INT64_MAX;
    conn->next = server->conns;
    if (conn->next) {
        conn->next->prev = conn;
    }
    server->conns = conn;
    server->stats.accepted++;
    server->stats.conns++;
    conn_set_timer(conn);
    return 0;
}

/* --- Life --- */

int server_create(struct loop *loop, const struct server_options *options,
                  const struct server_ops *ops, void *ctx, struct server **ret_server)
{
    assert(ops->request_head && ops->request_body && ops->request_end && ops->request_done);
    struct server *server = calloc(1, sizeof *server);
    if (!server) {
        return -ENOMEM;
    }
    server->loop = loop;
    server->options = *options;
    server->ops = ops;
    server->ctx = ctx;
    loop_timer_init(&server->accept_again, loop, server_accept_again);
    *ret_server = server;
    return 0;
}

void server_drain(struct server *server)
{
    server_close_listeners(server);
    server->draining = true;
    for (struct server_conn *conn = server->conns, *next; conn; conn = next) {
        next = conn->next;
        if (conn->state == SERVER_IDLE && http_reader_idle(&conn->reader) &&
            !conn->stream.readable) {
            conn_die(conn);
        }
    }
}

void server_destroy(struct server *server)
{
    if (!server) {
        return;
    }
    server_close_listeners(server);
    while (server->conns) {
        conn_end(server->conns, SERVER_ABORTED);
    }
    /* The connections are dead and refer to the server no more; their tasks free them. */
    free(server);
}

const struct server_stats *server_stats(const struct server *server)
{
    return &server->stats;
}

void server_set_user(struct server_conn *conn, void *user)
{
    conn->user = user;
}

void *server_user(const struct server_conn *conn)
{
    return conn->user;
}

uint64_t server_conn_id(const struct server_conn *conn)
{
    return conn->id;
}

size_t server_conn_peer(const struct server_conn *conn, char *text, size_t size)
{
    struct address peer = {.len = sizeof peer.storage};
    if (conn->stream.fd < 0 ||
        getpeername(conn->stream.fd, (struct sockaddr *)&peer.storage, &peer.len)) {
        peer.storage.ss_family = AF_UNIX;
    }
    return address_format(&peer, text, size);
}

int server_conn_fd(const struct server_conn *conn)
{
    return conn->stream.fd;
}

void server_pause(struct server_conn *conn)
{
    conn->paused = true;
}

void server_resume(struct server_conn *conn)
{
    if (conn->paused && conn->state == SERVER_OPEN) {
        conn->paused = false;
        conn->window_bytes = 0;
        if (conn->in_due_ns != INT64_MAX) {
            conn->in_due_ns = loop_now_ns(conn->server->loop) + conn->server->options.body_grace_ns;
        }
        send_continue(conn);
        server_conn_later(conn);
    }
}
