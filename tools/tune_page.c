/* The page of a search, drawn here: see tune_page.h. The style is that of simulation reports. */
#include "tools/tune_page.h"

#include "sim/tune.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

extern const char report_css[];
extern const size_t report_css_size;

enum { WIDE = 640, HIGH = 380, SMALL_WIDE = 380, SMALL_HIGH = 240, TICKS = 5, TRIED_SHOWN = 40 };

static const char own_css[] = "svg.plot{width:100%;height:auto;max-width:680px;display:block}\n"
                              "svg.plot text{font:11px var(--sans);fill:var(--soft)}\n"
                              "svg.plot text.ink{fill:var(--ink);font-size:12px}\n"
                              "svg.plot line.grid{stroke:var(--grid)}\n"
                              "svg.plot line.axis{stroke:var(--line)}\n"
                              "svg.plot line.one{stroke:var(--faint);stroke-dasharray:4 4}\n"
                              "svg.plot rect.good{fill:var(--good);opacity:.12}\n"
                              ".full{fill:var(--p0)}.short{fill:var(--faint);opacity:.45}\n"
                              ".chosen{fill:var(--p1)}.dead{fill:var(--faint)}\n"
                              "svg.plot path.step{fill:none;stroke:var(--p0);stroke-width:2}\n"
                              "h2+.legend{margin-top:6px}.wide td{font-size:12.5px}\n";

/* ------------------------------------------------------------------ text */

static void put_text(FILE *out, const char *text)
{
    for (const char *p = text ? text : "-"; *p; p++) {
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
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc(*p, out);
        }
    }
}

static void put(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For text of our own. */
static void put(FILE *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(out, format, args);
    va_end(args);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void put_number(FILE *out, double value)
{
    if (isfinite(value)) {
        put(out, "%.4g", value);
    } else {
        put(out, "&ndash;");
    }
}

/* ------------------------------------------------------------------ charts */

struct axis {
    double min, max;
    bool log;
    double from, to; /* pixels */
    const char *label;
};

static double at(const struct axis *a, double value)
{
    double share =
        a->log ? log(value / a->min) / log(a->max / a->min) : (value - a->min) / (a->max - a->min);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return a->from + share * (a->to - a->from);
}

/* Widens what was seen so that nothing is on the edge. */
static void settle(struct axis *a)
{
    if (!(a->min <= a->max)) {
        a->min = 0;
        a->max = 1;
    }
    a->log = a->log && a->min > 0;
    if (a->log) {
        double edge = pow(a->max / a->min, 0.06);
        edge = edge < 1.02 ? 1.02 : edge;
        a->min /= edge;
        a->max *= edge;
    } else {
        double edge = (a->max - a->min) * 0.06;
        edge = edge > 0 ? edge : a->max > 0 ? a->max * 0.1 : 1;
        a->max += edge;
        a->min = a->min >= 0 && a->min < 2 * edge ? 0 : a->min - edge;
    }
}

static void see(struct axis *a, double value)
{
    if (isfinite(value)) {
        a->min = value < a->min ? value : a->min;
        a->max = value > a->max ? value : a->max;
    }
}

static double nice(double step)
{
    double power = pow(10, floor(log10(step))), digit = step / power;
    return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

static void tick(FILE *out, const struct axis *a, const struct axis *other, double value, bool is_x)
{
    double p = at(a, value);
    if (is_x) {
        put(out,
            "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.4g</text>",
            p, p, other->to, other->from, p, other->from + 15, value);
    } else {
        put(out,
            "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>",
            other->from, other->to, p, p, other->from - 6, p + 4, value);
    }
}

static void ticks(FILE *out, const struct axis *a, const struct axis *other, bool is_x)
{
    if (a->log && a->max / a->min > 30) {
        double decades = ceil(log10(a->max / a->min) / (TICKS + 1));
        for (double v = pow(10, ceil(log10(a->min))); v <= a->max; v *= pow(10, decades)) {
            tick(out, a, other, v, is_x);
        }
        return;
    }
    double step = nice((a->max - a->min) / TICKS);
    for (double v = ceil(a->min / step) * step; v <= a->max; v += step) {
        tick(out, a, other, fabs(v) < step / 1e6 ? 0 : v, is_x);
    }
}

static void chart_begin(FILE *out, struct axis *x, struct axis *y, int width, int height,
                        const char *title)
{
    x->from = 54;
    x->to = width - 14;
    y->from = height - 38;
    y->to = 12;
    put(out, "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", width, height);
    put_text(out, title);
    put(out, "\">");
    ticks(out, x, y, true);
    ticks(out, y, x, false);
    put(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x->from,
        x->to, y->from, y->from);
    put(out, "<text class=\"ink\" x=\"%.1f\" y=\"%d\" text-anchor=\"end\">", x->to, height - 6);
    put_text(out, x->label);
    put(out, "</text><text class=\"ink\" x=\"4\" y=\"%d\">", height - 6);
    put_text(out, y->label);
    put(out, " &uarr;</text>");
}

static void put_values(FILE *out, const json_t *values)
{
    const char *name;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)values, name, value)
    {
        put(out, "%s", first ? "" : ", ");
        put_text(out, name);
        put(out, " ");
        put_text(out, json_string_value(value));
        first = false;
    }
}

static void dot(FILE *out, const struct axis *x, const struct axis *y, double vx, double vy,
                double radius, const char *class, const json_t *eval)
{
    if (!isfinite(vx) || !isfinite(vy)) {
        return;
    }
    put(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" class=\"%s\"><title>", at(x, vx),
        at(y, vy), radius, class);
    put_values(out, json_object_get(eval, "values"));
    put(out, ": %.4g, %.4g</title></circle>", vx, vy);
}

/* ------------------------------------------------------------------ sections */

static void card_begin(FILE *out, const char *id, const char *title, const char *about)
{
    put(out, "<section class=\"card\" id=\"%s\"><h2>%s</h2><p class=\"about\">%s</p>\n", id, title,
        about);
}

static void put_list(FILE *out, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        put(out, "%s", i ? ", " : "");
        put_text(out, json_string_value(item));
    }
}

