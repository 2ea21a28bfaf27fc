/*
 * Arrivals: the `arrivals:` list of a scenario or a replay file as one stream of requests in time
 * order. A list is read into a spec (arrivals_load() from YAML, or the arrivals_spec_add calls);
 * a generator runs it, any number of them one spec. Traces are streamed, so memory does not depend
 * on their length, and all numbers are drawn by key (seed, stream of the source, index of the
 * request), never in an order: runs that differ in the policy alone get the same requests.
 *
 * Times are ns from the start of the run. Requests at one instant come in the order of the sources
 * in the list, within a source in its own order.
 *
 * Sessions are the one closed loop: their next request depends on when the last one ended, which
 * the caller reports with arrivals_done(). Two runs then share what is drawn for round r of session
 * s (think time, service, lengths), not the instants.
 */
#ifndef SHUNT_BASE_ARRIVALS_H
#define SHUNT_BASE_ARRIVALS_H

#include "base/dist.h"
#include "base/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    ARRIVALS_MODELS_MAX = 256,
    ARRIVALS_SOURCES_MAX = 256,
    ARRIVALS_JOBS_MAX = 1000000,     /* of a list */
    ARRIVALS_MAP_MAX = 1024,         /* entries of a source's map, classes of an assignment */
    ARRIVALS_STATES_MAX = 16,        /* of an onoff source */
    ARRIVALS_SESSIONS_MAX = 1000000, /* population of a source of sessions */
    ARRIVALS_ERROR_MAX = 640,
};

struct arrival {
    int64_t t_ns;
    uint64_t index;        /* 0, 1, 2 ... in the order given out */
    uint32_t model;        /* into the spec's models */
    uint32_t source;       /* into the spec's sources */
    uint64_t source_index; /* which request of its source: 0, 1, 2 ...; sessions: see below */
    int64_t input_tokens;  /* -1: the source does not say */
    int64_t output_tokens;
    int64_t service_ns;
    int32_t service_class; /* enum arrivals_class, or -1: the source does not say */
};

/*
 * A request of sessions has as source_index the number of its session (from 0) in the upper half
 * and its round (from 0) in the lower half: what is drawn for it does not depend on the order in
 * which sessions proceed.
 */
#define ARRIVALS_SESSION(source_index) ((uint32_t)((source_index) >> 32))
#define ARRIVALS_ROUND(source_index)   ((uint32_t)(source_index))

/* Classes of service, as numbers of `service_class` everywhere (0 is the ABI's "standard"). */
enum arrivals_class {
    ARRIVALS_STANDARD = 0,
    ARRIVALS_CRITICAL = 1,
    ARRIVALS_BATCH = 2,
    ARRIVALS_SHEDDABLE = 3,
    ARRIVALS_BACKGROUND = 4,
    ARRIVALS_CLASSES = 5
};

enum arrivals_kind {
    ARRIVALS_POISSON,
    ARRIVALS_TRACE,
    ARRIVALS_LIST,
    ARRIVALS_FITTED,
    ARRIVALS_GAMMA,    /* independent gaps of that law; the first counts from 0 */
    ARRIVALS_WEIBULL,  /* likewise */
    ARRIVALS_CONSTANT, /* one every 1 / rate_per_s, the first after one gap */
    ARRIVALS_ONOFF,    /* Markov-modulated Poisson: the states follow one another in a circle */
    ARRIVALS_DIURNAL,  /* Poisson whose rate is a sinusoid */
    ARRIVALS_SPIKE,    /* Poisson whose rate is multiplied for a while */
    ARRIVALS_SESSIONS, /* closed loop: next round = end of the last + think time */
    ARRIVALS_KINDS
};

/* Which rows of a trace: all, those before tune_until, those from it on. */
enum arrivals_part { ARRIVALS_ALL = 0, ARRIVALS_TUNE = 1, ARRIVALS_SCORE = 2 };

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

/* One class of an assignment: taken by a row whose u is below upto and not below those before. */
struct arrivals_share {
    char text[TRACE_TEXT_MAX]; /* stands for the row's model */
    double upto;               /* cumulative share, in file order; the last is above 1 */
};

/* A state of an onoff source: its arrival rate (0: silent) and mean time in it. */
struct arrivals_state {
    double rate_per_s, mean_s;
};

struct arrivals_job {
    int64_t t_ns, service_ns, input_tokens, output_tokens;
    uint32_t model;
};

