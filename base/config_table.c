/*
 * The table of settings as data, and what is printed from it: help, manual, comments. It reads no
 * file.
 */
#include "base/config_priv.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define ROW(type, key, field, kind, min, max, value, flags, unit, doc)                             \
    {#key, offsetof(struct type, field), CONFIG_KIND_##kind, (flags), (min), (max), value, unit,   \
     doc},

static const struct config_info info_top[] = {
#define GROUP_TOP(...) ROW(config, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_device[] = {
#define GROUP_DEVICE(...) ROW(config_device, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_policy[] = {
#define GROUP_POLICY(...) ROW(config_policy, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_model[] = {
#define GROUP_MODEL(...) ROW(config_model, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_emulate[] = {
#define GROUP_EMULATE(...) ROW(config_emulate, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_cell[] = {
#define GROUP_CELL(...) ROW(config_cell, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_limits[] = {
#define GROUP_LIMITS(...) ROW(config_limits, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_guard[] = {
#define GROUP_GUARD(...) ROW(config_guard, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_admin[] = {
#define GROUP_ADMIN(...) ROW(config_admin, __VA_ARGS__)
#include "base/settings.def"
};
static const struct config_info info_journal[] = {
#define GROUP_JOURNAL(...) ROW(config_journal, __VA_ARGS__)
#include "base/settings.def"
};

#define ROWS(table) (table), sizeof(table) / sizeof((table)[0])

const struct config_group config_groups[CONFIG_GROUP_COUNT] = {
    [CONFIG_GROUP_TOP] = {"", "", "The host as a whole.", CONFIG_GROUP_TOP, CONFIG_GROUP_TOP, 0,
                          ROWS(info_top)},
    [CONFIG_GROUP_DEVICE] = {"devices", "devices[]",
                             "The devices that models take turns on, at least one.",
                             CONFIG_GROUP_TOP, CONFIG_GROUP_TOP, 16, ROWS(info_device)},
    [CONFIG_GROUP_POLICY] = {"policy", "policy",
                             "Who decides which model is resident. The same group inside a cell "
                             "says what differs there.",
                             CONFIG_GROUP_TOP, CONFIG_GROUP_CELL, 0, ROWS(info_policy)},
    [CONFIG_GROUP_MODEL] = {"models", "models[]", "The served models, at least one.",
                            CONFIG_GROUP_TOP, CONFIG_GROUP_TOP, 256, ROWS(info_model)},
    [CONFIG_GROUP_EMULATE] = {"emulate", "models[].emulate",
                              "How an emulated engine behaves; without effect on others.",
                              CONFIG_GROUP_MODEL, CONFIG_GROUP_MODEL, 0, ROWS(info_emulate)},
    [CONFIG_GROUP_CELL] = {"cells", "cells[]",
                           "Devices and queues under one policy. Absent: one cell, \"main\", with "
                           "all devices.",
                           CONFIG_GROUP_TOP, CONFIG_GROUP_TOP, 16, ROWS(info_cell)},
    [CONFIG_GROUP_LIMITS] = {"limits", "limits",
                             "How much is accepted from outside, and how long anything may take.",
                             CONFIG_GROUP_TOP, CONFIG_GROUP_TOP, 0, ROWS(info_limits)},
    [CONFIG_GROUP_GUARD] = {"guard", "guard",
                            "What the host enforces whatever the policy does; the bounds on "
                            "waiting follow from it.",
                            CONFIG_GROUP_TOP, CONFIG_GROUP_TOP, 0, ROWS(info_guard)},
    [CONFIG_GROUP_ADMIN] = {"admin", "admin", "Where operators connect.", CONFIG_GROUP_TOP,
                            CONFIG_GROUP_TOP, 0, ROWS(info_admin)},
    [CONFIG_GROUP_JOURNAL] = {"journal", "journal",
                              "The record of inputs and decisions that can be replayed.",
                              CONFIG_GROUP_TOP, CONFIG_GROUP_TOP, 0, ROWS(info_journal)},
};

const struct config_info *config_info_find(enum config_group_id group, const char *key)
{
    for (size_t i = 0; i < config_groups[group].info_count; i++) {
        if (strcmp(config_groups[group].info[i].key, key) == 0) {
            return &config_groups[group].info[i];
        }
    }
    return NULL;
}

