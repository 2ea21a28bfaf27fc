/* The readable event log of --verbose: one line an input or action, times in units. */
#include "swarm.h"

#include <stdio.h>

static void start(const struct world *world, const char *arrow)
{
    printf("%12lld.%03lld %s ", (long long)(world->now_ns / world->plan.unit_ns),
           (long long)(world->now_ns % world->plan.unit_ns * 1000 / world->plan.unit_ns), arrow);
}

static uint32_t cookie_of(const struct world *world, uint64_t id)
{
    for (uint32_t r = 0; r < world->request_count; r++) {
        if (world->request[r].id == id && world->request[r].state != REQUEST_UNSENT) {
            return r;
        }
    }
    return CORE_NONE;
}

static void log_decision(const struct core_in_decision *in)
{
    const struct shunt_decision *d = &in->decision;
    static const char *const actions[] = {"stay", "linger", "switch", "no opinion"};
    printf("DECISION slot %u ask %llu: %s", in->slot, (unsigned long long)in->ask_id,
           in->status      ? "fault"
           : d->action < 4 ? actions[d->action]
                           : "garbage");
    if (d->action == SHUNT_SWITCH) {
        printf(" to %u, drain %u, victims %u, residence %lld", d->model, d->drain, d->victim_count,
               (long long)d->min_residence_ns);
    }
    printf(", flags %u, quantum %llu/%lld, secondary %u", d->flags,
           (unsigned long long)d->quantum_requests, (long long)d->quantum_ns, d->secondary_count);
}

void log_input(const struct world *world, const struct core_input *input, int rc)
{
    start(world, ">");
    switch ((enum core_input_kind)input->kind) {
    case CORE_IN_ADVANCE:
        printf("ADVANCE");
        break;
    case CORE_IN_REQUEST:
        printf("REQUEST r%llu model %u deadline %lld", (unsigned long long)input->u.request.cookie,
               input->u.request.model, (long long)input->u.request.deadline_ns);
        break;
    case CORE_IN_CANCEL:
        printf("CANCEL r%u", cookie_of(world, input->u.cancel.request));
        break;
    case CORE_IN_FIRST_TOKEN:
        printf("FIRST_TOKEN r%u", cookie_of(world, input->u.first_token));
        break;
    case CORE_IN_COMPLETE:
        printf("COMPLETE r%u outcome %u retry %u", cookie_of(world, input->u.complete.request),
               input->u.complete.outcome, input->u.complete.retry);
        break;
    case CORE_IN_STEP:
        printf("STEP i%u step %u switch %llu ok %u tier %u stuck %u retry %u",
               input->u.step.instance, input->u.step.step,
               (unsigned long long)input->u.step.switch_id, input->u.step.ok, input->u.step.tier,
               input->u.step.memory_stuck, input->u.step.retry);
        break;
    case CORE_IN_ENGINE:
        printf("ENGINE i%u tier %d running %d", input->u.engine.instance, (int)input->u.engine.tier,
               (int)input->u.engine.running);
        break;
    case CORE_IN_ENGINE_LOST:
        printf("ENGINE_LOST i%u tier %u requeue %u", input->u.engine_lost.instance,
               input->u.engine_lost.tier, input->u.engine_lost.requeue);
        break;
    case CORE_IN_DEVICE:
        printf("DEVICE %u up %u", input->u.device.device, input->u.device.up);
        break;
    case CORE_IN_DECISION:
        log_decision(&input->u.decision);
        break;
    case CORE_IN_TIMER:
        printf("TIMER slot %u id %u at %lld ns", input->u.timer.slot, input->u.timer.id,
               (long long)input->u.timer.at_ns);
        break;
    case CORE_IN_SLOT:
        printf("SLOT %d change %u", (int)input->u.slot.slot, input->u.slot.change);
        break;
    case CORE_IN_OPERATOR:
        printf("OPERATOR %u model %d instance %d", input->u.op.operation, (int)input->u.op.model,
               (int)input->u.op.instance);
        break;
    case CORE_IN_KIND_COUNT:
        printf("?");
        break;
    }
    printf(" -> %d\n", rc);
}

