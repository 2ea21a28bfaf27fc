/* round_robin: a quantum of time, then the next in turn. */
#include "policy_test.h"

static void test_leaves_after_the_quantum(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"quantum=30", NULL};
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 9, f.now_ns - 5);
    fixture_queue(&f, 1, 1, f.now_ns - 1);
    int64_t since_ns = f.now_ns - INT64_C(29999999999);
    fixture_served(&f, 0, 3, since_ns, 1);
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_ARRIVAL);
    assert_int_equal(decision->action, SHUNT_STAY);
    assert_int_equal(decision->recheck_at_ns, f.now_ns + 1);
    fixture_served(&f, 0, 3, since_ns - 1, 1);
    assert_switch(&f, SHUNT_WHY_RECHECK, 1);
    fixture_queue(&f, 1, 0, 0);
    assert_stay(&f, SHUNT_WHY_RECHECK); /* nobody else */
    fixture_fini(&f);
}

static void test_leaves_an_empty_queue(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 2, 1, f.now_ns - 1);
    fixture_served(&f, 0, 3, f.now_ns - 5, 0);
    assert_switch(&f, SHUNT_WHY_QUEUE_EMPTY, 2);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves_after_the_quantum),
        cmocka_unit_test(test_leaves_an_empty_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
