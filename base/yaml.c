/*
 * Builds the tree of yaml.h from libyaml's events, so that limits hold before memory is spent, and
 * reads typed values from it. It does not log.
 */
#include "base/yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { CHUNK_BYTES = 16384 };

struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    max_align_t bytes[];
};

struct yaml {
    struct chunk *chunks;
    struct yaml_node *root;
    const char *name;
    uint32_t node_count;
    char error[YAML_ERROR_BYTES_MAX];
};

/* ------------------------------------------------------------------ memory and errors */

static void *allocate(struct yaml *yaml, size_t bytes)
{
    bytes = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct chunk *chunk = yaml->chunks;
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + room);
        if (!chunk) {
            return NULL;
        }
        chunk->size = room;
        chunk->next = yaml->chunks;
        yaml->chunks = chunk;
    }
    void *at = (char *)chunk->bytes + chunk->used;
    chunk->used += bytes;
    return at;
}

static const char *copy_text(struct yaml *yaml, const char *text, size_t length)
{
    char *copy = allocate(yaml, length + 1);
    if (copy) {
        memcpy(copy, text, length);
    }
    return copy;
}

static int fail_at(struct yaml *yaml, size_t line, size_t column, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static int fail_at(struct yaml *yaml, size_t line, size_t column, const char *format, va_list args)
{
    int used =
        snprintf(yaml->error, sizeof yaml->error, "%.200s:%zu:%zu: ", yaml->name, line, column);
    (void)vsnprintf(yaml->error + used, sizeof yaml->error - (size_t)used, format, args);
    for (char *c = yaml->error; *c; c++) {
        if ((unsigned char)*c < ' ') {
            *c = '?';
        }
    }
    return -EINVAL;
}

int yaml_fail(struct yaml *yaml, const struct yaml_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = fail_at(yaml, node->line, node->column, format, args);
    va_end(args);
    return result;
}

static int fail_mark(struct yaml *yaml, yaml_mark_t mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail_mark(struct yaml *yaml, yaml_mark_t mark, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = fail_at(yaml, mark.line + 1, mark.column + 1, format, args);
    va_end(args);
    return result;
}

const char *yaml_error(const struct yaml *yaml)
{
    return yaml->error;
}

/* ------------------------------------------------------------------ building the tree */

/* One open mapping or sequence. */
struct level {
    struct yaml_node *node;
    struct yaml_node *last; /* child */
    const char *key;        /* of the next value; NULL: a key comes next */
    uint32_t key_line;
    uint32_t key_column;
};

struct builder {
    struct yaml *yaml;
    struct level level[YAML_DEPTH_MAX];
    uint32_t depth;
    uint32_t documents;
};

static int new_node(struct builder *builder, const yaml_event_t *event, enum yaml_kind kind,
                    struct yaml_node **ret_node)
{
    struct yaml *yaml = builder->yaml;
    if (++yaml->node_count > YAML_NODES_MAX) {
        return fail_mark(yaml, event->start_mark, "has more than %d values", YAML_NODES_MAX);
    }
    struct yaml_node *node = allocate(yaml, sizeof *node);
    if (!node) {
        return -ENOMEM;
    }
    *node = (struct yaml_node){.kind = kind,
                               .line = (uint32_t)event->start_mark.line + 1,
                               .column = (uint32_t)event->start_mark.column + 1};
    if (builder->depth == 0) {
        yaml->root = node;
    } else {
        struct level *level = &builder->level[builder->depth - 1];
        if (level->node->kind == YAML_MAPPING && !level->key) {
            return fail_mark(yaml, event->start_mark, "a key wants to be plain text");
        }
        if (level->key) {
            node->key = level->key;
            node->key_line = level->key_line;
            node->key_column = level->key_column;
        }
        level->key = NULL;
        if (level->last) {
            level->last->next = node;
        } else {
            level->node->child = node;
        }
        level->last = node;
        level->node->count++;
    }
    *ret_node = node;
    return 0;
}

static int open_level(struct builder *builder, const yaml_event_t *event, enum yaml_kind kind)
{
    struct yaml_node *node = NULL;
    if (builder->depth == YAML_DEPTH_MAX) {
        return fail_mark(builder->yaml, event->start_mark, "is nested deeper than %d",
                         YAML_DEPTH_MAX);
    }
    int result = new_node(builder, event, kind, &node);
    if (result == 0) {
        builder->level[builder->depth++] = (struct level){.node = node};
    }
    return result;
}

static int take_key(struct builder *builder, const yaml_event_t *event)
{
    struct yaml *yaml = builder->yaml;
    struct level *level = &builder->level[builder->depth - 1];
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.length > YAML_KEY_BYTES_MAX) {
        return fail_mark(yaml, event->start_mark, "a key is longer than %d bytes",
                         YAML_KEY_BYTES_MAX);
    }
    if (level->node->count == YAML_KEYS_MAX) {
        return fail_mark(yaml, event->start_mark, "a mapping has more than %d keys", YAML_KEYS_MAX);
    }
    if (strcmp(text, "<<") == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        return fail_mark(yaml, event->start_mark, "merge keys (<<) are not taken");
    }
    for (const struct yaml_node *node = level->node->child; node; node = node->next) {
        if (strcmp(node->key, text) == 0) {
            return fail_mark(yaml, event->start_mark, "%.60s: stands there twice, first on line %u",
                             text, node->line);
        }
    }
    level->key = copy_text(yaml, text, event->data.scalar.length);
    level->key_line = (uint32_t)event->start_mark.line + 1;
    level->key_column = (uint32_t)event->start_mark.column + 1;
    return level->key ? 0 : -ENOMEM;
}

static int take_scalar(struct builder *builder, const yaml_event_t *event)
{
    struct yaml *yaml = builder->yaml;
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.anchor || event->data.scalar.tag) {
        return fail_mark(yaml, event->start_mark, "anchors (&) and tags (!) are not taken");
    }
    if (memchr(text, '\0', event->data.scalar.length)) {
        return fail_mark(yaml, event->start_mark, "holds a zero byte");
    }
    const struct level *level = builder->depth ? &builder->level[builder->depth - 1] : NULL;
    if (level && level->node->kind == YAML_MAPPING && !level->key) {
        return take_key(builder, event);
    }
    struct yaml_node *node = NULL;
    int result = new_node(builder, event, YAML_SCALAR, &node);
    if (result == 0) {
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        node->text = copy_text(yaml, text, event->data.scalar.length);
        result = node->text ? 0 : -ENOMEM;
    }
    return result;
}

