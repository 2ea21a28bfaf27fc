/* Engine processes: ports, pipes, pidfds, signals. See engines.h. */
#include "host/supervisor/engines.h"

#include "base/config.h"
#include "host/say.h"
#include "host/supervisor/ring.h"
#include "host/supervisor/spawn.h"
#include "host/supervisor/warden.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A key and its process. It stays when the process has ended, for its log. */
struct engine_process {
    struct engines *owner;
    struct engine_process *next;
    char key[ENGINES_KEY_MAX];
    bool running;
    bool stopping;
    pid_t pid;
    int pidfd;
    int pipe;
    uint32_t port;
    struct event *ended;
    struct event *output;
    int64_t grace_ns;
    struct loop_timer grace;
    struct ring ring;
};

struct engines {
    struct loop *loop;
    int warden_fd;
    const struct engines_ops *ops;
    void *ctx;
    struct engine_process *first;
    uint32_t count; /* running */
    uint32_t port_next;
};

int engines_create(struct loop *loop, int warden_fd, const struct engines_ops *ops, void *ctx,
                   struct engines **ret_engines)
{
    struct engines *engines = calloc(1, sizeof(*engines));
    if (!engines) {
        return -ENOMEM;
    }
    engines->loop = loop;
    engines->warden_fd = warden_fd;
    engines->ops = ops;
    engines->ctx = ctx;
    *ret_engines = engines;
    return 0;
}

static struct engine_process *process_find(const struct engines *engines, const char *key)
{
    struct engine_process *p = engines->first;
    while (p && strcmp(p->key, key) != 0) {
        p = p->next;
    }
    return p;
}

static void process_close(struct engine_process *p)
{
    if (p->ended) {
        event_free(p->ended);
        p->ended = NULL;
    }
    if (p->output) {
        event_free(p->output);
        p->output = NULL;
    }
    if (p->pidfd >= 0) {
        (void)close(p->pidfd);
        p->pidfd = -1;
    }
    if (p->pipe >= 0) {
        (void)close(p->pipe);
        p->pipe = -1;
    }
    loop_timer_cancel(&p->grace);
}

/* Takes what the pipe holds; a bounded amount, so that a chatty engine starves nobody. */
static void process_read(struct engine_process *p)
{
    char bytes[8192];
    for (int turns = 0; turns < 16 && p->pipe >= 0; turns++) {
        ssize_t got = read(p->pipe, bytes, sizeof(bytes));
        if (got > 0) {
            ring_write(&p->ring, bytes, (size_t)got);
        } else {
            if (got == 0 && p->output) {
                (void)event_del(p->output);
            }
            return;
        }
    }
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct engine_process *p = arg;
    loop_enter(p->owner->loop);
    process_read(p);
    loop_leave(p->owner->loop);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct engine_process *p = arg;
    struct engines *engines = p->owner;
    loop_enter(engines->loop);
    siginfo_t info = {0};
    /* WNOWAIT: the zombie keeps the group's number taken until the group has been killed. */
    if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        (void)kill(-p->pid, SIGKILL); /* its own children, if it left any */
        (void)waitpid(p->pid, NULL, 0);
        int status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
        pid_t pid = p->pid;
        process_read(p);
        warden_remove(engines->warden_fd, pid);
        process_close(p);
        p->running = false;
        engines->count--;
        engines->ops->exited(engines->ctx, p->key, pid, status, p->ring.last);
    }
    loop_leave(engines->loop);
}

static void on_grace(struct loop_timer *timer)
{
    struct engine_process *p =
        (struct engine_process *)(void *)((char *)timer - offsetof(struct engine_process, grace));
    if (p->running) {
        say(SAY_WARNING, "engine_killed", "%s did not end in time and is killed", p->key);
        (void)kill(-p->pid, SIGKILL);
    }
}

/* True if nobody listens on the port now. */
static bool port_free(uint32_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool ok = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0;
    (void)close(fd);
    return ok;
}

