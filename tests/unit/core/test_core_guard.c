/*
 * The guard against policies that would starve a model: each rule (R1 to R7 of docs/GUARD.md) with
 * the reading that fails without it. Bounds are asked of the core and held against what happened.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_driver.h"

#define S CORE_NS_PER_S

static struct driver driver;
static struct driver_config config;
static struct shunt_decision always; /* what the policy below answers */
static uint32_t asked_why;

static void policy_always(struct driver *d, const struct core_act_ask *ask,
                          struct shunt_decision *decision)
{
    (void)d;
    asked_why |= ask->why;
    struct shunt_decision answer = always;
    answer.device = decision->device;
    answer.generation = decision->generation;
    *decision = answer;
}

static int setup(void **state)
{
    (void)state;
    driver_init(&driver);
    driver_config_init(&config, 3, 1);
    memset(&always, 0, sizeof(always));
    always.size = sizeof(always);
    always.instance = SHUNT_NONE;
    asked_why = 0;
    config.config.guard.visit_cap_ns = 10 * S;
    config.config.guard.drain_ns = 10 * S;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    driver_fini(&driver);
    return 0;
}

static void begin(void)
{
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_always);
}

static int64_t gap_max(uint32_t model)
{
    struct core_model_stats stats;
    core_model_stats(driver.core, model, driver.now_ns, &stats);
    return stats.gap_max_ns;
}

static int64_t gap_bound(uint32_t model)
{
    struct core_bounds bounds;
    core_bounds_guaranteed(driver.core, model, &bounds);
    assert_true(bounds.gap_ns > 0);
    return bounds.gap_ns;
}

static void bounds_follow_the_formula(void **state)
{
    (void)state;
    config.config.guard.overtakes = 2;
    config.config.guard.age_ns = 1000 * S;
    begin();
    /* V = 20 + 10 + 10 + 1; (M + N) V + C = 5 * 41 + 20. */
    assert_int_equal(gap_bound(0), 225 * S);
    struct core_guard_values values;
    core_guard_values(driver.core, 0, &values);
    assert_int_equal(values.models, 3);
    assert_int_equal(values.overtakes, 2);
    struct core_bounds bounds;
    core_bounds_guaranteed(driver.core, 0, &bounds);
    /* ceil(3 (100 + 4) / 4) (G + B): a policy may choose to requeue. */
    assert_int_equal(bounds.wait_ns, 78 * (225 + 10) * S);
    core_bounds_expected(driver.core, 0, &bounds);
    assert_int_equal(bounds.gap_ns, 0);
    assert_non_null(bounds.reason);
}

static void guard_off_gives_no_bound(void **state)
{
    (void)state;
    config.config.guard.enabled = 0;
    begin();
    struct core_bounds bounds;
    core_bounds_guaranteed(driver.core, 0, &bounds);
    assert_int_equal(bounds.gap_ns, 0);
    assert_non_null(bounds.reason);
}

/* R1: a device without a visit is at its cap at once. */
static void idle_policy_on_an_empty_device(void **state)
{
    (void)state;
    begin();
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 100 * S);
    assert_int_equal(driver_dispatched(&driver, a), 2 * S);
    assert_true(asked_why & SHUNT_WHY_VISIT_CAP);
    assert_int_equal(driver_guards(&driver, CORE_GUARD_FORCED_CAP), 1);
}

/* R1: the cap ends a visit whose own queue never runs empty, T after another began to wait. */
static void stay_is_ended_at_the_cap(void **state)
{
    (void)state;
    begin();
    for (uint32_t i = 0; i < 80; i++) {
        (void)driver_request(&driver, 0);
    }
    driver_run(&driver, 5 * S);
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 100 * S);
    /* Waits from 5 s; cap at 15 s; the batch that began at 15 s is not: closed first. */
    const struct core_action *d = driver_find(&driver, CORE_ACT_DISPATCH, b);
    assert_non_null(d);
    assert_true(d->t_ns >= 18 * S && d->t_ns <= 19 * S);
    assert_true(gap_max(1) <= gap_bound(1));
    struct core_device_stats stats;
    core_device_stats(driver.core, 0, driver.now_ns, &stats);
    assert_true(stats.visits_forced >= 2);
}

/* R1: a policy that never answers costs delta, no more. */
static void silent_policy_costs_its_deadline(void **state)
{
    (void)state;
    driver.latency_ns = 1000 * S;
    begin();
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 50 * S);
    assert_int_equal(driver_dispatched(&driver, a), 3 * S);
    assert_true(driver_guards(&driver, CORE_GUARD_LATE) >= 1);
}

/* A resident whose quantum is used up waits, although it is alone. */
static void used_quantum_waits_and_is_served(void **state)
{
    (void)state;
    config.models[0].max_concurrency = 1;
    begin();
    always.action = SHUNT_LINGER;
    always.linger_until_ns = 10000 * S;
    always.quantum_requests = 1;
    uint64_t a = driver_request(&driver, 0);
    uint64_t b = driver_request(&driver, 0);
    driver_run(&driver, 2 * S);
    assert_int_equal(driver_dispatched(&driver, a), 2 * S);
    driver_run(&driver, 100 * S);
    assert_true(asked_why & SHUNT_WHY_QUANTUM);
    /* The forced visit has no quantum; one begun by a policy's answer would. */
    assert_int_equal(driver_dispatched(&driver, b), 12 * S);
    assert_true(gap_max(0) <= gap_bound(0));
}

