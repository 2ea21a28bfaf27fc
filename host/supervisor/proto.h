/*
 * The messages between supervisor and worker: one datagram of a seqpacket socket each. Both ends
 * are the same program, started by the same supervisor; the version guards against a binary that
 * was replaced in between.
 *
 * A message is a type, a few numbers, a list of strings, and for one type a descriptor. What they
 * mean stands at the types. Decoding trusts nothing: a worker may have gone mad.
 */
#ifndef HOST_SUPERVISOR_PROTO_H
#define HOST_SUPERVISOR_PROTO_H

#include "base/span.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PROTO_VERSION = 1,
    PROTO_BYTES_MAX = 96 * 1024,
    PROTO_NUMBERS = 6,
    PROTO_STRINGS_MAX = 640,
};

enum proto_type {
    /* Supervisor to worker. */
    PROTO_HELLO = 1, /* restarts, run, flags (PROTO_FLAG_*), listeners (descriptors from
                        PROTO_FD_LISTEN on);
                        hashes of quarantined policies */
    PROTO_ENGINE,    /* an engine that runs already: pid, port; key */
    PROTO_BEGIN,     /* everything is told */
    PROTO_SPAWNED,   /* pid (0: failed), port, errno; key, what went wrong */
    PROTO_EXITED,    /* pid, exit status or -signal; key, its last line */
    PROTO_LOG,       /* id, errno; newest text */
    PROTO_RELOAD,
    PROTO_DRAIN,
    /* Worker to supervisor. */
    PROTO_READY = 32,
    PROTO_SPAWN, /* port_min, port_max, argument count, grace_ns of its stop; key, model, arguments,
                    environment */
    PROTO_STOP,  /* key. EXITED follows */
    PROTO_LOG_GET,  /* id, bytes; key */
    PROTO_RELOADED, /* descriptor with the configuration text now in force */

    PROTO_DRAINED, /* the worker holds nothing any more and ends; the host may end */
};

enum { PROTO_FLAG_FROM_CONFIG = 1 };

/* Descriptors of a worker. */
enum { PROTO_FD_CHANNEL = 3, PROTO_FD_CONFIG = 4, PROTO_FD_PAGE = 5, PROTO_FD_LISTEN = 6 };

struct proto_message {
    uint32_t type;
    uint32_t string_count;
    int64_t number[PROTO_NUMBERS];
    struct span string[PROTO_STRINGS_MAX]; /* decoded: each terminated, inside the datagram */
};

/* String `index`, or the empty one. Decoded strings are terminated. */
const char *proto_text(const struct proto_message *message, uint32_t index);

/* Appends a string (NULL: the empty one). -E2BIG above PROTO_STRINGS_MAX. */
int proto_add(struct proto_message *message, const char *text);

/* Bytes written to `out`; -EMSGSIZE if they do not fit. */
int proto_encode(const struct proto_message *message, void *out, size_t size);

/* Decodes a datagram; strings point into it. -EPROTO: another version, or damaged. */
int proto_decode(const void *data, size_t size, struct proto_message *ret_message);

#endif
