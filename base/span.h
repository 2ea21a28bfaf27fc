/*
 * A run of bytes that somebody else owns: what codecs and scanners hand out instead of copies. A
 * span is not terminated by NUL and may hold any byte. Whoever returns one says how long it lives.
 */
#ifndef SHUNT_BASE_SPAN_H
#define SHUNT_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

/* A span over a string literal, without its NUL. */
#define SPAN_LITERAL(text) ((struct span){.data = "" text, .len = sizeof(text) - 1})

static inline struct span span_of(const char *data, size_t len)
{
    return (struct span){.data = data, .len = len};
}

/* A span over a terminated string; NULL gives the empty span. */
static inline struct span span_of_string(const char *text)
{
    return (struct span){.data = text, .len = text ? strlen(text) : 0};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equality of ASCII text without regard to case, as HTTP field names want it. */
static inline bool span_equal_nocase(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

/* What is left behind the first n bytes; n must not exceed the length. */
static inline struct span span_skip(struct span s, size_t n)
{
    return (struct span){.data = n ? s.data + n : s.data, .len = s.len - n};
}

#endif
