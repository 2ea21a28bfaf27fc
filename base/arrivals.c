/*
 * The generator: one state per source that always holds its next request, and a heap over them by
 * (time, number of the source). Nothing here knows what a model costs or how a request is sent.
 */
#include "base/arrivals.h"

#include "base/random.h"
#include "core/fmath.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Streams of one source: stream = source * STREAMS + which. */
enum {
    STREAM_GAP,
    STREAM_SERVICE,
    STREAM_INPUT,
    STREAM_OUTPUT,
    STREAM_PHASE,
    STREAM_START,
    STREAMS
};

/* Times stay below this, so that sums of two never overflow. */
static const int64_t time_max_ns = INT64_MAX / 4;

/* --- Fits --- */

/*
 * Arrivals are a Poisson process whose rate alternates between two values with exponential
 * durations (MMPP-2). For durations 1/a (quiet) and 1/b (busy), theta = a + b, and s2 the variance
 * of the rate, the index of dispersion is
 *     IDC(w) = 1 + 2 s2 / (rate theta) (1 - (1 - exp(-theta w)) / (theta w)).
 * Code: rate 2.567/s, CV 13.15, IDC(1, 10, 60 s) = 13.2, 71.6, 164 published; a silent quiet state
 * with a busy share of 0.17 and theta = 0.145/s gives 13.2, 12.9, 82, 153. Conv: 5.530/s, 1.09,
 * 1.39, 3.86, 16.1 published; equal shares, rates 5.53 -+ 1.47, theta = 0.0255/s give 1.07, 1.39,
 * 4.7, 16.1.
 */
struct fit {
    const char *name, *doc;
    double rate_per_s[2], duration_s[2];
    struct dist input_tokens, output_tokens;
};

static const struct dist_point code_input[] = {{0, 3},     {.1, 147},   {.5, 1469},
                                               {.9, 5188}, {.99, 7436}, {1, 7437}};
static const struct dist_point code_output[] = {{0, 1},   {.1, 7},    {.5, 13},
                                                {.9, 55}, {.99, 252}, {1, 1899}};
static const struct dist_point conv_input[] = {{0, 2},     {.1, 207},   {.5, 1020},
                                               {.9, 2735}, {.99, 4142}, {1, 14050}};
static const struct dist_point conv_output[] = {{0, 1},    {.1, 54},   {.5, 129},
                                                {.9, 424}, {.99, 601}, {1, 1000}};

#define QUANTILES(table)                                                                           \
    {                                                                                              \
        .kind = DIST_EMPIRICAL, .points = (table), .points_len = sizeof(table) / sizeof *(table)   \
    }

static const struct fit fits[ARRIVALS_FITS] = {
    [ARRIVALS_FIT_AZURE_2023_CODE] = {.name = "azure-llm-2023-code",
                                      .doc = "the code service of Azure LLM 2023",
                                      .rate_per_s = {0, 15.1},
                                      .duration_s = {40.57, 8.309},
                                      .input_tokens = QUANTILES(code_input),
                                      .output_tokens = QUANTILES(code_output)},
    [ARRIVALS_FIT_AZURE_2023_CONV] = {.name = "azure-llm-2023-conv",
                                      .doc = "the conversation service of Azure LLM 2023",
                                      .rate_per_s = {4.06, 7.0},
                                      .duration_s = {78.43, 78.43},
                                      .input_tokens = QUANTILES(conv_input),
                                      .output_tokens = QUANTILES(conv_output)},
};

const char *arrivals_fit_name(enum arrivals_fit fit)
{
    return (unsigned)fit < ARRIVALS_FITS ? fits[fit].name : NULL;
}

/* --- Spec --- */

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
        for (size_t k = 0; k < 3; k++) {
            free(s->points[k]);
        }
        free(s->path);
        free(s->map);
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
    *source = (struct arrivals_source){.kind = kind, .model = -1, .stretch = 1};
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

