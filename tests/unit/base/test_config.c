/* The configuration reader: what loads, what each rule says, and that the manual is fresh. */
#include "base/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEVICE "devices = ( { name = \"gpu0\"; memory_gib = 23.0; } );\n"
#define MODEL  "models = ( { name = \"a\"; memory_gib = 10.0; } );\n"

const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses what it was reading at a syntax error. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig\n";
}

static struct config_errors errors;

static struct config *load(const char *text)
{
    struct config *config = NULL;
    int result = config_load_string(text, strlen(text), "etc/shunt.cfg", &config, &errors);
    for (uint32_t i = 0; result && i < errors.count; i++) {
        print_message("%s\n", errors.text[i]);
    }
    assert_int_equal(result, 0);
    assert_non_null(config);
    return config;
}

/* Loads a text that is wrong, and wants a message with all of `parts` (separated by '&'). */
static void refuse(const char *text, const char *parts)
{
    struct config *config = NULL;
    int result = config_load_string(text, strlen(text), "shunt.cfg", &config, &errors);
    if (result == 0) {
        fail_msg("loaded although wrong: %s", text);
    }
    for (uint32_t i = 0; i < errors.count; i++) {
        bool all = true;
        char copy[400];
        (void)snprintf(copy, sizeof copy, "%s", parts);
        char *rest = copy;
        for (char *part; (part = strsep(&rest, "&"));) {
            all = all && strstr(errors.text[i], part);
        }
        if (all) {
            return;
        }
    }
    fail_msg("no message has \"%s\"; the first is: %s", parts, errors.text[0]);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *config = load(DEVICE MODEL);
    assert_string_equal(config->listen.item[0], "127.0.0.1:8080");
    assert_null(config->listen.item[1]);
    assert_int_equal(config->device_count, 1);
    assert_int_equal(config->devices[0].memory_bytes, INT64_C(23) << 30);
    assert_int_equal(config->devices[0].gpu, -1);
    const struct config_model *model = &config->models[0];
    assert_int_equal(model->line, 2);
    assert_int_equal(model->engine, CONFIG_ENGINE_EMULATED);
    assert_int_equal(model->memory.bytes[SHUNT_TIER_RESIDENT], INT64_C(10) << 30);
    assert_int_equal(model->memory.bytes[SHUNT_TIER_ASLEEP], 0);
    assert_int_equal(model->host_memory.bytes[SHUNT_TIER_ASLEEP], INT64_C(10) << 30);
    assert_int_equal(model->host_memory.bytes[SHUNT_TIER_STOPPED], 0);
    assert_int_equal(model->tiers.count, 2);
    assert_int_equal(model->tiers.tier[0], SHUNT_TIER_ASLEEP);
    assert_int_equal(model->tiers.tier[1], SHUNT_TIER_STOPPED);
    assert_int_equal(model->placements.count, 1);
    assert_int_equal(model->max_wait_ns, INT64_C(900) * 1000000000);
    assert_true(model->reject_hopeless);
    assert_int_equal(model->queue_max, 256);
    assert_int_equal(model->emulate.token_ns, 12 * 1000000);
    assert_int_equal(config->guard.drain_ns, CONFIG_AUTOMATIC);
    assert_int_equal(config->guard.answer_ns, 50 * 1000000);
    assert_int_equal(config->limits.body_max_bytes, 32 << 20);
    assert_int_equal(config->cell_count, 1);
    assert_string_equal(config->cells[0].name, "main");
    assert_string_equal(config->cells[0].devices.item[0], "gpu0");
    assert_string_equal(config->cells[0].policy.use, "amortized");
    assert_string_equal(config->state_dir, "etc/shunt-state");
    assert_string_equal(config->admin.socket, "etc/shunt-state/admin.sock");
    assert_int_equal(config_line(config, "limits.max_wait_s"), 0);
    assert_int_equal(config_line(config, "devices[0].memory_gib"), 1);
    config_free(config);
}

