/*
 * Parameters of a policy: declarations, typed text, layered values, complete sets.
 *
 * A set keeps what every origin named as a flat list of entries and rebuilds the effective values
 * from the whole list after each change. Batches are rare (an operator, a reload) and small, so
 * simplicity wins over speed; what a policy reads is the finished arrays.
 */
#include "base/params.h"

#include "base/fail.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOC_BYTES_MAX = 4096, UNIT_BYTES_MAX = 31, YAML_COLUMNS_MAX = 160 };

/* Integers travel as doubles in declarations, so no further than doubles are exact. */
#define INT_MAX_ABS 9007199254740992.0
/* Seconds that fit in int64_t nanoseconds with room to add. */
#define DURATION_MAX_S 1e9

const char *param_origin_name(enum param_origin origin)
{
    static const char *const names[] = {"default", "values", "config", "set"};
    return (size_t)origin < sizeof names / sizeof names[0] ? names[origin] : "?";
}

const char *param_type_name(uint32_t type)
{
    static const char *const names[] = {"?", "int", "real", "duration", "enum", "bool", "vector"};
    return type < sizeof names / sizeof names[0] ? names[type] : "?";
}

/* ------------------------------------------------------------------ declarations */

static bool name_is_valid(const char *name)
{
    if (!name || name[0] < 'a' || name[0] > 'z') {
        return false;
    }
    size_t i = 1;
    for (; name[i]; i++) {
        char c = name[i];
        bool legal = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (!legal || i >= PARAMS_NAME_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

/* One line of printable text, or NULL where that is allowed. */
static bool text_is_valid(const char *text, size_t bytes_max)
{
    if (!text) {
        return true;
    }
    size_t i = 0;
    for (; text[i]; i++) {
        if (i >= bytes_max || (unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_integral(uint32_t type)
{
    return type == SHUNT_PARAM_INT || type == SHUNT_PARAM_ENUM || type == SHUNT_PARAM_BOOL;
}

static bool has_range(uint32_t type)
{
    return type != SHUNT_PARAM_ENUM && type != SHUNT_PARAM_BOOL;
}

static int check_choices(const struct shunt_param_info *info, char *err, size_t err_size)
{
    if (info->type != SHUNT_PARAM_ENUM) {
        return info->choice_count == 0
                   ? 0
                   : fail(-EINVAL, err, err_size, "parameter \"%s\": choices without type enum",
                          info->name);
    }
    if (!info->choices || info->choice_count == 0 || info->choice_count > PARAMS_CHOICES_MAX) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": an enum needs 1 to %d choices",
                    info->name, PARAMS_CHOICES_MAX);
    }
    for (uint32_t i = 0; i < info->choice_count; i++) {
        if (!name_is_valid(info->choices[i])) {
            return fail(-EINVAL, err, err_size,
                        "parameter \"%s\": choice %u is not of the form [a-z][a-z0-9_]*",
                        info->name, i);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(info->choices[i], info->choices[j]) == 0) {
                return fail(-EINVAL, err, err_size, "parameter \"%s\": choice \"%s\" twice",
                            info->name, info->choices[i]);
            }
        }
    }
    return 0;
}

/* Turns the ignored range of enum and bool into the real one, so that one check serves all. */
static void normalise_range(struct shunt_param_info *info)
{
    if (info->type == SHUNT_PARAM_BOOL) {
        info->value_min = 0;
        info->value_max = 1;
    } else if (info->type == SHUNT_PARAM_ENUM) {
        info->value_min = 0;
        info->value_max = (double)info->choice_count - 1;
    }
}

static int check_range(const struct shunt_param_info *info, char *err, size_t err_size)
{
    double low = info->value_min, high = info->value_max, value = info->value_default;
    if (!isfinite(low) || !isfinite(high) || !(low <= high)) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": range %g..%g is not a range",
                    info->name, low, high);
    }
    double limit = info->type == SHUNT_PARAM_INT        ? INT_MAX_ABS
                   : info->type == SHUNT_PARAM_DURATION ? DURATION_MAX_S
                                                        : HUGE_VAL;
    if (fabs(low) > limit || fabs(high) > limit) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": range %g..%g is beyond %g",
                    info->name, low, high, limit);
    }
    if (!(value >= low && value <= high)) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": default %g is outside %g..%g",
                    info->name, value, low, high);
    }
    if (is_integral(info->type) &&
        (value != floor(value) || low != floor(low) || high != floor(high))) {
        return fail(-EINVAL, err, err_size,
                    "parameter \"%s\": default and range of type %s must be whole numbers",
                    info->name, param_type_name(info->type));
    }
    if ((info->flags & SHUNT_PARAM_LOG_SCALE) && !(low > 0)) {
        return fail(-EINVAL, err, err_size,
                    "parameter \"%s\": a logarithmic scale needs a smallest value above 0",
                    info->name);
    }
    return 0;
}

