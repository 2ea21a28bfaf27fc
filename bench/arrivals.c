/*
 * Cost of arrivals: requests drawn a second for each kind of source, rows read a second.
 *   bench_arrivals [REQUESTS] [TRACE.csv]
 */
#include "base/arrivals.h"
#include "base/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int measure(const char *name, const char *list, uint64_t requests)
{
    char err[ARRIVALS_ERROR_MAX], text[2048];
    struct arrivals_spec spec = {0};
    struct arrivals *arrivals = NULL;
    struct yaml *yaml;
    (void)snprintf(text, sizeof text, "arrivals:\n%s", list);
    if (yaml_parse(text, strlen(text), name, &yaml, err, sizeof err)) {
        (void)fprintf(stderr, "%s\n", err);
        return 1;
    }
    int rc = arrivals_load(&spec, yaml, yaml_get(yaml_root(yaml), "arrivals"), ".", NULL);
    if (rc) {
        (void)fprintf(stderr, "%s\n", yaml_error(yaml));
    }
    const struct arrivals_options options = {.seed = 1, .requests_max = requests};
    double begin_s = now_s();
    if (rc == 0 && (rc = arrivals_create(&arrivals, &spec, &options, err, sizeof err))) {
        (void)fprintf(stderr, "%s\n", err);
    }
    struct arrival a = {0};
    uint64_t given = 0;
    while (rc == 0 && (rc = arrivals_next(arrivals, &a, err, sizeof err)) == 1) {
        arrivals_done(arrivals, a.source, a.source_index, a.t_ns);
        given++;
        rc = 0;
    }
    double span_s = now_s() - begin_s;
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", err);
    } else {
        (void)printf("%-24s %10llu requests %8.1f ns each %8.2f M/s\n", name,
                     (unsigned long long)given, span_s / (double)given * 1e9,
                     (double)given / span_s / 1e6);
    }
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
    yaml_free(yaml);
    return rc < 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *list;
    } cases[] = {
        {"poisson", "- {kind: poisson, model: a, rate_per_s: 1, service_s: {dist: exponential, "
                    "mean: 1}}"},
        {"poisson x 2", "- {kind: poisson, model: a, rate_per_s: 1, service_s: {dist: "
                        "exponential, mean: 1}}\n- {kind: poisson, model: b, rate_per_s: 1, "
                        "service_s: {dist: exponential, mean: 1}}"},
        {"poisson, deterministic", "- {kind: poisson, model: a, rate_per_s: 1, service_s: 1}"},
        {"gamma", "- {kind: gamma, model: a, rate_per_s: 1, cv: 2, service_s: 1}"},
        {"weibull, lognormal", "- {kind: weibull, model: a, rate_per_s: 1, cv: 2, service_s: "
                               "{dist: lognormal, mean: 1, sigma: 1}}"},
        {"onoff", "- {kind: onoff, model: a, states: [{rate_per_s: 1, mean_s: 10}, {rate_per_s: "
                  "9, mean_s: 10}], service_s: 1}"},
        {"diurnal", "- {kind: diurnal, model: a, rate_per_s: 1, ratio: 3, service_s: 1}"},
        {"fitted", "- {kind: fitted, model: a, like: azure-llm-2023-conv}"},
        {"sessions", "- {kind: sessions, model: a, population: 1000, think_s: {dist: "
                     "exponential, mean: 1}, service_s: 1}"},
    };
    uint64_t requests = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    int failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        failed |= measure(cases[i].name, cases[i].list, requests);
    }
    if (argc > 2) {
        char list[1024];
        (void)snprintf(list, sizeof list,
                       "- {kind: trace, file: %s, format: servegen, map: {0: a, 1: b}}", argv[2]);
        failed |= measure("trace (servegen)", list, 0);
    }
    return failed;
}
