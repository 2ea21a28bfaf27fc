/* Whether the bounds of bound.h hold for a scenario, and the rates and moments that it has. */
#include "sim/bound.h"

#include "core/fmath.h"
#include "sim/serial.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static const double second_ns = 1e9;

/* ------------------------------------------------------------------ conditions */

static const char *arrivals_reason(const struct scenario *s)
{
    if (s->arrivals.sources_len == 0) {
        return "nothing arrives";
    }
    for (size_t i = 0; i < s->arrivals.sources_len; i++) {
        const struct arrivals_source *source = &s->arrivals.sources[i];
        if (source->kind != ARRIVALS_POISSON) {
            return "arrivals are not all Poisson";
        }
        if (source->service_s.kind == DIST_NONE || source->model < 0) {
            return "a source of arrivals has no service time";
        }
    }
    return NULL;
}

static const char *condition_reason(const struct scenario *s)
{
    const char *reason = arrivals_reason(s);
    return reason ? reason : serial_reason(s);
}

/* ------------------------------------------------------------------ moments */

/* A time of mean X and mean square X2 that is the sum of independent parts. */
struct moments {
    double mean_s, square_s2;
};

static void add_part(const struct scenario_switch *sw, int64_t ns, struct moments *sum)
{
    double mean = (double)ns / second_ns, variance = 0;
    switch (sw->law) {
    case SCENARIO_COST_DETERMINISTIC:
        break;
    case SCENARIO_COST_EXPONENTIAL:
        variance = mean * mean;
        break;
    case SCENARIO_COST_LOGNORMAL:
        variance = mean * mean * (core_exp(sw->sigma * sw->sigma) - 1);
        break;
    }
    sum->square_s2 += 2 * sum->mean_s * mean + mean * mean + variance;
    sum->mean_s += mean;
}

/* The shortest of the edges of a model that it has; 0 without any. */
static int64_t least_edge(const int64_t *by_tier)
{
    int64_t least = INT64_MAX;
    for (uint32_t tier = 0; tier < SHUNT_TIER_COUNT; tier++) {
        if (by_tier[tier] >= 0 && by_tier[tier] < least) {
            least = by_tier[tier];
        }
    }
    return least == INT64_MAX ? 0 : least;
}

/* The least of a matrix's time and of those that hold instead of it, from colder tiers. */
static int64_t least_of_matrix(const struct scenario_switch *sw, uint32_t to, int64_t ns)
{
    for (uint32_t tier = 0; tier < SHUNT_TIER_COUNT; tier++) {
        int64_t colder_ns = sw->in_ns[(size_t)to * SHUNT_TIER_COUNT + tier];
        ns = colder_ns >= 0 && colder_ns < ns ? colder_ns : ns;
    }
    return ns;
}

/* An in-step with a host cache: whatever else is said does not count. */
static int64_t least_cached(const struct scenario_switch *sw)
{
    return sw->cache_hit_ns < sw->cache_miss_ns ? sw->cache_hit_ns : sw->cache_miss_ns;
}

/* The least that a switch from model FROM to model TO can take, as moments; from no model where
 * FROM is the number of models. */
static struct moments pair_moments(const struct scenario *s, uint32_t from, uint32_t to)
{
    const struct scenario_switch *sw = &s->switching;
    uint32_t count = scenario_models(s);
    struct moments sum = {0, 0};
    int64_t in = 0;
    switch (sw->kind) {
    case SCENARIO_COST_MATRIX:
        in = from == count ? sw->from_empty_ns[to] : sw->matrix_ns[(size_t)from * count + to];
        in = least_of_matrix(sw, to, in);
        break;
    case SCENARIO_COST_MODEL:
        if (from != count) {
            add_part(sw, least_edge(&sw->out_ns[(size_t)from * SHUNT_TIER_COUNT]), &sum);
        }
        in = least_edge(&sw->in_ns[(size_t)to * SHUNT_TIER_COUNT]);
        if (sw->probe_ns) {
            add_part(sw, sw->probe_ns[to], &sum);
        }
        break;
    }
    add_part(sw, sw->cache_models > 0 ? least_cached(sw) : in, &sum);
    if (sw->late_probability > 0 && sw->late_factor < 1) {
        sum.mean_s *= sw->late_factor; /* a "late" step may as well be an early one */
        sum.square_s2 *= sw->late_factor * sw->late_factor;
    }
    return sum;
}