static int check_info(const struct shunt_param_info *info, uint32_t index, char *err,
                      size_t err_size)
{
    if (info->size < offsetof(struct shunt_param_info, vector_len) + sizeof info->vector_len) {
        return fail(-EINVAL, err, err_size, "parameter %u: size %u is too small", index,
                    info->size);
    }
    if (!name_is_valid(info->name)) {
        return fail(-EINVAL, err, err_size,
                    "parameter %u: its name is not [a-z][a-z0-9_]* of at most %d bytes", index,
                    PARAMS_NAME_BYTES_MAX);
    }
    if (info->type < SHUNT_PARAM_INT || info->type > SHUNT_PARAM_VECTOR) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": unknown type %u", info->name,
                    info->type);
    }
    uint32_t known = SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE | SHUNT_PARAM_PER_MODEL |
                     SHUNT_PARAM_LOG_SCALE | SHUNT_PARAM_HIDDEN;
    if (info->flags & ~known) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": unknown flags %#x", info->name,
                    info->flags & ~known);
    }
    bool vector = info->type == SHUNT_PARAM_VECTOR;
    if (vector ? info->vector_len == 0 || info->vector_len > PARAMS_VECTOR_MAX
               : info->vector_len != 0) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": vector_len %u does not fit its type",
                    info->name, info->vector_len);
    }
    if (vector && (info->flags & SHUNT_PARAM_PER_MODEL)) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": a vector cannot be per model",
                    info->name);
    }
    if (!text_is_valid(info->unit, UNIT_BYTES_MAX) || !text_is_valid(info->doc, DOC_BYTES_MAX)) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": unit or doc is not one line of text",
                    info->name);
    }
    return 0;
}

/* Copies an entry of a plugin's array: what its producer did not know is zero. */
static void copy_sized(void *to, size_t to_size, const void *from, uint32_t from_size)
{
    memset(to, 0, to_size);
    memcpy(to, from, from_size < to_size ? from_size : to_size);
}

static int init_infos(struct params_schema *schema, const struct shunt_plugin *plugin,
                      uint32_t stride, char *err, size_t err_size)
{
    const char *base = (const char *)plugin->params;
    for (uint32_t i = 0; i < schema->count; i++) {
        struct shunt_param_info *info = &schema->info[i];
        copy_sized(info, sizeof *info, base + (size_t)stride * i, stride);
        int rc = check_info(info, i, err, err_size);
        if (rc == 0) {
            rc = check_choices(info, err, err_size);
        }
        if (rc == 0) {
            normalise_range(info);
            rc = check_range(info, err, err_size);
        }
        if (rc) {
            return rc;
        }
        info->unit = info->unit ? info->unit : "";
        info->doc = info->doc ? info->doc : "";
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(schema->info[j].name, info->name) == 0) {
                return fail(-EINVAL, err, err_size, "parameter \"%s\" is declared twice",
                            info->name);
            }
            if (schema->info[j].id == info->id) {
                return fail(-EINVAL, err, err_size, "parameters \"%s\" and \"%s\" have one id %u",
                            schema->info[j].name, info->name, info->id);
            }
        }
    }
    return 0;
}

static int init_constraints(struct params_schema *schema, const struct shunt_plugin *plugin,
                            uint32_t stride, char *err, size_t err_size)
{
    const char *base = (const char *)plugin->constraints;
    for (uint32_t i = 0; i < schema->constraint_count; i++) {
        struct shunt_param_constraint *it = &schema->constraint[i];
        copy_sized(it, sizeof *it, base + (size_t)stride * i, stride);
        if (it->size < offsetof(struct shunt_param_constraint, doc) + sizeof it->doc ||
            it->left >= schema->count || it->right >= schema->count || !isfinite(it->factor) ||
            !text_is_valid(it->doc, DOC_BYTES_MAX)) {
            return fail(-EINVAL, err, err_size, "constraint %u: does not name two parameters", i);
        }
        it->doc = it->doc ? it->doc : "";
        const struct shunt_param_info *left = &schema->info[it->left];
        const struct shunt_param_info *right = &schema->info[it->right];
        if (left->type == SHUNT_PARAM_VECTOR || right->type == SHUNT_PARAM_VECTOR) {
            return fail(-EINVAL, err, err_size, "constraint %u: vectors cannot be compared", i);
        }
        if (!(left->value_default <= it->factor * right->value_default)) {
            return fail(-EINVAL, err, err_size,
                        "constraint %u: the defaults break \"%s\" <= %g * \"%s\"", i, left->name,
                        it->factor, right->name);
        }
    }
    return 0;
}

/* The stated stride; where none is, the size of the first element, which begins with it. 0 if there
 * is no array. */
static uint32_t stride_of(uint32_t stated, const void *array)
{
    uint32_t size = 0;
    if (array) {
        memcpy(&size, array, sizeof size);
    }
    return array && stated > 0 ? stated : size;
}

