/*
 * Reads and writes values files. It does not know which parameters a policy has.
 */
#include "base/values.h"

#include "base/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct values_file {
    struct values values;
    struct yaml *yaml; /* owns keys and scalars */
    struct param_assignment *item;
    struct values_fact *fact;
    char **vector; /* texts of vectors, made here */
    size_t vector_count;
};

/* A vector as params_apply wants it, "[a b c]". */
static int vector_text(struct values_file *file, const struct yaml_node *node,
                       const char **ret_text)
{
    char *text = malloc(PARAMS_TEXT_BYTES_MAX);
    if (!text) {
        return -ENOMEM;
    }
    file->vector[file->vector_count++] = text;
    size_t used = (size_t)snprintf(text, PARAMS_TEXT_BYTES_MAX, "[");
    for (const struct yaml_node *one = node->child; one; one = one->next) {
        double value = 0;
        int result = yaml_node_real(file->yaml, one, node->key, -1e300, 1e300, &value);
        if (result) {
            return result;
        }
        int got = snprintf(text + used, PARAMS_TEXT_BYTES_MAX - used, "%s%s",
                           one == node->child ? "" : " ", one->text);
        if (got < 0 || (size_t)got + 2 > PARAMS_TEXT_BYTES_MAX - used) {
            return yaml_fail(file->yaml, one, "%.60s: the vector is too long", node->key);
        }
        used += (size_t)got;
    }
    (void)snprintf(text + used, PARAMS_TEXT_BYTES_MAX - used, "]");
    *ret_text = text;
    return 0;
}

static int take_values(struct values_file *file, const struct yaml_node *map, const char *model)
{
    for (const struct yaml_node *node = map->child; node; node = node->next) {
        const char *text = NULL;
        int result = node->kind == YAML_SEQUENCE
                         ? vector_text(file, node, &text)
                         : yaml_node_string(file->yaml, node, node->key, &text);
        if (result) {
            return result;
        }
        if (strlen(text) >= PARAMS_TEXT_BYTES_MAX) {
            return yaml_fail(file->yaml, node, "%.60s: is longer than %d bytes", node->key,
                             PARAMS_TEXT_BYTES_MAX - 1);
        }
        file->item[file->values.item_count++] = (struct param_assignment){node->key, model, text};
    }
    return 0;
}

static size_t count_values(const struct yaml_node *values, const struct yaml_node *per_model)
{
    size_t count = values ? values->count : 0;
    for (const struct yaml_node *node = per_model ? per_model->child : NULL; node;
         node = node->next) {
        count += node->count;
    }
    return count;
}

static int take_provenance(struct values_file *file, const struct yaml_node *map)
{
    for (const struct yaml_node *node = map->child; node; node = node->next) {
        const char *text = NULL;
        int result = yaml_node_string(file->yaml, node, node->key, &text);
        if (result) {
            return result;
        }
        file->fact[file->values.provenance_count++] = (struct values_fact){node->key, text};
    }
    return 0;
}

static int optional(int result)
{
    return result == -ENOENT ? 0 : result;
}

static int take(struct values_file *file)
{
    struct yaml_node *root = yaml_root(file->yaml);
    struct yaml_node *values = NULL, *per_model = NULL, *provenance = NULL;
    int result = yaml_string(file->yaml, root, "policy", &file->values.policy);
    if (result) {
        return result == -ENOENT
                   ? yaml_fail(file->yaml, root, "policy: is missing; it names the policy's id")
                   : result;
    }
    if ((result = optional(yaml_mapping(file->yaml, root, "values", &values))) ||
        (result = optional(yaml_mapping(file->yaml, root, "per_model", &per_model))) ||
        (result = optional(yaml_mapping(file->yaml, root, "provenance", &provenance))) ||
        (result = yaml_end(file->yaml, root))) {
        return result;
    }
    size_t count = count_values(values, per_model);
    if (count > PARAMS_ENTRIES_MAX) {
        return yaml_fail(file->yaml, root, "names more than %d values", PARAMS_ENTRIES_MAX);
    }
    file->item = calloc(count + 1, sizeof *file->item);
    file->vector = calloc(count + 1, sizeof *file->vector);
    file->fact = calloc((provenance ? provenance->count : 0) + (size_t)1, sizeof *file->fact);
    if (!file->item || !file->vector || !file->fact) {
        return -ENOMEM;
    }
    result = values ? take_values(file, values, NULL) : 0;
    for (const struct yaml_node *model = per_model ? per_model->child : NULL; model && result == 0;
         model = model->next) {
        result =
            model->kind == YAML_MAPPING
                ? take_values(file, model, model->key)
                : yaml_fail(file->yaml, model, "%.60s: wants a mapping of parameters", model->key);
    }
    if (result == 0 && provenance) {
        result = take_provenance(file, provenance);
    }
    file->values.item = file->item;
    file->values.provenance = file->fact;
    return result;
}

