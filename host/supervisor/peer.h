/*
 * One end of the channel between supervisor and worker, on a loop: receives messages, and queues
 * those that the socket does not take at once. Neither end ever blocks on the other.
 */
#ifndef HOST_SUPERVISOR_PEER_H
#define HOST_SUPERVISOR_PEER_H

#include "host/supervisor/proto.h"
#include "net/loop.h"

struct peer;

struct peer_ops {
    /* A message; lives during the call. fd: the descriptor that came with it, the callee's from
     * now on; -1 if none. */
    void (*message)(void *ctx, const struct proto_message *message, int fd);
    /* The other end is gone, or talks nonsense. Last call; destroy the peer after it. */
    void (*closed)(void *ctx);
};

/* Takes `fd` (a connected seqpacket socket). -ENOMEM. */
int peer_create(struct loop *loop, int fd, const struct peer_ops *ops, void *ctx,
                struct peer **ret_peer);
void peer_destroy(struct peer *peer);

/* Sends a message, with `fd` (borrowed; -1: none). -EMSGSIZE, -ENOMEM, -EPIPE. */
int peer_send(struct peer *peer, const struct proto_message *message, int fd);

/* Sends what is queued, waiting up to `timeout_ms`; before the end of a process. */
void peer_flush(struct peer *peer, int timeout_ms);

/* A message by itself from any thread, without the queue: for last words. */
int peer_send_now(int fd, const struct proto_message *message);

#endif
