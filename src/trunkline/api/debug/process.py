"""This process, from within: where its threads are, what it holds, how much there is of it."""

from __future__ import annotations

import gc
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import FrameType

from trunkline.ambient import Ambient

LARGEST = 60
SAMPLES_PER_S = 100


def stacks() -> str:
    """Where each thread is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sorted(sys._current_frames().items()):
        parts.append(f"thread {names.get(ident, '?')} ({ident})\n{''.join(traceback.format_stack(frame))}")
    return "\n".join(parts)


def status() -> str:
    """What the kernel counts."""
    found = []
    for path in ("/proc/self/status", "/proc/self/limits", "/proc/self/cgroup", "/proc/loadavg", "/proc/meminfo"):
        try:
            found.append(f"== {path}\n{Path(path).read_text()}")
        except OSError as error:
            found.append(f"== {path}\n{error.strerror}\n")
    return "\n".join(found)


def packages() -> str:
    """What is installed beside it."""
    known = {f"{one.metadata['Name']}=={one.version}" for one in metadata.distributions()}
    return "\n".join(sorted(known, key=str.casefold)) + "\n"


def objects() -> str:
    """The kinds of objects of which there are most, as the garbage collector knows them."""
    counts = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    return "".join(f"{count:>10} {name}\n" for name, count in counts.most_common(LARGEST)) + "\n" + status()


def sampled(ambient: Ambient, seconds: float, wanted: Callable[[], bool]) -> str:
    """Where threads were, so many times a second and once at least: a stack a line, outermost first, and its count."""
    own = threading.get_ident()
    found: Counter[str] = Counter()
    end = ambient.ticks_s() + seconds
    while True:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident != own:
                found[";".join([names.get(ident, "?"), *_folded(frame)])] += 1
        ambient.sleep(1 / SAMPLES_PER_S)
        if ambient.ticks_s() >= end or not wanted():
            break
    return "".join(f"{stack} {count}\n" for stack, count in found.most_common())


def _folded(frame: FrameType | None) -> list[str]:
    calls = []
    while frame is not None:
        calls.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return calls[::-1]
