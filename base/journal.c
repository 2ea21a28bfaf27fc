/*
 * The journal's format: encoding, decoding and the scan of one segment in memory, with resumption
 * behind damage. No I/O: journal_file.c has the writer and the reader of files.
 */
#include "base/journal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const char magic[8] = {'S', 'H', 'U', 'N', 'T', 'J', 'N', 'L'};

/* Hashing allowed while searching for the next record behind damage: a bound on hostile files. */
static const uint64_t search_bytes_max = 256U << 20;

/* Offsets of the fields of a segment's header. */
enum {
    AT_VERSION = 8,
    AT_HEADER_BYTES = 12,
    AT_SEGMENT = 16,
    AT_WALL = 24,
    AT_MONO = 32,
    AT_BUILD = 40,
    AT_CONFIG = AT_BUILD + JOURNAL_BUILD_MAX,
    AT_RESERVED = AT_CONFIG + JOURNAL_CONFIG_BYTES,
    AT_CHECKSUM = JOURNAL_HEADER_BYTES - 8,
};
_Static_assert(AT_RESERVED <= AT_CHECKSUM, "the header's fields fit");

/* Offsets of the fields of a record. */
enum { AT_LEN = 0, AT_TYPE = 4, AT_FLAGS = 6, AT_TIME = 8, AT_PAYLOAD = 16 };

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

/* Segments count from 1 and stay below 2^24 x 2^40 bytes: no two places share a seed. */
static uint64_t place_seed(uint64_t segment, uint64_t offset)
{
    return segment << 40 ^ offset;
}

const char *journal_type_name(uint16_t type)
{
    switch (type) {
#define JOURNAL_TYPE(number, upper, lower, doc)                                                    \
    case number:                                                                                   \
        return #lower;
#include "base/journal.def"
#undef JOURNAL_TYPE
    default:
        return NULL;
    }
}

const char *journal_type_doc(uint16_t type)
{
    switch (type) {
#define JOURNAL_TYPE(number, upper, lower, doc)                                                    \
    case number:                                                                                   \
        return doc;
#include "base/journal.def"
#undef JOURNAL_TYPE
    default:
        return NULL;
    }
}

static size_t padded(uint32_t len)
{
    return ((size_t)len + 7) & ~(size_t)7;
}

size_t journal_record_bytes(uint32_t len)
{
    return JOURNAL_FRAME_BYTES + padded(len);
}

void journal_record_encode(const struct journal_record *record, uint64_t segment, uint64_t offset,
                           void *out)
{
    uint8_t *to = out;
    assert(record->len <= JOURNAL_PAYLOAD_MAX && offset % 8 == 0);
    size_t body = AT_PAYLOAD + padded(record->len);
    put(to + AT_LEN, record->len, 4);
    put(to + AT_TYPE, record->type, 2);
    put(to + AT_FLAGS, record->flags, 2);
    put(to + AT_TIME, (uint64_t)record->t_ns, 8);
    if (record->len > 0) {
        memcpy(to + AT_PAYLOAD, record->payload, record->len);
    }
    memset(to + AT_PAYLOAD + record->len, 0, padded(record->len) - record->len);
    put(to + body, XXH3_64bits_withSeed(to, body, place_seed(segment, offset)), 8);
}

int journal_record_decode(const void *data, size_t size, uint64_t segment, uint64_t offset,
                          struct journal_record *ret_record, uint64_t *ret_next)
{
    assert(offset <= size);
    const uint8_t *at = (const uint8_t *)data + offset;
    size_t left = size - (size_t)offset;
    if (left == 0) {
        return 0;
    }
    if (left < JOURNAL_FRAME_BYTES) {
        return -ENODATA;
    }
    uint32_t len = (uint32_t)get(at + AT_LEN, 4);
    if (len > JOURNAL_PAYLOAD_MAX) {
        return -EBADMSG;
    }
    if (journal_record_bytes(len) > left) {
        return -ENODATA;
    }
    size_t body = AT_PAYLOAD + padded(len);
    if (XXH3_64bits_withSeed(at, body, place_seed(segment, offset)) != get(at + body, 8)) {
        return -EBADMSG;
    }
    *ret_record = (struct journal_record){.type = (uint16_t)get(at + AT_TYPE, 2),
                                          .flags = (uint16_t)get(at + AT_FLAGS, 2),
                                          .t_ns = (int64_t)get(at + AT_TIME, 8),
                                          .payload = at + AT_PAYLOAD,
                                          .len = len};
    *ret_next = offset + journal_record_bytes(len);
    return 1;
}

void journal_header_encode(const struct journal_header *header, uint8_t out[JOURNAL_HEADER_BYTES])
{
    memset(out, 0, JOURNAL_HEADER_BYTES);
    memcpy(out, magic, sizeof magic);
    put(out + AT_VERSION, JOURNAL_VERSION, 4);
    put(out + AT_HEADER_BYTES, JOURNAL_HEADER_BYTES, 4);
    put(out + AT_SEGMENT, header->segment, 8);
    put(out + AT_WALL, (uint64_t)header->wall_ns, 8);
    put(out + AT_MONO, (uint64_t)header->mono_ns, 8);
    memcpy(out + AT_BUILD, header->build, strnlen(header->build, JOURNAL_BUILD_MAX - 1));
    memcpy(out + AT_CONFIG, header->config, JOURNAL_CONFIG_BYTES);
    put(out + AT_CHECKSUM, XXH3_64bits(out, AT_CHECKSUM), 8);
}

