/*
 * The `arrivals:` list of scenarios and replay files, read into a spec by a table of its keys, from
 * which the manual is printed too.
 */
#include "base/arrivals_priv.h"
#include "base/csv.h"
#include "base/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double seconds_max = 1e9;

struct loader {
    struct arrivals_spec *spec;
    struct yaml *yaml;
    const char *folder, *traces;
};

/* -ENOENT (no such key) is no error for what has a default. */
static int optional(int rc)
{
    return rc == -ENOENT ? 0 : rc;
}

static int model_number(struct loader *l, const struct yaml_node *node, const char *name,
                        uint32_t *ret_model)
{
    int rc = arrivals_model(l->spec, name, ret_model);
    if (rc == -ENOENT) {
        return yaml_fail(l->yaml, node, "no model \"%s\" is defined", name);
    }
    if (rc == -E2BIG) {
        return yaml_fail(l->yaml, node, "more than %d models", ARRIVALS_MODELS_MAX);
    }
    return rc;
}

/* --- Distributions --- */

static struct dist_point *points_alloc(const struct yaml_node *list)
{
    return calloc(list->count ? list->count : 1, sizeof(struct dist_point));
}

static int read_values(struct loader *l, struct yaml_node *list, struct dist *dist,
                       struct dist_point **ret_owned)
{
    struct dist_point *points = points_alloc(list);
    if (!points) {
        return -ENOMEM;
    }
    *ret_owned = points;
    dist->points = points;
    dist->equal = 1;
    for (struct yaml_node *node = list->child; node; node = node->next) {
        int rc = yaml_node_real(l->yaml, node, "values", 0, 1e15, &points[dist->points_len].value);
        if (rc) {
            return rc;
        }
        dist->points_len++;
    }
    return 0;
}

static int read_quantiles(struct loader *l, struct yaml_node *list, struct dist *dist,
                          struct dist_point **ret_owned)
{
    struct dist_point *points = points_alloc(list);
    if (!points) {
        return -ENOMEM;
    }
    *ret_owned = points;
    dist->points = points;
    for (struct yaml_node *node = list->child; node; node = node->next) {
        struct dist_point *point = &points[dist->points_len];
        if (node->kind != YAML_SEQUENCE || node->count != 2) {
            return yaml_fail(l->yaml, node, "quantiles: each is a pair [p, value]");
        }
        int rc = yaml_node_real(l->yaml, node->child, "p", 0, 1, &point->p);
        rc = rc ? rc : yaml_node_real(l->yaml, node->child->next, "value", 0, 1e15, &point->value);
        if (rc) {
            return rc;
        }
        dist->points_len++;
    }
    return 0;
}

