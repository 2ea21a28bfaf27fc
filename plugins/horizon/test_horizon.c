/*
 * horizon: the thresholds of the two-queue cases whose optimum is known by value iteration, the
 * order where switches depend on where they begin, and when an engine that batches is left.
 */
#include "policy_test.h"

#include <math.h>

/* Two models of one device as the policy would have learned them: 0 has it, 1 may wait. */
struct queue {
    double rate, work_s, setup_s; /* exponential switches into it */
};

static void learn(struct fixture *f, uint32_t model, const struct queue *queue, uint64_t arrivals)
{
    FIXTURE_F64(f, ARRIVAL_RATE)[model] = queue->rate;
    FIXTURE_U64(f, ARRIVALS)[model] = arrivals;
    FIXTURE_I64(f, LAST_ARRIVAL_NS)[model] = f->now_ns;
    FIXTURE_F64(f, WORK_MEAN_NS)[model] = queue->work_s * 1e9;
    FIXTURE_F64(f, SERVICE_MEAN_NS)[model] = queue->work_s * 1e9;
    FIXTURE_U32(f, MAX_CONCURRENCY)[model] = 1;
    const struct shunt_column *column = shunt_column_find(f->costs.head, SHUNT_COL_COST_VAR_NS2);
    for (uint32_t from = 0; from <= f->models; from++) {
        fixture_cost(f, from < f->models ? from : SHUNT_NONE, model, queue->setup_s * 1e9);
        FIXTURE_F64(f, COST_VAR_NS2)
        [(size_t)from * column->stride + model] = queue->setup_s * queue->setup_s * 1e18;
    }
}

static void begin(struct fixture *f, uint32_t count, const struct queue *queues, uint64_t arrivals,
                  const char *const *settings)
{
    fixture_init(f, count, 1);
    for (uint32_t i = 0; i < count; i++) {
        learn(f, i, &queues[i], arrivals);
    }
    fixture_policy(f, &shunt_plugin_v1, settings);
    fixture_resident(f, 0, 0);
}

/* How many of model 1 must wait before the emptied model 0 gives the device up. */
static uint32_t threshold(const struct queue *queues, uint64_t arrivals)
{
    struct fixture f;
    begin(&f, 2, queues, arrivals, NULL);
    uint32_t n = 1;
    for (;; n++) {
        fixture_queue(&f, 1, n, f.now_ns);
        const struct shunt_decision *decision = ask(&f, SHUNT_WHY_ARRIVAL);
        if (decision->action == SHUNT_SWITCH) {
            break;
        }
        assert_int_equal(decision->action, SHUNT_LINGER);
        assert_true(decision->linger_until_ns > f.now_ns);
    }
    fixture_fini(&f);
    return n;
}

