/*
 * Nelder and Mead's simplex as a state machine: see tune_simplex.h. Coefficients adapted to the
 * number of dimensions after F. Gao and L. Han (Computational Optimization and Applications 51,
 * 2012), since the original ones stall beyond some ten. Points outside the cube are put onto its
 * nearest face.
 */
#include "sim/tune_simplex.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum simplex_phase { BEGIN, REFLECT, EXPAND, CONTRACT_OUT, CONTRACT_IN, SHRINK };

struct vertex {
    double value;
    double at[SIMPLEX_DIMENSIONS_MAX];
};

struct simplex {
    uint32_t dimensions;
    enum simplex_phase phase;
    struct vertex vertex[SIMPLEX_DIMENSIONS_MAX + 1]; /* best first */
    double centre[SIMPLEX_DIMENSIONS_MAX];            /* of all but the worst */
    struct vertex trial;                              /* wanted in the phases with one point */
    struct vertex reflected;
};

static double clamp(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* Stable, so that equal values keep their order: which of them is older decides. */
static void sort(struct simplex *s)
{
    for (uint32_t i = 1; i <= s->dimensions; i++) {
        struct vertex moved = s->vertex[i];
        uint32_t to = i;
        for (; to > 0 && s->vertex[to - 1].value > moved.value; to--) {
            s->vertex[to] = s->vertex[to - 1];
        }
        s->vertex[to] = moved;
    }
}

/* centre + factor * (centre - worst) */
static void try_at(struct simplex *s, enum simplex_phase phase, double factor)
{
    const double *worst = s->vertex[s->dimensions].at;
    for (uint32_t d = 0; d < s->dimensions; d++) {
        s->trial.at[d] = clamp(s->centre[d] + factor * (s->centre[d] - worst[d]));
    }
    s->phase = phase;
}

static void reflect(struct simplex *s)
{
    sort(s);
    for (uint32_t d = 0; d < s->dimensions; d++) {
        double sum = 0;
        for (uint32_t i = 0; i < s->dimensions; i++) {
            sum += s->vertex[i].at[d];
        }
        s->centre[d] = sum / s->dimensions;
    }
    try_at(s, REFLECT, 1);
}

static void replace_worst(struct simplex *s, const struct vertex *with)
{
    s->vertex[s->dimensions] = *with;
    reflect(s);
}

static void shrink(struct simplex *s)
{
    double keep = s->dimensions > 1 ? 1 - 1.0 / s->dimensions : 0.5;
    for (uint32_t i = 1; i <= s->dimensions; i++) {
        for (uint32_t d = 0; d < s->dimensions; d++) {
            double best = s->vertex[0].at[d];
            s->vertex[i].at[d] = best + keep * (s->vertex[i].at[d] - best);
        }
    }
    s->phase = SHRINK;
}

/* ------------------------------------------------------------------ what is known now */

static void tell_reflected(struct simplex *s)
{
    const uint32_t n = s->dimensions;
    double contract = n > 1 ? 0.75 - 0.5 / n : 0.5;
    s->reflected = s->trial;
    if (s->trial.value < s->vertex[0].value) {
        try_at(s, EXPAND, n > 1 ? 1 + 2.0 / n : 2);
    } else if (s->trial.value < s->vertex[n - 1].value) {
        replace_worst(s, &s->reflected);
    } else if (s->trial.value < s->vertex[n].value) {
        try_at(s, CONTRACT_OUT, contract);
    } else {
        try_at(s, CONTRACT_IN, -contract);
    }
}

void simplex_tell(struct simplex *s, const double *values)
{
    switch (s->phase) {
    case BEGIN:
    case SHRINK:
        for (uint32_t i = 1; i <= s->dimensions; i++) {
            s->vertex[i].value = values[i - 1];
        }
        reflect(s);
        return;
    case REFLECT:
        s->trial.value = values[0];
        tell_reflected(s);
        return;
    case EXPAND:
        s->trial.value = values[0];
        replace_worst(s, s->trial.value < s->reflected.value ? &s->trial : &s->reflected);
        return;
    case CONTRACT_OUT:
        s->trial.value = values[0];
        if (s->trial.value <= s->reflected.value) {
            replace_worst(s, &s->trial);
        } else {
            shrink(s);
        }
        return;
    case CONTRACT_IN:
        s->trial.value = values[0];
        if (s->trial.value < s->vertex[s->dimensions].value) {
            replace_worst(s, &s->trial);
        } else {
            shrink(s);
        }
        return;
    }
}

/* ------------------------------------------------------------------ what is wanted */

uint32_t simplex_wanted(const struct simplex *s, double size)
{
    bool small = true;
    for (uint32_t i = 1; small && i <= s->dimensions; i++) {
        for (uint32_t d = 0; small && d < s->dimensions; d++) {
            double apart = s->vertex[i].at[d] - s->vertex[0].at[d];
            small = (apart < 0 ? -apart : apart) < size;
        }
    }
    if (small) {
        return 0;
    }
    return s->phase == BEGIN || s->phase == SHRINK ? s->dimensions : 1;
}

const double *simplex_point(const struct simplex *s, uint32_t i)
{
    return s->phase == BEGIN || s->phase == SHRINK ? s->vertex[i + 1].at : s->trial.at;
}

const double *simplex_best(const struct simplex *s, double *ret_value)
{
    uint32_t best = 0;
    uint32_t known = s->phase == BEGIN || s->phase == SHRINK ? 0 : s->dimensions;
    for (uint32_t i = 1; i <= known; i++) {
        best = s->vertex[i].value < s->vertex[best].value ? i : best;
    }
    *ret_value = s->vertex[best].value;
    return s->vertex[best].at;
}

struct simplex *simplex_create(uint32_t dimensions, const double *start, double value, double step)
{
    assert(dimensions >= 1 && dimensions <= SIMPLEX_DIMENSIONS_MAX && step > 0 && step <= 0.5);
    struct simplex *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->dimensions = dimensions;
    s->vertex[0].value = value;
    memcpy(s->vertex[0].at, start, dimensions * sizeof(*start));
    for (uint32_t i = 1; i <= dimensions; i++) {
        double *at = s->vertex[i].at;
        memcpy(at, start, dimensions * sizeof(*start));
        at[i - 1] += at[i - 1] + step <= 1 ? step : -step;
    }
    return s;
}

void simplex_destroy(struct simplex *simplex)
{
    free(simplex);
}
