"""What a claim carries inside `trunkline.worker.v1`: the step as JSON, its datums as an Arrow table.

Server and worker both read and write these forms through this module; what a report carries is `model.results`.
"""

from __future__ import annotations

import msgspec
import pyarrow as pa


class WorkInput(msgspec.Struct, frozen=True, kw_only=True):
    """One pfs or cron leaf of a pipeline's input, resolved: its commit and the file sets of the commit's content."""

    name: str
    project: str
    repo: str
    repo_type: str = "user"
    branch: str
    commit: str
    filesets: tuple[str, ...] = ()
    empty_files: bool = False
    lazy: bool = False
    s3: bool = False
    modified_us: int = 0


class WorkImage(msgspec.Struct, frozen=True, kw_only=True):
    """Where code runs: a registered image by digest with its file sets, or, with digest "", the host's own files.

    contained: in a container of the image with this digest, which the worker's engine has.
    """

    name: str = ""
    digest: str = ""
    filesets: tuple[str, ...] = ()
    env: dict[str, str] = {}
    working_dir: str = ""
    user: str = ""
    python: str = ""
    requirements: str = ""
    contained: bool = False


class WorkSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret as files in a folder that user code sees at `path`."""

    path: str
    files: dict[str, bytes]

    def __repr__(self) -> str:
        return f"WorkSecret({self.path!r})"


class WorkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the code of one datum may use at most; 0: no limit. memory, disk: as they stand in the spec. gpus: given."""

    memory_bytes: int = 0
    cpu: float = 0.0
    disk_bytes: int = 0
    memory: str = ""
    disk: str = ""
    gpus: int = 0


class WorkStep(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim's datums run, and on what. `timeout_us` 0: no limit."""

    cmd: tuple[str, ...]
    stdin: tuple[str, ...] = ()
    err_cmd: tuple[str, ...] = ()
    err_stdin: tuple[str, ...] = ()
    env: dict[str, str] = {}
    accept_return_code: tuple[int, ...] = ()
    working_dir: str = ""
    user: str = ""
    datum_tries: int = 3
    timeout_us: int = 0
    writable_inputs: bool = False
    image: WorkImage = WorkImage()
    inputs: tuple[WorkInput, ...] = ()
    code: str = ""
    output_commit: str = ""
    spec_commit: str = ""
    secret_env: dict[str, bytes] = {}
    secrets: tuple[WorkSecret, ...] = ()
    standing: bool = False
    batching: bool = False
    batch_on: bool = False
    limits: WorkLimits = WorkLimits()
    memory_volume: bool = False
    s3_out: bool = False

    def to_bytes(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> WorkStep:
        """The reverse of `to_bytes`."""
        return msgspec.json.decode(data, type=cls)


ELEMENT = pa.struct(
    [
        pa.field("input", pa.int32(), nullable=False),  # index into WorkStep.inputs
        pa.field("path", pa.string(), nullable=False),
        pa.field("is_dir", pa.bool_(), nullable=False),
        pa.field("hash", pa.binary(32)),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("join_on", pa.string()),
        pa.field("group_by", pa.string()),
    ]
)

DATUMS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("deaths", pa.int32(), nullable=False),
        pa.field("elements", pa.list_(pa.field("element", ELEMENT, nullable=False)), nullable=False),
    ]
)
"""A claim's datums. `row` is the row of the job's datum table; `deaths` counts workers lost while running it."""


def table_to_bytes(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def table_from_bytes(data: bytes, schema: pa.Schema) -> pa.Table:
    """The reverse of `table_to_bytes`. Raises pa.ArrowInvalid for anything that is not a table of that schema."""
    table = pa.ipc.open_stream(data).read_all()
    return table.select(schema.names).cast(schema)
