"""The end of a job: what its datums wrote becomes layers of the output commit, and the commits are closed.

Output = the base's rows whose datum was skipped from it, plus what was adopted, plus what was run. All else of the base
is deleted by name, one row each, by columns. A job that failed or was stopped keeps what it has made in its commit, as
a diff that nobody builds on but from which the next job of the same code adopts what is good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import instructions as instruction_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.claims import ReportRow
from trunkline.catalog.work.instructions import InstructionRow
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import Aborted
from trunkline.model.datums import code_digest
from trunkline.model.jobs import JobState
from trunkline.model.plan import RowClass
from trunkline.pfs import outputs
from trunkline.pfs.files import Files
from trunkline.pfs.sessions import Session
from trunkline.pps import events as ev
from trunkline.pps.decide import fits
from trunkline.pps.egress.places import named
from trunkline.pps.events import Work
from trunkline.pps.lineage import core_of, spec_of
from trunkline.pps.machine import JOB_HOLDER, TABLE_HOLDER, feed
from trunkline.pps.tables import JobTable, Tables, with_reports
from trunkline.storage import Sealed

DEL = 1
"""The operation of a row that hides another one: docs/formats/fileset.md."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """What a job has, as it was in one snapshot. ran: image and code digest that it ran datums with.

    base_content: the file sets of the commit that the output builds on. to: where it is sent; "" for nowhere.
    """

    job: JobRow
    reports: tuple[ReportRow, ...]
    ran: tuple[str, str]
    base: JobRow | None
    base_content: tuple[str, ...]
    written: bool
    to: str


def gather(tx: Tx, seq: int, base_seq: int | None = None) -> Harvest | None:
    """What there is to put together; None: the job is gone."""
    job = job_rows.get_job(tx, seq)
    if job is None:
        return None
    base = job_rows.get_job(tx, base_seq) if base_seq is not None else None
    if base_seq is not None and base is None:
        raise Aborted(f"job {base_seq}, on which {job.job} builds, has gone")
    version = pipeline_rows.get_version(tx, job.pipeline, job.version)
    digest = version.image_digest if version else ""
    spec = spec_of(tx, job.pipeline, job.version)
    code = code_digest(spec.transform, digest)
    content = tuple(outputs.content_filesets(tx, base.output_commit)) if base else ()
    written = bool(commit_rows.layers(tx, job.output_commit))
    reports = tuple(claim_rows.reports_of_job(tx, job.seq))
    return Harvest(job, reports, (digest, code), base, content, written, named(spec.egress) if spec.egress else "")


def assemble(files: Files, tables: Tables, do: InstructionRow) -> None:
    """Obey `Do(ASSEMBLE)`: put the layers on the output commit, and the results into the datum table."""
    harvest = files.catalog.read(lambda tx: gather(tx, do.job, do.base))
    if harvest is None or harvest.job.datums is None:
        return
    session, made = files.session_on("assemble", made_by(harvest))
    with session:
        table = full_table(tables, harvest)
        layers = [*_dropped(files, session, tables, harvest, table), *made]
        event = ev.Assembled(do.gen)
        if harvest.to:
            event, layers = _checked(files, session, harvest, layers, event)
        saved = tables.save(session, table)

        def work(tx: Tx) -> None:
            instruction_rows.strike(tx, do.serial)
            now = job_rows.get_job(tx, do.job)
            if now is None or not fits(core_of(now), event):
                return
            outputs.add_layers(tx, session, now.output_commit, layers)
            if event.to:  # the commit stays open while it is sent, and what was checked is true of this base only
                commit_rows.fix_base(tx, now.output_commit, base_commit(tx, now))
            _put_away(tx, session, now, saved)
            feed(tx, do.job, event)
            # Closed at once: the layers are true only of the base that they were made for, and now it is still there.
            following = instruction_rows.find(tx, do.job, Work.FINISH.value)
            if following is not None:
                _close(tx, following)

        session.finish(work)


def _checked(
    files: Files, session: Session, harvest: Harvest, layers: list[Sealed], event: ev.Assembled
) -> tuple[ev.Assembled, list[Sealed]]:
    """The output as one layer that is sound, or why it is not: nothing is sent that would not be a good commit."""
    base = files.held(session, harvest.base_content)
    result = files.store.finish(session, base, layers, harvest.job.output_commit)
    if result.error:
        return replace(event, error=result.error), layers
    return replace(event, to=harvest.to), [result.diff] if result.diff is not None else []


def finish(files: Files, tables: Tables, do: InstructionRow) -> None:
    """Obey `Do(FINISH)`: close the commits; with an error, after what was made so far has been put into them."""
    harvest = files.catalog.read(lambda tx: gather(tx, do.job, do.base))
    if harvest is None:
        return
    if not do.error or harvest.written or harvest.job.datums is None:
        files.catalog.transact(lambda tx: _close(tx, do))
        return
    session, made = files.session_on("assemble", made_by(harvest))
    with session:
        table = full_table(tables, harvest)
        saved = tables.save(session, table)

        def work(tx: Tx) -> None:
            now = job_rows.get_job(tx, do.job)
            commit = commit_rows.get_commit(tx, now.output_commit) if now else None
            if now is not None and commit is not None and commit.open:
                outputs.add_layers(tx, session, now.output_commit, made)
                _put_away(tx, session, now, saved)
            _close(tx, do)

        session.finish(work)


def full_table(tables: Tables, harvest: Harvest) -> JobTable:
    """The job's table with everything that was reported so far."""
    job = harvest.job
    if job.datums is None:
        raise Aborted(f"{job.job} has no datum table")
    table = tables.load(job.datums)
    rows = with_reports(table.rows, harvest.reports, job.seq, job.table_gen, harvest.ran)
    return replace(table, rows=rows)


