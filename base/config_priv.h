/*
 * What the files of the configuration reader share: the table as data, the memory of a tree, and
 * the reporting of errors. Nobody else includes it.
 */
#ifndef BASE_CONFIG_PRIV_H
#define BASE_CONFIG_PRIV_H

#include "base/config.h"

enum config_kind {
    CONFIG_KIND_BOOL,
    CONFIG_KIND_INT,
    CONFIG_KIND_REAL,
    CONFIG_KIND_STRING,
    CONFIG_KIND_STRINGS,
    CONFIG_KIND_ENUM,
    CONFIG_KIND_DURATION,
    CONFIG_KIND_BYTES,
    CONFIG_KIND_TIERS,
    CONFIG_KIND_MEMORY,
    CONFIG_KIND_PLACEMENTS,
    CONFIG_KIND_PARAMS
};

enum {
    CONFIG_REQUIRED = 1 << 0,
    CONFIG_AUTO = 1 << 1,
    CONFIG_INHERIT = 1 << 2,
    CONFIG_CORE = 1 << 3,
    CONFIG_NONE = 1 << 4,
    CONFIG_UNLIMITED = 1 << 5
};

/* One line of settings.def. */
struct config_info {
    const char *key;
    size_t offset; /* of the member in the group's struct */
    enum config_kind kind;
    unsigned flags;
    double min;
    double max;
    const char *value; /* default, as text */
    const char *unit;
    const char *doc;
};

enum config_group_id {
    CONFIG_GROUP_TOP,
    CONFIG_GROUP_DEVICE,
    CONFIG_GROUP_POLICY,
    CONFIG_GROUP_MODEL,
    CONFIG_GROUP_EMULATE,
    CONFIG_GROUP_CELL,
    CONFIG_GROUP_LIMITS,
    CONFIG_GROUP_GUARD,
    CONFIG_GROUP_ADMIN,
    CONFIG_GROUP_JOURNAL,
    CONFIG_GROUP_COUNT
};

/* One group of settings.def. */
struct config_group {
    const char *name;            /* key of the group in its parent; "" for the top level */
    const char *path;            /* as people read it: "models[].emulate" */
    const char *doc;             /* what it is for */
    enum config_group_id inside; /* its parent */
    enum config_group_id also;   /* a second parent, or the same again */
    uint32_t list_max;           /* a list of so many groups at most; 0: one group */
    const struct config_info *info;
    size_t info_count;
};

extern const struct config_group config_groups[CONFIG_GROUP_COUNT];

/* The setting `key` of a group, or NULL. */
const struct config_info *config_info_find(enum config_group_id group, const char *key);

/* Nanoseconds or bytes to a unit of settings.def; 1 for others. */
double config_unit_scale(const char *unit);

/* ------------------------------------------------------------------ what a file says */

struct config_mark {
    uint32_t line;
    uint32_t column; /* 0: not known */
};

enum config_value_kind {
    CONFIG_VALUE_NOTHING,
    CONFIG_VALUE_BOOL,
    CONFIG_VALUE_INT,
    CONFIG_VALUE_REAL,
    CONFIG_VALUE_TEXT,
    CONFIG_VALUE_GROUP,
    CONFIG_VALUE_ARRAY, /* libconfig: of plain values; YAML has lists only */
    CONFIG_VALUE_LIST
};

/* A value in a file, whatever the syntax of that. */
struct config_value {
    enum config_value_kind kind;
    bool yes;        /* BOOL */
    int64_t integer; /* INT */
    double real;     /* INT, REAL */
    uint32_t count;  /* GROUP, ARRAY, LIST: children */
    struct config_mark at;
    const char *name; /* in a group; "" elsewhere */
    const char *text; /* TEXT; in YAML of every plain value; NULL elsewhere */
    struct config_value *child;
    struct config_value *next;
};

/* Member of a group, or NULL; also for NULL and what is no group. */
const struct config_value *config_value_get(const struct config_value *group, const char *name);

/* ------------------------------------------------------------------ memory */

struct config_chunk;

struct config_origin {
    const char *path;
    struct config_mark at;
};

struct config_memo {
    struct config_chunk *chunks;
    struct config_origin *origin; /* sorted by path when reading has ended */
    size_t origin_count;
    size_t origin_max;
};

struct config_reader {
    struct config *config;
    struct config_errors *errors;
    const char *file;
    bool yaml; /* words of messages: mapping instead of group */
    bool out_of_memory;
    struct config_tiers tiers; /* of models that name none; 0: by the engine */
};

/* Zeroed memory that lives as long as the tree; NULL sets out_of_memory. */
void *config_alloc(struct config_reader *reader, size_t count, size_t size);
/* A copy of a string, likewise; NULL for NULL. */
const char *config_copy(struct config_reader *reader, const char *text);

/* Notes that `path` was set at `at`. */
void config_note(struct config_reader *reader, const char *path, struct config_mark at);
/* Where `path` was set; line 0: it was not. */
struct config_mark config_noted(const struct config_reader *reader, const char *path);

/* Adds "FILE:LINE[:COLUMN]: MESSAGE"; line 0 leaves the numbers out. */
void config_error(struct config_reader *reader, struct config_mark at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ------------------------------------------------------------------ the parts */

/* base/config_read.c: the settings one by one, after the table. */
void config_read_tree(struct config_reader *reader, const struct config_value *root);

/* base/config_libconfig.c: the values of shunt.cfg; NULL after an error. */
struct config_value *config_parse_libconfig(struct config_reader *reader, const char *text,
                                            size_t size);

/* base/config.c: an empty tree to read into, and what becomes of it: 0 and the tree, or the error
 * and none. */
int config_begin(struct config_reader *reader, const char *name, struct config_errors *errors);
int config_finish(struct config_reader *reader, struct config **ret_config);

/* base/config_check.c: everything that concerns more than one setting. Fills what the settings
 * leave to be derived: placements, tiers, memory by tier, cells, paths. */
void config_check(struct config_reader *reader);

/* base/config_text.c */
void config_format_value(const struct config *config, const struct config_info *info,
                         const void *group, char *text, size_t size);

#endif
