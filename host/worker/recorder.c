/* The journal of a cell: a buffer filled by the loop, emptied by a thread. See recorder.h. */
#include "host/worker/recorder.h"

#include "base/journal.h"
#include "base/record.h"
#include "host/folders.h"
#include "host/say.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SYNC_NS INT64_C(200000000)

/* The writer looks every SYNC_NS, and is woken for this much: a wake-up for every record would cost
 * two task switches for each input. */
#define WAKE_BYTES ((size_t)256 * 1024)

/* A record as it stands in the buffer; payload behind it, padded to 8. */
struct framed {
    uint32_t bytes; /* with this head and the padding */
    uint32_t len;
    uint16_t type;
    uint16_t fresh_segment; /* 1: a new segment begins with it */
    uint32_t zero;
    uint64_t lost; /* records dropped before it */
    int64_t t_ns;
};

struct buffer {
    char *bytes;
    size_t len;
};

struct recorder {
    struct recorder_options options;
    char *directory;
    /* The loop's. */
    uint64_t hash;
    uint64_t segment_len; /* since the last keyframe that began a segment */
    bool keyframe_due;
    bool interrupted;
    bool segment_due;
    uint64_t lost; /* since the last record that went in */
    struct recorder_stats stats;
    struct framed *open; /* keyframe being filled; the lock is held */
    /* Shared. */
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct buffer front; /* filled by the loop */
    bool ending;
    /* The thread's. */
    struct buffer back;
    struct journal_writer *writer;
    pthread_t thread;
    bool thread_runs;
    int last_error;
};

/* ------------------------------------------------------------------ the thread */

static struct journal_now clocks(void)
{
    struct timespec wall = {0};
    struct timespec mono = {0};
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_MONOTONIC, &mono);
    return (struct journal_now){.wall_ns = (int64_t)wall.tv_sec * CORE_NS_PER_S + wall.tv_nsec,
                                .mono_ns = (int64_t)mono.tv_sec * CORE_NS_PER_S + mono.tv_nsec};
}

static int writer_open(struct recorder *r)
{
    struct journal_options options = {.directory = r->directory,
                                      .segment_bytes_max = UINT64_C(1) << 62,
                                      .buffer_bytes = 256 * 1024,
                                      .sync_interval_ns = SYNC_NS};
    (void)snprintf(options.build, sizeof(options.build), "shunt");
    return journal_writer_create(&r->writer, &options, clocks());
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Deletes the oldest segments beyond the limit; never the newest. */
static void keep_within(struct recorder *r)
{
    struct dirent **list = NULL;
    int count = scandir(r->directory, &list, NULL, by_name);
    uint64_t total = 0;
    int kept = 0;
    for (int i = count - 1; i >= 0; i--) {
        char path[JOURNAL_PATH_MAX + 300];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", r->directory, list[i]->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            total += (uint64_t)st.st_size;
            if (kept++ > 0 && total > r->options.keep_bytes) {
                (void)unlink(path);
            }
        }
        free(list[i]);
    }
    free(list);
}

static void write_one(struct recorder *r, const struct framed *f)
{
    struct journal_now now = clocks();
    int rc = 0;
    if (f->fresh_segment) {
        (void)journal_writer_close(r->writer, now);
        r->writer = NULL;
        rc = writer_open(r);
        keep_within(r);
    }
    if (!r->writer) {
        rc = rc ? rc : -EIO;
    } else {
        if (f->lost) {
            (void)journal_writer_gap(r->writer, f->lost, now);
        }
        struct journal_record record = {
            .type = f->type, .t_ns = f->t_ns, .payload = f + 1, .len = f->len};
        rc = journal_writer_append(r->writer, &record, now);
    }
    if (rc && rc != r->last_error) {
        say(SAY_ERROR, "journal", "%s: %s; records are lost, serving goes on", r->directory,
            strerror(-rc));
    }
    r->last_error = rc;
}

