/*
 * The incremental reader: where a head ends, and bodies of every framing. Bodies and trailers are
 * read byte by byte or span by span with a state of a few bytes, so only a partial head ever has to
 * be kept by the caller.
 */
#include "base/http_head.h"

#include <assert.h>

const struct http_limits http_limits_default = {
    .head_max_bytes = 64 * 1024,
    .target_max_bytes = 8 * 1024,
    .fields_max = 100,
    .chunk_ext_max_bytes = 1024,
    .trailer_max_bytes = 8 * 1024,
    .body_max_bytes = 32 * 1024 * 1024,
};

const struct http_limits http_limits_upstream = {
    .head_max_bytes = 64 * 1024,
    .target_max_bytes = 8 * 1024,
    .fields_max = 100,
    .chunk_ext_max_bytes = 1024,
    .trailer_max_bytes = 8 * 1024,
    .body_max_bytes = UINT64_MAX,
};

enum { CHUNK_DIGITS_MAX = 15 };

enum phase {
    PHASE_HEAD,
    PHASE_LENGTH,
    PHASE_CLOSE,
    PHASE_CHUNK_SIZE,
    PHASE_CHUNK_EXT,
    PHASE_CHUNK_LF, /* of the size line */
    PHASE_CHUNK_DATA,
    PHASE_DATA_CR,
    PHASE_DATA_LF,
    PHASE_TRAILER_START, /* first byte of a trailer line, or the CR of the end */
    PHASE_TRAILER_NAME,
    PHASE_TRAILER_VALUE,
    PHASE_TRAILER_LF,
    PHASE_LAST_LF,
    PHASE_END,
    PHASE_FAILED,
};

static void reader_reset(struct http_reader *reader)
{
    reader->left_bytes = reader->body_bytes = 0;
    reader->scanned_bytes = reader->line_bytes = 0;
    reader->phase = PHASE_HEAD;
    reader->digits = 0;
    reader->begun = reader->skipped_line = false;
}

void http_reader_request(struct http_reader *reader, const struct http_limits *limits)
{
    assert(limits->fields_max <= HTTP_FIELDS_MAX);
    *reader = (struct http_reader){.limits = limits};
}

void http_reader_response(struct http_reader *reader, const struct http_limits *limits,
                          bool head_only)
{
    assert(limits->fields_max <= HTTP_FIELDS_MAX);
    *reader = (struct http_reader){.limits = limits, .response = true, .head_only = head_only};
}

static enum http_event fail(struct http_reader *reader, unsigned status, const char *reason)
{
    reader->phase = PHASE_FAILED;
    reader->status = (uint16_t)(reader->response ? 502 : status);
    reader->reason = reason;
    return HTTP_ERROR;
}

/*
 * Looks for the end of the head. Returns its length, 0 if it has not come, or -1 after fail().
 * scanned_bytes is the start of the last incomplete line: a byte is looked at again only while its
 * own line is incomplete.
 */
static ptrdiff_t find_head_end(struct http_reader *reader, struct span in)
{
    const struct http_limits *limits = reader->limits;
    size_t line = reader->scanned_bytes;
    for (;;) {
        const char *start = in.data + line;
        const char *lf = memchr(start, '\n', in.len - line);
        if (!lf) {
            break;
        }
        if (lf == start || lf[-1] != '\r') {
            (void)fail(reader, 400, "line does not end in CRLF");
            return -1;
        }
        size_t next = (size_t)(lf - in.data) + 1;
        if (next > limits->head_max_bytes) {
            break;
        }
        if (lf - start == 1) {
            return (ptrdiff_t)next;
        }
        line = next;
    }
    reader->scanned_bytes = (uint32_t)line;
    if (line == 0 && !reader->response && in.len > (size_t)limits->target_max_bytes + 64) {
        (void)fail(reader, 414, "request line too long");
        return -1;
    }
    if (in.len >= limits->head_max_bytes) {
        (void)fail(reader, 431, "head too large");
        return -1;
    }
    return 0;
}

static void begin_body(struct http_reader *reader, const struct http_head *head)
{
    switch (head->framing) {
    case HTTP_BODY_NONE:
        reader->phase = PHASE_END;
        break;
    case HTTP_BODY_LENGTH:
        reader->phase = PHASE_LENGTH;
        reader->left_bytes = head->content_length;
        break;
    case HTTP_BODY_CHUNKED:
        reader->phase = PHASE_CHUNK_SIZE;
        reader->left_bytes = 0;
        reader->digits = 0;
        break;
    case HTTP_BODY_CLOSE:
        reader->phase = PHASE_CLOSE;
        break;
    }
}

