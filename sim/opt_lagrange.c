/*
 * The Lagrangian bound on the sum of waits. In words: if the device is rented out by the slot, at
 * prices that do not depend on who rents, every model can plan for itself; the cheapest plans,
 * waits and rents together, cost no more than any common schedule in which nobody is in the way of
 * another, which pays every rented slot at most once. So their sum, less the rent of all slots, is
 * a bound, for any prices at least 0.
 *
 * A model's plan is exact on a grid of slots: arrivals, services and switches are rounded down to
 * it, which lets every job start no later than before in the same order, and waits are counted from
 * the true arrivals. A model is away or on the device; on it, it serves its next job or rents to
 * stay; away, it rents the time of its least switch to come back; leaving is free.
 *
 * All costs are integers, so the bound is exact; the doubles here only choose the prices.
 */
#include "sim/opt_priv.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_JOBS = 200, SLOTS = 20000, ROUNDS = 100, SLOTS_PER_SERVICE = 20, COARSE_SLOTS = 2000 };

/* One model's jobs in a block, on the grid. */
struct plan {
    size_t jobs;
    size_t *release;  /* slot of arrival */
    size_t *service;  /* in slots */
    int64_t *arrival; /* from the block's origin, not rounded; negative: before it */
    int64_t *tail_a;  /* sums from each job to the last: of arrivals, */
    int64_t *tail_b;  /* and of slots of service before it since the first */
    size_t *before;   /* slots of service of the jobs before it */
    size_t setup;     /* in slots */
    /* [(jobs served) * (slots + 1) + slot]: least cost from there; 0 in the last row. */
    int64_t *on;
    int64_t *away;
};

struct block {
    const struct opt *opt;
    int64_t origin, slot; /* time of slot 0, length of a slot */
    size_t slots;         /* that have a price; after them the device is free of rent */
    int64_t reference;    /* sum of waits of its jobs in the reference */
    uint32_t initial;     /* model at the origin; UINT32_MAX: any */
    struct plan plans[OPT_MODELS_MAX];
    double *price;     /* [slots] */
    double *direction; /* of the last change */
    int64_t *paid;     /* [slots + 1]: prices before a slot, rounded down and summed */
    int32_t *rented;   /* [slots]: by how many models */
};

/* ------------------------------------------------------------------ one model */

/* Rent of LEN slots from AT. */
static int64_t rent(const struct block *b, size_t at, size_t len)
{
    size_t end = at + len < b->slots ? at + len : b->slots;
    return at < end ? b->paid[end] - b->paid[at] : 0;
}

/* After the last slot: all jobs from K one after the other from slot AT, for nothing. */
static int64_t tail_cost(const struct block *b, const struct plan *p, size_t k, size_t at)
{
    int64_t left = (int64_t)(p->jobs - k);
    int64_t slots = left * ((int64_t)at - (int64_t)p->before[k]) + p->tail_b[k];
    return slots * b->slot - p->tail_a[k];
}

/* Least cost from slot AT with K jobs served, by the table of the model on the device or away. */
static int64_t cost_from(const struct block *b, const struct plan *p, const int64_t *table,
                         size_t k, size_t at)
{
    return at > b->slots ? tail_cost(b, p, k, at) : table[k * (b->slots + 1) + at];
}

/* Cost of serving job K in slot AT, and all after it. */
static int64_t cost_serving(const struct block *b, const struct plan *p, size_t k, size_t at)
{
    int64_t wait = (int64_t)at * b->slot - p->arrival[k];
    return (wait > 0 ? wait : 0) + rent(b, at, p->service[k]) +
           cost_from(b, p, p->on, k + 1, at + p->service[k]);
}

