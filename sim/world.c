/* A run: what it is made of, and its loop. See sim.h. */
#include "sim/world.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A run whose last requests are left alone for so many instants does not end; nor, where no guard
 * overrules the policy in the end, one that leaves them alone for so long. */
#define STARVED_NS     (INT64_C(24) * 3600 * CORE_NS_PER_S)
#define STARVED_ROUNDS (UINT64_C(1) << 26)
#define TELL_EVENTS    (UINT64_C(1) << 16)

/* ------------------------------------------------------------------ small things */

void world_fail(struct sim *sim, int error, const char *format, ...)
{
    assert(error < 0);
    if (sim->error) {
        return;
    }
    sim->error = error;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sim->text, sizeof sim->text, format, args);
    va_end(args);
}

void world_push(struct sim *sim, int64_t t_ns, enum world_rank rank, uint32_t a, uint32_t b)
{
    if (calendar_push(&sim->calendar, t_ns, (uint32_t)rank, a, b) != 0) {
        world_fail(sim, -ENOMEM, "out of memory");
    }
}

const char *world_policy_name(const struct sim *sim)
{
    return sim->plugin ? sim->plugin->note.id : "built-in";
}

static void check(struct sim *sim)
{
    const char *broken = core_check(sim->core);
    if (broken) {
        world_fail(sim, -EPROTO, "invariant broken at %.9f s under policy %s: %s",
                   (double)sim->now_ns * 1e-9, world_policy_name(sim), broken);
    }
}

int world_feed(struct sim *sim, struct core_input *input)
{
    input->t_ns = sim->now_ns;
    int rc = drive_input(sim->drive, input);
    if (rc == -ENOMEM) {
        world_fail(sim, rc, "out of memory");
    }
    if (sim->options.checked) {
        check(sim);
    }
    return rc;
}

void world_observe(struct sim *sim, const struct core_action *action,
                   const struct sim_request *request)
{
    for (uint32_t i = 0; i < sim->options.observer_count; i++) {
        const struct sim_observer *observer = &sim->options.observers[i];
        if (observer->action) {
            observer->action(observer->ctx, sim, action, request);
        }
    }
}

/* ------------------------------------------------------------------ what the drive calls */

static void on_input(void *ctx, const struct core_input *input)
{
    struct sim *sim = ctx;
    if (sim->options.checked) {
        check(sim);
    }
    for (uint32_t i = 0; i < sim->options.observer_count; i++) {
        const struct sim_observer *observer = &sim->options.observers[i];
        if (observer->input) {
            observer->input(observer->ctx, sim, input);
        }
    }
}

static void on_record(struct sim *sim, const struct core_action *action)
{
    const struct core_act_record *record = &action->u.record;
    switch ((enum core_record_kind)record->kind) {
    case CORE_REC_REQUEST:
        request_action(sim, action);
        return;
    case CORE_REC_SWITCH:
        switch_ended(sim, &record->u.change);
        break;
    case CORE_REC_VISIT:
        if (sim->measure) {
            measure_visit(sim->measure, record->u.visit.model, sim->now_ns);
        } else {
            sim->visits_first++;
        }
        break;
    case CORE_REC_DECISION:
    case CORE_REC_GUARD:
    case CORE_REC_INSTANCE:
    case CORE_REC_SLOT:
    case CORE_REC_KIND_COUNT:
        break;
    }
    world_observe(sim, action, NULL);
}

static void on_action(void *ctx, const struct core_action *action)
{
    struct sim *sim = ctx;
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
    case CORE_ACT_REJECT:
    case CORE_ACT_DISPATCH:
    case CORE_ACT_END:
    case CORE_ACT_ABORT:
        request_action(sim, action);
        break;
    case CORE_ACT_STEP:
        world_observe(sim, action, NULL);
        step_begin(sim, &action->u.step);
        break;
    case CORE_ACT_STEP_CANCEL:
        world_observe(sim, action, NULL);
        step_cancel(sim, &action->u.step);
        break;
    case CORE_ACT_RECORD:
        on_record(sim, action);
        break;
    case CORE_ACT_ASK:
    case CORE_ACT_NOTIFY:
    case CORE_ACT_KIND_COUNT:
        break;
    }
}

static bool on_ask(void *ctx, const struct core_act_ask *ask)
{
    return policy_ask(ctx, ask);
}

