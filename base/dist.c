/*
 * Sampling by inversion where that is exact, by rejection for gamma. All draws of one sample come
 * from one key, so that a rejection moves nothing else.
 */
#include "base/dist.h"

#include "base/random.h"
#include "core/fmath.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

static const char *const names[] = {
    [DIST_NONE] = "none",
    [DIST_DETERMINISTIC] = "deterministic",
    [DIST_EXPONENTIAL] = "exponential",
    [DIST_HYPEREXPONENTIAL] = "hyperexponential",
    [DIST_LOGNORMAL] = "lognormal",
    [DIST_GAMMA] = "gamma",
    [DIST_EMPIRICAL] = "empirical",
    [DIST_WEIBULL] = "weibull",
};

enum { KINDS = sizeof names / sizeof *names };

const char *dist_kind_name(enum dist_kind kind)
{
    return (unsigned)kind < KINDS ? names[kind] : NULL;
}

enum dist_kind dist_kind_find(const char *name)
{
    for (unsigned i = 1; i < KINDS; i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum dist_kind)i;
        }
    }
    return DIST_NONE;
}

/* The cv of a Weibull law falls from 430 to 0.006 over these shapes. */
static const double weibull_shape_min = 0.1, weibull_shape_max = 200;

static bool is_size(double value)
{
    return value >= 0 && value <= 1e15;
}

static const char *check_branches(const struct dist *d)
{
    double sum = 0;
    if (d->branches_len < 2 || d->branches_len > DIST_BRANCHES_MAX) {
        return "a hyperexponential distribution has 2 to 8 branches";
    }
    for (size_t i = 0; i < d->branches_len; i++) {
        if (!(d->branches[i].p >= 0 && d->branches[i].p <= 1) || !is_size(d->branches[i].value)) {
            return "each branch needs p in [0, 1] and a mean of 0 or more";
        }
        sum += d->branches[i].p;
    }
    return fabs(sum - 1) > 1e-9 ? "the branches' p must sum to 1" : NULL;
}

static const char *check_points(const struct dist *d)
{
    if (d->points_len < 1 || (d->points_len < 2 && !d->equal)) {
        return "an empirical distribution needs values, or two or more quantiles";
    }
    for (size_t i = 0; i < d->points_len; i++) {
        if (!is_size(d->points[i].value)) {
            return "the values must be 0 or more";
        }
        if (!d->equal && i > 0 &&
            (!(d->points[i].p > d->points[i - 1].p) ||
             d->points[i].value < d->points[i - 1].value)) {
            return "quantiles must rise in p and must not fall in value";
        }
    }
    if (!d->equal && (fabs(d->points[0].p) > 0 || fabs(d->points[d->points_len - 1].p - 1) > 0)) {
        return "quantiles must go from p = 0 to p = 1";
    }
    return NULL;
}

/* Of the laws given by a mean and one figure of spread. */
static const char *check_spread(const struct dist *d)
{
    if (d->kind == DIST_LOGNORMAL && fabs(d->sigma) > 0) {
        return d->sigma > 0 && d->sigma <= 3 ? NULL : "sigma must be above 0 and at most 3";
    }
    if (d->kind == DIST_WEIBULL && fabs(d->shape) > 0) {
        return d->shape >= weibull_shape_min && d->shape <= weibull_shape_max
                   ? NULL
                   : "shape must be from 0.1 to 200";
    }
    if (d->kind == DIST_WEIBULL) {
        return d->cv >= 0.01 && d->cv <= 100 ? NULL : "cv (or shape) must be from 0.01 to 100";
    }
    return d->cv > 0 && d->cv <= 100 ? NULL : "cv (or sigma) must be above 0 and at most 100";
}

const char *dist_check(const struct dist *d)
{
    switch (d->kind) {
    case DIST_NONE:
        return NULL;
    case DIST_HYPEREXPONENTIAL:
        return check_branches(d);
    case DIST_EMPIRICAL:
        return check_points(d);
    case DIST_DETERMINISTIC:
        return is_size(d->mean) ? NULL : "the mean must be 0 or more";
    case DIST_EXPONENTIAL:
        return is_size(d->mean) && d->mean > 0 ? NULL : "the mean must be above 0";
    case DIST_LOGNORMAL:
    case DIST_GAMMA:
    case DIST_WEIBULL:
        return is_size(d->mean) && d->mean > 0 ? check_spread(d) : "the mean must be above 0";
    }
    return "unknown distribution";
}

/* --- Derived parameters --- */