/* 1 at the end of the stream. */
static int take_event(struct builder *builder, const yaml_event_t *event)
{
    struct yaml *yaml = builder->yaml;
    switch (event->type) {
    case YAML_STREAM_END_EVENT:
        return 1;
    case YAML_DOCUMENT_START_EVENT:
        return ++builder->documents > 1
                   ? fail_mark(yaml, event->start_mark, "holds more than one document")
                   : 0;
    case YAML_ALIAS_EVENT:
        return fail_mark(yaml, event->start_mark,
                         "aliases (*) are not taken; write the value again");
    case YAML_SCALAR_EVENT:
        return take_scalar(builder, event);
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor || event->data.sequence_start.tag) {
            return fail_mark(yaml, event->start_mark, "anchors (&) and tags (!) are not taken");
        }
        return open_level(builder, event, YAML_SEQUENCE);
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor || event->data.mapping_start.tag) {
            return fail_mark(yaml, event->start_mark, "anchors (&) and tags (!) are not taken");
        }
        return open_level(builder, event, YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        builder->depth--;
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return 0;
    }
    return 0;
}

static int build(struct yaml *yaml, yaml_parser_t *parser)
{
    struct builder builder = {.yaml = yaml};
    int result = 0;
    while (result == 0) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            return parser->error == YAML_MEMORY_ERROR
                       ? -ENOMEM
                       : fail_mark(yaml, parser->problem_mark, "%s",
                                   parser->problem ? parser->problem : "is not YAML");
        }
        result = take_event(&builder, &event);
        yaml_event_delete(&event);
    }
    return result < 0 ? result : 0;
}

static int add_empty_root(struct yaml *yaml)
{
    if (yaml->root && !yaml_is_null(yaml->root)) {
        return 0;
    }
    yaml->root = allocate(yaml, sizeof *yaml->root);
    if (!yaml->root) {
        return -ENOMEM;
    }
    *yaml->root = (struct yaml_node){.kind = YAML_MAPPING, .line = 1, .column = 1};
    return 0;
}

