/*
 * Continuous batching. The engine is always in a pass of the model: the prefill of one request
 * (p0 + p1 * input; it makes the first token), or a decode step of all that have been prefilled
 * (d0 + d1 * members + d2 * tokens of context), which makes a token for each. Between passes it
 * takes up what was dispatched up to that instant; prefills come first, in order of dispatch, one a
 * pass. With b members and S tokens of context, k decode steps in a row take
 *
 *     k (d0 + d1 b + d2 S) + d2 b k (k - 1) / 2
 *
 * so that only first tokens and completions are events. A boundary of passes that lies between two
 * nanoseconds belongs to the later one: what is dispatched then still joins at it.
 */
#include "sim/engine_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static int64_t instant_of(sim_int128 ps)
{
    sim_int128 ns = (ps + 999) / 1000;
    return ns < INT64_MAX ? (int64_t)ns : INT64_MAX - 1;
}

static sim_int128 steps_ps(const struct batch *batch, uint64_t k)
{
    sim_int128 b = (sim_int128)batch->decoding.count;
    sim_int128 n = (sim_int128)k;
    sim_int128 one = batch->d0_ps + batch->d1_ps * b + batch->d2_ps * batch->contexts;
    return n * one + batch->d2_ps * b * (n * (n - 1) / 2);
}

static void decode(struct batch *batch, uint64_t k)
{
    batch->boundary_ps += steps_ps(batch, k);
    batch->steps += k;
    batch->contexts += (sim_int128)batch->decoding.count * (sim_int128)k;
}

/* Steps until the first member ends. */
static uint64_t steps_left(const struct batch *batch)
{
    return (uint64_t)batch->decoding.members[0].finish - batch->steps;
}

/* Decodes up to the first boundary at or after t_ns. Nobody ends before it: that would have been
 * taken. */
static void bring_forward(struct batch *batch, int64_t t_ns)
{
    if (batch->decoding.count == 0 || batch->count > 0) {
        return;
    }
    uint64_t low = 0;
    uint64_t high = steps_left(batch);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (instant_of(batch->boundary_ps + steps_ps(batch, middle)) >= t_ns) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    decode(batch, low);
}

static int ring_reserve(struct batch *batch)
{
    if (batch->count < batch->room) {
        return 0;
    }
    size_t room = batch->room > 0 ? 2 * batch->room : 16;
    struct batch_entry *grown = malloc(room * sizeof *grown);
    if (!grown) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < batch->count; i++) {
        grown[i] = batch->waiting[(batch->first + i) % batch->room];
    }
    free(batch->waiting);
    batch->waiting = grown;
    batch->first = 0;
    batch->room = room;
    return 0;
}

int batch_add(struct batch *batch, const struct sim_engine_job *job, int64_t t_ns)
{
    if (ring_reserve(batch) != 0 || engine_heap_reserve(&batch->decoding, batch->count + 1) != 0) {
        return -ENOMEM;
    }
    if (batch->decoding.count == 0 && batch->count == 0 && instant_of(batch->boundary_ps) < t_ns) {
        batch->boundary_ps = (sim_int128)t_ns * 1000; /* it was idle */
    }
    bring_forward(batch, t_ns);
    batch->waiting[(batch->first + batch->count++) % batch->room] =
        (struct batch_entry){.seq = batch->seq++,
                             .input_tokens = job->input_tokens > 0 ? job->input_tokens : 0,
                             .output_tokens = job->output_tokens > 1 ? job->output_tokens : 1,
                             .request = job->request};
    return 0;
}

static sim_int128 prefill_ps(const struct batch *batch, const struct batch_entry *entry)
{
    return batch->p0_ps + (sim_int128)batch->p1_ps * entry->input_tokens;
}

static struct batch_entry waiting_pop(struct batch *batch)
{
    const struct batch_entry entry = batch->waiting[batch->first];
    batch->first = (batch->first + 1) % batch->room;
    batch->count--;
    return entry;
}

static int64_t context_of(const struct batch *batch, const struct engine_member *member)
{
    return member->context + (int64_t)(batch->steps - member->joined);
}

static void remove_waiting(struct batch *batch, size_t at, int64_t t_ns)
{
    if (at == 0) {
        bool begun = instant_of(batch->boundary_ps) < t_ns;
        const struct batch_entry entry = waiting_pop(batch);
        if (begun) { /* the pass goes on without it */
            batch->boundary_ps += prefill_ps(batch, &entry);
        }
        return;
    }
    for (size_t i = at; i + 1 < batch->count; i++) {
        batch->waiting[(batch->first + i) % batch->room] =
            batch->waiting[(batch->first + i + 1) % batch->room];
    }
    batch->count--;
}

void batch_remove(struct batch *batch, uint32_t request, int64_t t_ns)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->waiting[(batch->first + i) % batch->room].request == request) {
            remove_waiting(batch, i, t_ns);
            return;
        }
    }
    size_t at = engine_heap_find(&batch->decoding, request);
    if (at < batch->decoding.count) {
        bring_forward(batch, t_ns);
        const struct engine_member member = engine_heap_take(&batch->decoding, at);
        batch->contexts -= context_of(batch, &member);
    }
}

void batch_clear(struct batch *batch)
{
    batch->decoding.count = 0;
    batch->contexts = 0;
    batch->boundary_ps = 0;
    batch->first = 0;
    batch->count = 0;
}

int64_t batch_next_ns(const struct batch *batch)
{
    if (batch->decoding.count > 0 && (batch->count == 0 || steps_left(batch) == 0)) {
        return instant_of(batch->boundary_ps + steps_ps(batch, steps_left(batch)));
    }
    return batch->count > 0
               ? instant_of(batch->boundary_ps + prefill_ps(batch, &batch->waiting[batch->first]))
               : INT64_MAX;
}

static void prefilled(struct batch *batch, uint32_t *ret_request)
{
    const struct batch_entry entry = waiting_pop(batch);
    const struct engine_member member = {.finish = batch->steps + (uint64_t)entry.output_tokens - 1,
                                         .seq = entry.seq,
                                         .joined = batch->steps,
                                         .context = entry.input_tokens + 1,
                                         .request = entry.request};
    batch->boundary_ps += prefill_ps(batch, &entry);
    batch->contexts += member.context;
    engine_heap_push(&batch->decoding, &member);
    *ret_request = entry.request;
}

bool batch_take(struct batch *batch, int64_t t_ns, enum sim_engine_event *ret_event,
                uint32_t *ret_request)
{
    if (batch_next_ns(batch) > t_ns) {
        return false;
    }
    if (batch->decoding.count == 0 || (batch->count > 0 && steps_left(batch) > 0)) {
        prefilled(batch, ret_request);
        *ret_event = SIM_ENGINE_FIRST_TOKEN;
        return true;
    }
    decode(batch, steps_left(batch));
    const struct engine_member member = engine_heap_take(&batch->decoding, 0);
    batch->contexts -= context_of(batch, &member);
    *ret_event = SIM_ENGINE_COMPLETE;
    *ret_request = member.request;
    return true;
}
