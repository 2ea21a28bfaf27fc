/* oldest_first: exhaustive by age, and stale requests end a visit. */
#include "policy_test.h"

static void test_goes_where_the_oldest_is(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 4, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 1, 3, f.now_ns - 5);
    fixture_queue(&f, 2, 1, f.now_ns - 6);
    assert_switch(&f, SHUNT_WHY_QUEUE_EMPTY, 2);
    fixture_queue(&f, 0, 1, f.now_ns);
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    fixture_fini(&f);
}

static void test_stale_ends_the_visit(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"stale=10", NULL};
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 3, f.now_ns - 5);
    fixture_queue(&f, 1, 3, f.now_ns - INT64_C(9999999999));
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_ARRIVAL);
    assert_int_equal(decision->action, SHUNT_STAY);
    assert_int_equal(decision->recheck_at_ns, f.now_ns + 1);
    fixture_queue(&f, 1, 3, f.now_ns - INT64_C(10000000000));
    assert_switch(&f, SHUNT_WHY_RECHECK, 1);
    fixture_queue(&f, 0, 3, f.now_ns - INT64_C(10000000001)); /* its own is older still */
    assert_stay(&f, SHUNT_WHY_RECHECK);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_where_the_oldest_is),
        cmocka_unit_test(test_stale_ends_the_visit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
