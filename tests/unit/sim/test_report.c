/*
 * The report's file: data that cannot leave the element that holds it, thinned to what is drawn.
 * How it looks is tests/e2e/test_report.py's affair, which uses this program to make one:
 *     test.unit.sim.report --write RESULTS.json REPORT.html
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/report.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NASTY "</script><script>alert(1)</script><!-- \"'&"

static json_t *result(const char *policy, int seed)
{
    return json_pack("{s:s, s:i, s:{s:s}, s:{s:[s], s:[], s:[], s:[f], s:[n], s:n}}", "scenario",
                     NASTY, "seed", seed, "policy", "name", policy, "series", "models", NASTY,
                     "queue", "segments", "quantiles", 0.5, "wait", "wait_all");
}

/* The file's text, to be freed. */
static char *written(const json_t *results)
{
    char *text = NULL, err[200];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(report_write(out, results, err, sizeof(err)), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

static json_t *data_of(const char *html)
{
    const char *mark = "<script type=\"application/json\" id=\"data\">";
    const char *begin = strstr(html, mark);
    assert_non_null(begin);
    begin += strlen(mark);
    const char *end = strstr(begin, "</script>");
    assert_non_null(end);
    json_t *data = json_loadb(begin, (size_t)(end - begin), 0, NULL);
    assert_non_null(data);
    return data;
}

static void untrusted_names_stay_text(void **state)
{
    (void)state;
    json_t *results = json_pack("[o]", result(NASTY, 1));
    char *html = written(results);
    json_t *data = data_of(html);
    /* The data ends where it should and says what it said. */
    assert_string_equal(json_string_value(json_object_get(json_array_get(data, 0), "scenario")),
                        NASTY);
    assert_null(strstr(html, "<script>alert"));
    assert_non_null(strstr(html, "<title>&lt;/script&gt;"));
    json_decref(data);
    json_decref(results);
    free(html);
}

static void later_seeds_carry_their_waits_only(void **state)
{
    (void)state;
    json_t *results = json_array();
    for (int seed = 1; seed <= REPORT_SEEDS_MAX + 2; seed++) {
        assert_int_equal(json_array_append_new(results, result("a", seed)), 0);
    }
    assert_int_equal(json_array_append_new(results, result("b", 1)), 0);
    char *html = written(results);
    json_t *data = data_of(html);
    assert_int_equal(json_array_size(data), REPORT_SEEDS_MAX + 3);
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *series = json_object_get(json_array_get(data, i), "series");
        bool first = i == 0 || i == REPORT_SEEDS_MAX + 2;
        assert_int_equal(json_object_get(series, "segments") != NULL, first);
        assert_int_equal(json_object_get(series, "wait") != NULL, i < REPORT_SEEDS_MAX || first);
    }
    json_decref(data);
    json_decref(results);
    free(html);
}

static void nothing_is_an_error(void **state)
{
    (void)state;
    char err[200] = "";
    json_t *none = json_array();
    assert_int_equal(report_write(stderr, none, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "no results"));
    json_decref(none);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    if (!full) {
        skip();
    }
    char err[200] = "";
    json_t *results = json_pack("[o]", result("a", 1));
    assert_int_equal(report_write(full, results, err, sizeof(err)), -EIO);
    assert_true(err[0] != '\0');
    json_decref(results);
    (void)fclose(full);
}

static int write_file(const char *from, const char *to)
{
    char err[200] = "cannot be read or written";
    json_t *results = json_load_file(from, 0, NULL);
    FILE *out = results ? fopen(to, "w") : NULL;
    int rc = out ? report_write(out, results, err, sizeof(err)) : -EIO;
    if (out && fclose(out) != 0) {
        rc = -EIO;
    }
    json_decref(results);
    if (rc) {
        (void)fprintf(stderr, "%s: %s\n", from, err);
    }
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--write") == 0) {
        return write_file(argv[2], argv[3]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untrusted_names_stay_text),
        cmocka_unit_test(later_seeds_carry_their_waits_only),
        cmocka_unit_test(nothing_is_an_error),
        cmocka_unit_test(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
