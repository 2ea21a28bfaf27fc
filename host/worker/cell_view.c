/* What a cell shows: names, engines, requests and decisions explained. */
#include "host/worker/cell_priv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const struct core *cell_core(const struct cell *cell)
{
    return cell->core;
}

const char *cell_name(const struct cell *cell)
{
    return cell->name;
}

uint32_t cell_model_count(const struct cell *cell)
{
    return cell->layout->model_count;
}

uint32_t cell_device_count(const struct cell *cell)
{
    return cell->layout->device_count;
}

uint32_t cell_instance_count(const struct cell *cell)
{
    return cell->layout->instance_count;
}

const char *cell_model_name(const struct cell *cell, uint32_t model)
{
    return model < cell->layout->model_count ? cell->layout->names[model] : "";
}

const char *cell_device_name(const struct cell *cell, uint32_t device)
{
    return device < cell->layout->device_count ? cell->layout->devices[device]->name : "";
}

int cell_model_find(const struct cell *cell, const char *name, uint32_t *ret_model)
{
    for (uint32_t m = 0; m < cell->layout->model_count; m++) {
        const struct config_model *model = cell->layout->models[m];
        bool found = strcmp(model->name, name) == 0;
        for (uint32_t a = 0; !found && a < model->aliases.count; a++) {
            found = strcmp(model->aliases.item[a], name) == 0;
        }
        if (found) {
            *ret_model = m;
            return 0;
        }
    }
    return -ENOENT;
}

void cell_engine_view(const struct cell *cell, uint32_t instance, struct cell_engine_view *ret)
{
    *ret = (struct cell_engine_view){.driver = "", .origin = "", .last_error = ""};
    if (instance < cell->layout->instance_count) {
        const struct engine *engine = cell->engines[instance]->engine;
        *ret = (struct cell_engine_view){.driver = engine_driver(engine),
                                         .origin = engine_origin(engine),
                                         .pid = (int)engine_pid(engine),
                                         .attached = engine_attached(engine),
                                         .starts = engine_starts(engine),
                                         .failures = engine_failures(engine),
                                         .last_error = engine_last_error(engine)};
    }
}

void cell_stats(const struct cell *cell, struct cell_stats *ret)
{
    struct recorder_stats journal = {0};
    if (cell->recorder) {
        recorder_stats(cell->recorder, &journal);
    }
    *ret = (struct cell_stats){.inputs = cell->inputs,
                               .asks = cell->asks,
                               .activations = cell->activations,
                               .journal_records = journal.records,
                               .journal_dropped = journal.dropped,
                               .journal_bytes = journal.bytes,
                               .requests_held = cell->held};
}

void cell_observe(struct cell *cell, const struct cell_observer *observer)
{
    if (cell->observer_count < CELL_OBSERVERS_MAX) {
        cell->observers[cell->observer_count++] = observer;
    }
}

/* ------------------------------------------------------------------ requests explained */

static void deciding_policy(const struct cell *cell, struct cell_explain *ret)
{
    const struct policy *policy =
        cell->selected == CORE_NONE ? NULL : drive_policy(cell->drive, cell->selected);
    (void)snprintf(ret->policy, sizeof(ret->policy), "%s",
                   policy ? policy_plugin(policy)->note.id : "builtin");
    (void)snprintf(ret->policy_hash, sizeof(ret->policy_hash), "%.16s",
                   policy ? policy_plugin(policy)->hash : "");
}

static void explain_entry(const struct cell *cell, const struct entry *entry,
                          struct cell_explain *ret)
{
    *ret = (struct cell_explain){.request = entry->id,
                                 .arrival_ns = entry->arrival_ns,
                                 .dispatch_ns = entry->dispatch_ns,
                                 .first_token_ns = entry->first_token_ns,
                                 .position = CORE_NONE,
                                 .decision = entry->decision};
    (void)snprintf(ret->model, sizeof(ret->model), "%s", cell_model_name(cell, entry->model));
    memcpy(ret->wait_ns, entry->wait_ns, sizeof(ret->wait_ns));
    deciding_policy(cell, ret);
}

void cell_explained_add(struct cell *cell, const struct entry *entry, int64_t end_ns,
                        uint32_t outcome, uint32_t output_tokens)
{
    struct cell_explain *to = &cell->explained[cell->explained_count++ % CELL_EXPLAINED_MAX];
    explain_entry(cell, entry, to);
    to->end_ns = end_ns;
    to->outcome = outcome;
    to->output_tokens = output_tokens;
}

int cell_explain_request(struct cell *cell, uint64_t request, struct cell_explain *ret)
{
    uint32_t index = (uint32_t)request;
    uint64_t kept =
        cell->explained_count < CELL_EXPLAINED_MAX ? cell->explained_count : CELL_EXPLAINED_MAX;
    for (uint64_t i = 0; i < kept; i++) {
        const struct cell_explain *e =
            &cell->explained[(cell->explained_count - 1 - i) % CELL_EXPLAINED_MAX];
        if (e->request == request) {
            *ret = *e;
            return 0;
        }
    }
    if (index >= cell->entry_count || cell->entries[index].state == ENTRY_FREE ||
        cell->entries[index].id != request) {
        return -ENOENT;
    }
    const struct entry *entry = &cell->entries[index];
    explain_entry(cell, entry, ret);
    if (entry->state == ENTRY_QUEUED) {
        (void)core_request_view(cell->core, request, cell_now_ns(cell), &ret->position,
                                ret->wait_ns);
    }
    return 0;
}

