/*
 * Arrivals: order, keys, trace slicing, and fits and distributions against published or closed-form
 * numbers (means within 5 standard errors; seeds are fixed, so a pass stays a pass).
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

static char err[ARRIVALS_ERROR_MAX];

static struct arrivals_source *add(struct arrivals_spec *spec, enum arrivals_kind kind,
                                   const char *model)
{
    struct arrivals_source *source;
    assert_int_equal(arrivals_source_add(spec, kind, &source), 0);
    if (model) {
        uint32_t number;
        assert_int_equal(arrivals_model(spec, model, &number), 0);
        source->model = number;
    }
    return source;
}

static struct arrivals *start(const struct arrivals_spec *spec, uint64_t seed, uint64_t requests)
{
    struct arrivals_options options = {.seed = seed, .requests_max = requests};
    struct arrivals *arrivals;
    int rc = arrivals_create(&arrivals, spec, &options, err, sizeof err);
    if (rc) {
        fail_msg("%s", err);
    }
    return arrivals;
}

static void test_distributions(void **state)
{
    (void)state;
    static const struct dist_point values[] = {{0, 1}, {0, 2}, {0, 9}};
    static const struct dist_point quantiles[] = {{0, 1}, {.5, 10}, {1, 100}};
    /* The mean and the variance in closed form. */
    const struct {
        struct dist dist;
        double mean, variance;
    } cases[] = {
        {{.kind = DIST_DETERMINISTIC, .mean = 3}, 3, 0},
        {{.kind = DIST_EXPONENTIAL, .mean = 2}, 2, 4},
        /* theory's M/H2/1: b 1, b2 6.5 */
        {{.kind = DIST_HYPEREXPONENTIAL, .branches = {{.9, .5}, {.1, 5.5}}, .branches_len = 2},
         1,
         5.5},
        {{.kind = DIST_LOGNORMAL, .mean = 5, .cv = 0.7}, 5, 12.25},
        /* variance of a lognormal: mean^2 (exp(sigma^2) - 1) */
        {{.kind = DIST_LOGNORMAL, .mean = 2, .sigma = 0.8}, 2, 4 * 0.8964808793049515},
        {{.kind = DIST_WEIBULL, .mean = 3, .cv = 0.6}, 3, 9 * 0.36},
        {{.kind = DIST_WEIBULL, .mean = 3, .cv = 1.5}, 3, 9 * 2.25},
        /* shape 1/2: mean = 2 scale, second moment 24 scale^2 */
        {{.kind = DIST_WEIBULL, .mean = 2, .shape = 0.5}, 2, 20},
        {{.kind = DIST_GAMMA, .mean = 4, .cv = 0.5}, 4, 4},
        {{.kind = DIST_GAMMA, .mean = 4, .cv = 2}, 4, 64},
        {{.kind = DIST_EMPIRICAL, .points = values, .points_len = 3, .equal = 1}, 4, 38.0 / 3},
        /* log-uniform on [1, 100]: (b - a) / ln(b / a), (b2 - a2) / (2 ln(b / a)) - mean2 */
        {{.kind = DIST_EMPIRICAL, .points = quantiles, .points_len = 3},
         99 / 4.605170186,
         9999 / 9.210340372 - 21.4976 * 21.4976},
    };
    enum { SAMPLES = 200000 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct dist *d = &cases[i].dist;
        assert_null(dist_check(d));
        double sum = 0, sum2 = 0;
        for (uint64_t k = 0; k < SAMPLES; k++) {
            double x = dist_sample(d, 1, i, k);
            assert_true(x >= 0);
            sum += x;
            sum2 += x * x;
        }
        double mean = sum / SAMPLES, variance = sum2 / SAMPLES - mean * mean;
        double error = 5 * sqrt(cases[i].variance / SAMPLES) + 1e-9;
        if (fabs(mean - cases[i].mean) > error ||
            fabs(variance - cases[i].variance) > 0.1 * cases[i].variance + 1e-9) {
            fail_msg("case %zu: mean %g variance %g", i, mean, variance);
        }
        assert_true(fabs(dist_mean(d) - cases[i].mean) < 1e-3);
        double second = cases[i].variance + cases[i].mean * cases[i].mean;
        assert_true(fabs(dist_second_moment(d) / second - 1) < 1e-3);
        struct dist prepared = *d;
        dist_prepare(&prepared);
        for (uint64_t k = 0; k < 100; k++) {
            assert_memory_equal(&(double){dist_sample(&prepared, 1, i, k)},
                                &(double){dist_sample(d, 1, i, k)}, sizeof(double));
        }
    }
}

