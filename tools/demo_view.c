/*
 * What is seen while the demo runs. On a terminal a few lines are drawn over and over; elsewhere a
 * plain line comes every few seconds. The view shows what the host says and decides nothing.
 */
#include "tools/demo_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAR_CELLS = 24, LINE_MAX_BYTES = 512 };
static const int64_t plain_every_ns = INT64_C(5) * 1000000000;
/* Requests that fill a bar of a queue. */
static const double bar_requests = 48;

static bool locale_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
        }
    }
    return false;
}

void demo_view_init(struct demo *d)
{
    const char *term = getenv("TERM");
    d->view.terminal = isatty(fileno(d->out)) && term && strcmp(term, "dumb") != 0;
    d->view.utf8 = locale_is_utf8();
    d->view.colour = d->view.terminal && !getenv("NO_COLOR");
}

/* Goes back to the first of the lines drawn last and clears from there. */
static void rub_out(struct demo *d)
{
    if (d->view.lines > 0) {
        (void)fprintf(d->out, "\x1b[%dA\r\x1b[J", d->view.lines);
        d->view.lines = 0;
    }
}

void demo_say(struct demo *d, const char *format, ...)
{
    va_list args;
    rub_out(d);
    va_start(args, format);
    (void)vfprintf(d->out, format, args);
    va_end(args);
    (void)fputc('\n', d->out);
    (void)fflush(d->out);
}

void demo_say_wrapped(struct demo *d, const char *format, ...)
{
    enum { WIDTH = 78 };
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t used = 0;
    for (char *rest = text, *word; (word = strsep(&rest, " "));) {
        size_t len = strlen(word);
        bool fits = used > 0 && used + 1 + len <= WIDTH;
        (void)fprintf(d->out, "%s%s", used == 0 ? "" : fits ? " " : "\n  ", word);
        used = used == 0 ? len : fits ? used + 1 + len : 2 + len;
    }
    (void)fputs("\n", d->out);
    (void)fflush(d->out);
}

void demo_view_end(struct demo *d)
{
    d->view.lines = 0;
    d->view.title = NULL;
    (void)fflush(d->out);
}

void demo_view_act(struct demo *d, const char *title, double length_s)
{
    rub_out(d);
    d->view.title = title;
    d->view.start_s = demo_clock_s(d);
    d->view.length_s = length_s;
    d->view.before = d->status;
    d->view.plain_due_ns = 0;
}

static const char *paint(const struct demo *d, const char *code)
{
    return d->view.colour ? code : "";
}

/* A bar of `part` (0 to 1); `empty` is drawn behind it. */
static void bar(const struct demo *d, char *to, size_t size, double part, bool empty)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    int filled = (int)(part * BAR_CELLS * 8 + 0.5), cells = filled / 8;
    size_t len = 0;
    to[0] = '\0';
    for (int i = 0; i < BAR_CELLS && len + 4 < size; i++) {
        const char *cell = i < cells ? d->view.utf8 ? "█" : "#"
                           : empty   ? d->view.utf8 ? "░" : "."
                                     : " ";
        if (i == cells && d->view.utf8 && filled % 8 && !empty) {
            cell = eighths[filled % 8];
        }
        int n = snprintf(to + len, size - len, "%s", cell);
        len += n > 0 ? (size_t)n : 0;
    }
}

/* What the device does, in words. */
static void doing(const struct demo *d, char *to, size_t size)
{
    const struct demo_status *s = &d->status;
    const char *leaving = NULL, *waking = NULL, *home = NULL;
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        const char *state = s->models[i].state;
        leaving = strcmp(state, "leaving") == 0 ? demo_models[i].name : leaving;
        waking = strcmp(state, "waking") == 0 ? demo_models[i].name : waking;
        home = strcmp(state, "resident") == 0 || strcmp(state, "draining") == 0
                   ? demo_models[i].name
                   : home;
    }
    if (leaving) {
        (void)snprintf(to, size, "switching: %s goes to sleep", leaving);
    } else if (waking) {
        (void)snprintf(to, size, "switching: %s wakes", waking);
    } else if (strcmp(s->state, "draining") == 0) {
        (void)snprintf(to, size, "draining: %s finishes %" PRIu64, home ? home : "?",
                       demo_running(s));
    } else {
        (void)snprintf(to, size, "%s: %s", s->state, home ? home : "no model is resident");
    }
}