/* theory.md, M1 to M4: both directions. */
static void test_thresholds_are_the_optimal_ones(void **state)
{
    (void)state;
    static const struct {
        struct queue queues[2];
        uint32_t threshold;
    } cases[] = {
        {{{.3, 1, .5}, {.3, 1, .5}}, 1},    {{{.25, 1, 2}, {.25, 1, 2}}, 1},
        {{{.05, 5, 30}, {.01, 10, 30}}, 2}, {{{.01, 10, 30}, {.05, 5, 30}}, 1},
        {{{.06, 5, 8}, {.02, 10, 15}}, 1},  {{{.02, 10, 15}, {.06, 5, 8}}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(threshold(cases[i].queues, 1000), cases[i].threshold);
    }
}

/* A rate that three arrivals tell is not worth waiting for. */
static void test_it_does_not_linger_on_hearsay(void **state)
{
    (void)state;
    static const struct queue queues[2] = {{.05, 5, 30}, {.01, 10, 30}};
    assert_int_equal(threshold(queues, 3), 1);
}

/* Silence makes it leave in the end, and it asks to be asked. */
static void test_silence_ends_lingering(void **state)
{
    (void)state;
    static const struct queue queues[2] = {{.05, 5, 30}, {.01, 10, 30}};
    struct fixture f;
    begin(&f, 2, queues, 1000, NULL);
    fixture_queue(&f, 1, 1, f.now_ns);
    int asks = 0;
    while (ask(&f, SHUNT_WHY_RECHECK)->action == SHUNT_LINGER) {
        f.now_ns = ask(&f, SHUNT_WHY_RECHECK)->linger_until_ns;
        assert_true(++asks < 30);
    }
    assert_true(asks > 1);
    assert_switch(&f, SHUNT_WHY_RECHECK, 1);
    fixture_fini(&f);
}

static void test_a_queue_is_emptied_first(void **state)
{
    (void)state;
    static const struct queue queues[2] = {{.1, 1, 1}, {.1, 1, 1}};
    struct fixture f;
    begin(&f, 2, queues, 1000, NULL);
    fixture_queue(&f, 0, 1, f.now_ns);
    fixture_queue(&f, 1, 1000, f.now_ns);
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    fixture_queue(&f, 0, 0, f.now_ns);
    fixture_served(&f, 0, 1, f.now_ns, 1); /* one at a time: nothing is gained by closing */
    assert_stay(&f, SHUNT_WHY_ARRIVAL);
    fixture_served(&f, 0, 1, f.now_ns, 0);
    assert_switch(&f, SHUNT_WHY_COMPLETION, 1);
    fixture_queue(&f, 0, 9, f.now_ns);
    assert_switch(&f, SHUNT_WHY_VISIT_CAP, 1);
    fixture_fini(&f);
}

/* The bid solves its equation. */
static void test_the_bid_is_the_price_at_which_a_visit_pays(void **state)
{
    (void)state;
    static const struct queue queues[3] = {{.2, 1, 4}, {.05, 3, 20}, {.01, 2, 10}};
    struct fixture f;
    begin(&f, 3, queues, 1000, NULL);
    fixture_queue(&f, 1, 7, f.now_ns);
    fixture_queue(&f, 2, 3, f.now_ns);
    double clear_s = 0.15 * 2 * (1 + 20 + 7 * 3 + 10 + 3 * 2) / (1 - .2 - .15 - .02);
    for (uint32_t i = 1; i < 3; i++) {
        const struct queue *q = &queues[i];
        double n = FIXTURE_U32(&f, QUEUE_LEN)[i];
        double x = fixture_ask(&f, 0, SHUNT_WHY_ARRIVAL)->scores[i];
        double still = sqrt(2 * q->rate * q->setup_s * (1 - q->rate * q->work_s) * x);
        double paid = still + (q->setup_s + n * q->work_s) * x / clear_s;
        assert_true(fabs(paid - n) < 1e-9);
    }
    fixture_fini(&f);
}

/* Two like queues, but the way between them is long in one direction only. */
static void test_the_order_minds_the_way_on(void **state)
{
    (void)state;
    static const struct queue queues[3] = {{.01, 1, 10}, {.01, 1, 10}, {.01, 1, 10}};
    static const char *const blind[] = {"order=1", NULL};
    for (int far = 0; far < 2; far++) {
        for (int sees = 0; sees < 2; sees++) {
            struct fixture f;
            begin(&f, 3, queues, 1000, sees ? NULL : blind);
            fixture_queue(&f, 1, 10, f.now_ns);
            fixture_queue(&f, 2, 10, f.now_ns);
            fixture_cost(&f, far ? 1 : 2, far ? 2 : 1, 100e9);
            assert_switch(&f, SHUNT_WHY_QUEUE_EMPTY, sees && far ? 2 : 1);
            fixture_fini(&f);
        }
    }
}

/* An engine that batches: full of work in flight it is left when others' loss outweighs that of
 * those who would be turned away, and the sooner the more is in flight. */
static uint32_t threshold_in_flight(uint32_t in_flight, const char *const *settings)
{
    static const struct queue queues[2] = {{1, .2, 5}, {1, .2, 5}};
    struct fixture f;
    begin(&f, 2, queues, 1000, settings);
    FIXTURE_U32(&f, MAX_CONCURRENCY)[0] = FIXTURE_U32(&f, MAX_CONCURRENCY)[1] = 32;
    FIXTURE_F64(&f, SERVICE_MEAN_NS)[0] = FIXTURE_F64(&f, SERVICE_MEAN_NS)[1] = 4e9;
    fixture_served(&f, 0, 100, f.now_ns, in_flight);
    uint32_t n = 1;
    for (;; n++) {
        fixture_queue(&f, 1, n, f.now_ns);
        if (ask(&f, SHUNT_WHY_ARRIVAL)->action == SHUNT_SWITCH) {
            break;
        }
        assert_stay(&f, SHUNT_WHY_ARRIVAL);
        assert_true(n < 1000);
    }
    fixture_fini(&f);
    return n;
}

static void test_admission_is_closed_when_letting_in_costs_more(void **state)
{
    (void)state;
    static const char *const at_once[] = {"close=0", NULL};
    assert_int_equal(threshold_in_flight(4, at_once), 1);
    assert_true(threshold_in_flight(1, NULL) > 1);
    assert_true(threshold_in_flight(4, NULL) > threshold_in_flight(1, NULL));
    assert_true(threshold_in_flight(16, NULL) > threshold_in_flight(4, NULL));
}

/* A switch that has been decided is not decided anew while the device drains. */
static void test_a_decided_switch_is_kept(void **state)
{
    (void)state;
    static const struct queue queues[3] = {{.1, 1, 1}, {.1, 1, 1}, {.1, 1, 1}};
    struct fixture f;
    begin(&f, 3, queues, 1000, NULL);
    fixture_queue(&f, 1, 1, f.now_ns);
    fixture_queue(&f, 2, 100, f.now_ns);
    FIXTURE_U32(&f, DEVICE_TARGET)[0] = 1;
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1);
    fixture_queue(&f, 1, 0, f.now_ns); /* its requests went away */
    assert_switch(&f, SHUNT_WHY_CANCEL, 2);
    fixture_fini(&f);
}

