/* amortized: the turn it owes a model, whom it turns to, and the two promises that follow: the
 * share of device time that switching takes under saturation, and the largest gap. */
#include "snapshot_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

extern const struct shunt_plugin shunt_plugin_v1;

#define SECOND INT64_C(1000000000)

static const struct shunt_decision *ask(struct fixture *f, uint32_t why)
{
    return &fixture_ask(f, 0, why)->decisions[0];
}

static void dispatch(struct fixture *f, uint32_t model)
{
    if (FIXTURE_I64(f, VISIT_FIRST_DISPATCH_NS)[0] == 0) {
        FIXTURE_I64(f, VISIT_FIRST_DISPATCH_NS)[0] = f->now_ns;
    }
    if (FIXTURE_U32(f, INSTANCE_IN_FLIGHT)[model]++ == 0) {
        FIXTURE_I64(f, INSTANCE_BUSY_SINCE_NS)[model] = f->now_ns;
    }
}

static void complete(struct fixture *f, uint32_t model)
{
    if (--FIXTURE_U32(f, INSTANCE_IN_FLIGHT)[model] == 0) {
        FIXTURE_I64(f, INSTANCE_BUSY_NS)
        [model] += f->now_ns - FIXTURE_I64(f, INSTANCE_BUSY_SINCE_NS)[model];
        FIXTURE_I64(f, INSTANCE_BUSY_SINCE_NS)[model] = INT64_MAX;
    }
}

/* Model 0 serves, model 1 waits; leaving costs 3 s and draining 1 s; 10 % overhead: 36 s owed. */
static void start(struct fixture *f)
{
    fixture_init(f, 3, 1);
    fixture_policy(f, &shunt_plugin_v1, NULL);
    fixture_cost(f, 0, 1, 3e9);
    fixture_cost(f, 0, 2, 3e9);
    FIXTURE_F64(f, DRAIN_MEAN_NS)[0] = 1e9;
    fixture_resident(f, 0, 0);
    fixture_queue(f, 0, 9, f->now_ns);
    fixture_queue(f, 1, 200, f->now_ns); /* 200 s of work */
    FIXTURE_I64(f, LAST_VISIT_NS)[1] = f->now_ns;
    FIXTURE_I64(f, LAST_VISIT_NS)[2] = f->now_ns;
    (void)ask(f, SHUNT_WHY_SWITCH_DONE);
    dispatch(f, 0);
}

static void test_stays_as_long_as_owed(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.now_ns += 35 * SECOND;
    const struct shunt_decision *decision = ask(&f, SHUNT_WHY_COMPLETION);
    assert_int_equal(decision->action, SHUNT_STAY);
    assert_int_equal(decision->reason, SHUNT_REASON_WITHIN_QUANTUM);
    assert_in_range(decision->recheck_at_ns, f.now_ns + SECOND, f.now_ns + SECOND + 1000);
    assert_string_equal(decision->text, "served 35000 of 36000 ms");

    f.now_ns += SECOND + 1000;
    decision = ask(&f, SHUNT_WHY_RECHECK);
    assert_int_equal(decision->action, SHUNT_SWITCH);
    assert_int_equal(decision->model, 1);
    assert_int_equal(decision->reason, SHUNT_REASON_QUANTUM);
    fixture_fini(&f);
}

/* A queue that still has requests is left for three turns' work, or 40 turns' absence. */
static void test_half_served_it_is_left_for_much_only(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_queue(&f, 1, 107, f.now_ns);
    f.now_ns += 37 * SECOND;
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->action, SHUNT_STAY);
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->reason, SHUNT_REASON_BATCH_UP);
    fixture_queue(&f, 1, 108, f.now_ns);
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->action, SHUNT_SWITCH);
    fixture_queue(&f, 1, 1, f.now_ns);
    f.now_ns += 1400 * SECOND;
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->action, SHUNT_STAY);
    f.now_ns += 3 * SECOND;
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->action, SHUNT_SWITCH);
    fixture_queue(&f, 1, 1, f.now_ns);
    FIXTURE_I64(&f, LAST_VISIT_NS)[1] = f.now_ns;
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->action, SHUNT_STAY);
    fixture_queue(&f, 0, 0, 0); /* one in flight, and the turn is over */
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->action, SHUNT_SWITCH);
    fixture_fini(&f);
}

static void test_leaves_when_nothing_is_left(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    fixture_queue(&f, 0, 0, 0);
    assert_int_equal(ask(&f, SHUNT_WHY_QUEUE_EMPTY)->action, SHUNT_STAY); /* one in flight */
    complete(&f, 0);
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->action, SHUNT_SWITCH);
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->reason, SHUNT_REASON_QUEUE_EMPTY);
    fixture_queue(&f, 1, 0, 0);
    assert_int_equal(ask(&f, SHUNT_WHY_COMPLETION)->action, SHUNT_STAY); /* nobody waits */
    fixture_fini(&f);
}

