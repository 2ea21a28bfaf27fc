/* Tables for people: see ctl_print.h. */
#include "tools/ctl_print.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 14, CELL_BYTES = 64, ROWS_MAX = 1024, WIDTH = 100 };

/* A table is collected whole, so that columns are as wide as they must be. */
struct table {
    unsigned columns;
    unsigned rows;
    char (*cells)[CELL_BYTES]; /* rows x columns, the first row is the head */
};

static void table_init(struct table *table, unsigned columns, const char *const *head)
{
    assert(columns <= COLUMNS_MAX);
    *table = (struct table){.columns = columns, .rows = 1};
    table->cells = calloc((size_t)ROWS_MAX * columns, CELL_BYTES);
    for (unsigned i = 0; table->cells && i < columns; i++) {
        (void)snprintf(table->cells[i], CELL_BYTES, "%s", head[i]);
    }
}

static void table_row(struct table *table)
{
    if (table->rows < ROWS_MAX) {
        table->rows++;
    }
}

static void put(struct table *table, unsigned column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put(struct table *table, unsigned column, const char *format, ...)
{
    if (!table->cells) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(table->cells[(table->rows - 1) * table->columns + column], CELL_BYTES, format,
                    args);
    va_end(args);
}

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789.+-% smhGiBKMT") == strlen(text);
}

/* Makes the first column as narrow as the terminal asks for, down to 16: its texts lose their
 * middle. */
static void table_shrink(struct table *table, size_t widths[COLUMNS_MAX])
{
    size_t total = 2 * (size_t)(table->columns - 1);
    for (unsigned c = 0; c < table->columns; c++) {
        total += widths[c];
    }
    if (total <= WIDTH) {
        return;
    }
    size_t room = widths[0] > total - WIDTH + 16 ? widths[0] - (total - WIDTH) : 16;
    for (unsigned r = 0; r < table->rows; r++) {
        char *text = table->cells[r * table->columns];
        size_t len = strlen(text);
        if (len > room) {
            size_t end = (room - 2) / 2;
            size_t begin = room - 2 - end;
            memcpy(text + begin, "..", 2);
            memmove(text + begin + 2, text + len - end, end + 1);
        }
    }
    widths[0] = widths[0] < room ? widths[0] : room;
}

/* Columns of numbers stand to the right. */
static void table_print(struct table *table, FILE *out)
{
    size_t widths[COLUMNS_MAX] = {0};
    bool right[COLUMNS_MAX];
    for (unsigned c = 0; table->cells && c < table->columns; c++) {
        right[c] = table->rows > 1;
        for (unsigned r = 0; r < table->rows; r++) {
            const char *text = table->cells[r * table->columns + c];
            size_t len = strlen(text);
            widths[c] = len > widths[c] ? len : widths[c];
            right[c] = right[c] && (r == 0 || is_number(text));
        }
    }
    if (table->cells) {
        table_shrink(table, widths);
    }
    for (unsigned r = 0; table->cells && r < table->rows; r++) {
        char line[COLUMNS_MAX * (CELL_BYTES + 2) + 1];
        size_t used = 0;
        for (unsigned c = 0; c < table->columns; c++) {
            const char *text = table->cells[r * table->columns + c];
            int width = (int)widths[c];
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%*s", c ? "  " : "",
                                     right[c] ? width : -width, text);
        }
        while (used && line[used - 1] == ' ') {
            used--;
        }
        (void)fprintf(out, "%.*s\n", (int)used, line);
    }
    free(table->cells);
    table->cells = NULL;
}

/* ------------------------------------------------------------------ values */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static json_int_t int_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* "-" for null, "0.35 s", "12.3 s", "4 m 05 s", "3 h 20 m". */
static const char *seconds_text(const json_t *value, char text[24])
{
    if (!json_is_number(value)) {
        return "-";
    }
    double s = json_number_value(value);
    if (s < 10) {
        (void)snprintf(text, 24, "%.2f s", s);
    } else if (s < 100) {
        (void)snprintf(text, 24, "%.1f s", s);
    } else if (s < 3600) {
        (void)snprintf(text, 24, "%d m %02d s", (int)s / 60, (int)s % 60);
    } else if (s < 1e8) {
        (void)snprintf(text, 24, "%d h %02d m", (int)(s / 3600), (int)(s / 60) % 60);
    } else {
        return "-";
    }
    return text;
}

