/*
 * Trace readers: exact times, strict errors with their place, compressed and cut-off files. The
 * archives are made here with the libraries' own one-shot calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static const char azure[] = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                            "2023-11-16 18:17:03.9799600,4808,10\r\n"
                            "2023-11-16 18:17:04.0319600,3180,8";

static struct trace_format mapping(const char *const (*pairs)[2], size_t len)
{
    struct trace_format format = {0};
    char err[256];
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(trace_format_set(&format, pairs[i][0], pairs[i][1], err, sizeof err), 0);
    }
    return format;
}

static struct trace_format mapping_full(void)
{
    static const char *const pairs[][2] = {{"time_s", "t"},
                                           {"model", "m"},
                                           {"input_tokens", "in"},
                                           {"output_tokens", "out"},
                                           {"service_s", "svc"}};
    return mapping(pairs, 5);
}

static void check_azure(const void *data, size_t size)
{
    struct trace_reader *reader;
    struct trace_error err;
    struct trace_row row;
    assert_int_equal(trace_open_memory(&reader, "a.csv", data, size,
                                       trace_format_find("azure-llm-2023"), NULL, 0, &err),
                     0);
    assert_int_equal(trace_next(reader, &row, &err), 1);
    /* date -u -d '2023-11-16 18:17:03' +%s */
    assert_int_equal(row.t_ns, INT64_C(1700158623979960000));
    assert_int_equal(row.input_tokens, 4808);
    assert_int_equal(row.output_tokens, 10);
    assert_int_equal(row.service_ns, -1);
    assert_int_equal(row.line, 2);
    assert_string_equal(row.model, "");
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_int_equal(row.t_ns, INT64_C(1700158624031960000));
    assert_int_equal(trace_next(reader, &row, &err), 0);
    assert_int_equal(trace_next(reader, &row, &err), 0);
    trace_close(reader);
}

static void test_azure_plain(void **state)
{
    (void)state;
    check_azure(azure, sizeof azure - 1);
}

static size_t make_gzip(const void *data, size_t size, uint8_t *out, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t len = room - z.avail_out;
    deflateEnd(&z);
    return len;
}

static void test_azure_gzip(void **state)
{
    (void)state;
    uint8_t packed[1024];
    check_azure(packed, make_gzip(azure, sizeof azure - 1, packed, sizeof packed));
    /* Two members, cut in the middle of a row. */
    size_t first = make_gzip(azure, 60, packed, sizeof packed);
    size_t second =
        make_gzip(azure + 60, sizeof azure - 1 - 60, packed + first, sizeof packed - first);
    check_azure(packed, first + second);
}

static void test_azure_zstd(void **state)
{
    (void)state;
    uint8_t packed[1024];
    size_t len = ZSTD_compress(packed, sizeof packed, azure, sizeof azure - 1, 3);
    assert_false(ZSTD_isError(len));
    check_azure(packed, len);
    size_t first = ZSTD_compress(packed, sizeof packed, azure, 60, 3);
    size_t second =
        ZSTD_compress(packed + first, sizeof packed - first, azure + 60, sizeof azure - 1 - 60, 3);
    check_azure(packed, first + second);
}

/* Reads to the end; gives the error's text, or "" if there was none. */
static const char *error_of(const void *data, size_t size, const char *name,
                            const struct trace_format *format)
{
    static struct trace_error err;
    struct trace_reader *reader;
    struct trace_row row;
    int rc = trace_open_memory(&reader, name, data, size, format, NULL, 0, &err);
    if (rc) {
        return err.text;
    }
    while ((rc = trace_next(reader, &row, &err)) == 1) {
    }
    char first[TRACE_ERROR_MAX] = "";
    if (rc < 0) {
        memcpy(first, err.text, sizeof first);
        assert_int_equal(trace_next(reader, &row, &err), rc);
        assert_string_equal(first, err.text);
    } else {
        err.text[0] = '\0';
    }
    trace_close(reader);
    return err.text;
}

