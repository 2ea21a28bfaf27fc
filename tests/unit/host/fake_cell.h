/*
 * A worker with one cell that does what a test says: enough of host/worker for the front to run
 * without core, policy and engines. It dispatches at once, or holds requests until told.
 * Included by one test file; it defines the functions of cell.h and worker.h that the front uses.
 */
#ifndef FAKE_CELL_H
#define FAKE_CELL_H

#include "base/config.h"
#include "host/worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_REQUESTS_MAX = 20000 };

struct fake_request {
    const struct cell_request_ops *ops;
    void *cookie;
    bool running, ended;
    uint32_t attempt;
    struct cell_submit submit;
};

struct cell {
    struct loop *loop;
    const char *origin;
    const char *upstream_model;
    bool hold;              /* do not dispatch */
    int reject;             /* -1: accept; else enum core_reject */
    int64_t retry_after_ns; /* with reject */
    struct loop_task task;
    struct fake_request requests[FAKE_REQUESTS_MAX];
    uint32_t count;
    uint32_t dispatched_to; /* requests below were looked at */
    unsigned completed[6], retried, cancelled, first_tokens;
    struct cell_completion last;
    struct cell_submit submitted;
};

struct worker {
    struct loop *loop;
    struct config *config;
    struct cell *cell;
    enum worker_phase phase;
};

static inline struct cell *fake_of(struct loop_task *task)
{
    return (struct cell *)(void *)((char *)task - offsetof(struct cell, task));
}

static void fake_dispatch(struct loop_task *task)
{
    struct cell *cell = fake_of(task);
    while (!cell->hold && cell->dispatched_to < cell->count) {
        uint32_t i = cell->dispatched_to++;
        struct fake_request *r = &cell->requests[i % FAKE_REQUESTS_MAX];
        if (r->ended || r->running) {
            continue;
        }
        r->running = true;
        struct cell_dispatch dispatch = {.request = i + 1,
                                         .origin = cell->origin,
                                         .upstream_model = cell->upstream_model,
                                         .model = cell_model_name(cell, r->submit.model),
                                         .policy = "fifo",
                                         .arm = "",
                                         .attempt = r->attempt++,
                                         .wait_ns = {5000000, 7000000}};
        r->ops->dispatch(r->cookie, &dispatch);
    }
}

static void fake_release(struct cell *cell)
{
    cell->hold = false;
    loop_defer(cell->loop, &cell->task);
}

/* Ends a request as the core would. */
static void fake_end(struct cell *cell, uint64_t id, uint32_t outcome)
{
    struct fake_request *r = &cell->requests[(id - 1) % FAKE_REQUESTS_MAX];
    int64_t wait[CORE_WAIT_COUNT] = {0};
    bool running = r->running;
    r->ended = true;
    r->ops->ended(r->cookie, outcome, running, wait);
    if (running) {
        r->ops->abort(r->cookie);
    }
}

void cell_submit(struct cell *cell, const struct cell_submit *submit,
                 const struct cell_request_ops *ops, void *cookie)
{
    cell->submitted = *submit;
    if (cell->reject >= 0) {
        ops->rejected(cookie, (enum core_reject)cell->reject, cell->retry_after_ns);
        return;
    }
    struct fake_request *r = &cell->requests[cell->count++ % FAKE_REQUESTS_MAX];
    *r = (struct fake_request){.ops = ops, .cookie = cookie, .submit = *submit};
    ops->accepted(cookie, cell->count, 2, INT64_C(11500000000));
    loop_defer(cell->loop, &cell->task);
}

void cell_cancel(struct cell *cell, uint64_t request, uint32_t outcome)
{
    struct fake_request *r = &cell->requests[(request - 1) % FAKE_REQUESTS_MAX];
    (void)outcome;
    cell->cancelled++;
    r->ended = true;
    if (r->running) {
        r->ops->abort(r->cookie);
    }
}

void cell_first_token(struct cell *cell, uint64_t request)
{
    (void)request;
    cell->first_tokens++;
}

void cell_complete(struct cell *cell, uint64_t request, const struct cell_completion *completion)
{
    struct fake_request *r = &cell->requests[(request - 1) % FAKE_REQUESTS_MAX];
    cell->last = *completion;
    if (completion->retry) {
        cell->retried++;
        r->running = false;
        cell->dispatched_to = (uint32_t)request - 1;
        loop_defer(cell->loop, &cell->task);
        return;
    }
    cell->completed[completion->outcome]++;
    r->ended = true;
}

int cell_position(struct cell *cell, uint64_t request, uint32_t *ret_position, int64_t *ret_eta_ns)
{
    if (cell->requests[(request - 1) % FAKE_REQUESTS_MAX].running) {
        return -ESTALE;
    }
    *ret_position = 2;
    *ret_eta_ns = INT64_C(11500000000);
    return 0;
}

void cell_request_text(const struct cell *cell, uint64_t request,
                       char ret_text[CELL_REQUEST_TEXT_BYTES])
{
    (void)cell;
    (void)snprintf(ret_text, CELL_REQUEST_TEXT_BYTES, "r-%llu", (unsigned long long)request);
}

static struct worker *fake_worker;

const char *cell_model_name(const struct cell *cell, uint32_t model)
{
    (void)cell;
    return fake_worker->config->models[model].name;
}

void cell_observe(struct cell *cell, const struct cell_observer *observer)
{
    (void)cell;
    (void)observer;
}

struct loop *worker_loop(struct worker *worker)
{
    return worker->loop;
}

const struct config *worker_config(const struct worker *worker)
{
    return worker->config;
}

enum worker_phase worker_phase(const struct worker *worker)
{
    return worker->phase;
}

uint32_t worker_restarts(const struct worker *worker)
{
    (void)worker;
    return 0;
}

uint32_t worker_cell_count(const struct worker *worker)
{
    (void)worker;
    return 1;
}

struct cell *worker_cell(const struct worker *worker, uint32_t index)
{
    (void)index;
    return worker->cell;
}

int worker_route(const struct worker *worker, struct span name, struct cell **ret_cell,
                 uint32_t *ret_model)
{
    char text[300];
    if (name.len >= sizeof text) {
        return -ENOENT;
    }
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    int index = config_find_model(worker->config, text);
    if (index < 0) {
        return -ENOENT;
    }
    *ret_cell = worker->cell;
    *ret_model = (uint32_t)index;
    return 0;
}

#endif