static const char *bytes_text(json_int_t bytes, char text[24])
{
    (void)snprintf(text, 24, "%.1f GiB", (double)bytes / (1024.0 * 1024 * 1024));
    return text;
}

/* A paragraph, broken at spaces, each line indented. */
static void print_wrapped(FILE *out, unsigned indent, const char *text)
{
    size_t room = WIDTH - indent;
    while (*text) {
        size_t len = strlen(text);
        if (len > room) {
            size_t cut = room;
            while (cut > 0 && text[cut] != ' ') {
                cut--;
            }
            len = cut ? cut : room;
        }
        (void)fprintf(out, "%*s%.*s\n", (int)indent, "", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

void ctl_print_message(const json_t *answer, FILE *out)
{
    (void)fprintf(out, "%s\n", text_of(answer, "message"));
}

void ctl_print_text(const json_t *answer, FILE *out)
{
    const char *text = text_of(answer, "text");
    size_t len = strlen(text);
    (void)fputs(text, out);
    if (len && text[len - 1] != '\n') {
        (void)fputc('\n', out);
    }
}

/* ------------------------------------------------------------------ status */

static void print_devices(const json_t *cell, FILE *out)
{
    static const char *const head[] = {"DEVICE", "STATE",  "RESIDENT", "MEMORY",   "SERVE", "DRAIN",
                                       "SWITCH", "LINGER", "IDLE",     "SWITCHES", "FORCED"};
    static const char *const states[] = {"serving", "draining", "switching", "lingering", "idle"};
    struct table table;
    size_t i;
    const json_t *device;
    table_init(&table, sizeof head / sizeof head[0], head);
    json_array_foreach(json_object_get(cell, "devices"), i, device)
    {
        char text[24];
        const json_t *times = json_object_get(device, "time_s");
        const json_t *resident = json_object_get(device, "resident");
        double total = 0;
        for (size_t s = 0; s < 5; s++) {
            total += json_number_value(json_object_get(times, states[s]));
        }
        table_row(&table);
        put(&table, 0, "%s", text_of(device, "name"));
        put(&table, 1, "%s",
            json_is_true(json_object_get(device, "up")) ? text_of(device, "state") : "gone");
        size_t count = json_array_size(resident);
        const char *first = json_string_value(json_array_get(resident, 0));
        if (count > 1) {
            put(&table, 2, "%.20s +%zu", first ? first : "", count - 1);
        } else {
            put(&table, 2, "%.24s", first ? first : "-");
        }
        put(&table, 3, "%s", bytes_text(int_of(device, "held_bytes"), text));
        for (unsigned s = 0; s < 5; s++) {
            double share = json_number_value(json_object_get(times, states[s]));
            put(&table, 4 + s, "%.1f%%", total > 0 ? 100 * share / total : 0);
        }
        put(&table, 9, "%lld", (long long)int_of(device, "switches"));
        put(&table, 10, "%lld", (long long)int_of(device, "visits_forced"));
    }
    table_print(&table, out);
}

/* The state of a model's first engine that is up, else of its first. */
static const char *model_state(const json_t *model)
{
    const json_t *instances = json_object_get(model, "instances");
    size_t i;
    const json_t *instance;
    json_array_foreach(instances, i, instance)
    {
        if (strcmp(text_of(instance, "state"), "resident") == 0) {
            return "resident";
        }
    }
    return text_of(json_array_get(instances, 0), "state");
}

static void print_queues(const json_t *cell, FILE *out)
{
    static const char *const head[] = {"MODEL", "STATE",   "QUEUED",  "RUN",    "OLDEST", "ETA",
                                       "DONE",  "REFUSED", "EXPIRED", "FAILED", "CUT"};
    struct table table;
    size_t i;
    const json_t *model;
    table_init(&table, sizeof head / sizeof head[0], head);
    json_array_foreach(json_object_get(cell, "models"), i, model)
    {
        char text[24];
        static const char *const counts[] = {"completed", "rejected", "expired", "failed", "cut"};
        table_row(&table);
        put(&table, 0, "%s", text_of(model, "name"));
        put(&table, 1, "%s", model_state(model));
        put(&table, 2, "%lld", (long long)int_of(model, "queued"));
        put(&table, 3, "%lld", (long long)int_of(model, "in_flight"));
        put(&table, 4, "%s", seconds_text(json_object_get(model, "oldest_s"), text));
        put(&table, 5, "%s", seconds_text(json_object_get(model, "eta_s"), text));
        for (unsigned c = 0; c < 5; c++) {
            put(&table, 6 + c, "%lld", (long long)int_of(model, counts[c]));
        }
    }
    table_print(&table, out);
}

static void print_bounds(const json_t *cell, FILE *out)
{
    static const char *const head[] = {"MODEL",      "VISITS",        "WORST GAP", "GAP EXPECTED",
                                       "GUARANTEED", "WAIT EXPECTED", "GUARANTEED"};
    static const char *const keys[] = {"gap_expected_s", "gap_guaranteed_s", "wait_expected_s",
                                       "wait_guaranteed_s"};
    struct table table;
    size_t i;
    const json_t *model;
    table_init(&table, sizeof head / sizeof head[0], head);
    json_array_foreach(json_object_get(cell, "models"), i, model)
    {
        char text[24];
        const json_t *bounds = json_object_get(model, "bounds");
        table_row(&table);
        put(&table, 0, "%s", text_of(model, "name"));
        put(&table, 1, "%lld", (long long)int_of(model, "visits"));
        put(&table, 2, "%s", seconds_text(json_object_get(model, "gap_max_s"), text));
        for (unsigned k = 0; k < 4; k++) {
            const json_t *value = json_object_get(bounds, keys[k]);
            put(&table, 3 + k, "%s", json_is_null(value) ? "none" : seconds_text(value, text));
        }
    }
    table_print(&table, out);
}

void ctl_print_status(const json_t *answer, FILE *out)
{
    size_t i;
    const json_t *cell;
    (void)fprintf(out, "shunt is %s: %lld connections, %lld requests; configuration %s\n",
                  text_of(answer, "phase"), (long long)int_of(answer, "connections"),
                  (long long)int_of(answer, "requests"), text_of(answer, "config"));
    if (int_of(answer, "worker_restarts")) {
        (void)fprintf(out, "the worker was restarted %lld times\n",
                      (long long)int_of(answer, "worker_restarts"));
    }
    json_array_foreach(json_object_get(answer, "cells"), i, cell)
    {
        const json_t *policy = json_object_get(cell, "policy");
        const char *drift = text_of(cell, "drift");
        (void)fprintf(out, "\ncell %s: policy %s %s (%.16s)", text_of(cell, "name"),
                      text_of(policy, "id"), text_of(policy, "version"), text_of(policy, "hash"));
        if (json_object_get(policy, "decisions")) {
            (void)fprintf(out, ", %lld decisions, %lld faults",
                          (long long)int_of(policy, "decisions"),
                          (long long)int_of(policy, "faults"));
        }
        (void)fputc('\n', out);
        if (drift[0]) {
            (void)fprintf(out, "differs from the file: %s\n", drift);
        }
        (void)fputc('\n', out);
        print_devices(cell, out);
        (void)fputc('\n', out);
        print_queues(cell, out);
        (void)fputc('\n', out);
        print_bounds(cell, out);
    }
}

void ctl_print_models(const json_t *answer, FILE *out)
{
    static const char *const head[] = {"MODEL",  "DEVICE", "STATE",  "RUN",   "MEMORY",
                                       "ENGINE", "PID",    "STARTS", "FAILS", "PINNED"};
    struct table table;
    size_t i;
    size_t k;
    const json_t *model;
    const json_t *instance;
    const json_t *models = json_object_get(answer, "models");
    table_init(&table, sizeof head / sizeof head[0], head);
    json_array_foreach(models, i, model)
    {
        json_array_foreach(json_object_get(model, "instances"), k, instance)
        {
            char text[24];
            table_row(&table);
            put(&table, 0, "%s", text_of(model, "name"));
            put(&table, 1, "%.12s", text_of(instance, "device"));
            put(&table, 2, "%s", text_of(instance, "state"));
            put(&table, 3, "%lld", (long long)int_of(instance, "in_flight"));
            put(&table, 4, "%s", bytes_text(int_of(instance, "device_bytes"), text));
            put(&table, 5, "%s", text_of(instance, "engine"));
            put(&table, 6, int_of(instance, "pid") ? "%lld" : "-",
                (long long)int_of(instance, "pid"));
            put(&table, 7, "%lld", (long long)int_of(instance, "starts"));
            put(&table, 8, "%lld", (long long)int_of(instance, "failures"));
            put(&table, 9, "%s", json_is_true(json_object_get(instance, "pinned")) ? "yes" : "no");
        }
    }
    table_print(&table, out);
    json_array_foreach(models, i, model)
    {
        json_array_foreach(json_object_get(model, "instances"), k, instance)
        {
            if (text_of(instance, "last_error")[0]) {
                (void)fprintf(out, "\n%s on %s:\n", text_of(model, "name"),
                              text_of(instance, "device"));
                print_wrapped(out, 2, text_of(instance, "last_error"));
            }
        }
    }
}

/* ------------------------------------------------------------------ policies */

void ctl_print_policy_list(const json_t *answer, FILE *out)
{
    static const char *const head[] = {"CELL",      "POLICY", "VERSION", "HASH",  "STATE",
                                       "DECISIONS", "FAULTS", "SLOWEST", "LOADED"};
    struct table table;
    size_t i;
    size_t k;
    const json_t *cell;
    const json_t *slot;
    table_init(&table, sizeof head / sizeof head[0], head);
    json_array_foreach(json_object_get(answer, "cells"), i, cell)
    {
        if (json_is_true(json_object_get(cell, "builtin_selected"))) {
            table_row(&table);
            put(&table, 0, "%.16s", text_of(cell, "cell"));
            put(&table, 1, "fifo");
            put(&table, 3, "builtin");
            put(&table, 4, "decides");
        }
        json_array_foreach(json_object_get(cell, "policies"), k, slot)
        {
            char text[24];
            table_row(&table);
            put(&table, 0, "%.16s", text_of(cell, "cell"));
            put(&table, 1, "%.24s", text_of(slot, "id"));
            put(&table, 2, "%.12s", text_of(slot, "version"));
            put(&table, 3, "%.12s", text_of(slot, "hash"));
            put(&table, 4, "%s",
                json_is_true(json_object_get(slot, "selected"))   ? "decides"
                : json_is_true(json_object_get(slot, "rollback")) ? "ready to return"
                                                                  : "loaded");
            put(&table, 5, "%lld", (long long)int_of(slot, "decisions"));
            put(&table, 6, "%lld", (long long)int_of(slot, "faults"));
            put(&table, 7, "%.1f us", json_number_value(json_object_get(slot, "decide_max_us")));
            put(&table, 8, "%s", seconds_text(json_object_get(slot, "loaded_for_s"), text));
        }
    }
    table_print(&table, out);
}

void ctl_print_policy_show(const json_t *answer, FILE *out)
{
    const json_t *list = json_object_get(answer, "parameters");
    size_t i;
    size_t k;
    const json_t *param;
    const json_t *value;
    (void)fprintf(out, "%s %s (%.16s)\n", text_of(answer, "id"), text_of(answer, "version"),
                  text_of(answer, "hash"));
    if (text_of(answer, "reference")[0]) {
        (void)fprintf(out, "from %s\n", text_of(answer, "reference"));
    }
    if (json_array_size(list) == 0) {
        (void)fputs("it has no parameters\n", out);
    }
    json_array_foreach(list, i, param)
    {
        const json_t *models = json_object_get(param, "models");
        (void)fprintf(out, "\n%s", text_of(param, "name"));
        if (!models) {
            (void)fprintf(out, " = %s %s   from %s", text_of(param, "value"),
                          text_of(param, "unit"), text_of(param, "origin"));
        }
        (void)fprintf(
            out, "%s\n",
            json_is_true(json_object_get(param, "live")) ? "" : "   (fixed while the policy runs)");
        json_array_foreach(models, k, value)
        {
            (void)fprintf(out, "  [%s] = %s   from %s\n", text_of(value, "model"),
                          text_of(value, "value"), text_of(value, "origin"));
        }
        print_wrapped(out, 4, text_of(param, "doc"));
    }
}

/* ------------------------------------------------------------------ explain */

static void print_decision(const json_t *d, FILE *out)
{
    char head[160];
    (void)snprintf(head, sizeof head, "  %+9.3f s  %-10s %s%s",
                   json_number_value(json_object_get(d, "at_s")), text_of(d, "action"),
                   text_of(d, "model"), text_of(d, "model")[0] ? " " : "");
    (void)fprintf(out, "%s(%s%s%s)\n", head, text_of(d, "reason"),
                  strcmp(text_of(d, "verdict"), "applied") == 0 ? "" : ", ",
                  strcmp(text_of(d, "verdict"), "applied") == 0 ? "" : text_of(d, "verdict"));
    print_wrapped(out, 25, text_of(d, "text"));
    json_t *scores = json_object_get(d, "scores");
    if (json_object_size(scores)) {
        const char *name;
        json_t *score;
        (void)fprintf(out, "%25sscores:", "");
        json_object_foreach(scores, name, score)
        {
            (void)fprintf(out, " %s=%.4g", name, json_number_value(score));
        }
        (void)fputc('\n', out);
    }
}

static void print_parts(const json_t *answer, FILE *out)
{
    static const struct {
        const char *key, *words;
    } parts[] = {{"queue", "behind its own queue"},
                 {"policy", "policy stayed with another model"},
                 {"guard", "guard served another first"},
                 {"drain", "others drained"},
                 {"out", "others moved out"},
                 {"memory", "waiting for memory"},
                 {"retry", "failed attempts"},
                 {"in", "its model moved in"},
                 {"probe", "its model was probed"},
                 {"unavailable", "nothing could serve it"}};
    const json_t *values = json_object_get(answer, "wait_parts_ns");
    double total = (double)int_of(answer, "wait_ns");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        json_int_t ns = int_of(values, parts[i].key);
        if (ns) {
            int bar = total > 0 ? (int)(40.0 * (double)ns / total + 0.5) : 0;
            (void)fprintf(out, "  %-34s %13.6f s  %.*s\n", parts[i].words, (double)ns / 1e9, bar,
                          "########################################");
        }
    }
    (void)fprintf(out, "  %-34s %13.6f s\n", "together", total / 1e9);
}

void ctl_print_explain(const json_t *answer, FILE *out)
{
    if (!json_object_get(answer, "request")) {
        (void)fprintf(out, "decision %lld of %s\n", (long long)int_of(answer, "decision"),
                      text_of(answer, "policy"));
        print_decision(answer, out);
        print_wrapped(out, 2, text_of(answer, "policy_says"));
        return;
    }
    char text[24];
    (void)fprintf(out, "request %s for %s: %s; policy %s\n\nwait\n", text_of(answer, "request"),
                  text_of(answer, "model"), text_of(answer, "state"), text_of(answer, "policy"));
    print_parts(answer, out);
    if (json_is_integer(json_object_get(answer, "position"))) {
        (void)fprintf(out, "\nit waits at position %lld\n", (long long)int_of(answer, "position"));
    }
    if (json_is_number(json_object_get(answer, "first_token_s"))) {
        (void)fprintf(out, "\nfirst byte of the answer after %s",
                      seconds_text(json_object_get(answer, "first_token_s"), text));
    }
    if (json_is_number(json_object_get(answer, "end_s"))) {
        (void)fprintf(out, "\nended after %s\n",
                      seconds_text(json_object_get(answer, "end_s"), text));
    }
    const json_t *decisions = json_object_get(answer, "decisions");
    size_t i;
    const json_t *decision;
    if (json_array_size(decisions)) {
        (void)fputs("\ndecisions meanwhile\n", out);
    }
    json_array_foreach(decisions, i, decision)
    {
        print_decision(decision, out);
    }
}
