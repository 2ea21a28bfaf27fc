/* The formulas, in the order of the header. */
#include "formulas.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static double load_of(struct theory_queue queue)
{
    return queue.rate * queue.service;
}

/* ------------------------------------------------------------------ one model */

double theory_wait_single(struct theory_queue queue)
{
    return queue.rate * queue.service2 / (2 * (1 - load_of(queue)));
}

double theory_wait_vacations(struct theory_queue queue, double vacation, double vacation2)
{
    return theory_wait_single(queue) + vacation2 / (2 * vacation);
}

double theory_wait_sleep(struct theory_queue queue, double setup, double setup2)
{
    return theory_wait_single(queue) +
           (2 * setup + queue.rate * setup2) / (2 * (1 + queue.rate * setup));
}

double theory_wait_npolicy(struct theory_queue queue, double n, double setup, double setup2)
{
    /* Those who arrive between two busy periods number n + rate * setup; what they wait beyond
     * the wait of the plain queue is the mean number found there, by Little's law. */
    double area = n / queue.rate * (n - 1) / 2 + setup * n + queue.rate * setup2 / 2;
    double length = n / queue.rate + setup;
    return theory_wait_single(queue) + area / length / queue.rate;
}

double theory_cycle_npolicy(struct theory_queue queue, double n, double setup)
{
    return (n / queue.rate + setup) / (1 - load_of(queue));
}

double theory_response_sharing(struct theory_queue queue)
{
    return queue.service / (1 - load_of(queue));
}

/* ------------------------------------------------------------------ first come, first served */

double theory_fifo_switch(uint32_t models, double cost)
{
    return (1 - 1.0 / models) * cost;
}

double theory_wait_fifo(uint32_t models, struct theory_queue queue, double cost)
{
    double changes = 1 - 1.0 / models;
    struct theory_queue with_switch = {
        .rate = queue.rate,
        .service = queue.service + changes * cost,
        .service2 = queue.service2 + 2 * queue.service * changes * cost + changes * cost * cost,
    };
    return theory_wait_single(with_switch);
}

/* ------------------------------------------------------------------ cyclic polling */

double theory_load(const struct theory_polling *polling)
{
    double load = 0;
    for (uint32_t i = 0; i < polling->count; i++) {
        load += load_of(polling->queue[i]);
    }
    return load;
}

static double moves(const struct theory_polling *polling)
{
    double sum = 0;
    for (uint32_t i = 0; i < polling->count; i++) {
        sum += polling->move[i];
    }
    return sum;
}

double theory_cycle(const struct theory_polling *polling)
{
    return moves(polling) / (1 - theory_load(polling));
}

/* What is in the queues when the server comes to one of them: means, second factorial moments. */
struct occupancy {
    double mean[THEORY_QUEUES_MAX];
    double second[THEORY_QUEUES_MAX][THEORY_QUEUES_MAX];
};

/* From the instant of polling queue i to that of polling the next one. */
static void poll(const struct theory_polling *p, enum theory_discipline discipline, uint32_t i,
                 struct occupancy *x)
{
    struct theory_queue q = p->queue[i];
    double load = load_of(q);
    bool exhaustive = discipline == THEORY_EXHAUSTIVE;
    /* Each of those found takes this long: with all that arrive behind it, or alone. */
    double each = exhaustive ? q.service / (1 - load) : q.service;
    double each2 = exhaustive ? q.service2 / ((1 - load) * (1 - load) * (1 - load)) : q.service2;
    double keep[THEORY_QUEUES_MAX], grow[THEORY_QUEUES_MAX], left[THEORY_QUEUES_MAX];
    struct occupancy next = {.mean = {0}};
    for (uint32_t j = 0; j < p->count; j++) {
        keep[j] = j == i ? 0 : 1;
        grow[j] = j == i && exhaustive ? 0 : p->queue[j].rate;
        left[j] = keep[j] * x->mean[j] + x->mean[i] * grow[j] * each;
        next.mean[j] = left[j] + p->queue[j].rate * p->move[i];
    }
    for (uint32_t j = 0; j < p->count; j++) {
        for (uint32_t k = 0; k < p->count; k++) {
            double rate_j = p->queue[j].rate, rate_k = p->queue[k].rate;
            next.second[j][k] =
                keep[j] * keep[k] * x->second[j][k] +
                each * (keep[j] * x->second[j][i] * grow[k] + keep[k] * x->second[k][i] * grow[j]) +
                grow[j] * grow[k] * (x->mean[i] * each2 + x->second[i][i] * each * each) +
                p->move[i] * (left[j] * rate_k + left[k] * rate_j) + rate_j * rate_k * p->move2[i];
        }
    }
    *x = next;
}

