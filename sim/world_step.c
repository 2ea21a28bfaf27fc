/* Switches as the engines carry them out, and what goes wrong by the scenario. */
#include "sim/world.h"

#include <assert.h>
#include <errno.h>

/* ------------------------------------------------------------------ steps */

static void victim_add(struct device *device, uint32_t model)
{
    for (uint32_t i = 0; i < device->victim_count; i++) {
        if (device->victims[i] == model) {
            return;
        }
    }
    device->victims[device->victim_count++] = model;
}

/* What a step that no request waits for leaves alone: figures and victims. */
static void step_of_switch(struct sim *sim, const struct core_act_step *act,
                           const struct instance *in)
{
    struct device *device = &sim->devices[in->device];
    if (!device->switching) {
        device->switching = true;
        uint32_t model = act->target == CORE_NONE ? CORE_NONE : sim->instances[act->target].model;
        measure_switch_begins(sim->measure, in->device, model, sim->now_ns);
    }
    if (act->step == CORE_STEP_OUT && act->from_tier == SHUNT_TIER_RESIDENT) {
        victim_add(device, in->model);
    }
}

void step_begin(struct sim *sim, const struct core_act_step *act)
{
    struct instance *in = &sim->instances[act->instance];
    struct device *device = &sim->devices[in->device];
    assert(!in->stepping);
    if (!act->background) {
        step_of_switch(sim, act, in);
    }
    const struct switches_step step = {.step = act->step,
                                       .model = in->model,
                                       .from_tier = act->from_tier,
                                       .to_tier = act->to_tier,
                                       .for_nobody = act->target == CORE_NONE,
                                       .victims = device->victims,
                                       .victim_count = device->victim_count};
    struct switches_outcome outcome;
    switches_begin(sim->switches, &step, &outcome);
    in->stepping = true;
    in->step = *act;
    in->step_ok = outcome.ok;
    in->step_cancelled = false;
    int64_t most = CORE_NEVER - 1 - sim->now_ns;
    world_push(sim, sim->now_ns + (outcome.duration_ns < most ? outcome.duration_ns : most),
               WORLD_STEP, act->instance, ++in->step_epoch);
}

void step_cancel(struct sim *sim, const struct core_act_step *act)
{
    struct instance *in = &sim->instances[act->instance];
    if (in->stepping) {
        in->step_ok = false;
        in->step_cancelled = true;
        world_push(sim, sim->now_ns, WORLD_STEP, act->instance, ++in->step_epoch);
    }
}

/* Where a failed step leaves its model: a load that failed where it came from, an engine that was
 * given up while it moved out or was probed is ended. */
static uint32_t tier_after(const struct instance *in)
{
    if (in->step_ok) {
        return in->step.to_tier;
    }
    return in->step.step == CORE_STEP_IN ? in->step.from_tier : (uint32_t)SHUNT_TIER_STOPPED;
}

void step_ends(struct sim *sim, uint32_t instance, uint32_t epoch)
{
    struct instance *in = &sim->instances[instance];
    if (!in->stepping || in->step_epoch != epoch) {
        return;
    }
    sim->events++;
    in->stepping = false;
    const struct core_act_step *act = &in->step;
    struct core_input *input = world_input(sim, CORE_IN_STEP);
    input->u.step = (struct core_in_step){.switch_id = act->switch_id,
                                          .instance = instance,
                                          .step = act->step,
                                          .ok = in->step_ok,
                                          .tier = tier_after(in),
                                          .device_bytes = -1,
                                          .retry = !in->step_ok && !in->step_cancelled};
    (void)world_feed(sim, input);
}

void switch_ended(struct sim *sim, const struct core_rec_switch *record)
{
    struct device *device = &sim->devices[record->event.device];
    if (device->switching) {
        device->switching = false;
        measure_switch_ended(sim->measure, record->event.device, record->ok != 0, sim->now_ns);
    }
    for (uint32_t i = 0; i < device->victim_count; i++) {
        switches_moved_out(sim->switches, device->victims[i]);
    }
    device->victim_count = 0;
    device->switched = device->switched_ns == sim->now_ns ? device->switched + 1 : 1;
    device->switched_ns = sim->now_ns;
    if (device->switched >= SIM_IDLE_SWITCHES_MAX) {
        world_fail(sim, -ELOOP,
                   "policy %s switched device %s %u times at %.9f s without time passing: give the "
                   "switches a cost, or have the policy stay where nothing waits",
                   world_policy_name(sim), sim->layout->devices[record->event.device]->name,
                   device->switched, (double)sim->now_ns * 1e-9);
    }
}

/* ------------------------------------------------------------------ faults */

static void engine_lost(struct sim *sim, uint32_t instance)
{
    struct instance *in = &sim->instances[instance];
    struct core_instance_view view;
    if (core_instance_view(sim->core, instance, &view) != 0 ||
        (view.tier == SHUNT_TIER_STOPPED && !in->stepping)) {
        return; /* no engine runs */
    }
    in->stepping = false;
    uint32_t first = instance_empty(sim, instance);
    struct core_input *input = world_input(sim, CORE_IN_ENGINE_LOST);
    input->u.engine_lost = (struct core_in_engine_lost){
        .instance = instance, .tier = SHUNT_TIER_STOPPED, .requeue = 1};
    (void)world_feed(sim, input);
    instance_emptied(sim, first);
}

static void device_changes(struct sim *sim, uint32_t device, bool up)
{
    struct core_device_stats stats;
    core_device_stats(sim->core, device, sim->now_ns, &stats);
    if ((stats.up != 0) == up) {
        return;
    }
    uint32_t first[ARRIVALS_MODELS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; !up && i < sim->layout->instance_count; i++) {
        if (sim->instances[i].device == device) {
            sim->instances[i].stepping = false;
            first[count++] = instance_empty(sim, i);
        }
    }
    struct core_input *input = world_input(sim, CORE_IN_DEVICE);
    input->u.device = (struct core_in_device){.device = device, .up = up};
    (void)world_feed(sim, input);
    for (uint32_t i = 0; i < count; i++) {
        instance_emptied(sim, first[i]);
    }
}

void fault_happens(struct sim *sim, const struct scenario_fault *fault)
{
    sim->events++;
    if (fault->kind != SCENARIO_FAULT_ENGINE_LOST) {
        device_changes(sim, fault->index, fault->kind == SCENARIO_FAULT_DEVICE_UP);
        return;
    }
    for (uint32_t i = 0; i < sim->layout->instance_count; i++) {
        if (sim->instances[i].model == fault->index) {
            engine_lost(sim, i);
        }
    }
}