int params_schema_init(struct params_schema *ret_schema, const struct shunt_plugin *plugin,
                       char *err, size_t err_size)
{
    if (plugin->param_count > PARAMS_MAX || plugin->constraint_count > PARAMS_CONSTRAINTS_MAX) {
        return fail(-EINVAL, err, err_size, "%u parameters and %u constraints; at most %d and %d",
                    plugin->param_count, plugin->constraint_count, PARAMS_MAX,
                    PARAMS_CONSTRAINTS_MAX);
    }
    /* Any stride that holds what release 1.0 declared is legal; it must keep pointers aligned. */
    uint32_t info_min = offsetof(struct shunt_param_info, vector_len) + sizeof(uint32_t);
    uint32_t constraint_min = offsetof(struct shunt_param_constraint, doc) + sizeof(const char *);
    uint32_t info_stride = stride_of(plugin->param_stride, plugin->params);
    uint32_t constraint_stride = stride_of(plugin->constraint_stride, plugin->constraints);
    if (plugin->param_count > 0 && (info_stride < info_min || info_stride % sizeof(void *) != 0)) {
        return fail(-EINVAL, err, err_size, "parameter declarations missing or of stride %u",
                    info_stride);
    }
    if (plugin->constraint_count > 0 &&
        (constraint_stride < constraint_min || constraint_stride % sizeof(void *) != 0)) {
        return fail(-EINVAL, err, err_size, "constraint declarations missing or of stride %u",
                    constraint_stride);
    }
    struct params_schema *schema = calloc(1, sizeof *schema);
    if (!schema) {
        return fail(-ENOMEM, err, err_size, "out of memory");
    }
    schema->count = plugin->param_count;
    schema->constraint_count = plugin->constraint_count;
    int rc = init_infos(schema, plugin, info_stride, err, err_size);
    if (rc == 0) {
        rc = init_constraints(schema, plugin, constraint_stride, err, err_size);
    }
    if (rc == 0) {
        *ret_schema = *schema;
    }
    free(schema);
    return rc;
}

int params_schema_find(const struct params_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        if (strcmp(schema->info[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -ENOENT;
}

/* ------------------------------------------------------------------ text of one value */

/* A decimal number at `text`; NULL if there is none, else where it ends. Hexadecimal, "inf" and
 * "nan", which strtod would take, are no numbers here. */
static const char *parse_number(const char *text, double *ret_value)
{
    size_t length = strspn(text, "+-.0123456789eE");
    char copy[64];
    if (length == 0 || length >= sizeof copy) {
        return NULL;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *end = NULL;
    double value = strtod(copy, &end);
    if (end != copy + length || !isfinite(value)) {
        return NULL;
    }
    *ret_value = value;
    return text + length;
}

static int parse_vector(const struct shunt_param_info *info, const char *text, double *values,
                        char *err, size_t err_size)
{
    static const char gap[] = " \t,";
    const char *at = text + strspn(text, " \t");
    bool bracket = *at == '[';
    at += bracket;
    uint32_t count = 0;
    for (at += strspn(at, gap); *at && *at != ']'; at += strspn(at, gap)) {
        double value = 0;
        const char *end = parse_number(at, &value);
        if (!end || (*end && !strchr(" \t,]", *end)) || count == info->vector_len) {
            return fail(-EINVAL, err, err_size, "parameter \"%s\": \"%.64s\" is not [%u numbers]",
                        info->name, text, info->vector_len);
        }
        values[count++] = value;
        at = end;
    }
    if (bracket != (*at == ']') || (bracket && at[1 + strspn(at + 1, " \t")] != '\0') ||
        count != info->vector_len) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": \"%.64s\" is not [%u numbers]",
                    info->name, text, info->vector_len);
    }
    return 0;
}

static int parse_scalar(const struct shunt_param_info *info, const char *text, double *ret_value,
                        char *err, size_t err_size)
{
    if (info->type == SHUNT_PARAM_ENUM) {
        for (uint32_t i = 0; i < info->choice_count; i++) {
            if (strcmp(info->choices[i], text) == 0) {
                *ret_value = i;
                return 0;
            }
        }
        char known[256] = "";
        for (uint32_t i = 0, used = 0; i < info->choice_count && used < sizeof known - 1; i++) {
            int n = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                             info->choices[i]);
            used += n > 0 ? (uint32_t)n : 0;
        }
        return fail(-EINVAL, err, err_size, "parameter \"%s\": \"%.64s\" is none of %s", info->name,
                    text, known);
    }
    if (info->type == SHUNT_PARAM_BOOL) {
        bool yes = strcmp(text, "true") == 0, no = strcmp(text, "false") == 0;
        if (!yes && !no) {
            return fail(-EINVAL, err, err_size, "parameter \"%s\": \"%.64s\" is not true or false",
                        info->name, text);
        }
        *ret_value = yes;
        return 0;
    }
    double value = 0;
    const char *end = parse_number(text, &value);
    if (!end || *end) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": \"%.64s\" is not a number%s",
                    info->name, text, info->type == SHUNT_PARAM_DURATION ? " of seconds" : "");
    }
    if (info->type == SHUNT_PARAM_INT && value != floor(value)) {
        return fail(-EINVAL, err, err_size, "parameter \"%s\": \"%.64s\" is not a whole number",
                    info->name, text);
    }
    *ret_value = value;
    return 0;
}

