/*
 * Keyframes. The tables hold no pointers, so saving copies them as they stand; a keyframe belongs
 * to the build that wrote it, which the head's layout word checks.
 */
#include "core/priv.h"

#define SAVE_MAGIC   UINT64_C(0x6576617374756873) /* "shutsave" */
#define SAVE_VERSION 1u

struct save_head {
    uint64_t magic;
    uint32_t version;
    uint32_t layout; /* sizes of the tables' entries, mixed */
    uint64_t bytes;  /* of the whole */
    uint64_t checksum;
    struct core_limits limits;
    uint32_t pairs;
    uint32_t reserved;
};

/* A learned pair: which cell, then the cell. */
struct save_pair {
    uint32_t from; /* cost rows; models_max: the empty device */
    uint32_t to;
    struct core_cost_cell cell;
};

static uint32_t layout_word(void)
{
    uint64_t h = core_mix64(sizeof(struct core_state));
    h = core_mix64(h ^ sizeof(struct core_model));
    h = core_mix64(h ^ sizeof(struct core_instance));
    h = core_mix64(h ^ sizeof(struct core_device));
    h = core_mix64(h ^ sizeof(struct core_request));
    h = core_mix64(h ^ sizeof(struct core_slot));
    h = core_mix64(h ^ sizeof(struct core_model_costs));
    return (uint32_t)(h & UINT32_MAX);
}

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    while (size > 0) {
        uint64_t word = 0;
        size_t part = size < sizeof(word) ? size : sizeof(word);
        memcpy(&word, at, part);
        h = core_mix64(h ^ word) + size;
        at += part;
        size -= part;
    }
    return h;
}

/* ------------------------------------------------------------------ walking the tables */

/* Visits every saved run of bytes in order. COUNTERS are left out of hashes. */
typedef void visit_fn(void *ctx, void *bytes, size_t size, bool counters);

static void walk(struct core *core, visit_fn *visit, void *ctx)
{
    struct core_state *s = &core->s;
    visit(ctx, core->models, s->model_count * sizeof(core->models[0]), false);
    visit(ctx, core->model_counts, s->model_count * sizeof(core->model_counts[0]), true);
    visit(ctx, core->instances, s->instance_count * sizeof(core->instances[0]), false);
    visit(ctx, core->devices, s->device_count * sizeof(core->devices[0]), false);
    visit(ctx, core->device_counts, s->device_count * sizeof(core->device_counts[0]), true);
    visit(ctx, core->slots, core->limits.slots_max * sizeof(core->slots[0]), false);
    visit(ctx, core->requests, s->request_top * sizeof(core->requests[0]), false);
    visit(ctx, core->heap, s->heap_len * sizeof(core->heap[0]), false);
    for (uint32_t i = 0; i < s->model_count; i++) {
        visit(ctx, &core->costs[core->models[i].cost_row], sizeof(core->costs[0]), false);
    }
}

static uint32_t next_pair(const struct core *core, uint32_t at)
{
    uint32_t width = core->limits.models_max;
    for (; at < (width + 1) * width; at++) {
        uint32_t from = at / width;
        uint32_t to = at % width;
        if ((from == width || core_set_has(&core->s.rows, from)) &&
            core_set_has(&core->s.rows, to) && core->pairs[at].count > 0) {
            return at;
        }
    }
    return CORE_NONE;
}

static uint32_t count_pairs(const struct core *core)
{
    uint32_t count = 0;
    for (uint32_t at = next_pair(core, 0); at != CORE_NONE; at = next_pair(core, at + 1)) {
        count++;
    }
    return count;
}

static void add_size(void *ctx, void *bytes, size_t size, bool counters)
{
    (void)bytes;
    (void)counters;
    *(size_t *)ctx += size;
}

struct writer {
    unsigned char *at;
};

static void write_run(void *ctx, void *bytes, size_t size, bool counters)
{
    struct writer *writer = ctx;
    (void)counters;
    memcpy(writer->at, bytes, size);
    writer->at += size;
}

struct reader {
    const unsigned char *at;
    const unsigned char *end;
    bool short_of;
};

static void read_run(void *ctx, void *bytes, size_t size, bool counters)
{
    struct reader *reader = ctx;
    (void)counters;
    if ((size_t)(reader->end - reader->at) < size) {
        reader->short_of = true;
        return;
    }
    memcpy(bytes, reader->at, size);
    reader->at += size;
}

/* ------------------------------------------------------------------ save */

/* The walk hands out pointers for reading and writing alike; here they are only read. */
static struct core *readable(const struct core *core)
{
    union {
        const struct core *in;
        struct core *out;
    } cast = {.in = core};
    return cast.out;
}

size_t core_save_size(const struct core *core)
{
    size_t size = sizeof(struct save_head) + sizeof(struct core_state) +
                  count_pairs(core) * sizeof(struct save_pair);
    walk(readable(core), add_size, &size);
    return size;
}