/* The next port of the range that is free, in turn, so that a port rests before it comes again. */
static uint32_t port_take(struct engines *engines, uint32_t min, uint32_t max)
{
    if (engines->port_next == 0) {
        /* Hosts beside each other begin at different places. */
        engines->port_next = min + (uint32_t)(((uint64_t)getpid() * 7919) % (max - min + 1));
    }
    for (uint32_t tries = 0; tries <= max - min; tries++) {
        uint32_t port = engines->port_next;
        if (port < min || port > max) {
            port = min;
        }
        engines->port_next = port + 1;
        bool taken = false;
        for (const struct engine_process *p = engines->first; p; p = p->next) {
            taken = taken || (p->running && p->port == port);
        }
        if (!taken && port_free(port)) {
            return port;
        }
    }
    return 0;
}

static void strings_free(char **list)
{
    for (uint32_t i = 0; list && list[i]; i++) {
        free(list[i]);
    }
    free(list);
}

static char **strings_expand(const char *const *list, const struct config_expansion *with,
                             char *err, size_t err_size)
{
    uint32_t count = 0;
    while (list && list[count]) {
        count++;
    }
    char **out = calloc((size_t)count + 1, sizeof(*out));
    for (uint32_t i = 0; out && i < count; i++) {
        if (config_expand(list[i], with, &out[i], err, err_size) != 0) {
            strings_free(out);
            return NULL;
        }
    }
    return out;
}

static int process_start(struct engine_process *p, const struct engines_spawn *what, char *err,
                         size_t err_size)
{
    int ends[2] = {-1, -1};
    int null = -1;
    struct config_expansion with = {.port = p->port, .model = what->model};
    char **argv = strings_expand(what->argv, &with, err, err_size);
    char **env = strings_expand(what->env, &with, err, err_size);
    int rc = argv && env ? 0 : -EINVAL;
    if (!rc && pipe2(ends, O_CLOEXEC) != 0) {
        rc = -errno;
    }
    if (!rc) {
        null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        rc = null < 0 ? -errno : 0;
    }
    if (!rc) {
        struct spawn_fd fds[] = {{null, 0}, {ends[1], 1}, {ends[1], 2}};
        /* "shunt" itself, for the emulated engine: whatever file this process runs. */
        struct spawn_options options = {.argv = (const char *const *)argv,
                                        .env = (const char *const *)env,
                                        .fds = fds,
                                        .fd_count = 3,
                                        .itself = strcmp(argv[0], "/proc/self/exe") == 0};
        rc = spawn(&options, &p->pid, &p->pidfd);
        if (rc) {
            (void)snprintf(err, err_size, "cannot start %s: %s", argv[0], strerror(-rc));
        }
    } else if (!err[0]) {
        (void)snprintf(err, err_size, "cannot start the engine: %s", strerror(-rc));
    }
    strings_free(argv);
    strings_free(env);
    if (null >= 0) {
        (void)close(null);
    }
    if (ends[1] >= 0) {
        (void)close(ends[1]);
    }
    if (rc) {
        if (ends[0] >= 0) {
            (void)close(ends[0]);
        }
        return rc;
    }
    p->pipe = ends[0];
    (void)fcntl(p->pipe, F_SETFL, O_NONBLOCK);
    return 0;
}

static struct engine_process *process_get(struct engines *engines, const char *key)
{
    struct engine_process *p = process_find(engines, key);
    if (p) {
        return p;
    }
    p = calloc(1, sizeof(*p));
    if (!p) {
        return NULL;
    }
    (void)snprintf(p->key, sizeof(p->key), "%s", key);
    p->owner = engines;
    p->pidfd = -1;
    p->pipe = -1;
    loop_timer_init(&p->grace, engines->loop, on_grace);
    p->next = engines->first;
    engines->first = p;
    return p;
}

