/*
 * What the files of the arrivals generator share: the state of a generator and of its sources.
 * arrivals_spec.c has specs, arrivals_draw.c the sources that are drawn, arrivals_trace.c those
 * that are read, arrivals.c the order between them.
 */
#ifndef BASE_ARRIVALS_PRIV_H
#define BASE_ARRIVALS_PRIV_H

#include "base/arrivals.h"

/* Streams of one source: its number * STREAMS_OF_SOURCE + which. Their numbers are part of what a
 * seed means: append only. */
enum arrivals_stream {
    STREAM_GAP,
    STREAM_SERVICE,
    STREAM_INPUT,
    STREAM_OUTPUT,
    STREAM_PHASE,
    STREAM_START,
    STREAM_CLASS,
    STREAM_ACCEPT,
    STREAM_ROUNDS,
    STREAM_THINK,
    STREAMS,
    STREAMS_OF_SOURCE = 16
};

/* Published services that fitted sources imitate; see arrivals_draw.c. */
struct arrivals_fit_facts {
    const char *name, *doc;
    struct arrivals_state states[2];
    struct dist input_tokens, output_tokens;
};
extern const struct arrivals_fit_facts arrivals_fits[ARRIVALS_FITS];

/* The next round of a session, known and not yet given out. */
struct session_due {
    int64_t t_ns;
    uint64_t id; /* source_index */
};

/* A text of a trace and the model it stands for. */
struct name_slot {
    const char *text; /* NULL: empty */
    uint32_t model;
};

struct source_state {
    const struct arrivals_source *source;
    uint64_t prefix[STREAMS]; /* random_prefix() of each stream */
    struct arrival next;      /* sessions make theirs when it is taken */
    uint64_t index;           /* requests given or pending */
    /* Prepared copies; gap has mean 1 / rate. */
    struct dist gap, service_s, input_tokens, output_tokens, rounds, think_s;
    bool attributes; /* any of service, tokens, class is drawn */

    double clock_s; /* drawn: exact time of the last arrival, of the last session's begin */
    /* onoff, fitted, spike: the phase in force */
    const struct arrivals_state *states;
    size_t states_len, state;
    uint64_t phases; /* durations drawn, spikes begun */
    double phase_end_s, rate_per_s;
    uint64_t candidates; /* diurnal */

    /* sessions */
    struct session_due *due; /* heap by (t_ns, id) */
    size_t due_len, due_room;
    uint64_t sessions; /* begun */
    int64_t begin_ns;  /* of the next one */

    /* trace */
    struct trace_reader *reader;
    struct trace_row row; /* the first, read at the start */
    bool row_pending;
    int64_t origin_ns;       /* of its time axis */
    int64_t from_ns, to_ns;  /* rows taken, on the file's clock */
    struct name_slot *names; /* hash table of names_size slots, a power of two */
    size_t names_size;

    /* list: the source's own jobs, or a sorted copy of them */
    const struct arrivals_job *jobs;
    struct arrivals_job *jobs_owned;
};

struct merge_entry {
    int64_t t_ns;
    uint32_t source;
};

struct arrivals {
    const struct arrivals_spec *spec;
    struct arrivals_options options;
    struct source_state *sources;
    struct merge_entry *heap; /* sources with a request, by its time, then their number */
    size_t heap_len;
    uint64_t given, dropped;
    uint64_t outstanding; /* of sessions: given out, not done */
    int error;
    char error_text[ARRIVALS_ERROR_MAX];
};

/* Times stay below this, so that sums of two never overflow. */
#define ARRIVALS_TIME_MAX_NS (INT64_MAX / 4)

static inline int64_t arrivals_ns(double seconds)
{
    double ns = seconds * 1e9 + 0.5;
    return ns >= (double)ARRIVALS_TIME_MAX_NS ? ARRIVALS_TIME_MAX_NS : (int64_t)ns;
}

/* Sets the generator's error and returns it. */
int arrivals_fail(struct arrivals *a, int error, const char *words, ...)
    __attribute__((format(printf, 3, 4)));

/* NULL, or why the source cannot run. */
const char *arrivals_source_check(const struct arrivals_source *source);

/* Draws what a request does not have yet, under the key of INDEX. */
void arrivals_attributes(struct source_state *s, uint64_t index);

/* A drawn source from its start: 0, or an error. Then its next request: always 1. */
int drawn_begin(struct arrivals *a, struct source_state *s);
int drawn_next(struct source_state *s);

/* Sessions: the time of the next request known, INT64_MAX if none; taking it; hearing of its end
 * (-ENOMEM).
 */
int sessions_begin(struct arrivals *a, struct source_state *s);
int64_t sessions_peek(const struct source_state *s);
void sessions_take(struct source_state *s);
int sessions_done(struct source_state *s, uint64_t id, int64_t t_ns);

/* Traces: opened and read up to the first row; all of them given their time axes; the next request:
 * 1, 0 at the end, or an error. */
int trace_source_begin(struct arrivals *a, struct source_state *s);
void trace_sources_align(struct arrivals *a);
int trace_source_next(struct arrivals *a, struct source_state *s);

#endif
