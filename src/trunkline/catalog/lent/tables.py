"""Tables of file sets that are lent to clients."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from trunkline.catalog.tables import NAMES_FILESET, metadata

leases = Table(
    "leases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("ends_s", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("leases_by_end", "ends_s"),
)
"""A stack of file sets under an id that a client was given. It ends when the lease clock has come to `ends_s`, unless a
cache entry keeps it."""

lease_layers = Table(
    "lease_layers",
    metadata,
    Column("lease", String(32), ForeignKey("leases.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("fileset", String(32), nullable=False, info=NAMES_FILESET),
)
"""What a lease is made of, oldest first."""

lease_clock = Table(
    "lease_clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seconds", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="lease_clock_is_one_row"),
)
"""How many seconds servers have run on this catalog, as far as it was written down. No row: none yet."""

cache_entries = Table(
    "cache_entries",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tag", Text, nullable=False, index=True),
    Column("value", LargeBinary, nullable=False),
)
"""What clients keep under a key; `value` is a serialized Any."""

cache_leases = Table(
    "cache_leases",
    metadata,
    Column("key", Text, ForeignKey("cache_entries.key"), primary_key=True),
    Column("lease", String(32), ForeignKey("leases.id"), primary_key=True, index=True),
)
"""Leases that a cache entry keeps from ending."""
