/* The course of a search: see tune.h. */
#include "sim/tune.h"

#include "base/fail.h"
#include "core/fmath.h"
#include "sim/sobol.h"
#include "sim/tune_front.h"
#include "sim/tune_halving.h"
#include "sim/tune_simplex.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

enum {
    WALKS_MAX = 20, /* theory: enough to tell the parameters apart */
    WALKS_MIN = 2,
    POINTS_MIN = 4,
    POINTS_MAX = 2048,
    TRIES = 4, /* points looked at for one that is new and legal */
    PAIRS_MAX = 500,
    STARTS = 3,
    ROUNDS_MAX = 400, /* of the polish; whatever is known already costs nothing */
    RESTARTS = 4
};

#define SHARE_MIN      (1.0 / 16)
#define ETA            4
#define SCREENING      0.2 /* of what is left of the budget */
#define SEARCHING      0.4
#define MATTERS_SHARE  0.02 /* of the largest effect ... */
#define MATTERS_EFFECT 0.01 /* ... and of the objective at all */
#define GOOD           0.05
#define AS_GOOD        0.001 /* of the log of the objective */
#define INFEASIBLE     1e6   /* above any log of a ratio */
#define TINY           1e-9
#define STEP           0.15
#define SIZE           0.005
#define BOX            2.0

const char *tune_objective_name(enum tune_objective objective)
{
    switch (objective) {
    case TUNE_MEAN:
        return "mean";
    case TUNE_P99:
        return "p99";
    case TUNE_WORK:
        return "work";
    case TUNE_JAIN:
        return "jain";
    case TUNE_SWITCH:
        return "switch";
    case TUNE_OBJECTIVES:
        break;
    }
    return NULL;
}

bool tune_is_maximised(enum tune_objective objective)
{
    return objective == TUNE_WORK || objective == TUNE_JAIN;
}

double tune_ratio(const struct tune_eval *eval, enum tune_objective objective)
{
    return core_exp(eval->loss[objective]);
}

/* ------------------------------------------------------------------ candidates */

static int candidate_add(struct tune_study *study, const char *values, const double *unit,
                         uint32_t *ret_candidate)
{
    size_t dimensions = study->options.space->count;
    for (uint32_t i = 0; i < study->candidate_count; i++) {
        if (strcmp(study->candidates[i].values, values) == 0) {
            *ret_candidate = i;
            return 0;
        }
    }
    if (study->candidate_count == study->candidate_room) {
        uint32_t room = 2 * study->candidate_room + 64;
        void *grown = realloc(study->candidates, room * sizeof(*study->candidates));
        if (!grown) {
            return -ENOMEM;
        }
        study->candidates = grown;
        study->candidate_room = room;
    }
    struct tune_candidate c = {.values = strdup(values), .unit = calloc(dimensions, sizeof(*unit))};
    if (!c.values || !c.unit) {
        free(c.values);
        free(c.unit);
        return -ENOMEM;
    }
    memcpy(c.unit, unit, dimensions * sizeof(*unit));
    for (uint32_t i = 0; i < TUNE_LENGTHS; i++) {
        c.eval[i] = NONE;
    }
    *ret_candidate = study->candidate_count;
    study->candidates[study->candidate_count++] = c;
    return 0;
}

/* NONE in *ret_candidate: no legal values there. */
static int candidate_at(struct tune_study *study, const double *unit, uint32_t *ret_candidate)
{
    char text[TUNE_TEXT_MAX];
    int rc = tune_space_text(study->options.space, unit, text);
    if (rc == -EDOM) {
        *ret_candidate = NONE;
        return 0;
    }
    return rc ? rc : candidate_add(study, text, unit, ret_candidate);
}

const struct tune_eval *tune_eval_of(const struct tune_study *study, uint32_t candidate,
                                     uint32_t length)
{
    uint32_t eval = candidate == NONE ? NONE : study->candidates[candidate].eval[length];
    return eval == NONE ? NULL : &study->evals[eval];
}

/* Of a candidate that was evaluated. */
static const struct tune_eval *known_eval(const struct tune_study *study, uint32_t candidate,
                                          uint32_t length)
{
    const struct tune_eval *eval = tune_eval_of(study, candidate, length);
    assert(eval);
    return eval;
}

