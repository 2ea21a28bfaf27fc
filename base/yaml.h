/*
 * YAML files as a small bounded tree: NAME.yaml of policies, values files, scenarios, replay files,
 * the files of other programs that `init` reads.
 *
 * One document of mappings, sequences and scalars. Anchors, aliases, tags, merge keys, duplicate
 * keys and keys that are no plain scalars are refused: a reader of the file sees what a program
 * sees, and no small file becomes a large tree. Every node knows its line and column. Getters check
 * type and range and put "FILE:LINE:COLUMN: KEY: what is wrong" into yaml_error; yaml_end finds
 * keys that nobody asked for. Nothing here logs.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    YAML_FILE_BYTES_MAX = 16 << 20,
    YAML_NODES_MAX = 1 << 20,
    YAML_DEPTH_MAX = 32,
    YAML_KEYS_MAX = 4096, /* of one mapping */
    YAML_KEY_BYTES_MAX = 1024,
    YAML_ERROR_BYTES_MAX = 512
};

enum yaml_kind { YAML_SCALAR = 0, YAML_SEQUENCE = 1, YAML_MAPPING = 2 };

/* Lives as long as its tree. */
struct yaml_node {
    enum yaml_kind kind;
    bool quoted;       /* SCALAR: 'x', "x" or a block; never a number, true or null then */
    bool used;         /* private: a getter has returned it */
    uint32_t line;     /* 1-based */
    uint32_t column;   /* 1-based */
    uint32_t key_line; /* likewise, of its key; 0 without one */
    uint32_t key_column;
    uint32_t count;   /* SEQUENCE, MAPPING: number of children */
    const char *key;  /* its key in the mapping around it; NULL in a sequence and at the root */
    const char *text; /* SCALAR: terminated, without NUL inside */
    struct yaml_node *child; /* first */
    struct yaml_node *next;  /* the next of the same parent */
};

struct yaml;

/*
 * Reads a document from memory, or from a file; `name` stands for the file in messages. -EINVAL
 * with one line in `err`, -ENOMEM, and for the file the errors of open(2) and read(2), all with a
 * line. An empty document is an empty mapping.
 */
int yaml_parse(const char *text, size_t size, const char *name, struct yaml **ret_yaml, char *err,
               size_t err_size);
int yaml_load(const char *path, struct yaml **ret_yaml, char *err, size_t err_size);

/* Accepts NULL. */
void yaml_free(struct yaml *yaml);

struct yaml_node *yaml_root(struct yaml *yaml);

/* What the last getter that failed with -EINVAL found. */
const char *yaml_error(const struct yaml *yaml);

/* Sets yaml_error to "FILE:LINE:COLUMN: message" for a rule of the caller's own; returns -EINVAL.
 */
int yaml_fail(struct yaml *yaml, const struct yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ------------------------------------------------------------------ values of a mapping */

/* The value of `key`, or NULL. `map` may be NULL, and of any kind: then there is none. */
struct yaml_node *yaml_get(struct yaml_node *map, const char *key);

/*
 * Typed values of `key` in the mapping `map`. 0; -ENOENT if there is no such key (nothing is
 * written then); -EINVAL if it is something else, out of range (NaN always is) or `map` is no
 * mapping.
 */
int yaml_string(struct yaml *yaml, struct yaml_node *map, const char *key, const char **ret_text);
int yaml_real(struct yaml *yaml, struct yaml_node *map, const char *key, double min, double max,
              double *ret_value);
int yaml_int(struct yaml *yaml, struct yaml_node *map, const char *key, int64_t min, int64_t max,
             int64_t *ret_value);
int yaml_bool(struct yaml *yaml, struct yaml_node *map, const char *key, bool *ret_value);
/* `choices` is "a|b|c"; the index of the one that stands there. */
int yaml_choice(struct yaml *yaml, struct yaml_node *map, const char *key, const char *choices,
                uint32_t *ret_index);
int yaml_mapping(struct yaml *yaml, struct yaml_node *map, const char *key,
                 struct yaml_node **ret_node);
int yaml_sequence(struct yaml *yaml, struct yaml_node *map, const char *key,
                  struct yaml_node **ret_node);

/* -EINVAL naming the first key of `map` that no getter asked for, or if `map` is no mapping. */
int yaml_end(struct yaml *yaml, struct yaml_node *map);

/* ------------------------------------------------------------------ values of a node */

/* The same for a node at hand (an element of a sequence); `what` names it in messages. */
int yaml_node_string(struct yaml *yaml, const struct yaml_node *node, const char *what,
                     const char **ret_text);
int yaml_node_real(struct yaml *yaml, const struct yaml_node *node, const char *what, double min,
                   double max, double *ret_value);
int yaml_node_int(struct yaml *yaml, const struct yaml_node *node, const char *what, int64_t min,
                  int64_t max, int64_t *ret_value);
int yaml_node_bool(struct yaml *yaml, const struct yaml_node *node, const char *what,
                   bool *ret_value);

/* Whether the node is null: empty, ~ or null, unquoted. */
bool yaml_is_null(const struct yaml_node *node);

#endif
