"""fsck finds nothing on what was made properly, and names what was broken on purpose."""

from __future__ import annotations

import pytest

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
