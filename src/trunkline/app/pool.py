"""The pool of worker processes of this machine."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.app.config import Config
from trunkline.errors import TrunklineError
from trunkline.fleet.local import LocalFleet
from trunkline.worker.launch import Sandbox, Scratch
from trunkline.worker.rungs import Rung, choose

PRIVATE = (
    ".pachyderm",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".netrc",
    ".ssh",
)
"""Below a home: settings of clients, keys, passwords. Code from an image would not find them either."""

NAMESPACE = "default"
"""What code is told in place of a namespace of Kubernetes."""

_log = logging.getLogger("trunkline.workers")


def choose_rung(config: Config) -> Rung | None:
    """How user code runs on this machine, found out by doing it; None where there are no workers.

    Raises NoRunner with the command that would allow it.
    """
    if not config.worker_count:
        return None
    sandbox = Sandbox(masked=masked(config), exposed=tuple(map(str, config.expose)))
    with tempfile.TemporaryDirectory(prefix="trunkline-") as folder:
        return choose(config.runner, sandbox, Scratch(Path(folder)).make())


def masked(config: Config) -> tuple[str, ...]:
    """Host paths that user code must not see: our data, and what of the user's home holds keys and passwords."""
    home = Path(os.environ.get("HOME", "/"))
    return (str(config.data), *(str(home / name) for name in PRIVATE))


def open_pool(
    config: Config,
    rung: Rung,
    address: tuple[str, int],
    token: str,
    ambient: Ambient,
    gone: Callable[[str, str], None],
) -> LocalFleet:
    """A pool that serves `address`, where it shows `token`. gone: told of each worker that died of itself."""
    from trunkline.app.worker import TOKEN, WorkerSettings  # brings all that a worker needs

    host, port = address
    shown = f"[{host}]" if ":" in host else host

    def command(name: str, scratch: Path) -> list[str]:
        settings = WorkerSettings(
            name=name,
            address=f"grpc://{shown}:{port}",
            folder=str(scratch),
            blobs=config.blobs,
            cache=str(config.data / "cache"),
            images=str(config.data / "images"),
            runner=rung.name,
            masked=masked(config),
            expose=tuple(map(str, config.expose)),
            variables={
                "PACHD_PEER_SERVICE_HOST": host,
                "PACHD_PEER_SERVICE_PORT": str(port),
                "PACH_NAMESPACE": NAMESPACE,
                "PPS_NAMESPACE": NAMESPACE,
                "PPS_POD_NAME": name,
            },
        )
        return [sys.executable, "-m", "trunkline.app.worker", settings.to_json()]

    def told(name: str, reason: str) -> None:
        try:
            gone(name, reason)
        except TrunklineError as error:  # its leases run out by themselves
            _log.warning("%s: %s", name, error)

    count = min(config.worker_count, rung.max_workers or config.worker_count)
    env = {**os.environ, TOKEN: token}
    return LocalFleet(command, count, config.data / "workers" / "scratch", ambient, _log.warning, env, gone=told)
