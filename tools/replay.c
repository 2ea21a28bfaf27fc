/*
 * `shunt replay`: plays arrivals over HTTP, open loop. A request is sent at its time whatever
 * became of those before it, and every time is counted from when it was due, so that a slow server
 * cannot slow the load down and hide behind it. What came late for reasons of this program is
 * reported beside.
 */
#include "tools/replay_priv.h"

#include "base/yaml.h"
#include "tools/verbs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* --- Command line --- */

struct command {
    struct replay *r;
    const char *file, *model, *format;
    struct trace_format mapping;
    bool mapped;
    struct arrivals_bound from, to;
    double stretch;
    uint64_t seed, requests_max;
    double horizon_s;
    const char *traces[ARRIVALS_SOURCES_MAX]; /* "FILE=MODEL" of --trace */
    size_t traces_len;
    const char *renames[ARRIVALS_MAP_MAX]; /* "TEXT=MODEL" */
    size_t renames_len;
};

static int parse_number(const char *name, const char *value, double min, double max, double *ret)
{
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || errno || !(number >= min && number <= max)) {
        return verb_usage("replay", "%s wants a number from %g to %g, not \"%s\"", name, min, max,
                          value);
    }
    *ret = number;
    return VERB_DONE;
}

static int parse_bound(const char *name, const char *value, struct arrivals_bound *bound)
{
    double seconds;
    bound->set = true;
    if (datetime_parse(value, strlen(value), &bound->ns) == 0) {
        bound->absolute = true;
        return VERB_DONE;
    }
    int status = parse_number(name, value, 0, 1e9, &seconds);
    bound->ns = status ? 0 : (int64_t)llround(seconds * 1e9);
    return status;
}

/* "time_s=t,model=cls": the columns of a trace. */
static int parse_columns(struct command *c, char *value)
{
    char err[256];
    for (char *pair; (pair = strsep(&value, ","));) {
        char *equals = strchr(pair, '=');
        if (!equals) {
            return verb_usage("replay", "--map wants KEY=COLUMN,..., not \"%s\"", pair);
        }
        *equals = '\0';
        if (trace_format_set(&c->mapping, pair, equals + 1, err, sizeof err)) {
            return verb_usage("replay", "--map: %s", err);
        }
    }
    c->mapped = true;
    return VERB_DONE;
}

static int parse_integer(const char *name, const char *value, uint64_t *ret)
{
    int64_t number;
    size_t len = strlen(value);
    if (strspn(value, "0123456789") != len || decimal_parse(value, len, 0, &number)) {
        return verb_usage("replay", "%s wants a whole number, not \"%s\"", name, value);
    }
    *ret = (uint64_t)number;
    return VERB_DONE;
}

