/*
 * HTTP/1.1 client with a pool of connections to one origin (an engine, the host under test). It
 * sends a request whose body is known, and hands out the answer piece by piece as it comes. It
 * retries once, on a fresh connection, only if the connection was a reused one and no byte of an
 * answer had come: then the server closed it between requests and cannot have acted on this one.
 *
 * The idle list is last in, first out, so that few connections stay warm and the others age out. A
 * connection is not pooled after an answer that ended by closing, after an error or a cancellation.
 *
 * Everything is called on the loop's thread. An exchange may be used until its done callback
 * returns or client_cancel() is called, never after. done is never called from inside
 * client_send(), nor any callback from inside client_cancel().
 */
#ifndef SHUNT_NET_CLIENT_H
#define SHUNT_NET_CLIENT_H

#include "base/http.h"
#include "base/span.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct client_exchange;

enum client_result {
    CLIENT_OK,             /* the answer is complete */
    CLIENT_CONNECT_FAILED, /* refused, unreachable, no descriptor: see the errno */
    CLIENT_CONNECT_TIMEOUT,
    CLIENT_FIRST_BYTE_TIMEOUT,    /* no head of an answer in time */
    CLIENT_BETWEEN_BYTES_TIMEOUT, /* the answer stopped */
    CLIENT_TOTAL_TIMEOUT,
    CLIENT_CLOSED,       /* the server closed or reset before the answer was complete */
    CLIENT_BAD_RESPONSE, /* framing that the codec refuses: see client_detail() */
    CLIENT_RESULTS,
};

/* "ok", "connect_failed" ...; for logs and labels. */
const char *client_result_name(enum client_result result);

struct client_options {
    /* "host:port" (a name is resolved once, blocking, at creation), or "unix:PATH". */
    const char *origin;
    /* Value of the Host field; NULL: the origin, "localhost" for a Unix socket. */
    const char *host;
    struct http_limits http; /* of answers */
    unsigned idle_max;       /* connections kept idle */
    int64_t idle_timeout_ns; /* keep below the server's */
};

/* http_limits_upstream, 256 idle, 4 s. The origin must be set. */
extern const struct client_options client_options_default;

struct client_stats {
    uint64_t connects; /* attempted */
    uint64_t requests;
    uint64_t retries;
    uint64_t results[CLIENT_RESULTS];
    uint64_t cancelled;
    uint64_t open; /* connections now, idle ones included */
    uint64_t idle;
};

enum { CLIENT_BODY_SPANS_MAX = 4 };

struct client_request {
    struct span method; /* copied */
    struct span target; /* copied */
    struct span fields; /* copied: complete lines with CRLF; Host and framing are added here */
    struct span body[CLIENT_BODY_SPANS_MAX]; /* borrowed: must stay until done or cancel */
    unsigned body_len;                       /* spans used; 0: no body */
    /* Time-outs; 0: none. */
    int64_t connect_timeout_ns;
    int64_t first_byte_timeout_ns; /* from when the request was handed over to the answer's head */
    int64_t between_bytes_timeout_ns; /* after the head; not while paused */
    int64_t total_due_ns;             /* absolute; also while paused */
};

struct client_ops {
    /* The final head (no 1xx); lives during the call. */
    void (*response_head)(struct client_exchange *exchange, const struct http_head *head,
                          void *user);
    /* A piece of the decoded body; lives during the call. Optional. */
    void (*response_body)(struct client_exchange *exchange, struct span data, void *user);
    /* Exactly once, unless cancelled; the last call. */
    void (*done)(struct client_exchange *exchange, enum client_result result, void *user);
};

/* -EINVAL (origin not understood), -ENOENT (name not found), -ENOMEM. */
int client_create(struct loop *loop, const struct client_options *options,
                  struct client **ret_client);

/* Cancels open exchanges without callbacks, closes all connections. NULL is allowed. */
void client_destroy(struct client *client);

/* Closes the idle connections, for an engine that was put to sleep or stopped. */
void client_close_idle(struct client *client);

const struct client_stats *client_stats(const struct client *client);

/*
 * Sends a request. ops must outlive the exchange. -ENOMEM, -EMSGSIZE (head above 64 KiB), -EINVAL
 * (method or target not legal). Failure to connect is reported through done, on a later turn.
 */
int client_send(struct client *client, const struct client_request *request,
                const struct client_ops *ops, void *user, struct client_exchange **ret_exchange);

/* Gives the request up: the connection is closed, which is the only portable way to stop an engine.
 * No callback comes any more. */
void client_cancel(struct client_exchange *exchange);

/* Stops and resumes reading the answer; it then waits in the kernel and at the server. */
void client_pause(struct client_exchange *exchange);
void client_resume(struct client_exchange *exchange);

/* For logs: errno of a failed connect or read (0: none), or the codec's reason; never NULL. */
const char *client_detail(const struct client_exchange *exchange);

/* True if the last attempt used a pooled connection; bytes of the answer seen so far. */
bool client_reused(const struct client_exchange *exchange);
uint64_t client_received_bytes(const struct client_exchange *exchange);

#endif
