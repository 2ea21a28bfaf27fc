/*
 * Processor sharing: all members get the engine's rate in equal parts. What each has been given is
 * one number, the same for all; a member ends when that number has grown by its work. Numbers are
 * rounded down to 2^-32 ns of work at each change, instants up to the nanosecond.
 */
#include "sim/engine_priv.h"

#include <errno.h>

#define UNITS ((sim_uint128)1 << 32)

static void bring_forward(struct sharing *sharing, int64_t t_ns)
{
    size_t n = sharing->members.count;
    if (n > 0 && t_ns > sharing->at_ns) {
        sharing->work += (sim_uint128)(uint64_t)(t_ns - sharing->at_ns) * sharing->rate / n;
    } else if (n == 0) {
        sharing->work = 0;
    }
    sharing->at_ns = t_ns;
}

int sharing_add(struct sharing *sharing, const struct sim_engine_job *job, int64_t t_ns)
{
    if (engine_heap_reserve(&sharing->members, 1) != 0) {
        return -ENOMEM;
    }
    bring_forward(sharing, t_ns);
    uint64_t service = job->service_ns > 0 ? (uint64_t)job->service_ns : 0;
    const struct engine_member member = {
        .finish = sharing->work + service * UNITS, .seq = sharing->seq++, .request = job->request};
    engine_heap_push(&sharing->members, &member);
    return 0;
}

void sharing_remove(struct sharing *sharing, uint32_t request, int64_t t_ns)
{
    size_t at = engine_heap_find(&sharing->members, request);
    if (at < sharing->members.count) {
        bring_forward(sharing, t_ns);
        (void)engine_heap_take(&sharing->members, at);
    }
}

void sharing_clear(struct sharing *sharing)
{
    sharing->members.count = 0;
    sharing->work = 0;
}

int64_t sharing_next_ns(const struct sharing *sharing)
{
    if (sharing->members.count == 0) {
        return INT64_MAX;
    }
    sim_uint128 finish = sharing->members.members[0].finish;
    if (finish <= sharing->work) {
        return sharing->at_ns;
    }
    sim_uint128 left = (finish - sharing->work) * sharing->members.count;
    sim_uint128 wait = (left + sharing->rate - 1) / sharing->rate;
    sim_uint128 most = (sim_uint128)(uint64_t)(INT64_MAX - 1 - sharing->at_ns);
    return sharing->at_ns + (int64_t)(wait < most ? wait : most);
}

bool sharing_take(struct sharing *sharing, int64_t t_ns, enum sim_engine_event *ret_event,
                  uint32_t *ret_request)
{
    if (sharing_next_ns(sharing) > t_ns) {
        return false;
    }
    bring_forward(sharing, t_ns);
    size_t n = sharing->members.count;
    const struct engine_member member = engine_heap_take(&sharing->members, 0);
    /* It ended between the last nanosecond and this one; since then the others have had its part.
     */
    sim_uint128 beyond = sharing->work > member.finish ? sharing->work - member.finish : 0;
    sharing->work = member.finish + (n > 1 ? beyond * n / (n - 1) : 0);
    *ret_event = SIM_ENGINE_COMPLETE;
    *ret_request = member.request;
    return true;
}
