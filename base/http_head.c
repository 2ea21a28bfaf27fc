/*
 * Heads of HTTP/1.1 messages: start lines, fields, and what the fields say about framing and the
 * connection. Works on a complete head; http.c has found its end.
 */
#include "base/http_head.h"

#include <assert.h>

#define T (HTTP_CHAR_TOKEN | HTTP_CHAR_VALUE | HTTP_CHAR_TARGET)
#define G (HTTP_CHAR_VALUE | HTTP_CHAR_TARGET)
#define V (HTTP_CHAR_VALUE)

/* A row is sixteen bytes. '#' may stand in a token and a value, not in a target. */
const uint8_t http_chars[256] = {
    0, 0, 0, 0,
    0, 0, 0, 0,
    0, V, 0, 0,
    0, 0, 0, 0, /* 00: HTAB */
    0, 0, 0, 0,
    0, 0, 0, 0,
    0, 0, 0, 0,
    0, 0, 0, 0, /* 10 */
    V, T, G, HTTP_CHAR_TOKEN | HTTP_CHAR_VALUE,
    T, T, T, T,
    G, G, T, T,
    G, T, T, G, /* 20 */
    T, T, T, T,
    T, T, T, T,
    T, T, G, G,
    G, G, G, G, /* 30: digits : ; < = > ? */
    G, T, T, T,
    T, T, T, T,
    T, T, T, T,
    T, T, T, T, /* 40: @ letters */
    T, T, T, T,
    T, T, T, T,
    T, T, T, G,
    G, G, T, T, /* 50: letters [ \ ] ^ _ */
    T, T, T, T,
    T, T, T, T,
    T, T, T, T,
    T, T, T, T, /* 60: ` letters */
    T, T, T, T,
    T, T, T, T,
    T, T, T, G,
    T, G, T, 0, /* 70: letters { | } ~ DEL */
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V, /* 80 and above: obs-text */
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
    V, V, V, V,
};

#undef T
#undef G
#undef V

/* Names in Connection beyond this many are an attack on the loop that compares them. */
enum { CONNECTION_TOKENS_MAX = 32, METHOD_MAX_BYTES = 32, LENGTH_MAX_DIGITS = 19 };

static const struct {
    struct span name;
    enum http_field_id id;
    bool hop;
} known_fields[] = {
    {{"Host", 4}, HTTP_FIELD_HOST, false},
    {{"Connection", 10}, HTTP_FIELD_CONNECTION, true},
    {{"Content-Length", 14}, HTTP_FIELD_CONTENT_LENGTH, false},
    {{"Transfer-Encoding", 17}, HTTP_FIELD_TRANSFER_ENCODING, true},
    {{"Expect", 6}, HTTP_FIELD_EXPECT, false},
    {{"Keep-Alive", 10}, HTTP_FIELD_KEEP_ALIVE, true},
    {{"Proxy-Connection", 16}, HTTP_FIELD_PROXY_CONNECTION, true},
    {{"Proxy-Authenticate", 18}, HTTP_FIELD_PROXY_AUTHENTICATE, true},
    {{"Proxy-Authorization", 19}, HTTP_FIELD_PROXY_AUTHORIZATION, true},
    {{"TE", 2}, HTTP_FIELD_TE, true},
    {{"Trailer", 7}, HTTP_FIELD_TRAILER, true},
    {{"Upgrade", 7}, HTTP_FIELD_UPGRADE, true},
    {{"Content-Type", 12}, HTTP_FIELD_CONTENT_TYPE, false},
    {{"Authorization", 13}, HTTP_FIELD_AUTHORIZATION, false},
    {{"Date", 4}, HTTP_FIELD_DATE, false},
};

static const struct span method_names[] = {
    [HTTP_METHOD_OTHER] = {"", 0},   [HTTP_GET] = {"GET", 3},     [HTTP_HEAD] = {"HEAD", 4},
    [HTTP_POST] = {"POST", 4},       [HTTP_PUT] = {"PUT", 3},     [HTTP_DELETE] = {"DELETE", 6},
    [HTTP_OPTIONS] = {"OPTIONS", 7}, [HTTP_PATCH] = {"PATCH", 5},
};

struct span http_method_text(enum http_method method)
{
    assert((size_t)method < sizeof method_names / sizeof method_names[0]);
    return method_names[method];
}

bool http_is_token(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!http_char_is(text.data[i], HTTP_CHAR_TOKEN)) {
            return false;
        }
    }
    return text.len > 0;
}

