/* Scenarios: what is read, what each bad input says and where, that defaults are the host's. */
#include "sim/scenario.h"

#include "base/layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define S      INT64_C(1000000000)
#define GIB(x) ((int64_t)(x) << 30)

static char folder[] = "/tmp/test_scenario.XXXXXX";
static char err[SCENARIO_ERROR_MAX];

static void put(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    size_t size = fread(text, 1, (1 << 20) - 1, file);
    assert_true(size > 0);
    assert_int_equal(fclose(file), 0);
    return text;
}

static struct scenario *parse(const char *text)
{
    struct scenario *scenario = NULL;
    int rc = scenario_parse(text, strlen(text), "s.yaml", folder, &scenario, err, sizeof err);
    if (rc) {
        fail_msg("%s", err);
    }
    return scenario;
}

static struct scenario *load(const char *path)
{
    struct scenario *scenario = NULL;
    if (scenario_load(path, folder, &scenario, err, sizeof err)) {
        fail_msg("%s", err);
    }
    return scenario;
}

static int make_files(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    put("azure_llm_2023_conv.csv.zst", "");
    put("azure_llm_2023_code.csv.zst", "");
    put("x.csv", "t_s,cls,in_tok,out_tok,svc\n0,0,1,1,1\n");
    put("costs.csv", "profile,n_classes,cls,size,unload_s,load_s,fixed_s,basis\n"
                     "GEN,2,0,-,0,3.14,0,x\nGEN,2,1,-,0,36.92,0,x\nGEN,5,0,-,0,9,0,x\n"
                     "RAM,0,-,7B,0.76,0.76,0.2,x\nRAM,0,-,14B,1.42,1.42,0.2,x\n");
    put("switch_costs.csv", "profile,n_classes,cls,size,unload_s,load_s,fixed_s\n"
                            "RAM,0,-,7B,0.76,0.76,0.2\nRAM,0,-,14B,1.42,1.42,0.2\n");
    put("broken.csv", "profile,n_classes,cls,size,unload_s,load_s,fixed_s\nGEN,2,0,-,0,fast,0\n");
    put("short.csv", "profile,n_classes,cls,size,unload_s,load_s\n");
    return 0;
}

