/* The channel between supervisor and worker on a loop. */
#include "host/supervisor/peer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A message that waits for room in the socket. */
struct pending {
    struct pending *next;
    int fd; /* own duplicate; -1 */
    size_t size;
    char bytes[];
};

struct peer {
    struct loop *loop;
    int fd;
    bool dead;
    const struct peer_ops *ops;
    void *ctx;
    struct event *readable;
    struct event *writable;
    struct pending *first, **last;
    struct proto_message message;
    char in[PROTO_BYTES_MAX];
    char out[PROTO_BYTES_MAX];
};

static int send_bytes(int socket, const void *data, size_t size, int fd)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
    }
    for (;;) {
        ssize_t sent = sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            return 0;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

/* Bytes received, 0 at the end, negative errno; *ret_fd is the descriptor that came along. */
static ssize_t receive_bytes(int socket, void *data, size_t size, int *ret_fd)
{
    struct iovec iov = {.iov_base = data, .iov_len = size};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        return -errno;
    }
    *ret_fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
            c->cmsg_len == CMSG_LEN(sizeof(int))) {
            memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
        }
    }
    return got;
}

static void pending_destroy(struct pending *pending)
{
    if (pending->fd >= 0) {
        (void)close(pending->fd);
    }
    free(pending);
}

/* Sends what waits; 0, -EAGAIN, or the error of a dead socket. */
static int send_pending(struct peer *peer)
{
    while (peer->first) {
        struct pending *pending = peer->first;
        int rc = send_bytes(peer->fd, pending->bytes, pending->size, pending->fd);
        if (rc) {
            return rc;
        }
        peer->first = pending->next;
        if (!peer->first) {
            peer->last = &peer->first;
        }
        pending_destroy(pending);
    }
    return 0;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct peer *peer = arg;
    loop_enter(peer->loop);
    if (send_pending(peer) != -EAGAIN) {
        (void)event_del(peer->writable); /* a dead socket shows itself when it is read */
    }
    loop_leave(peer->loop);
}

static void peer_die(struct peer *peer)
{
    peer->dead = true;
    (void)event_del(peer->readable);
    (void)event_del(peer->writable);
    peer->ops->closed(peer->ctx);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct peer *peer = arg;
    loop_enter(peer->loop);
    /* One message a call: the callee may destroy the peer. */
    int passed = -1;
    ssize_t got = receive_bytes(peer->fd, peer->in, sizeof(peer->in), &passed);
    if (got == -EAGAIN || got == -EINTR) {
        loop_leave(peer->loop);
        return;
    }
    struct loop *loop = peer->loop;
    if (got <= 0 || proto_decode(peer->in, (size_t)got, &peer->message) != 0) {
        if (passed >= 0) {
            (void)close(passed);
        }
        peer_die(peer);
    } else {
        peer->ops->message(peer->ctx, &peer->message, passed);
    }
    loop_leave(loop);
}

int peer_create(struct loop *loop, int fd, const struct peer_ops *ops, void *ctx,
                struct peer **ret_peer)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    if (!peer) {
        return -ENOMEM;
    }
    peer->loop = loop;
    peer->fd = fd;
    peer->ops = ops;
    peer->ctx = ctx;
    peer->last = &peer->first;
    int bytes = 4 * PROTO_BYTES_MAX;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    peer->readable = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, peer);
    peer->writable = event_new(loop_base(loop), fd, EV_WRITE | EV_PERSIST, on_writable, peer);
    if (!peer->readable || !peer->writable || event_add(peer->readable, NULL) != 0) {
        peer->fd = -1; /* stays the caller's */
        peer_destroy(peer);
        return -ENOMEM;
    }
    *ret_peer = peer;
    return 0;
}

void peer_destroy(struct peer *peer)
{
    if (!peer) {
        return;
    }
    if (peer->readable) {
        event_free(peer->readable);
    }
    if (peer->writable) {
        event_free(peer->writable);
    }
    while (peer->first) {
        struct pending *next = peer->first->next;
        pending_destroy(peer->first);
        peer->first = next;
    }
    if (peer->fd >= 0) {
        (void)close(peer->fd);
    }
    free(peer);
}

int peer_send(struct peer *peer, const struct proto_message *message, int fd)
{
    if (peer->dead) {
        return -EPIPE;
    }
    int size = proto_encode(message, peer->out, sizeof(peer->out));
    if (size < 0) {
        return size;
    }
    if (!peer->first) {
        int rc = send_bytes(peer->fd, peer->out, (size_t)size, fd);
        if (rc != -EAGAIN) {
            return rc;
        }
    }
    struct pending *pending = malloc(sizeof(*pending) + (size_t)size);
    if (!pending) {
        return -ENOMEM;
    }
    pending->next = NULL;
    pending->fd = fd >= 0 ? dup(fd) : -1;
    pending->size = (size_t)size;
    memcpy(pending->bytes, peer->out, (size_t)size);
    *peer->last = pending;
    peer->last = &pending->next;
    (void)event_add(peer->writable, NULL);
    return 0;
}

void peer_flush(struct peer *peer, int timeout_ms)
{
    while (!peer->dead && send_pending(peer) == -EAGAIN) {
        struct pollfd p = {.fd = peer->fd, .events = POLLOUT};
        if (poll(&p, 1, timeout_ms) <= 0) {
            return;
        }
    }
}

int peer_send_now(int fd, const struct proto_message *message)
{
    char bytes[1024];
    int size = proto_encode(message, bytes, sizeof(bytes));
    return size < 0 ? size : send_bytes(fd, bytes, (size_t)size, -1);
}
