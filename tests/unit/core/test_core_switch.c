/*
 * Switches, tiers and what goes on beside them: drains, co-residents, several devices, background
 * moves, lost engines, operators, reloads, slots.
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
static struct shunt_decision always;

static void policy_always(struct driver *d, const struct core_act_ask *ask,
                          struct shunt_decision *decision)
{
    (void)d;
    (void)ask;
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
    always.instance = SHUNT_NONE;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    driver_fini(&driver);
    return 0;
}

static struct core_instance_view view_of(uint32_t instance)
{
    struct core_instance_view view;
    assert_int_equal(core_instance_view(driver.core, instance, &view), 0);
    return view;
}

static int operate(uint32_t operation, uint32_t model)
{
    struct core_input input = {.kind = CORE_IN_OPERATOR};
    input.u.op =
        (struct core_in_operator){.operation = operation, .model = model, .instance = SHUNT_NONE};
    return driver_apply(&driver, &input);
}

static struct core_model_stats stats_of(uint32_t model)
{
    struct core_model_stats stats;
    core_model_stats(driver.core, model, driver.now_ns, &stats);
    return stats;
}

/* ------------------------------------------------------------------ drains */

static void drain_limit_cuts(void **state)
{
    (void)state;
    config.config.guard.drain_ns = 3 * S;
    driver.service_ns[0] = 100 * S;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 3 * S);
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 50 * S);
    const struct core_action *end = driver_find(&driver, CORE_ACT_END, a);
    assert_non_null(end);
    assert_int_equal(end->u.end.outcome, SHUNT_OUTCOME_CUT);
    assert_int_equal(end->u.end.dispatched, 1);
    assert_non_null(driver_find(&driver, CORE_ACT_ABORT, a));
    assert_int_equal(end->t_ns, 6 * S);
    assert_int_equal(driver_dispatched(&driver, b), 9 * S);
    assert_int_equal(driver_guards(&driver, CORE_GUARD_DRAIN_CUT), 1);
    assert_int_equal(stats_of(0).ended[SHUNT_OUTCOME_CUT], 1);
}

static void requeue_drain_keeps_the_age(void **state)
{
    (void)state;
    config.config.guard.drain_mode = SHUNT_DRAIN_REQUEUE;
    driver.service_ns[0] = 6 * S;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    uint64_t streaming = driver_request(&driver, 0);
    driver_run(&driver, 3 * S);
    struct core_input token = {.kind = CORE_IN_FIRST_TOKEN};
    token.u.first_token = driver_id(&driver, streaming);
    assert_int_equal(driver_apply(&driver, &token), 0);
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 100 * S);
    assert_non_null(driver_find(&driver, CORE_ACT_ABORT, a));
    assert_null(driver_find(&driver, CORE_ACT_ABORT, streaming));
    assert_null(driver_find(&driver, CORE_ACT_END, a));
    assert_int_equal(driver_dispatched(&driver, b), 11 * S); /* the stream ends at 8 s */
    const struct core_action *last = NULL;
    for (uint32_t i = 0; i < driver.log_count; i++) {
        if (driver.log[i].kind == CORE_ACT_DISPATCH && driver.log[i].u.dispatch.cookie == a) {
            last = &driver.log[i];
        }
    }
    assert_non_null(last);
    assert_true(last->t_ns > 11 * S);
    int64_t sum = 0;
    for (uint32_t i = 0; i < CORE_WAIT_COUNT; i++) {
        sum += last->u.dispatch.wait_ns[i];
    }
    assert_int_equal(last->u.dispatch.arrival_ns, 0);
    assert_int_equal(sum, last->t_ns);
    assert_int_equal(stats_of(0).requeued, 1);
    assert_int_equal(stats_of(0).ended[SHUNT_OUTCOME_COMPLETED], 2);
}

