"""What somebody who was killed has left: containers, and secrets in memory; ours by their labels and names."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from trunkline.worker.containers.engine import RUN, WORKER, Container, Engine

MEMORY = Path("/dev/shm")
"""A file system in memory, where this machine has one."""


def remove_leftovers(
    engine: Engine,
    server: str,
    worker: str = "",
    tell: Callable[[str], None] = print,
    spared: Callable[[Container], bool] = lambda container: False,
) -> int:
    """Remove what a server, or one of its workers, that was killed has left; how many containers there were.

    spared: whether one is still in use.
    """
    found = [container for container in engine.leftovers(server, worker) if not spared(container)]
    for container in found:
        container.remove()
    if found:
        tell(f"removed {len(found)} container{'s' * (len(found) > 1)} that nobody uses any more")
    return len(found)


def in_use(run: str, ended: Collection[str]) -> Callable[[Container], bool]:
    """Whether a container is of this run of the server, and of none of the workers that have ended."""
    return lambda container: container.labels.get(RUN) == run and container.labels.get(WORKER) not in ended


def secret_folder(server: str, worker: str, name: str) -> Path:
    """Where the secrets of a container lie, in memory; `forget_secrets` finds it by server and worker."""
    return MEMORY / f"{_secrets_of(server, worker)}{name}"


def forget_secrets(server: str, worker: str = "") -> None:
    """Remove the secrets that containers of a server, or of one of its workers, were shown."""
    with contextlib.suppress(OSError):
        for path in MEMORY.glob(f"{_secrets_of(server, worker) if worker else _secrets_of(server)}*"):
            shutil.rmtree(path, ignore_errors=True)


def _secrets_of(*whose: str) -> str:
    """What the names of folders begin with. Digests, since nobody says what an id has in it."""
    return "-".join(["trunkline", *(hashlib.sha256(each.encode()).hexdigest()[:16] for each in whose), ""])
