"""A repo with its history into a bundle, and out of it elsewhere: through the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moving_things import BIG, CRUSHED, REPO, Site, flipped, found, lived_in, repo_named, same, site

from trunkline.errors import AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.backups import bundles as form
from trunkline.model.backups.records import ABOUT, record, records
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.moving.exporting import Exporting
from trunkline.testing.calls import add, delete
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "source") as opened:
        opened.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=REPO, description="all there is"))
        yield opened


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle of a repo that was lived in."""
    folder = tmp_path_factory.mktemp("written")
    with site(folder) as opened:
        opened.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=REPO))
        lived_in(opened)
        opened.export(folder / "b")
    return (folder / "b").read_bytes()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "target") as opened:
        # Numbers of commits and sessions are others here.
        opened.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=repo_named("other")))
        for number in range(3):
            opened.edit("master", add("/x", b"%d" % number), repo=repo_named("other"))
        opened.client.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=repo_named("other")))
        yield opened


def test_a_repo_is_elsewhere_as_it_was(source: Site, target: Site, tmp_path: Path) -> None:
    lived_in(source)
    told = source.export(tmp_path / "b")
    assert (told.commits, told.branches, told.tags, list(told.notes)) == (7, 2, 1, [])
    answer = target.take(tmp_path / "b")
    assert (answer.commits, answer.branches, answer.tags, answer.chunks) == (7, 2, 1, told.chunks)
    same(source, target)
    info = target.client.pfs.InspectRepo(pfs.InspectRepoRequest(repo=REPO))
    was = source.client.pfs.InspectRepo(pfs.InspectRepoRequest(repo=REPO))
    assert (info.description, info.created, info.metadata) == (was.description, was.created, {"k": "v"})
    head = pfs.Commit(branch=pfs.Branch(repo=REPO, name="master"))
    assert (target.get(head, "/big"), target.get(head, "/d/crushed")) == (BIG, CRUSHED)
    for path in ("/a", "/d/b", "/q", "/many/00007"):
        assert found(source, path) == found(target, path)
    target.engine.space.collector.collect()
    assert target.sound()
    target.edit("master", add("/new", b"!"), delete("/big"))
    assert target.get(head, "/new") == b"!"
    assert target.sound()


def test_a_repo_comes_under_another_name(source: Site, tmp_path: Path) -> None:
    lived_in(source)
    source.export(tmp_path / "b")
    with pytest.raises(AlreadyExists, match="--repo"):
        source.take(tmp_path / "b")
    with pytest.raises(NotFound, match="create project elsewhere"):
        source.take(tmp_path / "b", repo=pfs.Repo(project=pfs.Project(name="elsewhere")))
    answer = source.take(tmp_path / "b", repo=pfs.Repo(name="twin"))
    assert (answer.chunks, answer.repo) == (0, repo_named("twin"))
    assert answer.known_chunks > 0
    assert [one.commit.id for one in source.commits()] == [one.commit.id for one in source.commits(repo_named("twin"))]
    source.client.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=REPO))
    source.engine.space.collector.collect()
    assert source.get(pfs.Commit(branch=pfs.Branch(repo=repo_named("twin"), name="master")), "/big") == BIG
    assert source.sound()


def test_a_continuation_has_only_what_is_new(source: Site, target: Site, tmp_path: Path) -> None:
    lived_in(source)
    full = source.export(tmp_path / "full")
    source.edit("master", add("/more", b"m" * 100_000))
    more = source.export(tmp_path / "more", tmp_path / "full")
    assert (more.known_chunks, (tmp_path / "more").stat().st_size < 400_000) == (full.chunks, True)
    with pytest.raises(FailedPrecondition, match=f"{full.id}.*import NEWEST"):
        target.take(tmp_path / "more")
    assert target.has_nothing()
    answer = target.take(tmp_path / "more", tmp_path / "full")
    assert (answer.commits, answer.chunks) == (8, full.chunks + more.chunks)
    same(source, target)
    twin = target.take(tmp_path / "more", repo=pfs.Repo(name="twin"))  # what was named is here by now
    assert (twin.commits, twin.chunks) == (8, 0)


