/* What drivers share: the engine's own type, one HTTP call at a time, the end of a step. */
#ifndef HOST_ENGINE_ENGINE_PRIV_H
#define HOST_ENGINE_ENGINE_PRIV_H

#include "host/engine/engine.h"

enum { CALL_BODY_MAX = 512 * 1024, CALL_TARGET_MAX = 256, CALL_REQUEST_MAX = 1024 };

struct engine_call;
/* status 0: no answer, `body` says why; the call is over, another may begin. */
typedef void engine_called(struct engine *engine, unsigned status, struct span body);

struct engine_call {
    struct engine *engine;
    struct client_exchange *exchange; /* NULL: idle */
    engine_called *called;
    unsigned status;
    char *body;
    size_t body_len;
    char request[CALL_REQUEST_MAX];
};

/* A driver: how an engine is started and moved between tiers; which tiers it has is said by
 * layout_edges_of() of base/layout.h, for the simulator too. Each function begins something that
 * ends with engine_step_done(). */
struct engine_driver {
    const char *name;
    uint32_t kind; /* enum config_engine */
    /* Fills argv and env for a start; strings are malloc'ed. */
    int (*command)(struct engine *engine, char **argv, uint32_t argv_max, char **env,
                   uint32_t env_max);
    void (*started)(struct engine *engine); /* the process answers its health path */
    void (*out)(struct engine *engine);     /* resident to step.to, not STOPPED */
    void (*in)(struct engine *engine);      /* step.from, not STOPPED, to resident */
    void (*probe)(struct engine *engine);
    void (*settle)(struct engine *engine);
    bool (*figures)(struct span text, struct engine_figures *ret_figures);
};

extern const struct engine_driver engine_vllm;
extern const struct engine_driver engine_emulated;

enum engine_kind_of_step { STEP_NONE = 0, STEP_CORE, STEP_SETTLE };

struct engine_step_state {
    enum engine_kind_of_step kind;
    enum core_step step;
    uint32_t from;
    uint32_t to;
    int64_t deadline_ns;
    int64_t phase_deadline_ns; /* of a part: start, memory */
    int64_t pause_ns;          /* of polling, grows */
    engine_done *done;
    void *ctx;
    bool cancelled;
    void (*next)(struct engine *engine); /* what the timer goes on with */
    /* Set while the process is being ended for an escalation. */
    bool escalating;
    bool finished; /* the result waits for its turn of the loop */
    char why[ENGINE_TEXT_MAX];
    struct engine_result result; /* waits for its turn of the loop */
};

struct engine {
    const struct engine_services *services;
    const struct engine_driver *driver;
    const struct config_model *model;
    struct engine_setup setup;
    char key[ENGINE_KEY_MAX];
    char origin[ENGINE_ORIGIN_MAX];
    struct client *client;
    pid_t pid; /* 0: no process of ours */
    uint32_t port;
    bool starting;
    bool stopping;
    bool resident;     /* as far as we know; for what an exit means */
    bool sleep_absent; /* the engine has no sleep mode */
    uint64_t starts;
    uint64_t failures;
    uint64_t capability_misses;
    char last_error[ENGINE_TEXT_MAX];
    struct engine_step_state step;
    struct engine_call call; /* of the step */
    struct engine_call look; /* figures and health beside it */
    struct loop_timer timer;
    struct loop_timer guard; /* the step's deadline */
    struct loop_task finish;
};

/* Sends one call of the step. `body` NULL: GET, else POST with it ("" : none). The answer, or the
 * lack of one by due_ns, comes to `called`. */
void engine_call(struct engine *engine, bool post, const char *target, const char *body,
                 int64_t due_ns, engine_called *called);
/* Continues with `next` after the present pause, which grows to `max_ns`. */
void engine_again(struct engine *engine, int64_t max_ns, void (*next)(struct engine *engine));
int64_t engine_now_ns(const struct engine *engine);

/* Ends the step. message NULL: none. */
void engine_step_done(struct engine *engine, bool ok, uint32_t tier, bool retry,
                      const char *message);
/* Ends the process because `why`, then the step as (ok, STOPPED) for an out-step and as failed, to
 * be retried, otherwise. A server that is not ours stays, and the step fails in its old tier. */
void engine_escalate(struct engine *engine, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Waits until the memory of the engine is down to `bytes_max`, then ends the step as reached;
 * escalates at the memory time-out. */
void engine_await_memory(struct engine *engine, int64_t bytes_max);
/* A capability that the configuration counts on is not there: said once, counted. */
void engine_misses(struct engine *engine, const char *what);

#endif
