/*
 * Trace readers: a table of formats over two syntaxes. A row is split into cells without copying,
 * the five mapped cells are converted, everything else is ignored. What a format needs beyond a
 * mapping and a unit belongs here as a field of struct trace_format, not as code for one trace.
 */
#include "base/trace.h"

#include "base/csv.h"
#include "base/lines.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct trace_format formats[] = {
    {.name = "azure-llm-2023",
     .syntax = TRACE_CSV,
     .clock = TRACE_DATETIME,
     .time = "TIMESTAMP",
     .input_tokens = "ContextTokens",
     .output_tokens = "GeneratedTokens"},
    {.name = "azure-llm-2024",
     .syntax = TRACE_CSV,
     .clock = TRACE_DATETIME,
     .time = "TIMESTAMP",
     .input_tokens = "ContextTokens",
     .output_tokens = "GeneratedTokens"},
    {.name = "gentd26",
     .syntax = TRACE_CSV,
     .clock = TRACE_DATETIME,
     .time = "gmt_create",
     .model = "checkpoint_model_version_id",
     .service = "exec_time_seconds"},
    {.name = "mooncake",
     .syntax = TRACE_JSONL,
     .clock = TRACE_MILLISECONDS,
     .time = "timestamp",
     .input_tokens = "input_length",
     .output_tokens = "output_length"},
    {.name = "burstgpt",
     .syntax = TRACE_CSV,
     .clock = TRACE_SECONDS,
     .time = "Timestamp",
     .model = "Model",
     .input_tokens = "Request tokens",
     .output_tokens = "Response tokens"},
    /* What is kept warm or not is an app; its functions share it. */
    {.name = "azure-functions-2021",
     .syntax = TRACE_CSV,
     .clock = TRACE_SECONDS,
     .time_is_end = true,
     .time = "end_timestamp",
     .model = "app",
     .service = "duration"},
    {.name = "aegaeon",
     .syntax = TRACE_CSV,
     .clock = TRACE_TIME_OF_DAY,
     .time = "Request Time",
     .model = "Model Name",
     .input_tokens = "Input Length",
     .output_tokens = "Output Length"},
    {.name = "servegen",
     .syntax = TRACE_CSV,
     .clock = TRACE_SECONDS,
     .time = "t_s",
     .model = "cls",
     .input_tokens = "in_tok",
     .output_tokens = "out_tok"},
};

enum { FORMATS = sizeof formats / sizeof *formats };

enum field { FIELD_TIME, FIELD_MODEL, FIELD_INPUT, FIELD_OUTPUT, FIELD_SERVICE, FIELDS };

/* Longest accepted numbers: a million years would overflow the clock long before. */
static const int64_t tokens_max = 1000000000;
static const int64_t time_max_ns = INT64_C(8000000000) * 1000000000;

struct trace_reader {
    char *name;
    struct lines *lines;
    struct trace_format format;
    struct trace_filter filters[TRACE_FILTERS_MAX];
    size_t filters_len;
    size_t columns;           /* of a CSV file */
    int field_column[FIELDS]; /* CSV: index of the field's column, -1: none */
    int filter_column[TRACE_FILTERS_MAX];
    struct csv_cell cells[CSV_COLUMNS_MAX];
    char *scratch;   /* unquoted text of the cells of one line */
    int64_t last_ns; /* of the row given last, of an ordered format: read last */
    uint64_t number; /* rows read */
    /* Unordered formats: heap of rows by (t_ns, number). */
    struct trace_row *held;
    size_t held_len, held_room;
    bool ended;
    int error;
    struct trace_error error_text;
};

const struct trace_format *trace_format_find(const char *name)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

const char *trace_format_names(void)
{
    return "azure-llm-2023, azure-llm-2024, gentd26, mooncake, burstgpt, azure-functions-2021, "
           "aegaeon, servegen";
}

const char *trace_format_keys(void)
{
    return "time_s, time_ms, time, end_time_s, end_time_ms, model, input_tokens, output_tokens, "
           "service_s, service_ms";
}

