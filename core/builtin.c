/*
 * The built-in policy: first come, first served over all models that fit the device. It answers
 * when no policy is selected, when one is late or fails, and when one has no opinion.
 */
#include "core/priv.h"

/* Whether `a`, by its oldest request, comes before `b`; ties to the longest unvisited. */
static bool comes_before(const struct core *core, uint32_t a, uint32_t b)
{
    const struct core_model *x = &core->models[a];
    const struct core_model *y = &core->models[b];
    int64_t head_x = core->requests[x->queue.head].arrival_ns;
    int64_t head_y = core->requests[y->queue.head].arrival_ns;
    return head_x != head_y ? head_x < head_y : x->visit_seq < y->visit_seq;
}

void core_builtin_decide(const struct core *core, uint32_t device, struct shunt_decision *ret)
{
    uint32_t best = CORE_NONE;
    for (uint32_t i = core->devices[device].instances; i != CORE_NONE;
         i = core->instances[i].next_on_device) {
        const struct core_instance *in = &core->instances[i];
        const struct core_model *m = &core->models[in->model];
        bool here = core_instance_admits(core, in);
        if (m->queue_len == 0 || !core_instance_usable(core, in) ||
            (!here && (m->admitted || m->loading > 0))) {
            continue;
        }
        if (best == CORE_NONE || comes_before(core, in->model, core->instances[best].model)) {
            best = i;
        }
    }
    /* What has been decided is carried through: only requests that its own drain sent back can be
     * older than those it was decided for. */
    const struct core_device *d = &core->devices[device];
    if (core_switch_undone(d) && d->sw.target != CORE_NONE &&
        core->models[core->instances[d->sw.target].model].queue_len > 0) {
        best = d->sw.target;
    }
    memset(ret, 0, sizeof(*ret));
    ret->size = sizeof(*ret);
    ret->device = device;
    ret->instance = SHUNT_NONE;
    ret->generation = core->devices[device].generation;
    ret->propensity = 1.0;
    if (best == CORE_NONE) {
        (void)shunt_stay(ret, SHUNT_REASON_NOTHING_WAITS);
    } else if (core_instance_admits(core, &core->instances[best])) {
        (void)shunt_stay(ret, SHUNT_REASON_OLDEST);
    } else {
        (void)shunt_switch_to(ret, core->instances[best].model, SHUNT_REASON_FIRST_COME);
        ret->instance = best;
    }
}
