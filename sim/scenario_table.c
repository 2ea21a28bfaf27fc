/* The table of a scenario's own keys as data, and getters that follow it. */
#include "sim/scenario_priv.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct scenario_key scenario_keys[] = {
#define SCENARIO_KEY(group, key, kind, min, max, value, unit, doc)                                 \
    {group, key, SCENARIO_KEY_##kind, min, max, value, unit, doc},
#include "sim/scenario.def"
};
const size_t scenario_key_count = sizeof scenario_keys / sizeof *scenario_keys;

const struct scenario_group scenario_groups[] = {
#define SCENARIO_GROUP(group, doc) {group, doc},
#include "sim/scenario.def"
};
const size_t scenario_group_count = sizeof scenario_groups / sizeof *scenario_groups;

static const struct scenario_key *key_find(const char *group, const char *key)
{
    for (size_t i = 0; i < scenario_key_count; i++) {
        if (strcmp(scenario_keys[i].key, key) == 0 && strcmp(scenario_keys[i].group, group) == 0) {
            return &scenario_keys[i];
        }
    }
    assert(!"a key that is not in scenario.def");
    return NULL;
}

/* What is to be done about the result RC of a getter: an absent key is an error if required. */
static int absent(struct scenario_reader *reader, struct yaml_node *map,
                  const struct scenario_key *key)
{
    if (key->value) {
        return 0;
    }
    assert(map);
    return yaml_fail(reader->yaml, map, "%s is missing: %s", key->key, key->doc);
}

int scenario_text(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                  const char *key, const char **ret_value)
{
    const struct scenario_key *info = key_find(group, key);
    const char *text = NULL;
    int rc = map ? yaml_string(reader->yaml, map, key, &text) : -ENOENT;
    if (rc == -ENOENT) {
        if (info->value && info->value[0]) {
            *ret_value = info->value;
        }
        return absent(reader, map, info);
    }
    if (rc) {
        return rc;
    }
    size_t length = strlen(text);
    if (!((double)length >= info->min && (double)length <= info->max)) {
        return yaml_fail(reader->yaml, yaml_get(map, key), "%s: has %zu bytes; wants %g to %g", key,
                         length, info->min, info->max);
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            return yaml_fail(reader->yaml, yaml_get(map, key), "%s: holds a control character",
                             key);
        }
    }
    const char *copy = scenario_copy(reader, text);
    if (!copy) {
        return -ENOMEM;
    }
    *ret_value = copy;
    return 0;
}

/* Index of a choice in "a|b|c". */
static uint32_t choice_index(const char *choices, const char *text)
{
    size_t length = strlen(text);
    uint32_t index = 0;
    for (const char *at = choices;; index++) {
        size_t span = strcspn(at, "|");
        if (span == length && memcmp(at, text, length) == 0) {
            return index;
        }
        assert(at[span] == '|');
        at += span + 1;
    }
}

int scenario_choice(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                    const char *key, uint32_t *ret_value)
{
    const struct scenario_key *info = key_find(group, key);
    int rc = map ? yaml_choice(reader->yaml, map, key, info->unit, ret_value) : -ENOENT;
    if (rc != -ENOENT) {
        return rc;
    }
    if (info->value && info->value[0]) {
        *ret_value = choice_index(info->unit, info->value);
    }
    return absent(reader, map, info);
}

int scenario_real(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                  const char *key, double *ret_value)
{
    const struct scenario_key *info = key_find(group, key);
    int rc = map ? yaml_real(reader->yaml, map, key, info->min, info->max, ret_value) : -ENOENT;
    if (rc != -ENOENT) {
        return rc;
    }
    if (info->value && info->value[0]) {
        *ret_value = strtod(info->value, NULL);
    }
    return absent(reader, map, info);
}

int scenario_int(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                 const char *key, int64_t *ret_value)
{
    const struct scenario_key *info = key_find(group, key);
    int rc =
        map ? yaml_int(reader->yaml, map, key, (int64_t)info->min, (int64_t)info->max, ret_value)
            : -ENOENT;
    if (rc != -ENOENT) {
        return rc;
    }
    if (info->value && info->value[0]) {
        *ret_value = strtoll(info->value, NULL, 10);
    }
    return absent(reader, map, info);
}

static double scale_of(const struct scenario_key *info)
{
    return info->kind == SCENARIO_KEY_PICO ? 1e12 : 1e9;
}

int scenario_time(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                  const char *key, int64_t *ret_value)
{
    const struct scenario_key *info = key_find(group, key);
    double value = -1;
    int rc = scenario_real(reader, map, group, key, &value);
    if (rc == 0 && value >= 0) {
        *ret_value = (int64_t)llround(value * scale_of(info));
    }
    return rc;
}

int scenario_map(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                 const char *key, struct yaml_node **ret_map)
{
    *ret_map = NULL;
    int rc = map ? yaml_mapping(reader->yaml, map, key, ret_map) : -ENOENT;
    return rc == -ENOENT ? absent(reader, map, key_find(group, key)) : rc;
}

int scenario_list(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                  const char *key, struct yaml_node **ret_list)
{
    *ret_list = NULL;
    const struct scenario_key *info = key_find(group, key);
    int rc = map ? yaml_sequence(reader->yaml, map, key, ret_list) : -ENOENT;
    if (rc == -ENOENT) {
        return absent(reader, map, info);
    }
    if (rc == 0 && info->kind == SCENARIO_KEY_LIST && (double)(*ret_list)->count > info->max) {
        return yaml_fail(reader->yaml, *ret_list, "%s: has %u entries; %.0f are the most", key,
                         (*ret_list)->count, info->max);
    }
    return rc;
}

int scenario_times(struct scenario_reader *reader, struct yaml_node *list, const char *group,
                   const char *key, uint32_t count, int64_t *ret_value)
{
    const struct scenario_key *info = key_find(group, key);
    if (list->kind != YAML_SEQUENCE || list->count != count) {
        return yaml_fail(reader->yaml, list, "%s: wants a list of %u times, one for each model",
                         key, count);
    }
    for (const struct yaml_node *node = list->child; node; node = node->next) {
        double value = 0;
        int rc = yaml_node_real(reader->yaml, node, key, info->min, info->max, &value);
        if (rc) {
            return rc;
        }
        *ret_value++ = (int64_t)llround(value * scale_of(info));
    }
    return 0;
}

int scenario_find_model(struct scenario_reader *reader, const struct yaml_node *node,
                        const char *name, uint32_t *ret_model)
{
    const struct config *config = reader->scenario->config;
    for (uint32_t m = 0; m < config->model_count; m++) {
        if (strcmp(config->models[m].name, name) == 0) {
            *ret_model = m;
            return 0;
        }
    }
    return yaml_fail(reader->yaml, node, "there is no model \"%.60s\"", name);
}

int scenario_find_device(struct scenario_reader *reader, const struct yaml_node *node,
                         const char *name, uint32_t *ret_device)
{
    const struct config *config = reader->scenario->config;
    for (uint32_t d = 0; d < config->device_count; d++) {
        if (strcmp(config->devices[d].name, name) == 0) {
            *ret_device = d;
            return 0;
        }
    }
    return yaml_fail(reader->yaml, node, "there is no device \"%.60s\"", name);
}
