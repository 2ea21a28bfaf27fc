/* Properties of the core's pure parts: random operations against naive models. The seed of a
 * failing round is in the message. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/blob.h"
#include "core/bound.h"
#include "core/cost.h"
#include "core/fmath.h"
#include "core/rate.h"
#include "core/rng.h"

static uint64_t state;

static uint64_t roll(void)
{
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t below(uint64_t n)
{
    return roll() % n;
}

/* ------------------------------------------------------------------ learned costs */

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * (fabs(a) + fabs(b)) + 1e-9;
}

static void test_cost_against_naive(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 300; round++) {
        state = round;
        struct core_cost_cell cell;
        memset(&cell, 0, sizeof(cell));
        struct core_cost cost;
        core_cost_read(&cell, &cost);
        assert_true(isnan(cost.mean_ns) && isnan(cost.var_ns2) && isnan(cost.p95_ns));
        assert_int_equal(cost.count, 0);
        int64_t samples[120];
        int64_t low = INT64_MAX;
        int64_t high = 0;
        uint64_t range = UINT64_C(1) << below(45);
        for (uint32_t n = 0; n < 120; n++) {
            int64_t sample = (int64_t)below(range);
            samples[n] = sample;
            low = sample < low ? sample : low;
            high = sample > high ? sample : high;
            core_cost_add(&cell, sample);
            core_cost_read(&cell, &cost);
            assert_int_equal(cost.count, n + 1);
            assert_true(cost.mean_ns >= (double)low * (1 - 1e-12) - 1e-6 &&
                        cost.mean_ns <= (double)high * (1 + 1e-12) + 1e-6);
            assert_true(n == 0 ? isnan(cost.var_ns2) : cost.var_ns2 >= 0);
            if (n < CORE_COST_EXACT) {
                double mean = 0;
                for (uint32_t i = 0; i <= n; i++) {
                    mean += (double)samples[i] / (n + 1);
                }
                assert_true(near(mean, cost.mean_ns, 1e-9));
            }
            /* Nearest rank: the smallest sample that 95 % of the window do not exceed. */
            uint32_t window = n + 1 < CORE_COST_WINDOW ? n + 1 : CORE_COST_WINDOW;
            int64_t sorted[CORE_COST_WINDOW];
            memcpy(sorted, samples + n + 1 - window, window * sizeof(sorted[0]));
            qsort(sorted, window, sizeof(sorted[0]), compare_i64);
            uint32_t rank = (95 * window + 99) / 100;
            assert_true(near(cost.p95_ns, (double)sorted[rank - 1], 1e-12));
        }
    }
}

/* Old samples lose weight: after a change the mean goes to the new level and stays there. */
static void test_cost_follows(void **unused)
{
    (void)unused;
    struct core_cost_cell cell;
    memset(&cell, 0, sizeof(cell));
    struct core_cost cost;
    for (uint32_t n = 0; n < 500; n++) {
        core_cost_add(&cell, 1000000);
    }
    core_cost_read(&cell, &cost);
    assert_true(near(cost.mean_ns, 1e6, 1e-9) && cost.var_ns2 < 1.0);
    for (uint32_t n = 0; n < 500; n++) {
        core_cost_add(&cell, 5000000);
    }
    core_cost_read(&cell, &cost);
    assert_true(near(cost.mean_ns, 5e6, 1e-6));
    assert_true(near(cost.p95_ns, 5e6, 1e-12));
    core_cost_load(&cell, &(struct core_cost){.mean_ns = 7, .var_ns2 = 4, .p95_ns = 9, .count = 3});
    core_cost_read(&cell, &cost);
    assert_true(near(cost.mean_ns, 7, 1e-12));
    assert_int_equal(cost.count, 3);
    core_cost_load(&cell, &(struct core_cost){.count = 0});
    core_cost_read(&cell, &cost);
    assert_true(isnan(cost.mean_ns));
}

