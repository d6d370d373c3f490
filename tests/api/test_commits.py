"""Commits and branches through a real socket: listed, moved, and waited for without a thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import open_engine
from trunkline.testing.calls import Client, edits, refused
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    engine = open_engine(Config(data=tmp_path_factory.mktemp("data")), RealAmbient())
    engine.start(("127.0.0.1", 0))
    with serving(tmp_path_factory.mktemp("s"), engine.doors) as opened:
        yield opened
    engine.stop()
    engine.close()


@pytest.fixture(scope="module")
def client(channel: grpc.Channel) -> Client:
    return Client.on(channel)


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
