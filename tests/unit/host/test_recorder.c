/* The recorder: what goes in comes out, in order; a full buffer drops, counts and asks for a
 * keyframe. */
#include "base/journal.h"
#include "base/record.h"
#include "host/supervisor/ring.h"
#include "host/worker/recorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char folder[64];

static struct recorder *make(size_t buffer_bytes)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/shunt-recorder-XXXXXX");
    assert_non_null(mkdtemp(folder));
    struct recorder_options options = {.directory = folder,
                                       .segment_bytes = 1 << 20,
                                       .keep_bytes = 1 << 24,
                                       .buffer_bytes = buffer_bytes};
    struct recorder *recorder = NULL;
    char err[256];
    assert_int_equal(recorder_create(&options, &recorder, err, sizeof(err)), 0);
    return recorder;
}

static void keyframe(struct recorder *recorder, int64_t t_ns)
{
    bool follows = true;
    void *room = recorder_keyframe_begin(recorder, 16, t_ns, &follows);
    assert_non_null(room);
    assert_false(follows); /* the first follows nothing */
    memset(room, 7, 16);
    recorder_keyframe_end(recorder);
}

static void remove_folder(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0); /* banned: allowed, a test of its own folder */
}

static void test_inputs_come_out_in_order(void **state)
{
    (void)state;
    struct recorder *recorder = make(1 << 20);
    assert_true(recorder_wants_keyframe(recorder));
    keyframe(recorder, 1);
    assert_false(recorder_wants_keyframe(recorder));
    for (uint32_t i = 0; i < CORE_IN_KIND_COUNT; i++) {
        struct core_input input = {.kind = i, .t_ns = 100 + i};
        struct core_action action = {.kind = CORE_ACT_ABORT, .t_ns = i};
        recorder_input(recorder, &input);
        recorder_action(recorder, &action);
    }
    recorder_destroy(recorder);

    struct journal_reader *reader = NULL;
    struct journal_item item;
    uint32_t next = 0;
    uint64_t hash = 0;
    assert_int_equal(journal_reader_open(&reader, folder), 0);
    while (journal_reader_next(reader, &item) > 0) {
        assert_false(journal_item_is_gap(item.kind));
        if (item.kind == JOURNAL_ITEM_RECORD && item.record.type == JOURNAL_INPUT) {
            struct record_input in;
            assert_int_equal(record_input_decode(item.record.payload, item.record.len, &in), 0);
            assert_int_equal(in.input.kind, next);
            assert_int_equal(in.input.t_ns, 100 + next);
            assert_true(in.hash == hash);
            struct core_action action = {.kind = CORE_ACT_ABORT, .t_ns = next++};
            hash = record_hash(hash, &action);
        }
    }
    journal_reader_close(reader);
    assert_int_equal(next, CORE_IN_KIND_COUNT);
    remove_folder();
}

static void test_what_does_not_fit_is_counted(void **state)
{
    (void)state;
    struct recorder *recorder = make(4096);
    struct recorder_stats stats;
    keyframe(recorder, 1);
    bool follows;
    assert_null(recorder_keyframe_begin(recorder, 8192, 2, &follows));
    assert_true(recorder_wants_keyframe(recorder));
    struct core_input input = {.kind = CORE_IN_ADVANCE, .t_ns = 3};
    recorder_input(recorder, &input); /* not replayable before the next keyframe */
    recorder_stats(recorder, &stats);
    assert_int_equal(stats.dropped, 2);
    recorder_destroy(recorder);
    remove_folder();
}

static void test_ring_keeps_the_newest_lines(void **state)
{
    (void)state;
    struct ring ring = {0};
    char line[64];
    static char tail[4096];
    for (int i = 0; i < 100000; i++) {
        int len = snprintf(line, sizeof(line), "line %d\n", i);
        ring_write(&ring, line, (size_t)len);
    }
    assert_string_equal(ring.last, "line 99999");
    size_t got = ring_tail(&ring, tail, sizeof(tail) - 1);
    assert_true(got > 0 && got < sizeof(tail));
    tail[got] = '\0';
    assert_int_equal(strncmp(tail, "line ", 5), 0);
    assert_string_equal(tail + got - strlen("line 99999\n"), "line 99999\n");
    ring_fini(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs_come_out_in_order),
        cmocka_unit_test(test_what_does_not_fit_is_counted),
        cmocka_unit_test(test_ring_keeps_the_newest_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
