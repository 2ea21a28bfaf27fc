/*
 * The loop: libevent's base with a frozen clock, cheap timers, deferred calls, a queue for other
 * threads, and the buffers that connections share. The only thing here that another thread may
 * touch is the posting queue, under its lock.
 */
#include "net/loop_priv.h"

#include "base/http.h"
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct loop_letter {
    void (*call)(void *arg);
    void (*drop)(void *arg);
    void *arg;
    struct loop_letter *next;
};

struct loop {
    struct event_base *base;
    int64_t now_ns;
    unsigned depth; /* callbacks inside one another */

    struct loop_task tasks;  /* ring; its own node is the sentinel */
    struct event *run_tasks; /* made active while tasks wait */

    pthread_mutex_t lock;
    struct loop_letter *first, **last; /* under lock */
    int post_fd;
    struct event *posted;

    int64_t date_s;
    char date[HTTP_DATE_LEN];

    struct loop_cork cork;
    char read_buffer[LOOP_READ_BYTES];
};

static int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    int rc = clock_gettime(id, &t);
    assert(rc == 0);
    (void)rc;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void loop_enter(struct loop *loop)
{
    if (loop->depth++ == 0) {
        loop->now_ns = clock_ns(CLOCK_MONOTONIC);
    }
}

void loop_leave(struct loop *loop)
{
    assert(loop->depth > 0);
    /* Still inside: what flushing calls may write again. */
    while (loop->depth == 1 && loop->cork.owner) {
        stream_uncork(loop->cork.owner);
    }
    loop->depth--;
}

bool loop_inside(const struct loop *loop)
{
    return loop->depth > 0;
}

char *loop_read_buffer(struct loop *loop)
{
    return loop->read_buffer;
}

struct loop_cork *loop_cork(struct loop *loop)
{
    return &loop->cork;
}

int64_t loop_now_ns(struct loop *loop)
{
    if (loop->depth == 0) {
        loop->now_ns = clock_ns(CLOCK_MONOTONIC);
    }
    return loop->now_ns;
}

struct span loop_date(struct loop *loop)
{
    int64_t now_s = clock_ns(CLOCK_REALTIME) / 1000000000;
    if (now_s != loop->date_s) {
        loop->date_s = now_s;
        http_date(loop->date, now_s > 0 ? now_s : 0);
    }
    return span_of(loop->date, HTTP_DATE_LEN);
}

/* --- Deferred calls --- */

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (task->next) {
        return;
    }
    if (loop->tasks.next == &loop->tasks) {
        event_active(loop->run_tasks, EV_TIMEOUT, 0);
    }
    task->next = &loop->tasks;
    task->prev = loop->tasks.prev;
    task->prev->next = task;
    loop->tasks.prev = task;
}

void loop_defer_cancel(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    if (task->next) {
        task->prev->next = task->next;
        task->next->prev = task->prev;
        task->next = task->prev = NULL;
    }
}

/* Runs the tasks that were queued when it began; later ones get a turn of their own, so that I/O
 * comes in between. */
static void run_tasks(struct loop *loop)
{
    loop_enter(loop);
    struct loop_task stop = {.next = &loop->tasks, .prev = loop->tasks.prev};
    stop.prev->next = &stop;
    loop->tasks.prev = &stop;
    for (struct loop_task *task; (task = loop->tasks.next) != &stop;) {
        loop_defer_cancel(loop, task);
        task->run(task);
    }
    loop_defer_cancel(loop, &stop);
    if (loop->tasks.next != &loop->tasks) {
        /* Not made active: libevent would run it before it looks at any socket. */
        static const struct timeval now = {0};
        int rc = event_add(loop->run_tasks, &now);
        assert(rc == 0);
        (void)rc;
    }
    loop_leave(loop);
}

static void tasks_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    run_tasks(arg);
}

/* --- Timers --- */

static void timer_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop_timer *timer = arg;
    struct loop *loop = timer->loop;
    loop_enter(loop);
    timer->armed_ns = INT64_MAX;
    if (timer->due_ns <= loop->now_ns) {
        timer->due_ns = INT64_MAX;
        timer->fire(timer);
    } else if (timer->due_ns != INT64_MAX) {
        loop_timer_set(timer, timer->due_ns);
    }
    loop_leave(loop);
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop,
                     void (*fire)(struct loop_timer *timer))
{
    timer->loop = loop;
    timer->fire = fire;
    timer->due_ns = timer->armed_ns = INT64_MAX;
    int rc = event_assign(&timer->event, loop->base, -1, 0, timer_due, timer);
    assert(rc == 0);
    (void)rc;
}

void loop_timer_set(struct loop_timer *timer, int64_t due_ns)
{
    timer->due_ns = due_ns;
    if (due_ns >= timer->armed_ns) {
        return; /* it will look again when it wakes */
    }
    int64_t wait_ns = due_ns - loop_now_ns(timer->loop);
    if (wait_ns < 0) {
        wait_ns = 0;
    }
    /* Rounded up: a timer that wakes early would only wait again. */
    int64_t wait_us = (wait_ns + 999) / 1000;
    struct timeval tv = {.tv_sec = (time_t)(wait_us / 1000000),
                         .tv_usec = (suseconds_t)(wait_us % 1000000)};
    int rc = event_add(&timer->event, &tv);
    assert(rc == 0);
    (void)rc;
    timer->armed_ns = due_ns;
}