static void test_idle_time_is_no_service(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.now_ns += 10 * SECOND;
    complete(&f, 0);
    f.now_ns += 3600 * SECOND;
    dispatch(&f, 0);
    f.now_ns += 10 * SECOND;
    assert_string_equal(ask(&f, SHUNT_WHY_ARRIVAL)->text, "served 20000 of 36000 ms");
    fixture_fini(&f);
}

static void test_unknown_cost_has_a_prior(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2, 1);
    static const char *const settings[] = {"unknown_switch=2", "overhead_target=0.5", NULL};
    fixture_policy(&f, &shunt_plugin_v1, settings);
    fixture_resident(&f, 0, 0);
    fixture_queue(&f, 0, 1, f.now_ns);
    fixture_queue(&f, 1, 1, f.now_ns);
    assert_string_equal(ask(&f, SHUNT_WHY_ARRIVAL)->text, "served 0 of 2000 ms");
    fixture_hide(&f, SHUNT_COL_COST_MEAN_NS, true);
    assert_string_equal(ask(&f, SHUNT_WHY_ARRIVAL)->text, "served 0 of 2000 ms");
    fixture_fini(&f);
}

static void test_longest_unvisited_times_weight(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 4, 1);
    static const char *const settings[] = {"weight[m2]=3", NULL};
    fixture_policy(&f, &shunt_plugin_v1, settings);
    for (uint32_t i = 0; i < 4; i++) {
        FIXTURE_I64(&f, LAST_VISIT_NS)[i] = f.now_ns - (10 - i) * SECOND;
    }
    fixture_queue(&f, 1, 1, f.now_ns - 1);
    fixture_queue(&f, 3, 1, f.now_ns - 9 * SECOND); /* an older head does not matter */
    assert_int_equal(ask(&f, SHUNT_WHY_ARRIVAL)->model, 1);
    fixture_queue(&f, 2, 1, f.now_ns);
    assert_int_equal(ask(&f, SHUNT_WHY_ARRIVAL)->model, 2); /* 3 * 8 s > 9 s */
    const struct shunt_answer *answer = fixture_ask(&f, 0, SHUNT_WHY_ARRIVAL);
    assert_true(answer->scores[2] == 24 && answer->scores[1] == 9);
    assert_true(isnan(answer->scores[0]));
    fixture_fini(&f);
}

static void test_keeps_its_decision(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    FIXTURE_U32(&f, DEVICE_TARGET)[0] = 1; /* draining for model 1 */
    fixture_queue(&f, 2, 1, f.now_ns - SECOND);
    FIXTURE_I64(&f, LAST_VISIT_NS)[1] = f.now_ns - SECOND;
    assert_int_equal(ask(&f, SHUNT_WHY_ARRIVAL)->model, 1);
    assert_int_equal(ask(&f, SHUNT_WHY_ARRIVAL)->reason, SHUNT_REASON_HYSTERESIS);
    fixture_queue(&f, 1, 0, 0); /* its requests were cancelled */
    assert_int_equal(ask(&f, SHUNT_WHY_CANCEL)->action, SHUNT_STAY);
    fixture_fini(&f);
}

static void test_visit_cap_names_another(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    assert_int_equal(ask(&f, SHUNT_WHY_VISIT_CAP)->action, SHUNT_SWITCH);
    fixture_fini(&f);
}

/* What it knows is in the snapshot: one that begins now decides as one that was there all along. */
static void test_successor_goes_on(void **state)
{
    (void)state;
    struct fixture f, g;
    start(&f);
    start(&g);
    g.now_ns = f.now_ns += 20 * SECOND;
    const struct shunt_decision *old = ask(&f, SHUNT_WHY_COMPLETION);
    const struct shunt_decision *new = ask(&g, SHUNT_WHY_SELECTED);
    assert_string_equal(new->text, "served 20000 of 36000 ms");
    assert_string_equal(new->text, old->text);
    assert_int_equal(new->action, old->action);
    assert_int_equal(new->recheck_at_ns, old->recheck_at_ns);
    fixture_fini(&f);
    fixture_fini(&g);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *seed >> 33;
}

/*
 * Every queue is never empty; batches of `batch` requests; costs and drains drawn. Checks the two
 * promises over many visits.
 */