void theory_waits_polling(const struct theory_polling *polling, enum theory_discipline discipline,
                          double ret_wait[THEORY_QUEUES_MAX])
{
    enum { ROUNDS_MAX = 1000000 };
    struct occupancy x = {.mean = {0}};
    double before[THEORY_QUEUES_MAX] = {0};
    bool moving = true;
    assert(discipline != THEORY_ONE_LIMITED && theory_load(polling) < 1);
    for (uint32_t round = 0; moving && round < ROUNDS_MAX; round++) {
        moving = false;
        for (uint32_t i = 0; i < polling->count; i++) {
            struct theory_queue q = polling->queue[i];
            double found = x.second[i][i] / (2 * q.rate * (x.mean[i] > 0 ? x.mean[i] : 1));
            ret_wait[i] = discipline == THEORY_EXHAUSTIVE ? found + theory_wait_single(q)
                                                          : (1 + load_of(q)) * found;
            moving |= round < 2 || fabs(ret_wait[i] - before[i]) > 1e-13 * ret_wait[i];
            before[i] = ret_wait[i];
            poll(polling, discipline, i, &x);
        }
    }
    assert(!moving);
}

double theory_law(const struct theory_polling *polling, enum theory_discipline discipline)
{
    double load = theory_load(polling);
    double sum = moves(polling);
    double variance = 0, work2 = 0, squares = 0;
    for (uint32_t i = 0; i < polling->count; i++) {
        double move = polling->move[i];
        variance += polling->move2[i] - move * move;
        work2 += polling->queue[i].rate * polling->queue[i].service2;
        squares += load_of(polling->queue[i]) * load_of(polling->queue[i]);
    }
    double law = load * work2 / (2 * (1 - load)) + load * (variance + sum * sum) / (2 * sum) +
                 sum / (2 * (1 - load)) * (load * load - squares);
    return discipline == THEORY_EXHAUSTIVE ? law : law + sum / (1 - load) * squares;
}

double theory_law_sum(const struct theory_polling *polling, enum theory_discipline discipline,
                      const double wait[THEORY_QUEUES_MAX])
{
    double cycle = theory_cycle(polling);
    double sum = 0;
    for (uint32_t i = 0; i < polling->count; i++) {
        double weight = load_of(polling->queue[i]);
        if (discipline == THEORY_ONE_LIMITED) {
            weight *= 1 - polling->queue[i].rate * cycle;
        }
        sum += weight * wait[i];
    }
    return sum;
}

double theory_wait_symmetric(uint32_t models, struct theory_queue queue, double move,
                             double variance, enum theory_discipline discipline)
{
    double load = models * load_of(queue);
    double above = models * queue.rate * queue.service2 + move * (models + load);
    double below = 1 - load;
    switch (discipline) {
    case THEORY_EXHAUSTIVE:
        above -= 2 * move * load;
        break;
    case THEORY_GATED:
        break;
    case THEORY_ONE_LIMITED:
        above += models * queue.rate * variance;
        below -= models * queue.rate * move;
        break;
    }
    return variance / (2 * move) + above / (2 * below);
}

/* ------------------------------------------------------------------ two queues, controlled */

enum {
    CUT = 48, /* longest queue; longer ones have next to no probability in the cases there are */
    CELLS = (CUT + 1) * (CUT + 1),
    IDLE = 0,
    BUSY = 2,
    SETUP = 4, /* + the queue; values of one kind lie together */
    KINDS = 6,
};

/* Where sweeps may end: bounds the error of the mean number waiting. */
#define SPREAD 1e-8

struct chain {
    const struct theory_pair *pair;
    uint32_t threshold;
    double weight[2]; /* cost of one who waits, by queue */
    double clock;     /* rate of the uniformised chain */
    double *value;    /* KINDS x CELLS */
    double *next;
};

static uint32_t cell(uint32_t first, uint32_t second)
{
    return first * (CUT + 1) + second;
}

/* Value when the server is free at queue q with (first, second) waiting. */
static double free_at(const struct chain *c, uint32_t q, uint32_t first, uint32_t second)
{
    const double *v = c->value;
    uint32_t here = q == 0 ? first : second;
    uint32_t there = q == 0 ? second : first;
    uint32_t at = cell(first, second);
    double idle = v[(IDLE + q) * CELLS + at];
    double leave = v[(SETUP + 1 - q) * CELLS + at];
    double serve = here > 0 ? v[(BUSY + q) * CELLS + cell(first - (q == 0), second - (q == 1))]
                            : (double)INFINITY;
    if (c->threshold == 0) {
        return fmin(serve, fmin(idle, leave));
    }
    if (here > 0) {
        return serve;
    }
    return there >= c->threshold ? leave : idle;
}

