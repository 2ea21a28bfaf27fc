/*
 * What the journal of a core's life holds: the payloads that the host's recorder and the simulator
 * write and `shunt journal` reads. The journal itself (base/journal.h) only frames them. In the
 * order of the machine; the journal says which build wrote them.
 *
 *   INPUT     u64 hash of the core's actions since the keyframe, before this input; the input, cut
 *             behind the member that its kind uses
 *   KEYFRAME  u64 hash before it; u64 1 if it follows from the inputs before it, 0 if the
 *             configuration was replaced in between; u64 bytes of the core; core_save; then for
 *             every filled slot that keeps state: u32 slot, u32 schema, u64 bytes, state
 *   CONFIG    behind each keyframe: the configuration in force, config_core_json
 */
#ifndef BASE_RECORD_H
#define BASE_RECORD_H

#include "base/drive.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------ inputs */

enum { RECORD_INPUT_HEAD = 8 }; /* bytes before the input: the hash */

struct record_input {
    uint64_t hash;
    struct core_input input; /* the rest zero */
};

/* Bytes of an input that count for its kind. */
size_t record_input_bytes(const struct core_input *input);
/* Reads the payload of an INPUT record. -EBADMSG. */
int record_input_decode(const void *payload, size_t len, struct record_input *ret_input);
/* Name of an input's kind, or NULL. */
const char *record_input_name(uint32_t kind);
/* Continues the hash over actions: NOTIFY and ASK, which depend on where policies run, left out. */
uint64_t record_hash(uint64_t hash, const struct core_action *action);

/* ------------------------------------------------------------------ keyframes */

/* The states of the policies in a drive's slots, as they are saved. */
struct record_states {
    uint32_t count;
    struct record_state {
        uint32_t slot;
        uint32_t schema;
        uint64_t bytes;
        void *state; /* malloc'ed */
    } item[DRIVE_SLOTS_MAX];
};

/* Asks each policy for its state; those that keep none, or fail to say it, are left out. */
void record_states_take(struct drive *drive, int64_t t_ns, struct record_states *ret_states);
void record_states_fini(struct record_states *states);

/* Bytes of a keyframe's payload, and the payload. */
size_t record_keyframe_bytes(const struct core *core, const struct record_states *states);
void record_keyframe_encode(const struct core *core, const struct record_states *states,
                            uint64_t hash, bool follows, void *out);

struct record_keyframe {
    uint64_t hash;
    bool follows;
    const void *core; /* in the payload */
    size_t core_bytes;
};

/* Reads the payload of a KEYFRAME record, slots left out. -EBADMSG. */
int record_keyframe_decode(const void *payload, size_t len, struct record_keyframe *ret_keyframe);

/*
 * Makes a core of a keyframe in memory of its own (*ret_memory, to be freed). -EBADMSG: another
 * build wrote it, or it is damaged; -ENOMEM.
 */
int record_core_load(const struct record_keyframe *keyframe, void **ret_memory,
                     struct core **ret_core);

#endif
