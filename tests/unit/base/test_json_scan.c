/* The scanner: what it accepts and refuses, what it finds, and the request that is read with it. */
#include "base/json_scan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int scan_any(const char *text)
{
    struct json_scan_value value;
    struct json_scan_error err;
    return json_scan_any(span_of_string(text), &value, &err);
}

static void test_legal_texts(void **state)
{
    (void)state;
    static const char *const legal[] = {
        "0",
        "-0",
        "1.5",
        "1e9",
        "1E+9",
        "-1.25e-3",
        "1234567890123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        " [ ] ",
        "{}",
        "[1,2,3]",
        "{\"a\":[{}]}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
        "\"\\ud83d\\ude00\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "[[],{},[[[]]]]",
        "\t\r\n{\"a\" : 1 , \"a\" : 2}\n",
        "\"\\u0000\"",
        "\"\x7f\"",
    };
    for (size_t i = 0; i < sizeof legal / sizeof legal[0]; i++) {
        if (scan_any(legal[i])) {
            fail_msg("refused: %s", legal[i]);
        }
    }
}

static void test_illegal_texts(void **state)
{
    (void)state;
    static const char *const illegal[] = {
        "",
        " ",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "-",
        "0x10",
        "NaN",
        "Infinity",
        "tru",
        "nul",
        "True",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
        "\"\n\"",
        "\"\x01\"",
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf8\x88\x80\x80\x80\"",
        "\"\xe0\x80\x80\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{1:2}",
        "{\"a\" 1}",
        "{,}",
        "[}",
        "{]",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "{} {}",
        "[]x",
        "\xef\xbb\xbf{}",
        "/**/1",
        "1//",
    };
    for (size_t i = 0; i < sizeof illegal / sizeof illegal[0]; i++) {
        if (scan_any(illegal[i]) != -EINVAL) {
            fail_msg("not refused: %s", illegal[i]);
        }
    }
}

static void test_depth_is_limited(void **state)
{
    (void)state;
    for (int object = 0; object < 2; object++) {
        for (size_t depth = JSON_SCAN_DEPTH_MAX; depth <= JSON_SCAN_DEPTH_MAX + 1; depth++) {
            char text[1024] = "";
            size_t len = 0;
            for (size_t i = 0; i < depth; i++) {
                len += (size_t)snprintf(text + len, sizeof text - len, object ? "{\"a\":" : "[");
            }
            len += (size_t)snprintf(text + len, sizeof text - len, "0");
            for (size_t i = 0; i < depth; i++) {
                len += (size_t)snprintf(text + len, sizeof text - len, object ? "}" : "]");
            }
            assert_int_equal(scan_any(text), depth == JSON_SCAN_DEPTH_MAX ? 0 : -E2BIG);
            if (object) {
                struct json_scan_error err;
                assert_int_equal(json_scan(span_of_string(text), NULL, 0, NULL, &err),
                                 depth == JSON_SCAN_DEPTH_MAX ? 0 : -E2BIG);
            }
        }
    }
}

static const struct span two_keys[2] = {{"model", 5}, {"n", 1}};

