"""The datum of a service: its code runs until newer data comes, and is started again when it ends by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from trunkline.errors import TrunklineError
from trunkline.worker import outcome
from trunkline.worker.collect import Found
from trunkline.worker.execute import Bench, Execution, InputLost, Interrupt
from trunkline.worker.inputs.variables import environment
from trunkline.worker.launch import AgentLost
from trunkline.worker.layout import Prepared
from trunkline.worker.logs import Journal, Lines
from trunkline.worker.outcome import Attempt, Timing
from trunkline.worker.ports import Claim, Output, Result, State

Tell = Callable[[bool, str], None]
"""Says whether the code runs, and if not, how it ended."""

SETTLED_S = 1.0
"""Code that lives so long counts as running."""
_FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 30.0
_LOOK_S = 0.05


class Serving(Execution):
    """Runs code that has no end of its own; it comes back when the interrupt says finish."""

    def __init__(self, bench: Bench, claim: Claim, journal: Journal, interrupt: Interrupt, tell: Tell) -> None:
        super().__init__(bench, claim, journal, interrupt)
        self._tell = tell
        self._delay_s = _FIRST_DELAY_S

    def run(self, prepared: Prepared, output: Output) -> Result:
        """Serve, then collect what the code wrote. Raises Cancelled; OSError and TrunklineError."""
        datum, began_us = prepared.datum, self._bench.ambient.now_us()
        self._row = datum.row
        self._timing = Timing(began_us)
        self.serve(prepared, environment(datum))
        found, size = Found(), 0
        try:
            found = self._look(self._runner(), prepared)
            if found.complaint:
                self._journal.system(f"its output is not kept: {found.complaint}", datum.id)
            else:
                size = self._collector.store(found, output, datum.id)
        except BaseException:
            output.discard(datum.id)
            raise
        finally:
            self._clear()
        ended_us = self._bench.ambient.now_us()
        return Result(
            row=datum.row,
            id=datum.id,
            state=State.SUCCESS,
            reason="",
            tries=1,
            began_us=began_us,
            process_us=ended_us - began_us,
            download_bytes=prepared.size_bytes + self._timing.fed_bytes,
            upload_bytes=size,
            files=found.count,
            cpu_us=self._timing.cpu_us,
            memory_bytes=self._timing.memory_bytes,
        )

    def serve(self, prepared: Prepared, variables: dict[str, str]) -> None:
        """Start the code again and again until it is to finish. Raises Cancelled."""
        while True:
            began_s = self._bench.ambient.ticks_s()
            why = prepared.problem or self._housing_problem()
            if not why:
                why = self._once(prepared, {**variables, **self._env})
            if self._interrupt.finish:
                return
            if self._bench.ambient.ticks_s() - began_s > _MAX_DELAY_S:
                self._delay_s = _FIRST_DELAY_S
            self._journal.system(f"the code ended, and is started again in {self._delay_s:g} s: {why}")
            self._tell(False, why)
            self._clear()
            self._pause()
            if self._interrupt.finish:
                return

    def _once(self, prepared: Prepared, env: dict[str, str]) -> str:
        """Run the code to its end; how it ended."""
        self._show(prepared, env)
        lines = Lines(lambda line: self._journal.user(prepared.datum.id, line), mask=self._mask)
        alive = threading.Timer(SETTLED_S, self._tell, (True, ""))
        alive.daemon = True
        alive.start()
        try:
            with self._feeding(prepared):
                ended = self._execute(self._runner(), self._claim.step.cmd, self._stdin, env, lines)
        except InputLost as error:
            return str(error)
        except AgentLost as error:
            self._stop_if_told()
            return str(error)
        finally:
            alive.cancel()
            lines.end()
        return outcome.describe(self._claim.step, Attempt(ended, tail=lines.tail()))

    def _pause(self) -> None:
        """Wait before the next start, each time longer; not at all once the code is not wanted any more."""
        until_s = self._bench.ambient.ticks_s() + self._delay_s
        self._delay_s = min(self._delay_s * 2, _MAX_DELAY_S)
        while self._bench.ambient.ticks_s() < until_s and not self._interrupt.finish:
            self._stop_if_told()
            self._bench.ambient.sleep(_LOOK_S)


def telling(tell: Callable[[bool, str], None], note: Callable[[str], None]) -> Tell:
    """`tell` where a server that does not answer is no reason to stop."""

    def told(running: bool, reason: str) -> None:
        try:
            tell(running, reason)
        except TrunklineError as error:
            note(f"worker: the server could not be told how the code does: {error}")

    return told
