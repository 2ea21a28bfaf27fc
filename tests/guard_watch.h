/*
 * Gaps and waits of a simulated run, measured from outside by the definitions of docs/GUARD.md and
 * held against the bounds that the core states at that time. An observer of sim/sim.h; it knows
 * inputs, actions and the core's queries, nothing of the guard.
 *
 * A model waits while its queue is non-empty and no instance admits. Its gap is looked at in every
 * settled instant, while it runs too, and ends with a visit, a dispatch or an empty queue, or in a
 * settled instant in which some instance admits; one whose places are all taken ends it even if it
 * is closed again before time goes on. The bound of a gap is the largest that was in
 * force while it ran: automatic settings follow what is learned. The first excess is kept as text.
 */
#ifndef TESTS_GUARD_WATCH_H
#define TESTS_GUARD_WATCH_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/sim.h"

enum { GUARD_WATCH_MODELS_MAX = 16 };

struct guard_watch_model {
    bool waiting;   /* a gap runs */
    bool unbounded; /* no bound held at some time of this gap */
    int64_t gap_since_ns;
    int64_t gap_bound_ns;  /* largest in force during the gap */
    int64_t wait_bound_ns; /* largest in force since reset_ns; 0: none */
    int64_t reset_ns;      /* waits count of requests that arrive from here on */
    bool wait_unbounded;   /* none held at some time since then */
    /* In the present instant: */
    bool visited, dispatched, emptied;
    bool reopened; /* admitted for a moment at least, all places taken: that ends a gap */
    bool unsure;   /* whether the gap began so late: the record of a visit may tell another */
};

struct guard_watch {
    bool fixed; /* settings do not follow what is learned: records keep their own bound too */
    struct guard_watch_model models[GUARD_WATCH_MODELS_MAX];
    uint32_t model_count, instance_count;
    int64_t t_ns; /* the present instant */
    bool begun;
    double gap_ratio, wait_ratio; /* largest so far */
    uint64_t gaps, waits;         /* held against a bound */
    uint64_t visits, forced;
    char excess[256]; /* "": none */
};

__attribute__((format(printf, 2, 3))) static inline void guard_watch_fail(struct guard_watch *watch,
                                                                          const char *format, ...)
{
    if (!watch->excess[0]) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(watch->excess, sizeof watch->excess, format, args);
        va_end(args);
    }
}

static inline double guard_watch_s(int64_t ns)
{
    return (double)ns * 1e-9;
}

/* ------------------------------------------------------------------ what a settled instant shows
 */

/* Whether some instance admits; one that says so and has room must have taken what waits. */
static inline bool guard_watch_admits(struct guard_watch *watch, struct sim *sim, uint32_t m,
                                      uint32_t queued)
{
    uint64_t places = (uint64_t)sim_scenario(sim)->config->models[m].max_concurrency;
    bool admits = false;
    struct core_instance_view view;
    for (uint32_t i = 0; core_instance_view(sim_core(sim), i, &view) == 0; i++) {
        if (view.model != m) {
            continue;
        }
        admits |= view.admitting != 0;
        if (view.admitting && queued > 0 && view.in_flight < places) {
            guard_watch_fail(watch, "model %u: %u wait at %.3f s although instance %u admits", m,
                             queued, guard_watch_s(watch->t_ns), i);
        }
    }
    return admits;
}

static inline void guard_watch_gap(struct guard_watch *watch, uint32_t m)
{
    const struct guard_watch_model *model = &watch->models[m];
    if (model->unbounded) {
        return;
    }
    int64_t gap_ns = watch->t_ns - model->gap_since_ns;
    double ratio = (double)gap_ns / (double)model->gap_bound_ns;
    watch->gap_ratio = ratio > watch->gap_ratio ? ratio : watch->gap_ratio;
    if (gap_ns > model->gap_bound_ns) {
        guard_watch_fail(watch, "model %u: a gap of %.3f s since %.3f s, its bound is %.3f s", m,
                         guard_watch_s(gap_ns), guard_watch_s(model->gap_since_ns),
                         guard_watch_s(model->gap_bound_ns));
    }
}

