"""The loop with a server in memory and a real agent: what code does, and what becomes of its datum."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import FakeServer, MemoryOutput, MemoryStorage, bench_for, claim, datum, element
from housing import sandbox_for

from trunkline.errors import Aborted, ResourceExhausted, Unavailable
from trunkline.worker import loop
from trunkline.worker.execute import Bench
from trunkline.worker.launch import CannotBuild
from trunkline.worker.loop import Worker
from trunkline.worker.ports import Cancel, Claim, Restart, State, Step, Wake
from trunkline.worker.rungs import probe

REPLACED = "/pfs/out is no longer a directory: write files into it, do not replace it"
FILES = {f"/{number}.txt": b"%d\n" % number for number in range(10)}


class World:
    """A worker in a thread, its server and its storage."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.storage = MemoryStorage(images=dict(FILES))
        self.told: list[str] = []

    def run(self, *claims: Claim, during: Callable[[FakeServer, Worker], None] | None = None) -> FakeServer:
        """Work until the claims are used up; `during` runs beside it."""
        server = FakeServer(*claims)
        worker = Worker(server, self.storage, self.bench, self.told.append)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            if during:
                during(server, worker)
            assert server.idle.wait(60), "the worker did not come back for more"
        finally:
            worker.stop()
            server.orders.put(None)
            thread.join(30)
        assert not thread.is_alive()
        return server

    def one(self, script: str, **spec: object) -> FakeServer:
        """One datum, run by a shell."""
        return self.run(claim(Step(("sh", "-c", script), **spec), [datum(0, element("/1.txt"))]))  # type: ignore[arg-type]

    def heard(self, marker: str) -> bool:
        return any(marker in path.name for path in self.bench.scratch.tmp.iterdir())


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    bench = bench_for(sandbox_for("self"), folder)
    if refusal := probe(bench.sandbox, bench.scratch):
        pytest.skip(f"namespaces are refused here: {refusal}")
    yield World(bench)
    bench.close()


def wait_for(path: Path) -> None:
    """Until user code has made `path`."""
    done = threading.Event()
    for _ in range(600):
        if path.exists():
            return
        done.wait(0.05)
    raise AssertionError(f"{path} never came")


def test_datums_run_in_order_and_their_output_is_tagged(world: World) -> None:
    datums = [datum(row, element(f"/{row}.txt")) for row in range(10)]
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out; echo at $images"))
    server = world.run(claim(step, datums))
    assert sorted(server.rows) == sorted((f"/{row}.txt", b"%d\n" % row, f"{row:064x}") for row in range(10))
    assert [result.state for result in server.all_results()] == [State.SUCCESS] * 10
    assert server.reports[-1] == ("claim-1", 10)
    lines = [json.loads(line) for line in world.storage.log().splitlines()]
    assert [line["message"] for line in lines if line["user"]] == [f"at /pfs/images/{row}.txt" for row in range(10)]
    assert [line["message"] for line in lines if not line["user"]] == [
        f"datums 0 to 9 of job default/edges@{'0' * 31}1 begin",
        "datums 0 to 9 end",
    ]
    result = server.all_results()[3]
    assert (result.tries, result.download_bytes, result.upload_bytes, result.files) == (1, 2, 2, 1)
    assert result.process_us > 0


