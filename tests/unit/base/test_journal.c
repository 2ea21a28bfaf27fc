/*
 * The journal: what goes in comes out, and every way of damaging it is named with its place. The
 * damage is exhaustive on a small segment: each length it can be cut to, each bit flipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char directory[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof directory, "/tmp/shunt-journal-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static void segment_path(char *path, size_t size, unsigned number)
{
    (void)snprintf(path, size, "%s/%08u.journal", directory, number);
}

static int teardown(void **state)
{
    (void)state;
    DIR *dir = opendir(directory);
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        (void)unlink(path);
    }
    if (dir) {
        closedir(dir);
    }
    return rmdir(directory);
}

static struct journal_now at(int64_t ns)
{
    return (struct journal_now){.wall_ns = INT64_C(1700000000000000000) + ns, .mono_ns = ns};
}

static struct journal_options options(void)
{
    return (struct journal_options){.directory = directory,
                                    .segment_bytes_max = 1 << 20,
                                    .buffer_bytes = 4096,
                                    .sync_interval_ns = -1,
                                    .build = "test-build",
                                    .config = {1, 2, 3}};
}

/* Record number i: its payload's length and bytes follow from i. */
static uint32_t record_len(uint32_t i)
{
    return i % 37 == 36 ? 5000 : i % 23;
}

static int append(struct journal_writer *writer, uint32_t i)
{
    uint8_t payload[5000];
    memset(payload, (int)(i & 0xff), sizeof payload);
    struct journal_record record = {.type = (uint16_t)(JOURNAL_KEYFRAME + i % 5),
                                    .flags = (uint16_t)i,
                                    .t_ns = i,
                                    .payload = payload,
                                    .len = record_len(i)};
    return journal_writer_append(writer, &record, at(i));
}

static void check_record(const struct journal_record *record, uint32_t i)
{
    assert_int_equal(record->type, JOURNAL_KEYFRAME + i % 5);
    assert_int_equal(record->flags, (uint16_t)i);
    assert_int_equal(record->t_ns, i);
    assert_int_equal(record->len, record_len(i));
    assert_int_equal((uintptr_t)record->payload % 8, 0);
    const uint8_t *payload = record->payload;
    for (uint32_t k = 0; k < record->len; k++) {
        assert_int_equal(payload[k], i & 0xff);
    }
}

static void write_records(const struct journal_options *opt, uint32_t from, uint32_t to, bool close)
{
    struct journal_writer *writer;
    assert_int_equal(journal_writer_create(&writer, opt, at(from)), 0);
    for (uint32_t i = from; i < to; i++) {
        assert_int_equal(append(writer, i), 0);
    }
    if (close) {
        assert_int_equal(journal_writer_close(writer, at(to)), 0);
    } else {
        assert_int_equal(journal_writer_flush(writer, at(to)), 0);
        journal_writer_abandon(writer);
    }
}

static void test_round_trip_and_rotation(void **state)
{
    (void)state;
    enum { RECORDS = 1000 };
    struct journal_options opt = options();
    opt.segment_bytes_max = 16384;
    write_records(&opt, 0, RECORDS, true);
    struct journal_reader *reader;
    struct journal_item item;
    assert_int_equal(journal_reader_open(&reader, directory), 0);
    uint32_t records = 0, segments = 0, closes = 0;
    while (journal_reader_next(reader, &item) == 1) {
        assert_false(journal_item_is_gap(item.kind));
        if (item.kind == JOURNAL_ITEM_SEGMENT) {
            assert_int_equal(item.header.segment, ++segments);
            assert_string_equal(item.header.build, "test-build");
            assert_memory_equal(item.header.config, opt.config, sizeof opt.config);
            assert_int_equal(item.header.wall_ns - item.header.mono_ns,
                             INT64_C(1700000000000000000));
        } else if (item.record.type == JOURNAL_CLOSE) {
            closes++;
        } else {
            check_record(&item.record, records++);
        }
    }
    assert_int_equal(records, RECORDS);
    assert_true(segments > 5);
    assert_int_equal(closes, segments);
    journal_reader_close(reader);
}

static void test_age_rotates(void **state)
{
    (void)state;
    struct journal_options opt = options();
    opt.segment_age_max_ns = 10;
    struct journal_writer *writer;
    assert_int_equal(journal_writer_create(&writer, &opt, at(0)), 0);
    assert_int_equal(append(writer, 1), 0);
    assert_int_equal(append(writer, 9), 0);
    assert_int_equal(journal_writer_stats(writer)->segments, 1);
    assert_int_equal(append(writer, 10), 0);
    assert_int_equal(journal_writer_stats(writer)->segments, 2);
    assert_int_equal(journal_writer_close(writer, at(11)), 0);
}

static int begin_keyframe(struct journal_writer *writer, void *ctx)
{
    unsigned *count = ctx;
    ++*count;
    struct journal_record record = {.type = JOURNAL_KEYFRAME, .payload = "state", .len = 5};
    return journal_writer_append(writer, &record, at(0));
}