static inline void guard_watch_model(struct guard_watch *watch, struct sim *sim, uint32_t m)
{
    struct guard_watch_model *model = &watch->models[m];
    struct core_model_stats stats;
    struct core_bounds bounds;
    core_model_stats(sim_core(sim), m, watch->t_ns, &stats);
    core_bounds_guaranteed(sim_core(sim), m, &bounds);
    bool waits = stats.queued > 0 && !guard_watch_admits(watch, sim, m, stats.queued);
    if (model->waiting) {
        guard_watch_gap(watch, m);
        if (!waits || model->visited || model->dispatched || model->emptied || model->reopened) {
            model->waiting = false;
            watch->gaps += !model->unbounded;
        }
    }
    if (waits && !model->waiting) {
        model->waiting = true;
        model->unbounded = false;
        model->unsure = model->reopened;
        model->gap_since_ns = watch->t_ns;
        model->gap_bound_ns = 0;
    }
    model->unbounded |= bounds.gap_ns == 0;
    model->gap_bound_ns = bounds.gap_ns > model->gap_bound_ns ? bounds.gap_ns : model->gap_bound_ns;
    model->wait_unbounded |= bounds.wait_ns == 0;
    model->wait_bound_ns =
        bounds.wait_ns > model->wait_bound_ns ? bounds.wait_ns : model->wait_bound_ns;
    model->visited = false;
    model->dispatched = false;
    model->emptied = false;
    model->reopened = false;
}

static inline void guard_watch_settled(struct guard_watch *watch, struct sim *sim)
{
    for (uint32_t m = 0; m < watch->model_count; m++) {
        guard_watch_model(watch, sim, m);
    }
}

/* ------------------------------------------------------------------ hooks */

static inline bool guard_watch_full(struct sim *sim, const struct core_instance_view *view)
{
    const struct config *config = sim_scenario(sim)->config;
    return view->in_flight >= (uint64_t)config->models[view->model].max_concurrency;
}

static inline void guard_watch_reopened(struct guard_watch *watch, struct sim *sim)
{
    struct core_instance_view view;
    for (uint32_t i = 0; core_instance_view(sim_core(sim), i, &view) == 0; i++) {
        watch->models[view.model].reopened |= view.admitting && guard_watch_full(sim, &view);
    }
}

/* A device left or came back: gaps and waits of the models that fit it count anew. */
static inline void guard_watch_device(struct guard_watch *watch, struct sim *sim, uint32_t device)
{
    struct core_instance_view view;
    for (uint32_t i = 0; core_instance_view(sim_core(sim), i, &view) == 0; i++) {
        struct guard_watch_model *model = &watch->models[view.model];
        if (view.device == device) {
            *model = (struct guard_watch_model){.reset_ns = watch->t_ns + 1};
        }
    }
}

static inline void guard_watch_input(void *ctx, struct sim *sim, const struct core_input *input)
{
    struct guard_watch *watch = ctx;
    if (!input) {
        watch->model_count = scenario_models(sim_scenario(sim));
        return;
    }
    if (watch->begun && input->t_ns > watch->t_ns) {
        guard_watch_settled(watch, sim);
    }
    watch->begun = true;
    watch->t_ns = input->t_ns;
    for (uint32_t m = 0; m < watch->model_count; m++) {
        struct core_model_stats stats;
        core_model_stats(sim_core(sim), m, input->t_ns, &stats);
        watch->models[m].emptied |= stats.queued == 0;
    }
    guard_watch_reopened(watch, sim);
    if (input->kind == (uint32_t)CORE_IN_DEVICE) {
        guard_watch_device(watch, sim, input->u.device.device);
    } else if (input->kind == (uint32_t)CORE_IN_ENGINE_LOST) {
        struct core_instance_view view;
        if (core_instance_view(sim_core(sim), input->u.engine_lost.instance, &view) == 0) {
            watch->models[view.model].reset_ns = input->t_ns + 1;
        }
    }
}

