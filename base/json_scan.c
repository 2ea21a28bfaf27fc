/*
 * The scanner: one loop over the bytes with a stack of one bit a level (array or object), no
 * recursion. Strings are crossed eight bytes at a time where they are plain ASCII. Only strings
 * that are keys of the top level are decoded.
 */
#include "base/json_scan.h"

#include "base/utf8.h"

#include <assert.h>
#include <errno.h>

struct scan {
    const char *start, *at, *end;
    struct json_scan_error *err;
    size_t text_bytes; /* of all strings that are values, so far */
};

static int fail(struct scan *s, const char *at, const char *reason)
{
    *s->err = (struct json_scan_error){
        .offset_bytes = (size_t)(at - s->start), .key = -1, .reason = reason};
    return -EINVAL;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) {
        s->at++;
    }
}

/* Four hexadecimal digits at p, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4) {
        return -1;
    }
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i], low = (char)(c | 0x20);
        int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (digit < 0) {
            return -1;
        }
        value = value << 4 | digit;
    }
    return value;
}

/*
 * An escape at p (the backslash). Returns its length and *ret_code, or 0 if it is malformed.
 * Surrogates must come in pairs.
 */
static size_t read_escape(const char *p, const char *end, uint32_t *ret_code)
{
    if (end - p < 2) {
        return 0;
    }
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
        *ret_code = (unsigned char)p[1];
        return 2;
    case 'b':
        *ret_code = '\b';
        return 2;
    case 'f':
        *ret_code = '\f';
        return 2;
    case 'n':
        *ret_code = '\n';
        return 2;
    case 'r':
        *ret_code = '\r';
        return 2;
    case 't':
        *ret_code = '\t';
        return 2;
    case 'u':
        break;
    default:
        return 0;
    }
    int32_t first = hex4(p + 2, end);
    if (first < 0 || (first >= 0xdc00 && first <= 0xdfff)) {
        return 0;
    }
    if (first < 0xd800 || first > 0xdbff) {
        *ret_code = (uint32_t)first;
        return 6;
    }
    if (end - p < 12 || p[6] != '\\' || p[7] != 'u') {
        return 0;
    }
    int32_t second = hex4(p + 8, end);
    if (second < 0xdc00 || second > 0xdfff) {
        return 0;
    }
    *ret_code = 0x10000 + ((uint32_t)(first - 0xd800) << 10) + (uint32_t)(second - 0xdc00);
    return 12;
}

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/*
 * A word whose high bits are set where a byte ends a plain run: a quote, a backslash, a control
 * byte, or anything above ASCII. Exact up to and including the first such byte.
 */
static uint64_t special_bytes(uint64_t word)
{
    uint64_t quote = word ^ (ONES * '"');
    uint64_t slash = word ^ (ONES * '\\');
    return (((quote - ONES) & ~quote) | ((slash - ONES) & ~slash) | (word - ONES * 0x20) | word) &
           HIGHS;
}

static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        uint64_t special = special_bytes(word);
        if (special) {
            return p + __builtin_ctzll(special) / 8;
        }
#else
        if (special_bytes(word)) {
            break;
        }
#endif
        p += 8;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 &&
           (unsigned char)*p < 0x80) {
        p++;
    }
    return p;
}

/* Crosses the string at s->at (its quote). *ret_inside is what stands between the quotes. */
static int scan_string(struct scan *s, struct span *ret_inside, bool *ret_escaped)
{
    const char *inside = s->at + 1, *p = inside;
    *ret_escaped = false;
    for (;;) {
        p = skip_plain(p, s->end);
        if (p == s->end) {
            return fail(s, s->end, "string without an end");
        }
        if (*p == '"') {
            break;
        }
        size_t len;
        if (*p == '\\') {
            uint32_t code;
            len = read_escape(p, s->end, &code);
            *ret_escaped = true;
            if (len == 0) {
                return fail(s, p, "malformed escape in a string");
            }
        } else if ((unsigned char)*p < 0x20) {
            return fail(s, p, "control character in a string");
        } else {
            /* Runs of such text are common: stay here as long as they last. */
            do {
                len = utf8_length(p, (size_t)(s->end - p));
                if (len == 0) {
                    return fail(s, p, "invalid UTF-8");
                }
                p += len;
            } while (p < s->end && (unsigned char)*p >= 0x80);
            len = 0;
        }
        p += len;
    }
    *ret_inside = span_of(inside, (size_t)(p - inside));
    s->at = p + 1;
    return 0;
}

static bool is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

