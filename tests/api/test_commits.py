"""Commits and branches through a real socket: listed, moved, and waited for without a thread."""

from __future__ import annotations

from typing import Any

import grpc

from trunkline.testing.calls import Client, edits, refused
from trunkline.wire.gen import pfs_v2_pb2 as pfs


def test_an_open_commit_is_waited_for(client: Client) -> None:
    repo = client.repo()
    branch = pfs.Branch(repo=repo, name="master")
    commit = client.stub.StartCommit(pfs.StartCommitRequest(branch=branch))
    assert commit.repo == repo
    client.stub.ModifyFile(iter(edits(commit, {"/a": b"1"})))
    waiting = client.stub.InspectCommit.future(pfs.InspectCommitRequest(commit=commit, wait=pfs.FINISHED))
    in_set = client.stub.InspectCommitSet(
        pfs.InspectCommitSetRequest(commit_set=pfs.CommitSet(id=commit.id), wait=True)
    )
    assert not waiting.done()
    client.stub.FinishCommit(pfs.FinishCommitRequest(commit=commit, description="done"))
    info = waiting.result(30)
    assert info.description == "done"
    assert info.HasField("finished")
    assert [one.commit.id for one in in_set] == [commit.id]


def test_many_who_wait_hold_nobody_up(client: Client) -> None:
    """Far more waiting calls than the server has threads."""
    repo = client.repo()
    commit = client.stub.StartCommit(pfs.StartCommitRequest(branch=pfs.Branch(repo=repo, name="master")))
    request = pfs.InspectCommitRequest(commit=commit, wait=pfs.FINISHED)
    waiting = [client.stub.InspectCommit.future(request) for _ in range(200)]
    assert client.stub.InspectRepo(pfs.InspectRepoRequest(repo=repo), timeout=60).repo == repo
    client.stub.FinishCommit(pfs.FinishCommitRequest(commit=commit), timeout=60)
    assert {call.result(60).commit.id for call in waiting} == {commit.id}


def test_a_subscriber_sees_what_is_there_and_what_comes(client: Client) -> None:
    repo = client.repo()
    client.put(repo, {"/a": b"1"})
    answers = client.stub.SubscribeCommit(
        pfs.SubscribeCommitRequest(repo=repo, branch="master", state=pfs.FINISHED), timeout=60
    )
    first = next(answers)
    client.put(repo, {"/x": b"1"}, branch="other")
    client.put(repo, {"/a": b"2"})
    second = next(answers)
    answers.cancel()
    assert second.parent_commit.id == first.commit.id
    assert second.HasField("finished")


def test_commits_are_listed_newest_first_and_in_pages(client: Client) -> None:
    repo = client.repo()
    for at in range(4):
        client.put(repo, {"/a": str(at).encode()})
    client.finished(repo)

    def ids(**given: Any) -> list[str]:
        return [info.commit.id for info in client.stub.ListCommit(pfs.ListCommitRequest(repo=repo, **given))]

    newest = ids()
    assert len(newest) == 4
    assert ids(reverse=True) == newest[::-1]
    assert ids(number=2) == newest[:2]
    to = pfs.Commit(repo=repo, id="master^")
    assert ids(to=to) == newest[1:]
    assert ids(to=to, **{"from": pfs.Commit(repo=repo, id="master^3")}) == newest[1:3]
    assert ids(**{"from": pfs.Commit(repo=repo, id=newest[1])}) == newest[:1]


def test_branches_move(client: Client) -> None:
    repo = client.repo()
    client.put(repo, {"/a": b"1"})
    client.put(repo, {"/a": b"2"})
    branch = pfs.Branch(repo=repo, name="old")
    client.stub.CreateBranch(pfs.CreateBranchRequest(branch=branch, head=pfs.Commit(repo=repo, id="master^")))
    assert client.get(repo, "/a", branch="old") == [b"1"]
    info = client.stub.InspectBranch(pfs.InspectBranchRequest(branch=branch))
    assert info.branch == branch
    listed = [one.branch.name for one in client.stub.ListBranch(pfs.ListBranchRequest(repo=repo))]
    assert listed == ["old", "master"]
    client.stub.DeleteBranch(pfs.DeleteBranchRequest(branch=branch))
    assert refused(client.stub.InspectBranch, pfs.InspectBranchRequest(branch=branch))


