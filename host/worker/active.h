/*
 * What was changed at run time and must outlive the worker: the policy in force, parameters that
 * were set, pins. One file, state_dir/active, replaced as a whole. A change that was not to be
 * saved is kept for the workers of this run of the host only.
 */
#ifndef HOST_WORKER_ACTIVE_H
#define HOST_WORKER_ACTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct active;

/* Reads the file of `state_dir`, or begins empty. `run` names this run of the host. `ignore`: what
 * the file says of earlier runs is dropped. A damaged file is an error with a line in `err`. */
int active_open(const char *state_dir, uint64_t run, bool ignore, struct active **ret_active,
                char *err, size_t err_size);
void active_close(struct active *active);

/* The policy of a cell; NULL: as configured. */
const char *active_policy(const struct active *active, const char *cell);
/* Sets it (NULL: as configured again) and drops the parameters set for the former. */
int active_set_policy(struct active *active, const char *cell, const char *reference, bool save);

/* Parameters set for the cell's policy, oldest first. model: NULL for all. */
typedef int active_param(void *ctx, const char *name, const char *model, const char *text);
int active_params(const struct active *active, const char *cell, active_param *each, void *ctx);
int active_set_param(struct active *active, const char *cell, const char *name, const char *model,
                     const char *text, bool save);

bool active_pinned(const struct active *active, const char *cell, const char *model);
int active_set_pin(struct active *active, const char *cell, const char *model, bool pinned);

/* Writes the file if anything changed. Errors of open, write, rename. */
int active_flush(struct active *active);

#endif