/* Options with a value. */
static int parse_value(struct command *c, const char *name, char *value)
{
    struct replay_options *o = &c->r->options;
    double number = 0;
    int status = VERB_DONE;
    if (strcmp(name, "--target") == 0) {
        o->target = value;
    } else if (strcmp(name, "--model") == 0) {
        c->model = value;
    } else if (strcmp(name, "--map") == 0) {
        status = parse_columns(c, value);
    } else if (strcmp(name, "--format") == 0) {
        c->format = value;
    } else if (strcmp(name, "--trace") == 0 && c->traces_len < ARRIVALS_SOURCES_MAX) {
        c->traces[c->traces_len++] = value;
    } else if (strcmp(name, "--rename") == 0 && c->renames_len < ARRIVALS_MAP_MAX) {
        c->renames[c->renames_len++] = value;
    } else if (strcmp(name, "--time-scale") == 0) {
        status = parse_number(name, value, 1e-3, 1e6, &o->time_scale);
    } else if (strcmp(name, "--stretch") == 0) {
        status = parse_number(name, value, 1e-6, 1e6, &c->stretch);
    } else if (strcmp(name, "--from") == 0) {
        status = parse_bound(name, value, &c->from);
    } else if (strcmp(name, "--to") == 0) {
        status = parse_bound(name, value, &c->to);
    } else if (strcmp(name, "--log") == 0) {
        o->log_path = value;
    } else if (strcmp(name, "--api-key") == 0) {
        o->api_key = value;
    } else if (strcmp(name, "--seed") == 0) {
        status = parse_integer(name, value, &c->seed);
    } else if (strcmp(name, "--requests") == 0) {
        status = parse_integer(name, value, &c->requests_max);
    } else if (strcmp(name, "--horizon-s") == 0) {
        status = parse_number(name, value, 1e-3, 1e9, &c->horizon_s);
    } else if (strcmp(name, "--timeout-s") == 0) {
        status = parse_number(name, value, 1e-3, 1e7, &o->timeout_s);
    } else if (strcmp(name, "--bytes-per-token") == 0) {
        status = parse_number(name, value, 0.01, 100, &o->bytes_per_token);
    } else if (strcmp(name, "--prompt-bytes-max") == 0) {
        status = parse_number(name, value, 0, 16 << 20, &number);
        o->prompt_bytes_max = (int64_t)number;
    } else if (strcmp(name, "--endpoint") == 0) {
        o->completions = strcmp(value, "completions") == 0;
        if (!o->completions && strcmp(value, "chat") != 0) {
            status = verb_usage("replay", "--endpoint is chat or completions, not \"%s\"", value);
        }
    } else {
        status = verb_usage("replay", "there is no option \"%s\" (or it stands too often)", name);
    }
    return status;
}

static int parse_one(struct command *c, int argc, char **argv, int *i)
{
    struct replay_options *o = &c->r->options;
    char *arg = argv[*i];
    if (strncmp(arg, "--", 2) != 0) {
        if (c->file) {
            return verb_usage("replay", "one file at a time, not \"%s\" too (see --trace)", arg);
        }
        c->file = arg;
    } else if (strcmp(arg, "--json") == 0) {
        o->json = true;
    } else if (strcmp(arg, "--check") == 0) {
        o->check = true;
    } else if (strcmp(arg, "--stream") == 0) {
        o->stream = true;
    } else if (strcmp(arg, "--no-stream") == 0) {
        o->stream = false;
    } else {
        char *value = strchr(arg, '=');
        if (value) {
            *value++ = '\0';
        } else if (++*i < argc) {
            value = argv[*i];
        } else {
            return verb_usage("replay", "%s needs a value", arg);
        }
        return parse_value(c, arg, value);
    }
    return VERB_DONE;
}

/* --- What to play --- */

static int input_error(const char *text)
{
    (void)fprintf(stderr, "shunt replay: %s\n", text);
    return VERB_USAGE;
}

static bool is_yaml(const char *path)
{
    size_t len = strlen(path);
    return (len > 5 && strcmp(path + len - 5, ".yaml") == 0) ||
           (len > 4 && strcmp(path + len - 4, ".yml") == 0);
}

/* A replay file: `arrivals:`, and optionally requests, horizon_s, seed and time_scale. */
static int read_yaml(struct command *c, struct yaml *yaml, const char *folder)
{
    struct yaml_node *root = yaml_root(yaml), *list;
    int64_t requests = 0, seed = 0;
    int rc = yaml_sequence(yaml, root, "arrivals", &list);
    if (rc == -ENOENT) {
        return yaml_fail(yaml, root, "`arrivals` is missing");
    }
    rc = rc ? rc : arrivals_load(&c->r->spec, yaml, list, folder, getenv("SHUNT_TRACES"));
    const struct {
        const char *key;
        int rc;
    } optional[] = {
        {"requests", rc ? 0 : yaml_int(yaml, root, "requests", 1, INT64_MAX, &requests)},
        {"seed", rc ? 0 : yaml_int(yaml, root, "seed", 0, INT64_MAX, &seed)},
        {"horizon_s", rc ? 0 : yaml_real(yaml, root, "horizon_s", 1e-3, 1e9, &c->horizon_s)},
        {"time_scale",
         rc ? 0 : yaml_real(yaml, root, "time_scale", 1e-3, 1e6, &c->r->options.time_scale)},
    };
    for (size_t i = 0; rc == 0 && i < sizeof optional / sizeof *optional; i++) {
        rc = optional[i].rc == -ENOENT ? 0 : optional[i].rc;
    }
    c->requests_max = requests > 0 ? (uint64_t)requests : c->requests_max;
    c->seed = seed > 0 ? (uint64_t)seed : c->seed;
    return rc ? rc : yaml_end(yaml, root);
}

