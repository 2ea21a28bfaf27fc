/* Parameters to and from coordinates: see tune_space.h. */
#include "sim/tune_space.h"

#include "core/fmath.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPAIRS_MAX = 8, DIGITS = 4 };

static const struct shunt_param_info *info_of(const struct tune_space *space, uint32_t d)
{
    return &space->schema->info[space->index[d]];
}

static bool is_log(const struct shunt_param_info *info)
{
    return (info->flags & SHUNT_PARAM_LOG_SCALE) && info->value_min > 0;
}

void tune_space_init(struct tune_space *space, const struct params *base)
{
    *space = (struct tune_space){.base = base, .schema = params_schema_of(base)};
    for (uint32_t i = 0; i < space->schema->count; i++) {
        const struct shunt_param_info *info = &space->schema->info[i];
        bool ranged = info->value_min < info->value_max || info->type == SHUNT_PARAM_BOOL ||
                      (info->type == SHUNT_PARAM_ENUM && info->choice_count > 1);
        if ((info->flags & SHUNT_PARAM_TUNE) && !(info->flags & SHUNT_PARAM_PER_MODEL) &&
            info->type != SHUNT_PARAM_VECTOR && ranged &&
            params_origin(base, i, 0) < PARAM_ORIGIN_CONFIG) {
            space->index[space->count++] = i;
        }
    }
}

/* ------------------------------------------------------------------ coordinates */

/* Equal parts of the cube: [low, low + parts). */
static double discrete(double unit, double low, double parts)
{
    double part = (double)(int64_t)(unit * parts);
    return low + (part < parts ? part : parts - 1);
}

static double round_half_up(double x)
{
    double down = (double)(int64_t)x;
    down -= down > x;
    return x - down >= 0.5 ? down + 1 : down;
}

static double value_at(const struct shunt_param_info *info, double unit)
{
    const double min = info->value_min, max = info->value_max;
    double value;
    switch (info->type) {
    case SHUNT_PARAM_BOOL:
        return discrete(unit, 0, 2);
    case SHUNT_PARAM_ENUM:
        return discrete(unit, 0, info->choice_count);
    case SHUNT_PARAM_INT:
        if (!is_log(info)) {
            return discrete(unit, min, max - min + 1);
        }
        value = round_half_up(min * core_exp(unit * core_log(max / min)));
        break;
    default:
        value =
            is_log(info) ? min * core_exp(unit * core_log(max / min)) : min + unit * (max - min);
    }
    return value < min ? min : value > max ? max : value;
}

double tune_space_unit(const struct tune_space *space, uint32_t d, double value)
{
    const struct shunt_param_info *info = info_of(space, d);
    const double min = info->value_min, max = info->value_max;
    double unit;
    if (info->type == SHUNT_PARAM_BOOL || info->type == SHUNT_PARAM_ENUM) {
        unit = (value + 0.5) / (info->type == SHUNT_PARAM_BOOL ? 2 : info->choice_count);
    } else if (is_log(info)) {
        unit = core_log(value / min) / core_log(max / min);
    } else if (info->type == SHUNT_PARAM_INT) {
        unit = (value - min + 0.5) / (max - min + 1);
    } else {
        unit = (value - min) / (max - min);
    }
    return unit < 0 ? 0 : unit > 1 ? 1 : unit;
}

static double base_value(const struct tune_space *space, uint32_t parameter)
{
    const struct shunt_params *view = params_view(space->base);
    switch (space->schema->info[parameter].type) {
    case SHUNT_PARAM_REAL:
        return shunt_param_real(view, parameter, 0);
    case SHUNT_PARAM_DURATION:
        return (double)shunt_param_integer(view, parameter, 0) / 1e9;
    default:
        return (double)shunt_param_integer(view, parameter, 0);
    }
}

void tune_space_start(const struct tune_space *space, double *ret_unit)
{
    for (uint32_t d = 0; d < space->count; d++) {
        ret_unit[d] = tune_space_unit(space, d, base_value(space, space->index[d]));
    }
}

/* ------------------------------------------------------------------ text */

/* Few digits are easier to read, to type and to find again; never beyond the range. */
static double few_digits(const struct shunt_param_info *info, double value)
{
    char text[48];
    if (info->type != SHUNT_PARAM_REAL && info->type != SHUNT_PARAM_DURATION) {
        return value;
    }
    (void)snprintf(text, sizeof(text), "%.*g", DIGITS, value);
    double rounded = strtod(text, NULL);
    return rounded < info->value_min   ? info->value_min
           : rounded > info->value_max ? info->value_max
                                       : rounded;
}

static double clamp(const struct shunt_param_info *info, double value)
{
    return value < info->value_min   ? info->value_min
           : value > info->value_max ? info->value_max
                                     : value;
}

