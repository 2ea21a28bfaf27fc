/*
 * What a search found: as JSON, from which the text and the report are made, so that all say the
 * same; and as the values file that a policy reference names.
 */
#include "sim/tune_halving.h"
#include "tools/tune_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_HEX = 2 * SCENARIO_HASH_BYTES + 1, FRONT_SHOWN = 12, VALUES_MAX = 4096 };

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* A coordinate so close to 0 or 1 is at the end of the range. */
#define AT_END 0.005
/* Below it a sign test says more than chance would. */
#define SIGNIFICANT 0.05

/* ------------------------------------------------------------------ JSON */

static const char *const part_names[] = {
    [ARRIVALS_ALL] = "all", [ARRIVALS_TUNE] = "tune", [ARRIVALS_SCORE] = "score"};

/* What each source of arrivals is tuned on. */
static json_t *notes_json(const struct tune_world *world, const struct scenario *s)
{
    json_t *notes = json_array();
    for (size_t i = 0; i < s->arrivals.sources_len; i++) {
        const struct arrivals_source *source = &s->arrivals.sources[i];
        if (source->kind == ARRIVALS_TRACE) {
            const char *file = strrchr(source->path, '/');
            (void)json_array_append_new(notes, json_sprintf("arrivals[%zu]: %s: its part %s", i,
                                                            file ? file + 1 : source->path,
                                                            part_names[source->part]));
        } else if (source->kind == ARRIVALS_LIST || source->kind == ARRIVALS_CONSTANT) {
            (void)json_array_append_new(
                notes, json_sprintf("arrivals[%zu]: %s: the same arrivals for every seed, so it is "
                                    "scored on what it was tuned on",
                                    i, arrivals_kind_name(source->kind)));
        } else {
            (void)json_array_append_new(
                notes,
                json_sprintf("arrivals[%zu]: %s: drawn with seeds from %" PRIu64
                             " on, which no comparison begins with",
                             i, arrivals_kind_name(source->kind), tune_world_seed(world, false)));
        }
    }
    return notes;
}

static json_t *scenarios_json(const struct tune_world *world)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < world->command->file_count; i++) {
        const struct scenario *s = world->full[i];
        char hex[HASH_HEX];
        for (uint32_t k = 0; k < SCENARIO_HASH_BYTES; k++) {
            (void)snprintf(hex + 2 * k, 3, "%02x", s->hash[k]);
        }
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:O, s:o}", "name", s->name, "label",
                            scenario_label_name(s->label), "file", s->file, "sha256", hex, "traces",
                            world->traces[i], "tuned_on", notes_json(world, s)));
    }
    return list;
}

static json_t *figures_json(const double value[TUNE_OBJECTIVES])
{
    json_t *o = json_object();
    for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
        (void)json_object_set_new(o, tune_objective_name(k), real(value[k]));
    }
    return o;
}

static json_t *ratios_json(const struct tune_eval *eval)
{
    double ratio[TUNE_OBJECTIVES];
    for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
        ratio[k] = tune_ratio(eval, k);
    }
    return figures_json(ratio);
}

static json_t *values_json(const struct tune_study *study, uint32_t candidate)
{
    const struct tune_space *space = study->options.space;
    json_t *o = json_object();
    for (uint32_t d = 0; d < space->count; d++) {
        char text[PARAMS_TEXT_BYTES_MAX];
        (void)tune_space_value(space, study->candidates[candidate].values, d, text);
        (void)json_object_set_new(o, space->schema->info[space->index[d]].name, json_string(text));
    }
    return o;
}

static json_t *value_text(const struct shunt_param_info *info, double value)
{
    char text[PARAMS_TEXT_BYTES_MAX];
    return param_print(info, &value, text, sizeof(text)) ? json_null() : json_string(text);
}

