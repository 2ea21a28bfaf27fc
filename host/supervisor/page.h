/*
 * A page shared by supervisor and worker that says which policy the worker is inside of. When the
 * worker dies in there (a crash, or the watchdog ended a stall), the supervisor reads the name and
 * quarantines that file. Written by the worker's loop only, two stores a call.
 */
#ifndef HOST_SUPERVISOR_PAGE_H
#define HOST_SUPERVISOR_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

enum { PAGE_ENTRIES = 128, PAGE_HASH_BYTES = 65, PAGE_ID_BYTES = 64 };

struct page {
    _Atomic uint32_t calling; /* entry + 1; 0: no policy is being called */
    _Atomic uint32_t stalled; /* set by the watchdog before it ends the worker */
    _Atomic int64_t since_ns; /* when the call began */
    struct {
        char hash[PAGE_HASH_BYTES]; /* "" for the built-in */
        char id[PAGE_ID_BYTES];
    } entry[PAGE_ENTRIES];
};

#endif
