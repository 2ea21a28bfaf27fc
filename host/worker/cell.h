/*
 * A cell: devices and queues under one policy. It drives the scheduling core (core/core.h): turns
 * what happens into inputs, carries out the actions, keeps the policy slots, records the journal.
 * It knows nothing of HTTP. The front submits requests and hears about them through callbacks; the
 * admin asks and operates; metrics watch.
 *
 * Everything is called on the loop's thread. Every function that feeds the core may be called from
 * inside any callback of the cell: the input is then queued and applied when the present one has
 * been carried out, in order. Dispatches happen on the next turn of the loop, never inside a call
 * of the front.
 *
 * Models, devices, instances and slots are indices into the present configuration: a reload may
 * renumber them, so keep names, not indices, across turns.
 */
#ifndef HOST_WORKER_CELL_H
#define HOST_WORKER_CELL_H

#include "base/params.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cell;

enum {
    CELL_ORIGIN_BYTES_MAX = 128, /* "host:port" or "unix:PATH" of an engine */
    CELL_REQUEST_TEXT_BYTES = 40,
    CELL_REFERENCE_BYTES_MAX = 1024, /* a policy reference */
    CELL_ERROR_BYTES_MAX = 512,
};

/* ------------------------------------------------------------------ requests */

/* What the front knows about a request before it runs. */
struct cell_submit {
    uint32_t model; /* index in the cell, from worker_route() */
    uint32_t service_class;
    int64_t deadline_ns; /* absolute, 0 = none */
    uint64_t tenant_hash;
    uint64_t session_hash;
    uint64_t prefix_hash;
    int32_t priority; /* -8..7 */
    uint32_t prompt_tokens;
    uint32_t max_tokens; /* 0 = unknown */
};

/* Where a request goes. Valid during the callback. */
struct cell_dispatch {
    uint64_t request;
    const char *origin;         /* of the engine: "127.0.0.1:9001" */
    const char *upstream_model; /* the name the engine serves it under; NULL: as the client said */
    const char *model;          /* served name */
    const char *policy;         /* id of the deciding policy, for x-shunt-policy */
    const char *arm;            /* of an experiment; "" if none runs */
    uint32_t instance;
    int64_t arrival_ns;
    int64_t wait_ns[CORE_WAIT_COUNT]; /* sums to the wait; their sum is x-shunt-queue-ms */
    uint32_t attempt;                 /* 0; later dispatches of a requeued request count up */
};

/*
 * The life of a request, seen from the front:
 *
 *     cell_submit -> rejected                                             (over)
 *                 -> accepted -> ended                                    (over; never dispatched)
 *                             -> dispatch -> cell_complete()              (over)
 *                             -> dispatch -> ended (cut) -> abort -> cell_complete()  (over)
 *                             -> dispatch -> cell_cancel() -> abort -> cell_complete() (over)
 *                             -> dispatch -> abort -> cell_complete(retry) -> dispatch ...
 * (requeued)
 *
 * accepted or rejected comes before cell_submit() returns unless that was called from inside a
 * callback of the cell. The cookie must stay valid until the request is over. After cell_cancel()
 * of a request that waits, no callback comes: it is over when cell_cancel() returns.
 */
struct cell_request_ops {
    /* position: 0 = head of its queue; eta_ns: estimated wait from now, -1 = unknown. */
    void (*accepted)(void *cookie, uint64_t request, uint32_t position, int64_t eta_ns);
    /* retry_after_ns: -1 = unknown. */
    void (*rejected)(void *cookie, enum core_reject reason, int64_t retry_after_ns);
    /* Send it to the engine now. */
    void (*dispatch)(void *cookie, const struct cell_dispatch *dispatch);
    /* Answer the client with an error: outcome is SHUNT_OUTCOME_EXPIRED, _FAILED or _CUT. If it
     * had been dispatched (CUT, FAILED), abort follows and the front still reports
     * cell_complete(); otherwise it is over. */
    void (*ended)(void *cookie, uint32_t outcome, bool dispatched,
                  const int64_t wait_ns[CORE_WAIT_COUNT]);
    /* Close the connection to the engine; then cell_complete(). If no byte of an answer has
     * reached the client and neither ended nor cell_cancel() came before, report it with retry. */
    void (*abort)(void *cookie);
};

/* Offers a request. ops must be static. */
void cell_submit(struct cell *cell, const struct cell_submit *submit,
                 const struct cell_request_ops *ops, void *cookie);

