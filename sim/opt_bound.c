/*
 * Simple bounds of the offline problem: what is left when the models do not get in each other's
 * way, or when switches are free and services can be interrupted.
 */
#include "sim/opt_priv.h"

#include <errno.h>
#include <stdlib.h>

enum { PART_JOBS = 200 };

/* ------------------------------------------------------------------ every model alone */

/*
 * Waits if each model were the only one, by number of job: no schedule starts a job earlier, since
 * those of its model before it must be served and the model be there. *ret_end: when the last of
 * these ends.
 */
static void waits_alone(const struct opt *opt, int64_t *ret_waits, int64_t *ret_end)
{
    *ret_end = 0;
    for (uint32_t m = 0; m < opt->models; m++) {
        int64_t time = opt_cost(opt, opt->initial, m);
        for (size_t k = 0; k < opt_model_jobs(opt, m); k++) {
            size_t number = opt_job_number(opt, m, k);
            const struct opt_job *job = &opt->jobs[number];
            int64_t start = time > job->arrival ? time : job->arrival;
            ret_waits[number] = start - job->arrival;
            time = start + job->service;
            *ret_end = time > *ret_end ? time : *ret_end;
        }
    }
}

int opt_bound_alone(const struct opt *opt, enum opt_objective objective, int64_t *ret_bound)
{
    int64_t *waits = calloc(opt->jobs_len + 1, sizeof *waits), end, sum = 0, max = 0;
    if (!waits) {
        return -ENOMEM;
    }
    waits_alone(opt, waits, &end);
    for (size_t i = 0; i < opt->jobs_len; i++) {
        sum = opt_sum(sum, waits[i]);
        max = waits[i] > max ? waits[i] : max;
    }
    switch (objective) {
    case OPT_SUM:
        *ret_bound = sum;
        break;
    case OPT_MAX:
        *ret_bound = max;
        break;
    case OPT_MAKESPAN:
        *ret_bound = end;
        break;
    case OPT_P95:
        *ret_bound = opt_p95(waits, opt->jobs_len);
        break;
    }
    free(waits);
    return 0;
}

/* ------------------------------------------------------------------ free switches */

/* Jobs that have arrived, the one to serve on top. */
struct heap {
    struct heap_job {
        int64_t key, left;
        size_t number;
    } * jobs;
    size_t len;
};

static bool goes_first(const struct heap_job *a, const struct heap_job *b)
{
    return a->key < b->key || (a->key == b->key && a->number < b->number);
}

static void heap_push(struct heap *heap, struct heap_job job)
{
    size_t i = heap->len++;
    for (; i > 0 && goes_first(&job, &heap->jobs[(i - 1) / 2]); i = (i - 1) / 2) {
        heap->jobs[i] = heap->jobs[(i - 1) / 2];
    }
    heap->jobs[i] = job;
}

/* Puts JOB in the place of the top. */
static void heap_sink(struct heap *heap, struct heap_job job)
{
    size_t i = 0;
    for (size_t child = 1; child < heap->len; child = 2 * i + 1) {
        if (child + 1 < heap->len && goes_first(&heap->jobs[child + 1], &heap->jobs[child])) {
            child++;
        }
        if (!goes_first(&heap->jobs[child], &job)) {
            break;
        }
        heap->jobs[i] = heap->jobs[child];
        i = child;
    }
    heap->jobs[i] = job;
}

static void heap_pop(struct heap *heap)
{
    heap->len--;
    if (heap->len > 0) {
        heap_sink(heap, heap->jobs[heap->len]);
    }
}

/*
 * One device that may interrupt a service at any time. BY_DUE: the job with the least arrival +
 * service goes first, which makes the largest end - (arrival + service) least (Jackson, Horn); else
 * the one with the least left, which makes the sum of the times in the system least (Schrage). A
 * job's end - arrival - service is its wait where nothing is interrupted. ret_waits gets them,
 * ret_first whether a job finds nobody there; both by number of job.
 */
static int serve_interrupted(const struct opt *opt, bool by_due, int64_t *ret_waits,
                             bool *ret_first)
{
    struct heap heap = {.jobs = calloc(opt->jobs_len + 1, sizeof *heap.jobs)};
    if (!heap.jobs) {
        return -ENOMEM;
    }
    int64_t time = 0;
    for (size_t next = 0; next < opt->jobs_len || heap.len > 0;) {
        if (heap.len == 0 && opt->jobs[next].arrival >= time) {
            time = opt->jobs[next].arrival;
            ret_first[next] = true;
        }
        for (; next < opt->jobs_len && opt->jobs[next].arrival <= time; next++) {
            const struct opt_job *job = &opt->jobs[next];
            heap_push(&heap, (struct heap_job){by_due ? job->arrival + job->service : job->service,
                                               job->service, next});
        }
        struct heap_job top = heap.jobs[0];
        int64_t until = time + top.left;
        if (next < opt->jobs_len && opt->jobs[next].arrival < until) {
            top.left = until - opt->jobs[next].arrival;
            top.key = by_due ? top.key : top.left;
            time = opt->jobs[next].arrival;
            heap_sink(&heap, top);
            continue;
        }
        time = until;
        heap_pop(&heap);
        int64_t wait = time - opt->jobs[top.number].arrival - opt->jobs[top.number].service;
        ret_waits[top.number] = wait;
    }
    free(heap.jobs);
    return 0;
}

