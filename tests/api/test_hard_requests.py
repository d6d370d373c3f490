"""Names, paths and sizes that nobody should send, over the wire: what each is told, or that it works."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import grpc
import pytest
from transaction_things import Rooms

from trunkline.testing.calls import Client, add, bulk, edits, on, refused
from trunkline.wire.gen import metadata_pb2 as metadata
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
BLOCKED, EXISTS = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS

DEEP = "/d" * 2000


@pytest.fixture(scope="module")
def client(rooms: Rooms) -> Iterator[Client]:
    rooms.client.count = 100
    yield rooms.client
    complaints = [each.error for each in rooms.pfs.Fsck(pfs.FsckRequest()) if each.error]
    assert complaints == []


@pytest.fixture(scope="module")
def repo(client: Client) -> pfs.Repo:
    made = client.repo()
    client.put(made, {"/a": b"1"})
    return made


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/../../etc/passwd", '".."'),
        ("a/../b", '".."'),
        ("/./a", '"."'),
        ("/a\0b", "control"),
        ("/a\nb", "control"),
        ("/\x7f", "control"),
        ("/" + "a" * 5000, "4096"),
        ("/" + "a" * 256, "255"),
        ("/a" * 3000, "4096"),
        ("/" + "é" * 2100, "4096"),
        ("", "names the top"),
        ("/", "names the top"),
        ("//", "names the top"),
    ],
)
def test_a_path_that_no_file_can_have(client: Client, repo: pfs.Repo, path: str, words: str) -> None:
    """By both ways of putting files, and nothing beside it is put."""
    for call in (
        lambda: client.stub.ModifyFile(iter([*edits(on(repo), {"/beside": b"1"}), add(path, b"x")])),
        lambda: client.bulk.BulkPut(bulk(on(repo), own.SmallFiles(paths=["/beside", path], sizes=[1, 1], data=b"12"))),
        lambda: client.bulk.BulkPut(bulk(on(repo), own.FilePiece(path=path or "/", data=b"x"))),
    ):
        code, said = refused(lambda call=call: [call()])
        assert code is INVALID, said
        assert words in said, said
        assert len(said) < 1000
    assert client.get(repo, "/a") == [b"1"]
    assert (
        refused(client.stub.GetFile, pfs.GetFileRequest(file=pfs.File(commit=on(repo), path="/beside")))[0] is MISSING
    )


@pytest.mark.parametrize(
    "path", [DEEP + "/f", "/" + "a" * 255, "/ ", "/-", "/*?[]{}!()@+^", "/\u202e", "/é", "/e\u0301", "/%2e%2e"]
)
def test_a_path_that_only_looks_strange(client: Client, path: str) -> None:
    repo = client.repo()
    client.put(repo, {path: b"strange"})
    assert client.finished(repo).error == ""
    walked = [
        info.file.path for info in client.stub.WalkFile(pfs.WalkFileRequest(file=pfs.File(commit=on(repo), path="/")))
    ]
    assert walked[-1] == path
    assert len(walked) == path.count("/") + 1
    info = client.stub.InspectFile(pfs.InspectFileRequest(file=pfs.File(commit=on(repo), path=path)))
    assert info.size_bytes == 7
    client.stub.ModifyFile(
        iter([pfs.ModifyFileRequest(set_commit=on(repo)), pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))])
    )
    assert client.finished(repo).details.size_bytes == 0


def test_many_entries_under_one_prefix(client: Client) -> None:
    repo = client.repo()
    names = [f"/same/prefix-{number:05}" for number in range(10_000)]
    client.bulk.BulkPut(bulk(on(repo), own.SmallFiles(paths=names, sizes=[1] * len(names), data=b"x" * len(names))))
    assert client.finished(repo).details.size_bytes == 10_000
    folder = pfs.File(commit=on(repo), path="/same")
    assert [info.file.path for info in client.stub.ListFile(pfs.ListFileRequest(file=folder))] == names
    glob = pfs.GlobFileRequest(commit=on(repo), pattern="/same/prefix-0999*")
    assert [info.file.path for info in client.stub.GlobFile(glob)] == names[9990:10_000]
    last = pfs.ListFileRequest(file=folder, number=2, reverse=True)
    assert [info.file.path for info in client.stub.ListFile(last)] == names[:-3:-1]


def repo_of(name: str, project: str = "default", type: str = "user") -> pfs.Repo:
    return pfs.Repo(name=name, type=type, project=pfs.Project(name=project))


def branch_of(repo: pfs.Repo, name: str = "master") -> pfs.Branch:
    return pfs.Branch(repo=repo, name=name)


def noted(repo: pfs.Repo, key: str, value: str) -> metadata.EditMetadataRequest:
    name = pfs.RepoPicker.RepoName(project=pfs.ProjectPicker(name="default"), name=repo.name, type="user")
    edit = metadata.Edit(repo=pfs.RepoPicker(name=name), edit_key=metadata.Edit.EditKey(key=key, value=value))
    return metadata.EditMetadataRequest(edits=[edit])


HARD: list[tuple[str, Any, grpc.StatusCode, str]] = [
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("../x")), INVALID, "alphanumeric"),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("a\0b")), INVALID, "alphanumeric"),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("a b")), INVALID, "alphanumeric"),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("é")), INVALID, "alphanumeric"),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("a" * 64)), INVALID, "63"),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("a" * 1_000_000)), INVALID, "63"),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("")), INVALID, "repo"),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("x", "nowhere")), MISSING, 'project "nowhere" not found'),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("x", "../default")), INVALID, "project"),
    ("CreateRepo", pfs.CreateRepoRequest(repo=repo_of("x", type="../../spec")), INVALID, "type"),
    ("CreateProject", pfs.CreateProjectRequest(project=pfs.Project(name="a.b")), INVALID, "project"),
    ("CreateProject", pfs.CreateProjectRequest(project=pfs.Project(name="p" * 52)), INVALID, "51"),
    ("CreateProject", pfs.CreateProjectRequest(project=pfs.Project(name="default")), EXISTS, "already exists"),
    ("DeleteProject", pfs.DeleteProjectRequest(project=pfs.Project(name="default")), BLOCKED, "not empty"),
    ("InspectRepo", pfs.InspectRepoRequest(repo=repo_of("hard-one", "nowhere")), MISSING, "not found"),
    ("CreateBranch", pfs.CreateBranchRequest(branch=branch_of(repo_of("hard-one"), "a/b")), INVALID, "alphanumeric"),
    ("CreateBranch", pfs.CreateBranchRequest(branch=branch_of(repo_of("hard-one"), "0" * 32)), INVALID, "branch"),
    ("CreateBranch", pfs.CreateBranchRequest(branch=branch_of(repo_of("hard-one"), "b" * 10_000)), INVALID, "branch"),
    (
        "CreateBranch",
        pfs.CreateBranchRequest(branch=branch_of(repo_of("hard-one")), provenance=[branch_of(repo_of("hard-one"))]),
        INVALID,
        "own provenance",
    ),
    (
        "CreateBranch",
        pfs.CreateBranchRequest(branch=branch_of(repo_of("hard-one")), provenance=[branch_of(repo_of("hard-three"))]),
        INVALID,
        "provenance cannot have a cycle: default/hard-one@master -> default/hard-three@master -> "
        "default/hard-two@master -> default/hard-one@master",
    ),
    (
        "CreateBranch",
        pfs.CreateBranchRequest(
            branch=branch_of(repo_of("hard-three")),
            provenance=[branch_of(repo_of("hard-two")), branch_of(repo_of("hard-one"), "other")],
        ),
        INVALID,
        "cannot take part in one DAG",
    ),
    (
        "CreateBranch",
        pfs.CreateBranchRequest(
            branch=branch_of(repo_of("hard-one")), provenance=[branch_of(repo_of("hard-two", "nowhere"))]
        ),
        MISSING,
        "not found",
    ),
    (
        "CreateBranch",
        pfs.CreateBranchRequest(branch=branch_of(repo_of("hard-one"), "b"), head=on(repo_of("hard-two"))),
        INVALID,
        "must be of its own repo",
    ),
    ("InspectCommit", pfs.InspectCommitRequest(commit=pfs.Commit(repo=repo_of("hard-one"), id="f" * 32)), MISSING, ""),
    (
        "InspectCommit",
        pfs.InspectCommitRequest(commit=pfs.Commit(repo=repo_of("hard-one"), id="master" + "^" * 9000)),
        MISSING,
        "ancestor",
    ),
    (
        "InspectCommit",
        pfs.InspectCommitRequest(commit=pfs.Commit(repo=repo_of("hard-one"), id="master~" + "9" * 5000)),
        INVALID,
        "",
    ),
    ("GlobFile", pfs.GlobFileRequest(commit=on(repo_of("hard-one")), pattern="(" * 5000), INVALID, "glob"),
    ("GlobFile", pfs.GlobFileRequest(commit=on(repo_of("hard-one")), pattern="{a," * 5000), INVALID, "glob"),
    (  # a glob, which matches nothing
        "GetFile",
        pfs.GetFileRequest(file=pfs.File(commit=on(repo_of("hard-one")), path="/../../x")),
        MISSING,
        "not found",
    ),
    ("ListFile", pfs.ListFileRequest(file=pfs.File(commit=on(repo_of("hard-one")), path="/..")), INVALID, '".."'),
    ("SquashCommitSet", pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id="../x")), INVALID, "32 hex digits"),
]


@pytest.fixture(scope="module")
def chain(client: Client) -> None:
    """hard-one -> hard-two -> hard-three."""
    names = ["hard-one", "hard-two", "hard-three"]
    for name in names:
        client.stub.CreateRepo(pfs.CreateRepoRequest(repo=repo_of(name)))
    client.put(repo_of("hard-one"), {"/a": b"1"})
    for up, name in pairwise(names):
        request = pfs.CreateBranchRequest(branch=branch_of(repo_of(name)), provenance=[branch_of(repo_of(up))])
        client.stub.CreateBranch(request)


@pytest.mark.parametrize(("call", "request_", "code", "words"), HARD)
def test_a_request_that_is_refused_in_words(
    client: Client, chain: None, call: str, request_: Any, code: grpc.StatusCode, words: str
) -> None:
    got, said = refused(lambda: result if (result := getattr(client.stub, call)(request_)) is not None else [])
    assert got is code, said
    assert said.strip()
    assert words in said, said
    assert len(said) < 2000, "an answer is no copy of the request"


def test_metadata_may_be_long_but_not_huge(rooms: Rooms, client: Client, chain: None) -> None:
    repo = repo_of("hard-one")
    rooms.metadata.EditMetadata(noted(repo, "k", "v" * 60_000))
    for key, value in (("k", "v" * 70_000), ("l", "v" * 10_000), ("x" * 70_000, ""), ("", "v")):
        code, said = refused(lambda key=key, value=value: [rooms.metadata.EditMetadata(noted(repo, key, value))])
        assert code in (INVALID, BLOCKED), said
        assert 0 < len(said) < 1000
    assert len(client.stub.InspectRepo(pfs.InspectRepoRequest(repo=repo)).metadata["k"]) == 60_000