/*
 * Towards satisfied constraints, left <= factor * right: the left side comes down, and where that
 * is not enough or not tuned, the right side goes up. A few passes settle chains.
 */
static void repair(const struct tune_space *space, double values[PARAMS_MAX],
                   const bool tuned[PARAMS_MAX])
{
    for (int pass = 0; pass < REPAIRS_MAX; pass++) {
        for (uint32_t i = 0; i < space->schema->constraint_count; i++) {
            const struct shunt_param_constraint *c = &space->schema->constraint[i];
            const struct shunt_param_info *left = &space->schema->info[c->left];
            const struct shunt_param_info *right = &space->schema->info[c->right];
            if (values[c->left] <= c->factor * values[c->right]) {
                continue;
            }
            if (tuned[c->left]) {
                values[c->left] = clamp(left, c->factor * values[c->right]);
            }
            if (tuned[c->right] && values[c->left] > c->factor * values[c->right] &&
                c->factor > 0) {
                values[c->right] = clamp(right, values[c->left] / c->factor);
            }
        }
    }
}

static int print(const struct tune_space *space, const double *values, char *ret_text)
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (uint32_t d = 0; d < space->count; d++) {
        char value[PARAMS_TEXT_BYTES_MAX];
        int rc = param_print(info_of(space, d), &values[space->index[d]], value, sizeof(value));
        int got = rc ? -1
                     : snprintf(ret_text + used, TUNE_TEXT_MAX - used, ":%s=%s",
                                info_of(space, d)->name, value);
        if (got < 0 || (size_t)got >= TUNE_TEXT_MAX - used) {
            return -EDOM;
        }
        used += (size_t)got;
    }
    return 0;
}

/* Whether the parameters' own judge takes them. */
static int judge(const struct tune_space *space, const char *text)
{
    struct param_assignment assignments[PARAMS_MAX];
    char copy[TUNE_TEXT_MAX], err[8];
    struct params *trial = NULL;
    size_t count = 0;
    (void)snprintf(copy, sizeof(copy), "%s", text);
    char *rest = copy;
    for (char *part = strsep(&rest, ":"); part; part = strsep(&rest, ":")) {
        char *equals = strchr(part, '=');
        if (equals && count < PARAMS_MAX) {
            *equals = '\0';
            assignments[count++] = (struct param_assignment){.name = part, .text = equals + 1};
        }
    }
    int rc = params_clone(space->base, &trial);
    if (!rc &&
        params_apply(trial, assignments, count, PARAM_ORIGIN_CONFIG, false, err, sizeof(err))) {
        rc = -EDOM;
    }
    params_destroy(trial);
    return rc;
}

int tune_space_text(const struct tune_space *space, const double *unit,
                    char ret_text[TUNE_TEXT_MAX])
{
    double values[PARAMS_MAX] = {0};
    bool tuned[PARAMS_MAX] = {false};
    for (uint32_t i = 0; i < space->schema->count; i++) {
        const struct shunt_param_info *info = &space->schema->info[i];
        if (info->type != SHUNT_PARAM_VECTOR && !(info->flags & SHUNT_PARAM_PER_MODEL)) {
            values[i] = base_value(space, i);
        }
    }
    for (uint32_t d = 0; d < space->count; d++) {
        const struct shunt_param_info *info = info_of(space, d);
        values[space->index[d]] = few_digits(info, value_at(info, unit[d]));
        tuned[space->index[d]] = true;
    }
    repair(space, values, tuned);
    int rc = print(space, values, ret_text);
    return rc ? rc : judge(space, ret_text);
}

void tune_space_start_text(const struct tune_space *space, char ret_text[TUNE_TEXT_MAX])
{
    double values[PARAMS_MAX] = {0};
    for (uint32_t d = 0; d < space->count; d++) {
        values[space->index[d]] = base_value(space, space->index[d]);
    }
    int rc = print(space, values, ret_text);
    assert(rc == 0);
    (void)rc;
}

double tune_space_value(const struct tune_space *space, const char *text, uint32_t d,
                        char *ret_text)
{
    const struct shunt_param_info *info = info_of(space, d);
    double values[PARAMS_VECTOR_MAX] = {0};
    char own[PARAMS_TEXT_BYTES_MAX], err[8];
    const char *at = text;
    for (uint32_t i = 0; at && i < d; i++) {
        at = strchr(at + 1, ':');
    }
    at = at ? strchr(at, '=') : NULL;
    assert(at);
    (void)snprintf(own, sizeof(own), "%.*s", (int)strcspn(at + 1, ":"), at + 1);
    (void)param_parse(info, own, values, err, sizeof(err));
    if (ret_text) {
        (void)snprintf(ret_text, PARAMS_TEXT_BYTES_MAX, "%s", own);
    }
    return values[0];
}
