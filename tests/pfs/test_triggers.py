"""Branches that follow others: when they move, what that starts, what is refused."""

from __future__ import annotations

import pytest

from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import Trigger
from trunkline.model.names import Branch, Repo
from trunkline.pfs import edits
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, removal, repos, triggers

DATA = Repo("default", "data")
EDGES = Repo("default", "edges")


@pytest.fixture
def data(files):
    """A repo with a branch `staging`, and `edges@master`, which depends on `data@master`."""
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    files.catalog.transact(lambda tx: repos.create_repo(tx, EDGES))
    branch(files, "staging")
    branch(files, "master")
    files.change(
        lambda change: branches.create_branch(change, Branch(EDGES, "master"), provenance=[Branch(DATA, "master")])
    )
    end_output(files)
    return files


def branch(files, name, source="", *, head="", repo=DATA, **conditions):
    trigger = Trigger(source, **conditions) if source or conditions else None
    target = (repo, head) if head else None
    files.change(lambda change: branches.create_branch(change, Branch(repo, name), head=target, trigger=trigger))


def put(files, size=1, name="/a", to="staging"):
    """A commit with one file of that size; the branch's other files stay."""
    stream = [Delete(name), Add(name, b"x" * size)]
    made = edits.modify(files, Target(DATA, branch=to), stream).id
    finish_waiting(files)
    return made


def head(files, name="master", repo=DATA):
    return files.catalog.read(lambda tx: branches.inspect_branch(tx, Branch(repo, name))).head.id


def end_output(files):
    found = files.catalog.read(lambda tx: commits.inspect_commit(tx, EDGES, "master"))
    if found.finished_us is None:
        files.catalog.transact(lambda tx: commits.finish_commit(tx, EDGES, "master", force=True))
        finish_waiting(files)


def test_so_many_commits_move_a_branch_to_the_last_of_them(data):
    branch(data, "master", "staging", commits=2)
    before = head(data)
    put(data)
    assert head(data) == before
    second = put(data, 2)
    assert head(data) == second
    put(data, 3)
    assert head(data) == second
    assert put(data, 4) == head(data)


def test_so_much_more_content_moves_a_branch(data):
    branch(data, "master", "staging", size="1K")
    before = head(data)
    put(data, 999)
    assert head(data) == before
    full = put(data, 1, "/b")
    assert head(data) == full
    put(data, 1500, "/b")
    shrunk = put(data, 1, "/b")  # what counts is the content of the heads, not what was written
    assert head(data) not in (full, shrunk)
    put(data, 900)
    assert head(data) != shrunk


def test_not_more_often_than_a_schedule_allows(data):
    clock = data.ambient
    branch(data, "master", "staging", rate_limit_spec="@every 1h")
    before = head(data)
    clock.advance(1800)
    put(data)
    assert head(data) == before
    clock.advance(1801)
    late = put(data, 2)
    assert head(data) == late
    put(data, 3)
    assert head(data) == late


def test_two_branches_of_a_repo_that_follow_what_moves_at_once_get_commits_of_two_sets(data):
    """A commit set has one commit of a repo; that one was to have two left the commit unfinished for ever."""
    branch(data, "late")
    branch(data, "master", "staging", commits=1)
    branch(data, "late", "staging", commits=1)
    for name, source in (("second", "late"), ("third", "late")):
        repo = EDGES if name == "second" else Repo("default", "more")
        data.catalog.transact(lambda tx, repo=repo: repos.create_repo(tx, repo, update=True))
        make = lambda change, up=Branch(DATA, source), to=Branch(repo, name): branches.create_branch(  # noqa: E731
            change, to, provenance=[up]
        )
        data.change(make)
    made = put(data)
    assert head(data) == head(data, "late") == made
    first, second, third = (
        head(data, repo=EDGES),
        head(data, "second", EDGES),
        head(data, "third", Repo("default", "more")),
    )
    assert first != second, "two sets"
    assert second == third, "what follows one branch is of one set"
    for name in ("master", "second"):
        found = data.catalog.read(lambda tx, name=name: commits.inspect_commit(tx, EDGES, name))
        assert [up.id for up in found.direct_provenance] == [made]