def test_what_is_not_finished_or_derived_is_told(source: Site, target: Site, tmp_path: Path) -> None:
    up = source.edit("master", add("/a", b"1"))
    out = repo_named("out")
    source.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=out))
    derived = pfs.Branch(repo=out, name="master")
    master = pfs.Branch(repo=REPO, name="master")
    source.client.pfs.CreateBranch(pfs.CreateBranchRequest(branch=derived, provenance=[master]))
    head = source.client.pfs.InspectBranch(pfs.InspectBranchRequest(branch=derived)).head
    source.client.pfs.FinishCommit(pfs.FinishCommitRequest(commit=head, force=True))
    finish_waiting(source.files)
    source.client.pfs.StartCommit(pfs.StartCommitRequest(branch=pfs.Branch(repo=out, name="open")))
    told = source.export(tmp_path / "b", repo=out)
    assert sorted(told.notes) == [
        "branch master is derived from others, and will be one of its own",
        "branch open has no finished commit, and is left out",
        "commits that are not finished are left out: 1",
    ]
    answer = target.take(tmp_path / "b")
    assert list(answer.notes) == list(told.notes)
    (only,) = target.commits(out)
    assert (only.commit.id, only.metadata["provenance"]) == (head.id, f"default/data@{up.id}")
    assert not only.direct_provenance
    target.edit("master", add("/mine", b"!"), repo=out)
    assert target.sound()


def test_an_empty_repo_comes_too(source: Site, target: Site, tmp_path: Path) -> None:
    source.export(tmp_path / "b")
    assert target.take(tmp_path / "b").commits == 0
    target.edit("master", add("/a", b"1"))
    assert target.sound()


def test_damage_is_named_and_leaves_nothing(written: bytes, target: Site, tmp_path: Path) -> None:
    whole = written
    marks, at = [], 10
    for one in records(form.FORM, [whole]):
        marks.append((one.kind, one.name, at, one.size))
        at += 11 + len(one.name.encode()) + one.size + 32
    for kind in sorted({kind for kind, *_ in marks}):
        _, name, start, size = next(mark for mark in marks if mark[0] == kind)
        bent = bytearray(whole)
        bent[start + 11 + len(name.encode()) + size // 2] ^= 4
        (tmp_path / "bent").write_bytes(bent)
        with pytest.raises(DataLoss, match=f"damaged at {name or 'its end'}"):
            target.take(tmp_path / "bent")
        (tmp_path / "bent").write_bytes(whole[: start + 5])
        with pytest.raises(DataLoss, match="cut off"):
            target.take(tmp_path / "bent")
    assert target.has_nothing()
    (tmp_path / "bent").write_bytes(b"TRNKREPO\0\x02" + whole[10:])
    with pytest.raises(FailedPrecondition, match="version 2"):
        target.take(tmp_path / "bent")
    (tmp_path / "bent").write_bytes(b"TRNKBACK" + whole[8:])
    with pytest.raises(InvalidArgument, match="no bundle"):
        target.take(tmp_path / "bent")
    with pytest.raises(InvalidArgument, match="cannot read"):
        target.take(tmp_path / "none")


def test_one_bit_in_any_region_of_any_record(written: bytes, target: Site, tmp_path: Path) -> None:
    for where, bent in flipped(form.FORM, written):
        (tmp_path / "bent").write_bytes(bent)
        with pytest.raises((DataLoss, InvalidArgument, FailedPrecondition)) as refused:
            target.take(tmp_path / "bent")
        assert "bundle" in str(refused.value), (where, str(refused.value))
    assert target.has_nothing()
    (tmp_path / "b").write_bytes(written)
    assert target.take(tmp_path / "b").commits == 7


def rewritten(data: bytes, change: Any) -> bytes:
    """A bundle with some records changed, whose hashes fit again."""
    out = [form.FORM.start()]
    for one in records(form.FORM, [data]):
        kept = change(one.kind, one.name, b"".join(one.data))
        if kept is not None:
            out.append(record(one.kind, *kept))
    return b"".join(out)


NONSENSE = [
    (form.CHUNK, None, "did not come"),
    (form.FILESET, None, "where none goes|did not come"),
    (form.PART, None, "did not come"),
    (form.COMMITS, None, "has 0 commits"),
    (ABOUT, None, "empty"),
    (form.CHUNK, lambda name, data: ("ff" * 32, data), "damaged"),
    (form.CHUNK, lambda name, data: ("zz", data), "no hash"),
    (form.FILESET, lambda name, data: (name, b"?"), "cannot be read"),
    (form.COMMITS, lambda name, data: (name, data.splitlines(True)[0] * 7), "contradicts itself"),
    (form.COMMITS, lambda name, data: (name, b"{}\n"), "lacks what"),
    (form.COMMITS, lambda name, data: (name, b"[1]\n"), "no JSON object"),
    (form.REFS, lambda name, data: (name, b"{"), "no JSON"),
    (form.REFS, lambda name, data: (name, b'{"branches": [{"name": "a b"}]}'), "a b"),
    (ABOUT, lambda name, data: (name, data.replace(b'"last_seq": ', b'"last_seq": 99999999999999')), "cannot be"),
    (ABOUT, lambda name, data: (name, b"{}"), "cannot be used"),
]  # fmt: skip
"""A kind of record, what becomes of those, and what is said to it."""


def test_a_bundle_that_makes_no_sense_is_refused(written: bytes, target: Site, tmp_path: Path) -> None:
    for kind, change, said in NONSENSE:

        def bent(each: int, name: str, data: bytes) -> tuple[str, bytes] | None:
            if each != kind:  # noqa: B023
                return name, data
            changed: tuple[str, bytes] | None = change(name, data) if change else None  # noqa: B023
            return changed

        (tmp_path / "b").write_bytes(rewritten(written, bent))
        with pytest.raises((DataLoss, InvalidArgument), match=said):
            target.take(tmp_path / "b")
    assert target.has_nothing()
    (tmp_path / "b").write_bytes(written)
    assert target.take(tmp_path / "b").commits == 7


def test_nothing_of_a_bundle_is_collected_while_it_is_taken(source: Site, target: Site, tmp_path: Path) -> None:
    lived_in(source)
    taken = Exporting(source.files, nouns.repo_of(REPO), tmp_path / "copies")
    source.client.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=REPO))
    source.engine.space.collector.collect()
    (tmp_path / "b").write_bytes(b"".join(taken.pieces()))
    taken.close()
    assert list((tmp_path / "copies").iterdir()) == []
    assert source.has_nothing()
    assert target.take(tmp_path / "b").commits == 7
    assert target.sound()