static void test_cut_archives(void **state)
{
    (void)state;
    uint8_t packed[1024];
    const struct trace_format *format = trace_format_find("azure-llm-2023");
    size_t len = make_gzip(azure, sizeof azure - 1, packed, sizeof packed);
    for (size_t n = 2; n < len; n++) {
        assert_non_null(strstr(error_of(packed, n, "a.gz", format), "cut off"));
    }
    len = ZSTD_compress(packed, sizeof packed, azure, sizeof azure - 1, 3);
    for (size_t n = 4; n < len; n++) {
        assert_non_null(strstr(error_of(packed, n, "a.zst", format), "cut off"));
    }
    packed[len] = 'x';
    assert_non_null(strstr(error_of(packed, len + 1, "a.zst", format), "broken"));
}

static void test_generic_csv(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbfx,m,t,\"in\",out,svc\n"
                               "0,\"a,\"\"b\"\"\",0.000000001,7,8.0,1e-3\n"
                               "\n"
                               "0,c,5,0,0,0.5\n"
                               "0,d,5.0000000004,0,0,12\n";
    struct trace_format format = mapping_full();
    struct trace_reader *reader;
    struct trace_error err;
    struct trace_row row;
    assert_int_equal(
        trace_open_memory(&reader, "t.csv", text, sizeof text - 1, &format, NULL, 0, &err), 0);
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_int_equal(row.t_ns, 1);
    assert_string_equal(row.model, "a,\"b\"");
    assert_int_equal(row.input_tokens, 7);
    assert_int_equal(row.output_tokens, 8);
    assert_int_equal(row.service_ns, 1000000);
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_int_equal(row.t_ns, INT64_C(5000000000));
    assert_int_equal(row.line, 4);
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_int_equal(row.t_ns, INT64_C(5000000000));
    assert_int_equal(trace_next(reader, &row, &err), 0);
    trace_close(reader);
}

static void test_generic_jsonl(void **state)
{
    (void)state;
    static const char text[] =
        "{\"t\": 1500, \"m\": \"a\", \"in\": 3, \"out\": 4, \"hash\": [1, 2]}\n"
        "{\"m\": 7, \"t\": 1500.25, \"in\": 3, \"out\": 4}\n";
    static const char *const pairs[][2] = {
        {"time_ms", "t"}, {"model", "m"}, {"input_tokens", "in"}, {"output_tokens", "out"}};
    struct trace_format format = mapping(pairs, 4);
    struct trace_reader *reader;
    struct trace_error err;
    struct trace_row row;
    assert_int_equal(
        trace_open_memory(&reader, "t.jsonl.gz", text, sizeof text - 1, &format, NULL, 0, &err), 0);
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_int_equal(row.t_ns, INT64_C(1500000000));
    assert_string_equal(row.model, "a");
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_int_equal(row.t_ns, INT64_C(1500250000));
    assert_string_equal(row.model, "7");
    assert_int_equal(trace_next(reader, &row, &err), 0);
    trace_close(reader);
}