int trace_format_set(struct trace_format *format, const char *key, const char *column, char *err,
                     size_t err_size)
{
    char *to;
    enum trace_clock clock = format->clock;
    int exponent = format->service_exponent;
    bool is_end = format->time_is_end;
    if (strcmp(key, "end_time_s") == 0 || strcmp(key, "end_time_ms") == 0) {
        to = format->time;
        clock = key[9] == 's' ? TRACE_SECONDS : TRACE_MILLISECONDS;
        is_end = true;
    } else if (strcmp(key, "time_s") == 0 || strcmp(key, "time_ms") == 0 ||
               strcmp(key, "time") == 0) {
        to = format->time;
        clock = key[4] == '\0'  ? TRACE_DATETIME
                : key[5] == 's' ? TRACE_SECONDS
                                : TRACE_MILLISECONDS;
    } else if (strcmp(key, "model") == 0) {
        to = format->model;
    } else if (strcmp(key, "input_tokens") == 0) {
        to = format->input_tokens;
    } else if (strcmp(key, "output_tokens") == 0) {
        to = format->output_tokens;
    } else if (strcmp(key, "service_s") == 0 || strcmp(key, "service_ms") == 0) {
        to = format->service;
        exponent = key[8] == 's' ? 0 : -3;
    } else {
        (void)snprintf(err, err_size, "unknown key \"%s\" in a column mapping (known: %s)", key,
                       trace_format_keys());
        return -EINVAL;
    }
    if (to[0] != '\0') {
        (void)snprintf(err, err_size, "\"%s\": this field is already mapped to column \"%s\"", key,
                       to);
        return -EINVAL;
    }
    size_t len = strlen(column);
    if (len == 0 || len >= TRACE_NAME_MAX) {
        (void)snprintf(err, err_size, "\"%s\": a column name has 1 to %d bytes", key,
                       TRACE_NAME_MAX - 1);
        return -EINVAL;
    }
    memcpy(to, column, len + 1);
    format->clock = clock;
    format->time_is_end = is_end;
    format->service_exponent = exponent;
    return 0;
}

static const char *field_name(const struct trace_format *format, enum field field)
{
    switch (field) {
    case FIELD_TIME:
        return format->time;
    case FIELD_MODEL:
        return format->model;
    case FIELD_INPUT:
        return format->input_tokens;
    case FIELD_OUTPUT:
        return format->output_tokens;
    case FIELD_SERVICE:
        return format->service;
    case FIELDS:
        break;
    }
    assert(false);
    return "";
}

/* Remembers the error, so that a reader that failed goes on failing with the same words. */
__attribute__((format(printf, 4, 5))) static int fail(struct trace_reader *r, int error,
                                                      unsigned column, const char *words, ...)
{
    struct trace_error *e = &r->error_text;
    e->line = lines_number(r->lines);
    e->column = e->line && !column ? 1 : column;
    int n = e->line ? snprintf(e->text, sizeof e->text, "%s:%llu:%u: ", r->name,
                               (unsigned long long)e->line, e->column)
                    : snprintf(e->text, sizeof e->text, "%s: ", r->name);
    if (n >= 0 && (size_t)n < sizeof e->text) {
        va_list args;
        va_start(args, words);
        (void)vsnprintf(e->text + n, sizeof e->text - (size_t)n, words, args);
        va_end(args);
    }
    r->error = error;
    return error;
}

static int next_line(struct trace_reader *r, const char **ret_line, size_t *ret_len)
{
    for (;;) {
        int rc = lines_next(r->lines, ret_line, ret_len);
        if (rc < 0) {
            return fail(r, rc, 0, "%s", lines_reason(rc));
        }
        if (rc == 0 || *ret_len > 0) {
            return rc;
        }
    }
}

/* --- CSV --- */

static int row_split(struct trace_reader *r, const char *line, size_t len, size_t *ret_cells)
{
    unsigned column;
    const char *reason;
    int rc = csv_split(line, len, r->scratch, r->cells, ret_cells, &column, &reason);
    return rc ? fail(r, rc, column, "%s", reason) : 0;
}