/* The example of the design: two models, and 15 lines. */
static void test_two_models_in_fifteen_lines(void **state)
{
    (void)state;
    const char *text =
        "listen  = \"127.0.0.1:8080\";\n"
        "devices = ( { name = \"gpu0\"; gpu = 0; memory_gib = 23.0; } );\n"
        "host_memory_gib = 40.0;\n"
        "policy  = { use = \"amortized\"; params = { overhead_target = 0.10; n = 3; on = true;\n"
        "  v = [ 1.5, 2.0 ]; s = \"x\"; }; };\n"
        "models  = (\n"
        "  { name = \"qwen-7b\"; aliases = [ \"default\" ]; engine = \"vllm\"; devices = [ "
        "\"gpu0\" ];\n"
        "    start = [ \"vllm\", \"serve\", \"--port\", \"${PORT}\" ]; env = [ "
        "\"VLLM_SERVER_DEV_MODE=1\" ];\n"
        "    memory_gib = { resident = 19.5; asleep = 1.4; }; tiers = [ \"asleep\", \"stopped\" "
        "];\n"
        "    max_concurrency = 32; preload = true; params = { weight = 2; }; },\n"
        "  { name = \"coder-14b\"; engine = \"llama_server\"; max_wait_s = 60.5;\n"
        "    start = [ \"llama-server\", \"--port\", \"${PORT}\" ]; memory_gib = 12;\n"
        "    max_concurrency = 4; start_timeout_s = 60; idle_unload_s = 900; } );\n"
        "limits = { queue_per_model = 64; max_wait_s = 900; heartbeat_s = 15; };\n"
        "guard  = { drain_s = 300; switch_timeout_s = 60; age_s = \"auto\"; };\n";
    struct config *config = load(text);
    unsigned lines = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '\n';
    }
    assert_true(lines <= 15);
    assert_int_equal(config->model_count, 2);
    assert_int_equal(config_find_model(config, "default"), 0);
    assert_int_equal(config_find_model(config, "coder-14b"), 1);
    assert_true(config_find_model(config, "gpt") < 0);
    const struct config_model *coder = &config->models[1];
    assert_int_equal(coder->tiers.count, 1);
    assert_int_equal(coder->tiers.tier[0], SHUNT_TIER_STOPPED);
    assert_int_equal(coder->max_wait_ns, INT64_C(60500) * 1000000);
    assert_int_equal(coder->queue_max, 64);
    assert_int_equal(coder->heartbeat_ns, INT64_C(15) * 1000000000);
    const struct config_params *params = &config->cells[0].policy.params;
    assert_int_equal(params->count, 5);
    assert_string_equal(params->item[0].name, "overhead_target");
    assert_string_equal(params->item[0].text, "0.1");
    assert_string_equal(params->item[1].text, "3");
    assert_string_equal(params->item[2].text, "true");
    assert_string_equal(params->item[3].text, "[1.5 2]");
    assert_string_equal(params->item[4].text, "x");
    assert_int_equal(params->item[4].line, 5);
    assert_string_equal(config->models[0].params.item[0].text, "2");
    assert_int_equal(config->guard.age_ns, CONFIG_AUTOMATIC);
    assert_int_equal(config_line(config, "guard.drain_s"), 15);
    assert_int_equal(config_line(config, "models[0].memory_gib.asleep"), 9);
    config_free(config);
}

static void test_policy_paths(void **state)
{
    (void)state;
    struct config *config =
        load(DEVICE MODEL
             "policy = { use = \"./p.so@best.yaml:a=1:b=x/y\"; plugin_dir = \"/opt/p\"; };");
    assert_string_equal(config->policy.use, "etc/./p.so@etc/best.yaml:a=1:b=x/y");
    assert_string_equal(config->cells[0].policy.use, config->policy.use);
    assert_string_equal(config->policy.plugin_dir, "/opt/p");
    config_free(config);
    config = load(DEVICE MODEL "policy = { use = \"fifo:a=1\"; values = \"v.yaml\"; };");
    assert_string_equal(config->policy.use, "fifo:a=1");
    assert_string_equal(config->policy.values, "etc/v.yaml");
    config_free(config);
}

