"""Jobs in the catalog: made with their output commit, moved by events, their quick instructions obeyed at once.

`feed` is the one way in which a job changes: it runs in the transaction in which the event happened, so an event can
neither be lost nor count twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.branches import BranchRow
from trunkline.catalog.collection import exchange
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import instructions as instruction_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import logs as log_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.claims import ClaimRow, ReportRow
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import NotFound
from trunkline.model.names import Commit, Job, Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.pps import events as ev
from trunkline.pps import logs
from trunkline.pps.decide import JobCore, Phase, decide, fits
from trunkline.pps.events import Do, Ending, Instruction, JobEvent, Work
from trunkline.pps.lineage import choose_base, core_of, look_at_inputs
from trunkline.pps.specs.devices import devices_of
from trunkline.pps.tables import failed_result, served_result

JOB_TOPIC = "job"
"""Events of this topic: {"seq", "pipeline", "id", "state", "phase"}; a job changed."""
WORK_TOPIC = "work"
"""Events of this topic: {"job"}; there is slow work to do."""
PUSH_TOPIC = "push"
"""Events of this topic: {"pipeline"}; there is output to be sent elsewhere, or what was held back need not wait."""
DEADLINE_TOPIC = "deadline"
"""Events of this topic: {"seq"}; a job that has a limit has begun."""
CLAIMS_TOPIC = "claims"
"""Events of this topic: {"pipeline"}; there may be something to claim."""
COMMAND_TOPIC = "command"
"""Events of this topic: {"worker", "claim", "cancel"} or {"worker", "claim", "restart"}; a worker is told something."""
RETIRED_TOPIC = "retired"
"""Events of this topic: {"project", "name"}; a pipeline was stopped or deleted, and workers run nothing more of it."""

JOB_HOLDER = exchange.JOB_HOLDER
"""Holds the output that was reported or adopted, until the commit has it; the key is the job's seq."""
TABLE_HOLDER = exchange.TABLE_HOLDER
"""Holds a job's datum table; the key is the job's seq."""

SERVICE, SPOUT, TRANSFORM = "SERVICE", "SPOUT", "TRANSFORM"
"""The kinds of a pipeline."""
ENDLESS_TRIES = 1 << 30
"""A service is started again and again; its datum never fails."""
Told = list[tuple[int, JobEvent]]


def columns_of(core: JobCore) -> dict[str, object]:
    """The reverse of `core_of`, for the catalog."""
    ending = core.base_ending
    return {
        **asdict(core),
        "state": core.state.value,
        "phase": core.phase.value,
        "base_ending": ending.value if ending else None,
    }


def create_job(tx: Tx, commit: CommitRow, branch: BranchRow) -> None:
    """Fill the port `on_output_commit`: make the job of a new output commit, in the transaction that makes that."""
    repo = commit.commit.repo
    pipeline = pipeline_rows.find_pipeline(tx, Pipeline(repo.project, repo.name))
    if pipeline is None or pipeline.stopped or job_rows.by_commits(tx, [commit.seq]):
        return
    version = pipeline_rows.get_version(tx, pipeline.key, pipeline.version)
    if version is None:
        return
    spec = PipelineSpec.from_json(version.effective_spec)
    if spec.spout is not None or branch.branch.name != spec.output_branch:
        return
    meta = commit_rows.find_commit(tx, Commit(pipeline.pipeline.meta, commit.commit.id))
    values = {
        "pipeline": pipeline.key,
        "id": commit.commit.id,
        "version": pipeline.version,
        "salt": version.salt,
        "output_commit": commit.seq,
        "meta_commit": meta.seq if meta else None,
        "timeout_us": spec.job_timeout_us,
        "tries": spec.datum_tries if spec.service is None else ENDLESS_TRIES,
        "parallelism": spec.parallelism or 0,
        "gpus": devices_of(spec, version.runner),
        "set_datums": spec.datum_set_spec.number,
        "set_bytes": spec.datum_set_spec.size_bytes,
        "sets_per_worker": spec.datum_set_spec.per_worker,
    }
    core = JobCore(egress=spec.egress is not None, may_fail=spec.own.may_fail)
    seq = job_rows.insert_job(tx, values, columns_of(core))
    pipeline_rows.busy(tx, pipeline.key)
    _tell(tx, seq, pipeline.key, commit.commit.id, core)
    feed(tx, seq, ev.Seen())


