/*
 * Index policies: how much a visit is worth. The estimates behind it, with a stand-in wherever the
 * host has learned nothing yet, and the reward rate that ranks models of unequal service times and
 * directional switch costs.
 */
#ifndef SHUNT_INDEX_H
#define SHUNT_INDEX_H

#include <shunt/snapshot.h>

/*
 * Mean device time of one request of `model` in seconds: busy time over completions where the host
 * has measured it, so that a batch counts once; else its service time; else `unknown_s`.
 */
static inline double shunt_work_s(const struct shunt_snapshot *snapshot, uint32_t model,
                                  double unknown_s)
{
    const double *work = shunt_f64(snapshot, SHUNT_COL_WORK_MEAN_NS);
    const double *service = shunt_f64(snapshot, SHUNT_COL_SERVICE_MEAN_NS);
    if (work && work[model] > 0) {
        return work[model] * 1e-9;
    }
    return service && service[model] > 0 ? service[model] * 1e-9 : unknown_s;
}

/*
 * Arrivals of `model` per second as they look now: the host's rate is that of the latest arrival;
 * a silence longer than its mean gap lowers it to one arrival in that silence. 0 if none came yet.
 */
static inline double shunt_rate_now(const struct shunt_snapshot *snapshot, uint32_t model)
{
    const double *rate = shunt_f64(snapshot, SHUNT_COL_ARRIVAL_RATE);
    const int64_t *last = shunt_i64(snapshot, SHUNT_COL_LAST_ARRIVAL_NS);
    if (!rate || !last || !(rate[model] > 0)) {
        return 0;
    }
    double silence_s = (double)(snapshot->now_ns - last[model]) * 1e-9;
    return silence_s * rate[model] > 1 ? 1 / silence_s : rate[model];
}

/*
 * Seconds that moving the device from `from` (SHUNT_NONE: from nobody) to `to` takes from serving:
 * the switch, the drain of `from` where known, and `return_share` of the way back in proportion to
 * the load of `from`, since a busy model will want the device again.
 */
static inline double shunt_setup_s(const struct shunt_snapshot *snapshot,
                                   const struct shunt_snapshot *costs, uint32_t from, uint32_t to,
                                   double unknown_switch_s, double unknown_work_s,
                                   double return_share)
{
    double setup_s = shunt_cost_ns(costs, from, to, unknown_switch_s * 1e9) * 1e-9;
    if (from < shunt_model_count(snapshot)) {
        const double *drain = shunt_f64(snapshot, SHUNT_COL_DRAIN_MEAN_NS);
        double load = shunt_rate_now(snapshot, from) * shunt_work_s(snapshot, from, unknown_work_s);
        setup_s += drain && drain[from] > 0 ? drain[from] * 1e-9 : 0;
        setup_s += return_share * (load < 1 ? load : 1) *
                   shunt_cost_ns(costs, to, from, unknown_switch_s * 1e9) * 1e-9;
    }
    return setup_s;
}

/*
 * Weighted requests a second that an exhaustive visit ends, its setup counted in: what waits
 * (`backlog_s` of work), what comes during the setup and what comes during the visit (a share
 * `load` of the device, below 1; cut at 0.95), over the time all that takes.
 *
 *     gamma = (weight / work) (backlog + load setup) / (backlog + setup)
 *
 * With no setup it is weight / work whatever waits. Duenyas and Van Oyen's index for queues with
 * switching times, derived here for costs that depend on where the device comes from.
 */
static inline double shunt_reward_rate(double weight, double work_s, double backlog_s, double load,
                                       double setup_s)
{
    double duration_s = backlog_s + setup_s;
    double served_s = backlog_s + (load < 0.95 ? load : 0.95) * setup_s;
    return work_s > 0 && duration_s > 0 ? weight / work_s * served_s / duration_s : 0;
}

#endif
