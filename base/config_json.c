/* What of a configuration concerns the core, as JSON: see config_core_json. */
#include "base/config_priv.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static json_t *number(int64_t value, const struct config_info *info)
{
    return info->flags & CONFIG_AUTO && value == CONFIG_AUTOMATIC
               ? json_string("auto")
               : json_real((double)value / config_unit_scale(info->unit));
}

static json_t *choice(uint32_t value, const char *choices)
{
    for (; value > 0; value--) {
        choices = strchr(choices, '|') + 1;
    }
    return json_stringn(choices, strcspn(choices, "|"));
}

static json_t *strings(const struct config_strings *list)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < list->count; i++) {
        (void)json_array_append_new(array, json_string(list->item[i]));
    }
    return array;
}

static json_t *tiers(const struct config_tiers *list)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < list->count; i++) {
        (void)json_array_append_new(array, json_string(config_tier_name(list->tier[i])));
    }
    return array;
}

static json_t *memory(const struct config_memory *bytes, const struct config_info *info)
{
    if (bytes->automatic) {
        return json_string("auto");
    }
    json_t *object = json_object();
    for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
        if (bytes->bytes[t] >= 0) {
            (void)json_object_set_new(
                object, config_tier_name(t),
                json_real((double)bytes->bytes[t] / config_unit_scale(info->unit)));
        }
    }
    return object;
}

/* NULL: not to be said. */
static json_t *value_json(const struct config_info *info, const void *member)
{
    switch (info->kind) {
    case CONFIG_KIND_BOOL:
        return json_boolean(*(const bool *)member);
    case CONFIG_KIND_INT:
        return info->flags & CONFIG_AUTO && *(const int64_t *)member == CONFIG_AUTOMATIC
                   ? json_string("auto")
                   : json_integer(*(const int64_t *)member);
    case CONFIG_KIND_REAL:
        return json_real(*(const double *)member);
    case CONFIG_KIND_STRING:
        return json_string(*(const char *const *)member);
    case CONFIG_KIND_STRINGS:
        return strings(member);
    case CONFIG_KIND_ENUM:
        return choice(*(const uint32_t *)member, info->unit);
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_BYTES:
        return number(*(const int64_t *)member, info);
    case CONFIG_KIND_TIERS:
        return ((const struct config_tiers *)member)->count ? tiers(member) : NULL;
    case CONFIG_KIND_MEMORY: {
        json_t *object = memory(member, info);
        if (json_is_object(object) && json_object_size(object) == 0) {
            json_decref(object);
            return NULL;
        }
        return object;
    }
    case CONFIG_KIND_PLACEMENTS:
    case CONFIG_KIND_PARAMS:
        break;
    }
    return NULL;
}

static json_t *group_json(enum config_group_id id, const void *group)
{
    json_t *object = json_object();
    for (size_t i = 0; i < config_groups[id].info_count; i++) {
        const struct config_info *info = &config_groups[id].info[i];
        json_t *value =
            info->flags & CONFIG_CORE ? value_json(info, (const char *)group + info->offset) : NULL;
        if (value) {
            (void)json_object_set_new(object, info->key, value);
        }
    }
    return object;
}

static bool in_cell(const struct config_cell *cell, uint32_t device)
{
    for (uint32_t i = 0; i < cell->devices.count; i++) {
        if (cell->device[i] == device) {
            return true;
        }
    }
    return false;
}

/* Models belong to the cell of their first device; the devices are said by placements. */
static json_t *models_json(const struct config *config, const struct config_cell *cell)
{
    json_t *list = json_array();
    for (uint32_t m = 0; m < config->model_count; m++) {
        const struct config_model *model = &config->models[m];
        if (model->placements.count == 0 || !in_cell(cell, model->placements.item[0].device)) {
            continue;
        }
        json_t *object = group_json(CONFIG_GROUP_MODEL, model), *devices = json_array();
        for (uint32_t i = 0; i < model->placements.count; i++) {
            const struct config_device *device = &config->devices[model->placements.item[i].device];
            (void)json_array_append_new(devices, json_string(device->name));
        }
        (void)json_object_set_new(object, "devices", devices);
        (void)json_array_append_new(list, object);
    }
    return list;
}

char *config_core_json(const struct config *config, uint32_t index)
{
    const struct config_cell *cell = &config->cells[index];
    json_t *root = group_json(CONFIG_GROUP_TOP, config), *devices = json_array();
    for (uint32_t i = 0; i < cell->devices.count; i++) {
        (void)json_array_append_new(
            devices, group_json(CONFIG_GROUP_DEVICE, &config->devices[cell->device[i]]));
    }
    (void)json_object_set_new(root, "devices", devices);
    (void)json_object_set_new(root, "models", models_json(config, cell));
    (void)json_object_set_new(root, "limits", group_json(CONFIG_GROUP_LIMITS, &config->limits));
    (void)json_object_set_new(root, "guard", group_json(CONFIG_GROUP_GUARD, &config->guard));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}
