"""One file set put in the place of another that says the same: with whoever is finished and holds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Table, delete, insert, select, update

from trunkline.catalog.collection.filesets import SealedRow, holders_of, seal
from trunkline.catalog.collection.sessions import require_open
from trunkline.catalog.engine.tx import Tx, slices
from trunkline.catalog.tables import filesets, holders
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


def exchange_runs(
    tx: Tx, gen: int, old: Sequence[str], new: SealedRow, *, seq: int, below: int, limit: int
) -> tuple[int, int]:
    """Have finished commits read from `new` where they read from the runs `old`, one after another, and hold it.

    Commit `seq` is looked at, and the newest `limit` of those before `below`. Answers how many changed, and the oldest
    of these `limit`. Raises Aborted unless session `gen`, which made `new`, is open.
    """
    require_open(tx, gen)
    holding = select(holders.c.key).where(holders.c.fileset_id == old[0], holders.c.kind == RUNS_HOLDER)
    found = sorted((one for one in map(int, tx.execute(holding).scalars()) if one < below), reverse=True)
    newest = sorted({seq, *found[:limit]}, reverse=True)
    oldest = found[:limit][-1] if found else below
    manifests: dict[int, list[str]] = {}
    finished = commits.c.state == CommitState.FINISHED.value, commits.c.error == ""
    listed = select(commit_runs.c.commit_seq, commit_runs.c.fileset).join(commits).where(*finished)
    for some in slices(newest):
        page = listed.where(commits.c.seq.in_(some)).order_by(commit_runs.c.commit_seq, commit_runs.c.position)
        for row in tx.execute(page).all():
            manifests.setdefault(row.commit_seq, []).append(row.fileset)
    changed = {one: made for one in newest if (made := _replaced(manifests.get(one, []), old, new.id)) is not None}
    if not changed:
        return 0, oldest
    if tx.execute(select(filesets.c.id).where(filesets.c.id == new.id)).first() is None:
        seal(tx, gen, [new])
    for some in slices(list(changed)):
        keys = [str(one) for one in some]
        tx.execute(delete(commit_runs).where(commit_runs.c.commit_seq.in_(some)))
        lets_go = holders.c.kind == RUNS_HOLDER, holders.c.key.in_(keys), holders.c.fileset_id.in_(list(old))
        tx.execute(delete(holders).where(*lets_go))
    tx.execute(
        insert(commit_runs),
        [
            {"commit_seq": one, "position": position, "fileset": fileset}
            for one, made in changed.items()
            for position, fileset in enumerate(made)
        ],
    )
    tx.execute(insert(holders), [{"fileset_id": new.id, "kind": RUNS_HOLDER, "key": str(one)} for one in changed])
    return len(changed), oldest


def _replaced(manifest: Sequence[str], old: Sequence[str], new: str) -> list[str] | None:
    """A manifest with one run in the place of some adjacent ones; None where it does not have these."""
    if old[0] not in manifest:
        return None
    at = manifest.index(old[0])
    if list(manifest[at : at + len(old)]) != list(old):
        return None
    return [*manifest[:at], new, *manifest[at + len(old) :]]


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
