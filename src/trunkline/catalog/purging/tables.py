"""Tables of purges: docs/formats/purges.md."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from trunkline.catalog.tables import RowId, metadata

purges = Table(
    "purges",
    metadata,
    Column("key", RowId, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("project", String(51), nullable=False),
    Column("repo", String(63), nullable=False),
    # A glob, in which a path that was meant literally is escaped; `shown` is as it was asked for.
    Column("pattern", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("stage", String(12), nullable=False),
    # Why it does not get on; "": it does.
    Column("trouble", Text, nullable=False, default=""),
    # The seq of the oldest commit that had any of it: nothing older is touched.
    Column("oldest", BigInteger, nullable=False),
    Column("commits", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("datums", BigInteger, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("gone_us", BigInteger),
    # BLAKE3 of each piece that goes, 32 bytes each, until it is known who keeps the same content; then null.
    Column("digests", LargeBinary),
    Column("kept_files", BigInteger, nullable=False, default=0),
    # JSON: some files elsewhere with the same content, which stay.
    Column("kept", Text, nullable=False, default="[]"),
    Column("ended_leases", Integer, nullable=False, default=0),
    sqlite_autoincrement=True,
)

purge_repos = Table(
    "purge_repos",
    metadata,
    Column("purge", RowId, ForeignKey("purges.key"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("repo", RowId, nullable=False),
    # Commits up to this seq are done.
    Column("done", BigInteger, nullable=False),
    Index("purge_repos_by_repo", "repo"),
)
"""The repos whose history is written anew, in the order in which that is done: what is made from others comes first.

There while it is being done: nobody starts a commit in one of them, or takes one away."""

purge_commits = Table(
    "purge_commits",
    metadata,
    Column("purge", RowId, ForeignKey("purges.key"), primary_key=True),
    Column("commit_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("project", String(51), nullable=False),
    Column("repo", String(63), nullable=False),
    Column("commit_id", String(32), nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("datums", BigInteger, nullable=False),
    # JSON: the first few paths.
    Column("paths", Text, nullable=False),
    Index("purge_commits_by_commit", "commit_seq"),
)
"""The commits that lost something: the mark on them, and the report. They outlive the commit."""

purge_remains = Table(
    "purge_remains",
    metadata,
    Column("purge", RowId, ForeignKey("purges.key"), primary_key=True),
    # chunk, fileset or blob; the name of the blob, or the id of the file set.
    Column("kind", String(8), primary_key=True),
    Column("name", Text, primary_key=True),
    sqlite_with_rowid=False,
)
"""What had bytes of it and was not seen to be gone yet."""