/* Rungs that are the whole run are one and the same. */
static uint32_t length_of(const struct tune_study *study, uint32_t rung)
{
    return rung < TUNE_FULL && study->share[rung] >= 1 ? TUNE_FULL : rung;
}

/* ------------------------------------------------------------------ figures */

static double mean_over_seeds(const struct tune_options *o, const struct tune_run *runs,
                              uint32_t scenario, enum tune_objective objective)
{
    double sum = 0;
    for (uint32_t i = 0; i < o->seed_count; i++) {
        sum += runs[scenario * o->seed_count + i].value[objective];
    }
    return sum / o->seed_count;
}

static double excess_of(const struct tune_limit *limit, double value, double start)
{
    double bound = limit->relative ? limit->value * start : limit->value;
    double beyond = tune_is_maximised(limit->objective) ? bound - value : value - bound;
    double size = bound < 0 ? -bound : bound;
    return beyond > 0 ? beyond / (size > TINY ? size : TINY) : beyond <= 0 ? 0 : (double)INFINITY;
}

/* Losses, values and excess of an evaluation whose runs are known, from those of the start. */
static void judge(const struct tune_options *o, struct tune_eval *eval,
                  const struct tune_run *start)
{
    for (enum tune_objective k = 0; k < TUNE_OBJECTIVES; k++) {
        double sum = 0, logs = 0;
        for (uint32_t s = 0; s < o->scenario_count; s++) {
            double value = mean_over_seeds(o, eval->runs, s, k) + TINY;
            logs += core_log(value);
            sum += core_log(value / (mean_over_seeds(o, start, s, k) + TINY));
        }
        sum /= o->scenario_count;
        eval->loss[k] = isfinite(sum) ? tune_is_maximised(k) ? -sum : sum : (double)INFINITY;
        eval->value[k] = core_exp(logs / o->scenario_count);
    }
    eval->excess = 0;
    for (uint32_t i = 0; i < o->limit_count; i++) {
        const struct tune_limit *limit = &o->limit[i];
        for (uint32_t s = 0; s < o->scenario_count; s++) {
            eval->excess += excess_of(limit, mean_over_seeds(o, eval->runs, s, limit->objective),
                                      mean_over_seeds(o, start, s, limit->objective));
        }
    }
}

/* The order of the choice: whoever meets the limits before whoever does not; then the objective. */
static double rank(const struct tune_eval *eval, enum tune_objective objective)
{
    return !eval              ? (double)INFINITY
           : eval->excess > 0 ? INFEASIBLE + eval->excess
                              : eval->loss[objective];
}

/* The same stretches of arrivals for everybody: quarters of a run where waits are the objective. */
static uint32_t pairs_of(const struct tune_options *o, const struct tune_eval *eval,
                         double ret_pairs[PAIRS_MAX])
{
    uint32_t count = 0;
    const enum tune_objective objective = o->objective[0];
    for (uint32_t i = 0; i < o->scenario_count * o->seed_count; i++) {
        uint32_t parts = objective == TUNE_MEAN ? TUNE_QUARTERS : 1;
        for (uint32_t q = 0; q < parts && count < PAIRS_MAX; q++) {
            double value = objective == TUNE_MEAN ? eval->runs[i].quarter_s[q]
                                                  : eval->runs[i].value[objective];
            ret_pairs[count++] = tune_is_maximised(objective) ? -value : value;
        }
    }
    return count;
}

/* ------------------------------------------------------------------ evaluation */

static int eval_add(struct tune_study *study, uint32_t candidate, uint32_t length)
{
    const struct tune_options *o = &study->options;
    if (study->eval_count == study->eval_room) {
        uint32_t room = 2 * study->eval_room + 64;
        void *grown = realloc(study->evals, room * sizeof(*study->evals));
        if (!grown) {
            return -ENOMEM;
        }
        study->evals = grown;
        study->eval_room = room;
    }
    struct tune_eval eval = {
        .candidate = candidate, .length = length, .share = study->share[length]};
    eval.runs = calloc((size_t)o->scenario_count * o->seed_count, sizeof(*eval.runs));
    if (!eval.runs) {
        return -ENOMEM;
    }
    study->candidates[candidate].eval[length] = study->eval_count;
    study->evals[study->eval_count++] = eval;
    return 0;
}