static void test_distribution_checks(void **state)
{
    (void)state;
    static const struct dist_point falling[] = {{0, 2}, {1, 1}}, partial[] = {{0, 1}, {.9, 2}};
    const struct dist bad[] = {
        {.kind = DIST_EXPONENTIAL},
        {.kind = DIST_EXPONENTIAL, .mean = NAN},
        {.kind = DIST_DETERMINISTIC, .mean = -1},
        {.kind = DIST_GAMMA, .mean = 1},
        {.kind = DIST_WEIBULL, .mean = 1},
        {.kind = DIST_WEIBULL, .mean = 1, .shape = 0.01},
        {.kind = DIST_LOGNORMAL, .mean = 1, .sigma = 4},
        {.kind = DIST_LOGNORMAL, .mean = 1, .cv = 1000},
        {.kind = DIST_HYPEREXPONENTIAL, .branches = {{.9, 1}, {.2, 1}}, .branches_len = 2},
        {.kind = DIST_EMPIRICAL, .points = falling, .points_len = 2},
        {.kind = DIST_EMPIRICAL, .points = partial, .points_len = 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_non_null(dist_check(&bad[i]));
    }
    assert_int_equal(dist_kind_find("gamma"), DIST_GAMMA);
    assert_int_equal(dist_kind_find("none"), DIST_NONE);
}

static void test_poisson(void **state)
{
    (void)state;
    enum { REQUESTS = 100000 };
    struct arrivals_spec spec = {0};
    struct arrivals_source *source = add(&spec, ARRIVALS_POISSON, "m");
    source->rate_per_s = 20;
    source->service_s = (struct dist){.kind = DIST_EXPONENTIAL, .mean = 0.5};
    struct arrivals *arrivals = start(&spec, 7, REQUESTS);
    struct arrival a;
    int64_t last = 0;
    double gap2 = 0, service = 0;
    uint64_t n = 0;
    for (; arrivals_next(arrivals, &a, err, sizeof err) == 1; n++) {
        assert_true(a.t_ns >= last);
        assert_int_equal(a.index, n);
        assert_int_equal(a.input_tokens, -1);
        double gap = (double)(a.t_ns - last) / 1e9;
        gap2 += gap * gap;
        service += (double)a.service_ns / 1e9;
        last = a.t_ns;
    }
    assert_int_equal(n, REQUESTS);
    double mean = (double)last / 1e9 / REQUESTS;
    assert_true(fabs(mean - 0.05) < 5 * 0.05 / sqrt(REQUESTS));
    assert_true(fabs(gap2 / REQUESTS - 2 * 0.05 * 0.05) < 0.0002);
    assert_true(fabs(service / REQUESTS - 0.5) < 5 * 0.5 / sqrt(REQUESTS));
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
}

/* A source's numbers do not depend on what stands behind it, nor on the limits of the run. */
static void test_keys(void **state)
{
    (void)state;
    struct arrivals_spec one = {0}, two = {0};
    add(&one, ARRIVALS_POISSON, "a")->rate_per_s = 1;
    add(&two, ARRIVALS_POISSON, "a")->rate_per_s = 1;
    assert_int_equal(arrivals_fitted(&two, ARRIVALS_FIT_AZURE_2023_CODE, "b"), 0);
    struct arrivals *first = start(&one, 3, 0), *second = start(&two, 3, 100000);
    struct arrival a, b;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(arrivals_next(first, &a, err, sizeof err), 1);
        do {
            assert_int_equal(arrivals_next(second, &b, err, sizeof err), 1);
        } while (b.source != 0);
        assert_int_equal(a.t_ns, b.t_ns);
        assert_int_equal(a.source_index, b.source_index);
    }
    arrivals_destroy(first);
    arrivals_destroy(second);
    second = start(&one, 4, 1);
    assert_int_equal(arrivals_next(second, &b, err, sizeof err), 1);
    assert_int_equal(arrivals_next(second, &a, err, sizeof err), 0);
    arrivals_destroy(second);
    arrivals_spec_fini(&one);
    arrivals_spec_fini(&two);
}

