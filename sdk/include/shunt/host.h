/*
 * What a policy may call: the host table. No other world exists for a policy: no clock, file,
 * thread, environment or random number of its own.
 *
 * The table and everything reached through it live as long as the instance. All calls are made
 * from within a callback of the instance, on the thread that called it ([policy] below); calls
 * from anywhere else are refused and counted as misbehaviour. [create] marks calls that are legal
 * in create, models_changed, on_resync and state_load only.
 */
#ifndef SHUNT_HOST_H
#define SHUNT_HOST_H

#include <shunt/types.h>

enum {
    SHUNT_LOG_DEBUG = 0,
    SHUNT_LOG_INFO = 1,
    SHUNT_LOG_WARN = 2,
    SHUNT_LOG_ERROR = 3,
    SHUNT_LOG_HOST_MISBEHAVING = 4
};

enum { SHUNT_METRIC_COUNTER = 1, SHUNT_METRIC_GAUGE = 2, SHUNT_METRIC_HISTOGRAM = 3 };

/* Definition of a metric: exported as shunt_policy_NAME with the host's labels. */
struct shunt_metric_def {
    uint32_t size;    /* sizeof(struct shunt_metric_def) */
    uint32_t kind;    /* SHUNT_METRIC_* */
    const char *name; /* [a-z][a-z0-9_]*, at most 63 bytes, unit last; copied */
    const char *help; /* one line; copied */
};

struct shunt_host {
    uint32_t size;      /* sizeof(struct shunt_host) of the host */
    uint32_t abi_minor; /* the smaller of the host's and the plugin's minor */
    void *ctx;          /* the host's; not for the policy */

    /* [policy] Time of the callback in nanoseconds; constant until it returns. */
    int64_t (*now_ns)(const struct shunt_host *host);

    /* [policy] Arms one-shot timer `id` (0..15) for `at_ns`, replacing an earlier one; on_timer is
     * called once at or after it. Returns 0, or -1 if the id is out of range. */
    int (*timer_set)(const struct shunt_host *host, uint32_t id, int64_t at_ns);

    /* [policy] Disarms timer `id`; nothing happens if it is not armed. */
    void (*timer_cancel)(const struct shunt_host *host, uint32_t id);

    /* [policy] Asks for on_tick every `period_ns` (at least 1 ms); 0 stops it. Returns 0 or -1. */
    int (*tick_set)(const struct shunt_host *host, int64_t period_ns);

    /* [policy] Random 64 bits: a pure function of (seed, policy id, stream, key). The same key
     * gives the same number, so draws are keyed by what they decide, not by their order. */
    uint64_t (*random_u64)(const struct shunt_host *host, uint64_t stream, uint64_t key);

    /* [policy] The same as a double in [0, 1). */
    double (*random_unit)(const struct shunt_host *host, uint64_t stream, uint64_t key);

    /* [policy] Logs UTF-8 text (at most 512 bytes are kept); rate-limited by the host. `code` is
     * the policy's own. */
    void (*log)(const struct shunt_host *host, uint32_t level, uint32_t code, const char *text);

    /* [create] Defines a metric; returns a handle, or 0 if refused (name taken, 32 defined). */
    uint32_t (*metric_define)(const struct shunt_host *host, const struct shunt_metric_def *def);

    /* [policy] Counter: adds value >= 0. Gauge: sets. Histogram: observes. Handle 0 is ignored. */
    void (*metric_update)(const struct shunt_host *host, uint32_t metric, double value);

    /* [create] Zeroed memory from the instance's arena, aligned to 16, freed with the instance;
     * NULL when the arena's limit is reached. There is no free. */
    void *(*alloc)(const struct shunt_host *host, size_t bytes);

    /* [policy] Maths with the same result on every machine. As in C for NaN, infinities and
     * domain errors. */
    double (*exp)(double x);
    double (*log_e)(double x);
    double (*pow)(double x, double y);
    double (*sqrt)(double x);

    /* [create] Host side of extension `id`, NULL if this host does not have it. */
    const void *(*get_extension)(const struct shunt_host *host, const char *id);

    /* [any] 1 if called on the thread and within the callback where calls are legal. */
    int (*is_policy_thread)(const struct shunt_host *host);
};

#endif
