"""Results of runs that never were, for tests of the report: the shape of `shunt sim --json` with
"series", from a small model of visits and queues, with names that try to break out."""
import math
import random

NASTY = "<script>alert('x')</script> \"q\" & <b>"
BINS = 360
STATES = ("serving", "draining", "switching", "lingering", "idle")


def quantiles():
    steps = [100, 90, 80, 70, 60, 50, 45, 40, 35, 30, 25, 22, 20, 18, 16, 14, 13, 12, 11]
    return [1 - step / 100 * 10.0 ** -decade for decade in range(5) for step in steps] + [1.0]


def stat(values):
    values = sorted(values) or [0.0]
    mean = sum(values) / len(values)
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))

    def pick(q):
        return values[min(len(values) - 1, int(q * len(values)))]
    return {"count": len(values), "mean": mean, "se": 2 * sd / math.sqrt(len(values)), "batches": 32,
            "lag1": 0.05, "p50": pick(.5), "p95": pick(.95), "p99": pick(.99), "max": values[-1]}


def waits(values):
    values = sorted(values)
    if not values:
        return None
    return {"count": len(values),
            "s": [values[min(len(values) - 1, max(0, math.ceil(q * len(values)) - 1))] for q in quantiles()]}


def run(policy, seed, names, visit_s, switch_s=4.0, end_s=7200.0, devices=1):
    """Cyclic visits of about visit_s; all of the queue is gone at the end of a visit."""
    rng = random.Random(f"{policy}{seed}")
    count = len(names)
    width = end_s / BINS
    states = [{state: [0.0] * BINS for state in STATES} for _ in range(devices)]
    resident = [[0.0] * BINS for _ in range(count * devices)]
    moving = [[0.0] * BINS for _ in range(count * devices)]
    queue = [[0.0] * BINS for _ in range(count)]
    peak = [[0] * BINS for _ in range(count)]
    segments, visits, own = [], [0] * count, [[] for _ in range(count)]
    rates = [0.05 + 0.35 / (1 + model) for model in range(count)]

    def spread(into, t0, t1):
        for place in range(int(t0 / width), min(BINS - 1, int(t1 / width)) + 1):
            into[place] += max(0.0, min(t1, (place + 1) * width) - max(t0, place * width)) / width

    for device in range(devices):
        t, last, model = 0.0, [0.0] * count, device % count
        while t < end_s:
            phases = [(2, switch_s * rng.uniform(.8, 1.2)), (0, visit_s * rng.expovariate(1)), (1, rng.uniform(0, 2)), (3, 1.0)]
            start = t
            for phase, length in phases:
                t1 = min(end_s, t + length)
                if t1 > t:
                    segments.append([model * devices + device, phase, t, t1])
                    spread((resident if phase < 2 else moving)[model * devices + device], t, t1)
                    name = ("serving", "draining", "switching", "switching")[phase]
                    idle = t + (t1 - t) * (.8 if phase == 0 else 1)
                    spread(states[device][name], t, idle)
                    spread(states[device]["idle" if seed % 2 else "lingering"], idle, t1)
                t = t1
            burst = rng.uniform(.3, 2)
            for place in range(int(last[model] / width), min(BINS - 1, int(start / width)) + 1):
                level = max(0.0, place * width - last[model]) * rates[model] * burst
                queue[model][place] += level
                peak[model][place] = max(peak[model][place], int(level * 1.3) + 1)
            gap = start - last[model]
            own[model] += [gap * rng.random() * burst for _ in range(int(gap * rates[model]) + 2)]
            last[model] = t
            visits[model] += 1
            model = (model + 1) % count
    total = [value for values in own for value in values]
    shares = {state: sum(sum(one[state]) for one in states) / BINS / devices for state in STATES}
    mille = lambda values: [round(1000 * value) for value in values]
    fake = "0123456789abcdef" * 4
    return {
        "scenario": "a2 " + NASTY, "label": "synthetic", "command": f"shunt sim a2.yaml --policy {policy} {NASTY}",
        "schema": 1, "shunt_version": "0.1.0", "seed": seed, "guarded": True, "stretch": 2.201, "cost_profile": "matrix",
        "sha256": {"scenario": fake, "policy": fake[::-1], "traces": [{"file": "x.csv", "sha256": fake}]},
        "policy": {"reference": policy, "name": policy.split(":")[0], "version": "1.0.0",
                   "params": {"overhead_target": 0.1}, "hash": fake},
        "guard": {"forced_share": 0.031,
                  "settings": {"overtakes": 8, "age_s": 1440.0, "visit_cap_s": 250.0, "drain_s": 60.0},
                  "interventions": {"forced_cap": 3, "forced_overtake": 0, "forced_age": 1, "clamped": 0}},
        "requests": {"offered": len(total), "completed": len(total) - 3, "rejected": 1, "cancelled": 0, "expired": 2,
                     "failed": 0, "cut": 0, "backlog_at_last_arrival": 9},
        "load": {"value": 0.7, "definition": "work_over_span", "switch_free": 0.62},
        "time": {"span_s": end_s, **{f"{state}_frac": shares[state] for state in STATES}, "work_per_s": 0.7,
                 "tokens_per_s": None, "mean_batch": 3.4},
        "switches": {"count": sum(visits), "per_request": sum(visits) / len(total)},
        "wait_s": stat(total), "wait_to_switch_start_s": stat(total), "ttft_s": stat([value + .2 for value in total]),
        "response_s": stat([value + 2 for value in total]), "wait_cap_s": 3600.0,
        "models": [{"name": name, "completed": len(own[m]), "wait_s": stat(own[m]), "queue_mean": sum(queue[m]) / BINS,
                    "in_service_mean": 1.2, "visits": visits[m], "gap_max_s": max(own[m], default=0.0)}
                   for m, name in enumerate(names)],
        "classes": [{"name": "critical", "completed": 10, "wait_s": stat(total), "ttft_s": stat(total)},
                    {"name": "standard", "completed": 20, "wait_s": stat(total), "ttft_s": stat(total)}],
        "bounds": {"gap_bound_s": 2880.0, "wait_bound_s": None, "lb_work_wait_s": stat(total)["mean"] / 9,
                   "lb_lagrange_wait_s": None, "lb_static_wait_s": None,
                   "reasons": {"wait_bound_s": "a model has no service limit",
                               "lb_lagrange_wait_s": "switch costs differ by direction",
                               "lb_static_wait_s": "more than one device"}},
        "jain": 0.91, "overloaded": False, "events": 123456, "events_per_s": 2.1e6, "all": {"exact": {"holds": True}},
        "series": {
            "end_s": end_s, "bin_s": width, "models": list(names), "devices": [f"gpu{d}" for d in range(devices)],
            "instances": [[m, d] for m in range(count) for d in range(devices)],
            "states": [{state: mille(one[state]) for state in STATES} for one in states],
            "queue": [{"mean": queue[m], "max": peak[m]} for m in range(count)],
            "resident": [mille(one) for one in resident], "moving": [mille(one) for one in moving],
            "segments": segments, "segments_end_s": end_s, "quantiles": quantiles(),
            "wait": [waits(values) for values in own], "wait_all": waits(total)},
    }


def results(names=("conv", NASTY, "img", "coder-14b"), policies=("fifo", "amortized", "costaware:x=1"), seeds=3, **kinds):
    return [run(policy, seed, names, 30.0 + 45 * index, **kinds)
            for index, policy in enumerate(policies) for seed in range(1, seeds + 1)]
