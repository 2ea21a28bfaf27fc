/*
 * What the files of the front share. front.c routes and answers small things itself, request.c
 * takes a request to its cell, stream.c passes the engine's answer to the client.
 */
#ifndef HOST_HTTP_FRONT_PRIV_H
#define HOST_HTTP_FRONT_PRIV_H

#include "base/config.h"
#include "base/http.h"
#include "host/http/front.h"
#include "host/http/openai.h"
#include "host/metrics.h"
#include "host/worker/worker.h"
#include "net/client.h"
#include "net/server.h"

struct keys; /* base/keys.h */
struct request;

enum {
    FRONT_ORIGINS_MAX = 512,      /* engines with a connection pool; idle ones are given up first */
    FRONT_HEAD_BYTES_MAX = 61440, /* fields passed on, either way */
};

/* A connection pool to one engine. */
struct front_origin {
    char name[CELL_ORIGIN_BYTES_MAX];
    struct client *client;
};

/* Limits of the configuration in force, copied because requests look at them all the time. */
struct front_limits {
    uint64_t bodies_max_bytes;
    uint64_t response_buffer_bytes; /* one answer */
    uint64_t responses_max_bytes;   /* all answers */
    int64_t total_timeout_ns;
    int64_t first_byte_timeout_ns;
    int64_t between_bytes_timeout_ns;
    int64_t connect_timeout_ns;
    int64_t upstream_idle_ns;
    bool metrics;
    bool keys_required;
};

/* Requests with bytes that wait for their client, the longest waiting one first. */
struct stall_list {
    struct request *first, *last;
};

struct front {
    struct worker *worker;
    struct loop *loop;
    struct metrics *metrics;
    struct server *server;
    struct keys *keys;
    struct front_limits limits;
    struct cell_observer observer;
    struct front_origin *origins[FRONT_ORIGINS_MAX];
    unsigned origin_count;
    struct stall_list stalled;
    uint64_t open;       /* requests whose request_done has not come */
    uint64_t body_bytes; /* of bodies held */
    uint64_t refused;    /* answered with an error before a queue */
    uint64_t shed;
    int64_t created_s;
    bool draining;
    char scratch[FRONT_HEAD_BYTES_MAX];
};

/* ------------------------------------------------------------------ front.c */

/* Answers a request that has no `struct request` yet, in OpenAI's shape. */
void front_error(struct front *front, struct server_conn *conn, const struct openai_error *error);

/* Message of a 404 for a model: lists the known ones. */
void front_unknown_model(struct front *front, struct server_conn *conn, struct span name);

/* The pool of an engine, made if need be; NULL if there is no memory or no room. */
struct client *front_client(struct front *front, const char *origin);

/* ------------------------------------------------------------------ request.c */

/* What a proxied path is. */
enum request_kind {
    REQUEST_MODEL_IN_BODY, /* /v1/...: JSON or a form names the model */
    REQUEST_MODEL_IN_PATH, /* /upstream/MODEL/... */
};

struct request_begin {
    struct server_conn *conn;
    const struct http_head *head;
    enum request_kind kind;
    struct span target; /* to ask the engine for */
    struct cell *cell;  /* with REQUEST_MODEL_IN_PATH */
    uint32_t model;
    uint64_t tenant_hash;
    bool hide_authorization; /* the key was ours: the engine does not see it */
};

/* Begins a request that an engine will answer, or answers it with an error. */
void request_begin(struct front *front, const struct request_begin *begin);
void request_body(struct request *request, struct span data);
void request_end(struct request *request);
void request_drained(struct request *request);
void request_done(struct request *request, enum server_outcome outcome);

#endif