bool arrivals_endless(const struct arrivals_source *source)
{
    return source->kind == ARRIVALS_POISSON || source->kind == ARRIVALS_FITTED;
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
        (void)snprintf(text, size, "%s: trace %s, stretch %g", model, s->path, s->stretch);
        return;
    case ARRIVALS_LIST:
        (void)snprintf(text, size, "%s: a list of %zu requests", model, s->jobs_len);
        return;
    case ARRIVALS_FITTED:
        (void)snprintf(text, size,
                       "%s: drawn, fitted to the published statistics of %s (not a trace), "
                       "stretch %g",
                       model, fits[s->fit].doc, s->stretch);
        return;
    }
    assert(false);
}

/* --- Generator ---------------------------------------------------------------------------------
 */

struct source_state {
    const struct arrivals_source *source;
    uint64_t stream; /* of STREAM_GAP */
    struct arrival next;
    bool have;
    uint64_t index; /* requests given or pending */
    double clock_s; /* poisson, fitted: exact time of the last arrival */
    /* fitted */
    uint64_t phase; /* durations drawn */
    unsigned busy;  /* rate in force */
    double phase_end_s;
    /* trace */
    struct trace_reader *reader;
    struct trace_row row; /* the first, read at creation */
    bool row_pending;
    int64_t origin_ns;      /* of its time axis */
    int64_t from_ns, to_ns; /* rows taken, on the file's clock */
    /* list */
    struct arrivals_job *jobs; /* sorted copy */
};

struct arrivals {
    const struct arrivals_spec *spec;
    struct arrivals_options options;
    struct source_state *sources;
    uint32_t *heap; /* sources with a request, by its time */
    size_t heap_len;
    uint64_t given, dropped;
    int error;
    char error_text[ARRIVALS_ERROR_MAX];
};

__attribute__((format(printf, 3, 4))) static int fail(struct arrivals *a, int error,
                                                      const char *words, ...)
{
    va_list args;
    va_start(args, words);
    (void)vsnprintf(a->error_text, sizeof a->error_text, words, args);
    va_end(args);
    a->error = error;
    return error;
}

static int64_t seconds_to_ns(double seconds)
{
    double ns = seconds * 1e9;
    return ns >= (double)time_max_ns ? time_max_ns : (int64_t)llround(ns);
}

static int64_t sample_count(const struct dist *dist, uint64_t seed, uint64_t stream, uint64_t index)
{
    if (dist->kind == DIST_NONE) {
        return -1;
    }
    double value = dist_sample(dist, seed, stream, index);
    return value < 1 ? 1 : value > 1e9 ? 1000000000 : (int64_t)llround(value);
}

static void drawn_lengths(struct arrivals *a, struct source_state *s, const struct dist *service_s,
                          const struct dist *input, const struct dist *output)
{
    uint64_t seed = a->options.seed, i = s->index;
    s->next.input_tokens = sample_count(input, seed, s->stream + STREAM_INPUT, i);
    s->next.output_tokens = sample_count(output, seed, s->stream + STREAM_OUTPUT, i);
    s->next.service_ns =
        service_s->kind == DIST_NONE
            ? -1
            : seconds_to_ns(dist_sample(service_s, seed, s->stream + STREAM_SERVICE, i));
}

static double unit_gap(struct arrivals *a, struct source_state *s)
{
    return -core_log(random_unit(random_u64(a->options.seed, s->stream + STREAM_GAP, s->index)));
}

static int poisson_next(struct arrivals *a, struct source_state *s)
{
    const struct arrivals_source *source = s->source;
    s->clock_s += unit_gap(a, s) / source->rate_per_s;
    s->next.t_ns = seconds_to_ns(s->clock_s);
    s->next.model = (uint32_t)source->model;
    drawn_lengths(a, s, &source->service_s, &source->input_tokens, &source->output_tokens);
    return 1;
}

