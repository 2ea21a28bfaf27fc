/*
 * The scenario files of examples/suite against the traces themselves: rows, span, how often the
 * wanted model changes, load and its scaling, the cut. The numbers wanted were computed from the
 * traces by other means and are published with the suite (examples/suite/README.md).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arrivals.h"
#include "base/yaml.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS_MAX = 32, HOURS_MAX = 24 * 14 };

static const struct want {
    const char *name;
    uint64_t rows;
    double span_s, span_tolerance_s;
    double differs; /* P(next request wants another model) */
    double load, load_tolerance;
    double load_span_s; /* 0: request-weighted over hours; -1: the span itself */
    double score_start_s;
} wants[] = {
    {"A2", 28185, 3513, 0.5, 0.193, 1.321, 0.002, -1, 5},
    {"A16", 19366, 3502, 0.5, 0.888, 1.474, 0.002, -1, 5},
    {"G2", 6594, 12.93 * 86400, 0.03 * 86400, 0.328, 0.546, 0.001, 0, 3600},
    {"G5", 10145, 12.93 * 86400, 0.03 * 86400, 0.595, 0.905, 0.001, 0, 3600},
    {"G20", 14094, 12.93 * 86400, 0.03 * 86400, 0.735, 1.207, 0.001, 0, 3600},
    {"V5", 26495, 7200, 0.5, 0.313, 0.323, 0.002, -1, 5},
    {"V20", 41484, 7200, 0.5, 0.612, 1.792, 0.002, -1, 5},
    /* its native load is that of two minutes */
    {"P20", 200, 118.6, 0.1, 0.945, 0.377, 0.002, 120, 5},
};

static const char *const loads[] = {"0.30", "0.60", "0.85"};

struct coefficients {
    bool serial;
    double p0, p1, d0, d1, d2;
};

struct suite_file {
    struct yaml *yaml;
    struct arrivals_spec spec;
    struct coefficients models[MODELS_MAX];
};

static void real(struct suite_file *f, struct yaml_node *map, const char *key, double *ret)
{
    assert_int_equal(yaml_real(f->yaml, map, key, 0, 1, ret), 0);
}

static void read_model(struct suite_file *f, struct yaml_node *node)
{
    const char *name, *kind;
    uint32_t number;
    struct yaml_node *service;
    assert_int_equal(yaml_string(f->yaml, node, "name", &name), 0);
    assert_int_equal(arrivals_model(&f->spec, name, &number), 0);
    assert_true(number < MODELS_MAX);
    assert_int_equal(yaml_mapping(f->yaml, node, "service", &service), 0);
    assert_int_equal(yaml_string(f->yaml, service, "kind", &kind), 0);
    struct coefficients *c = &f->models[number];
    c->serial = strcmp(kind, "serial") == 0;
    if (!c->serial) {
        assert_string_equal(kind, "batch");
        real(f, service, "p0_s", &c->p0);
        real(f, service, "p1_s", &c->p1);
        real(f, service, "d0_s", &c->d0);
        real(f, service, "d1_s", &c->d1);
        real(f, service, "d2_s", &c->d2);
    }
}

static void open_file(struct suite_file *f, const char *name, const char *load)
{
    char path[512], err[YAML_ERROR_BYTES_MAX];
    *f = (struct suite_file){0};
    (void)snprintf(path, sizeof path, "%s/examples/suite/%s-%s.yaml", SHUNT_SOURCE_DIR, name, load);
    if (yaml_load(path, &f->yaml, err, sizeof err)) {
        fail_msg("%s", err);
    }
    struct yaml_node *models = yaml_get(yaml_root(f->yaml), "models");
    assert_non_null(models);
    for (struct yaml_node *node = models->child; node; node = node->next) {
        read_model(f, node);
    }
    f->spec.models_fixed = true;
    if (arrivals_load(&f->spec, f->yaml, yaml_get(yaml_root(f->yaml), "arrivals"), ".",
                      getenv("SHUNT_TRACES"))) {
        fail_msg("%s", yaml_error(f->yaml));
    }
}

static void close_file(struct suite_file *f)
{
    arrivals_spec_fini(&f->spec);
    yaml_free(f->yaml);
}

static struct arrivals *start(const struct arrivals_spec *spec)
{
    char err[ARRIVALS_ERROR_MAX];
    struct arrivals *arrivals;
    const struct arrivals_options options = {.seed = 1};
    if (arrivals_create(&arrivals, spec, &options, err, sizeof err)) {
        fail_msg("%s", err);
    }
    return arrivals;
}

static bool next(struct arrivals *arrivals, struct arrival *ret)
{
    char err[ARRIVALS_ERROR_MAX];
    int rc = arrivals_next(arrivals, ret, err, sizeof err);
    if (rc < 0) {
        fail_msg("%s", err);
    }
    return rc == 1;
}

