/* A scenario of a host: what its shunt.cfg says, with the times of emulated engines. */
#include "base/layout.h"
#include "sim/scenario_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PS_PER_NS 1000

__attribute__((format(printf, 3, 4))) static int host_fail(struct scenario_reader *reader,
                                                           uint32_t line, const char *format, ...)
{
    int used = line ? snprintf(reader->err, reader->err_size, "%.200s:%u: ", reader->file, line)
                    : snprintf(reader->err, reader->err_size, "%.200s: ", reader->file);
    if (used > 0 && (size_t)used < reader->err_size) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(reader->err + used, reader->err_size - (size_t)used, format, args);
        va_end(args);
    }
    return -EINVAL;
}

/* What a host measures at run time must be written down for a simulation. */
static int check_known(struct scenario_reader *reader)
{
    const struct config *config = reader->scenario->config;
    if (config->cell_count != 1) {
        return host_fail(reader, config->cells[1].line,
                         "cells: a scenario has one cell; give a file with the devices and models "
                         "of one");
    }
    for (uint32_t d = 0; d < config->device_count; d++) {
        if (config->devices[d].memory_bytes == CONFIG_AUTOMATIC) {
            return host_fail(reader, config->devices[d].line,
                             "devices[%u].memory_gib: \"auto\" asks a GPU; a simulation wants the "
                             "figure",
                             d);
        }
    }
    for (uint32_t m = 0; m < config->model_count; m++) {
        struct layout_edges edges;
        layout_edges_of(&config->models[m], &edges);
        if (config->models[m].memory.automatic) {
            return host_fail(reader, config->models[m].line,
                             "models[%u].memory_gib: \"auto\" asks a GPU; a simulation wants the "
                             "figures",
                             m);
        }
        if (edges.edges_in == 0) {
            return host_fail(
                reader, config->models[m].line,
                "models[%u].engine: the simulator, as this version of the host, has no "
                "driver for %s",
                m, config_engine_name(config->models[m].engine));
        }
    }
    return 0;
}

/* The emulator's engine: a request alone has its first token after ttft and one each token_ms; at
 * a batch of b a token takes 1 + batch_slope (b - 1) times that. */
static void batch_of(const struct config_emulate *emulate, struct scenario_service *ret)
{
    double token_ps = (double)emulate->token_ns * PS_PER_NS;
    int64_t more_ps = (int64_t)(token_ps * emulate->batch_slope + 0.5);
    *ret = (struct scenario_service){.kind = SCENARIO_BATCH,
                                     .p0_ps = emulate->ttft_ns * PS_PER_NS,
                                     .d0_ps = emulate->token_ns * PS_PER_NS - more_ps,
                                     .d1_ps = more_ps};
}

static void edge_times(const struct config_model *model, int64_t *out_ns, int64_t *in_ns)
{
    const struct config_emulate *emulate = &model->emulate;
    struct layout_edges edges;
    layout_edges_of(model, &edges);
    for (uint32_t tier = 0; tier < SHUNT_TIER_COUNT; tier++) {
        bool there = (edges.edges_in >> tier & 1) != 0;
        bool stopped = tier == SHUNT_TIER_STOPPED;
        out_ns[tier] = !there ? -1 : stopped ? 0 : emulate->sleep_ns;
        in_ns[tier] = !there                         ? -1
                      : stopped                      ? emulate->load_ns
                      : tier == SHUNT_TIER_DISCARDED ? emulate->reload_ns
                                                     : emulate->wake_ns;
    }
}

static int host_models(struct scenario_reader *reader)
{
    struct scenario *scenario = reader->scenario;
    size_t count = scenario->config->model_count;
    struct scenario_model *models = scenario_alloc(reader, count, sizeof *models);
    scenario->models = models;
    for (size_t m = 0; models && m < count; m++) {
        batch_of(&scenario->config->models[m].emulate, &models[m].service);
    }
    return models ? 0 : -ENOMEM;
}