static void test_cost_combine(void **unused)
{
    (void)unused;
    struct core_cost_cell none;
    struct core_cost_cell parts[3];
    struct core_cost_cell pair;
    memset(&none, 0, sizeof(none));
    memset(parts, 0, sizeof(parts));
    memset(&pair, 0, sizeof(pair));
    for (uint32_t i = 0; i < 3; i++) {
        core_cost_add(&parts[i], 100 * (int64_t)(i + 1));
    }
    const struct core_cost_cell *known[] = {&parts[0], &parts[1], &parts[2]};
    const struct core_cost_cell *unknown[] = {&parts[0], &none, &parts[2]};
    struct core_cost cost;
    core_cost_combine(&none, known, 3, &cost);
    assert_true(near(cost.mean_ns, 600, 1e-12));
    core_cost_combine(&none, unknown, 3, &cost);
    assert_true(isnan(cost.mean_ns));
    core_cost_add(&pair, 450);
    core_cost_combine(&pair, unknown, 3, &cost);
    assert_true(near(cost.mean_ns, 450, 1e-12));
    core_cost_combine(NULL, known, 2, &cost);
    assert_true(near(cost.mean_ns, 300, 1e-12));
}

/* ------------------------------------------------------------------ rates */

static void test_rate(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 40; round++) {
        state = round;
        double tau = 1e9 * (double)(1 + below(100));
        struct core_rate rate;
        core_rate_init(&rate, tau);
        int64_t start = (int64_t)below(1000000000000) + 1;
        assert_true(core_rate_per_s(&rate, start) == 0.0);
        /* Regular events: the estimate settles at their rate. */
        double expected = 0.1 + (double)below(1000);
        int64_t t = start;
        for (uint32_t n = 0; (double)(t - start) < 8 * tau || n < 50; n++) {
            core_rate_event(&rate, t);
            t = start + (int64_t)((n + 1) * 1e9 / expected);
        }
        double seen = core_rate_per_s(&rate, t);
        double slack = 0.03 + 1e9 / (expected * tau);
        assert_true(seen > expected * (1 - slack) && seen < expected * (1 + slack));
        /* Without events it only falls, and never below zero. */
        double before = seen;
        for (uint32_t n = 0; n < 20; n++) {
            t += (int64_t)(tau / 4);
            double now = core_rate_per_s(&rate, t);
            assert_true(now >= 0 && now <= before * (1 + 1e-12));
            before = now;
        }
        assert_true(before < seen * 0.02);
        /* Reading changes nothing, events at one instant all count. */
        double one = core_rate_per_s(&rate, t);
        assert_true(one == core_rate_per_s(&rate, t));
        core_rate_event(&rate, t);
        double two = core_rate_per_s(&rate, t);
        core_rate_event(&rate, t);
        assert_true(core_rate_per_s(&rate, t) > two && two > one);
    }
}

/* ------------------------------------------------------------------ bounds */

__extension__ typedef __int128 wide;

static int64_t clamp(wide value)
{
    return value > CORE_NEVER ? CORE_NEVER : (int64_t)value;
}

static int64_t some_time(void)
{
    return (int64_t)(below(UINT64_C(1) << (1 + below(62))));
}

static void test_bounds(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 20000; round++) {
        state = round;
        struct core_bound_input in = {
            .models = (uint32_t)below(256) + 1,
            .overtakes = (uint32_t)below(1024) + 1,
            .dispatches_min = (uint32_t)below(64) + 1,
            .queue_max = (uint32_t)below(100000) + 1,
            .max_concurrency = (uint32_t)below(256) + 1,
            .requeue = (uint32_t)below(2),
            .age_ns = some_time(),
            .visit_cap_ns = some_time(),
            .drain_ns = some_time(),
            .switch_limit_ns = some_time(),
            .answer_ns = some_time(),
            .service_limit_ns = below(10) == 0 ? 0 : some_time(),
        };
        wide v = (wide)in.switch_limit_ns + in.visit_cap_ns + in.drain_ns + in.answer_ns;
        wide overtaken = (wide)(in.overtakes + in.models) * v;
        wide aged = in.age_ns + in.models * v;
        wide gap = (overtaken < aged ? overtaken : aged) + in.switch_limit_ns;
        wide queue = in.requeue ? 3 * ((wide)in.queue_max + in.max_concurrency) : in.queue_max;
        wide turns = (queue + in.dispatches_min - 1) / in.dispatches_min;
        wide wait = gap + in.service_limit_ns >= CORE_NEVER ? (wide)CORE_NEVER
                                                            : turns * (gap + in.service_limit_ns);
        assert_int_equal(core_bound_gap_ns(&in), clamp(gap));
        assert_int_equal(core_bound_wait_ns(&in), in.service_limit_ns == 0 ? 0 : clamp(wait));
        int64_t c = some_time() / 4;
        int64_t t = some_time() / 4;
        int64_t d = some_time() / 4;
        assert_int_equal(core_auto_age_ns(in.models, c, t, d),
                         clamp((wide)2 * in.models * ((wide)c + t + d)));
        wide cap = (wide)50 * ((wide)c + d);
        assert_int_equal(core_auto_visit_cap_ns(c, d, t), clamp(cap > t ? cap : t));
    }
}

