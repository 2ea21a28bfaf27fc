/* Requests of a cell: from the front to the core and back. */
#include "host/worker/cell_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The live entry of an id, or NULL. */
static struct entry *entry_find(struct cell *cell, uint64_t request)
{
    uint32_t index = (uint32_t)request;
    if (index >= cell->entry_count || cell->entries[index].state == ENTRY_FREE ||
        cell->entries[index].id != request) {
        return NULL;
    }
    return &cell->entries[index];
}

static void entry_free(struct cell *cell, struct entry *entry)
{
    entry->state = ENTRY_FREE;
    entry->ops = NULL;
    cell->held--;
}

void cell_submit(struct cell *cell, const struct cell_submit *submit,
                 const struct cell_request_ops *ops, void *cookie)
{
    struct core_input input = {.kind = CORE_IN_REQUEST,
                               .u.request = {.model = submit->model,
                                             .service_class = submit->service_class,
                                             .deadline_ns = submit->deadline_ns,
                                             .tenant_hash = submit->tenant_hash,
                                             .session_hash = submit->session_hash,
                                             .prefix_hash = submit->prefix_hash,
                                             .priority = submit->priority,
                                             .prompt_tokens = submit->prompt_tokens,
                                             .max_tokens = submit->max_tokens}};
    cell_feed_request(cell, &input, ops, cookie);
}

void cell_cancel(struct cell *cell, uint64_t request, uint32_t outcome)
{
    struct entry *entry = entry_find(cell, request);
    if (!entry || entry->state == ENTRY_ENDED) {
        return;
    }
    entry->silent = true;
    struct core_input input = {.kind = CORE_IN_CANCEL,
                               .u.cancel = {.request = request, .outcome = outcome}};
    cell_feed(cell, &input);
}

void cell_first_token(struct cell *cell, uint64_t request)
{
    struct entry *entry = entry_find(cell, request);
    if (!entry || entry->state != ENTRY_FLIGHT) {
        return;
    }
    if (!entry->first_token_ns) {
        entry->first_token_ns = cell_now_ns(cell);
    }
    struct core_input input = {.kind = CORE_IN_FIRST_TOKEN, .u.first_token = request};
    cell_feed(cell, &input);
}

void cell_complete(struct cell *cell, uint64_t request, const struct cell_completion *completion)
{
    struct entry *entry = entry_find(cell, request);
    if (!entry || (entry->state != ENTRY_FLIGHT && entry->state != ENTRY_ENDED)) {
        return;
    }
    bool again = completion->retry && entry->state == ENTRY_FLIGHT && !entry->silent;
    struct core_input input = {.kind = CORE_IN_COMPLETE,
                               .u.complete = {.request = request,
                                              .outcome = completion->outcome,
                                              .output_tokens = completion->output_tokens,
                                              .prompt_tokens = completion->prompt_tokens,
                                              .retry = again}};
    uint32_t model = entry->model;
    if (again) {
        entry->state = ENTRY_QUEUED; /* dispatched again, or ended */
    } else {
        entry->silent = true; /* the front is done with it, and may have freed it */
        entry->ops = NULL;
    }
    cell_feed(cell, &input);
    if (completion->engine_refused) {
        for (uint32_t i = 0; i < cell->layout->instance_count; i++) {
            if (cell->layout->instances[i].model == model) {
                cell_engine_suspect(cell, i);
            }
        }
    }
}

void cell_request_applied(struct cell *cell, const struct core_input *input)
{
    if (input->kind != CORE_IN_COMPLETE || input->u.complete.retry) {
        return;
    }
    struct entry *entry = entry_find(cell, input->u.complete.request);
    int64_t wait_ns[CORE_WAIT_COUNT];
    uint32_t position;
    if (!entry) {
        return;
    }
    if (core_request_view(cell->core, entry->id, cell->last_ns, &position, wait_ns) == 0 &&
        position != CORE_NONE) {
        /* Its engine was lost and the core had put it back into the queue before the front, which
         * saw its connection break, answered the client: it must not be served a second time. */
        const struct core_input cancel = {
            .kind = CORE_IN_CANCEL,
            .u.cancel = {.request = entry->id, .outcome = SHUNT_OUTCOME_FAILED}};
        cell_feed(cell, &cancel); /* its END frees the entry */
        return;
    }
    entry_free(cell, entry);
}

static void on_accept(struct cell *cell, const struct core_act_accept *accept, int64_t t_ns)
{
    uint32_t index = (uint32_t)accept->request;
    assert(index < cell->entry_count && cell->submit_ops);
    struct entry *entry = &cell->entries[index];
    if (entry->state != ENTRY_FREE) {
        entry_free(cell, entry); /* the core has used the index again: it was over */
    }
    *entry = (struct entry){.id = accept->request,
                            .state = ENTRY_QUEUED,
                            .ops = cell->submit_ops,
                            .cookie = cell->submit_cookie,
                            .model = accept->model,
                            .arrival_ns = t_ns};
    cell->held++;
    cell->submit_ops = NULL;
    entry->ops->accepted(entry->cookie, accept->request, accept->position, accept->eta_ns);
}

static void on_reject(struct cell *cell, const struct core_act_reject *reject)
{
    const struct cell_request_ops *ops = cell->submit_ops;
    assert(ops);
    cell->submit_ops = NULL;
    ops->rejected(cell->submit_cookie, (enum core_reject)reject->reason, reject->retry_after_ns);
}

