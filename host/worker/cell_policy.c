/* Policy slots of a cell: the first policy, swaps, roll back, parameters, crashes. */
#include "host/worker/cell_priv.h"

#include "base/journal.h"
#include "host/say.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SET_PARAMS_MAX = 1024 };

/* A policy on its way in: staged and mapped on a thread, installed on the loop. */
struct swap {
    struct cell *cell;
    char reference[CELL_REFERENCE_BYTES_MAX];
    char *plugin_dir;
    int64_t probation_ns;
    bool save;
    cell_done *done;
    void *ctx;
    pthread_t thread;
    int rc;
    char err[CELL_ERROR_BYTES_MAX];
    struct policy_choice *choice;
};

static const struct config_policy *policy_config(const struct cell *cell)
{
    return &cell->setup.config->cells[cell->index].policy;
}

static struct policy_choice_config choice_config_of(const struct config_policy *policy,
                                                    const struct layout *layout)
{
    return (struct policy_choice_config){.policy = policy,
                                         .models = layout->models,
                                         .names = layout->names,
                                         .model_count = layout->model_count};
}

static bool is_quarantined(const struct cell *cell, const char *hash)
{
    for (uint32_t i = 0; i < cell->setup.quarantined_count; i++) {
        if (strcmp(cell->setup.quarantined[i], hash) == 0) {
            return true;
        }
    }
    return false;
}

static void slot_input(struct cell *cell, uint32_t slot, enum core_slot_change change)
{
    struct core_input input = {.kind = CORE_IN_SLOT, .u.slot = {.slot = slot, .change = change}};
    cell_feed(cell, &input);
}

/* ------------------------------------------------------------------ calls into a policy */

static int64_t clock_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * CORE_NS_PER_S + now.tv_nsec;
}

static uint32_t page_entry(const struct cell *cell, uint32_t slot)
{
    return (cell->index * DRIVE_SLOTS_MAX + slot) % PAGE_ENTRIES;
}

/* So that a crash or a stall in there has a name. */
void cell_policy_called(struct cell *cell, uint32_t slot, uint32_t what, bool begin)
{
    (void)what;
    int64_t now = clock_ns();
    struct page *page = cell->setup.page;
    if (begin) {
        cell->slots[slot].call_begun_ns = now;
        atomic_store_explicit(&page->since_ns, now, memory_order_relaxed);
        atomic_store_explicit(&page->calling, page_entry(cell, slot) + 1, memory_order_release);
    } else {
        atomic_store_explicit(&page->calling, 0, memory_order_release);
        cell->slots[slot].call_ns = now - cell->slots[slot].call_begun_ns;
    }
}

static void on_policy_log(void *ctx, uint32_t level, uint32_t code, const char *text)
{
    const struct slot *slot = ctx;
    struct cell *cell = slot->cell;
    for (uint32_t i = 0; i < cell->observer_count; i++) {
        if (cell->observers[i]->policy_log) {
            cell->observers[i]->policy_log(cell->observers[i]->ctx, cell,
                                           slot->choice ? slot->choice->plugin->note.id : "", level,
                                           code, text);
        }
    }
}

/* ------------------------------------------------------------------ slots */

static void slot_forget(struct slot *slot)
{
    policy_choice_destroy(slot->choice);
    slot->choice = NULL;
}

/* Ends the instance of a slot for good. */
static void slot_retire(struct cell *cell, uint32_t slot, uint32_t exit_kind)
{
    slot_input(cell, slot, CORE_SLOT_EMPTY);
    struct policy *policy = drive_set_policy(cell->drive, slot, NULL);
    cell_policy_called(cell, slot, 0, true);
    policy_destroy(policy, exit_kind, 0, "", cell->last_ns);
    cell_policy_called(cell, slot, 0, false);
    slot_forget(&cell->slots[slot]);
}

/* It failed in models_changed: drive took it out; it is destroyed when drive has returned. */
void cell_policy_lost(struct cell *cell, uint32_t slot, struct policy *policy)
{
    cell->lost[slot] = policy;
    cell->slots[slot].faults++;
    if (cell->selected == slot) {
        cell->selected = CORE_NONE;
    }
    if (cell->former == slot) {
        cell->former = CORE_NONE;
    }
    say(SAY_ERROR, "policy_ejected", "cell %s: policy %s failed in models_changed; the %s",
        cell->name, policy_plugin(policy)->note.id, "built-in decides unless another is selected");
}