static json_t *parameter_json(const struct tune_study *study, uint32_t d)
{
    const struct tune_space *space = study->options.space;
    const struct shunt_param_info *info = &space->schema->info[space->index[d]];
    const struct morris_effect *effect = &study->effect[d];
    char start[PARAMS_TEXT_BYTES_MAX], chosen[PARAMS_TEXT_BYTES_MAX];
    bool numeric = info->type != SHUNT_PARAM_ENUM && info->type != SHUNT_PARAM_BOOL;
    (void)tune_space_value(space, study->candidates[0].values, d, start);
    (void)tune_space_value(space, study->candidates[study->chosen].values, d, chosen);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", info->name, "type",
                          param_type_name(info->type), "unit", info->unit, "scale",
                          info->flags & SHUNT_PARAM_LOG_SCALE ? "log" : "linear", "start", start,
                          "chosen", chosen, "doc", info->doc);
    (void)json_object_set_new(o, "min", numeric ? value_text(info, info->value_min) : json_null());
    (void)json_object_set_new(o, "max", numeric ? value_text(info, info->value_max) : json_null());
    (void)json_object_set_new(o, "good_min", value_text(info, study->good_min[d]));
    (void)json_object_set_new(o, "good_max", value_text(info, study->good_max[d]));
    bool screened = study->walks > 0;
    (void)json_object_set_new(o, "mu_star", screened ? real(effect->mean_abs) : json_null());
    (void)json_object_set_new(o, "mu", screened ? real(effect->mean) : json_null());
    (void)json_object_set_new(o, "sigma", screened ? real(effect->sigma) : json_null());
    double unit = tune_space_unit(
        space, d, tune_space_value(space, study->candidates[study->chosen].values, d, NULL));
    (void)json_object_set_new(o, "at_end",
                              json_boolean(numeric && (unit < AT_END || unit > 1 - AT_END)));
    (void)json_object_set_new(o, "matters",
                              screened ? json_boolean(study->matters[d]) : json_null());
    return o;
}

/* Each scenario's figures, seeds averaged, of the start and the choice. */
static json_t *by_scenario_json(const struct tune_world *world, const struct tune_study *study)
{
    json_t *list = json_array();
    const uint32_t seeds = study->options.seed_count;
    const struct tune_eval *both[] = {tune_eval_of(study, 0, study->final_length),
                                      tune_eval_of(study, study->chosen, study->final_length)};
    for (uint32_t s = 0; s < study->options.scenario_count; s++) {
        double value[2][TUNE_OBJECTIVES] = {{0}};
        for (uint32_t i = 0; i < 2 * seeds; i++) {
            const struct tune_run *run = &both[i / seeds]->runs[s * seeds + i % seeds];
            for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
                value[i / seeds][k] += run->value[k] / seeds;
            }
        }
        (void)json_array_append_new(
            list, json_pack("{s:s, s:o, s:o}", "scenario", world->full[s]->name, "start",
                            figures_json(value[0]), "chosen", figures_json(value[1])));
    }
    return list;
}

static json_t *chosen_json(const struct tune_world *world, const struct tune_study *study)
{
    const struct tune_eval *start = tune_eval_of(study, 0, study->final_length);
    const struct tune_eval *chosen = tune_eval_of(study, study->chosen, study->final_length);
    uint32_t differ = study->pairs_better + study->pairs_worse;
    json_t *o = json_pack(
        "{s:o, s:b, s:b, s:s, s:o, s:o, s:o, s:o}", "values", values_json(study, study->chosen),
        "is_start", study->chosen == 0, "feasible", (int)study->feasible, "judged_on",
        study->final_length == TUNE_FRESH ? "fresh seeds" : "the same arrivals", "start",
        figures_json(start->value), "figures", figures_json(chosen->value), "ratio",
        ratios_json(chosen), "by_scenario", by_scenario_json(world, study));
    (void)json_object_set_new(o, "paired",
                              json_pack("{s:i, s:i, s:i, s:f}", "stretches", (int)study->pairs,
                                        "better", (int)study->pairs_better, "worse",
                                        (int)study->pairs_worse, "p",
                                        differ > 0 ? sign_test(study->pairs_better, differ) : 1.0));
    return o;
}

static json_t *eval_json(const struct tune_study *study, const struct tune_eval *eval)
{
    return json_pack("{s:o, s:f, s:b, s:f, s:o, s:o, s:o}", "values",
                     values_json(study, eval->candidate), "share", eval->share, "fresh",
                     eval->length == TUNE_FRESH, "spent", eval->spent, "excess", real(eval->excess),
                     "figures", figures_json(eval->value), "ratio", ratios_json(eval));
}

