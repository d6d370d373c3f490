"""Many commits that are finished at once, and many streams into one commit: each costs what it costs alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pfs.collected import new_files
from trunkline.ambient import SimulatedAmbient
from trunkline.model.names import Branch, Repo
from trunkline.pfs import content, edits, fsck, layers, reads
from trunkline.pfs.edits import Add, Edit, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import Finisher, finish_waiting
from trunkline.pfs.graph import commits, repos
from trunkline.storage.filesets.seal import Sealer
from trunkline.testing.catalogs import counted_statements, open_catalog

DATA = Repo("default", "data")


@pytest.fixture
def files(tmp_path) -> Iterator[Files]:
    ambient = SimulatedAmbient(3)
    with open_catalog(tmp_path / "data", ambient, rehearse=False) as catalog:
        files = new_files(catalog, tmp_path / "cache", ambient)
        catalog.transact(lambda tx: repos.create_repo(tx, DATA))
        yield files
        files.store.close()


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each file set that was sealed."""
    rows: list[int] = []
    seal = Sealer.seal

    def counted(self, batches, roots=None):
        made = seal(self, batches, roots)
        rows.append(made.rows)
        return made

    monkeypatch.setattr(Sealer, "seal", counted)
    return rows


def one_file(files: Files, branch: str) -> None:
    edits.modify(files, Target(DATA, branch=branch), [Add("/file", branch.encode())])


@pytest.mark.parametrize("chained", [False, True])
def test_commits_that_wait_together_cost_what_they_cost_alone(files: Files, sealed: list[int], chained: bool) -> None:
    costs = []
    for number in range(3):
        waiting = (10, 20, 40)[number]
        for one in range(waiting):
            one_file(files, f"b{number}" if chained else f"b{number}-{one}")
        sealed.clear()
        with counted_statements() as count, files.store.blobs.recording() as calls:
            assert finish_waiting(files) == waiting
            costs.append((count() / waiting, sum(sealed) / waiting, len(calls) / waiting))
    for cost in zip(*costs, strict=True):
        assert max(cost[1:]) <= 1.3 * cost[0]
    assert list(fsck.violations(files)) == []


def test_a_commit_is_finished_in_two_transactions(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """One opens the session with all it reads held, the other adopts the result."""
    one_file(files, "master")
    finish_waiting(files)
    one_file(files, "master")
    done: list[int] = []
    transact = files.catalog.transact
    monkeypatch.setattr(files.catalog, "transact", lambda f, *more: (done.append(1), transact(f, *more))[1])
    assert finish_waiting(files) == 1
    assert len(done) == 2


def test_a_small_commit_does_not_wait_for_a_large_one(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    one_file(files, "large")
    large = files.catalog.read(lambda tx: commits.need_commit(tx, DATA, "large")).seq
    at_work, go_on = threading.Event(), threading.Event()
    real = type(files.store).finish

    def finish(store, session, base, layers, since):
        if since == large:
            at_work.set()
            assert go_on.wait(60)
        return real(store, session, base, layers, since)

    monkeypatch.setattr(type(files.store), "finish", finish)
    finisher = Finisher(files)
    finisher.start()
    try:
        assert at_work.wait(60)
        for number in range(20):
            one_file(files, f"small{number}")
        assert all(settled(files, f"small{number}") for number in range(20))
        assert not files.catalog.read(lambda tx: commits.need_commit(tx, DATA, "large")).finished
        go_on.set()
        assert settled(files, "large")
    finally:
        go_on.set()
        finisher.stop()
        files.catalog.wake.set(files.catalog.wake.seq + 1)
        finisher.join(60)


def settled(files: Files, branch: str) -> bool:
    """Whether the head of a branch is finished within a minute."""
    for _ in range(600):
        seen = files.catalog.wake.seq
        if files.catalog.read(lambda tx: commits.need_commit(tx, DATA, branch)).finished:
            return True
        files.catalog.wake.wait(seen, 0.1)
    return False


def test_streams_into_one_commit_at_the_same_time_cost_the_same_each(files: Files, sealed: list[int]) -> None:
    costs: list[tuple[float, float]] = []
    for streams in (20, 40, 80):
        branch = f"b{streams}"
        commit = files.change(lambda change, branch=branch: commits.start_commit(change, Branch(DATA, branch)))
        sealed.clear()

        def stream(number: int, branch: str, of: int) -> Iterator[Edit]:
            """A stream that is open while all later ones begin and end."""
            yield Add(f"/{number:03}", b"a")
            if number + 1 < of:
                edits.modify(files, Target(DATA, branch=branch), stream(number + 1, branch, of))
            yield Add(f"/{number:03}", b"b")

        with counted_statements() as count:
            edits.modify(files, Target(DATA, branch=branch), stream(0, branch, streams))
            costs.append((count() / streams, sum(sealed) / streams))
        source = reads.need_source(files, DATA, commit.id)
        assert len(source.filesets) <= layers.COMPACT_ABOVE
        files.catalog.transact(lambda tx, commit=commit: commits.finish_commit(tx, DATA, commit.id))
        finish_waiting(files)
        source = reads.need_source(files, DATA, branch)
        for number in range(streams):
            assert b"".join(content.get_file(files, source, f"/{number:03}")) == b"ab"
    (first, few), *more = costs
    assert max(statements for statements, _ in more) <= 1.3 * first
    # A row is merged again when there are four times as many: at most once for each doubling here.
    assert max(rows for _, rows in more) <= few + 2
    assert list(fsck.violations(files)) == []


def test_one_stream_after_another_into_an_open_commit(files: Files, sealed: list[int]) -> None:
    commit = files.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    for number in range(200):
        edits.modify(files, Target(DATA, branch="master"), [Add(f"/{number:04}", b"x")])
    # All of them again after each sixteenth would be 2,600 rows.
    assert sum(sealed) <= 200 * 5
    source = reads.need_source(files, DATA, commit.id)
    assert [found.path for found in source.view.contents()] == [f"/{number:04}" for number in range(200)]
