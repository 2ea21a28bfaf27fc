/* Layout of column blobs; see blob.h. The columns come from shunt/columns.def, ids from 192 on
 * belong to the cost blob. */
#include "core/blob.h"

#include <assert.h>
#include <string.h>

#define FIRST_COST_ID 192u

struct column_kind {
    uint32_t id, type, axis0, axis1;
};

static const struct column_kind column_kinds[] = {
#define SHUNT_COLUMN(id, name, type, axis0, axis1, doc)                                            \
    {(id), SHUNT_TYPE_##type, SHUNT_AXIS_##axis0, SHUNT_AXIS_##axis1},
#include <shunt/columns.def>
};

#define KIND_COUNT (sizeof column_kinds / sizeof column_kinds[0])

static bool in_blob(const struct column_kind *kind, bool costs)
{
    return (kind->id >= FIRST_COST_ID) == costs;
}

static void fill_extents(uint32_t extent[12], uint32_t models, uint32_t devices, uint32_t instances)
{
    memset(extent, 0, 12 * sizeof extent[0]);
    extent[SHUNT_AXIS_NONE] = 1;
    extent[SHUNT_AXIS_MODEL] = models;
    extent[SHUNT_AXIS_DEVICE] = devices;
    extent[SHUNT_AXIS_INSTANCE] = instances;
    extent[SHUNT_AXIS_TIER] = SHUNT_TIER_COUNT;
    extent[SHUNT_AXIS_FROM] = models + 1;
}

static size_t element_bytes(uint32_t type)
{
    return type == SHUNT_TYPE_U32 ? 4 : 8;
}

/* Bytes of one column, rounded up so that the next starts on a multiple of 8. */
static size_t column_bytes(const struct column_kind *kind, const uint32_t extent[12])
{
    size_t count = (size_t)extent[kind->axis0] * extent[kind->axis1];
    return (count * element_bytes(kind->type) + 7) & ~(size_t)7;
}

static uint32_t column_count(bool costs)
{
    uint32_t count = 0;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        count += in_blob(&column_kinds[i], costs) ? 1 : 0;
    }
    return count;
}

size_t core_blob_size(bool costs, uint32_t models, uint32_t devices, uint32_t instances)
{
    uint32_t extent[12];
    fill_extents(extent, models, devices, instances);
    size_t bytes =
        sizeof(struct shunt_snapshot) + column_count(costs) * sizeof(struct shunt_column);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (in_blob(&column_kinds[i], costs)) {
            bytes += column_bytes(&column_kinds[i], extent);
        }
    }
    return bytes;
}

void core_blob_init(struct core_blob *ret_blob, void *memory, bool costs, uint32_t models,
                    uint32_t devices, uint32_t instances)
{
    size_t bytes = core_blob_size(costs, models, devices, instances);
    assert(bytes <= UINT32_MAX);
    memset(memory, 0, bytes);
    memset(ret_blob, 0, sizeof *ret_blob);

    struct shunt_snapshot *head = memory;
    head->magic = SHUNT_SNAPSHOT_MAGIC;
    head->size = sizeof *head;
    head->abi_minor = SHUNT_ABI_MINOR;
    head->bytes = (uint32_t)bytes;
    head->column_count = column_count(costs);
    head->column_offset = sizeof *head;
    head->column_stride = sizeof(struct shunt_column);
    fill_extents(head->extent, models, devices, instances);
    ret_blob->head = head;

    char *base = memory;
    struct shunt_column *entry = (struct shunt_column *)(void *)(base + head->column_offset);
    size_t offset = sizeof *head + head->column_count * sizeof *entry;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct column_kind *kind = &column_kinds[i];
        if (!in_blob(kind, costs)) {
            continue;
        }
        *entry++ = (struct shunt_column){
            .id = kind->id,
            .type = kind->type,
            .axis0 = kind->axis0,
            .axis1 = kind->axis1,
            .offset = (uint32_t)offset,
            .count = head->extent[kind->axis0] * head->extent[kind->axis1],
            .stride = head->extent[kind->axis1],
        };
        assert(kind->id < sizeof ret_blob->column / sizeof ret_blob->column[0]);
        ret_blob->column[kind->id] = base + offset;
        offset += column_bytes(kind, head->extent);
    }
    assert(offset == bytes);
}