/* R3, age: G_i's age counts, not that of the oldest request, which clients keep cancelling. */
static void cancelled_heads_do_not_reset_the_age(void **state)
{
    (void)state;
    config.config.guard.age_ns = 20 * S;
    config.config.guard.visit_cap_ns = 1000 * S;
    begin();
    always.action = SHUNT_SWITCH;
    always.model = 0;
    for (uint32_t i = 0; i < 90; i++) {
        (void)driver_request(&driver, 0);
        driver.service_ns[0] = 4 * S;
    }
    driver_run(&driver, 3 * S);
    uint64_t waiting = driver_request(&driver, 1);
    for (int64_t t = 4; t < 60; t++) {
        uint64_t younger = driver_request(&driver, 1);
        if (driver_dispatched(&driver, waiting) < 0) {
            struct core_input cancel = {.kind = CORE_IN_CANCEL};
            cancel.u.cancel.outcome = SHUNT_OUTCOME_CANCELLED;
            cancel.u.cancel.request = driver_id(&driver, waiting);
            (void)driver_apply(&driver, &cancel);
            waiting = younger;
        }
        driver_run(&driver, t * S);
    }
    struct core_model_stats stats;
    core_model_stats(driver.core, 1, driver.now_ns, &stats);
    assert_true(stats.dispatched > 0);
    assert_true(driver_guards(&driver, CORE_GUARD_FORCED_AGE) >= 1);
    assert_true(stats.gap_max_ns <= 20 * S + 4 * S + 3 * S);
}

static uint32_t turn;
static void policy_alternates(struct driver *d, const struct core_act_ask *ask,
                              struct shunt_decision *decision)
{
    (void)d;
    if (ask->why &
        (SHUNT_WHY_COMPLETION | SHUNT_WHY_QUEUE_EMPTY | SHUNT_WHY_VISIT_CAP | SHUNT_WHY_ARRIVAL)) {
        decision->action = SHUNT_SWITCH;
        decision->model = turn++ % 2;
    }
}

/* R3, overtaking: two models that take turns cannot keep a third out for more than M visits. */
static void overtaken_model_is_forced(void **state)
{
    (void)state;
    turn = 0;
    config.config.guard.overtakes = 3;
    config.config.guard.visit_cap_ns = 5 * S;
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_alternates);
    for (int64_t t = 0; t < 200; t++) {
        driver_request_at(&driver, t * S, 0);
        driver_request_at(&driver, t * S, 1);
        if (t % 20 == 3) {
            driver_request_at(&driver, t * S, 2);
        }
    }
    driver_run(&driver, 300 * S);
    assert_true(driver_guards(&driver, CORE_GUARD_FORCED_OVERTAKE) >= 1);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(gap_max(i) <= gap_bound(i));
    }
    struct core_model_stats stats;
    core_model_stats(driver.core, 2, driver.now_ns, &stats);
    assert_int_equal(stats.ended[SHUNT_OUTCOME_COMPLETED], 10);
}

/* R2: a policy that leaves at each visit's start serves K all the same. */
static void leaving_at_once_still_serves(void **state)
{
    (void)state;
    turn = 0;
    config.config.guard.dispatches_min = 2;
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_always);
    for (uint32_t i = 0; i < 10; i++) {
        (void)driver_request(&driver, 0);
        (void)driver_request(&driver, 1);
    }
    always.action = SHUNT_SWITCH;
    for (int64_t t = 0; t < 200; t++) {
        always.model = (uint32_t)(t % 2);
        driver_run(&driver, t * S);
    }
    struct core_device_stats device;
    core_device_stats(driver.core, 0, driver.now_ns, &device);
    struct core_model_stats a;
    struct core_model_stats b;
    core_model_stats(driver.core, 0, driver.now_ns, &a);
    core_model_stats(driver.core, 1, driver.now_ns, &b);
    assert_int_equal(a.dispatched + b.dispatched, 20);
}

/* R4: minimum residence and caps hold a policy's switch back, never a forced one. */
static void residence_delays_only_voluntary_switches(void **state)
{
    (void)state;
    config.config.guard.min_residence_ns = 8 * S;
    config.config.guard.visit_cap_ns = 30 * S;
    begin();
    always.action = SHUNT_SWITCH;
    always.model = 0;
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 3 * S);
    always.model = 1;
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 100 * S);
    assert_int_equal(driver_dispatched(&driver, a), 2 * S);
    assert_int_equal(driver_dispatched(&driver, b), 13 * S); /* 2 + 8 + out 1 + in 2 */
    assert_int_equal(driver_guards(&driver, CORE_GUARD_CAPPED), 1);
}