static enum http_event next_head(struct http_reader *reader, struct span *in,
                                 struct http_head *ret_head)
{
    if (in->len == 0) {
        return HTTP_MORE;
    }
    reader->begun = true;
    if (!reader->response && !reader->skipped_line && in->data[0] == '\r') {
        if (in->len == 1) {
            return HTTP_MORE;
        }
        if (in->data[1] == '\n') {
            reader->skipped_line = true;
            *in = span_skip(*in, 2);
            return next_head(reader, in, ret_head);
        }
    }
    if (!http_char_is(in->data[0], HTTP_CHAR_TOKEN)) {
        return fail(reader, 400, "not HTTP");
    }
    ptrdiff_t len = find_head_end(reader, *in);
    if (len <= 0) {
        return len ? HTTP_ERROR : HTTP_MORE;
    }
    struct http_fault fault = {0};
    struct span text = span_of(in->data, (size_t)len);
    bool legal = reader->response ? http_head_parse_response(text, reader->limits,
                                                             reader->head_only, ret_head, &fault)
                                  : http_head_parse_request(text, reader->limits, ret_head, &fault);
    if (!legal) {
        return fail(reader, fault.status, fault.reason);
    }
    *in = span_skip(*in, (size_t)len);
    reader->scanned_bytes = 0;
    if (reader->response && ret_head->status < 200) {
        return HTTP_INTERIM;
    }
    begin_body(reader, ret_head);
    return HTTP_HEADED;
}

/* Hands out at most left_bytes of the input. */
static void take_body(struct http_reader *reader, struct span *in, struct span *ret_body)
{
    size_t len = in->len < reader->left_bytes ? in->len : (size_t)reader->left_bytes;
    *ret_body = span_of(in->data, len);
    *in = span_skip(*in, len);
    reader->left_bytes -= len;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The size line is over: data follows, or trailers. */
static const char *begin_chunk(struct http_reader *reader)
{
    reader->digits = 0;
    reader->line_bytes = 0;
    if (reader->left_bytes == 0) {
        reader->phase = PHASE_TRAILER_START;
        return NULL;
    }
    if (reader->left_bytes > reader->limits->body_max_bytes - reader->body_bytes) {
        return "body too large";
    }
    reader->body_bytes += reader->left_bytes;
    reader->phase = PHASE_CHUNK_DATA;
    return NULL;
}

static const char *size_byte(struct http_reader *reader, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        if (reader->digits++ == CHUNK_DIGITS_MAX) {
            return "chunk size too long";
        }
        reader->left_bytes = reader->left_bytes << 4 | (unsigned)digit;
        return NULL;
    }
    if (reader->digits == 0 || (c != ';' && c != '\r')) {
        return "malformed chunk size";
    }
    reader->line_bytes = 1;
    reader->phase = c == ';' ? PHASE_CHUNK_EXT : PHASE_CHUNK_LF;
    return NULL;
}

static const char *trailer_byte(struct http_reader *reader, char c)
{
    if (++reader->line_bytes > reader->limits->trailer_max_bytes) {
        return "trailers too large";
    }
    if (reader->phase == PHASE_TRAILER_VALUE) {
        if (c == '\r') {
            reader->phase = PHASE_TRAILER_LF;
            return NULL;
        }
        return http_char_is(c, HTTP_CHAR_VALUE) ? NULL : "malformed trailer";
    }
    if (c == '\r' && reader->phase == PHASE_TRAILER_START) {
        reader->phase = PHASE_LAST_LF;
        return NULL;
    }
    if (c == ':' && reader->phase == PHASE_TRAILER_NAME) {
        reader->phase = PHASE_TRAILER_VALUE;
        return NULL;
    }
    reader->phase = PHASE_TRAILER_NAME;
    return http_char_is(c, HTTP_CHAR_TOKEN) ? NULL : "malformed trailer";
}

