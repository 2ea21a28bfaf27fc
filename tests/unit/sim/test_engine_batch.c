/*
 * Continuous batching in closed form against an engine that really goes pass by pass, on random
 * services, arrivals and withdrawals; and a case worked out by hand.
 */
#include "sim/engine.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { REQUESTS_MAX = 40, LOG_MAX = 4 * REQUESTS_MAX };

struct told {
    int64_t t_ns;
    uint32_t event, request;
};

struct told_log {
    struct told told[LOG_MAX];
    uint32_t count;
};

static void tell(struct told_log *log, int64_t t_ns, uint32_t event, uint32_t request)
{
    assert_true(log->count < LOG_MAX);
    log->told[log->count++] = (struct told){t_ns, event, request};
}

/* ------------------------------------------------------------------ what happens to an engine */

/* A request comes, or (withdraw) leaves if it is still there. */
struct happening {
    int64_t t_ns;
    bool withdraw;
    struct sim_engine_job job;
};

struct course {
    struct scenario_service service;
    struct happening what[2 * REQUESTS_MAX]; /* by time */
    uint32_t count;
};

/* ------------------------------------------------------------------ the engine under test */

static void take_until(struct sim_engine *engine, int64_t t_ns, struct told_log *log)
{
    enum sim_engine_event event;
    uint32_t request;
    for (int64_t next = sim_engine_next_ns(engine); next <= t_ns && next != INT64_MAX;
         next = sim_engine_next_ns(engine)) {
        while (sim_engine_take(engine, next, &event, &request)) {
            tell(log, next, event, request);
        }
        assert_true(sim_engine_next_ns(engine) > next);
    }
}

static void run_closed(const struct course *course, struct told_log *log)
{
    struct sim_engine *engine = NULL;
    assert_int_equal(sim_engine_create(&course->service, &engine), 0);
    for (uint32_t i = 0; i < course->count; i++) {
        const struct happening *h = &course->what[i];
        take_until(engine, h->t_ns, log); /* completions come before what else happens then */
        if (h->withdraw) {
            sim_engine_remove(engine, h->job.request, h->t_ns);
        } else {
            assert_int_equal(sim_engine_add(engine, &h->job, h->t_ns), 0);
        }
    }
    take_until(engine, INT64_MAX - 1, log);
    assert_true(sim_engine_next_ns(engine) == INT64_MAX);
    sim_engine_destroy(engine);
}

/* ------------------------------------------------------------------ pass by pass */

struct naive_request {
    bool waits, decodes, leaves;
    int64_t input, context, left;
    uint32_t order;
};

struct naive {
    const struct scenario_service *service;
    struct naive_request request[REQUESTS_MAX];
    int64_t now_ps; /* end of the last pass */
    uint32_t orders;
};

static int64_t ns_of(int64_t ps)
{
    return (ps + 999) / 1000;
}

/* The first, by order of dispatch, that waits (or decodes and has nothing left); -1. */
static int first_of(const struct naive *naive, bool ended)
{
    int best = -1;
    for (int i = 0; i < REQUESTS_MAX; i++) {
        const struct naive_request *r = &naive->request[i];
        bool wanted = ended ? r->decodes && r->left == 0 : r->waits;
        if (wanted && (best < 0 || r->order < naive->request[best].order)) {
            best = i;
        }
    }
    return best;
}

/* Takes up everything that happened until the boundary. True: there is work. */
static bool boundary(struct naive *naive, const struct course *course, uint32_t *next)
{
    for (;;) {
        while (*next < course->count && course->what[*next].t_ns <= ns_of(naive->now_ps)) {
            const struct happening *h = &course->what[(*next)++];
            struct naive_request *r = &naive->request[h->job.request];
            if (h->withdraw) {
                r->waits = false;
                r->decodes = false;
            } else {
                *r = (struct naive_request){.waits = true,
                                            .input = h->job.input_tokens,
                                            .left = h->job.output_tokens,
                                            .order = naive->orders++};
            }
        }
        for (int i = 0; i < REQUESTS_MAX; i++) {
            if (naive->request[i].waits || naive->request[i].decodes) {
                return true;
            }
        }
        if (*next == course->count) {
            return false;
        }
        naive->now_ps = course->what[*next].t_ns * 1000; /* idle until then */
    }
}