int param_parse(const struct shunt_param_info *info, const char *text,
                double values[PARAMS_VECTOR_MAX], char *err, size_t err_size)
{
    double parsed[PARAMS_VECTOR_MAX] = {0};
    bool vector = info->type == SHUNT_PARAM_VECTOR;
    int rc = vector ? parse_vector(info, text, parsed, err, err_size)
                    : parse_scalar(info, text, parsed, err, err_size);
    if (rc) {
        return rc;
    }
    uint32_t count = vector ? info->vector_len : 1;
    for (uint32_t i = 0; i < count; i++) {
        if (!(parsed[i] >= info->value_min && parsed[i] <= info->value_max)) {
            return fail(-EINVAL, err, err_size, "parameter \"%s\": %.17g is outside %g..%g%s%s",
                        info->name, parsed[i], info->value_min, info->value_max,
                        info->unit[0] ? " " : "", info->unit);
        }
    }
    memcpy(values, parsed, count * sizeof parsed[0]);
    return 0;
}

/* Shortest text that reads back to the same double; `point` keeps a real recognisable as one. */
static int print_number(double value, bool point, char *text, size_t size)
{
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) {
            break;
        }
    }
    bool exponent = strchr(digits, 'e') != NULL;
    if (exponent && fabs(value) >= 1 && fabs(value) < 1e15) {
        (void)snprintf(digits, sizeof digits, "%.0f", value); /* 100, not 1e+02 */
        exponent = false;
    }
    const char *tail = point && !exponent && !strchr(digits, '.') ? ".0" : "";
    int n = snprintf(text, size, "%s%s", digits, tail);
    return n >= 0 && (size_t)n < size ? 0 : -ENOSPC;
}

int param_print(const struct shunt_param_info *info, const double *values, char *text, size_t size)
{
    int n = 0;
    switch (info->type) {
    case SHUNT_PARAM_BOOL:
        n = snprintf(text, size, "%s", values[0] != 0 ? "true" : "false");
        break;
    case SHUNT_PARAM_ENUM: {
        bool known = values[0] >= 0 && values[0] < (double)info->choice_count;
        n = snprintf(text, size, "%s", known ? info->choices[(uint32_t)values[0]] : "?");
        break;
    }
    case SHUNT_PARAM_VECTOR: {
        size_t used = 0;
        for (uint32_t i = 0; i < info->vector_len; i++) {
            char number[40];
            (void)print_number(values[i], true, number, sizeof number);
            int m = snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "[", number);
            if (m < 0 || (size_t)m >= size - used) {
                return -ENOSPC;
            }
            used += (size_t)m;
        }
        n = snprintf(text + used, size - used, "]");
        return n == 1 && used + 1 < size ? 0 : -ENOSPC;
    }
    default:
        return print_number(values[0], info->type != SHUNT_PARAM_INT, text, size);
    }
    return n >= 0 && (size_t)n < size ? 0 : -ENOSPC;
}

/* ------------------------------------------------------------------ printed schema */

