#!/usr/bin/env python3
"""`shunt sim` as a user meets it: results and their schema, the same bytes again whatever runs
beside, and what is said of wrong input and of policies that misbehave."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ["SHUNT_BUILD"])
SHUNT = str(BUILD / "bin" / "shunt")
HOSTILE = BUILD / "tests" / "policies"
# A sanitizer catches a policy's crash itself, and says so in more than one line.
SANITIZED = "SHUNT_SANITIZE:STRING=\n" not in (BUILD / "CMakeCache.txt").read_text()

SCENARIO = """\
scenario: two
devices: [{name: gpu0, memory_gib: 80}]
models:
  - {name: a, memory_gib: 60, max_concurrency: 1, service: {kind: serial}}
  - {name: b, memory_gib: 60, max_concurrency: 1, service: {kind: serial}}
switch: {matrix_s: [[0, 2], [2, 0]]}
arrivals:
  - {kind: poisson, model: a, rate_per_s: 0.125, service_s: {dist: exponential, mean: 1}}
  - {kind: poisson, model: b, rate_per_s: 0.125, service_s: {dist: exponential, mean: 1}}
initial: {gpu0: a}
requests: 3000
"""

MEMBERS = """schema scenario label command shunt_version sha256 policy seed guarded guard requests load
cost_profile stretch time switches wait_s wait_to_switch_start_s ttft_s response_s wait_cap_s
wait_quarter_s models classes bounds work_at_nonserving_s jain overloaded all events
events_per_s""".split()


def expect(condition, *shown):
    if not condition:
        print("failed:", *shown, file=sys.stderr)
        sys.exit(1)


def sim(*args):
    done = subprocess.run([SHUNT, "sim", *map(str, args)], capture_output=True, text=True,
                          timeout=300)
    return done.returncode, done.stdout, done.stderr


def results(*args):
    code, out, err = sim(*args, "--json")
    expect(code == 0 and err == "", args, code, err)
    parsed = json.loads(out)
    return parsed["results"] if "results" in parsed else [parsed]


def timeless(list_of_results):
    """Without what depends on the machine or the command line."""
    for result in list_of_results:
        expect(result.pop("events_per_s") > 0, "no events per second")
        result.pop("command")
    return json.dumps(list_of_results)


def refused(status, *words, args):
    code, out, err = sim(*args)
    expect(code == status, args, "exit", code, err)
    expect(out == "", args, "printed", out)
    expect(err.count("\n") == 1 and err.startswith("shunt sim: "), args, "not one line:", err)
    for word in words:
        expect(word in err, args, f"does not say {word}:", err)


def check_schema(path):
    (result,) = results(path, "--policy", "fifo", "--seed", "5")
    expect(list(result) == MEMBERS, "members", list(result))
    expect(result["seed"] == 5 and result["policy"]["name"] == "fifo", result["policy"])
    expect(len(result["sha256"]["policy"]) == 64, result["sha256"])
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    expect(result["sha256"]["scenario"] == digest.split()[0], result["sha256"], digest)
    expect(result["requests"]["offered"] == 3000 == result["requests"]["completed"],
           result["requests"])
    expect(result["all"]["exact"]["holds"] is True, result["all"])
    expect(result["all"]["exact"]["wait_sum_ns"] == result["all"]["exact"]["queue_integral_ns"],
           result["all"])
    states = result["all"]["exact"]["state_ns"]
    expect(sum(states.values()) == result["all"]["exact"]["elapsed_ns"], states)
    shares = [v for k, v in result["time"].items() if k.endswith("_frac")]
    expect(len(shares) == 5 and abs(sum(shares) - 1) < 1e-9, shares)
    expect([m["name"] for m in result["models"]] == ["a", "b"], result["models"])
    bounds = result["bounds"]
    for name, value in bounds.items():
        expect(name == "reasons" or (value is None) == (name in bounds["reasons"]), name, bounds)
    expect(bounds["lb_lagrange_wait_s"] < result["wait_s"]["mean"], bounds, result["wait_s"])
    # Little's law, in the measured window up to its edges.
    for model in result["models"]:
        rate = model["completed"] / result["time"]["span_s"]
        expect(abs(model["queue_mean"] / (rate * model["wait_s"]["mean"]) - 1) < 0.02, model)


def check_documented(path):
    """Every member of the object, however deep, stands in docs/SIM.md."""
    text = (pathlib.Path(os.environ["SHUNT_SOURCE"]) / "docs" / "SIM.md").read_text()
    free = {"idle", "serving", "draining", "switching", "lingering"}  # states: in state_ns

    def walk(value, where):
        for item in value if isinstance(value, list) else []:
            walk(item, where)
        for name, inner in value.items() if isinstance(value, dict) else []:
            known = any(word in text for word in (f"`{name}`", f"`{name}.", f".{name}`",
                                                  f"{name},", f"{name}}}"))
            expect(known or name in free, "docs/SIM.md does not say", where + name)
            if where + name not in ("policy.params", "bounds.reasons"):
                walk(inner, where + name + ".")

    walk(results(path, "--policy", "fifo")[0], "")


def check_same_bytes(path):
    args = (path, "--policy", "fifo,amortized:overhead_target=0.2", "--seeds", "3")
    first = results(*args, "--jobs", "1")
    expect([(r["policy"]["name"], r["seed"]) for r in first] ==
           [(p, s) for p in ("fifo", "amortized") for s in (1, 2, 3)], "order")
    expect(first[3]["policy"]["params"]["overhead_target"] == 0.2, first[3]["policy"])
    # One seed, one set of arrivals, whatever the policy.
    for fifo, other in zip(first[:3], first[3:]):
        expect(fifo["load"] == other["load"], "random numbers are not shared")
    expect(first[0]["load"] != first[1]["load"], "seeds do not matter")
    once = timeless(first)
    for jobs in ("1", "2", "7"):
        expect(once == timeless(results(*args, "--jobs", jobs)), "other bytes with jobs", jobs)
    alone = results(path, "--policy", "amortized:overhead_target=0.2", "--seed", "2", "--check")
    timeless(alone)
    expect(alone[0] == json.loads(once)[4], "alone it is another run")


def check_table(path, other):
    code, out, err = sim(path, other, "--policy", "fifo,amortized", "--seeds", "2")
    expect(code == 0 and err == "", code, err)
    for word in ("two  synthetic", "load 0.2", "guard on", "seeds 1 to 2", "fifo", "amortized", "±",
                 "unguarded", "guard OFF"):
        expect(word in out, "no", word, "in", out)
    expect("\x1b" not in out and "nan" not in out, out)


def check_wrong_input(folder, path):
    for right, wrong, word in (("requests: 3000", "requests: 3000\nrekwests: 1", "rekwests"),
                               ("{gpu0: a}", "{gpu0: nix}", "nix")):
        bad = folder / "bad.yaml"
        bad.write_text(SCENARIO.replace(right, wrong))
        refused(2, "bad.yaml:", word, args=(bad, "--policy", "fifo"))
    refused(2, "nowhere.yaml", args=(folder / "nowhere.yaml", "--policy", "fifo"))
    refused(2, "nix.so", args=(path, "--policy", "fifo,nix"))
    refused(2, "overhead", args=(path, "--policy", "amortized:overhead=1"))
    refused(2, "no_decide", args=(path, "--policy", HOSTILE / "no_decide.so"))
    refused(2, "--policy", args=(path,))
    refused(2, "scenario", args=("--policy", "fifo"))
    refused(2, "--seeds", args=(path, "--policy", "fifo", "--seeds", "0"))
    refused(2, "--what", args=(path, "--policy", "fifo", "--what", "1"))


def check_misbehaviour(path):
    free = path.with_name("free.yaml")
    free.write_text(SCENARIO.replace("[[0, 2], [2, 0]]", "[[0, 0], [0, 0]]"))
    refused(1, "roving_exhaustive", "64 times",
            args=(free, "--policy", f"{HOSTILE}/roving_exhaustive.so"))
    if not SANITIZED:
        refused(1, "crashes.so", "SIGSEGV", "seed 1",
                args=(path, "--policy", f"fifo,{HOSTILE}/crashes.so", "--seeds", "3"))
        # What fails is the first in order, however long the others take.
        refused(1, "crashes.so",
                args=(path, "--policy", f"{HOSTILE}/crashes.so,{HOSTILE}/stalls.so", "--jobs", "2",
                      "--timeout-s", "60"))
    refused(1, "create_fails", args=(path, "--policy", f"{HOSTILE}/create_fails.so"))
    refused(1, "stalls.so", "1 s",
            args=(path, "--policy", f"{HOSTILE}/stalls.so", "--timeout-s", "1"))


def check_report(folder, path):
    page = folder / "report.html"
    drawn = results(path, "--policy", "fifo,amortized", "--report", page)
    expect(timeless(drawn) == timeless(results(path, "--policy", "fifo,amortized")),
           "watching a run changes it")
    html = page.read_text()
    expect(html.startswith("<!") and html.rstrip().endswith("</html>"), html[:80])
    expect("amortized" in html, "no policy in the report")
    code, out, err = sim(path, "--policy", f"{HOSTILE}/crashes.so", "--report", folder / "no.html")
    expect(code == 1 and list(folder.glob("no.html*")) == [], "a report of nothing")
    refused(2, "--report", args=(path, "--policy", "fifo", "--report", folder / "nix" / "r.html"))


def check_from_config(folder):
    """A host's file as a scenario: its policy, its parameters, its models."""
    config, arrivals = folder / "shunt.cfg", folder / "arrivals.yaml"
    config.write_text("""\
listen = "127.0.0.1:8080";
devices = ( { name = "gpu0"; memory_gib = 24.0; } );
policy = { use = "amortized"; params = { overhead_target = 0.3; }; };
models = (
  { name = "small"; engine = "emulated"; memory_gib = { resident = 14.0; asleep = 1.0; }; },
  { name = "large"; engine = "emulated"; memory_gib = { resident = 20.0; asleep = 1.0; }; } );
""")
    arrivals.write_text("""\
scenario: mine
arrivals:
  - {kind: poisson, model: small, rate_per_s: 0.1, input_tokens: 500, output_tokens: 200}
  - {kind: poisson, model: large, rate_per_s: 0.05, input_tokens: 500, output_tokens: 200}
requests: 500
""")
    given = ("--from-config", config, "--arrivals", arrivals)
    (own,) = results(*given)
    expect(own["scenario"] == "mine" and [m["name"] for m in own["models"]] == ["small", "large"],
           own["scenario"], own["models"])
    expect(own["policy"]["name"] == "amortized" and
           own["policy"]["params"]["overhead_target"] == 0.3, own["policy"])
    expect(own["ttft_s"]["count"] > 0 and own["time"]["tokens_per_s"] > 0, own["ttft_s"])
    named, other, again = results(*given, "--policy", "amortized,fifo,amortized:overhead_target=0.2")
    expect(timeless([named]) == timeless([own]), "the policy by its name is another")
    expect("overhead_target" not in other["policy"]["params"], other["policy"])
    expect(again["policy"]["params"]["overhead_target"] == 0.2, again["policy"])
    refused(2, "--arrivals", args=("--from-config", config))
    refused(2, "one of them", args=(*given, arrivals))