/* Drained means that the engine says so too, where it says anything. */
static void engine_that_still_runs_is_not_drained(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    (void)driver_request(&driver, 0);
    driver_run(&driver, 2 * S);
    struct core_input engine = {.kind = CORE_IN_ENGINE};
    engine.u.engine = (struct core_in_engine){
        .instance = 0, .tier = SHUNT_NONE, .running = 1, .waiting = 0, .kv_used_bytes = -1};
    assert_int_equal(driver_apply(&driver, &engine), 0);
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 7 * S);
    assert_int_equal(view_of(0).state, SHUNT_INSTANCE_DRAINING);
    engine.u.engine.running = 0;
    assert_int_equal(driver_apply(&driver, &engine), 0);
    driver_run(&driver, 20 * S);
    assert_int_equal(driver_dispatched(&driver, b), 10 * S);
}

/* ------------------------------------------------------------------ co-residents and devices */

static void models_that_fit_stay_together(void **state)
{
    (void)state;
    config.instances[0][0].device_bytes[SHUNT_TIER_RESIDENT] = 30;
    config.instances[1][0].device_bytes[SHUNT_TIER_RESIDENT] = 30;
    config.instances[2][0].device_bytes[SHUNT_TIER_RESIDENT] = 60;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 10 * S);
    assert_int_equal(driver_dispatched(&driver, a), 2 * S);
    assert_int_equal(driver_dispatched(&driver, b), 4 * S);
    assert_int_equal(view_of(0).state, SHUNT_INSTANCE_RESIDENT);
    assert_int_equal(view_of(1).state, SHUNT_INSTANCE_RESIDENT);
    /* 60 + 30 + 1 fit: one victim is enough, the longest visit goes. */
    uint64_t c = driver_request(&driver, 2);
    driver_run(&driver, 20 * S);
    assert_int_equal(driver_dispatched(&driver, c), 13 * S);
    assert_int_equal(view_of(0).state, SHUNT_INSTANCE_ASLEEP);
    assert_int_equal(view_of(1).state, SHUNT_INSTANCE_RESIDENT);
    assert_int_equal(view_of(1).admitting, 1);
}

static void victims_named_by_the_policy_go(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        config.instances[i][0].device_bytes[SHUNT_TIER_RESIDENT] = 45;
    }
    driver_configure(&driver, &config);
    (void)driver_request(&driver, 0);
    (void)driver_request(&driver, 1);
    driver_run(&driver, 10 * S);
    driver_policy_set(&driver, policy_always);
    always.action = SHUNT_SWITCH;
    always.model = 2;
    always.victim_count = 1;
    always.victims[0] = (struct shunt_victim){.instance = 1, .tier = SHUNT_TIER_STOPPED};
    (void)driver_request(&driver, 2);
    driver_run(&driver, 20 * S);
    assert_int_equal(view_of(0).state, SHUNT_INSTANCE_RESIDENT);
    assert_int_equal(view_of(1).tier, SHUNT_TIER_STOPPED);
    assert_int_equal(view_of(2).state, SHUNT_INSTANCE_RESIDENT);
}

static void two_devices_share_one_queue(void **state)
{
    (void)state;
    driver_config_init(&config, 1, 2);
    config.models[0].max_concurrency = 2;
    config.instances[0][0].tier = SHUNT_TIER_RESIDENT;
    config.instances[0][1].tier = SHUNT_TIER_RESIDENT;
    driver_configure(&driver, &config);
    for (uint32_t i = 0; i < 4; i++) {
        (void)driver_request(&driver, 0);
    }
    driver_run(&driver, 0);
    assert_int_equal(view_of(0).in_flight, 2);
    assert_int_equal(view_of(1).in_flight, 2);
}