static void test_list_order(void **state)
{
    (void)state;
    struct arrivals_spec spec = {0};
    for (int k = 0; k < 2; k++) {
        struct arrivals_source *source = add(&spec, ARRIVALS_LIST, NULL);
        uint32_t x, y;
        assert_int_equal(arrivals_model(&spec, "x", &x), 0);
        assert_int_equal(arrivals_model(&spec, "y", &y), 0);
        const struct arrivals_job jobs[] = {{.t_ns = 5, .service_ns = 1, .model = x},
                                            {.t_ns = 0, .service_ns = 2, .model = y},
                                            {.t_ns = 5, .service_ns = 3, .model = y},
                                            {.t_ns = 5, .service_ns = 4, .model = x}};
        source->jobs = malloc(sizeof jobs);
        assert_non_null(source->jobs);
        memcpy(source->jobs, jobs, sizeof jobs);
        source->jobs_len = 4;
    }
    struct arrivals *arrivals = start(&spec, 0, 0);
    static const struct {
        int64_t t_ns, service_ns;
        uint32_t source;
    } want[] = {{0, 2, 0}, {0, 2, 1}, {5, 1, 0}, {5, 3, 0},
                {5, 4, 0}, {5, 1, 1}, {5, 3, 1}, {5, 4, 1}};
    struct arrival a;
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
        assert_int_equal(a.t_ns, want[i].t_ns);
        assert_int_equal(a.service_ns, want[i].service_ns);
        assert_int_equal(a.source, want[i].source);
    }
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 0);
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
}

static char *write_file(const char *text)
{
    char *path = strdup("/tmp/shunt-arrivals-XXXXXX");
    assert_non_null(path);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static struct arrivals_source *add_trace(struct arrivals_spec *spec, const char *text,
                                         const char *model)
{
    struct arrivals_source *source = add(spec, ARRIVALS_TRACE, model);
    source->path = write_file(text);
    source->format = (struct trace_format){.clock = TRACE_SECONDS, .time = "t", .model = "m"};
    return source;
}

static void end(struct arrivals *arrivals, struct arrivals_spec *spec)
{
    arrivals_destroy(arrivals);
    for (size_t i = 0; i < spec->sources_len; i++) {
        (void)unlink(spec->sources[i].path);
    }
    arrivals_spec_fini(spec);
}

static void check_times(struct arrivals *arrivals, const int64_t *want_ns, size_t len)
{
    struct arrival a;
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
        assert_int_equal(a.t_ns, want_ns[i]);
    }
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 0);
}

#define S(seconds) ((int64_t)((seconds)*1000000000.0))

static void test_trace_t0(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        struct arrivals_spec spec = {0};
        for (int k = 0; k < 2; k++) {
            struct arrivals_source *source =
                add_trace(&spec, k ? "t,m\n100,x\n104,x\n" : "t,m\n101,y\n103,y\n", k ? "a" : "b");
            source->t0_shared = shared;
            source->stretch = 2;
        }
        struct arrivals *arrivals = start(&spec, 0, 0);
        const int64_t own_ns[] = {0, 0, S(4), S(8)}, shared_ns[] = {0, S(2), S(6), S(8)};
        check_times(arrivals, shared ? shared_ns : own_ns, 4);
        end(arrivals, &spec);
    }
}

