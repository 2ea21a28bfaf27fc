/*
 * One request that an engine is to answer, from its head to its end. Two sides hold it: the client
 * (conn, until request_done) and the cell (held, until the cell's callbacks say that it is over);
 * it is freed when both are gone.
 *
 *     COLLECTING -> OFFERED -> QUEUED -> RUNNING -> OVER
 *                       \________\__________\_______^
 * A requeued request goes from RUNNING back to QUEUED.
 */
#ifndef HOST_HTTP_REQUEST_H
#define HOST_HTTP_REQUEST_H

#include "host/http/front_priv.h"

enum request_state {
    REQUEST_COLLECTING, /* the body comes */
    REQUEST_OFFERED,    /* given to the cell, no answer yet */
    REQUEST_QUEUED,
    REQUEST_RUNNING, /* dispatched */
    REQUEST_OVER,    /* for the cell; the client may still be reading */
};

/* What is needed only while an engine works on it. */
struct relay {
    char own[384]; /* header lines of ours for the answer */
    size_t own_len;
    size_t tail_len;
    char tail[2048]; /* the answer's last bytes, for the engine's own token count */
    char *collected; /* an answer that cannot be passed through: an error behind an early 200 */
    size_t collected_len;
};

struct request {
    struct front *front;
    struct server_conn *conn; /* NULL: the client has gone or has everything */
    struct cell *cell;
    uint64_t id; /* in the cell; valid from QUEUED on */
    struct client_exchange *exchange;
    struct relay *relay;
    struct request *stalled_prev, *stalled_next;
    struct loop_timer timer; /* next heartbeat or end of time, whichever is first */
    int64_t arrival_ns;
    int64_t total_due_ns; /* INT64_MAX: none */
    int64_t heartbeat_ns; /* 0: none */
    int64_t heartbeat_due_ns;
    struct cell_submit submit;

    char *body;
    size_t body_len, body_size;
    size_t body_expected; /* announced; 0: not known */
    char *head;           /* method, target, content type and fields to pass on, in one piece */
    uint32_t method_len, target_len, type_len, fields_len;
    size_t model_at, model_len; /* where the body names the model, quotes included */
    char *renamed;              /* what stands there instead; NULL: as the client wrote it */

    uint64_t stalled_ns; /* since when bytes wait; for the order of shedding */
    enum request_state state;
    bool in_path;         /* the path names the model */
    bool form;            /* the model stands in a form, without quotes */
    bool canonical;       /* the client used the served name itself */
    bool stream;          /* it asked for an event stream */
    bool early;           /* 200 and comments went out before there was an answer */
    bool sse;             /* the engine's answer is an event stream */
    bool passed;          /* the client has seen the engine's answer begin */
    bool first_byte;      /* of the engine's body */
    bool failed_status;   /* the engine answered 5xx */
    bool collecting;      /* the answer goes to relay.collected */
    bool paused;          /* reading from the engine is paused */
    bool is_stalled;      /* in the front's list */
    bool tried;           /* one attempt did not reach the engine */
    bool cancelled;       /* cell_cancel was called */
    bool ended;           /* the cell has ended it */
    uint32_t end_outcome; /* why; SHUNT_OUTCOME_* */
};

/* ------------------------------------------------------------------ request.c */

/* Answers or ends the answer with an error, however far it is. The request may be gone after. */
void request_fail(struct request *request, const struct openai_error *error);

/* The cell is done with it. Frees it if the client is, too. */
void request_over(struct request *request);

/* It waits again, after an attempt that came to nothing. */
void request_requeued(struct request *request);

/* Its public name; "" before the cell has taken it. */
void request_name(const struct request *request, char text[CELL_REQUEST_TEXT_BYTES]);

/* Out of the list of those that wait for their client. */
void request_unstall(struct request *request);

/* ------------------------------------------------------------------ stream.c */

/* Sends the request to the engine. */
void stream_dispatch(struct request *request, const struct cell_dispatch *dispatch);
/* Closes the connection to the engine and tells the cell. */
void stream_abort(struct request *request);
/* The client's buffer has room again. */
void stream_drained(struct request *request);

#endif
