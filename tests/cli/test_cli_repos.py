"""Commands on projects, repos, branches and commits: what they ask the server, and what they print."""

from __future__ import annotations

import json

import pytest
import yaml
from cli_things import ID, OTHER, before, commit, info, repo
from google.protobuf.empty_pb2 import Empty

from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as transactions

REPOS = [
    pfs.RepoInfo(
        repo=repo(), created=before(minutes=3), description="photographs",
        details=pfs.RepoInfo.Details(size_bytes=211_000),
    ),
    pfs.RepoInfo(repo=repo("edges"), created=before(seconds=2), size_bytes_upper_bound=1536),
    pfs.RepoInfo(repo=repo("edges", "meta"), created=before(days=3), size_bytes_upper_bound=0),
]  # fmt: skip

REPO_TABLE = """\
PROJECT NAME       CREATED       SIZE (MASTER) DESCRIPTION
default images     3 minutes ago 206.1KiB      photographs
default edges      2 seconds ago ≤ 1.5KiB
default edges.meta 3 days ago    ≤ 0B
"""


def test_list_repo(pachctl, server, context):
    server.script["pfs.ListRepo"] = REPOS
    assert pachctl("list", "repo", "--all").out == REPO_TABLE
    request = server.only("pfs.ListRepo").request
    assert (request.type, [one.name for one in request.projects]) == ("", ["default"])


@pytest.mark.parametrize(
    ("options", "kind", "projects"),
    [
        ([], "user", ["default"]),
        (["--type", "meta"], "meta", ["default"]),
        (["-A"], "user", []),
        (["--project", "p"], "user", ["p"]),
    ],
)
def test_list_repo_asks_for_what_is_wanted(pachctl, server, context, options, kind, projects):
    server.script["pfs.ListRepo"] = []
    assert pachctl("list", "repo", *options).out.startswith("PROJECT NAME CREATED SIZE (MASTER) DESCRIPTION\n")
    request = server.only("pfs.ListRepo").request
    assert (request.type, [one.name for one in request.projects]) == (kind, projects)


def test_times_in_full(pachctl, server, context):
    server.script["pfs.ListRepo"] = REPOS[:1]
    assert "2027-01-15T07:57:00Z" in pachctl("list", "repo", "-T").out


def test_raw_is_snake_case_one_document_each(pachctl, server, context):
    server.script["pfs.ListRepo"] = REPOS[:2]
    text = pachctl("list", "repo", "--raw").out
    decoder, found = json.JSONDecoder(), []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        found.append(one)
        text = text.lstrip()[end:]
    assert found[0]["repo"] == {"name": "images", "type": "user", "project": {"name": "default"}}
    assert found[1]["size_bytes_upper_bound"] == "1536"
    assert list(yaml.safe_load_all(pachctl("list", "repo", "--raw", "-o", "yaml").out)) == found


def test_inspect_repo(pachctl, server, context):
    server.script["pfs.InspectRepo"] = REPOS[0]
    assert pachctl("inspect", "repo", "images").out == (
        "Name: images\nDescription: photographs\nCreated: 3 minutes ago\nSize of HEAD on master: 206.1KiB\n"
    )


@pytest.mark.parametrize(("line", "update"), [("create repo a -d x", False), ("update repo p/a -d x", True)])
def test_create_and_update_repo(pachctl, server, context, line, update):
    server.script["pfs.CreateRepo"] = Empty()
    done = pachctl(*line.split())
    assert (done.status, done.out, done.err) == (0, "", "")
    request = server.only("pfs.CreateRepo").request
    project = "p" if update else "default"
    assert request == pfs.CreateRepoRequest(repo=repo("a", project=project), description="x", update=update)


@pytest.mark.parametrize("name", ["a b", "a/b/c", "", "a.nothing", "a@b", "x" * 64])
def test_a_bad_name_is_refused_before_any_call(pachctl, server, context, name):
    done = pachctl("create", "repo", name)
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert server.calls == []


def test_delete_repo(pachctl, server, context):
    server.script["pfs.DeleteRepo"] = lambda request: pfs.DeleteRepoResponse(deleted=request.repo.name == "a")
    assert pachctl("delete", "repo", "a", "--force").err == "Repo deleted.\n"
    assert pachctl("delete", "repo", "b").err == "No repo deleted.\n"
    assert [call.request.force for call in server.calls] == [True, False]
    server.script["pfs.DeleteRepos"] = pfs.DeleteReposResponse(repos=[repo()])
    assert pachctl("delete", "repo", "--all").err == "Repo deleted.\n"
    server.script["pfs.DeleteRepos"] = pfs.DeleteReposResponse(repos=[repo(), repo("b")])
    assert pachctl("delete", "repo", "--all", "-A").err == "2 repos deleted.\n"
    server.script["pfs.DeleteRepos"] = pfs.DeleteReposResponse()
    assert pachctl("delete", "repo", "--all").err == "No repo deleted.\n"
    assert pachctl("delete", "repo").status == 1
    assert pachctl("delete", "repo", "a", "--all").status == 1


