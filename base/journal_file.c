/*
 * The journal in files: a buffered writer with rotation, and a reader over a folder of segments.
 * Segment N is the file N as 8 digits with the ending ".journal".
 */
#include "base/journal.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".journal";

/* Segments larger than this are not read: they are none of ours. */
static const off_t segment_bytes_read_max = (off_t)4 << 30;

/* Room for the records that the writer makes itself, so that these are always buffered. */
static const size_t buffer_bytes_min = 64;

/* The number in a segment's file name, 0 if it is none. */
static uint64_t segment_of_name(const char *name)
{
    uint64_t number = 0;
    size_t digits = 0;
    for (; name[digits] >= '0' && name[digits] <= '9' && digits < 16; digits++) {
        number = number * 10 + (uint64_t)(name[digits] - '0');
    }
    return digits >= 8 && strcmp(name + digits, suffix) == 0 ? number : 0;
}

static int segments_list(const char *directory, uint64_t **ret_list, size_t *ret_len)
{
    DIR *dir = opendir(directory);
    if (!dir) {
        return -errno;
    }
    uint64_t *list = NULL;
    size_t len = 0, room = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        uint64_t number = segment_of_name(entry->d_name);
        if (number == 0) {
            continue;
        }
        if (len == room) {
            room = room ? room * 2 : 64;
            uint64_t *grown = reallocarray(list, room, sizeof *list);
            if (!grown) {
                free(list);
                closedir(dir);
                return -ENOMEM;
            }
            list = grown;
        }
        list[len++] = number;
    }
    closedir(dir);
    *ret_list = list;
    *ret_len = len;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* --- Writer --- */

struct journal_writer {
    struct journal_options options;
    char directory[JOURNAL_PATH_MAX];
    int fd; /* -1: the segment could not be opened; tried again */
    uint64_t segment;
    uint64_t written;         /* bytes of the segment in the file */
    uint64_t records_segment; /* records of this segment, buffered ones included */
    uint64_t records_buffered;
    uint64_t gaps_buffered; /* of these, gap records, and how many drops they tell of */
    uint64_t gaps_buffered_drops;
    uint64_t owed; /* dropped records for which no gap is written yet */
    int64_t begun_ns, synced_ns;
    bool beginning; /* inside begin_segment() */
    bool dirty;     /* written since the last fdatasync */
    uint8_t *buffer;
    size_t buffered;
    struct journal_writer_stats stats;
};

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Back to the last whole record, so that a later write does not follow half of one. */
static void cut_back(struct journal_writer *w)
{
    if (ftruncate(w->fd, (off_t)w->written) || lseek(w->fd, (off_t)w->written, SEEK_SET) < 0) {
        /* The file cannot be repaired: leave its tail to the reader and go to a new segment. */
        close(w->fd);
        w->fd = -1;
    }
}

static int buffer_out(struct journal_writer *w)
{
    if (w->buffered == 0) {
        return 0;
    }
    int rc = w->fd < 0 ? -EIO : write_all(w->fd, w->buffer, w->buffered);
    if (rc) {
        /* Lost gap records are no loss by themselves, but what they told is owed again. */
        uint64_t lost = w->records_buffered - w->gaps_buffered;
        w->stats.failures++;
        w->stats.records -= w->records_buffered;
        w->stats.gaps -= w->gaps_buffered;
        w->stats.dropped += lost;
        w->owed += lost + w->gaps_buffered_drops;
        w->records_segment -= w->records_buffered;
        if (w->fd >= 0) {
            cut_back(w);
        }
    } else {
        w->written += w->buffered;
        w->stats.bytes += w->buffered;
        w->dirty = true;
    }
    w->buffered = 0;
    w->records_buffered = 0;
    w->gaps_buffered = 0;
    w->gaps_buffered_drops = 0;
    return rc;
}

