"""Files that lie in a branch already, just as somebody means to put them: then their bytes need not be sent.

What was compared has a stamp. A put that leaves files out says which stamp it relies on, and is refused in the
transaction that would write it unless that still is what it lies on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from blake3 import blake3

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, InvalidArgument
from trunkline.model.infos import CommitState
from trunkline.model.names import Branch
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import base_of, last_good

HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Ground:
    """What a put would lie on. stamp: its name, b"" for nothing; filesets: its content."""

    stamp: bytes
    filesets: tuple[str, ...]


NOTHING = Ground(b"", ())


def ground_of(tx: Tx, branch: Branch | None, commit: CommitRow | None) -> Ground | None:
    """What a put into an open commit, or else as a new commit onto a branch, lies on; None: it is being finished."""
    if commit is not None:
        return _under_open(tx, commit)
    row = branch_rows.find_branch(tx, branch) if branch is not None else None
    head = commit_rows.get_commit(tx, row.head) if row is not None else None
    if head is None or head.forgotten or head.open:
        return NOTHING
    if head.state is CommitState.FINISHING:
        return None
    base = last_good(tx, head.seq)
    if base is None:
        return NOTHING
    return Ground(f"on {head.seq} {base}".encode(), tuple(commit_rows.runs(tx, base)))


def _under_open(tx: Tx, row: CommitRow) -> Ground | None:
    base = base_of(tx, row)
    above = [commit_rows.get_commit(tx, seq) for seq in (base, row.parent) if seq is not None]
    if any(one is not None and one.state is CommitState.FINISHING for one in above):
        return None
    if any(one is None or not one.finished or one.forgotten for one in above):
        return NOTHING
    content = reads.content_of(tx, row)
    named = blake3("\n".join(content).encode()).hexdigest()
    return Ground(f"in {row.seq} {named}".encode(), content)


def need_ground(tx: Tx, stamp: bytes, branch: Branch | None, commit: CommitRow | None) -> None:
    """Raises Aborted unless a put lies on the content of that stamp. An empty stamp is content with anything."""
    if not stamp:
        return
    now = ground_of(tx, branch, commit)
    if now is None or now.stamp != stamp:
        raise Aborted("the branch changed since it was compared with the files to put; put them again")


def check_lists(names: Sequence[str], sizes: Sequence[int], hashes: bytes) -> None:
    """Raise InvalidArgument for lists that do not fit together. hashes: as for `there_already`."""
    if len(sizes) != len(names) or len(hashes) != HASH_BYTES * len(names):
        raise InvalidArgument("the files to compare do not add up: give a size and a hash of 32 bytes for each path")
    if len(set(names)) != len(names):
        raise InvalidArgument("the files to compare name one path twice; give each path once")


def there_already(
    files: Files, ground: Ground, names: Sequence[str], sizes: Sequence[int], hashes: bytes
) -> list[bool]:
    """Which of these files a put onto that ground would find at their paths: of these bytes, and undamaged.

    hashes: BLAKE3 of each, end to end. Raises Aborted where the ground has gone meanwhile.
    """
    if not ground.stamp or not names:
        return [False] * len(names)
    order = sorted(range(len(names)), key=names.__getitem__)
    with files.session("compare") as session:
        files.catalog.transact(lambda tx: fileset_rows.hold(tx, session.gen, ground.filesets))
        same = files.store.same_files(
            session,
            files.view(ground.filesets),
            pa.array([names[at] for at in order], pa.string()),
            pa.array([sizes[at] for at in order], pa.int64()),
            pa.array([hashes[HASH_BYTES * at : HASH_BYTES * (at + 1)] for at in order], pa.binary(HASH_BYTES)),
        )
    there = [False] * len(names)
    for at, found in zip(order, same.tolist(), strict=True):
        there[at] = found
    return there
