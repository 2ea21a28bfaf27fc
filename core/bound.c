/* The guard's bounds as saturating integer arithmetic; see bound.h and docs/GUARD.md. */
#include "core/bound.h"

#include <assert.h>

static int64_t add(int64_t a, int64_t b)
{
    assert(a >= 0 && b >= 0);
    return a > CORE_NEVER - b ? CORE_NEVER : a + b;
}

static int64_t multiply(int64_t a, int64_t b)
{
    int64_t product;
    assert(a >= 0 && b >= 0);
    return __builtin_mul_overflow(a, b, &product) ? CORE_NEVER : product;
}

static int64_t visit_ns(const struct core_bound_input *in)
{
    return add(add(in->switch_limit_ns, in->visit_cap_ns), add(in->drain_ns, in->answer_ns));
}

int64_t core_bound_gap_ns(const struct core_bound_input *in)
{
    int64_t visit = visit_ns(in);
    int64_t by_overtakes = multiply(add(in->overtakes, in->models), visit);
    int64_t by_age = add(in->age_ns, multiply(in->models, visit));
    return add(by_overtakes < by_age ? by_overtakes : by_age, in->switch_limit_ns);
}

int64_t core_bound_wait_ns(const struct core_bound_input *in)
{
    assert(in->dispatches_min >= 1);
    if (in->service_limit_ns == 0) {
        return 0;
    }
    int64_t queue = in->queue_max;
    if (in->requeue) {
        queue = 3 * (queue + (int64_t)in->max_concurrency);
    }
    int64_t visits = (queue + in->dispatches_min - 1) / in->dispatches_min;
    return multiply(visits, add(core_bound_gap_ns(in), in->service_limit_ns));
}

int64_t core_auto_age_ns(uint32_t models, int64_t switch_ns, int64_t visit_cap_ns, int64_t drain_ns)
{
    return multiply(2 * (int64_t)models, add(switch_ns, add(visit_cap_ns, drain_ns)));
}

int64_t core_auto_visit_cap_ns(int64_t switch_mean_ns, int64_t drain_mean_ns, int64_t floor_ns)
{
    int64_t worth = multiply(50, add(switch_mean_ns, drain_mean_ns));
    return worth > floor_ns ? worth : floor_ns;
}
