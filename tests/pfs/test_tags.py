"""Tags: names that stay with a commit, keep it, and mean it wherever a commit is asked for."""

from __future__ import annotations

import pytest

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.versions import tags as tag_rows
from trunkline.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import Branch, Repo, Tag
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, removal, repos, tags

DATA = Repo("default", "data")
OTHER = Repo("default", "other")
V1 = Tag(DATA, "v1")


@pytest.fixture
def data(files):
    """A repo with three commits on master: a file that says 1, 2, 3."""
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    for value in (b"1", b"2", b"3"):
        edits.modify(files, Target(DATA, branch="master"), [Delete("/f"), Add("/f", value)])
        finish_waiting(files)
    return files


def tag(files, name, ref, **more):
    return files.catalog.transact(lambda tx: tags.create_tag(tx, Tag(DATA, name), ref, **more))


def id_of(files, ref):
    return files.catalog.read(lambda tx: commits.inspect_commit(tx, DATA, ref)).commit.id


def text(files, ref):
    return b"".join(content.get_file(files, reads.need_source(files, DATA, ref), "/f"))


def listed(files, **which):
    return [row.tag.name for row in tags.list_tags(files.catalog, **which)]


def test_a_tag_stands_for_its_commit_and_has_ancestors(data):
    tag(data, "v2", "master^")
    assert (text(data, "v2"), text(data, "v2^"), text(data, "v2.1")) == (b"2", b"1", b"1")
    edits.modify(data, Target(DATA, branch="master"), [Add("/f", b"4")])
    finish_waiting(data)
    assert text(data, "v2") == b"2"
    data.change(lambda change: branches.create_branch(change, Branch(DATA, "old"), head=(DATA, "v2")))
    assert text(data, "old") == b"2"
    tag(data, "same", "v2")
    assert id_of(data, "same") == id_of(data, "v2")


def test_a_tag_moves_only_by_force(data):
    first = tag(data, "v1", "master", description="good")
    assert tag(data, "v1", "master") == first
    with pytest.raises(AlreadyExists, match=f"on commit {first.commit.id}; use --force"):
        tag(data, "v1", "master^")
    assert tag(data, "v1", "master^", force=True).commit.id == id_of(data, "master^")


@pytest.mark.parametrize("verb", [removal.squash_commit, removal.drop_commit])
def test_a_tag_keeps_its_commit(data, verb):
    tag(data, "v1", "master^" if verb is removal.squash_commit else "master")
    commit = id_of(data, "v1")
    with pytest.raises(FailedPrecondition, match="the tag v1 keeps it; delete that first with `pachctl delete tag"):
        data.change(lambda change: verb(change, DATA, commit))
    with pytest.raises(FailedPrecondition, match="the tag v1 keeps it"):
        data.change(
            lambda change: (removal.squash_set if verb is removal.squash_commit else removal.drop_set)(change, commit)
        )
    data.catalog.transact(lambda tx: tags.delete_tag(tx, V1))
    data.change(lambda change: verb(change, DATA, commit))
    assert list(fsck.violations(data)) == []


def test_no_branch_has_the_name_of_a_tag(data):
    tag(data, "v1", "master^")
    before = id_of(data, "v1")
    with pytest.raises(FailedPrecondition, match="is a tag of commit"):
        edits.modify(data, Target(DATA, branch="v1"), [Add("/f", b"x")])
    for attempt in (
        lambda change: commits.start_commit(change, Branch(DATA, "v1")),
        lambda change: branches.create_branch(change, Branch(DATA, "v1"), head=(DATA, "master")),
        lambda change: branches.create_branch(change, Branch(DATA, "x"), provenance=[Branch(DATA, "v1")]),
    ):
        with pytest.raises(FailedPrecondition, match="is a tag of commit"):
            data.change(attempt)
    with pytest.raises(NotFound, match="is a tag, not a branch"):
        data.catalog.read(lambda tx: branches.inspect_branch(tx, Branch(DATA, "v1")))
    with pytest.raises(FailedPrecondition, match="a branch has that name"):
        tag(data, "master", "master^")
    assert id_of(data, "v1") == before


@pytest.mark.parametrize("name", ["", "a b", "v1.0", "0" * 32, "x" * 256])
def test_names_that_no_tag_can_have(data, name):
    with pytest.raises(InvalidArgument, match="tag"):
        tag(data, name, "master")


def test_what_cannot_be_tagged(data):
    with pytest.raises(NotFound):
        tag(data, "v1", "nothing")
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    with pytest.raises(FailedPrecondition, match="it is open"):
        tag(data, "v1", "master")
    with pytest.raises(NotFound, match="the repo has no tags"):
        data.catalog.transact(lambda tx: tags.delete_tag(tx, V1))


def test_tags_are_listed_in_pages(data, monkeypatch):
    monkeypatch.setattr(tags, "PAGE", 2)
    for name in ("b", "a", "d", "c", "e"):
        tag(data, name, "master^" if name == "d" else "master")
    data.catalog.transact(lambda tx: repos.create_repo(tx, OTHER))
    edits.modify(data, Target(OTHER, branch="master"), [Add("/f", b"")])
    finish_waiting(data)
    data.catalog.transact(lambda tx: tags.create_tag(tx, Tag(OTHER, "a"), "master"))
    assert listed(data) == [*"abcde", "a"]
    assert listed(data, repo=DATA, number=3) == [*"abc"]
    assert listed(data, repo=DATA, marker=Tag(DATA, "bb")) == [*"cde"]
    assert listed(data, repo=DATA, marker=Tag(DATA, "d"), reverse=True) == [*"cba"]
    assert listed(data, repo=DATA, ref="master^") == ["d"]
    with pytest.raises(InvalidArgument, match="number"):
        listed(data, number=-1)


def test_a_repo_takes_its_tags_along(data):
    tag(data, "v1", "master")
    data.change(lambda change: repos.delete_repo(change, DATA))
    assert listed(data) == []
    data.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    with pytest.raises(NotFound):
        data.catalog.read(lambda tx: tags.need_tag(tx, V1))


def test_what_is_wrong_with_tags_is_named(data):
    tag(data, "v1", "master")

    def damage(tx):
        key = repo_rows.find_repo(tx, DATA).key
        head = tag_rows.find_tag(tx, V1).commit_seq
        branch_rows.insert_branch(tx, key, "v1", head)

    assert list(fsck.violations(data)) == []
    data.catalog.transact(damage)
    assert list(fsck.violations(data)) == ["I-14: the tag default/data@v1 is a branch too"]
