#!/usr/bin/env python3
"""horizon against the best that any policy can do, where that is known: two and three queues as Markov
decision processes (tests/golden/theory: formulas.c for two queues, mdp3.c for three). One set of
parameters, guard off, rates learned. Its mean wait may exceed the optimum by the share below, and
what three standard errors leave open.
"""
import json
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["SHUNT_SOURCE"])
SHUNT = pathlib.Path(os.environ["SHUNT_BUILD"]) / "bin" / "shunt"
OPTIMUM_S = {"M1": 2.25467, "M2": 4.20000, "M3": 35.70549, "M4": 23.01593,
             "N3-light": 14.09, "N3-middle": 38.43, "N3-heavy": 77.24}
EXCESS = {"M3": 0.015, "N3-light": 0.03, "N3-middle": 0.03, "N3-heavy": 0.03}

files = [str(SOURCE / "tests" / "golden" / "theory" / f"theory-{name}.yaml") for name in OPTIMUM_S]
run = subprocess.run([str(SHUNT), "sim", *files, "--policy", "horizon", "--json"],
                     capture_output=True, text=True, check=False)
if run.returncode != 0:
    sys.exit(f"shunt sim failed: {run.stderr}")
failed = False
for result in json.loads(run.stdout)["results"]:
    name = result["scenario"].removeprefix("theory-")
    wait, optimum = result["wait_s"], OPTIMUM_S[name]
    limit = optimum * (1 + EXCESS.get(name, 0.01)) + 3 * wait["se"]
    print(f"{name:10} optimum {optimum:8.3f} s, horizon {wait['mean']:8.3f} +- {wait['se']:.3f} s, "
          f"{100 * (wait['mean'] / optimum - 1):+.2f} %")
    # Nobody is better than the optimum: that would be an error of the simulator.
    if not optimum - 4 * wait["se"] <= wait["mean"] <= limit:
        print(f"{name}: outside of [{optimum - 4 * wait['se']:.3f}, {limit:.3f}]")
        failed = True
sys.exit(failed)
