#!/usr/bin/env python3
"""shunt sim on traces: whatever is wrong with a file is one line with its place, exit 2, and no
figures; the parts of a trace are what the command line asks for."""
import gzip
import json
import pathlib
import subprocess
import tempfile

from shunt import SHUNT

SCENARIO = """scenario: trace
label: synthetic
devices: [{name: gpu0, memory_gib: 80}]
models:
  - {name: a, memory_gib: 40, max_concurrency: 1, service: {kind: serial}}
arrivals:
  - {kind: trace, file: %s, format: {time_s: t, service_s: s, input_tokens: %s}, model: a,
     tune_until: 40}
limits: {queue_per_model: 10000, max_wait_s: none}
"""
ROWS = "t,s,i\n" + "".join(f"{k},0.25,1\n" for k in range(100))


def simulate(folder, text, *arguments, name="t.csv", column="i"):
    """Runs the scenario over a trace of these bytes (None: no file)."""
    if text is not None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "s.yaml").write_text(SCENARIO % (name, column))
    return subprocess.run([SHUNT, "sim", "s.yaml", "--policy", "fifo", "--json", *arguments],
                          cwd=folder, capture_output=True, text=True, check=False)


def test_bad_traces(folder):
    packed = gzip.compress(("t,s,i\n" + "".join(f"{k},{k * k % 97},1\n" for k in range(5000)))
                           .encode())
    for text, options, words in (
            ("t,s,i\n1,1,1\n2,x,1\n", {}, "t.csv:3:3: s is not a number: \"x\""),
            ("t,s,i\n1,1,1\n2,1\n", {}, "t.csv:3:4: 2 cells, but the first line names 3"),
            ("t,s,i\n1,1,1\n2,1,1,1\n", {}, "t.csv:3:7: 4 cells, but the first line names 3"),
            ("t,s,i\n5,1,1\n2,1,1\n", {}, "t.csv:3:1: the time runs backwards"),
            ("t,s,i\n5,1,1\n", {"column": "nope"}, "t.csv:1:1: no column \"nope\""),
            (None, {"name": "gone.csv"}, "s.yaml:7:25: the trace \"gone.csv\" is neither"),
            (packed[:len(packed) // 2], {"name": "t.csv.gz"}, "broken or cut off here"),
            ("", {}, "t.csv: the file is empty"),
            ("t,s,i\n", {}, "t.csv: no rows")):
        done = simulate(folder, text, **options)
        assert done.returncode == 2, (words, done)
        assert words in done.stderr and len(done.stderr.splitlines()) == 1, (words, done.stderr)
        assert done.stdout == "", (words, done.stdout)


def test_parts(folder):
    offered = {}
    for part in ("all", "tune", "score"):
        done = simulate(folder, ROWS, "--part", part)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        offered[part] = find(result, "offered")
    assert offered == {"all": 100, "tune": 40, "score": 60}, offered


def find(value, key):
    """The first member of that name, however deep."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        found = find(item, key)
        if found is not None:
            return found
    return None


def main():
    for test in (test_bad_traces, test_parts):
        with tempfile.TemporaryDirectory() as folder:
            test(pathlib.Path(folder))
        print(f"ok      {test.__name__}")


if __name__ == "__main__":
    main()
