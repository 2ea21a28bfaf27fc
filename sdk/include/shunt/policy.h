/*
 * The policy vtable: what a shared object implements so that shunt asks it which model comes next
 * on a device, and when.
 *
 * A policy file defines one `const struct shunt_plugin shunt_plugin_v1` through
 * SHUNT_POLICY_DEFINE, which also writes the same facts into an ELF note so that a file is judged
 * before any of its code runs. Only `decide` is mandatory; every other member may be NULL, and the
 * host then does not even build the event.
 *
 * Rules that hold for every struct here: `size` comes first and is written by the producer; the
 * reader uses no more than the smaller of both sizes; zero means absent or default; new members
 * are only added at the tail.
 *
 * Threads: all functions of one instance are called one after another, never concurrently
 * ([policy]). They must return soon (decide: well below a millisecond); a call past the host's
 * deadline is a strike and its answer is dropped.
 */
#ifndef SHUNT_POLICY_H
#define SHUNT_POLICY_H

#include <shunt/host.h>
#include <shunt/params.h>
#include <shunt/snapshot.h>
#include <shunt/types.h>
#include <shunt/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ decisions */

/* Primary action of a decision. */
enum {
    SHUNT_STAY = 0,   /* go on as now; revokes a decided switch that has not begun its out-step */
    SHUNT_LINGER = 1, /* keep the resident model although others wait, until linger_until_ns */
    SHUNT_SWITCH = 2, /* bring `model` in (on `instance`, or where the host finds best) */
    SHUNT_NO_OPINION = 3 /* let the host's built-in policy decide this one */
};

/* Secondary actions. */
enum {
    SHUNT_PREFETCH = 1, /* move an instance up to `tier` as far as that needs no device memory */
    SHUNT_DEMOTE = 2    /* move an instance that is not resident down to `tier` */
};

/* Flags of a decision. */
enum {
    SHUNT_DECISION_GATED = 1 << 0 /* the next visit admits only what arrived before its start */
};

/*
 * Reason codes: the host knows names for these (metrics, explain). Codes from 1000 are the
 * policy's own.
 */
enum {
    SHUNT_REASON_NONE = 0,
    SHUNT_REASON_NOTHING_WAITS = 1,
    SHUNT_REASON_FIRST_COME = 2,
    SHUNT_REASON_QUEUE_EMPTY = 3,
    SHUNT_REASON_QUANTUM = 4,
    SHUNT_REASON_WITHIN_QUANTUM = 5,
    SHUNT_REASON_OLDEST = 6,
    SHUNT_REASON_LONGEST_UNVISITED = 7,
    SHUNT_REASON_LONGEST_QUEUE = 8,
    SHUNT_REASON_SCORE = 9,
    SHUNT_REASON_STALE = 10,
    SHUNT_REASON_HYSTERESIS = 11,
    SHUNT_REASON_BATCH_UP = 12, /* waiting for more work to make a switch worth its cost */
    SHUNT_REASON_RETURN_HOME = 13,
    SHUNT_REASON_PREDICTED = 14,
    SHUNT_REASON_CUSTOM = 1000
};

/* A secondary action. One that is not possible is dropped and counted; it never spoils the
 * primary. */
struct shunt_secondary {
    uint32_t kind; /* SHUNT_PREFETCH, SHUNT_DEMOTE */
    uint32_t model;
    uint32_t instance; /* SHUNT_NONE: the host chooses */
    uint32_t tier;     /* SHUNT_TIER_* to reach */
};

/* A victim and where it should go; the host goes colder where it must. */
struct shunt_victim {
    uint32_t instance;
    uint32_t tier; /* SHUNT_TIER_*; SHUNT_NONE: the warmest the model may use */
};

#define SHUNT_SECONDARY_MAX 8
#define SHUNT_VICTIM_MAX    8
#define SHUNT_TEXT_MAX      160

