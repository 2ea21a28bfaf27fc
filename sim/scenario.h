/*
 * A scenario: everything that a simulation is about, but the policy and the seed. Read once from
 * YAML, or made of a host's shunt.cfg, into a plain tree that nobody changes afterwards; any number
 * of runs, in any number of processes, read it.
 *
 * What the host has settings for (devices, models, limits, guard) is a struct config filled through
 * the table of shunt.cfg, with its keys, ranges and defaults; base/layout.h maps it to the core as
 * for the host. What only a simulation has (how long things take, who arrives) is here, and its
 * keys are the table sim/scenario.def, from which docs/SCENARIOS.md is generated.
 *
 * Nothing here logs; errors say file, line, column and reason.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "base/arrivals.h"
#include "base/config.h"
#include "base/dist.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    SCENARIO_ERROR_MAX = 640,
    SCENARIO_FAULTS_MAX = 1024,
    SCENARIO_HASH_BYTES = 32, /* SHA-256 */
};

/* ------------------------------------------------------------------ engines */

enum scenario_service_kind {
    /* One after the other, each for its service_s. With max_concurrency above 1: so many servers.
     */
    SCENARIO_SERIAL = 0,
    /* Continuous batching: prefill p0 + p1 * input tokens, one request after the other; a decode
     * step of the whole batch takes d0 + d1 * batch + d2 * sum of contexts. */
    SCENARIO_BATCH = 1,
    /* Processor sharing: the batch shares `rate` seconds of work a second equally. */
    SCENARIO_PS = 2,
    /* Each for its service_s, however many there are. */
    SCENARIO_UNLIMITED = 3,
};

/* How an engine works off what is dispatched to it. Coefficients in picoseconds, so that step
 * times are exact integers; they are rounded to nanoseconds only where they become instants. */
struct scenario_service {
    enum scenario_service_kind kind;
    int64_t p0_ps, p1_ps;        /* BATCH: prefill, and for each input token */
    int64_t d0_ps, d1_ps, d2_ps; /* BATCH: step, for each request, for each token of context */
    double rate;                 /* PS: > 0; 1 = one second of work a second */
};

struct scenario_model {
    struct scenario_service service;
    bool unlimited;      /* max_concurrency: unlimited (config says the largest) */
    uint32_t cost_class; /* of the switch profile */
};

/* ------------------------------------------------------------------ switches */

enum scenario_cost_kind {
    SCENARIO_COST_MATRIX = 0, /* one time for a pair: all of it is the in-step */
    SCENARIO_COST_MODEL = 1   /* an out-step of the victim, an in-step of the target */
};

enum scenario_cost_law {
    SCENARIO_COST_DETERMINISTIC = 0,
    SCENARIO_COST_EXPONENTIAL = 1, /* with the given time as mean */
    SCENARIO_COST_LOGNORMAL = 2    /* times exp(sigma Z - sigma^2/2): the mean is the given time */
};

/* What switches cost. Means; drawn by key (pair, k-th switch of the pair) where not deterministic.
 */
struct scenario_switch {
    enum scenario_cost_kind kind;
    /* MATRIX, N = models: [from * N + to]. A switch with several victims takes the largest of
     * their times; one onto an empty device from_empty_ns[to]; a move out for nobody, from an
     * operator or an idle_unload, to_empty_ns[from]. The diagonal is 0. */
    const int64_t *matrix_ns;
    const int64_t *from_empty_ns; /* MODEL: zeros, as to_empty_ns and matrix_ns */
    const int64_t *to_empty_ns;
    /* [model * SHUNT_TIER_COUNT + tier]: out to that tier, in from that tier. -1: MODEL has no such
     * edge; with MATRIX the times above hold for it. What is there with MATRIX holds instead of
     * them: an in-step from a colder tier than the model's first, an out-step to one. */
    const int64_t *out_ns;
    const int64_t *in_ns;
    const int64_t *probe_ns; /* [model] */
    enum scenario_cost_law law;
    double sigma;

    /* Host cache of weights: the `cache_models` last moved out are hits. An in-step takes hit or
     * miss instead of what is above. 0 models: none. */
    uint32_t cache_models;
    int64_t cache_hit_ns;
    int64_t cache_miss_ns;

    double fail_probability; /* of an in-step, drawn at its start; it fails at its end */
    double late_probability; /* a step takes late_factor times as long */
    double late_factor;
};

/* ------------------------------------------------------------------ what goes wrong */

enum scenario_fault_kind {
    SCENARIO_FAULT_ENGINE_LOST = 0, /* the engine of `model` dies; what it served is requeued */
    SCENARIO_FAULT_DEVICE_DOWN = 1,
    SCENARIO_FAULT_DEVICE_UP = 2
};

