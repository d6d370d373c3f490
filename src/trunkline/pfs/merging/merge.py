"""A merge: heads looked up, changes copied by reference, and a commit made if nobody moved a head meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.versions import merges as merge_rows
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument
from trunkline.model.names import USER_REPO, Branch, Commit, Repo
from trunkline.pfs import reads
from trunkline.pfs.edits import commit_sealed
from trunkline.pfs.files import Files
from trunkline.pfs.graph.changes import unfinished_output
from trunkline.pfs.graph.refs import need_branch, need_commit, need_row, refuse_forgotten
from trunkline.pfs.merging.sides import Choice, Conflict, Sides, Step
from trunkline.pfs.outside.fetching import always
from trunkline.pfs.reads import Source
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed, View, Writer

TRIES = 5
"""How often a merge is begun anew because a head moved meanwhile."""

LISTED = 1000
"""How many conflicts an answer names."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be merged: the commit `ref` of a repo ("theirs") into a branch of it ("ours")."""

    repo: Repo
    ref: str
    target: Branch
    choice: Choice = Choice.NONE
    dry_run: bool = False
    description: str = ""


@dataclass(slots=True)
class Merged:
    """What a merge came to. commit: what was made, None for nothing. base: what both sides stem from.

    added, changed, deleted: files, as seen from the target. conflicts: the first LISTED of `conflict_count`.
    """

    base: Commit | None
    commit: Commit | None = None
    up_to_date: bool = False
    added: int = 0
    changed: int = 0
    deleted: int = 0
    conflict_count: int = 0
    unsettled_count: int = 0
    conflicts: list[Conflict] = field(default_factory=list)

    def count(self, step: Step) -> None:
        """Add what one page came to."""
        self.added += step.added
        self.changed += step.changed
        self.deleted += step.deleted
        self.conflict_count += len(step.conflicts)
        self.unsettled_count += sum(not one.settled for one in step.conflicts)
        self.conflicts += step.conflicts[: LISTED - len(self.conflicts)]


@dataclass(frozen=True, slots=True)
class _Ground:
    """The commits of a merge. base: as found in history; its files are those of `content`, None for no files."""

    theirs: CommitRow
    ours: CommitRow
    base: CommitRow | None
    content: CommitRow | None


def merge_branch(files: Files, wish: Wish, wanted: Callable[[], bool] = always) -> Merged:
    """Bring into a branch what another line of history changed since the two parted, as one commit.

    Nothing is written if a conflict is left, if nothing is to be brought, or with `dry_run`. Waits for heads that are
    being finished. Raises NotFound, InvalidArgument, FailedPrecondition (output branch, open or bad head), and Aborted
    if heads move all the time, or when nobody waits any more. wanted: whether somebody does.
    """
    for _ in range(TRIES - 1):
        try:
            return _once(files, wish, wanted)
        except Aborted:
            if not wanted():
                raise
    return _once(files, wish, wanted)


def unfinished_head(tx: Tx, wish: Wish) -> CommitRow | None:
    """A head that is being finished, which a merge has to wait for. Raises as `merge_branch`."""
    ground = _ground(tx, wish)
    return next((row for row in (ground.theirs, ground.ours) if not row.finished), None)


def _once(files: Files, wish: Wish, wanted: Callable[[], bool]) -> Merged:
    ground = _finished_ground(files, wish, wanted)
    answer = Merged(ground.base.commit if ground.base is not None else None)
    if ground.base is not None and ground.base.seq == ground.theirs.seq:
        answer.up_to_date = True
        return answer
    with files.session("merge") as session:
        ours, theirs = (_held(files, session, row) for row in (ground.ours, ground.theirs))
        base = _held(files, session, ground.content) if ground.content is not None else files.store.view(())
        sides = Sides(base, ours, theirs, wish.choice)
        writer = files.store.writer(session, None)
        for step in sides.steps():
            answer.count(step)
            if not answer.unsettled_count and not wish.dry_run:
                _write(writer, sides, step)
        if answer.unsettled_count or wish.dry_run:
            writer.abort()
            return answer
        sealed = writer.seal()
        answer.commit = session.finish(lambda tx: _adopt(files, tx, session, wish, ground, sealed))
    return answer


def _write(writer: Writer, sides: Sides, step: Step) -> None:
    for tree in step.trees:
        writer.delete(tree)
    writer.remove(step.drop)
    if len(step.take):
        writer.place(sides.theirs.at(step.take))
    if len(step.add):
        writer.place(sides.ours.at(step.add))
        writer.place(sides.theirs.at(step.add), append=True)


def _held(files: Files, session: Session, row: CommitRow) -> View:
    source: Source = reads.need_source(files, row.commit.repo, row.commit.id)
    files.held(session, source.filesets)
    return source.view


def _finished_ground(files: Files, wish: Wish, wanted: Callable[[], bool]) -> _Ground:
    """The commits of a merge, once both heads are finished."""
    while True:
        ground = files.catalog.read(lambda tx: _ground(tx, wish))
        waiting = [row for row in (ground.theirs, ground.ours) if not row.finished]
        if not waiting:
            return ground
        for row in waiting:
            reads.need_source(files, row.commit.repo, row.commit.id, wanted)


def _ground(tx: Tx, wish: Wish) -> _Ground:
    if wish.repo != wish.target.repo:
        raise InvalidArgument(f"cannot merge {wish.repo} into {wish.target}: both must be of one repo")
    if wish.repo.type != USER_REPO:
        raise InvalidArgument(f"cannot merge in {wish.repo}: only pipelines write there")
    branch = need_branch(tx, wish.target)
    if branch_rows.depends(tx, branch.key):
        raise unfinished_output(branch.branch)
    theirs, ours = need_commit(tx, wish.repo, wish.ref), need_row(tx, branch.head)
    for row in (theirs, ours):
        _refuse_bad(row)
    seq = merge_rows.common_ancestor(tx, theirs.repo_key, theirs.seq, ours.seq)
    base = commit_rows.get_commit(tx, seq) if seq is not None else None
    content = base
    if base is not None and base.error:  # its files are nobody's ground
        content = commit_rows.get_commit(tx, base.base) if base.base is not None else None
    if content is not None:
        refuse_forgotten(content)
    return _Ground(theirs, ours, base, content)


def _refuse_bad(row: CommitRow) -> None:
    if row.open:
        raise FailedPrecondition(
            f"cannot merge: {row.commit} is open; finish it first with "
            f"`pachctl finish commit {row.commit.repo.typed}@{row.commit.id}`"
        )
    if row.error:
        raise FailedPrecondition(
            f"cannot merge: {row.commit} has an error ({row.error}); merge a good commit before it, or remove it with "
            f"`pachctl delete commitV2 {row.commit.repo.typed}@{row.commit.id}`"
        )
    refuse_forgotten(row)


def _adopt(files: Files, tx: Tx, session: Session, wish: Wish, ground: _Ground, sealed: list[Sealed]) -> Commit:
    now = _ground(tx, wish)
    if (now.theirs.seq, now.ours.seq) != (ground.theirs.seq, ground.ours.seq):
        raise Aborted(f"{wish.repo}@{wish.ref} or {wish.target} moved while they were merged; merge them again")
    change = files.change_in(tx)
    said = wish.description or f"merge of {wish.ref} into {wish.target.name}"
    commit = commit_sealed(change, session, wish.target, sealed, description=said)
    merge_rows.set_merged_from(tx, need_commit(tx, wish.repo, commit.id).seq, now.theirs.seq)
    change.close()
    return commit
