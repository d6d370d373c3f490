"""The rooms below the doors, built from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from trunkline.ambient import Ambient
from trunkline.api.about import AdminDoor, EnterpriseDoor, LicenseDoor, VersionDoor
from trunkline.api.bridge import Bridge
from trunkline.api.commits import CommitDoor
from trunkline.api.doors import Door
from trunkline.api.events import Events
from trunkline.api.images import ImageDoor
from trunkline.api.reads import ReadDoor
from trunkline.api.repos import RepoDoor
from trunkline.api.writes import BulkDoor, ModifyDoor
from trunkline.app.config import Config
from trunkline.app.identity import identity_of
from trunkline.catalog.engine import Catalog
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import Finisher
from trunkline.pfs.repos import ensure_default_project
from trunkline.storage import Store
from trunkline.storage.blobs import LocalBlobs

JOIN_S = 1.0
"""How long a loop of the engine may take to notice that it shall end."""


class Engine:
    """Everything that blocks, opened on one data folder."""

    def __init__(self, config: Config, ambient: Ambient, catalog: Catalog) -> None:
        self._identity = identity_of(config.data, ambient)
        self._catalog = catalog
        self._store = Store(LocalBlobs(config.data / "blobs"), config.data / "cache", ambient)
        self._files = Files(catalog, self._store, ambient)
        self._finisher = Finisher(self._files)
        catalog.transact(ensure_default_project)

    def doors(self, loop: asyncio.AbstractEventLoop, bridge: Bridge) -> Sequence[Door]:
        """What the gRPC server answers with. `loop` runs the waiting calls."""
        files, events = self._files, Events(self._catalog.wake, loop)
        return [
            VersionDoor(),
            AdminDoor(self._identity.cluster_id, self._identity.deployment_id),
            EnterpriseDoor(),
            LicenseDoor(),
            RepoDoor(files),
            CommitDoor(files, bridge, events),
            ReadDoor(files, bridge, events),
            ModifyDoor(files),
            BulkDoor(files),
            ImageDoor(files),
        ]

    def start(self, address: tuple[str, int]) -> None:
        """Begin what runs by itself. `address` is where this server is reached."""
        self._finisher.start()

    def stop(self) -> None:
        """End what runs by itself."""
        self._finisher.stop()

    def close(self) -> None:
        """Let go of the data folder."""
        self._catalog.wake.close()
        self._finisher.join(JOIN_S)
        self._store.close()
        self._catalog.close()


def open_engine(config: Config, ambient: Ambient) -> Engine:
    """Open (or make) the data folder. Raises FailedPrecondition where another server has it, OSError."""
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Engine(config, ambient, Catalog.open(config.data, ambient))
