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
from trunkline.wire.gen.trunkline_pb2_grpc import VersionsStub

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