/* What evaluating these would take of the budget. */
static double cost_of(const struct tune_study *study, const uint32_t *candidates, uint32_t count,
                      uint32_t length)
{
    double cost = tune_eval_of(study, 0, length) ? 0 : study->share[length];
    for (uint32_t i = 0; i < count; i++) {
        bool known = candidates[i] == NONE || candidates[i] == 0 ||
                     tune_eval_of(study, candidates[i], length);
        for (uint32_t j = 0; !known && j < i; j++) {
            known = candidates[j] == candidates[i];
        }
        cost += known ? 0 : study->share[length];
    }
    return cost;
}

/* Evaluates those that are not yet, the start among them, together. */
static int evaluate(struct tune_study *study, const uint32_t *candidates, uint32_t count,
                    uint32_t length, char *err, size_t err_size)
{
    const struct tune_options *o = &study->options;
    uint32_t first = study->eval_count;
    int rc = tune_eval_of(study, 0, length) ? 0 : eval_add(study, 0, length);
    for (uint32_t i = 0; !rc && i < count; i++) {
        if (candidates[i] != NONE && !tune_eval_of(study, candidates[i], length)) {
            rc = eval_add(study, candidates[i], length);
        }
    }
    uint32_t fresh = study->eval_count - first;
    struct tune_job *jobs = rc ? NULL : calloc(fresh + 1u, sizeof(*jobs));
    for (uint32_t i = 0; jobs && i < fresh; i++) {
        struct tune_eval *eval = &study->evals[first + i];
        study->spent += eval->share;
        eval->spent = study->spent;
        jobs[i] = (struct tune_job){.values = study->candidates[eval->candidate].values,
                                    .share = eval->share,
                                    .fresh = length == TUNE_FRESH,
                                    .runs = eval->runs};
    }
    if (!jobs) {
        return fail(-ENOMEM, err, err_size, "out of memory");
    }
    rc = fresh > 0 ? o->evaluate(o->ctx, jobs, fresh, err, err_size) : 0;
    free(jobs);
    for (uint32_t i = 0; !rc && i < fresh; i++) {
        judge(o, &study->evals[first + i], known_eval(study, 0, length)->runs);
    }
    return rc;
}

static void begin(const struct tune_study *study, const char *name)
{
    if (study->options.phase) {
        study->options.phase(study->options.ctx, name, study->spent);
    }
}

/* ------------------------------------------------------------------ the start, and the lengths */

static int evaluate_start(struct tune_study *study, char *err, size_t err_size)
{
    const struct tune_options *o = &study->options;
    char text[TUNE_TEXT_MAX];
    double unit[PARAMS_MAX], cycles = (double)INFINITY;
    uint32_t start;
    begin(study, "start");
    tune_space_start(o->space, unit);
    tune_space_start_text(o->space, text);
    int rc = candidate_add(study, text, unit, &start);
    rc = rc ? fail(rc, err, err_size, "out of memory")
            : evaluate(study, &start, 1, TUNE_FULL, err, err_size);
    if (rc) {
        return rc;
    }
    for (uint32_t k = 0; k < o->objective_count; k++) {
        if (!isfinite(known_eval(study, 0, TUNE_FULL)->loss[o->objective[k]])) {
            return fail(-EINVAL, err, err_size,
                        "objective %s: the start has no such figure in some scenario",
                        tune_objective_name(o->objective[k]));
        }
    }
    const struct tune_run *runs = known_eval(study, 0, TUNE_FULL)->runs;
    for (uint32_t i = 0; i < o->scenario_count * o->seed_count; i++) {
        cycles = runs[i].cycles < cycles ? runs[i].cycles : cycles;
    }
    double share = cycles > TUNE_CYCLES_MIN ? TUNE_CYCLES_MIN / cycles : 1;
    study->share[0] = share > SHARE_MIN ? share : SHARE_MIN;
    study->share[1] = core_sqrt(study->share[0]);
    return 0;
}

/* What the end will take: the best made simpler, and the last comparison. */
static double reserve(const struct tune_study *study)
{
    return 1 + (study->options.drawn ? TUNE_FINALISTS_MAX + 1 : 0);
}

/* ------------------------------------------------------------------ screening */

