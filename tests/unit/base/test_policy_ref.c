/* Policy references and values files: taken apart, refused, written and read again. */
#include "base/policy_ref.h"
#include "base/values.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_parts(void **state)
{
    (void)state;
    struct policy_ref ref;
    char err[256];
    assert_int_equal(policy_ref_parse("amortized", &ref, err, sizeof err), 0);
    assert_string_equal(ref.target, "amortized");
    assert_false(ref.is_path);
    assert_null(ref.values);
    assert_int_equal(ref.set_count, 0);
    policy_ref_fini(&ref);

    const char *text = "./dir/p.so@best.yaml:a=0.07:weight[m:1,x@y]=2:v=[1, 2:3]:t=a=b";
    assert_int_equal(policy_ref_parse(text, &ref, err, sizeof err), 0);
    assert_string_equal(ref.text, text);
    assert_string_equal(ref.target, "./dir/p.so");
    assert_true(ref.is_path);
    assert_string_equal(ref.values, "best.yaml");
    assert_int_equal(ref.set_count, 4);
    assert_string_equal(ref.set[0].name, "a");
    assert_string_equal(ref.set[0].text, "0.07");
    assert_null(ref.set[0].model);
    assert_string_equal(ref.set[1].name, "weight");
    assert_string_equal(ref.set[1].model, "m:1,x@y");
    assert_string_equal(ref.set[1].text, "2");
    assert_string_equal(ref.set[2].text, "[1, 2:3]");
    assert_string_equal(ref.set[3].text, "a=b");
    policy_ref_fini(&ref);

    assert_int_equal(policy_ref_parse("p.so:x=me@home", &ref, err, sizeof err), 0);
    assert_true(ref.is_path);
    assert_null(ref.values);
    assert_string_equal(ref.set[0].text, "me@home");
    policy_ref_fini(&ref);
}

static void test_lists(void **state)
{
    (void)state;
    struct policy_refs refs;
    char err[256];
    assert_int_equal(
        policy_refs_parse("fifo,amortized:a=1:v=[1,2],x/y.so@v.yaml", &refs, err, sizeof err), 0);
    assert_int_equal(refs.count, 3);
    assert_string_equal(refs.item[1].text, "amortized:a=1:v=[1,2]");
    assert_int_equal(refs.item[1].set_count, 2);
    assert_string_equal(refs.item[2].values, "v.yaml");
    policy_refs_fini(&refs);
    assert_int_equal(policy_refs_parse("fifo,", &refs, err, sizeof err), -EINVAL);
    assert_int_equal(policy_refs_parse("", &refs, err, sizeof err), -EINVAL);
    char many[2 * POLICY_REFS_MAX + 4] = "";
    for (int i = 0; i <= POLICY_REFS_MAX; i++) {
        many[2 * i] = 'a';
        many[2 * i + 1] = i < POLICY_REFS_MAX ? ',' : '\0';
    }
    assert_int_equal(policy_refs_parse(many, &refs, err, sizeof err), -EINVAL);
    many[2 * POLICY_REFS_MAX - 1] = '\0';
    assert_int_equal(policy_refs_parse(many, &refs, err, sizeof err), 0);
    assert_int_equal(refs.count, POLICY_REFS_MAX);
    policy_refs_fini(&refs);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",      ":a=1",      "@v.yaml", "a b",      "dir/name",
                                        "fifo:", "fifo:a",    "fifo:=1", "fifo@",    "fifo@a@b",
                                        "a,b",   "fifo:a[=1", "p.so/",   "fifo:a=1:"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct policy_ref ref;
        char err[256] = "";
        if (policy_ref_parse(wrong[i], &ref, err, sizeof err) != -EINVAL) {
            fail_msg("\"%s\" was taken", wrong[i]);
        }
        assert_true(err[0] != '\0' && !strchr(err, '\n'));
    }
}

static struct values_file *parse(const char *text)
{
    struct values_file *file = NULL;
    char err[512] = "";
    if (values_parse(text, strlen(text), "v.yaml", &file, err, sizeof err)) {
        fail_msg("%s", err);
    }
    return file;
}

static void test_values(void **state)
{
    (void)state;
    struct values_file *file = parse(
        "per_model:\n  \"a: b\": {weight: 2, \"w\": true}\n  c: {weight: 3}\npolicy: amortized\n"
        "values: {x: 0.07, mode: fast, v: [1, 2.5], e: \"null\", n: \"a\\\"b\"}\n"
        "provenance: {tool: \"shunt tune\", seed: 4}\n");
    const struct values *values = values_of(file);
    assert_string_equal(values->policy, "amortized");
    assert_int_equal(values->item_count, 8);
    assert_string_equal(values->item[2].text, "[1 2.5]");
    assert_null(values->item[4].model);
    assert_string_equal(values->item[5].model, "a: b");
    assert_string_equal(values->provenance[0].text, "shunt tune");

    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(values_write(out, values), 0);
    assert_int_equal(fclose(out), 0);
    struct values_file *again_file = parse(text);
    const struct values *again = values_of(again_file);
    assert_string_equal(again->policy, values->policy);
    assert_int_equal(again->item_count, values->item_count);
    for (size_t i = 0; i < values->item_count; i++) {
        const struct param_assignment *a = &values->item[i], *b = &again->item[i];
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->text, b->text);
        assert_true((a->model == NULL) == (b->model == NULL));
        assert_true(!a->model || strcmp(a->model, b->model) == 0);
    }
    assert_int_equal(again->provenance_count, 2);
    assert_string_equal(again->provenance[1].text, "4");
    values_free(again_file);
    values_free(file);
    free(text);
}

static void test_values_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"values: {a: 1}\n", "v.yaml:1:1: policy: is missing"},
        {"policy: x\nvaluez: {a: 1}\n", "v.yaml:2:1: valuez: there is no such key"},
        {"policy: x\nvalues: {a: {b: 1}}\n", "v.yaml:2:13: a: wants text"},
        {"policy: x\nvalues: {a: }\n", "a: \"\" is not text"},
        {"policy: x\nvalues: {a: [1, .nan]}\n", "\".nan\" is not a number"},
        {"policy: x\nper_model: {m: 3}\n", "m: wants a mapping"},
        {"policy: x\nvalues: 3\n", "values: \"3\" is not a mapping"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct values_file *file = NULL;
        char err[512] = "";
        assert_int_equal(
            values_parse(cases[i].text, strlen(cases[i].text), "v.yaml", &file, err, sizeof err),
            -EINVAL);
        if (!strstr(err, cases[i].part)) {
            fail_msg("\"%s\" lacks \"%s\"", err, cases[i].part);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),          cmocka_unit_test(test_lists),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_values),
        cmocka_unit_test(test_values_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
