/* The worker process: cells, channel to the supervisor, reload, drain. See worker.h. */
#include "host/worker/worker.h"

#include "base/config.h"
#include "host/admin/admin.h"
#include "host/engine/engine.h"
#include "host/http/front.h"
#include "host/metrics.h"
#include "host/say.h"
#include "host/supervisor/page.h"
#include "host/supervisor/peer.h"
#include "host/worker/active.h"
#include "host/worker/cell_life.h"
#include "host/worker/choice.h"
#include "host/worker/watchdog.h"
#include "host/worker/worker_main.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    CELLS_MAX = 16,
    ADOPTED_MAX = 1024,
    QUARANTINED_MAX = 32,
    STATUS_DONE = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    KEY_MAX = 400,
};

#define DRAIN_LOOK_NS INT64_C(20000000)

struct adopted {
    char key[KEY_MAX];
    pid_t pid;
    uint32_t port;
};

/* Somebody waits for an engine's log. */
struct log_wait {
    struct log_wait *next;
    int64_t id;
    cell_done *done;
    void *ctx;
};

struct worker {
    struct loop *loop;
    const char *path;
    struct config *config;
    struct peer *peer;
    struct page *page;
    struct watchdog *watchdog;
    struct choice_registry *registry;
    struct active *active;
    struct cell *cells[CELLS_MAX];
    uint32_t cell_count;
    uint32_t cells_starting;
    struct metrics *metrics;
    struct front *front;
    struct admin *admin;
    enum worker_phase phase;
    struct loop_timer drain;
    int status;

    uint32_t restarts;
    uint64_t run;
    bool from_config;
    uint32_t listener_count;
    char quarantined[QUARANTINED_MAX][PAGE_HASH_BYTES];
    const char *quarantined_list[QUARANTINED_MAX];
    uint32_t quarantined_count;
    struct adopted *adopted;
    uint32_t adopted_count;
    struct log_wait *log_waits;
    int64_t log_next;
    struct proto_message out;
};

/* ------------------------------------------------------------------ the worker.h side */

struct loop *worker_loop(struct worker *worker)
{
    return worker->loop;
}

const struct config *worker_config(const struct worker *worker)
{
    return worker->config;
}

const char *worker_config_path(const struct worker *worker)
{
    return worker->path;
}

enum worker_phase worker_phase(const struct worker *worker)
{
    return worker->phase;
}

uint32_t worker_restarts(const struct worker *worker)
{
    return worker->restarts;
}

uint32_t worker_cell_count(const struct worker *worker)
{
    return worker->cell_count;
}

struct cell *worker_cell(const struct worker *worker, uint32_t index)
{
    return index < worker->cell_count ? worker->cells[index] : NULL;
}

int worker_route(const struct worker *worker, struct span name, struct cell **ret_cell,
                 uint32_t *ret_model)
{
    char text[257];
    if (name.len == 0 || name.len >= sizeof(text) || memchr(name.data, '\0', name.len)) {
        return -ENOENT;
    }
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    for (uint32_t i = 0; i < worker->cell_count; i++) {
        if (cell_model_find(worker->cells[i], text, ret_model) == 0) {
            *ret_cell = worker->cells[i];
            return 0;
        }
    }
    return -ENOENT;
}