def check_blocks(folder, path):
    """Slices are the same for every policy, and together they are the measured window."""
    one, other = results(path, "--policy", "fifo,amortized", "--blocks", "7")
    expect(list(one) == [*MEMBERS, "blocks"] and len(one["blocks"]) == 7, list(one))
    for result in (one, other):
        blocks = result["blocks"]
        measured = sum(block["measured"] for block in blocks)
        expect(sum(block["arrivals"] for block in blocks) == 3000, blocks)
        expect(measured == result["wait_s"]["count"], measured, result["wait_s"])
        total = sum(block["measured"] * (block["wait_s"] or 0) for block in blocks)
        expect(abs(total / measured - result["wait_s"]["mean"]) < 1e-9, total, result["wait_s"])
    expect([b["from_s"] for b in one["blocks"]] == [b["from_s"] for b in other["blocks"]], "slices")
    refused(2, "--json", args=(path, "--policy", "fifo", "--blocks", "7"))
    few = folder / "few.yaml"
    few.write_text(SCENARIO.replace("requests: 3000", "requests: 100"))
    refused(2, "too few requests", args=(few, "--policy", "fifo", "--blocks", "200", "--json"))
    closed = folder / "closed.yaml"
    closed.write_text(SCENARIO[:SCENARIO.index("arrivals:")] + """\
arrivals: [{kind: sessions, model: a, population: 3, think_s: 5, service_s: 1}]
requests: 500
""")
    refused(2, "depends on the run", args=(closed, "--policy", "fifo", "--blocks", "7", "--json"))


