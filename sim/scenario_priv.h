/*
 * What the files of the scenario reader share: its table as data, getters that follow the table,
 * and the memory of a scenario. Nobody else includes it.
 */
#ifndef SIM_SCENARIO_PRIV_H
#define SIM_SCENARIO_PRIV_H

#include "base/yaml.h"
#include "sim/scenario.h"

/* ------------------------------------------------------------------ the table */

enum scenario_key_kind {
    SCENARIO_KEY_TEXT,
    SCENARIO_KEY_CHOICE,
    SCENARIO_KEY_REAL,
    SCENARIO_KEY_INT,
    SCENARIO_KEY_TIME,
    SCENARIO_KEY_PICO,
    SCENARIO_KEY_TIMES,
    SCENARIO_KEY_MODEL,
    SCENARIO_KEY_DEVICE,
    SCENARIO_KEY_DIST,
    SCENARIO_KEY_MAP,
    SCENARIO_KEY_LIST
};

/* One line of scenario.def. */
struct scenario_key {
    const char *group;
    const char *key;
    enum scenario_key_kind kind;
    double min;
    double max;
    const char *value; /* "": no default; NULL: required */
    const char *unit;
    const char *doc;
};

struct scenario_group {
    const char *group;
    const char *doc;
};

extern const struct scenario_key scenario_keys[];
extern const size_t scenario_key_count;
extern const struct scenario_group scenario_groups[];
extern const size_t scenario_group_count;

/* ------------------------------------------------------------------ memory */

struct scenario_block;

struct scenario_memo {
    struct scenario_block *blocks;
    struct dist_point *patience_points; /* owned */
    bool of_host;                       /* made of a shunt.cfg */
};

struct scenario_reader {
    struct scenario *scenario;
    struct yaml *yaml;
    struct yaml_node *root;
    const char *file;
    const char *folder; /* where it stands; relative names are looked for there */
    const char *traces; /* and then here; NULL: nowhere */
    char *err;          /* "" until something is wrong that yaml_error() does not say */
    size_t err_size;
};

/* Zeroed memory that lives as long as the scenario; NULL if there is none. */
void *scenario_alloc(struct scenario_reader *reader, size_t count, size_t size);
const char *scenario_copy(struct scenario_reader *reader, const char *text);

/* ------------------------------------------------------------------ getters */

/*
 * The value of `key` in `map`, a mapping described by `group`, checked by the table. `map` may be
 * NULL: then the defaults hold. 0, also where the key is absent and its default was taken (none:
 * *ret_value stays); -EINVAL with yaml_error().
 */
int scenario_text(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                  const char *key, const char **ret_value);
int scenario_choice(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                    const char *key, uint32_t *ret_value);
int scenario_real(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                  const char *key, double *ret_value);
int scenario_int(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                 const char *key, int64_t *ret_value);
/* TIME in nanoseconds, PICO in picoseconds. */
int scenario_time(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                  const char *key, int64_t *ret_value);
/* A mapping; NULL if there is none. */
int scenario_map(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                 const char *key, struct yaml_node **ret_map);
/* A list, likewise. */
int scenario_list(struct scenario_reader *reader, struct yaml_node *map, const char *group,
                  const char *key, struct yaml_node **ret_list);
/* A list of exactly `count` times into ret_value; whether it was there. */
int scenario_times(struct scenario_reader *reader, struct yaml_node *list, const char *group,
                   const char *key, uint32_t count, int64_t *ret_value);

/* Number of a model or device by name; -EINVAL with yaml_error() at `node`. */
int scenario_find_model(struct scenario_reader *reader, const struct yaml_node *node,
                        const char *name, uint32_t *ret_model);
int scenario_find_device(struct scenario_reader *reader, const struct yaml_node *node,
                         const char *name, uint32_t *ret_device);

/* ------------------------------------------------------------------ the parts */

/* The tiers that `switch: {tiers: ...}` names, in its order; none without. */
int scenario_read_tiers(struct scenario_reader *reader, struct config_tiers *ret_tiers);

/* `switch`, with the models of scenario->config. NODES are the models' mappings, for cost_class. */
int scenario_read_switch(struct scenario_reader *reader, struct yaml_node *const *nodes);

/* Where nothing is said of switches: no time, for all models. */
int scenario_free_switch(struct scenario_reader *reader);

/* One row of a profile of costs. */
struct scenario_profile_row {
    char cls[16];
    char size[16];
    int64_t out_ns;
    int64_t in_ns;
};

/* Rows of profile NAME for N_CLASSES from a CSV file, or -EINVAL and so on with the reader's err
 * filled; `node` says where the file was named. *ret_rows lives as long as the scenario. */
int scenario_read_profile(struct scenario_reader *reader, const struct yaml_node *node,
                          const char *file, const char *name, int64_t n_classes,
                          const struct scenario_profile_row **ret_rows, uint32_t *ret_count);

/* Everything but what shunt.cfg has: scenario->config is there already. `arrivals_wanted`: they
 * must be there. */
int scenario_read_rest(struct scenario_reader *reader, bool arrivals_wanted);

/* Relative names are looked for in the folder of FILE from now on. -ENOMEM. */
int scenario_folder(struct scenario_reader *reader, const char *file);

/* A reader with an empty scenario, and what becomes of it: RC and the error, or the scenario. */
int scenario_begin(struct scenario_reader *reader, const char *name, const char *traces, char *err,
                   size_t err_size);
int scenario_finish(struct scenario_reader *reader, int rc, struct scenario **ret_scenario);

/* The bytes of a regular file of at most `max`; malloc'ed and terminated. Negative errno with `err`
 * filled. */
int scenario_slurp(const char *path, size_t max, char **ret_text, size_t *ret_size, char *err,
                   size_t err_size);

#endif