/* One decision about one device. The host zeroes it before decide: all zero is a plain "stay". */
struct shunt_decision {
    uint32_t size;           /* set by the host */
    uint32_t action;         /* SHUNT_STAY... */
    uint32_t device;         /* set by the host: the device asked about */
    uint32_t model;          /* SWITCH: which */
    uint32_t instance;       /* SWITCH: which placement; set to SHUNT_NONE by the host beforehand */
    uint32_t drain;          /* SHUNT_DRAIN_* for the victims */
    uint32_t flags;          /* SHUNT_DECISION_* */
    uint32_t reason;         /* SHUNT_REASON_* */
    uint64_t generation;     /* set by the host; a stale one is dropped and counted */
    int64_t linger_until_ns; /* LINGER: absolute; capped by the guard */
    int64_t recheck_at_ns;   /* ask again then, whatever happens; 0 = not */
    uint64_t quantum_requests; /* ask again after k dispatches since the visit began and stop
                                  admitting until answered; 0 = no limit. For SWITCH: of the visit
                                  that begins; for STAY and LINGER: of the present one, where a
                                  limit that is used up already leaves the visit closed until
                                  something else asks: say VISIT_SERVED + k to go on */
    int64_t quantum_ns;        /* the same in time since the visit's first dispatch; 0 = no limit */
    int64_t min_residence_ns;  /* SWITCH: no voluntary switch away before; at most the visit cap */
    double propensity;         /* probability with which this was chosen; 0 is read as 1 */
    uint32_t victim_count;     /* 0: the host chooses; otherwise entries of victims[] */
    uint32_t secondary_count;
    struct shunt_victim victims[SHUNT_VICTIM_MAX];
    struct shunt_secondary secondary[SHUNT_SECONDARY_MAX];
    char text[SHUNT_TEXT_MAX]; /* UTF-8, for people; need not be terminated when full */
};

/* Where decide writes. Provided by the host, valid until decide returns. */
struct shunt_answer {
    uint32_t size;     /* sizeof(struct shunt_answer) of the host */
    uint32_t stride;   /* bytes from one decision to the next */
    uint32_t capacity; /* decisions there is room for; 1 in ABI 1.0 */
    uint32_t count;    /* in: 1. Decisions given */
    struct shunt_decision *decisions;
    double *scores;       /* one a model for explain and reports; NaN beforehand; may stay so */
    uint32_t score_count; /* models */
    uint32_t reserved;    /* 0 */
};

/* A question about one device. */
struct shunt_ask {
    uint32_t size;       /* sizeof(struct shunt_ask) of the host */
    uint32_t device;     /* the device asked about */
    uint64_t id;         /* of the decision, for explain */
    uint64_t generation; /* of the state it is about */
    int64_t now_ns;
    uint32_t why;                          /* SHUNT_WHY_* bits, open */
    uint32_t shadow;                       /* 1 if the answer is recorded but not applied */
    const struct shunt_snapshot *snapshot; /* never NULL */
    const struct shunt_snapshot *costs;    /* NULL above 512 models */
};

/* ------------------------------------------------------------------ events */

/* How a request ended. Open set. */
enum {
    SHUNT_OUTCOME_COMPLETED = 0,
    SHUNT_OUTCOME_CANCELLED = 1, /* the client left */
    SHUNT_OUTCOME_EXPIRED = 2,   /* max_wait or deadline passed in the queue */
    SHUNT_OUTCOME_FAILED = 3,    /* the engine or its load failed */
    SHUNT_OUTCOME_CUT = 4,       /* ended by the drain limit */
    SHUNT_OUTCOME_REJECTED = 5   /* never accepted; policies see no event for it */
};

/* A request: on_arrival, on_dispatch, on_complete, on_cancel. Never carries the true output length
 * before the end. */
struct shunt_request_event {
    uint32_t size;
    uint32_t model;
    uint64_t request; /* id, unique while the request lives */
    int64_t t_ns;     /* of the event */
    int64_t arrival_ns;
    int64_t dispatch_ns;    /* on_complete, on_cancel: 0 if never dispatched */
    int64_t first_token_ns; /* on_complete, on_cancel: 0 if none */
    int64_t deadline_ns;    /* absolute; 0 = none */
    uint64_t tenant_hash;   /* 0 = unknown */
    uint64_t session_hash;  /* 0 = unknown */
    uint64_t prefix_hash;   /* 0 = unknown */
    uint32_t instance;      /* on_dispatch and later; SHUNT_NONE before */
    uint32_t service_class; /* 0 = standard */
    int32_t priority;       /* -8..7, higher is more urgent */
    uint32_t prompt_tokens; /* estimate */
    uint32_t max_tokens;    /* the client's limit; 0 = unknown */
    uint32_t output_tokens; /* on_complete: tokens produced; 0 before */
    uint32_t outcome;       /* on_complete, on_cancel: SHUNT_OUTCOME_* */
    uint32_t requeued;      /* how often it went back to its queue */
};

/* Why a switch happens. */
enum {
    SHUNT_CAUSE_POLICY = 0,
    SHUNT_CAUSE_FORCED_CAP = 1,
    SHUNT_CAUSE_FORCED_OVERTAKE = 2,
    SHUNT_CAUSE_FORCED_AGE = 3,
    SHUNT_CAUSE_OPERATOR = 4,
    SHUNT_CAUSE_BUILTIN = 5, /* the built-in answered for a late or absent policy */
    SHUNT_CAUSE_HOST = 6     /* preload, recovery */
};

