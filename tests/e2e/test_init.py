#!/usr/bin/env python3
"""The command line of `shunt`: help, exit statuses, key, init and its probe of a running server."""
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading

SHUNT = os.path.join(os.environ["SHUNT_BUILD"], "bin", "shunt")


def run(*args):
    done = subprocess.run([SHUNT, *args], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class Engine(http.server.BaseHTTPRequestHandler):
    """Lists two names of one engine, as vLLM does; anything else is 404."""

    owner = "vllm"

    def do_GET(self):
        names = [{"id": name, "object": "model", "owned_by": self.owner} for name in ("big", "lora")]
        body = json.dumps({"object": "list", "data": names}).encode()
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def expect(condition, *shown):
    if not condition:
        print("failed:", *shown, file=sys.stderr)
        sys.exit(1)


def check_help():
    for args, status in ((["help"], 0), ([], 2), (["nothing"], 2), (["help", "nothing"], 2),
                         (["--version"], 0), (["key", "--help"], 0), (["key"], 2),
                         (["init", "--what"], 2)):
        code, out, err = run(*args)
        expect(code == status, args, code, err)
        expect(status != 2 or err, args, "says nothing")
    code, out, err = run("serve", "--help-config")
    code_again, again, err = run("help", "--config")
    expect("max_wait_s" in again and code_again == 0, err)


def check_key(folder):
    keys = os.path.join(folder, "keys")
    code, first, err = run("key", "-f", keys, "alice")
    expect(code == 0 and first.startswith("sk-shunt-"), err)
    code, second, err = run("key", "-f", keys, "bob")
    with open(keys, encoding="utf-8") as file:
        lines = file.read().splitlines()
    expect([line.split(":")[0] for line in lines] == ["alice", "bob"], lines)
    expect(first.strip() not in "".join(lines) and first != second, lines)
    expect(os.stat(keys).st_mode & 0o077 == 0, "keys file is open to others")


def check_init(folder):
    path = os.path.join(folder, "shunt.cfg")
    code, out, err = run("init", "-o", path)
    expect(code == 0 and not out and not err, code, out, err)
    code, out, err = run("init", "-o", path)
    expect(code == 1 and "--force" in err, code, err)
    code, out, err = run("init", "-o", path, "--force")
    expect(code == 0, err)


def check_probe():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d" % server.server_address[1]
    code, out, err = run("init", "--probe", url)
    expect(code == 0, err)
    expect('name = "big";' in out and 'aliases = [ "lora" ];' in out and url in out, out)
    expect('engine = "vllm";' in out and 'tiers = [ "asleep" ];' in out, out)
    Engine.owner = "llamacpp"
    code, out, err = run("init", "--probe", url)
    expect(code == 0 and "pin = true;" in out and 'engine = "llama_server";' in out, out, err)
    server.shutdown()
    server.server_close()
    code, out, err = run("init", "--probe", url)
    expect(code == 1 and url in err and not out, code, out, err)
    code, out, err = run("init", "--probe", "gpu-box")
    expect(code == 2 and "http://HOST:PORT" in err, code, err)


with tempfile.TemporaryDirectory() as scratch:
    check_help()
    check_key(scratch)
    check_init(scratch)
    check_probe()
