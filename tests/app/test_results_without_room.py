"""Results that the server has no room for: the job waits and says why at once, nothing dies, room brings it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from test_full_disk import fill, mounted
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

ROOM = 96 << 20
"""Of the data disk."""
SCRATCH = 360 << 20


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server whose data lie on a small disk, and its worker's scratch on another one."""
    server = PachdProcess(tmp_path / "server", ("--workers", "1"))
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    outer.mkdir()
    inner.mkdir()
    for _ in mounted(outer, server.data, ROOM):
        for _ in mounted(inner, server.data / "workers" / "scratch", SCRATCH):
            server.start(fresh=False)
            try:
                yield Site(server)
            finally:
                server.stop()


def until(happened: Callable[[], bool]) -> None:
    """Until something has happened."""
    pause = Event()
    for _ in range(300):
        if happened():
            return
        pause.wait(0.1)
    raise AssertionError("it never happened")


def test_a_full_data_disk_is_what_the_job_waits_for_and_no_worker_dies_of_it(site: Site) -> None:
    ballast = site.server.data / "ballast"
    site.pachctl("create", "repo", "large-in")
    site.put("large-in", a="1", b="2")
    fill(ballast)
    with ballast.open("r+b") as out:
        out.truncate(ballast.stat().st_size - (4 << 20))  # the catalog goes on
    code = "head -c 12000000 /dev/urandom > /pfs/out/$(basename $in)"
    site.create("large", {"cmd": ["sh"], "stdin": [code]}, datum_tries=1)
    told: list[str] = []

    def waits() -> bool:
        told.append(str(next(documents(site.pachctl("list", "job", "-p", "large", "--raw"))).get("reason", "")))
        return "tried again in 2 s" in told[-1]

    until(waits)
    assert "the results of datums 0 to 1 cannot be kept: " in told[-1]
    assert "No space left on device. Free some space" in told[-1]
    pipeline = next(documents(site.pachctl("inspect", "pipeline", "large", "--raw")))
    assert pipeline["state"] == "PIPELINE_RESTARTING"
    assert "the results of datums 0 to 1 cannot be kept" in pipeline["reason"]
    ballast.unlink()
    assert site.counts("large") == ("success", 2, 0)
    assert "reason" not in next(documents(site.pachctl("list", "job", "-p", "large", "--raw")))
    assert "died" not in site.server.log.read_text()


def test_so_is_one_on_which_the_catalog_can_write_nothing_either(site: Site) -> None:
    ballast, go = site.server.data / "ballast", site.server.data / "workers" / "scratch" / "go"
    site.pachctl("create", "repo", "stuck-in")
    site.put("stuck-in", a="1")
    code = "until test -e /tmp/go; do sleep 0.1; done; head -c 12000000 /dev/urandom > /pfs/out/a"
    site.create("stuck", {"cmd": ["sh"], "stdin": [code]}, datum_tries=1)
    until(lambda: "JOB_RUNNING" in site.pachctl("list", "job", "-p", "stuck", "--raw"))
    fill(ballast)
    told = "the disk of the catalog is full"
    until(lambda: told in site.pachctl("list", "job", "-p", "stuck", "--raw"))
    assert told in str(next(documents(site.pachctl("inspect", "pipeline", "stuck", "--raw")))["reason"])
    for tmp in go.parent.rglob("tmp"):
        if tmp.is_dir():
            (tmp / "go").touch()
    until(lambda: "giving back" in site.server.log.read_text())
    ballast.unlink()
    assert site.counts("stuck") == ("success", 1, 0)
    assert "died" not in site.server.log.read_text()
