#!/usr/bin/env python3
"""The engine emulator: OpenAI's shapes, vLLM's control calls and their traps, memory shared between
emulators, faults on demand."""
import contextlib
import http.client
import json
import os
import signal
import subprocess
import tempfile

from shunt import SHUNT, main, wait_for

MASK = (1 << 64) - 1


def words(prompt, count):
    """What the emulator must answer: FNV-1a of the prompt, then words that follow from it."""
    key = 0xcbf29ce484222325
    for byte in prompt.encode():
        key = ((key ^ byte) * 0x100000001b3) & MASK
    out = f"{key:016x}"
    for index in range(1, count):
        bits = (key + index * 0x9e3779b97f4a7c15) & MASK
        bits = ((bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9) & MASK
        bits = ((bits ^ (bits >> 27)) * 0x94d049bb133111eb) & MASK
        bits ^= bits >> 31
        out += " "
        for letter in range(4):
            out += ("aeiouyaeiouyaeio" if letter % 2 else "bcdfghjklmnprstv")[bits & 15]
            bits >>= 4
    return out


class Engine:
    """A running `shunt emulate`, fast unless told otherwise."""

    def __init__(self, *arguments, name="m", dev=True, sleep=True, scale=100):
        env = dict(os.environ)
        env.pop("VLLM_SERVER_DEV_MODE", None)
        if dev:
            env["VLLM_SERVER_DEV_MODE"] = "1"
        command = [str(SHUNT), "emulate", "--port", "0", "--model", name, "--time-scale",
                   str(scale), *arguments] + (["--enable-sleep-mode"] if sleep else [])
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline().split()
        assert ready and ready[:2] == ["ready", name], self.process.communicate()
        self.port = int(ready[2].rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill()
        self.process.communicate()

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def call(self, method, path, body=None, headers=None):
        """(status, text)"""
        connection = self.connection()
        text = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
        connection.request(method, path, text, headers or {})
        response = connection.getresponse()
        result = response.status, response.read().decode()
        connection.close()
        return result

    def complete(self, prompt="hi", tokens=5, **more):
        status, text = self.call("POST", "/v1/completions",
                                 {"model": "m", "prompt": prompt, "max_tokens": tokens, **more})
        return json.loads(text)["choices"][0]["text"] if status == 200 else status

    def faults(self, **faults):
        status, text = self.call("POST", "/emulate/faults", faults)
        assert status == 200, text

    def metric(self, name):
        for line in self.call("GET", "/metrics")[1].splitlines():
            if line.startswith(f"vllm:{name}{{"):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def sleeping(self):
        return json.loads(self.call("GET", "/is_sleeping")[1])["is_sleeping"]


def test_shapes():
    with Engine() as engine:
        assert engine.call("GET", "/health")[0] == 200
        models = json.loads(engine.call("GET", "/v1/models")[1])
        assert [m["id"] for m in models["data"]] == ["m"]
        body = {"model": "m", "messages": [{"role": "user", "content": "hé\"llo"}],
                "max_tokens": 7}
        chat = json.loads(engine.call("POST", "/v1/chat/completions", body)[1])
        assert chat["choices"][0]["message"]["content"] == words("hé\"llo", 7)
        assert chat["choices"][0]["finish_reason"] == "length"
        assert chat["usage"]["completion_tokens"] == 7
        assert engine.complete("x" * 1000, 3) == words("x" * 1000, 3)
        response = json.loads(engine.call("POST", "/v1/responses", {
            "model": "m", "input": "in", "max_output_tokens": 2})[1])
        assert response["output"][0]["content"][0]["text"] == words("in", 2)
        vectors = json.loads(engine.call("POST", "/v1/embeddings", {
            "model": "m", "input": "in"})[1])
        assert len(vectors["data"][0]["embedding"]) == 6
        limit = json.loads(engine.call("POST", "/v1/completions", {"model": "m", "prompt": "p"},
                                       {"x-emulate-output-tokens": "9"})[1])
        assert limit["usage"]["completion_tokens"] == 9
        assert limit["choices"][0]["finish_reason"] == "stop"


def test_stream():
    with Engine() as engine:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4,
                "stream": True, "stream_options": {"include_usage": True}}
        text = engine.call("POST", "/v1/chat/completions", body)[1]
        lines = [line[6:] for line in text.split("\n\n") if line]
        assert lines[-1] == "[DONE]"
        chunks = [json.loads(line) for line in lines[:-1]]
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1])
        assert said == words("hi", 4)
        assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]][-1] == "length"
        assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 4