static void sleepers_go_colder_where_the_host_is_full(void **state)
{
    (void)state;
    config.config.host_memory_bytes = 100; /* one of 80 can sleep */
    driver_configure(&driver, &config);
    for (uint32_t i = 0; i < 3; i++) {
        (void)driver_request(&driver, i);
        driver_run(&driver, driver.now_ns + 10 * S);
    }
    assert_int_equal(view_of(0).tier, SHUNT_TIER_ASLEEP);
    assert_int_equal(view_of(1).tier, SHUNT_TIER_STOPPED);
    assert_int_equal(view_of(2).tier, SHUNT_TIER_RESIDENT);
}

/* ------------------------------------------------------------------ beside switches */

static void prefetch_and_demotion(void **state)
{
    (void)state;
    config.instances[1][0].tiers |= 1u << SHUNT_TIER_STAGED;
    config.instances[1][0].edges_prefetch = 1u << SHUNT_TIER_STAGED;
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_always);
    always.action = SHUNT_SWITCH;
    always.model = 0;
    always.secondary_count = 2;
    always.secondary[0] = (struct shunt_secondary){
        .kind = SHUNT_PREFETCH, .model = 1, .instance = SHUNT_NONE, .tier = SHUNT_TIER_STAGED};
    always.secondary[1] = (struct shunt_secondary){
        .kind = SHUNT_PREFETCH, .model = 2, .instance = SHUNT_NONE, .tier = SHUNT_TIER_STAGED};
    struct core_input params = {.kind = CORE_IN_SLOT};
    params.u.slot = (struct core_in_slot){.slot = 0, .change = CORE_SLOT_PARAMS};
    (void)driver_apply(&driver, &params);
    driver_run(&driver, 20 * S);
    assert_int_equal(view_of(1).tier, SHUNT_TIER_STAGED);
    assert_int_equal(view_of(2).tier, SHUNT_TIER_STOPPED); /* has no such edge */
    assert_true(driver_guards(&driver, CORE_GUARD_SECONDARY) >= 1);
    always.action = SHUNT_STAY;
    always.secondary_count = 1;
    always.secondary[0].kind = SHUNT_DEMOTE;
    always.secondary[0].tier = SHUNT_TIER_STOPPED;
    (void)driver_apply(&driver, &params);
    driver_run(&driver, 40 * S);
    assert_int_equal(view_of(1).tier, SHUNT_TIER_STOPPED);
}

static void gated_visit_admits_what_was_there(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_always);
    always.action = SHUNT_SWITCH;
    always.model = 0;
    always.flags = SHUNT_DECISION_GATED;
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 2 * S);
    always.action = SHUNT_STAY;
    uint64_t b = driver_request(&driver, 0);
    driver_run(&driver, 10 * S);
    assert_int_equal(driver_dispatched(&driver, a), 2 * S);
    assert_int_equal(driver_dispatched(&driver, b), -1);
    assert_int_equal(stats_of(0).waiting, 1);
    always.action = SHUNT_SWITCH; /* resident but waiting: its visit starts at once */
    (void)driver_request(&driver, 0);
    driver_run(&driver, 10 * S);
    assert_int_equal(driver_dispatched(&driver, b), 10 * S);
    assert_int_equal(stats_of(0).visits, 2);
}

static void switch_to_an_empty_model_is_legal(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_always);
    always.action = SHUNT_SWITCH;
    always.model = 2;
    struct core_input params = {.kind = CORE_IN_SLOT};
    params.u.slot = (struct core_in_slot){.slot = 0, .change = CORE_SLOT_PARAMS};
    (void)driver_apply(&driver, &params);
    driver_run(&driver, 5 * S);
    assert_int_equal(view_of(2).state, SHUNT_INSTANCE_RESIDENT);
    assert_int_equal(stats_of(2).visits, 1);
}

static void idle_model_is_unloaded(void **state)
{
    (void)state;
    config.models[0].idle_unload_ns = 30 * S;
    driver_configure(&driver, &config);
    (void)driver_request(&driver, 0);
    driver_run(&driver, 32 * S);
    assert_int_equal(view_of(0).tier, SHUNT_TIER_RESIDENT);
    driver_run(&driver, 40 * S);
    assert_int_equal(view_of(0).tier, SHUNT_TIER_STOPPED);
    assert_int_equal(core_wake_ns(driver.core), CORE_NEVER);
}