static int sync_now(struct journal_writer *w, int64_t mono_ns)
{
    if (!w->dirty || w->fd < 0) {
        return 0;
    }
    w->synced_ns = mono_ns;
    w->dirty = false;
    w->stats.syncs++;
    return fdatasync(w->fd) ? -errno : 0;
}

/* Puts one record behind what is there; a large one goes through a buffer of its own. */
static int record_out(struct journal_writer *w, const struct journal_record *record)
{
    size_t bytes = journal_record_bytes(record->len);
    int rc = 0;
    if (w->buffered + bytes > w->options.buffer_bytes) {
        rc = buffer_out(w);
    }
    if (rc == 0 && w->fd < 0) {
        rc = -EIO;
    }
    if (rc) {
        return rc;
    }
    if (bytes <= w->options.buffer_bytes) {
        journal_record_encode(record, w->segment, w->written + w->buffered,
                              w->buffer + w->buffered);
        w->buffered += bytes;
        w->records_buffered++;
    } else {
        uint8_t *large = malloc(bytes);
        if (!large) {
            return -ENOMEM;
        }
        journal_record_encode(record, w->segment, w->written, large);
        rc = write_all(w->fd, large, bytes);
        free(large);
        if (rc) {
            w->stats.failures++;
            cut_back(w);
            return rc;
        }
        w->written += bytes;
        w->stats.bytes += bytes;
        w->dirty = true;
    }
    w->stats.records++;
    w->records_segment++;
    return 0;
}

static int gap_out(struct journal_writer *w, int64_t t_ns)
{
    if (w->owed == 0) {
        return 0;
    }
    uint8_t payload[8];
    for (unsigned i = 0; i < 8; i++) {
        payload[i] = (uint8_t)(w->owed >> (8 * i));
    }
    int rc = record_out(w, &(struct journal_record){
                               .type = JOURNAL_GAP, .t_ns = t_ns, .payload = payload, .len = 8});
    if (rc == 0) {
        w->stats.gaps++;
        w->gaps_buffered++;
        w->gaps_buffered_drops += w->owed;
        w->owed = 0;
    }
    return rc;
}

static int segment_end(struct journal_writer *w, struct journal_now now)
{
    if (w->fd < 0) {
        return 0;
    }
    uint64_t numbers[2] = {w->records_segment, w->stats.dropped};
    uint8_t payload[16];
    for (unsigned i = 0; i < 16; i++) {
        payload[i] = (uint8_t)(numbers[i / 8] >> (8 * (i % 8)));
    }
    int rc = gap_out(w, now.mono_ns);
    if (rc == 0) {
        rc = record_out(w, &(struct journal_record){.type = JOURNAL_CLOSE,
                                                    .t_ns = now.mono_ns,
                                                    .payload = payload,
                                                    .len = sizeof payload});
    }
    int flushed = buffer_out(w);
    int synced = w->options.sync_interval_ns >= 0 ? sync_now(w, now.mono_ns) : 0;
    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
    return rc ? rc : flushed ? flushed : synced;
}

static int segment_begin(struct journal_writer *w, struct journal_now now)
{
    char path[JOURNAL_PATH_MAX + 32];
    assert(w->fd < 0 && w->buffered == 0);
    (void)snprintf(path, sizeof path, "%s/%08" PRIu64 "%s", w->directory, w->segment + 1, suffix);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0) {
        w->segment += errno == EEXIST;
        return -errno;
    }
    struct journal_header header = {
        .segment = w->segment + 1, .wall_ns = now.wall_ns, .mono_ns = now.mono_ns};
    memcpy(header.build, w->options.build, sizeof header.build);
    memcpy(header.config, w->options.config, sizeof header.config);
    uint8_t bytes[JOURNAL_HEADER_BYTES];
    journal_header_encode(&header, bytes);
    int rc = write_all(fd, bytes, sizeof bytes);
    if (rc) {
        close(fd);
        (void)unlink(path);
        return rc;
    }
    w->fd = fd;
    w->segment++;
    w->written = sizeof bytes;
    w->records_segment = 0;
    w->begun_ns = now.mono_ns;
    w->synced_ns = now.mono_ns;
    w->dirty = true;
    w->stats.segments++;
    w->stats.bytes += sizeof bytes;
    if (w->options.begin_segment) {
        w->beginning = true;
        rc = w->options.begin_segment(w, w->options.ctx);
        w->beginning = false;
    }
    return rc;
}

