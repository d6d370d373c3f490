"""Work that waits: for a head that is moved, for a trigger, for a tick; on a real server, as pachctl sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole import Site

from trunkline.ambient import RealAmbient
from trunkline.model.specs.scalars import instant_text
from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(180)

COPY = {"cmd": ["sh"], "stdin": ["cp -rL $(ls -d /pfs/*/* | grep -v ^/pfs/out) /pfs/out"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ("--workers", "2")) as server:
        yield Site(server)


def reads(repo: str, glob: str = "/*", **more: Any) -> dict[str, Any]:
    return {"pfs": {"repo": repo, "glob": glob, **more}}


def put(site: Site, where: str, text: str) -> None:
    """A file of its own commit, finished."""
    site.pachctl("put", "file", where, "-f", "-", stdin=text.encode())
    site.pachctl("wait", "commit", where.partition(":")[0])


def jobs(site: Site, pipeline: str) -> int:
    return len(list(documents(site.pachctl("list", "job", "-p", pipeline, "--raw"))))


def head(site: Site, branch: str) -> str:
    return str(next(documents(site.pachctl("inspect", "branch", branch, "--raw")))["head"]["id"])


def test_commits_to_a_staging_branch_are_processed_when_the_head_is_moved(site: Site) -> None:
    site.pachctl("create", "repo", "shots")
    site.pachctl("create", "branch", "shots@master")
    site.create("sketches", COPY, input=reads("shots"))
    assert site.counts("sketches") == ("success", 0, 0)
    for name in ("a", "b", "c"):
        put(site, f"shots@staging:/{name}", name)
    assert jobs(site, "sketches") == 1
    site.pachctl("create", "branch", "shots@master", "--head", "staging^")
    assert site.counts("sketches") == ("success", 2, 0)
    site.pachctl("create", "branch", "shots@master", "--head", "staging")
    assert site.counts("sketches") == ("success", 1, 2)
    assert head(site, "shots@master") == head(site, "shots@staging")


def test_two_heads_moved_in_one_transaction_are_one_job(site: Site) -> None:
    for repo in ("left", "right"):
        site.pachctl("create", "repo", repo)
        put(site, f"{repo}@staging:/{repo}", repo)
        site.pachctl("create", "branch", f"{repo}@master")
    site.create("drafts", COPY, input=reads("left"), output_branch="dev")
    site.create("book", COPY, input={"cross": [reads("drafts", "/"), reads("right", "/")]})
    site.job("book")
    site.pachctl("create", "branch", "left@master", "--head", "staging")
    assert site.counts("drafts") == ("success", 1, 0)
    before = jobs(site, "book")
    site.pachctl("start", "transaction")
    site.pachctl("create", "branch", "drafts@master", "--head", "dev")
    site.pachctl("create", "branch", "right@master", "--head", "staging")
    site.pachctl("finish", "transaction")
    assert site.counts("book") == ("success", 1, 0)
    assert jobs(site, "book") == before + 1
    assert site.tree("book") == {"/left": "left", "/right": "right"}


def test_a_pipeline_with_a_trigger_runs_when_enough_has_come(site: Site) -> None:
    site.pachctl("create", "repo", "houses")
    site.create("prices", COPY, input=reads("houses", trigger={"size": "3KB"}))
    assert site.counts("prices") == ("success", 0, 0)
    put(site, "houses@master:/1", "x" * 2000)
    assert jobs(site, "prices") == 1
    put(site, "houses@master:/2", "y" * 1000)
    assert site.counts("prices") == ("success", 2, 0)
    put(site, "houses@master:/3", "z" * 1000)
    assert jobs(site, "prices") == 2
    shown = site.pachctl("inspect", "branch", "houses@prices-trigger-1")
    assert "Trigger: master on Size(3KB)" in shown
    spec = next(documents(site.pachctl("inspect", "pipeline", "prices", "--raw")))["details"]["input"]["pfs"]
    assert (spec["branch"], spec["trigger"]) == ("prices-trigger-1", {"branch": "master", "size": "3KB"})


def test_one_id_names_all_that_one_change_caused(site: Site) -> None:
    site.pachctl("create", "repo", "photos")
    site.create("outlines", COPY, input=reads("photos"))
    site.create("poster", COPY, input={"cross": [reads("photos", "/", name="p"), reads("outlines", "/")]})
    site.put("photos", sea="blue")
    change = head(site, "photos@master")
    assert {site.job(name)["job"]["id"] for name in ("outlines", "poster")} == {change}
    members = {one["commit"]["repo"]["name"] for one in documents(site.pachctl("list", "commit", change, "--raw"))}
    assert {"photos", "outlines", "poster"} <= members
    site.put("photos", hill="green")
    assert site.pachctl("get", "file", f"poster@{change}:/sea") == "blue"
    assert "hill" not in site.pachctl("list", "file", f"outlines@{change}")
    site.create("outlines", COPY, input=reads("photos"), verb="update")
    later = site.job("poster")["job"]["id"]
    assert later == head(site, "outlines@master") != head(site, "photos@master")


def clock_spec(days: int) -> bytes:
    start = instant_text(RealAmbient().now_us() // 10**6 * 10**6 - days * 86_400_000_000 - 60_000_000)
    tick = {"cron": {"name": "tick", "spec": "@every 24h", "start": start}}
    return json.dumps({"pipeline": {"name": "clock"}, "transform": COPY, "input": tick}).encode()


def test_ticks_are_made_once_however_often_the_server_is_killed(tmp_path: Path) -> None:
    with PachdProcess(tmp_path, ("--workers", "1")) as server:
        site = Site(server)
        site.pachctl("create", "pipeline", "-f", "-", stdin=clock_spec(12))
        for _ in range(3):
            server.kill()
            server.start(fresh=False)
        while len(ticks := site.pachctl("list", "file", "clock_tick@master").splitlines()) < 13:  # with the header
            server.pause(0.1)
        site.pachctl("run", "cron", "clock")
        job = site.job("clock")
        assert (job["state"], int(job["data_total"])) == ("JOB_SUCCESS", 13)
        after = site.pachctl("list", "file", "clock_tick@master").splitlines()
        assert after[:-1] == ticks
        assert jobs(site, "clock") == 14  # the first one, with no tick yet, and one for each
        assert site.pachctl("inspect", "pipeline", "clock").count("State: running") == 1
        site.pachctl("delete", "pipeline", "clock")
        assert "clock_tick" not in site.pachctl("list", "repo")


def test_a_pipeline_that_has_work_and_no_worker_says_so(tmp_path: Path) -> None:
    with PachdProcess(tmp_path, ("--workers", "0")) as server:
        site = Site(server)
        site.pachctl("create", "repo", "in")
        put(site, "in@master:/a", "a")
        site.create("idle", COPY, input=reads("in"), autoscaling=True)
        shown = site.pachctl("inspect", "pipeline", "idle")
        assert "State: crashing" in shown
        assert "Reason: its jobs wait for a worker: this server has no workers" in shown
        assert "idle     crashing: its jobs wait" in site.pachctl("check", "status")
        site.pachctl("stop", "pipeline", "idle")
        assert "State: paused" in site.pachctl("inspect", "pipeline", "idle")
        assert site.pachctl("check", "status") == ""
        assert "is stopped; start it" not in site.pachctl("start", "pipeline", "idle")


def test_one_file_makes_a_pipeline_and_those_that_wait_for_its_output(site: Site) -> None:
    site.pachctl("create", "repo", "days")
    put(site, "days@master:/mon", "mon")
    first = {"pipeline": {"name": "daily"}, "transform": COPY, "input": reads("days"), "output_branch": "staging"}
    wait = {"branch": "staging", "commits": 2}
    named = {"pipeline": {"name": "weekly"}, "transform": COPY, "input": reads("daily", branch="live", trigger=wait)}
    hidden = {"pipeline": {"name": "monthly"}, "transform": COPY, "input": reads("daily", trigger=wait)}
    text = json.dumps([first, named, hidden]).encode()
    site.pachctl("create", "pipeline", "-f", "-", stdin=text)
    assert site.counts("daily") == ("success", 1, 0)
    assert site.counts("weekly") == site.counts("monthly") == ("success", 0, 0)
    put(site, "days@master:/tue", "tue")
    site.pachctl("wait", "commit", "daily@staging")
    assert site.counts("weekly") == site.counts("monthly") == ("success", 2, 0)
    # Another branch that does not exist yet, beside new output of the pipeline.
    later = reads("daily", branch="cold", trigger={"branch": "staging", "commits": 9})
    other = {**named, "pipeline": {"name": "yearly"}, "input": later}
    site.pachctl("update", "pipeline", "--reprocess", "-f", "-", stdin=json.dumps([first, other]).encode())
    assert site.counts("daily") == ("success", 2, 0)
    assert site.counts("yearly") == ("success", 0, 0)
