"""fsck: every promise that can be checked on what is stored, looked at page by page while the server runs.

Each thing wrong is one sentence with the number of the promise that it breaks (INVARIANTS.md). Nothing is repaired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history
from trunkline.catalog import transactions as transaction_rows
from trunkline.catalog.collection import checks
from trunkline.catalog.collection.chunks import Key
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.engine.damage import damages
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.versions import tags as tag_rows
from trunkline.catalog.work import checks as job_checks
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import logs as log_rows
from trunkline.errors import TrunklineError
from trunkline.model.infos import CommitState
from trunkline.pfs.files import Files
from trunkline.pfs.fsck.contents import check_contents
from trunkline.pfs.fsck.repair import stale_outputs
from trunkline.storage import ChunkKey, Sealed
from trunkline.storage.filesets.schema import ADD
from trunkline.storage.writing.levels import MOST_RUNS

PAGE = 200


def violations(files: Files, *, read_bytes: bool = False) -> Iterator[str]:
    """Everything found wrong.

    read_bytes: also read every held file and compare it with its hash, each diff with its commit, logs, reports (slow).
    """
    if broken := files.catalog.read(lambda tx: list(damages(tx, thorough=read_bytes))):
        yield from broken
        return  # what else would be found may be untrue
    yield from files.catalog.read(lambda tx: list(checks.violations(tx)))
    yield from files.catalog.read(lambda tx: list(job_checks.violations(tx)))
    yield from files.catalog.read(history.doubled)
    yield from _in_pages(files, _commit_page)
    yield from files.catalog.read(lambda tx: list(_branches(tx)))
    yield from files.catalog.read(tag_rows.violations)
    yield from files.catalog.read(transaction_rows.violations)
    yield from files.catalog.read(purge_rows.violations)
    if read_bytes:
        yield from check_contents(files)
        yield from _in_pages(files, log_rows.damaged_page)
        yield from _in_pages(files, claim_rows.damaged_reports)
    after = ""
    with files.reading.begin() as reading:
        while page := files.catalog.read(partial(_held_page, after)):
            for fileset, _, body in page:
                reading.touch()
                wrong = list(_fileset(files, fileset, Sealed.from_bytes(body), read_bytes=read_bytes))
                # What was deleted while it was looked at is not wrong.
                if wrong and _held(files, fileset):
                    yield from wrong
            after = page[-1][0]


def _held(files: Files, fileset: str) -> bool:
    return files.catalog.read(lambda tx: files.still_held(tx, [fileset]))


def _in_pages(files: Files, look: Callable[..., tuple[list[str], int | None]]) -> Iterator[str]:
    at: int | None = 0
    while at is not None:
        found, at = files.catalog.read(partial(look, above=at))
        yield from found


def _held_page(after: str, tx: Tx) -> list[tuple[str, bytes | None, bytes]]:
    return checks.list_held(tx, after, PAGE)


def _commit_page(tx: Tx, above: int) -> tuple[list[str], int | None]:
    rows = commit_rows.all_commits(tx, above, PAGE)
    if not rows:
        return [], None
    ups = commit_rows.upstream_of(tx, [row.seq for row in rows])
    around = {up for group in ups.values() for up in group} | {row.base for row in rows if row.base is not None}
    known = commit_rows.get_commits(tx, around)
    found = [line for row in rows for line in _commit(tx, row, ups.get(row.seq, []), known)]
    return found, rows[-1].seq


def _commit(tx: Tx, row: CommitRow, ups: Sequence[int], known: dict[int, CommitRow]) -> Iterator[str]:
    unfinished = [known[up] for up in ups if up in known and not known[up].finished]
    if row.open and len(unfinished) != row.open_inputs:
        yield f"I-6: {row.commit} counts {row.open_inputs} unfinished inputs, and {len(unfinished)} are"
    if row.state is CommitState.READY and unfinished:
        yield f"I-6: {row.commit} is READY, and its input {unfinished[0].commit} is not finished"
    if row.state is CommitState.STARTED and not unfinished:
        yield f"I-6: {row.commit} waits for inputs, and all of them are finished"
    if row.finished and row.size_bytes is None:
        yield f"I-3: {row.commit} is finished and has no size"
    yield from _content(tx, row)
    base = known.get(row.base) if row.base is not None else None
    if base is not None and (base.error or not base.finished):
        yield f"I-3: {row.commit} builds on {base.commit}, which has an error or is not finished"


def _content(tx: Tx, row: CommitRow) -> Iterator[str]:
    """What a commit names as its content is what its state says it has."""
    layers, runs = commit_rows.layers(tx, row.seq), commit_rows.runs(tx, row.seq)
    for fileset in [*layers, *runs]:
        if len(fileset) != 32:
            yield f"I-2: {row.commit} names the file set {fileset!r}, which is no id"
    if row.forgotten and (layers or runs):
        yield f"I-3: {row.commit} was forgotten and still names files"
    if row.finished and not row.error and not row.forgotten and bool(row.size_bytes) and not runs:
        yield f"I-3: {row.commit} has {row.size_bytes} bytes and no files"
    if row.finished and not row.error and len(runs) > MOST_RUNS:
        yield f"I-12: {row.commit} is read from {len(runs)} runs, not at most {MOST_RUNS}"
    if row.open == (row.finishing_us is not None) or row.finished == (row.finished_us is None):
        yield f"I-10: {row.commit} is {row.state.value}, which its instants contradict"


def _branches(tx: Tx) -> Iterator[str]:
    """A head's provenance is its branch's, wherever the head was made by propagation and is still the newest."""
    edges = branch_rows.all_edges(tx)
    rows = branch_rows.get_branches(tx, {edge.branch for edge in edges} | {edge.upstream for edge in edges})
    for edge in edges:
        if edge.branch not in rows or edge.upstream not in rows:
            yield f"I-6: provenance names branch {edge.branch} or {edge.upstream}, and one of them is gone"
            return
    for key in stale_outputs(tx):
        yield f"I-6: the head of branch {rows[key].branch} was not made from the heads of what it depends on"


def _fileset(files: Files, fileset: str, sealed: Sealed, *, read_bytes: bool) -> Iterator[str]:
    if read_bytes:
        yield from (f"I-2: file set {fileset}: {line}" for line in files.store.damages(sealed))
    try:
        rows = files.store.rows(sealed)
        listed = [(key.hash, key.gen) for key in sorted(files.store.chunk_keys(sealed))]
    except TrunklineError as error:
        yield f"I-2: file set {fileset} cannot be read: {error}"
        return
    pieces = _pieces(rows)
    yield from checks.list_differs(fileset, listed, pieces)
    yield from files.catalog.read(lambda tx: list(checks.chunks_without_rows(tx, fileset, sorted(set(pieces)))))
    paths = rows.column("path").combine_chunks()
    if len(paths) > 1 and not pc.all(pc.less_equal(paths[:-1], paths[1:])).as_py():
        yield f"I-5: rows of file set {fileset} do not ascend"
    for digest, gen in sorted(set(pieces)):
        yield from _blob(files, fileset, digest, gen)
    if read_bytes:
        yield from _bytes(files, fileset, sealed)


def _pieces(rows: pa.Table) -> list[Key]:
    pieces = rows.column("pieces").combine_chunks().flatten()
    chunks, gens = pc.struct_field(pieces, "chunk"), pc.struct_field(pieces, "gen")
    there = np.flatnonzero(pc.is_valid(chunks).to_numpy(zero_copy_only=False))
    return list(zip(chunks.take(there).to_pylist(), gens.take(there).to_pylist(), strict=True))


def _blob(files: Files, fileset: str, digest: bytes, gen: int) -> Iterator[str]:
    try:
        files.store.blobs.size(ChunkKey(digest, gen).blob)
    except TrunklineError:
        yield f"I-1: chunk {digest.hex()}.{gen}, which file set {fileset} needs, has no blob"


def _bytes(files: Files, fileset: str, sealed: Sealed) -> Iterator[str]:
    rows = files.store.rows(sealed)
    for content in files.store.contents(rows.filter(pc.equal(rows.column("op"), ADD)), files.store.checker()):
        try:
            size = sum(map(len, content.read()))
        except TrunklineError as error:
            yield f"I-1: {content.path} in file set {fileset}: {error}"
            continue
        if size != content.size_bytes:
            yield f"I-2: {content.path} in file set {fileset} has {size} bytes, not {content.size_bytes}"