const struct http_field *http_head_field(const struct http_head *head, enum http_field_id id)
{
    for (unsigned i = 0; i < head->fields_len; i++) {
        if (head->fields[i].id == id) {
            return &head->fields[i];
        }
    }
    return NULL;
}

const struct http_field *http_head_find(const struct http_head *head, struct span name)
{
    for (unsigned i = 0; i < head->fields_len; i++) {
        if (span_equal_nocase(head->fields[i].name, name)) {
            return &head->fields[i];
        }
    }
    return NULL;
}

static bool refuse(struct http_fault *fault, unsigned status, const char *reason)
{
    *fault = (struct http_fault){.status = (uint16_t)status, .reason = reason};
    return false;
}

static void classify(struct http_field *field)
{
    field->id = HTTP_FIELD_OTHER;
    field->hop = false;
    const char first = (char)(field->name.data[0] | 0x20);
    for (size_t i = 0; i < sizeof known_fields / sizeof known_fields[0]; i++) {
        if (field->name.len == known_fields[i].name.len &&
            first == (known_fields[i].name.data[0] | 0x20) &&
            span_equal_nocase(field->name, known_fields[i].name)) {
            field->id = known_fields[i].id;
            field->hop = known_fields[i].hop;
            return;
        }
    }
}

/* Reads the field lines from *at up to the empty line. */
static bool parse_fields(const char *at, const char *end, const struct http_limits *limits,
                         struct http_head *head, struct http_fault *fault)
{
    assert(limits->fields_max <= HTTP_FIELDS_MAX);
    head->fields_len = 0;
    while (*at != '\r') {
        if (head->fields_len == limits->fields_max) {
            return refuse(fault, 431, "too many header fields");
        }
        struct http_field *field = &head->fields[head->fields_len];
        const char *name = at;
        while (http_char_is(*at, HTTP_CHAR_TOKEN)) {
            at++;
        }
        if (*at != ':' || at == name) {
            /* Also folded lines, and a space in front of the colon. */
            return refuse(fault, 400, "malformed header field name");
        }
        field->name = span_of(name, (size_t)(at - name));
        at++;
        while (*at == ' ' || *at == '\t') {
            at++;
        }
        const char *value = at;
        while (http_char_is(*at, HTTP_CHAR_VALUE)) {
            at++;
        }
        if (at[0] != '\r' || at[1] != '\n') {
            return refuse(fault, 400, "control byte in a header field");
        }
        const char *stop = at;
        while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t')) {
            stop--;
        }
        field->value = span_of(value, (size_t)(stop - value));
        classify(field);
        head->fields_len++;
        at += 2;
    }
    if (at + 2 != end) {
        return refuse(fault, 400, "carriage return at the start of a line");
    }
    return true;
}

/* Takes the next element of a comma-separated list; false at its end. Empty elements are skipped.
 */
static bool list_next(struct span *list, struct span *ret_element)
{
    while (list->len) {
        const char *comma = memchr(list->data, ',', list->len);
        size_t len = comma ? (size_t)(comma - list->data) : list->len;
        struct span element = span_of(list->data, len);
        *list = span_skip(*list, comma ? len + 1 : len);
        while (element.len && (element.data[0] == ' ' || element.data[0] == '\t')) {
            element = span_skip(element, 1);
        }
        while (element.len &&
               (element.data[element.len - 1] == ' ' || element.data[element.len - 1] == '\t')) {
            element.len--;
        }
        if (element.len) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}

static bool apply_connection(struct http_head *head, struct span list, unsigned *tokens,
                             bool *close, bool *alive, struct http_fault *fault)
{
    for (struct span token; list_next(&list, &token);) {
        if (!http_is_token(token) || ++*tokens > CONNECTION_TOKENS_MAX) {
            return refuse(fault, 400, "malformed Connection field");
        }
        if (span_equal_nocase(token, SPAN_LITERAL("close"))) {
            *close = true;
        } else if (span_equal_nocase(token, SPAN_LITERAL("keep-alive"))) {
            *alive = true;
        } else {
            for (unsigned i = 0; i < head->fields_len; i++) {
                if (span_equal_nocase(head->fields[i].name, token)) {
                    head->fields[i].hop = true;
                }
            }
        }
    }
    return true;
}

static bool parse_length(struct span value, uint64_t *ret_length)
{
    if (value.len == 0 || value.len > LENGTH_MAX_DIGITS) {
        return false;
    }
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    *ret_length = length;
    return true;
}

static bool host_is_legal(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        if (!http_char_is(c, HTTP_CHAR_TARGET) || strchr("/?@\\\"<>^`{|}", c)) {
            return false;
        }
    }
    return true;
}

