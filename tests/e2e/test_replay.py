#!/usr/bin/env python3
"""The load generator: against the emulator with every byte checked, against a server of this test
that answers badly on purpose, and with bad input."""
import gzip
import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading

from shunt import SHUNT, main, skip, wait_for
from test_emulate import Engine

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def replay(*arguments, check_exit=0, env=None):
    done = subprocess.run([str(SHUNT), "replay", *map(str, arguments)], capture_output=True,
                          text=True, check=False, timeout=120,
                          env={**os.environ, **(env or {})})
    assert done.returncode == check_exit, (arguments, done)
    return done


def azure(folder, name, rows):
    """rows: (seconds, input tokens, output tokens)"""
    path = pathlib.Path(folder) / name
    text = HEADER + "".join(
        f"2023-11-16 18:{int(t) // 60:02}:{t % 60:010.7f},{i},{o}\n" for t, i, o in rows)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def test_two_traces_on_one_clock():
    with tempfile.TemporaryDirectory() as folder, \
            Engine("--served-model-name", "m,n", "--ttft-ms", "1", "--token-ms", "1") as engine:
        one = azure(folder, "one.csv", [(i / 10, 100 + i, 1 + i % 7) for i in range(100)])
        two = azure(folder, "two.csv.gz", [(5 + i / 20, 9, 3) for i in range(60)])
        log = pathlib.Path(folder) / "log"
        done = replay("--trace", f"{one}=m", "--trace", f"{two}=n", "--target",
                      f"http://127.0.0.1:{engine.port}", "--time-scale", 20, "--check", "--log",
                      log, "--json")
        summary = json.loads(done.stdout)
        assert summary["sent"] == summary["completed"] == 160 and summary["failed"] == 0
        assert [(m["name"], m["completed"]) for m in summary["models"]] == [("m", 100), ("n", 60)]
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert sorted(line["id"] for line in lines) == list(range(160))
        assert all(line["content"] == "ok" and line["status"] == 200 for line in lines)
        by_id = sorted(lines, key=lambda line: line["id"])
        assert [line["t_s"] for line in by_id] == sorted(line["t_s"] for line in by_id)
        first_n = min(line["t_s"] for line in lines if line["model"] == "n")
        assert abs(first_n - 5) < 1e-6
        for line in lines:
            assert line["tokens"] == line["output_tokens"]
            assert line["t_send_s"] >= line["t_s"] - 1e-6
            assert 0 < line["ttft_s"] <= line["response_s"]
        assert engine.metric("emulate_requests_total") == 160


def test_arrivals_file():
    with tempfile.TemporaryDirectory() as folder, Engine() as engine:
        azure(folder, "t.csv", [(0, 5, 2), (1, 5, 2), (2, 5, 2), (3, 5, 2)])
        path = pathlib.Path(folder) / "load.yaml"
        path.write_text("""
arrivals:
  - {kind: trace, file: t.csv, format: azure-llm-2023, model: m, stretch: 2, from: 1, to: 3}
  - {kind: list, jobs: [[0, m, 0, 4, 3], [0.5, m, 0, 4, 3]]}
  - {kind: fitted, like: azure-llm-2023-conv, model: m}
horizon_s: 4
seed: 3
time_scale: 4
""")
        target = f"http://127.0.0.1:{engine.port}"
        runs = []
        for stream in ("--stream", "--no-stream"):
            log = pathlib.Path(folder) / f"log{stream}"
            done = replay(path, "--target", target, stream, "--check", "--log", log)
            assert "fitted to the published statistics" in done.stderr
            lines = sorted((json.loads(line) for line in log.read_text().splitlines()),
                           key=lambda line: line["id"])
            assert all(line["error"] is None and line["content"] == "ok" for line in lines)
            runs.append([(line["t_s"], line["input_tokens"], line["output_tokens"])
                         for line in lines])
        assert runs[0] == runs[1] and len(runs[0]) > 4
        assert {(0, 5, 2), (2, 5, 2), (0, 4, 3), (0.5, 4, 3)} <= set(runs[0])


class Bad(http.server.BaseHTTPRequestHandler):
    """Answers by the number of the request."""
    protocol_version = "HTTP/1.1"
    seen = []

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        number = len(self.seen)
        self.seen.append((json.loads(body), dict(self.headers)))
        sse = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
        answers = [
            (429, "application/json", b'{"error":{"message":"full"}}'),
            (500, "application/json", b"{}"),
            (200, "text/event-stream", sse),
            (200, "text/event-stream",
             sse + b'data: {"error":{"code":"shunt_drain_timeout"}}\n\ndata: [DONE]\n\n'),
            (200, "application/json", b"not json"),
            (200, "text/event-stream", b": queued\n\n" + sse + b"data: [DONE]\n\n"),
        ]
        status, kind, text = answers[number]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("x-shunt-queue-ms", "12.5")
        self.send_header("x-shunt-arm", "a")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):  # pylint: disable=arguments-differ
        pass


