"""Branches, commits and what one change does downstream."""

from __future__ import annotations

import pytest

from trunkline.catalog import commits as commit_rows
from trunkline.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import CommitState, Origin
from trunkline.model.names import Branch, Pipeline, Repo
from trunkline.pfs import fsck
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, repos

DATA = Repo("default", "data")
EDGES = Repo("default", "edges")
MONTAGE = Repo("default", "montage")


@pytest.fixture
def dag(files):
    """data -> edges -> montage, and montage reads data too."""

    def make(change):
        for repo in (DATA, EDGES, MONTAGE):
            repos.create_repo(change.tx, repo)
        branches.create_branch(change, Branch(EDGES, "master"), provenance=[Branch(DATA, "master")])
        branches.create_branch(
            change, Branch(MONTAGE, "master"), provenance=[Branch(DATA, "master"), Branch(EDGES, "master")]
        )

    files.change(make)
    return files


def head(files, repo):
    return files.catalog.read(lambda tx: commits.inspect_commit(tx, repo, "master"))


def start(files, repo, branch="master", **more):
    return files.change(lambda change: commits.start_commit(change, Branch(repo, branch), **more))


def finish(files, repo, ref="master", **more):
    commit = files.catalog.transact(lambda tx: commits.finish_commit(tx, repo, ref, **more))
    finish_waiting(files)
    return commit


def test_a_commit_opens_one_commit_in_each_repo_downstream(dag):
    finish_all_outputs(dag)
    commit = start(dag, DATA)
    edges, montage = head(dag, EDGES), head(dag, MONTAGE)
    assert edges.commit.id == montage.commit.id == commit.id
    assert edges.origin is Origin.AUTO
    assert edges.direct_provenance == (commit,)
    assert set(montage.direct_provenance) == {commit, edges.commit}
    assert head(dag, DATA).direct_subvenance == (edges.commit, montage.commit)


def finish_all_outputs(files):
    finish(files, EDGES, force=True)
    finish(files, MONTAGE, force=True)


def test_a_commit_is_ready_when_all_above_it_is_finished(dag):
    finish_all_outputs(dag)
    start(dag, DATA)
    assert head(dag, EDGES).state is CommitState.STARTED
    finish(dag, DATA)
    assert head(dag, DATA).state is CommitState.FINISHED
    assert head(dag, EDGES).state is CommitState.READY
    assert head(dag, MONTAGE).state is CommitState.STARTED
    finish(dag, EDGES, force=True)
    assert head(dag, MONTAGE).state is CommitState.READY


def test_a_commit_waits_for_nothing_that_was_deleted(dag):
    finish_all_outputs(dag)
    start(dag, DATA)
    dag.change(lambda change: repos.delete_repo(change, DATA, force=True))
    assert head(dag, EDGES).state is CommitState.READY
    assert head(dag, MONTAGE).state is CommitState.STARTED  # edges is still to come
    dag.change(lambda change: repos.delete_repo(change, EDGES, force=True))
    assert head(dag, MONTAGE).state is CommitState.READY
    assert list(fsck.violations(dag)) == []


def test_each_output_commit_is_told_of_once_in_its_own_transaction(dag, told):
    finish_all_outputs(dag)
    told.clear()
    commit = start(dag, DATA)
    assert told == [f"default/edges@{commit.id}", f"default/montage@{commit.id}"]


def test_an_output_branch_takes_no_commits_from_people(dag):
    with pytest.raises(FailedPrecondition, match="output branch"):
        start(dag, EDGES)
    with pytest.raises(FailedPrecondition, match="--force"):
        finish(dag, EDGES)


def test_what_to_type_names_a_project_that_is_not_the_default_one(files):
    sea = Repo("sea", "data")
    files.catalog.transact(lambda tx: (repos.create_project(tx, "sea"), repos.create_repo(tx, sea)))
    start(files, sea)
    with pytest.raises(FailedPrecondition, match="`pachctl finish commit sea/data@master`"):
        start(files, sea)


def test_a_parent_that_is_open_is_named_by_itself(dag):
    parent = start(dag, DATA)
    with pytest.raises(FailedPrecondition, match=f"`pachctl finish commit data@{parent.id}`"):
        start(dag, DATA, branch="other", parent=parent.id)


