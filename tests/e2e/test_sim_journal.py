#!/usr/bin/env python3
"""Journals between host and simulator: what a host wrote is simulated with other policies; what the
simulator writes is what `shunt journal verify` replays, and makes the same run again."""
import json
import pathlib
import subprocess
import tempfile

from shunt import SHUNT, Host, model

SCENARIO = """
scenario: pair
devices: [{name: gpu0, memory_gib: 80}]
models:
  - {name: conv, memory_gib: 50, max_concurrency: 4, service: {kind: serial}}
  - {name: img,  memory_gib: 40, max_concurrency: 1, service: {kind: serial}}
switch: {per_model: {conv: {sleep_s: 1, wake_s: 4}, img: {sleep_s: .5, wake_s: 3, probe_s: .2}}}
arrivals:
  - {kind: poisson, model: conv, rate_per_s: 0.3, service_s: {dist: exponential, mean: 6}}
  - {kind: poisson, model: img, rate_per_s: 0.03, service_s: {dist: exponential, mean: 5}}
requests: 2000
"""


def sim(*arguments, rc=0):
    out = subprocess.run([SHUNT, "sim", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert out.returncode == rc, (arguments, out.returncode, out.stdout[-500:], out.stderr[-2000:])
    return out


def verify(journal):
    out = subprocess.run([SHUNT, "journal", "verify", journal], capture_output=True, text=True)
    assert out.returncode == 0 and " 0 differences" in out.stdout, out.stdout + out.stderr
    return out.stdout


def test_simulated_journal(folder):
    scenario, journal = folder / "s.yaml", folder / "journal"
    scenario.write_text(SCENARIO)
    first = json.loads(sim(scenario, "--policy", "amortized", "--json", "--journal", journal).stdout)
    verify(journal)
    assert "wants one scenario" in sim(scenario, "--policy", "fifo,amortized", "--journal", folder / "x", rc=2).stderr
    assert "another folder" in sim(scenario, "--policy", "fifo", "--journal", journal, rc=2).stderr
    made = sim("--journal-in", journal, "--policy", "fifo,amortized", "--json", "--keep", folder / "kept")
    runs = json.loads(made.stdout)["results"]
    assert "2000 requests" in made.stderr, made.stderr
    assert [run["policy"]["name"] for run in runs] == ["fifo", "amortized"]
    for run in runs:
        assert run["requests"]["offered"] == 2000 and run["label"] == "synthetic"
    # Every service time, in the order of arrival, is the one that was: so is the work.
    work = [run["time"]["work_per_s"] * run["time"]["span_s"] for run in [first, runs[1]]]
    assert abs(work[0] - work[1]) < 0.05 * work[0], work
    again = json.loads(sim(folder / "kept" / "scenario.yaml", "--policy", "amortized", "--json").stdout)
    assert again["wait_s"] == runs[1]["wait_s"]


def test_host_journal(folder):
    with Host([model("alpha", resident=10.0), model("beta", resident=10.0)]) as host:
        for number in range(24):
            name = ("alpha", "alpha", "beta")[number % 3]
            answer = host.chat(name, max_tokens=5 + number)
            assert answer.status == 200, answer.body
        host.stop()
        made = sim("--journal-in", host.folder / "state" / "journal", "--policy", "fifo,exhaustive", "--json",
                   "--keep", folder / "host")
    assert ": 24 requests" in made.stderr and "gap" not in made.stderr, made.stderr
    for run in json.loads(made.stdout)["results"]:
        assert run["label"] == "real" and run["requests"]["completed"] == 24, run["requests"]
        assert [one["name"] for one in run["models"]] == ["alpha", "beta"]
    rows = (folder / "host" / "arrivals.csv").read_text().splitlines()[1:]
    tokens = sorted(int(row.split(",")[3]) for row in rows)
    assert tokens == list(range(5, 29)), tokens
    # A token takes 1 ms and the first 5 (tests/e2e/shunt.py): no service is shorter.
    assert all(float(row.split(",")[4]) >= 0.001 * int(row.split(",")[3]) for row in rows), rows
    costs = json.loads("".join((folder / "host" / "scenario.yaml").read_text().splitlines()[1:]))["switch"]["per_model"]
    for name in ("alpha", "beta"):
        assert costs[name]["wake_s"] >= 0.05 and costs[name]["sleep_s"] >= 0.02, costs


def test_bad_journals(folder):
    assert "nowhere" in sim("--journal-in", folder / "nowhere", "--policy", "fifo", rc=2).stderr
    empty = folder / "empty"
    empty.mkdir()
    assert sim("--journal-in", empty, "--policy", "fifo", rc=2).stderr.count("\n") == 1
    assert "--keep" in sim("x.yaml", "--policy", "fifo", "--keep", folder, rc=2).stderr


with tempfile.TemporaryDirectory(prefix="shunt-journal-") as name:
    for test in (test_simulated_journal, test_host_journal, test_bad_journals):
        test(pathlib.Path(name))
        print(f"ok      {test.__name__}")
