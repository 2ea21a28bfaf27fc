#!/usr/bin/env python3
"""Clients that nobody here wrote: the official OpenAI clients for Python and Node, and nginx in front.

Versions are pinned in clients/; they are installed once into the build folder. Where the registries
cannot be reached, or Node is absent, that part is skipped and says so.
"""
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import shunt

HERE = pathlib.Path(__file__).parent / "clients"
PLACE = shunt.BUILD / "clients"
skipped = []


def host():
    models = [
        shunt.model("alpha", max_concurrency=16,
                    emulate={"args": ("--max-model-len", "4000000")}),
        shunt.model("beta", max_concurrency=16, heartbeat_s=1.0,
                    emulate={"wake_s": 0.5}),
        shunt.model("tiny", max_concurrency=1, queue_per_model=1),
        shunt.model("late", max_wait_s=1.0, tiers=("stopped",), memory_gib={"resident": 10.0},
                    emulate={"load_s": 6.0}),
    ]
    return shunt.Host(models)


def installed(name, command, probe):
    """Installs a client unless it is there; False and a reason if that is not possible."""
    if probe():
        return True
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if probe():
        return True
    reason = (result.stderr or result.stdout).strip().splitlines()[-1:] or ["no output"]
    skipped.append(f"{name} could not be installed: {reason[0][:120]}")
    return False


def all_ended(instance):
    """Nothing is left behind by clients that went away."""
    def idle():
        status = instance.ctl("status")
        return all(item["queued"] == 0 and item["in_flight"] == 0
                   for cell in status["cells"] for item in cell["models"])
    shunt.wait_for("every queue and engine is empty", idle)


def python_client():
    python = PLACE / "python"
    pip = f"python3 -m venv {python} && {python}/bin/pip install -q -r {HERE}/requirements.txt"
    if not installed("openai for Python", ["sh", "-c", pip],
                     lambda: list(python.glob("lib/*/site-packages/openai/__init__.py"))):
        return
    with host() as instance:
        environment = {**os.environ, "OPENAI_BASE_URL": f"http://127.0.0.1:{instance.port}/v1"}
        subprocess.run([python / "bin" / "python", HERE / "client.py"], env=environment, check=True,
                       timeout=240)
        all_ended(instance)


def node_client():
    if not shutil.which("node") or not shutil.which("npm"):
        skipped.append("openai for Node: no node and npm here")
        return
    folder = PLACE / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "client.mjs"):
        shutil.copy(HERE / name, folder / name)
    if not installed("openai for Node", ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund",
                                         "--no-package-lock"],
                     lambda: (folder / "node_modules" / "openai" / "package.json").exists()):
        return
    with host() as instance:
        environment = {**os.environ, "OPENAI_BASE_URL": f"http://127.0.0.1:{instance.port}/v1"}
        subprocess.run(["node", folder / "client.mjs"], env=environment, check=True, timeout=240)
        all_ended(instance)


NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1;
            proxy_buffering off; proxy_read_timeout 5s;
        }}
    }}
}}
"""


def ask_through(port, stream):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = {"model": "beta", "messages": [{"role": "user", "content": "x"}], "max_tokens": 4, "stream": stream}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def nginx_in_front():
    """A switch of 12 s behind proxy_read_timeout 5s: heartbeats carry a stream over it; a request
    without them is cut by nginx, which shows that the test can fail."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        skipped.append("nginx is not installed")
        return
    slow = {"wake_s": 12.0, "load_s": 12.0}
    models = [shunt.model("alpha", preload=True), shunt.model("beta", heartbeat_s=2.0, emulate=slow)]
    with shunt.Host(models) as instance:
        port = shunt.free_port()
        text = NGINX.format(folder=instance.folder, port=port, upstream=instance.port)
        (instance.folder / "nginx.conf").write_text(text)
        proxy = subprocess.Popen([nginx, "-p", instance.folder, "-c", instance.folder / "nginx.conf"])
        try:
            shunt.wait_for("nginx listens", lambda: reachable(port))
            instance.chat("alpha")
            start = time.monotonic()
            status, body = ask_through(port, stream=True)
            assert status == 200 and body.rstrip().endswith("data: [DONE]"), (status, body[-300:])
            assert ": shunt queued" in body, body[:300]
            print(f"        a stream got over a switch of {time.monotonic() - start:.1f} s")
            instance.chat("alpha")
            status, body = ask_through(port, stream=False)
            assert status == 504, (status, body[-300:])
        finally:
            proxy.terminate()
            proxy.wait()


def reachable(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except OSError:
        return False


def report():
    for reason in skipped:
        print(f"SKIP: {reason}")


TESTS = [python_client, node_client, nginx_in_front]
try:
    shunt.main(*TESTS)
except SystemExit as end:
    report()
    sys.exit(77 if end.code == 0 and len(skipped) == len(TESTS) else end.code)
