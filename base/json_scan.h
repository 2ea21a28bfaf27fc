/*
 * Validates a JSON text in one pass and tells where the values of chosen top-level keys stand,
 * without building a tree: the request path must not stall the loop on a large body, and the body
 * goes on to the engine untouched. Strict RFC 8259: numbers, literals, escapes with paired
 * surrogates, UTF-8, depth. A chosen key that appears twice is an error (readers differ about which
 * one holds, and routing must not), also when one of the two is written with escapes; other
 * duplicate keys are the engine's affair. Allocates nothing; all spans point into the text.
 */
#ifndef SHUNT_BASE_JSON_SCAN_H
#define SHUNT_BASE_JSON_SCAN_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JSON_SCAN_DEPTH_MAX = 64, /* arrays and objects inside one another */
    JSON_SCAN_KEYS_MAX = 32,  /* keys chosen in one scan */
    JSON_SCAN_KEY_MAX_BYTES = 64,
};

enum json_scan_type {
    JSON_SCAN_ABSENT, /* the key is not there */
    JSON_SCAN_NULL,
    JSON_SCAN_FALSE,
    JSON_SCAN_TRUE,
    JSON_SCAN_NUMBER,
    JSON_SCAN_STRING,
    JSON_SCAN_ARRAY,
    JSON_SCAN_OBJECT,
};

struct json_scan_value {
    enum json_scan_type type;
    struct span raw;     /* the value as written; a string with its quotes */
    size_t offset_bytes; /* of raw in the text */
    size_t text_bytes; /* bytes between the quotes of all strings in the value, keys not counted */
    uint32_t items;    /* elements or members on the value's own level */
};

struct json_scan_error {
    size_t offset_bytes; /* where it was noticed */
    int key;             /* index of the chosen key concerned, or -1 */
    const char *reason;  /* static text, one line */
};

/*
 * Scans one JSON text whose top level is an object. values[i] answers keys[i] (at most
 * JSON_SCAN_KEYS_MAX keys, each at most JSON_SCAN_KEY_MAX_BYTES, compared after decoding). Errors:
 * -EINVAL (not JSON, not an object, invalid UTF-8, surrounding garbage), -EEXIST (a chosen key
 * twice), -E2BIG (too deep). *err is filled on every error; values is undefined then.
 */
int json_scan(struct span text, const struct span *keys, size_t keys_len,
              struct json_scan_value *values, struct json_scan_error *err);

/* Any JSON value, not only an object; for tests against other readers and for nested values. */
int json_scan_any(struct span text, struct json_scan_value *ret_value, struct json_scan_error *err);

/* Integer within [min, max] written without fraction or exponent; -EINVAL or -ERANGE. */
int json_scan_int(const struct json_scan_value *value, int64_t min, int64_t max, int64_t *ret);

/*
 * Decodes a string value into buf as UTF-8, without NUL. -EINVAL (not a string), -ENOBUFS (does
 * not fit). *ret_len is the decoded length.
 */
int json_scan_string(const struct json_scan_value *value, char *buf, size_t size, size_t *ret_len);

/* The top-level members of an OpenAI request that the host acts upon. */
struct json_request {
    struct span model; /* decoded: inside model_text if it had escapes, else in the body */
    struct json_scan_value model_value;
    bool stream;
    bool include_usage; /* stream_options.include_usage */
    bool has_stream_options;
    int64_t max_tokens; /* max_completion_tokens, else max_tokens, else max_output_tokens; 0 = not
                           given */
    int64_t n;          /* 1 = not given */
    int64_t priority;   /* 0 = not given */
    bool has_priority;
    struct span user;      /* raw string with quotes, empty = not given */
    uint64_t prompt_bytes; /* bytes of all strings in messages, prompt or input: about 4 a token */
    char model_text[256];
};

/*
 * Reads the members above. A member of the wrong type or out of range is an error: -EINVAL with
 * err->reason; *ret_field names it ("model", "stream"; NULL where the text is no JSON object).
 * A null member counts as absent. Errors of json_scan() pass through; -ENOENT: no model.
 */
int json_scan_request(struct span text, struct json_request *ret, struct json_scan_error *err,
                      const char **ret_field);

/*
 * The three pieces that are the text with the value replaced: text before it, the replacement (a
 * complete JSON value, for instance a quoted name), text behind it.
 */
void json_splice(struct span text, const struct json_scan_value *value, struct span replacement,
                 struct span ret_pieces[3]);

#endif