/* A model unloaded for nobody, or one that could not be loaded, leaves the device empty. */
static bool device_may_be_emptied(const struct scenario *s)
{
    if (s->switching.fail_probability > 0) {
        return true;
    }
    for (uint32_t m = 0; m < scenario_models(s); m++) {
        if (s->config->models[m].idle_unload_ns > 0) {
            return true;
        }
    }
    return false;
}

static void fill_setup(const struct scenario *s, uint32_t to, struct bound_model *model)
{
    uint32_t count = scenario_models(s);
    bool from_empty = count == 1 || device_may_be_emptied(s);
    model->setup_s = (double)INFINITY;
    model->setup_square_s2 = (double)INFINITY;
    for (uint32_t from = 0; from < count + from_empty; from++) {
        if (from != to) {
            struct moments pair = pair_moments(s, from, to);
            model->setup_s = fmin(model->setup_s, pair.mean_s);
            model->setup_square_s2 = fmin(model->setup_square_s2, pair.square_s2);
        }
    }
}

/* Sources of one model are one stream: rates add up, moments mix. */
static void fill_models(const struct scenario *s, struct bound_model *models)
{
    for (size_t i = 0; i < s->arrivals.sources_len; i++) {
        const struct arrivals_source *source = &s->arrivals.sources[i];
        struct bound_model *model = &models[source->model];
        model->rate_per_s += source->rate_per_s;
        model->service_s += source->rate_per_s * dist_mean(&source->service_s);
        model->service_square_s2 += source->rate_per_s * dist_second_moment(&source->service_s);
    }
    for (uint32_t m = 0; m < scenario_models(s); m++) {
        models[m].weight = 1;
        if (models[m].rate_per_s > 0) {
            models[m].service_s /= models[m].rate_per_s;
            models[m].service_square_s2 /= models[m].rate_per_s;
        }
        fill_setup(s, m, &models[m]);
    }
}

static uint32_t served_models(const struct bound_model *models, uint32_t count)
{
    uint32_t served = 0;
    for (uint32_t m = 0; m < count; m++) {
        served += models[m].rate_per_s > 0;
    }
    return served;
}

/* ------------------------------------------------------------------ the two entries */

static void set_reason(struct bound_set *bounds, const char *reason)
{
    bounds->work = bounds->lagrange = bounds->statically =
        (struct result_bound){(double)NAN, reason};
}

void bound_of_scenario(const struct scenario *s, struct bound_set *ret_bounds)
{
    const char *reason = condition_reason(s);
    if (reason) {
        set_reason(ret_bounds, reason);
        return;
    }
    uint32_t count = scenario_models(s);
    struct bound_model *models = calloc(count, sizeof *models);
    if (!models) {
        set_reason(ret_bounds, "out of memory");
        return;
    }
    fill_models(s, models);
    if (bound_load(models, count) < 1) {
        ret_bounds->work = (struct result_bound){bound_work(models, count), NULL};
        ret_bounds->lagrange = (struct result_bound){bound_lagrange(models, count), NULL};
        ret_bounds->statically =
            served_models(models, count) > 1
                ? (struct result_bound){bound_static(models, count), NULL}
                : (struct result_bound){(double)NAN, "a single model is never switched from"};
    } else {
        set_reason(ret_bounds, "the load is 1 or more: waits grow without end");
    }
    free(models);
}

void bound_of_run(const struct scenario *s, struct result *result)
{
    struct bound_set bounds;
    const struct result_requests *r = &result->requests;
    if (r->completed == r->offered) {
        bound_of_scenario(s, &bounds);
    } else {
        set_reason(&bounds, "not every request was served to its end");
    }
    result->lb_work = bounds.work;
    result->lb_lagrange = bounds.lagrange;
    result->lb_static = bounds.statically;
}
