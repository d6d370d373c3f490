"""Plan and settle: which datums a job has, and what is to become of each.

The work is done outside any transaction, on a snapshot; its result is kept in the one transaction that tells the job,
and only if the job still waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import instructions as instruction_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.instructions import InstructionRow
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import Aborted, InvalidArgument
from trunkline.model import plan as plans
from trunkline.model.datums import DatumTable
from trunkline.model.globs import Glob
from trunkline.model.inputs import MATCHES, evaluate
from trunkline.model.jobs import DatumState, JobState
from trunkline.model.names import META_REPO, Commit, Repo
from trunkline.model.plan import Known, Plan, RowClass
from trunkline.model.results import CODE
from trunkline.model.specs import Combination, Input, Leaf, PipelineSpec
from trunkline.pfs import outputs, reads
from trunkline.pfs.files import Files
from trunkline.pfs.sessions import Session
from trunkline.pps import events as ev
from trunkline.pps.decide import fits
from trunkline.pps.lineage import adoption_source, core_of, spec_of
from trunkline.pps.machine import JOB_HOLDER, TABLE_HOLDER, feed
from trunkline.pps.tables import RECORDED, JobTable, Tables, fresh, place_next, scatter
from trunkline.pps.tables import replace as with_columns
from trunkline.storage import Sealed, View


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan is made from, as it was in one snapshot. inputs: commit and file sets of each input repo.

    donor: the failed job whose good results are adopted, with the file sets of its own part of the output.
    """

    job: JobRow
    spec: PipelineSpec
    inputs: Mapping[Repo, tuple[Commit, tuple[str, ...]]]
    base: JobRow | None
    donor: JobRow | None
    donor_output: tuple[str, ...]


def survey(tx: Tx, do: InstructionRow) -> Ground | None:
    """What there is to plan from; None: the job is gone."""
    job = job_rows.get_job(tx, do.job)
    if job is None:
        return None
    inputs = {
        commit.commit.repo: (commit.commit, tuple(outputs.content_filesets(tx, commit.seq)))
        for commit in outputs.inputs_of(tx, job.output_commit)
    }
    base = job_rows.get_job(tx, do.base) if do.base is not None else None
    if do.base is not None and (base is None or base.datums is None):
        raise Aborted(f"job {do.base}, on which {job.job} was to build, has gone")
    spec = spec_of(tx, job.pipeline, job.version)
    donor = adoption_source(tx, job) if spec.skips else None
    layers = tuple(commit_rows.layers(tx, donor.output_commit)) if donor else ()
    return Ground(job, spec, inputs, base, donor, layers)


def make_plan(files: Files, tables: Tables, do: InstructionRow) -> None:
    """Obey `Do(PLAN)`: make the datum table. Raises TrunklineError when that cannot be done."""
    ground = files.catalog.read(lambda tx: survey(tx, do))
    if ground is None:
        return
    own = [one for repo, (_, some) in ground.inputs.items() if repo.type != META_REPO for one in some]
    session, held = files.session_on("plan", own)
    with session:
        datums, records = _datums(files, session, ground, {one.id: one for one in held})
        if ground.spec.service is not None and len(datums) > 1:
            raise InvalidArgument(f"services must have a single datum, and the input of this one makes {len(datums)}")
        base, donor = _known(tables, ground.base), _donor(tables, ground.donor)
        first = "runs in every job" if not ground.spec.skips else plans.NEW
        plan = plans.plan(datums, base, donor, first=first)
        rows = fresh(_ids(datums, plan, base))
        rows = _decide(rows, plan, None)
        rows = _carry(rows, plan, tables, ground, wanted=np.ones(len(datums), bool))
        event = ev.Planned(
            do.gen,
            run=plan.count(RowClass.RUN),
            undecided=plan.count(RowClass.UNDECIDED),
            skipped=plan.count(RowClass.SKIP),
            adopted=plan.count(RowClass.ADOPTED),
        )
        _keep(
            files, tables, session, ground, do, event, JobTable(datums, rows, _ids_of(records)), plan.classes, records
        )


