/*
 * Streamed lines: bytes come from a file or memory (raw), pass through one decoder (plain, gzip,
 * zstd) into a text buffer of twice the longest line, and are cut at newlines there. Concatenated
 * archives are read through; one that ends in the middle is an error, never a short file.
 */
#include "base/lines.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { RAW_SIZE = 1 << 16 };

enum coding { CODING_PLAIN, CODING_GZIP, CODING_ZSTD };

struct lines {
    int fd;                /* -1: memory */
    const uint8_t *memory; /* what is left of the memory source */
    size_t memory_len;

    uint8_t raw[RAW_SIZE];
    size_t raw_begin, raw_end;
    bool raw_eof;

    enum coding coding;
    bool coding_known;
    bool inside; /* in the middle of an archive member: the end here is an error */
    z_stream zlib;
    bool zlib_open;
    ZSTD_DStream *zstd;

    char *text; /* text_size + 1 bytes */
    size_t text_size, text_begin, text_end;
    size_t line_max;
    bool text_eof;
    uint64_t number;
    int error;
};

static int raw_fill(struct lines *l)
{
    if (l->raw_begin > 0) {
        memmove(l->raw, l->raw + l->raw_begin, l->raw_end - l->raw_begin);
        l->raw_end -= l->raw_begin;
        l->raw_begin = 0;
    }
    size_t room = RAW_SIZE - l->raw_end;
    if (room == 0 || l->raw_eof) {
        return 0;
    }
    size_t got;
    if (l->fd < 0) {
        got = l->memory_len < room ? l->memory_len : room;
        if (got > 0) {
            memcpy(l->raw + l->raw_end, l->memory, got);
            l->memory += got;
            l->memory_len -= got;
        }
    } else {
        ssize_t n;
        do {
            n = read(l->fd, l->raw + l->raw_end, room);
        } while (n < 0 && errno == EINTR);
        if (n < 0) {
            return -errno;
        }
        got = (size_t)n;
    }
    l->raw_end += got;
    l->raw_eof = got == 0;
    return 0;
}

static int coding_detect(struct lines *l)
{
    static const uint8_t gzip_magic[2] = {0x1f, 0x8b};
    static const uint8_t zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    while (l->raw_end - l->raw_begin < sizeof zstd_magic && !l->raw_eof) {
        int rc = raw_fill(l);
        if (rc) {
            return rc;
        }
    }
    size_t len = l->raw_end - l->raw_begin;
    const uint8_t *head = l->raw + l->raw_begin;
    if (len >= sizeof gzip_magic && memcmp(head, gzip_magic, sizeof gzip_magic) == 0) {
        l->coding = CODING_GZIP;
        if (inflateInit2(&l->zlib, 15 + 16) != Z_OK) {
            return -ENOMEM;
        }
        l->zlib_open = true;
    } else if (len >= sizeof zstd_magic && memcmp(head, zstd_magic, sizeof zstd_magic) == 0) {
        l->coding = CODING_ZSTD;
        l->zstd = ZSTD_createDStream();
        if (!l->zstd) {
            return -ENOMEM;
        }
    }
    l->coding_known = true;
    return 0;
}

static size_t decode_plain(struct lines *l, char *out, size_t room)
{
    size_t n = l->raw_end - l->raw_begin;
    n = n < room ? n : room;
    memcpy(out, l->raw + l->raw_begin, n);
    l->raw_begin += n;
    return n;
}

static int decode_gzip(struct lines *l, char *out, size_t room, size_t *ret_len)
{
    if (!l->inside && l->raw_begin < l->raw_end) {
        if (inflateReset(&l->zlib) != Z_OK) {
            return -EBADMSG;
        }
        l->inside = true;
    }
    l->zlib.next_in = l->raw + l->raw_begin;
    l->zlib.avail_in = (uInt)(l->raw_end - l->raw_begin);
    l->zlib.next_out = (Bytef *)out;
    l->zlib.avail_out = (uInt)room;
    int rc = l->inside ? inflate(&l->zlib, Z_NO_FLUSH) : Z_BUF_ERROR;
    if (rc == Z_STREAM_END) {
        l->inside = false;
    } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return -EBADMSG;
    }
    l->raw_begin = l->raw_end - l->zlib.avail_in;
    *ret_len = room - l->zlib.avail_out;
    return 0;
}

static int decode_zstd(struct lines *l, char *out, size_t room, size_t *ret_len)
{
    ZSTD_inBuffer in = {l->raw + l->raw_begin, l->raw_end - l->raw_begin, 0};
    ZSTD_outBuffer to = {out, room, 0};
    size_t rc = ZSTD_decompressStream(l->zstd, &to, &in);
    if (ZSTD_isError(rc)) {
        return -EBADMSG;
    }
    l->raw_begin += in.pos;
    *ret_len = to.pos;
    /* Zero means that a frame has just ended; without progress the state is as it was. */
    if (in.pos > 0 || to.pos > 0) {
        l->inside = rc != 0;
    }
    return 0;
}