@pytest.mark.parametrize(("every", "moves"), [(False, [1]), (True, [3])])
def test_any_condition_is_enough_unless_all_are_wanted(data, every, moves):
    branch(data, "master", "staging", size="100", commits=3, all=every)
    heads = []
    for number, size in enumerate((150, 160, 170), 1):
        if put(data, size) == head(data):
            heads.append(number)
    assert heads[:1] == moves


def test_what_depends_on_the_branch_is_made_anew_when_it_moves(data, told):
    branch(data, "master", "staging", commits=2)
    told.clear()
    put(data)
    assert not told
    made = put(data, 2)
    output = data.catalog.read(lambda tx: commits.inspect_commit(tx, EDGES, "master"))
    assert [one.id for one in output.direct_provenance] == [made]
    assert told == [str(output.commit)]
    assert output.commit.id != made  # the move is a change of its own


def test_a_chain_of_triggers_moves_at_once(data):
    branch(data, "b", "staging", commits=1)
    branch(data, "c", "b", commits=2)
    branch(data, "d", "c", size="10")
    first = put(data, 5)
    assert head(data, "b") == first
    assert head(data, "c") != first
    second = put(data, 20)
    assert [head(data, name) for name in "bcd"] == [second] * 3


def test_a_commit_with_an_error_sets_off_nothing(data):
    branch(data, "master", "staging", commits=1)
    before = head(data)
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "staging")))
    data.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "staging", error="it went wrong"))
    finish_waiting(data)
    assert head(data) == before
    assert put(data) == head(data)


def test_an_open_commit_sets_off_nothing_until_it_is_finished(data):
    branch(data, "master", "staging", commits=1)
    before = head(data)
    made = data.change(lambda change: commits.start_commit(change, Branch(DATA, "staging"))).id
    assert head(data) == before
    data.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "staging"))
    assert head(data) == before
    finish_waiting(data)
    assert head(data) == made


def test_a_branch_moved_by_hand_keeps_its_trigger(data):
    branch(data, "master", "staging", commits=2)
    first = put(data)
    branch(data, "master", head="staging")
    assert head(data) == first
    put(data, 2)
    assert head(data) == first
    assert put(data, 3) == head(data)


def test_output_branches_set_off_triggers_too(data):
    branch(data, "kept", "master", repo=EDGES, commits=1)
    put(data, to="master")
    before = head(data, "kept", EDGES)
    end_output(data)
    assert before != head(data, "kept", EDGES) == head(data, "master", EDGES)


def test_a_repo_gets_both_branches_of_a_trigger_in_one_change(files):
    def work(change):
        repos.create_repo(change.tx, DATA)
        branches.create_branch(change, Branch(DATA, "staging"))
        branches.create_branch(change, Branch(DATA, "master"), trigger=Trigger("staging", commits=1))

    files.change(work)
    assert put(files) == head(files)


@pytest.mark.parametrize(
    ("trigger", "kind", "words"),
    [
        (Trigger("gone", commits=1), NotFound, "data@gone, which does not exist; create it first"),
        (Trigger("master", commits=1), InvalidArgument, "triggers cannot form a loop: .* master follows master"),
        (Trigger("", commits=1), InvalidArgument, "names no branch to follow"),
        (Trigger("staging"), InvalidArgument, "says no condition, so it would never fire"),
        (Trigger("staging", all=True), InvalidArgument, "says no condition"),
        (Trigger("staging", size="big"), InvalidArgument, 'size "big": expected a size such as'),
        (Trigger("staging", commits=-1), InvalidArgument, "a negative number"),
        (Trigger("staging", cron_spec="@dayly"), InvalidArgument, 'cron_spec "@dayly": there is no "@dayly"'),
        (Trigger("staging", rate_limit_spec="* *"), InvalidArgument, "rate_limit_spec .* expected five fields"),
        (Trigger("staging", cron_spec="@daily", size="1"), InvalidArgument, "cron_spec and size"),
        (Trigger("staging", cron_spec="@daily", all=True), InvalidArgument, "cron_spec and all"),
    ],
)
def test_triggers_that_cannot_be(data, trigger, kind, words):
    with pytest.raises(kind, match=words):
        data.change(lambda change: branches.create_branch(change, Branch(DATA, "master"), trigger=trigger))
    assert data.catalog.read(lambda tx: branches.inspect_branch(tx, Branch(DATA, "master"))).trigger is None


