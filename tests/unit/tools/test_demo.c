/* The demo's figures, from logs worked out by hand; its stretch, against what it promises. */
#include "tools/demo_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct demo *demo;
static char folder[] = "/tmp/shunt-test-demo-XXXXXX";

static int setup(void **state)
{
    (void)state;
    demo = calloc(1, sizeof *demo);
    assert_non_null(demo);
    demo->options = (struct demo_options){.time_scale = 10, .load = 0.45};
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(demo->folder, sizeof demo->folder, "%s", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"log", "stretch.csv", "burst.csv"};
    char path[DEMO_PATH_MAX];
    for (size_t i = 0; i < 3; i++) {
        demo_path(demo, path, names[i]);
        (void)unlink(path);
    }
    free(demo);
    return rmdir(folder);
}

static const char *write_log(const char *text)
{
    static char path[DEMO_PATH_MAX];
    demo_path(demo, path, "log");
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void near(double value, double expected)
{
    if (!(value > expected - 1e-9 && value < expected + 1e-9)) {
        fail_msg("%.12g, not %.12g", value, expected);
    }
}

#define DONE(model, t, queue_ms, ttft, end)                                                        \
    "{\"model\": \"" model "\", \"t_s\": " #t                                                      \
    ", \"status\": 200, \"error\": null, \"tokens\": 10, "                                         \
    "\"input_tokens\": 100, \"ttft_s\": " #ttft ", \"t_end_s\": " #end                             \
    ", \"x-shunt-queue-ms\": \"" #queue_ms "\"}\n"

/* Queue times are the host's, so real; the others are the client's, in seconds of the trace. */
static void test_times(void **state)
{
    (void)state;
    struct demo_result r;
    const char *path = write_log(DONE("chat-7b", 0, 0, 0.5, 1) DONE("chat-7b", 1, 100, 1.5, 4) DONE(
        "chat-7b", 2, 500, 6, 9) DONE("help-7b", 2, 1000, 11, 20));
    assert_int_equal(demo_result_read(demo, path, 4, &r), 0);
    assert_int_equal(r.completed, 4);
    assert_int_equal(r.lost, 0);
    near(r.span_s, 20);
    near(r.models[0].wait.mean, 2);
    near(r.models[0].wait.p50, 1);
    near(r.models[0].wait.p99, 5);
    near(r.models[0].ttft.max, 6);
    near(r.models[1].wait.max, 0);
    near(r.wait.mean, 4);
    near(r.tokens, 40);
    near(r.work_s,
         3 * demo_work_s(&demo_models[0], 100, 10) + demo_work_s(&demo_models[2], 100, 10));
}

/*
 * Dispatches: chat at 0; code (came at 1) at 11, its second (came at 3) at 12; chat (came at 2,
 * after its last dispatch at 0) at 20, and one that came at 5 at 21; code (came at 9, before its
 * last dispatch at 12, so unvisited since then) at 30.
 */
static void test_gaps(void **state)
{
    (void)state;
    struct demo_result r;
    const char *path =
        write_log(DONE("chat-7b", 0, 0, 1, 1) DONE("code-14b", 1, 1000, 1, 1)
                      DONE("code-14b", 3, 900, 1, 1) DONE("chat-7b", 2, 1800, 1, 1)
                          DONE("chat-7b", 5, 1600, 1, 1) DONE("code-14b", 9, 2100, 1, 40));
    assert_int_equal(demo_result_read(demo, path, 6, &r), 0);
    near(r.models[0].gap_max_s, 18);
    near(r.models[1].gap_max_s, 18);
    near(r.models[2].gap_max_s, 0);
}

static void test_what_is_not_answered(void **state)
{
    (void)state;
    struct demo_result r;
    const char *path = write_log(DONE(
        "chat-7b", 0, 0, 1,
        1) "{\"model\": \"chat-7b\", \"status\": 429, \"error\": \"http_429\", \"t_end_s\": 3}\n"
           "{\"model\": \"chat-7b\", \"status\": 200, \"error\": \"stream_shunt_drain_timeout\", "
           "\"t_end_s\": 5}\n"
           "{\"model\": \"code-14b\", \"status\": 0, \"error\": \"closed\", \"t_end_s\": 4}\n");
    assert_int_equal(demo_result_read(demo, path, 6, &r), 0);
    assert_int_equal(r.sent, 4);
    assert_int_equal(r.completed, 1);
    assert_int_equal(r.refused, 1);
    assert_int_equal(r.failed, 2);
    assert_int_equal(r.cut, 1);
    assert_int_equal(r.lost, 4); /* the cut one, the closed one, and two without a line */
}

static void test_bad_logs(void **state)
{
    (void)state;
    static const char *const logs[] = {
        "not json\n", "{\"model\": \"unknown\", \"error\": null}\n",
        "{\"model\": \"chat-7b\", \"status\": 200, \"error\": null}\n"};
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        struct demo_result r = {.sent = 77};
        demo->error[0] = '\0';
        assert_int_equal(demo_result_read(demo, write_log(logs[i]), 1, &r), -EPROTO);
        assert_true(demo->error[0] != '\0');
        assert_int_equal(r.sent, 77);
    }
    struct demo_result r;
    assert_int_equal(demo_result_read(demo, "/nowhere/at/all", 1, &r), -ENOENT);
}

