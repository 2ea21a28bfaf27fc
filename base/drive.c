/*
 * Feeding and draining the core as core/core.h prescribes: all actions of an input are drained
 * before the next input; questions are answered at once, while the snapshot is that of the ask, and
 * the answers are kept and fed in the order of the questions.
 */
#include "base/drive.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Inputs made here that wait for the drain to end: at most some timers and one answer a device and
 * slot, but a policy that errs must not be able to grow it without limit. */
enum { PENDING_MAX = 4096 };

struct drive {
    struct core *core;
    const struct drive_ops *ops;
    void *ctx;
    struct policy *policy[DRIVE_SLOTS_MAX];
    bool running; /* a callback must not come back in */

    struct core_input *pending; /* ring would be overkill: emptied in every call */
    size_t pending_first, pending_count, pending_room;
    bool out_of_memory;
    struct core_input advance; /* kept, because an input is large and this one is fed most */
};

int drive_create(struct core *core, const struct drive_ops *ops, void *ctx,
                 struct drive **ret_drive)
{
    struct drive *drive = calloc(1, sizeof *drive);
    if (!drive) {
        return -ENOMEM;
    }
    drive->core = core;
    drive->ops = ops;
    drive->ctx = ctx;
    *ret_drive = drive;
    return 0;
}

void drive_destroy(struct drive *drive)
{
    if (drive) {
        free(drive->pending);
        free(drive);
    }
}

struct core *drive_core(const struct drive *drive)
{
    return drive->core;
}

/* Has the core build no notification that the instance of a slot has no hook for. */
static void listen(struct drive *drive, uint32_t slot)
{
    uint32_t hooks = UINT32_MAX;
    for (uint32_t i = 0; drive->policy[slot] && i < CORE_HOOK_COUNT; i++) {
        if (!policy_has_hook(drive->policy[slot], i)) {
            hooks &= ~(UINT32_C(1) << i);
        }
    }
    core_listen(drive->core, slot, hooks);
}

void drive_set_core(struct drive *drive, struct core *core)
{
    assert(!drive->running);
    drive->core = core;
    for (uint32_t slot = 0; slot < DRIVE_SLOTS_MAX; slot++) {
        listen(drive, slot);
    }
}

struct policy *drive_set_policy(struct drive *drive, uint32_t slot, struct policy *policy)
{
    assert(slot < DRIVE_SLOTS_MAX);
    struct policy *before = drive->policy[slot];
    drive->policy[slot] = policy;
    listen(drive, slot);
    return before;
}

struct policy *drive_policy(const struct drive *drive, uint32_t slot)
{
    return slot < DRIVE_SLOTS_MAX ? drive->policy[slot] : NULL;
}

/* ------------------------------------------------------------------ pending inputs */

/* Room for one more input, to be filled by the caller; NULL without memory. Valid until the next
 * one is taken. */
static struct core_input *keep_new(struct drive *drive)
{
    if (drive->pending_count == drive->pending_room) {
        size_t room = drive->pending_room > 0 ? 2 * drive->pending_room : 16;
        struct core_input *grown =
            room <= PENDING_MAX ? realloc(drive->pending, room * sizeof *grown) : NULL;
        if (!grown) {
            drive->out_of_memory = true;
            return NULL;
        }
        drive->pending = grown;
        drive->pending_room = room;
    }
    return &drive->pending[drive->pending_count++];
}

/* An input is large because a decision is: only the member that is meant gets written. */
static void begin_input(struct core_input *input, uint32_t kind, int64_t t_ns)
{
    input->kind = kind;
    input->reserved = 0;
    input->t_ns = t_ns;
}

/* Turns the timers that a policy asked for into inputs. */
static void keep_timers(struct drive *drive, uint32_t slot, int64_t t_ns)
{
    uint32_t id = 0;
    int64_t at_ns = 0;
    while (policy_take_timer(drive->policy[slot], &id, &at_ns)) {
        struct core_input *input = keep_new(drive);
        if (input) {
            begin_input(input, CORE_IN_TIMER, t_ns);
            input->u.timer = (struct core_in_timer){.slot = slot, .id = id, .at_ns = at_ns};
        }
    }
}

/* ------------------------------------------------------------------ calls into policies */

static void report_call(struct drive *drive, uint32_t slot, uint32_t what, bool begin)
{
    if (drive->ops->call) {
        drive->ops->call(drive->ctx, slot, what, begin);
    }
}

static void notify_slot(struct drive *drive, uint32_t slot, const struct core_action *action)
{
    const struct core_act_notify *notify = &action->u.notify;
    struct policy *policy = drive->policy[slot];
    if (!policy_has_hook(policy, notify->hook)) {
        return;
    }
    bool reads =
        notify->hook == (uint32_t)CORE_HOOK_LAYOUT || notify->hook == (uint32_t)CORE_HOOK_RESYNC;
    report_call(drive, slot, notify->hook, true);
    int rc = policy_notify(policy, notify, action->t_ns, reads ? core_snapshot(drive->core) : NULL);
    report_call(drive, slot, notify->hook, false);
    if (rc == 0) {
        keep_timers(drive, slot, action->t_ns);
        return;
    }
    drive->policy[slot] = NULL;
    listen(drive, slot);
    struct core_input *input = keep_new(drive);
    if (input) {
        begin_input(input, CORE_IN_SLOT, action->t_ns);
        input->u.slot = (struct core_in_slot){.slot = slot, .change = CORE_SLOT_LOST};
    }
    if (drive->ops->lost) {
        drive->ops->lost(drive->ctx, slot, policy);
    }
}

