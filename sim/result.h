/*
 * The figures of one run, as plain numbers. result_json is the stable form that `shunt sim --json`
 * prints; tables and reports are made from that, so that what is shown is what is stored.
 *
 * Two windows. "All": from 0 to the end of the run; every identity holds to the nanosecond there.
 * "Measured": the requests that arrived after the warm-up, to their completion; shares of device
 * time from the first of these arrivals to the last arrival. Figures are of the measured window
 * unless they say otherwise. Seconds are doubles made of integer nanoseconds.
 */
#ifndef SIM_RESULT_H
#define SIM_RESULT_H

#include "core/core.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct scenario;

/* A distribution of times with the error of its mean. */
struct result_stat {
    uint64_t count;
    double mean_s;
    double se_s;      /* of the mean, from batch means; NaN below 30 batches */
    uint32_t batches; /* of consecutive requests, equally many in each */
    double lag1;      /* correlation of neighbouring batches: above 0.2 the error is too small */
    double p50_s, p95_s, p99_s, max_s; /* within 1 %; max exact */
};

/* How requests ended, all of the run; their sum is offered. */
struct result_requests {
    uint64_t offered;
    uint64_t completed;
    uint64_t rejected;
    uint64_t cancelled;
    uint64_t expired;
    uint64_t failed;
    uint64_t cut;
    uint64_t backlog_at_last_arrival; /* accepted and not ended then */
    uint64_t unmapped;                /* rows that the scenario drops */
    uint64_t warmup;                  /* arrivals before the measured window */
};

struct result_time {
    double span_s; /* of the window */
    double serving_frac, draining_frac, switching_frac, lingering_frac, idle_frac; /* sum to 1 */
    double work_per_s;   /* completed work (scenario_work_ns) in seconds a second of span */
    double tokens_per_s; /* NaN: no tokens */
    double mean_batch;   /* requests in flight while serving or draining */
};

struct result_model {
    const char *name; /* the scenario's */
    uint64_t completed;
    struct result_stat wait;
    double queue_mean;      /* waiting, over the measured time */
    double in_service_mean; /* in flight, likewise */
    uint64_t visits;        /* all of the run */
    double gap_max_s;       /* all of the run */
    double gap_bound_s;     /* guaranteed; NaN: none */
};

struct result_class {
    const char *name; /* static */
    uint64_t completed;
    struct result_stat wait;
    struct result_stat ttft;
};

/* A slice of equally many arrivals in a row: sim/blocks.h. */
struct result_block {
    uint64_t arrivals;
    uint64_t measured;              /* of them; the rest is warm-up */
    double from_s;                  /* its first arrival */
    double wait_mean_s, wait_p99_s; /* of the measured ones; NaN: none */
    double work_per_s; /* completed from its first arrival to that of the next, as in result_time */
};

/* A bound, or why there is none. */
struct result_bound {
    double value_s;     /* NaN: none */
    const char *reason; /* static text where there is none */
};

/* Identities of the whole run, in exact integers. */
struct result_exact {
    uint64_t wait_sum_low; /* sum of waits in the queue, ns: 128 bits */
    uint64_t wait_sum_high;
    uint64_t queue_integral_low; /* integral of the number waiting, ns */
    uint64_t queue_integral_high;
    int64_t elapsed_ns;
    int64_t state_ns[SHUNT_DEVICE_STATE_COUNT]; /* of all devices; sums to elapsed x devices */
    bool holds;
};

struct result {
    const struct scenario *scenario;
    uint64_t seed;
    bool guarded;
    uint64_t guard[CORE_GUARD_KIND_COUNT];
    double forced_share; /* of the visits, named by the guard and not by the policy */
    struct core_guard_values guard_values; /* of the first device, at the end of the run */

    struct result_requests requests;
    double load;
    bool load_request_weighted;
    double switch_free_load; /* work / span, whatever the definition of load */
    double stretch;          /* of the trace sources; NaN: none, or they differ */

    struct result_time time; /* measured */
    struct result_time time_all;
    uint64_t switches; /* begun in the measured window */
    double switches_per_request;
    uint64_t switches_failed;

    struct result_stat wait;
    struct result_stat wait_to_switch_start;
    struct result_stat ttft;
    struct result_stat response;
    double wait_cap_s;
    double wait_quarter_s[4]; /* mean wait by quarter of the measured arrivals */

    struct result_model *models;
    uint32_t model_count;
    struct result_class *classes; /* those that occur */
    uint32_t class_count;
    struct result_block *blocks; /* NULL: not asked for */
    uint32_t block_count;

    struct result_bound gap_bound, wait_bound; /* the largest of all models */
    struct result_bound lb_work, lb_lagrange, lb_static;

    double work_at_nonserving_s; /* mean work in the system at a random instant without service */
    double jain;                 /* fairness of the models' mean waits */
    bool overloaded;
    uint64_t events; /* arrivals, completions, ends of steps, timers, decisions by latency */
    struct result_exact exact;
    struct result_stat wait_all; /* every request of the run */
};

void result_fini(struct result *result);

/* What the caller knows and the run does not. Text may be NULL. */
struct result_context {
    const char *command;
    const char *version;
    const char *policy; /* reference as given */
    const char *policy_name;
    const char *policy_version;
    const char *policy_hash;   /* as the host shows it */
    const char *policy_sha256; /* of its file */
    json_t *policy_params;     /* borrowed; {name: value}, a model's as {name: {model: value}} */
    json_t *traces;            /* borrowed; [{file, sha256}] */
    double wall_s;             /* of the run; NaN: not measured, then events_per_s is null */
};

/* The object of `shunt sim --json` (docs/SIM.md has its schema). NaN becomes null; why a bound is
 * null stands in bounds.reasons. NULL: out of memory. */
json_t *result_json(const struct result *result, const struct result_context *context);

/* The table of a terminal, from an array of result_json objects in the order of runs_execute:
 * policies of a scenario side by side, over seeds as mean and 95 % interval. */
void result_print(FILE *out, const json_t *results);

#endif
