/*
 * `shunt emulate`: an engine without a GPU, shaped as vLLM: OpenAI's API, sleep mode, metrics,
 * times that grow with prompt and batch, fake device memory shared between emulators, faults on
 * demand. It is strict where real engines are quiet: what does not fit ends loudly, a sleeping
 * engine refuses, weights that were dropped and not reloaded give nonsense. It computes nothing;
 * what it cannot tell anybody is how fast a real model is.
 */
#include "tools/emulate_priv.h"

#include "base/json_write.h"
#include "base/trace.h"
#include "tools/verbs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- Command line --------------------------------------------------------------------------------
 */

enum option_kind {
    OPT_TEXT,
    OPT_SECONDS,
    OPT_REAL,
    OPT_NS,
    OPT_US,
    OPT_MS,
    OPT_GIB,
    OPT_COUNT,
    OPT_FLAG
};

struct option_row {
    const char *name;
    enum option_kind kind;
    size_t offset;
    double min, max;
};

struct command {
    struct emulate_options o;
    int64_t port, slots;
    const char *socket, *model, *served, *service, *pool_report;
    double batch_slope;
    bool gave_weights;
};

#define COMMAND(member) offsetof(struct command, member)

static const struct option_row rows[] = {
    {"port", OPT_COUNT, COMMAND(port), 0, 65535},
    {"socket", OPT_TEXT, COMMAND(socket), 0, 0},
    {"model", OPT_TEXT, COMMAND(model), 0, 0},
    {"served-model-name", OPT_TEXT, COMMAND(served), 0, 0},
    {"max-num-seqs", OPT_COUNT, COMMAND(slots), 1, EMULATE_SLOTS_MAX},
    {"max-model-len", OPT_COUNT, COMMAND(o.model_len_max), 2, 1e9},
    {"enable-sleep-mode", OPT_FLAG, COMMAND(o.sleep_mode), 0, 0},
    {"load-s", OPT_SECONDS, COMMAND(o.load_ns), 0, 86400},
    {"sleep-s", OPT_SECONDS, COMMAND(o.sleep_ns[1]), 0, 86400},
    {"sleep2-s", OPT_SECONDS, COMMAND(o.sleep_ns[2]), 0, 86400},
    {"wake-s", OPT_SECONDS, COMMAND(o.wake_ns[1]), 0, 86400},
    {"wake2-s", OPT_SECONDS, COMMAND(o.wake_ns[2]), 0, 86400},
    {"reload-s", OPT_SECONDS, COMMAND(o.reload_ns), 0, 86400},
    {"service", OPT_TEXT, COMMAND(service), 0, 0},
    {"ttft-ms", OPT_MS, COMMAND(o.p0), 0, 3.6e6},
    {"prefill-token-us", OPT_US, COMMAND(o.p1), 0, 1e6},
    {"token-ms", OPT_MS, COMMAND(o.d0), 0, 3.6e6},
    {"batch-slope", OPT_REAL, COMMAND(batch_slope), 0, 100},
    {"token-batch-us", OPT_US, COMMAND(o.d1), 0, 1e9},
    {"token-context-ns", OPT_NS, COMMAND(o.d2), 0, 1e9},
    {"bytes-per-token", OPT_REAL, COMMAND(o.bytes_per_token), 0.01, 1e6},
    {"output-tokens", OPT_COUNT, COMMAND(o.output_tokens), 1, EMULATE_OUTPUT_MAX},
    {"time-scale", OPT_REAL, COMMAND(o.time_scale), 0.001, 1e6},
    {"resident-gib", OPT_GIB, COMMAND(o.resident_bytes), 0, 1e5},
    {"asleep-gib", OPT_GIB, COMMAND(o.asleep_bytes), 0, 1e5},
    {"weights-gib", OPT_GIB, COMMAND(o.weights_bytes), 0, 1e5},
    {"vram-pool", OPT_TEXT, COMMAND(o.pool_path), 0, 0},
    {"vram-gib", OPT_GIB, COMMAND(o.pool_bytes), 0, 1e6},
    {"pool-report", OPT_TEXT, COMMAND(pool_report), 0, 0},
};

