"""Commits: started, finished, cleared, inspected, listed; commit sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog.collection import filesets
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import CommitInfo, CommitSetInfo, CommitState, Origin
from trunkline.model.names import MASTER, Branch, Commit, Pipeline, Repo, check_branch, is_id
from trunkline.pfs.graph.changes import Change, tell, unfinished_output
from trunkline.pfs.graph.history import DIFF_HOLDER
from trunkline.pfs.graph.refs import (
    need_commit,
    need_repo,
    provenance_of,
    refuse_forgotten,
    refuse_tag_name,
    refuse_versions,
)


def start_commit(
    change: Change, branch: Branch, *, parent: str = "", description: str = "", spout: bool = False
) -> Commit:
    """Open a commit on a branch, making the branch if need be.

    parent: a reference; "" means the branch's head. spout: the caller is the code that may write an output branch.
    Raises FailedPrecondition for an output branch, for a pipeline's versions, or while the parent is open.
    """
    check_branch(branch.name)
    tx = change.tx
    repo = need_repo(tx, branch.repo)
    refuse_versions(tx, branch.repo)
    row = branch_rows.find_branch(tx, branch)
    if row is None:
        refuse_tag_name(tx, branch)
    if row is not None and branch_rows.depends(tx, row.key) and not spout:
        raise unfinished_output(branch)
    above = need_commit(tx, branch.repo, parent) if parent else None
    if above is None and row is not None:
        above = commit_rows.get_commit(tx, row.head)
    if above is not None:
        refuse_forgotten(above)
    if above is not None and above.open:
        which = above.commit.id if parent else branch.name
        raise FailedPrecondition(
            f"parent commit {above.commit} has not been finished; finish it with "
            f"`pachctl finish commit {branch.repo.typed}@{which}`, or write into it"
        )
    seq = change.new_commit(
        repo,
        branch.name,
        origin=Origin.USER,
        parent=above.seq if above else None,
        upstream=_heads_above(tx, row.key) if row else (),
        description=description,
    )
    if row is None:
        key = branch_rows.insert_branch(tx, repo.key, branch.name, seq)
    else:
        key = row.key
        branch_rows.set_head(tx, key, seq)
    change.touch(key)
    return Commit(branch.repo, change.id)


def _heads_above(tx: Tx, key: int) -> list[int]:
    rows = branch_rows.get_branches(tx, branch_rows.direct_provenance(tx, key))
    return [row.head for row in rows.values()]


def finish_commit(
    tx: Tx, repo: Repo, ref: str, *, description: str = "", error: str = "", force: bool = False
) -> Commit:
    """Close a commit to writes; the finisher fixes its content soon after.

    Raises FailedPrecondition if it is closed already, or if a pipeline will close it and `force` is not set.
    """
    row = need_commit(tx, repo, ref)
    if not row.open:
        raise FailedPrecondition(f"commit {row.commit} has already been finished")
    above = commit_rows.upstream_of(tx, [row.seq]).get(row.seq, [])
    if above and row.origin is Origin.AUTO and not force:
        raise FailedPrecondition(f"cannot finish {row.commit}: {_who_will(tx, row, above)}")
    close(tx, row.seq, error=error, description=description)
    return row.commit


def _who_will(tx: Tx, row: CommitRow, above: Sequence[int]) -> str:
    """Who finishes a commit that was made because others were, and what to do instead. above: those."""
    pipeline = Pipeline(row.commit.repo.project, row.commit.repo.name)  # of records, too, it is the pipeline's name
    if any(one.commit.repo == pipeline.spec for one in commit_rows.get_commits(tx, above).values()):
        return (
            "it is the output of a pipeline, which will; "
            f"to end the work use `pachctl stop job {pipeline.output.typed}@{row.commit.id}` instead"
        )
    return (
        "it was opened because a branch in its provenance has moved, and who follows that branch writes to it; "
        "add --force once nothing is to be written any more"
    )


def close(tx: Tx, seq: int, *, error: str = "", description: str = "") -> None:
    """Begin to finish an open commit: no more writes."""
    commit_rows.set_finishing(tx, seq, error=error, description=description)
    row = commit_rows.get_commit(tx, seq)
    if row is not None:
        tell(tx, row)


def clear_commit(tx: Tx, repo: Repo, ref: str) -> None:
    """Drop what an open commit has been given so far; layers adopted later count."""
    row = need_commit(tx, repo, ref)
    if not row.open:
        raise FailedPrecondition(f"commit {row.commit} has already been finished, and a finished commit never changes")
    filesets.drop_holder(tx, DIFF_HOLDER, str(row.seq))
    commit_rows.replace_layers(tx, row.seq, [])
    commit_rows.grow(tx, row.seq, 0)


def inspect_commit(tx: Tx, repo: Repo, ref: str) -> CommitInfo:
    """One commit. Raises NotFound, InvalidArgument."""
    return infos(tx, [need_commit(tx, repo, ref)])[0]


def infos(tx: Tx, rows: Sequence[CommitRow]) -> list[CommitInfo]:
    """What doors show of some commits, in the same order."""
    seqs = [row.seq for row in rows]
    children = commit_rows.children(tx, seqs)
    ups = commit_rows.upstream_of(tx, seqs)
    downs = commit_rows.downstream_of(tx, seqs)
    wanted = {row.parent for row in rows if row.parent is not None}
    wanted |= {seq for group in (children, ups, downs) for found in group.values() for seq in found}
    names = {seq: row.commit for seq, row in commit_rows.get_commits(tx, wanted).items()}

    def named(seqs: Sequence[int]) -> tuple[Commit, ...]:
        return tuple(names[seq] for seq in seqs if seq in names)

    return [
        CommitInfo(
            commit=row.commit,
            branch=row.branch_name,
            seq=row.seq,
            origin=row.origin,
            state=row.state,
            parent=names.get(row.parent) if row.parent is not None else None,
            children=named(children.get(row.seq, [])),
            started_us=row.started_us,
            finishing_us=row.finishing_us,
            finished_us=row.finished_us,
            direct_provenance=named(ups.get(row.seq, [])),
            direct_subvenance=named(downs.get(row.seq, [])),
            error=row.error,
            description=row.description,
            size_upper_bytes=row.size_upper_bytes,
            size_bytes=row.size_bytes,
            created_by=row.created_by,
            updated_us=row.updated_us,
            metadata=row.metadata,
        )
        for row in rows
    ]


def commit_page(
    tx: Tx,
    repo: Repo | None,
    *,
    above: int | None = None,
    below: int | None = None,
    origins: Sequence[Origin] = (),
    oldest_first: bool = False,
    limit: int = 500,
) -> list[CommitInfo]:
    """A page of a repo's commits, newest first, or of all user repos; above, below: seqs, both exclusive."""
    key = need_repo(tx, repo).key if repo is not None else None
    rows = commit_rows.list_commits(
        tx, key, above=above, below=below, origins=origins, oldest_first=oldest_first, limit=limit
    )
    return infos(tx, rows)


