"""Tables of the versioned file system: projects, repos, branches, commits and what each commit is made of.

Instants are microseconds since the epoch. A commit's `seq` orders all commits; nothing is ordered by time.
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
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from trunkline.catalog.tables import NAMES_FILESET, metadata

# SQLite numbers rows by itself only in a column declared INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")

projects = Table(
    "projects",
    metadata,
    Column("name", String(51), primary_key=True),
    Column("description", Text, nullable=False, default=""),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False, default=""),
    Column("metadata", Text, nullable=False, default="{}"),
)

repos = Table(
    "repos",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("project", String(51), ForeignKey("projects.name"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("type", String(8), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("created_us", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False, default="{}"),
    UniqueConstraint("project", "name", "type", name="repos_address"),
    sqlite_autoincrement=True,
)

branches = Table(
    "branches",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("repo", RowId, ForeignKey("repos.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("head", RowId, ForeignKey("commits.seq"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False, default=""),
    Column("trigger", Text),
    # Of the trigger: the branch that it follows, and its next tick, where it goes by a schedule.
    Column("trigger_source", String(255)),
    Column("due_us", BigInteger),
    Column("metadata", Text, nullable=False, default="{}"),
    UniqueConstraint("repo", "name", name="branches_address"),
    Index("branches_by_head", "head"),
    Index("branches_by_trigger", "repo", "trigger_source"),
    Index("branches_due", "due_us"),
    sqlite_autoincrement=True,
)

branch_provenance = Table(
    "branch_provenance",
    metadata,
    Column("branch", RowId, ForeignKey("branches.id"), primary_key=True),
    Column("upstream", RowId, ForeignKey("branches.id"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("never", Boolean, nullable=False, default=False),
    Index("branch_provenance_by_upstream", "upstream"),
)

commits = Table(
    "commits",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("repo", RowId, ForeignKey("repos.id"), nullable=False),
    Column("id", String(32), nullable=False),
    Column("branch_name", String(255), nullable=False, default=""),
    Column("origin", String(4), nullable=False),
    Column("state", String(9), nullable=False),
    # `parent` is history, `base` is content: the nearest good commit whose files this one's diff changes.
    Column("parent", RowId, ForeignKey("commits.seq")),
    Column("base", RowId, ForeignKey("commits.seq")),
    Column("base_fixed", Boolean, nullable=False, default=False),
    # The other commit that a merge was made of; its changes are in this one.
    Column("merged_from", RowId),
    Column("open_inputs", Integer, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("finishing_us", BigInteger),
    Column("finished_us", BigInteger),
    # Of a commit that comes from elsewhere: when it was finished there, which becomes `finished_us`.
    Column("elsewhere_us", BigInteger),
    Column("error", Text, nullable=False, default=""),
    Column("description", Text, nullable=False, default=""),
    Column("size_upper_bytes", BigInteger, nullable=False, default=0),
    Column("size_bytes", BigInteger),
    Column("files", BigInteger),
    # Set where the files of a finished output commit were given up: it names no file set any more.
    Column("forgotten_us", BigInteger),
    Column("version", Integer, nullable=False, default=0),
    Column("created_by", Text, nullable=False, default=""),
    Column("updated_us", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False, default="{}"),
    UniqueConstraint("repo", "id", name="commits_address"),
    Index("commits_by_id", "id"),
    Index("commits_by_repo", "repo", "seq"),
    Index("commits_by_parent", "parent"),
    Index("commits_by_base", "base"),
    Index("commits_by_merge", "merged_from", sqlite_where=text("merged_from IS NOT NULL")),
    Index("commits_by_state", "state", "seq"),
    sqlite_autoincrement=True,
)

commit_provenance = Table(
    "commit_provenance",
    metadata,
    Column("commit_seq", RowId, ForeignKey("commits.seq"), primary_key=True),
    Column("upstream", RowId, ForeignKey("commits.seq"), primary_key=True),
    Index("commit_provenance_by_upstream", "upstream"),
)

# The diff of a commit, oldest first: while it is open, the layers in order of acknowledgement; afterwards one file
# set, or several after a squash. The diff is the record.
commit_layers = Table(
    "commit_layers",
    metadata,
    Column("commit_seq", RowId, ForeignKey("commits.seq"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("fileset", String(32), nullable=False, info=NAMES_FILESET),
)

# The runs that together are a finished commit's content, oldest first. Derived: may be replaced by others of equal
# content.
commit_runs = Table(
    "commit_runs",
    metadata,
    Column("commit_seq", RowId, ForeignKey("commits.seq"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("fileset", String(32), nullable=False, info=NAMES_FILESET),
)

# Names that stay with a commit. No branch of the repo has the name of one.
tags = Table(
    "tags",
    metadata,
    Column("repo", RowId, ForeignKey("repos.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("commit_seq", RowId, ForeignKey("commits.seq"), nullable=False, index=True),
    Column("description", Text, nullable=False, default=""),
    Column("created_us", BigInteger, nullable=False),
)

# Local images: content under a digest, and the names that point to it. Jobs pin digests; names move.
images = Table(
    "images",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("spec", Text, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

# The file sets with an image's files below /files/ and its list of entries, /index, oldest first.
image_filesets = Table(
    "image_filesets",
    metadata,
    Column("digest", String(64), ForeignKey("images.digest"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("fileset", String(32), nullable=False, info=NAMES_FILESET),
)

image_names = Table(
    "image_names",
    metadata,
    Column("name", Text, primary_key=True),
    Column("digest", String(64), ForeignKey("images.digest"), nullable=False, index=True),
    Column("moved_us", BigInteger, nullable=False),
)

# Recorded transactions that are not finished: who opened them may be gone, or come back after a restart.
transactions = Table(
    "transactions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("started_us", BigInteger, nullable=False),
)

transaction_requests = Table(
    "transaction_requests",
    metadata,
    Column("transaction", String(32), ForeignKey("transactions.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    # Messages of the wire: docs/formats/transactions.md.
    Column("request", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    # CRC-32 of the request and the response, one after the other.
    Column("checksum", BigInteger, nullable=False),
)

# One row, once there is something to keep of the cluster as a whole.
cluster = Table(
    "cluster",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("metadata", Text, nullable=False, default="{}"),
    CheckConstraint("id = 1", name="cluster_is_one_row"),
)
