"""What clients send: the public way of putting files, our own quicker one, and the few steps that tests share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc, trunkline_pb2_grpc
from trunkline.wire.gen import trunkline_pb2 as own


@dataclass
class Client:
    """The stubs, and the few steps that most tests share."""

    stub: Any
    bulk: Any
    images: Any
    count: int = 0

    @classmethod
    def on(cls, channel: grpc.Channel) -> Client:
        """The stubs of a channel."""
        return cls(
            pfs_v2_pb2_grpc.APIStub(channel),
            trunkline_pb2_grpc.FilesStub(channel),
            trunkline_pb2_grpc.ImagesStub(channel),
        )

    def repo(self) -> pfs.Repo:
        """A new repo."""
        self.count += 1
        repo = pfs.Repo(name=f"r{self.count}", type="user", project=pfs.Project(name="default"))
        self.stub.CreateRepo(pfs.CreateRepoRequest(repo=repo))
        return repo

    def put(self, repo: pfs.Repo, files: dict[str, bytes], branch: str = "master") -> None:
        """Put files in a commit of their own."""
        self.stub.ModifyFile(iter(edits(on(repo, branch), files)))

    def get(self, repo: pfs.Repo, path: str, branch: str = "master", offset: int = 0) -> list[bytes]:
        """The pieces in which a file comes."""
        request = pfs.GetFileRequest(file=pfs.File(commit=on(repo, branch), path=path), offset=offset)
        return [piece.value for piece in self.stub.GetFile(request)]

    def finished(self, repo: pfs.Repo, branch: str = "master") -> pfs.CommitInfo:
        """The head of a branch, once it is finished."""
        info: pfs.CommitInfo = self.stub.InspectCommit(
            pfs.InspectCommitRequest(commit=on(repo, branch), wait=pfs.FINISHED)
        )
        return info


def on(repo: pfs.Repo, branch: str = "master") -> pfs.Commit:
    """The head of a branch, as clients name it."""
    return pfs.Commit(branch=pfs.Branch(repo=repo, name=branch))


def add(path: str, data: bytes) -> pfs.ModifyFileRequest:
    """More bytes for a file."""
    return pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=BytesValue(value=data)))


def delete(path: str) -> pfs.ModifyFileRequest:
    """A file to go."""
    return pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))


def edits(commit: pfs.Commit, files: dict[str, bytes]) -> Iterator[pfs.ModifyFileRequest]:
    """As the public clients put files: delete, an empty add, then the bytes."""
    yield pfs.ModifyFileRequest(set_commit=commit)
    for path, data in files.items():
        yield from (delete(path), add(path, b""))
        for at in range(0, len(data), 4 << 20):
            yield add(path, data[at : at + (4 << 20)])


def refused(call: Any, *arguments: Any) -> tuple[grpc.StatusCode, str]:
    """Code and details with which a call is refused. Raises AssertionError if it is not."""
    try:
        list(call(*arguments))
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("nothing was refused")


NAMES = {
    own.SmallFiles: "small",
    own.FilePiece: "piece",
    own.DeletePaths: "delete",
    own.HandedFile: "handed",
}


def bulk(commit: pfs.Commit, *bodies: Any) -> Iterator[own.BulkPutRequest]:
    """A stream of our own quicker call."""
    yield own.BulkPutRequest(target=own.BulkTarget(commit=commit))
    for body in bodies:
        name = NAMES[type(body)]
        yield own.BulkPutRequest(**{name: body})
