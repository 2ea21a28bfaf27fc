/*
 * Those parts of a YAML file that say what shunt.cfg says, as values: what concerns the core, each
 * with its line and column. Keys that it does not take are left for the caller.
 */
#include "base/config_priv.h"
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>

static struct config_value *value_new(struct config_reader *reader, const struct yaml_node *node)
{
    struct config_value *value = config_alloc(reader, 1, sizeof *value);
    if (value) {
        value->at = (struct config_mark){node->line, node->column};
        value->name = node->key ? config_copy(reader, node->key) : "";
    }
    return value;
}

static void value_scalar(struct config_reader *reader, struct yaml *yaml,
                         const struct yaml_node *node, struct config_value *value)
{
    if (yaml_is_null(node)) {
        value->kind = CONFIG_VALUE_NOTHING;
        return;
    }
    value->text = config_copy(reader, node->text);
    if (yaml_node_int(yaml, node, "", INT64_MIN, INT64_MAX, &value->integer) == 0) {
        value->kind = CONFIG_VALUE_INT;
        value->real = (double)value->integer;
    } else if (yaml_node_real(yaml, node, "", -1e300, 1e300, &value->real) == 0) {
        value->kind = CONFIG_VALUE_REAL;
    } else if (yaml_node_bool(yaml, node, "", &value->yes) == 0) {
        value->kind = CONFIG_VALUE_BOOL;
    } else {
        value->kind = CONFIG_VALUE_TEXT;
    }
}

/* A whole node; the depth is bounded by YAML_DEPTH_MAX. */
static struct config_value *value_tree(struct config_reader *reader, struct yaml *yaml,
                                       struct yaml_node *node)
{
    struct config_value *value = value_new(reader, node);
    if (!value) {
        return NULL;
    }
    node->used = true;
    if (node->kind == YAML_SCALAR) {
        value_scalar(reader, yaml, node, value);
        return value;
    }
    value->kind = node->kind == YAML_MAPPING ? CONFIG_VALUE_GROUP : CONFIG_VALUE_LIST;
    struct config_value **last = &value->child;
    for (struct yaml_node *child = node->child; child; child = child->next) {
        *last = value_tree(reader, yaml, child);
        if (!*last) {
            return NULL;
        }
        last = &(*last)->next;
        value->count++;
    }
    return value;
}

/* Appends to a group. */
static void value_add(struct config_value *group, struct config_value *child)
{
    if (!group || !child) {
        return;
    }
    struct config_value **last = &group->child;
    while (*last) {
        last = &(*last)->next;
    }
    *last = child;
    group->count++;
}

/* The settings of one group that concern the core. */
static struct config_value *value_group(struct config_reader *reader, struct yaml *yaml,
                                        enum config_group_id id, struct yaml_node *map)
{
    if (map->kind != YAML_MAPPING) {
        return value_tree(reader, yaml, map);
    }
    struct config_value *group = value_new(reader, map);
    if (!group) {
        return NULL;
    }
    group->kind = CONFIG_VALUE_GROUP;
    for (size_t i = 0; i < config_groups[id].info_count; i++) {
        const struct config_info *info = &config_groups[id].info[i];
        struct yaml_node *node = info->flags & CONFIG_CORE ? yaml_get(map, info->key) : NULL;
        if (node) {
            value_add(group, value_tree(reader, yaml, node));
        }
    }
    return group;
}

static struct config_value *value_groups(struct config_reader *reader, struct yaml *yaml,
                                         enum config_group_id id, struct yaml_node *list)
{
    if (list->kind != YAML_SEQUENCE) {
        return value_tree(reader, yaml, list);
    }
    struct config_value *value = value_new(reader, list);
    if (!value) {
        return NULL;
    }
    value->kind = CONFIG_VALUE_LIST;
    struct config_value **last = &value->child;
    for (struct yaml_node *node = list->child; node; node = node->next) {
        *last = value_group(reader, yaml, id, node);
        if (!*last) {
            return NULL;
        }
        last = &(*last)->next;
        value->count++;
    }
    return value;
}

/* limits, guard: one group, empty where the file has none. */
static struct config_value *value_single(struct config_reader *reader,
                                         const struct config_yaml *from, enum config_group_id id,
                                         struct yaml_node *map)
{
    struct config_value *value = NULL;
    if (map) {
        value = value_group(reader, from->yaml, id, map);
    } else {
        value = config_alloc(reader, 1, sizeof *value);
        if (value) {
            value->kind = CONFIG_VALUE_GROUP;
        }
    }
    if (value) {
        value->name = config_groups[id].name;
    }
    return value;
}

static struct config_value *value_root(struct config_reader *reader, const struct config_yaml *from)
{
    struct config_value *root = value_group(reader, from->yaml, CONFIG_GROUP_TOP, from->root);
    if (!root || root->kind != CONFIG_VALUE_GROUP) {
        return root;
    }
    static const enum config_group_id lists[] = {CONFIG_GROUP_DEVICE, CONFIG_GROUP_MODEL};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct yaml_node *list = yaml_get(from->root, config_groups[lists[i]].name);
        if (list) {
            value_add(root, value_groups(reader, from->yaml, lists[i], list));
        }
    }
    value_add(root,
              value_single(reader, from, CONFIG_GROUP_LIMITS, yaml_get(from->root, "limits")));
    struct config_value *guard = value_single(reader, from, CONFIG_GROUP_GUARD, from->guard);
    if (from->min_residence_s && guard) {
        struct config_value *least = value_tree(reader, from->yaml, from->min_residence_s);
        if (config_value_get(guard, "min_residence_s")) {
            config_error(reader, least ? least->at : guard->at,
                         "min_residence_s: is in guard, too; take one away");
        }
        value_add(guard, least);
    }
    value_add(root, guard);
    return root;
}

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

/* Room for what is there, and no more: a scenario is not reloaded. */
static void derive_limits(struct config_reader *reader, bool derived)
{
    struct config *config = reader->config;
    struct config_limits *limits = &config->limits;
    limits->models_max = config->model_count ? config->model_count : 1;
    limits->devices_max = config->device_count ? config->device_count : 1;
    int64_t queued = 0, in_flight = 0;
    for (uint32_t m = 0; m < config->model_count; m++) {
        const struct config_model *model = &config->models[m];
        uint32_t places = model->placements.count ? model->placements.count
                          : model->devices.count  ? model->devices.count
                                                  : config->device_count;
        queued += model->queue_max;
        in_flight += model->max_concurrency * places;
    }
    const struct config_info *info = config_info_find(CONFIG_GROUP_LIMITS, "queued_max");
    if (derived && queued > 0 && config_noted(reader, "limits.queued_max").line == 0) {
        limits->queued_max = at_most(queued, (int64_t)info->max);
    }
    info = config_info_find(CONFIG_GROUP_LIMITS, "in_flight_max");
    if (derived && in_flight > 0 && config_noted(reader, "limits.in_flight_max").line == 0) {
        limits->in_flight_max = at_most(in_flight, (int64_t)info->max);
    }
}

int config_from_yaml(const struct config_yaml *from, const char *name, struct config **ret_config,
                     struct config_errors *errors)
{
    struct config_reader reader;
    int result = config_begin(&reader, name, errors);
    if (result) {
        return result;
    }
    reader.yaml = true;
    reader.tiers = from->tiers;
    const struct config_value *root = value_root(&reader, from);
    if (root && errors->count == 0) {
        config_read_tree(&reader, root);
        derive_limits(&reader, from->limits_derived);
    }
    if (root && !reader.out_of_memory && errors->count == 0) {
        config_check(&reader);
    }
    return config_finish(&reader, ret_config);
}