size_t core_save(const struct core *core, void *bytes, size_t size)
{
    size_t need = core_save_size(core);
    assert(core->action_read == core->action_count);
    if (size < need) {
        return 0;
    }
    struct save_head head = {
        .magic = SAVE_MAGIC,
        .version = SAVE_VERSION,
        .layout = layout_word(),
        .bytes = need,
        .limits = core->limits,
        .pairs = count_pairs(core),
    };
    unsigned char *base = bytes;
    struct writer writer = {.at = base + sizeof(head)};
    memcpy(writer.at, &core->s, sizeof(core->s));
    writer.at += sizeof(core->s);
    walk(readable(core), write_run, &writer);
    for (uint32_t at = next_pair(core, 0); at != CORE_NONE; at = next_pair(core, at + 1)) {
        struct save_pair pair = {.from = at / core->limits.models_max,
                                 .to = at % core->limits.models_max,
                                 .cell = core->pairs[at]};
        memcpy(writer.at, &pair, sizeof(pair));
        writer.at += sizeof(pair);
    }
    assert((size_t)(writer.at - base) == need);
    head.checksum = hash_bytes(need, base + sizeof(head), need - sizeof(head));
    memcpy(base, &head, sizeof(head));
    return need;
}

/* ------------------------------------------------------------------ load */

static bool head_read(const void *bytes, size_t size, struct save_head *ret_head)
{
    if (!bytes || size < sizeof(*ret_head) + sizeof(struct core_state)) {
        return false;
    }
    memcpy(ret_head, bytes, sizeof(*ret_head));
    return ret_head->magic == SAVE_MAGIC && ret_head->version == SAVE_VERSION &&
           ret_head->layout == layout_word() && ret_head->bytes == size &&
           core_limits_valid(&ret_head->limits) &&
           ret_head->checksum == hash_bytes(size, (const unsigned char *)bytes + sizeof(*ret_head),
                                            size - sizeof(*ret_head));
}

size_t core_load_size(const void *bytes, size_t bytes_size)
{
    struct save_head head;
    return head_read(bytes, bytes_size, &head) ? core_size(&head.limits) : 0;
}

static bool pairs_read(struct core *core, struct reader *reader, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct save_pair pair;
        read_run(reader, &pair, sizeof(pair), false);
        if (reader->short_of || pair.from > core->limits.models_max ||
            pair.to >= core->limits.models_max) {
            return false;
        }
        core->pairs[(size_t)pair.from * core->limits.models_max + pair.to] = pair.cell;
    }
    return reader->at == reader->end;
}

struct core *core_load(void *memory, size_t size, const void *bytes, size_t bytes_size)
{
    struct save_head head;
    if (!head_read(bytes, bytes_size, &head)) {
        return NULL;
    }
    struct core *core = core_init(memory, size, &head.limits, 0);
    if (!core) {
        return NULL;
    }
    const unsigned char *base = bytes;
    struct reader reader = {.at = base + sizeof(head), .end = base + bytes_size};
    read_run(&reader, &core->s, sizeof(core->s), false);
    if (core->s.model_count > head.limits.models_max ||
        core->s.device_count > head.limits.devices_max ||
        core->s.instance_count > head.limits.instances_max ||
        core->s.request_top > core_request_capacity(core) ||
        core->s.heap_len > core->s.request_top) {
        return NULL;
    }
    uint32_t row = core_set_next(&core->s.rows, 0, head.limits.models_max);
    for (; row != CORE_NONE; row = core_set_next(&core->s.rows, row + 1, head.limits.models_max)) {
        core_row_clear(core, row);
    }
    walk(core, read_run, &reader);
    if (reader.short_of || !pairs_read(core, &reader, head.pairs)) {
        return NULL;
    }
    core->why_devices = (1u << core->s.device_count) - 1;
    core->promise_devices = core->why_devices;
    core->models_stale = true;
    (void)core_models_wake_ns(core);
    core_slots_derive(core);
    core_snapshot_layout(core);
    return core;
}

/* ------------------------------------------------------------------ hash */

static void hash_run(void *ctx, void *bytes, size_t size, bool counters)
{
    uint64_t *h = ctx;
    if (!counters) {
        *h = hash_bytes(*h, bytes, size);
    }
}

uint64_t core_hash(const struct core *core)
{
    uint64_t h = hash_bytes(SAVE_VERSION, &core->s, sizeof(core->s));
    walk(readable(core), hash_run, &h);
    for (uint32_t at = next_pair(core, 0); at != CORE_NONE; at = next_pair(core, at + 1)) {
        h = hash_bytes(h ^ at, &core->pairs[at], sizeof(core->pairs[at]));
    }
    return h;
}
