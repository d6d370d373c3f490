"""Edits of one stream, folded as they come: what was written later acts on what was written before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from trunkline.storage.filesets.schema import ADD, DEL, DELTREE, PIECES, SCHEMA
from trunkline.storage.writing.intake import Bit

Key = tuple[str, str]


class Edits:
    """Canonical: at most one content for each (path, datum), and hides for what lies below."""

    def __init__(self) -> None:
        self.contents: dict[Key, list[Bit]] = {}
        self.hides: set[tuple[str, str | None]] = set()
        self._tagged: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self.contents) + len(self.hides)

    def content(self, path: str, datum: str) -> list[Bit]:
        """The bits of a file, to be added to."""
        key = (path, datum)
        bits = self.contents.get(key)
        if bits is None:
            bits = self.contents[key] = []
            if datum:
                self._tagged.setdefault(path, []).append(datum)
        return bits

    def replace(self, path: str, datum: str, bits: list[Bit]) -> None:
        """What `delete` and then `content` would do, quicker. A datum replaces its own content only."""
        if datum or self._tagged:
            self.delete(path, datum or None)
            self.content(path, datum)[:] = bits
            return
        self.hides.add((path, None))
        self.contents[path, ""] = bits

    def delete(self, path: str, datum: str | None) -> None:
        """Hide what lies below, and drop what this stream had there. A path that ends in "/" means all below it."""
        self.hides.add((path, datum))
        if path.endswith("/"):
            for key in [key for key in self.contents if key[0].startswith(path) and datum in (None, key[1])]:
                del self.contents[key]
        elif datum is not None:
            self.contents.pop((path, datum), None)
        else:
            self.contents.pop((path, ""), None)
            for tag in self._tagged.pop(path, ()):
                self.contents.pop((path, tag), None)

    def keys(self) -> list[Key]:
        """Of the contents, ascending by path, then datum: the order of the rows."""
        return sorted(self.contents)

    def hide_rows(self) -> pa.RecordBatch:
        """The hides, ascending. Everybody's make those of one datum idle."""
        hides = [(path, datum) for path, datum in self.hides if datum is None or (path, None) not in self.hides]
        return _hide_rows(sorted(hides, key=lambda hide: (hide[0], hide[1] or "")))


def content_rows(keys: Sequence[Key], sizes: pa.Array, hashes: pa.Array, pieces: pa.ListArray) -> pa.RecordBatch:
    """Rows of content at these keys."""
    count = len(keys)
    columns = {
        "path": pa.array([path for path, _ in keys], pa.string()),
        "op": pa.array(np.full(count, ADD, dtype=np.uint8)),
        "datum": pa.array([datum for _, datum in keys], pa.string()),
        "size": sizes,
        "hash": hashes,
        "pieces": pieces,
        "since": pa.array(np.zeros(count, dtype=np.int64)),
        "files": pa.array(np.ones(count, dtype=np.int64)),
    }
    return pa.RecordBatch.from_arrays([columns[field.name] for field in SCHEMA], schema=SCHEMA)


def _hide_rows(hides: Sequence[tuple[str, str | None]]) -> pa.RecordBatch:
    zeros = pa.array(np.zeros(len(hides), dtype=np.int64))
    columns = {
        "path": pa.array([path for path, _ in hides], pa.string()),
        "op": pa.array([DELTREE if path.endswith("/") else DEL for path, _ in hides], pa.uint8()),
        "datum": pa.array([datum for _, datum in hides], pa.string()),
        "hash": pa.nulls(len(hides), pa.binary(32)),
        "pieces": pa.array([[]] * len(hides), PIECES),
    }
    return pa.RecordBatch.from_arrays([columns.get(field.name, zeros) for field in SCHEMA], schema=SCHEMA)


def hides_of(paths: pa.Array) -> pa.RecordBatch:
    """Hides of everybody's content at these paths of files, which ascend."""
    rows = _hide_rows([])
    zeros = pa.array(np.zeros(len(paths), dtype=np.int64))
    empty = {
        "path": paths,
        "op": pa.array(np.full(len(paths), DEL, dtype=np.uint8)),
        "datum": pa.nulls(len(paths), pa.string()),
        "hash": pa.nulls(len(paths), pa.binary(32)),
        "pieces": pa.ListArray.from_arrays(
            pa.array(np.zeros(len(paths) + 1, dtype=np.int32)), rows.column("pieces").values, type=PIECES
        ),
    }
    return pa.RecordBatch.from_arrays([empty.get(field.name, zeros) for field in SCHEMA], schema=SCHEMA)