void cell_policy_reap(struct cell *cell)
{
    for (uint32_t s = 0; s < DRIVE_SLOTS_MAX; s++) {
        if (cell->lost[s]) {
            policy_destroy(cell->lost[s], SHUNT_EXIT_EJECTED, 0, "models_changed failed",
                           cell->last_ns);
            cell->lost[s] = NULL;
            slot_forget(&cell->slots[s]);
        }
    }
}

static uint32_t free_slot(const struct cell *cell)
{
    for (uint32_t s = 0; s < DRIVE_SLOTS_MAX; s++) {
        if (!drive_policy(cell->drive, s) && !cell->lost[s]) {
            return s;
        }
    }
    return CORE_NONE;
}

static uint64_t policy_seed(const struct cell *cell)
{
    uint64_t seed = (uint64_t)cell->setup.config->seed;
    return seed ? seed : cell->setup.run;
}

/* What the predecessor knows goes to a successor of the same id. */
static void hand_over(struct cell *cell, struct policy *from, struct policy *to, uint32_t slot)
{
    void *bytes = NULL;
    size_t size = 0;
    if (strcmp(policy_plugin(from)->note.id, policy_plugin(to)->note.id) != 0 ||
        policy_state_save(from, cell->last_ns, &bytes, &size) != 0) {
        return;
    }
    cell_policy_called(cell, slot, 0, true);
    int rc = policy_state_load(to, policy_plugin(from)->entry.state_schema, bytes, size, 0,
                               cell->last_ns);
    cell_policy_called(cell, slot, 0, false);
    if (rc && rc != -ENOTSUP) {
        say(SAY_WARNING, "state_refused",
            "cell %s: the new policy refused the state of its "
            "predecessor and starts cold",
            cell->name);
    }
    free(bytes);
}

/*
 * Creates an instance in a free slot, feeds it, and lets it decide. Takes choice and params in
 * every case. The one that decided before stays as `former`.
 */
static int install(struct cell *cell, struct policy_choice *choice, struct params *params,
                   char *err, size_t err_size)
{
    uint32_t s = free_slot(cell);
    if (s == CORE_NONE) {
        (void)snprintf(err, err_size, "no policy slot is free");
        params_destroy(params);
        policy_choice_destroy(choice);
        return -EBUSY;
    }
    struct slot *slot = &cell->slots[s];
    *slot = (struct slot){.cell = cell, .choice = choice, .since_ns = cell_time_ns(cell)};
    struct page *page = cell->setup.page;
    uint32_t at = page_entry(cell, s);
    (void)snprintf(page->entry[at].hash, PAGE_HASH_BYTES, "%s", choice->plugin->hash);
    (void)snprintf(page->entry[at].id, PAGE_ID_BYTES, "%s", choice->plugin->note.id);

    struct policy_options options = {.plugin = choice->plugin,
                                     .seed = policy_seed(cell),
                                     .now_ns = cell->last_ns,
                                     .log = on_policy_log,
                                     .ctx = slot};
    struct policy *policy = NULL;
    cell_policy_called(cell, s, 0, true);
    int rc = policy_create(&options, params, &policy, err, err_size);
    cell_policy_called(cell, s, 0, false);
    if (rc) {
        params_destroy(params);
        slot_forget(slot);
        return rc;
    }
    (void)drive_set_policy(cell->drive, s, policy);
    slot_input(cell, s, CORE_SLOT_FILL);
    if (drive_policy(cell->drive, s) != policy) {
        (void)snprintf(err, err_size, "its models_changed failed");
        return -EIO;
    }
    if (cell->selected != CORE_NONE) {
        hand_over(cell, drive_policy(cell->drive, cell->selected), policy, s);
    }
    cell->former = cell->selected;
    cell->selected = s;
    slot_input(cell, s, CORE_SLOT_SELECT);
    return 0;
}

/* ------------------------------------------------------------------ at start */

struct collect {
    struct param_assignment *list;
    size_t count;
};