/* Prefill, and a sixteenth of each step of a batch of 16 in the middle of their outputs. */
static double work_s(const struct coefficients *c, const struct arrival *a)
{
    if (c->serial) {
        assert_true(a->service_ns >= 0);
        return (double)a->service_ns / 1e9;
    }
    assert_true(a->input_tokens >= 0 && a->output_tokens >= 0);
    double in = (double)a->input_tokens, out = (double)a->output_tokens;
    double step = c->d0 + 16 * c->d1 + 16 * c->d2 * (in + out / 2);
    return c->p0 + c->p1 * in + out * step / 16;
}

static void check_all(const struct want *want, const char *load)
{
    struct suite_file f;
    open_file(&f, want->name, load);
    struct arrivals *arrivals = start(&f.spec);
    double stretch = f.spec.sources[0].stretch, work = 0, hours[HOURS_MAX] = {0};
    struct arrival a = {0};
    int64_t first = -1;
    uint64_t rows = 0, changes = 0;
    uint32_t model = 0;
    for (; next(arrivals, &a); rows++) {
        first = first < 0 ? a.t_ns : first;
        changes += rows > 0 && a.model != model;
        model = a.model;
        double w = work_s(&f.models[a.model], &a);
        work += w;
        size_t hour = (size_t)((double)a.t_ns / 1e9 / stretch / 3600);
        assert_true(hour < HOURS_MAX);
        hours[hour] += w;
    }
    double span_s = (double)(a.t_ns - first) / 1e9 / stretch;
    double differs = (double)changes / (double)(rows - 1), squares = 0;
    for (size_t h = 0; h < HOURS_MAX; h++) {
        squares += hours[h] * hours[h];
    }
    double over_s = want->load_span_s < 0 ? span_s : want->load_span_s;
    double native =
        want->load_span_s > 0 || want->load_span_s < 0 ? work / over_s : squares / (3600 * work);
    if (rows != want->rows || fabs(span_s - want->span_s) > want->span_tolerance_s ||
        fabs(differs - want->differs) > 0.0006 ||
        fabs(native / want->load - 1) > want->load_tolerance ||
        fabs(native / stretch / strtod(load, NULL) - 1) > 0.003) {
        fail_msg("%s-%s: %llu rows, span %.1f s, differs %.4f, native load %.4f, scaled %.4f",
                 want->name, load, (unsigned long long)rows, span_s, differs, native,
                 native / stretch);
    }
    arrivals_destroy(arrivals);
    close_file(&f);
}

static void check_parts(const struct want *want, const char *load)
{
    struct suite_file f;
    char err[256];
    uint64_t rows[3] = {0};
    double start_s = 0;
    open_file(&f, want->name, load);
    for (int part = ARRIVALS_ALL; part <= ARRIVALS_SCORE; part++) {
        assert_int_equal(arrivals_set_part(&f.spec, (enum arrivals_part)part, err, sizeof err), 0);
        struct arrivals *arrivals = start(&f.spec);
        struct arrival a;
        while (next(arrivals, &a)) {
            if (rows[part]++ == 0) {
                start_s = (double)a.t_ns / 1e9 / f.spec.sources[0].stretch;
            }
        }
        arrivals_destroy(arrivals);
    }
    close_file(&f);
    double share = (double)rows[ARRIVALS_TUNE] / (double)rows[ARRIVALS_ALL];
    if (rows[ARRIVALS_TUNE] + rows[ARRIVALS_SCORE] != rows[ARRIVALS_ALL] || share < 0.36 ||
        share > 0.42 || start_s > want->score_start_s) {
        fail_msg("%s-%s: share to tune on %.4f, score begins at %.3f s", want->name, load, share,
                 start_s);
    }
}

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        for (size_t k = 0; k < sizeof loads / sizeof *loads; k++) {
            check_all(&wants[i], loads[k]);
        }
        check_parts(&wants[i], loads[1]);
    }
}

/* The order of models of G20 is that of how often they are asked for. */
static void test_order_of_models(void **state)
{
    (void)state;
    struct suite_file f;
    open_file(&f, "G20", "0.60");
    struct arrivals *arrivals = start(&f.spec);
    uint64_t count[MODELS_MAX] = {0};
    for (struct arrival a; next(arrivals, &a);) {
        count[a.model]++;
    }
    assert_int_equal(f.spec.models_len, 20);
    for (size_t i = 1; i < f.spec.models_len; i++) {
        assert_true(count[i] > 0 && count[i] <= count[i - 1]);
    }
    assert_int_equal(count[0], 4669);
    arrivals_destroy(arrivals);
    close_file(&f);
}

int main(void)
{
    if (!getenv("SHUNT_TRACES")) {
        (void)fprintf(stderr, "SKIPPED: SHUNT_TRACES names no folder of traces\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_order_of_models),
    };
    return cmocka_run_group_tests_name("suite", tests, NULL, NULL);
}
