/*
 * The configuration of one cell in the words of the core: which models, devices and placements it
 * has, and what they weigh. Host and simulator both configure their core through it, so that what
 * is simulated is what is run. Pure: reads the configuration, touches nothing else.
 */
#ifndef BASE_LAYOUT_H
#define BASE_LAYOUT_H

#include "base/config.h"
#include "core/core.h"

enum { LAYOUT_KEY_MAX = 400 };

struct layout_instance {
    uint32_t model;           /* in the cell */
    uint32_t device;          /* in the cell */
    char key[LAYOUT_KEY_MAX]; /* MODEL@DEVICE: names the engine's process */
};

struct layout {
    const struct config *config;
    const struct config_cell *cell;
    struct core_config core; /* what core_configure takes; points into the rest */
    uint32_t model_count;
    uint32_t device_count;
    uint32_t instance_count;
    const struct config_model **models;   /* by the cell's index */
    const struct config_device **devices; /* likewise */
    const char **names;                   /* of the models */
    struct layout_instance *instances;    /* in the core's order: by model, then by placement */
    struct core_model_config *core_models;
    struct core_device_config *core_devices;
    struct core_instance_config *core_instances;
};

/* Maps cell `index` of the configuration, which must outlive the layout. Every instance begins
 * STOPPED; layout_set_tier says otherwise. -EINVAL with one line in `err`, -ENOMEM. */
int layout_create(const struct config *config, uint32_t index, struct layout **ret_layout,
                  char *err, size_t err_size);
void layout_destroy(struct layout *layout);

/* Tiers that an engine can be put into, and the ways back from them: bits of SHUNT_TIER_*. */
struct layout_edges {
    uint32_t tiers;
    uint32_t edges_in;
    uint32_t edges_prefetch;
};

/* Those of the driver that the model's engine has; none for an engine this version has no driver
 * for. What layout_create gives every instance. */
void layout_edges_of(const struct config_model *model, struct layout_edges *ret_edges);

/* Other edges, for a driver of its own: of the tiers, those that the model wants are taken. */
void layout_set_edges(struct layout *layout, uint32_t instance, const struct layout_edges *edges);

/* Where an instance is at start. */
void layout_set_tier(struct layout *layout, uint32_t instance, uint32_t tier);

/* Index of the instance with that key, or -ENOENT. */
int layout_find(const struct layout *layout, const char *key, uint32_t *ret_instance);

/* The core's limits for a cell of this configuration. */
void layout_limits(const struct config *config, struct core_limits *ret_limits);

/* "FILE:LINE: models[NAME]: what" for a refusal of the core. */
void layout_explain(const struct layout *layout, const struct core_config_error *error, char *out,
                    size_t size);

#endif
