/* What all engines have in common: process, calls, steps, escalation. See engine.h. */
#include "host/engine/engine_priv.h"

#include "host/engine/owner.h"
#include "host/say.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS      INT64_C(1000000)
#define PAUSE_MIN_NS   (20 * NS_PER_MS)
#define PAUSE_MAX_NS   (500 * NS_PER_MS)
#define LOOK_LIMIT_NS  (5000 * NS_PER_MS)
#define STOP_MARGIN_NS (30000 * NS_PER_MS)

enum { ARGS_MAX = 256 };

static const struct engine_driver *const drivers[] = {&engine_emulated, &engine_vllm};

static const struct engine_driver *driver_find(uint32_t kind)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (drivers[i]->kind == kind) {
            return drivers[i];
        }
    }
    return NULL;
}

int64_t engine_now_ns(const struct engine *engine)
{
    return loop_now_ns(engine->services->loop);
}

bool engine_attached(const struct engine *engine)
{
    return engine->driver->kind != CONFIG_ENGINE_EMULATED && engine->model->start.count == 0;
}

/* ------------------------------------------------------------------ address */

static void engine_forget_address(struct engine *engine)
{
    if (engine->origin[0]) {
        engine->services->down(engine->services->ctx, engine, engine->origin);
    }
    client_destroy(engine->client);
    engine->client = NULL;
    engine->call.exchange = NULL;
    engine->look.exchange = NULL;
    engine->origin[0] = '\0';
}

static int engine_set_address(struct engine *engine, const char *origin)
{
    struct client_options options = client_options_default;
    options.origin = origin;
    options.idle_max = 2;
    engine_forget_address(engine);
    int rc = client_create(engine->services->loop, &options, &engine->client);
    if (!rc) {
        (void)snprintf(engine->origin, sizeof(engine->origin), "%s", origin);
    }
    return rc;
}

/* Where a process on `port` answers: 127.0.0.1, or the url with its ${PORT}. */
static int address_of(const struct engine *engine, uint32_t port, char *out, size_t size)
{
    if (!engine->model->url[0]) {
        (void)snprintf(out, size, "127.0.0.1:%u", port);
        return 0;
    }
    char *url = NULL;
    char err[256];
    struct config_expansion with = {.port = port, .model = engine->model->name};
    struct config_address address;
    int rc = config_expand(engine->model->url, &with, &url, err, sizeof(err));
    rc = rc ? rc : config_url_parse(url, &address, err, sizeof(err));
    free(url);
    if (rc) {
        return rc;
    }
    if (address.kind == CONFIG_LISTEN_UNIX) {
        (void)snprintf(out, size, "unix:%s", address.host);
    } else {
        (void)snprintf(out, size, address.ipv6 ? "[%s]:%u" : "%s:%u", address.host, address.port);
    }
    return 0;
}

/* ------------------------------------------------------------------ calls */

static void call_over(struct engine_call *call, unsigned status, struct span body)
{
    struct engine *engine = call->engine;
    engine_called *called = call->called;
    call->exchange = NULL;
    called(engine, status, body);
}

static void on_head(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    (void)exchange;
    struct engine_call *call = user;
    call->status = head->status;
}

static void on_body(struct client_exchange *exchange, struct span data, void *user)
{
    (void)exchange;
    struct engine_call *call = user;
    size_t room = CALL_BODY_MAX - call->body_len;
    size_t take = data.len < room ? data.len : room;
    memcpy(call->body + call->body_len, data.data, take);
    call->body_len += take;
}

static void on_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    struct engine_call *call = user;
    char why[256];
    if (result == CLIENT_OK) {
        call_over(call, call->status, span_of(call->body, call->body_len));
        return;
    }
    (void)snprintf(why, sizeof(why), "%s: %s", client_result_name(result), client_detail(exchange));
    call_over(call, 0, span_of_string(why));
}

static const struct client_ops call_ops = {
    .response_head = on_head, .response_body = on_body, .done = on_done};

