/*
 * The clairvoyant optimum by labels. A state is (how many jobs of each model are served, the model
 * on the device); a label of it is a (time, cost) at which it can be reached. States are gone
 * through in the order of one number whose digits are the served counts, so that a state's
 * predecessors come before it; of each state only labels that no other beats are kept.
 */
#include "base/fail.h"
#include "sim/opt_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct label {
    int64_t time, cost;
    uint32_t parent; /* number of the label before */
    uint32_t model;
};

struct solver {
    const struct opt *opt;
    const struct opt_window *window;
    const struct opt_search *search;
    size_t codes;                  /* combinations of served counts */
    size_t stride[OPT_MODELS_MAX]; /* of a model's digit in the code */
    size_t digit[OPT_MODELS_MAX];  /* of the code at hand */
    size_t left;                   /* jobs that are not served in it */
    uint32_t *front;               /* [code * models + model]: its first label; one more ends */
    struct label *labels;
    size_t labels_len, labels_size;
    struct label *candidates;
    size_t candidates_len, candidates_size;
};

static int grow(struct label **labels, size_t *size, size_t need)
{
    if (need <= *size) {
        return 0;
    }
    size_t larger = need + need / 2 + 64;
    struct label *grown = reallocarray(*labels, larger, sizeof *grown);
    if (!grown) {
        return -ENOMEM;
    }
    *labels = grown;
    *size = larger;
    return 0;
}

static int compare_labels(const void *left, const void *right)
{
    const struct label *a = left, *b = right;
    if (a->time != b->time) {
        return a->time < b->time ? -1 : 1;
    }
    if (a->cost != b->cost) {
        return a->cost < b->cost ? -1 : 1;
    }
    return (a->parent > b->parent) - (a->parent < b->parent);
}

/* The label that follows PARENT by serving JOB. False: it may not. */
static bool extend(const struct solver *s, const struct label *parent, uint32_t resident,
                   const struct opt_job *job, struct label *ret_label)
{
    const struct opt_search *search = s->search;
    int64_t switching = opt_cost(s->opt, resident, job->model);
    int64_t start = opt_start(search->anticipation, parent->time, switching, job);
    int64_t wait = start - job->arrival, cost = parent->cost;
    switch (search->objective) {
    case OPT_SUM:
        cost += wait;
        break;
    case OPT_MAX:
        cost = wait > cost ? wait : cost;
        break;
    case OPT_MAKESPAN:
        break;
    case OPT_P95:
        cost += wait > search->threshold;
        if (cost > search->over_max) {
            return false;
        }
        break;
    }
    *ret_label = (struct label){.time = start + job->service,
                                .cost = cost,
                                .parent = (uint32_t)(parent - s->labels),
                                .model = job->model};
    return true;
}

/* Candidates for the state that is reached by serving JOB, the last of its model in the code. */
static int collect(struct solver *s, size_t code, uint32_t model, const struct opt_job *job)
{
    size_t before = code - s->stride[model], models = s->opt->models;
    size_t begin = before == 0 ? 0 : s->front[before * models];
    size_t end = before == 0 ? 1 : s->front[(before + 1) * models];
    s->candidates_len = 0;
    int rc = grow(&s->candidates, &s->candidates_size, end - begin);
    for (size_t i = begin; rc == 0 && i < end; i++) {
        uint32_t resident = before == 0 ? s->window->resident : s->labels[i].model;
        if (extend(s, &s->labels[i], resident, job, &s->candidates[s->candidates_len])) {
            s->candidates_len++;
        }
    }
    return rc;
}

/*
 * Drops the candidates that another one beats: it is no later and costs no more. For the sum also
 * one that is later by d but cheaper by at least d for each job that is left: following the other's
 * way it loses no more than that.
 */
