#!/usr/bin/env python3
"""The rules of STYLE.md that a program can check: banned calls, marks of unfinished work, line
length, formatting, a head comment in every file, executable scripts, nothing large in the tree."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["SHUNT_SOURCE"])
CODE = ["sdk", "core", "base", "net", "host", "sim", "tools", "plugins", "tests", "bench", "examples"]
BANNED = re.compile(
    r"\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|gets|localtime|gmtime|ctime|asctime"
    r"|gettimeofday|rand|srand|random|usleep|sleep|alloca|system|popen|tmpnam|mktemp)\s*\(")
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
STRINGS = re.compile(r'"(?:\\.|[^"\\])*"')
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
LINE_MAX = 100
FILE_BYTES_MAX = 200_000
PAGES = {"docs/scoreboard.html": 1_000_000}  # generated
errors = []


def tracked():
    out = subprocess.run(["git", "-C", str(SOURCE), "ls-files", "-co", "--exclude-standard"],
                         capture_output=True, text=True)
    if out.returncode != 0:
        print("SKIP: not a git checkout, so the list of files is not known")
        sys.exit(77)
    return [SOURCE / name for name in out.stdout.splitlines() if (SOURCE / name).is_file()]


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def check_code(path, text):
    where = path.relative_to(SOURCE)
    if path.suffix in (".c", ".h") and not text.lstrip().startswith("/*"):
        errors.append(f"{where}:1: no head comment says why the file exists")
    stripped = COMMENT.sub(blank, STRINGS.sub(blank, text))
    for number, line in enumerate(stripped.splitlines(), 1):
        match = BANNED.search(line)
        if match and "banned: allowed" not in text.splitlines()[number - 1]:
            errors.append(f"{where}:{number}: {match.group(1)} is banned")
    if path.suffix != ".def":
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > LINE_MAX and "http" not in line:
                errors.append(f"{where}:{number}: {len(line)} columns, at most {LINE_MAX}")


files = tracked()
sources = []
for path in files:
    where = path.relative_to(SOURCE)
    if path.stat().st_size > PAGES.get(str(where), FILE_BYTES_MAX):
        errors.append(f"{where}: {path.stat().st_size} bytes; no data, builds or third-party code in the tree")
        continue
    if "corpus" in where.parts or where.parts[0] == "build":
        continue
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        continue
    if where.name not in ("test_style.py", "STYLE.md"):
        for number, line in enumerate(text.splitlines(), 1):
            if MARKS.search(line) and where.parts[0] in CODE + ["scripts", "docs", "cmake"]:
                errors.append(f"{where}:{number}: mark of unfinished work")
    if path.suffix in (".c", ".h", ".def") and where.parts[0] in CODE:
        check_code(path, text)
        if path.suffix != ".def":
            sources.append(str(path))
    if text.startswith("#!") and not os.access(path, os.X_OK):
        errors.append(f"{where}: has a #! line but is not executable")

clang_format = shutil.which("clang-format-14") or shutil.which("clang-format")
version = clang_format and subprocess.run([clang_format, "--version"], capture_output=True, text=True).stdout
if version and " 14." in version:
    for start in range(0, len(sources), 50):
        out = subprocess.run([clang_format, "--dry-run", "-Werror", *sources[start:start + 50]],
                             capture_output=True, text=True)
        errors += [line for line in out.stderr.splitlines() if "error:" in line]
else:
    print("formatting not checked: clang-format 14 is not installed")

for error in errors[:100]:
    print(error)
print(f"{len(files)} files checked, {len(errors)} broken rules")
sys.exit(1 if errors else 0)