static void chip(FILE *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void chip(FILE *out, const char *name, const char *format, ...)
{
    va_list args;
    put(out, "<span class=\"chip\">%s <b>", name);
    va_start(args, format);
    (void)vfprintf(out, format, args);
    va_end(args);
    put(out, "</b></span>\n");
}

static void head(FILE *out, const json_t *study)
{
    const json_t *policy = json_object_get(study, "policy");
    put(out, "<header><p class=\"kind\">shunt tune &middot; parameter search</p><h1>");
    put_text(out, text_of(policy, "reference"));
    put(out, "</h1><div class=\"chips\">\n<span class=\"chip\">objective <b>");
    put_list(out, json_object_get(study, "objective"));
    put(out, "</b></span>\n");
    if (json_array_size(json_object_get(study, "subject")) > 0) {
        put(out, "<span class=\"chip\">subject to <b>");
        put_list(out, json_object_get(study, "subject"));
        put(out, "</b></span>\n");
    }
    chip(out, "budget", "%.0f", number_of(study, "budget"));
    chip(out, "spent", "%.1f", number_of(study, "spent"));
    chip(out, "candidates", "%.0f", number_of(study, "candidates"));
    chip(out, "seed", "%.0f", number_of(study, "seed"));
    if (!json_is_true(json_object_get(json_object_get(study, "chosen"), "feasible"))) {
        put(out, "<span class=\"chip warn\"><b>no candidate meets the conditions</b></span>\n");
    }
    put(out, "</div><nav aria-label=\"Sections\"><a href=\"#choice\">Choice</a>"
             "<a href=\"#parameters\">Parameters</a><a href=\"#screening\">Screening</a>"
             "<a href=\"#values\">Values</a><a href=\"#front\">Trade-offs</a>"
             "<a href=\"#course\">Course</a><a href=\"#tried\">Tried</a>"
             "<a href=\"#source\">Source</a></nav></header>\n");
}

static const char *const labels[TUNE_OBJECTIVES] = {
    [TUNE_MEAN] = "mean wait, s",
    [TUNE_P99] = "p99 wait, s",
    [TUNE_WORK] = "work per second",
    [TUNE_JAIN] = "fairness (Jain)",
    [TUNE_SWITCH] = "share of time switching",
};

static const char *label_of(const char *objective)
{
    for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
        if (objective && strcmp(objective, tune_objective_name(k)) == 0) {
            return labels[k];
        }
    }
    return "";
}

