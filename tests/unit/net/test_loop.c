/* The loop: timers, deferred calls, posts from threads, signals. */
#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t ms_ns = 1000000;

static int setup(void **state)
{
    struct loop *loop;
    (void)alarm(60);
    if (loop_create(&loop)) {
        return -1;
    }
    *state = loop;
    return 0;
}

static int teardown(void **state)
{
    loop_destroy(*state);
    return 0;
}

static struct loop_timer *fired[8];
static unsigned fired_len;

static void note_fire(struct loop_timer *timer)
{
    fired[fired_len++] = timer;
}

static void test_timers_fire_in_order_and_never_early(void **state)
{
    struct loop *loop = *state;
    struct loop_timer timers[4];
    fired_len = 0;
    int64_t now_ns = loop_now_ns(loop);
    for (int i = 0; i < 4; i++) {
        loop_timer_init(&timers[i], loop, note_fire);
    }
    loop_timer_set(&timers[0], now_ns + 40 * ms_ns);
    loop_timer_set(&timers[1], now_ns + 10 * ms_ns);
    loop_timer_set(&timers[2], now_ns + 20 * ms_ns);
    loop_timer_set(&timers[2], now_ns + 60 * ms_ns); /* later */
    loop_timer_set(&timers[0], now_ns + 30 * ms_ns); /* earlier */
    loop_timer_set(&timers[3], now_ns + 5 * ms_ns);
    loop_timer_cancel(&timers[3]);
    while (fired_len < 3) {
        assert_int_equal(loop_run_once(loop, true), 0);
        if (fired_len) {
            int64_t due = fired[fired_len - 1] == &timers[1]   ? 10
                          : fired[fired_len - 1] == &timers[0] ? 30
                                                               : 60;
            assert_true(loop_now_ns(loop) >= now_ns + due * ms_ns);
        }
    }
    assert_ptr_equal(fired[0], &timers[1]);
    assert_ptr_equal(fired[1], &timers[0]);
    assert_ptr_equal(fired[2], &timers[2]);
    loop_timer_set(&timers[3], now_ns); /* a time in the past: at the next turn, not here */
    assert_int_equal(fired_len, 3);
    assert_int_equal(loop_run_once(loop, true), 0);
    assert_int_equal(fired_len, 4);
    for (int i = 0; i < 4; i++) {
        loop_timer_fini(&timers[i]);
    }
}

struct note_task {
    struct loop_task task;
    struct loop *loop;
    char name;
    int again;
};

static char order[32];
static unsigned order_len;

static void note_run(struct loop_task *task)
{
    struct note_task *note = (struct note_task *)(void *)task;
    order[order_len++] = note->name;
    if (note->again-- > 0) {
        loop_defer(note->loop, task);
    }
}

static void test_deferred_calls_keep_their_order(void **state)
{
    struct loop *loop = *state;
    struct note_task a = {.task.run = note_run, .loop = loop, .name = 'a', .again = 1};
    struct note_task b = {.task.run = note_run, .loop = loop, .name = 'b'};
    struct note_task c = {.task.run = note_run, .loop = loop, .name = 'c'};
    order_len = 0;
    loop_defer(loop, &a.task);
    loop_defer(loop, &b.task);
    loop_defer(loop, &a.task); /* is queued already */
    loop_defer(loop, &c.task);
    loop_defer_cancel(loop, &c.task);
    assert_int_equal(order_len, 0);
    while (order_len < 3) {
        assert_int_equal(loop_run_once(loop, true), 0);
    }
    assert_memory_equal(order, "aba", 3);
}

enum { THREADS = 4, POSTS = 2000 };

struct poster {
    struct loop *loop;
    unsigned got, last, total;
    bool in_order;
};

struct letter {
    struct poster *from;
    unsigned number;
};

static void letter_read(void *arg)
{
    struct letter *letter = arg;
    struct poster *from = letter->from;
    from->in_order &= letter->number == from->last + 1;
    from->last = letter->number;
    from->got++;
    free(letter);
}

static void *post_all(void *arg)
{
    struct poster *poster = arg;
    for (unsigned i = 1; i <= POSTS; i++) {
        struct letter *letter = malloc(sizeof *letter);
        if (!letter) {
            abort();
        }
        *letter = (struct letter){.from = poster, .number = i};
        if (loop_post(poster->loop, letter_read, letter, free)) {
            abort();
        }
    }
    return NULL;
}

static void test_posts_from_threads_arrive_once_and_in_order(void **state)
{
    struct loop *loop = *state;
    struct poster posters[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){.loop = loop, .in_order = true};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    unsigned total = 0;
    while (total < THREADS * POSTS) {
        assert_int_equal(loop_run_once(loop, true), 0);
        total = 0;
        for (int i = 0; i < THREADS; i++) {
            total += posters[i].got;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(posters[i].in_order);
        assert_int_equal(posters[i].got, POSTS);
    }
}

static void drop_count(void *arg)
{
    ++*(unsigned *)arg;
}

static void never(void *arg)
{
    (void)arg;
    fail();
}

static void test_posts_left_over_are_dropped(void **state)
{
    (void)state;
    struct loop *loop;
    unsigned dropped = 0;
    assert_int_equal(loop_create(&loop), 0);
    assert_int_equal(loop_post(loop, never, &dropped, drop_count), 0);
    assert_int_equal(loop_post(loop, never, NULL, NULL), 0);
    loop_destroy(loop);
    assert_int_equal(dropped, 1);
    loop_destroy(NULL);
}

static unsigned caught;

static void on_signal(struct loop_signal *sig, int signum)
{
    assert_int_equal(signum, SIGUSR1);
    caught++;
    loop_stop(sig->loop);
}

static void test_signals_and_stop(void **state)
{
    struct loop *loop = *state;
    struct loop_signal sig;
    assert_int_equal(loop_signal_init(&sig, loop, SIGUSR1, on_signal), 0);
    caught = 0;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(caught, 1);
    loop_signal_fini(&sig);
}

static void test_the_date_is_fixed_width(void **state)
{
    struct span date = loop_date(*state);
    assert_int_equal(date.len, 29);
    assert_memory_equal(date.data + 25, " GMT", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timers_fire_in_order_and_never_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deferred_calls_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_posts_from_threads_arrive_once_and_in_order, setup,
                                        teardown),
        cmocka_unit_test(test_posts_left_over_are_dropped),
        cmocka_unit_test_setup_teardown(test_signals_and_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_date_is_fixed_width, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
