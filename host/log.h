/*
 * The host's log: one line of JSON an event, for people with grep and for collectors alike. A line
 * has ts (UTC), level, event, then what the caller names. Prompts, answers and keys are never
 * written: callers pass names, numbers and reasons, and no function here takes a body.
 *
 * A kind of event that comes very often is thinned out (warnings and errors last); the next line of
 * that kind says how many were left out. Lines are written whole, by one write each, so that
 * several processes may share a file. Thread-safe.
 *
 *     LOG(LOG_WARNING, log_event("engine_lost"), log_str("model", name), log_int("pid", pid));
 */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR = 0, LOG_WARNING = 1, LOG_INFO = 2, LOG_DEBUG = 3 };

enum {
    LOG_LINE_BYTES_MAX = 4096,  /* longer ones lose their last members and say "truncated" */
    LOG_VALUE_BYTES_MAX = 1024, /* of one text */
    LOG_LINES_PER_S = 20,       /* of one kind of event, after a burst of as many; errors 5 times */
};

enum log_kind { LOG_KIND_STRING, LOG_KIND_INT, LOG_KIND_REAL, LOG_KIND_BOOL };

/* A member of a line; made by the functions below, valid during the call that writes it. */
struct log_field {
    const char *key;
    enum log_kind kind;
    struct span text;
    int64_t integer;
    double real;
};

static inline struct log_field log_span(const char *key, struct span text)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_STRING, .text = text};
}

/* NULL is written as "". */
static inline struct log_field log_str(const char *key, const char *text)
{
    return log_span(key, span_of_string(text));
}

/* The first member of every line: what happened, a fixed word. */
static inline struct log_field log_event(const char *event)
{
    return log_str("event", event);
}

static inline struct log_field log_int(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_INT, .integer = value};
}

static inline struct log_field log_real(const char *key, double value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_REAL, .real = value};
}

static inline struct log_field log_bool(const char *key, bool value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_BOOL, .integer = value};
}

/*
 * Where lines go from now on: appended to `path`, or standard error if it is NULL or empty; and the
 * least important level that is written. Before the first call: standard error, LOG_INFO. On error
 * (that of open) nothing changes. Call it again after a log was rotated.
 */
int log_open(const char *path, enum log_level level);

/* A word that every following line carries as "process": "supervisor", "worker". Static text. */
void log_process(const char *name);

/* Whether a line of this level would be written; to spare the work of making one. */
bool log_enabled(enum log_level level);

/* Writes one line; fields[0] is the event. Use LOG(). */
void log_write(enum log_level level, const struct log_field *fields, unsigned count);

#define LOG(level, ...)                                                                            \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_write(level, log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);             \
        }                                                                                          \
    } while (0)

#endif
