"""Commits squashed, dropped and forgotten: what stays, what goes, what is refused."""

from __future__ import annotations

import pytest

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import CommitState, Origin
from trunkline.model.names import Branch, Repo
from trunkline.pfs import content, edits, fsck, outputs, reads
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, removal, repos
from trunkline.pfs.graph.history import DIFF_HOLDER, RUNS_HOLDER
from trunkline.pfs.past.diffs import merge_diffs
from trunkline.storage import entries
from trunkline.testing.catalogs import counted_statements

DATA = Repo("default", "data")
OUT = Repo("default", "out")


@pytest.fixture
def data(files):
    """One repo without branches."""
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    yield files
    assert list(fsck.violations(files)) == []


@pytest.fixture
def dag(data):
    """data -> out, where an output commit is finished by hand."""

    def make(change):
        repos.create_repo(change.tx, OUT)
        branches.create_branch(change, Branch(OUT, "master"), provenance=[Branch(DATA, "master")])

    data.change(make)
    finish_out(data)
    return data


def put(files, changes, branch="master", repo=DATA):
    stream = [
        edit for path, value in changes.items() for edit in ([Delete(path)] + ([Add(path, value)] if value else []))
    ]
    commit = edits.modify(files, Target(repo, branch=branch), stream)
    finish_waiting(files)
    return commit.id


def finish_out(files, error=""):
    """Finish the output commit at the head with no files, as a job would."""

    def work(tx):
        head = commits.inspect_commit(tx, OUT, "master")
        row = commit_rows.find_commit(tx, head.commit)
        base = row.parent
        outputs.settle(tx, row.seq, base=base, error=error)

    files.catalog.transact(work)
    finish_waiting(files)


def tree(files, ref, repo=DATA):
    source = reads.need_source(files, repo, ref)
    return {
        info.path: b"".join(content.get_file(files, source, info.path))
        for info in reads.walk_file(source, "/")
        if not info.is_dir
    }


def info(files, ref, repo=DATA):
    return files.catalog.read(lambda tx: commits.inspect_commit(tx, repo, ref))


def recomposed(files, ref, repo=DATA):
    """The content of a commit made again from its base and its diff, which is the record."""

    def stack(tx):
        row = commit_rows.find_commit(tx, info_commit)
        under = commit_rows.runs(tx, row.base) if row.base is not None else []
        return [*under, *commit_rows.layers(tx, row.seq)]

    info_commit = info(files, ref, repo).commit
    ids = files.catalog.read(stack)
    view = files.view(ids)
    return {one.path for one in entries(view.walk("/")) if not one.is_dir} if view.find("/") else set()


def squash(files, ref, repo=DATA, **more):
    files.change(lambda change: removal.squash_commit(change, repo, ref, **more))


def drop(files, ref, repo=DATA, **more):
    files.change(lambda change: removal.drop_commit(change, repo, ref, **more))


def forget(files, ref, repo=OUT):
    files.change(lambda change: removal.forget_commit(change, repo, ref))


def held(files, seq):
    kinds = (DIFF_HOLDER, RUNS_HOLDER)
    return files.catalog.read(lambda tx: [one for kind in kinds for one in filesets.held_by(tx, kind, str(seq))])


def test_a_squashed_commit_goes_and_what_follows_keeps_its_content(data):
    first = put(data, {"/a": b"1", "/b": b"1"})
    second = put(data, {"/b": None, "/c": b"2"})
    third = put(data, {"/d": b"3"})
    gone = info(data, second).seq
    squash(data, second)
    with pytest.raises(NotFound):
        info(data, second)
    assert tree(data, third) == {"/a": b"1", "/c": b"2", "/d": b"3"}
    assert recomposed(data, third) == {"/a", "/c", "/d"}, "its diff has absorbed the squashed one"
    assert info(data, third).parent.id == first
    assert held(data, gone) == []
    squash(data, first)
    assert recomposed(data, third) == {"/a", "/c", "/d"}
    assert info(data, third).parent is None
    put(data, {"/e": b"4"})
    assert tree(data, "master") == {"/a": b"1", "/c": b"2", "/d": b"3", "/e": b"4"}


def test_every_child_absorbs_a_squashed_commit(data):
    put(data, {"/a": b"1"})
    shared = put(data, {"/b": b"2"})
    data.change(lambda change: branches.create_branch(change, Branch(DATA, "side"), head=(DATA, shared)))
    put(data, {"/c": b"3"})
    put(data, {"/d": b"4"}, branch="side")
    squash(data, shared)
    for branch, last in (("master", "/c"), ("side", "/d")):
        assert set(tree(data, branch)) == recomposed(data, branch) == {"/a", "/b", last}


