/*
 * Appends JSON to a buffer of the caller: log lines, error bodies, metrics, admin answers. Bounded,
 * no allocation, no tree. Commas are put by the writer. Text is made valid whatever comes in:
 * control bytes are escaped and a byte that is no UTF-8 becomes U+FFFD. What does not fit sets
 * failed and nothing more is appended: check json_write_done() once, at the end.
 *
 *     json_write_init(&w, buf, sizeof buf);
 *     json_write_object(&w);
 *     json_write_key(&w, "queued");  json_write_uint(&w, 3);
 *     json_write_object_end(&w);
 *     if (json_write_done(&w, &text)) ...
 */
#ifndef SHUNT_BASE_JSON_WRITE_H
#define SHUNT_BASE_JSON_WRITE_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_WRITE_DEPTH_MAX = 32 };

struct json_write {
    char *data;
    size_t len;
    size_t size;
    uint64_t arrays; /* bit d: level d is an array */
    uint8_t depth;
    bool comma; /* a value came before on this level */
    bool keyed; /* a key waits for its value */
    bool failed;
};

void json_write_init(struct json_write *w, char *data, size_t size);

void json_write_object(struct json_write *w);
void json_write_object_end(struct json_write *w);
void json_write_array(struct json_write *w);
void json_write_array_end(struct json_write *w);

/* The key of the next value; only inside an object. */
void json_write_key(struct json_write *w, const char *key);
void json_write_key_span(struct json_write *w, struct span key);

void json_write_string(struct json_write *w, const char *text); /* NULL writes null */
void json_write_span(struct json_write *w, struct span text);
void json_write_int(struct json_write *w, int64_t value);
void json_write_uint(struct json_write *w, uint64_t value);
/* Shortest of at most `digits` significant digits (1 to 17); null if not finite. */
void json_write_real(struct json_write *w, double value, unsigned digits);
void json_write_bool(struct json_write *w, bool value);
void json_write_null(struct json_write *w);
/* A complete JSON value that the caller vouches for. */
void json_write_raw(struct json_write *w, struct span json);

/* Bytes between values that are not JSON: the line end of a log, "data: " of an event stream. Only
 * outside of any object or array; the next value starts afresh. */
void json_write_plain(struct json_write *w, struct span bytes);

/* True if everything fitted and every level is closed; then *ret_text is the result. */
bool json_write_done(const struct json_write *w, struct span *ret_text);

/*
 * Escapes text into out without quotes; returns the bytes needed, written only if they fit size.
 * At most 6 times text.len.
 */
size_t json_escape(struct span text, char *out, size_t size);

#endif