static int drop_files(void **state)
{
    (void)state;
    static const char *const names[] = {"azure_llm_2023_conv.csv.zst",
                                        "azure_llm_2023_code.csv.zst",
                                        "x.csv",
                                        "costs.csv",
                                        "switch_costs.csv",
                                        "broken.csv",
                                        "short.csv",
                                        "host.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

/* ------------------------------------------------------------------ what is read */

static const char issue[] =
    "scenario: a2\n"
    "label: real                      # real | semi | synthetic, printed with every result\n"
    "devices: [{name: gpu0, memory_gib: 80}]\n"
    "models:\n"
    "  - {name: conv, memory_gib: 15, max_concurrency: 32, service: {kind: batch, p0_s: .00549, "
    "p1_s: 22.9e-6, d0_s: .00845, d1_s: 107e-6, d2_s: 44e-9}}\n"
    "  - {name: img,  memory_gib: 40, max_concurrency: 1, service: {kind: serial}}     # also\n"
    "switch:                          # one of: matrix_s | per_model | profile\n"
    "  matrix_s: [[0, 5], [3, 0]]     # order of models; with from_empty_s, to_empty_s\n"
    "  distribution: deterministic    # deterministic | exponential | lognormal {sigma}\n"
    "  tiers: {asleep: {out_s: 1, in_s: 2}, stopped: {in_s: 40}}   # a scalar means {resident}\n"
    "  host_cache: {models: 3, hit_s: 2.8, miss_s: 34.9}\n"
    "  fail_probability: 0\n"
    "arrivals:\n"
    "  - {kind: poisson, model: img, rate_per_s: 0.02, service_s: {dist: exponential, mean: 10}}\n"
    "  - {kind: trace, file: azure_llm_2023_conv.csv.zst, format: azure-llm-2023, model: conv, "
    "stretch: 2.201, t0: shared}   # t' = stretch * (t - t0)\n"
    "  - {kind: trace, file: x.csv, format: {time_s: t_s, model: cls, input_tokens: in_tok, "
    "output_tokens: out_tok, service_s: svc}, map: {0: conv, 1: img}}\n"
    "  - {kind: list, jobs: [[0, img, 2], [3, conv, 2]]}\n"
    "initial: {gpu0: conv}            # absent = empty\n"
    "requests: 100000                 # or horizon_s: stops arrivals, then drains\n"
    "warmup: {arrivals_fraction: 0.05, visits: 20}     # the larger\n"
    "limits: {queue_per_model: 100000, max_wait_s: none, patience: {dist: exponential, mean: "
    "600}}\n"
    "guard: default                   # default | off | {...}\n"
    "min_residence_s: 0\n"
    "decision_latency_s: 0\n";

static void test_the_example_of_the_specification(void **state)
{
    (void)state;
    struct scenario *s = parse(issue);
    assert_string_equal(s->name, "a2");
    assert_int_equal(s->label, SCENARIO_REAL);
    assert_string_equal(scenario_label_name(s->label), "real");
    assert_string_equal(s->cost_profile, "matrix+cache");
    assert_int_equal(scenario_models(s), 2);
    assert_int_equal(scenario_devices(s), 1);
    assert_string_equal(scenario_model_name(s, 1), "img");
    const struct scenario_service *batch = &s->models[0].service;
    assert_int_equal(batch->kind, SCENARIO_BATCH);
    assert_int_equal(batch->p0_ps, INT64_C(5490000000));
    assert_int_equal(batch->p1_ps, 22900000);
    assert_int_equal(batch->d0_ps, INT64_C(8450000000));
    assert_int_equal(batch->d1_ps, 107000000);
    assert_int_equal(batch->d2_ps, 44000);
    assert_int_equal(s->models[1].service.kind, SCENARIO_SERIAL);
    const struct scenario_switch *sw = &s->switching;
    assert_int_equal(sw->kind, SCENARIO_COST_MATRIX);
    assert_int_equal(sw->matrix_ns[1], 5 * S);
    assert_int_equal(sw->matrix_ns[2], 3 * S);
    /* The first tier: from and to nobody. The colder one: its own. */
    assert_int_equal(sw->from_empty_ns[1], 2 * S);
    assert_int_equal(sw->to_empty_ns[1], 1 * S);
    assert_int_equal(sw->in_ns[SHUNT_TIER_ASLEEP], -1);
    assert_int_equal(sw->in_ns[SHUNT_TIER_STOPPED], 40 * S);
    assert_int_equal(sw->cache_models, 3);
    assert_int_equal(sw->cache_hit_ns, 28 * S / 10);
    assert_int_equal(sw->cache_miss_ns, 349 * S / 10);
    assert_true(sw->late_factor == 1 && sw->late_probability == 0 && sw->fail_probability == 0);
    assert_int_equal(s->arrivals.models_len, 2);
    assert_int_equal(s->arrivals.sources_len, 4);
    assert_int_equal(s->initial_tier[0], SHUNT_TIER_RESIDENT);
    assert_int_equal(s->initial_tier[1], SHUNT_TIER_ASLEEP);
    assert_int_equal(s->requests_max, 100000);
    assert_int_equal(s->horizon_ns, 0);
    assert_true(s->warmup_fraction == 0.05);
    assert_int_equal(s->warmup_visits, 20);
    assert_int_equal(s->patience_s.kind, DIST_EXPONENTIAL);
    assert_true(s->patience_s.mean == 600);
    assert_int_equal(s->config->models[0].queue_max, 100000);
    assert_int_equal(s->config->models[0].max_wait_ns, 0);
    assert_int_equal(s->wait_cap_ns, 3600 * S);
    assert_int_equal(s->config->limits.queued_max, 200000);
    assert_int_equal(s->config->limits.in_flight_max, 33);
    assert_false(s->guard_off);
    assert_false(s->costs_known);
    assert_int_equal(s->load, SCENARIO_LOAD_AUTO);
    static const uint8_t begin[4] = {0};
    assert_memory_not_equal(s->hash, begin, sizeof begin);
    scenario_free(s);
}

#define HEAD                                                                                       \
    "devices: [{name: g, memory_gib: 80}]\n"                                                       \
    "models:\n"                                                                                    \
    "  - {name: a, memory_gib: {resident: 15, asleep: 1}, service: {kind: serial}}\n"              \
    "  - {name: b, memory_gib: 70, max_concurrency: unlimited, service: {kind: ps, rate: 2}}\n"
#define JOBS   "arrivals: [{kind: list, jobs: [[0, a, 2]]}]\n"
#define MATRIX "switch: {matrix_s: [[0, 5], [3, 0]]}\n"

/* Everything that the host has too has the host's default. */
static void is_the_same(void *context, const char *path, const char *value, uint32_t line)
{
    (void)line;
    char *all = context, pair[600];
    /* What a scenario derives, and the name of the file. */
    static const char *const derived[] = {"limits.models_max",    "limits.devices_max",
                                          "limits.queued_max",    "limits.in_flight_max",
                                          "models[0].tiers",      "state_dir",
                                          "models[0].memory_gib", "models[0].host_memory_gib"};
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++) {
        if (strncmp(path, derived[i], strlen(derived[i])) == 0) {
            return;
        }
    }
    (void)snprintf(pair, sizeof pair, "\n%s=%s\n", path, value);
    if (!strstr(all, pair)) {
        fail_msg("the host says %s", pair);
    }
}

static void collect(void *context, const char *path, const char *value, uint32_t line)
{
    (void)line;
    char *all = context;
    size_t used = strlen(all);
    assert_true(used + strlen(path) + strlen(value) + 4 < 1 << 16);
    (void)snprintf(all + used, (1 << 16) - used, "\n%s=%s\n", path, value);
}

static void test_defaults_are_those_of_the_host(void **state)
{
    (void)state;
    struct config_errors errors;
    struct config *config = NULL;
    const char *host = "devices = ( { name = \"g\"; memory_gib = 80; } );\n"
                       "models = ( { name = \"a\"; memory_gib = 15; } );\n";
    assert_int_equal(config_load_string(host, strlen(host), "s.yaml", &config, &errors), 0);
    struct scenario *s =
        parse("devices: [{name: g, memory_gib: 80}]\n"
              "models: [{name: a, memory_gib: 15, service: {kind: serial}}]\n" JOBS);
    char *all = calloc(1, 1 << 16);
    assert_non_null(all);
    config_each(s->config, collect, all);
    config_each(config, is_the_same, all);
    free(all);
    assert_string_equal(s->name, "s");
    assert_int_equal(s->label, SCENARIO_SYNTHETIC);
    assert_true(s->warmup_fraction == 0.05);
    assert_int_equal(s->warmup_visits, 20);
    assert_int_equal(s->decision_latency_ns, 0);
    assert_int_equal(s->patience_s.kind, DIST_NONE);
    assert_int_equal(s->wait_cap_ns, 900 * S);
    assert_int_equal(s->switching.kind, SCENARIO_COST_MODEL);
    assert_string_equal(s->cost_profile, "none");
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_STOPPED], 0);
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_ASLEEP], -1);
    assert_int_equal(s->config->models[0].tiers.count, 1);
    assert_int_equal(s->config->models[0].tiers.tier[0], SHUNT_TIER_STOPPED);
    scenario_free(s);
    config_free(config);
}

