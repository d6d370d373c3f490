"""A copy of the catalog in a file of its own: which blobs its rows need, and which somebody has already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from trunkline.catalog.engine.sqlite import APPLICATION_ID, driver
from trunkline.catalog.migrate import NEWEST
from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument

PAGE = 2000


class CatalogCopy:
    """One copy. For one thread at a time. Notes are kept in a file beside it, never in it."""

    def __init__(self, path: Path) -> None:
        """Open the copy at `path`. Raises InvalidArgument, DataLoss, FailedPrecondition for what is no catalog that
        this release can open."""
        self.path = path
        self._error: type[Exception] = driver().Error
        self._raw: Any = driver().connect(str(path), isolation_level=None, check_same_thread=False)
        try:
            self._check()
            self._raw.execute("ATTACH ? AS notes", (str(path.with_suffix(".notes")),))
            self._raw.execute("PRAGMA notes.synchronous = OFF")
            self._raw.execute("PRAGMA notes.journal_mode = OFF")
            self._raw.execute("CREATE TABLE notes.had (name TEXT PRIMARY KEY) WITHOUT ROWID")
        except BaseException:
            self._raw.close()
            raise

    def _check(self) -> None:
        try:
            if self._raw.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise InvalidArgument("the backup holds no catalog of Trunkline")
            version = int(self._raw.execute("SELECT version FROM schema_version").fetchone()[0])
            if self._raw.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise DataLoss("the catalog in the backup is damaged")
        except self._error as error:
            raise DataLoss(f"the catalog in the backup cannot be read: {error}") from error
        if version > NEWEST:
            raise FailedPrecondition(
                f"the backup was made by a newer Trunkline (tables of version {version}, this one knows {NEWEST}): "
                "start that release to restore it"
            )

    def chunks(self) -> Iterator[tuple[bytes, int, int]]:
        """Hash, generation and stored bytes of every chunk that is not damaged, ascending."""
        yield from self._pages(
            "SELECT hash, gen, stored_bytes FROM chunks WHERE damaged = 0 AND (hash, gen) > (?, ?) "
            "ORDER BY hash, gen LIMIT ?",
            (b"", -1),
            2,
        )

    def blobs(self) -> Iterator[str]:
        """Names of the blobs of file sets, ascending."""
        query = "SELECT DISTINCT name FROM fileset_blobs WHERE name > ? ORDER BY name LIMIT ?"
        for (name,) in self._pages(query, ("",), 1):
            yield name

    def secrets(self) -> Iterator[tuple[str, bytes]]:
        """Name and sealed content of every secret, ascending."""
        yield from self._pages("SELECT name, sealed FROM secrets WHERE name > ? ORDER BY name LIMIT ?", ("",), 1)

    def _pages(self, query: str, after: tuple[Any, ...], width: int) -> Iterator[Any]:
        while rows := self._raw.execute(query, (*after, PAGE)).fetchall():
            yield from rows
            after = tuple(rows[-1][:width])

    def needs_chunk(self, digest: bytes, gen: int) -> bool:
        """Whether a row names this chunk."""
        query = "SELECT 1 FROM chunks WHERE hash = ? AND gen = ?"
        return self._raw.execute(query, (digest, gen)).fetchone() is not None

    def needs_blob(self, name: str) -> bool:
        """Whether a file set names this blob."""
        return self._raw.execute("SELECT 1 FROM fileset_blobs WHERE name = ?", (name,)).fetchone() is not None

    def figures(self) -> tuple[int, int]:
        """How many blobs it needs, and how many bytes those of chunks have."""
        chunks, size = self._raw.execute(
            "SELECT count(*), coalesce(sum(stored_bytes), 0) FROM chunks WHERE damaged = 0"
        ).fetchone()
        return chunks + self._raw.execute("SELECT count(DISTINCT name) FROM fileset_blobs").fetchone()[0], size

    def note(self, names: Iterable[str]) -> None:
        """Remember names."""
        self._raw.executemany("INSERT OR IGNORE INTO notes.had VALUES (?)", ((name,) for name in names))

    def noted(self, name: str) -> bool:
        """Whether a name is remembered."""
        return self._raw.execute("SELECT 1 FROM notes.had WHERE name = ?", (name,)).fetchone() is not None

    def newest_gen(self) -> int:
        """The last number that was given to a write session."""
        return int(self._raw.execute("SELECT coalesce(max(gen), 0) FROM sessions").fetchone()[0])

    def pass_gen(self, gen: int, now_us: int) -> None:
        """Give no session a number up to `gen` any more."""
        if gen > self.newest_gen():
            query = "INSERT INTO sessions (gen, kind, open, opened_us) VALUES (?, 'restore', 0, ?)"
            self._raw.execute(query, (gen, now_us))

    def close(self) -> None:
        """Let go of the file, all of it written, and delete the notes."""
        self._raw.execute("DETACH notes")
        self._raw.close()
        self.path.with_suffix(".notes").unlink(missing_ok=True)