static void prune(struct solver *s)
{
    struct label *c = s->candidates;
    size_t kept = 0;
    qsort(c, s->candidates_len, sizeof *c, compare_labels);
    for (size_t i = 0; i < s->candidates_len; i++) {
        if (kept == 0 || c[i].cost < c[kept - 1].cost) {
            c[kept++] = c[i];
        }
    }
    if (s->search->objective == OPT_SUM && kept > 1) {
        int64_t left = (int64_t)s->left, begin = s->window->time, least = INT64_MAX;
        size_t place = kept;
        for (size_t i = kept; i-- > 0;) {
            int64_t worth = c[i].cost + left * (c[i].time - begin);
            if (worth < least) {
                least = worth;
                c[--place] = c[i];
            }
        }
        memmove(c, c + place, (kept - place) * sizeof *c);
        kept -= place;
    }
    s->candidates_len = kept;
}

static int solve_code(struct solver *s, size_t code)
{
    uint32_t models = s->opt->models;
    for (uint32_t m = 0; m < models; m++) {
        s->front[code * models + m] = (uint32_t)s->labels_len;
        if (s->digit[m] == 0) {
            continue;
        }
        size_t number = opt_job_number(s->opt, m, s->window->first[m] + s->digit[m] - 1);
        int rc = collect(s, code, m, &s->opt->jobs[number]);
        if (rc) {
            return rc;
        }
        prune(s);
        if (s->labels_len + s->candidates_len > s->search->states_max) {
            return -E2BIG;
        }
        rc = grow(&s->labels, &s->labels_size, s->labels_len + s->candidates_len);
        if (rc) {
            return rc;
        }
        memcpy(s->labels + s->labels_len, s->candidates, s->candidates_len * sizeof *s->candidates);
        s->labels_len += s->candidates_len;
    }
    s->front[(code + 1) * models] = (uint32_t)s->labels_len;
    return 0;
}

/* The next combination of served counts. */
static void count_up(struct solver *s)
{
    for (uint32_t m = 0; m < s->opt->models; m++) {
        if (s->digit[m] < s->window->count[m]) {
            s->digit[m]++;
            s->left--;
            return;
        }
        s->left += s->digit[m];
        s->digit[m] = 0;
    }
}

/* The order that leads to the best label of the last state. -ENOENT: there is none. */
static int trace_back(const struct solver *s, size_t jobs, int64_t *ret_value, size_t *ret_order)
{
    size_t models = s->opt->models;
    size_t begin = jobs == 0 ? 0 : s->front[(s->codes - 1) * models];
    size_t end = jobs == 0 ? 1 : s->front[s->codes * models], best = SIZE_MAX;
    bool by_time = s->search->objective == OPT_MAKESPAN;
    for (size_t i = begin; i < end; i++) {
        const struct label *l = &s->labels[i], *b = best == SIZE_MAX ? NULL : &s->labels[best];
        if (!b || (by_time ? l->time < b->time
                           : l->cost < b->cost || (l->cost == b->cost && l->time < b->time))) {
            best = i;
        }
    }
    if (best == SIZE_MAX) {
        return -ENOENT;
    }
    *ret_value = by_time ? s->labels[best].time : s->labels[best].cost;
    size_t left[OPT_MODELS_MAX];
    memcpy(left, s->window->count, models * sizeof *left);
    for (size_t i = jobs; i-- > 0; best = s->labels[best].parent) {
        uint32_t m = s->labels[best].model;
        assert(left[m] > 0);
        ret_order[i] = opt_job_number(s->opt, m, s->window->first[m] + --left[m]);
    }
    return 0;
}

int opt_search(const struct opt *opt, const struct opt_window *window,
               const struct opt_search *search, int64_t *ret_value, size_t *ret_order)
{
    assert(search->states_max < UINT32_MAX);
    struct solver s = {.opt = opt, .window = window, .search = search, .codes = 1};
    size_t jobs = 0;
    for (uint32_t m = 0; m < opt->models; m++) {
        s.stride[m] = s.codes;
        if (__builtin_mul_overflow(s.codes, window->count[m] + 1, &s.codes) ||
            s.codes > search->states_max / opt->models) {
            return -E2BIG;
        }
        jobs += window->count[m];
    }
    s.left = jobs;
    s.front = calloc(s.codes * opt->models + 1, sizeof *s.front);
    int rc = s.front ? grow(&s.labels, &s.labels_size, 1) : -ENOMEM;
    if (rc == 0) {
        s.labels[s.labels_len++] = (struct label){.time = window->time, .cost = search->cost};
    }
    for (size_t code = 1; rc == 0 && code < s.codes; code++) {
        count_up(&s);
        rc = solve_code(&s, code);
    }
    rc = rc ? rc : trace_back(&s, jobs, ret_value, ret_order);
    free(s.front);
    free(s.labels);
    free(s.candidates);
    return rc;
}

