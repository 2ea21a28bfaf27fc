/*
 * The host's configuration, shunt.cfg: read once into a plain tree that nobody changes afterwards.
 *
 * settings.def is the source of every setting; the structs below are generated from it, a member a
 * setting (look there for meaning, range and default). Durations are nanoseconds, sizes bytes.
 * Whatever config_load returns has passed every check that needs no other file and no device.
 * Nothing here logs; errors carry file, line and setting.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <shunt/types.h>

/* Value of a setting that says "auto": INT, DURATION and BYTES only. */
#define CONFIG_AUTOMATIC INT64_C(-1)

enum {
    CONFIG_FILE_BYTES_MAX = 1 << 20,
    CONFIG_ERRORS_MAX = 20,
    CONFIG_ERROR_BYTES_MAX = 400,
    CONFIG_PARAMS_MAX = 256
};

/* ------------------------------------------------------------------ types of settings */

/* A list of strings; item is followed by NULL, so that it can be an argv. */
struct config_strings {
    const char *const *item;
    uint32_t count;
};

/* Bytes by tier; -1 where the file says nothing, all of them with automatic. */
struct config_memory {
    bool automatic; /* "auto": measured by the host */
    int64_t bytes[SHUNT_TIER_COUNT];
};

/* Tiers a model may be moved out to, preferred first. */
struct config_tiers {
    uint32_t count;
    uint32_t tier[SHUNT_TIER_COUNT]; /* SHUNT_TIER_* */
};

/* A device set that a model may occupy; in this version one device. */
struct config_placement {
    uint32_t device; /* index into config.devices */
};

struct config_placements {
    const struct config_placement *item;
    uint32_t count;
};

/* Parameters of a policy as text, in the form that params_apply wants; base/params.h judges them.
 */
struct config_param {
    const char *name;
    const char *text;
    uint32_t line;
};

struct config_params {
    const struct config_param *item;
    uint32_t count;
};

/* Choices of the ENUM settings, in the order of settings.def. */
enum config_auth { CONFIG_AUTH_AUTO = 0, CONFIG_AUTH_KEYS = 1, CONFIG_AUTH_NONE = 2 };

enum config_log_level {
    CONFIG_LOG_ERROR = 0,
    CONFIG_LOG_WARNING = 1,
    CONFIG_LOG_INFO = 2,
    CONFIG_LOG_DEBUG = 3
};

enum config_isolation { CONFIG_ISOLATION_TRUSTED = 0, CONFIG_ISOLATION_ISOLATED = 1 };

enum config_engine {
    CONFIG_ENGINE_EMULATED = 0,
    CONFIG_ENGINE_VLLM = 1,
    CONFIG_ENGINE_SGLANG = 2,
    CONFIG_ENGINE_LLAMA_SERVER = 3,
    CONFIG_ENGINE_OLLAMA = 4,
    CONFIG_ENGINE_COMMAND = 5,
    CONFIG_ENGINE_REMOTE = 6,
    CONFIG_ENGINE_COUNT = 7
};

enum config_drain_mode { CONFIG_DRAIN_FINISH = 0, CONFIG_DRAIN_REQUEUE = 1 };

/* ------------------------------------------------------------------ the tree */

#define CONFIG_C_BOOL       bool
#define CONFIG_C_INT        int64_t
#define CONFIG_C_REAL       double
#define CONFIG_C_STRING     const char *
#define CONFIG_C_STRINGS    struct config_strings
#define CONFIG_C_ENUM       uint32_t
#define CONFIG_C_DURATION   int64_t
#define CONFIG_C_BYTES      int64_t
#define CONFIG_C_TIERS      struct config_tiers
#define CONFIG_C_MEMORY     struct config_memory
#define CONFIG_C_PLACEMENTS struct config_placements
#define CONFIG_C_PARAMS     struct config_params

#define CONFIG_MEMBER(key, field, kind, min, max, value, flags, unit, doc) CONFIG_C_##kind field;

/* devices[] */
struct config_device {
    uint32_t line;   /* where it stands in the file; so in every struct below, 0 if it does not */
    uint32_t column; /* likewise; known in YAML only */
#define GROUP_DEVICE CONFIG_MEMBER
#include "base/settings.def"
};