static void test_cells(void **state)
{
    (void)state;
    struct config *config = load(
        "devices = ( { name = \"x\"; memory_gib = 8; }, { name = \"y\"; memory_gib = 8; } );\n"
        "models = ( { name = \"a\"; devices = \"x\"; memory_gib = 8; },\n"
        " { name = \"b\"; placements = ( [ \"y\" ] ); memory_gib = 8; } );\n"
        "policy = { use = \"p.so\"; params = { a = 1; }; };\n"
        "cells = ( { name = \"one\"; devices = [ \"y\" ]; policy = { use = \"fifo\"; }; },\n"
        "          { name = \"two\"; devices = [ \"x\" ]; policy = { probation_s = 0; }; } );\n");
    assert_int_equal(config->cell_count, 2);
    assert_string_equal(config->cells[0].policy.use, "fifo");
    assert_int_equal(config->cells[0].policy.params.count, 0);
    assert_int_equal(config->cells[0].device[0], 1);
    assert_string_equal(config->cells[1].policy.use, "etc/p.so");
    assert_int_equal(config->cells[1].policy.params.count, 1);
    assert_int_equal(config->cells[1].policy.probation_ns, 0);
    assert_int_equal(config->models[1].placements.item[0].device, 1);
    config_free(config);
}

/* One line a rule: the text, and what the message must hold. */
static const struct {
    const char *text;
    const char *parts;
} refusals[] = {
    {"", "devices: there is none"},
    {DEVICE, "models: there is none"},
    {"x = ;", "shunt.cfg:1: &syntax"},
    {DEVICE MODEL "seed = 1;\nseed = 2;", "shunt.cfg:4: &duplicate"},
    {DEVICE MODEL "\n@include \"/dev/zero\"\n", "shunt.cfg:4: @include"},
    /* keys, types, ranges */
    {DEVICE MODEL "limit = { };", "shunt.cfg:3: limit: &did you mean limits?"},
    {DEVICE MODEL "limits = { max_wait = 3; };", "limits.max_wait: &did you mean max_wait_s?"},
    {DEVICE MODEL "zzzzzzzzzzzz = 1;", "--help-config"},
    {DEVICE "models = ( { name = \"a\"; memory_gib = 1; emulate = { speed = 3; }; } );",
     "models[0].emulate.speed"},
    {DEVICE MODEL "limits = 3;", "limits: wants a group { }, not a number"},
    {DEVICE MODEL "limits = { max_wait_s = \"9\"; };",
     "limits.max_wait_s: wants a number or \"none\", not text"},
    {DEVICE MODEL "limits = { queued_max = 1.5; };", "wants a whole number, not 1.5"},
    {DEVICE MODEL "limits = { queued_max = 0; };",
     "limits.queued_max: 0 is out of range; wants 1 to"},
    {DEVICE MODEL "limits = { queued_max = 1000001; };", "out of range"},
    {DEVICE MODEL "limits = { queued_max = 99999999999999999999; };", "out of range"},
    {DEVICE MODEL "limits = { max_wait_s = 1e999; };", "out of range"},
    {DEVICE MODEL "limits = { max_wait_s = -1; };", "out of range"},
    {DEVICE MODEL "limits = { reject_hopeless = 1; };", "wants true or false, not a number"},
    {DEVICE MODEL "guard = { drain_s = \"automatic\"; };", "wants a number or \"auto\", not text"},
    {DEVICE MODEL "log_level = \"loud\";", "\"loud\" is not one of error|warning|info|debug"},
    {DEVICE MODEL "log_level = 3;", "log_level: wants error|warning|info|debug, not a number"},
    {DEVICE MODEL "log_file = \"a\\nb\";", "log_file: holds a control character"},
    {DEVICE MODEL "state_dir = \"\";", "state_dir: has 0 bytes"},
    {DEVICE MODEL "listen = [ ];", "listen: has 0 entries"},
    {DEVICE MODEL "listen = 8080;", "listen: wants a list of strings, not a number"},
    {DEVICE "models = { };", "models: wants a list of groups"},
    {DEVICE "models = ( 3 );", "models[0]: wants a group"},
    {DEVICE "models = ( { memory_gib = 3; } );", "models[0].name: is missing"},
    /* addresses and keys */
    {DEVICE MODEL "listen = \"8080\";", "listen: \"8080\": wants HOST:PORT"},
    {DEVICE MODEL "listen = \"127.0.0.1:65536\";", "port"},
    {DEVICE MODEL "listen = \"example.org:80\";", "not an address"},
    {DEVICE MODEL "listen = \"unix:x\";", "unix: path"},
    {DEVICE MODEL "\nlisten = [ \"127.0.0.1:1\", \"0.0.0.0:1\" ];",
     "shunt.cfg:4: listen: &without keys&auth = \"none\""},
    {DEVICE MODEL "listen = \"[::]:80\";", "without keys"},
    {DEVICE MODEL "auth = \"keys\";", "needs keys_file"},
    {DEVICE MODEL "auth = \"none\"; keys_file = \"k\";", "contradict"},
    {DEVICE MODEL "admin = { listen = \"0.0.0.0:1\"; };", "admin.listen: is reachable"},
    /* what this version has not */
    {DEVICE MODEL "survive = true;", "survive: &set it to false"},
    {DEVICE MODEL "policy = { use = \"a b\"; };", "policy.use: \"a b\" is not the name"},
    {DEVICE MODEL "policy = { use = \"a@v.yaml\"; values = \"w.yaml\"; };",
     "policy.use: names a values"},
    {DEVICE MODEL "policy = { isolation = \"isolated\"; };", "policy.isolation: &does not run"},
    {DEVICE
     "models = ( { name = \"a\"; memory_gib = 1; placements = ( [ \"gpu0\", \"gpu0\" ] ); } );",
     "models[0].placements[0]: names 2 devices; this version takes one"},
    /* order of limits */
    {DEVICE MODEL "engine_port_min = 50000; engine_port_max = 40000;",
     "engine_port_min: is larger"},
    {DEVICE MODEL "limits = { body_max_mib = 10; bodies_max_mib = 5; };",
     "limits.body_max_mib: is larger"},
    {DEVICE MODEL "journal = { segment_mib = 10; keep_mib = 5; };",
     "journal.segment_mib: is larger"},
    {DEVICE MODEL "limits = { queue_per_model = 99; queued_max = 9; };",
     "models[0].queue_per_model: 99"},
    {DEVICE MODEL "limits = { in_flight_max = 9; };", "max_concurrency: 16 is more"},
    {DEVICE MODEL "guard = { dispatches_min = 17; };", "models[0].max_concurrency: 16 is less"},
    {"devices = ( { name = \"a\"; memory_gib = 1; }, { name = \"b\"; memory_gib = 1; } );" MODEL
     "limits = { devices_max = 1; };",
     "limits.devices_max: 1 is less than the 2 devices"},
    /* devices */
    {"devices = ( { name = \"a b\"; memory_gib = 23; } );" MODEL, "devices[0].name: takes letters"},
    {"devices = ( { name = \"a\"; memory_gib = \"auto\"; } );" MODEL, "memory_gib: \"auto\" asks"},
    {"devices = ( { name = \"a\"; memory_gib = 23; },\n { name = \"a\"; memory_gib = 23; } "
     ");" MODEL,
     "shunt.cfg:2: devices[1].name: \"a\" is devices[0] already"},
    {"devices = ( { name = \"a\"; gpu = 1; memory_gib = 23; },\n { name = \"b\"; gpu = 1; "
     "memory_gib = 23; } );" MODEL,
     "devices[1].gpu: GPU 1 is devices[0] already"},
    /* models */
    {DEVICE "models = ( { name = \"a b\"; memory_gib = 1; } );", "models[0].name: \"a b\" wants"},
    {DEVICE "models = ( { name = \"a\"; memory_gib = 1; },\n { name = \"b\"; aliases = [ \"a\" ]; "
            "memory_gib = 1; } );",
     "shunt.cfg:3: models[1].aliases: \"a\" is the name of models[0] already"},
    {DEVICE "models = ( { name = \"a\"; memory_gib = 1; },\n { name = \"a\"; memory_gib = 1; } );",
     "models[1].name: \"a\" is the name of models[0] already"},
    {DEVICE "models = ( { name = \"a\"; aliases = [ \"x\", \"x\" ]; memory_gib = 1; } );",
     "models[0].aliases"},
    {DEVICE "models = ( { name = \"a\"; memory_gib = 1; devices = [ \"gpu1\" ]; } );",
     "models[0].devices: there is no device \"gpu1\""},
    {DEVICE "models = ( { name = \"a\"; memory_gib = 1; devices = [ \"gpu0\", \"gpu0\" ]; } );",
     "stands there twice"},
    {DEVICE "models = ( { name = \"a\"; memory_gib = 1; devices = [ \"gpu0\" ]; placements = ( "
            "\"gpu0\" ); } );",
     "placements: says the same as devices"},
    {DEVICE "models = (\n { name = \"a\"; memory_gib = 1; },\n { name = \"b\";\n memory_gib = {\n "
            "resident = 30; }; } );",
     "shunt.cfg:6: models[1].memory_gib.resident: 30 GiB fits on no device&largest of all: gpu0, "
     "23 GiB"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 23.01; } );",
     "shunt.cfg:2: models[0].memory_gib: 23.01 GiB fits"},
    {"devices = ( { name = \"a\"; memory_gib = 8; }, { name = \"b\"; memory_gib = 4; } );"
     "models = ( { name = \"m\"; memory_gib = 5; devices = [ \"a\", \"b\" ]; } );",
     "models[0].devices: 5 GiB do not fit on b (4 GiB)"},
    {DEVICE "models = ( { name = \"b\"; } );", "models[0].memory_gib: says nothing of resident"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = \"auto\"; } );", "measured on a GPU"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = \"some\"; } );",
     "memory_gib: wants a number or"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = { resident = 1; awake = 2; }; } );",
     "memory_gib.awake: there is no such tier"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = { resident = 1; asleep = 2; }; } );",
     "asleep holds more than resident"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; tiers = [ \"resident\" ]; } );",
     "tiers[0]: \"resident\" is not one"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; tiers = [ \"stopped\", \"stopped\" ]; } );",
     "tiers[1]: \"stopped\" is there already"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; tiers = [ ]; } );", "tiers: wants"},
    {DEVICE "models = ( { name = \"b\"; engine = \"vllm\"; memory_gib = 1; } );",
     "models[0].url: is missing; an engine of kind vllm wants start"},
    {DEVICE "models = ( { name = \"b\"; engine = \"vllm\"; memory_gib = 1; url = \"http://h:1\"; "
            "tiers = [ \"stopped\" ]; } );",
     "tiers: \"stopped\" needs start"},
    {DEVICE
     "models = ( { name = \"b\"; engine = \"ollama\"; memory_gib = 1; url = \"http://h:1\"; } );",
     "tiers: is missing"},
    {DEVICE
     "models = ( { name = \"b\"; engine = \"vllm\"; memory_gib = 1; url = \"https://h\"; } );",
     "TLS"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; start = [ \"\" ]; } );",
     "start: the first entry"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; start = [ \"x\", \"${PROT}\" ]; } );",
     "start: [1]: ${PROT} is unknown"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; start = [ \"x\", \"${PORT\" ]; } );",
     "without }"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; env = [ \"A=${env.SHUNT_UNSET}\" ]; } );",
     "no SHUNT_UNSET"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; env = [ \"A\" ]; } );",
     "env: [0]: \"A\" wants the form"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; health_path = \"x\"; } );", "health_path"},
    {DEVICE "models = ( { name = \"b\"; memory_gib = 1; params = { x = { }; }; } );",
     "models[0].params.x: wants"},
    /* together */
    {DEVICE "models = ( { name = \"a\"; memory_gib = 20; pin = true; }, { name = \"b\"; memory_gib "
            "= 4; } );",
     "models[1].memory_gib: 4 GiB fits on no device beside the 20 GiB"},
    {DEVICE "models = ( { name = \"a\"; memory_gib = { resident = 20; asleep = 2; }; tiers = [ "
            "\"asleep\" ]; },"
            " { name = \"b\"; memory_gib = 22; } );",
     "models[1].memory_gib: 22 GiB fits on no device beside"},
    {"devices = ( { name = \"x\"; memory_gib = 8; }, { name = \"y\"; memory_gib = 8; } );"
     "models = ( { name = \"a\"; memory_gib = 1; pin = true; } );",
     "models[0].pin: wants exactly one device"},
    {DEVICE "host_memory_gib = 5; models = ( { name = \"a\"; memory_gib = 10; tiers = [ \"asleep\" "
            "]; } );",
     "models[0].tiers: none of them fits into host_memory_gib"},
    /* cells */
    {DEVICE MODEL "cells = ( { name = \"c\"; devices = [ \"z\" ]; } );",
     "cells[0].devices: there is no device \"z\""},
    {DEVICE MODEL "cells = ( { name = \"c\"; } );", "cells[0].devices: is missing"},
    {DEVICE MODEL "cells = ( { name = \"c\"; devices = [ \"gpu0\" ]; }, { name = \"c\"; devices = "
                  "[ \"gpu0\" ]; } );",
     "gpu0 is in cells[0] already"},
    {"devices = ( { name = \"x\"; memory_gib = 8; }, { name = \"y\"; memory_gib = 8; } );"
     "models = ( { name = \"a\"; memory_gib = 1; } );"
     "cells = ( { name = \"c\"; devices = [ \"x\" ]; }, { name = \"d\"; devices = [ \"y\" ]; } );",
     "may be in cells c and d"},
    {"devices = ( { name = \"x\"; memory_gib = 8; }, { name = \"y\"; memory_gib = 8; } );"
     "models = ( { name = \"a\"; devices = \"x\"; memory_gib = 1; } );"
     "cells = ( { name = \"c\"; devices = [ \"x\" ]; } );",
     "devices[1]: y is in no cell"},
    {DEVICE MODEL "cells = ( { name = \"c\"; devices = [ \"gpu0\" ]; policy = { isolation = "
                  "\"isolated\"; }; } );",
     "cells[0].policy.isolation"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        refuse(refusals[i].text, refusals[i].parts);
    }
}

static void test_all_errors_are_collected(void **state)
{
    (void)state;
    char text[4096] = DEVICE MODEL;
    refuse(DEVICE MODEL "seed = \"x\";\nlog_level = 1;\nlimits = { a = 1; };", "seed");
    assert_int_equal(errors.count, 3);
    assert_false(errors.more);
    for (int i = 0; i < CONFIG_ERRORS_MAX + 1; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "unknown%d = 1;\n", i);
    }
    refuse(text, "unknown0");
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
    assert_true(errors.more);
}

static void test_nul_and_size(void **state)
{
    (void)state;
    struct config *config = NULL;
    assert_int_equal(config_load_string("a = 1;\n\0", 8, "f", &config, &errors), -EINVAL);
    assert_string_equal(errors.text[0], "f:2: holds a NUL byte; this is not a text file");
    char *big = malloc(CONFIG_FILE_BYTES_MAX + 1);
    assert_non_null(big);
    memset(big, '\n', CONFIG_FILE_BYTES_MAX + 1);
    assert_int_equal(config_load_string(big, CONFIG_FILE_BYTES_MAX + 1, "f", &config, &errors),
                     -EINVAL);
    assert_non_null(strstr(errors.text[0], "larger than 1024 KiB"));
    free(big);
    assert_int_equal(config_load("/nonexistent/shunt.cfg", &config, &errors), -ENOENT);
    assert_non_null(strstr(errors.text[0], "shunt init"));
}

static void test_expand(void **state)
{
    (void)state;
    const struct config_expansion with = {.port = 4711, .model = "m/x"};
    char *text = NULL;
    char err[200];
    assert_int_equal(setenv("SHUNT_TEST", "val", 1), 0);
    assert_int_equal(config_expand("a${PORT}:${MODEL}:${env.SHUNT_TEST}:$${PORT}:$$:$", &with,
                                   &text, err, sizeof err),
                     0);
    assert_string_equal(text, "a4711:m/x:val:${PORT}:$$:$");
    free(text);
    assert_int_equal(config_expand("", &with, &text, err, sizeof err), 0);
    assert_string_equal(text, "");
    free(text);
}

static void test_addresses(void **state)
{
    (void)state;
    struct config_address address;
    char err[200];
    assert_int_equal(config_address_parse("[::1]:80", &address, err, sizeof err), 0);
    assert_true(address.ipv6 && address.loopback && address.port == 80);
    assert_string_equal(address.host, "::1");
    assert_int_equal(config_address_parse("[::ffff:127.0.0.1]:80", &address, err, sizeof err), 0);
    assert_true(address.loopback);
    assert_int_equal(config_address_parse("*:80", &address, err, sizeof err), 0);
    assert_false(address.loopback);
    assert_string_equal(address.host, "0.0.0.0");
    assert_int_equal(config_address_parse("127.8.0.1:0", &address, err, sizeof err), 0);
    assert_true(address.loopback);
    assert_int_equal(config_address_parse("unix:/run/s", &address, err, sizeof err), 0);
    assert_true(address.kind == CONFIG_LISTEN_UNIX && address.loopback);
    static const char *const wrong[] = {"",       ":",        ":80", "[::1]",      "[::1:80",
                                        "::1:80", "1.2.3:80", "a:",  "1.2.3.4:-1", "1.2.3.4:123456",
                                        "[]:1",   "unix:"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(config_address_parse(wrong[i], &address, err, sizeof err), -EINVAL);
    }
    assert_int_equal(config_url_parse("http://gpu-box:8000/", &address, err, sizeof err), 0);
    assert_string_equal(address.host, "gpu-box");
    assert_int_equal(address.port, 8000);
    assert_int_equal(config_url_parse("http://127.0.0.1", &address, err, sizeof err), 0);
    assert_int_equal(address.port, 80);
    assert_int_equal(config_url_parse("http://h:1/v1", &address, err, sizeof err), -EINVAL);
}

struct dump {
    unsigned count, set;
    bool wait, memory, env;
};

static void each(void *context, const char *path, const char *value, uint32_t line)
{
    struct dump *dump = context;
    dump->count++;
    dump->set += line != 0;
    dump->wait |= strcmp(path, "limits.max_wait_s") == 0 && strcmp(value, "0.25") == 0 && line == 3;
    dump->env |= strcmp(path, "models[0].env") == 0 && strcmp(value, "[ \"HF_TOKEN=...\" ]") == 0;
    assert_null(strstr(value, "hush"));
    dump->memory |=
        strcmp(path, "models[0].memory_gib") == 0 && strstr(value, "{ resident = 10; ") != NULL;
}

static void test_each(void **state)
{
    (void)state;
    struct config *config = load(
        DEVICE "models = ( { name = \"a\"; memory_gib = 10.0; env = [ \"HF_TOKEN=hush\" ]; } );\n"
               "limits = { max_wait_s = 0.25; };");
    struct dump dump = {.count = 0};
    config_each(config, each, &dump);
    assert_true(dump.count > 100);
    assert_int_equal(dump.set, 6);
    assert_true(dump.wait && dump.memory && dump.env);
    config_free(config);
}

/* The words of the table and the names that the code gives them. */
static void test_choices(void **state)
{
    (void)state;
    for (uint32_t e = 0; e < CONFIG_ENGINE_REMOTE; e++) {
        char text[400];
        (void)snprintf(text, sizeof text,
                       DEVICE "models = ( { name = \"a\"; memory_gib = 1; engine = \"%s\"; "
                              "start = [ \"x\" ]; } );",
                       config_engine_name(e));
        struct config *config = load(text);
        assert_int_equal(config->models[0].engine, e);
        config_free(config);
    }
    struct config *config = load(DEVICE MODEL "auth = \"none\"; log_level = \"debug\";\n"
                                              "listen = \"0.0.0.0:80\";\n"
                                              "guard = { drain_mode = \"requeue\"; };");
    assert_int_equal(config->auth, CONFIG_AUTH_NONE);
    assert_int_equal(config->log_level, CONFIG_LOG_DEBUG);
    assert_int_equal(config->guard.drain_mode, CONFIG_DRAIN_REQUEUE);
    config_free(config);
}

static void test_manual_is_fresh(void **state)
{
    (void)state;
    char *want = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&want, &size);
    assert_non_null(out);
    config_print_manual(out);
    assert_int_equal(fclose(out), 0);
    FILE *in = fopen(SHUNT_SOURCE_DIR "/docs/CONFIGURATION.md", "rb");
    assert_non_null(in);
    char *have = calloc(1, size + 2);
    assert_non_null(have);
    size_t got = fread(have, 1, size + 1, in);
    assert_int_equal(fclose(in), 0);
    if (got != size || memcmp(have, want, size) != 0) {
        fail_msg("docs/CONFIGURATION.md is stale; shunt help --manual > docs/CONFIGURATION.md");
    }
    free(have);
    free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),     cmocka_unit_test(test_two_models_in_fifteen_lines),
        cmocka_unit_test(test_policy_paths), cmocka_unit_test(test_cells),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_all_errors_are_collected),
        cmocka_unit_test(test_nul_and_size), cmocka_unit_test(test_expand),
        cmocka_unit_test(test_addresses),    cmocka_unit_test(test_each),
        cmocka_unit_test(test_choices),      cmocka_unit_test(test_manual_is_fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