static void choice_rows(FILE *out, const char *name, const json_t *start, const json_t *chosen)
{
    put(out, "<tr class=\"head\"><th colspan=\"4\" class=\"name\">");
    put_text(out, name);
    put(out, "</th></tr>\n");
    for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
        double a = number_of(start, tune_objective_name(k));
        double b = number_of(chosen, tune_objective_name(k));
        put(out, "<tr><th scope=\"row\">%s</th><td>", labels[k]);
        put_number(out, a);
        put(out, "</td><td>");
        put_number(out, b);
        put(out, "</td><td>");
        put_number(out, b / a);
        put(out, "</td></tr>\n");
    }
}

static void choice(FILE *out, const json_t *study)
{
    const json_t *chosen = json_object_get(study, "chosen");
    const json_t *paired = json_object_get(chosen, "paired");
    size_t i;
    json_t *item;
    card_begin(out, "choice", "Choice",
               "The values chosen against those the search started from, on the same arrivals. "
               "Several scenarios count by the geometric mean of their ratios.");
    put(out, "<p>");
    put_values(out, json_object_get(chosen, "values"));
    put(out, "</p>\n<p class=\"about\">Compared on ");
    put_text(out, text_of(chosen, "judged_on"));
    put(out,
        ": better in %.0f and worse in %.0f of %.0f stretches (one-sided sign test, p = "
        "%.2g).%s</p>\n",
        number_of(paired, "better"), number_of(paired, "worse"), number_of(paired, "stretches"),
        number_of(paired, "p"),
        number_of(paired, "p") > 0.05
            ? " That may be chance: more scenarios, arrivals or seeds would tell."
            : "");
    put(out, "<div class=\"scroll\"><table><thead><tr><th></th><th>start</th><th>chosen</th>"
             "<th>chosen / start</th></tr></thead><tbody>\n");
    json_array_foreach(json_object_get(chosen, "by_scenario"), i, item)
    {
        choice_rows(out, text_of(item, "scenario"), json_object_get(item, "start"),
                    json_object_get(item, "chosen"));
    }
    put(out, "</tbody></table></div></section>\n");
}

static void put_effect(FILE *out, double value)
{
    if (isfinite(value)) {
        put(out, "%.3f", value);
    } else {
        put(out, "&ndash;");
    }
}

static void parameters(FILE *out, const json_t *study)
{
    size_t i;
    json_t *p;
    card_begin(out, "parameters", "Parameters",
               "Good: the range among all candidates run at full length that are within 5 % of the "
               "best. Effect (mu*) and spread (sigma) are of the logarithm of the objective, over "
               "the whole range of the parameter: an effect of 0.1 is about 10 %.");
    put(out, "<div class=\"scroll\"><table><thead><tr><th>parameter</th><th>start</th>"
             "<th>chosen</th><th>good</th><th>range</th><th>effect</th><th>spread</th>"
             "<th>matters</th></tr></thead><tbody>\n");
    json_array_foreach(json_object_get(study, "parameters"), i, p)
    {
        const json_t *matters = json_object_get(p, "matters");
        put(out, "<tr><th scope=\"row\"><span class=\"name\" title=\"");
        put_text(out, text_of(p, "doc"));
        put(out, "\">");
        put_text(out, text_of(p, "name"));
        put(out, "</span> <span class=\"pm\">");
        put_text(out, text_of(p, "unit"));
        put(out, "</span></th><td>");
        put_text(out, text_of(p, "start"));
        put(out, "</td><td class=\"best\">");
        put_text(out, text_of(p, "chosen"));
        put(out, "</td><td>");
        put_text(out, text_of(p, "good_min"));
        put(out, " &hellip; ");
        put_text(out, text_of(p, "good_max"));
        put(out, "</td><td>");
        put_text(out, text_of(p, "min"));
        put(out, " &hellip; ");
        put_text(out, text_of(p, "max"));
        put(out, "</td><td>");
        put_effect(out, number_of(p, "mu_star"));
        put(out, "</td><td>");
        put_effect(out, number_of(p, "sigma"));
        put(out, "</td><td>%s%s</td></tr>\n",
            json_is_true(json_object_get(p, "at_end")) && !json_is_false(matters)
                ? "<span class=\"pm\">at the end of its range</span> "
                : "",
            json_is_true(matters)    ? "<span class=\"yes\">yes</span>"
            : json_is_false(matters) ? "<span class=\"no\">no</span>"
                                     : "not screened");
    }
    put(out, "</tbody></table></div></section>\n");
}