/* Whether a request is withdrawn before its pass ends: then it is not told of. */
static bool withdrawn_by(const struct course *course, uint32_t next, uint32_t request,
                         int64_t end_ns)
{
    for (uint32_t i = next; i < course->count && course->what[i].t_ns < end_ns; i++) {
        if (course->what[i].withdraw && course->what[i].job.request == request) {
            return true;
        }
    }
    return false;
}

static void tell_ended(struct naive *naive, const struct course *course, uint32_t next,
                       struct told_log *log)
{
    for (int i = first_of(naive, true); i >= 0; i = first_of(naive, true)) {
        naive->request[i].decodes = false;
        if (!withdrawn_by(course, next, (uint32_t)i, ns_of(naive->now_ps))) {
            tell(log, ns_of(naive->now_ps), SIM_ENGINE_COMPLETE, (uint32_t)i);
        }
    }
}

static void run_naive(const struct course *course, struct told_log *log)
{
    struct naive naive = {.service = &course->service};
    const struct scenario_service *s = &course->service;
    uint32_t next = 0;
    while (boundary(&naive, course, &next)) {
        int prefill = first_of(&naive, false);
        if (prefill >= 0) {
            struct naive_request *r = &naive.request[prefill];
            naive.now_ps += s->p0_ps + s->p1_ps * r->input;
            r->waits = false;
            if (!withdrawn_by(course, next, (uint32_t)prefill, ns_of(naive.now_ps))) {
                r->decodes = true;
                r->context = r->input + 1;
                r->left--;
                tell(log, ns_of(naive.now_ps), SIM_ENGINE_FIRST_TOKEN, (uint32_t)prefill);
            }
        } else {
            int64_t members = 0;
            int64_t contexts = 0;
            for (int i = 0; i < REQUESTS_MAX; i++) {
                struct naive_request *r = &naive.request[i];
                members += r->decodes;
                contexts += r->decodes ? r->context++ : 0;
                r->left -= r->decodes;
            }
            naive.now_ps += s->d0_ps + s->d1_ps * members + s->d2_ps * contexts;
        }
        tell_ended(&naive, course, next, log);
    }
}

/* ------------------------------------------------------------------ tests */

static struct sim_engine_job job(uint32_t request, int64_t input, int64_t output)
{
    return (struct sim_engine_job){
        .request = request, .service_ns = -1, .input_tokens = input, .output_tokens = output};
}

static void expect(const struct told_log *log, uint32_t at, int64_t t_ns, uint32_t event,
                   uint32_t request)
{
    assert_true(at < log->count);
    assert_int_equal(log->told[at].t_ns, t_ns);
    assert_int_equal(log->told[at].event, event);
    assert_int_equal(log->told[at].request, request);
}

/* p0 10, p1 1, d0 5, d1 2, d2 1 microseconds; request 0 (3 in, 4 out) at 0, request 1 (2 in, 2 out)
 * at 20, in the first decode step of 0. */
static void test_by_hand(void **state)
{
    (void)state;
    static struct course course = {.service = {.kind = SCENARIO_BATCH,
                                               .p0_ps = 10000000,
                                               .p1_ps = 1000000,
                                               .d0_ps = 5000000,
                                               .d1_ps = 2000000,
                                               .d2_ps = 1000000},
                                   .count = 2};
    course.what[0] = (struct happening){.t_ns = 0, .job = job(0, 3, 4)};
    course.what[1] = (struct happening){.t_ns = 20000, .job = job(1, 2, 2)};
    struct told_log log = {.count = 0};
    run_closed(&course, &log);
    assert_int_equal(log.count, 4);
    expect(&log, 0, 13000, SIM_ENGINE_FIRST_TOKEN, 0); /* 10 + 3 */
    /* Step of 0 alone: 5 + 2 + 4 = 11, to 24; then the prefill of 1: 10 + 2, to 36. */
    expect(&log, 1, 36000, SIM_ENGINE_FIRST_TOKEN, 1);
    /* Both: 5 + 4 + (5 + 3) = 17, to 53: 1 has its two tokens. */
    expect(&log, 2, 53000, SIM_ENGINE_COMPLETE, 1);
    /* 0 alone: 5 + 2 + 6 = 13. */
    expect(&log, 3, 66000, SIM_ENGINE_COMPLETE, 0);
}

static uint64_t draw(uint64_t seed, uint64_t *k, uint64_t n)
{
    return random_u64(seed, 3, (*k)++) % n;
}