static int collect_param(void *ctx, const char *name, const char *model, const char *text)
{
    struct collect *collect = ctx;
    if (collect->count < SET_PARAMS_MAX) {
        collect->list[collect->count++] =
            (struct param_assignment){.name = name, .model = model, .text = text};
    }
    return 0;
}

/* What the operator had set is set again; what does not fit any more is dropped with a line. */
static void set_again(struct cell *cell, struct params *params)
{
    char err[CELL_ERROR_BYTES_MAX] = "";
    struct collect collect = {.list = calloc(SET_PARAMS_MAX, sizeof(*collect.list))};
    if (collect.list) {
        (void)active_params(cell->setup.active, cell->name, collect_param, &collect);
    }
    for (size_t i = 0; i < collect.count; i++) {
        if (params_apply(params, &collect.list[i], 1, PARAM_ORIGIN_SET, false, err, sizeof(err))) {
            say(SAY_WARNING, "param_dropped", "cell %s: %s", cell->name, err);
        }
    }
    free(collect.list);
}

static int load_configured(struct cell *cell, const char *reference,
                           struct policy_choice **ret_choice, char *err, size_t err_size)
{
    const struct config_policy *policy = policy_config(cell);
    return choice_load(cell->setup.registry, reference, policy->plugin_dir, policy->values,
                       ret_choice, err, err_size);
}

static int prefix_line(const struct cell *cell, const struct config_policy *policy, char *err,
                       size_t err_size)
{
    char why[CELL_ERROR_BYTES_MAX];
    (void)snprintf(why, sizeof(why), "%s", err);
    (void)snprintf(err, err_size, "%s:%u: policy.use: %s", cell->setup.config->file, policy->line,
                   why);
    return -EINVAL;
}

int cell_policy_prepare(struct cell *cell, char *err, size_t err_size)
{
    const struct config_policy *policy = policy_config(cell);
    const char *changed = active_policy(cell->setup.active, cell->name);
    struct policy_choice *choice = NULL;
    if (policy->isolation == CONFIG_ISOLATION_ISOLATED) {
        (void)snprintf(err, err_size,
                       "%s:%u: policy.isolation: this build cannot run a policy in a process of "
                       "its own; say \"trusted\" if you trust it as you trust the host",
                       cell->setup.config->file, policy->line);
        return -EINVAL;
    }
    /* The configured one must be good in any case: a start that works only by what was changed at
     * run time would fail the day that is dropped. */
    int rc = load_configured(cell, policy->use, &choice, err, err_size);
    if (rc) {
        return prefix_line(cell, policy, err, err_size);
    }
    if (changed && strcmp(changed, policy->use) != 0) {
        struct policy_choice *other = NULL;
        rc = load_configured(cell, changed, &other, err, err_size);
        if (rc) {
            say(SAY_ERROR, "policy_not_restored", "cell %s: %s; the configured one is used",
                cell->name, err);
            (void)active_set_policy(cell->setup.active, cell->name, NULL, false);
        } else {
            say(SAY_WARNING, "drift", "cell %s runs policy %s, the file says %s", cell->name,
                changed, policy->use);
            policy_choice_destroy(choice);
            choice = other;
        }
    }
    struct policy_choice_config from = choice_config_of(policy, cell->layout);
    struct params *params = NULL;
    rc = policy_choice_params(choice, &from, true, &params, err, err_size);
    if (rc) {
        policy_choice_destroy(choice);
        return prefix_line(cell, policy, err, err_size);
    }
    set_again(cell, params);
    cell->first_choice = choice;
    cell->first_params = params;
    return 0;
}

int cell_policy_begin(struct cell *cell, char *err, size_t err_size)
{
    struct policy_choice *choice = cell->first_choice;
    struct params *params = cell->first_params;
    cell->first_choice = NULL;
    cell->first_params = NULL;
    if (is_quarantined(cell, choice->plugin->hash)) {
        say(SAY_ERROR, "policy_quarantined",
            "cell %s: policy %s (hash %.16s) ended the worker before; the built-in decides until "
            "the policy is changed",
            cell->name, choice->plugin->note.id, choice->plugin->hash);
        params_destroy(params);
        policy_choice_destroy(choice);
        return 0;
    }
    int rc = install(cell, choice, params, err, err_size);
    if (rc) {
        return prefix_line(cell, policy_config(cell), err, err_size);
    }
    const struct plugin *plugin = cell->slots[cell->selected].choice->plugin;
    say(SAY_INFO, "policy", "cell %s: %s %s decides (hash %.16s)", cell->name, plugin->note.id,
        plugin->note.version, plugin->hash);
    return 0;
}

