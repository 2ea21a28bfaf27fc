/*
 * The demo's own types, shared by its files. demo.c tells the story; the others each do one thing:
 *
 *   demo_cast.c     the three models and the configuration of the host
 *   demo_place.c    port, folder, and where the policy is
 *   demo_stretch.c  the arrivals that both policies get
 *   demo_child.c    child processes: start, watch, end, show why they failed
 *   demo_host.c     the running host: asks its admin socket, waits
 *   demo_view.c     live lines on a terminal, plain lines elsewhere
 *   demo_result.c   figures of one play, from the client's log and the host's counters
 *   demo_report.c   the two side by side, as text or JSON
 *
 * The demo holds no scheduling code: it starts `shunt serve` and `shunt replay` as any user would
 * and reads what they say. Times named _s are seconds of the trace unless they say real.
 */
#ifndef SHUNT_TOOLS_DEMO_PRIV_H
#define SHUNT_TOOLS_DEMO_PRIV_H

#include "net/client.h"
#include "net/loop.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
    DEMO_MODELS = 3,
    DEMO_HOME = 0,  /* resident when a play begins */
    DEMO_BATCH = 8, /* requests that an engine takes at a time */
    DEMO_STATES = 5,
    DEMO_BURST_EACH = 16, /* requests a model in the burst between the plays */
    DEMO_REQUESTS_MAX = 500000,
    DEMO_PATH_MAX = 320,
    DEMO_POLICY_MAX = 1024, /* of a policy reference */
    DEMO_NAME_MAX = 64,
    DEMO_ERROR_MAX = 1024,
    DEMO_ARGS_MAX = 40,
};

/* --- The cast (demo_cast.c) --- */

struct demo_model {
    const char *name, *part; /* part: what it plays, for people */
    const char *service;     /* preset of `shunt emulate` */
    /* The preset's times in seconds: prefill p0 + p1 a token, a step d0 + d1 a request + d2 a token
     * of context. */
    double p0, p1, d0, d1, d2;
    double load_s, sleep_s, wake_s;
    double weights_gib;
};

extern const struct demo_model demo_models[DEMO_MODELS];

/* Seconds of the whole device that a request takes in a full batch. */
double demo_work_s(const struct demo_model *model, int64_t input_tokens, int64_t output_tokens);

struct demo;

/* Writes a configuration for the port (8080 if none is chosen yet) and the time scale of the demo.
 * 0 or negative errno, d->error. */
int demo_config_write(struct demo *d, const char *name, const char *policy);

/* --- Place (demo_place.c) --- */

/* Fills d->port: the one asked for, or 8080, or a free one. */
int demo_port_choose(struct demo *d);
/* Makes d->folder and fills the paths in it. */
int demo_folder_make(struct demo *d);
/* Removes a temporary folder with everything in it. */
void demo_folder_remove(const struct demo *d);
/* Fills d->policy and d->policy_name from the options: paths as seen from anywhere. */
int demo_policy_resolve(struct demo *d);

/* --- Arrivals (demo_stretch.c) --- */

struct demo_stretch {
    char source[512]; /* where the arrivals come from */
    bool real;        /* from traces */
    double stretch;   /* their times were multiplied by it */
    double length_s, load;
    uint64_t requests[DEMO_MODELS], total;
};

/* Writes stretch.csv and burst.csv. */
int demo_stretch_write(struct demo *d);

/* --- Children (demo_child.c) --- */

struct demo_child {
    const char *what; /* "the host" */
    pid_t pid;        /* 0: none runs */
    int status;       /* as waitpid gave it, once it ended */
    char log[DEMO_PATH_MAX];
};

/* Starts this program with ARGV (argv[0] is the verb; ends with NULL), output to the child's log,
 * standard output to `out` if that is not NULL. It ends when the demo dies, however that happens.
 */
int demo_child_start(struct demo *d, struct demo_child *child, const char *const *argv,
                     const char *out);
/* Takes note of a child that ended; true if it is over. */
bool demo_child_over(struct demo_child *child);
/* SIGTERM, and SIGKILL after `patience_ns`. Nothing if it does not run. */
void demo_child_end(struct demo_child *child, int64_t patience_ns);
/* How it ended, and the last lines of its log. */
void demo_child_explain(const struct demo_child *child, FILE *to);

/* --- The host (demo_host.c) --- */

/* What the host says about itself; its own times multiplied by the time scale. */
struct demo_model_state {
    char state[24]; /* of its engine: "resident", "waking" ... */
    uint64_t queued, in_flight, completed, cut;
    double oldest_s;       /* 0: none waits */
    double gap_bound_s[2]; /* expected, guaranteed; negative: none */
    double gap_max_s;
};

struct demo_status {
    int64_t taken_ns; /* 0: none yet */
    bool ready;
    char policy[64];
    char state[24]; /* of the device */
    double time_s[DEMO_STATES];
    double batch_s; /* integral of requests in flight */
    uint64_t switches, visits, forced;
    struct demo_model_state models[DEMO_MODELS];
    char no_bound[256]; /* why there is none */
};

