"""Diffs that absorbed others by squashing: merged when they lie in many pieces, so that the next squash stays cheap."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, TrunklineError
from trunkline.pfs.files import Files
from trunkline.pfs.graph.history import DIFF_HOLDER
from trunkline.pfs.layers import COMPACT_ABOVE
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed

log = logging.getLogger(__name__)


def merge_diffs(files: Files, seqs: Iterable[int]) -> None:
    """Merge the diffs of finished commits that lie in many pieces into one each.

    Never fails: what was squashed is squashed by then, and a diff in many pieces means the same.
    """
    for seq in seqs:
        try:
            _merge(files, seq)
        except Aborted:
            continue  # it was deleted or squashed meanwhile
        except TrunklineError as error:
            log.warning("merging the diff of commit %s failed: %s", seq, error)


def _merge(files: Files, seq: int) -> None:
    pieces = files.catalog.read(lambda tx: commit_rows.layers(tx, seq))
    if len(pieces) <= COMPACT_ABOVE:
        return
    with files.session("compact") as session:
        merged = files.store.compact(session, files.held(session, pieces))
        session.finish(lambda tx: _swap(tx, session, seq, pieces, merged))


def _swap(tx: Tx, session: Session, seq: int, old: list[str], merged: Sealed) -> None:
    """Put the merged diff in the place of its pieces, if they are still all there is."""
    if commit_rows.layers(tx, seq) != old:
        return
    filesets.drop_holder(tx, DIFF_HOLDER, str(seq))
    session.adopt(tx, [merged], DIFF_HOLDER, str(seq))
    commit_rows.replace_layers(tx, seq, [merged.id])
