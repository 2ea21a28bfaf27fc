/* costaware: the index is directional, has hysteresis, and ages. */
#include "policy_test.h"

static void test_four_for_two_seconds_beat_five_for_sixty(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        FIXTURE_F64(&f, WORK_MEAN_NS)[i] = 1e9;
    }
    fixture_cost(&f, 0, 1, 60e9);
    fixture_cost(&f, 0, 2, 2e9);
    fixture_queue(&f, 1, 5, f.now_ns);
    fixture_queue(&f, 2, 4, f.now_ns);
    assert_switch(&f, SHUNT_WHY_QUEUE_EMPTY, 2);
    /* 5/65 and 4/6 requests a second */
    assert_float_equal(fixture_ask(&f, 0, SHUNT_WHY_QUEUE_EMPTY)->scores[1], 5.0 / 65, 1e-12);
    assert_float_equal(fixture_ask(&f, 0, SHUNT_WHY_QUEUE_EMPTY)->scores[2], 4.0 / 6, 1e-12);
    fixture_fini(&f);
}

static void test_like_models_are_emptied_first(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"hysteresis=0.1", NULL};
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    FIXTURE_F64(&f, WORK_MEAN_NS)[0] = FIXTURE_F64(&f, WORK_MEAN_NS)[1] = 1e9;
    fixture_cost(&f, 0, 1, 1e6);
    fixture_queue(&f, 0, 1, f.now_ns);
    fixture_queue(&f, 1, 1000, f.now_ns);
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    /* Short requests elsewhere are worth leaving long ones for, beyond the hysteresis. */
    FIXTURE_F64(&f, WORK_MEAN_NS)[0] = 1.05e9;
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    FIXTURE_F64(&f, WORK_MEAN_NS)[0] = 1.2e9;
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1);
    fixture_fini(&f);
}

static void test_age_wins_in_the_end(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const settings[] = {"patience=10", "hysteresis=0.1", NULL};
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    FIXTURE_F64(&f, WORK_MEAN_NS)[0] = FIXTURE_F64(&f, WORK_MEAN_NS)[1] = 1e9;
    fixture_cost(&f, 0, 1, 60e9);
    fixture_queue(&f, 0, 100, f.now_ns);
    fixture_queue(&f, 1, 1, f.now_ns - INT64_C(70000000000));
    assert_stay(&f, SHUNT_WHY_ARRIVAL); /* (1 + 7^2) / 61 < 1 / 0.9 */
    fixture_queue(&f, 1, 1, f.now_ns - INT64_C(90000000000));
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1); /* (1 + 9^2) / 61 */
    fixture_fini(&f);
}

/* A batch that runs out loses nothing when it is left but the arrivals that are turned away. */
static void test_the_last_of_a_batch_hold_nobody(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    FIXTURE_F64(&f, WORK_MEAN_NS)[0] = FIXTURE_F64(&f, WORK_MEAN_NS)[1] = 1e9;
    FIXTURE_F64(&f, ARRIVAL_RATE)[0] = 0.01;
    FIXTURE_I64(&f, LAST_ARRIVAL_NS)[0] = f.now_ns;
    fixture_cost(&f, 0, 1, 10e9);
    fixture_cost(&f, 1, 0, 10e9);
    fixture_queue(&f, 1, 10, f.now_ns);
    fixture_served(&f, 0, 1, f.now_ns, 1);
    assert_stay(&f, SHUNT_WHY_ARRIVAL); /* one at a time: it ends before anything can begin */
    FIXTURE_U32(&f, MAX_CONCURRENCY)[0] = 8;
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1); /* 10 in 20.1 s, five times more than 0.01 a second */
    FIXTURE_F64(&f, ARRIVAL_RATE)[0] = 1;
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    fixture_queue(&f, 0, 1, f.now_ns);
    FIXTURE_F64(&f, ARRIVAL_RATE)[0] = 0.01;
    assert_stay(&f, SHUNT_WHY_ARRIVAL); /* somebody queues */
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_for_two_seconds_beat_five_for_sixty),
        cmocka_unit_test(test_like_models_are_emptied_first),
        cmocka_unit_test(test_age_wins_in_the_end),
        cmocka_unit_test(test_the_last_of_a_batch_hold_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
