"""Doors of each shape through a real socket, and a sentence from every call that is not built."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.ambient import SimulatedAmbient
from trunkline.api.about import AdminDoor, EnterpriseDoor, LicenseDoor, VersionDoor
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.doors import Rooms, handlers
from trunkline.api.rpc.missing import AUTH_IS_OFF
from trunkline.api.rpc.services import SERVICES
from trunkline.errors import NotFound
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc
from trunkline.wire.notes import notes_of

ABOUT = (VersionDoor(), AdminDoor("1" * 32, "2" * 32), EnterpriseDoor(), LicenseDoor())
BUILT = {(door.service, name) for door in ABOUT for name in dir(door) if name[0].isupper()}
UNBUILT = [m for s in SERVICES for m in s.methods if (s.full_name, m.name) not in BUILT]


NOTES = {
    "noted": ["grüße", "two"],
    "many": [f"pipeline p{number}: ran" for number in range(300)],
    "long": ["é" * 100_000] * 3,
}
"""By the type of the repo that is asked for."""


@dataclass
class Shapes:
    """One call of each shape."""

    service: str = "pfs_v2.API"
    calls: list[Call] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def InspectRepo(self, request: pfs.InspectRepoRequest, call: Call) -> pfs.RepoInfo:
        self.calls.append(call)
        call.notes.extend(NOTES.get(request.repo.type, ()))
        if not request.repo.name:
            raise NotFound("no repo of that name")
        return pfs.RepoInfo(repo=request.repo)

    def ListRepo(self, request: pfs.ListRepoRequest, _call: Call) -> Iterator[pfs.RepoInfo]:
        for at in range(1000):
            yield pfs.RepoInfo(description=str(at))
        if request.type:
            raise NotFound("and then it broke")

    async def InspectCommit(self, request: pfs.InspectCommitRequest, _call: Call) -> pfs.CommitInfo:
        await asyncio.sleep(0)
        return pfs.CommitInfo(commit=request.commit)

    async def SubscribeCommit(self, _request: pfs.SubscribeCommitRequest, _call: Call) -> AsyncIterator[pfs.CommitInfo]:
        try:
            yield pfs.CommitInfo(description="first")
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    def ModifyFile(self, messages: Iterator[pfs.ModifyFileRequest], _call: Call) -> Empty:
        sizes = [len(message.add_file.raw.value) for message in messages]
        raise NotFound(f"{len(sizes)} messages, {sum(sizes)} bytes")

    def CreateFileSet(self, messages: Iterator[pfs.ModifyFileRequest], _call: Call) -> pfs.CreateFileSetResponse:
        next(messages)
        raise NotFound("refused at once")

    def GetFile(self, _request: pfs.GetFileRequest, _call: Call) -> Iterator[BytesValue]:
        raise KeyError("a bug")
        yield


@pytest.fixture(scope="module")
def door() -> Shapes:
    return Shapes()


@pytest.fixture(scope="module")
def channel(door: Shapes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    with serving(tmp_path_factory.mktemp("s"), lambda _loop, _bridge: [door, *ABOUT]) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    return pfs_v2_pb2_grpc.APIStub(channel)


def named(name: str) -> pfs.InspectRepoRequest:
    return pfs.InspectRepoRequest(repo=pfs.Repo(name=name))


def test_a_function_answers(stub: Any) -> None:
    assert stub.InspectRepo(named("images")).repo.name == "images"


def test_an_error_is_code_and_details(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.InspectRepo(named(""))
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.NOT_FOUND, "no repo of that name")


def test_a_generator_streams_in_order(stub: Any) -> None:
    assert [info.description for info in stub.ListRepo(pfs.ListRepoRequest())] == [str(at) for at in range(1000)]


def test_a_stream_that_breaks_gives_what_came_before(stub: Any) -> None:
    answers = stub.ListRepo(pfs.ListRepoRequest(type="user"))
    assert len([next(answers) for _ in range(1000)]) == 1000
    with pytest.raises(grpc.RpcError) as raised:
        next(answers)
    assert raised.value.details() == "and then it broke"


def test_a_coroutine_answers(stub: Any) -> None:
    assert stub.InspectCommit(pfs.InspectCommitRequest(commit=pfs.Commit(id="a"))).commit.id == "a"


def test_a_watcher_that_leaves_is_told_to_the_door(stub: Any, door: Shapes) -> None:
    answers = stub.SubscribeCommit(pfs.SubscribeCommitRequest())
    assert next(answers).description == "first"
    answers.cancel()
    assert door.cancelled.wait(60)


def test_an_upload_is_read_as_it_comes(stub: Any) -> None:
    piece = pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=BytesValue(value=b"x" * 19_922_944)))
    with pytest.raises(grpc.RpcError) as raised:
        stub.ModifyFile(iter([piece] * 5))
    assert raised.value.details() == f"5 messages, {5 * 19_922_944} bytes"


def test_an_upload_that_is_refused_at_once_is_always_answered(stub: Any) -> None:
    """The answer may come while the server still makes sure that the upload was whole."""
    for _ in range(300):
        with pytest.raises(grpc.RpcError) as raised:
            stub.CreateFileSet(iter([pfs.ModifyFileRequest()]), timeout=60)
        assert raised.value.details() == "refused at once"


def test_a_bug_shows_no_traceback(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        list(stub.GetFile(pfs.GetFileRequest()))
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "a bug" not in raised.value.details().replace("because of a bug", "")


def test_headers_reach_the_door(stub: Any, door: Shapes) -> None:
    stub.InspectRepo(named("a"), metadata=[("authn-token", "secret"), ("pach-transaction", "")])
    call = door.calls[-1]
    assert (call.token, call.transaction, call.bare_branches) == ("secret", "", True)
    assert call.method == "/pfs_v2.API/InspectRepo"


@dataclass
class Tape:
    """Keeps calls of one method."""

    kept: list[Call] = field(default_factory=list)

    def takes(self, method: str) -> bool:
        return method == "/pfs_v2.API/InspectRepo"

    def record(self, request: pfs.InspectRepoRequest, call: Call) -> pfs.RepoInfo:
        self.kept.append(call)
        return pfs.RepoInfo(repo=request.repo, description="kept")


def test_inside_a_transaction_a_call_is_kept_where_it_can_be(tmp_path: Path) -> None:
    tape, shapes = Tape(), Shapes()
    with serving(tmp_path, lambda _loop, _bridge: [shapes], tape) as channel:
        stub: Any = pfs_v2_pb2_grpc.APIStub(channel)
        within = [("pach-transaction", "f" * 32)]
        assert stub.InspectRepo(named("a"), metadata=within).description == "kept"
        assert [call.transaction for call in tape.kept] == ["f" * 32]
        assert stub.InspectRepo(named("a"), metadata=[("pach-transaction", "")]).description == ""
        assert stub.InspectCommit(pfs.InspectCommitRequest(commit=pfs.Commit(id="c")), metadata=within).commit.id == "c"
        assert len(list(stub.ListRepo(pfs.ListRepoRequest(), metadata=within))) == 1000
    assert (len(tape.kept), len(shapes.calls)) == (1, 1)


def call_by(method: MethodDescriptor, channel: grpc.Channel) -> Any:
    path = f"/{method.containing_service.full_name}/{method.name}"
    request = message_factory.GetMessageClass(method.input_type)()
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call = getattr(channel, kind)(path, type(request).SerializeToString, bytes)
    answer = call(iter([request]) if method.client_streaming else request)
    return list(answer) if method.server_streaming else answer


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    with serving(tmp_path_factory.mktemp("s"), lambda _loop, _bridge: ABOUT) as opened:
        yield opened


def test_every_call_that_is_not_built_says_so_by_name(bare: grpc.Channel) -> None:
    assert len(UNBUILT) > 180
    for method in UNBUILT:
        with pytest.raises(grpc.RpcError) as raised:
            call_by(method, bare)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        details = raised.value.details()
        assert f"{method.containing_service.full_name}/{method.name}" in details
        assert len(details) > 60  # it goes on to say what to do
        if method.containing_service.full_name == "auth_v2.API":
            assert AUTH_IS_OFF in details


@dataclass
class Misspelt:
    service: str = "pfs_v2.API"

    def InspektRepo(self, _request: Any, _call: Call) -> Empty:
        return Empty()


@pytest.mark.parametrize("doors", [[Misspelt()], [Shapes(), Shapes()], [Shapes(service="no.API")]])
def test_a_door_that_does_not_fit_its_service_is_refused_at_the_start(doors: list[Any]) -> None:
    with pytest.raises(ValueError):
        handlers(SERVICES, doors, Rooms(Bridge(), SimulatedAmbient()))


def test_notes_travel_beside_the_answer(stub):
    for kind, wanted in (("noted", ["grüße", "two"]), ("user", [])):
        assert noted(stub, kind) == wanted


def test_of_many_notes_as_many_travel_as_a_client_takes(stub):
    some = noted(stub, "many")
    assert some[:40] == NOTES["many"][:40]
    assert some[-1] == f"and {300 - len(some) + 1} more notes of this kind"
    long = noted(stub, "long")
    assert [len(text) for text in long] == [1004, 1004, 28]
    assert long[1:] == [f"{'é' * 1000} ...", "and 1 more note of this kind"]


def noted(stub, kind: str) -> list[str]:
    """The notes beside an answer."""
    _, done = stub.InspectRepo.with_call(pfs.InspectRepoRequest(repo=pfs.Repo(name="a", type=kind)))
    return notes_of(done.trailing_metadata())
