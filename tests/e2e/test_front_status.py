#!/usr/bin/env python3
"""What the front answers: every status with its shape, framing tricks, keys, aliases; and that no
secret reaches the log."""
import json
import pathlib
import re
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import shunt

SECRET = "sk-this-is-a-prompt-nobody-may-log"


def raw(host, text):
    """Sends bytes as they are and returns all that comes until the host closes, or one whole answer."""
    with socket.create_connection(("127.0.0.1", host.port), timeout=shunt.PATIENCE_S) as sock:
        sock.sendall(text)
        got = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                return got
            got += piece
            head, _, body = got.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if length and len(body) >= int(length.group(1)) and b"close" not in head.lower():
                return got


def expect(answer, status, code=None, param=None, message=""):
    assert answer.status == status, (answer.status, answer.body)
    error = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    assert code is None or error["code"] == code, error
    assert error["param"] == param, error
    assert message in error["message"], error
    return answer


def models():
    return [shunt.model("alpha", aliases=("default",)), shunt.model("org/beta")]


def statuses():
    with shunt.Host(models(), limits={"body_max_mib": 1.0, "uri_max_kib": 1.0, "header_max_kib": 8.0}) as host:
        def post(body, path="/v1/chat/completions", kind="application/json", **headers):
            return host.request("POST", path, body, {"content-type": kind, **headers})

        expect(post("{"), 400, "invalid_json")
        expect(post("[1]"), 400, "invalid_json")
        expect(post('{"a":1}'), 400, param="model", message="missing")
        expect(post('{"model":3}'), 400, param="model")
        expect(post('{"model":"alpha","model":"org/beta"}'), 400, param="model")
        expect(post('{"model":"alpha","mod\\u0065l":"org/beta"}'), 400, param="model")
        expect(post('{"model":"alpha","stream":"yes"}'), 400, param="stream")
        expect(post('{"model":"gamma"}'), 404, "model_not_found", "model", "alpha, org/beta")
        expect(post("{}", kind="text/plain"), 415)
        expect(post("--b--\r\n", kind="multipart/form-data; boundary=b"), 415, "no_model_field", "model")
        expect(post("{}", path="/nothing"), 404, "unknown_path")
        expect(post(b"x" * (1 << 20) + b"x"), 413, "body_too_large")
        expect(host.get("/v1/chat/completions"), 405, "method_not_allowed")
        expect(host.get("/" + "a" * 2000), 414)
        expect(host.get("/v1/models", headers={"x-long": "a" * 10000}), 431)
        expect(post('{"model":"alpha"}', **{"x-shunt-priority": "9"}), 400, param="x-shunt-priority")

        for name in ("alpha", "default"):
            answer = host.chat(name, SECRET)
            assert answer.status == 200, answer.body
            assert answer.headers["x-shunt-policy"] == "fifo"
            assert int(answer.headers["x-shunt-queue-ms"]) >= 0
            assert answer.headers["x-shunt-request"]
            assert answer.json["model"] == "alpha", answer.json
        escaped = '{"mod\\u0065l":"\\u0061lpha","messages":[{"role":"user","content":"x"}],"max_tokens":2}'
        assert post(escaped).status == 200
        listed = host.get("/v1/models").json
        assert [item["id"] for item in listed["data"]] == ["alpha", "default", "org/beta"], listed
        assert host.get("/v1/models/org%2Fbeta").json["id"] == "org/beta"
        assert host.request("HEAD", "/v1/models").body == b""
        answer = host.request("OPTIONS", "/v1/completions")
        assert answer.status == 204 and answer.headers["allow"] == "POST, OPTIONS"
        assert host.request("GET", "/upstream/org/beta/version").status == 200
        text = host.get("/metrics").body.decode()
        assert 'shunt_requests_total{model="alpha",outcome="completed"} 3' in text, text
        assert SECRET not in host.log.read_text()


def framing_tricks():
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    body = b'{"model":"alpha"}'
    tricks = {
        "two lengths": head + b"Content-Length: 17\r\nContent-Length: 16\r\n\r\n" + body,
        "length and chunks": head + b"Content-Length: 17\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "unknown coding": head + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "space before colon": head + b"Content-Length : 17\r\n\r\n" + body,
        "signed length": head + b"Content-Length: +17\r\n\r\n" + body,
        "bare line feed": head.replace(b"\r\n", b"\n") + b"Content-Length: 17\n\n" + body,
        "chunk size 0x": head + b"Transfer-Encoding: chunked\r\n\r\n0x11\r\n" + body + b"\r\n0\r\n\r\n",
        "no host": b"GET /livez HTTP/1.1\r\n\r\n",
        "absolute target": b"GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n",
        "nul": b"GET /livez HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
        "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    }
    with shunt.Host(models()) as host:
        for name, text in tricks.items():
            got = raw(host, text)
            status = int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/1.1 ") else None
            assert status in (400, 501, 505), (name, got[:200])
            assert got.count(b"HTTP/1.1 ") == 1, (name, got)  # nothing behind it was read as a request
        assert host.chat("alpha").status == 200


def keys():
    folder = pathlib.Path(shunt.tempfile.mkdtemp())
    file = folder / "keys"
    made = subprocess.run([shunt.SHUNT, "key", "-f", file, "team-a"], capture_output=True, text=True, check=True)
    key = made.stdout.split()[-1]
    with shunt.Host(models(), keys_file=str(file)) as host:
        expect(host.chat("alpha"), 401, "invalid_api_key")
        expect(host.chat("alpha", headers={"authorization": "Bearer sk-shunt-wrong"}), 401)
        expect(host.get("/v1/models"), 401)
        assert host.chat("alpha", headers={"authorization": f"Bearer {key}"}).status == 200
        assert host.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status == 200
        assert host.get("/livez").status == 200
        metrics = host.get("/metrics").body.decode()
        for text in (metrics, host.log.read_text()):
            assert key not in text and "team-a" not in text
    shunt.shutil.rmtree(folder)


def queue_full():
    slow = {"ttft_ms": 20.0, "token_ms": 200.0}
    with shunt.Host([shunt.model("alpha", max_concurrency=1, queue_per_model=1, emulate=slow)]) as host:
        connections = []
        for count in (1, 2):
            connection = host.connection()
            body = {"model": "alpha", "messages": [{"role": "user", "content": "x"}], "max_tokens": 50}
            connection.request("POST", "/v1/chat/completions", json.dumps(body),
                               {"content-type": "application/json"})
            connections.append(connection)

            def held():
                item = host.ctl("status")["cells"][0]["models"][0]
                return (item["in_flight"], item["queued"]) == (1, count - 1)
            shunt.wait_for(f"one request runs and {count - 1} wait", held)
        answer = expect(host.chat("alpha"), 429, "queue_full")
        assert int(answer.headers["retry-after"]) >= 1
        for connection in connections:
            connection.close()


shunt.main(statuses, framing_tricks, keys, queue_full)
