"""A worker's storage in memory, which other tests trust, and the real one keep the same promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import fakes
import pytest

from trunkline.app.worker_storage import WorkerStorage
from trunkline.storage import Sealed
from trunkline.testing.contracts.worker_storage import TREES, WorkerStorageContract
from trunkline.testing.sessions import MemorySession
from trunkline.testing.stores import World, contents
from trunkline.worker.ports import Claim, Element, Step


class InMemory:
    """The fake."""

    def __init__(self) -> None:
        self.storage = fakes.MemoryStorage(**TREES)
        self.claim: Claim = fakes.claim(Step(("true",)), [fakes.datum(0)])

    def element(self, path: str, repo: str = "images", *, empty_files: bool = False, lazy: bool = False) -> Element:
        return fakes.element(path, repo, empty_files=empty_files, lazy=lazy)

    def written(self, sealed: Any) -> dict[tuple[str, str], bytes]:
        found = {}
        for path, data, datum in sealed:
            assert (path, datum) not in found
            found[path, datum] = data if isinstance(data, bytes) else TREES[data[0]][data[2]]
        return found


@dataclass
class Held:
    """A session over the wire, without the wire."""

    session: MemorySession
    filesets: dict[str, Sealed]

    @property
    def gen(self) -> int:
        return self.session.gen

    def hold(self, ids: Sequence[str]) -> list[Sealed]:
        return [self.filesets[one] for one in ids]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


@dataclass
class Source:
    """One input of a step, as a claim brings it."""

    name: str
    project: str
    repo: str
    commit: str
    filesets: tuple[str, ...]


class OverTheStore:
    """The real one, on a store whose rows are in memory."""

    def __init__(self, world: World) -> None:
        self.world = world
        filesets: dict[str, Sealed] = {}
        inputs = []
        for repo, files in TREES.items():
            layer = world.finish([], world.layer(files)).manifest
            filesets |= {one.id: one for one in layer}
            inputs.append(Source(repo, "default", repo, "c" * 32, tuple(one.id for one in layer)))

        server = SimpleNamespace(session=Held(world.rows.open(), filesets), steps={"p": SimpleNamespace(inputs=inputs)})
        self.storage = WorkerStorage(server, world.store)  # type: ignore[arg-type]
        self.claim = InMemory().claim

    def element(self, path: str, repo: str = "images", *, empty_files: bool = False, lazy: bool = False) -> Element:
        is_dir = path not in TREES[repo] and any(one.startswith(path.rstrip("/") + "/") for one in TREES[repo])
        return fakes.element(path, repo, empty_files=empty_files, lazy=lazy, is_dir=is_dir)

    def written(self, sealed: Any) -> dict[tuple[str, str], bytes]:
        found = contents(self.world.view(sealed))
        return {(path, datum): data for path, rows in found.items() for datum, data in rows.items()}


class TestInMemory(WorkerStorageContract):
    @pytest.fixture
    def lent(self) -> InMemory:
        return InMemory()


class TestOverTheStore(WorkerStorageContract):
    @pytest.fixture
    def lent(self) -> Iterator[OverTheStore]:
        world = World()
        yield OverTheStore(world)
        world.close()