int yaml_parse(const char *text, size_t size, const char *name, struct yaml **ret_yaml, char *err,
               size_t err_size)
{
    yaml_parser_t parser;
    struct yaml *yaml = calloc(1, sizeof *yaml);
    int result = yaml && yaml_parser_initialize(&parser) ? 0 : -ENOMEM;
    if (result == 0) {
        yaml->name = copy_text(yaml, name, strlen(name));
        if (!yaml->name) {
            result = -ENOMEM;
        } else if (size > YAML_FILE_BYTES_MAX) {
            result = fail_mark(yaml, (yaml_mark_t){0, 0, 0}, "is larger than %d MiB",
                               YAML_FILE_BYTES_MAX >> 20);
        } else {
            yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
            result = build(yaml, &parser);
        }
        yaml_parser_delete(&parser);
    }
    if (result == 0) {
        result = add_empty_root(yaml);
    }
    if (result) {
        (void)snprintf(err, err_size, "%s", result == -EINVAL ? yaml->error : "out of memory");
        yaml_free(yaml);
        return result;
    }
    *ret_yaml = yaml;
    return 0;
}

int yaml_load(const char *path, struct yaml **ret_yaml, char *err, size_t err_size)
{
    FILE *file = fopen(path, "rb");
    size_t room = 65536, size = 0;
    char *text = file ? malloc(room) : NULL;
    int result = text ? 0 : -errno;
    while (result == 0 && size <= YAML_FILE_BYTES_MAX) {
        size_t got = fread(text + size, 1, room - size, file);
        size += got;
        if (got == 0) {
            result = ferror(file) ? -errno : 0;
            break;
        }
        if (size == room) {
            char *more = realloc(text, room * 2);
            result = more ? 0 : -ENOMEM;
            text = more ? more : text;
            room = more ? room * 2 : room;
        }
    }
    if (result) {
        (void)snprintf(err, err_size, "%.200s: %s", path, strerror(-result));
    } else {
        result = yaml_parse(text, size, path, ret_yaml, err, err_size);
    }
    if (file) {
        (void)fclose(file);
    }
    free(text);
    return result;
}

void yaml_free(struct yaml *yaml)
{
    if (!yaml) {
        return;
    }
    struct chunk *chunk = yaml->chunks;
    while (chunk) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(yaml);
}

struct yaml_node *yaml_root(struct yaml *yaml)
{
    return yaml->root;
}

/* ------------------------------------------------------------------ values of a node */

bool yaml_is_null(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && !node->quoted &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}

static int wrong(struct yaml *yaml, const struct yaml_node *node, const char *what,
                 const char *wanted)
{
    if (node->kind == YAML_SCALAR) {
        return yaml_fail(yaml, node, "%s: \"%.60s\" is not %s", what, node->text, wanted);
    }
    return yaml_fail(yaml, node, "%s: wants %s, not a %s", what, wanted,
                     node->kind == YAML_MAPPING ? "mapping" : "sequence");
}

int yaml_node_string(struct yaml *yaml, const struct yaml_node *node, const char *what,
                     const char **ret_text)
{
    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        return wrong(yaml, node, what, "text");
    }
    *ret_text = node->text;
    return 0;
}

int yaml_node_real(struct yaml *yaml, const struct yaml_node *node, const char *what, double min,
                   double max, double *ret_value)
{
    /* Decimal numbers only: no hexadecimal, no infinity, no NaN. */
    if (node->kind != YAML_SCALAR || node->quoted || node->text[0] == '\0' ||
        strspn(node->text, "+-.0123456789eE") != strlen(node->text)) {
        return wrong(yaml, node, what, "a number");
    }
    char *end = NULL;
    double value = strtod(node->text, &end);
    if (end == node->text || *end != '\0') {
        return wrong(yaml, node, what, "a number");
    }
    if (!(value >= min && value <= max)) {
        return yaml_fail(yaml, node, "%s: %.60s is out of range; wants %.12g to %.12g", what,
                         node->text, min, max);
    }
    *ret_value = value;
    return 0;
}

int yaml_node_int(struct yaml *yaml, const struct yaml_node *node, const char *what, int64_t min,
                  int64_t max, int64_t *ret_value)
{
    size_t sign = node->kind == YAML_SCALAR && (node->text[0] == '-' || node->text[0] == '+');
    if (node->kind != YAML_SCALAR || node->quoted || node->text[sign] == '\0' ||
        strspn(node->text + sign, "0123456789") != strlen(node->text + sign)) {
        return wrong(yaml, node, what, "a whole number");
    }
    errno = 0;
    intmax_t value = strtoimax(node->text, NULL, 10);
    if (errno || value < min || value > max) {
        return yaml_fail(yaml, node, "%s: %.60s is out of range; wants %" PRId64 " to %" PRId64,
                         what, node->text, min, max);
    }
    *ret_value = value;
    return 0;
}

