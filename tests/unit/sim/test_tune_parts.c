/*
 * The parts of a search alone: the simplex on Rosenbrock's valley within bounds, Morris on linear
 * functions (their coefficients), halving on noisy candidates, the non-dominated set against brute
 * force, hypervolume against counting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "sim/tune_front.h"
#include "sim/tune_halving.h"
#include "sim/tune_morris.h"
#include "sim/tune_simplex.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* ------------------------------------------------------------------ simplex */

/* Rosenbrock's function with its minimum 0 at (1, ..., 1), over [-2, 2]^n as the cube, so at .75.
 */
static double rosenbrock(const double *unit, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i + 1 < n; i++) {
        double x = 4 * unit[i] - 2, y = 4 * unit[i + 1] - 2;
        sum += 100 * (y - x * x) * (y - x * x) + (1 - x) * (1 - x);
    }
    return sum;
}

/* The sum of squares around a corner that is not in the cube: the nearest point is the best. */
static double outside(const double *unit, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        double from = unit[i] - (i % 2 ? 1.3 : 0.4);
        sum += from * from;
    }
    return sum;
}

static double search(double (*function)(const double *, uint32_t), uint32_t n, const double *start,
                     double *ret_best)
{
    struct simplex *simplex = simplex_create(n, start, function(start, n), 0.2);
    assert_non_null(simplex);
    uint32_t spent = 0;
    for (uint32_t wanted; (wanted = simplex_wanted(simplex, 1e-6)) > 0 && spent < 5000;) {
        double values[SIMPLEX_DIMENSIONS_MAX];
        assert_true(wanted <= n);
        for (uint32_t i = 0; i < wanted; i++) {
            const double *point = simplex_point(simplex, i);
            for (uint32_t d = 0; d < n; d++) {
                assert_true(point[d] >= 0 && point[d] <= 1);
            }
            values[i] = function(point, n);
        }
        simplex_tell(simplex, values);
        spent += wanted;
    }
    double value;
    memcpy(ret_best, simplex_best(simplex, &value), n * sizeof(*ret_best));
    assert_true(value == function(ret_best, n));
    simplex_destroy(simplex);
    return value;
}

static void test_simplex(void **state)
{
    (void)state;
    double best[4];
    assert_true(search(rosenbrock, 2, (double[]){0.2, 0.75}, best) < 1e-8);
    assert_true(fabs(best[0] - 0.75) < 1e-3 && fabs(best[1] - 0.75) < 1e-3);
    assert_true(search(rosenbrock, 3, (double[]){0.4, 0.6, 0.9}, best) < 1e-6);
    assert_true(search(outside, 2, (double[]){0.9, 0.1}, best) < 0.0901);
    assert_true(search(outside, 4, (double[]){0.9, 0.1, 0.5, 0.2}, best) < 0.1801);
    assert_true(search(outside, 1, (double[]){1}, best) < 1e-9);
}

/* ------------------------------------------------------------------ screening */

static void test_morris(void **state)
{
    (void)state;
    enum { N = 5, WALKS = 8 };
    static const double slope[N] = {3, -2, 0, 0.5, 10};
    double values[WALKS * (N + 1)];
    struct morris_effect effect[N];
    for (uint32_t i = 0; i < WALKS * (N + 1); i++) {
        double point[N];
        morris_point(N, 7, i / (N + 1), i % (N + 1), point);
        values[i] = 4;
        for (uint32_t d = 0; d < N; d++) {
            double level = point[d] * (MORRIS_LEVELS - 1);
            assert_true(fabs(level - round(level)) < 1e-12 && level >= 0 && level < MORRIS_LEVELS);
            values[i] += slope[d] * point[d];
        }
    }
    morris_effects(N, 7, WALKS, values, effect);
    for (uint32_t d = 0; d < N; d++) {
        assert_true(fabs(effect[d].mean_abs - fabs(slope[d])) < 1e-12);
        assert_true(fabs(effect[d].mean - slope[d]) < 1e-12);
        assert_true(effect[d].sigma < 1e-6);
    }
    /* A product has no effect of its own at the edge: sigma tells that it acts with another. */
    for (uint32_t i = 0; i < WALKS * (N + 1); i++) {
        double point[N];
        morris_point(N, 7, i / (N + 1), i % (N + 1), point);
        values[i] = point[0] * point[1];
    }
    values[3] = (double)INFINITY; /* left out */
    morris_effects(N, 7, WALKS, values, effect);
    assert_true(effect[0].sigma > 0.1 && effect[1].sigma > 0.1 && isfinite(effect[0].mean_abs));
    assert_true(effect[2].mean_abs < 1e-12 && effect[4].sigma < 1e-9);
}

