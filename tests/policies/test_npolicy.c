/* npolicy: rests as soon as there is nothing to do, wakes at n and not before. */
#include "decide_fixture.h"

static void test_cycle(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"n=5", NULL};
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    in_flight(&f, 0, 1);
    assert_stays(ask(&f, SHUNT_WHY_QUANTUM));
    in_flight(&f, 0, 0);
    assert_goes_to(ask(&f, SHUNT_WHY_QUEUE_EMPTY), 1);

    fixture_resident(&f, 1, 0);
    for (uint32_t i = 0; i < 5; i++) {
        fixture_queue(&f, 0, i, f.now_ns - 10);
        assert_stays(ask(&f, SHUNT_WHY_ARRIVAL));
    }
    f.now_ns = ask(&f, SHUNT_WHY_ARRIVAL)->recheck_at_ns;
    assert_goes_to(ask(&f, SHUNT_WHY_RECHECK), 0); /* four have waited for an hour */
    fixture_queue(&f, 0, 5, f.now_ns - 10);
    assert_goes_to(ask(&f, SHUNT_WHY_ARRIVAL), 0);

    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 1, f.now_ns - 10);
    assert_stays(ask(&f, SHUNT_WHY_COMPLETION)); /* awake, it serves all there is */
    fixture_fini(&f);
}

static void test_sleep_mode(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    assert_stays(ask(&f, SHUNT_WHY_LAYOUT)); /* an empty device is asleep too */
    fixture_queue(&f, 0, 1, f.now_ns);
    assert_goes_to(ask(&f, SHUNT_WHY_ARRIVAL), 0);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cycle),
                                       cmocka_unit_test(test_sleep_mode)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
