/*
 * The calendar of a run: events in the order of time, then of rank, then of coming. A heap of small
 * entries that carry two numbers for their owner; what has become void is left in and recognised by
 * its owner when it comes up.
 */
#ifndef SIM_CALENDAR_H
#define SIM_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct calendar_entry {
    int64_t t_ns;
    uint64_t order; /* rank in the upper 8 bits, then a count */
    uint32_t a, b;  /* the owner's */
};

/* A zeroed one is empty. */
struct calendar {
    struct calendar_entry *entries;
    size_t count, room;
    uint64_t pushed;
};

void calendar_fini(struct calendar *calendar);

/* `rank`: 0..255, lower first at one instant. -ENOMEM. */
int calendar_push(struct calendar *calendar, int64_t t_ns, uint32_t rank, uint32_t a, uint32_t b);

/* Takes the first; the calendar must not be empty. */
struct calendar_entry calendar_pop(struct calendar *calendar);

static inline uint32_t calendar_rank(const struct calendar_entry *entry)
{
    return (uint32_t)(entry->order >> 56);
}

/* NULL if it is empty; valid until the next push or pop. */
static inline const struct calendar_entry *calendar_first(const struct calendar *calendar)
{
    return calendar->count > 0 ? &calendar->entries[0] : NULL;
}

#endif
