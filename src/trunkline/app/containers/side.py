"""The container engine of a server: found when it starts, asked for images, cleared of what those who died left."""

from __future__ import annotations

import logging
import threading

from trunkline.ambient import Ambient
from trunkline.errors import TrunklineError
from trunkline.pfs.files import Files
from trunkline.pps.images.keeper import Keeper
from trunkline.pps.secrets import Vault
from trunkline.worker.containers.engine import Engine
from trunkline.worker.containers.leftovers import forget_secrets, in_use, remove_leftovers

AGAIN_S = 5.0
"""How long until leftovers are looked for again in an engine that did not answer."""

_log = logging.getLogger("trunkline.containers")


class ContainerSide:
    """What a server does about containers; nothing at all without an engine. url: of the engine's socket, or "".

    server: whose the containers are. run: this start of it.
    """

    def __init__(self, url: str, server: str, ambient: Ambient) -> None:
        self._engine = Engine(url) if url else None
        self.server = server
        self.run = ambient.new_id()
        self._keeper: Keeper | None = None
        self._changed = threading.Condition()
        self._ended: set[str] = set()  # workers that died, whose containers may be there still
        self._complaint = ""
        self._stopping = False
        self._sweeper: threading.Thread | None = None

    def name(self) -> str:
        """The engine, as `Docker 20.10.24`; "": there is none. One that is away now may come back."""
        if self._engine is None:
            return ""
        try:
            return self._engine.name()
        except TrunklineError as error:
            _log.warning("%s", error)
            return f"an engine at {self._engine.url}"

    def start(self, files: Files, vault: Vault) -> None:
        """Remove what a server that was killed left, and look for images until stopped."""
        if self._engine is None:
            return
        forget_secrets(self.server)
        own = Engine(self._engine.url)  # waited for by the sweeper alone
        self._sweeper = threading.Thread(target=self._sweep, args=(own,), name="leftovers", daemon=True)
        self._sweeper.start()
        self._keeper = Keeper(files, vault, self._engine, _log.info)
        self._keeper.start()

    def gone(self, worker: str) -> None:
        """A worker has died: what it left is removed soon. From any thread, at once."""
        with self._changed:
            self._ended.add(worker)
            self._changed.notify()

    def stop(self) -> None:
        """Look for no more images; all workers have ended, so remove what those who had to be killed left. Blocks."""
        if self._keeper is None or self._sweeper is None or self._engine is None:
            return
        self._keeper.stop()
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._sweeper.join()
        forget_secrets(self.server)
        try:
            remove_leftovers(Engine(self._engine.url), self.server, tell=_log.info)
        except TrunklineError as error:
            _log.warning("containers may be left, which the next start removes: %s", error)
        forget_secrets(self.server)

    def _sweep(self, engine: Engine) -> None:
        """At first for those of former runs, then for each worker that died; until an engine that is away is back."""
        wanted, ended = True, set[str]()
        while not self._stopping:
            if wanted:
                wanted = not self._sweep_once(engine, ended)
            with self._changed:
                if not wanted:
                    self._ended -= ended
                self._changed.wait_for(lambda: self._stopping or self._ended, AGAIN_S if wanted else None)
                ended = set(self._ended)
                wanted = wanted or bool(ended)

    def _forget(self, ended: set[str]) -> None:
        for worker in ended:
            forget_secrets(self.server, worker)

    def _sweep_once(self, engine: Engine, ended: set[str]) -> bool:
        """Whether the engine answered."""
        self._forget(ended)
        try:
            remove_leftovers(engine, self.server, tell=_log.info, spared=in_use(self.run, ended))
            self._forget(ended)  # Docker makes a folder anew that it was about to show to a container
        except TrunklineError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("containers that somebody left cannot be removed yet: %s", error)
            return False
        self._complaint = ""
        return True
