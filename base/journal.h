/*
 * The journal: an append-only log in segments of framed, checksummed records. This file is the
 * format, a plain writer and a reader; what the payloads mean is their writers' affair.
 *
 * A segment is a header of JOURNAL_HEADER_BYTES and records; a record is
 *     u32 payload bytes, u16 type, u16 flags, u64 time (monotonic ns), payload, zeros up to a
 *     multiple of 8, u64 checksum (XXH3 of all that, seeded with segment number and offset)
 * all little-endian. The seed makes a record valid only where it was written, so that neither a
 * record copied elsewhere nor one inside a payload is ever taken for one.
 *
 * The writer never waits for anything but write(2) and, if asked for, fdatasync(2); whoever must
 * not wait puts a ring in front of it, drops when the ring is full and says so with
 * journal_writer_gap(). Nothing here starts threads or reads clocks.
 */
#ifndef SHUNT_BASE_JOURNAL_H
#define SHUNT_BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_VERSION = 1,
    JOURNAL_HEADER_BYTES = 128,
    JOURNAL_FRAME_BYTES = 24, /* of a record beside its padded payload */
    JOURNAL_PAYLOAD_MAX = 64 << 20,
    JOURNAL_BUILD_MAX = 32,
    JOURNAL_CONFIG_BYTES = 32,
    JOURNAL_PATH_MAX = 1024,
};

enum journal_type {
#define JOURNAL_TYPE(number, upper, lower, doc) JOURNAL_##upper = number,
#include "base/journal.def"
#undef JOURNAL_TYPE
};

/* "keyframe" ..., or NULL for a number that this build does not know. */
const char *journal_type_name(uint16_t type);
/* What a payload of this type is, or NULL. */
const char *journal_type_doc(uint16_t type);

struct journal_record {
    uint16_t type;  /* enum journal_type, or a later build's */
    uint16_t flags; /* the payload's writer's */
    int64_t t_ns;
    const void *payload; /* aligned to 8 */
    uint32_t len;
};

struct journal_header {
    uint32_t version;
    uint64_t segment;                     /* from 1, without holes */
    int64_t wall_ns;                      /* since 1970, and the monotonic time of the same */
    int64_t mono_ns;                      /* instant: the anchor between both clocks */
    char build[JOURNAL_BUILD_MAX];        /* terminated text */
    uint8_t config[JOURNAL_CONFIG_BYTES]; /* hash of the configuration in force */
};

/* --- Codec --- */

/* Bytes that a record with LEN bytes of payload takes. */
size_t journal_record_bytes(uint32_t len);
/* Writes a record as it stands at OFFSET of SEGMENT to OUT, journal_record_bytes(len) bytes. */
void journal_record_encode(const struct journal_record *record, uint64_t segment, uint64_t offset,
                           void *out);
/*
 * Reads the record at OFFSET of the segment in DATA (SIZE bytes, aligned to 8). 1 with *ret_record,
 * whose payload points into DATA, and *ret_next, the offset behind it; 0 if OFFSET is SIZE;
 * -ENODATA the record is cut off by the end; -EBADMSG it is not a valid record.
 */
int journal_record_decode(const void *data, size_t size, uint64_t segment, uint64_t offset,
                          struct journal_record *ret_record, uint64_t *ret_next);
void journal_header_encode(const struct journal_header *header, uint8_t out[JOURNAL_HEADER_BYTES]);
/* -ENODATA too short, -EBADMSG not a journal or damaged, -EPROTONOSUPPORT another version. */
int journal_header_decode(const void *data, size_t size, struct journal_header *ret_header);

/* --- Writer --- */

struct journal_writer;

struct journal_options {
    const char *directory;      /* must exist */
    uint64_t segment_bytes_max; /* a segment ends when the next record would pass it */
    int64_t segment_age_max_ns; /* or when its first record is older; 0: no limit */
    size_t buffer_bytes;        /* gathered before a write(2); at least 64 */
    int64_t sync_interval_ns;   /* fdatasync at journal_writer_flush() if the last is as old;
                                   0: at each flush; negative: never */
    char build[JOURNAL_BUILD_MAX];
    uint8_t config[JOURNAL_CONFIG_BYTES];
    /*
     * Called when a new segment has begun, before any other record goes into it: the place to
     * append keyframes with journal_writer_append(), which then never begins a segment itself.
     * Optional. Its failure is the failure of the append that began the segment.
     */
    int (*begin_segment)(struct journal_writer *writer, void *ctx);
    void *ctx;
};