static json_t *front_json(const struct tune_study *study)
{
    json_t *names = json_array(), *points = json_array();
    for (uint32_t k = 0; k < study->front_objective_count; k++) {
        (void)json_array_append_new(names,
                                    json_string(tune_objective_name(study->front_objective[k])));
    }
    for (uint32_t i = 0; i < study->front_count; i++) {
        (void)json_array_append_new(points, eval_json(study, &study->evals[study->front[i]]));
    }
    return json_pack("{s:o, s:f, s:f, s:o}", "objectives", names, "hypervolume", study->hypervolume,
                     "hypervolume_start", study->hypervolume_start, "points", points);
}

static json_t *limit_json(const struct tune_limit *limit)
{
    return json_sprintf("%s%s%.12g%s", tune_objective_name(limit->objective),
                        tune_is_maximised(limit->objective) ? ">=" : "<=", limit->value,
                        limit->relative ? "x" : "");
}

json_t *tune_json(const struct tune_world *world, const struct tune_study *study)
{
    const struct tune_command *c = world->command;
    const struct tune_options *options = &study->options;
    json_t *objectives = json_array(), *limits = json_array(), *parameters = json_array();
    json_t *finalists = json_array(), *tried = json_array();
    for (uint32_t k = 0; k < options->objective_count; k++) {
        (void)json_array_append_new(objectives,
                                    json_string(tune_objective_name(options->objective[k])));
    }
    for (uint32_t i = 0; i < options->limit_count; i++) {
        (void)json_array_append_new(limits, limit_json(&options->limit[i]));
    }
    for (uint32_t d = 0; d < options->space->count; d++) {
        (void)json_array_append_new(parameters, parameter_json(study, d));
    }
    for (uint32_t i = 0; i < study->finalist_count; i++) {
        (void)json_array_append_new(
            finalists,
            eval_json(study, tune_eval_of(study, study->finalist[i], study->final_length)));
    }
    for (uint32_t i = 0; i < study->eval_count; i++) {
        (void)json_array_append_new(tried, eval_json(study, &study->evals[i]));
    }
    json_t *o = json_pack(
        "{s:i, s:s, s:{s:s, s:s, s:s, s:s}, s:o, s:o, s:o, s:I, s:I, s:I, s:f, s:f}", "schema", 1,
        "shunt_version", SHUNT_VERSION, "policy", "name", world->choice->plugin->note.id, "version",
        world->choice->plugin->note.version, "hash", world->choice->plugin->hash, "reference",
        c->policy, "scenarios", scenarios_json(world), "objective", objectives, "subject", limits,
        "seed", (json_int_t)c->seed, "seeds", (json_int_t)c->seeds, "run_seed",
        (json_int_t)tune_world_seed(world, false), "budget", c->budget, "spent", study->spent);
    (void)json_object_set_new(o, "shares",
                              json_pack("[f, f, f]", study->share[0], study->share[1], 1.0));
    (void)json_object_set_new(o, "rungs",
                              json_pack("[i, i, i]", (int)study->rung_count[0],
                                        (int)study->rung_count[1], (int)study->rung_count[2]));
    (void)json_object_set_new(o, "walks", json_integer(study->walks));
    (void)json_object_set_new(o, "candidates", json_integer(study->candidate_count));
    (void)json_object_set_new(o, "good", json_integer(study->good_count));
    (void)json_object_set_new(o, "parameters", parameters);
    (void)json_object_set_new(o, "chosen", chosen_json(world, study));
    (void)json_object_set_new(o, "finalists", finalists);
    (void)json_object_set_new(o, "front", front_json(study));
    (void)json_object_set_new(o, "tried", tried);
    return o;
}

/* ------------------------------------------------------------------ text */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void print_number(FILE *out, int width, double value)
{
    if (isfinite(value)) {
        (void)fprintf(out, " %*.5g", width, value);
    } else {
        (void)fprintf(out, " %*s", width, "-");
    }
}

