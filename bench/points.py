"""Points of the suite: the rows of a table of policies, their figures on the same requests, and their
comparisons slice by slice."""
import math
import multiprocessing
import os

import compare

SLICES = 40
FORCED_MAX = 0.05
CONTROL = "P20"


class Row:
    """One policy on one scenario."""

    def __init__(self, entry, result):
        self.entry, self.result = entry, result
        self.window = ()    # the slices that every row of the point has: the same requests for all
        self.wait = None
        self.work = result["time"]["work_per_s"]
        self.guard_limited = result["guard"]["forced_share"] > FORCED_MAX
        self.overloaded = result["overloaded"]
        self.counts = not self.guard_limited and not self.overloaded

    def verdict(self):
        return ", ".join(text for on, text in ((self.guard_limited, "guard-limited"),
                                               (self.overloaded, "overloaded")) if on)


class Point:
    def __init__(self, file, rows):
        self.name, self.rows = file.stem, rows
        self.by = {row.entry.name: row for row in rows}
        self.scenario, self.load = self.name.rsplit("-", 1)
        self.counted = self.scenario != CONTROL
        columns = zip(*(row.result["blocks"] for row in rows))
        self.window = [k for k, column in enumerate(columns) if all(b["measured"] == b["arrivals"] > 0 for b in column)]
        for row in rows:
            row.window = self.window
            row.wait = sum(slices(row, "wait")) / sum(row.result["blocks"][k]["measured"] for k in self.window)

    def best(self, without=(), rows=("default", "tuned")):
        """Of the rows that count the one with the least wait; if none does, of those that the guard
        does not limit the one with the most work."""
        open_to = [r for r in self.rows if r.entry.name not in without and r.entry.row in rows]
        counted = [r for r in open_to if r.counts]
        if counted:
            return min(counted, key=lambda r: r.wait)
        rest = [r for r in open_to if not r.guard_limited]
        return max(rest, key=lambda r: r.work) if rest else None


def slices(row, figure):
    """By slice of the window: total wait, 99th percentile, or completed work (of all but the last)."""
    blocks = row.result["blocks"]
    if figure == "wait":
        return [blocks[k]["wait_s"] * blocks[k]["measured"] for k in row.window]
    if figure == "p99":
        return [blocks[k]["wait_p99_s"] for k in row.window]
    return [blocks[k]["work_per_s"] * (blocks[k + 1]["from_s"] - blocks[k]["from_s"]) for k in row.window
            if k + 1 < len(blocks)]


class Comparisons:
    """Ratios that are asked for first and computed together, on all cores."""

    def __init__(self):
        self.jobs, self.done = {}, {}

    def want(self, key, a, b, figure="wait", resamples=compare.RESAMPLES):
        self.jobs[key] = (slices(a, figure), slices(b, figure), resamples)

    def compute(self):
        keys = sorted(self.jobs, key=lambda key: (len(self.jobs[key][0]), self.jobs[key][2]))
        with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
            answers = pool.map(one_ratio, [self.jobs[key] for key in keys], chunksize=16)
        self.done.update(zip(keys, answers))
        self.jobs.clear()

    def get(self, key):
        return self.done.get(key)


def one_ratio(job):
    a, b, resamples = job
    return compare.ratio(a, b, resamples) if a else None


def number(value):
    if value is None or math.isnan(value):
        return "-"
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def share(value):
    return f"{100 * value:.1f} %"


def interval(ratio, digits=2):
    """A ratio with its interval; * where slices depend on each other."""
    if ratio is None:
        return "-"
    text = f"{ratio.value:.{digits}f}"
    if ratio.low is None:
        return f"{text} (no interval)"
    return f"{text} [{ratio.low:.{digits}f}, {ratio.high:.{digits}f}]{'*' if ratio.dependent else ''}"


def p_text(p):
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