static int load_yaml(struct command *c)
{
    char err[1024];
    struct yaml *yaml;
    if (yaml_load(c->file, &yaml, err, sizeof err)) {
        return input_error(err);
    }
    char *copy = strdup(c->file);
    int rc = copy ? read_yaml(c, yaml, dirname(copy)) : -ENOMEM;
    free(copy);
    int status =
        rc == 0 ? VERB_DONE : input_error(rc == -EINVAL ? yaml_error(yaml) : strerror(-rc));
    yaml_free(yaml);
    return status;
}

static int add_renames(struct command *c, struct arrivals_source *source)
{
    source->map = calloc(c->renames_len, sizeof *source->map);
    if (!source->map) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < c->renames_len; i++) {
        struct arrivals_map *entry = &source->map[i];
        const char *equals = strrchr(c->renames[i], '=');
        size_t len = equals ? (size_t)(equals - c->renames[i]) : TRACE_TEXT_MAX;
        if (len >= TRACE_TEXT_MAX) {
            return -EINVAL;
        }
        memcpy(entry->text, c->renames[i], len);
        int rc = arrivals_model(&c->r->spec, equals + 1, &entry->model);
        if (rc) {
            return rc;
        }
        source->map_len++;
    }
    return 0;
}

/* FILE, or FILE=MODEL. */
static int add_trace(struct command *c, const char *text, const char *model)
{
    const struct trace_format *format =
        c->mapped ? &c->mapping : trace_format_find(c->format ? c->format : "azure-llm-2023");
    struct arrivals_source *source;
    if (!format) {
        return verb_usage("replay", "there is no trace format \"%s\" (known: %s; or --map)",
                          c->format, trace_format_names());
    }
    int rc = arrivals_source_add(&c->r->spec, ARRIVALS_TRACE, &source);
    if (rc) {
        return input_error(strerror(-rc));
    }
    const char *equals = model ? NULL : strrchr(text, '=');
    source->path = strndup(text, equals ? (size_t)(equals - text) : strlen(text));
    source->format = *format;
    source->t0_shared = true;
    source->stretch = c->stretch;
    source->from = c->from;
    source->to = c->to;
    model = equals ? equals + 1 : model;
    if (model) {
        uint32_t number;
        rc = arrivals_model(&c->r->spec, model, &number);
        source->model = rc ? -1 : (int64_t)number;
    } else if (c->renames_len > 0) {
        rc = add_renames(c, source);
    } else {
        return verb_usage(
            "replay", "%s: which model? Say --model M, --trace FILE=M, or --rename TEXT=M", text);
    }
    return rc ? input_error(rc == -EINVAL ? "--rename wants TEXT=MODEL" : strerror(-rc))
              : VERB_DONE;
}

static int load(struct command *c)
{
    if (!c->file && c->traces_len == 0) {
        return verb_usage("replay", "which trace? Name a file");
    }
    if (!c->r->options.target) {
        return verb_usage("replay", "--target URL is missing");
    }
    int status = VERB_DONE;
    if (c->file) {
        status = is_yaml(c->file) ? load_yaml(c) : add_trace(c, c->file, c->model);
    }
    for (size_t i = 0; status == VERB_DONE && i < c->traces_len; i++) {
        status = add_trace(c, c->traces[i], NULL);
    }
    return status;
}

/* --- Pacing --- */

