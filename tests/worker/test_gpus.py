"""GPUs are leased whole: each to one worker, all that a claim asks for or none, and back when their holder ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes import claim, datum, element
from worlds import World

from trunkline.ambient import SimulatedAmbient
from trunkline.worker.limits import gpus
from trunkline.worker.limits.gpus import Devices, found
from trunkline.worker.ports import Limits, Step

TWO = ("0", "1")
HOLDER = """
import sys
from pathlib import Path
from trunkline.ambient import RealAmbient
from trunkline.worker.limits.gpus import Devices
print(*Devices(("0", "1"), Path(sys.argv[1]), RealAmbient()).take(2, print, print), flush=True)
sys.stdin.read()
"""


class Ended(Exception):
    pass


def patient(times: int) -> tuple[list[str], Sequence[object]]:
    """What was said, and a go-ahead that ends the wait after so many looks."""
    left = list(range(times))

    def go_on() -> None:
        if not left:
            raise Ended
        left.pop()

    return [], [go_on]


def take(devices: Devices, count: int, times: int = 0) -> tuple[str, ...]:
    _, (go_on,) = patient(times)
    return devices.take(count, lambda line: None, go_on)  # type: ignore[arg-type]


def test_no_two_workers_hold_one_device_and_nobody_holds_half(tmp_path: Path) -> None:
    one, two, three = (Devices(TWO, tmp_path, SimulatedAmbient()) for _ in range(3))
    assert take(one, 1) == ("0",)
    with pytest.raises(Ended):
        take(two, 2, times=5)
    assert take(three, 1) == ("1",), "who waits for two holds none meanwhile"
    one.idle()
    three.idle()
    assert take(two, 2) == ("0", "1")
    assert take(two, 2) == ("0", "1"), "those that it has are kept"
    assert take(two, 1) == ("0",)
    assert take(three, 1) == ("1",)


def test_what_is_waited_for_is_said_now_and_again(tmp_path: Path) -> None:
    one, two, said = Devices(TWO, tmp_path, SimulatedAmbient()), Devices(TWO, tmp_path, SimulatedAmbient()), []
    take(one, 1)
    _, (go_on,) = patient(301)
    with pytest.raises(Ended):
        two.take(2, said.append, go_on)  # type: ignore[arg-type]
    assert said == ["waiting: 2 of this machine's 2 GPUs are wanted and others have them"] * 2


def test_devices_come_back_when_their_holder_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "0 1\n"
        mine = Devices(TWO, tmp_path, SimulatedAmbient())
        with pytest.raises(Ended):
            take(mine, 1, times=3)
        holder.kill()
        holder.wait()
        assert take(mine, 2) == ("0", "1")


def test_code_is_told_which_devices_are_its_own(world: World, tmp_path: Path) -> None:
    world.bench.devices = Devices(("GPU-a", "GPU-b"), tmp_path, world.bench.ambient)
    show = 'echo "$CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES" > /pfs/out/$PACH_DATUM_ID'
    env = {"CUDA_VISIBLE_DEVICES": "of the spec"}
    steps = [Step(("sh", "-c", show), env=env, limits=Limits(gpus=count)) for count in (1, 2, 0)]
    claims = [claim(each, [datum(n, element("/1.txt"))], id=f"c{n}") for n, each in enumerate(steps)]
    shown = [content.decode().split() for _, content, _ in world.run(*claims).rows]  # type: ignore[attr-defined]
    assert shown[:2] == [["GPU-a", "GPU-a"], ["GPU-a,GPU-b", "GPU-a,GPU-b"]]
    assert shown[2][:3] == ["of", "the", "spec"]
    assert take(Devices(("GPU-a", "GPU-b"), tmp_path, SimulatedAmbient()), 2), "an idle worker holds none"


def test_what_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, dev = tmp_path / "bin", tmp_path / "dev"
    programs.mkdir()
    dev.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert found({}, dev) == ()
    for name in ("nvidia3", "nvidia5", "nvidiactl", "nvidia-uvm"):
        (dev / name).touch()
    smi = programs / "nvidia-smi"
    smi.write_text("#!/bin/sh\nexit 9\n")
    smi.chmod(0o755)
    assert found({}, dev) == ("0", "1"), "CUDA counts those that there are"
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-1a)'\necho 'GPU 1: NVIDIA H100 (UUID: GPU-2b)'\n")
    assert found({}, dev) == ("GPU-1a", "GPU-2b")
    assert found({"NVIDIA_VISIBLE_DEVICES": "void"}, dev) == ()
    assert found({"CUDA_VISIBLE_DEVICES": "1, GPU-9"}, dev) == ("1", "GPU-9")
    assert found({"CUDA_VISIBLE_DEVICES": ""}, dev) == ()
    assert found({"CUDA_VISIBLE_DEVICES": "-1"}, dev) == ()
    assert gpus.VARIABLES == ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
