/* A cell's life and the driving of its core. See cell.h. */
#include "base/journal.h"
#include "base/record.h"
#include "host/worker/cell_priv.h"

#include "host/say.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define POLL_NS       (5 * CORE_NS_PER_S)
#define POLL_DRAIN_NS (CORE_NS_PER_S / 100)

/* ------------------------------------------------------------------ driving */

int64_t cell_now_ns(const struct cell *cell)
{
    int64_t now = loop_now_ns(cell->loop);
    return now > cell->last_ns ? now : cell->last_ns;
}

int64_t cell_time_ns(struct cell *cell)
{
    cell->last_ns = cell_now_ns(cell);
    return cell->last_ns;
}

void cell_drive_begin(struct cell *cell)
{
    assert(!cell->driving);
    cell->driving = true;
}

static void apply_fed(struct cell *cell)
{
    while (cell->fed_len) {
        struct fed fed = cell->fed[cell->fed_at];
        cell->fed_at = (cell->fed_at + 1) % cell->fed_cap;
        cell->fed_len--;
        cell->submit_ops = fed.ops;
        cell->submit_cookie = fed.cookie;
        fed.input.t_ns = cell_time_ns(cell);
        int rc = drive_input(cell->drive, &fed.input);
        cell_request_applied(cell, &fed.input);
        if (rc && rc != -ESTALE) {
            say(SAY_DEBUG, "input_refused", "cell %s: input of kind %u: %s", cell->name,
                fed.input.kind, strerror(-rc));
        }
    }
}

void cell_drive_end(struct cell *cell)
{
    apply_fed(cell);
    cell->driving = false;
    cell_policy_reap(cell);
    loop_defer(cell->loop, &cell->settle);
}

void cell_feed_request(struct cell *cell, const struct core_input *input,
                       const struct cell_request_ops *ops, void *cookie)
{
    if (cell->fed_len == cell->fed_cap) {
        uint32_t cap = cell->fed_cap ? 2 * cell->fed_cap : 64;
        struct fed *grown = calloc(cap, sizeof(*grown));
        if (!grown) {
            /* An input that is lost would break every promise: end, and be started again. */
            say(SAY_ERROR, "out_of_memory", "cell %s: no memory for an input", cell->name);
            abort();
        }
        for (uint32_t i = 0; i < cell->fed_len; i++) {
            grown[i] = cell->fed[(cell->fed_at + i) % cell->fed_cap];
        }
        free(cell->fed);
        cell->fed = grown;
        cell->fed_cap = cap;
        cell->fed_at = 0;
    }
    uint32_t at = (cell->fed_at + cell->fed_len++) % cell->fed_cap;
    cell->fed[at] = (struct fed){.input = *input, .ops = ops, .cookie = cookie};
    if (!cell->driving) {
        cell_drive_begin(cell);
        cell_drive_end(cell);
    }
}

void cell_feed(struct cell *cell, const struct core_input *input)
{
    cell_feed_request(cell, input, NULL, NULL);
}

/* Nothing more at this instant: timers fire and requests go out. */
/* A drain may wait for nothing but the engine's own count, and what was asked last is then out of
 * date: asks soon instead of at the next round. */
static void hurry_poll(struct cell *cell)
{
    int64_t soon = cell_now_ns(cell) + POLL_DRAIN_NS;
    for (uint32_t i = 0; i < cell->layout->instance_count && cell->poll.due_ns > soon; i++) {
        struct core_instance_view view;
        if (core_instance_view(cell->core, i, &view) == 0 &&
            view.state == SHUNT_INSTANCE_DRAINING && view.in_flight == 0) {
            loop_timer_set(&cell->poll, soon);
        }
    }
}

static void on_settle(struct loop_task *task)
{
    struct cell *cell = (struct cell *)(void *)((char *)task - offsetof(struct cell, settle));
    if (!cell->started) {
        return;
    }
    cell_drive_begin(cell);
    (void)drive_settle(cell->drive, cell_time_ns(cell));
    bool more = cell->fed_len > 0;
    apply_fed(cell);
    cell->driving = false;
    cell_policy_reap(cell);
    if (more) {
        loop_defer(cell->loop, &cell->settle);
        return;
    }
    int64_t wake = core_wake_ns(cell->core);
    if (wake == CORE_NEVER) {
        loop_timer_cancel(&cell->wake);
    } else {
        loop_timer_set(&cell->wake, wake);
    }
    hurry_poll(cell);
}

