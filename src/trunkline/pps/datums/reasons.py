"""Why a datum of a job ran, or did not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import Aborted, FailedPrecondition, NotFound
from trunkline.model import plan as plans
from trunkline.model.jobs import JobState
from trunkline.model.names import Commit, Job
from trunkline.model.plan import RowClass
from trunkline.pfs.files import Files
from trunkline.pps.datums.listing import by_id, raw_id, table_of
from trunkline.pps.lineage import older_jobs, spec_of
from trunkline.pps.machine import need_job
from trunkline.pps.tables import JobTable, Tables

PAGE = 500
SHOWN = 5
"""Changed inputs that a sentence names."""


@dataclass(frozen=True, slots=True)
class ChangedInput:
    """Something a datum reads that is not what it was."""

    input: str
    path: str
    before: Commit
    after: Commit


@dataclass(frozen=True, slots=True)
class DatumReason:
    """A datum's fate and the sentence for it. ran_in: whose result it has; older_code: made by other code than ours."""

    datum: str
    paths: tuple[str, ...]
    fate: RowClass
    reason: str
    changes: tuple[ChangedInput, ...] = ()
    ran_in: Job | None = None
    older_code: bool = False


@dataclass
class _Scene:
    """A job among those it is compared with. base: the one it builds on; older: the nearest before it, good or not."""

    job: JobRow
    every: str
    base: JobRow | None
    older: JobRow | None
    ran: dict[int, Job] = field(default_factory=dict)


def why(files: Files, tables: Tables, job: Job, datum: str = "") -> Iterator[DatumReason]:
    """The reason for each datum of a job, by ID, or for one of them.

    Raises NotFound, InvalidArgument, FailedPrecondition while the job has no datums yet.
    """
    found = table_of(files, tables, job)
    if found is None:
        raise FailedPrecondition(
            f"job {job.pipeline.name}@{job.id} has not looked at its datums; see its reason with `pachctl inspect job`"
        )
    harvest, table, _ = found
    ids = table.rows["id"].combine_chunks()
    order = by_id(ids)
    if datum:
        row = pc.index(ids, pa.scalar(raw_id(datum), ids.type)).as_py()
        if row < 0:
            raise NotFound(f"datum {datum} not found in job {job.pipeline.name}@{job.id}")
        order = np.array([row], np.int64)
    scene = files.catalog.read(lambda tx: _scene(tx, job))
    base = _loaded(tables, scene.base)
    for start in range(0, len(order), PAGE):
        yield from _page(files, scene, table, base, order[start : start + PAGE], harvest.ran[1])


def _scene(tx: Tx, job: Job) -> _Scene:
    row = need_job(tx, job)
    base = row.core["base"]
    older = next(iter(older_jobs(tx, row)), None)
    every = spec_of(tx, row.pipeline, row.version).never_skips
    return _Scene(row, every, job_rows.get_job(tx, base) if base is not None else None, older)


def _loaded(tables: Tables, base: JobRow | None) -> JobTable | None:
    if base is None or base.datums is None:
        return None
    try:
        return tables.load(base.datums)
    except Aborted:  # deleted since
        return None


def _page(
    files: Files, scene: _Scene, table: JobTable, base: JobTable | None, rows: np.ndarray, code: str
) -> Iterator[DatumReason]:
    wanted = pa.array(rows)
    known = table.rows.take(wanted).to_pylist()
    part = table.datums.take(wanted)
    elements = part.datums(0, len(part))
    sources = {one["source"] for one in known if one["source"] >= 0}
    jobs = files.catalog.read(lambda tx: job_rows.get_jobs(tx, sources))
    at = pc.index_in(part.keys, value_set=base.datums.keys).to_pylist() if base is not None else [None] * len(known)
    for one, datum, there in zip(known, elements, at, strict=True):
        fate = RowClass(one["class"])
        changes: tuple[ChangedInput, ...] = ()
        if base is not None and there is not None and one["why"] == plans.CHANGED:
            before = base.datums.datum(there)
            pairs = [(old, new) for old, new in zip(before, datum, strict=True) if old.hash != new.hash]
            changes = tuple(
                ChangedInput(
                    new.slot.name,
                    f"{new.path}/" if new.is_dir and new.path != "/" else new.path,
                    Commit(old.slot.source, old.slot.commit),
                    Commit(new.slot.source, new.slot.commit),
                )
                for old, new in pairs
            )
        ran_in = jobs[one["source"]].job if one["source"] in jobs else None
        failed = base.rows["reason"][there].as_py() if base is not None and there is not None else ""
        yield DatumReason(
            datum=one["id"].hex(),
            paths=tuple(e.path for e in datum),
            fate=fate,
            reason=_sentence(scene, fate, one["why"], changes, ran_in, failed),
            changes=changes,
            ran_in=ran_in,
            older_code=bool(one["code"]) and one["code"] != code,
        )


def _sentence(
    scene: _Scene, fate: RowClass, text: str, changes: tuple[ChangedInput, ...], ran_in: Job | None, failed: str
) -> str:
    base = f"job {scene.base.job.id}" if scene.base is not None else "the last job"
    if fate is RowClass.SKIP:
        return f"the result of job {ran_in.id} holds: its inputs have not changed" if ran_in else text
    if fate is RowClass.ADOPTED:
        return f"job {ran_in.id} had run it well before it ended badly" if ran_in else text
    if fate is RowClass.UNDECIDED:
        return f"waits for {base}, which works on it"
    if scene.every:
        return scene.every
    if text == plans.CHANGED and changes:
        return "changed: " + _changed(changes)
    if text in (plans.FAILED, plans.RECOVERED):
        made_good = ", and err_cmd made it good" if text == plans.RECOVERED else ""
        return f"an earlier attempt failed in {base}{made_good}" + (f": {failed}" if failed else "")
    if text != plans.NEW:
        return text
    if scene.base is not None:
        return f"first seen: {base} did not have it"
    return _without_base(scene)


def _changed(changes: tuple[ChangedInput, ...]) -> str:
    named = [f"{one.input}:{one.path} ({one.before.id} to {one.after.id})" for one in changes[:SHOWN]]
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return ", ".join(named) + more


def _without_base(scene: _Scene) -> str:
    older = scene.older
    if older is None:
        return "first seen: the pipeline has no job before this one"
    if older.salt != scene.job.salt:
        return "new salt: the pipeline was updated to reprocess everything"
    if older.state != JobState.SUCCESS.value:
        return f"no job before this one ended well (the last, {older.job.id}: {older.state})"
    return f"first seen: job {older.job.id} did not have it"