/* ------------------------------------------------------------------ random numbers */

static void test_random(void **unused)
{
    (void)unused;
    uint32_t ones[64] = {0};
    uint64_t count = 0;
    for (uint64_t seed = 0; seed < 5; seed++) {
        for (uint64_t stream = 0; stream < 5; stream++) {
            for (uint64_t key = 0; key < 40; key++) {
                for (uint64_t index = 0; index < 40; index++) {
                    uint64_t x = core_random(seed, stream, key, index);
                    assert_true(x == core_random(seed, stream, key, index));
                    double unit = core_random_unit(x);
                    assert_true(unit >= 0.0 && unit < 1.0);
                    for (uint32_t b = 0; b < 64; b++) {
                        ones[b] += (uint32_t)(x >> b & 1u);
                    }
                    count++;
                }
            }
        }
    }
    for (uint32_t b = 0; b < 64; b++) { /* six standard deviations of a fair coin */
        assert_true(fabs((double)ones[b] - (double)count / 2) < 3 * sqrt((double)count));
    }
    /* Each of the four words matters, and they are not interchangeable. */
    assert_true(core_random(1, 2, 3, 4) != core_random(2, 1, 3, 4));
    assert_true(core_random(1, 2, 3, 4) != core_random(1, 3, 2, 4));
    assert_true(core_random(1, 2, 3, 4) != core_random(1, 2, 4, 3));
    assert_true(core_random_unit(0) == 0.0);
    assert_true(core_random_unit(UINT64_MAX) < 1.0);
}

/* ------------------------------------------------------------------ maths */

static double ulps(double got, double want)
{
    if ((isnan(got) && isnan(want)) || got == want) {
        return 0;
    }
    if (isnan(got) || isnan(want) || isinf(got) || isinf(want)) {
        return HUGE_VAL;
    }
    double step = nextafter(fabs(want), HUGE_VAL) - fabs(want);
    return fabs(got - want) / step;
}

