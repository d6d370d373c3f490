"""Every write of ours fails once: the caller is told in words, nothing acknowledged is lost, a second try works."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from trunkline.ambient import RealAmbient, chance
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.errors import ResourceExhausted, Unavailable
from trunkline.pfs.finisher import finish_waiting
from trunkline.storage.chunks import upload
from trunkline.testing.calls import Client
from trunkline.testing.doors import serving
from trunkline.testing.stores import goes_past_the_cache
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.gen.trunkline_pb2_grpc import SpaceStub

SAID = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}


class Faults:
    """The n-th call to the system that makes bytes or names durable fails, once."""

    CALLS = ("write", "writev", "fdatasync", "fsync", "link", "rename", "mkdir")

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.number = 0
        self.failed: set[str] = set()
        for name in self.CALLS:
            patch.setattr(os, name, self._failing(name, getattr(os, name)))

    def _failing(self, name: str, real: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            self.left -= 1
            if self.left == -1:
                self.failed.add(name)
                raise OSError(self.number, os.strerror(self.number))
            return real(*given, **more)

        return call

    def arm(self, after: int, number: int) -> None:
        """The call after so many fails."""
        self.left, self.number = after, number

    def fired(self) -> bool:
        """Whether it did; from now on none does."""
        done, self.left = self.left < 0, -2
        return done


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(Config(data=tmp_path / "data", workers=0), RealAmbient())
    yield opened
    opened.stop()
    opened.close()


@pytest.fixture
def channel(engine: Engine, tmp_path: Path) -> Iterator[grpc.Channel]:
    (tmp_path / "s").mkdir()
    with serving(tmp_path / "s", engine.doors) as opened:
        yield opened


def new_content(seed: int) -> dict[str, bytes]:
    """Files of a commit: a big one of a chunk of its own, and many small ones."""
    luck = chance(seed)
    return {f"/big{seed}": luck.randbytes(600_000), **{f"/s{seed}-{i}": luck.randbytes(9000) for i in range(5)}}


def finished(engine: Engine) -> None:
    """Finish what waits, in a second try if the first failed."""
    for _ in range(2):
        with suppress(Unavailable, ResourceExhausted):
            finish_waiting(engine.space.files)


def must_hold(client: Client, repo: pfs.Repo, there: dict[str, bytes]) -> None:
    """Every acknowledged file reads as it was put."""
    for path, data in there.items():
        assert b"".join(client.get(repo, path)) == data


def freed(channel: grpc.Channel, data: Path) -> bool:
    """Whether after a collection nothing is left in the folder of blobs."""
    SpaceStub(channel).RunCollection(own.RunCollectionRequest())
    return not [path for path in (data / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EINTR])
def test_each_write_of_a_commit_fails_once(
    engine: Engine, channel: grpc.Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    client = Client.on(channel)
    repo = client.repo()
    monkeypatch.setattr(upload, "CACHED_BYTES", 100_000)  # what is stored after so much goes past the page cache
    faults = Faults(monkeypatch)
    there: dict[str, bytes] = {}
    for after in itertools.count():
        files = new_content(after)
        faults.arm(after, number)
        refused = None
        try:
            client.put(repo, files)
        except grpc.RpcError as error:
            refused = error
        if refused is not None:
            assert refused.code() in SAID, refused.details()
            assert os.strerror(number) in refused.details(), refused.details()
            must_hold(client, repo, there)
            client.put(repo, files)
        finished(engine)
        there |= files
        if not faults.fired():
            break
    wanted = {"writev", "fdatasync", "fsync", "link"} | ({"write"} if goes_past_the_cache(tmp_path) else set())
    assert faults.failed >= wanted
    assert client.finished(repo).error == ""
    must_hold(client, repo, there)
    assert [each.error for each in client.stub.Fsck(pfs.FsckRequest()) if each.error] == []
    client.stub.DeleteRepo(pfs.DeleteRepoRequest(repo=repo, force=True))
    assert freed(channel, tmp_path / "data")