double config_unit_scale(const char *unit)
{
    static const struct {
        const char *unit;
        double scale;
    } scales[] = {
        {"s", 1e9}, {"ms", 1e6}, {"GiB", 1073741824.0}, {"MiB", 1048576.0}, {"KiB", 1024.0}};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        if (strcmp(scales[i].unit, unit) == 0) {
            return scales[i].scale;
        }
    }
    return 1.0;
}

/* "1 to 64 GiB", "auto|keys|none", "list of 1 to 16 strings" ... */
static void describe_type(const struct config_info *info, char *text, size_t size)
{
    const char *gap = info->unit[0] ? " " : "";
    const char *automatic = info->flags & CONFIG_AUTO   ? ", or \"auto\""
                            : info->flags & CONFIG_NONE ? ", or \"none\""
                                                        : "";
    switch (info->kind) {
    case CONFIG_KIND_BOOL:
        (void)snprintf(text, size, "true or false");
        return;
    case CONFIG_KIND_INT:
        (void)snprintf(text, size, "whole number, %.0f to %.0f%s%s%s", info->min, info->max, gap,
                       info->unit, automatic);
        return;
    case CONFIG_KIND_REAL:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_BYTES:
        (void)snprintf(text, size, "number, %g to %.9g%s%s%s", info->min, info->max, gap,
                       info->unit, automatic);
        return;
    case CONFIG_KIND_STRING:
        (void)snprintf(text, size, "text");
        return;
    case CONFIG_KIND_STRINGS:
        (void)snprintf(text, size, "list of up to %.0f strings", info->max);
        return;
    case CONFIG_KIND_ENUM:
        (void)snprintf(text, size, "one of %s", info->unit);
        return;
    case CONFIG_KIND_TIERS:
        (void)snprintf(text, size, "list of %s, or \"auto\"", info->unit);
        return;
    case CONFIG_KIND_MEMORY:
        (void)snprintf(text, size, "number, group of numbers by tier%s; GiB",
                       info->flags & CONFIG_REQUIRED ? ", or \"auto\"" : "");
        return;
    case CONFIG_KIND_PLACEMENTS:
        (void)snprintf(text, size, "list of device sets");
        return;
    case CONFIG_KIND_PARAMS:
        (void)snprintf(text, size, "group of NAME = VALUE");
        return;
    }
}

static void describe_default(const struct config_info *info, char *text, size_t size)
{
    if (info->flags & CONFIG_REQUIRED) {
        (void)snprintf(text, size, "required");
    } else if (info->flags & CONFIG_INHERIT) {
        (void)snprintf(text, size, "that of limits");
    } else if (info->value[0] == '\0') {
        (void)snprintf(text, size, "none");
    } else {
        (void)snprintf(text, size, "%s", info->value);
    }
}

/* Text in lines of at most `width` columns, each begun with `prefix`. */
static void print_wrapped(FILE *out, const char *prefix, const char *text, size_t width)
{
    const char *at = text;
    while (*at) {
        size_t line = strlen(at);
        if (line + strlen(prefix) > width) {
            line = width - strlen(prefix);
            while (line > 1 && at[line] != ' ') {
                line--;
            }
        }
        (void)fprintf(out, "%s%.*s\n", prefix, (int)line, at);
        at += line;
        while (*at == ' ') {
            at++;
        }
    }
}

void config_print_help(FILE *out)
{
    (void)fputs("Settings of shunt.cfg (libconfig syntax). Unknown keys are errors.\n", out);
    for (size_t g = 0; g < CONFIG_GROUP_COUNT; g++) {
        const struct config_group *group = &config_groups[g];
        (void)fprintf(out, "\n%s\n", g == CONFIG_GROUP_TOP ? "top level" : group->path);
        print_wrapped(out, "  ", group->doc, 100);
        for (size_t i = 0; i < group->info_count; i++) {
            char type[160], value[96];
            describe_type(&group->info[i], type, sizeof type);
            describe_default(&group->info[i], value, sizeof value);
            (void)fprintf(out, "\n  %s: %s; default: %s\n", group->info[i].key, type, value);
            print_wrapped(out, "      ", group->info[i].doc, 100);
        }
    }
}

