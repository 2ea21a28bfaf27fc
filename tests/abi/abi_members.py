"""Reads the structs of the ABI out of the SDK's headers: [(header, struct, [members])]."""
import os
import re

# Of inline helpers, compiled into the policy: they never cross the boundary.
HELPERS = {"shunt_waiters", "shunt_turn"}


def structs(source):
    found = []
    folder = os.path.join(source, "sdk", "include", "shunt")
    for header in sorted(os.listdir(folder)):
        if not header.endswith(".h"):
            continue
        with open(os.path.join(folder, header), encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        text = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", " ", text, flags=re.M)
        for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, flags=re.S | re.M):
            if name in HELPERS:
                continue
            members = []
            for declaration in body.split(";"):
                declaration = " ".join(declaration.split())
                if not declaration:
                    continue
                pointer = re.search(r"\(\*(\w+)\)\(", declaration)
                plain = re.search(r"(\w+)(?:\[\w+\])?$", declaration)
                members.append((pointer or plain).group(1))
            found.append((header, name, members))
    return found


def columns(source):
    path = os.path.join(source, "sdk", "include", "shunt", "columns.def")
    with open(path, encoding="utf-8") as file:
        return re.findall(r"^SHUNT_COLUMN\((\d+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*\"(.*)\"\)",
                          file.read(), flags=re.M)