/* Every level as often as any other, and every coordinate changed once in a walk. */
static void test_morris_walks(void **state)
{
    (void)state;
    enum { N = 6, WALKS = 400 };
    uint32_t level[MORRIS_LEVELS] = {0};
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        double last[N], point[N];
        uint32_t changed = 0;
        morris_point(N, 3, walk, 0, last);
        for (uint32_t step = 1; step <= N; step++) {
            morris_point(N, 3, walk, step, point);
            for (uint32_t d = 0; d < N; d++) {
                if (fabs(point[d] - last[d]) > 1e-9) {
                    assert_true(fabs(fabs(point[d] - last[d]) - MORRIS_DELTA) < 1e-12);
                    assert_int_equal(changed >> d & 1, 0);
                    changed |= 1u << d;
                }
            }
            memcpy(last, point, sizeof(last));
        }
        assert_int_equal(changed, (1u << N) - 1);
        for (uint32_t d = 0; d < N; d++) {
            level[(int)round(point[d] * (MORRIS_LEVELS - 1))]++;
        }
    }
    for (uint32_t i = 0; i < MORRIS_LEVELS; i++) {
        assert_in_range(level[i], N * WALKS / 4 - 150, N * WALKS / 4 + 150);
    }
}

/* ------------------------------------------------------------------ halving */

static void test_sign_test(void **state)
{
    (void)state;
    assert_true(fabs(sign_test(5, 5) - 1.0 / 32) < 1e-15);
    assert_true(fabs(sign_test(4, 5) - 6.0 / 32) < 1e-15);
    assert_true(fabs(sign_test(0, 5) - 1) < 1e-15);
    assert_true(fabs(sign_test(0, 0) - 1) < 1e-15);
    assert_true(fabs(sign_test(15, 20) - 0.020694732666015625) < 1e-12);
    assert_true(sign_test(600, 1000) < 1e-9 && sign_test(500, 1000) > 0.5);
}

/* Candidate 37 of 64 is best; all share the noise of a stretch, and have a little of their own that
 * shrinks with the length. Two halvings keep it, whatever the seed. */
static void test_halving_keeps_the_best(void **state)
{
    (void)state;
    enum { N = 64, PAIRS = 12, BEST = 37 };
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint32_t ids[N], count = N;
        for (uint32_t i = 0; i < N; i++) {
            ids[i] = i;
        }
        for (uint32_t rung = 0; rung < 3; rung++) {
            static double score[N], pairs[N][PAIRS];
            struct halving_entry entries[N];
            uint32_t kept[N], next[N];
            for (uint32_t i = 0; i < count; i++) {
                double off = ((double)ids[i] - BEST) / 20, sum = 0;
                for (uint32_t k = 0; k < PAIRS; k++) {
                    double shared = random_unit(random_u64(seed, rung, k));
                    double own = random_unit(random_u64(seed, 100 + rung, ids[i] * PAIRS + k));
                    pairs[i][k] = 1 + off * off + 3 * shared + 0.6 * own / (1u << rung);
                    sum += pairs[i][k];
                }
                score[i] = sum;
                entries[i] = (struct halving_entry){.score = &score[i], .pairs = pairs[i]};
            }
            uint32_t most = rung == 0 ? 16 : rung == 1 ? 4 : 3;
            uint32_t left = halving_keep(entries, count, 1, PAIRS, 3, most, kept, NULL);
            assert_in_range(left, 3, most);
            for (uint32_t i = 0; i < left; i++) {
                next[i] = ids[kept[i]];
            }
            memcpy(ids, next, sizeof(ids));
            count = left;
        }
        bool there = false;
        for (uint32_t i = 0; i < count; i++) {
            there = there || (ids[i] >= BEST - 2 && ids[i] <= BEST + 2);
        }
        assert_true(there);
    }
}

