/*
 * The report of `serve --check`: see check.h. It asks the same code that the worker runs: the
 * layout that the core gets, the core's own bounds, the loader of policies.
 */
#include "host/check.h"

#include "base/config.h"
#include "base/layout.h"
#include "core/core.h"
#include "host/worker/choice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { ERR_BYTES = 512, NAME_WIDTH = 24, PARTNERS_BYTES = 512 };

struct report {
    const struct config *config;
    FILE *out;
    unsigned warnings;
    bool shared_wait_said; /* the warning about limits.max_wait_s, once for all models */
};

/* ------------------------------------------------------------------ words */

static const char *seconds(int64_t ns, char text[32])
{
    double s = (double)ns / 1e9;
    if (ns == 0) {
        (void)snprintf(text, 32, "none");
    } else if (s < 100) {
        (void)snprintf(text, 32, "%.3g s", s);
    } else if (s < 3600) {
        (void)snprintf(text, 32, "%.0f s", s);
    } else {
        (void)snprintf(text, 32, "%.1f h", s / 3600);
    }
    return text;
}

static double gib(int64_t bytes)
{
    return (double)bytes / (1024.0 * 1024 * 1024);
}

/* One warning with the place of the setting; `path` without a line in the file is a default. */
static void warn(struct report *report, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void warn(struct report *report, const char *path, const char *format, ...)
{
    char text[ERR_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    uint32_t line = config_line(report->config, path);
    if (line) {
        (void)fprintf(report->out, "  warning: %s:%" PRIu32 ": %s: %s\n", report->config->file,
                      line, path, text);
    } else {
        (void)fprintf(report->out, "  warning: %s: %s (by default): %s\n", report->config->file,
                      path, text);
    }
    report->warnings++;
}

/* ------------------------------------------------------------------ what fits with what */

/* Bytes that a model holds on its device while it is not resident: in its preferred tier. */
static int64_t residue(const struct config_model *model)
{
    uint32_t tier = model->tiers.count ? model->tiers.tier[0] : SHUNT_TIER_STOPPED;
    int64_t bytes = model->memory.bytes[tier];
    return bytes > 0 ? bytes : 0;
}

static int64_t resident(const struct config_model *model)
{
    int64_t bytes = model->memory.bytes[SHUNT_TIER_RESIDENT];
    return bytes > 0 ? bytes : 0;
}

static bool has_place(const struct layout *layout, uint32_t model, uint32_t device)
{
    for (uint32_t i = 0; i < layout->instance_count; i++) {
        if (layout->instances[i].model == model && layout->instances[i].device == device) {
            return true;
        }
    }
    return false;
}

/* Whether both can be resident on the device, all others in their preferred tier. */
static bool fit_together(const struct layout *layout, uint32_t device, uint32_t a, uint32_t b)
{
    int64_t sum = 0;
    for (uint32_t m = 0; m < layout->model_count; m++) {
        if (has_place(layout, m, device)) {
            sum += m == a || m == b ? resident(layout->models[m]) : residue(layout->models[m]);
        }
    }
    return sum <= layout->core_devices[device].memory_bytes;
}

static void print_partners(const struct layout *layout, uint32_t device, uint32_t model, FILE *out)
{
    unsigned count = 0;
    for (uint32_t m = 0; m < layout->model_count; m++) {
        if (m != model && has_place(layout, m, device) && fit_together(layout, device, model, m)) {
            (void)fprintf(out, "%s%s", count++ ? ", " : "", layout->names[m]);
        }
    }
    (void)fprintf(out, "%s\n", count ? "" : "nothing else");
}

static void print_devices(struct report *report, const struct layout *layout)
{
    FILE *out = report->out;
    for (uint32_t d = 0; d < layout->device_count; d++) {
        (void)fprintf(out, "\n  device %s, %.1f GiB\n", layout->devices[d]->name,
                      gib(layout->core_devices[d].memory_bytes));
        (void)fprintf(out, "    %-*s %10s %10s  %s\n", NAME_WIDTH, "model", "resident", "else",
                      "can be resident together with");
        for (uint32_t m = 0; m < layout->model_count; m++) {
            const struct config_model *model = layout->models[m];
            if (!has_place(layout, m, d)) {
                continue;
            }
            char held[24] = "measured";
            char left[24] = "measured";
            if (!model->memory.automatic) {
                (void)snprintf(held, sizeof held, "%.1f GiB", gib(resident(model)));
                (void)snprintf(left, sizeof left, "%.1f GiB", gib(residue(model)));
            }
            (void)fprintf(out, "    %-*s %10s %10s  ", NAME_WIDTH, layout->names[m], held, left);
            print_partners(layout, d, m, out);
        }
    }
}

/* ------------------------------------------------------------------ bounds */

static void print_bounds(struct report *report, const struct layout *layout,
                         const struct core *core)
{
    FILE *out = report->out;
    (void)fprintf(
        out,
        "\n  bounds: the longest a model waits for a visit (gap), and one request (wait)\n"
        "    %-*s %12s %12s %12s %12s\n    %-*s %12s %12s %12s %12s\n",
        NAME_WIDTH, "", "gap", "gap", "wait", "wait", NAME_WIDTH, "model", "expected", "guaranteed",
        "expected", "guaranteed");
    for (uint32_t m = 0; m < layout->model_count; m++) {
        struct core_bounds expected;
        struct core_bounds guaranteed;
        char a[32];
        char b[32];
        char c[32];
        char d[32];
        core_bounds_expected(core, m, &expected);
        core_bounds_guaranteed(core, m, &guaranteed);
        (void)fprintf(out, "    %-*s %12s %12s %12s %12s\n", NAME_WIDTH, layout->names[m],
                      seconds(expected.gap_ns, a), seconds(guaranteed.gap_ns, b),
                      seconds(expected.wait_ns, c), seconds(guaranteed.wait_ns, d));
        if (guaranteed.reason) {
            (void)fprintf(out, "    %-*s no bound: %s\n", NAME_WIDTH, "", guaranteed.reason);
        }
    }
    for (uint32_t d = 0; d < layout->device_count; d++) {
        struct core_guard_values v;
        char t[5][32];
        core_guard_values(core, d, &v);
        (void)fprintf(out,
                      "    guard of %s: visit cap %s, overtakes %" PRIu32
                      ", age %s, drain %s, switch limit %s, answer %s\n",
                      layout->devices[d]->name, seconds(v.visit_cap_ns, t[0]), v.overtakes,
                      seconds(v.age_ns, t[1]), seconds(v.drain_ns, t[2]),
                      seconds(v.switch_limit_ns, t[3]), seconds(v.answer_ns, t[4]));
    }
}

/* ------------------------------------------------------------------ warnings */

static void warn_model(struct report *report, const struct core *core, uint32_t index,
                       const struct config_model *model, int64_t drain_ns)
{
    char path[96];
    char a[32];
    char b[32];
    struct core_bounds bounds;
    uint32_t place = (uint32_t)(model - report->config->models);
    core_bounds_guaranteed(core, index, &bounds);
    if (model->max_wait_ns && bounds.wait_ns > model->max_wait_ns) {
        (void)snprintf(path, sizeof path, "models[%" PRIu32 "].max_wait_s", place);
        bool own = config_line(report->config, path) != 0;
        if (own || !report->shared_wait_said) {
            report->shared_wait_said = report->shared_wait_said || !own;
            warn(report, own ? path : "limits.max_wait_s",
                 "%s%s: requests end with 504 after %s, before the guaranteed bound of %s is "
                 "reached",
                 model->name, own ? "" : " (and others without a value of their own)",
                 seconds(model->max_wait_ns, a), seconds(bounds.wait_ns, b));
        }
    }
    if (model->service_limit_ns > drain_ns) {
        (void)snprintf(path, sizeof path, "models[%" PRIu32 "].service_limit_s", place);
        warn(report, path, "%s: an answer may take %s, but a drain waits only %s and then cuts it",
             model->name, seconds(model->service_limit_ns, a), seconds(drain_ns, b));
    }
    if (model->max_output_tokens && model->engine == CONFIG_ENGINE_EMULATED) {
        /* The only speed that is known before an engine has run. */
        double batch = 1 + model->emulate.batch_slope * (double)(model->max_concurrency - 1);
        double ns = ((double)model->emulate.ttft_ns +
                     (double)model->max_output_tokens * (double)model->emulate.token_ns) *
                    batch;
        if (ns > (double)drain_ns) {
            (void)snprintf(path, sizeof path, "models[%" PRIu32 "].max_output_tokens", place);
            warn(report, path,
                 "%s: an answer of %" PRId64 " tokens takes about %s, longer than the drain of %s",
                 model->name, model->max_output_tokens, seconds((int64_t)ns, a),
                 seconds(drain_ns, b));
        }
    }
}

static void warn_host(struct report *report)
{
    const struct config_limits *limits = &report->config->limits;
    struct rlimit files;
    char a[32];
    char b[32];
    int64_t needed = limits->connections_max + limits->in_flight_max + 256;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY &&
        (int64_t)files.rlim_max < needed) {
        warn(report, "limits.connections_max",
             "%" PRId64 " connections and %" PRId64 " requests in flight need about %" PRId64
             " descriptors, the limit is %" PRIu64 "; raise it (ulimit -n) or lower these",
             limits->connections_max, limits->in_flight_max, needed, (uint64_t)files.rlim_max);
    }
    if (limits->queued_max > limits->connections_max) {
        warn(report, "limits.connections_max",
             "a waiting request holds its connection, so at most %" PRId64
             " of queued_max = %" PRId64 " can wait",
             limits->connections_max, limits->queued_max);
    }
    if (limits->total_timeout_ns && limits->max_wait_ns > limits->total_timeout_ns) {
        warn(report, "limits.total_timeout_s", "requests may wait %s but end after %s in all",
             seconds(limits->max_wait_ns, a), seconds(limits->total_timeout_ns, b));
    }
    if (limits->first_byte_timeout_ns && limits->service_limit_ns &&
        limits->first_byte_timeout_ns > limits->service_limit_ns) {
        warn(report, "limits.first_byte_timeout_s",
             "longer than service_limit_s = %s, which ends an answer first",
             seconds(limits->service_limit_ns, a));
    }
    if (limits->upstream_idle_ns > INT64_C(5000000000)) {
        warn(report, "limits.upstream_idle_s",
             "engines built on uvicorn close idle connections after 5 s; stay below");
    }
}

/* ------------------------------------------------------------------ policy */

static int print_params(const struct params *params, const char *const *names, FILE *out)
{
    const struct params_schema *schema = params_schema_of(params);
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct shunt_param_info *info = &schema->info[i];
        uint32_t values = info->flags & SHUNT_PARAM_PER_MODEL ? params_model_count(params) : 1;
        for (uint32_t m = 0; m < values; m++) {
            char text[PARAMS_TEXT_BYTES_MAX];
            char name[PARAMS_NAME_BYTES_MAX + 300];
            if (params_format(params, i, m, text, sizeof text)) {
                return -ENOSPC;
            }
            (void)snprintf(name, sizeof name, "%s%s%s%s", info->name,
                           info->flags & SHUNT_PARAM_PER_MODEL ? "[" : "",
                           info->flags & SHUNT_PARAM_PER_MODEL ? names[m] : "",
                           info->flags & SHUNT_PARAM_PER_MODEL ? "]" : "");
            (void)fprintf(out, "    %-*s = %-12s %-6s from %s\n", NAME_WIDTH, name, text,
                          info->unit ? info->unit : "",
                          param_origin_name(params_origin(params, i, m)));
        }
    }
    return 0;
}

