/* Serving and switching in the plain case: built-in policy, one device, waits that add up. */
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

static int setup(void **state)
{
    (void)state;
    driver_init(&driver);
    driver_config_init(&config, 3, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    driver_fini(&driver);
    return 0;
}

static void first_request_brings_its_model_in(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 100 * S);
    assert_int_equal(driver_dispatched(&driver, a), 2 * S);
    const struct core_action *d = driver_find(&driver, CORE_ACT_DISPATCH, a);
    assert_int_equal(d->u.dispatch.wait_ns[CORE_WAIT_IN], 2 * S);
    struct core_model_stats stats;
    core_model_stats(driver.core, 0, driver.now_ns, &stats);
    assert_int_equal(stats.ended[SHUNT_OUTCOME_COMPLETED], 1);
    assert_int_equal(stats.gap_max_ns, 2 * S);
    struct core_device_stats device;
    core_device_stats(driver.core, 0, driver.now_ns, &device);
    assert_int_equal(device.state_ns[SHUNT_DEVICE_SWITCHING], 2 * S);
    assert_int_equal(device.state_ns[SHUNT_DEVICE_SERVING], 1 * S);
    assert_int_equal(device.state_ns[SHUNT_DEVICE_IDLE], 97 * S);
    assert_int_equal(device.switches, 1);
}

static void second_model_waits_for_drain_out_and_in(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 2 * S + S / 2);
    uint64_t b = driver_request(&driver, 1);
    driver_run(&driver, 100 * S);
    assert_int_equal(driver_dispatched(&driver, a), 2 * S);
    /* Drain to 3 s, out 1 s, in 2 s. */
    assert_int_equal(driver_dispatched(&driver, b), 6 * S);
    const struct core_action *d = driver_find(&driver, CORE_ACT_DISPATCH, b);
    assert_int_equal(d->u.dispatch.wait_ns[CORE_WAIT_DRAIN], S / 2);
    assert_int_equal(d->u.dispatch.wait_ns[CORE_WAIT_OUT], 1 * S);
    assert_int_equal(d->u.dispatch.wait_ns[CORE_WAIT_IN], 2 * S);
    struct core_cost cost;
    core_cost_pair(driver.core, 0, 1, &cost);
    assert_int_equal(cost.count, 1);
    assert_true(cost.mean_ns == 3e9);
    core_cost_pair(driver.core, CORE_NONE, 0, &cost);
    assert_int_equal(cost.count, 1);
    assert_true(cost.mean_ns == 2e9);
    core_cost_part(driver.core, 0, SHUNT_TIER_ASLEEP, CORE_COST_OUT, &cost);
    assert_int_equal(cost.count, 1);
}

static void concurrency_is_kept(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    uint64_t last = 0;
    for (int i = 0; i < 9; i++) {
        last = driver_request(&driver, 0);
    }
    driver_run(&driver, 100 * S);
    assert_int_equal(driver_dispatched(&driver, last), 4 * S);
    const struct core_action *d = driver_find(&driver, CORE_ACT_DISPATCH, last);
    assert_int_equal(d->u.dispatch.wait_ns[CORE_WAIT_QUEUE], 2 * S);
}

static void cancel_in_queue_and_in_flight(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    uint64_t b = driver_request(&driver, 0);
    struct core_input cancel = {.kind = CORE_IN_CANCEL};
    cancel.u.cancel.outcome = SHUNT_OUTCOME_CANCELLED;
    cancel.u.cancel.request = driver_id(&driver, a);
    assert_int_equal(driver_apply(&driver, &cancel), 0);
    assert_non_null(driver_find(&driver, CORE_ACT_END, a));
    assert_int_equal(driver_apply(&driver, &cancel), -ESTALE);
    driver_run(&driver, 2 * S);
    assert_int_equal(driver_dispatched(&driver, a), -1);
    assert_int_equal(driver_dispatched(&driver, b), 2 * S);
    cancel.u.cancel.request = driver_id(&driver, b);
    assert_int_equal(driver_apply(&driver, &cancel), 0);
    assert_non_null(driver_find(&driver, CORE_ACT_ABORT, b));
    struct core_model_stats stats;
    core_model_stats(driver.core, 0, driver.now_ns, &stats);
    assert_int_equal(stats.ended[SHUNT_OUTCOME_CANCELLED], 2);
    assert_int_equal(stats.in_flight, 1); /* its place is held until COMPLETE */
    driver_run(&driver, 3 * S);
    core_model_stats(driver.core, 0, driver.now_ns, &stats);
    assert_int_equal(stats.in_flight, 0);
}

static void old_requests_expire(void **state)
{
    (void)state;
    config.models[1].max_wait_ns = 3 * S;
    driver.in_ns[1] = 10 * S;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 1);
    driver_run(&driver, 20 * S);
    const struct core_action *end = driver_find(&driver, CORE_ACT_END, a);
    assert_non_null(end);
    assert_int_equal(end->t_ns, 3 * S);
    assert_int_equal(end->u.end.outcome, SHUNT_OUTCOME_EXPIRED);
}

