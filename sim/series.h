/*
 * What a report draws of a run: who was resident when, how device time was spent, how long the
 * queues were, how waits were distributed. Watches a run as its observer, in memory that does not
 * grow with the run: time is cut into SERIES_BINS bins whose width doubles whenever they are full;
 * the first SERIES_SEGMENTS changes of residency are kept exactly beside the bins.
 *
 * series_json gives the member "series" of a result object (times in seconds from the start of the
 * run; arrays of one entry a bin have as many entries as there are bins):
 *
 *   end_s, bin_s       the run's length; width of a bin (the last one may be cut by the end)
 *   models, devices    [name]
 *   instances          [[model, device]], indices into these
 *   states             [device]: {serving, draining, switching, lingering, idle}: [thousandths]
 *   queue              [model]: {mean: [requests], max: [requests]}
 *   resident, moving   [instance]: [thousandths]: on the device (draining included); on its way
 *   segments           [[instance, phase, from_s, to_s]] in the order of their ends; phase as
 *                      enum series_phase
 *   segments_end_s     they are complete until here
 *   quantiles          [q], from 0 to 1, dense near 1
 *   wait               [model]: {count, s: [seconds at each of these]} of the requests of the
 *                      measured window; null without any
 *   wait_all           the same of all models together
 */
#ifndef SIM_SERIES_H
#define SIM_SERIES_H

#include "core/core.h"
#include "sim/sim.h"

#include <jansson.h>

enum { SERIES_BINS = 480, SERIES_SEGMENTS = 6000 };

/* Where an instance is, for a residency chart. Away from the device has no segment. */
enum series_phase {
    SERIES_AWAY = -1,
    SERIES_RESIDENT = 0,
    SERIES_DRAINING = 1,
    SERIES_COMING = 2,
    SERIES_LEAVING = 3
};

struct series;

struct series_options {
    uint32_t model_count;
    uint32_t device_count;
    const char *const *model_names; /* copied */
    const char *const *device_names;
    int64_t wait_cap_ns; /* what requests that did not complete count as having waited, at least */
};

/* For a run of `scenario`: its names, its cap. -ENOMEM. */
int series_of_scenario(const struct scenario *scenario, struct series **ret_series);
/* Watches a run. */
struct sim_observer series_observer(struct series *series);

/* What both are made of, for whoever drives a core otherwise. -ENOMEM. */
int series_create(const struct series_options *options, struct series **ret_series);
void series_destroy(struct series *series); /* accepts NULL */

/* Before each input at t_ns, and once after the first configuration. */
void series_input(struct series *series, const struct core *core, const struct core_input *input,
                  int64_t t_ns);
/* Each action; `measured`: the request that it is about counts among the waits. */
void series_action(struct series *series, const struct core_action *action, bool measured);

/* The object described above, for a run that ended at t_ns. Call once. NULL: out of memory. */
json_t *series_json(struct series *series, const struct core *core, int64_t t_ns);

#endif
