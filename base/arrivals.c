/*
 * The generator: one state per source that holds its next request, and a heap over them by (time,
 * number of the source). Nothing here knows what a model costs or how a request is sent.
 */
#include "base/arrivals.h"

#include "base/arrivals_priv.h"
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int arrivals_fail(struct arrivals *a, int error, const char *words, ...)
{
    va_list args;
    va_start(args, words);
    (void)vsnprintf(a->error_text, sizeof a->error_text, words, args);
    va_end(args);
    a->error = error;
    return error;
}

/* --- Sources --- */

static int list_next(struct source_state *s)
{
    if (s->index == s->source->jobs_len) {
        return 0;
    }
    const struct arrivals_job *job = &s->jobs[s->index];
    double stretch = s->source->stretch;
    s->next.t_ns =
        stretch >= 1 && stretch <= 1 ? job->t_ns : arrivals_ns((double)job->t_ns / 1e9 * stretch);
    s->next.model = job->model;
    s->next.input_tokens = job->input_tokens;
    s->next.output_tokens = job->output_tokens;
    s->next.service_ns = job->service_ns;
    s->next.service_class = -1;
    arrivals_attributes(s, s->index);
    return 1;
}

/* 1: the source has a request at *ret_t_ns; 0: none, for the time being if it is one of sessions;
 * or an error. */
static int source_advance(struct arrivals *a, struct source_state *s, int64_t *ret_t_ns)
{
    int rc = 0;
    int64_t t_ns = INT64_MAX;
    switch (s->source->kind) {
    case ARRIVALS_SESSIONS:
        t_ns = sessions_peek(s);
        rc = t_ns < INT64_MAX;
        break;
    case ARRIVALS_TRACE:
        rc = trace_source_next(a, s);
        t_ns = s->next.t_ns;
        break;
    case ARRIVALS_LIST:
        rc = list_next(s);
        t_ns = s->next.t_ns;
        break;
    case ARRIVALS_POISSON:
    case ARRIVALS_FITTED:
    case ARRIVALS_GAMMA:
    case ARRIVALS_WEIBULL:
    case ARRIVALS_CONSTANT:
    case ARRIVALS_ONOFF:
    case ARRIVALS_DIURNAL:
    case ARRIVALS_SPIKE:
    case ARRIVALS_KINDS:
        rc = drawn_next(s);
        t_ns = s->next.t_ns;
        break;
    }
    if (rc == 1 && a->options.horizon_ns > 0 && t_ns >= a->options.horizon_ns) {
        rc = 0;
    }
    if (rc == 1 && s->source->kind != ARRIVALS_SESSIONS) {
        s->next.source_index = s->index++;
    }
    *ret_t_ns = t_ns;
    return rc;
}

/* --- Heap --- */

static bool before(const struct merge_entry *x, const struct merge_entry *y)
{
    return x->t_ns != y->t_ns ? x->t_ns < y->t_ns : x->source < y->source;
}

static void heap_down(struct arrivals *a, size_t i)
{
    struct merge_entry entry = a->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= a->heap_len) {
            break;
        }
        if (child + 1 < a->heap_len && before(&a->heap[child + 1], &a->heap[child])) {
            child++;
        }
        if (!before(&a->heap[child], &entry)) {
            break;
        }
        a->heap[i] = a->heap[child];
        i = child;
    }
    a->heap[i] = entry;
}