int worker_request_find(const struct worker *worker, struct span text, struct cell **ret_cell,
                        uint64_t *ret_request)
{
    char copy[CELL_REQUEST_TEXT_BYTES];
    char again[CELL_REQUEST_TEXT_BYTES];
    uint32_t name = 0;
    uint32_t index = 0;
    uint64_t request = 0;
    if (text.len >= sizeof(copy)) {
        return -EINVAL;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (sscanf(copy, "%8" SCNx32 "-%2" SCNx32 "-%16" SCNx64, &name, &index, &request) != 3) {
        return -EINVAL;
    }
    if (index >= worker->cell_count) {
        return -ENOENT;
    }
    cell_request_text(worker->cells[index], request, again);
    if (strcmp(copy, again) != 0) {
        return -ENOENT;
    }
    *ret_cell = worker->cells[index];
    *ret_request = request;
    return 0;
}

/* ------------------------------------------------------------------ talking to the supervisor */

static int tell(struct worker *worker, enum proto_type type, int fd)
{
    worker->out.type = type;
    int rc = worker->peer ? peer_send(worker->peer, &worker->out, fd) : -EPIPE;
    memset(worker->out.number, 0, sizeof(worker->out.number));
    worker->out.string_count = 0;
    return rc;
}

static int on_spawn(void *ctx, struct engine *engine, const char *const *argv,
                    const char *const *env)
{
    struct worker *worker = ctx;
    const char *model = engine_upstream_model(engine);
    int64_t argc = 0;
    int rc = proto_add(&worker->out, engine_key(engine));
    rc = rc ? rc : proto_add(&worker->out, model);
    for (; !rc && argv[argc]; argc++) {
        rc = proto_add(&worker->out, argv[argc]);
    }
    for (uint32_t i = 0; !rc && env[i]; i++) {
        rc = proto_add(&worker->out, env[i]);
    }
    if (rc) {
        worker->out.string_count = 0;
        return rc;
    }
    worker->out.number[0] = worker->config->engine_port_min;
    worker->out.number[1] = worker->config->engine_port_max;
    worker->out.number[2] = argc;
    worker->out.number[3] = engine_stop_timeout_ns(engine);
    return tell(worker, PROTO_SPAWN, -1);
}

static int on_stop(void *ctx, struct engine *engine)
{
    struct worker *worker = ctx;
    int rc = proto_add(&worker->out, engine_key(engine));
    return rc ? rc : tell(worker, PROTO_STOP, -1);
}

void worker_engine_log(struct worker *worker, const char *model, size_t bytes_max, cell_done *done,
                       void *ctx)
{
    const struct config *config = worker->config;
    int m = config_find_model(config, model);
    struct log_wait *wait = m >= 0 ? calloc(1, sizeof(*wait)) : NULL;
    if (!wait || config->models[m].placements.count == 0) {
        free(wait);
        done(ctx, -ENOENT, "no such model");
        return;
    }
    char key[KEY_MAX];
    uint32_t device = config->models[m].placements.item[0].device;
    (void)snprintf(key, sizeof(key), "%s@%s", config->models[m].name, config->devices[device].name);
    wait->id = ++worker->log_next;
    wait->done = done;
    wait->ctx = ctx;
    wait->next = worker->log_waits;
    worker->log_waits = wait;
    worker->out.number[0] = wait->id;
    worker->out.number[1] = (int64_t)bytes_max;
    (void)proto_add(&worker->out, key);
    (void)tell(worker, PROTO_LOG_GET, -1);
}

static void on_log(struct worker *worker, const struct proto_message *m)
{
    for (struct log_wait **at = &worker->log_waits; *at; at = &(*at)->next) {
        struct log_wait *wait = *at;
        if (wait->id == m->number[0]) {
            *at = wait->next;
            int rc = (int)-m->number[1];
            wait->done(wait->ctx, rc, rc ? "its engine has not run yet" : proto_text(m, 0));
            free(wait);
            return;
        }
    }
}

/* ------------------------------------------------------------------ reload */

static char *read_file(const char *path, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd >= 0 ? malloc(CONFIG_FILE_BYTES_MAX + 1) : NULL;
    size_t size = 0;
    ssize_t got = 1;
    while (text && got > 0 && size <= CONFIG_FILE_BYTES_MAX) {
        got = read(fd, text + size, CONFIG_FILE_BYTES_MAX + 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    *ret_size = size;
    return text;
}

static bool strings_same(const struct config_strings *a, const struct config_strings *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++) {
        same = strcmp(a->item[i], b->item[i]) == 0;
    }
    return same;
}

/* What the process was built around cannot change while it runs. NULL, or the setting. */
static const char *needs_restart(const struct config *a, const struct config *b)
{
    if (!strings_same(&a->listen, &b->listen)) {
        return "listen";
    }
    if (strcmp(a->state_dir, b->state_dir) != 0) {
        return "state_dir";
    }
    if (strcmp(a->admin.socket, b->admin.socket) != 0 ||
        strcmp(a->admin.listen, b->admin.listen) != 0) {
        return "admin";
    }
    if (a->limits.models_max != b->limits.models_max ||
        a->limits.devices_max != b->limits.devices_max ||
        a->limits.queued_max != b->limits.queued_max ||
        a->limits.in_flight_max != b->limits.in_flight_max) {
        return "limits.models_max, devices_max, queued_max or in_flight_max";
    }
    if (strcmp(a->journal.dir, b->journal.dir) != 0 || a->journal.on != b->journal.on) {
        return "journal";
    }
    bool cells = a->cell_count == b->cell_count;
    for (uint32_t i = 0; cells && i < a->cell_count; i++) {
        cells = strcmp(a->cells[i].name, b->cells[i].name) == 0;
    }
    return cells ? NULL : "cells";
}

static int reload_cells(struct worker *worker, const struct config *next, char *err,
                        size_t err_size)
{
    int rc = 0;
    uint32_t done = 0;
    while (!rc && done < worker->cell_count) {
        rc = cell_reload(worker->cells[done], next, err, err_size);
        done += rc == 0;
    }
    while (rc && done > 0) {
        char ignored[CELL_ERROR_BYTES_MAX];
        (void)cell_reload(worker->cells[--done], worker->config, ignored, sizeof(ignored));
    }
    return rc;
}

static int reload(struct worker *worker, char *err, size_t err_size)
{
    static struct config_errors errors;
    size_t size = 0;
    struct config *next = NULL;
    if (worker->phase == WORKER_DRAINING) {
        (void)snprintf(err, err_size, "the host is stopping");
        return -ESHUTDOWN;
    }
    char *text = read_file(worker->path, &size);
    if (!text) {
        (void)snprintf(err, err_size, "%s: %s", worker->path, strerror(errno));
        return -errno;
    }
    int rc = config_load_string(text, size, worker->path, &next, &errors);
    if (rc) {
        (void)snprintf(err, err_size, "%s", errors.count ? errors.text[0] : strerror(-rc));
        free(text);
        return rc;
    }
    const char *fixed = needs_restart(worker->config, next);
    if (fixed) {
        (void)snprintf(err, err_size, "%s: %s cannot change while the host runs; restart it",
                       worker->path, fixed);
        rc = -EINVAL;
    }
    rc = rc ? rc : reload_cells(worker, next, err, err_size);
    if (!rc) {
        struct config *old = worker->config;
        worker->config = next;
        rc = worker->front ? front_reload(worker->front, err, err_size) : 0;
        if (rc) {
            char ignored[CELL_ERROR_BYTES_MAX];
            for (uint32_t i = 0; i < worker->cell_count; i++) {
                (void)cell_reload(worker->cells[i], old, ignored, sizeof(ignored));
            }
            worker->config = old;
        } else {
            next = old;
        }
    }
    if (!rc) {
        int fd = memfd_create("shunt.cfg", MFD_CLOEXEC);
        if (fd >= 0 && write(fd, text, size) == (ssize_t)size) {
            (void)tell(worker, PROTO_RELOADED, fd);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
        (void)snprintf(err, err_size, "%u models, %u devices", worker->config->model_count,
                       worker->config->device_count);
    }
    config_free(next);
    free(text);
    return rc;
}

void worker_reload(struct worker *worker, cell_done *done, void *ctx)
{
    char err[CELL_ERROR_BYTES_MAX] = "";
    int rc = reload(worker, err, sizeof(err));
    say(rc ? SAY_ERROR : SAY_INFO, "reload", "%s%s", rc ? "refused, nothing changed: " : "", err);
    done(ctx, rc, err);
}

static void reload_ignored(void *ctx, int result, const char *message)
{
    (void)ctx;
    (void)result;
    (void)message;
}

/* ------------------------------------------------------------------ drain */

static void on_drain_look(struct loop_timer *timer)
{
    struct worker *worker =
        (struct worker *)(void *)((char *)timer - offsetof(struct worker, drain));
    uint64_t held = worker->front ? front_requests(worker->front) : 0;
    for (uint32_t i = 0; i < worker->cell_count; i++) {
        held += cell_held(worker->cells[i]);
    }
    if (held) {
        loop_timer_set(timer, loop_now_ns(worker->loop) + DRAIN_LOOK_NS);
        return;
    }
    (void)tell(worker, PROTO_DRAINED, -1);
    loop_stop(worker->loop);
}

void worker_drain(struct worker *worker)
{
    if (worker->phase == WORKER_DRAINING) {
        return;
    }
    worker->phase = WORKER_DRAINING;
    if (worker->front) {
        front_drain(worker->front);
    }
    for (uint32_t i = 0; i < worker->cell_count; i++) {
        cell_operate_all(worker->cells[i], CORE_OP_DRAIN);
    }
    loop_timer_set(&worker->drain, loop_now_ns(worker->loop) + DRAIN_LOOK_NS / 20);
}

/* ------------------------------------------------------------------ start */

static void fail(struct worker *worker, int status, const char *message)
{
    (void)fprintf(stderr, "shunt serve: %s\n", message);
    worker->status = status;
    loop_stop(worker->loop);
}

static int open_front(struct worker *worker, char *err, size_t err_size)
{
    int rc = metrics_create(&worker->metrics);
    for (uint32_t i = 0; !rc && i < worker->cell_count; i++) {
        metrics_watch(worker->metrics, worker->cells[i]);
    }
    rc = rc ? rc
            : front_create(worker, worker->config->admin.metrics ? worker->metrics : NULL, err,
                           err_size, &worker->front);
    for (uint32_t i = 0; !rc && i < worker->listener_count; i++) {
        rc = front_listen_fd(worker->front, PROTO_FD_LISTEN + (int)i);
    }
    rc = rc ? rc : admin_create(worker, worker->front, err, err_size, &worker->admin);
    if (rc && !err[0]) {
        (void)snprintf(err, err_size, "the front cannot start: %s", strerror(-rc));
    }
    return rc;
}

static void on_cell_started(void *ctx, struct cell *cell, int result, const char *message)
{
    struct worker *worker = ctx;
    char err[CELL_ERROR_BYTES_MAX] = "";
    (void)cell;
    if (result) {
        fail(worker, STATUS_USAGE, message);
        return;
    }
    if (--worker->cells_starting > 0) {
        return;
    }
    int rc = open_front(worker, err, sizeof(err));
    if (rc) {
        fail(worker, STATUS_USAGE, err);
        return;
    }
    if (worker->phase == WORKER_STARTING) {
        worker->phase = WORKER_READY;
    }
    (void)tell(worker, PROTO_READY, -1);
    say(SAY_INFO, "ready", "%u models in %u cells%s", worker->config->model_count,
        worker->cell_count, worker->restarts ? ", after a restart of the worker" : "");
}

/* The supervisor has told everything. */
static int begin(struct worker *worker, char *err, size_t err_size)
{
    const struct config *config = worker->config;
    if (config->cell_count > CELLS_MAX) {
        (void)snprintf(err, err_size, "%s: more than %d cells", config->file, CELLS_MAX);
        return -E2BIG;
    }
    int rc = choice_registry_create(&worker->registry);
    rc = rc ? rc
            : active_open(config->state_dir, worker->run, worker->from_config, &worker->active, err,
                          err_size);
    rc = rc ? rc : watchdog_start(worker->page, config->guard.watchdog_ns, &worker->watchdog);
    for (uint32_t i = 0; !rc && i < config->cell_count; i++) {
        struct cell_setup setup = {.loop = worker->loop,
                                   .config = config,
                                   .index = i,
                                   .run = worker->run,
                                   .restarts = worker->restarts,
                                   .page = worker->page,
                                   .registry = worker->registry,
                                   .active = worker->active,
                                   .quarantined = worker->quarantined_list,
                                   .quarantined_count = worker->quarantined_count,
                                   .ctx = worker,
                                   .spawn = on_spawn,
                                   .stop = on_stop};
        rc = cell_create(&setup, &worker->cells[i], err, err_size);
        worker->cell_count += rc == 0;
    }
    if (rc) {
        if (!err[0]) {
            (void)snprintf(err, err_size, "the worker cannot start: %s", strerror(-rc));
        }
        return rc;
    }
    for (uint32_t a = 0; a < worker->adopted_count; a++) {
        const struct adopted *it = &worker->adopted[a];
        bool taken = false;
        for (uint32_t i = 0; i < worker->cell_count && !taken; i++) {
            taken = cell_adopt(worker->cells[i], it->key, it->pid, it->port) == 0;
        }
        if (!taken) {
            (void)proto_add(&worker->out, it->key);
            (void)tell(worker, PROTO_STOP, -1);
        }
    }
    worker->cells_starting = worker->cell_count;
    for (uint32_t i = 0; i < worker->cell_count; i++) {
        cell_start(worker->cells[i], on_cell_started, worker);
    }
    return 0;
}

static void on_hello(struct worker *worker, const struct proto_message *m)
{
    worker->restarts = (uint32_t)m->number[0];
    worker->run = (uint64_t)m->number[1];
    worker->from_config = (m->number[2] & PROTO_FLAG_FROM_CONFIG) != 0;
    worker->listener_count = (uint32_t)m->number[3];
    for (uint32_t i = 0; i < m->string_count && i < QUARANTINED_MAX; i++) {
        (void)snprintf(worker->quarantined[i], PAGE_HASH_BYTES, "%s", proto_text(m, i));
        worker->quarantined_list[i] = worker->quarantined[i];
        worker->quarantined_count = i + 1;
    }
}

static void on_message(void *ctx, const struct proto_message *m, int fd)
{
    struct worker *worker = ctx;
    char err[CELL_ERROR_BYTES_MAX] = "";
    if (fd >= 0) {
        (void)close(fd);
    }
    switch (m->type) {
    case PROTO_HELLO:
        on_hello(worker, m);
        break;
    case PROTO_ENGINE:
        if (worker->adopted_count < ADOPTED_MAX) {
            struct adopted *it = &worker->adopted[worker->adopted_count++];
            it->pid = (pid_t)m->number[0];
            it->port = (uint32_t)m->number[1];
            (void)snprintf(it->key, sizeof(it->key), "%s", proto_text(m, 0));
        }
        break;
    case PROTO_BEGIN:
        if (begin(worker, err, sizeof(err)) != 0) {
            fail(worker, STATUS_USAGE, err);
        }
        break;
    case PROTO_SPAWNED:
        for (uint32_t i = 0; i < worker->cell_count; i++) {
            (void)cell_spawned(worker->cells[i], proto_text(m, 0), (pid_t)m->number[0],
                               (uint32_t)m->number[1], (int)m->number[2], proto_text(m, 1));
        }
        break;
    case PROTO_EXITED:
        for (uint32_t i = 0; i < worker->cell_count; i++) {
            (void)cell_exited(worker->cells[i], proto_text(m, 0), (int)m->number[1],
                              proto_text(m, 1));
        }
        break;
    case PROTO_LOG:
        on_log(worker, m);
        break;
    case PROTO_RELOAD:
        worker_reload(worker, reload_ignored, NULL);
        break;
    case PROTO_DRAIN:
        worker_drain(worker);
        break;
    default:
        say(SAY_ERROR, "channel", "the supervisor sent a message of unknown type %u", m->type);
        break;
    }
}

static void on_closed(void *ctx)
{
    struct worker *worker = ctx;
    worker->status = STATUS_FAILED; /* the supervisor is gone; so are we */
    loop_stop(worker->loop);
}

static const struct peer_ops peer_ops = {.message = on_message, .closed = on_closed};

static int read_inherited_config(struct worker *worker)
{
    static struct config_errors errors;
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    ssize_t size = text ? pread(PROTO_FD_CONFIG, text, CONFIG_FILE_BYTES_MAX + 1, 0) : -1;
    int rc = size < 0
                 ? -EIO
                 : config_load_string(text, (size_t)size, worker->path, &worker->config, &errors);
    if (rc) {
        (void)fprintf(stderr, "shunt serve: %s\n",
                      errors.count ? errors.text[0] : "the configuration cannot be read");
    }
    free(text);
    return rc;
}

static int prepare(struct worker *worker)
{
    int rc = read_inherited_config(worker);
    if (rc) {
        return rc;
    }
    log_process("worker");
    (void)log_open(worker->config->log_file, (enum log_level)worker->config->log_level);
    void *page =
        mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, PROTO_FD_PAGE, 0);
    if (page == MAP_FAILED) {
        return -errno;
    }
    worker->page = page;
    worker->adopted = calloc(ADOPTED_MAX, sizeof(*worker->adopted));
    rc = worker->adopted ? loop_create(&worker->loop) : -ENOMEM;
    rc = rc ? rc : peer_create(worker->loop, PROTO_FD_CHANNEL, &peer_ops, worker, &worker->peer);
    if (!rc) {
        loop_timer_init(&worker->drain, worker->loop, on_drain_look);
    }
    return rc;
}

static void finish(struct worker *worker)
{
    watchdog_stop(worker->watchdog);
    admin_destroy(worker->admin);
    front_destroy(worker->front);
    metrics_destroy(worker->metrics);
    for (uint32_t i = 0; i < worker->cell_count; i++) {
        cell_destroy(worker->cells[i]);
    }
    active_close(worker->active);
    choice_registry_destroy(worker->registry);
    if (worker->peer) {
        peer_flush(worker->peer, 1000);
        peer_destroy(worker->peer);
        loop_timer_fini(&worker->drain);
    }
    while (worker->log_waits) {
        struct log_wait *next = worker->log_waits->next;
        free(worker->log_waits);
        worker->log_waits = next;
    }
    loop_destroy(worker->loop);
    config_free(worker->config);
    free(worker->adopted);
}

int worker_main(int argc, char **argv)
{
    struct worker *worker = argc >= 2 ? calloc(1, sizeof(*worker)) : NULL;
    if (!worker) {
        return STATUS_FAILED;
    }
    /* The terminal's signals are the supervisor's to understand. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_NAME, "shunt-worker");
    worker->path = argv[1];
    int rc = prepare(worker);
    if (rc) {
        say(SAY_ERROR, "worker", "cannot start: %s", strerror(-rc));
        worker->status = STATUS_FAILED;
    } else if (loop_run(worker->loop) != 0) {
        worker->status = STATUS_FAILED;
    }
    int status = worker->status;
    finish(worker);
    free(worker);
    return status;
}