def test_messages_out_of_order_are_refused(source: Site) -> None:
    calls = source.client.moving
    with pytest.raises(InvalidArgument, match="start"):
        calls.ImportRepo(iter([own.ImportRepoRequest(data=b"x")]))
    with pytest.raises(InvalidArgument, match="start"):
        calls.ImportRepo(iter([]))
    with pytest.raises(InvalidArgument, match="start"):
        list(calls.ExportRepo(iter([])))
    start = own.ExportRepoRequest(start=own.ExportStart(repo=REPO))
    with pytest.raises(InvalidArgument, match="one start"):
        list(calls.ExportRepo(iter([start, start])))
    with pytest.raises(NotFound):
        list(calls.ExportRepo(iter([own.ExportRepoRequest(start=own.ExportStart(repo=repo_named("none")))])))
    meta = pfs.Repo(name="data", type="meta", project=pfs.Project(name="default"))
    with pytest.raises(FailedPrecondition, match="system repo"):
        list(calls.ExportRepo(iter([own.ExportRepoRequest(start=own.ExportStart(repo=meta))])))


GOLDEN = Path(__file__).parent / "golden/repo-1.bundle"


def test_a_bundle_of_an_earlier_version_is_read(target: Site) -> None:
    answer = target.take(GOLDEN)
    assert (answer.commits, answer.branches, answer.tags) == (3, 1, 1)
    bad, second, first = target.commits()
    assert [(one.description, one.error) for one in (first, second, bad)] == [
        ("the first", ""),
        ("", ""),
        ("", "no good"),
    ]
    assert (target.get(first.commit, "/a"), target.get(second.commit, "/d/crushed")) == (b"1", b"again " * 2000)
    assert sorted(target.tree(second.commit)) == ["/", "/b", "/d/", "/d/crushed"]
    assert found(target, "/d/crushed") == [first.commit.id]
    assert target.sound()
