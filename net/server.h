/*
 * HTTP/1.1 server connections on a loop: accepts, reads requests through the codec of base/http.h,
 * hands them out piece by piece and writes the answers. Knows nothing about models or queues. An
 * answer may come at any time after request_head: at once, or minutes later; meanwhile the
 * connection costs about a kibibyte and its closing is noticed immediately.
 *
 * Requests on one connection are served one after the other; pipelined ones wait in the kernel and,
 * for what had been read already, in at most one read buffer.
 *
 * Everything is called on the loop's thread. A server_conn may be used from request_head until
 * request_done returns; never after. Functions may be called inside any callback: a connection is
 * freed only when its callbacks have returned.
 */
#ifndef SHUNT_NET_SERVER_H
#define SHUNT_NET_SERVER_H

#include "base/http.h"
#include "base/span.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct server;
struct server_conn;

/* How a request ended, seen from this side. */
enum server_outcome {
    SERVER_COMPLETE,      /* answered; the last byte was given to the kernel */
    SERVER_CLIENT_GONE,   /* the client closed or reset the connection */
    SERVER_CLIENT_SLOW,   /* the body came below the minimum rate */
    SERVER_WRITE_STALLED, /* the client did not read for write_stall_ns */
    SERVER_BAD_REQUEST,   /* the body's framing was broken or too large; the server has answered */
    SERVER_ABORTED,       /* server_abort(), or the server was destroyed */
    SERVER_OUTCOMES,
};

/* "complete", "client_gone" ...; for logs and labels. */
const char *server_outcome_name(enum server_outcome outcome);

struct server_ops {
    /*
     * A request begins. head lives until the callback returns. May answer at once, even though the
     * body has not come: what is left of it is then read and dropped, or the connection closed.
     * Required.
     */
    void (*request_head)(struct server_conn *conn, const struct http_head *head, void *ctx);
    /* A piece of the body, valid during the call. Not called any more once an answer is finished.
     */
    void (*request_body)(struct server_conn *conn, struct span data, void *ctx);
    /* The request is complete. Not called if the answer was finished before. */
    void (*request_end)(struct server_conn *conn, void *ctx);
    /* Bytes waiting to be written fell to out_low_bytes or less, having been above. Optional. */
    void (*drained)(struct server_conn *conn, void *ctx);
    /* Exactly once for every request_head, the last call for this request. Free its state here. */
    void (*request_done)(struct server_conn *conn, enum server_outcome outcome, void *ctx);
    /* A request that was refused before request_head (framing, head limits). Optional. */
    void (*refused)(struct server_conn *conn, unsigned status, const char *reason, void *ctx);
    /* Body and type of the answer to a refused request: appended to body (room for `size` bytes);
     * returns its length, 0 for none. Optional: without it the reason goes out as text/plain. */
    size_t (*refusal)(unsigned status, const char *reason, char *body, size_t size,
                      const char **ret_content_type, void *ctx);
};

struct server_options {
    struct http_limits http;
    unsigned conns_max;                 /* all listeners of this server together */
    unsigned conns_per_ip_max;          /* 0: no limit; Unix sockets are not counted */
    int64_t head_timeout_ns;            /* from the first byte of a head to its end */
    int64_t idle_timeout_ns;            /* between requests, and before the first */
    int64_t write_stall_ns;             /* without progress although bytes wait */
    int64_t linger_ns;                  /* how long to drain input after an early final answer */
    uint64_t body_rate_min_bytes_per_s; /* checked over body_grace_ns windows; 0: off */
    int64_t body_grace_ns;
    size_t out_low_bytes;  /* see drained */
    bool abort_on_close;   /* a client that sends FIN is gone; false: it may half-close */
    int accept_backoff_ms; /* pause of accepting when descriptors run out */
};

/* 16,384 connections, 10 s head, 75 s idle, 30 s write stall, 1 KiB/s over 10 s, 64 KiB low mark,
 * abort_on_close, 100 ms back-off; HTTP limits as http_limits_default. */
extern const struct server_options server_options_default;

/* Monotonic counters and gauges, for metrics. */
struct server_stats {
    uint64_t accepted;
    uint64_t refused_conns_max;
    uint64_t refused_per_ip;
    uint64_t accept_failures; /* EMFILE and the like */
    uint64_t requests;
    uint64_t refused_requests; /* by the codec */
    uint64_t outcomes[SERVER_OUTCOMES];
    uint64_t conns;     /* open now */
    uint64_t out_bytes; /* waiting to be written now, of all connections */
};