def check_broken_trace(folder):
    rows = "".join(f"{i},a,1\n" for i in range(500))
    (folder / "rows.csv").write_text("t,m,s\n" + rows + "oops,a,1\n")
    scenario = SCENARIO[:SCENARIO.index("arrivals:")] + """\
arrivals:
  - {kind: trace, file: rows.csv, format: {time_s: t, model: m, service_s: s}, map: {a: a}}
"""
    (folder / "trace.yaml").write_text(scenario)
    refused(2, "rows.csv:502", args=(folder / "trace.yaml", "--policy", "fifo"))
    (folder / "rows.csv").write_text("t,m,s\n" + rows)
    (result,) = results(folder / "trace.yaml", "--policy", "fifo")
    (trace,) = result["sha256"]["traces"]
    expect(trace["file"].endswith("rows.csv") and len(trace["sha256"]) == 64, trace)
    expect(result["stretch"] == 1 and result["requests"]["offered"] == 500, result["requests"])


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    path = folder / "two.yaml"
    path.write_text(SCENARIO)
    other = folder / "other.yaml"
    other.write_text(SCENARIO.replace("scenario: two", "scenario: unguarded") + "guard: off\n")
    check_schema(path)
    check_documented(path)
    check_same_bytes(path)
    check_table(path, other)
    check_wrong_input(folder, path)
    check_misbehaviour(path)
    check_report(folder, path)
    check_from_config(folder)
    check_blocks(folder, path)
    check_broken_trace(folder)