static void solve_plan(const struct block *b, struct plan *p)
{
    const int64_t *paid = b->paid;
    size_t width = b->slots + 1;
    for (size_t k = p->jobs; k-- > 0;) {
        int64_t *on = &p->on[k * width], *away = &p->away[k * width];
        on[b->slots] = away[b->slots] = tail_cost(b, p, k, b->slots);
        for (size_t at = b->slots; at-- > 0;) {
            int64_t stay = paid[at + 1] - paid[at] + on[at + 1];
            if (at >= p->release[k]) {
                int64_t serving = cost_serving(b, p, k, at);
                stay = serving < stay ? serving : stay;
            }
            int64_t back = p->setup == 0
                               ? stay
                               : rent(b, at, p->setup) + cost_from(b, p, p->on, k, at + p->setup);
            away[at] = back < away[at + 1] ? back : away[at + 1];
            on[at] = away[at] < stay ? away[at] : stay;
        }
    }
}

static void mark(struct block *b, size_t at, size_t len)
{
    for (size_t i = at; i < at + len && i < b->slots; i++) {
        b->rented[i]++;
    }
}

/* Walks the cheapest plan and marks what it rents. */
static void mark_plan(struct block *b, const struct plan *p, bool on)
{
    size_t k = 0, at = 0;
    while (k < p->jobs && at < b->slots) {
        int64_t cost = cost_from(b, p, on ? p->on : p->away, k, at);
        if (on && at >= p->release[k] && cost == cost_serving(b, p, k, at)) {
            mark(b, at, p->service[k]);
            at += p->service[k];
            k++;
        } else if (on && cost == rent(b, at, 1) + cost_from(b, p, p->on, k, at + 1)) {
            mark(b, at, 1);
            at++;
        } else if (on) {
            on = false;
        } else if (cost == cost_from(b, p, p->away, k, at + 1)) {
            at++;
        } else {
            mark(b, at, p->setup);
            at += p->setup;
            on = true;
        }
    }
}

/* ------------------------------------------------------------------ prices */

/* The bound at the prices at hand, and who rents what. */
static int64_t bound_at_prices(struct block *b)
{
    const struct opt *opt = b->opt;
    for (size_t i = 0; i < b->slots; i++) {
        b->paid[i + 1] = b->paid[i] + (int64_t)b->price[i];
    }
    memset(b->rented, 0, b->slots * sizeof *b->rented);
    int64_t bound = -b->paid[b->slots], best_gain = 0;
    uint32_t first = b->initial;
    for (uint32_t m = 0; m < opt->models; m++) {
        struct plan *p = &b->plans[m];
        if (p->jobs == 0) {
            continue;
        }
        solve_plan(b, p);
        int64_t gain = p->on[0] - p->away[0];
        bound += p->away[0];
        /* One model is there at the origin; if it may be any, the one that gains most. */
        if (m == b->initial || (b->initial == UINT32_MAX && gain < best_gain)) {
            best_gain = gain;
            first = m;
        }
    }
    for (uint32_t m = 0; m < opt->models; m++) {
        if (b->plans[m].jobs > 0) {
            mark_plan(b, &b->plans[m], m == first);
        }
    }
    return bound + best_gain;
}

/*
 * Moves the prices towards slots that more than one model rents, and away from those that none
 * does: a step of Polyak's length, along a direction that remembers the last.
 */
static void change_prices(struct block *b, double gap, double pace)
{
    double square = 0;
    for (size_t i = 0; i < b->slots; i++) {
        double excess = b->rented[i] - 1;
        if (excess < 0 && b->price[i] <= 0) {
            excess = 0;
        }
        b->direction[i] = excess + 0.7 * b->direction[i];
        square += b->direction[i] * b->direction[i];
    }
    for (size_t i = 0; i < b->slots && square > 0; i++) {
        b->price[i] = fmax(0, b->price[i] + pace * gap / square * b->direction[i]);
    }
}

static int64_t search_prices(struct block *b, size_t rounds)
{
    int64_t best = bound_at_prices(b);
    double pace = 1;
    size_t since = 0;
    for (size_t i = 0; i < rounds && best < b->reference; i++) {
        change_prices(b, (double)(b->reference - best), pace);
        int64_t bound = bound_at_prices(b);
        if (bound > best) {
            best = bound;
            since = 0;
        } else if (++since == 8) {
            pace /= 2;
            since = 0;
        }
    }
    return best;
}