/* ------------------------------------------------------------------ the whole instance */

static int fail_search(const struct opt *opt, int rc, char *err, size_t err_size)
{
    if (rc == -E2BIG) {
        return fail(rc, err, err_size,
                    "%zu jobs of %u models are too many for the optimum: %.3g states; take fewer "
                    "jobs, or the best known and a bound",
                    opt->jobs_len, opt->models, opt_states(opt));
    }
    return fail(rc, err, err_size, "out of memory");
}

/*
 * The least x for which a schedule exists with no more waits above x than the percentile leaves,
 * between what each model alone has and what a schedule at hand has.
 */
static int search_p95(const struct opt *opt, const struct opt_window *window,
                      struct opt_search search, size_t *ret_order, struct opt_step *steps)
{
    int64_t low = 0, high = 0, value; /* the optimum is in [low, high] */
    size_t *order = calloc(opt->jobs_len + 1, sizeof *order);
    int rc = order ? opt_bound_alone(opt, OPT_P95, &low) : -ENOMEM;
    search.objective = OPT_MAX;
    rc = rc ? rc : opt_search(opt, window, &search, &value, ret_order);
    if (rc == 0) {
        opt_follow(opt, search.anticipation, ret_order, steps);
        high = opt_value(opt, OPT_P95, steps);
    }
    search.objective = OPT_P95;
    search.over_max =
        opt->jobs_len ? (int64_t)(opt->jobs_len - 1 - opt_p95_rank(opt->jobs_len)) : 0;
    while (rc == 0 && low < high) {
        search.threshold = low + (high - low) / 2;
        rc = opt_search(opt, window, &search, &value, order);
        if (rc == 0) {
            memcpy(ret_order, order, opt->jobs_len * sizeof *order);
            opt_follow(opt, search.anticipation, order, steps);
            high = opt_value(opt, OPT_P95, steps);
            rc = high <= search.threshold ? 0 : -ENOMEM;
        } else if (rc == -ENOENT) {
            low = search.threshold + 1;
            rc = 0;
        }
    }
    free(order);
    return rc;
}

int opt_exact(const struct opt *opt, enum opt_objective objective, bool anticipation,
              size_t states_max, int64_t *ret_value, struct opt_step *ret_steps, char *err,
              size_t err_size)
{
    if (opt_states(opt) > (double)states_max) {
        return fail_search(opt, -E2BIG, err, err_size);
    }
    if (opt->jobs_len > 0 && opt->horizon > INT64_MAX / 4 / (int64_t)opt->jobs_len) {
        return fail(-ERANGE, err, err_size, "the sum of waits may be more than %lld",
                    (long long)(INT64_MAX / 4));
    }
    size_t first[OPT_MODELS_MAX] = {0}, count[OPT_MODELS_MAX];
    for (uint32_t m = 0; m < opt->models; m++) {
        count[m] = opt_model_jobs(opt, m);
    }
    struct opt_window window = {.first = first, .count = count, .resident = opt->initial};
    struct opt_search search = {
        .objective = objective, .anticipation = anticipation, .states_max = states_max};
    int64_t value = 0;
    size_t *order = calloc(opt->jobs_len + 1, sizeof *order);
    int rc = -ENOMEM;
    if (order) {
        rc = objective == OPT_P95 ? search_p95(opt, &window, search, order, ret_steps)
                                  : opt_search(opt, &window, &search, &value, order);
    }
    if (rc == 0) {
        opt_follow(opt, anticipation, order, ret_steps);
        *ret_value = opt_value(opt, objective, ret_steps);
    }
    free(order);
    return rc ? fail_search(opt, rc, err, err_size) : 0;
}
