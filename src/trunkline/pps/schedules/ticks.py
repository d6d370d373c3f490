"""Ticks: empty files named by their instants, each in a commit of its own.

The commit and the note that the tick has been are one transaction: a server that is killed in between makes it at its
next start, one that is killed after it does not make it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trunkline.ambient import Micros
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.repos import RepoRow
from trunkline.catalog.work import crons as cron_rows
from trunkline.catalog.work.crons import CronRow
from trunkline.errors import Aborted, FailedPrecondition, NotFound
from trunkline.model.names import Pipeline
from trunkline.model.specs.cron import next_tick, skip_missed
from trunkline.model.specs.scalars import instant_text
from trunkline.pfs import edits
from trunkline.pfs.files import Files
from trunkline.pfs.sessions import Session
from trunkline.pps import logs
from trunkline.pps.pipelines import current_spec, need_pipeline
from trunkline.pps.schedules.inputs import tick_branch
from trunkline.storage import Sealed

log = logging.getLogger(__name__)

PAGE = 200
TRIES = 10
MISSED = 10_000
"""Of ticks that were missed, at most so many are made: each is a commit and a job."""
_COUNTED_US = MISSED * 60_000_000
"""So long it takes at least until so many more are due."""
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class _Tick:
    """A tick to be made. repo: None if it was deleted."""

    row: CronRow
    repo: RepoRow | None
    at_us: Micros

    @property
    def path(self) -> str:
        return f"/{instant_text(self.at_us)}"


@dataclass(frozen=True, slots=True)
class CronSchedules:
    """The schedules of cron inputs, for the ticker. Ticks that were missed come one by one, the newest `MISSED`."""

    files: Files
    noun: str = "cron input"
    _counted: dict[int, Micros] = field(default_factory=dict)

    def next_due(self, tx: Tx) -> Micros | None:
        return cron_rows.next_due(tx)

    def due(self, tx: Tx, until_us: Micros) -> Sequence[tuple[int, Micros]]:
        return cron_rows.due_crons(tx, until_us, PAGE)

    def tick(self, key: int, tick_us: Micros) -> None:
        row = self.files.catalog.read(lambda tx: cron_rows.get_cron(tx, key))
        if row is None or row.due_us != tick_us:
            return
        repo = self.files.catalog.read(lambda tx: repo_rows.get_repos(tx, [row.repo]).get(row.repo))
        if repo is None:
            log.warning("a cron input ticks no more: its repo was deleted; updating its pipeline makes another")
            self.files.catalog.transact(lambda tx: cron_rows.set_due(tx, key, None))
            return
        if self._skips(row, tick_us):
            return
        following = next_tick(row.spec, tick_us)
        _make(self.files, [_Tick(row, repo, tick_us)], lambda tx: cron_rows.tick(tx, key, tick_us, following))

    def _skips(self, row: CronRow, tick_us: Micros) -> bool:
        """Leave out what was missed too long ago; whether there was anything. Counted once, as that takes a while."""
        now_us = self.files.ambient.now_us()
        if abs(now_us - self._counted.get(row.key, 0)) < _COUNTED_US:
            return False
        first_us = skip_missed(row.spec, tick_us, now_us, MISSED)
        self._counted[row.key] = now_us
        if first_us > tick_us:
            self.files.catalog.transact(lambda tx: _leave_out(tx, row, tick_us, first_us))
        return first_us > tick_us


def _leave_out(tx: Tx, row: CronRow, tick_us: Micros, first_us: Micros) -> None:
    if cron_rows.skip_to(tx, row.key, tick_us, first_us):
        said = f"more than {MISSED} ticks were missed: those before {instant_text(first_us)} are left out"
        logs.say(tx, row.pipeline, None, said)


def run_cron(files: Files, pipeline: Pipeline) -> None:
    """Let all cron inputs of a pipeline tick now, in one commit set; their schedules stay as they are.

    Raises NotFound, FailedPrecondition (no cron input, or the pipeline is stopped).
    """
    for _ in range(TRIES):
        ticks = files.catalog.read(lambda tx: _asked(tx, pipeline, files.ambient.now_us()))

        def note(tx: Tx, ticks: Sequence[_Tick] = ticks) -> bool:
            noted = [cron_rows.ask(tx, one.row.key, one.row.asked_us, one.at_us) for one in ticks]
            if not all(noted) and any(noted):
                raise Aborted(f"another tick of pipeline {pipeline} was asked for at the same time; try again")
            return all(noted)

        if _make(files, ticks, note):
            return
    raise Aborted(f"many ticks of pipeline {pipeline} are asked for at the same time; try again")


def _asked(tx: Tx, pipeline: Pipeline, now_us: Micros) -> list[_Tick]:
    """A tick for each cron input. Whole seconds, unless that name is taken: its name must be new."""
    known = need_pipeline(tx, pipeline)
    wanted = {leaf.source for leaf in current_spec(tx, known).leaves if leaf.kind == "cron"}
    if not wanted:
        raise FailedPrecondition(f"pipeline {pipeline} has no cron input; `pachctl rerun pipeline` runs it once more")
    if known.stopped:
        raise FailedPrecondition(
            f"pipeline {pipeline} is stopped; start it with `pachctl start pipeline {pipeline.name}`, then run cron"
        )
    ticks = []
    for row in cron_rows.crons_of(tx, known.key):
        repo = repo_rows.get_repos(tx, [row.repo]).get(row.repo)
        if repo is not None and repo.repo in wanted:
            second_us = now_us - now_us % _SECOND_US
            taken = second_us <= row.asked_us or second_us == row.ticked_us
            ticks.append(_Tick(row, repo, max(second_us, row.asked_us) + 1 if taken else second_us))
    if len(ticks) < len(wanted):
        raise NotFound(f"a repo for the ticks of pipeline {pipeline} was deleted; update the pipeline to have it again")
    return ticks


def _make(files: Files, ticks: Sequence[_Tick], note: Callable[[Tx], bool]) -> bool:
    """Commit ticks, all in one transaction with `note`; nothing is done, and false answered, where that is false."""
    with files.session("cron") as session:
        sealed = [_seal(files, session, one) for one in ticks]
        return session.finish(lambda tx: _commit(files, tx, session, ticks, sealed, note))


def _seal(files: Files, session: Session, tick: _Tick) -> list[Sealed]:
    writer = files.store.writer(session)
    if tick.row.overwrite:
        writer.delete("/", None)
    writer.put(tick.path, b"", datum="", append=False)
    return list(writer.seal())


def _commit(
    files: Files,
    tx: Tx,
    session: Session,
    ticks: Sequence[_Tick],
    sealed: Sequence[Sequence[Sealed]],
    note: Callable[[Tx], bool],
) -> bool:
    if not note(tx):
        return False
    change = files.change_in(tx)
    for one, layers in zip(ticks, sealed, strict=True):
        if one.repo is not None:
            edits.commit_sealed(change, session, tick_branch(one.repo), layers)
    change.close()
    return True
