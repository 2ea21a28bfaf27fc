#!/usr/bin/env python3
"""Streams through the real host: clients that leave, slow readers, heartbeats, time-outs, cuts."""
import http.client
import json
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import shunt


def begin(host, name, **more):
    """Sends a streamed request; returns the connection without reading."""
    body = {"model": name, "messages": [{"role": "user", "content": "x"}], "stream": True, "max_tokens": 8}
    body.update(more)
    connection = host.connection()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    return connection


def model_of(host, name):
    for cell in host.ctl("status")["cells"]:
        for item in cell["models"]:
            if item["name"] == name:
                return item
    raise AssertionError(name)


def engine_origin(host, name):
    for item in host.ctl("models")["models"]:
        if item["name"] == name:
            return item["instances"][0]["origin"]
    raise AssertionError(name)


def engine_running(host, name):
    """The engine's own count of requests that it works on."""
    connection = http.client.HTTPConnection(engine_origin(host, name), timeout=10)
    connection.request("GET", "/metrics")
    for line in connection.getresponse().read().decode().splitlines():
        if line.startswith("vllm:num_requests_running"):
            return float(line.split()[-1])
    raise AssertionError("the engine says nothing about running requests")


LONG = {"ttft_ms": 5.0, "token_ms": 50.0}


def leaves_mid_stream():
    with shunt.Host([shunt.model("alpha", emulate=LONG)]) as host:
        connection = begin(host, "alpha", max_tokens=2000)
        assert b"data: " in connection.getresponse().readline()
        assert engine_running(host, "alpha") == 1
        start = time.monotonic()
        connection.sock.close()
        connection.close()
        shunt.wait_for("the engine has aborted", lambda: engine_running(host, "alpha") == 0, 20)
        print(f"        aborted upstream after {time.monotonic() - start:.3f} s")
        shunt.wait_for("it is counted", lambda: model_of(host, "alpha")["cancelled"] == 1)


def leaves_while_queued():
    with shunt.Host([shunt.model("alpha", max_concurrency=1, emulate=LONG)]) as host:
        first = begin(host, "alpha", max_tokens=2000)
        first.getresponse().readline()
        second = begin(host, "alpha")
        shunt.wait_for("the second waits", lambda: model_of(host, "alpha")["queued"] == 1)
        second.sock.close()
        second.close()
        shunt.wait_for("it is gone", lambda: model_of(host, "alpha")["queued"] == 0)
        first.close()


def slow_reader_does_not_hold_a_switch():
    """A client that reads nothing while its answer is generated; the other model is served meanwhile."""
    fast = {"ttft_ms": 1.0, "token_ms": 0.05}
    models = [shunt.model("alpha", emulate=fast), shunt.model("beta", emulate=fast)]
    with shunt.Host(models) as host:
        assert host.chat("alpha").status == 200
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", host.port))
        body = json.dumps({"model": "alpha", "messages": [{"role": "user", "content": "x"}], "stream": True,
                           "max_tokens": 8000}).encode()
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        shunt.wait_for("it runs or is done", lambda: model_of(host, "alpha")["accepted"] == 2)
        answer = host.chat("beta")
        assert answer.status == 200, answer.body
        got = b""
        sock.settimeout(shunt.PATIENCE_S)
        while not got.endswith(b"0\r\n\r\n"):
            piece = sock.recv(65536)
            assert piece, got[-200:]
            got += piece
        assert b"data: [DONE]" in got
        assert model_of(host, "alpha")["completed"] == 2 and model_of(host, "alpha")["cut"] == 0
        sock.close()


def heartbeats():
    models = [shunt.model("alpha"), shunt.model("beta", heartbeat_s=0.1, emulate={"wake_s": 1.0, "load_s": 1.0})]
    with shunt.Host(models) as host:
        assert host.chat("alpha").status == 200
        answer = begin(host, "beta").getresponse()
        text = answer.read().decode()
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
        assert ": shunt queued position=1" in text, text[:300]
        assert text.rstrip().endswith("data: [DONE]"), text[-300:]
        plain = host.chat("alpha")
        assert plain.status == 200 and b"shunt queued" not in plain.body


def queue_timeout():
    models = [shunt.model("alpha", max_concurrency=1, max_wait_s=0.5, reject_hopeless=False, emulate=LONG)]
    with shunt.Host(models) as host:
        first = begin(host, "alpha", max_tokens=2000)
        first.getresponse().readline()
        answer = host.chat("alpha")
        assert answer.status == 504 and answer.json["error"]["code"] == "shunt_queue_timeout", answer.body
        first.close()


def engine_timeouts():
    """An engine that accepts a request and says nothing."""
    limits = {"first_byte_timeout_s": 0.5}
    with shunt.Host([shunt.model("alpha")], limits=limits) as host:
        assert host.chat("alpha").status == 200
        connection = http.client.HTTPConnection(engine_origin(host, "alpha"), timeout=10)
        connection.request("POST", "/emulate/faults", '{"hang": true}', {"content-type": "application/json"})
        assert connection.getresponse().status == 200
        answer = host.chat("alpha")
        assert answer.status == 504, answer.body
        assert answer.json["error"]["code"] == "engine_first_byte_timeout", answer.body


def drain_cut():
    """An answer that is longer than the drain limit ends with an event that says so."""
    models = [shunt.model("alpha", emulate=LONG), shunt.model("beta")]
    with shunt.Host(models, guard={"drain_s": 0.5, "switch_timeout_s": 20.0, "visit_cap_s": 0.5}) as host:
        stream = begin(host, "alpha", max_tokens=5000).getresponse()
        stream.readline()
        assert host.chat("beta").status == 200
        text = stream.read().decode()
        assert "shunt_drain_timeout" in text and "[DONE]" not in text, text[-300:]
        json.loads(text.rstrip().rsplit("data: ", 1)[1])
        assert model_of(host, "alpha")["cut"] == 1


def explained():
    """The parts of a wait sum to it exactly, and name the switch."""
    models = [shunt.model("alpha"), shunt.model("beta", emulate={"load_s": 0.5})]
    with shunt.Host(models) as host:
        host.chat("alpha")
        name = host.chat("beta").headers["x-shunt-request"]
        answer = host.ctl("explain", name)
        parts = answer["wait_parts_ns"]
        assert sum(parts.values()) == answer["wait_ns"] > 0, answer
        assert parts["in"] > 0, parts
        assert answer["state"] == "completed" and answer["model"] == "beta", answer
        assert host.ctl("explain", "no-such-request", check=False).returncode == 2


shunt.main(leaves_mid_stream, leaves_while_queued, slow_reader_does_not_hold_a_switch, heartbeats, queue_timeout,
           engine_timeouts, drain_cut, explained)
