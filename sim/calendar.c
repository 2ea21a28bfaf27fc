/* A heap with four children a node: half as deep as a binary one, and the children share a cache
 * line or two. */
#include "sim/calendar.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { FIRST_ROOM = 256, CHILDREN = 4 };

static bool before(const struct calendar_entry *a, const struct calendar_entry *b)
{
    return a->t_ns != b->t_ns ? a->t_ns < b->t_ns : a->order < b->order;
}

void calendar_fini(struct calendar *calendar)
{
    free(calendar->entries);
    *calendar = (struct calendar){0};
}

int calendar_push(struct calendar *calendar, int64_t t_ns, uint32_t rank, uint32_t a, uint32_t b)
{
    assert(rank < 256);
    if (calendar->count == calendar->room) {
        size_t room = calendar->room > 0 ? 2 * calendar->room : FIRST_ROOM;
        struct calendar_entry *grown = realloc(calendar->entries, room * sizeof *grown);
        if (!grown) {
            return -ENOMEM;
        }
        calendar->entries = grown;
        calendar->room = room;
    }
    const struct calendar_entry entry = {
        .t_ns = t_ns, .order = (uint64_t)rank << 56 | calendar->pushed++, .a = a, .b = b};
    struct calendar_entry *heap = calendar->entries;
    size_t at = calendar->count++;
    while (at > 0 && before(&entry, &heap[(at - 1) / CHILDREN])) {
        heap[at] = heap[(at - 1) / CHILDREN];
        at = (at - 1) / CHILDREN;
    }
    heap[at] = entry;
    return 0;
}

struct calendar_entry calendar_pop(struct calendar *calendar)
{
    assert(calendar->count > 0);
    struct calendar_entry *heap = calendar->entries;
    const struct calendar_entry first = heap[0];
    size_t count = --calendar->count;
    const struct calendar_entry last = heap[count];
    size_t at = 0;
    for (;;) {
        size_t child = CHILDREN * at + 1;
        if (child >= count) {
            break;
        }
        size_t end = child + CHILDREN < count ? child + CHILDREN : count;
        size_t least = child;
        for (size_t i = child + 1; i < end; i++) {
            least = before(&heap[i], &heap[least]) ? i : least;
        }
        if (!before(&heap[least], &last)) {
            break;
        }
        heap[at] = heap[least];
        at = least;
    }
    heap[at] = last;
    return first;
}