static void test_spans_of_chosen_keys(void **state)
{
    (void)state;
    const struct span text = SPAN_LITERAL(
        " {\"x\":{\"model\":\"no\"}, \"model\" : \"yes\\n\",\"n\":[\"ab\",{\"c\":\"d\"},1]} ");
    struct json_scan_value values[2];
    struct json_scan_error err;
    assert_int_equal(json_scan(text, two_keys, 2, values, &err), 0);
    assert_int_equal(values[0].type, JSON_SCAN_STRING);
    assert_true(span_equal(values[0].raw, SPAN_LITERAL("\"yes\\n\"")));
    assert_ptr_equal(text.data + values[0].offset_bytes, values[0].raw.data);
    assert_int_equal(values[1].type, JSON_SCAN_ARRAY);
    assert_true(span_equal(values[1].raw, SPAN_LITERAL("[\"ab\",{\"c\":\"d\"},1]")));
    assert_int_equal(values[1].text_bytes, 3);
    assert_int_equal(values[1].items, 3);
    char buf[4];
    size_t len;
    assert_int_equal(json_scan_string(&values[0], buf, sizeof buf, &len), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(buf, "yes\n", 4);
    assert_int_equal(json_scan_string(&values[0], buf, 3, &len), -ENOBUFS);

    assert_int_equal(json_scan(SPAN_LITERAL("{}"), two_keys, 2, values, &err), 0);
    assert_int_equal(values[0].type, JSON_SCAN_ABSENT);
    assert_int_equal(json_scan(SPAN_LITERAL("[]"), two_keys, 2, values, &err), -EINVAL);
}

static void test_a_chosen_key_twice_is_refused_however_written(void **state)
{
    (void)state;
    static const char *const twice[] = {
        "{\"model\":1,\"model\":2}",
        "{\"model\":1,\"\\u006dodel\":2}",
        "{\"\\u006d\\u006F\\u0064\\u0065\\u006c\":1,\"x\":0,\"model\":null}",
        "{\"model\":null,\"model\":null}",
    };
    struct json_scan_value values[2];
    struct json_scan_error err;
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++) {
        assert_int_equal(json_scan(span_of_string(twice[i]), two_keys, 2, values, &err), -EEXIST);
        assert_int_equal(err.key, 0);
    }
    assert_int_equal(json_scan(SPAN_LITERAL("{\"z\":1,\"z\":2,\"Model\":3,\"model\":4}"), two_keys,
                               2, values, &err),
                     0);
    assert_int_equal(json_scan(SPAN_LITERAL("{\"\\u006dodel\":7}"), two_keys, 2, values, &err), 0);
    assert_int_equal(values[0].type, JSON_SCAN_NUMBER);
}

static void test_errors_say_where(void **state)
{
    (void)state;
    struct json_scan_value values[2];
    struct json_scan_error err;
    assert_int_equal(json_scan(SPAN_LITERAL("{\"model\":tru}"), two_keys, 2, values, &err),
                     -EINVAL);
    assert_int_equal(err.offset_bytes, 9);
    assert_int_equal(err.key, 0);
    assert_int_equal(json_scan(SPAN_LITERAL("{\"a\":1 \"b\":2}"), two_keys, 2, values, &err),
                     -EINVAL);
    assert_int_equal(err.offset_bytes, 7);
    assert_int_equal(err.key, -1);
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        int64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", -ERANGE, 0},
        {"-9223372036854775809", -ERANGE, 0},
        {"99999999999999999999999999", -ERANGE, 0},
        {"1.0", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {"\"1\"", -EINVAL, 0},
        {"true", -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_scan_value value;
        struct json_scan_error err;
        int64_t number = 0;
        assert_int_equal(json_scan_any(span_of_string(cases[i].text), &value, &err), 0);
        assert_int_equal(json_scan_int(&value, INT64_MIN, INT64_MAX, &number), cases[i].rc);
        assert_true(number == cases[i].value);
    }
    struct json_scan_value value;
    struct json_scan_error err;
    int64_t number;
    assert_int_equal(json_scan_any(SPAN_LITERAL("8"), &value, &err), 0);
    assert_int_equal(json_scan_int(&value, -8, 7, &number), -ERANGE);
}

static void test_request(void **state)
{
    (void)state;
    struct json_request request;
    struct json_scan_error err;
    const char *field;
    const struct span text = SPAN_LITERAL(
        "{\"model\":\"q\\u0077en\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],"
        "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":5,"
        "\"max_completion_tokens\":7,\"n\":2,\"priority\":-3,\"user\":\"u\",\"seed\":"
        "18446744073709551616}");
    assert_int_equal(json_scan_request(text, &request, &err, &field), 0);
    assert_true(span_equal(request.model, SPAN_LITERAL("qwen")));
    assert_true(request.stream && request.include_usage && request.has_priority);
    assert_int_equal(request.max_tokens, 7);
    assert_int_equal(request.n, 2);
    assert_int_equal(request.priority, -3);
    assert_true(span_equal(request.user, SPAN_LITERAL("\"u\"")));
    assert_int_equal(request.prompt_bytes, strlen("userhello"));

    struct span pieces[3];
    json_splice(text, &request.model_value, SPAN_LITERAL("\"other\""), pieces);
    assert_int_equal(pieces[0].len + pieces[2].len + request.model_value.raw.len, text.len);
    char joined[1024];
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        memcpy(joined + len, pieces[i].data, pieces[i].len);
        len += pieces[i].len;
    }
    assert_int_equal(json_scan_request(span_of(joined, len), &request, &err, &field), 0);
    assert_true(span_equal(request.model, SPAN_LITERAL("other")));
}

