/*
 * Reads the values of a file, whatever its syntax, into the tree of config.h, setting by setting
 * after the table. What concerns more than one setting is judged in config_check.c. It does not
 * log, and it keeps nothing outside the tree.
 */
#include "base/config_priv.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_BYTES_MAX = 256, /* of "models[1].memory_gib.resident" */
    STRING_SHOWN_MAX = 60 /* bytes of a wrong value that a message repeats */
};

/* ------------------------------------------------------------------ values */

const struct config_value *config_value_get(const struct config_value *group, const char *name)
{
    if (!group || group->kind != CONFIG_VALUE_GROUP) {
        return NULL;
    }
    for (const struct config_value *one = group->child; one; one = one->next) {
        if (strcmp(one->name, name) == 0) {
            return one;
        }
    }
    return NULL;
}

/* What a value is, or what is wanted, in the words of the file's syntax. */
static const char *words(const struct config_reader *reader, const char *in_config,
                         const char *in_yaml)
{
    return reader->yaml ? in_yaml : in_config;
}

static const char *type_name(const struct config_reader *reader, const struct config_value *value)
{
    switch (value->kind) {
    case CONFIG_VALUE_INT:
    case CONFIG_VALUE_REAL:
        return "a number";
    case CONFIG_VALUE_TEXT:
        return "text";
    case CONFIG_VALUE_BOOL:
        return "true or false";
    case CONFIG_VALUE_GROUP:
        return words(reader, "a group { }", "a mapping");
    case CONFIG_VALUE_ARRAY:
        return "an array [ ]";
    case CONFIG_VALUE_LIST:
        return words(reader, "a list ( )", "a list");
    case CONFIG_VALUE_NOTHING:
        break;
    }
    return "nothing";
}

static void wrong_type(struct config_reader *reader, const struct config_value *setting,
                       const char *path, const char *wanted)
{
    config_error(reader, setting->at, "%s: wants %s, not %s", path, wanted,
                 type_name(reader, setting));
}

static bool is_number(const struct config_value *value)
{
    return value->kind == CONFIG_VALUE_INT || value->kind == CONFIG_VALUE_REAL;
}

static bool is_text(const struct config_value *value, const char *text)
{
    return value->text && strcmp(value->text, text) == 0;
}

static bool in_range(struct config_reader *reader, struct config_mark at, const char *path,
                     const struct config_info *info, double value)
{
    /* Written so that NaN is out of range. */
    if (value >= info->min && value <= info->max) {
        return true;
    }
    config_error(reader, at, "%s: %.9g is out of range; wants %.9g to %.12g%s%s", path, value,
                 info->min, info->max, info->unit[0] ? " " : "", info->unit);
    return false;
}

static void store_number(const struct config_info *info, double value, void *member)
{
    if (info->kind == CONFIG_KIND_REAL) {
        *(double *)member = value;
    } else {
        *(int64_t *)member = (int64_t)llround(value * config_unit_scale(info->unit));
    }
}

static void read_number(struct config_reader *reader, const struct config_value *setting,
                        const char *path, const struct config_info *info, void *member)
{
    if ((info->flags & CONFIG_AUTO) && is_text(setting, "auto")) {
        *(int64_t *)member = CONFIG_AUTOMATIC;
        return;
    }
    if ((info->flags & CONFIG_NONE) && is_text(setting, "none")) {
        *(int64_t *)member = 0;
        return;
    }
    if (reader->yaml && (info->flags & CONFIG_UNLIMITED) && is_text(setting, "unlimited")) {
        store_number(info, info->max, member);
        return;
    }
    bool whole = info->kind == CONFIG_KIND_INT;
    if (!is_number(setting) || (whole && setting->kind == CONFIG_VALUE_REAL)) {
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, "a %snumber%s", whole ? "whole " : "",
                       info->flags & CONFIG_AUTO   ? " or \"auto\""
                       : info->flags & CONFIG_NONE ? " or \"none\""
                                                   : "");
        if (is_number(setting)) {
            config_error(reader, setting->at, "%s: wants %s, not %.9g", path, wanted,
                         setting->real);
        } else {
            wrong_type(reader, setting, path, wanted);
        }
        return;
    }
    double value = setting->real;
    if (in_range(reader, setting->at, path, info, value)) {
        store_number(info, value, member);
    }
}

