"""fsck finds nothing on what was made properly, and names what was broken on purpose."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from trunkline.model.infos import Origin
from trunkline.model.names import Branch, Repo
from trunkline.pfs import edits, fsck
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, repos

DATA = Repo("default", "data")


@pytest.fixture
def data(files):
    def make(change):
        repos.create_repo(change.tx, DATA)
        repos.create_repo(change.tx, Repo("default", "out"))
        branches.create_branch(change, Branch(Repo("default", "out"), "master"), provenance=[Branch(DATA, "master")])

    files.change(make)
    for number in range(3):
        changes = [Add(f"/{number}", bytes([number]) * 100_000), Add("/same", b"x" * 50_000), Delete("/0")]
        edits.modify(files, Target(DATA, branch="master"), changes)
        finish_waiting(files)
    return files


def test_nothing_is_wrong_with_what_was_made_properly(data):
    assert list(fsck.violations(data, read_bytes=True)) == []
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    edits.modify(data, Target(DATA, branch="master"), [Add("/open", b"o" * 9000)])
    assert list(fsck.violations(data)) == []


def test_a_lost_blob_is_named(data):
    lost = next(data.store.blobs.names("chunks/"))
    data.store.blobs.delete(lost)
    assert any("I-1" in line and "no blob" in line for line in fsck.violations(data))


def test_a_lost_row_is_named(data):
    data.catalog.transact(lambda tx: tx.execute("DELETE FROM chunks"))
    assert any("not recorded" in line for line in fsck.violations(data))


def test_a_lost_holder_is_named(data):
    data.catalog.transact(lambda tx: tx.execute("DELETE FROM holders"))
    assert any("I-4" in line for line in fsck.violations(data))


def test_a_commit_that_waits_for_nothing_is_named(data):
    data.catalog.transact(lambda tx: tx.execute("UPDATE commits SET open_inputs = 5 WHERE state = 'READY'"))
    assert any("I-6" in line for line in fsck.violations(data))


def test_a_finished_commit_without_size_is_named(data):
    data.catalog.transact(lambda tx: tx.execute("UPDATE commits SET size_bytes = NULL"))
    assert any("I-3" in line for line in fsck.violations(data))


def broken(files, statement):
    files.catalog.transact(lambda tx: tx.execute(statement))


@pytest.mark.parametrize(
    ("promise", "statement"),
    [
        ("I-10", "UPDATE commits SET finished_us = NULL WHERE state = 'FINISHED'"),
        ("I-10", "UPDATE commits SET finishing_us = 1 WHERE state = 'READY'"),
        ("I-3", "DELETE FROM commit_runs"),
        ("I-3", "UPDATE commits SET forgotten_us = 1 WHERE state = 'FINISHED'"),
        ("I-2", "UPDATE commit_layers SET fileset = 'short'"),
        ("I-6", "UPDATE commits SET state = 'STARTED', open_inputs = 0 WHERE state = 'READY'"),
    ],
)
def test_rows_that_contradict_are_named(data, promise, statement):
    broken(data, statement)
    assert any(line.startswith(promise) for line in fsck.violations(data))


def test_a_size_that_is_not_the_contents_is_named(data):
    broken(data, "UPDATE commits SET size_bytes = size_bytes + 1 WHERE state = 'FINISHED' AND size_bytes > 0")
    said = [line for line in fsck.violations(data, read_bytes=True) if line.startswith("I-3")]
    assert len(said) == 3
    assert "is said to have" in said[0]


@pytest.mark.parametrize("paths", [("/d", "/d/a"), ("/same", "/same/x/y"), ("/1/x", "/2")])
def test_a_path_that_is_both_in_a_commit_without_error_is_named(data, paths):
    edits.modify(data, Target(DATA, branch="master"), [Add(path, b"1") for path in paths])
    finish_waiting(data)
    assert list(fsck.violations(data, read_bytes=True)) == []
    broken(data, "UPDATE commits SET error = '' WHERE error <> ''")
    said = [line for line in fsck.violations(data, read_bytes=True) if line.startswith("I-5")]
    assert len(said) == 1
    assert f"{paths[0][:2] if paths[0] != '/same' else '/same'} in default/data@" in said[0]


def test_a_crowd_of_runs_is_named(data):
    def crowd(tx):
        rows = tx.execute("SELECT commit_seq, fileset FROM commit_runs ORDER BY commit_seq DESC LIMIT 1").one()
        for position in range(10, 40):
            values = {"commit": rows[0], "position": position, "fileset": rows[1]}
            tx.execute(text("INSERT INTO commit_runs VALUES (:commit, :position, :fileset)"), values)

    data.catalog.transact(crowd)
    assert any(line.startswith("I-12") for line in fsck.violations(data))


def test_two_commits_of_one_repo_in_a_set_are_named(data, tmp_path):
    assert list(fsck.violations(data)) == []
    (file,) = tmp_path.rglob("catalog.db")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        (made,) = other.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'commits'").fetchone()
        bare = made.replace("CONSTRAINT commits_address UNIQUE (repo, id),", "")
        assert bare != made
        other.executescript(
            f"""BEGIN; {bare.replace("commits", "copied", 1)}; INSERT INTO copied SELECT * FROM commits;
            DROP TABLE commits; ALTER TABLE copied RENAME TO commits; COMMIT"""
        )
        other.execute("UPDATE commits SET id = (SELECT min(id) FROM commits WHERE repo = 1) WHERE repo = 1")
    said = [line for line in fsck.violations(data) if line.startswith("I-7")]
    assert len(said) == 1
    assert "has 4 commits of default/data" in said[0]


def waiting(files):
    """Ids of the output commits that are open, but for the one that fsck made."""
    infos = files.catalog.read(lambda tx: commits.commit_page(tx, Repo("default", "out")))
    return [info.commit.id for info in infos if info.origin is not Origin.FSCK]


def test_what_follows_from_other_rows_is_mended(data):
    broken(data, "UPDATE commits SET open_inputs = 5, state = 'STARTED' WHERE state = 'READY'")
    broken(data, "DELETE FROM commit_provenance")
    broken(data, "INSERT INTO awaited VALUES (0, 4000)")
    assert len(list(fsck.violations(data))) >= 2
    mended = list(fsck.repaired(data))
    assert {line.split()[0] for line in mended} == {"let", "branch", *(f"default/out@{one}" for one in waiting(data))}
    assert list(fsck.violations(data)) == []
    assert list(fsck.repaired(data)) == []
    out = data.catalog.read(lambda tx: commits.inspect_commit(tx, Repo("default", "out"), "master"))
    assert out.origin is Origin.FSCK
    assert out.direct_provenance == (data.catalog.read(lambda tx: commits.inspect_commit(tx, DATA, "master")).commit,)
