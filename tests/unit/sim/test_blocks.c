/* Slices of a run: who belongs to which, and their figures, counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/blocks.h"

#include <math.h>
#include <stdlib.h>

#define S(x) ((int64_t)((double)(x)*1e9))

/* Ten arrivals a second apart, each waits its number; three slices: 0 to 3, 4 to 6, 7 to 9. The
 * first two are warm-up. Completed work grows by half a second a second. */
static void test_by_hand(void **state)
{
    (void)state;
    struct blocks *blocks = NULL;
    struct result_block *figures = NULL;
    uint32_t count = 0;
    static const double mean_s[] = {2.5, 5, 8}, from_s[] = {0, 4, 7};
    static const uint64_t arrivals[] = {4, 3, 3}, measured[] = {2, 3, 3};
    assert_int_equal(blocks_create(3, 10, &blocks), 0);
    for (uint64_t i = 0; i < 10; i++) {
        blocks_arrival(blocks, i, i >= 2, S(i), (wide)S(0.5 * (double)i));
        if (i == 5) { /* ends of an earlier slice, when a later one arrives, in another order */
            blocks_ended(blocks, 3, S(3));
            blocks_ended(blocks, 2, S(2));
        }
    }
    blocks_last_arrival(blocks, S(9), (wide)S(4.5));
    for (uint64_t i = 10; i-- > 4;) {
        blocks_ended(blocks, i, S(i));
    }
    assert_int_equal(blocks_figures(blocks, &figures, &count), 0);
    assert_int_equal(count, 3);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(figures[i].arrivals, arrivals[i]);
        assert_int_equal(figures[i].measured, measured[i]);
        assert_true(fabs(figures[i].from_s - from_s[i]) < 1e-12);
        assert_true(fabs(figures[i].wait_mean_s - mean_s[i]) < 1e-12);
        assert_true(fabs(figures[i].work_per_s - 0.5) < 1e-12);
    }
    assert_true(fabs(figures[2].wait_p99_s - 9) < 0.09);
    free(figures);
    blocks_destroy(blocks);
}

/* Whatever the numbers, slices differ by one arrival at most, and cover all. */
static void test_equal_sizes(void **state)
{
    (void)state;
    for (uint64_t arrivals = 1; arrivals < 200; arrivals += 7) {
        for (uint32_t count = 1; count <= arrivals && count <= 40; count++) {
            struct blocks *blocks = NULL;
            struct result_block *figures = NULL;
            uint32_t got = 0;
            uint64_t total = 0;
            assert_int_equal(blocks_create(count, arrivals, &blocks), 0);
            for (uint64_t i = 0; i < arrivals; i++) {
                blocks_arrival(blocks, i, false, (int64_t)i, 0);
            }
            blocks_last_arrival(blocks, (int64_t)arrivals, 0);
            assert_int_equal(blocks_figures(blocks, &figures, &got), 0);
            for (uint32_t i = 0; i < got; i++) {
                assert_in_range(figures[i].arrivals, arrivals / count,
                                (arrivals + count - 1) / count);
                assert_true(isnan(figures[i].wait_mean_s) && isnan(figures[i].wait_p99_s));
                total += figures[i].arrivals;
            }
            assert_int_equal(total, arrivals);
            free(figures);
            blocks_destroy(blocks);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand),
                                       cmocka_unit_test(test_equal_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
