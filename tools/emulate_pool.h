/*
 * Fake device memory that several emulators share: a small file, mapped and locked, with one entry
 * per process. What does not fit is refused loudly and remembered, so that a test can ask whether
 * the host under test ever tried to put two models where one fits.
 */
#ifndef SHUNT_TOOLS_EMULATE_POOL_H
#define SHUNT_TOOLS_EMULATE_POOL_H

#include <stdint.h>
#include <stdio.h>

enum { POOL_HOLDERS_MAX = 128, POOL_NAME_MAX = 64, POOL_TEXT_MAX = 256 };

struct pool;

struct pool_holder {
    int64_t pid;          /* 0: free */
    uint64_t start_ticks; /* of the process: a number reused by another process is no holder */
    uint64_t bytes;
    char name[POOL_NAME_MAX];
};

struct pool_report {
    uint64_t budget_bytes, used_bytes, peak_bytes;
    uint64_t allocations; /* that grew a holder */
    uint64_t refusals;    /* that did not fit: a double occupancy in the making */
    uint64_t reclaimed;   /* holders found dead, their bytes given back */
    char last_refusal[POOL_TEXT_MAX];
    struct pool_holder holders[POOL_HOLDERS_MAX];
};

/*
 * Opens the pool in PATH, making it with BUDGET_BYTES if it does not exist; budget 0 takes what
 * the file says. NAME is this process's entry. -EINVAL: not a pool; -EEXIST: another budget;
 * -ENOSPC: too many holders; errors of open(2), mmap(2).
 */
int pool_open(struct pool **ret_pool, const char *path, uint64_t budget_bytes, const char *name);
/*
 * Sets what this process holds. Growing beyond the budget is refused with -ENOMEM, which counts;
 * shrinking always works.
 */
int pool_set(struct pool *pool, uint64_t bytes);
void pool_read(struct pool *pool, struct pool_report *ret_report);
/* Gives everything back. Accepts NULL. */
void pool_close(struct pool *pool);

#endif