static int call_send(struct engine_call *call, bool post, const char *target, const char *body,
                     int64_t due_ns, engine_called *called)
{
    struct engine *engine = call->engine;
    assert(!call->exchange);
    if (!engine->client) {
        return -ENOTCONN;
    }
    if (!call->body) {
        call->body = malloc(CALL_BODY_MAX);
        if (!call->body) {
            return -ENOMEM;
        }
    }
    call->called = called;
    call->status = 0;
    call->body_len = 0;
    struct client_request request = {.method = post ? SPAN_LITERAL("POST") : SPAN_LITERAL("GET"),
                                     .target = span_of_string(target),
                                     .connect_timeout_ns = engine->setup.connect_timeout_ns,
                                     .total_due_ns = due_ns};
    if (post) {
        request.fields = SPAN_LITERAL("Content-Type: application/json\r\n");
        (void)snprintf(call->request, sizeof(call->request), "%s", body ? body : "");
        request.body[0] = span_of_string(call->request);
        request.body_len = 1;
    }
    return client_send(engine->client, &request, &call_ops, call, &call->exchange);
}

static void call_cancel(struct engine_call *call)
{
    if (call->exchange) {
        client_cancel(call->exchange);
        call->exchange = NULL;
    }
}

void engine_call(struct engine *engine, bool post, const char *target, const char *body,
                 int64_t due_ns, engine_called *called)
{
    int rc = call_send(&engine->call, post, target, body, due_ns, called);
    if (rc) {
        engine_escalate(engine, "cannot call %s: %s", target, strerror(-rc));
    }
}

/* ------------------------------------------------------------------ steps */

static void on_timer(struct loop_timer *timer)
{
    struct engine *engine =
        (struct engine *)(void *)((char *)timer - offsetof(struct engine, timer));
    void (*next)(struct engine *) = engine->step.next;
    engine->step.next = NULL;
    if (next && engine->step.kind != STEP_NONE) {
        next(engine);
    }
}

void engine_again(struct engine *engine, int64_t max_ns, void (*next)(struct engine *engine))
{
    int64_t pause = engine->step.pause_ns ? engine->step.pause_ns : PAUSE_MIN_NS;
    pause = pause > max_ns ? max_ns : pause;
    engine->step.pause_ns = pause + pause / 2;
    engine->step.next = next;
    loop_timer_set(&engine->timer, engine_now_ns(engine) + pause);
}

static void on_finish(struct loop_task *task)
{
    struct engine *engine =
        (struct engine *)(void *)((char *)task - offsetof(struct engine, finish));
    struct engine_step_state step = engine->step;
    engine->step = (struct engine_step_state){0};
    step.result.message = step.why;
    step.done(step.ctx, &step.result);
}

void engine_step_done(struct engine *engine, bool ok, uint32_t tier, bool retry,
                      const char *message)
{
    struct engine_step_state *step = &engine->step;
    assert(step->kind != STEP_NONE);
    call_cancel(&engine->call);
    loop_timer_cancel(&engine->timer);
    loop_timer_cancel(&engine->guard);
    step->next = NULL;
    step->finished = true;
    step->result.ok = ok;
    step->result.tier = tier;
    step->result.retry = retry;
    if (message && message != step->why) {
        (void)snprintf(step->why, sizeof(step->why), "%s", message);
    }
    if (!ok) {
        engine->failures++;
        (void)snprintf(engine->last_error, sizeof(engine->last_error), "%s", step->why);
    }
    engine->resident = tier == SHUNT_TIER_RESIDENT;
    loop_defer(engine->services->loop, &engine->finish);
}

static void stop_process(struct engine *engine)
{
    engine->stopping = true;
    call_cancel(&engine->call);
    loop_timer_cancel(&engine->timer);
    /* The supervisor ends it for certain; if it does not answer, the step stays open until then.
     */
    loop_timer_cancel(&engine->guard);
    int rc = engine->services->stop(engine->services->ctx, engine);
    if (rc) {
        say(SAY_ERROR, "engine_stop", "%s: cannot reach the supervisor: %s", engine->key,
            strerror(-rc));
    }
}

