"""Tables of the pipeline system: pipelines and their versions, jobs, what is still to be done for them, claims, logs.

A job's `seq` orders all jobs. Rows of a job's datum table that are to run have positions, from 0 in the order of
running; ranges of positions are [first, last). The datum table itself is a file set, held by the job.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from trunkline.catalog.tables import NAMES_FILESETS, RowId, metadata

pipelines = Table(
    "pipelines",
    metadata,
    Column("key", RowId, primary_key=True, autoincrement=True),
    Column("project", String(51), nullable=False),
    Column("name", String(51), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("stopped", Boolean, nullable=False, default=False),
    # Since when it has had jobs that are not over, without a break; null: it has none.
    Column("up_us", BigInteger),
    # SERVICE or SPOUT: it has a worker of its own, outside the pool; else TRANSFORM.
    Column("kind", String(12), nullable=False, default="TRANSFORM"),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False, default="{}"),
    UniqueConstraint("project", "name", name="pipelines_address"),
    sqlite_autoincrement=True,
)

pipeline_versions = Table(
    "pipeline_versions",
    metadata,
    Column("pipeline", RowId, ForeignKey("pipelines.key"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("spec_commit", String(32), nullable=False),
    Column("salt", String(64), nullable=False),
    Column("user_spec", Text, nullable=False),
    Column("effective_spec", Text, nullable=False),
    # Where its code runs, decided when the version was made: host, image (a registered one) or container.
    Column("runner", String(16), nullable=False),
    Column("image_digest", String(64), nullable=False, default=""),
    Column("runner_note", Text, nullable=False, default=""),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False, default=""),
    Index("pipeline_versions_by_commit", "spec_commit"),
    # Those whose image the container engine was not asked for yet, or did not have.
    Index(
        "pipeline_versions_without_image",
        "pipeline",
        sqlite_where=text("runner = 'container' AND image_digest = ''"),
    ),
)

container_images = Table(
    "container_images",
    metadata,
    Column("digest", String(64), primary_key=True),
    # What the image says of its code: a JSON object of variables, and the folder to run in.
    Column("env", Text, nullable=False),
    Column("working_dir", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Pods that run, and the image of the code in each, as the cluster tells: what a tag means may differ from pod to pod.
pod_images = Table(
    "pod_images",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("digest", String(64), nullable=False),
    sqlite_with_rowid=False,
)

spec_defaults = Table(
    "spec_defaults",
    metadata,
    # "": the defaults of the whole cluster.
    Column("project", String(51), primary_key=True),
    Column("document", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False, default=""),
    sqlite_with_rowid=False,
)
"""What lies below the specs of a project's pipelines, as a JSON document. No row: nothing."""
# Cron inputs. One whose `due_us` is null does not tick: its pipeline is stopped, or has no such input any more.
cron_inputs = Table(
    "cron_inputs",
    metadata,
    Column("key", RowId, primary_key=True, autoincrement=True),
    Column("pipeline", RowId, ForeignKey("pipelines.key"), nullable=False, index=True),
    # The repo of its ticks, by key. It outlives the input, and may have been deleted by force.
    Column("repo", RowId, nullable=False),
    Column("made", Boolean, nullable=False),
    Column("spec", Text, nullable=False),
    Column("overwrite", Boolean, nullable=False),
    Column("start_us", BigInteger),
    # The last tick of the schedule, or where that began; the last one that somebody asked for.
    Column("ticked_us", BigInteger, nullable=False),
    Column("asked_us", BigInteger, nullable=False, default=0),
    Column("due_us", BigInteger),
    UniqueConstraint("repo", name="cron_inputs_repo"),
    Index("cron_inputs_due", "due_us"),
    sqlite_autoincrement=True,
)

_OPEN = text("phase != 'ended'")

