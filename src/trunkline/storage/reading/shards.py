"""Ranges of paths that cut a view into parts of about equal work."""

from __future__ import annotations

import numpy as np

from trunkline.storage.filesets.schema import ADD, column, keep, ops, subtree_end
from trunkline.storage.reading.entries import every
from trunkline.storage.reading.view import View

_COLUMNS = ("path", "op", "size", "files")


def shards(view: View, files: int, size_bytes: int) -> list[tuple[str, str]]:
    """Ranges (lower inclusive, upper exclusive, "" is no bound) that follow each other and cover every path.

    A range ends with the file that brings it to `files` of them, or to `size_bytes`; both 1 or more. Content that
    several datums wrote at one path stays in one range. A view without files is one range.
    """
    bounds: list[str] = []
    count = size = 0
    last = ""
    for batch in view.scan("/", subtree_end("/"), every, columns=_COLUMNS):
        rows = keep(batch, ops(batch) == ADD)
        sums = np.concatenate(([0], np.cumsum(column(rows, "size"))))
        paths = rows.column("path")
        start = 0
        while start < rows.num_rows:
            if count >= files or size >= size_bytes:
                path = paths[start].as_py()
                if path == last:
                    start += 1  # another datum's content of the file that filled the range
                    continue
                bounds.append(path)
                count = size = 0
            by_size = int(np.searchsorted(sums, int(sums[start]) + size_bytes - size, side="left"))
            end = min(start + files - count, max(by_size, start + 1), rows.num_rows)
            count += end - start
            size += int(sums[end] - sums[start])
            last = paths[end - 1].as_py()
            start = end
    return list(zip(["", *bounds], [*bounds, ""], strict=True))
