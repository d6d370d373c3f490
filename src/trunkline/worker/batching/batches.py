"""The datums of a claim, run by one process that asks for each."""

from __future__ import annotations

import threading

from trunkline.worker.batching.desk import Ask, Desk
from trunkline.worker.collect import Found
from trunkline.worker.execute import Bench, Execution, Interrupt, Timing
from trunkline.worker.layout import Prepared
from trunkline.worker.limits.disk import too_much
from trunkline.worker.logs import Journal, Lines
from trunkline.worker.outcome import Attempt
from trunkline.worker.ports import Claim
from trunkline.worker.runner import AgentLost, Exited, Runner

_KILL_S = 0.05


class Batching(Execution):
    """As `Execution`, but the process is started once and kept until the claim ends or something goes wrong.

    What a datum wrote is taken in before the process gets the next one.
    """

    def __init__(self, bench: Bench, claim: Claim, journal: Journal, interrupt: Interrupt, desk: Desk) -> None:
        super().__init__(bench, claim, journal, interrupt)
        self._desk = desk
        self._thread: threading.Thread | None = None
        self._ended: Exited | AgentLost | None = None
        self._lines = Lines(self._line)
        self._datum = ""

    def close(self) -> None:
        """End the process; how it ends does not matter any more."""
        while self._thread is not None and self._thread.is_alive():
            self._bench.kill()
            self._thread.join(_KILL_S)
        self._thread = None
        self._desk.close()

    def _line(self, line: str) -> None:
        self._journal.user(self._datum, line)

    def _attempt(self, prepared: Prepared, env: dict[str, str], timing: Timing) -> tuple[Attempt, Found]:
        began_s = self._bench.ambient.ticks_s()
        self._datum = prepared.datum.id
        try:
            attempt, found = self._served(prepared, env)
        finally:
            timing.process_s += self._bench.ambient.ticks_s() - began_s
        if (attempt.complaint or attempt.ended is None or attempt.ended.code != 0) and self._claim.step.err_cmd:
            self.close()
            err = self._execute(self._runner(), self._claim.step.err_cmd, self._err_stdin, env, self._lines)
            attempt = Attempt(attempt.ended, err, attempt.complaint, attempt.tail)
        return attempt, found

    def _served(self, prepared: Prepared, env: dict[str, str]) -> tuple[Attempt, Found]:
        """Give the process its datum, and wait until it asks for the next."""
        limit_us = self._claim.step.timeout_us
        runner = self._runner()
        if self._thread is None:
            self._start(runner, env)
        first = self._desk.wait(None)
        if first is None:
            return self._gone(), Found()
        self._stop_if_told()
        self._desk.answer(first, env)
        done = self._desk.wait(limit_us / 1e6 if limit_us else None)
        if done is None and self._ended is None:
            self.close()
            return Attempt(Exited(timed_out=True, signal=9), tail=self._lines.tail()), Found()
        if done is None:
            return self._gone(), Found()
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

    def _start(self, runner: Runner, env: dict[str, str]) -> None:
        self._stop_if_told()
        self._ended = None
        self._lines = Lines(self._line)
        self._desk.open()
        command = self._command(self._claim.step.cmd, self._stdin, env, limit_us=0)

        def code() -> None:
            try:
                self._ended = runner.run(command, self._lines.feed)
            except AgentLost as error:
                self._ended = error
            finally:
                self._desk.stir()

        self._thread = threading.Thread(target=code, name="batch", daemon=True)
        self._thread.start()

    def _gone(self) -> Attempt:
        """The process ended while a datum was its."""
        ended = self._ended
        self.close()
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
            self.close()
            found = super()._look(runner, prepared)
        return found

    def _clear(self) -> None:
        if self._pfs.clear():
            self.close()
            super()._clear()
