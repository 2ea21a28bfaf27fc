/*
 * Batch means: sizes and merging exactly, and the error against streams whose error is known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "sim/batch_means.h"

#include <math.h>
#include <string.h>

enum { STREAMS = 300, LENGTH = 50000 };

static void test_doubling(void **state)
{
    (void)state;
    struct batch_means b = {0};
    for (int64_t i = 0; i < 100000; i++) {
        batch_means_add(&b, i);
        uint64_t size = UINT64_C(1) << b.shift;
        assert_true(b.full <= BATCH_MEANS_SLOTS);
        assert_int_equal(batch_means_count(&b), i + 1);
        assert_true(b.fill < size);
        assert_true(i + 1 < BATCH_MEANS_SLOTS || b.full >= BATCH_MEANS_SLOTS / 2);
    }
    /* The sums are those of the values in order. */
    int64_t next = 0, size = INT64_C(1) << b.shift;
    for (uint32_t i = 0; i < b.full; i++, next += size) {
        assert_true(b.sum[i] == (wide)size * next + (wide)size * (size - 1) / 2);
    }
    assert_true(batch_means_total(&b) == (wide)100000 * 99999 / 2);
    assert_true(batch_means_figures(&b).mean == 49999.5);
    /* A trend: neighbours are alike. */
    assert_true(batch_means_figures(&b).lag1 > 0.8);
}

static void test_too_little(void **state)
{
    (void)state;
    struct batch_means b = {0};
    struct batch_means_figures f = batch_means_figures(&b);
    assert_true(isnan(f.mean) && isnan(f.se) && isnan(f.lag1) && f.batches == 0);
    for (int i = 0; i < BATCH_MEANS_MIN; i++) {
        assert_true(isnan(batch_means_figures(&b).se));
        batch_means_add(&b, 7);
    }
    f = batch_means_figures(&b);
    assert_true(f.mean == 7 && f.se == 0 && isnan(f.lag1) && f.batches == BATCH_MEANS_MIN);
}

static void test_large(void **state)
{
    (void)state;
    struct batch_means b = {0};
    for (int i = 0; i < 1000; i++) {
        batch_means_add(&b, INT64_MAX);
    }
    assert_true(batch_means_total(&b) == (wide)INT64_MAX * 1000);
    assert_true(batch_means_figures(&b).mean == (double)INT64_MAX);
}

/*
 * x' = phi x + u with u uniform on [-1/2, 1/2]: the mean of n values has the variance
 * (1/12) / (1 - phi)^2 / n for large n. The estimated errors must come out at that, and the true
 * mean must lie within two of them as often as Student's t (31 to 63 degrees) says: 94.6 to 95.0 %.
 */
static void check_stream(double phi, double error_max)
{
    double true_se = sqrt(1.0 / 12 / LENGTH) / (1 - phi), sum = 0;
    int covered = 0, dependent = 0;
    for (uint64_t s = 0; s < STREAMS; s++) {
        struct batch_means b = {0};
        double x = 0;
        for (uint64_t i = 0; i < LENGTH; i++) {
            x = phi * x + random_unit(random_u64(11, s, i)) - 0.5;
            batch_means_add(&b, (int64_t)floor((x + 100) * 1e9 + 0.5));
        }
        struct batch_means_figures f = batch_means_figures(&b);
        sum += f.se / 1e9;
        covered += fabs(f.mean / 1e9 - 100) < 2 * f.se / 1e9;
        dependent += f.lag1 > 0.4;
    }
    assert_true(fabs(sum / STREAMS / true_se - 1) < error_max);
    /* Of 300 streams 285 are expected; four standard deviations are 15. */
    assert_in_range(covered, 270, 298);
    assert_true(dependent <= 3);
}

static void test_independent(void **state)
{
    (void)state;
    check_stream(0, 0.03);
}

static void test_dependent(void **state)
{
    (void)state;
    check_stream(0.9, 0.04);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubling),  cmocka_unit_test(test_too_little),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_independent),
        cmocka_unit_test(test_dependent),
    };
    return cmocka_run_group_tests_name("batch_means", tests, NULL, NULL);
}
