"""The power goes at any instant: whatever order the disk wrote in, rows that are there have their blobs, whole.

Every write, sync and name that the blob folder was given is recorded, and the catalog is copied after each of its
commits. Then the machine stops: of what was not yet synced when a commit began, each name may be there or not, and
each file may be whole, cut, or zeros. With that folder and that copy of the catalog a server starts anew.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trunkline.ambient import SimulatedAmbient, chance
from trunkline.catalog.engine import Catalog
from trunkline.model.names import Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.edits import Add, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.storage import Store
from trunkline.storage.blobs import LocalBlobs
from trunkline.storage.chunks import upload
from trunkline.testing.stores import goes_past_the_cache

DATA, GONE = Repo("default", "data"), Repo("default", "gone")


@dataclass
class Disk:
    """What was asked of the blob folder, in order: (what, path, more). Safe between threads."""

    root: Path
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    past: int = 0
    """How often it was written past the page cache."""

    def record(self, patch: pytest.MonkeyPatch) -> None:
        """From now on write down what is asked."""
        writev, link, unlink, fdatasync, fsync = os.writev, os.link, os.unlink, os.fdatasync, os.fsync
        write = os.write

        def note(what: str, path: str | int, more: Any = None) -> None:
            name = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else str(path)
            if name.startswith(str(self.root)):
                with self.lock:
                    self.asked.append((what, name, more))

        def writing(handle: int, parts: Any) -> int:
            done = writev(handle, parts)
            note("write", handle, b"".join(bytes(part) for part in parts)[:done])
            return done

        def writing_past(handle: int, part: Any) -> int:
            done = write(handle, part)
            note("write", handle, bytes(part[:done]))
            self.past += 1
            return done

        def linking(source: Any, target: Any, **more: Any) -> None:
            link(source, target, **more)
            note("link", str(target), str(source))

        def removing(path: Any, **more: Any) -> None:
            unlink(path, **more)
            note("unlink", str(path))

        def syncing(real: Any) -> Any:
            def sync(handle: int) -> None:
                real(handle)
                note("sync", handle)  # what is asked meanwhile may be lost all the same

            return sync

        patch.setattr(os, "write", writing_past)
        patch.setattr(os, "writev", writing)
        patch.setattr(os, "link", linking)
        patch.setattr(os, "unlink", removing)
        patch.setattr(os, "fdatasync", syncing(fdatasync))
        patch.setattr(os, "fsync", syncing(fsync))

    def after_a_crash(self, asked: int, folder: Path, seed: int) -> None:
        """Write into `folder` what may be left when the power went after so many requests."""
        luck = chance(seed)
        data: dict[str, bytes] = {}
        safe: dict[str, int] = {}  # how much of a file is synced
        sure: dict[str, str] = {}  # names that are synced: what they name
        loose: list[tuple[str, str, Any]] = []  # names given and taken since
        for what, path, more in self.asked[:asked]:
            if what == "write":
                data[path] = data.get(path, b"") + more
            elif what == "sync" and path in data:
                safe[path] = len(data[path])
            elif what == "sync":  # a folder
                for done in [one for one in loose if os.path.dirname(one[1]) == path]:
                    loose.remove(done)
                    self._name(sure, *done)
            elif what in ("link", "unlink"):
                loose.append((what, path, more))
        for done in loose:
            if luck.random() < 0.5:
                self._name(sure, *done)
        for name, source in sure.items():
            whole, kept = data[source], safe.get(source, 0)
            torn = whole[:kept] + luck.choice([b"", bytes(len(whole) - kept), whole[kept : (kept + len(whole)) // 2]])
            target = folder / Path(name).relative_to(self.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(luck.choice([whole, torn]))

    @staticmethod
    def _name(names: dict[str, str], what: str, path: str, source: str) -> None:
        if what == "link":
            names[path] = source
        else:
            names.pop(path, None)


@dataclass
class Instant:
    """A commit of the catalog. asked: what the disk had been asked when it began. there: what was acknowledged."""

    asked: int
    copy: Path
    there: dict[str, bytes]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Disk, list[Instant]]:
    """A history of puts, deletions and collections."""
    disk, instants, there = Disk(tmp_path / "blobs"), [], {}
    ambient = SimulatedAmbient(5)
    with Catalog.open(tmp_path / "catalog", ambient, synchronous="OFF") as catalog:
        files = Files(catalog, Store(LocalBlobs(disk.root), tmp_path / "cache", ambient, threads=2), ambient)
        catalog.transact(repos.ensure_default_project)
        catalog.transact(lambda tx: repos.create_repo(tx, DATA))
        monkeypatch.setattr(upload, "CACHED_BYTES", 100_000)  # what is stored after so much goes past the page cache
        disk.record(monkeypatch)
        transact = catalog.transact

        def copied(function: Any, *more: Any) -> Any:
            asked = len(disk.asked)
            answer = transact(function, *more)
            copy = tmp_path / f"copy{len(instants)}"
            shutil.copytree(tmp_path / "catalog", copy, ignore=shutil.ignore_patterns("*-shm", "*lock*"))
            instants.append(Instant(asked, copy, dict(there)))
            return answer

        monkeypatch.setattr(catalog, "transact", copied)
        for turn, (path, data) in enumerate(_contents()):
            edits.modify(files, Target(DATA, branch="master"), [Add(path, data)])
            there[path] = data
            finish_waiting(files)
            if turn == 2:
                catalog.transact(lambda tx: repos.create_repo(tx, GONE))
                edits.modify(files, Target(GONE, branch="master"), [Add("/gone", chance(77).randbytes(50_000))])
                files.change(lambda change: repos.delete_repo(change, GONE, force=True))
                Collector(files).collect()
        monkeypatch.undo()
    return disk, instants


def _contents() -> Iterator[tuple[str, bytes]]:
    luck = chance(4)
    for turn in range(5):
        yield f"/f{turn}", luck.randbytes(luck.choice((3000, 90_000, 700_000)))


def test_what_the_catalog_knows_survives_any_order_of_writes(
    recorded: tuple[Disk, list[Instant]], tmp_path: Path
) -> None:
    disk, instants = recorded
    assert len(instants) > 20
    assert {what for what, _, _ in disk.asked} == {"write", "link", "unlink", "sync"}
    assert disk.past or not goes_past_the_cache(tmp_path)
    crash_all(disk, instants[3::5], tmp_path / "after", 1)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_at_every_commit_and_for_many_orders(
    recorded: tuple[Disk, list[Instant]], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    disk, instants = recorded
    for seed in range(10):
        crash_all(disk, instants, tmp_path / "after", int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1) * 10 + seed)
    record_property("figures", f"{10 * len(instants)} crashes")


def crash_all(disk: Disk, instants: list[Instant], folder: Path, seed: int) -> None:
    """A crash just after each of some commits."""
    for number, instant in enumerate(instants):
        shutil.copytree(instant.copy, folder / "catalog")
        disk.after_a_crash(instant.asked, folder / "blobs", seed * 1000 + number)
        must_hold(folder, instant.there)
        shutil.rmtree(folder)


def must_hold(folder: Path, there: dict[str, bytes]) -> None:
    """A server that starts on this has all that was acknowledged, and goes on."""
    ambient = SimulatedAmbient(6)
    with Catalog.open(folder / "catalog", ambient, synchronous="OFF") as catalog:
        files = Files(catalog, Store(LocalBlobs(folder / "blobs"), folder / "cache", ambient, threads=2), ambient)
        assert list(fsck.violations(files, read_bytes=True)) == []
        finish_waiting(files)
        if there:
            source = reads.need_source(files, DATA, "master")
            for path, data in there.items():
                assert b"".join(content.get_file(files, source, path)) == data
        files.store.close()


def test_a_server_that_forgot_to_sync_is_found_out(recorded: tuple[Disk, list[Instant]], tmp_path: Path) -> None:
    """So that the test above can fail: without the syncs something is missing in one order or another."""
    disk, instants = recorded
    disk.asked = [one if one[0] != "sync" else ("", *one[1:]) for one in disk.asked]
    last = instants[-1]
    shutil.copytree(last.copy, tmp_path / "after" / "catalog")
    disk.after_a_crash(last.asked, tmp_path / "after" / "blobs", 1)
    with pytest.raises(AssertionError):
        must_hold(tmp_path / "after", {})