void cell_policies_destroy(struct cell *cell)
{
    if (cell->swap) {
        (void)pthread_join(cell->swap->thread, NULL);
        cell->swap->cell = NULL; /* its posted call frees it, or the loop drops it */
    }
    cell_policy_reap(cell);
    for (uint32_t s = 0; cell->drive && s < DRIVE_SLOTS_MAX; s++) {
        struct policy *policy = drive_set_policy(cell->drive, s, NULL);
        policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, "", cell->last_ns);
        slot_forget(&cell->slots[s]);
    }
    params_destroy(cell->first_params);
    policy_choice_destroy(cell->first_choice);
}

/* ------------------------------------------------------------------ swap */

static void swap_free(void *arg)
{
    struct swap *swap = arg;
    policy_choice_destroy(swap->choice);
    free(swap->plugin_dir);
    free(swap);
}

static void journal_policy(struct cell *cell, const char *what, const char *reference)
{
    char text[CELL_REFERENCE_BYTES_MAX + 64];
    if (cell->recorder) {
        (void)snprintf(text, sizeof(text), "%s %s", what, reference);
        recorder_text(cell->recorder, JOURNAL_POLICY, text, cell->last_ns);
    }
}

static void swap_finish(struct swap *swap)
{
    struct cell *cell = swap->cell;
    struct params *params = NULL;
    if (!swap->rc && is_quarantined(cell, swap->choice->plugin->hash)) {
        (void)snprintf(swap->err, sizeof(swap->err),
                       "policy %s (hash %.16s) is quarantined: it ended the worker before",
                       swap->choice->plugin->note.id, swap->choice->plugin->hash);
        swap->rc = -EPERM;
    }
    if (!swap->rc) {
        struct policy_choice_config from = choice_config_of(policy_config(cell), cell->layout);
        struct policy_ref configured = {0};
        char ignored[64];
        bool same = policy_ref_parse(policy_config(cell)->use, &configured, ignored,
                                     sizeof(ignored)) == 0 &&
                    strcmp(configured.target, swap->choice->ref.target) == 0;
        policy_ref_fini(&configured);
        swap->rc =
            policy_choice_params(swap->choice, &from, same, &params, swap->err, sizeof(swap->err));
    }
    if (!swap->rc && cell->former != CORE_NONE) {
        slot_retire(cell, cell->former, SHUNT_EXIT_RETIRED);
        cell->former = CORE_NONE;
    }
    if (!swap->rc) {
        struct policy_choice *choice = swap->choice;
        swap->choice = NULL;
        swap->rc = install(cell, choice, params, swap->err, sizeof(swap->err));
    }
    if (swap->rc) {
        return;
    }
    journal_policy(cell, "activate", swap->reference);
    (void)active_set_policy(cell->setup.active, cell->name, swap->reference, swap->save);
    if (active_flush(cell->setup.active) != 0) {
        say(SAY_WARNING, "active", "cell %s: state_dir/active cannot be written", cell->name);
    }
    if (cell->former != CORE_NONE && swap->probation_ns == 0) {
        slot_retire(cell, cell->former, SHUNT_EXIT_RETIRED);
        cell->former = CORE_NONE;
    } else {
        loop_timer_set(&cell->probation, cell_now_ns(cell) + swap->probation_ns);
    }
    const struct plugin *plugin = cell->slots[cell->selected].choice->plugin;
    (void)snprintf(swap->err, sizeof(swap->err), "%s %s decides (hash %.16s)", plugin->note.id,
                   plugin->note.version, plugin->hash);
}

