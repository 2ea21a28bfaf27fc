/*
 * A scenario as an instance of the offline problem (sim/opt.h): its arrivals under a seed as jobs,
 * times in ns, models by their numbers, jobs by the order of arrival as a run has it.
 */
#ifndef SIM_OPT_SCENARIO_H
#define SIM_OPT_SCENARIO_H

#include "sim/opt.h"
#include "sim/scenario.h"

/*
 * -EINVAL where the offline problem is not that of the scenario (service that is not serial, more
 * than one device, random or failing switches, clients that leave ...), or the errors of arrivals
 * and opt_create, with one line in `err`.
 */
int opt_of_scenario(const struct scenario *scenario, uint64_t seed, struct opt **ret_opt, char *err,
                    size_t err_size);

#endif
