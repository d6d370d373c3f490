"""Datums whose /pfs lies in memory."""

from __future__ import annotations

import os

from fakes import FakeServer, claim, datum, element
from worlds import World, wait_for

from trunkline.worker.loop import Worker
from trunkline.worker.ports import Limits, State, Step

MEMORY = Limits(memory_bytes=8 << 20, memory="8Mi")


def run(world: World, script: str, count: int = 1, **spec: object) -> FakeServer:
    step = Step(("sh", "-c", script), memory_volume=True, **{"datum_tries": 1} | spec)  # type: ignore[arg-type]
    return world.run(claim(step, [datum(n, element(f"/{n}.txt")) for n in range(count)]))


def test_it_is_memory_and_works_as_a_disk_does(world: World) -> None:
    script = """
    stat -f -c %T /pfs/out > /pfs/out/$PACH_DATUM_ID
    mkdir /pfs/out/d; cat $images > /pfs/out/d/$PACH_DATUM_ID; ln -s $images /pfs/out/l$PACH_DATUM_ID
    touch /pfs/left; test -f /pfs/.env
    """
    server = run(world, script, count=3)
    assert {result.reason for result in server.all_results()} == {""}
    found = {path: content for path, content, _ in server.rows}
    for number in range(3):
        name = f"{number:064x}"
        assert found[f"/{name}"] == b"tmpfs\n"
        assert found[f"/d/{name}"] == b"%d\n" % number
        assert found[f"/l{name}"] == ("images", "c" * 32, f"/{number}.txt")
    assert len(found) == 9
    assert not list(world.bench.scratch.pfs.glob("*/*"))
    # The next claim may be one of a disk.
    assert world.one("stat -f -c %T /pfs/out > /pfs/out/x; ls /pfs > /pfs/out/y").rows[1][1] == b"images\nout\n"


def test_it_holds_what_the_limit_says_and_the_reason_names_it(world: World) -> None:
    script = "dd if=/dev/zero of=/pfs/out/x bs=1M count=9 2> /dev/null"
    [result] = run(world, script, limits=MEMORY).all_results()
    assert (result.state, result.reason) == (State.FAILED, "exit 1; /pfs lies in memory and its 8Mi are full")
    server = run(world, script.replace("9", "7"), limits=MEMORY)
    assert [len(content) for _, content, _ in server.rows] == [7 << 20]  # type: ignore[arg-type]


def test_it_comes_back_when_its_agent_is_lost(world: World) -> None:
    script = """
    if mkdir /tmp/once; then echo x > /pfs/out/first; touch /tmp/up; exec sleep 88006; fi
    ls /pfs/out | wc -l; cat $images > /pfs/out/x
    """
    step = Step(("sh", "-c", script), memory_volume=True, datum_tries=2)
    work = claim(step, [datum(n, element(f"/{n}.txt")) for n in range(2)])

    def murder(server: FakeServer, worker: Worker) -> None:
        wait_for(world.bench.scratch.tmp / "up")
        world.bench.runner(work, print)._alive().home.process.kill()  # type: ignore[attr-defined]

    server = world.run(work, during=murder)
    assert [result.tries for result in server.all_results()] == [2, 1]
    assert [(path, content) for path, content, _ in server.rows] == [("/x", b"0\n"), ("/x", b"1\n")]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        world.bench.close()  # ends the agents
        assert run(world, "cat $images > /pfs/out/x").rows[0][1] == b"0\n"
    assert len(os.listdir("/proc/self/fd")) <= before