static int scan_number(struct scan *s)
{
    const char *p = s->at, *end = s->end;
    p += *p == '-';
    if (!is_digit(p, end)) {
        return fail(s, p, "malformed number");
    }
    if (*p == '0') {
        p++;
        if (is_digit(p, end)) {
            return fail(s, p, "number with a leading zero");
        }
    }
    while (is_digit(p, end)) {
        p++;
    }
    if (p < end && *p == '.') {
        p++;
        if (!is_digit(p, end)) {
            return fail(s, p, "malformed number");
        }
        while (is_digit(p, end)) {
            p++;
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        if (!is_digit(p, end)) {
            return fail(s, p, "malformed number");
        }
        while (is_digit(p, end)) {
            p++;
        }
    }
    s->at = p;
    return 0;
}

static int scan_literal(struct scan *s, struct span word)
{
    if ((size_t)(s->end - s->at) < word.len || memcmp(s->at, word.data, word.len) != 0) {
        return fail(s, s->at, "not a JSON value");
    }
    s->at += word.len;
    return 0;
}

/* A value that is neither object nor array. */
static int scan_scalar(struct scan *s, enum json_scan_type *ret_type)
{
    struct span inside;
    bool escaped;
    int rc;
    switch (*s->at) {
    case '"':
        *ret_type = JSON_SCAN_STRING;
        rc = scan_string(s, &inside, &escaped);
        if (rc == 0) {
            s->text_bytes += inside.len;
        }
        return rc;
    case 't':
        *ret_type = JSON_SCAN_TRUE;
        return scan_literal(s, SPAN_LITERAL("true"));
    case 'f':
        *ret_type = JSON_SCAN_FALSE;
        return scan_literal(s, SPAN_LITERAL("false"));
    case 'n':
        *ret_type = JSON_SCAN_NULL;
        return scan_literal(s, SPAN_LITERAL("null"));
    default:
        if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9')) {
            *ret_type = JSON_SCAN_NUMBER;
            return scan_number(s);
        }
        return fail(s, s->at, "not a JSON value");
    }
}

/* Takes a key and its colon. */
static int scan_key(struct scan *s, struct span *ret_inside, bool *ret_escaped)
{
    if (s->at == s->end || *s->at != '"') {
        return fail(s, s->at, "a key is missing");
    }
    int rc = scan_string(s, ret_inside, ret_escaped);
    if (rc) {
        return rc;
    }
    skip_space(s);
    if (s->at == s->end || *s->at != ':') {
        return fail(s, s->at, "a colon is missing");
    }
    s->at++;
    return 0;
}

/*
 * Crosses one value of any depth. outer is how many levels are already open around it.
 */
static int scan_value(struct scan *s, unsigned outer, struct json_scan_value *ret)
{
    uint64_t objects = 0; /* bit d: level d is an object */
    unsigned depth = 0;
    const char *start;
    size_t text_before = s->text_bytes;
    enum json_scan_type type, own = JSON_SCAN_NULL;
    uint32_t items = 0;
    struct span key;
    bool escaped;
    int rc;

    skip_space(s);
    start = s->at;
    for (;;) {
        /* A value is due. */
        skip_space(s);
        if (s->at == s->end) {
            return fail(s, s->at, "a value is missing");
        }
        items += depth == 1;
        if (*s->at == '{' || *s->at == '[') {
            bool object = *s->at == '{';
            type = object ? JSON_SCAN_OBJECT : JSON_SCAN_ARRAY;
            own = depth == 0 ? type : own;
            if (outer + depth == JSON_SCAN_DEPTH_MAX) {
                (void)fail(s, s->at, "nested too deeply");
                return -E2BIG;
            }
            objects = objects << 1 | object;
            depth++;
            s->at++;
            skip_space(s);
            if (s->at < s->end && *s->at == (object ? '}' : ']')) {
                s->at++;
                objects >>= 1;
                depth--;
            } else {
                if (object && (rc = scan_key(s, &key, &escaped))) {
                    return rc;
                }
                continue;
            }
        } else {
            rc = scan_scalar(s, &type);
            if (rc) {
                return rc;
            }
            own = depth == 0 ? type : own;
        }
        /* A value is over: what comes behind it, on as many levels as end here. */
        for (;;) {
            if (depth == 0) {
                *ret = (struct json_scan_value){
                    .type = own,
                    .raw = span_of(start, (size_t)(s->at - start)),
                    .offset_bytes = (size_t)(start - s->start),
                    .text_bytes = s->text_bytes - text_before,
                    .items = items,
                };
                return 0;
            }
            bool object = objects & 1;
            skip_space(s);
            if (s->at == s->end) {
                return fail(s, s->at, object ? "object without an end" : "array without an end");
            }
            char c = *s->at++;
            if (c == ',') {
                skip_space(s);
                if (object && (rc = scan_key(s, &key, &escaped))) {
                    return rc;
                }
                break;
            }
            if (c != (object ? '}' : ']')) {
                return fail(s, s->at - 1,
                            object ? "a comma or } is missing" : "a comma or ] is missing");
            }
            objects >>= 1;
            depth--;
        }
    }
}

/* Decodes what stands between quotes, known to be valid. Returns the bytes it has; those that fit
 * are written. */
static size_t decode(struct span inside, char *buf, size_t size)
{
    size_t len = 0;
    const char *p = inside.data, *end = inside.data + inside.len;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash ? slash : end) - p);
        if (len + plain <= size && plain) {
            memcpy(buf + len, p, plain);
        }
        len += plain;
        p += plain;
        if (slash) {
            uint32_t code;
            char text[4];
            p += read_escape(p, end, &code);
            size_t n = utf8_encode(code, text);
            if (len + n <= size) {
                memcpy(buf + len, text, n);
            }
            len += n;
        }
    }
    return len;
}

