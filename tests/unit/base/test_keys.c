/* API keys: what is made is found, and nothing else is. */
#include "base/keys.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static void write_file(const char *text)
{
    (void)snprintf(path, sizeof path, "/tmp/shunt-keys-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void test_round_trip(void **state)
{
    (void)state;
    char token[3][KEYS_TOKEN_SIZE], line[3][256], text[1024], err[512] = "";
    assert_int_equal(keys_make("alice", token[0], line[0], sizeof line[0]), 0);
    assert_int_equal(keys_make("bob", token[1], line[1], sizeof line[1]), 0);
    assert_int_equal(keys_make("alice", token[2], line[2], sizeof line[2]), 0);
    assert_string_not_equal(token[0], token[2]);
    assert_int_equal(strlen(token[0]), 52);
    assert_null(strstr(line[0], token[0] + 9));
    (void)snprintf(text, sizeof text, "# keys\n%s\n\n%s \r\n%s", line[0], line[1], line[2]);
    write_file(text);
    struct keys *keys = NULL;
    assert_int_equal(keys_load(path, &keys, err, sizeof err), 0);
    assert_int_equal(keys_count(keys), 3);
    assert_string_equal(keys_find(keys, span_of_string(token[0])), "alice");
    assert_string_equal(keys_find(keys, span_of_string(token[1])), "bob");
    assert_string_equal(keys_find(keys, span_of_string(token[2])), "alice");
    assert_null(keys_find(keys, span_of_string("")));
    assert_null(keys_find(keys, span_of_string(line[0])));
    token[1][20] ^= 1;
    assert_null(keys_find(keys, span_of_string(token[1])));
    assert_null(keys_find(keys, span_of(token[0], 51)));
    keys_free(keys);
    assert_int_equal(unlink(path), 0);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "holds no key"},
        {"# only\n", "holds no key"},
        {"# a\nalice\n", ":2: wants NAME:HASH"},
        {"alice:sk-shunt-abcdef\n", ":1: the hash wants 64"},
        {"al ice:00\n", ":1: the name takes"},
        {":00\n", ":1: the name takes"},
        {"a:zz00000000000000000000000000000000000000000000000000000000000000\n", "hash wants"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct keys *keys = NULL;
        char err[512] = "";
        write_file(cases[i].text);
        assert_int_equal(keys_load(path, &keys, err, sizeof err), -EINVAL);
        if (!strstr(err, cases[i].part)) {
            fail_msg("\"%s\" lacks \"%s\"", err, cases[i].part);
        }
        assert_null(strstr(err, "abcdef"));
        assert_int_equal(unlink(path), 0);
    }
    struct keys *keys = NULL;
    char err[512] = "", token[KEYS_TOKEN_SIZE], line[256];
    assert_int_equal(keys_load("/nonexistent", &keys, err, sizeof err), -ENOENT);
    assert_int_equal(keys_make("a:b", token, line, sizeof line), -EINVAL);
    assert_int_equal(keys_make("", token, line, sizeof line), -EINVAL);
    assert_int_equal(keys_make("alice", token, line, 20), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
