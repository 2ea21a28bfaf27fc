/* Profiles of switch costs: a small CSV file whose columns are named in its first line. */
#include "sim/scenario_priv.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { PROFILE_BYTES_MAX = 1 << 20, PROFILE_ROWS_MAX = 256, PROFILE_COLUMNS_MAX = 32 };

enum column { PROFILE, N_CLASSES, CLS, SIZE, UNLOAD_S, LOAD_S, FIXED_S, COLUMNS };

static const char *const column_names[COLUMNS] = {
    [PROFILE] = "profile",   [N_CLASSES] = "n_classes", [CLS] = "cls",        [SIZE] = "size",
    [UNLOAD_S] = "unload_s", [LOAD_S] = "load_s",       [FIXED_S] = "fixed_s"};

struct csv {
    struct scenario_reader *reader;
    const char *path;
    uint32_t line;
    uint32_t place[COLUMNS]; /* field of each column */
};

__attribute__((format(printf, 3, 4))) static int csv_fail(struct csv *csv, uint32_t column,
                                                          const char *format, ...)
{
    struct scenario_reader *reader = csv->reader;
    int used =
        snprintf(reader->err, reader->err_size, "%.200s:%u:%u: ", csv->path, csv->line, column);
    if (used > 0 && (size_t)used < reader->err_size) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(reader->err + used, reader->err_size - (size_t)used, format, args);
        va_end(args);
    }
    return -EINVAL;
}

/* Splits a line in place; no quotes: none of the columns read holds a comma. */
static uint32_t split(char *line, char **fields, uint32_t max)
{
    uint32_t count = 0;
    char *rest = line;
    while (count < max && rest) {
        fields[count++] = strsep(&rest, ",");
    }
    return count;
}

static int read_header(struct csv *csv, char *line)
{
    char *fields[PROFILE_COLUMNS_MAX];
    uint32_t count = split(line, fields, PROFILE_COLUMNS_MAX);
    for (uint32_t c = 0; c < COLUMNS; c++) {
        uint32_t i = 0;
        while (i < count && strcmp(fields[i], column_names[c]) != 0) {
            i++;
        }
        if (i == count) {
            return csv_fail(csv, 1, "there is no column %s", column_names[c]);
        }
        csv->place[c] = i;
    }
    return 0;
}

static int read_seconds(struct csv *csv, char *line, char **fields, enum column c, double *ret)
{
    const char *text = fields[csv->place[c]];
    char *end = NULL;
    double value = strspn(text, "+-.0123456789eE") == strlen(text) ? strtod(text, &end) : -1;
    if (!end || end == text || *end || !(value >= 0 && value <= 1e6)) {
        return csv_fail(csv, (uint32_t)(text - line) + 1,
                        "%s: \"%.40s\" is no number of seconds from 0 to 1000000", column_names[c],
                        text);
    }
    *ret = value;
    return 0;
}

/* Takes a line if it is of the profile. */
static int read_row(struct csv *csv, char *line, const char *name, int64_t n_classes,
                    struct scenario_profile_row *rows, uint32_t *count)
{
    char *fields[PROFILE_COLUMNS_MAX];
    uint32_t got = split(line, fields, PROFILE_COLUMNS_MAX);
    for (uint32_t c = 0; c < COLUMNS; c++) {
        if (csv->place[c] >= got) {
            return csv_fail(csv, 1, "the row has %u fields; column %s is missing", got,
                            column_names[c]);
        }
    }
    if (strcmp(fields[csv->place[PROFILE]], name) != 0 ||
        strtoll(fields[csv->place[N_CLASSES]], NULL, 10) != n_classes) {
        return 0;
    }
    if (*count == PROFILE_ROWS_MAX) {
        return csv_fail(csv, 1, "the profile has more than %d rows", PROFILE_ROWS_MAX);
    }
    double out_s = 0, load_s = 0, fixed_s = 0;
    int rc = read_seconds(csv, line, fields, UNLOAD_S, &out_s);
    rc = rc ? rc : read_seconds(csv, line, fields, LOAD_S, &load_s);
    rc = rc ? rc : read_seconds(csv, line, fields, FIXED_S, &fixed_s);
    if (rc) {
        return rc;
    }
    struct scenario_profile_row *row = &rows[(*count)++];
    (void)snprintf(row->cls, sizeof row->cls, "%s", fields[csv->place[CLS]]);
    (void)snprintf(row->size, sizeof row->size, "%s", fields[csv->place[SIZE]]);
    row->out_ns = (int64_t)llround(out_s * 1e9);
    row->in_ns = (int64_t)llround(load_s * 1e9) + (int64_t)llround(fixed_s * 1e9);
    return 0;
}

static int read_text(struct csv *csv, char *text, const char *name, int64_t n_classes,
                     struct scenario_profile_row *rows, uint32_t *count)
{
    int rc = 0;
    char *rest = text;
    while (rc == 0 && rest && *rest) {
        char *line = strsep(&rest, "\n");
        size_t length = strlen(line);
        if (length > 0 && line[length - 1] == '\r') {
            line[length - 1] = '\0';
        }
        csv->line++;
        if (csv->line == 1) {
            rc = read_header(csv, line);
        } else if (line[0]) {
            rc = read_row(csv, line, name, n_classes, rows, count);
        }
    }
    return rc;
}

/* The bytes of FILE, beside the scenario or among the traces. */
static int find_file(struct scenario_reader *reader, const char *file, char *path, size_t path_size,
                     char **ret_text, size_t *ret_size)
{
    const char *folders[] = {file[0] == '/' ? "" : reader->folder,
                             file[0] == '/' ? NULL : reader->traces};
    int rc = -ENOENT;
    for (size_t i = 0; i < 2 && rc == -ENOENT; i++) {
        if (folders[i]) {
            (void)snprintf(path, path_size, "%s%s%s", folders[i], folders[i][0] ? "/" : "", file);
            char err[256];
            rc = scenario_slurp(path, PROFILE_BYTES_MAX, ret_text, ret_size, err, sizeof err);
        }
    }
    return rc;
}

int scenario_read_profile(struct scenario_reader *reader, const struct yaml_node *node,
                          const char *file, const char *name, int64_t n_classes,
                          const struct scenario_profile_row **ret_rows, uint32_t *ret_count)
{
    char path[4200];
    char *text = NULL;
    size_t size = 0;
    int rc = find_file(reader, file, path, sizeof path, &text, &size);
    if (rc == -ENOENT) {
        return yaml_fail(
            reader->yaml, node, "file: \"%.200s\" is neither beside this file nor in %s", file,
            reader->traces ? reader->traces : "the folder of traces (SHUNT_TRACES is not set)");
    }
    if (rc) {
        return rc == -ENOMEM
                   ? rc
                   : yaml_fail(reader->yaml, node, "file: %.200s: %s", path, strerror(-rc));
    }
    struct scenario_profile_row *rows = scenario_alloc(reader, PROFILE_ROWS_MAX, sizeof *rows);
    struct csv csv = {.reader = reader, .path = path};
    uint32_t count = 0;
    rc = rows ? read_text(&csv, text, name, n_classes, rows, &count) : -ENOMEM;
    free(text);
    if (rc == 0 && count == 0) {
        return yaml_fail(reader->yaml, node,
                         "file: %.200s has no rows of profile %s with %lld classes", path, name,
                         (long long)n_classes);
    }
    *ret_rows = rows;
    *ret_count = count;
    return rc;
}
