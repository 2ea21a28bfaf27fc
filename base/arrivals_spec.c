/*
 * Specs of arrivals: what is asked for, checked and described. Nothing is drawn or read here.
 */
#include "base/arrivals_priv.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[ARRIVALS_KINDS] = {
    [ARRIVALS_POISSON] = "poisson",   [ARRIVALS_TRACE] = "trace",
    [ARRIVALS_LIST] = "list",         [ARRIVALS_FITTED] = "fitted",
    [ARRIVALS_GAMMA] = "gamma",       [ARRIVALS_WEIBULL] = "weibull",
    [ARRIVALS_CONSTANT] = "constant", [ARRIVALS_ONOFF] = "onoff",
    [ARRIVALS_DIURNAL] = "diurnal",   [ARRIVALS_SPIKE] = "spike",
    [ARRIVALS_SESSIONS] = "sessions",
};

static const char *const class_names[ARRIVALS_CLASSES] = {
    [ARRIVALS_STANDARD] = "standard",     [ARRIVALS_CRITICAL] = "critical",
    [ARRIVALS_BATCH] = "batch",           [ARRIVALS_SHEDDABLE] = "sheddable",
    [ARRIVALS_BACKGROUND] = "background",
};

const char *arrivals_kind_name(enum arrivals_kind kind)
{
    return (unsigned)kind < ARRIVALS_KINDS ? kind_names[kind] : NULL;
}

const char *arrivals_class_name(uint32_t service_class)
{
    return service_class < ARRIVALS_CLASSES ? class_names[service_class] : NULL;
}

const char *arrivals_fit_name(enum arrivals_fit fit)
{
    return (unsigned)fit < ARRIVALS_FITS ? arrivals_fits[fit].name : NULL;
}

void arrivals_spec_fini(struct arrivals_spec *spec)
{
    if (!spec) {
        return;
    }
    for (size_t i = 0; i < spec->models_len; i++) {
        free(spec->models[i]);
    }
    for (size_t i = 0; i < spec->sources_len; i++) {
        struct arrivals_source *s = &spec->sources[i];
        for (size_t k = 0; k < sizeof s->points / sizeof *s->points; k++) {
            free(s->points[k]);
        }
        free(s->path);
        free(s->map);
        free(s->shares);
        free(s->jobs);
    }
    free(spec->sources);
    *spec = (struct arrivals_spec){0};
}

int arrivals_model(struct arrivals_spec *spec, const char *name, uint32_t *ret_model)
{
    for (size_t i = 0; i < spec->models_len; i++) {
        if (strcmp(spec->models[i], name) == 0) {
            *ret_model = (uint32_t)i;
            return 0;
        }
    }
    if (spec->models_fixed) {
        return -ENOENT;
    }
    if (spec->models_len == ARRIVALS_MODELS_MAX) {
        return -E2BIG;
    }
    char *copy = strdup(name);
    if (!copy) {
        return -ENOMEM;
    }
    spec->models[spec->models_len] = copy;
    *ret_model = (uint32_t)spec->models_len++;
    return 0;
}

int arrivals_source_add(struct arrivals_spec *spec, enum arrivals_kind kind,
                        struct arrivals_source **ret_source)
{
    if (spec->sources_len == ARRIVALS_SOURCES_MAX) {
        return -E2BIG;
    }
    struct arrivals_source *grown =
        reallocarray(spec->sources, spec->sources_len + 1, sizeof *grown);
    if (!grown) {
        return -ENOMEM;
    }
    spec->sources = grown;
    struct arrivals_source *source = &grown[spec->sources_len++];
    *source = (struct arrivals_source){.kind = kind, .model = -1, .stretch = 1, .period_s = 86400};
    *ret_source = source;
    return 0;
}

int arrivals_fitted(struct arrivals_spec *spec, enum arrivals_fit fit, const char *model)
{
    uint32_t number;
    struct arrivals_source *source;
    int rc = arrivals_model(spec, model, &number);
    if (rc == 0) {
        rc = arrivals_source_add(spec, ARRIVALS_FITTED, &source);
    }
    if (rc) {
        return rc;
    }
    source->model = number;
    source->fit = fit;
    return 0;
}