/* ln gamma(x) for x >= 1: Stirling's series above 10, the recurrence below. */
static double log_gamma(double x)
{
    double product = 1;
    for (; x < 10; x += 1) {
        product *= x;
    }
    double inverse = 1 / x, square = inverse * inverse;
    double series =
        ((((1.0 / 1188 * square - 1.0 / 1680) * square + 1.0 / 1260) * square - 1.0 / 360) *
             square +
         1.0 / 12) *
        inverse;
    static const double half_log_two_pi = 0x1.d67f1c864beb5p-1;
    return (x - 0.5) * core_log(x) - x + half_log_two_pi + series - core_log(product);
}

static double weibull_cv2(double shape)
{
    return core_exp(log_gamma(1 + 2 / shape) - 2 * log_gamma(1 + 1 / shape)) - 1;
}

static double weibull_shape(double cv)
{
    double low = weibull_shape_min, high = weibull_shape_max;
    for (int i = 0; i < 64; i++) {
        double middle = (low + high) / 2;
        if (weibull_cv2(middle) > cv * cv) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (low + high) / 2;
}

/* sqrt() is no mathematics that differs: IEEE 754 asks for the correctly rounded root. */
static void derive(const struct dist *d, double derived[2])
{
    derived[0] = derived[1] = 0;
    switch (d->kind) {
    case DIST_LOGNORMAL: /* of the logarithm: sigma, mean */
        derived[0] = d->sigma > 0 ? d->sigma : sqrt(core_log(1 + d->cv * d->cv));
        derived[1] = core_log(d->mean) - derived[0] * derived[0] / 2;
        break;
    case DIST_WEIBULL: /* 1 / shape, scale */
        derived[0] = 1 / (d->shape > 0 ? d->shape : weibull_shape(d->cv));
        derived[1] = d->mean * core_exp(-log_gamma(1 + derived[0]));
        break;
    case DIST_NONE:
    case DIST_DETERMINISTIC:
    case DIST_EXPONENTIAL:
    case DIST_HYPEREXPONENTIAL:
    case DIST_GAMMA:
    case DIST_EMPIRICAL:
        break;
    }
}

void dist_prepare(struct dist *d)
{
    derive(d, d->derived);
    d->prepared = true;
}

/* --- Sampling --- */

/* The draws of one sample: the key's own bits, then those of the sequence that begins there. */
struct draws {
    uint64_t key, next;
};

static double draw(struct draws *draws)
{
    uint64_t k = draws->next++;
    return random_unit(k == 0 ? draws->key : random_mix(draws->key + k * RANDOM_GOLDEN));
}

/* The polar method (Marsaglia and Bray): no trigonometry, whose last digit differs by machine. */
static double draw_normal(struct draws *draws)
{
    for (;;) {
        double x = 2 * draw(draws) - 1, y = 2 * draw(draws) - 1;
        double square = x * x + y * y;
        if (square > 0 && square < 1) {
            return x * sqrt(-2 * core_log(square) / square);
        }
    }
}

/* Marsaglia and Tsang's squeeze for shape >= 1; below, the boost by a power of a uniform. */
static double draw_gamma(struct draws *draws, double shape)
{
    double boost = 1;
    if (shape < 1) {
        boost = core_exp(core_log(draw(draws)) / shape);
        shape += 1;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = draw_normal(draws), v = 1 + c * x;
        if (v <= 0) {
            continue;
        }
        v = v * v * v;
        if (core_log(draw(draws)) < 0.5 * x * x + d - d * v + d * core_log(v)) {
            return boost * d * v;
        }
    }
}

static double quantile(const struct dist *d, double u)
{
    if (d->equal) {
        size_t i = (size_t)(u * (double)d->points_len);
        return d->points[i < d->points_len ? i : d->points_len - 1].value;
    }
    size_t i = 1;
    while (i + 1 < d->points_len && u > d->points[i].p) {
        i++;
    }
    const struct dist_point *a = &d->points[i - 1], *b = &d->points[i];
    double part = (u - a->p) / (b->p - a->p);
    return a->value > 0 ? a->value * core_exp(core_log(b->value / a->value) * part)
                        : a->value + (b->value - a->value) * part;
}

static double branch_sample(const struct dist *d, struct draws *draws)
{
    double u = draw(draws);
    size_t i = 0;
    for (; i + 1 < d->branches_len && u >= d->branches[i].p; i++) {
        u -= d->branches[i].p;
    }
    return -core_log(draw(draws)) * d->branches[i].value;
}

static double derived_sample(const struct dist *d, struct draws *draws)
{
    double now[2];
    const double *derived = d->derived;
    if (!d->prepared) {
        derive(d, now);
        derived = now;
    }
    if (d->kind == DIST_LOGNORMAL) {
        return core_exp(derived[0] * draw_normal(draws) + derived[1]);
    }
    return derived[1] * core_exp(core_log(-core_log(draw(draws))) * derived[0]);
}

double dist_sample_key(const struct dist *d, uint64_t key)
{
    struct draws draws = {.key = key};
    switch (d->kind) {
    case DIST_NONE:
        break;
    case DIST_DETERMINISTIC:
        return d->mean;
    case DIST_EXPONENTIAL:
        return -core_log(draw(&draws)) * d->mean;
    case DIST_HYPEREXPONENTIAL:
        return branch_sample(d, &draws);
    case DIST_LOGNORMAL:
    case DIST_WEIBULL:
        return derived_sample(d, &draws);
    case DIST_GAMMA:
        return draw_gamma(&draws, 1 / (d->cv * d->cv)) * d->mean * d->cv * d->cv;
    case DIST_EMPIRICAL:
        return quantile(d, draw(&draws));
    }
    assert(false);
    return 0;
}

double dist_sample(const struct dist *d, uint64_t seed, uint64_t stream, uint64_t index)
{
    return dist_sample_key(d, random_u64(seed, stream, index));
}

static double mean_of_points(const struct dist *d)
{
    double sum = 0;
    if (d->equal) {
        for (size_t i = 0; i < d->points_len; i++) {
            sum += d->points[i].value;
        }
        return sum / (double)d->points_len;
    }
    for (size_t i = 1; i < d->points_len; i++) {
        double a = d->points[i - 1].value, b = d->points[i].value;
        double width = d->points[i].p - d->points[i - 1].p;
        sum += width * (a > 0 && b > a ? (b - a) / core_log(b / a) : (a + b) / 2);
    }
    return sum;
}

double dist_mean(const struct dist *d)
{
    double sum = 0;
    switch (d->kind) {
    case DIST_NONE:
        return 0;
    case DIST_HYPEREXPONENTIAL:
        for (size_t i = 0; i < d->branches_len; i++) {
            sum += d->branches[i].p * d->branches[i].value;
        }
        return sum;
    case DIST_EMPIRICAL:
        return mean_of_points(d);
    case DIST_DETERMINISTIC:
    case DIST_EXPONENTIAL:
    case DIST_LOGNORMAL:
    case DIST_GAMMA:
    case DIST_WEIBULL:
        break;
    }
    return d->mean;
}

static double square_of_points(const struct dist *d)
{
    double sum = 0;
    if (d->equal) {
        for (size_t i = 0; i < d->points_len; i++) {
            sum += d->points[i].value * d->points[i].value;
        }
        return sum / (double)d->points_len;
    }
    for (size_t i = 1; i < d->points_len; i++) {
        double a = d->points[i - 1].value, b = d->points[i].value;
        double width = d->points[i].p - d->points[i - 1].p;
        sum += width * (a > 0 && b > a ? (b - a) * (b + a) / (2 * core_log(b / a))
                                       : (a * a + a * b + b * b) / 3);
    }
    return sum;
}

/* Of the laws given by a mean and one figure of spread. */
static double cv_squared(const struct dist *d)
{
    if (d->kind == DIST_LOGNORMAL && d->sigma > 0) {
        return core_exp(d->sigma * d->sigma) - 1;
    }
    if (d->kind == DIST_WEIBULL && d->shape > 0) {
        return weibull_cv2(d->shape);
    }
    return d->cv * d->cv;
}

double dist_second_moment(const struct dist *d)
{
    double sum = 0;
    switch (d->kind) {
    case DIST_NONE:
        return 0;
    case DIST_DETERMINISTIC:
        return d->mean * d->mean;
    case DIST_EXPONENTIAL:
        return 2 * d->mean * d->mean;
    case DIST_HYPEREXPONENTIAL:
        for (size_t i = 0; i < d->branches_len; i++) {
            sum += d->branches[i].p * 2 * d->branches[i].value * d->branches[i].value;
        }
        return sum;
    case DIST_EMPIRICAL:
        return square_of_points(d);
    case DIST_LOGNORMAL:
    case DIST_GAMMA:
    case DIST_WEIBULL:
        break;
    }
    return d->mean * d->mean * (1 + cv_squared(d));
}