/* ------------------------------------------------------------------ losses */

static void lost_engine_requeues_or_fails(void **state)
{
    (void)state;
    driver.service_ns[0] = 5 * S;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    uint64_t streaming = driver_request(&driver, 0);
    driver_run(&driver, 3 * S);
    struct core_input token = {.kind = CORE_IN_FIRST_TOKEN};
    token.u.first_token = driver_id(&driver, streaming);
    (void)driver_apply(&driver, &token);
    struct core_input lost = {.kind = CORE_IN_ENGINE_LOST};
    lost.u.engine_lost = (struct core_in_engine_lost){.instance = 0, .requeue = 1};
    assert_int_equal(driver_apply(&driver, &lost), 0);
    const struct core_action *end = driver_find(&driver, CORE_ACT_END, streaming);
    assert_non_null(end);
    assert_int_equal(end->u.end.outcome, SHUNT_OUTCOME_FAILED);
    assert_null(driver_find(&driver, CORE_ACT_END, a));
    driver_run(&driver, 30 * S);
    assert_int_equal(stats_of(0).ended[SHUNT_OUTCOME_COMPLETED], 1);
    assert_int_equal(stats_of(0).ended[SHUNT_OUTCOME_FAILED], 1);
}

static void stuck_memory_takes_the_device_out(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    (void)driver_request(&driver, 0);
    driver_run(&driver, 5 * S);
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 5 * S);
    const struct core_action *out = NULL;
    for (uint32_t i = 0; i < driver.log_count; i++) {
        if (driver.log[i].kind == CORE_ACT_STEP && driver.log[i].u.step.step == CORE_STEP_OUT) {
            out = &driver.log[i];
        }
    }
    assert_non_null(out);
    struct core_input stuck = {.kind = CORE_IN_STEP};
    stuck.u.step = (struct core_in_step){.switch_id = out->u.step.switch_id,
                                         .instance = 0,
                                         .step = CORE_STEP_OUT,
                                         .ok = 0,
                                         .tier = SHUNT_TIER_STOPPED,
                                         .device_bytes = 50,
                                         .memory_stuck = 1};
    assert_int_equal(driver_apply(&driver, &stuck), 0);
    const struct core_action *end = driver_find(&driver, CORE_ACT_END, b);
    assert_non_null(end);
    assert_int_equal(end->u.end.outcome, SHUNT_OUTCOME_FAILED);
    uint64_t c = driver_request(&driver, 1);
    const struct core_action *reject = driver_find(&driver, CORE_ACT_REJECT, c);
    assert_non_null(reject);
    assert_int_equal(reject->u.reject.reason, CORE_REJECT_UNAVAILABLE);
    driver.event_count = 0; /* the step reported above */
    struct core_input up = {.kind = CORE_IN_DEVICE};
    up.u.device = (struct core_in_device){.device = 0, .up = 1};
    assert_int_equal(driver_apply(&driver, &up), 0);
    uint64_t d = driver_request(&driver, 1);
    driver_run(&driver, 20 * S);
    assert_int_equal(driver_dispatched(&driver, d), 7 * S);
}

/* ------------------------------------------------------------------ operators and reloads */