def settle(files: Files, tables: Tables, do: InstructionRow) -> None:
    """Obey `Do(SETTLE)`: decide undecided rows against a base that has ended, or, if it has not, those it lacks."""
    ground = files.catalog.read(lambda tx: survey(tx, do))
    if ground is None or ground.job.datums is None:
        return
    table = tables.load(ground.job.datums)
    before = table.rows["class"].combine_chunks()
    undecided = pc.equal(before, int(RowClass.UNDECIDED)).to_numpy(zero_copy_only=False)
    with files.session("plan") as session:
        base, donor = _known(tables, ground.base), _donor(tables, ground.donor)
        count = len(table.datums)
        start = Plan(before, table.rows["why"].combine_chunks(), pa.nulls(count, pa.int64()), pa.array([], pa.int64()))
        plan = plans.settle(start, table.datums, base, donor)
        rows = _decide(table.rows, plan, undecided)
        rows = _carry(rows, plan, tables, ground, wanted=undecided)
        now = pc.filter(plan.classes, pa.array(undecided))
        event = ev.Settled(
            do.gen,
            do.base,
            run=_count(now, RowClass.RUN),
            skipped=_count(now, RowClass.SKIP),
            adopted=_count(now, RowClass.ADOPTED),
        )
        classes = pc.if_else(pa.array(undecided), plan.classes, pa.scalar(int(RowClass.RUN), pa.int8()))
        _keep(files, tables, session, ground, do, event, replace(table, rows=rows), classes)


def _count(classes: pa.Array, wanted: RowClass) -> int:
    return int(pc.sum(pc.equal(classes, int(wanted))).as_py() or 0)


Written = Mapping[int, Sequence[Sealed]]
"""File sets by the seq of the commit whose content they are."""


def _ids_of(records: Written) -> dict[int, tuple[str, ...]]:
    return {commit: tuple(one.id for one in sealed) for commit, sealed in records.items()}


def _datums(files: Files, session: Session, ground: Ground, held: Mapping[str, Sealed]) -> tuple[DatumTable, Written]:
    """The datums that the inputs make, and what inputs that are meta repos hold, written down for workers to read.

    held: the file sets of the other inputs.
    """
    root = ground.spec.input
    if root is None:
        raise Aborted(f"{ground.spec.pipeline} has no input")
    gone = [str(leaf.source) for leaf in ground.spec.leaves if leaf.source not in ground.inputs]
    if gone:
        raise Aborted(f"{ground.job.job} lost the commit of its input {gone[0]}: it was deleted")
    views, records = {}, {}
    for repo, (commit, filesets) in ground.inputs.items():
        if repo.type == META_REPO:
            seq, sealed = _written(files, session, commit, [leaf for leaf in ground.spec.leaves if leaf.source == repo])
            records[seq] = sealed
            views[repo] = files.store.view(sealed)
        else:
            views[repo] = files.store.view([held[one] for one in filesets])
    resolved = with_commits(root, {repo: commit.id for repo, (commit, _) in ground.inputs.items()})
    matches = [match(views[leaf.source], leaf) for leaf in ground.spec.leaves]
    return evaluate(resolved, matches, ground.spec.pipeline.project), records


def _written(files: Files, session: Session, commit: Commit, leaves: Sequence[Leaf]) -> tuple[int, Sequence[Sealed]]:
    """The part of a meta commit that globs can match, as file sets: records are made when they are read, but here."""
    source = reads.need_source(files, commit.repo, commit.id)
    files.held(session, source.filesets)
    stems = [Glob(leaf.glob).stem for leaf in leaves]
    folders = [folder for folder in ("/meta/", "/pfs/") if any(_meet(stem, folder) for stem in stems)]
    writer = files.store.writer(session)
    for folder in folders:
        for batch in source.view.rows(folder):
            writer.add_rows(batch)
    return source.seq, [one for one in writer.seal() if one.rows]


def _meet(stem: str, folder: str) -> bool:
    """Whether a glob whose matches begin with `stem` can match in a folder."""
    return stem.startswith(folder) or folder.startswith(stem)


def with_commits(node: Input, commits: Mapping[Repo, str]) -> Input:
    """The input with the commit of each branch filled in."""
    if isinstance(node, Combination):
        return replace(node, members=tuple(with_commits(member, commits) for member in node.members))
    return replace(node, commit=commits[node.source])


def match(view: View, leaf: Leaf) -> pa.Table:
    """What an input's glob matches in its commit."""
    pages = [page.select(MATCHES.names) for page in view.glob(Glob(leaf.glob))]
    return pa.concat_tables(pages).cast(MATCHES) if pages else MATCHES.empty_table()


def _known(tables: Tables, base: JobRow | None) -> Known | None:
    if base is None or base.datums is None:
        return None
    table = tables.load(base.datums)
    good = base.ended and base.state == JobState.SUCCESS.value
    return Known(table.datums, table.rows["state"].combine_chunks(), ended=good)


