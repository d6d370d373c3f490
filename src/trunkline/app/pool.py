"""The pool of worker processes of this machine."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.app.config import Config
from trunkline.errors import TrunklineError
from trunkline.fleet.local import LocalFleet
from trunkline.pps.standing.wishes import Wish
from trunkline.worker.launch import Sandbox, Scratch
from trunkline.worker.limits.gpus import found
from trunkline.worker.limits.groups import what_can_be_limited
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

OURS = ("TRUNKLINE_DATABASE", "PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSSLKEY")
"""Of our environment: where the password of our catalog may be. No worker needs it, and no user code shall have it."""

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
        rung = choose(config.runner, sandbox, Scratch(Path(folder)).make())
    limits = what_can_be_limited() | ({"volume"} if rung.sandbox.namespaces else set())
    return replace(rung, limits=limits, gpus=gpus_of(config))


def gpus_of(config: Config) -> tuple[str, ...]:
    """The GPUs that workers share."""
    if config.gpus == "auto":
        return found(os.environ)
    return tuple(name for each in config.gpus.split(",") if (name := each.strip()) and name != "none")


def masked(config: Config) -> tuple[str, ...]:
    """Host paths that user code must not see: our data, and what of the user's home holds keys and passwords."""
    home = Path(os.environ.get("HOME", "/"))
    return (str(config.data), *(str(home / name) for name in PRIVATE))


@dataclass(frozen=True, slots=True)
class Site:
    """What every worker of this server is told. address: where the server is reached; token: what it shows there.

    gone: told of each worker that died of itself. server: whose containers are removed when it comes back. run: this
    start of it.
    """

    config: Config
    rung: Rung
    address: tuple[str, int]
    token: str = field(repr=False)
    ambient: Ambient
    gone: Callable[[str, str], None]
    server: str = ""
    run: str = ""
    mine: str = ""
    """What tells the names of this server's workers from those of others on one database; "": there are none."""
    host: str = ""
    """Where services are to be reached, which is where the server is; "": where workers reach it."""

    @property
    def env(self) -> dict[str, str]:
        """The environment of a worker."""
        from trunkline.fleet.kubernetes.names import TOKEN

        return {name: value for name, value in os.environ.items() if name not in OURS} | {TOKEN: self.token}

    def prefix(self, kind: str) -> str:
        """What names of workers begin with."""
        return f"{self.mine}-{kind}" if self.mine else kind

    def command(self, name: str, scratch: Path, wish: Wish | None = None) -> list[str]:
        """The command line of a worker. wish: the service or spout that it is for."""
        from trunkline.app.worker import Standing, WorkerSettings  # brings all that a worker needs

        config, (host, port) = self.config, self.address
        shown = f"[{host}]" if ":" in host else host
        standing = None
        if wish is not None:
            pipeline = wish.pipeline
            standing = Standing(
                pipeline.project, pipeline.name, wish.version, wish.kind, self.host or host, wish.ports, wish.contained
            )
        settings = WorkerSettings(
            name=name,
            address=f"grpc://{shown}:{port}",
            folder=str(scratch),
            blobs=config.blobs,
            cache=str(config.data / "cache"),
            index_cache_bytes=config.index_cache_bytes,
            images=str(config.data / "images"),
            runner=self.rung.name,
            masked=masked(config),
            expose=tuple(map(str, config.expose)),
            gpus=self.rung.gpus,
            gpu_locks=str(config.data / "workers" / "gpus"),
            containers=config.containers,
            server=self.server,
            run=self.run,
            variables={
                "PACHD_PEER_SERVICE_HOST": host,
                "PACHD_PEER_SERVICE_PORT": str(port),
                "PACH_NAMESPACE": NAMESPACE,
                "PPS_NAMESPACE": NAMESPACE,
                "PPS_POD_NAME": name,
            },
            standing=standing,
        )
        return [sys.executable, "-m", "trunkline.app.worker", settings.to_json()]

    def told(self, name: str, reason: str) -> None:
        """Pass the end of a worker on."""
        try:
            self.gone(name, reason)
        except TrunklineError as error:  # its leases run out by themselves
            _log.warning("%s: %s", name, error)


def open_pool(site: Site) -> LocalFleet:
    """The pool that works for all pipelines but services and spouts."""
    config = site.config
    count = min(config.worker_count, site.rung.max_workers or config.worker_count)
    folder = config.data / "workers" / "scratch"
    return LocalFleet(
        site.command, count, folder, site.ambient, _log.warning, site.env, gone=site.told, prefix=site.prefix("worker")
    )