static void on_wake(struct loop_timer *timer)
{
    struct cell *cell = (struct cell *)(void *)((char *)timer - offsetof(struct cell, wake));
    loop_defer(cell->loop, &cell->settle);
}

/* Low-frequency figures of engines that serve. */
static void on_poll(struct loop_timer *timer)
{
    struct cell *cell = (struct cell *)(void *)((char *)timer - offsetof(struct cell, poll));
    for (uint32_t i = 0; i < cell->layout->instance_count; i++) {
        struct core_instance_view view;
        if (core_instance_view(cell->core, i, &view) == 0 &&
            (view.state == SHUNT_INSTANCE_RESIDENT || view.state == SHUNT_INSTANCE_DRAINING)) {
            engine_poll(cell->engines[i]->engine);
        }
    }
    loop_timer_set(timer, cell_now_ns(cell) + POLL_NS);
    hurry_poll(cell);
}

/* ------------------------------------------------------------------ what drive calls */

static void write_keyframe(struct cell *cell, int64_t t_ns)
{
    struct record_states states;
    bool follows = false;
    record_states_take(cell->drive, t_ns, &states);
    void *out = recorder_keyframe_begin(cell->recorder, record_keyframe_bytes(cell->core, &states),
                                        t_ns, &follows);
    if (out) {
        record_keyframe_encode(cell->core, &states, recorder_hash_now(cell->recorder), follows,
                               out);
        recorder_keyframe_end(cell->recorder);
        recorder_text(cell->recorder, JOURNAL_CONFIG, cell->config_text, t_ns);
    }
    record_states_fini(&states);
}

static void on_journal(void *ctx, const struct core_input *input)
{
    struct cell *cell = ctx;
    cell->inputs++;
    if (!cell->recorder) {
        return;
    }
    if (recorder_wants_keyframe(cell->recorder)) {
        write_keyframe(cell, input->t_ns);
    }
    recorder_input(cell->recorder, input);
}

static void on_record(struct cell *cell, const struct core_act_record *record, int64_t t_ns)
{
    switch ((enum core_record_kind)record->kind) {
    case CORE_REC_DECISION:
        cell_decision_record(cell, &record->u.decision, t_ns);
        break;
    case CORE_REC_REQUEST:
        cell_request_record(cell, &record->u.request, t_ns);
        break;
    case CORE_REC_INSTANCE:
        cell_engine_record(cell, &record->u.instance);
        break;
    case CORE_REC_SLOT:
        cell->activations++;
        break;
    case CORE_REC_SWITCH:
    case CORE_REC_GUARD:
    case CORE_REC_VISIT:
    case CORE_REC_KIND_COUNT:
        break;
    }
    for (uint32_t i = 0; i < cell->observer_count; i++) {
        if (cell->observers[i]->record) {
            cell->observers[i]->record(cell->observers[i]->ctx, cell, record, t_ns);
        }
    }
}

static void on_action(void *ctx, const struct core_action *action)
{
    struct cell *cell = ctx;
    if (cell->recorder) {
        recorder_action(cell->recorder, action);
    }
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
    case CORE_ACT_REJECT:
    case CORE_ACT_DISPATCH:
    case CORE_ACT_END:
    case CORE_ACT_ABORT:
        cell_request_action(cell, action);
        break;
    case CORE_ACT_STEP:
    case CORE_ACT_STEP_CANCEL:
        cell_engine_action(cell, action);
        break;
    case CORE_ACT_RECORD:
        on_record(cell, &action->u.record, action->t_ns);
        break;
    case CORE_ACT_ASK: /* of a slot without an instance: its deadline passes */
    case CORE_ACT_NOTIFY:
    case CORE_ACT_KIND_COUNT:
        break;
    }
}

static void on_call(void *ctx, uint32_t slot, uint32_t what, bool begin)
{
    cell_policy_called(ctx, slot, what, begin);
}

static void on_answered(void *ctx, const struct core_act_ask *ask, int status,
                        const struct shunt_answer *answer)
{
    cell_decision_answered(ctx, ask, status, answer);
}

static void on_lost(void *ctx, uint32_t slot, struct policy *policy)
{
    cell_policy_lost(ctx, slot, policy);
}

static const struct drive_ops drive_ops = {.journal = on_journal,
                                           .action = on_action,
                                           .call = on_call,
                                           .answered = on_answered,
                                           .lost = on_lost};

/* ------------------------------------------------------------------ making */

