"""A control group of the kernel for the code of one worker: version 2, or the hierarchies of version 1.

It lies below the worker's own group where that works, else at the top of what this machine shows. Its name holds the
worker's process id, and in which pid namespace: what a killed worker left is removed by the next one that starts.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trunkline.worker.ports import Limits

PERIOD_US = 100_000
"""The time over which a share of the processors is counted."""

_PREFIX = "trunkline-"
_LEAST_QUOTA_US = 1000  # the kernel refuses less
_NO_LIMIT = {1: "-1", 2: "max"}


@dataclass(frozen=True)
class Part:
    """The group in one hierarchy: its folder, the version of the interface (1 or 2), and what it can limit."""

    folder: Path
    version: int
    limits: frozenset[str]


class Group:
    """The parts that this machine allows; none at all is a group that holds nothing to anything."""

    def __init__(self, parts: tuple[Part, ...] = ()) -> None:
        self._parts = parts
        self._now = Limits()

    @property
    def limits(self) -> frozenset[str]:
        """What it can hold code to: "memory", "cpu"."""
        return frozenset[str]().union(*(part.limits for part in self._parts))

    @property
    def entrances(self) -> list[str]:
        """Files into which a process writes "0" to get in."""
        return [str(part.folder / "cgroup.procs") for part in self._parts]

    def set(self, limits: Limits) -> None:
        """Hold what runs in it to these. Raises OSError."""
        if limits == self._now:
            return
        for part in self._parts:
            if "memory" in part.limits:
                _set_memory(part, limits.memory_bytes)
            if "cpu" in part.limits:
                _set_cpu(part, limits.cpu)
        self._now = limits

    def count_kills(self) -> int:
        """How often the kernel ended a process in it for want of memory."""
        for part in self._parts:
            if "memory" in part.limits:
                name = "memory.events" if part.version == 2 else "memory.oom_control"
                with contextlib.suppress(OSError):
                    found = re.search(r"^oom_kill (\d+)", (part.folder / name).read_text(), re.MULTILINE)
                    return int(found[1]) if found else 0
        return 0

    def remove(self) -> None:
        """Take it away, if nothing runs in it."""
        for part in self._parts:
            with contextlib.suppress(OSError):
                part.folder.rmdir()


def open_group(own: Path = Path("/proc/self"), top: Path | None = None) -> Group:
    """A group of this process's own, with each limit tried out. own, top: seams for tests."""
    parts: list[Part] = []
    found: set[str] = set()
    for version, name, places in _hierarchies(own, top):
        wanted = frozenset({"memory", "cpu"} if version == 2 else {name}) - found
        part = _part(version, wanted, places) if wanted else None
        if part is not None:
            parts.append(part)
            found |= part.limits
    return Group(tuple(parts))


def what_can_be_limited() -> frozenset[str]:
    """What groups on this machine can hold code to, found out by making one."""
    group = open_group()
    group.remove()
    return group.limits


def _hierarchies(own: Path, top: Path | None) -> Iterator[tuple[int, str, list[Path]]]:
    """Version, controller ("" for version 2) and folders below which a group may be made, best first."""
    groups: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in (own / "cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            groups |= dict.fromkeys(names.split(","), path)
    with contextlib.suppress(OSError):
        for line in (own / "mountinfo").read_text().splitlines():
            fields, _, rest = line.partition(" - ")
            root, point = fields.split(" ")[3:5]
            kind, _, options = rest.split(" ", 2)
            mounted = Path(point) if top is None else top / point.lstrip("/")
            if kind == "cgroup2":
                yield 2, "", _places(mounted, root, groups.get("", "/"))
            elif kind == "cgroup":
                for name in {"memory", "cpu"} & {*options.split(",")}:
                    yield 1, name, _places(mounted, root, groups.get(name, "/"))


def _places(mounted: Path, root: str, path: str) -> list[Path]:
    inside = os.path.relpath(path, root)
    return list(dict.fromkeys([mounted / inside, mounted] if not inside.startswith("..") else [mounted]))


def _part(version: int, wanted: frozenset[str], places: list[Path]) -> Part | None:
    """The group in the first place that allows what is wanted, or at least some of it."""
    best: Part | None = None
    for place in places:
        _clean(place)
        folder = place / f"{_PREFIX}{_namespace()}-{os.getpid()}"
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            continue
        if version == 2 and not all(_knows(folder, 2, each) for each in wanted):
            with contextlib.suppress(OSError):
                (place / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in sorted(wanted)))
        part = Part(folder, version, frozenset(each for each in wanted if _works(folder, version, each)))
        if part.limits and (best is None or len(part.limits) > len(best.limits)):
            part, best = best or part, part
        if best is not None and best.limits == wanted:
            break
        if part is not best:
            with contextlib.suppress(OSError):
                part.folder.rmdir()
    return best


def _knows(folder: Path, version: int, what: str) -> bool:
    return (folder / _file(version, what)).exists()


def _works(folder: Path, version: int, what: str) -> bool:
    """Whether a limit can be set, and a process can be let in."""
    try:
        (folder / _file(version, what)).write_text(_NO_LIMIT[version])
        return os.access(folder / "cgroup.procs", os.W_OK)
    except OSError:
        return False


def _file(version: int, what: str) -> str:
    if version == 2:
        return f"{what}.max"
    return "memory.limit_in_bytes" if what == "memory" else "cpu.cfs_quota_us"


def _set_memory(part: Part, size_bytes: int) -> None:
    """With no more of swap, where there is any: code shall not get around its limit there."""
    limit = str(size_bytes) if size_bytes else _NO_LIMIT[part.version]
    if part.version == 2:
        (part.folder / "memory.max").write_text(limit)
        with contextlib.suppress(OSError):
            (part.folder / "memory.swap.max").write_text("0" if size_bytes else limit)
        return
    both = part.folder / "memory.memsw.limit_in_bytes"
    with contextlib.suppress(OSError):
        both.write_text("-1")  # never less than the other one
    (part.folder / "memory.limit_in_bytes").write_text(limit)
    with contextlib.suppress(OSError):
        both.write_text(limit)


def _set_cpu(part: Part, share: float) -> None:
    quota = str(max(_LEAST_QUOTA_US, round(share * PERIOD_US))) if share else _NO_LIMIT[part.version]
    if part.version == 2:
        quota = f"{quota} {PERIOD_US}"
    (part.folder / _file(part.version, "cpu")).write_text(quota)


def _clean(place: Path) -> None:
    """Remove groups of workers that are no more. Of those in another pid namespace nobody here can tell."""
    with contextlib.suppress(OSError):
        for entry in place.glob(f"{_PREFIX}{_namespace()}-*"):
            number = entry.name.rpartition("-")[2]
            if number.isdigit() and not os.path.exists(f"/proc/{number}"):
                with contextlib.suppress(OSError):
                    entry.rmdir()


def _namespace() -> str:
    """The number of the pid namespace: one machine can have several worker processes of one number."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]") or "0"
    except OSError:
        return "0"