int journal_header_decode(const void *data, size_t size, struct journal_header *ret_header)
{
    const uint8_t *at = data;
    if (size < JOURNAL_HEADER_BYTES) {
        return -ENODATA;
    }
    if (memcmp(at, magic, sizeof magic) != 0) {
        return -EBADMSG;
    }
    if (get(at + AT_VERSION, 4) != JOURNAL_VERSION) {
        return -EPROTONOSUPPORT;
    }
    if (get(at + AT_CHECKSUM, 8) != XXH3_64bits(at, AT_CHECKSUM) ||
        get(at + AT_HEADER_BYTES, 4) != JOURNAL_HEADER_BYTES) {
        return -EBADMSG;
    }
    *ret_header = (struct journal_header){.version = JOURNAL_VERSION,
                                          .segment = get(at + AT_SEGMENT, 8),
                                          .wall_ns = (int64_t)get(at + AT_WALL, 8),
                                          .mono_ns = (int64_t)get(at + AT_MONO, 8)};
    memcpy(ret_header->build, at + AT_BUILD, JOURNAL_BUILD_MAX);
    ret_header->build[JOURNAL_BUILD_MAX - 1] = '\0';
    memcpy(ret_header->config, at + AT_CONFIG, JOURNAL_CONFIG_BYTES);
    return 0;
}

/* --- Scan --- */

bool journal_item_is_gap(enum journal_item_kind kind)
{
    return kind != JOURNAL_ITEM_SEGMENT && kind != JOURNAL_ITEM_RECORD;
}

void journal_scan_init(struct journal_scan *scan, const void *data, size_t size, uint64_t segment)
{
    assert((uintptr_t)data % 8 == 0);
    *scan = (struct journal_scan){.data = data, .size = size, .segment = segment};
}

static int gap(struct journal_scan *scan, struct journal_item *item, enum journal_item_kind kind,
               uint64_t count, const char *words)
{
    item->kind = kind;
    item->segment = scan->segment;
    item->offset = scan->offset;
    item->count = count;
    (void)snprintf(item->text, sizeof item->text,
                   "segment %" PRIu64 ", offset %" PRIu64 ": %" PRIu64 " %s", item->segment,
                   item->offset, count, words);
    return 1;
}

static int scan_header(struct journal_scan *scan, struct journal_item *item)
{
    struct journal_header header;
    int rc = journal_header_decode(scan->data, scan->size, &header);
    scan->begun = true;
    if (rc == 0 && scan->segment != 0 && header.segment != scan->segment) {
        rc = -EBADMSG;
    }
    if (rc) {
        scan->ended = true;
        if (rc == -ENODATA) {
            return gap(scan, item, JOURNAL_ITEM_CUT, scan->size,
                       "bytes: the segment is cut off inside its header");
        }
        return gap(scan, item, JOURNAL_ITEM_REFUSED, scan->size,
                   rc == -EPROTONOSUPPORT ? "bytes: a segment of another version"
                                          : "bytes: not this segment of a journal, or damaged");
    }
    scan->segment = header.segment;
    scan->offset = JOURNAL_HEADER_BYTES;
    item->kind = JOURNAL_ITEM_SEGMENT;
    item->segment = header.segment;
    item->offset = 0;
    item->header = header;
    return 1;
}

static int scan_record(struct journal_scan *scan, struct journal_item *item, uint64_t next)
{
    const struct journal_record *record = &item->record;
    item->kind = JOURNAL_ITEM_RECORD;
    item->segment = scan->segment;
    item->offset = scan->offset;
    if (record->type == JOURNAL_GAP && record->len >= 8) {
        scan->dropped = get(record->payload, 8);
    }
    scan->closed = record->type == JOURNAL_CLOSE;
    scan->offset = next;
    return 1;
}

/* The next offset behind damage at which a valid record stands, or the end. */
static uint64_t scan_search(struct journal_scan *scan)
{
    struct journal_record record;
    uint64_t next;
    for (uint64_t at = scan->offset + 8; at + JOURNAL_FRAME_BYTES <= scan->size; at += 8) {
        uint32_t len = (uint32_t)get(scan->data + at + AT_LEN, 4);
        if (len > JOURNAL_PAYLOAD_MAX || journal_record_bytes(len) > scan->size - at) {
            continue;
        }
        scan->search_bytes += journal_record_bytes(len);
        if (scan->search_bytes > search_bytes_max) {
            break;
        }
        if (journal_record_decode(scan->data, scan->size, scan->segment, at, &record, &next) == 1) {
            return at;
        }
    }
    return scan->size;
}

int journal_scan_next(struct journal_scan *scan, struct journal_item *item)
{
    memset(item, 0, sizeof *item);
    if (scan->ended) {
        return 0;
    }
    if (!scan->begun) {
        return scan_header(scan, item);
    }
    if (scan->dropped > 0) {
        uint64_t count = scan->dropped;
        scan->dropped = 0;
        return gap(scan, item, JOURNAL_ITEM_DROPPED, count, "records were dropped before here");
    }
    uint64_t next;
    int rc = journal_record_decode(scan->data, scan->size, scan->segment, scan->offset,
                                   &item->record, &next);
    if (rc == 1) {
        return scan_record(scan, item, next);
    }
    if (rc == 0) {
        scan->ended = true;
        return scan->closed ? 0
                            : gap(scan, item, JOURNAL_ITEM_UNCLOSED, 0,
                                  "bytes behind: ends without a close record, its writer died");
    }
    /* Cut off or damaged: a later valid record decides. */
    next = scan_search(scan);
    if (next == scan->size) {
        scan->ended = true;
        if (rc == -ENODATA) {
            return gap(scan, item, JOURNAL_ITEM_CUT, scan->size - scan->offset,
                       "bytes: the last record is cut off");
        }
    }
    scan->closed = false;
    (void)gap(scan, item, JOURNAL_ITEM_DAMAGED, next - scan->offset,
              "bytes are damaged (bad checksum)");
    scan->offset = next;
    return 1;
}
