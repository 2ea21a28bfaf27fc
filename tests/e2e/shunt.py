"""Helpers of the end-to-end tests: start the real programs, wait for conditions, talk HTTP.

Nothing here sleeps for synchronisation: wait_for polls a condition until it holds or a generous
limit passes, and then fails with what was seen. Everything runs in a temporary folder and ends with
the test, whatever happens.
"""
import contextlib
import http.client
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("SHUNT_BUILD", "build")).resolve()
SOURCE = pathlib.Path(os.environ.get("SHUNT_SOURCE", ".")).resolve()
SHUNT = BUILD / "bin" / "shunt"
PATIENCE_S = 60.0


def skip(reason):
    """Ends the test as skipped, with the reason that scripts/test prints."""
    print(f"SKIP: {reason}")
    sys.exit(77)


def wait_for(what, condition, limit_s=PATIENCE_S):
    """Polls condition() until it is true and returns its value."""
    end = time.monotonic() + limit_s
    waiting = select.poll()  # a pause that is not a sleep for anything in particular
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit_s:.0f} s for: {what}")
        waiting.poll(10)


def free_port():
    """A free port below the range that the kernel gives to outgoing connections: a host that is
    started again on it must not find it taken by another test's client."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def alive(pid):
    """True if the process exists and is no zombie."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def descendants(pid):
    """Pids of all processes below pid, itself excluded."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def setting(value):
    """A Python value as libconfig text: dict = group, list = list, tuple = array."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        return "[ " + ", ".join(setting(item) for item in value) + " ]"
    if isinstance(value, list):
        return "( " + ",\n  ".join(setting(item) for item in value) + " )"
    return "{ " + " ".join(f"{key} = {setting(item)};" for key, item in value.items()) + " }"


def model(name, resident=10.0, **extra):
    """An emulated model with short times; keys of `emulate` may be given as emulate={...}."""
    emulate = {"load_s": 0.2, "wake_s": 0.05, "sleep_s": 0.02, "ttft_ms": 5.0, "token_ms": 1.0}
    emulate.update(extra.pop("emulate", {}))
    values = {"name": name, "engine": "emulated", "devices": ("gpu0",),
              "memory_gib": {"resident": resident, "asleep": 0.5}, "tiers": ("asleep", "stopped"),
              "max_concurrency": 8, "emulate": emulate}
    values.update(extra)
    return values


def config(models, port, **extra):
    """A whole shunt.cfg with one device of 16 GiB unless told otherwise."""
    values = {"listen": f"127.0.0.1:{port}", "devices": [{"name": "gpu0", "memory_gib": 16.0}],
              "policy": {"use": "fifo"}, "models": models,
              "guard": {"drain_s": 20.0, "switch_timeout_s": 20.0}}
    values.update(extra)
    return "".join(f"{key} = {setting(value)};\n" for key, value in values.items())


class Response:
    def __init__(self, raw):
        self.status = raw.status
        self.headers = {name.lower(): value for name, value in raw.getheaders()}
        self.body = raw.read()

    @property
    def json(self):
        return json.loads(self.body)


class Host:
    """A running `shunt serve`. Use as a context manager."""

    def __init__(self, models, port=None, text=None, ready=True, arguments=(), **extra):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="shunt-e2e-"))
        self.port = port or free_port()
        self.file = self.folder / "shunt.cfg"
        extra.setdefault("state_dir", str(self.folder / "state"))
        self.file.write_text(text or config(models, self.port, **extra))
        self.log = self.folder / "log"
        self.arguments = list(arguments)
        self.process = None
        self.ready = ready

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            print(f"--- configuration\n{self.file.read_text()}--- log\n{self.log.read_text()[-8000:]}")
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([SHUNT, "serve", "-c", self.file, *self.arguments],
                                            stdout=log, stderr=log, cwd=self.folder)
        if self.ready:
            wait_for("/readyz answers 200", self.is_ready)

    def is_ready(self):
        assert self.process.poll() is None, f"shunt serve ended with {self.process.returncode}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/readyz").status == 200
        return False

    def stop(self, number=signal.SIGTERM, limit_s=PATIENCE_S):
        """Sends a signal and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(limit_s)

    def kill(self):
        """Ends everything at once, engines included."""
        if self.process and self.process.poll() is None:
            below = descendants(self.process.pid)
            self.process.kill()
            self.process.wait()
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def connection(self, timeout=PATIENCE_S):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=PATIENCE_S):
        connection = self.connection(timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
                headers = {"content-type": "application/json", **(headers or {})}
            connection.request(method, path, body, headers or {})
            return Response(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def chat(self, name, text="hello", headers=None, timeout=PATIENCE_S, **more):
        body = {"model": name, "messages": [{"role": "user", "content": text}], "max_tokens": 8}
        body.update(more)
        return self.request("POST", "/v1/chat/completions", body, headers, timeout)

    def ctl(self, *words, check=True):
        """`shunt ctl` with --json: the parsed answer."""
        out = subprocess.run([SHUNT, "ctl", "-c", self.file, *words, "--json"], capture_output=True,
                             text=True, cwd=self.folder, timeout=PATIENCE_S)
        if check:
            assert out.returncode == 0, f"ctl {words}: {out.returncode}: {out.stdout} {out.stderr}"
        return json.loads(out.stdout) if out.returncode == 0 else out

    def log_lines(self):
        """The host's log lines, parsed; lines that are no JSON are left out."""
        lines = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines


def main(*tests):
    """Runs the test functions in order; one that raises fails the program."""
    failed = 0
    for test in tests:
        start = time.monotonic()
        try:
            test()
            print(f"ok      {test.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            import traceback
            traceback.print_exc()
            print(f"FAILED  {test.__name__}: {error}", flush=True)
            failed += 1
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
