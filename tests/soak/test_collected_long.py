"""Collection runs all the time while clients write, delete and put back the same content: nothing that lives is lost.

On a real server. Every read is compared; in the end nothing is left of what nobody has, and of everything once all is
deleted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from trunkline.ambient import RealAmbient, chance
from trunkline.testing.calls import Client, add, delete, on
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.gen import trunkline_pb2_grpc

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

CLIENTS = 4
BIG = 3 << 20
SIZES = (5, 300, 3000, 20_000, 70_000, 400_000)
POOL = [chance(number).randbytes(SIZES[number % len(SIZES)]) for number in range(36)] + [chance(99).randbytes(BIG)]
"""All that anybody ever writes, so that it dies and comes back again and again, in several repos at once."""
PATHS = [f"/{folder}/{name}" for folder in "abc" for name in range(8)]
PATIENCE_S = 120.0


@dataclass
class Story:
    """What all clients share."""

    ends_s: float
    clock: RealAmbient = field(default_factory=RealAmbient)
    collections: int = 0
    freed_bytes: int = 0
    most_dead_bytes: int = 0
    news: threading.Condition = field(default_factory=threading.Condition)
    failed: list[BaseException] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it is time to stop."""
        return bool(self.failed) or self.clock.ticks_s() > self.ends_s

    def in_thread(self, work: Callable[[], None]) -> threading.Thread:
        """Do it until it ends or fails."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self.failed.append(error)

        return threading.Thread(target=run)

    def collect(self, space: Any) -> None:
        """Ask for one collection after the other."""
        while not self.over:
            figures = space.RunCollection(own.RunCollectionRequest(), timeout=PATIENCE_S)
            info = space.InspectStorage(own.InspectStorageRequest(), timeout=PATIENCE_S)
            with self.news:
                self.collections += 1
                self.freed_bytes += figures.doomed_bytes
                self.most_dead_bytes = max(self.most_dead_bytes, info.dead_bytes + info.condemned_bytes)
                self.news.notify_all()

    def wait_for_collections(self, count: int) -> None:
        """Until so many more have ended, or it is time to stop."""
        with self.news:
            until = self.collections + count
            self.news.wait_for(lambda: self.collections >= until or self.over, PATIENCE_S)


class Writer:
    """One client, its repo, and what must be in it."""

    def __init__(self, number: int, channel: grpc.Channel, story: Story, seed: int) -> None:
        self.client = Client.on(channel)
        self.repo = pfs.Repo(name=f"w{number}", type="user", project=pfs.Project(name="default"))
        self.story = story
        self.luck = chance(seed * 1009 + number)
        self.there: dict[str, bytes] = {}
        self.commits = self.reads = 0
        self._create()

    def run(self) -> None:
        """One thing after the other."""
        deeds = [self.put, self.put, self.exchange, self.read, self.read, self.empty, self.begin_again, self.read_long]
        weights = [20, 20, 30, 20, 20, 5, 2, 2]
        while not self.story.over:
            self.luck.choices(deeds, weights)[0]()

    def put(self) -> None:
        """A few files."""
        self._commit({self.luck.choice(PATHS): self.luck.choice(POOL) for _ in range(self.luck.randrange(1, 6))})

    def exchange(self) -> None:
        """Some go, and their content comes back elsewhere in the same commit."""
        gone = self.luck.sample(sorted(self.there), min(len(self.there), 3))
        back = {self.luck.choice(PATHS): self.there[path] for path in gone[:2]}
        self._commit(dict.fromkeys(gone) | back)

    def empty(self) -> None:
        """Everything goes, is collected, and much of it comes back."""
        before = dict(self.there)
        self._commit(dict.fromkeys(before))
        self.story.wait_for_collections(self.luck.randrange(3))
        self._commit({path: data for path, data in before.items() if self.luck.random() < 0.7})

    def begin_again(self) -> None:
        """The repo with its history goes; what it had comes back in a new one."""
        before = dict(self.there)
        self.client.stub.DeleteRepo(pfs.DeleteRepoRequest(repo=self.repo))
        self._create()
        self.story.wait_for_collections(self.luck.randrange(4))
        self._commit(before)

    def read(self) -> None:
        """One file, or all that there are."""
        if self.commits and self.there:
            for path in self.luck.choice([[self.luck.choice(sorted(self.there))], sorted(self.there)]):
                assert b"".join(self.client.get(self.repo, path)) == self.there[path], f"{self.repo.name}{path}"
                self.reads += 1

    def read_long(self) -> None:
        """A download that lasts while what it reads is deleted and collected."""
        self._commit({"/big": POOL[-1]})
        request = pfs.GetFileRequest(file=pfs.File(commit=on(self.repo), path="/big"))
        pieces = self.client.stub.GetFile(request)
        read = [next(pieces).value]
        self.client.stub.DeleteRepo(pfs.DeleteRepoRequest(repo=self.repo))
        self._create()
        self.story.wait_for_collections(2)
        read += [piece.value for piece in pieces]
        assert b"".join(read) == POOL[-1]
        self.reads += 1

    def check(self) -> None:
        """All of it reads as it was put."""
        listed = {
            info.file.path
            for info in self.client.stub.WalkFile(pfs.WalkFileRequest(file=pfs.File(commit=on(self.repo), path="/")))
            if info.file_type == pfs.FILE
        }
        assert listed == self.there.keys()
        for path, data in self.there.items():
            assert b"".join(self.client.get(self.repo, path)) == data, f"{self.repo.name}{path}"

    def _create(self) -> None:
        self.client.stub.CreateRepo(pfs.CreateRepoRequest(repo=self.repo))
        self.there = {}
        self._commit({"/first": POOL[0]})

    def _commit(self, changes: dict[str, bytes | None]) -> None:
        edits = [pfs.ModifyFileRequest(set_commit=on(self.repo))]
        for path, data in changes.items():
            edits += [delete(path)] if data is None else [delete(path), add(path, data)]
        self.client.stub.ModifyFile(iter(edits))
        self.commits += 1
        self.there = {path: data for path, data in (self.there | changes).items() if data is not None}


def must_be_clear(space: Any) -> own.StorageInfo:
    """Collect; then nothing waits to be freed. Answers the figures."""
    for _ in range(3):  # what a read or a session of before stood in the way of goes with the next one
        space.RunCollection(own.RunCollectionRequest(), timeout=PATIENCE_S)
    info: own.StorageInfo = space.InspectStorage(own.InspectStorageRequest())
    assert (info.condemned_chunks, info.condemned_bytes, info.doomed_blobs, info.trouble) == (0, 0, 0, ""), info
    return info


def test_nothing_that_lives_is_lost_and_nothing_dead_stays(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    minutes = min(max(float(os.environ.get("MINUTES") or 5), 0.1), 60)
    with ExitStack() as stack:
        server = stack.enter_context(PachdProcess(tmp_path / "server", ("--workers", "0")))
        channels = [stack.enter_context(grpc.insecure_channel(server.address)) for _ in range(CLIENTS + 1)]
        space = trunkline_pb2_grpc.SpaceStub(channels[-1])
        story = Story(RealAmbient().ticks_s() + 60 * minutes)
        writers = [Writer(number, channel, story, seed) for number, channel in enumerate(channels[:-1])]
        threads = [story.in_thread(one.run) for one in writers] + [story.in_thread(lambda: story.collect(space))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if story.failed:
            raise story.failed[0]
        for writer in writers:
            assert writer.client.finished(writer.repo).error == ""
            writer.check()
        must_be_clear(space)
        for writer in writers:
            writer.check()
        assert server.pachctl("fsck", "--data").strip() == "No errors found."
        for writer in writers:
            writer.client.stub.DeleteRepo(pfs.DeleteRepoRequest(repo=writer.repo))
        last = must_be_clear(space)
        assert (last.live_chunks, last.dead_bytes, last.stored_bytes, last.filesets) == (0, 0, 0, 0), last
        blobs = [path for path in (server.data / "blobs").rglob("*") if path.is_file()]
        assert not blobs, blobs[:5]
        assert "Traceback" not in server.log.read_text()
    done = f"{sum(one.commits for one in writers)} commits, {sum(one.reads for one in writers)} files read and compared"
    freed = (
        f"{story.collections} collections freed {story.freed_bytes} bytes, at most {story.most_dead_bytes} were dead"
    )
    record_property("figures", f"{minutes:g} minutes: {done}; {freed}, and none in the end")
