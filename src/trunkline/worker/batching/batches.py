"""The datums of a claim, run by one process that asks for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trunkline.worker.batching.desk import Ask, Desk
from trunkline.worker.collect import Found
from trunkline.worker.execute import Bench, Execution, Interrupt
from trunkline.worker.launch import AgentLost
from trunkline.worker.layout import Prepared
from trunkline.worker.limits.disk import too_much
from trunkline.worker.limits.volumes import no_room
from trunkline.worker.logs import Journal, Lines
from trunkline.worker.outcome import Attempt, Timing
from trunkline.worker.ports import Claim, Step
from trunkline.worker.runner import Command, Exited, Runner

_KILL_S = 0.05


class Batches:
    """Executions of a worker's claims. A batching process that waits for more is kept for the next claim of its job."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: _Kept | None = None

    def execution(self, bench: Bench, claim: Claim, journal: Journal, interrupt: Interrupt) -> Execution:
        """What runs the datums of a claim."""
        if not claim.step.batching:
            self.end()
            return Execution(bench, claim, journal, interrupt)
        return Batching(bench, claim, journal, interrupt, self._desk, self)

    def keep(self, kept: _Kept) -> None:
        """Keep a process that waits for its next datum."""
        self._kept = kept

    def take(self, step: Step, env: Mapping[str, str]) -> _Process | None:
        """The process that is kept, if it may serve this claim; else it is ended."""
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        if kept.interrupt.cancelled or not kept.process.waits or (kept.step, kept.env) != (step, env):
            kept.process.end()
            kept.journal.flush()
            return None
        return kept.process

    def end(self) -> None:
        """There is nothing to do for the process that is kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.process.end()
            kept.journal.flush()


@dataclass
class _Kept:
    """A process between two claims, and what it was started for."""

    process: _Process
    step: Step
    env: Mapping[str, str]
    interrupt: Interrupt
    journal: Journal


@dataclass
class _Process:
    """The code, in a thread that waits for its end. hear: takes its lines, as `mask` leaves them."""

    desk: Desk
    kill: Callable[[], None]
    hear: Callable[[str], None]
    mask: Callable[[str], str]
    ended: Exited | AgentLost | None = None
    lines: Lines = field(init=False)
    thread: threading.Thread = field(init=False)

    def start(self, runner: Runner, command: Command, folder: Path) -> None:
        """Start it; from now on it may ask, at a socket in `folder` too."""
        self.lines = Lines(self._heard, mask=self.mask)
        self.desk.open(folder)

        def code() -> None:
            try:
                self.ended = runner.run(command, self.lines.feed)
            except AgentLost as error:
                self.ended = error
            finally:
                self.desk.stir()

        self.thread = threading.Thread(target=code, name="batch", daemon=True)
        self.thread.start()

    def _heard(self, line: str) -> None:
        self.hear(line)  # by whoever listens now

    @property
    def waits(self) -> bool:
        """Whether it has asked for its next datum, and lives."""
        return self.thread.is_alive() and self.desk.asked

    def end(self) -> None:
        """End it; how it ends does not matter any more."""
        while self.thread.is_alive():
            self.kill()
            self.thread.join(_KILL_S)
        self.desk.close()


class Batching(Execution):
    """As `Execution`, but the process is started once and kept until something goes wrong or nothing is left for it.

    Where the spec says how many datums make a set, a process gets one set. What a datum wrote is taken in before the
    process gets the next one.
    """

    def __init__(
        self, bench: Bench, claim: Claim, journal: Journal, interrupt: Interrupt, desk: Desk, batches: Batches
    ) -> None:
        super().__init__(bench, claim, journal, interrupt)
        self._desk = desk
        self._batches = batches
        self._datum = ""
        self._process = batches.take(claim.step, self._env)
        if self._process is not None:
            self._process.hear = self._line
        self._lines = self._process.lines if self._process is not None else Lines(self._line, mask=self._mask)

    def close(self) -> None:
        """The claim is over: the process waits for the next one, or is ended."""
        process = self._process
        if process is None:
            return
        if not self._claim.step.batch_on or self._interrupt.cancelled or not process.waits:
            self._end()
            return
        self._process = None
        self._batches.keep(_Kept(process, self._claim.step, self._env, self._interrupt, self._journal))

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def _line(self, line: str) -> None:
        self._journal.user(self._datum, line)

    def _attempt(self, prepared: Prepared, env: dict[str, str], timing: Timing) -> tuple[Attempt, Found]:
        began_s = self._bench.ambient.ticks_s()
        self._datum = prepared.datum.id
        try:
            attempt, found = self._served(prepared, env)
            note = no_room(self._pfs, self._claim.step, self._bench.scratch.folder, attempt.ended)
            attempt = replace(attempt, note=note)
        finally:
            timing.process_s += self._bench.ambient.ticks_s() - began_s
        if (attempt.complaint or attempt.ended is None or attempt.ended.code != 0) and self._claim.step.err_cmd:
            self._end()
            err = self._execute(self._runner(), self._claim.step.err_cmd, self._err_stdin, env, self._lines)
            attempt = replace(attempt, err=err)
        return attempt, found

    def _served(self, prepared: Prepared, env: dict[str, str]) -> tuple[Attempt, Found]:
        """Give the process its datum, and wait until it asks for the next."""
        limit_us = self._claim.step.timeout_us
        runner = self._runner()
        process = self._process or self._start(runner, env)
        answered = False
        while not answered:
            first = self._desk.wait(None)
            if first is None:
                return self._gone(process), Found()
            self._stop_if_told()
            answered = self._desk.answer(first, env)
        done = self._desk.wait(limit_us / 1e6 if limit_us else None)
        if done is None and process.ended is None:
            self._end()
            return Attempt(Exited(timed_out=True, signal=9), tail=self._lines.tail()), Found()
        if done is None:
            return self._gone(process), Found()
        found = self._finished(done, runner, prepared)
        return Attempt(Exited(code=0), complaint=found.complaint, tail=self._lines.tail()), found

    def _finished(self, done: Ask, runner: Runner, prepared: Prepared) -> Found:
        self._stop_if_told()
        if done.error:
            found = Found()
            found.complaint = f"the code says: {done.error}"
            return found
        found = self._look(runner, prepared)
        found.fail(too_much(self._claim.step.limits, found.files))
        return found

    def _start(self, runner: Runner, env: dict[str, str]) -> _Process:
        self._stop_if_told()
        process = self._process = _Process(self._desk, self._bench.kill, self._line, self._mask)
        command = self._command(self._claim.step.cmd, self._stdin, env, limit_us=0)
        process.start(runner, command, self._bench.scratch.staging)
        self._lines = process.lines
        return process

    def _gone(self, process: _Process) -> Attempt:
        """The process ended while a datum was its."""
        ended = process.ended
        self._end()
        self._lines.end()
        self._stop_if_told()
        if not isinstance(ended, Exited):
            return Attempt(None, complaint=str(ended), tail=self._lines.tail())
        if ended.code == 0:
            complaint = "the code ended before it asked for its next datum"
            return Attempt(ended, complaint=complaint, tail=self._lines.tail())
        return Attempt(ended, tail=self._lines.tail())

    def _look(self, runner: Runner, prepared: Prepared) -> Found:
        found = self._found(prepared)
        if found.blocked:  # the agent can help, and does one thing at a time
            self._end()
            found = super()._look(runner, prepared)
        return found

    def _clear(self) -> None:
        if self._pfs.clear():
            self._end()
            super()._clear()
