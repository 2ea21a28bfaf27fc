/*
 * A non-blocking stream socket on a loop: what server and client connections have in common. Read
 * buffers are the loop's; a stream keeps only bytes that could not be used yet. Writes go straight
 * to the socket, collected per callback (the loop's cork); only what the kernel does not take is
 * buffered. Inside net/ only.
 *
 * The socket is watched edge-triggered, once and for all three conditions, so that neither pausing
 * nor waiting costs a system call and a FIN is seen even while nobody reads. The price: after an
 * edge the reader goes on until a read comes short (stream.readable says whether it may).
 */
#ifndef SHUNT_NET_STREAM_H
#define SHUNT_NET_STREAM_H

#include "base/span.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct evbuffer;
struct stream;

struct stream_ops {
    /* Something changed: readable, writable, hung_up or broken. */
    void (*event)(struct stream *stream);
    /* Waiting output was handed to the kernel, some or all; not called from stream_write(). */
    void (*written)(struct stream *stream);
    /* The cork of this stream was emptied by another one: written() is due, but later. */
    void (*written_later)(struct stream *stream);
};

struct stream {
    struct loop *loop;
    const struct stream_ops *ops;
    struct event event;
    int fd; /* -1: closed */
    bool readable;
    bool writable;
    bool hung_up;        /* the other side sent FIN; bytes may still be unread */
    bool broken;         /* a write failed for good */
    bool stale;          /* what is held has been looked at and needs more bytes behind it */
    uint64_t *out_gauge; /* NULL, or counts bytes waiting, of several streams */
    struct evbuffer *out;
    size_t out_bytes;   /* in out */
    uint64_t put_bytes; /* given to the kernel so far: tells progress from none */
    char *held;
    size_t held_len, held_size;
};

/* Takes over fd. -ENOMEM; then fd stays the caller's. */
int stream_open(struct stream *stream, struct loop *loop, int fd, const struct stream_ops *ops);

/* Closes and frees everything but the struct itself; may be repeated. Waiting output is lost. */
void stream_close(struct stream *stream);

/*
 * The next bytes to look at: what is held if it is not stale, else what is held and what one read
 * brings. 1: *ret_in is set; 0: end of the stream; -EAGAIN: nothing now; other errno: broken.
 */
int stream_read(struct stream *stream, struct span *ret_in);

/* Keeps what was not used of the last stream_read(). stale: useless without more bytes. -ENOMEM. */
int stream_keep(struct stream *stream, struct span rest, bool stale);

/* True if stream_read() could bring something without waiting for an edge. */
bool stream_pending(const struct stream *stream);

/* Looks, without reading, whether an edge meant bytes, an end or a reset: 1, 0, -ECONNRESET. */
int stream_peek(struct stream *stream);

/* Writes or buffers everything; -EPIPE if broken, now or before. */
int stream_write(struct stream *stream, const struct iovec *iov, unsigned iov_len);

/* Writes before, the content of data (which is moved), and after. */
int stream_write_buffer(struct stream *stream, struct span before, struct evbuffer *data,
                        struct span after);

/* Empties the loop's cork, which must be this stream's, and calls written(). */
void stream_uncork(struct stream *stream);

/* Bytes that the kernel has not taken: buffered and corked. */
size_t stream_waiting(const struct stream *stream);

#endif
