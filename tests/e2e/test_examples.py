#!/usr/bin/env python3
"""The configurations in examples/ are accepted as they stand, and the minimal one stays small."""
import subprocess

import shunt

EXAMPLES = sorted((shunt.SOURCE / "examples").glob("*.cfg"))


def test_every_example_is_accepted():
    assert {path.name for path in EXAMPLES} >= {"minimal.cfg", "vllm.cfg"}, EXAMPLES
    for path in EXAMPLES:
        done = subprocess.run([shunt.SHUNT, "serve", "-c", path, "--check"], capture_output=True,
                              text=True, timeout=shunt.PATIENCE_S)
        assert done.returncode == 0, f"{path.name}: {done.returncode}\n{done.stdout}{done.stderr}"


def test_a_broken_one_is_refused():
    text = (shunt.SOURCE / "examples" / "minimal.cfg").read_text()
    with shunt.tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(text.replace("resident = 14.0", "resident = 140.0"))
        file.flush()
        done = subprocess.run([shunt.SHUNT, "serve", "-c", file.name, "--check"],
                              capture_output=True, text=True, timeout=shunt.PATIENCE_S)
    assert done.returncode == 2 and "models[0].memory_gib" in done.stderr, done


def test_two_models_fit_in_fifteen_lines():
    lines = (shunt.SOURCE / "examples" / "minimal.cfg").read_text().splitlines()
    assert len(lines) <= 15, len(lines)


def test_minimal_serves():
    text = (shunt.SOURCE / "examples" / "minimal.cfg").read_text()
    port = shunt.free_port()
    with shunt.Host([], port=port, text=text.replace("8080", str(port))) as host:
        for name in ("small", "large", "small"):
            answer = host.chat(name)
            assert answer.status == 200 and answer.json["choices"], (name, answer.body)


shunt.main(test_every_example_is_accepted, test_a_broken_one_is_refused,
           test_two_models_fit_in_fifteen_lines, test_minimal_serves)
