/* The non-dominated set and its hypervolume: see tune_front.h. */
#include "sim/tune_front.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool dominates(const struct front_point *a, const struct front_point *b, uint32_t objectives)
{
    bool better = false;
    for (uint32_t i = 0; i < objectives; i++) {
        if (a->at[i] > b->at[i]) {
            return false;
        }
        better = better || a->at[i] < b->at[i];
    }
    return better;
}

static bool equal(const struct front_point *a, const struct front_point *b, uint32_t objectives)
{
    for (uint32_t i = 0; i < objectives; i++) {
        if (a->at[i] < b->at[i] || a->at[i] > b->at[i]) {
            return false;
        }
    }
    return true;
}

uint32_t front_filter(const struct front_point *points, uint32_t count, uint32_t objectives,
                      bool *ret_kept)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        ret_kept[i] = true;
        for (uint32_t j = 0; ret_kept[i] && j < count; j++) {
            ret_kept[i] = !dominates(&points[j], &points[i], objectives) &&
                          !(j < i && equal(&points[j], &points[i], objectives));
        }
        kept += ret_kept[i];
    }
    return kept;
}

/* ------------------------------------------------------------------ hypervolume */

/*
 * Slices along the last objective: between two neighbouring values of it the section is what the
 * points at or below cover in the objectives before. `work` is room for the points of all depths;
 * points are in the unit box.
 */
static double volume(struct front_point *points, uint32_t count, uint32_t objectives,
                     struct front_point *work)
{
    double best = 1, sum = 0;
    if (objectives == 1) {
        for (uint32_t i = 0; i < count; i++) {
            best = points[i].at[0] < best ? points[i].at[0] : best;
        }
        return 1 - best;
    }
    const uint32_t last = objectives - 1;
    for (uint32_t i = 1; i < count; i++) { /* by insertion: fronts are small */
        struct front_point moved = points[i];
        uint32_t to = i;
        for (; to > 0 && points[to - 1].at[last] > moved.at[last]; to--) {
            points[to] = points[to - 1];
        }
        points[to] = moved;
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* Of those at or below, only the front of the section counts. */
        bool covered = false;
        for (uint32_t j = 0; !covered && j < used; j++) {
            covered = dominates(&work[j], &points[i], last) || equal(&work[j], &points[i], last);
        }
        if (!covered) {
            uint32_t kept = 0;
            for (uint32_t j = 0; j < used; j++) {
                if (!dominates(&points[i], &work[j], last)) {
                    work[kept++] = work[j];
                }
            }
            used = kept;
            work[used++] = points[i];
        }
        double upto = i + 1 < count ? points[i + 1].at[last] : 1;
        if (upto > points[i].at[last]) {
            memcpy(work + used, work, used * sizeof(*work));
            sum += (upto - points[i].at[last]) * volume(work + used, used, last, work + 2 * used);
        }
    }
    return sum;
}

double front_hypervolume(const struct front_point *points, uint32_t count, uint32_t objectives,
                         double reference)
{
    assert(objectives >= 1 && objectives <= FRONT_OBJECTIVES_MAX && count <= FRONT_POINTS_MAX);
    struct front_point *inside = calloc(count + 1u, sizeof(*inside));
    struct front_point *work =
        calloc((size_t)(2 * FRONT_OBJECTIVES_MAX + 1) * (count + 1u), sizeof(*work));
    double share = -1;
    uint32_t used = 0;
    for (uint32_t i = 0; inside && work && i < count; i++) {
        bool in = true;
        for (uint32_t k = 0; in && k < objectives; k++) {
            double at = points[i].at[k] / reference;
            in = at < 1;
            inside[used].at[k] = at < 0 ? 0 : at;
        }
        used += in;
    }
    if (inside && work) {
        share = used > 0 ? volume(inside, used, objectives, work) : 0;
    }
    free(work);
    free(inside);
    return share;
}
