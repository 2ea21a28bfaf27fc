#!/usr/bin/env python3
"""An engine that is killed while requests without an answer are in flight: the core puts them back into
the queue, the front sees its connections break, in either order. Each client gets one answer, and
the worker survives."""
import concurrent.futures
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import shunt

ROUNDS = 6
CLIENTS = 16


def engine_pid(host):
    for pid in shunt.descendants(host.process.pid):
        if b"emulate" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def test_each_client_gets_one_answer():
    slow = shunt.model("m", max_concurrency=CLIENTS, emulate={"ttft_ms": 60.0, "load_s": 0.05})
    with shunt.Host([slow]) as host, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        host.chat("m")
        seen = {}
        for _ in range(ROUNDS):
            pid = shunt.wait_for("the engine runs", lambda: engine_pid(host))
            waiting = [pool.submit(host.chat, "m", f"n{i}") for i in range(CLIENTS)]
            shunt.wait_for("requests are in flight", lambda: host.ctl("status")["requests"] >= CLIENTS // 2)
            os.kill(pid, signal.SIGKILL)
            for item in waiting:
                status = item.result().status
                seen[status] = seen.get(status, 0) + 1
            shunt.wait_for("the model serves again", lambda: host.chat("m").status == 200)
        print(f"        answers by status: {seen}")
        assert set(seen) <= {200, 502, 503}, seen
        status = host.ctl("status")
        assert status["worker_restarts"] == 0, status
        for model in status["cells"][0]["models"]:
            assert model["queued"] == 0 and model["in_flight"] == 0, model


shunt.main(test_each_client_gets_one_answer)
