"""Tags and merges through the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import open_engine
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.gen.trunkline_pb2_grpc import PurgesStub, VersionsStub

REPO = pfs.Repo(name="data", type="user", project=pfs.Project(name="default"))


def branch(name: str) -> pfs.Commit:
    return pfs.Commit(branch=pfs.Branch(repo=REPO, name=name))


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[grpc.Channel]:
    engine = open_engine(Config(data=tmp_path / "data", workers=0), RealAmbient())
    engine.start(("127.0.0.1", 0))
    (tmp_path / "s").mkdir()
    with serving(tmp_path / "s", engine.doors) as opened:
        pfs_v2_pb2_grpc.APIStub(opened).CreateRepo(pfs.CreateRepoRequest(repo=REPO))
        yield opened
    engine.stop()
    engine.close()


def put(channel: grpc.Channel, at: str, path: str, data: bytes) -> None:
    add = pfs.AddFile(path=path, raw=BytesValue(value=data))
    messages = [pfs.ModifyFileRequest(set_commit=branch(at)), pfs.ModifyFileRequest(add_file=add)]
    pfs_v2_pb2_grpc.APIStub(channel).ModifyFile(iter(messages))


def read(channel: grpc.Channel, at: str, path: str) -> bytes:
    file = pfs.File(commit=branch(at), path=path)
    return b"".join(one.value for one in pfs_v2_pb2_grpc.APIStub(channel).GetFile(pfs.GetFileRequest(file=file)))


def test_a_tag_is_read_as_a_branch_is(channel: grpc.Channel) -> None:
    versions = VersionsStub(channel)
    put(channel, "master", "/f", b"1")
    tag = own.Tag(repo=REPO, name="v1")
    made = versions.CreateTag(own.CreateTagRequest(tag=tag, commit=branch("master"), description="first"))
    put(channel, "master", "/g", b"2")
    assert read(channel, "v1", "/f") == b"1"
    assert list(versions.ListTag(own.ListTagRequest(commit=branch("v1")))) == [made]
    assert list(versions.ListTag(own.ListTagRequest(commit=branch("master")))) == []
    with pytest.raises(grpc.RpcError) as refused:
        put(channel, "v1", "/f", b"3")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    other = pfs.Commit(branch=pfs.Branch(repo=pfs.Repo(name="other"), name="master"))
    with pytest.raises(grpc.RpcError, match="both must be of one repo"):
        versions.CreateTag(own.CreateTagRequest(tag=tag, commit=other))
    with pytest.raises(grpc.RpcError, match="names no commit"):
        versions.CreateTag(own.CreateTagRequest(tag=tag))
    versions.DeleteTag(own.DeleteTagRequest(tag=tag))
    with pytest.raises(grpc.RpcError, match="not found"):
        read(channel, "v1", "/f")


def test_branches_are_merged(channel: grpc.Channel) -> None:
    files, versions = pfs_v2_pb2_grpc.APIStub(channel), VersionsStub(channel)
    put(channel, "master", "/f", b"1")
    feature = pfs.Branch(repo=REPO, name="feature")
    files.CreateBranch(pfs.CreateBranchRequest(branch=feature, head=branch("master")))
    put(channel, "feature", "/f", b"2")
    put(channel, "master", "/f", b"3")
    request = own.MergeBranchRequest(source=branch("feature"), target=pfs.Branch(repo=REPO, name="master"))
    answer = versions.MergeBranch(request)
    assert (answer.HasField("commit"), answer.unsettled_count, answer.HasField("base")) == (False, 1, True)
    before = read(channel, "master", "/f")
    assert before.endswith(b"3")
    clash = own.MergeConflict(path="/f", ours=own.MERGE_CHANGED, theirs=own.MERGE_CHANGED)
    assert list(answer.conflicts) == [clash]
    request.choice = own.MERGE_UNION
    answer = versions.MergeBranch(request)
    assert (answer.changed, answer.unsettled_count) == (1, 0)
    assert read(channel, "master", "/f") == before + read(channel, "feature", "/f")
    assert versions.MergeBranch(request).up_to_date
    with pytest.raises(grpc.RpcError, match="cannot be settled by 9"):
        versions.MergeBranch(own.MergeBranchRequest(source=branch("feature"), target=feature, choice=9))


def test_a_path_is_purged(channel: grpc.Channel) -> None:
    purges = PurgesStub(channel)
    put(channel, "master", "/f", b"1")
    put(channel, "master", "/g", b"2")
    request = own.PurgePathRequest(repo=REPO, path="/f", dry_run=True, reason="r")
    planned = list(purges.PurgePath(request))
    assert (planned[0].purge.id, planned[0].purge.files, planned[0].purge.commits) == ("", 1, 2)
    assert [one.commit.paths for one in planned[1:]] == [["/f"], ["/f"]]
    assert read(channel, "master", "/f") == b"1"
    request.dry_run = False
    begun = list(purges.PurgePath(request))
    id = begun[0].purge.id
    done = purges.InspectPurge(own.InspectPurgeRequest(id=id, wait=True))
    assert (done.stage, done.left, done.trouble, done.reason) == (own.PURGE_GONE, 0, "", "r")
    assert done.gone.seconds >= done.started.seconds
    assert [one.commit for one in begun[1:]] == list(purges.ListPurgedCommit(own.ListPurgedCommitRequest(purge=id)))
    assert list(purges.ListPurge(own.ListPurgeRequest(repo=REPO, number=1))) == [done]
    mark = list(purges.ListPurgedCommit(own.ListPurgedCommitRequest(commit=branch("master"))))
    assert [(one.purge, one.purged_path) for one in mark] == [(id, "default/data:/f")]
    with pytest.raises(grpc.RpcError, match="file /f not found"):
        read(channel, "master", "/f")
    for wrong, words in (
        (own.PurgePathRequest(repo=REPO), "nothing to purge: give a path"),
        (own.PurgePathRequest(repo=REPO, path="/g[", glob=True), "glob"),
        (own.PurgePathRequest(path="/g"), "repo"),
        (own.PurgePathRequest(repo=REPO, path="/g", reason="r" * 10_001), "at most 10000"),
    ):
        with pytest.raises(grpc.RpcError, match=words) as refused:
            list(purges.PurgePath(wrong))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    for wrong_list in (own.ListPurgedCommitRequest(), own.ListPurgedCommitRequest(purge=id, commit=branch("master"))):
        with pytest.raises(grpc.RpcError, match="and not both"):
            list(purges.ListPurgedCommit(wrong_list))
    with pytest.raises(grpc.RpcError, match=r"0 \(all\) or more"):
        list(purges.ListPurge(own.ListPurgeRequest(number=-1)))
    with pytest.raises(grpc.RpcError, match=r"0 \(all\) or more"):
        list(purges.ListPurgedCommit(own.ListPurgedCommitRequest(purge=id, number=-1)))
    with pytest.raises(grpc.RpcError, match="not found"):
        list(purges.ListPurge(own.ListPurgeRequest(marker="0" * 32)))
    other = own.PurgedCommit(commit=pfs.Commit(repo=REPO, id="0" * 32))
    with pytest.raises(grpc.RpcError, match="took nothing from"):
        list(purges.ListPurgedCommit(own.ListPurgedCommitRequest(purge=id, marker=other)))