static int screen(struct tune_study *study, double budget, char *err, size_t err_size)
{
    const struct tune_options *o = &study->options;
    const uint32_t dimensions = o->space->count, length = length_of(study, 0);
    double walks = budget / ((dimensions + 1) * study->share[length]);
    study->walks = walks > WALKS_MAX ? WALKS_MAX : walks < WALKS_MIN ? 0 : (uint32_t)walks;
    uint32_t count = study->walks * (dimensions + 1);
    for (uint32_t d = 0; d < dimensions; d++) {
        study->matters[d] = true;
    }
    if (count == 0) {
        return 0;
    }
    begin(study, "screening");
    uint32_t *ids = calloc(count, sizeof(*ids));
    double *losses = calloc(count, sizeof(*losses));
    int rc = ids && losses ? 0 : -ENOMEM;
    for (uint32_t i = 0; !rc && i < count; i++) {
        double unit[PARAMS_MAX];
        morris_point(dimensions, o->seed, i / (dimensions + 1), i % (dimensions + 1), unit);
        rc = candidate_at(study, unit, &ids[i]);
    }
    rc = rc ? fail(rc, err, err_size, "out of memory")
            : evaluate(study, ids, count, length, err, err_size);
    for (uint32_t i = 0; !rc && i < count; i++) {
        const struct tune_eval *eval = tune_eval_of(study, ids[i], length);
        losses[i] = eval ? eval->loss[o->objective[0]] : (double)INFINITY;
    }
    if (!rc) {
        double largest = 0;
        morris_effects(dimensions, o->seed, study->walks, losses, study->effect);
        for (uint32_t d = 0; d < dimensions; d++) {
            largest = study->effect[d].mean_abs > largest ? study->effect[d].mean_abs : largest;
        }
        for (uint32_t d = 0; d < dimensions; d++) {
            study->matters[d] = study->effect[d].mean_abs >= MATTERS_EFFECT &&
                                study->effect[d].mean_abs >= MATTERS_SHARE * largest;
        }
    }
    free(losses);
    free(ids);
    return rc;
}

/* ------------------------------------------------------------------ halving */

/* Keeps at most `most` of the candidates listed, by their evaluations at `length`; senders[] says
 * which of the objectives each is the best of. */
static int keep(struct tune_study *study, uint32_t *candidates, uint32_t *count, uint32_t length,
                uint32_t most, uint32_t *senders)
{
    const struct tune_options *o = &study->options;
    struct halving_entry *entries = calloc(*count + 1u, sizeof(*entries));
    double *scores = calloc((size_t)(*count + 1u) * TUNE_OBJECTIVES, sizeof(*scores));
    double *pairs = calloc((size_t)(*count + 1u) * PAIRS_MAX, sizeof(*pairs));
    uint32_t *kept = calloc(*count + 1u, sizeof(*kept));
    int rc = entries && scores && pairs && kept ? 0 : -ENOMEM;
    uint32_t pair_count = 0;
    for (uint32_t i = 0; !rc && i < *count; i++) {
        const struct tune_eval *eval = known_eval(study, candidates[i], length);
        double *score = scores + (size_t)i * TUNE_OBJECTIVES;
        double *pair = pairs + (size_t)i * PAIRS_MAX;
        for (uint32_t k = 0; k < o->objective_count; k++) {
            score[k] = rank(eval, o->objective[k]);
        }
        pair_count = pairs_of(o, eval, pair);
        entries[i] = (struct halving_entry){.score = score, .pairs = pair};
    }
    if (!rc) {
        uint32_t left = halving_keep(entries, *count, o->objective_count, pair_count, STARTS, most,
                                     kept, senders);
        for (uint32_t i = 0; i < left; i++) {
            kept[i] = candidates[kept[i]];
        }
        memcpy(candidates, kept, left * sizeof(*kept));
        *count = left;
    }
    free(kept);
    free(pairs);
    free(scores);
    free(entries);
    return rc;
}

/* Those of the screening and Sobol points, all that are new and legal. */
static int gather(struct tune_study *study, uint32_t points, uint32_t *ret_ids, uint32_t *ret_count)
{
    const struct tune_options *o = &study->options;
    struct sobol *sobol = malloc(sizeof(*sobol));
    uint32_t count = study->candidate_count, wanted = count + points;
    int rc = sobol ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        ret_ids[i] = i;
    }
    if (sobol) {
        sobol_init(sobol, o->space->count, o->seed + 1);
    }
    for (uint64_t i = 0; !rc && i < (uint64_t)TRIES * points && count < wanted; i++) {
        double unit[PARAMS_MAX];
        uint32_t id;
        sobol_point(sobol, i, unit);
        rc = candidate_at(study, unit, &id);
        if (!rc && id == count) {
            ret_ids[count++] = id;
        }
    }
    free(sobol);
    *ret_count = count;
    return rc;
}