static void test_matrix(void **state)
{
    (void)state;
    struct scenario *s = parse(HEAD JOBS "switch: {matrix_s: [[0, 5], [3.5, 0]]}\n");
    const struct scenario_switch *sw = &s->switching;
    assert_int_equal(sw->from_empty_ns[0], 35 * S / 10);
    assert_int_equal(sw->from_empty_ns[1], 5 * S);
    assert_int_equal(sw->to_empty_ns[0], 0);
    assert_int_equal(sw->in_ns[SHUNT_TIER_STOPPED], -1);
    scenario_free(s);
    s = parse(HEAD JOBS
              "switch: {matrix_s: [[0, 5], [3, 0]], from_empty_s: [1, 2], to_empty_s: [0, .5]}\n");
    assert_int_equal(s->switching.from_empty_ns[1], 2 * S);
    assert_int_equal(s->switching.to_empty_ns[1], S / 2);
    scenario_free(s);
}

static void test_costs_of_models(void **state)
{
    (void)state;
    struct scenario *s =
        parse(HEAD JOBS "switch:\n"
                        "  per_model: {a: {sleep_s: 1, wake_s: 2, probe_s: .1}}\n"
                        "  tiers: {asleep: {out_s: 3, in_s: 4}, stopped: {in_s: 40}}\n"
                        "  distribution: {dist: lognormal, sigma: 0.5}\n"
                        "  late: {probability: .25, factor: 10}\n");
    const struct scenario_switch *sw = &s->switching;
    const int64_t *b_in = &sw->in_ns[SHUNT_TIER_COUNT], *b_out = &sw->out_ns[SHUNT_TIER_COUNT];
    assert_int_equal(sw->kind, SCENARIO_COST_MODEL);
    assert_int_equal(sw->out_ns[SHUNT_TIER_ASLEEP], 1 * S);
    assert_int_equal(sw->in_ns[SHUNT_TIER_ASLEEP], 2 * S);
    assert_int_equal(sw->probe_ns[0], S / 10);
    assert_int_equal(sw->out_ns[SHUNT_TIER_STOPPED], 0);
    assert_int_equal(sw->in_ns[SHUNT_TIER_STOPPED], 40 * S);
    assert_int_equal(sw->in_ns[SHUNT_TIER_STAGED], -1);
    assert_int_equal(b_out[SHUNT_TIER_ASLEEP], 3 * S);
    assert_int_equal(b_in[SHUNT_TIER_ASLEEP], 4 * S);
    assert_int_equal(sw->law, SCENARIO_COST_LOGNORMAL);
    assert_true(sw->sigma == 0.5 && sw->late_probability == 0.25 && sw->late_factor == 10);
    assert_string_equal(s->cost_profile, "per_model");
    assert_int_equal(s->config->models[0].tiers.count, 2);
    scenario_free(s);
}

