/* See serial.h. */
#include "sim/serial.h"

static const char *service_reason(const struct scenario *s)
{
    for (uint32_t m = 0; m < scenario_models(s); m++) {
        if (s->models[m].service.kind != SCENARIO_SERIAL) {
            return "service is not serial";
        }
        if (s->models[m].unlimited || s->config->models[m].max_concurrency != 1) {
            return "a model serves several requests at a time";
        }
    }
    return NULL;
}

/* One device, on which no two models fit. */
static const char *device_reason(const struct scenario *s)
{
    const struct config *config = s->config;
    if (config->device_count != 1) {
        return "there is more than one device";
    }
    int64_t least = INT64_MAX, second = INT64_MAX;
    for (uint32_t m = 0; m < config->model_count; m++) {
        int64_t bytes = config->models[m].memory.bytes[SHUNT_TIER_RESIDENT];
        if (bytes < least) {
            second = least;
            least = bytes;
        } else if (bytes < second) {
            second = bytes;
        }
    }
    if (config->model_count > 1 &&
        (least < 0 || config->devices[0].memory_bytes - least >= second)) {
        return "two models fit on the device together";
    }
    return NULL;
}

const char *serial_reason(const struct scenario *s)
{
    const char *reason = service_reason(s);
    reason = reason ? reason : device_reason(s);
    if (!reason && s->config->guard.drain_mode != CONFIG_DRAIN_FINISH) {
        reason = "drain_mode requeue interrupts services";
    }
    if (!reason && s->patience_s.kind != DIST_NONE) {
        reason = "clients lose patience";
    }
    if (!reason && s->fault_count > 0) {
        reason = "engines or devices fail";
    }
    return reason;
}
