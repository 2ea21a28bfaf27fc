/* The worker's side of a cell: making it, feeding it from the supervisor, reloading, ending. The
 * front and the admin see cell.h only. */
#ifndef HOST_WORKER_CELL_LIFE_H
#define HOST_WORKER_CELL_LIFE_H

#include "host/worker/cell.h"

#include "base/config.h"
#include "net/loop.h"

#include <sys/types.h>

struct active;
struct choice_registry;
struct engine;
struct page;

struct cell_setup {
    struct loop *loop;
    const struct config *config; /* until a reload replaces it */
    uint32_t index;              /* of the cell in the configuration */
    uint64_t run;                /* names this run of the host */
    uint32_t restarts;
    struct page *page;
    struct choice_registry *registry;
    struct active *active;
    const char *const *quarantined; /* hashes of policies that are not to be run */
    uint32_t quarantined_count;
    /* Process control, as engine_services. */
    void *ctx;
    int (*spawn)(void *ctx, struct engine *engine, const char *const *argv, const char *const *env);
    int (*stop)(void *ctx, struct engine *engine);
};

/* Makes a cell: layout, core, engines (not started), policy loaded and judged. -EINVAL and others
 * with one line in `err`. */
int cell_create(const struct cell_setup *setup, struct cell **ret_cell, char *err, size_t err_size);
void cell_destroy(struct cell *cell);

/* An engine that runs already. -ENOENT: no instance of that key. */
int cell_adopt(struct cell *cell, const char *key, pid_t pid, uint32_t port);

/* Finds out where the engines are, then begins. */
typedef void cell_started(void *ctx, struct cell *cell, int result, const char *message);
void cell_start(struct cell *cell, cell_started *started, void *ctx);

/* From the supervisor. -ENOENT: not an engine of this cell. */
int cell_spawned(struct cell *cell, const char *key, pid_t pid, uint32_t port, int error,
                 const char *text);
int cell_exited(struct cell *cell, const char *key, int status, const char *last_line);

/* Replaces the configuration, or leaves everything as it was. */
int cell_reload(struct cell *cell, const struct config *config, char *err, size_t err_size);

/* CORE_OP_DRAIN and the like, for the whole cell. */
void cell_operate_all(struct cell *cell, enum core_operation operation);
/* Requests waiting or in flight. */
uint64_t cell_held(const struct cell *cell);

#endif
