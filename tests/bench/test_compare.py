#!/usr/bin/env python3
"""The statistics of the scoreboard: known values, and how often intervals cover the truth."""
import math
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(os.environ["SHUNT_SOURCE"]) / "bench"))
sys.dont_write_bytecode = True
import compare  # noqa: E402


def expect(condition, *shown):
    if not condition:
        print("failed:", *shown, file=sys.stderr)
        sys.exit(1)


def near(value, expected, tolerance):
    expect(abs(value - expected) <= tolerance, value, "is not", expected)


def check_holm():
    """Worked examples: 4 x .005, 3 x .01, then what grows; ties; what is cut at 1."""
    for ps, adjusted in (([.01, .04, .03, .005], [.03, .06, .06, .02]),
                         ([.5, .9], [1.0, 1.0]), ([.02], [.02]), ([], [])):
        for got, wanted in zip(compare.holm(ps), adjusted, strict=True):
            near(got, wanted, 1e-12)


def check_student():
    """Tables of Student's t."""
    for q, freedom, value in ((.975, 5, 2.5706), (.975, 19, 2.0930), (.975, 39, 2.0227), (.95, 10, 1.8125)):
        near(compare.student_quantile(q, freedom), value, 0.004)
    mean, half = compare.mean_interval([1, 2, 3, 4, 5, 6, 7])
    near(mean, 4, 1e-12)
    near(half, 2.160247 / math.sqrt(7) * 2.4469, 0.01)
    expect(compare.mean_interval([1, 2, 3])[1] is None, "three runs gave an interval")


def check_ratio():
    source = random.Random(1)
    b = [source.expovariate(1) for _ in range(40)]
    expect(compare.ratio(b[:29], b[:29]).low is None, "29 slices gave an interval")
    same = compare.ratio(b, b)
    expect((same.value, same.low, same.high, same.p) == (1, 1, 1, 1), same)
    twice = compare.ratio([2 * x for x in b], b)
    near(twice.low, 2, 1e-9)
    near(twice.high, 2, 1e-9)
    expect(compare.ratio([0] * 40, b) is None, "a ratio without any waiting")
    noisy = compare.ratio([x * source.uniform(.4, .6) for x in b], b)
    expect(.45 < noisy.low < .5 < noisy.high < .55 and noisy.p < .002, noisy)
    back = compare.ratio(b, [x * 1.0 for x in b[::-1]])
    expect(back.low < 1 < back.high and back.p > .2, back)
    near(compare.lag1([1, -1] * 20), -1, .05)
    expect(compare.ratio([1.1, 1.3] * 20, [1.0] * 40).dependent is False, "alternating slices")
    rising = compare.ratio([1 + i / 40 for i in range(40)], [1.0] * 40)
    expect(rising.dependent, "slices that rise are not marked", rising.lag1)


def autoregressive(source, length, phi):
    """Positive, dependent, skewed: the exponential of an AR(1)."""
    x = source.gauss(0, 1 / math.sqrt(1 - phi * phi))
    for _ in range(length):
        x = phi * x + source.gauss(0, 1)
        yield math.exp(0.4 * x)


def coverage(phi, size, rounds, blocks=40):
    """How often the interval of a ratio of two independent such streams covers 1, and how often p < .05."""
    source = random.Random(f"coverage {phi}")
    covered = rejected = 0
    for _ in range(rounds):
        sums = []
        for _ in range(2):
            values = list(autoregressive(source, blocks * size, phi))
            sums.append([math.fsum(values[i * size:(i + 1) * size]) for i in range(blocks)])
        found = compare.ratio(*sums, resamples=400)
        covered += found.low <= 1 <= found.high
        rejected += found.p < .05
    return covered / rounds, rejected / rounds


def check_coverage():
    """Slices long against the memory of the stream (20 times): 95 % within what 300 rounds can tell.
    About as long as it: nearly. One value of a stream that remembers: less, so the check can fail."""
    covered, rejected = coverage(.7, 60, 300)
    expect(.91 <= covered <= .985, "interval covers", covered)
    expect(.015 <= rejected <= .09, "p rejects", rejected)
    covered, _ = coverage(.95, 30, 200)
    expect(.88 <= covered <= .99, "slices that correlate: the wider interval covers", covered)
    covered, _ = coverage(.97, 1, 100)
    expect(covered < .8, "slices shorter than the memory cover", covered)


check_holm()
check_student()
check_ratio()
check_coverage()