static void screening(FILE *out, const json_t *study)
{
    struct axis x = {.min = 0, .max = 0, .label = "effect, mu*"};
    struct axis y = {.min = 0, .max = 0, .label = "spread, sigma"};
    const json_t *list = json_object_get(study, "parameters");
    size_t i;
    json_t *p;
    card_begin(out, "screening", "Screening",
               "Morris screening in short runs. Right: the parameter matters. Up: its effect is "
               "bent, or depends on other parameters. Close to the origin: it can stay where it "
               "is; the simplex search left it there, and it has no name here.");
    if (number_of(study, "walks") < 1) {
        put(out, "<p>The budget was too small for a screening; no parameter was left out.</p>"
                 "</section>\n");
        return;
    }
    json_array_foreach((json_t *)(uintptr_t)list, i, p)
    {
        see(&x, number_of(p, "mu_star"));
        see(&y, number_of(p, "sigma"));
    }
    settle(&x);
    settle(&y);
    chart_begin(out, &x, &y, WIDE, HIGH, "Morris screening: effect and spread of each parameter");
    json_array_foreach((json_t *)(uintptr_t)list, i, p)
    {
        double mu = number_of(p, "mu_star"), sigma = number_of(p, "sigma");
        bool end = at(&x, mu) > WIDE * 0.7, matters = json_is_true(json_object_get(p, "matters"));
        put(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" class=\"%s\"/>", at(&x, mu),
            at(&y, sigma), matters ? "full" : "dead");
        if (!matters) {
            continue; /* they lie on top of one another; the table has them */
        }

        put(out, "<text class=\"ink\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
            at(&x, mu) + (end ? -9 : 9), at(&y, sigma) + 4, end ? "end" : "start");
        put_text(out, text_of(p, "name"));
        put(out, "</text>");
    }
    put(out, "</svg></section>\n");
}

/* What a parameter's text stands at on an axis: choices by their place in the list seen. */
static double coordinate(const json_t *values, const char *name)
{
    const char *text = text_of(values, name);
    char *end = NULL;
    double value = text ? strtod(text, &end) : (double)NAN;
    if (text && end == text) {
        value = strcmp(text, "true") == 0 ? 1 : strcmp(text, "false") == 0 ? 0 : (double)NAN;
    }
    return value;
}

