"""The life of a job, as a pure function: one event in, the job as it is now and what is to be done out.

The caller runs `decide` and saves job and instructions in one transaction, the one in which the event happened.
Instructions that only touch rows are obeyed in that transaction too; slow work (`Do`) is saved, obeyed later at least
once, and struck out together with its result.

Planning has two phases. Rows that the base job does not know can run at once; rows that both know stay undecided until
the base has ended, then they are skipped or run. A row leaves only `undecided`, and what was once to run is never
placed again (I-8). A base is a job that may still run; when it ends badly an older one is chosen. Bases only get older,
so that ends. The base's last transaction tells each job that waits for it, and `ChooseBase` reads the base's state in
the transaction that stores it: neither order loses the news.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from trunkline.model.jobs import JobState, next_job_state
from trunkline.model.specs.scalars import share
from trunkline.pps import events as ev
from trunkline.pps.events import Do, Ending, Instruction, JobEvent, JobKey, Work

RESTARTS = 5
"""How often work of ours may fail before the job does."""

AGAIN = ", trying again: "
"""In the reason of a job while work of ours that failed waits for another try."""

DELAY_S = 0.5
LONGEST_HOLD_S = 30
"""How long at most until what was given back is tried again: soon after there is room, without many runs in vain."""
LONGEST_DELAY_S = 60.0


class Phase(Enum):
    """Where in its state a job is, more finely than people are shown."""

    INPUTS = "inputs"
    BASE = "base"
    PLANNING = "planning"
    RUNNING = "running"
    WAITING = "waiting"
    ASSEMBLING = "assembling"
    EGRESSING = "egressing"
    FINISHING = "finishing"
    ENDED = "ended"


OPEN_TABLE = frozenset({Phase.RUNNING, Phase.WAITING})
"""Phases in which rows may still be placed."""

REPLANNED = OPEN_TABLE | {Phase.PLANNING, Phase.ASSEMBLING}
"""Phases in which a job depends on rows that it skipped."""


@dataclass(frozen=True, slots=True)
class JobCore:
    """What the rules need to know of a job.

    base, base_planned, base_ending: the job to build on, and what was heard of it. settling: undecided rows are being
    decided. may_fail: how many datums may, as `scalars.share` reads it. placed: rows that were ever to run; open:
    those of them not reported yet. pushes: tries to send the output that failed. held: how often in a row ranges were
    given back. error: what the commits are closed with.
    """

    state: JobState = JobState.CREATED
    phase: Phase = Phase.INPUTS
    gen: int = 1
    base: JobKey | None = None
    base_planned: bool = False
    base_ending: Ending | None = None
    settling: bool = False
    egress: bool = False
    may_fail: str = ""
    placed: int = 0
    open: int = 0
    undecided: int = 0
    processed: int = 0
    failed: int = 0
    recovered: int = 0
    skipped: int = 0
    total: int = 0
    restart: int = 0
    pushes: int = 0
    held: int = 0
    reason: str = ""
    error: str = ""
    first_failed: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.phase is Phase.ENDED


Outcome = tuple[JobCore, list[Instruction]]


def decide(job: JobCore, event: JobEvent) -> Outcome:
    """What follows from one event. Events that come too late, or of another generation, change nothing."""
    if job.over or not fits(job, event):
        return job, []
    match event:
        case ev.Stop(reason, failed=True):
            # None has been planned yet where it was only just made, and then it has not started either.
            started = _enter(job, job.phase, JobState.STARTING) if job.state is JobState.CREATED else job
            return _close(started, reason, JobState.FINISHING)
        case ev.Stop(reason) | ev.Deadline(reason):
            return _kill(job, reason)
        case ev.CommitGone():
            return _vanish(job)
        case ev.CommitFinished(error):
            return _commit_finished(job, error)
        case ev.Restarted():
            return job, _repeat(job)
        case ev.WorkFailed():
            return _work_failed(job, event)
        case ev.Seen() | ev.InputsReady() | ev.InputsFailed():
            return _inputs(job, event)
        case ev.BaseChosen() | ev.BasePlanned() | ev.BaseEnded():
            return _base(job, event)
        case ev.Planned() | ev.Settled():
            return _placed(job, event)
        case ev.RangeDone() | ev.RangeLost() | ev.RangeGivenBack():
            return _ranges(job, event)
        case ev.Assembled() | ev.EgressDone() | ev.EgressHeld() | ev.EgressFailed():
            return _output(job, event)


def fits(job: JobCore, event: JobEvent) -> bool:
    """Whether a result is one that the job still waits for. The caller keeps what belongs to it only then."""
    if job.over:
        return False
    gen = getattr(event, "gen", job.gen)
    if gen != job.gen:
        return False
    match event:
        case ev.Seen() | ev.InputsReady() | ev.InputsFailed():
            return job.phase is Phase.INPUTS
        case ev.BaseChosen():
            return job.phase in OPEN_TABLE or job.phase is Phase.BASE
        case ev.BasePlanned(base) | ev.BaseEnded(base):
            return base == job.base
        case ev.Planned():
            return job.phase is Phase.PLANNING
        case ev.Settled(base=base):
            return job.settling and base == job.base and job.phase in OPEN_TABLE
        case ev.RangeDone() | ev.RangeLost() | ev.RangeGivenBack():
            return job.phase is Phase.RUNNING
        case ev.Assembled():
            return job.phase is Phase.ASSEMBLING
        case ev.EgressDone() | ev.EgressHeld() | ev.EgressFailed():
            return job.phase is Phase.EGRESSING
        case ev.CommitFinished() | ev.CommitGone() | ev.Restarted() | ev.WorkFailed():
            return True
        case ev.Stop() | ev.Deadline():
            return job.phase is not Phase.FINISHING  # too late: its commit is being closed


def _enter(job: JobCore, phase: Phase, state: JobState | None = None) -> JobCore:
    if state is not None and state is not job.state:
        job = replace(job, state=next_job_state(job.state, state))
    return replace(job, phase=phase)


def _inputs(job: JobCore, event: ev.Seen | ev.InputsReady | ev.InputsFailed) -> Outcome:
    job = _enter(job, Phase.INPUTS, JobState.STARTING)
    match event:
        case ev.Seen():
            return job, [ev.CheckInputs()]
        case ev.InputsFailed(names):
            reason = f"unrunnable because {' and '.join(names)}"
            return _close(job, reason, JobState.UNRUNNABLE)
        case _:
            return _enter(job, Phase.BASE), [ev.ChooseBase(job.gen)]


def _base(job: JobCore, event: ev.BaseChosen | ev.BasePlanned | ev.BaseEnded) -> Outcome:
    match event:
        case ev.BaseChosen(base=base, planned=planned, ending=ending):
            job = replace(job, base=base, base_planned=planned, base_ending=ending)
        case ev.BasePlanned():
            job = replace(job, base_planned=True)
        case ev.BaseEnded(ending=ending):
            fell = job.base_ending is Ending.GOOD and ending is Ending.BAD
            job = replace(job, base_ending=ending)
            if (fell and job.phase in REPLANNED) or (ending is Ending.BAD and job.phase is Phase.PLANNING):
                return _replan(job)
    return _use_base(job)


def _replan(job: JobCore) -> Outcome:
    """The ground of the plan has gone: start over, in a new generation.

    Either the base ended badly while the plan was made, or one that had ended well was removed, and with it what was
    skipped from it.
    """
    fresh = JobCore(
        state=job.state,
        phase=Phase.BASE,
        gen=job.gen + 1,
        egress=job.egress,
        may_fail=job.may_fail,
        restart=job.restart,
    )
    return fresh, [ev.CloseClaims("planned anew: the job it was to build on has no output"), ev.ChooseBase(fresh.gen)]


def _use_base(job: JobCore) -> Outcome:
    """Act on what is known of the base."""
    bad = job.base_ending is Ending.BAD
    usable = job.base is None or job.base_planned or job.base_ending is Ending.GOOD
    if job.phase is Phase.BASE:
        if bad:
            return job, [ev.ChooseBase(job.gen, job.base)]
        if usable:
            return _enter(job, Phase.PLANNING), [Do(Work.PLAN, job.gen, job.base)]
        return job, []
    if job.phase not in OPEN_TABLE:
        return job, []  # planning: looked at when the plan is in; later: the base no longer matters
    if bad:
        return replace(job, settling=False), [ev.ChooseBase(job.gen, job.base)]
    if job.undecided and usable:
        return replace(job, settling=True), [Do(Work.SETTLE, job.gen, job.base)]
    return _used_up(job)


def _placed(job: JobCore, event: ev.Planned | ev.Settled) -> Outcome:
    """Rows were decided: open those that are to run, then see what is left to wait for."""
    told: list[Instruction] = []
    skipped = event.skipped + event.adopted
    if isinstance(event, ev.Planned):
        total = event.run + event.undecided + skipped
        job = replace(_enter(job, Phase.RUNNING, JobState.RUNNING), undecided=event.undecided, total=total)
        told.append(ev.TellPlanned())
    else:
        job = replace(job, undecided=job.undecided - event.run - skipped, settling=False)
    job = replace(job, reason="")
    if event.run:
        told.append(ev.Open(job.placed, job.placed + event.run))
    job = replace(job, placed=job.placed + event.run, open=job.open + event.run, skipped=job.skipped + skipped)
    if job.open:
        job = _enter(job, Phase.RUNNING)
    # A plan made while its base still ran was made without the base's results: settle, if they are in by now. After
    # a settlement against a running base the rest waits for the base's end, unless that came meanwhile.
    if job.undecided and (job.base is None or job.base_ending is Ending.GOOD):
        job, more = _use_base(job)
    else:
        job, more = _used_up(job)
    return job, told + more


def _ranges(job: JobCore, event: ev.RangeDone | ev.RangeLost | ev.RangeGivenBack) -> Outcome:
    if isinstance(event, ev.RangeGivenBack):
        held = max(1, job.held + (0 if event.waits else 1))  # 0 while ranges wait: others were kept meanwhile
        after_s = min(2 ** min(held - 1, 10), LONGEST_HOLD_S)
        job = replace(job, held=held, reason=f"{event.why}; tried again in {after_s} s")
        return job, [ev.HoldBack(event.claim, after_s)]
    if isinstance(event, ev.RangeDone):
        good = event.done - event.failed - event.recovered
        job = replace(
            job,
            open=job.open - event.done,
            processed=job.processed + good,
            failed=job.failed + event.failed,
            recovered=job.recovered + event.recovered,
            first_failed=job.first_failed or event.first_failed,
            held=0,
            reason="" if job.held else job.reason,
        )
        return _used_up(job)
    if event.row is None or event.deaths < event.tries:
        return job, [ev.Reopen(event.claim, halve=event.row is None)]
    times = "once" if event.deaths == 1 else f"{event.deaths} times"
    reason = f"the worker died {times} while running this datum (last: {event.why})"
    job = replace(job, open=job.open - 1, failed=job.failed + 1, first_failed=job.first_failed or reason)
    told: list[Instruction] = [ev.SetAside(event.claim, event.row, reason)]
    job, more = _used_up(job)
    return job, told + more


def _used_up(job: JobCore) -> Outcome:
    """If nothing is left to run, the next step; a failed datum ends the job before undecided ones are looked at."""
    if job.open:
        return job, []
    job = replace(job, held=0, reason="" if job.held else job.reason)  # no range waits any more
    if job.failed > share(job.may_fail, job.total):
        limit = f", more than the limit of {job.may_fail}" if job.may_fail else ""
        return _close(job, _failures(job, f"failed{limit}"), JobState.FINISHING)
    if job.undecided or job.settling:
        return _enter(job, Phase.WAITING), []
    # A base that still runs is no ground to build on, and none is needed: no row was skipped from it.
    base = job.base if job.base_ending is Ending.GOOD else None
    job = replace(_enter(job, Phase.ASSEMBLING), base=base)
    return job, [Do(Work.ASSEMBLE, job.gen, base)]


def _failures(job: JobCore, what: str) -> str:
    noun = "datum" if job.total == 1 else "datums"
    first = f"; the first: {job.first_failed}" if job.first_failed else ""
    return f"{job.failed} of {job.total} {noun} {what}{first}"


def _output(job: JobCore, event: ev.Assembled | ev.EgressDone | ev.EgressHeld | ev.EgressFailed) -> Outcome:
    match event:
        case ev.Assembled(error=error) if error:
            return _close(job, error, JobState.FINISHING)
        case ev.Assembled(to=to) if job.egress:
            job = replace(_enter(job, Phase.EGRESSING, JobState.EGRESSING), reason=f"its output is sent to {to}")
            return job, [Do(Work.EGRESS, job.gen)]
        case ev.EgressHeld(older=older):
            job = replace(job, reason=f"its output is sent when job {older}, which is older, has ended")
            return job, [Do(Work.EGRESS, job.gen, delay_s=LONGEST_DELAY_S)]
        case ev.EgressFailed(to=to, why=why):
            tries = job.pushes + 1
            times = "once" if tries == 1 else f"{tries} times"
            job = replace(job, pushes=tries, reason=f"egress to {to} failed {times}, trying again (last: {why})")
            return job, [Do(Work.EGRESS, job.gen, delay_s=_delay(tries))]
        case _:
            job = replace(_enter(job, Phase.FINISHING, JobState.FINISHING), reason="")
            return job, [Do(Work.FINISH, job.gen)]


def _close(job: JobCore, error: str, state: JobState) -> Outcome:
    """End without good output: close claims, and the commits with an error; what has been made stays in them."""
    job = replace(
        _enter(job, Phase.FINISHING, state), gen=job.gen + 1, open=0, settling=False, held=0, reason=error, error=error
    )
    return job, [ev.CloseClaims(error), Do(Work.FINISH, job.gen, error=error)]


def _kill(job: JobCore, reason: str) -> Outcome:
    return _close(job, reason, JobState.KILLED)


def _vanish(job: JobCore) -> Outcome:
    reason = "its output commit was deleted"
    if job.state not in (JobState.KILLED, JobState.UNRUNNABLE):
        job = replace(_enter(job, Phase.ENDED, JobState.KILLED), reason=reason)
    job = replace(job, phase=Phase.ENDED, gen=job.gen + 1, open=0, settling=False)
    return job, [ev.CloseClaims(reason), ev.TellEnded(Ending.BAD)]


def _commit_finished(job: JobCore, error: str) -> Outcome:
    """The end: only now may others build on the output, or adopt parts of it."""
    told: list[Instruction] = []
    if job.phase is not Phase.FINISHING:  # somebody finished the commit by force
        why = error or "its output commit was finished by force"
        job, told = _close(job, why, JobState.KILLED)
        told = told[:1]
    if job.state is JobState.FINISHING:
        state = JobState.FAILURE if error else JobState.SUCCESS
        spared = _failures(job, "quarantined, to be tried again by the next job") if job.failed and not error else ""
        job = replace(_enter(job, Phase.ENDED, state), reason=job.reason or error or spared)
    else:
        job = _enter(job, Phase.ENDED)
    ending = Ending.GOOD if job.state is JobState.SUCCESS else Ending.BAD
    return job, [*told, ev.TellEnded(ending)]


def _work_failed(job: JobCore, event: ev.WorkFailed) -> Outcome:
    """Try again after a pause, where that may help; give up in the end, but never on closing the commits."""
    again = [each for each in _repeat(job) if isinstance(each, Do) and each.work is event.work]
    if not again:
        return job, []
    if event.lasting and event.work is not Work.FINISH:
        return _close(job, event.why, JobState.FINISHING)
    job = replace(job, restart=job.restart + 1)
    if job.restart > RESTARTS and event.work is not Work.FINISH:
        return _close(job, f"could not {event.work.value}: {event.why}", JobState.FINISHING)
    job = replace(job, reason=job.error or f"could not {event.work.value}{AGAIN}{event.why}")
    return job, [replace(each, delay_s=_delay(job.restart)) for each in again]


def _delay(attempt: int) -> float:
    return min(DELAY_S * 2.0 ** min(attempt - 1, 10), LONGEST_DELAY_S)  # an egress may be tried thousands of times


def _repeat(job: JobCore) -> list[Instruction]:
    """What the phase is waiting for, asked for again."""
    match job.phase:
        case Phase.INPUTS:
            return [ev.CheckInputs()]
        case Phase.BASE if job.base is None or job.base_ending is Ending.BAD:
            return [ev.ChooseBase(job.gen, job.base)]
        case Phase.PLANNING:
            return [Do(Work.PLAN, job.gen, job.base)]
        case Phase.RUNNING | Phase.WAITING if job.settling:
            return [Do(Work.SETTLE, job.gen, job.base)]
        case Phase.ASSEMBLING:
            return [Do(Work.ASSEMBLE, job.gen, job.base)]
        case Phase.EGRESSING:
            return [Do(Work.EGRESS, job.gen)]
        case Phase.FINISHING:
            return [Do(Work.FINISH, job.gen, error=job.error)]
        case _:
            return []
