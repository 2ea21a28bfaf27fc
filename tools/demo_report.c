/*
 * The two plays side by side. Every number says its unit; the ratio is always the second policy's
 * to the first's.
 */
#include "tools/demo_priv.h"

#include "base/json_write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- Text ------------------------------------------------------------------------------------- */

static const char *paint(const struct demo *d, const char *code)
{
    return d->view.colour ? code : "";
}

static void heading(const struct demo *d, const char *text, const char *third)
{
    (void)fprintf(d->out, "\n%s%-34s %12.12s %12.12s%s%s%s\n", paint(d, "\x1b[1m"), text,
                  d->play[0].policy, d->play[1].policy, *third ? "     " : "", third,
                  paint(d, "\x1b[0m"));
}

static void ratio(const struct demo *d, double a, double b)
{
    if (a > 0) {
        (void)fprintf(d->out, " %8.2fx\n", b / a);
    } else {
        (void)fputs("        -\n", d->out);
    }
}

/* A row of counts; `last` stands in the third column, NULL for the ratio. */
static void row(const struct demo *d, const char *name, double a, double b, int digits,
                const char *last)
{
    (void)fprintf(d->out, "  %-32s %12.*f %12.*f", name, digits, a, digits, b);
    if (!last) {
        ratio(d, a, b);
    } else {
        (void)fprintf(d->out, "%s%s\n", *last ? "   " : "", last);
    }
}

static void print_device(const struct demo *d)
{
    const struct demo_result *a = &d->play[0], *b = &d->play[1];
    heading(d, "the device", "ratio");
    row(d, "work per device second", a->work_s / a->span_s, b->work_s / b->span_s, 3, NULL);
    row(d, "tokens per device second", a->tokens / a->span_s, b->tokens / b->span_s, 1, NULL);
    row(d, "until the last answer, s", a->span_s, b->span_s, 0, NULL);
    row(d, "switches", (double)a->switches, (double)b->switches, 0, NULL);
    row(d, "requests a visit", (double)a->completed / (double)(a->visits ? a->visits : 1),
        (double)b->completed / (double)(b->visits ? b->visits : 1), 1, NULL);
    row(d, "mean batch while any runs", a->batch_mean, b->batch_mean, 2, NULL);
    for (size_t i = 0; i < DEMO_STATES; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "device time %s, %%", demo_state_names[i]);
        row(d, name, 100 * a->share[i], 100 * b->share[i], 1, "");
    }
    row(d, "visits named by the guard", (double)a->forced, (double)b->forced, 0, "");
}

static void print_times(const struct demo *d, const char *name, const struct demo_times *a,
                        const struct demo_times *b)
{
    (void)fprintf(d->out, "  %-9s %6.1f %6.1f %6.1f   %6.1f %6.1f %6.1f", name, a->mean, a->p50,
                  a->p99, b->mean, b->p50, b->p99);
    if (a->mean > 0 && a->p99 > 0) {
        (void)fprintf(d->out, "   %6.2fx %6.2fx", b->mean / a->mean, b->p99 / a->p99);
    }
    (void)fputc('\n', d->out);
}

static void print_waits(const struct demo *d, bool ttft)
{
    const struct demo_result *a = &d->play[0], *b = &d->play[1];
    (void)fprintf(d->out, "\n%s%-16s%-23.22s%-25.24sratio%s\n", paint(d, "\x1b[1m"),
                  ttft ? "first token, s" : "wait, s", a->policy, b->policy, paint(d, "\x1b[0m"));
    (void)fprintf(d->out, "  %-9s %6s %6s %6s   %6s %6s %6s   %7s %7s\n", "", "mean", "p50", "p99",
                  "mean", "p50", "p99", "mean", "p99");
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        const struct demo_model_result *x = &a->models[i], *y = &b->models[i];
        print_times(d, demo_models[i].name, ttft ? &x->ttft : &x->wait, ttft ? &y->ttft : &y->wait);
    }
    if (!ttft) {
        print_times(d, "all", &a->wait, &b->wait);
    }
}

static void print_bound(const struct demo *d, const double bound_s[2])
{
    for (size_t k = 0; k < 2; k++) {
        if (bound_s[k] > 0) {
            (void)fprintf(d->out, " %8.0f", bound_s[k]);
        } else {
            (void)fputs("     none", d->out);
        }
    }
}

