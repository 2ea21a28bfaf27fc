/*
 * Sources of arrivals by their statistics: rate, cv of gaps, dispersion of counts and shape of the
 * rate against closed forms, within 4 standard errors (seeds are fixed, so a pass stays a pass);
 * sessions against the contract of arrivals_done(); parts, classes and assignments of traces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arrivals.h"
#include "base/random.h"
#include "base/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUESTS = 400000 };

static char err[ARRIVALS_ERROR_MAX];
static int64_t t_ns[REQUESTS];

/* Reads the sources in TEXT; NULL, or the error. */
static const char *load(struct arrivals_spec *spec, const char *text)
{
    static char message[1024];
    char whole[4096];
    struct yaml *yaml;
    (void)snprintf(whole, sizeof whole, "arrivals:\n%s", text);
    if (yaml_parse(whole, strlen(whole), "s.yaml", &yaml, message, sizeof message)) {
        return message;
    }
    int rc = arrivals_load(spec, yaml, yaml_get(yaml_root(yaml), "arrivals"), "/tmp", NULL);
    (void)snprintf(message, sizeof message, "%s", rc ? yaml_error(yaml) : "");
    yaml_free(yaml);
    return rc ? message : NULL;
}

static void must_load(struct arrivals_spec *spec, const char *text)
{
    const char *wrong = load(spec, text);
    if (wrong) {
        fail_msg("%s", wrong);
    }
}

static struct arrivals *start(const struct arrivals_spec *spec, uint64_t seed, uint64_t requests)
{
    struct arrivals *arrivals;
    const struct arrivals_options options = {.seed = seed, .requests_max = requests};
    if (arrivals_create(&arrivals, spec, &options, err, sizeof err)) {
        fail_msg("%s", err);
    }
    return arrivals;
}

/* The times of REQUESTS arrivals of the sources in TEXT. */
static void draw(const char *text, uint64_t seed)
{
    struct arrivals_spec spec = {0};
    must_load(&spec, text);
    struct arrivals *arrivals = start(&spec, seed, REQUESTS);
    for (size_t i = 0; i < REQUESTS; i++) {
        struct arrival a;
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
        assert_true(i == 0 || a.t_ns >= t_ns[i - 1]);
        assert_int_equal(a.index, i);
        t_ns[i] = a.t_ns;
    }
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
}

/*
 * Mean and cv of independent gaps within 4 standard errors. That of the variance is taken from the
 * sample's own fourth moment.
 */
static void check_gaps(const char *text, double mean, double cv)
{
    double sum = 0, sum2 = 0, sum4 = 0;
    draw(text, 5);
    for (size_t i = 0; i < REQUESTS; i++) {
        sum += (double)(t_ns[i] - (i ? t_ns[i - 1] : 0)) / 1e9;
    }
    double got = sum / REQUESTS;
    for (size_t i = 0; i < REQUESTS; i++) {
        double d = (double)(t_ns[i] - (i ? t_ns[i - 1] : 0)) / 1e9 - got;
        sum2 += d * d;
        sum4 += d * d * d * d;
    }
    double variance = sum2 / REQUESTS;
    double se_mean = sqrt(variance / REQUESTS) + 1e-12;
    double se_variance = sqrt((sum4 / REQUESTS - variance * variance) / REQUESTS) + 1e-12;
    if (fabs(got - mean) > 4 * se_mean ||
        fabs(variance - mean * mean * cv * cv) > 4 * se_variance) {
        fail_msg("%s: mean %g (%g), cv %g", text, got, se_mean, sqrt(variance) / got);
    }
}