/* Each request waits for a unit of work drawn by its index, used up at the rate of the moment. */
static int fitted_next(struct arrivals *a, struct source_state *s)
{
    static const struct dist none = {.kind = DIST_NONE};
    const struct fit *fit = &fits[s->source->fit];
    uint64_t seed = a->options.seed;
    double work = unit_gap(a, s);
    for (;;) {
        double rate = fit->rate_per_s[s->busy], left_s = s->phase_end_s - s->clock_s;
        if (rate * left_s >= work) {
            s->clock_s += work / rate;
            break;
        }
        work -= rate * left_s;
        s->clock_s = s->phase_end_s;
        s->busy ^= 1;
        double unit = random_unit(random_u64(seed, s->stream + STREAM_PHASE, s->phase++));
        s->phase_end_s += -core_log(unit) * fit->duration_s[s->busy];
    }
    s->next.t_ns = seconds_to_ns(s->clock_s * s->source->stretch);
    s->next.model = (uint32_t)s->source->model;
    drawn_lengths(a, s, &none, &fit->input_tokens, &fit->output_tokens);
    return 1;
}

static void fitted_begin(struct arrivals *a, struct source_state *s)
{
    const struct fit *fit = &fits[s->source->fit];
    double busy_share = fit->duration_s[1] / (fit->duration_s[0] + fit->duration_s[1]);
    uint64_t seed = a->options.seed;
    s->busy = random_unit(random_u64(seed, s->stream + STREAM_START, 0)) < busy_share;
    /* Exponential durations have no memory: what is left of the first is one more. */
    double unit = random_unit(random_u64(seed, s->stream + STREAM_PHASE, s->phase++));
    s->phase_end_s = -core_log(unit) * fit->duration_s[s->busy];
}

static int row_read(struct arrivals *a, struct source_state *s)
{
    struct trace_error error;
    int rc = trace_next(s->reader, &s->row, &error);
    if (rc < 0) {
        return fail(a, rc, "%s", error.text);
    }
    s->row_pending = rc == 1;
    return rc;
}

/* 1 and the model, 0 if the row is to be left out. */
static int row_model(struct arrivals *a, struct source_state *s, uint32_t *ret_model)
{
    const struct arrivals_source *source = s->source;
    if (source->model >= 0) {
        *ret_model = (uint32_t)source->model;
        return 1;
    }
    for (size_t i = 0; i < source->map_len; i++) {
        if (strcmp(source->map[i].text, s->row.model) == 0) {
            *ret_model = source->map[i].model;
            return 1;
        }
    }
    for (size_t i = 0; source->map_len == 0 && i < a->spec->models_len; i++) {
        if (strcmp(a->spec->models[i], s->row.model) == 0) {
            *ret_model = (uint32_t)i;
            return 1;
        }
    }
    if (source->drop_unmapped) {
        a->dropped++;
        return 0;
    }
    return fail(a, -EINVAL,
                "%s:%" PRIu64 ": the model \"%s\" is neither in `map` nor a served model; add it, "
                "or set `unmapped: drop`",
                source->path, s->row.line, s->row.model);
}

static int trace_source_next(struct arrivals *a, struct source_state *s)
{
    const struct arrivals_source *source = s->source;
    for (;;) {
        int rc = s->row_pending ? 1 : row_read(a, s);
        if (rc <= 0) {
            return rc;
        }
        s->row_pending = false;
        if (s->row.t_ns < s->from_ns) {
            continue;
        }
        if (s->row.t_ns >= s->to_ns) {
            return 0;
        }
        rc = row_model(a, s, &s->next.model);
        if (rc < 0) {
            return rc;
        }
        if (rc == 0) {
            continue;
        }
        int64_t delta_ns = s->row.t_ns - s->origin_ns;
        s->next.t_ns = seconds_to_ns((double)delta_ns / 1e9 * source->stretch);
        if (source->stretch >= 1 && source->stretch <= 1) {
            s->next.t_ns = delta_ns < time_max_ns ? delta_ns : time_max_ns;
        }
        s->next.input_tokens = s->row.input_tokens;
        s->next.output_tokens = s->row.output_tokens;
        s->next.service_ns = s->row.service_ns;
        return 1;
    }
}

static int list_next(struct source_state *s)
{
    if (s->index == s->source->jobs_len) {
        return 0;
    }
    const struct arrivals_job *job = &s->jobs[s->index];
    s->next.t_ns = job->t_ns;
    s->next.model = job->model;
    s->next.input_tokens = job->input_tokens;
    s->next.output_tokens = job->output_tokens;
    s->next.service_ns = job->service_ns;
    return 1;
}

