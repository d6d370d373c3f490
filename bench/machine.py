"""Facts about the machine and the versions that figures depend on."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

PACKAGES = ("grpcio", "pyarrow", "SQLAlchemy", "pysqlite3", "blake3", "pyfastcdc", "uvloop")
LOOK_S = 1.0
HERE = Path(__file__).resolve().parent


def first_line(*command: str) -> str:
    """What a program says of itself; "not here" if there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE)
    except (OSError, subprocess.CalledProcessError):
        return "not here"
    return (done.stdout.strip().splitlines() or [""])[0]


def field(path: str, name: str) -> str:
    """The value beside `name` in a file of `name : value` lines, such as those of /proc."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return "unknown"


def commit() -> str:
    """The commit that is checked out, and whether something else is."""
    changed = "" if first_line("git", "diff", "--quiet", "HEAD", "--", "../src") != "not here" else ", with changes"
    return first_line("git", "rev-parse", "--short", "HEAD") + changed


def facts() -> list[str]:
    """Lines for the head of a report."""
    memory = int(field("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20)
    return [
        f"{os.cpu_count()} cores of {field('/proc/cpuinfo', 'model name')}, {memory:.0f} GiB of memory, "
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}; " + ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES),
        f"{first_line('git', '--version')}, {first_line('cp', '--version')}, {first_line('xargs', '--version')}",
    ]


def files_on(folder: Path) -> str:
    """What the measured files lie on, such as "ext4 without a journal", where making a file costs more the more of them
    were removed in the last minute."""
    kind, _, source = first_line("findmnt", "-nro", "FSTYPE,SOURCE", "-T", str(folder)).partition(" ")
    if kind != "ext4":
        return kind
    task = Path("/sys/fs/ext4", Path(source).resolve().name, "journal_task")
    bare = task.exists() and task.read_text().strip() == "<none>"
    place = " in a file (loop)" if Path(source).name.startswith("loop") else ""
    return f"{kind}{' without a journal' if bare else ''}{place}"


def busy_s() -> float:
    """CPU seconds that all programs of this machine used since it was started."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def others_cores() -> float:
    """How many cores other programs use, while ours does nothing. What is left to write is written before."""
    os.sync()
    before, start = busy_s(), time.perf_counter()
    time.sleep(LOOK_S)
    return (busy_s() - before) / (time.perf_counter() - start)
