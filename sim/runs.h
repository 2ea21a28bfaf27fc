/*
 * Many runs: every policy with every seed, as child processes on all cores, so that a policy that
 * crashes or loops costs its own run and is named. Results come back in a fixed order whatever
 * finished first. Runs of one seed share their random numbers.
 */
#ifndef SIM_RUNS_H
#define SIM_RUNS_H

#include "base/plugin.h"
#include "base/policy_ref.h"
#include "sim/scenario.h"

#include <jansson.h>

enum { RUNS_MAX = 100000, RUNS_JOBS_MAX = 256 };

struct runs_options {
    const struct scenario *const *scenarios;
    uint32_t scenario_count;
    const struct policy_refs *policies;
    const char *policy_dir; /* where NAME is NAME.so; "auto": beside the program */
    const char *command;    /* for the results; may be NULL */
    const char *version;
    uint64_t seed_first;
    uint32_t seed_count;
    uint32_t jobs;       /* processes at a time; 0: as many as there are cores */
    bool series;         /* with what a report draws: sim/series.h */
    uint32_t blocks;     /* figures of so many slices of a run: sim/blocks.h; 0: none */
    bool checked;        /* as in struct sim_options */
    int64_t timeout_ns;  /* of real time for one run; 0: none */
    const char *journal; /* a folder for the journal of the only run; NULL: none */
    /* As each run ends, in any order: `run` is the place of its result. */
    void (*ended)(void *ctx, uint32_t run, const json_t *result);
    /* As runs go on: `done` of `total` runs, those that are running in part. */
    void (*progress)(void *ctx, double done, uint32_t total);
    void *ctx;
};

/*
 * Runs them all. *ret_results is an array of result_json objects: scenarios outermost, then
 * policies, then seeds. Negative errno with one line in `err` at the first run (in that order)
 * that failed; no partial result:
 *   -ELOOP, -EPROTO, -EIO  the policy misbehaved: as in sim/sim.h
 *   -EFAULT                it crashed
 *   -ETIME                 the time limit
 *   -ENOMEM                memory, or processes, ran out
 *   others                 what was given is wrong: a policy or its parameters, a trace
 */
int runs_execute(const struct runs_options *options, json_t **ret_results, char *err,
                 size_t err_size);

/* The files of a scenario's traces that decide its results: [{file, sha256, part}], a new
 * reference. Errors of reading with a line in `err`; -ENOMEM. */
int runs_hash_traces(const struct scenario *scenario, json_t **ret_traces, char *err,
                     size_t err_size);

#endif
