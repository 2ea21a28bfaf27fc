/*
 * Distributions of service times, lengths and gaps, sampled by key (base/random.h).
 */
#ifndef SHUNT_BASE_DIST_H
#define SHUNT_BASE_DIST_H

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
};

enum { DIST_BRANCHES_MAX = 8 };

struct dist_point {
    double p, value;
};

struct dist {
    enum dist_kind kind;
    double mean; /* all but hyperexponential and empirical */
    double cv;   /* lognormal, gamma: standard deviation over mean, above 0 */
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
};

/* "exponential" ...; NULL past the end. */
const char *dist_kind_name(enum dist_kind kind);
/* The kind of that name, or DIST_NONE. */
enum dist_kind dist_kind_find(const char *name);
/*
 * NULL if DIST can be sampled, else what is wrong with it, one line: "mean must be above 0" ...
 */
const char *dist_check(const struct dist *dist);
/* A sample, never negative; DIST must pass dist_check() and not be DIST_NONE. */
double dist_sample(const struct dist *dist, uint64_t seed, uint64_t stream, uint64_t index);
/* Its expectation; exact, for empirical ones that of the interpolated curve. */
double dist_mean(const struct dist *dist);
/* The expectation of its square, likewise. */
double dist_second_moment(const struct dist *dist);

#endif
