/* Reads a journal into rows and costs: see journal_in.h. */
#include "sim/journal_in_priv.h"

#include "base/journal.h"
#include "base/record.h"
#include "core/fmath.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request of the core while it lives. */
struct live {
    uint64_t id; /* 0: none */
    size_t row;
    int64_t dispatch_ns; /* -1: waiting */
};

/* The step under way at an instance. */
struct step {
    uint64_t switch_id;
    int64_t since_ns;
    uint32_t step, tier;
    bool on;
};

struct reading {
    struct journal_in *in;
    struct core *core; /* NULL: before a keyframe, or behind a gap */
    void *memory;
    struct live *live; /* [core_request_capacity] */
    uint32_t live_count;
    struct step *steps; /* [instance] */
    bool keyframe_read; /* at least one */
    int64_t last_ns;
    uint64_t segment, offset; /* of the record at hand */
    char *err;
    size_t err_size;
};

#define FAIL(r, rc, ...) (fail((r), __VA_ARGS__), (rc))

static void fail(const struct reading *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(const struct reading *r, const char *format, ...)
{
    char what[JOURNAL_IN_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    (void)snprintf(r->err, r->err_size, "journal: segment %" PRIu64 " offset %" PRIu64 ": %s",
                   r->segment, r->offset, what);
}

static void core_drop(struct reading *r)
{
    free(r->memory);
    r->memory = NULL;
    r->core = NULL;
}

/* ------------------------------------------------------------------ requests */

static int row_add(struct reading *r, const struct core_input *input)
{
    struct journal_in *in = r->in;
    const struct core_in_request *request = &input->u.request;
    if (in->row_count == JOURNAL_IN_REQUESTS_MAX) {
        return FAIL(r, -E2BIG, "more than %d requests; give some of its segments",
                    JOURNAL_IN_REQUESTS_MAX);
    }
    if (in->row_count == in->row_room) {
        size_t room = in->row_room ? 2 * in->row_room : 4096;
        struct journal_in_row *rows = realloc(in->rows, room * sizeof(*rows));
        if (!rows) {
            return FAIL(r, -ENOMEM, "out of memory");
        }
        in->rows = rows;
        in->row_room = room;
    }
    in->rows[in->row_count++] = (struct journal_in_row){.t_ns = input->t_ns,
                                                        .service_ns = -1,
                                                        .model = request->model,
                                                        .prompt_tokens = request->prompt_tokens};
    return 0;
}

static struct live *live_at(const struct reading *r, uint64_t id)
{
    uint32_t index = (uint32_t)id;
    struct live *live = index < r->live_count ? &r->live[index] : NULL;
    return live && live->id == id ? live : NULL;
}

/* It left its engine; only a completion says how long it takes. */
static void complete(struct reading *r, const struct core_input *input)
{
    const struct core_in_complete *done = &input->u.complete;
    struct live *live = live_at(r, done->request);
    if (!live || live->dispatch_ns < 0) {
        return;
    }
    if (!done->retry && done->outcome == SHUNT_OUTCOME_COMPLETED) {
        struct journal_in_row *row = &r->in->rows[live->row];
        row->service_ns = input->t_ns - live->dispatch_ns;
        row->output_tokens = done->output_tokens;
        if (done->prompt_tokens > 0) {
            row->prompt_tokens = done->prompt_tokens;
        }
        live->id = 0;
    }
    live->dispatch_ns = -1;
}

/* ------------------------------------------------------------------ switches */

static void cost_add(struct journal_in_cost *cost, int64_t took_ns)
{
    double took_s = (double)took_ns / (double)CORE_NS_PER_S;
    double log_s = core_log(took_s > 1e-9 ? took_s : 1e-9);
    cost->count++;
    cost->sum_s += took_s;
    cost->log_sum += log_s;
    cost->log_sum2 += log_s * log_s;
}

/* The tier that the time of a step is kept under: where it leads out to, or comes in from. */
static uint32_t step_tier(const struct core_act_step *act)
{
    switch ((enum core_step)act->step) {
    case CORE_STEP_OUT:
        return act->to_tier;
    case CORE_STEP_IN:
        return act->from_tier;
    case CORE_STEP_PROBE:
    case CORE_STEP_COUNT:
        break;
    }
    return JOURNAL_IN_PROBE_TIER;
}

static void step_begins(struct reading *r, const struct core_act_step *act, int64_t t_ns)
{
    if (act->instance < r->in->instance_count) {
        r->steps[act->instance] =
            (struct step){.switch_id = act->switch_id,
                          .since_ns = t_ns,
                          .step = act->step,
                          .tier = step_tier(act),
                          /* A prefetch raises a model's tier and no further. */
                          .on = act->step == CORE_STEP_OUT || act->to_tier == SHUNT_TIER_RESIDENT};
    }
}

static void step_ends(struct reading *r, const struct core_input *input)
{
    const struct core_in_step *end = &input->u.step;
    if (end->instance >= r->in->instance_count) {
        return;
    }
    struct step *step = &r->steps[end->instance];
    if (!step->on || step->switch_id != end->switch_id || step->step != end->step) {
        return;
    }
    step->on = false;
    /* After an escalation the time is not that of the tier that was wanted. */
    if (end->ok && step->tier < SHUNT_TIER_COUNT &&
        (step->step != CORE_STEP_OUT || end->tier == step->tier)) {
        uint32_t model = r->in->instances[end->instance].model;
        cost_add(journal_in_cost(r->in, model, step->step, step->tier),
                 input->t_ns - step->since_ns);
        r->in->summary.switches++;
    }
}

/* ------------------------------------------------------------------ records */

static void drain(struct reading *r)
{
    struct core_action action;
    while (core_next(r->core, &action)) {
        if (action.kind == CORE_ACT_ACCEPT) {
            uint32_t index = (uint32_t)action.u.accept.request;
            r->live[index] = (struct live){
                .id = action.u.accept.request, .row = r->in->row_count - 1, .dispatch_ns = -1};
        } else if (action.kind == CORE_ACT_DISPATCH) {
            struct live *live = live_at(r, action.u.dispatch.request);
            if (live) {
                live->dispatch_ns = action.t_ns;
            }
        } else if (action.kind == CORE_ACT_STEP) {
            step_begins(r, &action.u.step, action.t_ns);
        }
    }
}

/* What is where when the first request arrives. */
static void begin(struct reading *r, int64_t t_ns)
{
    struct journal_in *in = r->in;
    in->begun = true;
    in->begin_ns = t_ns;
    for (uint32_t i = 0; i < in->instance_count; i++) {
        (void)core_instance_view(r->core, i, &in->instances[i]);
        in->resident[i] = in->instances[i].state == SHUNT_INSTANCE_RESIDENT ||
                          in->instances[i].state == SHUNT_INSTANCE_DRAINING;
    }
    for (uint32_t m = 0; m < in->model_count; m++) {
        struct core_model_stats stats;
        core_model_stats(r->core, m, t_ns, &stats);
        in->summary.before += stats.queued + stats.in_flight;
    }
}

static int take_input(struct reading *r, const struct journal_record *record)
{
    struct record_input input;
    if (!r->core) {
        return 0; /* behind a gap, which is named */
    }
    if (record_input_decode(record->payload, record->len, &input)) {
        return FAIL(r, -EBADMSG, "an input cannot be read: another build wrote it");
    }
    if (input.input.t_ns < r->last_ns) {
        return FAIL(r, -EINVAL,
                    "time runs back: the journal holds several runs; give the segments of one");
    }
    r->last_ns = input.input.t_ns;
    if (input.input.kind == CORE_IN_REQUEST) {
        if (!r->in->begun) {
            begin(r, input.input.t_ns);
        }
        if (input.input.u.request.model >= r->in->model_count) {
            return FAIL(r, -EBADMSG, "a request for a model that the configuration has not");
        }
        int rc = row_add(r, &input.input);
        if (rc) {
            return rc;
        }
    } else if (input.input.kind == CORE_IN_COMPLETE) {
        complete(r, &input.input);
    } else if (input.input.kind == CORE_IN_STEP) {
        step_ends(r, &input.input);
    }
    (void)core_apply(r->core, &input.input);
    drain(r);
    return 0;
}

static int make_tables(struct reading *r)
{
    struct journal_in *in = r->in;
    struct core_instance_view view;
    while (core_instance_view(r->core, in->instance_count, &view) == 0) {
        in->model_count = view.model >= in->model_count ? view.model + 1 : in->model_count;
        in->device_count = view.device >= in->device_count ? view.device + 1 : in->device_count;
        in->instance_count++;
    }
    r->live_count = core_request_capacity(r->core);
    r->live = calloc(r->live_count, sizeof(*r->live));
    r->steps = calloc(in->instance_count + 1u, sizeof(*r->steps));
    in->resident = calloc(in->instance_count + 1u, sizeof(*in->resident));
    in->instances = calloc(in->instance_count + 1u, sizeof(*in->instances));
    in->costs = calloc(((size_t)in->model_count + 1) * CORE_STEP_COUNT * SHUNT_TIER_COUNT,
                       sizeof(*in->costs));
    if (!r->live || !r->steps || !in->resident || !in->instances || !in->costs) {
        return FAIL(r, -ENOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < in->instance_count; i++) {
        (void)core_instance_view(r->core, i, &in->instances[i]);
    }
    return 0;
}

/* Behind a gap the requests that lived before it are forgotten. */
static int take_keyframe(struct reading *r, const struct journal_record *record)
{
    struct record_keyframe keyframe;
    bool resumed = r->keyframe_read && !r->core;
    int rc = record_keyframe_decode(record->payload, record->len, &keyframe);
    core_drop(r);
    rc = rc ? rc : record_core_load(&keyframe, &r->memory, &r->core);
    if (rc) {
        return FAIL(r, rc, "%s",
                    rc == -ENOMEM ? "out of memory"
                                  : "the keyframe cannot be loaded: another build wrote it, or it "
                                    "is damaged");
    }
    if (!r->keyframe_read) {
        r->keyframe_read = true;
        return make_tables(r);
    }
    if (core_request_capacity(r->core) != r->live_count) {
        return FAIL(r, -EINVAL,
                    "the host was started again with other limits; give the segments "
                    "of one run");
    }
    if (resumed) {
        memset(r->live, 0, r->live_count * sizeof(*r->live));
        memset(r->steps, 0, r->in->instance_count * sizeof(*r->steps));
    }
    return 0;
}

static int take_config(struct reading *r, const struct journal_record *record)
{
    json_error_t error;
    json_t *config = json_loadb(record->payload, record->len, 0, &error);
    if (!config) {
        return FAIL(r, -EBADMSG, "the configuration cannot be read: %s", error.text);
    }
    if (!r->in->config) {
        r->in->config = config;
        return 0;
    }
    bool same = json_equal(config, r->in->config);
    json_decref(config);
    return same ? 0
                : FAIL(r, -EINVAL,
                       "the configuration was changed here; give the segments before or after");
}

static int take(struct reading *r, const struct journal_item *item)
{
    struct journal_in *in = r->in;
    r->segment = item->segment;
    r->offset = item->offset;
    if (journal_item_is_gap(item->kind)) {
        /* The tail of the last segment: it is being written, or its writer died. */
        if (in->summary.gaps++ == 0) {
            (void)snprintf(in->summary.first_gap, sizeof(in->summary.first_gap), "%s", item->text);
        }
        core_drop(r);
        return 0;
    }
    if (item->kind == JOURNAL_ITEM_SEGMENT) {
        in->simulated |= strncmp(item->header.build, "shunt sim", strlen("shunt sim")) == 0;
        return 0;
    }
    switch (item->record.type) {
    case JOURNAL_KEYFRAME:
        return take_keyframe(r, &item->record);
    case JOURNAL_INPUT:
        return take_input(r, &item->record);
    case JOURNAL_CONFIG:
        return take_config(r, &item->record);
    default:
        return 0;
    }
}

static int read_all(struct reading *r, const char *path)
{
    struct journal_reader *reader = NULL;
    struct journal_item item;
    int rc = journal_reader_open(&reader, path);
    if (rc) {
        (void)snprintf(r->err, r->err_size, "%s: %s", path, strerror(-rc));
        return rc;
    }
    int got = 0;
    while (!rc && (got = journal_reader_next(reader, &item)) > 0) {
        rc = take(r, &item);
    }
    journal_reader_close(reader);
    if (!rc && got < 0) {
        (void)snprintf(r->err, r->err_size, "%s: %s", path, strerror(-got));
        return got;
    }
    if (!rc && (!r->keyframe_read || !r->in->config)) {
        (void)snprintf(r->err, r->err_size,
                       r->keyframe_read ? "%s: the journal does not say which models it is about: "
                                          "an older build wrote it"
                                        : "%s: there is no keyframe in it: is it the folder of a "
                                          "cell's journal?",
                       path);
        return -EINVAL;
    }
    if (!rc && r->in->row_count == 0) {
        (void)snprintf(r->err, r->err_size, "%s: no request arrived in this journal", path);
        return -EINVAL;
    }
    return rc;
}

int journal_in_convert(const char *path, const char *folder, struct journal_in_summary *ret_summary,
                       char *err, size_t err_size)
{
    struct journal_in in = {0};
    struct reading r = {.in = &in, .last_ns = INT64_MIN, .err = err, .err_size = err_size};
    const char *slash = strrchr(path, '/');
    (void)snprintf(in.name, sizeof(in.name), "journal %.50s", slash && slash[1] ? slash + 1 : path);
    int rc = read_all(&r, path);
    rc = rc ? rc : journal_in_write(&in, folder, err, err_size);
    if (!rc) {
        in.summary.requests = in.row_count;
        *ret_summary = in.summary;
    }
    core_drop(&r);
    free(r.live);
    free(r.steps);
    free(in.resident);
    free(in.instances);
    free(in.rows);
    free(in.costs);
    json_decref(in.config);
    return rc;
}
