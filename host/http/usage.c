/* Token counts: see usage.h. */
#include "host/http/usage.h"

#include <string.h>

/* The last number behind "key": in text; 0 if there is none. */
static uint32_t last_count(struct span text, const char *key)
{
    size_t len = strlen(key);
    uint32_t value = 0;
    const char *at;
    while (text.len > len && (at = memmem(text.data, text.len, key, len)) != NULL) {
        text = span_skip(text, (size_t)(at - text.data) + len);
        struct span rest = text;
        while (rest.len && (rest.data[0] == ':' || rest.data[0] == ' ')) {
            rest = span_skip(rest, 1);
        }
        uint64_t count = 0;
        size_t digits = 0;
        while (digits < rest.len && digits < 10 && rest.data[digits] >= '0' &&
               rest.data[digits] <= '9') {
            count = count * 10 + (uint64_t)(rest.data[digits++] - '0');
        }
        if (digits && count <= UINT32_MAX) {
            value = (uint32_t)count;
        }
    }
    return value;
}

void stream_usage(struct span tail, struct stream_usage *ret)
{
    *ret = (struct stream_usage){0};
    const char *found = NULL;
    struct span rest = tail;
    const char *at;
    while (rest.len >= 7 && (at = memmem(rest.data, rest.len, "\"usage\"", 7)) != NULL) {
        found = at;
        rest = span_skip(rest, (size_t)(at - rest.data) + 7);
    }
    if (!found) {
        return;
    }
    ret->output_tokens = last_count(rest, "\"completion_tokens\"");
    if (!ret->output_tokens) {
        ret->output_tokens = last_count(rest, "\"output_tokens\"");
    }
    ret->prompt_tokens = last_count(rest, "\"prompt_tokens\"");
    if (!ret->prompt_tokens) {
        ret->prompt_tokens = last_count(rest, "\"input_tokens\"");
    }
}
