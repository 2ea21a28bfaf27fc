/* Starts processes that die with the supervisor. See spawn.h. */
#include "host/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* Arguments before the command: shunt serve __exec PARENT FDS NOFILE SELF -- COMMAND... */
enum { EXEC_HEAD = 8 };

static uint32_t count_of(const char *const *list)
{
    uint32_t n = 0;
    while (list && list[n]) {
        n++;
    }
    return n;
}

/* environ with `add` in front of it, so that the first match wins. Only the array is owned. */
static char **environment(const char *const *add)
{
    uint32_t added = count_of(add);
    uint32_t inherited = count_of((const char *const *)environ);
    char **env = calloc((size_t)added + inherited + 1, sizeof(*env));
    if (!env) {
        return NULL;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < added; i++) {
        env[n++] = (char *)(uintptr_t)add[i];
    }
    for (uint32_t i = 0; i < inherited; i++) {
        const char *equals = strchr(environ[i], '=');
        size_t len = equals ? (size_t)(equals - environ[i]) + 1 : strlen(environ[i]);
        bool shadowed = false;
        for (uint32_t k = 0; k < added && !shadowed; k++) {
            shadowed = strncmp(add[k], environ[i], len) == 0;
        }
        if (!shadowed) {
            env[n++] = environ[i];
        }
    }
    return env;
}

static int spawn_attributes(posix_spawnattr_t *attr)
{
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF);
    rc = rc ? rc : posix_spawnattr_setpgroup(attr, 0);
    rc = rc ? rc : posix_spawnattr_setsigmask(attr, &none);
    return rc ? rc : posix_spawnattr_setsigdefault(attr, &all);
}

/* Descriptors go through high numbers first: a source may be another's target. */
static int spawn_actions(posix_spawn_file_actions_t *actions, const struct spawn_options *options)
{
    int high = 3;
    for (uint32_t i = 0; i < options->fd_count; i++) {
        high = options->fds[i].from >= high ? options->fds[i].from + 1 : high;
        high = options->fds[i].to >= high ? options->fds[i].to + 1 : high;
    }
    int rc = 0;
    for (uint32_t i = 0; i < options->fd_count && !rc; i++) {
        rc = posix_spawn_file_actions_adddup2(actions, options->fds[i].from, high + (int)i);
    }
    for (uint32_t i = 0; i < options->fd_count && !rc; i++) {
        rc = posix_spawn_file_actions_adddup2(actions, high + (int)i, options->fds[i].to);
    }
    return rc;
}

int spawn(const struct spawn_options *options, pid_t *ret_pid, int *ret_pidfd)
{
    char parent[24];
    char fds[24];
    char nofile[24];
    int top = 2;
    for (uint32_t i = 0; i < options->fd_count; i++) {
        top = options->fds[i].to > top ? options->fds[i].to : top;
    }
    (void)snprintf(parent, sizeof(parent), "%d", options->orphan ? 0 : (int)getpid());
    (void)snprintf(fds, sizeof(fds), "%d", top);
    (void)snprintf(nofile, sizeof(nofile), "%" PRIu64, options->nofile);

    uint32_t argc = count_of(options->argv);
    char **argv = calloc((size_t)argc + EXEC_HEAD + 1, sizeof(*argv));
    char **env = environment(options->env);
    if (!argv || !env || argc == 0) {
        free(argv);
        free(env);
        return argc ? -ENOMEM : -EINVAL;
    }
    const char *head[EXEC_HEAD] = {
        "shunt", "serve", SPAWN_ROLE_EXEC, parent, fds, nofile, options->itself ? "1" : "0", "--"};
    for (uint32_t i = 0; i < EXEC_HEAD; i++) {
        argv[i] = (char *)(uintptr_t)head[i];
    }
    for (uint32_t i = 0; i < argc; i++) {
        argv[EXEC_HEAD + i] = (char *)(uintptr_t)options->argv[i];
    }

    posix_spawnattr_t attr;
    posix_spawn_file_actions_t actions;
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawn_file_actions_init(&actions);
    pid_t pid = 0;
    int rc = spawn_attributes(&attr);
    rc = rc ? rc : spawn_actions(&actions, options);
    rc = rc ? rc : posix_spawn(&pid, "/proc/self/exe", &actions, &attr, argv, env);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    free(argv);
    free(env);
    if (rc) {
        return -rc;
    }
    /* Nobody else reaps, so the pid cannot have been given away before this. */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        rc = -errno;
        (void)kill(-pid, SIGKILL);
        return rc;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}

int spawn_exec_main(int argc, char **argv)
{
    if (argc < EXEC_HEAD - 1) {
        return 2;
    }
    /* argv here begins at the role. */
    pid_t parent = (pid_t)strtol(argv[1], NULL, 10);
    unsigned top = (unsigned)strtoul(argv[2], NULL, 10);
    rlim_t nofile = (rlim_t)strtoull(argv[3], NULL, 10);
    bool itself = argv[4][0] == '1';
    char **command = argv + EXEC_HEAD - 2;
    if (parent) {
        /* If the supervisor ended before the signal was armed, it will never come. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
            _exit(126);
        }
    }
    (void)close_range(top + 1, ~0U, 0);
    if (nofile) {
        struct rlimit limit = {.rlim_cur = nofile, .rlim_max = nofile};
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (itself) {
        (void)execv("/proc/self/exe", command);
    } else {
        (void)execvp(command[0], command);
    }
    (void)fprintf(stderr, "cannot execute %s: %s\n", command[0], strerror(errno));
    _exit(127);
}
