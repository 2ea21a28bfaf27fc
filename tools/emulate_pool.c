/*
 * The file is one struct, changed only under flock(2), which the kernel drops with the process.
 * Entries of dead processes are found by number and start time whenever somebody allocates.
 */
#include "tools/emulate_pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = {'S', 'H', 'U', 'N', 'T', 'V', 'R', '1'};

struct pool_file {
    char magic[8];
    struct pool_report report; /* used_bytes is computed, not kept */
};

struct pool {
    int fd;
    int64_t pid;
    char name[POOL_NAME_MAX];
    struct pool_file *file;
};

/* Field 22 of /proc/PID/stat, 0 if the process is gone. */
static uint64_t start_ticks(int64_t pid)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return 0;
    }
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    /* The name may hold spaces and brackets: count from the last one. Field 3 is the state. */
    char *at = strrchr(text, ')');
    if (!at || at[1] == '\0' || at[2] == 'Z' || at[2] == 'X') {
        return 0;
    }
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void lock(struct pool *pool)
{
    while (flock(pool->fd, LOCK_EX) && errno == EINTR) {
    }
}

static void unlock(struct pool *pool)
{
    (void)flock(pool->fd, LOCK_UN);
}

static void reclaim(struct pool_report *report)
{
    for (size_t i = 0; i < POOL_HOLDERS_MAX; i++) {
        struct pool_holder *h = &report->holders[i];
        if (h->pid != 0 && start_ticks(h->pid) != h->start_ticks) {
            report->reclaimed += h->bytes > 0;
            *h = (struct pool_holder){0};
        }
    }
}

static uint64_t used(const struct pool_report *report)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < POOL_HOLDERS_MAX; i++) {
        sum += report->holders[i].bytes;
    }
    return sum;
}

/* This process's entry, made if there is none; NULL if all are taken. */
static struct pool_holder *own_entry(struct pool *pool)
{
    struct pool_holder *free_entry = NULL;
    for (size_t i = 0; i < POOL_HOLDERS_MAX; i++) {
        struct pool_holder *h = &pool->file->report.holders[i];
        if (h->pid == pool->pid) {
            return h;
        }
        free_entry = h->pid == 0 && !free_entry ? h : free_entry;
    }
    if (free_entry) {
        free_entry->pid = pool->pid;
        free_entry->start_ticks = start_ticks(pool->pid);
        memcpy(free_entry->name, pool->name, sizeof free_entry->name);
    }
    return free_entry;
}

static int file_check(struct pool *pool, uint64_t budget_bytes)
{
    struct pool_file *file = pool->file;
    static const char none[sizeof magic];
    if (memcmp(file->magic, none, sizeof none) == 0) {
        if (budget_bytes == 0) {
            return -EINVAL;
        }
        file->report.budget_bytes = budget_bytes;
        memcpy(file->magic, magic, sizeof magic);
    }
    if (memcmp(file->magic, magic, sizeof magic) != 0) {
        return -EINVAL;
    }
    return budget_bytes == 0 || file->report.budget_bytes == budget_bytes ? 0 : -EEXIST;
}

static int file_map(struct pool *pool)
{
    struct stat st;
    if (fstat(pool->fd, &st)) {
        return -errno;
    }
    if (st.st_size == 0 && ftruncate(pool->fd, (off_t)sizeof *pool->file)) {
        return -errno;
    }
    if (st.st_size != 0 && st.st_size != (off_t)sizeof *pool->file) {
        return -EINVAL;
    }
    void *map = mmap(NULL, sizeof *pool->file, PROT_READ | PROT_WRITE, MAP_SHARED, pool->fd, 0);
    if (map == MAP_FAILED) {
        return -errno;
    }
    pool->file = map;
    return 0;
}

int pool_open(struct pool **ret_pool, const char *path, uint64_t budget_bytes, const char *name)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool) {
        return -ENOMEM;
    }
    pool->pid = getpid();
    (void)snprintf(pool->name, sizeof pool->name, "%s", name);
    int flags = O_RDWR | O_CLOEXEC | (budget_bytes ? O_CREAT : 0);
    pool->fd = open(path, flags, 0600);
    int rc = pool->fd < 0 ? -errno : 0;
    if (rc == 0) {
        lock(pool);
        rc = file_map(pool);
        rc = rc ? rc : file_check(pool, budget_bytes);
        unlock(pool);
    }
    if (rc) {
        pool_close(pool);
        return rc;
    }
    *ret_pool = pool;
    return 0;
}

static void refuse(struct pool *pool, uint64_t had, uint64_t want)
{
    struct pool_report *report = &pool->file->report;
    report->refusals++;
    int n = snprintf(report->last_refusal, sizeof report->last_refusal,
                     "%s (pid %" PRId64 ", holding %" PRIu64 " bytes) wanted %" PRIu64
                     " of %" PRIu64 " while",
                     pool->name, pool->pid, had, want, report->budget_bytes);
    for (size_t i = 0; i < POOL_HOLDERS_MAX; i++) {
        const struct pool_holder *h = &report->holders[i];
        if (h->bytes > 0 && h->pid != pool->pid && n > 0 &&
            (size_t)n < sizeof report->last_refusal) {
            n += snprintf(report->last_refusal + n, sizeof report->last_refusal - (size_t)n,
                          " %s held %" PRIu64, h->name, h->bytes);
        }
    }
}

int pool_set(struct pool *pool, uint64_t bytes)
{
    int rc = 0;
    lock(pool);
    struct pool_report *report = &pool->file->report;
    reclaim(report);
    struct pool_holder *own = own_entry(pool);
    if (!own) {
        rc = -ENOSPC;
    } else if (bytes > own->bytes) {
        uint64_t others = used(report) - own->bytes;
        if (bytes > report->budget_bytes || others > report->budget_bytes - bytes) {
            refuse(pool, own->bytes, bytes);
            rc = -ENOMEM;
        } else {
            report->allocations++;
        }
    }
    if (rc == 0) {
        own->bytes = bytes;
        uint64_t now = used(report);
        report->peak_bytes = now > report->peak_bytes ? now : report->peak_bytes;
    }
    unlock(pool);
    return rc;
}

void pool_read(struct pool *pool, struct pool_report *ret_report)
{
    lock(pool);
    reclaim(&pool->file->report);
    *ret_report = pool->file->report;
    unlock(pool);
    ret_report->used_bytes = used(ret_report);
}

void pool_close(struct pool *pool)
{
    if (!pool) {
        return;
    }
    if (pool->file) {
        lock(pool);
        for (size_t i = 0; i < POOL_HOLDERS_MAX; i++) {
            struct pool_holder *h = &pool->file->report.holders[i];
            if (h->pid == pool->pid) {
                *h = (struct pool_holder){0};
            }
        }
        unlock(pool);
        (void)munmap(pool->file, sizeof *pool->file);
    }
    if (pool->fd >= 0) {
        close(pool->fd);
    }
    free(pool);
}
