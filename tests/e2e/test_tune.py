#!/usr/bin/env python3
"""`shunt tune` on a small scenario: it finds what is clearly better, keeps to its budget, gives the
same bytes however many processes there are and however often it is stopped, and never touches the
part of a trace that policies are scored on."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest
import xml.dom.minidom

BUILD = pathlib.Path(os.environ["SHUNT_BUILD"])
SOURCE = pathlib.Path(os.environ["SHUNT_SOURCE"])
SHUNT = BUILD / "bin" / "shunt"

# Switches are dear and the load is 0.6: turns of a second never get anywhere.
TWO = (SOURCE / "examples" / "sim" / "two.yaml").read_text().replace("requests: 20000",
                                                                     "requests: 3000")
TRACE = """scenario: cut
devices: [{name: gpu0, memory_gib: 24}]
models:
  - {name: chat,  memory_gib: 16, max_concurrency: 1, service: {kind: serial}}
  - {name: coder, memory_gib: 20, max_concurrency: 1, service: {kind: serial}}
switch: {matrix_s: [[0, 8], [5, 0]]}
arrivals:
  - {kind: trace, file: rows.csv, format: {time_s: at, model: model, service_s: work}%s}
limits: {queue_per_model: 10000, max_wait_s: none}
"""
BUDGET = ["--budget", "20", "--date", "2026-01-31"]


def trace_rows(score_service):
    """600 rows a part; those of the part score take SCORE_SERVICE seconds each."""
    rows = ["at,model,work"]
    for i in range(1200):
        service = 2 if i < 600 else score_service
        rows.append(f"{5 * i},{'coder' if i % 5 == 0 else 'chat'},{service}")
    return "\n".join(rows) + "\n"


class Tune(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.two = self.write("two.yaml", TWO)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def start(self, *words):
        return subprocess.Popen([SHUNT, "tune", *map(str, words)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, cwd=self.folder)

    def tune(self, *words, status=0):
        process = self.start(*words)
        out, err = process.communicate()
        self.assertEqual(process.returncode, status, err)
        return out if status == 0 else err

    def study(self, *words):
        return json.loads(self.tune(*words, "--json"))

    def test_finds_what_is_better(self):
        values = self.folder / "found.yaml"
        study = self.study("round_robin", self.two, *BUDGET, "--out", values)
        self.assertLessEqual(study["spent"], 20)
        chosen = study["chosen"]
        # Quanta below a few switches are unstable; a visit that ends with its queue is not.
        self.assertGreater(float(chosen["values"]["quantum"]), 60)
        self.assertLessEqual(chosen["ratio"]["mean"], 1)
        parameter = study["parameters"][0]
        self.assertTrue(parameter["matters"] and parameter["mu_star"] > 0.5, parameter)
        self.assertGreater(float(parameter["good_min"]), 10)
        # A simulation of its own, with other seeds, agrees; the file is a policy reference.
        done = subprocess.run([SHUNT, "sim", self.two, "--policy",
                               f"round_robin:quantum=12,round_robin@{values}", "--json", "--seeds",
                               "4"], capture_output=True, text=True, check=True)
        results = json.loads(done.stdout)["results"]
        self.assertEqual(results[4]["policy"]["params"]["quantum"],
                         float(chosen["values"]["quantum"]))
        short, tuned = (sum(r["wait_s"]["mean"] for r in results[i:i + 4]) for i in (0, 4))
        self.assertLess(tuned, short)
        text = values.read_text()
        self.assertIn("policy: round_robin", text)
        for word in ("2026-01-31", "objective", "1000002000", study["policy"]["hash"],
                     study["scenarios"][0]["sha256"][:16], "20 full runs"):
            self.assertIn(word, text)

    def test_worse_start_is_left(self):
        values = self.write("poor.yaml", "policy: k_limited\nvalues: {k: 2}\n")
        study = self.study(f"k_limited@{values}", self.two, *BUDGET)
        self.assertEqual(study["parameters"][0]["start"], "2")
        self.assertLess(study["chosen"]["ratio"]["mean"], 0.5)
        self.assertLess(study["chosen"]["paired"]["p"], 0.1)
        self.assertGreater(study["front"]["hypervolume"], study["front"]["hypervolume_start"])

    def test_same_bytes(self):
        """Whatever the number of processes, and whether it was stopped in between."""
        whole = {}
        for jobs in ("1", "3"):
            values, page = self.folder / f"v{jobs}.yaml", self.folder / f"p{jobs}.html"
            whole[jobs] = (self.tune("costaware", self.two, *BUDGET, "--jobs", jobs, "--json",
                                     "--out", values, "--report", page),
                           values.read_text(), page.read_text())
        self.assertEqual(whole["1"], whole["3"])
        state, count = self.folder / "state", 0
        for _ in range(3):  # stopped once so many more evaluations are known
            process = self.start("costaware", self.two, *BUDGET, "--resume", state, "--json",
                                 "--out", "stopped.yaml", "--report", "stopped.html")
            while process.poll() is None:
                lines = state.read_bytes().count(b"\n") if state.exists() else 0
                if lines > max(count, 1):
                    process.send_signal(signal.SIGINT)
                    break
            out, err = process.communicate()
            self.assertEqual(process.returncode, 130, err)
            self.assertIn(str(state.name), err)
            self.assertEqual(list(self.folder.glob("stopped*")), [])
            count = state.read_bytes().count(b"\n")
        with open(state, "ab") as file:  # the end of a process that was killed in a write
            file.write(b'{"key":"0.0625 :hyst')
        self.assertEqual(self.tune("costaware", self.two, *BUDGET, "--resume", state, "--json"),
                         whole["1"][0])
        keys = [json.loads(line)["key"] for line in state.read_text().splitlines()[1:]]
        self.assertEqual(len(keys), len(set(keys)), "something was run twice")
        self.assertEqual(len(keys), len(json.loads(whole["1"][0])["tried"]))
        # Nothing is left to run: the same again, from the file alone, which stays as it is.
        before = state.read_bytes()
        self.assertEqual(self.tune("costaware", self.two, *BUDGET, "--resume", state, "--json"),
                         whole["1"][0])
        self.assertEqual(state.read_bytes(), before)

    def test_state_of_something_else(self):
        state = self.folder / "state"
        self.tune("k_limited", self.two, *BUDGET, "--resume", state)
        before = state.read_bytes()
        err = self.tune("round_robin", self.two, *BUDGET, "--resume", state, status=2)
        self.assertIn("another", err)
        err = self.tune("k_limited", self.two, *BUDGET, "--resume", state, "--seed", "2", status=2)
        self.assertIn("another", err)
        self.assertEqual(state.read_bytes(), before)
        mine = self.write("mine.txt", "notes without a newline")
        self.tune("k_limited", self.two, *BUDGET, "--resume", mine, status=2)
        self.assertEqual(mine.read_text(), "notes without a newline")

    def test_part_tune_only(self):
        """What the part score says changes nothing; without parts there is no tuning."""
        found = []
        for score_service in (2, 40):
            self.write("rows.csv", trace_rows(score_service))
            scenario = self.write("cut.yaml", TRACE % ", tune_until: 3000")
            study = self.study("k_limited", scenario, *BUDGET)
            self.assertIn("its part tune", study["scenarios"][0]["tuned_on"][0])
            self.assertEqual(study["chosen"]["judged_on"], "the same arrivals")
            del study["scenarios"]
            found.append(study)
        self.assertEqual(found[0], found[1])
        scenario = self.write("forced.yaml", TRACE % ", tune_until: 3000, part: score")
        study = self.study("k_limited", scenario, *BUDGET)
        del study["scenarios"]
        self.assertEqual(study, found[0])
        scenario = self.write("whole.yaml", TRACE % "")
        self.assertIn("tune_until", self.tune("k_limited", scenario, *BUDGET, status=2))
        self.assertIn("tune", self.tune("k_limited", scenario, "--part", "score", status=2))

    def test_conditions_and_scenarios(self):
        scaled = self.write("slow.yaml", TWO.replace("scenario: two", "scenario: slow")
                            .replace("[[0, 8], [5, 0]]", "[[0, 40], [25, 0]]"))
        study = self.study("k_limited", self.two, scaled, *BUDGET, "--objective", "mean,jain",
                           "--subject", "p99<=1.05x")
        self.assertEqual(study["front"]["objectives"], ["mean", "jain"])
        chosen = study["chosen"]
        self.assertEqual([one["scenario"] for one in chosen["by_scenario"]], ["two", "slow"])
        product = 1
        for one in chosen["by_scenario"]:
            self.assertLessEqual(one["chosen"]["p99"], 1.05 * one["start"]["p99"] * (1 + 1e-9))
            product *= one["chosen"]["mean"] / one["start"]["mean"]
        self.assertAlmostEqual(chosen["ratio"]["mean"], product ** 0.5, places=6)
        values = self.folder / "none.yaml"
        process = self.start("k_limited", self.two, *BUDGET, "--subject", "p99<=0.5", "--out",
                             values)
        out, err = process.communicate()
        self.assertEqual(process.returncode, 1, err)
        self.assertIn("No candidate meets", out)
        self.assertFalse(values.exists())

    def test_reference_values_stay(self):
        values = self.folder / "found.yaml"
        study = self.study("costaware:patience=300:weight[coder]=2", self.two, *BUDGET, "--out",
                           values)
        self.assertEqual([p["name"] for p in study["parameters"]], ["hysteresis", "return_cost"])
        text = values.read_text()
        self.assertRegex(text, r"patience: 300")
        self.assertRegex(text, r'"coder":\n    weight: 2')
        subprocess.run([SHUNT, "sim", self.two, "--policy", f"costaware@{values}"],
                       capture_output=True, check=True)
        err = self.tune("fifo:tier=asleep", self.two, "--policy-dir", self.folder, status=2)
        self.assertIn("fifo", err)

    def test_report(self):
        page = self.folder / "page.html"
        self.tune("adaptive_stale", self.write("<b>.yaml", TWO.replace("scenario: two",
                                                                       'scenario: "<b>&x"')),
                  *BUDGET, "--report", page)
        text = page.read_text()
        self.assertNotIn("<script", text)
        self.assertNotIn("<b>&x", text)
        self.assertIn("&lt;b&gt;&amp;x", text)
        self.assertNotRegex(text, r"(src|href)=\"(?!#)")
        self.assertNotRegex(text, r"[=\" ]-?(nan|inf)\b")
        drawings = re.findall(r"<svg.*?</svg>", text, re.S)
        self.assertGreaterEqual(len(drawings), 10)
        for drawing in drawings:
            drawing = re.sub("&(uarr|hellip|ndash|middot);", "-", drawing)
            xml.dom.minidom.parseString(drawing)
        for section in ("choice", "parameters", "screening", "values", "front", "course", "tried",
                        "source"):
            self.assertIn(f'id="{section}"', text)

    def test_usage(self):
        for words, said in ((["k_limited"], "which scenarios"), ([], "which policy"),
                            (["k_limited", self.two, "--budget", "3"], "--budget"),
                            (["k_limited", self.two, "--objective", "speed"], "--objective"),
                            (["k_limited", self.two, "--objective", "mean,mean"], "once"),
                            (["k_limited", self.two, "--subject", "p99>=3"], "--subject"),
                            (["k_limited", self.two, "--subject", "p99<=fast"], "--subject"),
                            (["k_limited", self.two, "--out", "no/where.yaml"], "--out"),
                            (["k_limited:k=3", self.two], "no parameter to tune"),
                            (["nosuch", self.two], "nosuch"),
                            (["k_limited", "nosuch.yaml"], "nosuch.yaml")):
            err = self.tune(*words, status=2)
            self.assertIn(said, err)
            self.assertEqual(err.count("\n"), 1, err)


if __name__ == "__main__":
    unittest.main(verbosity=1)