/* Leaves the last rung's best in starts[], with the objective each is the best of. */
static int halve(struct tune_study *study, double budget, uint32_t starts[STARTS],
                 uint32_t senders[STARTS], uint32_t *ret_count, char *err, size_t err_size)
{
    static const char *const names[] = {"first rung", "second rung", "third rung"};
    double each = study->share[0] + study->share[1] / ETA + study->share[TUNE_FULL] / (ETA * ETA);
    double most = budget / each;
    uint32_t points = most > POINTS_MAX   ? POINTS_MAX
                      : most < POINTS_MIN ? POINTS_MIN
                                          : (uint32_t)most;
    uint32_t *ids = calloc(study->candidate_count + points + 1u, sizeof(*ids)), count = 0;
    uint32_t *sent = calloc(study->candidate_count + points + 1u, sizeof(*sent));
    int rc = ids && sent ? gather(study, points, ids, &count) : -ENOMEM;
    rc = rc ? fail(rc, err, err_size, "out of memory") : 0;
    for (uint32_t rung = 0; !rc && rung <= TUNE_FULL; rung++) {
        uint32_t length = length_of(study, rung);
        begin(study, names[rung]);
        study->rung_count[rung] = count;
        rc = evaluate(study, ids, count, length, err, err_size);
        points = (points + ETA - 1) / ETA;
        uint32_t left = rung == TUNE_FULL ? STARTS : points < STARTS ? STARTS : points;
        if (!rc && keep(study, ids, &count, length, left, sent)) {
            rc = fail(-ENOMEM, err, err_size, "out of memory");
        }
    }
    for (uint32_t i = 0; !rc && i < count; i++) {
        starts[i] = ids[i];
        senders[i] = sent[i];
    }
    *ret_count = count;
    free(sent);
    free(ids);
    return rc;
}

/* ------------------------------------------------------------------ polish */

struct polish {
    struct tune_study *study;
    uint32_t live[PARAMS_MAX]; /* coordinates that are searched */
    uint32_t live_count;
    double rest[PARAMS_MAX]; /* what the others are at */
    struct simplex *simplex[STARTS];
    enum tune_objective objective[STARTS];
    bool done[STARTS];
    uint32_t count;
    double budget; /* of all that is spent */
};

static int polish_candidate(struct polish *p, const double *point, uint32_t *ret_candidate)
{
    double unit[PARAMS_MAX];
    memcpy(unit, p->rest, sizeof(unit));
    for (uint32_t i = 0; i < p->live_count; i++) {
        unit[p->live[i]] = point[i];
    }
    return candidate_at(p->study, unit, ret_candidate);
}

/* A simplex at a candidate, its dead coordinates put to where the start has them. */
static int polish_begin(struct polish *p, uint32_t i, uint32_t candidate, double step, char *err,
                        size_t err_size)
{
    double point[PARAMS_MAX];
    uint32_t id = NONE;
    for (uint32_t k = 0; k < p->live_count; k++) {
        point[k] = p->study->candidates[candidate].unit[p->live[k]];
    }
    int rc = polish_candidate(p, point, &id);
    if (!rc && id != NONE && p->study->spent + cost_of(p->study, &id, 1, TUNE_FULL) <= p->budget) {
        rc = evaluate(p->study, &id, 1, TUNE_FULL, err, err_size);
    }
    if (!rc) {
        double value = rank(tune_eval_of(p->study, id, TUNE_FULL), p->objective[i]);
        simplex_destroy(p->simplex[i]);
        p->simplex[i] = simplex_create(p->live_count, point, value, step);
        p->done[i] = false;
        rc = p->simplex[i] ? 0 : -ENOMEM;
    }
    return rc;
}

