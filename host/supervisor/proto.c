/* Codec of the messages between supervisor and worker. */
#include "host/supervisor/proto.h"

#include <errno.h>
#include <string.h>

/* u32 version, u32 type, u32 strings, u32 zero, numbers; then u32 length, bytes, NUL for each. */
enum { HEAD_BYTES = 16 + 8 * PROTO_NUMBERS };

const char *proto_text(const struct proto_message *message, uint32_t index)
{
    return index < message->string_count && message->string[index].data
               ? message->string[index].data
               : "";
}

int proto_add(struct proto_message *message, const char *text)
{
    if (message->string_count >= PROTO_STRINGS_MAX) {
        return -E2BIG;
    }
    message->string[message->string_count++] = span_of_string(text);
    return 0;
}

static void put_u32(char *out, uint32_t value)
{
    memcpy(out, &value, sizeof(value));
}

static uint32_t get_u32(const char *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof(value));
    return value;
}

int proto_encode(const struct proto_message *message, void *out, size_t size)
{
    char *p = out;
    if (size < HEAD_BYTES) {
        return -EMSGSIZE;
    }
    put_u32(p, PROTO_VERSION);
    put_u32(p + 4, message->type);
    put_u32(p + 8, message->string_count);
    put_u32(p + 12, 0);
    memcpy(p + 16, message->number, sizeof(message->number));
    size_t at = HEAD_BYTES;
    for (uint32_t i = 0; i < message->string_count; i++) {
        struct span s = message->string[i];
        if (s.len > PROTO_BYTES_MAX || size - at < s.len + 5) {
            return -EMSGSIZE;
        }
        put_u32(p + at, (uint32_t)s.len);
        if (s.len) {
            memcpy(p + at + 4, s.data, s.len);
        }
        p[at + 4 + s.len] = '\0';
        at += s.len + 5;
    }
    return (int)at;
}

int proto_decode(const void *data, size_t size, struct proto_message *ret_message)
{
    const char *p = data;
    if (size < HEAD_BYTES || size > PROTO_BYTES_MAX || get_u32(p) != PROTO_VERSION) {
        return -EPROTO;
    }
    uint32_t count = get_u32(p + 8);
    if (count > PROTO_STRINGS_MAX) {
        return -EPROTO;
    }
    ret_message->type = get_u32(p + 4);
    ret_message->string_count = count;
    memcpy(ret_message->number, p + 16, sizeof(ret_message->number));
    size_t at = HEAD_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        if (size - at < 5) {
            return -EPROTO;
        }
        uint32_t len = get_u32(p + at);
        if (len > size - at - 5 || p[at + 4 + len] != '\0') {
            return -EPROTO;
        }
        ret_message->string[i] = span_of(p + at + 4, len);
        at += (size_t)len + 5;
    }
    return at == size ? 0 : -EPROTO;
}