def test_delete_all_repos_of_a_type_deletes_no_others(pachctl, server, context):
    found = [repo("a", "meta"), repo("b", "meta")]
    server.script["pfs.ListRepo"] = lambda request: [pfs.RepoInfo(repo=one) for one in found if request.type == "meta"]
    server.script["transactions.BatchTransaction"] = transactions.TransactionInfo()
    assert pachctl("delete", "repo", "--all", "--type", "meta", "-f").err == "2 repos deleted.\n"
    sent = server.only("transactions.BatchTransaction").request.requests
    assert [one.delete_repo for one in sent] == [pfs.DeleteRepoRequest(repo=one, force=True) for one in found]
    assert pachctl("delete", "repo", "--all", "--type", "spec").err == "No repo deleted.\n"
    assert not server.named("pfs.DeleteRepos")
    assert len(server.named("transactions.BatchTransaction")) == 1


def test_projects(pachctl, server, context):
    server.script["pfs.ListProject"] = [
        pfs.ProjectInfo(project=pfs.Project(name="default"), created_at=before(hours=1)),
        pfs.ProjectInfo(project=pfs.Project(name="x"), created_at=before(hours=50), description="more"),
    ]
    assert pachctl("list", "project").out == (
        "ACTIVE PROJECT CREATED           DESCRIPTION\n"
        "*      default About an hour ago\n"
        "       x       2 days ago        more\n"
    )
    server.script["pfs.CreateProject"] = Empty()
    assert pachctl("create", "project", "y", "-d", "d").status == 0
    assert server.calls[-1].request == pfs.CreateProjectRequest(project=pfs.Project(name="y"), description="d")
    assert pachctl("create", "project", "a.b").status == 1


@pytest.mark.parametrize(("answer", "status", "deleted"), [(b"y\ny\n", 0, True), (b"n\n", 130, False)])
def test_delete_project_asks_first(pachctl, server, context, answer, status, deleted):
    server.script["pfs.InspectProject"] = pfs.ProjectInfo()
    server.script["pps.ListPipeline"] = [pps.PipelineInfo(pipeline=pps.Pipeline(name="edges"))]
    server.script["pfs.ListRepo"] = [pfs.RepoInfo(repo=repo()), pfs.RepoInfo(repo=repo("edges"))]
    for name in ("pps.DeletePipelines", "pfs.DeleteRepos", "pfs.DeleteProject"):
        server.script[name] = {"pps.DeletePipelines": pps.DeletePipelinesResponse()}.get(name, Empty())
    done = pachctl("delete", "project", "default", stdin=answer)
    assert done.status == status
    assert "  edges\n" in done.out
    assert [bool(server.named(name)) for name in ("pps.DeletePipelines", "pfs.DeleteProject")] == [deleted, deleted]
    assert ("project to work in" in done.err) is deleted


def test_branches(pachctl, server, context):
    info = pfs.BranchInfo(
        branch=pfs.Branch(repo=repo(), name="master"), head=commit(), created_by="u", created_at=before(minutes=1),
        trigger=pfs.Trigger(branch="staging", size="1MB", commits=10),
        direct_provenance=[pfs.Branch(repo=repo("a"), name="b"), pfs.Branch(repo=repo("c", project="p"), name="d")],
    )  # fmt: skip
    server.script["pfs.ListBranch"] = [info, pfs.BranchInfo(branch=pfs.Branch(repo=repo(), name="x"))]
    assert pachctl("list", "branch", "images").out == (
        "BRANCH HEAD                             TRIGGER                             CREATOR CREATED\n"
        f"master {ID} staging on Size(1MB) or Commits(10) u       About a minute ago\n"
        "x      -                                -                                   -       -\n"
    )
    server.script["pfs.InspectBranch"] = info
    assert pachctl("inspect", "branch", "images@master").out == (
        f"Name: images@master\nHead Commit: images@{ID}\nProvenance: a@b p/c@d\n"
        "Trigger: staging on Size(1MB) or Commits(10)\nCreated by: u\nCreated: About a minute ago\n"
    )


