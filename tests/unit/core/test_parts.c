/* The pure parts of core: costs, rates, random numbers, blobs and bounds, against numbers worked
 * out by hand or naive models. */
#include "core/blob.h"
#include "core/bound.h"
#include "core/cost.h"
#include "core/rate.h"
#include "core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void close_to(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fabs(want))) {
        print_error("got %.17g, want %.17g\n", got, want);
        fail();
    }
}

/* 2 4 4 4 5 5 7 9: mean 5, sum of squared deviations 32. */
static void cost_is_exact_at_first(void **state)
{
    (void)state;
    static const int64_t samples[] = {2, 4, 4, 4, 5, 5, 7, 9};
    struct core_cost_cell cell = {0};
    struct core_cost cost;
    core_cost_read(&cell, &cost);
    assert_true(cost.count == 0 && isnan(cost.mean_ns) && isnan(cost.p95_ns));
    for (size_t i = 0; i < 8; i++) {
        core_cost_add(&cell, samples[i]);
    }
    core_cost_read(&cell, &cost);
    assert_int_equal(cost.count, 8);
    close_to(cost.mean_ns, 5, 1e-12);
    close_to(cost.var_ns2, 32.0 / 7, 1e-12);
    close_to(cost.p95_ns, 9, 0);
}

static void cost_follows_a_change(void **state)
{
    (void)state;
    struct core_cost_cell cell = {0};
    struct core_cost cost;
    for (int i = 0; i < 100; i++) {
        core_cost_add(&cell, 1000);
    }
    for (int i = 0; i < 100; i++) {
        core_cost_add(&cell, 3000);
    }
    core_cost_read(&cell, &cost);
    close_to(cost.mean_ns, 3000, 0.01);
    close_to(cost.p95_ns, 3000, 0);
}

static void cost_percentile_is_the_nearest_rank(void **state)
{
    (void)state;
    struct core_cost_cell cell = {0};
    struct core_cost cost;
    for (int64_t i = 20; i >= 1; i--) {
        core_cost_add(&cell, i);
    }
    core_cost_read(&cell, &cost);
    close_to(cost.p95_ns, 19, 0); /* rank ceil(.95 * 20) = 19 */
}

static void cost_survives_a_prior(void **state)
{
    (void)state;
    struct core_cost prior = {.mean_ns = 5e9, .var_ns2 = 4e18, .p95_ns = 9e9, .count = 12}, back;
    struct core_cost_cell cell;
    core_cost_load(&cell, &prior);
    core_cost_read(&cell, &back);
    close_to(back.mean_ns, 5e9, 1e-12);
    close_to(back.var_ns2, 4e18, 1e-9);
    close_to(back.p95_ns, 9e9, 1e-12);
    assert_int_equal(back.count, 12);
}

static void cost_of_a_switch_prefers_the_measured_pair(void **state)
{
    (void)state;
    struct core_cost_cell pair = {0}, out = {0}, in = {0};
    const struct core_cost_cell *parts[] = {&out, &in};
    struct core_cost cost;
    core_cost_combine(&pair, parts, 2, &cost);
    assert_true(isnan(cost.mean_ns));
    core_cost_add(&out, 10);
    core_cost_combine(&pair, parts, 2, &cost);
    assert_true(isnan(cost.mean_ns)); /* one part is still unknown */
    core_cost_add(&in, 20);
    core_cost_combine(&pair, parts, 2, &cost);
    close_to(cost.mean_ns, 30, 0);
    assert_int_equal(cost.count, 0);
    core_cost_add(&pair, 25);
    core_cost_combine(&pair, parts, 2, &cost);
    close_to(cost.mean_ns, 25, 0);
    assert_int_equal(cost.count, 1);
}

/* A Poisson process of rate 5/s, keyed draws: the estimate's mean over many times is 5. */
static void rate_is_unbiased(void **state)
{
    (void)state;
    struct core_rate rate;
    core_rate_init(&rate, 10e9);
    double t_s = 0, sum = 0;
    int readings = 0;
    for (uint64_t i = 0; t_s < 20000; i++) {
        t_s += -log(1 - core_random_unit(core_random(3, 1, 1, i))) / 5;
        core_rate_event(&rate, (int64_t)(t_s * 1e9));
        if (i % 50 == 49) {
            /* Just before the next event would bias; half a second later does not matter here. */
            sum += core_rate_per_s(&rate, (int64_t)(t_s * 1e9));
            readings++;
        }
    }
    /* Read at events the estimate is higher by the event itself: 1 / tau = 0.1. */
    close_to(sum / readings, 5.1, 0.02);
}

static void rate_starts_unknown_and_forgets(void **state)
{
    (void)state;
    struct core_rate rate;
    core_rate_init(&rate, 1e9);
    assert_true(core_rate_per_s(&rate, 5) == 0);
    core_rate_event(&rate, 0);
    assert_true(core_rate_per_s(&rate, 0) == 0);
    core_rate_event(&rate, 1000000000);
    assert_true(core_rate_per_s(&rate, 1000000000) > 1);
    assert_true(core_rate_per_s(&rate, 31000000000) < 1e-9);
}