static void shares(const struct demo *d, char *to, size_t size)
{
    const struct demo_status *s = &d->status, *b = &d->view.before;
    double sum = 0;
    size_t len = 0;
    for (size_t i = 0; i < DEMO_STATES; i++) {
        sum += s->time_s[i] - b->time_s[i];
    }
    to[0] = '\0';
    for (size_t i = 0; i < DEMO_STATES && len < size; i++) {
        double part = sum > 0 ? (s->time_s[i] - b->time_s[i]) / sum : 0;
        int n = snprintf(to + len, size - len, "%s%s %.0f%%", i ? "  " : "", demo_state_names[i],
                         100 * part);
        len += n > 0 ? (size_t)n : 0;
    }
}

static void draw_model(struct demo *d, size_t i)
{
    const struct demo_model_state *m = &d->status.models[i];
    char queue[LINE_MAX_BYTES];
    bool here = strcmp(m->state, "resident") == 0;
    bar(d, queue, sizeof queue, (double)m->queued / bar_requests, false);
    (void)fprintf(d->out,
                  "  %s%-8s%s %s%s%s %s%s%s %4" PRIu64 " waiting %2" PRIu64 " running %5" PRIu64
                  " done\x1b[K\n",
                  here ? paint(d, "\x1b[1m") : "", demo_models[i].name, paint(d, "\x1b[0m"),
                  here ? paint(d, "\x1b[32m") : "", here ? d->view.utf8 ? "●" : "*" : " ",
                  paint(d, "\x1b[0m"), paint(d, "\x1b[33m"), queue, paint(d, "\x1b[0m"), m->queued,
                  m->in_flight, m->completed - d->view.before.models[i].completed);
}

static void draw(struct demo *d)
{
    char text[LINE_MAX_BYTES];
    double at_s = demo_clock_s(d) - d->view.start_s;
    /* No line may wrap, or the way back up would be wrong; where known, the frame shows as one. */
    (void)fputs("\x1b[?2026h\x1b[?7l", d->out);
    if (d->view.lines > 0) {
        (void)fprintf(d->out, "\x1b[%dA\r", d->view.lines);
    }
    bar(d, text, sizeof text, d->view.length_s > 0 ? at_s / d->view.length_s : 0, true);
    (void)fprintf(d->out, "  %s%-17.17s%s %s ", paint(d, "\x1b[1m"), d->view.title,
                  paint(d, "\x1b[0m"), d->view.length_s > 0 ? text : "");
    if (d->view.length_s > 0 && at_s > d->view.length_s) {
        (void)fprintf(d->out, "%.0f s, finishing what waits\x1b[K\n", at_s);
    } else if (d->view.length_s > 0) {
        (void)fprintf(d->out, "%.0f of %.0f s\x1b[K\n", at_s, d->view.length_s);
    } else {
        (void)fprintf(d->out, "%.0f s\x1b[K\n", at_s);
    }
    doing(d, text, sizeof text);
    (void)fprintf(d->out, "  gpu0, %s: %s%s%s\x1b[K\n", d->status.policy, paint(d, "\x1b[36m"),
                  text, paint(d, "\x1b[0m"));
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        draw_model(d, i);
    }
    shares(d, text, sizeof text);
    (void)fprintf(d->out, "  %s; %" PRIu64 " switches\x1b[K\n", text,
                  d->status.switches - d->view.before.switches);
    d->view.lines = 3 + DEMO_MODELS;
    (void)fputs("\x1b[?7h\x1b[?2026l", d->out);
    (void)fflush(d->out);
}

static void plain(struct demo *d)
{
    char text[LINE_MAX_BYTES];
    if (d->status.taken_ns < d->view.plain_due_ns) {
        return;
    }
    d->view.plain_due_ns = d->status.taken_ns + plain_every_ns;
    doing(d, text, sizeof text);
    (void)fprintf(d->out, "  %5.0f s  %-36s", demo_clock_s(d) - d->view.start_s, text);
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        (void)fprintf(d->out, "  %s %3" PRIu64, demo_models[i].name, d->status.models[i].queued);
    }
    (void)fprintf(d->out, " waiting; %" PRIu64 " switches\n",
                  d->status.switches - d->view.before.switches);
    (void)fflush(d->out);
}

void demo_view_update(struct demo *d)
{
    if (!d->view.title || !d->status.ready) {
        return;
    }
    if (d->view.terminal) {
        draw(d);
    } else {
        plain(d);
    }
}
