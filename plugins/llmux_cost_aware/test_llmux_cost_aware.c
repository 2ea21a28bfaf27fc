/* llmux_cost_aware: its five rules in their order. */
#include "policy_test.h"

static void test_rules(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 9, f.now_ns);
    fixture_queue(&f, 1, 100, f.now_ns - 1);
    /* 3: the first estimate is 10 s; the visit is 9 s old */
    fixture_served(&f, 0, 9, f.now_ns - INT64_C(9000000000), 1);
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_ARRIVAL);
    assert_int_equal(decision->action, SHUNT_STAY);
    assert_int_equal(decision->recheck_at_ns, f.now_ns + INT64_C(1000000000));
    /* 4: five requests for ten seconds */
    fixture_served(&f, 0, 9, f.now_ns - INT64_C(10000000000), 1);
    fixture_queue(&f, 1, 5, f.now_ns - 1);
    assert_switch(&f, SHUNT_WHY_RECHECK, 1);
    /* 5: four are too few; look again in 2 s */
    fixture_queue(&f, 1, 4, f.now_ns - 1);
    decision = ask(&f, SHUNT_WHY_ARRIVAL);
    assert_int_equal(decision->action, SHUNT_STAY);
    assert_int_equal(decision->recheck_at_ns, f.now_ns + INT64_C(2000000000));
    /* 1: old enough by itself */
    fixture_queue(&f, 1, 1, f.now_ns - INT64_C(15000000000));
    assert_switch(&f, SHUNT_WHY_RECHECK, 1);
    fixture_fini(&f);
}

static void test_empty_device(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_queue(&f, 1, 1, f.now_ns);
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_empty_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