static int print_policy(struct report *report, const struct layout *layout,
                        struct choice_registry *registry, char *err, size_t err_size)
{
    const struct config_policy *policy = &layout->cell->policy;
    if (policy->isolation == CONFIG_ISOLATION_ISOLATED) {
        (void)snprintf(err, err_size,
                       "%s:%" PRIu32 ": policy.isolation: \"isolated\" does not exist yet; say "
                       "\"trusted\" if you trust %s as much as the host itself",
                       report->config->file, policy->line, policy->use);
        return -ENOTSUP;
    }
    struct policy_choice *choice;
    char why[ERR_BYTES - 100] = "";
    int rc = choice_load(registry, policy->use, policy->plugin_dir, policy->values, &choice, why,
                         sizeof why);
    if (rc) {
        (void)snprintf(err, err_size, "%s:%" PRIu32 ": policy.use: %s", report->config->file,
                       policy->line, why);
        return rc;
    }
    const struct policy_choice_config config = {.policy = policy,
                                                .models = layout->models,
                                                .names = layout->names,
                                                .model_count = layout->model_count};
    struct params *params;
    rc = policy_choice_params(choice, &config, true, &params, why, sizeof why);
    if (rc) {
        (void)snprintf(err, err_size, "%s:%" PRIu32 ": policy: %s", report->config->file,
                       policy->line, why);
    } else {
        (void)fprintf(report->out, "\n  policy %s %s, trusted, hash %.16s\n    %s\n",
                      choice->plugin->note.id, choice->plugin->note.version, choice->plugin->hash,
                      choice->plugin->note.summary);
        rc = print_params(params, layout->names, report->out);
        params_destroy(params);
    }
    policy_choice_destroy(choice);
    return rc;
}