static void test_renewal(void **state)
{
    (void)state;
    check_gaps("- {kind: poisson, model: m, rate_per_s: 4}", 0.25, 1);
    check_gaps("- {kind: gamma, model: m, rate_per_s: 4, cv: 0.5}", 0.25, 0.5);
    check_gaps("- {kind: gamma, model: m, rate_per_s: 4, cv: 3}", 0.25, 3);
    check_gaps("- {kind: weibull, model: m, rate_per_s: 4, cv: 0.5}", 0.25, 0.5);
    check_gaps("- {kind: weibull, model: m, rate_per_s: 4, cv: 3}", 0.25, 3);
    /* shape 2 is Rayleigh's law: cv = sqrt(4 / pi - 1) */
    check_gaps("- {kind: weibull, model: m, rate_per_s: 4, shape: 2}", 0.25, 0.5227232008770634);
    check_gaps("- {kind: weibull, model: m, rate_per_s: 4, shape: 1}", 0.25, 1);
    check_gaps("- {kind: constant, model: m, rate_per_s: 4}", 0.25, 0);
    check_gaps("- {kind: gamma, model: m, rate_per_s: 4, cv: 2, stretch: 3}", 0.75, 2);
}

/* Variance over mean of counts in windows of W seconds, and its standard error from ten parts. */
static double dispersion(double window_s, double *ret_se)
{
    enum { PARTS = 20 };
    double parts[PARTS], mean_of = 0, square_of = 0;
    size_t at = 0;
    for (size_t p = 0; p < PARTS; p++) {
        size_t end = (p + 1) * (REQUESTS / PARTS);
        int64_t width = (int64_t)(window_s * 1e9), from = t_ns[at];
        double sum = 0, sum2 = 0, windows = 0;
        for (; from + width <= t_ns[end - 1]; from += width, windows++) {
            double count = 0;
            for (; at < end && t_ns[at] < from + width; at++) {
                count++;
            }
            sum += count;
            sum2 += count * count;
        }
        at = end - 1;
        double mean = sum / windows;
        parts[p] = (sum2 / windows - mean * mean) * windows / (windows - 1) / mean;
        mean_of += parts[p] / PARTS;
    }
    for (size_t p = 0; p < PARTS; p++) {
        square_of += (parts[p] - mean_of) * (parts[p] - mean_of);
    }
    *ret_se = sqrt(square_of / (PARTS - 1) / PARTS);
    return mean_of;
}

/* IDC(w) = 1 + 2 s2 / (rate theta) (1 - (1 - exp(-theta w)) / (theta w)), two states. */
static void test_onoff(void **state)
{
    (void)state;
    draw("- {kind: onoff, model: m, states: [{rate_per_s: 2, mean_s: 30}, {rate_per_s: 14, mean_s: "
         "10}]}",
         3);
    const double rate = (2 * 30 + 14 * 10) / 40.0, theta = 1 / 30.0 + 1 / 10.0;
    const double variance = 0.75 * 0.25 * 144;
    double span_s = (double)t_ns[REQUESTS - 1] / 1e9;
    /* The variance of the count over a long time is IDC(infinity) times its mean. */
    double limit = 1 + 2 * variance / (rate * theta);
    assert_true(fabs(REQUESTS - rate * span_s) < 4 * sqrt(limit * REQUESTS));
    static const double windows_s[] = {0.5, 2, 10};
    for (size_t i = 0; i < 3; i++) {
        double w = windows_s[i], se;
        double want = 1 + 2 * variance / (rate * theta) * (1 - (1 - exp(-theta * w)) / (theta * w));
        double got = dispersion(w, &se);
        if (fabs(got - want) > 4 * se) {
            fail_msg("IDC(%g) = %g +- %g, not %g", w, got, se, want);
        }
    }
}

static void test_states_in_a_circle(void **state)
{
    (void)state;
    /* The silent state has a third of the time, the others two thirds of it in sum. */
    draw("- {kind: onoff, model: m, states: [{rate_per_s: 0, mean_s: 5}, {rate_per_s: 3, mean_s: "
         "5}, {rate_per_s: 9, mean_s: 5}]}",
         8);
    double span_s = (double)t_ns[REQUESTS - 1] / 1e9, silent_s = 0;
    assert_true(fabs(REQUESTS / span_s / 4 - 1) < 0.03);
    for (size_t i = 1; i < REQUESTS; i++) {
        double gap_s = (double)(t_ns[i] - t_ns[i - 1]) / 1e9;
        silent_s += gap_s > 2 ? gap_s : 0;
    }
    assert_true(fabs(silent_s / span_s - 1.0 / 3) < 0.05);
}

