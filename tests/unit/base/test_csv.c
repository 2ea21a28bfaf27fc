/*
 * CSV lines and tables: cells as RFC 4180 has them, and errors with their place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/csv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *cells[4];
        size_t len;
        unsigned columns[4];
    } cases[] = {
        {"", {""}, 1, {1}},
        {"a", {"a"}, 1, {1}},
        {",", {"", ""}, 2, {1, 2}},
        {"a,,c", {"a", "", "c"}, 3, {1, 3, 4}},
        {"\"a,b\",c", {"a,b", "c"}, 2, {1, 7}},
        {"\"say \"\"x\"\"\",\"\"", {"say \"x\"", ""}, 2, {1, 13}},
        {" a ,b", {" a ", "b"}, 2, {1, 5}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct csv_cell cells[CSV_COLUMNS_MAX];
        char scratch[64];
        size_t len;
        unsigned column;
        const char *reason;
        assert_int_equal(
            csv_split(cases[i].line, strlen(cases[i].line), scratch, cells, &len, &column, &reason),
            0);
        assert_int_equal(len, cases[i].len);
        for (size_t k = 0; k < len; k++) {
            assert_int_equal(cells[k].len, strlen(cases[i].cells[k]));
            assert_memory_equal(cells[k].text, cases[i].cells[k], cells[k].len);
            assert_int_equal(cells[k].column, cases[i].columns[k]);
        }
    }
}

static void test_split_errors(void **state)
{
    (void)state;
    static char many[CSV_COLUMNS_MAX + 1];
    memset(many, ',', CSV_COLUMNS_MAX);
    const struct {
        const char *line, *reason;
        unsigned column;
    } cases[] = {
        {"a,b\"c", "a quote inside an unquoted cell", 3},
        {"a,\"bc", "a quoted cell that does not end in this line", 3},
        {"a,\"b\"c", "text after a quoted cell", 6},
        {many, "more than 256 columns", 257},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct csv_cell cells[CSV_COLUMNS_MAX];
        char scratch[CSV_COLUMNS_MAX + 1];
        size_t len;
        unsigned column = 0;
        const char *reason = "";
        assert_int_equal(
            csv_split(cases[i].line, strlen(cases[i].line), scratch, cells, &len, &column, &reason),
            -EINVAL);
        assert_string_equal(reason, cases[i].reason);
        assert_int_equal(column, cases[i].column);
    }
}

/* Reads a table of NAME and SHARE; the error after the path, or "" and the sum of the shares. */
static const char *read_table(const char *text, double *ret_sum)
{
    static const char *const columns[] = {"name", "share"};
    static char err[512];
    char path[] = "/tmp/shunt-csv-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    struct csv *csv;
    const struct csv_cell *cells;
    double sum = 0, share;
    err[0] = '\0';
    int rc = csv_open(&csv, path, columns, 2, err, sizeof err);
    if (rc == 0) {
        while ((rc = csv_next(csv, &cells, err, sizeof err)) == 1) {
            rc = csv_real(csv, &cells[1], "share", 0, 1, &share, err, sizeof err);
            if (rc) {
                break;
            }
            sum += share;
        }
        csv_close(csv);
    }
    (void)unlink(path);
    *ret_sum = sum;
    assert_true((rc == 0) == (err[0] == '\0'));
    return rc ? err + strlen(path) : "";
}

static void test_tables(void **state)
{
    (void)state;
    double sum;
    assert_string_equal(read_table("\xef\xbb\xbfx,share,name\r\n1,.25,a\r\n\r\n2,5e-1,b", &sum),
                        "");
    assert_true(sum > 0.7499 && sum < 0.7501);
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", ":1:1: the file is empty; a table begins with a line of names"},
        {"name,part\n", ":1:1: no column \"share\""},
        {"name,share\na,1,2\n", ":2:1: 3 cells, but the first line names 2 columns"},
        {"name,share\na,x\n", ":2:3: share is not a number: \"x\""},
        {"name,share\na,2\n", ":2:3: share is out of range: 2"},
        {"name,share\n\"a,2\n", ":2:1: a quoted cell that does not end in this line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(read_table(cases[i].text, &sum), cases[i].error);
    }
    struct csv *csv;
    char err[256];
    const char *column = "a";
    assert_int_equal(csv_open(&csv, "/nonexistent", &column, 1, err, sizeof err), -ENOENT);
    assert_string_equal(err, "/nonexistent: cannot open: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_errors),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