static void print_gaps(const struct demo *d)
{
    const struct demo_result *results = d->play;
    (void)fprintf(d->out, "\n%s%-15s%-29.28s%s%s\n", paint(d, "\x1b[1m"), "worst gap, s",
                  results[0].policy, results[1].policy, paint(d, "\x1b[0m"));
    (void)fprintf(d->out, "  %-10s %7s %8s %8s    %7s %8s %8s\n", "", "worst", "expected", "limit",
                  "worst", "expected", "limit");
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        (void)fprintf(d->out, "  %-10s", demo_models[i].name);
        for (size_t k = 0; k < 2; k++) {
            (void)fprintf(d->out, "%s %7.1f", k ? "   " : "", results[k].models[i].gap_max_s);
            print_bound(d, results[k].models[i].gap_bound_s);
        }
        (void)fputc('\n', d->out);
    }
    (void)fputs("  A gap is how long a model with waiting requests had no turn. Two bounds on\n"
                "  it hold whatever the policy does: expected, from the costs that the host has\n"
                "  learned, and a limit, from its time-outs.\n",
                d->out);
    if (d->status.no_bound[0]) {
        (void)fprintf(d->out, "  none: %s\n", d->status.no_bound);
    }
}

static void print_ends(const struct demo *d)
{
    const struct demo_result *a = &d->play[0], *b = &d->play[1];
    heading(d, "the requests, by the client's log", "");
    row(d, "sent", (double)a->sent, (double)b->sent, 0, "");
    row(d, "answered", (double)a->completed, (double)b->completed, 0, "");
    row(d, "refused (429, 504)", (double)a->refused, (double)b->refused, 0, "");
    row(d, "cut", (double)a->cut, (double)b->cut, 0, "");
    row(d, "lost", (double)a->lost, (double)b->lost, 0, "");
}

static void print_reading(const struct demo *d)
{
    const struct demo_result *a = &d->play[0], *b = &d->play[1];
    (void)fprintf(d->out,
                  "\n  Of 100 s of the device, %s spent %.0f on draining and switching, %s %.0f:"
                  "\n  %" PRIu64 " switches against %" PRIu64
                  ", with %.1f and %.1f requests from one to the next.\n",
                  a->policy, 100 * (a->share[1] + a->share[2]), b->policy,
                  100 * (b->share[1] + b->share[2]), a->switches, b->switches,
                  (double)a->completed / (double)(a->switches ? a->switches : 1),
                  (double)b->completed / (double)(b->switches ? b->switches : 1));
    (void)fputs("\n  A demonstration, not a test: one stretch, played once by each policy, always\n"
                "  in this order (the host has learned more by the second), with no interval\n"
                "  around any number. It shows what switching costs here, not which policy is\n"
                "  better for other traffic, loads or costs.\n",
                d->out);
}

/* Above it the load was not the one of the stretch. */
static const double late_max_s = 0.5;

static void print_lateness(const struct demo *d)
{
    double late_s = d->play[0].late_p99_s > d->play[1].late_p99_s ? d->play[0].late_p99_s
                                                                  : d->play[1].late_p99_s;
    if (late_s > late_max_s) {
        (void)fprintf(d->out,
                      "\n  This machine was too slow for it: requests were sent up to %.1f s late "
                      "(p99).\n  Take a smaller --time-scale before you believe the numbers.\n",
                      late_s);
    }
}