static int csv_find_column(struct trace_reader *r, const char *name, int *ret_column)
{
    size_t len = strlen(name);
    *ret_column = -1;
    if (len == 0) {
        return 0;
    }
    for (size_t i = 0; i < r->columns; i++) {
        if (r->cells[i].len == len && memcmp(r->cells[i].text, name, len) == 0) {
            if (*ret_column >= 0) {
                return fail(r, -EINVAL, r->cells[i].column, "column \"%s\" stands twice", name);
            }
            *ret_column = (int)i;
        }
    }
    if (*ret_column >= 0) {
        return 0;
    }
    char have[192] = "";
    size_t used = 0;
    for (size_t i = 0; i < r->columns && used + 2 < sizeof have; i++) {
        int n = snprintf(have + used, sizeof have - used, "%s%.*s", i ? ", " : "",
                         (int)(r->cells[i].len < 40 ? r->cells[i].len : 40), r->cells[i].text);
        used += n > 0 ? (size_t)n : 0;
    }
    return fail(r, -EINVAL, 1, "no column \"%s\" (the file has: %s)", name, have);
}

static int csv_header(struct trace_reader *r)
{
    static const char bom[] = "\xef\xbb\xbf";
    const char *line;
    size_t len;
    int rc = next_line(r, &line, &len);
    if (rc < 0) {
        return rc;
    }
    if (rc == 0) {
        return fail(r, -EINVAL, 0, "the file is empty; a CSV trace begins with a line of names");
    }
    if (len >= 3 && memcmp(line, bom, 3) == 0) {
        line += 3;
        len -= 3;
    }
    rc = row_split(r, line, len, &r->columns);
    for (int f = 0; rc == 0 && f < FIELDS; f++) {
        rc = csv_find_column(r, field_name(&r->format, (enum field)f), &r->field_column[f]);
    }
    for (size_t i = 0; rc == 0 && i < r->filters_len; i++) {
        rc = csv_find_column(r, r->filters[i].column, &r->filter_column[i]);
    }
    return rc;
}

/* --- From cells to a row --- */

static int cell_number(struct trace_reader *r, const struct csv_cell *cell, const char *name,
                       int exponent, int64_t max, int64_t *ret_value)
{
    int64_t value;
    int rc = decimal_parse(cell->text, cell->len, exponent, &value);
    if (rc == -EINVAL) {
        return fail(r, rc, cell->column, "%s is not a number: \"%.*s\"", name,
                    (int)(cell->len < 40 ? cell->len : 40), cell->text);
    }
    if (rc || value < 0 || value > max || (value == 0 && cell->text[0] == '-')) {
        return fail(r, -ERANGE, cell->column, "%s is out of range: %.*s", name,
                    (int)(cell->len < 40 ? cell->len : 40), cell->text);
    }
    *ret_value = value;
    return 0;
}

static int cell_time(struct trace_reader *r, const struct csv_cell *cell, int64_t *ret_ns)
{
    const char *what = "a date and time";
    int rc = 0;
    switch (r->format.clock) {
    case TRACE_SECONDS:
        return cell_number(r, cell, r->format.time, 9, time_max_ns, ret_ns);
    case TRACE_MILLISECONDS:
        return cell_number(r, cell, r->format.time, 6, time_max_ns, ret_ns);
    case TRACE_DATETIME:
        rc = datetime_parse(cell->text, cell->len, ret_ns);
        break;
    case TRACE_TIME_OF_DAY:
        what = "HH:MM:SS";
        rc = clock_parse(cell->text, cell->len, ret_ns);
        break;
    }
    return rc ? fail(r, -EINVAL, cell->column, "%s is not %s: \"%.*s\"", r->format.time, what,
                     (int)(cell->len < 40 ? cell->len : 40), cell->text)
              : 0;
}

static int out_of_order(struct trace_reader *r, const struct csv_cell *time)
{
    int len = (int)(time->len < 40 ? time->len : 40);
    if (r->format.unordered) {
        return fail(r, -EINVAL, time->column,
                    "this row arrives before one that is more than %d rows above it; sort the "
                    "file by arrival",
                    TRACE_REORDER_MAX);
    }
    return fail(r, -EINVAL, time->column,
                "the time runs backwards: %.*s is before the row above; sort the file by time", len,
                time->text);
}