/* Text without control characters, of legal length; NULL after an error. */
static const char *read_text(struct config_reader *reader, const struct config_value *setting,
                             const char *path, size_t min, size_t max)
{
    const char *text = setting->text;
    if (!text) {
        wrong_type(reader, setting, path, words(reader, "text in quotes", "text"));
        return NULL;
    }
    size_t length = strlen(text);
    if (length < min || length > max) {
        config_error(reader, setting->at, "%s: has %zu bytes; wants %zu to %zu", path, length, min,
                     max);
        return NULL;
    }
    for (const char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c)) {
            config_error(reader, setting->at, "%s: holds a control character", path);
            return NULL;
        }
    }
    return config_copy(reader, text);
}

/* Index of `text` in "a|b|c", or -ENOENT. */
static int choice_find(const char *choices, const char *text)
{
    size_t length = strlen(text);
    int index = 0;
    for (const char *at = choices;; index++) {
        size_t span = strcspn(at, "|");
        if (span == length && strncmp(at, text, length) == 0) {
            return index;
        }
        if (at[span] == '\0') {
            return -ENOENT;
        }
        at += span + 1;
    }
}

static void read_enum(struct config_reader *reader, const struct config_value *setting,
                      const char *path, const struct config_info *info, uint32_t *member)
{
    const char *text = setting->text;
    if (!text) {
        wrong_type(reader, setting, path, info->unit);
        return;
    }
    int index = choice_find(info->unit, text);
    if (index < 0) {
        config_error(reader, setting->at, "%s: \"%.*s\" is not one of %s", path, STRING_SHOWN_MAX,
                     text, info->unit);
        return;
    }
    *member = (uint32_t)index;
}

static bool is_sequence(const struct config_value *setting)
{
    return setting->kind == CONFIG_VALUE_ARRAY || setting->kind == CONFIG_VALUE_LIST;
}

static void read_strings(struct config_reader *reader, const struct config_value *setting,
                         const char *path, const struct config_info *info,
                         struct config_strings *member)
{
    bool single = setting->text != NULL;
    if (!single && !is_sequence(setting)) {
        wrong_type(reader, setting, path, "a list of strings");
        return;
    }
    int count = single ? 1 : (int)setting->count;
    if (count < (int)info->min || count > (int)info->max) {
        config_error(reader, setting->at, "%s: has %d entries; wants %.0f to %.0f", path, count,
                     info->min, info->max);
        return;
    }
    const char **item = config_alloc(reader, (size_t)count + 1, sizeof *item);
    if (!item) {
        return;
    }
    const struct config_value *one = single ? setting : setting->child;
    for (int i = 0; i < count; i++) {
        char place[PATH_BYTES_MAX];
        (void)snprintf(place, sizeof place, "%.200s[%d]", path, i);
        item[i] = read_text(reader, one, single ? path : place, 0, 65536);
        if (!item[i]) {
            return;
        }
        one = one->next;
    }
    *member = (struct config_strings){item, (uint32_t)count};
}

static void read_tiers(struct config_reader *reader, const struct config_value *setting,
                       const char *path, struct config_tiers *member)
{
    const char *text = setting->text;
    if (text && strcmp(text, "auto") == 0) {
        member->count = 0;
        return;
    }
    if (!is_sequence(setting) || setting->count < 1 || setting->count >= SHUNT_TIER_COUNT) {
        config_error(
            reader, setting->at,
            "%s: wants \"auto\" or a list of asleep, staged, discarded, suspended, stopped", path);
        return;
    }
    struct config_tiers tiers = {.count = 0};
    uint32_t i = 0;
    for (const struct config_value *one = setting->child; one; one = one->next, i++) {
        const char *name = one->text;
        int tier = name ? config_tier_find(name) : -ENOENT;
        bool again = false;
        for (uint32_t t = 0; t < tiers.count; t++) {
            again = again || tiers.tier[t] == (uint32_t)tier;
        }
        if (tier < 0 || tier == SHUNT_TIER_RESIDENT || again) {
            config_error(reader, setting->at, "%s[%u]: \"%.*s\" is %s", path, i, STRING_SHOWN_MAX,
                         name ? name : "",
                         again ? "there already"
                               : "not one of asleep, staged, discarded, suspended, stopped");
            return;
        }
        tiers.tier[tiers.count++] = (uint32_t)tier;
    }
    *member = tiers;
}