struct journal_writer_stats {
    uint64_t segments, records, bytes, gaps, dropped, syncs;
    uint64_t failures; /* appends and flushes that failed */
};

/* Both clocks at one instant; the writer has none of its own. */
struct journal_now {
    int64_t wall_ns, mono_ns;
};

/*
 * Begins a new segment behind those in the directory; never appends to an old one. Errors: those
 * of open(2) and write(2), -ENOMEM, -EINVAL for limits that are too small.
 */
int journal_writer_create(struct journal_writer **ret_writer, const struct journal_options *options,
                          struct journal_now now);
/*
 * Appends one record, to the buffer first. A record is in the journal whole or not at all: if
 * write(2) fails the file is cut back to the last whole record and the error returned (-ENOSPC,
 * -EIO ...); what the buffer held is then counted as dropped and a gap is written as soon as
 * writing works again. -EMSGSIZE: payload too large.
 */
int journal_writer_append(struct journal_writer *writer, const struct journal_record *record,
                          struct journal_now now);
/* Says that COUNT records were dropped in front of the writer since the last call. */
int journal_writer_gap(struct journal_writer *writer, uint64_t count, struct journal_now now);
/* Writes the buffer out, and syncs if it is time. */
int journal_writer_flush(struct journal_writer *writer, struct journal_now now);
/* For new segments from now on. */
void journal_writer_set_config(struct journal_writer *writer,
                               const uint8_t config[JOURNAL_CONFIG_BYTES]);
/* Flush, close record, sync. Returns the first error, but always frees. Accepts NULL. */
int journal_writer_close(struct journal_writer *writer, struct journal_now now);
/* Closes without flushing or a close record, as a crash would: for error paths and tests. */
void journal_writer_abandon(struct journal_writer *writer);
const struct journal_writer_stats *journal_writer_stats(const struct journal_writer *writer);

/* --- Reader --- */

struct journal_reader;

enum journal_item_kind {
    JOURNAL_ITEM_SEGMENT,  /* a segment begins: header is set */
    JOURNAL_ITEM_RECORD,   /* record is set, CLOSE and GAP records included */
    JOURNAL_ITEM_MISSING,  /* segments are missing before this one */
    JOURNAL_ITEM_CUT,      /* the segment's tail is cut off: a crash, or it is being written */
    JOURNAL_ITEM_DAMAGED,  /* bytes that are no record; reading goes on at the next valid one */
    JOURNAL_ITEM_UNCLOSED, /* the segment ends without a close record: its writer died */
    JOURNAL_ITEM_DROPPED,  /* the writer dropped records here: follows a GAP record */
    JOURNAL_ITEM_REFUSED,  /* not a segment of this version; skipped */
};

struct journal_item {
    enum journal_item_kind kind;
    uint64_t segment, offset; /* where */
    uint64_t count;           /* MISSING: segments; CUT, DAMAGED: bytes; DROPPED: records */
    struct journal_header header;
    struct journal_record record; /* payload is valid until the next call */
    char text[160];               /* not SEGMENT, RECORD: one line for people, with the place */
};

/* True for what breaks a replay: everything but SEGMENT and RECORD. */
bool journal_item_is_gap(enum journal_item_kind kind);

/* Opens a folder of segments, or one segment's file. Errors: of opendir(3), open(2), -ENOMEM. */
int journal_reader_open(struct journal_reader **ret_reader, const char *path);
/* 1 and the next item, 0 at the end, or a negative errno (-EIO, -ENOMEM ...). */
int journal_reader_next(struct journal_reader *reader, struct journal_item *ret_item);
/* Accepts NULL. */
void journal_reader_close(struct journal_reader *reader);

/* The items of one segment in memory: what the reader and the fuzzer run. */
struct journal_scan {
    const uint8_t *data;
    size_t size;
    uint64_t segment; /* expected number; 0: take the header's */
    uint64_t offset;
    bool begun, closed, ended;
    uint64_t dropped;      /* to be reported after a GAP record */
    uint64_t search_bytes; /* spent on searching behind damage */
};
/* DATA must be aligned to 8 and outlive the scan. */
void journal_scan_init(struct journal_scan *scan, const void *data, size_t size, uint64_t segment);
/* 1 and the next item, 0 at the end. */
int journal_scan_next(struct journal_scan *scan, struct journal_item *ret_item);

#endif