static void one_parameter(FILE *out, const json_t *study, const json_t *parameter,
                          const char *objective)
{
    const char *name = text_of(parameter, "name");
    const char *scale = text_of(parameter, "scale");
    struct axis x = {.min = (double)INFINITY,
                     .max = -(double)INFINITY,
                     .log = scale && strcmp(scale, "log") == 0,
                     .label = name};
    struct axis y = {
        .min = (double)INFINITY, .max = -(double)INFINITY, .log = true, .label = "loss / start's"};
    const json_t *tried = json_object_get(study, "tried");
    size_t i;
    json_t *eval;
    json_array_foreach((json_t *)(uintptr_t)tried, i, eval)
    {
        see(&x, coordinate(json_object_get(eval, "values"), name));
        see(&y, number_of(json_object_get(eval, "ratio"), objective));
    }
    put(out, "<div class=\"panel\"><h3 class=\"name\">");
    put_text(out, name);
    put(out, "</h3>");
    if (x.min > x.max) {
        put(out, "<p class=\"note\">A choice; see the table of what was tried.</p></div>\n");
        return;
    }
    settle(&x);
    settle(&y);
    chart_begin(out, &x, &y, SMALL_WIDE, SMALL_HIGH, name ? name : "");
    double low =
        strtod(text_of(parameter, "good_min") ? text_of(parameter, "good_min") : "0", NULL);
    double high =
        strtod(text_of(parameter, "good_max") ? text_of(parameter, "good_max") : "0", NULL);
    put(out, "<rect class=\"good\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
        at(&x, low), y.to, at(&x, high) - at(&x, low) + 1, y.from - y.to);
    put(out, "<line class=\"one\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x.from, x.to,
        at(&y, 1), at(&y, 1));
    for (int full = 0; full < 2; full++) {
        json_array_foreach((json_t *)(uintptr_t)tried, i, eval)
        {
            if ((number_of(eval, "share") >= 1) == (full == 1)) {
                dot(out, &x, &y, coordinate(json_object_get(eval, "values"), name),
                    number_of(json_object_get(eval, "ratio"), objective), full ? 3.5 : 2.5,
                    full ? "full" : "short", eval);
            }
        }
    }
    const json_t *chosen = json_object_get(study, "chosen");
    dot(out, &x, &y, coordinate(json_object_get(chosen, "values"), name),
        number_of(json_object_get(chosen, "ratio"), objective), 5, "chosen", chosen);
    put(out, "</svg></div>\n");
}

static void values(FILE *out, const json_t *study)
{
    const char *objective =
        json_string_value(json_array_get(json_object_get(study, "objective"), 0));
    size_t i;
    json_t *p;
    card_begin(out, "values", "Values",
               "Everything tried, one drawing for each parameter: down is better, 1 the start. "
               "The band is the good range. Other parameters vary along, so a cloud without shape "
               "means that this one decides little.");
    put(out,
        "<div class=\"legend\"><span><i class=\"swatch\" style=\"background:var(--p0)\"></i>full "
        "length</span><span><i class=\"swatch\" style=\"background:var(--faint)\"></i>shorter "
        "runs</span><span><i class=\"swatch\" style=\"background:var(--p1)\"></i>chosen</span>"
        "</div>\n<div class=\"panels\">\n");
    json_array_foreach(json_object_get(study, "parameters"), i, p)
    {
        one_parameter(out, study, p, objective);
    }
    put(out, "</div></section>\n");
}

static bool is_in(const json_t *list, const json_t *eval)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        if (json_equal(json_object_get(item, "values"), json_object_get(eval, "values"))) {
            return true;
        }
    }
    return false;
}

static void eval_rows(FILE *out, const json_t *list, size_t most)
{
    size_t i;
    json_t *eval;
    put(out,
        "<div class=\"scroll\"><table class=\"wide\"><thead><tr><th>values</th><th>length</th>");
    for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
        put(out, "<th>%s</th>", labels[k]);
    }
    put(out, "</tr></thead><tbody>\n");
    json_array_foreach((json_t *)(uintptr_t)list, i, eval)
    {
        if (i == most) {
            break;
        }
        put(out, "<tr><th scope=\"row\">");
        put_values(out, json_object_get(eval, "values"));
        put(out, "</th><td>%.3g%s</td>", number_of(eval, "share"),
            json_is_true(json_object_get(eval, "fresh")) ? ", fresh seeds" : "");
        for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
            put(out, "<td>");
            put_number(out, number_of(json_object_get(eval, "figures"), tune_objective_name(k)));
            put(out, "</td>");
        }
        put(out, "</tr>\n");
    }
    put(out, "</tbody></table></div>\n");
}

