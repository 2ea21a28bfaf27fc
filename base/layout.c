/* Maps the configuration of a cell to the core's. See layout.h. */
#include "base/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SLOTS_MAX = 8, INSTANCES_MAX = 1024 };

void layout_limits(const struct config *config, struct core_limits *ret)
{
    const struct config_limits *limits = &config->limits;
    uint64_t instances = (uint64_t)limits->models_max * (uint64_t)limits->devices_max;
    *ret = (struct core_limits){.models_max = (uint32_t)limits->models_max,
                                .devices_max = (uint32_t)limits->devices_max,
                                .instances_max =
                                    instances < INSTANCES_MAX ? (uint32_t)instances : INSTANCES_MAX,
                                .slots_max = SLOTS_MAX,
                                .queued_max = (uint32_t)limits->queued_max,
                                .in_flight_max = (uint32_t)limits->in_flight_max};
}

/* Index of a device of the configuration in the cell, or CORE_NONE. */
static uint32_t cell_device(const struct config_cell *cell, uint32_t device)
{
    for (uint32_t i = 0; i < cell->devices.count; i++) {
        if (cell->device[i] == device) {
            return i;
        }
    }
    return CORE_NONE;
}

/* A model belongs to the cell of its first device. */
static bool model_is_here(const struct config_model *model, const struct config_cell *cell)
{
    return model->placements.count > 0 &&
           cell_device(cell, model->placements.item[0].device) != CORE_NONE;
}

static int64_t automatic_is_zero(int64_t value)
{
    return value == CONFIG_AUTOMATIC ? 0 : value;
}

/* A policy that has itself asked again all the time costs the loop at most this often. */
#define RECHECK_MIN_NS INT64_C(1000000)

static void map_guard(const struct config_guard *from, struct core_guard_config *ret)
{
    *ret = (struct core_guard_config){
        .enabled = 1,
        .overtakes = (uint32_t)automatic_is_zero(from->overtakes),
        .dispatches_min = (uint32_t)automatic_is_zero(from->dispatches_min),
        .age_ns = automatic_is_zero(from->age_ns),
        .visit_cap_ns = automatic_is_zero(from->visit_cap_ns),
        .visit_cap_floor_ns = from->visit_cap_floor_ns,
        .drain_ns = automatic_is_zero(from->drain_ns),
        .switch_limit_ns = from->switch_timeout_ns,
        .answer_ns = from->answer_ns,
        .recheck_min_ns = RECHECK_MIN_NS,
        .drain_mode =
            from->drain_mode == CONFIG_DRAIN_REQUEUE ? SHUNT_DRAIN_REQUEUE : SHUNT_DRAIN_FINISH,
        .switches_per_minute = (uint32_t)from->switches_per_minute,
        .switch_share_max = from->switch_share_max,
        .min_residence_ns = from->min_residence_ns};
}

static bool is_ours(const struct config_model *model)
{
    return model->engine == CONFIG_ENGINE_EMULATED || model->start.count > 0;
}

void layout_edges_of(const struct config_model *model, struct layout_edges *ret_edges)
{
    *ret_edges = (struct layout_edges){0};
    if (model->engine != CONFIG_ENGINE_EMULATED && model->engine != CONFIG_ENGINE_VLLM) {
        return;
    }
    /* A server falls asleep in one way, and only a process of our own can be ended. */
    uint32_t sleeping = 1u << (model->sleep_level == 2 ? SHUNT_TIER_DISCARDED : SHUNT_TIER_ASLEEP);
    uint32_t own = is_ours(model) ? 1u << SHUNT_TIER_STOPPED : 0;
    *ret_edges = (struct layout_edges){.tiers = sleeping | own, .edges_in = sleeping | own};
}

static void map_edges(const struct config_model *model, const struct layout_edges *edges,
                      struct core_instance_config *ret)
{
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < model->tiers.count; i++) {
        wanted |= 1u << model->tiers.tier[i];
    }
    ret->tiers = wanted & edges->tiers;
    /* A server that is attached to can be tried again whatever became of it. */
    ret->edges_in = edges->edges_in | (is_ours(model) ? 0 : 1u << SHUNT_TIER_STOPPED);
    ret->edges_prefetch = edges->edges_prefetch;
}

static void map_instance(const struct config_model *model, uint32_t device,
                         struct core_instance_config *ret)
{
    struct layout_edges edges;
    layout_edges_of(model, &edges);
    *ret = (struct core_instance_config){
        .device = device, .tier = SHUNT_TIER_STOPPED, .pinned = model->pin};
    map_edges(model, &edges, ret);
    for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
        int64_t on_device = model->memory.bytes[t];
        int64_t in_host = model->host_memory.bytes[t];
        ret->device_bytes[t] = on_device > 0 ? on_device : 0;
        ret->host_bytes[t] = in_host > 0 ? in_host : 0;
    }
}

static void map_model(const struct config_model *model, struct core_model_config *ret)
{
    uint64_t key = XXH3_64bits(model->name, strlen(model->name));
    *ret = (struct core_model_config){.key = key ? key : 1,
                                      .max_concurrency = (uint32_t)model->max_concurrency,
                                      .queue_max = (uint32_t)model->queue_max,
                                      .max_wait_ns = model->max_wait_ns,
                                      .service_limit_ns = model->service_limit_ns,
                                      .idle_unload_ns = model->idle_unload_ns,
                                      .weight = model->weight,
                                      .reject_hopeless = model->reject_hopeless};
}

static void map_devices(struct layout *layout)
{
    const struct config_cell *cell = layout->cell;
    layout->device_count = cell->devices.count;
    for (uint32_t i = 0; i < cell->devices.count; i++) {
        const struct config_device *device = &layout->config->devices[cell->device[i]];
        layout->devices[i] = device;
        layout->core_devices[i] = (struct core_device_config){
            .memory_bytes = device->memory_bytes,
            /* -1: a link of its own, out of the way of the numbered ones. */
            .link = device->link >= 0 ? (uint32_t)device->link : 256 + i,
            .up = 1};
    }
}

