/*
 * The snapshot: what a policy can see, as a self-describing column blob.
 *
 * A blob is one run of bytes without pointers, so the same bytes are the argument of a call, the
 * shared memory of an isolated policy, a keyframe of the journal and a test fixture. It begins
 * with struct shunt_snapshot, then a directory of columns, then the columns. A column is found by
 * id; a column that this host does not have is NULL, and that is the feature test.
 *
 * The blob of an ask is valid, and constant, until the callback returns.
 */
#ifndef SHUNT_SNAPSHOT_H
#define SHUNT_SNAPSHOT_H

#include <shunt/types.h>

#define SHUNT_SNAPSHOT_MAGIC UINT64_C(0x31306e73746e6873) /* "shntsn01", little endian */

/* Axes. Extents are in shunt_snapshot.extent. NODE and REQUEST are reserved. */
enum {
    SHUNT_AXIS_NONE = 0, /* extent 1 */
    SHUNT_AXIS_MODEL = 1,
    SHUNT_AXIS_DEVICE = 2,
    SHUNT_AXIS_INSTANCE = 3, /* a model on one of its placements */
    SHUNT_AXIS_TIER = 4,
    SHUNT_AXIS_CLASS = 5,
    SHUNT_AXIS_REQUEST = 6,
    SHUNT_AXIS_NODE = 7,
    SHUNT_AXIS_FROM = 8, /* models, then one row for the empty device */
    SHUNT_AXIS_COUNT = 9
};

/* Types of a column's elements. */
enum { SHUNT_TYPE_U32 = 1, SHUNT_TYPE_I64 = 2, SHUNT_TYPE_U64 = 3, SHUNT_TYPE_F64 = 4 };

/* Column ids: SHUNT_COL_QUEUE_LEN and so on; columns.def documents each. */
enum {
#define SHUNT_COLUMN(id, name, type, axis0, axis1, doc) SHUNT_COL_##name = (id),
#include <shunt/columns.def>
    SHUNT_COL_ID_MAX = 4095
};

/* One entry of the directory. */
struct shunt_column {
    uint32_t id;       /* SHUNT_COL_* */
    uint32_t type;     /* SHUNT_TYPE_* */
    uint32_t axis0;    /* outer axis */
    uint32_t axis1;    /* inner axis, SHUNT_AXIS_NONE for a vector */
    uint32_t offset;   /* bytes from the start of the blob, multiple of 8 */
    uint32_t count;    /* elements in all */
    uint32_t stride;   /* elements from one index of axis0 to the next */
    uint32_t reserved; /* 0 */
    int64_t age_ns;    /* how old the values are; 0 = exact */
};

/* Head of a blob. */
struct shunt_snapshot {
    uint64_t magic;      /* SHUNT_SNAPSHOT_MAGIC */
    uint32_t size;       /* sizeof(struct shunt_snapshot) of the producer */
    uint32_t abi_minor;  /* of the producer */
    uint64_t generation; /* changes when a decision on older data may be invalid */
    uint64_t layout_gen; /* changes when the meaning of an index may have changed */
    int64_t now_ns;      /* the time of the callback */
    uint32_t bytes;      /* of the whole blob */
    uint32_t column_count;
    uint32_t column_offset; /* of the directory, from the start of the blob */
    uint32_t column_stride; /* bytes from one entry to the next */
    uint32_t extent[12];    /* by axis */
};

/* Where column `id` stands in the directory of a host that leaves nothing out and adds nothing. */
static inline uint32_t shunt_column_usual(uint32_t id)
{
    enum {
#define SHUNT_COLUMN(ID, NAME, TYPE, AXIS0, AXIS1, doc) SHUNT_USUAL_##NAME,
#include <shunt/columns.def>
    };
    switch (id) {
#define SHUNT_COLUMN(ID, NAME, TYPE, AXIS0, AXIS1, doc)                                            \
    case ID:                                                                                       \
        return ID < SHUNT_COL_COST_MEAN_NS                                                         \
                   ? (uint32_t)SHUNT_USUAL_##NAME                                                  \
                   : (uint32_t)SHUNT_USUAL_##NAME - (uint32_t)SHUNT_USUAL_COST_MEAN_NS;
#include <shunt/columns.def>
    default:
        return 0;
    }
}