static void swap_posted(void *arg)
{
    struct swap *swap = arg;
    if (swap->cell) {
        (void)pthread_join(swap->thread, NULL);
        swap->cell->swap = NULL;
        swap_finish(swap);
        say(swap->rc ? SAY_ERROR : SAY_INFO, "policy_swap", "cell %s: %s: %s", swap->cell->name,
            swap->reference, swap->err);
        swap->done(swap->ctx, swap->rc, swap->err);
    }
    swap_free(swap);
}

static void *swap_thread(void *arg)
{
    struct swap *swap = arg;
    swap->rc = choice_load(swap->cell->setup.registry, swap->reference, swap->plugin_dir, "",
                           &swap->choice, swap->err, sizeof(swap->err));
    if (loop_post(swap->cell->loop, swap_posted, swap, swap_free) != 0) {
        abort(); /* no memory for one call: the supervisor starts us again */
    }
    return NULL;
}

int cell_policy_swap(struct cell *cell, const struct cell_swap *what, cell_done *done, void *ctx)
{
    if (cell->swap || !cell->started) {
        return -EBUSY;
    }
    struct swap *swap = calloc(1, sizeof(*swap));
    if (!swap) {
        return -ENOMEM;
    }
    swap->cell = cell;
    swap->probation_ns = what->probation_ns;
    swap->save = what->save;
    swap->done = done;
    swap->ctx = ctx;
    (void)snprintf(swap->reference, sizeof(swap->reference), "%s", what->reference);
    swap->plugin_dir = strdup(policy_config(cell)->plugin_dir);
    cell->swap = swap;
    if (what->isolation && strcmp(what->isolation, "trusted") != 0) {
        (void)snprintf(swap->err, sizeof(swap->err),
                       "isolation \"%s\": this build cannot run a policy in a process of its own",
                       what->isolation);
        swap->rc = -ENOTSUP;
    } else if (strlen(what->reference) >= sizeof(swap->reference)) {
        swap->rc = -E2BIG;
        (void)snprintf(swap->err, sizeof(swap->err), "the reference is too long");
    }
    if (swap->rc || !swap->plugin_dir) {
        int rc = swap->rc ? swap->rc : -ENOMEM;
        cell->swap = NULL;
        done(ctx, rc, swap->err);
        swap_free(swap);
        return 0;
    }
    int rc = -pthread_create(&swap->thread, NULL, swap_thread, swap);
    if (rc) {
        cell->swap = NULL;
        swap_free(swap);
    }
    return rc;
}

int cell_policy_rollback(struct cell *cell, char *err, size_t err_size)
{
    if (cell->former == CORE_NONE) {
        (void)snprintf(err, err_size,
                       "there is no former policy to go back to; its probation is "
                       "over or it never was");
        return -ENOENT;
    }
    uint32_t rejected = cell->selected;
    cell->selected = cell->former;
    cell->former = CORE_NONE;
    loop_timer_cancel(&cell->probation);
    slot_input(cell, cell->selected, CORE_SLOT_SELECT);
    if (rejected != CORE_NONE) {
        slot_retire(cell, rejected, SHUNT_EXIT_RETIRED);
    }
    const char *reference = cell->slots[cell->selected].choice->reference;
    journal_policy(cell, "roll back", reference);
    bool configured = strcmp(reference, policy_config(cell)->use) == 0;
    (void)active_set_policy(cell->setup.active, cell->name, configured ? NULL : reference, true);
    (void)active_flush(cell->setup.active);
    (void)snprintf(err, err_size, "%s decides again",
                   cell->slots[cell->selected].choice->plugin->note.id);
    return 0;
}

int cell_policy_confirm(struct cell *cell, char *err, size_t err_size)
{
    if (cell->former == CORE_NONE) {
        (void)snprintf(err, err_size, "no probation is running");
        return -ENOENT;
    }
    loop_timer_cancel(&cell->probation);
    slot_retire(cell, cell->former, SHUNT_EXIT_RETIRED);
    cell->former = CORE_NONE;
    if (cell->selected != CORE_NONE) {
        journal_policy(cell, "confirm", cell->slots[cell->selected].choice->reference);
    }
    (void)snprintf(err, err_size, "confirmed");
    return 0;
}

