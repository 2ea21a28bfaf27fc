/* A policy instance: what it may call where, what it sees of time, and what survives it. */
#include "base/policy.h"

#include "core/blob.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define POLICIES SHUNT_BUILD_DIR "/tests/policies/"

static struct plugin_registry *registry;
static const struct plugin *curious;
static struct core_blob blob;
static char err[256];
static char logged[128];

static void take_log(void *ctx, uint32_t level, uint32_t code, const char *text)
{
    (void)ctx;
    (void)snprintf(logged, sizeof logged, "%u %u %s", level, code, text);
}

static int setup(void **state)
{
    (void)state;
    void *memory = calloc(1, core_blob_size(false, 2, 1, 2));
    if (!memory || plugin_registry_create(NULL, &registry) != 0) {
        return -1;
    }
    core_blob_init(&blob, memory, false, 2, 1, 2);
    return plugin_load(registry, POLICIES "curious.so", &curious, err, sizeof err);
}

static int teardown(void **state)
{
    (void)state;
    plugin_registry_destroy(registry);
    free(blob.head);
    return 0;
}

static int try_policy(const struct plugin *plugin, uint32_t alloc_fail_at, struct policy **ret)
{
    static const char *const models[] = {"a", "b"};
    struct params *params = NULL;
    assert_int_equal(params_create(&plugin->schema, models, 2, &params), 0);
    const struct policy_options options = {.plugin = plugin,
                                           .seed = 7,
                                           .now_ns = 100,
                                           .alloc_fail_at = alloc_fail_at,
                                           .log = take_log};
    int rc = policy_create(&options, params, ret, err, sizeof err);
    if (rc) {
        params_destroy(params);
    }
    return rc;
}

static struct policy *make_policy(void)
{
    struct policy *policy = NULL;
    const struct core_act_notify layout = {.hook = CORE_HOOK_LAYOUT};
    assert_int_equal(try_policy(curious, 0, &policy), 0);
    assert_int_equal(policy_notify(policy, &layout, 100, blob.head), 0);
    return policy;
}

static const struct shunt_answer *ask(struct policy *policy, uint64_t id, int64_t now_ns)
{
    const struct shunt_ask question = {.size = sizeof question,
                                       .id = id,
                                       .generation = 5,
                                       .now_ns = now_ns,
                                       .snapshot = blob.head};
    const struct shunt_answer *answer = NULL;
    assert_int_equal(policy_decide(policy, &question, &answer), 0);
    return answer;
}

static void test_decision(void **state)
{
    (void)state;
    struct policy *policy = make_policy();
    const struct shunt_answer *answer = ask(policy, 9, 1000);
    const struct shunt_decision *decision = &answer->decisions[0];
    assert_int_equal(decision->size, sizeof *decision);
    assert_int_equal(decision->generation, 5);
    assert_int_equal(decision->instance, SHUNT_NONE);
    assert_int_equal(decision->recheck_at_ns, 1000 + CORE_NS_PER_S);
    assert_int_equal(decision->reason, SHUNT_REASON_CUSTOM + 1);
    assert_string_equal(decision->text, "curious");
    assert_int_equal(answer->score_count, 2);
    double first = answer->scores[1];
    assert_true(first >= exp(1) && first < exp(1) + 1);
    /* Keyed randomness: the same question, the same number; another question, another. */
    assert_true(ask(policy, 9, 2000)->scores[1] == first);
    assert_true(ask(policy, 11, 2000)->scores[1] != first);
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, NULL, 3000);
}

static void test_calls_are_masked(void **state)
{
    (void)state;
    struct policy *policy = make_policy();
    struct policy_usage usage;
    policy_usage(policy, &usage);
    assert_int_equal(usage.misbehaviour, 0);
    assert_int_equal(usage.allocs, 1);
    (void)ask(policy, 1, 1000); /* calls alloc */
    policy_usage(policy, &usage);
    assert_int_equal(usage.misbehaviour, 1);
    assert_string_equal(usage.misbehaviour_last, "alloc");
    assert_int_equal(usage.allocs, 1);
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, NULL, 3000);
}

static void test_log_is_limited(void **state)
{
    (void)state;
    struct policy *policy = make_policy();
    struct policy_usage usage;
    for (int i = 0; i < 100; i++) {
        (void)ask(policy, 1, 200);
    }
    assert_string_equal(logged, "1 42 asked again"); /* no line break gets through */
    policy_usage(policy, &usage);
    assert_int_equal(usage.log_lines, POLICY_LOG_BURST);
    assert_int_equal(usage.log_dropped, 100 - POLICY_LOG_BURST);
    for (int i = 0; i < 5; i++) {
        (void)ask(policy, 1, 200 + 3 * CORE_NS_PER_S);
    }
    policy_usage(policy, &usage);
    assert_int_equal(usage.log_lines, POLICY_LOG_BURST + 3);
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, NULL, 3000);
}

static void test_timers_become_requests(void **state)
{
    (void)state;
    struct policy *policy = make_policy();
    uint32_t id = 99;
    int64_t at_ns = 0;
    assert_true(policy_take_timer(policy, &id, &at_ns));
    assert_int_equal(id, 3);
    assert_int_equal(at_ns, 105);
    assert_true(policy_take_timer(policy, &id, &at_ns));
    assert_int_equal(id, CORE_TIMER_TICK);
    assert_int_equal(at_ns, 2500000000);
    assert_false(policy_take_timer(policy, &id, &at_ns));
    const struct core_act_notify timer = {.hook = CORE_HOOK_TIMER, .event.timer = 3};
    assert_int_equal(policy_notify(policy, &timer, 105, NULL), 0);
    assert_true(policy_take_timer(policy, &id, &at_ns));
    assert_true(id == 3 && at_ns == CORE_NEVER);
    logged[0] = '\0';
    const struct core_act_notify tick = {.hook = CORE_HOOK_TICK};
    assert_int_equal(policy_notify(policy, &tick, 777, NULL), 0);
    assert_string_equal(logged, ""); /* it saw the time stand still */
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, NULL, 3000);
}