def test_a_second_claim_uses_the_same_agent(world: World) -> None:
    step = Step(("sh", "-c", "cp -r /pfs/images/* /pfs/out"))
    claims = [claim(step, [datum(row, element(f"/{row}.txt"))], id=f"c{row}") for row in range(3)]
    server = world.run(*claims)
    assert {path for path, _, _ in server.rows} == {"/0.txt", "/1.txt", "/2.txt"}
    assert [result.row for result in server.all_results()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("script", "spec", "state", "reason"),
    [
        ("echo no; echo so sorry >&2; exit 4", {}, "FAILED", "exit 4 after 3 tries; last lines: no ⏎ so sorry"),
        ("kill -9 $$", {}, "FAILED", "killed by signal 9 (SIGKILL) after 3 tries"),
        ("sleep 88001", {"timeout_us": 100_000}, "FAILED", "timed out after 0.1s after 3 tries"),
        ("ln -s nowhere /pfs/out/l", {}, "FAILED", "/pfs/out/l is a link to nowhere, which does not exist"),
        ("rm -rf /pfs/out; ln -s /etc /pfs/out", {}, "FAILED", REPLACED),
        ("exit 4", {"accept_return_code": frozenset({4})}, "SUCCESS", ""),
        ("exit 4", {"err_cmd": ("true",)}, "RECOVERED", "recovered by err_cmd: exit 4 after 3 tries"),
        ("exit 4", {"err_cmd": ("false",)}, "FAILED", "exit 4 after 3 tries; err_cmd: exit 1"),
        ("exit 4", {"working_dir": "/nowhere"}, "FAILED", 'working directory "/nowhere": No such file or directory'),
        ("cat", {"stdin": ("exit 9",)}, "SUCCESS", ""),
        ("(setsid sleep 88002 &) ; exit 0", {}, "SUCCESS", ""),
    ],
)  # fmt: skip
def test_how_a_datum_ends(world: World, script: str, spec: dict[str, object], state: str, reason: str) -> None:
    server = world.one(script, **spec)
    (result,) = server.all_results()
    assert (result.state.value, result.reason) == (state, reason)
    if state != "SUCCESS":
        assert server.rows == []
        assert json.dumps(reason, ensure_ascii=False)[1:-1] in world.storage.log()


def test_a_missing_command_says_where_it_was_looked_for(world: World) -> None:
    step = Step(("no-such-program", "x"), env={"PATH": "/bin:/opt/x"})
    (result,) = world.run(claim(step, [datum(0, element("/1.txt"))])).all_results()
    assert result.reason == 'command "no-such-program" not found; looked in /bin, /opt/x'


def test_output_of_failed_attempts_is_gone(world: World) -> None:
    script = "touch /pfs/out/try-$(ls /tmp | wc -l); touch /tmp/again-$(ls /tmp | wc -l); test $(ls /tmp | wc -l) -gt 3"
    server = world.one(script)
    assert [path for path, _, _ in server.rows] == ["/try-3"]
    assert server.all_results()[0].tries == 3


def test_variables_files_and_dot_env(world: World) -> None:
    script = """. /pfs/.env; env | sort > /pfs/out/env; cat "$images"
        find -L /pfs -path /pfs/out -prune -o -type f -print | sort > /pfs/out/files"""
    step = Step(("sh", "-c", script), env={"MINE": "a b", "HOME": "/x", "PACH_JOB_ID": "forged"})
    server = world.run(claim(step, [datum(0, element("/1.txt", join_on="1"))]))
    rows = {path: content for path, content, _ in server.rows}
    env = dict(line.partition("=")[::2] for line in rows["/env"].decode().splitlines())  # type: ignore[attr-defined]
    assert (
        env.items()
        >= {
            "MINE": "a b",
            "HOME": "/tmp/home",
            "PACH_JOB_ID": "0" * 31 + "1",
            "PACH_OUTPUT_COMMIT_ID": "0" * 31 + "1",
            "PACH_DATUM_ID": "0" * 64,
            "PACH_DATUM_images_JOIN_ON": "1",
            "images": "/pfs/images/1.txt",
            "images_COMMIT": "c" * 32,
            "PPS_PIPELINE_NAME": "edges",
            "PPS_PROJECT_NAME": "default",
        }.items()
    )
    assert rows["/files"] == b"/pfs/.env\n/pfs/images/1.txt\n"
    assert '"message": "1"' in world.storage.log()


def test_inputs_are_read_only_unless_the_spec_asks(world: World) -> None:
    script = "echo more >> /pfs/images/1.txt; rm -f /pfs/images/1.txt; cat /pfs/images/1.txt > /pfs/out/x"
    assert world.one(script).rows[0][1] == b"1\n"
    server = world.one("echo more >> /pfs/images/1.txt; cat /pfs/images/1.txt > /pfs/out/x", writable_inputs=True)
    assert server.rows[0][1] == b"1\nmore\n"
    assert world.one("cp /pfs/images/1.txt /pfs/out").rows[0][1] == b"1\n"