def made_by(harvest: Harvest) -> list[str]:
    """File sets with what was adopted and run."""
    job = harvest.job
    mine = (one for one in harvest.reports if one.gen == job.table_gen)
    return [*job.adopted, *(fileset for one in mine for fileset in one.output)]


def _put_away(tx: Tx, session: Session, job: JobRow, saved: Sequence[Sealed]) -> None:
    """The commit holds the output now, and the table the results: the reports have done their duty."""
    key = str(job.seq)
    for kind in (JOB_HOLDER, TABLE_HOLDER):
        fileset_rows.drop_holder(tx, kind, key)
    session.adopt(tx, saved, TABLE_HOLDER, key)
    job_rows.set_table(tx, job.seq, job.table_gen, [one.id for one in saved], ())
    claim_rows.forget(tx, job.seq)


def _close(tx: Tx, do: InstructionRow) -> None:
    """Close output and meta commit; the finisher's event ends the job."""
    instruction_rows.strike(tx, do.serial)
    job = job_rows.get_job(tx, do.job)
    if job is None:
        return
    output = commit_rows.get_commit(tx, job.output_commit)
    if output is None:
        feed(tx, do.job, ev.CommitGone())
        return
    base = output.base if output.base_fixed else base_commit(tx, job)
    if do.error:
        outputs.abandon(tx, job.output_commit, job.meta_commit, base=base, error=do.error)
        return
    outputs.settle(tx, job.output_commit, base=base)
    if job.meta_commit is not None and commit_rows.get_commit(tx, job.meta_commit) is not None:
        outputs.settle(tx, job.meta_commit, base=None)


def base_commit(tx: Tx, job: JobRow) -> int | None:
    """The commit that a job's output builds on; None: on nothing, since its base has not ended well."""
    base = job.core["base"]
    found = job_rows.get_job(tx, base) if base is not None else None
    if found is None or not found.ended or found.state != JobState.SUCCESS.value:
        return None
    return found.output_commit


def _dropped(files: Files, session: Session, tables: Tables, harvest: Harvest, table: JobTable) -> list[Sealed]:
    """Hides for everything in the base's content whose datum was not skipped from it."""
    base = harvest.base
    if base is None or base.datums is None or not harvest.base_content:
        return []
    skipped = pc.equal(table.rows["class"].combine_chunks(), int(RowClass.SKIP))
    kept = pc.unique(table.rows["id"].combine_chunks().filter(skipped))
    gone = pc.invert(pc.is_in(tables.load(base.datums).rows["id"].combine_chunks(), value_set=kept))
    if not pc.any(gone).as_py():
        return []
    names = pa.array([one.hex() for one in kept.to_pylist()], pa.string())
    writer = files.store.writer(session)
    for page in files.hold(session, harvest.base_content).files("/"):
        mine = page.filter(pc.invert(pc.is_in(page["datum"], value_set=names)))
        if mine.num_rows:
            writer.add_rows(hides(mine))
    return [one for one in writer.seal() if one.rows]


def hides(rows: pa.Table) -> pa.Table:
    """For rows of contents, the rows that delete them: the same paths and datums."""
    count = rows.num_rows
    empty = pa.array(np.zeros(count, np.int64))
    columns = {
        "op": pa.array(np.full(count, DEL, np.uint8)),
        "size": empty,
        "hash": pa.nulls(count, rows.schema.field("hash").type),
        "pieces": pa.array([[]] * count, rows.schema.field("pieces").type),
        "since": empty,
        "files": empty,
    }
    arrays = [columns.get(each.name, rows[each.name]) for each in rows.schema]
    return pa.table(arrays, schema=rows.schema)
