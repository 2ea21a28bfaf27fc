/*
 * CSV: one line split into cells, and small tables with a line of column names (switch costs,
 * shares of classes). Cells may be quoted, "" is a quote inside; a cell does not span lines.
 * Nothing here logs.
 */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include <stddef.h>
#include <stdint.h>

enum {
    CSV_COLUMNS_MAX = 256,     /* of a line */
    CSV_LINE_MAX = 1 << 18,    /* bytes of a line of csv_next(); scratch of csv_split() */
    CSV_TABLE_COLUMNS_MAX = 16 /* asked for by csv_open() */
};

struct csv_cell {
    const char *text; /* len bytes, not terminated */
    size_t len;
    unsigned column; /* 1-based byte column in the line */
};

/*
 * Splits LINE into at most CSV_COLUMNS_MAX cells; SCRATCH has room for LEN bytes and holds what was
 * quoted. -EINVAL with the column and the reason in *ret_column and *ret_reason.
 */
int csv_split(const char *line, size_t len, char *scratch, struct csv_cell *cells,
              size_t *ret_cells, unsigned *ret_column, const char **ret_reason);

struct csv;

/*
 * Opens the table PATH (plain, gzip or zstd) and finds COLUMNS in its first line; others are
 * ignored. Negative errno with "FILE:LINE:COLUMN: reason" in `err`.
 */
int csv_open(struct csv **ret_csv, const char *path, const char *const *columns, size_t columns_len,
             char *err, size_t err_size);
/* 1 and the cells in the order of COLUMNS, valid until the next call; 0 at the end; or an error. */
int csv_next(struct csv *csv, const struct csv_cell **ret_cells, char *err, size_t err_size);
/* A number in [min, max] from a cell; `what` names it in the error. */
int csv_real(const struct csv *csv, const struct csv_cell *cell, const char *what, double min,
             double max, double *ret_value, char *err, size_t err_size);
/* Puts "FILE:LINE:COLUMN: message" about the row given last into `err`; returns -EINVAL. CELL may
 * be NULL. */
int csv_fail(const struct csv *csv, const struct csv_cell *cell, char *err, size_t err_size,
             const char *words, ...) __attribute__((format(printf, 5, 6)));
void csv_close(struct csv *csv); /* accepts NULL */

#endif