static void front(FILE *out, const json_t *study)
{
    const json_t *of = json_object_get(study, "front");
    const json_t *points = json_object_get(of, "points"), *tried = json_object_get(study, "tried");
    const json_t *names = json_object_get(of, "objectives");
    const char *first = json_string_value(json_array_get(names, 0));
    const char *second = json_string_value(json_array_get(names, 1));
    struct axis x = {
        .min = (double)INFINITY, .max = -(double)INFINITY, .log = true, .label = label_of(first)};
    struct axis y = {
        .min = (double)INFINITY, .max = -(double)INFINITY, .log = true, .label = label_of(second)};
    size_t i;
    json_t *eval;
    card_begin(out, "front", "Trade-offs",
               "The non-dominated set: nothing that was run at full length is as good in every "
               "objective and better in one. Nothing is weighed; take what suits, or say the "
               "condition with --subject.");
    put(out, "<p class=\"about\">Objectives: ");
    put_list(out, names);
    put(out,
        ". Hypervolume %.4f of the box up to twice the start's figures; of the start alone "
        "%.4f.</p>\n",
        number_of(of, "hypervolume"), number_of(of, "hypervolume_start"));
    json_array_foreach((json_t *)(uintptr_t)tried, i, eval)
    {
        if (second && number_of(eval, "share") >= 1) {
            see(&x, number_of(json_object_get(eval, "figures"), first));
            see(&y, number_of(json_object_get(eval, "figures"), second));
        }
    }
    if (second && x.min <= x.max && y.min <= y.max) {
        settle(&x);
        settle(&y);
        chart_begin(out, &x, &y, WIDE, HIGH, "Candidates at full length by two objectives");
        json_array_foreach((json_t *)(uintptr_t)tried, i, eval)
        {
            if (number_of(eval, "share") >= 1 && !json_is_true(json_object_get(eval, "fresh"))) {
                bool in = is_in(points, eval);
                dot(out, &x, &y, number_of(json_object_get(eval, "figures"), first),
                    number_of(json_object_get(eval, "figures"), second), in ? 5 : 3,
                    in ? "full" : "short", eval);
            }
        }
        put(out, "</svg>\n");
    }
    eval_rows(out, points, json_array_size(points));
    put(out, "</section>\n");
}