/* ------------------------------------------------------------------ cells */

/* A core configured as the worker's would be, in *ret_memory. */
static int make_core(const struct layout *layout, const struct config *config, void **ret_memory,
                     struct core **ret_core, char *err, size_t err_size)
{
    struct core_limits limits;
    struct core_config_error wrong = {0};
    layout_limits(config, &limits);
    size_t size = (core_size(&limits) + 63) / 64 * 64;
    void *memory = size ? aligned_alloc(64, size) : NULL;
    if (!memory) {
        (void)snprintf(err, err_size, "%s: limits: no memory for so many requests", config->file);
        return -ENOMEM;
    }
    struct core *core = core_init(memory, size, &limits, 1);
    int rc = core ? core_configure(core, &layout->core, 1, &wrong) : -EINVAL;
    if (rc) {
        if (wrong.what) {
            layout_explain(layout, &wrong, err, err_size);
        } else {
            (void)snprintf(err, err_size, "%s: limits: %s", config->file, strerror(-rc));
        }
        free(memory);
        return rc;
    }
    *ret_memory = memory;
    *ret_core = core;
    return 0;
}

static int check_cell(struct report *report, uint32_t index, struct choice_registry *registry,
                      char *err, size_t err_size)
{
    struct layout *layout;
    void *memory = NULL;
    struct core *core = NULL;
    int rc = layout_create(report->config, index, &layout, err, err_size);
    if (rc) {
        return rc;
    }
    (void)fprintf(report->out, "\ncell %s\n", layout->cell->name);
    rc = make_core(layout, report->config, &memory, &core, err, err_size);
    if (rc == 0) {
        print_devices(report, layout);
        rc = print_policy(report, layout, registry, err, err_size);
    }
    if (rc == 0) {
        print_bounds(report, layout, core);
        (void)fputc('\n', report->out);
        for (uint32_t m = 0; m < layout->model_count; m++) {
            int64_t drain_ns = INT64_MAX;
            for (uint32_t d = 0; d < layout->device_count; d++) {
                struct core_guard_values values;
                core_guard_values(core, d, &values);
                if (has_place(layout, m, d) && values.drain_ns < drain_ns) {
                    drain_ns = values.drain_ns;
                }
            }
            warn_model(report, core, m, layout->models[m], drain_ns);
        }
    }
    free(memory);
    layout_destroy(layout);
    return rc;
}