/* ------------------------------------------------------------------ blocks */

static void block_fini(struct block *b)
{
    for (uint32_t m = 0; m < b->opt->models; m++) {
        struct plan *p = &b->plans[m];
        free(p->release);
        free(p->service);
        free(p->arrival);
        free(p->tail_a);
        free(p->tail_b);
        free(p->before);
        free(p->on);
        free(p->away);
    }
    free(b->price);
    free(b->direction);
    free(b->paid);
    free(b->rented);
}

static int plan_init(struct block *b, uint32_t m, struct plan *p, size_t begin, size_t end)
{
    const struct opt *opt = b->opt;
    size_t first = 0;
    while (first < opt_model_jobs(opt, m) && opt_job_number(opt, m, first) < begin) {
        first++;
    }
    while (first + p->jobs < opt_model_jobs(opt, m) &&
           opt_job_number(opt, m, first + p->jobs) < end) {
        p->jobs++;
    }
    size_t n = p->jobs, cells = (n + 1) * (b->slots + 1);
    p->release = calloc(n + 1, sizeof *p->release);
    p->service = calloc(n + 1, sizeof *p->service);
    p->arrival = calloc(n + 1, sizeof *p->arrival);
    p->tail_a = calloc(n + 1, sizeof *p->tail_a);
    p->tail_b = calloc(n + 1, sizeof *p->tail_b);
    p->before = calloc(n + 1, sizeof *p->before);
    p->on = calloc(cells, sizeof *p->on);
    p->away = calloc(cells, sizeof *p->away);
    if (!p->release || !p->service || !p->arrival || !p->tail_a || !p->tail_b || !p->before ||
        !p->on || !p->away) {
        return -ENOMEM;
    }
    int64_t setup = opt_least_switch(opt, m);
    if (b->initial != UINT32_MAX && b->initial != m) {
        int64_t initial = opt_cost(opt, b->initial, m);
        setup = opt->models == 1 || initial < setup ? initial : setup;
    }
    p->setup = (size_t)(setup / b->slot);
    for (size_t k = 0; k < n; k++) {
        const struct opt_job *job = &opt->jobs[opt_job_number(opt, m, first + k)];
        p->arrival[k] = job->arrival - b->origin;
        p->release[k] = (size_t)(p->arrival[k] / b->slot);
        p->service[k] = (size_t)(job->service / b->slot);
        p->before[k + 1] = p->before[k] + p->service[k];
    }
    for (size_t k = n; k-- > 0;) {
        p->tail_a[k] = p->tail_a[k + 1] + p->arrival[k];
        p->tail_b[k] = p->tail_b[k + 1] + (int64_t)p->before[k];
    }
    return 0;
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The largest grid that all times of the block are on. */
static int64_t natural_slot(const struct block *b, size_t begin, size_t end)
{
    const struct opt *opt = b->opt;
    int64_t slot = 0;
    for (size_t i = begin; i < end; i++) {
        slot = gcd(gcd(slot, opt->jobs[i].arrival - b->origin), opt->jobs[i].service);
    }
    for (uint32_t m = 0; m < opt->models; m++) {
        slot = gcd(slot, opt_least_switch(opt, m));
    }
    return slot > 0 ? slot : 1;
}

/*
 * First prices: what a second less of the device costs in the reference, where it delays every job
 * that starts later in the same busy period.
 */
static void first_prices(struct block *b, const struct opt_step *steps, const size_t *places,
                         size_t len)
{
    size_t later = 0;
    int64_t next_begin = INT64_MAX;
    for (size_t i = len; i-- > 0;) {
        const struct opt_step *s = &steps[places[i]];
        int64_t begin = s->from == s->model ? s->start : s->start - s->switch_time;
        int64_t until = s->end > next_begin ? next_begin : s->end;
        later = next_begin - s->end > b->slot ? 0 : later;
        for (size_t slot = begin > b->origin ? (size_t)((begin - b->origin) / b->slot) : 0;
             slot < b->slots && b->origin + (int64_t)slot * b->slot < until; slot++) {
            b->price[slot] = (double)later * (double)b->slot;
        }
        later++;
        next_begin = begin;
    }
}

static int block_init(struct block *b, const struct opt_lagrange_options *options,
                      const struct opt_step *reference, const size_t *places, size_t begin,
                      size_t end)
{
    const struct opt *opt = b->opt;
    int64_t last = opt->jobs[end - 1].arrival, work = 0;
    for (size_t i = 0; i < end - begin; i++) {
        const struct opt_step *s = &reference[places[i]];
        last = s->end > last ? s->end : last;
        work += opt->jobs[s->job].service;
        b->reference = opt_sum(b->reference, s->start - opt->jobs[s->job].arrival);
    }
    int64_t slots_max = (int64_t)(options->slots > 0 ? options->slots : SLOTS);
    int64_t span = last - b->origin + 1;
    b->slot = natural_slot(b, begin, end);
    if (span / b->slot >= COARSE_SLOTS) {
        int64_t fine = work / (int64_t)(end - begin) / SLOTS_PER_SERVICE + 1;
        b->slot = span / fine < COARSE_SLOTS ? span / COARSE_SLOTS + 1 : fine;
    }
    if (span / b->slot >= slots_max) {
        b->slot = span / slots_max + 1;
    }
    b->slots = (size_t)(span / b->slot) + 1;
    b->price = calloc(b->slots, sizeof *b->price);
    b->direction = calloc(b->slots, sizeof *b->direction);
    b->paid = calloc(b->slots + 1, sizeof *b->paid);
    b->rented = calloc(b->slots, sizeof *b->rented);
    if (!b->price || !b->direction || !b->paid || !b->rented) {
        return -ENOMEM;
    }
    for (uint32_t m = 0; m < opt->models; m++) {
        int rc = plan_init(b, m, &b->plans[m], begin, end);
        if (rc) {
            return rc;
        }
    }
    first_prices(b, reference, places, end - begin);
    return 0;
}

static int compare_places(const void *left, const void *right)
{
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    return (a > b) - (a < b);
}

static int bound_block(const struct opt_reference *reference,
                       const struct opt_lagrange_options *options, size_t begin, size_t end,
                       int64_t *ret_bound)
{
    const struct opt *opt = reference->opt;
    struct block *b = calloc(1, sizeof *b);
    size_t *places = calloc(end - begin, sizeof *places);
    int rc = b && places ? 0 : -ENOMEM;
    if (rc == 0) {
        memcpy(places, reference->place_of + begin, (end - begin) * sizeof *places);
        qsort(places, end - begin, sizeof *places, compare_places);
        *b = (struct block){.opt = opt, .initial = begin == 0 ? opt->initial : UINT32_MAX};
        b->origin = begin == 0 ? 0 : opt->jobs[begin].arrival;
        rc = block_init(b, options, reference->steps, places, begin, end);
        if (rc == 0) {
            int64_t bound = search_prices(b, options->rounds > 0 ? options->rounds : ROUNDS);
            *ret_bound = bound > 0 ? bound : 0;
        }
        block_fini(b);
    }
    free(places);
    free(b);
    return rc;
}

int opt_lagrange(const struct opt_reference *reference, const struct opt_lagrange_options *options,
                 size_t begin, size_t end, int64_t *ret_sum)
{
    size_t size = options->block_jobs > 0 ? options->block_jobs : BLOCK_JOBS;
    size_t blocks = (end - begin + size / 2) / size; /* of about that size */
    blocks = blocks > 0 ? blocks : 1;
    int64_t sum = 0;
    int rc = 0;
    for (size_t i = 0; i < blocks && rc == 0; i++) {
        int64_t bound = 0;
        rc = bound_block(reference, options, begin + (end - begin) * i / blocks,
                         begin + (end - begin) * (i + 1) / blocks, &bound);
        sum = opt_sum(sum, bound);
    }
    if (rc == 0) {
        *ret_sum = sum;
    }
    return rc;
}