static void test_metrics(void **state)
{
    (void)state;
    struct policy *policy = make_policy();
    for (uint64_t i = 0; i < 3; i++) {
        (void)ask(policy, i, 1000);
    }
    assert_int_equal(policy_metric_count(policy), 3);
    assert_string_equal(policy_metric(policy, 0)->name, "curious_total");
    assert_true(policy_metric(policy, 0)->value == 3);
    assert_true(policy_metric(policy, 1)->value == 1.5);
    assert_int_equal(policy_metric(policy, 2)->count, 3);
    assert_int_equal(policy_metric(policy, 2)->bucket[8], 3); /* 0.25 < 0.3 <= 0.5 */
    assert_null(policy_metric(policy, 3));
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, NULL, 3000);
}

static int set(struct policy *policy, const char *name, const char *text)
{
    const struct param_assignment given = {.name = name, .text = text};
    return policy_set_params(policy, &given, 1, PARAM_ORIGIN_SET, 100, err, sizeof err);
}

static void test_parameters(void **state)
{
    (void)state;
    struct policy *policy = make_policy();
    double value = 0;
    assert_int_equal(set(policy, "factor", "3"), 0);
    assert_int_equal(policy_param_get(policy, 0, 0, 100, &value), 0);
    assert_true(value == 3);
    assert_int_equal(set(policy, "factor", "7"), -EINVAL);
    assert_non_null(strstr(err, "seven is a crowd"));
    assert_int_equal(set(policy, "factor", "nan"), -EINVAL);
    assert_int_equal(set(policy, "mode", "fancy"), -EPERM);
    assert_int_equal(policy_param_get(policy, 0, 0, 100, &value), 0);
    assert_true(value == 3);
    assert_true(shunt_param_real(params_view(policy_params(policy)), 0, 0) == 3);
    assert_int_equal(policy_param_get(policy, 1, 0, 100, &value), -ENOTSUP);
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, NULL, 3000);
}

static void test_state_explain_dump(void **state)
{
    (void)state;
    struct policy *policy = make_policy();
    const struct core_act_notify arrival = {.hook = CORE_HOOK_ARRIVAL};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(policy_notify(policy, &arrival, 100, NULL), 0);
    }
    void *bytes = NULL;
    size_t size = 0;
    assert_int_equal(policy_state_save(policy, 100, &bytes, &size), 0);
    assert_int_equal(size, 4);
    assert_memory_equal(bytes, "\5\0\0\0", 4);
    assert_int_equal(policy_state_load(policy, 3, bytes, size, 1, 100), 0);
    assert_int_equal(policy_state_load(policy, 4, bytes, size, 0, 100), -EIO);
    assert_int_equal(policy_state_load(policy, 3, bytes, 3, 0, 100), -EIO);
    free(bytes);
    char text[32];
    assert_int_equal(policy_explain(policy, 1, 100, text, sizeof text), 0);
    assert_string_equal(text, "because");
    assert_int_equal(policy_explain(policy, 0, 100, text, sizeof text), -ENOENT);
    char *dump = NULL;
    assert_int_equal(policy_dump(policy, 100, &dump), 0); /* it never stops by itself */
    assert_true(strlen(dump) <= POLICY_DUMP_BYTES_MAX && strlen(dump) > 1000);
    free(dump);
    assert_string_equal(policy_extension(policy, SHUNT_EXT_ORDER), "order");
    assert_null(policy_extension(policy, SHUNT_EXT_ROUTE));
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, NULL, 3000);
}

static void test_failures(void **state)
{
    (void)state;
    const struct plugin *plugin = NULL;
    struct policy *policy = NULL;
    assert_int_equal(try_policy(curious, 1, &policy), -EIO); /* no memory: create says so */
    assert_non_null(strstr(err, "create failed with -1"));
    assert_int_equal(plugin_load(registry, POLICIES "create_fails.so", &plugin, err, sizeof err),
                     0);
    assert_int_equal(try_policy(plugin, 0, &policy), -EIO);
    assert_non_null(strstr(err, "create failed with -7"));
    assert_int_equal(plugin_load(registry, POLICIES "layout_fails.so", &plugin, err, sizeof err),
                     0);
    assert_int_equal(try_policy(plugin, 0, &policy), 0);
    const struct core_act_notify layout = {.hook = CORE_HOOK_LAYOUT};
    assert_int_equal(policy_notify(policy, &layout, 100, blob.head), -EIO);
    policy_destroy(policy, SHUNT_EXIT_EJECTED, 0, "layout", 100);
    assert_int_equal(plugin_load(registry, POLICIES "decide_fails.so", &plugin, err, sizeof err),
                     0);
    assert_int_equal(try_policy(plugin, 0, &policy), 0);
    const struct shunt_ask question = {.size = sizeof question, .snapshot = blob.head};
    const struct shunt_answer *answer = NULL;
    assert_int_equal(policy_decide(policy, &question, &answer), -EIO);
    assert_null(answer);
    policy_destroy(policy, SHUNT_EXIT_EJECTED, 0, "decide", 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decision),
        cmocka_unit_test(test_calls_are_masked),
        cmocka_unit_test(test_log_is_limited),
        cmocka_unit_test(test_timers_become_requests),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_state_explain_dump),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
