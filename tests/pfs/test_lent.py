"""File sets that clients hold by an id: made, composed, laid on commits, read as commits, and gone in time."""

from __future__ import annotations

import pytest

from trunkline.ambient import SimulatedAmbient
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.lent import leases as lease_rows
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound, Unimplemented
from trunkline.model.names import LENT_REPO, Branch, Repo
from trunkline.pfs import content, reads
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.edits import Add, Copy, Delete, Target, modify
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import commits, repos
from trunkline.pfs.layers import COMPACT_ABOVE
from trunkline.pfs.lent import cache
from trunkline.pfs.lent.leases import DEFAULT_TTL_S, SAVE_EVERY_S, Leases
from trunkline.pfs.lent.ranges import Filter, filtered, shards_of

DATA = Repo("default", "data")
LENT = Repo("default", LENT_REPO)


@pytest.fixture
def leases(files: Files) -> Leases:
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    return Leases(files)


def tree(files: Files, repo: Repo, ref: str) -> dict[str, bytes]:
    """All files of a commit or of a file set."""
    source = reads.need_source(files, repo, ref)
    return {one.path: one.bytes() for one in source.view.contents()}


def put(files: Files, path: str, data: bytes, ref: str = "") -> str:
    """Put one file into a commit of its own, or into an open one."""
    target = Target(DATA, ref=ref) if ref else Target(DATA, branch="master")
    commit = modify(files, target, [Delete(path), Add(path, data)])
    if not ref:
        finish_waiting(files)
    return commit.id


def started(files: Files) -> str:
    """A new open commit."""
    return files.change(lambda change: commits.start_commit(change, Branch(DATA, "master"))).id


def finished(files: Files, ref: str) -> dict[str, bytes]:
    """The content of an open commit once it is finished."""
    files.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, ref))
    finish_waiting(files)
    return tree(files, DATA, ref)


def pass_by(files: Files, seconds: float) -> None:
    """Let the server's clock go on."""
    assert isinstance(files.ambient, SimulatedAmbient)
    files.ambient.advance(seconds)


def test_a_file_set_is_read_as_a_commit(files: Files, leases: Leases) -> None:
    lease = leases.create([Add("/a", b"1"), Add("/d/b", b"22"), Delete("/nothing")])
    assert tree(files, LENT, lease) == {"/a": b"1", "/d/b": b"22"}
    source = reads.need_source(files, LENT, lease)
    assert [info.path for info in reads.list_file(source, "/")] == ["/a", "/d/"]
    assert b"".join(content.get_file(files, source, "/d/b", offset=1)) == b"2"
    assert [info.path for info in reads.glob_file(source, "/*/b")] == ["/d/b"]


def test_one_can_be_copied_from(files: Files, leases: Leases) -> None:
    lease = leases.create([Add("/a", b"1"), Add("/d/b", b"22")])
    commit = modify(files, Target(DATA, branch="master"), [Copy("/there", LENT, lease, "/d")])
    finish_waiting(files)
    assert tree(files, DATA, commit.id) == {"/there/b": b"22"}


def test_total_and_diff_of_a_commit(files: Files, leases: Leases) -> None:
    put(files, "/a", b"1")
    second = put(files, "/b", b"2")
    total = leases.of_commit(DATA, second)
    diff = leases.of_commit(DATA, second, diff=True)
    assert total is not None
    assert diff is not None
    assert tree(files, LENT, total) == {"/a": b"1", "/b": b"2"}
    assert tree(files, LENT, diff) == {"/b": b"2"}


def test_a_diff_takes_its_deletions_along(files: Files, leases: Leases) -> None:
    put(files, "/a", b"1")
    put(files, "/b", b"2")
    commit = modify(files, Target(DATA, branch="master"), [Delete("/a"), Add("/c", b"3")])
    finish_waiting(files)
    diff = leases.of_commit(DATA, commit.id, diff=True)
    assert diff is not None
    put(files, "/a", b"again")
    later = started(files)
    leases.add_to(DATA, later, diff)
    assert finished(files, later) == {"/b": b"2", "/c": b"33"}  # the diff appends where its commit did


def test_it_is_laid_on_open_commits_only(files: Files, leases: Leases) -> None:
    lease = leases.create([Delete("/a"), Add("/a", b"new"), Add("/d/x", b"x")])
    closed = put(files, "/a", b"old")
    with pytest.raises(FailedPrecondition, match="already been finished"):
        leases.add_to(DATA, closed, lease)
    commit = started(files)
    with pytest.raises(NotFound, match="lease ran out"):
        leases.add_to(DATA, commit, "0" * 32)
    leases.add_to(DATA, commit, lease)
    assert tree(files, DATA, commit) == {"/a": b"new", "/d/x": b"x"}
    assert finished(files, commit) == {"/a": b"new", "/d/x": b"x"}