static void test_filters(void **state)
{
    (void)state;
    static const char text[] = "t,m,in,out,svc,status\n"
                               "9,a,1,1,1,FAILED\n"
                               "1,b,1,1,1,OK\n";
    struct trace_format format = mapping_full();
    struct trace_filter where = {.column = "status", .value = "OK"};
    struct trace_reader *reader;
    struct trace_error err;
    struct trace_row row;
    assert_int_equal(
        trace_open_memory(&reader, "t.csv", text, sizeof text - 1, &format, &where, 1, &err), 0);
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_string_equal(row.model, "b");
    assert_int_equal(trace_next(reader, &row, &err), 0);
    trace_close(reader);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *error;
    } cases[] = {
        {"t.csv", "", "t.csv: the file is empty"},
        {"t.csv", "t,m\n", "t.csv:1:1: no column \"in\" (the file has: t, m)"},
        {"t.csv", "t,t,m,in,out,svc\n", "t.csv:1:3: column \"t\" stands twice"},
        {"t.csv", "t,m,in,out,svc\n1,a,2,3\n", "t.csv:2:8: 4 cells, but the first line names 5"},
        {"t.csv", "t,m,in,out,svc\n1,a,2,3,x\n", "t.csv:2:9: svc is not a number: \"x\""},
        {"t.csv", "t,m,in,out,svc\n1,a,2,,3\n", "t.csv:2:7: out is not a number: \"\""},
        {"t.csv", "t,m,in,out,svc\n1,a,-2,3,3\n", "t.csv:2:5: in is out of range: -2"},
        {"t.csv", "t,m,in,out,svc\n1,a,9e9,3,3\n", "t.csv:2:5: in is out of range: 9e9"},
        {"t.csv", "t,m,in,out,svc\n-1,a,2,3,3\n", "t.csv:2:1: t is out of range: -1"},
        {"t.csv", "t,m,in,out,svc\n2,a,2,3,3\n1.9,a,2,3,3\n",
         "t.csv:3:1: the time runs backwards: 1.9"},
        {"t.csv", "t,m,in,out,svc\n2,\"a,2,3,3\n", "t.csv:2:3: a quoted cell that does not end"},
        {"t.csv", "t,m,in,out,svc\n2,\"a\"b,2,3,3\n", "t.csv:2:6: text after a quoted cell"},
        {"t.csv", "t,m,in,out,svc\n2,a\"b,2,3,3\n", "t.csv:2:3: a quote inside"},
        {"t.jsonl", "{\"t\":1}\n", "t.jsonl:1:1: no member \"m\""},
        {"t.jsonl", "{\"t\":1,\"t\":2}\n", "t.jsonl:1:10: not JSON: duplicate object key"},
        {"t.jsonl", "[1]\n", "t.jsonl:1:1: not a JSON object"},
        {"t.jsonl", "{\"m\":\"a\",\"t\":null}\n",
         "t.jsonl:1:10: \"t\" is neither a number nor a string"},
    };
    struct trace_format format = mapping_full();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = error_of(cases[i].text, strlen(cases[i].text), cases[i].name, &format);
        if (strncmp(text, cases[i].error, strlen(cases[i].error)) != 0) {
            fail_msg("case %zu: \"%s\", wanted \"%s\"", i, text, cases[i].error);
        }
    }
    static const char zero[] = "t,m,in,out,svc\n1,a\0,2,3,3\n";
    assert_string_equal(error_of(zero, sizeof zero - 1, "t.csv", &format),
                        "t.csv:2:1: a zero byte: this is not a text file");
}

static void test_line_limit(void **state)
{
    (void)state;
    struct trace_format format = mapping_full();
    size_t room = TRACE_LINE_MAX + 64;
    char *text = malloc(room);
    assert_non_null(text);
    for (int over = 0; over < 2; over++) {
        int head = snprintf(text, room, "t,m,in,out,svc,pad\n1,a,2,3,4,");
        size_t begin = strlen("t,m,in,out,svc,pad\n");
        size_t len = begin + TRACE_LINE_MAX + (size_t)over;
        memset(text + head, 'x', len - (size_t)head);
        text[len] = '\n';
        const char *error = error_of(text, len + 1, "t.csv", &format);
        assert_string_equal(error, over ? "t.csv:2:1: the line is too long" : "");
    }
    free(text);
}

static void test_missing_file(void **state)
{
    (void)state;
    struct trace_reader *reader;
    struct trace_error err;
    struct trace_format format = mapping_full();
    assert_int_equal(trace_open(&reader, "/nonexistent/x.csv", &format, NULL, 0, &err), -ENOENT);
    assert_string_equal(err.text, "/nonexistent/x.csv: cannot open: No such file or directory");
    assert_int_equal(trace_open(&reader, "/", &format, NULL, 0, &err), -EISDIR);
}

static void test_mapping_errors(void **state)
{
    (void)state;
    struct trace_format format = {0};
    char err[256];
    assert_int_equal(trace_format_set(&format, "time_h", "t", err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "unknown key \"time_h\""));
    assert_int_equal(trace_format_set(&format, "time_s", "t", err, sizeof err), 0);
    assert_int_equal(trace_format_set(&format, "time_ms", "u", err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "already mapped"));
    struct trace_format empty = {0};
    struct trace_reader *reader;
    struct trace_error error;
    assert_int_equal(trace_open_memory(&reader, "t.csv", "a\n", 2, &empty, NULL, 0, &error),
                     -EINVAL);
    assert_non_null(strstr(error.text, "names no time"));
}

