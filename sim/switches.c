/* Durations of steps. Keys are moves: an edge of a model or a pair of models, never the order in
 * which they come, so that policies with other schedules see the same k-th switch of a pair. */
#include "sim/switches.h"

#include "base/random.h"
#include "core/fmath.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum stream {
    STREAM_TIME = 0x73770000, /* the move is mixed in */
    STREAM_FAIL = 0x73780000,
    STREAM_LATE = 0x73790000
};

/* Samples that a cost told beforehand counts as. */
enum { PRIOR_COUNT = 16 };

struct switches {
    const struct scenario *scenario;
    const struct scenario_switch *costs;
    uint64_t seed;
    uint32_t models;
    uint32_t *times; /* by move: how often it was begun */
    struct dist law; /* DIST_NONE: deterministic */
    uint32_t *cache; /* models by when they were moved out, the last first */
    uint32_t cached;
};

/* Moves: pairs [from or N][to], then [step][model][tier]. */
static size_t move_count(uint32_t models)
{
    size_t n = models;
    return (n + 1) * n + CORE_STEP_COUNT * n * SHUNT_TIER_COUNT;
}

static size_t pair_move(const struct switches *switches, uint32_t from, uint32_t to)
{
    size_t row = from == CORE_NONE ? switches->models : from;
    return row * switches->models + to;
}

static size_t edge_move(const struct switches *switches, uint32_t step, uint32_t model,
                        uint32_t tier)
{
    size_t n = switches->models;
    return (n + 1) * n + (step * n + model) * SHUNT_TIER_COUNT + tier;
}

static struct dist law_of(const struct scenario_switch *costs)
{
    switch (costs->law) {
    case SCENARIO_COST_EXPONENTIAL:
        return (struct dist){.kind = DIST_EXPONENTIAL, .mean = 1.0};
    case SCENARIO_COST_LOGNORMAL:
        return (struct dist){.kind = DIST_LOGNORMAL,
                             .mean = 1.0,
                             .cv = core_sqrt(core_exp(costs->sigma * costs->sigma) - 1.0)};
    case SCENARIO_COST_DETERMINISTIC:
        break;
    }
    return (struct dist){.kind = DIST_NONE};
}

int switches_create(const struct scenario *scenario, uint64_t seed, struct switches **ret_switches)
{
    struct switches *switches = calloc(1, sizeof *switches);
    if (!switches) {
        return -ENOMEM;
    }
    switches->scenario = scenario;
    switches->costs = &scenario->switching;
    switches->seed = seed;
    switches->models = scenario_models(scenario);
    switches->law = law_of(switches->costs);
    switches->times = calloc(move_count(switches->models), sizeof *switches->times);
    switches->cache = calloc(switches->models, sizeof *switches->cache);
    if (!switches->times || !switches->cache) {
        switches_destroy(switches);
        return -ENOMEM;
    }
    *ret_switches = switches;
    return 0;
}

void switches_destroy(struct switches *switches)
{
    if (switches) {
        free(switches->times);
        free(switches->cache);
        free(switches);
    }
}

/* ------------------------------------------------------------------ means */

static int64_t at_least_none(int64_t ns)
{
    return ns > 0 ? ns : 0;
}

/* An edge of a model with its resident tier; what it has not takes no time. */
static int64_t edge_ns(const int64_t *edges, uint32_t model, uint32_t tier)
{
    return edges && tier < SHUNT_TIER_RESIDENT
               ? at_least_none(edges[(size_t)model * SHUNT_TIER_COUNT + tier])
               : 0;
}

static bool is_cached(const struct switches *switches, uint32_t model)
{
    uint32_t hits = switches->costs->cache_models;
    for (uint32_t i = 0; i < switches->cached && i < hits; i++) {
        if (switches->cache[i] == model) {
            return true;
        }
    }
    return false;
}