static bool segment_is_full(const struct journal_writer *w, size_t bytes, int64_t now_ns)
{
    uint64_t room_used = w->written + w->buffered;
    return w->fd < 0 ||
           (w->records_segment > 0 && room_used + bytes > w->options.segment_bytes_max) ||
           (w->options.segment_age_max_ns > 0 &&
            now_ns - w->begun_ns >= w->options.segment_age_max_ns);
}

static int append(struct journal_writer *w, const struct journal_record *record,
                  struct journal_now now)
{
    if (record->len > JOURNAL_PAYLOAD_MAX) {
        return -EMSGSIZE;
    }
    if (!w->beginning && segment_is_full(w, journal_record_bytes(record->len), now.mono_ns)) {
        /* What cannot be ended in order is what a reader reports as unclosed; go on. */
        (void)segment_end(w, now);
        int rc = segment_begin(w, now);
        if (rc) {
            return rc;
        }
    }
    int rc = gap_out(w, now.mono_ns);
    return rc ? rc : record_out(w, record);
}

int journal_writer_append(struct journal_writer *w, const struct journal_record *record,
                          struct journal_now now)
{
    int rc = append(w, record, now);
    if (rc) {
        w->owed++;
        w->stats.dropped++;
    }
    return rc;
}

int journal_writer_gap(struct journal_writer *w, uint64_t count, struct journal_now now)
{
    w->owed += count;
    w->stats.dropped += count;
    return w->fd < 0 ? 0 : gap_out(w, now.mono_ns);
}

int journal_writer_flush(struct journal_writer *w, struct journal_now now)
{
    int rc = buffer_out(w);
    if (rc == 0 && w->options.sync_interval_ns >= 0 &&
        now.mono_ns - w->synced_ns >= w->options.sync_interval_ns) {
        rc = sync_now(w, now.mono_ns);
    }
    return rc;
}

void journal_writer_set_config(struct journal_writer *w, const uint8_t config[JOURNAL_CONFIG_BYTES])
{
    memcpy(w->options.config, config, JOURNAL_CONFIG_BYTES);
}

int journal_writer_create(struct journal_writer **ret_writer, const struct journal_options *options,
                          struct journal_now now)
{
    if (options->segment_bytes_max <= JOURNAL_HEADER_BYTES ||
        options->buffer_bytes < buffer_bytes_min ||
        strnlen(options->directory, JOURNAL_PATH_MAX) == JOURNAL_PATH_MAX) {
        return -EINVAL;
    }
    uint64_t *list;
    size_t len;
    int rc = segments_list(options->directory, &list, &len);
    if (rc) {
        return rc;
    }
    uint64_t last = 0;
    for (size_t i = 0; i < len; i++) {
        last = list[i] > last ? list[i] : last;
    }
    free(list);
    struct journal_writer *w = calloc(1, sizeof *w);
    if (!w) {
        return -ENOMEM;
    }
    w->options = *options;
    w->options.directory = NULL;
    memcpy(w->directory, options->directory, strlen(options->directory) + 1);
    w->fd = -1;
    w->segment = last;
    w->buffer = malloc(options->buffer_bytes);
    rc = w->buffer ? segment_begin(w, now) : -ENOMEM;
    if (rc) {
        journal_writer_abandon(w);
        return rc;
    }
    *ret_writer = w;
    return 0;
}

int journal_writer_close(struct journal_writer *w, struct journal_now now)
{
    if (!w) {
        return 0;
    }
    int rc = segment_end(w, now);
    journal_writer_abandon(w);
    return rc;
}

