/*
 * `shunt journal`: reads what the recorder of a host wrote. `verify` replays each stretch between
 * two keyframes through the core and compares: the hash of the core's actions at every input, and
 * the bytes of the next keyframe. No policy is needed, as decisions are inputs. `cat` prints
 * records for people.
 */
#include "tools/verbs.h"

#include "base/journal.h"
#include "base/record.h"
#include "core/core.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verifier {
    struct core *core; /* NULL: no keyframe yet, or after a gap */
    void *memory;
    uint64_t hash;
    uint64_t inputs, stretches, compared, keyframes, gaps, skipped;
    uint64_t differences;
    uint64_t stretch_inputs;
};

static void verifier_drop(struct verifier *v)
{
    free(v->memory);
    v->memory = NULL;
    v->core = NULL;
}

static void drain(struct verifier *v)
{
    struct core_action action;
    while (core_next(v->core, &action)) {
        v->hash = record_hash(v->hash, &action);
    }
}

static void differs(struct verifier *v, const struct journal_item *item, const char *what)
{
    v->differences++;
    printf("segment %" PRIu64 " offset %" PRIu64 ": %s after %" PRIu64 " inputs of this stretch\n",
           item->segment, item->offset, what, v->stretch_inputs);
    verifier_drop(v);
}

static void compare_keyframe(struct verifier *v, const struct journal_item *item,
                             const struct record_keyframe *keyframe)
{
    size_t size = keyframe->core_bytes, own = core_save_size(v->core);
    void *bytes = own == size ? malloc(own) : NULL;
    bool same =
        bytes && core_save(v->core, bytes, own) == size && memcmp(bytes, keyframe->core, size) == 0;
    free(bytes);
    v->compared++;
    if (keyframe->hash != v->hash) {
        differs(v, item, "the actions differ");
    } else if (!same) {
        differs(v, item, "the core's state differs from the keyframe's");
    }
}

static void take_keyframe(struct verifier *v, const struct journal_item *item)
{
    struct record_keyframe keyframe;
    if (record_keyframe_decode(item->record.payload, item->record.len, &keyframe)) {
        differs(v, item, "the keyframe is too short");
        return;
    }
    if (v->core && keyframe.follows) {
        compare_keyframe(v, item, &keyframe);
    }
    verifier_drop(v);
    v->keyframes++;
    (void)record_core_load(&keyframe, &v->memory, &v->core);
    v->hash = 0;
    v->stretch_inputs = 0;
    if (v->core) {
        v->stretches++;
    } else {
        differs(v, item, "the keyframe cannot be loaded: another build wrote it, or it is damaged");
    }
}

static void take_input(struct verifier *v, const struct journal_item *item)
{
    struct record_input in;
    if (!v->core) {
        v->skipped++;
        return;
    }
    if (record_input_decode(item->record.payload, item->record.len, &in) != 0) {
        differs(v, item, "the input cannot be read");
        return;
    }
    if (in.hash != v->hash) {
        differs(v, item, "the actions differ");
        return;
    }
    (void)core_apply(v->core, &in.input);
    drain(v);
    v->inputs++;
    v->stretch_inputs++;
}

static int verify(const char *path)
{
    struct journal_reader *reader = NULL;
    struct journal_item item;
    struct verifier v = {0};
    int rc = journal_reader_open(&reader, path);
    if (rc) {
        (void)fprintf(stderr, "shunt journal: %s: %s\n", path, strerror(-rc));
        return VERB_USAGE;
    }
    while ((rc = journal_reader_next(reader, &item)) > 0) {
        if (item.kind == JOURNAL_ITEM_SEGMENT) {
            continue;
        }
        if (item.kind == JOURNAL_ITEM_RECORD && item.record.type == JOURNAL_KEYFRAME) {
            take_keyframe(&v, &item);
        } else if (item.kind == JOURNAL_ITEM_RECORD && item.record.type == JOURNAL_INPUT) {
            take_input(&v, &item);
        } else if (journal_item_is_gap(item.kind)) {
            v.gaps++;
            printf("gap: %s\n", item.text);
            verifier_drop(&v);
        }
    }
    journal_reader_close(reader);
    verifier_drop(&v);
    if (rc < 0) {
        (void)fprintf(stderr, "shunt journal: %s: %s\n", path, strerror(-rc));
        return VERB_FAILED;
    }
    printf("%s: %" PRIu64 " inputs in %" PRIu64 " stretches replayed, %" PRIu64 " of %" PRIu64
           " keyframes compared, %" PRIu64 " gaps, %" PRIu64
           " inputs outside of a stretch, %" PRIu64 " differences\n",
           path, v.inputs, v.stretches, v.compared, v.keyframes, v.gaps, v.skipped, v.differences);
    return v.differences || v.keyframes == 0 ? VERB_FAILED : VERB_DONE;
}

