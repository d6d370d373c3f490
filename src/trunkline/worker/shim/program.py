"""Where the shim's program is: in the wheel, or compiled once from the sources beside this module."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trunkline.errors import FailedPrecondition

MACHINES = ("x86_64", "aarch64")
"""What it is built for, as the kernel names it."""

SOURCES = Path(__file__).parent
_FLAGS = ("-D_GNU_SOURCE", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-static", "-Os", "-s")
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
_COMPILE_S = 600.0


class NoShim(FailedPrecondition):
    """There is no program for that machine, and none can be compiled here; the message says what to install."""


def machine_of(name: str) -> str:
    """The kernel's name of an architecture, as images or the kernel name it. Raises NoShim."""
    found = _ALIASES.get(name, name)
    if found not in MACHINES:
        raise NoShim(f"images for {name} cannot be run: user code is started on {' and '.join(MACHINES)} only")
    return found


def program(machine: str = "", packaged: Path = SOURCES / "bin", cache: Path | None = None) -> Path:
    """The program for `machine` ("": this one); compiled if this is no wheel and it was not yet. Raises NoShim.

    packaged: where a wheel has it. cache: where what was compiled is kept (default: below the user's cache folder).
    """
    machine = machine_of(machine or platform.machine())
    shipped = packaged / f"shim-{machine}"
    if shipped.exists():
        return shipped
    compiled = kept(machine, cache)
    if not compiled.exists():
        compile_for(machine, compiled, _compiler(machine))
    return compiled


def kept(machine: str, cache: Path | None = None) -> Path:
    """Where the program is kept once it was compiled. cache: as for `program`."""
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trunkline"
    return folder / f"shim-{_version()}-{machine}"


def with_zig(machine: str, python: str = sys.executable) -> Sequence[str]:
    """A command that compiles for any machine. python: an interpreter that has ziglang."""
    return (python, "-m", "ziglang", "cc", "-target", f"{machine}-linux-musl")


def compile_for(machine: str, target: Path, compiler: Sequence[str]) -> None:
    """Compile the sources into the program `target`. compiler: a command; empty: there is none. Raises NoShim."""
    if not compiler:
        raise NoShim(
            f"the program that runs user code in containers is not compiled for {machine} yet; type: "
            "pip install ziglang"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(each) for each in SOURCES.glob("*.c"))
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / "shim"
        done = subprocess.run(
            [*compiler, *_FLAGS, "-o", str(built), *sources], capture_output=True, timeout=_COMPILE_S, check=False
        )
        if done.returncode != 0:
            told = done.stderr.decode(errors="replace").strip()
            raise NoShim(f"the program that runs user code in containers does not compile: {told[-2000:]}")
        built.chmod(0o755)
        os.replace(built, target)  # whoever compiles at the same time has made the same


def _compiler(machine: str) -> Sequence[str]:
    """A command that compiles for it without the system's C library; empty if there is none."""
    if machine == platform.machine() and shutil.which("musl-gcc"):
        return ("musl-gcc",)
    if importlib.util.find_spec("ziglang") is not None:
        return with_zig(machine)
    return ()


def _version() -> str:
    """Changes with the sources and with how they are compiled."""
    digest = hashlib.blake2b("\0".join(_FLAGS).encode(), digest_size=8)
    for source in sorted(SOURCES.glob("*.[ch]")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()
