"""What a server says about itself: everything that helps, nothing that is secret."""

from __future__ import annotations

import io
import json
import logging
import tarfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.api.debug import dump, process
from trunkline.api.debug.dump import Part, packed
from trunkline.api.debug.redacting import redacted, text
from trunkline.app.config import Config, settings
from trunkline.testing.calls import Client, refused
from trunkline.wire.gen import debug_v2_pb2 as debug
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen.debug_v2_pb2_grpc import DebugStub
from trunkline.wire.gen.pps_v2_pb2_grpc import APIStub as PpsStub

SPEC = {
    "pipeline": {"name": "edges"},
    "transform": {"cmd": ["true"], "env": {"KEY": "hidden-one"}},
    "egress": {"URL": "s3://bucket/out?endpoint=http://key:hidden-two@x"},
}


@pytest.fixture(scope="module")
def piped(channel: grpc.Channel, client: Client) -> grpc.Channel:
    """A server with a pipeline."""
    repo = client.repo()
    client.put(repo, {"/a": b"1"})
    spec = SPEC | {"input": {"pfs": {"repo": repo.name, "glob": "/*"}}}
    request = pps.CreatePipelineV2Request(create_pipeline_request_json=json.dumps(spec))
    PpsStub(channel).CreatePipelineV2(request)
    return channel


@pytest.fixture
def stub(piped: grpc.Channel) -> DebugStub:
    return DebugStub(piped)


def unpacked(pieces: Iterable[bytes]) -> dict[str, str]:
    """The files of a dump."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces)), mode="r:gz") as tar:
        found = {entry.name: tar.extractfile(entry) for entry in tar}
        return {name.removeprefix("dump/"): file.read().decode() for name, file in found.items() if file is not None}


def test_a_dump_holds_what_helps_and_nothing_secret(stub: DebugStub) -> None:
    logging.getLogger("trunkline.test").warning("cannot reach http://who:hidden-three@host/path?token=hidden-four")
    files = unpacked(piece.value for piece in stub.Dump(debug.DumpRequest()))
    assert {
        "version.json",
        "packages.txt",
        "pachd/settings.json",
        "pachd/log.txt",
        "pachd/stacks.txt",
        "database/rows.json",
        "pipelines/default/edges/spec.json",
        "pipelines/default/edges/jobs.json",
        "pipelines/default/edges/log.txt",
    } <= set(files)
    (commits,) = [name for name in files if name.startswith("input-repos/default/")]
    assert not [name for name in files if name.endswith(".error")]
    whole = "\n".join(files.values())
    assert "hidden-" not in whole
    spec = json.loads(files["pipelines/default/edges/spec.json"])
    assert spec["details"]["transform"]["env"] == {"KEY": "***"}
    assert spec["userSpecJson"]["transform"]["env"] == {"KEY": "***"}
    assert "http://***@host/path?***" in files["pachd/log.txt"]
    assert json.loads(files["database/rows.json"])["repos"] >= 1
    assert json.loads(files["database/files.json"])["catalog.db"] > 0
    assert "catalog-writer" in files["pachd/stacks.txt"]
    assert len(json.loads(files[commits])) == 1
    assert len(json.loads(files["pipelines/default/edges/jobs.json"])) == 1


@pytest.mark.parametrize(
    ("only", "has"),
    [
        (debug.Filter(database=True), {"database/files.json", "database/rows.json", "database/events.json"}),
        (
            debug.Filter(pipeline=pps.Pipeline(name="edges")),
            {f"pipelines/default/edges/{name}" for name in ("spec.json", "jobs.json", "log.txt")},
        ),
    ],
)
def test_a_part_of_it(stub: DebugStub, only: debug.Filter, has: set[str]) -> None:
    assert set(unpacked(piece.value for piece in stub.Dump(debug.DumpRequest(filter=only)))) == has


def test_a_template_is_sent_back(stub: DebugStub) -> None:
    whole = stub.GetDumpV2Template(debug.GetDumpV2TemplateRequest()).request
    assert [one.name for one in whole.pipelines] == ["edges"]
    chunks = list(stub.DumpV2(whole))
    files = unpacked(chunk.content.content for chunk in chunks if chunk.HasField("content"))
    assert {"version.json", "pipelines/default/edges/spec.json", "pachd/stacks.txt"} <= set(files)
    last = [chunk.progress for chunk in chunks if chunk.HasField("progress")][-1]
    assert last.progress == last.total == len(files)
    some = stub.GetDumpV2Template(debug.GetDumpV2TemplateRequest(filters=["version"])).request
    less = unpacked(chunk.content.content for chunk in stub.DumpV2(some) if chunk.HasField("content"))
    assert set(less) == {"version.json", "packages.txt"}


def test_the_program_that_answers(stub: DebugStub) -> None:
    files = unpacked(piece.value for piece in stub.Binary(debug.BinaryRequest()))
    assert files["pachd/trunkline/api/debug/dump.py"] == Path(dump.__file__).read_text()
    assert json.loads(files["version.json"])["trunkline"]
    assert "grpcio==" in files["packages.txt"]


def test_profiles(stub: DebugStub) -> None:
    def made(name: str) -> str:
        asked = debug.Profile(name=name, duration=Duration(nanos=50_000_000))
        return b"".join(piece.value for piece in stub.Profile(debug.ProfileRequest(profile=asked))).decode()

    assert "builtins.dict" in made("heap")
    assert "VmRSS" in made("heap")
    assert "thread catalog-writer" in made("goroutine")
    stack, _, count = made("cpu").splitlines()[0].rpartition(" ")
    assert int(count) >= 1
    assert ";" in stack


def test_a_profile_that_is_over_before_it_began_has_looked_once() -> None:
    """As on a machine that has other things to do."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="waits-here")
    thread.start()
    try:
        assert "waits-here;" in process.sampled(SimulatedAmbient(), 0, lambda: False)
    finally:
        done.set()
        thread.join()


