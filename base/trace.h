/*
 * Readers for request traces: one row at a time from CSV or JSON lines, plain, gzip or zstd,
 * never a whole file in memory. A format is a row of a table (or a column mapping given by the
 * user); the reader knows nothing else about where a trace comes from.
 *
 * Reading is strict: a broken row, an unknown column, a number out of range, a time that runs
 * backwards or a cut-off archive is an error with file, line, column and reason, and the reader
 * gives no further row. Parsers here never log.
 */
#ifndef SHUNT_BASE_TRACE_H
#define SHUNT_BASE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACE_TEXT_MAX = 128,     /* bytes of a model's text, terminator included */
    TRACE_NAME_MAX = 64,      /* bytes of a column name, terminator included */
    TRACE_LINE_MAX = 1 << 18, /* bytes of a line */
    TRACE_FILTERS_MAX = 8,    /* `where` conditions of a reader */
    TRACE_ERROR_MAX = 512,
    TRACE_REORDER_MAX = 1 << 16, /* rows held back by a format whose rows are not in order */
};

/* One request of a trace. Numbers that the format does not have are -1, text is "". */
struct trace_row {
    int64_t t_ns; /* arrival on the file's own clock; see trace_format.time */
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t service_ns;
    uint64_t line;   /* 1-based line of the (uncompressed) file */
    uint64_t number; /* 0-based, of all rows of the file, those left out by filters included */
    char model[TRACE_TEXT_MAX];
};

/* Where and why reading stopped. text is the whole message, "FILE:LINE:COLUMN: reason". */
struct trace_error {
    uint64_t line;   /* 0: the file as a whole */
    unsigned column; /* 1-based byte column, 1: also the line as a whole */
    char text[TRACE_ERROR_MAX];
};

enum trace_syntax { TRACE_CSV, TRACE_JSONL };

enum trace_clock {
    TRACE_SECONDS, /* decimal seconds from any origin */
    TRACE_MILLISECONDS,
    TRACE_DATETIME,    /* YYYY-MM-DD[ T]HH:MM:SS[.fraction][Z|+HH:MM], as ns since 1970 */
    TRACE_TIME_OF_DAY, /* HH:MM:SS[.fraction], the hours without limit */
};

/*
 * A file format. Empty column names mean that the format has no such column; time is required.
 * Names are arrays so that a format may also be built from a configuration.
 */
struct trace_format {
    char name[TRACE_NAME_MAX];
    enum trace_syntax syntax;
    enum trace_clock clock;
    int service_exponent; /* power of ten of the service column's unit in seconds: 0 s, -3 ms */
    bool time_is_end;     /* the time is that of the end: arrival = time - service */
    /* Rows are not in order of arrival: they are put in order over TRACE_REORDER_MAX rows, and what
     * comes later still is an error. Implied by time_is_end. */
    bool unordered;
    char time[TRACE_NAME_MAX];
    char model[TRACE_NAME_MAX];
    char input_tokens[TRACE_NAME_MAX];
    char output_tokens[TRACE_NAME_MAX];
    char service[TRACE_NAME_MAX];
};

/* Rows whose COLUMN has not exactly the text VALUE are left out (before the check of times). */
struct trace_filter {
    char column[TRACE_NAME_MAX];
    char value[TRACE_TEXT_MAX];
};

struct trace_reader;

/* The built-in format NAME, or NULL. */
const struct trace_format *trace_format_find(const char *name);
/* The names of all built-in formats with commas between them, for messages and help. */
const char *trace_format_names(void);

/*
 * Sets one KEY of a generic mapping: time_s, time_ms, time (a date and time), end_time_s,
 * end_time_ms (time of the end; service is then needed), model, input_tokens, output_tokens,
 * service_s, service_ms, to the column COLUMN. Starts from a zeroed
 * format. -EINVAL with *err filled (no file in it) for an unknown key or a name too long.
 */
int trace_format_set(struct trace_format *format, const char *key, const char *column, char *err,
                     size_t err_size);
/* The text of the keys that trace_format_set() knows, for messages. */
const char *trace_format_keys(void);

/*
 * Opens PATH. The compression is found from the first bytes; the syntax of a generic format from
 * the name (.jsonl or .json before .gz/.zst means JSON lines). FORMAT and FILTERS are copied.
 * Negative errno with *err filled: what open(2) says, -EINVAL for a bad header or a mapping that
 * names a column the file has not, -ENOMEM.
 */
int trace_open(struct trace_reader **ret_reader, const char *path,
               const struct trace_format *format, const struct trace_filter *filters,
               size_t filters_len, struct trace_error *err);
/* As trace_open() over bytes that stay valid until trace_close(); NAME stands in messages. */
int trace_open_memory(struct trace_reader **ret_reader, const char *name, const void *data,
                      size_t size, const struct trace_format *format,
                      const struct trace_filter *filters, size_t filters_len,
                      struct trace_error *err);
/* 1 and *ret_row, 0 at the end, or negative errno with *err filled (also on every later call). */
int trace_next(struct trace_reader *reader, struct trace_row *ret_row, struct trace_error *err);
/* Accepts NULL. */
void trace_close(struct trace_reader *reader);

/*
 * Exact decimal reading, for the readers of traces and of scenarios alike: TEXT (LEN bytes; a
 * sign, digits, a fraction, an exponent) times ten to EXPONENT as an integer, digits below one
 * cut off. -EINVAL: not a number; -ERANGE: outside int64_t.
 */
int decimal_parse(const char *text, size_t len, int exponent, int64_t *ret_value);
/* A date and time as in TRACE_DATETIME, as ns since 1970 (UTC if no zone is given). -EINVAL. */
int datetime_parse(const char *text, size_t len, int64_t *ret_ns);
/* A time of day as in TRACE_TIME_OF_DAY, as ns since its 0. -EINVAL. */
int clock_parse(const char *text, size_t len, int64_t *ret_ns);

#endif