static int read_branches(struct loader *l, struct yaml_node *map, struct dist *dist)
{
    struct yaml_node *p, *mean;
    int rc = yaml_sequence(l->yaml, map, "p", &p);
    rc = rc ? rc : yaml_sequence(l->yaml, map, "mean", &mean);
    if (rc == -ENOENT || (rc == 0 && (p->count != mean->count || p->count > DIST_BRANCHES_MAX))) {
        return yaml_fail(l->yaml, map, "hyperexponential wants lists `p` and `mean`, 2 to %d each",
                         DIST_BRANCHES_MAX);
    }
    if (rc) {
        return rc;
    }
    struct yaml_node *a = p->child, *b = mean->child;
    for (; a && b; a = a->next, b = b->next) {
        struct dist_point *branch = &dist->branches[dist->branches_len++];
        rc = yaml_node_real(l->yaml, a, "p", 0, 1, &branch->p);
        rc = rc ? rc : yaml_node_real(l->yaml, b, "mean", 0, 1e15, &branch->value);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int read_empirical(struct loader *l, struct yaml_node *map, struct dist *dist,
                          struct dist_point **ret_owned)
{
    struct yaml_node *list;
    int rc = yaml_sequence(l->yaml, map, "values", &list);
    if (rc == 0) {
        return read_values(l, list, dist, ret_owned);
    }
    rc = rc == -ENOENT ? yaml_sequence(l->yaml, map, "quantiles", &list) : rc;
    if (rc == -ENOENT) {
        return yaml_fail(l->yaml, map,
                         "empirical wants `values: [...]` or `quantiles: [[p, v]...]`");
    }
    return rc ? rc : read_quantiles(l, list, dist, ret_owned);
}

/* The figures of a law given by its mean and spread. */
static int read_spread(struct loader *l, struct yaml_node *node, struct dist *dist)
{
    int rc = optional(yaml_real(l->yaml, node, "mean", 0, 1e15, &dist->mean));
    if (dist->kind == DIST_LOGNORMAL || dist->kind == DIST_GAMMA || dist->kind == DIST_WEIBULL) {
        rc = rc ? rc : optional(yaml_real(l->yaml, node, "cv", 0, 100, &dist->cv));
    }
    if (dist->kind == DIST_LOGNORMAL) {
        rc = rc ? rc : optional(yaml_real(l->yaml, node, "sigma", 0, 3, &dist->sigma));
    }
    if (dist->kind == DIST_WEIBULL) {
        rc = rc ? rc : optional(yaml_real(l->yaml, node, "shape", 0, 200, &dist->shape));
    }
    if (rc == 0 && dist->cv > 0 && (dist->sigma > 0 || dist->shape > 0)) {
        return yaml_fail(l->yaml, node, "give either cv or %s",
                         dist->sigma > 0 ? "sigma" : "shape");
    }
    return rc;
}

/* One distribution: a number (always this), or a mapping with `dist`. */
static int read_dist(struct loader *l, struct yaml_node *node, const char *key, struct dist *dist,
                     struct dist_point **ret_owned)
{
    if (node->kind == YAML_SCALAR) {
        dist->kind = DIST_DETERMINISTIC;
        return yaml_node_real(l->yaml, node, key, 0, 1e15, &dist->mean);
    }
    const char *name = "";
    int rc = yaml_string(l->yaml, node, "dist", &name);
    dist->kind = rc ? DIST_NONE : dist_kind_find(name);
    if (rc == -ENOENT || (rc == 0 && dist->kind == DIST_NONE)) {
        return yaml_fail(l->yaml, node,
                         "%s: `dist` is deterministic, exponential, hyperexponential, lognormal, "
                         "gamma, weibull or empirical",
                         key);
    }
    if (rc == 0 && dist->kind == DIST_HYPEREXPONENTIAL) {
        rc = read_branches(l, node, dist);
    } else if (rc == 0 && dist->kind == DIST_EMPIRICAL) {
        rc = read_empirical(l, node, dist, ret_owned);
    } else if (rc == 0) {
        rc = read_spread(l, node, dist);
    }
    rc = rc ? rc : yaml_end(l->yaml, node);
    const char *wrong = rc ? NULL : dist_check(dist);
    return wrong ? yaml_fail(l->yaml, node, "%s: %s", key, wrong) : rc;
}

/* --- Keys --- */

/* One key of a source. NODE is its value; OFFSET, MIN and MAX are for the readers that use them. */
struct key {
    const char *name;
    uint32_t kinds, required; /* bits of kinds */
    int (*read)(struct loader *l, const struct key *key, struct yaml_node *node,
                struct arrivals_source *source);
    size_t offset;
    double min, max;
    const char *form, *doc;
};

static void *place(struct arrivals_source *source, const struct key *key)
{
    return (char *)source + key->offset;
}

static int read_real(struct loader *l, const struct key *key, struct yaml_node *node,
                     struct arrivals_source *source)
{
    return yaml_node_real(l->yaml, node, key->name, key->min, key->max, place(source, key));
}

static int read_model(struct loader *l, const struct key *key, struct yaml_node *node,
                      struct arrivals_source *source)
{
    const char *name;
    uint32_t model;
    int rc = yaml_node_string(l->yaml, node, key->name, &name);
    rc = rc ? rc : model_number(l, node, name, &model);
    if (rc == 0) {
        source->model = model;
    }
    return rc;
}

/* Distributions of a source stand in this order in its points. */
static int read_attribute(struct loader *l, const struct key *key, struct yaml_node *node,
                          struct arrivals_source *source)
{
    static const size_t offsets[] = {
        offsetof(struct arrivals_source, service_s), offsetof(struct arrivals_source, input_tokens),
        offsetof(struct arrivals_source, output_tokens), offsetof(struct arrivals_source, rounds),
        offsetof(struct arrivals_source, think_s)};
    size_t i = 0;
    while (offsets[i] != key->offset) {
        i++;
    }
    return read_dist(l, node, key->name, place(source, key), &source->points[i]);
}

static int read_class(struct loader *l, const struct key *key, struct yaml_node *node,
                      struct arrivals_source *source)
{
    source->classes = true;
    if (node->kind == YAML_SCALAR) {
        for (uint32_t i = 0; i < ARRIVALS_CLASSES; i++) {
            if (strcmp(arrivals_class_name(i), node->text) == 0) {
                source->class_share[i] = 1;
                return 0;
            }
        }
        return yaml_fail(l->yaml, node,
                         "class: standard, critical, batch, sheddable or background, or a mapping "
                         "of them to shares");
    }
    int rc = 0;
    double sum = 0;
    for (uint32_t i = 0; rc == 0 && i < ARRIVALS_CLASSES; i++) {
        rc = optional(
            yaml_real(l->yaml, node, arrivals_class_name(i), 0, 1, &source->class_share[i]));
        sum += source->class_share[i];
    }
    rc = rc ? rc : yaml_end(l->yaml, node);
    if (rc == 0 && fabs(sum - 1) > 1e-9) {
        return yaml_fail(l->yaml, node, "%s: the shares sum to %g, not to 1", key->name, sum);
    }
    return rc;
}

/* --- Traces --- */

static int read_format(struct loader *l, const struct key *key, struct yaml_node *node,
                       struct arrivals_source *source)
{
    char err[256];
    (void)key;
    if (node->kind == YAML_SCALAR) {
        const struct trace_format *format = trace_format_find(node->text);
        if (!format) {
            return yaml_fail(l->yaml, node,
                             "there is no trace format \"%s\" (known: %s; or a mapping of columns)",
                             node->text, trace_format_names());
        }
        source->format = *format;
        return 0;
    }
    for (struct yaml_node *pair = node->child; node->kind == YAML_MAPPING && pair;
         pair = pair->next) {
        const char *column;
        int rc = yaml_string(l->yaml, node, pair->key, &column);
        if (rc) {
            return rc;
        }
        if (trace_format_set(&source->format, pair->key, column, err, sizeof err)) {
            return yaml_fail(l->yaml, pair, "%s", err);
        }
    }
    return source->format.time[0] == '\0'
               ? yaml_fail(l->yaml, node, "format: a column for the time is needed (%s)",
                           trace_format_keys())
               : 0;
}

static int find_file(struct loader *l, const struct yaml_node *node, const char *what,
                     char **ret_path)
{
    const char *file;
    int rc = yaml_node_string(l->yaml, node, what, &file);
    if (rc) {
        return rc;
    }
    const char *folders[] = {file[0] == '/' ? "" : l->folder, l->traces};
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        if (!folders[i] || (i > 0 && file[0] == '/')) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s%s%s", folders[i], folders[i][0] ? "/" : "", file);
        if (access(path, R_OK) == 0) {
            *ret_path = strdup(path);
            return *ret_path ? 0 : -ENOMEM;
        }
    }
    return yaml_fail(l->yaml, node, "the trace \"%s\" is neither beside this file nor in %s", file,
                     l->traces ? l->traces : "the folder of traces (SHUNT_TRACES is not set)");
}

static int read_path(struct loader *l, const struct key *key, struct yaml_node *node,
                     struct arrivals_source *source)
{
    return find_file(l, node, key->name, &source->path);
}

static int read_bound(struct loader *l, const struct key *key, struct yaml_node *node,
                      struct arrivals_source *source)
{
    struct arrivals_bound *bound = place(source, key);
    double seconds;
    bound->set = true;
    if (node->kind == YAML_SCALAR &&
        datetime_parse(node->text, strlen(node->text), &bound->ns) == 0) {
        bound->absolute = true;
        return 0;
    }
    if (yaml_node_real(l->yaml, node, key->name, 0, seconds_max, &seconds)) {
        return yaml_fail(l->yaml, node, "%s: seconds from t0, or a date and time as in the trace",
                         key->name);
    }
    bound->ns = (int64_t)llround(seconds * 1e9);
    return 0;
}

static int read_choice(struct loader *l, const struct yaml_node *node, const char *what,
                       const char *const *choices, uint32_t *ret_index)
{
    for (uint32_t i = 0; node->kind == YAML_SCALAR && choices[i]; i++) {
        if (strcmp(choices[i], node->text) == 0) {
            *ret_index = i;
            return 0;
        }
    }
    return yaml_fail(l->yaml, node, "%s: %s, %s%s%s", what, choices[0], choices[1],
                     choices[2] ? " or " : "", choices[2] ? choices[2] : "");
}

static int read_t0(struct loader *l, const struct key *key, struct yaml_node *node,
                   struct arrivals_source *source)
{
    static const char *const choices[] = {"own", "shared", NULL};
    uint32_t chosen = 0;
    int rc = read_choice(l, node, key->name, choices, &chosen);
    source->t0_shared = chosen == 1;
    return rc;
}

static int read_unmapped(struct loader *l, const struct key *key, struct yaml_node *node,
                         struct arrivals_source *source)
{
    static const char *const choices[] = {"error", "drop", NULL};
    uint32_t chosen = 0;
    int rc = read_choice(l, node, key->name, choices, &chosen);
    source->drop_unmapped = chosen == 1;
    return rc;
}

static int read_part(struct loader *l, const struct key *key, struct yaml_node *node,
                     struct arrivals_source *source)
{
    static const char *const choices[] = {"all", "tune", "score", NULL};
    uint32_t chosen = 0;
    int rc = read_choice(l, node, key->name, choices, &chosen);
    source->part = (enum arrivals_part)chosen;
    return rc;
}

static int read_where(struct loader *l, const struct key *key, struct yaml_node *node,
                      struct arrivals_source *source)
{
    if (node->kind != YAML_MAPPING) {
        return yaml_fail(l->yaml, node, "%s: a mapping of columns to values", key->name);
    }
    for (struct yaml_node *pair = node->child; pair; pair = pair->next) {
        const char *value;
        int rc = yaml_string(l->yaml, node, pair->key, &value);
        if (rc) {
            return rc;
        }
        if (source->where_len == TRACE_FILTERS_MAX || strlen(pair->key) >= TRACE_NAME_MAX ||
            strlen(value) >= TRACE_TEXT_MAX) {
            return yaml_fail(l->yaml, pair, "where: at most %d conditions of at most %d bytes",
                             TRACE_FILTERS_MAX, TRACE_NAME_MAX - 1);
        }
        struct trace_filter *filter = &source->where[source->where_len++];
        memcpy(filter->column, pair->key, strlen(pair->key) + 1);
        memcpy(filter->value, value, strlen(value) + 1);
    }
    return 0;
}

static int read_map(struct loader *l, const struct key *key, struct yaml_node *node,
                    struct arrivals_source *source)
{
    if (node->kind != YAML_MAPPING || node->count > ARRIVALS_MAP_MAX) {
        return yaml_fail(l->yaml, node, "%s: a mapping of at most %d texts to models", key->name,
                         ARRIVALS_MAP_MAX);
    }
    source->map = calloc(node->count ? node->count : 1, sizeof *source->map);
    if (!source->map) {
        return -ENOMEM;
    }
    for (struct yaml_node *pair = node->child; pair; pair = pair->next) {
        struct arrivals_map *entry = &source->map[source->map_len];
        const char *name;
        int rc = yaml_string(l->yaml, node, pair->key, &name);
        if (rc == 0 && strlen(pair->key) >= TRACE_TEXT_MAX) {
            rc =
                yaml_fail(l->yaml, pair, "map: a text is longer than %d bytes", TRACE_TEXT_MAX - 1);
        }
        rc = rc ? rc : model_number(l, pair, name, &entry->model);
        if (rc) {
            return rc;
        }
        memcpy(entry->text, pair->key, strlen(pair->key) + 1);
        source->map_len++;
    }
    return 0;
}

/* The classes of an assignment and their shares, from a table. Shares that sum to 1 but for their
 * last digits are taken: the last class gets what is left. */
static int read_shares(struct loader *l, const struct yaml_node *node, struct csv *csv,
                       struct arrivals_source *source)
{
    char err[512];
    const struct csv_cell *cells;
    double sum = 0, share = 0;
    int rc;
    while ((rc = csv_next(csv, &cells, err, sizeof err)) == 1) {
        rc = csv_real(csv, &cells[1], "the share", 0, 1, &share, err, sizeof err);
        if (rc == 0 && (cells[0].len == 0 || cells[0].len >= TRACE_TEXT_MAX ||
                        source->shares_len == ARRIVALS_MAP_MAX)) {
            rc = csv_fail(csv, &cells[0], err, sizeof err,
                          "a class has a name of 1 to %d bytes, and there are at most %d",
                          TRACE_TEXT_MAX - 1, ARRIVALS_MAP_MAX);
        }
        if (rc) {
            break;
        }
        struct arrivals_share *entry = &source->shares[source->shares_len++];
        memcpy(entry->text, cells[0].text, cells[0].len);
        entry->text[cells[0].len] = '\0';
        sum += share;
        entry->upto = sum;
    }
    if (rc == 0 && fabs(sum - 1) > 1e-3) {
        rc = csv_fail(csv, NULL, err, sizeof err, "the shares sum to %g, not to 1", sum);
    }
    if (rc < 0) {
        return rc == -ENOMEM ? rc : yaml_fail(l->yaml, node, "assign: %s", err);
    }
    source->shares[source->shares_len - 1].upto = 2;
    return 0;
}

static int read_assign(struct loader *l, const struct key *key, struct yaml_node *node,
                       struct arrivals_source *source)
{
    const char *columns[] = {"cls", "share"};
    uint32_t rule;
    char *path = NULL, err[512];
    struct csv *csv;
    struct yaml_node *file = yaml_get(node, "file");
    int rc = file ? find_file(l, file, "file", &path)
                  : yaml_fail(l->yaml, node, "%s: `file` is missing", key->name);
    rc = rc ? rc : yaml_choice(l->yaml, node, "rule", "splitmix64", &rule);
    if (rc == -ENOENT) {
        rc = yaml_fail(l->yaml, node, "%s: `rule` is missing: splitmix64", key->name);
    }
    rc = rc ? rc : optional(yaml_string(l->yaml, node, "class", &columns[0]));
    rc = rc ? rc : optional(yaml_string(l->yaml, node, "share", &columns[1]));
    rc = rc ? rc : yaml_end(l->yaml, node);
    if (rc == 0) {
        source->shares = calloc(ARRIVALS_MAP_MAX, sizeof *source->shares);
        rc = source->shares ? 0 : -ENOMEM;
    }
    if (rc == 0) {
        rc = csv_open(&csv, path, columns, 2, err, sizeof err);
        if (rc == 0) {
            rc = read_shares(l, node, csv, source);
            csv_close(csv);
        } else if (rc != -ENOMEM) {
            rc = yaml_fail(l->yaml, node, "assign: %s", err);
        }
    }
    free(path);
    return rc;
}

/* --- The other kinds --- */

static int read_like(struct loader *l, const struct key *key, struct yaml_node *node,
                     struct arrivals_source *source)
{
    const char *const choices[] = {arrivals_fit_name(ARRIVALS_FIT_AZURE_2023_CODE),
                                   arrivals_fit_name(ARRIVALS_FIT_AZURE_2023_CONV), NULL};
    uint32_t fit = 0;
    int rc = read_choice(l, node, key->name, choices, &fit);
    source->fit = (enum arrivals_fit)fit;
    return rc;
}

static int read_states(struct loader *l, const struct key *key, struct yaml_node *node,
                       struct arrivals_source *source)
{
    if (node->kind != YAML_SEQUENCE || node->count < 2 || node->count > ARRIVALS_STATES_MAX) {
        return yaml_fail(l->yaml, node, "%s: a list of 2 to %d states {rate_per_s, mean_s}",
                         key->name, ARRIVALS_STATES_MAX);
    }
    for (struct yaml_node *item = node->child; item; item = item->next) {
        struct arrivals_state *state = &source->states[source->states_len++];
        int rc = yaml_real(l->yaml, item, "rate_per_s", 0, 1e7, &state->rate_per_s);
        rc = rc ? rc : yaml_real(l->yaml, item, "mean_s", 1e-6, 1e9, &state->mean_s);
        if (rc == -ENOENT) {
            return yaml_fail(l->yaml, item, "a state has rate_per_s and mean_s");
        }
        rc = rc ? rc : yaml_end(l->yaml, item);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int read_ratio(struct loader *l, const struct key *key, struct yaml_node *node,
                      struct arrivals_source *source)
{
    double ratio;
    int rc = yaml_node_real(l->yaml, node, key->name, key->min, key->max, &ratio);
    if (rc == 0 && source->amplitude > 0) {
        return yaml_fail(l->yaml, node, "give either ratio or amplitude");
    }
    if (rc == 0) {
        source->amplitude = (ratio - 1) / (ratio + 1);
    }
    return rc;
}

static int read_peak_hour(struct loader *l, const struct key *key, struct yaml_node *node,
                          struct arrivals_source *source)
{
    double hour;
    int rc = yaml_node_real(l->yaml, node, key->name, key->min, key->max, &hour);
    if (rc == 0 && source->peak_s > 0) {
        return yaml_fail(l->yaml, node, "give either peak_hour or peak_s");
    }
    if (rc == 0) {
        source->peak_s = hour * 3600;
    }
    return rc;
}

static int read_population(struct loader *l, const struct key *key, struct yaml_node *node,
                           struct arrivals_source *source)
{
    int64_t people;
    int rc = yaml_node_int(l->yaml, node, key->name, 1, ARRIVALS_SESSIONS_MAX, &people);
    if (rc == 0 && source->rate_per_s > 0) {
        return yaml_fail(l->yaml, node, "give either population or rate_per_s");
    }
    if (rc == 0) {
        source->population = (uint64_t)people;
    }
    return rc;
}

/* [arrival_s, model, service_s], and optionally input and output tokens. */
static int read_job(struct loader *l, const struct yaml_node *node, struct arrivals_job *job)
{
    const char *name;
    double arrival_s, service_s;
    if (node->kind != YAML_SEQUENCE || (node->count != 3 && node->count != 5)) {
        return yaml_fail(l->yaml, node,
                         "a job is [arrival_s, model, service_s] or [arrival_s, model, service_s, "
                         "input_tokens, output_tokens]");
    }
    const struct yaml_node *at = node->child, *model = at->next, *service = model->next;
    *job = (struct arrivals_job){.input_tokens = -1, .output_tokens = -1};
    int rc = yaml_node_real(l->yaml, at, "arrival_s", 0, seconds_max, &arrival_s);
    rc = rc ? rc : yaml_node_string(l->yaml, model, "model", &name);
    rc = rc ? rc : yaml_node_real(l->yaml, service, "service_s", 0, seconds_max, &service_s);
    if (rc == 0 && service->next) {
        rc = yaml_node_int(l->yaml, service->next, "input_tokens", 0, 1000000000,
                           &job->input_tokens);
        rc = rc ? rc
                : yaml_node_int(l->yaml, service->next->next, "output_tokens", 0, 1000000000,
                                &job->output_tokens);
    }
    rc = rc ? rc : model_number(l, model, name, &job->model);
    if (rc == 0) {
        job->t_ns = (int64_t)llround(arrival_s * 1e9);
        job->service_ns = (int64_t)llround(service_s * 1e9);
    }
    return rc;
}

static int read_jobs(struct loader *l, const struct key *key, struct yaml_node *jobs,
                     struct arrivals_source *source)
{
    if (jobs->kind != YAML_SEQUENCE || jobs->count > ARRIVALS_JOBS_MAX) {
        return yaml_fail(l->yaml, jobs, "%s: a list of at most %d jobs; use a trace for more",
                         key->name, ARRIVALS_JOBS_MAX);
    }
    source->jobs = calloc(jobs->count ? jobs->count : 1, sizeof *source->jobs);
    if (!source->jobs) {
        return -ENOMEM;
    }
    int rc = 0;
    for (const struct yaml_node *node = jobs->child; rc == 0 && node; node = node->next) {
        rc = read_job(l, node, &source->jobs[source->jobs_len]);
        source->jobs_len += rc == 0;
    }
    return rc;
}

/* --- The table --- */

#define K(kind) (1u << ARRIVALS_##kind)
enum {
    KINDS_ALL = (1u << ARRIVALS_KINDS) - 1,
    KINDS_READ = K(TRACE) | K(LIST),
    KINDS_RATE = K(POISSON) | K(GAMMA) | K(WEIBULL) | K(CONSTANT) | K(DIURNAL) | K(SPIKE)
};

#define AT(member) offsetof(struct arrivals_source, member)
#define DIST_FORM  "number or {dist: ...}"
#define BOUND_FORM "seconds or date"

static const struct key keys[] = {
    {"model", KINDS_ALL & ~K(LIST), KINDS_ALL & ~KINDS_READ, read_model, 0, 0, 0, "name",
     "The model that all requests ask for; a trace without it goes by its rows."},
    {"rate_per_s", KINDS_RATE | K(SESSIONS), KINDS_RATE, read_real, AT(rate_per_s), 1e-9, 1e7,
     "number",
     "Arrivals a second: in the mean over a period for diurnal, outside spikes for spike. For "
     "sessions: at which they begin."},
    {"cv", K(GAMMA) | K(WEIBULL), K(GAMMA), read_real, AT(cv), 0.01, 100, "number",
     "Standard deviation over mean of the gaps between arrivals."},
    {"shape", K(WEIBULL), 0, read_real, AT(shape), 0.1, 200, "number",
     "Shape of the gaps, instead of cv."},
    {"states", K(ONOFF), K(ONOFF), read_states, 0, 0, 0, "[{rate_per_s, mean_s}, ...]",
     "States that follow one another in a circle, each for an exponential time with that mean, "
     "with Poisson arrivals at its rate; the first is drawn by the shares of time."},
    {"amplitude", K(DIURNAL), 0, read_real, AT(amplitude), 0, 1, "number",
     "The rate is rate_per_s * (1 + amplitude * cos(2 pi (t - peak_s) / period_s))."},
    {"ratio", K(DIURNAL), 0, read_ratio, 0, 1, 1e6, "number",
     "Highest over lowest rate, instead of amplitude."},
    {"period_s", K(DIURNAL), 0, read_real, AT(period_s), 1e-3, 1e9, "number",
     "Length of a day; 86400 if absent."},
    {"peak_s", K(DIURNAL), 0, read_real, AT(peak_s), 0, 1e9, "number",
     "When the rate is highest first; 0 if absent."},
    {"peak_hour", K(DIURNAL), 0, read_peak_hour, 0, 0, 24, "number", "The same in hours."},
    {"factor", K(SPIKE), K(SPIKE), read_real, AT(factor), 0, 1e6, "number",
     "The rate is so many times higher during a spike."},
    {"at_s", K(SPIKE), K(SPIKE), read_real, AT(at_s), 0, 1e9, "number",
     "When the first spike begins."},
    {"duration_s", K(SPIKE), K(SPIKE), read_real, AT(duration_s), 1e-6, 1e9, "number",
     "Length of a spike."},
    {"every_s", K(SPIKE), 0, read_real, AT(every_s), 1e-6, 1e9, "number",
     "From the begin of a spike to that of the next; absent: there is one."},
    {"population", K(SESSIONS), 0, read_population, 0, 0, 0, "count",
     "So many sessions, each beginning with a think time, instead of a rate at which they begin."},
    {"rounds", K(SESSIONS), 0, read_attribute, AT(rounds), 0, 0, DIST_FORM,
     "Requests of a session, rounded, at least 1; without it a population goes on for ever."},
    {"think_s", K(SESSIONS), K(SESSIONS), read_attribute, AT(think_s), 0, 0, DIST_FORM,
     "From the end of a request to the next one of the same session."},
    {"like", K(FITTED), K(FITTED), read_like, 0, 0, 0, "azure-llm-2023-code|-conv",
     "The published service whose rate, burstiness and lengths are imitated."},
    {"jobs", K(LIST), K(LIST), read_jobs, 0, 0, 0, "[[arrival_s, model, service_s], ...]",
     "The requests themselves, each optionally with input and output tokens behind; at equal times "
     "in this order."},
    {"file", K(TRACE), K(TRACE), read_path, 0, 0, 0, "path",
     "The trace, plain, gzip or zstd; looked for beside this file, then in SHUNT_TRACES."},
    {"format", K(TRACE), K(TRACE), read_format, 0, 0, 0, "name or {key: column, ...}",
     "azure-llm-2023, azure-llm-2024, gentd26, mooncake, burstgpt, azure-functions-2021, aegaeon, "
     "servegen; or a column for each of time_s, time_ms, time (date and time), end_time_s, "
     "end_time_ms (with service: arrival = end - service), model, input_tokens, output_tokens, "
     "service_s, service_ms."},
    {"where", K(TRACE), 0, read_where, 0, 0, 0, "{column: value, ...}",
     "Rows with exactly these values only."},
    {"map", K(TRACE), 0, read_map, 0, 0, 0, "{text: model, ...}",
     "Models by the trace's texts for them; absent: texts are names of models."},
    {"unmapped", K(TRACE), 0, read_unmapped, 0, 0, 0, "error|drop",
     "What to do with a row whose text is not mapped; error if absent."},
    {"assign", K(TRACE), 0, read_assign, 0, 0, 0, "{file, rule: splitmix64, class, share}",
     "Draws the text of row n (0-based, of the whole file) instead of reading it: the first class "
     "of the table whose cumulative share exceeds splitmix64(n) / 2^64. class and share name the "
     "columns; cls and share if absent."},
    {"t0", K(TRACE), 0, read_t0, 0, 0, 0, "own|shared",
     "Time 0 of the trace is its first row, or the first row of all traces that say shared."},
    {"from", K(TRACE), 0, read_bound, AT(from), 0, 0, BOUND_FORM,
     "Rows from here on: seconds after t0 in the trace's time, or a date. Times count from here."},
    {"to", K(TRACE), 0, read_bound, AT(to), 0, 0, BOUND_FORM,
     "Rows before this; seconds count from t0, or from a `from` that is a date."},
    {"tune_until", K(TRACE), 0, read_bound, AT(tune_until), 0, 0, BOUND_FORM,
     "Where the trace is cut into the part to tune on and the part to score on; counted as `to`."},
    {"part", K(TRACE), 0, read_part, 0, 0, 0, "all|tune|score",
     "Which part is taken; all if absent. The times of score count from the cut."},
    {"stretch", KINDS_ALL & ~K(SESSIONS), 0, read_real, AT(stretch), 1e-9, 1e9, "number",
     "Times are multiplied by this: t' = stretch * (t - t0). 2 halves the load; 1 if absent."},
    {"service_s", KINDS_ALL, 0, read_attribute, AT(service_s), 0, 0, DIST_FORM,
     "Service time of a request, where the trace or list does not say."},
    {"input_tokens", KINDS_ALL, 0, read_attribute, AT(input_tokens), 0, 0, DIST_FORM,
     "Likewise, rounded, at least 1."},
    {"output_tokens", KINDS_ALL, 0, read_attribute, AT(output_tokens), 0, 0, DIST_FORM,
     "Likewise."},
    {"class", KINDS_ALL, 0, read_class, 0, 0, 0, "name or {name: share, ...}",
     "Service class of a request, drawn with these shares: standard (0), critical (1), batch (2), "
     "sheddable (3), background (4). Absent: the model's."},
};

enum { KEYS = sizeof keys / sizeof *keys };

static int read_keys(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    uint32_t kind = 1u << source->kind;
    for (size_t i = 0; i < KEYS; i++) {
        if (!(keys[i].kinds & kind)) {
            continue;
        }
        struct yaml_node *node = yaml_get(map, keys[i].name);
        if (!node && keys[i].required & kind) {
            return yaml_fail(l->yaml, map, "`%s` is missing (%s)", keys[i].name, keys[i].form);
        }
        int rc = node ? keys[i].read(l, &keys[i], node, source) : 0;
        if (rc) {
            return rc;
        }
    }
    int rc = yaml_end(l->yaml, map);
    const char *wrong = rc ? NULL : arrivals_source_check(source);
    return wrong ? yaml_fail(l->yaml, map, "%s", wrong) : rc;
}

static int read_source(struct loader *l, struct yaml_node *map)
{
    const char *name;
    int rc = yaml_string(l->yaml, map, "kind", &name);
    if (rc) {
        return rc == -ENOENT ? yaml_fail(l->yaml, map, "`kind` is missing") : rc;
    }
    for (unsigned kind = 0; kind < ARRIVALS_KINDS; kind++) {
        if (strcmp(arrivals_kind_name((enum arrivals_kind)kind), name) != 0) {
            continue;
        }
        struct arrivals_source *source;
        rc = arrivals_source_add(l->spec, (enum arrivals_kind)kind, &source);
        if (rc) {
            return rc == -E2BIG
                       ? yaml_fail(l->yaml, map, "more than %d sources", ARRIVALS_SOURCES_MAX)
                       : rc;
        }
        return read_keys(l, map, source);
    }
    return yaml_fail(l->yaml, yaml_get(map, "kind"),
                     "there is no kind \"%s\" (poisson, gamma, weibull, constant, onoff, diurnal, "
                     "spike, sessions, trace, list and fitted are)",
                     name);
}

int arrivals_load(struct arrivals_spec *spec, struct yaml *yaml, struct yaml_node *list,
                  const char *folder, const char *traces)
{
    struct loader l = {.spec = spec, .yaml = yaml, .folder = folder, .traces = traces};
    if (list->kind != YAML_SEQUENCE || list->count == 0) {
        return yaml_fail(yaml, list, "arrivals: a list of one or more sources");
    }
    for (struct yaml_node *node = list->child; node; node = node->next) {
        int rc = read_source(&l, node);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

void arrivals_print_manual(FILE *out)
{
    static const char *const docs[ARRIVALS_KINDS] = {
        [ARRIVALS_POISSON] = "independent arrivals at a constant rate",
        [ARRIVALS_GAMMA] = "independent gaps with a gamma law",
        [ARRIVALS_WEIBULL] = "independent gaps with a Weibull law",
        [ARRIVALS_CONSTANT] = "equal gaps",
        [ARRIVALS_ONOFF] = "Poisson arrivals whose rate changes between states at random (MMPP)",
        [ARRIVALS_DIURNAL] = "Poisson arrivals whose rate is a sinusoid",
        [ARRIVALS_SPIKE] = "Poisson arrivals whose rate is multiplied for a while",
        [ARRIVALS_SESSIONS] = "closed loop: the next round follows the end of the last one",
        [ARRIVALS_TRACE] = "a file of requests",
        [ARRIVALS_LIST] = "requests written here",
        [ARRIVALS_FITTED] = "drawn to the published statistics of a service, not a trace",
    };
    for (unsigned kind = 0; kind < ARRIVALS_KINDS; kind++) {
        (void)fprintf(out, "* `kind: %s`: %s. Keys:", arrivals_kind_name((enum arrivals_kind)kind),
                      docs[kind]);
        for (size_t i = 0; i < KEYS; i++) {
            if (keys[i].kinds & 1u << kind) {
                (void)fprintf(out, keys[i].required & 1u << kind ? " **`%s`**" : " `%s`",
                              keys[i].name);
            }
        }
        (void)fprintf(out, "\n");
    }
    (void)fprintf(out, "\n| key | value | |\n|---|---|---|\n");
    for (size_t i = 0; i < KEYS; i++) {
        (void)fprintf(out, "| `%s` | ", keys[i].name);
        for (const char *c = keys[i].form; *c; c++) {
            (void)fprintf(out, *c == '|' ? "\\|" : "%c", *c);
        }
        (void)fprintf(out, " | %s |\n", keys[i].doc);
    }
    (void)fprintf(
        out, "\nDistributions: a number, or `{dist: deterministic, mean}`, `{dist: exponential, "
             "mean}`, `{dist: hyperexponential, p: [...], mean: [...]}`, `{dist: lognormal, mean, "
             "sigma}` or `cv`, `{dist: gamma, mean, cv}`, `{dist: weibull, mean, cv}` or `shape`, "
             "`{dist: empirical, values: [...]}` or `quantiles: [[p, value], ...]`.\n");
}

int arrivals_load_dist(struct yaml *yaml, struct yaml_node *map, const char *key,
                       struct dist *ret_dist, struct dist_point **ret_points)
{
    struct loader l = {.yaml = yaml};
    *ret_dist = (struct dist){.kind = DIST_NONE};
    *ret_points = NULL;
    struct yaml_node *node = yaml_get(map, key);
    return node ? read_dist(&l, node, key, ret_dist, ret_points) : 0;
}