static inline void guard_watch_wait(struct guard_watch *watch, uint32_t m,
                                    const struct sim_request *request)
{
    const struct guard_watch_model *model = &watch->models[m];
    if (request->arrival_ns < model->reset_ns || model->wait_unbounded ||
        model->wait_bound_ns == 0) {
        return;
    }
    int64_t wait_ns = watch->t_ns - request->arrival_ns;
    double ratio = (double)wait_ns / (double)model->wait_bound_ns;
    watch->wait_ratio = ratio > watch->wait_ratio ? ratio : watch->wait_ratio;
    watch->waits++;
    if (wait_ns > model->wait_bound_ns) {
        guard_watch_fail(watch, "model %u: a wait of %.3f s since %.3f s, its bound is %.3f s", m,
                         guard_watch_s(wait_ns), guard_watch_s(request->arrival_ns),
                         guard_watch_s(model->wait_bound_ns));
    }
}

/* The core tells gap and bound of every visit: the gap must be the one seen here. */
static inline void guard_watch_visit(struct guard_watch *watch, const struct core_rec_visit *visit)
{
    struct guard_watch_model *model = &watch->models[visit->model];
    bool runs = model->waiting && !model->visited && !model->dispatched;
    int64_t gap_ns = runs ? watch->t_ns - model->gap_since_ns : 0;
    if (visit->gap_ns != gap_ns && !model->emptied && !model->reopened && !model->unsure &&
        model->reset_ns == 0) {
        guard_watch_fail(watch,
                         "model %u: the visit at %.3f s ends a gap of %.3f s, told is %.3f s",
                         visit->model, guard_watch_s(watch->t_ns), guard_watch_s(gap_ns),
                         guard_watch_s(visit->gap_ns));
    }
    if (watch->fixed && visit->bound_ns > 0 && visit->gap_ns > visit->bound_ns) {
        guard_watch_fail(watch, "model %u: a visit at %.3f s tells a gap of %.3f s, bound %.3f s",
                         visit->model, guard_watch_s(watch->t_ns), guard_watch_s(visit->gap_ns),
                         guard_watch_s(visit->bound_ns));
    }
    model->visited = true;
    watch->visits++;
    watch->forced +=
        visit->cause >= SHUNT_CAUSE_FORCED_CAP && visit->cause <= SHUNT_CAUSE_FORCED_AGE;
}

static inline void guard_watch_action(void *ctx, struct sim *sim, const struct core_action *action,
                                      const struct sim_request *request)
{
    struct guard_watch *watch = ctx;
    struct core_instance_view view;
    if (action->kind == (uint32_t)CORE_ACT_DISPATCH) {
        guard_watch_wait(watch, request->model, request);
        watch->models[request->model].dispatched = true;
    } else if (action->kind == (uint32_t)CORE_ACT_END && !action->u.end.dispatched) {
        guard_watch_wait(watch, request->model, request);
    } else if (action->kind == (uint32_t)CORE_ACT_RECORD &&
               action->u.record.kind == (uint32_t)CORE_REC_VISIT) {
        guard_watch_visit(watch, &action->u.record.u.visit);
    } else if (action->kind == (uint32_t)CORE_ACT_RECORD &&
               action->u.record.kind == (uint32_t)CORE_REC_INSTANCE &&
               action->u.record.u.instance.state == SHUNT_INSTANCE_RESIDENT &&
               core_instance_view(sim_core(sim), action->u.record.u.instance.instance, &view) ==
                   0) {
        watch->models[view.model].reopened |= guard_watch_full(sim, &view);
    }
}

static inline struct sim_observer guard_watch_observer(struct guard_watch *watch)
{
    return (struct sim_observer){
        .ctx = watch, .input = guard_watch_input, .action = guard_watch_action};
}

#endif
