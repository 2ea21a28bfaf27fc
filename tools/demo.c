/*
 * `shunt demo`: many models on one GPU in two minutes, without a GPU. It starts a host with three
 * emulated models of which one fits at a time, plays a stretch of arrivals under fifo, replaces the
 * policy while requests wait, plays the same stretch under amortized, and shows the two side by
 * side. It is a demonstration: what it prints is what happened once.
 *
 * Both plays begin alike: the same burst over all models came before, so that the host has met
 * every switch, then the same model was made resident and nothing waits.
 */
#include "tools/demo_priv.h"

#include "tools/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char first_policy[] = "fifo";
static const char player_summary[] = "replay.json";
static const int64_t host_patience_ns = INT64_C(10) * 1000000000;
static const int64_t player_patience_ns = INT64_C(3) * 1000000000;
/* Share of --minutes that the arrivals of one play take; the rest is start, bursts and drains. */
static const double play_share = 0.42;
/* A play that takes so much longer than its arrivals has met an overload that will not end. */
static const double patience_factor = 20;

int demo_fail(struct demo *d, int error, const char *format, ...)
{
    va_list args;
    if (d->error[0] == '\0') { /* the first cause counts */
        va_start(args, format);
        (void)vsnprintf(d->error, sizeof d->error, format, args);
        va_end(args);
    }
    return error;
}

double demo_clock_s(const struct demo *d)
{
    return (double)(loop_now_ns(d->loop) - d->begin_ns) / 1e9 * d->options.time_scale;
}

void demo_path(const struct demo *d, char to[DEMO_PATH_MAX], const char *name)
{
    (void)snprintf(to, DEMO_PATH_MAX, "%s/%s", d->folder, name);
}

/* --- Command line ----------------------------------------------------------------------------- */

static int parse_number(const char *name, const char *value, double min, double max, double *ret)
{
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || errno || !(number >= min && number <= max)) {
        return verb_usage("demo", "%s wants a number from %g to %g, not \"%s\"", name, min, max,
                          value);
    }
    *ret = number;
    return VERB_DONE;
}

static int parse_value(struct demo_options *o, const char *name, const char *value)
{
    double number = 0;
    int status = VERB_DONE;
    if (strcmp(name, "--time-scale") == 0) {
        status = parse_number(name, value, 0.1, 1000, &o->time_scale);
    } else if (strcmp(name, "--minutes") == 0) {
        status = parse_number(name, value, 0.05, 600, &o->minutes);
    } else if (strcmp(name, "--load") == 0) {
        status = parse_number(name, value, 0.01, 2, &o->load);
    } else if (strcmp(name, "--port") == 0) {
        status = parse_number(name, value, 1, 65535, &number);
        o->port = (int)number;
    } else if (strcmp(name, "--policy") == 0) {
        o->policy = value;
    } else if (strcmp(name, "--keep") == 0) {
        o->folder = value;
    } else {
        status = verb_usage("demo", "there is no option \"%s\"", name);
    }
    return status;
}

static int parse(struct demo_options *o, int argc, char **argv)
{
    int status = VERB_DONE;
    for (int i = 1; i < argc && status == VERB_DONE; i++) {
        char name[32];
        const char *equals = strchr(argv[i], '=');
        size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        (void)snprintf(name, sizeof name, "%.*s", len < sizeof name ? (int)len : 31, argv[i]);
        if (strcmp(argv[i], "--serve") == 0) {
            o->serve = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
        } else if (equals) {
            status = parse_value(o, name, equals + 1);
        } else if (i + 1 < argc) {
            status = parse_value(o, name, argv[i + 1]);
            i++;
        } else {
            status = strncmp(name, "--", 2) == 0
                         ? verb_usage("demo", "%s is not understood, or needs a value", name)
                         : verb_usage("demo", "unexpected argument \"%s\"", argv[i]);
        }
    }
    return status;
}

/* --- Acts ------------------------------------------------------------------------------------- */

static bool checker_over(struct demo *d)
{
    return demo_child_over(&d->checker);
}

