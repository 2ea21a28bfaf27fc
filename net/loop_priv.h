/* What the connections of net/ share through their loop. Not for users of net/. */
#ifndef SHUNT_NET_LOOP_PRIV_H
#define SHUNT_NET_LOOP_PRIV_H

#include "net/loop.h"

struct stream;

enum {
    LOOP_READ_BYTES = 64 * 1024, /* the one read buffer of all connections */
    LOOP_CORK_BYTES = 16 * 1024, /* small writes of one connection, until the callback returns */
};

/* The read buffer; its content is good until the next read on any connection. */
char *loop_read_buffer(struct loop *loop);

/*
 * The cork collects what one stream writes during one callback, so that a head and its body leave
 * in one system call. It belongs to at most one stream at a time.
 */
struct loop_cork {
    struct stream *owner; /* NULL: free, and len is 0 */
    size_t len;
    char data[LOOP_CORK_BYTES];
};

struct loop_cork *loop_cork(struct loop *loop);

/* True while a callback runs: then loop_leave() will come, and the cork may hold bytes. */
bool loop_inside(const struct loop *loop);

#endif
