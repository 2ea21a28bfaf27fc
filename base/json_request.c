/* The members of an OpenAI request that the host acts upon, with their types and ranges. */
#include "base/json_scan.h"

#include <errno.h>

enum key {
    KEY_MODEL,
    KEY_STREAM,
    KEY_STREAM_OPTIONS,
    KEY_MAX_COMPLETION_TOKENS,
    KEY_MAX_TOKENS,
    KEY_MAX_OUTPUT_TOKENS,
    KEY_N,
    KEY_PRIORITY,
    KEY_USER,
    KEY_MESSAGES,
    KEY_PROMPT,
    KEY_INPUT,
    KEYS,
};

static const struct span keys[KEYS] = {
    [KEY_MODEL] = {"model", 5},
    [KEY_STREAM] = {"stream", 6},
    [KEY_STREAM_OPTIONS] = {"stream_options", 14},
    [KEY_MAX_COMPLETION_TOKENS] = {"max_completion_tokens", 21},
    [KEY_MAX_TOKENS] = {"max_tokens", 10},
    [KEY_MAX_OUTPUT_TOKENS] = {"max_output_tokens", 17},
    [KEY_N] = {"n", 1},
    [KEY_PRIORITY] = {"priority", 8},
    [KEY_USER] = {"user", 4},
    [KEY_MESSAGES] = {"messages", 8},
    [KEY_PROMPT] = {"prompt", 6},
    [KEY_INPUT] = {"input", 5},
};

/* No engine takes more; it keeps sums of such numbers from overflowing. */
enum { TOKENS_MAX = 1 << 30, N_MAX = 128 };

struct reading {
    const struct json_scan_value *values;
    struct json_scan_error *err;
    const char **ret_field;
};

static int wrong(struct reading *r, enum key key, const char *reason)
{
    *r->err = (struct json_scan_error){
        .offset_bytes = r->values[key].offset_bytes, .key = (int)key, .reason = reason};
    *r->ret_field = keys[key].data;
    return -EINVAL;
}

static bool absent(const struct json_scan_value *value)
{
    return value->type == JSON_SCAN_ABSENT || value->type == JSON_SCAN_NULL;
}

static int read_bool(struct reading *r, enum key key, bool *ret)
{
    const struct json_scan_value *value = &r->values[key];
    if (absent(value)) {
        return 0;
    }
    if (value->type != JSON_SCAN_TRUE && value->type != JSON_SCAN_FALSE) {
        return wrong(r, key, "must be true or false");
    }
    *ret = value->type == JSON_SCAN_TRUE;
    return 0;
}

static int read_int(struct reading *r, enum key key, int64_t min, int64_t max, int64_t *ret)
{
    if (absent(&r->values[key])) {
        return 0;
    }
    int rc = json_scan_int(&r->values[key], min, max, ret);
    if (rc) {
        return wrong(r, key, rc == -ERANGE ? "is out of range" : "must be an integer");
    }
    return 0;
}

static int read_model(struct reading *r, struct json_request *request)
{
    const struct json_scan_value *value = &r->values[KEY_MODEL];
    size_t len;
    if (absent(value)) {
        (void)wrong(r, KEY_MODEL, "is missing");
        return -ENOENT;
    }
    if (value->type != JSON_SCAN_STRING) {
        return wrong(r, KEY_MODEL, "must be a string");
    }
    if (json_scan_string(value, request->model_text, sizeof request->model_text, &len)) {
        return wrong(r, KEY_MODEL, "is too long");
    }
    if (len == 0) {
        return wrong(r, KEY_MODEL, "is empty");
    }
    if (memchr(value->raw.data, '\\', value->raw.len)) {
        request->model = span_of(request->model_text, len);
    } else {
        request->model = span_of(value->raw.data + 1, value->raw.len - 2);
    }
    request->model_value = *value;
    return 0;
}

static int read_stream_options(struct reading *r, struct json_request *request)
{
    static const struct span inner = {"include_usage", 13};
    const struct json_scan_value *value = &r->values[KEY_STREAM_OPTIONS];
    struct json_scan_value usage;
    if (absent(value)) {
        return 0;
    }
    if (value->type != JSON_SCAN_OBJECT) {
        return wrong(r, KEY_STREAM_OPTIONS, "must be an object");
    }
    request->has_stream_options = true;
    if (json_scan(value->raw, &inner, 1, &usage, r->err)) {
        return wrong(r, KEY_STREAM_OPTIONS, "has include_usage twice");
    }
    if (!absent(&usage) && usage.type != JSON_SCAN_TRUE && usage.type != JSON_SCAN_FALSE) {
        return wrong(r, KEY_STREAM_OPTIONS, "has an include_usage that is not true or false");
    }
    request->include_usage = usage.type == JSON_SCAN_TRUE;
    return 0;
}

static int read_max_tokens(struct reading *r, struct json_request *request)
{
    static const enum key order[] = {KEY_MAX_OUTPUT_TOKENS, KEY_MAX_TOKENS,
                                     KEY_MAX_COMPLETION_TOKENS};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        int rc = read_int(r, order[i], 0, TOKENS_MAX, &request->max_tokens);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

int json_scan_request(struct span text, struct json_request *ret, struct json_scan_error *err,
                      const char **ret_field)
{
    struct json_scan_value values[KEYS];
    struct reading r = {.values = values, .err = err, .ret_field = ret_field};
    *ret_field = NULL;
    int rc = json_scan(text, keys, KEYS, values, err);
    if (rc) {
        if (rc == -EEXIST) {
            *ret_field = keys[err->key].data;
        }
        return rc;
    }
    ret->model = ret->user = (struct span){0};
    ret->stream = ret->include_usage = ret->has_stream_options = false;
    ret->max_tokens = ret->priority = 0;
    ret->n = 1;
    ret->has_priority = !absent(&values[KEY_PRIORITY]);
    if ((rc = read_model(&r, ret)) || (rc = read_bool(&r, KEY_STREAM, &ret->stream)) ||
        (rc = read_stream_options(&r, ret)) || (rc = read_max_tokens(&r, ret)) ||
        (rc = read_int(&r, KEY_N, 1, N_MAX, &ret->n)) ||
        (rc = read_int(&r, KEY_PRIORITY, INT64_MIN, INT64_MAX, &ret->priority))) {
        return rc;
    }
    if (!absent(&values[KEY_USER])) {
        if (values[KEY_USER].type != JSON_SCAN_STRING) {
            return wrong(&r, KEY_USER, "must be a string");
        }
        ret->user = values[KEY_USER].raw;
    }
    ret->prompt_bytes = (uint64_t)values[KEY_MESSAGES].text_bytes + values[KEY_PROMPT].text_bytes +
                        values[KEY_INPUT].text_bytes;
    return 0;
}