/* The second policy is judged before anybody waits for it: `shunt serve --check`. */
static int check_policy(struct demo *d)
{
    char config[DEMO_PATH_MAX], report[DEMO_PATH_MAX];
    demo_path(d, config, "check.cfg");
    demo_path(d, report, "check.txt");
    const char *const argv[] = {"serve", "-c", config, "--check", NULL};
    int rc = demo_config_write(d, "check.cfg", d->policy);
    rc = rc ? rc : demo_child_start(d, &d->checker, argv, report);
    rc = rc ? rc : demo_wait(d, checker_over, 60, "`shunt serve --check`");
    if (rc == 0 && d->checker.status) {
        rc = demo_fail(d, -EINVAL, "--policy %s cannot be used", d->options.policy);
    }
    return rc;
}

/* Ready, and every engine has loaded: one is resident, the others sleep. */
static bool host_ready(struct demo *d)
{
    size_t loaded = 0;
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        const char *state = d->status.models[i].state;
        loaded += strcmp(state, "asleep") == 0 || strcmp(state, "resident") == 0;
    }
    return d->status.ready && loaded == DEMO_MODELS;
}

static int start_host(struct demo *d)
{
    char config[DEMO_PATH_MAX];
    demo_path(d, config, "shunt.cfg");
    const char *const argv[] = {"serve", "-c", config, "--from-config", NULL};
    int rc = demo_port_choose(d);
    rc = rc ? rc : demo_config_write(d, "shunt.cfg", first_policy);
    rc = rc ? rc : demo_child_start(d, &d->host, argv, NULL);
    rc = rc ? rc : demo_host_watch(d);
    rc =
        rc ? rc : demo_wait(d, host_ready, 60 + 120 / d->options.time_scale, "the engines to load");
    if (rc == 0 && !demo_host_answers(d, "/readyz")) {
        rc = demo_fail(d, -EPROTO, "the host says that it is ready, but GET /readyz fails");
    }
    return rc;
}

static bool player_over(struct demo *d)
{
    return demo_child_over(&d->player);
}

/* Begins to send the requests of FILE. */
static int start_player(struct demo *d, const char *file, const char *log)
{
    char csv[DEMO_PATH_MAX], lines[DEMO_PATH_MAX], summary[DEMO_PATH_MAX];
    char target[64], scale[32], renames[DEMO_MODELS][96];
    demo_path(d, csv, file);
    demo_path(d, lines, log);
    demo_path(d, summary, player_summary);
    (void)snprintf(target, sizeof target, "http://127.0.0.1:%d", d->port);
    (void)snprintf(scale, sizeof scale, "%g", d->options.time_scale);
    const char *argv[DEMO_ARGS_MAX] = {
        "replay",
        csv,
        "--target",
        target,
        "--time-scale",
        scale,
        "--log",
        lines,
        "--json",
        "--stream",
        "--check",
        "--map",
        "time_s=t_s,model=model,input_tokens=input_tokens,output_tokens=output_tokens"};
    size_t count = 13;
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        (void)snprintf(renames[i], sizeof renames[i], "%s=%s", demo_models[i].name,
                       demo_models[i].name);
        argv[count++] = "--rename";
        argv[count++] = renames[i];
    }
    return demo_child_start(d, &d->player, argv, summary);
}

/* How late requests were sent, from the player's summary. */
static void read_lateness(const struct demo *d, struct demo_result *ret)
{
    char summary[DEMO_PATH_MAX];
    json_error_t error;
    demo_path(d, summary, player_summary);
    json_t *json = json_load_file(summary, 0, &error);
    double late_ms = json_number_value(json_object_get(json, "late_p99_ms"));
    ret->late_p99_s = late_ms / 1e3 * d->options.time_scale;
    json_decref(json);
}

/* Waits for the player's last answer and reads its log. */
static int finish_player(struct demo *d, const char *log, uint64_t expected, double limit_s,
                         struct demo_result *ret)
{
    char lines[DEMO_PATH_MAX];
    demo_path(d, lines, log);
    int rc = demo_wait(d, player_over, 30 + limit_s / d->options.time_scale,
                       "the answers to all requests");
    /* Status 1 is a request that failed: the log tells which. */
    if (rc == 0 && !(WIFEXITED(d->player.status) && WEXITSTATUS(d->player.status) <= 1)) {
        rc = demo_fail(d, -ECHILD, "`shunt replay` broke off");
    }
    rc = rc ? rc : demo_result_read(d, lines, expected, ret);
    if (rc == 0) {
        read_lateness(d, ret);
    }
    return rc;
}

