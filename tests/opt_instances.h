/*
 * Instances of the offline problem for tests: the golden ones, and the family R that a seed makes.
 */
#ifndef TESTS_OPT_INSTANCES_H
#define TESTS_OPT_INSTANCES_H

#include "sim/opt.h"

#include <string.h>

enum { OPT_TEST_JOBS = 64, OPT_TEST_MODELS = 4 };

struct opt_test {
    struct opt_job jobs[OPT_TEST_JOBS];
    int64_t cost[(OPT_TEST_MODELS + 1) * (OPT_TEST_MODELS + 1)];
    struct opt_instance instance;
};

static inline void opt_test_begin(struct opt_test *t, uint32_t models)
{
    memset(t, 0, sizeof *t);
    t->instance = (struct opt_instance){.models = models, .cost = t->cost, .jobs = t->jobs};
    for (uint32_t from = 0; from < models; from++) {
        t->cost[from * (models + 1) + models] = INT64_MAX; /* nobody empties a device */
    }
}

static inline void opt_test_cost(struct opt_test *t, uint32_t from, uint32_t to, int64_t cost)
{
    t->cost[from * (t->instance.models + 1) + to] = cost;
}

/* Puts a job in its place by arrival, then model, as the published figures have it. */
static inline void opt_test_job(struct opt_test *t, uint32_t model, int64_t arrival,
                                int64_t service)
{
    size_t i = t->instance.jobs_len++;
    for (; i > 0; i--) {
        const struct opt_job *before = &t->jobs[i - 1];
        if (before->arrival < arrival || (before->arrival == arrival && before->model <= model)) {
            break;
        }
        t->jobs[i] = t->jobs[i - 1];
    }
    t->jobs[i] = (struct opt_job){arrival, service, model};
}

struct opt_test_lcg {
    uint64_t x;
};

static inline uint64_t opt_test_draw(struct opt_test_lcg *lcg)
{
    lcg->x = lcg->x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return lcg->x >> 33;
}

/* R of a seed: 30 jobs of 3 models, times multiplied by `scale`. */
static inline void opt_test_r(struct opt_test *t, uint64_t seed, int64_t scale)
{
    struct opt_test_lcg lcg = {seed};
    int64_t time = 0;
    opt_test_begin(t, 3);
    for (int i = 0; i < 30; i++) {
        time += (int64_t)(opt_test_draw(&lcg) % 9);
        uint32_t model = (uint32_t)(opt_test_draw(&lcg) % 3);
        int64_t service = 1 + (int64_t)(opt_test_draw(&lcg) % 6);
        opt_test_job(t, model, time * scale, service * scale);
    }
    for (uint32_t from = 0; from < 3; from++) {
        for (uint32_t to = 0; to < 3; to++) {
            if (from != to) {
                opt_test_cost(t, from, to, (5 + (int64_t)(opt_test_draw(&lcg) % 16)) * scale);
            }
        }
    }
}

/* A small instance of any shape: zero times, equal arrivals, an empty device to begin with. */
static inline void opt_test_small(struct opt_test *t, uint64_t seed, size_t jobs_max)
{
    struct opt_test_lcg lcg = {seed};
    for (int i = 0; i < 4; i++) {
        (void)opt_test_draw(&lcg);
    }
    uint32_t models = 1 + (uint32_t)(opt_test_draw(&lcg) % 3);
    size_t jobs = opt_test_draw(&lcg) % (jobs_max + 1);
    uint64_t spread = 1 + opt_test_draw(&lcg) % 12;
    opt_test_begin(t, models);
    for (size_t i = 0; i < jobs; i++) {
        int64_t arrival = (int64_t)(opt_test_draw(&lcg) % (spread * 4));
        uint32_t model = (uint32_t)(opt_test_draw(&lcg) % models);
        opt_test_job(t, model, arrival, (int64_t)(opt_test_draw(&lcg) % 7));
    }
    for (uint32_t from = 0; from <= models; from++) {
        for (uint32_t to = 0; to <= models; to++) {
            int64_t cost = (int64_t)(opt_test_draw(&lcg) % spread);
            opt_test_cost(t, from, to, from == to ? 0 : cost);
        }
    }
    for (uint32_t from = 0; from < models; from++) {
        opt_test_cost(t, from, models, INT64_MAX);
    }
    t->instance.initial = (uint32_t)(opt_test_draw(&lcg) % (models + 1));
}

#endif