/* A number is that of `plain_tier`. */
static void read_memory(struct config_reader *reader, const struct config_value *setting,
                        const char *path, const struct config_info *info, uint32_t plain_tier,
                        struct config_memory *member)
{
    const char *text = setting->text;
    if (text && strcmp(text, "auto") == 0 && (info->flags & CONFIG_REQUIRED)) {
        member->automatic = true;
        return;
    }
    double scale = config_unit_scale(info->unit);
    if (is_number(setting)) {
        double value = setting->real;
        if (in_range(reader, setting->at, path, info, value)) {
            member->bytes[plain_tier] = (int64_t)llround(value * scale);
        }
        return;
    }
    if (setting->kind != CONFIG_VALUE_GROUP) {
        wrong_type(reader, setting, path,
                   words(reader, "a number or { resident = N; asleep = N; }",
                         "a number or {resident: N, asleep: N}"));
        return;
    }
    for (const struct config_value *one = setting->child; one; one = one->next) {
        char place[PATH_BYTES_MAX];
        (void)snprintf(place, sizeof place, "%.160s.%.60s", path, one->name);
        int tier = config_tier_find(one->name);
        if (tier < 0) {
            config_error(
                reader, one->at,
                "%s: there is no such tier; they are resident, asleep, suspended, discarded, "
                "staged, stopped",
                place);
        } else if (!is_number(one)) {
            wrong_type(reader, one, place, "a number");
        } else if (in_range(reader, one->at, place, info, one->real)) {
            member->bytes[tier] = (int64_t)llround(one->real * scale);
            config_note(reader, place, one->at);
        }
    }
}

/* Index of a device by name; -ENOENT after an error. */
static int read_device(struct config_reader *reader, const struct config_value *setting,
                       const char *path)
{
    const char *name = setting->text;
    if (!name) {
        wrong_type(reader, setting, path, "the name of a device");
        return -ENOENT;
    }
    for (uint32_t d = 0; d < reader->config->device_count; d++) {
        if (reader->config->devices[d].name && strcmp(reader->config->devices[d].name, name) == 0) {
            return (int)d;
        }
    }
    config_error(reader, setting->at,
                 "%s: there is no device \"%.*s\"; add it to devices or name "
                 "one of those",
                 path, STRING_SHOWN_MAX, name);
    return -ENOENT;
}

static void read_placements(struct config_reader *reader, const struct config_value *setting,
                            const char *path, const struct config_info *info,
                            struct config_placements *member)
{
    int count = is_sequence(setting) ? (int)setting->count : 0;
    if (count < 1 || count > (int)info->max) {
        config_error(reader, setting->at,
                     "%s: wants a list of 1 to %.0f device sets, ( [ \"gpu0\" ], [ \"gpu1\" ] )",
                     path, info->max);
        return;
    }
    struct config_placement *item = config_alloc(reader, (size_t)count, sizeof *item);
    const struct config_value *one = setting->child;
    for (int i = 0; item && i < count; i++, one = one->next) {
        char place[PATH_BYTES_MAX];
        (void)snprintf(place, sizeof place, "%.200s[%d]", path, i);
        const struct config_value *set = one;
        if (is_sequence(set)) {
            if (set->count != 1) {
                config_error(reader, set->at,
                             "%s: names %u devices; this version takes one device a placement",
                             place, set->count);
                return;
            }
            set = set->child;
        }
        int device = read_device(reader, set, place);
        if (device < 0) {
            return;
        }
        item[i].device = (uint32_t)device;
    }
    if (item) {
        *member = (struct config_placements){item, (uint32_t)count};
    }
}