static void operator_loads_and_unloads(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    assert_int_equal(operate(CORE_OP_LOAD, 1), 0);
    driver_run(&driver, 5 * S);
    assert_int_equal(view_of(1).state, SHUNT_INSTANCE_RESIDENT);
    assert_int_equal(operate(CORE_OP_UNLOAD, 1), 0);
    driver_run(&driver, 10 * S);
    assert_int_equal(view_of(1).state, SHUNT_INSTANCE_STOPPED);
    assert_int_equal(operate(CORE_OP_DRAIN, SHUNT_NONE), 0);
    uint64_t a = driver_request(&driver, 0);
    assert_non_null(driver_find(&driver, CORE_ACT_REJECT, a));
    assert_int_equal(operate(CORE_OP_RESUME, SHUNT_NONE), 0);
    uint64_t b = driver_request(&driver, 0);
    assert_int_equal(operate(CORE_OP_STOP, SHUNT_NONE), 0);
    assert_non_null(driver_find(&driver, CORE_ACT_END, b));
    assert_int_equal(operate(99, 0), -EINVAL);
}

static void reload_keeps_what_stays(void **state)
{
    (void)state;
    driver.service_ns[1] = 1 * S;
    driver_configure(&driver, &config);
    (void)driver_request(&driver, 1);
    driver_run(&driver, 10 * S);
    (void)driver_request(&driver, 2);
    uint64_t gone = driver_request(&driver, 0);
    /* Model 0 goes; 1 and 2 become 0 and 1. */
    static struct driver_config next;
    driver_config_init(&next, 2, 1);
    next.models[0].key = 101;
    next.models[1].key = 102;
    driver_configure(&driver, &next);
    const struct core_action *end = driver_find(&driver, CORE_ACT_END, gone);
    assert_non_null(end);
    assert_int_equal(end->u.end.outcome, SHUNT_OUTCOME_FAILED);
    assert_int_equal(view_of(0).tier, SHUNT_TIER_RESIDENT);
    assert_int_equal(stats_of(0).ended[SHUNT_OUTCOME_COMPLETED], 1);
    assert_int_equal(stats_of(1).queued, 1);
    driver_run(&driver, 30 * S);
    assert_int_equal(stats_of(1).ended[SHUNT_OUTCOME_COMPLETED], 1);
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    struct core_config_error why;
    driver_configure(&driver, &config);
    uint64_t before = core_hash(driver.core);
    config.models[1].key = config.models[0].key;
    assert_int_equal(core_configure(driver.core, &config.config, 0, &why), -EINVAL);
    assert_int_equal(why.model, 1);
    config.models[1].key = 7;
    config.instances[2][0].device_bytes[SHUNT_TIER_RESIDENT] = 101;
    assert_int_equal(core_configure(driver.core, &config.config, 0, &why), -EINVAL);
    assert_int_equal(why.model, 2);
    config.instances[2][0].device_bytes[SHUNT_TIER_RESIDENT] = 80;
    config.config.model_count = DRIVER_MODELS + 1;
    config.config.model_count = 3;
    config.config.guard.switch_limit_ns = 0;
    assert_int_equal(core_configure(driver.core, &config.config, 0, &why), -EINVAL);
    assert_int_equal(core_hash(driver.core), before);
}

/* ------------------------------------------------------------------ slots */

static void shadow_is_asked_and_not_obeyed(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_always);
    struct core_input slot = {.kind = CORE_IN_SLOT};
    slot.u.slot = (struct core_in_slot){.slot = 1, .change = CORE_SLOT_FILL};
    assert_int_equal(driver_apply(&driver, &slot), 0);
    slot.u.slot.change = CORE_SLOT_SHADOW;
    assert_int_equal(driver_apply(&driver, &slot), 0);
    always.action = SHUNT_SWITCH;
    always.model = 0;
    (void)driver_request(&driver, 0);
    driver_run(&driver, 10 * S);
    uint32_t shadows = 0;
    for (uint32_t i = 0; i < driver.log_count; i++) {
        const struct core_action *a = &driver.log[i];
        if (a->kind == CORE_ACT_RECORD && a->u.record.kind == CORE_REC_DECISION &&
            a->u.record.u.decision.verdict == CORE_VERDICT_SHADOW) {
            assert_int_equal(a->u.record.u.decision.slot, 1);
            shadows++;
        }
    }
    assert_true(shadows > 0);
    slot.u.slot.change = CORE_SLOT_LOST;
    assert_int_equal(driver_apply(&driver, &slot), 0);
    slot.u.slot = (struct core_in_slot){.slot = 0, .change = CORE_SLOT_LOST};
    assert_int_equal(driver_apply(&driver, &slot), 0);
    assert_int_equal(core_selected_slot(driver.core), CORE_NONE);
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 30 * S);
    assert_true(driver_dispatched(&driver, b) > 0); /* the built-in decides */
}