/* Adds at least one byte to the text buffer or sets text_eof. */
static int text_fill(struct lines *l)
{
    if (!l->coding_known) {
        int rc = coding_detect(l);
        if (rc) {
            return rc;
        }
    }
    memmove(l->text, l->text + l->text_begin, l->text_end - l->text_begin);
    l->text_end -= l->text_begin;
    l->text_begin = 0;
    for (;;) {
        char *out = l->text + l->text_end;
        size_t room = l->text_size - l->text_end, got = 0;
        assert(room > 0);
        int rc = 0;
        switch (l->coding) {
        case CODING_PLAIN:
            got = decode_plain(l, out, room);
            break;
        case CODING_GZIP:
            rc = decode_gzip(l, out, room, &got);
            break;
        case CODING_ZSTD:
            rc = decode_zstd(l, out, room, &got);
            break;
        }
        if (rc) {
            return rc;
        }
        l->text_end += got;
        if (got > 0) {
            return 0;
        }
        size_t before = l->raw_end - l->raw_begin;
        if (l->raw_eof) {
            /* Bytes that the decoder did not take, or a member without its end. */
            if (before > 0 || l->inside) {
                return -EBADMSG;
            }
            l->text_eof = true;
            return 0;
        }
        rc = raw_fill(l);
        if (rc) {
            return rc;
        }
    }
}

static int line_cut(struct lines *l, size_t len, size_t skip, const char **ret_line,
                    size_t *ret_len)
{
    char *line = l->text + l->text_begin;
    l->text_begin += len + skip;
    if (len > 0 && line[len - 1] == '\r') {
        len--;
    }
    if (len > l->line_max) {
        return -EMSGSIZE;
    }
    if (memchr(line, '\0', len)) {
        return -EILSEQ;
    }
    line[len] = '\0';
    *ret_line = line;
    *ret_len = len;
    return 1;
}

static int line_next(struct lines *l, const char **ret_line, size_t *ret_len)
{
    size_t seen = 0;
    for (;;) {
        char *begin = l->text + l->text_begin;
        size_t have = l->text_end - l->text_begin;
        const char *newline = memchr(begin + seen, '\n', have - seen);
        if (newline) {
            return line_cut(l, (size_t)(newline - begin), 1, ret_line, ret_len);
        }
        if (l->text_eof) {
            return have ? line_cut(l, have, 0, ret_line, ret_len) : 0;
        }
        if (have > l->line_max + 1) {
            return -EMSGSIZE;
        }
        seen = have;
        int rc = text_fill(l);
        if (rc) {
            return rc;
        }
    }
}

static int lines_create(struct lines **ret_lines, size_t line_max)
{
    struct lines *l = calloc(1, sizeof *l);
    if (!l) {
        return -ENOMEM;
    }
    l->fd = -1;
    l->line_max = line_max;
    /* A line, its CRLF, and room to read on: filling never finds the buffer full. */
    l->text_size = 2 * (line_max + 2) + RAW_SIZE;
    l->text = malloc(l->text_size + 1);
    if (!l->text) {
        lines_close(l);
        return -ENOMEM;
    }
    *ret_lines = l;
    return 0;
}

int lines_open(struct lines **ret_lines, const char *path, size_t line_max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    struct lines *l;
    int rc = lines_create(&l, line_max);
    if (rc) {
        close(fd);
        return rc;
    }
    l->fd = fd;
    *ret_lines = l;
    return 0;
}

int lines_open_memory(struct lines **ret_lines, const void *data, size_t size, size_t line_max)
{
    struct lines *l;
    int rc = lines_create(&l, line_max);
    if (rc) {
        return rc;
    }
    l->memory = data;
    l->memory_len = size;
    *ret_lines = l;
    return 0;
}

int lines_next(struct lines *l, const char **ret_line, size_t *ret_len)
{
    if (l->error) {
        return l->error;
    }
    int rc = line_next(l, ret_line, ret_len);
    if (rc != 0) {
        l->number++;
    }
    if (rc < 0) {
        l->error = rc;
    }
    return rc;
}

uint64_t lines_number(const struct lines *l)
{
    return l->number;
}

const char *lines_reason(int error)
{
    switch (-error) {
    case EMSGSIZE:
        return "the line is too long";
    case EBADMSG:
        return "the compressed file is broken or cut off here";
    case EILSEQ:
        return "a zero byte: this is not a text file";
    case ENOMEM:
        return "out of memory";
    case EISDIR:
        return "is a folder";
    default:
        return "cannot be read";
    }
}

void lines_close(struct lines *l)
{
    if (!l) {
        return;
    }
    if (l->zlib_open) {
        inflateEnd(&l->zlib);
    }
    ZSTD_freeDStream(l->zstd);
    if (l->fd >= 0) {
        close(l->fd);
    }
    free(l->text);
    free(l);
}