static int make_core(struct cell *cell)
{
    struct core_limits limits;
    layout_limits(cell->setup.config, &limits);
    size_t size = core_size(&limits);
    if (size == 0) {
        return -EINVAL;
    }
    size = (size + 63) & ~(size_t)63;
    uint64_t seed = (uint64_t)cell->setup.config->seed;
    if (seed == 0 && getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
        return -EIO;
    }
    cell->core_memory = aligned_alloc(64, size);
    cell->core = cell->core_memory ? core_init(cell->core_memory, size, &limits, seed) : NULL;
    if (!cell->core) {
        return -ENOMEM;
    }
    cell->entry_count = core_request_capacity(cell->core);
    cell->entries = calloc(cell->entry_count, sizeof(*cell->entries));
    cell->explained = calloc(CELL_EXPLAINED_MAX, sizeof(*cell->explained));
    cell->decisions = calloc(CELL_DECISIONS_MAX, sizeof(*cell->decisions));
    if (!cell->entries || !cell->explained || !cell->decisions) {
        return -ENOMEM;
    }
    return drive_create(cell->core, &drive_ops, cell, &cell->drive);
}

static int make_recorder(struct cell *cell, char *err, size_t err_size)
{
    const struct config_journal *journal = &cell->setup.config->journal;
    if (!journal->on) {
        return 0;
    }
    char directory[4200];
    (void)snprintf(directory, sizeof(directory), "%s/%s", journal->dir, cell->name);
    cell->config_text = config_core_json(cell->setup.config, cell->index);
    if (!cell->config_text) {
        return -ENOMEM;
    }
    struct recorder_options options = {.directory = directory,
                                       .segment_bytes = (uint64_t)journal->segment_bytes,
                                       .keep_bytes = (uint64_t)journal->keep_bytes,
                                       .buffer_bytes = (size_t)journal->buffer_bytes};
    return recorder_create(&options, &cell->recorder, err, err_size);
}

static void on_probation_unset(struct loop_timer *timer)
{
    struct cell *cell = (struct cell *)(void *)((char *)timer - offsetof(struct cell, probation));
    char err[64];
    (void)cell_policy_confirm(cell, err, sizeof(err));
}

static void on_settled_check(struct loop_timer *timer);