static void on_dispatch(struct cell *cell, const struct core_act_dispatch *dispatch, int64_t t_ns)
{
    struct entry *entry = entry_find(cell, dispatch->request);
    assert(entry);
    const struct engine *engine = cell->engines[dispatch->instance]->engine;
    struct policy *policy =
        cell->selected == CORE_NONE ? NULL : drive_policy(cell->drive, cell->selected);
    struct cell_dispatch to = {.request = dispatch->request,
                               .origin = engine_origin(engine),
                               .upstream_model = engine_upstream_model(engine),
                               .model = cell->layout->names[dispatch->model],
                               .policy = policy ? policy_plugin(policy)->note.id : "builtin",
                               .arm = "",
                               .instance = dispatch->instance,
                               .arrival_ns = dispatch->arrival_ns,
                               .attempt = entry->attempts++};
    memcpy(to.wait_ns, dispatch->wait_ns, sizeof(to.wait_ns));
    memcpy(entry->wait_ns, dispatch->wait_ns, sizeof(entry->wait_ns));
    entry->state = ENTRY_FLIGHT;
    entry->dispatch_ns = t_ns;
    if (entry->silent) {
        /* Given up while this was on its way: its cancellation waits to be applied, and this is
         * the word that its place is free. */
        struct core_input input = {
            .kind = CORE_IN_COMPLETE,
            .u.complete = {.request = dispatch->request, .outcome = SHUNT_OUTCOME_CANCELLED}};
        entry->ops = NULL;
        cell_feed(cell, &input);
        return;
    }
    entry->decision = cell->device_decision[cell->layout->instances[dispatch->instance].device];
    entry->ops->dispatch(entry->cookie, &to);
}

static void on_end(struct cell *cell, const struct core_act_end *end, int64_t t_ns)
{
    struct entry *entry = entry_find(cell, end->request);
    if (!entry) {
        return;
    }
    bool silent = entry->silent;
    memcpy(entry->wait_ns, end->wait_ns, sizeof(entry->wait_ns));
    if (end->dispatched) {
        entry->state = ENTRY_ENDED;
    } else {
        cell_explained_add(cell, entry, t_ns, end->outcome, 0);
    }
    const struct cell_request_ops *ops = entry->ops;
    void *cookie = entry->cookie;
    if (!end->dispatched) {
        entry_free(cell, entry);
    }
    if (!silent) {
        ops->ended(cookie, end->outcome, end->dispatched != 0, end->wait_ns);
    }
}

static void on_abort(struct cell *cell, const struct core_act_abort *abort_action)
{
    struct entry *entry = entry_find(cell, abort_action->request);
    if (entry && entry->ops) {
        entry->ops->abort(entry->cookie);
    }
}

void cell_request_action(struct cell *cell, const struct core_action *action)
{
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
        on_accept(cell, &action->u.accept, action->t_ns);
        break;
    case CORE_ACT_REJECT:
        on_reject(cell, &action->u.reject);
        break;
    case CORE_ACT_DISPATCH:
        on_dispatch(cell, &action->u.dispatch, action->t_ns);
        break;
    case CORE_ACT_END:
        on_end(cell, &action->u.end, action->t_ns);
        break;
    case CORE_ACT_ABORT:
        on_abort(cell, &action->u.abort);
        break;
    case CORE_ACT_STEP:
    case CORE_ACT_STEP_CANCEL:
    case CORE_ACT_ASK:
    case CORE_ACT_NOTIFY:
    case CORE_ACT_RECORD:
    case CORE_ACT_KIND_COUNT:
        assert(false); /* not about a request */
    }
}

/* A dispatched request left its engine: the last word about it. */
void cell_request_record(struct cell *cell, const struct core_rec_request *record, int64_t t_ns)
{
    struct entry *entry = entry_find(cell, record->request);
    if (!entry) {
        return;
    }
    memcpy(entry->wait_ns, record->wait_ns, sizeof(entry->wait_ns));
    entry->dispatch_ns = record->dispatch_ns;
    cell_explained_add(cell, entry, t_ns, record->outcome, record->output_tokens);
}

int cell_position(struct cell *cell, uint64_t request, uint32_t *ret_position, int64_t *ret_eta_ns)
{
    int64_t wait[CORE_WAIT_COUNT];
    uint32_t position = CORE_NONE;
    struct entry *entry = entry_find(cell, request);
    if (!entry || core_request_view(cell->core, request, cell_now_ns(cell), &position, wait) != 0 ||
        position == CORE_NONE) {
        return -ESTALE;
    }
    struct core_model_stats stats;
    core_model_stats(cell->core, entry->model, cell_now_ns(cell), &stats);
    *ret_position = position;
    *ret_eta_ns = stats.eta_ns; /* of one that came now: an upper estimate */
    return 0;
}

void cell_request_text(const struct cell *cell, uint64_t request,
                       char ret_text[CELL_REQUEST_TEXT_BYTES])
{
    /* The run tells restarts of the host apart, the restarts those of the worker. */
    uint32_t name = (uint32_t)(cell->setup.run ^ (cell->setup.run >> 32)) + cell->setup.restarts;
    (void)snprintf(ret_text, CELL_REQUEST_TEXT_BYTES, "%08" PRIx32 "-%02" PRIx32 "-%016" PRIx64,
                   name, cell->index, request);
}
