/*
 * Sources that are drawn. A number belongs to (seed, stream of the source, index): the gap before
 * request i, the length of phase j, the think time before round r of session s.
 */
#include "base/arrivals_priv.h"
#include "base/random.h"
#include "core/fmath.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

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

const struct arrivals_fit_facts arrivals_fits[ARRIVALS_FITS] = {
    [ARRIVALS_FIT_AZURE_2023_CODE] = {.name = "azure-llm-2023-code",
                                      .doc = "the code service of Azure LLM 2023",
                                      .states = {{0, 40.57}, {15.1, 8.309}},
                                      .input_tokens = QUANTILES(code_input),
                                      .output_tokens = QUANTILES(code_output)},
    [ARRIVALS_FIT_AZURE_2023_CONV] = {.name = "azure-llm-2023-conv",
                                      .doc = "the conversation service of Azure LLM 2023",
                                      .states = {{4.06, 78.43}, {7.0, 78.43}},
                                      .input_tokens = QUANTILES(conv_input),
                                      .output_tokens = QUANTILES(conv_output)},
};

/* --- Draws --- */

static double unit(const struct source_state *s, enum arrivals_stream stream, uint64_t index)
{
    return random_unit(random_at(s->prefix[stream], index));
}

/* Exponential with mean 1. */
static double exponential(const struct source_state *s, enum arrivals_stream stream, uint64_t index)
{
    return -core_log(unit(s, stream, index));
}

static double sample(const struct source_state *s, const struct dist *dist,
                     enum arrivals_stream stream, uint64_t index)
{
    return dist_sample_key(dist, random_at(s->prefix[stream], index));
}

static int64_t sample_count(const struct source_state *s, const struct dist *dist,
                            enum arrivals_stream stream, uint64_t index)
{
    double value = sample(s, dist, stream, index);
    return value < 1 ? 1 : value > 1e9 ? 1000000000 : (int64_t)(value + 0.5);
}

static int32_t draw_class(const struct source_state *s, uint64_t index)
{
    double u = unit(s, STREAM_CLASS, index);
    int32_t last = 0;
    for (int32_t i = 0; i < ARRIVALS_CLASSES; i++) {
        double share = s->source->class_share[i];
        if (share > 0) {
            last = i;
        }
        if (u < share) {
            return i;
        }
        u -= share;
    }
    return last; /* shares that sum to a little less than 1 */
}

void arrivals_attributes(struct source_state *s, uint64_t index)
{
    if (!s->attributes) {
        return;
    }
    struct arrival *next = &s->next;
    if (next->service_ns < 0 && s->service_s.kind != DIST_NONE) {
        next->service_ns = arrivals_ns(sample(s, &s->service_s, STREAM_SERVICE, index));
    }
    if (next->input_tokens < 0 && s->input_tokens.kind != DIST_NONE) {
        next->input_tokens = sample_count(s, &s->input_tokens, STREAM_INPUT, index);
    }
    if (next->output_tokens < 0 && s->output_tokens.kind != DIST_NONE) {
        next->output_tokens = sample_count(s, &s->output_tokens, STREAM_OUTPUT, index);
    }
    if (s->source->classes) {
        next->service_class = draw_class(s, index);
    }
}

static void clear_attributes(struct source_state *s)
{
    s->next.input_tokens = s->next.output_tokens = s->next.service_ns = -1;
    s->next.service_class = -1;
}

/* --- Rates that change in steps: onoff, fitted, spike --- */

static void state_enter(struct source_state *s, size_t state, double from_s)
{
    s->state = state;
    s->rate_per_s = s->states[state].rate_per_s;
    s->phase_end_s = from_s + exponential(s, STREAM_PHASE, s->phases++) * s->states[state].mean_s;
}

/* The state at time 0 is drawn from the stationary law; what is left of it is a whole one again,
 * since exponential times have no memory. */
static void states_begin(struct source_state *s)
{
    double cycle_s = 0;
    for (size_t i = 0; i < s->states_len; i++) {
        cycle_s += s->states[i].mean_s;
    }
    double at_s = unit(s, STREAM_START, 0) * cycle_s;
    size_t state = 0;
    for (; state + 1 < s->states_len && at_s >= s->states[state].mean_s; state++) {
        at_s -= s->states[state].mean_s;
    }
    state_enter(s, state, 0);
}

static void spike_phase(struct source_state *s)
{
    const struct arrivals_source *source = s->source;
    double begin_s = source->at_s + (double)(s->phases / 2) * source->every_s;
    bool inside = s->phases % 2 == 1;
    bool over = s->phases >= 2 && !(source->every_s > 0);
    s->rate_per_s = inside ? source->rate_per_s * source->factor : source->rate_per_s;
    s->phase_end_s = over ? HUGE_VAL : inside ? begin_s + source->duration_s : begin_s;
    s->phases++;
}

