"""What must hold between the rows of jobs at every commit. Used by fsck, and by every test of the pipeline system.

Each check yields one sentence for each thing wrong, with the number of the promise that it breaks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from sqlalchemy import Executable, and_, exists, func, or_, select

from trunkline.catalog.engine.tx import Tx
from trunkline.catalog.tables_pfs import commits
from trunkline.catalog.tables_pps import claims, instructions, jobs, pipeline_versions, pipelines, reports
from trunkline.model.jobs import JobState

_PLACING = ("running", "waiting")
_AT_WORK = ("planning", "assembling", "egressing")


def violations(tx: Tx) -> Iterator[str]:
    """Everything wrong with the rows of jobs."""
    yield from rows_counted_twice(tx)
    yield from counters_that_do_not_add_up(tx)
    yield from jobs_that_nothing_moves(tx)
    yield from leftovers_of_ended_jobs(tx)
    yield from bases_that_are_newer(tx)
    yield from ends_that_differ_from_the_commit(tx)
    yield from pipelines_without_their_version(tx)
    yield from states_that_no_move_reaches(tx)


def rows_counted_twice(tx: Tx) -> Iterator[str]:
    """I-8: what was reported of a job, and what its claims still hold, never overlap."""
    told = select(reports.c.job, reports.c.gen, reports.c.first, reports.c.last)
    held = select(claims.c.job, claims.c.gen, claims.c.done, claims.c.last)
    ranges = sorted(tuple(row) for query in (told, held) for row in tx.execute(query).all())
    for before, after in itertools.pairwise(ranges):
        if before[:2] == after[:2] and before[3] > after[2]:
            yield f"I-8: job {before[0]} has rows {after[2]} to {min(before[3], after[3])} in two ranges"


def counters_that_do_not_add_up(tx: Tx) -> Iterator[str]:
    """I-8: each row of a job is done, skipped, to be run or undecided; what is to be run lies in its claims."""
    left = select(func.coalesce(func.sum(claims.c.last - claims.c.done), 0)).where(claims.c.job == jobs.c.seq)
    done = jobs.c.processed + jobs.c.failed + jobs.c.recovered + jobs.c.skipped
    query = select(jobs.c.seq, jobs.c.total, done + jobs.c.open + jobs.c.undecided, jobs.c.open, left.scalar_subquery())
    for seq, total, counted, open_, claimed in tx.execute(query.where(jobs.c.phase.in_(_PLACING))).all():
        if total != counted:
            yield f"I-8: job {seq} has {total} datums but counts {counted}"
        if open_ != claimed:
            yield f"I-8: job {seq} has {open_} datums to run, but its claims hold {claimed}"


def jobs_that_nothing_moves(tx: Tx) -> Iterator[str]:
    """An open job has an instruction, claims, a base that still runs, or a commit that is being finished."""
    asked = exists().where(instructions.c.job == jobs.c.seq)
    query = select(jobs.c.seq, jobs.c.phase).where(and_(jobs.c.phase.in_(_AT_WORK), ~asked))
    for seq, phase in tx.execute(query).all():
        yield f"I-11: job {seq} is {phase}, but nothing asks for that"
    base = jobs.alias("base")
    running = exists().where(and_(base.c.seq == jobs.c.base, base.c.phase != "ended"))
    waits = and_(jobs.c.phase.in_(("base", "waiting")), ~asked, ~running)
    for seq, phase in tx.execute(select(jobs.c.seq, jobs.c.phase).where(waits)).all():
        yield f"I-11: job {seq} is {phase}, but there is nothing to wait for"
    open_ = commits.c.state.in_(("STARTED", "READY"))
    stuck = and_(jobs.c.phase == "finishing", ~asked, commits.c.seq == jobs.c.output_commit, open_)
    for seq in tx.execute(select(jobs.c.seq).where(stuck)).scalars():
        yield f"I-11: job {seq} is finishing, but nothing asks to close its commit"


def leftovers_of_ended_jobs(tx: Tx) -> Iterator[str]:
    """A job that has ended has no claims and no instructions."""
    for table, noun in ((claims, "claims"), (instructions, "instructions")):
        query = select(jobs.c.seq).where(and_(jobs.c.phase == "ended", exists().where(table.c.job == jobs.c.seq)))
        for seq in tx.execute(query).scalars():
            yield f"I-8: job {seq} has ended but still has {noun}"


def bases_that_are_newer(tx: Tx) -> Iterator[str]:
    """Bases only get older, so that waiting for them ends."""
    for seq, base in tx.execute(select(jobs.c.seq, jobs.c.base).where(jobs.c.base >= jobs.c.seq)).all():
        yield f"I-9: job {seq} builds on job {base}, which is not older"


def ends_that_differ_from_the_commit(tx: Tx) -> Iterator[str]:
    """I-9: a job that succeeded has an output commit without error, and one that did not has one with."""
    query = select(jobs.c.seq, jobs.c.state, commits.c.error).join(commits, commits.c.seq == jobs.c.output_commit)
    for seq, state, error in tx.execute(query.where(jobs.c.phase == "ended")).all():
        if (state == "SUCCESS") == bool(error) and not (state == "KILLED" and not error):
            yield f"I-9: job {seq} ended as {state}, but the error of its output commit is {error!r}"


def pipelines_without_their_version(tx: Tx) -> Iterator[str]:
    """Every pipeline has the version that it says is its current one."""
    known = and_(pipeline_versions.c.pipeline == pipelines.c.key, pipeline_versions.c.version == pipelines.c.version)
    for project, name in tx.execute(select(pipelines.c.project, pipelines.c.name).where(~exists().where(known))).all():
        yield f"I-10: pipeline {project}/{name} has no current version"


def states_that_no_move_reaches(tx: Tx) -> Iterator[str]:
    """I-10: a job that is over has a last state and its instant. A job that is stopped has that state a bit earlier."""
    for seq, state, phase, finished_us in tx.execute(_contradicting()).all():
        when = "no instant" if finished_us is None else "an instant"
        yield f"I-10: job {seq} is {state} in phase {phase}, with {when} of its end"


def _contradicting() -> Executable:
    terminal = jobs.c.state.in_([state.value for state in JobState if state.terminal])
    over = jobs.c.phase == "ended"
    early = and_(terminal, jobs.c.phase.not_in(["finishing", "ended"]))
    wrong = or_(and_(over, ~terminal), early, over == jobs.c.finished_us.is_(None))
    unknown = jobs.c.state.not_in([state.value for state in JobState])
    return select(jobs.c.seq, jobs.c.state, jobs.c.phase, jobs.c.finished_us).where(or_(wrong, unknown))
