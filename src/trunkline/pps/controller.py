"""The controller: hears of commits, moves jobs, does their slow work, and watches deadlines and leases.

It can be killed anywhere. What a job waits for is in its row, what is to be done is a row too, and a result is kept in
one transaction with the decision that follows from it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from trunkline.catalog import outbox
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import instructions as instruction_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.instructions import InstructionRow
from trunkline.errors import InvalidArgument, TrunklineError
from trunkline.pfs.files import Files
from trunkline.pfs.graph.changes import COMMIT_TOPIC
from trunkline.pps import assemble, claims, machine, planning
from trunkline.pps import events as ev
from trunkline.pps.claims import Leases
from trunkline.pps.egress.pushing import push
from trunkline.pps.events import Work
from trunkline.pps.machine import DEADLINE_TOPIC, PUSH_TOPIC, WORK_TOPIC
from trunkline.pps.schedules.deadlines import Deadlines
from trunkline.pps.secrets import Vault
from trunkline.pps.tables import Tables

log = logging.getLogger(__name__)

CURSOR = "pps"
PAGE = 100
FAR_BEHIND = 1000
HANDS = 2
"""How many jobs may be planned or assembled at once."""
PUSHERS = 4
"""How many outputs may be sent elsewhere at once; a place that does not answer holds up none of the hands above."""
IDLE_S = 5.0
TICK_S = 1.0


@dataclass(frozen=True)
class Pps:
    """What every function of this room that does more than one transaction works with."""

    files: Files
    tables: Tables
    leases: Leases
    vault: Vault

    @classmethod
    def of(cls, files: Files, vault: Vault) -> Pps:
        """The pipeline system on a versioned file system, whose ports `machine` fills."""
        return cls(files, Tables(files), Leases(files), vault)


class Controller:
    """One round at a time by `step`, or for good by `start`."""

    def __init__(self, pps: Pps) -> None:
        self._pps = pps
        self._files = pps.files
        self._cursor: outbox.Cursor | None = None
        self._deadlines = Deadlines(pps.files.ambient)
        self._stop = threading.Event()
        self._heard = 0
        self._limits = -1  # number of the newest event when jobs were asked for their deadlines
        self._lock = threading.Lock()
        self._busy: set[tuple[int, bool]] = set()  # jobs whose work is in hand, and whether that is to send
        rounds: list[tuple[str, Callable[[], float], *tuple[str, ...]]]
        rounds = [("controller", self._listen, COMMIT_TOPIC, DEADLINE_TOPIC)]
        rounds += [(f"hand-{n}", self._labour, WORK_TOPIC) for n in range(HANDS)]
        rounds += [(f"egress-{n}", partial(self._labour, sends=True), PUSH_TOPIC) for n in range(PUSHERS)]
        self._threads = [threading.Thread(target=self._loop, args=each, name=each[0], daemon=True) for each in rounds]
        self._threads.append(threading.Thread(target=self._tick, name="leases", daemon=True))

    def recover(self) -> None:
        """After a start: workers of the last server are gone, and every open job is looked at again."""
        catalog = self._files.catalog
        self._cursor = catalog.transact(lambda tx: outbox.open_cursor(tx, CURSOR))
        if catalog.alone:
            catalog.transact(claims.all_gone)
        for job in catalog.read(job_rows.open_jobs):
            catalog.transact(partial(machine.restarted, seq=job.seq))

    def step(self) -> bool:
        """Hear events, do all work that is due; whether there was anything."""
        if self._cursor is None:
            self.recover()
        moved = not self._listen()
        while not self._labour() or not self._labour(sends=True):
            moved = True
        return moved

    def _listen(self) -> float:
        """One round of news: commits that moved, jobs whose time is up; for how many seconds there will be none."""
        heard = self._hear()
        late = self._late()
        for seq in late:
            self._files.catalog.transact(partial(_out_of_time, seq=seq))
        if heard or late:
            return 0.0
        left_s = self._deadlines.left_s()
        return IDLE_S if left_s is None else _pause(left_s)

    def _late(self) -> list[int]:
        """Jobs whose time is up. Those with a limit are asked for when one has begun, or the next one is due."""
        began, left_s = self._files.catalog.wake.newest(DEADLINE_TOPIC), self._deadlines.left_s()
        if began <= self._limits and (left_s is None or left_s > 0):
            return []
        self._limits = began
        return self._deadlines.late(self._files.catalog.read(job_rows.deadlines))

    def _hear(self) -> bool:
        cursor = self._cursor
        if cursor is None:
            return False
        start = max(cursor.position, self._heard)
        found = self._files.catalog.read(lambda tx: outbox.read_after(tx, start, PAGE))
        if not found:
            return False
        self._heard = found[-1].seq
        commits = [event for event in found if event.topic == COMMIT_TOPIC]
        # Other events need no transaction; but what lies behind the cursor cannot be trimmed, so it follows in time.
        if not commits and self._heard - cursor.position < FAR_BEHIND:
            return len(found) == PAGE

        def work(tx: Tx) -> outbox.Cursor:
            for event in commits:
                _moved(tx, event.payload["seq"], event.payload.get("lost", ""))
            return outbox.advance(tx, cursor, found[-1].seq)

        try:
            self._cursor = self._files.catalog.transact(work)
        except BaseException:
            self._heard = 0
            raise
        return True

    def _labour(self, *, sends: bool = False) -> float:
        """Do one piece of work that is due and that no other hand is at; where there is none, for how many seconds."""
        one = self._take(sends)
        if not isinstance(one, InstructionRow):
            return one
        try:
            self._obey(one)
        finally:
            with self._lock:
                self._busy.discard((one.job, sends))
        return 0.0

    def _take(self, sends: bool) -> InstructionRow | float:
        with self._lock:
            now_us, pauses = self._files.ambient.now_us(), [IDLE_S]
            for one in self._files.catalog.read(instruction_rows.list_all):
                key = (one.job, one.work == Work.EGRESS.value)
                if key[1] is not sends or key in self._busy:  # what is in hand needs nobody to wake up for it
                    continue
                if one.not_before_us <= now_us:
                    self._busy.add(key)
                    return one
                pauses.append(_pause((one.not_before_us - now_us) / 1e6))
        return min(pauses)

    def _obey(self, one: InstructionRow) -> None:
        if one.work == Work.EGRESS.value:
            push(self._files, self._pps.vault, one, self._stop.is_set)
            return
        try:
            WORK[Work(one.work)](self._files, self._pps.tables, one)
        except Exception as error:
            if not isinstance(error, TrunklineError):
                log.exception("work for job %s failed: %s", one.job, one.work)
            event = ev.WorkFailed(
                one.gen, Work(one.work), str(error) or type(error).__name__, isinstance(error, InvalidArgument)
            )
            self._files.catalog.transact(lambda tx: _failed(tx, one, event))

    def start(self) -> None:
        """Begin, with what a previous run of the server left."""
        self.recover()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the work in hand. `Catalog.wake` must be set once more for it to notice at once."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended; not at all where it never began."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)

    def _loop(self, name: str, round_: Callable[[], float], *topics: str) -> None:
        wake = self._files.catalog.wake
        while not self._stop.is_set():
            seen = wake.seq
            try:
                if not (pause := round_()):
                    continue
            except TrunklineError as error:
                log.warning("a round of %s failed; it is tried again: %s", name, error)
                pause = TICK_S
            except Exception:
                log.exception("a round of %s failed; it is tried again", name)
                pause = TICK_S
            wake.wait(seen, pause, *topics)

    def _tick(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                self._pps.leases.tick()
            except TrunklineError as error:
                log.warning("leases could not be counted; the next tick does: %s", error)
            except Exception:
                log.exception("leases could not be counted; the next tick does")


def _pause(left_s: float) -> float:
    return min(max(left_s, 0.01), IDLE_S)


def _out_of_time(tx: Tx, seq: int) -> None:
    row = job_rows.get_job(tx, seq)
    if row is not None:
        machine.feed(tx, seq, ev.Deadline(f"job timed out after {row.timeout_us / 1e6:g} s"))
        job_rows.set_values(tx, seq, deadline_us=None)


def _failed(tx: Tx, one: InstructionRow, event: ev.WorkFailed) -> None:
    instruction_rows.strike(tx, one.serial)
    machine.feed(tx, one.job, event)


WORK: dict[Work, Callable[[Files, Tables, InstructionRow], None]] = {
    Work.PLAN: planning.make_plan,
    Work.SETTLE: planning.settle,
    Work.ASSEMBLE: assemble.assemble,
    Work.FINISH: assemble.finish,
}


def _moved(tx: Tx, commit: int, lost: str) -> None:
    machine.commit_moved(tx, commit)
    job = job_rows.by_commits(tx, [commit]).get(commit) if lost else None
    if job is not None and not job.ended:
        machine.stop(tx, job, f"its input commit {lost} was deleted")