/* The client left, or a time-out of the front passed: outcome is SHUNT_OUTCOME_CANCELLED,
 * _EXPIRED or _FAILED. */
void cell_cancel(struct cell *cell, uint64_t request, uint32_t outcome);

/* The first byte of the answer's body arrived from the engine. */
void cell_first_token(struct cell *cell, uint64_t request);

/* How a dispatched request left its engine. */
struct cell_completion {
    uint32_t outcome; /* SHUNT_OUTCOME_COMPLETED, _FAILED, _CANCELLED or _CUT */
    uint32_t output_tokens;
    uint32_t prompt_tokens; /* as the engine counted; 0 = unknown */
    bool retry;             /* no byte of it reached the engine, or it was aborted before a byte of
                               the answer came: back to the head of its queue, `dispatch` follows */
    bool engine_refused;    /* connection refused or reset before an answer: the cell has the
                               engine's health looked at */
};
void cell_complete(struct cell *cell, uint64_t request, const struct cell_completion *completion);

/* Position in its queue and estimated rest of the wait, for heartbeats. -ESTALE when it has ended
 * or was dispatched. */
int cell_position(struct cell *cell, uint64_t request, uint32_t *ret_position, int64_t *ret_eta_ns);

/* The public name of a request (x-shunt-request, `ctl explain`): unique over restarts. */
void cell_request_text(const struct cell *cell, uint64_t request,
                       char ret_text[CELL_REQUEST_TEXT_BYTES]);

/* ------------------------------------------------------------------ what it looks like now */

/* Read-only access for core's own queries: stats, bounds, guard values, costs, views. */
const struct core *cell_core(const struct cell *cell);
int64_t cell_now_ns(const struct cell *cell);

const char *cell_name(const struct cell *cell);
uint32_t cell_model_count(const struct cell *cell);
uint32_t cell_device_count(const struct cell *cell);
uint32_t cell_instance_count(const struct cell *cell);
const char *cell_model_name(const struct cell *cell, uint32_t model);
const char *cell_device_name(const struct cell *cell, uint32_t device);
/* Index of a served name or alias; -ENOENT. */
int cell_model_find(const struct cell *cell, const char *name, uint32_t *ret_model);

/* An engine, for people. Strings are valid until the next turn. */
struct cell_engine_view {
    const char *driver; /* "emulated", "vllm" */
    const char *origin; /* "" while it has no address */
    int pid;            /* 0 if it is not ours or not running */
    bool attached;      /* a running server that shunt never ends */
    uint64_t starts;
    uint64_t failures;
    const char *last_error; /* "" if none */
};
void cell_engine_view(const struct cell *cell, uint32_t instance, struct cell_engine_view *ret);

/* A policy slot, for people. Strings are valid until the next turn. */
struct cell_slot_view {
    bool filled;
    bool selected;
    bool rollback; /* kept fed, for going back by pointer */
    const char *id;
    const char *version;
    const char *reference; /* as configured or swapped in */
    const char *hash; /* of the file, hex; "builtin" for a policy that is part of the program */
    uint64_t decisions;
    uint64_t faults;
    int64_t decide_max_ns;
    int64_t since_ns;
};
uint32_t cell_slot_count(const struct cell *cell);
void cell_slot_view(const struct cell *cell, uint32_t slot, struct cell_slot_view *ret);
/* The parameters of a filled slot, with origin of each value; NULL if it is empty. */
const struct params *cell_slot_params(const struct cell *cell, uint32_t slot);
/* The slot that decides, CORE_NONE for the built-in fifo. */
uint32_t cell_slot_selected(const struct cell *cell);
/* True if what runs differs from the configuration file; `text` says how, one line. */
bool cell_drift(const struct cell *cell, char *text, size_t size);

/* Counters of the cell itself. */
struct cell_stats {
    uint64_t inputs;
    uint64_t asks;
    uint64_t activations;
    uint64_t journal_records;
    uint64_t journal_dropped;
    uint64_t journal_bytes;
    uint64_t requests_held; /* accepted and not over */
};
void cell_stats(const struct cell *cell, struct cell_stats *ret);

/* ------------------------------------------------------------------ explain */

/* A request that is over, in flight or waiting. */
struct cell_explain {
    uint64_t request;
    char model[64];
    char policy[64];      /* that decided when it was dispatched or ended */
    char policy_hash[17]; /* first 16 digits */
    int64_t arrival_ns;
    int64_t dispatch_ns;    /* 0: not yet */
    int64_t first_token_ns; /* 0: none */
    int64_t end_ns;         /* 0: not over */
    uint32_t outcome;       /* valid when end_ns is set */
    uint32_t position;      /* while it waits; else CORE_NONE */
    uint32_t output_tokens;
    int64_t wait_ns[CORE_WAIT_COUNT]; /* sums to the wait exactly */
    uint64_t decision;                /* id of the last decision that touched its wait; 0 = none */
};