static void on_answered(void *ctx, const struct core_act_ask *ask, int status,
                        const struct shunt_answer *answer)
{
    struct sim *sim = ctx;
    for (uint32_t i = 0; i < sim->options.observer_count; i++) {
        const struct sim_observer *observer = &sim->options.observers[i];
        if (observer->answered) {
            observer->answered(observer->ctx, sim, ask, status, answer);
        }
    }
}

static void on_lost(void *ctx, uint32_t slot, struct policy *policy)
{
    struct sim *sim = ctx;
    (void)slot;
    sim->lost = policy;
    world_fail(sim, -EIO, "policy %s: its models_changed failed", policy_plugin(policy)->note.id);
}

/* What nobody looks at costs nothing. */
static void choose_ops(struct sim *sim)
{
    sim->ops = (struct drive_ops){.action = on_action, .lost = on_lost};
    if (sim->options.checked) {
        sim->ops.journal = on_input;
    }
    if (sim->scenario->decision_latency_ns > 0) {
        sim->ops.ask = on_ask;
    }
    for (uint32_t i = 0; i < sim->options.observer_count; i++) {
        if (sim->options.observers[i].input) {
            sim->ops.journal = on_input;
        }
        if (sim->options.observers[i].answered) {
            sim->ops.answered = on_answered;
        }
    }
}

/* ------------------------------------------------------------------ arrivals beforehand */

static int arrivals_open(const struct scenario *scenario, uint64_t seed,
                         struct arrivals **ret_arrivals, char *err, size_t err_size)
{
    const struct arrivals_options options = {
        .seed = seed, .requests_max = scenario->requests_max, .horizon_ns = scenario->horizon_ns};
    return arrivals_create(ret_arrivals, &scenario->arrivals, &options, err, err_size);
}

int sim_count_arrivals(const struct scenario *scenario, uint64_t seed, uint64_t *ret_count,
                       char *err, size_t err_size)
{
    *ret_count = 0;
    if (arrivals_closed(&scenario->arrivals)) {
        return 0;
    }
    for (size_t i = 0; i < scenario->arrivals.sources_len; i++) {
        if (arrivals_endless(&scenario->arrivals.sources[i]) && scenario->horizon_ns == 0) {
            *ret_count = scenario->requests_max;
            return 0;
        }
    }
    struct arrivals *arrivals = NULL;
    int rc = arrivals_open(scenario, seed, &arrivals, err, err_size);
    struct arrival arrival;
    uint64_t count = 0;
    while (rc == 0 && (rc = arrivals_next(arrivals, &arrival, err, err_size)) == 1) {
        count++;
        rc = 0;
    }
    arrivals_destroy(arrivals);
    if (rc == 0) {
        *ret_count = count;
    }
    return rc;
}

/* ------------------------------------------------------------------ making a run */

static int make_core(struct sim *sim)
{
    struct core_limits limits;
    layout_limits(sim->scenario->config, &limits);
    /* What is fixed at start is as large as is used: tables are walked. */
    limits.models_max = sim->layout->model_count;
    limits.devices_max = sim->layout->device_count;
    limits.instances_max = sim->layout->instance_count;
    limits.slots_max = WORLD_SLOTS;
    sim->core_bytes = core_size(&limits);
    if (sim->core_bytes == 0) {
        world_fail(sim, -EINVAL, "%s: its limits are beyond those of the core",
                   sim->scenario->file);
        return sim->error;
    }
    void *memory = mmap(NULL, sim->core_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        world_fail(sim, -ENOMEM, "out of memory");
        return sim->error;
    }
    sim->core_memory = memory;
    sim->core = core_init(memory, sim->core_bytes, &limits, sim->options.seed);
    assert(sim->core);
    choose_ops(sim);
    int rc = drive_create(sim->core, &sim->ops, sim, &sim->drive);
    struct core_config_error error;
    rc = rc ? rc : drive_configure(sim->drive, &sim->layout->core, 0, &error);
    if (rc == -EINVAL) {
        layout_explain(sim->layout, &error, sim->text, sizeof sim->text);
    }
    return rc;
}

