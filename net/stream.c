/* Reading in place, writing straight. See stream.h. */
#include "net/stream.h"

#include "net/loop_priv.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IOV_MAX_OWN = 8, HELD_STEP_BYTES = 2048 };

static void flush_buffered(struct stream *stream);

static void stream_edge(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct stream *stream = arg;
    struct loop *loop = stream->loop;
    loop_enter(loop);
    if (what & EV_READ) {
        stream->readable = true;
    }
    if (what & EV_CLOSED) {
        stream->hung_up = true;
        stream->readable = true;
    }
    if (what & EV_WRITE) {
        stream->writable = true;
        if (stream->out_bytes) {
            flush_buffered(stream);
            stream->ops->written(stream);
        }
    }
    if (stream->fd >= 0) {
        stream->ops->event(stream);
    }
    loop_leave(loop);
}

int stream_open(struct stream *stream, struct loop *loop, int fd, const struct stream_ops *ops)
{
    *stream = (struct stream){.loop = loop, .ops = ops, .fd = fd, .writable = true};
    if (event_assign(&stream->event, loop_base(loop), fd,
                     EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, stream_edge, stream) ||
        event_add(&stream->event, NULL)) {
        stream->fd = -1;
        return -ENOMEM;
    }
    return 0;
}

static void count_out(struct stream *stream, size_t now)
{
    if (stream->out_gauge) {
        *stream->out_gauge += now;
        *stream->out_gauge -= stream->out_bytes;
    }
    stream->out_bytes = now;
}

void stream_close(struct stream *stream)
{
    if (stream->fd < 0) {
        return;
    }
    struct loop_cork *cork = loop_cork(stream->loop);
    if (cork->owner == stream) {
        cork->owner = NULL;
        cork->len = 0;
    }
    count_out(stream, 0);
    if (stream->out) {
        evbuffer_free(stream->out);
        stream->out = NULL;
    }
    free(stream->held);
    stream->held = NULL;
    stream->held_len = stream->held_size = 0;
    (void)event_del(&stream->event);
    (void)close(stream->fd);
    stream->fd = -1;
    stream->readable = stream->writable = false;
}

/* --- Reading --- */

