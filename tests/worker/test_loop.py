"""The loop: claims, orders, reports and what stands in their way; a real agent, a server in memory."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from fakes import FakeServer, MemoryOutput, claim, datum, element
from worlds import World, wait_for, wait_until

from trunkline.errors import Aborted, ResourceExhausted, Unavailable
from trunkline.model.names import Pipeline
from trunkline.worker import loop
from trunkline.worker.loop import Worker
from trunkline.worker.ports import Cancel, Restart, Retire, Shorten, State, Step, Wake


def test_cancel_ends_it_within_the_beat(world: World) -> None:
    step = Step(("sh", "-c", "touch /tmp/up; sleep 88003"))

    def cancel(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        server.orders.put(Cancel("another", "not this one"))
        server.orders.put(Cancel("claim-1", "the job was stopped"))

    server = world.run(claim(step, [datum(0, element("/1.txt")), datum(1, element("/2.txt"))]), during=cancel)
    assert server.results == {}
    assert "ended early: the job was stopped" in "\n".join(world.told)


@pytest.mark.parametrize("memory_volume", [False, True])
def test_nothing_of_a_datum_that_was_ended_is_seen_by_the_next(world: World, memory_volume: bool) -> None:
    """Read-only files and folders too, which code that copies its inputs leaves."""
    write = (
        "mkdir -p /pfs/out/d; echo cut > /pfs/out/d/x; cp $images /pfs/out/f; chmod 0555 /pfs/out/d; touch /pfs/extra"
    )
    ended = Step(("sh", "-c", f"{write}; touch /tmp/up; sleep 88015"), memory_volume=memory_volume)
    after = Step(("sh", "-c", "ls -A /pfs /pfs/out > /tmp/seen; cp /tmp/seen /pfs/out"), memory_volume=memory_volume)
    first = claim(ended, [datum(0, element("/1.txt"))], id="first")
    second = claim(after, [datum(0, element("/1.txt"))], id="second")

    def cancel(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        server.orders.put(Cancel("first", "the job was stopped"))

    server = world.run(first, second, during=cancel)
    ((path, seen, _),) = server.rows
    assert (path, str(seen, "utf-8").split()) == ("/seen", ["/pfs:", ".env", "images", "out", "/pfs/out:"])  # type: ignore[call-overload]


def test_restart_runs_the_datum_again_and_counts_no_try(world: World) -> None:
    step = Step(("sh", "-c", "test -e /tmp/up && exit 0; touch /tmp/up; sleep 88004"), datum_tries=1)

    def restart(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        server.orders.put(Restart("claim-1", (0,)))

    (result,) = world.run(claim(step, [datum(0, element("/1.txt"))]), during=restart).all_results()
    assert (result.state, result.tries) == (State.SUCCESS, 1)


def test_a_restart_that_is_said_twice_is_done_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the stream at once, and with the next renewal, since streams break."""
    monkeypatch.setattr(loop, "BEAT_S", 0.02)
    step = Step(("sh", "-c", "echo >> /tmp/ups; while ! test -e /tmp/go; do sleep 0.02; done"), datum_tries=1)
    order = Restart("claim-1", (0, 1))
    ups = world.bench.scratch.tmp / "ups"

    def restart(server: FakeServer, worker: Worker) -> None:
        def heard() -> None:
            seen = len(server.renewed)
            wait_until(lambda: len(server.renewed) > seen + 3)

        def lines() -> int:
            return ups.read_text().count("\n") if ups.exists() else 0

        wait_until(lambda: lines() == 1)
        server.orders.put(order)
        wait_until(lambda: lines() == 2)
        server.with_renewal = [order]
        heard()
        server.with_renewal = [order]  # another one, of which the stream tells late
        wait_until(lambda: lines() == 3)
        server.orders.put(order)
        heard()
        assert lines() == 3
        (world.bench.scratch.tmp / "go").touch()

    (result,) = world.run(claim(step, [datum(0, element("/1.txt"))]), during=restart).all_results()
    assert (result.state, result.tries) == (State.SUCCESS, 1)