void engine_escalate(struct engine *engine, const char *format, ...)
{
    struct engine_step_state *step = &engine->step;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(step->why, sizeof(step->why), format, args);
    va_end(args);
    if (!engine->pid && !engine->starting) {
        bool ours = !engine_attached(engine);
        bool out = step->kind == STEP_CORE && step->step == CORE_STEP_OUT;
        uint32_t tier = ours ? SHUNT_TIER_STOPPED : step->from;
        engine_step_done(engine, ours && out, tier, !out, step->why);
        return;
    }
    if (step->escalating) {
        return;
    }
    step->escalating = true;
    say(SAY_WARNING, "engine_escalation", "%s: %s; its process is ended", engine->key, step->why);
    stop_process(engine);
}

static void on_guard(struct loop_timer *timer)
{
    struct engine *engine =
        (struct engine *)(void *)((char *)timer - offsetof(struct engine, guard));
    if (engine->step.kind != STEP_NONE && !engine->stopping) {
        engine_escalate(engine, "%s did not end in time",
                        engine->step.step == CORE_STEP_OUT  ? "moving out"
                        : engine->step.step == CORE_STEP_IN ? "bringing in"
                                                            : "the probe");
    }
}

void engine_step_cancel(struct engine *engine)
{
    if (engine->step.kind == STEP_NONE || engine->step.escalating || engine->step.finished) {
        return;
    }
    engine->step.cancelled = true;
    engine_escalate(engine, "given up: the switch ran into its limit");
}

/* ------------------------------------------------------------------ memory */

static void memory_look(struct engine *engine);

static void memory_known(struct engine *engine, int64_t bytes)
{
    struct engine_step_state *step = &engine->step;
    int64_t allowed = step->result.device_bytes;
    if (bytes <= allowed + allowed / 10 + (INT64_C(64) << 20)) {
        step->result.device_bytes = bytes;
        engine_step_done(engine, true, step->to, false, NULL);
    } else if (engine_now_ns(engine) >= step->phase_deadline_ns) {
        engine_escalate(engine, "it sleeps, but holds %.2f GiB of device memory instead of %.2f",
                        (double)bytes / 0x1p30, (double)allowed / 0x1p30);
    } else {
        engine_again(engine, 200 * NS_PER_MS, memory_look);
    }
}

static void memory_figures(struct engine *engine, unsigned status, struct span body)
{
    struct engine_figures figures = {.device_bytes = -1};
    if (status == 200 && engine->driver->figures(body, &figures) && figures.device_bytes >= 0) {
        memory_known(engine, figures.device_bytes);
    } else if (status == 0 && engine_now_ns(engine) < engine->step.phase_deadline_ns) {
        engine_again(engine, 200 * NS_PER_MS, memory_look);
    } else {
        /* Nobody can tell: the core takes what the configuration says. */
        engine->step.result.device_bytes = -1;
        engine_step_done(engine, true, engine->step.to, false, NULL);
    }
}

static void memory_look(struct engine *engine)
{
    int64_t bytes = 0;
    if (engine->services->memory &&
        engine->services->memory(engine->services->ctx, engine, &bytes) == 0) {
        memory_known(engine, bytes);
        return;
    }
    engine_call(engine, false, "/metrics", NULL, engine->step.deadline_ns, memory_figures);
}

void engine_await_memory(struct engine *engine, int64_t bytes_max)
{
    engine->step.result.device_bytes = bytes_max;
    engine->step.phase_deadline_ns = engine_now_ns(engine) + engine->setup.memory_timeout_ns;
    engine->step.pause_ns = 0;
    memory_look(engine);
}

void engine_misses(struct engine *engine, const char *what)
{
    if (engine->capability_misses++ == 0) {
        say(SAY_ERROR, "engine_capability", "%s: %s", engine->key, what);
    }
}

/* ------------------------------------------------------------------ start */

static void health_look(struct engine *engine);

static void health_known(struct engine *engine, unsigned status, struct span body)
{
    (void)body;
    /* Where the operator says the address, as for a container, it is taken at its word. */
    bool ours = engine->model->url[0] || owner_listens(engine->pid, engine->port);
    if (status >= 200 && status < 300 && ours) {
        engine->starting = false;
        engine->driver->started(engine);
    } else if (engine_now_ns(engine) >= engine->step.phase_deadline_ns) {
        engine_escalate(engine, "%s did not answer 200 within start_timeout_s%s",
                        engine->model->health_path,
                        status == 200 ? ": another process holds its port" : "");
    } else {
        engine_again(engine, PAUSE_MAX_NS, health_look);
    }
}

