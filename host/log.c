/*
 * Log lines: see log.h. The lock is held for the thinning and the write, a few microseconds; the
 * line is made outside of it.
 */
#include "host/log.h"

#include "base/json_write.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A kind of event, for thinning; kinds that meet in one slot share its allowance. */
struct bucket {
    int64_t second;
    uint32_t lines;
    uint64_t left_out;
};

enum { BUCKETS = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = STDERR_FILENO;
static const char *process_name;
static struct bucket buckets[BUCKETS];
static _Atomic int least = LOG_INFO;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

int log_open(const char *path, enum log_level level)
{
    int fd = STDERR_FILENO;
    if (path && path[0]) {
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0) {
            return -errno;
        }
    }
    (void)pthread_mutex_lock(&lock);
    int old = log_fd;
    log_fd = fd;
    (void)pthread_mutex_unlock(&lock);
    if (old > STDERR_FILENO) {
        (void)close(old);
    }
    atomic_store(&least, (int)level);
    return 0;
}

void log_process(const char *name)
{
    process_name = name;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&least, memory_order_relaxed);
}

static struct bucket *bucket_of(struct span event)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < event.len; i++) {
        hash = (hash ^ (unsigned char)event.data[i]) * 16777619u;
    }
    return &buckets[hash % BUCKETS];
}

/* Whether a line of this kind may be written now; how many were left out before. Under the lock. */
static bool allowed(enum log_level level, struct span event, int64_t second, uint64_t *ret_left_out)
{
    struct bucket *bucket = bucket_of(event);
    if (bucket->second != second) {
        bucket->second = second;
        bucket->lines = 0;
    }
    uint32_t lines_max = level <= LOG_WARNING ? 5u * LOG_LINES_PER_S : LOG_LINES_PER_S;
    if (bucket->lines >= lines_max) {
        bucket->left_out++;
        return false;
    }
    bucket->lines++;
    *ret_left_out = bucket->left_out;
    bucket->left_out = 0;
    return true;
}

static void write_fields(struct json_write *w, const struct log_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct log_field *field = &fields[i];
        json_write_key(w, field->key);
        switch (field->kind) {
        case LOG_KIND_STRING: {
            struct span text = field->text;
            if (text.len > LOG_VALUE_BYTES_MAX) {
                text.len = LOG_VALUE_BYTES_MAX;
            }
            json_write_span(w, text);
            break;
        }
        case LOG_KIND_INT:
            json_write_int(w, field->integer);
            break;
        case LOG_KIND_REAL:
            json_write_real(w, field->real, 6);
            break;
        case LOG_KIND_BOOL:
            json_write_bool(w, field->integer != 0);
            break;
        }
    }
}

/* The line without its end; fewer fields until it fits. */
static bool make_line(char *line, size_t size, enum log_level level, const struct timespec *now,
                      uint64_t left_out, const struct log_field *fields, unsigned count,
                      struct span *ret)
{
    struct tm utc;
    char stamp[40];
    char text[64];
    (void)gmtime_r(&now->tv_sec, &utc);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text, sizeof text, "%s.%06uZ", stamp,
                   (unsigned)(now->tv_nsec / 1000) % 1000000u);
    for (unsigned used = count; used >= 1; used--) {
        struct json_write w;
        json_write_init(&w, line, size);
        json_write_object(&w);
        json_write_key(&w, "ts");
        json_write_string(&w, text);
        json_write_key(&w, "level");
        json_write_string(&w, level_names[level]);
        if (process_name) {
            json_write_key(&w, "process");
            json_write_string(&w, process_name);
        }
        write_fields(&w, fields, used);
        if (left_out) {
            json_write_key(&w, "left_out");
            json_write_uint(&w, left_out);
        }
        if (used < count) {
            json_write_key(&w, "truncated");
            json_write_bool(&w, true);
        }
        json_write_object_end(&w);
        if (json_write_done(&w, ret)) {
            return true;
        }
    }
    return false;
}

void log_write(enum log_level level, const struct log_field *fields, unsigned count)
{
    if (!log_enabled(level) || count == 0) {
        return;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t left_out = 0;
    (void)pthread_mutex_lock(&lock);
    bool go = allowed(level, fields[0].text, now.tv_sec, &left_out);
    (void)pthread_mutex_unlock(&lock);
    if (!go) {
        return;
    }
    char line[LOG_LINE_BYTES_MAX];
    struct span text;
    if (!make_line(line, sizeof line - 1, level, &now, left_out, fields, count, &text)) {
        return;
    }
    line[text.len] = '\n';
    (void)pthread_mutex_lock(&lock);
    ssize_t written = write(log_fd, line, text.len + 1);
    (void)pthread_mutex_unlock(&lock);
    (void)written; /* there is nowhere to say that the log cannot be written */
}