/* The pair of a switch: the victim with the longest time, or nobody. */
static uint32_t pair_from(const struct switches *switches, const struct switches_step *step)
{
    const int64_t *matrix = switches->costs->matrix_ns;
    uint32_t from = CORE_NONE;
    for (uint32_t i = 0; i < step->victim_count; i++) {
        uint32_t v = step->victims[i];
        if (from == CORE_NONE || matrix[(size_t)v * switches->models + step->model] >
                                     matrix[(size_t)from * switches->models + step->model]) {
            from = v;
        }
    }
    return from;
}

static int64_t model_ns(const struct switches *switches, const struct switches_step *step)
{
    const struct scenario_switch *costs = switches->costs;
    uint32_t model = step->model;
    if (step->step == CORE_STEP_PROBE) {
        return costs->probe_ns ? at_least_none(costs->probe_ns[model]) : 0;
    }
    if (step->step == CORE_STEP_IN) {
        return at_least_none(edge_ns(costs->in_ns, model, step->from_tier) -
                             edge_ns(costs->in_ns, model, step->to_tier));
    }
    return at_least_none(edge_ns(costs->out_ns, model, step->to_tier) -
                         edge_ns(costs->out_ns, model, step->from_tier));
}

/* Whether a matrix leaves a step to the tiers: to or from one that is colder than the first. */
static bool is_colder(const struct scenario_switch *costs, const struct switches_step *step)
{
    bool in = step->step == CORE_STEP_IN;
    uint32_t tier = in ? step->from_tier : step->to_tier;
    const int64_t *edges = in ? costs->in_ns : costs->out_ns;
    return step->step != CORE_STEP_PROBE && edges && tier < SHUNT_TIER_RESIDENT &&
           edges[(size_t)step->model * SHUNT_TIER_COUNT + tier] >= 0;
}

static int64_t matrix_ns(const struct switches *switches, const struct switches_step *step,
                         size_t *ret_move)
{
    const struct scenario_switch *costs = switches->costs;
    if (is_colder(costs, step)) {
        return model_ns(switches, step);
    }
    if (step->step == CORE_STEP_IN && step->to_tier == SHUNT_TIER_RESIDENT) {
        uint32_t from = pair_from(switches, step);
        *ret_move = pair_move(switches, from, step->model);
        return from == CORE_NONE ? costs->from_empty_ns[step->model]
                                 : costs->matrix_ns[(size_t)from * switches->models + step->model];
    }
    if (step->step == CORE_STEP_OUT && step->from_tier == SHUNT_TIER_RESIDENT && step->for_nobody) {
        return costs->to_empty_ns[step->model];
    }
    return 0;
}

/* ------------------------------------------------------------------ draws */

static uint64_t stream_of(enum stream stream, size_t move)
{
    return core_mix64((uint64_t)stream << 32 | (uint64_t)move);
}

static bool chance(const struct switches *switches, enum stream stream, size_t move, uint64_t k,
                   double probability)
{
    return probability > 0.0 &&
           random_unit(random_u64(switches->seed, stream_of(stream, move), k)) < probability;
}

static int64_t scaled(int64_t mean_ns, double factor)
{
    double ns = (double)mean_ns * factor + 0.5;
    return ns < 9.0e18 ? (int64_t)ns : INT64_C(9000000000000000000);
}

void switches_begin(struct switches *switches, const struct switches_step *step,
                    struct switches_outcome *ret_outcome)
{
    const struct scenario_switch *costs = switches->costs;
    uint32_t tier = step->step == CORE_STEP_IN ? step->from_tier : step->to_tier;
    size_t move = edge_move(switches, step->step, step->model, tier);
    bool loads = step->step == CORE_STEP_IN && step->to_tier == SHUNT_TIER_RESIDENT;
    int64_t ns = costs->kind == SCENARIO_COST_MATRIX ? matrix_ns(switches, step, &move)
                                                     : model_ns(switches, step);
    if (loads && costs->cache_models > 0) {
        ns = is_cached(switches, step->model) ? costs->cache_hit_ns : costs->cache_miss_ns;
    }
    uint64_t k = switches->times[move]++;
    if (switches->law.kind != DIST_NONE && ns > 0) {
        ns = scaled(ns,
                    dist_sample(&switches->law, switches->seed, stream_of(STREAM_TIME, move), k));
    }
    if (ns > 0 && chance(switches, STREAM_LATE, move, k, costs->late_probability)) {
        ns = scaled(ns, costs->late_factor);
    }
    ret_outcome->duration_ns = ns;
    ret_outcome->ok = !loads || !chance(switches, STREAM_FAIL, move, k, costs->fail_probability);
}