static int host_switch(struct scenario_reader *reader)
{
    struct scenario *scenario = reader->scenario;
    struct scenario_switch *sw = &scenario->switching;
    size_t n = scenario->config->model_count;
    int64_t *out_ns = scenario_alloc(reader, n * SHUNT_TIER_COUNT, sizeof(int64_t));
    int64_t *in_ns = scenario_alloc(reader, n * SHUNT_TIER_COUNT, sizeof(int64_t));
    sw->matrix_ns = scenario_alloc(reader, n * n, sizeof(int64_t));
    sw->from_empty_ns = scenario_alloc(reader, n, sizeof(int64_t));
    sw->to_empty_ns = scenario_alloc(reader, n, sizeof(int64_t));
    sw->probe_ns = scenario_alloc(reader, n, sizeof(int64_t));
    if (!out_ns || !in_ns || !sw->matrix_ns || !sw->from_empty_ns || !sw->to_empty_ns ||
        !sw->probe_ns) {
        return -ENOMEM;
    }
    for (size_t m = 0; m < n; m++) {
        edge_times(&scenario->config->models[m], &out_ns[m * SHUNT_TIER_COUNT],
                   &in_ns[m * SHUNT_TIER_COUNT]);
    }
    sw->kind = SCENARIO_COST_MODEL;
    sw->out_ns = out_ns;
    sw->in_ns = in_ns;
    sw->late_factor = 1;
    scenario->cost_profile = "config";
    return 0;
}

/* guard: off is the one thing of shunt.cfg's that a simulation may say differently. */
static int read_guard(struct scenario_reader *reader)
{
    uint32_t choice = 0;
    int rc = yaml_choice(reader->yaml, reader->root, "guard", "default|off", &choice);
    reader->scenario->guard_off = rc == 0 && choice == 1;
    return rc == -ENOENT ? 0 : rc;
}

static int load_config(struct scenario_reader *reader, const char *path)
{
    struct config_errors errors;
    int rc = config_load(path, &reader->scenario->config, &errors);
    if (rc) {
        (void)snprintf(reader->err, reader->err_size, "%s", errors.text[0]);
    }
    return rc ? rc : check_known(reader);
}

/* The hash is of both files, one after the other. */
static int hash_files(struct scenario_reader *reader, const char *path, const char *arrivals,
                      char **ret_text, size_t *ret_size)
{
    char *text = NULL;
    size_t size = 0;
    crypto_hash_sha256_state state;
    (void)crypto_hash_sha256_init(&state);
    int rc =
        scenario_slurp(path, CONFIG_FILE_BYTES_MAX, &text, &size, reader->err, reader->err_size);
    if (rc) {
        return rc;
    }
    (void)crypto_hash_sha256_update(&state, (const unsigned char *)text, size);
    free(text);
    if (arrivals) {
        rc = scenario_slurp(arrivals, YAML_FILE_BYTES_MAX, ret_text, ret_size, reader->err,
                            reader->err_size);
    }
    if (rc == 0 && arrivals) {
        (void)crypto_hash_sha256_update(&state, (const unsigned char *)*ret_text, *ret_size);
    }
    (void)crypto_hash_sha256_final(&state, reader->scenario->hash);
    return rc;
}

/* TEXT of the arrivals file NAME; without one the text is empty and the defaults hold. */
static int read_arrivals_file(struct scenario_reader *reader, const char *name, const char *text,
                              size_t size, bool arrivals_wanted)
{
    int rc = yaml_parse(text, size, name, &reader->yaml, reader->err, reader->err_size);
    if (rc) {
        return rc;
    }
    reader->root = yaml_root(reader->yaml);
    if (reader->root->kind != YAML_MAPPING) {
        return yaml_fail(reader->yaml, reader->root, "a scenario is a mapping of keys");
    }
    rc = read_guard(reader);
    rc = rc                                 ? rc
         : yaml_get(reader->root, "switch") ? scenario_read_switch(reader, NULL)
                                            : host_switch(reader);
    return rc ? rc : scenario_read_rest(reader, arrivals_wanted);
}

int scenario_from_config(const char *path, const char *arrivals, const char *traces,
                         struct scenario **ret_scenario, char *err, size_t err_size)
{
    struct scenario_reader reader;
    char *text = NULL;
    size_t size = 0;
    int rc = scenario_begin(&reader, path, traces, err, err_size);
    if (!reader.scenario) {
        return rc;
    }
    reader.scenario->memo->of_host = true;
    rc = rc ? rc : hash_files(&reader, path, arrivals, &text, &size);
    rc = rc ? rc : load_config(&reader, path);
    rc = rc ? rc : host_models(&reader);
    if (rc == 0 && arrivals) {
        rc = scenario_folder(&reader, arrivals);
    }
    rc = rc ? rc
            : read_arrivals_file(&reader, arrivals ? arrivals : path, text ? text : "", size,
                                 arrivals != NULL);
    free(text);
    return scenario_finish(&reader, rc, ret_scenario);
}