static void test_profiles(void **state)
{
    (void)state;
    struct scenario *s =
        parse(HEAD JOBS "switch: {profile: {file: costs.csv, name: GEN, n_classes: 2}}\n");
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_STOPPED], 314 * S / 100);
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_COUNT + SHUNT_TIER_STOPPED], 3692 * S / 100);
    assert_int_equal(s->models[1].cost_class, 1);
    assert_string_equal(s->cost_profile, "GEN");
    scenario_free(s);
    s = parse("devices: [{name: g, memory_gib: 80}]\n"
              "models:\n"
              "  - {name: a, memory_gib: 15, cost_class: 14B, service: {kind: serial}}\n"
              "  - {name: b, memory_gib: 15, cost_class: 7B, service: {kind: serial}}\n" JOBS
              "switch: {profile: {file: costs.csv, name: RAM}}\n");
    assert_int_equal(s->switching.out_ns[SHUNT_TIER_STOPPED], 142 * S / 100);
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_STOPPED], 162 * S / 100);
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_COUNT + SHUNT_TIER_STOPPED], 96 * S / 100);
    scenario_free(s);
}

static void test_start_and_faults(void **state)
{
    (void)state;
    struct scenario *s = parse("host_memory_gib: 20\n" HEAD JOBS
                               "switch: {tiers: {asleep: {in_s: 1}, stopped: {in_s: 9}}}\n"
                               "initial: {g: [a]}\n"
                               "faults:\n"
                               "  - {at_s: 9, kind: device_up, device: g}\n"
                               "  - {at_s: 8, kind: device_down, device: g}\n"
                               "  - {at_s: 8, kind: engine_lost, model: b}\n");
    assert_int_equal(s->initial_tier[0], SHUNT_TIER_RESIDENT);
    /* 70 GiB asleep do not fit into the host's 20. */
    assert_int_equal(s->initial_tier[1], SHUNT_TIER_STOPPED);
    assert_int_equal(s->fault_count, 3);
    assert_int_equal(s->faults[0].kind, SCENARIO_FAULT_DEVICE_DOWN);
    assert_int_equal(s->faults[1].kind, SCENARIO_FAULT_ENGINE_LOST);
    assert_int_equal(s->faults[1].index, 1);
    assert_int_equal(s->faults[2].at_ns, 9 * S);
    scenario_free(s);
}

static void test_guard_and_clients(void **state)
{
    (void)state;
    struct scenario *s =
        parse(HEAD JOBS MATRIX "guard: {visit_cap_s: 77, overtakes: 5, drain_mode: requeue}\n"
                               "min_residence_s: 2\ncosts: known\nload: span\n"
                               "limits: {patience: 30, wait_cap_s: 50, service_limit_s: none, "
                               "queued_max: 700}\n");
    assert_int_equal(s->config->guard.visit_cap_ns, 77 * S);
    assert_int_equal(s->config->guard.overtakes, 5);
    assert_int_equal(s->config->guard.drain_mode, CONFIG_DRAIN_REQUEUE);
    assert_int_equal(s->config->guard.min_residence_ns, 2 * S);
    assert_int_equal(s->config->models[1].service_limit_ns, 0);
    assert_int_equal(s->config->limits.queued_max, 700);
    assert_int_equal(s->config->models[1].max_concurrency, 65536);
    assert_true(s->models[1].unlimited);
    assert_false(s->models[0].unlimited);
    assert_int_equal(s->wait_cap_ns, 50 * S);
    assert_true(s->patience_s.kind == DIST_DETERMINISTIC && s->patience_s.mean == 30);
    assert_true(s->costs_known);
    assert_int_equal(s->load, SCENARIO_LOAD_SPAN);
    scenario_free(s);
}

