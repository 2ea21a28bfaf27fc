/*
 * Elementary functions in a fixed order of IEEE double operations; see fmath.h.
 *
 * exp reduces by multiples of ln 2 and sums a Taylor series; log reduces to [sqrt(1/2), sqrt(2))
 * and sums the series of artanh; pow multiplies a logarithm carried in two doubles, since an error
 * of the logarithm is magnified by up to 1024 in the power. sqrt works on integers, digit by digit,
 * which makes it exact. Compiled with -ffp-contract=off.
 */
#include "core/fmath.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ln 2 in two parts; the first has 33 significant bits, so that k * LN2_HI is exact for |k| < 2^20.
 */
#define LN2_HI  0x1.62e42feep-1
#define LN2_LO  0x1.a39ef35793c76p-33
#define INV_LN2 0x1.71547652b82fep+0
#define SQRT2   0x1.6a09e667f3bcdp+0

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double infinity(void)
{
    return of_bits(UINT64_C(0x7ff0000000000000));
}

static double not_a_number(void)
{
    return of_bits(UINT64_C(0x7ff8000000000000));
}

/* 2^k for -1022 <= k <= 1023. */
static double power_of_two(int k)
{
    return of_bits((uint64_t)(k + 1023) << 52);
}

/* x * 2^k for -1076 <= k <= 1024, rounded once, results from subnormal to infinity included. */
static double scale(double x, int k)
{
    assert(k >= -1076 && k <= 1024);
    if (k > 1023) {
        return x * 2.0 * power_of_two(k - 1);
    }
    if (k < -1022) {
        /* The first factor leaves a normal number, so that only the second one rounds. */
        return x * power_of_two(k + 54) * 0x1p-54;
    }
    return x * power_of_two(k);
}

/* exp(hi + lo) for |lo| far below |hi| or both small. */
static double exp_of_sum(double hi, double lo)
{
    if (hi != hi) {
        return hi;
    }
    if (hi > 709.8) {
        return infinity();
    }
    if (hi < -745.2) {
        return 0;
    }
    double scaled = hi * INV_LN2;
    int k = (int)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    double a = hi - (double)k * LN2_HI;
    double b = lo - (double)k * LN2_LO;
    double r = a + b;
    double rest = (a - r) + b; /* what the rounding of r lost */
    /* exp(r) - 1 - r - r^2/2, |r| <= 0.347: terms up to r^14 / 14!. */
    static const double inverse_factorial[] = {
        0x1.5555555555555p-3,  0x1.5555555555555p-5,  0x1.1111111111111p-7,  0x1.6c16c16c16c17p-10,
        0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-16, 0x1.71de3a556c734p-19, 0x1.27e4fb7789f5cp-22,
        0x1.ae64567f544e4p-26, 0x1.1eed8eff8d898p-29, 0x1.6124613a86d09p-33, 0x1.93974a8c07c9dp-37};
    double tail = 0;
    for (int i = 11; i >= 0; i--) {
        tail = tail * r + inverse_factorial[i];
    }
    double square = r * r;
    double p = r + (rest + (0.5 * square + square * r * tail));
    return scale(1.0 + p, k);
}

double core_exp(double x)
{
    return exp_of_sum(x, 0);
}

/* x = m * 2^k with sqrt(1/2) <= m < sqrt(2); x finite and > 0. */
static double reduce(double x, int *ret_k)
{
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t bits = bits_of(x);
    k += (int)(bits >> 52) - 1023;
    double m = of_bits((bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000));
    if (m >= SQRT2) {
        m *= 0.5;
        k++;
    }
    *ret_k = k;
    return m;
}

/* log's and pow's answer for arguments without a finite logarithm; true if x is one. */
static bool log_special(double x, double *ret)
{
    if (x != x) {
        *ret = x;
    } else if (x < 0) {
        *ret = not_a_number();
    } else if (x == 0) {
        *ret = -infinity();
    } else if (x > 0x1.fffffffffffffp+1023) {
        *ret = x;
    } else {
        return false;
    }
    return true;
}

double core_log(double x)
{
    double special;
    if (log_special(x, &special)) {
        return special;
    }
    int k;
    double m = reduce(x, &k);
    double f = m - 1.0; /* exact */
    double s = f / (2.0 + f);
    double z = s * s;
    /* log(1+f) = 2 artanh(s) = f - f^2/2 + s (f^2/2 + R), R = 2 (z/3 + z^2/5 + ...): written so
     * that the large term f is added last and unrounded. */
    static const double c[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                               2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23, 2.0 / 25};
    /* Even and odd powers apart: two short chains of operations instead of one long one. */
    double w = z * z;
    double even = ((((c[10] * w + c[8]) * w + c[6]) * w + c[4]) * w + c[2]) * w + c[0];
    double odd = ((((c[11] * w + c[9]) * w + c[7]) * w + c[5]) * w + c[3]) * w + c[1];
    double sum = even + z * odd;
    double r = z * sum;
    double half_square = 0.5 * f * f;
    double low = s * (half_square + r) + (double)k * LN2_LO;
    return (double)k * LN2_HI - ((half_square - low) - f);
}

/* A number as an unevaluated sum of two doubles. */
struct pair {
    double hi, lo;
};

