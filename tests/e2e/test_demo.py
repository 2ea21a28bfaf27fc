#!/usr/bin/env python3
"""A very short demo: numbers that must hold whatever the machine does, and a clean end.

How much better one policy is than the other is not looked at: that is what the demo shows.
"""
import json
import os
import pathlib
import pty
import signal
import subprocess
import tempfile

import shunt

SHORT = ["--minutes", "0.15", "--time-scale", "20"]


def environment(**more):
    values = {key: value for key, value in os.environ.items() if key != "SHUNT_TRACES"}
    values.update(more)
    return values


def start(*arguments, **options):
    options.setdefault("env", environment())
    return subprocess.Popen([shunt.SHUNT, "demo", "--port", str(shunt.free_port()), *arguments],
                            text=True, **options)


def all_gone(pids):
    return not any(shunt.alive(pid) for pid in pids)


def check_play(play, requests):
    assert play["sent"] == play["completed"] == requests, play
    assert play["lost"] == play["cut"] == play["refused"] == play["failed"] == 0, play
    assert abs(sum(play["device_time"].values()) - 1) < 1e-6, play["device_time"]
    assert sum(model["sent"] for model in play["models"]) == requests, play
    for model in play["models"]:
        for times in (model["wait_s"], model["ttft_s"]):
            assert 0 <= times["p50"] <= times["p99"] <= times["max"], model
        assert model["gap_max_s"] <= model["wait_s"]["max"], model
        bound = model["gap_bound_guaranteed_s"]
        assert bound is None or model["gap_max_s"] <= bound, model


def test_numbers():
    with tempfile.TemporaryDirectory() as folder:
        demo = start("--json", "--keep", folder, *SHORT, stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)
        out, story = demo.communicate(timeout=170)
        assert demo.returncode == 0, story
        figures = json.loads(out)
        requests = figures["arrivals"]["requests"]
        stretch = (pathlib.Path(folder) / "stretch.csv").read_text().splitlines()
        assert requests == len(stretch) - 1 > 10, figures["arrivals"]
        assert not figures["arrivals"]["traces"] and "not a trace" in figures["arrivals"]["source"]
        assert [play["policy"] for play in figures["plays"]] == ["fifo", "amortized"]
        for play in figures["plays"]:
            check_play(play, requests)
        # Same arrivals, same work.
        first, second = figures["plays"]
        assert abs(first["work_s"] - second["work_s"]) < 1e-6 * first["work_s"]
        # The swap happened while requests waited, and none of them was lost.
        assert figures["swap"]["waiting"] > 0, figures["swap"]
        lines = (pathlib.Path(folder) / "burst-2.jsonl").read_text().splitlines()
        burst = [json.loads(line) for line in lines]
        assert len(burst) == 48 and all(item["status"] == 200 for item in burst)
        assert {item["x-shunt-policy"] for item in burst} == {"fifo", "amortized"}
        # Every byte of every answer was checked against its own request.
        assert {item["content"] for item in burst} == {"ok"}
        for name, policy in (("play-1", "fifo"), ("play-2", "amortized")):
            played = (pathlib.Path(folder) / f"{name}.jsonl").read_text().splitlines()
            assert {json.loads(line)["x-shunt-policy"] for line in played} == {policy}
        # The models never held more memory than there is, and the journal replays to the same bytes.
        state = pathlib.Path(folder) / "state"
        for words in (["emulate", "--pool-report", state / "gpu0.pool"],
                      ["journal", "verify", state / "journal"]):
            done = subprocess.run([shunt.SHUNT, *words], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, (words, done)


def read_until(fd, *texts):
    """Reads a terminal until all texts were seen."""
    seen = bytearray()

    def more():
        seen.extend(os.read(fd, 65536))
        return all(text in seen for text in texts)

    shunt.wait_for(f"{texts} on the terminal", more, 120)
    return bytes(seen)


def test_interrupted_on_a_terminal():
    with tempfile.TemporaryDirectory() as folder:
        master, terminal = pty.openpty()
        demo = start(*SHORT, stdout=terminal, stderr=terminal, stdin=terminal,
                     start_new_session=True,
                     env=environment(TERM="xterm", TMPDIR=folder, LANG="C.UTF-8"))
        os.close(terminal)
        screen = read_until(master, b"waiting", b"switches")
        assert "gpu0, fifo".encode() in screen
        below = shunt.descendants(demo.pid)
        assert len(below) >= 5, below  # host, worker, three engines at least
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
        shunt.wait_for("all processes to end", lambda: all_gone(below))
        assert os.listdir(folder) == [], "an interrupted demo leaves no files"
        os.close(master)


def test_killed():
    with tempfile.TemporaryDirectory() as folder:
        demo = start(*SHORT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                     env=environment(TMPDIR=folder))
        for line in demo.stdout:
            if "waiting" in line:
                break
        below = shunt.descendants(demo.pid)
        demo.kill()
        demo.wait()
        shunt.wait_for("all processes to end", lambda: all_gone(below))


def test_an_unusable_policy_is_reported():
    with tempfile.TemporaryDirectory() as folder:
        demo = start("--policy", "no-such-policy", *SHORT, stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE, env=environment(TMPDIR=folder))
        errors = demo.communicate(timeout=60)[1]
        assert demo.returncode == 1, errors
        assert "no-such-policy" in errors and errors.strip().startswith("shunt demo:"), errors
        # What was written is kept, and named.
        assert os.listdir(folder) and folder in errors, errors


def test_a_dying_host_is_reported():
    with tempfile.TemporaryDirectory() as folder:
        demo = start(*SHORT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     env=environment(TMPDIR=folder))
        for line in demo.stdout:
            if "waiting" in line:
                break
        below = shunt.descendants(demo.pid)
        host = [pid for pid in below if b"serve" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                and demo.pid == parent(pid)]
        assert len(host) == 1, (host, below)
        os.kill(host[0], signal.SIGKILL)
        errors = demo.communicate(timeout=60)[1]
        assert demo.returncode == 1 and "the host" in errors and "host.log" in errors, errors
        shunt.wait_for("all processes to end", lambda: all_gone(below))


def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_usage():
    for arguments in (["--minutes"], ["--load", "nine"], ["--nothing", "1"], ["word"]):
        done = subprocess.run([shunt.SHUNT, "demo", *arguments], capture_output=True, text=True,
                              timeout=30)
        assert done.returncode == 2 and done.stderr.startswith("shunt demo:"), (arguments, done)


shunt.main(test_usage, test_numbers, test_interrupted_on_a_terminal, test_killed,
           test_an_unusable_policy_is_reported, test_a_dying_host_is_reported)