static void yaml_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', out);
        }
        (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

/* A plain scalar where YAML reads it back as the same string, a quoted one otherwise. */
static void yaml_scalar(FILE *out, const char *text)
{
    bool plain = (text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z');
    static const char *const words[] = {"true", "false", "null", "yes",  "no",    "on",
                                        "off",  "y",     "n",    "True", "False", "Null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        plain = plain && strcmp(text, words[i]) != 0;
    }
    size_t length = strlen(text);
    plain = plain && !strstr(text, ": ") && !strstr(text, " #") && !strpbrk(text, "[]{}\"\\");
    plain = plain && text[length - 1] != ':' && text[length - 1] != ' ';
    if (plain) {
        (void)fputs(text, out);
    } else {
        yaml_quoted(out, text);
    }
}

static void yaml_parameter(FILE *out, const struct shunt_param_info *info)
{
    char value[PARAMS_TEXT_BYTES_MAX] = "";
    double values[PARAMS_VECTOR_MAX];
    for (uint32_t i = 0; i < PARAMS_VECTOR_MAX; i++) {
        values[i] = info->value_default;
    }
    (void)param_print(info, values, value, sizeof value);
    char *head = NULL;
    size_t head_size = 0;
    FILE *line = open_memstream(&head, &head_size);
    if (!line) {
        return;
    }
    (void)fprintf(line, "    {type: %s", param_type_name(info->type));
    if (info->type == SHUNT_PARAM_VECTOR) {
        (void)fprintf(line, ", length: %u", info->vector_len);
    }
    if (info->flags & SHUNT_PARAM_PER_MODEL) {
        (void)fputs(", per: model", line);
    }
    (void)fprintf(line, ", default: %s", value);
    if (info->type == SHUNT_PARAM_ENUM) {
        (void)fputs(", choices: [", line);
        for (uint32_t i = 0; i < info->choice_count; i++) {
            (void)fprintf(line, "%s%s", i > 0 ? ", " : "", info->choices[i]);
        }
        (void)fputc(']', line);
    } else if (has_range(info->type)) {
        char low[40], high[40];
        bool point = info->type != SHUNT_PARAM_INT;
        (void)print_number(info->value_min, point, low, sizeof low);
        (void)print_number(info->value_max, point, high, sizeof high);
        (void)fprintf(line, ", range: [%s, %s]", low, high);
    }
    if (info->flags & SHUNT_PARAM_LOG_SCALE) {
        (void)fputs(", scale: log", line);
    }
    if (info->unit[0]) {
        (void)fputs(", unit: ", line);
        yaml_scalar(line, info->unit);
    }
    (void)fprintf(line, ", live: %s, tune: %s%s,",
                  info->flags & SHUNT_PARAM_LIVE ? "true" : "false",
                  info->flags & SHUNT_PARAM_TUNE ? "true" : "false",
                  info->flags & SHUNT_PARAM_HIDDEN ? ", hidden: true" : "");
    (void)fclose(line);
    bool fits = head && head_size + strlen(info->doc) + 9 <= YAML_COLUMNS_MAX;
    (void)fprintf(out, "  %s:\n%s%sdoc: ", info->name, head ? head : "", fits ? " " : "\n     ");
    yaml_quoted(out, info->doc);
    (void)fputs("}\n", out);
    free(head);
}

int params_schema_yaml(const struct params_schema *schema, const struct shunt_plugin *plugin,
                       char **ret_text)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return -ENOMEM;
    }
    (void)fprintf(
        out, "policy: %s\nversion: %s\nabi: \">=%u.%u\"\nstate_schema: %u\nsummary: ", plugin->id,
        plugin->version, plugin->abi_major, plugin->abi_minor_min, plugin->state_schema);
    yaml_scalar(out, plugin->summary);
    (void)fprintf(out, "\nparameters:%s\n", schema->count == 0 ? " {}" : "");
    for (uint32_t i = 0; i < schema->count; i++) {
        yaml_parameter(out, &schema->info[i]);
    }
    (void)fprintf(out, "constraints:%s\n", schema->constraint_count == 0 ? " []" : "");
    for (uint32_t i = 0; i < schema->constraint_count; i++) {
        const struct shunt_param_constraint *it = &schema->constraint[i];
        char factor[40];
        (void)print_number(it->factor, true, factor, sizeof factor);
        (void)fprintf(out,
                      "  - {left: %s, right: %s, factor: %s, doc: ", schema->info[it->left].name,
                      schema->info[it->right].name, factor);
        yaml_quoted(out, it->doc);
        (void)fputs("}\n", out);
    }
    bool bad = ferror(out) != 0;
    if (fclose(out) != 0 || bad) {
        free(text);
        return -ENOMEM;
    }
    *ret_text = text;
    return 0;
}

/* ------------------------------------------------------------------ sets */

/* What an origin named: one value of a parameter for one model, or for all. */
struct entry {
    uint32_t index;
    enum param_origin origin;
    char *model; /* NULL: all */
    double values[PARAMS_VECTOR_MAX];
};

struct params {
    const struct params_schema *schema;
    char **models;
    uint32_t model_count;

    struct entry *entries; /* in the order given */
    size_t entry_count;
    size_t entry_room;

    /* Effective values: parameter i has its elements from first[i] on, at least one. */
    size_t first[PARAMS_MAX + 1];
    double *number;   /* in the declaration's unit */
    int64_t *integer; /* as it crosses the ABI, where it does so as an integer */
    uint8_t *origin;
    struct shunt_param_value value[PARAMS_MAX];
    struct shunt_params view;
};

static void free_names(char **names, uint32_t count)
{
    for (uint32_t i = 0; names && i < count; i++) {
        free(names[i]);
    }
    free(names);
}

static char **copy_names(const char *const *names, uint32_t count)
{
    char **copy = calloc(count > 0 ? count : 1, sizeof *copy);
    for (uint32_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(names[i]);
        if (!copy[i]) {
            free_names(copy, count);
            return NULL;
        }
    }
    return copy;
}