static void print_head(FILE *out, const json_t *study)
{
    const json_t *policy = json_object_get(study, "policy");
    size_t i;
    json_t *item;
    (void)fprintf(out, "%s", text_of(policy, "reference"));
    json_array_foreach(json_object_get(study, "scenarios"), i, item)
    {
        (void)fprintf(out, "%s%s (%s)", i ? ", " : " on ", text_of(item, "name"),
                      text_of(item, "label"));
    }
    json_array_foreach(json_object_get(study, "objective"), i, item)
    {
        (void)fprintf(out, "%s%s", i ? ", " : "; objective ", json_string_value(item));
    }
    json_array_foreach(json_object_get(study, "subject"), i, item)
    {
        (void)fprintf(out, "%s%s", i ? ", " : " subject to ", json_string_value(item));
    }
    (void)fprintf(out,
                  "\n%.1f of %.0f full runs spent on %" JSON_INTEGER_FORMAT
                  " candidates, seed %" JSON_INTEGER_FORMAT "\n",
                  number_of(study, "spent"), number_of(study, "budget"),
                  json_integer_value(json_object_get(study, "candidates")),
                  json_integer_value(json_object_get(study, "seed")));
    json_array_foreach(json_object_get(study, "scenarios"), i, item)
    {
        size_t k;
        json_t *note;
        json_array_foreach(json_object_get(item, "tuned_on"), k, note)
        {
            (void)fprintf(out, "  %s, %s\n", text_of(item, "name"), json_string_value(note));
        }
    }
}

static void print_parameters(FILE *out, const json_t *study)
{
    size_t i;
    json_t *p;
    (void)fprintf(out, "\n%-20s %10s %10s  %-21s %8s %8s\n", "parameter", "start", "chosen", "good",
                  "effect", "spread");
    json_array_foreach(json_object_get(study, "parameters"), i, p)
    {
        char good[64];
        (void)snprintf(good, sizeof(good), "%s ... %s", text_of(p, "good_min"),
                       text_of(p, "good_max"));
        (void)fprintf(out, "%-20s %10s %10s  %-21s", text_of(p, "name"), text_of(p, "start"),
                      text_of(p, "chosen"), good);
        if (json_is_number(json_object_get(p, "mu_star"))) {
            (void)fprintf(out, " %8.3f %8.3f", number_of(p, "mu_star"), number_of(p, "sigma"));
        } else {
            (void)fprintf(out, " %8s %8s", "-", "-");
        }
        (void)fprintf(out, "%s\n",
                      json_is_false(json_object_get(p, "matters")) ? "  does not matter"
                      : json_is_true(json_object_get(p, "at_end")) ? "  at the end of its range"
                                                                   : "");
    }
    (void)fprintf(out,
                  "good: of the %d candidates within 5 %% of the best; effect, spread: mu* "
                  "and sigma of the log of the objective over the range\n",
                  (int)json_integer_value(json_object_get(study, "good")));
}

static const char *const labels[TUNE_OBJECTIVES] = {
    [TUNE_MEAN] = "mean wait, s",
    [TUNE_P99] = "p99 wait, s",
    [TUNE_WORK] = "work per second",
    [TUNE_JAIN] = "fairness (Jain)",
    [TUNE_SWITCH] = "share of time switching",
};

static void print_chosen(FILE *out, const json_t *study)
{
    const json_t *chosen = json_object_get(study, "chosen");
    const json_t *paired = json_object_get(chosen, "paired");
    (void)fprintf(out, "\n%-26s %10s %10s %8s\n", text_of(chosen, "judged_on"), "start", "chosen",
                  "ratio");
    for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
        const char *name = tune_objective_name(k);
        double start = number_of(json_object_get(chosen, "start"), name);
        double value = number_of(json_object_get(chosen, "figures"), name);
        (void)fprintf(out, "%-26s", labels[k]);
        print_number(out, 10, start);
        print_number(out, 10, value);
        (void)fprintf(out, " %8.3f\n", value / start);
    }
    if (json_is_true(json_object_get(chosen, "is_start"))) {
        (void)fprintf(out, "Nothing better than the start was found.\n");
    } else {
        (void)fprintf(out, "better in %d, worse in %d of %d stretches (sign test: p %.2g)\n",
                      (int)number_of(paired, "better"), (int)number_of(paired, "worse"),
                      (int)number_of(paired, "stretches"), number_of(paired, "p"));
        if (number_of(paired, "p") > SIGNIFICANT) {
            (void)fprintf(out,
                          "That may be chance: more scenarios, arrivals or seeds would tell.\n");
        }
    }
    if (!json_is_true(json_object_get(chosen, "feasible"))) {
        (void)fprintf(out,
                      "No candidate meets what the choice is subject to; this comes nearest.\n");
    }
}

