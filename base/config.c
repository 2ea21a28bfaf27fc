/*
 * Reads shunt.cfg with libconfig into the tree of config.h, setting by setting after the table.
 * What concerns more than one setting is judged in config_check.c. It does not log, and it keeps
 * nothing outside the tree.
 */
#include "base/config_priv.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <libconfig.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_BYTES = 16384,
    PATH_BYTES_MAX = 256, /* of "models[1].memory_gib.resident" */
    STRING_SHOWN_MAX = 60 /* bytes of a wrong value that a message repeats */
};

/* ------------------------------------------------------------------ memory and errors */

struct config_chunk {
    struct config_chunk *next;
    size_t used;
    size_t size;
    max_align_t bytes[];
};

void *config_alloc(struct config_reader *reader, size_t count, size_t size)
{
    struct config_memo *memo = reader->config->memo;
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        reader->out_of_memory = true;
        return NULL;
    }
    bytes = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct config_chunk *chunk = memo->chunks;
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + room);
        if (!chunk) {
            reader->out_of_memory = true;
            return NULL;
        }
        chunk->size = room;
        chunk->next = memo->chunks;
        memo->chunks = chunk;
    }
    void *at = (char *)chunk->bytes + chunk->used;
    chunk->used += bytes;
    return at;
}

const char *config_copy(struct config_reader *reader, const char *text)
{
    if (!text) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = config_alloc(reader, 1, size);
    if (copy) {
        memcpy(copy, text, size);
    }
    return copy;
}

void config_note(struct config_reader *reader, const char *path, uint32_t line)
{
    struct config_memo *memo = reader->config->memo;
    if (memo->origin_count == memo->origin_max) {
        size_t room = memo->origin_max ? memo->origin_max * 2 : 64;
        struct config_origin *more = reallocarray(memo->origin, room, sizeof *more);
        if (!more) {
            reader->out_of_memory = true;
            return;
        }
        memo->origin = more;
        memo->origin_max = room;
    }
    const char *copy = config_copy(reader, path);
    if (copy) {
        memo->origin[memo->origin_count++] = (struct config_origin){copy, line};
    }
}

void config_error(struct config_reader *reader, uint32_t line, const char *format, ...)
{
    struct config_errors *errors = reader->errors;
    if (errors->count == CONFIG_ERRORS_MAX) {
        errors->more = true;
        return;
    }
    char *text = errors->text[errors->count++];
    int used = line ? snprintf(text, CONFIG_ERROR_BYTES_MAX, "%.200s:%u: ", reader->file, line)
                    : snprintf(text, CONFIG_ERROR_BYTES_MAX, "%.200s: ", reader->file);
    assert(used >= 0 && used < CONFIG_ERROR_BYTES_MAX);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + used, CONFIG_ERROR_BYTES_MAX - (size_t)used, format, args);
    va_end(args);
    /* Whatever stood in the file, a message is one line. */
    for (char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c)) {
            *c = '?';
        }
    }
}

/* ------------------------------------------------------------------ values */

static uint32_t line_of(const config_setting_t *setting)
{
    return (uint32_t)config_setting_source_line(setting);
}

static const char *type_name(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
    case CONFIG_TYPE_FLOAT:
        return "a number";
    case CONFIG_TYPE_STRING:
        return "text";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_GROUP:
        return "a group { }";
    case CONFIG_TYPE_ARRAY:
        return "an array [ ]";
    case CONFIG_TYPE_LIST:
        return "a list ( )";
    default:
        return "nothing";
    }
}

static void wrong_type(struct config_reader *reader, const config_setting_t *setting,
                       const char *path, const char *wanted)
{
    config_error(reader, line_of(setting), "%s: wants %s, not %s", path, wanted,
                 type_name(setting));
}

static bool is_number(const config_setting_t *setting)
{
    int type = config_setting_type(setting);
    return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64 || type == CONFIG_TYPE_FLOAT;
}

static double number_of(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
        return config_setting_get_int(setting);
    case CONFIG_TYPE_INT64:
        return (double)config_setting_get_int64(setting);
    default:
        return config_setting_get_float(setting);
    }
}

