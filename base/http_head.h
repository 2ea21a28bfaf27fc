/* Inside the codec: what http.c (bodies, framing) needs of http_head.c (heads). Not for others. */
#ifndef SHUNT_BASE_HTTP_HEAD_H
#define SHUNT_BASE_HTTP_HEAD_H

#include "base/http.h"

enum {
    HTTP_CHAR_TOKEN = 1,  /* tchar of RFC 9110 */
    HTTP_CHAR_VALUE = 2,  /* may stand in a field value: HTAB, SP, VCHAR, obs-text */
    HTTP_CHAR_TARGET = 4, /* may stand in a request target: VCHAR but '#' */
};

extern const uint8_t http_chars[256];

static inline bool http_char_is(char c, unsigned mask)
{
    return (http_chars[(unsigned char)c] & mask) != 0;
}

/* Why a head was refused. */
struct http_fault {
    uint16_t status;
    const char *reason; /* NULL: no fault */
};

/*
 * Parses a complete head, text, that ends with its empty line. Line ends are known to be CRLF.
 * Fills all of *ret_head but spans of lines it did not reach; returns false with *fault set.
 */
bool http_head_parse_request(struct span text, const struct http_limits *limits,
                             struct http_head *ret_head, struct http_fault *fault);
bool http_head_parse_response(struct span text, const struct http_limits *limits, bool head_only,
                              struct http_head *ret_head, struct http_fault *fault);

#endif
