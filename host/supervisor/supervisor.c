/* The supervisor's life: start, worker after worker, orderly end. See supervisor.h. */
#include "host/supervisor/supervisor.h"

#include "base/config.h"
#include "host/folders.h"
#include "host/say.h"
#include "host/supervisor/engines.h"
#include "host/supervisor/listen.h"
#include "host/supervisor/page.h"
#include "host/supervisor/peer.h"
#include "host/supervisor/spawn.h"
#include "host/supervisor/warden.h"
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LISTENERS_MAX = 20,
    QUARANTINE_MAX = 32,
    STATUS_DONE = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
};

#define NS_PER_MS       INT64_C(1000000)
#define BACKOFF_MIN_NS  (100 * NS_PER_MS)
#define BACKOFF_MAX_NS  (10000 * NS_PER_MS)
#define HEALTHY_LIFE_NS (10000 * NS_PER_MS)

enum stage {
    STAGE_RUNNING,
    STAGE_DRAINING, /* the worker finishes what it holds */
    STAGE_ENDING,   /* engines are being stopped */
};

struct supervisor {
    const struct supervisor_options *options;
    struct loop *loop;
    struct config *config; /* of the start; what needs reloading is the worker's */
    int config_fd;         /* text of the configuration in force */
    int lock_fd;
    int listener[LISTENERS_MAX];
    uint32_t listener_count;
    int warden_fd;
    int warden_pidfd;
    pid_t warden_pid;
    struct engines *engines;
    struct page *page;
    int page_fd;
    uint64_t run;
    enum stage stage;
    int status;

    pid_t worker; /* 0: none */
    int worker_pidfd;
    struct event *worker_ended;
    struct peer *peer;
    bool ready_once;
    bool drained; /* the worker said so */
    uint32_t restarts;
    int64_t worker_since_ns;
    int64_t backoff_ns;
    struct loop_timer restart;
    struct loop_signal interrupt, terminate, hangup;
    char quarantined[QUARANTINE_MAX][PAGE_HASH_BYTES];
    uint32_t quarantined_count;
    struct proto_message out;
};

static void worker_start(struct supervisor *s);

/* ------------------------------------------------------------------ configuration */

static void print_errors(const struct config_errors *errors)
{
    for (uint32_t i = 0; i < errors->count; i++) {
        (void)fprintf(stderr, "shunt serve: %s\n", errors->text[i]);
    }
    if (errors->more) {
        (void)fprintf(stderr, "shunt serve: and more\n");
    }
}

/* Reads the file once, so that what was checked is what the worker sees. */
static int read_config(struct supervisor *s)
{
    const char *path = s->options->config_path;
    static struct config_errors errors;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)fprintf(stderr, "shunt serve: %s: %s; name the file with -c\n", path,
                      strerror(errno));
        return -errno;
    }
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    size_t size = 0;
    ssize_t got = 1;
    while (text && got > 0 && size <= CONFIG_FILE_BYTES_MAX) {
        got = read(fd, text + size, CONFIG_FILE_BYTES_MAX + 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    int rc = text ? config_load_string(text, size, path, &s->config, &errors) : -ENOMEM;
    if (rc) {
        print_errors(&errors);
        free(text);
        return rc;
    }
    s->config_fd = memfd_create("shunt.cfg", MFD_CLOEXEC);
    if (s->config_fd < 0 || write(s->config_fd, text, size) != (ssize_t)size) {
        rc = s->config_fd < 0 ? -errno : -EIO;
        (void)fprintf(stderr, "shunt serve: cannot keep the configuration: %s\n", strerror(-rc));
    }
    free(text);
    return rc;
}

/* One host a state folder. */
static int take_state_dir(struct supervisor *s)
{
    const char *dir = s->config->state_dir;
    int rc = folders_make(dir);
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/lock", dir);
    if (!rc) {
        s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        rc = s->lock_fd < 0 ? -errno : 0;
    }
    if (rc) {
        (void)fprintf(stderr, "shunt serve: state_dir %s: %s\n", dir, strerror(-rc));
        return rc;
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)fprintf(stderr,
                      "shunt serve: state_dir %s is in use by another shunt; give each host its "
                      "own\n",
                      dir);
        return -EBUSY;
    }
    return 0;
}

