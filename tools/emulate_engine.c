/*
 * Continuous batching as an engine does it: in steps. A step takes in waiting requests while there
 * are slots and prefills them (their first token comes at its end), and gives each request already
 * prefilled one more token. Its length follows from the prompts, the batch and the contexts. Late
 * timers are caught up with, so that mean rates hold at any time scale.
 */
#include "tools/emulate_priv.h"

#include <assert.h>

/* Shortest step: bounds the steps that a late timer has to catch up with. */
static const int64_t step_min_ns = 2000;
/* Steps caught up with at once, before other work gets its turn. */
enum { CATCH_UP_MAX = 4096 };

void request_list_add(struct request_list *list, struct request *r)
{
    r->prev = list->last;
    r->next = NULL;
    *(list->last ? &list->last->next : &list->first) = r;
    list->last = r;
    list->len++;
}

void request_list_remove(struct request_list *list, struct request *r)
{
    assert(list->len > 0);
    *(r->prev ? &r->prev->next : &list->first) = r->next;
    *(r->next ? &r->next->prev : &list->last) = r->prev;
    r->prev = r->next = NULL;
    list->len--;
}

int64_t engine_scaled_ns(const struct emulator *e, double ns)
{
    double slow = e->options.faults.slow > 0 ? e->options.faults.slow : 1;
    double scaled = ns * slow / e->options.time_scale;
    return scaled > 1e17 ? (int64_t)1e17 : (int64_t)scaled;
}

static bool may_run(const struct emulator *e)
{
    return !e->asleep && !e->keeping && !e->options.faults.hang;
}

/* Takes waiting requests into the batch; returns what their prefill costs, in ns. */
static double admit(struct emulator *e)
{
    const struct emulate_options *o = &e->options;
    double cost = 0;
    while (e->waiting.first && e->running.len < o->slots_max) {
        struct request *r = e->waiting.first;
        request_list_remove(&e->waiting, r);
        r->state = REQUEST_RUNNING;
        r->gibberish = !e->weights_valid;
        request_list_add(&e->running, r);
        e->contexts += r->input_tokens;
        cost += o->p0 + o->p1 * (double)r->input_tokens;
    }
    return cost;
}

static void step_begin(struct emulator *e, int64_t from_ns)
{
    const struct emulate_options *o = &e->options;
    size_t decoding = e->running.len;
    if (!may_run(e)) {
        return;
    }
    double cost = admit(e);
    if (e->running.len == 0) {
        return;
    }
    if (decoding > 0) {
        cost += o->d0 + o->d1 * (double)decoding + o->d2 * (double)e->contexts;
    }
    int64_t length_ns = engine_scaled_ns(e, cost);
    e->stepping = true;
    e->step_due_ns = from_ns + (length_ns > step_min_ns ? length_ns : step_min_ns);
}

/* Gives each request of the batch its token. */
static void step_end(struct emulator *e)
{
    e->stepping = false;
    for (struct request *r = e->running.first, *next; r; r = next) {
        next = r->next;
        int64_t after = e->options.faults.hang_after_tokens;
        if (after > 0 && r->produced >= after) {
            continue;
        }
        if (r->prefilled) {
            e->contexts++;
        } else {
            r->prefilled = true;
            e->tokens_in += (uint64_t)r->input_tokens;
        }
        answer_token(r);
    }
}

void engine_kick(struct emulator *e)
{
    if (!e->stepping) {
        step_begin(e, loop_now_ns(e->loop));
        if (e->stepping) {
            loop_timer_set(&e->step, e->step_due_ns);
        }
    }
}

void engine_step_fired(struct loop_timer *timer)
{
    struct emulator *e = EMULATOR_OF(timer, step);
    int64_t now_ns = loop_now_ns(e->loop);
    for (unsigned steps = 0; e->stepping && e->step_due_ns <= now_ns; steps++) {
        if (steps == CATCH_UP_MAX) {
            e->step_due_ns = now_ns;
            break;
        }
        int64_t due_ns = e->step_due_ns;
        step_end(e);
        step_begin(e, due_ns);
    }
    if (e->stepping) {
        loop_timer_set(&e->step, e->step_due_ns);
    }
    control_kick(e);
}

void engine_submit(struct emulator *e, struct request *r)
{
    r->state = REQUEST_WAITING;
    e->requests++;
    request_list_add(&e->waiting, r);
    engine_kick(e);
}

void engine_remove(struct emulator *e, struct request *r)
{
    if (r->state == REQUEST_WAITING) {
        request_list_remove(&e->waiting, r);
    } else if (r->state == REQUEST_RUNNING) {
        request_list_remove(&e->running, r);
        e->contexts -= r->input_tokens + (r->produced > 0 ? r->produced - 1 : 0);
    }
    r->state = REQUEST_ENDED;
}

void engine_abort_all(struct emulator *e)
{
    while (e->running.first) {
        answer_finish(e->running.first, "abort");
    }
    while (e->waiting.first) {
        answer_finish(e->waiting.first, "abort");
    }
}
