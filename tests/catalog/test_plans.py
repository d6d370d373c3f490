"""What is asked again and again is found by an index, however much there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from trunkline.catalog import commits, outbox
from trunkline.catalog.collection import chunks, filesets, sessions
from trunkline.catalog.engine import Tx
from trunkline.catalog.tables import metadata
from trunkline.catalog.work import claims, jobs
from trunkline.testing.catalogs import open_catalog

SMALL = {"collector", "cursors", "pins", "instructions", "claims", "anon_1", "CONSTANT"}
"""Tables with as many rows as there is work in hand, whatever has been."""

OPEN = ("jobs_open", "jobs_open_of", "sessions_open")
"""Partial indexes, of what is open now."""

OFTEN: dict[str, Callable[[Tx], Any]] = {
    "events": lambda tx: outbox.read_after(tx, 5, 100),
    "oldest event": outbox.oldest,
    "trim": lambda tx: outbox.trim(tx, 10),
    "chunks": lambda tx: chunks.known(tx, sessions.open_session(tx, "x"), [b"x" * 32]),
    "a session's end": lambda tx: sessions.end_session(tx, 1),
    "sessions that live": lambda tx: sessions.tick(tx, 5),
    "file sets": lambda tx: filesets.get_filesets(tx, ["a"]),
    "holders": lambda tx: filesets.drop_holder(tx, "commit", "1"),
    "commits to finish": lambda tx: commits.next_finishing(tx, 0, 10),
    "children": lambda tx: commits.children(tx, [1]),
    "downstream": lambda tx: commits.downstream_of(tx, [1]),
    "a commit set": lambda tx: commits.commits_of_set(tx, "a"),
    "deadlines": jobs.deadlines,
    "open jobs": jobs.open_jobs,
    "jobs of commits": lambda tx: jobs.by_commits(tx, [1, 2]),
    "jobs on a base": lambda tx: jobs.waiting_for(tx, 1),
    "claims": lambda tx: claims.claims_of_job(tx, 1),
    "reports": lambda tx: claims.reports_of_job(tx, 1),
}


@pytest.mark.parametrize("name", OFTEN)
def test_no_table_that_grows_is_read_from_end_to_end(tmp_path: Path, name: str):
    with open_catalog(tmp_path, rehearse=False) as catalog:
        asked: list[tuple[str, Any]] = []
        note = lambda _conn, _cursor, text, values, *_rest: asked.append((text, values))  # noqa: E731
        event.listen(catalog._writer._side.connection, "before_cursor_execute", note)
        catalog.transact(OFTEN[name])
        assert asked
        for text, values in asked:
            if text.startswith("INSERT"):
                continue
            for _, _, _, step in catalog._writer._side._raw.execute(f"EXPLAIN QUERY PLAN {text}", values):
                words = step.split()
                # The first or last row of an index is one row.
                fine = words[0] != "SCAN" or words[1] in SMALL or words[-1] in OPEN
                assert fine, (step, text)


def test_every_reference_can_be_followed_back():
    """A row is only deleted when nothing refers to it: finding that out must not read a whole table."""
    for table in metadata.sorted_tables:
        leading = {index.columns.keys()[0] for index in table.indexes}
        leading |= {
            next(iter(key.columns)).name
            for key in table.constraints
            if getattr(key, "columns", None) and type(key).__name__ in ("UniqueConstraint", "PrimaryKeyConstraint")
        }
        for key in table.foreign_keys:
            assert key.parent.name in leading, f"{table.name}.{key.parent.name} has no index"
