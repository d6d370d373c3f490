"""Lists that are cut short: by the server where its call can, else here."""

from __future__ import annotations

import pytest

from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps

MANY = ["one", "two", "three"]
ID = "0" * 31 + "a"


def repo(name: str) -> pfs.Repo:
    return pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))


def pipeline(name: str) -> pps.Pipeline:
    return pps.Pipeline(name=name, project=pfs.Project(name="default"))


ANSWERS = {
    "repo": ("pfs.ListRepo", [pfs.RepoInfo(repo=repo(name)) for name in MANY]),
    "branch": ("pfs.ListBranch", [pfs.BranchInfo(branch=pfs.Branch(repo=repo("r"), name=name)) for name in MANY]),
    "pipeline": ("pps.ListPipeline", [pps.PipelineInfo(pipeline=pipeline(name)) for name in MANY]),
    "job": ("pps.ListJob", [pps.JobInfo(job=pps.Job(pipeline=pipeline(name), id=ID)) for name in MANY]),
}


@pytest.mark.parametrize(
    ("what", "args"), [("repo", []), ("branch", ["r"]), ("pipeline", []), ("job", ["-x"])], ids=str
)
def test_so_many_of_a_list(pachctl, server, context, what, args):
    call, answers = ANSWERS[what]
    server.script[call] = answers
    done = pachctl("list", what, *args, "-n", "2")
    assert done.status == 0
    header, *lines = done.out.splitlines()
    assert header
    assert [name for line in lines for name in MANY if name in line.split()] == ["one", "two"]
    assert len(pachctl("list", what, *args).out.splitlines()) == 4
    assert "not in the range x>=1" in pachctl("list", what, *args, "-n", "0").err


def test_sets_of_jobs(pachctl, server, context):
    jobs = [pps.JobInfo(job=pps.Job(pipeline=pipeline("p"), id=ID))]
    server.script["pps.ListJobSet"] = [pps.JobSetInfo(job_set=pps.JobSet(id=ID), jobs=jobs)] * 3
    assert len(pachctl("list", "job", "-n", "1").out.splitlines()) == 2


def test_branches_oldest_first(pachctl, server, context):
    server.script["pfs.ListBranch"] = []
    pachctl("list", "branch", "r", "--reverse")
    assert server.only("pfs.ListBranch").request.reverse


def test_a_part_of_a_directory(pachctl, server, context):
    server.script["pfs.ListFile"] = []
    assert pachctl("list", "file", "r@master:/d", "-n", "3", "--after", "/d/x", "--reverse").status == 0
    request = server.only("pfs.ListFile").request
    assert (request.number, request.paginationMarker.path, request.reverse) == (3, "/d/x", True)
    assert "say how many with -n" in pachctl("list", "file", "r@master:/d", "--reverse").err


def test_some_of_a_jobs_datums(pachctl, server, context):
    server.script["pps.ListDatum"] = []
    assert pachctl("list", "datum", f"p@{ID}", "-n", "3", "--after", "d" * 64, "--reverse").status == 0
    request = server.only("pps.ListDatum").request
    assert (request.number, request.paginationMarker, request.reverse) == (3, "d" * 64, True)
