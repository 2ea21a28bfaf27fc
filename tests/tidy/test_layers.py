#!/usr/bin/env python3
"""The layering rule: which layer includes which, and which symbols its objects may use.

The include path of a layer already hides the layers above it; this test also catches system headers
and library calls that a pure layer must not have. ARCHITECTURE.md states the rule in words.
"""
import os
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["SHUNT_SOURCE"])
BUILD = pathlib.Path(os.environ["SHUNT_BUILD"])

# layer: (layers whose headers it may include, system headers it may include or None for any,
#         headers it may never include)
LAYERS = {
    "sdk": ({"shunt"}, {"stdint.h", "stddef.h", "stdbool.h"}, set()),
    "core": ({"shunt", "core"},
             {"stdint.h", "stddef.h", "stdbool.h", "string.h", "assert.h", "errno.h", "limits.h"}, set()),
    "plugins": ({"shunt"}, {"stdint.h", "stddef.h", "stdbool.h"}, set()),
    "base": ({"shunt", "core", "base"}, None, {"event2", "pthread.h", "threads.h", "cuda.h"}),
    "net": ({"shunt", "core", "base", "net"}, None, {"cuda.h"}),
    "host": ({"shunt", "core", "base", "net", "host"}, None, {"cuda.h"}),
    "sim": ({"shunt", "core", "base", "sim"}, None, {"event2", "cuda.h"}),
    "tools": ({"shunt", "core", "base", "net", "host", "sim", "tools"}, None, set()),
}
OWN = {"shunt", "core", "base", "net", "host", "sim", "tools", "plugins"}
# What a compiler and the C library's string.h and assert.h may leave undefined in an object.
CORE_SYMBOLS = re.compile(
    r"^(mem(cpy|move|set|cmp|chr)|str(len|nlen|cmp|ncmp)|__mem(cpy|move|set)_chk|__assert_fail"
    r"|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|sanitizer|gcov)_.*|__llvm_.*)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
errors = []


def check_includes(layer, rule):
    own_allowed, system_allowed, forbidden = rule
    for path in sorted((SOURCE / layer).rglob("*.[ch]")) + sorted((SOURCE / layer).rglob("*.def")):
        if "template" in path.parts or path.name.startswith("test_"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header = match.group(1)
            top = header.split("/")[0]
            where = f"{path.relative_to(SOURCE)}:{number}: {layer} may not include {header}"
            if top in OWN and "/" in header:
                if top not in own_allowed:
                    errors.append(where)
            elif top in forbidden or header in forbidden:
                errors.append(where)
            elif system_allowed is not None and header not in system_allowed:
                errors.append(where)


def undefined(path):
    out = subprocess.run(["nm", "--undefined-only", "--format=posix", str(path)],
                         capture_output=True, text=True, check=True).stdout
    return {line.split()[0].split("@")[0] for line in out.splitlines()
            if len(line.split()) > 1 and line.split()[1] in "Uw"}


def check_core_symbols():
    archive = BUILD / "core" / "libshunt_core.a"
    defined = subprocess.run(["nm", "--defined-only", "--format=posix", str(archive)],
                             capture_output=True, text=True, check=True).stdout
    own = {line.split()[0] for line in defined.splitlines() if len(line.split()) > 1}
    for symbol in sorted(undefined(archive) - own):
        if not CORE_SYMBOLS.match(symbol):
            errors.append(f"core/libshunt_core.a uses {symbol}")


def check_plugin_symbols():
    allowed = re.compile(CORE_SYMBOLS.pattern[:-1] + r"|^_ITM_.*|^__gmon_start__|^__cxa_finalize$")
    plugins = sorted((BUILD / "lib" / "shunt" / "policies").glob("*.so"))
    if (SOURCE / "plugins" / "fifo").exists() and not plugins:
        errors.append("no plugin was built")
    for plugin in plugins:
        for symbol in sorted(undefined(plugin)):
            if not allowed.match(symbol):
                errors.append(f"{plugin.relative_to(BUILD)} uses {symbol}")
        out = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", str(plugin)],
                             capture_output=True, text=True, check=True).stdout
        exported = [line.split()[0] for line in out.splitlines() if line]
        exported = [name for name in exported if not re.match(r"__(asan|ubsan|odr_asan|start|stop)", name)]
        if exported != ["shunt_plugin_v1"]:
            errors.append(f"{plugin.relative_to(BUILD)} exports {exported}")


for name, layer_rule in LAYERS.items():
    if (SOURCE / name).is_dir():
        check_includes(name, layer_rule)
check_core_symbols()
check_plugin_symbols()
for error in errors:
    print(error)
print(f"{len(LAYERS)} layers checked, {len(errors)} broken rules")
sys.exit(1 if errors else 0)