/* One step of every simplex that is not done and that the budget is left for, in one batch. */
static int polish_round(struct polish *p, bool *ret_more, char *err, size_t err_size)
{
    uint32_t ids[STARTS * PARAMS_MAX], begins[STARTS + 1] = {0}, count = 0;
    bool steps[STARTS] = {false};
    int rc = 0;
    *ret_more = false;
    for (uint32_t i = 0; !rc && i < p->count; i++) {
        begins[i] = count;
        uint32_t wanted = p->done[i] ? 0 : simplex_wanted(p->simplex[i], SIZE);
        for (uint32_t k = 0; !rc && k < wanted; k++) {
            rc = polish_candidate(p, simplex_point(p->simplex[i], k), &ids[count + k]);
        }
        steps[i] = !rc && wanted > 0 &&
                   p->study->spent + cost_of(p->study, ids, count + wanted, TUNE_FULL) <= p->budget;
        p->done[i] = !steps[i];
        count += steps[i] ? wanted : 0;
        *ret_more = *ret_more || steps[i];
    }
    rc = rc ? rc : evaluate(p->study, ids, count, TUNE_FULL, err, err_size);
    for (uint32_t i = 0; !rc && i < p->count; i++) {
        double values[PARAMS_MAX];
        uint32_t end = i + 1 < p->count ? begins[i + 1] : count;
        for (uint32_t k = begins[i]; steps[i] && k < end; k++) {
            values[k - begins[i]] =
                rank(tune_eval_of(p->study, ids[k], TUNE_FULL), p->objective[i]);
        }
        if (steps[i]) {
            simplex_tell(p->simplex[i], values);
        }
    }
    return rc;
}

/* The candidates run at full length, the best of the first objective first. */
static uint32_t best_full(const struct tune_study *study, uint32_t most, uint32_t *ret_candidates)
{
    uint32_t count = 0;
    for (; count < most; count++) {
        uint32_t best = NONE;
        for (uint32_t i = 0; i < study->candidate_count; i++) {
            bool taken = !tune_eval_of(study, i, TUNE_FULL);
            for (uint32_t k = 0; k < count; k++) {
                taken = taken || ret_candidates[k] == i;
            }
            if (!taken &&
                (best == NONE ||
                 rank(tune_eval_of(study, i, TUNE_FULL), study->options.objective[0]) <
                     rank(tune_eval_of(study, best, TUNE_FULL), study->options.objective[0]))) {
                best = i;
            }
        }
        if (best == NONE) {
            break;
        }
        ret_candidates[count] = best;
    }
    return count;
}

static int polish_run(struct polish *p, char *err, size_t err_size)
{
    bool more = true;
    int rc = 0;
    for (uint32_t round = 0, restarts = 0; !rc && round < ROUNDS_MAX; round++) {
        rc = polish_round(p, &more, err, err_size);
        if (!rc && !more) {
            /* All are small: from the best once more, larger, smaller. */
            uint32_t best;
            if (restarts == RESTARTS || p->study->spent + 1 > p->budget) {
                break;
            }
            p->count = 1;
            (void)best_full(p->study, 1, &best);
            p->objective[0] = p->study->options.objective[0];
            rc = polish_begin(p, 0, best, restarts % 2 ? STEP / 3 : 2 * STEP, err, err_size);
            restarts++;
        }
    }
    return rc;
}

static int polish(struct tune_study *study, const uint32_t starts[STARTS],
                  const uint32_t senders[STARTS], uint32_t count, char *err, size_t err_size)
{
    struct polish *p = calloc(1, sizeof(*p));
    int rc = p ? 0 : -ENOMEM;
    begin(study, "polish");
    if (p) {
        p->study = study;
        p->budget = study->options.budget - reserve(study);
        p->count = count;
        memcpy(p->rest, study->candidates[0].unit, study->options.space->count * sizeof(double));
    }
    for (uint32_t d = 0; p && d < study->options.space->count; d++) {
        if (study->matters[d]) {
            p->live[p->live_count++] = d;
        }
    }
    for (uint32_t i = 0; !rc && p->live_count > 0 && i < count; i++) {
        p->objective[i] = study->options.objective[senders[i]];
        rc = polish_begin(p, i, starts[i], STEP, err, err_size);
    }
    if (!rc && p->live_count > 0) {
        rc = polish_run(p, err, err_size);
    }
    for (uint32_t i = 0; p && i < STARTS; i++) {
        simplex_destroy(p->simplex[i]);
    }
    free(p);
    return rc == -ENOMEM ? fail(rc, err, err_size, "out of memory") : rc;
}

/* ------------------------------------------------------------------ what comes out */

