/* Whether the bounds of bound.h hold for a scenario, and the rates and moments that it has. */
#include "sim/bound.h"

#include "core/fmath.h"

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

static const char *service_reason(const struct scenario *s)
{
    for (uint32_t m = 0; m < scenario_models(s); m++) {
        if (s->models[m].service.kind != SCENARIO_SERIAL) {
            return "service is not serial";
        }
        if (s->models[m].unlimited || s->config->models[m].max_concurrency != 1) {
            return "a model serves several requests at a time";
        }
    }
    return NULL;
}

/* One device, on which no two models fit. */
static const char *device_reason(const struct scenario *s)
{
    const struct config *config = s->config;
    if (config->device_count != 1) {
        return "there is more than one device";
    }
    int64_t least = INT64_MAX, second = INT64_MAX;
    for (uint32_t m = 0; m < config->model_count; m++) {
        int64_t bytes = config->models[m].memory.bytes[SHUNT_TIER_RESIDENT];
        if (bytes < least) {
            second = least;
            least = bytes;
        } else if (bytes < second) {
            second = bytes;
        }
    }
    if (config->model_count > 1 &&
        (least < 0 || config->devices[0].memory_bytes - least >= second)) {
        return "two models fit on the device together";
    }
    return NULL;
}

static const char *condition_reason(const struct scenario *s)
{
    const char *reason = arrivals_reason(s);
    reason = reason ? reason : service_reason(s);
    reason = reason ? reason : device_reason(s);
    if (!reason && s->config->guard.drain_mode != CONFIG_DRAIN_FINISH) {
        reason = "drain_mode requeue interrupts services";
    }
    if (!reason && s->patience_s.kind != DIST_NONE) {
        reason = "clients lose patience";
    }
    if (!reason && s->fault_count > 0) {
        reason = "engines or devices fail";
    }
    return reason;
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

/* The least that a switch from model FROM to model TO can take, as moments. */
static struct moments pair_moments(const struct scenario *s, uint32_t from, uint32_t to)
{
    const struct scenario_switch *sw = &s->switching;
    struct moments sum = {0, 0};
    int64_t in = 0,
            hit = sw->cache_hit_ns < sw->cache_miss_ns ? sw->cache_hit_ns : sw->cache_miss_ns;
    switch (sw->kind) {
    case SCENARIO_COST_MATRIX:
        in = sw->matrix_ns[(size_t)from * scenario_models(s) + to];
        break;
    case SCENARIO_COST_MODEL:
        add_part(sw, least_edge(&sw->out_ns[(size_t)from * SHUNT_TIER_COUNT]), &sum);
        in = least_edge(&sw->in_ns[(size_t)to * SHUNT_TIER_COUNT]);
        break;
    }
    add_part(sw, sw->cache_models > 0 ? hit : in, &sum);
    if (sw->late_probability > 0 && sw->late_factor < 1) {
        sum.mean_s *= sw->late_factor;
        sum.square_s2 *= sw->late_factor * sw->late_factor;
    }
    return sum;
}

/* What a switch from the empty device takes at least: its in-step. */
static struct moments empty_moments(const struct scenario *s, uint32_t to)
{
    const struct scenario_switch *sw = &s->switching;
    struct moments sum = {0, 0};
    add_part(sw,
             sw->kind == SCENARIO_COST_MATRIX
                 ? (sw->from_empty_ns ? sw->from_empty_ns[to] : 0)
                 : least_edge(&sw->in_ns[(size_t)to * SHUNT_TIER_COUNT]),
             &sum);
    return sum;
}

static bool device_may_be_emptied(const struct scenario *s)
{
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
    model->setup_s = INFINITY;
    model->setup_square_s2 = INFINITY;
    for (uint32_t from = 0; from < count; from++) {
        if (from != to) {
            struct moments pair = pair_moments(s, from, to);
            model->setup_s = fmin(model->setup_s, pair.mean_s);
            model->setup_square_s2 = fmin(model->setup_square_s2, pair.square_s2);
        }
    }
    if (count == 1 || device_may_be_emptied(s)) {
        struct moments empty = empty_moments(s, to);
        model->setup_s = fmin(model->setup_s, empty.mean_s);
        model->setup_square_s2 = fmin(model->setup_square_s2, empty.square_s2);
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

/* ------------------------------------------------------------------ the two entries */

static void set_reason(struct bound_set *bounds, const char *reason)
{
    bounds->work = bounds->lagrange = bounds->statically = (struct result_bound){NAN, reason};
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
        ret_bounds->statically = (struct result_bound){bound_static(models, count), NULL};
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