def test_links_to_inputs_are_references_and_to_elsewhere_are_bytes(world: World) -> None:
    script = "ln -s $images /pfs/out/same; echo tmp > /tmp/t; ln -s /tmp/t /pfs/out/copied"
    server = world.one(script)
    assert {path: content for path, content, _ in server.rows} == {
        "/same": ("images", "c" * 32, "/1.txt"),
        "/copied": b"tmp\n",
    }


def test_closed_files_are_opened_by_the_agent(world: World) -> None:
    server = world.one("mkdir /pfs/out/d; echo x > /pfs/out/d/f; chmod 0 /pfs/out/d/f /pfs/out/d; chmod 0 /pfs/out")
    assert server.rows[0][:2] == ("/d/f", b"x\n")
    assert world.one("touch /pfs/out/y").rows[0][0] == "/y"


def test_sockets_are_told_in_the_log(world: World) -> None:
    assert world.one("mkfifo /pfs/out/p; echo x > /pfs/out/f").rows[0][0] == "/f"
    assert "/pfs/out/p is a named pipe and was not uploaded" in world.storage.log()


def test_a_flood_of_output_ends_well(world: World) -> None:
    server = world.one("head -c 20000000 /dev/zero | tr '\\0' x | fold -w 4000; echo end >&2")
    assert server.all_results()[0].state is State.SUCCESS
    assert "more bytes of output are not kept" in world.storage.log()


def test_cancel_ends_it_within_the_beat(world: World) -> None:
    step = Step(("sh", "-c", "touch /tmp/up; sleep 88003"))

    def cancel(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        server.orders.put(Cancel("another", "not this one"))
        server.orders.put(Cancel("claim-1", "the job was stopped"))

    server = world.run(claim(step, [datum(0, element("/1.txt")), datum(1, element("/2.txt"))]), during=cancel)
    assert server.results == {}
    assert "ended early: the job was stopped" in "\n".join(world.told)


def test_restart_runs_the_datum_again_and_counts_no_try(world: World) -> None:
    step = Step(("sh", "-c", "test -e /tmp/up && exit 0; touch /tmp/up; sleep 88004"), datum_tries=1)

    def restart(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        server.orders.put(Restart("claim-1", (0,)))

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
        assert reported.wait(30)
        assert server.reports == [("claim-1", 1)]
        (world.bench.scratch.tmp / "go").touch()

    server = world.run(claim(step, [datum(row, element(f"/{row}.txt")) for row in range(2)]), during=watch)
    assert server.reports[-1] == ("claim-1", 2)


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
    thread.join(30)
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
                launcher = world.bench.runner(server_claim)._alive().process.pid  # type: ignore[attr-defined]
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
    thread.join(10)
    assert not thread.is_alive()
    assert server.results == {}
    server.orders.put(None)


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


def test_an_image_that_does_not_exist_fails_its_datums_with_the_reason(world: World) -> None:
    from trunkline.worker.ports import Image

    step = Step(("true",), image=Image("deadbeef", "python:3"))
    results = world.run(claim(step, [datum(row, element(f"/{row}.txt")) for row in range(3)])).all_results()
    assert [result.state for result in results] == [State.FAILED] * 3
    assert "no image deadbeef" in results[0].reason


def test_cannot_build_is_a_reason_too(folder: Path) -> None:
    """A sandbox that cannot be built: each datum says so, none runs."""
    bench = bench_for(sandbox_for("self", exposed=("/no/such/path",)), folder)
    try:
        with pytest.raises(CannotBuild):
            bench.runner(claim(Step(("true",)), [datum(0)]))
        (result,) = World(bench).one("true").all_results()
        assert result.state is State.FAILED
        assert "/no/such/path" in result.reason
    finally:
        bench.close()