def downstream(client: Client) -> tuple[pfs.Repo, list[pfs.CommitInfo]]:
    """A repo whose branch depends on another's, and its commits, oldest first: made by itself, twice, and by people."""
    source, repo = client.repo(), client.repo()
    ups = [pfs.Branch(repo=source, name="master")]
    branch = pfs.Branch(repo=repo, name="master")
    client.put(source, {"/a": b"1"})
    client.stub.CreateBranch(pfs.CreateBranchRequest(branch=branch, provenance=ups))
    client.put(source, {"/a": b"2"})
    client.put(repo, {"/own": b"3"}, branch="own")
    client.finished(repo, "own")
    return repo, list(client.stub.ListCommit(pfs.ListCommitRequest(repo=repo, all=True, reverse=True)))


def test_commits_are_listed_by_origin_and_by_when_they_began(client: Client) -> None:
    repo, whole = downstream(client)
    assert [info.origin.kind for info in whole] == [pfs.AUTO, pfs.AUTO, pfs.USER]
    ids = [info.commit.id for info in whole]

    def listed(**given: Any) -> list[str]:
        request = pfs.ListCommitRequest(repo=repo, reverse=True, **given)
        return [info.commit.id for info in client.stub.ListCommit(request)]

    assert listed() == listed(origin_kind=pfs.USER) == ids[2:]
    assert listed(origin_kind=pfs.AUTO) == listed(origin_kind=pfs.AUTO, all=True) == ids[:2]
    assert listed(origin_kind=pfs.FSCK) == []
    assert listed(origin_kind=pfs.AUTO, number=1) == ids[:1]
    assert listed(all=True, number=2) == ids[:2]
    assert listed(all=True, started_time=whole[1].started) == ids[:1]
    assert listed(all=True, started_time=whole[0].started) == []
    assert listed(started_time=whole[2].started) == []
    assert listed(all=True, started_time=whole[2].started, number=1) == ids[:1]
    assert listed(all=True, **{"from": whole[0].commit}) == ids[1:]


def test_a_subscriber_chooses_by_origin_and_where_to_begin(client: Client) -> None:
    repo, whole = downstream(client)
    ids = [info.commit.id for info in whole]

    def first(number: int, **given: Any) -> list[str]:
        answers = client.stub.SubscribeCommit(pfs.SubscribeCommitRequest(repo=repo, **given), timeout=60)
        found = [next(answers).commit.id for _ in range(number)]
        answers.cancel()
        return found

    assert first(3, all=True) == ids
    assert first(2, origin_kind=pfs.AUTO) == ids[:2]
    assert first(1) == first(1, origin_kind=pfs.USER) == ids[2:]
    assert first(2, all=True, **{"from": whole[0].commit}) == ids[1:]
    assert first(1, **{"from": whole[0].commit}) == ids[2:]
    assert first(2, all=True, branch="master") == ids[:2]
    missing = pfs.Commit(repo=repo, id="0" * 32)
    request = pfs.SubscribeCommitRequest(repo=repo, all=True, **{"from": missing})
    assert refused(client.stub.SubscribeCommit, request)[0] is grpc.StatusCode.NOT_FOUND


def test_a_subscriber_is_told_of_a_commit_when_it_is_far_enough(client: Client) -> None:
    repo = client.repo()
    branch = pfs.Branch(repo=repo, name="master")
    commit = client.stub.StartCommit(pfs.StartCommitRequest(branch=branch))

    def subscribed(state: Any) -> Any:
        return client.stub.SubscribeCommit(pfs.SubscribeCommitRequest(repo=repo, state=state), timeout=60)

    opened = subscribed(pfs.STARTED)
    begun = next(opened)
    assert (begun.commit.id, begun.HasField("finishing")) == (commit.id, False)
    closed, whole = subscribed(pfs.FINISHING), subscribed(pfs.FINISHED)
    client.stub.FinishCommit(pfs.FinishCommitRequest(commit=commit))
    assert next(closed).HasField("finishing")
    assert next(whole).HasField("finished")
    for answers in (opened, closed, whole):
        answers.cancel()