def test_a_finished_prefix_is_reported_while_the_rest_runs(world: World) -> None:
    """One datum writes past the bound of a report; the next waits until that report has come."""
    script = """if test "$images" = /pfs/images/0.txt; then head -c 5000000 /dev/zero > /pfs/out/big
        else while ! test -e /tmp/go; do sleep 0.05; done; fi"""
    step = Step(("sh", "-c", script))
    reported = threading.Event()

    def watch(server: FakeServer, worker: Worker) -> None:
        server.on_report = reported.set
        assert reported.wait(60)
        assert server.reports == [("claim-1", 1)]
        (world.bench.scratch.tmp / "go").touch()

    server = world.run(claim(step, [datum(row, element(f"/{row}.txt")) for row in range(2)]), during=watch)
    assert server.reports[-1] == ("claim-1", 2)


def test_what_code_wrote_can_be_read_when_its_datum_counts(world: World) -> None:
    """Whoever waits for a job reads its log next."""
    logs = []

    def watch(server: FakeServer, worker: Worker) -> None:
        server.on_report = lambda: logs.append(world.storage.log())

    world.run(claim(Step(("sh", "-c", "echo told by the code")), [datum(0, element("/1.txt"))]), during=watch)
    assert len(logs) == 1
    assert "told by the code" in logs[0]