jobs = Table(
    "jobs",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("pipeline", RowId, ForeignKey("pipelines.key"), nullable=False),
    Column("id", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("salt", String(64), nullable=False),
    Column("output_commit", BigInteger, nullable=False),
    Column("meta_commit", BigInteger),
    # What the rules know of it: see pps.decide.JobCore, whose fields these are.
    Column("state", String(12), nullable=False),
    Column("phase", String(12), nullable=False),
    Column("gen", Integer, nullable=False),
    Column("base", BigInteger),
    Column("base_planned", Boolean, nullable=False),
    Column("base_ending", String(4)),
    Column("settling", Boolean, nullable=False),
    Column("egress", Boolean, nullable=False),
    Column("may_fail", String(24), nullable=False),
    Column("placed", BigInteger, nullable=False),
    Column("open", BigInteger, nullable=False),
    Column("undecided", BigInteger, nullable=False),
    Column("processed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("recovered", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("restart", Integer, nullable=False),
    Column("pushes", Integer, nullable=False),
    Column("held", Integer, nullable=False, default=0),
    Column("reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("first_failed", Text, nullable=False),
    # The generation that made the datum table; the file sets of the table and of adopted output (JSON lists).
    Column("table_gen", Integer, nullable=False, default=0),
    Column("datums", Text, info=NAMES_FILESETS),
    Column("adopted", Text, nullable=False, default="[]", info=NAMES_FILESETS),
    # What the spec said when the job was made; 0: no limit.
    Column("timeout_us", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("parallelism", Integer, nullable=False),
    Column("gpus", Integer, nullable=False, default=0),
    Column("set_datums", BigInteger, nullable=False, default=0),
    Column("set_bytes", BigInteger, nullable=False, default=0),
    Column("sets_per_worker", BigInteger, nullable=False, default=0),
    Column("download_us", BigInteger, nullable=False, default=0),
    Column("process_us", BigInteger, nullable=False, default=0),
    Column("upload_us", BigInteger, nullable=False, default=0),
    Column("download_bytes", BigInteger, nullable=False, default=0),
    Column("upload_bytes", BigInteger, nullable=False, default=0),
    Column("cpu_us", BigInteger, nullable=False, default=0),
    # The most that one process held, and not a sum.
    Column("memory_bytes", BigInteger, nullable=False, default=0),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("finished_us", BigInteger),
    Column("deadline_us", BigInteger),
    # An ancestor of the output commit, before which nothing is found to build on: what lies between has ended badly.
    Column("look_from", BigInteger),
    UniqueConstraint("pipeline", "id", name="jobs_address"),
    Index("jobs_by_pipeline", "pipeline", "seq"),
    Index("jobs_by_state", "pipeline", "state", "seq"),
    Index("jobs_by_id", "id"),
    Index("jobs_by_commit", "output_commit"),
    Index("jobs_by_meta_commit", "meta_commit"),
    Index("jobs_open", "seq", sqlite_where=_OPEN),
    Index("jobs_open_of", "pipeline", "seq", sqlite_where=_OPEN),
    Index("jobs_by_base", "base"),
    Index("jobs_by_phase", "phase", "seq"),
    sqlite_autoincrement=True,
)

instructions = Table(
    "instructions",
    metadata,
    Column("serial", RowId, primary_key=True, autoincrement=True),
    Column("job", RowId, ForeignKey("jobs.seq"), nullable=False),
    Column("work", String(12), nullable=False),
    Column("gen", Integer, nullable=False),
    Column("base", BigInteger),
    Column("error", Text, nullable=False),
    Column("not_before_us", BigInteger, nullable=False),
    UniqueConstraint("job", "work", name="instructions_of_job"),
    sqlite_autoincrement=True,
)
"""Slow work that a decision asked for and whose result is not in yet."""

claims = Table(
    "claims",
    metadata,
    # Begins with the job's seq, so that what a worker says late still finds its job.
    Column("id", String(64), primary_key=True),
    Column("job", RowId, ForeignKey("jobs.seq"), nullable=False),
    Column("pipeline", RowId, nullable=False),
    Column("gen", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    # Positions below are reported. It rises with each report, the fence with each lease.
    Column("done", BigInteger, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("worker", Text),
    Column("session", BigInteger),
    Column("leased_us", BigInteger),
    # How many more of the leader's ticks the lease lasts without a renewal; without a worker: until it may be claimed.
    Column("ticks_left", Integer, nullable=False, default=0),
    Column("row", BigInteger),
    Column("row_started_us", BigInteger),
    # A JSON list of positions whose running datums are to be ended and run again.
    Column("restart", Text),
    # Whether the code, which would run for ever, is to be ended and its output kept.
    Column("finish", Boolean, nullable=False, default=False),
    Index("claims_by_job", "job", "first"),
    Index("claims_by_worker", "worker"),
)
"""Ranges of rows that are not all reported yet; without a worker: to be claimed."""

datum_deaths = Table(
    "datum_deaths",
    metadata,
    Column("job", RowId, ForeignKey("jobs.seq"), primary_key=True),
    Column("gen", Integer, primary_key=True),
    Column("row", BigInteger, primary_key=True),
    Column("deaths", Integer, nullable=False),
    Column("why", Text, nullable=False),
)
"""How many workers died while a datum ran."""

reports = Table(
    "reports",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("job", RowId, ForeignKey("jobs.seq"), nullable=False),
    Column("gen", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    # JSON list of file sets with the output of these rows, each held by the job.
    Column("output", Text, nullable=False, info=NAMES_FILESETS),
    # One row a datum: Arrow IPC, as pps.tables.RESULTS describes it, and its CRC-32.
    Column("results", LargeBinary, nullable=False),
    UniqueConstraint("job", "gen", "first", name="reports_of_job"),
    sqlite_autoincrement=True,
)
"""Finished prefixes, as they were reported and adopted. Each row of a job's datum table lies in one at most."""

log_segments = Table(
    "log_segments",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("pipeline", RowId, nullable=False),
    # Null: a line about the pipeline itself.
    Column("job", RowId),
    Column("worker", Text, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("lines", Integer, nullable=False),
    # Compressed lines: docs/formats/logs.md.
    Column("data", LargeBinary, nullable=False),
    Index("log_segments_by_pipeline", "pipeline", "seq"),
    Index("log_segments_by_job", "job", "seq"),
    sqlite_autoincrement=True,
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(253), primary_key=True),
    Column("type", String(253), nullable=False),
    # A JSON list of the names of its keys; their values are only in `sealed` (docs/formats/secrets.md).
    Column("keys", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)
"""Passwords and the like that user code is given."""