static int64_t due_ns(const struct replay *r)
{
    return r->start_ns + (int64_t)((double)r->next.t_ns / r->options.time_scale);
}

static void advance(struct replay *r)
{
    char err[ARRIVALS_ERROR_MAX];
    int rc = arrivals_next(r->arrivals, &r->next, err, sizeof err);
    r->have_next = rc == 1;
    if (rc < 0) {
        (void)snprintf(r->failure, sizeof r->failure, "%s", err);
    }
}

void replay_request_over(struct replay *r)
{
    if (!r->have_next && r->in_flight == 0) {
        loop_stop(r->loop);
    }
}

static void on_pace(struct loop_timer *timer)
{
    struct replay *r = (struct replay *)(void *)((char *)timer - offsetof(struct replay, pace));
    /* A few at a time: answers must be read between them, or their times would be ours. */
    for (unsigned i = 0; i < 64 && r->have_next && due_ns(r) <= loop_now_ns(r->loop); i++) {
        int rc = replay_send(r, &r->next, due_ns(r));
        if (rc) {
            (void)snprintf(r->failure, sizeof r->failure, "cannot send: %s", strerror(-rc));
            r->have_next = false;
            break;
        }
        advance(r);
    }
    if (r->have_next) {
        loop_timer_set(&r->pace, due_ns(r));
    }
    replay_request_over(r);
}

static void on_progress(struct loop_timer *timer)
{
    struct replay *r = (struct replay *)(void *)((char *)timer - offsetof(struct replay, progress));
    replay_progress(r, false);
    loop_timer_set(timer, loop_now_ns(r->loop) + 500000000);
}

static void stop_orderly(struct replay *r)
{
    r->interrupted = true;
    r->have_next = false;
    loop_stop(r->loop);
}

static void on_interrupt(struct loop_signal *sig, int signum)
{
    (void)signum;
    stop_orderly((struct replay *)(void *)((char *)sig - offsetof(struct replay, interrupt)));
}

static void on_terminate(struct loop_signal *sig, int signum)
{
    (void)signum;
    stop_orderly((struct replay *)(void *)((char *)sig - offsetof(struct replay, terminate)));
}

/* --- Life --- */

/* "http://HOST:PORT[/]", "unix:PATH" or "HOST:PORT" as the client's origin. */
static int make_client(struct replay *r)
{
    char origin[512];
    const char *target = r->options.target;
    size_t skip = strncmp(target, "http://", 7) == 0 ? 7 : 0;
    (void)snprintf(origin, sizeof origin, "%s", target + skip);
    size_t len = strlen(origin);
    if (skip && len > 0 && origin[len - 1] == '/') {
        origin[--len] = '\0';
    }
    if (strncmp(origin, "unix:", 5) != 0 && !strrchr(origin, ':')) {
        (void)snprintf(origin + len, sizeof origin - len, ":80");
    }
    struct client_options options = client_options_default;
    options.origin = origin;
    int rc = client_create(r->loop, &options, &r->client);
    if (rc) {
        (void)fprintf(stderr, "shunt replay: --target %s: %s\n", target,
                      rc == -EINVAL ? "not http://HOST:PORT or unix:PATH" : strerror(-rc));
        return VERB_USAGE;
    }
    return VERB_DONE;
}