/* A cell of a Markdown table: "|" would end it. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') {
            (void)fputc('\\', out);
        }
        (void)fputc(*text, out);
    }
}

static void print_row(FILE *out, const struct config_info *info, const struct config_yaml_row *said)
{
    char type[160], value[96];
    describe_type(info, type, sizeof type);
    describe_default(info, value, sizeof value);
    (void)fprintf(out, "| `%s` | ", info->key);
    print_cell(out, said && said->type ? said->type : type);
    (void)fprintf(out, " | %s | ", said && said->value ? said->value : value);
    print_cell(out, said && said->doc ? said->doc : info->doc);
    (void)fputs(" |\n", out);
}

/* The row that says something of a setting; NULL: none does. */
static const struct config_yaml_row *row_of(const struct config_yaml_row *rows, const char *path,
                                            const char *key)
{
    for (; rows->key; rows++) {
        if (strcmp(rows->path, path) == 0 && strcmp(rows->key, key) == 0) {
            return rows;
        }
    }
    return NULL;
}

void config_print_core(FILE *out, const char *path, const struct config_yaml_row *rows)
{
    for (size_t g = 0; g < CONFIG_GROUP_COUNT; g++) {
        const struct config_group *group = &config_groups[g];
        for (size_t i = 0; strcmp(group->path, path) == 0 && i < group->info_count; i++) {
            if (group->info[i].flags & CONFIG_CORE) {
                print_row(out, &group->info[i], row_of(rows, path, group->info[i].key));
            }
        }
    }
}

void config_print_manual(FILE *out)
{
    (void)fputs(
        "# Settings of shunt.cfg\n\n"
        "Printed from `base/settings.def` by `shunt help --manual`; a test fails when this file is "
        "stale.\n\n"
        "The syntax is that of libconfig: `key = value;`, groups in `{ }`, lists in `( )`, arrays "
        "in "
        "`[ ]`, comments after `#` or `//`. Units stand in the key. Unknown keys, wrong types and "
        "values out of range are errors with file and line. Relative paths are relative to the "
        "file. `@include` is not taken: every setting has one place.\n",
        out);
    for (size_t g = 0; g < CONFIG_GROUP_COUNT; g++) {
        const struct config_group *group = &config_groups[g];
        (void)fprintf(
            out, "\n## %s\n\n%s\n\n| setting | type | default | meaning |\n|---|---|---|---|\n",
            g == CONFIG_GROUP_TOP ? "Top level" : group->path, group->doc);
        for (size_t i = 0; i < group->info_count; i++) {
            print_row(out, &group->info[i], NULL);
        }
    }
}

int config_print_comment(FILE *out, const char *path, const char *prefix)
{
    for (size_t g = 0; g < CONFIG_GROUP_COUNT; g++) {
        const struct config_group *group = &config_groups[g];
        size_t length = strlen(group->path);
        if (strncmp(path, group->path, length) != 0 || (length > 0 && path[length] != '.')) {
            continue;
        }
        const struct config_info *info =
            config_info_find((enum config_group_id)g, path + length + (length > 0));
        if (!info) {
            continue;
        }
        char type[160], value[96], head[320];
        describe_type(info, type, sizeof type);
        describe_default(info, value, sizeof value);
        (void)snprintf(head, sizeof head, "%s: %s; default: %s.", info->key, type, value);
        print_wrapped(out, prefix, head, 100);
        print_wrapped(out, prefix, info->doc, 100);
        return 0;
    }
    return -ENOENT;
}

int config_print_group(FILE *out, const char *name)
{
    for (size_t g = 1; g < CONFIG_GROUP_COUNT; g++) {
        const struct config_group *group = &config_groups[g];
        if (strcmp(group->path, name) != 0) {
            continue;
        }
        print_wrapped(out, "# ", group->doc, 100);
        (void)fprintf(out, "%s = {\n", name);
        for (size_t i = 0; i < group->info_count; i++) {
            const struct config_info *info = &group->info[i];
            bool word = info->kind == CONFIG_KIND_STRING || info->kind == CONFIG_KIND_ENUM ||
                        info->kind == CONFIG_KIND_STRINGS || strcmp(info->value, "auto") == 0;
            print_wrapped(out, "    # ", info->doc, 100);
            const char *quote = word ? "\"" : "";
            (void)fprintf(out, "    # %s = %s%s%s;\n", info->key, quote, info->value, quote);
        }
        (void)fputs("};\n", out);
        return 0;
    }
    return -ENOENT;
}
