/*
 * The formulas against values from an independent derivation, to the digits known: so that what
 * the simulator is held to is not the simulator's own opinion.
 */
#include "formulas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Within half a unit of the last digit given. */
static void near_(double value, double expected, double unit, int line)
{
    if (!(fabs(value - expected) <= unit * 0.5000001 + 1e-12 * fabs(expected))) {
        fail_msg("line %d: %.9f, expected %.9f", line, value, expected);
    }
}
#define assert_near(value, expected, unit) near_((value), (expected), (unit), __LINE__)

static void test_one_model(void **state)
{
    (void)state;
    struct theory_queue hyper = {.rate = 0.6,
                                 .service = 0.9 * 0.5 + 0.1 * 5.5,
                                 .service2 = 2 * (0.9 * 0.5 * 0.5 + 0.1 * 5.5 * 5.5)};
    struct theory_queue slow = theory_exponential(0.02, 20);
    assert_near(theory_wait_single(theory_exponential(0.5, 1)), 1.0, 0);
    assert_near(theory_wait_single(theory_deterministic(0.8, 1)), 2.0, 0);
    assert_near(hyper.service, 1.0, 0);
    assert_near(hyper.service2, 6.5, 0);
    assert_near(theory_wait_single(hyper), 4.875, 0);
    assert_near(theory_wait_vacations(theory_exponential(0.5, 1), 10, 100), 6.0, 0);
    assert_near(theory_wait_vacations(theory_exponential(0.5, 1), 10, 200), 11.0, 0);
    assert_near(theory_wait_single(slow), 13.33333, 1e-5);
    assert_near(theory_wait_sleep(slow, 30, 900), 37.70833, 1e-5);
    assert_near(theory_wait_npolicy(slow, 5, 0, 0), 113.33333, 1e-5);
    assert_near(theory_response_sharing(theory_exponential(0.05, 10)), 20.0, 0);
    /* Waking at the first arrival is the sleep mode. */
    assert_near(theory_wait_npolicy(slow, 1, 30, 900), theory_wait_sleep(slow, 30, 900), 0);
}

static void test_fifo(void **state)
{
    (void)state;
    assert_near(theory_wait_fifo(4, theory_exponential(0.02, 10), 20), 16.0, 0);
    assert_near(theory_wait_fifo(4, theory_exponential(0.02, 10), 40), 100.0, 0);
    assert_near(theory_fifo_switch(4, 20), 15.0, 0);
    assert_near(theory_fifo_switch(4, 40), 30.0, 0);
    assert_near(theory_wait_fifo(2, theory_exponential(0.25, 1), 2), 1.5, 0);
    assert_near(theory_fifo_switch(2, 2), 1.0, 0);
}

