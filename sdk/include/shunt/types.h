/*
 * Words shared by every part of the ABI: ids, units, tiers, states.
 *
 * Only fixed-width integers and doubles cross the ABI. Times are int64_t nanoseconds of the
 * host's monotonic clock, or of the simulator's virtual one; 0 in an optional time means "none".
 * Enumerations are uint32_t; a host never hands a policy a value newer than the minor version the
 * policy was built for, except where a comment calls the set open.
 */
#ifndef SHUNT_TYPES_H
#define SHUNT_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* "No model", "no device", "no instance", "any placement". */
#define SHUNT_NONE UINT32_MAX

/* Whether STRUCT, whose producer set its size, reaches as far as MEMBER. */
#define SHUNT_HAS(pointer, struct_type, member)                                                    \
    ((pointer)->size >= offsetof(struct_type, member) + sizeof((pointer)->member))

/* Where a model's weights are, coldest first. */
enum {
    SHUNT_TIER_STOPPED = 0,   /* no process, nothing held */
    SHUNT_TIER_STAGED = 1,    /* weights in the page cache or a pinned copy, no process state */
    SHUNT_TIER_DISCARDED = 2, /* process alive, weights dropped */
    SHUNT_TIER_SUSPENDED = 3, /* process checkpointed in host memory */
    SHUNT_TIER_ASLEEP = 4,    /* process alive, weights in host memory */
    SHUNT_TIER_RESIDENT = 5,  /* on the device, able to serve */
    SHUNT_TIER_COUNT = 6
};

/* State of an instance: a tier at rest, or a way between two. */
enum {
    SHUNT_INSTANCE_STOPPED = 0,
    SHUNT_INSTANCE_STAGED = 1,
    SHUNT_INSTANCE_DISCARDED = 2,
    SHUNT_INSTANCE_SUSPENDED = 3,
    SHUNT_INSTANCE_ASLEEP = 4,
    SHUNT_INSTANCE_RESIDENT = 5,     /* may admit */
    SHUNT_INSTANCE_WAKING = 6,       /* in or probe step under way */
    SHUNT_INSTANCE_DRAINING = 7,     /* closed, work in flight */
    SHUNT_INSTANCE_LEAVING = 8,      /* out step under way */
    SHUNT_INSTANCE_FAILED = 9,       /* lost, or its last step failed; may be tried again */
    SHUNT_INSTANCE_QUARANTINED = 10, /* not tried again before a time set by the host */
    SHUNT_INSTANCE_STATE_COUNT = 11
};

/* State of a device; at every instant exactly one, and the times in them sum to elapsed time. */
enum {
    SHUNT_DEVICE_IDLE = 0,      /* nothing waits, nothing in flight */
    SHUNT_DEVICE_SERVING = 1,   /* admitting, something in flight */
    SHUNT_DEVICE_DRAINING = 2,  /* admission closed, something in flight */
    SHUNT_DEVICE_SWITCHING = 3, /* an out, in or probe step, or waiting for memory */
    SHUNT_DEVICE_LINGERING = 4, /* nothing in flight although someone waits, not switching */
    SHUNT_DEVICE_STATE_COUNT = 5
};

/* How a victim's admission ends before it is moved out. */
enum {
    SHUNT_DRAIN_DEFAULT = 0, /* as the operator configured */
    SHUNT_DRAIN_FINISH = 1,  /* stop admitting, let everything in flight finish */
    SHUNT_DRAIN_REQUEUE = 2  /* as finish, but requests without a response byte queue again */
};

/*
 * Why a policy is asked: bits of shunt_ask.why. The set is open: a policy ignores bits that it
 * does not know.
 */
enum {
    SHUNT_WHY_ARRIVAL = 1 << 0,       /* for a model that no device admits */
    SHUNT_WHY_QUEUE_EMPTY = 1 << 1,   /* the resident queue ran empty */
    SHUNT_WHY_COMPLETION = 1 << 2,    /* while others wait */
    SHUNT_WHY_QUANTUM = 1 << 3,       /* the decided quantum is used up */
    SHUNT_WHY_MIN_RESIDENCE = 1 << 4, /* the minimum residence is over */
    SHUNT_WHY_VISIT_CAP = 1 << 5,     /* the guard's cap: name another model or the host will */
    SHUNT_WHY_DRAIN_ENDED = 1 << 6,
    SHUNT_WHY_SWITCH_DONE = 1 << 7,
    SHUNT_WHY_SWITCH_FAILED = 1 << 8,
    SHUNT_WHY_ENGINE_LOST = 1 << 9,
    SHUNT_WHY_ENGINE_BACK = 1 << 10,
    SHUNT_WHY_RECHECK = 1 << 11, /* recheck_at_ns or the end of a linger */
    SHUNT_WHY_TICK = 1 << 12,
    SHUNT_WHY_PARAMS = 1 << 13,
    SHUNT_WHY_LAYOUT = 1 << 14,   /* models or devices changed */
    SHUNT_WHY_SELECTED = 1 << 15, /* this instance has just been made the deciding one */
    SHUNT_WHY_CANCEL = 1 << 16    /* a waiting request left */
};

#endif