void switches_moved_out(struct switches *switches, uint32_t model)
{
    uint32_t at = 0;
    while (at < switches->cached && switches->cache[at] != model) {
        at++;
    }
    if (at == switches->cached) {
        assert(switches->cached < switches->models);
        switches->cached++;
    }
    memmove(&switches->cache[1], &switches->cache[0], at * sizeof switches->cache[0]);
    switches->cache[0] = model;
}

/* ------------------------------------------------------------------ priors */

static struct core_cost spread(const struct scenario_switch *costs, int64_t mean_ns)
{
    double mean = (double)mean_ns;
    struct core_cost prior = {.mean_ns = mean, .p95_ns = mean, .count = PRIOR_COUNT};
    if (costs->law == SCENARIO_COST_EXPONENTIAL) {
        prior.var_ns2 = mean * mean;
        prior.p95_ns = mean * 2.995732273553991;
    } else if (costs->law == SCENARIO_COST_LOGNORMAL) {
        double s2 = costs->sigma * costs->sigma;
        prior.var_ns2 = mean * mean * (core_exp(s2) - 1.0);
        prior.p95_ns = mean * core_exp(1.6448536269514722 * costs->sigma - s2 / 2.0);
    }
    return prior;
}

/* Of bringing a model in; with a cache of weights as if none were in it. */
static struct core_cost prior_of(const struct scenario_switch *costs, int64_t mean_ns)
{
    return spread(costs, costs->cache_models > 0 ? costs->cache_miss_ns : mean_ns);
}

static int seed_pairs(const struct switches *switches, struct core *core)
{
    const struct scenario_switch *costs = switches->costs;
    int rc = 0;
    for (uint32_t to = 0; to < switches->models && rc == 0; to++) {
        struct core_cost prior = prior_of(costs, costs->from_empty_ns[to]);
        rc = core_cost_seed_pair(core, CORE_NONE, to, &prior);
        for (uint32_t from = 0; from < switches->models && rc == 0; from++) {
            prior = prior_of(costs, costs->matrix_ns[(size_t)from * switches->models + to]);
            rc = from == to ? 0 : core_cost_seed_pair(core, from, to, &prior);
        }
    }
    return rc;
}

static int seed_edges(const struct switches *switches, struct core *core)
{
    const struct scenario_switch *costs = switches->costs;
    int rc = 0;
    for (uint32_t m = 0; m < switches->models; m++) {
        for (uint32_t tier = 0; tier < SHUNT_TIER_RESIDENT && rc == 0; tier++) {
            size_t at = (size_t)m * SHUNT_TIER_COUNT + tier;
            if (costs->out_ns && costs->out_ns[at] >= 0) {
                struct core_cost prior = spread(costs, costs->out_ns[at]);
                rc = core_cost_seed(core, m, tier, CORE_COST_OUT, &prior);
            }
            if (rc == 0 && costs->in_ns && costs->in_ns[at] >= 0) {
                int64_t probe = costs->probe_ns ? at_least_none(costs->probe_ns[m]) : 0;
                struct core_cost prior = prior_of(costs, costs->in_ns[at] + probe);
                rc = core_cost_seed(core, m, tier, CORE_COST_IN, &prior);
            }
        }
    }
    return rc;
}

int switches_seed_costs(const struct switches *switches, struct core *core)
{
    return switches->costs->kind == SCENARIO_COST_MATRIX ? seed_pairs(switches, core)
                                                         : seed_edges(switches, core);
}