/* The value of a parameter as params_apply wants it; false after an error. */
static bool param_text(struct config_reader *reader, const struct config_value *setting,
                       const char *path, char *text, size_t size)
{
    switch (setting->kind) {
    case CONFIG_VALUE_INT:
        (void)snprintf(text, size, "%lld", (long long)setting->integer);
        return true;
    case CONFIG_VALUE_REAL:
        /* The shortest text that reads back as the same number. */
        for (int digits = 15; digits <= 17; digits++) {
            (void)snprintf(text, size, "%.*g", digits, setting->real);
            if (strtod(text, NULL) == setting->real) {
                break;
            }
        }
        return true;
    case CONFIG_VALUE_BOOL:
        (void)snprintf(text, size, "%s", setting->yes ? "true" : "false");
        return true;
    case CONFIG_VALUE_TEXT:
        if (strlen(setting->text) >= size) {
            config_error(reader, setting->at, "%s: is longer than %zu bytes", path, size - 1);
            return false;
        }
        (void)snprintf(text, size, "%s", setting->text);
        return true;
    case CONFIG_VALUE_NOTHING:
    case CONFIG_VALUE_GROUP:
    case CONFIG_VALUE_ARRAY:
    case CONFIG_VALUE_LIST:
        break;
    }
    wrong_type(reader, setting, path, "a number, text, true or false, or an array of numbers");
    return false;
}

static bool param_vector(struct config_reader *reader, const struct config_value *setting,
                         const char *path, char *text, size_t size)
{
    size_t used = 0;
    text[used++] = '[';
    for (const struct config_value *one = setting->child; one; one = one->next) {
        char number[64];
        if (!is_number(one)) {
            wrong_type(reader, one, path, "numbers in the array");
            return false;
        }
        if (!param_text(reader, one, path, number, sizeof number)) {
            return false;
        }
        int got = snprintf(text + used, size - used, "%s%s", used > 1 ? " " : "", number);
        if (got < 0 || (size_t)got + 2 > size - used) {
            config_error(reader, setting->at, "%s: the array is too long", path);
            return false;
        }
        used += (size_t)got;
    }
    text[used++] = ']';
    text[used] = '\0';
    return true;
}

static void read_params(struct config_reader *reader, const struct config_value *setting,
                        const char *path, struct config_params *member)
{
    if (setting->kind != CONFIG_VALUE_GROUP) {
        wrong_type(reader, setting, path,
                   words(reader, "a group { NAME = VALUE; }", "a mapping {NAME: VALUE}"));
        return;
    }
    int count = (int)setting->count;
    if (count > CONFIG_PARAMS_MAX) {
        config_error(reader, setting->at, "%s: has %d entries; %d are the most", path, count,
                     CONFIG_PARAMS_MAX);
        return;
    }
    struct config_param *item = config_alloc(reader, (size_t)count + 1, sizeof *item);
    if (!item) {
        return;
    }
    const struct config_value *one = setting->child;
    for (int i = 0; i < count; i++, one = one->next) {
        char place[PATH_BYTES_MAX], text[512];
        (void)snprintf(place, sizeof place, "%.160s.%.60s", path, one->name);
        bool good = is_sequence(one) ? param_vector(reader, one, place, text, sizeof text)
                                     : param_text(reader, one, place, text, sizeof text);
        if (!good) {
            return;
        }
        item[i] = (struct config_param){config_copy(reader, one->name), config_copy(reader, text),
                                        one->at.line};
        config_note(reader, place, one->at);
    }
    *member = (struct config_params){item, (uint32_t)count};
}

static void read_value(struct config_reader *reader, const struct config_value *setting,
                       const char *path, const struct config_info *info, void *member)
{
    const char *text = NULL;
    switch (info->kind) {
    case CONFIG_KIND_BOOL:
        if (setting->kind == CONFIG_VALUE_BOOL) {
            *(bool *)member = setting->yes;
        } else {
            wrong_type(reader, setting, path, "true or false");
        }
        return;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_REAL:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_BYTES:
        read_number(reader, setting, path, info, member);
        return;
    case CONFIG_KIND_STRING:
        text = read_text(reader, setting, path, (size_t)info->min, (size_t)info->max);
        if (text) {
            *(const char **)member = text;
        }
        return;
    case CONFIG_KIND_STRINGS:
        read_strings(reader, setting, path, info, member);
        return;
    case CONFIG_KIND_ENUM:
        read_enum(reader, setting, path, info, member);
        return;
    case CONFIG_KIND_TIERS:
        read_tiers(reader, setting, path, member);
        return;
    case CONFIG_KIND_MEMORY:
        read_memory(reader, setting, path, info,
                    info->flags & CONFIG_REQUIRED ? SHUNT_TIER_RESIDENT : SHUNT_TIER_ASLEEP,
                    member);
        return;
    case CONFIG_KIND_PLACEMENTS:
        read_placements(reader, setting, path, info, member);
        return;
    case CONFIG_KIND_PARAMS:
        read_params(reader, setting, path, member);
        return;
    }
}

