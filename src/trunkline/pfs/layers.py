"""Layers of an open commit: what streams wrote one after another, merged when they are many."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, TrunklineError
from trunkline.model.names import Commit
from trunkline.pfs.files import Files, load
from trunkline.pfs.graph.history import DIFF_HOLDER
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed
from trunkline.storage.writing.levels import layers_to_merge

log = logging.getLogger(__name__)

COMPACT_ABOVE = 16
"""When an open commit has more layers than this, those that are not much larger than what came after them are merged:
reading it stays cheap, and what a stream costs does not depend on how many there were."""


def compact_layers(files: Files, commit: Commit) -> None:
    """Merge layers of an open commit when there are too many to read quickly.

    Never fails: the files are written by then, and layers that cannot be merged now are read as they are.
    """
    row, layers = files.catalog.read(lambda tx: _layers(tx, commit))
    if row is None or not row.open or len(layers) <= COMPACT_ABOVE:
        return
    ids = [layer.id for layer in layers[layers_to_merge([layer.rows for layer in layers]) :]]
    try:
        with files.session("compact") as session:
            merged = files.store.compact(session, files.held(session, ids))
            session.finish(lambda tx: _swap(tx, session, row.seq, ids, merged))
    except Aborted:
        return  # somebody else merged them meanwhile, or the commit was cleared or deleted
    except TrunklineError as error:
        log.warning("merging the layers of the open commit %s failed: %s", commit, error)


def _layers(tx: Tx, commit: Commit) -> tuple[CommitRow | None, list[Sealed]]:
    row = commit_rows.find_commit(tx, commit)
    return row, load(tx, commit_rows.layers(tx, row.seq)) if row else []


def _swap(tx: Tx, session: Session, seq: int, old: Sequence[str], merged: Sealed) -> None:
    """Put a merged layer in the place of those it was made of, if they still lie one on another."""
    present = commit_rows.layers(tx, seq)
    row = commit_rows.get_commit(tx, seq)
    places = (place for place in range(len(present)) if present[place : place + len(old)] == list(old))
    at = next(places, None)
    if row is None or not row.open or at is None:
        return
    session.adopt(tx, [merged], DIFF_HOLDER, str(seq))
    others = [*present[:at], *present[at + len(old) :]]
    commit_rows.replace_layers(tx, seq, [*present[:at], merged.id, *present[at + len(old) :]])
    for fileset in set(old) - set(others):  # one file set may have been added several times
        session.release(tx, fileset, DIFF_HOLDER, str(seq))