static void health_look(struct engine *engine)
{
    int64_t due = engine_now_ns(engine) + LOOK_LIMIT_NS;
    engine_call(engine, false, engine->model->health_path, NULL,
                due < engine->step.deadline_ns ? due : engine->step.deadline_ns, health_known);
}

static void start_process(struct engine *engine)
{
    char *argv[ARGS_MAX + 1] = {0};
    char *env[ARGS_MAX + 1] = {0};
    int rc = engine->driver->command(engine, argv, ARGS_MAX, env, ARGS_MAX);
    if (!rc) {
        engine->starting = true;
        engine->starts++;
        int64_t limit = engine_now_ns(engine) + engine->model->start_timeout_ns;
        engine->step.phase_deadline_ns = limit;
        rc = engine->services->spawn(engine->services->ctx, engine, (const char *const *)argv,
                                     (const char *const *)env);
    }
    for (uint32_t i = 0; i < ARGS_MAX; i++) {
        free(argv[i]);
        free(env[i]);
    }
    if (rc) {
        engine->starting = false;
        engine_escalate(engine, "cannot be started: %s", strerror(-rc));
    }
}

void engine_spawned(struct engine *engine, pid_t pid, uint32_t port, int error, const char *text)
{
    char origin[ENGINE_ORIGIN_MAX];
    if (error) {
        engine->starting = false;
        if (engine->step.kind != STEP_NONE) {
            engine->step.escalating = false;
            engine_escalate(engine, "%s", text);
        }
        return;
    }
    engine->pid = pid;
    engine->port = port;
    int rc = address_of(engine, port, origin, sizeof(origin));
    rc = rc ? rc : engine_set_address(engine, origin);
    if (engine->step.kind == STEP_NONE || engine->step.escalating) {
        stop_process(engine); /* given up meanwhile */
    } else if (rc) {
        engine_escalate(engine, "its address cannot be used: %s", strerror(-rc));
    } else {
        engine->step.pause_ns = 0;
        engine_again(engine, PAUSE_MAX_NS, health_look);
    }
}

void engine_exited(struct engine *engine, int status, const char *last_line)
{
    char why[ENGINE_TEXT_MAX];
    (void)snprintf(why, sizeof(why), "its process ended with %s %d%s%s",
                   status < 0 ? "signal" : "status", status < 0 ? -status : status,
                   last_line[0] ? ": " : "", last_line);
    bool meant = engine->stopping;
    engine->pid = 0;
    engine->starting = false;
    engine->stopping = false;
    engine->sleep_absent = false; /* the next process may have it */
    engine_forget_address(engine);
    struct engine_step_state *step = &engine->step;
    if (engine->step.finished) {
        step->result.ok = step->result.ok && step->to == SHUNT_TIER_STOPPED;
        step->result.tier = SHUNT_TIER_STOPPED;
        step->result.device_bytes = -1;
        return;
    }
    if (step->kind == STEP_NONE) {
        if (!meant) {
            engine->failures++;
            (void)snprintf(engine->last_error, sizeof(engine->last_error), "%s", why);
        }
        engine->resident = false;
        engine->services->lost(engine->services->ctx, engine, why);
        return;
    }
    step->result.device_bytes = -1;
    bool out = step->kind == STEP_CORE && step->step == CORE_STEP_OUT && !step->cancelled;
    /* Gone is as far out as it gets; anything else has failed. */
    engine_step_done(engine, out || step->kind == STEP_SETTLE, SHUNT_TIER_STOPPED, !out,
                     step->why[0] ? step->why : why);
}

static void step_begin(struct engine *engine, enum engine_kind_of_step kind, int64_t deadline_ns,
                       engine_done *done, void *ctx)
{
    assert(engine->step.kind == STEP_NONE);
    engine->step = (struct engine_step_state){.kind = kind,
                                              .deadline_ns = deadline_ns,
                                              .done = done,
                                              .ctx = ctx,
                                              .result.device_bytes = -1};
    if (deadline_ns < CORE_NEVER) {
        loop_timer_set(&engine->guard, deadline_ns);
    }
}