def test_every_error_is_named():
    server = http.server.HTTPServer(("127.0.0.1", 0), Bad)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            trace = azure(folder, "t.csv", [(i, 5, 1) for i in range(6)])
            log = pathlib.Path(folder) / "log"
            target = f"http://127.0.0.1:{server.server_port}"
            done = replay(trace, "--model", "x", "--target", target, "--time-scale", 10,
                          "--json", "--log", log, "--api-key", "secret", check_exit=1)
            summary = json.loads(done.stdout)
            assert summary["errors"] == {"http_429": 1, "http_500": 1, "stream_without_done": 1,
                                         "stream_shunt_drain_timeout": 1, "not_json": 1}, summary
            assert (summary["completed"], summary["refused"], summary["failed"]) == (1, 1, 4)
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            assert all(line["x-shunt-arm"] == "a" for line in lines)
            assert abs(summary["models"][0]["wait_s"]["mean"] - 0.125) < 1e-6
            assert "secret" not in log.read_text() + done.stdout + done.stderr
            assert all(h["Authorization"] == "Bearer secret" for _, h in Bad.seen)
            assert all(b["max_tokens"] == 1 and b["stream"] for b, _ in Bad.seen)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_wrong_content_is_noticed():
    with tempfile.TemporaryDirectory() as folder, Engine() as engine:
        engine.call("POST", "/sleep?level=2")
        engine.call("POST", "/wake_up")  # without a reload: fluent nonsense
        trace = azure(folder, "t.csv", [(0, 5, 4)])
        done = replay(trace, "--model", "m", "--target", f"http://127.0.0.1:{engine.port}",
                      "--check", "--json", check_exit=1)
        summary = json.loads(done.stdout)
        assert summary["wrong_content"] == 1 and summary["errors"] == {"wrong_content": 1}


def test_open_loop():
    """A server that does not answer at all does not hold later requests back."""
    with tempfile.TemporaryDirectory() as folder, Engine() as engine:
        engine.faults(hang=True)
        trace = azure(folder, "t.csv", [(i / 10, 5, 1) for i in range(50)])
        process = subprocess.Popen([str(SHUNT), "replay", str(trace), "--model", "m", "--target",
                                    f"http://127.0.0.1:{engine.port}", "--time-scale", "10",
                                    "--json"], stdout=subprocess.PIPE, text=True)
        wait_for("all to be sent", lambda: engine.metric("num_requests_waiting") == 50)
        process.send_signal(signal.SIGINT)
        summary = json.loads(process.communicate(timeout=60)[0])
        assert process.returncode == 1
        assert summary["interrupted"] and summary["sent"] == summary["unfinished"] == 50


def test_bad_input():
    with tempfile.TemporaryDirectory() as folder:
        broken = pathlib.Path(folder) / "b.csv"
        broken.write_text(HEADER + "2023-11-16 18:00:00,x,1\n")
        good = azure(folder, "good.csv", [(0, 5, 1)])
        endless = pathlib.Path(folder) / "e.yaml"
        endless.write_text("arrivals: [{kind: poisson, model: m, rate_per_s: 1}]\n")
        unknown = pathlib.Path(folder) / "u.yaml"
        unknown.write_text("arrivals:\n- {kind: zipf, model: m}\n")
        target = ("--target", "http://127.0.0.1:1")
        for arguments, words in (
                (("none.csv", "--model", "m", *target), "No such file"),
                ((broken, "--model", "m", *target), ":2:21: ContextTokens is not a number"),
                ((broken, *target), "which model"),
                ((broken, "--model", "m"), "--target URL is missing"),
                ((broken, "--model", "m", "--format", "x", *target), "no trace format"),
                ((broken, "--model", "m", "--map", "time_s=t", *target), "no column \"t\""),
                ((endless, *target), "no end"),
                ((unknown, *target), "u.yaml:2:10: "),
                ((good, "--model", "m", "--target", "unix:"), "--target")):
            done = replay(*arguments, check_exit=2)
            assert words in done.stderr.splitlines()[-1], (arguments, done.stderr)
            assert done.stdout == ""


def test_real_traces():
    folder = os.environ.get("SHUNT_TRACES")
    if not folder or not (pathlib.Path(folder) / "azure_llm_2023_conv.csv.zst").exists():
        print("SKIP: test_real_traces: SHUNT_TRACES names no folder with the Azure traces",
              file=sys.stderr)
        return
    with Engine("--served-model-name", "m,code", "--ttft-ms", "1", "--token-ms", "1") as engine:
        conv, code = (pathlib.Path(folder) / f"azure_llm_2023_{name}.csv.zst"
                      for name in ("conv", "code"))
        done = replay("--trace", f"{conv}=m", "--trace", f"{code}=code", "--target",
                      f"http://127.0.0.1:{engine.port}", "--time-scale", 100, "--to", 300,
                      "--check", "--json")
        summary = json.loads(done.stdout)
        assert summary["sent"] == summary["completed"] > 1000


if __name__ == "__main__":
    if not SHUNT.exists():
        skip("the program is not built")
    main(test_two_traces_on_one_clock, test_arrivals_file, test_every_error_is_named,
         test_wrong_content_is_noticed, test_open_loop, test_bad_input, test_real_traces)
