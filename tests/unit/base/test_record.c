/*
 * Payloads of the journal: a configuration that is recorded and read again configures the same
 * core; keyframes and inputs that are damaged are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/layout.h"
#include "base/record.h"
#include "base/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char text[] =
    "listen = \"127.0.0.1:0\";\n"
    "devices = ( { name = \"gpu0\"; memory_gib = 23.5; }, { name = \"gpu1\"; memory_gib = 80.0; "
    "},\n"
    "            { name = \"other\"; memory_gib = 10.0; } );\n"
    "host_memory_gib = 123.25;\n"
    "models = (\n"
    "  { name = \"a\"; devices = [ \"gpu0\", \"gpu1\" ]; engine = \"vllm\"; start = [ \"x\" ];\n"
    "    memory_gib = { resident = 19.3; asleep = 1.4; }; tiers = [ \"asleep\", \"stopped\" ];\n"
    "    max_concurrency = 32; max_wait_s = 77.123456789; weight = 0.3; env = [ \"TOKEN=secret\" "
    "]; },\n"
    "  { name = \"elsewhere\"; devices = [ \"other\" ]; memory_gib = 5.0; },\n"
    "  { name = \"b\"; devices = [ \"gpu1\" ]; engine = \"command\"; start = [ \"x\" ];\n"
    "    memory_gib = 12.0; max_concurrency = 4; pin = true; idle_unload_s = 900; } );\n"
    "limits = { queue_per_model = 64; max_wait_s = \"none\"; };\n"
    "cells = ( { name = \"first\"; devices = [ \"gpu0\", \"gpu1\" ]; },\n"
    "          { name = \"second\"; devices = [ \"other\" ]; } );\n"
    "guard = { drain_s = 300; switch_timeout_s = 60.001; answer_ms = 12.5; overtakes = 7; };\n";

static struct config *config_of_cfg(void)
{
    static struct config_errors errors;
    struct config *config = NULL;
    if (config_load_string(text, strlen(text), "shunt.cfg", &config, &errors)) {
        fail_msg("%s", errors.text[0]);
    }
    return config;
}

static struct config *config_of_json(const char *json)
{
    static struct config_errors errors;
    struct config *config = NULL;
    struct yaml *yaml = NULL;
    struct yaml_node *root = NULL;
    char err[512] = "";
    if (yaml_parse(json, strlen(json), "recorded", &yaml, err, sizeof(err))) {
        fail_msg("%s", err);
    }
    root = yaml_root(yaml);
    const struct config_yaml from = {.yaml = yaml, .root = root, .guard = yaml_get(root, "guard")};
    if (config_from_yaml(&from, "recorded", &config, &errors)) {
        fail_msg("%s", errors.text[0]);
    }
    yaml_free(yaml);
    return config;
}

static void a_recorded_configuration_is_the_same(void **state)
{
    (void)state;
    struct config *first = config_of_cfg();
    struct layout *one = NULL, *two = NULL;
    char err[512] = "";
    char *json = config_core_json(first, 0);
    assert_non_null(json);
    assert_null(strstr(json, "secret"));
    assert_null(strstr(json, "elsewhere"));
    struct config *second = config_of_json(json);
    assert_int_equal(layout_create(first, 0, &one, err, sizeof(err)), 0);
    assert_int_equal(layout_create(second, 0, &two, err, sizeof(err)), 0);
    assert_int_equal(one->model_count, 2);
    assert_int_equal(two->model_count, one->model_count);
    assert_int_equal(two->device_count, one->device_count);
    assert_int_equal(two->instance_count, one->instance_count);
    assert_memory_equal(&two->core.guard, &one->core.guard, sizeof(one->core.guard));
    assert_true(two->core.host_memory_bytes == one->core.host_memory_bytes);
    for (uint32_t d = 0; d < one->device_count; d++) {
        assert_memory_equal(&two->core_devices[d], &one->core_devices[d],
                            sizeof(one->core_devices[d]));
    }
    for (uint32_t m = 0; m < one->model_count; m++) {
        struct core_model_config a = one->core_models[m], b = two->core_models[m];
        assert_string_equal(one->names[m], two->names[m]);
        a.instances = b.instances = NULL;
        assert_memory_equal(&b, &a, sizeof(a));
    }
    for (uint32_t i = 0; i < one->instance_count; i++) {
        const struct core_instance_config *a = &one->core_instances[i];
        const struct core_instance_config *b = &two->core_instances[i];
        assert_int_equal(b->device, a->device);
        assert_int_equal(b->pinned, a->pinned);
        assert_memory_equal(b->device_bytes, a->device_bytes, sizeof(a->device_bytes));
        assert_memory_equal(b->host_bytes, a->host_bytes, sizeof(a->host_bytes));
    }
    layout_destroy(one);
    layout_destroy(two);
    free(json);
    config_free(first);
    config_free(second);
}

static void a_keyframe_that_is_damaged_is_refused(void **state)
{
    (void)state;
    const struct core_limits limits = {.models_max = 2,
                                       .devices_max = 1,
                                       .instances_max = 2,
                                       .slots_max = 1,
                                       .queued_max = 8,
                                       .in_flight_max = 8};
    size_t size = (core_size(&limits) + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, size), *loaded = NULL;
    struct core *core = core_init(memory, size, &limits, 3), *again = NULL;
    assert_non_null(core);
    const struct record_states none = {0};
    size_t bytes = record_keyframe_bytes(core, &none);
    char *payload = malloc(bytes);
    assert_non_null(payload);
    record_keyframe_encode(core, &none, 77, true, payload);
    struct record_keyframe keyframe;
    assert_int_equal(record_keyframe_decode(payload, bytes, &keyframe), 0);
    assert_true(keyframe.hash == 77 && keyframe.follows);
    assert_int_equal(record_core_load(&keyframe, &loaded, &again), 0);
    free(loaded);
    for (size_t cut = 0; cut < bytes; cut++) {
        assert_int_equal(record_keyframe_decode(payload, cut, &keyframe), -EBADMSG);
    }
    assert_int_equal(record_keyframe_decode(payload, bytes, &keyframe), 0);
    memset(payload + bytes - keyframe.core_bytes, 0xff, 16);
    assert_int_equal(record_core_load(&keyframe, &loaded, &again), -EBADMSG);
    free(payload);
    free(memory);
}

static void an_input_of_another_length_is_refused(void **state)
{
    (void)state;
    char payload[RECORD_INPUT_HEAD + sizeof(struct core_input)] = {0};
    for (uint32_t kind = 0; kind < CORE_IN_KIND_COUNT; kind++) {
        const struct core_input input = {.kind = kind, .t_ns = 5};
        struct record_input back;
        size_t len = RECORD_INPUT_HEAD + record_input_bytes(&input);
        memcpy(payload + RECORD_INPUT_HEAD, &input, sizeof(input));
        assert_non_null(record_input_name(kind));
        assert_int_equal(record_input_decode(payload, len, &back), 0);
        assert_int_equal(back.input.kind, kind);
        assert_int_equal(record_input_decode(payload, len - 1, &back), -EBADMSG);
        assert_int_equal(record_input_decode(payload, len + 1, &back), -EBADMSG);
    }
    assert_null(record_input_name(CORE_IN_KIND_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recorded_configuration_is_the_same),
        cmocka_unit_test(a_keyframe_that_is_damaged_is_refused),
        cmocka_unit_test(an_input_of_another_length_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
