/*
 * shunt.cfg as values: what libconfig parsed, with the line of each. It knows no setting.
 */
#include "base/config_priv.h"

#include <ctype.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

/* What libconfig would let pass or act on: NUL bytes, @include. */
static bool scan_text(struct config_reader *reader, const char *text, size_t size)
{
    uint32_t line = 1;
    bool at_start = true;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\0') {
            config_error(reader, (struct config_mark){line, 0},
                         "holds a NUL byte; this is not a text file");
            return false;
        }
        if (at_start && size - i > 8 && strncmp(text + i, "@include", 8) == 0) {
            config_error(reader, (struct config_mark){line, 0},
                         "@include is not taken; write every setting in one file");
            return false;
        }
        line += text[i] == '\n';
        at_start = text[i] == '\n' || (at_start && isspace((unsigned char)text[i]));
    }
    return true;
}

/* Copies one setting, without its children; false: out of memory. */
static bool copy_setting(struct config_reader *reader, const config_setting_t *from,
                         struct config_value *to)
{
    const char *name = config_setting_name(from);
    to->name = name ? config_copy(reader, name) : "";
    to->at.line = (uint32_t)config_setting_source_line(from);
    switch (config_setting_type(from)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        to->kind = CONFIG_VALUE_INT;
        to->integer = config_setting_get_int64(from);
        to->real = (double)to->integer;
        break;
    case CONFIG_TYPE_FLOAT:
        to->kind = CONFIG_VALUE_REAL;
        to->real = config_setting_get_float(from);
        break;
    case CONFIG_TYPE_BOOL:
        to->kind = CONFIG_VALUE_BOOL;
        to->yes = config_setting_get_bool(from) != 0;
        break;
    case CONFIG_TYPE_STRING:
        to->kind = CONFIG_VALUE_TEXT;
        to->text = config_copy(reader, config_setting_get_string(from));
        break;
    case CONFIG_TYPE_GROUP:
        to->kind = CONFIG_VALUE_GROUP;
        break;
    case CONFIG_TYPE_ARRAY:
        to->kind = CONFIG_VALUE_ARRAY;
        break;
    case CONFIG_TYPE_LIST:
        to->kind = CONFIG_VALUE_LIST;
        break;
    default:
        to->kind = CONFIG_VALUE_NOTHING;
        break;
    }
    return !reader->out_of_memory;
}

/* libconfig bounds its own nesting, and so this one's. */
static struct config_value *copy_tree(struct config_reader *reader, const config_setting_t *from)
{
    struct config_value *value = config_alloc(reader, 1, sizeof *value);
    if (!value || !copy_setting(reader, from, value)) {
        return NULL;
    }
    bool holds = value->kind == CONFIG_VALUE_GROUP || value->kind == CONFIG_VALUE_ARRAY ||
                 value->kind == CONFIG_VALUE_LIST;
    struct config_value **last = &value->child;
    for (int i = 0; holds && i < config_setting_length(from); i++) {
        *last = copy_tree(reader, config_setting_get_elem(from, (unsigned)i));
        if (!*last) {
            return NULL;
        }
        last = &(*last)->next;
        value->count++;
    }
    return value;
}

struct config_value *config_parse_libconfig(struct config_reader *reader, const char *text,
                                            size_t size)
{
    char *copy = malloc(size + 1);
    if (!copy) {
        reader->out_of_memory = true;
        return NULL;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    struct config_value *root = NULL;
    if (scan_text(reader, copy, size)) {
        config_t parsed;
        config_init(&parsed);
        if (config_read_string(&parsed, copy) == CONFIG_TRUE) {
            root = copy_tree(reader, config_root_setting(&parsed));
        } else {
            struct config_mark at = {(uint32_t)config_error_line(&parsed), 0};
            config_error(reader, at, "%s", config_error_text(&parsed));
        }
        config_destroy(&parsed);
    }
    free(copy);
    return root;
}
