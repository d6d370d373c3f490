"""Writers, readers, a deleter and a collector on one file system, interleaved step by step from a seed.

Nothing runs by itself: while a stream is being written, its edits let the others take steps. The collector may be
abandoned between any two of its steps, as if it were killed; another one takes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from trunkline.ambient import SimulatedAmbient, chance
from trunkline.catalog.engine import Catalog
from trunkline.model.names import Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.collection.cycle import Cycle, Figures
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.collection.marking import Lists
from trunkline.pfs.collection.repack import Repacker
from trunkline.pfs.edits import Add, Copy, Delete, Edit, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs

CONTENTS = [bytes([number]) * 60_000 + b"content %d" % number for number in range(5)]
DEEP = 3


def stored(files: Files) -> list[str]:
    """Every blob there is."""
    return list(files.store.blobs.names())


def new_files(catalog: Catalog, cache, ambient: SimulatedAmbient) -> Files:
    """A file system on a catalog, blobs in memory; every read goes to them."""
    files = Files(catalog, Store(MemoryBlobs(), cache, ambient, threads=2, read_cache_bytes=0), ambient)
    catalog.transact(repos.ensure_default_project)
    return files


@dataclass
class Read:
    """One file being read, a piece at a time."""

    pieces: Iterator[bytes | memoryview]
    expected: bytes
    found: bytes = b""


@dataclass
class Crowd:
    """Everybody. `log` says what happened, for a failure's message."""

    files: Files
    ambient: SimulatedAmbient
    seed: int
    trees: dict[str, dict[str, bytes]] = field(default_factory=dict)
    running: list[Read] = field(default_factory=list)
    cycle: Iterator[None] | None = None
    repacking: Iterator[None] | None = None
    log: list[str] = field(default_factory=list)
    depth: int = 0

    def __post_init__(self) -> None:
        self.chance = chance(self.seed)
        self.figures = Figures()
        self.busy: set[str] = set()  # repos that a stream goes into: nobody deletes those

    def go(self, steps: int) -> None:
        for _ in range(steps):
            self.one()

    def one(self) -> None:
        """Somebody takes a step."""
        what = self.chance.choices(
            [self.collect, self.read_on, self.read, self.write, self.delete, self.clock, self.die, self.repack],
            [30, 12, 5, 6 if self.depth < DEEP else 0, 3, 2, 1, 6],
        )[0]
        self.log.append(what.__name__)
        what()

    def collect(self) -> None:
        if self.cycle is None:
            self.cycle = Cycle(self.files, Lists(self.files)).run(self.figures)
        if next(self.cycle, self) is self:
            self.cycle = None

    def repack(self) -> None:
        if self.cycle is None and self.repacking is None:
            self.repacking = Repacker(self.files, Lists(self.files)).run(self.figures)
        if self.repacking is not None and next(self.repacking, self) is self:
            self.repacking = None

    def die(self) -> None:
        self.cycle = self.repacking = None

    def clock(self) -> None:
        self.ambient.advance(200)
        self.files.reading.settle()
        self.files.writing.refresh_old()

    def write(self) -> None:
        name = f"r{self.chance.randrange(3)}"
        if name in self.busy:
            return
        repo = Repo("default", name)
        if name not in self.trees:
            self.files.catalog.transact(lambda tx: repos.create_repo(tx, repo))
            self.trees[name] = {}
        self.busy.add(name)
        self.depth += 1
        tree = dict(self.trees[name])
        edits.modify(self.files, Target(repo, branch="master"), self._edits(name, tree))
        finish_waiting(self.files)
        self.depth -= 1
        self.busy.discard(name)
        self.trees[name] = tree

    def _edits(self, name: str, tree: dict[str, bytes]) -> Iterator[Edit]:
        for _ in range(self.chance.randrange(1, 5)):
            path = f"/f{self.chance.randrange(4)}"
            source = self.chance.choice(list(self.trees))
            if source != name and source not in self.busy and self.trees[source] and self.chance.random() < 0.3:
                found = self.chance.choice(list(self.trees[source]))
                tree[path] = self.trees[source][found]
                yield Copy(path, Repo("default", source), "master", found)
            elif self.chance.random() < 0.2:
                tree.pop(path, None)
                yield Delete(path)
            else:
                tree[path] = self.chance.choice(CONTENTS) + bytes([self.chance.randrange(2)]) * 10
                yield Delete(path)
                yield Add(path, tree[path])
            self.go(self.chance.randrange(6))

    def delete(self) -> None:
        names = [name for name in self.trees if name not in self.busy]
        if names:
            name = self.chance.choice(names)
            self.files.change(lambda change: repos.delete_repo(change, Repo("default", name), force=True))
            del self.trees[name]

    def read(self) -> None:
        names = [name for name, tree in self.trees.items() if tree and name not in self.busy]
        if names:
            name = self.chance.choice(names)
            path = self.chance.choice(list(self.trees[name]))
            source = reads.need_source(self.files, Repo("default", name), "master")
            self.running.append(Read(content.get_file(self.files, source, path), self.trees[name][path]))

    def read_on(self) -> None:
        if self.running:
            one = self.chance.choice(self.running)
            piece = next(one.pieces, None)
            if piece is not None:
                one.found += piece
                return
            assert one.found == one.expected
            self.running.remove(one)

    def end(self) -> None:
        """All reads end; everything reads back as it should; with all deleted, not one byte is left."""
        while self.running:
            self.read_on()
        for name, tree in self.trees.items():
            if tree:
                source = reads.need_source(self.files, Repo("default", name), "master")
                for path, expected in tree.items():
                    assert b"".join(content.get_file(self.files, source, path)) == expected
                del source
        assert list(fsck.violations(self.files, read_bytes=True)) == []
        self.repacking = None
        while self.trees:
            self.delete()
        assert Collector(self.files).collect().condemned == 0
        assert stored(self.files) == []