static void take_notify(struct drive *drive, const struct core_action *action)
{
    uint32_t foreign = 0;
    for (uint32_t slots = action->u.notify.slots; slots != 0; slots &= slots - 1) {
        uint32_t slot = (uint32_t)__builtin_ctz(slots);
        if (drive->policy[slot]) {
            notify_slot(drive, slot, action);
        } else {
            foreign |= UINT32_C(1) << slot;
        }
    }
    if (foreign) {
        struct core_action rest = *action;
        rest.u.notify.slots = foreign;
        drive->ops->action(drive->ctx, &rest);
    }
}

/* Puts the question to the instance, if there is one; its status and, on 0, its answer. */
static int consult(struct drive *drive, const struct core_act_ask *ask, int64_t t_ns,
                   const struct shunt_answer **ret_answer)
{
    struct policy *policy = drive_policy(drive, ask->slot);
    const struct shunt_ask question = {
        .size = sizeof question,
        .device = ask->device,
        .id = ask->id,
        .generation = ask->generation,
        .now_ns = t_ns,
        .why = ask->why,
        .shadow = ask->shadow,
        .snapshot = core_snapshot(drive->core),
        .costs = core_costs(drive->core),
    };
    int rc = -ENOENT;
    *ret_answer = NULL;
    if (policy) {
        report_call(drive, ask->slot, DRIVE_CALL_DECIDE, true);
        rc = policy_decide(policy, &question, ret_answer);
        report_call(drive, ask->slot, DRIVE_CALL_DECIDE, false);
        keep_timers(drive, ask->slot, t_ns);
    }
    if (drive->ops->answered) {
        drive->ops->answered(drive->ctx, ask, rc, *ret_answer);
    }
    return rc;
}

static void fill_decision(struct core_input *input, const struct core_act_ask *ask, int64_t t_ns,
                          int status, const struct shunt_answer *answer)
{
    begin_input(input, CORE_IN_DECISION, t_ns);
    input->u.decision.slot = ask->slot;
    input->u.decision.status = status != 0;
    input->u.decision.ask_id = ask->id;
    if (status == 0) {
        input->u.decision.decision = answer->decisions[0];
    } else {
        memset(&input->u.decision.decision, 0, sizeof input->u.decision.decision);
    }
}

void drive_decide(struct drive *drive, const struct core_act_ask *ask, int64_t t_ns,
                  struct core_input *ret_input)
{
    const struct shunt_answer *answer;
    int rc = consult(drive, ask, t_ns, &answer);
    fill_decision(ret_input, ask, t_ns, rc, answer);
}

static void take_ask(struct drive *drive, const struct core_action *action)
{
    const struct core_act_ask *ask = &action->u.ask;
    if (!drive_policy(drive, ask->slot) || (drive->ops->ask && drive->ops->ask(drive->ctx, ask))) {
        drive->ops->action(drive->ctx, action);
        return;
    }
    const struct shunt_answer *answer;
    int rc = consult(drive, ask, action->t_ns, &answer);
    struct core_input *input = keep_new(drive);
    if (input) {
        fill_decision(input, ask, action->t_ns, rc, answer);
    }
}

/* ------------------------------------------------------------------ the loop */

static void drain(struct drive *drive)
{
    uint32_t count;
    const struct core_action *first = core_take(drive->core, &count);
    for (const struct core_action *action = first; action < first + count; action++) {
        if (action->kind == (uint32_t)CORE_ACT_NOTIFY) {
            take_notify(drive, action);
        } else if (action->kind == (uint32_t)CORE_ACT_ASK) {
            take_ask(drive, action);
        } else {
            drive->ops->action(drive->ctx, action);
        }
    }
}

static int apply(struct drive *drive, const struct core_input *input)
{
    if (drive->ops->journal) {
        drive->ops->journal(drive->ctx, input);
    }
    int rc = core_apply(drive->core, input);
    drain(drive);
    return rc;
}

/* Feeds what the drains left behind until there is no more. Each answer may lead to further
 * questions; the core's limit on asks without time passing ends that. */
static void feed_pending(struct drive *drive, int64_t t_ns)
{
    while (drive->pending_first < drive->pending_count) {
        /* Read before the drain, which may move the array. */
        struct core_input *input = &drive->pending[drive->pending_first++];
        input->t_ns = input->t_ns > t_ns ? input->t_ns : t_ns;
        (void)apply(drive, input); /* a stale decision or timer is the core's to refuse */
    }
    drive->pending_first = 0;
    drive->pending_count = 0;
}

static int finish(struct drive *drive, int rc, int64_t t_ns)
{
    feed_pending(drive, t_ns);
    drive->running = false;
    if (drive->out_of_memory) {
        drive->out_of_memory = false;
        return -ENOMEM;
    }
    return rc;
}

static void begin(struct drive *drive, int64_t t_ns)
{
    assert(!drive->running);
    drive->running = true;
    feed_pending(drive, t_ns); /* timers requested by drive_decide between inputs */
}

int drive_input(struct drive *drive, const struct core_input *input)
{
    begin(drive, input->t_ns);
    int rc = apply(drive, input);
    return finish(drive, rc, input->t_ns);
}

int drive_configure(struct drive *drive, const struct core_config *config, int64_t t_ns,
                    struct core_config_error *ret_error)
{
    begin(drive, t_ns);
    int rc = core_configure(drive->core, config, t_ns, ret_error);
    drain(drive);
    return finish(drive, rc, t_ns);
}

int64_t drive_settle(struct drive *drive, int64_t now_ns)
{
    int64_t wake_ns;
    begin(drive, now_ns);
    begin_input(&drive->advance, CORE_IN_ADVANCE, now_ns);
    while ((wake_ns = core_wake_ns(drive->core)) <= now_ns) {
        (void)apply(drive, &drive->advance);
        feed_pending(drive, now_ns);
    }
    (void)finish(drive, 0, now_ns);
    return wake_ns;
}
