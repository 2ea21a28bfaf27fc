#!/usr/bin/env python3
"""Writes the scenario files of the suite into this folder: eight traces at three loads.

What it writes is what counts: scenarios are read, changed and cited as they stand. This script only
keeps the three loads of a scenario alike. tests/e2e/test_suite_files.py checks the files against the
traces, and that they are what this script writes.
"""
import pathlib
import sys

# Continuous batching of a 7B and a 14B model on one H800, least squares over published profiles.
BATCH = {
    "7B": "{kind: batch, p0_s: .00549, p1_s: 22.9e-6, d0_s: .00845, d1_s: 107e-6, d2_s: 44e-9}",
    "14B": "{kind: batch, p0_s: .00776, p1_s: 45.2e-6, d0_s: .01326, d1_s: 154e-6, d2_s: 145e-9}",
}
LOADS = ("0.30", "0.60", "0.85")

AZURE_CUT = "1422"
GENTD26 = ("M0002 M0001 M0004 M0010 M0003 M0026 M0000 M0016 M0011 M0006 M0014 M0027 M0015 M0012 "
           "M0005 M0025 M0019 M0007 M0054 M0034").split()
# ChatLMSYS services by their number of requests, with the size of their model.
CHATLMSYS = (("llm-4", "7b"), ("llm-1", "13b"), ("llm-3", "13b"), ("llm-11", "30b"),
             ("llm-15", "7b"), ("llm-8", "30b"), ("llm-13", "7b"), ("llm-12", "13b"),
             ("llm-6", "13b"), ("llm-16", "65b"), ("llm-2", "13b"), ("llm-5", "13b"),
             ("llm-7", "7b"), ("llm-14", "65b"), ("llm-10", "65b"), ("llm-9", "30b"))


def source(pairs):
    """One source of arrivals in YAML, a key a line."""
    lines = [f"    {key}: {value}" for key, value in pairs]
    return "  - " + lines[0].lstrip() + "\n" + "\n".join(lines[1:]) + "\n"


def azure(service, stretch, model):
    return source((("kind", "trace"), ("file", f"azure_llm_2023_{service}.csv.zst"),
                   ("format", "azure-llm-2023"), *model, ("stretch", stretch), ("t0", "shared"),
                   ("tune_until", AZURE_CUT)))


def gentd26(stretch):
    return source((("kind", "trace"), ("file", "gentd26_requests_dev.csv.zst"),
                   ("format", "gentd26"), ("where", "{predict_status: SUCCEED}"),
                   ("unmapped", "drop"), ("from", '"2024-11-19 00:00:00"'),
                   ("to", '"2024-12-02 00:00:00"'), ("tune_until", '"2024-11-25 00:00:00"'),
                   ("stretch", stretch)))


def servegen(name, classes, stretch, cut):
    names = ", ".join(f"{k}: c{k}" for k in range(classes))
    return source((("kind", "trace"), ("file", f"servegen_{name}.csv.zst"),
                   ("format", "servegen"), ("map", "{" + names + "}"), ("stretch", stretch),
                   ("tune_until", cut)))


def batch(name, size):
    return (f"  - {{name: {name}, memory_gib: 72, max_concurrency: 32, cost_class: {size},\n"
            f"     service: {BATCH[size]}}}\n")


def serial(name, cost_class):
    return (f"  - {{name: {name}, memory_gib: 72, max_concurrency: 1, cost_class: {cost_class}, "
            "service: {kind: serial}}\n")


def gen(count):
    return (f"{{file: switch_costs.csv, name: GEN, n_classes: {count}}}",
            "".join(serial(name, k) for k, name in enumerate(GENTD26[:count])))


def profile(name):
    return f"{{file: switch_costs.csv, name: {name}}}"


def scenarios():
    """name, label, stretches, service limit, what it is, profile, models, arrivals(stretch)."""
    yield ("A2", "real", ("4.402", "2.201", "1.554"), 120,
           "Azure LLM 2023, both services on one clock: conversations on a 7B, code on a 14B model.",
           profile("RAM"), batch("conv", "7B") + batch("code", "14B"),
           lambda s: azure("conv", s, (("model", "conv"),)) + azure("code", s, (("model", "code"),)))
    yield ("A16", "semi", ("4.912", "2.456", "1.734"), 120,
           "Azure LLM 2023 conversations; which of 16 models a row asks for is drawn by its number.",
           profile("RAM"),
           "".join(batch(name, "7B" if size == "7b" else "14B") for name, size in CHATLMSYS),
           lambda s: azure("conv", s, (
               ("assign", "{file: muxserve_chatlmsys_mix.csv, rule: splitmix64, class: name}"),)))
    for count, stretches in ((2, ("1.821", "0.911", "0.643")), (5, ("3.018", "1.509", "1.065")),
                             (20, ("4.024", "2.012", "1.420"))):
        costs, models = gen(count)
        yield (f"G{count}", "real", stretches, 600,
               f"GenTD26, 19 November to 1 December: image jobs for the {count} models asked for most.",
               costs, models, gentd26)
    for name, label, stretches, classes, large, cut in (
            ("V5", "semi", ("1.076", "0.538", "0.380"), 5, 3, "2784"),
            ("V20", "semi", ("5.974", "2.987", "2.108"), 20, 8, "2490")):
        yield (name, label, stretches, 600,
               f"ServeGen, two hours of {classes} clients, each taken as a model of its own.",
               profile("DISK"),
               "".join(batch(f"c{k}", "14B" if k < large else "7B") for k in range(classes)),
               lambda s, name=name, classes=classes, cut=cut: servegen(name.lower(), classes, s, cut))
    yield ("P20", "synthetic", ("1.256", "0.628", "0.443"), 120,
           "Control without structure: 200 Poisson arrivals over 20 equal 7B models; no tail claims.",
           profile("RAM"), "".join(batch(f"synth_model_{k:02}", "7B") for k in range(20)),
           lambda s: source((("kind", "trace"), ("file", "aegaeon_synth20_rate0.1.csv"),
                             ("format", "aegaeon"), ("stretch", s), ("tune_until", "48"))))


def text(name, load, label, stretch, limit, what, costs, models, arrivals):
    return (f"# {what}\n"
            f"# Load {load} without switches; README.md of this folder says how it is made.\n"
            f"scenario: {name}-{load}\n"
            f"label: {label}\n"
            "devices: [{name: gpu0, memory_gib: 80}]\n"
            f"models:\n{models}"
            "switch:\n"
            f"  profile: {costs}\n"
            f"arrivals:\n{arrivals(stretch)}"
            "limits: {queue_per_model: 100000, queued_max: 100000, max_wait_s: none, "
            f"service_limit_s: {limit}}}\n"
            "guard: default\n")


def files():
    for name, label, stretches, limit, what, costs, models, arrivals in scenarios():
        for load, stretch in zip(LOADS, stretches):
            yield (f"{name}-{load}.yaml",
                   text(name, load, label, stretch, limit, what, costs, models, arrivals))


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    for name, content in files():
        (folder / name).write_text(content)


if __name__ == "__main__":
    main()