/* FIELDS cells, text NULL where the format has none. 1, or an error. */
static int row_from_cells(struct trace_reader *r, const struct csv_cell *fields,
                          struct trace_row *row)
{
    row->input_tokens = row->output_tokens = row->service_ns = -1;
    row->line = lines_number(r->lines);
    row->number = r->number - 1;
    row->model[0] = '\0';
    int rc = cell_time(r, &fields[FIELD_TIME], &row->t_ns);
    const struct csv_cell *model = &fields[FIELD_MODEL];
    if (rc == 0 && model->text) {
        if (model->len >= sizeof row->model) {
            return fail(r, -EINVAL, model->column, "%s is longer than %d bytes", r->format.model,
                        TRACE_TEXT_MAX - 1);
        }
        memcpy(row->model, model->text, model->len);
        row->model[model->len] = '\0';
    }
    if (rc == 0 && fields[FIELD_INPUT].text) {
        rc = cell_number(r, &fields[FIELD_INPUT], r->format.input_tokens, 0, tokens_max,
                         &row->input_tokens);
    }
    if (rc == 0 && fields[FIELD_OUTPUT].text) {
        rc = cell_number(r, &fields[FIELD_OUTPUT], r->format.output_tokens, 0, tokens_max,
                         &row->output_tokens);
    }
    if (rc == 0 && fields[FIELD_SERVICE].text) {
        rc = cell_number(r, &fields[FIELD_SERVICE], r->format.service,
                         9 + r->format.service_exponent, time_max_ns, &row->service_ns);
    }
    if (rc) {
        return rc;
    }
    if (r->format.time_is_end) {
        row->t_ns -= row->service_ns; /* may be before the trace began */
    }
    if (row->t_ns < r->last_ns) {
        return out_of_order(r, &fields[FIELD_TIME]);
    }
    if (!r->format.unordered) {
        r->last_ns = row->t_ns;
    }
    return 1;
}

/* 1 a row, 0 left out by a filter. */
static int csv_row(struct trace_reader *r, const char *line, size_t len, struct trace_row *ret_row)
{
    size_t cells;
    int rc = row_split(r, line, len, &cells);
    if (rc) {
        return rc;
    }
    if (cells != r->columns) {
        unsigned column = cells > r->columns ? r->cells[r->columns].column : (unsigned)len + 1;
        return fail(r, -EINVAL, column, "%zu cells, but the first line names %zu columns", cells,
                    r->columns);
    }
    for (size_t i = 0; i < r->filters_len; i++) {
        const struct csv_cell *cell = &r->cells[r->filter_column[i]];
        const char *value = r->filters[i].value;
        if (cell->len != strlen(value) || memcmp(cell->text, value, cell->len) != 0) {
            return 0;
        }
    }
    struct csv_cell fields[FIELDS] = {{0}};
    for (int f = 0; f < FIELDS; f++) {
        if (r->field_column[f] >= 0) {
            fields[f] = r->cells[r->field_column[f]];
        }
    }
    return row_from_cells(r, fields, ret_row);
}

/* --- JSON lines --- */

/* Where the member NAME stands in the line: jansson keeps no positions. */
static unsigned json_column(const char *line, const char *name)
{
    char key[TRACE_NAME_MAX + 2];
    (void)snprintf(key, sizeof key, "\"%s\"", name);
    const char *at = strstr(line, key);
    return at ? (unsigned)(at - line) + 1 : 1;
}

