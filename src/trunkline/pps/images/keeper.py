"""The keeper of images: finds out which content the image of a new version is, and has the engine pull what it lacks.

A version's image is pinned once, by digest, before its first datum runs: what a tag comes to mean later changes nothing
until the pipeline is updated.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import containers
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.containers import ContainerImage, Waiting
from trunkline.errors import TrunklineError
from trunkline.model.image_names import parse_image
from trunkline.model.jobs import PipelineState
from trunkline.model.specs import PipelineSpec
from trunkline.pfs.files import Files
from trunkline.pps import logs
from trunkline.pps.machine import CLAIMS_TOPIC
from trunkline.pps.pipelines import PIPELINE_TOPIC, set_state
from trunkline.pps.secrets import Vault, value_of

log = logging.getLogger(__name__)

FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 300.0
IDLE_S = 60.0
_KEYS = (".dockerconfigjson", ".dockercfg")


class Found(Protocol):
    """An image that an engine has."""

    @property
    def digest(self) -> str:
        """Of its configuration, in hex."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Its variables."""
        ...

    @property
    def working_dir(self) -> str:
        """The folder that its code runs in."""
        ...


class Engine(Protocol):
    """A container engine."""

    def look(self, image: str) -> Found | None:
        """An image by name; None: the engine does not have it. Raises TrunklineError."""
        ...

    def pull(self, image: str, credentials: Mapping[str, str] | None = None) -> Found:
        """Fetch it from its registry. Raises TrunklineError with the reason."""
        ...

    def check_gpus(self, digest: str, kind: str, count: int) -> None:
        """Whether containers of an image are given GPUs, of a kind as specs name it. Raises TrunklineError: why not."""
        ...


@dataclass
class _Try:
    """When a version is looked at again, in steady seconds, and how long it waits after that."""

    at_s: float
    pause_s: float = FIRST_RETRY_S


class Keeper:
    """One round at a time by `step`, or for good by `start`."""

    def __init__(self, files: Files, vault: Vault, engine: Engine, tell: Callable[[str], None] = log.info) -> None:
        self._files = files
        self._vault = vault
        self._engine = engine
        self._tell = tell
        self._tries: dict[tuple[int, int], _Try] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="images", daemon=True)

    def start(self) -> None:
        """Work until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round in progress; one that pulls is not waited for."""
        self._stop.set()

    def step(self) -> bool:
        """Look for the image of each version that waits; whether any was found."""
        waiting = self._files.catalog.read(containers.waiting)
        known = {(one.key, one.version) for one in waiting}
        self._tries = {key: each for key, each in self._tries.items() if key in known}
        found = [self._find(one) for one in waiting if not self._stop.is_set() and self._is_due(one)]
        return any(found)

    def _is_due(self, one: Waiting) -> bool:
        tried = self._tries.get((one.key, one.version))
        return tried is None or self._files.ambient.ticks_s() >= tried.at_s

    def _find(self, one: Waiting) -> bool:
        spec = PipelineSpec.from_json(one.spec)
        image = spec.transform.image
        try:
            found = self._engine.look(image)
            if found is None:
                self._say(one, PipelineState.RUNNING, f'image "{image}" is being pulled')
                found = self._engine.pull(image, self._credentials(spec))
            if spec.resource_limits is not None and (gpu := spec.resource_limits.gpu):
                self._engine.check_gpus(found.digest, gpu.type, gpu.number)
        except TrunklineError as error:
            tried = self._tries.setdefault((one.key, one.version), _Try(0.0))
            tried.at_s = self._files.ambient.ticks_s() + tried.pause_s
            tried.pause_s = min(2 * tried.pause_s, LONGEST_RETRY_S)
            self._say(one, PipelineState.CRASHING, f"its code cannot run: {error}")
            return False
        kept = ContainerImage(found.digest, dict(found.env), found.working_dir)

        def pin(tx: Tx) -> bool:
            tx.emit(CLAIMS_TOPIC, {"pipeline": one.key})  # whoever waited for something to do may ask again
            return containers.set_image(tx, one, kept)

        if self._files.catalog.transact(pin):
            self._say(one, PipelineState.RUNNING, "")
            self._tell(f'{one.pipeline}: image "{image}" is {found.digest[:12]}')
        return True

    def _say(self, one: Waiting, state: PipelineState, reason: str) -> None:
        def work(tx: Tx) -> None:
            row = pipeline_rows.get_pipeline(tx, one.key)
            if row is None or row.stopped or row.version != one.version:
                return
            if reason and reason != row.reason:
                logs.say(tx, row.key, None, reason)
            set_state(tx, row, state, reason)

        self._files.catalog.transact(work)

    def _credentials(self, spec: PipelineSpec) -> Mapping[str, str] | None:
        """Username and password for the image's registry, from the secrets that the spec names; None: it names none."""
        registry = parse_image(spec.transform.image).host
        for name in spec.transform.image_pull_secrets:
            for key in _KEYS:
                try:
                    text = self._files.catalog.read(partial(value_of, vault=self._vault, name=name, key=key))
                except TrunklineError:
                    continue
                if found := credentials_in(text, registry):
                    return found
        return None

    def _run(self) -> None:
        wake = self._files.catalog.wake
        while not self._stop.is_set():
            seen = wake.seq
            try:
                self.step()
            except TrunklineError as error:
                log.warning("images could not be looked for; it is tried again: %s", error)
            except Exception:
                log.exception("images could not be looked for; it is tried again")
            now_s = self._files.ambient.ticks_s()
            due_s = min((each.at_s - now_s for each in self._tries.values()), default=IDLE_S)
            wake.wait(seen, max(0.5, min(due_s, IDLE_S)), PIPELINE_TOPIC)


def credentials_in(document: bytes, registry: str) -> Mapping[str, str] | None:
    """Username and password for a registry in a document as `docker login` writes it, or None."""
    try:
        told = json.loads(document)
        entries = told.get("auths", told)
        for address, entry in entries.items():
            if registry_host(address) != registry:
                continue
            if entry.get("auth"):
                user, colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
                return {"username": user, "password": password} if colon else None
            return {"username": entry.get("username", ""), "password": entry.get("password", "")}
    except (ValueError, AttributeError, TypeError, binascii.Error):
        return None
    return None


def registry_host(address: str) -> str:
    """The host of a registry's address, which may be a URL with a path."""
    return address.partition("://")[2].partition("/")[0] if "://" in address else address.partition("/")[0]