def test_a_total_is_laid_on_another_commit(files: Files, leases: Leases) -> None:
    put(files, "/d/a", b"1")
    total = leases.of_commit(DATA, put(files, "/d/b", b"2"))
    assert total is not None
    modify(files, Target(DATA, branch="master"), [Delete("/"), Add("/c", b"3")])
    finish_waiting(files)
    commit = started(files)
    leases.add_to(DATA, commit, total)
    assert finished(files, commit) == {"/c": b"3", "/d/a": b"1", "/d/b": b"2"}


def test_one_file_set_may_be_added_many_times(files: Files, leases: Leases) -> None:
    lease = leases.create([Add("/log", b"x")])
    commit = started(files)
    for _ in range(COMPACT_ABOVE + 5):
        leases.add_to(DATA, commit, lease)
    assert finished(files, commit) == {"/log": b"x" * (COMPACT_ABOVE + 5)}


@pytest.mark.parametrize("compact", [False, True])
def test_composed_ones_lie_on_each_other(files: Files, leases: Leases, compact: bool) -> None:
    first = leases.create([Add("/a", b"1"), Add("/b", b"1"), Add("/c", b"1")])
    second = leases.create([Delete("/a"), Add("/a", b"2"), Add("/b", b"2"), Delete("/c")])
    composed = leases.compose([first, second], 60, compact=compact)
    assert tree(files, LENT, composed) == {"/a": b"2", "/b": b"12"}
    assert tree(files, LENT, leases.compose([second, first], 60, compact=compact)) == {
        "/a": b"21",
        "/b": b"21",
        "/c": b"1",
    }


def test_a_composed_one_still_deletes(files: Files, leases: Leases) -> None:
    put(files, "/old", b"1")
    composed = leases.compose([leases.create([Delete("/old")]), leases.create([Add("/new", b"2")])], 60, compact=True)
    commit = started(files)
    leases.add_to(DATA, commit, composed)
    assert finished(files, commit) == {"/new": b"2"}


def test_a_lease_runs_out_and_lets_go(files: Files, leases: Leases) -> None:
    lease = leases.create([Add("/a", b"1")])
    held = files.catalog.read(lambda tx: fileset_rows.held_by(tx, lease_rows.LEASE_HOLDER, lease))
    pass_by(files, DEFAULT_TTL_S - 2)
    leases.tick()
    assert tree(files, LENT, lease) == {"/a": b"1"}
    pass_by(files, 3)
    leases.tick()
    with pytest.raises(NotFound, match="its lease ran out"):
        reads.need_source(files, LENT, lease)
    assert held
    assert not files.catalog.read(lambda tx: fileset_rows.holders_of(tx, held))


def test_what_a_lease_held_is_freed(files: Files, leases: Leases) -> None:
    data = bytes(range(256)) * 400
    lease = leases.create([Add("/a", data)])
    second = leases.compose([lease], 1800)
    collector = Collector(files)
    collector.collect()
    assert tree(files, LENT, lease) == {"/a": data}
    pass_by(files, DEFAULT_TTL_S + 1)
    seen = files.catalog.wake.seq
    leases.tick()
    assert files.catalog.wake.seq > seen
    collector.collect()
    assert tree(files, LENT, second) == {"/a": data}
    pass_by(files, 1800)
    leases.tick()
    collector.collect()
    assert not list(files.store.blobs.names())


def test_records_of_datums_are_no_file_set(files: Files, leases: Leases) -> None:
    meta = Repo("default", "data", "meta")
    files.catalog.transact(lambda tx: repos.create_repo(tx, meta))
    modify(files, Target(meta, branch="master"), [Add("/a", b"1")])
    finish_waiting(files)
    with pytest.raises(Unimplemented, match="records of datums"):
        leases.of_commit(meta, "master")


def test_renewing_makes_it_last(files: Files, leases: Leases) -> None:
    lease = leases.create([Add("/a", b"1")], ttl_s=5)
    leases.renew(lease, 1800)
    leases.renew(lease, 1)  # somebody else's renewal takes nothing away
    pass_by(files, 1700)
    leases.tick()
    assert tree(files, LENT, lease) == {"/a": b"1"}
    for ttl in (0, -1, 1801):
        with pytest.raises(InvalidArgument, match="1 to 1800 seconds"):
            leases.renew(lease, ttl)
    with pytest.raises(NotFound, match="never made"):
        leases.renew("nonsense", 60)


