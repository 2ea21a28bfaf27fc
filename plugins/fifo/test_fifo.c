/* fifo: the oldest head decides, and nothing else. */
#include "snapshot_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

extern const struct shunt_plugin shunt_plugin_v1;

static const struct shunt_decision *ask(struct fixture *f)
{
    return &fixture_ask(f, 0, SHUNT_WHY_ARRIVAL)->decisions[0];
}

static void test_oldest_head_wins(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 4, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    assert_int_equal(ask(&f)->action, SHUNT_STAY); /* nothing waits */

    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 5, f.now_ns - 30);
    fixture_queue(&f, 1, 90, f.now_ns - 20);
    fixture_queue(&f, 2, 1, f.now_ns - 29);
    assert_int_equal(ask(&f)->action, SHUNT_STAY); /* the resident's head is oldest */

    fixture_queue(&f, 0, 4, f.now_ns - 28);
    assert_int_equal(ask(&f)->action, SHUNT_SWITCH);
    assert_int_equal(ask(&f)->model, 2);
    assert_int_equal(ask(&f)->reason, SHUNT_REASON_FIRST_COME);

    /* A model that cannot be had here is passed over. */
    FIXTURE_I64(&f, QUARANTINED_UNTIL_NS)[2] = f.now_ns + 1;
    fixture_queue(&f, 0, 0, 0);
    assert_int_equal(ask(&f)->model, 1);
    FIXTURE_I64(&f, QUARANTINED_UNTIL_NS)[2] = 0;
    fixture_fini(&f);
}

static void test_other_device_brings_it_in(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3, 2);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 1, 1, f.now_ns - 10);
    fixture_queue(&f, 2, 1, f.now_ns - 5);
    FIXTURE_U32(&f, DEVICE_TARGET)[1] = 1;
    assert_int_equal(ask(&f)->model, 2);
    fixture_fini(&f);
}

static void test_parameters(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    static const char *const settings[] = {"drain=requeue", "min_residence=1.5", "tier=discarded",
                                           NULL};
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 1, 1, f.now_ns - 10);
    const struct shunt_decision *decision = ask(&f);
    assert_int_equal(decision->drain, SHUNT_DRAIN_REQUEUE);
    assert_int_equal(decision->min_residence_ns, 1500000000);
    assert_int_equal(decision->victim_count, 1);
    assert_int_equal(decision->victims[0].instance, 0);
    assert_int_equal(decision->victims[0].tier, SHUNT_TIER_DISCARDED);
    fixture_fini(&f);
}

/* Whatever waits: it never leaves a model whose head is the oldest, and never for a younger one. */
static void test_property_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 6, 1);
    fixture_policy(&f, &shunt_plugin_v1, NULL);
    uint64_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        uint32_t oldest = SHUNT_NONE;
        fixture_resident(&f, (uint32_t)(seed >> 33) % 6, 0);
        for (uint32_t i = 0; i < 6; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            fixture_queue(&f, i, (uint32_t)(seed >> 40) & 1,
                          f.now_ns - (int64_t)(seed >> 44) * 8 - i);
            const int64_t *head = FIXTURE_I64(&f, HEAD_ARRIVAL_NS);
            if (head[i] != INT64_MAX && (oldest == SHUNT_NONE || head[i] < head[oldest])) {
                oldest = i;
            }
        }
        const struct shunt_decision *decision = ask(&f);
        bool stay = oldest == SHUNT_NONE || oldest == FIXTURE_U32(&f, DEVICE_MODEL)[0];
        assert_int_equal(decision->action, stay ? SHUNT_STAY : SHUNT_SWITCH);
        if (!stay) {
            assert_int_equal(decision->model, oldest);
        }
    }
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oldest_head_wins),
        cmocka_unit_test(test_other_device_brings_it_in),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_property_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