static const struct option_row *row_find(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static int row_set(struct command *c, const struct option_row *row, const char *value)
{
    void *at = (char *)c + row->offset;
    if (row->kind == OPT_FLAG) {
        *(bool *)at = true;
        return VERB_DONE;
    }
    if (row->kind == OPT_TEXT) {
        *(const char **)at = value;
        return VERB_DONE;
    }
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    bool whole = row->kind != OPT_COUNT || strspn(value, "0123456789") == strlen(value);
    if (end == value || *end != '\0' || errno || !whole ||
        !(number >= row->min && number <= row->max)) {
        return verb_usage("emulate", "--%s wants %s from %g to %g, not \"%s\"", row->name,
                          row->kind == OPT_COUNT ? "a whole number" : "a number", row->min,
                          row->max, value);
    }
    switch (row->kind) {
    case OPT_SECONDS:
        *(int64_t *)at = (int64_t)(number * 1e9);
        break;
    case OPT_COUNT:
        *(int64_t *)at = (int64_t)number;
        break;
    case OPT_GIB:
        *(uint64_t *)at = (uint64_t)(number * 0x1p30);
        break;
    case OPT_MS:
        *(double *)at = number * 1e6;
        break;
    case OPT_US:
        *(double *)at = number * 1e3;
        break;
    case OPT_REAL:
    case OPT_NS:
        *(double *)at = number;
        break;
    case OPT_FLAG:
    case OPT_TEXT:
        break;
    }
    c->gave_weights = c->gave_weights || row->offset == COMMAND(o.weights_bytes);
    return VERB_DONE;
}

/* Measured on H800 with batching: see docs/EMULATE.md. All in ns. */
static int set_service(struct emulate_options *o, const char *service)
{
    if (strcmp(service, "7b") == 0) {
        o->p0 = 5.49e6;
        o->p1 = 22.9e3;
        o->d0 = 8.45e6;
        o->d1 = 107e3;
        o->d2 = 44;
    } else if (strcmp(service, "14b") == 0) {
        o->p0 = 7.76e6;
        o->p1 = 45.2e3;
        o->d0 = 13.26e6;
        o->d1 = 154e3;
        o->d2 = 145;
    } else {
        return verb_usage("emulate", "--service is 7b or 14b, not \"%s\"", service);
    }
    return VERB_DONE;
}

static int parse_one(struct command *c, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    if (strncmp(arg, "--", 2) != 0) {
        return verb_usage("emulate", "unexpected argument \"%s\"", arg);
    }
    const char *name = arg + 2;
    size_t len = strcspn(name, "=");
    bool fault = len == 5 && memcmp(name, "fault", 5) == 0;
    const struct option_row *row = fault ? NULL : row_find(name, len);
    if (!fault && !row) {
        return verb_usage("emulate", "there is no option \"%s\"", arg);
    }
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    if (!fault && row->kind == OPT_FLAG) {
        return value ? verb_usage("emulate", "--%s takes no value", row->name)
                     : row_set(c, row, NULL);
    }
    if (!value && ++*i == argc) {
        return verb_usage("emulate", "%s needs a value", arg);
    }
    value = value ? value : argv[*i];
    if (fault) {
        const char *wrong = faults_set(&c->o.faults, value);
        return wrong ? verb_usage("emulate", "--fault %s: %s", value, wrong) : VERB_DONE;
    }
    if (row->offset == COMMAND(service)) {
        return set_service(&c->o, value); /* at once: later options refine it */
    }
    return row_set(c, row, value);
}

static int check_names(struct emulate_options *o)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._-/:@+";
    for (size_t i = 0; i < o->models_len; i++) {
        size_t len = strlen(o->models[i]);
        if (len == 0 || len > 200 || strspn(o->models[i], legal) != len) {
            return verb_usage("emulate",
                              "a model's name has 1 to 200 letters, digits or ._-/:@+, "
                              "not \"%s\"",
                              o->models[i]);
        }
    }
    return VERB_DONE;
}

static int set_models(struct command *c, char *served)
{
    struct emulate_options *o = &c->o;
    char *rest = served;
    for (char *name; rest && (name = strsep(&rest, ", "));) {
        if (*name == '\0') {
            continue;
        }
        if (o->models_len == EMULATE_MODELS_MAX) {
            return verb_usage("emulate", "at most %d served names", EMULATE_MODELS_MAX);
        }
        o->models[o->models_len++] = name;
    }
    if (o->models_len == 0) {
        return verb_usage("emulate", "--model NAME is missing");
    }
    return check_names(o);
}

static int check_memory(struct command *c)
{
    struct emulate_options *o = &c->o;
    if (o->asleep_bytes > o->resident_bytes) {
        return verb_usage("emulate", "--asleep-gib is above --resident-gib");
    }
    uint64_t movable = o->resident_bytes - o->asleep_bytes;
    if (!c->gave_weights) {
        o->weights_bytes = movable / 5 * 4;
    }
    if (o->weights_bytes > movable) {
        return verb_usage("emulate", "--weights-gib and --asleep-gib are above --resident-gib");
    }
    if ((o->pool_path != NULL) != (o->pool_bytes > 0)) {
        return verb_usage("emulate", "--vram-pool FILE and --vram-gib N go together");
    }
    return VERB_DONE;
}

