"""What `resource_limits` do to user code: control groups where this machine has them, and without."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import bench_for
from housing import ENV, Agents, sandbox_for
from worlds import World

from trunkline.ambient import SimulatedAmbient
from trunkline.testing.contracts.runners import Output
from trunkline.worker.limits.disk import LEAST_FREE_BYTES, wait_for_room
from trunkline.worker.limits.groups import Group, open_group
from trunkline.worker.ports import Limits
from trunkline.worker.runner import Command, Exited, Runner

HUNGRY = 'x=$(head -c 150000000 /dev/zero | tr "\\0" x); echo ${#x}'
HELD = f"{HUNGRY}; sleep 60"
"""Until somebody who looks now and then has seen it."""
LIMITS = Limits(memory_bytes=64 << 20, memory="64Mi")


@pytest.fixture
def group() -> Iterator[Group]:
    """A group that limits memory and cpu; skips where this machine gives none."""
    group = open_group()
    if group.limits != {"memory", "cpu"}:
        group.remove()
        pytest.skip("this machine gives no control groups")
    yield group
    group.remove()


@pytest.fixture
def held(folder: Path, group: Group) -> Iterator[World]:
    """A worker whose code runs in `group`."""
    bench = bench_for(sandbox_for("self", group=group), folder)
    yield World(bench)
    bench.close()


def run(runner: Runner, script: str, limits: Limits) -> tuple[Exited, str]:
    output = Output()
    ended = runner.run(Command(["sh", "-c", script], ENV, limits=limits), output)
    return ended, output.streams[1].decode()


def test_the_reason_names_the_limit_and_the_worker_lives_on(held: World) -> None:
    server = held.one(HELD, limits=LIMITS, datum_tries=1)
    (result,) = server.all_results()
    assert result.reason.startswith("memory limit 64Mi exceeded")
    (result,) = held.one("echo fine > /pfs/out/x", limits=LIMITS).all_results()
    assert result.state.value == "SUCCESS"


def test_a_child_that_is_ended_is_named_too(held: World) -> None:
    server = held.one(f"sh -c '{HELD}' || exit 7", limits=LIMITS, datum_tries=2)
    (result,) = server.all_results()
    assert result.reason.startswith("memory limit 64Mi exceeded after 2 tries")


def test_code_without_limits_is_not_held_to_the_last_ones(held: World) -> None:
    held.one("true", limits=LIMITS)
    (result,) = held.one(HUNGRY).all_results()
    assert result.state.value == "SUCCESS"


def test_a_share_of_the_processors(group: Group, held: World) -> None:
    held.one("true", limits=Limits(cpu=0.25))
    (folder,) = {Path(each).parent for each in group.entrances if "memory" not in each}
    quota = folder / "cpu.max" if (folder / "cpu.max").exists() else folder / "cpu.cfs_quota_us"
    assert quota.read_text().split()[0] == "25000"
    held.one("true", limits=LIMITS)
    assert quota.read_text().split()[0] in ("max", "-1")


def test_code_runs_in_its_group_and_the_agent_does_not(group: Group, held: World) -> None:
    server = held.one("cat /proc/self/cgroup > /pfs/out/in", limits=LIMITS)
    ((_, said, _),) = server.rows
    assert isinstance(said, bytes)
    assert re.search(rf"/trunkline-\d+-{os.getpid()}\n", said.decode())
    assert Path(group.entrances[0]).read_text() == ""


@pytest.mark.parametrize("own_pids", [True, False])
def test_without_groups_memory_is_watched(agents: Agents, who: str, own_pids: bool) -> None:
    runner = agents.get(who, own_pids=own_pids)
    ended, said = run(runner, HELD, LIMITS)
    assert (ended.over_memory, ended.signal) == (True, 9)
    ended, said = run(runner, "echo fine", LIMITS)
    assert (ended.code, ended.over_memory, said) == (0, False, "fine\n")


def test_no_file_grows_beyond_the_limit_of_disk(world: World) -> None:
    limits = Limits(disk_bytes=1 << 20, disk="1Mi")
    server = world.one("exec head -c 2000000 /dev/zero > /pfs/out/x", limits=limits, datum_tries=1)
    assert server.all_results()[0].reason == "disk limit 1Mi exceeded"
    several = "for n in 1 2 3; do head -c 400000 /dev/zero > /pfs/out/$n; done"
    (result,) = world.one(several, limits=limits, datum_tries=1).all_results()
    assert result.reason == "disk limit 1Mi exceeded: /pfs/out holds 1200000 bytes"
    (result,) = world.one("head -c 1000000 /dev/zero > /pfs/out/x", limits=limits).all_results()
    assert result.state.value == "SUCCESS"


def test_a_datum_waits_for_room_on_the_disk() -> None:
    ambient = SimulatedAmbient()
    left = [0] * 100 + [LEAST_FREE_BYTES]
    said: list[str] = []
    wait_for_room(Path("/scratch"), ambient, said.append, lambda: None, free=lambda _: left.pop(0))
    assert left == []
    assert (
        said
        == ["waiting: the disk that holds /scratch has 0 MiB free and a datum begins with 64 at least; make room there"]
        * 2
    )


def test_a_datum_that_is_not_wanted_any_more_waits_for_nothing() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        wait_for_room(Path("/"), SimulatedAmbient(), lambda _: None, stop, free=lambda _: 0)


def test_what_a_killed_worker_left_goes(group: Group) -> None:
    here = Path(group.entrances[0]).parent
    left = here.parent / f"{here.name.rpartition('-')[0]}-4194999"  # no process has such a number
    others = here.parent / "trunkline-1-4194999"  # of another pid namespace: its worker may well live
    for each in (left, others):
        each.mkdir()
    try:
        open_group()
        assert not left.exists()
        assert others.exists()
    finally:
        others.rmdir()


def tree(folder: Path, *lines: tuple[str, str, str, str]) -> Path:
    """A made-up /proc/self: (mount point, root, kind and options, own group)."""
    own = folder / "self"
    own.mkdir()
    (own / "mountinfo").write_text(
        "".join(f"1 0 0:1 {root} {point} rw - {kind} cgroup {kind},{name}\n" for point, root, kind, name in lines)
    )
    return own


def test_a_machine_without_groups_limits_nothing(folder: Path) -> None:
    own = tree(folder, ("/cg", "/", "cgroup2", "rw"))
    (own / "cgroup").write_text("0::/mine\n")
    assert open_group(own, folder).limits == frozenset()
    assert open_group(folder / "nothing", folder).limits == frozenset()


def made_group(place: Path, *files: str) -> Path:
    """The folder of this process's group, with the files that the kernel would put into it."""
    folder = place / f"trunkline-{os.readlink('/proc/self/ns/pid').strip('pid:[]')}-{os.getpid()}"
    folder.mkdir(parents=True)
    for name in ("cgroup.procs", *files):
        (folder / name).write_text("")
    return folder