/* Takes over `yaml`. */
static int build(struct yaml *yaml, struct values_file **ret_file, char *err, size_t err_size)
{
    struct values_file *file = calloc(1, sizeof *file);
    if (!file) {
        yaml_free(yaml);
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    file->yaml = yaml;
    int result = take(file);
    if (result) {
        (void)snprintf(err, err_size, "%s", result == -EINVAL ? yaml_error(yaml) : "out of memory");
        values_free(file);
        return result;
    }
    *ret_file = file;
    return 0;
}

int values_parse(const char *text, size_t size, const char *name, struct values_file **ret_file,
                 char *err, size_t err_size)
{
    struct yaml *yaml = NULL;
    int result = yaml_parse(text, size, name, &yaml, err, err_size);
    return result ? result : build(yaml, ret_file, err, err_size);
}

int values_load(const char *path, struct values_file **ret_file, char *err, size_t err_size)
{
    struct yaml *yaml = NULL;
    int result = yaml_load(path, &yaml, err, err_size);
    return result ? result : build(yaml, ret_file, err, err_size);
}

const struct values *values_of(const struct values_file *file)
{
    return &file->values;
}

void values_free(struct values_file *file)
{
    if (!file) {
        return;
    }
    for (size_t i = 0; i < file->vector_count; i++) {
        free(file->vector[i]);
    }
    free(file->vector);
    free(file->item);
    free(file->fact);
    yaml_free(file->yaml);
    free(file);
}

/* ------------------------------------------------------------------ writing */

static void write_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            (void)fprintf(out, "\\%c", byte);
        } else if (byte < ' ' || byte == 0x7f) {
            (void)fprintf(out, "\\x%02x", byte);
        } else {
            (void)fputc(byte, out);
        }
    }
    (void)fputc('"', out);
}

/* Words and numbers stand as they are; what YAML might take for something else is quoted. A vector
 * is a flow sequence. */
static void write_value(FILE *out, const char *text)
{
    size_t length = strlen(text);
    if (length > 1 && text[0] == '[' && text[length - 1] == ']') {
        const char *separator = "[";
        for (const char *at = text + 1; *at != ']';) {
            size_t gap = strspn(at, " ,");
            size_t word = strcspn(at + gap, " ,]");
            if (word > 0) {
                (void)fprintf(out, "%s%.*s", separator, (int)word, at + gap);
                separator = ", ";
            }
            at += gap + word;
        }
        (void)fputs(separator[0] == '[' ? "[]" : "]", out);
    } else if (length > 0 && strcmp(text, "null") != 0 &&
               strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-") ==
                   length &&
               strcmp(text, "-") != 0) {
        (void)fputs(text, out);
    } else {
        write_quoted(out, text);
    }
}

int values_write(FILE *out, const struct values *values)
{
    (void)fputs("policy: ", out);
    write_value(out, values->policy);
    (void)fputc('\n', out);
    const char *model = NULL;
    bool begun = false;
    for (size_t i = 0; i < values->item_count; i++) {
        const struct param_assignment *item = &values->item[i];
        if (!item->model) {
            (void)fprintf(out, "%s  %s: ", begun ? "" : "values:\n", item->name);
            write_value(out, item->text);
            (void)fputc('\n', out);
            begun = true;
        }
    }
    for (size_t i = 0; i < values->item_count; i++) {
        const struct param_assignment *item = &values->item[i];
        if (!item->model) {
            continue;
        }
        if (!model) {
            (void)fputs("per_model:\n", out);
        }
        if (!model || strcmp(model, item->model) != 0) {
            (void)fputs("  ", out);
            write_quoted(out, item->model);
            (void)fputs(":\n", out);
        }
        model = item->model;
        (void)fprintf(out, "    %s: ", item->name);
        write_value(out, item->text);
        (void)fputc('\n', out);
    }
    for (size_t i = 0; i < values->provenance_count; i++) {
        (void)fprintf(out, "%s  ", i ? "" : "provenance:\n");
        write_quoted(out, values->provenance[i].key);
        (void)fputs(": ", out);
        write_quoted(out, values->provenance[i].text);
        (void)fputc('\n', out);
    }
    return ferror(out) ? -EIO : 0;
}