static void saturate(uint64_t seed, uint32_t models, uint32_t batch, int switches_max,
                     const char *target, double share, uint32_t queued)
{
    struct fixture f;
    const char *const settings[] = {target, NULL};
    fixture_init(&f, models, 1);
    fixture_policy(&f, &shunt_plugin_v1, settings);
    double cost_max = 0, drain_max = 0;
    for (uint32_t i = 0; i < models; i++) {
        double drain = batch > 1 ? (double)(next_random(&seed) % 20000) * 1e6 : 0;
        FIXTURE_F64(&f, DRAIN_MEAN_NS)[i] = drain;
        drain_max = fmax(drain_max, drain);
        for (uint32_t j = 0; j < models; j++) {
            double cost = (double)(next_random(&seed) % 60000 + 500) * 1e6;
            fixture_cost(&f, i, j, cost);
            cost_max = fmax(cost_max, cost);
        }
    }
    uint32_t here = 0;
    fixture_resident(&f, here, 0);
    for (uint32_t i = 0; i < models; i++) {
        fixture_queue(&f, i, queued, f.now_ns);
        FIXTURE_I64(&f, LAST_VISIT_NS)[i] = f.now_ns;
    }
    int64_t start_ns = f.now_ns, lost_ns = 0;
    int64_t left_ns[16], gap_max_ns = 0, service_max_ns = 10 * SECOND;
    for (uint32_t i = 0; i < models; i++) {
        left_ns[i] = f.now_ns;
    }
    (void)ask(&f, SHUNT_WHY_SWITCH_DONE);
    for (uint32_t i = 0; i < batch; i++) {
        dispatch(&f, here);
    }
    for (int switches = 0; switches < switches_max;) {
        f.now_ns += (int64_t)(next_random(&seed) % (uint64_t)service_max_ns) + 1;
        complete(&f, here);
        const struct shunt_decision *decision = ask(&f, SHUNT_WHY_COMPLETION);
        if (decision->action != SHUNT_SWITCH) {
            dispatch(&f, here);
            continue;
        }
        uint32_t next = decision->model;
        double cost = shunt_cost_ns(f.costs.head, here, next, (double)NAN);
        int64_t drain_ns = (int64_t)FIXTURE_F64(&f, DRAIN_MEAN_NS)[here];
        f.now_ns += drain_ns;
        for (uint32_t i = 1; i < batch; i++) {
            complete(&f, here);
        }
        left_ns[here] = f.now_ns;
        f.now_ns += (int64_t)cost;
        lost_ns += drain_ns + (int64_t)cost;
        int64_t gap_ns = f.now_ns - left_ns[next];
        gap_max_ns = gap_ns > gap_max_ns && switches > (int)models ? gap_ns : gap_max_ns;
        here = next;
        fixture_resident(&f, here, 0);
        (void)ask(&f, SHUNT_WHY_SWITCH_DONE);
        for (uint32_t i = 0; i < batch; i++) {
            dispatch(&f, here);
        }
        switches++;
    }
    double overhead = (double)lost_ns / (double)(f.now_ns - start_ns);
    assert_true(overhead <= share);
    /* It does switch; with little waiting only when that is old. */
    assert_true(overhead > share / (queued > 1000 ? 4 : 200));
    /* age_turns q + (N-1) (q + D) + N C, q = kappa (C+d), the first only with little waiting; a
     * visit ends with the completion after its turn. */
    double owed = (1 / share - 1) * (cost_max + drain_max);
    double bound = (queued > 1000 ? 0 : 40 * owed) +
                   (models - 1) * (owed + (double)service_max_ns + drain_max) + models * cost_max;
    assert_true((double)gap_max_ns <= bound);
    fixture_fini(&f);
}

static void test_property_saturated(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        saturate(seed, 2 + (uint32_t)seed % 7, 1, 100, "overhead_target=0.1", 0.1, 1000000);
        saturate(seed, 2 + (uint32_t)seed % 5, 8, 100, "overhead_target=0.1", 0.1, 1000000);
        saturate(seed, 3, 4, 100, "overhead_target=0.3", 0.3, 1000000);
        saturate(seed, 2, 1, 12, "overhead_target=0.01", 0.01, 1000000);
        saturate(seed, 2 + (uint32_t)seed % 5, 1, 40, "overhead_target=0.2", 0.2, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays_as_long_as_owed),
        cmocka_unit_test(test_half_served_it_is_left_for_much_only),
        cmocka_unit_test(test_leaves_when_nothing_is_left),
        cmocka_unit_test(test_idle_time_is_no_service),
        cmocka_unit_test(test_unknown_cost_has_a_prior),
        cmocka_unit_test(test_longest_unvisited_times_weight),
        cmocka_unit_test(test_keeps_its_decision),
        cmocka_unit_test(test_visit_cap_names_another),
        cmocka_unit_test(test_successor_goes_on),
        cmocka_unit_test(test_property_saturated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