def feed(tx: Tx, seq: int, event: JobEvent) -> bool:
    """Tell a job something, and do what follows at once. Answers whether the job still waited for that event.

    Only then may the caller keep what belongs to the event.
    """
    waiting: deque[tuple[int, JobEvent]] = deque([(seq, event)])
    answer: bool | None = None
    while waiting:
        key, what = waiting.popleft()
        row = job_rows.get_job(tx, key)
        core = core_of(row) if row is not None else None
        fit = core is not None and fits(core, what)
        answer = fit if answer is None else answer
        if row is None or core is None or not fit:
            continue
        after, told = decide(core, what)
        _save(tx, row, core, after)
        for instruction in told:
            waiting.extend(_obey(tx, row, after, instruction))
    return bool(answer)


def _save(tx: Tx, row: JobRow, before: JobCore, after: JobCore) -> None:
    if after == before:
        return
    values = columns_of(after)
    if before.phase is Phase.INPUTS and after.phase is not Phase.INPUTS:
        values["started_us"] = tx.now_us
        if row.timeout_us:
            values["deadline_us"] = tx.now_us + row.timeout_us
            tx.emit(DEADLINE_TOPIC, {"seq": row.seq})
    if after.over:
        values["finished_us"] = tx.now_us
    job_rows.set_core(tx, row.seq, values)
    if after.over:
        pipeline_rows.idle(tx, row.pipeline)
        _hasten(tx, row.pipeline)
    if after.gen != before.gen:
        instruction_rows.strike_older(tx, row.seq, after.gen)
    if remark := _remark(before, after):
        logs.say(tx, row.pipeline, row.seq, remark)
    _tell(tx, row.seq, row.pipeline, row.job.id, after)


def _hasten(tx: Tx, pipeline: int) -> None:
    """A job is over: those that are not to send before it need not wait."""
    if instruction_rows.hasten(tx, pipeline, Work.EGRESS.value):
        tx.emit(PUSH_TOPIC, {"pipeline": pipeline})


def _remark(before: JobCore, after: JobCore) -> str:
    """What the log says about a change; empty: nothing."""
    if after.phase is before.phase:
        return after.reason if after.pushes > before.pushes or after.held > before.held else ""
    if after.over:
        return f"the job ended: {after.state.value}" + (f", {after.reason}" if after.reason else "")
    if before.phase is Phase.PLANNING and after.total:
        waits = f", {after.undecided} wait for the job before" if after.undecided else ""
        return f"{after.total} datums: {after.placed} to run, {after.skipped} skipped{waits}"
    return {
        Phase.PLANNING: "the inputs are finished; the job looks which datums are new",
        Phase.ASSEMBLING: "every datum is done; the output is put together",
        Phase.EGRESSING: after.reason,
        Phase.FINISHING: "the output commit is being finished",
    }.get(after.phase, "")


def _tell(tx: Tx, seq: int, pipeline: int, job_id: str, core: JobCore) -> None:
    payload = {"seq": seq, "pipeline": pipeline, "id": job_id, "state": core.state.value, "phase": core.phase.value}
    tx.emit(JOB_TOPIC, payload)


