#!/usr/bin/env python3
"""Every member, column and extension of the SDK's headers is in the log of ABI.md and in the layout
table; column ids are unique; every struct that crosses by address begins with its size."""
import os
import re
import sys

source = os.environ["SHUNT_SOURCE"]
sys.path.insert(0, os.path.join(source, "tests", "abi"))
import abi_members  # noqa: E402

# Elements of arrays and heads with a magic number first; see rule 2 of the charter.
WITHOUT_SIZE = {"shunt_secondary", "shunt_victim", "shunt_column", "shunt_param_value",
                "shunt_snapshot", "shunt_plugin"}

errors = []
structs = abi_members.structs(source)
with open(os.path.join(source, "sdk", "ABI.md"), encoding="utf-8") as file:
    log = file.read()
with open(os.path.join(source, "tests", "abi", "layout.def"), encoding="utf-8") as file:
    layout = set(re.findall(r"^ABI_MEMBER\((\w+), (\w+),", file.read(), flags=re.M))

for header, name, members in structs:
    row = re.search(r"^\|[^|]*\| `struct %s` [^|]*\|(.*)\|$" % name, log, flags=re.M)
    logged = set(re.findall(r"`(\w+)`", " ".join(
        m.group(1) for m in re.finditer(r"^\|[^|]*\| `struct %s` [^|]*\|(.*)\|$" % name, log,
                                        flags=re.M))))
    if not row:
        errors.append(f"{header}: struct {name} is not in the log of ABI.md")
    for member in members:
        if row and member not in logged:
            errors.append(f"{header}: {name}.{member} is not in the log of ABI.md")
        if (name, member) not in layout:
            errors.append(f"{header}: {name}.{member} is not in tests/abi/layout.def")
    if name not in WITHOUT_SIZE and members[0] != "size":
        errors.append(f"{header}: struct {name} does not begin with size")
known = {(name, member) for _, name, members in structs for member in members}
errors += [f"layout.def: {name}.{member} is gone from the headers: released things stay"
           for name, member in sorted(layout - known)]

seen = {}
columns = abi_members.columns(source)
for number, name, *_ in columns:
    for key in (number, name):
        if key in seen:
            errors.append(f"columns.def: {key} stands for {seen[key]} and {name}")
        seen[key] = name
    if not re.search(r"^\|[^|]*\| %s \| `%s` \|" % (number, name), log, flags=re.M):
        errors.append(f"columns.def: {number} {name} is not in ABI.md")
with open(os.path.join(source, "sdk", "include", "shunt", "ext.h"), encoding="utf-8") as file:
    for extension in re.findall(r'"(shunt\.\w+/\d+)"', file.read()):
        if f"`{extension}`" not in log:
            errors.append(f"ext.h: {extension} is not in ABI.md")
if len(structs) < 20 or len(columns) < 60:
    errors.append(f"only {len(structs)} structs and {len(columns)} columns found: parser broken?")
for error in errors:
    print(error, file=sys.stderr)
sys.exit(bool(errors))
