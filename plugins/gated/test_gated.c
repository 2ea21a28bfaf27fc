/* gated: a visit is what waited at its start; the gate itself is the host's. */
#include "policy_test.h"

static void test_gates_every_visit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 2, 1, f.now_ns - 5);
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_ARRIVAL);
    assert_int_equal(decision->action, SHUNT_SWITCH);
    assert_int_equal(decision->model, 2);
    assert_int_equal(decision->flags, SHUNT_DECISION_GATED);
    fixture_fini(&f);
}

static void test_others_before_what_came_behind_the_gate(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 1, 0);
    fixture_queue(&f, 1, 4, f.now_ns - 5);
    FIXTURE_U32(&f, WAITING)[1] = 1; /* passed the gate: not admitted */
    fixture_queue(&f, 0, 1, f.now_ns - 1);
    fixture_served(&f, 0, 3, f.now_ns - 9, 1);
    assert_stay(&f, SHUNT_WHY_ARRIVAL); /* the last of the gated ones is running */
    fixture_served(&f, 0, 3, f.now_ns - 9, 0);
    assert_switch(&f, SHUNT_WHY_COMPLETION, 0);
    fixture_queue(&f, 0, 0, 0);
    assert_switch(&f, SHUNT_WHY_COMPLETION, 1); /* alone: the next visit begins at once */
    fixture_served(&f, 0, 3, f.now_ns - 9, 1);
    assert_switch(&f, SHUNT_WHY_COMPLETION, 1);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gates_every_visit),
        cmocka_unit_test(test_others_before_what_came_behind_the_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