static int parse(struct command *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int status = parse_one(c, argc, argv, &i);
        if (status) {
            return status;
        }
    }
    /* The slope is a share of both times; an explicit --token-batch-us stands. */
    if (c->batch_slope > 0 && c->o.d1 <= 0) {
        c->o.d1 = c->o.d0 * c->batch_slope;
        c->o.d0 -= c->o.d1;
        c->o.d0 = c->o.d0 > 0 ? c->o.d0 : 0;
    }
    c->o.slots_max = (unsigned)c->slots;
    return c->pool_report ? VERB_DONE : check_memory(c);
}

/* --- The report of a pool --- */

static int pool_report(const char *path)
{
    static char text[65536];
    struct pool *pool;
    struct pool_report report;
    int rc = pool_open(&pool, path, 0, "report");
    if (rc) {
        (void)fprintf(stderr, "shunt emulate: %s: cannot read the pool: %s\n", path,
                      rc == -EINVAL ? "the file is none" : strerror(-rc));
        return VERB_USAGE;
    }
    pool_read(pool, &report);
    pool_close(pool);
    struct json_write w;
    struct span out;
    json_write_init(&w, text, sizeof text);
    json_write_object(&w);
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"budget_bytes", report.budget_bytes}, {"used_bytes", report.used_bytes},
        {"peak_bytes", report.peak_bytes},     {"allocations", report.allocations},
        {"refusals", report.refusals},         {"reclaimed", report.reclaimed},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        json_write_key(&w, numbers[i].key);
        json_write_uint(&w, numbers[i].value);
    }
    json_write_key(&w, "last_refusal");
    json_write_string(&w, report.last_refusal);
    json_write_key(&w, "holders");
    json_write_array(&w);
    for (size_t i = 0; i < POOL_HOLDERS_MAX; i++) {
        if (report.holders[i].pid != 0) {
            json_write_object(&w);
            json_write_key(&w, "name");
            json_write_string(&w, report.holders[i].name);
            json_write_key(&w, "pid");
            json_write_int(&w, report.holders[i].pid);
            json_write_key(&w, "bytes");
            json_write_uint(&w, report.holders[i].bytes);
            json_write_object_end(&w);
        }
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    bool done = json_write_done(&w, &out);
    assert(done);
    printf("%.*s\n", (int)out.len, out.data);
    return report.refusals ? VERB_FAILED : VERB_DONE;
}

/* --- Life --- */

static void stop(struct emulator *e, int status)
{
    e->exit_status = status;
    loop_stop(e->loop);
}

static void on_signal(struct loop_signal *sig, int signum)
{
    (void)signum;
    loop_stop(sig->loop);
}

static void on_dying(struct loop_timer *timer)
{
    (void)timer;
    (void)fprintf(stderr, "shunt emulate: dying now (fault on demand)\n");
    _exit(1); /* as a crash: nothing is closed or given back in order */
}

static int take_memory(struct emulator *e)
{
    const struct emulate_options *o = &e->options;
    if (!o->pool_path) {
        return VERB_DONE;
    }
    int rc = pool_open(&e->pool, o->pool_path, o->pool_bytes, o->models[0]);
    if (rc) {
        (void)fprintf(stderr, "shunt emulate: %s: cannot use the memory pool: %s\n", o->pool_path,
                      rc == -EEXIST   ? "it was made with another --vram-gib"
                      : rc == -EINVAL ? "the file is none"
                                      : strerror(-rc));
        return VERB_USAGE;
    }
    if (pool_set(e->pool, control_bytes(e))) {
        struct pool_report report;
        pool_read(e->pool, &report);
        (void)fprintf(stderr,
                      "shunt emulate: %s: torch.OutOfMemoryError: CUDA out of memory. Tried to "
                      "allocate %.2f GiB. The device has %.2f GiB, of which %.2f GiB are in use "
                      "(%s)\n",
                      o->models[0], (double)control_bytes(e) / 0x1p30,
                      (double)report.budget_bytes / 0x1p30, (double)report.used_bytes / 0x1p30,
                      report.last_refusal);
        return VERB_FAILED;
    }
    return VERB_DONE;
}