def test_what_cannot_be_squashed_is_refused_with_words(data):
    first = put(data, {"/a": b"1"})
    with pytest.raises(FailedPrecondition, match=r"no commit follows it.*delete commit"):
        squash(data, first)
    data.change(lambda change: branches.create_branch(change, Branch(DATA, "side"), head=(DATA, first)))
    second = put(data, {"/b": b"2"})
    with pytest.raises(FailedPrecondition, match="branch default/data@side points to it"):
        squash(data, first)
    data.change(lambda change: branches.create_branch(change, Branch(DATA, "side"), head=(DATA, second)))
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "third"), parent=first))
    with pytest.raises(FailedPrecondition, match="is not finished yet; wait for it"):
        squash(data, first)
    with pytest.raises(NotFound):
        squash(data, "0" * 12 + "4" + "0" * 3 + "8" + "0" * 15)
    with pytest.raises(InvalidArgument, match="32 hex digits"):
        data.change(lambda change: removal.squash_set(change, "master"))
    assert tree(data, second) == {"/a": b"1", "/b": b"2"}


def with_error(files, path):
    files.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    edits.modify(files, Target(DATA, branch="master"), [Add(path, b"bad")])
    commit = files.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "master", error="it went wrong"))
    finish_waiting(files)
    return commit.id


def test_a_child_that_is_being_finished_is_worth_waiting_for_and_an_open_one_is_not(data):
    first = put(data, {"/a": b"1"})
    looks = (
        lambda tx: removal.set_settles(tx, first),
        lambda tx: removal.commit_settles(tx, DATA, first),
    )
    child = data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    edits.modify(data, Target(DATA, ref=child.id), [Add("/b", b"2")])
    assert [data.catalog.read(look) for look in looks] == [None, None]
    data.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, child.id))
    assert [data.catalog.read(look).commit.id for look in looks] == [child.id, child.id]
    finish_waiting(data)
    assert [data.catalog.read(look) for look in looks] == [None, None]
    data.change(lambda change: removal.squash_set(change, first))
    assert tree(data, "master") == {"/a": b"1", "/b": b"2"}


def test_base_is_not_parent(data):
    """good <- bad (error) <- next, whose base is good: squashing one of the two absorbs nothing, the other all."""
    first = put(data, {"/a": b"1"})
    good = put(data, {"/b": b"2"})
    bad = with_error(data, "/x")
    with pytest.raises(FailedPrecondition, match="has an error, so that what comes after it"):
        squash(data, good)
    last = put(data, {"/c": b"3"})
    assert tree(data, bad) == {"/a": b"1", "/b": b"2", "/x": b"bad"}
    squash(data, good)
    assert tree(data, last) == {"/a": b"1", "/b": b"2", "/c": b"3"}
    assert recomposed(data, last) == {"/a", "/b", "/c"}
    assert tree(data, bad) == {"/a": b"1", "/b": b"2", "/x": b"bad"}
    squash(data, bad)
    assert recomposed(data, last) == {"/a", "/b", "/c"}
    assert info(data, last).parent.id == first


def test_a_dropped_commit_takes_its_data_and_the_branches_fall_back(data):
    first = put(data, {"/a": b"1"})
    second = put(data, {"/b": b"2"})
    gone = info(data, second).seq
    data.change(lambda change: branches.create_branch(change, Branch(DATA, "side"), head=(DATA, second)))
    with pytest.raises(FailedPrecondition, match="follows it; delete what follows first"):
        drop(data, first)
    drop(data, second)
    assert held(data, gone) == []
    assert {info(data, name).commit.id for name in ("master", "side")} == {first}
    assert tree(data, "master") == {"/a": b"1"}
    drop(data, first)
    empty = info(data, "master")
    assert empty.commit == info(data, "side").commit
    assert (empty.state, empty.origin, empty.size_bytes) == (CommitState.FINISHED, Origin.AUTO, 0)
    put(data, {"/c": b"3"})
    assert tree(data, "master") == {"/c": b"3"}


def test_an_open_commit_can_be_dropped(data):
    first = put(data, {"/a": b"1"})
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    edits.modify(data, Target(DATA, branch="master"), [Add("/b", b"2" * 90_000)])
    drop(data, "master")
    assert info(data, "master").commit.id == first


def test_a_set_goes_with_its_output_and_the_output_branch_falls_back(dag):
    first = put(dag, {"/a": b"1"})
    finish_out(dag)
    second = put(dag, {"/b": b"2"})
    finish_out(dag)
    dag.change(lambda change: removal.drop_set(change, second))
    assert info(dag, "master").commit.id == info(dag, "master", OUT).commit.id == first
    assert info(dag, "master", OUT).state is CommitState.FINISHED, "nothing new is to be done"


def test_a_set_is_squashed_whole(dag):
    first = put(dag, {"/a": b"1"})
    finish_out(dag)
    second = put(dag, {"/b": b"2"})
    with pytest.raises(FailedPrecondition, match="is not finished yet"):
        dag.change(lambda change: removal.squash_set(change, first))
    finish_out(dag)
    with pytest.raises(FailedPrecondition, match=r"out@.* is made from it; add --recursive"):
        squash(dag, first)
    dag.change(lambda change: removal.squash_set(change, first))
    assert tree(dag, "master") == {"/a": b"1", "/b": b"2"}
    with pytest.raises(NotFound):
        dag.catalog.read(lambda tx: commits.inspect_set(tx, first))
    assert info(dag, "master", OUT).commit.id == second