static int by_time(const void *a, const void *b)
{
    const struct happening *x = a;
    const struct happening *y = b;
    if (x->t_ns != y->t_ns) {
        return x->t_ns < y->t_ns ? -1 : 1;
    }
    if (x->withdraw != y->withdraw) {
        return x->withdraw ? 1 : -1;
    }
    return x->job.request < y->job.request ? -1 : x->job.request > y->job.request;
}

static void make_course(uint64_t seed, struct course *course)
{
    uint64_t k = 0;
    memset(course, 0, sizeof *course);
    /* Picoseconds that are seldom whole nanoseconds, but no pass below one: of two boundaries in
     * one nanosecond, what was dispatched then could take either. Now and then a part costs
     * nothing. */
    int64_t scale = draw(seed, &k, 2) ? 1 : 1000;
    course->service = (struct scenario_service){
        .kind = SCENARIO_BATCH,
        .p0_ps = scale * (int64_t)(1000 + draw(seed, &k, 3000)),
        .p1_ps = scale * (int64_t)draw(seed, &k, 40),
        .d0_ps = scale * (int64_t)(1000 + draw(seed, &k, 4000)),
        .d1_ps = draw(seed, &k, 4) ? scale * (int64_t)draw(seed, &k, 500) : 0,
        .d2_ps = draw(seed, &k, 4) ? scale * (int64_t)draw(seed, &k, 9) : 0};
    uint32_t requests = 1 + (uint32_t)draw(seed, &k, REQUESTS_MAX);
    uint64_t span = (uint64_t)scale * (1 + draw(seed, &k, 400));
    uint32_t withdrawals = (uint32_t)draw(seed, &k, 3) * 25; /* percent */
    for (uint32_t i = 0; i < requests; i++) {
        int64_t t_ns = (int64_t)draw(seed, &k, span);
        course->what[course->count++] = (struct happening){
            .t_ns = t_ns,
            .job = job(i, (int64_t)draw(seed, &k, 60), 1 + (int64_t)draw(seed, &k, 50))};
        if (draw(seed, &k, 100) < withdrawals) {
            course->what[course->count++] =
                (struct happening){.t_ns = t_ns + (int64_t)draw(seed, &k, span),
                                   .withdraw = true,
                                   .job = {.request = i}};
        }
    }
    qsort(course->what, course->count, sizeof course->what[0], by_time);
}

static void test_against_naive(void **state)
{
    (void)state;
    static struct course course;
    static struct told_log closed, naive;
    uint64_t told = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        make_course(seed, &course);
        closed.count = 0;
        naive.count = 0;
        run_closed(&course, &closed);
        run_naive(&course, &naive);
        bool same = closed.count == naive.count;
        for (uint32_t i = 0; i < closed.count && same; i++) {
            const struct told *a = &closed.told[i];
            const struct told *b = &naive.told[i];
            same = a->t_ns == b->t_ns && a->event == b->event && a->request == b->request;
            if (!same) {
                print_error("seed %llu, %u-th: %lld %u %u, pass by pass %lld %u %u\n",
                            (unsigned long long)seed, i, (long long)a->t_ns, a->event, a->request,
                            (long long)b->t_ns, b->event, b->request);
            }
        }
        if (closed.count != naive.count) {
            print_error("seed %llu: %u events, pass by pass %u\n", (unsigned long long)seed,
                        closed.count, naive.count);
        }
        assert_true(same);
        told += closed.count;
    }
    assert_true(told > 50000);
}

static void test_cleared(void **state)
{
    (void)state;
    const struct scenario_service service = {
        .kind = SCENARIO_BATCH, .p0_ps = 1000, .d0_ps = 1000000};
    struct sim_engine *engine = NULL;
    assert_int_equal(sim_engine_create(&service, &engine), 0);
    const struct sim_engine_job first = job(0, 1, 100);
    const struct sim_engine_job second = job(1, 1, 1);
    assert_int_equal(sim_engine_add(engine, &first, 10), 0);
    sim_engine_clear(engine);
    assert_true(sim_engine_next_ns(engine) == INT64_MAX);
    assert_int_equal(sim_engine_add(engine, &second, 12), 0);
    assert_int_equal(sim_engine_next_ns(engine), 13);
    sim_engine_destroy(engine);
    sim_engine_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_against_naive),
        cmocka_unit_test(test_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