/* The best at full length so far, against what was spent. */
static void course(FILE *out, const json_t *study)
{
    const char *objective =
        json_string_value(json_array_get(json_object_get(study, "objective"), 0));
    const json_t *tried = json_object_get(study, "tried");
    struct axis x = {.min = 0, .max = number_of(study, "spent"), .label = "budget spent"};
    struct axis y = {.min = 1, .max = 1, .log = true, .label = "loss / start's"};
    size_t i;
    json_t *eval;
    double best = (double)INFINITY;
    card_begin(out, "course", "Course",
               "The best that meets the conditions, among those run at full length, as the budget "
               "was spent: flat at the end means that more of it would gain little.");
    for (int pass = 0; pass < 2; pass++) {
        best = (double)INFINITY;
        if (pass == 1) {
            settle(&x);
            settle(&y);
            chart_begin(out, &x, &y, WIDE, HIGH, "Best so far against budget spent");
            put(out, "<line class=\"one\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                x.from, x.to, at(&y, 1), at(&y, 1));
            put(out, "<path class=\"step\" d=\"");
        }
        json_array_foreach((json_t *)(uintptr_t)tried, i, eval)
        {
            double ratio = number_of(json_object_get(eval, "ratio"), objective);
            if (number_of(eval, "share") < 1 || json_is_true(json_object_get(eval, "fresh")) ||
                number_of(eval, "excess") > 0 || !(ratio < best)) {
                continue;
            }
            see(&y, ratio);
            if (pass == 1) {
                double px = at(&x, number_of(eval, "spent"));
                put(out, isfinite(best) ? "H%.1fV%.1f" : "M%.1f %.1f", px, at(&y, ratio));
            }
            best = ratio;
        }
    }
    put(out, isfinite(best) ? "H%.1f\"/></svg></section>\n" : "M%.1f 0\"/></svg></section>\n",
        x.to);
}

/* By length, then by the objective: indices into the array. */
static json_t *best_first(const json_t *study)
{
    const char *objective =
        json_string_value(json_array_get(json_object_get(study, "objective"), 0));
    json_t *sorted = json_array();
    size_t i;
    json_t *eval;
    json_array_foreach(json_object_get(study, "tried"), i, eval)
    {
        size_t to = json_array_size(sorted);
        double ratio = number_of(json_object_get(eval, "ratio"), objective);
        if (number_of(eval, "share") < 1 || json_is_true(json_object_get(eval, "fresh"))) {
            continue;
        }
        while (to > 0 && ratio < number_of(json_object_get(json_array_get(sorted, to - 1), "ratio"),
                                           objective)) {
            to--;
        }
        (void)json_array_insert(sorted, to, eval);
    }
    return sorted;
}

static void source(FILE *out, const json_t *study)
{
    const json_t *policy = json_object_get(study, "policy");
    size_t i, k;
    json_t *scenario, *note, *trace;
    card_begin(out, "source", "Source", "The same budget and seed give the same search.");
    put(out, "<dl><dt>shunt</dt><dd>");
    put_text(out, text_of(study, "shunt_version"));
    put(out, "</dd><dt>policy</dt><dd>");
    put_text(out, text_of(policy, "name"));
    put(out, " ");
    put_text(out, text_of(policy, "version"));
    put(out, " <code>");
    put_text(out, text_of(policy, "hash"));
    put(out, "</code></dd>");
    json_array_foreach(json_object_get(study, "scenarios"), i, scenario)
    {
        put(out, "<dt>scenario</dt><dd>");
        put_text(out, text_of(scenario, "name"));
        put(out, " (");
        put_text(out, text_of(scenario, "label"));
        put(out, ") <code>");
        put_text(out, text_of(scenario, "sha256"));
        put(out, "</code>");
        json_array_foreach(json_object_get(scenario, "tuned_on"), k, note)
        {
            put(out, "<br>");
            put_text(out, json_string_value(note));
        }
        json_array_foreach(json_object_get(scenario, "traces"), k, trace)
        {
            const char *file = text_of(trace, "file");
            put(out, "<br>");
            put_text(out, file && strrchr(file, '/') ? strrchr(file, '/') + 1 : file);
            put(out, " <code>");
            put_text(out, text_of(trace, "sha256"));
            put(out, "</code>");
        }
        put(out, "</dd>");
    }
    put(out,
        "<dt>lengths</dt><dd>%.4g, %.4g and 1 of the arrivals for %.0f, %.0f and %.0f "
        "candidates; %.0f walks of screening</dd></dl></section>\n",
        json_number_value(json_array_get(json_object_get(study, "shares"), 0)),
        json_number_value(json_array_get(json_object_get(study, "shares"), 1)),
        json_number_value(json_array_get(json_object_get(study, "rungs"), 0)),
        json_number_value(json_array_get(json_object_get(study, "rungs"), 1)),
        json_number_value(json_array_get(json_object_get(study, "rungs"), 2)),
        number_of(study, "walks"));
}

int tune_page_write(FILE *out, const json_t *study)
{
    json_t *sorted = best_first(study);
    put(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<meta name=\"color-scheme\" content=\"light dark\">\n"
             "<meta name=\"generator\" content=\"shunt tune\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "style-src 'unsafe-inline'\">\n<title>");
    put_text(out, text_of(json_object_get(study, "policy"), "reference"));
    put(out, " &middot; shunt tune</title>\n<style>\n");
    (void)fwrite(report_css, 1, report_css_size, out);
    put(out, "%s</style>\n</head>\n<body>\n<main id=\"report\">\n", own_css);
    head(out, study);
    choice(out, study);
    parameters(out, study);
    screening(out, study);
    values(out, study);
    front(out, study);
    course(out, study);
    card_begin(out, "tried", "Tried", "The best of those run at full length.");
    eval_rows(out, sorted, TRIED_SHOWN);
    put(out, "</section>\n");
    source(out, study);
    put(out, "</main>\n</body>\n</html>\n");
    json_decref(sorted);
    return fflush(out) || ferror(out) ? -EIO : 0;
}