/* Counts of the fields of which there may be one. */
struct seen {
    unsigned host, length, encoding, expect;
};

/* What the fields say about this connection and about framing, the same on both sides. */
static bool apply_fields(struct http_head *head, struct seen *seen, struct http_fault *fault)
{
    bool close = false, alive = false;
    unsigned tokens = 0;
    bool chunked = false;
    for (unsigned i = 0; i < head->fields_len; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->id == HTTP_FIELD_OTHER) {
            continue;
        }
        if (field->id == HTTP_FIELD_HOST) {
            seen->host++;
            if (!host_is_legal(field->value)) {
                return refuse(fault, 400, "malformed Host");
            }
        } else if (field->id == HTTP_FIELD_CONTENT_LENGTH) {
            if (seen->length++) {
                return refuse(fault, 400, "more than one Content-Length");
            }
            if (!parse_length(field->value, &head->content_length)) {
                return refuse(fault, 400, "malformed Content-Length");
            }
        } else if (field->id == HTTP_FIELD_TRANSFER_ENCODING) {
            if (seen->encoding++) {
                return refuse(fault, 400, "more than one Transfer-Encoding");
            }
            if (!span_equal_nocase(field->value, SPAN_LITERAL("chunked"))) {
                return refuse(fault, 400, "Transfer-Encoding is not chunked");
            }
            chunked = true;
        } else if (field->id == HTTP_FIELD_EXPECT) {
            seen->expect++;
            head->expect_continue = span_equal_nocase(field->value, SPAN_LITERAL("100-continue"));
        } else if (field->id == HTTP_FIELD_CONNECTION) {
            if (!apply_connection(head, field->value, &tokens, &close, &alive, fault)) {
                return false;
            }
        }
    }
    if (chunked && seen->length) {
        return refuse(fault, 400, "both Transfer-Encoding and Content-Length");
    }
    if (chunked && head->minor == 0) {
        return refuse(fault, 400, "Transfer-Encoding in HTTP/1.0");
    }
    head->has_content_length = seen->length > 0;
    head->framing = chunked                    ? HTTP_BODY_CHUNKED
                    : head->content_length > 0 ? HTTP_BODY_LENGTH
                                               : HTTP_BODY_NONE;
    head->keep_alive = !close && (head->minor == 1 || alive);
    return true;
}

/* Takes "HTTP/1.0" or "HTTP/1.1" from the front. */
static bool parse_version(const char *at, size_t len, struct http_head *head,
                          struct http_fault *fault)
{
    if (len < 8 || memcmp(at, "HTTP/", 5) != 0 || at[5] < '0' || at[5] > '9' || at[6] != '.' ||
        at[7] < '0' || at[7] > '9') {
        return refuse(fault, 400, "malformed HTTP version");
    }
    if (at[5] != '1' || at[7] > '1') {
        return refuse(fault, 505, "HTTP version is neither 1.0 nor 1.1");
    }
    head->minor = (unsigned)(at[7] - '0');
    return true;
}

static void head_clear(struct http_head *head)
{
    const struct span none = {0};
    head->method = HTTP_METHOD_OTHER;
    head->method_text = head->target = head->path = head->query = head->reason = none;
    head->status = 0;
    head->minor = 0;
    head->keep_alive = head->expect_continue = head->has_content_length = false;
    head->framing = HTTP_BODY_NONE;
    head->content_length = 0;
    head->fields_len = 0;
}

static bool parse_target(struct span target, const struct http_limits *limits,
                         struct http_head *head, struct http_fault *fault)
{
    if (target.len > limits->target_max_bytes) {
        return refuse(fault, 414, "request target too long");
    }
    bool star = head->method == HTTP_OPTIONS && span_equal(target, SPAN_LITERAL("*"));
    if (!star && (target.len == 0 || target.data[0] != '/')) {
        return refuse(fault, 400, "request target is not in origin form");
    }
    head->target = head->path = target;
    const char *mark = memchr(target.data, '?', target.len);
    if (mark) {
        head->path.len = (size_t)(mark - target.data);
        head->query = span_skip(target, head->path.len + 1);
    }
    return true;
}

