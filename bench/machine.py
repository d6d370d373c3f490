"""Facts about the machine and the versions that figures depend on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("grpcio", "pyarrow", "SQLAlchemy", "pysqlite3", "blake3", "pyfastcdc", "uvloop")


def first_line(*command: str) -> str:
    """What a program says of itself; "not here" if there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not here"
    return (done.stdout.strip().splitlines() or [""])[0]


def field(path: str, name: str) -> str:
    """The value beside `name` in a file of `name : value` lines, such as those of /proc."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return "unknown"


def facts(folder: Path) -> list[str]:
    """Lines for the head of a report; `folder`: where the measured files lie."""
    memory = int(field("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20)
    file_system = first_line("stat", "-f", "-c", "%T", str(folder))
    commit = first_line("git", "rev-parse", "--short", "HEAD")
    changed = "" if first_line("git", "diff", "--quiet", "HEAD") != "not here" else ", with changes"
    return [
        f"{os.cpu_count()} cores of {field('/proc/cpuinfo', 'model name')}, {memory:.0f} GiB of memory, "
        f"files on {file_system}, Linux {platform.release()}",
        f"Python {platform.python_version()}; " + ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES),
        f"{first_line('git', '--version')}, {first_line('cp', '--version')}, {first_line('xargs', '--version')}",
        f"Trunkline at commit {commit}{changed}",
    ]
