/* llmux_time_slice: looks at ages only when a request arrives. */
#include "policy_test.h"

static void test_lone_request_starves(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 1, f.now_ns - 5);
    fixture_queue(&f, 1, 1, f.now_ns - INT64_C(3600000000000)); /* for an hour */
    fixture_served(&f, 0, 9, f.now_ns - INT64_C(7200000000000), 1);
    assert_stay(&f, SHUNT_WHY_TICK);
    assert_stay(&f, SHUNT_WHY_COMPLETION);
    fixture_event(&f, CORE_HOOK_ARRIVAL, 0, 0);
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    fixture_event(&f, CORE_HOOK_ARRIVAL, 1, 0); /* a second one brings the first one in */
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1);
    fixture_fini(&f);
}

static void test_tick_takes_the_deepest(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 4, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 1, 2, f.now_ns - 9);
    fixture_queue(&f, 3, 5, f.now_ns - 1);
    fixture_served(&f, 0, 9, f.now_ns - INT64_C(4999999999), 0);
    assert_stay(&f, SHUNT_WHY_TICK); /* min_active */
    fixture_served(&f, 0, 9, f.now_ns - INT64_C(5000000000), 0);
    assert_stay(&f, SHUNT_WHY_COMPLETION); /* only a tick looks */
    assert_switch(&f, SHUNT_WHY_TICK, 3);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lone_request_starves),
        cmocka_unit_test(test_tick_takes_the_deepest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