/* Entry `i` of the directory. */
static inline const struct shunt_column *shunt_column_at(const struct shunt_snapshot *snapshot,
                                                         uint32_t i)
{
    const char *base = (const char *)(const void *)snapshot;
    return (const struct shunt_column *)(const void *)(base + snapshot->column_offset +
                                                       (size_t)snapshot->column_stride * i);
}

/* Directory entry of column `id`, or NULL. Looks first where it usually is: with a constant `id`
 * that is one comparison. */
static inline const struct shunt_column *shunt_column_find(const struct shunt_snapshot *snapshot,
                                                           uint32_t id)
{
    uint32_t usual = shunt_column_usual(id);
    if (usual < snapshot->column_count && shunt_column_at(snapshot, usual)->id == id) {
        return shunt_column_at(snapshot, usual);
    }
    for (uint32_t i = 0; i < snapshot->column_count; i++) {
        if (shunt_column_at(snapshot, i)->id == id) {
            return shunt_column_at(snapshot, i);
        }
    }
    return NULL;
}

/* First element of column `id` if it has that type, else NULL. */
static inline const void *shunt_column_data(const struct shunt_snapshot *snapshot, uint32_t id,
                                            uint32_t type)
{
    const struct shunt_column *column = snapshot ? shunt_column_find(snapshot, id) : NULL;
    if (!column || column->type != type) {
        return NULL;
    }
    return (const char *)(const void *)snapshot + column->offset;
}

static inline const uint32_t *shunt_u32(const struct shunt_snapshot *snapshot, uint32_t id)
{
    return (const uint32_t *)shunt_column_data(snapshot, id, SHUNT_TYPE_U32);
}

static inline const int64_t *shunt_i64(const struct shunt_snapshot *snapshot, uint32_t id)
{
    return (const int64_t *)shunt_column_data(snapshot, id, SHUNT_TYPE_I64);
}

static inline const uint64_t *shunt_u64(const struct shunt_snapshot *snapshot, uint32_t id)
{
    return (const uint64_t *)shunt_column_data(snapshot, id, SHUNT_TYPE_U64);
}

static inline const double *shunt_f64(const struct shunt_snapshot *snapshot, uint32_t id)
{
    return (const double *)shunt_column_data(snapshot, id, SHUNT_TYPE_F64);
}

static inline uint32_t shunt_model_count(const struct shunt_snapshot *snapshot)
{
    return snapshot->extent[SHUNT_AXIS_MODEL];
}

static inline uint32_t shunt_device_count(const struct shunt_snapshot *snapshot)
{
    return snapshot->extent[SHUNT_AXIS_DEVICE];
}

static inline uint32_t shunt_instance_count(const struct shunt_snapshot *snapshot)
{
    return snapshot->extent[SHUNT_AXIS_INSTANCE];
}

/*
 * Expected time of a switch in nanoseconds, drain excluded, from `from` (SHUNT_NONE: from the
 * empty device) to `to`; `unknown_ns` where the host has learned nothing, or `costs` is NULL.
 */
static inline double shunt_cost_ns(const struct shunt_snapshot *costs, uint32_t from, uint32_t to,
                                   double unknown_ns)
{
    const struct shunt_column *column =
        costs ? shunt_column_find(costs, SHUNT_COL_COST_MEAN_NS) : NULL;
    if (!column) {
        return unknown_ns;
    }
    uint32_t models = costs->extent[SHUNT_AXIS_MODEL];
    uint32_t row = from < models ? from : models;
    if (to >= models) {
        return unknown_ns;
    }
    const double *mean =
        (const double *)(const void *)((const char *)(const void *)costs + column->offset);
    double cost = mean[(size_t)row * column->stride + to];
    return cost == cost ? cost : unknown_ns;
}

/* Placement of `model` on `device`: an instance, or SHUNT_NONE if it has none there. */
static inline uint32_t shunt_instance_on(const struct shunt_snapshot *snapshot, uint32_t model,
                                         uint32_t device)
{
    const uint32_t *models = shunt_u32(snapshot, SHUNT_COL_INSTANCE_MODEL);
    const uint32_t *devices = shunt_u32(snapshot, SHUNT_COL_INSTANCE_DEVICE);
    uint32_t count = models && devices ? shunt_instance_count(snapshot) : 0;
    /* With one device the instances stand in the order of the models. */
    if (model < count && models[model] == model && devices[model] == device) {
        return model;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (models[i] == model && devices[i] == device) {
            return i;
        }
    }
    return SHUNT_NONE;
}

