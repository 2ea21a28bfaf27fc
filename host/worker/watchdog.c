/* Ends a worker that a policy holds. See watchdog.h. */
#include "host/worker/watchdog.h"

#include "host/say.h"
#include "host/supervisor/page.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

struct watchdog {
    struct page *page;
    int64_t limit_ns;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool ending;
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void look(const struct watchdog *w)
{
    struct page *page = w->page;
    uint32_t calling = atomic_load_explicit(&page->calling, memory_order_acquire);
    int64_t since = atomic_load_explicit(&page->since_ns, memory_order_relaxed);
    int64_t now = clock_ns(CLOCK_MONOTONIC);
    if (calling == 0 || calling > PAGE_ENTRIES || now - since < w->limit_ns ||
        atomic_load(&page->calling) != calling || atomic_load(&page->since_ns) != since) {
        return;
    }
    say(SAY_ERROR, "policy_stalled",
        "policy %s (hash %.16s) has held the worker for %" PRId64 " ms; the worker ends",
        page->entry[calling - 1].id, page->entry[calling - 1].hash, (now - since) / 1000000);
    atomic_store(&page->stalled, 1);
    abort();
}

static void *run(void *arg)
{
    struct watchdog *w = arg;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        int64_t until = clock_ns(CLOCK_REALTIME) + w->limit_ns / 4;
        struct timespec at = {.tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = until % NS_PER_S};
        (void)pthread_cond_timedwait(&w->ended, &w->lock, &at);
        if (!w->ending) {
            look(w);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

int watchdog_start(struct page *page, int64_t limit_ns, struct watchdog **ret_watchdog)
{
    struct watchdog *w = calloc(1, sizeof(*w));
    if (!w) {
        return -ENOMEM;
    }
    w->page = page;
    w->limit_ns = limit_ns;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->ended, NULL);
    int rc = -pthread_create(&w->thread, NULL, run, w);
    if (rc) {
        free(w);
        return rc;
    }
    *ret_watchdog = w;
    return 0;
}

void watchdog_stop(struct watchdog *w)
{
    if (!w) {
        return;
    }
    (void)pthread_mutex_lock(&w->lock);
    w->ending = true;
    (void)pthread_cond_signal(&w->ended);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->ended);
    free(w);
}