static int open_listeners(struct supervisor *s)
{
    char err[512] = "";
    const struct config *config = s->config;
    for (uint32_t i = 0; i < config->listen.count && s->listener_count < LISTENERS_MAX; i++) {
        int fd = listen_open(config->listen.item[i], 0666, err, sizeof(err));
        if (fd < 0) {
            (void)fprintf(stderr, "shunt serve: %s:%u: listen: %s\n", config->file,
                          config_line(config, "listen"), err);
            return fd;
        }
        s->listener[s->listener_count++] = fd;
    }
    return 0;
}

/* Enough descriptors for the promised connections, or a refusal: running out later would look like
 * an outage. */
static int raise_descriptor_limit(const struct supervisor *s)
{
    struct rlimit limit;
    rlim_t need =
        (rlim_t)s->config->limits.connections_max + (rlim_t)s->config->limits.in_flight_max + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need) {
        return 0;
    }
    if (limit.rlim_max < need) {
        (void)fprintf(stderr,
                      "shunt serve: %s:%u: limits.connections_max %" PRId64
                      " and limits.in_flight_max %" PRId64
                      " need %ju descriptors, the limit is %ju; raise `ulimit -n` or lower them\n",
                      s->config->file, config_line(s->config, "limits.connections_max"),
                      s->config->limits.connections_max, s->config->limits.in_flight_max,
                      (uintmax_t)need, (uintmax_t)limit.rlim_max);
        return -EMFILE;
    }
    limit.rlim_cur = need;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : -errno;
}

/* ------------------------------------------------------------------ ending */

static void end_if_over(struct supervisor *s)
{
    if (s->stage == STAGE_ENDING && !s->worker && engines_count(s->engines) == 0) {
        loop_stop(s->loop);
    }
}

static void stop_engines(struct supervisor *s)
{
    s->stage = STAGE_ENDING;
    loop_timer_cancel(&s->restart);
    engines_stop_all(s->engines);
    end_if_over(s);
}

static void end_now(struct supervisor *s)
{
    if (s->worker) {
        (void)kill(s->worker, SIGKILL);
    }
    engines_kill_all(s->engines);
    s->stage = STAGE_ENDING;
    end_if_over(s);
}

static void begin_drain(struct supervisor *s)
{
    s->stage = STAGE_DRAINING;
    loop_timer_cancel(&s->restart);
    if (!s->worker) {
        stop_engines(s);
        return;
    }
    if (s->peer) {
        s->out.type = PROTO_DRAIN;
        s->out.string_count = 0;
        (void)peer_send(s->peer, &s->out, -1);
    }
}

static void on_end_signal(struct loop_signal *sig, int signum)
{
    struct supervisor *s =
        signum == SIGINT
            ? (struct supervisor *)(void *)((char *)sig - offsetof(struct supervisor, interrupt))
            : (struct supervisor *)(void *)((char *)sig - offsetof(struct supervisor, terminate));
    if (s->stage == STAGE_RUNNING) {
        say(SAY_INFO, "stopping", "draining; a second signal ends at once");
        begin_drain(s);
    } else {
        say(SAY_WARNING, "stopping", "ending at once");
        end_now(s);
    }
}

static void on_hangup(struct loop_signal *sig, int signum)
{
    (void)signum;
    struct supervisor *s =
        (struct supervisor *)(void *)((char *)sig - offsetof(struct supervisor, hangup));
    if (s->peer && s->stage == STAGE_RUNNING) {
        s->out.type = PROTO_RELOAD;
        s->out.string_count = 0;
        (void)peer_send(s->peer, &s->out, -1);
    }
}