static void compare_with_start(struct tune_study *study)
{
    double own[PAIRS_MAX], start[PAIRS_MAX];
    const struct tune_options *o = &study->options;
    study->pairs = pairs_of(o, known_eval(study, study->chosen, study->final_length), own);
    (void)pairs_of(o, known_eval(study, 0, study->final_length), start);
    for (uint32_t i = 0; i < study->pairs; i++) {
        study->pairs_better += own[i] < start[i];
        study->pairs_worse += own[i] > start[i];
    }
}

/*
 * The candidate with whatever does not matter as the start has it, if that is as good: a parameter
 * that says something should have a reason to. Evaluated while there is budget for it.
 */
static int simplify(struct tune_study *study, uint32_t *candidate, char *err, size_t err_size)
{
    const enum tune_objective objective = study->options.objective[0];
    double unit[PARAMS_MAX];
    uint32_t simple;
    for (uint32_t d = 0; d < study->options.space->count; d++) {
        unit[d] = study->candidates[study->matters[d] ? *candidate : 0].unit[d];
    }
    int rc = candidate_at(study, unit, &simple);
    if (rc || simple == NONE || simple == *candidate) {
        return rc ? fail(rc, err, err_size, "out of memory") : 0;
    }
    double left = study->options.budget - study->spent - (reserve(study) - 1);
    if (cost_of(study, &simple, 1, TUNE_FULL) <= left) {
        rc = evaluate(study, &simple, 1, TUNE_FULL, err, err_size);
    }
    if (!rc && rank(tune_eval_of(study, simple, TUNE_FULL), objective) <=
                   rank(tune_eval_of(study, *candidate, TUNE_FULL), objective) + AS_GOOD) {
        *candidate = simple;
    }
    return rc;
}

/* The best, simplified, without repetition, and the start. */
static int find_finalists(struct tune_study *study, char *err, size_t err_size)
{
    uint32_t best[TUNE_FINALISTS_MAX + 1], count = best_full(study, TUNE_FINALISTS_MAX, best);
    int rc = 0;
    best[count] = 0;
    for (uint32_t i = 0; !rc && i <= count; i++) {
        bool had = false;
        rc = i < count ? simplify(study, &best[i], err, err_size) : 0;
        for (uint32_t k = 0; k < study->finalist_count; k++) {
            had = had || study->finalist[k] == best[i];
        }
        if (!had) {
            study->finalist[study->finalist_count++] = best[i];
        }
    }
    return rc;
}

static int choose(struct tune_study *study, char *err, size_t err_size)
{
    const struct tune_options *o = &study->options;
    uint32_t *list = study->finalist;
    begin(study, "final");
    study->final_length = o->drawn ? TUNE_FRESH : TUNE_FULL;
    int rc = find_finalists(study, err, err_size);
    const uint32_t count = study->finalist_count;
    rc = rc ? rc : evaluate(study, list, count, study->final_length, err, err_size);
    if (rc) {
        return rc;
    }
    for (uint32_t i = 1; i < count; i++) {
        uint32_t moved = list[i], to = i;
        double own = rank(tune_eval_of(study, moved, study->final_length), o->objective[0]);
        for (; to > 0 &&
               rank(tune_eval_of(study, list[to - 1], study->final_length), o->objective[0]) > own;
             to--) {
            list[to] = list[to - 1];
        }
        list[to] = moved;
    }
    study->chosen = list[0];
    study->feasible = known_eval(study, list[0], study->final_length)->excess <= 0;
    compare_with_start(study);
    return 0;
}

static void find_good_ranges(struct tune_study *study)
{
    const struct tune_options *o = &study->options;
    uint32_t best;
    (void)best_full(study, 1, &best);
    double limit = rank(tune_eval_of(study, best, TUNE_FULL), o->objective[0]) + core_log(1 + GOOD);
    for (uint32_t i = 0; i < study->candidate_count; i++) {
        if (!(rank(tune_eval_of(study, i, TUNE_FULL), o->objective[0]) <= limit)) {
            continue;
        }
        for (uint32_t d = 0; d < o->space->count; d++) {
            double value = tune_space_value(o->space, study->candidates[i].values, d, NULL);
            bool first = study->good_count == 0;
            study->good_min[d] = first || value < study->good_min[d] ? value : study->good_min[d];
            study->good_max[d] = first || value > study->good_max[d] ? value : study->good_max[d];
        }
        study->good_count++;
    }
}

