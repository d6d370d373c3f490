"""Load tests of files: what a seed draws is written and compared, and what is wrong is found."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.errors import Aborted
from trunkline.pfs import edits
from trunkline.pfs.files import Files
from trunkline.pfs.loading import LoadSpec, check, read_load, run_load
from trunkline.pps.loading import read_dag
from trunkline.testing.calls import Client, on, refused
from trunkline.testing.doors import serving
from trunkline.wire.gen import debug_v2_pb2 as debug
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen.debug_v2_pb2_grpc import DebugStub
from trunkline.wire.gen.pps_v2_pb2_grpc import APIStub as PpsStub

SMALL = "commits: 3\nfiles: 6\ndeletes: 2\nfolders: 2\nminBytes: 0\nmaxBytes: 2000\n"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = open_engine(Config(data=tmp_path_factory.mktemp("data")), RealAmbient())
    made.start(("127.0.0.1", 0))
    yield made
    made.stop()
    made.close()


@pytest.fixture(scope="module")
def channel(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    with serving(tmp_path_factory.mktemp("s"), engine.doors) as channel:
        yield channel


def paths(client: Client, repo: pfs.Repo) -> list[tuple[str, bytes]]:
    """Files of a repo, and their hashes."""
    found = client.stub.WalkFile(pfs.WalkFileRequest(file=pfs.File(commit=on(repo), path="/")))
    return [(info.file.path, info.hash) for info in found if info.file_type == pfs.FILE]


def test_the_same_seed_writes_the_same(channel: grpc.Channel) -> None:
    client = Client.on(channel)
    first = client.stub.RunLoadTest(pfs.RunLoadTestRequest(spec=SMALL, seed=7))
    second = DebugStub(channel).RunPFSLoadTest(debug.RunPFSLoadTestRequest(spec=SMALL, seed=7))
    for one in (first, second):
        assert (one.error, one.spec, one.seed, one.branch.name) == ("", SMALL, 7, "master")
        assert one.duration.ToMicroseconds() > 0
    assert first.branch.repo.name != second.branch.repo.name
    written = paths(client, first.branch.repo)
    assert len(written) > 6
    assert written == paths(client, second.branch.repo)
    other = client.stub.RunLoadTest(pfs.RunLoadTestRequest(spec=SMALL, seed=8))
    assert written != paths(client, other.branch.repo)


def test_one_goes_on_where_another_ended(channel: grpc.Channel) -> None:
    client = Client.on(channel)
    repo = client.repo()
    branch = pfs.Branch(repo=repo, name="master")
    first = client.stub.RunLoadTest(pfs.RunLoadTestRequest(spec=SMALL, seed=1, branch=branch))
    asked = pfs.RunLoadTestRequest(spec="commits: 1\nfiles: 1", seed=2, branch=branch, state_id=first.state_id)
    assert client.stub.RunLoadTest(asked).error == ""
    assert "has moved on" in refused(client.stub.RunLoadTest, asked)[1]


def test_without_anything_said(channel: grpc.Channel) -> None:
    answer = Client.on(channel).stub.RunLoadTestDefault(Empty())
    assert (answer.error, answer.spec) == ("", LoadSpec().as_yaml())
    assert answer.seed != 0


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("count: 3", 'has no field "count", only commits'),
        ("[1]", "consists of fields"),
        ("a: [", "cannot be read"),
        ("files: -1", "files is a number"),
        ("files: true", "files is a number"),
        ("minBytes: many", "minBytes"),
        ("minBytes: 2K\nmaxBytes: 1K", "is more than maxBytes"),
        ("commits: 0", "at least one"),
        ("files: 10G", "at most"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(channel: grpc.Channel, spec: str, told: str) -> None:
    code, words = refused(Client.on(channel).stub.RunLoadTest, pfs.RunLoadTestRequest(spec=spec))
    assert (code, told in words) == (grpc.StatusCode.INVALID_ARGUMENT, True), words


@pytest.mark.parametrize(
    ("dag", "told"),
    [
        ("pipelines: []", "a list of up to"),
        ("pipelines: [{name: input}]", "a name of its own"),
        ("pipelines: [{name: a}, {name: a}]", "a name of its own"),
        ("pipelines: [{name: a, inputs: [b]}]", 'reads "b"'),
        ("pipelines: [{name: a, inputs: [input, input]}]", "different names"),
        ("pipelines: [{name: 'a b'}]", "a b"),
        ("steps: []", 'no field "steps"'),
    ],
)
def test_a_dag_that_cannot_be_is_refused(channel: grpc.Channel, dag: str, told: str) -> None:
    code, words = refused(PpsStub(channel).RunLoadTest, pps.RunLoadTestRequest(dag_spec=dag))
    assert (code, told in words) == (grpc.StatusCode.INVALID_ARGUMENT, True), words
    assert "leave state_id out" in refused(PpsStub(channel).RunLoadTest, pps.RunLoadTestRequest(state_id="x"))[1]


def test_a_dag_in_words() -> None:
    dag = read_dag("pipelines: [{name: a, glob: /}, {name: b, inputs: [a, input]}]")
    assert dag.pipelines == (("a", ("input",), "/"), ("b", ("a", "input"), "/*"))


def test_what_is_wrong_is_found(engine: Engine) -> None:
    files: Files = engine.space.files
    found = run_load(files, read_load(SMALL), None, 3, "", lambda: True)
    branch = found.branch
    assert found.error == ""
    path = min(found.known)
    size = found.known[path][0]
    for change, told in [
        (edits.Add(path, b"more"), f"{path} has {size + 4} bytes and not {size}"),
        (edits.Delete(path), f"{path} is missing"),
        (edits.AddMany([path, "/0/!"], [size, 1], b"!" * (size + 1)), "/0/! should not be there"),
        (edits.Delete("/0/!"), f"{path} has other bytes"),
    ]:
        commit = edits.modify(files, edits.Target(branch.repo, "master"), [change])
        assert told in check(files, branch.repo, commit.id, found.known, lambda: True)
    with pytest.raises(Aborted):
        run_load(files, LoadSpec(), branch, 3, "", lambda: False)