/* A scalar member as text in BUFFER, exactly as a CSV cell would have it. */
static int json_cell(struct trace_reader *r, const json_t *object, const char *line,
                     const char *name, char *buffer, size_t size, struct csv_cell *ret_cell)
{
    const json_t *value = json_object_get(object, name);
    unsigned column = json_column(line, name);
    if (!value) {
        return fail(r, -EINVAL, 0, "no member \"%s\"", name);
    }
    if (json_is_string(value)) {
        *ret_cell = (struct csv_cell){json_string_value(value), json_string_length(value), column};
        return 0;
    }
    int n;
    if (json_is_integer(value)) {
        n = snprintf(buffer, size, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        n = snprintf(buffer, size, "%.17g", json_real_value(value));
    } else {
        return fail(r, -EINVAL, column, "\"%s\" is neither a number nor a string", name);
    }
    *ret_cell = (struct csv_cell){buffer, n > 0 ? (size_t)n : 0, column};
    return 0;
}

static int json_fields(struct trace_reader *r, const json_t *object, const char *line,
                       struct trace_row *ret_row)
{
    char buffers[FIELDS][32];
    struct csv_cell fields[FIELDS] = {{0}};
    for (size_t i = 0; i < r->filters_len; i++) {
        struct csv_cell cell;
        const char *value = r->filters[i].value;
        int rc =
            json_cell(r, object, line, r->filters[i].column, buffers[0], sizeof buffers[0], &cell);
        if (rc) {
            return rc;
        }
        if (cell.len != strlen(value) || memcmp(cell.text, value, cell.len) != 0) {
            return 0;
        }
    }
    for (int f = 0; f < FIELDS; f++) {
        const char *name = field_name(&r->format, (enum field)f);
        if (name[0] == '\0') {
            continue;
        }
        int rc = json_cell(r, object, line, name, buffers[f], sizeof buffers[f], &fields[f]);
        if (rc) {
            return rc;
        }
    }
    return row_from_cells(r, fields, ret_row);
}

static int json_row(struct trace_reader *r, const char *line, size_t len, struct trace_row *ret_row)
{
    json_error_t error;
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        return fail(r, -EINVAL, error.column > 0 ? (unsigned)error.column : 1, "not JSON: %s",
                    error.text);
    }
    int rc = json_is_object(object) ? json_fields(r, object, line, ret_row)
                                    : fail(r, -EINVAL, 1, "not a JSON object");
    json_decref(object);
    return rc;
}

/* --- Life cycle --- */

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(text + len - n, end, n) == 0;
}

static enum trace_syntax syntax_from_name(const char *name)
{
    size_t len = strlen(name);
    if (ends_with(name, len, ".zst")) {
        len -= 4;
    } else if (ends_with(name, len, ".gz")) {
        len -= 3;
    }
    return ends_with(name, len, ".jsonl") || ends_with(name, len, ".json") ? TRACE_JSONL
                                                                           : TRACE_CSV;
}

/* Takes LINES over, whatever it returns. */
static int reader_create(struct trace_reader **ret_reader, const char *name, struct lines *lines,
                         const struct trace_format *format, const struct trace_filter *filters,
                         size_t filters_len, struct trace_error *err)
{
    struct trace_reader *r = calloc(1, sizeof *r);
    if (r) {
        r->lines = lines;
        r->name = strdup(name);
        r->scratch = malloc(TRACE_LINE_MAX + 1);
        r->last_ns = INT64_MIN;
    } else {
        lines_close(lines);
    }
    if (!r || !r->name || !r->scratch) {
        trace_close(r);
        *err = (struct trace_error){0};
        (void)snprintf(err->text, sizeof err->text, "%s: out of memory", name);
        return -ENOMEM;
    }
    r->format = *format;
    r->format.unordered = format->unordered || format->time_is_end;
    if (format->name[0] == '\0') {
        r->format.syntax = syntax_from_name(name);
    }
    int rc = 0;
    if (format->time[0] == '\0') {
        rc = fail(r, -EINVAL, 0, "the column mapping names no time (time_s, time_ms or time)");
    } else if (format->time_is_end && format->service[0] == '\0') {
        rc = fail(r, -EINVAL, 0, "end_time_s needs service_s: arrival = end - service");
    } else if (filters_len > TRACE_FILTERS_MAX) {
        rc = fail(r, -EINVAL, 0, "more than %d conditions", TRACE_FILTERS_MAX);
    } else {
        r->filters_len = filters_len;
        if (filters_len > 0) {
            memcpy(r->filters, filters, filters_len * sizeof *filters);
        }
        rc = r->format.syntax == TRACE_CSV ? csv_header(r) : 0;
    }
    if (rc) {
        *err = r->error_text;
        trace_close(r);
        return rc;
    }
    *ret_reader = r;
    return 0;
}

