"""Commits removed and walked through a real socket."""

from __future__ import annotations

import grpc
import pytest

from trunkline.testing.calls import Client, on, refused
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import taskapi_pb2 as taskapi


def put(client: Client, repo: pfs.Repo, **files: bytes) -> pfs.CommitInfo:
    """One finished commit with these files."""
    client.put(repo, {f"/{name}": data for name, data in files.items()})
    return client.finished(repo)


def picked(repo: pfs.Repo, id_: str) -> pfs.CommitPicker:
    """A commit picked by its id."""
    return pfs.CommitPicker(id=pfs.CommitPicker.CommitByGlobalId(repo=picked_repo(repo), id=id_))


def picked_repo(repo: pfs.Repo) -> pfs.RepoPicker:
    """A repo picked by its name."""
    project = pfs.ProjectPicker(name="default")
    return pfs.RepoPicker(name=pfs.RepoPicker.RepoName(project=project, name=repo.name, type="user"))


def picked_branch(repo: pfs.Repo, name: str = "master") -> pfs.BranchPicker:
    """A branch picked by its name."""
    return pfs.BranchPicker(name=pfs.BranchPicker.BranchName(repo=picked_repo(repo), name=name))


def refused_once(call, request) -> grpc.StatusCode:
    """The code with which a call that answers once is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return caught.value.code()


def test_squash_and_drop_both_ways(client: Client) -> None:
    repo = client.repo()
    commits = [put(client, repo, **{name: name.encode()}).commit for name in "abcde"]
    client.stub.SquashCommitSet(pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id=commits[0].id)))
    client.stub.SquashCommit(pfs.SquashCommitRequest(commit=commits[1]))
    client.stub.DropCommit(pfs.DropCommitRequest(commit=commits[4]))
    client.stub.DropCommitSet(pfs.DropCommitSetRequest(commit_set=pfs.CommitSet(id=commits[3].id)))
    left = list(client.stub.ListCommit(pfs.ListCommitRequest(repo=repo, all=True)))
    assert [info.commit.id for info in left] == [commits[2].id]
    assert b"".join(client.get(repo, "/a")) == b"a"
    assert client.finished(repo).details.size_bytes == 3


def test_who_squashes_at_once_waits_for_what_is_being_finished(client: Client) -> None:
    repo = client.repo()
    for number in range(12):
        client.put(repo, {f"/{number}": b"x"})
        if number % 3 == 2:
            one, two = list(client.stub.ListCommit(pfs.ListCommitRequest(repo=repo, number=3)))[1:]
            client.stub.SquashCommit(pfs.SquashCommitRequest(commit=one.commit))
            client.stub.SquashCommitSet(pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id=two.commit.id)))
    assert len(list(client.stub.ListCommit(pfs.ListCommitRequest(repo=repo)))) == 4
    assert len(list(client.stub.ListFile(pfs.ListFileRequest(file=pfs.File(commit=on(repo), path="/"))))) == 12


def test_what_is_refused_is_the_callers_mistake(client: Client) -> None:
    repo = client.repo()
    only = put(client, repo, a=b"1").commit
    cases = [
        (client.stub.SquashCommit, pfs.SquashCommitRequest(commit=only), grpc.StatusCode.FAILED_PRECONDITION),
        (client.stub.SquashCommit, pfs.SquashCommitRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (client.stub.DropCommitSet, pfs.DropCommitSetRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (client.stub.DropCommit, pfs.DropCommitRequest(commit=on(repo, "none")), grpc.StatusCode.NOT_FOUND),
        (client.stub.ForgetCommit, pfs.ForgetCommitRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (
            client.stub.ForgetCommit,
            pfs.ForgetCommitRequest(commit=picked(repo, only.id)),
            grpc.StatusCode.FAILED_PRECONDITION,
        ),
    ]
    for call, request, code in cases:
        assert refused_once(call, request) is code, request


def test_history_is_searched_and_walked(client: Client) -> None:
    repo = client.repo()
    first, second = (put(client, repo, **files).commit for files in ({"a": b"1"}, {"b": b"1"}))
    answers = list(client.stub.FindCommits(pfs.FindCommitsRequest(start=second, file_path="/a")))
    assert [one.found_commit.id for one in answers] == [first.id, ""]
    assert answers[-1].last_searched_commit.id == first.id
    down = client.repo()
    request = pfs.CreateBranchRequest(branch=pfs.Branch(repo=down, name="master"))
    request.provenance.add(repo=repo, name="master")
    client.stub.CreateBranch(request)
    head = client.stub.InspectBranch(pfs.InspectBranchRequest(branch=request.branch)).head
    ancestor = pfs.CommitPicker(ancestor=pfs.CommitPicker.AncestorOf(offset=1, start=picked(repo, second.id)))
    up = pfs.WalkCommitProvenanceRequest(start=[picked(down, head.id), ancestor])
    assert [info.commit.id for info in client.stub.WalkCommitProvenance(up)] == [second.id]
    root = pfs.CommitPicker(branch_root=pfs.CommitPicker.BranchRoot(offset=2, branch=picked_branch(repo)))
    for start in (root, pfs.CommitPicker(branch_head=picked_branch(repo))):
        walk = client.stub.WalkCommitSubvenance(pfs.WalkCommitSubvenanceRequest(start=[start]))
        assert [info.commit.repo.name for info in walk] == [down.name]
    branches = client.stub.WalkBranchProvenance(pfs.WalkBranchProvenanceRequest(start=[picked_branch(down)]))
    assert [info.branch.repo.name for info in branches] == [repo.name]
    branches = client.stub.WalkBranchSubvenance(pfs.WalkBranchSubvenanceRequest(start=[picked_branch(repo)]))
    assert [info.branch.repo.name for info in branches] == [down.name]
    for call, empty in (
        (client.stub.WalkCommitProvenance, pfs.WalkCommitProvenanceRequest()),
        (client.stub.WalkBranchSubvenance, pfs.WalkBranchSubvenanceRequest(start=[pfs.BranchPicker()])),
        (client.stub.WalkCommitSubvenance, pfs.WalkCommitSubvenanceRequest(start=[pfs.CommitPicker()])),
        (client.stub.FindCommits, pfs.FindCommitsRequest()),
    ):
        assert refused(call, empty)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_storage_is_checked_and_nothing_is_under_way(client: Client) -> None:
    repo = client.repo()
    put(client, repo, a=b"x" * 100_000)
    checked = client.stub.CheckStorage(pfs.CheckStorageRequest(read_chunk_data=True))
    assert checked.chunk_object_count >= 1
    assert list(client.stub.ListTask(taskapi.ListTaskRequest())) == []