/* As a real engine does, the port opens only when the weights are there. */
static void on_loaded(struct loop_timer *timer)
{
    struct emulator *e = EMULATOR_OF(timer, control);
    const struct emulate_options *o = &e->options;
    if (o->faults.load_fails) {
        (void)fprintf(stderr, "shunt emulate: %s: loading failed (fault on demand)\n",
                      o->models[0]);
        stop(e, VERB_FAILED);
        return;
    }
    int rc = server_listen(e->server, o->listen);
    if (rc) {
        (void)fprintf(stderr, "shunt emulate: cannot listen on %s: %s\n", o->listen, strerror(-rc));
        stop(e, VERB_FAILED);
        return;
    }
    loop_timer_fini(&e->control);
    loop_timer_init(&e->control, e->loop, control_fired);
    if (server_port(e->server)) {
        printf("ready %s http://127.0.0.1:%u\n", o->models[0], server_port(e->server));
    } else {
        printf("ready %s %s\n", o->models[0], o->listen);
    }
    (void)fflush(stdout);
}

static int start(struct emulator *e)
{
    struct server_options options = server_options_default;
    options.conns_max = 65536;
    int rc = loop_create(&e->loop);
    rc = rc ? rc : server_create(e->loop, &options, &emulate_ops, e, &e->server);
    rc = rc ? rc : loop_signal_init(&e->interrupt, e->loop, SIGINT, on_signal);
    rc = rc ? rc : loop_signal_init(&e->terminate, e->loop, SIGTERM, on_signal);
    if (rc) {
        (void)fprintf(stderr, "shunt emulate: cannot start: %s\n", strerror(-rc));
        return VERB_FAILED;
    }
    loop_timer_init(&e->step, e->loop, engine_step_fired);
    loop_timer_init(&e->dying, e->loop, on_dying);
    loop_timer_init(&e->control, e->loop, on_loaded);
    e->resident = TAG_ALL;
    e->weights_valid = true;
    loop_timer_set(&e->control,
                   loop_now_ns(e->loop) + engine_scaled_ns(e, (double)e->options.load_ns));
    return VERB_DONE;
}

/* Requests whose clients have gone but that the engine still held. */
static void list_free(struct request_list *list)
{
    while (list->first) {
        struct request *r = list->first;
        request_list_remove(list, r);
        request_free(r);
    }
}

static int run(struct emulator *e)
{
    e->resident = TAG_ALL;
    int status = take_memory(e);
    if (status == VERB_DONE) {
        status = start(e);
    }
    if (status == VERB_DONE) {
        int rc = loop_run(e->loop);
        status = rc ? VERB_FAILED : e->exit_status;
        server_destroy(e->server);
        list_free(&e->running);
        list_free(&e->waiting);
        list_free(&e->controls);
        loop_timer_fini(&e->step);
        loop_timer_fini(&e->dying);
        loop_timer_fini(&e->control);
        loop_signal_fini(&e->interrupt);
        loop_signal_fini(&e->terminate);
        loop_destroy(e->loop);
    }
    pool_close(e->pool);
    return status;
}

int verb_emulate(int argc, char **argv)
{
    const char *dev = getenv("VLLM_SERVER_DEV_MODE");
    struct command c = {
        .port = 8000,
        .slots = 256,
        .o = {.dev_mode = dev && strcmp(dev, "1") == 0,
              .model_len_max = 32768,
              .load_ns = 8000000000,
              .sleep_ns = {0, 500000000, 500000000},
              .wake_ns = {0, 1500000000, 200000000},
              .reload_ns = 4000000000,
              .p0 = 60e6,
              .d0 = 12e6,
              .bytes_per_token = 4,
              .output_tokens = 128,
              .time_scale = 1},
    };
    int status = parse(&c, argc, argv);
    if (status) {
        return status;
    }
    if (c.pool_report) {
        return pool_report(c.pool_report);
    }
    char listen[256];
    if (c.socket) {
        (void)snprintf(listen, sizeof listen, "unix:%s", c.socket);
    } else {
        (void)snprintf(listen, sizeof listen, "127.0.0.1:%" PRId64, c.port);
    }
    c.o.listen = listen;
    char *served = strdup(c.served ? c.served : c.model ? c.model : "");
    if (!served) {
        return VERB_FAILED;
    }
    struct emulator *e = calloc(1, sizeof *e);
    status = e ? set_models(&c, served) : VERB_FAILED;
    if (status == VERB_DONE) {
        e->options = c.o;
        status = run(e);
    }
    free(e);
    free(served);
    return status;
}
