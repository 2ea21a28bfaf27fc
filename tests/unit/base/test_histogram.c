/*
 * The histogram against exact quantiles of sorted values, over shapes that span the whole range.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES = 20000 };

static int64_t values[VALUES];
static struct histogram h, part[3], joined;

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void check_quantiles(void)
{
    memset(&h, 0, sizeof h);
    double sum = 0;
    for (int i = 0; i < VALUES; i++) {
        histogram_add(&h, values[i]);
        sum += (double)values[i];
    }
    qsort(values, VALUES, sizeof *values, compare);
    assert_int_equal(h.count, VALUES);
    assert_int_equal(h.min, values[0]);
    assert_int_equal(h.max, values[VALUES - 1]);
    assert_true(fabs(histogram_mean(&h) * VALUES - sum) <= 1e-9 * sum);
    for (int per_mille = 0; per_mille <= 1000; per_mille++) {
        double q = per_mille / 1000.0;
        size_t rank = (size_t)ceil(q * VALUES);
        int64_t exact = values[rank ? rank - 1 : 0];
        int64_t got = histogram_quantile(&h, q);
        if (fabs((double)(got - exact)) > 0.01 * (double)exact) {
            fail_msg("q %g: %lld, exact %lld", q, (long long)got, (long long)exact);
        }
    }
    assert_int_equal(histogram_quantile(&h, 0), values[0]);
    assert_int_equal(histogram_quantile(&h, 1), values[VALUES - 1]);
}

static void test_shapes(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < 6; shape++) {
        for (uint64_t i = 0; i < VALUES; i++) {
            uint64_t r = mix(i + shape * VALUES);
            switch (shape) {
            case 0: /* log-uniform over everything */
                values[i] = (int64_t)(r >> 1 >> (r & 62));
                break;
            case 1:
                values[i] = (int64_t)(r % 100);
                break;
            case 2:
                values[i] = (int64_t)(r % 1000000007);
                break;
            case 3:
                values[i] = INT64_C(1000000000);
                break;
            case 4: /* two far modes */
                values[i] = r & 1 ? 3 : INT64_C(4000000000000);
                break;
            default:
                values[i] = r & 1 ? INT64_MAX : 0;
                break;
            }
        }
        check_quantiles();
    }
}

/* Each power of two and its neighbours falls within the error of itself. */
static void test_edges(void **state)
{
    (void)state;
    for (unsigned power = 0; power < 63; power++) {
        for (int64_t d = -1; d <= 1; d++) {
            int64_t value = (int64_t)(UINT64_C(1) << power) + d;
            memset(&h, 0, sizeof h);
            histogram_add(&h, value);
            histogram_add(&h, INT64_MAX);
            histogram_add(&h, 0);
            int64_t got = histogram_quantile(&h, 0.5);
            assert_true(fabs((double)(got - value)) <= (double)value / 128);
        }
    }
}

static void test_merge(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    memset(part, 0, sizeof part);
    memset(&joined, 0, sizeof joined);
    for (uint64_t i = 0; i < VALUES; i++) {
        int64_t value = (int64_t)(mix(i) % 5000000);
        histogram_add(&h, value);
        histogram_add(&part[i % 2], value);
    }
    histogram_merge(&joined, &part[2]);
    assert_int_equal(joined.count, 0);
    histogram_merge(&joined, &part[1]);
    histogram_merge(&joined, &part[2]);
    histogram_merge(&joined, &part[0]);
    assert_memory_equal(&joined, &h, sizeof h);
}

static void test_empty_and_negative(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_true(histogram_mean(&h) <= 0);
    assert_int_equal(histogram_count_to(&h, INT64_MAX), 0);
    histogram_add(&h, -5);
    assert_int_equal(h.max, 0);
    assert_int_equal(histogram_count_to(&h, 0), 1);
    assert_int_equal(histogram_count_to(&h, -1), 0);
}

static void test_count_to(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    for (int64_t i = 0; i < 1000; i++) {
        histogram_add(&h, i);
    }
    assert_int_equal(histogram_count_to(&h, 63), 64);
    assert_int_equal(histogram_count_to(&h, 127), 128);
    assert_int_equal(histogram_count_to(&h, 5000), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),   cmocka_unit_test(test_edges),
        cmocka_unit_test(test_merge),    cmocka_unit_test(test_empty_and_negative),
        cmocka_unit_test(test_count_to),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