/* One step of the chain from `kind` at queue q with (first, second) waiting. */
static double step(const struct chain *c, uint32_t kind, uint32_t q, uint32_t first,
                   uint32_t second)
{
    const struct theory_pair *p = c->pair;
    const double *v = &c->value[(kind + q) * CELLS];
    uint32_t first_up = first < CUT ? first + 1 : first;
    uint32_t second_up = second < CUT ? second + 1 : second;
    double cost = c->weight[0] * first + c->weight[1] * second;
    double stay = c->clock - p->rate[0] - p->rate[1];
    double sum;
    if (kind == IDLE) {
        sum = p->rate[0] * free_at(c, q, first_up, second) +
              p->rate[1] * free_at(c, q, first, second_up);
    } else {
        double end = 1 / (kind == BUSY ? p->service[q] : p->setup[q]);
        sum = p->rate[0] * v[cell(first_up, second)] + p->rate[1] * v[cell(first, second_up)] +
              end * free_at(c, q, first, second);
        stay -= end;
    }
    return cost + (sum + stay * v[cell(first, second)]) / c->clock;
}

/* Whether the server is ever in that state: the threshold policy idles at empty queues alone. */
static bool visited(const struct chain *c, uint32_t kind, uint32_t q, uint32_t first,
                    uint32_t second)
{
    uint32_t here = q == 0 ? first : second;
    uint32_t there = q == 0 ? second : first;
    return kind != IDLE || c->threshold == 0 || (here == 0 && there < c->threshold);
}

/* Sweeps until every state agrees on the mean cost, which is returned. */
static double iterate(struct chain *c)
{
    enum { SWEEPS_MAX = 200000 };
    double low = 0, high = 1;
    for (uint32_t i = 0; i < KINDS * CELLS; i++) {
        c->value[i] = 0;
    }
    for (uint32_t sweep = 0; sweep < SWEEPS_MAX && high - low > SPREAD; sweep++) {
        low = (double)INFINITY;
        high = -(double)INFINITY;
        for (uint32_t k = 0; k < KINDS; k++) {
            for (uint32_t first = 0; first <= CUT; first++) {
                for (uint32_t second = 0; second <= CUT; second++) {
                    if (!visited(c, k & ~1u, k & 1u, first, second)) {
                        continue;
                    }
                    uint32_t i = k * CELLS + cell(first, second);
                    c->next[i] = step(c, k & ~1u, k & 1u, first, second);
                    double gained = c->next[i] - c->value[i];
                    low = gained < low ? gained : low;
                    high = gained > high ? gained : high;
                }
            }
        }
        double base = c->next[0];
        for (uint32_t i = 0; i < KINDS * CELLS; i++) {
            c->next[i] -= base; /* values only matter against one another */
        }
        double *swap = c->value;
        c->value = c->next;
        c->next = swap;
    }
    assert(high - low <= SPREAD);
    return (low + high) / 2;
}

int theory_pair_solve(const struct theory_pair *pair, uint32_t threshold,
                      struct theory_pair_waits *ret_waits)
{
    double fastest = 0;
    for (uint32_t q = 0; q < 2; q++) {
        fastest = fmax(fastest, fmax(1 / pair->service[q], 1 / pair->setup[q]));
    }
    double *values = calloc(2 * (size_t)KINDS * CELLS, sizeof *values);
    if (!values) {
        return -ENOMEM;
    }
    struct chain chain = {
        .pair = pair,
        .threshold = threshold,
        .clock = pair->rate[0] + pair->rate[1] + fastest,
        .value = values,
        .next = values + (size_t)KINDS * CELLS,
    };
    double waiting[2];
    if (threshold == 0) {
        chain.weight[0] = chain.weight[1] = 1;
        double all = iterate(&chain);
        *ret_waits = (struct theory_pair_waits){.all = all / (pair->rate[0] + pair->rate[1]),
                                                .queue = {(double)NAN, (double)NAN}};
    } else {
        for (uint32_t q = 0; q < 2; q++) {
            chain.weight[q] = 1;
            chain.weight[1 - q] = 0;
            waiting[q] = iterate(&chain);
            ret_waits->queue[q] = waiting[q] / pair->rate[q];
        }
        ret_waits->all = (waiting[0] + waiting[1]) / (pair->rate[0] + pair->rate[1]);
    }
    free(values);
    return 0;
}
