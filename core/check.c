/*
 * The invariants that can be seen from inside. Slow, by recounting everything; for tests.
 */
#include "core/priv.h"

static const char *check_queues(const struct core *core)
{
    uint32_t queued = 0;
    for (uint32_t i = 0; i < core->s.model_count; i++) {
        const struct core_model *m = &core->models[i];
        const struct core_model_count *count = &core->model_counts[i];
        uint32_t len = 0;
        uint64_t seq = 0;
        for (uint32_t r = m->queue.head; r != CORE_NONE; r = core->requests[r].next) {
            if (core->requests[r].state != CORE_REQUEST_QUEUED || core->requests[r].model != i) {
                return "I2: a queue holds a request that is not queued there";
            }
            if (core->requests[r].seq <= seq) {
                return "R7: a queue is not in order of arrival";
            }
            seq = core->requests[r].seq;
            len++;
        }
        if (len != m->queue_len) {
            return "I2: a queue's length is wrong";
        }
        queued += len;
        uint64_t ended = 0;
        for (uint32_t k = 0; k < 6; k++) {
            ended += count->ended[k];
        }
        uint64_t flight = 0;
        for (uint32_t k = 0; k < m->instance_count; k++) {
            for (uint32_t r = core->instances[m->instance_first + k].flight.head; r != CORE_NONE;
                 r = core->requests[r].next) {
                flight += core->requests[r].state == CORE_REQUEST_FLIGHT;
            }
        }
        if (count->arrived != ended + m->queue_len + flight) {
            return "I2: accepted is not ended + queued + in flight";
        }
    }
    return queued == core->s.queued ? NULL : "I2: the number of queued requests is wrong";
}

static const char *check_instances(const struct core *core)
{
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < core->s.instance_count; i++) {
        const struct core_instance *in = &core->instances[i];
        uint32_t count = 0;
        for (uint32_t r = in->flight.head; r != CORE_NONE; r = core->requests[r].next) {
            if (core->requests[r].instance != i) {
                return "I2: a request in flight is listed at another instance";
            }
            if (core->requests[r].state == CORE_REQUEST_FLIGHT && !in->visiting) {
                return "I6: a request is in flight at a model that is not resident";
            }
            count++;
        }
        if (count != in->in_flight || count > core->limits.in_flight_max) {
            return "I8: an instance's requests in flight are miscounted";
        }
        in_flight += count;
        bool serving = in->state == SHUNT_INSTANCE_RESIDENT || in->state == SHUNT_INSTANCE_DRAINING;
        if (serving && (!in->visiting || in->tier != SHUNT_TIER_RESIDENT)) {
            return "I6: an instance is resident without a visit";
        }
        if (in->visiting && !serving && in->state != SHUNT_INSTANCE_LEAVING) {
            return "I6: a visit to an instance that is not resident";
        }
    }
    if (in_flight != core->s.in_flight || in_flight > core->limits.in_flight_max) {
        return "I8: the number of requests in flight is wrong or above its limit";
    }
    return NULL;
}

static const char *check_devices(const struct core *core)
{
    int64_t host = 0;
    for (uint32_t d = 0; d < core->s.device_count; d++) {
        const struct core_device *dev = &core->devices[d];
        const struct core_device_count *count = &core->device_counts[d];
        int64_t held = 0;
        uint32_t waiting = 0;
        uint32_t fifo = 0;
        for (uint32_t i = dev->instances; i != CORE_NONE; i = core->instances[i].next_on_device) {
            held += core->instances[i].device_held;
            host += core->instances[i].host_held;
            waiting += core->instances[i].counted;
        }
        if (held != dev->held_bytes || (held > dev->memory_bytes && !dev->overcommitted)) {
            return "I4: a device's memory is miscounted or over its budget";
        }
        if (waiting != dev->waiting) {
            return "R1: the number of models that wait for a device is wrong";
        }
        for (uint32_t m = dev->fifo_head; m != CORE_NONE; m = core->models[m].fifo_next) {
            if (core->models[m].fifo_device != d || !core->models[m].waiting) {
                return "R3: an entry of the forced FIFO does not wait or is elsewhere";
            }
            fifo++;
        }
        if (fifo != dev->fifo_len) {
            return "R3: a forced FIFO is miscounted";
        }
        int64_t sum = core->s.now_ns - dev->state_at_ns;
        for (uint32_t k = 0; k < SHUNT_DEVICE_STATE_COUNT; k++) {
            sum += count->state_ns[k];
        }
        if (sum != core->s.now_ns - count->since_ns) {
            return "I14: the states of a device do not sum to elapsed time";
        }
        if (dev->state != core_account_state(core, d)) {
            return "I14: a device is booked in another state than it is in";
        }
    }
    if (host != core->s.host_held_bytes ||
        (core->s.host_memory_bytes > 0 && host > core->s.host_memory_bytes &&
         !core->s.host_overcommitted)) {
        return "I4: the host's memory is miscounted or over its budget";
    }
    return NULL;
}

const char *core_check(const struct core *core)
{
    const char *broken = check_queues(core);
    broken = broken ? broken : check_instances(core);
    return broken ? broken : check_devices(core);
}
