/* roving_exhaustive: never leaves work behind, never waits where there is none. */
#include "decide_fixture.h"

static void test_walk(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    assert_goes_to(ask(&f, SHUNT_WHY_LAYOUT), 0); /* an empty device */

    /* Round and round, although nobody waits anywhere. */
    for (uint32_t i = 0; i < 7; i++) {
        fixture_resident(&f, i % 3, 0);
        assert_goes_to(ask(&f, SHUNT_WHY_SWITCH_DONE), (i + 1) % 3);
    }
    fixture_resident(&f, 1, 0);
    fixture_queue(&f, 1, 1, f.now_ns - 1);
    fixture_queue(&f, 2, 50, f.now_ns - 100);
    assert_stays(ask(&f, SHUNT_WHY_SWITCH_DONE)); /* one here is more than fifty elsewhere */
    fixture_queue(&f, 1, 0, 0);
    in_flight(&f, 1, 1);
    assert_stays(ask(&f, SHUNT_WHY_ARRIVAL)); /* it may yet be joined by others */
    in_flight(&f, 1, 0);
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_QUEUE_EMPTY);
    assert_goes_to(decision, 2);
    assert_int_equal(decision->flags, 0);
    assert_int_equal(decision->quantum_requests, 0);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
