"""Finishing a commit costs what the commit costs, however long the history; levelling happens beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pfs.collected import new_files
from trunkline.ambient import SimulatedAmbient
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import exchange
from trunkline.model.infos import CommitState
from trunkline.model.names import Branch, Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.collection import levelling
from trunkline.pfs.collection.levelling import Leveller, crowded_heads, level
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.edits import Add, AddMany, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import Finisher, finish_one, finish_waiting
from trunkline.pfs.graph import commits, repos
from trunkline.storage.filesets.runs import SealedRun
from trunkline.storage.filesets.seal import Sealer
from trunkline.storage.writing import levels
from trunkline.testing.catalogs import counted_statements, open_catalog

DATA = Repo("default", "data")
BASE = 1500


@dataclass
class Work:
    """Rows that were sealed, and rows that were looked up in sealed runs."""

    written: int = 0
    read: int = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """What has been done since the test set it to nothing."""
    counted = Work()
    seal, at = Sealer.seal, SealedRun.at

    def sealed(self, batches, roots=None):
        made = seal(self, batches, roots)
        counted.written += made.rows
        return made

    def found(self, paths, **kind):
        rows = at(self, paths, **kind)
        counted.read += rows.num_rows
        return rows

    monkeypatch.setattr(Sealer, "seal", sealed)
    monkeypatch.setattr(SealedRun, "at", found)
    return counted


@pytest.fixture
def files(tmp_path, monkeypatch) -> Iterator[Files]:
    """A repo with a commit of 1,500 files in 30 directories; runs of a few rows count as large."""
    monkeypatch.setattr(levels, "FREE_ROWS", 4)
    monkeypatch.setattr(levels, "FACTOR", 3)
    ambient = SimulatedAmbient(3)
    with open_catalog(tmp_path / "data", ambient, rehearse=False) as catalog:
        files = new_files(catalog, tmp_path / "cache", ambient)
        catalog.transact(lambda tx: repos.create_repo(tx, DATA))
        names = [f"/d{number % 30:02}/{number:04}" for number in range(BASE)]
        block = AddMany(names, [4] * BASE, b"".join(b"%04d" % number for number in range(BASE)))
        edits.modify(files, Target(DATA, branch="master"), [block])
        finish_waiting(files)
        yield files
        files.store.close()


def commit(files: Files, number: int, branch: str = "master") -> int:
    """One file, in a commit that is closed; its seq."""
    made = edits.modify(files, Target(DATA, branch=branch), [Add(f"/n{number % 7}/{number:04}", b"%d" % number)])
    return seq_of(files, made.id)


def seq_of(files: Files, ref: str = "master") -> int:
    row = files.catalog.read(lambda tx: commits.need_commit(tx, DATA, ref))
    return int(row.seq)


def runs_of(files: Files, seq: int) -> list[str]:
    return files.catalog.read(lambda tx: commit_rows.runs(tx, seq))


def names(files: Files, ref: str = "master") -> list[str]:
    source = reads.need_source(files, DATA, ref)
    return [found.path for found in source.view.contents()]


def sound(files: Files) -> None:
    assert list(fsck.violations(files, read_bytes=True)) == []


def test_the_next_commit_costs_the_same_at_any_length_of_history(files: Files, work: Work) -> None:
    costs: list[tuple[int, int, int]] = []
    levelled = most = 0
    for number in range(60):
        seq = commit(files, number)
        work.written = work.read = 0
        with counted_statements() as count:
            runs = finish_one(files, seq)
            costs.append((work.written, work.read, count()))
        most = max(most, runs)
        if runs > levels.MAX_RUNS:
            levelled += level(files, seq)
            assert len(runs_of(files, seq)) <= levels.MAX_RUNS
    assert levelled >= 2
    assert most == levels.MAX_RUNS + 1
    early, late = costs[10:30], costs[-20:]
    for kind in range(3):
        assert max(cost[kind] for cost in late) <= 1.5 * max(cost[kind] for cost in early)
    # One file and its directories, and what is merged without asking: never the 1,500 files.
    assert max(cost[0] for cost in costs) <= 2 * (levels.FREE_ROWS + 3 * levels.FACTOR)
    assert len(names(files)) == BASE + 60
    sound(files)


def test_a_look_at_one_file_touches_few_runs(files: Files, monkeypatch) -> None:
    for number in range(40):
        seq = commit(files, number)
        if finish_one(files, seq) > levels.MAX_RUNS:
            level(files, seq)
    touched: list[str] = []
    at = SealedRun.at
    monkeypatch.setattr(
        SealedRun, "at", lambda self, paths, **kind: touched.append(self.name) or at(self, paths, **kind)
    )
    for ref in ("master", "master^20", "master^39"):
        touched.clear()
        source = reads.need_source(files, DATA, ref)
        assert b"".join(content.get_file(files, source, "/d07/0007")) == b"0007"
        assert len(set(touched)) <= levels.MAX_RUNS


def test_a_server_that_never_levels_waits_for_a_part_of_it_only(files: Files, work: Work, monkeypatch) -> None:
    monkeypatch.setattr(levels, "FACTOR", 1)
    most = 0
    for number in range(60):
        seq = commit(files, number)
        work.written = 0
        most = max(most, finish_one(files, seq))
        assert work.written < BASE
    assert most == levels.MOST_RUNS
    assert level(files, seq) == 1
    assert len(runs_of(files, seq)) <= levels.MAX_RUNS
    sound(files)


def empty(files: Files, *, finished: bool = True) -> int:
    """A commit without files on the head."""
    made = files.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    files.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, made.id))
    if finished:
        finish_waiting(files)
    return seq_of(files, made.id)


def crowded(files: Files) -> int:
    """A head with more runs than it should have."""
    number = 0
    while finish_one(files, seq := commit(files, number)) <= levels.MAX_RUNS:
        number += 1
    return seq


def test_a_commit_that_is_being_finished_meanwhile_gets_the_new_runs(files: Files, monkeypatch) -> None:
    head = crowded(files)
    late = commit(files, 900)
    finish, tries = files.store.finish, []

    def overtaken(*asked):
        result = finish(*asked)
        if not tries:
            level(files, head)
        tries.append(None)
        return result

    monkeypatch.setattr(files.store, "finish", overtaken)
    assert finish_one(files, late) <= levels.MAX_RUNS
    assert len(tries) == 2
    assert runs_of(files, late)[:-1] == runs_of(files, head)[: len(runs_of(files, late)) - 1]
    assert "/n4/0900" in names(files)
    sound(files)


def test_a_commit_without_files_is_not_left_behind(files: Files, monkeypatch) -> None:
    head = crowded(files)
    late = empty(files, finished=False)
    level(files, head)
    finish_waiting(files)
    assert runs_of(files, late) == runs_of(files, head)


def test_all_commits_that_have_the_runs_get_the_new_one_and_the_old_ones_go(files: Files, monkeypatch) -> None:
    monkeypatch.setattr(levelling, "PAGE", 3)
    head = crowded(files)
    alike = [empty(files) for _ in range(7)]
    before = {ref: names(files, ref) for ref in ("master", "master^3", "master^12")}
    old = runs_of(files, head)
    assert level(files, head) == 1
    new = runs_of(files, head)
    (merged,) = set(new) - set(old)
    for seq in alike:
        assert merged in runs_of(files, seq)
        assert len(runs_of(files, seq)) <= levels.MAX_RUNS
    assert {ref: names(files, ref) for ref in before} == before
    sound(files)
    Collector(files).collect()
    assert {ref: names(files, ref) for ref in before} == before
    sound(files)


@pytest.mark.parametrize("step", range(3))
def test_levelling_that_is_killed_leaves_nothing_half_done(files: Files, monkeypatch, step: int) -> None:
    monkeypatch.setattr(levelling, "PAGE", 1)
    head, calls = crowded(files), []
    real = exchange.exchange_runs

    def killed(*asked, **named):
        calls.append(None)
        if len(calls) > step:
            raise KeyboardInterrupt
        return real(*asked, **named)

    monkeypatch.setattr(levelling, "exchange_runs", killed)
    before = names(files)
    with pytest.raises(KeyboardInterrupt):
        level(files, head)
    assert names(files) == before
    sound(files)
    monkeypatch.setattr(levelling, "exchange_runs", real)
    assert files.catalog.read(crowded_heads) == ([head] if step == 0 else [])
    level(files, head)
    assert len(runs_of(files, head)) <= levels.MAX_RUNS
    Collector(files).collect()
    assert names(files) == before
    sound(files)


def test_the_thread_levels_what_an_earlier_server_left_and_what_it_is_told_of(files: Files) -> None:
    head = crowded(files)
    assert files.catalog.read(crowded_heads) == [head]
    leveller = Leveller(files)
    finisher = Finisher(files, leveller.tell)
    leveller.start()
    finisher.start()
    try:
        until(files, lambda: len(runs_of(files, head)) <= levels.MAX_RUNS)
        for number in range(500, 512):
            seq = commit(files, number)
            until(files, lambda seq=seq: state(files, seq) is CommitState.FINISHED)
        until(files, lambda: len(runs_of(files, seq)) <= levels.MAX_RUNS)
    finally:
        finisher.stop()
        leveller.stop()
        commit(files, 601)  # wakes the finisher
        finisher.join(60)
        leveller.join(60)
    sound(files)


def state(files: Files, seq: int) -> CommitState:
    row = files.catalog.read(lambda tx: commit_rows.get_commit(tx, seq))
    assert row is not None
    return row.state


def until(files: Files, done) -> None:
    seen = files.catalog.wake.seq
    while not done():
        seen = files.catalog.wake.wait(seen, 0.05)
