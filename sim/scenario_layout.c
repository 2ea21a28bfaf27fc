/* A scenario in the words of the core, by the host's own mapping. */
#include "base/layout.h"
#include "sim/scenario_priv.h"

#include <assert.h>

/* Longer than any run, and far from where adding it to a time overflows. */
#define NO_LIMIT_NS (INT64_MAX / 4)

/* Tiers of a model in a scenario: those it names, and stopped, which an engine that was lost is in.
 * Where costs are those of models, one that holds nothing on the device can be fetched to ahead of
 * time; a matrix says nothing of that. */
static void edges_of(const struct scenario *scenario, const struct config_model *model,
                     struct layout_edges *ret)
{
    *ret = (struct layout_edges){.tiers = 1u << SHUNT_TIER_STOPPED};
    for (uint32_t i = 0; i < model->tiers.count; i++) {
        uint32_t tier = model->tiers.tier[i];
        ret->tiers |= 1u << tier;
        if (scenario->switching.kind == SCENARIO_COST_MODEL && tier != SHUNT_TIER_STOPPED &&
            model->memory.bytes[tier] == 0) {
            ret->edges_prefetch |= 1u << tier;
        }
    }
    ret->edges_in = ret->tiers;
}

static void unguarded(struct core_guard_config *guard)
{
    guard->enabled = 0;
    guard->switch_limit_ns = NO_LIMIT_NS;
    guard->answer_ns = NO_LIMIT_NS;
}

int scenario_layout(const struct scenario *scenario, struct layout **ret_layout, char *err,
                    size_t err_size)
{
    struct layout *layout = NULL;
    int rc = layout_create(scenario->config, 0, &layout, err, err_size);
    if (rc) {
        return rc;
    }
    uint32_t devices = scenario->config->device_count;
    assert(layout->model_count == scenario->config->model_count);
    assert(layout->device_count == devices);
    for (uint32_t i = 0; i < layout->instance_count; i++) {
        const struct layout_instance *instance = &layout->instances[i];
        if (!scenario->memo->of_host) {
            struct layout_edges edges;
            edges_of(scenario, layout->models[instance->model], &edges);
            layout_set_edges(layout, i, &edges);
        }
        layout_set_tier(layout, i,
                        scenario->initial_tier[instance->model * devices + instance->device]);
    }
    /* A simulated policy may ask to be asked at once: it costs nobody's event loop. */
    layout->core.guard.recheck_min_ns = 0;
    if (scenario->guard_off) {
        unguarded(&layout->core.guard);
    }
    *ret_layout = layout;
    return 0;
}