struct arrivals_source {
    enum arrivals_kind kind;
    int64_t model;  /* of all its requests, or -1: by the rows (trace, list) */
    double stretch; /* t' = stretch * t, for a trace t from the begin of the rows taken; not for
                       sessions */
    /* What a request is, drawn where the source does not say itself; any kind. */
    struct dist service_s, input_tokens, output_tokens;
    bool classes;                         /* draw service classes: */
    double class_share[ARRIVALS_CLASSES]; /* with these probabilities, which sum to 1 */
    /* Kinds with a rate: mean arrivals a second before stretching; of a spike outside it; of
     * sessions the Poisson rate at which they begin, 0: a population. */
    double rate_per_s;
    double cv;    /* gamma, weibull: of the gaps */
    double shape; /* weibull: of the gaps, instead of cv if above 0 */
    /* onoff */
    struct arrivals_state states[ARRIVALS_STATES_MAX];
    size_t states_len;
    /* diurnal: rate_per_s * (1 + amplitude * cos(2 pi (t - peak_s) / period_s)) */
    double amplitude, period_s, peak_s;
    /* spike: rate_per_s * factor for duration_s from at_s on, and again every every_s (0: once) */
    double factor, at_s, duration_s, every_s;
    /* sessions: begin at the rate above, or `population` of them, each with a think time first */
    uint64_t population;
    struct dist rounds; /* of a session, rounded, at least 1; DIST_NONE: without end */
    struct dist think_s;
    struct dist_point *points[5]; /* owned memory of service_s, input_, output_tokens, rounds,
                                     think_s */
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
    struct arrivals_bound from, to;
    /*
     * The cut between what policies are tuned on and what they are scored on; counted as `to` is.
     * The clock of the part score begins at the cut, so that its first arrival is near 0.
     */
    struct arrivals_bound tune_until;
    enum arrivals_part part;
    /*
     * Draws the model's text of row n (0-based, of all rows of the file, whatever is taken of them)
     * instead of reading it: the first class with splitmix64(n) / 2^64 below upto. Owned.
     */
    struct arrivals_share *shares;
    size_t shares_len;
    /* list; generators are quickest to start if it is in order of t_ns */
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
/* Whether the source may go on for ever (all that is drawn): a run then needs a limit. */
bool arrivals_endless(const struct arrivals_source *source);
/* Whether some source waits for arrivals_done(). */
bool arrivals_closed(const struct arrivals_spec *spec);
/* "standard" ...; NULL past the end. */
const char *arrivals_class_name(uint32_t service_class);
const char *arrivals_kind_name(enum arrivals_kind kind);

/*
 * Takes PART of every trace in the spec, for a command line; other sources stay as they are.
 * -EINVAL with *err filled if a trace says no tune_until.
 */
int arrivals_set_part(struct arrivals_spec *spec, enum arrivals_part part, char *err,
                      size_t err_size);
/* Multiplies every rate by FACTOR (> 0): stretch is divided by it, for sessions the rate or the
 * population multiplied. */
void arrivals_scale_rate(struct arrivals_spec *spec, double factor);

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

/* The manual of that list in Markdown, from the table that reads it. */
void arrivals_print_manual(FILE *out);

/*
 * One distribution, the value of KEY in MAP, in the words of a source: a number, or {dist: ...}.
 * DIST_NONE without that key. -EINVAL with yaml_error(), -ENOMEM; *ret_points is memory of it, also
 * after an error, for the caller to free().
 */
int arrivals_load_dist(struct yaml *yaml, struct yaml_node *map, const char *key,
                       struct dist *ret_dist, struct dist_point **ret_points);

struct arrivals;

struct arrivals_options {
    uint64_t seed;
    uint64_t requests_max; /* 0: no limit */
    int64_t horizon_ns;    /* arrivals before this time only; 0: no limit */
};

/*
 * A generator over SPEC, which must outlive it and not change. Opens the traces and reads their
 * first rows. -EINVAL with *err filled for a spec that cannot run (a list without order is sorted,
 * keeping file order at ties), or what trace_open() gives.
 */
int arrivals_create(struct arrivals **ret_arrivals, const struct arrivals_spec *spec,
                    const struct arrivals_options *options, char *err, size_t err_size);
/*
 * From the start again, with other options; the same options give the same requests. Errors as for
 * creation; the generator then gives that error until the next reset.
 */
int arrivals_reset(struct arrivals *arrivals, const struct arrivals_options *options, char *err,
                   size_t err_size);
/*
 * 1 and the next request; 0 at the end; -EAGAIN: none is known, but sessions wait for
 * arrivals_done(); other negative errno with *err filled (a broken trace). An error stands: asking
 * again gives it again.
 */
int arrivals_next(struct arrivals *arrivals, struct arrival *ret_arrival, char *err,
                  size_t err_size);
/*
 * The time of what arrivals_next() would give, with the same return values (no text). A caller with
 * sessions looks here whenever it moves its clock on: arrivals_done() may bring a request before
 * the one that was next. Without sessions the answer changes by arrivals_next() only.
 */
int arrivals_peek(const struct arrivals *arrivals, int64_t *ret_t_ns);
/*
 * The request SOURCE_INDEX of SOURCE has ended, however it did, at T_NS, not before its arrival and
 * not before any request given out. To be told once for every request of a source of sessions;
 * nothing happens for other sources. The next round, if there is one, becomes known: it arrives at
 * T_NS plus its think time. (Memory that this lacks is an error of the next arrivals_next().)
 */
void arrivals_done(struct arrivals *arrivals, uint32_t source, uint64_t source_index, int64_t t_ns);
/* Rows that were left out by `unmapped: drop`. */
uint64_t arrivals_dropped(const struct arrivals *arrivals);
/* Accepts NULL. */
void arrivals_destroy(struct arrivals *arrivals);

#endif
