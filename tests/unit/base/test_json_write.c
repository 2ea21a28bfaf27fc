/* The writer: jansson must read back what was meant, and nothing may run over the buffer. */
#include "base/json_write.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void write_sample(struct json_write *w)
{
    json_write_object(w);
    json_write_key(w, "text \"quoted\"");
    json_write_string(w, "line\n\ttab \\ \x01 \xc3\xa9");
    json_write_key(w, "list");
    json_write_array(w);
    json_write_int(w, INT64_MIN);
    json_write_uint(w, UINT64_MAX);
    json_write_real(w, 0.1, 17);
    json_write_real(w, (double)NAN, 6);
    json_write_bool(w, true);
    json_write_null(w);
    json_write_string(w, NULL);
    json_write_object(w);
    json_write_object_end(w);
    json_write_array(w);
    json_write_array_end(w);
    json_write_raw(w, SPAN_LITERAL("[1]"));
    json_write_array_end(w);
    json_write_key(w, "last");
    json_write_bool(w, false);
    json_write_object_end(w);
}

static void test_jansson_reads_it(void **state)
{
    (void)state;
    char buf[1024];
    struct json_write w;
    struct span text;
    json_write_init(&w, buf, sizeof buf);
    write_sample(&w);
    assert_true(json_write_done(&w, &text));
    json_error_t err;
    json_t *root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &err);
    if (root) { /* UINT64_MAX is beyond jansson's integers */
        fail_msg("expected an overflow");
    }
    root = json_loadb(text.data, text.len, JSON_DECODE_INT_AS_REAL, &err);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "text \"quoted\"")),
                        "line\n\ttab \\ \x01 \xc3\xa9");
    const json_t *list = json_object_get(root, "list");
    assert_int_equal(json_array_size(list), 10);
    assert_true(json_real_value(json_array_get(list, 2)) == 0.1);
    assert_true(json_is_null(json_array_get(list, 3)));
    assert_true(json_is_false(json_object_get(root, "last")));
    json_decref(root);
}

/* At every size: it fits exactly at its length and fails below, and never writes beyond. */
static void test_bounded_at_every_size(void **state)
{
    (void)state;
    char whole[1024], buf[1024];
    struct json_write w;
    struct span text, again;
    json_write_init(&w, whole, sizeof whole);
    write_sample(&w);
    assert_true(json_write_done(&w, &text));
    for (size_t size = 0; size <= text.len + 1; size++) {
        memset(buf, 'Z', sizeof buf);
        json_write_init(&w, buf, size);
        write_sample(&w);
        assert_int_equal(json_write_done(&w, &again), size >= text.len);
        for (size_t i = size; i < sizeof buf; i++) {
            assert_int_equal(buf[i], 'Z');
        }
    }
    assert_memory_equal(whole, text.data, text.len);
}

static void test_unfinished_is_not_done(void **state)
{
    (void)state;
    char buf[64];
    struct json_write w;
    struct span text;
    json_write_init(&w, buf, sizeof buf);
    json_write_array(&w);
    assert_false(json_write_done(&w, &text));
    json_write_array_end(&w);
    json_write_plain(&w, SPAN_LITERAL("\n"));
    json_write_uint(&w, 0);
    assert_true(json_write_done(&w, &text));
    assert_true(span_equal(text, SPAN_LITERAL("[]\n0")));
}

static void test_depth_is_limited(void **state)
{
    (void)state;
    char buf[256];
    struct json_write w;
    struct span text;
    for (unsigned depth = JSON_WRITE_DEPTH_MAX; depth <= JSON_WRITE_DEPTH_MAX + 1; depth++) {
        json_write_init(&w, buf, sizeof buf);
        for (unsigned i = 0; i < depth; i++) {
            json_write_array(&w);
        }
        for (unsigned i = 0; i < depth; i++) {
            json_write_array_end(&w);
        }
        assert_int_equal(json_write_done(&w, &text), depth == JSON_WRITE_DEPTH_MAX);
    }
}

/* Any bytes at all become a string that jansson reads. */
static void test_any_bytes_are_escaped(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 2000; round++) {
        char bytes[24], escaped[24 * 6], buf[200];
        size_t len = (size_t)round % sizeof bytes;
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (char)(seed >> 24);
        }
        struct json_write w;
        struct span text;
        json_write_init(&w, buf, sizeof buf);
        json_write_array(&w);
        json_write_span(&w, span_of(bytes, len));
        json_write_array_end(&w);
        assert_true(json_write_done(&w, &text));
        json_error_t err;
        json_t *root = json_loadb(text.data, text.len, JSON_ALLOW_NUL, &err);
        if (!root) {
            fail_msg("round %d: %s", round, err.text);
        }
        json_decref(root);
        size_t need = json_escape(span_of(bytes, len), escaped, sizeof escaped);
        assert_int_equal(need + 4, text.len);
        assert_memory_equal(escaped, text.data + 2, need);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jansson_reads_it),       cmocka_unit_test(test_bounded_at_every_size),
        cmocka_unit_test(test_unfinished_is_not_done), cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_any_bytes_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