/* -ENOENT: not known, or forgotten (the last few thousand are kept). */
int cell_explain_request(struct cell *cell, uint64_t request, struct cell_explain *ret);

/* A decision with what the policy said about it. */
struct cell_decision {
    uint64_t id;
    int64_t t_ns;
    uint32_t slot;
    uint32_t device;
    uint32_t action;
    uint32_t reason;
    uint32_t why;     /* SHUNT_WHY_* bits */
    uint32_t verdict; /* enum core_verdict */
    uint32_t cause;
    double propensity;
    char model[64]; /* "" if the action names none */
    char policy[64];
    char text[SHUNT_TEXT_MAX];
    uint32_t score_count; /* of scores[], by model index at that time; NaN = none given */
    double scores[16];
};
/* By id; id 0: the newest. -ENOENT. */
int cell_explain_decision(struct cell *cell, uint64_t id, struct cell_decision *ret);
/* Up to `max` decisions that were taken between two times, oldest first; returns how many. */
size_t cell_decisions(struct cell *cell, int64_t from_ns, int64_t to_ns, struct cell_decision *ret,
                      size_t max);

/* ------------------------------------------------------------------ operating */

/* LOAD, UNLOAD, PIN, UNPIN of a model (instance: SHUNT_NONE). 0, -EPERM, -EBUSY, -EINVAL, with one
 * line in `err`. LOAD and UNLOAD begin a switch: its end is seen in cell_core(). */
int cell_operate(struct cell *cell, enum core_operation operation, uint32_t model, char *err,
                 size_t err_size);

/* A finished operation: result is 0 or negative errno, message one line (never NULL). */
typedef void cell_done(void *ctx, int result, const char *message);

struct cell_swap {
    const char *reference; /* NAME|PATH.so[@VALUES.yaml][:K=V]... */
    const char *isolation; /* NULL: as configured; "trusted"; "isolated" is refused */
    int64_t probation_ns; /* the predecessor is kept fed for a roll back so long; 0: at once gone */
    bool save;            /* also after a restart (state_dir/active) */
};
/* Loads, creates and activates a policy at the next decision boundary. done is called once, on a
 * later turn; nothing has changed unless the result is 0. -EBUSY while another swap runs. */
int cell_policy_swap(struct cell *cell, const struct cell_swap *swap, cell_done *done, void *ctx);
/* Back to the predecessor, by pointer. -ENOENT if probation is over. */
int cell_policy_rollback(struct cell *cell, char *err, size_t err_size);
/* Ends probation now. -ENOENT if none runs. */
int cell_policy_confirm(struct cell *cell, char *err, size_t err_size);
/* Sets parameters of the deciding policy, as one batch or not at all (errors of params_apply). */
int cell_policy_set(struct cell *cell, const struct param_assignment *assignments, size_t count,
                    bool save, char *err, size_t err_size);
/* The policy's own dump, or explanation of a decision: text into buf; bytes written or negative
 * errno (-ENOENT: it offers none or knows none). */
int cell_policy_dump(struct cell *cell, char *buf, size_t size);
int cell_policy_explain(struct cell *cell, uint64_t decision, char *buf, size_t size);

/* ------------------------------------------------------------------ watching */

/* What metrics and log hear. All optional; called while actions are carried out, so they only
 * count or write a line. */
struct cell_observer {
    void *ctx;
    void (*record)(void *ctx, struct cell *cell, const struct core_act_record *record,
                   int64_t t_ns);
    /* An ask was answered by a policy: how long decide took, and its result. */
    void (*decided)(void *ctx, struct cell *cell, uint32_t slot, int64_t duration_ns, int status);
    /* A policy logs (level SHUNT_LOG_*), or updates one of its own metrics. */
    void (*policy_log)(void *ctx, struct cell *cell, const char *policy, uint32_t level,
                       uint32_t code, const char *text);
    /* An engine's address is no longer good: close idle connections to it. */
    void (*engine_down)(void *ctx, struct cell *cell, const char *origin);
};
/* Up to four; `observer` must outlive the cell. */
void cell_observe(struct cell *cell, const struct cell_observer *observer);

#endif