static void test_segments_begin_with_keyframes(void **state)
{
    (void)state;
    unsigned begun = 0;
    struct journal_options opt = options();
    opt.segment_bytes_max = 8192;
    opt.begin_segment = begin_keyframe;
    opt.ctx = &begun;
    write_records(&opt, 0, 200, true);
    struct journal_reader *reader;
    struct journal_item item;
    assert_int_equal(journal_reader_open(&reader, directory), 0);
    unsigned segments = 0;
    while (journal_reader_next(reader, &item) == 1) {
        if (item.kind == JOURNAL_ITEM_SEGMENT) {
            segments++;
            assert_int_equal(journal_reader_next(reader, &item), 1);
            assert_int_equal(item.record.type, JOURNAL_KEYFRAME);
            assert_memory_equal(item.record.payload, "state", 5);
        }
    }
    journal_reader_close(reader);
    assert_int_equal(segments, begun);
    assert_true(segments > 1);
}

static size_t load(const char *path, uint8_t **ret_data)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    *ret_data = malloc((size_t)size + 8);
    assert_non_null(*ret_data);
    assert_int_equal(pread(fd, *ret_data, (size_t)size, 0), size);
    close(fd);
    return (size_t)size;
}

static void test_every_cut_is_seen(void **state)
{
    (void)state;
    struct journal_options opt = options();
    write_records(&opt, 0, 12, true);
    char path[128];
    segment_path(path, sizeof path, 1);
    uint8_t *data;
    size_t size = load(path, &data);
    for (size_t cut = 0; cut < size; cut++) {
        struct journal_scan scan;
        struct journal_item item;
        journal_scan_init(&scan, data, cut, 1);
        uint32_t records = 0, gaps = 0;
        while (journal_scan_next(&scan, &item) == 1) {
            if (item.kind == JOURNAL_ITEM_RECORD) {
                check_record(&item.record, records++);
            }
            gaps += journal_item_is_gap(item.kind);
        }
        assert_int_equal(gaps, 1);
        assert_true(records <= 12);
    }
    free(data);
}