int cell_policy_set(struct cell *cell, const struct param_assignment *assignments, size_t count,
                    bool save, char *err, size_t err_size)
{
    if (cell->selected == CORE_NONE) {
        (void)snprintf(err, err_size, "the built-in decides; it has no parameters");
        return -ENOENT;
    }
    struct policy *policy = drive_policy(cell->drive, cell->selected);
    cell_policy_called(cell, cell->selected, 0, true);
    int rc = policy_set_params(policy, assignments, count, PARAM_ORIGIN_SET, cell_time_ns(cell),
                               err, err_size);
    cell_policy_called(cell, cell->selected, 0, false);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < count; i++) {
        (void)active_set_param(cell->setup.active, cell->name, assignments[i].name,
                               assignments[i].model, assignments[i].text, save);
    }
    (void)active_flush(cell->setup.active);
    slot_input(cell, cell->selected, CORE_SLOT_PARAMS);
    return 0;
}

int cell_policy_dump(struct cell *cell, char *buf, size_t size)
{
    if (cell->selected == CORE_NONE || size == 0) {
        return -ENOENT;
    }
    char *text = NULL;
    cell_policy_called(cell, cell->selected, 0, true);
    int rc = policy_dump(drive_policy(cell->drive, cell->selected), cell_time_ns(cell), &text);
    cell_policy_called(cell, cell->selected, 0, false);
    if (rc) {
        return rc == -ENOTSUP ? -ENOENT : rc;
    }
    int len = snprintf(buf, size, "%s", text);
    free(text);
    return len < (int)size ? len : (int)size - 1;
}

int cell_policy_explain(struct cell *cell, uint64_t decision, char *buf, size_t size)
{
    if (cell->selected == CORE_NONE) {
        return -ENOENT;
    }
    cell_policy_called(cell, cell->selected, 0, true);
    int rc = policy_explain(drive_policy(cell->drive, cell->selected), decision, cell_time_ns(cell),
                            buf, size);
    cell_policy_called(cell, cell->selected, 0, false);
    return rc == -ENOTSUP ? -ENOENT : rc;
}

/* ------------------------------------------------------------------ reload */

static bool text_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Judges what the new configuration says about the policy; nothing changes yet. */
int cell_policy_reload(struct cell *cell, const struct config *config, const struct layout *layout,
                       char *err, size_t err_size)
{
    const struct config_policy *now = policy_config(cell);
    const struct config_policy *next = &config->cells[cell->index].policy;
    const char *reference = active_policy(cell->setup.active, cell->name);
    bool replaced = !text_same(now->use, next->use) || !text_same(now->values, next->values) ||
                    !text_same(now->plugin_dir, next->plugin_dir);
    if (next->isolation == CONFIG_ISOLATION_ISOLATED) {
        (void)snprintf(err, err_size, "%s:%u: policy.isolation: \"isolated\" is not built in",
                       config->file, next->line);
        return -EINVAL;
    }
    if (replaced || !reference) {
        reference = next->use;
    }
    struct policy_choice *choice = NULL;
    struct params *params = NULL;
    int rc = choice_load(cell->setup.registry, reference, next->plugin_dir, next->values, &choice,
                         err, err_size);
    struct policy_choice_config from = choice_config_of(next, layout);
    rc = rc ? rc : policy_choice_params(choice, &from, true, &params, err, err_size);
    if (rc) {
        policy_choice_destroy(choice);
        return prefix_line(cell, next, err, err_size);
    }
    if (replaced) {
        (void)active_set_policy(cell->setup.active, cell->name, NULL, true);
        (void)active_flush(cell->setup.active);
    }
    set_again(cell, params);
    cell->first_choice = choice;
    cell->first_params = params;
    for (uint32_t s = 0; s < DRIVE_SLOTS_MAX; s++) {
        struct policy *policy = drive_policy(cell->drive, s);
        if (policy) {
            rc = rc ? rc : policy_set_models(policy, layout->names, layout->model_count);
        }
    }
    return rc;
}

