#!/usr/bin/env python3
"""The host's life: workers and supervisors that are killed, reloads, swaps, orderly stops, engines
that fail. Every test ends with the journal replayed to the same bytes."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading

from shunt import BUILD, SHUNT, Host, alive, descendants, main, model, wait_for

TWO = [model("a", preload=True), model("b", preload=True)]


def command_line(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return []


def pids(host, word):
    return [pid for pid in descendants(host.process.pid) if word in command_line(pid)]


def ask(host, name, **more):
    answer = host.chat(name, **more)
    assert answer.status == 200, f"{name}: {answer.status} {answer.body}"
    return answer


def verify_journal(host, limit=0):
    out = subprocess.run([SHUNT, "journal", "verify", host.folder / "state" / "journal" / "main"],
                         capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stdout + out.stderr
    return out.stdout


def pool_report(host):
    out = subprocess.run([SHUNT, "emulate", "--pool-report", host.folder / "state" / "gpu0.pool"],
                         capture_output=True, text=True, timeout=60)
    return out.returncode, json.loads(out.stdout)


def faults(host, name, **fault):
    """Sets faults of a running emulator through its own address."""
    import http.client
    for pid in pids(host, "emulate"):
        line = command_line(pid)
        if line[line.index("--model") + 1] == name:
            port = int(line[line.index("--port") + 1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", "/emulate/faults", json.dumps(fault),
                               {"content-type": "application/json"})
            assert connection.getresponse().status == 200
            connection.close()
            return
    raise AssertionError(f"no emulator of {name}")


class Load(threading.Thread):
    """Requests for the models in turn until told to stop; keeps what clients saw."""

    def __init__(self, host, names):
        super().__init__()
        self.host, self.names = host, names
        self.ending = threading.Event()
        self.answers, self.errors = [], []

    def run(self):
        turn = 0
        while not self.ending.is_set():
            try:
                self.answers.append(self.host.chat(self.names[turn % len(self.names)]).status)
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(repr(error))
            turn += 1

    def end(self):
        self.ending.set()
        self.join()


def test_serves_two_models_and_stops():
    with Host(TWO) as host:
        for name in ("a", "b", "a"):
            ask(host, name)
        assert host.stop() == 0
        assert "0 differences" in verify_journal(host)
        code, report = pool_report(host)
        assert code == 0, report


def test_worker_killed_engines_stay():
    with Host(TWO) as host:
        ask(host, "a")
        ask(host, "b")
        before = sorted(pids(host, "emulate"))
        assert len(before) == 2
        os.kill(pids(host, "__worker")[0], signal.SIGKILL)
        wait_for("the next worker is ready", lambda: host.is_ready() and any(
            line.get("event") == "ready" and "after a restart" in line["text"]
            for line in host.log_lines()))
        ask(host, "a")
        ask(host, "b")
        assert sorted(pids(host, "emulate")) == before, "engines were started again"
        assert host.stop() == 0
        verify_journal(host)


def test_supervisor_killed_nothing_stays():
    with Host(TWO) as host:
        ask(host, "a")
        below = descendants(host.process.pid)
        host.process.send_signal(signal.SIGKILL)
        host.process.wait()
        wait_for("every process is gone", lambda: not any(alive(pid) for pid in below))
        host.start()
        ask(host, "a")
        ask(host, "b")
        assert host.stop() == 0
        verify_journal(host)
        code, report = pool_report(host)
        assert code == 0, report


def test_reload_good_and_bad():
    with Host(TWO) as host:
        ask(host, "a")
        good = host.file.read_text()
        host.file.write_text(good.replace('"fifo"', '"no_such_policy"'))
        out = host.ctl("reload", check=False)
        assert out.returncode != 0, out
        assert "no_such_policy" in out.stdout + out.stderr
        host.file.write_text(good + "nonsense = 1;\n")
        out = host.ctl("reload", check=False)
        assert out.returncode != 0 and "nonsense" in out.stdout + out.stderr, out
        ask(host, "a")
        host.file.write_text(good.replace('"fifo"', '"amortized"').replace(
            'name = "b";', 'name = "b"; aliases = [ "bee" ];'))
        host.ctl("reload")
        ask(host, "bee")
        status = host.ctl("policy", "list")
        assert "amortized" in json.dumps(status)
        assert host.stop() == 0
        verify_journal(host)


def test_swap_under_load():
    with Host(TWO) as host:
        load = Load(host, ["a", "b"])
        load.start()
        wait_for("some answers", lambda: len(load.answers) > 3)
        for reference in ("amortized", "fifo", "amortized:overhead_target=0.2"):
            seen = len(load.answers)
            host.ctl("policy", "swap", reference)
            wait_for("answers after the swap", lambda: len(load.answers) > seen + 2)
        host.ctl("policy", "rollback")
        out = host.ctl("policy", "swap", "/no/such/policy.so", check=False)
        assert out.returncode != 0
        out = host.ctl("policy", "swap", "fifo", "--isolation", "isolated", check=False)
        assert out.returncode != 0
        load.end()
        assert load.errors == [] and set(load.answers) == {200}, (load.errors, load.answers)
        assert host.stop() == 0
        verify_journal(host)


def test_reload_under_load():
    with Host(TWO) as host:
        load = Load(host, ["a", "b"])
        load.start()
        for _ in range(4):
            seen = len(load.answers)
            host.process.send_signal(signal.SIGHUP)
            wait_for("answers after the reload", lambda: len(load.answers) > seen + 2)
        load.end()
        assert load.errors == [] and set(load.answers) == {200}, (load.errors, load.answers)
        assert host.stop() == 0
        verify_journal(host)


def in_flight(host):
    return host.ctl("status")["requests"]


def test_orderly_stop_drains():
    slow = {"token_ms": 20.0}
    with Host([model("a", preload=True, emulate=slow)]) as host:
        ask(host, "a")
        answers = []
        clients = [threading.Thread(target=lambda: answers.append(
            host.chat("a", max_tokens=40).status)) for _ in range(4)]
        for client in clients:
            client.start()
        wait_for("requests are in flight", lambda: in_flight(host) == 4)
        assert host.stop() == 0
        for client in clients:
            client.join()
        assert answers == [200] * 4, answers
        verify_journal(host)


def test_wake_fails_and_runs_out_of_memory():
    with Host(TWO) as host:
        for fault in ({"wake_fails": 1}, {"wake_oom": 1}):
            ask(host, "a")
            ask(host, "b")
            faults(host, "a", **fault)
            ask(host, "a")
        escalated = [line for line in host.log_lines() if line.get("event") == "engine_escalation"]
        assert len(escalated) >= 2, escalated
        assert host.stop() == 0
        verify_journal(host)


def test_sleep_that_frees_nothing_is_stopped():
    with Host(TWO, guard={"drain_s": 20.0, "switch_timeout_s": 20.0,
                          "memory_timeout_s": 0.5}) as host:
        ask(host, "a")
        faults(host, "a", sleep_frees_nothing=True)
        ask(host, "b")
        assert any("holds" in line.get("text", "") for line in host.log_lines()
                   if line.get("event") == "engine_escalation")
        ask(host, "a")
        assert host.stop() == 0
        verify_journal(host)
        code, report = pool_report(host)
        assert code == 0, report


def test_engine_killed_comes_back():
    with Host(TWO) as host:
        for name in ("a", "b", "a"):
            ask(host, name)
        for pid in pids(host, "emulate"):
            os.kill(pid, signal.SIGKILL)
        wait_for("the loss is noticed", lambda: any(
            line.get("event") == "engine_lost" for line in host.log_lines()))
        ask(host, "a")
        ask(host, "b")
        assert host.stop() == 0
        verify_journal(host)


def test_bad_starts_are_refused():
    for change, words in (({"policy": {"use": "no_such_policy"}}, "no_such_policy"),
                          ({"policy": {"use": "fifo", "isolation": "isolated"}}, "isolation"),
                          ({"survive": True}, "survive")):
        with Host(TWO, ready=False, **change) as host:
            assert host.process.wait(30) == 2, host.log.read_text()
            assert words in host.log.read_text(), host.log.read_text()


def quarantined(host):
    return [line for line in host.log_lines() if line.get("event") == "policy_quarantined" and
            line.get("process") == "supervisor"]


def test_policies_that_stall_or_crash_are_quarantined():
    guard = {"drain_s": 20.0, "switch_timeout_s": 20.0, "watchdog_s": 0.5}
    for name in ("stalls", "crashes"):
        policy = BUILD / "tests" / "policies" / f"{name}.so"
        with Host(TWO, guard=guard) as host:
            ask(host, "a")
            before = sorted(pids(host, "emulate"))
            host.ctl("policy", "swap", str(policy), check=False)
            with contextlib.suppress(Exception):
                host.chat("b", timeout=5)
            wait_for("the policy is named", lambda: quarantined(host))
            assert name in quarantined(host)[0]["text"]
            wait_for("the host is back", host.is_ready)
            ask(host, "a")
            ask(host, "b")
            assert set(before) <= set(pids(host, "emulate")), "engines were lost with the worker"
            out = host.ctl("policy", "swap", str(policy), check=False)
            assert out.returncode != 0 and "quarantine" in out.stdout + out.stderr, out
            host.ctl("policy", "swap", "amortized")
            ask(host, "a")
            assert host.stop() == 0


def test_policy_that_fails_its_layout_is_refused():
    with Host(TWO) as host:
        ask(host, "a")
        out = host.ctl("policy", "swap", str(BUILD / "tests" / "policies" / "layout_fails.so"),
                       check=False)
        assert out.returncode != 0, out
        ask(host, "b")
        assert host.stop() == 0
        verify_journal(host)


def test_what_was_saved_outlives_a_restart():
    with Host([model("a", resident=5.0), model("b", resident=5.0)]) as host:
        host.ctl("policy", "swap", "amortized", "--save")
        host.ctl("policy", "set", "overhead_target=0.2", "--save")
        host.ctl("pin", "a")
        assert host.stop() == 0
        host.start()
        shown = json.dumps(host.ctl("policy", "show"))
        assert "amortized" in shown and "0.2" in shown, shown
        assert host.stop() == 0
        host.arguments = ["--from-config"]
        host.start()
        assert "amortized" not in json.dumps(host.ctl("policy", "show"))
        assert host.stop() == 0
        verify_journal(host)


main(test_serves_two_models_and_stops, test_worker_killed_engines_stay,
     test_supervisor_killed_nothing_stays, test_reload_good_and_bad, test_swap_under_load, test_reload_under_load,
     test_orderly_stop_drains, test_wake_fails_and_runs_out_of_memory,
     test_sleep_that_frees_nothing_is_stopped, test_engine_killed_comes_back,
     test_bad_starts_are_refused, test_policies_that_stall_or_crash_are_quarantined,
     test_policy_that_fails_its_layout_is_refused, test_what_was_saved_outlives_a_restart)