int stream_read(struct stream *stream, struct span *ret_in)
{
    if (stream->held_len && !stream->stale) {
        *ret_in = span_of(stream->held, stream->held_len);
        return 1;
    }
    if (!stream->readable) {
        return -EAGAIN;
    }
    char *data = loop_read_buffer(stream->loop);
    size_t room = LOOP_READ_BYTES;
    if (stream->held_len) {
        if (stream->held_size - stream->held_len < HELD_STEP_BYTES) {
            size_t size = stream->held_size * 2 + HELD_STEP_BYTES;
            char *grown = realloc(stream->held, size);
            if (!grown) {
                return -ENOMEM;
            }
            stream->held = grown;
            stream->held_size = size;
        }
        data = stream->held + stream->held_len;
        room = stream->held_size - stream->held_len;
    }
    ssize_t got;
    do {
        got = recv(stream->fd, data, room, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (errno == EAGAIN) {
            stream->readable = false;
            return -EAGAIN;
        }
        return -errno;
    }
    if (got == 0) {
        return 0;
    }
    if ((size_t)got < room && !stream->hung_up) {
        stream->readable = false; /* short: the next byte brings an edge */
    }
    if (stream->held_len) {
        stream->held_len += (size_t)got;
        *ret_in = span_of(stream->held, stream->held_len);
    } else {
        *ret_in = span_of(data, (size_t)got);
    }
    return 1;
}

int stream_keep(struct stream *stream, struct span rest, bool stale)
{
    stream->stale = stale;
    if (stream->fd < 0) {
        return 0;
    }
    if (rest.len == 0) {
        free(stream->held);
        stream->held = NULL;
        stream->held_len = stream->held_size = 0;
        return 0;
    }
    if (stream->held) {
        assert(rest.data >= stream->held &&
               rest.data + rest.len <= stream->held + stream->held_len);
        memmove(stream->held, rest.data, rest.len);
        stream->held_len = rest.len;
        return 0;
    }
    stream->held = malloc(rest.len);
    if (!stream->held) {
        return -ENOMEM;
    }
    memcpy(stream->held, rest.data, rest.len);
    stream->held_len = stream->held_size = rest.len;
    return 0;
}

bool stream_pending(const struct stream *stream)
{
    return stream->fd >= 0 && (stream->readable || (stream->held_len && !stream->stale));
}

int stream_peek(struct stream *stream)
{
    /* Not recv(MSG_PEEK): bytes that wait would hide a reset behind them. */
    struct pollfd look = {.fd = stream->fd, .events = POLLIN | POLLRDHUP};
    int n = poll(&look, 1, 0);
    if (n < 0 || !(look.revents & (POLLERR | POLLHUP | POLLRDHUP))) {
        return 1;
    }
    return look.revents & POLLERR ? -ECONNRESET : 0;
}

/* --- Writing --- */

size_t stream_waiting(const struct stream *stream)
{
    const struct loop_cork *cork = loop_cork(stream->loop);
    return stream->out_bytes + (cork->owner == stream ? cork->len : 0);
}

/* Writes what the kernel takes; the bytes taken, 0 if it is full, or -EPIPE after setting broken.
 */
static ssize_t write_some(struct stream *stream, const struct iovec *iov, unsigned iov_len)
{
    if (!stream->writable) {
        return 0;
    }
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                                   .msg_iovlen = iov_len};
    ssize_t put;
    do {
        put = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    if (put >= 0) {
        stream->put_bytes += (uint64_t)put;
        return put;
    }
    stream->writable = false;
    if (errno == EAGAIN) {
        return 0;
    }
    stream->broken = true;
    return -EPIPE;
}

/* Buffers everything of iov behind its first `done` bytes. */
static int buffer_rest(struct stream *stream, const struct iovec *iov, unsigned iov_len,
                       size_t done)
{
    if (!stream->out && !(stream->out = evbuffer_new())) {
        stream->broken = true;
        return -EPIPE;
    }
    for (unsigned i = 0; i < iov_len; i++) {
        if (done >= iov[i].iov_len) {
            done -= iov[i].iov_len;
            continue;
        }
        if (evbuffer_add(stream->out, (const char *)iov[i].iov_base + done,
                         iov[i].iov_len - done)) {
            stream->broken = true;
            return -EPIPE;
        }
        done = 0;
    }
    count_out(stream, evbuffer_get_length(stream->out));
    return 0;
}

static size_t iov_bytes(const struct iovec *iov, unsigned iov_len)
{
    size_t total = 0;
    for (unsigned i = 0; i < iov_len; i++) {
        total += iov[i].iov_len;
    }
    return total;
}

static int write_or_buffer(struct stream *stream, const struct iovec *iov, unsigned iov_len)
{
    ssize_t put = write_some(stream, iov, iov_len);
    if (put < 0) {
        return (int)put;
    }
    if ((size_t)put == iov_bytes(iov, iov_len)) {
        return 0;
    }
    if (put > 0) {
        /* A short count means full, and an edge will follow. */
        stream->writable = false;
    }
    return buffer_rest(stream, iov, iov_len, (size_t)put);
}

/* Writes out what the cork holds, for its owner; the cork is free then. */
static int empty_cork(struct stream *stream)
{
    struct loop_cork *cork = loop_cork(stream->loop);
    assert(cork->owner == stream);
    const struct iovec iov = {.iov_base = cork->data, .iov_len = cork->len};
    cork->owner = NULL;
    cork->len = 0;
    return iov.iov_len ? write_or_buffer(stream, &iov, 1) : 0;
}

void stream_uncork(struct stream *stream)
{
    (void)empty_cork(stream);
    stream->ops->written(stream);
}

int stream_write(struct stream *stream, const struct iovec *iov, unsigned iov_len)
{
    assert(iov_len < IOV_MAX_OWN);
    if (stream->broken || stream->fd < 0) {
        return -EPIPE;
    }
    if (stream->out_bytes) {
        return buffer_rest(stream, iov, iov_len, 0);
    }
    struct loop_cork *cork = loop_cork(stream->loop);
    if (!loop_inside(stream->loop)) {
        return write_or_buffer(stream, iov, iov_len);
    }
    if (cork->owner && cork->owner != stream) {
        struct stream *other = cork->owner;
        (void)empty_cork(other);
        other->ops->written_later(other);
    }
    cork->owner = stream;
    if (iov_bytes(iov, iov_len) <= LOOP_CORK_BYTES - cork->len) {
        for (unsigned i = 0; i < iov_len; i++) {
            if (iov[i].iov_len) {
                memcpy(cork->data + cork->len, iov[i].iov_base, iov[i].iov_len);
                cork->len += iov[i].iov_len;
            }
        }
        return 0;
    }
    /* Too much to copy: all of it at once, in order. The cork stays this stream's, empty, so that
     * written() is called at the end of the callback. */
    struct iovec all[IOV_MAX_OWN];
    all[0] = (struct iovec){.iov_base = cork->data, .iov_len = cork->len};
    memcpy(all + 1, iov, iov_len * sizeof *iov);
    cork->len = 0;
    return write_or_buffer(stream, all, iov_len + 1);
}

static int add_span(struct evbuffer *out, struct span bytes)
{
    return bytes.len ? evbuffer_add(out, bytes.data, bytes.len) : 0;
}

int stream_write_buffer(struct stream *stream, struct span before, struct evbuffer *data,
                        struct span after)
{
    if (stream->broken || stream->fd < 0) {
        return -EPIPE;
    }
    struct loop_cork *cork = loop_cork(stream->loop);
    if (cork->owner == stream && cork->len) {
        int rc = empty_cork(stream);
        if (rc) {
            return rc;
        }
    }
    if ((!stream->out && !(stream->out = evbuffer_new())) || add_span(stream->out, before) ||
        evbuffer_add_buffer(stream->out, data) || add_span(stream->out, after)) {
        stream->broken = true;
        return -EPIPE;
    }
    count_out(stream, evbuffer_get_length(stream->out));
    flush_buffered(stream);
    if (loop_inside(stream->loop) && !cork->owner) {
        cork->owner = stream; /* empty: asks for written() */
    } else if (cork->owner != stream) {
        stream->ops->written_later(stream);
    }
    return stream->broken ? -EPIPE : 0;
}

/* Gives the kernel what is buffered. */
static void flush_buffered(struct stream *stream)
{
    while (stream->out_bytes && stream->writable && !stream->broken) {
        struct evbuffer_iovec vec[IOV_MAX_OWN];
        int n = evbuffer_peek(stream->out, -1, NULL, vec, IOV_MAX_OWN);
        struct iovec iov[IOV_MAX_OWN];
        unsigned used = n > IOV_MAX_OWN ? IOV_MAX_OWN : (unsigned)n;
        for (unsigned i = 0; i < used; i++) {
            iov[i] = (struct iovec){.iov_base = vec[i].iov_base, .iov_len = vec[i].iov_len};
        }
        ssize_t put = write_some(stream, iov, used);
        if (put <= 0) {
            break;
        }
        if ((size_t)put < iov_bytes(iov, used)) {
            stream->writable = false;
        }
        (void)evbuffer_drain(stream->out, (size_t)put);
        count_out(stream, evbuffer_get_length(stream->out));
    }
    if (stream->out && stream->out_bytes == 0) {
        evbuffer_free(stream->out);
        stream->out = NULL;
    }
}
