/* The shell of a report and the data in it: see report.h. */
#include "sim/report.h"

#include <errno.h>
#include <string.h>

extern const char report_css[], report_js[];
extern const size_t report_css_size, report_js_size;

static const char head_before_title[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<meta name=\"generator\" content=\"shunt sim\">\n"
    /* No address is ever fetched, whatever the data says. */
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
    "<title>";

static const char body[] = "</style>\n"
                           "</head>\n"
                           "<body>\n"
                           "<main id=\"report\"><noscript><p>This report is drawn by a script "
                           "inside this file; the browser "
                           "runs none.</p></noscript></main>\n"
                           "<script type=\"application/json\" id=\"data\">";

static void put_title(FILE *out, const json_t *results)
{
    const char *name = json_string_value(json_object_get(json_array_get(results, 0), "scenario"));
    for (const char *p = name ? name : "simulation"; *p; p++) {
        switch (*p) {
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '&':
            (void)fputs("&amp;", out);
            break;
        default:
            (void)fputc(*p, out);
        }
    }
    (void)fputs(" \xc2\xb7 shunt sim", out);
}

/* Which runs are seeds of one and the same thing. */
static json_t *identity(const json_t *result)
{
    json_t *key = json_array();
    static const char *const members[] = {"scenario", "sha256", "policy"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_t *value = json_object_get(result, members[i]);
        (void)json_array_append(key, value ? value : json_null());
    }
    return key;
}

/* Results as a report carries them: without what it does not draw. NULL: out of memory. */
static json_t *slim(const json_t *results)
{
    json_t *out = json_array(), *keys = json_array();
    size_t index;
    json_t *result;
    json_t *last = NULL;
    size_t seeds = 0;
    json_array_foreach(results, index, result)
    {
        json_t *copy = json_copy(result), *key = identity(result);
        seeds = last && json_equal(last, key) ? seeds + 1 : 0;
        const json_t *series = json_object_get(result, "series");
        if (series && seeds > 0) {
            json_t *less = json_object();
            static const char *const kept[] = {"models", "quantiles", "wait", "wait_all"};
            for (size_t i = 0; seeds < REPORT_SEEDS_MAX && i < sizeof(kept) / sizeof(kept[0]);
                 i++) {
                (void)json_object_set(less, kept[i], json_object_get(series, kept[i]));
            }
            (void)json_object_set_new(copy, "series", less);
        }
        (void)json_array_append_new(keys, key);
        last = key;
        if (json_array_append_new(out, copy) != 0) {
            json_decref(out);
            out = NULL;
            break;
        }
    }
    json_decref(keys);
    return out;
}

/* Inside a script element only "<" can start something; in JSON it occurs in strings alone. */
static int put_escaped(const char *buffer, size_t size, void *ctx)
{
    FILE *out = ctx;
    for (size_t at = 0; at < size;) {
        const char *hit = memchr(buffer + at, '<', size - at);
        size_t run = hit ? (size_t)(hit - (buffer + at)) : size - at;
        if (fwrite(buffer + at, 1, run, out) != run || (hit && fputs("\\u003c", out) < 0)) {
            return -1;
        }
        at += run + (hit ? 1 : 0);
    }
    return 0;
}

int report_write(FILE *out, const json_t *results, char *err, size_t err_size)
{
    if (json_array_size(results) == 0) {
        (void)snprintf(err, err_size, "report: there are no results to draw");
        return -EINVAL;
    }
    json_t *data = slim(results);
    if (!data) {
        (void)snprintf(err, err_size, "report: out of memory");
        return -ENOMEM;
    }
    (void)fputs(head_before_title, out);
    put_title(out, results);
    (void)fputs("</title>\n<style>\n", out);
    (void)fwrite(report_css, 1, report_css_size, out);
    (void)fputs(body, out);
    int dumped = json_dump_callback(data, put_escaped, out, JSON_COMPACT | JSON_REAL_PRECISION(10));
    json_decref(data);
    (void)fputs("</script>\n<script>\n", out);
    (void)fwrite(report_js, 1, report_js_size, out);
    (void)fputs("</script>\n</body>\n</html>\n", out);
    if (dumped != 0 || fflush(out) != 0 || ferror(out)) {
        (void)snprintf(err, err_size, "report: it cannot be written: %s", strerror(errno));
        return -EIO;
    }
    return 0;
}