/* ------------------------------------------------------------------ defaults and groups */

static void set_default(struct config_reader *reader, const struct config_info *info, void *member)
{
    switch (info->kind) {
    case CONFIG_KIND_BOOL:
        *(bool *)member = strcmp(info->value, "true") == 0;
        return;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_REAL:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_BYTES:
        if (strcmp(info->value, "auto") == 0) {
            *(int64_t *)member = CONFIG_AUTOMATIC;
        } else {
            store_number(info, strtod(info->value, NULL), member);
        }
        return;
    case CONFIG_KIND_STRING:
        *(const char **)member = info->value;
        return;
    case CONFIG_KIND_STRINGS: {
        uint32_t count = info->value[0] ? 1 : 0;
        const char **item = config_alloc(reader, count + 1, sizeof *item);
        if (item) {
            item[0] = count ? info->value : NULL;
            *(struct config_strings *)member = (struct config_strings){item, count};
        }
        return;
    }
    case CONFIG_KIND_ENUM:
        *(uint32_t *)member = (uint32_t)choice_find(info->unit, info->value);
        return;
    case CONFIG_KIND_MEMORY:
        for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
            ((struct config_memory *)member)->bytes[t] = -1;
        }
        return;
    case CONFIG_KIND_TIERS:
    case CONFIG_KIND_PLACEMENTS:
    case CONFIG_KIND_PARAMS:
        return; /* zero */
    }
}

static void set_inherited(const struct config_reader *reader, const struct config_info *info,
                          void *member)
{
    const struct config_info *from = config_info_find(CONFIG_GROUP_LIMITS, info->key);
    assert(from && from->kind == info->kind);
    const char *source = (const char *)&reader->config->limits + from->offset;
    memcpy(member, source, info->kind == CONFIG_KIND_BOOL ? sizeof(bool) : sizeof(int64_t));
}

/* Edits that turn one word into another, up to a limit where it no longer matters. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[65];
    size_t la = strlen(a), lb = strlen(b);
    if (la > 64 || lb > 64) {
        return 64;
    }
    for (size_t j = 0; j <= lb; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= la; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            if (row[j] + 1 < best) {
                best = row[j] + 1;
            }
            if (row[j - 1] + 1 < best) {
                best = row[j - 1] + 1;
            }
            row[j] = best;
        }
    }
    return row[lb];
}

static const struct config_group *subgroup_find(enum config_group_id id, const char *name)
{
    for (size_t g = 1; g < CONFIG_GROUP_COUNT; g++) {
        const struct config_group *group = &config_groups[g];
        if ((group->inside == id || group->also == id) && strcmp(group->name, name) == 0) {
            return group;
        }
    }
    return NULL;
}

static void unknown_key(struct config_reader *reader, enum config_group_id id,
                        const struct config_value *setting, const char *path)
{
    const char *name = setting->name;
    const char *nearest = NULL;
    size_t best = 4;
    for (size_t i = 0; i < config_groups[id].info_count; i++) {
        size_t distance = edit_distance(name, config_groups[id].info[i].key);
        if (distance < best) {
            best = distance;
            nearest = config_groups[id].info[i].key;
        }
    }
    for (size_t g = 1; g < CONFIG_GROUP_COUNT; g++) {
        if (config_groups[g].inside == id && edit_distance(name, config_groups[g].name) < best) {
            best = edit_distance(name, config_groups[g].name);
            nearest = config_groups[g].name;
        }
    }
    if (nearest) {
        config_error(reader, setting->at, "%s: there is no such setting; did you mean %s?", path,
                     nearest);
    } else {
        config_error(reader, setting->at,
                     "%s: there is no such setting; `shunt serve --help-config` lists them", path);
    }
}

static void join_path(char *path, const char *parent, const char *key)
{
    (void)snprintf(path, PATH_BYTES_MAX, "%.160s%s%.80s", parent, parent[0] ? "." : "", key);
}

enum defaults { DEFAULTS_SET, DEFAULTS_KEPT };

/*
 * Reads the settings of one group into `target`, the struct of that group. `setting` may be NULL:
 * then all defaults hold. DEFAULTS_KEPT leaves what is not stated as it is in target.
 */