/* First outputs of SplitMix64 seeded with 0, as published with the generator. */
static void mixer_is_splitmix64(void **state)
{
    (void)state;
    assert_true(core_mix64(0) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(core_mix64(UINT64_C(0x9e3779b97f4a7c15)) == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(core_random_unit(UINT64_MAX) < 1 && core_random_unit(0) == 0);
    assert_true(core_random(1, 2, 3, 4) == core_random(1, 2, 3, 4));
    assert_true(core_random(1, 2, 3, 4) != core_random(1, 2, 4, 3));
}

static void blob_directory_is_sound(void **state)
{
    (void)state;
    for (int costs = 0; costs < 2; costs++) {
        size_t bytes = core_blob_size(costs, 5, 3, 7);
        static _Alignas(8) char memory[1 << 14];
        assert_true(bytes <= sizeof memory);
        struct core_blob blob;
        core_blob_init(&blob, memory, costs, 5, 3, 7);
        assert_int_equal(blob.head->bytes, bytes);
        uint32_t end = 0;
        for (uint32_t i = 0; i < blob.head->column_count; i++) {
            const struct shunt_column *column =
                (const struct shunt_column *)(const void *)(memory + blob.head->column_offset) + i;
            assert_true(column->offset % 8 == 0 && column->offset >= end);
            end = column->offset + column->count * (column->type == SHUNT_TYPE_U32 ? 4u : 8u);
            assert_true(end <= bytes);
            assert_ptr_equal(blob.column[column->id], memory + column->offset);
        }
    }
}

static void blob_is_read_through_the_sdk(void **state)
{
    (void)state;
    static _Alignas(8) char memory[2][1 << 13];
    assert_true(core_blob_size(false, 2, 1, 2) <= sizeof memory[0]);
    struct shunt_snapshot *snapshot = (void *)memory[0], *costs = (void *)memory[1];
    struct core_blob blob, cost_blob;
    core_blob_init(&blob, snapshot, false, 2, 1, 2);
    core_blob_init(&cost_blob, costs, true, 2, 1, 2);
    core_blob_u32(&blob, SHUNT_COL_QUEUE_LEN)[1] = 42;
    assert_int_equal(shunt_u32(snapshot, SHUNT_COL_QUEUE_LEN)[1], 42);
    assert_null(shunt_f64(snapshot, SHUNT_COL_QUEUE_LEN)); /* another type */
    assert_null(shunt_f64(snapshot, SHUNT_COL_COST_MEAN_NS));
    double *mean = core_blob_f64(&cost_blob, SHUNT_COL_COST_MEAN_NS);
    mean[0 * 2 + 1] = 7;
    mean[2 * 2 + 0] = 9; /* from the empty device */
    mean[1 * 2 + 0] = NAN;
    assert_true(shunt_cost_ns(costs, 0, 1, 5) == 7);
    assert_true(shunt_cost_ns(costs, SHUNT_NONE, 0, 5) == 9);
    assert_true(shunt_cost_ns(costs, 1, 0, 5) == 5);
    assert_true(shunt_cost_ns(NULL, 1, 0, 5) == 5);
}

/* N 2, C 4, T 1, D 6, delta 1, A 1, M large: V = 12; A + N V + C = 29. */
static void bounds_are_the_formulas(void **state)
{
    (void)state;
    struct core_bound_input in = {.models = 2,
                                  .overtakes = 100,
                                  .dispatches_min = 4,
                                  .queue_max = 10,
                                  .max_concurrency = 4,
                                  .age_ns = 1,
                                  .visit_cap_ns = 1,
                                  .drain_ns = 6,
                                  .switch_limit_ns = 4,
                                  .answer_ns = 1,
                                  .service_limit_ns = 5};
    assert_int_equal(core_bound_gap_ns(&in), 29);
    assert_int_equal(core_bound_wait_ns(&in), 3 * (29 + 5)); /* ceil(10 / 4) */
    in.overtakes = 0;
    assert_int_equal(core_bound_gap_ns(&in), 2 * 12 + 4);
    in.requeue = 1;
    assert_int_equal(core_bound_wait_ns(&in), 11 * (28 + 5)); /* ceil(3 (10 + 4) / 4) */
    in.service_limit_ns = 0;
    assert_int_equal(core_bound_wait_ns(&in), 0);
    in.age_ns = CORE_NEVER;
    in.overtakes = UINT32_MAX;
    in.visit_cap_ns = CORE_NEVER / 2;
    assert_true(core_bound_gap_ns(&in) == CORE_NEVER);
    assert_int_equal(core_auto_age_ns(3, 4, 1, 6), 66);
    assert_int_equal(core_auto_visit_cap_ns(2, 1, 120), 150);
    assert_int_equal(core_auto_visit_cap_ns(1, 1, 120), 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost_is_exact_at_first),
        cmocka_unit_test(cost_follows_a_change),
        cmocka_unit_test(cost_percentile_is_the_nearest_rank),
        cmocka_unit_test(cost_survives_a_prior),
        cmocka_unit_test(cost_of_a_switch_prefers_the_measured_pair),
        cmocka_unit_test(rate_is_unbiased),
        cmocka_unit_test(rate_starts_unknown_and_forgets),
        cmocka_unit_test(mixer_is_splitmix64),
        cmocka_unit_test(blob_directory_is_sound),
        cmocka_unit_test(blob_is_read_through_the_sdk),
        cmocka_unit_test(bounds_are_the_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
