/*
 * `shunt sim`: the command line of the simulator. Reads scenarios, hands them to sim/runs.h, prints
 * what comes back; it simulates nothing itself.
 */
#include "base/trace.h"
#include "sim/blocks.h"
#include "sim/report.h"
#include "sim/result.h"
#include "sim/runs.h"
#include "tools/sim_journal.h"
#include "tools/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SCENARIOS_MAX = 256,
    SEEDS_MAX = RUNS_MAX,
    TIMEOUT_S = 3600,
    TIMEOUT_S_MAX = 10 * 365 * 86400,
    ERROR_MAX = 1024,
    BAR_WIDTH = 30
};

struct command {
    const char *files[SCENARIOS_MAX];
    uint32_t file_count;
    const char *config, *arrivals, *policies, *policy_dir;
    const char *report, *journal, *journal_in, *keep;
    uint64_t seed, seeds, jobs, timeout_s, blocks;
    enum arrivals_part part;
    bool json, checked;
};

/* ------------------------------------------------------------------ command line */

static int parse_whole(const char *name, const char *value, uint64_t min, uint64_t max,
                       uint64_t *ret)
{
    int64_t number;
    size_t size = strlen(value);
    if (size == 0 || strspn(value, "0123456789") != size ||
        decimal_parse(value, size, 0, &number) || (uint64_t)number < min ||
        (uint64_t)number > max) {
        return verb_usage("sim",
                          "%s wants a whole number from %" PRIu64 " to %" PRIu64 ", not \"%s\"",
                          name, min, max, value);
    }
    *ret = (uint64_t)number;
    return VERB_DONE;
}

static int parse_part(struct command *c, const char *value)
{
    static const char *const names[] = {
        [ARRIVALS_ALL] = "all", [ARRIVALS_TUNE] = "tune", [ARRIVALS_SCORE] = "score"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(value, names[i]) == 0) {
            c->part = (enum arrivals_part)i;
            return VERB_DONE;
        }
    }
    return verb_usage("sim", "--part is all, tune or score, not \"%s\"", value);
}

static int parse_value(struct command *c, const char *name, const char *value)
{
    if (strcmp(name, "--policy") == 0) {
        c->policies = value;
    } else if (strcmp(name, "--policy-dir") == 0) {
        c->policy_dir = value;
    } else if (strcmp(name, "--from-config") == 0) {
        c->config = value;
    } else if (strcmp(name, "--arrivals") == 0) {
        c->arrivals = value;
    } else if (strcmp(name, "--report") == 0) {
        c->report = value;
    } else if (strcmp(name, "--journal") == 0) {
        c->journal = value;
    } else if (strcmp(name, "--journal-in") == 0) {
        c->journal_in = value;
    } else if (strcmp(name, "--keep") == 0) {
        c->keep = value;
    } else if (strcmp(name, "--seed") == 0) {
        return parse_whole(name, value, 0, INT64_MAX - SEEDS_MAX, &c->seed);
    } else if (strcmp(name, "--seeds") == 0) {
        return parse_whole(name, value, 1, SEEDS_MAX, &c->seeds);
    } else if (strcmp(name, "--jobs") == 0) {
        return parse_whole(name, value, 1, RUNS_JOBS_MAX, &c->jobs);
    } else if (strcmp(name, "--blocks") == 0) {
        return parse_whole(name, value, 1, BLOCKS_MAX, &c->blocks);
    } else if (strcmp(name, "--timeout-s") == 0) {
        return parse_whole(name, value, 1, TIMEOUT_S_MAX, &c->timeout_s);
    } else if (strcmp(name, "--part") == 0) {
        return parse_part(c, value);
    } else {
        return verb_usage("sim", "there is no option \"%s\"", name);
    }
    return VERB_DONE;
}

static int parse_one(struct command *c, int argc, char **argv, int *i)
{
    char *arg = argv[*i];
    if (strncmp(arg, "--", 2) != 0) {
        if (c->file_count == SCENARIOS_MAX) {
            return verb_usage("sim", "more than %d scenarios", SCENARIOS_MAX);
        }
        c->files[c->file_count++] = arg;
    } else if (strcmp(arg, "--json") == 0) {
        c->json = true;
    } else if (strcmp(arg, "--check") == 0) {
        c->checked = true;
    } else {
        const char *value = NULL;
        char *equals = strchr(arg, '=');
        if (equals) {
            *equals = '\0';
            value = equals + 1;
        } else if (++*i < argc) {
            value = argv[*i];
        } else {
            return verb_usage("sim", "%s needs a value", arg);
        }
        return parse_value(c, arg, value);
    }
    return VERB_DONE;
}

