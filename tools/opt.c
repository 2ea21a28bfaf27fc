/*
 * `shunt opt`: how well the requests of a scenario could have been served by one who knows them
 * all. Prints the optimum where the search is small enough; else the best schedule found, and a
 * bound that none beats.
 */
#include "sim/opt.h"
#include "sim/opt_scenario.h"
#include "tools/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VISITS_SHOWN = 40 };

struct command {
    const char *path;
    enum opt_objective objective;
    bool anticipation, json;
    uint64_t seed;
    size_t window; /* 0: the optimum, if it is not too large */
};

struct answer {
    const struct command *command;
    const struct scenario *scenario;
    const struct opt *opt;
    const struct opt_job *jobs; /* by number */
    size_t jobs_len;
    struct opt_step *steps; /* [jobs_len] */
    int64_t value;
    bool optimum;
    struct opt_bounds bounds; /* unless optimum */
    int64_t fifo, exhaustive;
};

/* ------------------------------------------------------------------ command line */

static bool read_count(const char *text, uint64_t max, uint64_t *ret_count)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value > max) {
        return false;
    }
    *ret_count = value;
    return true;
}

static bool read_objective(const char *text, enum opt_objective *ret_objective)
{
    for (int i = 0; opt_objective_name((enum opt_objective)i); i++) {
        if (strcmp(text, opt_objective_name((enum opt_objective)i)) == 0) {
            *ret_objective = (enum opt_objective)i;
            return true;
        }
    }
    return false;
}

static int read_option(struct command *c, const char *name, const char *value)
{
    uint64_t count = 0;
    if (!value) {
        return verb_usage("opt", "%s is not understood, or needs a value", name);
    }
    if (strcmp(name, "--objective") == 0) {
        return read_objective(value, &c->objective)
                   ? VERB_DONE
                   : verb_usage("opt", "--objective is sum, max, makespan or p95, not \"%s\"",
                                value);
    }
    if (strcmp(name, "--seed") == 0) {
        return read_count(value, UINT64_MAX, &c->seed)
                   ? VERB_DONE
                   : verb_usage("opt", "--seed wants a number, not \"%s\"", value);
    }
    if (strcmp(name, "--window") == 0) {
        bool good = read_count(value, OPT_WINDOW_MAX, &count) && count > 0;
        c->window = (size_t)count;
        return good ? VERB_DONE
                    : verb_usage("opt", "--window wants 1 to %d jobs, not \"%s\"", OPT_WINDOW_MAX,
                                 value);
    }
    return verb_usage("opt", "there is no option \"%s\"", name);
}

static int read_command(struct command *c, int argc, char **argv)
{
    *c = (struct command){.anticipation = true, .seed = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            c->json = true;
        } else if (strcmp(argv[i], "--no-anticipation") == 0) {
            c->anticipation = false;
        } else if (argv[i][0] == '-') {
            const char *value = i + 1 < argc ? argv[i + 1] : NULL;
            int status = read_option(c, argv[i], value);
            if (status != VERB_DONE) {
                return status;
            }
            i++;
        } else if (c->path) {
            return verb_usage("opt", "one scenario at a time: \"%s\" is too much", argv[i]);
        } else {
            c->path = argv[i];
        }
    }
    return c->path ? VERB_DONE : verb_usage("opt", "say which scenario");
}

/* ------------------------------------------------------------------ solving */

static int solve(struct answer *a, char *err, size_t err_size)
{
    const struct command *c = a->command;
    opt_fifo(a->opt, a->steps);
    a->fifo = opt_value(a->opt, c->objective, a->steps);
    opt_exhaustive(a->opt, a->steps);
    a->exhaustive = opt_value(a->opt, c->objective, a->steps);
    int rc = -E2BIG;
    if (c->window == 0) {
        rc = opt_exact(a->opt, c->objective, c->anticipation, OPT_STATES_MAX, &a->value, a->steps,
                       err, err_size);
    }
    a->optimum = rc == 0;
    if (rc == -E2BIG) {
        rc = opt_best_known(a->opt, c->objective, c->anticipation, c->window, &a->value, a->steps);
        rc = rc ? rc : opt_bound(a->opt, c->objective, NULL, a->steps, &a->bounds);
        if (rc) {
            (void)snprintf(err, err_size, "out of memory");
        }
    }
    return rc;
}

