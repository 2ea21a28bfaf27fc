/* longest_queue: most waiting next, ties to the longest unvisited. */
#include "policy_test.h"

static void test_goes_where_most_wait(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 4, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 1, 3, f.now_ns - 900);
    fixture_queue(&f, 2, 7, f.now_ns - 1);
    fixture_queue(&f, 3, 7, f.now_ns - 2);
    FIXTURE_I64(&f, LAST_VISIT_NS)[2] = 20;
    FIXTURE_I64(&f, LAST_VISIT_NS)[3] = 10;
    assert_switch(&f, SHUNT_WHY_QUEUE_EMPTY, 3);
    FIXTURE_I64(&f, LAST_VISIT_NS)[2] = 5;
    assert_switch(&f, SHUNT_WHY_QUEUE_EMPTY, 2);
    fixture_queue(&f, 0, 1, f.now_ns);
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    fixture_fini(&f);
}

static void test_threshold(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"threshold=3", NULL};
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 1, 2, f.now_ns - 900);
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    fixture_queue(&f, 1, 3, f.now_ns - 900);
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_where_most_wait),
        cmocka_unit_test(test_threshold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