static uint32_t element_count(const struct params *params, uint32_t index)
{
    const struct shunt_param_info *info = &params->schema->info[index];
    if (info->type == SHUNT_PARAM_VECTOR) {
        return info->vector_len;
    }
    return info->flags & SHUNT_PARAM_PER_MODEL ? params->model_count : 1;
}

/* Lays the arrays out for the present number of models. An empty per-model parameter keeps one
 * element, its value for all models, so that the SDK's accessors always have something to read. */
static int layout(struct params *params)
{
    size_t total = 0;
    for (uint32_t i = 0; i < params->schema->count; i++) {
        params->first[i] = total;
        uint32_t count = element_count(params, i);
        total += count > 0 ? count : 1;
    }
    params->first[params->schema->count] = total;
    params->number = calloc(total + 1, sizeof *params->number);
    params->integer = calloc(total + 1, sizeof *params->integer);
    params->origin = calloc(total + 1, sizeof *params->origin);
    return params->number && params->integer && params->origin ? 0 : -ENOMEM;
}

static void apply_entry(struct params *params, const struct entry *entry)
{
    size_t first = params->first[entry->index];
    size_t room = params->first[entry->index + 1] - first;
    const struct shunt_param_info *info = &params->schema->info[entry->index];
    for (size_t i = 0; i < room; i++) {
        if (entry->model &&
            (i >= params->model_count || strcmp(params->models[i], entry->model) != 0)) {
            continue;
        }
        params->number[first + i] = entry->values[info->type == SHUNT_PARAM_VECTOR ? i : 0];
        params->origin[first + i] = (uint8_t)entry->origin;
    }
}

/* Computes the effective values from the defaults and all entries, weakest origin first. */
static void evaluate(struct params *params)
{
    const struct params_schema *schema = params->schema;
    for (uint32_t i = 0; i < schema->count; i++) {
        for (size_t at = params->first[i]; at < params->first[i + 1]; at++) {
            params->number[at] = schema->info[i].value_default;
            params->origin[at] = PARAM_ORIGIN_DEFAULT;
        }
    }
    for (int origin = PARAM_ORIGIN_VALUES; origin <= PARAM_ORIGIN_SET; origin++) {
        for (size_t i = 0; i < params->entry_count; i++) {
            if ((int)params->entries[i].origin == origin) {
                apply_entry(params, &params->entries[i]);
            }
        }
    }
    for (uint32_t i = 0; i < schema->count; i++) {
        uint32_t type = schema->info[i].type;
        bool real = type == SHUNT_PARAM_REAL || type == SHUNT_PARAM_VECTOR;
        double scale = type == SHUNT_PARAM_DURATION ? 1e9 : 1;
        for (size_t at = params->first[i]; at < params->first[i + 1]; at++) {
            params->integer[at] = real ? 0 : (int64_t)llround(params->number[at] * scale);
        }
        params->value[i] = (struct shunt_param_value){
            .integer = real ? NULL : &params->integer[params->first[i]],
            .real = real ? &params->number[params->first[i]] : NULL,
            .count = element_count(params, i),
            .changed = 1,
        };
    }
    params->view = (struct shunt_params){.size = sizeof params->view,
                                         .count = schema->count,
                                         .stride = sizeof params->value[0],
                                         .values = params->value};
}

static int check_constraints(const struct params *params, char *err, size_t err_size)
{
    for (uint32_t i = 0; i < params->schema->constraint_count; i++) {
        const struct shunt_param_constraint *it = &params->schema->constraint[i];
        size_t left_room = params->first[it->left + 1] - params->first[it->left];
        size_t right_room = params->first[it->right + 1] - params->first[it->right];
        for (size_t k = 0; k < left_room || k < right_room; k++) {
            double left = params->number[params->first[it->left] + (k < left_room ? k : 0)];
            double right = params->number[params->first[it->right] + (k < right_room ? k : 0)];
            if (!(left <= it->factor * right)) {
                return fail(-EINVAL, err, err_size,
                            "parameters: \"%s\" = %g must be at most %g times \"%s\" = %g: %s",
                            params->schema->info[it->left].name, left, it->factor,
                            params->schema->info[it->right].name, right, it->doc);
            }
        }
    }
    return 0;
}

int params_compare(struct params *next, const struct params *last, bool live_only, char *err,
                   size_t err_size)
{
    for (uint32_t i = 0; i < next->schema->count; i++) {
        size_t room = next->first[i + 1] - next->first[i];
        bool same = room == last->first[i + 1] - last->first[i] &&
                    memcmp(&next->number[next->first[i]], &last->number[last->first[i]],
                           room * sizeof *next->number) == 0;
        next->value[i].changed = !same;
        if (!same && live_only && !(next->schema->info[i].flags & SHUNT_PARAM_LIVE)) {
            return fail(-EPERM, err, err_size,
                        "parameter \"%s\" cannot change while the policy runs; swap the policy "
                        "with the new value instead",
                        next->schema->info[i].name);
        }
    }
    return 0;
}

