/*
 * A thread that looks at the page on which the loop says which policy it is inside of. A call that
 * takes too long cannot be taken back, as it runs on the loop's own stack: the watchdog says whose
 * it is and ends the process. The supervisor reads the same page and quarantines that policy.
 */
#ifndef HOST_WORKER_WATCHDOG_H
#define HOST_WORKER_WATCHDOG_H

#include <stdint.h>

struct page;
struct watchdog;

/* `page` must outlive it. -ENOMEM, errors of pthread_create. */
int watchdog_start(struct page *page, int64_t limit_ns, struct watchdog **ret_watchdog);
void watchdog_stop(struct watchdog *watchdog);

#endif
