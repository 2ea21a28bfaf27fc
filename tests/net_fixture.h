/*
 * A server under test on a loop, a record of what it said, and raw sockets to talk to it. Nothing
 * sleeps: the loop is turned until a condition holds, and a watchdog ends a test that waits in
 * vain.
 */
#ifndef SHUNT_TESTS_NET_FIXTURE_H
#define SHUNT_TESTS_NET_FIXTURE_H

#include "net/client.h"
#include "net/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    struct server *server;
    /* What the handler does; a test sets these. */
    bool reply_on_end;  /* answer "ok" when the request is complete */
    bool reply_on_head; /* answer 403 at once */
    bool pause_on_head;
    bool pause_on_body;
    size_t reply_bytes; /* 0: "ok", else that many */
    bool chunked;
    /* What was seen. */
    char log[4096];
    size_t log_len;
    size_t body_bytes;
    unsigned ends, dones;
    struct server_conn *conn; /* of the last request */
};

static inline void fixture_log(struct fixture *f, const char *text)
{
    int n = snprintf(f->log + f->log_len, sizeof f->log - f->log_len, "%s ", text);
    if (n > 0 && f->log_len + (size_t)n < sizeof f->log) {
        f->log_len += (size_t)n;
    }
}

static inline void fixture_reply(struct fixture *f, struct server_conn *conn)
{
    if (!f->reply_bytes) {
        (void)server_reply(conn, 200, (struct span){0}, "text/plain", SPAN_LITERAL("ok"));
        return;
    }
    const struct server_response response = {.status = 200,
                                             .length = f->chunked ? -1 : (int64_t)f->reply_bytes};
    char *data = malloc(f->reply_bytes);
    assert(data);
    memset(data, 'r', f->reply_bytes);
    if (server_respond(conn, &response) == 0 &&
        server_write(conn, span_of(data, f->reply_bytes)) == 0) {
        (void)server_finish(conn);
    }
    free(data);
}

static inline void fixture_head(struct server_conn *conn, const struct http_head *head, void *ctx)
{
    struct fixture *f = ctx;
    char text[64];
    (void)snprintf(text, sizeof text, "head:%.*s", (int)head->target.len, head->target.data);
    fixture_log(f, text);
    f->conn = conn;
    assert(!server_user(conn));
    server_set_user(conn, f);
    if (f->reply_on_head) {
        (void)server_reply(conn, 403, (struct span){0}, "text/plain", SPAN_LITERAL("no"));
    }
    if (f->pause_on_head) {
        server_pause(conn);
    }
}

static inline void fixture_body(struct server_conn *conn, struct span data, void *ctx)
{
    struct fixture *f = ctx;
    assert(server_user(conn) == f && data.len > 0);
    f->body_bytes += data.len;
    if (f->pause_on_body) {
        server_pause(conn);
    }
}

static inline void fixture_end(struct server_conn *conn, void *ctx)
{
    struct fixture *f = ctx;
    f->ends++;
    fixture_log(f, "end");
    if (f->reply_on_end) {
        fixture_reply(f, conn);
    }
}

static inline void fixture_drained(struct server_conn *conn, void *ctx)
{
    (void)conn;
    fixture_log(ctx, "drained");
}

static inline void fixture_done(struct server_conn *conn, enum server_outcome outcome, void *ctx)
{
    struct fixture *f = ctx;
    assert(server_user(conn) == f);
    f->dones++;
    if (f->conn == conn) {
        f->conn = NULL;
    }
    fixture_log(f, server_outcome_name(outcome));
}

static inline void fixture_refused(struct server_conn *conn, unsigned status, const char *reason,
                                   void *ctx)
{
    char text[32];
    (void)conn;
    assert(reason[0]);
    (void)snprintf(text, sizeof text, "refused:%u", status);
    fixture_log(ctx, text);
}

static const struct server_ops fixture_ops = {
    .request_head = fixture_head,
    .request_body = fixture_body,
    .request_end = fixture_end,
    .drained = fixture_drained,
    .request_done = fixture_done,
    .refused = fixture_refused,
};

static inline void fixture_open(struct fixture *f, const struct server_options *options)
{
    *f = (struct fixture){0};
    assert(loop_create(&f->loop) == 0);
    assert(server_create(f->loop, options ? options : &server_options_default, &fixture_ops, f,
                         &f->server) == 0);
    assert(server_listen(f->server, "127.0.0.1:0") == 0);
    assert(server_port(f->server) != 0);
    (void)alarm(60);
}

static inline void fixture_close(struct fixture *f)
{
    server_destroy(f->server);
    loop_destroy(f->loop);
    (void)alarm(0);
}

/* Turns the loop until the condition holds. */
#define UNTIL(f, condition)                                                                        \
    while (!(condition)) {                                                                         \
        assert(loop_run_once((f)->loop, true) == 0);                                               \
    }

/* Turns the loop while something is ready; for showing that nothing happens. */
static inline void fixture_settle(struct fixture *f)
{
    for (int i = 0; i < 50; i++) {
        assert(loop_run_once(f->loop, false) == 0);
    }
}

/* Turns the loop for a time, so that a time-out that should not come has its chance. */
static inline void fixture_spin(struct fixture *f, int64_t time_ns)
{
    int64_t end_ns = loop_now_ns(f->loop) + time_ns;
    while (loop_now_ns(f->loop) < end_ns) {
        assert(loop_run_once(f->loop, false) == 0);
    }
}

/* A blocking connect to a port of this machine; the socket itself does not block afterwards. */
static inline int dial(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert(fd >= 0);
    assert(connect(fd, (const struct sockaddr *)(const void *)&to, sizeof to) == 0);
    assert(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

static inline int fixture_dial(struct fixture *f)
{
    return dial(server_port(f->server));
}

static inline void say(int fd, const char *text)
{
    assert(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Collects what comes; true at the end of the stream. */
struct heard {
    char text[2048];
    size_t len, total;
    bool closed, reset;
};

static inline bool hear(struct heard *heard, int fd)
{
    static char buf[65536];
    for (ssize_t got; (got = recv(fd, buf, sizeof buf, 0)) != -1;) {
        if (got == 0) {
            heard->closed = true;
            return true;
        }
        size_t room = sizeof heard->text - 1 - heard->len;
        size_t take = (size_t)got < room ? (size_t)got : room;
        memcpy(heard->text + heard->len, buf, take);
        heard->len += take;
        heard->text[heard->len] = '\0';
        heard->total += (size_t)got;
    }
    if (errno == ECONNRESET) {
        heard->closed = heard->reset = true;
        return true;
    }
    assert(errno == EAGAIN);
    return false;
}

/* Turns the loop and listens until the text has come. */
static inline void fixture_hear(struct fixture *f, int fd, struct heard *heard, const char *text)
{
    while (hear(heard, fd), !strstr(heard->text, text)) {
        assert(!heard->closed);
        assert(loop_run_once(f->loop, false) == 0);
    }
}

static inline void fixture_hear_close(struct fixture *f, int fd, struct heard *heard)
{
    while (!hear(heard, fd)) {
        assert(loop_run_once(f->loop, false) == 0);
    }
}

#endif