int cell_create(const struct cell_setup *setup, struct cell **ret_cell, char *err, size_t err_size)
{
    struct cell *cell = calloc(1, sizeof(*cell));
    if (!cell) {
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    cell->setup = *setup;
    cell->loop = setup->loop;
    cell->index = setup->index;
    cell->selected = CORE_NONE;
    cell->former = CORE_NONE;
    (void)snprintf(cell->name, sizeof(cell->name), "%s", setup->config->cells[setup->index].name);
    cell->settle.run = on_settle;
    loop_timer_init(&cell->wake, cell->loop, on_wake);
    loop_timer_init(&cell->settling, cell->loop, on_settled_check);
    loop_timer_init(&cell->poll, cell->loop, on_poll);
    loop_timer_init(&cell->probation, cell->loop, on_probation_unset);
    err[0] = '\0';
    int rc = layout_create(setup->config, setup->index, &cell->layout, err, err_size);
    rc = rc ? rc : make_core(cell);
    rc = rc ? rc : cell_policy_prepare(cell, err, err_size);
    rc = rc ? rc : cell_engines_create(cell, err, err_size);
    rc = rc ? rc : make_recorder(cell, err, err_size);
    if (rc) {
        if (!err[0]) {
            (void)snprintf(err, err_size, "cell %s: %s", cell->name, strerror(-rc));
        }
        cell_destroy(cell);
        return rc;
    }
    *ret_cell = cell;
    return 0;
}

void cell_destroy(struct cell *cell)
{
    if (!cell) {
        return;
    }
    loop_defer_cancel(cell->loop, &cell->settle);
    loop_timer_fini(&cell->wake);
    loop_timer_fini(&cell->settling);
    loop_timer_fini(&cell->poll);
    loop_timer_fini(&cell->probation);
    if (cell->recorder && cell->started) {
        /* So that the last stretch of the journal has an end to be compared with. */
        write_keyframe(cell, cell->last_ns);
    }
    cell_policies_destroy(cell);
    recorder_destroy(cell->recorder);
    free(cell->config_text);
    cell_engines_destroy(cell);
    drive_destroy(cell->drive);
    free(cell->core_memory);
    free(cell->entries);
    free(cell->explained);
    free(cell->decisions);
    free(cell->fed);
    layout_destroy(cell->layout);
    free(cell);
}

/* ------------------------------------------------------------------ beginning */

static void pin_again(struct cell *cell)
{
    for (uint32_t m = 0; m < cell->layout->model_count; m++) {
        if (active_pinned(cell->setup.active, cell->name, cell->layout->names[m])) {
            struct core_input input = {
                .kind = CORE_IN_OPERATOR,
                .u.op = {.operation = CORE_OP_PIN, .model = m, .instance = SHUNT_NONE}};
            cell_feed(cell, &input);
        }
    }
}

/* All engines are where we know them to be. */
static void cell_begin(struct cell *cell)
{
    char err[CELL_ERROR_BYTES_MAX] = "";
    struct core_config_error error = {0};
    cell_drive_begin(cell);
    int rc = drive_configure(cell->drive, &cell->layout->core, cell_time_ns(cell), &error);
    cell_drive_end(cell);
    if (rc) {
        layout_explain(cell->layout, &error, err, sizeof(err));
    } else {
        rc = cell_policy_begin(cell, err, sizeof(err));
    }
    if (!rc) {
        cell->started = true;
        pin_again(cell);
        loop_defer(cell->loop, &cell->settle);
        loop_timer_set(&cell->poll, cell_now_ns(cell) + POLL_NS);
        cell_preload(cell);
    }
    cell->on_started(cell->on_started_ctx, cell, rc, err);
}

static void on_engine_settled(void *ctx, const struct engine_result *result)
{
    struct device_engine *element = ctx;
    element->settled = true;
    element->settled_tier = result->tier;
    if (!result->ok) {
        say(SAY_WARNING, "engine_settle", "%s: %s", engine_key(element->engine), result->message);
    }
}

void cell_start(struct cell *cell, cell_started *started, void *ctx)
{
    int64_t due = cell_now_ns(cell) + 10 * CORE_NS_PER_S;
    cell->on_started = started;
    cell->on_started_ctx = ctx;
    for (uint32_t i = 0; i < cell->layout->instance_count; i++) {
        engine_settle(cell->engines[i]->engine, due, on_engine_settled, cell->engines[i]);
    }
    loop_timer_set(&cell->settling, cell_now_ns(cell));
}

static void on_settled_check(struct loop_timer *timer)
{
    struct cell *cell = (struct cell *)(void *)((char *)timer - offsetof(struct cell, settling));
    for (uint32_t i = 0; i < cell->layout->instance_count; i++) {
        if (!cell->engines[i]->settled) {
            loop_timer_set(timer, loop_now_ns(cell->loop) + 2000000);
            return;
        }
    }
    for (uint32_t i = 0; i < cell->layout->instance_count; i++) {
        layout_set_tier(cell->layout, i, cell->engines[i]->settled_tier);
    }
    cell_begin(cell);
}

/* ------------------------------------------------------------------ from the supervisor */

int cell_adopt(struct cell *cell, const char *key, pid_t pid, uint32_t port)
{
    uint32_t i = 0;
    int rc = layout_find(cell->layout, key, &i);
    if (!rc) {
        engine_adopt(cell->engines[i]->engine, pid, port);
    }
    return rc;
}

int cell_spawned(struct cell *cell, const char *key, pid_t pid, uint32_t port, int error,
                 const char *text)
{
    uint32_t i = 0;
    int rc = layout_find(cell->layout, key, &i);
    if (!rc) {
        engine_spawned(cell->engines[i]->engine, pid, port, error, text);
    }
    return rc;
}

int cell_exited(struct cell *cell, const char *key, int status, const char *last_line)
{
    uint32_t i = 0;
    int rc = layout_find(cell->layout, key, &i);
    if (!rc) {
        engine_exited(cell->engines[i]->engine, status, last_line);
    }
    return rc;
}

/* ------------------------------------------------------------------ reload, operations */

/* Engines of models that are gone, or whose commands changed, can only go when they are stopped. */
static int check_reload(const struct cell *cell, const struct layout *next, char *err,
                        size_t err_size)
{
    for (uint32_t i = 0; i < cell->layout->instance_count; i++) {
        const struct layout_instance *old = &cell->layout->instances[i];
        uint32_t n = 0;
        bool gone = layout_find(next, old->key, &n) != 0;
        bool changed = !gone && !engine_same(cell->layout->models[old->model],
                                             next->models[next->instances[n].model]);
        struct core_instance_view view;
        bool runs = engine_pid(cell->engines[i]->engine) != 0 || cell->engines[i]->stepping;
        if ((gone || changed) && runs && core_instance_view(cell->core, i, &view) == 0) {
            (void)snprintf(err, err_size,
                           "models[%s]: its engine runs (%s); unload it first (`shunt ctl unload "
                           "%s`), then %s it",
                           cell->layout->names[old->model], old->key,
                           cell->layout->names[old->model], gone ? "remove" : "change");
            return -EBUSY;
        }
    }
    return 0;
}

int cell_reload(struct cell *cell, const struct config *config, char *err, size_t err_size)
{
    struct layout *next = NULL;
    struct device_engine **engines = NULL;
    struct core_config_error error = {0};
    char *config_text = NULL, *old_text = cell->config_text;
    if (cell->swap) {
        (void)snprintf(err, err_size, "a policy is being swapped; try again when it has ended");
        return -EBUSY;
    }
    int rc = layout_create(config, cell->index, &next, err, err_size);
    rc = rc ? rc : check_reload(cell, next, err, err_size);
    rc = rc ? rc : cell_engines_reload(cell, next, &engines, err, err_size);
    if (!rc) {
        rc = cell_policy_reload(cell, config, next, err, err_size);
    }
    if (!rc && cell->recorder) {
        config_text = config_core_json(config, cell->index);
        rc = config_text ? 0 : -ENOMEM;
    }
    if (!rc) {
        /* Tiers of instances that the core knows already are its own affair. The inputs that
         * follow from it come in there already, and stand behind a keyframe of their own. */
        if (cell->recorder) {
            recorder_interrupt(cell->recorder);
            cell->config_text = config_text;
        }
        cell_drive_begin(cell);
        rc = drive_configure(cell->drive, &next->core, cell_time_ns(cell), &error);
        if (rc) {
            layout_explain(next, &error, err, err_size);
            if (!error.what) {
                (void)snprintf(err, err_size, "cell %s: %s", cell->name,
                               rc == -E2BIG   ? "more models or devices than limits.models_max and "
                                                "limits.devices_max of the start; restart"
                               : rc == -EBUSY ? "a model that would go is in use; unload it first"
                                              : strerror(-rc));
            }
        }
        cell_drive_end(cell);
    }
    if (rc) {
        cell_policy_reloaded(cell, false);
        cell->config_text = old_text;
        free(config_text);
        cell_engines_discard(cell, engines, next ? next->instance_count : 0);
        layout_destroy(next);
        return rc;
    }
    if (cell->recorder) {
        free(old_text);
    }
    cell_engines_swap(cell, next, engines);
    layout_destroy(cell->layout);
    cell->layout = next;
    cell->setup.config = config;
    cell_policy_reloaded(cell, true);
    loop_defer(cell->loop, &cell->settle);
    return 0;
}

void cell_operate_all(struct cell *cell, enum core_operation operation)
{
    struct core_input input = {
        .kind = CORE_IN_OPERATOR,
        .u.op = {.operation = operation, .model = SHUNT_NONE, .instance = SHUNT_NONE}};
    cell_feed(cell, &input);
}

uint64_t cell_held(const struct cell *cell)
{
    return cell->held;
}

int cell_operate(struct cell *cell, enum core_operation operation, uint32_t model, char *err,
                 size_t err_size)
{
    if (cell->driving || model >= cell->layout->model_count) {
        (void)snprintf(err, err_size, "no such model");
        return -EINVAL;
    }
    struct core_input input = {
        .kind = CORE_IN_OPERATOR,
        .t_ns = cell_time_ns(cell),
        .u.op = {.operation = operation, .model = model, .instance = SHUNT_NONE}};
    cell_drive_begin(cell);
    int rc = drive_input(cell->drive, &input);
    cell_drive_end(cell);
    const char *name = cell->layout->names[model];
    switch (rc) {
    case 0:
        if (operation == CORE_OP_PIN || operation == CORE_OP_UNPIN) {
            (void)active_set_pin(cell->setup.active, cell->name, name, operation == CORE_OP_PIN);
            (void)active_flush(cell->setup.active);
        }
        break;
    case -EPERM:
        (void)snprintf(err, err_size,
                       "%s cannot be pinned: another served model would have no place left", name);
        break;
    case -EBUSY:
        (void)snprintf(err, err_size, "%s: not possible now: it is being moved, or pinned", name);
        break;
    default:
        (void)snprintf(err, err_size, "%s: %s", name, strerror(-rc));
        break;
    }
    return rc;
}