def test_what_another_has_by_now_is_not_begun(world: World) -> None:
    step = Step(("sh", "-c", "touch /tmp/up; while ! test -e /tmp/go; do sleep 0.05; done; cp /pfs/images/* /pfs/out"))

    def shorten(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        server.last["claim-1"] = 1
        worker.obey(Shorten("another", 0))
        worker.obey(Shorten("claim-1", 1))
        worker.obey(Shorten("claim-1", 3))  # it came late: a range does not grow
        (world.bench.scratch.tmp / "go").touch()

    server = world.run(claim(step, [datum(row, element(f"/{row}.txt")) for row in range(4)]), during=shorten)
    assert server.reports == [("claim-1", 1)]
    assert [result.row for result in server.all_results()] == [0]


def test_a_tail_given_to_another_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_BYTES", 1)  # a report for each datum
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out"))
    whole = claim(step, [datum(row, element(f"/{row}.txt")) for row in range(10)])
    server = FakeServer()
    shortened = threading.Event()

    def shorten() -> None:
        server.last["claim-1"] = 4
        shortened.set()

    server.on_report = shorten
    server.waiting = [whole]
    worker = Worker(server, world.storage, world.bench, world.told.append)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert server.idle.wait(60)
    worker.stop()
    server.orders.put(None)
    thread.join(60)
    assert shortened.is_set()
    rows = [result.row for result in server.all_results()]
    assert rows == list(range(len(rows)))
    assert len(rows) <= 4


def test_a_claim_taken_away_ends_and_the_next_is_taken(world: World) -> None:
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out"))

    def refuse(server: FakeServer, worker: Worker) -> None:
        server.refuse["first"] = Aborted("fence 2 is newer")
        server.waiting += [claim(step, [datum(0, element("/1.txt"))], id=name) for name in ("first", "second")]
        server.idle.clear()
        server.orders.put(Wake())

    server = world.run(during=refuse)
    assert list(server.results) == ["second"]
    assert "fence 2 is newer" in world.told[0]


def test_a_server_that_is_away_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_RETRY_S", 0.01)
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out"))

    def refuse(server: FakeServer, worker: Worker) -> None:
        server.refuse["claim-1"] = Unavailable("connection refused")
        server.waiting += [claim(step, [datum(0, element("/1.txt"))])]
        server.idle.clear()
        server.orders.put(Wake())

    assert world.run(during=refuse).all_results()[0].state is State.SUCCESS


def test_inputs_that_cannot_be_read_end_the_claim_and_not_the_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_RETRY_S", 0.01)
    world.storage.fail = Unavailable("the object store is away")
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out"))
    claims = [claim(step, [datum(0, element("/1.txt"))], id=name) for name in ("first", "second")]
    server = world.run(*claims)
    assert list(server.results) == ["second"]
    assert "the object store is away" in world.told[0]


def test_an_input_that_is_lost_fails_the_datums_that_need_it(world: World) -> None:
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out"))
    datums = [datum(0, element("/1.txt")), datum(1, element("/lost.txt")), datum(2, element("/2.txt"))]
    results = world.run(claim(step, datums)).all_results()
    assert [result.state.value for result in results] == ["SUCCESS", "FAILED", "SUCCESS"]
    assert results[1].reason == "an input cannot be read: /lost.txt is not in images"


def test_output_that_cannot_be_stored_costs_only_its_datum(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills while the second datum is stored: the first is reported, the rest is for another claim."""
    monkeypatch.setattr(loop, "_RETRY_S", 0.01)
    put = MemoryOutput.put

    def full(output: MemoryOutput, path: str, data: bytes, tag: str) -> int:
        size = put(output, path, data, tag)
        if path == "/2.txt":
            raise ResourceExhausted("no space left on device")
        return size

    monkeypatch.setattr(MemoryOutput, "put", full)
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out; touch /pfs/out/a-$PACH_DATUM_ID"))
    server = world.run(claim(step, [datum(row, element(f"/{row + 1}.txt")) for row in range(3)]))
    assert [result.row for result in server.all_results()] == [0]
    assert sorted(path for path, _, _ in server.rows) == ["/1.txt", f"/a-{0:064x}"]
    assert "no space left on device" in world.told[0]


def test_a_log_that_cannot_be_kept_does_not_hold_up_the_code(world: World) -> None:
    def refuse(segment: object) -> None:
        raise Unavailable("the server is away")

    world.storage.write_segment = refuse  # type: ignore[method-assign]
    server = world.one("yes a-line-of-the-log | head -n 20000; echo x > /pfs/out/x")
    assert server.all_results()[0].state is State.SUCCESS
    assert any("log lines of claim claim-1 are lost: the server is away" in line for line in world.told)


def test_a_lost_agent_counts_as_a_try_of_its_datum(world: World) -> None:
    """Code that takes its agent with it: seen from outside, process 1 of the namespace is killed."""
    step = Step(("sh", "-c", "touch /tmp/up-$$; sleep 88005"), datum_tries=2)

    def murder(server: FakeServer, worker: Worker) -> None:
        done = threading.Event()
        while not server.results and not done.wait(0.02):
            for path in list(world.bench.scratch.tmp.glob("up-*")):
                launcher = world.bench.runner(server_claim, print)._alive().home.process.pid  # type: ignore[attr-defined]
                (agent,) = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
                path.unlink()
                os.kill(int(agent), 9)

    server_claim = claim(step, [datum(0, element("/1.txt"))])
    (result,) = world.run(server_claim, during=murder).all_results()
    assert result.state is State.FAILED
    assert result.reason.startswith("the worker died while running this datum after 2 tries")


def test_deaths_told_by_the_server_count(world: World) -> None:
    step = Step(("sh", "-c", "echo ran"), datum_tries=3)
    server = world.run(claim(step, [datum(0, element("/1.txt"), deaths=3), datum(1, element("/2.txt"), deaths=2)]))
    poisoned, other = server.all_results()
    assert poisoned.reason == "the worker died 3 times while running this datum"
    assert (other.state, other.tries) == (State.SUCCESS, 3)
    assert world.storage.log().count('"ran"') == 1


def test_stop_leaves_nothing_behind(world: World) -> None:
    step = Step(("sh", "-c", "touch /tmp/up; setsid sleep 88006 & sleep 88006"))
    server = FakeServer(claim(step, [datum(0, element("/1.txt"))]))
    worker = Worker(server, world.storage, world.bench, world.told.append)
    thread = threading.Thread(target=worker.run)
    thread.start()
    wait_for(world.bench.scratch.tmp / "up")
    worker.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert server.results == {}
    server.orders.put(None)


def test_a_pipeline_that_is_over_is_told_to_what_runs_code_between_two_claims(world: World) -> None:
    told: list[Pipeline] = []
    world.bench.retire = told.append
    step, pipelines = Step(("sh", "-c", "touch /tmp/up; sleep 88007")), [Pipeline("default", "a"), Pipeline("b", "c")]

    def retire(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        for pipeline in pipelines:
            server.orders.put(Retire(pipeline))
        server.orders.put(Restart("claim-1", (9,)))
        wait_until(server.orders.empty)
        assert told == []
        server.orders.put(Cancel("claim-1", "the pipeline was stopped"))
        wait_until(lambda: told == pipelines)

    world.run(claim(step, [datum(0, element("/1.txt"))]), during=retire)


def test_a_claim_renews_and_names_the_datum_in_progress(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "BEAT_S", 0.02)
    step = Step(("sh", "-c", "touch /tmp/up; while ! test -e /tmp/go; do sleep 0.02; done"))

    def watch(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        server.renewed.clear()
        done = threading.Event()
        while len(server.renewed) < 2 and not done.wait(0.02):
            pass
        (world.bench.scratch.tmp / "go").touch()

    server = world.run(claim(step, [datum(7, element("/1.txt"))]), during=watch)
    assert set(server.renewed) <= {7, -1}
    assert 7 in server.renewed