static struct pair sum_of(double a, double b)
{
    double s = a + b;
    double bb = s - a;
    return (struct pair){s, (a - (s - bb)) + (b - bb)};
}

static struct pair product_of(double a, double b)
{
    double split_a = 134217729.0 * a, split_b = 134217729.0 * b; /* 2^27 + 1 (Veltkamp) */
    double ah = split_a - (split_a - a), al = a - ah;
    double bh = split_b - (split_b - b), bl = b - bh;
    double p = a * b;
    return (struct pair){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

static struct pair add_pairs(struct pair a, struct pair b)
{
    struct pair s = sum_of(a.hi, b.hi);
    return sum_of(s.hi, s.lo + (a.lo + b.lo));
}

static struct pair multiply_pairs(struct pair a, struct pair b)
{
    struct pair p = product_of(a.hi, b.hi);
    return sum_of(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

static struct pair divide_pairs(struct pair a, struct pair b)
{
    double q = a.hi / b.hi;
    struct pair back = multiply_pairs((struct pair){q, 0}, b);
    double rest = ((a.hi - back.hi) - back.lo) + a.lo;
    return sum_of(q, rest / b.hi);
}

/* log x to about 100 bits, x finite and > 0. */
static struct pair log_pair(double x)
{
    int k;
    double m = reduce(x, &k);
    struct pair s = divide_pairs((struct pair){m - 1.0, 0}, sum_of(m, 1.0));
    struct pair z = multiply_pairs(s, s);
    struct pair sum = {0, 0};
    for (int i = 20; i >= 0; i--) {
        struct pair term =
            divide_pairs((struct pair){2.0, 0}, (struct pair){(double)(2 * i + 1), 0});
        sum = add_pairs(multiply_pairs(sum, z), term);
    }
    struct pair ln2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
    return add_pairs(multiply_pairs((struct pair){(double)k, 0}, ln2), multiply_pairs(s, sum));
}

static bool is_integer(double y)
{
    if (y >= 0x1p53 || y <= -0x1p53) {
        return true;
    }
    return (double)(int64_t)y == y;
}

static bool is_odd_integer(double y)
{
    return y < 0x1p53 && y > -0x1p53 && is_integer(y) && ((int64_t)y & 1);
}

/* pow where x or y is zero, infinite or NaN, or x is 1; as C's annex F. True if it was one. */
static bool pow_special(double x, double y, double *ret)
{
    double magnitude = x < 0 ? -x : x;
    bool y_infinite = y - y != 0 && y == y;
    if (y == 0 || x == 1) {
        *ret = 1;
    } else if (x != x || y != y) {
        *ret = not_a_number();
    } else if (y_infinite) {
        *ret = magnitude == 1 ? 1 : ((magnitude > 1) == (y > 0) ? infinity() : 0);
    } else if (x == 0 || magnitude > 0x1.fffffffffffffp+1023) {
        bool large = (x == 0) == (y < 0);
        double value = large ? infinity() : 0;
        bool negative = (bits_of(x) >> 63) != 0 && is_odd_integer(y);
        *ret = negative ? -value : value;
    } else if (x < 0 && !is_integer(y)) {
        *ret = not_a_number();
    } else {
        return false;
    }
    return true;
}

double core_pow(double x, double y)
{
    double special;
    if (pow_special(x, y, &special)) {
        return special;
    }
    bool negative = x < 0 && is_odd_integer(y);
    struct pair logarithm = log_pair(x < 0 ? -x : x);
    double rough = logarithm.hi * y;
    double result;
    if (x == 1 || x == -1) {
        result = 1; /* a zero logarithm times a huge y would not be zero below */
    } else if (rough > 800 || rough < -800) {
        result = rough > 0 ? infinity() : 0; /* also where the exact product would overflow */
    } else {
        struct pair exponent = multiply_pairs(logarithm, (struct pair){y, 0});
        result = exp_of_sum(exponent.hi, exponent.lo);
    }
    return negative ? -result : result;
}

double core_sqrt(double x)
{
    if (x != x || x == 0) {
        return x;
    }
    if (x < 0) {
        return not_a_number();
    }
    if (x > 0x1.fffffffffffffp+1023) {
        return x;
    }
    int exponent = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        exponent = -54;
    }
    uint64_t bits = bits_of(x);
    exponent += (int)(bits >> 52) - 1075; /* x = mantissa * 2^exponent */
    uint64_t mantissa = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x0010000000000000);
    if (exponent & 1) {
        mantissa <<= 1;
        exponent--;
    }
    /* Digits of the root of mantissa * 2^54, two bits of the radicand a step: 54 digits, of which
     * the last one rounds. The remainder stays below 2 * root + 1. */
    uint64_t root = 0, remainder = 0;
    for (int shift = 106; shift >= 0; shift -= 2) {
        uint64_t next = shift >= 54 ? (mantissa >> (shift - 54)) & 3 : 0;
        remainder = (remainder << 2) | next;
        uint64_t trial = (root << 2) | 1;
        root <<= 1;
        if (remainder >= trial) {
            remainder -= trial;
            root |= 1;
        }
    }
    /* A tie cannot happen: it would need a radicand of more digits than a double has. */
    uint64_t rounded = (root >> 1) + (root & 1);
    assert(rounded < UINT64_C(1) << 54);
    return scale((double)rounded, (exponent - 54) / 2 + 1);
}
