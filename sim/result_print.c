/*
 * Results as a table for people: one block for each scenario, a column for each policy, made of the
 * JSON objects only, so that nothing is shown that is not stored.
 *
 * Several seeds of a policy become their mean and the half-width of the 95 % interval over seeds
 * (Student's t); of one seed, means have the interval of their batches.
 */
#include "sim/result.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS_MAX = 6, /* policies side by side; more go into further blocks */
    LABEL_WIDTH = 26,
    COLUMN_WIDTH = 20,
    MODELS_SHOWN = 24,
    TEXT_MAX = 64
};

/* Above this correlation of neighbouring batches their error is too small. */
static const double lag1_max = 0.2;

/* Results of one policy on one scenario, a seed each. */
struct column {
    const json_t *results;
    size_t first, count;
};

/* How a number is written. */
enum form { FORM_NUMBER, FORM_COUNT, FORM_PERCENT };

struct row {
    const char *label;
    const char *path[3]; /* members from the outside in; a NULL ends them */
    enum form form;
    bool always; /* also where it is nought or null for all */
};

/* ------------------------------------------------------------------ numbers */

/* 97.5 % quantile of Student's t. */
static double student(size_t freedom)
{
    static const double table[] = {0,     12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365,
                                   2.306, 2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
                                   2.120, 2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069,
                                   2.064, 2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
    enum { LAST = sizeof(table) / sizeof(table[0]) - 1 };
    return freedom <= LAST ? table[freedom] : 1.96 + 2.4 / (double)freedom;
}

static const json_t *at(const json_t *object, const char *const path[3])
{
    for (int i = 0; i < 3 && path[i]; i++) {
        object = json_object_get(object, path[i]);
    }
    return object;
}

static double number(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

struct estimate {
    double mean, half; /* NaN: unknown */
    bool low;          /* the half-width is too small: batches depend on one another */
};

static const json_t *result_of(const struct column *column, size_t seed)
{
    return json_array_get(column->results, column->first + seed);
}

/* Over seeds; with one seed and a path {..., "mean"} from its standard error. */
static struct estimate estimate(const struct column *column, const char *const path[3])
{
    double sum = 0, squares = 0, n = (double)column->count;
    struct estimate e = {.half = (double)NAN};
    for (size_t i = 0; i < column->count; i++) {
        sum += number(at(result_of(column, i), path));
    }
    e.mean = sum / n;
    for (size_t i = 0; i < column->count; i++) {
        double off = number(at(result_of(column, i), path)) - e.mean;
        squares += off * off;
    }
    if (column->count > 1) {
        e.half = student(column->count - 1) * sqrt(squares / (n * (n - 1)));
        return e;
    }
    if (path[1] && strcmp(path[1], "mean") == 0) {
        const json_t *stat = json_object_get(result_of(column, 0), path[0]);
        e.half = student(31) * number(json_object_get(stat, "se"));
        e.low = number(json_object_get(stat, "lag1")) > lag1_max;
    }
    return e;
}

/* Digits behind the point so that four count. */
static int digits(double value)
{
    double size = fabs(value);
    return size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
}

static void write_number(char text[TEXT_MAX], struct estimate e, enum form form)
{
    double scale = form == FORM_PERCENT ? 100 : 1;
    double mean = e.mean * scale, half = e.half * scale;
    const char *unit = form == FORM_PERCENT ? " %" : "";
    bool whole = form == FORM_COUNT && mean == floor(mean);
    int places = whole ? 0 : form == FORM_PERCENT ? 1 : digits(mean);
    if (isnan(mean)) {
        (void)snprintf(text, TEXT_MAX, "-");
    } else if (isnan(half) || half < 0.5 * pow(10, -places)) {
        (void)snprintf(text, TEXT_MAX, "%.*f%s", places, mean, unit);
    } else {
        (void)snprintf(text, TEXT_MAX, "%.*f ±%.*f%s%s", places, mean, places, half, unit,
                       e.low ? "*" : "");
    }
}

/* ------------------------------------------------------------------ lines */

/* Characters of UTF-8 text, for padding; every one is a column wide here. */
static int width(const char *text)
{
    int n = 0;
    for (; *text; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

/* Cut at WIDTH characters, its end replaced by "…"; control characters by "?". */
static void clip(char *out, size_t size, const char *text, int most)
{
    size_t used = 0;
    bool cut = width(text) > most;
    for (int n = cut ? most - 1 : most; *text && used + 8 < size; text++) {
        bool begins = ((unsigned char)*text & 0xc0) != 0x80;
        if (begins && n-- == 0) {
            break;
        }
        bool control = (unsigned char)*text < 0x20 || *text == 0x7f;
        out[used++] = (char)(control ? '?' : *text);
    }
    (void)snprintf(out + used, size - used, "%s", cut ? "…" : "");
}

static void pad(FILE *out, const char *text, int columns, bool left)
{
    int fill = columns - width(text);
    fill = fill < 0 ? 0 : fill;
    (void)fprintf(out, "%*s%s%*s", left ? 0 : fill, "", text, left ? fill : 0, "");
}

static void label(FILE *out, const char *text)
{
    char clipped[4 * LABEL_WIDTH + 16];
    clip(clipped, sizeof(clipped), text, LABEL_WIDTH);
    (void)fprintf(out, "  ");
    pad(out, clipped, LABEL_WIDTH, true);
}

static void cell(FILE *out, const char *text)
{
    char clipped[4 * COLUMN_WIDTH + 16];
    clip(clipped, sizeof(clipped), text, COLUMN_WIDTH - 1);
    (void)fprintf(out, " ");
    pad(out, clipped, COLUMN_WIDTH - 1, false);
}

static void print_row(FILE *out, const struct column *columns, size_t count, const struct row *row)
{
    struct estimate all[COLUMNS_MAX];
    bool any = row->always;
    for (size_t i = 0; i < count; i++) {
        all[i] = estimate(&columns[i], row->path);
        any = any || (!isnan(all[i].mean) && fabs(all[i].mean) > 0);
    }
    if (!any) {
        return;
    }
    label(out, row->label);
    for (size_t i = 0; i < count; i++) {
        char text[TEXT_MAX];
        write_number(text, all[i], row->form);
        cell(out, text);
    }
    (void)fprintf(out, "\n");
}

static const struct row rows[] = {
    {"wait, mean (s)", {"wait_s", "mean"}, FORM_NUMBER, true},
    {"      p50", {"wait_s", "p50"}, FORM_NUMBER, true},
    {"      p95", {"wait_s", "p95"}, FORM_NUMBER, true},
    {"      p99", {"wait_s", "p99"}, FORM_NUMBER, true},
    {"      longest", {"wait_s", "max"}, FORM_NUMBER, true},
    {"wait to switch start (s)", {"wait_to_switch_start_s", "mean"}, FORM_NUMBER, false},
    {"first token, mean (s)", {"ttft_s", "mean"}, FORM_NUMBER, false},
    {"      p95", {"ttft_s", "p95"}, FORM_NUMBER, false},
    {"response, mean (s)", {"response_s", "mean"}, FORM_NUMBER, true},
    {"fairness (Jain)", {"jain"}, FORM_NUMBER, false},
    {"serving", {"time", "serving_frac"}, FORM_PERCENT, true},
    {"draining", {"time", "draining_frac"}, FORM_PERCENT, false},
    {"switching", {"time", "switching_frac"}, FORM_PERCENT, true},
    {"lingering", {"time", "lingering_frac"}, FORM_PERCENT, false},
    {"idle", {"time", "idle_frac"}, FORM_PERCENT, true},
    {"work done (s/s)", {"time", "work_per_s"}, FORM_NUMBER, true},
    {"tokens per second", {"time", "tokens_per_s"}, FORM_NUMBER, false},
    {"mean batch", {"time", "mean_batch"}, FORM_NUMBER, false},
    {"switches per request", {"switches", "per_request"}, FORM_NUMBER, true},
    {"visits forced by guard", {"guard", "forced_share"}, FORM_PERCENT, true},
    {"completed", {"requests", "completed"}, FORM_COUNT, true},
    {"rejected", {"requests", "rejected"}, FORM_COUNT, false},
    {"cancelled", {"requests", "cancelled"}, FORM_COUNT, false},
    {"expired", {"requests", "expired"}, FORM_COUNT, false},
    {"failed", {"requests", "failed"}, FORM_COUNT, false},
    {"cut", {"requests", "cut"}, FORM_COUNT, false},
    {"left at last arrival", {"requests", "backlog_at_last_arrival"}, FORM_COUNT, false},
};

/* ------------------------------------------------------------------ blocks */

static const char *string_at(const json_t *object, const char *outer, const char *inner)
{
    const char *path[3] = {outer, inner, NULL};
    const char *value = json_string_value(at(object, path));
    return value ? value : "?";
}

static bool overloaded(const struct column *column)
{
    bool any = false;
    for (size_t i = 0; i < column->count; i++) {
        any = any || json_is_true(json_object_get(result_of(column, i), "overloaded"));
    }
    return any;
}

/* A policy reference without the folder of its file. */
static const char *without_folder(const char *reference)
{
    size_t path = strcspn(reference, ":@"), at = path;
    while (at > 0 && reference[at - 1] != '/') {
        at--;
    }
    return reference + at;
}

static void print_head(FILE *out, const struct column *columns, size_t count)
{
    label(out, "");
    for (size_t i = 0; i < count; i++) {
        cell(out, without_folder(string_at(result_of(&columns[i], 0), "policy", "reference")));
    }
    (void)fprintf(out, "\n");
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        any = any || overloaded(&columns[i]);
    }
    if (any) {
        label(out, "");
        for (size_t i = 0; i < count; i++) {
            cell(out, overloaded(&columns[i]) ? "OVERLOADED" : "");
        }
        (void)fprintf(out, "\n");
    }
}

/* Mean waits of the models, those that had requests. */
static void print_models(FILE *out, const struct column *columns, size_t count)
{
    const json_t *models = json_object_get(result_of(&columns[0], 0), "models");
    size_t shown = 0, size = json_array_size(models);
    if (size < 2) {
        return;
    }
    (void)fprintf(out, "  wait of a model (s)\n");
    for (size_t m = 0; m < size && shown < MODELS_SHOWN; m++, shown++) {
        const char *name = json_string_value(json_object_get(json_array_get(models, m), "name"));
        char text[4 * LABEL_WIDTH + 16];
        (void)snprintf(text, sizeof(text), "  %.*s", 3 * LABEL_WIDTH, name ? name : "?");
        label(out, text);
        for (size_t i = 0; i < count; i++) {
            double sum = 0;
            for (size_t s = 0; s < columns[i].count; s++) {
                const char *path[3] = {"wait_s", "mean", NULL};
                const json_t *list = json_object_get(result_of(&columns[i], s), "models");
                sum += number(at(json_array_get(list, m), path));
            }
            char value[TEXT_MAX];
            const struct estimate e = {.mean = sum / (double)columns[i].count, .half = (double)NAN};
            write_number(value, e, FORM_NUMBER);
            cell(out, value);
        }
        (void)fprintf(out, "\n");
    }
    if (shown < size) {
        (void)fprintf(out, "    ... and %zu more (--json has all)\n", size - shown);
    }
}

/*
 * Mean waits less those of the first column, seed by seed: runs of one seed share their random
 * numbers, so these intervals are narrower than the ones of the two means.
 */
static void print_difference(FILE *out, const struct column *columns, size_t count)
{
    static const char *const path[3] = {"wait_s", "mean", NULL};
    if (count < 2 || columns[0].count < 2) {
        return;
    }
    label(out, "      less the first's");
    cell(out, "");
    for (size_t i = 1; i < count; i++) {
        double sum = 0, squares = 0, n = (double)columns[0].count;
        char text[TEXT_MAX] = "-";
        for (size_t s = 0; s < columns[0].count && columns[i].count == columns[0].count; s++) {
            double difference = number(at(result_of(&columns[i], s), path)) -
                                number(at(result_of(&columns[0], s), path));
            sum += difference;
            squares += difference * difference;
        }
        double variance = fmax(squares - sum * sum / n, 0) / (n * (n - 1));
        if (columns[i].count == columns[0].count && !isnan(sum)) {
            int places = digits(sum / n);
            (void)snprintf(text, sizeof(text), "%+.*f ±%.*f", places, sum / n, places,
                           student(columns[0].count - 1) * sqrt(variance));
        }
        cell(out, text);
    }
    (void)fprintf(out, "\n");
}

/* The waits as multiples of the best bound that nobody can beat, where there is one. */
static void print_bounds(FILE *out, const struct column *columns, size_t count)
{
    bool any = false;
    char text[COLUMNS_MAX][TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        const char *work[3] = {"bounds", "lb_work_wait_s", NULL};
        const char *lagrange[3] = {"bounds", "lb_lagrange_wait_s", NULL};
        const char *mean[3] = {"wait_s", "mean", NULL};
        double best = fmax(number(at(result_of(&columns[i], 0), work)),
                           number(at(result_of(&columns[i], 0), lagrange)));
        double times = estimate(&columns[i], mean).mean / best;
        bool known = isfinite(times);
        any = any || known;
        (void)snprintf(text[i], TEXT_MAX, known ? "<= %.2f x" : "-", times);
    }
    if (any) {
        label(out, "mean wait / lower bound");
        for (size_t i = 0; i < count; i++) {
            cell(out, text[i]);
        }
        (void)fprintf(out, "\n");
    }
}

static void print_scenario_line(FILE *out, const struct column *column)
{
    const json_t *first = result_of(column, 0);
    const char *value[3] = {"load", "value", NULL}, *stretch[3] = {"stretch", NULL, NULL};
    double load = number(at(first, value)), s = number(at(first, stretch));
    bool weighted = strcmp(string_at(first, "load", "definition"), "request_weighted") == 0;
    json_int_t seed = json_integer_value(json_object_get(first, "seed"));
    char name[256];
    clip(name, sizeof(name), string_at(first, "scenario", NULL), 60);
    (void)fprintf(out, "%s  %s", name, string_at(first, "label", NULL));
    if (!isnan(load)) {
        (void)fprintf(out, "  load %.3f (%s)", load,
                      weighted ? "weighted by request" : "work / span");
    }
    if (!isnan(s)) {
        (void)fprintf(out, "  stretch %.4g", s);
    }
    (void)fprintf(out, "  costs %s  guard %s", string_at(first, "cost_profile", NULL),
                  json_is_true(json_object_get(first, "guarded")) ? "on" : "OFF");
    if (column->count > 1) {
        (void)fprintf(out, "  seeds %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT "\n", seed,
                      seed + (json_int_t)column->count - 1);
    } else {
        (void)fprintf(out, "  seed %" JSON_INTEGER_FORMAT "\n", seed);
    }
}

static void print_block(FILE *out, const struct column *columns, size_t count)
{
    assert(count <= COLUMNS_MAX);
    print_head(out, columns, count);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_row(out, columns, count, &rows[i]);
        if (i == 0) {
            print_difference(out, columns, count);
        }
    }
    print_bounds(out, columns, count);
    print_models(out, columns, count);
}

/* What the signs in the blocks mean, once. */
static void print_legend(FILE *out, bool low, bool over)
{
    (void)fprintf(out, "± is the 95 %% interval, over seeds or, of one seed, over batches.\n");
    if (low) {
        (void)fprintf(out,
                      "* at least: the batches depend on one another; more seeds or a longer run "
                      "would tell.\n");
    }
    if (over) {
        (void)fprintf(out, "OVERLOADED: waits grew to the end, so they say how long the run was as "
                           "much as how good the policy is.\n");
    }
}

static bool any_low(const struct column *column)
{
    bool low = false;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        low = low || estimate(column, rows[i].path).low;
    }
    return low;
}

/* ------------------------------------------------------------------ the whole */

static bool alike(const json_t *a, const json_t *b, const char *outer, const char *inner)
{
    return strcmp(string_at(a, outer, inner), string_at(b, outer, inner)) == 0;
}

static bool same_scenario(const json_t *a, const json_t *b)
{
    return alike(a, b, "scenario", NULL) && alike(a, b, "sha256", "scenario");
}

/* How many results from FIRST on are of one policy on one scenario: seeds go up. */
static size_t run_length(const json_t *results, size_t first)
{
    size_t n = 1, size = json_array_size(results);
    for (; first + n < size; n++) {
        const json_t *before = json_array_get(results, first + n - 1);
        const json_t *here = json_array_get(results, first + n);
        if (!same_scenario(before, here) || !alike(before, here, "policy", "reference") ||
            json_integer_value(json_object_get(here, "seed")) !=
                json_integer_value(json_object_get(before, "seed")) + 1) {
            break;
        }
    }
    return n;
}

void result_print(FILE *out, const json_t *results)
{
    size_t size = json_array_size(results);
    bool low = false, over = false;
    for (size_t next = 0; next < size;) {
        struct column columns[COLUMNS_MAX] = {{0}};
        size_t count = 0, first = next;
        bool head = next == 0 || !same_scenario(json_array_get(results, next - 1),
                                                json_array_get(results, next));
        do {
            columns[count] = (struct column){.results = results, .first = next};
            columns[count].count = run_length(results, next);
            low = low || any_low(&columns[count]);
            over = over || overloaded(&columns[count]);
            next += columns[count++].count;
        } while (next < size && count < COLUMNS_MAX &&
                 same_scenario(json_array_get(results, first), json_array_get(results, next)));
        if (head) {
            print_scenario_line(out, &columns[0]);
        }
        print_block(out, columns, count);
        (void)fprintf(out, "\n");
    }
    if (size > 0) {
        print_legend(out, low, over);
    }
}
