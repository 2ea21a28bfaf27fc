/*
 * Events for policies. They are only built when some filled slot listens; the core never looks at
 * what becomes of them.
 */
#include "core/priv.h"

static struct core_act_notify *notify(struct core *core, uint32_t hook, uint32_t slots)
{
    struct core_act_notify *act = &core_emit(core, CORE_ACT_NOTIFY)->u.notify;
    act->slots = slots;
    act->hook = hook;
    return act;
}

void core_notify_request(struct core *core, uint32_t hook, uint32_t request, uint32_t outcome,
                         uint32_t output_tokens)
{
    uint32_t slots = core_listeners(core, hook);
    if (slots == 0) {
        return;
    }
    const struct core_request *r = &core->requests[request];
    struct shunt_request_event *event = &notify(core, hook, slots)->event.request;
    *event = (struct shunt_request_event){
        .size = sizeof(*event),
        .model = r->model,
        .request = core_request_id(core, request),
        .t_ns = core->s.now_ns,
        .arrival_ns = r->arrival_ns,
        .dispatch_ns = r->dispatch_ns,
        .first_token_ns = r->first_token_ns,
        .deadline_ns = r->deadline_ns,
        .tenant_hash = r->tenant_hash,
        .session_hash = r->session_hash,
        .prefix_hash = r->prefix_hash,
        .instance = r->instance,
        .service_class = r->service_class,
        .priority = r->priority,
        .prompt_tokens = r->prompt_tokens,
        .max_tokens = r->max_tokens,
        .output_tokens = output_tokens,
        .outcome = outcome,
        .requeued = r->requeued,
    };
}

void core_notify_switch(struct core *core, uint32_t hook, const struct shunt_switch_event *event)
{
    uint32_t slots = core_listeners(core, hook);
    if (slots) {
        notify(core, hook, slots)->event.change = *event;
    }
}

void core_notify_plain(struct core *core, uint32_t hook, uint32_t slots, uint32_t timer)
{
    slots &= core_listeners(core, hook);
    if (slots) {
        notify(core, hook, slots)->event.timer = timer;
    }
}
