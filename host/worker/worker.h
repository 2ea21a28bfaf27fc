/*
 * The worker process: one loop, the cells, the channel to the supervisor, and the front. What the
 * front and the admin need beyond a cell is here: routing by name, reload, drain, engine logs.
 *
 * The front is made by front_create() of host/http/front.h when the cells exist, and is given the
 * listening sockets that came from the supervisor.
 */
#ifndef HOST_WORKER_WORKER_H
#define HOST_WORKER_WORKER_H

#include "base/span.h"
#include "host/worker/cell.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;
struct config; /* base/config.h */

/* How far the worker is. */
enum worker_phase {
    WORKER_STARTING = 0, /* engines are started for the first time; requests are queued */
    WORKER_READY = 1,
    WORKER_DRAINING = 2, /* accepts no new request, finishes what it holds */
};

struct loop *worker_loop(struct worker *worker);
/* The configuration in force; replaced by a successful reload. */
const struct config *worker_config(const struct worker *worker);
const char *worker_config_path(const struct worker *worker);
enum worker_phase worker_phase(const struct worker *worker);
/* How often the supervisor has restarted the worker. */
uint32_t worker_restarts(const struct worker *worker);

uint32_t worker_cell_count(const struct worker *worker);
struct cell *worker_cell(const struct worker *worker, uint32_t index);

/* The cell and the model that a served name or alias stands for. -ENOENT. */
int worker_route(const struct worker *worker, struct span name, struct cell **ret_cell,
                 uint32_t *ret_model);
/* The cell and the id behind a request's public name (cell_request_text). -EINVAL, -ENOENT (of
 * another run). */
int worker_request_find(const struct worker *worker, struct span text, struct cell **ret_cell,
                        uint64_t *ret_request);

/* Reads the configuration file again. Everything stays as it was unless the result is 0; the
 * message then says what changed. Also what SIGHUP does. done may be called before it returns. */
void worker_reload(struct worker *worker, cell_done *done, void *ctx);

/* Stops accepting, finishes what is held, then the whole host ends. Also what SIGTERM does. */
void worker_drain(struct worker *worker);

/* The newest `bytes_max` bytes that a model's engine wrote to stdout and stderr. done is called on
 * a later turn with the text as its message (result 0), or with -ENOENT. */
void worker_engine_log(struct worker *worker, const char *model, size_t bytes_max, cell_done *done,
                       void *ctx);

#endif
