"""Repos copied out of one running server into another, by public calls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moving_things import REPO, Site, found, lived_in, repo_named, same, site

from trunkline.client import Client, connect
from trunkline.client.moving import changes, copying
from trunkline.errors import Aborted, DataLoss, FailedPrecondition, InvalidArgument, NotFound
from trunkline.testing.calls import add, delete
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "source") as opened:
        opened.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=REPO, description="all there is"))
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "target") as opened:
        opened.engine.start(("127.0.0.1", 0))  # copies wait until commits are finished
        yield opened


class Copier:
    """Copies between two sites, and knows what was asked of the source and how much came."""

    def __init__(self, source: Site, target: Site, folder: Path) -> None:
        self.asked: list[str] = []
        self.came = 0
        self.client: Client = connect(f"unix:{folder / 'source/s/s'}", on_call=self.asked.append)
        self.target = target

    def __call__(self, *names: str) -> list[copying.Copied]:
        self.asked.clear()
        self.came = 0
        copier = copying.Copying(self.client, self.target.client, self._count)
        return [copier.copy(info) for info in copying.repos_of(self.client, "", names)]

    def _count(self, size_bytes: int) -> None:
        self.came += size_bytes


@pytest.fixture
def copy(source: Site, target: Site, tmp_path: Path) -> Iterator[Copier]:
    copier = Copier(source, target, tmp_path)
    yield copier
    copier.client.close()


def test_a_repo_is_copied_with_its_history(source: Site, target: Site, copy: Copier) -> None:
    lived_in(source)
    (done,) = copy()
    assert (done.commits, done.had, done.branches, done.notes) == (7, 0, 2, [])
    assert {name.split("/")[1] for name in copy.asked} == {"pfs_v2.API"}
    tag = own.Tag(repo=REPO, name="v1")  # no public call tells of tags
    source.client.tags.DeleteTag(own.DeleteTagRequest(tag=tag))
    same(source, target, copied=True)
    assert target.client.pfs.InspectRepo(pfs.InspectRepoRequest(repo=REPO)).description == "all there is"
    for path in ("/a", "/d/b", "/q"):
        assert found(source, path) == found(target, path)
    assert target.sound()


def test_only_what_a_commit_changed_comes(source: Site, target: Site, copy: Copier) -> None:
    source.edit("master", *(add(f"/d{n}/f", os.urandom(10_000)) for n in range(100)))
    assert (copy()[0].commits, copy.came) == (1, 1_000_000)
    assert (copy()[0].had, copy.came) == (1, 0)
    source.edit(
        "master",
        delete("/d3/"),
        delete("/d4/f"),
        delete("/d5/f"),
        add("/d5/f", b"!"),
        add("/new/x", b"1"),
        add("/new/y", b"2"),
    )
    source.edit("master", add("/d6", b"no folder"), delete("/d6/"), delete("/d7/f"), add("/d7/f/now", b"a folder"))
    (done,) = copy()
    assert (done.commits, done.had) == (2, 1)
    assert copy.came < 25_000
    same(source, target, copied=True)
    assert target.sound()


def test_paths_that_mean_patterns_come_too(source: Site, target: Site, copy: Copier) -> None:
    source.edit("master", add("/a", b"1"), add("/b*", b"2"), add("/bb", b"3"))
    source.edit("master", delete("/b*"), add("/b*", b"4"), add("/[x]/y?", b"5"), add("/big", os.urandom(3 << 20)))
    copy()
    same(source, target, copied=True)


def test_much_that_changed_comes_in_one_call(source: Site, target: Site, copy: Copier) -> None:
    count = 4 * changes.FEW
    source.edit("master", *(add(f"/{n}", os.urandom(100)) for n in range(count)))
    source.edit("master", *(edit for n in range(0, count, 2) for edit in (delete(f"/{n}"), add(f"/{n}", b"!" * 100))))
    copy()
    same(source, target, copied=True)
    assert [name for name in copy.asked if name.endswith("GetFile")] == []


def test_a_copy_that_was_cut_off_goes_on(source: Site, target: Site, copy: Copier) -> None:
    for number in range(4):
        source.edit("master", add(f"/{number}", os.urandom(1000)))
    came = 0

    def cut(size_bytes: int) -> None:
        nonlocal came
        came += size_bytes
        if came > 2500:
            raise Aborted("the line is down")

    with pytest.raises(Aborted, match="line is down"):
        copying.Copying(copy.client, target.client, cut).copy(copying.repos_of(copy.client, "", [])[0])
    assert len(target.commits()) == 2
    (done,) = copy()
    assert (done.commits, done.had, copy.came) == (2, 2, 2000)
    same(source, target, copied=True)


def test_what_is_derived_or_open_is_told(source: Site, target: Site, copy: Copier) -> None:
    up = source.edit("master", add("/a", b"1"))
    out = repo_named("out")
    source.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=out))
    derived, master = pfs.Branch(repo=out, name="master"), pfs.Branch(repo=REPO, name="master")
    source.client.pfs.CreateBranch(pfs.CreateBranchRequest(branch=derived, provenance=[master]))
    head = source.client.pfs.InspectBranch(pfs.InspectBranchRequest(branch=derived)).head
    source.client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=head, force=True))
    source.edit("master", add("/b", b"1"))
    (done,) = copy("out")
    assert done.commits == 1
    assert [note.split(",")[0] for note in done.notes] == [
        "commits that are not finished there are left out: 1",
        "branch master is derived from others there",
    ]
    assert target.commits(out)[0].metadata["provenance"] == f"default/data@{up.id}"
    assert [info.repo.name for info in target.client.pfs.ListRepo(pfs.ListRepoRequest(type="user"))] == ["out"]


def test_nothing_is_copied_over_what_went_on_here(source: Site, target: Site, copy: Copier) -> None:
    source.edit("master", add("/a", b"1"))
    copy()
    where = pfs.Branch(repo=REPO, name="master")
    mine = target.client.pfs.StartCommit(pfs.StartCommitRequest(branch=where))
    target.client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=mine))
    source.edit("master", add("/b", b"1"))
    with pytest.raises(FailedPrecondition, match=f"commits of its own here, such as {mine.id}"):
        copy()
    with pytest.raises(NotFound, match="no repo nowhere"):
        copy("nowhere")
    source.client.pfs.CreateProject(pfs.CreateProjectRequest(project=pfs.Project(name="empty")))
    with pytest.raises(NotFound, match="project empty of the source has no repos"):
        copying.repos_of(copy.client, "empty", [])


def test_a_copy_that_differs_is_told(source: Site, target: Site, copy: Copier) -> None:
    commit = source.edit("master", add("/a", b"1"), add("/b", b"2"))
    named = own.AdoptedCommit(commit=pfs.Commit(repo=REPO, id=commit.id))
    (info,) = source.commits()
    named.started.CopyFrom(info.started)
    named.finished.CopyFrom(info.finished)
    target.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=REPO))
    small = own.BulkPutRequest(small=own.SmallFiles(paths=["/a", "/c"], sizes=[1, 1], data=b"12"))
    messages = [own.AdoptCommitRequest(commit=named), own.AdoptCommitRequest(edit=small)]
    assert target.client.moving.AdoptCommit(iter(messages)).adopted
    assert not target.client.moving.AdoptCommit(iter(messages)).adopted
    with pytest.raises(DataLoss, match=r"/b.* there and .*/c.* here"):
        copy()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"commit": pfs.Commit(repo=REPO, id="x")}, InvalidArgument, "no id"),
        ({"commit": pfs.Commit(repo=repo_named("none"), id="a" * 32)}, NotFound, "none"),
        ({"commit": pfs.Commit(repo=REPO, id="a" * 32), "parent": pfs.Commit(id="b" * 32)}, NotFound, "b" * 32),
        ({"commit": pfs.Commit(repo=REPO, id="a" * 32), "finished": None}, InvalidArgument, "before it was started"),
        (None, InvalidArgument, "must be commit"),
    ],
)  # fmt: skip
def test_a_commit_that_makes_no_sense_is_refused(source: Site, change: Any, error: type[Exception], said: str) -> None:
    messages = []
    if change is not None:
        named = own.AdoptedCommit(commit=change["commit"], parent=change.get("parent"))
        named.started.FromSeconds(1)
        if "finished" not in change:
            named.finished.FromSeconds(2)
        messages = [own.AdoptCommitRequest(commit=named)]
    with pytest.raises(error, match=said):
        source.client.moving.AdoptCommit(iter(messages))
    assert source.commits() == []