static void timers_and_ticks_call_the_slot(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    driver_policy_set(&driver, policy_always);
    struct core_input timer = {.kind = CORE_IN_TIMER};
    timer.u.timer = (struct core_in_timer){.slot = 0, .id = 3, .at_ns = 5 * S};
    assert_int_equal(driver_apply(&driver, &timer), 0);
    timer.u.timer = (struct core_in_timer){.slot = 0, .id = CORE_TIMER_TICK, .at_ns = 2 * S};
    assert_int_equal(driver_apply(&driver, &timer), 0);
    driver_run(&driver, 9 * S);
    uint32_t fired = 0;
    uint32_t ticks = 0;
    for (uint32_t i = 0; i < driver.log_count; i++) {
        const struct core_action *a = &driver.log[i];
        if (a->kind == CORE_ACT_NOTIFY && a->u.notify.hook == CORE_HOOK_TIMER) {
            assert_int_equal(a->t_ns, 5 * S);
            assert_int_equal(a->u.notify.event.timer, 3);
            fired++;
        }
        ticks += a->kind == CORE_ACT_NOTIFY && a->u.notify.hook == CORE_HOOK_TICK;
    }
    assert_int_equal(fired, 1);
    assert_int_equal(ticks, 4);
}

/* The snapshot that is kept up row by row is the one a fresh core would write. */
static void snapshot_in_place_equals_a_fresh_one(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    for (int64_t t = 0; t < 40; t++) {
        driver_request_at(&driver, t * S, (uint32_t)(t * 5 % 3));
    }
    static unsigned char bytes[1 << 20];
    for (int64_t t = 0; t < 50; t++) {
        driver_run(&driver, t * S);
        const struct shunt_snapshot *now = core_snapshot(driver.core);
        const struct shunt_snapshot *costs = core_costs(driver.core);
        size_t size = core_save(driver.core, bytes, sizeof(bytes));
        size_t need = core_load_size(bytes, size);
        void *memory = aligned_alloc(64, (need + 63) & ~(size_t)63);
        struct core *copy = core_load(memory, need, bytes, size);
        assert_non_null(copy);
        assert_memory_equal(now, core_snapshot(copy), now->bytes);
        const struct shunt_snapshot *other = core_costs(copy);
        assert_memory_equal((const char *)costs + sizeof(*costs),
                            (const char *)other + sizeof(*costs), costs->bytes - sizeof(*costs));
        free(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(drain_limit_cuts),
        TEST(requeue_drain_keeps_the_age),
        TEST(engine_that_still_runs_is_not_drained),
        TEST(models_that_fit_stay_together),
        TEST(victims_named_by_the_policy_go),
        TEST(two_devices_share_one_queue),
        TEST(sleepers_go_colder_where_the_host_is_full),
        TEST(prefetch_and_demotion),
        TEST(gated_visit_admits_what_was_there),
        TEST(switch_to_an_empty_model_is_legal),
        TEST(idle_model_is_unloaded),
        TEST(lost_engine_requeues_or_fails),
        TEST(stuck_memory_takes_the_device_out),
        TEST(operator_loads_and_unloads),
        TEST(reload_keeps_what_stays),
        TEST(bad_configurations_are_refused),
        TEST(shadow_is_asked_and_not_obeyed),
        TEST(timers_and_ticks_call_the_slot),
        TEST(snapshot_in_place_equals_a_fresh_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
