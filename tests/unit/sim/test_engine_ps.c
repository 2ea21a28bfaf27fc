/* Processor sharing: cases by hand, and conservation of work on random ones. */
#include "sim/engine.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct sim_engine *make(double rate)
{
    const struct scenario_service service = {.kind = SCENARIO_PS, .rate = rate};
    struct sim_engine *engine = NULL;
    assert_int_equal(sim_engine_create(&service, &engine), 0);
    return engine;
}

static void add(struct sim_engine *engine, uint32_t request, int64_t service_ns, int64_t t_ns)
{
    const struct sim_engine_job job = {
        .request = request, .service_ns = service_ns, .input_tokens = -1, .output_tokens = -1};
    assert_int_equal(sim_engine_add(engine, &job, t_ns), 0);
}

static void expect(struct sim_engine *engine, int64_t t_ns, uint32_t request)
{
    enum sim_engine_event event;
    uint32_t ended;
    assert_int_equal(sim_engine_next_ns(engine), t_ns);
    assert_false(sim_engine_take(engine, t_ns - 1, &event, &ended));
    assert_true(sim_engine_take(engine, t_ns, &event, &ended));
    assert_int_equal(event, SIM_ENGINE_COMPLETE);
    assert_int_equal(ended, request);
}

/* 100 alone until 20; two at half the rate until the 30 of the second are done at 80; the first has
 * 100 - 20 - 30 = 50 left. */
static void test_two(void **state)
{
    (void)state;
    struct sim_engine *engine = make(1.0);
    add(engine, 0, 100, 0);
    add(engine, 1, 30, 20);
    expect(engine, 80, 1);
    expect(engine, 130, 0);
    assert_true(sim_engine_next_ns(engine) == INT64_MAX);
    add(engine, 2, 7, 1000);
    expect(engine, 1007, 2);
    sim_engine_destroy(engine);
}

static void test_rate_and_ties(void **state)
{
    (void)state;
    struct sim_engine *engine = make(2.5);
    add(engine, 5, 100, 0);
    add(engine, 3, 100, 0);
    add(engine, 4, 0, 0);
    expect(engine, 0, 4);
    expect(engine, 80, 5); /* 200 of work at 2.5 a nanosecond; ties as they came */
    expect(engine, 80, 3);
    sim_engine_destroy(engine);
}

static void test_removal(void **state)
{
    (void)state;
    struct sim_engine *engine = make(1.0);
    add(engine, 0, 100, 0);
    add(engine, 1, 100, 0);
    sim_engine_remove(engine, 0, 50); /* each has had 25 */
    sim_engine_remove(engine, 9, 60); /* not there */
    expect(engine, 125, 1);
    add(engine, 2, 10, 200);
    sim_engine_clear(engine);
    assert_true(sim_engine_next_ns(engine) == INT64_MAX);
    sim_engine_destroy(engine);
}

/* An engine that is never empty works at its rate: the last of a busy period ends when all work is
 * done, to the nanosecond for each that ended. */
static void test_work_is_conserved(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim_engine *engine = make(1.0);
        int64_t work_ns = 0;
        int64_t t_ns = 0;
        uint32_t in = 0;
        uint32_t out = 0;
        enum sim_engine_event event;
        uint32_t ended;
        for (uint32_t i = 0; i < 300; i++) {
            uint64_t bits = random_u64(seed, 5, i);
            int64_t next_ns = sim_engine_next_ns(engine);
            t_ns += (int64_t)(bits % 1000);
            t_ns = next_ns <= t_ns && next_ns > 0 ? next_ns : t_ns;
            while (sim_engine_take(engine, t_ns, &event, &ended)) {
                out++;
            }
            int64_t service_ns = 1000000 + (int64_t)(bits >> 40);
            add(engine, i, service_ns, t_ns);
            work_ns += service_ns - (i == 0 ? -t_ns : 0);
            in++;
        }
        while (sim_engine_next_ns(engine) != INT64_MAX) {
            int64_t next_ns = sim_engine_next_ns(engine);
            assert_true(next_ns >= t_ns);
            t_ns = next_ns;
            while (sim_engine_take(engine, t_ns, &event, &ended)) {
                out++;
            }
        }
        assert_int_equal(in, out);
        assert_true(t_ns >= work_ns && t_ns <= work_ns + 1);
        sim_engine_destroy(engine);
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct sim_engine *engine = NULL;
    const struct scenario_service none = {.kind = SCENARIO_PS, .rate = 0.0};
    const struct scenario_service much = {.kind = SCENARIO_PS, .rate = 1e9};
    const struct scenario_service serial = {.kind = SCENARIO_SERIAL};
    assert_int_not_equal(sim_engine_create(&none, &engine), 0);
    assert_int_not_equal(sim_engine_create(&much, &engine), 0);
    assert_int_not_equal(sim_engine_create(&serial, &engine), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two),     cmocka_unit_test(test_rate_and_ties),
        cmocka_unit_test(test_removal), cmocka_unit_test(test_work_is_conserved),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