static void *run(void *arg)
{
    struct recorder *r = arg;
    for (bool ending = false; !ending;) {
        (void)pthread_mutex_lock(&r->lock);
        if (r->front.len < WAKE_BYTES && !r->ending) {
            struct timespec until;
            (void)clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += (long)SYNC_NS;
            if (until.tv_nsec >= 1000000000L) {
                until.tv_nsec -= 1000000000L;
                until.tv_sec++;
            }
            (void)pthread_cond_timedwait(&r->filled, &r->lock, &until);
        }
        struct buffer full = r->front;
        r->front = r->back;
        r->front.len = 0;
        r->back = full;
        ending = r->ending && !full.len;
        (void)pthread_mutex_unlock(&r->lock);

        for (size_t at = 0; at < full.len;) {
            const struct framed *f = (const struct framed *)(const void *)(full.bytes + at);
            write_one(r, f);
            at += f->bytes;
        }
        if (r->writer) {
            (void)journal_writer_flush(r->writer, clocks());
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ the loop's side */

/* Room for a record, with the lock held; NULL (lock released) if it does not fit: then it is
 * counted as dropped and a keyframe is due. */
static struct framed *record_begin(struct recorder *r, uint16_t type, size_t len, int64_t t_ns)
{
    size_t bytes = (sizeof(struct framed) + len + 7) & ~(size_t)7;
    (void)pthread_mutex_lock(&r->lock);
    if (len > JOURNAL_PAYLOAD_MAX || r->options.buffer_bytes - r->front.len < bytes) {
        (void)pthread_mutex_unlock(&r->lock);
        r->lost++;
        r->stats.dropped++;
        r->keyframe_due = true;
        return NULL;
    }
    struct framed *f = (struct framed *)(void *)(r->front.bytes + r->front.len);
    *f = (struct framed){.bytes = (uint32_t)bytes,
                         .len = (uint32_t)len,
                         .type = type,
                         .lost = r->lost,
                         .t_ns = t_ns};
    memset((char *)f + bytes - 8, 0, 8);
    return f;
}

static void record_end(struct recorder *r, const struct framed *f)
{
    bool wake = r->front.len < WAKE_BYTES && r->front.len + f->bytes >= WAKE_BYTES;
    r->front.len += f->bytes;
    r->stats.records++;
    r->stats.bytes += f->bytes;
    r->segment_len += f->bytes;
    r->lost = 0;
    if (wake) {
        (void)pthread_cond_signal(&r->filled);
    }
    (void)pthread_mutex_unlock(&r->lock);
    if (r->segment_len > r->options.segment_bytes) {
        r->segment_due = true;
        r->keyframe_due = true;
    }
}

bool recorder_wants_keyframe(const struct recorder *recorder)
{
    return recorder->keyframe_due;
}

void recorder_interrupt(struct recorder *r)
{
    r->keyframe_due = true;
    r->interrupted = true;
}

void *recorder_keyframe_begin(struct recorder *r, size_t bytes, int64_t t_ns, bool *ret_follows)
{
    struct framed *f = record_begin(r, JOURNAL_KEYFRAME, bytes, t_ns);
    if (!f) {
        return NULL;
    }
    f->fresh_segment = r->segment_due;
    r->open = f;
    *ret_follows = !r->interrupted;
    return f + 1;
}

void recorder_keyframe_end(struct recorder *r)
{
    bool fresh = r->segment_due;
    r->keyframe_due = false;
    r->segment_due = false;
    r->interrupted = false;
    r->hash = 0;
    if (fresh) {
        r->segment_len = 0;
    }
    record_end(r, r->open);
    r->open = NULL;
}

void recorder_input(struct recorder *r, const struct core_input *input)
{
    if (r->keyframe_due) {
        /* Nothing can be replayed before the next keyframe: it would be read as if it could. */
        r->lost++;
        r->stats.dropped++;
        return;
    }
    size_t bytes = record_input_bytes(input);
    struct framed *f = record_begin(r, JOURNAL_INPUT, bytes + RECORD_INPUT_HEAD, input->t_ns);
    if (f) {
        memcpy(f + 1, &r->hash, 8);
        memcpy((char *)(f + 1) + RECORD_INPUT_HEAD, input, bytes);
        record_end(r, f);
    }
}

void recorder_action(struct recorder *r, const struct core_action *action)
{
    r->hash = record_hash(r->hash, action);
}

uint64_t recorder_hash_now(const struct recorder *recorder)
{
    return recorder->hash;
}

void recorder_text(struct recorder *r, uint16_t type, const char *text, int64_t t_ns)
{
    size_t len = strlen(text);
    bool due = r->keyframe_due;
    struct framed *f = record_begin(r, type, len, t_ns);
    if (f) {
        memcpy(f + 1, text, len);
        record_end(r, f);
    } else {
        r->keyframe_due = due; /* text is not replayed */
    }
}

void recorder_stats(const struct recorder *recorder, struct recorder_stats *ret)
{
    *ret = recorder->stats;
}

int recorder_create(const struct recorder_options *options, struct recorder **ret_recorder,
                    char *err, size_t err_size)
{
    struct recorder *r = calloc(1, sizeof(*r));
    if (!r) {
        return -ENOMEM;
    }
    r->options = *options;
    r->keyframe_due = true;
    r->interrupted = true;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->filled, NULL);
    r->directory = strdup(options->directory);
    r->front.bytes = malloc(options->buffer_bytes);
    r->back.bytes = malloc(options->buffer_bytes);
    int rc = r->directory && r->front.bytes && r->back.bytes ? 0 : -ENOMEM;
    rc = rc ? rc : folders_make(r->directory);
    rc = rc ? rc : writer_open(r);
    rc = rc ? rc : -pthread_create(&r->thread, NULL, run, r);
    if (rc) {
        (void)snprintf(err, err_size, "journal %s: %s", options->directory, strerror(-rc));
        recorder_destroy(r);
        return rc;
    }
    r->thread_runs = true;
    *ret_recorder = r;
    return 0;
}

void recorder_destroy(struct recorder *r)
{
    if (!r) {
        return;
    }
    if (r->thread_runs) {
        (void)pthread_mutex_lock(&r->lock);
        r->ending = true;
        (void)pthread_cond_signal(&r->filled);
        (void)pthread_mutex_unlock(&r->lock);
        (void)pthread_join(r->thread, NULL);
    }
    if (r->writer) {
        (void)journal_writer_close(r->writer, clocks());
    }
    (void)pthread_mutex_destroy(&r->lock);
    (void)pthread_cond_destroy(&r->filled);
    free(r->front.bytes);
    free(r->back.bytes);
    free(r->directory);
    free(r);
}
