/*
 * Child processes of the demo. Each has a process group of its own, so that Ctrl-C reaches the demo
 * alone and it ends them in order; and each is ended by the kernel should the demo die otherwise.
 */
#include "tools/demo_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

/* Between fork and exec: only calls that are safe there. */
static _Noreturn void become(const char *program, char **argv, int out_fd, int log_fd, pid_t parent)
{
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 &&
        dup2(out_fd, STDOUT_FILENO) >= 0 && dup2(log_fd, STDERR_FILENO) >= 0) {
        (void)execv(program, argv);
    }
    _exit(127);
}

int demo_child_start(struct demo *d, struct demo_child *child, const char *const *argv,
                     const char *out)
{
    char *args[DEMO_ARGS_MAX + 2] = {d->program};
    size_t count = 0;
    int rc = 0;
    for (; argv[count] && count < DEMO_ARGS_MAX && rc == 0; count++) {
        args[count + 1] = strdup(argv[count]);
        rc = args[count + 1] ? 0 : -ENOMEM;
    }
    int log_fd = open_log(child->log), out_fd = out ? open_log(out) : log_fd;
    if (rc == 0 && (log_fd < 0 || out_fd < 0)) {
        rc = -errno;
    }
    if (rc == 0) {
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
            become(d->program, args, out_fd, log_fd, parent);
        }
        rc = pid < 0 ? -errno : 0;
        child->pid = pid < 0 ? 0 : pid;
        child->status = 0;
    }
    if (out_fd >= 0 && out_fd != log_fd) {
        (void)close(out_fd);
    }
    if (log_fd >= 0) {
        (void)close(log_fd);
    }
    for (size_t i = 1; i <= count; i++) {
        free(args[i]);
    }
    return rc ? demo_fail(d, rc, "cannot start %s: %s", child->what, strerror(-rc)) : 0;
}

bool demo_child_over(struct demo_child *child)
{
    if (child->pid > 0 && waitpid(child->pid, &child->status, WNOHANG) == child->pid) {
        child->pid = 0;
    }
    return child->pid == 0;
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void demo_child_end(struct demo_child *child, int64_t patience_ns)
{
    if (demo_child_over(child)) {
        return;
    }
    (void)kill(child->pid, SIGTERM);
    for (int64_t due_ns = now_ns() + patience_ns; now_ns() < due_ns;) {
        if (demo_child_over(child)) {
            return;
        }
        (void)poll(NULL, 0, 10);
    }
    /* The host's engines are ended by its warden. */
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, &child->status, 0);
    child->pid = 0;
}

void demo_child_explain(const struct demo_child *child, FILE *to)
{
    enum { TAIL = 2048 };
    char text[TAIL + 1];
    if (child->pid == 0 && WIFEXITED(child->status)) {
        (void)fprintf(to, "%s ended with status %d.", child->what, WEXITSTATUS(child->status));
    } else if (child->pid == 0 && WIFSIGNALED(child->status)) {
        (void)fprintf(to, "%s was ended by signal %d.", child->what, WTERMSIG(child->status));
    }
    if (child->pid) {
        (void)fprintf(to, "%s runs.", child->what);
    }
    FILE *log = fopen(child->log, "re");
    if (!log) {
        (void)fputc('\n', to);
        return;
    }
    if (fseek(log, -TAIL, SEEK_END)) {
        rewind(log);
    }
    size_t len = fread(text, 1, TAIL, log);
    (void)fclose(log);
    text[len] = '\0';
    const char *from = len == TAIL ? strchr(text, '\n') : NULL;
    (void)fprintf(to, " The end of %s:\n%s%s", child->log, from ? from + 1 : text,
                  len == 0 ? "(it is empty)\n" : "");
}
