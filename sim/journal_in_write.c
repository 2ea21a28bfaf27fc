/* Writes a scenario and its arrivals of what a journal told: see journal_in.h. */
#include "sim/journal_in_priv.h"

#include "base/config.h"
#include "core/fmath.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ arrivals */

/* Mean service of each model's requests, for those that were not served; of all, for a model that
 * none was. *ret_means is [model]. */
static int mean_services(struct journal_in *in, int64_t **ret_means)
{
    double *sums = calloc(in->model_count + 1u, sizeof(*sums));
    uint64_t *counts = calloc(in->model_count + 1u, sizeof(*counts));
    int64_t *means = calloc(in->model_count + 1u, sizeof(*means));
    if (!sums || !counts || !means) {
        free(sums);
        free(counts);
        free(means);
        return -ENOMEM;
    }
    for (size_t i = 0; i < in->row_count; i++) {
        const struct journal_in_row *row = &in->rows[i];
        if (row->service_ns >= 0) {
            sums[row->model] += (double)row->service_ns;
            counts[row->model]++;
            sums[in->model_count] += (double)row->service_ns;
            counts[in->model_count]++;
        } else {
            in->summary.unserved++;
        }
    }
    for (uint32_t m = 0; m < in->model_count; m++) {
        uint32_t from = counts[m] ? m : in->model_count;
        means[m] = counts[from] ? (int64_t)(sums[from] / (double)counts[from] + 0.5) : 0;
    }
    bool none = counts[in->model_count] == 0;
    free(sums);
    free(counts);
    if (none) {
        free(means);
        return -ENODATA;
    }
    *ret_means = means;
    return 0;
}

static void put_time(FILE *out, int64_t ns)
{
    (void)fprintf(out, "%" PRId64 ".%09" PRId64, ns / CORE_NS_PER_S, ns % CORE_NS_PER_S);
}

static int write_arrivals(struct journal_in *in, FILE *out)
{
    int64_t *means = NULL;
    int rc = mean_services(in, &means);
    if (rc) {
        return rc;
    }
    (void)fprintf(out, "arrival_s,model,input_tokens,output_tokens,service_s\n");
    for (size_t i = 0; i < in->row_count; i++) {
        const struct journal_in_row *row = &in->rows[i];
        put_time(out, row->t_ns - in->begin_ns);
        (void)fprintf(out, ",%u,%u,%u,", row->model, row->prompt_tokens, row->output_tokens);
        put_time(out, row->service_ns >= 0 ? row->service_ns : means[row->model]);
        (void)fputc('\n', out);
    }
    free(means);
    return 0;
}

/* ------------------------------------------------------------------ switches */

/* Adds `from` to `into`. */
static void cost_merge(struct journal_in_cost *into, const struct journal_in_cost *from)
{
    into->count += from->count;
    into->sum_s += from->sum_s;
}

/* The mean of a step of `model`; what others took where it was not seen, whatever the tier where
 * none of them did that either; 0 where there was no such step at all. */
static double mean_s(struct journal_in *in, uint32_t model, uint32_t step, uint32_t tier,
                     bool *seen)
{
    struct journal_in_cost sum = {0};
    cost_merge(&sum, journal_in_cost(in, model, step, tier));
    if (sum.count == 0) {
        *seen = false;
        for (uint32_t m = 0; m < in->model_count; m++) {
            cost_merge(&sum, journal_in_cost(in, m, step, tier));
        }
    }
    bool none = sum.count == 0;
    for (uint32_t i = 0; none && i < in->model_count * SHUNT_TIER_COUNT; i++) {
        cost_merge(&sum, journal_in_cost(in, i / SHUNT_TIER_COUNT, step, i % SHUNT_TIER_COUNT));
    }
    return sum.count ? sum.sum_s / (double)sum.count : 0.0;
}

