/* roving_klimited: the limit stands in every answer, and a visit that it closed is left. */
#include "decide_fixture.h"

static void test_limit(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"k=3", NULL};
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_SWITCH_DONE);
    assert_goes_to(decision, 1); /* nothing here */
    assert_int_equal(decision->quantum_requests, 3);

    fixture_resident(&f, 1, 0);
    fixture_queue(&f, 1, 9, f.now_ns - 5);
    decision = ask(&f, SHUNT_WHY_SWITCH_DONE);
    assert_stays(decision);
    assert_int_equal(decision->quantum_requests, 3);
    /* The third is in flight, and the core has closed the visit. */
    fixture_queue(&f, 1, 6, f.now_ns - 5);
    in_flight(&f, 1, 1);
    FIXTURE_U64(&f, VISIT_SERVED)[0] = 3;
    FIXTURE_U32(&f, WAITING)[1] = 1;
    decision = ask(&f, SHUNT_WHY_QUANTUM);
    assert_goes_to(decision, 0);
    assert_int_equal(decision->quantum_requests, 3);
    assert_int_equal(decision->flags, 0);
    fixture_fini(&f);
}

static void test_default(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    assert_int_equal(ask(&f, SHUNT_WHY_SWITCH_DONE)->quantum_requests, 1);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_limit),
                                       cmocka_unit_test(test_default)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