static void print_front(FILE *out, const json_t *study)
{
    const json_t *front = json_object_get(study, "front");
    const json_t *points = json_object_get(front, "points");
    size_t i, k, count = json_array_size(points);
    json_t *point, *objective;
    (void)fprintf(out, "\nnothing tried is better in all of:\n");
    json_array_foreach(json_object_get(front, "objectives"), k, objective)
    {
        (void)fprintf(out, " %10s", json_string_value(objective));
    }
    (void)fprintf(out, "  with\n");
    json_array_foreach(points, i, point)
    {
        /* Evenly, with both ends, where there are too many. */
        const char *name;
        json_t *value;
        if (count > FRONT_SHOWN &&
            i * (FRONT_SHOWN - 1) / (count - 1) == (i - 1) * (FRONT_SHOWN - 1) / (count - 1) &&
            i > 0) {
            continue;
        }
        json_array_foreach(json_object_get(front, "objectives"), k, objective)
        {
            print_number(
                out, 10,
                number_of(json_object_get(point, "figures"), json_string_value(objective)));
        }
        (void)fputc(' ', out);
        json_object_foreach(json_object_get(point, "values"), name, value)
        {
            (void)fprintf(out, " %s=%s", name, json_string_value(value));
        }
        (void)fputc('\n', out);
    }
    if (count > FRONT_SHOWN) {
        (void)fprintf(out, "(%d of %zu; --json has all)\n", FRONT_SHOWN, count);
    }
    (void)fprintf(out,
                  "hypervolume %.4f of the box up to twice the start's figures; the start %.4f\n",
                  number_of(front, "hypervolume"), number_of(front, "hypervolume_start"));
}

void tune_print(FILE *out, const json_t *study)
{
    print_head(out, study);
    print_parameters(out, study);
    print_chosen(out, study);
    print_front(out, study);
}

/* ------------------------------------------------------------------ values file */

struct list {
    struct param_assignment *item;
    size_t count;
    const struct tune_space *space;
};

/* A copy of all three. */
static int add_value(struct list *list, const char *name, const char *model, const char *text)
{
    if (list->count == VALUES_MAX) {
        return -E2BIG;
    }
    const struct param_assignment copy = {
        .name = strdup(name), .model = model ? strdup(model) : NULL, .text = strdup(text)};
    list->item[list->count++] = copy;
    return copy.name && copy.text && (!model || copy.model) ? 0 : -ENOMEM;
}

/* Keeps what is not tuned and not named by a stronger origin before. */
static int add_kept(void *ctx, const struct param_assignment *assignment)
{
    struct list *list = ctx;
    for (uint32_t d = 0; d < list->space->count; d++) {
        if (strcmp(list->space->schema->info[list->space->index[d]].name, assignment->name) == 0) {
            return 0;
        }
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct param_assignment *had = &list->item[i];
        bool one_model = had->model && assignment->model;
        if (strcmp(had->name, assignment->name) == 0 &&
            (!had->model || (one_model && strcmp(had->model, assignment->model) == 0))) {
            return 0;
        }
    }
    return add_value(list, assignment->name, assignment->model, assignment->text);
}

/* Those for all models first, then model by model. */
static int order(const void *one, const void *two)
{
    const struct param_assignment *a = one, *b = two;
    int by_model = strcmp(a->model ? a->model : "", b->model ? b->model : "");
    return by_model ? by_model : strcmp(a->name, b->name);
}

enum { FACTS_MAX = 16, FACT_BYTES_MAX = 400 };

struct facts {
    struct values_fact fact[FACTS_MAX];
    char text[FACTS_MAX][FACT_BYTES_MAX];
    size_t count;
};

