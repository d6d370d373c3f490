"""File sets through a real socket: the public calls, the service without repos, the cache."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from trunkline.model.names import LENT_REPO
from trunkline.testing.calls import Client, add, delete, on, refused
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import storage_pb2 as storage
from trunkline.wire.gen import storage_pb2_grpc


@pytest.fixture(scope="module")
def sets(channel: grpc.Channel) -> Any:
    return storage_pb2_grpc.FilesetStub(channel)


def lent(fileset: str) -> pfs.Commit:
    """The commit that a file set is read as."""
    return pfs.Commit(repo=pfs.Repo(name=LENT_REPO, type="user"), id=fileset)


def tree(client: Client, commit: pfs.Commit, lower: str = "", upper: str = "") -> dict[str, bytes]:
    """All files of a commit, or those in a range of paths, by way of tar."""
    bounds = pfs.PathRange(lower=lower, upper=upper)
    request = pfs.GetFileRequest(file=pfs.File(commit=commit, path="/"), path_range=bounds)
    stream = io.BytesIO(b"".join(piece.value for piece in client.stub.GetFileTAR(request)))
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        return {f"/{one.name}": tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]


def create(client: Client, *messages: pfs.ModifyFileRequest) -> str:
    """A file set of these edits."""
    made: str = client.stub.CreateFileSet(iter(messages)).file_set_id
    return made


def test_from_a_stream_to_a_commit_and_back(client: Client) -> None:
    repo = client.repo()
    made = create(client, delete("/a"), add("/a", b""), add("/a", b"1"), add("/d/b", b"2"))
    assert tree(client, lent(made)) == {"/a": b"1", "/d/b": b"2"}
    commit = client.stub.StartCommit(pfs.StartCommitRequest(branch=pfs.Branch(repo=repo, name="master")))
    client.stub.AddFileSet(pfs.AddFileSetRequest(commit=commit, file_set_id=made))
    client.stub.FinishCommit(pfs.FinishCommitRequest(commit=commit))
    got = client.stub.GetFileSet(pfs.GetFileSetRequest(commit=on(repo))).file_set_id
    assert tree(client, lent(got)) == tree(client, on(repo)) == {"/a": b"1", "/d/b": b"2"}
    client.put(repo, {"/c": b"3"})
    diff = pfs.GetFileSetRequest(commit=on(repo), type=pfs.GetFileSetRequest.DIFF)
    assert tree(client, lent(client.stub.GetFileSet(diff).file_set_id)) == {"/c": b"3"}


def test_every_way_of_reading(client: Client) -> None:
    made = lent(create(client, add("/a", b"1"), add("/d/b", b"22")))
    file = pfs.File(commit=made, path="/d/b")
    stub = client.stub
    assert [piece.value for piece in stub.GetFile(pfs.GetFileRequest(file=file, offset=1))] == [b"2"]
    info = stub.InspectFile(pfs.InspectFileRequest(file=file))
    assert (info.size_bytes, info.file.commit.id) == (2, made.id)
    top = pfs.File(commit=made, path="/")
    assert [one.file.path for one in stub.ListFile(pfs.ListFileRequest(file=top))] == ["/a", "/d/"]
    assert [one.file.path for one in stub.WalkFile(pfs.WalkFileRequest(file=top))] == ["/", "/a", "/d/", "/d/b"]
    found = stub.GlobFile(pfs.GlobFileRequest(commit=made, pattern="/**b"))
    assert [one.file.path for one in found] == ["/d/b"]
    assert len(list(stub.DiffFile(pfs.DiffFileRequest(new_file=top)))) == 4
    older = pfs.File(commit=lent(create(client, add("/a", b"1"))), path="/")
    differs = stub.DiffFile(pfs.DiffFileRequest(new_file=top, old_file=older))
    assert "/a" not in [one.new_file.file.path for one in differs]


def test_composed_cut_and_renewed(client: Client) -> None:
    first = create(client, *(add(f"/{at:02}", b"x" * 10) for at in range(10)))
    second = create(client, delete("/03"), add("/d/e", b"y" * 10))
    stub = client.stub
    composed = stub.ComposeFileSet(pfs.ComposeFileSetRequest(file_set_ids=[first, second], ttl_seconds=30)).file_set_id
    whole = tree(client, lent(composed))
    assert len(whole) == 10
    stub.RenewFileSet(pfs.RenewFileSetRequest(file_set_id=composed, ttl_seconds=60))
    ranges = stub.ShardFileSet(pfs.ShardFileSetRequest(file_set_id=composed, size_bytes=35)).shards
    assert len(ranges) == 3
    parts = [tree(client, lent(composed), one.lower, one.upper) for one in ranges]
    assert [len(part) for part in parts] == [4, 4, 2]
    assert {path: data for part in parts for path, data in part.items()} == whole
    only = pfs.PathRange(lower="/05", upper="/06")
    one = pfs.GetFileRequest(file=pfs.File(commit=lent(composed), path="/0*"), path_range=only)
    assert b"".join(piece.value for piece in stub.GetFile(one)) == b"x" * 10


def test_what_is_wrong_is_said(client: Client) -> None:
    repo = client.repo()
    code, details = refused(client.stub.CreateFileSet, iter([pfs.ModifyFileRequest(set_commit=on(repo))]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "set_commit" in details
    assert refused(client.stub.CreateFileSet, iter([add("/a/../b", b"")]))[0] is grpc.StatusCode.INVALID_ARGUMENT
    gone = "f" * 32
    for call, request in (
        (client.stub.RenewFileSet, pfs.RenewFileSetRequest(file_set_id=gone, ttl_seconds=60)),
        (client.stub.ShardFileSet, pfs.ShardFileSetRequest(file_set_id=gone)),
        (client.stub.ComposeFileSet, pfs.ComposeFileSetRequest(file_set_ids=[gone])),
        (client.stub.InspectFile, pfs.InspectFileRequest(file=pfs.File(commit=lent(gone), path="/"))),
        (client.stub.GetCache, pfs.GetCacheRequest(key="nothing")),
    ):
        code, details = refused(call, request)
        assert code is grpc.StatusCode.NOT_FOUND, details
    code, details = refused(client.stub.ComposeFileSet, pfs.ComposeFileSetRequest())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    code, details = refused(client.stub.RenewFileSet, pfs.RenewFileSetRequest(file_set_id=gone, ttl_seconds=3600))
    assert (code, "1800" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    code, details = refused(
        client.stub.ModifyFile, iter([pfs.ModifyFileRequest(set_commit=lent(gone)), add("/a", b"")])
    )
    assert code is grpc.StatusCode.NOT_FOUND


def test_the_cache(client: Client) -> None:
    value = AnyMessage()
    value.Pack(StringValue(value="kept"))
    made = create(client, add("/a", b"1"))
    client.stub.PutCache(pfs.PutCacheRequest(key="k", value=value, file_set_ids=[made], tag="t"))
    assert client.stub.GetCache(pfs.GetCacheRequest(key="k")).value == value
    code, _ = refused(client.stub.PutCache, pfs.PutCacheRequest(key="k2"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    client.stub.ClearCache(pfs.ClearCacheRequest(tag_prefix="t"))
    assert refused(client.stub.GetCache, pfs.GetCacheRequest(key="k"))[0] is grpc.StatusCode.NOT_FOUND


def append(path: str, data: bytes) -> storage.CreateFilesetRequest:
    """More bytes for a file."""
    return storage.CreateFilesetRequest(append_file=storage.AppendFile(path=path, data=BytesValue(value=data)))


def test_the_service_without_repos(client: Client, sets: Any) -> None:
    big = b"z" * (3 << 20)
    made = sets.CreateFileset(
        iter([append("/a", b"1"), append("/a", b"2"), append("/big", big[: 1 << 20]), append("/big", big[1 << 20 :])])
    ).fileset_id
    copy = storage.CopyFile(fileset_id=made, src="/a", dst="/copy")
    second = sets.CreateFileset(
        iter(
            [
                storage.CreateFilesetRequest(copy_file=copy),
                storage.CreateFilesetRequest(delete_file=storage.DeleteFile(path="/a")),
                append("/empty", b""),
            ]
        )
    ).fileset_id

    def read(fileset: str, *filters: storage.FileFilter, empty_files: bool = False) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        request = storage.ReadFilesetRequest(fileset_id=fileset, filters=filters, empty_files=empty_files)
        for piece in sets.ReadFileset(request):
            found[piece.path] = found.get(piece.path, b"") + piece.data.value
        return found

    assert read(made) == {"/a": b"12", "/big": big}
    assert read(made, storage.FileFilter(path_regex="^/a")) == {"/a": b"12"}
    assert read(made, empty_files=True) == {"/a": b"", "/big": b""}
    composed = sets.ComposeFileset(storage.ComposeFilesetRequest(fileset_ids=[made, second], ttl_seconds=60)).fileset_id
    assert read(composed) == {"/big": big, "/copy": b"12", "/empty": b""}
    sets.RenewFileset(storage.RenewFilesetRequest(fileset_id=composed, ttl_seconds=60))
    shards = sets.ShardFileset(storage.ShardFilesetRequest(fileset_id=composed, num_files=2)).shards
    parts = [read(composed, storage.FileFilter(path_range=one)) for one in shards]
    assert [sorted(part) for part in parts] == [["/big", "/copy"], ["/empty"]]
    assert tree(client, lent(second)) == {"/copy": b"12", "/empty": b""}
    code, details = refused(sets.ReadFileset, storage.ReadFilesetRequest(fileset_id="nope"))
    assert (code, "nope" in details) == (grpc.StatusCode.NOT_FOUND, True)