/* The first tier that the model is moved out to. */
static uint32_t first_tier(const json_t *model)
{
    const char *name = json_string_value(json_array_get(json_object_get(model, "tiers"), 0));
    int tier = name ? config_tier_find(name) : -ENOENT;
    return tier >= 0 ? (uint32_t)tier : SHUNT_TIER_STOPPED;
}

static void name_unmeasured(struct journal_in *in, const char *name)
{
    char *text = in->summary.unmeasured;
    size_t used = strlen(text), size = sizeof(in->summary.unmeasured);
    (void)snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
}

static json_t *per_model(struct journal_in *in, const json_t *models)
{
    json_t *object = json_object();
    for (uint32_t m = 0; m < in->model_count; m++) {
        const json_t *model = json_array_get(models, m);
        uint32_t tier = first_tier(model);
        bool seen = true, probed = true;
        double sleep_s = mean_s(in, m, CORE_STEP_OUT, tier, &seen);
        double wake_s = mean_s(in, m, CORE_STEP_IN, tier, &seen);
        double probe_s = mean_s(in, m, CORE_STEP_PROBE, JOURNAL_IN_PROBE_TIER, &probed);
        const char *name = json_string_value(json_object_get(model, "name"));
        if (!seen && in->model_count > 1) {
            name_unmeasured(in, name);
        }
        (void)json_object_set_new(
            object, name,
            json_pack("{s:f, s:f, s:f}", "sleep_s", sleep_s, "wake_s", wake_s, "probe_s", probe_s));
    }
    return object;
}

/* Steps to and from other tiers than a model's first, where any was seen. */
static json_t *tiers_json(struct journal_in *in, const json_t *models)
{
    json_t *object = json_object();
    for (uint32_t tier = 0; tier < SHUNT_TIER_RESIDENT; tier++) {
        struct journal_in_cost out = {0}, back = {0};
        for (uint32_t m = 0; m < in->model_count; m++) {
            if (first_tier(json_array_get(models, m)) != tier) {
                cost_merge(&out, journal_in_cost(in, m, CORE_STEP_OUT, tier));
                cost_merge(&back, journal_in_cost(in, m, CORE_STEP_IN, tier));
            }
        }
        if (out.count && back.count) {
            (void)json_object_set_new(object, config_tier_name(tier),
                                      json_pack("{s:f, s:f}", "out_s",
                                                out.sum_s / (double)out.count, "in_s",
                                                back.sum_s / (double)back.count));
        }
    }
    return object;
}

/* How far times scatter about their means: the standard deviation of their logarithms. */
static double sigma(const struct journal_in *in)
{
    double squares = 0.0;
    uint64_t freedom = 0;
    size_t count = (size_t)in->model_count * CORE_STEP_COUNT * SHUNT_TIER_COUNT;
    for (size_t i = 0; i < count; i++) {
        const struct journal_in_cost *cost = &in->costs[i];
        if (cost->count > 1) {
            squares += cost->log_sum2 - cost->log_sum * cost->log_sum / (double)cost->count;
            freedom += cost->count - 1;
        }
    }
    return freedom >= 20 && squares > 0.0 ? core_sqrt(squares / (double)freedom) : 0.0;
}

static json_t *switch_json(struct journal_in *in, const json_t *models)
{
    json_t *object = json_pack("{s:o}", "per_model", per_model(in, models));
    json_t *tiers = tiers_json(in, models);
    if (json_object_size(tiers) > 0) {
        (void)json_object_set(object, "tiers", tiers);
    }
    json_decref(tiers);
    double spread = sigma(in);
    if (spread >= 0.01) {
        (void)json_object_set_new(
            object, "distribution",
            json_pack("{s:s, s:f}", "dist", "lognormal", "sigma", spread < 3.0 ? spread : 3.0));
    }
    return object;
}

/* ------------------------------------------------------------------ the scenario */

