/* Shared by server.c (listeners, connections) and server_respond.c (answers). */
#ifndef SHUNT_NET_SERVER_PRIV_H
#define SHUNT_NET_SERVER_PRIV_H

#include "net/server.h"
#include "net/stream.h"

enum { SERVER_LISTENERS_MAX = 8, SERVER_IP_BUCKETS = 1024 };

/* Connections of one address (of one /64 for version 6); freed with its last one. */
struct server_ip {
    struct server_ip *next;
    unsigned char key[16];
    unsigned conns;
};

struct server_listener {
    struct server *server;
    struct event event;
    int fd;
    char *unix_path; /* to unlink; NULL for others */
};

struct server {
    struct loop *loop;
    struct server_options options;
    const struct server_ops *ops;
    void *ctx;
    struct server_stats stats;
    struct server_conn *conns; /* list */
    struct server_listener listeners[SERVER_LISTENERS_MAX];
    unsigned listeners_len;
    struct loop_timer accept_again;
    bool draining;
    struct server_ip *ips[SERVER_IP_BUCKETS];
    struct http_head head; /* of the request being handed out; one is enough, it lives for a call */
};

enum server_state {
    SERVER_IDLE,   /* no request open; a head may be partial */
    SERVER_OPEN,   /* between request_head and request_done */
    SERVER_LINGER, /* the last answer goes out, input is dropped */
    SERVER_DEAD,   /* closed; freed by its task */
};

struct server_conn {
    struct stream stream; /* first: the stream's callbacks get the connection from it */
    struct server *server;
    struct server_conn *next, *prev;
    struct server_ip *ip; /* NULL: not counted */
    void *user;
    uint64_t id;
    struct http_reader reader;
    struct loop_timer timer;
    struct loop_task task;
    int64_t in_due_ns;     /* head, idle, body or linger, by state */
    int64_t out_due_ns;    /* write stall */
    uint64_t put_seen;     /* stream.put_bytes when the stall was last measured afresh */
    uint64_t window_bytes; /* of the body, in this window of the minimum rate */
    uint64_t left_bytes;   /* of an answer of announced length */
    uint8_t state;
    bool received; /* the request is complete */
    bool paused;
    bool responded;
    bool finished;   /* server_finish() was called */
    bool chunked;    /* the answer */
    bool announced;  /* the answer has a length */
    bool bodiless;   /* the answer's body is dropped */
    bool head_only;  /* the request was HEAD */
    bool old;        /* the request was HTTP/1.0 */
    bool keep_alive; /* the client would keep the connection */
    bool wants_continue;
    bool close_after;
    bool above_low;  /* output went above the low mark */
    bool shut;       /* our direction is closed */
    bool head_begun; /* the time for the head is running */
    bool in_pump;
};

/* Counts a connection of the address at the other end: 0 with *ret_ip (NULL where there is no
 * limit), -EMFILE over the limit, -ENOMEM. */
int server_ip_acquire(struct server *server, int fd, struct server_ip **ret_ip);
void server_ip_release(struct server *server, struct server_ip *ip);

/* Fires when accepting, stopped for want of descriptors, is due again. */
void server_accept_again(struct loop_timer *timer);

void server_close_listeners(struct server *server);

/* Moves on after a change of state: settles a finished answer, reads on, sets the timer. */
void server_conn_proceed(struct server_conn *conn);

/* Has server_conn_proceed() called on the next turn. */
void server_conn_later(struct server_conn *conn);

#endif