static int make_tables(struct sim *sim)
{
    const struct layout *layout = sim->layout;
    sim->instances = calloc(layout->instance_count, sizeof *sim->instances);
    sim->devices = calloc(layout->device_count, sizeof *sim->devices);
    if (!sim->instances || !sim->devices) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < layout->device_count; i++) {
        sim->devices[i].switched_ns = -1;
        sim->devices[i].victims = calloc(layout->model_count, sizeof(uint32_t));
        if (!sim->devices[i].victims) {
            return -ENOMEM;
        }
    }
    for (uint32_t i = 0; i < layout->instance_count; i++) {
        struct instance *in = &sim->instances[i];
        *in = (struct instance){.model = layout->instances[i].model,
                                .device = layout->instances[i].device,
                                .first = CORE_NONE,
                                .last = CORE_NONE,
                                .alarm_ns = CORE_NEVER};
        const struct scenario_service *service = &sim->scenario->models[in->model].service;
        int rc = sim_engine_is_shared(service) ? sim_engine_create(service, &in->engine) : 0;
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static void push_known(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->scenario->fault_count; i++) {
        world_push(sim, sim->scenario->faults[i].at_ns, WORLD_FAULT, i, 0);
    }
    for (uint32_t i = 0; i < sim->options.change_count; i++) {
        world_push(sim, sim->options.changes[i].at_ns, WORLD_CHANGE, i, 0);
    }
}

/* Slices of equally many arrivals want to know how many there will be. */
static int make_blocks(struct sim *sim)
{
    if (sim->options.blocks == 0) {
        return 0;
    }
    if (sim->arrival_count < sim->options.blocks) {
        world_fail(sim, -EINVAL, "%s: %s for %" PRIu32 " blocks", sim->scenario->file,
                   sim->arrival_count == 0 ? "how many requests come depends on the run, no slices"
                                           : "too few requests",
                   sim->options.blocks);
        return sim->error;
    }
    return measure_blocks(sim->measure, sim->options.blocks, sim->arrival_count);
}

/* After the core has its configuration. */
static int make_figures(struct sim *sim)
{
    const struct scenario *scenario = sim->scenario;
    sim->arrival_count = sim->options.arrivals;
    int rc = 0;
    if (sim->arrival_count == 0) {
        rc = sim_count_arrivals(scenario, sim->options.seed, &sim->arrival_count, sim->text,
                                sizeof sim->text);
    }
    rc = rc ? rc
            : measure_create(scenario, sim->core, sim->options.seed, sim->arrival_count,
                             &sim->measure);
    rc = rc ? rc : make_blocks(sim);
    for (uint32_t i = 0; rc == 0 && i < sim->visits_first; i++) {
        measure_visit(sim->measure, 0, 0);
    }
    return rc;
}

static int make(struct sim *sim)
{
    const struct scenario *scenario = sim->scenario;
    int rc = scenario_layout(sim->scenario, &sim->layout, sim->text, sizeof sim->text);
    rc = rc ? rc : make_tables(sim);
    rc = rc ? rc : switches_create(scenario, sim->options.seed, &sim->switches);
    rc = rc ? rc : make_core(sim);
    rc = rc ? rc : make_figures(sim);
    rc = rc ? rc
            : arrivals_open(scenario, sim->options.seed, &sim->arrivals, sim->text,
                            sizeof sim->text);
    if (rc == 0 && scenario->costs_known) {
        rc = switches_seed_costs(sim->switches, sim->core);
    }
    if (rc) {
        return rc;
    }
    for (uint32_t i = 0; i < sim->options.observer_count; i++) {
        if (sim->options.observers[i].input) {
            sim->options.observers[i].input(sim->options.observers[i].ctx, sim, NULL);
        }
    }
    push_known(sim);
    (void)policy_install(sim, &sim->options.policy, false);
    request_look(sim);
    sim->wake_ns = core_wake_ns(sim->core);
    return sim->error;
}

