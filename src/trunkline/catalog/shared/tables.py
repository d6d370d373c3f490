"""Tables of what servers on one database have to agree on. Both are empty where a server has its catalog to itself."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, String, Table, Text

from trunkline.catalog.tables import metadata

leader = Table(
    "leader",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    # By the clock of the database. It decides who may take over; whether a write counts, the epoch decides.
    Column("until_us", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="leader_is_one_row"),
)
"""Who leads: the one server that plans jobs, finishes commits, collects."""

together = Table(
    "together",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("cluster_id", String(32), nullable=False),
    Column("deployment_id", String(32), nullable=False),
    # Where the bytes of files lie; "" with the id of the one server in whose data folder they do.
    Column("storage", Text, nullable=False),
    Column("folder", String(32), nullable=False),
    # By which servers see that they have one key of all secrets; nothing can be made of it. Empty until one has a key.
    Column("key_digest", String(64), nullable=False),
    CheckConstraint("id = 1", name="together_is_one_row"),
)
"""Who all these servers are to the outside."""
