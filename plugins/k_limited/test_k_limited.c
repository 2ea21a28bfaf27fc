/* k_limited: k dispatches, then the next in turn. */
#include "policy_test.h"

static void test_leaves_after_k(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"k=4", NULL};
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 9, f.now_ns - 5);
    fixture_queue(&f, 1, 1, f.now_ns - 1);
    fixture_served(&f, 0, 3, f.now_ns - 9, 1);
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_ARRIVAL);
    assert_int_equal(decision->action, SHUNT_STAY);
    assert_int_equal(decision->quantum_requests, 4); /* a stay replaces the limit: say it again */
    fixture_served(&f, 0, 4, f.now_ns - 9, 1);
    FIXTURE_U32(&f, WAITING)[0] = 1;
    decision = ask(&f, SHUNT_WHY_QUANTUM);
    assert_int_equal(decision->action, SHUNT_SWITCH);
    assert_int_equal(decision->model, 1);
    assert_int_equal(decision->quantum_requests, 4);
    fixture_fini(&f);
}

static void test_goes_on_alone(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"k=4", NULL};
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 9, f.now_ns - 5);
    fixture_served(&f, 0, 4, f.now_ns - 9, 1);
    FIXTURE_U32(&f, WAITING)[0] = 1;
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_QUANTUM);
    assert_int_equal(decision->action, SHUNT_STAY);
    assert_int_equal(decision->quantum_requests, 8); /* four more */
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves_after_k),
        cmocka_unit_test(test_goes_on_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