int arrivals_set_part(struct arrivals_spec *spec, enum arrivals_part part, char *err,
                      size_t err_size)
{
    for (size_t i = 0; i < spec->sources_len; i++) {
        const struct arrivals_source *s = &spec->sources[i];
        if (s->kind == ARRIVALS_TRACE && part != ARRIVALS_ALL && !s->tune_until.set) {
            (void)snprintf(err, err_size,
                           "arrivals[%zu]: the trace %s has no parts to take: say `tune_until:`", i,
                           s->path);
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < spec->sources_len; i++) {
        if (spec->sources[i].kind == ARRIVALS_TRACE) {
            spec->sources[i].part = part;
        }
    }
    return 0;
}

void arrivals_scale_rate(struct arrivals_spec *spec, double factor)
{
    assert(factor > 0);
    for (size_t i = 0; i < spec->sources_len; i++) {
        struct arrivals_source *s = &spec->sources[i];
        if (s->kind != ARRIVALS_SESSIONS) {
            s->stretch /= factor;
        } else if (s->population > 0) {
            double people = (double)s->population * factor + 0.5;
            s->population = people < 1                       ? 1
                            : people > ARRIVALS_SESSIONS_MAX ? ARRIVALS_SESSIONS_MAX
                                                             : (uint64_t)people;
        } else {
            s->rate_per_s *= factor;
        }
    }
}

bool arrivals_endless(const struct arrivals_source *s)
{
    if (s->kind == ARRIVALS_SESSIONS && s->population > 0) {
        return s->rounds.kind == DIST_NONE;
    }
    return s->kind != ARRIVALS_TRACE && s->kind != ARRIVALS_LIST;
}

bool arrivals_closed(const struct arrivals_spec *spec)
{
    for (size_t i = 0; i < spec->sources_len; i++) {
        if (spec->sources[i].kind == ARRIVALS_SESSIONS) {
            return true;
        }
    }
    return false;
}

static const char *part_text(const struct arrivals_source *s)
{
    return s->part == ARRIVALS_TUNE    ? ", part tune"
           : s->part == ARRIVALS_SCORE ? ", part score"
                                       : "";
}

void arrivals_describe(const struct arrivals_spec *spec, size_t source, char *text, size_t size)
{
    const struct arrivals_source *s = &spec->sources[source];
    const char *model = s->model >= 0 ? spec->models[s->model] : "models by row";
    switch (s->kind) {
    case ARRIVALS_POISSON:
        (void)snprintf(text, size, "%s: drawn, Poisson with %g requests/s", model, s->rate_per_s);
        return;
    case ARRIVALS_TRACE:
        (void)snprintf(text, size, "%s: trace %s, stretch %g%s%s", model, s->path, s->stretch,
                       part_text(s), s->shares_len ? ", models drawn by row" : "");
        return;
    case ARRIVALS_LIST:
        (void)snprintf(text, size, "%s: a list of %zu requests", model, s->jobs_len);
        return;
    case ARRIVALS_FITTED:
        (void)snprintf(text, size,
                       "%s: drawn, fitted to the published statistics of %s (not a trace), "
                       "stretch %g",
                       model, arrivals_fits[s->fit].doc, s->stretch);
        return;
    case ARRIVALS_GAMMA:
    case ARRIVALS_WEIBULL:
        (void)snprintf(text, size, "%s: drawn, %s gaps, %g requests/s", model, kind_names[s->kind],
                       s->rate_per_s);
        return;
    case ARRIVALS_CONSTANT:
        (void)snprintf(text, size, "%s: one every %g s", model, 1 / s->rate_per_s);
        return;
    case ARRIVALS_ONOFF:
        (void)snprintf(text, size, "%s: drawn, Poisson modulated by %zu states", model,
                       s->states_len);
        return;
    case ARRIVALS_DIURNAL:
        (void)snprintf(text, size, "%s: drawn, Poisson with %g requests/s in the mean, period %g s",
                       model, s->rate_per_s, s->period_s);
        return;
    case ARRIVALS_SPIKE:
        (void)snprintf(text, size, "%s: drawn, Poisson with %g requests/s, %g times that for %g s",
                       model, s->rate_per_s, s->factor, s->duration_s);
        return;
    case ARRIVALS_SESSIONS:
        if (s->population > 0) {
            (void)snprintf(text, size, "%s: %llu closed-loop sessions", model,
                           (unsigned long long)s->population);
        } else {
            (void)snprintf(text, size, "%s: closed-loop sessions, %g begin a second", model,
                           s->rate_per_s);
        }
        return;
    case ARRIVALS_KINDS:
        break;
    }
    assert(false);
}

/* --- What a source must satisfy --- */

static bool is_within(double value, double min, double max)
{
    return value >= min && value <= max;
}

static const char *check_attributes(const struct arrivals_source *s)
{
    const char *wrong = dist_check(&s->service_s);
    wrong = wrong ? wrong : dist_check(&s->input_tokens);
    wrong = wrong ? wrong : dist_check(&s->output_tokens);
    if (wrong || !s->classes) {
        return wrong;
    }
    double sum = 0;
    for (size_t i = 0; i < ARRIVALS_CLASSES; i++) {
        if (!is_within(s->class_share[i], 0, 1)) {
            return "the shares of classes must be from 0 to 1";
        }
        sum += s->class_share[i];
    }
    return fabs(sum - 1) > 1e-9 ? "the shares of classes must sum to 1" : NULL;
}

static const char *check_states(const struct arrivals_source *s)
{
    double arrivals = 0;
    if (s->states_len < 2 || s->states_len > ARRIVALS_STATES_MAX) {
        return "onoff has 2 to 16 states";
    }
    for (size_t i = 0; i < s->states_len; i++) {
        if (!is_within(s->states[i].rate_per_s, 0, 1e7) ||
            !is_within(s->states[i].mean_s, 1e-6, 1e9)) {
            return "a state needs rate_per_s from 0 to 1e7 and mean_s from 1e-6 to 1e9";
        }
        arrivals += s->states[i].rate_per_s * s->states[i].mean_s;
    }
    return arrivals < 1e-3 ? "the states give fewer than one request in a thousand rounds" : NULL;
}

static const char *check_spike(const struct arrivals_source *s)
{
    if (!is_within(s->factor, 0, 1e6) || !is_within(s->at_s, 0, 1e9) ||
        !(s->duration_s > 0 && s->duration_s <= 1e9)) {
        return "a spike needs factor and at_s of 0 or more and duration_s above 0";
    }
    if (fabs(s->every_s) > 0 && !(s->every_s > s->duration_s && s->every_s <= 1e9)) {
        return "every_s must be above duration_s";
    }
    return s->every_s > 0 && s->every_s * s->rate_per_s < 1e-3
               ? "the spikes come a thousand times as often as requests"
               : NULL;
}

static const char *check_sessions(const struct arrivals_source *s)
{
    const char *wrong = dist_check(&s->rounds);
    wrong = wrong ? wrong : dist_check(&s->think_s);
    if (wrong) {
        return wrong;
    }
    if (s->population > ARRIVALS_SESSIONS_MAX) {
        return "population is at most 1000000";
    }
    if (s->think_s.kind == DIST_NONE) {
        return "sessions need think_s";
    }
    if (s->population == 0 && s->rounds.kind == DIST_NONE) {
        return "sessions that begin at a rate need rounds";
    }
    return NULL;
}

static const char *check_gaps(const struct arrivals_source *s)
{
    struct dist gap = {.kind = s->kind == ARRIVALS_GAMMA ? DIST_GAMMA : DIST_WEIBULL,
                       .mean = 1 / s->rate_per_s,
                       .cv = s->cv,
                       .shape = s->shape};
    return dist_check(&gap);
}

static const char *check_trace(const struct arrivals_source *s)
{
    if (s->model >= 0 && s->shares_len > 0) {
        return "`model` and `assign` exclude one another";
    }
    if (s->model < 0 && s->shares_len == 0 && s->format.model[0] == '\0') {
        return "the trace has no model column: say `model:` or `assign:`";
    }
    if (s->part != ARRIVALS_ALL && !s->tune_until.set) {
        return "`part` needs `tune_until`, where the trace is cut";
    }
    return NULL;
}

const char *arrivals_source_check(const struct arrivals_source *s)
{
    if (!is_within(s->stretch, 1e-9, 1e9)) {
        return "stretch must be from 1e-9 to 1e9";
    }
    bool has_rate = s->kind != ARRIVALS_TRACE && s->kind != ARRIVALS_LIST &&
                    s->kind != ARRIVALS_FITTED && s->kind != ARRIVALS_ONOFF && s->population == 0;
    if (has_rate && !(s->rate_per_s > 0 && s->rate_per_s <= 1e7)) {
        return "rate_per_s must be above 0 and at most 1e7";
    }
    const char *wrong = check_attributes(s);
    if (wrong) {
        return wrong;
    }
    switch (s->kind) {
    case ARRIVALS_TRACE:
        return check_trace(s);
    case ARRIVALS_GAMMA:
    case ARRIVALS_WEIBULL:
        return check_gaps(s);
    case ARRIVALS_ONOFF:
        return check_states(s);
    case ARRIVALS_DIURNAL:
        return is_within(s->amplitude, 0, 1) && is_within(s->period_s, 1e-3, 1e9) &&
                       is_within(s->peak_s, 0, 1e9)
                   ? NULL
                   : "diurnal needs amplitude from 0 to 1 and a period_s from 0.001 to 1e9";
    case ARRIVALS_SPIKE:
        return check_spike(s);
    case ARRIVALS_SESSIONS:
        return check_sessions(s);
    case ARRIVALS_POISSON:
    case ARRIVALS_CONSTANT:
    case ARRIVALS_LIST:
    case ARRIVALS_FITTED:
    case ARRIVALS_KINDS:
        break;
    }
    return NULL;
}
