"""Every call is sent anything: it is refused in words or done, and the server goes on with nothing broken."""

from __future__ import annotations

import os
from collections.abc import Iterator

import grpc
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from trunkline.testing.calls import add, edits, on
from trunkline.testing.fuzzing.calls import Fuzzed, fuzzed
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import transaction_v2_pb2 as transactions

SEED = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
# A failing request is told whole, and what exists changes from call to call: nothing is gained by looking for less.
FUZZ = settings(
    deadline=None, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck), derandomize=False
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed(tmp_path_factory.mktemp("f")) as made:
        yield made


def send(server: Fuzzed, data: st.DataObject) -> None:
    """One call with anything."""
    method = data.draw(st.sampled_from(server.methods), label="call")
    requests = data.draw(server.requests(method), label="requests")
    server.call(method, requests, data.draw(server.metadata(), label="metadata"))


def test_anything_sent_is_done_or_refused_in_words(server: Fuzzed) -> None:
    @seed(11)
    @settings(FUZZ, max_examples=250)
    @given(st.data())
    def calls(data: st.DataObject) -> None:
        send(server, data)

    calls()
    server.must_be_sound()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_anything_sent_for_long(server: Fuzzed) -> None:
    @seed(SEED)
    @settings(FUZZ, max_examples=20_000)
    @given(st.data())
    def calls(data: st.DataObject) -> None:
        send(server, data)

    calls()
    server.must_be_sound()


def test_bytes_that_are_no_message_are_the_callers_mistake(server: Fuzzed) -> None:
    for method in server.methods:
        code, said = server.raw(method, b"\xff\xff\xff")
        assert code is grpc.StatusCode.INVALID_ARGUMENT, f"{method.full_name}: {code}: {said}"
        assert method.input_type.name in said, said


def test_bytes_in_the_midst_of_a_stream_that_are_no_message(server: Fuzzed) -> None:
    (modify,) = (each for each in server.methods if each.full_name == "pfs_v2.API.ModifyFile")
    repo = pfs.Repo(name="one", type="user", project=pfs.Project(name="default"))
    sent = [each.SerializeToString() for each in edits(on(repo), {"/half": b"1"})]
    code, said = server.raw(modify, *sent, b"\xff\xff\xff", add("/half", b"2").SerializeToString())
    assert (code, "ModifyFileRequest" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    (get,) = (each for each in server.methods if each.full_name == "pfs_v2.API.InspectFile")
    there = pfs.InspectFileRequest(file=pfs.File(commit=on(repo), path="/half"))
    assert server.call(get, [there]) is grpc.StatusCode.NOT_FOUND


def test_finishing_no_transaction_is_refused(server: Fuzzed) -> None:
    (finish,) = (each for each in server.methods if each.full_name == "transaction_v2.API.FinishTransaction")
    assert server.call(finish, [transactions.FinishTransactionRequest()]) is grpc.StatusCode.INVALID_ARGUMENT
