/*
 * Distributions of service times, lengths and gaps, sampled by key (base/random.h). Sampling uses
 * no mathematics of the C library, so that a sample is the same number with every compiler.
 */
#ifndef SHUNT_BASE_DIST_H
#define SHUNT_BASE_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dist_kind {
    DIST_NONE, /* not given */
    DIST_DETERMINISTIC,
    DIST_EXPONENTIAL,
    DIST_HYPEREXPONENTIAL,
    DIST_LOGNORMAL,
    DIST_GAMMA,
    DIST_EMPIRICAL,
    DIST_WEIBULL,
};

enum { DIST_BRANCHES_MAX = 8 };

struct dist_point {
    double p, value;
};

struct dist {
    enum dist_kind kind;
    double mean; /* all but hyperexponential and empirical */
    double cv;   /* lognormal, gamma, weibull: standard deviation over mean, above 0 */
    /* Instead of cv, if above 0 (the mean holds either way): */
    double sigma; /* lognormal: standard deviation of the logarithm */
    double shape; /* weibull */
    /* Hyperexponential: branch i is taken with probability p and has the mean value. */
    struct dist_point branches[DIST_BRANCHES_MAX];
    size_t branches_len;
    /*
     * Empirical: the quantile function through points with p rising from 0 to 1, exponential
     * between two positive values, else linear; or, with equal set, the values alone, each equally
     * likely. Borrowed.
     */
    const struct dist_point *points;
    size_t points_len;
    int equal;
    /* Private: what dist_prepare() found. */
    bool prepared;
    double derived[2];
};

/* "exponential" ...; NULL past the end. */
const char *dist_kind_name(enum dist_kind kind);
/* The kind of that name, or DIST_NONE. */
enum dist_kind dist_kind_find(const char *name);
/*
 * NULL if DIST can be sampled, else what is wrong with it, one line: "mean must be above 0" ...
 */
const char *dist_check(const struct dist *dist);
/*
 * Works out once what every sample needs (a lognormal's sigma, a Weibull's shape and scale). DIST
 * must pass dist_check() and stay as it is. Samples are the same without it, but slower.
 */
void dist_prepare(struct dist *dist);
/* A sample, never negative; DIST must pass dist_check() and not be DIST_NONE. */
double dist_sample(const struct dist *dist, uint64_t seed, uint64_t stream, uint64_t index);
/* The same from the 64 random bits of a key, random_u64(seed, stream, index). */
double dist_sample_key(const struct dist *dist, uint64_t key);
/* Its expectation; exact, for empirical ones that of the interpolated curve. */
double dist_mean(const struct dist *dist);
/* The expectation of its square, likewise. */
double dist_second_moment(const struct dist *dist);

#endif
