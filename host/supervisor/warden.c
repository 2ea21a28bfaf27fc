/* Kills what a killed supervisor leaves behind. See warden.h. */
#include "host/supervisor/warden.h"

#include "host/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { WARDEN_GROUPS_MAX = 1024 };

/* What goes through the pipe: below PIPE_BUF, so never in pieces. */
struct warden_note {
    int32_t group;
    int32_t add; /* 0: remove */
};

int warden_start(int *ret_fd, int *ret_pidfd, pid_t *ret_pid)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    const char *argv[] = {"shunt", "serve", SPAWN_ROLE_WARDEN, NULL};
    struct spawn_fd fd = {.from = ends[0], .to = 3};
    struct spawn_options options = {
        .argv = argv, .fds = &fd, .fd_count = 1, .itself = true, .orphan = true};
    int rc = spawn(&options, ret_pid, ret_pidfd);
    (void)close(ends[0]);
    if (rc) {
        (void)close(ends[1]);
        return rc;
    }
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    *ret_fd = ends[1];
    return 0;
}

static void warden_tell(int fd, pid_t group, bool add)
{
    struct warden_note note = {.group = group, .add = add};
    (void)!write(fd, &note, sizeof(note));
}

void warden_add(int fd, pid_t group)
{
    warden_tell(fd, group, true);
}

void warden_remove(int fd, pid_t group)
{
    warden_tell(fd, group, false);
}

int warden_main(void)
{
    static int32_t groups[WARDEN_GROUPS_MAX];
    size_t count = 0;
    (void)prctl(PR_SET_NAME, "shunt-warden");
    /* Signals meant for the host's terminal are not for us: we end when the pipe does. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    struct warden_note note;
    ssize_t got;
    while ((got = read(3, &note, sizeof(note))) != 0) {
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != (ssize_t)sizeof(note) || note.group <= 1) {
            break;
        }
        size_t i = 0;
        while (i < count && groups[i] != note.group) {
            i++;
        }
        if (note.add && i == count && count < WARDEN_GROUPS_MAX) {
            groups[count++] = note.group;
        } else if (!note.add && i < count) {
            groups[i] = groups[--count];
        }
    }
    for (size_t i = 0; i < count; i++) {
        (void)kill(-groups[i], SIGKILL);
    }
    return 0;
}