/* A switch: on_switch_start, on_switch_done, on_switch_failed. Durations are measured; those of
 * phases that have not ended are 0. */
struct shunt_switch_event {
    uint32_t size;
    uint32_t device;
    uint64_t switch_id;
    int64_t t_ns;
    uint32_t from; /* model of the (first) victim; SHUNT_NONE if none */
    uint32_t to;
    uint32_t instance;  /* target */
    uint32_t from_tier; /* tier that the target comes from */
    uint32_t victim_count;
    uint32_t victim_tier; /* tier that the (first) victim reached */
    uint32_t cause;       /* SHUNT_CAUSE_* */
    uint32_t retries;
    int64_t drain_ns;
    int64_t out_ns;
    int64_t memory_ns; /* waiting for memory */
    int64_t in_ns;
    int64_t probe_ns;
};

/* Why exit() is called. */
enum {
    SHUNT_EXIT_RETIRED = 0,
    SHUNT_EXIT_SHUTDOWN = 1,
    SHUNT_EXIT_EJECTED = 2, /* strikes, invalid answers */
    SHUNT_EXIT_CREATE_FAILED = 3
};

struct shunt_exit_info {
    uint32_t size;
    uint32_t kind; /* SHUNT_EXIT_* */
    int32_t code;  /* of the failed callback; 0 */
    uint32_t reserved;
    const char *message; /* UTF-8, never NULL, valid until exit returns */
};

/* Byte streams for state and dumps. */
struct shunt_ostream {
    uint32_t size;
    uint32_t reserved;
    void *ctx;
    /* Writes all `bytes`; 0, or -1 when the limit is reached (then give up). */
    int (*write)(const struct shunt_ostream *stream, const void *data, size_t bytes);
};

struct shunt_istream {
    uint32_t size;
    uint32_t schema; /* state schema of the writer */
    void *ctx;
    /* Reads up to `bytes`; may read fewer; 0 at the end, -1 on error. */
    int64_t (*read)(const struct shunt_istream *stream, void *data, size_t bytes);
};

/* Reads exactly `bytes`, however short the stream's reads are; 0, or -1. */
static inline int shunt_read_all(const struct shunt_istream *stream, void *data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        int64_t got = stream->read(stream, (char *)data + done, bytes - done);
        if (got <= 0 || (uint64_t)got > bytes - done) {
            return -1;
        }
        done += (size_t)got;
    }
    return 0;
}

/* ------------------------------------------------------------------ the vtable */

/*
 * Functions of a policy, in life-cycle order. `self` is what create returned. Integer returns: 0 is
 * success, negative failure. Pointers in arguments are valid until the function returns. All are
 * [policy] and optional except decide.
 */
struct shunt_policy_ops {
    uint32_t size;     /* sizeof(struct shunt_policy_ops) */
    uint32_t reserved; /* 0 */

    /* Makes an instance: host->alloc, get_extension, metric_define and reading of params are legal;
     * no snapshot exists yet, models_changed follows. On failure nothing is kept, and exit (with
     * self = NULL), not destroy, is called. Absent: self is NULL in every call. */
    int (*create)(const struct shunt_host *host, const struct shunt_params *params,
                  void **ret_self);

    /* Ends an instance; the arena goes with it. */
    void (*destroy)(void *self);

    /* Models, devices or capacities changed, and once after create: indices are dense and mean the
     * same until the next call. The place for allocation by number of models. A negative return
     * ejects the instance. A plugin that declares PER_MODEL parameters gets param_set next, with
     * the values by the new indices. */
    int (*models_changed)(void *self, const struct shunt_snapshot *snapshot);

    /* Events were missed, or the instance begins while work is under way: rebuild what is kept
     * from events out of the snapshot. */
    void (*on_resync)(void *self, const struct shunt_snapshot *snapshot);

    void (*on_arrival)(void *self, const struct shunt_request_event *event);
    void (*on_dispatch)(void *self, const struct shunt_request_event *event);
    /* The request ended after its dispatch, whatever the outcome. */
    void (*on_complete)(void *self, const struct shunt_request_event *event);
    /* The request ended in the queue: cancelled, expired or failed. */
    void (*on_cancel)(void *self, const struct shunt_request_event *event);

    void (*on_switch_start)(void *self, const struct shunt_switch_event *event);
    void (*on_switch_done)(void *self, const struct shunt_switch_event *event);
    void (*on_switch_failed)(void *self, const struct shunt_switch_event *event);

