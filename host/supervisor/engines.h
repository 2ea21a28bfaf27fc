/*
 * The engine processes that the supervisor owns: starts and stops them, gives them ports, reads
 * what they write, and tells when one has ended. It does not know what an engine is; the worker
 * says what to run.
 */
#ifndef HOST_SUPERVISOR_ENGINES_H
#define HOST_SUPERVISOR_ENGINES_H

#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct engines;

enum { ENGINES_MAX = 1024, ENGINES_KEY_MAX = 400 };

struct engines_ops {
    /* A process has ended: exit status, or minus the signal that ended it. */
    void (*exited)(void *ctx, const char *key, pid_t pid, int status, const char *last_line);
};

/* warden_fd: borrowed. -ENOMEM. */
int engines_create(struct loop *loop, int warden_fd, const struct engines_ops *ops, void *ctx,
                   struct engines **ret_engines);
/* Everything must have ended, or is killed now. */
void engines_destroy(struct engines *engines);

struct engines_spawn {
    const char *key;         /* names the process; unique among those running */
    const char *model;       /* ${MODEL} */
    const char *const *argv; /* ${PORT}, ${MODEL}, ${env.X} expand; ended by NULL */
    const char *const *env;  /* likewise */
    uint32_t port_min;
    uint32_t port_max;
    int64_t grace_ns; /* between SIGTERM and SIGKILL at its stop */
};
/* Starts a process on a free port. -EEXIST: key is running; -EADDRINUSE: no port free; -EINVAL and
 * errors of spawn, each with one line in `err`. */
int engines_spawn(struct engines *engines, const struct engines_spawn *what, pid_t *ret_pid,
                  uint32_t *ret_port, char *err, size_t err_size);

/* SIGTERM to the group, after its grace SIGKILL; `exited` follows. -ENOENT. */
int engines_stop(struct engines *engines, const char *key);
void engines_stop_all(struct engines *engines);
/* SIGKILL to all groups. */
void engines_kill_all(struct engines *engines);

uint32_t engines_count(const struct engines *engines);
/* Process `index` of those running, in no order. */
void engines_view(const struct engines *engines, uint32_t index, const char **ret_key,
                  pid_t *ret_pid, uint32_t *ret_port);

/* The newest output of a running or the last stopped process of that key; bytes written or
 * -ENOENT. */
int engines_log(const struct engines *engines, const char *key, char *out, size_t size);

#endif
