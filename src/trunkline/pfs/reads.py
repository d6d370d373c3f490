"""Files read: which content a commit has, and what lies where in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from trunkline.ambient import Micros
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model import paths
from trunkline.model.globs import Glob
from trunkline.model.infos import CommitState, FileInfo
from trunkline.model.names import META_REPO, Commit, Repo
from trunkline.pfs.files import Files, load
from trunkline.pfs.finisher import base_of
from trunkline.pfs.graph.changes import COMMIT_TOPIC
from trunkline.pfs.graph.refs import need_commit, need_row, refuse_forgotten
from trunkline.pfs.lent.pseudo import is_lent, need_lease
from trunkline.pfs.outside.fetching import always
from trunkline.pfs.pins import Reading
from trunkline.storage import Entry, View, entries

LONGEST_S = 60.0
"""How long a call waits for commits that are being finished where it can also be refused."""

MAX_NUMBER = 100_000
"""The most entries that one call may ask for by number."""


@dataclass(frozen=True, slots=True)
class Source:
    """A commit opened for reading. What it is made of is not collected as long as somebody has this."""

    commit: Commit
    committed_us: Micros | None
    filesets: tuple[str, ...]
    view: View
    reading: Reading = field(compare=False, repr=False)
    seq: int = 0


def open_source(files: Files, repo: Repo, ref: str) -> Source | None:
    """A commit's content as it is now; None while the commit is being finished: wait for its event, then ask again.

    Through the repo `LENT_REPO` a file set is read, whose id `ref` is.

    An open commit shows its base and what was written so far. Raises NotFound, FailedPrecondition when the commit
    under an open one is itself unfinished.
    """
    reading = files.reading.begin()

    def work(tx: Tx) -> tuple[CommitRow, tuple[str, ...], View] | None:
        row = need_commit(tx, repo, ref)
        if row.state is CommitState.FINISHING:
            return None
        refuse_forgotten(row)
        if row.commit.repo.type == META_REPO:
            shown = files.records(files, tx, row)
            return (row, *shown) if shown is not None else None
        ids = content_of(tx, row, strict=True)
        return row, ids, files.store.view(load(tx, ids), reading)

    if is_lent(repo):
        return _lent_source(files, repo, ref, reading)
    found = files.catalog.read(work)
    if found is None:
        return None
    row, ids, view = found
    return Source(row.commit, row.finished_us, ids, view, reading, row.seq)


def _lent_source(files: Files, repo: Repo, lease: str, reading: Reading) -> Source:
    def work(tx: Tx) -> Source:
        row = need_lease(tx, lease)
        view = files.store.view(load(tx, row.filesets), reading)
        return Source(Commit(repo, row.id), row.created_us, row.filesets, view, reading)

    return files.catalog.read(work)


def output_source(files: Files, seq: int) -> Source:
    """An output commit as its job put it together, on the base that was fixed for it; it may be open still.

    Raises NotFound when it has gone.
    """
    reading = files.reading.begin()

    def work(tx: Tx) -> Source:
        row = need_row(tx, seq)
        runs = commit_rows.runs(tx, row.base) if row.base is not None else ()
        ids = (*runs, *commit_rows.layers(tx, seq))
        return Source(row.commit, row.finished_us, ids, files.store.view(load(tx, ids), reading), reading, seq)

    return files.catalog.read(work)


def need_source(files: Files, repo: Repo, ref: str, wanted: Callable[[], bool] = always) -> Source:
    """As `open_source`, waiting while the commit is being finished. For threads that may block.

    wanted: whether somebody still waits; raises Aborted when nobody does.
    """
    seen = 0
    while True:
        source = open_source(files, repo, ref)
        if source is not None:
            return source
        if not wanted():
            raise Aborted(f"nobody waits any more for {repo}@{ref}, which is being finished")
        seen = files.catalog.wake.wait(seen, 1.0, COMMIT_TOPIC)


def content_of(tx: Tx, row: CommitRow, *, strict: bool = False) -> tuple[str, ...]:
    """The file sets that a commit's content is made of, oldest first.

    An open commit on an unfinished base has none, or with `strict` raises FailedPrecondition.
    """
    refuse_forgotten(row)
    if row.finished:
        return tuple(commit_rows.runs(tx, row.seq))
    base = base_of(tx, row)
    under = commit_rows.get_commit(tx, base) if base is not None else None
    parent = commit_rows.get_commit(tx, row.parent) if row.parent is not None else None
    unfinished = next((one for one in (under, parent) if one is not None and not one.finished), None)
    if unfinished is not None:
        if strict:
            raise FailedPrecondition(
                f"commit {row.commit} cannot be read yet: its base commit {unfinished.commit} is not finished; "
                f"wait for it with `pachctl wait commit {unfinished.commit.repo.typed}@{unfinished.commit.id}`"
            )
        return ()
    runs = commit_rows.runs(tx, under.seq) if under is not None else []
    return (*runs, *commit_rows.layers(tx, row.seq))


def inspect_file(source: Source, path: str) -> FileInfo:
    """One file or directory. Raises NotFound."""
    return info_of(source, _need(source, path))


def missing(source: Source, path: str) -> NotFound:
    """The refusal of a path that a commit does not have. python-pachyderm matches on these words."""
    return NotFound(f"file {path} not found in repo {source.commit.repo} at commit {source.commit.id}")


def _need(source: Source, path: str) -> Entry:
    cleaned = paths.clean(path)
    entry = source.view.find(cleaned)
    if entry is None:
        raise missing(source, cleaned)
    return entry


def info_of(source: Source, entry: Entry) -> FileInfo:
    """A file or directory as it is shown."""
    return FileInfo(
        commit=source.commit,
        path=entry.path,
        datum=entry.datum,
        is_dir=entry.is_dir,
        size_bytes=entry.size_bytes,
        hash=entry.hash,
        committed_us=source.committed_us,
    )


def _check_number(number: int, reverse: bool) -> int | None:
    if number < 0 or number > MAX_NUMBER:
        raise InvalidArgument(f"number must be 0 (all) to {MAX_NUMBER}, not {number}")
    if reverse and not number:
        raise InvalidArgument("a reverse listing needs a number of entries to return")
    return number or None


def list_file(
    source: Source, path: str, *, marker: str = "", number: int = 0, reverse: bool = False
) -> Iterator[FileInfo]:
    """As `list_pages`, one by one."""
    return _infos(source, list_pages(source, path, marker=marker, number=number, reverse=reverse))


def list_pages(
    source: Source, path: str, *, marker: str = "", number: int = 0, reverse: bool = False
) -> Iterator[pa.Table]:
    """What lies in a directory, in path order, as tables of entries; a file is listed as itself. Raises NotFound.

    marker: only entries after that path (before it, with `reverse`). number: how many; 0: all.
    """
    limit = _check_number(number, reverse)
    cleaned = paths.clean(path)
    entry = source.view.find(cleaned)
    if entry is None:
        if cleaned == paths.ROOT:
            return
        raise missing(source, cleaned)
    if not entry.is_dir:
        yield from source.view.walk(cleaned)
        return
    after = paths.clean(marker) if marker else None
    yield from source.view.list(cleaned, after=after, limit=limit, reverse=reverse)


def walk_file(
    source: Source, path: str, *, marker: str = "", number: int = 0, reverse: bool = False
) -> Iterator[FileInfo]:
    """As `walk_pages`, one by one."""
    return _infos(source, walk_pages(source, path, marker=marker, number=number, reverse=reverse))


def walk_pages(
    source: Source, path: str, *, marker: str = "", number: int = 0, reverse: bool = False
) -> Iterator[pa.Table]:
    """A directory and all below it, in path order. Raises NotFound, except for an empty commit's root."""
    limit = _check_number(number, reverse)
    cleaned = paths.clean(path)
    entry = source.view.find(cleaned)
    if entry is None:
        if cleaned == paths.ROOT:
            return
        raise missing(source, cleaned)
    after = paths.clean(marker) if marker else None
    yield from source.view.walk(cleaned, after=after, limit=limit, reverse=reverse)


def glob_file(source: Source, pattern: str, *, lower: str = "", upper: str = "") -> Iterator[FileInfo]:
    """As `glob_pages`, one by one."""
    return _infos(source, glob_pages(source, pattern, lower=lower, upper=upper))


def glob_pages(source: Source, pattern: str, *, lower: str = "", upper: str = "") -> Iterator[pa.Table]:
    """Files and directories that match, in path order; lower is inclusive, upper exclusive, "" is no bound."""
    return source.view.glob(Glob(pattern), lower=lower or None, upper=upper or None)


def _infos(source: Source, pages: Iterator[pa.Table]) -> Iterator[FileInfo]:
    for entry in entries(pages):
        yield info_of(source, entry)
