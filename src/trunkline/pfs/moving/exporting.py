"""One repo as a bundle: its rows at one instant, and what they need."""

from __future__ import annotations

import dataclasses
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec

from trunkline import __version__
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import chunks as chunk_rows
from trunkline.catalog.copies import repos as rows
from trunkline.catalog.copies.notes import Notes
from trunkline.catalog.engine import Tx
from trunkline.catalog.repos import RepoRow
from trunkline.errors import Aborted, DataLoss, FailedPrecondition, NotFound
from trunkline.model.backups import bundles as form
from trunkline.model.backups.records import ABOUT, SMALL_BYTES, pieces_of, record
from trunkline.model.names import USER_REPO, Repo
from trunkline.pfs.files import Files, load
from trunkline.pfs.graph.refs import need_repo
from trunkline.storage import ChunkKey, Sealed

AT_ONCE = 4
"""Blobs that are read at once; so many are in memory."""
LIST_ENTRY = 40
PAGE = 1000


@dataclass(slots=True)
class Outline:
    """What a bundle will hold. notes: what does not come along, a sentence each. size_bytes: about."""

    id: str
    commits: int = 0
    branches: int = 0
    tags: int = 0
    chunks: int = 0
    known_chunks: int = 0
    size_bytes: int = 0
    notes: list[str] = field(default_factory=list)


