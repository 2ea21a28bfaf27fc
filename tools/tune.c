/*
 * `shunt tune`: searches the parameters of a policy in the simulator. The search is sim/tune.h's,
 * the runs are sim/runs.h's; here are the command line and what is done with the outcome.
 */
#include "base/trace.h"
#include "tools/tune_page.h"
#include "tools/tune_priv.h"
#include "tools/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIMEOUT_S = 3600,
    TIMEOUT_S_MAX = 10 * 365 * 86400,
    LIMIT_TEXT_MAX = 128,
    INTERRUPTED = 130
};

#define BUDGET 60

/* ------------------------------------------------------------------ command line */

static int parse_whole(const char *name, const char *value, uint64_t min, uint64_t max,
                       uint64_t *ret)
{
    int64_t number;
    size_t size = strlen(value);
    if (size == 0 || strspn(value, "0123456789") != size ||
        decimal_parse(value, size, 0, &number) || (uint64_t)number < min ||
        (uint64_t)number > max) {
        return verb_usage("tune",
                          "%s wants a whole number from %" PRIu64 " to %" PRIu64 ", not \"%s\"",
                          name, min, max, value);
    }
    *ret = (uint64_t)number;
    return VERB_DONE;
}

static bool find_objective(const char *text, size_t size, enum tune_objective *ret_objective)
{
    for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
        const char *name = tune_objective_name(k);
        if (strlen(name) == size && strncmp(name, text, size) == 0) {
            *ret_objective = k;
            return true;
        }
    }
    return false;
}

static int parse_objectives(struct tune_options *options, const char *value)
{
    options->objective_count = 0;
    for (const char *at = value; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        enum tune_objective objective;
        bool known = find_objective(at, strcspn(at, ","), &objective);
        for (uint32_t i = 0; known && i < options->objective_count; i++) {
            known = options->objective[i] != objective;
        }
        if (!known) {
            return verb_usage("tune",
                              "--objective wants some of mean, p99, work, jain, switch, each "
                              "once, the one that decides first, not \"%s\"",
                              value);
        }
        options->objective[options->objective_count++] = objective;
    }
    return VERB_DONE;
}

/* p99<=12.5 (s), p99<=1.1x (times the start's figure), work>=0.5 */
static int parse_limit(struct tune_options *options, const char *value)
{
    struct tune_limit limit = {.value = 0};
    size_t name = strcspn(value, "<>");
    const char *number = strlen(value) > name + 2 ? value + name + 2 : "";
    size_t digits = strspn(number, "0123456789.");
    bool good = options->limit_count < TUNE_LIMITS_MAX && strlen(value) < LIMIT_TEXT_MAX &&
                find_objective(value, name, &limit.objective);
    const char *wanted = good && tune_is_maximised(limit.objective) ? ">=" : "<=";
    int64_t nano = 0;
    limit.relative = number[digits] == 'x';
    good = good && strncmp(value + name, wanted, 2) == 0 && digits > 0 &&
           number[digits + limit.relative] == '\0' && !decimal_parse(number, digits, 9, &nano);
    if (!good) {
        return verb_usage("tune",
                          "--subject wants mean, p99 or switch <= a number, work or jain >= one, "
                          "in its unit or, as 1.1x, in figures of the start, not \"%s\"",
                          value);
    }
    limit.value = (double)nano / 1e9;
    options->limit[options->limit_count++] = limit;
    return VERB_DONE;
}

static int parse_budget(struct tune_command *c, const char *value)
{
    uint64_t whole = 0;
    int status = parse_whole("--budget", value, TUNE_BUDGET_MIN, TUNE_BUDGET_MAX, &whole);
    c->budget = (double)whole;
    return status;
}

static int parse_date(struct tune_command *c, const char *value)
{
    size_t size = strlen(value);
    if (size == 0 || size >= sizeof(c->date) || strspn(value, "0123456789-:TZ") != size) {
        return verb_usage("tune", "--date wants a date as 2026-01-31, not \"%s\"", value);
    }
    (void)snprintf(c->date, sizeof(c->date), "%s", value);
    return VERB_DONE;
}