/* Many rows through small memory: the sum over the rows is known in closed form. */
static void test_many_rows(void **state)
{
    (void)state;
    enum { ROWS = 50000 };
    char path[] = "/tmp/shunt-trace-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    gzFile file = gzdopen(fd, "wb1");
    assert_non_null(file);
    gzprintf(file, "t,m,in,out,svc\n");
    for (int i = 0; i < ROWS; i++) {
        gzprintf(file, "%d.5,model-%d,%d,1,0\n", i, i % 7, i);
    }
    gzclose(file);
    struct trace_format format = mapping_full();
    struct trace_reader *reader;
    struct trace_error err;
    struct trace_row row;
    assert_int_equal(trace_open(&reader, path, &format, NULL, 0, &err), 0);
    int64_t sum = 0, rows = 0;
    while (trace_next(reader, &row, &err) == 1) {
        sum += row.input_tokens;
        rows++;
        assert_int_equal(row.line, rows + 1);
    }
    assert_int_equal(rows, ROWS);
    assert_int_equal(sum, (int64_t)ROWS * (ROWS - 1) / 2);
    trace_close(reader);
    unlink(path);
}

static void test_decimals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int exponent, rc;
        int64_t value;
    } cases[] = {
        {"0", 9, 0, 0},
        {"1700000000.123456789", 9, 0, INT64_C(1700000000123456789)},
        {"1700000000.1234567899", 9, 0, INT64_C(1700000000123456789)},
        {"9223372036.854775807", 9, 0, INT64_MAX},
        {"9223372036.854775808", 9, -ERANGE, 0},
        {"9000000000.000000001", 9, 0, INT64_C(9000000000000000001)},
        {"9223372036854775808", 0, -ERANGE, 0},
        {"00000000000000000000001.50", 1, 0, 15},
        {".5", 1, 0, 5},
        {"5.", 0, 0, 5},
        {"-2.5e1", 0, 0, -25},
        {"5.49e-3", 9, 0, 5490000},
        {"1e400", 0, -ERANGE, 0},
        {"0e99999999999", 0, 0, 0},
        {"1e-400", 9, 0, 0},
        {"", 0, -EINVAL, 0},
        {".", 0, -EINVAL, 0},
        {"1e", 0, -EINVAL, 0},
        {"0x10", 0, -EINVAL, 0},
        {"1 ", 0, -EINVAL, 0},
        {"nan", 0, -EINVAL, 0},
        {"1,5", 0, -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 0;
        int rc = decimal_parse(cases[i].text, strlen(cases[i].text), cases[i].exponent, &value);
        if (rc != cases[i].rc || value != cases[i].value) {
            fail_msg("\"%s\": %d, %lld", cases[i].text, rc, (long long)value);
        }
    }
}

static void test_datetimes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } cases[] = {
        {"1970-01-01 00:00:00", 0},
        {"2000-02-29T12:00:00Z", INT64_C(951825600000000000)},
        {"2024-05-10 00:00:00.009930+00:00", INT64_C(1715299200009930000)},
        {"2024-05-10 02:00:00+02:00", INT64_C(1715299200000000000)},
        {"2023-02-29 00:00:00", -1},
        {"2023-13-01 00:00:00", -1},
        {"2023-12-01 24:00:00", -1},
        {"2023-12-01", -1},
        {"2023-12-01 00:00:00.", -1},
        {"2023-12-01 00:00:00 ", -1},
        {"2023-12-01 00:00:00+2:00", -1},
        {"1969-12-31 23:59:59", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -1;
        int rc = datetime_parse(cases[i].text, strlen(cases[i].text), &ns);
        if ((rc == 0) != (cases[i].ns >= 0) || ns != cases[i].ns) {
            fail_msg("\"%s\": %d, %lld", cases[i].text, rc, (long long)ns);
        }
    }
}

