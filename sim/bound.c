/* The formulas of bound.h; no scenario here. */
#include "sim/bound.h"

#include "core/fmath.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

static double weight_sum(const struct bound_model *models, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += models[i].weight * models[i].rate_per_s;
    }
    assert(sum > 0);
    return sum;
}

double bound_load(const struct bound_model *models, size_t count)
{
    double load = 0;
    for (size_t i = 0; i < count; i++) {
        load += models[i].rate_per_s * models[i].service_s;
    }
    return load;
}

/* Whether I is served before K under the c-mu rule; their numbers break ties. */
static bool goes_before(const struct bound_model *models, size_t i, size_t k)
{
    double left = models[i].weight * models[k].service_s;
    double right = models[k].weight * models[i].service_s;
    return left > right || (!(left < right) && i < k);
}

double bound_work(const struct bound_model *models, size_t count)
{
    assert(bound_load(models, count) < 1);
    double residual = 0, cost = 0;
    for (size_t i = 0; i < count; i++) {
        residual += models[i].rate_per_s * models[i].service_square_s2 / 2;
    }
    for (size_t k = 0; k < count; k++) {
        const struct bound_model *m = &models[k];
        double ahead = 0;
        for (size_t i = 0; i < count; i++) {
            if (i != k && goes_before(models, i, k)) {
                ahead += models[i].rate_per_s * models[i].service_s;
            }
        }
        double wait = residual / ((1 - ahead) * (1 - ahead - m->rate_per_s * m->service_s));
        cost += m->weight * m->rate_per_s * wait;
    }
    return cost / weight_sum(models, count);
}

/*
 * The least cost a second of model M alone, where a second of the device costs `price`: staying for
 * ever, or leaving when empty and coming back when n wait, for the best n.
 *
 * With x = n + rate setup, the mean wait beyond that of a server that never leaves is
 * (x - 1 + k / x) / (2 rate), k = rate setup + rate^2 Var(setup), and the share of time in setups
 * (1 - load) rate setup / x: a convex function of x whose minimum is a square root away, and whose
 * best whole n is one of the two beside it.
 */
static double cost_alone(const struct bound_model *m, double price)
{
    double load = m->rate_per_s * m->service_s;
    double pollaczek = m->rate_per_s * m->service_square_s2 / (2 * (1 - load));
    double base = m->weight * m->rate_per_s * pollaczek;
    double a = m->rate_per_s * m->setup_s;
    double k =
        a + m->rate_per_s * m->rate_per_s * fmax(0, m->setup_square_s2 - m->setup_s * m->setup_s);
    double rent = price * (1 - load) * a;
    double best_x = core_sqrt(k + 2 * rent / m->weight);
    double n = fmax(1, floor(best_x - a));
    double best = base + price;
    for (int step = 0; step < 2; step++) {
        double x = n + step + a;
        double cost = base + m->weight * (x - 1 + k / x) / 2 + price * load + rent / x;
        best = fmin(best, cost);
    }
    return best;
}

static double cost_at_price(const struct bound_model *models, size_t count, double price)
{
    double cost = -price;
    for (size_t i = 0; i < count; i++) {
        if (models[i].rate_per_s > 0) {
            cost += cost_alone(&models[i], price);
        }
    }
    return cost;
}

double bound_lagrange(const struct bound_model *models, size_t count)
{
    assert(bound_load(models, count) < 1);
    double low = 0, high = 1;
    double at_high = cost_at_price(models, count, high);
    /* Concave, and falling in the end since the load is below 1: past the first fall lies no
     * better price than twice the one before. */
    for (int i = 0; i < 200; i++) {
        double at_next = cost_at_price(models, count, 2 * high);
        high *= 2;
        if (at_next < at_high) {
            break;
        }
        at_high = at_next;
    }
    for (int i = 0; i < 200; i++) {
        double left = low + (high - low) / 3, right = high - (high - low) / 3;
        if (cost_at_price(models, count, left) < cost_at_price(models, count, right)) {
            low = left;
        } else {
            high = right;
        }
    }
    double cost = fmax(cost_at_price(models, count, 0), cost_at_price(models, count, low));
    return cost / weight_sum(models, count);
}

double bound_static(const struct bound_model *models, size_t count)
{
    double load = bound_load(models, count), sum = 0;
    assert(load < 1);
    for (size_t i = 0; i < count; i++) {
        const struct bound_model *m = &models[i];
        sum +=
            core_sqrt(m->weight * m->rate_per_s * (1 - m->rate_per_s * m->service_s) * m->setup_s);
    }
    return sum * sum / (2 * (1 - load)) / weight_sum(models, count);
}