static void test_layout(void **state)
{
    (void)state;
    struct layout *layout = NULL;
    struct scenario *s =
        parse(HEAD JOBS "switch: {tiers: {asleep: {in_s: 1}}}\ninitial: {g: a}\nguard: off\n");
    assert_true(s->guard_off);
    assert_int_equal(scenario_layout(s, &layout, err, sizeof err), 0);
    uint32_t both = 1u << SHUNT_TIER_ASLEEP | 1u << SHUNT_TIER_STOPPED;
    assert_int_equal(layout->instance_count, 2);
    assert_int_equal(layout->core_instances[0].edges_in, both);
    assert_int_equal(layout->core_instances[0].tier, SHUNT_TIER_RESIDENT);
    assert_int_equal(layout->core_instances[1].tier, SHUNT_TIER_ASLEEP);
    /* Of the two, b holds nothing on the device while it sleeps. */
    assert_int_equal(layout->core_instances[0].edges_prefetch, 0);
    assert_int_equal(layout->core_instances[1].edges_prefetch, 1u << SHUNT_TIER_ASLEEP);
    assert_int_equal(layout->core.guard.enabled, 0);
    assert_int_equal(layout->core.guard.recheck_min_ns, 0);
    layout_destroy(layout);
    scenario_free(s);
}

static void test_work(void **state)
{
    (void)state;
    struct scenario *s = parse(issue);
    struct arrival arrival = {
        .model = 0, .input_tokens = 1000, .output_tokens = 160, .service_ns = -1};
    /* 5.49 ms + 22.9 ms + 160 / 16 steps of 8.45 ms + 16 x 0.107 ms, each with contexts of 1080
     * tokens at 44 ns. */
    assert_int_equal(scenario_work_ns(s, &arrival),
                     5490000 + 22900000 + 10 * (8450000 + 1712000) + 160 * 1080 * 44);
    arrival.input_tokens = INT64_MAX;
    assert_true(scenario_work_ns(s, &arrival) > 0);
    arrival =
        (struct arrival){.model = 1, .input_tokens = -1, .output_tokens = -1, .service_ns = 3 * S};
    assert_int_equal(scenario_work_ns(s, &arrival), 3 * S);
    scenario_free(s);
    s = parse(HEAD JOBS MATRIX);
    assert_int_equal(scenario_work_ns(s, &arrival), 3 * S / 2);
    scenario_free(s);
}

/* ------------------------------------------------------------------ of a host */

static void test_of_a_host(void **state)
{
    (void)state;
    struct scenario *s = NULL;
    put("host.yaml", "scenario: mine\nhorizon_s: 10\n"
                     "arrivals: [{kind: poisson, model: small, rate_per_s: 1, input_tokens: 9, "
                     "output_tokens: 9}]\n");
    char path[256];
    (void)snprintf(path, sizeof path, "%s/host.yaml", folder);
    int rc = scenario_from_config(SHUNT_SOURCE_DIR "/examples/minimal.cfg", path, NULL, &s, err,
                                  sizeof err);
    if (rc) {
        fail_msg("%s", err);
    }
    assert_string_equal(s->name, "mine");
    assert_string_equal(s->cost_profile, "config");
    assert_int_equal(s->arrivals.sources_len, 1);
    assert_int_equal(s->horizon_ns, 10 * S);
    const struct config_emulate *emulate = &s->config->models[0].emulate;
    const struct scenario_service *service = &s->models[0].service;
    assert_int_equal(service->kind, SCENARIO_BATCH);
    assert_int_equal(service->p0_ps, emulate->ttft_ns * 1000);
    /* Alone a token takes token_ms, in a batch of 11 half as long again. */
    assert_int_equal(service->d0_ps + service->d1_ps, emulate->token_ns * 1000);
    assert_int_equal(service->d0_ps + 11 * service->d1_ps, emulate->token_ns * 1500);
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_ASLEEP], emulate->wake_ns);
    assert_int_equal(s->switching.out_ns[SHUNT_TIER_ASLEEP], emulate->sleep_ns);
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_STOPPED], emulate->load_ns);
    assert_int_equal(s->switching.in_ns[SHUNT_TIER_DISCARDED], -1);
    struct layout *layout = NULL;
    assert_int_equal(scenario_layout(s, &layout, err, sizeof err), 0);
    assert_int_equal(layout->core.guard.enabled, 1);
    layout_destroy(layout);
    scenario_free(s);
    /* Without arrivals too: a journal has them. */
    assert_int_equal(scenario_from_config(SHUNT_SOURCE_DIR "/examples/minimal.cfg", NULL, NULL, &s,
                                          err, sizeof err),
                     0);
    assert_string_equal(s->name, "minimal");
    assert_int_equal(s->arrivals.sources_len, 0);
    assert_int_equal(s->arrivals.models_len, s->config->model_count);
    scenario_free(s);
    assert_int_equal(scenario_from_config("/nowhere/shunt.cfg", NULL, NULL, &s, err, sizeof err),
                     -ENOENT);
    put("host.yaml", "arrivals: [{kind: list, jobs: [[0, small, 2]]}]\nmodels: []\n");
    assert_int_equal(scenario_from_config(SHUNT_SOURCE_DIR "/examples/minimal.cfg", path, NULL, &s,
                                          err, sizeof err),
                     -EINVAL);
    assert_non_null(strstr(err, "host.yaml:2:1: models: there is no such key"));
}