    void (*on_timer)(void *self, uint32_t id, int64_t t_ns);
    void (*on_tick)(void *self, int64_t t_ns);

    /* MANDATORY. Answers `ask` by filling answer->decisions[0]. Must depend on nothing but the
     * instance's state and the arguments. No allocation. A negative return counts as a fault and
     * the built-in decides. */
    int (*decide)(void *self, const struct shunt_ask *ask, struct shunt_answer *answer);

    /* Looks at a set before it is committed; negative refuses it. `reason` (cap bytes) may be
     * filled for the operator. The host has checked types, ranges and constraints already. */
    int (*param_validate)(void *self, const struct shunt_params *params, char *reason, size_t cap);

    /* Takes a complete new set; cannot fail. Only LIVE parameters differ from before. */
    void (*param_set)(void *self, const struct shunt_params *params);

    /* Reports the value that parameter `index` has now in a policy that adapts it itself (element
     * `model` if PER_MODEL); negative: as set. */
    int (*param_get)(void *self, uint32_t index, uint32_t model, double *ret_value);

    /* Writes what a successor of the same id should know, in the plugin's state_schema. */
    int (*state_save)(void *self, const struct shunt_ostream *stream);

    /* Takes over a predecessor's state; stream->schema may be older or newer. Negative: start cold.
     * Called after models_changed and before any event. */
    int (*state_load)(void *self, const struct shunt_istream *stream);

    /* Explains decision `id` (recent ones only) in text; returns bytes written, negative if it does
     * not know. Never required: reason, scores and text are in the decision already. */
    int (*explain)(void *self, uint64_t decision_id, char *text, size_t cap);

    /* Writes the instance's inner state as text, for people. */
    void (*dump)(void *self, const struct shunt_ostream *stream);

    /* Last call before destroy, also after a failed create (self = NULL). */
    void (*exit)(void *self, const struct shunt_exit_info *info);

    /* The policy's side of extension `id` (ext.h), NULL if it has none. Asked once after create. */
    const void *(*get_extension)(void *self, const char *id);
};

/* ------------------------------------------------------------------ the entry */

#define SHUNT_PLUGIN_MAGIC UINT64_C(0x3176706e75687368) /* "hshunpv1", little endian */

/* How far a policy's answers repeat. */
enum {
    SHUNT_DETERMINISM_INTEGER = 1,  /* integers only */
    SHUNT_DETERMINISM_SDK_MATH = 2, /* + - * / on doubles and the host's maths: the default */
    SHUNT_DETERMINISM_NATIVE = 3    /* uses the compiler's or the machine's maths */
};

/* The one exported object of a policy file. Constant, no code runs to obtain it. */
struct shunt_plugin {
    uint64_t magic;         /* SHUNT_PLUGIN_MAGIC */
    uint32_t size;          /* sizeof(struct shunt_plugin) */
    uint32_t abi_major;     /* SHUNT_ABI_MAJOR */
    uint32_t abi_minor;     /* minor of the headers it was built with */
    uint32_t abi_minor_min; /* smallest minor of a host that can run it */
    uint32_t state_schema;  /* version of state_save's bytes; 0 = keeps no state */
    uint32_t determinism;   /* SHUNT_DETERMINISM_* */
    const char *id;         /* [a-z][a-z0-9_]*, at most 63 bytes */
    const char *version;    /* "1.2.3", at most 31 bytes */
    const char *licence;    /* SPDX expression, at most 63 bytes */
    const char *summary;    /* one line, at most 255 bytes */
    const struct shunt_policy_ops *ops;
    const struct shunt_param_info *params;
    uint32_t param_count;  /* at most 64 */
    uint32_t param_stride; /* bytes from one to the next; 0: the size of the first */
    const struct shunt_param_constraint *constraints;
    uint32_t constraint_count;              /* at most 32 */
    uint32_t constraint_stride;             /* likewise */
    const char *const *requires_extensions; /* ids without which it cannot run */
    uint32_t requires_count;                /* at most 16 */
    uint32_t flags;                         /* 0 */
};

#if defined(__GNUC__)
#define SHUNT_EXPORT __attribute__((visibility("default")))
#else
#define SHUNT_EXPORT
#endif

