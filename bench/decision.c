/*
 * Time of one decision, snapshot included, in process: a core with N models on one device, all of
 * them with work waiting, a policy loaded from its file, and an event that makes the core ask.
 *
 *     decision POLICY.so [MODELS]...
 *
 * "decide" is the call of the policy with the snapshot that core keeps in place (its time stamp
 * written, the ask filled). "input" is the whole of core_apply, actions, decision and its
 * application for one arrival that makes the core ask. Prints a Markdown table of p50 and p99.
 */
#include "base/drive.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 20000, MODELS_MAX = 256 };

struct bench {
    struct drive *drive;
    int64_t begin_ns; /* of the running decide; 0 outside */
    int64_t *decide_ns;
    size_t decides;
    struct core_act_step step; /* to be reported as done */
    bool step_open;
};

static int64_t clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * CORE_NS_PER_S + now.tv_nsec;
}

static void on_action(void *ctx, const struct core_action *action)
{
    struct bench *bench = ctx;
    if (action->kind == CORE_ACT_STEP) {
        bench->step = action->u.step;
        bench->step_open = true;
    }
}

static void on_call(void *ctx, uint32_t slot, uint32_t what, bool begin)
{
    struct bench *bench = ctx;
    (void)slot;
    if (what != DRIVE_CALL_DECIDE) {
        return;
    }
    if (begin) {
        bench->begin_ns = clock_ns();
    } else if (bench->decides < ROUNDS) {
        bench->decide_ns[bench->decides++] = clock_ns() - bench->begin_ns;
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_us(int64_t *values, size_t count, double q)
{
    qsort(values, count, sizeof *values, by_value);
    return count ? (double)values[(size_t)(q * (double)(count - 1))] * 1e-3 : 0;
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "decision: %s\n", what);
    exit(1);
}

/* N models of 10 GiB on one device of 16: one at a time is resident. */
static void configure(struct drive *drive, uint32_t models)
{
    static struct core_instance_config instances[MODELS_MAX];
    static struct core_model_config configs[MODELS_MAX];
    for (uint32_t i = 0; i < models; i++) {
        instances[i] = (struct core_instance_config){
            .tiers = 1u << SHUNT_TIER_STOPPED | 1u << SHUNT_TIER_ASLEEP | 1u << SHUNT_TIER_RESIDENT,
            .edges_in = 1u << SHUNT_TIER_STOPPED | 1u << SHUNT_TIER_ASLEEP,
            .device_bytes = {[SHUNT_TIER_RESIDENT] = INT64_C(10) << 30},
            .tier = SHUNT_TIER_ASLEEP};
        configs[i] = (struct core_model_config){.key = i + 1,
                                                .max_concurrency = 8,
                                                .queue_max = 100000,
                                                .service_limit_ns = 300 * CORE_NS_PER_S,
                                                .weight = 1,
                                                .instance_count = 1,
                                                .instances = &instances[i]};
    }
    const struct core_device_config device = {.memory_bytes = INT64_C(16) << 30, .up = 1};
    const struct core_config config = {.model_count = models,
                                       .device_count = 1,
                                       .models = configs,
                                       .devices = &device,
                                       .failed_backoff_ns = CORE_NS_PER_S,
                                       .guard = {.enabled = 1,
                                                 .visit_cap_floor_ns = 120 * CORE_NS_PER_S,
                                                 .switch_limit_ns = 60 * CORE_NS_PER_S,
                                                 .answer_ns = CORE_NS_PER_S / 100,
                                                 .drain_mode = SHUNT_DRAIN_FINISH}};
    struct core_config_error error;
    if (drive_configure(drive, &config, 1, &error)) {
        fail(error.what);
    }
}

static struct policy *make_policy(const struct plugin *plugin, uint32_t models)
{
    static char names[MODELS_MAX][8];
    const char *list[MODELS_MAX];
    for (uint32_t i = 0; i < models; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%u", i);
        list[i] = names[i];
    }
    struct params *params;
    struct policy *policy;
    char err[256];
    if (params_create(&plugin->schema, list, models, &params)) {
        fail("out of memory");
    }
    const struct policy_options options = {.plugin = plugin, .seed = 1, .now_ns = 1};
    if (policy_create(&options, params, &policy, err, sizeof err)) {
        fail(err);
    }
    return policy;
}

static void request(struct drive *drive, uint32_t model, int64_t t_ns)
{
    const struct core_input input = {.kind = CORE_IN_REQUEST,
                                     .t_ns = t_ns,
                                     .u.request = {.cookie = 1, .model = model, .max_tokens = 64}};
    (void)drive_input(drive, &input);
}

static void measure(const struct plugin *plugin, uint32_t models)
{
    const struct core_limits limits = {.models_max = models,
                                       .devices_max = 1,
                                       .instances_max = models,
                                       .slots_max = 2,
                                       .queued_max = ROUNDS * 2,
                                       .in_flight_max = 64};
    size_t size = core_size(&limits);
    void *memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    static int64_t decide_ns[ROUNDS], input_ns[ROUNDS];
    struct bench bench = {.decide_ns = decide_ns};
    const struct drive_ops ops = {.action = on_action, .call = on_call};
    struct core *core = memory ? core_init(memory, size, &limits, 1) : NULL;
    if (!core || drive_create(core, &ops, &bench, &bench.drive)) {
        fail("out of memory");
    }
    configure(bench.drive, models);
    struct policy *policy = make_policy(plugin, models);
    (void)drive_set_policy(bench.drive, 0, policy);
    struct core_input slot = {
        .kind = CORE_IN_SLOT, .t_ns = 2, .u.slot = {.slot = 0, .change = CORE_SLOT_FILL}};
    (void)drive_input(bench.drive, &slot);
    slot.u.slot.change = CORE_SLOT_SELECT;
    (void)drive_input(bench.drive, &slot);

    /* Model 0 comes in first and has more work than fits in flight, none of which ends here: the
     * policy stays with it, and each arrival for another model makes the core ask again. */
    int64_t t_ns = 3;
    for (uint32_t i = 0; i < 16; i++) {
        request(bench.drive, 0, ++t_ns);
    }
    (void)drive_settle(bench.drive, t_ns);
    while (bench.step_open) {
        const struct core_input done = {.kind = CORE_IN_STEP,
                                        .t_ns = ++t_ns,
                                        .u.step = {.switch_id = bench.step.switch_id,
                                                   .instance = bench.step.instance,
                                                   .step = bench.step.step,
                                                   .ok = 1,
                                                   .tier = bench.step.to_tier,
                                                   .device_bytes = -1}};
        bench.step_open = false;
        (void)drive_input(bench.drive, &done);
        (void)drive_settle(bench.drive, t_ns);
    }
    for (uint32_t i = 1; i < models; i++) {
        request(bench.drive, i, ++t_ns);
    }
    (void)drive_settle(bench.drive, t_ns);
    bench.decides = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        t_ns += 1000000;
        (void)drive_settle(bench.drive, t_ns);
        int64_t begin_ns = clock_ns();
        request(bench.drive, 1 + (uint32_t)(i % (models - 1)), t_ns);
        input_ns[i] = clock_ns() - begin_ns;
    }
    if (bench.decides < ROUNDS / 2) {
        fail("the core hardly asked: nothing was measured");
    }
    (void)printf("| %s | %u | %zu | %.2f us | %.2f us | %.2f us | %.2f us |\n", plugin->note.id,
                 models, bench.decides, quantile_us(decide_ns, bench.decides, 0.5),
                 quantile_us(decide_ns, bench.decides, 0.99), quantile_us(input_ns, ROUNDS, 0.5),
                 quantile_us(input_ns, ROUNDS, 0.99));
    drive_destroy(bench.drive);
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, "", t_ns);
    free(memory);
}

int main(int argc, char **argv)
{
    struct plugin_registry *registry;
    const struct plugin *plugin;
    char err[512];
    if (argc < 2) {
        fail("usage: decision POLICY.so [MODELS]...");
    }
    if (plugin_registry_create(NULL, &registry) ||
        plugin_load(registry, argv[1], &plugin, err, sizeof err)) {
        fail(err);
    }
    (void)printf("| policy | models | decisions | decide p50 | p99 | input p50 | p99 |\n"
                 "|---|---|---|---|---|---|---|\n");
    static const uint32_t usual[] = {4, 64, 256};
    for (int i = 0; i < (argc > 2 ? argc - 2 : 3); i++) {
        uint32_t models = argc > 2 ? (uint32_t)strtoul(argv[i + 2], NULL, 10) : usual[i];
        if (models < 2 || models > MODELS_MAX) {
            fail("MODELS is 2 to 256");
        }
        measure(plugin, models);
    }
    plugin_registry_destroy(registry);
    return 0;
}