/* ------------------------------------------------------------------ decisions explained */

static struct cell_decision *decision_find(struct cell *cell, uint64_t id)
{
    uint64_t kept =
        cell->decision_count < CELL_DECISIONS_MAX ? cell->decision_count : CELL_DECISIONS_MAX;
    for (uint64_t i = 0; i < kept; i++) {
        struct cell_decision *d =
            &cell->decisions[(cell->decision_count - 1 - i) % CELL_DECISIONS_MAX];
        if (d->id == id) {
            return d;
        }
    }
    return NULL;
}

static struct cell_decision *decision_add(struct cell *cell, uint64_t id)
{
    struct cell_decision *d = &cell->decisions[cell->decision_count++ % CELL_DECISIONS_MAX];
    *d = (struct cell_decision){.id = id, .propensity = 1};
    return d;
}

static void name_policy(const struct cell *cell, uint32_t slot, struct cell_decision *d)
{
    const struct policy *policy = slot < DRIVE_SLOTS_MAX ? drive_policy(cell->drive, slot) : NULL;
    (void)snprintf(d->policy, sizeof(d->policy), "%s",
                   policy ? policy_plugin(policy)->note.id : "builtin");
}

/* What only the policy knows about its decision; the core's verdict comes with its record. */
void cell_decision_answered(struct cell *cell, const struct core_act_ask *ask, int status,
                            const struct shunt_answer *answer)
{
    struct slot *slot = &cell->slots[ask->slot];
    slot->decisions++;
    slot->faults += status != 0;
    cell->asks++;
    slot->decide_max_ns = slot->call_ns > slot->decide_max_ns ? slot->call_ns : slot->decide_max_ns;
    for (uint32_t i = 0; i < cell->observer_count; i++) {
        if (cell->observers[i]->decided) {
            cell->observers[i]->decided(cell->observers[i]->ctx, cell, ask->slot, slot->call_ns,
                                        status);
        }
    }
    if (status || !answer) {
        return;
    }
    const struct shunt_decision *decision = &answer->decisions[0];
    struct cell_decision *d = decision_add(cell, ask->id);
    d->t_ns = cell->last_ns;
    d->slot = ask->slot;
    d->device = ask->device;
    d->action = decision->action;
    d->reason = decision->reason;
    d->why = ask->why;
    d->verdict = ask->shadow ? CORE_VERDICT_SHADOW : CORE_VERDICT_APPLIED;
    d->propensity = decision->propensity > 0 ? decision->propensity : 1;
    memcpy(d->text, decision->text, sizeof(d->text));
    d->text[sizeof(d->text) - 1] = '\0';
    if (decision->action == SHUNT_SWITCH) {
        (void)snprintf(d->model, sizeof(d->model), "%s", cell_model_name(cell, decision->model));
    }
    d->score_count = answer->score_count < CELL_SCORES_MAX ? answer->score_count : CELL_SCORES_MAX;
    for (uint32_t i = 0; i < d->score_count; i++) {
        d->scores[i] = answer->scores[i];
    }
    name_policy(cell, ask->slot, d);
}

void cell_decision_record(struct cell *cell, const struct core_rec_decision *record, int64_t t_ns)
{
    struct cell_decision *d = record->ask_id ? decision_find(cell, record->ask_id) : NULL;
    if (!d || d->slot != record->slot) {
        d = decision_add(cell, record->ask_id);
        d->slot = record->slot;
        d->device = record->device;
        d->why = record->why;
        name_policy(cell, record->slot, d);
    }
    d->t_ns = t_ns;
    d->action = record->action;
    d->reason = record->reason;
    d->verdict = record->verdict;
    d->cause = record->cause;
    if (record->action == SHUNT_SWITCH) {
        (void)snprintf(d->model, sizeof(d->model), "%s", cell_model_name(cell, record->model));
    }
    if (record->device < 16 && record->verdict != CORE_VERDICT_SHADOW) {
        cell->device_decision[record->device] = record->ask_id;
    }
}

int cell_explain_decision(struct cell *cell, uint64_t id, struct cell_decision *ret)
{
    const struct cell_decision *d = NULL;
    if (id) {
        d = decision_find(cell, id);
    } else if (cell->decision_count) {
        d = &cell->decisions[(cell->decision_count - 1) % CELL_DECISIONS_MAX];
    }
    if (!d) {
        return -ENOENT;
    }
    *ret = *d;
    return 0;
}

size_t cell_decisions(struct cell *cell, int64_t from_ns, int64_t to_ns, struct cell_decision *ret,
                      size_t max)
{
    uint64_t kept =
        cell->decision_count < CELL_DECISIONS_MAX ? cell->decision_count : CELL_DECISIONS_MAX;
    size_t n = 0;
    for (uint64_t i = kept; i > 0 && n < max; i--) {
        const struct cell_decision *d =
            &cell->decisions[(cell->decision_count - i) % CELL_DECISIONS_MAX];
        if (d->t_ns >= from_ns && d->t_ns <= to_ns) {
            ret[n++] = *d;
        }
    }
    return n;
}