def _obey(tx: Tx, row: JobRow, core: JobCore, instruction: Instruction) -> Told:
    """Do what only touches rows; what must be heard by which job because of it."""
    match instruction:
        case ev.CheckInputs():
            found = look_at_inputs(tx, row)
            return [(row.seq, found)] if found else []
        case ev.ChooseBase(gen, older_than):
            return [(row.seq, choose_base(tx, row, gen, older_than))]
        case ev.Open(first, last):
            _supersede(tx, row)
            claim_rows.insert_claim(tx, row.seq, row.pipeline, core.gen, first, last)
            tx.emit(CLAIMS_TOPIC, {"pipeline": row.pipeline})
        case ev.Reopen(claim, halve):
            _reopen(tx, claim, halve)
            tx.emit(CLAIMS_TOPIC, {"pipeline": row.pipeline})
        case ev.HoldBack(claim, seconds):
            claim_rows.release(tx, claim)
            claim_rows.hold_back(tx, row.seq, seconds + 1)  # the first tick may come at once
        case ev.SetAside(claim, position, reason):
            _set_aside(tx, row, claim, position, reason)
            tx.emit(CLAIMS_TOPIC, {"pipeline": row.pipeline})
        case ev.CloseClaims(reason):
            close_claims(tx, row.seq, reason)
        case ev.TellPlanned():
            return [(child, ev.BasePlanned(row.seq)) for child in job_rows.waiting_for(tx, row.seq)]
        case ev.TellEnded(ending):
            return [(child, ev.BaseEnded(row.seq, ending)) for child in job_rows.waiting_for(tx, row.seq)]
        case Do(work, gen, base, error, delay_s):
            not_before = tx.now_us + int(delay_s * 1e6) if delay_s else 0
            instruction_rows.put(tx, row.seq, work.value, gen, base, error, not_before)
            if work is Work.EGRESS:
                tx.emit(PUSH_TOPIC, {"pipeline": row.pipeline})
            else:
                tx.emit(WORK_TOPIC, {"job": row.seq})
    return []


def _supersede(tx: Tx, row: JobRow) -> None:
    """The code of older jobs of a service is to end: this one's starts with newer data."""
    pipeline = pipeline_rows.get_pipeline(tx, row.pipeline)
    if pipeline is None or pipeline.kind != SERVICE:
        return
    for older in job_rows.open_jobs(tx, row.pipeline):
        if older.seq >= row.seq:
            continue
        for claim in claim_rows.claims_of_job(tx, older.seq):
            claim_rows.set_finish(tx, claim.id)
            if claim.worker is None:
                end_served(tx, claim)
            else:
                tx.emit(COMMAND_TOPIC, {"worker": claim.worker, "claim": claim.id, "finish": True})


def end_served(tx: Tx, claim: ClaimRow) -> None:
    """The one datum of a service ends well though no worker has it: what its code wrote went with its last worker."""
    claim_rows.delete_claim(tx, claim.id)
    claim_rows.insert_report(tx, ReportRow(claim.job, claim.gen, claim.done, claim.last, (), served_result(claim.done)))
    feed(tx, claim.job, ev.RangeDone(claim.gen, claim.last - claim.done))


def _reopen(tx: Tx, claim_id: str, halve: bool) -> None:
    claim = claim_rows.get_claim(tx, claim_id)
    if claim is None:
        return
    claim_rows.release(tx, claim_id)
    if halve and claim.left > 1:
        middle = claim.done + claim.left // 2
        claim_rows.set_last(tx, claim_id, middle)
        claim_rows.insert_claim(tx, claim.job, claim.pipeline, claim.gen, middle, claim.last)


def _set_aside(tx: Tx, row: JobRow, claim_id: str, position: int, reason: str) -> None:
    claim = claim_rows.get_claim(tx, claim_id)
    if claim is None:
        return
    claim_rows.delete_claim(tx, claim_id)
    for first, last in ((claim.done, position), (position + 1, claim.last)):
        if first < last:
            claim_rows.insert_claim(tx, row.seq, row.pipeline, claim.gen, first, last)
    result = failed_result(position, reason)
    claim_rows.insert_report(tx, ReportRow(row.seq, claim.gen, position, position + 1, (), result))