static void test_shares(void **state)
{
    (void)state;
    struct demo_result r = {.cut = 1};
    struct demo_status before = {.time_s = {1, 2, 3, 4, 5}, .batch_s = 10, .switches = 7};
    struct demo_status after = {.time_s = {11, 12, 43, 14, 35}, .batch_s = 70, .switches = 9};
    after.models[1].cut = 3;
    demo_result_host(&r, &before, &after);
    near(r.share[0], 0.1);
    near(r.share[2], 0.4);
    near(r.share[4], 0.3);
    near(r.batch_mean, 3);
    assert_int_equal(r.switches, 2);
    assert_int_equal(r.cut, 3);
}

static char *read_all(const char *name)
{
    char path[DEMO_PATH_MAX], *text = calloc(1, 1 << 20);
    assert_non_null(text);
    demo_path(demo, path, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    assert_int_equal(fclose(file), 0);
    return text;
}

/* The load is the one asked for, to within its last request; the file is the same each time. */
static void test_stretch(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("SHUNT_TRACES"), 0);
    demo->stretch.length_s = 300;
    assert_int_equal(demo_stretch_write(demo), 0);
    assert_false(demo->stretch.real);
    assert_non_null(strstr(demo->stretch.source, "not a trace"));
    char *first = read_all("stretch.csv");
    double work_s = 0, last_s = 0, largest_s = 0;
    uint64_t count = 0, of[DEMO_MODELS] = {0};
    char *rest = first, *line = strsep(&rest, "\n");
    assert_string_equal(line, "t_s,model,input_tokens,output_tokens");
    while ((line = strsep(&rest, "\n")) && *line) {
        char model[32];
        double t_s;
        int64_t in, out;
        assert_int_equal(sscanf(line, "%lf,%31[^,],%" SCNd64 ",%" SCNd64, &t_s, model, &in, &out),
                         4);
        size_t i = 0;
        while (i < DEMO_MODELS && strcmp(model, demo_models[i].name) != 0) {
            i++;
        }
        assert_true(i < DEMO_MODELS && t_s >= last_s && in > 0 && out > 0);
        double own_s = demo_work_s(&demo_models[i], in, out);
        work_s += own_s;
        largest_s = own_s > largest_s ? own_s : largest_s;
        last_s = t_s;
        of[i]++;
        count++;
    }
    free(first);
    near(last_s, 300);
    near(demo->stretch.load * 300, work_s);
    assert_true(work_s >= 0.45 * 300 && work_s <= 0.45 * 300 + largest_s);
    assert_int_equal(demo->stretch.total, count);
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        assert_int_equal(demo->stretch.requests[i], of[i]);
    }
    /* A quarter of the conversations, to within five standard deviations. */
    double all = (double)(of[0] + of[2]), third = (double)of[2];
    assert_true((third - all / 4) * (third - all / 4) < 25 * all * 3 / 16);
    char *again = read_all("stretch.csv");
    assert_int_equal(demo_stretch_write(demo), 0);
    char *second = read_all("stretch.csv");
    assert_string_equal(again, second);
    free(again);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gaps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_logs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stretch, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