static void phase_advance(struct source_state *s)
{
    if (s->source->kind == ARRIVALS_SPIKE) {
        spike_phase(s);
    } else {
        state_enter(s, (s->state + 1) % s->states_len, s->phase_end_s);
    }
}

/* Each request waits for a unit of work drawn by its index, used up at the rate of the moment. */
static void phased_advance(struct source_state *s)
{
    double work = exponential(s, STREAM_GAP, s->index);
    for (;;) {
        double capacity = s->rate_per_s > 0 ? s->rate_per_s * (s->phase_end_s - s->clock_s) : 0;
        if (capacity >= work) {
            s->clock_s += work / s->rate_per_s;
            return;
        }
        work -= capacity;
        s->clock_s = s->phase_end_s;
        phase_advance(s);
    }
}

/* --- A sinusoidal rate --- */

/* cos(2 pi x) to 1e-14, in a fixed order of operations. */
static double cosine_of_turns(double x)
{
    x -= (double)(int64_t)x;
    x = x < 0 ? -x : x;
    x = x > 0.5 ? 1 - x : x;
    double sign = x > 0.25 ? -1 : 1;
    x = x > 0.25 ? 0.5 - x : x;
    double y = x * 0x1.921fb54442d18p+2, square = y * y, sum = 1;
    for (int k = 20; k >= 2; k -= 2) {
        sum = 1 - sum * square / (double)(k * (k - 1));
    }
    return sign * sum;
}

/* Candidates at the highest rate, each taken with probability rate / highest. */
static void diurnal_advance(struct source_state *s)
{
    const struct arrivals_source *d = s->source;
    double highest = d->rate_per_s * (1 + d->amplitude);
    for (;;) {
        uint64_t k = s->candidates++;
        s->clock_s += exponential(s, STREAM_GAP, k) / highest;
        double wave = 1 + d->amplitude * cosine_of_turns((s->clock_s - d->peak_s) / d->period_s);
        if (unit(s, STREAM_ACCEPT, k) * (1 + d->amplitude) < wave) {
            return;
        }
    }
}

/* --- All of them --- */

static void gap_begin(struct source_state *s, enum dist_kind kind)
{
    const struct arrivals_source *source = s->source;
    s->gap = (struct dist){.kind = kind, .mean = 1 / source->rate_per_s};
    if (kind == DIST_GAMMA || kind == DIST_WEIBULL) {
        s->gap.cv = source->cv;
        s->gap.shape = kind == DIST_WEIBULL ? source->shape : 0;
    }
    dist_prepare(&s->gap);
}

int drawn_begin(struct arrivals *a, struct source_state *s)
{
    switch (s->source->kind) {
    case ARRIVALS_POISSON:
        gap_begin(s, DIST_EXPONENTIAL);
        return 0;
    case ARRIVALS_GAMMA:
        gap_begin(s, DIST_GAMMA);
        return 0;
    case ARRIVALS_WEIBULL:
        gap_begin(s, DIST_WEIBULL);
        return 0;
    case ARRIVALS_CONSTANT:
        gap_begin(s, DIST_DETERMINISTIC);
        return 0;
    case ARRIVALS_ONOFF:
        s->states = s->source->states;
        s->states_len = s->source->states_len;
        states_begin(s);
        return 0;
    case ARRIVALS_FITTED: {
        const struct arrivals_fit_facts *fit = &arrivals_fits[s->source->fit];
        s->states = fit->states;
        s->states_len = 2;
        if (s->input_tokens.kind == DIST_NONE) {
            s->input_tokens = fit->input_tokens;
        }
        if (s->output_tokens.kind == DIST_NONE) {
            s->output_tokens = fit->output_tokens;
        }
        s->attributes = true;
        states_begin(s);
        return 0;
    }
    case ARRIVALS_SPIKE:
        spike_phase(s);
        return 0;
    case ARRIVALS_DIURNAL:
        return 0;
    case ARRIVALS_SESSIONS:
        return sessions_begin(a, s);
    case ARRIVALS_TRACE:
    case ARRIVALS_LIST:
    case ARRIVALS_KINDS:
        break;
    }
    assert(false);
    return -EINVAL;
}

