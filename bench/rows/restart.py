"""A server with a long past of jobs."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

from measure import Bench, Line, Row
from rows.samples import finished, make_repo, named_repo, put, spec
from trunkline.client.connection import connect
from trunkline.testing.serving import PachdProcess, documents


def restart(bench: Bench) -> None:
    """Start `pachd` on 10,000 finished jobs, and run more. A few jobs are run; the rest are copies of their rows, and
    of those of their commits, in the stopped server's database, under ids of their own: running them takes an hour."""
    count = bench.sized(10_000, least=20)
    with bench.serving("--workers", "2") as (server, client):
        made = spec("copy", "in", "cp /pfs/in/* /pfs/out/")
        make_repo(client, "in")
        server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(made).encode())
        some_jobs(bench, server, "one job, after 10")
        server.stop()
        with bench.timed("pachd to serving, after 10"):
            server.start(fresh=False)
        server.stop()
        multiply(server.data / "catalog.db", count)
        with bench.timed("pachd to serving"):
            server.start(fresh=False)
        some_jobs(bench, server, "one job")
        with bench.timed("pachctl list job"):
            listed = server.pachctl("list", "job", "--raw")
        total = sum(1 for _ in documents(listed))
        if total < count:
            raise RuntimeError(f"{total} jobs are listed, not {count}")


def some_jobs(bench: Bench, server: PachdProcess, name: str) -> None:
    """Ten jobs of one datum each, from the commit to the output; the first, which may start workers, does not count."""
    with connect(f"grpc://{server.address}") as client:
        for index in range(10):
            start = time.perf_counter()
            put(client, named_repo("in"), "/file", f"{name} {index}".encode())
            finished(client, named_repo("copy"))
            if index:
                bench.note(name, time.perf_counter() - start)


def multiply(path: Path, count: int) -> None:
    """Add copies of finished commits and jobs to a database, until there are `count` jobs."""
    with closing(sqlite3.connect(path)) as database, database:
        names = {}
        for table in ("commits", "jobs"):
            found = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            names[table] = [name for name in found if name not in ("seq", "id")]
        jobs = database.execute("SELECT seq, id FROM jobs WHERE phase = 'ended' ORDER BY seq").fetchall()
        for index in range(count - len(jobs)):
            seq, id_ = jobs[index % len(jobs)]
            fresh = uuid.uuid4().hex
            for table, where, value in (("commits", "id", id_), ("jobs", "seq", seq)):
                rest = ", ".join(names[table])
                copy = f"INSERT INTO {table} (id, {rest}) SELECT ?, {rest} FROM {table} WHERE {where} = ?"
                database.execute(copy, (fresh, value))


ROWS = (
    Row(
        "restart",
        "pps",
        restart,
        (
            Line("start of the server with 10,000 jobs", "pachd to serving", ("pachd to serving, after 10",), goal=1.0),
            Line("one more job after 10,000", "one job", ("one job, after 10",), factor=1.2),
            Line("list 10,000 jobs", "pachctl list job"),
        ),
        runs=1,
    ),
)