static void heap_up(struct arrivals *a, size_t i)
{
    struct merge_entry entry = a->heap[i];
    for (; i > 0 && before(&entry, &a->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        a->heap[i] = a->heap[(i - 1) / 2];
    }
    a->heap[i] = entry;
}

static void heap_push(struct arrivals *a, uint32_t source, int64_t t_ns)
{
    a->heap[a->heap_len] = (struct merge_entry){t_ns, source};
    heap_up(a, a->heap_len++);
}

/* --- Life cycle --- */

static int compare_jobs(const void *a, const void *b)
{
    const struct arrivals_job *x = *(const struct arrivals_job *const *)a;
    const struct arrivals_job *y = *(const struct arrivals_job *const *)b;
    if (x->t_ns != y->t_ns) {
        return x->t_ns < y->t_ns ? -1 : 1;
    }
    return (x > y) - (x < y);
}

static bool in_order(const struct arrivals_source *source)
{
    for (size_t i = 1; i < source->jobs_len; i++) {
        if (source->jobs[i].t_ns < source->jobs[i - 1].t_ns) {
            return false;
        }
    }
    return true;
}

static int list_begin(struct arrivals *a, struct source_state *s)
{
    s->jobs = s->source->jobs;
    if (in_order(s->source)) {
        return 0;
    }
    size_t len = s->source->jobs_len;
    const struct arrivals_job **order = calloc(len, sizeof *order);
    s->jobs_owned = calloc(len, sizeof *s->jobs_owned);
    if (!s->jobs_owned || !order) {
        free(order);
        return arrivals_fail(a, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < len; i++) {
        order[i] = &s->source->jobs[i];
    }
    qsort(order, len, sizeof *order, compare_jobs);
    for (size_t i = 0; i < len; i++) {
        s->jobs_owned[i] = *order[i];
    }
    free(order);
    s->jobs = s->jobs_owned;
    return 0;
}

static void prepare(struct dist *to, const struct dist *from)
{
    *to = *from;
    dist_prepare(to);
}

static int source_begin(struct arrivals *a, uint32_t i)
{
    struct source_state *s = &a->sources[i];
    const struct arrivals_source *source = &a->spec->sources[i];
    s->source = source;
    s->next.source = i;
    const char *wrong = arrivals_source_check(source);
    if (wrong) {
        return arrivals_fail(a, -EINVAL, "arrivals[%u]: %s", (unsigned)i, wrong);
    }
    for (uint64_t stream = 0; stream < STREAMS; stream++) {
        s->prefix[stream] =
            random_prefix(a->options.seed, (uint64_t)i * STREAMS_OF_SOURCE + stream);
    }
    prepare(&s->service_s, &source->service_s);
    prepare(&s->input_tokens, &source->input_tokens);
    prepare(&s->output_tokens, &source->output_tokens);
    prepare(&s->rounds, &source->rounds);
    prepare(&s->think_s, &source->think_s);
    s->attributes = source->classes || source->service_s.kind != DIST_NONE ||
                    source->input_tokens.kind != DIST_NONE ||
                    source->output_tokens.kind != DIST_NONE;
    if (source->kind == ARRIVALS_TRACE) {
        return trace_source_begin(a, s);
    }
    return source->kind == ARRIVALS_LIST ? list_begin(a, s) : drawn_begin(a, s);
}

static int arrivals_begin(struct arrivals *a)
{
    uint32_t len = (uint32_t)a->spec->sources_len;
    for (uint32_t i = 0; i < len; i++) {
        int rc = source_begin(a, i);
        if (rc) {
            return rc;
        }
    }
    trace_sources_align(a);
    for (uint32_t i = 0; i < len; i++) {
        int64_t t_ns;
        int rc = source_advance(a, &a->sources[i], &t_ns);
        if (rc < 0) {
            return rc;
        }
        if (rc == 1) {
            heap_push(a, i, t_ns);
        }
    }
    return 0;
}

static void arrivals_end(struct arrivals *a)
{
    for (size_t i = 0; i < a->spec->sources_len; i++) {
        struct source_state *s = &a->sources[i];
        trace_close(s->reader);
        free(s->names);
        free(s->due);
        free(s->jobs_owned);
        *s = (struct source_state){0};
    }
}

int arrivals_reset(struct arrivals *a, const struct arrivals_options *options, char *err,
                   size_t err_size)
{
    arrivals_end(a);
    a->options = *options;
    a->heap_len = 0;
    a->given = a->dropped = a->outstanding = 0;
    a->error = 0;
    int rc = arrivals_begin(a);
    if (rc) {
        (void)snprintf(err, err_size, "%s", a->error_text);
    }
    return rc;
}

int arrivals_create(struct arrivals **ret_arrivals, const struct arrivals_spec *spec,
                    const struct arrivals_options *options, char *err, size_t err_size)
{
    struct arrivals *a = calloc(1, sizeof *a);
    size_t room = spec->sources_len ? spec->sources_len : 1;
    if (a) {
        a->spec = spec;
        a->sources = calloc(room, sizeof *a->sources);
        a->heap = calloc(room, sizeof *a->heap);
    }
    if (!a || !a->sources || !a->heap) {
        arrivals_destroy(a);
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    int rc = arrivals_reset(a, options, err, err_size);
    if (rc) {
        arrivals_destroy(a);
        return rc;
    }
    *ret_arrivals = a;
    return 0;
}

int arrivals_peek(const struct arrivals *a, int64_t *ret_t_ns)
{
    if (a->error) {
        return a->error;
    }
    if (a->options.requests_max > 0 && a->given == a->options.requests_max) {
        return 0;
    }
    if (a->heap_len == 0) {
        return a->outstanding > 0 ? -EAGAIN : 0;
    }
    *ret_t_ns = a->heap[0].t_ns;
    return 1;
}

int arrivals_next(struct arrivals *a, struct arrival *ret_arrival, char *err, size_t err_size)
{
    int64_t t_ns;
    int rc = arrivals_peek(a, &t_ns);
    if (rc <= 0) {
        if (rc < 0) {
            (void)snprintf(err, err_size, "%s",
                           a->error ? a->error_text : "a session waits for the end of a request");
        }
        return rc;
    }
    struct source_state *s = &a->sources[a->heap[0].source];
    if (s->source->kind == ARRIVALS_SESSIONS) {
        sessions_take(s);
        a->outstanding++;
    }
    *ret_arrival = s->next;
    ret_arrival->index = a->given++;
    /* A failure is reported by the next call: this request stood before it. */
    rc = source_advance(a, s, &t_ns);
    a->heap[0].t_ns = t_ns;
    if (rc <= 0) {
        a->heap[0] = a->heap[--a->heap_len];
    }
    if (a->heap_len > 1) {
        heap_down(a, 0);
    }
    return 1;
}

void arrivals_done(struct arrivals *a, uint32_t source, uint64_t source_index, int64_t t_ns)
{
    assert(source < a->spec->sources_len);
    struct source_state *s = &a->sources[source];
    if (s->source->kind != ARRIVALS_SESSIONS || a->error) {
        return;
    }
    assert(a->outstanding > 0 && t_ns >= 0 && t_ns <= ARRIVALS_TIME_MAX_NS);
    a->outstanding--;
    if (sessions_done(s, source_index, t_ns)) {
        (void)arrivals_fail(a, -ENOMEM, "out of memory");
        return;
    }
    int64_t next_ns;
    if (source_advance(a, s, &next_ns) <= 0) {
        return;
    }
    size_t at = 0;
    while (at < a->heap_len && a->heap[at].source != source) {
        at++;
    }
    if (at == a->heap_len) {
        heap_push(a, source, next_ns);
    } else {
        a->heap[at].t_ns = next_ns; /* only ever earlier */
        heap_up(a, at);
    }
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
    if (a->sources) {
        arrivals_end(a);
    }
    free(a->sources);
    free(a->heap);
    free(a);
}
