/* Names of the labels that say how real a scenario's arrivals are. */
#include "sim/scenario.h"

const char *scenario_label_name(enum scenario_label label)
{
    static const char *const names[] = {
        [SCENARIO_REAL] = "real", [SCENARIO_SEMI] = "semi", [SCENARIO_SYNTHETIC] = "synthetic"};
    return names[label];
}