/* ops and ctx must outlive the server; options are copied. -ENOMEM. */
int server_create(struct loop *loop, const struct server_options *options,
                  const struct server_ops *ops, void *ctx, struct server **ret_server);

/* Ends all requests with SERVER_ABORTED and closes everything. NULL is allowed. Must not be called
 * from inside one of the server's own callbacks. */
void server_destroy(struct server *server);

/*
 * Adds a listener. address is "host:port" with a numeric host ("127.0.0.1:8080", "[::1]:0") or
 * "localhost:port", or "unix:PATH" (a stale socket file is replaced; mode is 0600). -EINVAL
 * (address), -EADDRINUSE, -EACCES and other errors of bind and listen.
 */
int server_listen(struct server *server, const char *address);

/* Adds a listening socket made by somebody else; taken over, closed by server_destroy(). */
int server_listen_fd(struct server *server, int fd);

/* Port of the first TCP listener (for port 0), 0 if there is none. */
unsigned server_port(const struct server *server);

/* Closes the listeners and ends idle connections; open requests go on and their connections close
 * behind their answers: server_stats()->conns falls to 0. */
void server_drain(struct server *server);

/* Takes over a connected stream socket as if accepted (socket pairs of tests, inherited
 * connections). -EMFILE if the limit is reached; then fd stays the caller's. */
int server_adopt(struct server *server, int fd);

const struct server_stats *server_stats(const struct server *server);

/* --- One connection. --- */

/* A pointer of the user's for the current request; NULL at request_head. */
void server_set_user(struct server_conn *conn, void *user);
void *server_user(const struct server_conn *conn);

/* Number of the connection, never reused in a process. */
uint64_t server_conn_id(const struct server_conn *conn);

/* "127.0.0.1:40312", "[::1]:5", "unix"; returns the length written, always terminated. */
size_t server_conn_peer(const struct server_conn *conn, char *text, size_t size);

/* The socket, for SO_PEERCRED of a Unix client. Not to be read, written or closed. */
int server_conn_fd(const struct server_conn *conn);

/* Stops and resumes delivery of the request's body. The body then waits in the kernel; the minimum
 * rate is not applied meanwhile. */
void server_pause(struct server_conn *conn);
void server_resume(struct server_conn *conn);

struct server_response {
    unsigned status;    /* 200 to 599 */
    struct span fields; /* complete lines, each with CRLF, no framing fields; see http_out_* */
    const char *content_type; /* NULL: none, or already in fields */
    int64_t length; /* of the body; -1: not known (chunked, or until close for HTTP/1.0) */
    bool has_date;  /* fields already carry Date */
    bool close;     /* close the connection behind this answer */
};

/*
 * Begins the answer; the head leaves with the first piece of body or at the end of the callback.
 * Answers that may have no body (HEAD, 204, 304) drop what is written to them. Once a request:
 * asserted. -EPIPE: the connection is already going away (request_done follows or ran),
 * -EMSGSIZE: fields above 60 KiB.
 */
int server_respond(struct server_conn *conn, const struct server_response *response);

/* Sends body bytes; copied if the socket does not take them at once. Writing more than the length
 * announced, or after server_finish(), is asserted. -EPIPE as above. */
int server_write(struct server_conn *conn, struct span data);

/* The same, moving the content of a buffer without copying it; empties it. */
int server_write_buffer(struct server_conn *conn, struct evbuffer *data);

/* Ends the answer. If it is shorter than the length announced the connection is closed, so that
 * the client sees the cut. request_done follows when the kernel has taken everything, possibly
 * before this call returns. */
int server_finish(struct server_conn *conn);

/* server_respond, server_write, server_finish in one; the usual way for small answers. */
int server_reply(struct server_conn *conn, unsigned status, struct span fields,
                 const char *content_type, struct span body);

/* Closes the connection at once: the client sees a reset or a cut answer. request_done
 * (SERVER_ABORTED) is called before it returns if a request is open. */
void server_abort(struct server_conn *conn);

/* Bytes of this connection that wait to be written. */
size_t server_pending_bytes(const struct server_conn *conn);

/* True once server_respond() was called for the current request. */
bool server_responded(const struct server_conn *conn);

#endif