def lost(tx: Tx, claim: ClaimRow, why: str, *, counts: bool = True) -> None:
    """A worker is gone with a claim. counts: whether it is laid at the door of the datum that it ran.

    It is not when we ourselves ended the worker, or restarted.
    """
    job = job_rows.get_job(tx, claim.job)
    if job is None:
        claim_rows.delete_claim(tx, claim.id)
        return
    position = claim.row if claim.row is not None and claim.done <= claim.row < claim.last else None
    if position is None and claim.left == 1:
        position = claim.done  # nobody named it, but there is no other
    if claim.finish:
        end_served(tx, claim)
        return
    if not counts:
        claim_rows.release(tx, claim.id)
        tx.emit(CLAIMS_TOPIC, {"pipeline": claim.pipeline})
        return
    deaths = 0 if position is None else claim_rows.count_death(tx, claim.job, claim.gen, position, why)
    event = ev.RangeLost(claim.gen, claim.id, position, deaths, job.tries, why)
    if not feed(tx, claim.job, event):
        claim_rows.delete_claim(tx, claim.id)


def close_claims(tx: Tx, seq: int, reason: str) -> None:
    """Take all claims of a job away and tell their workers."""
    for claim in claim_rows.claims_of_job(tx, seq):
        if claim.worker is not None:
            tx.emit(COMMAND_TOPIC, {"worker": claim.worker, "claim": claim.id, "cancel": reason})
    claim_rows.delete_claims(tx, seq)


def commit_moved(tx: Tx, commit_seq: int) -> None:
    """Look at a commit that reached a state, and tell the job that waits for that."""
    job = job_rows.by_commits(tx, [commit_seq]).get(commit_seq)
    if job is None or job.ended or job.output_commit != commit_seq:
        return
    row = commit_rows.get_commit(tx, commit_seq)
    if row is None:
        feed(tx, job.seq, ev.CommitGone())
    elif row.finished:
        feed(tx, job.seq, ev.CommitFinished(row.error))
    elif job.core["phase"] == Phase.INPUTS.value:
        feed(tx, job.seq, ev.Seen())


def stop(tx: Tx, row: JobRow, reason: str, *, failed: bool = False) -> None:
    """End a job, as killed or as failed. One that has ended, or is closing its commits already, is left alone."""
    feed(tx, row.seq, ev.Stop(reason, failed))


def remove(tx: Tx, row: JobRow) -> None:
    """Take a job's record away, with claims, reports, logs and datum table; its commits stay, or are gone already."""
    children = job_rows.waiting_for(tx, row.seq)
    close_claims(tx, row.seq, "the job was deleted")
    claim_rows.forget(tx, row.seq)
    log_rows.delete_segments(tx, job=row.seq)
    for kind in (JOB_HOLDER, TABLE_HOLDER):
        fileset_rows.drop_holder(tx, kind, str(row.seq))
    job_rows.delete_job(tx, row.seq)
    _hasten(tx, row.pipeline)
    pipeline_rows.idle(tx, row.pipeline)
    tx.emit(JOB_TOPIC, {"seq": row.seq, "pipeline": row.pipeline, "id": row.job.id, "state": "", "phase": "gone"})
    for child in children:
        feed(tx, child, ev.BaseEnded(row.seq, Ending.BAD))


def need_job(tx: Tx, job: Job) -> JobRow:
    """One job. Raises NotFound."""
    row = job_rows.find_job(tx, job)
    if row is None:
        raise NotFound(f"job {job.pipeline.name}@{job.id} not found in project {job.pipeline.project}")
    return row


def commits_removed(tx: Tx, seqs: Sequence[int]) -> None:
    """Fill the port `on_removed_commits`: the jobs that made those commits end and go with them."""
    jobs = {job.seq: job for job in job_rows.by_commits(tx, seqs).values()}
    for seq in sorted(jobs, reverse=True):  # newer ones first: they may wait for older ones
        remove(tx, jobs[seq])


def restarted(tx: Tx, seq: int) -> None:
    """After a start of the server: look again at what the job waits for, and ask again for what was being done."""
    row = job_rows.get_job(tx, seq)
    if row is None or row.ended:
        return
    commit = commit_rows.get_commit(tx, row.output_commit)
    if commit is None:
        feed(tx, seq, ev.CommitGone())
    elif commit.finished:
        feed(tx, seq, ev.CommitFinished(commit.error))
    else:
        feed(tx, seq, ev.Restarted())