def test_the_clock_stands_still_while_no_server_runs(files: Files, leases: Leases) -> None:
    lease = leases.create([Add("/a", b"1")], ttl_s=100)
    pass_by(files, 60)
    leases.tick()
    pass_by(files, 1_000_000)  # the machine was off: what counts is what a server saw
    again = Leases(files)
    again.tick()
    assert tree(files, LENT, lease) == {"/a": b"1"}
    pass_by(files, 40 + SAVE_EVERY_S)
    again.tick()
    with pytest.raises(NotFound):
        reads.need_source(files, LENT, lease)


def test_a_cache_entry_keeps_its_file_sets(files: Files, leases: Leases) -> None:
    kept, other = leases.create([Add("/a", b"1")]), leases.create([Add("/b", b"1")])
    files.catalog.transact(lambda tx: cache.put_cache(tx, "key", b"value", [kept], "tag/1"))
    pass_by(files, 2 * DEFAULT_TTL_S)
    leases.tick()
    assert tree(files, LENT, kept) == {"/a": b"1"}
    with pytest.raises(NotFound):
        reads.need_source(files, LENT, other)
    assert files.catalog.read(lambda tx: cache.get_cache(tx, "key")) == b"value"
    with pytest.raises(NotFound, match="its lease ran out"):
        files.catalog.transact(lambda tx: cache.put_cache(tx, "key", b"new", [other]))
    assert files.catalog.transact(lambda tx: cache.clear_cache(tx, "TAG")) == 0
    assert files.catalog.transact(lambda tx: cache.clear_cache(tx, "tag/")) == 1
    leases.tick()
    with pytest.raises(NotFound):
        reads.need_source(files, LENT, kept)
    with pytest.raises(NotFound, match='cache entry "key" not found'):
        files.catalog.read(lambda tx: cache.get_cache(tx, "key"))


def test_putting_a_cache_entry_again_replaces_it(files: Files, leases: Leases) -> None:
    first, second = leases.create([Add("/a", b"1")]), leases.create([Add("/b", b"1")])
    files.catalog.transact(lambda tx: cache.put_cache(tx, "key", b"1", [first, first]))
    files.catalog.transact(lambda tx: cache.put_cache(tx, "key", b"2", [second]))
    pass_by(files, 2 * DEFAULT_TTL_S)
    leases.tick()
    assert files.catalog.read(lambda tx: cache.get_cache(tx, "key")) == b"2"
    assert tree(files, LENT, second) == {"/b": b"1"}
    with pytest.raises(NotFound):
        reads.need_source(files, LENT, first)


def test_shards_cover_every_path_once(files: Files, leases: Leases) -> None:
    lease = leases.create([Add(f"/d{at % 3}/{at:03}", b"x" * at) for at in range(100)])
    source = reads.need_source(files, LENT, lease)
    for number, size in ((7, 0), (0, 500), (10, 400), (1, 0), (1000, 0)):
        ranges = shards_of(files, lease, number, size)
        assert ranges[0][0] == ranges[-1][1] == ""
        assert [high for _, high in ranges[:-1]] == [low for low, _ in ranges[1:]]
        parts = [
            [m.info for m in content.get_tree(source, "/", content.Bounds(*one)) if not m.info.is_dir] for one in ranges
        ]
        assert all(parts)
        paths = [info.path for part in parts for info in part]
        assert paths == [one.path for one in source.view.contents()]
        for part in parts:
            assert len(part) <= (number or 1000)
            assert not size or sum(info.size_bytes for info in part[:-1]) < size
    assert shards_of(files, leases.create([]), 1, 1) == [("", "")]
    assert shards_of(files, lease, 2**63 - 1, 2**63 - 1) == [("", "")]
    with pytest.raises(InvalidArgument, match="a shard has 1"):
        shards_of(files, lease, -1)


def test_filters_let_files_through_that_pass_all(files: Files, leases: Leases) -> None:
    lease = leases.create([Add(path, b"1") for path in ("/a/1", "/a/2", "/b/1", "/c")])

    def paths(*filters: Filter) -> list[str]:
        return [one.path for one in filtered(files, lease, filters)]

    assert paths() == ["/a/1", "/a/2", "/b/1", "/c"]
    assert paths(Filter(regex="/")) == ["/a/1", "/a/2", "/b/1", "/c"]
    assert paths(Filter(regex="1$")) == ["/a/1", "/b/1"]
    assert paths(Filter(regex="1$"), Filter(lower="/b")) == ["/b/1"]
    assert paths(Filter(upper="/b"), Filter(lower="/a/2")) == ["/a/2"]
    with pytest.raises(InvalidArgument, match="cannot be read"):
        paths(Filter(regex="("))


def test_nobody_makes_a_repo_of_that_name(files: Files) -> None:
    with pytest.raises(InvalidArgument, match="file sets are read through it"):
        files.catalog.transact(lambda tx: repos.create_repo(tx, LENT))