/* Counts by phase of the day against the integral of the rate. */
static void test_diurnal(void **state)
{
    (void)state;
    draw("- {kind: diurnal, model: m, rate_per_s: 1, ratio: 3, peak_hour: 6}", 4);
    enum { PHASES = 8 };
    double counts[PHASES] = {0};
    const double day_s = 86400, pi = 3.14159265358979323846;
    int64_t days = (int64_t)((double)t_ns[REQUESTS - 1] / 1e9 / day_s);
    assert_true(days >= 4);
    for (size_t i = 0; i < REQUESTS; i++) {
        double t = (double)t_ns[i] / 1e9 / day_s;
        if (t < (double)days) {
            counts[(size_t)((t - floor(t)) * PHASES)]++;
        }
    }
    for (size_t p = 0; p < PHASES; p++) {
        double a = 2 * pi * ((double)p / PHASES - 0.25),
               b = 2 * pi * (((double)p + 1) / PHASES - 0.25);
        double want = (double)days * day_s * (1.0 / PHASES + 0.5 * (sin(b) - sin(a)) / (2 * pi));
        if (fabs(counts[p] - want) > 4 * sqrt(want)) {
            fail_msg("phase %zu: %g, not %g", p, counts[p], want);
        }
    }
}

static void test_spike(void **state)
{
    (void)state;
    for (int repeated = 0; repeated < 2; repeated++) {
        draw(repeated ? "- {kind: spike, model: m, rate_per_s: 2, factor: 10, at_s: 100, "
                        "duration_s: 50, every_s: 1000}"
                      : "- {kind: spike, model: m, rate_per_s: 2, factor: 10, at_s: 100, "
                        "duration_s: 50}",
             6);
        double inside = 0, outside = 0;
        double span_s = (double)t_ns[REQUESTS - 1] / 1e9, whole = floor(span_s / 1000);
        for (size_t i = 0; i < REQUESTS; i++) {
            double t = (double)t_ns[i] / 1e9;
            double in_cycle = repeated ? fmod(t, 1000) : t;
            if (t < whole * 1000) {
                *(in_cycle >= 100 && in_cycle < 150 ? &inside : &outside) += 1;
            }
        }
        double want_inside = 20 * 50 * (repeated ? whole : 1);
        double want_outside = 2 * (whole * 1000 - 50 * (repeated ? whole : 1));
        assert_true(fabs(inside - want_inside) < 4 * sqrt(want_inside));
        assert_true(fabs(outside - want_outside) < 4 * sqrt(want_outside));
    }
}

static void test_attributes_and_classes(void **state)
{
    (void)state;
    struct arrivals_spec spec = {0};
    must_load(&spec,
              "- {kind: gamma, model: m, rate_per_s: 1, cv: 2, service_s: {dist: weibull, mean: 2, "
              "cv: 0.7}, input_tokens: {dist: lognormal, mean: 100, sigma: 0.5}, output_tokens: 7, "
              "class: {critical: .2, standard: .5, sheddable: .3}}\n"
              "- {kind: list, jobs: [[0, m, 2], [1, m, 3]], class: critical, input_tokens: 9}\n");
    struct arrivals *arrivals = start(&spec, 2, 100002);
    double classes[ARRIVALS_CLASSES] = {0}, service = 0, service2 = 0, input = 0, n = 0;
    struct arrival a;
    while (arrivals_next(arrivals, &a, err, sizeof err) == 1) {
        if (a.source == 1) {
            assert_int_equal(a.service_class, ARRIVALS_CRITICAL);
            assert_int_equal(a.input_tokens, 9);
            assert_int_equal(a.service_ns / 1000000000, 2 + (int64_t)a.source_index);
            continue;
        }
        assert_int_equal(a.output_tokens, 7);
        classes[a.service_class]++;
        service += (double)a.service_ns / 1e9;
        service2 += (double)a.service_ns / 1e9 * (double)a.service_ns / 1e9;
        input += (double)a.input_tokens;
        n++;
    }
    service /= n;
    assert_true(fabs(service - 2) < 4 * 1.4 / sqrt(n));
    assert_true(fabs(service2 / n - service * service - 1.96) < 0.05);
    /* cv of a lognormal: sqrt(exp(sigma^2) - 1) = 0.533; rounding adds no bias worth its error */
    assert_true(fabs(input / n - 100) < 4 * 53.3 / sqrt(n));
    static const double want[ARRIVALS_CLASSES] = {.5, .2, 0, .3, 0};
    for (size_t i = 0; i < ARRIVALS_CLASSES; i++) {
        assert_true(fabs(classes[i] / n - want[i]) <= 4 * sqrt(want[i] * (1 - want[i]) / n));
    }
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
}