/* 1 if `model` is resident on `device`. */
static inline int shunt_is_resident(const struct shunt_snapshot *snapshot, uint32_t model,
                                    uint32_t device)
{
    const uint64_t *devices = shunt_u64(snapshot, SHUNT_COL_RESIDENT_DEVICES);
    return devices && device < 64 && (devices[model] >> device & 1);
}

/*
 * The instance that occupies `device` alone, or SHUNT_NONE if none or several do: the one victim
 * of a switch there.
 */
static inline uint32_t shunt_sole_resident(const struct shunt_snapshot *snapshot, uint32_t device)
{
    const uint32_t *devices = shunt_u32(snapshot, SHUNT_COL_INSTANCE_DEVICE);
    const uint32_t *tiers = shunt_u32(snapshot, SHUNT_COL_INSTANCE_TIER);
    uint32_t count = devices && tiers ? shunt_instance_count(snapshot) : 0;
    uint32_t found = SHUNT_NONE;
    for (uint32_t i = 0; i < count; i++) {
        if (devices[i] == device && tiers[i] == SHUNT_TIER_RESIDENT) {
            if (found != SHUNT_NONE) {
                return SHUNT_NONE;
            }
            found = i;
        }
    }
    return found;
}

/*
 * Service that `instance` has given in its present visit, in nanoseconds: the time with requests in
 * flight there, up to now. 0 where the host does not tell.
 */
static inline int64_t shunt_served_ns(const struct shunt_snapshot *snapshot, uint32_t instance)
{
    const int64_t *busy = shunt_i64(snapshot, SHUNT_COL_INSTANCE_BUSY_NS);
    const int64_t *since = shunt_i64(snapshot, SHUNT_COL_INSTANCE_BUSY_SINCE_NS);
    if (!busy || !since) {
        return 0;
    }
    return busy[instance] +
           (since[instance] < snapshot->now_ns ? snapshot->now_ns - since[instance] : 0);
}

/* The columns behind shunt_waits, looked up once for a walk over all models. */
struct shunt_waiters {
    const uint32_t *waiting;
    const int64_t *quarantined;
    const uint64_t *placements;
    const uint32_t *target;
    int64_t now_ns;
    uint32_t device, device_count;
};

static inline struct shunt_waiters shunt_find_waiters(const struct shunt_snapshot *snapshot,
                                                      uint32_t device)
{
    struct shunt_waiters waiters;
    waiters.waiting = shunt_u32(snapshot, SHUNT_COL_WAITING);
    waiters.quarantined = shunt_i64(snapshot, SHUNT_COL_QUARANTINED_UNTIL_NS);
    waiters.placements = shunt_u64(snapshot, SHUNT_COL_PLACEMENTS);
    waiters.target = shunt_u32(snapshot, SHUNT_COL_DEVICE_TARGET);
    waiters.now_ns = snapshot->now_ns;
    waiters.device = device;
    waiters.device_count = shunt_device_count(snapshot);
    return waiters;
}

/*
 * 1 if `model` waits and a switch on the device could serve it: its queue is non-empty and no
 * device admits it, it has a placement here, is not quarantined, and no other device is bringing
 * it in.
 */
static inline int shunt_waits(const struct shunt_waiters *waiters, uint32_t model)
{
    if (!waiters->waiting || !waiters->waiting[model] ||
        (waiters->quarantined && waiters->quarantined[model] > waiters->now_ns) ||
        (waiters->placements && !(waiters->placements[model] >> (waiters->device & 63) & 1))) {
        return 0;
    }
    for (uint32_t d = 0; waiters->target && d < waiters->device_count; d++) {
        if (d != waiters->device && waiters->target[d] == model) {
            return 0;
        }
    }
    return 1;
}

/* The same for a single model. */
static inline int shunt_waits_for(const struct shunt_snapshot *snapshot, uint32_t model,
                                  uint32_t device)
{
    struct shunt_waiters waiters = shunt_find_waiters(snapshot, device);
    return shunt_waits(&waiters, model);
}

#endif