static void test_every_flipped_bit_is_seen(void **state)
{
    (void)state;
    struct journal_options opt = options();
    write_records(&opt, 0, 8, true);
    char path[128];
    segment_path(path, sizeof path, 1);
    uint8_t *data;
    size_t size = load(path, &data);
    for (size_t bit = 0; bit < size * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        struct journal_scan scan;
        struct journal_item item;
        journal_scan_init(&scan, data, size, 1);
        uint32_t records = 0, gaps = 0;
        bool located = false;
        while (journal_scan_next(&scan, &item) == 1) {
            if (journal_item_is_gap(item.kind)) {
                gaps++;
                located = located || (item.offset <= bit / 8 && item.text[0] != '\0');
            } else if (item.kind == JOURNAL_ITEM_RECORD && item.record.type != JOURNAL_CLOSE) {
                check_record(&item.record, (uint32_t)item.record.t_ns);
                records++;
            }
        }
        assert_true(gaps >= 1 && located);
        /* Only the record that was hit is lost, if it was not the header. */
        assert_true(bit / 8 < JOURNAL_HEADER_BYTES ? records == 0 : records >= 7);
        data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    free(data);
}

/* A record is valid only at its own place: not moved, and not inside a payload. */
static void test_records_do_not_move(void **state)
{
    (void)state;
    uint64_t bytes[16] = {0};
    struct journal_record record = {.type = JOURNAL_NOTE, .payload = "hello", .len = 5}, got;
    uint64_t next;
    journal_record_encode(&record, 3, 32, (uint8_t *)bytes + 32);
    assert_int_equal(journal_record_decode(bytes, 64, 3, 32, &got, &next), 1);
    assert_int_equal(next, 64);
    memmove(bytes, bytes + 4, 32);
    assert_int_equal(journal_record_decode(bytes, 64, 3, 0, &got, &next), -EBADMSG);
    assert_int_equal(journal_record_decode(bytes, 64, 4, 32, &got, &next), -EBADMSG);
    assert_int_equal(journal_record_decode(bytes, 64, 3, 64, &got, &next), 0);
}

static void test_crash_missing_and_foreign(void **state)
{
    (void)state;
    struct journal_options opt = options();
    write_records(&opt, 0, 3, false);
    write_records(&opt, 3, 6, true);
    write_records(&opt, 6, 9, true);
    write_records(&opt, 9, 12, true);
    char path[128];
    segment_path(path, sizeof path, 2);
    assert_int_equal(unlink(path), 0);
    segment_path(path, sizeof path, 3);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    char foreign[256] = "not a journal at all";
    assert_int_equal(write(fd, foreign, sizeof foreign), sizeof foreign);
    close(fd);
    struct journal_reader *reader;
    struct journal_item item;
    enum journal_item_kind gaps[8];
    size_t gaps_len = 0;
    assert_int_equal(journal_reader_open(&reader, directory), 0);
    while (journal_reader_next(reader, &item) == 1) {
        if (journal_item_is_gap(item.kind)) {
            assert_true(gaps_len < 8);
            gaps[gaps_len++] = item.kind;
        }
    }
    journal_reader_close(reader);
    assert_int_equal(gaps_len, 3);
    assert_int_equal(gaps[0], JOURNAL_ITEM_UNCLOSED);
    assert_int_equal(gaps[1], JOURNAL_ITEM_MISSING);
    assert_int_equal(gaps[2], JOURNAL_ITEM_REFUSED);
}

static void test_dropped_are_named(void **state)
{
    (void)state;
    struct journal_options opt = options();
    struct journal_writer *writer;
    assert_int_equal(journal_writer_create(&writer, &opt, at(0)), 0);
    assert_int_equal(append(writer, 0), 0);
    assert_int_equal(journal_writer_gap(writer, 41, at(1)), 0);
    assert_int_equal(append(writer, 1), 0);
    assert_int_equal(journal_writer_close(writer, at(2)), 0);
    struct journal_reader *reader;
    struct journal_item item;
    uint64_t dropped = 0;
    assert_int_equal(journal_reader_open(&reader, directory), 0);
    while (journal_reader_next(reader, &item) == 1) {
        dropped += item.kind == JOURNAL_ITEM_DROPPED ? item.count : 0;
    }
    assert_int_equal(dropped, 41);
    journal_reader_close(reader);
}

/* The file size limit plays a full disk: whole records only, then a gap once there is room. */
static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit old, small = {.rlim_cur = 2000, .rlim_max = 0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct journal_options opt = options();
    opt.buffer_bytes = 512;
    struct journal_writer *writer;
    assert_int_equal(journal_writer_create(&writer, &opt, at(0)), 0);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    unsigned failed = 0;
    for (uint32_t i = 0; i < 30 * 5; i++) {
        failed += append(writer, 10) != 0;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(failed > 0);
    uint64_t lost = journal_writer_stats(writer)->dropped;
    assert_true(lost >= failed);
    assert_int_equal(append(writer, 10), 0);
    uint64_t kept = journal_writer_stats(writer)->records - journal_writer_stats(writer)->gaps;
    assert_int_equal(kept + lost, 151);
    assert_int_equal(journal_writer_close(writer, at(99)), 0);
    struct journal_reader *reader;
    struct journal_item item;
    uint64_t records = 0, dropped = 0;
    assert_int_equal(journal_reader_open(&reader, directory), 0);
    while (journal_reader_next(reader, &item) == 1) {
        records += item.kind == JOURNAL_ITEM_RECORD && item.record.type == JOURNAL_KEYFRAME;
        dropped += item.kind == JOURNAL_ITEM_DROPPED ? item.count : 0;
        assert_int_not_equal(item.kind, JOURNAL_ITEM_DAMAGED);
        assert_int_not_equal(item.kind, JOURNAL_ITEM_CUT);
    }
    journal_reader_close(reader);
    assert_int_equal(records, kept);
    assert_int_equal(dropped, lost);
}

static void test_limits(void **state)
{
    (void)state;
    struct journal_options opt = options();
    struct journal_writer *writer;
    assert_int_equal(journal_writer_create(&writer, &opt, at(0)), 0);
    uint8_t *payload = calloc(1, JOURNAL_PAYLOAD_MAX);
    assert_non_null(payload);
    struct journal_record record = {.type = JOURNAL_NOTE, .payload = payload};
    record.len = JOURNAL_PAYLOAD_MAX + 1;
    assert_int_equal(journal_writer_append(writer, &record, at(0)), -EMSGSIZE);
    record.len = JOURNAL_PAYLOAD_MAX;
    assert_int_equal(journal_writer_append(writer, &record, at(0)), 0);
    assert_int_equal(journal_writer_close(writer, at(0)), 0);
    free(payload);
    struct journal_reader *reader;
    struct journal_item item;
    assert_int_equal(journal_reader_open(&reader, directory), 0);
    unsigned large = 0;
    while (journal_reader_next(reader, &item) == 1) {
        large += item.kind == JOURNAL_ITEM_RECORD && item.record.len == JOURNAL_PAYLOAD_MAX;
    }
    assert_int_equal(large, 1);
    journal_reader_close(reader);
    opt.buffer_bytes = 1;
    assert_int_equal(journal_writer_create(&writer, &opt, at(0)), -EINVAL);
    assert_int_equal(journal_reader_open(&reader, "/nonexistent"), -ENOENT);
    assert_string_equal(journal_type_name(JOURNAL_DECISION), "decision");
    assert_null(journal_type_name(0));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip_and_rotation),
        TEST(test_age_rotates),
        TEST(test_segments_begin_with_keyframes),
        TEST(test_every_cut_is_seen),
        TEST(test_every_flipped_bit_is_seen),
        TEST(test_records_do_not_move),
        TEST(test_crash_missing_and_foreign),
        TEST(test_dropped_are_named),
        TEST(test_full_disk),
        TEST(test_limits),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