/* ------------------------------------------------------------------ talking to the worker */

static void tell(struct supervisor *s, enum proto_type type)
{
    s->out.type = type;
    if (s->peer) {
        int rc = peer_send(s->peer, &s->out, -1);
        if (rc && rc != -EPIPE) {
            say(SAY_ERROR, "channel", "cannot tell the worker: %s", strerror(-rc));
        }
    }
    memset(s->out.number, 0, sizeof(s->out.number));
    s->out.string_count = 0;
}

static void on_engine_exited(void *ctx, const char *key, pid_t pid, int status,
                             const char *last_line)
{
    struct supervisor *s = ctx;
    say(SAY_INFO, "engine_exited", "%s (pid %d) ended with %s %d%s%s", key, (int)pid,
        status < 0 ? "signal" : "status", status < 0 ? -status : status, last_line[0] ? ": " : "",
        last_line);
    s->out.number[0] = pid;
    s->out.number[1] = status;
    (void)proto_add(&s->out, key);
    (void)proto_add(&s->out, last_line);
    tell(s, PROTO_EXITED);
    end_if_over(s);
}

static void do_spawn(struct supervisor *s, const struct proto_message *m)
{
    const char *argv[PROTO_STRINGS_MAX + 1];
    const char *env[PROTO_STRINGS_MAX + 1];
    uint32_t argc = 0;
    uint32_t envc = 0;
    char err[512] = "";
    pid_t pid = 0;
    uint32_t port = 0;
    int rc = -EINVAL;
    if (m->string_count >= 3 && m->number[2] >= 1 && m->number[2] <= m->string_count - 2) {
        for (uint32_t i = 2; i < m->string_count; i++) {
            if (i - 2 < (uint64_t)m->number[2]) {
                argv[argc++] = proto_text(m, i);
            } else {
                env[envc++] = proto_text(m, i);
            }
        }
        argv[argc] = NULL;
        env[envc] = NULL;
        struct engines_spawn what = {.key = proto_text(m, 0),
                                     .model = proto_text(m, 1),
                                     .argv = argv,
                                     .env = env,
                                     .port_min = (uint32_t)m->number[0],
                                     .port_max = (uint32_t)m->number[1],
                                     .grace_ns = m->number[3]};
        rc = s->stage == STAGE_ENDING
                 ? -ESHUTDOWN
                 : engines_spawn(s->engines, &what, &pid, &port, err, sizeof(err));
    }
    if (rc) {
        say(SAY_ERROR, "engine_not_started", "%s: %s", proto_text(m, 0), err);
    } else {
        say(SAY_INFO, "engine_started", "%s: pid %d, port %u", proto_text(m, 0), (int)pid, port);
    }
    s->out.number[0] = rc ? 0 : pid;
    s->out.number[1] = port;
    s->out.number[2] = -rc;
    (void)proto_add(&s->out, proto_text(m, 0));
    (void)proto_add(&s->out, err);
    tell(s, PROTO_SPAWNED);
}

static void do_log(struct supervisor *s, const struct proto_message *m)
{
    static char text[PROTO_BYTES_MAX - 1024];
    size_t want = m->number[1] > 0 && (uint64_t)m->number[1] < sizeof(text) ? (size_t)m->number[1]
                                                                            : sizeof(text);
    int got = engines_log(s->engines, proto_text(m, 0), text, want);
    s->out.number[0] = m->number[0];
    s->out.number[1] = got < 0 ? -got : 0;
    s->out.string[s->out.string_count++] = span_of(text, got < 0 ? 0 : (size_t)got);
    tell(s, PROTO_LOG);
}

