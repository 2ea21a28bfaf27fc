/* JSON on its way out. See json_write.h. */
#include "base/json_write.h"

#include "base/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

static void put(struct json_write *w, const char *data, size_t len)
{
    if (w->failed || len > w->size - w->len) {
        w->failed = true;
        return;
    }
    if (len) {
        memcpy(w->data + w->len, data, len);
        w->len += len;
    }
}

static bool in_array(const struct json_write *w)
{
    return w->depth && (w->arrays >> w->depth & 1);
}

/* What comes in front of a value: a comma where one is due. */
static void before_value(struct json_write *w)
{
    if (w->depth == 0) {
        return;
    }
    if (in_array(w)) {
        if (w->comma) {
            put(w, ",", 1);
        }
    } else {
        assert(w->keyed);
    }
    w->comma = true;
    w->keyed = false;
}

void json_write_init(struct json_write *w, char *data, size_t size)
{
    *w = (struct json_write){.data = data, .size = size};
}

static void open_level(struct json_write *w, char bracket, bool array)
{
    if (w->failed) {
        return;
    }
    before_value(w);
    if (w->depth == JSON_WRITE_DEPTH_MAX) {
        w->failed = true;
        return;
    }
    w->depth++;
    w->arrays = (w->arrays & ~(UINT64_C(1) << w->depth)) | (uint64_t)array << w->depth;
    w->comma = false;
    put(w, &bracket, 1);
}

static void close_level(struct json_write *w, char bracket, bool array)
{
    if (w->failed) {
        return;
    }
    assert(w->depth > 0 && in_array(w) == array && !w->keyed);
    w->depth--;
    w->comma = true;
    put(w, &bracket, 1);
}

void json_write_object(struct json_write *w)
{
    open_level(w, '{', false);
}

void json_write_object_end(struct json_write *w)
{
    close_level(w, '}', false);
}

void json_write_array(struct json_write *w)
{
    open_level(w, '[', true);
}

void json_write_array_end(struct json_write *w)
{
    close_level(w, ']', true);
}

/* What a byte below 0x80 becomes in a string; returns the length, at most 6. */
static size_t escape_ascii(char c, char text[6])
{
    static const char hex[] = "0123456789abcdef";
    const char *named = strchr("\"\"\\\\b\bf\fn\nr\rt\t", c);
    text[0] = '\\';
    if (c == '"' || c == '\\') {
        text[1] = c;
        return 2;
    }
    if (c && (unsigned char)c < 0x20 && named) {
        text[1] = named[-1];
        return 2;
    }
    if ((unsigned char)c < 0x20 || c == 0x7f) {
        memcpy(text + 1, "u00", 3);
        text[4] = hex[(unsigned char)c >> 4];
        text[5] = hex[c & 15];
        return 6;
    }
    text[0] = c;
    return 1;
}

/* Gives the escaped form of text piece by piece to `sink`. */
static void escape_to(struct span text, void (*sink)(void *to, const char *data, size_t len),
                      void *to)
{
    size_t i = 0, start = 0;
    while (i < text.len) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t whole = c < 0x80 ? 0 : utf8_length(text.data + i, text.len - i);
        if (whole) {
            i += whole;
            continue;
        }
        sink(to, text.data + start, i - start);
        char escaped[6];
        if (c < 0x80) {
            size_t n = escape_ascii((char)c, escaped);
            sink(to, escaped, n);
        } else {
            sink(to, "\xef\xbf\xbd", 3); /* U+FFFD */
        }
        start = ++i;
    }
    sink(to, text.data + start, i - start);
}

static void sink_writer(void *to, const char *data, size_t len)
{
    put(to, data, len);
}

static void put_string(struct json_write *w, struct span text)
{
    put(w, "\"", 1);
    escape_to(text, sink_writer, w);
    put(w, "\"", 1);
}

void json_write_key_span(struct json_write *w, struct span key)
{
    if (w->failed) {
        return;
    }
    assert(w->depth > 0 && !in_array(w) && !w->keyed);
    if (w->comma) {
        put(w, ",", 1);
    }
    put_string(w, key);
    put(w, ":", 1);
    w->keyed = true;
}

void json_write_key(struct json_write *w, const char *key)
{
    json_write_key_span(w, span_of_string(key));
}

/* Every value but an object or array. Once failed, nothing is checked any more. */
static void put_value(struct json_write *w, struct span json)
{
    if (!w->failed) {
        before_value(w);
        put(w, json.data, json.len);
    }
}

void json_write_span(struct json_write *w, struct span text)
{
    if (!w->failed) {
        before_value(w);
        put_string(w, text);
    }
}

void json_write_string(struct json_write *w, const char *text)
{
    if (text) {
        json_write_span(w, span_of_string(text));
    } else {
        json_write_null(w);
    }
}

void json_write_uint(struct json_write *w, uint64_t value)
{
    char text[20];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put_value(w, span_of(text + at, sizeof text - at));
}

void json_write_int(struct json_write *w, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    put_value(w, span_of(text, (size_t)n));
}

void json_write_real(struct json_write *w, double value, unsigned digits)
{
    assert(digits >= 1 && digits <= 17);
    if (!isfinite(value)) {
        json_write_null(w);
        return;
    }
    char text[40];
    int n = snprintf(text, sizeof text, "%.*g", (int)digits, value);
    put_value(w, span_of(text, (size_t)n));
}

void json_write_bool(struct json_write *w, bool value)
{
    put_value(w, value ? SPAN_LITERAL("true") : SPAN_LITERAL("false"));
}

void json_write_null(struct json_write *w)
{
    put_value(w, SPAN_LITERAL("null"));
}

void json_write_raw(struct json_write *w, struct span json)
{
    put_value(w, json);
}

void json_write_plain(struct json_write *w, struct span bytes)
{
    if (!w->failed) {
        assert(w->depth == 0);
        put(w, bytes.data, bytes.len);
    }
}

bool json_write_done(const struct json_write *w, struct span *ret_text)
{
    if (w->failed || w->depth) {
        return false;
    }
    *ret_text = span_of(w->data, w->len);
    return true;
}

struct escape_buffer {
    char *data;
    size_t len, size;
};

static void sink_buffer(void *to, const char *data, size_t len)
{
    struct escape_buffer *buffer = to;
    if (len && buffer->len + len <= buffer->size) {
        memcpy(buffer->data + buffer->len, data, len);
    }
    buffer->len += len;
}

size_t json_escape(struct span text, char *out, size_t size)
{
    struct escape_buffer buffer = {.data = out, .size = size};
    escape_to(text, sink_buffer, &buffer);
    return buffer.len;
}