static bool home_alone(struct demo *d)
{
    return strcmp(d->status.models[DEMO_HOME].state, "resident") == 0 &&
           demo_waiting(&d->status) + demo_running(&d->status) == 0;
}

/* The state that each play begins in. */
static int go_home(struct demo *d)
{
    int rc = demo_status_fresh(d);
    if (rc == 0 && !home_alone(d)) {
        rc = demo_host_ask(d, "/load", json_pack("{s:s}", "model", demo_models[DEMO_HOME].name),
                           NULL);
    }
    return rc ? rc : demo_wait(d, home_alone, 60, "the model that is resident at the start");
}

static bool many_wait(struct demo *d)
{
    bool now = demo_waiting(&d->status) >= DEMO_BURST_EACH && demo_running(&d->status) > 0;
    return now || demo_child_over(&d->player);
}

/* Replaces the policy while the burst waits. */
static int swap_policy(struct demo *d)
{
    json_t *answer = NULL;
    int rc = demo_wait(d, many_wait, 60, "requests that wait");
    d->swap.waiting = demo_waiting(&d->status);
    d->swap.running = demo_running(&d->status);
    int64_t begun_ns = loop_now_ns(d->loop);
    rc = rc ? rc
            : demo_host_ask(d, "/policy/swap",
                            json_pack("{s:s, s:i}", "policy", d->policy, "probation_s", 3600),
                            &answer);
    d->swap.took_real_ms = (double)(loop_now_ns(d->loop) - begun_ns) / 1e6;
    const char *message = json_string_value(json_object_get(answer, "message"));
    (void)snprintf(d->swap.message, sizeof d->swap.message, "%s", message ? message : "");
    json_decref(answer);
    return rc;
}

static int burst(struct demo *d, int number, const char *title)
{
    static const char *const logs[] = {"burst-1.jsonl", "burst-2.jsonl"};
    struct demo_result *result = &d->burst[number];
    struct demo_status before = d->status;
    demo_view_act(d, title, 0);
    int rc = start_player(d, "burst.csv", logs[number]);
    if (number == 1) {
        rc = rc ? rc : swap_policy(d);
    }
    rc = rc ? rc : finish_player(d, logs[number], DEMO_MODELS * DEMO_BURST_EACH, 3600, result);
    rc = rc ? rc : demo_status_fresh(d);
    if (rc == 0) {
        demo_result_host(result, &before, &d->status);
        (void)snprintf(result->policy, sizeof result->policy, "%s",
                       number == 0 ? first_policy : d->policy_name);
    }
    return rc;
}

static int play(struct demo *d, int number, const char *policy)
{
    static const char *const logs[] = {"play-1.jsonl", "play-2.jsonl"};
    struct demo_result *result = &d->play[number];
    int rc = go_home(d);
    struct demo_status before = d->status;
    demo_view_act(d, policy, d->stretch.length_s);
    rc = rc ? rc : start_player(d, "stretch.csv", logs[number]);
    rc = rc ? rc
            : finish_player(d, logs[number], d->stretch.total,
                            patience_factor * d->stretch.length_s, result);
    rc = rc ? rc : demo_status_fresh(d);
    if (rc == 0) {
        demo_result_host(result, &before, &d->status);
        (void)snprintf(result->policy, sizeof result->policy, "%s", policy);
        demo_view_end(d);
        demo_say(d, "  %s: %" PRIu64 " of %" PRIu64 " answered after %.0f s, mean wait %.1f s\n",
                 policy, result->completed, d->stretch.total, result->span_s, result->wait.mean);
    }
    return rc;
}