void engine_step(struct engine *engine, enum core_step step, uint32_t from_tier, uint32_t to_tier,
                 int64_t deadline_ns, engine_done *done, void *ctx)
{
    step_begin(engine, STEP_CORE, deadline_ns, done, ctx);
    engine->step.step = step;
    engine->step.from = from_tier;
    engine->step.to = to_tier;
    bool running = engine->pid || (engine_attached(engine) && engine->client);
    switch (step) {
    case CORE_STEP_OUT:
        if (!running) {
            engine_step_done(engine, true, SHUNT_TIER_STOPPED, false, NULL);
        } else if (to_tier == SHUNT_TIER_STOPPED) {
            if (engine->pid) {
                stop_process(engine);
            } else {
                engine_escalate(engine, "a server that shunt did not start is never ended");
            }
        } else {
            engine->driver->out(engine);
        }
        break;
    case CORE_STEP_IN:
        if (running) {
            engine->driver->in(engine);
        } else if (engine_attached(engine)) {
            engine_escalate(engine, "no server answers at %s", engine->model->url);
        } else {
            start_process(engine);
        }
        break;
    case CORE_STEP_PROBE:
        if (running) {
            engine->driver->probe(engine);
        } else {
            engine_escalate(engine, "it is gone");
        }
        break;
    case CORE_STEP_COUNT:
    default:
        assert(false);
    }
}

void engine_settle(struct engine *engine, int64_t deadline_ns, engine_done *done, void *ctx)
{
    step_begin(engine, STEP_SETTLE, deadline_ns, done, ctx);
    engine->step.to = SHUNT_TIER_ASLEEP;
    if (engine_attached(engine)) {
        char origin[ENGINE_ORIGIN_MAX];
        engine->step.from = SHUNT_TIER_ASLEEP;
        int rc = address_of(engine, 0, origin, sizeof(origin));
        rc = rc ? rc : engine_set_address(engine, origin);
        if (rc) {
            engine_escalate(engine, "%s: %s", engine->model->url, strerror(-rc));
            return;
        }
    }
    if (!engine->client) {
        engine_step_done(engine, true, SHUNT_TIER_STOPPED, false, NULL);
        return;
    }
    engine->driver->settle(engine);
}

void engine_adopt(struct engine *engine, pid_t pid, uint32_t port)
{
    char origin[ENGINE_ORIGIN_MAX];
    engine->pid = pid;
    engine->port = port;
    int rc = address_of(engine, port, origin, sizeof(origin));
    rc = rc ? rc : engine_set_address(engine, origin);
    if (rc) {
        say(SAY_ERROR, "engine_adopt", "%s: %s", engine->key, strerror(-rc));
    }
}

/* ------------------------------------------------------------------ looking */

static void figures_known(struct engine *engine, unsigned status, struct span body)
{
    struct engine_figures figures = {.running = UINT32_MAX,
                                     .waiting = UINT32_MAX,
                                     .kv_used_ratio = (double)NAN,
                                     .prefix_hit_ratio = (double)NAN,
                                     .device_bytes = -1,
                                     .sleeping = -1};
    if (status == 200 && engine->driver->figures(body, &figures)) {
        engine->services->figures(engine->services->ctx, engine, &figures);
    }
}

void engine_poll(struct engine *engine)
{
    if (engine->client && !engine->look.exchange && engine->step.kind == STEP_NONE) {
        (void)call_send(&engine->look, false, "/metrics", NULL,
                        engine_now_ns(engine) + LOOK_LIMIT_NS, figures_known);
    }
}

static void suspect_known(struct engine *engine, unsigned status, struct span body)
{
    if (status >= 200 && status < 300) {
        return;
    }
    if (engine->step.kind != STEP_NONE) {
        return; /* the step finds out by itself */
    }
    char why[ENGINE_TEXT_MAX];
    (void)snprintf(why, sizeof(why), "%s answers %u %.*s", engine->model->health_path, status,
                   status ? 0 : (int)body.len, body.data);
    (void)snprintf(engine->last_error, sizeof(engine->last_error), "%s", why);
    engine->failures++;
    engine->resident = false;
    if (engine->pid && !engine->stopping) {
        say(SAY_WARNING, "engine_sick", "%s: %s; its process is ended", engine->key, why);
        stop_process(engine); /* `lost` follows its end, when its memory is free */
    } else if (!engine->pid) {
        engine->services->lost(engine->services->ctx, engine, why);
    }
}

