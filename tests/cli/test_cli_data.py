"""Commands on data: what they ask the server, and what they print."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue
from tests_cli_clock import before

from trunkline.errors import NotFound
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import trunkline_pb2 as own

ID = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32


def repo(name: str = "images", kind: str = "user", project: str = "default") -> pfs.Repo:
    return pfs.Repo(name=name, type=kind, project=pfs.Project(name=project))


def commit(name: str = "images", id: str = ID) -> pfs.Commit:
    return pfs.Commit(repo=repo(name), branch=pfs.Branch(repo=repo(name), name="master"), id=id)


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
    assert pachctl("delete", "repo", "--all").err == "1 repos deleted.\n"
    assert pachctl("delete", "repo").status == 1
    assert pachctl("delete", "repo", "a", "--all").status == 1


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


def info(**more: Any) -> pfs.CommitInfo:
    fields = {"commit": commit(), "origin": pfs.CommitOrigin(kind=pfs.USER), "started": before(minutes=5), **more}
    return pfs.CommitInfo(**fields)


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
    assert [lines[0].split()[0], ID in lines[1]] == ["PROJECT", True]
    asked = server.calls[-1].request
    assert (asked.branch, asked.state, getattr(asked, "from").branch.name) == ("master", pfs.FINISHED, "master")
    server.script["pfs.FindCommits"] = [
        pfs.FindCommitsResponse(found_commit=commit()),
        pfs.FindCommitsResponse(last_searched_commit=commit(id=OTHER), commits_searched=7),
    ]
    found = pachctl("find", "commit", "images@master:/a")
    assert (found.out, "searched 7 commits" in found.err) == (f"images@{ID}\n", True)


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


# Files.


def file(path: str, kind: pfs.FileType.ValueType = pfs.FILE, size: int = 1, name: str = "images") -> pfs.FileInfo:
    at = pfs.File(commit=commit(name), path=path, datum="default")
    return pfs.FileInfo(file=at, file_type=kind, size_bytes=size, hash=b"\x01\xff", committed=before(minutes=1))


FILES = [file("/a.png", size=58_644), file("/dir/", pfs.DIR, 2048), file("/écrits", size=0)]


def test_list_and_glob_file(pachctl, server, context):
    server.script["pfs.ListFile"] = FILES
    server.script["pfs.GlobFile"] = FILES
    table = "SIZE     NAME\n57.27KiB /a.png\n2KiB     /dir/\n0B       /écrits\n"
    assert pachctl("list", "file", "images@master:/dir/").out == table
    assert server.only("pfs.ListFile").request.file.path == "/dir"
    assert pachctl("glob", "file", "images@master:/*").out == table
    assert server.only("pfs.GlobFile").request.pattern == "/*"
    assert "COMMITTED            NAME" in pachctl("list", "file", "images@master", "-T").out
    assert pachctl("list", "file", "edges.meta@master").out.startswith("SIZE     TAG     NAME\n")


def test_inspect_file(pachctl, server, context):
    server.script["pfs.InspectFile"] = FILES[0]
    assert pachctl("inspect", "file", "images@master:/a.png").out == (
        "Path: /a.png\nType: file\nSize: 57.27KiB\nHash: 01ff\n"
    )
    assert "images@master:/path" in pachctl("inspect", "file", "images@master").err


def test_get_file(pachctl, server, context, tmp_path):
    server.script["pfs.GetFile"] = [BytesValue(value=b"ab"), BytesValue(value=b"c")]
    assert pachctl("get", "file", "images@master:/a.png", "--offset", "3").out == "abc"
    assert server.only("pfs.GetFile").request.offset == 3
    assert pachctl("get", "file", "images@master:/a.png", "-o", tmp_path).status == 0
    assert (tmp_path / "a.png").read_bytes() == b"abc"
    assert "-o DIRECTORY" in pachctl("get", "file", "images@master:/", "-r").err
    server.script["pfs.GetFile"] = NotFound('file "/a.png" not found')
    missing = pachctl("get", "file", "images@master:/a.png", "-o", tmp_path / "no")
    assert (missing.status, missing.err) == (1, 'file "/a.png" not found\n')
    assert not (tmp_path / "no").exists()


def test_get_file_again_appends_what_is_missing(pachctl, server, context, tmp_path):
    (tmp_path / "x").write_bytes(b"ab")
    server.script["pfs.GetFile"] = lambda request: [BytesValue(value=b"abcd"[request.offset :])]
    assert pachctl("get", "file", "images@master:/x", "--retry", "-o", tmp_path / "x").status == 0
    assert (tmp_path / "x").read_bytes() == b"abcd"


def put_paths(server: Any) -> list[str]:
    requests = server.only("bulk.BulkPut").requests
    server.calls.clear()
    return [
        path
        for request in requests[1:]
        for path in [*request.small.paths, *([request.piece.path] if request.piece.path else [])]
    ]


@pytest.mark.parametrize(
    ("target", "sources", "wanted"),
    [
        ("images@master", ["one"], ["/one"]),
        ("images@master", ["one", "d/two"], ["/one", "/two"]),
        ("images@master:/", ["one"], ["/one"]),
        ("images@master:/x", ["one"], ["/x"]),
        ("images@master:x/y", ["one"], ["/x/y"]),
        ("images@master:/x/", ["one"], ["/x/one"]),
        ("images@master:/x", ["one", "d/two"], ["/x/one", "/x/two"]),
        ("images@master", ["-r", "d"], ["/d/e/three", "/d/two"]),
        ("images@master:/", ["-r", "d"], ["/e/three", "/two"]),
        ("images@master:/x", ["-r", "d"], ["/x/e/three", "/x/two"]),
        ("images@master:/x/", ["-r", "d/"], ["/x/d/e/three", "/x/d/two"]),
        ("images@master", ["-r", "."], ["/HERE/d/e/three", "/HERE/d/two", "/HERE/one"]),
        ("images@master", ["-r", "one", "d"], ["/one", "/d/e/three", "/d/two"]),
        ("images@master", ["--full-path", "d/two"], ["/d/two"]),
        ("images@master:/x/", ["--full-path", "./d/two"], ["/x/d/two"]),
        ("images@master:/x", ["--full-path", "-r", "d/e"], ["/x/three"]),
        ("images@master:/x/", ["--full-path", "-r", "d/e"], ["/x/d/e/three"]),
    ],
)
def test_where_put_file_puts_things(pachctl, server, context, tmp_path, monkeypatch, target, sources, wanted):
    here = tmp_path / "HERE"
    for name in ("one", "d/two", "d/e/three"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    monkeypatch.chdir(here)
    server.script["bulk.BulkPut"] = own.BulkPutResponse()
    args = [arg for one in sources for arg in ([one] if one.startswith("-") else ["-f", one])]
    done = pachctl("put", "file", target, *args)
    assert (done.status, done.out, done.err) == (0, "", "")
    assert put_paths(server) == wanted


def test_put_from_standard_input(pachctl, server, context):
    server.script["pfs.ModifyFile"] = Empty()
    assert pachctl("put", "file", "images@master:/x", stdin=b"data").status == 0
    requests = server.only("pfs.ModifyFile").requests
    assert [one.WhichOneof("body") for one in requests] == ["set_commit", "delete_file", "add_file"]
    assert requests[2].add_file.raw.value == b"data"
    assert "needs a name" in pachctl("put", "file", "images@master", stdin=b"data").err
    assert "needs a name" in pachctl("put", "file", "images@master:/x/", stdin=b"data").err
    assert "once only" in pachctl("put", "file", "images@master:/x", "-f", "-", "-f", "-").err


def test_put_a_list_of_sources(pachctl, server, context, tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    server.script["bulk.BulkPut"] = own.BulkPutResponse()
    listed = f"{tmp_path}/a\n\n{tmp_path}/b\n".encode()
    assert pachctl("put", "file", "images@master", "-i", "-", stdin=listed).status == 0
    assert put_paths(server) == ["/a", "/b"]
    (tmp_path / "list").write_bytes(listed)
    assert pachctl("put", "file", "images@master", "-i", tmp_path / "list").status == 0
    assert put_paths(server) == ["/a", "/b"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["images@master", "-f", "nowhere"], "cannot read nowhere: No such file or directory"),
        (["images@master", "-f", "."], "add -r"),
        (["images", "-f", "x"], "repo@branch"),
        (["images@master:/a/../b", "-f", "x"], ".."),
        (["images@master:/x", "-r", "-f", "-"], "standard input"),
        (["images@master", "-i", "nowhere"], "cannot read the list"),
        (["images@master", "--full-path", "-f", "../x"], "leads above"),
    ],
)
def test_what_cannot_be_put_is_said_before_any_call(pachctl, server, context, tmp_path, monkeypatch, args, said):
    (tmp_path / "in").mkdir()
    (tmp_path / "x").write_text("1")
    (tmp_path / "in" / "x").write_text("1")
    monkeypatch.chdir(tmp_path / "in")
    done = pachctl("put", "file", *args)
    assert done.status == 1
    assert said in done.err
    assert server.calls == []


def test_put_a_url_asks_the_server(pachctl, server, context):
    server.script["pfs.ModifyFile"] = Empty()
    assert pachctl("put", "file", "images@master", "-f", "http://h/dir/a%20b.png?x=1").status == 0
    add = server.only("pfs.ModifyFile").requests[2].add_file
    assert (add.path, add.url.URL) == ("/a b.png", "http://h/dir/a%20b.png?x=1")


def test_delete_and_copy_file(pachctl, server, context):
    server.script["pfs.ModifyFile"] = Empty()
    server.script["pfs.InspectFile"] = lambda request: file(
        request.file.path, pfs.DIR if request.file.path == "/dir" else pfs.FILE
    )
    assert pachctl("delete", "file", "images@master:/a").status == 0
    assert [one.delete_file.path for one in server.calls[-1].requests[1:]] == ["/a"]
    assert "add -r" in pachctl("delete", "file", "images@master:/dir").err
    assert pachctl("delete", "file", "images@master:/dir", "-r").status == 0
    assert [one.delete_file.path for one in server.calls[-1].requests[1:]] == ["/dir", "/dir/"]
    assert pachctl("delete", "file", "images@master:/", "-r").status == 0
    assert [one.delete_file.path for one in server.calls[-1].requests[1:]] == ["/"]
    for target, goal in (("b@x", "/a/1"), ("b@x:/", "/1"), ("b@x:/c", "/c"), ("b@x:/c/", "/c/1")):
        assert pachctl("copy", "file", "images@master:/a/1", target, "-a").status == 0
        edit = server.calls[-1].requests[1].copy_file
        assert (edit.dst, edit.src.path, edit.append) == (goal, "/a/1", True)


def test_diff_file(pachctl, server, context, monkeypatch):
    contents = {"old": b"one\ntwo\n", "new": b"one\n2\n", "bin": b"\0\1"}
    sides = {"old": commit(id=OTHER), "new": commit()}

    def side(name: str, path: str, size: int = 8) -> pfs.FileInfo:
        return pfs.FileInfo(file=pfs.File(commit=sides[name], path=path), file_type=pfs.FILE, size_bytes=size)

    server.script["pfs.DiffFile"] = [
        pfs.DiffFileResponse(new_file=side("new", "/a[1]"), old_file=side("old", "/a[1]")),
        pfs.DiffFileResponse(new_file=side("new", "/bin")),
        pfs.DiffFileResponse(old_file=side("old", "/huge", 1 << 30)),
        pfs.DiffFileResponse(new_file=pfs.FileInfo(file=pfs.File(path="/d/"), file_type=pfs.DIR)),
    ]
    server.script["pfs.GetFile"] = lambda request: [
        BytesValue(
            value=contents["bin" if "bin" in request.file.path else "old" if request.file.commit.id == OTHER else "new"]
        )
    ]
    assert pachctl("diff", "file", "images@master", "images@dev").out == (
        "diff --git a/a[1] b/a[1]\n--- a/a[1]\n+++ b/a[1]\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
        "diff --git a/bin b/bin\nnew file\nBinary files differ (0B before, 2B after)\n"
        "diff --git a/huge b/huge\ndeleted file\nLarge files differ (1GiB before, 0B after)\n"
    )
    assert server.named("pfs.GetFile")[0].request.file.path == "/a\\[1\\]"
    names = pachctl("diff", "file", "images@master", "--name-only").out
    assert names == "OP PATH\n-  /a[1]\n+  /a[1]\n+  /bin\n-  /huge\n+  /d/\n"
    assert not server.calls[-1].request.HasField("old_file")
    assert "OP SIZE COMMITTED PATH" in pachctl("diff", "file", "images@master", "-s").out


def test_diff_with_a_program_of_ones_own(pachctl, server, context, tmp_path):
    one = pfs.FileInfo(file=pfs.File(commit=commit(), path="/d/a"), file_type=pfs.FILE)
    server.script["pfs.DiffFile"] = [pfs.DiffFileResponse(new_file=one)]
    server.script["pfs.GetFile"] = [BytesValue(value=b"text")]
    assert pachctl("diff", "file", "images@master", "--diff-command", "tail -c +2").out.endswith("ext")
    assert "cannot run" in pachctl("diff", "file", "images@master", "--diff-command", "no-such-program-here").err