static void queue_is_limited(void **state)
{
    (void)state;
    config.models[0].queue_max = 2;
    driver_configure(&driver, &config);
    (void)driver_request(&driver, 0);
    (void)driver_request(&driver, 0);
    uint64_t c = driver_request(&driver, 0);
    const struct core_action *reject = driver_find(&driver, CORE_ACT_REJECT, c);
    assert_non_null(reject);
    assert_int_equal(reject->u.reject.reason, CORE_REJECT_QUEUE_FULL);
}

static void failed_load_ends_the_queue_and_is_quarantined(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    driver.in_fails[0] = 1;
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 2 * S);
    const struct core_action *end = driver_find(&driver, CORE_ACT_END, a);
    assert_non_null(end);
    assert_int_equal(end->u.end.outcome, SHUNT_OUTCOME_FAILED);
    uint64_t b = driver_request(&driver, 0);
    const struct core_action *reject = driver_find(&driver, CORE_ACT_REJECT, b);
    assert_non_null(reject);
    assert_int_equal(reject->u.reject.reason, CORE_REJECT_UNAVAILABLE);
    assert_int_equal(reject->u.reject.retry_after_ns, 30 * S);
    driver_run(&driver, 33 * S);
    uint64_t c = driver_request(&driver, 0);
    driver_run(&driver, 40 * S);
    assert_int_equal(driver_dispatched(&driver, c), 35 * S);
}

static void retried_load_serves(void **state)
{
    (void)state;
    config.config.retries_max = 2;
    driver.in_retry = 1;
    driver.in_fails[0] = 2;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 20 * S);
    assert_int_equal(driver_dispatched(&driver, a), 6 * S);
    const struct core_action *d = driver_find(&driver, CORE_ACT_DISPATCH, a);
    assert_int_equal(d->u.dispatch.wait_ns[CORE_WAIT_IN], 2 * S);
    assert_int_equal(d->u.dispatch.wait_ns[CORE_WAIT_RETRY], 4 * S);
    struct core_cost cost; /* only the attempt that worked is a measurement */
    core_cost_part(driver.core, 0, SHUNT_TIER_STOPPED, CORE_COST_IN, &cost);
    assert_int_equal(cost.count, 1);
    assert_true(cost.mean_ns == 2e9);
}

static void hanging_load_is_cancelled_at_the_limit(void **state)
{
    (void)state;
    driver.hang[0] = true;
    driver_configure(&driver, &config);
    uint64_t a = driver_request(&driver, 0);
    driver_run(&driver, 60 * S);
    const struct core_action *end = driver_find(&driver, CORE_ACT_END, a);
    assert_non_null(end);
    assert_int_equal(end->t_ns, 20 * S);
    assert_int_equal(driver_count(&driver, CORE_ACT_STEP_CANCEL), 1);
}

static void saved_core_goes_on_alike(void **state)
{
    (void)state;
    driver_configure(&driver, &config);
    for (uint32_t i = 0; i < 30; i++) {
        driver_request_at(&driver, i * S / 3, i * 7 % 3);
    }
    driver_run(&driver, 5 * S);
    static unsigned char bytes[1 << 20];
    size_t size = core_save(driver.core, bytes, sizeof(bytes));
    assert_true(size > 0 && size == core_save_size(driver.core));
    size_t need = core_load_size(bytes, size);
    void *memory = aligned_alloc(64, (need + 63) & ~(size_t)63);
    struct core *copy = core_load(memory, need, bytes, size);
    assert_non_null(copy);
    assert_int_equal(core_hash(copy), core_hash(driver.core));
    static struct driver other;
    memcpy(&other, &driver, sizeof(other));
    other.core = copy;
    driver_run(&driver, 60 * S);
    driver_run(&other, 60 * S);
    assert_int_equal(core_hash(copy), core_hash(driver.core));
    assert_int_equal(driver.log_count, other.log_count);
    assert_memory_equal(driver.log, other.log, driver.log_count * sizeof(driver.log[0]));
    bytes[size / 2] ^= 1;
    assert_null(core_load(memory, need, bytes, size));
    free(memory);
}

/* A simulation gives the core room for millions of requests: what is not used must stay as it was,
 * so that pages of it are never brought in. */
static void room_that_is_not_used_is_not_touched(void **state)
{
    (void)state;
    const struct core_limits limits = {.models_max = 4,
                                       .devices_max = 1,
                                       .instances_max = 4,
                                       .slots_max = 1,
                                       .queued_max = 20000,
                                       .in_flight_max = 4};
    size_t size = core_size(&limits);
    unsigned char *memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    assert_non_null(memory);
    memset(memory, 0xa5, size);
    struct core *core = core_init(memory, size, &limits, 1);
    assert_non_null(core);
    size_t touched = 0;
    for (size_t i = 0; i < size; i++) {
        touched += memory[i] != 0xa5;
    }
    assert_in_range(touched, 1, 64 * 1024);
    assert_true(core_save_size(core) < 64 * 1024);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(first_request_brings_its_model_in),
        TEST(second_model_waits_for_drain_out_and_in),
        TEST(concurrency_is_kept),
        TEST(cancel_in_queue_and_in_flight),
        TEST(old_requests_expire),
        TEST(queue_is_limited),
        TEST(failed_load_ends_the_queue_and_is_quarantined),
        TEST(retried_load_serves),
        TEST(hanging_load_is_cancelled_at_the_limit),
        TEST(saved_core_goes_on_alike),
        TEST(room_that_is_not_used_is_not_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
