/*
 * Declared parameters of a policy: checking the declarations, turning text into typed values, and
 * building the complete, consistent sets that a policy sees.
 *
 * Whatever names a value (values file, configuration, policy reference, operator) hands text to
 * params_apply, so that ranges, NaN, choices and constraints are judged in one place. Values are
 * kept by origin; a later origin wins over an earlier one, whatever the order of arrival:
 * default < values file < configuration < set. Nothing here logs or does I/O.
 */
#ifndef BASE_PARAMS_H
#define BASE_PARAMS_H

#include <shunt/params.h>
#include <shunt/policy.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PARAMS_MAX = 64,
    PARAMS_CONSTRAINTS_MAX = 32,
    PARAMS_CHOICES_MAX = 64,
    PARAMS_VECTOR_MAX = 16,
    PARAMS_NAME_BYTES_MAX = 63,
    PARAMS_TEXT_BYTES_MAX = 512, /* of one value's text */
    PARAMS_MODELS_MAX = 4096,
    PARAMS_ENTRIES_MAX = 65536 /* values named by all origins together */
};

/* Where a value comes from, weakest first. */
enum param_origin {
    PARAM_ORIGIN_DEFAULT = 0,
    PARAM_ORIGIN_VALUES = 1, /* values file */
    PARAM_ORIGIN_CONFIG = 2, /* configuration, or K=V of a policy reference */
    PARAM_ORIGIN_SET = 3     /* `ctl policy set` */
};

/* "default", "values", "config", "set". */
const char *param_origin_name(enum param_origin origin);

/* "int", "real", "duration", "enum", "bool", "vector"; "?" for anything else. */
const char *param_type_name(uint32_t type);

/* ------------------------------------------------------------------ declarations */

/* Checked declarations: sized copies of the plugin's, whose strings they point to; valid as long
 * as the plugin stays mapped. */
struct params_schema {
    uint32_t count;
    uint32_t constraint_count;
    struct shunt_param_info info[PARAMS_MAX];
    struct shunt_param_constraint constraint[PARAMS_CONSTRAINTS_MAX];
};

/*
 * Copies and judges the declarations of `plugin`: names, ids, types, ranges, defaults, choices,
 * constraints, and that the defaults satisfy the constraints. -EINVAL with one line in `err`
 * naming the parameter; nothing is written to *ret_schema then.
 */
int params_schema_init(struct params_schema *ret_schema, const struct shunt_plugin *plugin,
                       char *err, size_t err_size);

/* Index of parameter `name`, or -ENOENT. */
int params_schema_find(const struct params_schema *schema, const char *name);

/*
 * The declarations as YAML, the exact content of NAME.yaml. *ret_text is malloc'ed and terminated.
 * `plugin` gives id, version, versions of ABI and state, and summary. -ENOMEM.
 */
int params_schema_yaml(const struct params_schema *schema, const struct shunt_plugin *plugin,
                       char **ret_text);

/* ------------------------------------------------------------------ values */

/*
 * One value given as text.
 *   int       decimal integer            real   decimal number, never NaN or infinite
 *   duration  decimal number of seconds  enum   one of the choices
 *   bool      true or false              vector [a b c]: spaces or commas between elements
 */
struct param_assignment {
    const char *name;  /* of the parameter */
    const char *model; /* PER_MODEL parameters: one model's value; NULL: all models' */
    const char *text;
};

/*
 * Splits "name=value" or "name[model]=value" in place. The closing bracket is the last "]" before
 * "=", so a model name may hold any byte but "=" (who splits a policy reference at ":" first must
 * leave brackets whole). -EINVAL with a line in `err`.
 */
int param_assignment_split(char *text, struct param_assignment *ret_assignment, char *err,
                           size_t err_size);

/* A set of values for a list of models. */
struct params;

/*
 * A set with all values at their defaults. `models` (model_count names) gives the meaning of the
 * per-model indices; names are copied. `schema` must outlive the set. -ENOMEM, -E2BIG.
 */
int params_create(const struct params_schema *schema, const char *const *models,
                  uint32_t model_count, struct params **ret_params);

/* An independent copy, to try a batch on before it is committed by swapping. -ENOMEM. */
int params_clone(const struct params *params, struct params **ret_params);

void params_destroy(struct params *params);

/* Replaces the list of models. Values named for a model follow its name; those of models that are
 * not in the list are kept for their return. Marks per-model values as changed. -ENOMEM, -E2BIG. */
int params_set_models(struct params *params, const char *const *models, uint32_t model_count);

/*
 * Applies a batch as a whole or not at all. A value for all models drops what the same origin
 * named for single models before. `live_only` refuses a change of the effective value of a
 * parameter that is not LIVE. Afterwards `changed` in the view is relative to the view before.
 * -ENOENT (no such parameter), -EINVAL (type, range, constraint), -EPERM (not live), -E2BIG,
 * -ENOMEM, each with one line in `err`.
 */
int params_apply(struct params *params, const struct param_assignment *assignments, size_t count,
                 enum param_origin origin, bool live_only, char *err, size_t err_size);

/* Drops every value of an origin other than the default. Errors as params_apply. */
int params_clear(struct params *params, enum param_origin origin, bool live_only, char *err,
                 size_t err_size);

/* Sets `changed` in `params` by comparison with `last`, a set of the same policy. -EPERM with a
 * line in `err` if `live_only` and a parameter that is not LIVE differs. */
int params_compare(struct params *params, const struct params *last, bool live_only, char *err,
                   size_t err_size);

/* The complete set as a policy sees it; valid until the next call that changes `params`. */
const struct shunt_params *params_view(const struct params *params);

/* Marks every value as changed, as at create. */
void params_mark_changed(struct params *params);

const struct params_schema *params_schema_of(const struct params *params);
uint32_t params_model_count(const struct params *params);

/* Origin of the effective value of parameter `index` (for `model` if PER_MODEL). */
enum param_origin params_origin(const struct params *params, uint32_t index, uint32_t model);

/* The effective value as text that params_apply would accept. -ENOSPC. */
int params_format(const struct params *params, uint32_t index, uint32_t model, char *text,
                  size_t size);

/*
 * Calls `each` for every value that `origin` names, in the order given, with the model's name
 * (NULL: all models) and the value's text; stops at and returns the first non-zero result. Names
 * models that are not in the list, too: compare with it to warn about values without effect.
 */
int params_each(const struct params *params, enum param_origin origin,
                int (*each)(void *ctx, const struct param_assignment *assignment), void *ctx);

/* Parses one value's text against its declaration and range into `values` (1 element, or
 * vector_len for VECTOR), in the declaration's unit (seconds for durations). -EINVAL with `err`. */
int param_parse(const struct shunt_param_info *info, const char *text,
                double values[PARAMS_VECTOR_MAX], char *err, size_t err_size);

/* Prints a value given in the declaration's unit; reals in the shortest form that reads back to
 * the same double. -ENOSPC. */
int param_print(const struct shunt_param_info *info, const double *values, char *text, size_t size);

#endif