void journal_writer_abandon(struct journal_writer *w)
{
    if (!w) {
        return;
    }
    if (w->fd >= 0) {
        close(w->fd);
    }
    free(w->buffer);
    free(w);
}

const struct journal_writer_stats *journal_writer_stats(const struct journal_writer *w)
{
    return &w->stats;
}

/* --- Reader --- */

struct journal_reader {
    char path[JOURNAL_PATH_MAX];
    bool single; /* path is one segment's file */
    uint64_t *list;
    size_t len, next;
    uint64_t expected; /* the number that would follow without a hole; 0: any */
    uint8_t *data;     /* of the segment being read */
    struct journal_scan scan;
};

int journal_reader_open(struct journal_reader **ret_reader, const char *path)
{
    struct stat st;
    if (strnlen(path, JOURNAL_PATH_MAX) == JOURNAL_PATH_MAX) {
        return -ENAMETOOLONG;
    }
    if (stat(path, &st)) {
        return -errno;
    }
    struct journal_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return -ENOMEM;
    }
    memcpy(r->path, path, strlen(path) + 1);
    r->single = !S_ISDIR(st.st_mode);
    int rc = 0;
    if (r->single) {
        r->list = calloc(1, sizeof *r->list);
        r->len = 1;
        rc = r->list ? 0 : -ENOMEM;
    } else {
        rc = segments_list(path, &r->list, &r->len);
        if (rc == 0 && r->len > 0) {
            qsort(r->list, r->len, sizeof *r->list, compare_numbers);
        }
    }
    if (rc) {
        journal_reader_close(r);
        return rc;
    }
    r->scan.ended = true;
    *ret_reader = r;
    return 0;
}

/* Reads a whole segment: 64 MiB by default, and payloads are handed out in place. */
static int segment_load(struct journal_reader *r, uint64_t number)
{
    char path[JOURNAL_PATH_MAX + 32];
    if (r->single) {
        (void)snprintf(path, sizeof path, "%s", r->path);
    } else {
        (void)snprintf(path, sizeof path, "%s/%08" PRIu64 "%s", r->path, number, suffix);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    struct stat st;
    int rc = fstat(fd, &st) ? -errno : st.st_size > segment_bytes_read_max ? -EFBIG : 0;
    size_t size = rc ? 0 : (size_t)st.st_size, have = 0;
    free(r->data);
    r->data = rc ? NULL : malloc(size ? size : 1);
    rc = rc == 0 && !r->data ? -ENOMEM : rc;
    while (rc == 0 && have < size) {
        ssize_t n = read(fd, r->data + have, size - have);
        if (n < 0 && errno != EINTR) {
            rc = -errno;
        } else if (n == 0) {
            break;
        } else if (n > 0) {
            have += (size_t)n;
        }
    }
    close(fd);
    if (rc == 0) {
        journal_scan_init(&r->scan, r->data, have, number);
    }
    return rc;
}

int journal_reader_next(struct journal_reader *r, struct journal_item *ret_item)
{
    for (;;) {
        if (journal_scan_next(&r->scan, ret_item) == 1) {
            return 1;
        }
        if (r->next == r->len) {
            return 0;
        }
        uint64_t number = r->list[r->next];
        if (r->expected != 0 && number > r->expected) {
            uint64_t missing = number - r->expected;
            *ret_item = (struct journal_item){
                .kind = JOURNAL_ITEM_MISSING, .segment = r->expected, .count = missing};
            (void)snprintf(ret_item->text, sizeof ret_item->text,
                           "segment %" PRIu64 ": %" PRIu64 " segment%s missing", r->expected,
                           missing, missing == 1 ? " is" : "s are");
            r->expected = number;
            return 1;
        }
        int rc = segment_load(r, number);
        if (rc) {
            return rc;
        }
        r->expected = number + 1;
        r->next++;
    }
}

void journal_reader_close(struct journal_reader *r)
{
    if (!r) {
        return;
    }
    free(r->data);
    free(r->list);
    free(r);
}
