#!/usr/bin/env python3
"""The report of a simulation in a real browser: it draws without an error, asks the network for
nothing, shows names as text whatever they hold, and does not come out blank, wide and narrow, light
and dark. The pictures stay in build/report for people to look at."""
import html.parser
import json
import re
import shutil
import struct
import subprocess
import tempfile
import zlib

import report_fixture
from shunt import BUILD, SHUNT, skip

FOLDER = BUILD / "report"
WRITER = BUILD / "tests" / "test.unit.sim.report"
SCENARIO = """
scenario: two engines
devices: [{name: gpu0, memory_gib: 80}]
models:
  - {name: conv, memory_gib: 50, max_concurrency: 4, service: {kind: serial}}
  - {name: img,  memory_gib: 40, max_concurrency: 1, service: {kind: serial}}
switch: {per_model: {conv: {sleep_s: 1, wake_s: 4}, img: {sleep_s: .5, wake_s: 3}}}
arrivals:
  - {kind: poisson, model: conv, rate_per_s: 0.3, service_s: {dist: exponential, mean: 6}}
  - {kind: poisson, model: img, rate_per_s: 0.03, service_s: {dist: exponential, mean: 5}}
requests: 1000
"""
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=5000"]


def browser():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return name
    return None


def browse(arguments, page):
    """Runs the browser on a page in a fresh profile; what it printed, and what it complained of."""
    with tempfile.TemporaryDirectory(prefix="shunt-report-") as profile:
        out = subprocess.run([browser(), *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()],
                             capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr[-2000:]
    said = [line for line in out.stderr.splitlines() if "CONSOLE" in line]
    assert not said, said
    return out.stdout


class Dom(html.parser.HTMLParser):
    """Counts elements by tag and class, and keeps the text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.counts, self.text, self.ids, self.silent = {}, [], set(), False
        self.feed(text)
        self.all_text = " ".join(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        for name in [tag] + [f"{tag}.{word}" for word in (attributes.get("class") or "").split()]:
            self.counts[name] = self.counts.get(name, 0) + 1
        self.ids.add(attributes.get("id"))
        self.silent = tag in ("script", "style")

    def handle_endtag(self, tag):
        self.silent = False

    def handle_data(self, data):
        if not self.silent:
            self.text.append(data)


def unfilter(kind, line, above, step):
    """One line of a PNG, its filter undone."""
    line = bytearray(line)
    for x, value in enumerate(line):
        left = line[x - step] if x >= step else 0
        up = above[x]
        corner = above[x - step] if x >= step else 0
        if kind == 1:
            value += left
        elif kind == 2:
            value += up
        elif kind == 3:
            value += (left + up) >> 1
        elif kind == 4:
            guess = left + up - corner
            value += min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
        line[x] = value & 255
    return bytes(line)


def pixels(path):
    """Width and the lines of a PNG of 8 bits a channel, each a list of colours."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        chunk = data[at + 8:at + 8 + size]
        at += 12 + size
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", chunk[:10])
            assert depth == 8 and colour in (2, 6), (depth, colour)
        elif kind == b"IDAT":
            packed += chunk
    step = 3 if colour == 2 else 4
    raw, above, lines = zlib.decompress(packed), bytes(width * step), []
    for y in range(height):
        start = y * (width * step + 1)
        above = unfilter(raw[start], raw[start + 1:start + 1 + width * step], above, step)
        lines.append([above[x:x + 3] for x in range(0, len(above), step)])
    return width, lines


def write(name, results):
    data, page = FOLDER / f"{name}.json", FOLDER / f"{name}.html"
    data.write_text(json.dumps(results))
    subprocess.run([str(WRITER), "--write", str(data), str(page)], check=True)
    return page


def check_file(page):
    """Nothing in the file makes a browser ask for anything."""
    text = page.read_text()
    code = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.S)
    for word in ("http:", "https:", "url(", "@import", "//cdn", "src=", "fetch(", "XMLHttpRequest", "innerHTML ="):
        found = code.count(word)
        assert found == (1 if word == "innerHTML =" else 0), f"{word} occurs {found} times"
    assert "default-src 'none'" in text
    assert text.count("</script>") == 2 and text.count("<script") == 2, "the data broke out of its element"


def check_dom(page, results, policies, models):
    dom = Dom(browse(["--dump-dom", "--window-size=1400,1000"], page))
    assert "html" in dom.counts and report_fixture.NASTY in dom.all_text
    assert dom.counts["script"] == 2 and "b" in dom.counts
    sections = ("compare", "devices", "time", "waits", "models", "bounds", "runs")
    assert {f"s0-{part}" for part in sections} <= dom.ids, dom.ids
    firsts = [result for result in results if result["seed"] == 1]
    segments = sum(len(result["series"]["segments"]) for result in firsts)
    assert dom.counts["rect.gantt"] == segments, (dom.counts["rect.gantt"], segments)
    assert dom.counts["rect.state"] == 5 * policies
    assert dom.counts["div.panel"] == models + 1
    assert dom.counts["div.track"] == policies + 1
    # Compared figures, a line a model and policy with a head, two classes, bounds, guard, requests.
    assert dom.counts["tr"] > 20 + models * (policies + 1)
    for number in ("a model has no service limit", "holds", "3.1"):
        assert number in dom.all_text, number
    return dom


