"""The worker of a spout: its code runs for ever and makes commits of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from trunkline.errors import TrunklineError
from trunkline.worker.execute import Bench, Cancelled, Interrupt
from trunkline.worker.layout import Prepared
from trunkline.worker.logs import Journal
from trunkline.worker.ports import Claim, Datum, LogSegment
from trunkline.worker.standing.serving import Serving, Tell

_FLUSH_S = 1.0
_RETRY_S = 2.0
_KILL_S = 0.05


class Home(Protocol):
    """The calls that the worker of a spout makes. All may raise TrunklineError."""

    def stand(self) -> Claim | None:
        """What to run; None: nothing now."""
        ...


class SpoutWorker:
    """Runs the code of one spout until `stop`. `note` takes sentences for the operator's log."""

    def __init__(
        self, home: Home, bench: Bench, write: Callable[[LogSegment], None], tell: Tell, note: Callable[[str], None]
    ) -> None:
        self._home = home
        self._bench = bench
        self._write = write
        self._tell = tell
        self._note = note
        self._interrupt = Interrupt()
        self._stopping = threading.Event()
        self._ended = threading.Event()

    def run(self) -> None:
        """Until told to stop."""
        said = ""
        while not self._stopping.is_set():
            try:
                claim = self._home.stand()
                if claim is not None:
                    self._serve(claim)
                said = ""
            except (TrunklineError, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    self._note(f"worker: {error}; trying again")
                    self._tell(False, said)
            self._stopping.wait(_RETRY_S)
        self._ended.set()

    def stop(self, reason: str = "the worker is told to stop") -> None:
        """End the code, and return from `run` soon."""
        self._interrupt.cancelled = reason
        self._stopping.set()
        threading.Thread(target=self._kill, name="kill", daemon=True).start()

    def _kill(self) -> None:
        while not self._ended.is_set():
            self._bench.kill()
            self._ended.wait(_KILL_S)

    def _serve(self, claim: Claim) -> None:
        journal = Journal(claim.id, self._bench.ambient, self._write, self._note)
        over = threading.Event()
        flusher = threading.Thread(target=_flush, args=(journal, over, self._note), name="logs", daemon=True)
        flusher.start()
        try:
            nothing = Prepared(Datum(0, "", ()), {}, {}, 0, [], [])
            with contextlib.suppress(Cancelled):
                Serving(self._bench, claim, journal, self._interrupt, self._tell).serve(nothing, {})
        finally:
            over.set()
            flusher.join()
            journal.flush()


def _flush(journal: Journal, over: threading.Event, note: Callable[[str], None]) -> None:
    while not over.wait(_FLUSH_S):
        try:
            journal.flush(old_only=True)
        except TrunklineError as error:
            note(f"worker: {error}")