/* ------------------------------------------------------------------ printing */

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static json_t *bound_value(int64_t ns)
{
    return ns == INT64_MIN ? json_null() : json_real(seconds(ns));
}

static json_t *json_schedule(const struct answer *a)
{
    json_t *schedule = json_array();
    for (size_t i = 0; i < a->jobs_len; i++) {
        const struct opt_step *s = &a->steps[i];
        int64_t arrival = a->jobs[s->job].arrival;
        json_t *step = json_pack("{s:I, s:s, s:f, s:f, s:f, s:f}", "request", (json_int_t)s->job,
                                 "model", scenario_model_name(a->scenario, s->model), "arrival_s",
                                 seconds(arrival), "start_s", seconds(s->start), "end_s",
                                 seconds(s->end), "wait_s", seconds(s->start - arrival));
        if (s->from != s->model) {
            (void)json_object_set_new(step, "switch_start_s", json_real(seconds(s->switch_start)));
            (void)json_object_set_new(step, "switch_s", json_real(seconds(s->switch_time)));
        }
        (void)json_array_append_new(schedule, step);
    }
    return schedule;
}

static int print_json(const struct answer *a)
{
    const struct command *c = a->command;
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:b, s:I, s:I, s:{s:f, s:f}}", "scenario",
                  a->scenario->name, "label", scenario_label_name(a->scenario->label), "objective",
                  opt_objective_name(c->objective), "kind", a->optimum ? "optimum" : "best_known",
                  "value", seconds(a->value), "unit", "s", "anticipation", (int)c->anticipation,
                  "seed", (json_int_t)c->seed, "requests", (json_int_t)a->jobs_len, "compare",
                  "fifo", seconds(a->fifo), "exhaustive", seconds(a->exhaustive));
    if (!a->optimum) {
        const struct opt_bounds *b = &a->bounds;
        (void)json_object_set_new(
            object, "bound",
            json_pack("{s:s, s:f, s:o, s:o, s:o, s:o}", "kind", "bound", "value", seconds(b->best),
                      "alone", bound_value(b->alone), "no_switch", bound_value(b->no_switch),
                      "lagrange", bound_value(b->lagrange), "mixed", bound_value(b->mixed)));
    }
    (void)json_object_set_new(object, "schedule", json_schedule(a));
    int rc = json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
    json_decref(object);
    (void)putchar('\n');
    return rc ? VERB_FAILED : VERB_DONE;
}

static const char *objective_text(enum opt_objective objective)
{
    switch (objective) {
    case OPT_SUM:
        return "sum of all waits";
    case OPT_MAX:
        return "longest wait";
    case OPT_MAKESPAN:
        return "end of the last service";
    case OPT_P95:
        return "wait that 95 % do not exceed";
    }
    return "";
}

static void print_value(const struct answer *a, const char *name, int64_t value)
{
    printf("  %-12s %14.3f s", name, seconds(value));
    if (a->command->objective == OPT_SUM && a->jobs_len > 0) {
        printf("   mean wait %10.3f s", seconds(value) / (double)a->jobs_len);
    }
    if (a->value > 0 && value > a->value) {
        printf("   %.3g x", (double)value / (double)a->value);
    }
    (void)putchar('\n');
}

