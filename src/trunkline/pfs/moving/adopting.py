"""Commits taken over from elsewhere one by one, under the ids, times and texts that they have there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trunkline.ambient import Micros
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.copies import repos as copied_rows
from trunkline.catalog.engine import Tx
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.infos import Origin
from trunkline.model.names import USER_REPO, Commit, check_branch, is_id
from trunkline.pfs import reads
from trunkline.pfs.edits import Edit, fold
from trunkline.pfs.files import Files
from trunkline.pfs.graph import commits as commit_rules
from trunkline.pfs.graph.history import DIFF_HOLDER
from trunkline.pfs.graph.refs import need_commit, need_repo, refuse_purging
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed


@dataclass(frozen=True, slots=True)
class Adopted:
    """A commit as it is elsewhere. parent: the id of a commit of the same repo; "": none."""

    commit: Commit
    branch: str
    parent: str
    origin: Origin
    started_us: Micros
    finished_us: Micros
    description: str = ""
    error: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


def adopt_commit(files: Files, adopted: Adopted, edits: Iterable[Edit]) -> bool:
    """Write a commit whose files differ from its parent's by these edits, whole or not at all; False: it is there.

    Raises NotFound for repo or parent, InvalidArgument, FailedPrecondition for a system repo or an open parent.
    """
    _check(adopted)
    with files.session("adopt") as session:
        content = files.catalog.transact(lambda tx: _held_content(tx, session, adopted))
        if content is None:
            return False
        writer = files.store.writer(session, files.view(content) if content else None)
        fold(files, session, writer, edits)
        sealed = writer.seal()
        return session.finish(lambda tx: _write(tx, session, adopted, sealed))


def _check(adopted: Adopted) -> None:
    if not is_id(adopted.commit.id):
        raise InvalidArgument(f'"{adopted.commit.id}" is no id of a commit: 32 hex digits are expected')
    if adopted.branch:
        check_branch(adopted.branch)
    if adopted.commit.repo.type != USER_REPO:
        raise FailedPrecondition(f"{adopted.commit.repo} is a system repo, whose commits come from its pipeline alone")
    if not 0 < adopted.started_us <= adopted.finished_us:
        raise InvalidArgument(f"commit {adopted.commit.id} says that it was finished before it was started")


def _held_content(tx: Tx, session: Session, adopted: Adopted) -> tuple[str, ...] | None:
    """As `_content`, held: in one transaction, since a parent that finishes lets its layers go."""
    content = _content(tx, adopted)
    fileset_rows.hold(tx, session.gen, content or ())
    return content


def _content(tx: Tx, adopted: Adopted) -> tuple[str, ...] | None:
    """What new files are compared with; None where the commit is there already."""
    need_repo(tx, adopted.commit.repo)
    if commit_rows.find_commit(tx, adopted.commit) is not None:
        return None
    if not adopted.parent:
        return ()
    parent = need_commit(tx, adopted.commit.repo, adopted.parent)
    if parent.open:
        raise FailedPrecondition(f"parent commit {parent.commit} is open here; finish it first")
    return () if parent.forgotten else reads.content_of(tx, parent)


def _write(tx: Tx, session: Session, adopted: Adopted, sealed: Sequence[Sealed]) -> bool:
    if _content(tx, adopted) is None:  # somebody else was quicker
        return False
    repo = need_repo(tx, adopted.commit.repo)
    refuse_purging(tx, [repo.key])
    parent = need_commit(tx, adopted.commit.repo, adopted.parent) if adopted.parent else None
    seq = commit_rows.insert_commit(
        tx,
        repo.key,
        adopted.commit.id,
        branch_name=adopted.branch,
        origin=adopted.origin,
        parent=parent.seq if parent is not None else None,
        upstream=(),
        description=adopted.description,
    )
    layers = [one for one in sealed if one.rows]
    session.adopt(tx, layers, DIFF_HOLDER, str(seq))
    commit_rows.append_layers(tx, seq, [one.id for one in layers])
    commit_rows.grow(tx, seq, sum(one.size_bytes for one in layers))
    commit_rules.close(tx, seq, error=adopted.error)
    copied_rows.tell_times(tx, seq, adopted.started_us, adopted.finished_us, adopted.metadata)
    return True