def test_create_branch(pachctl, server, context):
    server.script["pfs.CreateBranch"] = Empty()
    line = "create branch a@b --head master^2 -p c@d -p e@f -t s --trigger-size 1MB --trigger-all"
    assert pachctl(*line.split()).status == 0
    request = server.only("pfs.CreateBranch").request
    assert (request.branch.repo.name, request.branch.name, request.head.id) == ("a", "b", "master^2")
    assert [f"{one.repo.name}@{one.name}" for one in request.provenance] == ["c@d", "e@f"]
    assert request.trigger == pfs.Trigger(branch="s", size="1MB", all=True)
    assert "--trigger BRANCH" in pachctl("create", "branch", "a@b", "--trigger-size", "1MB").err
    assert pachctl("create", "branch", "a").status == 1
    assert pachctl("create", "branch", f"a@{ID}").status == 1


DONE = info(finished=before(minutes=4), finishing=before(minutes=4), details=pfs.CommitInfo.Details(size_bytes=58_644))

COMMIT_TABLE = f"""\
PROJECT REPO   COMMIT                           FINISHED      SIZE     ORIGIN CREATOR DESCRIPTION
default images {ID} 4 minutes ago 57.27KiB USER   -
default images {OTHER} -             ≤ 1000B  AUTO   me      first (error: it went wrong)
"""


def test_list_commit(pachctl, server, context):
    open_one = info(
        commit=commit(id=OTHER), origin=pfs.CommitOrigin(kind=pfs.AUTO), size_bytes_upper_bound=1000, created_by="me",
        description="first", error="it went wrong",
    )  # fmt: skip
    server.script["pfs.ListCommit"] = [DONE, open_one]
    done = pachctl("list", "commit", "images@master", "-n", "5", "--origin", "auto", "-f", "old")
    assert done.out == COMMIT_TABLE
    request = server.only("pfs.ListCommit").request
    assert (request.to.branch.name, request.number, request.origin_kind) == ("master", 5, pfs.AUTO)
    assert getattr(request, "from").branch.name == "old"


def test_list_commit_sets(pachctl, server, context):
    server.script["pfs.ListCommitSet"] = [
        pfs.CommitSetInfo(commit_set=pfs.CommitSet(id=ID), commits=[DONE, info()]),
        pfs.CommitSetInfo(commit_set=pfs.CommitSet(id=OTHER), commits=[DONE]),
    ]
    assert pachctl("list", "commit").out == (
        "ID                               SUBCOMMITS PROGRESS CREATED       MODIFIED\n"
        f"{ID} 2          ▇▇▇▇---- 5 minutes ago 4 minutes ago\n"
        f"{OTHER} 1          ▇▇▇▇▇▇▇▇ 5 minutes ago 4 minutes ago\n"
    )
    assert pachctl("list", "commit", "-n", "1").out.count("\n") == 2
    assert pachctl("list", "commit", "-x").out.count(ID) == 3
    server.script["pfs.InspectCommitSet"] = [DONE]
    assert pachctl("list", "commit", ID).out.count(ID) == 1
    assert "name the repo" in pachctl("list", "commit", ID, "--all").err


def test_inspect_commit(pachctl, server, context):
    shown = info(
        parent_commit=commit(id=OTHER), finished=before(minutes=4), description="d", error="e",
        details=pfs.CommitInfo.Details(size_bytes=1), direct_provenance=[commit("a", OTHER)],
    )  # fmt: skip
    server.script["pfs.InspectCommit"] = shown
    assert pachctl("inspect", "commit", "images@master").out == (
        f"Commit: images@{ID}\nOriginal Branch: master\nDescription: d\nParent: {OTHER}\nStarted: 5 minutes ago\n"
        f"Finished: 4 minutes ago\nSize: 1B\nProvenance: default/a@{OTHER}\nError: e\n"
    )
    assert f"`pachctl list commit {ID}`" in pachctl("inspect", "commit", ID).err


@pytest.mark.parametrize(
    ("above", "said"),
    [
        ({}, f"Waits For: its parent {OTHER}, which is open\n"),
        ({"finishing": before(minutes=5)}, f"Waits For: its parent {OTHER}, which is being finished\n"),
        ({"finishing": before(minutes=5), "finished": before(minutes=4)}, ""),
    ],
)
def test_a_commit_that_is_being_finished_says_what_it_waits_for(pachctl, server, context, above, said):
    shown = info(parent_commit=commit(id=OTHER), finishing=before(minutes=4))
    parent = info(commit=commit(id=OTHER), **above)
    server.script["pfs.InspectCommit"] = lambda asked: parent if asked.commit.id == OTHER else shown
    assert "".join(pachctl("inspect", "commit", "images@master").out.partition("Waits For")[1:]) == said


