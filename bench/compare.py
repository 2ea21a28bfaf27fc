"""Statistics of paired comparisons: two policies on the same slices of a trace, or on the same seeds.

Waits of neighbouring requests depend on each other for as long as a queue lasts, so requests are no
sample; slices much longer than that nearly are. How nearly, the correlation of neighbouring slices
says. Standard library only; the same numbers give the same answer everywhere.
"""
import dataclasses
import functools
import math
import operator
import random
import statistics

BLOCKS_MIN = 30      # below, an interval would promise what so few slices cannot keep
LAG1_MAX = 0.2       # above, slices are too short: the interval is widened for it
LAG1_CUT = 0.9
RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Sum of one over sum of the other. low, high, p are None below BLOCKS_MIN slices."""
    value: float
    low: float | None
    high: float | None
    p: float | None      # two-sided, of a ratio of 1
    blocks: int
    lag1: float | None   # of the paired differences

    @property
    def dependent(self):
        """Neighbouring slices move together: the interval is widened for it."""
        return _widening(self.lag1) > 1


@functools.lru_cache(maxsize=64)
def _draws(blocks, count):
    """So many draws of blocks with replacement, each as a function that picks them from a list."""
    source = random.Random(f"{blocks} blocks")
    return [operator.itemgetter(*source.choices(range(blocks), k=blocks)) for _ in range(count)]


def lag1(values):
    """Correlation of neighbours; None where nothing varies."""
    mean = statistics.fmean(values)
    off = [value - mean for value in values]
    square = sum(x * x for x in off)
    return sum(map(operator.mul, off, off[1:])) / square if square > 0 else None


def ratio(a, b, resamples=RESAMPLES, level=0.95):
    """The ratio sum(a) / sum(b) of paired slices with the interval and p of a studentised block
    bootstrap of its logarithm: slices are drawn with replacement, both policies' together, and the
    error of each draw comes from the draw itself. So the interval is right at once for means that
    differ tenfold and for slices of which a few hold most of the waiting. Where neighbouring slices
    correlate it is widened, as if they were a first-order autoregression. None without any waiting."""
    n = len(a)
    if n != len(b) or n == 0:
        raise ValueError("slices are not paired")
    total_a, total_b = math.fsum(a), math.fsum(b)
    if total_a <= 0 or total_b <= 0:
        return None
    difference = [x / total_a - y / total_b for x, y in zip(a, b)]
    value, correlation = total_a / total_b, lag1(difference)
    if n < BLOCKS_MIN:
        return Ratio(value, None, None, None, n, correlation)
    scale = n / (n - 1)
    square = scale * math.fsum(x * x for x in difference)
    if square < 1e-24:     # the same in every slice
        return Ratio(value, value, value, 1.0 if abs(value - 1) < 1e-12 else 0.0, n, correlation)
    centre, error = math.log(value), math.sqrt(square)
    aa, ab, bb = ([x * y for x, y in zip(u, v)] for u, v in ((a, a), (a, b), (b, b)))
    pivots = []
    for draw in _draws(n, resamples):
        s, t = sum(draw(a)), sum(draw(b))
        if s > 0 and t > 0:
            square = scale * (sum(draw(aa)) / (s * s) - 2 * sum(draw(ab)) / (s * t) + sum(draw(bb)) / (t * t))
            if square > 1e-24:
                pivots.append((math.log(s / t) - centre) / math.sqrt(square))
    pivots.sort()
    error *= _widening(correlation)
    tail = (1 - level) / 2
    low = math.exp(centre - error * quantile(pivots, 1 - tail))
    high = math.exp(centre - error * quantile(pivots, tail))
    observed = centre / error
    above = sum(pivot >= observed for pivot in pivots)
    below = sum(pivot <= observed for pivot in pivots)
    p = min(1.0, 2 * (1 + min(above, below)) / (len(pivots) + 1))
    return Ratio(value, low, high, p, n, correlation)


def _widening(correlation):
    """Factor of the error of a mean of a first-order autoregression with this correlation."""
    if correlation is None or correlation <= LAG1_MAX:
        return 1.0
    correlation = min(correlation, LAG1_CUT)
    return math.sqrt((1 + correlation) / (1 - correlation))


def quantile(ordered, q):
    """Of sorted values, linear between them."""
    at = q * (len(ordered) - 1)
    index = min(int(at), len(ordered) - 2)
    return ordered[index] + (at - index) * (ordered[index + 1] - ordered[index])


def student_quantile(q, freedom):
    """Of Student's t with at least 5 degrees of freedom, to 0.1 %, by its expansion about the normal."""
    z = statistics.NormalDist().inv_cdf(q)
    terms = (z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96,
             (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return sum(term / freedom**power for power, term in enumerate(terms))


def mean_interval(values, level=0.95):
    """Mean and half its interval over independent runs, by Student's t; half is None below 6."""
    mean = statistics.fmean(values)
    if len(values) < 6:
        return mean, None
    error = statistics.stdev(values) / math.sqrt(len(values))
    return mean, error * student_quantile((1 + level) / 2, len(values) - 1)


def seeds_ratio(a, b, level=0.95):
    """Ratio of means over the same seeds with its interval: independent runs, so Student's t of the
    linearised logarithm. (value, low, high); the limits are None below 6 seeds."""
    mean_a, mean_b = statistics.fmean(a), statistics.fmean(b)
    value = mean_a / mean_b
    _, half = mean_interval([x / mean_a - y / mean_b for x, y in zip(a, b)], level)
    return (value, None, None) if half is None else (value, value * math.exp(-half), value * math.exp(half))


def holm(ps):
    """Holm's adjusted p of each of a family, in the order given."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted
