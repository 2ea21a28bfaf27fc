/*
 * Any bytes as a trace in each syntax and compression: no crash, times never run backwards, and
 * an error always says something.
 */
#include "base/trace.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"f.csv", "f.jsonl"};
    if (size == 0) {
        return 0;
    }
    struct trace_format generic = {.time = "t", .model = "m", .service = "s"};
    static const char *const named[] = {"azure-llm-2023",       "gentd26", "mooncake", "burstgpt",
                                        "azure-functions-2021", "aegaeon", "servegen"};
    const struct trace_format *format =
        data[0] & 2 ? trace_format_find(named[(data[0] >> 4) % 7]) : &generic;
    generic.time_is_end = data[0] & 8;
    struct trace_filter where = {.column = "m", .value = "a"};
    struct trace_reader *reader;
    struct trace_error err = {0};
    int rc = trace_open_memory(&reader, names[data[0] & 1], data + 1, size - 1, format, &where,
                               (size_t)(data[0] >> 2 & 1), &err);
    if (rc) {
        assert(err.text[0] != '\0');
        return 0;
    }
    struct trace_row row;
    int64_t last_ns = INT64_MIN;
    while ((rc = trace_next(reader, &row, &err)) == 1) {
        assert(row.t_ns >= last_ns && memchr(row.model, '\0', sizeof row.model));
        last_ns = row.t_ns;
    }
    assert(rc == 0 || err.text[0] != '\0');
    trace_close(reader);
    return 0;
}
