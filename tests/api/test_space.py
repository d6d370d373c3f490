"""What storage holds and what is freed, through the wire, and as Prometheus reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.gateway.application import exposed
from trunkline.pfs.finisher import finish_waiting
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.gen.trunkline_pb2_grpc import SpaceStub

REPO = pfs.Repo(name="data", type="user", project=pfs.Project(name="default"))
COMMIT = pfs.Commit(branch=pfs.Branch(repo=REPO, name="master"))
SIZE = 300_000


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


def put(engine: Engine, channel: grpc.Channel, *names: str) -> None:
    files = pfs_v2_pb2_grpc.APIStub(channel)
    files.CreateRepo(pfs.CreateRepoRequest(repo=REPO, update=True))
    raw = BytesValue(value=b"same" * (SIZE // 4))
    adds = [pfs.ModifyFileRequest(add_file=pfs.AddFile(path=name, raw=raw)) for name in names]
    files.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=COMMIT), *adds]))
    finish_waiting(engine.space.files)


def test_what_is_deleted_is_freed_when_somebody_asks(engine: Engine, channel: grpc.Channel) -> None:
    put(engine, channel, "/a", "/b")
    space = SpaceStub(channel)
    before = space.InspectStorage(own.InspectStorageRequest())
    assert (before.logical_bytes, before.unique_bytes, before.live_chunks) == (2 * SIZE, SIZE, 1)
    assert before.dedup_ratio == 2
    assert before.compression_ratio == SIZE / before.stored_bytes > 10
    pfs_v2_pb2_grpc.APIStub(channel).DeleteRepo(pfs.DeleteRepoRequest(repo=REPO, force=True))
    dry = space.RunCollection(own.RunCollectionRequest(dry_run=True))
    assert (dry.cycles, dry.doomed, dry.doomed_bytes) == (0, 1, before.stored_bytes)
    assert space.InspectStorage(own.InspectStorageRequest()).live_chunks == 1
    done = space.RunCollection(own.RunCollectionRequest())
    assert (done.doomed, done.doomed_bytes, done.waiting) == (1, before.stored_bytes, 0)
    after = space.InspectStorage(own.InspectStorageRequest())
    assert (after.logical_bytes, after.live_chunks, after.filesets, after.doomed_blobs) == (0, 0, 0, 0)
    assert (after.dedup_ratio, after.compression_ratio) == (1, 1)
    assert after.collected == done


def test_prometheus_reads_the_same(engine: Engine, channel: grpc.Channel) -> None:
    put(engine, channel, "/a", "/b")
    text = exposed(engine.space).decode()
    figures = dict(re.findall(r"^trunkline_(\w+) (\S+)$", text, re.M))
    assert float(figures["storage_logical_bytes"]) == 2 * SIZE
    assert float(figures["storage_unique_bytes"]) == SIZE
    assert float(figures["storage_dedup_ratio"]) == 2
    assert float(figures["storage_live_chunks"]) == 1
    assert float(figures["collection_freed_bytes_total"]) == 0
    assert "process_resident_memory_bytes" in text


def test_every_byte_is_read_when_somebody_asks(engine: Engine, channel: grpc.Channel, tmp_path: Path) -> None:
    put(engine, channel, "/a")
    space = SpaceStub(channel)
    assert list(space.CheckData(own.CheckDataRequest())) == []
    [chunk] = list((tmp_path / "data" / "blobs" / "chunks").glob("*/*"))
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 16
    chunk.chmod(0o644)
    chunk.write_bytes(data)
    assert list(pfs_v2_pb2_grpc.APIStub(channel).Fsck(pfs.FsckRequest())) == []
    lines = [answer.error for answer in space.CheckData(own.CheckDataRequest())]
    assert any(line.startswith("I-1: /a in file set") and chunk.name in line for line in lines)