/* The new configuration is in force, or (`ok` false) was refused. */
void cell_policy_reloaded(struct cell *cell, bool ok)
{
    char err[CELL_ERROR_BYTES_MAX] = "";
    struct policy_choice *choice = cell->first_choice;
    struct params *params = cell->first_params;
    cell->first_choice = NULL;
    cell->first_params = NULL;
    if (!ok) {
        params_destroy(params);
        policy_choice_destroy(choice);
        for (uint32_t s = 0; s < DRIVE_SLOTS_MAX; s++) {
            struct policy *policy = drive_policy(cell->drive, s);
            if (policy) {
                (void)policy_set_models(policy, cell->layout->names, cell->layout->model_count);
            }
        }
        return;
    }
    struct policy *policy =
        cell->selected == CORE_NONE ? NULL : drive_policy(cell->drive, cell->selected);
    if (!choice || (is_quarantined(cell, choice->plugin->hash))) {
        params_destroy(params);
        policy_choice_destroy(choice);
        return;
    }
    if (policy && policy_plugin(policy) == choice->plugin &&
        policy_replace_params(policy, params, cell_time_ns(cell), err, sizeof(err)) == 0) {
        slot_forget(&cell->slots[cell->selected]);
        cell->slots[cell->selected].choice = choice;
        slot_input(cell, cell->selected, CORE_SLOT_PARAMS);
        return;
    }
    if (cell->former != CORE_NONE) {
        slot_retire(cell, cell->former, SHUNT_EXIT_RETIRED);
        cell->former = CORE_NONE;
    }
    if (install(cell, choice, params, err, sizeof(err)) != 0) {
        say(SAY_ERROR, "policy_swap", "cell %s: %s; the policy stays as it was", cell->name, err);
        return;
    }
    loop_timer_set(&cell->probation, cell_now_ns(cell) + policy_config(cell)->probation_ns);
}

/* ------------------------------------------------------------------ views */

uint32_t cell_slot_count(const struct cell *cell)
{
    (void)cell;
    return DRIVE_SLOTS_MAX;
}

void cell_slot_view(const struct cell *cell, uint32_t s, struct cell_slot_view *ret)
{
    *ret = (struct cell_slot_view){.id = "", .version = "", .reference = "", .hash = ""};
    const struct policy *policy = s < DRIVE_SLOTS_MAX ? drive_policy(cell->drive, s) : NULL;
    if (!policy) {
        return;
    }
    const struct slot *slot = &cell->slots[s];
    const struct plugin *plugin = policy_plugin(policy);
    *ret = (struct cell_slot_view){.filled = true,
                                   .selected = s == cell->selected,
                                   .rollback = s == cell->former,
                                   .id = plugin->note.id,
                                   .version = plugin->note.version,
                                   .reference = slot->choice ? slot->choice->reference : "",
                                   .hash = plugin->hash,
                                   .decisions = slot->decisions,
                                   .faults = slot->faults,
                                   .decide_max_ns = slot->decide_max_ns,
                                   .since_ns = slot->since_ns};
}

const struct params *cell_slot_params(const struct cell *cell, uint32_t slot)
{
    const struct policy *policy = slot < DRIVE_SLOTS_MAX ? drive_policy(cell->drive, slot) : NULL;
    return policy ? policy_params(policy) : NULL;
}

uint32_t cell_slot_selected(const struct cell *cell)
{
    return cell->selected;
}

static int count_param(void *ctx, const char *name, const char *model, const char *text)
{
    (void)name;
    (void)model;
    (void)text;
    (*(uint32_t *)ctx)++;
    return 0;
}

bool cell_drift(const struct cell *cell, char *text, size_t size)
{
    const char *configured = policy_config(cell)->use;
    const char *runs =
        cell->selected == CORE_NONE ? "builtin" : cell->slots[cell->selected].choice->reference;
    uint32_t set = 0;
    uint32_t pins = 0;
    (void)active_params(cell->setup.active, cell->name, count_param, &set);
    for (uint32_t m = 0; m < cell->layout->model_count; m++) {
        pins += active_pinned(cell->setup.active, cell->name, cell->layout->names[m]) &&
                !cell->layout->models[m]->pin;
    }
    bool policy = strcmp(configured, runs) != 0;
    (void)snprintf(text, size, "%s%s%s%s; %u parameters set, %u pins", policy ? "policy " : "",
                   policy ? runs : "policy as configured", policy ? " instead of " : "",
                   policy ? configured : "", set, pins);
    return policy || set || pins;
}
