#!/usr/bin/env python3
"""The same seed gives the same figures, digit by digit, whatever compiler and optimisation built the
program: the result objects of a scenario that uses every engine, law and fault are held against one
digest. `bench/same_bytes` builds with gcc and clang, -O0 and -O3, and runs this test in each.

A change that is meant to change figures changes the digest: run this file with --print and put what
it says below, with the reason in the commit.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ["SHUNT_BUILD"])
SHUNT = BUILD / "bin" / "shunt"
DIGEST = "c1b515cdacde4023c0fd2aa5096e08916adf1369b0a27d6e2822f2fd86a9cd2b"
# What names the build or the clock and not the run.
VOLATILE = {"events_per_s", "command", "shunt_version", "sha256", "hash"}

SCENARIO = """
scenario: everything
label: synthetic
devices: [{name: gpu0, memory_gib: 24}, {name: gpu1, memory_gib: 24}]
models:
  - {name: chat, memory_gib: {resident: 15, asleep: 0.5}, tiers: [asleep, stopped], max_concurrency: 16, service: {kind: batch, p0_s: .00549, p1_s: 22.9e-6, d0_s: .00845, d1_s: 107e-6, d2_s: 44e-9}}
  - {name: image, memory_gib: {resident: 20, asleep: 0.5}, tiers: [asleep, stopped], max_concurrency: 1, service: {kind: serial}}
  - {name: shared, memory_gib: {resident: 18, asleep: 0}, tiers: [asleep, stopped], max_concurrency: 8, service: {kind: ps, rate: 1.5}}
  - {name: open, memory_gib: {resident: 12, asleep: 0}, tiers: [asleep, stopped], max_concurrency: unlimited, service: {kind: unlimited}}
switch:
  tiers: {asleep: {out_s: 1.5, in_s: 2.5}, stopped: {out_s: 0.5, in_s: 12}}
  distribution: {dist: lognormal, sigma: 0.4}
  fail_probability: 0.15
arrivals:
  - {kind: gamma, model: chat, rate_per_s: 1.1, cv: 2.5, input_tokens: {dist: lognormal, mean: 900, sigma: 1.1}, output_tokens: {dist: lognormal, mean: 180, sigma: 0.8}}
  - {kind: weibull, model: image, rate_per_s: 0.02, cv: 1.7, service_s: {dist: gamma, mean: 12, cv: 0.6}}
  - {kind: onoff, model: shared, states: [{rate_per_s: 0.5, mean_s: 60}, {rate_per_s: 0, mean_s: 240}], service_s: {dist: hyperexponential, p: [0.9, 0.1], mean: [1, 9]}}
  - {kind: poisson, model: open, rate_per_s: 0.2, service_s: {dist: exponential, mean: 3}}
requests: 20000
limits: {queue_per_model: 10000, max_wait_s: 1800, patience: {dist: exponential, mean: 900}}
"""


def stable(value):
    if isinstance(value, dict):
        return {key: stable(member) for key, member in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [stable(member) for member in value]
    return value


with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "everything.yaml"
    path.write_text(SCENARIO)
    run = subprocess.run([str(SHUNT), "sim", str(path), "--policy", "exhaustive,gated,k_limited:k=3",
                          "--seeds", "3", "--json"], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"shunt sim failed: {run.stderr}")
    results = json.loads(run.stdout)
objects = results if isinstance(results, list) else results.get("results", results)
assert len(objects) == 9, len(objects)
for one in objects:
    requests = one["requests"]
    # The scenario has to reach what it is for.
    assert requests["completed"] > 10000 and requests["cancelled"] > 0, requests
    assert one["switches"]["count"] > 100 and one["switches"]["failed"] > 0, one["switches"]
digest = hashlib.sha256(json.dumps(stable(objects), sort_keys=True).encode()).hexdigest()
if "--print" in sys.argv:
    print(digest)
elif digest != DIGEST:
    sys.exit(f"digest {digest}, not {DIGEST}: this build gives other figures")
