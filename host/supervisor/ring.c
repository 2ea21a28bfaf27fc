/* The newest bytes that an engine wrote. */
#include "host/supervisor/ring.h"

#include <stdlib.h>
#include <string.h>

void ring_fini(struct ring *ring)
{
    free(ring->bytes);
    memset(ring, 0, sizeof(*ring));
}

static void ring_lines(struct ring *ring, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n') {
            if (ring->line_len < RING_LINE_MAX && data[i] != '\r') {
                ring->line[ring->line_len++] = data[i];
            }
        } else if (ring->line_len) {
            memcpy(ring->last, ring->line, ring->line_len);
            ring->last[ring->line_len] = '\0';
            ring->line_len = 0;
        }
    }
}

void ring_write(struct ring *ring, const char *data, size_t len)
{
    ring_lines(ring, data, len);
    if (!ring->bytes) {
        ring->bytes = malloc(RING_BYTES);
        if (!ring->bytes) {
            return;
        }
    }
    while (len) {
        size_t at = (size_t)(ring->written % RING_BYTES);
        size_t n = RING_BYTES - at < len ? RING_BYTES - at : len;
        memcpy(ring->bytes + at, data, n);
        ring->written += n;
        data += n;
        len -= n;
    }
}

size_t ring_tail(const struct ring *ring, char *out, size_t size)
{
    uint64_t held = ring->written < RING_BYTES ? ring->written : RING_BYTES;
    if (!ring->bytes) {
        return 0;
    }
    size_t take = held < size ? (size_t)held : size;
    uint64_t from = ring->written - take;
    for (size_t i = 0; i < take; i++) {
        out[i] = ring->bytes[(from + i) % RING_BYTES];
    }
    if (from == 0) {
        return take;
    }
    const char *newline = memchr(out, '\n', take);
    if (!newline) {
        return take;
    }
    size_t cut = (size_t)(newline + 1 - out);
    memmove(out, out + cut, take - cut);
    return take - cut;
}