static void fini(struct params *params)
{
    for (size_t i = 0; i < params->entry_count; i++) {
        free(params->entries[i].model);
    }
    free(params->entries);
    free_names(params->models, params->model_count);
    free(params->number);
    free(params->integer);
    free(params->origin);
}

void params_destroy(struct params *params)
{
    if (params) {
        fini(params);
        free(params);
    }
}

static int reserve_entries(struct params *params, size_t room)
{
    if (room <= params->entry_room) {
        return 0;
    }
    struct entry *grown = realloc(params->entries, room * sizeof *grown);
    if (!grown) {
        return -ENOMEM;
    }
    params->entries = grown;
    params->entry_room = room;
    return 0;
}

/* A copy of `params` with other models, with room for `extra` entries. */
static int copy_with(const struct params *params, const char *const *models, uint32_t model_count,
                     size_t extra, struct params **ret_params)
{
    if (model_count > PARAMS_MODELS_MAX || params->entry_count + extra > PARAMS_ENTRIES_MAX) {
        return -E2BIG;
    }
    struct params *copy = calloc(1, sizeof *copy);
    if (!copy) {
        return -ENOMEM;
    }
    copy->schema = params->schema;
    copy->models = copy_names(models, model_count);
    copy->model_count = copy->models ? model_count : 0;
    int rc = copy->models ? reserve_entries(copy, params->entry_count + extra + 1) : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < params->entry_count; i++) {
        copy->entries[i] = params->entries[i];
        copy->entries[i].model = NULL;
        copy->entry_count++;
        if (params->entries[i].model) {
            copy->entries[i].model = strdup(params->entries[i].model);
            rc = copy->entries[i].model ? 0 : -ENOMEM;
        }
    }
    if (rc == 0) {
        rc = layout(copy);
    }
    if (rc) {
        params_destroy(copy);
        return rc;
    }
    evaluate(copy);
    *ret_params = copy;
    return 0;
}

int params_create(const struct params_schema *schema, const char *const *models,
                  uint32_t model_count, struct params **ret_params)
{
    const struct params empty = {.schema = schema};
    return copy_with(&empty, models, model_count, 0, ret_params);
}

int params_clone(const struct params *params, struct params **ret_params)
{
    struct params *copy = NULL;
    int rc = copy_with(params, (const char *const *)params->models, params->model_count, 0, &copy);
    if (rc) {
        return rc;
    }
    for (uint32_t i = 0; i < params->schema->count; i++) {
        copy->value[i].changed = params->value[i].changed;
    }
    *ret_params = copy;
    return 0;
}

/* Makes `params` what `next` is and frees the old content with the shell of `next`. */
static void take(struct params *params, struct params *next)
{
    struct params old = *params;
    *params = *next;
    params->view.values = params->value;
    fini(&old);
    free(next);
}

int params_set_models(struct params *params, const char *const *models, uint32_t model_count)
{
    struct params *next = NULL;
    int rc = copy_with(params, models, model_count, 0, &next);
    if (rc) {
        return rc;
    }
    for (uint32_t i = 0; i < params->schema->count; i++) {
        next->value[i].changed = (params->schema->info[i].flags & SHUNT_PARAM_PER_MODEL) != 0;
    }
    take(params, next);
    return 0;
}

/* Removes what `origin` named before for the same value; a value for all models replaces those of
 * single models, too. */
static void drop_replaced(struct params *params, uint32_t index, enum param_origin origin,
                          const char *model)
{
    size_t kept = 0;
    for (size_t i = 0; i < params->entry_count; i++) {
        struct entry *entry = &params->entries[i];
        bool replaced = entry->index == index && entry->origin == origin &&
                        (!model || (entry->model && strcmp(entry->model, model) == 0));
        if (replaced) {
            free(entry->model);
        } else {
            params->entries[kept++] = *entry;
        }
    }
    params->entry_count = kept;
}

static int add_assignment(struct params *params, const struct param_assignment *given,
                          enum param_origin origin, char *err, size_t err_size)
{
    int index = params_schema_find(params->schema, given->name);
    if (index < 0) {
        char known[512] = "";
        size_t used = 0;
        for (uint32_t i = 0; i < params->schema->count && used < sizeof known - 1; i++) {
            int n = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                             params->schema->info[i].name);
            used += n > 0 ? (size_t)n : 0;
        }
        return fail(-ENOENT, err, err_size, "no parameter \"%.64s\"; known: %s", given->name,
                    params->schema->count == 0 ? "none" : known);
    }
    const struct shunt_param_info *info = &params->schema->info[index];
    if (given->model && !(info->flags & SHUNT_PARAM_PER_MODEL)) {
        return fail(-EINVAL, err, err_size,
                    "parameter \"%s\" has one value for all models, not one for \"%.64s\"",
                    info->name, given->model);
    }
    struct entry entry = {.index = (uint32_t)index, .origin = origin};
    int rc = param_parse(info, given->text, entry.values, err, err_size);
    if (rc) {
        return rc;
    }
    if (given->model) {
        entry.model = strdup(given->model);
        if (!entry.model) {
            return fail(-ENOMEM, err, err_size, "out of memory");
        }
    }
    drop_replaced(params, entry.index, origin, given->model);
    assert(params->entry_count < params->entry_room);
    params->entries[params->entry_count++] = entry;
    return 0;
}