/* Rates are learned from arrivals, not only taken over. */
static void test_rates_are_learned(void **state)
{
    (void)state;
    static const struct queue queues[2] = {{.05, 5, 30}, {.01, 10, 30}};
    struct fixture f;
    begin(&f, 2, queues, 0, NULL);
    for (int i = 0; i < 400; i++) { /* model 0 each 20 s, model 1 each 100 s */
        f.now_ns += INT64_C(20000000000);
        fixture_event(&f, CORE_HOOK_ARRIVAL, 0, 0);
        if (i % 5 == 4) {
            fixture_event(&f, CORE_HOOK_ARRIVAL, 1, 0);
        }
    }
    fixture_queue(&f, 1, 1, f.now_ns);
    assert_int_equal(ask(&f, SHUNT_WHY_ARRIVAL)->action, SHUNT_LINGER);
    fixture_queue(&f, 1, 2, f.now_ns);
    assert_switch(&f, SHUNT_WHY_ARRIVAL, 1);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thresholds_are_the_optimal_ones),
        cmocka_unit_test(test_it_does_not_linger_on_hearsay),
        cmocka_unit_test(test_silence_ends_lingering),
        cmocka_unit_test(test_a_queue_is_emptied_first),
        cmocka_unit_test(test_the_bid_is_the_price_at_which_a_visit_pays),
        cmocka_unit_test(test_the_order_minds_the_way_on),
        cmocka_unit_test(test_admission_is_closed_when_letting_in_costs_more),
        cmocka_unit_test(test_a_decided_switch_is_kept),
        cmocka_unit_test(test_rates_are_learned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
