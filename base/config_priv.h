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

enum { CONFIG_REQUIRED = 1 << 0, CONFIG_AUTO = 1 << 1, CONFIG_INHERIT = 1 << 2 };

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

/* ------------------------------------------------------------------ memory */

struct config_chunk;

struct config_origin {
    const char *path;
    uint32_t line;
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
    bool out_of_memory;
};

/* Zeroed memory that lives as long as the tree; NULL sets out_of_memory. */
void *config_alloc(struct config_reader *reader, size_t count, size_t size);
/* A copy of a string, likewise; NULL for NULL. */
const char *config_copy(struct config_reader *reader, const char *text);

/* Notes that `path` was set by `line`. */
void config_note(struct config_reader *reader, const char *path, uint32_t line);

/* Adds "FILE:LINE: MESSAGE"; line 0 leaves the number out. */
void config_error(struct config_reader *reader, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ------------------------------------------------------------------ the parts */

/* base/config_check.c: everything that concerns more than one setting. Fills what the settings
 * leave to be derived: placements, tiers, memory by tier, cells, paths. */
void config_check(struct config_reader *reader);

/* base/config_text.c */
void config_format_value(const struct config *config, const struct config_info *info,
                         const void *group, char *text, size_t size);

#endif