/* The same options give the same requests, from a reset as from a new generator. */
static void test_reset(void **state)
{
    (void)state;
    struct arrivals_spec spec = {0};
    must_load(&spec,
              "- {kind: onoff, model: a, states: [{rate_per_s: 1, mean_s: 5}, {rate_per_s: 9, "
              "mean_s: 5}]}\n"
              "- {kind: diurnal, model: b, rate_per_s: 2, ratio: 2, period_s: 60}\n"
              "- {kind: sessions, model: c, population: 5, rounds: 3, think_s: {dist: "
              "exponential, mean: 2}, service_s: {dist: gamma, mean: 1, cv: 2}}\n"
              "- {kind: list, jobs: [[9, a, 1], [3, b, 1], [3, a, 2]]}\n");
    const struct arrivals_options options = {.seed = 9, .requests_max = 3000};
    struct arrivals *arrivals = start(&spec, 1, 0);
    static struct arrival passes[2][3000];
    for (size_t pass = 0; pass < 2; pass++) {
        if (pass == 0) {
            for (int i = 0; i < 100; i++) {
                assert_int_equal(arrivals_next(arrivals, &passes[0][0], err, sizeof err), 1);
            }
        }
        assert_int_equal(arrivals_reset(arrivals, &options, err, sizeof err), 0);
        size_t n = 0;
        int64_t peek_ns;
        while (arrivals_peek(arrivals, &peek_ns) == 1) {
            struct arrival *a = &passes[pass][n++];
            memset(a, 0, sizeof *a);
            assert_int_equal(arrivals_next(arrivals, a, err, sizeof err), 1);
            assert_int_equal(a->t_ns, peek_ns);
            arrivals_done(arrivals, a->source, a->source_index, a->t_ns + 1000);
        }
        assert_int_equal(n, 3000);
    }
    for (size_t i = 0; i < 3000; i++) {
        assert_int_equal(passes[0][i].t_ns, passes[1][i].t_ns);
        assert_int_equal(passes[0][i].source, passes[1][i].source);
        assert_int_equal(passes[0][i].source_index, passes[1][i].source_index);
        assert_int_equal(passes[0][i].service_ns, passes[1][i].service_ns);
    }
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
}

/*
 * The same bytes with every compiler and at every level of optimisation: a checksum of the first
 * requests of every kind. A change of what a seed means has to change it here, knowingly.
 */