static int open_failed(const char *name, int error, struct trace_error *err)
{
    *err = (struct trace_error){0};
    (void)snprintf(err->text, sizeof err->text, "%s: cannot open: %s", name, strerror(-error));
    return error;
}

int trace_open(struct trace_reader **ret_reader, const char *path,
               const struct trace_format *format, const struct trace_filter *filters,
               size_t filters_len, struct trace_error *err)
{
    struct lines *lines;
    int rc = lines_open(&lines, path, TRACE_LINE_MAX);
    if (rc) {
        return open_failed(path, rc, err);
    }
    return reader_create(ret_reader, path, lines, format, filters, filters_len, err);
}

int trace_open_memory(struct trace_reader **ret_reader, const char *name, const void *data,
                      size_t size, const struct trace_format *format,
                      const struct trace_filter *filters, size_t filters_len,
                      struct trace_error *err)
{
    struct lines *lines;
    int rc = lines_open_memory(&lines, data, size, TRACE_LINE_MAX);
    if (rc) {
        return open_failed(name, rc, err);
    }
    return reader_create(ret_reader, name, lines, format, filters, filters_len, err);
}

static int row_next(struct trace_reader *r, struct trace_row *ret_row)
{
    const char *line;
    size_t len;
    int rc = r->error;
    while (rc == 0) {
        rc = next_line(r, &line, &len);
        if (rc == 0) {
            return 0;
        }
        if (rc > 0) {
            r->number++;
            rc = r->format.syntax == TRACE_CSV ? csv_row(r, line, len, ret_row)
                                               : json_row(r, line, len, ret_row);
        }
    }
    return rc;
}

/* --- Rows that are not in order --- */

static bool row_before(const struct trace_row *a, const struct trace_row *b)
{
    return a->t_ns != b->t_ns ? a->t_ns < b->t_ns : a->number < b->number;
}

static int held_push(struct trace_reader *r, const struct trace_row *row)
{
    if (r->held_len == r->held_room) {
        size_t room = r->held_room ? 2 * r->held_room : 1024;
        struct trace_row *grown = reallocarray(r->held, room, sizeof *grown);
        if (!grown) {
            return fail(r, -ENOMEM, 0, "out of memory");
        }
        r->held = grown;
        r->held_room = room;
    }
    size_t i = r->held_len++;
    for (; i > 0 && row_before(row, &r->held[(i - 1) / 2]); i = (i - 1) / 2) {
        r->held[i] = r->held[(i - 1) / 2];
    }
    r->held[i] = *row;
    return 0;
}

static void held_pop(struct trace_reader *r, struct trace_row *ret_row)
{
    *ret_row = r->held[0];
    const struct trace_row *last = &r->held[--r->held_len];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < r->held_len; i = child) {
        if (child + 1 < r->held_len && row_before(&r->held[child + 1], &r->held[child])) {
            child++;
        }
        if (!row_before(&r->held[child], last)) {
            break;
        }
        r->held[i] = r->held[child];
    }
    if (r->held_len > 0) {
        r->held[i] = *last;
    }
}

static int reordered_next(struct trace_reader *r, struct trace_row *ret_row)
{
    while (!r->ended && r->held_len < TRACE_REORDER_MAX) {
        struct trace_row row;
        int rc = row_next(r, &row);
        r->ended = rc == 0;
        if (rc < 0 || (rc == 1 && (rc = held_push(r, &row)) < 0)) {
            return rc;
        }
    }
    if (r->held_len == 0) {
        return 0;
    }
    held_pop(r, ret_row);
    r->last_ns = ret_row->t_ns;
    return 1;
}

int trace_next(struct trace_reader *r, struct trace_row *ret_row, struct trace_error *err)
{
    int rc = r->format.unordered ? reordered_next(r, ret_row) : row_next(r, ret_row);
    if (rc < 0) {
        *err = r->error_text;
    }
    return rc;
}

void trace_close(struct trace_reader *r)
{
    if (!r) {
        return;
    }
    lines_close(r->lines);
    free(r->held);
    free(r->scratch);
    free(r->name);
    free(r);
}