struct scenario_fault {
    int64_t at_ns;
    enum scenario_fault_kind kind;
    uint32_t index; /* model or device */
};

/* ------------------------------------------------------------------ the whole */

enum scenario_label { SCENARIO_REAL = 0, SCENARIO_SEMI = 1, SCENARIO_SYNTHETIC = 2 };

/* How the load of the arrivals is defined; printed with its value. */
enum scenario_load_kind {
    SCENARIO_LOAD_AUTO = 0,            /* SPAN up to two hours of arrivals, else REQUEST_WEIGHTED */
    SCENARIO_LOAD_SPAN = 1,            /* work / span of arrivals */
    SCENARIO_LOAD_REQUEST_WEIGHTED = 2 /* sum W_h^2 / (3600 s sum W_h) over hours of work W_h */
};

struct scenario {
    const char *file; /* as given */
    const char *name;
    enum scenario_label label;
    const char *cost_profile; /* name of the switch profile, "matrix", "per_model", "config" */
    uint8_t hash[SCENARIO_HASH_BYTES]; /* SHA-256 of the file's bytes */

    struct config *config; /* one cell; model and device indices are those everywhere */
    const struct scenario_model *models;
    struct scenario_switch switching;
    struct arrivals_spec arrivals; /* its models are those of config, in that order */

    /* The tier that instance (model, device) starts in, [model * devices + device]. The model of
     * `initial` is RESIDENT; the others are in their warmest tier that is not. */
    const uint32_t *initial_tier;

    uint64_t requests_max; /* 0: as many as come */
    int64_t horizon_ns;    /* arrivals before it; 0: no limit. What is there then is drained */
    double warmup_fraction;
    uint64_t warmup_visits;

    struct dist patience_s; /* DIST_NONE: clients wait for ever */
    /* What a request that was rejected, cancelled, expired, failed or cut enters the waits with:
     * limits.max_wait_s where set, else an hour, unless the file says. */
    int64_t wait_cap_ns;
    bool guard_off;
    bool costs_known; /* the core starts with the means of the switch costs as priors */
    int64_t decision_latency_ns;
    enum scenario_load_kind load;

    const struct scenario_fault *faults; /* by time */
    uint32_t fault_count;

    struct scenario_memo *memo; /* private */
};

/*
 * Reads PATH. Traces and profiles that it names are looked for beside it, then in TRACES (may be
 * NULL); their contents are not read here, but profiles of costs are. 0; -EINVAL, or the error of
 * reading, with "FILE:LINE:COLUMN: KEY: reason" in `err`.
 */
int scenario_load(const char *path, const char *traces, struct scenario **ret_scenario, char *err,
                  size_t err_size);

/* The same from memory; `name` stands for the file and is the base of relative paths. */
int scenario_parse(const char *text, size_t size, const char *name, const char *traces,
                   struct scenario **ret_scenario, char *err, size_t err_size);

/*
 * A scenario of a host: devices, models, limits and guard of one cell of its shunt.cfg, engine and
 * switch times from models[].emulate, and no arrivals: those come from ARRIVALS, a YAML file with
 * an `arrivals:` list and any other key of a scenario that is not in shunt.cfg, or from a journal.
 * ARRIVALS may be NULL. Errors likewise.
 */
int scenario_from_config(const char *path, const char *arrivals, const char *traces,
                         struct scenario **ret_scenario, char *err, size_t err_size);

/* Accepts NULL. */
void scenario_free(struct scenario *scenario);

struct layout;

/*
 * The core's configuration for a scenario, by base/layout.h: with the scenario's edges and tiers at
 * the start, without the guard where that is off, and with a recheck as early as a policy likes.
 * Models, devices and instances have the numbers they have in the layout. For layout_destroy();
 * errors of layout_create().
 */
int scenario_layout(const struct scenario *scenario, struct layout **ret_layout, char *err,
                    size_t err_size);

/* Number of models and devices, and the name of a model. */
uint32_t scenario_models(const struct scenario *scenario);
uint32_t scenario_devices(const struct scenario *scenario);
const char *scenario_model_name(const struct scenario *scenario, uint32_t model);
const char *scenario_label_name(enum scenario_label label);

/*
 * Seconds of device time that a request takes without any switch, as the load counts it: its
 * service_s; for BATCH prefill and output steps at a batch of 16, a sixteenth of each step, every
 * context half way through its output: p0 + p1 in + out ((d0 + 16 d1)/16 + d2 (in + out/2)).
 */
int64_t scenario_work_ns(const struct scenario *scenario, const struct arrival *arrival);

/* docs/SCENARIOS.md, from the tables that parse it. */
void scenario_print_manual(FILE *out);

#endif