/* All work one after the other, and one switch into each model that has some. */
static int64_t work_and_switches(const struct opt *opt)
{
    int64_t sum = 0;
    for (size_t i = 0; i < opt->jobs_len; i++) {
        sum += opt->jobs[i].service;
    }
    for (uint32_t m = 0; m < opt->models; m++) {
        if (m != opt->initial && opt_model_jobs(opt, m) > 0) {
            int64_t least = opt_least_switch(opt, m), initial = opt_cost(opt, opt->initial, m);
            sum += opt->models == 1 || initial < least ? initial : least;
        }
    }
    return sum;
}

/* What free switches leave of the sum or the max, in memory that opt_bound owns. */
struct free_switches {
    int64_t *waits;
    bool *first;
};

static int bound_no_switch(const struct opt *opt, enum opt_objective objective,
                           const struct free_switches *free_switches, int64_t *ret_bound)
{
    int64_t sum = 0, max = 0;
    if (objective == OPT_MAKESPAN || objective == OPT_P95) {
        *ret_bound = objective == OPT_MAKESPAN ? work_and_switches(opt) : INT64_MIN;
        return 0;
    }
    int rc =
        serve_interrupted(opt, objective == OPT_MAX, free_switches->waits, free_switches->first);
    for (size_t i = 0; i < opt->jobs_len; i++) {
        sum = opt_sum(sum, free_switches->waits[i]);
        max = free_switches->waits[i] > max ? free_switches->waits[i] : max;
    }
    *ret_bound = objective == OPT_SUM ? sum : max;
    return rc;
}

/* ------------------------------------------------------------------ together */

/*
 * Jobs are cut where one finds nobody there even if switches are free: what is before does not
 * matter to the waits that free switches leave, and little to those of the Lagrangian bound. The
 * larger of the two counts for each part.
 */
static int bound_parts(const struct opt_reference *reference,
                       const struct opt_lagrange_options *options,
                       const struct free_switches *free_switches, struct opt_bounds *b)
{
    size_t jobs = reference->opt->jobs_len, wanted = PART_JOBS;
    if (options->block_jobs > 0) {
        wanted = options->block_jobs;
    }
    int rc = 0;
    b->lagrange = b->mixed = 0;
    for (size_t begin = 0, end; begin < jobs && rc == 0; begin = end) {
        int64_t waits = 0, lagrange = 0;
        for (end = begin; end < jobs; end++) {
            if (end >= begin + wanted && free_switches->first[end]) {
                break;
            }
            waits = opt_sum(waits, free_switches->waits[end]);
        }
        rc = opt_lagrange(reference, options, begin, end, &lagrange);
        b->lagrange = opt_sum(b->lagrange, lagrange);
        b->mixed = opt_sum(b->mixed, lagrange > waits ? lagrange : waits);
    }
    return rc;
}

int opt_bound(const struct opt *opt, enum opt_objective objective,
              const struct opt_lagrange_options *options, const struct opt_step *reference,
              struct opt_bounds *ret_bounds)
{
    const struct opt_lagrange_options defaults = {0};
    struct opt_bounds b = {.lagrange = INT64_MIN, .mixed = INT64_MIN};
    struct opt_reference r = {.opt = opt, .steps = reference};
    struct free_switches free_switches = {
        .waits = calloc(opt->jobs_len + 1, sizeof *free_switches.waits),
        .first = calloc(opt->jobs_len + 1, sizeof *free_switches.first)};
    r.place_of = calloc(opt->jobs_len + 1, sizeof *r.place_of);
    int rc = free_switches.waits && free_switches.first && r.place_of ? 0 : -ENOMEM;
    rc = rc ? rc : opt_bound_alone(opt, objective, &b.alone);
    rc = rc ? rc : bound_no_switch(opt, objective, &free_switches, &b.no_switch);
    if (rc == 0 && objective == OPT_SUM) {
        for (size_t i = 0; i < opt->jobs_len; i++) {
            r.place_of[reference[i].job] = i;
        }
        rc = bound_parts(&r, options ? options : &defaults, &free_switches, &b);
    }
    if (rc == 0) {
        b.best = b.alone > b.no_switch ? b.alone : b.no_switch;
        b.best = b.mixed > b.best ? b.mixed : b.best;
        *ret_bounds = b;
    }
    free(free_switches.waits);
    free(free_switches.first);
    free(r.place_of);
    return rc;
}