static void test_request_errors_name_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        const char *field;
    } cases[] = {
        {"", -EINVAL, NULL},
        {"[]", -EINVAL, NULL},
        {"{\"model\":\"a\"", -EINVAL, NULL},
        {"{}", -ENOENT, "model"},
        {"{\"model\":null}", -ENOENT, "model"},
        {"{\"model\":3}", -EINVAL, "model"},
        {"{\"model\":\"\"}", -EINVAL, "model"},
        {"{\"model\":\"a\",\"\\u006dodel\":\"b\"}", -EEXIST, "model"},
        {"{\"model\":\"a\",\"stream\":1}", -EINVAL, "stream"},
        {"{\"model\":\"a\",\"stream\":\"true\"}", -EINVAL, "stream"},
        {"{\"model\":\"a\",\"stream\":true,\"stream\":false}", -EEXIST, "stream"},
        {"{\"model\":\"a\",\"max_tokens\":-1}", -EINVAL, "max_tokens"},
        {"{\"model\":\"a\",\"max_tokens\":1.5}", -EINVAL, "max_tokens"},
        {"{\"model\":\"a\",\"max_tokens\":99999999999}", -EINVAL, "max_tokens"},
        {"{\"model\":\"a\",\"max_completion_tokens\":[]}", -EINVAL, "max_completion_tokens"},
        {"{\"model\":\"a\",\"n\":0}", -EINVAL, "n"},
        {"{\"model\":\"a\",\"user\":5}", -EINVAL, "user"},
        {"{\"model\":\"a\",\"stream_options\":true}", -EINVAL, "stream_options"},
        {"{\"model\":\"a\",\"stream_options\":{\"include_usage\":1}}", -EINVAL, "stream_options"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_request request;
        struct json_scan_error err = {0};
        const char *field = "?";
        int rc = json_scan_request(span_of_string(cases[i].text), &request, &err, &field);
        if (rc != cases[i].rc || !err.reason) {
            fail_msg("%s: %d", cases[i].text, rc);
        }
        if (cases[i].field) {
            assert_string_equal(field, cases[i].field);
        } else {
            assert_null(field);
        }
    }
}

/* Plain runs are crossed a word at a time: every offset of every special byte, against the rule. */
static void test_strings_at_every_alignment(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int rc;
    } cases[] = {{"\\n", 0},        {"\xc3\xa9", 0}, {"\x1f", -EINVAL}, {" ", 0},
                 {"\xff", -EINVAL}, {"\x7f", 0},     {"\\", -EINVAL},   {"\xe2\x82", -EINVAL}};
    for (size_t pad = 0; pad < 40; pad++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char text[64] = "\"";
            memset(text + 1, 'a', pad);
            (void)snprintf(text + 1 + pad, sizeof text - 1 - pad, "%s\"", cases[i].bytes);
            assert_int_equal(scan_any(text), cases[i].rc);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_legal_texts),
        cmocka_unit_test(test_illegal_texts),
        cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_spans_of_chosen_keys),
        cmocka_unit_test(test_a_chosen_key_twice_is_refused_however_written),
        cmocka_unit_test(test_errors_say_where),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_request_errors_name_the_field),
        cmocka_unit_test(test_strings_at_every_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
