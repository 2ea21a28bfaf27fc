/*
 * One running instance of a loaded policy: the host table it sees, its events, its decisions, its
 * parameters and its state. Host, simulator and checker all run policies through this file, so a
 * policy cannot tell them apart.
 *
 * Time is handed in with every call and is frozen until it returns; nothing here reads a clock,
 * measures, or starts anything by itself. What a policy asks for (timers, ticks) is kept until the
 * driver takes it with policy_take_timer.
 *
 * An instance belongs to one thread at a time. A crash or an endless loop in a policy is the
 * caller's to survive.
 */
#ifndef BASE_POLICY_H
#define BASE_POLICY_H

#include "base/plugin.h"
#include "core/core.h"

#include <shunt/shunt.h>

enum {
    POLICY_METRICS_MAX = 32,
    POLICY_METRIC_NAME_MAX = 63,
    POLICY_METRIC_HELP_MAX = 255,
    POLICY_METRIC_BUCKETS = 19,
    POLICY_LOG_BYTES_MAX = 512,
    POLICY_LOG_BURST = 20, /* lines at once; then one a second */
    POLICY_TIMERS = 17,    /* 16 timers and the tick, numbered as CORE_IN_TIMER */
    POLICY_DUMP_BYTES_MAX = 256 * 1024,
    POLICY_STATE_BYTES_MAX = 16 * 1024 * 1024
};
#define POLICY_ARENA_BYTES_DEFAULT ((size_t)8 * 1024 * 1024)

struct policy;

struct policy_options {
    const struct plugin *plugin; /* must outlive the instance */
    uint64_t seed;
    int64_t now_ns;
    size_t arena_bytes_max; /* 0: POLICY_ARENA_BYTES_DEFAULT */
    uint32_t alloc_fail_at; /* n: the n-th allocation fails; 0: none (for the checker) */
    /* Called from within a callback of the policy, for each line that passes the rate limit; `text`
     * is printable and valid during the call. NULL: dropped. */
    void (*log)(void *ctx, uint32_t level, uint32_t code, const char *text);
    void *ctx;
};

/*
 * Makes an instance with the parameter set `params`, which it takes over on success. -EIO with a
 * line in `err` if the policy's create fails; -ENOMEM.
 */
int policy_create(const struct policy_options *options, struct params *params,
                  struct policy **ret_policy, char *err, size_t err_size);

/* Tells the policy why (exit), ends it and frees everything. NULL is fine. */
void policy_destroy(struct policy *policy, uint32_t exit_kind, int32_t code, const char *message,
                    int64_t now_ns);

const struct plugin *policy_plugin(const struct policy *policy);

/* ------------------------------------------------------------------ events */

/* Whether the policy has the hook (enum core_hook). */
bool policy_has_hook(const struct policy *policy, uint32_t hook);

/*
 * Calls the hook of `notify` at time t_ns; `snapshot` is read by LAYOUT and RESYNC only. LAYOUT is
 * also what must come first after policy_create. Returns 0, or -EIO if models_changed failed: the
 * instance must then be ejected. -ENOMEM likewise.
 */
int policy_notify(struct policy *policy, const struct core_act_notify *notify, int64_t t_ns,
                  const struct shunt_snapshot *snapshot);

/*
 * Asks the policy. On 0 *ret_answer is the instance's own, valid until the next call to it, with
 * exactly one decision whose size, device and generation are the host's. -EIO: decide failed or
 * answered not exactly once; the built-in decides.
 */
int policy_decide(struct policy *policy, const struct shunt_ask *ask,
                  const struct shunt_answer **ret_answer);

/* Takes the next timer request made since the last call: *ret_id 0..15, or 16 for the tick with
 * its period; *ret_at_ns CORE_NEVER cancels. False when there is none. */
bool policy_take_timer(struct policy *policy, uint32_t *ret_id, int64_t *ret_at_ns);

/* ------------------------------------------------------------------ parameters */

const struct params *policy_params(const struct policy *policy);

/* Applies a batch to the running instance, whole or not at all: types, ranges and constraints
 * first, then the policy's own param_validate, then param_set. Errors as params_apply, and -EINVAL
 * with the policy's reason. */
int policy_set_params(struct policy *policy, const struct param_assignment *assignments,
                      size_t count, enum param_origin origin, int64_t now_ns, char *err,
                      size_t err_size);

/* Replaces the whole set (a reload) with `params`, taken over on success; only LIVE parameters may
 * differ. Errors likewise. */
int policy_replace_params(struct policy *policy, struct params *params, int64_t now_ns, char *err,
                          size_t err_size);

/* Gives per-model parameters their meaning before the LAYOUT of a new configuration is notified.
 * -ENOMEM, -E2BIG. */
int policy_set_models(struct policy *policy, const char *const *models, uint32_t model_count);

/* Value that a parameter has now in a policy that adapts it itself; -ENOTSUP: as set. */
int policy_param_get(struct policy *policy, uint32_t index, uint32_t model, int64_t now_ns,
                     double *ret_value);

/* ------------------------------------------------------------------ state */

/* Saves the state: *ret_bytes is malloc'ed. -ENOTSUP: it keeps none; -EIO: it failed or wrote more
 * than POLICY_STATE_BYTES_MAX; -ENOMEM. */
int policy_state_save(struct policy *policy, int64_t now_ns, void **ret_bytes, size_t *ret_size);

/* Hands over a predecessor's state; `piece_max` limits single reads (0: no limit; for tests).
 * -ENOTSUP: it takes none; -EIO: it refused, and starts cold. */
int policy_state_load(struct policy *policy, uint32_t schema, const void *bytes, size_t size,
                      size_t piece_max, int64_t now_ns);

/* Explains a decision in text. -ENOTSUP, -ENOENT (does not know it). */
int policy_explain(struct policy *policy, uint64_t decision_id, int64_t now_ns, char *text,
                   size_t size);

/* The instance's inner state as malloc'ed, terminated text, cut at POLICY_DUMP_BYTES_MAX.
 * -ENOTSUP, -ENOMEM. */
int policy_dump(struct policy *policy, int64_t now_ns, char **ret_text);

/* The policy's side of an extension of ext.h, NULL if it has none. */
const void *policy_extension(const struct policy *policy, const char *id);

/* Asks the policy for its side of any id, for the checker; policy_extension is what hosts use. */
const void *policy_probe_extension(struct policy *policy, const char *id, int64_t now_ns);

/* ------------------------------------------------------------------ what can be counted */

struct policy_metric {
    uint32_t kind; /* SHUNT_METRIC_* */
    char name[POLICY_METRIC_NAME_MAX + 1];
    char help[POLICY_METRIC_HELP_MAX + 1];
    double value;                               /* counter, gauge */
    double sum;                                 /* histogram */
    uint64_t count;                             /* histogram */
    uint64_t bucket[POLICY_METRIC_BUCKETS + 1]; /* by policy_metric_bounds, then above */
};

/* Upper bounds of the histogram buckets, ascending. */
extern const double policy_metric_bounds[POLICY_METRIC_BUCKETS];

uint32_t policy_metric_count(const struct policy *policy);
const struct policy_metric *policy_metric(const struct policy *policy, uint32_t index);

struct policy_usage {
    size_t arena_bytes;            /* in use */
    uint32_t allocs;               /* since create */
    uint64_t log_lines;            /* passed on */
    uint64_t log_dropped;          /* by the rate limit */
    uint64_t misbehaviour;         /* calls that were not legal where they were made */
    const char *misbehaviour_last; /* name of the function, static; NULL */
};

void policy_usage(const struct policy *policy, struct policy_usage *ret_usage);

#endif
