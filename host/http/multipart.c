/* The `model` field of a form: see multipart.h (RFC 7578, RFC 2046). */
#include "host/http/multipart.h"

#include <errno.h>
#include <string.h>

static const struct span form_data = {.data = "multipart/form-data", .len = 19};

bool multipart_is(struct span type)
{
    if (type.len < form_data.len ||
        !span_equal_nocase(span_of(type.data, form_data.len), form_data)) {
        return false;
    }
    return type.len == form_data.len || strchr("; \t", type.data[form_data.len]) != NULL;
}

static struct span trim(struct span s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = span_skip(s, 1);
    }
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

/* The next ";"-separated parameter of a field value behind its first word; quotes are honoured. */
static bool next_parameter(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    while (rest->len && rest->data[0] != ';') {
        *rest = span_skip(*rest, 1);
    }
    if (!rest->len) {
        return false;
    }
    *rest = span_skip(*rest, 1);
    size_t end = 0;
    bool quoted = false;
    for (; end < rest->len && (quoted || rest->data[end] != ';'); end++) {
        if (rest->data[end] == '"') {
            quoted = !quoted;
        } else if (quoted && rest->data[end] == '\\' && end + 1 < rest->len) {
            end++;
        }
    }
    struct span whole = span_of(rest->data, end);
    *rest = span_skip(*rest, end);
    const char *equal = whole.len ? memchr(whole.data, '=', whole.len) : NULL;
    if (!equal) {
        *ret_name = trim(whole);
        *ret_value = span_of("", 0);
        return true;
    }
    *ret_name = trim(span_of(whole.data, (size_t)(equal - whole.data)));
    struct span value = trim(span_skip(whole, (size_t)(equal - whole.data) + 1));
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
        value = span_of(value.data + 1, value.len - 2);
    }
    *ret_value = value;
    return true;
}

static int parameter(struct span field, struct span name, struct span *ret_value)
{
    struct span key;
    struct span value;
    int found = -ENOENT;
    while (next_parameter(&field, &key, &value)) {
        if (span_equal_nocase(key, name)) {
            if (found == 0) {
                return -EEXIST;
            }
            *ret_value = value;
            found = 0;
        }
    }
    return found;
}

/* Where `needle` begins in `s`; s.len if nowhere. */
static size_t find(struct span s, const char *needle, size_t len)
{
    const char *at = s.len ? memmem(s.data, s.len, needle, len) : NULL;
    return at ? (size_t)(at - s.data) : s.len;
}

/* Whether the head of a part names the field `model`; -EINVAL if it is not well-formed. */
static int part_is_model(struct span head, bool *ret_is)
{
    static const struct span disposition = {.data = "content-disposition", .len = 19};
    *ret_is = false;
    bool seen = false;
    while (head.len) {
        size_t end = find(head, "\r\n", 2);
        struct span line = span_of(head.data, end);
        head = span_skip(head, end < head.len ? end + 2 : end);
        const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
        if (!colon) {
            return -EINVAL;
        }
        if (!span_equal_nocase(span_of(line.data, (size_t)(colon - line.data)), disposition)) {
            continue;
        }
        struct span name;
        int rc = parameter(span_skip(line, (size_t)(colon - line.data) + 1), SPAN_LITERAL("name"),
                           &name);
        if (seen || rc == -EEXIST) {
            return -EINVAL;
        }
        seen = true;
        *ret_is = rc == 0 && span_equal(name, SPAN_LITERAL("model"));
    }
    return seen ? 0 : -EINVAL;
}

int multipart_model(struct span content_type, struct span body, struct span *ret_model)
{
    struct span boundary;
    if (parameter(content_type, SPAN_LITERAL("boundary"), &boundary) != 0 || boundary.len == 0 ||
        boundary.len > MULTIPART_BOUNDARY_BYTES_MAX) {
        return -EINVAL;
    }
    char mark[4 + MULTIPART_BOUNDARY_BYTES_MAX] = "\r\n--";
    memcpy(mark + 4, boundary.data, boundary.len);
    size_t mark_len = 4 + boundary.len;
    /* The first delimiter has no line end of its own in front. */
    if (body.len < mark_len - 2 || memcmp(body.data, mark + 2, mark_len - 2) != 0) {
        return -EINVAL;
    }
    body = span_skip(body, mark_len - 2);
    int result = -ENOENT;
    for (unsigned parts = 0; parts < MULTIPART_PARTS_MAX; parts++) {
        if (body.len >= 2 && memcmp(body.data, "--", 2) == 0) {
            return result;
        }
        if (body.len < 2 || memcmp(body.data, "\r\n", 2) != 0) {
            return -EINVAL;
        }
        body = span_skip(body, 2);
        size_t head_len = find(body, "\r\n\r\n", 4);
        size_t end = find(body, mark, mark_len);
        bool is_model;
        if (head_len == body.len || end == body.len || end < head_len + 2 ||
            part_is_model(span_of(body.data, head_len), &is_model) != 0) {
            return -EINVAL;
        }
        if (is_model && (result == 0 || end < head_len + 4)) {
            return result == 0 ? -EEXIST : -EINVAL;
        }
        if (is_model) {
            *ret_model = span_of(body.data + head_len + 4, end - head_len - 4);
            result = 0;
        }
        body = span_skip(body, end + mark_len);
    }
    return -EINVAL;
}
