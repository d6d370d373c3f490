"""Names to remember while something is copied, in a file: memory does not grow by them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trunkline.catalog.engine.sqlite import driver


class Notes:
    """Names, each with a text. For one thread at a time. The file is deleted by `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw: Any = driver().connect(str(path), isolation_level=None, check_same_thread=False)
        self._raw.execute("PRAGMA synchronous = OFF")
        self._raw.execute("PRAGMA journal_mode = OFF")
        self._raw.execute("CREATE TABLE noted (name TEXT PRIMARY KEY, told TEXT) WITHOUT ROWID")

    def add(self, names: Iterable[str], told: str = "") -> None:
        """Remember names; one that is there already stays as it is."""
        self._raw.executemany("INSERT OR IGNORE INTO noted VALUES (?, ?)", ((name, told) for name in names))

    def find(self, name: str) -> str | None:
        """What was told with a name; None where it was not."""
        row = self._raw.execute("SELECT told FROM noted WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def count(self) -> int:
        """How many there are."""
        return int(self._raw.execute("SELECT count(*) FROM noted").fetchone()[0])

    def close(self) -> None:
        """Forget all."""
        self._raw.close()
        self._path.unlink(missing_ok=True)