def test_a_level_ends_by_itself(stub: DebugStub) -> None:
    root = logging.getLogger()
    before = root.level
    short = Duration(nanos=1_000_000)
    answer = stub.SetLogLevel(debug.SetLogLevelRequest(pachyderm=1, duration=Duration(seconds=600)))
    assert (list(answer.affected_pods), root.level) == (["pachd"], logging.DEBUG)
    stub.SetLogLevel(debug.SetLogLevelRequest(pachyderm=3, duration=short))
    for _ in range(6000):
        if root.level == before:
            break
        RealAmbient().sleep(0.01)
    assert root.level == before


def test_what_is_not_there_is_said(stub: DebugStub) -> None:
    def said(code: grpc.StatusCode, call: Any, request: object) -> str:
        found, told = refused(call, request)
        assert found is code
        return told

    nothing = debug.DumpRequest(filter=debug.Filter(pipeline=pps.Pipeline(name="none")))
    assert "default/none does not exist" in said(grpc.StatusCode.NOT_FOUND, stub.Dump, nothing)
    worker = debug.DumpRequest(filter=debug.Filter(worker=debug.Worker(pod="w")))
    assert "in the dump of a pipeline" in said(grpc.StatusCode.INVALID_ARGUMENT, stub.Dump, worker)
    for call, request, told in [
        (stub.GetDumpV2Template, debug.GetDumpV2TemplateRequest(filters=["helm"]), 'no section "helm"'),
        (stub.DumpV2, debug.DumpV2Request(), "would be empty"),
        (stub.Profile, debug.ProfileRequest(profile=debug.Profile(name="mutex")), "cpu, heap"),
        (stub.Binary, debug.BinaryRequest(filter=debug.Filter(database=True)), "leave the filter out"),
        (stub.SetLogLevel, debug.SetLogLevelRequest(pachyderm=1), "for how long"),
        (stub.SetLogLevel, debug.SetLogLevelRequest(grpc=1), "own lines"),
    ]:
        assert told in said(grpc.StatusCode.INVALID_ARGUMENT, call, request)


def test_what_cannot_be_made_keeps_nothing_back() -> None:
    def broken() -> str:
        raise RuntimeError("no http://who:hidden@host")

    files = unpacked(packed([Part("a", broken), Part("b", lambda: "fine")], 1))
    assert files == {"a.error": "RuntimeError: no http://***@host\n", "b": "fine"}


def test_what_is_secret_is_taken_out() -> None:
    assert text("s3://b/k?secret=x and mysql://u:p@h/d") == "s3://b/k?*** and mysql://***@h/d"
    assert redacted({"userSpecJson": "a: b"}) == {"userSpecJson": "***"}
    assert redacted({"a": [{"env": {"K": "v"}}], "n": 1}) == {"a": [{"env": {"K": "***"}}], "n": 1}
    told = settings(Config(data=Path("/d"), storage="s3://key:hidden@bucket/in?secret=hidden"))
    assert (told["storage"], told["port"]) == ("bucket/in", "30650")