/* ------------------------------------------------------------------ bad input */

struct bad {
    const char *text;
    const char *message;
};

static const struct bad bads[] = {
    {"- 1\n", "s.yaml:1:1: a scenario is a mapping of keys"},
    {"a: [\n", "s.yaml:2:1: "},
    {"", "s.yaml: devices: there is none"},
    {HEAD JOBS MATRIX "speed: 3\n", "s.yaml:7:1: speed: there is no such key"},
    {HEAD JOBS MATRIX "guard: {watchdog_s: 3}\n", "s.yaml:7:9: watchdog_s: there is no such key"},
    {HEAD JOBS MATRIX "limits: {connections_max: 3}\n",
     "s.yaml:7:10: connections_max: there is no such key"},
    {"devices: [{name: g, memory_gib: 80, gpu: 1}]\nmodels: [{name: a, memory_gib: 1, service: "
     "{kind: serial}}]\n" JOBS,
     "s.yaml:1:37: gpu: there is no such key"},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 1, engine: vllm, "
     "service: {kind: serial}}]\n" JOBS,
     "s.yaml:2:35: engine: there is no such key"},
    {"devices: [{name: g, memory_gib: -1}]\nmodels: [{name: a, memory_gib: 1, service: {kind: "
     "serial}}]\n" JOBS,
     "s.yaml:1:33: devices[0].memory_gib: -1 is out of range; wants 0.001 to 65536 GiB"},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 90, service: {kind: "
     "serial}}]\n" JOBS,
     "s.yaml:2:32: models[0].memory_gib: 90 GiB fits on no device"},
    {"devices: {name: g}\n", "s.yaml:1:10: devices: wants a list of mappings, not a mapping"},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 1}]\n" JOBS,
     "s.yaml:2:10: service is missing: The engine."},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 1, service: serial}]\n",
     "s.yaml:2:44: service: \"serial\" is not a mapping"},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 1, service: {kind: "
     "fast}}]\n",
     "s.yaml:2:51: kind: \"fast\" is not one of serial|batch|ps|unlimited"},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 1, service: {kind: "
     "serial, rate: 2}}]\n",
     "s.yaml:2:59: rate: there is no such key"},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 1, service: {kind: "
     "unlimited}}]\n",
     "s.yaml:2:44: models[0].max_concurrency: an unlimited service wants unlimited"},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 1, max_concurrency: "
     "none, service: {kind: serial}}]\n",
     "s.yaml:2:52: models[0].max_concurrency: wants a whole number, not text"},
    {HEAD JOBS, "s.yaml:1:1: switch is missing: with several models, say what switches cost"},
    {HEAD JOBS "switch: {}\n",
     "s.yaml:6:9: switch: wants exactly one of matrix_s, per_model and profile, or tiers"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5], [3, 0]], per_model: {}}\n",
     "s.yaml:6:9: switch: wants exactly one of matrix_s, per_model and profile"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5]]}\n",
     "s.yaml:6:20: matrix_s: has 1 rows; wants 2, one for each model"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5], [3]]}\n",
     "s.yaml:6:29: matrix_s: wants a list of 2 times, one for each model"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5], [3, 1]]}\n",
     "s.yaml:6:29: matrix_s: a model does not switch to itself; the diagonal is 0"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5], [-3, 0]]}\n",
     "s.yaml:6:30: matrix_s: -3 is out of range; wants 0 to 1000000"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5], [3, 0]], from_empty_s: [1]}\n",
     "s.yaml:6:52: from_empty_s: wants a list of 2 times, one for each model"},
    {HEAD JOBS "switch: {matrix_s: [[0, 200], [3, 0]]}\n",
     "s.yaml:6:9: switch: a switch takes 200 s, longer than guard.switch_timeout_s (180)"},
    {HEAD JOBS "switch: {per_model: {c: {wake_s: 1}}}\n", "s.yaml:6:25: there is no model \"c\""},
    {HEAD JOBS "switch: {per_model: {a: {wake_s: 1}}}\n",
     "s.yaml:6:21: per_model: says nothing of model b"},
    {HEAD JOBS "switch: {per_model: {a: {sleep_s: 1}}}\n",
     "s.yaml:6:25: wake_s is missing: Bringing it in."},
    {HEAD JOBS "switch: {per_model: {a: 3}}\n", "s.yaml:6:25: a: \"3\" is not a mapping"},
    {HEAD JOBS "switch: {tiers: {asleep: {in_s: 1}, bed: {in_s: 1}}}\n",
     "s.yaml:6:42: bed: is not one of asleep, staged, discarded, suspended, stopped"},
    {HEAD JOBS "switch: {tiers: {asleep: {out_s: 1}}}\n", "s.yaml:6:26: in_s is missing"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5], [3, 0]], distribution: lognormal}\n",
     "s.yaml:6:52: distribution: lognormal wants {dist: lognormal, sigma: S}"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5], [3, 0]], distribution: {dist: lognormal}}\n",
     "s.yaml:6:52: sigma is missing: lognormal wants it"},
    {HEAD JOBS "switch: {matrix_s: [[0, 5], [3, 0]], distribution: {dist: exponential, sigma: "
               "1}}\n",
     "s.yaml:6:72: sigma: there is no such key"},
    {HEAD JOBS "switch: {profile: {file: none.csv, name: GEN}}\n",
     "s.yaml:6:26: file: \"none.csv\" is neither beside this file nor in /tmp/test_scenario."},
    {HEAD JOBS "switch: {profile: {file: costs.csv, name: NEW}}\n", "s.yaml:6:26: file: "},
    {HEAD JOBS "switch: {profile: {file: costs.csv, name: GEN, n_classes: 5}}\n",
     "s.yaml:6:19: cost_class: the profile has no class or size \"1\" for model b"},
    {HEAD JOBS "switch: {profile: {file: broken.csv, name: GEN, n_classes: 2}}\n",
     "/broken.csv:2:13: load_s: \"fast\" is no number of seconds"},
    {HEAD JOBS "switch: {profile: {file: short.csv, name: GEN}}\n",
     "/short.csv:1:1: there is no column fixed_s"},
    {HEAD JOBS MATRIX "initial: {h: a}\n", "s.yaml:7:14: there is no device \"h\""},
    {HEAD JOBS MATRIX "initial: {g: c}\n", "s.yaml:7:14: there is no model \"c\""},
    {HEAD JOBS MATRIX "initial: {g: [a, a]}\n", "s.yaml:7:18: initial: model a is there already"},
    {HEAD JOBS MATRIX "initial: {g: [a, b]}\n",
     "s.yaml:7:18: initial: model b does not fit on device g any more"},
    {HEAD JOBS MATRIX "initial: [a]\n", "s.yaml:7:10: initial: wants a mapping, not a sequence"},
    {HEAD MATRIX, "s.yaml:1:1: arrivals is missing"},
    {HEAD MATRIX "arrivals: []\n", "s.yaml:6:11: arrivals: a list of one or more sources"},
    {HEAD MATRIX "arrivals: [{kind: poisson, model: a, rate_per_s: 1, service_s: 1}]\n",
     "s.yaml:6:12: this source goes on for ever; say requests or horizon_s"},
    {HEAD MATRIX "requests: 9\narrivals: [{kind: poisson, model: a, rate_per_s: 1}]\n",
     "s.yaml:7:12: service_s is missing: model a is served by time"},
    {"devices: [{name: g, memory_gib: 80}]\nmodels: [{name: a, memory_gib: 1, service: {kind: "
     "batch, d0_s: 1}}]\nrequests: 9\narrivals: [{kind: poisson, model: a, rate_per_s: 1, "
     "input_tokens: 3}]\n",
     "s.yaml:4:12: input_tokens, output_tokens: model a is served by tokens; say both"},
    {HEAD JOBS MATRIX "requests: 0\n",
     "s.yaml:7:11: requests: 0 is out of range; wants 1 to 1000000000000"},
    {HEAD JOBS MATRIX "label: true\n", "s.yaml:7:8: label: \"true\" is not one of real|semi|"},
    {HEAD JOBS MATRIX "warmup: {visits: -1}\n", "s.yaml:7:18: visits: -1 is out of range"},
    {HEAD JOBS MATRIX "warmup: {seconds: 1}\n", "s.yaml:7:10: seconds: there is no such key"},
    {HEAD JOBS MATRIX "guard: none\n", "s.yaml:7:8: guard: \"none\" is not one of default|off"},
    {HEAD JOBS MATRIX "guard: {min_residence_s: 1}\nmin_residence_s: 2\n",
     "s.yaml:8:18: min_residence_s: is in guard, too; take one away"},
    {HEAD JOBS MATRIX "min_residence_s: -1\n",
     "s.yaml:7:18: guard.min_residence_s: -1 is out of range; wants 0 to 86400 s"},
    {HEAD JOBS MATRIX "limits: {max_wait_s: never}\n",
     "s.yaml:7:22: limits.max_wait_s: wants a number or \"none\", not text"},
    {HEAD JOBS MATRIX "limits: {patience: {dist: gaussian}}\n", "s.yaml:7:20: patience: "},
    {HEAD JOBS MATRIX "faults: [{at_s: 1, kind: fire}]\n", "s.yaml:7:26: kind: \"fire\" is not"},
    {HEAD JOBS MATRIX "faults: [{at_s: 1, kind: engine_lost}]\n",
     "s.yaml:7:10: model is missing: which is it?"},
    {HEAD JOBS MATRIX "faults: [{at_s: 1, kind: engine_lost, model: g}]\n",
     "s.yaml:7:46: there is no model \"g\""},
    {HEAD JOBS MATRIX "faults: [{at_s: 1, kind: device_up, model: a, device: g}]\n",
     "s.yaml:7:37: model: there is no such key"},
    {HEAD JOBS MATRIX "scenario: \"\"\n", "s.yaml:7:11: scenario: has 0 bytes; wants 1 to 64"},
    {HEAD JOBS MATRIX MATRIX, "s.yaml:7:"},
};

