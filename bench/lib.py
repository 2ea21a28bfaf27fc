"""Shared by the programs of bench/: the machine line, CPU time of processes, tables."""
import datetime
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("SHUNT_BUILD", str(SOURCE / "build"))
os.environ.setdefault("SHUNT_SOURCE", str(SOURCE))
sys.path.insert(0, str(SOURCE / "tests" / "e2e"))
import shunt  # noqa: E402  (the helpers of the end-to-end tests)

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def machine():
    """One line that every figure is printed with."""
    model = "unknown CPU"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    revision = subprocess.run(["git", "-C", SOURCE, "describe", "--always", "--dirty"],
                              capture_output=True, text=True).stdout.strip()
    kernel = os.uname().release
    return (f"{datetime.date.today()}, {os.cpu_count()} x {model}, Linux {kernel}, shunt {revision}")


def cpu_s(pid):
    """User and system time of a process so far, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_bytes(pid):
    """Resident memory of a process."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def worker_pid(host):
    """The worker of a running host: the child of the supervisor that holds loop and policies."""
    def find():
        for pid in shunt.descendants(host.process.pid):
            if b"__worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None
    return shunt.wait_for("the worker runs", find)


def table(head, rows):
    """Prints a Markdown table."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