static void on_message(void *ctx, const struct proto_message *m, int fd)
{
    struct supervisor *s = ctx;
    switch (m->type) {
    case PROTO_READY:
        s->ready_once = true;
        break;
    case PROTO_SPAWN:
        do_spawn(s, m);
        break;
    case PROTO_STOP:
        if (engines_stop(s->engines, proto_text(m, 0)) != 0) {
            /* It has ended by itself, and EXITED is on its way or was told. */
            s->out.number[0] = 0;
            (void)proto_add(&s->out, proto_text(m, 0));
            (void)proto_add(&s->out, "");
            tell(s, PROTO_EXITED);
        }
        break;
    case PROTO_LOG_GET:
        do_log(s, m);
        break;
    case PROTO_RELOADED:
        if (fd >= 0) {
            (void)close(s->config_fd);
            s->config_fd = fd;
            fd = -1;
        }
        break;
    case PROTO_DRAINED:
        say(SAY_INFO, "drained", "nothing is held any more; stopping the engines");
        s->drained = true;
        stop_engines(s);
        break;
    default:
        say(SAY_ERROR, "channel", "the worker sent a message of unknown type %u", m->type);
        break;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void on_channel_closed(void *ctx)
{
    struct supervisor *s = ctx;
    peer_destroy(s->peer);
    s->peer = NULL;
}

static const struct peer_ops peer_ops = {.message = on_message, .closed = on_channel_closed};
static const struct engines_ops engines_ops = {.exited = on_engine_exited};

/* What a new worker must know, in this order. */
static void greet(struct supervisor *s)
{
    s->out.number[0] = s->restarts;
    s->out.number[1] = (int64_t)s->run;
    s->out.number[2] = s->options->from_config && !s->restarts ? PROTO_FLAG_FROM_CONFIG : 0;
    s->out.number[3] = s->listener_count;
    for (uint32_t i = 0; i < s->quarantined_count; i++) {
        (void)proto_add(&s->out, s->quarantined[i]);
    }
    tell(s, PROTO_HELLO);
    for (uint32_t i = 0; i < engines_count(s->engines); i++) {
        const char *key = NULL;
        pid_t pid = 0;
        uint32_t port = 0;
        engines_view(s->engines, i, &key, &pid, &port);
        s->out.number[0] = pid;
        s->out.number[1] = port;
        (void)proto_add(&s->out, key);
        tell(s, PROTO_ENGINE);
    }
    tell(s, PROTO_BEGIN);
}

/* ------------------------------------------------------------------ the worker's life */

/* Blames the policy that the worker died inside of, if it did. */
static void quarantine_culprit(struct supervisor *s)
{
    uint32_t calling = atomic_load(&s->page->calling);
    if (calling == 0 || calling > PAGE_ENTRIES) {
        return;
    }
    char hash[PAGE_HASH_BYTES];
    char id[PAGE_ID_BYTES];
    (void)snprintf(hash, sizeof(hash), "%s", s->page->entry[calling - 1].hash);
    (void)snprintf(id, sizeof(id), "%s", s->page->entry[calling - 1].id);
    bool stalled = atomic_load(&s->page->stalled) != 0;
    say(SAY_ERROR, "policy_quarantined",
        "policy %s (hash %.16s) %s; it is quarantined and the built-in decides until the policy is "
        "changed",
        id, hash, stalled ? "held the loop" : "crashed the worker");
    for (uint32_t i = 0; i < s->quarantined_count; i++) {
        if (strcmp(s->quarantined[i], hash) == 0) {
            return;
        }
    }
    if (hash[0] && s->quarantined_count < QUARANTINE_MAX) {
        memcpy(s->quarantined[s->quarantined_count++], hash, sizeof(hash));
    }
}

static void worker_died(struct supervisor *s, int status)
{
    s->worker = 0;
    event_free(s->worker_ended);
    s->worker_ended = NULL;
    (void)close(s->worker_pidfd);
    peer_destroy(s->peer);
    s->peer = NULL;
    if (s->stage == STAGE_ENDING) {
        if (s->drained && status != 0) {
            say(SAY_ERROR, "worker_died", "the worker had drained, but ended with wait status %d",
                status);
            s->status = STATUS_FAILED;
        }
        end_if_over(s);
        return;
    }
    bool orderly = WIFEXITED(status);
    if (!s->ready_once && orderly && atomic_load(&s->page->calling) == 0) {
        /* It has said why, in one line: a start that cannot succeed is not tried again. */
        s->status = WEXITSTATUS(status) == STATUS_USAGE ? STATUS_USAGE : STATUS_FAILED;
        stop_engines(s);
        return;
    }
    say(SAY_ERROR, "worker_died", "the worker ended with %s %d; its connections are lost",
        orderly ? "status" : "signal", orderly ? WEXITSTATUS(status) : WTERMSIG(status));
    quarantine_culprit(s); /* also after exit(): a policy may have called it */
    if (s->stage == STAGE_DRAINING) {
        s->status = STATUS_FAILED;
        stop_engines(s);
        return;
    }
    int64_t now = loop_now_ns(s->loop);
    if (now - s->worker_since_ns >= HEALTHY_LIFE_NS) {
        s->backoff_ns = 0;
    }
    loop_timer_set(&s->restart, now + s->backoff_ns);
    s->backoff_ns = s->backoff_ns ? 2 * s->backoff_ns : BACKOFF_MIN_NS;
    s->backoff_ns = s->backoff_ns > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : s->backoff_ns;
}

static void on_worker_ended(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct supervisor *s = arg;
    loop_enter(s->loop);
    int status = 0;
    if (waitpid(s->worker, &status, WNOHANG) == s->worker) {
        worker_died(s, status);
    }
    loop_leave(s->loop);
}

static void on_restart(struct loop_timer *timer)
{
    struct supervisor *s =
        (struct supervisor *)(void *)((char *)timer - offsetof(struct supervisor, restart));
    s->restarts++;
    worker_start(s);
}

static void worker_start(struct supervisor *s)
{
    int ends[2];
    memset(s->page, 0, sizeof(*s->page));
    int rc = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0
                 ? 0
                 : -errno;
    if (!rc) {
        struct spawn_fd fds[PROTO_FD_LISTEN + LISTENERS_MAX] = {{ends[1], PROTO_FD_CHANNEL},
                                                                {s->config_fd, PROTO_FD_CONFIG},
                                                                {s->page_fd, PROTO_FD_PAGE}};
        uint32_t count = 3;
        for (uint32_t i = 0; i < s->listener_count; i++) {
            fds[count++] = (struct spawn_fd){s->listener[i], PROTO_FD_LISTEN + (int)i};
        }
        const char *argv[] = {"shunt", "serve", SPAWN_ROLE_WORKER, s->options->config_path, NULL};
        struct spawn_options options = {
            .argv = argv, .fds = fds, .fd_count = count, .itself = true};
        rc = spawn(&options, &s->worker, &s->worker_pidfd);
        (void)close(ends[1]);
        if (rc) {
            (void)close(ends[0]);
        }
    }
    if (!rc) {
        s->worker_ended = event_new(loop_base(s->loop), s->worker_pidfd, EV_READ | EV_PERSIST,
                                    on_worker_ended, s);
        rc = s->worker_ended && event_add(s->worker_ended, NULL) == 0 ? 0 : -ENOMEM;
    }
    if (!rc) {
        rc = peer_create(s->loop, ends[0], &peer_ops, s, &s->peer);
    }
    s->worker_since_ns = loop_now_ns(s->loop);
    if (rc) {
        say(SAY_ERROR, "worker_not_started", "cannot start the worker: %s", strerror(-rc));
        s->status = STATUS_FAILED;
        end_now(s);
        return;
    }
    greet(s);
}

/* ------------------------------------------------------------------ start and end */

static int make_page(struct supervisor *s)
{
    s->page_fd = memfd_create("shunt-page", MFD_CLOEXEC);
    if (s->page_fd < 0 || ftruncate(s->page_fd, sizeof(struct page)) != 0) {
        return -errno;
    }
    void *page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, s->page_fd, 0);
    if (page == MAP_FAILED) {
        return -errno;
    }
    s->page = page;
    return 0;
}

static int supervisor_start(struct supervisor *s)
{
    int rc = getrandom(&s->run, sizeof(s->run), 0) == sizeof(s->run) ? 0 : -errno;
    rc = rc ? rc : loop_create(&s->loop);
    rc = rc ? rc : make_page(s);
    rc = rc ? rc : warden_start(&s->warden_fd, &s->warden_pidfd, &s->warden_pid);
    rc = rc ? rc : engines_create(s->loop, s->warden_fd, &engines_ops, s, &s->engines);
    rc = rc ? rc : loop_signal_init(&s->interrupt, s->loop, SIGINT, on_end_signal);
    rc = rc ? rc : loop_signal_init(&s->terminate, s->loop, SIGTERM, on_end_signal);
    rc = rc ? rc : loop_signal_init(&s->hangup, s->loop, SIGHUP, on_hangup);
    if (rc) {
        (void)fprintf(stderr, "shunt serve: cannot start: %s\n", strerror(-rc));
        return rc;
    }
    loop_timer_init(&s->restart, s->loop, on_restart);
    for (uint32_t i = 0; i < s->listener_count; i++) {
        char name[160];
        listen_name(s->listener[i], name, sizeof(name));
        say(SAY_INFO, "listening", "%s", name);
    }
    worker_start(s);
    return 0;
}

static void supervisor_end(struct supervisor *s)
{
    engines_destroy(s->engines);
    if (s->warden_fd >= 0) {
        (void)close(s->warden_fd);
        (void)waitpid(s->warden_pid, NULL, 0);
        (void)close(s->warden_pidfd);
    }
    (void)unlink(s->config->admin.socket);
    for (uint32_t i = 0; i < s->listener_count; i++) {
        char name[160];
        listen_name(s->listener[i], name, sizeof(name));
        if (strncmp(name, "unix:", 5) == 0) {
            (void)unlink(name + 5);
        }
        (void)close(s->listener[i]);
    }
    if (s->restart.loop) {
        loop_timer_fini(&s->restart);
        loop_signal_fini(&s->interrupt);
        loop_signal_fini(&s->terminate);
        loop_signal_fini(&s->hangup);
    }
    loop_destroy(s->loop);
    if (s->page) {
        (void)munmap(s->page, sizeof(*s->page));
        (void)close(s->page_fd);
    }
}

int supervisor_run(const struct supervisor_options *options)
{
    struct supervisor *s = calloc(1, sizeof(*s));
    if (!s) {
        return STATUS_FAILED;
    }
    s->options = options;
    s->config_fd = s->lock_fd = s->warden_fd = s->page_fd = -1;
    int status = STATUS_USAGE;
    if (read_config(s) == 0) {
        log_process("supervisor");
        int opened = log_open(s->config->log_file, (enum log_level)s->config->log_level);
        if (opened) {
            (void)fprintf(stderr, "shunt serve: %s:%u: log_file: %s\n", s->config->file,
                          config_line(s->config, "log_file"), strerror(-opened));
        }
        if (s->config->survive) {
            (void)fprintf(stderr,
                          "shunt serve: %s:%u: survive: engines cannot be handed over to a later "
                          "supervisor yet; say survive = false\n",
                          s->config->file, config_line(s->config, "survive"));
        } else if (raise_descriptor_limit(s) == 0 && take_state_dir(s) == 0 &&
                   open_listeners(s) == 0) {
            status = STATUS_FAILED;
            if (supervisor_start(s) == 0) {
                int rc = loop_run(s->loop);
                status = rc ? STATUS_FAILED : s->status;
            }
            supervisor_end(s);
        }
    }
    config_free(s->config);
    if (s->config_fd >= 0) {
        (void)close(s->config_fd);
    }
    if (s->lock_fd >= 0) {
        (void)close(s->lock_fd);
    }
    free(s);
    return status;
}