void loop_timer_cancel(struct loop_timer *timer)
{
    timer->due_ns = INT64_MAX;
}

void loop_timer_fini(struct loop_timer *timer)
{
    timer->due_ns = INT64_MAX;
    if (timer->armed_ns != INT64_MAX) {
        (void)event_del(&timer->event);
        timer->armed_ns = INT64_MAX;
    }
}

/* --- Signals --- */

static void signal_due(evutil_socket_t signum, short what, void *arg)
{
    (void)what;
    struct loop_signal *sig = arg;
    struct loop *loop = sig->loop;
    loop_enter(loop);
    sig->caught(sig, (int)signum);
    loop_leave(loop);
}

int loop_signal_init(struct loop_signal *sig, struct loop *loop, int signum,
                     void (*caught)(struct loop_signal *sig, int signum))
{
    sig->loop = loop;
    sig->caught = caught;
    if (event_assign(&sig->event, loop->base, signum, EV_SIGNAL | EV_PERSIST, signal_due, sig) ||
        event_add(&sig->event, NULL)) {
        return -EINVAL;
    }
    return 0;
}

void loop_signal_fini(struct loop_signal *sig)
{
    (void)event_del(&sig->event);
}

/* --- Posts from other threads --- */

int loop_post(struct loop *loop, void (*call)(void *arg), void *arg, void (*drop)(void *arg))
{
    struct loop_letter *letter = malloc(sizeof *letter);
    if (!letter) {
        return -ENOMEM;
    }
    *letter = (struct loop_letter){.call = call, .drop = drop, .arg = arg};
    pthread_mutex_lock(&loop->lock);
    bool wake = loop->first == NULL;
    *loop->last = letter;
    loop->last = &letter->next;
    pthread_mutex_unlock(&loop->lock);
    if (wake) {
        const uint64_t one = 1;
        ssize_t put = write(loop->post_fd, &one, sizeof one);
        assert(put == (ssize_t)sizeof one);
        (void)put;
    }
    return 0;
}

static struct loop_letter *take_letters(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct loop_letter *first = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
    return first;
}

static void letters_due(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct loop *loop = arg;
    uint64_t count;
    /* Emptied before the letters are taken: a post in between wakes again. */
    if (read(fd, &count, sizeof count) < 0) {
        assert(errno == EAGAIN);
    }
    loop_enter(loop);
    for (struct loop_letter *letter = take_letters(loop), *next; letter; letter = next) {
        next = letter->next;
        letter->call(letter->arg);
        free(letter);
    }
    loop_leave(loop);
}

/* --- Life --- */

static struct event_base *make_base(void)
{
    struct event_base *base = NULL;
    struct event_config *config = event_config_new();
    if (config) {
        if (!event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) &&
            !event_config_set_flag(config,
                                   EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER)) {
            base = event_base_new_with_config(config);
        }
        event_config_free(config);
    }
    return base;
}

int loop_create(struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop) {
        return -ENOMEM;
    }
    loop->tasks.next = loop->tasks.prev = &loop->tasks;
    loop->last = &loop->first;
    loop->date_s = -1;
    loop->post_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&loop->lock, NULL);
    loop->base = make_base();
    if (!loop->base) {
        loop_destroy(loop);
        return -ENOTSUP;
    }
    loop->run_tasks = event_new(loop->base, -1, 0, tasks_due, loop);
    loop->posted = loop->post_fd >= 0 ? event_new(loop->base, loop->post_fd, EV_READ | EV_PERSIST,
                                                  letters_due, loop)
                                      : NULL;
    if (!loop->run_tasks || !loop->posted || event_add(loop->posted, NULL)) {
        loop_destroy(loop);
        return -ENOMEM;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    *ret_loop = loop;
    return 0;
}

void loop_destroy(struct loop *loop)
{
    if (!loop) {
        return;
    }
    /* Connections that were closed on the last turn wait here to be freed. */
    while (loop->run_tasks && loop->tasks.next != &loop->tasks) {
        run_tasks(loop);
    }
    for (struct loop_letter *letter = take_letters(loop), *next; letter; letter = next) {
        next = letter->next;
        if (letter->drop) {
            letter->drop(letter->arg);
        }
        free(letter);
    }
    if (loop->posted) {
        event_free(loop->posted);
    }
    if (loop->run_tasks) {
        event_free(loop->run_tasks);
    }
    if (loop->base) {
        event_base_free(loop->base);
    }
    if (loop->post_fd >= 0) {
        (void)close(loop->post_fd);
    }
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

int loop_run(struct loop *loop)
{
    return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -EIO : 0;
}

int loop_run_once(struct loop *loop, bool wait)
{
    return event_base_loop(loop->base, wait ? EVLOOP_ONCE : EVLOOP_NONBLOCK) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *loop)
{
    (void)event_base_loopbreak(loop->base);
}