static bool parse_request_line(const char **at, const struct http_limits *limits,
                               struct http_head *head, struct http_fault *fault)
{
    const char *p = *at;
    while (http_char_is(*p, HTTP_CHAR_TOKEN)) {
        p++;
    }
    head->method_text = span_of(*at, (size_t)(p - *at));
    if (*p != ' ' || head->method_text.len == 0) {
        return refuse(fault, 400, "malformed request line");
    }
    if (head->method_text.len > METHOD_MAX_BYTES ||
        span_equal(head->method_text, SPAN_LITERAL("CONNECT"))) {
        return refuse(fault, 501, "method is not supported");
    }
    for (unsigned m = HTTP_GET; m < sizeof method_names / sizeof method_names[0]; m++) {
        if (span_equal(head->method_text, method_names[m])) {
            head->method = (enum http_method)m;
        }
    }
    const char *target = ++p;
    while (http_char_is(*p, HTTP_CHAR_TARGET)) {
        p++;
    }
    if (*p != ' ') {
        return refuse(fault, 400, "malformed request line");
    }
    if (!parse_target(span_of(target, (size_t)(p - target)), limits, head, fault)) {
        return false;
    }
    const char *version = ++p;
    while (*p != '\r' && *p != '\n') {
        p++;
    }
    if (p[0] != '\r' || p[1] != '\n' || p - version > 8) {
        return refuse(fault, 400, "malformed HTTP version");
    }
    if (!parse_version(version, (size_t)(p - version), head, fault)) {
        return false;
    }
    *at = p + 2;
    return true;
}

bool http_head_parse_request(struct span text, const struct http_limits *limits,
                             struct http_head *ret_head, struct http_fault *fault)
{
    const char *at = text.data;
    struct seen seen = {0};
    head_clear(ret_head);
    if (!parse_request_line(&at, limits, ret_head, fault) ||
        !parse_fields(at, text.data + text.len, limits, ret_head, fault) ||
        !apply_fields(ret_head, &seen, fault)) {
        return false;
    }
    if (seen.host > 1 || (seen.host == 0 && ret_head->minor == 1)) {
        return refuse(fault, 400, "exactly one Host is required");
    }
    if (ret_head->framing == HTTP_BODY_LENGTH &&
        ret_head->content_length > limits->body_max_bytes) {
        return refuse(fault, 413, "request body too large");
    }
    if (seen.expect > 1 || (seen.expect && !ret_head->expect_continue)) {
        return refuse(fault, 417, "Expect is not 100-continue");
    }
    if (ret_head->minor == 0 || ret_head->framing == HTTP_BODY_NONE) {
        ret_head->expect_continue = false;
    }
    return true;
}

static bool parse_status_line(const char **at, struct http_head *head, struct http_fault *fault)
{
    /* The head ends with CRLF CRLF: reading up to the first CR is safe. */
    const char *p = *at;
    size_t len = 0;
    while (http_char_is(p[len], HTTP_CHAR_VALUE)) {
        len++;
    }
    if (p[len] != '\r' || p[len + 1] != '\n') {
        return refuse(fault, 502, "control byte in the status line");
    }
    if (!parse_version(p, len, head, fault)) {
        return false;
    }
    if (len < 12 || p[8] != ' ' || p[9] < '1' || p[9] > '5' || p[10] < '0' || p[10] > '9' ||
        p[11] < '0' || p[11] > '9' || (len > 12 && p[12] != ' ')) {
        return refuse(fault, 502, "malformed status line");
    }
    head->status =
        (unsigned)(p[9] - '0') * 100 + (unsigned)(p[10] - '0') * 10 + (unsigned)(p[11] - '0');
    if (len > 13) {
        head->reason = span_of(p + 13, len - 13);
    }
    *at = p + len + 2;
    return true;
}

bool http_head_parse_response(struct span text, const struct http_limits *limits, bool head_only,
                              struct http_head *ret_head, struct http_fault *fault)
{
    const char *at = text.data;
    struct seen seen = {0};
    head_clear(ret_head);
    if (!parse_status_line(&at, ret_head, fault) ||
        !parse_fields(at, text.data + text.len, limits, ret_head, fault) ||
        !apply_fields(ret_head, &seen, fault)) {
        fault->status = 502;
        return false;
    }
    ret_head->expect_continue = false;
    if (ret_head->status == 101) {
        return refuse(fault, 502, "protocol switched without being asked");
    }
    if (head_only || http_status_bodiless(ret_head->status)) {
        ret_head->framing = HTTP_BODY_NONE;
    } else if (ret_head->framing == HTTP_BODY_NONE && !ret_head->has_content_length) {
        ret_head->framing = HTTP_BODY_CLOSE;
        ret_head->keep_alive = false;
    } else if (ret_head->framing == HTTP_BODY_LENGTH &&
               ret_head->content_length > limits->body_max_bytes) {
        return refuse(fault, 502, "response body too large");
    }
    return true;
}
