/* exhaustive: a queue is emptied, then the next in turn. */
#include "policy_test.h"

static void test_empties_its_queue(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 4, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 1, 0);
    fixture_queue(&f, 0, 50, f.now_ns - 900);
    fixture_queue(&f, 1, 1, f.now_ns);
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    fixture_queue(&f, 1, 0, 0);
    fixture_served(&f, 0, 1, f.now_ns - 1, 1);
    assert_stay(&f, SHUNT_WHY_QUEUE_EMPTY); /* one is still in flight */
    fixture_served(&f, 0, 1, f.now_ns - 1, 0);
    assert_switch(&f, SHUNT_WHY_COMPLETION, 0);
    fixture_queue(&f, 3, 1, f.now_ns);
    assert_switch(&f, SHUNT_WHY_COMPLETION, 3); /* in turn, not by age or length */
    fixture_fini(&f);
}

static void test_does_not_rove(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 2, 0);
    assert_stay(&f, SHUNT_WHY_QUEUE_EMPTY);
    fixture_fini(&f);
}

static void test_takes_free_memory_at_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 5, f.now_ns - 10);
    fixture_queue(&f, 1, 1, f.now_ns - 5);
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    FIXTURE_I64(&f, DEVICE_FREE_BYTES)[0] = 1;
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1);
    fixture_fini(&f);
}

static void test_names_another_at_the_cap(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 5, f.now_ns - 10);
    fixture_queue(&f, 2, 1, f.now_ns - 5);
    assert_switch(&f, SHUNT_WHY_VISIT_CAP, 2);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empties_its_queue),
        cmocka_unit_test(test_does_not_rove),
        cmocka_unit_test(test_takes_free_memory_at_once),
        cmocka_unit_test(test_names_another_at_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