static void test_same_bytes(void **state)
{
    (void)state;
    struct arrivals_spec spec = {0};
    must_load(&spec,
              "- {kind: poisson, model: a, rate_per_s: 2, service_s: {dist: lognormal, mean: 1, "
              "sigma: 1}}\n"
              "- {kind: gamma, model: a, rate_per_s: 2, cv: 3, class: {critical: .5, batch: .5}}\n"
              "- {kind: gamma, model: a, rate_per_s: 2, cv: .4, service_s: {dist: "
              "hyperexponential, p: [.9, .1], mean: [1, 5]}}\n"
              "- {kind: weibull, model: b, rate_per_s: 2, cv: 2.5, stretch: 2}\n"
              "- {kind: constant, model: b, rate_per_s: 3, service_s: {dist: empirical, "
              "quantiles: [[0, 1], [.5, 3], [1, 50]]}}\n"
              "- {kind: onoff, model: a, states: [{rate_per_s: 0, mean_s: 5}, {rate_per_s: 3, "
              "mean_s: 2}]}\n"
              "- {kind: diurnal, model: a, rate_per_s: 1, ratio: 3, peak_hour: 14, period_s: "
              "100}\n"
              "- {kind: spike, model: a, rate_per_s: 1, factor: 9, at_s: 3, duration_s: 2, "
              "every_s: 20}\n"
              "- {kind: fitted, model: b, like: azure-llm-2023-code}\n"
              "- {kind: sessions, model: b, rate_per_s: 1, rounds: 4, think_s: {dist: weibull, "
              "mean: 2, shape: .7}, service_s: {dist: gamma, mean: 1, cv: 2}}\n");
    struct arrivals *arrivals = start(&spec, 12345, 20000);
    struct arrival a;
    uint64_t sum = 0;
    while (arrivals_next(arrivals, &a, err, sizeof err) == 1) {
        const uint64_t words[] = {(uint64_t)a.t_ns,
                                  a.source,
                                  a.source_index,
                                  a.model,
                                  (uint64_t)a.service_ns,
                                  (uint64_t)a.input_tokens,
                                  (uint64_t)a.output_tokens,
                                  (uint64_t)a.service_class};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            sum = random_mix(sum ^ words[i]);
        }
        arrivals_done(arrivals, a.source, a.source_index, a.t_ns);
    }
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
    if (sum != UINT64_C(0x431ee89b9c126e24)) {
        fail_msg("the requests have the checksum 0x%016llx", (unsigned long long)sum);
    }
}

/* --- Sessions --- */

/*
 * A server per session: a round ends SERVICE_NS after it arrives. Each session then has its own
 * clock, and every round comes exactly think + service after the last one.
 */
static void run_sessions(const char *text, int64_t service_ns, uint64_t requests, double *ret_rate,
                         uint64_t *ret_given)
{
    struct ending {
        int64_t t_ns;
        uint64_t id;
    } *endings = calloc(requests ? requests : 100, sizeof *endings);
    assert_non_null(endings);
    size_t head = 0, tail = 0; /* service is constant: endings come in order */
    struct arrivals_spec spec = {0};
    must_load(&spec, text);
    assert_true(arrivals_closed(&spec));
    struct arrivals *arrivals = start(&spec, 1, requests);
    int64_t now_ns = 0, peek_ns;
    uint64_t given = 0;
    for (;;) {
        int rc = arrivals_peek(arrivals, &peek_ns);
        assert_true(rc == 1 || rc == 0 || rc == -EAGAIN);
        if (rc != 1 && head == tail) {
            assert_int_equal(rc, 0); /* nothing in flight: nothing to wait for */
            break;
        }
        if (rc != 1 || (head < tail && endings[head].t_ns <= peek_ns)) {
            now_ns = endings[head].t_ns;
            arrivals_done(arrivals, 0, endings[head++].id, now_ns);
            continue;
        }
        struct arrival a;
        assert_true(peek_ns >= now_ns);
        now_ns = peek_ns;
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
        assert_int_equal(a.t_ns, peek_ns);
        assert_int_equal(a.index, given);
        endings[tail++] = (struct ending){a.t_ns + service_ns, a.source_index};
        given++;
    }
    *ret_rate = (double)given / ((double)now_ns / 1e9);
    *ret_given = given;
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
    free(endings);
}

static void test_sessions(void **state)
{
    (void)state;
    double rate;
    uint64_t given;
    /* N users, think Z, service S, no queue: N / (Z + S) requests a second. */
    run_sessions("- {kind: sessions, model: m, population: 50, think_s: {dist: exponential, mean: "
                 "9}}",
                 1000000000, 200000, &rate, &given);
    assert_int_equal(given, 200000);
    assert_true(fabs(rate / 5 - 1) < 4 * 0.9 / sqrt(200000));
    /* Three users of four rounds: twelve requests, then the end. */
    run_sessions("- {kind: sessions, model: m, population: 3, rounds: 4, think_s: 2}", 1000000000,
                 0, &rate, &given);
    assert_int_equal(given, 12);
    /* Sessions that begin at 2/s with 3 rounds in the mean: 6 requests a second. */
    run_sessions(
        "- {kind: sessions, model: m, rate_per_s: 2, rounds: {dist: empirical, values: [1, "
        "2, 6]}, think_s: {dist: exponential, mean: 5}}",
        500000000, 300000, &rate, &given);
    assert_true(fabs(rate / 6 - 1) < 0.02);
}

