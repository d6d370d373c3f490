"""Searching history for a path, and walking provenance."""

from __future__ import annotations

import pytest

from trunkline.ambient import chance
from trunkline.errors import DataLoss, FailedPrecondition, NotFound
from trunkline.model.names import Branch, Repo
from trunkline.pfs import edits, fsck
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, removal, repos
from trunkline.pfs.past import walks
from trunkline.pfs.past.search import find_commits
from trunkline.testing.catalogs import counted_statements

DATA = Repo("default", "data")


@pytest.fixture
def data(files):
    """One repo."""
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    return files


def put(files, changes, finish=True):
    stream = [Delete(path) for path in changes]
    stream += [Add(path, value) for path, value in changes.items() if value is not None]
    commit = edits.modify(files, Target(DATA, branch="master"), stream)
    if finish:
        finish_waiting(files)
    return commit.id


def found(files, path, ref="master", limit=0):
    steps = list(find_commits(files, DATA, ref, path, limit=limit))
    assert [step.found is None for step in steps] == [False] * (len(steps) - 1) + [True], "the last says how far"
    return [step.found.id for step in steps[:-1]]


def test_a_path_is_followed_through_changes_and_deletions(data):
    one = put(data, {"/d/a": b"1", "/keep": b"k"})
    put(data, {"/d/b": b"2"})
    three = put(data, {"/d/a": b"3"})
    four = put(data, {"/d/a": None, "/d/b": None})
    put(data, {"/keep": b"kk"})
    six = put(data, {"/d/a": b"6"})
    put(data, {"/other": b"7"})
    assert found(data, "/d/a") == [six, four, three, one]
    assert found(data, "/d/a", limit=2) == [six, four]
    assert found(data, "d/a", ref=four) == [four, three, one]
    assert found(data, "/none") == []
    with pytest.raises(NotFound):
        found(data, "/d/a", ref="none")
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    with pytest.raises(FailedPrecondition, match="is open"):
        found(data, "/d/a")


def test_everything_deleted_is_a_change_too(data):
    one = put(data, {"/a": b"1"})
    two = put(data, {"/a": None})
    assert found(data, "/a") == [two, one]


@pytest.mark.parametrize("seed", range(4))
def test_as_reading_every_commit_would(data, seed):
    """Random histories, some of it squashed, against looking at each commit."""
    draw = chance(seed)
    names = ["/a", "/d/a", "/d/b", "/d/e/x"]
    tree, history = {}, []
    for number in range(14):
        changes = {name: draw.choice([None, bytes([number])]) for name in draw.sample(names, draw.randint(1, 2))}
        before = dict(tree)
        tree = {name: value for name, value in (tree | changes).items() if value is not None}
        history.append((put(data, changes), before, dict(tree)))
    for at in (9, 5, 4):
        commit, before, _ = history.pop(at)
        data.change(lambda change, id_=commit: removal.squash_commit(change, DATA, id_))
        history[at] = (history[at][0], before, history[at][2])
    for name in names:
        wanted = [commit for commit, before, after in reversed(history) if before.get(name) != after.get(name)]
        assert found(data, name) == wanted, name


def test_commits_without_the_path_are_not_read(data):
    first = put(data, {"/d/a": b"1", "/e/a": b"1"})
    for number in range(12):
        put(data, {"/e/b": bytes([number])})
    with counted_statements() as count:
        steps = list(find_commits(data, DATA, "master", "/d/a"))
    assert [step.found.id for step in steps if step.found] == [first]
    assert steps[-1].searched == 1
    assert count() < 20


def dag(files):
    """data -> a -> b, and b reads data too."""

    def make(change):
        for name in "ab":
            repos.create_repo(change.tx, Repo("default", name))
        data, a, b = (Branch(Repo("default", name), "master") for name in ("data", "a", "b"))
        branches.create_branch(change, a, provenance=[data])
        branches.create_branch(change, b, provenance=[data, a])

    files.change(make)


def test_provenance_is_walked_both_ways(data):
    dag(data)
    put(data, {"/x": b"1"})
    repo_of = {name: Repo("default", name) for name in ("data", "a", "b")}

    def walk(name, **more):
        return [info.commit.repo.name for info in walks.walk_commits(data, repo_of[name], "master", **more)]

    assert sorted(walk("b", up=True)) == ["a", "data"]
    assert walk("data", up=True) == []
    assert sorted(walk("data", up=False)) == ["a", "b"]
    assert walk("a", up=False) == ["b"]
    assert walk("b", up=True, most=1) in (["a"], ["data"])

    def walk_branches(name, **more):
        branch = Branch(repo_of[name], "master")
        return [info.branch.repo.name for info in data.catalog.read(lambda tx: walks.walk_branches(tx, branch, **more))]

    assert sorted(walk_branches("b", up=True)) == ["a", "data"]
    assert sorted(walk_branches("data", up=False)) == ["a", "b"]
    assert walk_branches("a", up=True, depth=1) == ["data"]
    assert walk_branches("data", up=False, most=1) == ["a"]


def test_depth_ends_a_walk(data):
    def make(change):
        for before, name in (("data", "a"), ("a", "b"), ("b", "c")):
            repos.create_repo(change.tx, Repo("default", name))
            up = Branch(Repo("default", before), "master")
            branches.create_branch(change, Branch(Repo("default", name), "master"), provenance=[up])

    data.change(make)
    put(data, {"/x": b"1"})
    names = [
        info.commit.repo.name for info in walks.walk_commits(data, Repo("default", "c"), "master", up=True, depth=2)
    ]
    assert names == ["b", "a"]


def test_chunks_are_counted_and_a_bad_one_is_named(data):
    put(data, {f"/{number}": bytes([number]) * 100_000 for number in range(3)})
    count = fsck.check_chunks(data, read=True)
    assert count >= 1
    assert fsck.check_chunks(data, end=b"\x80") + fsck.check_chunks(data, begin=b"\x80") == count
    lost = next(iter(data.store.blobs.names("chunks/")))
    data.store.blobs.delete(lost)
    with pytest.raises(DataLoss, match="I-1: chunk"):
        fsck.check_chunks(data)