/* The note: type 1, owner "shunt", text of KEY=VALUE lines. Section .note.shunt.policy. */
#define SHUNT_NOTE_SECTION ".note.shunt.policy"
#define SHUNT_NOTE_TYPE    1u
#define SHUNT_NOTE_(text_)                                                                         \
    struct shunt_policy_note {                                                                     \
        uint32_t name_size, text_size, type;                                                       \
        char name[8];                                                                              \
        char text[(sizeof(text_) + 3u) & ~(size_t)3u];                                             \
    };                                                                                             \
    __attribute__((section(SHUNT_NOTE_SECTION), used,                                              \
                   aligned(4))) static const struct shunt_policy_note shunt_policy_note_v1 = {     \
        6u, (uint32_t)((sizeof(text_) + 3u) & ~(size_t)3u), SHUNT_NOTE_TYPE, "shunt", text_}

/*
 * Defines the entry and the note of a policy, last in its file:
 *
 *     SHUNT_POLICY_DEFINE("fifo", "1.0.0", "MIT", "First come, first served.", 0, 0,
 *                         .ops = &ops, .params = params, .param_count = 2);
 *
 * ID, VERSION, LICENCE and SUMMARY are string literals; MINOR_MIN and STATE_SCHEMA are integer
 * literals; the rest are designated initialisers of struct shunt_plugin, in its order (C++20
 * insists).
 */
#define SHUNT_POLICY_DEFINE(ID, VERSION, LICENCE, SUMMARY, MINOR_MIN, STATE_SCHEMA, ...)           \
    SHUNT_NOTE_("id=" ID "\nversion=" VERSION "\nlicence=" LICENCE "\nsummary=" SUMMARY            \
                "\nabi_major=1\nabi_minor=" SHUNT_ABI_MINOR_TEXT "\nabi_minor_min=" #MINOR_MIN     \
                "\nstate_schema=" #STATE_SCHEMA "\n");                                             \
    SHUNT_EXPORT extern const struct shunt_plugin shunt_plugin_v1;                                 \
    const struct shunt_plugin shunt_plugin_v1 = {.magic = SHUNT_PLUGIN_MAGIC,                      \
                                                 .size = sizeof(struct shunt_plugin),              \
                                                 .abi_major = SHUNT_ABI_MAJOR,                     \
                                                 .abi_minor = SHUNT_ABI_MINOR,                     \
                                                 .abi_minor_min = MINOR_MIN,                       \
                                                 .state_schema = STATE_SCHEMA,                     \
                                                 .determinism = SHUNT_DETERMINISM_SDK_MATH,        \
                                                 .id = ID,                                         \
                                                 .version = VERSION,                               \
                                                 .licence = LICENCE,                               \
                                                 .summary = SUMMARY,                               \
                                                 __VA_ARGS__}

/* ------------------------------------------------------------------ helpers for decide */

/* Appends as much of a string as fits to the decision's text. */
static inline void shunt_text(struct shunt_decision *decision, const char *text)
{
    uint32_t used = 0;
    while (used < SHUNT_TEXT_MAX - 1 && decision->text[used]) {
        used++;
    }
    for (; used < SHUNT_TEXT_MAX - 1 && *text; used++) {
        decision->text[used] = *text++;
    }
    decision->text[used] = '\0';
}

/* Appends a decimal number likewise. */
static inline void shunt_text_number(struct shunt_decision *decision, int64_t value)
{
    char digits[24];
    uint32_t at = sizeof(digits) - 1;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    shunt_text(decision, digits + at);
}

/* Fills a "stay" and returns 0, so that decide can end with it. */
static inline int shunt_stay(struct shunt_decision *decision, uint32_t reason)
{
    decision->action = SHUNT_STAY;
    decision->reason = reason;
    return 0;
}

/* Fills a "linger until" and returns 0. */
static inline int shunt_linger(struct shunt_decision *decision, int64_t until_ns, uint32_t reason)
{
    decision->action = SHUNT_LINGER;
    decision->linger_until_ns = until_ns;
    decision->reason = reason;
    return 0;
}

/* Sends the model that occupies the decision's device alone to `tier` (SHUNT_TIER_*). With none or
 * several resident the host goes on choosing victims and tiers. */
static inline void shunt_evict_to(struct shunt_decision *decision,
                                  const struct shunt_snapshot *snapshot, uint32_t tier)
{
    uint32_t victim = shunt_sole_resident(snapshot, decision->device);
    if (victim != SHUNT_NONE) {
        decision->victims[0].instance = victim;
        decision->victims[0].tier = tier;
        decision->victim_count = 1;
    }
}

/* Fills a "switch to" and returns 0. */
static inline int shunt_switch_to(struct shunt_decision *decision, uint32_t model, uint32_t reason)
{
    decision->action = SHUNT_SWITCH;
    decision->model = model;
    decision->reason = reason;
    return 0;
}

#ifdef __cplusplus
}
#endif

#endif
