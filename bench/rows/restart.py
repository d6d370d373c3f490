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
    """Add copies of the newest finished job to a database, until there are `count` jobs: a chain of commits in each
    repo, and of jobs on each other, as if they had been run."""
    with closing(sqlite3.connect(path)) as database, database:
        job, shared = database.execute("SELECT seq, id FROM jobs WHERE phase = 'ended' ORDER BY seq DESC").fetchone()
        newest = dict(database.execute("SELECT repo, seq FROM commits WHERE id = ?", (shared,)).fetchall())
        outputs = database.execute("SELECT output_commit, meta_commit FROM jobs WHERE seq = ?", (job,)).fetchone()
        output, meta = (next(repo for repo, seq in newest.items() if seq == each) for each in outputs)
        last, last_job = dict(newest), job
        for _ in range(count - database.execute("SELECT count(*) FROM jobs").fetchone()[0]):
            fresh = {"id": uuid.uuid4().hex}
            made = {
                repo: copied(database, "commits", seq, fresh | {"parent": last[repo], "base": last[repo]})
                for repo, seq in newest.items()
            }
            for repo, seq in newest.items():
                related(database, seq, made[repo], {newest[each]: made[each] for each in newest})
            last = made
            commits = {"output_commit": last[output], "meta_commit": last[meta]}
            last_job = copied(database, "jobs", job, fresh | commits | {"base": last_job})
        for repo, seq in last.items():
            database.execute("UPDATE branches SET head = ? WHERE head = ?", (seq, newest[repo]))


def copied(database: sqlite3.Connection, table: str, seq: int, changes: dict[str, str | int]) -> int:
    """Copy a row under a number of its own, which comes back, with some columns changed."""
    names = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] not in ("seq", *changes)]
    kept, changed = ", ".join(names), ", ".join(changes)
    text = f"INSERT INTO {table} ({changed}, {kept}) SELECT {', '.join('?' * len(changes))}, {kept} FROM {table}"
    made = database.execute(f"{text} WHERE seq = ?", (*changes.values(), seq)).lastrowid
    return made or 0


def related(database: sqlite3.Connection, seq: int, copy: int, copies: dict[int, int]) -> None:
    """What hangs on a commit: its provenance, within the copies where it is there, and its file sets."""
    for (upstream,) in database.execute(
        "SELECT upstream FROM commit_provenance WHERE commit_seq = ?", (seq,)
    ).fetchall():
        database.execute("INSERT INTO commit_provenance VALUES (?, ?)", (copy, copies.get(upstream, upstream)))
    for table in ("commit_layers", "commit_runs"):
        text = f"INSERT INTO {table} SELECT ?, position, fileset FROM {table} WHERE commit_seq = ?"
        database.execute(text, (copy, seq))


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