def test_what_is_written_where_there_is_one_hierarchy_for_all(folder: Path) -> None:
    own = tree(folder, ("/cg", "/", "cgroup2", "rw"))
    (own / "cgroup").write_text("0::/mine\n")
    made = made_group(folder / "cg/mine", "cpu.max", "memory.max", "memory.swap.max", "memory.events")
    group = open_group(own, folder)
    assert group.limits == {"memory", "cpu"}
    assert group.entrances == [str(made / "cgroup.procs")]
    group.set(Limits(memory_bytes=64 << 20, memory="64Mi", cpu=1.5))
    written = {name: (made / name).read_text() for name in ("cpu.max", "memory.max", "memory.swap.max")}
    assert written == {"cpu.max": "150000 100000", "memory.max": str(64 << 20), "memory.swap.max": "0"}
    (made / "memory.events").write_text("oom 3\noom_kill 2\noom_group_kill 0\n")
    assert group.count_kills() == 2
    group.set(Limits())
    written = {name: (made / name).read_text() for name in written}
    assert written == {"cpu.max": "max 100000", "memory.max": "max", "memory.swap.max": "max"}


def test_the_least_share_of_the_processors_that_the_kernel_takes(folder: Path) -> None:
    own = tree(folder, ("/cg", "/", "cgroup2", "rw"))
    (own / "cgroup").write_text("0::/\n")
    made = made_group(folder / "cg", "cpu.max")
    group = open_group(own, folder)
    assert group.limits >= {"cpu"}
    group.set(Limits(cpu=0.001))
    assert (made / "cpu.max").read_text() == "1000 100000"


def test_controllers_are_asked_for_where_the_group_does_not_have_them(folder: Path) -> None:
    own = tree(folder, ("/cg", "/", "cgroup2", "rw"))
    (own / "cgroup").write_text("0::/\n")
    made_group(folder / "cg")
    open_group(own, folder)
    assert (folder / "cg/cgroup.subtree_control").read_text() == "+cpu +memory"
