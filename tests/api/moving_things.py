"""Servers in this process, and a repo with a history that has about everything in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.client import Client, connect
from trunkline.client.moving import bundles
from trunkline.model.backups.records import Form, records
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.fsck import violations
from trunkline.testing.calls import add, delete
from trunkline.testing.doors import serving
from trunkline.wire.gen import metadata_pb2 as metadata
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own


def repo_named(name: str) -> pfs.Repo:
    return pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))


REPO = repo_named("data")
AS_IN_BUNDLE = pfs.Repo()
BIG = os.urandom(3 << 20)
CRUSHED = b"the same words again and again\n" * 40_000


class Site:
    """A server in this process whose finisher runs when it is told to, and a client of it."""

    def __init__(self, engine: Engine, client: Client) -> None:
        self.engine, self.client, self.files = engine, client, engine.space.files

    def edit(self, branch: str, *edits: pfs.ModifyFileRequest, repo: pfs.Repo = REPO, **started: str) -> pfs.Commit:
        where = pfs.Branch(repo=repo, name=branch)
        error = started.pop("error", "")
        commit = self.client.pfs.StartCommit(pfs.StartCommitRequest(branch=where, **started))
        self.client.pfs.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=commit), *edits]))
        self.client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=commit, error=error))
        finish_waiting(self.files)
        return commit

    def commits(self, repo: pfs.Repo = REPO) -> list[pfs.CommitInfo]:
        return list(self.client.pfs.ListCommit(pfs.ListCommitRequest(repo=repo, all=True)))

    def tree(self, commit: pfs.Commit) -> dict[str, Any]:
        """Every path of a commit with the hash of what is there."""
        root = pfs.File(commit=commit, path="/")
        return {info.file.path: info.hash for info in self.client.pfs.WalkFile(pfs.WalkFileRequest(file=root))}

    def get(self, commit: pfs.Commit, path: str) -> bytes:
        request = pfs.GetFileRequest(file=pfs.File(commit=commit, path=path))
        return b"".join(piece.value for piece in self.client.pfs.GetFile(request))

    def export(self, path: Path, since: Path | str = "", repo: pfs.Repo = REPO) -> own.ExportFigures:
        return bundles.export(self.client, repo, path, str(since), lambda _figures: lambda _count: None)

    def take(self, *paths: Path, repo: pfs.Repo = AS_IN_BUNDLE) -> own.ImportRepoResponse:
        return bundles.import_files(self.client, repo, [str(path) for path in paths], lambda _count: None)

    def sound(self) -> bool:
        return list(violations(self.files, read_bytes=True)) == []

    def has_nothing(self) -> bool:
        """Neither a repo nor, after a collection, anything stored."""
        self.engine.space.collector.collect()
        repos = list(self.client.pfs.ListRepo(pfs.ListRepoRequest(type="user")))
        return not repos and not list(self.files.store.blobs.names("chunks/")) and self.sound()


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    sockets = folder / "s"
    sockets.mkdir(parents=True, exist_ok=True)
    engine = open_engine(Config(data=folder / "data", workers=0), RealAmbient())
    with serving(sockets, engine.doors) as channel, connect(f"unix:{sockets / 's'}") as client:
        del channel
        yield Site(engine, client)
    engine.stop()
    engine.close()


def lived_in(site: Site) -> None:
    """A history with about everything in it."""
    site.edit("master", add("/a", b"1"), add("/big", BIG), add("/d/crushed", CRUSHED), description="the first")
    many = own.SmallFiles(paths=[f"/many/{n:05}" for n in range(1300)], sizes=[20] * 1300, data=os.urandom(26_000))
    named = own.BulkTarget(commit=pfs.Commit(branch=pfs.Branch(repo=REPO, name="master")))
    requests = [own.BulkPutRequest(target=named), own.BulkPutRequest(small=many)]
    site.client.own_files.BulkPut(iter(requests))
    finish_waiting(site.files)
    third = site.edit("master", delete("/a"), add("/d/b", b"two"))
    site.edit("master", add("/d/b", b" bad"), error="no good")
    site.client.pfs.CreateBranch(pfs.CreateBranchRequest(branch=pfs.Branch(repo=REPO, name="side"), head=third))
    site.edit("side", delete("/many/"), add("/s", b"aside"))
    site.edit("master", add("/after", b"the error"))
    squashed = site.edit("master", add("/q", b"q"))
    site.edit("master", add("/r", b"r"))
    site.client.pfs.SquashCommit(pfs.SquashCommitRequest(commit=squashed))
    tag = own.Tag(repo=REPO, name="v1")
    site.client.tags.CreateTag(own.CreateTagRequest(tag=tag, commit=third, description="good"))
    change = metadata.Edit(repo=pfs.RepoPicker(name=_picker()), add_key=metadata.Edit.AddKey(key="k", value="v"))
    site.client.metadata.EditMetadata(metadata.EditMetadataRequest(edits=[change]))


def _picker() -> pfs.RepoPicker.RepoName:
    return pfs.RepoPicker.RepoName(project=pfs.ProjectPicker(name="default"), name="data", type="user")


KEPT = ("description", "error", "started", "finishing", "finished", "size_bytes_upper_bound", "details", "metadata")


def same(one: Site, other: Site, there: pfs.Repo = REPO, *, copied: bool = False) -> None:
    """Both have the same history of the repo: commits, their trees, branches, tags.

    copied: by public calls, which tell neither when a commit began to finish nor, of one with an error, what it holds.
    """
    mine, yours = one.commits(), other.commits(there)
    assert [info.commit.id for info in mine] == [info.commit.id for info in yours]
    for left, right in zip(mine, yours, strict=True):
        assert left.parent_commit.id == right.parent_commit.id
        assert left.origin == right.origin
        for name in ("description", "error", "started", "finished", "metadata") if copied else KEPT:
            assert getattr(left, name) == getattr(right, name), name
        if copied and left.error:
            continue
        assert left.details.size_bytes == right.details.size_bytes
        assert one.tree(left.commit) == other.tree(right.commit)
    heads = [
        {info.branch.name: info.head.id for info in each.client.pfs.ListBranch(pfs.ListBranchRequest(repo=repo))}
        for each, repo in ((one, REPO), (other, there))
    ]
    assert heads[0] == heads[1]
    tags = [
        [(info.tag.name, info.commit.id, info.description) for info in each.client.tags.ListTag(own.ListTagRequest())]
        for each in (one, other)
    ]
    assert tags[0] == tags[1]


def found(site: Site, path: str, repo: pfs.Repo = REPO) -> list[str]:
    """The commits that changed a path."""
    start = pfs.Commit(branch=pfs.Branch(repo=repo, name="master"), repo=repo)
    request = pfs.FindCommitsRequest(start=start, file_path=path)
    return [one.found_commit.id for one in site.client.pfs.FindCommits(request) if one.HasField("found_commit")]


def flipped(form: Form, whole: bytes) -> Iterator[tuple[str, bytes]]:
    """A file of records with one bit another: in each region of one record of each kind. Tells where that was."""
    firsts: dict[int, tuple[str, int, int]] = {}
    at = len(form.start())
    for one in records(form, [whole]):
        firsts.setdefault(one.kind, (one.name, at, one.size))
        at += 11 + len(one.name.encode()) + one.size + 32
    places = [("its start", place) for place in (0, 7, 9)]
    for kind, (name, start, size) in firsts.items():
        data = start + 11 + len(name.encode())
        regions = {start, start + 2, start + 3, start + 10, start + 11, data, data + size // 2, data + size}
        places += [(f"record {kind} {name} + {place - start}", place) for place in sorted(regions)]
    for told, place in places:
        yield told, whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
