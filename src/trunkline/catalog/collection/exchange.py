"""One file set put in the place of another that says the same: with whoever is finished and holds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from sqlalchemy import Table, delete, insert, select, update

from trunkline.catalog.collection.filesets import SealedRow, holders_of, seal
from trunkline.catalog.collection.sessions import require_open
from trunkline.catalog.engine.tx import Tx
from trunkline.catalog.tables import holders
from trunkline.catalog.tables_pfs import commit_layers, commit_runs, commits, image_filesets
from trunkline.catalog.tables_pps import jobs, reports
from trunkline.model.infos import CommitState

DIFF_HOLDER = "commit diff"
"""Holds the file sets of a commit's diff; the holder's key is the commit's seq."""
RUNS_HOLDER = "manifest"
"""Holds the runs of a finished commit's content; the key is the commit's seq."""
JOB_HOLDER = "job"
"""Holds what workers wrote for a job; the key is the job's seq."""
TABLE_HOLDER = "datum table"
"""Holds a job's datum table; the key is the job's seq."""
IMAGE_HOLDER = "image"
"""Holds an image's files; the key is its digest."""


def exchange(tx: Tx, gen: int, old: str, new: SealedRow) -> bool:
    """Have finished commits, ended jobs and images name `new` where they name `old`, and hold it instead.

    Whoever else holds `old`, such as an open commit, a lease or a session, goes on with it. False: nobody was left to
    change. Raises Aborted unless session `gen`, which made `new`, is open.
    """
    require_open(tx, gen)
    changed = [
        (kind, key)
        for kind, key in sorted(holders_of(tx, [old]).get(old, ()))
        if kind in _PLACES and _PLACES[kind](tx, key, old, new.id)
    ]
    if not changed:
        return False
    seal(tx, gen, [new])
    for kind, key in changed:
        tx.execute(delete(holders).where(holders.c.fileset_id == old, holders.c.kind == kind, holders.c.key == key))
    tx.execute(insert(holders), [{"fileset_id": new.id, "kind": kind, "key": key} for kind, key in changed])
    return True


def _in_commit(table: Table, tx: Tx, key: str, old: str, new: str) -> bool:
    finished = select(commits.c.seq).where(commits.c.seq == int(key), commits.c.state == CommitState.FINISHED.value)
    change = update(table).where(table.c.commit_seq.in_(finished), table.c.fileset == old)
    return tx.execute(change.values(fileset=new)).rowcount > 0


def _in_image(tx: Tx, key: str, old: str, new: str) -> bool:
    change = update(image_filesets).where(image_filesets.c.digest == key, image_filesets.c.fileset == old)
    return tx.execute(change.values(fileset=new)).rowcount > 0


def _in_job(column: str, tx: Tx, key: str, old: str, new: str) -> bool:
    row = tx.execute(select(jobs.c[column]).where(jobs.c.seq == int(key), jobs.c.phase == "ended")).first()
    if row is None:
        return False
    changed = _exchanged(row[0], old, new)
    if changed is not None:
        tx.execute(update(jobs).where(jobs.c.seq == int(key)).values({column: changed}))
    return changed is not None


def _written_for(tx: Tx, key: str, old: str, new: str) -> bool:
    adopted = _in_job("adopted", tx, key, old, new)
    ended = select(jobs.c.seq).where(jobs.c.seq == int(key), jobs.c.phase == "ended")
    reported = False
    for row in tx.execute(select(reports.c.seq, reports.c.output).where(reports.c.job.in_(ended))).all():
        changed = _exchanged(row.output, old, new)
        if changed is not None:
            tx.execute(update(reports).where(reports.c.seq == row.seq).values(output=changed))
            reported = True
    return adopted or reported


def _exchanged(listed: str | None, old: str, new: str) -> str | None:
    if not listed or old not in listed:
        return None
    return json.dumps([new if one == old else one for one in json.loads(listed)])


_PLACES: dict[str, Callable[[Tx, str, str, str], bool]] = {
    DIFF_HOLDER: partial(_in_commit, commit_layers),
    RUNS_HOLDER: partial(_in_commit, commit_runs),
    IMAGE_HOLDER: _in_image,
    JOB_HOLDER: _written_for,
    TABLE_HOLDER: partial(_in_job, "datums"),
}