static void read_group(struct config_reader *reader, enum config_group_id id,
                       const struct config_value *setting, const char *path, void *target,
                       enum defaults defaults)
{
    const struct config_group *group = &config_groups[id];
    struct config_mark at = setting ? setting->at : (struct config_mark){0};
    if (id != CONFIG_GROUP_TOP && setting && setting->kind != CONFIG_VALUE_GROUP) {
        wrong_type(reader, setting, path, words(reader, "a group { }", "a mapping"));
        setting = NULL;
    }
    for (size_t i = 0; i < group->info_count; i++) {
        const struct config_info *info = &group->info[i];
        void *member = (char *)target + info->offset;
        if (defaults == DEFAULTS_SET) {
            if (info->flags & CONFIG_INHERIT) {
                set_inherited(reader, info, member);
            } else {
                set_default(reader, info, member);
            }
        }
        char place[PATH_BYTES_MAX];
        join_path(place, path, info->key);
        const struct config_value *one = setting ? config_value_get(setting, info->key) : NULL;
        if (one) {
            read_value(reader, one, place, info, member);
            config_note(reader, place, one->at);
        } else if (setting && (info->flags & CONFIG_REQUIRED) && info->kind != CONFIG_KIND_MEMORY) {
            config_error(reader, at, "%s: is missing; %s", place, info->doc);
        }
    }
    for (const struct config_value *one = setting ? setting->child : NULL; one; one = one->next) {
        char place[PATH_BYTES_MAX];
        join_path(place, path, one->name);
        if (!config_info_find(id, one->name) && !subgroup_find(id, one->name)) {
            unknown_key(reader, id, one, place);
        }
    }
}

/* The list of groups `id` in the root: its length, and the setting; 0 after an error or if it is
 * absent. */
static uint32_t list_of(struct config_reader *reader, const struct config_value *root,
                        enum config_group_id id, const struct config_value **ret_list)
{
    const struct config_group *group = &config_groups[id];
    const struct config_value *list = config_value_get(root, group->name);
    *ret_list = list;
    if (!list) {
        return 0;
    }
    if (list->kind != CONFIG_VALUE_LIST) {
        wrong_type(reader, list, group->name,
                   words(reader, "a list of groups ( { }, { } )", "a list of mappings"));
        return 0;
    }
    if (list->count > group->list_max) {
        config_error(reader, list->at, "%s: has %u entries; %u are the most", group->name,
                     list->count, group->list_max);
        return 0;
    }
    return list->count;
}

static void read_single(struct config_reader *reader, const struct config_value *root,
                        enum config_group_id id, void *target, uint32_t *ret_line,
                        uint32_t *ret_column)
{
    const struct config_value *setting = config_value_get(root, config_groups[id].name);
    *ret_line = setting ? setting->at.line : 0;
    *ret_column = setting ? setting->at.column : 0;
    read_group(reader, id, setting, config_groups[id].name, target, DEFAULTS_SET);
}

static void read_devices(struct config_reader *reader, const struct config_value *root)
{
    const struct config_value *list = NULL;
    uint32_t count = list_of(reader, root, CONFIG_GROUP_DEVICE, &list);
    struct config_device *devices = config_alloc(reader, (size_t)count + 1, sizeof *devices);
    const struct config_value *setting = list ? list->child : NULL;
    for (uint32_t i = 0; devices && i < count; i++, setting = setting->next) {
        char path[PATH_BYTES_MAX];
        (void)snprintf(path, sizeof path, "devices[%u]", i);
        devices[i].line = setting->at.line;
        devices[i].column = setting->at.column;
        read_group(reader, CONFIG_GROUP_DEVICE, setting, path, &devices[i], DEFAULTS_SET);
    }
    reader->config->devices = devices;
    reader->config->device_count = devices ? count : 0;
}

