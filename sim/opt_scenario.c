/* See opt_scenario.h. */
#include "sim/opt_scenario.h"

#include "base/fail.h"
#include "sim/serial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ------------------------------------------------------------------ conditions */

static const char *switch_reason(const struct scenario *s)
{
    const struct scenario_switch *sw = &s->switching;
    if (sw->law != SCENARIO_COST_DETERMINISTIC || sw->late_probability > 0) {
        return "switches take random times";
    }
    if (sw->fail_probability > 0) {
        return "switches fail";
    }
    if (sw->cache_models > 0) {
        return "switch times depend on what is in the host's cache";
    }
    for (uint32_t m = 0; sw->kind == SCENARIO_COST_MODEL && m < scenario_models(s); m++) {
        if (s->config->models[m].tiers.count > 1) {
            return "a model has several tiers";
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ instance */

/* What a switch takes, straight; from no model where FROM is the number of models. */
static int64_t switch_ns(const struct scenario *s, uint32_t from, uint32_t to)
{
    const struct scenario_switch *sw = &s->switching;
    uint32_t count = scenario_models(s);
    if (from == to) {
        return 0;
    }
    if (sw->kind == SCENARIO_COST_MATRIX) {
        return from == count ? sw->from_empty_ns[to] : sw->matrix_ns[(size_t)from * count + to];
    }
    int64_t out = 0, in, probe = sw->probe_ns ? sw->probe_ns[to] : 0;
    if (from != count) {
        out = sw->out_ns[(size_t)from * SHUNT_TIER_COUNT + s->config->models[from].tiers.tier[0]];
    }
    in = sw->in_ns[(size_t)to * SHUNT_TIER_COUNT + s->config->models[to].tiers.tier[0]];
    return (out > 0 ? out : 0) + (in > 0 ? in : 0) + probe;
}

static void fill_costs(const struct scenario *s, int64_t *ret_cost)
{
    uint32_t count = scenario_models(s);
    size_t row = (size_t)count + 1;
    for (uint32_t from = 0; from <= count; from++) {
        for (uint32_t to = 0; to < count; to++) {
            ret_cost[from * row + to] = switch_ns(s, from, to);
        }
        ret_cost[from * row + count] = from == count ? 0 : INT64_MAX;
    }
}

static uint32_t initial_model(const struct scenario *s)
{
    uint32_t count = scenario_models(s);
    for (uint32_t m = 0; m < count; m++) {
        if (s->initial_tier[m] == SHUNT_TIER_RESIDENT) {
            return m;
        }
    }
    return count;
}

struct jobs {
    struct opt_job *items;
    size_t len, size;
};

static int add_job(struct jobs *jobs, const struct arrival *arrival, char *err, size_t err_size)
{
    if (jobs->len == OPT_JOBS_MAX) {
        return fail(-E2BIG, err, err_size, "more than %d requests; set requests or horizon_s",
                    OPT_JOBS_MAX);
    }
    if (arrival->service_ns < 0) {
        return fail(-EINVAL, err, err_size, "request %" PRIu64 " has no service time",
                    arrival->index);
    }
    if (jobs->len == jobs->size) {
        size_t size = 2 * jobs->size + 1024;
        struct opt_job *grown = reallocarray(jobs->items, size, sizeof *grown);
        if (!grown) {
            return fail(-ENOMEM, err, err_size, "out of memory");
        }
        jobs->items = grown;
        jobs->size = size;
    }
    jobs->items[jobs->len++] = (struct opt_job){
        .arrival = arrival->t_ns, .service = arrival->service_ns, .model = arrival->model};
    return 0;
}

static int read_jobs(const struct scenario *s, uint64_t seed, struct jobs *jobs, char *err,
                     size_t err_size)
{
    struct arrivals_options options = {
        .seed = seed, .requests_max = s->requests_max, .horizon_ns = s->horizon_ns};
    struct arrivals *arrivals = NULL;
    struct arrival arrival;
    int rc = arrivals_create(&arrivals, &s->arrivals, &options, err, err_size);
    while (rc == 0) {
        rc = arrivals_next(arrivals, &arrival, err, err_size);
        if (rc <= 0) {
            break;
        }
        rc = add_job(jobs, &arrival, err, err_size);
    }
    arrivals_destroy(arrivals);
    return rc;
}

int opt_of_scenario(const struct scenario *s, uint64_t seed, struct opt **ret_opt, char *err,
                    size_t err_size)
{
    const char *reason = serial_reason(s);
    reason = reason ? reason : switch_reason(s);
    if (reason) {
        return fail(-EINVAL, err, err_size, "%s: there is no offline optimum for it: %s", s->file,
                    reason);
    }
    size_t states = (size_t)scenario_models(s) + 1;
    struct jobs jobs = {0};
    int64_t *cost = calloc(states * states, sizeof *cost);
    int rc = cost ? 0 : fail(-ENOMEM, err, err_size, "out of memory");
    rc = rc ? rc : read_jobs(s, seed, &jobs, err, err_size);
    if (rc == 0) {
        fill_costs(s, cost);
        struct opt_instance instance = {.models = scenario_models(s),
                                        .initial = initial_model(s),
                                        .cost = cost,
                                        .jobs = jobs.items,
                                        .jobs_len = jobs.len};
        rc = opt_create(&instance, ret_opt, err, err_size);
    }
    free(jobs.items);
    free(cost);
    return rc;
}