def test_what_another_set_was_made_from_stays_unless_that_goes_too(data):
    first = put(data, {"/a": b"1"})

    def pipeline(change):
        repos.create_repo(change.tx, OUT)
        branches.create_branch(change, Branch(OUT, "master"), provenance=[Branch(DATA, "master")])

    data.change(pipeline)
    finish_out(data)
    with pytest.raises(FailedPrecondition, match="of another set"):
        data.change(lambda change: removal.drop_set(change, first))
    with pytest.raises(FailedPrecondition, match="add --recursive"):
        drop(data, first)
    drop(data, first, recursive=True)
    source, output = info(data, "master"), info(data, "master", OUT)
    assert (source.origin, source.size_bytes) == (Origin.AUTO, 0)
    assert output.direct_provenance == (source.commit,)
    assert output.state is CommitState.READY, "a new job is due"
    assert output.commit.id == source.commit.id


def test_a_dropped_output_is_made_again(dag, told):
    put(dag, {"/a": b"1"})
    finish_out(dag)
    put(dag, {"/b": b"2"})
    finish_out(dag)
    before = info(dag, "master", OUT)
    told.clear()
    drop(dag, "master", OUT)
    after = info(dag, "master", OUT)
    assert after.parent == before.parent
    assert after.direct_provenance == before.direct_provenance
    assert told == [str(after.commit)]


def test_an_id_that_only_reads_a_repo_is_not_taken_for_its_commit(dag):
    first = put(dag, {"/a": b"1"})
    finish_out(dag)
    dag.change(lambda change: branches.create_branch(change, Branch(DATA, "side"), head=(DATA, first)))
    dag.change(lambda change: change.touch(branch_key(change.tx, OUT), anew=True))
    again = info(dag, "master", OUT).commit.id
    assert info(dag, again).commit.id == first, "the id stands for the commit that it was made from"
    with pytest.raises(NotFound, match="has no commit of"):
        drop(dag, again, recursive=True)


def branch_key(tx, repo, name="master"):
    return branch_rows.find_branch(tx, Branch(repo, name)).key


def test_a_forgotten_output_keeps_its_record_and_nothing_else(dag):
    put(dag, {"/a": b"1"})
    write_out(dag, {"/x": b"1" * 50})
    first = info(dag, "master", OUT)
    with pytest.raises(FailedPrecondition, match="points to it and shows its files"):
        forget(dag, first.commit.id)
    put(dag, {"/b": b"2"})
    with pytest.raises(FailedPrecondition, match="is not finished yet"):
        forget(dag, first.commit.id)
    write_out(dag, {"/y": b"2" * 50})
    forget(dag, first.commit.id)
    forget(dag, first.commit.id)
    kept = info(dag, first.commit.id, OUT)
    assert (kept.size_bytes, kept.finished_us) == (first.size_bytes, first.finished_us)
    assert held(dag, first.seq) == []
    with pytest.raises(FailedPrecondition, match="was forgotten"):
        reads.open_source(dag, OUT, first.commit.id)
    assert set(tree(dag, "master", OUT)) == recomposed(dag, "master", OUT) == {"/x", "/y"}
    with pytest.raises(FailedPrecondition, match="was forgotten"):
        dag.change(lambda change: branches.create_branch(change, Branch(OUT, "old"), head=(OUT, first.commit.id)))
    with pytest.raises(FailedPrecondition, match="not the output of a pipeline"):
        forget(dag, "master", DATA)
    drop(dag, "master", OUT)
    again = info(dag, "master", OUT)
    assert again.state is CommitState.READY, "a branch does not fall back to what cannot be read"


def write_out(files, changes):
    row = info(files, "master", OUT)
    with files.session("test") as session:
        writer = files.store.writer(session)
        for path, value in changes.items():
            writer.put(path, value, datum="d" * 64)
        sealed = writer.seal()
        session.finish(lambda tx: outputs.add_layers(tx, session, row.seq, sealed))
    finish_out(files)


@pytest.mark.parametrize("verb", ["squash", "drop"])
def test_cost_does_not_grow_with_history(data, verb):
    """Statements of one removal, after a short history and after a longer one."""
    counts = []
    for length in (3, 25):
        for number in range(length):
            put(data, {f"/{number % 3}": bytes([number])})
        ref = "master^" if verb == "squash" else "master"
        with counted_statements() as count:
            (squash if verb == "squash" else drop)(data, ref)
        counts.append(count())
    assert counts[1] <= counts[0]


def test_many_squashes_leave_a_diff_in_few_pieces(data):
    made = [put(data, {f"/{number % 5}": bytes([number]), "/gone": bytes([number])}) for number in range(20)]
    last = put(data, {"/gone": None, "/last": b"1"})
    before = tree(data, last)
    for commit in made:
        grown = data.change(lambda change, id_=commit: removal.squash_commit(change, DATA, id_))
        merge_diffs(data, grown)
        row = info(data, last)
        assert len(data.catalog.read(lambda tx, seq=row.seq: commit_rows.layers(tx, seq))) <= 17
    assert info(data, last).parent is None
    assert tree(data, last) == before
    assert recomposed(data, last) == set(before)
    put(data, {"/next": b"2"})
    assert tree(data, "master") == before | {"/next": b"2"}