static void test_halving_rules(void **state)
{
    (void)state;
    enum { N = 6, PAIRS = 6 };
    static const double scores[N][2] = {{5, 1}, {1, 9}, {2, 8}, {3, 7}, {3, 2}, {9, 3}};
    static double pairs[N][PAIRS];
    struct halving_entry entries[N];
    uint32_t kept[N], sender[N];
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t k = 0; k < PAIRS; k++) {
            pairs[i][k] = scores[i][0] + (i == 2 && k < 3 ? -5 : 0);
        }
        entries[i] = (struct halving_entry){.score = scores[i], .pairs = pairs[i]};
    }
    /* The best of each objective in turn, nothing dropped. */
    assert_int_equal(halving_keep(entries, N, 2, PAIRS, 1, 4, kept, sender), 4);
    assert_memory_equal(kept, ((uint32_t[]){1, 0, 2, 4}), 4 * sizeof(*kept));
    assert_memory_equal(sender, ((uint32_t[]){0, 1, 0, 1}), 4 * sizeof(*sender));
    /* One objective: 3 and 4 are worse in six of six stretches, 2 only in three. */
    assert_int_equal(halving_keep(entries, N, 1, PAIRS, 1, 4, kept, NULL), 2);
    assert_memory_equal(kept, ((uint32_t[]){1, 2}), 2 * sizeof(*kept));
    /* But `least` stay. */
    assert_int_equal(halving_keep(entries, N, 1, PAIRS, 3, 4, kept, NULL), 3);
    assert_memory_equal(kept, ((uint32_t[]){1, 2, 3}), 3 * sizeof(*kept));
    /* Without a choice everybody stays. */
    assert_int_equal(halving_keep(entries, 2, 1, PAIRS, 3, 4, kept, NULL), 2);
}

/* ------------------------------------------------------------------ several objectives */

/* Points on a coarse grid, so that equal coordinates and equal points occur. */
static void draw_points(uint64_t seed, struct front_point *points, uint32_t count, uint32_t levels)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < FRONT_OBJECTIVES_MAX; k++) {
            uint64_t bits = random_u64(seed, 5, i * FRONT_OBJECTIVES_MAX + k);
            points[i].at[k] = (double)(bits % levels) / (levels - 1);
        }
    }
}

static void test_front(void **state)
{
    (void)state;
    enum { N = 60 };
    struct front_point points[N];
    bool kept[N];
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint32_t objectives = 1 + (uint32_t)(seed % 5), expected = 0;
        draw_points(seed, points, N, 6);
        uint32_t count = front_filter(points, N, objectives, kept);
        for (uint32_t i = 0; i < N; i++) {
            bool beaten = false;
            for (uint32_t j = 0; j < N; j++) {
                uint32_t no_worse = 0, better = 0;
                for (uint32_t k = 0; k < objectives; k++) {
                    no_worse += points[j].at[k] <= points[i].at[k];
                    better += points[j].at[k] < points[i].at[k];
                }
                beaten = beaten || (no_worse == objectives && (better > 0 || j < i));
            }
            assert_int_equal(kept[i], !beaten);
            expected += !beaten;
        }
        assert_int_equal(count, expected);
    }
}

/* On a grid of L levels the volume is a count of cells. */
static void test_hypervolume(void **state)
{
    (void)state;
    enum { N = 30, LEVELS = 6 };
    struct front_point points[N];
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint32_t objectives = 1 + (uint32_t)(seed % 4), cells = 1, covered = 0;
        uint32_t count = 1 + (uint32_t)(seed % N);
        draw_points(seed, points, count, LEVELS);
        for (uint32_t k = 0; k < objectives; k++) {
            cells *= LEVELS - 1;
        }
        for (uint32_t cell = 0; cell < cells; cell++) {
            bool in = false;
            for (uint32_t i = 0; i < count; i++) {
                uint32_t rest = cell, below = 0;
                for (uint32_t k = 0; k < objectives; k++, rest /= LEVELS - 1) {
                    below += points[i].at[k] * (LEVELS - 1) <= rest % (LEVELS - 1) + 1e-9;
                }
                in = in || below == objectives;
            }
            covered += in;
        }
        double share = front_hypervolume(points, count, objectives, 1);
        assert_true(fabs(share - (double)covered / cells) < 1e-12);
        /* A box twice as large in each direction holds the same and the rest behind it. */
        assert_true(front_hypervolume(points, count, objectives, 2) >= share - 1e-12);
    }
    assert_true(front_hypervolume(points, 0, 3, 1) < 1e-15);
    points[0] = (struct front_point){{1, 1, 1}};
    assert_true(fabs(front_hypervolume(points, 1, 3, 2) - 0.125) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simplex),
        cmocka_unit_test(test_morris),
        cmocka_unit_test(test_morris_walks),
        cmocka_unit_test(test_sign_test),
        cmocka_unit_test(test_halving_keeps_the_best),
        cmocka_unit_test(test_halving_rules),
        cmocka_unit_test(test_front),
        cmocka_unit_test(test_hypervolume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