static int source_advance(struct arrivals *a, struct source_state *s)
{
    int rc = 0;
    switch (s->source->kind) {
    case ARRIVALS_POISSON:
        rc = poisson_next(a, s);
        break;
    case ARRIVALS_FITTED:
        rc = fitted_next(a, s);
        break;
    case ARRIVALS_TRACE:
        rc = trace_source_next(a, s);
        break;
    case ARRIVALS_LIST:
        rc = list_next(s);
        break;
    }
    if (rc == 1 && a->options.horizon_ns > 0 && s->next.t_ns >= a->options.horizon_ns) {
        rc = 0;
    }
    s->have = rc == 1;
    s->next.source_index = s->index;
    s->index += s->have;
    return rc;
}

/* --- Heap --- */

static bool before(const struct arrivals *a, uint32_t x, uint32_t y)
{
    int64_t tx = a->sources[x].next.t_ns, ty = a->sources[y].next.t_ns;
    return tx != ty ? tx < ty : x < y;
}

static void heap_down(struct arrivals *a, size_t i)
{
    for (;;) {
        size_t least = i, left = 2 * i + 1;
        for (size_t child = left; child < left + 2 && child < a->heap_len; child++) {
            least = before(a, a->heap[child], a->heap[least]) ? child : least;
        }
        if (least == i) {
            return;
        }
        uint32_t swap = a->heap[i];
        a->heap[i] = a->heap[least];
        a->heap[least] = swap;
        i = least;
    }
}

/* --- Life cycle --------------------------------------------------------------------------------
 */

static const char *source_check(const struct arrivals_source *s)
{
    if (!(s->stretch > 0 && s->stretch <= 1e6)) {
        return "stretch must be above 0 and at most 1e6";
    }
    if (s->kind == ARRIVALS_POISSON) {
        if (!(s->rate_per_s > 0 && s->rate_per_s <= 1e7)) {
            return "rate_per_s must be above 0 and at most 1e7";
        }
        const char *wrong = dist_check(&s->service_s);
        wrong = wrong ? wrong : dist_check(&s->input_tokens);
        return wrong ? wrong : dist_check(&s->output_tokens);
    }
    if (s->kind == ARRIVALS_TRACE && s->model < 0 && s->format.model[0] == '\0') {
        return "the trace has no model column: say `model:`";
    }
    return NULL;
}

static int compare_jobs(const void *a, const void *b)
{
    const struct arrivals_job *x = *(const struct arrivals_job *const *)a;
    const struct arrivals_job *y = *(const struct arrivals_job *const *)b;
    if (x->t_ns != y->t_ns) {
        return x->t_ns < y->t_ns ? -1 : 1;
    }
    return (x > y) - (x < y);
}

