"""Lists that are cut short: by the server where its call can, else here."""

from __future__ import annotations

import pytest

from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as transactions
from trunkline.wire.gen import trunkline_pb2 as own

MANY = ["one", "two", "three"]
ID = "0" * 31 + "a"
IDS = [letter * 32 for letter in "abc"]
PLACES = [("default", "user"), ("sea", "meta"), ("sea", "user")]


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


@pytest.mark.parametrize(
    ("what", "call", "answer", "names"),
    [
        ("project", "pfs.ListProject", [pfs.ProjectInfo(project=pfs.Project(name=name)) for name in MANY], MANY),
        (
            "transaction", "transactions.ListTransaction",
            transactions.TransactionInfos(transaction_info=[
                transactions.TransactionInfo(transaction=transactions.Transaction(id=id)) for id in IDS
            ]), IDS,
        ),
        (
            "secret", "pps.ListSecret",
            pps.SecretInfos(secret_info=[pps.SecretInfo(secret=pps.Secret(name=name)) for name in MANY]), MANY,
        ),
        ("image", "images.ListImage", [own.ImageInfo(spec=own.ImageSpec(name=name)) for name in MANY], MANY),
        ("branch r", *ANSWERS["branch"], MANY),
        ("repo", *ANSWERS["repo"], MANY),
    ],
    ids=["project", "transaction", "secret", "image", "branch", "repo"],
)  # fmt: skip
def test_pages_of_a_list(pachctl, server, context, what, call, answer, names):
    server.script[call] = answer

    def shown(*args):
        done = pachctl("list", *what.split(), *args)
        return [name for line in done.out.splitlines() for name in names if name in line.split()] or done.err

    assert shown() == names
    assert shown("-n", "2") == names[:2]
    assert shown("--after", names[0]) == names[1:]
    assert shown("--after", names[0], "-n", "1") == names[1:2]
    assert pachctl("list", *what.split(), "--after", names[2], "--raw").out == ""
    assert "begin again without --after" in shown("--after", "nothing")


def test_repos_of_one_name_in_two_projects(pachctl, server, context):
    places = [pfs.Repo(name="r", type=kind, project=pfs.Project(name=project)) for project, kind in PLACES]
    server.script["pfs.ListRepo"] = [pfs.RepoInfo(repo=place) for place in places]

    def after(mark):
        done = pachctl("list", "repo", "-A", "--all", "--after", mark)
        return [line.split()[:2] for line in done.out.splitlines()[1:]]

    assert after("r") == [["sea", "r.meta"], ["sea", "r"]]
    assert after("sea/r.meta") == [["sea", "r"]]
    assert after("sea/r") == []


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
