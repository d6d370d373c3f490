"""The one `metadata` of all tables, and the tables of the room itself: schema version, outbox, collection.

Other groups of tables lie beside this module (`tables_*.py`) and use the same `metadata`. Instants are microseconds
since the epoch and are only ever shown; order comes from numbers that the catalog gives.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column declared INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")

NAMES_FILESET = {"filesets": "one"}
NAMES_FILESETS = {"filesets": "list"}
"""`info` of a column that names a file set, or a JSON list of them. Each must be held: `checks.unheld_references`."""

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)
"""One row: the number of the last migration that this database has been through."""

# --- outbox ---

events = Table(
    "events",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("topic", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
"""What happened, written by the transaction that made it happen. `payload` is a JSON object."""

cursors = Table(
    "cursors",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
)
"""How far each durable consumer has come: it has dealt with every event up to `position`."""

# --- collection: what is live, who is writing, who is reading ---

sessions = Table(
    "sessions",
    metadata,
    Column("gen", RowId, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("renewed_tick", BigInteger),
    Column("opened_us", BigInteger, nullable=False),
    Index("sessions_open", "gen", sqlite_where=text("open = 1")),
    sqlite_autoincrement=True,
)
"""Write sessions. `gen` is never given twice: blob names contain it. `renewed_tick` is null where a session belongs to
the server's own process and ends with it, else the tick of its last renewal."""

chunks = Table(
    "chunks",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("condemned", BigInteger),
    Column("damaged", Boolean, nullable=False, server_default=false()),
    Column("live_bytes", BigInteger),
    Index(
        "chunks_one_per_hash",
        "hash",
        unique=True,
        sqlite_where=text("damaged = 0"),
    ),
    Index(
        "chunks_condemned",
        "condemned",
        sqlite_where=text("condemned IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)
"""Incarnations of chunks. LIVE where `condemned` is null; else CONDEMNED by the cycle of that number.

A damaged incarnation is no target for look-ups any more, so that its content may be stored again beside it.
`live_bytes`: how many of its plain bytes file sets pointed to when that was last counted; null: never.
"""

doomed_chunks = Table(
    "doomed_chunks",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Column("doom", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Incarnations that no look-up finds any more and whose blobs go once no reader pin is older than `doom`."""

doomed_blobs = Table(
    "doomed_blobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("doom", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Blobs of deleted file sets (parts and chunk lists), as `doomed_chunks`."""

filesets = Table(
    "filesets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("gen", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sealed_us", BigInteger, nullable=False),
    Column("chunks", LargeBinary),
    Column("body", LargeBinary, nullable=False),
)
"""Sealed file sets, opaque. `chunks` is the chunk list, null where it is a blob that the body names.

It lies before the body, so that collection reads lists without paging through bodies.
"""

fileset_blobs = Table(
    "fileset_blobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("fileset_id", String(32), ForeignKey("filesets.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)
"""Which blobs a file set needs beside its chunks. A blob may serve several file sets."""

holders = Table(
    "holders",
    metadata,
    Column("fileset_id", String(32), ForeignKey("filesets.id"), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("key", String(128), primary_key=True),
    Index("holders_by_key", "kind", "key"),
    sqlite_with_rowid=False,
)
"""Why a file set is kept. One without a holder is dead."""

pins = Table(
    "pins",
    metadata,
    Column("process", String(64), primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("renewed_tick", BigInteger, nullable=False),
)
"""One row per reading process: the doom that was newest when its oldest running read began."""

collector = Table(
    "collector",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("cycle", BigInteger, nullable=False),
    Column("noted", BigInteger, nullable=False),
    Column("doomed_through", BigInteger, nullable=False),
    Column("tick", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="collector_is_one_row"),
)
"""One row: the last cycle begun, the last that has noted its waits, the last whose dooming is complete, the leader's
clock, the collector's fence."""

awaited = Table(
    "awaited",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Index("awaited_by_gen", "gen"),
    sqlite_with_rowid=False,
)
"""Sessions that were open when a cycle had condemned, and have neither ended nor refreshed since.

`cycle` is the oldest cycle they may have used chunks of: an earlier one may have been killed before it noted its own.
"""