static json_t *initial_json(const struct journal_in *in, const json_t *models,
                            const json_t *devices)
{
    json_t *object = json_object();
    for (uint32_t i = 0; i < in->instance_count; i++) {
        if (in->resident[i]) {
            const char *device = json_string_value(
                json_object_get(json_array_get(devices, in->instances[i].device), "name"));
            json_t *list = json_object_get(object, device);
            if (!list) {
                list = json_array();
                (void)json_object_set_new(object, device, list);
            }
            (void)json_array_append(
                list, json_object_get(json_array_get(models, in->instances[i].model), "name"));
        }
    }
    return object;
}

static json_t *arrivals_json(const json_t *models)
{
    json_t *map = json_object();
    size_t index;
    json_t *model;
    json_array_foreach((json_t *)(uintptr_t)models, index, model)
    {
        char key[24];
        (void)snprintf(key, sizeof(key), "%zu", index);
        (void)json_object_set(map, key, json_object_get(model, "name"));
    }
    return json_pack("[{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}, s:o}]", "kind", "trace", "file",
                     "arrivals.csv", "format", "time_s", "arrival_s", "model", "model",
                     "input_tokens", "input_tokens", "output_tokens", "output_tokens", "service_s",
                     "service_s", "map", map);
}

static json_t *scenario_json(struct journal_in *in)
{
    json_t *models = json_deep_copy(json_object_get(in->config, "models"));
    json_t *devices = json_object_get(in->config, "devices");
    json_t *root = json_pack("{s:s, s:s}", "scenario", in->name, "label",
                             in->simulated ? "synthetic" : "real");
    size_t index;
    json_t *model;
    json_array_foreach(models, index, model)
    {
        (void)json_object_set_new(model, "service", json_pack("{s:s}", "kind", "serial"));
    }
    (void)json_object_update(root, in->config);
    (void)json_object_set(root, "models", models);
    (void)json_object_set_new(root, "switch", switch_json(in, models));
    (void)json_object_set_new(root, "arrivals", arrivals_json(models));
    json_t *initial = initial_json(in, models, devices);
    if (json_object_size(initial) > 0) {
        (void)json_object_set(root, "initial", initial);
    }
    json_decref(initial);
    json_decref(models);
    return root;
}

static int write_scenario(struct journal_in *in, FILE *out)
{
    json_t *root = scenario_json(in);
    (void)fputs("# Made of a journal by `shunt sim --journal-in`; JSON is YAML.\n", out);
    int rc = root ? json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : -1;
    (void)fputc('\n', out);
    json_decref(root);
    return rc ? -ENOMEM : 0;
}

static int write_file(struct journal_in *in, const char *folder, const char *name,
                      int (*write)(struct journal_in *in, FILE *out), char *err, size_t err_size)
{
    char path[JOURNAL_IN_PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *out = length > 0 && (size_t)length < sizeof(path) ? fopen(path, "w") : NULL;
    int rc = out ? write(in, out) : -errno;
    if (out && (ferror(out) | fclose(out)) && !rc) {
        rc = -EIO;
    }
    if (rc == -ENODATA) {
        (void)snprintf(err, err_size,
                       "journal: no request was completed in it, so that nothing is "
                       "known of service times");
    } else if (rc) {
        (void)snprintf(err, err_size, "%s/%s: %s", folder, name, strerror(-rc));
    }
    return rc;
}

int journal_in_write(struct journal_in *in, const char *folder, char *err, size_t err_size)
{
    const json_t *models = json_object_get(in->config, "models");
    if (json_array_size(models) != in->model_count ||
        json_array_size(json_object_get(in->config, "devices")) < in->device_count) {
        (void)snprintf(err, err_size,
                       "journal: its configuration and its keyframe have different models");
        return -EBADMSG;
    }
    int rc = write_file(in, folder, "arrivals.csv", write_arrivals, err, err_size);
    return rc ? rc : write_file(in, folder, "scenario.yaml", write_scenario, err, err_size);
}
