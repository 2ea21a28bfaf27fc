/*
 * Lays out and fills column blobs (shunt/snapshot.h): the snapshot and the cost matrix. The layout
 * is computed once per configuration; afterwards columns are plain arrays that the core writes in
 * place, so that an ask costs nothing but the time stamp.
 */
#ifndef CORE_BLOB_H
#define CORE_BLOB_H

#include "core/core.h"

/* Pointers to the columns of a laid-out snapshot, by name: blob.u32_QUEUE_LEN and so on are reached
 * through core_blob_column with the SHUNT_COL_ id. */
struct core_blob {
    struct shunt_snapshot *head; /* start of the bytes */
    void *column[256];           /* first element by column id; NULL if absent */
};

/* Bytes of a snapshot (costs = false) or cost blob (costs = true) with these extents. */
size_t core_blob_size(bool costs, uint32_t models, uint32_t devices, uint32_t instances);

/* Writes head and directory into `memory` (aligned to 8, core_blob_size bytes) and zeroes the
 * columns; fills ret_blob. */
void core_blob_init(struct core_blob *ret_blob, void *memory, bool costs, uint32_t models,
                    uint32_t devices, uint32_t instances);

/* Typed access; the id must be a column of that type of this blob. */
static inline uint32_t *core_blob_u32(const struct core_blob *blob, uint32_t id)
{
    return (uint32_t *)blob->column[id];
}
static inline int64_t *core_blob_i64(const struct core_blob *blob, uint32_t id)
{
    return (int64_t *)blob->column[id];
}
static inline uint64_t *core_blob_u64(const struct core_blob *blob, uint32_t id)
{
    return (uint64_t *)blob->column[id];
}
static inline double *core_blob_f64(const struct core_blob *blob, uint32_t id)
{
    return (double *)blob->column[id];
}

#endif
