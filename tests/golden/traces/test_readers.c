/*
 * Every reader on the real file of its format: number of rows, first and last row. The numbers were
 * read off the files with other programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    int64_t t_ns, input_tokens, output_tokens, service_ns;
    const char *model;
};

#define S(seconds) (INT64_C(seconds) * 1000000000)

static const struct {
    const char *file, *format;
    struct trace_filter where;
    uint64_t rows;
    struct row first, last;
} wants[] = {
    {"azure_llm_2023_code.csv.zst",
     "azure-llm-2023",
     {"", ""},
     8819,
     {S(1700158623) + 979960000, 4808, 10, -1, ""},
     {S(1700162059) + 928016000, 549, 173, -1, ""}},
    {"azure_llm_2023_conv.csv.zst",
     "azure-llm-2024",
     {"", ""},
     19366,
     {S(1700158546) + 680590000, 374, 44, -1, ""},
     {S(1700162048) + 402527000, 197, 183, -1, ""}},
    {"gentd26_requests_dev.csv.zst",
     "gentd26",
     {"predict_status", "SUCCEED"},
     15362,
     {S(1731689870), -1, -1, S(32), "M0000"},
     {S(1733097590), -1, -1, S(25), "M0016"}},
    {"mooncake_fast25_synthetic.jsonl.zst",
     "mooncake",
     {"", ""},
     3993,
     {0, 40160, 6, -1, ""},
     {S(1022) + 25000000, 18440, 83, -1, ""}},
    {"aegaeon_synth20_rate0.1.csv",
     "aegaeon",
     {"", ""},
     200,
     {418000000, 168, 416, -1, "synth_model_08"},
     {S(119) + 59000000, 748, 395, -1, "synth_model_16"}},
    {"servegen_v20.csv.zst",
     "servegen",
     {"", ""},
     41484,
     {93000000, 536, 78, -1, "12"},
     {S(7200), 8763, 344, -1, "17"}},
    {"servegen_v5.csv.zst",
     "servegen",
     {"", ""},
     26495,
     {238000000, 339, 35, -1, "2"},
     {S(7199) + 998000000, 2279, 383, -1, "3"}},
    {"azure_functions_2021_sample199.csv",
     "azure-functions-2021",
     {"", ""},
     199,
     {1490900, -1, -1, 78000000,
      "7b2c43a2bc30f6bb438074df88b603d2cb982d3e7961de05270735055950a568"},
     {S(1200) + 14798053, -1, -1, S(60) + 41000000,
      "85479ef37b5dc75dd5aeca3bab499129b97a134dac5d740d2c68941de9d63031"}},
};

static void check_row(const char *file, const struct trace_row *got, const struct row *want)
{
    if (got->t_ns != want->t_ns || got->input_tokens != want->input_tokens ||
        got->output_tokens != want->output_tokens || got->service_ns != want->service_ns ||
        strcmp(got->model, want->model) != 0) {
        fail_msg("%s:%llu: t %lld, in %lld, out %lld, service %lld, model \"%s\"", file,
                 (unsigned long long)got->line, (long long)got->t_ns, (long long)got->input_tokens,
                 (long long)got->output_tokens, (long long)got->service_ns, got->model);
    }
}

static void test_readers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        char path[4096];
        struct trace_reader *reader;
        struct trace_error err;
        struct trace_row row = {0};
        const struct trace_format *format = trace_format_find(wants[i].format);
        assert_non_null(format);
        (void)snprintf(path, sizeof path, "%s/%s", getenv("SHUNT_TRACES"), wants[i].file);
        if (trace_open(&reader, path, format, &wants[i].where, wants[i].where.column[0] != '\0',
                       &err)) {
            fail_msg("%s", err.text);
        }
        uint64_t rows = 0;
        int rc;
        for (; (rc = trace_next(reader, &row, &err)) == 1; rows++) {
            if (rows == 0) {
                check_row(path, &row, &wants[i].first);
            }
        }
        if (rc < 0) {
            fail_msg("%s", err.text);
        }
        check_row(path, &row, &wants[i].last);
        assert_int_equal(rows, wants[i].rows);
        trace_close(reader);
    }
}

int main(void)
{
    if (!getenv("SHUNT_TRACES")) {
        (void)fprintf(stderr, "SKIPPED: SHUNT_TRACES names no folder of traces\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_readers)};
    return cmocka_run_group_tests_name("readers", tests, NULL, NULL);
}
