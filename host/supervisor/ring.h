/*
 * The newest bytes that an engine wrote, and the last whole line of them. Fixed size, nothing ever
 * waits; what falls out of it is gone.
 */
#ifndef HOST_SUPERVISOR_RING_H
#define HOST_SUPERVISOR_RING_H

#include <stddef.h>
#include <stdint.h>

enum { RING_BYTES = 1 << 20, RING_LINE_MAX = 400 };

struct ring {
    uint64_t written;
    char *bytes;                  /* RING_BYTES, allocated at the first write */
    char line[RING_LINE_MAX + 1]; /* being read; longer lines are cut */
    size_t line_len;
    char last[RING_LINE_MAX + 1]; /* last line that was not empty */
};

void ring_fini(struct ring *ring);
void ring_write(struct ring *ring, const char *data, size_t len);
/* Copies the newest bytes, from the beginning of a line if there is one; returns how many. */
size_t ring_tail(const struct ring *ring, char *out, size_t size);

#endif