# What a reader does, and what is to be seen then, written into the page for --dump-dom.
READER = """
const told = [], say = (what) => told.push(what);
const chart = () => document.querySelector("svg.time"), gantt = () => document.querySelectorAll("rect.gantt").length;
const [closer, , , , all] = document.querySelectorAll(".tools button");
const output = document.querySelector(".tools output"), tip = document.getElementById("tip");
const send = (kind, share) => {
    const box = chart().getBoundingClientRect();
    const at = {clientX: box.left + share * box.width, clientY: box.top + 20, bubbles: true, pointerType: "mouse"};
    chart().setPointerCapture = () => {};
    chart().dispatchEvent(new PointerEvent(kind, {...at, button: 0, pointerId: 1}));
};
const before = gantt();
send("pointermove", 0.5);
say(`tip ${!tip.hidden && tip.textContent.includes("waiting at ") && tip.textContent.includes("amortized: ")}`);
send("pointerleave", 0.5);
say(`gone ${tip.hidden}`);
closer.click();
say(`button ${output.textContent}`);
say(`fewer ${gantt() < before}`);
all.click();
say(`back ${gantt() === before && all.disabled}`);
send("pointerdown", 0.4); send("pointermove", 0.5); send("pointerup", 0.6);
say(`dragged ${gantt() < before && !all.disabled}`);
chart().dispatchEvent(new MouseEvent("dblclick", {bubbles: true}));
say(`whole ${gantt() === before}`);
document.body.append(Object.assign(document.createElement("pre"), {id: "told", textContent: told.join("; ")}));
"""


def check_reader(page):
    """Hovering, buttons, dragging, double click."""
    text = page.read_text()
    acted = page.with_name("acted.html")
    acted.write_text(text.replace("</body>", f"<script>{READER}</script></body>"))
    told = Dom(browse(["--dump-dom", "--window-size=1400,1000"], acted)).all_text
    for what in ("tip true", "gone true", "button 30 min to 1.5 h", "fewer true", "back true", "dragged true", "whole true"):
        assert what in told.replace("\u202f", " "), (what, told[-400:])


def check_picture(page, name, width, height, dark):
    picture = FOLDER / f"{name}.png"
    browse([f"--screenshot={picture}", f"--window-size={width},{height}",
            *(["--blink-settings=preferredColorScheme=0"] if dark else [])], page)
    wide, lines = pixels(picture)
    assert wide == width and len(lines) == height, (wide, len(lines))
    colours = {colour for line in lines for colour in line}
    assert len(colours) > 150, f"{name}: {len(colours)} colours"
    page_colour = lines[2][2]
    assert (sum(page_colour) < 3 * 80) == dark, (name, page_colour)
    # Every band of the picture has something in it, and nothing sticks out at the right.
    for top in range(0, height - 250, 250):
        ink = sum(colour != lines[top][2] for line in lines[top:top + 250] for colour in line)
        assert ink > 0.02 * 250 * width, f"{name}: blank from {top} to {top + 250}"
    assert all(line[width - 3] == page_colour for line in lines), f"{name}: wider than the window"


def check_real():
    """A report of real runs, by the verb that people use."""
    scenario, page = FOLDER / "real.yaml", FOLDER / "real.html"
    scenario.write_text(SCENARIO)
    out = subprocess.run([SHUNT, "sim", scenario, "--policy", "amortized,exhaustive", "--seeds", "2", "--json",
                          "--report", page], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    results = json.loads(out.stdout)["results"]
    assert all("series" not in result for result in results)
    check_file(page)
    if browser():
        dom = Dom(browse(["--dump-dom", "--window-size=1400,1000"], page))
        for text in ("two engines", "exhaustive", "work over the span of arrivals"):
            assert text in dom.all_text, text
        assert re.search(r"holds\s+in 2 runs", dom.all_text)
        visits = sum(model["visits"] for result in results if result["seed"] == 1 for model in result["models"])
        assert dom.counts["rect.gantt"] >= visits, (dom.counts["rect.gantt"], visits)
        check_picture(page, "real-light", 1400, 2600, False)


def main():
    if not WRITER.exists():
        skip(f"{WRITER} is not built")
    FOLDER.mkdir(parents=True, exist_ok=True)
    results = report_fixture.results()
    page = write("report", results)
    check_file(page)
    if not browser():
        check_real()
        skip("no chromium here (package chromium): the report was written, but not looked at")
    check_dom(page, results, 3, 4)
    check_reader(page)
    check_picture(page, "wide-light", 1400, 3000, False)
    check_picture(page, "wide-dark", 1400, 1500, True)
    check_picture(page, "narrow-light", 500, 2500, False)
    binned = report_fixture.results(policies=("fifo",), seeds=1)
    binned[0]["series"]["segments_end_s"] = 100.0
    dom = Dom(browse(["--dump-dom"], write("binned", binned)))
    assert "rect.gantt" not in dom.counts and dom.counts["path.gantt"] >= 8, dom.counts
    many = report_fixture.results([f"model-{number:02d}" for number in range(30)], ("fifo", "amortized"), 1, devices=2)
    page = write("many", many)
    dom = Dom(browse(["--dump-dom", "--window-size=1400,1000"], page))
    assert dom.counts["div.panel"] == 31 and dom.counts["details"] == 1
    alone = report_fixture.results(("only",), ("fifo",), 1)
    del alone[0]["series"]
    dom = Dom(browse(["--dump-dom"], write("alone", alone)))
    assert "s0-time" not in dom.ids and "s0-models" in dom.ids
    check_real()
    print(f"report drawn; pictures in {FOLDER}")


main()