static void sort_front(struct tune_study *study)
{
    const enum tune_objective first = study->front_objective[0];
    for (uint32_t i = 1; i < study->front_count; i++) {
        uint32_t moved = study->front[i], to = i;
        for (; to > 0 &&
               study->evals[study->front[to - 1]].loss[first] > study->evals[moved].loss[first];
             to--) {
            study->front[to] = study->front[to - 1];
        }
        study->front[to] = moved;
    }
}

static int find_front(struct tune_study *study)
{
    const struct tune_options *o = &study->options;
    bool all = o->objective_count < 2;
    for (uint32_t k = 0; k < (all ? TUNE_OBJECTIVES : o->objective_count); k++) {
        enum tune_objective objective = all ? (enum tune_objective)k : o->objective[k];
        if (isfinite(known_eval(study, 0, TUNE_FULL)->loss[objective])) {
            study->front_objective[study->front_objective_count++] = objective;
        }
    }
    struct front_point *points = calloc(study->eval_count + 1u, sizeof(*points));
    bool *kept = calloc(study->eval_count + 1u, sizeof(*kept));
    uint32_t *evals = calloc(study->eval_count + 1u, sizeof(*evals)), count = 0;
    int rc = points && kept && evals ? 0 : -ENOMEM;
    for (uint32_t i = 0; !rc && i < study->eval_count && count < FRONT_POINTS_MAX; i++) {
        const struct tune_eval *eval = &study->evals[i];
        if (eval->length == TUNE_FULL && eval->excess <= 0) {
            for (uint32_t k = 0; k < study->front_objective_count; k++) {
                points[count].at[k] = tune_ratio(eval, study->front_objective[k]);
            }
            evals[count++] = i;
        }
    }
    if (!rc) {
        (void)front_filter(points, count, study->front_objective_count, kept);
        for (uint32_t i = 0; i < count; i++) {
            if (kept[i]) {
                points[study->front_count] = points[i];
                evals[study->front_count++] = evals[i];
            }
        }
        study->front = evals;
        evals = NULL;
        study->hypervolume =
            front_hypervolume(points, study->front_count, study->front_objective_count, BOX);
        study->hypervolume_start = 1;
        for (uint32_t k = 0; k < study->front_objective_count; k++) {
            study->hypervolume_start *= 1 - 1 / BOX;
        }
        rc = study->hypervolume < 0 ? -ENOMEM : 0;
        sort_front(study);
    }
    free(evals);
    free(kept);
    free(points);
    return rc;
}

int tune_search(const struct tune_options *options, struct tune_study *ret_study, char *err,
                size_t err_size)
{
    uint32_t starts[STARTS], senders[STARTS] = {0}, count = 0;
    struct tune_study *study = ret_study;
    assert(options->space->count > 0 && options->objective_count > 0);
    memset(study, 0, sizeof(*study));
    study->options = *options;
    for (uint32_t i = 0; i < TUNE_LENGTHS; i++) {
        study->share[i] = 1;
    }
    int rc = evaluate_start(study, err, err_size);
    double left = options->budget - study->spent - reserve(study);
    for (uint32_t i = 0; i < TUNE_FULL; i++) {
        left -= study->share[i] < 1 ? study->share[i] : 0; /* the start at these lengths */
    }
    rc = rc ? rc : screen(study, left * SCREENING, err, err_size);
    rc = rc ? rc : halve(study, left * SEARCHING, starts, senders, &count, err, err_size);
    rc = rc ? rc : polish(study, starts, senders, count, err, err_size);
    rc = rc ? rc : choose(study, err, err_size);
    if (!rc) {
        find_good_ranges(study);
        rc = find_front(study) ? fail(-ENOMEM, err, err_size, "out of memory") : 0;
    }
    if (rc) {
        tune_study_fini(study);
    }
    return rc;
}

void tune_study_fini(struct tune_study *study)
{
    for (uint32_t i = 0; i < study->candidate_count; i++) {
        free(study->candidates[i].values);
        free(study->candidates[i].unit);
    }
    for (uint32_t i = 0; i < study->eval_count; i++) {
        free(study->evals[i].runs);
    }
    free(study->candidates);
    free(study->evals);
    free(study->front);
    memset(study, 0, sizeof(*study));
}