int engines_spawn(struct engines *engines, const struct engines_spawn *what, pid_t *ret_pid,
                  uint32_t *ret_port, char *err, size_t err_size)
{
    err[0] = '\0';
    if (engines->count >= ENGINES_MAX || strlen(what->key) >= ENGINES_KEY_MAX || !what->argv ||
        !what->argv[0] || what->port_min == 0 || what->port_max < what->port_min ||
        what->port_max > UINT16_MAX) {
        (void)snprintf(err, err_size, "cannot start the engine: bad request");
        return -EINVAL;
    }
    struct engine_process *p = process_get(engines, what->key);
    if (!p) {
        (void)snprintf(err, err_size, "cannot start the engine: out of memory");
        return -ENOMEM;
    }
    if (p->running) {
        (void)snprintf(err, err_size, "%s is running as pid %d", p->key, (int)p->pid);
        return -EEXIST;
    }
    p->port = port_take(engines, what->port_min, what->port_max);
    if (!p->port) {
        (void)snprintf(err, err_size, "no free port from engine_port_min %u to engine_port_max %u",
                       what->port_min, what->port_max);
        return -EADDRINUSE;
    }
    int rc = process_start(p, what, err, err_size);
    if (rc) {
        return rc;
    }
    warden_add(engines->warden_fd, p->pid);
    p->running = true;
    p->stopping = false;
    p->grace_ns = what->grace_ns;
    p->ring.last[0] = '\0';
    engines->count++;
    struct event_base *base = loop_base(engines->loop);
    p->ended = event_new(base, p->pidfd, EV_READ | EV_PERSIST, on_ended, p);
    p->output = event_new(base, p->pipe, EV_READ | EV_PERSIST, on_output, p);
    if (p->ended) {
        (void)event_add(p->ended, NULL);
    }
    if (p->output) {
        (void)event_add(p->output, NULL);
    }
    *ret_pid = p->pid;
    *ret_port = p->port;
    return 0;
}

static void process_stop(struct engine_process *p)
{
    if (!p->stopping) {
        p->stopping = true;
        (void)kill(-p->pid, SIGTERM);
        loop_timer_set(&p->grace, loop_now_ns(p->owner->loop) + p->grace_ns);
    }
}

int engines_stop(struct engines *engines, const char *key)
{
    struct engine_process *p = process_find(engines, key);
    if (!p || !p->running) {
        return -ENOENT;
    }
    process_stop(p);
    return 0;
}

void engines_stop_all(struct engines *engines)
{
    for (struct engine_process *p = engines->first; p; p = p->next) {
        if (p->running) {
            process_stop(p);
        }
    }
}

void engines_kill_all(struct engines *engines)
{
    for (struct engine_process *p = engines->first; p; p = p->next) {
        if (p->running) {
            (void)kill(-p->pid, SIGKILL);
        }
    }
}

void engines_destroy(struct engines *engines)
{
    if (!engines) {
        return;
    }
    engines_kill_all(engines);
    while (engines->first) {
        struct engine_process *p = engines->first;
        engines->first = p->next;
        if (p->running) {
            (void)waitpid(p->pid, NULL, 0);
        }
        process_close(p);
        loop_timer_fini(&p->grace);
        ring_fini(&p->ring);
        free(p);
    }
    free(engines);
}

uint32_t engines_count(const struct engines *engines)
{
    return engines->count;
}

void engines_view(const struct engines *engines, uint32_t index, const char **ret_key,
                  pid_t *ret_pid, uint32_t *ret_port)
{
    for (const struct engine_process *p = engines->first; p; p = p->next) {
        if (p->running && index-- == 0) {
            *ret_key = p->key;
            *ret_pid = p->pid;
            *ret_port = p->port;
            return;
        }
    }
    *ret_key = "";
    *ret_pid = 0;
    *ret_port = 0;
}

int engines_log(const struct engines *engines, const char *key, char *out, size_t size)
{
    const struct engine_process *p = process_find(engines, key);
    if (!p) {
        return -ENOENT;
    }
    return (int)ring_tail(&p->ring, out, size);
}
