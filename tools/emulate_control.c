/*
 * Sleep, wake and reload, one after the other as the engine's core does them. Memory is given back
 * when a sleep ends and taken before a wake begins; whoever asks gets the answer when it is done.
 */
#include "tools/emulate_priv.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t tag_bytes(const struct emulator *e, unsigned tags)
{
    const struct emulate_options *o = &e->options;
    uint64_t weights = o->weights_bytes, kv = o->resident_bytes - o->asleep_bytes - weights;
    return (tags & TAG_WEIGHTS ? weights : 0) + (tags & TAG_KV ? kv : 0);
}

uint64_t control_bytes(const struct emulator *e)
{
    return e->options.asleep_bytes + tag_bytes(e, e->leaked ? TAG_ALL : e->resident);
}

static void finish(struct emulator *e, struct request *r, unsigned status, const char *message)
{
    loop_timer_cancel(&e->control);
    e->control_begun = false;
    request_list_remove(&e->controls, r);
    r->state = REQUEST_ENDED;
    if (!r->conn) {
        request_free(r);
    } else if (message) {
        answer_error(r, status, "InternalServerError", message);
    } else if (r->control == CONTROL_RELOAD) {
        answer_json(r, 200, "{\"results\":[null]}");
    } else {
        answer_empty(r, 200);
    }
}

static void sleep_end(struct emulator *e, struct request *r)
{
    struct faults *f = &e->options.faults;
    if (f->sleep_fails > 0) {
        f->sleep_fails--;
        finish(e, r, 500, "sleep failed (fault on demand)");
        return;
    }
    e->asleep = true;
    e->level = r->level > e->level ? r->level : e->level;
    if (r->level > 0) {
        e->resident &= ~r->tags;
        if (r->level == 2 && (r->tags & TAG_WEIGHTS)) {
            e->weights_valid = false;
        }
        e->leaked = f->sleep_frees_nothing;
        if (e->pool) {
            (void)pool_set(e->pool, control_bytes(e));
        }
    }
    finish(e, r, 200, NULL);
}

static void out_of_memory(const struct emulator *e, char *text, size_t size, unsigned tags)
{
    struct pool_report report = {0};
    if (e->pool) {
        pool_read(e->pool, &report);
    }
    (void)snprintf(text, size,
                   "CUDA out of memory. Tried to allocate %.2f GiB. The device has %.2f GiB, of "
                   "which %.2f GiB are in use.",
                   (double)tag_bytes(e, tags) / 0x1p30, (double)report.budget_bytes / 0x1p30,
                   (double)report.used_bytes / 0x1p30);
    (void)fprintf(stderr, "shunt emulate: %s: torch.OutOfMemoryError: %s\n", e->options.models[0],
                  text);
}

/* Memory first; false: the wake is over, with an error. */
static bool wake_begin(struct emulator *e, struct request *r)
{
    struct faults *f = &e->options.faults;
    unsigned missing = r->tags & ~e->resident;
    r->tags = missing;
    e->resident |= missing;
    int rc = e->pool ? pool_set(e->pool, control_bytes(e)) : 0;
    if (rc || f->wake_oom > 0) {
        f->wake_oom -= f->wake_oom > 0;
        e->resident &= ~missing;
        if (e->pool) {
            (void)pool_set(e->pool, control_bytes(e));
        }
        char text[256];
        out_of_memory(e, text, sizeof text, missing);
        finish(e, r, 500, text);
        return false;
    }
    return true;
}

static void wake_end(struct emulator *e, struct request *r)
{
    struct faults *f = &e->options.faults;
    if (f->wake_fails > 0) {
        f->wake_fails--;
        e->resident &= ~r->tags;
        if (e->pool) {
            (void)pool_set(e->pool, control_bytes(e));
        }
        finish(e, r, 500, "wake_up failed (fault on demand)");
        return;
    }
    e->leaked = false;
    if (e->resident == TAG_ALL) {
        e->asleep = false;
        e->keeping = false;
        e->level = 0;
    }
    finish(e, r, 200, NULL);
    engine_kick(e);
}

enum begun { NOT_YET, BEGUN, OVER };

static enum begun begin(struct emulator *e, struct request *r)
{
    const struct emulate_options *o = &e->options;
    int64_t length_ns = 0;
    switch (r->control) {
    case CONTROL_SLEEP:
        if (r->mode == SLEEP_WAIT && e->running.len + e->waiting.len > 0) {
            return NOT_YET;
        }
        if (r->mode == SLEEP_ABORT) {
            engine_abort_all(e);
        }
        e->keeping = true; /* nothing is generated while memory is on its way out */
        length_ns = engine_scaled_ns(e, (double)o->sleep_ns[r->level]);
        break;
    case CONTROL_WAKE:
        if (!wake_begin(e, r)) {
            return OVER;
        }
        length_ns = engine_scaled_ns(e, (double)o->wake_ns[e->level]);
        break;
    case CONTROL_RELOAD:
        if (!(e->resident & TAG_WEIGHTS)) {
            finish(e, r, 500, "reload_weights: the weights are not allocated; wake up first");
            return OVER;
        }
        length_ns = engine_scaled_ns(e, (double)o->reload_ns);
        break;
    }
    e->control_begun = true;
    loop_timer_set(&e->control, loop_now_ns(e->loop) + length_ns);
    return BEGUN;
}

void control_fired(struct loop_timer *timer)
{
    struct emulator *e = EMULATOR_OF(timer, control);
    struct request *r = e->controls.first;
    if (!r || !e->control_begun) {
        return;
    }
    if (e->options.faults.hang) {
        return; /* faults_request() kicks when it is taken away */
    }
    switch (r->control) {
    case CONTROL_SLEEP:
        sleep_end(e, r);
        if (!e->asleep) {
            e->keeping = false;
            engine_kick(e);
        }
        break;
    case CONTROL_WAKE:
        wake_end(e, r);
        break;
    case CONTROL_RELOAD:
        e->weights_valid = true;
        finish(e, r, 200, NULL);
        break;
    }
    control_kick(e);
}

void control_kick(struct emulator *e)
{
    if (e->control_begun && e->controls.first && e->control.due_ns == INT64_MAX) {
        loop_timer_set(&e->control, loop_now_ns(e->loop)); /* it had hung */
        return;
    }
    while (!e->control_begun && e->controls.first) {
        if (begin(e, e->controls.first) == NOT_YET) {
            return;
        }
    }
}

void control_submit(struct emulator *e, struct request *r)
{
    r->state = REQUEST_WAITING;
    request_list_add(&e->controls, r);
    control_kick(e);
}