/* Connections are as many as the server is slow: take all descriptors that there are. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void make_filler(struct replay *r)
{
    static const char words[] = "the quick brown fox jumps over the lazy dog and ";
    for (size_t i = 0; i < (size_t)r->options.prompt_bytes_max; i++) {
        r->filler[i] = words[i % (sizeof words - 1)];
    }
}

static int prepare(struct command *c)
{
    struct replay *r = c->r;
    char err[ARRIVALS_ERROR_MAX];
    const struct arrivals_options options = {.seed = c->seed,
                                             .requests_max = c->requests_max,
                                             .horizon_ns = (int64_t)(c->horizon_s * 1e9)};
    for (size_t i = 0; i < r->spec.sources_len; i++) {
        if (arrivals_endless(&r->spec.sources[i]) && c->requests_max == 0 && c->horizon_s <= 0) {
            return verb_usage("replay", "drawn arrivals have no end: say requests or horizon_s");
        }
    }
    if (arrivals_closed(&r->spec)) {
        return verb_usage("replay", "sessions wait for their answers, but a replay sends by the "
                                    "clock alone: leave them out");
    }
    if (arrivals_create(&r->arrivals, &r->spec, &options, err, sizeof err)) {
        return input_error(err);
    }
    r->models = calloc(r->spec.models_len ? r->spec.models_len : 1, sizeof *r->models);
    r->filler = malloc((size_t)r->options.prompt_bytes_max + 1);
    if (!r->models || !r->filler) {
        return input_error("out of memory");
    }
    make_filler(r);
    if (r->options.log_path) {
        r->log = fopen(r->options.log_path, "we");
        if (!r->log) {
            (void)fprintf(stderr, "shunt replay: --log %s: %s\n", r->options.log_path,
                          strerror(errno));
            return VERB_USAGE;
        }
    }
    raise_descriptors();
    int rc = loop_create(&r->loop);
    return rc ? input_error(strerror(-rc)) : make_client(r);
}

static int play(struct replay *r)
{
    if (!r->options.json) {
        for (size_t i = 0; i < r->spec.sources_len; i++) {
            char text[512];
            arrivals_describe(&r->spec, i, text, sizeof text);
            (void)fprintf(stderr, "%s\n", text);
        }
    }
    int rc = loop_signal_init(&r->interrupt, r->loop, SIGINT, on_interrupt);
    rc = rc ? rc : loop_signal_init(&r->terminate, r->loop, SIGTERM, on_terminate);
    if (rc) {
        return input_error(strerror(-rc));
    }
    loop_timer_init(&r->pace, r->loop, on_pace);
    loop_timer_init(&r->progress, r->loop, on_progress);
    r->start_ns = loop_now_ns(r->loop);
    advance(r);
    loop_timer_set(&r->pace, r->start_ns);
    loop_timer_set(&r->progress, r->start_ns + 500000000);
    rc = loop_run(r->loop);
    replay_cancel_all(r);
    replay_progress(r, true);
    replay_summary(r);
    loop_timer_fini(&r->pace);
    loop_timer_fini(&r->progress);
    loop_signal_fini(&r->interrupt);
    loop_signal_fini(&r->terminate);
    if (r->failure[0]) {
        return input_error(r->failure); /* the summary above is of the part before it */
    }
    return rc || r->failed > 0 || r->interrupted ? VERB_FAILED : VERB_DONE;
}

static void replay_fini(struct replay *r)
{
    if (r->log && fclose(r->log)) {
        (void)fprintf(stderr, "shunt replay: --log %s: %s\n", r->options.log_path, strerror(errno));
    }
    client_destroy(r->client);
    loop_destroy(r->loop);
    arrivals_destroy(r->arrivals);
    arrivals_spec_fini(&r->spec);
    free(r->models);
    free(r->filler);
}

int verb_replay(int argc, char **argv)
{
    struct replay *r = calloc(1, sizeof *r);
    struct command *c = calloc(1, sizeof *c);
    int status = VERB_FAILED;
    if (r && c) {
        c->r = r;
        c->stretch = 1;
        r->options = (struct replay_options){.time_scale = 1,
                                             .bytes_per_token = 4,
                                             .timeout_s = 3600,
                                             .prompt_bytes_max = 65536,
                                             .stream = true};
        status = VERB_DONE;
        for (int i = 1; status == VERB_DONE && i < argc; i++) {
            status = parse_one(c, argc, argv, &i);
        }
        status = status ? status : load(c);
        status = status ? status : prepare(c);
        status = status ? status : play(r);
        replay_fini(r);
    }
    free(c);
    free(r);
    return status;
}
