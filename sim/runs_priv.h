/*
 * Between the parts of sim/runs.h: the parent that starts and collects (runs.c), the child that
 * simulates (runs_child.c), and what is gathered before any run (runs_plan.c).
 */
#ifndef SIM_RUNS_PRIV_H
#define SIM_RUNS_PRIV_H

#include "base/policy_choice.h"
#include "sim/runs.h"

#include <stddef.h>

enum {
    RUNS_ERROR_MAX = 1024,
    RUNS_SHA256_HEX = 65,
    RUNS_FRAME_BYTES_MAX = 512 * 1024 * 1024 /* of one result, with its series */
};

/* A policy of the list. */
struct runs_policy {
    struct policy_choice *choice;
    char sha256[RUNS_SHA256_HEX];
};

/* A policy on a scenario: parameters depend on both, by the names of the models. */
struct runs_pair {
    const struct scenario *scenario;
    const struct runs_policy *policy;
    json_t *traces; /* of the scenario: [{file, sha256}] */
    struct params *params;
    json_t *params_json;
};

struct runs_plan {
    const struct runs_options *options;
    struct plugin_registry *plugins;
    struct runs_policy *policies;
    json_t **traces;         /* by scenario */
    struct runs_pair *pairs; /* scenario * policies + policy */
    uint32_t pair_count;
    uint32_t total; /* runs: pair * seeds + seed */
};

/* Loads and hashes everything. Errors with one line in `err`. */
int runs_plan_init(struct runs_plan *ret_plan, const struct runs_options *options, char *err,
                   size_t err_size);
void runs_plan_fini(struct runs_plan *plan); /* accepts a zeroed one */

static inline const struct runs_pair *runs_plan_pair(const struct runs_plan *plan, uint32_t run)
{
    return &plan->pairs[run / plan->options->seed_count];
}

static inline uint64_t runs_plan_seed(const struct runs_plan *plan, uint32_t run)
{
    return plan->options->seed_first + run % plan->options->seed_count;
}

/* What a child writes to its pipe: any number of PROGRESS, then one RESULT or ERROR. */
enum runs_frame_kind {
    RUNS_FRAME_PROGRESS = 0, /* a double from 0 to 1 */
    RUNS_FRAME_RESULT = 1,   /* a JSON object */
    RUNS_FRAME_ERROR = 2     /* one line; `code` is the errno */
};

struct runs_frame {
    uint32_t kind;
    int32_t code;
    uint64_t size; /* of what follows */
};

/* Simulates one run, tells the pipe FD, ends the process. */
_Noreturn void runs_child(const struct runs_plan *plan, uint32_t run, int fd);

#endif
