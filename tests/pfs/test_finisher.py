"""The finisher's thread: what one commit's trouble does to others, and how it ends."""

from __future__ import annotations

import pytest

from trunkline.errors import ResourceExhausted
from trunkline.model.infos import CommitState
from trunkline.model.names import Branch, Repo
from trunkline.pfs import finisher
from trunkline.pfs.edits import Add, Target, modify
from trunkline.pfs.graph import commits, repos

DATA, OTHER = Repo("default", "data"), Repo("default", "other")


@pytest.fixture
def running(files, monkeypatch):
    """A finisher at work, quick to look again."""
    monkeypatch.setattr(finisher, "RETRY_S", 0.05)
    for repo in (DATA, OTHER):
        files.catalog.transact(lambda tx, repo=repo: repos.create_repo(tx, repo))
    thread = finisher.Finisher(files)
    thread.start()
    yield files
    thread.stop()
    files.change(lambda change: commits.start_commit(change, Branch(OTHER, "wakes-it")))
    thread.join(60)


def until_finished(files, repo):
    seen = 0
    while True:
        info = files.catalog.read(lambda tx: commits.inspect_commit(tx, repo, "master"))
        if info.state is CommitState.FINISHED:
            return info
        files.ambient.advance(1)  # its pauses between tries are of this clock
        seen = files.catalog.wake.wait(seen, 0.05)


def failing(files, monkeypatch, error, times):
    """Finishing commits of `data` fails so many times."""
    real, left = finisher.finish_one, [times]
    data = files.catalog.read(lambda tx: repos.inspect_repo(tx, DATA)).repo

    def finish_one(files, seq):
        row = files.catalog.read(lambda tx: finisher.commit_rows.get_commit(tx, seq))
        if row.commit.repo == data and left[0]:
            left[0] -= 1
            raise error
        real(files, seq)

    monkeypatch.setattr(finisher, "finish_one", finish_one)


def test_a_commit_that_cannot_be_finished_ends_with_an_error_and_holds_up_no_other(running, monkeypatch):
    failing(running, monkeypatch, ValueError("negative buffer"), 1_000_000)
    modify(running, Target(DATA, branch="master"), [Add("/a", b"a")])
    modify(running, Target(OTHER, branch="master"), [Add("/b", b"b")])
    assert until_finished(running, OTHER).error == ""
    assert "negative buffer" in until_finished(running, DATA).error


def test_a_disk_that_is_full_for_a_while_is_waited_out(running, monkeypatch):
    failing(running, monkeypatch, ResourceExhausted("the disk is full"), 8)
    modify(running, Target(DATA, branch="master"), [Add("/a", b"a")])
    info = until_finished(running, DATA)
    assert (info.error, info.size_bytes) == ("", 1)