static void say_plan(struct demo *d)
{
    const struct demo_stretch *s = &d->stretch;
    const struct demo_model *m = demo_models;
    demo_say_wrapped(d,
                     "Three models share one emulated GPU that has room for one: %s, %s and %s. "
                     "They are served as on an H800, %d requests at a time; to switch, one goes to "
                     "sleep and another wakes, %.0f to %.0f s.",
                     m[0].name, m[1].name, m[2].name, DEMO_BATCH, m[0].sleep_s + m[2].wake_s,
                     m[0].sleep_s + m[1].wake_s);
    demo_say_wrapped(d,
                     "Arrivals: %s. %" PRIu64 " requests (%" PRIu64 ", %" PRIu64 ", %" PRIu64
                     ") in %.0f s: their times are multiplied by %.2f, so that the work they "
                     "bring, in full batches, "
                     "is %.0f%% of the device, switches not counted.",
                     s->source, s->total, s->requests[0], s->requests[1], s->requests[2],
                     s->length_s, s->stretch, 100 * s->load);
    demo_say(d, "Time runs %g times as fast; what is printed is in seconds of the trace.\n",
             d->options.time_scale);
}

static int check_burst(struct demo *d, int number)
{
    const struct demo_result *b = &d->burst[number];
    if (b->lost || b->cut || b->completed != b->sent) {
        return demo_fail(d, -EPROTO, "%" PRIu64 " of %d requests of the burst were not answered",
                         b->sent - b->completed, DEMO_MODELS * DEMO_BURST_EACH);
    }
    return 0;
}

static int perform(struct demo *d)
{
    d->stretch.length_s = d->options.minutes * 60 * play_share * d->options.time_scale;
    int rc = demo_policy_resolve(d);
    rc = rc ? rc : demo_folder_make(d);
    rc = rc ? rc : check_policy(d);
    rc = rc ? rc : demo_stretch_write(d);
    if (rc) {
        return rc;
    }
    say_plan(d);
    demo_say(d, "1. The host starts: each engine loads once and is put to sleep.");
    rc = start_host(d);
    if (rc == 0) {
        demo_say(d, "2. A burst of %d requests over all models: the host meets every switch.",
                 DEMO_MODELS * DEMO_BURST_EACH);
    }
    rc = rc ? rc : burst(d, 0, "burst");
    rc = rc ? rc : check_burst(d, 0);
    if (rc == 0) {
        demo_say(d, "3. The stretch under %s: whoever came first is served next.", first_policy);
    }
    rc = rc ? rc : play(d, 0, first_policy);
    if (rc == 0) {
        demo_say(d, "4. The same burst again; while it waits, %s is replaced.", first_policy);
    }
    rc = rc ? rc : burst(d, 1, "burst with swap");
    rc = rc ? rc : check_burst(d, 1);
    /* So that the second play is decided by its policy alone, as the first was. */
    rc = rc ? rc : demo_host_ask(d, "/policy/confirm", json_object(), NULL);
    if (rc == 0) {
        demo_say(d,
                 "   `shunt ctl policy swap %s` took %.0f ms (real), with %" PRIu64
                 " requests waiting\n   and %" PRIu64 " running; %" PRIu64
                 " of %d answered, none lost.\n",
                 d->policy, d->swap.took_real_ms, d->swap.waiting, d->swap.running,
                 d->burst[1].completed, DEMO_MODELS * DEMO_BURST_EACH);
        demo_say(d,
                 "5. The same stretch under %s, from the same start: the same burst came\n"
                 "   before, %s is resident, nothing waits.",
                 d->policy_name, demo_models[DEMO_HOME].name);
    }
    return rc ? rc : play(d, 1, d->policy_name);
}

static bool never(struct demo *d)
{
    (void)d;
    return false;
}

/* Leaves the host up until a signal comes. */
static int serve_on(struct demo *d)
{
    demo_say(
        d,
        "\nThe host stays up until Ctrl-C. Try it:\n\n"
        "curl -N http://127.0.0.1:%d/v1/chat/completions -H 'content-type: application/json' -d "
        "'{\"model\": \"%s\", \"stream\": true, \"max_tokens\": 20, \"messages\": [{\"role\": "
        "\"user\", \"content\": \"hello\"}]}'\n\n"
        "%s ctl -s %s status",
        d->port, demo_models[1].name, d->program, d->socket);
    int rc = demo_wait(d, never, 1e9, "Ctrl-C");
    return rc == -ECANCELED ? 0 : rc;
}

