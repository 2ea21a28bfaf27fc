/* roving_gated: every visit is gated; it is over when what waits came after its start. */
#include "decide_fixture.h"

static void test_walk(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 2, 0);
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_SWITCH_DONE);
    assert_goes_to(decision, 0);
    assert_int_equal(decision->flags, SHUNT_DECISION_GATED);

    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 2, f.now_ns - 5);
    assert_stays(ask(&f, SHUNT_WHY_SWITCH_DONE));
    /* The gate has passed: one of them is in flight, the other came too late. */
    fixture_queue(&f, 0, 1, f.now_ns);
    in_flight(&f, 0, 1);
    FIXTURE_U32(&f, WAITING)[0] = 1;
    assert_goes_to(ask(&f, SHUNT_WHY_QUEUE_EMPTY), 1);
    /* What is decided stays decided while the device drains. */
    FIXTURE_U32(&f, DEVICE_TARGET)[0] = 1;
    FIXTURE_U32(&f, WAITING)[0] = 0;
    assert_goes_to(ask(&f, SHUNT_WHY_DRAIN_ENDED), 1);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
