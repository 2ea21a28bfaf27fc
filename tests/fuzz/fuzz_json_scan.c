/*
 * The scanner against jansson: both accept the same texts and see the same members. Known
 * differences, left out: jansson skips NUL bytes between values, refuses NUL in keys, has limits on
 * numbers, and its depth limit is another; it takes the last of two equal keys where the scanner
 * refuses a chosen key twice.
 */
#include "base/json_scan.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span keys[] = {{"model", 5}, {"stream", 6}, {"n", 1}, {"", 0}};
enum { KEYS = sizeof keys / sizeof keys[0] };

static bool same_type(const json_t *theirs, enum json_scan_type ours)
{
    switch (json_typeof(theirs)) {
    case JSON_OBJECT:
        return ours == JSON_SCAN_OBJECT;
    case JSON_ARRAY:
        return ours == JSON_SCAN_ARRAY;
    case JSON_STRING:
        return ours == JSON_SCAN_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return ours == JSON_SCAN_NUMBER;
    case JSON_TRUE:
        return ours == JSON_SCAN_TRUE;
    case JSON_FALSE:
        return ours == JSON_SCAN_FALSE;
    case JSON_NULL:
        return ours == JSON_SCAN_NULL;
    }
    return false;
}

static void check_value(const json_t *theirs, const struct json_scan_value *ours)
{
    assert(same_type(theirs, ours->type));
    if (json_is_string(theirs)) {
        size_t len, size = ours->raw.len;
        char *text = malloc(size);
        assert(text);
        assert(json_scan_string(ours, text, size, &len) == 0);
        assert(len == json_string_length(theirs));
        assert(memcmp(text, json_string_value(theirs), len) == 0);
        free(text);
    } else if (json_is_integer(theirs)) {
        int64_t number;
        assert(json_scan_int(ours, INT64_MIN, INT64_MAX, &number) == 0);
        assert(number == json_integer_value(theirs));
    } else if (json_is_array(theirs)) {
        assert(ours->items == json_array_size(theirs));
    }
}

static void check_object(struct span text, const json_t *theirs)
{
    struct json_scan_value values[KEYS];
    struct json_scan_error err;
    int rc = json_scan(text, keys, KEYS, values, &err);
    if (rc == -EEXIST) {
        assert(err.key >= 0 && err.key < KEYS && json_object_get(theirs, keys[err.key].data));
        return;
    }
    assert(rc == 0);
    for (size_t i = 0; i < KEYS; i++) {
        const json_t *member = json_object_get(theirs, keys[i].data);
        assert((member != NULL) == (values[i].type != JSON_SCAN_ABSENT));
        if (member) {
            check_value(member, &values[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of((const char *)data, size);
    struct json_scan_value value;
    struct json_scan_error err = {0};
    int rc = json_scan_any(text, &value, &err);
    assert(rc == 0 || (err.reason && err.offset_bytes <= size));

    if (memchr(data, 0, size)) {
        assert(rc != 0);
        return 0;
    }
    json_error_t jerr;
    json_t *theirs = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &jerr);
    if (theirs) {
        assert(rc == 0 || rc == -E2BIG);
        if (rc == 0) {
            check_value(theirs, &value);
            if (json_is_object(theirs)) {
                check_object(text, theirs);
            }
        }
        json_decref(theirs);
    } else if (rc == 0) {
        enum json_error_code code = json_error_code(&jerr);
        assert(code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
               code == json_error_stack_overflow);
    }

    struct json_request request;
    const char *field;
    (void)json_scan_request(text, &request, &err, &field);
    return 0;
}
