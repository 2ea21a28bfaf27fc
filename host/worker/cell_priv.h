/*
 * The inside of a cell, shared by its files: cell.c (life, driving the core), cell_request.c
 * (requests), cell_engine.c (steps and engines), cell_policy.c (slots and swaps), cell_view.c
 * (queries and explain).
 */
#ifndef HOST_WORKER_CELL_PRIV_H
#define HOST_WORKER_CELL_PRIV_H

#include "base/drive.h"
#include "base/layout.h"
#include "host/engine/engine.h"
#include "host/supervisor/page.h"
#include "host/worker/active.h"
#include "host/worker/cell.h"
#include "host/worker/cell_life.h"
#include "host/worker/choice.h"
#include "host/worker/recorder.h"

enum {
    CELL_OBSERVERS_MAX = 4,
    CELL_EXPLAINED_MAX = 4096,
    CELL_DECISIONS_MAX = 1024,
    CELL_SCORES_MAX = 16,
    CELL_NAME_MAX = 64,
};

enum entry_state { ENTRY_FREE = 0, ENTRY_QUEUED, ENTRY_FLIGHT, ENTRY_ENDED };

/* A request, by the index in its core id. */
struct entry {
    uint64_t id;
    enum entry_state state;
    bool silent; /* the front gave it up: no callback but abort */
    const struct cell_request_ops *ops;
    void *cookie;
    uint32_t attempts; /* dispatches so far */
    uint32_t model;
    int64_t arrival_ns;
    int64_t dispatch_ns;
    int64_t first_token_ns;
    uint64_t decision;
    int64_t wait_ns[CORE_WAIT_COUNT];
};

/* An input that waits for its turn, with the front's side of a request. */
struct fed {
    struct core_input input;
    const struct cell_request_ops *ops;
    void *cookie;
};

struct slot {
    struct cell *cell;
    struct policy_choice *choice; /* what it was made from; NULL: empty */
    int64_t since_ns;
    uint64_t decisions;
    uint64_t faults;
    int64_t decide_max_ns;
    int64_t call_begun_ns;
    int64_t call_ns; /* how long the last call took */
};

struct device_engine {
    struct cell *cell;
    uint32_t instance;
    struct engine *engine;
    uint64_t switch_id; /* of the step under way */
    uint32_t step;
    bool stepping;
    bool settled;
    uint32_t settled_tier;
};

struct cell {
    struct cell_setup setup;
    struct loop *loop;
    uint32_t index;
    char name[CELL_NAME_MAX];
    struct layout *layout;
    void *core_memory;
    struct core *core;
    struct drive *drive;
    struct recorder *recorder; /* NULL: off */
    char *config_text;         /* for it: what concerns the core, as JSON; NULL: off */
    bool started;
    bool driving;
    int64_t last_ns;

    struct fed *fed; /* ring of waiting inputs */
    uint32_t fed_at, fed_len, fed_cap;
    struct loop_task settle;
    struct loop_timer wake;
    struct loop_timer settling; /* looks until all engines have settled */
    struct loop_timer poll;

    struct entry *entries;
    uint32_t entry_count;
    uint32_t held;
    const struct cell_request_ops *submit_ops; /* of the REQUEST being applied */
    void *submit_cookie;

    struct engine_services services;
    struct device_engine **engines; /* by instance */
    cell_started *on_started;
    void *on_started_ctx;
    uint32_t preload_next; /* model index; model_count: done */
    bool preloading;

    struct slot slots[DRIVE_SLOTS_MAX];
    uint32_t selected; /* as asked for; CORE_NONE: the built-in */
    uint32_t former;   /* kept for going back; CORE_NONE */
    struct loop_timer probation;
    struct swap *swap;                  /* under way; NULL */
    struct policy_choice *first_choice; /* judged, to be installed: at start and in a reload */
    struct params *first_params;
    uint64_t activations;
    uint64_t asks;
    uint64_t inputs;
    struct policy *lost[DRIVE_SLOTS_MAX]; /* to be destroyed outside of drive */

    const struct cell_observer *observers[CELL_OBSERVERS_MAX];
    uint32_t observer_count;
    struct cell_explain *explained; /* ring */
    uint64_t explained_count;
    struct cell_decision *decisions; /* ring */
    uint64_t decision_count;
    uint64_t device_decision[16]; /* newest decision by device */
};

/* cell.c */
void cell_feed(struct cell *cell, const struct core_input *input);
void cell_feed_request(struct cell *cell, const struct core_input *input,
                       const struct cell_request_ops *ops, void *cookie);
/* Everything between a call into drive and the world: call before and after. */
void cell_drive_begin(struct cell *cell);
void cell_drive_end(struct cell *cell);
/* The time of an input: now, but never before the last. */
int64_t cell_time_ns(struct cell *cell);

/* cell_request.c */
void cell_request_action(struct cell *cell, const struct core_action *action);
/* After an input about a request was applied. */
void cell_request_applied(struct cell *cell, const struct core_input *input);
void cell_request_record(struct cell *cell, const struct core_rec_request *record, int64_t t_ns);

/* cell_engine.c */
int cell_engines_create(struct cell *cell, char *err, size_t err_size);
void cell_engines_destroy(struct cell *cell);
void cell_engine_action(struct cell *cell, const struct core_action *action);
void cell_engine_suspect(struct cell *cell, uint32_t instance);
void cell_engine_record(struct cell *cell, const struct core_rec_instance *record);
void cell_preload(struct cell *cell);
int cell_engines_reload(struct cell *cell, const struct layout *layout,
                        struct device_engine ***ret_engines, char *err, size_t err_size);
void cell_engines_swap(struct cell *cell, const struct layout *layout,
                       struct device_engine **engines);
void cell_engines_discard(struct cell *cell, struct device_engine **engines, uint32_t count);

/* cell_policy.c */
int cell_policy_prepare(struct cell *cell, char *err, size_t err_size);
int cell_policy_begin(struct cell *cell, char *err, size_t err_size);
int cell_policy_reload(struct cell *cell, const struct config *config, const struct layout *layout,
                       char *err, size_t err_size);
void cell_policy_reloaded(struct cell *cell, bool ok);
void cell_policy_lost(struct cell *cell, uint32_t slot, struct policy *policy);
void cell_policy_called(struct cell *cell, uint32_t slot, uint32_t what, bool begin);
void cell_policy_reap(struct cell *cell);
void cell_policies_destroy(struct cell *cell);

/* cell_view.c */
void cell_decision_answered(struct cell *cell, const struct core_act_ask *ask, int status,
                            const struct shunt_answer *answer);
void cell_decision_record(struct cell *cell, const struct core_rec_decision *record, int64_t t_ns);
void cell_explained_add(struct cell *cell, const struct entry *entry, int64_t end_ns,
                        uint32_t outcome, uint32_t output_tokens);

#endif
