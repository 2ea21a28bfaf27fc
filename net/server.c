/*
 * Server connections: accepting, reading, time-outs, closing. The answers are in server_respond.c.
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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MS_NS INT64_C(1000000)
#define S_NS  INT64_C(1000000000)

enum { READS_PER_TURN = 4, ACCEPTS_PER_TURN = 64, BACKLOG = 1024, REFUSAL_MAX_BYTES = 1024 };

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

static struct server_ip **ip_bucket(struct server *server, const unsigned char key[16])
{
    uint32_t hash = 2166136261u;
    for (unsigned i = 0; i < 16; i++) {
        hash = (hash ^ key[i]) * 16777619u;
    }
    return &server->ips[hash % SERVER_IP_BUCKETS];
}

static void ip_release(struct server *server, struct server_ip *ip)
{
    if (!ip || --ip->conns > 0) {
        return;
    }
    struct server_ip **at = ip_bucket(server, ip->key);
    while (*at != ip) {
        at = &(*at)->next;
    }
    *at = ip->next;
    free(ip);
}

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
    ip_release(server, conn->ip);
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
        int rc = stream_read(&conn->stream, &in);
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
    if ((conn->state == SERVER_LINGER || reading_request(conn)) && stream_pending(&conn->stream)) {
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

/* --- Accepting --- */

static bool ip_key(int fd, unsigned char key[16])
{
    struct address peer = {.len = sizeof peer.storage};
    if (getpeername(fd, (struct sockaddr *)&peer.storage, &peer.len)) {
        return false;
    }
    memset(key, 0, 16);
    if (peer.storage.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &peer.storage, sizeof in);
        memcpy(key, &in.sin_addr, 4);
        key[15] = 4; /* never a /64 prefix */
        return true;
    }
    if (peer.storage.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &peer.storage, sizeof in6);
        memcpy(key, &in6.sin6_addr, 8);
        return true;
    }
    return false;
}

/* Counts a connection of this address: 0, -EMFILE over the limit, -ENOMEM. */
static int ip_acquire(struct server *server, int fd, struct server_ip **ret_ip)
{
    unsigned char key[16];
    *ret_ip = NULL;
    if (!server->options.conns_per_ip_max || !ip_key(fd, key)) {
        return 0;
    }
    struct server_ip **bucket = ip_bucket(server, key);
    for (struct server_ip *ip = *bucket; ip; ip = ip->next) {
        if (memcmp(ip->key, key, sizeof key) == 0) {
            if (ip->conns >= server->options.conns_per_ip_max) {
                return -EMFILE;
            }
            ip->conns++;
            *ret_ip = ip;
            return 0;
        }
    }
    struct server_ip *ip = calloc(1, sizeof *ip);
    if (!ip) {
        return -ENOMEM;
    }
    memcpy(ip->key, key, sizeof key);
    ip->conns = 1;
    ip->next = *bucket;
    *bucket = ip;
    *ret_ip = ip;
    return 0;
}

int server_adopt(struct server *server, int fd)
{
    static uint64_t last_id;
    if (server->stats.conns >= server->options.conns_max) {
        server->stats.refused_conns_max++;
        return -EMFILE;
    }
    struct server_ip *ip;
    int rc = ip_acquire(server, fd, &ip);
    if (rc) {
        server->stats.refused_per_ip += rc == -EMFILE;
        return rc;
    }
    struct server_conn *conn = calloc(1, sizeof *conn);
    if (!conn || evutil_make_socket_nonblocking(fd) ||
        stream_open(&conn->stream, server->loop, fd, &conn_stream_ops)) {
        free(conn);
        ip_release(server, ip);
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

/* Says no in a line that most clients get to read, then closes. */
static void turn_away(int fd)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    (void)send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(fd);
}

static void accept_due(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct server_listener *listener = arg;
    struct server *server = listener->server;
    loop_enter(server->loop);
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        int conn_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (conn_fd >= 0) {
            if (server_adopt(server, conn_fd)) {
                turn_away(conn_fd);
            }
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN) {
            /* No descriptors or memory: the waiting connection keeps the listener ready, so
             * asking again at once would only burn the processor. */
            server->stats.accept_failures++;
            for (unsigned k = 0; k < server->listeners_len; k++) {
                (void)event_del(&server->listeners[k].event);
            }
            loop_timer_set(&server->accept_again,
                           loop_now_ns(server->loop) + server->options.accept_backoff_ms * MS_NS);
        }
        break;
    }
    loop_leave(server->loop);
}

