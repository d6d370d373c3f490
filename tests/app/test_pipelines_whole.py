"""Pipelines as a user has them: a real pachd, real workers, real code; what runs, what is skipped, what is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(180)

UPPER = "for f in $(find -L /pfs/in -type f); do tr a-z A-Z < $f > /pfs/out/$(basename $f); done"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("pachd")
    with PachdProcess(folder, ("--workers", "2")) as server:
        yield Site(server)


def test_only_what_is_new_runs(site: Site) -> None:
    site.pachctl("create", "repo", "new-in")
    site.put("new-in", a="aa", b="bb", c="cc")
    site.create("new", {"cmd": ["sh"], "stdin": [UPPER]})
    assert site.counts("new") == ("success", 3, 0)
    site.put("new-in", d="dd")
    assert site.counts("new") == ("success", 1, 3)
    site.put("new-in", a="xx")
    assert site.counts("new") == ("success", 1, 3)
    site.pachctl("delete", "file", "new-in@master:/b")
    assert site.counts("new") == ("success", 0, 3)
    site.put("new-in", a="xx")
    assert site.counts("new") == ("success", 0, 3)
    assert site.tree("new") == {"/a": "XX", "/c": "CC", "/d": "DD"}
    site.create("new", {"cmd": ["sh"], "stdin": [UPPER + " # changed"]}, verb="update")
    assert site.counts("new") == ("success", 0, 3)
    site.create("new", {"cmd": ["sh"], "stdin": [UPPER]}, "--reprocess", verb="update")
    assert site.counts("new") == ("success", 3, 0)
    logs = site.pachctl("logs", "-p", "new", "--raw")
    assert "datum" in logs


def test_what_is_one_datum_runs_whole_after_any_change(site: Site) -> None:
    """A glob of "/", and every pair of a cross whose one side it is."""
    for repo in ("each", "whole"):
        site.pachctl("create", "repo", repo)
        site.put(repo, a="1", b="2")
    whole = {"pfs": {"repo": "whole", "glob": "/"}}
    copy = "cat /pfs/whole/* > /pfs/out/${each_name:-all}"
    site.create("one", {"cmd": ["sh"], "stdin": [copy]}, input=whole)
    pairs = "each_name=$(basename $each)\n" + copy
    crossed = {"cross": [{"pfs": {"repo": "each", "glob": "/*"}}, whole]}
    site.create("pairs", {"cmd": ["sh"], "stdin": pairs.splitlines()}, input=crossed)
    assert (site.counts("one"), site.counts("pairs")) == (("success", 1, 0), ("success", 2, 0))
    site.put("whole", c="3")
    assert (site.counts("one"), site.counts("pairs")) == (("success", 1, 0), ("success", 2, 0))
    site.put("whole", c="3")
    assert (site.counts("one"), site.counts("pairs")) == (("success", 0, 1), ("success", 0, 2))
    site.put("each", c="3")
    assert site.counts("pairs") == ("success", 1, 2)
    assert site.tree("one") == {"/all": "123"}
    assert site.tree("pairs") == {"/a": "123", "/b": "123", "/c": "123"}


def test_a_cross_and_a_union(site: Site) -> None:
    site.pachctl("create", "repo", "left")
    site.pachctl("create", "repo", "right")
    site.put("left", a="1", b="2")
    site.put("right", x="3", y="4")
    both = [{"pfs": {"repo": "left", "glob": "/*"}}, {"pfs": {"repo": "right", "glob": "/*"}}]
    cross = "cat $left $right > /pfs/out/$(basename $left)$(basename $right)"
    site.create("cross", {"cmd": ["sh"], "stdin": [cross]}, input={"cross": both})
    union = "cp -rL $(ls -d /pfs/left/* /pfs/right/* 2>/dev/null) /pfs/out"
    site.create("union", {"cmd": ["sh"], "stdin": [union]}, input={"union": both})
    assert site.counts("cross") == ("success", 4, 0)
    assert site.tree("cross") == {"/ax": "13", "/ay": "14", "/bx": "23", "/by": "24"}
    assert site.counts("union") == ("success", 4, 0)
    assert site.tree("union") == {"/a": "1", "/b": "2", "/x": "3", "/y": "4"}


def test_what_code_finds_around_it(site: Site) -> None:
    site.pachctl("create", "repo", "env-in")
    site.put("env-in", a="hello")
    code = [
        "cat > /pfs/out/stdin-was-read </dev/null",
        "echo $in > /pfs/out/in",
        "echo $PACH_DATUM_ID $PACH_JOB_ID $in_COMMIT $PACH_OUTPUT_COMMIT_ID > /pfs/out/ids",
        "pwd > /pfs/out/pwd; echo $GREETING > /pfs/out/greeting; cat /pfs/.env > /pfs/out/env",
        "touch /pfs/in/a 2>/dev/null && echo writable > /pfs/out/writable",
        "touch /etc/trunkline-was-here 2>/dev/null && echo host > /pfs/out/host",
        "ln -s /pfs/in/a /pfs/out/link; mkdir /pfs/out/empty; mkfifo /pfs/out/pipe",
        "exit 7",
    ]
    transform = {"cmd": ["sh"], "stdin": code, "env": {"GREETING": "good day"}, "working_dir": "/tmp"}
    site.create("env", {**transform, "accept_return_code": [7]})
    assert site.counts("env") == ("success", 1, 0)
    found = site.tree("env")
    assert set(found) == {"/stdin-was-read", "/in", "/ids", "/pwd", "/greeting", "/env", "/link"}
    assert found["/in"] == "/pfs/in/a\n"
    assert found["/link"] == "hello"
    assert (found["/pwd"], found["/greeting"]) == ("/tmp\n", "good day\n")
    job = site.job("env")
    assert found["/ids"].split()[1] == job["job"]["id"] == found["/ids"].split()[3]


@pytest.mark.parametrize(
    ("name", "code", "more", "reason"),
    [
        ("exits", "echo last words; exit 3", {}, "exit 3"),
        ("hangs", "sleep 60", {"datum_timeout": "1s"}, "1s"),
        ("dies", "kill -9 $$", {}, "signal 9"),
        ("dangles", "ln -s /nothing /pfs/out/x", {}, "/pfs/out/x"),
        ("misnames", "touch /pfs/out/$(printf 'a\\001b')", {}, "represented"),
    ],
)
def test_code_that_fails_says_why(site: Site, name: str, code: str, more: dict[str, Any], reason: str) -> None:
    site.pachctl("create", "repo", f"{name}-in")
    site.put(f"{name}-in", a="a")
    site.create(name, {"cmd": ["sh"], "stdin": [code]}, datum_tries=1, **more)
    job = site.job(name)
    assert job["state"] == "JOB_FAILURE"
    assert reason in job["reason"]
    assert "1 of 1 datum failed" in job["reason"]


def test_a_command_that_is_not_there_is_named(site: Site) -> None:
    site.pachctl("create", "repo", "nocmd-in")
    site.put("nocmd-in", a="a")
    site.create("nocmd", {"cmd": ["no-such-program"]}, datum_tries=1)
    assert "no-such-program" in site.job("nocmd")["reason"]


def test_daemons_do_not_outlive_their_datum_and_many_files_are_fine(site: Site) -> None:
    site.pachctl("create", "repo", "many-in")
    site.put("many-in", a="a", b="b")
    code = "setsid sleep 300 & cd /pfs/out; for n in $(seq 3000); do echo $n > $(basename $in)$n; done"
    site.create("many", {"cmd": ["sh"], "stdin": [code]})
    assert site.counts("many") == ("success", 2, 0)
    rows = site.pachctl("list", "file", "many@master").splitlines()
    assert len(rows) == 6001


def test_a_failed_datum_is_tried_again_and_the_good_ones_are_not(site: Site) -> None:
    site.pachctl("create", "repo", "retry-in")
    site.put("retry-in", good="fine", bad="broken")
    code = f"grep -q broken $in && exit 1; {UPPER}"
    site.create("retry", {"cmd": ["sh"], "stdin": [code]}, datum_tries=2)
    assert site.counts("retry") == ("failure", 1, 0)
    site.put("retry-in", bad="mended")
    assert site.counts("retry") == ("success", 1, 1)
    assert site.tree("retry") == {"/good": "FINE", "/bad": "MENDED"}


def test_an_error_command_recovers_a_datum(site: Site) -> None:
    site.pachctl("create", "repo", "rec-in")
    site.put("rec-in", a="a")
    site.create("rec", {"cmd": ["false"], "err_cmd": ["true"]}, datum_tries=1)
    job = site.job("rec")
    assert (job["state"], int(job["data_recovered"])) == ("JOB_SUCCESS", 1)
    site.put("rec-in", b="b")
    assert int(site.job("rec")["data_recovered"]) == 2


def test_downstream_of_a_failure_is_unrunnable_and_says_whose(site: Site) -> None:
    site.pachctl("create", "repo", "up-in")
    site.put("up-in", a="a")
    site.create("up", {"cmd": ["false"]}, datum_tries=1)
    site.create("down", {"cmd": ["true"]}, input={"pfs": {"repo": "up", "name": "in", "glob": "/*"}})
    assert site.job("up")["state"] == "JOB_FAILURE"
    job = site.job("down")
    assert job["state"] == "JOB_UNRUNNABLE"
    assert "up" in job["reason"]


def test_two_datums_that_write_one_path_fail_by_name(site: Site) -> None:
    site.pachctl("create", "repo", "clash-in")
    site.put("clash-in", a="a", b="b")
    site.create("clash", {"cmd": ["sh"], "stdin": ["cat $in > /pfs/out/same"]})
    job = site.job("clash")
    assert job["state"] == "JOB_FAILURE"
    assert "/same" in job["reason"]


def test_a_job_is_stopped_at_once(site: Site) -> None:
    site.pachctl("create", "repo", "slow-in")
    site.put("slow-in", a="a")
    site.create("slow", {"cmd": ["sleep", "100"]})
    newest = next(documents(site.pachctl("list", "job", "-p", "slow", "--raw")))["job"]["id"]
    site.pachctl("stop", "job", f"slow@{newest}")
    job = site.job("slow")
    assert (job["state"], job["reason"]) == ("JOB_KILLED", "job stopped")
    # By the id of the set all its jobs are killed; one after the other, the second would be unrunnable.
    site.create("slower", {"cmd": ["sleep", "100"]}, input={"pfs": {"repo": "slow", "glob": "/*"}})
    site.put("slow-in", a="b")
    newest = next(documents(site.pachctl("list", "job", "-p", "slower", "--raw")))["job"]["id"]
    site.pachctl("stop", "job", newest)
    assert [site.job(name)["state"] for name in ("slow", "slower")] == ["JOB_KILLED", "JOB_KILLED"]


def test_deleting_a_pipeline_takes_its_repo_with_it(site: Site) -> None:
    site.pachctl("create", "repo", "gone-in")
    site.put("gone-in", a="a")
    site.create("gone", {"cmd": ["sh"], "stdin": [UPPER]})
    assert site.counts("gone") == ("success", 1, 0)
    assert "pipeline" in site.refused("delete", "repo", "gone")
    site.pachctl("delete", "pipeline", "gone")
    assert "not found" in site.refused("inspect", "repo", "gone")
    site.create("gone", {"cmd": ["sh"], "stdin": [UPPER]})
    assert site.counts("gone") == ("success", 1, 0)


def test_wrong_specs_are_refused_before_anything_is_written(site: Site) -> None:
    text = json.dumps({"pipeline": {"name": "x"}, "transform": {"cmd": ["true"]}, "input": {"pfs": {"repo": "nope"}}})
    assert "glob" in site.refused("create", "pipeline", "-f", "-", stdin=text.encode())
    text = text.replace('"nope"', '"nope", "glob": "/*"')
    assert "nope" in site.refused("create", "pipeline", "-f", "-", stdin=text.encode())
    assert "not found" in site.refused("inspect", "repo", "x")


def test_of_several_specs_all_are_made_or_none(site: Site) -> None:
    site.pachctl("create", "repo", "several-in")
    specs = [
        {"pipeline": {"name": name}, "transform": {"cmd": ["true"]}, "input": {"pfs": {"repo": repo, "glob": "/*"}}}
        for name, repo in (("several-a", "several-in"), ("several-b", "several-a"), ("several-c", "several-nope"))
    ]
    text = "\n".join(map(json.dumps, specs))
    said = site.refused("create", "pipeline", "-f", "-", stdin=text.encode())
    assert "spec 3 of 3" in said
    assert "several-nope" in said
    assert "none of them went in" in said
    assert "not found" in site.refused("inspect", "pipeline", "several-a")
    site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(specs[:2]).encode())
    assert "several-in" in site.pachctl("inspect", "pipeline", "several-a")
    assert "several-a" in site.pachctl("inspect", "pipeline", "several-b")
    assert site.pachctl("list", "transaction").splitlines()[1:] == []