class Exporting:
    """A bundle on its way. Collection takes nothing of it until it is closed.

    folder: where its rows lie meanwhile. Raises NotFound, FailedPrecondition for a system repo.
    """

    def __init__(self, files: Files, repo: Repo, folder: Path) -> None:
        if repo.type != USER_REPO:
            raise FailedPrecondition(f"{repo} is a system repo, which is made anew by its pipeline; export a user repo")
        self._files = files
        self.outline = Outline(files.ambient.new_id())
        self._since = ""
        self._folder = folder / self.outline.id
        self._folder.mkdir(parents=True, mode=0o700)
        # First the pin, then the rows: what they name cannot go any more.
        self._reading = files.reading.begin()
        self._known = Notes(self._folder / "known")
        self._listed = Notes(self._folder / "listed")
        try:
            files.catalog.read(lambda tx: self._copy(tx, repo))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave nothing behind."""
        self._reading.close()
        self._known.close()
        self._listed.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def since(self, bundle: str, names: Iterable[str]) -> None:
        """Only list these chunks: the earlier bundle of that id has them."""
        self._since = bundle
        self._known.add(names)

    def figures(self) -> Outline:
        """How much it will be."""
        outline = self.outline
        outline.chunks = outline.known_chunks = 0
        outline.size_bytes = self._path("commits").stat().st_size + self._path("filesets").stat().st_size
        keys = self._chunks()
        while some := list(islice(keys, PAGE)):
            new = [(key.hash, key.gen) for key in some if key.hash.hex() not in self._known]
            outline.known_chunks += len(some) - len(new)
            outline.chunks += len(new)
            outline.size_bytes += self._files.catalog.read(partial(chunk_rows.stored_bytes, keys=new))
        return outline

    def pieces(self, wanted: Callable[[], bool] = lambda: True) -> Iterator[bytes]:
        """The bundle, from its start. Raises DataLoss for a blob that is not there: then it cannot be made."""
        yield form.FORM.start()
        yield record(ABOUT, "about", dataclasses.replace(self._about, since=self._since).to_bytes())
        yield record(form.REFS, "branches and tags", self._refs)
        yield from self._commit_records()
        emitted = Notes(self._folder / "emitted")
        try:
            with ThreadPoolExecutor(AT_ONCE, "export") as pool:
                for sealed in self._filesets():
                    for name, data in self._ahead(pool, self._new_chunks(sealed, emitted)):
                        yield from pieces_of(form.CHUNK if data else form.LISTED, name, len(data), [data])
                        if not wanted():
                            raise Aborted("nobody waits for this bundle any more")
                    yield from self._fileset(sealed)
        finally:
            emitted.close()
        yield record(form.END, "")

    # --- the rows, copied in one transaction

    def _copy(self, tx: Tx, repo: Repo) -> None:
        row = need_repo(tx, repo)
        count, last = rows.last_seq(tx, row.key)
        self.outline.commits = count
        self._about = _about(self.outline.id, self._files.ambient.now_us(), row, count, last)
        with self._path("commits").open("wb") as texts, self._path("filesets").open("wb") as sets:
            seen = Notes(self._folder / "seen")
            try:
                for page in rows.commit_pages(tx, row.key):
                    texts.write(form.lines(page))
                    for one in page:
                        for name in (*one["diff"], *one["runs"]):
                            if name not in seen:
                                seen.add([name])
                                data = load(tx, [name])[0].to_bytes()
                                sets.write(len(data).to_bytes(8, "big") + data)
            finally:
                seen.close()
        self._refs = self._read_refs(tx, row)

    def _read_refs(self, tx: Tx, row: RepoRow) -> bytes:
        notes = self.outline.notes
        if open_commits := rows.unfinished(tx, row.key):
            notes.append(f"commits that are not finished are left out: {open_commits}")
        branches: list[rows.Values] = []
        for one in rows.branch_values(tx, row.key):
            head = _finished(tx, one["head"])
            if head is None:
                notes.append(f"branch {one['name']} has no finished commit, and is left out")
                continue
            if one.pop("derived"):
                notes.append(f"branch {one['name']} is derived from others, and will be one of its own")
            branches.append(one | {"head": head})
        tags = rows.tag_values(tx, row.key)
        self.outline.branches, self.outline.tags = len(branches), len(tags)
        return form.lines([{"branches": branches, "tags": tags, "notes": notes}])

    # --- what it needs

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _commit_records(self) -> Iterator[bytes]:
        some: list[bytes] = []
        with self._path("commits").open("rb") as texts:
            for line in texts:
                some.append(line)
                if len(some) == form.COMMITS_AT_ONCE:
                    yield record(form.COMMITS, "commits", b"".join(some))
                    some = []
        if some:
            yield record(form.COMMITS, "commits", b"".join(some))

    def _filesets(self) -> Iterator[Sealed]:
        with self._path("filesets").open("rb") as sets:
            while head := sets.read(8):
                yield Sealed.from_bytes(sets.read(int.from_bytes(head, "big")))

    def _keys(self, sealed: Sealed) -> Iterator[ChunkKey]:
        listed = self._files.store.chunk_list(sealed)
        for at in range(0, len(listed), LIST_ENTRY):
            yield ChunkKey(listed[at : at + 32], int.from_bytes(listed[at + 32 : at + LIST_ENTRY], "big"))

    def _chunks(self) -> Iterator[ChunkKey]:
        """Every chunk once."""
        counted = Notes(self._folder / "counted")
        try:
            for sealed in self._filesets():
                yield from self._new_chunks(sealed, counted)
        finally:
            counted.close()

    def _new_chunks(self, sealed: Sealed, emitted: Notes) -> Iterator[ChunkKey]:
        for key in self._keys(sealed):
            name = key.hash.hex()
            if name not in emitted:
                emitted.add([name])
                yield key

    def _ahead(self, pool: ThreadPoolExecutor, keys: Iterator[ChunkKey]) -> Iterator[tuple[str, bytes]]:
        """Name and blob of each chunk, in order; no bytes for one that is known. A few are read ahead."""
        waiting: deque[tuple[str, Future[bytes]]] = deque()
        for key in keys:
            name = key.hash.hex()
            waiting.append((name, pool.submit(self._blob, key.blob if name not in self._known else "")))
            if len(waiting) >= AT_ONCE:
                yield self._next(waiting)
        while waiting:
            yield self._next(waiting)

    def _next(self, waiting: deque[tuple[str, Future[bytes]]]) -> tuple[str, bytes]:
        name, reading = waiting.popleft()
        self._reading.touch()
        return name, reading.result()

    def _blob(self, name: str) -> bytes:
        try:
            return self._files.store.blobs.get(name) if name else b""
        except NotFound:
            raise DataLoss(
                f"blob {name} is not there, so no bundle can be whole; `pachctl fsck` says what it was"
            ) from None

    def _fileset(self, sealed: Sealed) -> Iterator[bytes]:
        bare = msgspec.structs.replace(sealed, chunks=None, chunks_blob=None, chunks_digest=b"")
        yield record(form.FILESET, sealed.id, bare.to_bytes())
        for part in sealed.parts:
            yield record(form.PART, part.blob, self._blob(part.blob))


def _about(bundle: str, now_us: int, row: RepoRow, commits: int, last_seq: int) -> form.About:
    about = form.About(
        id=bundle,
        created_us=now_us,
        release=__version__,
        since="",
        project=row.repo.project,
        name=row.repo.name,
        description=row.description,
        repo_created_us=row.created_us,
        metadata=row.metadata,
        commits=commits,
        last_seq=last_seq,
    )
    if len(about.to_bytes()) > SMALL_BYTES:
        raise FailedPrecondition(f"the texts attached to {row.repo} are more than 1 MiB, which no bundle takes")
    return about


def _finished(tx: Tx, head: int) -> int | None:
    """The nearest finished commit from a branch's head back."""
    seq: int | None = head
    while seq is not None:
        row = commit_rows.get_commit(tx, seq)
        if row is None or row.finished:
            return row.seq if row is not None else None
        seq = row.parent
    return None