/* An end may bring a request before the one that was next; numbers follow the order given out. */
static void test_sessions_overtake(void **state)
{
    (void)state;
    struct arrivals_spec spec = {0};
    must_load(&spec, "- {kind: list, jobs: [[0, m, 1], [10, m, 1]]}\n"
                     "- {kind: sessions, model: m, population: 1, rounds: 2, think_s: 2}\n");
    struct arrivals *arrivals = start(&spec, 1, 0);
    struct arrival a;
    int64_t at_ns;
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
    assert_int_equal(a.source, 0);
    arrivals_done(arrivals, 0, a.source_index, 1000000000); /* nothing for an open source */
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
    assert_int_equal(a.source, 1);
    assert_int_equal(a.t_ns, 2000000000);
    assert_int_equal(arrivals_peek(arrivals, &at_ns), 1);
    assert_int_equal(at_ns, 10000000000);
    arrivals_done(arrivals, 1, a.source_index, 3000000000);
    assert_int_equal(arrivals_peek(arrivals, &at_ns), 1);
    assert_int_equal(at_ns, 5000000000);
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
    assert_int_equal(ARRIVALS_SESSION(a.source_index), 0);
    assert_int_equal(ARRIVALS_ROUND(a.source_index), 1);
    assert_int_equal(a.index, 2);
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
    assert_int_equal(a.source, 0);
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), -EAGAIN);
    arrivals_done(arrivals, 1, UINT64_C(1), 12000000000);
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 0);
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
}

static void test_scale_rate(void **state)
{
    (void)state;
    struct arrivals_spec spec = {0};
    must_load(&spec, "- {kind: constant, model: m, rate_per_s: 1, stretch: 2}\n"
                     "- {kind: sessions, model: m, population: 10, think_s: 2}\n"
                     "- {kind: list, jobs: [[8, m, 1]]}\n");
    arrivals_scale_rate(&spec, 4);
    struct arrivals *arrivals = start(&spec, 1, 0);
    assert_int_equal(spec.sources[1].population, 40);
    struct arrival a;
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
    assert_int_equal(a.t_ns, 500000000);
    bool seen = false;
    while (arrivals_next(arrivals, &a, err, sizeof err) == 1 && a.t_ns <= 2000000000) {
        seen |= a.source == 2 && a.t_ns == 2000000000;
    }
    assert_true(seen);
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
}

/* --- Traces --- */

static char *write_file(const char *text)
{
    char *path = strdup("/tmp/shunt-kinds-XXXXXX");
    assert_non_null(path);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static void remove_file(char *path)
{
    (void)unlink(path);
    free(path);
}

#define MS(milliseconds) (INT64_C(milliseconds) * 1000000)

static void check_times(const struct arrivals_spec *spec, const int64_t *want_ns, size_t len)
{
    struct arrivals *arrivals = start(spec, 0, 0);
    struct arrival a;
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
        assert_int_equal(a.t_ns, want_ns[i]);
    }
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 0);
    arrivals_destroy(arrivals);
}

