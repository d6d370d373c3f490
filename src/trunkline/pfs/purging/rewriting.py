"""One commit written anew without what goes: its diff and content, its job's datum table, in one transaction.

What it was made of before is held by the purge until all is done, so that its chunks are known then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.purging.purges import PURGE_HOLDER, PurgeRow
from trunkline.errors import Aborted, FailedPrecondition
from trunkline.pfs.files import load
from trunkline.pfs.graph.history import DIFF_HOLDER, RUNS_HOLDER
from trunkline.pfs.purging.hits import Used
from trunkline.pfs.purging.scope import Scope, Taken
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed, View
from trunkline.storage.repacking.losses import Loss, LossOfDatums, lost_rows

NOTHING = LossOfDatums(pa.array([], pa.string()))


@dataclass(frozen=True, slots=True)
class _Old:
    """A commit as it was in one snapshot. ground: the runs of its base as they are now."""

    row: CommitRow
    diff: list[str]
    runs: list[str]
    ground: list[str]


@dataclass(frozen=True, slots=True)
class _New:
    """What it is to be made of."""

    diff: Sequence[Sealed]
    runs: Sequence[Sealed]
    size_bytes: int
    files: int


def rewrite(scope: Scope, purge: PurgeRow, repo_key: int, seq: int) -> None:
    """Write one commit anew, and note that it is done. Nothing happens to one that has gone.

    Raises Aborted where it changed meanwhile (packs were rewritten): try again.
    """
    files = scope.files
    old = files.catalog.read(lambda tx: _look(tx, seq))
    if old is None:
        files.catalog.transact(lambda tx: purge_rows.set_done(tx, purge.key, repo_key, seq))
        return
    taken = scope.taken(old.row)
    with files.session("purge") as session:
        new = None if old.row.forgotten else _made(scope, session, old, taken)
        marking = _marking(session, purge, taken)

        def swap(tx: Tx) -> None:
            if not purge_rows.is_rewriting(tx, purge.key):
                raise FailedPrecondition(f"purge {purge.id} was stopped")
            if files_changed(tx, old):
                raise Aborted(f"commit {old.row.commit} was packed anew while it was being written; it is tried again")
            if new is not None:
                _swap(tx, session, purge, old, new)
            let_go = marking(tx) if marking is not None else ()
            _keep_for_the_purge(tx, purge, let_go)
            purge_rows.set_done(tx, purge.key, repo_key, seq)

        session.finish(swap)


def _look(tx: Tx, seq: int) -> _Old | None:
    row = commit_rows.get_commit(tx, seq)
    if row is None:
        return None
    ground = commit_rows.runs(tx, row.base) if row.base is not None else []
    return _Old(row, commit_rows.layers(tx, seq), commit_rows.runs(tx, seq), ground)


def files_changed(tx: Tx, old: _Old) -> bool:
    """Whether a commit or its base is made of other file sets than it was."""
    return _look(tx, old.row.seq) != old


def _marking(session: Session, purge: PurgeRow, taken: Taken | None) -> Callable[[Tx], Sequence[str]] | None:
    used = taken.used if taken is not None else None
    if used is None or not used.fresh:
        return None
    return used.mark(session, f"purged: {purge.repo}:{purge.shown}")


def _made(scope: Scope, session: Session, old: _Old, taken: Taken | None) -> _New:
    files = scope.files
    loss = taken.loss if taken is not None else NOTHING
    files.held(session, list(dict.fromkeys([*old.diff, *old.runs, *old.ground])))
    diff, runs, ground = files.catalog.read(lambda tx: (load(tx, old.diff), load(tx, old.runs), load(tx, old.ground)))
    if old.row.error:
        return _bad(scope, session, old, diff, runs, loss)
    before = files.store.view(runs)
    more = _more(scope, old, taken, before)
    made = files.store.rebuilt(session, ground, before, diff, loss, more, old.row.seq)
    if made.error:
        raise Aborted(f"commit {old.row.commit} would not be sound: {made.error}")
    return _New([made.diff] if made.diff is not None else [], made.manifest, made.size_bytes, made.files)


def _bad(scope: Scope, session: Session, old: _Old, diff: Sequence[Sealed], runs: Sequence[Sealed], loss: Loss) -> _New:
    """Of a commit with an error: it is its base with its layers on top, as it was, and nobody's base."""
    store, seq = scope.files.store, old.row.seq
    mine = {one.id for one in diff}
    under = [one for one in runs if one.id not in mine]
    ground = store.all_but(session, store.view(under), loss, seq) if under else ()
    made = [one for one in (store.without(session, layer, loss) for layer in diff) if one.rows]
    size = store.view(ground).size_bytes + sum(one.size_bytes for one in made)
    return _New(made, [*ground, *made], size, 0)


def _more(scope: Scope, old: _Old, taken: Taken | None, before: View) -> pa.Array:
    """Paths to look at besides those of the diff: what two jobs wrote alike, where one of them only saw what goes."""
    names = [pa.array([], pa.string())]
    if taken is not None and taken.used is not None:
        names += [rows.column("path") for rows in lost_rows(before, taken.loss)]
    base = old.row.base
    under = scope.files.catalog.read(lambda tx: commit_rows.get_commit(tx, base)) if base is not None else None
    ours = taken.used if taken is not None else None
    theirs = scope.taken(under) if under is not None and under.commit.repo != scope.repo else None
    back = _only(theirs.used if theirs is not None else None, ours)
    if len(back):
        names += [rows.column("path") for rows in lost_rows(before, LossOfDatums(back))]
    paths = pc.unique(pa.concat_arrays(names))
    return paths.take(pc.sort_indices(paths))


def _only(theirs: Used | None, ours: Used | None) -> pa.Array:
    """Datums that lost their results in the base, and not here."""
    if theirs is None:
        return pa.array([], pa.string())
    if ours is None:
        return theirs.datums
    return theirs.datums.filter(pc.invert(pc.is_in(theirs.datums, value_set=ours.datums)))


def _swap(tx: Tx, session: Session, purge: PurgeRow, old: _Old, new: _New) -> None:
    seq = old.row.seq
    session.adopt(tx, new.diff, DIFF_HOLDER, str(seq))
    session.adopt(tx, new.runs, RUNS_HOLDER, str(seq))
    kept = {one.id for one in (*new.diff, *new.runs)}
    _keep_for_the_purge(tx, purge, [one for one in (*old.diff, *old.runs) if one not in kept])
    for ids, made, kind in ((old.diff, new.diff, DIFF_HOLDER), (old.runs, new.runs, RUNS_HOLDER)):
        stays = {one.id for one in made}
        for fileset in ids:
            if fileset not in stays:
                fileset_rows.release(tx, fileset, kind, str(seq))
    commit_rows.replace_layers(tx, seq, [one.id for one in new.diff])
    commit_rows.set_runs(tx, seq, [one.id for one in new.runs])
    history_rows.set_content(tx, seq, size_bytes=new.size_bytes, files=new.files)


def _keep_for_the_purge(tx: Tx, purge: PurgeRow, ids: Sequence[str]) -> None:
    """Hold what was let go until all commits are done. What the transaction dropped is held by its session still."""
    fileset_rows.share_all(tx, ids, PURGE_HOLDER, str(purge.key))
