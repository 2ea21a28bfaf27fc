/* The YAML reader: what it takes, what it refuses, and where it says so. */
#include "base/yaml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct yaml *parse(const char *text)
{
    struct yaml *yaml = NULL;
    char err[YAML_ERROR_BYTES_MAX] = "";
    if (yaml_parse(text, strlen(text), "f.yaml", &yaml, err, sizeof err)) {
        fail_msg("%s", err);
    }
    return yaml;
}

static void test_values(void **state)
{
    (void)state;
    struct yaml *yaml = parse("name: \"x\"\nreal: 2.5\nneg: -3\nyes: true\nkind: b\n"
                              "list: [1, two, {a: b}]\nmap: {k: 1}\nnothing:\n");
    struct yaml_node *root = yaml_root(yaml);
    const char *text = NULL;
    double real = 0;
    int64_t integer = 0;
    bool flag = false;
    uint32_t index = 9;
    struct yaml_node *node = NULL;
    assert_int_equal(yaml_string(yaml, root, "name", &text), 0);
    assert_string_equal(text, "x");
    assert_int_equal(yaml_real(yaml, root, "real", 0, 3, &real), 0);
    assert_true(real == 2.5);
    assert_int_equal(yaml_int(yaml, root, "neg", -3, 0, &integer), 0);
    assert_int_equal(integer, -3);
    assert_int_equal(yaml_bool(yaml, root, "yes", &flag), 0);
    assert_true(flag);
    assert_int_equal(yaml_choice(yaml, root, "kind", "a|b|bb", &index), 0);
    assert_int_equal(index, 1);
    assert_int_equal(yaml_sequence(yaml, root, "list", &node), 0);
    assert_int_equal(node->count, 3);
    assert_int_equal(node->line, 6);
    assert_int_equal(node->child->next->column, 11);
    assert_int_equal(yaml_end(yaml, root), -EINVAL);
    assert_string_equal(yaml_error(yaml), "f.yaml:7:1: map: there is no such key");
    assert_int_equal(yaml_mapping(yaml, root, "map", &node), 0);
    assert_true(yaml_is_null(yaml_get(root, "nothing")));
    assert_int_equal(yaml_end(yaml, root), 0);
    assert_int_equal(yaml_real(yaml, root, "absent", 0, 3, &real), -ENOENT);
    yaml_free(yaml);
}

static void test_wrong_values(void **state)
{
    (void)state;
    struct yaml *yaml = parse("a: .nan\nb: 1e999\nc: 0x10\nd: \"1\"\ne: 99999999999999999999\n"
                              "f: yes\ng: [1]\nh: 1.5\n");
    struct yaml_node *root = yaml_root(yaml);
    double real = 0;
    int64_t integer = 0;
    bool flag = false;
    uint32_t index = 0;
    const char *text = NULL;
    assert_int_equal(yaml_real(yaml, root, "a", -1, 1, &real), -EINVAL);
    assert_string_equal(yaml_error(yaml), "f.yaml:1:4: a: \".nan\" is not a number");
    assert_int_equal(yaml_real(yaml, root, "b", -1e308, 1e308, &real), -EINVAL);
    assert_non_null(strstr(yaml_error(yaml), "f.yaml:2:4: b: 1e999 is out of range"));
    assert_int_equal(yaml_real(yaml, root, "c", 0, 99, &real), -EINVAL);
    assert_int_equal(yaml_real(yaml, root, "d", 0, 99, &real), -EINVAL);
    assert_int_equal(yaml_int(yaml, root, "e", INT64_MIN, INT64_MAX, &integer), -EINVAL);
    assert_non_null(strstr(yaml_error(yaml), "out of range"));
    assert_int_equal(yaml_bool(yaml, root, "f", &flag), -EINVAL);
    assert_int_equal(yaml_string(yaml, root, "g", &text), -EINVAL);
    assert_string_equal(yaml_error(yaml), "f.yaml:7:4: g: wants text, not a sequence");
    assert_int_equal(yaml_int(yaml, root, "h", 0, 9, &integer), -EINVAL);
    assert_int_equal(yaml_choice(yaml, root, "h", "a|b", &index), -EINVAL);
    assert_non_null(strstr(yaml_error(yaml), "is not one of a|b"));
    assert_int_equal(yaml_string(yaml, yaml_get(root, "g"), "x", &text), -EINVAL);
    yaml_free(yaml);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"a: &x 1\n", "f.yaml:1:4: anchors"},
        {"a: [1]\nb: *a\n", "f.yaml:2:4: aliases"},
        {"a: !!str 1\n", "tags"},
        {"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: stands there twice, first on line 1"},
        {"<<: {a: 1}\n", "merge keys"},
        {"? [a]\n: b\n", "a key wants to be plain text"},
        {"a: 1\n---\nb: 2\n", "more than one document"},
        {"a: \"x\\0y\"\n", "zero byte"},
        {"a: [1\nb: 2\n", "f.yaml:"},
        {"\t- x", "f.yaml:1:"},
        {"a: \xff\n", "f.yaml:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct yaml *yaml = NULL;
        char err[YAML_ERROR_BYTES_MAX] = "";
        assert_int_equal(
            yaml_parse(cases[i].text, strlen(cases[i].text), "f.yaml", &yaml, err, sizeof err),
            -EINVAL);
        if (!strstr(err, cases[i].part)) {
            fail_msg("\"%s\" lacks \"%s\"", err, cases[i].part);
        }
    }
}

static void test_depth(void **state)
{
    (void)state;
    char text[2 * YAML_DEPTH_MAX + 3];
    struct yaml *yaml = NULL;
    char err[YAML_ERROR_BYTES_MAX] = "";
    memset(text, '[', YAML_DEPTH_MAX);
    memset(text + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
    assert_int_equal(yaml_parse(text, 2 * YAML_DEPTH_MAX, "f", &yaml, err, sizeof err), 0);
    yaml_free(yaml);
    memset(text, '[', YAML_DEPTH_MAX + 1);
    memset(text + YAML_DEPTH_MAX + 1, ']', YAML_DEPTH_MAX + 1);
    assert_int_equal(yaml_parse(text, 2 * YAML_DEPTH_MAX + 2, "f", &yaml, err, sizeof err),
                     -EINVAL);
    assert_non_null(strstr(err, "nested deeper than 32"));
}

static void test_empty_and_files(void **state)
{
    (void)state;
    struct yaml *yaml = parse("# nothing\n");
    assert_int_equal(yaml_root(yaml)->kind, YAML_MAPPING);
    assert_int_equal(yaml_end(yaml, yaml_root(yaml)), 0);
    yaml_free(yaml);
    char err[YAML_ERROR_BYTES_MAX] = "";
    assert_int_equal(yaml_load("/nonexistent.yaml", &yaml, err, sizeof err), -ENOENT);
    assert_non_null(strstr(err, "/nonexistent.yaml: "));
    assert_int_equal(
        yaml_load(SHUNT_SOURCE_DIR "/tests/fuzz/corpus/yaml/values.yaml", &yaml, err, sizeof err),
        0);
    assert_int_equal(yaml_root(yaml)->count, 4);
    yaml_free(yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),          cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_depth),
        cmocka_unit_test(test_empty_and_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