def test_a_second_commit_waits_for_the_first(dag):
    start(dag, DATA)
    with pytest.raises(FailedPrecondition, match="has not been finished"):
        start(dag, DATA)


def test_history_and_references(files):
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    made = []
    for _ in range(4):
        made.append(start(files, DATA))
        finish(files, DATA)
    look = {"master": 3, "master^": 2, "master~2": 1, "master^^^": 0, "master.1": 0, "master.4": 3, "master.-1": 2}
    look |= {made[2].id: 2, f"{made[2].id}^": 1, "master^0": 3}
    for ref, index in look.items():
        found = files.catalog.read(lambda tx, ref=ref: commits.inspect_commit(tx, DATA, ref))
        assert found.commit == made[index], ref
    for ref in ("master^4", "master.5", "master.9", "nothere", "0" * 32):
        with pytest.raises(NotFound):
            files.catalog.read(lambda tx, ref=ref: commits.inspect_commit(tx, DATA, ref))
    line = files.catalog.read(lambda tx: commits.line_page(tx, DATA, "master", stop=made[0].id))
    assert [info.commit for info in line] == [made[3], made[2], made[1]]


def test_moving_a_head_gives_downstream_a_commit_of_a_new_set(dag):
    finish_all_outputs(dag)
    first = start(dag, DATA)
    finish(dag, DATA)
    finish_all_outputs(dag)
    start(dag, DATA)
    finish(dag, DATA)
    finish_all_outputs(dag)
    dag.change(lambda change: branches.create_branch(change, Branch(DATA, "master"), head=(DATA, first.id)))
    edges = head(dag, EDGES)
    assert head(dag, DATA).commit == first
    assert edges.direct_provenance == (first,)
    assert edges.commit.id != first.id
    assert edges.state is CommitState.READY


def test_a_set_is_listed_upstream_first_with_what_it_was_made_from(dag):
    finish_all_outputs(dag)
    commit = start(dag, DATA)
    infos = dag.catalog.read(lambda tx: commits.inspect_set(tx, commit.id))
    assert [info.commit.repo.name for info in infos] == ["data", "edges", "montage"]


def test_an_id_of_a_set_without_a_commit_here_means_the_one_in_its_provenance(dag):
    finish_all_outputs(dag)
    source = start(dag, DATA)
    finish(dag, DATA)
    finish_all_outputs(dag)
    other = Repo("default", "other")

    def attach(change):
        repos.create_repo(change.tx, other)
        branches.create_branch(change, Branch(other, "master"), provenance=[Branch(DATA, "master")])
        return change.id

    set_id = dag.change(attach)
    found = dag.catalog.read(lambda tx: commits.inspect_commit(tx, DATA, set_id))
    assert found.commit == source


@pytest.mark.parametrize(
    ("provenance", "words"),
    [
        ([Branch(MONTAGE, "master")], "cycle"),
        ([Branch(EDGES, "master")], "own provenance"),
    ],
)
def test_loops_are_refused(dag, provenance, words):
    with pytest.raises(InvalidArgument, match=words):
        dag.change(lambda change: branches.create_branch(change, Branch(EDGES, "master"), provenance=provenance))


def test_two_branches_of_one_repo_cannot_feed_one_branch(dag):
    out = Repo("default", "out2")

    def make(change):
        repos.create_repo(change.tx, out)
        branches.create_branch(
            change, Branch(out, "master"), provenance=[Branch(DATA, "staging"), Branch(EDGES, "master")]
        )

    with pytest.raises(InvalidArgument, match="branches of one repo"):
        dag.change(make)
    with pytest.raises(NotFound):
        dag.catalog.read(lambda tx: repos.inspect_repo(tx, out))


def test_repos_are_refused_with_words(files):
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    with pytest.raises(AlreadyExists, match="default/data already exists"):
        files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    with pytest.raises(NotFound, match="did you mean data"):
        files.catalog.read(lambda tx: repos.inspect_repo(tx, Repo("default", "dataa")))
    with pytest.raises(InvalidArgument, match="only alphanumeric"):
        files.catalog.transact(lambda tx: repos.create_repo(tx, Repo("default", "a b")))
    with pytest.raises(NotFound, match='project "nope"'):
        files.catalog.transact(lambda tx: repos.create_repo(tx, Repo("nope", "a")))


