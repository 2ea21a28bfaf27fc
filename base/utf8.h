/* Validity of UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF.
 */
#ifndef SHUNT_BASE_UTF8_H
#define SHUNT_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the valid sequence at the front of data (1 to 4), 0 if there is none. */
static inline size_t utf8_length(const char *data, size_t len)
{
    const unsigned char *p = (const unsigned char *)data;
    if (len == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] < 0xc2) {
        return 0;
    }
    if (p[0] < 0xe0) {
        return len >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if (p[0] < 0xf0) {
        unsigned low = p[0] == 0xe0 ? 0xa0 : 0x80, high = p[0] == 0xed ? 0x9f : 0xbf;
        return len >= 3 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (p[0] < 0xf5) {
        unsigned low = p[0] == 0xf0 ? 0x90 : 0x80, high = p[0] == 0xf4 ? 0x8f : 0xbf;
        return len >= 4 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 &&
                       (p[3] & 0xc0) == 0x80
                   ? 4
                   : 0;
    }
    return 0;
}

/* Writes a code point (no surrogate, at most U+10FFFF); returns its length, 1 to 4. */
static inline size_t utf8_encode(uint32_t code, char text[4])
{
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        text[0] = (char)(0xc0 | code >> 6);
        text[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        text[0] = (char)(0xe0 | code >> 12);
        text[1] = (char)(0x80 | (code >> 6 & 63));
        text[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    text[0] = (char)(0xf0 | code >> 18);
    text[1] = (char)(0x80 | (code >> 12 & 63));
    text[2] = (char)(0x80 | (code >> 6 & 63));
    text[3] = (char)(0x80 | (code & 63));
    return 4;
}

#endif
