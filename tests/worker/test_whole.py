"""A whole worker in a process of its own: as an ordinary user, on a real /pfs, and killed in the middle."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from housing import ORDINARY, WHO, prefix_for, python_for, scratch_for

import trunkline
from trunkline.testing.refusals import own_root, works

PROGRAM = """
import json, sys, threading
from pathlib import Path
source, tests, folder, script, choice = sys.argv[1:]
sys.path[:0] = [source, tests]
from fakes import FakeServer, MemoryImages, MemoryStorage, claim, datum, element
from trunkline.ambient import RealAmbient
from trunkline.worker.execute import open_bench
from trunkline.worker.images import Images
from trunkline.worker.launch import Sandbox, Scratch
from trunkline.worker.loop import Worker
from trunkline.worker.ports import Step
from trunkline.worker.rungs import choose

folder, ambient = Path(folder), RealAmbient()
rung = choose(choice, Sandbox(), Scratch(folder / "probe"))
bench = open_bench(rung, folder / "scratch", Images(folder / "images", MemoryImages(), ambient), ambient)
storage = MemoryStorage(images={f"/{n}.txt": b"%d" % n for n in range(3)})
server = FakeServer(claim(Step(("sh", "-c", script)), [datum(n, element(f"/{n}.txt", lazy=n == 2)) for n in range(3)]))
worker = Worker(server, storage, bench, lambda line: print(line, file=sys.stderr, flush=True))
thread = threading.Thread(target=worker.run, daemon=True)
thread.start()
server.idle.wait()
worker.stop()
thread.join()
bench.close()
print(json.dumps({
    "rung": rung.name,
    "states": [result.state.value for result in server.all_results()],
    "reasons": [result.reason for result in server.all_results()],
    "files": {path: content if isinstance(content, tuple) else content.decode() for path, content, _ in server.rows},
}))
"""


def command(who: str, folder: Path, script: str, choice: str = "process") -> list[str]:
    source = str(Path(trunkline.__file__).parents[1])
    arguments = ["-I", "-c", PROGRAM, source, str(Path(__file__).parent), str(folder), script, choice]
    return [*prefix_for(who), python_for(who), *arguments]


def work(who: str, folder: Path, script: str, prefix: Sequence[str] = (), choice: str = "process") -> dict[str, object]:
    """Run it to its end; what it printed. Skips where this machine refuses what is asked for."""
    scratch_for(who, folder)
    (folder / "images").mkdir(exist_ok=True)
    if who == "ordinary":
        os.chown(folder, ORDINARY, ORDINARY)
        os.chown(folder / "images", ORDINARY, ORDINARY)
    whole = [*prefix, *command(who, folder, script, choice)]
    done = subprocess.run(whole, check=False, capture_output=True, text=True, timeout=100)
    if "user code cannot be run here" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-2])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize("who", WHO)
def test_a_worker_of_any_user(who: str, folder: Path) -> None:
    script = "cp /pfs/images/* /pfs/out; id -u > /pfs/out/$PACH_DATUM_ID; touch /usr/x && exit 9; exit 0"
    told = work(who, folder, script)
    uid = ORDINARY if who == "ordinary" else os.getuid()
    assert told["reasons"] == [""] * 3
    assert told["files"] == {
        **{f"/{n}.txt": str(n) for n in range(3)},
        **{f"/{n:064x}": f"{uid}\n" for n in range(3)},
    }


@pytest.mark.parametrize("who", WHO)
def test_code_that_closes_its_output(who: str, folder: Path) -> None:
    """Unreadable for the worker itself where that is not root: the agent opens it, and wipes it."""
    script = "mkdir /pfs/out/d; echo x > /pfs/out/d/$PACH_DATUM_ID; chmod 0 /pfs/out/d/* /pfs/out/d /pfs/out"
    told = work(who, folder, script)
    assert told["states"] == ["SUCCESS"] * 3
    assert told["files"] == {f"/d/{n:064x}": "x\n" for n in range(3)}
    told = work(who, folder, script + "; exit 1")
    assert told["states"] == ["FAILED"] * 3


@pytest.mark.parametrize("who", WHO)
def test_a_killed_worker_leaves_no_process(who: str, folder: Path) -> None:
    scratch_for(who, folder)
    if who == "ordinary":
        os.chown(folder, ORDINARY, ORDINARY)
    marker = f"77201.{os.getpid()}"
    script = f"echo up > /tmp/up; setsid sleep {marker} & sleep {marker}"
    with subprocess.Popen(command(who, folder, script), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        pid = worker.pid
        up = folder / "scratch" / "tmp" / "up"
        pidfd = os.pidfd_open(pid)
        while not up.exists():
            ended, _, _ = select.select([pidfd], [], [], 0.05)
            if ended:
                pytest.skip(worker.communicate()[1].decode())
        agents = [os.pidfd_open(int(each)) for each in below(pid)]
        assert agents
        worker.kill()
        os.close(pidfd)
    for agent in agents:
        assert select.select([agent], [], [], 20)[0], "a process outlived its worker"
        os.close(agent)


def below(pid: int) -> list[str]:
    """All descendants of a process."""
    found: list[str] = []
    pending = [str(pid)]
    while pending:
        parent = pending.pop()
        for task in os.listdir(f"/proc/{parent}/task"):
            children = Path(f"/proc/{parent}/task/{task}/children").read_text().split()
            found += children
            pending += children
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="a real /pfs is for root")
def test_a_real_pfs(folder: Path) -> None:
    """The rung of root without mount rights, in a mount namespace whose root has a /pfs that may be written."""
    (folder / "root").mkdir()
    prefix = own_root(folder / "root")
    if not works(prefix):
        pytest.skip("no such namespace can be made here")
    script = "cp /pfs/images/* /pfs/out; ln -s $images /pfs/out/link-$PACH_DATUM_ID; setsid sleep 77202 &"
    (folder / "work").mkdir()
    told = work("self", folder / "work", script, prefix, "auto")
    assert (told["rung"], told["reasons"]) == ("host", [""] * 3)
    assert told["files"] == {
        **{f"/{n}.txt": str(n) for n in range(3)},
        **{f"/link-{n:064x}": ["images", "c" * 32, f"/{n}.txt"] for n in range(3)},
    }
    assert not Path("/pfs/images").is_symlink()
