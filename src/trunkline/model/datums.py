"""Datums of a job as columns: the elements its globs matched, and for each datum the elements it is made of.

A datum is a set of elements. Its ID is a hash of their names, its content of what they hold; both are taken from whole
columns, and an ID only when somebody asks for it. Rows stand in the order in which they run (`index` is that order).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from trunkline.errors import DataLoss
from trunkline.model.names import USER_REPO, Repo
from trunkline.model.specs.spec import Transform

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

ID = pa.binary(32)
"""IDs and hashes of datums: 32 bytes of BLAKE3; people see the ID as 64 hex digits."""

ELEMENTS = pa.schema(
    [
        pa.field("slot", pa.int16(), nullable=False),  # which input: a position in the table's slots
        pa.field("path", pa.string(), nullable=False),  # cleaned: directories have no slash at their end either
        pa.field("is_dir", pa.bool_(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),  # bytes; of a directory all below it
        pa.field("hash", pa.binary(), nullable=False),  # of the content
        pa.field("join_on", pa.string(), nullable=False),  # the key by which it was joined, "" for none
        pa.field("group_by", pa.string(), nullable=False),
    ]
)

MAGIC = b"TLDATUM1"
"""What a stored table begins with; the last character is the version of the form."""
_META = b"trunkline.datums"
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


@dataclass(frozen=True, slots=True)
class Slot:
    """One input of the spec, its branch resolved to a commit. Elements name it by its position."""

    name: str
    project: str
    repo: str
    branch: str
    commit: str
    repo_type: str = USER_REPO
    empty_files: bool = False
    lazy: bool = False
    s3: bool = False

    @property
    def source(self) -> Repo:
        """The repo it reads."""
        return Repo(self.project, self.repo, self.repo_type)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What of it enters the identity of a datum, in the order in which elements are sorted."""
        suffix = "" if self.repo_type == USER_REPO else f".{self.repo_type}"
        return (self.name, self.project, self.repo + suffix, self.branch)


@dataclass(frozen=True, slots=True)
class Element:
    """One file or directory of a datum."""

    slot: Slot
    path: str
    is_dir: bool
    size_bytes: int
    hash: bytes
    join_on: str
    group_by: str


