"""Backups taken while clients write, delete and put back, and collection runs: what is restored was there once, whole.

Everything that was acknowledged before the backup began is in it, no commit by half, and nothing that came later.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from trunkline.ambient import RealAmbient, chance
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.client import Client, backups, connect
from trunkline.pfs.fsck import violations
from trunkline.testing.calls import add, delete, on
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

WRITERS = 3
MEANWHILE = 2
"""So many commits each writer makes between the backup's moment and its first byte."""
PATIENCE_S = 60


@contextmanager
def running(folder: Path) -> Iterator[tuple[Engine, Client]]:
    """A server in this process with all that runs by itself, and a client of it."""
    (folder / "s").mkdir(parents=True, exist_ok=True)
    engine = open_engine(Config(data=folder / "data", workers=0), RealAmbient())
    engine.start(("127.0.0.1", 0))
    with serving(folder / "s", engine.doors), connect(f"unix:{folder / 's' / 's'}") as client:
        yield engine, client
    engine.stop()
    engine.close()


def data_of(writer: int, number: int) -> bytes:
    """What a writer puts in its commit of that number: some of it in one, the other of it in the next, and back."""
    again = number % 4
    return chance(1000 * writer + again).randbytes(70_000) + b"%d" % number


@dataclass
class Writer:
    """One client that makes commits, of two files that go together and one that comes and goes."""

    number: int
    client: Client
    acknowledged: int = -1
    """The last commit that it was told of; one more may be on its way."""
    stop: bool = False
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def repo(self) -> pfs.Repo:
        """Its repo."""
        return pfs.Repo(name=f"w{self.number}", type="user", project=pfs.Project(name="default"))

    def run(self) -> None:
        """Write until it is told to stop."""
        self.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=self.repo))
        while not self.stop:
            self._write(self.acknowledged + 1)
            with self.news:
                self.acknowledged += 1
                self.news.notify_all()

    def _write(self, number: int) -> None:
        data = data_of(self.number, number)
        last = delete("/c") if number % 2 else add("/c", data[:50_000])
        edits = [delete("/a"), delete("/b"), add("/a", data), add("/b", data), last]
        if self.number:
            self.client.pfs.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=on(self.repo)), *edits]))
            return
        branch = pfs.Branch(repo=self.repo, name="master")  # in several calls, so that a backup may find it open
        commit = self.client.pfs.StartCommit(pfs.StartCommitRequest(branch=branch))
        for edit in edits:
            self.client.pfs.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=commit), edit]))
        self.client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=commit))

    def reach(self, number: int) -> None:
        """Wait until it has made that commit."""
        with self.news:
            assert self.news.wait_for(lambda: self.acknowledged >= number, PATIENCE_S), "the writer is stuck"


@dataclass(frozen=True)
class Taken:
    """A backup. least, most: by writer, the first and last commit that it can end with. path, since: of its file."""

    paths: tuple[Path, ...]
    least: tuple[int, ...]
    most: tuple[int, ...]


def take(engine: Engine, client: Client, writers: list[Writer], path: Path, former: Taken | None) -> Taken:
    """A backup, while the writers go on and everything that can be is collected."""
    least = tuple(one.acknowledged for one in writers)
    most: list[int] = []

    def begun(_figures: own.BackupFigures) -> Callable[[int], None]:
        most.extend(one.acknowledged + 1 for one in writers)
        for one in writers:
            one.reach(one.acknowledged + MEANWHILE)
        engine.space.collector.collect()
        return lambda _count: None

    since = str(former.paths[0]) if former else ""
    backups.save(client, str(path), since, with_keys=False, begun=begun)
    return Taken((path, *(former.paths if former else ())), least, tuple(most))


def must_be_of_one_moment(taken: Taken, writers: list[Writer], folder: Path) -> None:
    """What is restored is what was there between the two."""
    with running(folder) as (_, client):
        backups.put_back(client, [str(path) for path in taken.paths], lambda _count: None)
    with running(folder) as (engine, client):
        for writer, least, most in zip(writers, taken.least, taken.most, strict=True):
            infos = list(client.pfs.ListCommit(pfs.ListCommitRequest(repo=writer.repo)))
            closed = [info for info in infos if info.HasField("finishing") or info.HasField("finished")]
            assert len(infos) - len(closed) <= (not writer.number), "an open commit that nobody began"
            number = len(closed) - 1
            assert least <= number <= most
            head = closed[0].commit
            done = client.pfs.InspectCommit(pfs.InspectCommitRequest(commit=head, wait=pfs.FINISHED))
            assert not done.error
            data = data_of(writer.number, number)
            there = {"/a": data, "/b": data} | ({} if number % 2 else {"/c": data[:50_000]})
            root = pfs.File(commit=head, path="/")
            listed = [info.file.path for info in client.pfs.ListFile(pfs.ListFileRequest(file=root))]
            assert listed == sorted(there)
            for path, wanted in there.items():
                request = pfs.GetFileRequest(file=pfs.File(commit=head, path=path))
                assert b"".join(piece.value for piece in client.pfs.GetFile(request)) == wanted
        assert list(violations(engine.space.files, read_bytes=True)) == []


def play(folder: Path, rounds: int) -> list[Taken]:
    """A full backup, then each on top of the last one. Answers them."""
    with ExitStack() as stack:
        engine, client = stack.enter_context(running(folder / "source"))
        address = f"unix:{folder / 'source' / 's' / 's'}"
        writers = [Writer(number, stack.enter_context(connect(address))) for number in range(WRITERS)]
        threads = [threading.Thread(target=one.run) for one in writers]
        for thread in threads:
            thread.start()
        try:
            made: list[Taken] = []
            for number in range(rounds):
                for one in writers:
                    one.reach(one.acknowledged + 2)
                made.append(take(engine, client, writers, folder / f"b{number}", made[-1] if made else None))
        finally:
            for one in writers:
                one.stop = True
            for thread in threads:
                thread.join()
    for number, taken in enumerate(made):
        must_be_of_one_moment(taken, writers, folder / f"target{number}")
    return made


def test_a_backup_and_its_continuation_are_of_one_moment_each(tmp_path: Path) -> None:
    first, second = play(tmp_path, 2)
    assert all(one > other for one, other in zip(second.least, first.most, strict=True))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_backups_beside_writers(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    rounds = int(os.environ.get("TRUNKLINE_BACKUPS") or 15)
    made = play(tmp_path, rounds)
    record_property("figures", f"{rounds} backups, each on top of the last, beside {sum(made[-1].most)} commits")