static bool in_range(struct config_reader *reader, uint32_t line, const char *path,
                     const struct config_info *info, double value)
{
    /* Written so that NaN is out of range. */
    if (value >= info->min && value <= info->max) {
        return true;
    }
    config_error(reader, line, "%s: %.9g is out of range; wants %.9g to %.12g%s%s", path, value,
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

static void read_number(struct config_reader *reader, const config_setting_t *setting,
                        const char *path, const struct config_info *info, void *member)
{
    const char *text = config_setting_get_string(setting);
    if (text && (info->flags & CONFIG_AUTO) && strcmp(text, "auto") == 0) {
        *(int64_t *)member = CONFIG_AUTOMATIC;
        return;
    }
    bool whole = info->kind == CONFIG_KIND_INT;
    if (!is_number(setting) || (whole && config_setting_type(setting) == CONFIG_TYPE_FLOAT)) {
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, "a %snumber%s", whole ? "whole " : "",
                       info->flags & CONFIG_AUTO ? " or \"auto\"" : "");
        if (is_number(setting)) {
            config_error(reader, line_of(setting), "%s: wants %s, not %.9g", path, wanted,
                         number_of(setting));
        } else {
            wrong_type(reader, setting, path, wanted);
        }
        return;
    }
    double value = number_of(setting);
    if (in_range(reader, line_of(setting), path, info, value)) {
        store_number(info, value, member);
    }
}

/* Text without control characters, of legal length; NULL after an error. */
static const char *read_text(struct config_reader *reader, const config_setting_t *setting,
                             const char *path, size_t min, size_t max)
{
    const char *text = config_setting_get_string(setting);
    if (!text) {
        wrong_type(reader, setting, path, "text in quotes");
        return NULL;
    }
    size_t length = strlen(text);
    if (length < min || length > max) {
        config_error(reader, line_of(setting), "%s: has %zu bytes; wants %zu to %zu", path, length,
                     min, max);
        return NULL;
    }
    for (const char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c)) {
            config_error(reader, line_of(setting), "%s: holds a control character", path);
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

static void read_enum(struct config_reader *reader, const config_setting_t *setting,
                      const char *path, const struct config_info *info, uint32_t *member)
{
    const char *text = config_setting_get_string(setting);
    if (!text) {
        wrong_type(reader, setting, path, info->unit);
        return;
    }
    int index = choice_find(info->unit, text);
    if (index < 0) {
        config_error(reader, line_of(setting), "%s: \"%.*s\" is not one of %s", path,
                     STRING_SHOWN_MAX, text, info->unit);
        return;
    }
    *member = (uint32_t)index;
}

static bool is_sequence(const config_setting_t *setting)
{
    int type = config_setting_type(setting);
    return type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;
}

static void read_strings(struct config_reader *reader, const config_setting_t *setting,
                         const char *path, const struct config_info *info,
                         struct config_strings *member)
{
    bool single = config_setting_type(setting) == CONFIG_TYPE_STRING;
    if (!single && !is_sequence(setting)) {
        wrong_type(reader, setting, path, "a list of strings");
        return;
    }
    int count = single ? 1 : config_setting_length(setting);
    if (count < (int)info->min || count > (int)info->max) {
        config_error(reader, line_of(setting), "%s: has %d entries; wants %.0f to %.0f", path,
                     count, info->min, info->max);
        return;
    }
    const char **item = config_alloc(reader, (size_t)count + 1, sizeof *item);
    if (!item) {
        return;
    }
    for (int i = 0; i < count; i++) {
        char place[PATH_BYTES_MAX];
        (void)snprintf(place, sizeof place, "%.200s[%d]", path, i);
        const config_setting_t *one =
            single ? setting : config_setting_get_elem(setting, (unsigned)i);
        item[i] = read_text(reader, one, single ? path : place, 0, 65536);
        if (!item[i]) {
            return;
        }
    }
    *member = (struct config_strings){item, (uint32_t)count};
}

static void read_tiers(struct config_reader *reader, const config_setting_t *setting,
                       const char *path, struct config_tiers *member)
{
    const char *text = config_setting_get_string(setting);
    if (text && strcmp(text, "auto") == 0) {
        member->count = 0;
        return;
    }
    if (!is_sequence(setting) || config_setting_length(setting) < 1 ||
        config_setting_length(setting) >= SHUNT_TIER_COUNT) {
        config_error(
            reader, line_of(setting),
            "%s: wants \"auto\" or a list of asleep, staged, discarded, suspended, stopped", path);
        return;
    }
    struct config_tiers tiers = {.count = 0};
    for (int i = 0; i < config_setting_length(setting); i++) {
        const char *name = config_setting_get_string_elem(setting, i);
        int tier = name ? config_tier_find(name) : -ENOENT;
        bool again = false;
        for (uint32_t t = 0; t < tiers.count; t++) {
            again = again || tiers.tier[t] == (uint32_t)tier;
        }
        if (tier < 0 || tier == SHUNT_TIER_RESIDENT || again) {
            config_error(reader, line_of(setting), "%s[%d]: \"%.*s\" is %s", path, i,
                         STRING_SHOWN_MAX, name ? name : "",
                         again ? "there already"
                               : "not one of asleep, staged, discarded, suspended, stopped");
            return;
        }
        tiers.tier[tiers.count++] = (uint32_t)tier;
    }
    *member = tiers;
}

/* A number is that of `plain_tier`. */
static void read_memory(struct config_reader *reader, const config_setting_t *setting,
                        const char *path, const struct config_info *info, uint32_t plain_tier,
                        struct config_memory *member)
{
    const char *text = config_setting_get_string(setting);
    if (text && strcmp(text, "auto") == 0 && (info->flags & CONFIG_REQUIRED)) {
        member->automatic = true;
        return;
    }
    double scale = config_unit_scale(info->unit);
    if (is_number(setting)) {
        double value = number_of(setting);
        if (in_range(reader, line_of(setting), path, info, value)) {
            member->bytes[plain_tier] = (int64_t)llround(value * scale);
        }
        return;
    }
    if (config_setting_type(setting) != CONFIG_TYPE_GROUP) {
        wrong_type(reader, setting, path, "a number or { resident = N; asleep = N; }");
        return;
    }
    for (int i = 0; i < config_setting_length(setting); i++) {
        const config_setting_t *one = config_setting_get_elem(setting, (unsigned)i);
        char place[PATH_BYTES_MAX];
        (void)snprintf(place, sizeof place, "%.160s.%.60s", path, config_setting_name(one));
        int tier = config_tier_find(config_setting_name(one));
        if (tier < 0) {
            config_error(
                reader, line_of(one),
                "%s: there is no such tier; they are resident, asleep, suspended, discarded, "
                "staged, stopped",
                place);
        } else if (!is_number(one)) {
            wrong_type(reader, one, place, "a number");
        } else if (in_range(reader, line_of(one), place, info, number_of(one))) {
            member->bytes[tier] = (int64_t)llround(number_of(one) * scale);
            config_note(reader, place, line_of(one));
        }
    }
}

/* Index of a device by name; -ENOENT after an error. */
static int read_device(struct config_reader *reader, const config_setting_t *setting,
                       const char *path)
{
    const char *name = config_setting_get_string(setting);
    if (!name) {
        wrong_type(reader, setting, path, "the name of a device");
        return -ENOENT;
    }
    for (uint32_t d = 0; d < reader->config->device_count; d++) {
        if (reader->config->devices[d].name && strcmp(reader->config->devices[d].name, name) == 0) {
            return (int)d;
        }
    }
    config_error(reader, line_of(setting),
                 "%s: there is no device \"%.*s\"; add it to devices or name "
                 "one of those",
                 path, STRING_SHOWN_MAX, name);
    return -ENOENT;
}

static void read_placements(struct config_reader *reader, const config_setting_t *setting,
                            const char *path, const struct config_info *info,
                            struct config_placements *member)
{
    int count = is_sequence(setting) ? config_setting_length(setting) : 0;
    if (count < 1 || count > (int)info->max) {
        config_error(reader, line_of(setting),
                     "%s: wants a list of 1 to %.0f device sets, ( [ \"gpu0\" ], [ \"gpu1\" ] )",
                     path, info->max);
        return;
    }
    struct config_placement *item = config_alloc(reader, (size_t)count, sizeof *item);
    for (int i = 0; item && i < count; i++) {
        char place[PATH_BYTES_MAX];
        (void)snprintf(place, sizeof place, "%.200s[%d]", path, i);
        const config_setting_t *set = config_setting_get_elem(setting, (unsigned)i);
        if (is_sequence(set)) {
            if (config_setting_length(set) != 1) {
                config_error(reader, line_of(set),
                             "%s: names %d devices; this version takes one device a placement",
                             place, config_setting_length(set));
                return;
            }
            set = config_setting_get_elem(set, 0);
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
static bool param_text(struct config_reader *reader, const config_setting_t *setting,
                       const char *path, char *text, size_t size)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        (void)snprintf(text, size, "%lld", (long long)config_setting_get_int64(setting));
        return true;
    case CONFIG_TYPE_FLOAT:
        /* The shortest text that reads back as the same number. */
        for (int digits = 15; digits <= 17; digits++) {
            (void)snprintf(text, size, "%.*g", digits, config_setting_get_float(setting));
            if (strtod(text, NULL) == config_setting_get_float(setting)) {
                break;
            }
        }
        return true;
    case CONFIG_TYPE_BOOL:
        (void)snprintf(text, size, "%s", config_setting_get_bool(setting) ? "true" : "false");
        return true;
    case CONFIG_TYPE_STRING:
        if (strlen(config_setting_get_string(setting)) >= size) {
            config_error(reader, line_of(setting), "%s: is longer than %zu bytes", path, size - 1);
            return false;
        }
        (void)snprintf(text, size, "%s", config_setting_get_string(setting));
        return true;
    default:
        wrong_type(reader, setting, path, "a number, text, true or false, or an array of numbers");
        return false;
    }
}

static bool param_vector(struct config_reader *reader, const config_setting_t *setting,
                         const char *path, char *text, size_t size)
{
    size_t used = 0;
    text[used++] = '[';
    for (int i = 0; i < config_setting_length(setting); i++) {
        const config_setting_t *one = config_setting_get_elem(setting, (unsigned)i);
        char number[64];
        if (!is_number(one)) {
            wrong_type(reader, one, path, "numbers in the array");
            return false;
        }
        if (!param_text(reader, one, path, number, sizeof number)) {
            return false;
        }
        int got = snprintf(text + used, size - used, "%s%s", i ? " " : "", number);
        if (got < 0 || (size_t)got + 2 > size - used) {
            config_error(reader, line_of(setting), "%s: the array is too long", path);
            return false;
        }
        used += (size_t)got;
    }
    text[used++] = ']';
    text[used] = '\0';
    return true;
}

static void read_params(struct config_reader *reader, const config_setting_t *setting,
                        const char *path, struct config_params *member)
{
    if (config_setting_type(setting) != CONFIG_TYPE_GROUP) {
        wrong_type(reader, setting, path, "a group { NAME = VALUE; }");
        return;
    }
    int count = config_setting_length(setting);
    if (count > CONFIG_PARAMS_MAX) {
        config_error(reader, line_of(setting), "%s: has %d entries; %d are the most", path, count,
                     CONFIG_PARAMS_MAX);
        return;
    }
    struct config_param *item = config_alloc(reader, (size_t)count + 1, sizeof *item);
    if (!item) {
        return;
    }
    for (int i = 0; i < count; i++) {
        const config_setting_t *one = config_setting_get_elem(setting, (unsigned)i);
        char place[PATH_BYTES_MAX], text[512];
        (void)snprintf(place, sizeof place, "%.160s.%.60s", path, config_setting_name(one));
        bool good = is_sequence(one) ? param_vector(reader, one, place, text, sizeof text)
                                     : param_text(reader, one, place, text, sizeof text);
        if (!good) {
            return;
        }
        item[i] = (struct config_param){config_copy(reader, config_setting_name(one)),
                                        config_copy(reader, text), line_of(one)};
        config_note(reader, place, line_of(one));
    }
    *member = (struct config_params){item, (uint32_t)count};
}

static void read_value(struct config_reader *reader, const config_setting_t *setting,
                       const char *path, const struct config_info *info, void *member)
{
    const char *text = NULL;
    switch (info->kind) {
    case CONFIG_KIND_BOOL:
        if (config_setting_type(setting) == CONFIG_TYPE_BOOL) {
            *(bool *)member = config_setting_get_bool(setting) != 0;
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
                        const config_setting_t *setting, const char *path)
{
    const char *name = config_setting_name(setting);
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
        config_error(reader, line_of(setting), "%s: there is no such setting; did you mean %s?",
                     path, nearest);
    } else {
        config_error(reader, line_of(setting),
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
                       const config_setting_t *setting, const char *path, void *target,
                       enum defaults defaults)
{
    const struct config_group *group = &config_groups[id];
    uint32_t line = setting ? line_of(setting) : 0;
    if (id != CONFIG_GROUP_TOP && setting && config_setting_type(setting) != CONFIG_TYPE_GROUP) {
        wrong_type(reader, setting, path, "a group { }");
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
        const config_setting_t *one =
            setting ? config_setting_get_member(setting, info->key) : NULL;
        if (one) {
            read_value(reader, one, place, info, member);
            config_note(reader, place, line_of(one));
        } else if (setting && (info->flags & CONFIG_REQUIRED) && info->kind != CONFIG_KIND_MEMORY) {
            config_error(reader, line, "%s: is missing; %s", place, info->doc);
        }
    }
    for (int i = 0; setting && i < config_setting_length(setting); i++) {
        const config_setting_t *one = config_setting_get_elem(setting, (unsigned)i);
        char place[PATH_BYTES_MAX];
        join_path(place, path, config_setting_name(one));
        if (!config_info_find(id, config_setting_name(one)) &&
            !subgroup_find(id, config_setting_name(one))) {
            unknown_key(reader, id, one, place);
        }
    }
}

/* The list of groups `id` in the root: its length, and the setting; 0 after an error or if it is
 * absent. */
static uint32_t list_of(struct config_reader *reader, const config_setting_t *root,
                        enum config_group_id id, const config_setting_t **ret_list)
{
    const struct config_group *group = &config_groups[id];
    const config_setting_t *list = config_setting_get_member(root, group->name);
    *ret_list = list;
    if (!list) {
        return 0;
    }
    if (config_setting_type(list) != CONFIG_TYPE_LIST) {
        wrong_type(reader, list, group->name, "a list of groups ( { }, { } )");
        return 0;
    }
    if (config_setting_length(list) > (int)group->list_max) {
        config_error(reader, line_of(list), "%s: has %d entries; %u are the most", group->name,
                     config_setting_length(list), group->list_max);
        return 0;
    }
    return (uint32_t)config_setting_length(list);
}

static void read_single(struct config_reader *reader, const config_setting_t *root,
                        enum config_group_id id, void *target, uint32_t *line)
{
    const config_setting_t *setting = config_setting_get_member(root, config_groups[id].name);
    *line = setting ? line_of(setting) : 0;
    read_group(reader, id, setting, config_groups[id].name, target, DEFAULTS_SET);
}

static void read_devices(struct config_reader *reader, const config_setting_t *root)
{
    const config_setting_t *list = NULL;
    uint32_t count = list_of(reader, root, CONFIG_GROUP_DEVICE, &list);
    struct config_device *devices = config_alloc(reader, (size_t)count + 1, sizeof *devices);
    for (uint32_t i = 0; devices && i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(list, i);
        char path[PATH_BYTES_MAX];
        (void)snprintf(path, sizeof path, "devices[%u]", i);
        devices[i].line = line_of(setting);
        read_group(reader, CONFIG_GROUP_DEVICE, setting, path, &devices[i], DEFAULTS_SET);
    }
    reader->config->devices = devices;
    reader->config->device_count = devices ? count : 0;
}

static void read_models(struct config_reader *reader, const config_setting_t *root)
{
    const config_setting_t *list = NULL;
    uint32_t count = list_of(reader, root, CONFIG_GROUP_MODEL, &list);
    struct config_model *models = config_alloc(reader, (size_t)count + 1, sizeof *models);
    for (uint32_t i = 0; models && i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(list, i);
        char path[PATH_BYTES_MAX];
        (void)snprintf(path, sizeof path, "models[%u]", i);
        models[i].line = line_of(setting);
        read_group(reader, CONFIG_GROUP_MODEL, setting, path, &models[i], DEFAULTS_SET);
        const config_setting_t *emulate = config_setting_type(setting) == CONFIG_TYPE_GROUP
                                              ? config_setting_get_member(setting, "emulate")
                                              : NULL;
        (void)snprintf(path, sizeof path, "models[%u].emulate", i);
        models[i].emulate.line = emulate ? line_of(emulate) : 0;
        read_group(reader, CONFIG_GROUP_EMULATE, emulate, path, &models[i].emulate, DEFAULTS_SET);
    }
    reader->config->models = models;
    reader->config->model_count = models ? count : 0;
}

static void read_cells(struct config_reader *reader, const config_setting_t *root)
{
    const config_setting_t *list = NULL;
    uint32_t count = list_of(reader, root, CONFIG_GROUP_CELL, &list);
    struct config_cell *cells = config_alloc(reader, (size_t)count + 1, sizeof *cells);
    for (uint32_t i = 0; cells && i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(list, i);
        char path[PATH_BYTES_MAX];
        (void)snprintf(path, sizeof path, "cells[%u]", i);
        cells[i].line = line_of(setting);
        read_group(reader, CONFIG_GROUP_CELL, setting, path, &cells[i], DEFAULTS_SET);
        cells[i].policy = reader->config->policy;
        const config_setting_t *policy = config_setting_type(setting) == CONFIG_TYPE_GROUP
                                             ? config_setting_get_member(setting, "policy")
                                             : NULL;
        if (policy) {
            /* Parameters of the top-level policy mean nothing to another one. */
            if (config_setting_type(policy) == CONFIG_TYPE_GROUP &&
                config_setting_get_member(policy, "use")) {
                cells[i].policy.params = (struct config_params){.count = 0};
                cells[i].policy.values = "";
            }
            (void)snprintf(path, sizeof path, "cells[%u].policy", i);
            cells[i].policy.line = line_of(policy);
            read_group(reader, CONFIG_GROUP_POLICY, policy, path, &cells[i].policy, DEFAULTS_KEPT);
        }
    }
    reader->config->cells = cells;
    reader->config->cell_count = cells ? count : 0;
}

static void read_tree(struct config_reader *reader, const config_setting_t *root)
{
    struct config *config = reader->config;
    read_group(reader, CONFIG_GROUP_TOP, root, "", config, DEFAULTS_SET);
    read_single(reader, root, CONFIG_GROUP_LIMITS, &config->limits, &config->limits.line);
    read_single(reader, root, CONFIG_GROUP_GUARD, &config->guard, &config->guard.line);
    read_single(reader, root, CONFIG_GROUP_ADMIN, &config->admin, &config->admin.line);
    read_single(reader, root, CONFIG_GROUP_JOURNAL, &config->journal, &config->journal.line);
    read_single(reader, root, CONFIG_GROUP_POLICY, &config->policy, &config->policy.line);
    read_devices(reader, root);
    read_models(reader, root);
    read_cells(reader, root);
}

/* ------------------------------------------------------------------ files */

static int origin_compare(const void *a, const void *b)
{
    const struct config_origin *x = a, *y = b;
    return strcmp(x->path, y->path);
}

/* What libconfig would let pass or act on: NUL bytes, @include. */
static bool scan_text(struct config_reader *reader, const char *text, size_t size)
{
    uint32_t line = 1;
    bool at_start = true;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\0') {
            config_error(reader, line, "holds a NUL byte; this is not a text file");
            return false;
        }
        if (at_start && size - i > 8 && strncmp(text + i, "@include", 8) == 0) {
            config_error(reader, line, "@include is not taken; write every setting in one file");
            return false;
        }
        line += text[i] == '\n';
        at_start = text[i] == '\n' || (at_start && isspace((unsigned char)text[i]));
    }
    return true;
}

static void parse(struct config_reader *reader, const char *text, size_t size)
{
    if (!scan_text(reader, text, size)) {
        return;
    }
    config_t parsed;
    config_init(&parsed);
    if (config_read_string(&parsed, text) == CONFIG_TRUE) {
        read_tree(reader, config_root_setting(&parsed));
        if (!reader->out_of_memory) {
            config_check(reader);
        }
    } else {
        config_error(reader, (uint32_t)config_error_line(&parsed), "%s",
                     config_error_text(&parsed));
    }
    config_destroy(&parsed);
}

int config_load_string(const char *text, size_t size, const char *name, struct config **ret_config,
                       struct config_errors *errors)
{
    errors->count = 0;
    errors->more = false;
    struct config *config = calloc(1, sizeof *config);
    struct config_memo *memo = calloc(1, sizeof *memo);
    char *copy = malloc(size + 1);
    struct config_reader reader = {.config = config, .errors = errors, .file = name};
    if (config && memo && copy) {
        config->memo = memo;
        config->file = config_copy(&reader, name);
        memcpy(copy, text, size);
        copy[size] = '\0';
        if (size > CONFIG_FILE_BYTES_MAX) {
            config_error(&reader, 0, "is larger than %d KiB", CONFIG_FILE_BYTES_MAX / 1024);
        } else {
            parse(&reader, copy, size);
        }
        if (memo->origin_count > 0) {
            qsort(memo->origin, memo->origin_count, sizeof *memo->origin, origin_compare);
        }
    } else {
        reader.out_of_memory = true;
        free(memo);
    }
    free(copy);
    if (reader.out_of_memory || errors->count > 0) {
        config_free(config);
        if (reader.out_of_memory) {
            errors->count = 1;
            (void)snprintf(errors->text[0], CONFIG_ERROR_BYTES_MAX, "%.200s: out of memory", name);
        }
        return reader.out_of_memory ? -ENOMEM : -EINVAL;
    }
    *ret_config = config;
    return 0;
}

int config_load(const char *path, struct config **ret_config, struct config_errors *errors)
{
    errors->count = 0;
    errors->more = false;
    int result = 0;
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 2);
    FILE *file = fopen(path, "rb");
    if (!file || !text) {
        result = -errno;
    } else {
        /* One byte more than is legal, so that too large a file is told from a full buffer. */
        size_t size = fread(text, 1, CONFIG_FILE_BYTES_MAX + 1, file);
        result = ferror(file) ? -errno : config_load_string(text, size, path, ret_config, errors);
    }
    if (result && errors->count == 0) {
        errors->count = 1;
        (void)snprintf(errors->text[0], CONFIG_ERROR_BYTES_MAX,
                       "%.200s: %s; write one with `shunt init -o %.100s`", path, strerror(-result),
                       path);
    }
    if (file) {
        (void)fclose(file);
    }
    free(text);
    return result;
}

void config_free(struct config *config)
{
    if (!config) {
        return;
    }
    if (config->memo) {
        struct config_chunk *chunk = config->memo->chunks;
        while (chunk) {
            struct config_chunk *next = chunk->next;
            free(chunk);
            chunk = next;
        }
        free(config->memo->origin);
        free(config->memo);
    }
    free(config);
}

uint32_t config_line(const struct config *config, const char *path)
{
    const struct config_origin key = {path, 0};
    const struct config_memo *memo = config->memo;
    const struct config_origin *found =
        memo->origin_count
            ? bsearch(&key, memo->origin, memo->origin_count, sizeof key, origin_compare)
            : NULL;
    return found ? found->line : 0;
}