/* Every built-in format on a few rows in its published layout. */
static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *format, *text;
        struct {
            int64_t t_ns, input_tokens, output_tokens, service_ns;
            const char *model;
        } want[2];
    } cases[] = {
        {"azure-llm-2024",
         "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,2162,5\n"
         "2024-05-10 00:00:01+00:00,2399,6\n",
         {{INT64_C(1715299200009930000), 2162, 5, -1, ""},
          {INT64_C(1715299201000000000), 2399, 6, -1, ""}}},
        {"gentd26",
         "gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,"
         "negative_prompt_length,num_images_per_prompt,num_inference_steps,"
         "checkpoint_model_version_id,num_lora\n"
         "1970-01-01 00:00:50,TXT_2_IMG,SUCCEED,32.0,G0000,63.0,26.0,1.0,30.0,M0000,0\n"
         "1970-01-01 00:00:50,TXT_2_IMG,SUCCEED,43.0,G0001,93.0,,1.0,40.0,,0\n",
         {{INT64_C(50000000000), -1, -1, INT64_C(32000000000), "M0000"},
          {INT64_C(50000000000), -1, -1, INT64_C(43000000000), ""}}},
        {"mooncake",
         "{\"timestamp\": 0, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0, "
         "1]}\n"
         "{\"timestamp\": 3052, \"input_length\": 7, \"output_length\": 490, \"hash_ids\": []}\n",
         {{0, 6758, 500, -1, ""}, {INT64_C(3052000000), 7, 490, -1, ""}}},
        {"burstgpt",
         "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
         "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,0,1087,API log\n",
         {{INT64_C(5000000000), 472, 18, -1, "ChatGPT"},
          {INT64_C(45000000000), 1087, 0, -1, "GPT-4"}}},
        {"burstgpt",
         "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log "
         "Type\n5.25,a-1,1.5,ChatGPT,472,18,490,Conversation log\n"
         "6,,2.5,GPT-4,1087,1,1088,API log\n",
         {{INT64_C(5250000000), 472, 18, -1, "ChatGPT"},
          {INT64_C(6000000000), 1087, 1, -1, "GPT-4"}}},
        /* in order of the end, not of the arrival; one began before the log did */
        {"azure-functions-2021",
         "app,func,end_timestamp,duration\na,f,0.5,0.75\nb,g,9.25,0.25\na,f,10,8\n",
         {{INT64_C(-250000000), -1, -1, INT64_C(750000000), "a"},
          {INT64_C(2000000000), -1, -1, INT64_C(8000000000), "a"}}},
        {"aegaeon",
         "Request Time,Model Name,Input Length,Output Length\n00:00:59.418,s_08,168,416\n"
         "100:01:00,s_18,18,223\n",
         {{INT64_C(59418000000), 168, 416, -1, "s_08"},
          {INT64_C(360060000000000), 18, 223, -1, "s_18"}}},
        {"servegen",
         "t_s,cls,in_tok,out_tok\n0.093,12,536,78\n0.641,13,303,2\n",
         {{93000000, 536, 78, -1, "12"}, {641000000, 303, 2, -1, "13"}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace_reader *reader;
        struct trace_error err;
        struct trace_row row;
        assert_non_null(strstr(trace_format_names(), cases[i].format));
        if (trace_open_memory(&reader, "f", cases[i].text, strlen(cases[i].text),
                              trace_format_find(cases[i].format), NULL, 0, &err)) {
            fail_msg("%s", err.text);
        }
        for (size_t k = 0; k < 2; k++) {
            if (trace_next(reader, &row, &err) != 1) {
                fail_msg("%s: %s", cases[i].format, err.text);
            }
            assert_int_equal(row.t_ns, cases[i].want[k].t_ns);
            assert_int_equal(row.input_tokens, cases[i].want[k].input_tokens);
            assert_int_equal(row.output_tokens, cases[i].want[k].output_tokens);
            assert_int_equal(row.service_ns, cases[i].want[k].service_ns);
            assert_string_equal(row.model, cases[i].want[k].model);
        }
        trace_close(reader);
    }
}

static void test_clocks(void **state)
{
    (void)state;
    int64_t ns;
    static const char *const bad[] = {"",         "1:2:3",         "00:60:00",    "00:00:61",
                                      "0:00:00:", "00:00:00.",     "00:00:00.1x", "-1:00:00",
                                      "a:00:00",  "0000000:00:00", "00:00:0",     "00:00:00.-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (clock_parse(bad[i], strlen(bad[i]), &ns) != -EINVAL) {
            fail_msg("\"%s\" is read", bad[i]);
        }
    }
    assert_int_equal(clock_parse("7:08:09.25", 10, &ns), 0);
    assert_int_equal(ns, INT64_C(25689250000000));
}

