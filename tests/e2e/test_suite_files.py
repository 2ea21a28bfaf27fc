#!/usr/bin/env python3
"""The scenario files of examples/suite are what make.py there writes (their contents against the
traces: tests/golden/traces)."""
import os
import pathlib
import subprocess
import sys
import tempfile

suite = pathlib.Path(os.environ["SHUNT_SOURCE"]) / "examples" / "suite"
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([sys.executable, suite / "make.py", folder], check=True)
    made = {path.name: path.read_text() for path in pathlib.Path(folder).iterdir()}
there = {path.name: path.read_text() for path in suite.glob("*.yaml")}
assert len(made) == 24, sorted(made)
for name in sorted(made.keys() | there.keys()):
    assert made.get(name) == there.get(name), f"{name} differs: run {suite}/make.py or undo"