static void test_trace_slices(void **state)
{
    (void)state;
    static const char text[] = "t,m\n10,x\n11,x\n12.5,x\n13,x\n20,x\n";
    static const struct {
        struct arrivals_bound from, to;
        int64_t want_ns[5];
        size_t len;
    } cases[] = {
        {{0}, {0}, {0, S(1), S(2.5), S(3), S(10)}, 5},
        {{true, false, S(1)}, {true, false, S(3)}, {0, S(1.5)}, 2},
        {{true, false, S(0.5)}, {0}, {S(0.5), S(2), S(2.5), S(9.5)}, 4},
        {{true, true, S(12)}, {true, true, S(13)}, {S(0.5)}, 1},
        {{true, true, S(12)}, {true, false, S(1.5)}, {S(0.5), S(1)}, 2},
        {{true, false, S(100)}, {0}, {0}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arrivals_spec spec = {0};
        struct arrivals_source *source = add_trace(&spec, text, "a");
        source->from = cases[i].from;
        source->to = cases[i].to;
        struct arrivals *arrivals = start(&spec, 0, 0);
        check_times(arrivals, cases[i].want_ns, cases[i].len);
        end(arrivals, &spec);
    }
}

static void test_trace_models(void **state)
{
    (void)state;
    static const char text[] = "t,m\n1,x\n2,y\n3,z\n4,y\n";
    for (int drop = 0; drop < 2; drop++) {
        struct arrivals_spec spec = {0};
        struct arrivals_source *source = add_trace(&spec, text, NULL);
        uint32_t model;
        source->map = calloc(2, sizeof *source->map);
        assert_non_null(source->map);
        assert_int_equal(arrivals_model(&spec, "big", &model), 0);
        source->map[0] = (struct arrivals_map){.text = "y", .model = model};
        assert_int_equal(arrivals_model(&spec, "small", &model), 0);
        source->map[1] = (struct arrivals_map){.text = "x", .model = model};
        source->map_len = 2;
        source->drop_unmapped = drop;
        struct arrivals *arrivals = start(&spec, 0, 0);
        struct arrival a;
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
        assert_string_equal(spec.models[a.model], "small");
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
        assert_string_equal(spec.models[a.model], "big");
        if (drop) {
            assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
            assert_int_equal(a.t_ns, S(3));
            assert_int_equal(arrivals_dropped(arrivals), 1);
            assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 0);
        } else {
            assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), -EINVAL);
            assert_non_null(strstr(err, ":4:1: the model \"z\" is neither in `map`"));
            assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), -EINVAL);
        }
        end(arrivals, &spec);
    }
}

static void test_bad_specs(void **state)
{
    (void)state;
    struct arrivals_spec spec = {0};
    struct arrivals_options options = {0};
    struct arrivals *arrivals;
    add(&spec, ARRIVALS_POISSON, "m");
    assert_int_equal(arrivals_create(&arrivals, &spec, &options, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "arrivals[0]: rate_per_s"));
    arrivals_spec_fini(&spec);
    add_trace(&spec, "t,m\n5,a\n4,a\n", "m");
    arrivals = start(&spec, 0, 0);
    struct arrival a;
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
    assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, ":3:1: the time runs backwards"));
    end(arrivals, &spec);
    add_trace(&spec, "t,m\n", "m");
    assert_int_equal(arrivals_create(&arrivals, &spec, &options, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "no rows"));
    unlink(spec.sources[0].path);
    arrivals_spec_fini(&spec);
    spec.models_fixed = true;
    uint32_t model;
    assert_int_equal(arrivals_model(&spec, "m", &model), -ENOENT);
}

