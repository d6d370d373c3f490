"""GPUs of a machine, shared by workers that are processes. Any ids will do: devices are told apart by name alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_standing_whole import until
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pachd")
    shared = folder / "shared"
    shared.mkdir()
    flags = ("--workers", "3", "--gpus", "GPU-a,GPU-b", "--expose", str(shared))
    with PachdProcess(folder, flags) as server:
        yield Site(server)


def limits(count: int, kind: str = "nvidia.com/gpu") -> dict[str, Any]:
    return {"resource_limits": {"gpu": {"type": kind, "number": count}}}


def shown(site: Site, name: str) -> dict[str, Any]:
    return next(documents(site.pachctl("inspect", "pipeline", name, "--raw")))


def test_no_two_datums_have_one_gpu_and_code_is_told_which_is_its_own(site: Site) -> None:
    """Each datum takes its devices by folders that nobody else may have made, in a place that all datums share."""
    place = site.server.folder / "shared"
    site.pachctl("create", "repo", "held-in")
    site.put("held-in", **{f"f{number}": str(number) for number in range(12)})
    code = [
        f"for one in $(echo $CUDA_VISIBLE_DEVICES | tr , ' '); do mkdir {place}/$one || exit 4; done",
        "sleep 0.05; echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES > /pfs/out/$(basename $in)",
        f"for one in $(echo $CUDA_VISIBLE_DEVICES | tr , ' '); do rmdir {place}/$one; done",
    ]
    both = {"pfs": {"repo": "held-in", "name": "in", "glob": "/*"}}
    for name, count in (("held", 1), ("held-both", 2)):
        transform = {"cmd": ["sh"], "stdin": code}
        site.create(name, transform, input=both, datum_tries=1, datum_set_spec={"number": "1"}, **limits(count))
    assert (site.counts("held"), site.counts("held-both")) == (("success", 12, 0), ("success", 12, 0))
    assert {*site.tree("held").values()} == {"GPU-a GPU-a\n", "GPU-b GPU-b\n"}
    assert {*site.tree("held-both").values()} == {"GPU-a,GPU-b GPU-a,GPU-b\n"}
    site.create("free", {"cmd": ["sh"], "stdin": ["echo $CUDA_VISIBLE_DEVICES > /pfs/out/x"]}, input={
        "pfs": {"repo": "held-in", "name": "in", "glob": "/"}
    })  # fmt: skip
    assert site.counts("free") == ("success", 1, 0)
    assert site.tree("free") == {"/x": "\n"}


def test_devices_of_a_worker_that_was_killed_come_back(site: Site) -> None:
    site.pachctl("create", "repo", "killed-in")
    site.put("killed-in", a="1")
    once = site.server.folder / "shared" / "once"
    code = [f"mkdir {once} && sleep 1000", "echo $CUDA_VISIBLE_DEVICES > /pfs/out/x"]
    site.create("killed", {"cmd": ["sh"], "stdin": code}, **limits(2))
    until(site, once.exists)
    (holder,) = holders(site)
    os.kill(holder, signal.SIGKILL)
    assert site.counts("killed") == ("success", 1, 0)
    assert site.tree("killed") == {"/x": "GPU-a,GPU-b\n"}


def holders(site: Site) -> set[int]:
    """Processes that have locks on devices."""
    folder = str(site.server.data / "workers" / "gpus")
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [os.readlink(each) for each in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(each.startswith(folder) for each in opened):
            found.add(int(process.name))
    return found


def test_more_than_the_machine_has_is_said_at_once(site: Site) -> None:
    site.pachctl("create", "repo", "greedy-in")
    site.put("greedy-in", a="1")
    why = "resource_limits.gpu asks for 3 of nvidia.com/gpu, and this server's machine has 2"
    body = {
        "pipeline": {"name": "greedy"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "greedy-in", "glob": "/*"}},
        **limits(3),
    }
    told = site.notes("create", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    assert why.removeprefix("resource_limits.") in told
    info = shown(site, "greedy")
    assert (info["state"], info["reason"].partition(";")[0]) == ("PIPELINE_CRASHING", f"its code cannot run: {why}")
    assert "crashing" in site.pachctl("list", "pipeline")
    assert why in site.pachctl("check", "status")
    body |= limits(2)
    site.pachctl("update", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    assert shown(site, "greedy")["state"] != "PIPELINE_CRASHING"
    assert site.counts("greedy") == ("success", 1, 0)
    body |= limits(1, "amd.com/gpu")
    site.pachctl("update", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    assert "1 of amd.com/gpu, and this server's machine has none" in shown(site, "greedy")["reason"]