static void test_symmetric(void **state)
{
    (void)state;
    static const struct {
        uint32_t models;
        double rate, service, move, variance, wait[3];
    } cases[] = {
        {2, 0.3, 1, 0.5, 0, {2.375, 3.125, 12.5}},
        {4, 0.015, 10, 5, 0, {36.25, 43.75, 175.0}},
        {4, 0.015, 10, 5, 25, {38.75, 46.25, 185.0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct theory_queue queue = theory_exponential(cases[i].rate, cases[i].service);
        struct theory_polling polling = {.count = cases[i].models};
        for (uint32_t q = 0; q < cases[i].models; q++) {
            polling.queue[q] = queue;
            polling.move[q] = cases[i].move;
            polling.move2[q] = cases[i].variance + cases[i].move * cases[i].move;
        }
        for (uint32_t d = THEORY_EXHAUSTIVE; d <= THEORY_ONE_LIMITED; d++) {
            enum theory_discipline discipline = (enum theory_discipline)d;
            double wait[THEORY_QUEUES_MAX];
            for (uint32_t q = 0; q < cases[i].models; q++) {
                wait[q] = theory_wait_symmetric(cases[i].models, queue, cases[i].move,
                                                cases[i].variance, discipline);
                assert_near(wait[q], cases[i].wait[d], 0);
            }
            assert_near(theory_law_sum(&polling, discipline, wait),
                        theory_law(&polling, discipline), 0);
            if (discipline != THEORY_ONE_LIMITED) { /* two derivations, one value */
                double moments[THEORY_QUEUES_MAX];
                theory_waits_polling(&polling, discipline, moments);
                assert_near(moments[0], wait[0], 1e-9);
            }
        }
    }
}

static void test_asymmetric(void **state)
{
    (void)state;
    double wait[THEORY_QUEUES_MAX];
    static const struct theory_polling a1 = {
        .count = 2,
        .queue = {{0.4, 1, 2}, {0.2, 1.5, 4.5}},
        .move = {1, 2},
        .move2 = {1, 4},
    };
    theory_waits_polling(&a1, THEORY_EXHAUSTIVE, wait);
    assert_near(wait[0], 5.70370, 1e-5);
    assert_near(wait[1], 6.50617, 1e-5);
    assert_near(theory_law(&a1, THEORY_EXHAUSTIVE), 4.233333, 1e-6);
    assert_near(theory_law_sum(&a1, THEORY_EXHAUSTIVE, wait), 4.233333, 1e-6);
    theory_waits_polling(&a1, THEORY_GATED, wait);
    assert_near(wait[0], 9.85817, 1e-5);
    assert_near(wait[1], 9.30022, 1e-5);
    assert_near(theory_law(&a1, THEORY_GATED), 6.733333, 1e-6);
    assert_near(theory_law_sum(&a1, THEORY_GATED, wait), 6.733333, 1e-6);

    static const struct theory_polling a2 = {
        .count = 3,
        .queue = {{0.06, 5, 50}, {0.02, 10, 200}, {0.004, 40, 3200}},
        .move = {8, 15, 40},
        .move2 = {64, 225, 1600},
    };
    theory_waits_polling(&a2, THEORY_EXHAUSTIVE, wait);
    assert_near(wait[0], 91.59364, 1e-5);
    assert_near(wait[1], 108.35828, 1e-5);
    assert_near(wait[2], 104.99421, 1e-5);
    assert_near((0.06 * wait[0] + 0.02 * wait[1] + 0.004 * wait[2]) / 0.084, 96.22335, 1e-5);
    theory_waits_polling(&a2, THEORY_GATED, wait);
    assert_near(wait[0], 148.19559, 1e-5);
    assert_near(wait[1], 140.83279, 1e-5);
    assert_near(wait[2], 138.47096, 1e-5);
}

static void test_pairs(void **state)
{
    (void)state;
    static const struct {
        struct theory_pair pair;
        double wait[4]; /* optimum, then by threshold */
    } cases[] = {
        {{{.3, .3}, {1, 1}, {.5, .5}}, {2.25467, 2.25467, 3.07935, 4.06666}},
        {{{.25, .25}, {1, 1}, {2, 2}}, {4.20000, 4.20000, 4.57516, 5.42414}},
        {{{.05, .01}, {5, 10}, {30, 30}}, {35.70549, 37.04765, 36.37086, 41.41007}},
        {{{.06, .02}, {5, 10}, {8, 15}}, {23.01593, 23.07529, 26.63531, 32.75683}},
    };
    struct theory_pair_waits waits;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint32_t n = 0; n < 4; n++) {
            assert_int_equal(theory_pair_solve(&cases[i].pair, n, &waits), 0);
            assert_near(waits.all, cases[i].wait[n], 1e-5);
            if (i == 2 && n == 1) {
                assert_near(waits.queue[0], 34.68981, 1e-5);
                assert_near(waits.queue[1], 48.83690, 1e-5);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_model), cmocka_unit_test(test_fifo),
        cmocka_unit_test(test_symmetric), cmocka_unit_test(test_asymmetric),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
