/*
 * Sources that are read from a trace: which rows are taken, on which clock, and for which model.
 */
#include "base/arrivals_priv.h"
#include "base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int row_read(struct arrivals *a, struct source_state *s)
{
    struct trace_error error;
    int rc = trace_next(s->reader, &s->row, &error);
    if (rc < 0) {
        return arrivals_fail(a, rc, "%s", error.text);
    }
    s->row_pending = rc == 1;
    return rc;
}

/* --- Texts of models --- */

/* The slot of TEXT, or the empty one where it belongs. FNV-1a: the texts are short, the table is
 * at most half full, and both are the user's own. */
static struct name_slot *name_slot(const struct source_state *s, const char *text)
{
    uint32_t hash = 2166136261u;
    for (const char *c = text; *c; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    }
    size_t i = (hash ^ hash >> 15) & (s->names_size - 1);
    while (s->names[i].text && strcmp(s->names[i].text, text) != 0) {
        i = (i + 1) & (s->names_size - 1);
    }
    return &s->names[i];
}

/* What `map` says, or without one the served models under their own names. */
static int names_begin(struct arrivals *a, struct source_state *s)
{
    const struct arrivals_source *source = s->source;
    size_t len = source->map_len ? source->map_len : a->spec->models_len;
    s->names_size = 16;
    while (s->names_size < 2 * len) {
        s->names_size *= 2;
    }
    s->names = calloc(s->names_size, sizeof *s->names);
    if (!s->names) {
        return arrivals_fail(a, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < len; i++) {
        bool mapped = source->map_len > 0;
        const char *text = mapped ? source->map[i].text : a->spec->models[i];
        struct name_slot *slot = name_slot(s, text);
        if (!slot->text) {
            *slot = (struct name_slot){text, mapped ? source->map[i].model : (uint32_t)i};
        }
    }
    return 0;
}

static const char *assigned_text(const struct arrivals_source *source, uint64_t number)
{
    double u = (double)random_mix(number) * 0x1p-64;
    size_t i = 0;
    while (i + 1 < source->shares_len && u >= source->shares[i].upto) {
        i++;
    }
    return source->shares[i].text;
}

/* 1 and the model, 0 if the row is to be left out. */
static int row_model(struct arrivals *a, struct source_state *s, uint32_t *ret_model)
{
    const struct arrivals_source *source = s->source;
    if (source->model >= 0) {
        *ret_model = (uint32_t)source->model;
        return 1;
    }
    const char *text = source->shares_len > 0 ? assigned_text(source, s->row.number) : s->row.model;
    const struct name_slot *slot = name_slot(s, text);
    if (slot->text) {
        *ret_model = slot->model;
        return 1;
    }
    if (source->drop_unmapped) {
        a->dropped++;
        return 0;
    }
    return arrivals_fail(a, -EINVAL,
                         "%s:%" PRIu64
                         ":1: the model \"%s\" is neither in `map` nor a served model; "
                         "add it, or set `unmapped: drop`",
                         source->path, s->row.line, text);
}

/* --- Rows and clocks --- */

int trace_source_begin(struct arrivals *a, struct source_state *s)
{
    const struct arrivals_source *source = s->source;
    struct trace_error error;
    int rc = source->model < 0 ? names_begin(a, s) : 0;
    if (rc) {
        return rc;
    }
    rc = trace_open(&s->reader, source->path, &source->format, source->where, source->where_len,
                    &error);
    if (rc) {
        return arrivals_fail(a, rc, "%s", error.text);
    }
    rc = row_read(a, s);
    if (rc == 0) {
        return arrivals_fail(a, -EINVAL, "%s: no rows%s", source->path,
                             source->where_len ? " that match `where`" : "");
    }
    return rc < 0 ? rc : 0;
}

/* An end of the rows: relative ones count from `from` where that is a date, else from t0. */
static int64_t bound_ns(const struct arrivals_bound *bound, const struct arrivals_bound *from,
                        int64_t t0_ns)
{
    return bound->absolute ? bound->ns : (from->absolute ? from->ns : t0_ns) + bound->ns;
}

static void align(struct source_state *s, int64_t t0_ns)
{
    const struct arrivals_source *source = s->source;
    const struct arrivals_bound *from = &source->from;
    s->from_ns = from->absolute ? from->ns : t0_ns + from->ns;
    s->to_ns = source->to.set ? bound_ns(&source->to, from, t0_ns) : INT64_MAX;
    int64_t cut_ns = bound_ns(&source->tune_until, from, t0_ns);
    if (source->part == ARRIVALS_TUNE && cut_ns < s->to_ns) {
        s->to_ns = cut_ns;
    }
    if (source->part == ARRIVALS_SCORE && cut_ns > s->from_ns) {
        s->from_ns = cut_ns;
    }
    s->origin_ns = s->from_ns;
}

/* Each trace's t0: its own first row, or the earliest of those that share theirs. */
void trace_sources_align(struct arrivals *a)
{
    int64_t shared_ns = INT64_MAX;
    for (size_t i = 0; i < a->spec->sources_len; i++) {
        const struct source_state *s = &a->sources[i];
        if (s->reader && s->source->t0_shared && s->row.t_ns < shared_ns) {
            shared_ns = s->row.t_ns;
        }
    }
    for (size_t i = 0; i < a->spec->sources_len; i++) {
        struct source_state *s = &a->sources[i];
        if (s->reader) {
            align(s, s->source->t0_shared ? shared_ns : s->row.t_ns);
        }
    }
}

static int64_t stretched_ns(int64_t delta_ns, double stretch)
{
    if (stretch >= 1 && stretch <= 1) {
        return delta_ns < ARRIVALS_TIME_MAX_NS ? delta_ns : ARRIVALS_TIME_MAX_NS;
    }
    double ns = (double)delta_ns * stretch + 0.5;
    return ns >= (double)ARRIVALS_TIME_MAX_NS ? ARRIVALS_TIME_MAX_NS : (int64_t)ns;
}

int trace_source_next(struct arrivals *a, struct source_state *s)
{
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
        s->next.t_ns = stretched_ns(s->row.t_ns - s->origin_ns, s->source->stretch);
        s->next.input_tokens = s->row.input_tokens;
        s->next.output_tokens = s->row.output_tokens;
        s->next.service_ns = s->row.service_ns;
        s->next.service_class = -1;
        arrivals_attributes(s, s->row.number);
        return 1;
    }
}