static void print_input(const struct journal_record *record)
{
    struct record_input in;
    if (record_input_decode(record->payload, record->len, &in) != 0) {
        printf("unreadable\n");
        return;
    }
    printf("%s", record_input_name(in.input.kind));
    switch ((enum core_input_kind)in.input.kind) {
    case CORE_IN_REQUEST:
        printf(" model=%u prompt_tokens=%u max_tokens=%u", in.input.u.request.model,
               in.input.u.request.prompt_tokens, in.input.u.request.max_tokens);
        break;
    case CORE_IN_CANCEL:
        printf(" request=%" PRIx64 " outcome=%u", in.input.u.cancel.request,
               in.input.u.cancel.outcome);
        break;
    case CORE_IN_COMPLETE:
        printf(" request=%" PRIx64 " outcome=%u output_tokens=%u retry=%u",
               in.input.u.complete.request, in.input.u.complete.outcome,
               in.input.u.complete.output_tokens, in.input.u.complete.retry);
        break;
    case CORE_IN_STEP:
        printf(" switch=%" PRIu64 " instance=%u step=%u ok=%u tier=%u", in.input.u.step.switch_id,
               in.input.u.step.instance, in.input.u.step.step, in.input.u.step.ok,
               in.input.u.step.tier);
        break;
    case CORE_IN_DECISION:
        printf(" ask=%" PRIu64 " slot=%u status=%u action=%u model=%u reason=%u propensity=%g",
               in.input.u.decision.ask_id, in.input.u.decision.slot, in.input.u.decision.status,
               in.input.u.decision.decision.action, in.input.u.decision.decision.model,
               in.input.u.decision.decision.reason, in.input.u.decision.decision.propensity);
        break;
    case CORE_IN_SLOT:
        printf(" slot=%d change=%u", (int)in.input.u.slot.slot, in.input.u.slot.change);
        break;
    case CORE_IN_OPERATOR:
        printf(" operation=%u model=%d", in.input.u.op.operation, (int)in.input.u.op.model);
        break;
    case CORE_IN_ADVANCE:
    case CORE_IN_FIRST_TOKEN:
    case CORE_IN_ENGINE:
    case CORE_IN_ENGINE_LOST:
    case CORE_IN_DEVICE:
    case CORE_IN_TIMER:
    case CORE_IN_KIND_COUNT:
        break;
    }
    printf("\n");
}

static int cat(const char *path)
{
    struct journal_reader *reader = NULL;
    struct journal_item item;
    int rc = journal_reader_open(&reader, path);
    if (rc) {
        (void)fprintf(stderr, "shunt journal: %s: %s\n", path, strerror(-rc));
        return VERB_USAGE;
    }
    while ((rc = journal_reader_next(reader, &item)) > 0) {
        if (item.kind == JOURNAL_ITEM_SEGMENT) {
            printf("segment %" PRIu64 ", build %s\n", item.segment, item.header.build);
            continue;
        }
        if (item.kind != JOURNAL_ITEM_RECORD) {
            printf("gap: %s\n", item.text);
            continue;
        }
        const char *type = journal_type_name(item.record.type);
        printf("%" PRId64 ".%09" PRId64 " %s ", item.record.t_ns / CORE_NS_PER_S,
               item.record.t_ns % CORE_NS_PER_S, type ? type : "?");
        if (item.record.type == JOURNAL_INPUT) {
            print_input(&item.record);
        } else if (item.record.type == JOURNAL_POLICY || item.record.type == JOURNAL_NOTE ||
                   item.record.type == JOURNAL_CONFIG) {
            printf("%.*s\n", (int)item.record.len, (const char *)item.record.payload);
        } else {
            printf("%u bytes\n", item.record.len);
        }
    }
    journal_reader_close(reader);
    return rc < 0 ? VERB_FAILED : VERB_DONE;
}

static int is_segment(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(".journal");
    return length > suffix && strcmp(entry->d_name + length - suffix, ".journal") == 0;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Runs `read` on a cell's journal, or on those of all cells when `path` is the folder above them.
 */
static int each_cell(const char *path, int (*read)(const char *path))
{
    struct dirent **entries = NULL;
    int segments = scandir(path, &entries, is_segment, alphasort);
    for (int i = 0; i < segments; i++) {
        free(entries[i]);
    }
    free(entries);
    if (segments != 0) {
        return read(path); /* a cell, one segment's file, or an error that it names */
    }
    int cells = scandir(path, &entries, is_visible, alphasort);
    int worst = VERB_DONE;
    for (int i = 0; i < cells; i++) {
        char cell[4096];
        (void)snprintf(cell, sizeof(cell), "%s/%s", path, entries[i]->d_name);
        int result = read(cell);
        worst = result > worst ? result : worst;
        free(entries[i]);
    }
    free(entries);
    if (cells <= 0) {
        (void)fprintf(stderr, "shunt journal: %s: no journal in this folder\n", path);
        return VERB_USAGE;
    }
    return worst;
}

int verb_journal(int argc, char **argv)
{
    if (argc != 3) {
        return verb_usage("journal", "wants verify or cat, and a folder or segment");
    }
    if (strcmp(argv[1], "verify") == 0) {
        return each_cell(argv[2], verify);
    }
    if (strcmp(argv[1], "cat") == 0) {
        return each_cell(argv[2], cat);
    }
    return verb_usage("journal", "there is no \"%s\"", argv[1]);
}