static void print_bound(const struct answer *a)
{
    const struct opt_bounds *b = &a->bounds;
    const char *from = "each model alone";
    if (b->best == b->no_switch) {
        from = "no switches, services interrupted";
    } else if (b->best == b->mixed) {
        from = "prices of time slots";
    }
    print_value(a, "bound", b->best);
    printf("  No schedule is below the bound (%s): ", from);
    if (b->best > 0) {
        printf("the best known is <= %.3g x from optimal.\n", (double)a->value / (double)b->best);
    } else {
        printf("it says nothing here.\n");
    }
}

/* The schedule by visits: consecutive services without a switch between them. */
static void print_visits(const struct answer *a)
{
    size_t visits = 0, switches = 0;
    for (size_t i = 0; i < a->jobs_len; i++) {
        switches += a->steps[i].from != a->steps[i].model;
    }
    printf("\n%zu switches\n  %12s %10s %12s %9s  %s\n", switches, "from_s", "switch_s", "until_s",
           "requests", "model");
    for (size_t i = 0, end; i < a->jobs_len; i = end) {
        const struct opt_step *first = &a->steps[i];
        bool switched = first->from != first->model;
        for (end = i + 1; end < a->jobs_len && a->steps[end].from == a->steps[end].model;) {
            end++;
        }
        if (++visits <= VISITS_SHOWN) {
            printf("  %12.3f %10.3f %12.3f %9zu  %s\n",
                   seconds(switched ? first->switch_start : first->start),
                   seconds(switched ? first->switch_time : 0), seconds(a->steps[end - 1].end),
                   end - i, scenario_model_name(a->scenario, first->model));
        }
    }
    if (visits > VISITS_SHOWN) {
        printf("  and %zu visits more: --json has the schedule\n", visits - VISITS_SHOWN);
    }
}

static int print_text(const struct answer *a)
{
    const struct command *c = a->command;
    printf("%s (%s): %zu requests, %" PRIu32 " models, %s, %s\n", a->scenario->name,
           scenario_label_name(a->scenario->label), a->jobs_len, scenario_models(a->scenario),
           objective_text(c->objective),
           c->anticipation ? "switching ahead of arrivals" : "no switch ahead of an arrival");
    print_value(a, a->optimum ? "optimum" : "best known", a->value);
    print_value(a, "fifo", a->fifo);
    print_value(a, "exhaustive", a->exhaustive);
    if (!a->optimum) {
        print_bound(a);
    }
    print_visits(a);
    return VERB_DONE;
}

/* ------------------------------------------------------------------ the verb */

static int answer_command(const struct command *c, const struct scenario *scenario, char *err,
                          size_t err_size)
{
    struct opt *opt = NULL;
    int rc = opt_of_scenario(scenario, c->seed, &opt, err, err_size);
    if (rc) {
        return rc == -ENOMEM ? VERB_FAILED : VERB_USAGE;
    }
    struct answer a = {.command = c, .scenario = scenario, .opt = opt};
    a.jobs = opt_jobs(opt, &a.jobs_len);
    a.steps = calloc(a.jobs_len + 1, sizeof *a.steps);
    int status = VERB_FAILED;
    if (!a.steps) {
        (void)snprintf(err, err_size, "out of memory");
    } else if (solve(&a, err, err_size) == 0) {
        err[0] = '\0';
        status = c->json ? print_json(&a) : print_text(&a);
    }
    free(a.steps);
    opt_destroy(opt);
    return status;
}

int verb_opt(int argc, char **argv)
{
    struct command c;
    int status = read_command(&c, argc, argv);
    if (status != VERB_DONE) {
        return status;
    }
    char err[SCENARIO_ERROR_MAX] = "";
    struct scenario *scenario = NULL;
    if (scenario_load(c.path, getenv("SHUNT_TRACES"), &scenario, err, sizeof err)) {
        status = VERB_USAGE;
    } else {
        status = answer_command(&c, scenario, err, sizeof err);
        scenario_free(scenario);
    }
    if (status != VERB_DONE && err[0]) {
        (void)fprintf(stderr, "shunt opt: %s\n", err);
    }
    return status;
}
