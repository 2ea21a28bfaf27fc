/*
 * The optimum of three queues under control, by relative value iteration: what a policy is held
 * against where there is no closed form. Poisson arrivals, exponential services and exponential
 * set-ups that depend on where the server comes from; service and set-up are not interrupted; the
 * server may stay wherever it is. State: the three queues, cut at caps, and what the server does.
 *
 *     mdp3 light|middle|heavy CAP CAP CAP TOLERANCE
 *
 * prints bounds of the least mean wait (requests waiting over arrivals a second). Raise the caps
 * until the digits stay. The scenarios are theory-N3-light.yaml and so on; minutes for the heavy
 * one.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUES = 3, PAIRS = 6, PHASES = 2 * QUEUES + PAIRS, CAP_MAX = 200, SWEEPS_MAX = 2000000 };

struct scene {
    const char *name;
    double rate[QUEUES], service_s[QUEUES];
};

static const struct scene scenes[] = {
    {"light", {.03, .01, .004}, {5, 8, 12}},
    {"middle", {.06, .02, .01}, {5, 8, 14}},
    {"heavy", {.08, .03, .012}, {5, 8, 40.0 / 3}},
};
static const double setup_s[QUEUES][QUEUES] = {{0, 10, 20}, {6, 0, 25}, {8, 15, 0}};

struct mdp {
    const struct scene *scene;
    size_t cap[QUEUES], stride[QUEUES], states; /* of the queues; cap counts from 0 */
    double total_rate, uniform_rate;
    /* Relative values by phase and queues: idle at i, serving i, on the way from i to j. */
    double *value, *next;
    double *free_to_choose; /* the best of what a server that is free at i can do */
};

static size_t phase_serving(size_t i)
{
    return QUEUES + i;
}

static size_t phase_moving(size_t i, size_t j)
{
    return (size_t)2 * QUEUES + i * (QUEUES - 1) + (j > i ? j - 1 : j);
}

static void choose(struct mdp *m)
{
    for (size_t i = 0; i < QUEUES; i++) {
        for (size_t s = 0; s < m->states; s++) {
            double best = m->value[i * m->states + s];
            if (s / m->stride[i] % m->cap[i] > 0) {
                double serve = m->value[phase_serving(i) * m->states + s - m->stride[i]];
                best = serve < best ? serve : best;
            }
            for (size_t j = 0; j < QUEUES; j++) {
                double move = j != i ? m->value[phase_moving(i, j) * m->states + s] : best;
                best = move < best ? move : best;
            }
            m->free_to_choose[i * m->states + s] = best;
        }
    }
}

/* One step of the chain from state s: arrivals to `here`, with rate `end_rate` on to `after`. */
static double step(const struct mdp *m, const double *here, double end_rate, double after, size_t s)
{
    double sum = 0, waiting = 0;
    for (size_t q = 0; q < QUEUES; q++) {
        size_t n = s / m->stride[q] % m->cap[q];
        waiting += (double)n;
        sum += m->scene->rate[q] * here[n + 1 < m->cap[q] ? s + m->stride[q] : s];
    }
    sum += end_rate * after + (m->uniform_rate - m->total_rate - end_rate) * here[s];
    return (waiting + sum) / m->uniform_rate;
}

static void sweep(struct mdp *m)
{
    choose(m);
    for (size_t i = 0; i < QUEUES; i++) {
        const double *chosen = m->free_to_choose + i * m->states;
        const double *serving = m->value + phase_serving(i) * m->states;
        for (size_t s = 0; s < m->states; s++) {
            /* An idle server looks again at each arrival; until then it stays idle. */
            double idle = step(m, chosen, 0, 0, s);
            idle += (m->uniform_rate - m->total_rate) / m->uniform_rate *
                    (m->value[i * m->states + s] - chosen[s]);
            m->next[i * m->states + s] = idle;
            m->next[phase_serving(i) * m->states + s] =
                step(m, serving, 1 / m->scene->service_s[i], chosen[s], s);
            for (size_t j = 0; j < QUEUES; j++) {
                if (j != i) {
                    const double *moving = m->value + phase_moving(i, j) * m->states;
                    m->next[phase_moving(i, j) * m->states + s] =
                        step(m, moving, 1 / setup_s[i][j], m->free_to_choose[j * m->states + s], s);
                }
            }
        }
    }
}

/* Iterates until both bounds of the mean wait agree within `tolerance` of it. */
static void solve(struct mdp *m, double tolerance, double *ret_low, double *ret_high)
{
    for (int round = 0; round < SWEEPS_MAX; round++) {
        sweep(m);
        double low = 1e300, high = -1e300, base = m->next[0];
        for (size_t k = 0; k < PHASES * m->states; k++) {
            double change = m->next[k] - m->value[k];
            low = change < low ? change : low;
            high = change > high ? change : high;
            m->next[k] -= base;
        }
        double *swap = m->value;
        m->value = m->next;
        m->next = swap;
        *ret_low = low * m->uniform_rate / m->total_rate;
        *ret_high = high * m->uniform_rate / m->total_rate;
        if (high - low < tolerance * (high + low) / 2) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    struct mdp m = {0};
    for (size_t k = 0; argc == 6 && k < sizeof scenes / sizeof scenes[0]; k++) {
        m.scene = strcmp(argv[1], scenes[k].name) == 0 ? &scenes[k] : m.scene;
    }
    double tolerance = argc == 6 ? strtod(argv[5], NULL) : 0;
    m.states = 1;
    for (size_t q = QUEUES; m.scene && q-- > 0;) {
        long cap = strtol(argv[2 + q], NULL, 10);
        m.cap[q] = cap > 0 && cap <= CAP_MAX ? (size_t)cap + 1 : 0;
        m.stride[q] = m.states;
        m.states *= m.cap[q];
        m.total_rate += m.scene->rate[q];
    }
    if (!m.scene || m.states == 0 || !(tolerance > 0)) {
        (void)fprintf(stderr, "usage: mdp3 light|middle|heavy CAP CAP CAP TOLERANCE\n");
        return 2;
    }
    double fastest = 0;
    for (size_t i = 0; i < QUEUES; i++) {
        fastest = 1 / m.scene->service_s[i] > fastest ? 1 / m.scene->service_s[i] : fastest;
        for (size_t j = 0; j < QUEUES; j++) {
            fastest = i != j && 1 / setup_s[i][j] > fastest ? 1 / setup_s[i][j] : fastest;
        }
    }
    m.uniform_rate = m.total_rate + fastest;
    m.value = calloc(PHASES * m.states, sizeof *m.value);
    m.next = calloc(PHASES * m.states, sizeof *m.next);
    m.free_to_choose = calloc(QUEUES * m.states, sizeof *m.free_to_choose);
    assert(m.value && m.next && m.free_to_choose);
    double low = 0, high = 0;
    solve(&m, tolerance, &low, &high);
    (void)printf("%s: least mean wait in [%.4f, %.4f] s\n", m.scene->name, low, high);
    free(m.value);
    free(m.next);
    free(m.free_to_choose);
    return 0;
}
