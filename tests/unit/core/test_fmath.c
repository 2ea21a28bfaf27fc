/* Accuracy of core_exp, core_log, core_pow and core_sqrt against the long double library, and C's
 * special values. */
#include "core/fmath.h"
#include "core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ULP_MAX 1.0
#define SAMPLES 100000u

/* Distance in units of the last place of the true value. */
static double ulps(double got, long double want)
{
    if (isinf(got) && isinf((double)want)) {
        return 0;
    }
    int exponent;
    (void)frexpl(want, &exponent);
    long double unit = ldexpl(1, exponent - 53 < -1074 ? -1074 : exponent - 53);
    return (double)(fabsl((long double)got - want) / unit);
}

static double unit(uint64_t key, uint64_t index)
{
    return core_random_unit(core_random(7, 1, key, index));
}

static void check(double got, long double want, double argument)
{
    if (!(ulps(got, want) <= ULP_MAX)) {
        print_error("argument %a: got %a, want %La\n", argument, got, want);
        fail();
    }
}

static void exp_is_accurate(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        double x = i % 2 ? -745.1 + 1454.8 * unit(1, i) : 2 * unit(2, i) - 1;
        check(core_exp(x), expl((long double)x), x);
    }
    assert_true(core_exp(710) > 1e308 && isinf(core_exp(710)));
    assert_true(core_exp(-746) == 0 && core_exp(0) == 1);
    assert_true(core_exp(-INFINITY) == 0 && isinf(core_exp(INFINITY)));
    assert_true(isnan(core_exp(NAN)));
}

static void log_is_accurate(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        uint64_t bits = core_random(7, 1, 3, i) & UINT64_C(0x7fffffffffffffff);
        double x;
        memcpy(&x, &bits, sizeof x);
        if (i % 2) {
            x = 0.5 + unit(4, i);
        }
        if (isfinite(x) && x > 0 && x != 1) {
            check(core_log(x), logl((long double)x), x);
        }
    }
    assert_true(core_log(1) == 0 && isnan(core_log(-1)) && isinf(core_log(INFINITY)));
    assert_true(isinf(core_log(0)) && core_log(0) < 0);
}

static void pow_is_accurate(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        double x = exp(20 * (unit(5, i) - 0.5)), y = 120 * (unit(6, i) - 0.5);
        if (i % 3 == 1) {
            x = 1 + 1e-9 * unit(5, i);
            y = 1e11 * unit(6, i);
        } else if (i % 3 == 2) {
            x = exp(1400 * (unit(5, i) - 0.5));
            y = 2 * unit(6, i) - 1;
        }
        long double want = powl((long double)x, (long double)y);
        if (want > 1e-300L && want < 1e300L) {
            check(core_pow(x, y), want, x);
        }
    }
}

static void pow_has_the_special_values_of_c(void **state)
{
    (void)state;
    static const double values[] = {0.0, -0.0, 1,     -1,     0.5,    -0.5,     2,         -2,
                                    3,   -3,   1e300, -1e300, 1e-300, INFINITY, -INFINITY, NAN};
    size_t count = sizeof values / sizeof values[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            double got = core_pow(values[i], values[j]), want = pow(values[i], values[j]);
            bool same = (isnan(got) && isnan(want)) ||
                        (got == want && signbit(got) == signbit(want)) || ulps(got, want) <= 1;
            if (!same) {
                print_error("pow(%g, %g): got %g, want %g\n", values[i], values[j], got, want);
                fail();
            }
        }
    }
}

static void sqrt_is_correctly_rounded(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        uint64_t bits = core_random(7, 1, 8, i) & UINT64_C(0x7fffffffffffffff);
        if (i % 4 == 0) {
            bits &= UINT64_C(0x000fffffffffffff); /* subnormal */
        }
        double x;
        memcpy(&x, &bits, sizeof x);
        if (!isnan(x)) {
            assert_true(core_sqrt(x) == sqrt(x));
        }
    }
    assert_true(isnan(core_sqrt(-1)) && signbit(core_sqrt(-0.0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_accurate),
        cmocka_unit_test(log_is_accurate),
        cmocka_unit_test(pow_is_accurate),
        cmocka_unit_test(pow_has_the_special_values_of_c),
        cmocka_unit_test(sqrt_is_correctly_rounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