static int list_begin(struct arrivals *a, struct source_state *s)
{
    size_t len = s->source->jobs_len;
    s->jobs = calloc(len ? len : 1, sizeof *s->jobs);
    const struct arrivals_job **order = calloc(len ? len : 1, sizeof *order);
    if (!s->jobs || !order) {
        free(order);
        return fail(a, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < len; i++) {
        order[i] = &s->source->jobs[i];
    }
    qsort(order, len, sizeof *order, compare_jobs);
    for (size_t i = 0; i < len; i++) {
        s->jobs[i] = *order[i];
    }
    free(order);
    return 0;
}

static int source_begin(struct arrivals *a, uint32_t i)
{
    struct source_state *s = &a->sources[i];
    s->source = &a->spec->sources[i];
    s->stream = (uint64_t)i * STREAMS;
    s->next.source = i;
    const char *wrong = source_check(s->source);
    if (wrong) {
        return fail(a, -EINVAL, "arrivals[%u]: %s", (unsigned)i, wrong);
    }
    if (s->source->kind == ARRIVALS_LIST) {
        return list_begin(a, s);
    }
    if (s->source->kind == ARRIVALS_FITTED) {
        fitted_begin(a, s);
    }
    if (s->source->kind != ARRIVALS_TRACE) {
        return 0;
    }
    struct trace_error error;
    int rc = trace_open(&s->reader, s->source->path, &s->source->format, s->source->where,
                        s->source->where_len, &error);
    if (rc) {
        return fail(a, rc, "%s", error.text);
    }
    rc = row_read(a, s);
    if (rc == 0) {
        return fail(a, -EINVAL, "%s: no rows%s", s->source->path,
                    s->source->where_len ? " that match `where`" : "");
    }
    return rc < 0 ? rc : 0;
}

/* Each trace's origin: t0, its own or the earliest of those shared, moved on by `from`. */
static void set_origins(struct arrivals *a)
{
    int64_t shared = INT64_MAX;
    for (size_t i = 0; i < a->spec->sources_len; i++) {
        const struct source_state *s = &a->sources[i];
        if (s->reader && s->source->t0_shared && s->row.t_ns < shared) {
            shared = s->row.t_ns;
        }
    }
    for (size_t i = 0; i < a->spec->sources_len; i++) {
        struct source_state *s = &a->sources[i];
        if (!s->reader) {
            continue;
        }
        const struct arrivals_bound *from = &s->source->from, *to = &s->source->to;
        int64_t t0 = s->source->t0_shared ? shared : s->row.t_ns;
        s->from_ns = from->absolute ? from->ns : t0 + from->ns;
        s->to_ns = to->absolute ? to->ns : (from->absolute ? s->from_ns : t0) + to->ns;
        s->to_ns = to->set ? s->to_ns : INT64_MAX;
        s->origin_ns = s->from_ns;
    }
}

static int arrivals_begin(struct arrivals *a)
{
    size_t len = a->spec->sources_len;
    for (uint32_t i = 0; i < len; i++) {
        int rc = source_begin(a, i);
        if (rc) {
            return rc;
        }
    }
    set_origins(a);
    for (uint32_t i = 0; i < len; i++) {
        int rc = source_advance(a, &a->sources[i]);
        if (rc < 0) {
            return rc;
        }
        if (rc == 1) {
            a->heap[a->heap_len++] = i;
        }
    }
    for (size_t i = a->heap_len / 2; i-- > 0;) {
        heap_down(a, i);
    }
    return 0;
}

int arrivals_create(struct arrivals **ret_arrivals, const struct arrivals_spec *spec,
                    const struct arrivals_options *options, char *err, size_t err_size)
{
    struct arrivals *a = calloc(1, sizeof *a);
    size_t room = spec->sources_len ? spec->sources_len : 1;
    if (a) {
        a->spec = spec;
        a->options = *options;
        a->sources = calloc(room, sizeof *a->sources);
        a->heap = calloc(room, sizeof *a->heap);
    }
    if (!a || !a->sources || !a->heap) {
        arrivals_destroy(a);
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    int rc = arrivals_begin(a);
    if (rc) {
        (void)snprintf(err, err_size, "%s", a->error_text);
        arrivals_destroy(a);
        return rc;
    }
    *ret_arrivals = a;
    return 0;
}

int arrivals_next(struct arrivals *a, struct arrival *ret_arrival, char *err, size_t err_size)
{
    if (a->error) {
        (void)snprintf(err, err_size, "%s", a->error_text);
        return a->error;
    }
    if (a->heap_len == 0 || (a->options.requests_max > 0 && a->given == a->options.requests_max)) {
        return 0;
    }
    struct source_state *s = &a->sources[a->heap[0]];
    struct arrival arrival = s->next;
    int rc = source_advance(a, s);
    if (rc <= 0) {
        a->heap[0] = a->heap[--a->heap_len];
    }
    /* A failure is reported by the next call: this request stood before it. */
    heap_down(a, 0);
    arrival.index = a->given++;
    *ret_arrival = arrival;
    return 1;
}

uint64_t arrivals_dropped(const struct arrivals *a)
{
    return a->dropped;
}

void arrivals_destroy(struct arrivals *a)
{
    if (!a) {
        return;
    }
    for (size_t i = 0; a->sources && i < a->spec->sources_len; i++) {
        trace_close(a->sources[i].reader);
        free(a->sources[i].jobs);
    }
    free(a->sources);
    free(a->heap);
    free(a);
}