static int parse_command(struct command *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int status = parse_one(c, argc, argv, &i);
        if (status) {
            return status;
        }
    }
    if ((c->config != NULL) + (c->journal_in != NULL) + (c->file_count > 0) > 1) {
        return verb_usage("sim", "a scenario, --from-config or --journal-in: one of them");
    }
    if (!c->config && !c->journal_in && c->file_count == 0) {
        return verb_usage("sim", "no scenario is given");
    }
    if (c->keep && !c->journal_in) {
        return verb_usage("sim", "--keep goes with --journal-in: where the scenario made stays");
    }
    if (c->arrivals && !c->config) {
        return verb_usage("sim", "--arrivals goes with --from-config; a scenario has its own");
    }
    if (c->config && !c->arrivals) {
        return verb_usage("sim",
                          "--from-config says nothing of who asks for what: give --arrivals");
    }
    if (!c->policies && !c->config) {
        return verb_usage("sim", "--policy is missing");
    }
    if (c->blocks && !c->json) {
        return verb_usage("sim", "--blocks goes with --json, which prints them");
    }
    return VERB_DONE;
}

/* "shunt sim ..." as typed; *ret_text is malloc'ed. */
static int join(int argc, char **argv, char **ret_text)
{
    size_t size = 0;
    FILE *out = open_memstream(ret_text, &size);
    if (!out) {
        return -errno;
    }
    (void)fputs("shunt", out);
    for (int i = 0; i < argc; i++) {
        (void)fprintf(out, " %s", argv[i]);
    }
    return fclose(out) ? -errno : 0;
}

/* ------------------------------------------------------------------ progress */

struct bar {
    bool shown;
    struct timespec start;
};

static void draw(void *ctx, double done, uint32_t total)
{
    struct bar *bar = ctx;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    double share = total > 0 ? done / total : 1, filled = share * BAR_WIDTH;
    double spent_s =
        (double)(now.tv_sec - bar->start.tv_sec) + (double)(now.tv_nsec - bar->start.tv_nsec) / 1e9;
    char cells[BAR_WIDTH + 1];
    if (spent_s < 0.5) {
        return;
    }
    for (int i = 0; i < BAR_WIDTH; i++) {
        cells[i] = i < (int)filled ? '#' : '.';
    }
    cells[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "\r%s %3.0f %%  %.0f of %u run%s  %.0f s", cells, 100 * share, done,
                  total, total == 1 ? "" : "s", spent_s);
    if (share > 0.02 && share < 1) {
        (void)fprintf(stderr, ", %.0f s to go  ", spent_s / share - spent_s);
    }
    bar->shown = true;
}

/* ------------------------------------------------------------------ the verb */

struct scenarios {
    struct scenario *item[SCENARIOS_MAX];
    uint32_t count;
    struct sim_journal made;
};

static int load(const struct command *c, struct scenarios *scenarios)
{
    const char *traces = getenv("SHUNT_TRACES");
    char err[SCENARIO_ERROR_MAX] = "";
    int rc = 0;
    if (c->journal_in) {
        if (sim_journal_load(c->journal_in, c->keep, &scenarios->made, &scenarios->item[0])) {
            return VERB_USAGE;
        }
        scenarios->count = 1;
    }
    if (c->config) {
        rc = scenario_from_config(c->config, c->arrivals, traces, &scenarios->item[0], err,
                                  sizeof(err));
        scenarios->count = rc ? 0 : 1;
    }
    for (uint32_t i = 0; !rc && i < c->file_count; i++) {
        rc = scenario_load(c->files[i], traces, &scenarios->item[i], err, sizeof(err));
        scenarios->count += rc == 0;
    }
    for (uint32_t i = 0; !rc && c->part != ARRIVALS_ALL && i < scenarios->count; i++) {
        rc = arrivals_set_part(&scenarios->item[i]->arrivals, c->part, err, sizeof(err));
    }
    if (rc) {
        (void)fprintf(stderr, "shunt sim: %s\n", err[0] ? err : strerror(-rc));
    }
    return rc ? VERB_USAGE : VERB_DONE;
}

static int print(const struct command *c, json_t *results)
{
    if (!c->json) {
        result_print(stdout, results);
    } else {
        json_t *one = json_array_size(results) == 1 ? json_incref(json_array_get(results, 0))
                                                    : json_pack("{s:O}", "results", results);
        if (!one || json_dumpf(one, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15))) {
            json_decref(one);
            (void)fprintf(stderr, "shunt sim: cannot write the results\n");
            return VERB_FAILED;
        }
        (void)printf("\n");
        json_decref(one);
    }
    return fflush(stdout) ? VERB_FAILED : VERB_DONE;
}

/* Whose fault an error of runs_execute() is: the policy's, or of what was given. */
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

/* A file that takes its name only once it is whole; opened before the runs, so that nobody
 * simulates for an hour to learn that the folder is missing. */