static double any_double(void)
{
    uint64_t bits = roll();
    double x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* The C library is within one unit of the truth, core within two: three between them. */
static void test_fmath_against_libm(void **unused)
{
    (void)unused;
    state = 1;
    for (uint32_t n = 0; n < 200000; n++) {
        double x = any_double();
        double wide_range = ((double)below(UINT64_C(1) << 53) / 9007199254740992.0 - 0.5) * 1500;
        assert_true(ulps(core_exp(wide_range), exp(wide_range)) <= 3);
        assert_true(ulps(core_exp(x), exp(x)) <= 3);
        assert_true(ulps(core_log(x), log(x)) <= 3);
        double unit = (double)(roll() >> 11) / 9007199254740992.0 + 0.5;
        assert_true(ulps(core_log(unit), log(unit)) <= 3);
        assert_true(ulps(core_sqrt(x), sqrt(x)) == 0);
        double y = wide_range / 50;
        assert_true(ulps(core_pow(fabs(unit) * 10, y), pow(fabs(unit) * 10, y)) <= 4);
        assert_true(ulps(core_pow(x, y), pow(x, y)) <= 4);
    }
    static const double special[] = {0.0, -0.0,  1.0,    -1.0,   0.5,      2.0,       -2.0, 3.0,
                                     NAN, 1e308, 1e-308, 5e-324, INFINITY, -INFINITY, 1023, -1075};
    for (uint32_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        double x = special[i];
        assert_true(ulps(core_exp(x), exp(x)) <= 3);
        assert_true(ulps(core_log(x), log(x)) <= 3);
        assert_true(ulps(core_sqrt(x), sqrt(x)) == 0);
        for (uint32_t j = 0; j < sizeof(special) / sizeof(special[0]); j++) {
            assert_true(ulps(core_pow(x, special[j]), pow(x, special[j])) <= 4);
        }
    }
}

/* ------------------------------------------------------------------ blobs */

struct column_def {
    uint32_t id;
    uint32_t type;
    uint32_t axis0;
    uint32_t axis1;
};

static const struct column_def columns[] = {
#define SHUNT_COLUMN(id, name, type, axis0, axis1, doc)                                            \
    {(id), SHUNT_TYPE_##type, SHUNT_AXIS_##axis0, SHUNT_AXIS_##axis1},
#include <shunt/columns.def>
};

static void check_blob(bool costs, uint32_t models, uint32_t devices, uint32_t instances)
{
    size_t size = core_blob_size(costs, models, devices, instances);
    unsigned char *memory = malloc(size + 8);
    assert_non_null(memory);
    memset(memory, 0xee, size + 8);
    struct core_blob blob;
    core_blob_init(&blob, memory, costs, models, devices, instances);
    const struct shunt_snapshot *head = blob.head;
    assert_true((const void *)head == (const void *)memory);
    assert_true(head->magic == SHUNT_SNAPSHOT_MAGIC);
    assert_int_equal(head->size, sizeof(*head));
    assert_true(head->bytes <= size);
    assert_int_equal(shunt_model_count(head), models);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(memory[size + i], 0xee);
    }
    for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
        const struct column_def *def = &columns[c];
        const struct shunt_column *column = shunt_column_find(head, def->id);
        bool belongs = (def->axis0 == SHUNT_AXIS_FROM) == costs;
        assert_true((column != NULL) == belongs);
        assert_true((blob.column[def->id] != NULL) == belongs);
        if (!belongs) {
            continue;
        }
        uint32_t inner = def->axis1 == SHUNT_AXIS_NONE ? 1 : head->extent[def->axis1];
        uint32_t outer = head->extent[def->axis0];
        assert_int_equal(column->type, def->type);
        assert_int_equal(column->axis0, def->axis0);
        assert_int_equal(column->axis1, def->axis1);
        assert_int_equal(column->offset % 8, 0);
        assert_true(column->stride >= inner);
        assert_true(column->count >= outer * inner);
        assert_true((unsigned char *)blob.column[def->id] == memory + column->offset);
        size_t width = def->type == SHUNT_TYPE_U32 ? 4 : 8;
        size_t bytes = (outer == 0 ? 0 : (size_t)(outer - 1) * column->stride + inner) * width;
        assert_true(column->offset + bytes <= head->bytes);
        /* Columns do not overlap: each is zero until it is written, and is written whole. */
        for (size_t b = 0; b < bytes; b++) {
            assert_int_equal(memory[column->offset + b], 0);
        }
        memset(memory + column->offset, 0xdd, bytes);
    }
    free(memory);
}

static void test_blob(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 300; round++) {
        state = round;
        uint32_t models = (uint32_t)below(40) + 1;
        uint32_t devices = (uint32_t)below(16) + 1;
        uint32_t instances = models + (uint32_t)below(40);
        check_blob(false, models, devices, instances);
        check_blob(true, models, devices, instances);
    }
    check_blob(false, 256, 16, 1024);
    check_blob(true, 256, 16, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost_against_naive),
        cmocka_unit_test(test_cost_follows),
        cmocka_unit_test(test_cost_combine),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_fmath_against_libm),
        cmocka_unit_test(test_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