static int map_models(struct layout *layout, char *err, size_t err_size)
{
    const struct config *config = layout->config;
    for (uint32_t m = 0; m < config->model_count; m++) {
        const struct config_model *model = &config->models[m];
        if (!model_is_here(model, layout->cell)) {
            continue;
        }
        if (model->memory.automatic) {
            (void)snprintf(err, err_size,
                           "%s:%u: models[%s].memory_gib: \"auto\" needs a GPU that can be asked; "
                           "give the figures",
                           config->file, model->line, model->name);
            return -EINVAL;
        }
        uint32_t index = layout->model_count++;
        struct core_model_config *to = &layout->core_models[index];
        layout->models[index] = model;
        layout->names[index] = model->name;
        map_model(model, to);
        to->instances = &layout->core_instances[layout->instance_count];
        for (uint32_t p = 0; p < model->placements.count; p++) {
            uint32_t device = cell_device(layout->cell, model->placements.item[p].device);
            if (device == CORE_NONE) {
                (void)snprintf(err, err_size,
                               "%s:%u: models[%s].devices: device %s is in another cell than the "
                               "first; a model lives in one cell",
                               config->file, model->line, model->name,
                               config->devices[model->placements.item[p].device].name);
                return -EINVAL;
            }
            struct layout_instance *instance = &layout->instances[layout->instance_count];
            instance->model = index;
            instance->device = device;
            (void)snprintf(instance->key, sizeof(instance->key), "%s@%s", model->name,
                           layout->devices[device]->name);
            map_instance(model, device, &layout->core_instances[layout->instance_count++]);
            to->instance_count++;
        }
    }
    if (layout->model_count == 0) {
        (void)snprintf(err, err_size, "%s:%u: cells[%s]: no model has a device of it", config->file,
                       layout->cell->line, layout->cell->name);
        return -EINVAL;
    }
    return 0;
}

int layout_create(const struct config *config, uint32_t index, struct layout **ret_layout,
                  char *err, size_t err_size)
{
    uint32_t placements = 0;
    for (uint32_t m = 0; m < config->model_count; m++) {
        placements += config->models[m].placements.count;
    }
    struct layout *layout = calloc(1, sizeof(*layout));
    if (!layout) {
        return -ENOMEM;
    }
    layout->config = config;
    layout->cell = &config->cells[index];
    layout->models = calloc(config->model_count + 1u, sizeof(*layout->models));
    layout->names = calloc(config->model_count + 1u, sizeof(*layout->names));
    layout->devices = calloc(config->device_count + 1u, sizeof(*layout->devices));
    layout->instances = calloc(placements + 1u, sizeof(*layout->instances));
    layout->core_models = calloc(config->model_count + 1u, sizeof(*layout->core_models));
    layout->core_devices = calloc(config->device_count + 1u, sizeof(*layout->core_devices));
    layout->core_instances = calloc(placements + 1u, sizeof(*layout->core_instances));
    int rc = -ENOMEM;
    if (layout->models && layout->names && layout->devices && layout->instances &&
        layout->core_models && layout->core_devices && layout->core_instances) {
        map_devices(layout);
        rc = map_models(layout, err, err_size);
    } else {
        (void)snprintf(err, err_size, "out of memory");
    }
    if (rc) {
        layout_destroy(layout);
        return rc;
    }
    const struct config_guard *guard = &config->guard;
    layout->core =
        (struct core_config){.model_count = layout->model_count,
                             .device_count = layout->device_count,
                             .models = layout->core_models,
                             .devices = layout->core_devices,
                             .host_memory_bytes = automatic_is_zero(config->host_memory_bytes),
                             .failed_backoff_ns = guard->quarantine_ns,
                             .retries_max = (uint32_t)guard->retries_max};
    map_guard(guard, &layout->core.guard);
    *ret_layout = layout;
    return 0;
}

void layout_destroy(struct layout *layout)
{
    if (!layout) {
        return;
    }
    free((void *)layout->models);
    free((void *)layout->names);
    free((void *)layout->devices);
    free(layout->instances);
    free(layout->core_models);
    free(layout->core_devices);
    free(layout->core_instances);
    free(layout);
}

void layout_set_edges(struct layout *layout, uint32_t instance, const struct layout_edges *edges)
{
    const struct config_model *model = layout->models[layout->instances[instance].model];
    map_edges(model, edges, &layout->core_instances[instance]);
}

void layout_set_tier(struct layout *layout, uint32_t instance, uint32_t tier)
{
    layout->core_instances[instance].tier = tier;
}

int layout_find(const struct layout *layout, const char *key, uint32_t *ret_instance)
{
    for (uint32_t i = 0; i < layout->instance_count; i++) {
        if (strcmp(layout->instances[i].key, key) == 0) {
            *ret_instance = i;
            return 0;
        }
    }
    return -ENOENT;
}

void layout_explain(const struct layout *layout, const struct core_config_error *error, char *out,
                    size_t size)
{
    const struct config *config = layout->config;
    if (error->model < layout->model_count) {
        (void)snprintf(out, size, "%s:%u: models[%s]: %s", config->file,
                       layout->models[error->model]->line, layout->names[error->model],
                       error->what);
    } else if (error->device < layout->device_count) {
        (void)snprintf(out, size, "%s:%u: devices[%s]: %s", config->file,
                       layout->devices[error->device]->line, layout->devices[error->device]->name,
                       error->what);
    } else {
        (void)snprintf(out, size, "%s: %s", config->file, error->what);
    }
}