def test_a_loop_through_others_is_refused(data):
    branch(data, "b", "staging", commits=1)
    branch(data, "c", "b", commits=1)
    with pytest.raises(InvalidArgument, match="staging follows c follows b follows staging"):
        branch(data, "staging", "c", commits=1)


def test_no_branch_has_provenance_and_a_trigger(data):
    branch(data, "b", "staging", commits=1)
    with pytest.raises(InvalidArgument, match="provenance and a trigger"):
        data.change(
            lambda change: branches.create_branch(change, Branch(DATA, "b"), provenance=[Branch(EDGES, "other")])
        )
    branch(data, "dev", repo=EDGES)
    with pytest.raises(FailedPrecondition, match="its commits come from a pipeline"):
        branch(data, "master", "dev", repo=EDGES, commits=1)
    assert head(data, "master", EDGES)


def test_a_branch_that_others_follow_goes_only_by_force(data):
    branch(data, "b", "staging", commits=1)
    with pytest.raises(FailedPrecondition, match=r"the triggers of default/data@b follow it; .* use --force"):
        data.change(lambda change: branches.delete_branch(change, Branch(DATA, "staging")))
    data.change(lambda change: branches.delete_branch(change, Branch(DATA, "staging"), force=True))
    assert data.catalog.read(lambda tx: branches.inspect_branch(tx, Branch(DATA, "b"))).trigger is None


def test_a_deleted_branch_comes_back_without_its_trigger(data):
    branch(data, "b", "staging", commits=1)
    data.change(lambda change: branches.delete_branch(change, Branch(DATA, "b")))
    branch(data, "b")
    before = head(data, "b")
    put(data)
    assert head(data, "b") == before


def due(files, now_us):
    return files.catalog.read(lambda tx: triggers.due(tx, now_us))


def test_a_schedule_moves_a_branch_once_a_tick(data):
    branch(data, "master", "staging", cron_spec="@hourly")
    branch(data, "after", "master", commits=1)
    put(data)
    newest = put(data, 2)
    now_us = data.ambient.now_us()
    assert not due(data, now_us)
    data.ambient.advance(3600)
    ((key, tick_us),) = due(data, data.ambient.now_us())
    assert data.change(lambda change: triggers.tick(change, key, tick_us))
    assert head(data) == head(data, "after") == newest
    late = put(data, 3)
    assert not data.change(lambda change: triggers.tick(change, key, tick_us))
    assert head(data) == newest
    assert not due(data, data.ambient.now_us())
    data.ambient.advance(5 * 3600)  # five ticks have been missed: they are one
    ((key, tick_us),) = due(data, data.ambient.now_us())
    assert data.change(lambda change: triggers.tick(change, key, tick_us))
    assert head(data) == late
    assert not due(data, data.ambient.now_us())


def test_a_schedule_takes_the_newest_content_that_is_finished_well(data):
    branch(data, "master", "staging", cron_spec="@hourly")
    good = put(data)
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "staging")))
    data.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "staging", error="bad"))
    finish_waiting(data)
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "staging")))
    data.ambient.advance(3600)
    ((key, tick_us),) = due(data, data.ambient.now_us())
    data.change(lambda change: triggers.tick(change, key, tick_us))
    assert head(data) == good


def test_a_schedule_takes_nothing_whose_files_were_forgotten(data):
    branch(data, "shown", "master", repo=EDGES, cron_spec="@hourly")
    before, made = head(data, "shown", EDGES), []
    for size in (1, 2):
        put(data, size, to="master")
        end_output(data)
        made.append(head(data, repo=EDGES))
    data.change(lambda change: removal.forget_commit(change, EDGES, made[0]))
    data.change(lambda change: removal.drop_commit(change, EDGES, made[1]))
    data.ambient.advance(3600)
    ((key, tick_us),) = due(data, data.ambient.now_us())
    assert data.change(lambda change: triggers.tick(change, key, tick_us))
    assert head(data, "shown", EDGES) == before
