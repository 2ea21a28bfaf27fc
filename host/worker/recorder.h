/*
 * Writes the journal of one cell: every input of the core in the order applied, and keyframes. The
 * loop fills a buffer, a thread of its own writes it out; when the buffer is full, records are
 * dropped and counted, and a gap and a new keyframe follow as soon as there is room. Serving never
 * waits for the disk.
 * Payloads are those of base/record.h.
 */
#ifndef HOST_WORKER_RECORDER_H
#define HOST_WORKER_RECORDER_H

#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recorder;

struct recorder_options {
    const char *directory; /* made if it does not exist */
    uint64_t segment_bytes;
    uint64_t keep_bytes;
    size_t buffer_bytes;
};

struct recorder_stats {
    uint64_t records;
    uint64_t dropped;
    uint64_t bytes;
};

/* Errors of making the folder and the first segment, with one line in `err`. */
int recorder_create(const struct recorder_options *options, struct recorder **ret_recorder,
                    char *err, size_t err_size);
/* Writes out what is buffered, closes the segment, ends the thread. NULL is allowed. */
void recorder_destroy(struct recorder *recorder);

/* Whether a keyframe is due: at the start, when a segment is full, after a gap. */
bool recorder_wants_keyframe(const struct recorder *recorder);
/* The core was changed otherwise than by an input: a keyframe is due. */
void recorder_interrupt(struct recorder *recorder);
/* Begins a keyframe: room for `bytes` (record_keyframe_bytes), or NULL (dropped; it stays due).
 * Encode it there with recorder_hash_now and *ret_follows, then recorder_keyframe_end. */
void *recorder_keyframe_begin(struct recorder *recorder, size_t bytes, int64_t t_ns,
                              bool *ret_follows);
void recorder_keyframe_end(struct recorder *recorder);

/* Records an input before it is applied. */
void recorder_input(struct recorder *recorder, const struct core_input *input);
/* Takes an action into the hash. */
void recorder_action(struct recorder *recorder, const struct core_action *action);
uint64_t recorder_hash_now(const struct recorder *recorder);

/* A line for people, and a policy's life; types NOTE and POLICY. */
void recorder_text(struct recorder *recorder, uint16_t type, const char *text, int64_t t_ns);

void recorder_stats(const struct recorder *recorder, struct recorder_stats *ret);

#endif
