"""Branches merged: what each side changed since they parted, conflicts, choices, heads that move."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.ambient import SimulatedAmbient
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import Branch, Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, removal, repos
from trunkline.pfs.merging import merge
from trunkline.pfs.merging.merge import Wish, merge_branch
from trunkline.pfs.merging.sides import Choice
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.catalogs import counted_statements, open_catalog

DATA = Repo("default", "data")
MASTER = Branch(DATA, "master")


@pytest.fixture
def data(files):
    """A repo whose two branches start from one commit."""
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    put(files, "master", {"/a": b"1", "/d/x": b"1", "/d/y": b"1", "/k": b"1"})
    part(files)
    yield files
    assert list(fsck.violations(files)) == []


def part(files, name="feature", head="master"):
    files.change(lambda change: branches.create_branch(change, Branch(DATA, name), head=(DATA, head)))


def put(files, branch, changes):
    stream = [one for path, value in changes.items() for one in [Delete(path), *([Add(path, value)] if value else [])]]
    commit = edits.modify(files, Target(DATA, branch=branch), stream)
    finish_waiting(files)
    return commit.id


def tree(files, ref):
    source = reads.need_source(files, DATA, ref)
    return {
        info.path: b"".join(content.get_file(files, source, info.path))
        for info in reads.walk_file(source, "/")
        if not info.is_dir
    }


def merged(files, choice=Choice.NONE, ref="feature", target=MASTER, **more):
    answer = merge_branch(files, Wish(DATA, ref, target, choice, **more))
    finish_waiting(files)
    return answer


def deeds(answer):
    return [(one.path, one.ours.name, one.theirs.name) for one in answer.conflicts]


def head(files, ref="master"):
    return files.catalog.read(lambda tx: commits.inspect_commit(tx, DATA, ref))


def test_what_both_changed_apart_comes_together(data):
    put(data, "master", {"/a": b"2", "/d/x": None, "/new": b"m"})
    put(data, "feature", {"/d/y": None, "/k": b"f", "/e/z": b"f"})
    before = head(data)
    answer = merged(data)
    assert (answer.added, answer.changed, answer.deleted, answer.conflicts) == (1, 1, 1, [])
    assert tree(data, "master") == {"/a": b"2", "/new": b"m", "/k": b"f", "/e/z": b"f"}
    now = head(data)
    assert (now.commit, now.parent, now.origin.name) == (answer.commit, before.commit, "USER")
    assert now.description == "merge of feature into master"
    assert merged(data).up_to_date
    assert head(data).commit == now.commit


def test_a_second_merge_starts_from_the_first(data):
    put(data, "feature", {"/a": b"f"})
    put(data, "master", {"/k": b"m"})
    merged(data)
    first = head(data, "feature").commit
    put(data, "feature", {"/a": b"g"})
    answer = merged(data)
    assert (answer.base, answer.conflicts) == (first, [])
    assert tree(data, "master")["/a"] == b"g"
    back = merged(data, ref="master", target=Branch(DATA, "feature"))
    assert (back.commit is not None, tree(data, "feature")) == (True, tree(data, "master"))


def test_the_same_change_on_both_sides_is_no_conflict(data):
    put(data, "master", {"/a": b"2", "/k": None})
    put(data, "feature", {"/a": b"2", "/k": None, "/n": b"f"})
    assert merged(data).conflicts == []
    assert tree(data, "master") == {"/a": b"2", "/d/x": b"1", "/d/y": b"1", "/n": b"f"}


CLASH = {"/a": b"m", "/d/x": None, "/k": b"m", "/n": b"m"}
OTHER = {"/a": b"f", "/d/x": b"f", "/k": None, "/n": b"f", "/only": b"f"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice.THEIRS, {"/a": b"f", "/d/x": b"f", "/d/y": b"1", "/n": b"f", "/only": b"f"}),
        (Choice.OURS, {"/a": b"m", "/d/y": b"1", "/k": b"m", "/n": b"m", "/only": b"f"}),
        (Choice.UNION, {"/a": b"mf", "/d/x": b"f", "/d/y": b"1", "/k": b"m", "/n": b"mf", "/only": b"f"}),
    ],
)
def test_conflicts_are_listed_and_settled_by_a_choice(data, choice, expected):
    put(data, "master", CLASH)
    put(data, "feature", OTHER)
    before = head(data)
    answer = merged(data)
    assert answer.commit is None
    assert (answer.conflict_count, answer.unsettled_count) == (4, 4)
    assert deeds(answer) == [
        ("/a", "CHANGED", "CHANGED"),
        ("/d/x", "DELETED", "CHANGED"),
        ("/k", "CHANGED", "DELETED"),
        ("/n", "ADDED", "ADDED"),
    ]
    assert merged(data, choice, dry_run=True).commit is None
    assert head(data) == before
    settled = merged(data, choice)
    assert (deeds(settled), settled.unsettled_count) == (deeds(answer), 0)
    assert tree(data, "master") == expected
    assert merged(data).up_to_date


@pytest.mark.parametrize("file_is_ours", [True, False])
def test_a_file_and_a_directory_of_one_name(data, file_is_ours):
    folder, file = (
        {"/d/x": b"2", "/d/y": b"2", "/p/q/r": b"2"},
        {"/d/x": None, "/d/y": None, "/d": b"file", "/p": b"file"},
    )
    put(data, "master", file if file_is_ours else folder)
    put(data, "feature", folder if file_is_ours else file)
    before = head(data)
    for choice in (Choice.NONE, Choice.UNION):
        answer = merged(data, choice)
        kinds = ("FILE", "DIRECTORY") if file_is_ours else ("DIRECTORY", "FILE")
        assert {("/d", *kinds), ("/p", *kinds)} <= set(deeds(answer))
        assert (answer.commit, head(data)) == (None, before)
    ours, theirs = tree(data, "master"), tree(data, "feature")
    part(data, "again")
    merged(data, Choice.OURS)
    assert tree(data, "master") == ours
    merged(data, Choice.THEIRS, target=Branch(DATA, "again"))
    assert tree(data, "again") == theirs


def test_branches_without_a_common_past(data):
    data.change(lambda change: branches.create_branch(change, Branch(DATA, "alone")))
    put(data, "alone", {"/a": b"other", "/z": b"z"})
    answer = merged(data, ref="alone")
    assert (answer.base, deeds(answer)) == (None, [("/a", "ADDED", "ADDED")])
    merged(data, Choice.THEIRS, ref="alone")
    assert tree(data, "master") == {"/a": b"other", "/d/x": b"1", "/d/y": b"1", "/k": b"1", "/z": b"z"}


def test_any_commit_can_be_merged(data):
    early = put(data, "feature", {"/a": b"early"})
    put(data, "feature", {"/k": b"late"})
    merged(data, ref="feature^")
    assert (tree(data, "master")["/a"], tree(data, "master")["/k"]) == (b"early", b"1")
    assert merged(data, ref=early).up_to_date


def test_a_commit_that_was_merged_can_go(data):
    put(data, "feature", {"/a": b"f"})
    merged(data)
    put(data, "feature", {"/a": b"g"})
    data.change(lambda change: removal.squash_commit(change, DATA, "feature^"))
    answer = merged(data)
    assert answer.conflicts == [] or deeds(answer) == [("/a", "CHANGED", "CHANGED")]
    data.change(lambda change: removal.drop_commit(change, DATA, "feature"))
    assert merged(data).up_to_date


def test_what_cannot_be_merged(data):
    with pytest.raises(NotFound, match="nowhere not found"):
        merged(data, ref="nowhere")
    with pytest.raises(NotFound, match="nowhere not found"):
        merged(data, target=Branch(DATA, "nowhere"))
    with pytest.raises(InvalidArgument, match="both must be of one repo"):
        merge_branch(data, Wish(Repo("default", "x"), "master", MASTER))
    out = Branch(DATA, "out")
    data.catalog.transact(lambda tx: repos.create_repo(tx, Repo("default", "up")))
    data.change(lambda change: branches.create_branch(change, out, provenance=[Branch(Repo("default", "up"), "m")]))
    with pytest.raises(FailedPrecondition, match="is an output branch"):
        merged(data, target=out)
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "feature")))
    with pytest.raises(FailedPrecondition, match="is open; finish it first"):
        merged(data)
    data.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "feature", error="bad"))
    with pytest.raises(FailedPrecondition, match=r"has an error \(bad\)"):
        merged(data)
    finish_waiting(data)


def test_a_head_that_moves_meanwhile_is_merged_as_it_then_is(data, monkeypatch):
    put(data, "feature", {"/a": b"f"})
    begun = []
    write = merge._write

    def disturbed(writer, sides, step):
        write(writer, sides, step)
        begun.append(step)
        if len(begun) == 1:
            put(data, "master", {"/k": b"moved"})

    monkeypatch.setattr(merge, "_write", disturbed)
    merged(data)
    assert len(begun) == 2
    assert tree(data, "master") == {"/a": b"f", "/d/x": b"1", "/d/y": b"1", "/k": b"moved"}

    def always(writer, sides, step):
        write(writer, sides, step)
        put(data, "master", {"/k": b"moved %d" % len(begun)})
        begun.append(step)

    monkeypatch.setattr(merge, "_write", always)
    put(data, "feature", {"/a": b"g"})
    with pytest.raises(Aborted, match="moved while they were merged"):
        merged(data)
    assert tree(data, "master")["/a"] == b"f"


def test_a_merge_costs_what_differs_not_what_there_is(data):
    def cost(name):
        put(data, name, {"/a": b"%s" % name.encode()})
        with counted_statements() as count:
            merged(data, ref=name, choice=Choice.THEIRS)
        return count()

    few = cost("feature")
    for at in range(20):
        put(data, "master", {f"/many/{at}": b"x"})
    part(data, "later")
    assert cost("later") <= few + 5


PATHS = ["/a", "/b", "/d", "/d/a", "/d/b", "/e/x/y", "/e/x"]
SIDE = st.dictionaries(st.sampled_from(PATHS), st.sampled_from([None, b"1", b"2", b"3"]), max_size=5)


def applied(tree, changes):
    tree = dict(tree)
    for path, value in changes.items():
        tree.pop(path, None)
        if value:
            tree = {
                other: data
                for other, data in tree.items()
                if not other.startswith(f"{path}/") and not path.startswith(f"{other}/")
            }
            tree[path] = value
    return tree


def by_the_book(base, ours, theirs, choice):
    """A merge of dicts: the files, and the paths that both changed differently."""
    result, clashes = dict(ours), []
    for path in sorted(base.keys() | ours.keys() | theirs.keys()):
        had, mine, other = (side.get(path) for side in (base, ours, theirs))
        if other in (had, mine):
            continue
        if mine != had:
            clashes.append(path)
            if choice is Choice.OURS:
                continue
            if choice is Choice.UNION:
                other = (mine or b"") + (other or b"")
        if other:
            result[path] = other
        else:
            result.pop(path, None)
    return result, clashes


def is_possible(files):
    return not any(one != other and other.startswith(f"{one}/") for one in files for other in files)


@settings(max_examples=15, deadline=None)
@given(base=SIDE, ours=SIDE, theirs=SIDE, choice=st.sampled_from(Choice))
def test_any_merge_is_that_of_dicts(tmp_path_factory, base, ours, theirs, choice):
    place, ambient = tmp_path_factory.mktemp("merge"), SimulatedAmbient(7)
    catalog = open_catalog(place / "data", ambient, rehearse=False)
    files = Files(catalog, Store(MemoryBlobs(), place / "cache", ambient), ambient)
    try:
        catalog.transact(repos.ensure_default_project)
        catalog.transact(lambda tx: repos.create_repo(tx, DATA))
        trees = [applied({}, base)]
        trees += [applied(trees[0], side) for side in (ours, theirs)]
        put(files, "master", trees[0])
        part(files)
        for name, wanted in (("master", trees[1]), ("feature", trees[2])):
            gone = {path: None for path in trees[0] if path not in wanted}
            put(files, name, {**gone, **wanted})
            assert tree(files, name) == wanted
        answer = merged(files, choice)
        expected, clashes = by_the_book(*trees, choice)
        if not is_possible(expected):
            kinds = {deed for one in deeds(answer) for deed in one[1:]}
            assert {"FILE", "DIRECTORY"} <= kinds
        elif not any({"FILE", "DIRECTORY"} <= set(one[1:]) for one in deeds(answer)):
            assert [one.path for one in answer.conflicts] == clashes
            if choice is not Choice.NONE or not clashes:
                assert tree(files, "master") == expected
        info = head(files)
        assert not info.error
        assert (answer.commit is None) == (tree(files, "master") == trees[1] and info.commit != answer.commit)
    finally:
        catalog.close()
