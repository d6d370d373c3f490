"""The container engine of a server: found when it starts, cleared of what a former run left, asked for images."""

from __future__ import annotations

import logging

from trunkline.errors import TrunklineError
from trunkline.pfs.files import Files
from trunkline.pps.images.keeper import Keeper
from trunkline.pps.secrets import Vault
from trunkline.worker.containers.engine import Engine, remove_leftovers

_log = logging.getLogger("trunkline.containers")


class ContainerSide:
    """What a server does about containers; nothing at all without an engine. url: of the engine's socket, or ""."""

    def __init__(self, url: str, server: str) -> None:
        self._engine = Engine(url) if url else None
        self._server = server
        self._keeper: Keeper | None = None

    def name(self) -> str:
        """The engine that answers, as `Docker 20.10.24`; "": none does."""
        if self._engine is None:
            return ""
        try:
            return self._engine.name()
        except TrunklineError as error:
            _log.warning("%s", error)
            return ""

    def start(self, files: Files, vault: Vault) -> None:
        """Remove what a server that was killed left, and look for images until stopped."""
        if self._engine is None:
            return
        try:
            remove_leftovers(self._engine, self._server, tell=_log.info)
        except TrunklineError as error:  # each worker removes its own before it begins
            _log.warning("containers of a former run were not looked for: %s", error)
        self._keeper = Keeper(files, vault, self._engine, _log.info)
        self._keeper.start()

    def stop(self) -> None:
        """Look for no more images."""
        if self._keeper is not None:
            self._keeper.stop()
