"""Every call is sent anything: it is refused in words or done, and the server goes on with nothing broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from trunkline.ambient import chance
from trunkline.catalog.engine import Tx
from trunkline.pfs.graph import repos
from trunkline.testing.calls import add, edits, on
from trunkline.testing.catalogs import open_catalog
from trunkline.testing.fuzzing.calls import WAITING, Fuzzed, fuzzed
from trunkline.testing.fuzzing.trail import Trail
from trunkline.testing.fuzzing.valid import NEVER, valid
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import transaction_v2_pb2 as transactions

SEED = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
CALLS = int(os.environ.get("TRUNKLINE_CALLS") or 20_000)
# A failing request is told whole, and what exists changes from call to call: nothing is gained by looking for less.
FUZZ = settings(
    deadline=None, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck), derandomize=False
)


RICH = ("CreatePipeline", "CreatePipelineV2", "Forecast", "ModifyFile", "BulkPut", "CreateImage", "CreateBranch")
"""Calls whose requests say the most."""


UNSETTLING = ("Delete", "Stop", "Rerun", "Run", "Set", "Create", "Update", "Squash", "Drop")
"""Calls after which what others name may be gone or new."""


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
def test_anything_sent_for_long(server: Fuzzed, record_property: Callable[[str, object], None]) -> None:
    @seed(SEED)
    @settings(FUZZ, max_examples=CALLS)
    @given(st.data())
    def calls(data: st.DataObject) -> None:
        send(server, data)

    calls()
    server.must_be_sound()
    record_property("figures", f"{CALLS} calls with anything; {server.refused} refused, which left nothing")


def test_there_is_a_request_for_every_call_that_is_done(server: Fuzzed) -> None:
    luck = chance(3)
    for method in sorted(server.methods, key=lambda each: each.name.startswith(UNSETTLING)):
        done = {grpc.StatusCode.OK} | ({grpc.StatusCode.DEADLINE_EXCEEDED} if method.name in WAITING else set())
        for _ in range(1 if method.full_name in NEVER else 5):  # what it is about may have gone by a call before
            sent = valid(method, server.pool, luck)
            code = server.call(method, sent)
            if code in done:
                break
            server.fill()
        assert code in done or method.full_name in NEVER, f"{method.full_name}: {code}: {sent}"
    server.must_be_sound()


def test_what_requests_name_is_there_again_after_a_call_took_it(server: Fuzzed) -> None:
    (modify,) = (each for each in server.methods if each.full_name == "pfs_v2.API.ModifyFile")
    (look,) = (each for each in server.methods if each.full_name == "pfs_v2.API.InspectFile")
    one = on(pfs.Repo(name="one", type="user", project=pfs.Project(name="default")))
    gone = pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/a"))
    assert server.call(modify, [pfs.ModifyFileRequest(set_commit=one), gone]) is grpc.StatusCode.OK
    named = [pfs.InspectFileRequest(file=pfs.File(commit=one, path="/a"))]
    assert server.call(look, named) is grpc.StatusCode.NOT_FOUND
    server.fill()
    assert server.call(look, named) is grpc.StatusCode.OK


def play_mutants(server: Fuzzed, first: int, count: int) -> None:
    """Calls with mutants, each made from a seed; a failure says which."""
    for number in range(first, first + count):
        luck = chance(number)
        method = luck.choice([each for each in server.methods for _ in range(5 if each.name in RICH else 1)])
        requests = server.mutants(method, luck)
        try:
            server.call(method, requests)
        except BaseException as error:
            error.add_note(f"seed {number}: {method.full_name}: {requests}"[:4000])
            raise
    server.must_be_sound()


def test_what_was_right_and_was_changed_is_done_or_refused_in_words(server: Fuzzed) -> None:
    before = server.refused
    play_mutants(server, 1, 300)
    assert server.refused - before > 100


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_what_was_right_and_was_changed_for_long(
    server: Fuzzed, record_property: Callable[[str, object], None]
) -> None:
    before = server.refused
    play_mutants(server, SEED * 1_000_000, CALLS // 2)
    said = f"{CALLS // 2} calls, each with a request that was right and then changed"
    record_property("figures", f"{said}; {server.refused - before} refused, which left nothing")


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


def test_what_a_refused_call_left_is_told(tmp_path: Path) -> None:
    """So that the tests above can fail."""
    deeds: list[Callable[[Tx], object]] = [
        lambda tx: repos.create_project(tx, "gone"),
        lambda tx: repos.create_project(tx, "kept"),
        lambda tx: repos.create_project(tx, "kept", "in other words", update=True),
        lambda tx: repos.delete_project(tx, "gone"),
    ]
    with open_catalog(tmp_path, rehearse=False) as catalog:
        trail = Trail(catalog)
        catalog.transact(repos.ensure_default_project)  # which is no call's
        for deed in deeds:
            trail.bridge.calls.submit(catalog.transact, deed).result()
        (left,) = trail.left()
        assert left.startswith("+ projects: name='kept', description='in other words'")
        assert trail.begin(1)
        assert not trail.left()