static double dispersion(const int64_t *t_ns, size_t len, double window_s)
{
    int64_t window_ns = (int64_t)(window_s * 1e9);
    double sum = 0, sum2 = 0, windows = 0;
    size_t i = 0;
    for (int64_t at = 0; at + window_ns <= t_ns[len - 1]; at += window_ns, windows++) {
        double count = 0;
        for (; i < len && t_ns[i] < at + window_ns; i++) {
            count++;
        }
        sum += count;
        sum2 += count * count;
    }
    double mean = sum / windows;
    return (sum2 / windows - mean * mean) / mean;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The published numbers of the Azure LLM 2023 services, each within a fifth. */
static void test_fits(void **state)
{
    (void)state;
    enum { REQUESTS = 400000 };
    static int64_t t_ns[REQUESTS], input[REQUESTS], output[REQUESTS];
    static const struct {
        double rate, cv, idc[3];
        int64_t input[4], output[4];
    } want[ARRIVALS_FITS] = {
        {2.567, 13.15, {13.2, 71.6, 164}, {147, 1469, 5188, 7436}, {7, 13, 55, 252}},
        {5.530, 1.09, {1.39, 3.86, 16.1}, {207, 1020, 2735, 4142}, {54, 129, 424, 601}},
    };
    for (unsigned fit = 0; fit < ARRIVALS_FITS; fit++) {
        struct arrivals_spec spec = {0};
        assert_int_equal(arrivals_fitted(&spec, (enum arrivals_fit)fit, "m"), 0);
        assert_true(arrivals_endless(&spec.sources[0]));
        char text[256];
        arrivals_describe(&spec, 0, text, sizeof text);
        assert_non_null(strstr(text, "fitted"));
        struct arrivals *arrivals = start(&spec, 11, REQUESTS);
        struct arrival a;
        double gap2 = 0;
        for (size_t i = 0; i < REQUESTS; i++) {
            assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
            t_ns[i] = a.t_ns;
            input[i] = a.input_tokens;
            output[i] = a.output_tokens;
            double gap = (double)(a.t_ns - (i ? t_ns[i - 1] : 0)) / 1e9;
            gap2 += gap * gap;
        }
        double mean = (double)t_ns[REQUESTS - 1] / 1e9 / REQUESTS;
        double cv = sqrt(gap2 / REQUESTS - mean * mean) / mean;
        assert_true(fabs(mean * want[fit].rate - 1) < 0.1);
        assert_true(fabs(cv / want[fit].cv - 1) < 0.2);
        static const double windows_s[] = {1, 10, 60};
        for (size_t w = 0; w < 3; w++) {
            double idc = dispersion(t_ns, REQUESTS, windows_s[w]);
            if (fabs(idc / want[fit].idc[w] - 1) > 0.25) {
                fail_msg("fit %u: IDC(%g) %g", fit, windows_s[w], idc);
            }
        }
        qsort(input, REQUESTS, sizeof *input, compare_numbers);
        qsort(output, REQUESTS, sizeof *output, compare_numbers);
        static const double quantiles[] = {.1, .5, .9, .99};
        for (size_t q = 0; q < 4; q++) {
            size_t at = (size_t)(quantiles[q] * REQUESTS);
            assert_true(fabs((double)input[at] / (double)want[fit].input[q] - 1) < 0.05);
            assert_true(fabs((double)output[at] / (double)want[fit].output[q] - 1) < 0.05);
        }
        arrivals_destroy(arrivals);
        arrivals_spec_fini(&spec);
    }
}

/* Loads TEXT as a list; NULL, or the error. */
static const char *load(struct arrivals_spec *spec, const char *text)
{
    static char message[1024];
    struct yaml *yaml;
    if (yaml_parse(text, strlen(text), "s.yaml", &yaml, message, sizeof message)) {
        return message;
    }
    int rc = arrivals_load(spec, yaml, yaml_get(yaml_root(yaml), "arrivals"), "/nonexistent", NULL);
    (void)snprintf(message, sizeof message, "%s", rc ? yaml_error(yaml) : "");
    yaml_free(yaml);
    return rc ? message : NULL;
}

static void test_yaml(void **state)
{
    (void)state;
    struct arrivals_spec spec = {0};
    const char *wrong =
        load(&spec, "arrivals:\n"
                    "  - {kind: poisson, model: img, rate_per_s: 0.02, service_s: {dist: "
                    "exponential, mean: 10},"
                    " input_tokens: 100, output_tokens: {dist: empirical, values: [3, 4]}}\n"
                    "  - {kind: list, jobs: [[0, img, 2], [3.5, conv, 2, 10, 20]]}\n"
                    "  - {kind: fitted, like: azure-llm-2023-conv, model: conv, stretch: 2}\n");
    if (wrong) {
        fail_msg("%s", wrong);
    }
    assert_int_equal(spec.sources_len, 3);
    assert_int_equal(spec.models_len, 2);
    assert_int_equal(spec.sources[0].input_tokens.kind, DIST_DETERMINISTIC);
    assert_int_equal(spec.sources[0].output_tokens.points_len, 2);
    assert_int_equal(spec.sources[1].jobs[1].t_ns, S(3.5));
    assert_int_equal(spec.sources[1].jobs[1].output_tokens, 20);
    assert_int_equal(spec.sources[2].fit, ARRIVALS_FIT_AZURE_2023_CONV);
    struct arrivals *arrivals = start(&spec, 1, 100);
    struct arrival a;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(arrivals_next(arrivals, &a, err, sizeof err), 1);
    }
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
}