static int parse_value(struct tune_command *c, const char *name, const char *value)
{
    if (strcmp(name, "--objective") == 0) {
        return parse_objectives(&c->options, value);
    }
    if (strcmp(name, "--subject") == 0) {
        return parse_limit(&c->options, value);
    }
    if (strcmp(name, "--budget") == 0) {
        return parse_budget(c, value);
    }
    if (strcmp(name, "--seed") == 0) {
        return parse_whole(name, value, 0, TUNE_SEED_MAX, &c->seed);
    }
    if (strcmp(name, "--seeds") == 0) {
        return parse_whole(name, value, 1, TUNE_SEEDS_MAX, &c->seeds);
    }
    if (strcmp(name, "--jobs") == 0) {
        return parse_whole(name, value, 1, RUNS_JOBS_MAX, &c->jobs);
    }
    if (strcmp(name, "--timeout-s") == 0) {
        return parse_whole(name, value, 1, TIMEOUT_S_MAX, &c->timeout_s);
    }
    if (strcmp(name, "--date") == 0) {
        return parse_date(c, value);
    }
    if (strcmp(name, "--part") == 0) {
        return strcmp(value, "tune") == 0
                   ? VERB_DONE
                   : verb_usage("tune",
                                "--part can only be tune: what is scored on is not tuned on");
    }
    if (strcmp(name, "--policy-dir") == 0) {
        c->policy_dir = value;
    } else if (strcmp(name, "--out") == 0) {
        c->out = value;
    } else if (strcmp(name, "--report") == 0) {
        c->report = value;
    } else if (strcmp(name, "--resume") == 0) {
        c->resume = value;
    } else {
        return verb_usage("tune", "there is no option \"%s\"", name);
    }
    return VERB_DONE;
}

static int parse_word(struct tune_command *c, const char *word)
{
    if (!c->policy) {
        c->policy = word;
    } else if (c->file_count == TUNE_SCENARIOS_MAX) {
        return verb_usage("tune", "more than %d scenarios", TUNE_SCENARIOS_MAX);
    } else {
        c->files[c->file_count++] = word;
    }
    return VERB_DONE;
}

static int parse_command(struct tune_command *c, int argc, char **argv)
{
    int status = VERB_DONE;
    for (int i = 1; !status && i < argc; i++) {
        char *arg = argv[i], *equals = strchr(arg, '=');
        if (strncmp(arg, "--", 2) != 0) {
            status = parse_word(c, arg);
        } else if (strcmp(arg, "--json") == 0) {
            c->json = true;
        } else if (equals) {
            *equals = '\0';
            status = parse_value(c, arg, equals + 1);
        } else if (i + 1 < argc) {
            status = parse_value(c, arg, argv[++i]);
        } else {
            status = verb_usage("tune", "%s needs a value", arg);
        }
    }
    if (!status && !c->policy) {
        status = verb_usage("tune", "say which policy");
    }
    if (!status && c->file_count == 0) {
        status = verb_usage("tune", "say which scenarios to tune %s on", c->policy);
    }
    return status;
}

static void today(char date[TUNE_DATE_BYTES])
{
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts)) {
        (void)strftime(date, TUNE_DATE_BYTES, "%Y-%m-%d", &parts);
    }
}

/* ------------------------------------------------------------------ interruption */

/* Set before the handler is; read only by it. */
static pid_t interrupted_pid;
static char interrupted_text[1200];
static const char *interrupted_parts[2]; /* files that are not whole */

/* What was learned is in the state file already; children end with their parent. */
static void interrupt(int number)
{
    (void)number;
    if (getpid() == interrupted_pid) {
        for (size_t i = 0; i < sizeof(interrupted_parts) / sizeof(interrupted_parts[0]); i++) {
            if (interrupted_parts[i]) {
                (void)unlink(interrupted_parts[i]);
            }
        }
        ssize_t put = write(STDERR_FILENO, interrupted_text, strlen(interrupted_text));
        (void)put;
    }
    _exit(INTERRUPTED);
}