static void accept_again(struct loop_timer *timer)
{
    struct server *server =
        (struct server *)(void *)((char *)timer - offsetof(struct server, accept_again));
    for (unsigned i = 0; i < server->listeners_len; i++) {
        (void)event_add(&server->listeners[i].event, NULL);
    }
}

int server_listen_fd(struct server *server, int fd)
{
    if (server->listeners_len == SERVER_LISTENERS_MAX) {
        return -ENOSPC;
    }
    struct server_listener *listener = &server->listeners[server->listeners_len];
    *listener = (struct server_listener){.server = server, .fd = fd};
    if (evutil_make_socket_nonblocking(fd) ||
        event_assign(&listener->event, loop_base(server->loop), fd, EV_READ | EV_PERSIST,
                     accept_due, listener) ||
        event_add(&listener->event, NULL)) {
        return -EINVAL;
    }
    server->listeners_len++;
    return 0;
}

static const char *unix_path_of(const char *text)
{
    return strncmp(text, "unix:", 5) == 0 ? text + 5 : NULL;
}

/* Binds a Unix socket that only this user may connect to. */
static int bind_unix(int fd, const struct address *address, const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        /* Stale only if nobody listens behind it. */
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (probe < 0) {
            return -errno;
        }
        int rc = connect(probe, (const struct sockaddr *)&address->storage, address->len);
        (void)close(probe);
        if (rc == 0) {
            return -EADDRINUSE;
        }
        (void)unlink(path);
    }
    mode_t before = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)&address->storage, address->len) ? -errno : 0;
    (void)umask(before);
    return rc;
}

int server_listen(struct server *server, const char *text)
{
    struct address address;
    int rc = address_parse(&address, text, /* resolve= */ 0);
    if (rc) {
        return rc;
    }
    const char *path = unix_path_of(text);
    int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    const int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (path) {
        rc = bind_unix(fd, &address, path);
    } else if (bind(fd, (const struct sockaddr *)&address.storage, address.len)) {
        rc = -errno;
    }
    if (rc == 0 && listen(fd, BACKLOG)) {
        rc = -errno;
    }
    if (rc == 0) {
        rc = server_listen_fd(server, fd);
    }
    if (rc) {
        (void)close(fd);
        return rc;
    }
    if (path) {
        server->listeners[server->listeners_len - 1].unix_path = strdup(path);
    }
    return 0;
}

unsigned server_port(const struct server *server)
{
    for (unsigned i = 0; i < server->listeners_len; i++) {
        struct address address = {.len = sizeof address.storage};
        if (getsockname(server->listeners[i].fd, (struct sockaddr *)&address.storage,
                        &address.len)) {
            continue;
        }
        if (address.storage.ss_family == AF_INET) {
            struct sockaddr_in in;
            memcpy(&in, &address.storage, sizeof in);
            return ntohs(in.sin_port);
        }
        if (address.storage.ss_family == AF_INET6) {
            struct sockaddr_in6 in6;
            memcpy(&in6, &address.storage, sizeof in6);
            return ntohs(in6.sin6_port);
        }
    }
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
    loop_timer_init(&server->accept_again, loop, accept_again);
    *ret_server = server;
    return 0;
}

static void close_listeners(struct server *server)
{
    loop_timer_fini(&server->accept_again);
    for (unsigned i = 0; i < server->listeners_len; i++) {
        struct server_listener *listener = &server->listeners[i];
        (void)event_del(&listener->event);
        (void)close(listener->fd);
        if (listener->unix_path) {
            (void)unlink(listener->unix_path);
            free(listener->unix_path);
        }
    }
    server->listeners_len = 0;
}

void server_drain(struct server *server)
{
    close_listeners(server);
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
    close_listeners(server);
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
