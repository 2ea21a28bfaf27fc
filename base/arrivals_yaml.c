/*
 * The `arrivals:` list of scenarios and replay files, read into a spec. Every key is checked here;
 * what the numbers must satisfy together is arrivals_create()'s affair.
 */
#include "base/arrivals.h"

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

static int read_model(struct loader *l, struct yaml_node *map, bool required,
                      struct arrivals_source *source)
{
    const char *name;
    uint32_t model;
    int rc = yaml_string(l->yaml, map, "model", &name);
    if (rc == -ENOENT) {
        return required ? yaml_fail(l->yaml, map, "`model` is missing") : 0;
    }
    rc = rc ? rc : model_number(l, yaml_get(map, "model"), name, &model);
    if (rc == 0) {
        source->model = model;
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

/* One distribution: a number (always this), or a mapping with `dist`. */
static int read_dist(struct loader *l, struct yaml_node *map, const char *key, struct dist *dist,
                     struct dist_point **ret_owned)
{
    struct yaml_node *node = yaml_get(map, key);
    if (!node) {
        return 0;
    }
    int rc;
    if (node->kind == YAML_SCALAR) {
        dist->kind = DIST_DETERMINISTIC;
        rc = yaml_node_real(l->yaml, node, key, 0, 1e15, &dist->mean);
        return rc;
    }
    const char *name = "";
    rc = yaml_string(l->yaml, node, "dist", &name);
    dist->kind = rc ? DIST_NONE : dist_kind_find(name);
    if (rc == -ENOENT || (rc == 0 && dist->kind == DIST_NONE)) {
        return yaml_fail(l->yaml, node,
                         "%s: `dist` is deterministic, exponential, hyperexponential, lognormal, "
                         "gamma or empirical",
                         key);
    }
    double sigma;
    if (rc == 0 && dist->kind == DIST_HYPEREXPONENTIAL) {
        rc = read_branches(l, node, dist);
    } else if (rc == 0 && dist->kind == DIST_EMPIRICAL) {
        rc = read_empirical(l, node, dist, ret_owned);
    } else if (rc == 0) {
        rc = optional(yaml_real(l->yaml, node, "mean", 0, 1e15, &dist->mean));
        rc = rc ? rc : optional(yaml_real(l->yaml, node, "cv", 0, 100, &dist->cv));
        if (rc == 0 && dist->kind == DIST_LOGNORMAL &&
            (rc = yaml_real(l->yaml, node, "sigma", 0, 3, &sigma)) == 0) {
            dist->cv = sqrt(expm1(sigma * sigma));
        }
        rc = optional(rc);
    }
    rc = rc ? rc : yaml_end(l->yaml, node);
    const char *wrong = rc ? NULL : dist_check(dist);
    return wrong ? yaml_fail(l->yaml, node, "%s: %s", key, wrong) : rc;
}

/* --- Traces --- */

static int read_format(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    char err[256];
    struct yaml_node *node = yaml_get(map, "format");
    if (!node) {
        return yaml_fail(l->yaml, map, "`format` is missing: a name, or a mapping of columns");
    }
    if (node->kind == YAML_SCALAR) {
        const struct trace_format *format = trace_format_find(node->text);
        if (!format) {
            return yaml_fail(l->yaml, node,
                             "there is no trace format \"%s\" (known: %s, or a "
                             "mapping of columns)",
                             node->text, trace_format_name(0));
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
               ? yaml_fail(l->yaml, node, "format: one of time_s, time_ms and time is needed")
               : 0;
}

static int read_path(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    const char *file;
    int rc = yaml_string(l->yaml, map, "file", &file);
    if (rc) {
        return rc == -ENOENT ? yaml_fail(l->yaml, map, "`file` is missing") : rc;
    }
    const char *folders[] = {file[0] == '/' ? "" : l->folder, l->traces};
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        if (!folders[i] || (i > 0 && file[0] == '/')) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s%s%s", folders[i], folders[i][0] ? "/" : "", file);
        if (access(path, R_OK) == 0) {
            source->path = strdup(path);
            return source->path ? 0 : -ENOMEM;
        }
    }
    return yaml_fail(l->yaml, yaml_get(map, "file"),
                     "the trace \"%s\" is neither beside this file nor in %s", file,
                     l->traces ? l->traces : "the folder of traces (SHUNT_TRACES is not set)");
}

static int read_bound(struct loader *l, struct yaml_node *map, const char *key,
                      struct arrivals_bound *bound)
{
    const struct yaml_node *node = yaml_get(map, key);
    if (!node) {
        return 0;
    }
    double seconds;
    bound->set = true;
    if (node->kind == YAML_SCALAR &&
        datetime_parse(node->text, strlen(node->text), &bound->ns) == 0) {
        bound->absolute = true;
        return 0;
    }
    int rc = yaml_node_real(l->yaml, node, key, 0, seconds_max, &seconds);
    if (rc) {
        return yaml_fail(l->yaml, node, "%s: seconds from t0, or a date and time as in the trace",
                         key);
    }
    bound->ns = (int64_t)llround(seconds * 1e9);
    return 0;
}

static int read_where(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    struct yaml_node *node;
    int rc = yaml_mapping(l->yaml, map, "where", &node);
    if (rc) {
        return optional(rc);
    }
    for (struct yaml_node *pair = node->child; pair; pair = pair->next) {
        const char *value;
        rc = yaml_string(l->yaml, node, pair->key, &value);
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

static int read_map(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    struct yaml_node *node;
    int rc = yaml_mapping(l->yaml, map, "map", &node);
    if (rc) {
        return optional(rc);
    }
    if (node->count > ARRIVALS_MAP_MAX) {
        return yaml_fail(l->yaml, node, "map: more than %d entries", ARRIVALS_MAP_MAX);
    }
    source->map = calloc(node->count ? node->count : 1, sizeof *source->map);
    if (!source->map) {
        return -ENOMEM;
    }
    for (struct yaml_node *pair = node->child; pair; pair = pair->next) {
        struct arrivals_map *entry = &source->map[source->map_len];
        const char *name;
        rc = yaml_string(l->yaml, node, pair->key, &name);
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

static int read_trace(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    uint32_t shared = 0, drop = 0;
    int rc = read_path(l, map, source);
    rc = rc ? rc : read_format(l, map, source);
    rc = rc ? rc : read_model(l, map, false, source);
    rc = rc ? rc : optional(yaml_real(l->yaml, map, "stretch", 1e-6, 1e6, &source->stretch));
    rc = rc ? rc : optional(yaml_choice(l->yaml, map, "t0", "own|shared", &shared));
    rc = rc ? rc : read_bound(l, map, "from", &source->from);
    rc = rc ? rc : read_bound(l, map, "to", &source->to);
    rc = rc ? rc : read_where(l, map, source);
    rc = rc ? rc : read_map(l, map, source);
    rc = rc ? rc : optional(yaml_choice(l->yaml, map, "unmapped", "error|drop", &drop));
    source->t0_shared = shared == 1;
    source->drop_unmapped = drop == 1;
    return rc;
}

/* --- The other kinds --- */

static int read_poisson(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    int rc = read_model(l, map, true, source);
    rc = rc ? rc : yaml_real(l->yaml, map, "rate_per_s", 1e-9, 1e7, &source->rate_per_s);
    if (rc == -ENOENT) {
        return yaml_fail(l->yaml, map, "`rate_per_s` is missing");
    }
    rc = rc ? rc : read_dist(l, map, "service_s", &source->service_s, &source->points[0]);
    rc = rc ? rc : read_dist(l, map, "input_tokens", &source->input_tokens, &source->points[1]);
    return rc ? rc : read_dist(l, map, "output_tokens", &source->output_tokens, &source->points[2]);
}

static int read_fitted(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    uint32_t fit;
    char choices[128];
    (void)snprintf(choices, sizeof choices, "%s|%s",
                   arrivals_fit_name(ARRIVALS_FIT_AZURE_2023_CODE),
                   arrivals_fit_name(ARRIVALS_FIT_AZURE_2023_CONV));
    int rc = read_model(l, map, true, source);
    rc = rc ? rc : yaml_choice(l->yaml, map, "like", choices, &fit);
    if (rc == -ENOENT) {
        return yaml_fail(l->yaml, map, "`like` is missing: %s", choices);
    }
    if (rc == 0) {
        source->fit = (enum arrivals_fit)fit;
        rc = optional(yaml_real(l->yaml, map, "stretch", 1e-6, 1e6, &source->stretch));
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

static int read_list(struct loader *l, struct yaml_node *map, struct arrivals_source *source)
{
    struct yaml_node *jobs;
    int rc = yaml_sequence(l->yaml, map, "jobs", &jobs);
    if (rc) {
        return rc == -ENOENT ? yaml_fail(l->yaml, map, "`jobs` is missing") : rc;
    }
    if (jobs->count > ARRIVALS_JOBS_MAX) {
        return yaml_fail(l->yaml, jobs, "more than %d jobs; use a trace file", ARRIVALS_JOBS_MAX);
    }
    source->jobs = calloc(jobs->count ? jobs->count : 1, sizeof *source->jobs);
    if (!source->jobs) {
        return -ENOMEM;
    }
    for (const struct yaml_node *node = jobs->child; rc == 0 && node; node = node->next) {
        rc = read_job(l, node, &source->jobs[source->jobs_len]);
        source->jobs_len += rc == 0;
    }
    return rc;
}

static int read_source(struct loader *l, struct yaml_node *map)
{
    static const struct {
        const char *name;
        enum arrivals_kind kind;
        int (*read)(struct loader *l, struct yaml_node *map, struct arrivals_source *source);
    } kinds[] = {
        {"poisson", ARRIVALS_POISSON, read_poisson},
        {"trace", ARRIVALS_TRACE, read_trace},
        {"list", ARRIVALS_LIST, read_list},
        {"fitted", ARRIVALS_FITTED, read_fitted},
    };
    const char *name;
    int rc = yaml_string(l->yaml, map, "kind", &name);
    if (rc) {
        return rc == -ENOENT ? yaml_fail(l->yaml, map, "`kind` is missing") : rc;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) != 0) {
            continue;
        }
        struct arrivals_source *source;
        rc = arrivals_source_add(l->spec, kinds[i].kind, &source);
        if (rc == -E2BIG) {
            return yaml_fail(l->yaml, map, "more than %d sources", ARRIVALS_SOURCES_MAX);
        }
        rc = rc ? rc : kinds[i].read(l, map, source);
        return rc ? rc : yaml_end(l->yaml, map);
    }
    return yaml_fail(l->yaml, yaml_get(map, "kind"),
                     "the kind \"%s\" is not supported (poisson, trace, list, fitted are)", name);
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
