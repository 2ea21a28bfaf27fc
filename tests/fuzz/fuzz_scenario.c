/* Any bytes as a scenario: one that can be configured and asked, or a message of one line. */
#include "base/layout.h"
#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What every scenario holds, whatever the file said. */
static void check(const struct scenario *scenario)
{
    uint32_t models = scenario_models(scenario);
    const struct scenario_switch *sw = &scenario->switching;
    if (models == 0 || scenario_devices(scenario) == 0 || scenario->wait_cap_ns <= 0 ||
        scenario->arrivals.models_len != models) {
        abort();
    }
    for (uint32_t m = 0; m < models; m++) {
        struct arrival arrival = {.model = m, .input_tokens = INT64_MAX, .output_tokens = 1};
        if (scenario_work_ns(scenario, &arrival) < 0 || sw->from_empty_ns[m] < 0 ||
            sw->matrix_ns[(size_t)m * models + m] != 0 || sw->probe_ns[m] < 0) {
            abort();
        }
    }
    for (uint32_t f = 1; f < scenario->fault_count; f++) {
        if (scenario->faults[f - 1].at_ns > scenario->faults[f].at_ns) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scenario *scenario = NULL;
    struct layout *layout = NULL;
    char err[SCENARIO_ERROR_MAX] = "";
    if (scenario_parse((const char *)data, size, "fuzz.yaml", NULL, &scenario, err, sizeof err)) {
        if (err[0] == '\0' || strchr(err, '\n')) {
            abort();
        }
        return 0;
    }
    check(scenario);
    if (scenario_layout(scenario, &layout, err, sizeof err) == 0) {
        layout_destroy(layout);
    }
    scenario_free(scenario);
    return 0;
}
