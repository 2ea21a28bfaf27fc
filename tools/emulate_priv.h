/*
 * The engine emulator's own types, shared by its files: emulate.c (command line, life), _engine.c
 * (batching and times), _control.c (sleep, wake, reload), _http.c (routes and parsing), _answer.c
 * (what goes back) and _faults.c. One thread, one loop; all times are already divided by the time
 * scale.
 */
#ifndef SHUNT_TOOLS_EMULATE_PRIV_H
#define SHUNT_TOOLS_EMULATE_PRIV_H

#include "base/span.h"
#include "net/loop.h"
#include "net/server.h"
#include "tools/emulate_pool.h"
#include "tools/emulate_text.h"
#include "tools/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EMULATE_SLOTS_MAX = 4096,
    EMULATE_MODELS_MAX = 8,       /* served names */
    EMULATE_OUTPUT_MAX = 1 << 20, /* tokens of an answer */
};

enum framing_fault {
    FRAMING_NONE,
    FRAMING_BOTH_LENGTHS,
    FRAMING_BAD_CHUNK,
    FRAMING_GARBAGE,
    FRAMING_SHORT
};

/* What goes wrong on demand; all zero: nothing. */
struct faults {
    int64_t die_at_byte;        /* exit once as many bytes of answers went out; 0: off */
    int64_t hang_after_tokens;  /* generation stops after as many tokens of any request; 0: off */
    bool hang;                  /* nothing is generated, no sleep or wake ends */
    bool hang_http;             /* no request is answered at all, /health included */
    double slow;                /* all times are multiplied; 0 means 1 */
    enum framing_fault framing; /* of the answers to completions */
    int64_t wake_fails;         /* that many /wake_up end with 500 */
    int64_t wake_oom;           /* that many /wake_up end with 500, out of memory */
    int64_t sleep_fails;        /* that many /sleep end with 500 */
    int64_t error_500;          /* that many completions end with 500 */
    bool sleep_frees_nothing;
    bool ignore_abort; /* a request goes on when its client has gone */
    bool load_fails;   /* exit instead of getting ready */
};

struct emulate_options {
    const char *listen; /* "127.0.0.1:PORT" or "unix:PATH" */
    const char *models[EMULATE_MODELS_MAX];
    size_t models_len;
    unsigned slots_max;    /* --max-num-seqs */
    int64_t model_len_max; /* tokens of prompt and answer */
    bool sleep_mode, dev_mode;
    int64_t load_ns, sleep_ns[3], wake_ns[3], reload_ns; /* by level */
    /* Prefill p0 + p1 input; step d0 + d1 batch + d2 sum of contexts. In ns. */
    double p0, p1, d0, d1, d2;
    double bytes_per_token;
    int64_t output_tokens; /* of a request that does not limit its answer */
    double time_scale;
    uint64_t resident_bytes, asleep_bytes, weights_bytes;
    const char *pool_path;
    uint64_t pool_bytes;
    struct faults faults;
};

enum request_kind {
    REQUEST_OTHER, /* answered at once */
    REQUEST_CHAT,
    REQUEST_COMPLETION,
    REQUEST_RESPONSE,
    REQUEST_EMBEDDING,
    REQUEST_CONTROL,
};

enum request_state { REQUEST_READING, REQUEST_WAITING, REQUEST_RUNNING, REQUEST_ENDED };

enum control { CONTROL_SLEEP, CONTROL_WAKE, CONTROL_RELOAD };
enum sleep_mode { SLEEP_ABORT, SLEEP_WAIT, SLEEP_KEEP };
/* Parts of the memory that sleep and wake act upon. */
enum { TAG_WEIGHTS = 1, TAG_KV = 2, TAG_ALL = 3 };

struct emulator;