struct page {
    FILE *out;
    char *part;
};

static int page_open(const char *path, struct page *ret_page)
{
    *ret_page = (struct page){.out = NULL};
    if (!path) {
        return VERB_DONE;
    }
    if (asprintf(&ret_page->part, "%s.part", path) < 0) {
        ret_page->part = NULL;
    }
    ret_page->out = ret_page->part ? fopen(ret_page->part, "w") : NULL;
    if (!ret_page->out) {
        (void)fprintf(stderr, "shunt sim: --report: %s: %s\n", path, strerror(errno));
        free(ret_page->part);
        return VERB_USAGE;
    }
    return VERB_DONE;
}

/* RESULTS NULL: the runs failed, nothing is left of the page. */
static int page_close(struct page *page, const char *path, const json_t *results)
{
    char err[ERROR_MAX] = "";
    if (!page->out) {
        return VERB_DONE;
    }
    int rc = results ? report_write(page->out, results, err, sizeof(err)) : -ECANCELED;
    rc = fclose(page->out) && !rc ? -errno : rc;
    rc = !rc && rename(page->part, path) ? -errno : rc;
    if (rc) {
        (void)unlink(page->part);
    }
    if (rc && results) {
        (void)fprintf(stderr, "shunt sim: --report: %s: %s\n", path, err[0] ? err : strerror(-rc));
    }
    free(page->part);
    return rc ? VERB_FAILED : VERB_DONE;
}

/* What only a report shows is not part of what --json prints. */
static void drop_series(json_t *results)
{
    size_t index;
    json_t *result;
    json_array_foreach(results, index, result)
    {
        (void)json_object_del(result, "series");
    }
}

static int execute(const struct command *c, const struct scenarios *scenarios,
                   const struct policy_refs *policies, const char *text)
{
    struct bar bar = {.shown = false};
    const struct runs_options options = {.scenarios =
                                             (const struct scenario *const *)scenarios->item,
                                         .scenario_count = scenarios->count,
                                         .policies = policies,
                                         .policy_dir = c->policy_dir,
                                         .command = text,
                                         .version = SHUNT_VERSION,
                                         .seed_first = c->seed,
                                         .seed_count = (uint32_t)c->seeds,
                                         .jobs = (uint32_t)c->jobs,
                                         .series = c->report != NULL,
                                         .blocks = (uint32_t)c->blocks,
                                         .checked = c->checked,
                                         .journal = c->journal,
                                         .timeout_ns = (int64_t)c->timeout_s * CORE_NS_PER_S,
                                         .progress = isatty(STDERR_FILENO) ? draw : NULL,
                                         .ctx = &bar};
    json_t *results = NULL;
    char err[ERROR_MAX] = "";
    struct page page;
    if (page_open(c->report, &page)) {
        return VERB_USAGE;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &bar.start);
    int rc = runs_execute(&options, &results, err, sizeof(err));
    if (bar.shown) {
        (void)fprintf(stderr, "\r\x1b[K");
    }
    int status = page_close(&page, c->report, results);
    if (rc) {
        (void)fprintf(stderr, "shunt sim: %s\n", err);
        return status_of(rc);
    }
    drop_series(results);
    status = status ? status : print(c, results);
    json_decref(results);
    return status;
}

int verb_sim(int argc, char **argv)
{
    struct command c = {
        .policy_dir = "auto", .seed = 1, .seeds = 1, .timeout_s = TIMEOUT_S, .part = ARRIVALS_ALL};
    struct scenarios scenarios = {.count = 0};
    struct policy_refs policies = {0};
    char *text = NULL, err[ERROR_MAX] = "";
    if (join(argc, argv, &text)) {
        (void)fprintf(stderr, "shunt sim: out of memory\n");
        return VERB_FAILED;
    }
    int status = parse_command(&c, argc, argv);
    status = status ? status : load(&c, &scenarios);
    if (!status) {
        const char *given =
            c.policies ? c.policies : scenarios.item[0]->config->cells[0].policy.use;
        if (policy_refs_parse(given, &policies, err, sizeof(err))) {
            (void)fprintf(stderr, "shunt sim: --policy: %s\n", err);
            status = VERB_USAGE;
        }
    }
    if (!status && c.journal && (scenarios.count > 1 || policies.count > 1 || c.seeds > 1)) {
        status = verb_usage("sim", "--journal wants one scenario, one policy and one seed");
    }
    status = status ? status : execute(&c, &scenarios, &policies, text);
    policy_refs_fini(&policies);
    for (uint32_t i = 0; i < scenarios.count; i++) {
        scenario_free(scenarios.item[i]);
    }
    sim_journal_fini(&scenarios.made);
    free(text);
    return status;
}
