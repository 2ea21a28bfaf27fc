/* adaptive_stale: the bound moves with backlog, crowding and bursts. */
#include "policy_test.h"

static void test_backlog_moves_the_bound(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        FIXTURE_F64(&f, WORK_MEAN_NS)[i] = 1e9;
        fixture_cost(&f, 0, i, 2e9);
    }
    fixture_served(&f, 0, 1, f.now_ns - INT64_C(100000000000), 1);
    fixture_queue(&f, 0, 1, f.now_ns);
    fixture_queue(&f, 1, 1, f.now_ns - INT64_C(30000000000));
    /* 3 x 2 s + 9 x 2 s + 2 s of backlog = 26 s */
    assert_switch(&f, SHUNT_WHY_COMPLETION, 1);
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->reason, SHUNT_REASON_STALE);
    fixture_queue(&f, 0, 1000, f.now_ns); /* the same age under backlog is not stale */
    assert_stay(&f, SHUNT_WHY_COMPLETION);
    fixture_fini(&f);
}

static void test_a_visit_earns_its_switch(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    FIXTURE_F64(&f, WORK_MEAN_NS)[0] = FIXTURE_F64(&f, WORK_MEAN_NS)[1] = 1e9;
    fixture_cost(&f, 0, 1, 2e9);
    fixture_queue(&f, 0, 1, f.now_ns);
    fixture_queue(&f, 1, 1, f.now_ns - INT64_C(3600000000000));
    fixture_served(&f, 0, 1, f.now_ns - INT64_C(17000000000), 1); /* owes 9 x 2 s */
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_COMPLETION);
    assert_int_equal(decision->action, SHUNT_STAY);
    assert_in_range(decision->recheck_at_ns, f.now_ns + 1, f.now_ns + INT64_C(1000000010));
    fixture_served(&f, 0, 1, f.now_ns - INT64_C(18000000000), 1);
    assert_switch(&f, SHUNT_WHY_RECHECK, 1);
    fixture_fini(&f);
}

static void test_bursts_lengthen_it(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"burst_gain=1", NULL};
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    FIXTURE_F64(&f, WORK_MEAN_NS)[0] = FIXTURE_F64(&f, WORK_MEAN_NS)[1] = 1e9;
    fixture_cost(&f, 0, 1, 2e9);
    fixture_queue(&f, 0, 1, f.now_ns);
    int64_t start_ns = f.now_ns;
    for (int minute = 0; minute < 60; minute++) { /* 100 requests every tenth minute */
        f.now_ns = start_ns + minute * INT64_C(60000000000) + 1;
        for (int i = 0; minute % 10 == 0 && i < 100; i++) {
            fixture_event(&f, CORE_HOOK_ARRIVAL, 0, 0);
        }
    }
    fixture_event(&f, CORE_HOOK_ARRIVAL, 0, 0);
    fixture_served(&f, 0, 1, f.now_ns - INT64_C(100000000000), 1);
    fixture_queue(&f, 1, 1, f.now_ns - INT64_C(60000000000));
    assert_stay(&f, SHUNT_WHY_COMPLETION);
    fixture_queue(&f, 1, 1, f.now_ns - INT64_C(3600000000000));
    assert_switch(&f, SHUNT_WHY_COMPLETION, 1); /* lengthened, not lifted */
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backlog_moves_the_bound),
        cmocka_unit_test(test_a_visit_earns_its_switch),
        cmocka_unit_test(test_bursts_lengthen_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