/* policy, and that of a cell */
struct config_policy {
    uint32_t line;
    uint32_t column;
#define GROUP_POLICY CONFIG_MEMBER
#include "base/settings.def"
};

/* models[].emulate */
struct config_emulate {
    uint32_t line;
    uint32_t column;
#define GROUP_EMULATE CONFIG_MEMBER
#include "base/settings.def"
};

/* models[]; placements is filled from devices where the file gives those, and then holds only
 * devices that the model fits on; host_memory and tiers hold no "auto" any more. */
struct config_model {
    uint32_t line;
    uint32_t column;
    struct config_emulate emulate;
#define GROUP_MODEL CONFIG_MEMBER
#include "base/settings.def"
};

/* cells[]; without any in the file there is one, "main", with all devices and the top-level policy.
 * policy is a whole copy of that, with what the cell's own group says. */
struct config_cell {
    uint32_t line;
    uint32_t column;
    struct config_policy policy;
    uint32_t device[16]; /* the devices as indices, devices.count of them */
#define GROUP_CELL CONFIG_MEMBER
#include "base/settings.def"
};

/* limits */
struct config_limits {
    uint32_t line;
    uint32_t column;
#define GROUP_LIMITS CONFIG_MEMBER
#include "base/settings.def"
};

/* guard */
struct config_guard {
    uint32_t line;
    uint32_t column;
#define GROUP_GUARD CONFIG_MEMBER
#include "base/settings.def"
};

/* admin */
struct config_admin {
    uint32_t line;
    uint32_t column;
#define GROUP_ADMIN CONFIG_MEMBER
#include "base/settings.def"
};

/* journal */
struct config_journal {
    uint32_t line;
    uint32_t column;
#define GROUP_JOURNAL CONFIG_MEMBER
#include "base/settings.def"
};

/* The whole file. Everything it points to lives until config_free. keys_file, state_dir, log_file,
 * policy.use, values, plugin_dir, journal.dir, admin.socket are absolute or relative to the
 * process, "auto" is resolved in all of them but plugin_dir. */
struct config {
    const char *file; /* its name as given */
    uint32_t device_count;
    uint32_t model_count;
    uint32_t cell_count;
    const struct config_device *devices;
    const struct config_model *models;
    const struct config_cell *cells;
    struct config_policy policy;
    struct config_limits limits;
    struct config_guard guard;
    struct config_admin admin;
    struct config_journal journal;
#define GROUP_TOP CONFIG_MEMBER
#include "base/settings.def"
    struct config_memo *memo; /* private: memory, and where each setting came from */
};

#undef CONFIG_MEMBER

/* ------------------------------------------------------------------ reading */

/* What is wrong with a file: one line each, "FILE:LINE: SETTING: what; what to do". */
struct config_errors {
    uint32_t count; /* lines in text */
    bool more;      /* there were more than CONFIG_ERRORS_MAX */
    char text[CONFIG_ERRORS_MAX][CONFIG_ERROR_BYTES_MAX];
};

/*
 * Reads a file. 0, and *ret_config to be given to config_free; -EINVAL if anything is wrong with
 * it, -ENOENT, -EACCES and so on if it cannot be read, -ENOMEM; in each case `errors` says why. All
 * errors of a file are collected, not just the first.
 */
int config_load(const char *path, struct config **ret_config, struct config_errors *errors);

/* The same from memory; `name` stands for the file in messages and as the base of relative paths.
 */
int config_load_string(const char *text, size_t size, const char *name, struct config **ret_config,
                       struct config_errors *errors);

struct yaml;
struct yaml_node;

/* The parts of a YAML file that say what shunt.cfg says, with its keys; NULL where it has none. */
struct config_yaml {
    struct yaml *yaml;
    struct yaml_node *root; /* devices, models, limits, host_memory_gib of it are taken */
    struct yaml_node *guard;
    struct yaml_node *min_residence_s; /* of guard, where it stands elsewhere */
    struct config_tiers tiers;         /* of models that name none */
    bool limits_derived; /* queued_max and in_flight_max, where not said, hold what the
                            models may want together */
};

/*
 * Reads those settings of the table that concern the core (CONFIG_CORE in settings.def) from YAML:
 * the same ranges, defaults and rules. Keys that are not among them are left for the caller to ask
 * for and yaml_end() to complain about. "none" is 0 where that means no limit, "unlimited" the
 * largest concurrency; limits.models_max and devices_max are what the file has. `name` stands for
 * the file; messages say FILE:LINE:COLUMN. Results as of config_load_string.
 */