static void add_fact(struct facts *facts, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_fact(struct facts *facts, const char *key, const char *format, ...)
{
    char *text = facts->text[facts->count];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, FACT_BYTES_MAX, format, args);
    va_end(args);
    facts->fact[facts->count++] = (struct values_fact){.key = key, .text = text};
}

static void gather_facts(struct facts *facts, const struct tune_world *world,
                         const struct tune_study *study)
{
    const struct tune_command *c = world->command;
    const struct tune_eval *chosen = tune_eval_of(study, study->chosen, study->final_length);
    char all[FACT_BYTES_MAX] = "";
    size_t used = 0;
    add_fact(facts, "tool", "shunt tune %s", SHUNT_VERSION);
    add_fact(facts, "date", "%s", c->date);
    add_fact(facts, "policy", "%s %s, hash %s", c->policy, world->choice->plugin->note.version,
             world->choice->plugin->hash);
    for (uint32_t i = 0; i < c->file_count && used < sizeof(all); i++) {
        const uint8_t *h = world->full[i]->hash;
        int got = snprintf(all + used, sizeof(all) - used, "%s%s %02x%02x%02x%02x%02x%02x%02x%02x",
                           i ? ", " : "", world->full[i]->name, h[0], h[1], h[2], h[3], h[4], h[5],
                           h[6], h[7]);
        used += got > 0 ? (size_t)got : 0;
    }
    add_fact(facts, "scenarios", "%s (SHA-256, first 8 bytes)", all);
    add_fact(facts, "part", "tune");
    used = 0;
    for (uint32_t k = 0; k < study->options.objective_count; k++) {
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", k ? "," : "",
                                 tune_objective_name(study->options.objective[k]));
    }
    for (uint32_t i = 0; i < study->options.limit_count; i++) {
        json_t *limit = limit_json(&study->options.limit[i]);
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : " subject to ",
                                 json_string_value(limit));
        json_decref(limit);
    }
    add_fact(facts, "objective", "%s", all);
    add_fact(facts, "budget", "%.10g full runs, %.4g spent", c->budget, study->spent);
    add_fact(facts, "seed", "%" PRIu64 ", %" PRIu64 " run seeds from %" PRIu64, c->seed, c->seeds,
             tune_world_seed(world, false));
    add_fact(facts, "ratio", "%.4f of the start's %s, on %s",
             tune_ratio(chosen, study->options.objective[0]),
             tune_objective_name(study->options.objective[0]),
             study->final_length == TUNE_FRESH ? "fresh seeds" : "the arrivals tuned on");
}

int tune_write_values(FILE *out, const struct tune_world *world, const struct tune_study *study)
{
    const struct tune_space *space = study->options.space;
    struct list list = {.item = calloc(VALUES_MAX, sizeof(*list.item)), .space = space};
    struct facts *facts = calloc(1, sizeof(*facts));
    int rc = list.item && facts ? 0 : -ENOMEM;
    rc = rc ? rc : params_each(world->params, PARAM_ORIGIN_CONFIG, add_kept, &list);
    rc = rc ? rc : params_each(world->params, PARAM_ORIGIN_VALUES, add_kept, &list);
    for (uint32_t d = 0; !rc && d < space->count; d++) {
        char text[PARAMS_TEXT_BYTES_MAX];
        (void)tune_space_value(space, study->candidates[study->chosen].values, d, text);
        rc = add_value(&list, space->schema->info[space->index[d]].name, NULL, text);
    }
    if (!rc) {
        qsort(list.item, list.count, sizeof(*list.item), order);
        gather_facts(facts, world, study);
        const struct values values = {.policy = world->choice->plugin->note.id,
                                      .item = list.item,
                                      .item_count = list.count,
                                      .provenance = facts->fact,
                                      .provenance_count = facts->count};
        rc = values_write(out, &values);
    }
    for (size_t i = 0; i < list.count; i++) {
        free((char *)(uintptr_t)list.item[i].name);
        free((char *)(uintptr_t)list.item[i].model);
        free((char *)(uintptr_t)list.item[i].text);
    }
    free(facts);
    free(list.item);
    return rc;
}