/* Index of the chosen key that this one is, or -1. */
static int find_key(struct span inside, bool escaped, const struct span *keys, size_t keys_len)
{
    char buf[JSON_SCAN_KEY_MAX_BYTES];
    if (escaped) {
        size_t len = decode(inside, buf, sizeof buf);
        if (len > sizeof buf) {
            return -1;
        }
        inside = span_of(buf, len);
    }
    for (size_t i = 0; i < keys_len; i++) {
        if (span_equal(inside, keys[i])) {
            return (int)i;
        }
    }
    return -1;
}

static int scan_members(struct scan *s, const struct span *keys, size_t keys_len,
                        struct json_scan_value *values)
{
    for (;;) {
        struct span inside;
        bool escaped;
        struct json_scan_value value;
        skip_space(s);
        const char *key_at = s->at;
        int rc = scan_key(s, &inside, &escaped);
        if (rc) {
            return rc;
        }
        int key = find_key(inside, escaped, keys, keys_len);
        if (key >= 0 && values[key].type != JSON_SCAN_ABSENT) {
            (void)fail(s, key_at, "the key appears twice");
            s->err->key = key;
            return -EEXIST;
        }
        rc = scan_value(s, 1, &value);
        if (rc) {
            s->err->key = key;
            return rc;
        }
        if (key >= 0) {
            values[key] = value;
        }
        skip_space(s);
        if (s->at == s->end) {
            return fail(s, s->at, "object without an end");
        }
        char c = *s->at++;
        if (c == '}') {
            return 0;
        }
        if (c != ',') {
            return fail(s, s->at - 1, "a comma or } is missing");
        }
    }
}

static int scan_nothing_more(struct scan *s)
{
    skip_space(s);
    return s->at == s->end ? 0 : fail(s, s->at, "something stands behind the JSON value");
}

int json_scan(struct span text, const struct span *keys, size_t keys_len,
              struct json_scan_value *values, struct json_scan_error *err)
{
    assert(keys_len <= JSON_SCAN_KEYS_MAX);
    struct scan s = {.start = text.data, .at = text.data, .end = text.data + text.len, .err = err};
    for (size_t i = 0; i < keys_len; i++) {
        assert(keys[i].len <= JSON_SCAN_KEY_MAX_BYTES);
        values[i] = (struct json_scan_value){.type = JSON_SCAN_ABSENT};
    }
    skip_space(&s);
    if (s.at == s.end || *s.at != '{') {
        return fail(&s, s.at, "not a JSON object");
    }
    s.at++;
    skip_space(&s);
    if (s.at < s.end && *s.at == '}') {
        s.at++;
        return scan_nothing_more(&s);
    }
    int rc = scan_members(&s, keys, keys_len, values);
    return rc ? rc : scan_nothing_more(&s);
}

int json_scan_any(struct span text, struct json_scan_value *ret_value, struct json_scan_error *err)
{
    struct scan s = {.start = text.data, .at = text.data, .end = text.data + text.len, .err = err};
    struct json_scan_value value;
    int rc = scan_value(&s, 0, &value);
    if (rc == 0) {
        rc = scan_nothing_more(&s);
    }
    if (rc == 0) {
        *ret_value = value;
    }
    return rc;
}

int json_scan_int(const struct json_scan_value *value, int64_t min, int64_t max, int64_t *ret)
{
    if (value->type != JSON_SCAN_NUMBER) {
        return -EINVAL;
    }
    const char *p = value->raw.data, *end = p + value->raw.len;
    bool negative = *p == '-';
    uint64_t magnitude = 0, most = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    for (p += negative; p < end; p++) {
        if (*p < '0' || *p > '9') {
            return -EINVAL;
        }
        uint64_t digit = (uint64_t)(*p - '0');
        if (magnitude > (most - digit) / 10) {
            return -ERANGE;
        }
        magnitude = magnitude * 10 + digit;
    }
    int64_t number = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (number < min || number > max) {
        return -ERANGE;
    }
    *ret = number;
    return 0;
}

int json_scan_string(const struct json_scan_value *value, char *buf, size_t size, size_t *ret_len)
{
    if (value->type != JSON_SCAN_STRING) {
        return -EINVAL;
    }
    size_t len = decode(span_of(value->raw.data + 1, value->raw.len - 2), buf, size);
    if (len > size) {
        return -ENOBUFS;
    }
    *ret_len = len;
    return 0;
}

void json_splice(struct span text, const struct json_scan_value *value, struct span replacement,
                 struct span ret_pieces[3])
{
    assert(value->offset_bytes + value->raw.len <= text.len);
    ret_pieces[0] = span_of(text.data, value->offset_bytes);
    ret_pieces[1] = replacement;
    ret_pieces[2] = span_skip(text, value->offset_bytes + value->raw.len);
}
