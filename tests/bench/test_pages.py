#!/usr/bin/env python3
"""The pages that compare policies: what is generated is well-formed, and no policy is left out."""
import html.parser
import os
import pathlib
import re
import sys
import tempfile

SOURCE = pathlib.Path(os.environ["SHUNT_SOURCE"])
sys.path.insert(0, str(SOURCE / "bench"))
sys.dont_write_bytecode = True
from chart import device_time, forest, heat  # noqa: E402
from compare import Ratio  # noqa: E402
from page import Page, inline  # noqa: E402

VOID = {"meta", "rect", "line", "circle", "path", "br"}


def expect(condition, *shown):
    if not condition:
        print("failed:", *shown, file=sys.stderr)
        sys.exit(1)


class Nesting(html.parser.HTMLParser):
    """Every element that is opened is closed, in order; nothing is fetched from anywhere."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.wrong += [f"{tag} fetches {value}" for name, value in attrs if name == "src" or (value or "").startswith("http")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data):
        self.texts.append(data)


def check_page(folder):
    page = Page("A <page>")
    page.heading("Part & parcel")
    page.text("**Bold**, *soft*, `a < b`, [there](X.md), 0.3 [0.1, 0.5]* and 2 * 3")
    page.table(["one", "two"], [["a|b < c", ("1.00", "best")], ["d", ("2.00", "off")]])
    states = {f"{name}_frac": 0.2 for name in ("serving", "draining", "switching", "lingering", "idle")}
    page.figure(heat(["p"], ["A-1", "B-1"], lambda name, column: (1.5, "") if column == "A-1" else (None, ">")), "heat")
    page.figure(forest([("x", Ratio(.5, .4, .6, .01, 40, 0.0)), ("y", Ratio(2, None, None, None, 12, None))]), "forest")
    page.figure(device_time([("p", states)]), "time")
    page.write(folder / "p.md", folder / "p.html")
    text = (folder / "p.html").read_text()
    parser = Nesting()
    parser.feed(text)
    expect(not parser.wrong and not parser.open, parser.wrong, parser.open)
    expect("A <page>" in parser.texts and "a|b < c" in parser.texts, parser.texts)
    expect("**1.00**" in (folder / "p.md").read_text(), "the best is not bold")
    expect(inline("*soft* 0.5]* x") == "<em>soft</em> 0.5]* x", inline("*soft* 0.5]* x"))


def check_generated():
    for name in ("scoreboard.html",):
        parser = Nesting()
        parser.feed((SOURCE / "docs" / name).read_text())
        expect(not parser.wrong and not parser.open, name, parser.wrong, parser.open)


def check_named():
    """A policy that is shipped stands in the table of docs/SCHEDULING.md."""
    text = (SOURCE / "docs" / "SCHEDULING.md").read_text()
    linked = set(re.findall(r"\[`(\w+)`\]\(\.\./plugins/\1/README\.md\)", text))
    shipped = {path.parent.name for path in (SOURCE / "plugins").glob("*/README.md")}
    expect(shipped == linked, "docs/SCHEDULING.md: its table and plugins/ differ by", sorted(shipped ^ linked))


with tempfile.TemporaryDirectory() as name:
    check_page(pathlib.Path(name))
check_generated()
check_named()
