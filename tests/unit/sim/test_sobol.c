/*
 * Sobol points: the first ones as published, how evenly they lie (every dyadic interval, property A
 * in all 64 dimensions, discrepancy against random points), and what a shift keeps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "sim/sobol.h"

#include <stdlib.h>
#include <string.h>

enum { POINTS = 256 };

static struct sobol sobol;

/* The first eight points of three dimensions, in Gray code order: Joe and Kuo's own example. */
static void test_first_points(void **state)
{
    (void)state;
    static const double expected[8][3] = {
        {0, 0, 0},          {.5, .5, .5},       {.75, .25, .25},    {.25, .75, .75},
        {.375, .375, .625}, {.875, .875, .125}, {.625, .125, .875}, {.125, .625, .375}};
    sobol_init(&sobol, 3, 0);
    for (uint64_t i = 0; i < 8; i++) {
        double point[3];
        sobol_point(&sobol, i, point);
        for (int d = 0; d < 3; d++) {
            assert_true(point[d] == expected[i][d]);
        }
    }
}

/* 2^k points have one in each of 2^k equal parts of every axis, shifted or not. */
static void test_each_axis_is_even(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        static unsigned char seen[SOBOL_DIMENSIONS_MAX][POINTS];
        memset(seen, 0, sizeof(seen));
        sobol_init(&sobol, SOBOL_DIMENSIONS_MAX, seed);
        for (uint64_t i = 0; i < POINTS; i++) {
            double point[SOBOL_DIMENSIONS_MAX];
            sobol_point(&sobol, i, point);
            for (uint32_t d = 0; d < SOBOL_DIMENSIONS_MAX; d++) {
                assert_true(point[d] >= 0 && point[d] < 1);
                unsigned char *cell = &seen[d][(size_t)(point[d] * POINTS)];
                assert_int_equal(*cell, 0);
                *cell = 1;
            }
        }
    }
}

/* Property A, as its definition says it: among the first 2^d points no two are in the same halves
 * of all d axes. A mistake in one number of the table breaks it somewhere. */
static void test_property_a(void **state)
{
    (void)state;
    enum { DIMENSIONS = 21 };
    unsigned char *seen = malloc(UINT32_C(1) << DIMENSIONS);
    assert_non_null(seen);
    for (uint32_t d = 1; d <= DIMENSIONS; d += 4) {
        sobol_init(&sobol, d, 0);
        memset(seen, 0, UINT32_C(1) << d);
        for (uint64_t i = 0; i < UINT64_C(1) << d; i++) {
            double point[DIMENSIONS];
            uint32_t cell = 0;
            sobol_point(&sobol, i, point);
            for (uint32_t k = 0; k < d; k++) {
                cell = cell << 1 | (point[k] >= 0.5);
            }
            assert_int_equal(seen[cell]++, 0);
        }
    }
    free(seen);
}

/* L2 star discrepancy, squared, by Warnock's formula. */
static double discrepancy(double (*points)[4], int count, int dimensions)
{
    double third = 1, once = 0, twice = 0;
    for (int d = 0; d < dimensions; d++) {
        third /= 3;
    }
    for (int i = 0; i < count; i++) {
        double product = 1;
        for (int d = 0; d < dimensions; d++) {
            product *= (1 - points[i][d] * points[i][d]) / 2;
        }
        once += product;
        for (int j = 0; j < count; j++) {
            product = 1;
            for (int d = 0; d < dimensions; d++) {
                double larger = points[i][d] > points[j][d] ? points[i][d] : points[j][d];
                product *= 1 - larger;
            }
            twice += product;
        }
    }
    return third - 2 * once / count + twice / count / count;
}

/* Random points have (2^-4 - 3^-4) / n on average; their own figure shows that the formula is. */
static void test_more_even_than_random(void **state)
{
    (void)state;
    static double points[POINTS][4];
    const double expected = (1.0 / 16 - 1.0 / 81) / POINTS;
    double of_random = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sobol_init(&sobol, 4, seed);
        for (uint64_t i = 0; i < POINTS; i++) {
            sobol_point(&sobol, i, points[i]);
        }
        assert_true(discrepancy(points, POINTS, 4) < expected / 5);
        for (uint64_t i = 0; i < POINTS; i++) {
            for (uint64_t d = 0; d < 4; d++) {
                points[i][d] = random_unit(random_u64(seed, 99, 4 * i + d));
            }
        }
        of_random += discrepancy(points, POINTS, 4) / 20;
    }
    assert_true(of_random > expected / 2 && of_random < expected * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_points),
        cmocka_unit_test(test_each_axis_is_even),
        cmocka_unit_test(test_property_a),
        cmocka_unit_test(test_more_even_than_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
