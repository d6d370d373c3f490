"""Output commits, as the pipeline system sees them: what they are made from, and how they end.

A pipeline's output and meta commits are opened by propagation and closed here, in the transaction that settles the
job; the finisher then gives them their content like any other commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted
from trunkline.pfs.finisher import last_good
from trunkline.pfs.graph import commits
from trunkline.pfs.graph.history import DIFF_HOLDER
from trunkline.pfs.graph.refs import need_row
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed


def inputs_of(tx: Tx, seq: int) -> list[CommitRow]:
    """The commits that an output commit is directly made from, in order of creation."""
    return inputs_of_all(tx, [seq])[seq]


def inputs_of_all(tx: Tx, seqs: Collection[int]) -> dict[int, list[CommitRow]]:
    """The same for many output commits at once, by the seq of each."""
    ups = commit_rows.upstream_of(tx, seqs)
    rows = commit_rows.get_commits(tx, {up for each in ups.values() for up in each})
    return {seq: [rows[up] for up in ups.get(seq, [])] for seq in seqs}


def add_layers(tx: Tx, session: Session, seq: int, sealed: Iterable[Sealed]) -> None:
    """Put file sets of a session on top of an open output commit. Raises Aborted if it has closed meanwhile."""
    row = need_row(tx, seq)
    if not row.open:
        raise Aborted(f"commit {row.commit} was closed while its job was writing to it")
    layers = [one for one in sealed if one.rows]
    session.adopt(tx, layers, DIFF_HOLDER, str(seq))
    commit_rows.append_layers(tx, seq, [one.id for one in layers])
    commit_rows.grow(tx, seq, sum(one.size_bytes for one in layers))


def settle(tx: Tx, seq: int, *, base: int | None, error: str = "") -> bool:
    """Close an output commit whose content is that of `base` (None: nothing) changed by its layers.

    base: the commit of the job that this one builds on. Answers False if the commit had closed already.
    """
    row = need_row(tx, seq)
    if not row.open:
        return False
    commit_rows.fix_base(tx, seq, base)
    commits.close(tx, seq, error=error)
    return True


def abandon(tx: Tx, output: int, meta: int | None, *, base: int | None, error: str) -> None:
    """Close a job's commits with an error. Output that nothing was written to shows what was there before it.

    base: as in `settle`. Commits that have closed already, or have gone, stay as they are.
    """
    row = commit_rows.get_commit(tx, output)
    if row is not None:
        if base is None and row.open and not row.base_fixed and not commit_rows.layers(tx, output):
            base = last_good(tx, row.parent)
        settle(tx, output, base=base, error=error)
    if meta is not None and commit_rows.get_commit(tx, meta) is not None:
        settle(tx, meta, base=None, error=error)


def content_filesets(tx: Tx, seq: int) -> Sequence[str]:
    """The runs of a finished commit, oldest first."""
    return commit_rows.runs(tx, seq)