static void rate_cap_delays_a_switch(void **state)
{
    (void)state;
    config.config.guard.switches_per_minute = 1;
    config.config.guard.visit_cap_ns = 1000 * S;
    begin();
    always.action = SHUNT_SWITCH;
    always.model = 0;
    (void)driver_request(&driver, 0);
    driver_run(&driver, 10 * S);
    always.model = 1;
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 100 * S);
    assert_int_equal(driver_dispatched(&driver, b), 63 * S);
    assert_true(driver_guards(&driver, CORE_GUARD_CAPPED) >= 1);
}

/* R5: a pin that leaves a model without a place is refused. */
static void pin_that_starves_is_refused(void **state)
{
    (void)state;
    begin();
    (void)driver_request(&driver, 0);
    driver_run(&driver, 5 * S);
    struct core_input pin = {.kind = CORE_IN_OPERATOR};
    pin.u.op =
        (struct core_in_operator){.operation = CORE_OP_PIN, .model = 0, .instance = SHUNT_NONE};
    assert_int_equal(driver_apply(&driver, &pin), -EPERM);
    struct core_instance_view view;
    assert_int_equal(core_instance_view(driver.core, 0, &view), 0);
    assert_int_equal(view.pinned, 0);
}

/* R3: an entry does not stay with a device that left. */
static void entries_move_when_a_device_leaves(void **state)
{
    (void)state;
    driver_config_init(&config, 4, 2);
    config.config.guard.visit_cap_ns = 10 * S;
    config.config.guard.drain_ns = 10 * S;
    config.config.guard.overtakes = 1;
    begin();
    for (int64_t t = 0; t < 60; t++) {
        for (uint32_t m = 0; m < 4; m++) {
            driver_request_at(&driver, t * S, m);
        }
    }
    struct core_input down = {.kind = CORE_IN_DEVICE};
    down.u.device = (struct core_in_device){.device = 0, .up = 0};
    driver_at(&driver, 33 * S, &down);
    driver_run(&driver, 400 * S);
    for (uint32_t m = 0; m < 4; m++) {
        struct core_model_stats stats;
        core_model_stats(driver.core, m, driver.now_ns, &stats);
        assert_int_equal(stats.queued, 0);
        assert_int_equal(stats.arrived,
                         stats.ended[SHUNT_OUTCOME_COMPLETED] + stats.ended[SHUNT_OUTCOME_FAILED]);
        assert_true(stats.gap_max_ns <= gap_bound(m));
    }
}

/* A forced switch cannot be revoked; a policy's own before its cap can. */
static void stay_revokes_until_the_out_step(void **state)
{
    (void)state;
    driver.service_ns[0] = 4 * S;
    begin();
    always.action = SHUNT_SWITCH;
    always.model = 0;
    (void)driver_request(&driver, 0);
    driver_run(&driver, 3 * S);
    always.model = 1;
    (void)driver_request(&driver, 1);
    driver_run(&driver, 4 * S);
    struct core_instance_view view;
    (void)core_instance_view(driver.core, 0, &view);
    assert_int_equal(view.state, SHUNT_INSTANCE_DRAINING);
    always.action = SHUNT_STAY;
    (void)driver_request(&driver, 2);
    driver_run(&driver, 4 * S);
    (void)core_instance_view(driver.core, 0, &view);
    assert_int_equal(view.state, SHUNT_INSTANCE_RESIDENT);
    assert_int_equal(view.admitting, 1);
    driver_run(&driver, 200 * S);
    struct core_model_stats stats;
    core_model_stats(driver.core, 1, driver.now_ns, &stats);
    assert_int_equal(stats.ended[SHUNT_OUTCOME_COMPLETED], 1);
}

/* At most eight asks without time passing: then the device stays as it is. */
static void policy_recheck(struct driver *d, const struct core_act_ask *ask,
                           struct shunt_decision *decision)
{
    (void)d;
    (void)ask;
    decision->generation -= 1; /* stale each time: asked again at once */
}

static void asks_are_limited(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_recheck);
    uint32_t before = driver_count(&driver, CORE_ACT_ASK);
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 0);
    assert_true(driver_count(&driver, CORE_ACT_ASK) - before <= 16);
    assert_true(driver_guards(&driver, CORE_GUARD_ASK_LIMIT) >= 1);
    assert_true(driver_guards(&driver, CORE_GUARD_STALE) >= 8);
    driver_run(&driver, 50 * S);
    assert_int_equal(driver_dispatched(&driver, a), 2 * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(bounds_follow_the_formula),
        TEST(guard_off_gives_no_bound),
        TEST(idle_policy_on_an_empty_device),
        TEST(stay_is_ended_at_the_cap),
        TEST(silent_policy_costs_its_deadline),
        TEST(used_quantum_waits_and_is_served),
        TEST(cancelled_heads_do_not_reset_the_age),
        TEST(overtaken_model_is_forced),
        TEST(leaving_at_once_still_serves),
        TEST(residence_delays_only_voluntary_switches),
        TEST(rate_cap_delays_a_switch),
        TEST(pin_that_starves_is_refused),
        TEST(entries_move_when_a_device_leaves),
        TEST(stay_revokes_until_the_out_step),
        TEST(asks_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