int sim_create(const struct sim_options *options, struct sim **ret_sim, char *err, size_t err_size)
{
    struct sim *sim = calloc(1, sizeof *sim);
    if (!sim) {
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    sim->options = *options;
    sim->scenario = options->scenario;
    sim->slot = CORE_NONE;
    sim->request_free = CORE_NONE;
    sim->answer_free = CORE_NONE;
    sim->arrivals_closed = arrivals_closed(&options->scenario->arrivals);
    int rc = make(sim);
    if (rc) {
        (void)snprintf(err, err_size, "%s", sim->text[0] ? sim->text : strerror(-rc));
        sim_destroy(sim);
        return rc;
    }
    *ret_sim = sim;
    return 0;
}

void sim_destroy(struct sim *sim)
{
    if (!sim) {
        return;
    }
    policy_remove_all(sim);
    drive_destroy(sim->drive);
    measure_destroy(sim->measure);
    switches_destroy(sim->switches);
    arrivals_destroy(sim->arrivals);
    for (uint32_t i = 0; sim->instances && i < sim->layout->instance_count; i++) {
        sim_engine_destroy(sim->instances[i].engine);
    }
    for (uint32_t i = 0; sim->devices && i < sim->layout->device_count; i++) {
        free(sim->devices[i].victims);
    }
    free(sim->instances);
    free(sim->devices);
    free(sim->requests);
    free(sim->answers);
    calendar_fini(&sim->calendar);
    layout_destroy(sim->layout);
    if (sim->core_memory) {
        (void)munmap(sim->core_memory, sim->core_bytes);
    }
    free(sim);
}

/* ------------------------------------------------------------------ the loop */

static void happens(struct sim *sim, const struct calendar_entry *entry)
{
    switch ((enum world_rank)calendar_rank(entry)) {
    case WORLD_STEP:
        step_ends(sim, entry->a, entry->b);
        break;
    case WORLD_ENGINE:
        instance_alarm(sim, entry->a, entry->b);
        break;
    case WORLD_COMPLETE:
        request_completes(sim, entry->a, entry->b);
        break;
    case WORLD_ABORTED:
        request_aborted(sim, entry->a, entry->b);
        break;
    case WORLD_LIMIT:
        instance_limit(sim, entry->a);
        break;
    case WORLD_FAULT:
        fault_happens(sim, &sim->scenario->faults[entry->a]);
        break;
    case WORLD_CHANGE:
        change_happens(sim, &sim->options.changes[entry->a]);
        break;
    case WORLD_PATIENCE:
        request_patience(sim, entry->a, entry->b);
        break;
    case WORLD_DECISION:
        policy_decision(sim, entry->a);
        break;
    case WORLD_ARRIVAL:
        assert(!"arrivals are not in the calendar");
        break;
    }
}

static int64_t earliest(const struct sim *sim)
{
    const struct calendar_entry *first = calendar_first(&sim->calendar);
    int64_t t_ns = sim->arrival_ns < sim->wake_ns ? sim->arrival_ns : sim->wake_ns;
    return first && first->t_ns < t_ns ? first->t_ns : t_ns;
}

/* Feeds everything that happens at this instant, then lets the core act. */
static void instant(struct sim *sim)
{
    uint64_t events = sim->events;
    while (!sim->error) {
        const struct calendar_entry *first = calendar_first(&sim->calendar);
        bool due = first && first->t_ns <= sim->now_ns;
        if (sim->arrival_ns <= sim->now_ns &&
            (!due || calendar_rank(first) > (uint32_t)WORLD_ARRIVAL)) {
            sim->events++;
            request_arrive(sim);
        } else if (due) {
            const struct calendar_entry entry = calendar_pop(&sim->calendar);
            happens(sim, &entry);
        } else {
            break;
        }
    }
    if (!sim->error) {
        sim->events += sim->events == events; /* a timer of the core or of the policy */
        sim->wake_ns = drive_settle(sim->drive, sim->now_ns);
    }
}

static void starved(struct sim *sim, const char *what)
{
    for (uint32_t m = 0; m < sim->layout->model_count; m++) {
        struct core_model_stats stats;
        core_model_stats(sim->core, m, sim->now_ns, &stats);
        if (stats.queued > 0) {
            world_fail(sim, -ELOOP,
                       "policy %s leaves %u requests of %s waiting %s (at %.0f s, %.0f s after "
                       "anything last happened to a request)%s",
                       world_policy_name(sim), stats.queued, sim->layout->names[m], what,
                       (double)sim->now_ns * 1e-9, (double)(sim->now_ns - sim->progress_ns) * 1e-9,
                       sim->scenario->guard_off ? ": the guard is off, nobody overrules it" : "");
        }
    }
    world_fail(sim, -ELOOP, "policy %s: %u requests can not end %s", world_policy_name(sim),
               sim->living, what);
}

static void check_progress(struct sim *sim, int64_t next_ns)
{
    if (next_ns == CORE_NEVER) {
        starved(sim, "and nothing more can happen");
    } else if (sim->arrivals_over && sim->in_service == 0 &&
               ((sim->scenario->guard_off && next_ns - sim->progress_ns > STARVED_NS) ||
                sim->progress_rounds++ > STARVED_ROUNDS)) {
        starved(sim, "after the last arrival");
    }
}

static void tell_progress(struct sim *sim)
{
    if (sim->events - sim->progress_told < TELL_EVENTS) {
        return;
    }
    sim->progress_told = sim->events;
    double done = 0.0;
    if (sim->arrival_count > 0) {
        done = (double)sim->offered / (double)sim->arrival_count;
    } else if (sim->scenario->horizon_ns > 0) {
        done = (double)sim->now_ns / (double)sim->scenario->horizon_ns;
    }
    if (!sim->options.progress(sim->options.progress_ctx, done < 1.0 ? done : 1.0)) {
        world_fail(sim, -ECANCELED, "stopped");
    }
}

/* ------------------------------------------------------------------ the end */

/* I1, I2 and I14: whatever went in has come out once, and the states of devices fill the time. */
static void check_end(struct sim *sim)
{
    uint64_t ended = 0;
    uint64_t counted = 0;
    for (uint32_t i = 0; i <= SHUNT_OUTCOME_REJECTED; i++) {
        ended += sim->outcomes[i];
    }
    for (uint32_t m = 0; m < sim->layout->model_count; m++) {
        struct core_model_stats stats;
        core_model_stats(sim->core, m, sim->now_ns, &stats);
        uint64_t over = 0;
        for (uint32_t i = 0; i < SHUNT_OUTCOME_REJECTED; i++) {
            over += stats.ended[i];
        }
        for (uint32_t i = 0; i < CORE_REJECT_COUNT; i++) {
            counted += stats.rejected[i];
        }
        counted += over;
        if (stats.arrived != over || stats.queued > 0 || stats.in_flight > 0) {
            world_fail(sim, -EPROTO,
                       "I2 broken under policy %s: %s has accepted %" PRIu64
                       " requests and ended %" PRIu64,
                       world_policy_name(sim), sim->layout->names[m], stats.arrived, over);
        }
    }
    if (ended != sim->offered || counted != sim->offered) {
        world_fail(sim, -EPROTO,
                   "I1 broken under policy %s: %" PRIu64 " requests came, %" PRIu64 " ended",
                   world_policy_name(sim), sim->offered, ended);
    }
    for (uint32_t d = 0; d < sim->layout->device_count; d++) {
        struct core_device_stats stats;
        core_device_stats(sim->core, d, sim->now_ns, &stats);
        int64_t sum = 0;
        for (uint32_t i = 0; i < SHUNT_DEVICE_STATE_COUNT; i++) {
            sum += stats.state_ns[i];
        }
        if (sum != sim->now_ns - stats.since_ns) {
            world_fail(sim, -EPROTO,
                       "I14 broken under policy %s: the states of device %s do not "
                       "sum to the time",
                       world_policy_name(sim), sim->layout->devices[d]->name);
        }
    }
}

int sim_run(struct sim *sim, char *err, size_t err_size)
{
    while (!sim->error && !(sim->arrivals_over && sim->living == 0)) {
        int64_t next_ns = earliest(sim);
        check_progress(sim, next_ns);
        if (sim->error) {
            break;
        }
        assert(next_ns >= sim->now_ns);
        sim->now_ns = next_ns;
        instant(sim);
        if (sim->options.progress) {
            tell_progress(sim);
        }
    }
    if (!sim->error) {
        check_end(sim);
    }
    if (sim->error) {
        (void)snprintf(err, err_size, "%s", sim->text);
    }
    return sim->error;
}

int sim_result(struct sim *sim, struct result *ret_result)
{
    int rc = measure_finish(sim->measure, sim->now_ns, sim->events, ret_result);
    if (rc == 0) {
        ret_result->requests.unmapped = arrivals_dropped(sim->arrivals);
    }
    return rc;
}

int64_t sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

struct core *sim_core(struct sim *sim)
{
    return sim->core;
}

struct drive *sim_drive(struct sim *sim)
{
    return sim->drive;
}

const struct scenario *sim_scenario(const struct sim *sim)
{
    return sim->scenario;
}