static void test_bad_input(void **state)
{
    (void)state;
    uint32_t wrong = 0;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct scenario *scenario = NULL;
        const char *text = bads[i].text;
        int rc = scenario_parse(text, strlen(text), "s.yaml", folder, &scenario, err, sizeof err);
        const char *at = rc ? strstr(err, bads[i].message) : NULL;
        bool anywhere = bads[i].message[0] == '/';
        if (rc != -EINVAL || scenario || !at || (!anywhere && at != err) || strchr(err, '\n')) {
            print_error("want: %s\ngot:  %d %s\n", bads[i].message, rc, rc ? err : "read");
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    struct scenario *scenario = NULL;
    assert_int_equal(scenario_load("/nowhere.yaml", NULL, &scenario, err, sizeof err), -ENOENT);
    assert_string_equal(err, "/nowhere.yaml: No such file or directory");
    assert_int_equal(scenario_load("/tmp", NULL, &scenario, err, sizeof err), -EISDIR);
}

/* Every prefix of a good file is read or refused with a message. */
static void test_truncated(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof issue - 1; size += 7) {
        struct scenario *scenario = NULL;
        err[0] = '\0';
        if (scenario_parse(issue, size, "s.yaml", folder, &scenario, err, sizeof err)) {
            assert_true(err[0] != '\0');
        } else {
            scenario_free(scenario);
        }
    }
}