int config_from_yaml(const struct config_yaml *from, const char *name, struct config **ret_config,
                     struct config_errors *errors);

void config_free(struct config *config);

/* ------------------------------------------------------------------ asking */

/* Line that set `path` ("limits.max_wait_s", "models[1].name"); 0: the default holds. */
uint32_t config_line(const struct config *config, const char *path);

/* Calls `each` for every setting in the order of the table with its path, its value as the file
 * would say it, and its line (0: the default). Values of env are left out: they may be secrets.
 * Text is valid during the call only. */
void config_each(const struct config *config,
                 void (*each)(void *context, const char *path, const char *value, uint32_t line),
                 void *context);

/*
 * What of the configuration concerns the core (CONFIG_CORE in settings.def) of one cell, defaults
 * filled in, as a line of JSON with the keys of shunt.cfg: {devices, models, limits, guard,
 * host_memory_gib}; devices and models are those of the cell, in the order of its indices
 * (base/layout.h). config_from_yaml reads it. Malloc'ed; NULL: out of memory.
 */
char *config_core_json(const struct config *config, uint32_t cell);

/* Index of the model that clients call `name` (name or alias), or -ENOENT. */
int config_find_model(const struct config *config, const char *name);

/* Name of a tier ("asleep"), and the tier of a name or -ENOENT. */
const char *config_tier_name(uint32_t tier);
int config_tier_find(const char *name);

/* Name of an engine as settings.def has it. */
const char *config_engine_name(uint32_t engine);

/* ------------------------------------------------------------------ helpers for its users */

/* What ${...} stands for. */
struct config_expansion {
    uint32_t port;     /* ${PORT} */
    const char *model; /* ${MODEL} */
};

/*
 * Expands ${PORT}, ${MODEL} and ${env.NAME} in `text`; $${ gives ${. *ret_text is malloc'ed.
 * -EINVAL with a line in `err` for an unknown or unfinished ${...} or an unset variable, -ENOMEM.
 */
int config_expand(const char *text, const struct config_expansion *with, char **ret_text, char *err,
                  size_t err_size);

enum config_listen_kind { CONFIG_LISTEN_TCP = 0, CONFIG_LISTEN_UNIX = 1 };

/* An address to listen on or connect to. */
struct config_address {
    enum config_listen_kind kind;
    bool loopback; /* only this machine reaches it; true for UNIX */
    bool ipv6;
    uint32_t port;  /* 0: any free one */
    char host[108]; /* numeric address without brackets, or the path */
};

/* Splits "HOST:PORT", "[IPv6]:PORT", "*:PORT" (all addresses) or "unix:/path". -EINVAL with a line
 * in `err`. "localhost" is 127.0.0.1. */
int config_address_parse(const char *text, struct config_address *ret_address, char *err,
                         size_t err_size);

/* The same from a model's url: "http://HOST:PORT[/]" or "unix:/path"; HOST may be a name, left to
 * the caller to look up. */
int config_url_parse(const char *text, struct config_address *ret_address, char *err,
                     size_t err_size);

/* ------------------------------------------------------------------ printing the table */

/* The table for a terminal (`shunt serve --help-config`), and as docs/CONFIGURATION.md. */
void config_print_help(FILE *out);
void config_print_manual(FILE *out);

/* What the manual of a YAML file says differently of a setting; NULL: as the table has it. */
struct config_yaml_row {
    const char *path; /* of the group: "models[]", "" for the top level */
    const char *key;
    const char *type;
    const char *value;
    const char *doc;
};

/* Rows of a Markdown table, setting, type, default, meaning: those settings of the group `path`
 * that config_from_yaml reads. `rows` ends with one without a key. */
void config_print_core(FILE *out, const char *path, const struct config_yaml_row *rows);

/* The comment that `init` writes above a setting: its doc, range, unit and default, each line
 * begun with `prefix`. `path` is "limits.max_wait_s", "models[].name"... ; -ENOENT. */
int config_print_comment(FILE *out, const char *path, const char *prefix);

/* A whole group ("limits") with every setting at its default and commented out. -ENOENT. */
int config_print_group(FILE *out, const char *name);

#endif
