/* Messages between supervisor and worker: round trip, limits, damage. */
#include "host/supervisor/proto.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct proto_message in, out;
static char bytes[PROTO_BYTES_MAX];

static void fill(void)
{
    memset(&in, 0, sizeof(in));
    in.type = PROTO_SPAWN;
    in.number[0] = -1;
    in.number[5] = INT64_MAX;
    assert_int_equal(proto_add(&in, "key@gpu0"), 0);
    assert_int_equal(proto_add(&in, ""), 0);
    assert_int_equal(proto_add(&in, NULL), 0);
}

static void test_round_trip(void **state)
{
    (void)state;
    fill();
    int size = proto_encode(&in, bytes, sizeof(bytes));
    assert_true(size > 0);
    assert_int_equal(proto_decode(bytes, (size_t)size, &out), 0);
    assert_int_equal(out.type, PROTO_SPAWN);
    assert_int_equal(out.string_count, 3);
    assert_true(out.number[0] == -1 && out.number[5] == INT64_MAX);
    assert_string_equal(proto_text(&out, 0), "key@gpu0");
    assert_string_equal(proto_text(&out, 1), "");
    assert_string_equal(proto_text(&out, 7), "");
}

static void test_every_cut_and_other_version_is_refused(void **state)
{
    (void)state;
    fill();
    int size = proto_encode(&in, bytes, sizeof(bytes));
    for (int cut = 0; cut < size; cut++) {
        /* A copy of exactly that size, so that a sanitizer sees a read behind it. */
        char *copy = malloc((size_t)cut + 1);
        assert_non_null(copy);
        memcpy(copy, bytes, (size_t)cut);
        assert_int_equal(proto_decode(copy, (size_t)cut, &out), -EPROTO);
        free(copy);
    }
    assert_int_equal(proto_decode(bytes, (size_t)size + 1, &out), -EPROTO);
    bytes[0]++;
    assert_int_equal(proto_decode(bytes, (size_t)size, &out), -EPROTO);
}

static void test_limits(void **state)
{
    (void)state;
    memset(&in, 0, sizeof(in));
    for (int i = 0; i < PROTO_STRINGS_MAX; i++) {
        assert_int_equal(proto_add(&in, "x"), 0);
    }
    assert_int_equal(proto_add(&in, "x"), -E2BIG);
    int size = proto_encode(&in, bytes, sizeof(bytes));
    assert_true(size > 0);
    assert_int_equal(proto_encode(&in, bytes, (size_t)size - 1), -EMSGSIZE);
    assert_int_equal(proto_decode(bytes, (size_t)size, &out), 0);
    assert_int_equal(out.string_count, PROTO_STRINGS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_cut_and_other_version_is_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
