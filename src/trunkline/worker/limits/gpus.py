"""The GPUs of this machine, whole ones, each for one worker at a time.

A worker holds a device by a lock on a file in a folder that all workers of a server share. Locks end with the process
that has them, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.worker.ports import Step

VARIABLES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""What tells code which devices are its own."""

_LOOK_S = 0.1
_SAY_S = 30.0
_SMI_S = 20
_LISTED = re.compile(r"^GPU \d+: .*\(UUID: (\S+)\)", re.M)
_NODE = re.compile(r"nvidia\d+")


def found(environ: Mapping[str, str], dev: Path = Path("/dev")) -> tuple[str, ...]:
    """The devices of this machine as CUDA names them: those that our own environment leaves us, by id or number."""
    said = environ.get(VARIABLES[0])
    if said is not None:
        return tuple(name for each in said.split(",") if (name := each.strip()) and name != "-1")
    nodes = [name for name in os.listdir(dev) if _NODE.fullmatch(name)]
    if not nodes or environ.get(VARIABLES[1]) in ("none", "void"):
        return ()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=_SMI_S)
        if listed := _LISTED.findall(done.stdout):
            return tuple(listed)
    return tuple(str(number) for number in range(len(nodes)))


class Devices:
    """What one worker has of the devices `names`; its locks lie in `folder`. Used by one thread."""

    def __init__(self, names: Sequence[str], folder: Path, ambient: Ambient) -> None:
        self._names = tuple(names)
        self._folder = folder
        self._ambient = ambient
        self._held: dict[str, int] = {}

    def take(self, count: int, tell: Callable[[str], None], go_on: Callable[[], None]) -> tuple[str, ...]:
        """Hold so many devices and no more, those held already if that many are; waits for workers that have them.

        tell: hears what is waited for, now and again; go_on: raises to end the wait.
        """
        if len(self._held) != count:
            self.idle()
        told_s: float | None = None
        while len(self._held) < count and not self._lock(count):
            go_on()
            now_s = self._ambient.ticks_s()
            if told_s is None or now_s - told_s >= _SAY_S:
                tell(f"waiting: {count} of this machine's {len(self._names)} GPUs are wanted and others have them")
                told_s = now_s
            self._ambient.sleep(_LOOK_S)
        return tuple(self._held)

    def idle(self) -> None:
        """There is nothing to do: hold none."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held = {}

    def _lock(self, count: int) -> bool:
        """All or nothing, so that two workers never wait for each other."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in self._names:
            if len(self._held) == count:
                break
            descriptor = os.open(self._folder / name.replace("/", "_"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
            else:
                self._held[name] = descriptor
        if len(self._held) < count:
            self.idle()
            return False
        return True


def visible(
    devices: Devices | None, step: Step, tell: Callable[[str], None], go_on: Callable[[], None]
) -> dict[str, str]:
    """Variables that name the devices of a claim's code, once it has them. A container's engine gives it its own."""
    if devices is None:
        return {}
    held = devices.take(0 if step.image.contained else step.limits.gpus, tell, go_on)
    return dict.fromkeys(VARIABLES, ",".join(held)) if held else {}
