"""Runs of the simulator for the pages that compare policies: which policies there are, and results
kept under build/ so that only what changed is simulated again.

A result is kept under everything that it depends on: the simulator, the policy's file, its
parameters, the scenario, the traces, part, seeds, slices.
"""
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import zlib

from lib import SOURCE, shunt

POLICY_DIR = shunt.BUILD / "lib" / "shunt" / "policies"
WORK = shunt.BUILD / "scoreboard"
TUNED = SOURCE / "bench" / "tuned"
SUITE = SOURCE / "examples" / "suite"
LOADS = ("0.30", "0.60", "0.85")
NAMED = ("fifo", "amortized", "costaware", "adaptive_stale", "horizon")
PEERS = ("llmux_cost_aware", "llmux_time_slice", "llama_swap")


def digest(data):
    return hashlib.sha256(data).hexdigest()


@dataclasses.dataclass(frozen=True)
class Entry:
    """A policy as it takes part: what it is called here, and its reference for the simulator."""
    name: str
    reference: str
    kind: str   # named, classical, peer
    row: str    # default, tuned, variant


@dataclasses.dataclass(frozen=True)
class Parameter:
    name: str
    type: str
    default: str
    low: float | None
    high: float | None
    tuned: bool


def plugin_names():
    names = sorted(path.parent.name for path in (SOURCE / "plugins").glob("*/CMakeLists.txt"))
    absent = [name for name in names if not (POLICY_DIR / f"{name}.so").exists()]
    if absent:
        sys.exit(f"{sys.argv[0]}: not built: {', '.join(absent)}; run cmake --build {shunt.BUILD}")
    return names


def kind_of(name):
    return "named" if name in NAMED else "peer" if name in PEERS else "classical"


def entries():
    """Every policy in plugins/: with its defaults, and with bench/tuned/NAME.yaml where that is."""
    found = []
    for name in sorted(plugin_names(), key=lambda name: (NAMED.index(name) if name in NAMED else
                                                         8 + (name in PEERS), name)):
        found.append(Entry(name, name, kind_of(name), "default"))
        values = TUNED / f"{name}.yaml"
        if values.exists():
            found.append(Entry(f"{name}, tuned", f"{name}@{values}", kind_of(name), "tuned"))
    return found


def parameters(name):
    """The declared parameters of a policy, from the file beside it."""
    text = (POLICY_DIR / f"{name}.yaml").read_text()
    pattern = r"^  (\w+):\s*\{type: (\w+),([^}]*)"
    found = []
    for key, kind, rest in re.findall(pattern, text, re.MULTILINE):
        default = re.search(r"default: ([^,\s}]+)", rest)
        limits = re.search(r"range: \[([^,]+), ([^\]]+)\]", rest)
        found.append(Parameter(key, kind, default.group(1) if default else "",
                               float(limits.group(1)) if limits else None,
                               float(limits.group(2)) if limits else None,
                               "tune: true" in rest and "per: model" not in rest))
    return found


def suite_files(names=None):
    return [path for path in sorted(SUITE.glob("*.yaml")) if names is None or path.stem in names]


class Runs:
    """Simulates what is not known yet."""

    def __init__(self, fresh=False):
        WORK.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(WORK / "results.sqlite")
        self.db.execute("CREATE TABLE IF NOT EXISTS result (key TEXT PRIMARY KEY, value BLOB)")
        if fresh:
            self.db.execute("DELETE FROM result")
        self.simulator = digest(pathlib.Path(shunt.SHUNT).read_bytes())
        self.traces = self.traces_digest()
        self.simulated = self.kept = 0

    @staticmethod
    def traces_digest():
        folder = os.environ.get("SHUNT_TRACES")
        files = sorted(pathlib.Path(folder).iterdir()) if folder else []
        return digest(repr([(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]).encode())

    @staticmethod
    def policy_digest(reference):
        name, _, values = reference.partition("@")
        name = name.partition(":")[0]
        parts = [(POLICY_DIR / f"{name}.so").read_bytes(), reference.encode()]
        if values:
            parts.append(pathlib.Path(values.partition(":")[0]).read_bytes())
        return digest(b"\0".join(parts))

    def remember(self, key, value):
        self.db.execute("INSERT OR REPLACE INTO result VALUES (?, ?)",
                        (key, zlib.compress(json.dumps(value).encode(), 1)))

    def recall(self, key):
        row = self.db.execute("SELECT value FROM result WHERE key = ?", (key,)).fetchone()
        return json.loads(zlib.decompress(row[0])) if row else None

    def simulate(self, files, references, seeds, part, blocks, seed):
        """The results of one call of the simulator, or the line that it failed with."""
        command = [shunt.SHUNT, "sim", *map(str, files), "--policy", ",".join(references), "--policy-dir",
                   str(POLICY_DIR), "--seed", str(seed), "--seeds", str(seeds), "--part", part, "--json"]
        command += ["--blocks", str(blocks)] if blocks else []
        with tempfile.TemporaryFile() as out:
            run = subprocess.run(command, cwd=SOURCE, stdout=out, stderr=subprocess.PIPE, text=True)
            if run.returncode:
                return run.stderr.strip()
            out.seek(0)
            results = json.load(out)
        return results["results"] if "results" in results else [results]

    def take(self, group, keys, files, references, results, seeds):
        for index, result in enumerate(results):
            pair, turn = divmod(index, seeds)
            file, reference = files[pair // len(references)], references[pair % len(references)]
            result.pop("command")
            group.setdefault((file, reference), []).append(result)
            if turn == seeds - 1:
                self.remember(keys[file, reference], group[file, reference])

    def get(self, files, references, seeds=1, part="score", blocks=0, seed=1):
        """{(file, reference): [result of each seed]}. A policy that fails has [] and is told on stderr."""
        files, references = list(files), list(dict.fromkeys(references))
        policy = {reference: self.policy_digest(reference) for reference in references}
        text = {file: digest(file.read_bytes()) for file in files}
        group, keys, absent = {}, {}, {}
        for file in files:
            lacking = []
            for reference in references:
                key = digest(repr((self.simulator, self.traces, text[file], policy[reference], seeds, part,
                                   blocks, seed)).encode())
                keys[file, reference] = key
                known = self.recall(key)
                if known is None:
                    lacking.append(reference)
                else:
                    group[file, reference] = known
                    self.kept += len(known)
            if lacking:
                absent.setdefault(tuple(lacking), []).append(file)
        for lacking, places in absent.items():
            for start in range(0, len(places), 200):
                self.fill(group, keys, places[start:start + 200], list(lacking), seeds, part, blocks, seed)
        self.db.commit()
        return group

    def fill(self, group, keys, files, references, seeds, part, blocks, seed):
        results = self.simulate(files, references, seeds, part, blocks, seed)
        if isinstance(results, list):
            self.simulated += len(results)
            self.take(group, keys, files, references, results, seeds)
        elif len(references) > 1:
            for reference in references:
                self.fill(group, keys, files, [reference], seeds, part, blocks, seed)
        elif len(files) > 1:
            for file in files:
                self.fill(group, keys, [file], references, seeds, part, blocks, seed)
        else:
            print(f"{references[0]} on {files[0].name}: {results}", file=sys.stderr)
            group[files[0], references[0]] = []


def write_scenario(name, text):
    """A scenario made here, in a file of its own that is touched only if it changes."""
    path = WORK / "scenarios" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path