static void log_record(const struct core_act_record *act)
{
    switch ((enum core_record_kind)act->kind) {
    case CORE_REC_DECISION:
        printf("record DECISION ask %llu slot %d gpu %u action %u model %d verdict %u cause %u",
               (unsigned long long)act->u.decision.ask_id, (int)act->u.decision.slot,
               act->u.decision.device, act->u.decision.action, (int)act->u.decision.model,
               act->u.decision.verdict, act->u.decision.cause);
        break;
    case CORE_REC_SWITCH:
        printf("record SWITCH %llu gpu %u %d -> %d ok %u cause %u",
               (unsigned long long)act->u.change.event.switch_id, act->u.change.event.device,
               (int)act->u.change.event.from, (int)act->u.change.event.to, act->u.change.ok,
               act->u.change.event.cause);
        break;
    case CORE_REC_GUARD:
        printf("record GUARD kind %u gpu %d model %d count %u", act->u.guard.kind,
               (int)act->u.guard.device, (int)act->u.guard.model, act->u.guard.count);
        break;
    case CORE_REC_VISIT:
        printf("record VISIT gpu %u i%u model %u cause %u gap %lld bound %lld", act->u.visit.device,
               act->u.visit.instance, act->u.visit.model, act->u.visit.cause,
               (long long)act->u.visit.gap_ns, (long long)act->u.visit.bound_ns);
        break;
    case CORE_REC_REQUEST:
        printf("record REQUEST r%llu outcome %u", (unsigned long long)act->u.request.cookie,
               act->u.request.outcome);
        break;
    case CORE_REC_INSTANCE:
        printf("record INSTANCE i%u state %u tier %u", act->u.instance.instance,
               act->u.instance.state, act->u.instance.tier);
        break;
    case CORE_REC_SLOT:
        printf("record SLOT %d -> %d", (int)act->u.slot.from, (int)act->u.slot.to);
        break;
    case CORE_REC_KIND_COUNT:
        break;
    }
}

void log_action(const struct world *world, const struct core_action *action)
{
    start(world, "   <");
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
        printf("ACCEPT r%llu position %u eta %lld", (unsigned long long)action->u.accept.cookie,
               action->u.accept.position, (long long)action->u.accept.eta_ns);
        break;
    case CORE_ACT_REJECT:
        printf("REJECT r%llu reason %u", (unsigned long long)action->u.reject.cookie,
               action->u.reject.reason);
        break;
    case CORE_ACT_DISPATCH:
        printf("DISPATCH r%llu model %u i%u", (unsigned long long)action->u.dispatch.cookie,
               action->u.dispatch.model, action->u.dispatch.instance);
        break;
    case CORE_ACT_END:
        printf("END r%llu outcome %u dispatched %u", (unsigned long long)action->u.end.cookie,
               action->u.end.outcome, action->u.end.dispatched);
        break;
    case CORE_ACT_ABORT:
        printf("ABORT r%llu", (unsigned long long)action->u.abort.cookie);
        break;
    case CORE_ACT_STEP:
    case CORE_ACT_STEP_CANCEL:
        printf("%s i%u step %u switch %llu tier %u -> %u attempt %u background %u",
               action->kind == CORE_ACT_STEP ? "STEP" : "STEP_CANCEL", action->u.step.instance,
               action->u.step.step, (unsigned long long)action->u.step.switch_id,
               action->u.step.from_tier, action->u.step.to_tier, action->u.step.attempt,
               action->u.step.background);
        break;
    case CORE_ACT_ASK:
        printf("ASK slot %u gpu %u id %llu generation %llu why %#x shadow %u", action->u.ask.slot,
               action->u.ask.device, (unsigned long long)action->u.ask.id,
               (unsigned long long)action->u.ask.generation, action->u.ask.why,
               action->u.ask.shadow);
        break;
    case CORE_ACT_NOTIFY:
        printf("NOTIFY slots %#x hook %u", action->u.notify.slots, action->u.notify.hook);
        break;
    case CORE_ACT_RECORD:
        log_record(&action->u.record);
        break;
    case CORE_ACT_KIND_COUNT:
        break;
    }
    printf("\n");
}