def _donor(tables: Tables, donor: JobRow | None) -> Known | None:
    """What a failed job ran or adopted itself: only that is in its part of the output."""
    if donor is None or donor.datums is None:
        return None
    table = tables.load(donor.datums)
    own = pc.is_in(table.rows["class"].combine_chunks(), pa.array([RowClass.RUN, RowClass.ADOPTED], pa.int8()))
    states = pc.if_else(own, table.rows["state"].combine_chunks(), pa.scalar(None, pa.int8()))
    return Known(table.datums, states)


def _ids(datums: DatumTable, plan: Plan, base: Known | None) -> pa.Array:
    """The ID of each datum; where the base has it, the base's need not be hashed again."""
    skipped = pc.equal(plan.classes, int(RowClass.SKIP)).to_numpy(zero_copy_only=False)
    if base is None or not skipped.any() or "ids" not in base.table.__dict__:
        return datums.ids
    held = base.table.ids.take(plan.source.filter(pa.array(skipped)))
    new = DatumTable.ids_of(datums.keys.filter(pa.array(~skipped)))
    order = np.empty(len(datums), np.int64)
    order[skipped] = np.arange(len(held))
    order[~skipped] = len(held) + np.arange(len(new))
    return pa.concat_arrays([held, new]).take(pa.array(order))


def _decide(rows: pa.Table, plan: Plan, undecided: np.ndarray | None) -> pa.Table:
    """The rows with class, reason and place of those that the plan decided."""
    places = rows["place"].to_numpy()
    classes = plan.classes.to_numpy(zero_copy_only=False)
    next_place = int(places.max()) + 1 if len(places) else 0
    if undecided is not None:
        fixed = np.where(undecided, classes, int(RowClass.SKIP))  # others have their place, or need none
        places = place_next(fixed, next_place, places)
    else:
        places = place_next(classes, next_place, places)
    columns = {"class": plan.classes, "why": plan.reasons, "place": pa.array(places)}
    return with_columns(rows, **columns)


def _carry(rows: pa.Table, plan: Plan, tables: Tables, ground: Ground, wanted: np.ndarray) -> pa.Table:
    """The rows with the records that skipped and adopted ones take over."""
    for job, kind in ((ground.base, RowClass.SKIP), (ground.donor, RowClass.ADOPTED)):
        if job is None or job.datums is None:
            continue
        mine = np.flatnonzero(pc.equal(plan.classes, int(kind)).to_numpy(zero_copy_only=False) & wanted)
        if not len(mine):
            continue
        values = tables.load(job.datums).rows.take(plan.source.take(pa.array(mine))).select(list(RECORDED))
        skipped = pa.repeat(pa.scalar(CODE[DatumState.SKIPPED], pa.int8()), len(mine))
        rows = scatter(rows, mine, with_columns(values, state=skipped))
    return rows


def _keep(
    files: Files,
    tables: Tables,
    session: Session,
    ground: Ground,
    do: InstructionRow,
    event: ev.Planned | ev.Settled,
    table: JobTable,
    classes: pa.Array,
    records: Written = MappingProxyType({}),
) -> None:
    """Save table and adopted output, and tell the job, if it still waits for this."""
    adopted = pc.equal(classes, int(RowClass.ADOPTED)).to_numpy(zero_copy_only=False)
    layers = _adopt(files, session, ground, table, np.flatnonzero(adopted))
    sealed = tables.save(session, table)

    def work(tx: Tx) -> None:
        instruction_rows.strike(tx, do.serial)
        now = job_rows.get_job(tx, do.job)
        if now is None or not fits(core_of(now), event):
            return
        key = str(do.job)
        fileset_rows.drop_holder(tx, TABLE_HOLDER, key)
        session.adopt(tx, sealed, TABLE_HOLDER, key)
        session.adopt(tx, [*layers, *(one for some in records.values() for one in some)], JOB_HOLDER, key)
        before = now.adopted if isinstance(event, ev.Settled) else ()
        gen = do.gen if isinstance(event, ev.Planned) else now.table_gen
        job_rows.set_table(tx, do.job, gen, [one.id for one in sealed], [*before, *(one.id for one in layers)])
        feed(tx, do.job, event)

    session.finish(work)


def _adopt(files: Files, session: Session, ground: Ground, table: JobTable, rows: np.ndarray) -> Sequence[Sealed]:
    """The output of these rows, taken by reference from the failed job that made it."""
    if not len(rows) or not ground.donor_output:
        return []
    wanted = pa.array([one.hex() for one in table.rows["id"].take(pa.array(rows)).to_pylist()])
    view = files.hold(session, ground.donor_output)
    writer = files.store.writer(session)
    for page in view.files("/"):
        mine = page.filter(pc.is_in(page["datum"], value_set=wanted))
        if mine.num_rows:
            writer.add_rows(mine)
    return [one for one in writer.seal() if one.rows]