void engine_suspect(struct engine *engine)
{
    if (engine->client && !engine->look.exchange && engine->step.kind == STEP_NONE) {
        (void)call_send(&engine->look, false, engine->model->health_path, NULL,
                        engine_now_ns(engine) + LOOK_LIMIT_NS, suspect_known);
    }
}

/* ------------------------------------------------------------------ create, queries */

int engine_create(const struct engine_setup *setup, struct engine **ret_engine, char *err,
                  size_t err_size)
{
    const struct engine_driver *driver = driver_find(setup->model->engine);
    if (!driver) {
        (void)snprintf(err, err_size, "engine \"%s\" has no driver in this build",
                       config_engine_name(setup->model->engine));
        return -ENOTSUP;
    }
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine) {
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    engine->driver = driver;
    engine->services = setup->services;
    engine_reconfigure(engine, setup);
    engine->call.engine = engine;
    engine->look.engine = engine;
    engine->finish.run = on_finish;
    loop_timer_init(&engine->timer, setup->services->loop, on_timer);
    loop_timer_init(&engine->guard, setup->services->loop, on_guard);
    *ret_engine = engine;
    return 0;
}

void engine_reconfigure(struct engine *engine, const struct engine_setup *setup)
{
    (void)snprintf(engine->key, sizeof(engine->key), "%s", setup->key);
    engine->setup = *setup;
    engine->setup.key = engine->key;
    engine->model = setup->model;
}

void engine_destroy(struct engine *engine)
{
    if (!engine) {
        return;
    }
    loop_defer_cancel(engine->services->loop, &engine->finish);
    loop_timer_fini(&engine->timer);
    loop_timer_fini(&engine->guard);
    client_destroy(engine->client);
    free(engine->call.body);
    free(engine->look.body);
    free(engine);
}

static bool strings_same(const struct config_strings *a, const struct config_strings *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++) {
        same = strcmp(a->item[i], b->item[i]) == 0;
    }
    return same;
}

bool engine_same(const struct config_model *a, const struct config_model *b)
{
    return a->engine == b->engine && a->sleep_level == b->sleep_level &&
           strcmp(a->url, b->url) == 0 && strcmp(a->upstream_model, b->upstream_model) == 0 &&
           strings_same(&a->start, &b->start) && strings_same(&a->env, &b->env) &&
           strings_same(&a->emulate.args, &b->emulate.args) &&
           a->emulate.load_ns == b->emulate.load_ns && a->emulate.wake_ns == b->emulate.wake_ns &&
           a->emulate.sleep_ns == b->emulate.sleep_ns &&
           a->emulate.reload_ns == b->emulate.reload_ns &&
           a->emulate.ttft_ns == b->emulate.ttft_ns && a->emulate.token_ns == b->emulate.token_ns &&
           memcmp(a->memory.bytes, b->memory.bytes, sizeof(a->memory.bytes)) == 0;
}

const char *engine_key(const struct engine *engine)
{
    return engine->key;
}

const char *engine_origin(const struct engine *engine)
{
    return engine->origin;
}

const char *engine_driver(const struct engine *engine)
{
    return engine->driver->name;
}

const char *engine_upstream_model(const struct engine *engine)
{
    return engine->model->upstream_model[0] ? engine->model->upstream_model : engine->model->name;
}

int64_t engine_stop_timeout_ns(const struct engine *engine)
{
    return engine->model->stop_timeout_ns;
}

pid_t engine_pid(const struct engine *engine)
{
    return engine->pid;
}

uint32_t engine_instance(const struct engine *engine)
{
    return engine->setup.instance;
}

uint64_t engine_starts(const struct engine *engine)
{
    return engine->starts;
}

uint64_t engine_failures(const struct engine *engine)
{
    return engine->failures;
}

const char *engine_last_error(const struct engine *engine)
{
    return engine->last_error;
}
