"""Claims that a worker can do nothing with go back to the server with the reason; what was reported stays."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

import pytest
from fakes import FakeServer, MemoryOutput, claim, datum, element
from worlds import World

from trunkline.errors import Aborted, InvalidArgument, ResourceExhausted, TrunklineError, Unavailable
from trunkline.worker import loop
from trunkline.worker.loop import Worker
from trunkline.worker.ports import Result, Step

COPY = Step(("sh", "-c", "cp /pfs/images/* /pfs/out"))
ROWS = [datum(row, element(f"/{row + 1}.txt")) for row in range(3)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_RETRY_S", 0.01)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ResourceExhausted("cannot write a: No space left on device"), "cannot write a: No space left on device"),
        (Unavailable("the {object} store is away"), "the {object} store is away"),
        (OSError(errno.ENOSPC, "full", "/data/x"), "no space left on device (/data/x); free some space"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "input/output error"),
    ],
)
def test_results_that_cannot_be_kept_go_back_with_the_reason(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    seal, errors = MemoryOutput.seal, [error]

    def fails(output: MemoryOutput, results: Sequence[Result]) -> object:
        if errors:
            raise errors.pop()
        return seal(output, results)

    monkeypatch.setattr(MemoryOutput, "seal", fails)
    server = world.run(claim(COPY, ROWS, id="first"), claim(COPY, ROWS, id="second"))
    assert server.given_back == [("first", f"the results of datums 0 to 2 cannot be kept: {why}")]
    assert list(server.results) == ["second"]
    assert why in world.storage.log()


def test_a_report_that_finds_no_room_goes_back_from_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_BYTES", 1)

    def full(server: FakeServer, worker: Worker) -> None:
        server.on_report = lambda: server.refuse.update({"claim-1": ResourceExhausted("the disk is full")})
        server.waiting.append(claim(COPY, ROWS[:2]))
        server.idle.clear()
        worker.obey(loop.Wake())

    server = world.run(during=full)
    assert server.reports == [("claim-1", 1)]
    assert server.given_back == [("claim-1", "the results of datum 1 cannot be kept: the disk is full")]


@pytest.mark.parametrize("error", [Unavailable("the object store is away"), OSError(errno.EIO, "broken")])
def test_inputs_that_cannot_be_read_now_go_back(world: World, error: Exception) -> None:
    world.storage.fail = error
    server = world.run(claim(COPY, ROWS, id="first"), claim(COPY, ROWS, id="second"))
    ((which, why),) = server.given_back
    assert (which, why.partition(":")[0]) == ("first", "datums 0 to 2 cannot be run")
    assert list(server.results) == ["second"]


def test_what_was_done_before_is_reported_and_the_rest_goes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    put = MemoryOutput.put

    def full(output: MemoryOutput, path: str, data: bytes, tag: str) -> int:
        if path == "/2.txt":
            raise ResourceExhausted("no space left on device")
        return put(output, path, data, tag)

    monkeypatch.setattr(MemoryOutput, "put", full)
    server = world.run(claim(COPY, ROWS))
    assert server.reports == [("claim-1", 1)]
    assert server.given_back == [("claim-1", "datums 1 to 2 cannot be run: no space left on device")]


@pytest.mark.parametrize("error", [InvalidArgument("no such row"), OSError(errno.ENOENT, "gone")])
def test_what_would_go_wrong_again_is_no_reason_to_give_back(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It counts as a death, so that it ends some time."""

    def fails(output: MemoryOutput, results: Sequence[Result]) -> object:
        raise error

    monkeypatch.setattr(MemoryOutput, "seal", fails)
    server = world.run(claim(COPY, ROWS))
    assert (server.given_back, server.results) == ([], {})


@pytest.mark.parametrize(
    ("answers", "times"),
    [([Unavailable("away"), ResourceExhausted("the catalog is full")], 1), ([Aborted("another worker has it")], 0)],
)
def test_a_server_without_room_for_that_either_is_told_again(
    world: World, monkeypatch: pytest.MonkeyPatch, answers: list[TrunklineError], times: int
) -> None:
    monkeypatch.setattr(loop, "BEAT_S", 0.01)
    world.storage.fail = Unavailable("the object store is away")

    def later(server: FakeServer, worker: Worker) -> None:
        server.refuse_back = [*answers]
        server.waiting.append(claim(COPY, ROWS))
        server.idle.clear()
        worker.obey(loop.Wake())

    server = world.run(during=later)
    assert (len(server.given_back), server.refuse_back) == (times, [])