int check_print(const struct config *config, FILE *out, FILE *err)
{
    char text[ERR_BYTES] = "";
    struct report report = {.config = config, .out = out};
    struct choice_registry *registry;
    int rc = choice_registry_create(&registry);
    if (rc) {
        (void)fprintf(err, "shunt serve: %s\n", strerror(-rc));
        return rc;
    }
    (void)fprintf(out, "%s: %" PRIu32 " models, %" PRIu32 " devices, %" PRIu32 " cells; listens on",
                  config->file, config->model_count, config->device_count, config->cell_count);
    for (uint32_t i = 0; i < config->listen.count; i++) {
        (void)fprintf(out, " %s", config->listen.item[i]);
    }
    bool keys = config->auth == CONFIG_AUTH_KEYS ||
                (config->auth == CONFIG_AUTH_AUTO && config->keys_file[0]);
    (void)fprintf(out, ", %s\n", keys ? "keys required" : "no keys");
    for (uint32_t i = 0; i < config->cell_count && rc == 0; i++) {
        rc = check_cell(&report, i, registry, text, sizeof text);
    }
    choice_registry_destroy(registry);
    if (rc) {
        (void)fprintf(err, "shunt serve: %s\n", text[0] ? text : strerror(-rc));
        return -EINVAL;
    }
    warn_host(&report);
    (void)fprintf(out, "\nthe configuration is good; %u warning%s\n", report.warnings,
                  report.warnings == 1 ? "" : "s");
    return 0;
}
