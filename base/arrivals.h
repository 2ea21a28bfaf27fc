/*
 * Arrivals: the `arrivals:` list of a scenario or a replay file as one stream of requests in time
 * order. A list is read into a spec (arrivals_load() from YAML, or the arrivals_spec_add calls);
 * a generator runs it. Traces are streamed, so memory does not depend on their length, and all
 * numbers are drawn by key (seed, stream of the source, index of the request).
 *
 * Times are ns from the start of the run. Requests at one instant come in the order of the sources
 * in the list, within a source in its own order.
 */
#ifndef SHUNT_BASE_ARRIVALS_H
#define SHUNT_BASE_ARRIVALS_H

#include "base/dist.h"
#include "base/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ARRIVALS_MODELS_MAX = 256,
    ARRIVALS_SOURCES_MAX = 256,
    ARRIVALS_JOBS_MAX = 1000000, /* of a list */
    ARRIVALS_MAP_MAX = 1024,     /* entries of a source's map */
    ARRIVALS_ERROR_MAX = 640,
};

struct arrival {
    int64_t t_ns;
    uint64_t index;        /* 0, 1, 2 ... in the order given out */
    uint32_t model;        /* into the spec's models */
    uint32_t source;       /* into the spec's sources */
    uint64_t source_index; /* which request of its source */
    int64_t input_tokens;  /* -1: the source does not say */
    int64_t output_tokens;
    int64_t service_ns;
};

enum arrivals_kind { ARRIVALS_POISSON, ARRIVALS_TRACE, ARRIVALS_LIST, ARRIVALS_FITTED };

/* Published services that a fitted source imitates. */
enum arrivals_fit { ARRIVALS_FIT_AZURE_2023_CODE, ARRIVALS_FIT_AZURE_2023_CONV, ARRIVALS_FITS };

/*
 * One end of the rows taken from a trace: a date on the file's own clock, or ns after t0 before
 * stretching (a relative end after a date as begin counts from that date). Zeroed: no bound.
 */
struct arrivals_bound {
    bool set;
    bool absolute;
    int64_t ns;
};

struct arrivals_map {
    char text[TRACE_TEXT_MAX];
    uint32_t model;
};

struct arrivals_job {
    int64_t t_ns, service_ns, input_tokens, output_tokens;
    uint32_t model;
};

struct arrivals_source {
    enum arrivals_kind kind;
    int64_t model; /* of all its requests, or -1: by the rows (trace, list) */
    /* poisson */
    double rate_per_s;
    struct dist service_s, input_tokens, output_tokens;
    struct dist_point *points[3]; /* owned memory of these distributions */
    /* fitted */
    enum arrivals_fit fit;
    /* trace */
    char *path;
    struct trace_format format;
    struct trace_filter where[TRACE_FILTERS_MAX];
    size_t where_len;
    struct arrivals_map *map;
    size_t map_len;
    bool drop_unmapped; /* a model text that is not in the map: left out, else an error */
    bool t0_shared;     /* t0 is the first row of all sources so marked; else its own first */
    double stretch;     /* t' = stretch * (t - begin of the rows taken, else t0); also for fitted */
    struct arrivals_bound from, to;
    /* list */
    struct arrivals_job *jobs;
    size_t jobs_len;
};

struct arrivals_spec {
    char *models[ARRIVALS_MODELS_MAX];
    size_t models_len;
    bool models_fixed; /* names that are not in models are refused, not added */
    struct arrivals_source *sources;
    size_t sources_len;
};

/* An empty spec is a zeroed one. Frees what it owns; accepts NULL. */
void arrivals_spec_fini(struct arrivals_spec *spec);
/* The number of the model NAME, added if new. -ENOENT: fixed and unknown; -E2BIG; -ENOMEM. */
int arrivals_model(struct arrivals_spec *spec, const char *name, uint32_t *ret_model);
/*
 * Appends a source with its defaults (stretch 1, model -1, no distributions) for the caller to
 * fill; valid until the next call. -E2BIG, -ENOMEM.
 */
int arrivals_source_add(struct arrivals_spec *spec, enum arrivals_kind kind,
                        struct arrivals_source **ret_source);
/*
 * Appends a generator fitted to the published statistics of one Azure LLM 2023 service (rate,
 * variation of the gaps, burstiness over 1 to 60 s, length quantiles) as model NAME.
 */
int arrivals_fitted(struct arrivals_spec *spec, enum arrivals_fit fit, const char *model);
/* "azure-llm-2023-code" ...; NULL past the end. */
const char *arrivals_fit_name(enum arrivals_fit fit);
/* One line that says what the source is, and that it is fitted or drawn where it is. */
void arrivals_describe(const struct arrivals_spec *spec, size_t source, char *text, size_t size);
/* Whether the source goes on for ever (poisson, fitted): a run then needs a limit. */
bool arrivals_endless(const struct arrivals_source *source);

struct yaml;
struct yaml_node;

/*
 * Adds the sources of LIST, the `arrivals:` sequence of YAML, to SPEC. Files of traces are looked
 * for in FOLDER (where the YAML stands), then in TRACES; either may be NULL. -EINVAL with
 * yaml_error() saying file, line and reason, also for kinds and keys that this build has not;
 * -ENOMEM. SPEC keeps what was added before the error.
 */
int arrivals_load(struct arrivals_spec *spec, struct yaml *yaml, struct yaml_node *list,
                  const char *folder, const char *traces);

struct arrivals;

struct arrivals_options {
    uint64_t seed;
    uint64_t requests_max; /* 0: no limit */
    int64_t horizon_ns;    /* arrivals before this time only; 0: no limit */
};

/*
 * A generator over SPEC, which must outlive it. Opens the traces and reads their first rows.
 * -EINVAL with *err filled for a spec that cannot run (a list without order is sorted, keeping
 * file order at ties), or what trace_open() gives.
 */
int arrivals_create(struct arrivals **ret_arrivals, const struct arrivals_spec *spec,
                    const struct arrivals_options *options, char *err, size_t err_size);
/* 1 and the next request, 0 at the end, negative errno with *err filled (a broken trace). */
int arrivals_next(struct arrivals *arrivals, struct arrival *ret_arrival, char *err,
                  size_t err_size);
/* Rows that were left out by `unmapped: drop`. */
uint64_t arrivals_dropped(const struct arrivals *arrivals);
/* Accepts NULL. */
void arrivals_destroy(struct arrivals *arrivals);

#endif
