"""The worker's loop: claim a range, lay out ahead, run, collect, report a finished prefix; obey at once.

Threads: the loop itself runs datums; one lays out ahead; one seals and reports; one renews and flushes logs; one reads
the stream of orders. No call, flush or row is made per datum.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trunkline.errors import Aborted, Kind, TrunklineError
from trunkline.model.names import Pipeline
from trunkline.worker.ahead import PASSING, Ahead
from trunkline.worker.execute import Bench, Cancelled, Execution, Interrupt
from trunkline.worker.layout import Staging
from trunkline.worker.limits.disk import NO_ROOM
from trunkline.worker.logs import Journal
from trunkline.worker.ports import (
    Cancel,
    Claim,
    Finish,
    Order,
    Output,
    Restart,
    Result,
    Retire,
    Server,
    Shorten,
    Storage,
    Wake,
)

REPORT_S = 1.0
REPORT_BYTES = 4 << 20
IDLE_S = 5.0
BEAT_S = 1.0
_KILL_S = 0.05
LINES_S = 1.0
"""How long a report waits at most for the log lines of what it reports."""

_OURS = frozenset({*NO_ROOM, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of this machine: what code does to its files may raise others."""

_RETRY_S = 1.0
_MAX_RETRY_S = 15.0


@dataclass
class _Work:
    """The claim in hand. `last` sinks when its tail is given to an idle worker; `row` is in progress, -1: none."""

    claim: Claim
    journal: Journal
    last: int
    row: int = -1
    reported: int = -1  # rows before this one are the server's
    interrupt: Interrupt = field(default_factory=Interrupt)
    over: str = ""  # why nothing more of it is wanted
    trouble: str = ""  # why nothing more comes of it, though it is wanted
    left: bool = False  # no code of it runs any more
    ended: bool = False
    stirred: threading.Event = field(default_factory=threading.Event)
    heard: dict[bool, set[int]] = field(default_factory=lambda: {True: set(), False: set()})
    """Rows that were started over because a renewal (True) or the stream (False) said so, and not yet the other."""


@dataclass
class _Part:
    """Finished datums on their way to a report: rows before `done`."""

    work: _Work
    output: Output
    results: list[Result]
    done: int


