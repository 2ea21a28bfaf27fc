/* threshold: when it leaves, where it goes, and how ties are broken. */
#include "decide_fixture.h"

static void test_patience(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"n=3", NULL};
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    assert_stays(ask(&f, SHUNT_WHY_QUEUE_EMPTY)); /* nobody waits */
    fixture_queue(&f, 1, 2, f.now_ns - 9);
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_ARRIVAL);
    assert_stays(decision); /* two are too few, for an hour */
    assert_int_equal(decision->recheck_at_ns, f.now_ns - 9 + INT64_C(3600000000000));
    f.now_ns = decision->recheck_at_ns;
    assert_goes_to(ask(&f, SHUNT_WHY_RECHECK), 1);
    f.now_ns -= 1000;
    fixture_queue(&f, 2, 1, f.now_ns - 1);
    assert_goes_to(ask(&f, SHUNT_WHY_ARRIVAL), 1); /* three, in two queues */

    fixture_queue(&f, 2, 40, f.now_ns - 20);
    in_flight(&f, 0, 1);
    assert_stays(ask(&f, SHUNT_WHY_ARRIVAL)); /* exhaustive */
    in_flight(&f, 0, 0);
    fixture_queue(&f, 0, 1, f.now_ns);
    assert_stays(ask(&f, SHUNT_WHY_COMPLETION));
    fixture_queue(&f, 0, 0, 0);
    assert_goes_to(ask(&f, SHUNT_WHY_QUEUE_EMPTY), 2);
    FIXTURE_I64(&f, QUARANTINED_UNTIL_NS)[2] = f.now_ns + 1; /* 2 is not to be had, 1 has two */
    assert_stays(ask(&f, SHUNT_WHY_QUEUE_EMPTY));
    fixture_fini(&f);
}

static void test_ties(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 4, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    for (uint32_t i = 0; i < 4; i++) {
        f.now_ns += 1000;
        fixture_resident(&f, (i + 2) % 4, 0); /* 2, 3, 0, 1: the longest unvisited is 2 */
    }
    fixture_queue(&f, 0, 5, f.now_ns - 9);
    fixture_queue(&f, 3, 5, f.now_ns - 7);
    fixture_queue(&f, 2, 4, f.now_ns - 8);
    assert_goes_to(ask(&f, SHUNT_WHY_QUEUE_EMPTY), 3);
    fixture_queue(&f, 2, 5, f.now_ns - 1);
    assert_goes_to(ask(&f, SHUNT_WHY_QUEUE_EMPTY), 2);
    fixture_queue(&f, 0, 6, f.now_ns - 1);
    assert_goes_to(ask(&f, SHUNT_WHY_QUEUE_EMPTY), 0);
    fixture_fini(&f);
}

static void test_empty_device(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    assert_stays(ask(&f, SHUNT_WHY_LAYOUT));
    fixture_queue(&f, 1, 1, f.now_ns);
    assert_goes_to(ask(&f, SHUNT_WHY_ARRIVAL), 1);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_patience), cmocka_unit_test(test_ties),
                                       cmocka_unit_test(test_empty_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
