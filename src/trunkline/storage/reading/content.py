"""The bytes of files, from their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import pyarrow as pa

from trunkline.storage.chunks import ChunkReader, Piece
from trunkline.storage.ports import ChunkKey

_TOGETHER = 4096  # files whose pieces are in memory as objects


class Content:
    """One file, to be read."""

    def __init__(
        self, path: str, datum: str, size_bytes: int, digest: bytes, pieces: list[Piece], source: Reads | None
    ) -> None:
        self.path, self.datum, self.size_bytes, self.hash = path, datum, size_bytes, digest
        self.pieces = pieces
        self.source = source

    def read(self, offset: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Bytes from `offset` on, `length` of them or all there are; nothing past the end. Checked as they are read.

        Raises DataLoss naming the chunk when what is stored has changed, BlobGone when it is absent.
        """
        if self.source is None:
            raise ValueError("the content has no source yet")
        return self.source.read(self, offset, length)

    def bytes(self) -> bytes:
        """The whole file, in memory."""
        return b"".join(self.read())


class Reads:
    """How contents get their bytes: each alone."""

    def __init__(self, reader: ChunkReader) -> None:
        self._reader = reader

    def read(self, content: Content, offset: int, length: int | None) -> Iterator[memoryview]:
        """See `Content.read`."""
        return self._reader.read_span(content.pieces, offset, length)


class _InTurn(Reads):
    """Contents that are read whole and in order share one stream, which fetches ahead across them.

    One that is skipped, or read in part, leaves the stream behind; it and those after it are then read each alone.
    """

    def __init__(self, reader: ChunkReader, contents: list[Content]) -> None:
        super().__init__(reader)
        self._contents = contents
        self._due = 0
        self._stream = reader.read(chain.from_iterable(content.pieces for content in contents))

    def read(self, content: Content, offset: int, length: int | None) -> Iterator[memoryview]:
        """See `Content.read`."""
        due = self._due
        if offset or length is not None or due >= len(self._contents) or self._contents[due] is not content:
            return super().read(content, offset, length)
        self._due = len(self._contents)
        return self._whole(content, due)

    def _whole(self, content: Content, due: int) -> Iterator[memoryview]:
        for _ in content.pieces:
            yield next(self._stream)
        self._due = due + 1


def content_of(rows: pa.RecordBatch, at: int, reader: ChunkReader) -> Content:
    """The file that one row says."""
    return _contents(rows.slice(at, 1), Reads(reader))[0]


def contents_of(batches: Iterable[pa.RecordBatch], reader: ChunkReader) -> Iterator[Content]:
    """The files that rows say, in order; reading each when it comes is quickest."""
    for batch in batches:
        for start in range(0, batch.num_rows, _TOGETHER):
            contents = _contents(batch.slice(start, _TOGETHER), None)
            source = _InTurn(reader, contents)
            for content in contents:
                content.source = source
                yield content


def pieces_of(rows: pa.RecordBatch) -> list[list[Piece]]:
    """Each file's pieces, with every digest written out."""
    column = rows.column("pieces")
    values = column.flatten()
    fields = (values.field(name).to_pylist() for name in ("digest", "length", "chunk", "gen", "offset", "inline"))
    hashes = rows.column("hash").to_pylist()
    flat = zip(*fields, strict=True)
    return [
        [
            Piece(digest or hashes[row], length, None if chunk is None else ChunkKey(chunk, gen), offset, inline)
            for digest, length, chunk, gen, offset, inline in islice(flat, count)
        ]
        for row, count in enumerate(column.value_lengths().to_pylist())
    ]


def _contents(rows: pa.RecordBatch, source: Reads | None) -> list[Content]:
    columns = (rows.column(name).to_pylist() for name in ("path", "datum", "size", "hash"))
    return [
        Content(path, datum or "", size, digest, pieces, source)
        for path, datum, size, digest, pieces in zip(*columns, pieces_of(rows), strict=True)
    ]
