/*
 * The event loop: one libevent base and what every connection on it shares. One thread runs a loop;
 * nothing here may be called from another thread but loop_post(). Time is
 * monotonic nanoseconds, read once at the entry of each callback and frozen inside it.
 *
 * A loop_timer, loop_task or loop_signal is memory of its user, who must cancel it before freeing
 * it.
 */
#ifndef SHUNT_NET_LOOP_H
#define SHUNT_NET_LOOP_H

#include "base/span.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/* -ENOMEM, or -ENOTSUP where the kernel lacks edge-triggered events with early close (epoll). Also
 * has SIGPIPE ignored for the process. */
int loop_create(struct loop **ret_loop);

/* Everything that lives on the loop must be gone before. NULL is allowed. */
void loop_destroy(struct loop *loop);

/* For users that need libevent itself (pidfd events, further signal handling). Their callbacks
 * should begin with loop_enter() and end with loop_leave(), so that the time is fresh and that
 * small writes to one connection leave together. */
struct event_base *loop_base(struct loop *loop);
void loop_enter(struct loop *loop);
void loop_leave(struct loop *loop);

/* Runs until loop_stop(). 0, or -EIO if the back end fails. */
int loop_run(struct loop *loop);

/* Runs what is ready now, waiting for one event if wait is set; for tests and nested waiting. */
int loop_run_once(struct loop *loop, bool wait);

/* loop_run() returns after the callbacks of this turn. */
void loop_stop(struct loop *loop);

/* Monotonic time of the current callback. Outside of callbacks it is read afresh. */
int64_t loop_now_ns(struct loop *loop);

/* IMF-fixdate for the Date field, refreshed each second; valid until the next call. */
struct span loop_date(struct loop *loop);

/* --- One-shot timers. Moving one later or cancelling it is cheap: it stays in the heap and looks
 * again when the old time comes. --- */
struct loop_timer {
    struct loop *loop;
    void (*fire)(struct loop_timer *timer);
    int64_t due_ns;   /* INT64_MAX: not set */
    int64_t armed_ns; /* when libevent will call; INT64_MAX: not at all */
    struct event event;
};

void loop_timer_init(struct loop_timer *timer, struct loop *loop,
                     void (*fire)(struct loop_timer *timer));
/* Replaces the time set before. A time in the past fires on the next turn, never at once. */
void loop_timer_set(struct loop_timer *timer, int64_t due_ns);
/* May leave a stale wake-up behind; use loop_timer_fini() before the memory goes. */
void loop_timer_cancel(struct loop_timer *timer);
void loop_timer_fini(struct loop_timer *timer);

/* --- Deferred calls: run after the current callback has returned, in the order queued. --- */
struct loop_task {
    void (*run)(struct loop_task *task);
    struct loop_task *next, *prev; /* NULL: not queued */
};

/* Queues the task; does nothing if it is queued already. run() may queue it again. */
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_defer_cancel(struct loop *loop, struct loop_task *task);

/* --- Signals. --- */
struct loop_signal {
    struct loop *loop;
    void (*caught)(struct loop_signal *sig, int signum);
    struct event event;
};

int loop_signal_init(struct loop_signal *sig, struct loop *loop, int signum,
                     void (*caught)(struct loop_signal *sig, int signum));
void loop_signal_fini(struct loop_signal *sig);

/* --- From other threads. --- */

/* Runs call(arg) on the loop's thread, in order of posting. -ENOMEM; thread-safe. What is posted
 * and not run when the loop is destroyed is dropped: its drop(arg), if given, is called. */
int loop_post(struct loop *loop, void (*call)(void *arg), void *arg, void (*drop)(void *arg));

#endif