static void test_parts(void **state)
{
    (void)state;
    char *path = write_file("t,m\n10,x\n11,x\n12.5,x\n13,x\n20,x\n");
    char text[512];
    struct arrivals_spec spec = {0};
    (void)snprintf(text, sizeof text,
                   "- {kind: trace, file: %s, format: {time_s: t}, model: x, stretch: 2, "
                   "tune_until: 2.5}\n- {kind: poisson, model: x, rate_per_s: 1e-9}\n",
                   path);
    must_load(&spec, text);
    spec.sources_len = 1; /* the second is there to be left alone below */
    const int64_t all_ns[] = {0, MS(2000), MS(5000), MS(6000), MS(20000)};
    const int64_t score_ns[] = {0, MS(1000), MS(15000)};
    check_times(&spec, all_ns, 5);
    assert_int_equal(arrivals_set_part(&spec, ARRIVALS_TUNE, err, sizeof err), 0);
    check_times(&spec, all_ns, 2);
    assert_int_equal(arrivals_set_part(&spec, ARRIVALS_SCORE, err, sizeof err), 0);
    check_times(&spec, score_ns, 3);
    spec.sources[0].tune_until.set = false;
    assert_int_equal(arrivals_set_part(&spec, ARRIVALS_SCORE, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "arrivals[0]: the trace"));
    spec.sources_len = 2;
    arrivals_spec_fini(&spec);
    remove_file(path);
}

static void test_parts_of_dates(void **state)
{
    (void)state;
    char *path = write_file("t\n2024-11-18 23:00:00\n2024-11-19 00:00:10\n2024-11-20 00:00:00\n"
                            "2024-11-20 00:00:05\n");
    char text[512];
    /* A cut in seconds counts from a date in `from`; a date is itself. */
    static const char *const cuts[] = {"86400", "\"2024-11-20 00:00:00\""};
    for (size_t i = 0; i < 2; i++) {
        struct arrivals_spec spec = {0};
        (void)snprintf(text, sizeof text,
                       "- {kind: trace, file: %s, format: {time: t}, model: x, from: \"2024-11-19 "
                       "00:00:00\", tune_until: %s, part: score}\n",
                       path, cuts[i]);
        must_load(&spec, text);
        const int64_t score_ns[] = {0, MS(5000)}, tune_ns[] = {MS(10000)};
        check_times(&spec, score_ns, 2);
        assert_int_equal(arrivals_set_part(&spec, ARRIVALS_TUNE, err, sizeof err), 0);
        check_times(&spec, tune_ns, 1);
        arrivals_spec_fini(&spec);
    }
    remove_file(path);
}

/*
 * Rows 0 to 5: splitmix64(n) / 2^64, from the published generator with state n: 0.883, 0.567,
 * 0.591, 0.113, 0.431, 0.387. Neither a filter nor a part may move a row's model.
 */
static void test_assign(void **state)
{
    (void)state;
    char *trace = write_file("t,k\n0,a\n1,b\n2,b\n3,b\n4,a\n5,b\n");
    char *mix = write_file("cls,who,share\n0,x,0.2\n1,y,0.3\n2,z,0.5\n");
    static const char want[] = "zzzxyy";
    for (int filtered = 0; filtered < 2; filtered++) {
        char text[512];
        struct arrivals_spec spec = {0};
        (void)snprintf(text, sizeof text,
                       "- {kind: trace, file: %s, format: {time_s: t}, %s assign: {file: %s, rule: "
                       "splitmix64, class: who}, map: {x: mx, y: my, z: mz}}\n",
                       trace, filtered ? "where: {k: b}, from: 2," : "", mix);
        must_load(&spec, text);
        struct arrivals *arrivals = start(&spec, 77, 0);
        struct arrival a;
        for (size_t row = 0; row < 6; row++) {
            if (filtered && (row < 2 || row == 4)) {
                continue;
            }
            /* With `where` t0 is the first row taken, 1 s. */
            if (filtered && row < 3) {
                continue;
            }
            assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
            assert_int_equal(spec.models[a.model][1], want[row]);
        }
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 0);
        arrivals_destroy(arrivals);
        arrivals_spec_fini(&spec);
    }
    remove_file(trace);
    remove_file(mix);
}