static void read_models(struct config_reader *reader, const struct config_value *root)
{
    const struct config_value *list = NULL;
    uint32_t count = list_of(reader, root, CONFIG_GROUP_MODEL, &list);
    struct config_model *models = config_alloc(reader, (size_t)count + 1, sizeof *models);
    const struct config_value *setting = list ? list->child : NULL;
    for (uint32_t i = 0; models && i < count; i++, setting = setting->next) {
        char path[PATH_BYTES_MAX];
        (void)snprintf(path, sizeof path, "models[%u]", i);
        models[i].line = setting->at.line;
        models[i].column = setting->at.column;
        read_group(reader, CONFIG_GROUP_MODEL, setting, path, &models[i], DEFAULTS_SET);
        const struct config_value *emulate =
            setting->kind == CONFIG_VALUE_GROUP ? config_value_get(setting, "emulate") : NULL;
        (void)snprintf(path, sizeof path, "models[%u].emulate", i);
        models[i].emulate.line = emulate ? emulate->at.line : 0;
        read_group(reader, CONFIG_GROUP_EMULATE, emulate, path, &models[i].emulate, DEFAULTS_SET);
    }
    reader->config->models = models;
    reader->config->model_count = models ? count : 0;
}

static void read_cells(struct config_reader *reader, const struct config_value *root)
{
    const struct config_value *list = NULL;
    uint32_t count = list_of(reader, root, CONFIG_GROUP_CELL, &list);
    struct config_cell *cells = config_alloc(reader, (size_t)count + 1, sizeof *cells);
    const struct config_value *setting = list ? list->child : NULL;
    for (uint32_t i = 0; cells && i < count; i++, setting = setting->next) {
        char path[PATH_BYTES_MAX];
        (void)snprintf(path, sizeof path, "cells[%u]", i);
        cells[i].line = setting->at.line;
        cells[i].column = setting->at.column;
        read_group(reader, CONFIG_GROUP_CELL, setting, path, &cells[i], DEFAULTS_SET);
        cells[i].policy = reader->config->policy;
        const struct config_value *policy =
            setting->kind == CONFIG_VALUE_GROUP ? config_value_get(setting, "policy") : NULL;
        if (policy) {
            /* Parameters of the top-level policy mean nothing to another one. */
            if (policy->kind == CONFIG_VALUE_GROUP && config_value_get(policy, "use")) {
                cells[i].policy.params = (struct config_params){.count = 0};
                cells[i].policy.values = "";
            }
            (void)snprintf(path, sizeof path, "cells[%u].policy", i);
            cells[i].policy.line = policy->at.line;
            read_group(reader, CONFIG_GROUP_POLICY, policy, path, &cells[i].policy, DEFAULTS_KEPT);
        }
    }
    reader->config->cells = cells;
    reader->config->cell_count = cells ? count : 0;
}

void config_read_tree(struct config_reader *reader, const struct config_value *root)
{
    struct config *config = reader->config;
    read_group(reader, CONFIG_GROUP_TOP, root, "", config, DEFAULTS_SET);
    read_single(reader, root, CONFIG_GROUP_LIMITS, &config->limits, &config->limits.line,
                &config->limits.column);
    read_single(reader, root, CONFIG_GROUP_GUARD, &config->guard, &config->guard.line,
                &config->guard.column);
    read_single(reader, root, CONFIG_GROUP_ADMIN, &config->admin, &config->admin.line,
                &config->admin.column);
    read_single(reader, root, CONFIG_GROUP_JOURNAL, &config->journal, &config->journal.line,
                &config->journal.column);
    read_single(reader, root, CONFIG_GROUP_POLICY, &config->policy, &config->policy.line,
                &config->policy.column);
    read_devices(reader, root);
    read_models(reader, root);
    read_cells(reader, root);
}