/* Evaluates and checks `next`, then commits it to `params` or drops it. */
static int commit(struct params *params, struct params *next, bool live_only, char *err,
                  size_t err_size)
{
    evaluate(next);
    int rc = check_constraints(next, err, err_size);
    if (rc == 0) {
        rc = params_compare(next, params, live_only, err, err_size);
    }
    if (rc) {
        params_destroy(next);
        return rc;
    }
    take(params, next);
    return 0;
}

int params_apply(struct params *params, const struct param_assignment *assignments, size_t count,
                 enum param_origin origin, bool live_only, char *err, size_t err_size)
{
    assert(origin > PARAM_ORIGIN_DEFAULT && origin <= PARAM_ORIGIN_SET);
    struct params *next = NULL;
    int rc =
        copy_with(params, (const char *const *)params->models, params->model_count, count, &next);
    if (rc) {
        return fail(rc, err, err_size,
                    rc == -E2BIG ? "too many parameter values" : "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        rc = add_assignment(next, &assignments[i], origin, err, err_size);
        if (rc) {
            params_destroy(next);
            return rc;
        }
    }
    return commit(params, next, live_only, err, err_size);
}

int params_clear(struct params *params, enum param_origin origin, bool live_only, char *err,
                 size_t err_size)
{
    assert(origin > PARAM_ORIGIN_DEFAULT && origin <= PARAM_ORIGIN_SET);
    struct params *next = NULL;
    int rc = copy_with(params, (const char *const *)params->models, params->model_count, 0, &next);
    if (rc) {
        return fail(rc, err, err_size, "out of memory");
    }
    for (uint32_t i = 0; i < params->schema->count; i++) {
        drop_replaced(next, i, origin, NULL);
    }
    return commit(params, next, live_only, err, err_size);
}

const struct shunt_params *params_view(const struct params *params)
{
    return &params->view;
}

void params_mark_changed(struct params *params)
{
    for (uint32_t i = 0; i < params->schema->count; i++) {
        params->value[i].changed = 1;
    }
}

const struct params_schema *params_schema_of(const struct params *params)
{
    return params->schema;
}

uint32_t params_model_count(const struct params *params)
{
    return params->model_count;
}

/* Where the effective value for `model` begins. */
static size_t element_at(const struct params *params, uint32_t index, uint32_t model)
{
    assert(index < params->schema->count);
    bool per_model = (params->schema->info[index].flags & SHUNT_PARAM_PER_MODEL) != 0;
    return params->first[index] + (per_model && model < params->model_count ? model : 0);
}

enum param_origin params_origin(const struct params *params, uint32_t index, uint32_t model)
{
    return (enum param_origin)params->origin[element_at(params, index, model)];
}

int params_format(const struct params *params, uint32_t index, uint32_t model, char *text,
                  size_t size)
{
    return param_print(&params->schema->info[index],
                       &params->number[element_at(params, index, model)], text, size);
}

int params_each(const struct params *params, enum param_origin origin,
                int (*each)(void *ctx, const struct param_assignment *assignment), void *ctx)
{
    for (size_t i = 0; i < params->entry_count; i++) {
        const struct entry *entry = &params->entries[i];
        if (entry->origin != origin) {
            continue;
        }
        const struct shunt_param_info *info = &params->schema->info[entry->index];
        char text[PARAMS_TEXT_BYTES_MAX];
        int rc = param_print(info, entry->values, text, sizeof text);
        if (rc == 0) {
            const struct param_assignment given = {
                .name = info->name, .model = entry->model, .text = text};
            rc = each(ctx, &given);
        }
        if (rc) {
            return rc;
        }
    }
    return 0;
}

int param_assignment_split(char *text, struct param_assignment *ret_assignment, char *err,
                           size_t err_size)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1]) {
        return fail(-EINVAL, err, err_size, "\"%.64s\" is not name=value or name[model]=value",
                    text);
    }
    char *open = memchr(text, '[', (size_t)(equals - text));
    if (open && (open == text || equals[-1] != ']' || equals - open < 3)) {
        return fail(-EINVAL, err, err_size, "\"%.64s\" is not name=value or name[model]=value",
                    text);
    }
    *equals = '\0';
    if (open) {
        *open = '\0';
        equals[-1] = '\0';
    }
    *ret_assignment = (struct param_assignment){
        .name = text, .model = open ? open + 1 : NULL, .text = equals + 1};
    return 0;
}
