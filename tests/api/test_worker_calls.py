"""What workers ask of the server, through a real socket: sessions, claims, commands; and what a claim carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.empty_pb2 import Empty

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.api.rpc.call import call_of
from trunkline.api.rpc.tokens import WorkerTokens
from trunkline.api.workers.handout import datums_of
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.client.address import parse
from trunkline.client.connection import Client
from trunkline.client.sessions import RemoteSession
from trunkline.client.work.workers import RemoteServer
from trunkline.errors import FailedPrecondition, Internal, Kind, PermissionDenied, TrunklineError
from trunkline.model.datums import ELEMENTS, DatumTable, Slot
from trunkline.storage import NewChunk, Sealed
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc, pps_v2_pb2_grpc
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import worker_pb2 as wire
from trunkline.wire.work import DATUMS, WorkStep, table_from_bytes


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    opened = open_engine(Config(data=tmp_path_factory.mktemp("data"), workers=1), RealAmbient())
    opened.start(("127.0.0.1", 0))
    yield opened
    opened.stop()
    opened.close()


@pytest.fixture(scope="module")
def channel(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    with serving(tmp_path_factory.mktemp("s"), engine.doors) as opened:
        yield opened


@pytest.fixture(scope="module")
def workers(engine: Engine, channel: grpc.Channel) -> Any:
    return Client(channel, parse("grpc://127.0.0.1:1"), worker_token=engine.tokens.whole).workers


def kind_of(call: Any, request: Any) -> Kind:
    with pytest.raises(TrunklineError) as raised:
        call(request)
    assert str(raised.value)
    return raised.value.kind


METHODS = list(wire.DESCRIPTOR.services_by_name["Workers"].methods)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_only_who_shows_the_token_may_call(channel: grpc.Channel, method: MethodDescriptor) -> None:
    request = message_factory.GetMessageClass(method.input_type)()
    for token, kind in (("", Kind.UNAUTHENTICATED), ("0" * 64, Kind.PERMISSION_DENIED)):
        other = Client(channel, parse("grpc://127.0.0.1:1"), worker_token=token).workers
        ask = getattr(other, method.name)
        said = kind_of(lambda asked, ask=ask: next(ask(asked)) if method.server_streaming else ask(asked), request)
        assert said is kind


EDGES = {"pipeline": pps.Pipeline(name="edges"), "version": 3}
OTHERS = (
    wire.ClaimRequest(worker="default-edges-v3-abcde", pipeline=pps.Pipeline(name="other"), version=3),
    wire.ClaimRequest(worker="default-edges-v3-abcde", pipeline=pps.Pipeline(name="edges"), version=2),
    wire.ClaimRequest(worker="default-edges-v3-abcde"),
    wire.ClaimRequest(worker="default-other-v3-abcde", **EDGES),
    wire.ClaimRequest(worker="default-edges-v3-x-v1-abcde", **EDGES),
    wire.RenewRequest(worker="default-other-v1-abcde"),
    wire.ReportRequest(worker="default-other-v1-abcde"),
    wire.LogsRequest(worker="default-other-v1-abcde"),
    wire.WatchRequest(worker="default-other-v1-abcde"),
    wire.StandRequest(worker="default-edges-v3-abcde", pipeline=pps.Pipeline(name="other")),
    wire.TellRequest(worker="default-edges-v3-abcde", pipeline=pps.Pipeline(name="edges"), version=2),
)


@pytest.mark.parametrize("request_", OTHERS, ids=lambda one: type(one).__name__)
def test_the_workers_of_a_pipeline_speak_for_it_only(engine: Engine, channel: grpc.Channel, request_: Any) -> None:
    token = engine.tokens.of("default-edges-v3")
    mine = Client(channel, parse("grpc://127.0.0.1:1"), worker_token=token).workers
    call = getattr(mine, type(request_).__name__.removesuffix("Request"))
    streams = isinstance(request_, wire.WatchRequest)
    assert kind_of(lambda one: next(call(one)) if streams else call(one), request_) is Kind.PERMISSION_DENIED


def test_the_workers_of_a_pipeline_claim_what_is_its_own(engine: Engine, channel: grpc.Channel) -> None:
    token = engine.tokens.of("default-edges-v3")
    mine = Client(channel, parse("grpc://127.0.0.1:1"), worker_token=token).workers
    assert not mine.Claim(wire.ClaimRequest(worker="default-edges-v3-abcde", **EDGES)).HasField("claim")
    forged = token.replace("edges", "other")
    other = Client(channel, parse("grpc://127.0.0.1:1"), worker_token=forged).workers
    assert kind_of(other.Claim, wire.ClaimRequest(worker="default-other-v3-abcde")) is Kind.PERMISSION_DENIED


def test_servers_with_one_key_know_each_others_workers() -> None:
    one, same, another = WorkerTokens(b"k" * 32), WorkerTokens(b"k" * 32), WorkerTokens(b"l" * 32)
    assert same.name_in(one.of("default-edges-v3")) == "default-edges-v3"
    assert same.name_in(one.whole) == ""
    with pytest.raises(PermissionDenied):
        another.name_in(one.whole)


def test_the_token_is_not_in_what_is_shown(engine: Engine) -> None:
    call = call_of("/x/Y", [("worker-token", engine.tokens.whole)])
    assert call.worker_token == engine.tokens.whole
    assert engine.tokens.whole not in repr(call)


def session(workers: Any) -> int:
    answer = workers.OpenSession(wire.OpenSessionRequest(worker="w"))
    assert answer.lease_us > 0
    return int(answer.gen)


def test_a_session_is_open_until_it_ends(workers: Any) -> None:
    gen = session(workers)
    workers.Refresh(wire.RefreshRequest(gen=gen))
    workers.EndSession(wire.EndSessionRequest(gen=gen))
    assert kind_of(workers.Refresh, wire.RefreshRequest(gen=gen)) is Kind.FAILED_PRECONDITION
    assert kind_of(workers.Known, wire.KnownRequest(gen=gen, hashes=[b"h" * 32])) is Kind.ABORTED


def test_chunks_are_known_once_they_are_registered(workers: Any) -> None:
    gen = session(workers)
    hashes = [blake3(text).digest() for text in (b"one", b"two")]
    assert list(workers.Known(wire.KnownRequest(gen=gen, hashes=hashes)).hashes) == []
    new = [wire.NewChunk(hash=digest, gen=gen, size_bytes=3, stored_bytes=3) for digest in hashes]
    answer = workers.Register(wire.RegisterRequest(gen=gen, chunks=new))
    assert dict(zip(answer.hashes, answer.gens, strict=True)) == dict.fromkeys(hashes, gen)
    other = session(workers)
    late = workers.Register(
        wire.RegisterRequest(gen=other, chunks=[wire.NewChunk(hash=hashes[0], gen=other, size_bytes=3, stored_bytes=3)])
    )
    assert list(late.gens) == [gen]  # the row that got there first


def test_sealed_file_sets_can_be_held(workers: Any) -> None:
    gen = session(workers)
    sealed = Sealed(id="a" * 32, rows=0, size_bytes=0)
    workers.Seal(wire.SealRequest(gen=gen, sealed=[sealed.to_bytes()]))
    held = workers.Hold(wire.HoldRequest(gen=gen, filesets=[sealed.id]))
    assert [Sealed.from_bytes(body) for body in held.sealed] == [sealed]
    assert kind_of(workers.Hold, wire.HoldRequest(gen=gen, filesets=["b" * 32])) is Kind.ABORTED


def test_what_cannot_be_read_is_refused(workers: Any) -> None:
    gen = session(workers)
    assert kind_of(workers.Seal, wire.SealRequest(gen=gen, sealed=[b"junk"])) is Kind.INVALID_ARGUMENT
    report = wire.ReportRequest(worker="w", gen=gen, claim="1.a", stats=b"junk")
    assert kind_of(workers.Report, report) is Kind.INVALID_ARGUMENT


def test_a_refreshed_session_keeps_what_it_names(engine: Engine, workers: Any) -> None:
    remote = RemoteSession(workers, "w")
    digest = blake3(b"refreshed").digest()
    remote.register([NewChunk(digest, remote.gen, 9, 9)])
    remote.refresh()
    assert remote.known([digest]) == {digest: remote.gen}
    lame = wire.RefreshRequest(gen=remote.gen, hashes=[digest])
    assert kind_of(workers.Refresh, lame) is Kind.INVALID_ARGUMENT
    remote.end()
    with pytest.raises(FailedPrecondition, match="is over"):
        remote.refresh()


def test_a_worker_without_a_claim_writes_nothing(engine: Engine, channel: grpc.Channel) -> None:
    ambient = SimulatedAmbient()
    client = Client(channel, parse("grpc://127.0.0.1:1"), worker_token=engine.tokens.whole)
    server = RemoteServer(client, "idle", ambient)
    assert server.claim() is None
    with pytest.raises(Internal, match="in the session of a claim"):
        _ = server.session


def test_a_worker_with_nothing_to_do_has_no_session(engine: Engine, workers: Any) -> None:
    before = engine.space.inspect().stored.open_sessions
    assert not workers.Claim(wire.ClaimRequest(worker="idle")).HasField("claim")
    assert engine.space.inspect().stored.open_sessions == before


def test_a_claim_says_all_and_is_called_back(channel: grpc.Channel, workers: Any) -> None:
    gen = session(workers)
    orders = workers.Watch(wire.WatchRequest(worker="w", gen=gen), timeout=60)
    assert next(orders).WhichOneof("command") == "wake"
    assert not workers.Claim(wire.ClaimRequest(worker="w", gen=gen)).HasField("claim")
    assert kind_of(workers.Known, wire.KnownRequest(gen=gen, hashes=[b"h" * 32])) is Kind.ABORTED  # it has ended
    assert not workers.Claim(wire.ClaimRequest(worker="w")).HasField("claim")
    files, pipelines = pfs_v2_pb2_grpc.APIStub(channel), pps_v2_pb2_grpc.APIStub(channel)
    repo = pfs.Repo(name="data", type="user", project=pfs.Project(name="default"))
    files.CreateRepo(pfs.CreateRepoRequest(repo=repo))
    commit = pfs.Commit(branch=pfs.Branch(repo=repo, name="master"))
    edits = [pfs.ModifyFileRequest(set_commit=commit)]
    for name in ("/a", "/b"):
        file = pfs.AddFile(path=name)
        file.raw.value = b"x"
        edits.append(pfs.ModifyFileRequest(add_file=file))
    files.ModifyFile(iter(edits))
    pipelines.CreatePipeline(
        pps.CreatePipelineRequest(
            pipeline=pps.Pipeline(name="p"),
            transform=pps.Transform(cmd=["sh", "-c", "true"], env={"A": "1"}),
            input=pps.Input(pfs=pps.PFSInput(repo="data", glob="/*", name="in")),
        )
    )
    assert next(orders).WhichOneof("command") == "wake"  # there is something to claim now
    claim = workers.Claim(wire.ClaimRequest(worker="w")).claim
    gen = claim.gen  # a new one
    step = WorkStep.from_bytes(claim.spec)
    assert (step.cmd, step.env, [one.name for one in step.inputs]) == (("sh", "-c", "true"), {"A": "1"}, ["in"])
    assert len(workers.Hold(wire.HoldRequest(gen=gen, filesets=step.inputs[0].filesets)).sealed) > 0
    datums = table_from_bytes(claim.datums, DATUMS).to_pylist()
    assert [one["elements"][0]["path"] for one in datums] == ["/a", "/b"]
    assert [one["row"] for one in datums] == list(range(claim.first, claim.last))
    kept = workers.Renew(
        wire.RenewRequest(worker="w", gen=gen, claims=[wire.Renewal(claim=claim.id, fence=claim.fence, row=-1)])
    )
    assert list(kept.commands) == []
    pipelines.StopJob(pps.StopJobRequest(job=claim.job, reason="enough"))
    order = next(order for order in orders if order.WhichOneof("command") != "wake")
    assert (order.cancel.claim, order.cancel.reason) == (claim.id, "enough")
    kept = workers.Renew(
        wire.RenewRequest(worker="w", gen=gen, claims=[wire.Renewal(claim=claim.id, fence=claim.fence, row=-1)])
    )
    assert kept.commands[0].cancel.claim == claim.id
    pipelines.CreatePipeline(
        pps.CreatePipelineRequest(
            pipeline=pps.Pipeline(name="p"),
            transform=pps.Transform(cmd=["sh", "-c", "echo"]),
            input=pps.Input(pfs=pps.PFSInput(repo="data", glob="/*", name="in")),
            update=True,
        )
    )
    order = next(order for order in orders if order.WhichOneof("command") not in ("wake", "cancel"))
    assert order.retire.pipeline.name == "p"
    pipelines.StopPipeline(pps.StopPipelineRequest(pipeline=pps.Pipeline(name="p")))
    order = next(order for order in orders if order.WhichOneof("command") not in ("wake", "cancel"))
    assert (order.retire.pipeline.project.name, order.retire.pipeline.name) == ("default", "p")
    pipelines.DeletePipeline(pps.DeletePipelineRequest(pipeline=pps.Pipeline(name="p")))
    assert next(order for order in orders if order.WhichOneof("command") != "wake").retire.pipeline.name == "p"
    orders.cancel()


def test_everything_is_counted_and_deleted(channel: grpc.Channel) -> None:
    files, pipelines = pfs_v2_pb2_grpc.APIStub(channel), pps_v2_pb2_grpc.APIStub(channel)
    for name in ("plain", "read"):
        repo = pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))
        files.CreateRepo(pfs.CreateRepoRequest(repo=repo))
    files.CreateProject(pfs.CreateProjectRequest(project=pfs.Project(name="empty")))
    pipelines.CreatePipeline(
        pps.CreatePipelineRequest(
            pipeline=pps.Pipeline(name="reader"),
            transform=pps.Transform(cmd=["true"]),
            input=pps.Input(pfs=pps.PFSInput(repo="read", glob="/")),
        )
    )
    default = pfs.ProjectPicker(name="default")
    repos = files.ReposSummary(pfs.ReposSummaryRequest(projects=[default])).summaries[0].user_repo_count
    assert repos >= 3
    before = pipelines.PipelinesSummary(pps.PipelinesSummaryRequest(projects=[default])).summaries[0]
    assert before.active_pipelines >= 1
    files.DeleteAll(Empty())  # repos of pipelines stay as long as those do
    assert "reader" in {info.repo.name for info in files.ListRepo(pfs.ListRepoRequest(type="user"))}
    pipelines.DeleteAll(Empty())
    files.DeleteAll(Empty())
    assert list(files.ListRepo(pfs.ListRepoRequest())) == []
    assert [info.project.name for info in files.ListProject(pfs.ListProjectRequest())] == ["default"]


def test_datums_travel_by_columns() -> None:
    slots = [Slot("in", "default", "data", "master", "c" * 32), Slot("more", "default", "other", "master", "d" * 32)]
    elements = pa.table(
        {
            "slot": pa.array([0, 0, 1], pa.int16()),
            "path": ["/a", "/b", "/"],
            "is_dir": [False, False, True],
            "size": [1, 2, 3],
            "hash": pa.array([b"a" * 32, b"", b"c" * 32], pa.binary()),
            "join_on": ["", "k", ""],
            "group_by": ["", "", ""],
        },
        schema=ELEMENTS,
    )
    rows = pa.ListArray.from_arrays(pa.array([0, 2, 4], pa.int32()), pa.array([0, 2, 1, 2], pa.int32()))
    table = DatumTable(slots, elements, rows, "default")
    sent = table_from_bytes(datums_of(table, 10, {11: 2}), DATUMS)
    assert sent["row"].to_pylist() == [10, 11]
    assert sent["deaths"].to_pylist() == [0, 2]
    assert sent["id"].to_pylist() == [raw.hex() for raw in table.ids.to_pylist()]
    second = sent["elements"].to_pylist()[1]
    assert [(one["input"], one["path"], one["hash"], one["join_on"]) for one in second] == [
        (0, "/b", None, "k"),
        (1, "/", b"c" * 32, ""),
    ]
    part = table.take(pa.array(np.array([1])))
    assert table_from_bytes(datums_of(part, 11, {}), DATUMS)["elements"].to_pylist() == [second]