static void catch_interrupts(const struct tune_command *c, const char *values, const char *page)
{
    struct sigaction action = {.sa_handler = interrupt};
    interrupted_pid = getpid();
    interrupted_parts[0] = values;
    interrupted_parts[1] = page;
    if (c->resume) {
        (void)snprintf(interrupted_text, sizeof(interrupted_text),
                       "\nshunt tune: interrupted; the same command goes on from %.1000s\n",
                       c->resume);
    } else {
        (void)snprintf(interrupted_text, sizeof(interrupted_text),
                       "\nshunt tune: interrupted; with --resume FILE it could go on\n");
    }
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* ------------------------------------------------------------------ files */

/* A file that takes its name only once it is whole; opened before the search, so that nobody
 * searches for an hour to learn that the folder is missing. */
struct result_file {
    const char *option, *path;
    char *part;
    FILE *out;
};

static int file_open(struct result_file *file, const char *option, const char *path)
{
    *file = (struct result_file){.option = option, .path = path};
    if (!path) {
        return VERB_DONE;
    }
    if (asprintf(&file->part, "%s.part", path) < 0) {
        file->part = NULL;
    }
    file->out = file->part ? fopen(file->part, "w") : NULL;
    if (!file->out) {
        (void)fprintf(stderr, "shunt tune: %s: %s: %s\n", option, path, strerror(errno));
        return VERB_USAGE;
    }
    return VERB_DONE;
}

/* With `rc` as the outcome of writing it: an error leaves nothing. */
static int file_close(struct result_file *file, int rc)
{
    if (!file->out) {
        free(file->part);
        return VERB_DONE;
    }
    bool wanted = rc != -ECANCELED;
    rc = fclose(file->out) && !rc ? -errno : rc;
    rc = !rc && rename(file->part, file->path) ? -errno : rc;
    if (rc) {
        (void)unlink(file->part);
    }
    if (rc && wanted) {
        (void)fprintf(stderr, "shunt tune: %s: %s: %s\n", file->option, file->path, strerror(-rc));
    }
    free(file->part);
    return rc && wanted ? VERB_FAILED : VERB_DONE;
}

/* ------------------------------------------------------------------ the verb */

/* Whose fault an error of the search is: the policy's, or of what was given. */
static int status_of(int rc)
{
    switch (rc) {
    case -ELOOP:
    case -EPROTO:
    case -EIO:
    case -EFAULT:
    case -ETIME:
    case -ENOMEM:
        return VERB_FAILED;
    default:
        return VERB_USAGE;
    }
}

static void print_next(const struct tune_command *c)
{
    (void)printf("\ncompare on what it was not tuned on:\n  shunt sim");
    for (uint32_t i = 0; i < c->file_count; i++) {
        (void)printf(" %s", c->files[i]);
    }
    (void)printf(" --part score --policy %s,%.*s@%s\n", c->policy, (int)strcspn(c->policy, "@:"),
                 c->policy, c->out);
}

static int show(const struct tune_command *c, const struct tune_world *world,
                const struct tune_study *study, FILE *values, FILE *page, int *ret_values,
                int *ret_page)
{
    json_t *json = tune_json(world, study);
    if (!json) {
        (void)fprintf(stderr, "shunt tune: out of memory\n");
        return VERB_FAILED;
    }
    if (values) {
        *ret_values = study->feasible ? tune_write_values(values, world, study) : -ECANCELED;
    }
    if (page) {
        *ret_page = tune_page_write(page, json);
    }
    if (c->json) {
        (void)json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
        (void)putchar('\n');
    } else {
        tune_print(stdout, json);
        if (values && study->feasible) {
            print_next(c);
        }
    }
    json_decref(json);
    if (fflush(stdout) || ferror(stdout)) {
        (void)fprintf(stderr, "shunt tune: cannot write the results\n");
        return VERB_FAILED;
    }
    return study->feasible ? VERB_DONE : VERB_FAILED;
}

static int execute(struct tune_command *c, struct tune_world *world)
{
    struct tune_study *study = calloc(1, sizeof(*study));
    struct result_file values, page;
    char err[TUNE_ERROR_MAX] = "";
    int values_rc = -ECANCELED, page_rc = -ECANCELED;
    struct tune_options options = c->options;
    options.space = &world->space;
    options.scenario_count = c->file_count;
    options.seed_count = (uint32_t)c->seeds;
    options.budget = c->budget;
    options.seed = c->seed;
    options.drawn = world->drawn;
    options.evaluate = tune_world_evaluate;
    options.phase = tune_world_phase;
    options.ctx = world;
    int status = file_open(&values, "--out", c->out);
    int page_status = file_open(&page, "--report", c->report);
    status = status ? status : page_status;
    if (!status) {
        catch_interrupts(c, values.part, page.part);
        int rc = study ? tune_search(&options, study, err, sizeof(err)) : -ENOMEM;
        tune_world_bar_end(world);
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGTERM, SIG_DFL);
        if (rc) {
            (void)fprintf(stderr, "shunt tune: %s\n", err[0] ? err : strerror(-rc));
            status = status_of(rc);
        } else {
            status = show(c, world, study, values.out, page.out, &values_rc, &page_rc);
            tune_study_fini(study);
        }
    }
    int closed = file_close(&values, values_rc);
    status = status ? status : closed;
    closed = file_close(&page, page_rc);
    free(study);
    return status ? status : closed;
}

int verb_tune(int argc, char **argv)
{
    struct tune_command c = {.policy_dir = "auto",
                             .seed = 1,
                             .seeds = 1,
                             .timeout_s = TIMEOUT_S,
                             .budget = BUDGET,
                             .options = {.objective = {TUNE_MEAN}, .objective_count = 1}};
    char err[TUNE_ERROR_MAX] = "";
    struct tune_world *world = calloc(1, sizeof(*world));
    int status = parse_command(&c, argc, argv);
    if (!world) {
        (void)fprintf(stderr, "shunt tune: out of memory\n");
        return VERB_FAILED;
    }
    if (!status && c.date[0] == '\0') {
        today(c.date);
    }
    if (!status) {
        status = tune_world_init(world, &c, err, sizeof(err));
        if (status) {
            (void)fprintf(stderr, "shunt tune: %s\n", err);
        } else {
            status = execute(&c, world);
        }
    }
    tune_world_fini(world);
    free(world);
    return status;
}
