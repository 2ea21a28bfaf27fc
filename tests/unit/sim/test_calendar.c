/* The calendar gives its events by time, then rank, then in the order in which they came. */
#include "sim/calendar.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_order(void **state)
{
    (void)state;
    struct calendar calendar = {0};
    assert_null(calendar_first(&calendar));
    assert_int_equal(calendar_push(&calendar, 5, 1, 0, 0), 0);
    assert_int_equal(calendar_push(&calendar, 5, 0, 1, 0), 0);
    assert_int_equal(calendar_push(&calendar, 4, 9, 2, 7), 0);
    assert_int_equal(calendar_push(&calendar, 5, 1, 3, 0), 0);
    assert_int_equal(calendar_push(&calendar, 5, 0, 4, 0), 0);
    static const uint32_t expected[] = {2, 1, 4, 0, 3};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct calendar_entry *first = calendar_first(&calendar);
        assert_non_null(first);
        assert_int_equal(first->a, expected[i]);
        const struct calendar_entry entry = calendar_pop(&calendar);
        assert_int_equal(entry.a, expected[i]);
        if (i == 0) {
            assert_int_equal(entry.b, 7);
            assert_int_equal(calendar_rank(&entry), 9);
        }
    }
    assert_null(calendar_first(&calendar));
    calendar_fini(&calendar);
}

struct model_entry {
    int64_t t_ns;
    uint32_t rank, number;
};

static int by_order(const void *a, const void *b)
{
    const struct model_entry *x = a;
    const struct model_entry *y = b;
    if (x->t_ns != y->t_ns) {
        return x->t_ns < y->t_ns ? -1 : 1;
    }
    if (x->rank != y->rank) {
        return x->rank < y->rank ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Against sorting, with pops between the pushes as a run has them: nothing is pushed for before
 * what was popped last. */
static void test_against_sorting(void **state)
{
    (void)state;
    enum { EVENTS = 20000 };
    static struct model_entry model[EVENTS];
    struct calendar calendar = {0};
    uint32_t pushed = 0;
    uint32_t popped = 0;
    int64_t now_ns = 0;
    while (popped < EVENTS) {
        uint64_t bits = random_u64(7, 1, (uint64_t)pushed + popped);
        if (pushed < EVENTS && (pushed == popped || bits % 3 != 0)) {
            struct model_entry *entry = &model[pushed];
            *entry = (struct model_entry){.t_ns = now_ns + (int64_t)((bits >> 8) % 64),
                                          .rank = (uint32_t)(bits >> 16) % 10,
                                          .number = pushed};
            assert_int_equal(calendar_push(&calendar, entry->t_ns, entry->rank, pushed, 0), 0);
            pushed++;
            qsort(&model[popped], pushed - popped, sizeof model[0], by_order);
        } else {
            const struct calendar_entry entry = calendar_pop(&calendar);
            assert_int_equal(entry.a, model[popped].number);
            assert_int_equal(entry.t_ns, model[popped].t_ns);
            assert_int_equal(calendar_rank(&entry), model[popped].rank);
            assert_true(entry.t_ns >= now_ns);
            now_ns = entry.t_ns;
            popped++;
            if (pushed - popped > 200) { /* keep the sorting cheap */
                while (pushed - popped > 20) {
                    assert_int_equal(calendar_pop(&calendar).a, model[popped].number);
                    now_ns = model[popped].t_ns;
                    popped++;
                }
            }
        }
    }
    assert_null(calendar_first(&calendar));
    calendar_fini(&calendar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_against_sorting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
