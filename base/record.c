/* Payloads of the journal of a core's life: see record.h. */
#include "base/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ------------------------------------------------------------------ inputs */

size_t record_input_bytes(const struct core_input *input)
{
    size_t head = offsetof(struct core_input, u);
    switch ((enum core_input_kind)input->kind) {
    case CORE_IN_ADVANCE:
        return head;
    case CORE_IN_REQUEST:
        return head + sizeof(input->u.request);
    case CORE_IN_CANCEL:
        return head + sizeof(input->u.cancel);
    case CORE_IN_FIRST_TOKEN:
        return head + sizeof(input->u.first_token);
    case CORE_IN_COMPLETE:
        return head + sizeof(input->u.complete);
    case CORE_IN_STEP:
        return head + sizeof(input->u.step);
    case CORE_IN_ENGINE:
        return head + sizeof(input->u.engine);
    case CORE_IN_ENGINE_LOST:
        return head + sizeof(input->u.engine_lost);
    case CORE_IN_DEVICE:
        return head + sizeof(input->u.device);
    case CORE_IN_DECISION:
        return head + sizeof(input->u.decision);
    case CORE_IN_TIMER:
        return head + sizeof(input->u.timer);
    case CORE_IN_SLOT:
        return head + sizeof(input->u.slot);
    case CORE_IN_OPERATOR:
        return head + sizeof(input->u.op);
    case CORE_IN_KIND_COUNT:
        break;
    }
    return sizeof(*input);
}

int record_input_decode(const void *payload, size_t len, struct record_input *ret)
{
    if (len < RECORD_INPUT_HEAD + offsetof(struct core_input, u) ||
        len > RECORD_INPUT_HEAD + sizeof(ret->input)) {
        return -EBADMSG;
    }
    memset(ret, 0, sizeof(*ret));
    memcpy(&ret->hash, payload, 8);
    memcpy(&ret->input, (const char *)payload + RECORD_INPUT_HEAD, len - RECORD_INPUT_HEAD);
    return ret->input.kind < CORE_IN_KIND_COUNT &&
                   record_input_bytes(&ret->input) == len - RECORD_INPUT_HEAD
               ? 0
               : -EBADMSG;
}

const char *record_input_name(uint32_t kind)
{
    static const char *const names[CORE_IN_KIND_COUNT] = {
        [CORE_IN_ADVANCE] = "advance",   [CORE_IN_REQUEST] = "request",
        [CORE_IN_CANCEL] = "cancel",     [CORE_IN_FIRST_TOKEN] = "first_token",
        [CORE_IN_COMPLETE] = "complete", [CORE_IN_STEP] = "step",
        [CORE_IN_ENGINE] = "engine",     [CORE_IN_ENGINE_LOST] = "engine_lost",
        [CORE_IN_DEVICE] = "device",     [CORE_IN_DECISION] = "decision",
        [CORE_IN_TIMER] = "timer",       [CORE_IN_SLOT] = "slot",
        [CORE_IN_OPERATOR] = "operator"};
    return kind < CORE_IN_KIND_COUNT ? names[kind] : NULL;
}

uint64_t record_hash(uint64_t hash, const struct core_action *action)
{
    bool counts = action->kind != CORE_ACT_ASK && action->kind != CORE_ACT_NOTIFY;
    return counts ? XXH3_64bits_withSeed(action, core_action_size(action), hash) : hash;
}

/* ------------------------------------------------------------------ keyframes */

/* Before core_save, and before each slot's state. */
struct keyframe_head {
    uint64_t hash;
    uint64_t follows;
    uint64_t core_bytes;
};

struct slot_head {
    uint32_t slot;
    uint32_t schema;
    uint64_t bytes;
};

void record_states_take(struct drive *drive, int64_t t_ns, struct record_states *ret)
{
    *ret = (struct record_states){0};
    for (uint32_t s = 0; s < DRIVE_SLOTS_MAX; s++) {
        struct policy *policy = drive_policy(drive, s);
        struct record_state *state = &ret->item[ret->count];
        size_t size = 0;
        if (policy && policy_state_save(policy, t_ns, &state->state, &size) == 0) {
            state->slot = s;
            state->schema = policy_plugin(policy)->entry.state_schema;
            state->bytes = size;
            ret->count++;
        } else {
            state->state = NULL;
        }
    }
}

void record_states_fini(struct record_states *states)
{
    for (uint32_t i = 0; i < states->count; i++) {
        free(states->item[i].state);
    }
    states->count = 0;
}

size_t record_keyframe_bytes(const struct core *core, const struct record_states *states)
{
    size_t bytes = sizeof(struct keyframe_head) + core_save_size(core);
    for (uint32_t i = 0; i < states->count; i++) {
        bytes += sizeof(struct slot_head) + states->item[i].bytes;
    }
    return bytes;
}

void record_keyframe_encode(const struct core *core, const struct record_states *states,
                            uint64_t hash, bool follows, void *out)
{
    size_t core_bytes = core_save_size(core);
    const struct keyframe_head head = {.hash = hash, .follows = follows, .core_bytes = core_bytes};
    char *at = out;
    memcpy(at, &head, sizeof(head));
    at += sizeof(head);
    size_t saved = core_save(core, at, core_bytes);
    assert(saved == core_bytes);
    at += saved;
    for (uint32_t i = 0; i < states->count; i++) {
        const struct record_state *state = &states->item[i];
        const struct slot_head slot = {
            .slot = state->slot, .schema = state->schema, .bytes = state->bytes};
        memcpy(at, &slot, sizeof(slot));
        if (state->bytes) {
            memcpy(at + sizeof(slot), state->state, state->bytes);
        }
        at += sizeof(slot) + state->bytes;
    }
}

int record_keyframe_decode(const void *payload, size_t len, struct record_keyframe *ret)
{
    struct keyframe_head head;
    if (len < sizeof(head)) {
        return -EBADMSG;
    }
    memcpy(&head, payload, sizeof(head));
    if (head.core_bytes > len - sizeof(head) || head.follows > 1) {
        return -EBADMSG;
    }
    *ret = (struct record_keyframe){.hash = head.hash,
                                    .follows = head.follows != 0,
                                    .core = (const char *)payload + sizeof(head),
                                    .core_bytes = (size_t)head.core_bytes};
    return 0;
}

int record_core_load(const struct record_keyframe *keyframe, void **ret_memory,
                     struct core **ret_core)
{
    size_t need = core_load_size(keyframe->core, keyframe->core_bytes);
    need = (need + 63) & ~(size_t)63;
    if (need == 0) {
        return -EBADMSG;
    }
    void *memory = aligned_alloc(64, need);
    if (!memory) {
        return -ENOMEM;
    }
    struct core *core = core_load(memory, need, keyframe->core, keyframe->core_bytes);
    if (!core) {
        free(memory);
        return -EBADMSG;
    }
    *ret_memory = memory;
    *ret_core = core;
    return 0;
}