int drawn_next(struct source_state *s)
{
    const struct arrivals_source *source = s->source;
    if (source->kind == ARRIVALS_POISSON) {
        s->clock_s += exponential(s, STREAM_GAP, s->index) * s->gap.mean;
    } else if (source->kind == ARRIVALS_CONSTANT) {
        s->clock_s = (double)(s->index + 1) * s->gap.mean; /* no sum of rounding errors */
    } else if (source->kind == ARRIVALS_DIURNAL) {
        diurnal_advance(s);
    } else if (s->gap.kind != DIST_NONE) {
        s->clock_s += sample(s, &s->gap, STREAM_GAP, s->index);
    } else {
        phased_advance(s);
    }
    s->next.t_ns = arrivals_ns(s->clock_s * source->stretch);
    s->next.model = (uint32_t)source->model;
    clear_attributes(s);
    arrivals_attributes(s, s->index);
    return 1;
}

/* --- Sessions --- */

static bool due_before(const struct session_due *a, const struct session_due *b)
{
    return a->t_ns != b->t_ns ? a->t_ns < b->t_ns : a->id < b->id;
}

/* There is room: a place is made for each session when it begins. */
static void due_push(struct source_state *s, struct session_due entry)
{
    assert(s->due_len < s->due_room);
    size_t i = s->due_len++;
    while (i > 0 && due_before(&entry, &s->due[(i - 1) / 2])) {
        s->due[i] = s->due[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->due[i] = entry;
}

static struct session_due due_pop(struct source_state *s)
{
    struct session_due top = s->due[0], last = s->due[--s->due_len];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->due_len) {
            break;
        }
        if (child + 1 < s->due_len && due_before(&s->due[child + 1], &s->due[child])) {
            child++;
        }
        if (!due_before(&s->due[child], &last)) {
            break;
        }
        s->due[i] = s->due[child];
        i = child;
    }
    s->due[i] = last;
    return top;
}

static int64_t later(int64_t t_ns, int64_t by_ns)
{
    int64_t sum = t_ns + by_ns; /* both at most a quarter of the range */
    return sum < ARRIVALS_TIME_MAX_NS ? sum : ARRIVALS_TIME_MAX_NS;
}

static int64_t think_ns(const struct source_state *s, uint64_t id)
{
    return arrivals_ns(sample(s, &s->think_s, STREAM_THINK, id));
}

static void next_session(struct source_state *s)
{
    s->clock_s += exponential(s, STREAM_GAP, s->sessions) / s->source->rate_per_s;
    s->begin_ns = arrivals_ns(s->clock_s);
}

int sessions_begin(struct arrivals *a, struct source_state *s)
{
    size_t people = s->source->population;
    s->begin_ns = INT64_MAX;
    if (people == 0) {
        next_session(s);
        return 0;
    }
    s->due = calloc(people, sizeof *s->due);
    if (!s->due) {
        return arrivals_fail(a, -ENOMEM, "out of memory");
    }
    s->due_room = people;
    for (; s->sessions < people; s->sessions++) {
        uint64_t id = s->sessions << 32;
        due_push(s, (struct session_due){think_ns(s, id), id});
    }
    return 0;
}

int64_t sessions_peek(const struct source_state *s)
{
    int64_t due_ns = s->due_len > 0 ? s->due[0].t_ns : INT64_MAX;
    return due_ns < s->begin_ns ? due_ns : s->begin_ns;
}

void sessions_take(struct source_state *s)
{
    struct session_due next = {s->begin_ns, s->sessions << 32};
    if (s->due_len > 0 && s->due[0].t_ns <= s->begin_ns) {
        next = due_pop(s);
    } else {
        s->sessions++;
        next_session(s);
    }
    s->next.t_ns = next.t_ns;
    s->next.source_index = next.id;
    s->next.model = (uint32_t)s->source->model;
    clear_attributes(s);
    arrivals_attributes(s, next.id);
}

/* Rounds of a session, DIST_NONE: as many as there are numbers. */
static uint64_t rounds_of(const struct source_state *s, uint64_t session)
{
    return s->rounds.kind == DIST_NONE
               ? UINT32_MAX
               : (uint64_t)sample_count(s, &s->rounds, STREAM_ROUNDS, session);
}

int sessions_done(struct source_state *s, uint64_t id, int64_t t_ns)
{
    if (ARRIVALS_ROUND(id) + UINT64_C(1) >= rounds_of(s, ARRIVALS_SESSION(id))) {
        return 0;
    }
    if (s->due_len == s->due_room) {
        size_t room = s->due_room ? 2 * s->due_room : 64;
        struct session_due *grown = reallocarray(s->due, room, sizeof *grown);
        if (!grown) {
            return -ENOMEM;
        }
        s->due = grown;
        s->due_room = room;
    }
    due_push(s, (struct session_due){later(t_ns, think_ns(s, id + 1)), id + 1});
    return 0;
}