def line_page(tx: Tx, repo: Repo, start: str, *, stop: str = "", limit: int = 500) -> list[CommitInfo]:
    """A commit and its ancestors, newest first, down to `stop` (exclusive) if that is given.

    Go on with the id of the last one's parent.
    """
    rows = history_rows.line(tx, need_commit(tx, repo, start).seq, limit)
    if stop:
        last = need_commit(tx, repo, stop).seq
        ends = [at for at, row in enumerate(rows) if row.seq == last]
        rows = rows[: ends[0]] if ends else rows
    return infos(tx, rows)


def subscribe_page(
    tx: Tx, repo: Repo, branch: str, *, above: int, origins: Sequence[Origin], limit: int = 100
) -> list[CommitInfo]:
    """Commits of a repo (of one branch, if given) that came after the seq `above`, oldest first."""
    key = need_repo(tx, repo).key
    while True:  # a page of other branches' commits is not the end
        rows = commit_rows.list_commits(tx, key, above=above, origins=origins, oldest_first=True, limit=limit)
        found = [row for row in rows if not branch or row.branch_name == branch]
        if found or len(rows) < limit:
            return infos(tx, found)
        above = rows[-1].seq


def inspect_set(tx: Tx, set_id: str) -> list[CommitInfo]:
    """Commits of a set, upstream first, after the older commits that they are derived from. Raises NotFound."""
    if not is_id(set_id):
        raise InvalidArgument(f'"{set_id}" is not the id of a commit set: 32 hex digits are expected')
    members = commit_rows.commits_of_set(tx, set_id)
    if not members:
        raise NotFound(f"commit set {set_id} not found")
    older = [row for row in provenance_of(tx, [row.seq for row in members]) if row.commit.id != set_id]
    return infos(tx, [*reversed(older), *_upstream_first(tx, members)])


def _upstream_first(tx: Tx, rows: Sequence[CommitRow]) -> list[CommitRow]:
    by_seq = {row.seq: row for row in rows}
    ups = commit_rows.upstream_of(tx, by_seq)
    order: list[CommitRow] = []
    done: set[int] = set()

    def visit(seq: int) -> None:
        if seq in done:
            return
        done.add(seq)
        for up in ups.get(seq, []):
            if up in by_seq:
                visit(up)
        order.append(by_seq[seq])

    for row in rows:
        visit(row.seq)
    return order


def set_page(tx: Tx, project: str, before: int | None, limit: int) -> Iterator[tuple[int, CommitSetInfo]]:
    """Commit sets with a member in a project ("": any), newest first, each with the seq to go on from."""
    for set_id, newest in commit_rows.list_sets(tx, project, before, limit):
        members = commit_rows.commits_of_set(tx, set_id)
        yield newest, CommitSetInfo(set_id, tuple(infos(tx, _upstream_first(tx, members))))


def wants(info: CommitInfo, state: CommitState) -> bool:
    """Whether a commit has come as far as `state`."""
    return info.state.rank >= state.rank


def default_branch(repo: Repo) -> Branch:
    """The branch that is meant where none is named."""
    return Branch(repo, MASTER)
