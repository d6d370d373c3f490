"""A disk without room for inputs: what fits is run, what does not is waited for in words, and no datum is to blame."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fakes import FakeServer, MemoryStorage, claim, datum, element
from worlds import FILES, World, wait_until

from trunkline.ambient import RealAmbient
from trunkline.worker import ahead, loop
from trunkline.worker.ahead import Ahead
from trunkline.worker.layout import Pfs, Staging
from trunkline.worker.limits import disk
from trunkline.worker.loop import Worker
from trunkline.worker.ports import Element, Fetched, Limits, Restart, State, Step, Wake

COPY = Step(("sh", "-c", "cp /pfs/images/* /pfs/out"))
GROW = Step(("sh", "-c", "for f in /pfs/images/*; do echo more >> $f; cp $f /pfs/out; done"), writable_inputs=True)


class Crowded(MemoryStorage):
    """Holds `room` elements at once, `taken` of them; and so many more as somebody makes room for."""

    def __init__(self, room: int) -> None:
        super().__init__(images=dict(FILES))
        self.room = room
        self.tried: list[int] = []

    def fetch(self, elements: Sequence[Element]) -> Iterator[Fetched]:
        self.tried.append(len(elements))
        if len(elements) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().fetch(elements)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((ahead, "_RETRY_S"), (ahead, "_LOOK_S"), (disk, "COPY_AGAIN_S"), (disk, "_LOOK_S")):
        monkeypatch.setattr(module, name, 0.01)


def test_a_window_that_does_not_fit_comes_datum_by_datum(tmp_path: Path) -> None:
    storage, said = Crowded(1), list[str]()
    staging = Staging(tmp_path, storage)
    datums = [datum(number, element(f"/{number}.txt")) for number in range(3)]
    come = Ahead(staging, datums, RealAmbient(), lambda row: True, said.append)
    rows = []
    for prepared in come:
        rows.append((prepared.datum.row, prepared.problem))
        staging.release(prepared)
    come.close()
    assert rows == [(0, ""), (1, ""), (2, "")]
    assert storage.tried == [3, 1, 1, 1]
    assert said == []


def test_inputs_without_room_are_waited_for_and_no_datum_is_to_blame(world: World) -> None:
    world.storage = storage = Crowded(0)

    def fetch(elements: Sequence[Element]) -> Iterator[Fetched]:
        if len(storage.tried) == 2:  # somebody makes room
            storage.room = 1
        return Crowded.fetch(storage, elements)

    storage.fetch = fetch  # type: ignore[method-assign]
    (result,) = world.run(claim(COPY, [datum(0, element("/1.txt", size_bytes=1234))])).all_results()
    assert (result.state, result.tries) == (State.SUCCESS, 1)
    assert storage.tried == [1, 1, 1]
    assert "MiB free and a datum's inputs, 1,234 bytes, do not fit; make room there" in storage.log()
    assert world.told == []


def test_what_is_laid_out_ahead_leaves_room_for_the_code_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Crowded(9)
    monkeypatch.setattr(ahead, "WINDOW_BYTES", 1)
    free = [disk.LEAST_FREE_BYTES + 9]
    monkeypatch.setattr(ahead, "free_bytes", lambda folder: free[0])
    staging = Staging(tmp_path, storage)
    datums = [datum(number, element(f"/{number}.txt", size_bytes=10)) for number in range(3)]
    come = Ahead(staging, datums, RealAmbient(), lambda row: True, [].append)
    fetched = []
    for prepared in come:
        fetched.append(len(storage.tried))
        staging.release(prepared)
    come.close()
    assert fetched == [1, 2, 3]


def test_other_troubles_of_the_disk_end_the_claim(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.storage.fail = OSError(errno.EIO, os.strerror(errno.EIO))
    claims = [claim(COPY, [datum(0, element("/1.txt"))], id=name) for name in ("first", "second")]
    monkeypatch.setattr("trunkline.worker.loop._RETRY_S", 0.01)
    assert list(world.run(*claims).results) == ["second"]


def test_copies_without_room_are_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_inputs, full = Pfs.copy_inputs, ["no room", "no room"]

    def fails(pfs: Pfs, prepared: ahead.Prepared, staging: Path) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copy_inputs(pfs, prepared, staging)

    monkeypatch.setattr(Pfs, "copy_inputs", fails)
    monkeypatch.setattr(disk, "full", lambda folder: full.pop() if full else "")
    server = world.run(claim(GROW, [datum(0, element("/1.txt", size_bytes=2))]))
    assert [(path, content) for path, content, _ in server.rows] == [("/1.txt", b"1\nmore\n")]
    assert "copies of inputs, 2 bytes, do not fit; make room there" in world.storage.log()


def test_copies_that_fit_into_no_memory_fail_their_datum(world: World) -> None:
    world.storage.trees["images"]["/large"] = bytes(9 << 20)
    limits = Limits(memory_bytes=8 << 20, memory="8Mi")
    step = Step(GROW.cmd, writable_inputs=True, memory_volume=True, limits=limits, datum_tries=1)
    first, second = world.run(claim(step, [datum(0, element("/large")), datum(1, element("/1.txt"))])).all_results()
    told = "copies of inputs, 9,437,184 bytes, do not fit: /pfs lies in memory and its 8Mi are full"
    assert (first.state, first.reason) == (State.FAILED, told)
    assert second.reason == ""


def test_code_that_ends_well_though_nothing_fits_any_more_is_noted_in_its_log(world: World) -> None:
    fill = "head -c 20000000 /dev/zero > /pfs/out/x 2> /dev/null; exit 0"
    step = Step(("sh", "-c", fill), memory_volume=True, limits=Limits(memory_bytes=8 << 20, memory="8Mi"))
    (result,) = world.run(claim(step, [datum(0, element("/1.txt"))])).all_results()
    assert (result.state, result.reason) == (State.SUCCESS, "")
    told = "/pfs lies in memory and its 8Mi are full; the code ended well all the same, and its output may be cut off"
    assert told in world.storage.log()


@pytest.mark.parametrize(("left", "said"), [(0, True), (100 << 20, False)])
def test_so_is_code_that_ends_well_on_a_full_disk(
    world: World, monkeypatch: pytest.MonkeyPatch, left: int, said: bool
) -> None:
    asked: list[Path] = []

    def free(folder: Path) -> int:
        asked.append(folder)
        return disk.LEAST_FREE_BYTES if len(asked) == 1 else left

    monkeypatch.setattr(disk, "free_bytes", free)
    (result,) = world.run(claim(COPY, [datum(0, element("/1.txt"))])).all_results()
    assert result.state is State.SUCCESS
    told = "no space left on device: the disk that holds"
    assert (told in world.storage.log(), "may be cut off" in world.storage.log()) == (said, said)
    assert len(asked) == 2  # before it and after it


@pytest.mark.parametrize("waits", ["begin", "copies", "inputs"])
def test_a_datum_that_waits_for_room_is_started_over_and_counts_no_try(
    world: World, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    """It has not begun, so there is nothing to end; it waits on, and runs when there is room."""
    monkeypatch.setattr(loop, "BEAT_S", 0.01)
    room = threading.Event()
    world.storage = storage = Crowded(0 if waits == "inputs" else 9)
    if waits == "begin":
        monkeypatch.setattr(disk, "free_bytes", lambda folder: disk.LEAST_FREE_BYTES * room.is_set())
    if waits == "copies":
        copy_inputs = Pfs.copy_inputs

        def fails(pfs: Pfs, prepared: ahead.Prepared, staging: Path) -> None:
            if not room.is_set():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            copy_inputs(pfs, prepared, staging)

        monkeypatch.setattr(Pfs, "copy_inputs", fails)
        monkeypatch.setattr(disk, "full", lambda folder: "" if room.is_set() else "no room")

    def restart(server: FakeServer, worker: Worker) -> None:
        server.waiting.append(claim(GROW, [datum(0, element("/1.txt", size_bytes=2))]))
        server.idle.clear()
        worker.obey(Wake())
        wait_until(lambda: (worker._work is not None and worker._work.row == 0) or waits == "inputs")
        wait_until(lambda: bool(storage.tried))
        for by_renewal in (False, True):
            worker.obey(Restart("claim-1", (0,)), by_renewal=by_renewal)
        seen = len(server.renewed)
        wait_until(lambda: len(server.renewed) > seen + 2)
        assert server.results == {}
        storage.room = 9
        room.set()

    server = world.run(during=restart)
    (result,) = server.all_results()
    assert (result.state, result.tries) == (State.SUCCESS, 1)
    assert [(path, content) for path, content, _ in server.rows] == [("/1.txt", b"1\nmore\n")]
    assert (server.given_back, world.told) == ([], [])