/* LEN rows, one a second, of which the last began BACK seconds before it ended. */
static char *late_row(size_t len, size_t back)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    (void)fprintf(out, "end,svc\n");
    for (size_t i = 1; i <= len; i++) {
        (void)fprintf(out, "%zu,%zu\n", i, i < len ? 0 : back);
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

/* A row is put in its place over TRACE_REORDER_MAX rows; one from farther away is an error. */
static void test_reorder(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"end_time_s", "end"}, {"service_s", "svc"}};
    struct trace_format format = mapping(pairs, 2);
    for (size_t over = 0; over < 2; over++) {
        size_t len = 100000;
        /* The oldest row still held when the last one is read is this far back. */
        char *text = late_row(len, TRACE_REORDER_MAX + over);
        struct trace_reader *reader;
        struct trace_error err;
        struct trace_row row;
        assert_int_equal(
            trace_open_memory(&reader, "f.csv", text, strlen(text), &format, NULL, 0, &err), 0);
        int64_t last_ns = 0;
        size_t rows = 0;
        int rc;
        while ((rc = trace_next(reader, &row, &err)) == 1) {
            assert_true(row.t_ns >= last_ns);
            last_ns = row.t_ns;
            rows++;
        }
        if (over) {
            assert_int_equal(rc, -EINVAL);
            assert_string_equal(err.text,
                                "f.csv:100001:1: this row arrives before one that is more than "
                                "65536 rows above it; sort the file by arrival");
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(rows, len);
        }
        trace_close(reader);
        free(text);
    }
    static const char *const lone[][2] = {{"end_time_s", "end"}};
    format = mapping(lone, 1);
    assert_string_equal(error_of("end\n1\n", 6, "f.csv", &format),
                        "f.csv: end_time_s needs service_s: arrival = end - service");
}

/* Rows are numbered over the whole file, whatever filters leave out. */
static void test_numbers(void **state)
{
    (void)state;
    static const char text[] = "t_s,cls,in_tok,out_tok\n1,0,1,1\n\n2,1,1,1\n3,0,1,1\n";
    const struct trace_filter where = {"cls", "0"};
    struct trace_reader *reader;
    struct trace_error err;
    struct trace_row row;
    assert_int_equal(trace_open_memory(&reader, "f", text, sizeof text - 1,
                                       trace_format_find("servegen"), &where, 1, &err),
                     0);
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_int_equal(row.number, 0);
    assert_int_equal(trace_next(reader, &row, &err), 1);
    assert_int_equal(row.number, 2);
    assert_int_equal(row.line, 5);
    trace_close(reader);
}

/* What is wrong with files of the other formats, with its place. */
static void test_format_errors(void **state)
{
    (void)state;
    static const struct {
        const char *format, *text, *error;
    } cases[] = {
        {"aegaeon", "Request Time,Model Name,Input Length,Output Length\n00:00:1.5,m,1,1\n",
         "f.csv:2:1: Request Time is not HH:MM:SS: \"00:00:1.5\""},
        {"aegaeon", "Request Time,Model Name,Input Length\n",
         "f.csv:1:1: no column \"Output Length\" (the file has: Request Time, Model Name, Input "
         "Length)"},
        {"burstgpt",
         "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
         "5,m,4,5,9,x\n4,m,1,1,2,x\n",
         "f.csv:3:1: the time runs backwards: 4 is before the row above; sort the file by time"},
        {"servegen", "t_s,cls,in_tok,out_tok\n1,0,1\n",
         "f.csv:2:6: 3 cells, but the first line names 4 columns"},
        {"servegen", "t_s,cls,in_tok,out_tok\n1,0,1,-4\n",
         "f.csv:2:7: out_tok is out of range: -4"},
        {"servegen", "t_s,cls,in_tok,out_tok\n1,\"0,1,4\n",
         "f.csv:2:3: a quoted cell that does not end in this line"},
        {"azure-functions-2021", "app,func,end_timestamp,duration\na,b,5,x\n",
         "f.csv:2:7: duration is not a number: \"x\""},
        {"mooncake", "{\"timestamp\": 0, \"input_length\": 6758}\n",
         "f.csv:1:1: no member \"output_length\""},
        {"mooncake", "[1]\n", "f.csv:1:1: not a JSON object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(error_of(cases[i].text, strlen(cases[i].text), "f.csv",
                                     trace_format_find(cases[i].format)),
                            cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_azure_plain),    cmocka_unit_test(test_azure_gzip),
        cmocka_unit_test(test_azure_zstd),     cmocka_unit_test(test_cut_archives),
        cmocka_unit_test(test_generic_csv),    cmocka_unit_test(test_generic_jsonl),
        cmocka_unit_test(test_filters),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_line_limit),     cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_mapping_errors), cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_decimals),       cmocka_unit_test(test_datetimes),
        cmocka_unit_test(test_formats),        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_reorder),        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_format_errors),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