static void test_manual(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    arrivals_print_manual(out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "* `kind: sessions`"));
    assert_non_null(strstr(text, "| `tune_until` |"));
    assert_non_null(strstr(text, "error\\|drop"));
    free(text);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"- {kind: gamma, model: m, rate_per_s: 1}", "s.yaml:2:3: `cv` is missing"},
        {"- {kind: weibull, model: m, rate_per_s: 1}", "cv (or shape) must be"},
        {"- {kind: poisson, model: m, rate_per_s: 1, cv: 2}", "cv"},
        {"- {kind: onoff, model: m, states: [{rate_per_s: 1, mean_s: 1}]}", "a list of 2 to"},
        {"- {kind: onoff, model: m, states: [{rate_per_s: 1}, {rate_per_s: 2, mean_s: 3}]}",
         "a state has rate_per_s and mean_s"},
        {"- {kind: onoff, model: m, states: [{rate_per_s: 0, mean_s: 1}, {rate_per_s: 0, mean_s: "
         "3}]}",
         "fewer than one request"},
        {"- {kind: diurnal, model: m, rate_per_s: 1, ratio: 3, amplitude: .5}", "either ratio or"},
        {"- {kind: spike, model: m, rate_per_s: 1, factor: 2, at_s: 0, duration_s: 9, every_s: 9}",
         "every_s must be above"},
        {"- {kind: sessions, model: m, population: 3}", "`think_s` is missing"},
        {"- {kind: sessions, model: m, rate_per_s: 3, think_s: 1}", "need rounds"},
        {"- {kind: sessions, model: m, think_s: 1}", "rate_per_s must be above 0"},
        {"- {kind: sessions, model: m, population: 2, rate_per_s: 3, think_s: 1}", "either"},
        {"- {kind: sessions, model: m, population: 2, think_s: 1, stretch: 2}", "stretch"},
        {"- {kind: poisson, model: m, rate_per_s: 1, class: vip}", "class: standard, critical"},
        {"- {kind: poisson, model: m, rate_per_s: 1, class: {critical: .5}}", "sum to 0.5"},
        {"- {kind: poisson, model: m, rate_per_s: 1, class: {vip: 1}}", "vip"},
        {"- {kind: poisson, model: m, rate_per_s: 1, service_s: {dist: lognormal, mean: 1, cv: 1, "
         "sigma: 1}}",
         "either cv or sigma"},
        {"- {kind: poisson, model: m, rate_per_s: 1, service_s: {dist: gamma, mean: 1, sigma: 1}}",
         "sigma"},
        {"- {kind: trace, file: /dev/null, format: nope, model: m}", "azure-functions-2021"},
        {"- {kind: trace, file: /dev/null, format: {end_time_s: t, x: y}, model: m}",
         "unknown key \"x\""},
        {"- {kind: trace, file: /dev/null, format: azure-llm-2023}", "no model column"},
        {"- {kind: trace, file: /dev/null, format: azure-llm-2023, model: m, part: score}",
         "needs `tune_until`"},
        {"- {kind: trace, file: /dev/null, format: azure-llm-2023, model: m, part: half}",
         "part: all, tune or score"},
        {"- {kind: trace, file: /dev/null, format: azure-llm-2023, assign: {file: /dev/null, rule: "
         "splitmix64}}",
         "/dev/null:1:1: the file is empty"},
        {"- {kind: trace, file: /dev/null, format: azure-llm-2023, assign: {file: /nonexistent, "
         "rule: splitmix64}}",
         "neither beside this file"},
        {"- {kind: trace, file: /dev/null, format: azure-llm-2023, assign: {rule: splitmix64}}",
         "`file` is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arrivals_spec spec = {0};
        const char *wrong = load(&spec, cases[i].text);
        if (!wrong || !strstr(wrong, cases[i].error) || !strstr(wrong, "s.yaml:2:")) {
            fail_msg("case %zu: \"%s\", wanted \"%s\"", i, wrong ? wrong : "no error",
                     cases[i].error);
        }
        arrivals_spec_fini(&spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_onoff),
        cmocka_unit_test(test_states_in_a_circle),
        cmocka_unit_test(test_diurnal),
        cmocka_unit_test(test_spike),
        cmocka_unit_test(test_attributes_and_classes),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_sessions_overtake),
        cmocka_unit_test(test_scale_rate),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_parts_of_dates),
        cmocka_unit_test(test_assign),
        cmocka_unit_test(test_manual),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests_name("arrivals_kinds", tests, NULL, NULL);
}