@pytest.mark.parametrize(
    ("ref", "branch", "id"),
    [
        ("master", "master", ""),
        (ID, "", ID),
        ("master^2", "", "master^2"),
        (f"{ID}^", "", f"{ID}^"),
        (f"master={ID}", "", ID),
    ],
)
def test_references_travel_as_clients_write_them(pachctl, server, context, ref, branch, id):
    server.script["pfs.InspectCommit"] = DONE
    pachctl("inspect", "commit", f"images@{ref}")
    asked = server.only("pfs.InspectCommit").request.commit
    assert (asked.branch.name, asked.id, asked.repo.name) == (branch, id, "images")


def test_start_and_finish_commit(pachctl, server, context):
    server.script["pfs.StartCommit"] = commit()
    server.script["pfs.FinishCommit"] = Empty()
    assert pachctl("start", "commit", "images@master", "-m", "why", "-p", "dev").out == f"{ID}\n"
    request = server.only("pfs.StartCommit").request
    assert (request.description, request.parent.branch.name, request.branch.name) == ("why", "dev", "master")
    assert pachctl("finish", "commit", "images@master", "--description", "w", "-f").out == ""
    finish = server.only("pfs.FinishCommit").request
    assert (finish.description, finish.force) == ("w", True)


def test_wait_subscribe_and_find(pachctl, server, context):
    server.script["pfs.InspectCommit"] = DONE
    assert "Finished: 4 minutes ago" in pachctl("wait", "commit", "images@master").out
    assert server.calls[-1].request.wait == pfs.FINISHED
    server.script["pfs.InspectCommitSet"] = [DONE, DONE]
    assert pachctl("wait", "commit", ID).out.count("Finished:") == 2
    assert server.calls[-1].request.wait
    server.script["pfs.SubscribeCommit"] = [DONE]
    lines = pachctl("subscribe", "commit", "images@master", "--new").out.splitlines()
    assert lines == [
        "PROJECT REPO   COMMIT                           FINISHED      SIZE     ORIGIN CREATOR DESCRIPTION",
        f"default images {ID} 4 minutes ago 57.27KiB USER   -",
    ]
    asked = server.calls[-1].request
    assert (asked.branch, asked.state, getattr(asked, "from").branch.name) == ("master", pfs.FINISHED, "master")
    server.script["pfs.FindCommits"] = [
        pfs.FindCommitsResponse(found_commit=commit()),
        pfs.FindCommitsResponse(last_searched_commit=commit(id=OTHER), commits_searched=7),
    ]
    found = pachctl("find", "commit", "images@master:/a")
    assert (found.out, "searched 7 commits" in found.err) == (f"images@{ID}\n", True)
    server.script["pfs.FindCommits"] = [pfs.FindCommitsResponse(last_searched_commit=commit(), commits_searched=1)]
    assert f"searched 1 commit, back to {ID}" in pachctl("find", "commit", "images@master:/a").err


@pytest.mark.parametrize("span", ["30s", "1m30s", "0.5h", "250000ms", "90", "2.5e2"])
def test_a_time_to_wait_is_a_span_or_seconds(pachctl, server, context, span):
    server.script["pfs.FindCommits"] = [pfs.FindCommitsResponse(found_commit=commit())]
    assert pachctl("find", "commit", "images@master:/a", "--timeout", span).status == 0
    assert server.calls


@pytest.mark.parametrize("span", ["", "s", "5x", "0", "-1", "-5s", "nan", "inf", "1e99"])
def test_what_is_no_time_to_wait(pachctl, server, context, span):
    for line in (["find", "commit", "images@master:/a"], ["version"]):
        done = pachctl(*line, "--timeout", span)
        assert done.status == 1
        assert "write for example 30s or 1m30s" in done.err
    assert not server.calls


@pytest.mark.parametrize(
    ("line", "call"),
    [
        (f"squash commit {ID}", "pfs.SquashCommitSet"),
        (f"delete commit {ID}", "pfs.DropCommitSet"),
        ("squash commitV2 a@b -r", "pfs.SquashCommit"),
        ("delete commitV2 a@b", "pfs.DropCommit"),
        ("delete branch a@b -f", "pfs.DeleteBranch"),
    ],
)
def test_removing_history(pachctl, server, context, line, call):
    server.script[call] = {
        "pfs.SquashCommit": pfs.SquashCommitResponse(), "pfs.DropCommit": pfs.DropCommitResponse(),
    }.get(call, Empty())  # fmt: skip
    assert pachctl(*line.split()).status == 0
    assert server.only(call)
