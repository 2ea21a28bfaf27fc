/*
 * What the files of the admin interface share. A verb is a function that fills an answer from the
 * worker's state, or begins an operation and answers when that is done.
 */
#ifndef HOST_ADMIN_ADMIN_PRIV_H
#define HOST_ADMIN_ADMIN_PRIV_H

#include "core/core.h"
#include "host/admin/admin.h"
#include "host/http/front.h"
#include "host/worker/worker.h"
#include "net/server.h"

#include <jansson.h>

enum {
    ADMIN_BODY_BYTES_MAX = 65536,
    ADMIN_ANSWER_BYTES_MAX = 4 << 20, /* larger ones are refused: ask for less */
    ADMIN_TEXT_BYTES_MAX = 1 << 20,   /* engine logs, dumps: cut in front, and said so */
    ADMIN_CALLS_MAX = 64,             /* operations under way at a time */
};

struct admin {
    struct worker *worker;
    struct front *front;
    struct server *server;     /* Unix socket */
    struct server *tcp_server; /* admin.listen; NULL */
    struct admin_call *calls;
    unsigned call_count;
};

/* One request. Freed when it was answered, or its client left and no operation holds it. */
struct admin_call {
    struct admin *admin;      /* NULL: the admin is gone */
    struct server_conn *conn; /* NULL: the client left */
    const struct admin_verb *verb;
    struct admin_call *next, *prev;
    char *body;
    size_t body_len;
    json_t *args; /* object, never NULL while a verb runs */
    bool pending; /* an operation will call admin_done */
};

struct admin_verb {
    const char *name; /* the path behind "/" */
    bool changes;     /* needs POST */
    void (*run)(struct admin_call *call);
};

/* Answers with a value, which is taken over. */
void admin_answer(struct admin_call *call, json_t *value);
/* Answers {"error": {"code", "message"}}; status is one of HTTP, result a negative errno. */
void admin_refuse(struct admin_call *call, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The status for a negative errno. */
unsigned admin_status_of(int result);

/* For operations: the call stays until admin_done, which is a cell_done and answers with
 * {"message"} or refuses. */
void admin_hold(struct admin_call *call);
void admin_done(void *ctx, int result, const char *message);

/* A text argument, NULL if it is absent; answers 400 and returns false if it is no text. */
bool admin_text(struct admin_call *call, const char *name, bool required, const char **ret_text);

/* The cell that the argument "cell" names, the only one without; answers otherwise. */
struct cell *admin_cell(struct admin_call *call);

/* Seconds as a JSON number, null for values that say "none". */
json_t *admin_seconds(int64_t ns);
json_t *admin_text_or_null(const char *text);

/* ------------------------------------------------------------------ verbs */

void admin_status(struct admin_call *call);
void admin_models(struct admin_call *call);
void admin_load(struct admin_call *call);
void admin_unload(struct admin_call *call);
void admin_pin(struct admin_call *call);
void admin_unpin(struct admin_call *call);
void admin_drain(struct admin_call *call);
void admin_reload(struct admin_call *call);
void admin_logs(struct admin_call *call);
void admin_explain(struct admin_call *call);
void admin_policy_list(struct admin_call *call);
void admin_policy_show(struct admin_call *call);
void admin_policy_swap(struct admin_call *call);
void admin_policy_rollback(struct admin_call *call);
void admin_policy_confirm(struct admin_call *call);
void admin_policy_set(struct admin_call *call);
void admin_policy_explain(struct admin_call *call);
void admin_policy_dump(struct admin_call *call);

#endif