def test_bad_requests():
    with Engine() as engine:
        for status, path, body in (
                (400, "/v1/completions", "not json"), (400, "/v1/completions", {"model": "m"}),
                (404, "/v1/completions", {"model": "other", "prompt": "x"}),
                (400, "/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 40000}),
                (404, "/nothing", {})):
            got, text = engine.call("POST", path, body)
            assert got == status, (path, body, got)
            assert json.loads(text)["error"]["message"]
        assert engine.call("GET", "/v1/completions")[0] == 405


def test_control_needs_dev_mode():
    for dev, sleep, want in ((False, True, (404, 404)), (True, False, (404, 200)),
                             (True, True, (200, 200))):
        with Engine(dev=dev, sleep=sleep) as engine:
            got = (engine.call("POST", "/sleep")[0], engine.call("POST", "/reset_prefix_cache")[0])
            assert got == want, (dev, sleep, got)


def test_sleep_level_1():
    with Engine() as engine:
        assert engine.call("POST", "/sleep?level=1") == (200, "")
        assert engine.sleeping()
        assert engine.complete() == 503
        assert engine.call("POST", "/wake_up") == (200, "")
        assert not engine.sleeping()
        assert engine.complete() == words("hi", 5)


def test_sleep_level_2_needs_reload():
    with Engine() as engine:
        engine.call("POST", "/sleep?level=2")
        engine.call("POST", "/wake_up?tags=weights")
        assert engine.sleeping()  # the KV cache is not back yet
        engine.call("POST", "/wake_up?tags=kv_cache")
        assert not engine.sleeping()
        nonsense = engine.complete()
        assert nonsense != words("hi", 5) and len(nonsense) == len(words("hi", 5))
        status, text = engine.call("POST", "/collective_rpc", {"method": "reload_weights"})
        assert status == 200 and json.loads(text) == {"results": [None]}
        assert engine.complete() == words("hi", 5)


def started_stream(engine, tokens):
    connection = engine.connection()
    connection.request("POST", "/v1/completions", json.dumps(
        {"model": "m", "prompt": "hi", "max_tokens": tokens, "stream": True}))
    response = connection.getresponse()
    assert response.readline().startswith(b"data: ")
    return connection, response


def test_sleep_modes():
    with Engine("--load-s", "0", "--token-ms", "100", scale=1) as engine:
        connection, response = started_stream(engine, 10000)
        assert engine.call("POST", "/sleep?level=1&mode=abort")[0] == 200
        assert b'"finish_reason":"abort"' in response.read()
        connection.close()
        engine.call("POST", "/wake_up")
    with Engine() as engine:
        connection, response = started_stream(engine, 40)
        assert engine.call("POST", "/sleep?level=1&mode=wait")[0] == 200
        assert response.read().endswith(b"data: [DONE]\n\n")
        engine.call("POST", "/wake_up")
        connection, response = started_stream(engine, 40)
        assert engine.call("POST", "/sleep?level=1&mode=keep")[0] == 200
        assert engine.metric("num_requests_running") == 1
        engine.call("POST", "/wake_up")
        assert response.read().endswith(b"data: [DONE]\n\n")
        connection.close()


def test_slots_and_abort():
    """A client that leaves frees its slot at once; one that is ignored does not."""
    with Engine("--max-num-seqs", "1", "--load-s", "0", "--token-ms", "100", scale=1) as engine:
        first = started_stream(engine, 10000)
        second = engine.connection()
        second.request("POST", "/v1/completions", json.dumps(
            {"model": "m", "prompt": "b", "max_tokens": 1}))
        wait_for("the second to wait", lambda: engine.metric("num_requests_waiting") == 1)
        first[1].close()
        first[0].close()
        assert json.loads(second.getresponse().read())["choices"][0]["text"] == words("b", 1)
        assert engine.metric("emulate_aborted_total") == 1
        engine.faults(ignore_abort=True)
        third = started_stream(engine, 10000)
        third[1].close()
        third[0].close()
        wait_for("the abort to be seen", lambda: engine.metric("emulate_aborted_total") == 2)
        assert engine.metric("num_requests_running") == 1


def pool_report(path):
    done = subprocess.run([str(SHUNT), "emulate", "--pool-report", path], capture_output=True,
                          text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_shared_memory():
    gib = 1 << 30
    with tempfile.TemporaryDirectory() as folder:
        pool = os.path.join(folder, "pool")
        memory = ("--resident-gib", "10", "--asleep-gib", "1", "--vram-pool", pool, "--vram-gib",
                  "12")
        with Engine(*memory, name="a") as a:
            assert pool_report(pool)[1]["used_bytes"] == 10 * gib
            failed = subprocess.run(
                [str(SHUNT), "emulate", "--port", "0", "--model", "b", *memory],
                capture_output=True, text=True, check=False)
            assert failed.returncode == 1 and "CUDA out of memory" in failed.stderr
            status, report = pool_report(pool)
            assert status == 1 and report["refusals"] == 1 and "b" in report["last_refusal"]
            assert report["peak_bytes"] == 10 * gib
            a.call("POST", "/sleep")
            with Engine(*memory, name="b") as b:
                assert pool_report(pool)[1]["used_bytes"] == 11 * gib
                status, text = a.call("POST", "/wake_up")
                assert status == 500 and "out of memory" in text and a.sleeping()
                b.process.send_signal(signal.SIGKILL)
                b.process.wait()
                assert a.call("POST", "/wake_up")[0] == 200
            report = pool_report(pool)[1]
            assert report["used_bytes"] == 10 * gib and report["reclaimed"] == 1
            a.faults(sleep_frees_nothing=True)
            assert a.call("POST", "/sleep")[0] == 200
            assert pool_report(pool)[1]["used_bytes"] == 10 * gib
            a.process.send_signal(signal.SIGTERM)
            assert a.process.wait() == 0
        assert pool_report(pool)[1]["used_bytes"] == 0


def test_faults():
    with Engine() as engine:
        assert engine.call("POST", "/emulate/faults", {"nonsense": 1})[0] == 400
        engine.faults(wake_fails=1)
        engine.call("POST", "/sleep")
        assert engine.call("POST", "/wake_up")[0] == 500
        assert engine.sleeping()
        assert engine.call("POST", "/wake_up")[0] == 200
        engine.faults(wake_oom=1)
        engine.call("POST", "/sleep")
        status, text = engine.call("POST", "/wake_up")
        assert status == 500 and "CUDA out of memory" in text
        engine.call("POST", "/wake_up")
        engine.faults(clear=True, error_500=1)
        assert engine.complete() == 500
        assert engine.complete() == words("hi", 5)
        for framing in ("both_lengths", "bad_chunk", "garbage", "short"):
            engine.faults(clear=True, framing=framing)
            with contextlib.suppress(http.client.HTTPException, OSError, ValueError, KeyError):
                raise AssertionError(f"{framing}: {engine.complete()}")
        engine.faults(clear=True, hang=True)
        connection = engine.connection()
        connection.request("POST", "/v1/completions",
                           json.dumps({"model": "m", "prompt": "hi", "max_tokens": 2}))
        wait_for("the request to wait", lambda: engine.metric("num_requests_waiting") == 1)
        engine.faults(clear=True)
        assert json.loads(connection.getresponse().read())["choices"][0]["text"] == words("hi", 2)
        engine.faults(die_at_byte=500)
        connection, response = started_stream(engine, 1000)
        try:
            data = response.read()
        except (http.client.HTTPException, OSError) as error:
            data = getattr(error, "partial", b"")
        assert b"[DONE]" not in data
        assert engine.process.wait(60) == 1


def test_usage_errors():
    for arguments in ([], ["--model", "m", "--nothing"], ["--model", "m", "--port", "x"],
                      ["--model", "m", "--fault", "none"], ["--model", "a b\"c"],
                      ["--model", "m", "--vram-pool", "/tmp/x"],
                      ["--model", "m", "--resident-gib", "1", "--asleep-gib", "2"]):
        done = subprocess.run([str(SHUNT), "emulate", *arguments], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, (arguments, done)


if __name__ == "__main__":
    main(test_shapes, test_stream, test_bad_requests, test_control_needs_dev_mode,
         test_sleep_level_1, test_sleep_level_2_needs_reload, test_sleep_modes,
         test_slots_and_abort, test_shared_memory, test_faults, test_usage_errors)