static void test_yaml_trace(void **state)
{
    (void)state;
    char *path = write_file("t_s,cls,st\n1,0,ok\n2,1,ok\n2,1,no\n3,7,ok\n");
    char text[512];
    (void)snprintf(text, sizeof text,
                   "arrivals:\n- {kind: trace, file: %s, format: {time_s: t_s, model: cls}, map: "
                   "{0: a, 1: b}, unmapped: drop, where: {st: ok}, t0: shared, stretch: 3}\n",
                   path);
    struct arrivals_spec spec = {0};
    const char *wrong = load(&spec, text);
    if (wrong) {
        fail_msg("%s", wrong);
    }
    struct arrivals *arrivals = start(&spec, 0, 0);
    const int64_t want_ns[] = {0, S(3)};
    check_times(arrivals, want_ns, 2);
    end(arrivals, &spec);
    free(path);
}

static void test_yaml_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"arrivals: []", "a list of one or more sources"},
        {"arrivals: [{model: a}]", "`kind` is missing"},
        {"arrivals:\n- {kind: zipf, model: a}", "s.yaml:2:"},
        {"arrivals:\n- {kind: zipf, model: a}", "there is no kind \"zipf\""},
        {"arrivals: [{kind: poisson, model: a}]", "`rate_per_s` is missing"},
        {"arrivals: [{kind: poisson, rate_per_s: 1}]", "`model` is missing"},
        {"arrivals: [{kind: poisson, model: a, rate_per_s: 1, burst: 2}]", "burst"},
        {"arrivals: [{kind: poisson, model: a, rate_per_s: 1, service_s: {dist: zipf}}]",
         "`dist` is deterministic"},
        {"arrivals: [{kind: poisson, model: a, rate_per_s: 1, service_s: {dist: gamma, mean: 1}}]",
         "cv (or sigma)"},
        {"arrivals: [{kind: trace, file: x.csv, format: azure-llm-2023}]", "neither beside"},
        {"arrivals: [{kind: list, jobs: [[0, a]]}]", "a job is"},
        {"arrivals: [{kind: fitted, model: a}]", "`like` is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arrivals_spec spec = {0};
        const char *wrong = load(&spec, cases[i].text);
        if (!wrong || !strstr(wrong, cases[i].error)) {
            fail_msg("case %zu: \"%s\", wanted \"%s\"", i, wrong ? wrong : "no error",
                     cases[i].error);
        }
        arrivals_spec_fini(&spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions), cmocka_unit_test(test_distribution_checks),
        cmocka_unit_test(test_poisson),       cmocka_unit_test(test_keys),
        cmocka_unit_test(test_list_order),    cmocka_unit_test(test_trace_t0),
        cmocka_unit_test(test_trace_slices),  cmocka_unit_test(test_trace_models),
        cmocka_unit_test(test_bad_specs),     cmocka_unit_test(test_fits),
        cmocka_unit_test(test_yaml),          cmocka_unit_test(test_yaml_trace),
        cmocka_unit_test(test_yaml_errors),
    };
    return cmocka_run_group_tests_name("arrivals", tests, NULL, NULL);
}
