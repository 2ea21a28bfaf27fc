#!/usr/bin/env python3
"""`shunt opt`: the golden instances through a scenario file, JSON and text, and what it refuses."""
import json
import os
import subprocess
import tempfile
import unittest

SHUNT = os.path.join(os.environ["SHUNT_BUILD"], "bin", "shunt")

HEAD = """scenario: g2
devices: [{name: gpu0, memory_gib: 10}]
models:
  - {name: a, memory_gib: 8, max_concurrency: 1, service: {kind: serial}}
  - {name: b, memory_gib: 8, max_concurrency: 1, service: {kind: serial}}
  - {name: c, memory_gib: 8, max_concurrency: 1, service: {kind: serial}}
switch: {matrix_s: [[0, 6, 10], [4, 0, 10], [3, 5, 0]]}
initial: {gpu0: a}
"""
G2 = HEAD + """arrivals:
  - {kind: list, jobs: [[0, a, 1], [1, a, 1], [9, a, 1], [10, a, 1], [20, a, 1],
                        [2, b, 4], [15, b, 4], [16, b, 4], [3, c, 2], [4, c, 2], [22, c, 2]]}
"""
LONG = HEAD + """requests: 400
arrivals:
  - {kind: poisson, model: a, rate_per_s: 0.05, service_s: {dist: exponential, mean: 5}}
  - {kind: poisson, model: b, rate_per_s: 0.02, service_s: {dist: exponential, mean: 8}}
  - {kind: poisson, model: c, rate_per_s: 0.01, service_s: {dist: exponential, mean: 2}}
"""


class Opt(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def run_opt(self, text, *options):
        path = os.path.join(self.folder.name, "s.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return subprocess.run([SHUNT, "opt", path, *options], capture_output=True, text=True,
                              check=False)

    def answer(self, text, *options):
        done = self.run_opt(text, "--json", *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def check_schedule(self, answer):
        """One device, one model at a time, first come first served within a model."""
        free, resident, last = 0.0, "a", {}
        for step in answer["schedule"]:
            if step["model"] != resident:
                self.assertGreaterEqual(step["switch_start_s"], free - 1e-6)
                self.assertGreaterEqual(step["start_s"] + 1e-6,
                                        step["switch_start_s"] + step["switch_s"])
            self.assertGreaterEqual(step["start_s"] + 1e-6, max(free, step["arrival_s"]))
            self.assertGreaterEqual(step["arrival_s"], last.get(step["model"], 0))
            last[step["model"]] = step["arrival_s"]
            free, resident = step["end_s"], step["model"]
        self.assertEqual(len({s["request"] for s in answer["schedule"]}), answer["requests"])
        return sum(s["wait_s"] for s in answer["schedule"])

    def test_golden(self):
        for objective, value in (("sum", 131), ("max", 28), ("makespan", 45)):
            answer = self.answer(G2, "--objective", objective)
            self.assertEqual((answer["kind"], answer["value"]), ("optimum", value))
            self.assertEqual(answer["requests"], 11)
            waits = self.check_schedule(answer)
            if objective == "sum":
                self.assertAlmostEqual(waits, value)
        answer = self.answer(G2, "--no-anticipation")
        self.assertEqual((answer["value"], answer["compare"]),
                         (140, {"fifo": 199, "exhaustive": 159}))

    def test_too_large(self):
        """Best known and bound enclose the optimum; text says how far they are apart."""
        for objective in ("sum", "max", "makespan", "p95"):
            answer = self.answer(LONG, "--objective", objective, "--window", "20")
            self.assertEqual((answer["kind"], answer["bound"]["kind"]), ("best_known", "bound"))
            self.assertLessEqual(answer["bound"]["value"], answer["value"])
            self.assertLessEqual(answer["value"], min(answer["compare"].values()))
            self.check_schedule(answer)
        done = self.run_opt(G2, "--window", "3")
        self.assertEqual(done.returncode, 0)
        self.assertIn("x from optimal", done.stdout)

    def test_seeds(self):
        small = LONG.replace("requests: 400", "requests: 40")
        values = [self.answer(small, "--seed", str(seed))["value"] for seed in (1, 2, 1)]
        self.assertEqual(values[0], values[2])
        self.assertNotEqual(values[0], values[1])

    def test_refusals(self):
        for text, options, words in (
                (G2.replace("serial", "ps"), [], "service is not serial"),
                (G2.replace("max_concurrency: 1", "max_concurrency: 2"), [], "at a time"),
                (G2.replace("memory_gib: 10", "memory_gib: 16"), [], "fit on the device together"),
                (G2.replace("matrix_s", "distribution: exponential, matrix_s"), [], "random times"),
                (G2.replace("kind: list", "kind: lost"), [], "s.yaml:"),
                (G2, ["--objective", "mean"], "sum, max, makespan or p95"),
                (G2, ["--window", "0"], "--window wants"),
                (G2, ["--fast"], "--fast"),
        ):
            done = self.run_opt(text, *options)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
