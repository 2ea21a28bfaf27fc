/*
 * Starting processes the way the supervisor wants them: own process group or session, dying with
 * the supervisor, no descriptor but those given, fresh signal state.
 *
 * posix_spawn cannot set a parent-death signal, so every child is this program again with an
 * internal role: it arranges itself (spawn_exec_main) and then executes what it was asked for.
 * Call only from the supervisor's one thread: the signal is sent when the spawning thread ends.
 */
#ifndef HOST_SUPERVISOR_SPAWN_H
#define HOST_SUPERVISOR_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The internal roles of `shunt serve`, as its first argument. */
#define SPAWN_ROLE_EXEC   "__exec"
#define SPAWN_ROLE_WORKER "__worker"
#define SPAWN_ROLE_WARDEN "__warden"

struct spawn_fd {
    int from; /* in this process */
    int to;   /* in the child; 0, 1, 2 or from 3 on without a hole */
};

struct spawn_options {
    const char *const *argv; /* ended by NULL */
    const char *const *env;  /* added to this process's environment; ended by NULL; may be NULL */
    const struct spawn_fd *fds;
    uint32_t fd_count;
    bool itself;     /* argv is for this program: argv[0] is ignored */
    bool orphan;     /* does not die with the supervisor (the warden) */
    uint64_t nofile; /* RLIMIT_NOFILE; 0: as it is */
};

/* Starts a process in a process group of its own. Returns 0, a pid and a pidfd (close-on-exec), or
 * a negative errno. A command that cannot be executed ends with status 127 and a line on its
 * stderr. */
int spawn(const struct spawn_options *options, pid_t *ret_pid, int *ret_pidfd);

/* The body of role __exec: argv[0] is the role. Does not return unless something is wrong. */
int spawn_exec_main(int argc, char **argv);

#endif