def test_system_repos_go_with_the_repo_they_stand_beside(files):
    kinds = [Repo("default", "data", kind) for kind in ("user", "meta", "spec")]
    with pytest.raises(FailedPrecondition, match="there is no user repo of that name"):
        files.catalog.transact(lambda tx: repos.create_repo(tx, kinds[1]))
    for delete in (
        lambda change: repos.delete_repo(change, DATA),
        lambda change: repos.delete_repos(change, ["default"]) == [DATA],
    ):
        for kind in kinds:
            files.catalog.transact(lambda tx, kind=kind: repos.create_repo(tx, kind))
        assert files.change(delete)
        assert files.catalog.read(lambda tx: repos.list_repos(tx, [], "")) == []


def test_a_repo_that_others_depend_on_stays_unless_forced(dag):
    with pytest.raises(FailedPrecondition, match=r"depends? on it"):
        dag.change(lambda change: repos.delete_repo(change, DATA))
    assert dag.change(lambda change: repos.delete_repo(change, DATA, force=True))
    assert not dag.change(lambda change: repos.delete_repo(change, DATA))
    assert dag.catalog.read(lambda tx: commit_rows.upstream_of(tx, [row.seq for row in all_rows(tx)])) is not None


def all_rows(tx):
    return commit_rows.list_commits(tx, None)


def test_a_missing_upstream_branch_is_made_with_an_empty_head(dag):
    info = head(dag, DATA)
    assert info.state is CommitState.FINISHED
    assert (info.size_bytes, info.origin) == (0, Origin.AUTO)


def test_an_empty_head_beside_another_commit_of_its_repo_is_of_a_set_of_its_own(files):
    for repo in (DATA, EDGES):
        files.catalog.transact(lambda tx, repo=repo: repos.create_repo(tx, repo))

    def follow_and_branch(change, name):
        branches.create_branch(change, Branch(EDGES, "master"), provenance=[Branch(DATA, "master")])
        branches.create_branch(change, Branch(EDGES, name))
        branches.create_branch(change, Branch(EDGES, f"{name}-too"))

    files.change(lambda change: follow_and_branch(change, "live"))

    def start_and_branch(change):
        commits.start_commit(change, Branch(DATA, "master"))
        branches.create_branch(change, Branch(EDGES, "cold"))

    files.change(start_and_branch)
    found = {name: named_head(files, name) for name in ("master", "live", "live-too", "cold")}
    assert found["live"] == found["live-too"]
    assert len({info.commit.id for info in found.values()}) == 3
    assert found["master"].finished_us is None
    for name in ("live", "cold"):
        assert found[name].state is CommitState.FINISHED


def named_head(files, name):
    return files.catalog.read(lambda tx: commits.inspect_commit(tx, EDGES, name))


def test_deleting_a_branch_leaves_its_commits(files):
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    commit = start(files, DATA)
    finish(files, DATA)
    assert files.change(lambda change: branches.delete_branch(change, Branch(DATA, "master")))
    assert files.catalog.read(lambda tx: commits.inspect_commit(tx, DATA, commit.id)).commit == commit
    assert not files.change(lambda change: branches.delete_branch(change, Branch(DATA, "master")))


def test_who_finishes_a_commit_that_follows_others_is_said_as_it_is(dag):
    finish_all_outputs(dag)
    finish(dag, DATA, start(dag, DATA).id)
    with pytest.raises(FailedPrecondition, match=r"a branch in its provenance has moved.*add --force"):
        finish(dag, EDGES)

    def piped(change):
        versions = Pipeline("default", "edges").spec
        repos.create_repo(change.tx, versions)
        above = [Branch(DATA, "master"), Branch(versions, "master")]
        branches.create_branch(change, Branch(EDGES, "master"), provenance=above)

    dag.change(piped)
    with pytest.raises(FailedPrecondition, match=r"output of a pipeline, which will.*stop job edges@"):
        finish(dag, EDGES)
