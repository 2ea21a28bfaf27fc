/* llama_swap: the loaded model first, and the two holes that leaves. */
#include "policy_test.h"

static void test_overlap_starves(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 1, 40, f.now_ns - INT64_C(86400000000000)); /* for a day */
    fixture_served(&f, 0, 9, f.now_ns - 5, 1);
    assert_stay(&f, SHUNT_WHY_COMPLETION);
    fixture_fini(&f);
}

static void test_an_instant_loses_the_device(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_cost(&f, 0, 1, 60e9);
    fixture_queue(&f, 1, 1, f.now_ns);
    fixture_served(&f, 0, 9, f.now_ns - 5, 0);
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1); /* whatever the switch costs */
    fixture_fini(&f);
}

static void test_priority_before_arrival(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"priority[m2]=5", NULL};
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 1, 1, f.now_ns - 9);
    fixture_queue(&f, 2, 1, f.now_ns - 1);
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 2);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overlap_starves),
        cmocka_unit_test(test_an_instant_loses_the_device),
        cmocka_unit_test(test_priority_before_arrival),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