extern const char *const demo_state_names[DEMO_STATES];

/* Starts the clock of demo_wait(); ends it with everything that was begun since. */
void demo_host_begin(struct demo *d);
void demo_host_end(struct demo *d);
/* Begins to ask for the status several times a second. */
int demo_host_watch(struct demo *d);
/* Asks the admin interface: PATH with the arguments in BODY (taken over). Waits for the answer; a
 * refusal is -EPROTO with d->error. *ret_answer may be NULL, else it is the caller's. */
int demo_host_ask(struct demo *d, const char *path, json_t *body, json_t **ret_answer);
/* Whether GET PATH on the public port gives 200. */
bool demo_host_answers(struct demo *d, const char *path);
/* Runs the loop until READY says so. -ECANCELED after a signal, -ECHILD when the host ended,
 * -ETIMEDOUT after LIMIT real seconds; d->error says what was waited for. */
int demo_wait(struct demo *d, bool (*ready)(struct demo *d), double limit_real_s, const char *what);
/* A status taken after now. */
int demo_status_fresh(struct demo *d);
uint64_t demo_waiting(const struct demo_status *status);
uint64_t demo_running(const struct demo_status *status);

/* --- Figures (demo_result.c) --- */

struct demo_times {
    double mean, p50, p99, max;
};

struct demo_model_result {
    uint64_t sent, completed, refused, failed;
    struct demo_times wait, ttft;
    double gap_max_s;      /* longest wait for a visit */
    double gap_bound_s[2]; /* stated at the end of the play */
};

struct demo_result {
    char policy[DEMO_NAME_MAX];
    uint64_t sent, completed, refused, failed, lost, cut;
    double late_p99_s; /* of sending: what the machine was too slow for */
    double span_s;     /* from the first arrival to the last answer */
    double work_s, tokens;
    double share[DEMO_STATES]; /* of device time, sums to 1 */
    double batch_mean;         /* requests in flight while any is */
    uint64_t switches, visits, forced;
    struct demo_times wait; /* of all */
    struct demo_model_result models[DEMO_MODELS];
};

/* Reads the client's log of a play that should have EXPECTED requests. */
int demo_result_read(struct demo *d, const char *path, uint64_t expected, struct demo_result *ret);
/* Adds what the host counted between two states of it. */
void demo_result_host(struct demo_result *result, const struct demo_status *before,
                      const struct demo_status *after);

/* --- The live view (demo_view.c) --- */

struct demo_view {
    bool terminal, utf8, colour;
    int lines; /* on the screen now, to be drawn over */
    int64_t plain_due_ns;
    /* What is shown beside the status. */
    const char *title;
    double start_s, length_s; /* of the act, on the demo's clock; length 0: open */
    struct demo_status before;
};

void demo_view_init(struct demo *d);
/* A new act begins: counts start at the present status. */
void demo_view_act(struct demo *d, const char *title, double length_s);
/* Called with each new status. */
void demo_view_update(struct demo *d);
/* Leaves what is on the screen where it is. */
void demo_view_end(struct demo *d);
/* A line of the story, whatever the view shows. */
void demo_say(struct demo *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A paragraph, broken between words; later lines are indented. */
void demo_say_wrapped(struct demo *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- The whole --- */

struct demo_options {
    double time_scale, minutes, load;
    const char *policy; /* the second one; the first is fifo */
    const char *folder; /* NULL: a temporary one */
    int port;           /* 0: 8080, or any free one */
    bool serve, json;
};

struct demo_swap {
    uint64_t waiting, running; /* when it was asked for */
    double took_real_ms;
    char message[256];
};

struct demo {
    struct demo_options options;
    char policy[DEMO_POLICY_MAX];    /* options.policy with absolute paths */
    char policy_name[DEMO_NAME_MAX]; /* what stands above its numbers */
    char folder[DEMO_PATH_MAX - 64];
    char program[DEMO_PATH_MAX];
    char socket[108];
    int port;
    FILE *out; /* the story: stdout, or stderr beside JSON */
    struct loop *loop;
    struct loop_signal signals[4];
    int caught; /* signal that ends the demo; 0: none */
    struct demo_child host, player, checker;
    struct client *admin, *front;
    struct loop_timer poll;
    struct demo_call *poll_call, *ask_call; /* questions under way */
    struct demo_status status;
    int64_t status_wanted_ns;
    int64_t begin_ns;
    struct demo_stretch stretch;
    struct demo_view view;
    struct demo_swap swap;
    struct demo_result burst[2], play[2];
    char error[DEMO_ERROR_MAX];
};

/* Fills d->error and returns the (negative) error. */
int demo_fail(struct demo *d, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Seconds of the trace since the demo began. */
double demo_clock_s(const struct demo *d);
void demo_path(const struct demo *d, char to[DEMO_PATH_MAX], const char *name);

/* The tables, or one object of JSON on stdout (demo_report.c). */
void demo_report(const struct demo *d);

#endif