/* ------------------------------------------------------------------ what is shipped */

static void test_manual_is_fresh(void **state)
{
    (void)state;
    char *want = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&want, &size);
    assert_non_null(out);
    scenario_print_manual(out);
    assert_int_equal(fclose(out), 0);
    char *have = slurp(SHUNT_SOURCE_DIR "/docs/SCENARIOS.md");
    if (strcmp(have, want) != 0) {
        fail_msg("docs/SCENARIOS.md is stale; shunt help --scenarios > docs/SCENARIOS.md");
    }
    free(have);
    /* Every example in it is a scenario. */
    int examples = 0;
    for (char *at = want; (at = strstr(at, "```yaml\n"));) {
        at += strlen("```yaml\n");
        char *end = strstr(at, "```");
        assert_non_null(end);
        *end = '\0';
        scenario_free(parse(at));
        at = end + 1;
        examples++;
    }
    assert_int_equal(examples, 2);
    free(want);
}

static void test_examples(void **state)
{
    (void)state;
    static const char *const names[] = {"two", "evening", "a2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, SHUNT_SOURCE_DIR "/examples/sim/%s.yaml", names[i]);
        struct scenario *s = load(path);
        assert_string_equal(s->name, names[i]);
        scenario_free(s);
    }
    struct scenario *s = NULL;
    if (scenario_from_config(SHUNT_SOURCE_DIR "/examples/minimal.cfg",
                             SHUNT_SOURCE_DIR "/examples/sim/host.yaml", NULL, &s, err,
                             sizeof err)) {
        fail_msg("%s", err);
    }
    scenario_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_the_specification),
        cmocka_unit_test(test_defaults_are_those_of_the_host),
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_costs_of_models),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_start_and_faults),
        cmocka_unit_test(test_guard_and_clients),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_work),
        cmocka_unit_test(test_of_a_host),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_manual_is_fresh),
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
