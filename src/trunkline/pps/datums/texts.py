"""A datum's record as a text, and how long the texts of all datums of a job are, without making them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.model.datums import DatumTable, Element, Slot
from trunkline.model.jobs import DatumState
from trunkline.model.names import Job, Repo
from trunkline.model.results import STATES
from trunkline.pps.tables import JobTable

SECOND_US = 1_000_000
_ESCAPED = r'["\\\x00-\x1f]'
_NONE = {
    "state": 0,
    **dict.fromkeys(("index", "download_us", "process_us", "upload_us", "download_bytes", "upload_bytes", "tries"), 0),
    **dict.fromkeys(("reason", "image", "code"), ""),
}


def text_of(job: Job, known: dict[str, Any], datum: Sequence[Element], digest: bytes) -> bytes:
    """A datum's record as JSON. job: the one that ran it; digest: what its result depends on."""
    return json.dumps(record(job, known, datum, digest), ensure_ascii=False, indent=1).encode() + b"\n"


def total_size(job: Job, table: JobTable) -> int:
    """Bytes of all records of a job, counted by columns. What differs between two records is digits and strings."""
    rows = table.rows
    count = rows.num_rows
    empty = _length(job)
    size = count * (empty - len(_state(0)))
    size += sum(len(_state(code)) * number for code, number in _counts(rows["state"]))
    for name in ("index", "download_bytes", "upload_bytes", "tries"):
        size += _sum(pc.binary_length(rows[name].cast(pa.string()))) - count
    for name in ("download_us", "process_us", "upload_us"):
        size += _sum(pc.binary_length(pc.divide(rows[name], SECOND_US).cast(pa.string()))) - count
    for name in ("reason", "image", "code"):
        size += sum((_shown(text) - 2) * number for text, number in _counts(rows[name]))
    return int(size) + _inputs(job, table.datums, empty)


def _inputs(job: Job, datums: DatumTable, empty: int) -> int:
    """What the elements of all datums add to records without any."""
    if not len(datums.elements):
        return 0
    one = [Element(slot, "", False, 0, b"", "", "") for slot in datums.slots]
    each = [_length(job, element, element) - _length(job, element) for element in one]
    frame = _length(job, one[0]) - empty - each[0]
    elements = datums.elements
    sizes = np.array(each, np.int64)[elements["slot"].to_numpy()]
    sizes += _numbers(pc.binary_length(elements["size"].cast(pa.string()))) - 1
    sizes += 2 * _numbers(pc.binary_length(elements["hash"]))
    sizes += _lengths(elements["path"]) + _numbers(elements["is_dir"].cast(pa.int64()))
    roots = pc.and_(elements["is_dir"], pc.equal(elements["path"], "/"))
    sizes -= _numbers(roots.cast(pa.int64()))
    for name, key in (("join_on", ("x", "")), ("group_by", ("", "x"))):
        lengths = _lengths(elements[name])
        sizes += np.where(lengths > 0, lengths + _keyed(job, datums.slots[0], *key), 0)
    flat = datums.rows.flatten().to_numpy()
    filled = int(np.count_nonzero(_numbers(pc.list_value_length(datums.rows))))
    return int(sizes[flat].sum()) + frame * filled


def _keyed(job: Job, slot: Slot, join_on: str, group_by: str) -> int:
    """What a key of one letter adds to an element, without the letter."""
    bare, full = (Element(slot, "", False, 0, b"", *keys) for keys in (("", ""), (join_on, group_by)))
    return _length(job, full) - _length(job, bare) - 1


def _length(job: Job, *datum: Element) -> int:
    return len(text_of(job, _NONE, datum, bytes(32)))


def _shown(text: str) -> int:
    """Bytes of a string in JSON, with its quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode())


def _lengths(texts: pa.ChunkedArray) -> np.ndarray:
    """Bytes of strings in JSON, without quotes."""
    lengths = _numbers(pc.binary_length(texts)).copy()
    for row in np.flatnonzero(_numbers(pc.match_substring_regex(texts, _ESCAPED))).tolist():
        lengths[row] = _shown(texts[row].as_py()) - 2
    return lengths


def _numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(whole.to_numpy(zero_copy_only=False), np.int64)


def _counts(column: pa.ChunkedArray) -> list[tuple[Any, int]]:
    return [(one["values"], one["counts"]) for one in pc.value_counts(column).to_pylist()]


def _sum(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)


def _state(code: int) -> str:
    state = STATES[code]
    return str((DatumState.SUCCESS if state is DatumState.SKIPPED else state).value)


def record(job: Job, known: dict[str, Any], datum: Sequence[Element], digest: bytes) -> dict[str, Any]:
    """A datum's record as it is shown. job: the one that ran it; digest: what its result depends on."""
    return {
        "job": {"pipeline": {"project": {"name": job.pipeline.project}, "name": job.pipeline.name}, "id": job.id},
        "inputs": [_input(element) for element in datum],
        "hash": digest.hex(),
        "index": known["index"],
        "state": _state(known["state"]),
        "reason": known["reason"],
        "stats": {
            "downloadTime": f"{known['download_us'] / 1e6:.6f}s",
            "processTime": f"{known['process_us'] / 1e6:.6f}s",
            "uploadTime": f"{known['upload_us'] / 1e6:.6f}s",
            "downloadBytes": str(known["download_bytes"]),
            "uploadBytes": str(known["upload_bytes"]),
        },
        "tries": known["tries"],
        "imageId": known["image"],
        "code": known["code"],
    }


def _input(element: Element) -> dict[str, Any]:
    slot = element.slot
    repo: Repo = slot.source
    return {
        "name": slot.name,
        "file": {
            "repo": {"project": {"name": repo.project}, "name": repo.name, "type": repo.type},
            "branch": slot.branch,
            "path": f"{element.path.rstrip('/')}/" if element.is_dir else element.path,
        },
        "sizeBytes": str(element.size_bytes),
        "hash": element.hash.hex(),
        **({"joinOn": element.join_on} if element.join_on else {}),
        **({"groupBy": element.group_by} if element.group_by else {}),
    }
