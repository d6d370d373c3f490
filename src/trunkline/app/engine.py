"""The rooms below the doors, built from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from trunkline.ambient import Ambient
from trunkline.api.about import AdminDoor, EnterpriseDoor, LicenseDoor, VersionDoor
from trunkline.api.doors import Door
from trunkline.app.config import Config
from trunkline.app.identity import identity_of
from trunkline.catalog.engine import Catalog


class Engine:
    """Everything that blocks, opened on one data folder."""

    def __init__(self, config: Config, ambient: Ambient, catalog: Catalog) -> None:
        self._config = config
        self._ambient = ambient
        self._catalog = catalog
        self._identity = identity_of(config.data, ambient)

    def doors(self, loop: asyncio.AbstractEventLoop) -> Sequence[Door]:
        """What the gRPC server answers with. `loop` runs the waiting calls."""
        admin = AdminDoor(self._identity.cluster_id, self._identity.deployment_id)
        return [VersionDoor(), admin, EnterpriseDoor(), LicenseDoor()]

    def start(self, address: tuple[str, int]) -> None:
        """Begin what runs by itself. `address` is where this server is reached."""

    def stop(self) -> None:
        """End what runs by itself."""

    def close(self) -> None:
        """Let go of the data folder."""
        self._catalog.close()


def open_engine(config: Config, ambient: Ambient) -> Engine:
    """Open (or make) the data folder. Raises FailedPrecondition where another server has it, OSError."""
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Engine(config, ambient, Catalog.open(config.data, ambient))