class DatumTable:
    """The datums of a job.

    slots: the inputs. elements: as `ELEMENTS`, ordered by name, project, repo, branch and path. rows: for each datum
    the positions of its elements, ascending. project: the pipeline's, which does not enter IDs.
    """

    def __init__(self, slots: Sequence[Slot], elements: pa.Table, rows: pa.ListArray, project: str) -> None:
        self.slots = tuple(slots)
        self.elements = elements.combine_chunks()
        self.rows = rows
        self.project = project

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def keys(self) -> pa.Array:
        """For each datum the bytes that its ID is the hash of: the names of its elements, each part with its length."""
        return self._joined(self._element_keys)

    @cached_property
    def contents(self) -> pa.Array:
        """For each datum the hashes of its elements, each with its length before it. Equal: nothing has changed."""
        hashes = self._column("hash")
        return self._joined(pc.binary_join_element_wise(_lengths(hashes), hashes, pa.scalar(b"", pa.binary())))

    @cached_property
    def ids(self) -> pa.Array:
        """The ID of each datum, as `ID`."""
        return self.ids_of(self.keys)

    @cached_property
    def sizes(self) -> pa.Array:
        """Bytes of input of each datum."""
        values = self._column("size").to_numpy().take(self.rows.flatten().to_numpy())
        sums = np.concatenate([[0], np.cumsum(values)])
        return pa.array(sums[self._offsets[1:]] - sums[self._offsets[:-1]], pa.int64())

    @staticmethod
    def ids_of(keys: pa.Array) -> pa.Array:
        """The IDs that belong to some of `keys`."""
        return pa.array([blake3(key).digest() for key in keys.to_pylist()], ID)

    def hashes(self, salt: str, rows: pa.Array | None = None) -> pa.Array:
        """What a datum's result depends on: ID, content and the pipeline's salt. rows: positions, all by default."""
        ids = self.ids if rows is None else self.ids.take(rows)
        contents = self.contents if rows is None else self.contents.take(rows)
        tail = salt.encode()
        pairs = zip(ids.to_pylist(), contents.to_pylist(), strict=True)
        return pa.array([blake3(one + held + tail).digest() for one, held in pairs], ID)

    def datum(self, row: int) -> tuple[Element, ...]:
        """The elements of one datum, in their order."""
        return self.datums(row, row + 1)[0]

    def datums(self, first: int, last: int) -> list[tuple[Element, ...]]:
        """The elements of the datums [first, last), for laying them out or showing them."""
        part = self.rows.slice(first, max(0, last - first))
        flat = part.flatten()
        shown = self.elements.take(flat).to_pylist()
        found = [
            Element(self.slots[e["slot"]], e["path"], e["is_dir"], e["size"], e["hash"], e["join_on"], e["group_by"])
            for e in shown
        ]
        ends = np.cumsum(pc.list_value_length(part).to_numpy(zero_copy_only=False)).tolist() if len(part) else []
        return [tuple(found[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    def take(self, rows: pa.Array) -> DatumTable:
        """The same table with only these datums, in this order."""
        return DatumTable(self.slots, self.elements, self.rows.take(rows), self.project)

    def to_bytes(self) -> bytes:
        """The table as it is stored and sent; the form is in `docs/formats/datums.md`."""
        meta = json.dumps({"project": self.project, "slots": [asdict(slot) for slot in self.slots]})
        elements = self.elements.replace_schema_metadata({_META: meta.encode()})
        first, second = _stream(elements), _stream(pa.table({"elements": self.rows}))
        return MAGIC + len(first).to_bytes(8, "big") + first + second

    @classmethod
    def from_bytes(cls, data: bytes) -> DatumTable:
        """The reverse of `to_bytes`. Raises DataLoss when `data` is none, or of a version that is not known here."""
        if data[: len(MAGIC)] != MAGIC:
            raise DataLoss(f"a datum table cannot be read: it begins with {data[:8]!r}, not with {MAGIC!r}")
        start = len(MAGIC) + 8
        end = start + int.from_bytes(data[len(MAGIC) : start], "big")
        try:
            elements = pa.ipc.open_stream(data[start:end]).read_all()
            rows = pa.ipc.open_stream(data[end:]).read_all().column("elements").combine_chunks()
        except pa.ArrowInvalid as error:
            raise DataLoss(f"a datum table cannot be read: {error}") from None
        meta = json.loads(elements.schema.metadata[_META])
        plain = elements.replace_schema_metadata(None)
        return cls([Slot(**slot) for slot in meta["slots"]], plain, rows, meta["project"])

    @cached_property
    def _offsets(self) -> Ints:
        offsets: Ints = self.rows.offsets.to_numpy().astype(np.int64)
        start: Ints = offsets - offsets[0]
        return start

    @cached_property
    def _element_keys(self) -> pa.Array:
        heads = pa.array([self._head(slot) for slot in self.slots], pa.binary())
        paths = self._column("path").cast(pa.binary())
        slots = self._column("slot")
        return pc.binary_join_element_wise(heads.take(slots), _lengths(paths), paths, pa.scalar(b"", pa.binary()))

    def _head(self, slot: Slot) -> bytes:
        name, project, repo, branch = slot.identity
        parts = [name, repo, branch] if project == self.project else [name, project, repo, branch]
        return b"".join(len(part).to_bytes(8, "big") + part for part in map(str.encode, parts))

    def _column(self, name: str) -> pa.Array:
        column = self.elements.column(name)
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def _joined(self, values: pa.Array) -> pa.Array:
        """For each datum the bytes of its elements' values, one after another; large, as there may be many."""
        taken = values.cast(pa.large_binary()).take(self.rows.flatten())
        lists = pa.ListArray.from_arrays(pa.array(self._offsets, pa.int32()), taken)
        return pc.binary_join(lists, pa.scalar(b"", pa.large_binary()))


def code_digest(transform: Transform, image_id: str = "") -> str:
    """32 hex digits that change with the code a datum runs: image, cmd, stdin and env. image_id: the resolved image."""
    code = [image_id or transform.image, list(transform.cmd), list(transform.stdin), sorted(transform.env.items())]
    return blake3(json.dumps(code, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest(length=16)


def _lengths(values: pa.Array) -> pa.Array:
    """The length of each value, as 8 bytes."""
    lengths = pc.binary_length(values).to_numpy(zero_copy_only=False).astype(">u8")
    packed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(values), [None, pa.py_buffer(lengths.tobytes())])
    return packed.cast(pa.binary())


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
