/*
 * An engine: the process, or foreign server, that runs one model on one device. A driver knows its
 * control protocol; this file is what the cell sees of all of them. The host does not know whether
 * an engine is real.
 *
 * Everything is asynchronous on the loop, and every step has an absolute deadline. One step runs at
 * a time. A callback never comes from inside the call that asked for it.
 *
 * What an engine says about itself is not believed: after a sleep it is asked whether it sleeps,
 * and its memory is measured where a probe exists; after a wake the core has one token probed.
 * What fails is escalated: an engine that cannot be put to sleep, or cannot be woken, is ended, and
 * the step reports the tier it really reached.
 */
#ifndef HOST_ENGINE_ENGINE_H
#define HOST_ENGINE_ENGINE_H

#include "base/config.h"
#include "base/span.h"
#include "core/core.h"
#include "net/client.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct engine;

enum { ENGINE_KEY_MAX = 400, ENGINE_ORIGIN_MAX = 128, ENGINE_TEXT_MAX = 400 };

/* How a step ended; becomes CORE_IN_STEP. */
struct engine_result {
    bool ok;
    uint32_t tier;        /* where the engine is now */
    int64_t device_bytes; /* measured; -1: not */
    bool memory_stuck;    /* its memory could not be freed */
    bool retry;           /* failed, but worth another try */
    const char *message;  /* one line, "" if all is well; valid during the call */
};

/* Figures an engine gives about itself; UINT32_MAX and -1 where it does not. */
struct engine_figures {
    uint32_t running;
    uint32_t waiting;
    double kv_used_ratio; /* NaN: unknown */
    double prefix_hit_ratio;
    int64_t device_bytes; /* as a fake device counts it */
    int sleeping;         /* 1, 0; -1: unknown */
};

typedef void engine_done(void *ctx, const struct engine_result *result);

/* What the worker does for engines. */
struct engine_services {
    struct loop *loop;
    void *ctx;
    /* Has the supervisor start the engine's process; engine_spawned() follows. argv and env may
     * hold ${PORT}, ${MODEL}, ${env.X}; both end with NULL. */
    int (*spawn)(void *ctx, struct engine *engine, const char *const *argv, const char *const *env);
    /* Has it ended; engine_exited() follows. */
    int (*stop)(void *ctx, struct engine *engine);
    /* The engine ended, or stopped answering, while no step was under way. */
    void (*lost)(void *ctx, struct engine *engine, const char *why);
    /* Its address is not good any more. */
    void (*down)(void *ctx, struct engine *engine, const char *origin);
    /* New figures. */
    void (*figures)(void *ctx, struct engine *engine, const struct engine_figures *figures);
    /* Device memory that the engine's process holds, from the GPU's driver; -ENOTSUP: nobody can
     * tell. Optional. */
    int (*memory)(void *ctx, struct engine *engine, int64_t *ret_bytes);
};

/* What an engine is made from; strings live as long as the configuration that they come from. */
struct engine_setup {
    const struct engine_services *services;
    const struct config_model *model;
    const char *key;             /* names the process: MODEL@DEVICE */
    const char *device;          /* name */
    int64_t device_memory_bytes; /* of the device */
    const char *state_dir;       /* where fake devices are kept */
    int64_t connect_timeout_ns;
    int64_t memory_timeout_ns; /* how long freed memory is waited for */
    uint32_t instance;         /* index in the cell */
};

/* Creates the engine of a model on a device. -ENOTSUP (no such driver), -EINVAL, -ENOMEM, with one
 * line in `err`. Nothing is started. */
int engine_create(const struct engine_setup *setup, struct engine **ret_engine, char *err,
                  size_t err_size);
/* Does not end the process. NULL is allowed. */
void engine_destroy(struct engine *engine);

/* After a reload: the same engine under the new configuration's strings. */
void engine_reconfigure(struct engine *engine, const struct engine_setup *setup);
/* True if both would run the same process in the same way. */
bool engine_same(const struct config_model *a, const struct config_model *b);

/* ------------------------------------------------------------------ life */

/* It runs already, as told by the supervisor. Before engine_settle. */
void engine_adopt(struct engine *engine, pid_t pid, uint32_t port);

/* Finds out where the engine is, once at start: result.tier is what core shall begin with. A server
 * that is attached to and awake is put to sleep. */
void engine_settle(struct engine *engine, int64_t deadline_ns, engine_done *done, void *ctx);

/* A step of the core. `deadline_ns` absolute. */
void engine_step(struct engine *engine, enum core_step step, uint32_t from_tier, uint32_t to_tier,
                 int64_t deadline_ns, engine_done *done, void *ctx);
/* Gives the running step up: cleans up, then done comes as failed. */
void engine_step_cancel(struct engine *engine);

/* From the supervisor. */
void engine_spawned(struct engine *engine, pid_t pid, uint32_t port, int error, const char *text);
void engine_exited(struct engine *engine, int status, const char *last_line);

/* Somebody saw it refuse or break a connection: look now; `lost` follows if it is dead. */
void engine_suspect(struct engine *engine);
/* Asks for figures now; `services.figures` follows if there are any. */
void engine_poll(struct engine *engine);

/* ------------------------------------------------------------------ queries */

const char *engine_key(const struct engine *engine);
const char *engine_origin(const struct engine *engine); /* "" while it has none */
const char *engine_driver(const struct engine *engine);
/* Name it serves the model under. */
const char *engine_upstream_model(const struct engine *engine);
int64_t engine_stop_timeout_ns(const struct engine *engine);
pid_t engine_pid(const struct engine *engine);
bool engine_attached(const struct engine *engine);
uint32_t engine_instance(const struct engine *engine);
uint64_t engine_starts(const struct engine *engine);
uint64_t engine_failures(const struct engine *engine);
const char *engine_last_error(const struct engine *engine);

#endif