int yaml_node_bool(struct yaml *yaml, const struct yaml_node *node, const char *what,
                   bool *ret_value)
{
    bool yes = node->kind == YAML_SCALAR && !node->quoted && strcmp(node->text, "true") == 0;
    bool no = node->kind == YAML_SCALAR && !node->quoted && strcmp(node->text, "false") == 0;
    if (!yes && !no) {
        return wrong(yaml, node, what, "true or false");
    }
    *ret_value = yes;
    return 0;
}

/* ------------------------------------------------------------------ values of a mapping */

struct yaml_node *yaml_get(struct yaml_node *map, const char *key)
{
    if (!map || map->kind != YAML_MAPPING) {
        return NULL;
    }
    for (struct yaml_node *node = map->child; node; node = node->next) {
        if (strcmp(node->key, key) == 0) {
            node->used = true;
            return node;
        }
    }
    return NULL;
}

/* 0 and the node, -ENOENT, or -EINVAL if `map` is no mapping. */
static int find(struct yaml *yaml, struct yaml_node *map, const char *key,
                struct yaml_node **ret_node)
{
    if (map->kind != YAML_MAPPING) {
        return wrong(yaml, map, map->key ? map->key : "value", "a mapping");
    }
    *ret_node = yaml_get(map, key);
    return *ret_node ? 0 : -ENOENT;
}

int yaml_string(struct yaml *yaml, struct yaml_node *map, const char *key, const char **ret_text)
{
    struct yaml_node *node = NULL;
    int result = find(yaml, map, key, &node);
    return result ? result : yaml_node_string(yaml, node, key, ret_text);
}

int yaml_real(struct yaml *yaml, struct yaml_node *map, const char *key, double min, double max,
              double *ret_value)
{
    struct yaml_node *node = NULL;
    int result = find(yaml, map, key, &node);
    return result ? result : yaml_node_real(yaml, node, key, min, max, ret_value);
}

int yaml_int(struct yaml *yaml, struct yaml_node *map, const char *key, int64_t min, int64_t max,
             int64_t *ret_value)
{
    struct yaml_node *node = NULL;
    int result = find(yaml, map, key, &node);
    return result ? result : yaml_node_int(yaml, node, key, min, max, ret_value);
}

int yaml_bool(struct yaml *yaml, struct yaml_node *map, const char *key, bool *ret_value)
{
    struct yaml_node *node = NULL;
    int result = find(yaml, map, key, &node);
    return result ? result : yaml_node_bool(yaml, node, key, ret_value);
}

int yaml_choice(struct yaml *yaml, struct yaml_node *map, const char *key, const char *choices,
                uint32_t *ret_index)
{
    const char *text = NULL;
    int result = yaml_string(yaml, map, key, &text);
    if (result) {
        return result;
    }
    uint32_t index = 0;
    for (const char *at = choices;; index++) {
        size_t length = strcspn(at, "|");
        if (strlen(text) == length && memcmp(at, text, length) == 0) {
            *ret_index = index;
            return 0;
        }
        if (at[length] == '\0') {
            return yaml_fail(yaml, yaml_get(map, key), "%s: \"%.60s\" is not one of %s", key, text,
                             choices);
        }
        at += length + 1;
    }
}

static int get_kind(struct yaml *yaml, struct yaml_node *map, const char *key, enum yaml_kind kind,
                    struct yaml_node **ret_node)
{
    struct yaml_node *node = NULL;
    int result = find(yaml, map, key, &node);
    if (result) {
        return result;
    }
    if (node->kind != kind) {
        return wrong(yaml, node, key, kind == YAML_MAPPING ? "a mapping" : "a sequence");
    }
    *ret_node = node;
    return 0;
}

int yaml_mapping(struct yaml *yaml, struct yaml_node *map, const char *key,
                 struct yaml_node **ret_node)
{
    return get_kind(yaml, map, key, YAML_MAPPING, ret_node);
}

int yaml_sequence(struct yaml *yaml, struct yaml_node *map, const char *key,
                  struct yaml_node **ret_node)
{
    return get_kind(yaml, map, key, YAML_SEQUENCE, ret_node);
}

int yaml_end(struct yaml *yaml, struct yaml_node *map)
{
    if (map->kind != YAML_MAPPING) {
        return wrong(yaml, map, map->key ? map->key : "value", "a mapping");
    }
    for (const struct yaml_node *node = map->child; node; node = node->next) {
        if (!node->used) {
            const struct yaml_node key = {.line = node->key_line, .column = node->key_column};
            return yaml_fail(yaml, &key, "%.60s: there is no such key", node->key);
        }
    }
    return 0;
}