/* --- Life ------------------------------------------------------------------------------------- */

/* SIGCHLD only ends the wait: whoever waits looks at the child. */
static const int signal_numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};

static void on_signal(struct loop_signal *sig, int signum)
{
    size_t i = 0;
    while (signal_numbers[i] != signum) {
        i++;
    }
    struct demo *d = (struct demo *)(void *)((char *)(sig - i) - offsetof(struct demo, signals));
    d->caught = signum == SIGCHLD ? d->caught : signum;
}

static int prepare(struct demo *d)
{
    ssize_t n = readlink("/proc/self/exe", d->program, sizeof d->program - 1);
    if (n < 0) {
        return demo_fail(d, -errno, "cannot find this program: %s", strerror(errno));
    }
    d->program[n] = '\0';
    int rc = loop_create(&d->loop);
    if (rc) {
        return demo_fail(d, rc, "cannot make an event loop: %s", strerror(-rc));
    }
    for (size_t i = 0; i < 4; i++) {
        rc = loop_signal_init(&d->signals[i], d->loop, signal_numbers[i], on_signal);
        if (rc) {
            return demo_fail(d, rc, "cannot watch signals: %s", strerror(-rc));
        }
    }
    d->begin_ns = loop_now_ns(d->loop);
    demo_host_begin(d);
    return 0;
}

/* Says what went wrong, and what the children have to say to it. */
static void explain(struct demo *d)
{
    struct demo_child *const children[] = {&d->checker, &d->host, &d->player};
    (void)fprintf(stderr, "\nshunt demo: %s\n", d->error);
    for (size_t i = 0; i < 3; i++) {
        bool ran = children[i]->pid || children[i]->status;
        if (ran && (!demo_child_over(children[i]) || children[i]->status)) {
            demo_child_explain(children[i], stderr);
        }
    }
    if (d->folder[0]) {
        (void)fprintf(stderr, "shunt demo: configuration and logs are kept in %s\n", d->folder);
    }
}

/* Ends everything that runs. */
static int finish(struct demo *d, int rc)
{
    demo_view_end(d);
    if (rc && !d->caught) {
        explain(d);
    }
    demo_child_end(&d->checker, player_patience_ns);
    demo_child_end(&d->player, player_patience_ns);
    demo_child_end(&d->host, host_patience_ns);
    if (d->loop) {
        demo_host_end(d);
        for (size_t i = 0; i < 4; i++) {
            if (d->signals[i].loop) {
                loop_signal_fini(&d->signals[i]);
            }
        }
        loop_destroy(d->loop);
    }
    if (rc && d->caught) {
        (void)fprintf(stderr, "\nshunt demo: interrupted; everything it started has ended\n");
    }
    if (rc == 0 || d->caught) {
        demo_folder_remove(d);
    }
    return rc == 0 ? VERB_DONE : d->caught ? 128 + d->caught : VERB_FAILED;
}

static bool all_answered(const struct demo *d)
{
    const struct demo_result *a = &d->play[0], *b = &d->play[1];
    return a->lost + a->cut + b->lost + b->cut == 0;
}

int verb_demo(int argc, char **argv)
{
    struct demo *d = calloc(1, sizeof *d);
    if (!d) {
        return VERB_FAILED;
    }
    d->options =
        (struct demo_options){.time_scale = 10, .minutes = 2, .load = 0.45, .policy = "amortized"};
    d->host.what = "the host";
    d->player.what = "`shunt replay`";
    d->checker.what = "`shunt serve --check`";
    int status = parse(&d->options, argc, argv);
    if (status == VERB_DONE) {
        d->out = d->options.json ? stderr : stdout;
        demo_view_init(d);
        int rc = prepare(d);
        rc = rc ? rc : perform(d);
        if (rc == 0) {
            demo_report(d);
            rc = all_answered(d) ? 0 : demo_fail(d, -EPROTO, "requests were lost or cut");
        }
        if (rc == 0 && d->options.serve) {
            rc = serve_on(d);
        }
        status = finish(d, rc);
    }
    free(d);
    return status;
}