struct request {
    struct emulator *emulator;
    struct server_conn *conn;    /* NULL: the client has gone */
    struct request *prev, *next; /* in the queue of its state */
    enum request_kind kind;
    enum request_state state;
    struct text body;
    char path[64], query[256]; /* cut ones match nothing */
    enum http_method method;
    int64_t header_output_tokens, header_input_tokens; /* -1: not given */
    /* generation */
    char id[40];
    const char *model; /* one of the served names */
    uint64_t key;
    bool stream, include_usage, prefilled, gibberish;
    bool embedding_base64;
    int64_t created_s;
    int64_t input_tokens, output_tokens, produced;
    bool output_is_limit; /* finish_reason length, else stop */
    struct text answer;
    /* control */
    enum control control;
    int level;
    unsigned tags;
    enum sleep_mode mode;
};

struct request_list {
    struct request *first, *last;
    size_t len;
};

struct emulator {
    struct emulate_options options;
    struct loop *loop;
    struct server *server;
    struct pool *pool;
    struct loop_signal interrupt, terminate;
    int exit_status;

    struct request_list waiting, running, controls, stuck;
    struct loop_timer step; /* end of the step in progress */
    bool stepping;
    int64_t step_due_ns;
    int64_t contexts; /* sum over the running requests */

    struct loop_timer control; /* end of the control in progress, the first of controls */
    bool control_begun;
    unsigned resident;  /* TAG_* that are on the device */
    int level;          /* of sleep; meaningful unless awake */
    bool asleep;        /* until all tags are back */
    bool keeping;       /* requests kept over a sleep */
    bool weights_valid; /* false from a level 2 sleep to a reload */
    bool dead;          /* the engine failed: /health says 503 */
    bool leaked;        /* sleep_frees_nothing happened */

    struct loop_timer dying;
    int64_t bytes_out; /* since die_at_byte was set */
    uint64_t next_id;
    uint64_t requests, tokens_in, tokens_out, aborted, refused_asleep;
};

/* The emulator that a timer of its own stands in. */
#define EMULATOR_OF(timer, member)                                                                 \
    ((struct emulator *)(void *)((char *)(timer)-offsetof(struct emulator, member)))

/* --- emulate_engine.c --- */
void request_list_add(struct request_list *list, struct request *r);
void request_list_remove(struct request_list *list, struct request *r);
/* Queues a request for generation; it is answered when its tokens are there. */
void engine_submit(struct emulator *e, struct request *r);
/* Takes a waiting or running request out, its slot free at once. */
void engine_remove(struct emulator *e, struct request *r);
/* Begins a step if there is work and none is in progress. */
void engine_kick(struct emulator *e);
void engine_step_fired(struct loop_timer *timer);
/* Ends all waiting and running requests with finish_reason "abort". */
void engine_abort_all(struct emulator *e);
/* NS under the time scale and the slow fault. */
int64_t engine_scaled_ns(const struct emulator *e, double ns);

/* --- emulate_control.c --- */
void control_submit(struct emulator *e, struct request *r);
void control_kick(struct emulator *e);
void control_fired(struct loop_timer *timer);
/* Bytes that should be held now. */
uint64_t control_bytes(const struct emulator *e);

/* --- emulate_http.c --- */
extern const struct server_ops emulate_ops;
void request_free(struct request *r);

/* --- emulate_answer.c --- */
/* An error in OpenAI's shape. */
void answer_error(struct request *r, unsigned status, const char *type, const char *message);
void answer_json(struct request *r, unsigned status, const char *json);
void answer_empty(struct request *r, unsigned status);
/* The next token of a running request; the last one ends the answer and the request. */
void answer_token(struct request *r);
/* Ends the answer early, with this finish_reason. */
void answer_finish(struct request *r, const char *reason);
void answer_models(struct request *r);
void answer_metrics(struct request *r);

/* --- emulate_faults.c --- */
/* Sets one fault from "NAME" or "NAME=VALUE". NULL, or what is wrong with it. */
const char *faults_set(struct faults *faults, const char *text);
/* POST and GET /emulate/faults. */
void faults_request(struct emulator *e, struct request *r);
/* Sends a broken answer if that fault is on; true: the request is over. */
bool faults_framing(struct emulator *e, struct request *r);

#endif
