#!/usr/bin/env python3
"""What bench/board.py keeps is what was simulated, and only what changed is simulated again; points put
every row on the same requests."""
import os
import pathlib
import sys
import tempfile

SOURCE = pathlib.Path(os.environ["SHUNT_SOURCE"])
sys.path.insert(0, str(SOURCE / "bench"))
sys.dont_write_bytecode = True
import board  # noqa: E402
import points  # noqa: E402

SCENARIO = """\
scenario: two-0.50
devices: [{name: gpu0, memory_gib: 80}]
models:
  - {name: a, memory_gib: 60, max_concurrency: 1, service: {kind: serial}}
  - {name: b, memory_gib: 60, max_concurrency: 1, service: {kind: serial}}
switch: {matrix_s: [[0, 2], [2, 0]]}
arrivals:
  - {kind: poisson, model: a, rate_per_s: 0.25, service_s: {dist: exponential, mean: 1}}
  - {kind: poisson, model: b, rate_per_s: 0.25, service_s: {dist: exponential, mean: 1}}
requests: 4000
"""


def expect(condition, *shown):
    if not condition:
        print("failed:", *shown, file=sys.stderr)
        sys.exit(1)


def check_kept(folder, path):
    runs = board.Runs()
    first = runs.get([path], ["fifo", "exhaustive"], seeds=3, part="all")
    expect((runs.simulated, runs.kept) == (6, 0), runs.simulated, runs.kept)
    expect([r["seed"] for r in first[path, "fifo"]] == [1, 2, 3], "seeds")
    again = board.Runs()
    expect(again.get([path], ["exhaustive", "fifo"], seeds=3, part="all") == first, "kept results differ")
    expect((again.simulated, again.kept) == (0, 6), again.simulated, again.kept)
    other = folder / "other.yaml"
    other.write_text(SCENARIO.replace("requests: 4000", "requests: 3000"))
    again.get([path, other], ["fifo"], seeds=3, part="all")
    expect((again.simulated, again.kept) == (3, 9), again.simulated, again.kept)
    again.get([path], ["fifo"], seeds=3, part="all", seed=2)
    expect(again.simulated == 6, "other seeds were not simulated", again.simulated)


def check_failure(path):
    """A policy that cannot run costs its own row, and is named."""
    found = board.Runs().get([path], ["fifo", "k_limited:k=-1"], part="all")
    expect(len(found[path, "fifo"]) == 1 and found[path, "k_limited:k=-1"] == [], "rows", found.keys())


def check_points(path):
    rows = []
    found = board.Runs().get([path], ["fifo", "exhaustive"], part="all", blocks=points.SLICES)
    for name in ("fifo", "exhaustive"):
        rows.append(points.Row(board.Entry(name, name, "classical", "default"), found[path, name][0]))
    point = points.Point(path, rows)
    expect(30 <= len(point.window) < points.SLICES, point.window)
    expect(point.best().entry.name == "exhaustive", "emptying a queue first is not better")
    compared = points.Comparisons()
    compared.want("x", point.by["fifo"], point.by["exhaustive"])
    compared.want("work", point.by["fifo"], point.by["exhaustive"], "work")
    compared.compute()
    ratio = compared.get("x")
    expect(abs(ratio.value - point.by["fifo"].wait / point.by["exhaustive"].wait) < 1e-9, ratio)
    expect(ratio.low > 1, ratio)
    expect(0.95 < compared.get("work").value < 1.05, compared.get("work"))


def check_parameters():
    named = {p.name: p for p in board.parameters("adaptive_stale")}
    expect(named["overhead_target"].tuned and named["overhead_target"].high == 0.5, named["overhead_target"])
    expect(not named["weight"].tuned and not named["unknown_work"].tuned, "not to be tuned")


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    board.WORK = folder / "work"
    path = folder / "two-0.50.yaml"
    path.write_text(SCENARIO)
    check_kept(folder, path)
    check_failure(path)
    check_points(path)
    check_parameters()
