/*
 * CSV lines and tables; see csv.h.
 */
#include "base/csv.h"

#include "base/lines.h"
#include "base/trace.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A quoted cell that begins at line[*at]; *at moves behind its closing quote. */
static const char *quoted_cell(const char *line, size_t len, size_t *at, char **scratch,
                               struct csv_cell *cell)
{
    char *out = *scratch;
    size_t i = *at + 1;
    cell->text = out;
    for (;; i++) {
        if (i == len) {
            return "a quoted cell that does not end in this line";
        }
        if (line[i] == '"') {
            if (i + 1 == len || line[i + 1] != '"') {
                break;
            }
            i++;
        }
        *out++ = line[i];
    }
    cell->len = (size_t)(out - cell->text);
    *scratch = out;
    *at = i + 1;
    if (*at < len && line[*at] != ',') {
        cell->column = (unsigned)*at + 1;
        return "text after a quoted cell";
    }
    return NULL;
}

static const char *plain_cell(const char *line, size_t len, size_t *at, struct csv_cell *cell)
{
    size_t i = *at;
    while (i < len && line[i] != ',') {
        if (line[i] == '"') {
            return "a quote inside an unquoted cell";
        }
        i++;
    }
    cell->text = line + *at;
    cell->len = i - *at;
    *at = i;
    return NULL;
}

int csv_split(const char *line, size_t len, char *scratch, struct csv_cell *cells,
              size_t *ret_cells, unsigned *ret_column, const char **ret_reason)
{
    size_t count = 0, at = 0;
    for (;; at++) {
        if (count == CSV_COLUMNS_MAX) {
            *ret_column = (unsigned)at + 1;
            *ret_reason = "more than 256 columns";
            return -EINVAL;
        }
        struct csv_cell *cell = &cells[count++];
        cell->column = (unsigned)at + 1;
        const char *wrong = at < len && line[at] == '"'
                                ? quoted_cell(line, len, &at, &scratch, cell)
                                : plain_cell(line, len, &at, cell);
        if (wrong) {
            *ret_column = cell->column;
            *ret_reason = wrong;
            return -EINVAL;
        }
        if (at == len) {
            *ret_cells = count;
            return 0;
        }
    }
}

/* --- Tables --- */

struct csv {
    char *path;
    struct lines *lines;
    char *scratch;
    size_t columns; /* of the file */
    size_t wanted_len;
    size_t wanted[CSV_TABLE_COLUMNS_MAX];
    struct csv_cell cells[CSV_COLUMNS_MAX];
    struct csv_cell row[CSV_TABLE_COLUMNS_MAX];
};

int csv_fail(const struct csv *csv, const struct csv_cell *cell, char *err, size_t err_size,
             const char *words, ...)
{
    uint64_t line = lines_number(csv->lines);
    int n = snprintf(err, err_size, "%s:%llu:%u: ", csv->path,
                     (unsigned long long)(line ? line : 1), cell ? cell->column : 1);
    if (n >= 0 && (size_t)n < err_size) {
        va_list args;
        va_start(args, words);
        (void)vsnprintf(err + n, err_size - (size_t)n, words, args);
        va_end(args);
    }
    return -EINVAL;
}

/* The next line that is not empty, split: 1, 0 at the end, or an error. */
static int split_next(struct csv *csv, size_t *ret_cells, char *err, size_t err_size)
{
    static const char bom[] = "\xef\xbb\xbf";
    const char *line, *reason;
    size_t len;
    struct csv_cell place = {0};
    int rc;
    do {
        rc = lines_next(csv->lines, &line, &len);
    } while (rc == 1 && len == 0);
    if (rc < 0) {
        (void)csv_fail(csv, NULL, err, err_size, "%s", lines_reason(rc));
        return rc;
    }
    if (rc == 0) {
        return 0;
    }
    if (lines_number(csv->lines) == 1 && len >= 3 && memcmp(line, bom, 3) == 0) {
        line += 3;
        len -= 3;
    }
    rc = csv_split(line, len, csv->scratch, csv->cells, ret_cells, &place.column, &reason);
    return rc ? csv_fail(csv, &place, err, err_size, "%s", reason) : 1;
}

static int find_columns(struct csv *csv, const char *const *columns, char *err, size_t err_size)
{
    int rc = split_next(csv, &csv->columns, err, err_size);
    if (rc <= 0) {
        return rc < 0 ? rc
                      : csv_fail(csv, NULL, err, err_size,
                                 "the file is empty; a table begins with a line of names");
    }
    for (size_t i = 0; i < csv->wanted_len; i++) {
        size_t len = strlen(columns[i]), at = 0;
        while (at < csv->columns &&
               (csv->cells[at].len != len || memcmp(csv->cells[at].text, columns[i], len) != 0)) {
            at++;
        }
        if (at == csv->columns) {
            return csv_fail(csv, NULL, err, err_size, "no column \"%s\"", columns[i]);
        }
        csv->wanted[i] = at;
    }
    return 0;
}

int csv_open(struct csv **ret_csv, const char *path, const char *const *columns, size_t columns_len,
             char *err, size_t err_size)
{
    assert(columns_len <= CSV_TABLE_COLUMNS_MAX);
    struct csv *csv = calloc(1, sizeof *csv);
    if (csv) {
        csv->path = strdup(path);
        csv->scratch = malloc(CSV_LINE_MAX + 1);
        csv->wanted_len = columns_len;
    }
    if (!csv || !csv->path || !csv->scratch) {
        csv_close(csv);
        (void)snprintf(err, err_size, "%s: out of memory", path);
        return -ENOMEM;
    }
    int rc = lines_open(&csv->lines, path, CSV_LINE_MAX);
    if (rc) {
        (void)snprintf(err, err_size, "%s: cannot open: %s", path, strerror(-rc));
    } else {
        rc = find_columns(csv, columns, err, err_size);
    }
    if (rc) {
        csv_close(csv);
        return rc;
    }
    *ret_csv = csv;
    return 0;
}

int csv_next(struct csv *csv, const struct csv_cell **ret_cells, char *err, size_t err_size)
{
    size_t cells;
    int rc = split_next(csv, &cells, err, err_size);
    if (rc <= 0) {
        return rc;
    }
    if (cells != csv->columns) {
        return csv_fail(csv, NULL, err, err_size, "%zu cells, but the first line names %zu columns",
                        cells, csv->columns);
    }
    for (size_t i = 0; i < csv->wanted_len; i++) {
        csv->row[i] = csv->cells[csv->wanted[i]];
    }
    *ret_cells = csv->row;
    return 1;
}

int csv_real(const struct csv *csv, const struct csv_cell *cell, const char *what, double min,
             double max, double *ret_value, char *err, size_t err_size)
{
    int64_t nano;
    if (decimal_parse(cell->text, cell->len, 9, &nano)) {
        return csv_fail(csv, cell, err, err_size, "%s is not a number: \"%.*s\"", what,
                        (int)(cell->len < 40 ? cell->len : 40), cell->text);
    }
    double value = (double)nano / 1e9;
    if (!(value >= min && value <= max)) {
        return csv_fail(csv, cell, err, err_size, "%s is out of range: %.*s", what,
                        (int)(cell->len < 40 ? cell->len : 40), cell->text);
    }
    *ret_value = value;
    return 0;
}

void csv_close(struct csv *csv)
{
    if (!csv) {
        return;
    }
    lines_close(csv->lines);
    free(csv->scratch);
    free(csv->path);
    free(csv);
}