class Worker:
    """One worker. `run` until `stop`; `tell` gets sentences for the operator's log; `execution` runs datums.

    idle: called when there is nothing to do.
    """

    def __init__(
        self,
        server: Server,
        storage: Storage,
        bench: Bench,
        tell: Callable[[str], None],
        execution: Callable[[Bench, Claim, Journal, Interrupt], Execution] = Execution,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._idle = idle
        self._execution = execution
        self._server = server
        self._storage = storage
        self._bench = bench
        self._ambient = bench.ambient
        self._staging = Staging(bench.scratch.staging, storage, shielded=bench.sandbox.namespaces)
        self._tell = tell
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._work: _Work | None = None
        self._parts: queue.Queue[_Part | None] = queue.Queue(maxsize=2)
        self._retired: queue.SimpleQueue[Pipeline] = queue.SimpleQueue()
        self._last_lines = threading.Thread(target=lambda: None)
        self._last_lines.start()

    def run(self) -> None:
        """Work until told to stop. Errors of the server or of storage are waited out."""
        watcher = threading.Thread(target=self._watch, name="orders", daemon=True)
        watcher.start()
        delay_s = _RETRY_S
        while not self._stopping.is_set():
            try:
                self._wake.clear()
                while not self._retired.empty():
                    self._bench.retire(self._retired.get())
                claim = self._server.claim()
                if claim is None:
                    self._idle()
                    self._bench.rest()
                    self._wake.wait(IDLE_S)
                    continue
                self._take(claim)
                delay_s = _RETRY_S
            except (TrunklineError, OSError) as error:
                self._tell(f"worker: {error}; trying again in {delay_s:g} s")
                self._stopping.wait(delay_s)
                delay_s = min(delay_s * 2, _MAX_RETRY_S)
        self._last_lines.join()

    def stop(self, reason: str = "the worker is told to stop") -> None:
        """End what runs and return from `run` soon. What was not reported is run again elsewhere."""
        self._stopping.set()
        self._end(None, reason)
        self._wake.set()

    def obey(self, order: Order, *, by_renewal: bool = False) -> None:
        """An order from the server, which comes by a stream and with the next renewal. Safe from any thread."""
        if isinstance(order, Wake):
            self._wake.set()
        elif isinstance(order, Retire):
            self._retired.put(order.pipeline)
            self._wake.set()
        elif isinstance(order, Cancel):
            self._end(order.claim, order.reason)
        elif isinstance(order, Restart):
            self._restart(order, by_renewal)
        elif isinstance(order, Finish):
            self._finish(order)
        elif isinstance(order, Shorten):
            self._shorten(order)

    def cancel(self, job: str, filters: Sequence[str]) -> bool:
        """End the datum in progress if it is of this job and has inputs with these paths; it is run again."""
        with self._lock:
            work = self._work
        if work is None or work.claim.job.id != job or work.row < 0:
            return False
        datum = next((each for each in work.claim.datums if each.row == work.row), None)
        if datum is None or not {*filters} <= {element.path for element in datum.elements}:
            return False
        work.interrupt.restart_row = work.row
        self._bench.kill()
        return True

    def _take(self, claim: Claim) -> None:
        """Work on a claim to its end."""
        self._last_lines.join()
        journal = Journal(claim.id, self._ambient, self._storage.write_segment, self._tell)
        work = _Work(claim, journal, claim.last)
        with self._lock:
            self._work = work
        if self._stopping.is_set():
            work.over = work.interrupt.cancelled = "the worker is told to stop"
        heart = threading.Thread(target=self._beat, args=(work,), name="heart", daemon=True)
        publisher = threading.Thread(target=self._publish, name="report", daemon=True)
        heart.start()
        publisher.start()
        journal.system(f"datums {claim.first} to {claim.last - 1} of job {claim.job} begin")
        try:
            self._range(work)
        except Cancelled as error:
            journal.system(f"stopped: {error}")
        except (TrunklineError, OSError) as error:
            if _passes(error):
                work.trouble = f"{{}} cannot be run: {_words(error)}"
            raise
        finally:
            self._parts.put(None)
            publisher.join()
            work.left = True
            self._give_back(work)
            work.ended = True
            work.stirred.set()
            heart.join()
            with self._lock:
                self._work = None
            journal.system(
                f"datums {claim.first} to {work.last - 1} {'are left' if work.over or work.trouble else 'end'}"
            )
            self._last_lines = threading.Thread(target=journal.flush, name="last lines")
            self._last_lines.start()  # the next claim does not wait for them
        if work.over and not self._stopping.is_set():
            self._tell(f"worker: claim {claim.id} of {claim.job} ended early: {work.over}")

    def _range(self, work: _Work) -> None:
        claim = work.claim
        execution = self._execution(self._bench, claim, work.journal, work.interrupt)
        ahead = Ahead(
            self._staging,
            claim.datums,
            self._ambient,
            lambda row: not work.over and row < work.last,
            work.journal.system,
        )
        part = _Part(work, self._storage.output(claim), [], claim.first)
        since_s, size = self._ambient.ticks_s(), 0
        try:
            for prepared in ahead:
                row = prepared.datum.row
                if work.over:
                    raise Cancelled(work.over)
                if row >= work.last:
                    break
                work.row = row
                try:
                    result = execution.run(prepared, part.output)
                finally:
                    self._staging.release(prepared)
                part.results.append(result)
                part.done = row + 1
                size += result.upload_bytes
                if size >= REPORT_BYTES or self._ambient.ticks_s() - since_s >= REPORT_S:
                    self._parts.put(part)
                    part = _Part(work, self._storage.output(claim), [], part.done)
                    since_s, size = self._ambient.ticks_s(), 0
        finally:
            work.row = -1
            execution.close()
            self._bench.buckets.end()
            if part.results and not work.over:
                self._parts.put(part)
            ahead.close()  # tidies up, which the report does not wait for

    def _publish(self) -> None:
        """Seal and report parts in order, until None comes. A part that cannot be reported ends the claim."""
        while (part := self._parts.get()) is not None:
            work = part.work
            if work.over:
                continue
            try:
                # Who waits for a job reads its log next; but results do not wait long for a log that nobody takes.
                lines = threading.Thread(target=work.journal.flush, name="lines", daemon=True)
                lines.start()
                sealed = part.output.seal(part.results)
                lines.join(LINES_S)
                _, last = self._report(part, sealed)
                work.last = min(work.last, last)
                work.reported = part.done
            except Aborted as error:
                self._end(work.claim.id, f"the claim was given to another worker ({error})")
            except (TrunklineError, OSError) as error:
                if _passes(error) and not work.over:
                    work.trouble = f"the results of {{}} cannot be kept: {_words(error)}"
                self._end(work.claim.id, f"its results could not be kept: {error}")

    def _report(self, part: _Part, sealed: object) -> tuple[int, int]:
        """Report, again and again while the server does not answer and the claim is still wanted."""
        while True:
            try:
                return self._server.report(part.work.claim, part.done, sealed, part.results)
            except TrunklineError as error:
                if error.kind is not Kind.UNAVAILABLE or part.work.over:
                    raise
                self._tell(f"worker: reporting {part.work.claim.job}: {error}; trying again")
                part.work.stirred.wait(_RETRY_S)

    def _give_back(self, work: _Work) -> None:
        """Say why nothing more comes of a claim: else it would be nobody's until its lease ends, and count as a death.

        Again and again while the server has no room for that either.
        """
        claim, first = work.claim, max(work.reported, work.claim.first)
        if not work.trouble or first >= work.last:
            return
        which = f"datum {first}" if work.last - first == 1 else f"datums {first} to {work.last - 1}"
        why = work.trouble.replace("{}", which, 1)
        work.journal.system(why)
        while True:
            try:
                return self._server.give_back(claim, why)
            except TrunklineError as error:
                if error.kind is Kind.ABORTED or not _passes(error) or self._stopping.is_set():
                    return
                self._tell(f"worker: giving back {claim.job}: {error}; trying again")
                self._stopping.wait(_RETRY_S)

    def _beat(self, work: _Work) -> None:
        """Renew and flush until the claim is done with; once it is over, kill what runs until it is gone."""
        every_s = min(BEAT_S, work.claim.lease_us / 3e6)
        while not work.ended:
            killing = bool(work.over) and not work.left
            if killing:
                self._bench.kill()
            else:
                self._renew(work)
            work.stirred.wait(_KILL_S if killing else every_s)
            work.stirred.clear()

    def _renew(self, work: _Work) -> None:
        try:
            for order in self._server.renew(work.claim, work.row):
                self.obey(order, by_renewal=True)
            work.journal.flush(old_only=True)
        except Aborted as error:
            self._end(work.claim.id, f"the claim was given to another worker ({error})")
        except TrunklineError as error:
            self._tell(f"worker: renewing {work.claim.job}: {error}")

    def _watch(self) -> None:
        """Read orders for ever; a broken stream is opened again."""
        while not self._stopping.is_set():
            try:
                for order in self._server.watch():
                    self.obey(order)
                    if self._stopping.is_set():
                        return
            except TrunklineError as error:
                if not self._stopping.is_set():  # else we ended it ourselves
                    self._tell(f"worker: the stream of orders broke: {error}")
            self._stopping.wait(_RETRY_S)

    def _end(self, claim: str | None, reason: str) -> None:
        """Whatever runs for `claim` (None: for any) is to end now."""
        with self._lock:
            work = self._work
        if work is None or claim not in (None, work.claim.id) or work.over:
            return
        if work.reported < work.last:  # else it is done, and the server has forgotten it before we did
            work.over = work.interrupt.cancelled = reason
            self._bench.kill()
            work.stirred.set()

    def _shorten(self, order: Shorten) -> None:
        with self._lock:
            work = self._work
        if work is not None and order.claim == work.claim.id:
            work.last = min(work.last, order.last)

    def _finish(self, order: Finish) -> None:
        with self._lock:
            work = self._work
        if work is not None and order.claim == work.claim.id and work.claim.step.standing:
            work.interrupt.finish = True
            self._bench.kill()

    def _restart(self, order: Restart, by_renewal: bool) -> None:
        """Start the datum in progress over, once though the order comes twice."""
        with self._lock:
            work = self._work
            if work is None or order.claim != work.claim.id or work.row not in order.rows:
                return
            row, before = work.row, work.heard[not by_renewal]
            if row in before:
                before.discard(row)
                return
            work.heard[by_renewal].add(row)
        work.interrupt.restart_row = row
        self._bench.kill()


def _passes(error: TrunklineError | OSError) -> bool:
    """Whether something may go well another time: nothing is said about the datums."""
    return error.kind in PASSING if isinstance(error, TrunklineError) else error.errno in _OURS


def _words(error: TrunklineError | OSError) -> str:
    if isinstance(error, TrunklineError) or error.errno is None:
        return str(error)
    where = f" ({os.fsdecode(error.filename)})" if error.filename else ""
    free = "; free some space" if error.errno in NO_ROOM else ""
    return f"{os.strerror(error.errno).lower()}{where}{free}"
