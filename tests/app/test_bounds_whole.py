"""Datums left out, jobs and pipelines that take too long, and what a job took: as pachctl tells it, by real workers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ("--workers", "2")) as server:
        yield Site(server)


def inspected(site: Site, pipeline: str) -> str:
    """`pachctl inspect job` of the newest, which has ended."""
    return site.pachctl("inspect", "job", f"{pipeline}@{site.job(pipeline)['job']['id']}")


def test_datums_that_fail_are_left_out_up_to_a_limit_and_tried_again(site: Site) -> None:
    site.pachctl("create", "repo", "skips-in")
    good = {f"good{number}": str(number) for number in range(8)}
    site.put("skips-in", bad1="broken", bad2="broken", **good)
    code = {"cmd": ["sh"], "stdin": ["echo looked at $(basename $in); grep -q broken $in && exit 3; cp $in /pfs/out"]}
    skip = {"onFailure": "skip", "limit": "20%"}
    site.create("skips", code, datum_tries=1, trunkline=skip)
    job = site.job("skips")
    assert (job["state"], job["data_processed"], job["data_failed"]) == ("JOB_SUCCESS", "8", "2")
    assert {*site.tree("skips")} == {f"/{name}" for name in good}
    assert "success (2 quarantined)" in site.pachctl("list", "job", "-p", "skips")
    shown = inspected(site, "skips")
    assert re.search(r"Quarantined: +2, to be tried again by the next job", shown)
    datums = site.pachctl("list", "datum", f"skips@{job['job']['id']}")
    assert len(re.findall(r"quarantined: exit 3", datums)) == 2
    # The next job tries them again, and only them; more than the limit fail it, with the number in its reason.
    site.put("skips-in", bad1="mended")
    job = site.job("skips")
    counts = tuple(int(job.get(f"data_{name}", 0)) for name in ("processed", "failed", "skipped"))
    assert (job["state"], *counts) == ("JOB_SUCCESS", 1, 1, 8)
    assert "/bad1" in site.tree("skips")
    site.put("skips-in", bad3="broken", bad4="broken")
    job = site.job("skips")
    assert job["state"] == "JOB_FAILURE"
    assert job["reason"].startswith("3 of 12 datums failed")
    assert "20%" in job["reason"]


def test_a_job_that_takes_too_long_is_ended_and_says_so(site: Site) -> None:
    site.pachctl("create", "repo", "long-in")
    site.put("long-in", a="slow", b="fast")
    code = {"cmd": ["sh"], "stdin": ["cp $in /pfs/out; grep -q slow $in && sleep 1000; true"]}
    site.create("long", code, job_timeout="3s", datum_tries=5)
    job = site.job("long")
    assert (job["state"], job["reason"]) == ("JOB_KILLED", "job timed out after 3 s")
    assert "data_failed" not in job, "no datum is to blame"
    site.pachctl("stop", "pipeline", "long")
    site.put("long-in", a="fine")
    site.create("long", code, verb="update", job_timeout="1h", datum_tries=5)
    site.pachctl("start", "pipeline", "long")
    assert site.counts("long")[0] == "success"
    assert site.tree("long") == {"/a": "fine", "/b": "fast"}


def test_a_pipeline_that_is_up_for_longer_than_expected_is_told_of(site: Site) -> None:
    site.pachctl("create", "repo", "up-in")
    site.put("up-in", a="1")
    place = {"pfs": {"repo": "up-in", "name": "in", "glob": "/*"}}
    sleeps = {"cmd": ["sleep", "1000"]}
    site.create("up", sleeps, input=place, maximum_expected_uptime="1s", autoscaling=True)
    site.create("calm", sleeps, input=place, maximum_expected_uptime="1h", autoscaling=True)
    told = re.compile(r"up for \d+s, and 1s is the most that its spec expects")
    said = ""
    for _ in range(200):
        if told.search(said := site.pachctl("check", "status")):
            break
    assert told.search(said)
    assert "calm" not in said
    for name in ("up", "calm"):
        newest = next(documents(site.pachctl("list", "job", "-p", name, "--raw")))["job"]["id"]
        site.pachctl("stop", "job", f"{name}@{newest}")
    assert not told.search(site.pachctl("check", "status"))


def test_a_job_names_what_took_most_and_what_reuse_saved(site: Site) -> None:
    site.pachctl("create", "repo", "spends-in")
    site.put("spends-in", small="1", large="2" * 300_000, slow="3")
    code = "case $in in */slow) sleep 1.5;; esac; cp $in /pfs/out"
    site.create("spends", {"cmd": ["sh"], "stdin": [code]})
    shown = inspected(site, "spends")
    took, largest = tables(shown)
    assert (set(took), largest) == ({"/slow", "/large", "/small"}, "/large")
    assert sorted(took, key=lambda path: -took[path]) == list(took)
    assert took["/slow"] >= 1.5
    assert "Saved by Reuse" not in shown
    site.put("spends-in", more="4")
    shown = inspected(site, "spends")
    more, largest = tables(shown)
    assert (set(more), largest) == ({"/more"}, "/more")
    (saved,) = re.findall(r"Saved by Reuse: +(\S+) \(CPU .*\), which 3 skipped datums took", shown)
    assert abs(seconds(saved) - sum(took.values())) < 0.2, "rounding"


def tables(shown: str) -> tuple[dict[str, float], str]:
    """The slowest datums' paths in the order shown, with the seconds they took; and the path of the largest one."""
    slowest, largest = shown.split("Slowest Datums")[1].split("Largest Datums")
    found = re.findall(r"^\s*[0-9a-f]{64} +(\S+) +(\S+)", slowest, re.M)
    (first, *_) = re.findall(r"^\s*[0-9a-f]{64} +(\S+)", largest, re.M)
    return {path: seconds(time) for path, time in found}, first


def seconds(shown: str) -> float:
    """Of a time as it is shown: 850ms, 1.2s or 2m3s."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|h|m|s)", shown))
