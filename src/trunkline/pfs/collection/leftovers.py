"""Leftovers: blobs whose row was never written, since whoever uploaded them ended before. Found by listing, slowly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from trunkline.catalog.collection import cycle as cycle_rows
from trunkline.catalog.collection.chunks import Key
from trunkline.errors import NotFound
from trunkline.pfs.collection.cycle import Figures
from trunkline.pfs.files import Files
from trunkline.storage import ChunkKey

KINDS = ("chunks/", "parts/", "lists/")
FOLDERS = [f"{kind}{number:02x}/" for kind in KINDS for number in range(256)]
"""Everything that writers put lies below one of these. Who sweeps all of them at once names the kinds: what has no
blob is then not asked for, which an object store answers in tens of milliseconds each."""

PAGE = 1000

_CHUNK = re.compile(r"chunks/[0-9a-f]{2}/([0-9a-f]{64})\.([0-9]+)")
_OTHER = re.compile(r"(?:parts|lists)/[0-9a-f]{2}/.+\.([0-9]+)")


def sweep(files: Files, folder: str, figures: Figures, *, keep: bool = False) -> Iterator[None]:
    """Delete what belongs to nothing below one of FOLDERS, or of KINDS, adding to `figures`. keep: only count it.

    A blob goes if the session that put it has ended, and it has neither a row nor a doomed row. Names that are none of
    ours are left alone.
    """
    names = files.store.blobs.names(folder)
    while page := list(islice(names, PAGE)):
        yield
        left: list[str] = []
        for name in _left(files, page):
            try:
                figures.leftover_bytes += files.store.blobs.size(name)
            except NotFound:
                continue
            left.append(name)
        if left and not keep:
            files.store.discard(left)
        figures.leftovers += len(left)
        yield


def _left(files: Files, names: Sequence[str]) -> list[str]:
    chunks: list[Key] = []
    others: list[tuple[str, int]] = []
    for name in names:
        if found := _CHUNK.fullmatch(name):
            chunks.append((bytes.fromhex(found[1]), int(found[2])))
        elif found := _OTHER.fullmatch(name):
            others.append((name, int(found[1])))
    left_chunks = files.catalog.read(partial(cycle_rows.leftover_chunks, keys=chunks))
    left = files.catalog.read(partial(cycle_rows.leftover_blobs, names=others))
    return [*(ChunkKey(*key).blob for key in left_chunks), *left]