/* One byte of chunked framing; a text says what is wrong with it. */
static const char *framing_byte(struct http_reader *reader, char c)
{
    switch ((enum phase)reader->phase) {
    case PHASE_CHUNK_SIZE:
        return size_byte(reader, c);
    case PHASE_CHUNK_EXT:
        if (c == '\r') {
            reader->phase = PHASE_CHUNK_LF;
            return NULL;
        }
        if (++reader->line_bytes > reader->limits->chunk_ext_max_bytes) {
            return "chunk extension too long";
        }
        return http_char_is(c, HTTP_CHAR_VALUE) ? NULL : "malformed chunk extension";
    case PHASE_CHUNK_LF:
        return c == '\n' ? begin_chunk(reader) : "chunk size line does not end in CRLF";
    case PHASE_DATA_CR:
        reader->phase = PHASE_DATA_LF;
        return c == '\r' ? NULL : "chunk does not end in CRLF";
    case PHASE_DATA_LF:
        reader->phase = PHASE_CHUNK_SIZE;
        return c == '\n' ? NULL : "chunk does not end in CRLF";
    case PHASE_TRAILER_START:
    case PHASE_TRAILER_NAME:
    case PHASE_TRAILER_VALUE:
        return trailer_byte(reader, c);
    case PHASE_TRAILER_LF:
        reader->phase = PHASE_TRAILER_START;
        return c == '\n' ? NULL : "trailer does not end in CRLF";
    case PHASE_LAST_LF:
        reader->phase = PHASE_END;
        return c == '\n' ? NULL : "last chunk does not end in CRLF";
    case PHASE_HEAD:
    case PHASE_LENGTH:
    case PHASE_CLOSE:
    case PHASE_CHUNK_DATA:
    case PHASE_END:
    case PHASE_FAILED:
        break;
    }
    assert(false); /* a phase without framing bytes */
    return NULL;
}

static enum http_event next_chunk(struct http_reader *reader, struct span *in,
                                  struct span *ret_body)
{
    while (in->len) {
        if (reader->phase == PHASE_CHUNK_DATA) {
            take_body(reader, in, ret_body);
            if (reader->left_bytes == 0) {
                reader->phase = PHASE_DATA_CR;
            }
            return HTTP_BODY;
        }
        if (reader->phase == PHASE_END) {
            break;
        }
        const char *reason = framing_byte(reader, in->data[0]);
        if (reason) {
            bool large = reader->phase == PHASE_CHUNK_LF && in->data[0] == '\n';
            return fail(reader, large ? 413 : 400, reason);
        }
        *in = span_skip(*in, 1);
    }
    return HTTP_MORE;
}

enum http_event http_reader_next(struct http_reader *reader, struct span *in,
                                 struct http_head *ret_head, struct span *ret_body)
{
    enum http_event event;
    switch ((enum phase)reader->phase) {
    case PHASE_HEAD:
        return next_head(reader, in, ret_head);
    case PHASE_LENGTH:
        if (in->len == 0) {
            return HTTP_MORE;
        }
        take_body(reader, in, ret_body);
        if (reader->left_bytes == 0) {
            reader->phase = PHASE_END;
        }
        return HTTP_BODY;
    case PHASE_CLOSE:
        if (in->len == 0) {
            return HTTP_MORE;
        }
        if (in->len > reader->limits->body_max_bytes - reader->body_bytes) {
            return fail(reader, 413, "body too large");
        }
        reader->body_bytes += in->len;
        *ret_body = *in;
        *in = span_skip(*in, in->len);
        return HTTP_BODY;
    case PHASE_FAILED:
        return HTTP_ERROR;
    case PHASE_END:
        reader_reset(reader);
        return HTTP_END;
    case PHASE_CHUNK_SIZE:
    case PHASE_CHUNK_EXT:
    case PHASE_CHUNK_LF:
    case PHASE_CHUNK_DATA:
    case PHASE_DATA_CR:
    case PHASE_DATA_LF:
    case PHASE_TRAILER_START:
    case PHASE_TRAILER_NAME:
    case PHASE_TRAILER_VALUE:
    case PHASE_TRAILER_LF:
    case PHASE_LAST_LF:
        break;
    }
    event = next_chunk(reader, in, ret_body);
    if (event == HTTP_MORE && reader->phase == PHASE_END) {
        reader_reset(reader);
        return HTTP_END;
    }
    return event;
}

enum http_event http_reader_close(struct http_reader *reader)
{
    switch ((enum phase)reader->phase) {
    case PHASE_CLOSE:
    case PHASE_END:
        reader_reset(reader);
        return HTTP_END;
    case PHASE_HEAD:
        return http_reader_idle(reader) ? HTTP_MORE : fail(reader, 400, "head was cut");
    case PHASE_FAILED:
        return HTTP_ERROR;
    case PHASE_LENGTH:
    case PHASE_CHUNK_SIZE:
    case PHASE_CHUNK_EXT:
    case PHASE_CHUNK_LF:
    case PHASE_CHUNK_DATA:
    case PHASE_DATA_CR:
    case PHASE_DATA_LF:
    case PHASE_TRAILER_START:
    case PHASE_TRAILER_NAME:
    case PHASE_TRAILER_VALUE:
    case PHASE_TRAILER_LF:
    case PHASE_LAST_LF:
        break;
    }
    return fail(reader, 400, "body was cut");
}

bool http_reader_idle(const struct http_reader *reader)
{
    return reader->phase == PHASE_HEAD && !reader->begun;
}

bool http_reader_ends(const struct http_reader *reader)
{
    return reader->phase == PHASE_END;
}
