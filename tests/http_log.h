/*
 * Runs bytes through the codec's reader in pieces and writes down what it says, so that tests and
 * fuzz targets can compare: the log must not depend on where the pieces were cut.
 */
#ifndef SHUNT_TESTS_HTTP_LOG_H
#define SHUNT_TESTS_HTTP_LOG_H

#include "base/http.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum http_side { HTTP_SIDE_REQUEST, HTTP_SIDE_RESPONSE, HTTP_SIDE_RESPONSE_TO_HEAD };

struct http_log {
    char *text;
    size_t len, size;
};

static inline void http_log_add(struct http_log *log, const char *data, size_t len)
{
    if (log->size - log->len < len + 1) {
        log->size = (log->size + len) * 2 + 64;
        log->text = realloc(log->text, log->size);
        assert(log->text);
    }
    if (len) {
        memcpy(log->text + log->len, data, len);
    }
    log->len += len;
    log->text[log->len] = '\0';
}

static inline void http_log_head(struct http_log *log, const struct http_head *head, char mark)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%c %u.%u %s %s %llu", mark, 1u, head->minor,
                     head->keep_alive ? "alive" : "close",
                     head->framing == HTTP_BODY_NONE      ? "none"
                     : head->framing == HTTP_BODY_LENGTH  ? "length"
                     : head->framing == HTTP_BODY_CHUNKED ? "chunked"
                                                          : "until-close",
                     (unsigned long long)head->content_length);
    http_log_add(log, line, (size_t)n);
    if (head->status) {
        n = snprintf(line, sizeof line, " %u", head->status);
        http_log_add(log, line, (size_t)n);
    } else {
        http_log_add(log, " ", 1);
        http_log_add(log, head->method_text.data, head->method_text.len);
        http_log_add(log, " ", 1);
        http_log_add(log, head->target.data, head->target.len);
        assert(head->path.len + head->query.len <= head->target.len);
    }
    for (unsigned i = 0; i < head->fields_len; i++) {
        http_log_add(log, head->fields[i].hop ? " -" : " +", 2);
        http_log_add(log, head->fields[i].name.data, head->fields[i].name.len);
        http_log_add(log, "=", 1);
        http_log_add(log, head->fields[i].value.data, head->fields[i].value.len);
    }
    http_log_add(log, "\n", 1);
}

/* One event into the log; body pieces join. */
static inline void http_log_event(struct http_log *log, enum http_event event,
                                  const struct http_reader *reader, const struct http_head *head,
                                  struct span body, bool *in_body)
{
    char line[160];
    if (*in_body && event != HTTP_BODY && event != HTTP_MORE) {
        http_log_add(log, "\n", 1);
        *in_body = false;
    }
    switch (event) {
    case HTTP_MORE:
        break;
    case HTTP_INTERIM:
        http_log_head(log, head, 'I');
        break;
    case HTTP_HEADED:
        http_log_head(log, head, 'H');
        break;
    case HTTP_BODY:
        assert(body.len > 0);
        if (!*in_body) {
            http_log_add(log, "B ", 2);
            *in_body = true;
        }
        http_log_add(log, body.data, body.len);
        break;
    case HTTP_END:
        http_log_add(log, "E\n", 2);
        break;
    case HTTP_ERROR: {
        int n = snprintf(line, sizeof line, "! %u %s\n", reader->status, reader->reason);
        http_log_add(log, line, (size_t)n);
        break;
    }
    }
}

/*
 * Reads data in pieces of `piece` bytes (0: the whole), up to an error, or for a response up to its
 * end. With close, the end of data is the end of the connection.
 */
static inline struct http_log http_log_read(enum http_side side, const struct http_limits *limits,
                                            struct span data, size_t piece, bool close)
{
    struct http_log log = {0};
    struct http_reader reader;
    static struct http_head head;
    bool in_body = false;
    if (side == HTTP_SIDE_REQUEST) {
        http_reader_request(&reader, limits);
    } else {
        http_reader_response(&reader, limits, side == HTTP_SIDE_RESPONSE_TO_HEAD);
    }
    http_log_add(&log, "", 0);
    size_t held = 0, at = 0;
    enum http_event event = HTTP_MORE;
    for (;;) {
        /* A copy of its own, so that a sanitizer sees a read beyond the bytes that have come. */
        size_t step = piece && piece < data.len - at ? piece : data.len - at;
        size_t len = held + step;
        char *copy = malloc(len ? len : 1);
        assert(copy);
        if (len) {
            memcpy(copy, data.data + at - held, len);
        }
        at += step;
        struct span in = span_of(copy, len), body = {0};
        do {
            event = http_reader_next(&reader, &in, &head, &body);
            http_log_event(&log, event, &reader, &head, body, &in_body);
        } while (event != HTTP_MORE && event != HTTP_ERROR &&
                 !(side != HTTP_SIDE_REQUEST && event == HTTP_END));
        held = in.len;
        free(copy);
        if (event != HTTP_MORE || at == data.len) {
            break;
        }
    }
    if (event == HTTP_MORE && close) {
        event = http_reader_close(&reader);
        http_log_event(&log, event, &reader, &head, (struct span){0}, &in_body);
    }
    return log;
}

#endif
