/* OpenAI's shapes, the model field of forms, token counts at the end of answers. */
#include "host/http/multipart.h"
#include "host/http/openai.h"
#include "host/http/usage.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static json_t *parsed(struct span text)
{
    json_t *json = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    return json;
}

static void error_body(void **state)
{
    (void)state;
    char buf[OPENAI_ERROR_BYTES_MAX];
    struct openai_error error = {
        .status = 404, .param = "model", .code = "model_not_found", .message = "no \"x\"\n"};
    json_t *json = parsed(openai_error_body(&error, buf));
    const json_t *e = json_object_get(json, "error");
    assert_int_equal(json_object_size(json), 1);
    assert_int_equal(json_object_size(e), 4);
    assert_string_equal(json_string_value(json_object_get(e, "message")), "no \"x\"\n");
    assert_string_equal(json_string_value(json_object_get(e, "param")), "model");
    assert_string_equal(json_string_value(json_object_get(e, "code")), "model_not_found");
    assert_string_equal(json_string_value(json_object_get(e, "type")), "not_found_error");
    json_decref(json);
    error = (struct openai_error){.status = 400, .message = "x"};
    json = parsed(openai_error_body(&error, buf));
    e = json_object_get(json, "error");
    assert_true(json_is_null(json_object_get(e, "param")));
    assert_true(json_is_null(json_object_get(e, "code")));
    json_decref(json);
}

static void long_message_is_cut(void **state)
{
    (void)state;
    char buf[OPENAI_ERROR_BYTES_MAX];
    char *message = malloc(100001);
    assert_non_null(message);
    memset(message, 1, 100000); /* each becomes six bytes */
    message[100000] = '\0';
    struct openai_error error = {.status = 500, .message = message};
    struct span text = openai_error_event(&error, buf);
    assert_memory_equal(text.data, "data: {", 7);
    assert_memory_equal(text.data + text.len - 2, "\n\n", 2);
    assert_null(memchr(text.data, '\n', text.len - 2));
    json_decref(parsed(span_of(text.data + 6, text.len - 8)));
    free(message);
}

static void retry_after(void **state)
{
    (void)state;
    assert_int_equal(openai_retry_after_s(-1), 10);
    assert_int_equal(openai_retry_after_s(1), 1);
    assert_int_equal(openai_retry_after_s(INT64_C(1000000000)), 1);
    assert_int_equal(openai_retry_after_s(INT64_C(1000000001)), 2);
    assert_int_equal(openai_retry_after_s(INT64_MAX), 86400);
}

#define FORM_TYPE SPAN_LITERAL("multipart/form-data; boundary=\"xx yy\"")
#define PART(name, value)                                                                          \
    "--xx yy\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FORM_END "--xx yy--\r\n"

static void form_model(void **state)
{
    (void)state;
    const struct {
        struct span body;
        int rc;
        const char *model;
    } cases[] = {
        {SPAN_LITERAL(PART("model", "whisper-1") FORM_END), 0, "whisper-1"},
        {SPAN_LITERAL(PART("file", "\0\r\n--xx\r\n\r\n") PART("model", "a b") FORM_END), 0, "a b"},
        {SPAN_LITERAL(PART("file", "model") FORM_END), -ENOENT, NULL},
        {SPAN_LITERAL(FORM_END), -ENOENT, NULL},
        {SPAN_LITERAL(PART("model", "a") PART("model", "b") FORM_END), -EEXIST, NULL},
        {SPAN_LITERAL(PART("model", "a")), -EINVAL, NULL},
        {SPAN_LITERAL("preamble" PART("model", "a") FORM_END), -EINVAL, NULL},
        {SPAN_LITERAL(""), -EINVAL, NULL},
        {SPAN_LITERAL(
             "--xx yy\r\nContent-Disposition: form-data; name=model; name=b\r\n\r\na\r\n" FORM_END),
         -EINVAL, NULL},
        {SPAN_LITERAL(
             "--xx yy\r\nContent-Disposition: form-data; NAME=model\r\nX: y\r\n\r\na\r\n" FORM_END),
         0, "a"},
        {SPAN_LITERAL("--xx yy\r\nX: y\r\n\r\na\r\n" FORM_END), -EINVAL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span model = {0};
        print_message("form %zu\n", i);
        assert_int_equal(multipart_model(FORM_TYPE, cases[i].body, &model), cases[i].rc);
        if (cases[i].model) {
            assert_true(span_equal(model, span_of_string(cases[i].model)));
        }
    }
    struct span model;
    assert_int_equal(multipart_model(SPAN_LITERAL("multipart/form-data"), cases[0].body, &model),
                     -EINVAL);
    assert_true(multipart_is(SPAN_LITERAL("Multipart/Form-Data; boundary=x")));
    assert_false(multipart_is(SPAN_LITERAL("multipart/form-database")));
}

static void usage(void **state)
{
    (void)state;
    const struct {
        struct span tail;
        uint32_t prompt, output;
    } cases[] = {
        {SPAN_LITERAL("data: {\"usage\":{\"prompt_tokens\":7,\"total_tokens\":9,"
                      "\"completion_tokens\": 2}}\n\ndata: [DONE]\n\n"),
         7, 2},
        {SPAN_LITERAL("{\"usage\":{\"input_tokens\":31,\"output_tokens\":5}}"), 31, 5},
        {SPAN_LITERAL("data: {\"completion_tokens\":4}\n\n"), 0, 0},
        {SPAN_LITERAL("{\"usage\":null}"), 0, 0},
        {SPAN_LITERAL("{\"usage\":{\"completion_tokens\":99999999999}}"), 0, 0},
        {SPAN_LITERAL("\"usage\""), 0, 0},
        {SPAN_LITERAL(""), 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stream_usage found;
        stream_usage(cases[i].tail, &found);
        assert_int_equal(found.prompt_tokens, cases[i].prompt);
        assert_int_equal(found.output_tokens, cases[i].output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_body),  cmocka_unit_test(long_message_is_cut),
        cmocka_unit_test(retry_after), cmocka_unit_test(form_model),
        cmocka_unit_test(usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
