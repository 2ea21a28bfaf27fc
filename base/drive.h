/*
 * The loop around the core that host and simulator share: apply one input, drain its actions, call
 * policies where the core says so, feed back what they answered, until nothing is left.
 *
 *     drive_input(drive, &input);      as often as something happened at this instant
 *     drive_settle(drive, now_ns);     when nothing more is at hand: timers fire, requests go out
 *     sleep until core_wake_ns(drive_core(drive))
 *
 * Every input, those made here from decisions and timers included, is reported before it is
 * applied, so that a journal of them replays the run without any policy. Every action but a hook's
 * notification is handed to the shell, in the core's order.
 *
 * The shell's callbacks must not call drive_input or drive_settle; they note what is to be done and
 * report it as a later input.
 */
#ifndef BASE_DRIVE_H
#define BASE_DRIVE_H

#include "base/policy.h"
#include "core/core.h"

enum { DRIVE_SLOTS_MAX = 8 };

/* What is being called, for drive_ops.call: a core_hook, or this. */
#define DRIVE_CALL_DECIDE ((uint32_t)CORE_HOOK_COUNT)

struct drive_ops {
    /* Every input before it is applied, with core and snapshot as they are. Optional. */
    void (*journal)(void *ctx, const struct core_input *input);

    /* An action to carry out. NOTIFY appears only for slots without an instance here (their bits
     * are set); ASK only if `ask` kept it or the slot has no instance here. */
    void (*action)(void *ctx, const struct core_action *action);

    /* Before (begin) and after a call into the policy of `slot`: watchdog and measurement.
     * Optional. */
    void (*call)(void *ctx, uint32_t slot, uint32_t what, bool begin);

    /* A question to an instance held here. True: the shell keeps it (a simulated latency) and
     * feeds the decision itself, from drive_decide; the action follows. Optional. */
    bool (*ask)(void *ctx, const struct core_act_ask *ask);

    /* What an instance answered, before it is fed to the core: scores, text, propensity. `status`
     * as of policy_decide; `answer` is NULL unless it is 0. Optional. */
    void (*answered)(void *ctx, const struct core_act_ask *ask, int status,
                     const struct shunt_answer *answer);

    /* The instance of `slot` failed in models_changed and is out of its slot; destroy it after the
     * running drive call has returned. Optional. */
    void (*lost)(void *ctx, uint32_t slot, struct policy *policy);
};

struct drive;

/* `core` and `ops` must outlive it. -ENOMEM. */
int drive_create(struct core *core, const struct drive_ops *ops, void *ctx,
                 struct drive **ret_drive);
void drive_destroy(struct drive *drive); /* not the core, not the policies */

struct core *drive_core(const struct drive *drive);

/* Replaces the core (after core_load). Only between inputs. */
void drive_set_core(struct drive *drive, struct core *core);

/*
 * Puts an instance into a slot, or takes it out (NULL), and returns the one before. The core is
 * told by the caller with CORE_IN_SLOT: FILL after this, EMPTY before it.
 */
struct policy *drive_set_policy(struct drive *drive, uint32_t slot, struct policy *policy);
struct policy *drive_policy(const struct drive *drive, uint32_t slot);

/* Applies one input and everything that follows from it at its instant. Returns what core_apply
 * said about it. -ENOMEM leaves answers unfed; their asks then run into their deadline. */
int drive_input(struct drive *drive, const struct core_input *input);

/* core_configure with everything that follows from it. Not reported to `journal`: the shell records
 * configurations itself. */
int drive_configure(struct drive *drive, const struct core_config *config, int64_t t_ns,
                    struct core_config_error *ret_error);

/* Feeds ADVANCE at now_ns while the core has something to do by then; when it has next. */
int64_t drive_settle(struct drive *drive, int64_t now_ns);

/*
 * Asks the instance of ask->slot now, with the present snapshot, and returns the decision as an
 * input for later: the caller sets its t_ns and feeds it. For asks that the shell kept; call it
 * from `ask` or `action`, or between inputs. Timers that the policy requests meanwhile are fed with
 * the next input.
 */
void drive_decide(struct drive *drive, const struct core_act_ask *ask, int64_t t_ns,
                  struct core_input *ret_input);

#endif