static void print_text(const struct demo *d)
{
    (void)fprintf(d->out,
                  "The same %" PRIu64
                  " requests under both policies; load %.2f; times in trace seconds.\n",
                  d->stretch.total, d->stretch.load);
    print_device(d);
    print_waits(d, false);
    print_waits(d, true);
    print_gaps(d);
    print_ends(d);
    print_reading(d);
    print_lateness(d);
    (void)fflush(d->out);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put_real(struct json_write *w, const char *key, double value)
{
    json_write_key(w, key);
    json_write_real(w, value, 9);
}

static void put_count(struct json_write *w, const char *key, uint64_t value)
{
    json_write_key(w, key);
    json_write_uint(w, value);
}

static void put_bound(struct json_write *w, const char *key, double bound_s)
{
    json_write_key(w, key);
    if (bound_s > 0) {
        json_write_real(w, bound_s, 9);
    } else {
        json_write_null(w);
    }
}

static void put_times(struct json_write *w, const char *key, const struct demo_times *t)
{
    json_write_key(w, key);
    json_write_object(w);
    put_real(w, "mean", t->mean);
    put_real(w, "p50", t->p50);
    put_real(w, "p99", t->p99);
    put_real(w, "max", t->max);
    json_write_object_end(w);
}

static void put_model(struct json_write *w, size_t i, const struct demo_model_result *m)
{
    json_write_object(w);
    json_write_key(w, "name");
    json_write_string(w, demo_models[i].name);
    put_count(w, "sent", m->sent);
    put_count(w, "completed", m->completed);
    put_count(w, "refused", m->refused);
    put_count(w, "failed", m->failed);
    put_times(w, "wait_s", &m->wait);
    put_times(w, "ttft_s", &m->ttft);
    put_real(w, "gap_max_s", m->gap_max_s);
    put_bound(w, "gap_bound_expected_s", m->gap_bound_s[0]);
    put_bound(w, "gap_bound_guaranteed_s", m->gap_bound_s[1]);
    json_write_object_end(w);
}

static void put_result(struct json_write *w, const struct demo_result *r)
{
    json_write_object(w);
    json_write_key(w, "policy");
    json_write_string(w, r->policy);
    put_count(w, "sent", r->sent);
    put_count(w, "completed", r->completed);
    put_count(w, "refused", r->refused);
    put_count(w, "failed", r->failed);
    put_count(w, "cut", r->cut);
    put_count(w, "lost", r->lost);
    put_real(w, "late_p99_s", r->late_p99_s);
    put_real(w, "span_s", r->span_s);
    put_real(w, "work_s", r->work_s);
    put_real(w, "work_per_device_second", r->span_s > 0 ? r->work_s / r->span_s : 0);
    put_real(w, "tokens", r->tokens);
    json_write_key(w, "device_time");
    json_write_object(w);
    for (size_t i = 0; i < DEMO_STATES; i++) {
        put_real(w, demo_state_names[i], r->share[i]);
    }
    json_write_object_end(w);
    put_real(w, "batch_mean", r->batch_mean);
    put_count(w, "switches", r->switches);
    put_count(w, "visits", r->visits);
    put_count(w, "visits_forced", r->forced);
    put_times(w, "wait_s", &r->wait);
    json_write_key(w, "models");
    json_write_array(w);
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        put_model(w, i, &r->models[i]);
    }
    json_write_array_end(w);
    json_write_object_end(w);
}

static void put_results(struct json_write *w, const char *key, const struct demo_result results[2])
{
    json_write_key(w, key);
    json_write_array(w);
    put_result(w, &results[0]);
    put_result(w, &results[1]);
    json_write_array_end(w);
}

static void print_json(const struct demo *d)
{
    static char text[32768];
    struct json_write w;
    struct span out;
    json_write_init(&w, text, sizeof text);
    json_write_object(&w);
    put_real(&w, "time_scale", d->options.time_scale);
    json_write_key(&w, "arrivals");
    json_write_object(&w);
    json_write_key(&w, "source");
    json_write_string(&w, d->stretch.source);
    json_write_key(&w, "traces");
    json_write_bool(&w, d->stretch.real);
    put_count(&w, "requests", d->stretch.total);
    put_real(&w, "length_s", d->stretch.length_s);
    put_real(&w, "stretch", d->stretch.stretch);
    put_real(&w, "load", d->stretch.load);
    json_write_object_end(&w);
    json_write_key(&w, "swap");
    json_write_object(&w);
    put_count(&w, "waiting", d->swap.waiting);
    put_count(&w, "running", d->swap.running);
    put_real(&w, "took_real_ms", d->swap.took_real_ms);
    json_write_object_end(&w);
    put_results(&w, "plays", d->play);
    put_results(&w, "bursts", d->burst);
    json_write_object_end(&w);
    if (json_write_done(&w, &out)) {
        printf("%.*s\n", (int)out.len, out.data);
        (void)fflush(stdout);
    }
}

void demo_report(const struct demo *d)
{
    print_text(d);
    if (d->options.json) {
        print_json(d);
    }
}
